"""Simulate a network on a system: place it, write its program, run it, and report."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine import ENGINES, run_work
from cimarch.engine.outcome import Outcome
from cimarch.engine.tasks import Ints
from cimarch.hardware.system import System
from cimarch.mapping.assign import Asked
from cimarch.mapping.densities import densities as read_densities
from cimarch.mapping.densities import plain as plain_densities
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.flows import able
from cimarch.mapping.place import place as place_network
from cimarch.mapping.placement import Placement
from cimarch.mapping.pools import Wanted, pairs, pools_of
from cimarch.mapping.precision import precision as read_precision
from cimarch.mapping.saved import Saved
from cimarch.mapping.wiring import Wiring
from cimarch.program.assumed import assumed_densities, assumed_sums, assumed_times, densities_read
from cimarch.program.basis import basis
from cimarch.program.context import Options, too_many_at_once
from cimarch.program.energy import summed
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program, load_program
from cimarch.program.program import program as write_program
from cimarch.report.columns import from_rows
from cimarch.report.curves import Curves
from cimarch.report.definitions import BOUNDS, ENERGY, LAYERS, LEDGER, PARTS
from cimarch.report.recording import Recording
from cimarch.report.report import Bound, Report
from cimarch.workload.adapted import PRECISION, brought
from cimarch.workload.attention import HOW, lowered
from cimarch.workload.network import Network, Operation

Progress = Callable[[str, float], None]
"""Called with what is being done and the share (0 to 1) of it that is done."""

GRANULARITIES = ("operation", "product", "wordline")

UNMAPPED = frozenset({"sdpa", "other"})
"""Operations that no part does."""

PRODUCT = Operation("product", "matmul", ("left", "right"), ("result",))
"""A product of two operands that are known only at run time."""
MULTIPLY = "add `matmul` and `softmax` to the `does` of a unit that multiplies two operands"
WRITE = "let a pool hold one of the two, which is written there: `operands = true`"


def simulate(
    system: System,
    network: Network,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    batch: int = 1,
    weights: str = "preloaded",
    schedule: str | None = None,
    place: Wanted = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    placement: Saved | None = None,
    attention: str | None = None,
    densities: object = None,
    detail: str = "mvm",
    granularity: str = "product",
    overlap: bool = False,
    engine: str = "fast",
    timeline: str | Path | None = None,
    vcd: str | Path | None = None,
    timeline_cycles: tuple[int, int | None] | None = None,
    power: str | Path | bool = False,
    bounds: str | Path | None = None,
    allow_unmapped: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Run `batch` inferences of a network on a system, and report.

    `precision` overrides the bits of single operations: a path of a JSON file, or what such a file
    holds (`cimarch.mapping.precision`); without it an adapted model has its own.
    `weights="preloaded"` reports the writing of the weights apart where all fit at once; `"cold"`
    counts it in. `schedule` is `"layers"` (each layer waits for all of the one before) or
    `"pipeline"` (a row is worked on as soon as the rows that it reads are there); None takes the
    pipeline where the network has rows and the buffers have room for those that must be held.
    `place`, `duplicate`, `spread_rows`, `placement`, `attention` and `densities` are those of
    `map_network`. `detail` is `"mvm"`, where the reads and conversions of a product are merged as
    far as nothing can come between them, or `"wordline"`, where each read and each burst of
    conversions is a task: times, counts and energy are the same. `granularity` says when the arrays
    of an operation begin a window: `"operation"`, all together when the inputs of all are there;
    `"product"`, each when its own are; `"wordline"`, each group of word lines when its own are.
    With `overlap` an array is written for the next resident group as soon as its last product is
    over. `engine` is `fast` or `simpy`, which give the same times. `timeline` and `vcd` are files
    to write every task to, as Chrome trace events and as a value change dump; `timeline_cycles`
    (first, behind the last) takes a part of the run. `power` is a file for power over time and
    `bounds` one for what each operation holds and waits for: tables (`.csv`) or pictures (`.svg`,
    `.pdf`, `.png`); `power=True` keeps the former in the report's `drawn` alone. Raises
    DescriptionError where the system cannot run the network, or a file cannot be written.
    """
    batch = _checked_batch(batch)
    how = Options(detail, granularity, bool(overlap))
    _check_options(network, weights, how, engine)
    recording = Recording.of(timeline, vcd, timeline_cycles)
    curves = Curves.of(power, bounds)
    tell = progress or (lambda stage, share: None)
    tell("place", 0.0)
    placed = map_network(
        system, network, weight_bits=weight_bits, input_bits=input_bits, precision=precision,
        schedule=schedule, place=place, duplicate=duplicate, spread_rows=spread_rows,
        placement=placement, attention=attention, densities=densities,
        allow_unmapped=allow_unmapped,
    )  # fmt: skip
    _check_sequences(placed, batch)
    tell("program", 0.0)
    program = write_program(placed, batch=batch, weights=weights, options=how, progress=progress)
    recording.check(program)
    curves.check(program)
    tell("run", 0.0)
    ran = run_program(program, engine, record=bool(recording) or curves.power)
    loading = load_program(placed) if program.preloaded and placed.groups else None
    loaded = run_program(loading, engine) if loading else None
    if recording:
        tell("timeline", 0.0)
        recording.write(program, ran)
    tell("report", 0.0)
    options = {
        "weight_bits": weight_bits,
        "input_bits": input_bits,
        "precision": _precision(network, precision),
        "batch": batch,
        "weights": weights,
        "schedule": placed.schedule,
        "detail": detail,
        "granularity": granularity,
        "overlap": how.overlap,
        "place": dict(pairs(place)),
        "duplicate": _plain(duplicate),
        "spread_rows": spread_rows,
        "attention": _way_of(placed),
        "densities": plain_densities(densities, placed.densities),
        "placement": _plain(placement) if isinstance(placement, (str, Path)) else None,
        "engine": engine,
        "set": {o.path: o.text for o in system.overrides},
    }
    found = report(program, ran, loading, loaded, batch=batch, options=options)
    return curves.write(found, program, ran)


