"""From a work or task table to its times. Engines: `fast`, and `simpy`, the reference it equals."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs
from numpy.typing import ArrayLike

from cimarch.engine.outcome import Outcome
from cimarch.engine.pieces import Work
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


def run_work(
    work: Work,
    engine: str = "fast",
    *,
    weights: ArrayLike = 0,
    record: bool = False,
    reduce: bool = True,
    check: bool = True,
    sums: bool = True,
    likes: bool = True,
) -> Outcome:
    """Run pieces; the times are those of `run(expand(work))`, which `fast` never lays out.

    `weights` is what each resource counts in `Outcome.peak` while it is held; with `record`, the
    outcome has the whole timeline. Without `reduce`, the fast engine runs every single task, not
    one of each kind that `Outcome.alike` counts; without `likes`, it does not look for such kinds,
    as it need not where none are; without `check`, it relies on the work being as `Work.check`
    asks; without `sums`, it leaves `Outcome.slots` empty.

    Raises Deadlock where tasks wait in a circle, ValueError for a bad work, MemoryError where more
    is under way at once than this machine can remember.
    """
    if engine == "fast":
        from cimarch.engine.fast import run_work as run_pieces

        return run_pieces(
            work, weights=weights, record=record, reduce=reduce, check=check, sums=sums,
            likes=likes,
        )  # fmt: skip
    from cimarch.engine.expand import expand
    from cimarch.engine.outcome import outcome

    work.check()
    found = outcome(work, run(expand(work), engine), weights)
    return found if record else attrs.evolve(found, timeline=None)
