"""`cimarch optimize`: methods become commands, runs stop and go on, records are told."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import attrs
import pytest

import cimarch
from cimarch.cli import main
from cimarch.diagnostics import DescriptionError

pytest.importorskip("torch")
pytest.importorskip("sklearn")

import toy_method
from cimarch.cli.optimizing.flags import flags_of, made
from cimarch.cli.optimizing.stopping import Stop
from cimarch.optimize import METHODS
from cimarch.optimize.frame.model import Model
from cimarch.optimize.frame.record import Record


@pytest.fixture(autouse=True)
def _toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(METHODS, "toy", toy_method.METHOD)


def asked(out: Path, *more: str) -> list[str]:
    """The shortest run of the toy."""
    short = ["--judge", "50", "--images", "256", "--held-back", "64", "--epochs", "2"]
    return ["optimize", "toy", "bit_serial", "digits", "--data", "digits", "-o", str(out),
            *short, *more]  # fmt: skip


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one run wrote."""
    place = tmp_path_factory.mktemp("done")
    METHODS["toy"] = toy_method.METHOD
    try:
        code = main(asked(place / "x.adapted", "--csv", str(place / "tables")))
    finally:
        del METHODS["toy"]
    assert code == 0
    return place


# flags


def test_a_flag_is_made_for_each_option_the_method_s_own_first() -> None:
    names = [flag.name for flag in flags_of(toy_method.Toy)]
    own = ["epochs", "rate", "how", "bits", "mirror", "keep", "budget"]
    assert names == [*own, "seed", "images", "held_back", "judge", "device"]


def test_the_defaults_of_the_flags_are_those_of_the_options() -> None:
    import click

    command = click.Command("toy", params=list(flags_of(toy_method.Toy)))
    with command.make_context("toy", []) as context:
        assert made(toy_method.Toy, context.params) == toy_method.Toy()
    with command.make_context("toy", ["--bits", "8,6,4", "--no-keep", "--mirror"]) as context:
        found = made(toy_method.Toy, context.params)
    assert found == toy_method.Toy(bits=(8, 6, 4), keep=False, mirror=True)


@pytest.mark.parametrize(
    "flag", [["--epochs", "0"], ["--rate", "x"], ["--how", "some"], ["--bits", "8,x"]]
)
def test_a_value_that_an_option_may_not_have_is_refused(
    flag: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(tmp_path / "x", *flag)) == 2
    assert f"'{flag[0]}'" in capsys.readouterr().err


def test_no_method_has_a_flag_that_the_frame_has() -> None:
    frame = {"architecture", "model", "network", "data", "file", "output", "set", "set_",
             "normalise", "threads", "kept", "plot", "csv", "tables", "json", "json_"}  # fmt: skip
    for method in METHODS.values():
        _, options = method.load()
        assert not frame & {field.name for field in attrs.fields(options)}
        assert all(field.metadata["help"] for field in attrs.fields(options))


def test_a_method_is_the_function_even_when_its_module_was_imported_first() -> None:
    for name, method in METHODS.items():
        if name != "toy":
            function, options = method.load()
            assert getattr(cimarch.optimize, method.function) is function
            assert getattr(cimarch.optimize, method.options) is options


def test_help_lists_the_methods_with_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["optimize", "--help"]) == 0
    assert "train a little, for the tests" in capsys.readouterr().out
    assert main(["optimize", "toy", "--help"]) == 0
    assert "cimarch optimize toy edge_macro models/resnet20.pt" in capsys.readouterr().out


def test_a_method_that_is_none_is_told_with_the_nearest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["optimize", "toi"]) == 2
    assert "there is no method `toi`. did you mean `toy`?" in capsys.readouterr().err


# a run


def test_a_run_writes_a_model_with_its_record_and_keeps_nothing(done: Path) -> None:
    assert sorted(each.name for each in done.iterdir()) == ["tables", "x.adapted"]
    (record,) = Model.of(done / "x.adapted").records
    assert record.method == "toy"
    assert record.options["epochs"] == 2
    assert record.split["train"] == 256
    assert [epoch.epoch for epoch in record.epochs] == [1, 2]
    assert record.after.examples == 50


def test_the_tables_of_a_record_are_files(done: Path) -> None:
    tables = {each.name for each in (done / "tables").iterdir()}
    assert tables == {"figures.csv", "epochs.csv", "method.csv", "widths.csv"}
    text = (done / "tables" / "widths.csv").read_text()
    assert text == "layer,before,after\nconv1,16,12\nconv2,32,40\n"


def test_a_record_is_the_same_after_it_was_written(done: Path) -> None:
    (record,) = Model.of(done / "x.adapted").records
    again = Record.from_dict(json.loads(json.dumps(record.to_dict())))
    assert again.to_dict() == record.to_dict()
    assert again.after == record.after
    assert again.epochs == record.epochs


