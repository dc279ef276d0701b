"""Diagnostics of runs, word by word: `errors/runs/x.cimarch` must be told as `x.expect` says.

A file begins with what is run on it: `# --layers INPUTSxOUTPUTSxVECTORS ...`, then options of
`cimarch.simulate`. `CIMARCH_WRITE_EXPECTED=1` writes the answers anew.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from chips import table
from cimarch import DescriptionError, simulate
from cimarch.language import load

FOLDER = Path(__file__).parent / "errors" / "runs"
FILES = sorted(FOLDER.glob("*.cimarch"))


def told(file: Path) -> DescriptionError:
    """What running the layers of a file on its chip raises."""
    flags = [line[4:] for line in file.read_text().splitlines() if line.startswith("# --")]
    given = dict(flag.split(" ", 1) for flag in flags)
    layers = [tuple(map(int, size.split("x"))) for size in given.pop("layers").split()]
    options = {name.replace("-", "_"): json.loads(text) for name, text in given.items()}
    with pytest.raises(DescriptionError) as caught:
        simulate(load(file.name), table(*layers), **options)
    return caught.value


@pytest.mark.parametrize("file", FILES, ids=lambda f: f.stem)
def test_a_run_that_cannot_be_is_told_word_by_word(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(FOLDER)
    error = told(file)
    text = error.render() + "\n"
    expected = file.with_suffix(".expect")
    if os.environ.get("CIMARCH_WRITE_EXPECTED"):
        expected.write_text(text, encoding="utf-8")
    assert text == expected.read_text(encoding="utf-8")
    assert error.diagnostics[0].code.lower() == file.stem.split("_")[0]