def map_network(
    system: System,
    network: Network,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    schedule: str | None = None,
    place: Wanted = None,
    duplicate: Duplicate = "none",
    spread_rows: bool = False,
    placement: Saved | None = None,
    attention: str | None = None,
    densities: object = None,
    allow_unmapped: bool = False,
    wirings: tuple[Wiring, ...] | None = None,
) -> Placement:
    """Place a network on a system, without running it.

    `place` sends operations to pools: `{"layer1.*": "tile.array"}` or `["layer1.*=tile.array"]`,
    the last that matches; others go to the first pool that serves them and has room. `duplicate` is
    `"none"`, `"balance"`, `"fill"`, or the copies of operations by name (or a JSON file of such).
    `spread_rows` puts fewer rows on an array, where fewer word lines than rows may be active and
    arrays are free. `placement` takes a saved one over as it is. `attention` says what multiplies
    two operands that are known only at run time: `"digital"`, a unit that does `matmul`;
    `"written"`, arrays into which the second is written, of a pool with `operands = true`; None
    takes a unit where there is one, else such a pool. `densities` say how full the inputs and
    weights of single operations are, for costs that read it: a JSON file, or what such a file holds
    (`cimarch.mapping.densities`); None: what the chip states. `wirings` are those of the system
    where they are known (`cimarch.mapping.wiring.wirings_of`). The others are those of `simulate`.
    Raises DescriptionError where the system cannot hold or route it.
    """
    _check_network(network, schedule)
    _check_attention(system, network, attention)
    way = _attention(system, attention)
    network = lowered(network, attention=way) if way else network
    skipped, unmapped = _unmapped(system, network, allow_unmapped)
    bits = read_precision(network, weight_bits, input_bits, precision)
    names = [op.name for op in network.operations if op.is_matrix]
    asked = Asked(
        pools=place, duplicate=duplicate, spread_rows=bool(spread_rows), saved=placement,
        densities=read_densities(system, names, densities),
    )  # fmt: skip
    return _placed(
        schedule,
        network,
        lambda chosen: place_network(
            system, network, bits, input_bits=input_bits, skipped=skipped, unmapped=unmapped,
            asked=asked, schedule=chosen, wirings=wirings,
        ),
    )  # fmt: skip


