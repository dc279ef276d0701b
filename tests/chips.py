"""Small chips as text, small networks by hand, and runs of them that are always checked."""

from __future__ import annotations

from math import prod

import attrs
import numpy as np

from cimarch.engine import run as run_engine
from cimarch.engine.outcome import outcome
from cimarch.engine.tasks import Timeline
from cimarch.hardware.system import System
from cimarch.language import loads
from cimarch.mapping.assign import NOTHING_ASKED, Asked
from cimarch.mapping.place import place
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import precision as read_precision
from cimarch.program.check import check
from cimarch.program.context import KIND, Options
from cimarch.program.ledger import Entry, Ledger
from cimarch.program.program import Program, load_program
from cimarch.program.program import program as write_program
from cimarch.workload.network import Geometry, Network, Operation, Tensor, Weight

IMPORT = (
    "from std import crossbar, digital_array, dac, sample_hold, adc, shift_add, accumulator\n"
    "from std import adder_tree, unit, buffer, dram, host, bus, link, mesh, block\n"
)


def chip(body: str, *, clock: str = "1 GHz", components: str = "") -> System:
    """A system of these lines, with everything of the library imported."""
    return loads(f"{IMPORT}\n{components}\nsystem Chip {{\n    clock = {clock}\n{body}\n}}\n")


def bare(
    array: str = "",
    *,
    rows: int = 256,
    columns: int = 256,
    dac_bits: int = 4,
    read: str = "1 ns",
    converters: int = 64,
    adc: str = "",
    rate: str = "1 GHz",
    hold: bool = True,
) -> System:
    """One array with dacs, perhaps a sample-and-hold, and converters of one conversion a cycle.

    Signed 4-bit cells and 4-bit dacs: at 4 bits a weight is a column and an input is one step.
    """
    holds = f"part hold[{columns}]: sample_hold" if hold else ""
    way = "dac[*] -> array -> hold[*] -> adc[*]" if hold else "dac[*] -> array -> adc[*]"
    return chip(f"""
    part dac[{rows}]: dac {{ bits = {dac_bits} }}
    part array: crossbar {{
        rows = {rows}
        columns = {columns}
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = {read} }}
        action write {{ latency = 1 ns }}
        {array}
    }}
    {holds}
    part adc[{converters}]: adc {{
        bits = 5
        rate = {rate}
        {adc}
    }}
    connect {way}
    """)


def round_trip(*, arrays: int = 1, size: str = "1 KiB", costs: str = "") -> System:
    """maps -> arrays of 8 x 8 -> an adder -> a unit -> maps; 4-bit weights and inputs in one step.

    Everything takes a cycle: a word of 32 bits from or to maps, a read, an addition, an element.
    """
    return chip(f"""
    part maps: buffer {{ size = {size}, width = 32 bit }}
    part array[{arrays}]: crossbar {{
        rows = 8
        columns = 8
        cell_bits = 4
        encoding = signed_cell
        action read {{ latency = 1 ns }}
        action write {{ latency = 1 ns }}
    }}
    part sum: accumulator
    part vector: unit {{ does = [relu, max_pool, average_pool] }}
    {costs}
    connect maps -> array[*] -> sum -> vector -> maps
    connect maps -> sum
    """)


# Networks ---------------------------------------------------------------------------------------


def table(*rows: tuple[int, int] | tuple[int, int, int] | tuple[int, int, int, int]) -> Network:
    """A chain of linear layers `l1`, `l2`, ...: (inputs, outputs, products, repeats)."""
    names = ("inputs", "outputs", "invocations", "repeat")
    return Network.from_table(
        {"name": f"l{i}", "kind": "linear", **dict(zip(names, row, strict=False))}
        for i, row in enumerate(rows, start=1)
    )


