"""What the README shows works as it stands there."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import cimarch
from cimarch.cli import main
from cimarch.report.terminal import render

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
    return [text for name, text in found if name == language]


def test_the_chip_is_a_complete_description() -> None:
    (text,) = (block for block in blocks("") if "system" in block)
    system = cimarch.loads(text)
    assert system.part("adc").count == 16


def test_the_report_is_what_the_demo_prints() -> None:
    (shown,) = (block for block in blocks("text") if "Isaac" in block)
    system = cimarch.load(str(ROOT / "architectures" / "isaac.cimarch"))
    network = cimarch.read_network(ROOT / "models" / "resnet20.pt")
    page = render(cimarch.simulate(system, network), width=100)
    printed = iter([line.rstrip() for line in page.splitlines()])
    for line in shown.splitlines():
        assert line.strip() == "..." or line in printed, f"not printed, or not there: {line}"


def test_the_accuracy_of_the_shipped_network_is_what_its_training_recorded() -> None:
    recorded = json.loads((ROOT / "models" / "resnet20.json").read_text())["test_top1_percent"]
    assert f"{recorded} % of the test images" in README


def test_the_evaluation_is_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    """Rates apart, which are left out, and half a point for another processor's rounding."""
    pytest.importorskip("sklearn")
    pytest.importorskip("torch")
    (shown,) = (block for block in blocks("text") if "BitSerial" in block)
    wanted = [line.strip() for line in shown.splitlines() if line.strip()]
    command = ["eval", "bit_serial", "digits", "--data", "digits", "--set", "macro.adc.bits=5"]
    assert main(command) == 0
    printed = re.sub(r", [\d,.]+ images/s$", "", capsys.readouterr().out, flags=re.MULTILINE)
    lines = [line.strip() for line in printed.splitlines() if line.strip()][: len(wanted)]
    number = r"[-+]?\d+\.\d+"
    assert [re.split(number, line) for line in lines] == [re.split(number, x) for x in wanted]
    found, stated = (re.findall(number, "\n".join(each)) for each in (lines, wanted))
    assert [float(x) for x in found] == pytest.approx([float(x) for x in stated], abs=0.5)


def test_the_commands_of_the_start_are_commands(capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for block in blocks("") for line in block.splitlines()]
    commands = [line.split()[1] for line in lines if line.startswith("cimarch ")]
    assert commands == [
        "check", "show", "sim", "compare", "explain", "validate", "eval", "export", "eval",
        "optimize", "eval",
    ]  # fmt: skip
    for command in commands:
        assert main([command, "--help"]) == 0
    makefile = (ROOT / "Makefile").read_text()
    for target in (line.split()[1] for line in lines if line.startswith("make ")):
        assert f"\n{target}: " in makefile


def test_the_script_runs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pandas")
    monkeypatch.chdir(ROOT)
    (script,) = blocks("python")
    exec(script, {})
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:2]] == ["isaac", "edge_macro"]
