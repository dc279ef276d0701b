"""The benchmarks run, and the page that records them names commands that are there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from every_chip import PAIRS

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


def test_a_whole_network_is_timed_beside_other_tools() -> None:
    lines = output("benchmarks/networks.py", "1", "resnet20")
    (row,) = (line.split() for line in lines if line.startswith("isaac resnet20"))
    assert row[4:6] == ["131,027", "1,640,051"]  # tasks and cycles
    assert {"NeuroSim", "MNSIM", "PIMCOMP-NN", "AccelForge"} <= {
        line.split()[0] for line in lines if line
    }


def test_what_adapting_takes_is_timed_part_by_part() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("sklearn")
    short = ["--model", "digits", "--images", "32", "--batch", "32", "--repeats", "1"]
    lines = output("benchmarks/optimize.py", "--data", "digits", *short, "price", "scores")
    told = [line for line in lines if line.startswith(("price of", "exact-label", "50 Hutch"))]
    assert len(told) == 12
    assert all(float(line[44:54]) > 0 for line in told)


def test_the_cost_of_a_run_is_fitted_by_its_tasks() -> None:
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from curve import exponent
    finally:
        sys.path.pop(0)
    assert exponent([1e3, 1e4, 1e5], [2.0, 20.0, 200.0]) == pytest.approx(1)
    assert exponent([1e3, 1e4, 1e5], [5.0, 5.0, 5.0]) == pytest.approx(0)
    assert exponent([1.0, 4.0], [1.0, 2.0]) == pytest.approx(0.5)
    lines = output("benchmarks/curve.py", "32")
    rows = [line.split()[:3] for line in lines if line.startswith(("isaac ", "language_chip "))]
    assert rows == [
        ["isaac", "10x10", "131,910"],
        ["isaac", "32x32", "978,598"],
        ["language_chip", "32x32", "174,546"],
    ]


def test_the_page_prints_the_named_list_of_chips_and_networks() -> None:
    begin = PAGE.index("$ python benchmarks/every_chip.py")
    printed = PAGE[begin : PAGE.index("```", begin)].splitlines()
    for pair in PAIRS:
        (first, *_) = [line for line in printed if line.startswith(f"{pair.chip:17}{pair.network}")]
        # "layers 10 ...", or "refused: E232"
        assert first[17 + 28 :].split()[1] == str(pair.comes_to)
