"""A run that is asked to stop: at once if pressed, else where it can be gone on from."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether the run was asked to stop: by Ctrl-C, or by SIGTERM."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """Whether to stop at the next point that is kept."""
        return self.asked

    def hear(self, number: int, frame: FrameType | None) -> None:
        """Take a signal: the first asks, the second insists."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        click.echo("stopping as soon as what is done is kept; once more stops now", err=True)


@contextmanager
def stoppable() -> Iterator[Stop]:
    """A block that Ctrl-C and SIGTERM ask to stop; outside the main thread nothing does."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.signal(number, stop.hear) for number in SIGNALS}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