def run_program(
    program: Program, engine: str = "fast", *, record: bool = False, check: bool = True,
    sums: bool = True, likes: bool = True,
) -> Outcome:  # fmt: skip
    """Run a program (see `cimarch.engine.run_work`); DescriptionError where it does not fit this
    machine's memory."""
    pools = {pool.path for pool in program.placement.pools}
    arrays = [len(at) if at.path in pools else 0 for at in program.resources]
    try:
        return run_work(
            program.work, engine, weights=arrays, record=record, check=check, sums=sums,
            likes=likes,
        )  # fmt: skip
    except MemoryError as error:
        raise too_many_at_once(str(error)) from None


def _placed(
    schedule: str | None, network: Network, placing: Callable[[str], Placement]
) -> Placement:
    """The placement for a schedule; where none is asked for, the pipeline if it has room."""
    if schedule is not None:
        return placing(schedule)
    if not network.has_geometry:
        return placing("layers")
    try:
        return placing("pipeline")
    except DescriptionError as error:
        if any(each.code != "E231" for each in error.diagnostics):
            raise
        reason = error.diagnostics[0].headline
        placed = placing("layers")
        line = f"the schedule is layer by layer, as in a pipeline {reason}"
        return attrs.evolve(placed, assumed=(*placed.assumed, line))


def report(
    program: Program,
    ran: Outcome,
    loading: Program | None,
    loaded: Outcome | None,
    *,
    batch: int,
    options: Mapping[str, object],
) -> Report:
    """Everything that is told of a finished run."""
    placement = program.placement
    system, network = placement.system, placement.network
    ledger = Ledger(program, ran)
    entries = ledger.entries()
    rows = [attrs.asdict(entry) for entry in entries]
    load = Ledger(loading, loaded) if loading and loaded else None
    done = [*ledger.charges(), *(load.charges() if load else ())]
    filled_in = [*assumed_times(system, done), *assumed_sums(placement, done)]
    filled_in += assumed_densities(placement, done)
    activity = densities_read(placement, done)
    return Report(
        system=system.name,
        network=network.name,
        clock=system.clock,
        cycles=ran.makespan,
        latency=_first_result(program, ran),
        interval=_interval(program, ran, batch),
        load_cycles=loaded.makespan if loaded else load_cycles(program, ran),
        load_joules=_known(load) if load else None,
        batch=batch,
        macs=sum(op.macs for plan in placement.plans for op in plan.site.operations),
        crossbars=placement.crossbars,
        crossbars_available=placement.available,
        peak_arrays=ran.peak,
        tasks=len(program.work),
        alike_tasks=ran.alike,
        skipped_tasks=ran.skipped,
        utilisation=placement.utilisation,
        groups=max(1, placement.groups),
        lifetime=_lifetime(ledger, batch),
        area=system.total("area"),
        power=system.total("power"),
        leakage=system.total("leakage"),
        input_density=activity["input_density"],
        weight_density=activity["weight_density"],
        bound=_bound(ledger, ran),
        layers=from_rows(LAYERS, ledger.layers()),
        parts=from_rows(PARTS, ledger.parts(entries)),
        ledger=from_rows(LEDGER, rows),
        energy=from_rows(ENERGY, [attrs.asdict(row) for row in ledger.energy]),
        bounds=from_rows(BOUNDS, ledger.bounds()),
        assumed=(*system.assumed, *placement.assumed, *program.assumed, *filled_in),
        unmapped=placement.unmapped,
        rounded=program.rounded,
        warnings=tuple(map(_warning, system.warnings)),
        options=options,
        digests=dict(system.sources) | {network.source or network.name: network.digest},
        basis=basis(ledger, load),
    )


