"""A progress bar for runs that make a person wait."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

PATIENCE = 1.0
"""Seconds before a bar appears."""


class Progress:
    """Called with (stage, share done); draws on a terminal only, and only after a second."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._patience = patience
        self._begin = time.monotonic()
        self._on_terminal = sys.stderr.isatty()
        self._bar: Bar | None = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, stage: str, share: float) -> None:
        """Tell that `share` (0 to 1) of `stage` is done."""
        if self._bar is None and self._on_terminal and self._is_late():
            self._start()
        if self._bar is not None:
            self._bar.update(self._task, description=stage, completed=share)

    @property
    def is_shown(self) -> bool:
        """Whether the bar is on the terminal."""
        return self._bar is not None

    def _is_late(self) -> bool:
        return time.monotonic() - self._begin >= self._patience

    def _start(self) -> None:
        from rich.console import Console
        from rich.progress import Progress as Bar

        self._bar = Bar(console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=1.0)
        self._bar.start()
