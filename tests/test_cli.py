"""The command line: exit codes, mistakes without a traceback, files whole or not at all."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import attrs
import click
import pytest

import cimarch
from cimarch.cli import LazyGroup, cli, main
from cimarch.cli.options import overrides, shape
from cimarch.cli.output import check_folder, check_writable, write_whole
from cimarch.cli.progress import Progress
from cimarch.diagnostics import DescriptionError, Diagnostic
from reports import small

ROOT = Path(__file__).resolve().parent.parent


@attrs.define
class Spy:
    """Stands for the simulator: notes the options it is called with."""

    options: dict[str, object] = attrs.field(factory=dict)
    assumed: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def simulate(self, system: object, network: object, **options: object) -> object:
        self.options = options
        return small()


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    """The command with a simulator that answers at once."""
    stand_in = Spy()
    monkeypatch.setattr(cimarch, "load", lambda name, set: stand_in, raising=False)
    monkeypatch.setattr(cimarch, "read_network", lambda path, **options: options, raising=False)
    monkeypatch.setattr(cimarch, "simulate", stand_in.simulate, raising=False)
    return stand_in


def test_version_and_help_end_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"cimarch {cimarch.__version__}\n"
    assert main(["sim", "--help"]) == 0
    assert "cimarch sim isaac models/resnet20.pt" in capsys.readouterr().out


def test_a_wrong_flag_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "isaac", "net.pt", "--fast"]) == 2
    assert "No such option" in capsys.readouterr().err
    assert main(["simulate"]) == 2
    assert main([]) == 2
    assert main(["sim", "isaac"]) == 2
    assert "--model NAME" in capsys.readouterr().err


def test_json_is_the_report_and_nothing_else(spy: Spy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "chip", "net.pt", "--json"]) == 0
    done = capsys.readouterr()
    assert json.loads(done.out) == small().to_dict()
    assert done.err == ""


def test_flags_reach_the_simulator(spy: Spy) -> None:
    flags = "--weight-bits 4 --input-bits 6 --batch 3 --weights cold --engine simpy"
    assert main(["sim", "chip", "net.pt", *flags.split(), "--precision", "p.json"]) == 0
    assert {key: spy.options[key] for key in ("weight_bits", "input_bits", "batch")} == {
        "weight_bits": 4,
        "input_bits": 6,
        "batch": 3,
    }
    assert (spy.options["weights"], spy.options["engine"]) == ("cold", "simpy")
    assert spy.options["precision"] == "p.json"


@pytest.mark.parametrize(
    "flags",
    [("--weight-bits", "0"), ("--input-bits", "-3"), ("--batch", "0"), ("--engine", "warp")],
)
def test_a_flag_outside_its_range_is_refused(spy: Spy, flags: tuple[str, str]) -> None:
    assert main(["sim", "chip", "net.pt", *flags]) == 2
    assert spy.options == {}


def test_files_are_written_whole(spy: Spy, tmp_path: Path) -> None:
    file, folder = tmp_path / "report.json", tmp_path / "new" / "tables"
    assert main(["sim", "chip", "net.pt", "-o", str(file), "--csv", str(folder)]) == 0
    assert json.loads(file.read_text()) == small().to_dict()
    assert {path.name for path in folder.iterdir()} == {
        "summary.csv",
        "layers.csv",
        "parts.csv",
        "energy.csv",
        "ledger.csv",
    }
    assert {path.name for path in tmp_path.iterdir()} == {"report.json", "new"}


def test_a_place_that_cannot_be_written_is_found_before_the_run(
    spy: Spy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine")
    for flags in (
        ["-o", str(tmp_path)],
        ["-o", str(tmp_path / "none" / "report.json")],
        ["-o", ""],
        ["--csv", str(tmp_path / "file")],
        ["--csv", str(tmp_path / "file" / "below")],
    ):
        assert main(["sim", "chip", "net.pt", *flags]) == 2
        assert "error[E900]" in capsys.readouterr().err
    assert spy.options == {}
    assert (tmp_path / "file").read_text() == "mine"


def test_strict_refuses_what_is_assumed(spy: Spy, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sim", "chip", "net.pt", "--strict"]) == 2
    done = capsys.readouterr()
    assert "assumed under --strict: inputs are in their home at cycle 0" in done.err
    assert done.out == ""


def test_strict_does_not_run_what_it_will_refuse(spy: Spy) -> None:
    spy.assumed = ("`noc` is free",)
    assert main(["sim", "chip", "net.pt", "--strict"]) == 2
    assert spy.options == {}


def test_a_mistake_is_told_to_programs_as_json(
    spy: Spy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise DescriptionError(Diagnostic("E020", "`adc` has no parameter `bit`", helps=("h",)))

    monkeypatch.setattr(cimarch, "load", fail)
    assert main(["sim", "chip", "net.pt", "--json"]) == 2
    done = capsys.readouterr()
    assert done.err.startswith("error[E020]: `adc` has no parameter `bit`")
    (error,) = json.loads(done.out)["errors"]
    assert (error["code"], error["helps"]) == ("E020", ["h"])


def test_a_bug_is_not_hidden(spy: Spy, monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cimarch, "simulate", crash)
    with pytest.raises(ZeroDivisionError):
        main(["sim", "chip", "net.pt"])


def test_control_c_ends_with_one_line(
    spy: Spy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cimarch, "simulate", interrupt)
    assert main(["sim", "chip", "net.pt"]) == 130
    assert capsys.readouterr().err.strip() == "interrupted"


def test_a_real_interrupt_ends_with_130(tmp_path: Path) -> None:
    script = tmp_path / "wait.py"
    script.write_text(
        "import sys, time, cimarch\n"
        "from cimarch.cli import main\n"
        "cimarch.load = lambda *a, **k: (print('on', flush=True), time.sleep(60))\n"
        "sys.exit(main(['sim', 'chip', 'net.pt']))\n"
    )
    pipe = subprocess.PIPE
    run = subprocess.Popen([sys.executable, str(script)], stdout=pipe, stderr=pipe, text=True)
    assert run.stdout is not None
    assert run.stdout.readline() == "on\n"
    run.send_signal(signal.SIGINT)
    _, error = run.communicate(timeout=20)
    assert run.returncode == 130
    assert error.strip() == "interrupted"


def test_a_reader_that_leaves_early_is_no_error() -> None:
    pipe = subprocess.PIPE
    run = subprocess.Popen(
        [sys.executable, "-m", "cimarch", "--help"], stdout=pipe, stderr=pipe, text=True, cwd=ROOT
    )
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    error = run.stderr.read()
    assert (run.wait(20), error) == (141, "")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_of_few_signs_gets_the_report_all_the_same(encoding: str) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "cimarch", "sim", "isaac", "models/resnet20.pt"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        cwd=ROOT,
    )
    assert (run.returncode, run.stderr) == (0, b"")
    assert b"crossbars    87" in run.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_is_told_in_one_line() -> None:
    with open("/dev/full", "w") as full:
        run = subprocess.run(
            [sys.executable, "-m", "cimarch", "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
    assert run.returncode == 2
    assert run.stderr == "error: the output cannot be written: no space left on device\n"


def test_every_command_is_a_command() -> None:
    assert isinstance(cli, LazyGroup)
    context = click.Context(cli)
    for name in cli.list_commands(context):
        assert cli.get_command(context, name) is not None


def test_overrides_are_paths_with_values() -> None:
    assert overrides(["a.b=1 ns", " c = x = y "]) == {"a.b": "1 ns", "c": "x = y"}


@pytest.mark.parametrize("texts", [["a.b"], ["=3"], ["a="], ["a=1", "a=2"], [""]])
def test_an_override_without_a_path_or_value_is_refused(texts: list[str]) -> None:
    with pytest.raises(DescriptionError, match="--set"):
        overrides(texts)


def test_a_shape_is_a_list_of_sizes() -> None:
    assert shape("1x3x32x32") == (1, 3, 32, 32)
    assert shape(None) is None


@pytest.mark.parametrize("text", ["", "3x", "1x0x3", "1x-3", "1,3", "axb", "²x3", "9" * 5000])
def test_what_is_no_shape_is_refused(text: str) -> None:
    with pytest.raises(DescriptionError, match="not a list of sizes"):
        shape(text)


def test_a_file_is_replaced_only_by_a_whole_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_whole(path, "one")
    with pytest.raises(UnicodeEncodeError):
        write_whole(path, "\udc00")
    assert path.read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    for check in (check_writable, check_folder):
        with pytest.raises(DescriptionError, match="read-only"):
            check(tmp_path / "file")


def test_no_bar_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(patience=0) as progress:
        progress("run", 0.5)
    assert capsys.readouterr().err == ""


def test_a_bar_on_a_terminal_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with Progress(patience=3600) as early:
        early("run", 0.5)
        assert not early.is_shown
    with Progress(patience=0) as late:
        time.sleep(0.001)
        late("run", 0.5)
        assert late.is_shown
