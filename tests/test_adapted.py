"""An adapted model is a network that brings its bits, whole weights and converter ranges."""

from __future__ import annotations

import io
import json
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

import cimarch
from cimarch.cli import main
from cimarch.diagnostics import DescriptionError

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from cimarch.optimize import Model

CHIP = "bit_serial"
FOUR = {"*": [4, 4]}


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits network as a file of its own."""
    from cimarch.workload.files import contents, find

    path = tmp_path_factory.mktemp("plain") / "digits.pt"
    path.write_bytes(contents(find("digits")))
    return path


@pytest.fixture(scope="module")
def whole(plain: Path) -> Model:
    """The same with bits, whole weights and ranges for one chip."""
    chip, model = cimarch.load(CHIP), Model.of(plain)
    network = model.network()
    made = cimarch.quantise(chip, network, "digits", precision=FOUR)
    ranges = cimarch.calibrate(chip, network, "digits", quantised=made, policy="mse")
    return model.with_(quantised=made, ranges=ranges, precision=FOUR)


@pytest.fixture(scope="module")
def file(whole: Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("adapted") / "digits.adapted"
    whole.save(path)
    return path


def changed(file: Path, members: Mapping[str, bytes | None], place: Path) -> Path:
    """The same file with other members."""
    with zipfile.ZipFile(file) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {**held, **members}.items():
            if content is not None:
                archive.writestr(name, content)
    path = place / "changed.adapted"
    path.write_bytes(buffer.getvalue())
    return path


def test_a_file_gives_the_model_that_was_saved(whole: Model, file: Path) -> None:
    read = Model.of(file)
    assert read.to_bytes() == whole.to_bytes()
    assert read.digest == whole.digest
    assert read.precision == FOUR


def test_a_run_is_of_the_bits_that_the_model_brings(file: Path) -> None:
    report = cimarch.simulate(cimarch.load(CHIP), cimarch.read_network(file))
    assert set(report.layers["weight_bits"]) == {0, 4}
    assert report.options["precision"] == f"{file}: precision.json"
    asked = cimarch.simulate(cimarch.load(CHIP), cimarch.read_network(file), precision={})
    assert set(asked.layers["weight_bits"]) == {0, 8}


def test_the_digest_of_a_run_is_that_of_the_file_or_of_the_model_that_it_holds(
    whole: Model, file: Path
) -> None:
    assert cimarch.read_network(file).digest == whole.network().digest
    assert whole.with_(precision={}).network().digest != whole.network().digest


def test_an_evaluation_is_of_what_the_model_brings_and_says_so(whole: Model, file: Path) -> None:
    chip, network = cimarch.load(CHIP), cimarch.read_network(file)
    found = cimarch.evaluate(chip, network, "digits", images=50)
    same = cimarch.evaluate(
        chip, network, "digits", images=50, quantised=whole.quantised(),
        ranges=json.loads(whole.attached["ranges.json"]),
    )  # fmt: skip
    assert found.top1 == same.top1
    assert found.digests["quantised model"] == same.digests["quantised model"]
    assert set(found.layers["range_source"]) == set(same.layers["range_source"])
    assert f"bits, whole weights and converter ranges are those that `{file}` brings" in found.notes
    assert found.options["ranges"] == f"{file}: ranges.json"
    assert not any("brings" in note for note in same.notes)


def test_what_is_asked_for_goes_before_what_the_model_brings(file: Path) -> None:
    chip, network = cimarch.load(CHIP), cimarch.read_network(file)
    eight = cimarch.evaluate(chip, network, "digits", images=20, precision={}, statistics=1)
    assert set(eight.layers["weight_bits"]) == {8}
    anew = cimarch.evaluate(
        chip, network, "digits", images=20, quantising=cimarch.Quantising(per="channel"),
        statistics=1,
    )  # fmt: skip
    assert anew.notes[0] == f"bits are those that `{file}` brings"
    assert set(anew.layers["weight_bits"]) == {4}
    unit = cimarch.evaluate(
        chip, network, "digits", images=20, range_policy="unit", statistics=1
    )  # fmt: skip
    assert set(unit.layers["range_source"]) == {"one unit a step"}
    assert unit.notes[0] == f"bits and whole weights are those that `{file}` brings"


def test_ranges_of_another_chip_are_refused_with_what_to_ask_for(file: Path) -> None:
    chip, network = cimarch.load("isaac"), cimarch.read_network(file)
    with pytest.raises(DescriptionError) as caught:
        cimarch.evaluate(chip, network, "digits", images=20)
    (problem,) = caught.value.diagnostics
    assert problem.code in ("E306", "E307")
    assert any("range-policy" in text or "--quantise" in text for text in problem.helps)


def test_the_commands_take_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", CHIP, str(file)]) == 0
    assert "bits of its own" in capsys.readouterr().out
    judged = ["eval", CHIP, str(file), "--data", "digits", "--images", "20", "--json"]
    assert main(judged) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["manifest"]["options"]["quantised"] == f"{file}: quantised.safetensors"
    assert main([*judged, "--range-policy", "mse"]) == 0
    assert json.loads(capsys.readouterr().out)["manifest"]["options"]["ranges"] is None


DAMAGED = {
    "precision": {"precision.json": b"[[8, 8]"},
    "policy": {"precision.json": b'{"nothing.like.it": [8, 8]}'},
    "path": {"precision.json": b'"/etc/passwd"'},
    "weights": {"quantised.safetensors": b"\x08\0\0\0\0\0\0\0{}"},
    "weights_of_json": {"quantised.safetensors": b"{}"},
    "ranges": {"ranges.json": b"{}"},
    "ranges_of_text": {"ranges.json": b'"x"'},
    "normalise": {"normalise.json": b'{"mean": [0], "deviation": [0]}'},
    "schema": {"adapted.json": b'{"schema": "cimarch.adapted/9", "name": "x"}'},
    "manifest": {"adapted.json": b"[]"},
    "network": {"network.pt2": b"PK\x05\x06"},
    "no_network": {"network.pt2": None},
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_member_is_one_diagnostic(
    what: str, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = changed(file, DAMAGED[what], tmp_path)
    assert main(["eval", CHIP, str(path), "--data", "digits", "--images", "5"]) == 2
    told = capsys.readouterr().err
    assert told.count("error[") == 1, told
    assert "Traceback" not in told


def test_how_inputs_are_normalised_goes_with_the_model(plain: Path, tmp_path: Path) -> None:
    model = tmp_path / "digits.pt"
    model.write_bytes(plain.read_bytes())
    stated = {"normalise": {"mean": [0.5], "deviation": [0.25]}}
    model.with_suffix(".json").write_text(json.dumps(stated))
    (tmp_path / "elsewhere").mkdir()
    Model.of(model).save(tmp_path / "elsewhere" / "digits.adapted")
    read = Model.of(tmp_path / "elsewhere" / "digits.adapted").trained(b"other weights")
    assert json.loads(read.attached["normalise.json"]) == stated["normalise"]
    network = cimarch.read_network(tmp_path / "elsewhere" / "digits.adapted")
    normalise = cimarch.read_data("digits", network).test.normalise
    assert normalise is not None
    assert (normalise.mean, normalise.deviation) == ((0.5,), (0.25,))


def test_a_file_with_changed_bytes_is_read_or_refused(file: Path, tmp_path: Path) -> None:
    chance = random.Random(6)
    whole = file.read_bytes()
    chip = cimarch.load(CHIP)
    for turn in range(60):
        content = bytearray(whole)
        for _ in range(chance.randint(1, 4)):
            content[chance.randrange(len(content))] = chance.randrange(256)
        if turn % 5 == 0:
            del content[chance.randrange(len(content)) :]
        path = tmp_path / "changed.adapted"
        path.write_bytes(content)
        try:
            cimarch.simulate(chip, cimarch.read_network(path))
        except DescriptionError as error:
            assert error.diagnostics  # noqa: PT017


@pytest.mark.parametrize("member", ["precision.json", "ranges.json", "quantised.safetensors"])
def test_a_member_with_changed_bytes_is_taken_or_refused(
    member: str, file: Path, tmp_path: Path
) -> None:
    chance = random.Random(member)
    with zipfile.ZipFile(file) as archive:
        held = archive.read(member)
    chip = cimarch.load(CHIP)
    for _ in range(12):
        content = bytearray(held)
        content[chance.randrange(len(content))] = chance.randrange(256)
        path = changed(file, {member: bytes(content)}, tmp_path)
        try:
            cimarch.evaluate(chip, cimarch.read_network(path), "digits", images=5, statistics=1)
        except DescriptionError as error:
            assert error.diagnostics  # noqa: PT017


def test_a_member_that_unpacks_to_a_thousand_times_its_size_is_refused(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "bomb.adapted"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("adapted.json", b'{"schema": "cimarch.adapted/1", "name": "x"}')
        archive.writestr("precision.json", b" " * 50_000_000)
    assert main(["sim", CHIP, str(path)]) == 2
    assert "would unpack" in capsys.readouterr().err


def test_a_model_that_was_changed_is_named_by_its_own_name(whole: Model) -> None:
    found = cimarch.evaluate(
        cimarch.load(CHIP), whole.network(), "digits", images=5, statistics=1
    )  # fmt: skip
    assert found.notes[0].endswith("are those that `digits` brings")
    assert found.digests["digits"] == whole.network().digest
