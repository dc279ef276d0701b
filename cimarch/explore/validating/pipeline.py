"""The pipeline of one tile, stage by stage, from a run of a small layer by the event engine.

The layer is a 1 x 1 convolution of a map of 16 rows with as many channels in and out as an array
has rows, and an activation. Each row of the map is one window: its inputs are read from the tile's
buffer, cross the bus, enter the arrays bit by bit, and its results go back into the buffer. What
happened to the first row is read off the recorded timeline.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import attrs

from cimarch.engine import run_work
from cimarch.engine.tasks import JOIN, Timeline
from cimarch.hardware.kinds import CROSSBARS
from cimarch.hardware.system import System
from cimarch.language import load
from cimarch.mapping.precision import Bits
from cimarch.program.context import KINDS, Options
from cimarch.program.program import Program
from cimarch.program.program import program as write_program
from cimarch.simulate import map_network
from cimarch.workload.network import Geometry, Network, Operation, Tensor, Weight

ROWS = 16
"""Of the map: it is more than an array's own register holds, and lives in the tile's buffer."""


@attrs.frozen
class Stage:
    """Something that a part does to the first row of results; times in system cycles."""

    part: str
    action: str
    """What is charged for it: `read`, `transfer`, `convert`, ..."""
    members: int
    """Instances at work."""
    each: int
    """Tasks of each of them: 16 reads of an array."""
    busy: int
    """Cycles of one task."""
    start: int
    """From the first stage's start to its own first."""
    finish: int
    """To its last finish."""
    first_beat: int | None
    """Which beat it starts in, from 0; None where there is no beat."""
    last_beat: int | None
    beside: tuple[str, ...]
    """Parts that work in the same tasks."""


def isaac_pipeline() -> tuple[tuple[Stage, ...], tuple[Stage, ...]]:
    """The stages of ISAAC's tile, with its beat of 100 ns and without."""
    found = []
    for given in ({}, {"tile.beat": "none"}):
        system = load("isaac", set=given)
        root = system.root
        bits = Bits(root.integer("weight_bits"), root.integer("input_bits"))
        found.append(tuple(stages(system, bits)))
    return found[0], found[1]


def beats(system: System, bits: Bits) -> int | None:
    """Beats from the first stage of a tile to its last; None where the arrays have no beat."""
    last = [stage.last_beat for stage in stages(system, bits)]
    known = [beat for beat in last if beat is not None]
    return 1 + max(known) if known and len(known) == len(last) else None


def stages(system: System, bits: Bits) -> list[Stage]:
    """What happens to the first row of the small layer, in order of time."""
    pool = system.of_kind(*CROSSBARS)[0]
    network = _layer(pool.integer("rows"))
    placed = map_network(
        system, network, weight_bits=bits.weight, input_bits=bits.input, schedule="layers"
    )
    program = write_program(placed, options=Options(detail="wordline"))
    timeline = run_work(program.work, record=True).timeline
    assert timeline is not None
    beat = None if pool.beat is None else pool.beat * system.clock
    return _stages(program, timeline, beat)


def _layer(channels: int) -> Network:
    """The layer, and one more that reads its results, so that they are stored."""
    shape = (channels, ROWS, 1)
    tensors = {name: Tensor(name, shape) for name in ("x", "sums", "row")}
    tensors["y"] = Tensor("y", (1, ROWS, 1))
    operations = (
        _convolution("sums", "x", channels, channels),
        Operation("row", "activation", ("sums",), ("row",), function="relu"),
        _convolution("y", "row", channels, 1),
    )
    weights = {
        op.name: Weight(op.name, (op.columns, op.rows, 1, 1), "float32")
        for op in operations
        if op.is_matrix
    }
    return Network("a tile's pipeline", operations, tensors, weights, ("x",), ("y",))


def _convolution(name: str, source: str, inputs: int, outputs: int) -> Operation:
    return Operation(
        name, "conv2d", (source,), (name,), weight=name, rows=inputs, columns=outputs,
        windows=ROWS, window_rows=ROWS, geometry=Geometry((1, 1)),
    )  # fmt: skip


def _stages(program: Program, timeline: Timeline, beat: Fraction | None) -> list[Stage]:
    """The tasks of the first row, joined where a part does the same thing to it."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for task in _first_row(program):
        found.setdefault(_doing(program, task), []).append(task)
    begin = min(int(timeline.start[tasks].min()) for tasks in found.values())
    made = [
        _stage(program, timeline, key, tasks, begin=begin, beat=beat)
        for key, tasks in found.items()
    ]
    return sorted(made, key=lambda stage: (stage.start, stage.finish))


def _first_row(program: Program) -> Iterator[int]:
    """The tasks of the first block of the first site's piece: a row, which is one window."""
    piece = program.placed[0].piece
    first = int(program.work.first[piece])
    for task in range(first, first + len(program.work.pieces[piece].template)):
        if program.tasks.resource[task] != JOIN:
            yield task


def _doing(program: Program, task: int) -> tuple[str, str, str]:
    """The part that a task holds, what it is charged for there (else its kind), and its kind: a bus
    may be crossed on the way to the arrays, and on the way back."""
    path = program.resources[int(program.tasks.resource[task])].path
    charges = program.charges[int(program.columns["charge"][task])]
    kind = KINDS[int(program.columns["kind"][task])]
    return path, next((c.action for c in charges if c.part == path), kind), kind


def _stage(
    program: Program,
    timeline: Timeline,
    doing: tuple[str, str, str],
    tasks: list[int],
    *,
    begin: int,
    beat: Fraction | None,
) -> Stage:
    held = {int(program.tasks.resource[task]) for task in tasks}
    charged = [program.charges[int(program.columns["charge"][task])] for task in tasks]
    beside = dict.fromkeys(c.part for charges in charged for c in charges if c.part != doing[0])
    start, finish = int(timeline.start[tasks].min()), int(timeline.finish[tasks].max())
    return Stage(
        part=doing[0],
        action=doing[1],
        members=sum(len(program.resources[number]) for number in held),
        each=len(tasks) // len(held),
        busy=max(int(program.tasks.busy[task]) for task in tasks),
        start=start - begin,
        finish=finish - begin,
        first_beat=None if beat is None else int(start // beat - begin // beat),
        last_beat=None if beat is None else int((finish - 1) // beat - begin // beat),
        beside=tuple(beside),
    )