def _checked_batch(batch: object) -> int:
    try:
        count = operator.index(batch)  # type: ignore[arg-type]
    except TypeError:
        raise _out_of_range(f"`batch` is {batch!r}, not a whole number") from None
    if isinstance(batch, bool) or count < 1:
        raise _out_of_range(f"`batch` is {batch!r}, less than 1")
    return count


def _check_network(network: object, schedule: object) -> None:
    if not isinstance(network, Network):
        helps = ("read one: `cimarch.read_network(path)`",)
        raise _out_of_range(f"the network is {network!r}, not a `cimarch.Network`", *helps)
    if schedule not in (None, "layers", "pipeline"):
        raise _out_of_range(f"`schedule` is `{schedule}`, neither `layers` nor `pipeline`")
    if schedule == "pipeline" and not network.has_geometry:
        raise _out_of_range(
            f"`{network.name}` is a layer table, which has no rows for a pipeline",
            "run it layer by layer: `--schedule layers`",
        )


def _check_options(network: object, weights: object, how: Options, engine: object) -> None:
    _check_network(network, None)
    if weights not in ("preloaded", "cold"):
        raise _out_of_range(f"`weights` is `{weights}`, neither `preloaded` nor `cold`")
    if how.detail not in ("mvm", "wordline"):
        raise _out_of_range(f"`detail` is `{how.detail}`, neither `mvm` nor `wordline`")
    if how.granularity not in GRANULARITIES:
        named = ", ".join(f"`{name}`" for name in GRANULARITIES)
        raise _out_of_range(f"`granularity` is `{how.granularity}`, not one of {named}")
    if engine not in tuple(ENGINES):
        named = ", ".join(f"`{name}`" for name in ENGINES)
        raise _out_of_range(f"`engine` is `{engine}`, not one of {named}")


