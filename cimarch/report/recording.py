"""Which files the timeline of a run goes to, and what of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine.outcome import Outcome
from cimarch.program.program import Program
from cimarch.report import chrome, vcd
from cimarch.report.files import check_writable, whole
from cimarch.report.scene import Part, Scene, check_size, scene

FORMATS: Mapping[str, Callable[[IO[bytes], Scene], None]] = {
    "chrome": chrome.write,
    "vcd": vcd.write,
}
"""Who writes a timeline."""


@attrs.frozen
class Recording:
    """The files asked for; none where nothing is recorded."""

    files: Mapping[str, Path]
    """By format."""
    part: Part

    @classmethod
    def of(
        cls,
        chrome: str | Path | None,
        vcd: str | Path | None,
        cycles: tuple[int, int | None] | None,
    ) -> Recording:
        """The files that are given, checked to be writable; DescriptionError where one is not."""
        given = {"chrome": chrome, "vcd": vcd}
        files = {name: Path(path) for name, path in given.items() if path is not None}
        for path in files.values():
            check_writable(path)
        if len(set(files.values())) < len(files):
            raise DescriptionError(
                Diagnostic("E900", f"`{path}` is given for both the timeline and its waveforms")
            )
        if cycles is not None and not files:
            raise DescriptionError(
                Diagnostic(
                    "E049",
                    "a part of the timeline is asked for, and no file to write it to",
                    helps=("name one: `--timeline run.json`",),
                )
            )
        part = Part(*cycles) if cycles is not None else Part()
        part.check()
        return cls(files, part)

    def __bool__(self) -> bool:
        """Whether anything is recorded."""
        return bool(self.files)

    def check(self, program: Program) -> None:
        """Find before the run that its timeline would be too long; raise DescriptionError."""
        if self:
            check_size(program, self.part)

    def write(self, program: Program, outcome: Outcome) -> None:
        """Write the files of a run that was recorded, each whole or not at all."""
        if self:
            shown = scene(program, outcome, self.part)
            for name, path in self.files.items():
                with whole(path) as file:
                    FORMATS[name](file, shown)
