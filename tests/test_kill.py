"""A command that is killed at any moment leaves each of its files as it was, or whole."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import pytest

import cimarch

HERE = Path(__file__).parent

TABLE = "name,kind,outputs,inputs,invocations\none,linear,40,60,5\ntwo,linear,9,40,5\n"
CHIP = """
from std import crossbar, dac, adc
system   Chip{clock=1 GHz
    part dac[64] : dac{bits=1}      # a comment
    part array[4]:crossbar{rows=64,columns=64,cell_bits=8,encoding=signed_cell}
    part adc[4]: adc
    connect dac[*]->array[*]->adc[*]
}
"""
MODULE = """
import torch


def net():
    return torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.ReLU(), torch.nn.Linear(5, 4))
"""
INPUTS = {"table.csv": TABLE, "chip.cimarch": CHIP, "net_to_export.py": MODULE}

BEFORE = b"what was there before\n"

SIM = [
    "sim", "chip.cimarch", "table.csv", "--timeline", "run.json", "--vcd", "run.vcd",
    "-o", "report.json", "--csv", "tables",
]  # fmt: skip
MAP = ["map", "chip.cimarch", "table.csv", "-o", "placement.json", "--svg", "map.svg"]
FMT = ["fmt", "chip.cimarch"]
EXPORT = ["export", "net_to_export:net", "--input", "1x6", "-o", "net.pt"]
COMMANDS = {"sim": SIM, "map": MAP, "fmt": FMT, "export": EXPORT}
QUICK = ("sim", "map", "fmt")
"""Commands that need no torch."""


@attrs.define(eq=False)
class Victim:
    """A process that is killed at its work, and what it writes when it is not."""

    process: subprocess.Popen[str]
    folder: Path
    whole: Mapping[str, Mapping[str, bytes]]
    """Per command, its files."""

    def kill(self, name: str, *, there: bool, **when: Any) -> dict[str, Any]:
        """Kill a command, and look at its files; `there`: something is in their places before."""
        place = self.folder / "work"
        shutil.rmtree(place, ignore_errors=True)
        fill(place)
        whole = self.whole[name]
        before = dict.fromkeys(whole, BEFORE if there else None)
        if name == "fmt":
            before = {"chip.cimarch": CHIP.encode()}
        for file, content in before.items():
            if content is not None:
                (place / file).parent.mkdir(exist_ok=True)
                (place / file).write_bytes(content)
        answer = self.ask({"arguments": COMMANDS[name], "folder": str(place), **when})
        assert answer["status"] in (0, -signal.SIGKILL)
        found = files(place)
        if name != "fmt":
            del found["chip.cimarch"]
        for file, content in before.items():
            after = found.pop(file, None)
            if not (after == content or is_whole(place / file, after, whole[file])):
                pytest.fail(f"`{file}` is half-written: {name} killed at {when}: {after!r:.200}")
        # What is left beside them is hidden, and named after them.
        hidden = {f".{Path(file).name}." for file in whole}
        strange = [f for f in found if not any(Path(f).name.startswith(h) for h in hidden)]
        assert not strange
        return answer

    def ask(self, case: Mapping[str, Any]) -> dict[str, Any]:
        """Run a case; what `killed.py` says of it."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(case) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        return answer


def fill(place: Path) -> None:
    """A folder with what the commands read."""
    place.mkdir()
    for file, text in INPUTS.items():
        (place / file).write_text(text)


def files(place: Path) -> dict[str, bytes]:
    """All files below a folder but those that the commands read and do not write."""
    found = {str(p.relative_to(place)): p.read_bytes() for p in place.rglob("*") if p.is_file()}
    kept = ("table.csv", "net_to_export.py")
    return {f: b for f, b in found.items() if f not in kept and "__pycache__" not in f}


def is_whole(path: Path, content: bytes | None, expected: bytes) -> bool:
    """Whether a file is what the command writes; an archive: whether it can be read."""
    if content is None or path.suffix != ".pt":
        return content == expected
    return len(cimarch.read_network(str(path)).operations) == 3


