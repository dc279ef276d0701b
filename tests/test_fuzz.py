"""The fuzzer: what it found stays mended, a short stretch finds nothing, finds are made small."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from bounded import Answer, Case, Worker
from fuzz import CORPUS, FAMILIES, READY, Campaign, smallest

FINDS = sorted(CORPUS.glob("*.json"))


@pytest.fixture(scope="module")
def workers() -> Iterator[dict[tuple[str, ...], Worker]]:
    found = {ready: Worker(*ready) for ready in set(READY.values())}
    yield found
    for worker in found.values():
        worker.close()


@pytest.mark.parametrize("file", FINDS, ids=lambda file: file.stem)
def test_what_was_found_is_mended(file: Path, workers: dict[tuple[str, ...], Worker]) -> None:
    kept = json.loads(file.read_text())
    ready = READY[kept["case"]["work"], kept["case"].get("model") is not None]
    if "torch" in ready:
        pytest.importorskip("torch")
    answer = workers[ready].ask(kept["case"])
    assert answer.find(2 * kept["seconds"]) == "", answer.told[-3000:]


def test_a_short_stretch_finds_nothing(tmp_path: Path) -> None:
    families = [name for name in FAMILIES if not name.startswith("weights")]
    campaign = Campaign(seed=0, corpus=tmp_path)
    campaign.run(60.0, families, number=150)
    assert not campaign.finds
    assert campaign.cases.total() > 20
    assert campaign.table().count("\n") == 1 + len(campaign.cases)


def test_one_seed_makes_the_same_cases() -> None:
    for _, _, make in FAMILIES.values():
        assert make(random.Random(3)) == make(random.Random(3))


class Fragile:
    """A worker that breaks at the word `bad` together with a setting."""

    def ask(self, case: Case, patience: float = 0.0) -> Answer:
        breaks = "bad" in case["text"] and "x" in case["set"]
        return Answer("crash", place="here") if breaks else Answer("done")


def test_a_find_is_made_as_small_as_it_stays_one() -> None:
    case = {"text": "some\nlines that are bad in\nthe middle", "set": {"x": 1, "y": 2}}
    small = smallest(case, "crash here", 2.0, Fragile(), patience=10.0)  # type: ignore[arg-type]
    assert small == {"text": "bad", "set": {"x": 1}}
