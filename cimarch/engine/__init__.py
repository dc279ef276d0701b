"""From a task table to its timeline. Engines: `fast`, and `simpy`, the reference that it equals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from cimarch.engine.tasks import Tasks, Timeline


def _fast(tasks: Tasks) -> Timeline:
    from cimarch.engine.fast import run

    return run(tasks)


def _simpy(tasks: Tasks) -> Timeline:
    from cimarch.engine.simpy_engine import run

    return run(tasks)


ENGINES: Mapping[str, Callable[[Tasks], Timeline]] = {"fast": _fast, "simpy": _simpy}
"""By name. What an engine is compiled or written with is imported when it first runs."""


def run(tasks: Tasks, engine: str = "fast") -> Timeline:
    """Run a table. Raises Deadlock where tasks wait in a circle, ValueError for a bad table."""
    return ENGINES[engine](tasks)
