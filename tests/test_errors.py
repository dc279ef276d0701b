"""Every diagnostic, word by word: `tests/errors/x.cimarch` must be told as `x.expect` says.

A file may begin with lines `# --set path=value`. `CIMARCH_WRITE_EXPECTED=1` writes the answers
anew: read the difference before you keep it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from cimarch.diagnostics import DescriptionError
from cimarch.language import load

FOLDER = Path(__file__).parent / "errors"
FILES = sorted(FOLDER.glob("*.cimarch"))


def settings(file: Path) -> dict[str, str]:
    """The flags in the comments that open a file."""
    found = {}
    for line in file.read_bytes().splitlines():
        if not line.startswith(b"# --set "):
            break
        path, _, value = line.decode().removeprefix("# --set ").partition("=")
        found[path] = value
    return found


def told(file: Path, monkeypatch: pytest.MonkeyPatch) -> DescriptionError:
    """What reading a file raises, with paths as from its own folder."""
    monkeypatch.chdir(FOLDER)
    with pytest.raises(DescriptionError) as caught:
        load(file.name, set=settings(file))
    return caught.value


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_mistake_is_told_word_by_word(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = told(file, monkeypatch).render() + "\n"
    expected = file.with_suffix(".expect")
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_file_is_named_after_its_first_code(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codes = [problem.code for problem in told(file, monkeypatch).diagnostics]
    assert file.stem[:4].upper() in codes


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_headline_stands_alone(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for problem in told(file, monkeypatch).diagnostics:
        headline = problem.headline.partition(": ")[2] if problem.span is None else ""
        headline = headline or problem.headline
        assert not headline[0].isupper()
        assert not headline.endswith(".")
        assert "\n" not in headline