class Draft:
    """A network under construction: each method adds an operation and names its result."""

    def __init__(self, *shape: int) -> None:
        self.tensors = {"x": Tensor("x", shape)}
        self.operations: list[Operation] = []
        self.weights: dict[str, Weight] = {}

    def _add(self, shape: tuple[int, ...], operation: Operation) -> str:
        self.tensors[operation.name] = Tensor(operation.name, shape)
        self.operations.append(operation)
        return operation.name

    def input(self, name: str, *shape: int) -> str:
        """One more input of the network."""
        self.tensors[name] = Tensor(name, shape)
        return name

    def conv(
        self, name: str, source: str, outputs: int, kernel: int, *, stride: int = 1,
        padding: int = 0, groups: int = 1, dilation: int = 1,
    ) -> str:  # fmt: skip
        """A convolution of a map."""
        channels, *sides = self.tensors[source].shape
        reach = (kernel - 1) * dilation + 1
        height, width = ((side + 2 * padding - reach) // stride + 1 for side in sides)
        shape = (outputs, channels // groups, kernel, kernel)
        self.weights[name] = Weight(name, shape, "float32")
        return self._add(
            (outputs, height, width),
            Operation(
                name, "conv2d", (source,), (name,), weight=name, rows=prod(shape[1:]),
                columns=outputs // groups, groups=groups, windows=height * width,
                window_rows=height,
                geometry=Geometry(
                    (kernel, kernel), (stride, stride), (padding,) * 4, (dilation,) * 2, groups
                ),
            ),
        )  # fmt: skip

    def linear(self, name: str, source: str, outputs: int) -> str:
        """A fully connected layer on all elements."""
        inputs = self.tensors[source].elements
        self.weights[name] = Weight(name, (outputs, inputs), "float32")
        return self._add(
            (outputs,),
            Operation(
                name, "linear", (source,), (name,), weight=name, rows=inputs, columns=outputs
            ),
        )

    def relu(self, name: str, source: str) -> str:
        """An activation."""
        operation = Operation(name, "activation", (source,), (name,), function="relu")
        return self._add(self.tensors[source].shape, operation)

    def add(self, name: str, one: str, other: str) -> str:
        """A sum of two tensors."""
        return self._add(self.tensors[one].shape, Operation(name, "add", (one, other), (name,)))

    def pool(self, name: str, source: str, kernel: int, stride: int, function: str = "max") -> str:
        """A pooling of a map."""
        channels, *sides = self.tensors[source].shape
        height, width = ((side - kernel) // stride + 1 for side in sides)
        geometry = Geometry((kernel, kernel), (stride, stride))
        operation = Operation(
            name, "pool", (source,), (name,), function=function, geometry=geometry
        )
        return self._add((channels, height, width), operation)

    def view(self, name: str, source: str, *shape: int, kind: str = "reshape") -> str:
        """The same elements, or some of them, under another shape."""
        return self._add(shape, Operation(name, kind, (source,), (name,)))

    def concat(self, name: str, *sources: str) -> str:
        """Maps of one size behind each other, along their channels."""
        shapes = [self.tensors[source].shape for source in sources]
        shape = (sum(shape[0] for shape in shapes), *shapes[0][1:])
        return self._add(shape, Operation(name, "concat", sources, (name,)))

    def network(self, *outputs: str, inputs: tuple[str, ...] = ("x",)) -> Network:
        """What was drafted; its output is the last result unless others are named."""
        last = outputs or (self.operations[-1].name,)
        return Network("drafted", tuple(self.operations), self.tensors, self.weights, inputs, last)


def mlp(*features: int) -> Network:
    """Linear layers `l1`, `l2`, ... with an activation after each but the last."""
    draft, last = Draft(features[0]), "x"
    for i, outputs in enumerate(features[1:], start=1):
        last = draft.linear(f"l{i}", last, outputs)
        if i + 1 < len(features):
            last = draft.relu(f"relu{i}", last)
    return draft.network()


def resnet20(side: int = 32) -> Network:
    """ResNet-20 for CIFAR (He et al. 2016, section 4.2) with padded shortcuts, shapes only.

    Its 3 x 3 convolutions pad by one on each side, so every position of a map is a window.
    """
    draft = Draft(3, side, side)
    last = draft.relu("relu", draft.conv("conv1", "x", 16, 3, padding=1))
    for stage, channels in enumerate((16, 32, 64), start=1):
        for block in range(3):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            first = draft.conv(f"{name}.conv1", last, channels, 3, stride=stride, padding=1)
            second = draft.conv(
                f"{name}.conv2", draft.relu(f"{name}.relu1", first), channels, 3, padding=1
            )
            if stride == 2:
                half = draft.tensors[first].shape[1:]
                few = draft.view(f"{name}.every", last, channels // 2, *half, kind="slice")
                last = draft.view(f"{name}.pad", few, channels, *half, kind="pad")
            last = draft.relu(f"{name}.relu2", draft.add(f"{name}.add", second, last))
    quarter = side // 4
    last = draft.pool("pool", last, quarter, quarter, "average")
    draft.linear("linear", draft.view("flatten", last, 64), 10)
    return draft.network()


# Runs -------------------------------------------------------------------------------------------


@attrs.frozen(eq=False)
class Run:
    """A finished run, and what stories ask of it."""

    placement: Placement
    program: Program
    timeline: Timeline

    @property
    def cycles(self) -> int:
        return self.timeline.makespan

    def at(self, part: str, kind: str | None = None, site: int | None = None) -> list[int]:
        """The tasks on a part, in order of their starts."""
        paths = np.array([r.path for r in self.program.resources] + [""])
        chosen = paths[self.program.tasks.resource] == part
        if kind is not None:
            chosen &= self.program.columns["kind"] == KIND[kind]
        if site is not None:
            chosen &= self.program.columns["operation"] == site
        found = np.flatnonzero(chosen)
        order = np.argsort(self.timeline.start[found], kind="stable")
        return [int(task) for task in found[order]]

    def spans(self, part: str, kind: str | None = None) -> list[tuple[int, int]]:
        """(start, finish) of the tasks on a part, in order of their starts."""
        timeline = self.timeline
        return [(int(timeline.start[t]), int(timeline.finish[t])) for t in self.at(part, kind)]

    def span(self, *kinds: str) -> int:
        """Cycles from the first start to the last finish of tasks of some kinds."""
        kind = self.program.columns["kind"]
        chosen = np.isin(kind, [KIND[k] for k in kinds])
        return int(self.timeline.finish[chosen].max() - self.timeline.start[chosen].min())

    def writes(self) -> dict[int, int]:
        """How often each array is written."""
        chosen = self.program.columns["kind"] == KIND["write"]
        arrays = self.placement.tiles.array[self.program.columns["tile"][chosen]]
        return {int(a): int(n) for a, n in zip(*np.unique(arrays, return_counts=True), strict=True)}

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.program, outcome(self.program.work, self.timeline))

    @property
    def entries(self) -> list[Entry]:
        return self.ledger.entries()

    def count(self, part: str, action: str) -> int:
        """How often the run does an action."""
        return sum(e.count for e in self.entries if (e.part, e.action) == (part, action))

    def joules(self, part: str, action: str) -> float | None:
        """What the run pays for an action."""
        (entry,) = [e for e in self.entries if (e.part, e.action) == (part, action)]
        return entry.joules

    def layer(self, name: str) -> dict[str, object]:
        """An operation's line of the report."""
        rows = self.ledger.layers()
        return next(row for row in rows if row["name"] == name)


def placed(system: System, network: Network, bits: int = 4, **options: object) -> Placement:
    """A network on a system, with the same bits for weights and inputs unless options say more."""
    weight_bits = int(options.get("weight_bits", bits))  # type: ignore[call-overload]
    input_bits = int(options.get("input_bits", bits))  # type: ignore[call-overload]
    chosen = read_precision(network, weight_bits, input_bits, options.get("precision"))
    asked = options.get("asked", NOTHING_ASKED)
    assert isinstance(asked, Asked)
    schedule = str(options.get("schedule", "layers"))
    return place(system, network, chosen, input_bits=input_bits, asked=asked, schedule=schedule)


def run(
    system: System, network: Network, bits: int = 4, *, batch: int = 1,
    weights: str = "preloaded", engine: str = "fast", how: Options | None = None,
    **options: object,
) -> Run:  # fmt: skip
    """Place, write (`how`: in which detail), run and check."""
    placement = placed(system, network, bits, **options)
    program = write_program(placement, batch=batch, weights=weights, options=how)
    return _done(program, engine)


def load(system: System, network: Network, bits: int = 4, **options: object) -> Run:
    """The writing of all weights, alone."""
    return _done(load_program(placed(system, network, bits, **options)), "fast")


def _done(program: Program, engine: str) -> Run:
    timeline = run_engine(program.tasks, engine)
    check(program, timeline)
    return Run(program.placement, program, timeline)
