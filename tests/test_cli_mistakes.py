"""Every mistake a user can make at the shell: exit code 2, one screen, no traceback, no file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from cimarch.cli import main

MODEL = str(Path(__file__).resolve().parent.parent / "models" / "resnet20.pt")
SCREEN = 40
"""Lines that a diagnostic may take."""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with wrong files, that the commands run in."""
    (tmp_path / "empty.cimarch").write_text("")
    (tmp_path / "empty.pt").write_bytes(b"")
    (tmp_path / "noise.cimarch").write_bytes(bytes(range(256)))
    (tmp_path / "noise.pt").write_bytes(bytes(range(256)))
    (tmp_path / "folder").mkdir()
    (tmp_path / "no_crossbar.cimarch").write_text(
        "from std import buffer\nsystem S { clock = 1 GHz\n part b: buffer { size = 1 KiB } }\n"
    )
    (tmp_path / "no_way.cimarch").write_text(
        "from std import crossbar, dac, buffer\nsystem S {\n clock = 1 GHz\n"
        " part maps: buffer { size = 64 KiB }\n part d: dac\n"
        " part x[256]: crossbar { action read { latency = 1 ns } }\n"
        " connect maps -> d -> x[*]\n}\n"
    )
    (tmp_path / "table.csv").write_text("kind,outputs,inputs\nlinear,10,0\n")
    (tmp_path / "precision.json").write_text('{"no_such_layer": {"weight_bits": 4}}')
    (tmp_path / "not.json").write_text("{")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("readme.txt", "hello")
    if Path(MODEL).exists():
        (tmp_path / "truncated.pt").write_bytes(Path(MODEL).read_bytes()[:5000])
        _with_another_operator(Path(MODEL), tmp_path / "unknown.pt")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _with_another_operator(source: Path, target: Path) -> None:
    """A copy of an archive in which an operator has a name that nobody knows."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b"aten.relu.default", b"aten.relv.default"))


MISTAKES = {
    "no such architecture": ["isac", MODEL],
    "an empty description": ["empty.cimarch", MODEL],
    "a description that is a folder": ["folder", MODEL],
    "a description that is a network": [MODEL, MODEL],
    "a description that is noise": ["noise.cimarch", MODEL],
    "a description of no crossbar": ["no_crossbar.cimarch", MODEL],
    "no such network": ["isaac", "nowhere.pt"],
    "an empty network": ["isaac", "empty.pt"],
    "a network that is a folder": ["isaac", "folder"],
    "a network that is a description": ["isaac", "empty.cimarch"],
    "a network that is noise": ["isaac", "noise.pt"],
    "a truncated network": ["isaac", "truncated.pt"],
    "an archive of something else": ["isaac", "other.zip"],
    "an operator that is not known": ["isaac", "unknown.pt"],
    "a layer table with a row of nothing": ["isaac", "table.csv"],
    "a layer table with a name of a network": ["isaac", "table.csv", "--model", "resnet20"],
    "no such model name": ["isaac", "--model", "resnet21"],
    "a path that is not in the system": ["isaac", MODEL, "--set", "tile.ima.adcs.bits=6"],
    "a parameter that the part has not": ["isaac", MODEL, "--set", "tile.ima.adc.bit=6"],
    "a converter of 0 bits": ["isaac", MODEL, "--set", "tile.ima.adc.bits=0"],
    "a value of another dimension": ["isaac", MODEL, "--set", "tile.ima.adc.rate=3 ns"],
    "a value that is no value": ["isaac", MODEL, "--set", "tile.ima.adc.bits=6 +"],
    "a value that is missing": ["isaac", MODEL, "--set", "tile.ima.adc.bits"],
    "a rate of zero": ["isaac", MODEL, "--set", "tile.ima.adc.rate=0 GHz"],
    "a negative size": ["isaac", MODEL, "--set", "tile.edram.size=-1 KiB"],
    "a time of zero": ["isaac", MODEL, "--set", "tile.ima.xbar.read.latency=0 ns"],
    "a negative time": ["isaac", MODEL, "--set", "tile.ima.xbar.read.latency=-1 ns"],
    "a clock that stands": ["isaac", MODEL, "--set", "clock=0 GHz"],
    "an array of no rows": ["isaac", MODEL, "--set", "tile.ima.xbar.rows=0"],
    "a link of no width": ["isaac", MODEL, "--set", "tile.bus.width=0 bit"],
    "a chip without a way from its arrays to its buffer": ["no_way.cimarch", MODEL],
    "a buffer too small for a row": ["edge_macro", MODEL, "--set", "maps.size=64 B"],
    "an input that is no shape": ["isaac", MODEL, "--input", "3-32-32"],
    "a precision file that is missing": ["isaac", MODEL, "--precision", "none.json"],
    "a precision file that is no JSON": ["isaac", MODEL, "--precision", "not.json"],
    "a precision file of another network": ["isaac", MODEL, "--precision", "precision.json"],
    "a precision file that is a folder": ["isaac", MODEL, "--precision", "folder"],
    "no network at all": ["isaac"],
    "a batch of nothing": ["isaac", MODEL, "--batch", "0"],
    "what must be assumed under --strict": ["isaac", MODEL, "--strict"],
    "an output that is a folder": ["isaac", MODEL, "-o", "folder"],
}


@pytest.mark.parametrize("arguments", MISTAKES.values(), ids=MISTAKES.keys())
def test_a_mistake_is_told_and_leaves_nothing(
    arguments: list[str], place: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = sorted(place.rglob("*"))
    output = [] if "-o" in arguments else ["-o", "report.json", "--csv", "tables"]
    assert main(["sim", *arguments, *output]) == 2
    done = capfd.readouterr()
    assert done.out == ""
    assert 0 < len(done.err.splitlines()) <= SCREEN
    assert "Traceback" not in done.err
    assert sorted(place.rglob("*")) == before


def test_a_buffer_too_small_is_told_with_the_operation_its_rows_and_bytes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["sim", "edge_macro", MODEL, "--set", "maps.size=64 B"]) == 2
    told = capsys.readouterr().err
    assert "`conv1` needs 3 rows of its input at once, 288 bytes" in told  # 3 x 32 x 3 channels