def _out_of_range(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E049", headline, helps=helps))


def _multiplies(system: System) -> bool:
    """Whether a unit multiplies two operands; it is done at once where there is no unit at all."""
    units = system.of_kind("unit")
    return not units or any(able(unit, PRODUCT) for unit in units)


def _attention(system: System, asked: str | None) -> str | None:
    """What multiplies two operands that are known only at run time: what is asked for, else a unit
    that can, else arrays that may hold operands; at once, where there is no unit; else nothing."""
    if asked is not None:
        return asked
    if any(able(unit, PRODUCT) for unit in system.of_kind("unit")):
        return "digital"
    if any(pool.flag("operands") for pool in pools_of(system)):
        return "written"
    return "digital" if _multiplies(system) else None


def _check_attention(system: System, network: Network, asked: object) -> None:
    """Raise DescriptionError where the system has not what is asked to multiply two operands."""
    if asked not in (None, *HOW):
        raise _out_of_range(f"`attention` is `{asked}`, neither `digital` nor `written`")
    if not any(op.kind == "sdpa" or op.is_dynamic for op in network.operations):
        return
    if asked == "written" and not any(pool.flag("operands") for pool in pools_of(system)):
        raise _no_attention("`attention` is `written`, but no pool has `operands = true`", WRITE)
    if asked == "digital" and not _multiplies(system):
        raise _no_attention("`attention` is `digital`, but no unit does `matmul`", MULTIPLY)


def _no_attention(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E241", headline, helps=helps))


def _way_of(placement: Placement) -> str | None:
    """What multiplies two operands in a placement; None where nothing had to."""
    products = [op for plan in placement.plans for op in plan.site.operations if op.is_dynamic]
    if not products:
        return None
    return "written" if products[0].written else "digital"


def _check_sequences(placement: Placement, batch: int) -> None:
    """Raise DescriptionError where the arrays would have to hold several sequences' keys."""
    written = [plan.writing for plan in placement.plans if plan.writing is not None]
    standing = [each for each in written if each.earlier]
    if batch > 1 and standing:
        raise _no_attention(
            f"the arrays hold {standing[0].earlier} earlier keys of one sequence, not of a batch "
            f"of {batch}",
            "run one inference: `--batch 1`, or leave attention to a unit: `--attention digital`",
        )


def _unmapped(
    system: System, network: Network, allowed: bool
) -> tuple[frozenset[str], tuple[str, ...]]:
    """The operations that no part does: a diagnostic, or (allowed) left out with a line."""
    digital = _multiplies(system)
    left = [
        op
        for op in network.operations
        if op.kind in UNMAPPED
        or (op.is_dynamic and not (digital or op.written) and network.has_geometry)
    ]
    if left and not allowed:
        op = left[0]
        unit = [] if op.kind == "other" else [MULTIPLY, WRITE]
        raise DescriptionError(
            Diagnostic(
                "E241",
                f"`{op.name}` is a `{op.function or op.kind}`, which no part of a system does",
                notes=(f"{len(left)} operations of `{network.name}` are like it",),
                helps=(*unit, "leave such operations out with `--allow-unmapped`"),
            )
        )
    lines = tuple(f"`{op.name}` ({op.function or op.kind}) is left out" for op in left)
    return frozenset(op.name for op in left), lines


def _plain(option: object) -> object:
    if isinstance(option, Mapping):
        return dict(option)
    return os.fspath(option) if isinstance(option, Path) else option


def _precision(network: Network, asked: object) -> object:
    """The precision policy that was asked for; else where the network's own one is, if it has one.

    It is named as a file is, `resnet20.adapted: precision.json`.
    """
    if asked is None and PRECISION in network.attached:
        return brought(network, PRECISION)
    return _plain(asked)


def load_cycles(program: Program, ran: Outcome) -> int:
    """Cycles in which the run does nothing but write weights: the loads of its groups."""
    chosen = list(program.loads)
    return int((ran.last_finish[chosen] - ran.first_start[chosen]).sum())


def _finishes(program: Program, ran: Outcome) -> Ints:
    """The cycle at which each inference's last task ends."""
    return ran.last_finish[list(program.finishes)]


def _first_result(program: Program, ran: Outcome) -> int:
    """The latency of the first inference: from cycle 0 to its last result."""
    return int(_finishes(program, ran)[0])


def _interval(program: Program, ran: Outcome, batch: int) -> float | None:
    if batch < 2:
        return None
    if program.placement.groups > 1:
        return ran.makespan / batch
    ends = np.sort(_finishes(program, ran))
    return float(ends[-1] - ends[0]) / (batch - 1)


def _lifetime(ledger: Ledger, batch: int) -> float | None:
    """Inferences until the most written cells have had as many writes as their endurance."""
    shortest: float | None = None
    for part, writes in ledger.writes().items():
        pool = ledger.system.part(part)
        if pool.number("endurance"):
            each = float(pool.number("endurance") * batch / (writes * pool.integer("pulses")))
            shortest = each if shortest is None else min(shortest, each)
    return shortest


def _bound(ledger: Ledger, ran: Outcome) -> Bound | None:
    found = ledger.bound()
    if found is None:
        return None
    at, cycles = found
    return Bound(at.path, (at.lo, at.hi), cycles, cycles / ran.makespan, *ledger.delayed(at))


def _warning(warning: Diagnostic) -> str:
    """A warning as a sentence with its place."""
    place = f"{warning.span.file}:{warning.span.line}: " if warning.span else ""
    return f"{place}{warning.headline} ({warning.code})"


def _known(ledger: Ledger) -> float | None:
    """Joules of all that was done, as far as all of it is known."""
    return summed(ledger.work)


__all__ = ["Placement", "map_network", "report", "simulate"]
