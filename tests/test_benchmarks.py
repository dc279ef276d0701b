"""The benchmarks run, and the page that records them names commands that are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "benchmarks.md").read_text()


def output(*arguments: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_stages_of_a_run_are_told_and_sum_up_to_all_of_it() -> None:
    pytest.importorskip("torch")  # the page tells its version
    lines = output("benchmarks/stages.py", "1", "edge_macro")
    (case,) = (n for n, line in enumerate(lines) if line.startswith("edge_macro"))
    total = float(lines[case].split(": ")[1].split(" s;")[0])
    stages, shares = lines[case + 2].split(), lines[case + 3].split()
    assert len(stages) == len(shares) == len(lines[case + 1].split())
    assert sum(float(stage.rstrip("s")) for stage in stages) == pytest.approx(total, abs=0.06)
    assert sum(int(share.rstrip("%")) for share in shares) == pytest.approx(100, abs=5)


def test_the_engines_are_timed_on_the_named_table() -> None:
    lines = output("benchmarks/engine.py", "--tasks", "1000")
    assert lines[2].startswith("1,000 tasks, ")
    assert {"fast", "simpy", "laying"} <= {line.split()[0] for line in lines if line}


def test_pieces_are_timed_as_they_are_and_reduced() -> None:
    lines = output("benchmarks/pieces.py", "100")
    rows = [line.split() for line in lines if line.startswith(("repeated", "pipeline", "macros"))]
    tasks = ["100,000", "100,000", "800,000", "104,857,700"]
    assert [row[2] for row in rows] == tasks
    assert [row[3] for row in rows] == ["no", "yes", "yes", "yes"]


def test_every_recorded_command_is_a_script() -> None:
    commands = [line[2:] for line in PAGE.splitlines() if line.startswith("$ ")]
    assert len(commands) >= 4
    for command in commands:
        python, script, *_ = command.split()
        assert python == "python"
        assert (ROOT / script).is_file()
