"""Everything that is shown of a run over time, whatever it is written as, and how much of it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine.outcome import Outcome
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program
from cimarch.report.counters import Counter, active_arrays, power
from cimarch.report.occupancy import occupancy
from cimarch.report.slices import FOREVER, Slices, count_tasks, slices
from cimarch.report.spans import Span, groups, inferences, layers, loads

MOST_SHOWN = 1_000_000
"""Tasks in one file."""
MOST_RECORDED = 100_000_000
"""Tasks whose times are kept, for a part of them to be shown."""


@attrs.frozen(eq=False)
class Scene:
    """A run, or some of its cycles, in full detail."""

    program: Program
    makespan: int
    """Of the whole run."""
    first: int
    last: int
    """The cycles shown."""
    stop: int
    """Changes from this cycle on are not shown: `last`, or one more where the run ends there."""
    tasks: Slices
    course: Sequence[Span]
    """Inferences, loads and resident groups of the whole run."""
    layers: Sequence[Span]
    """Of the whole run."""
    totals: Sequence[Counter]
    """Active arrays and power."""
    buffers: Sequence[Counter]


@attrs.frozen
class Part:
    """Some cycles of a run."""

    first: int = 0
    last: int | None = None
    """Behind the last; None: to the end."""

    def check(self) -> None:
        """Raise DescriptionError where there is no cycle between the two."""
        if self.first < 0:
            raise DescriptionError(
                Diagnostic("E049", f"the timeline's first cycle is {self.first}, less than 0")
            )
        if self.last is not None and self.last <= self.first:
            raise DescriptionError(
                Diagnostic(
                    "E049",
                    f"the timeline's last cycle is {self.last}, not after its first, {self.first}",
                )
            )

    @property
    def is_whole(self) -> bool:
        """Whether it is the whole run."""
        return self.first == 0 and self.last is None


def check_size(program: Program, part: Part) -> None:
    """Find before the run that its timeline would be too long; raise DescriptionError."""
    tasks = count_tasks(program)
    if part.is_whole and tasks > MOST_SHOWN:
        raise DescriptionError(_too_long(tasks, "the run has", "--timeline-to 100000"))
    if tasks > MOST_RECORDED:
        raise DescriptionError(
            Diagnostic(
                "E245",
                f"the run has {tasks} tasks, more than the {MOST_RECORDED} whose times are kept "
                "for a timeline",
                helps=("run fewer inferences (`--batch`), or a network with fewer layers",),
            )
        )


def scene(program: Program, outcome: Outcome, part: Part) -> Scene:
    """What is shown of a run that was recorded.

    Raises DescriptionError where more tasks than are shown in one file fall into the part.
    """
    timeline = outcome.timeline
    assert timeline is not None, "the run was not recorded"
    last = FOREVER if part.last is None else part.last
    if part.first and part.first >= outcome.makespan:
        raise DescriptionError(
            Diagnostic(
                "E049",
                f"the timeline's first cycle is {part.first}, and the run is over at cycle "
                f"{outcome.makespan}",
            )
        )
    tasks = slices(program, timeline, part.first, last)
    if len(tasks) > MOST_SHOWN:
        room = max(int(tasks.start[MOST_SHOWN]), part.first + 1)
        raise DescriptionError(_too_long(len(tasks), "these cycles have", f"--timeline-to {room}"))
    over = max(outcome.makespan, int((tasks.start + tasks.busy).max(initial=0)))
    end = min(last, over)
    stop = end + 1 if part.last is None else end
    always = Ledger(program, outcome).static_watts
    counters = (active_arrays(program, tasks), power(program, tasks, outcome.makespan, always))
    return Scene(
        program=program,
        makespan=outcome.makespan,
        first=part.first,
        last=end,
        stop=stop,
        tasks=tasks,
        course=(
            *inferences(program, timeline),
            *loads(program, timeline),
            *groups(program, timeline),
        ),
        layers=layers(program, timeline),
        totals=[each.within(part.first, stop) for each in counters],
        buffers=[each.within(part.first, stop) for each in occupancy(program, timeline)],
    )


def _too_long(tasks: int, which: str, cut: str) -> Diagnostic:
    return Diagnostic(
        "E245",
        f"{which} {tasks} tasks, more than the {MOST_SHOWN} of one timeline",
        helps=(f"take a part of it, in cycles: `{cut}`, and `--timeline-from`",),
    )
