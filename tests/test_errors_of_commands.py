"""What a command tells of a mistake, word by word: `errors/commands/x.expect` holds both.

Its first line is the command, the rest what it prints. `CIMARCH_WRITE_EXPECTED=1` writes the
answers anew.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import pytest

from cimarch.cli import main

FOLDER = Path(__file__).parent / "errors" / "commands"
FILES = sorted(FOLDER.glob("*.expect"))


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_command_tells_of_a_mistake_word_by_word(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(FOLDER)
    command = file.read_text(encoding="utf-8").partition("\n")[0]
    assert main(shlex.split(command.removeprefix("$ cimarch "))) == 2
    printed = capsys.readouterr()
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        file.write_text(f"{command}\n{printed.err}", encoding="utf-8")
    assert file.read_text(encoding="utf-8") == f"{command}\n{printed.err}"
    assert printed.out == ""
    assert f"error[{file.stem[:4].upper()}]" in printed.err