def victim(folder: Path, commands: Sequence[str]) -> Iterator[Victim]:
    """A process that has run each of some commands once, in a folder of its own."""
    warm = []
    for name in commands:
        fill(folder / name)
        warm.append(json.dumps({"arguments": COMMANDS[name], "folder": str(folder / name)}))
    process = subprocess.Popen(
        [sys.executable, str(HERE / "killed.py"), *warm],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )
    made = Victim(process, folder, {})
    for name in commands:
        shutil.rmtree(folder / "work", ignore_errors=True)
        fill(folder / "work")
        case = {"arguments": COMMANDS[name], "folder": str(folder / "work")}
        assert made.ask(case)["status"] == 0
    made.whole = {name: written(name, folder / name) for name in commands}
    try:
        yield made
    finally:
        process.kill()
        process.communicate()


def written(name: str, place: Path) -> dict[str, bytes]:
    """What a command wrote."""
    found = files(place)
    if name != "fmt":
        del found["chip.cimarch"]
    return found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    yield from victim(tmp_path_factory.mktemp("killed"), QUICK)


@pytest.fixture(scope="module")
def exporter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    pytest.importorskip("torch")
    yield from victim(tmp_path_factory.mktemp("exported"), ["export"])


def at_random(victim: Victim, name: str, kills: int) -> None:
    """Kill a command at random moments, in every second run with files in the places."""
    chance = random.Random(name)
    done = [victim.kill(name, there=False, line=0)["seconds"] for _ in range(3)]
    ended = 0
    for turn in range(kills):
        seconds = chance.random() * 1.2 * min(done)
        ended += victim.kill(name, there=bool(turn % 2), seconds=seconds)["status"] == 0
    assert ended < kills, "no command was killed at its work"


def at_every_line(victim: Victim, name: str, most: int, *, careless: bool = False) -> None:
    """Kill a command at each line of those that write, or at so many of them."""
    count = victim.kill(name, there=False, line=0)["lines"]
    chosen = range(1, count + 1)
    if count > most:
        chosen = sorted(random.Random(name).sample(chosen, most))
    for line in chosen:
        answer = victim.kill(name, there=bool(line % 2), line=line, careless=careless)
        assert answer["status"] == -signal.SIGKILL


def test_the_commands_write_what_is_looked_for(quick: Victim) -> None:
    names = ("layers", "parts", "ledger", "energy", "summary")
    tables = {f"tables/{name}.csv" for name in names}
    assert set(quick.whole["sim"]) >= {"run.json", "run.vcd", "report.json"}
    assert {f for f in quick.whole["sim"] if f.startswith("tables/")} <= tables
    assert set(quick.whole["map"]) == {"placement.json", "map.svg"}
    assert quick.whole["fmt"]["chip.cimarch"] != CHIP.encode()


@pytest.mark.parametrize("name", QUICK)
def test_a_command_killed_at_random_leaves_no_half_written_file(quick: Victim, name: str) -> None:
    at_random(quick, name, 8)


@pytest.mark.parametrize("name", QUICK)
def test_a_command_killed_while_it_writes_leaves_no_half_written_file(
    quick: Victim, name: str
) -> None:
    at_every_line(quick, name, 16)


@pytest.mark.long
@pytest.mark.parametrize("name", QUICK)
def test_commands_killed_many_times_leave_no_half_written_file(quick: Victim, name: str) -> None:
    at_random(quick, name, 300)
    at_every_line(quick, name, 400)


@pytest.mark.long
def test_an_export_killed_many_times_leaves_no_half_written_file(exporter: Victim) -> None:
    at_random(exporter, "export", 60)
    at_every_line(exporter, "export", 60)


def test_a_file_written_in_its_place_would_be_found(quick: Victim) -> None:
    with pytest.raises(pytest.fail.Exception, match=r"`chip\.cimarch` is half-written"):
        at_every_line(quick, "fmt", 100, careless=True)
