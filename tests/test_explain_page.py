"""docs/explain.md shows what the command prints; `CIMARCH_WRITE_EXPECTED=1` writes it anew."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest

from cimarch.cli import main

PAGE = Path(__file__).resolve().parent.parent / "docs" / "explain.md"
SHOWN = re.compile(r"^```text\n(\$ cimarch explain [^\n]*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_page_shows_what_the_command_prints(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = PAGE.read_text()
    (chip,) = re.findall(r"^```cimarch\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    (tmp_path / "chip.cimarch").write_text(chip)
    monkeypatch.chdir(tmp_path)

    def answer(found: re.Match[str]) -> str:
        arguments = shlex.split(found[1].removeprefix("$ cimarch "))
        assert main(arguments) == 0, capsys.readouterr().err
        return f"```text\n{found[1]}\n{capsys.readouterr().out}```"

    shown = SHOWN.sub(answer, text)
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        PAGE.write_text(shown)
    assert PAGE.read_text() == shown
