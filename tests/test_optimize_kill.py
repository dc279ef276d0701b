"""An optimisation that is killed again and again ends as one that was let run."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest

pytest.importorskip("torch")
pytest.importorskip("sklearn")

from cimarch.optimize.frame.model import Model

HERE = Path(__file__).parent

SHORT = ["digits", "--data", "digits", "--judge", "50", "--images", "256", "--held-back", "64"]
PHASES = ["--epochs-scales", "2", "--epochs-converters", "2", "--rate", "0.002"]
RUNS = {
    "toy": ["optimize", "toy", "bit_serial", *SHORT, "--epochs", "2"],
    "qat": ["optimize", "qat", "edge_macro:EdgeMacroDigital", *SHORT, *PHASES],
}
OUT = "out.adapted"


@attrs.define(eq=False)
class Victim:
    """A process that forks a run for each case, and kills it when its time has come."""

    process: subprocess.Popen[str]
    folder: Path
    name: str
    whole: Model

    def run(self, **when: Any) -> Mapping[str, Any]:
        """One run, which goes on from what there is; how it ended."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        case = {"arguments": [*RUNS[self.name], "-o", OUT], "folder": str(self.folder), **when}
        self.process.stdin.write(json.dumps({**case, "toy": self.name == "toy"}) + "\n")
        self.process.stdin.flush()
        answer: dict[str, Any] = json.loads(self.process.stdout.readline())
        assert answer["status"] in (0, -signal.SIGKILL)
        return answer

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()

    @property
    def found(self) -> Model:
        """What the runs came to; nothing that they kept is left."""
        assert [each.name for each in self.folder.iterdir() if each.name[0] != "."] == [OUT]
        return Model.of(self.folder / OUT)


@pytest.fixture(scope="module", params=RUNS)
def victim(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Victim]:
    name = request.param
    place, whole = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("whole")
    warm = {"arguments": [*RUNS[name], "-o", OUT], "folder": str(whole), "toy": name == "toy"}
    process = subprocess.Popen(
        [sys.executable, str(HERE / "killed.py"), json.dumps(warm)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"},
    )
    made = Victim(process, place, name, None)  # type: ignore[arg-type]
    made.run(line=0)
    made.whole = Model.of(whole / OUT)
    try:
        yield made
    finally:
        process.kill()
        process.communicate()


def without_seconds(model: Model) -> list[dict[str, Any]]:
    """The records of a model, but for how long it took."""
    told: list[dict[str, Any]] = [record.to_dict() for record in model.records]
    for record in told:
        record["epochs"] = [{**epoch, "seconds": 0.0} for epoch in record["epochs"]]
        record["details"] = {n: v for n, v in record["details"].items() if "seconds" not in n}
    return told


def is_as_if_let_run(victim: Victim) -> None:
    """Assert that the model and its record are those of the run that nobody killed."""
    found, whole = victim.found, victim.whole
    assert found.archive == whole.archive
    same = [name for name in whole.attached if name != "records.json"]
    assert {n: found.attached[n] for n in same} == {n: whole.attached[n] for n in same}
    assert set(found.attached) == set(whole.attached)
    assert without_seconds(found) == without_seconds(whole)


def test_a_run_killed_at_random_moments_ends_as_one_that_was_let_run(victim: Victim) -> None:
    victim.clear()
    chance = random.Random(victim.name)
    seconds = victim.run(line=0)["seconds"]
    killed = 0
    while killed < 2:  # a machine that became faster since may be done before
        victim.clear()
        killed, seconds = kills(victim, chance, seconds), seconds / 2
    is_as_if_let_run(victim)


def kills(victim: Victim, chance: random.Random, seconds: float) -> int:
    """Kill a run up to 12 times, each after some share of so many seconds, then let it run."""
    for killed in range(12):
        if not victim.run(seconds=chance.uniform(0.05, 0.6) * seconds)["status"]:
            return killed
    assert victim.run(line=0)["status"] == 0
    return 12


def test_a_run_killed_while_it_keeps_what_is_done_ends_as_one_that_was_let_run(
    victim: Victim,
) -> None:
    victim.clear()
    lines = victim.run(line=0)["lines"]
    victim.clear()
    chance = random.Random(victim.name)
    for line in sorted(chance.sample(range(1, lines // 2), 4)):
        assert victim.run(line=line)["status"] == -signal.SIGKILL
    assert victim.run(line=0)["status"] == 0
    is_as_if_let_run(victim)
