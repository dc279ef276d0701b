"""A prompt, then token after token: what generating text takes."""

from __future__ import annotations

import json

import pytest

import cimarch
from cimarch import DescriptionError, generate, read_network, simulate
from cimarch.cli import main


@pytest.fixture(scope="module")
def chip() -> cimarch.System:
    return cimarch.load("language_chip")


def step(chip: cimarch.System, tokens: int, context: int) -> cimarch.Report:
    return simulate(chip, read_network("stories260k", tokens=tokens, context=context))


def test_the_prompt_is_one_run_and_each_further_token_one_more(chip: cimarch.System) -> None:
    found = generate(chip, "stories260k", prompt=6, tokens=4)
    runs = [step(chip, 1, context) for context in (6, 7, 8)]
    assert found.time_to_first_token == step(chip, 6, 0).seconds
    assert [s.context for s in found.steps] == [6, 7, 8]
    assert [s.cycles for s in found.steps] == [run.cycles for run in runs]
    assert found.decode_seconds == pytest.approx(sum(run.seconds for run in runs))
    assert found.tokens_per_second == pytest.approx(3 / sum(run.seconds for run in runs))
    assert found.joules_per_token == pytest.approx(sum(run.joules or 0 for run in runs) / 3)
    assert found.interpolated == 0


def test_tokens_that_are_not_simulated_lie_between_those_that_are(chip: cimarch.System) -> None:
    # 8 further tokens, at contexts 6 to 13; three runs: 6, 9 and 13, with 2 and 3 tokens between.
    found = generate(chip, "stories260k", prompt=6, tokens=9, runs=3)
    assert [s.context for s in found.steps] == [6, 9, 13]
    a, b, c = (s.seconds for s in found.steps)
    assert found.decode_seconds == pytest.approx(a + b + c + 2 * (a + b) / 2 + 3 * (b + c) / 2)
    assert found.interpolated == 5


def test_the_cache_grows_by_a_key_and_a_value_of_every_block(chip: cimarch.System) -> None:
    # 5 blocks, 4 heads of keys and of values of 8 numbers each, one byte a number: 320 bytes.
    found = generate(chip, "stories260k", prompt=6, tokens=3)
    assert found.cache.bytes_per_token == 5 * 2 * 4 * 8
    assert found.cache.bytes == 8 * 320
    assert found.cache.homes == ("global",)


def test_one_token_is_the_prompt_alone(chip: cimarch.System) -> None:
    found = generate(chip, "stories260k", prompt=6, tokens=1)
    assert found.steps == ()
    assert found.tokens_per_second is None
    assert found.decode_seconds == 0


def test_what_cannot_be_generated_is_told(chip: cimarch.System) -> None:
    with pytest.raises(DescriptionError, match="`prompt` is 0, less than 1"):
        generate(chip, "stories260k", prompt=0, tokens=1)
    with pytest.raises(DescriptionError, match="tokens are generated one after another"):
        generate(chip, "stories260k", prompt=2, tokens=1, batch=2)
    with pytest.raises(DescriptionError):
        generate(chip, "resnet20", prompt=2, tokens=2)


def test_the_command_prints_what_python_returns(
    chip: cimarch.System, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["generate", "language_chip", "stories260k", "--prompt", "6", "--tokens", "3"]
    assert main([*arguments, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["schema"] == "cimarch.generation/1"
    assert (
        printed["tokens_per_second"]
        == generate(chip, "stories260k", prompt=6, tokens=3).tokens_per_second
    )
    assert main(arguments) == 0
    out = capsys.readouterr().out
    assert "time to first token" in out
    assert "cache lies in         global" in out
