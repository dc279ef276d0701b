"""`cimarch eval` and `cimarch calibrate`: what they print, write, take over and refuse.

The network of the digits that comes with cimarch is right on 494 of the 500 digits that judge.
"""

from __future__ import annotations

import csv
import json
import os
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import cimarch
from cimarch.cli import main
from cimarch.workload import zoo

torch = pytest.importorskip("torch")
pytest.importorskip("sklearn")

DATA = os.environ.get("CIMARCH_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="CIMARCH_DATA names no folder of data")

CHIP = ["bit_serial", "digits", "--data", "digits"]
FEW = ["--images", "40", "--statistics", "5", "--calibrate", "20"]
"""Enough for stories that are not about accuracy."""


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """What a command prints as JSON."""
    assert main([*arguments, "--json"]) == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def without_times(found: dict[str, object]) -> dict[str, object]:
    """An evaluation without what depends on the machine, and without the names of files."""
    left_out = ("seconds", "examples_per_second", "manifest")
    return {key: value for key, value in found.items() if key not in left_out}


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command tells of a mistake."""
    assert main([*arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Traceback" not in printed.err
    return printed.err


# ------------------------------------------------------- what comes out


def test_a_chip_that_loses_nothing_answers_as_the_quantised_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """8-bit converters of ISAAC hold every sum of a flipped column."""
    assert main(["eval", "isaac", "digits", "--data", "digits"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["digits", "on", "Isaac,", "500", "images", "of", "digits"]
    assert lines[2][:3] == ["float", "98.80", "%"]
    assert ["agreement", "every", "answer", "as", "the", "quantised", "model"] in lines
    assert [line[1] for line in lines if line[:1] in (["conv1"], ["linear"])] == ["lossless"] * 2


def test_the_result_as_json_is_what_the_function_gives(capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, "eval", *CHIP, *FEW, "--set", "macro.adc.bits=6")
    assert (found["schema"], found["examples"]) == ("cimarch.evaluation/1", 40)
    system = cimarch.load("bit_serial", set={"macro.adc.bits": 6})
    network = cimarch.read_network("digits")
    same = cimarch.evaluate(
        system, network, "digits", images=40, statistics=5, calibrate=20
    ).to_dict()
    assert without_times(found) == without_times(json.loads(json.dumps(same)))


def test_a_file_holds_what_is_printed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = told(capsys, "eval", *CHIP, *FEW, "-o", str(tmp_path / "x.json"))
    assert json.loads((tmp_path / "x.json").read_text()) == found


def test_tables_are_written_as_csv(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    found = told(capsys, "eval", *CHIP, *FEW, "--trials", "2", "--csv", str(tmp_path / "tables"))
    models = list(csv.DictReader((tmp_path / "tables" / "models.csv").open()))
    assert [(row["model"], row["trial"]) for row in models] == [
        ("float", ""), ("quantised", ""), ("chip", "1"), ("chip", "2"),
    ]  # fmt: skip
    assert float(models[2]["top1"]) == found["chip"]["trials"][0]["top1"]  # type: ignore[index]
    layers = list(csv.DictReader((tmp_path / "tables" / "layers.csv").open()))
    assert [row["name"] for row in layers] == ["conv1", "conv2", "conv3", "linear"]
    assert [int(row["conversions"]) for row in layers] == [
        row["conversions"]
        for row in found["layers"]  # type: ignore[attr-defined]
    ]


@pytest.mark.parametrize(
    "chip",
    [
        ["macro.array.encoding=twos_complement", "macro.array.slice_merge=analog"],
        ["macro.array.encoding=differential", "macro.adc.bits=1", "macro.array.cell_bits=8"],
    ],
)
def test_sums_of_which_none_fits_a_byte_are_computed_too(
    chip: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = [word for text in chip for word in ("--set", text)]
    found = told(capsys, "eval", *CHIP, *FEW, *flags)
    system = cimarch.load("bit_serial", set=dict(text.split("=") for text in chip))
    plain = cimarch.evaluate(
        system, cimarch.read_network("digits"), "digits", images=40, statistics=5, calibrate=20,
        path="products",
    ).to_dict()  # fmt: skip
    assert found["chip"] == plain["chip"]


def test_the_digest_is_of_the_images_that_judged(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = told(capsys, "eval", *CHIP, *FEW)["manifest"]
    assert isinstance(manifest, dict)
    assert manifest["options"]["data"] == {
        "name": "digits",
        "source": "scikit-learn",
        "inputs": "the data set: x / 16",
    }
    assert manifest["digests"]["scikit-learn"] == cimarch.read_data("digits").judging(40).digest


# ------------------------------------------------------- ranges and models in files


def test_ranges_of_a_file_give_what_the_policy_gives(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Calibrated before, calibrated on the fly, and written on the way: the same chip."""
    ranges, written = str(tmp_path / "ranges.json"), str(tmp_path / "written.json")
    chip = [*CHIP, "--set", "macro.adc.bits=4"]
    policy = ["--range-policy", "mse", "--per", "slice"]
    assert main(["calibrate", *chip, *policy, "--images", "20", "-o", ranges]) == 0
    page = capsys.readouterr().out.splitlines()
    assert page[0] == "digits on BitSerial: mse per slice, 20 images of digits"
    assert [line.split()[0] for line in page[4:8]] == ["conv1", "conv2", "conv3", "linear"]
    at_once = told(capsys, "eval", *chip, *FEW, *policy, "--save-ranges", written)
    taken_over = told(capsys, "eval", *chip, *FEW, "--ranges", ranges)
    assert without_times(at_once) == without_times(taken_over)
    assert Path(ranges).read_text() == Path(written).read_text()


def test_calibrate_prints_what_it_writes(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    place = tmp_path / "ranges.json"
    found = told(capsys, "calibrate", *CHIP, "--images", "20", "-o", str(place))
    assert found == json.loads(place.read_text())
    assert (found["schema"], found["images"]) == ("cimarch.ranges/1", 20)


def test_a_quantised_model_is_taken_over(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Its scales are those of the 20 images that it was made with."""
    model = str(tmp_path / "whole.safetensors")
    assert main(["calibrate", *CHIP, "--images", "20", "--quantise", "per-channel",
                 "--save-quantised", model]) == 0  # fmt: skip
    capsys.readouterr()
    taken_over = told(capsys, "eval", *CHIP, "--images", "40", "--quantised", model)
    made = told(capsys, "eval", *CHIP, "--images", "40", "--calibrate", "20",
                "--quantise", "per-channel")  # fmt: skip
    assert without_times(taken_over) == without_times(made)


# ------------------------------------------------------- networks and data of other forms


def test_weights_of_a_named_network_are_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The trained digits as a state_dict give what they give as an archive."""
    network = cimarch.read_network("digits")
    state = {path: torch.tensor(weight.data) for path, weight in network.weights.items()}
    torch.save(state, tmp_path / "weights.pt")
    weights = ["bit_serial", str(tmp_path / "weights.pt"), "--model", "digits", "--data", "digits"]
    found, shipped = told(capsys, "eval", *weights, *FEW), told(capsys, "eval", *CHIP, *FEW)
    assert without_times(found) == without_times(shipped)


@needs_data
def test_a_public_checkpoint_is_as_good_as_published(capsys: pytest.CaptureFixture[str]) -> None:
    """91.73 % of the whole test set: on ISAAC, which loses nothing, within 2 of 100 of it."""
    weights = f"{DATA}/checkpoints/resnet20_akamaster.safetensors"
    network = ["isaac", weights, "--model", "resnet20", "--data", f"cifar10:{DATA}"]
    found = told(capsys, "eval", *network, "--images", "500", "--statistics", "1")
    assert found["float"]["top1"] == pytest.approx(0.9173, abs=0.02)  # type: ignore[index]
    assert found["quantised"]["top1"] == found["chip"]["top1"]  # type: ignore[index]
    assert {row["path"] for row in found["layers"]} == {"lossless"}  # type: ignore[attr-defined]


def test_a_function_of_ones_own_gives_the_data(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "judges.py").write_text(
        "import cimarch\n"
        "def digits():\n"
        "    data = cimarch.read_data('digits')\n"
        "    test, train = data.test, data.train\n"
        "    return test.inputs(), test.labels, train.inputs(), train.labels\n"
    )
    mine = ["bit_serial", "digits", "--data", "judges:digits"]
    found, shipped = told(capsys, "eval", *mine, *FEW), told(capsys, "eval", *CHIP, *FEW)
    assert (found["float"], found["chip"]) == (shipped["float"], shipped["chip"])


def test_the_file_beside_a_model_says_how_its_inputs_are_normalised(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Pictures on a grey ground, put right by a mean and a deviation of 1 / 2."""
    from cimarch import share

    data = cimarch.read_data("digits")
    assert data.train is not None
    scaled = {"images": data.test, "train_images": data.train}
    arrays = {
        name: (127.5 + each.inputs() * 127.5).astype(np.uint8) for name, each in scaled.items()
    }
    np.savez(
        tmp_path / "grey.npz", labels=data.test.labels, train_labels=data.train.labels, **arrays
    )
    model = tmp_path / "net.pt"
    model.write_bytes((share.folder("models") / "digits.pt").read_bytes())
    judged = ["eval", "bit_serial", str(model), "--data", f"npz:{tmp_path}/grey.npz", *FEW]
    grey = told(capsys, *judged)
    flag = told(capsys, *judged, "--normalise", "0.5/0.5")
    (tmp_path / "net.json").write_text('{"normalise": {"mean": [0.5], "deviation": [0.5]}}')
    stated = told(capsys, *judged)
    assert without_times(flag) == without_times(stated)
    assert grey["float"] != stated["float"]
    assert stated["float"]["top1"] == told(capsys, "eval", *CHIP, *FEW)["float"]["top1"]  # type: ignore[index]


def test_a_language_model_is_judged_by_its_perplexity(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Weights that are all 0 give each of 65 characters the same chance: log2 65 bits a token."""
    zoo.models()
    module = import_module("cimarch.models.char_gpt").char_gpt()
    state = {name: torch.zeros_like(value) for name, value in module.state_dict().items()}
    torch.save(state, tmp_path / "zeros.pt")
    (tmp_path / "val.txt").write_text("To be, or not to be: that is the question.")
    (tmp_path / "train.txt").write_text("Whether tis nobler in the mind to suffer")
    found = told(
        capsys, "eval", "language_chip", str(tmp_path / "zeros.pt"), "--model", "char-gpt",
        "--tokens", "16", "--data", f"tokens:{tmp_path}", "--tokenizer", "characters",
    )  # fmt: skip
    assert (found["kind"], found["examples"], found["judged"]) == ("tokens", 3, 41)
    for model in ("float", "quantised"):
        assert found[model]["bits"] == pytest.approx(np.log2(65))  # type: ignore[index]


# ------------------------------------------------------- mistakes


@pytest.mark.parametrize("command", ["eval", "calibrate"])
@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--images", "0"], "0 is not in the range 1<=x<=1000000000"),
        (["--batch", "0"], "0 is not in the range 1<=x<=1000000000"),
        (["--per", "image"], "'image' is not one of 'layer', 'slice', 'column'"),
        (["--range-policy", "guess"], "'guess' is not one of 'unit'"),
        (["--device", "tpu"], "there is no device `tpu`"),
        (["--threads", "10000"], "--threads is 10000, and there are"),
        (["--data", "mnist"], "there is no data set `mnist`"),
        (["--percentile", "3"], "the percentile is 3.0, outside 50..100"),
        (["--percentile", "nan"], "the percentile is nan, outside 50..100"),
        (["--weight-bits", "40"], "40"),
        (["--quantised", "no.such"], "no.such"),
        (["-o", "/no/such/folder/x.json"], "cannot be written"),
        (["-o", ""], "--output is given without a name"),
        (["--normalise", "1/0"], "`1/0` is not a mean and a deviation above 0"),
        (["--tokenizer", "bytes"], "`digits` holds no text: it takes no tokenizer"),
    ],
)
def test_a_mistake_is_told(
    command: str, flags: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, command, *CHIP, *flags)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (["--trials", "0"], "0 is not in the range 1<=x<=1000000000"),
        (["--seed", "-1"], "-1 is not in the range 0<=x"),
        (["--images", "501"], "501 images that judge are asked of `digits`: it has 500"),
        (["--calibrate", "0"], "the model was never quantised, and there is no calibration data"),
        (["--calibrate", "1298"], "1298 images that calibrate are asked of `digits`: it has 1297"),
        (["--ranges", "a", "--save-ranges", "b"], "--save-ranges chooses them"),
        (["--ranges", "no_such.json"], "no_such.json"),
        (["--csv", "/proc/tables"], "cannot be written"),
        (["--save-ranges", "/no/such/folder/x.json"], "cannot be written"),
    ],
)
def test_a_mistake_in_judging_is_told(
    flags: list[str], why: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert why in refused(capsys, "eval", *CHIP, *flags)


def test_data_without_a_model_and_a_model_without_data_are_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "Missing option '--data'" in refused(capsys, "eval", "bit_serial", "digits")
    assert "give a MODEL file" in refused(capsys, "eval", "bit_serial", "--data", "digits")


def test_a_network_without_weights_is_not_judged(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    np.savez(tmp_path / "x.npz", images=np.zeros((10, 784)), labels=np.arange(10))
    data = f"npz:{tmp_path}/x.npz"
    assert "has no weights" in refused(capsys, "eval", "bit_serial", "mlp", "--data", data)


def test_weights_that_are_no_numbers_are_told(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    network = cimarch.read_network("digits")
    state = {path: torch.tensor(weight.data) for path, weight in network.weights.items()}
    state["conv2.weight"][0, 0, 0, 0] = float("nan")
    torch.save(state, tmp_path / "weights.pt")
    weights = [str(tmp_path / "weights.pt"), "--model", "digits"]
    told_ = refused(capsys, "eval", "bit_serial", *weights, "--data", "digits")
    assert "`conv2`" in told_
    assert "NaN" in told_


def test_ranges_of_another_network_or_precision_are_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    ranges = str(tmp_path / "ranges.json")
    assert main(["calibrate", *CHIP, "--images", "5", "-o", ranges]) == 0
    capsys.readouterr()
    take = ["--ranges", ranges]
    assert "weight_bits 8, and it has 4" in refused(
        capsys, "eval", *CHIP, *take, "--weight-bits", "4"
    )
    assert "converter_bits 8, and it has 5" in refused(
        capsys, "eval", *CHIP, *take, "--set", "macro.adc.bits=5"
    )
    module = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))
    from cimarch.workload.trace import export

    (tmp_path / "other.pt").write_bytes(export(module.eval(), torch.zeros(1, 1, 8, 8)))
    other = ["bit_serial", str(tmp_path / "other.pt"), "--data", "digits", *take]
    assert "calibrated for another network" in refused(capsys, "eval", *other)
    Path(ranges).write_text("{")
    assert "error[E" in refused(capsys, "eval", *CHIP, *take)


def test_a_set_without_training_images_does_not_quantise(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """A CIFAR-10 test file alone: nothing calibrates, and the test images never do."""
    images = np.zeros((4, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "cifar10_test.npz", images=images, labels=np.arange(4))
    data = f"cifar10:{tmp_path}"
    found = refused(capsys, "eval", "bit_serial", "resnet20", "--data", data)
    assert "never quantised, and there is no calibration data" in found


def test_without_torch_the_extra_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    for command in ("eval", "calibrate"):
        found = refused(capsys, command, *CHIP)
        assert "takes torch" in found
        assert "pip install 'cimarch[torch]'" in found


def test_assumptions_are_refused_under_strict(capsys: pytest.CaptureFixture[str]) -> None:
    found = refused(capsys, "eval", *CHIP, *FEW, "--strict")
    assert "assumed under --strict: `rate` of `io` is 1 GHz" in found