def test_methods_chain_and_all_that_was_done_is_listed(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, out = done / "x.adapted", tmp_path / "y.adapted"
    again = [str(first) if each == "digits" else each for each in asked(out)]
    again[again.index("--data") + 1] = "digits"
    assert main([*again, "--epochs", "1", "--seed", "7"]) == 0
    printed = capsys.readouterr().out
    assert "Done before (1)" in printed
    assert [record.options["seed"] for record in Model.of(out).records] == [0, 7]
    assert main(["optimize", "records", str(first), str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [len(records) for records in told.values()] == [1, 2]


def test_a_record_as_json_is_what_the_model_holds(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "x.adapted"
    assert main(asked(out, "--json")) == 0
    told = json.loads(capsys.readouterr().out)
    (record,) = Model.of(out).records
    assert told == json.loads(json.dumps(record.to_dict()))
    before = json.loads(Model.of(done / "x.adapted").attached["records.json"])[0]
    for each in (before, told):
        for epoch in each["epochs"]:
            epoch["seconds"] = 0
    assert told == before


# bad input, told before the run


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--data", "nowhere"], "nowhere"),
        (["--data", "cifar10:/nowhere"], "/nowhere"),
        (["-o", "/nowhere/x"], "there is no folder `/nowhere`"),
        (["--plot", "x.gif"], "not a name of a picture"),
        (["--device", "abacus"], "there is no device `abacus`"),
        (["--set", "nothing=3"], "nothing"),
        (["--judge", "100000"], "100000 images that judge"),
        (["--held-back", "5000"], "5000 of the 1297 training examples"),
        (["--rate", "nan"], "`rate` is nan"),
        (["--rate", "inf"], "inf"),
    ],
)
def test_what_cannot_be_done_is_told_before_the_run(
    flags: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(asked(tmp_path / "x.adapted", *flags)) == 2
    assert told in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_no_run_s_is_not_touched(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").write_text("x")
    assert main(asked(tmp_path / "x.adapted", "--kept", str(tmp_path / "mine"))) == 2
    assert "`thesis.tex` among them" in capsys.readouterr().err
    assert (tmp_path / "mine" / "thesis.tex").read_text() == "x"


def test_records_of_what_has_none_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["optimize", "records", "digits"]) == 2
    assert "is no adapted model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": [{"stage": "a", "epoch": "1", "loss": 1, "held_back": 1, "seconds": 1}]},
        {"before": {"cycles": "many"}},
        {"after": []},
        {"schema": "cimarch.record/9"},
        {"notes": [1]},
        {"details": 3},
        {"epochs": [{"stage": "a", "epoch": 1, "loss": "NaN", "held_back": 1, "seconds": 1}]},
    ],
)
def test_a_damaged_record_is_a_diagnostic(change: dict[str, Any], done: Path) -> None:
    given = json.loads(Model.of(done / "x.adapted").attached["records.json"])[0]
    with pytest.raises(DescriptionError):
        Record.from_dict({**given, **change})
    with pytest.raises(DescriptionError):
        Record.from_dict({name: each for name, each in given.items() if name != "split"})


# stopping and going on


def stop_in_training(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    """Stop as soon as a step of training is kept."""
    kept = Path(f"{out}.kept", "toy.pt")
    monkeypatch.setattr(Stop, "__call__", lambda self: kept.exists())


def test_a_run_that_is_stopped_goes_on_to_the_same_model(
    done: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.adapted"
    stop_in_training(monkeypatch, out)
    assert main(asked(out)) == 130
    told = capsys.readouterr().err
    assert f"interrupted: `{out}.kept` holds what is done" in told
    assert not out.exists()
    monkeypatch.undo()
    monkeypatch.setitem(METHODS, "toy", toy_method.METHOD)
    assert main(asked(out)) == 0
    assert Model.of(out).archive == Model.of(done / "x.adapted").archive
    assert not Path(f"{out}.kept").exists()


def test_a_run_with_other_options_does_not_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stop, "__call__", lambda self: True)
    assert main(asked(tmp_path / "x.adapted")) == 130
    assert main(asked(tmp_path / "x.adapted", "--seed", "3")) == 2
    assert "holds what another run has kept: `seed` differ" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["asked.json", "stand_before.json", "toy.pt"])
def test_a_kept_file_that_is_damaged_is_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "x.adapted"
    stop_in_training(monkeypatch, out)
    assert main(asked(out)) == 130
    Path(f"{out}.kept", name).write_bytes(b"{half")
    monkeypatch.setattr(Stop, "__call__", lambda self: False)
    assert main(asked(out)) == 2
    assert f"rm -r {out}.kept" in capsys.readouterr().err


def test_the_first_signal_asks_and_the_second_insists() -> None:
    from cimarch.cli.optimizing.stopping import stoppable

    def send() -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    with stoppable() as stop:
        send()
        assert stop()
        with pytest.raises(KeyboardInterrupt):
            send()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
