"""What is around a method while it works: who is told, what is kept, and whether to stop.

A long run keeps what it has in a folder. The same command begins where that ended, after a kill at
any moment too: every file there is whole, and everything random comes from the seed and from where
the run is, not from what ran before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.report.files import whole

Told = Callable[[str, float], None]
"""Called with what is being done, and the share (0 to 1) of it that is done."""


def _silent(stage: str, share: float) -> None:
    pass


@attrs.frozen
class Going:
    """What is around one run of one method."""

    tell: Told = _silent
    kept: Path | None = None
    """The folder where what is done already lies; None: nothing is kept."""
    stopped: Callable[[], bool] = lambda: False
    """Whether to stop as soon as all that was done is kept."""

    def begin(self, asked: Mapping[str, Any]) -> None:
        """Make the folder for what `asked` says, or find it as a run with the same left it.

        Raises DescriptionError where it is of a run that was asked something else.
        """
        if self.kept is None:
            return
        if self.kept.exists() and not self.kept.is_dir():
            raise _no_folder(self.kept)
        text = json.dumps(asked, sort_keys=True, indent=1)
        place = self.kept / "asked.json"
        if place.exists() and place.read_text() != text:
            raise _another(self.kept, _read(place), json.loads(text))
        self.kept.mkdir(parents=True, exist_ok=True)
        with whole(place) as file:
            file.write(text.encode())

    def place(self, name: str) -> Path | None:
        """The file for a part of the run; None where nothing is kept."""
        return None if self.kept is None else self.kept / name

    def once(self, name: str, make: Callable[[], Any]) -> Any:
        """Plain JSON values that `make` gives, or gave before the run was interrupted."""
        place = self.place(f"{name}.json")
        if place is not None and place.exists():
            return _read(place)
        found = json.loads(json.dumps(make()))
        if place is not None:
            with whole(place) as file:
                file.write(json.dumps(found).encode())
        if self.stopped():
            raise KeyboardInterrupt
        return found

    def within(self, name: str) -> Going:
        """The same for a part of the run that keeps several files of its own."""
        if self.kept is None:
            return self
        folder = self.kept / name
        folder.mkdir(exist_ok=True)
        return attrs.evolve(self, kept=folder)


def digest_of(*parts: bytes) -> str:
    """SHA-256 of some bytes."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part)
    return found.hexdigest()


def damaged(place: Path) -> DescriptionError:
    """The error for a file that a run has kept, and that is not what it wrote."""
    return DescriptionError(
        Diagnostic(
            "E456",
            f"`{place}`, which a run has kept, is damaged",
            helps=(f"begin that run again: `rm -r {place.parent}`",),
        )
    )


def _read(place: Path) -> Any:
    try:
        return json.loads(place.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        raise damaged(place) from None


def _no_folder(place: Path) -> DescriptionError:
    headline = f"what a run has done cannot be kept in `{place}`, which is no folder"
    return DescriptionError(Diagnostic("E452", headline))


def _flat(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What was asked, options by their own names."""
    options = asked.get("options")
    inside = options if isinstance(options, Mapping) else {}
    rest = {name: value for name, value in asked.items() if name != "options"}
    return {**inside, **rest}


def _another(folder: Path, then: Any, now: Mapping[str, Any]) -> DescriptionError:
    if not isinstance(then, Mapping):
        return damaged(folder / "asked.json")
    first, second = _flat(then), _flat(now)
    names = sorted({*first, *second})
    other = [f"`{name}`" for name in names if first.get(name) != second.get(name)]
    return DescriptionError(
        Diagnostic(
            "E452",
            f"`{folder}` holds what another run has kept: {', '.join(other)} differ",
            helps=(f"go on with that run, or remove it: `rm -r {folder}`",),
        )
    )
