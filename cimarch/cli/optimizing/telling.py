"""How a long run is followed: a bar on a terminal, else a line from time to time."""

from __future__ import annotations

import sys
import time

import click

from cimarch.cli.progress import Progress

EVERY = 30.0
"""Seconds between lines."""


class Telling(Progress):
    """A bar on a terminal; off one, a line on stderr when a stage has changed."""

    def __init__(self, *, every: float = EVERY) -> None:
        super().__init__()
        self.every = every
        self.told = time.monotonic()
        self.stage = ""

    def __call__(self, stage: str, share: float) -> None:
        """Tell that `share` (0 to 1) of `stage` is done."""
        super().__call__(stage, share)
        if sys.stderr.isatty() or stage == self.stage:
            return
        if time.monotonic() - self.told >= self.every:
            click.echo(f"{stage} ({100 * share:.0f} % done)", err=True)
            self.told, self.stage = time.monotonic(), stage
