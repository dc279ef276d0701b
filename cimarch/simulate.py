"""Simulate a network on a system: place it, write its program, run it, and report."""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.engine import ENGINES, run
from cimarch.engine.tasks import Timeline
from cimarch.hardware.system import System
from cimarch.mapping.place import place
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import precision as read_precision
from cimarch.program.assumed import assumed_times
from cimarch.program.context import KIND
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program, load_program
from cimarch.program.program import program as write_program
from cimarch.report.columns import from_rows
from cimarch.report.definitions import LAYERS, LEDGER, PARTS
from cimarch.report.report import Bound, Report
from cimarch.workload.network import Network

Progress = Callable[[str, float], None]
"""Called with what is being done and the share (0 to 1) of it that is done."""

UNMAPPED = frozenset({"sdpa", "other"})
"""Operations that no part does."""


def simulate(
    system: System,
    network: Network,
    *,
    weight_bits: int = 8,
    input_bits: int = 8,
    precision: object = None,
    batch: int = 1,
    weights: str = "preloaded",
    engine: str = "fast",
    allow_unmapped: bool = False,
    progress: Progress | None = None,
) -> Report:
    """Run `batch` inferences of a network on a system, layer by layer, and report.

    `precision` overrides the bits of single operations: a path of a JSON file, or what such a file
    holds (`cimarch.mapping.precision`). `weights="preloaded"` reports the writing of the weights
    apart where all fit at once; `"cold"` counts it in. `engine` is `fast` or `simpy`, which give
    the same times. Raises DescriptionError where the system cannot run the network.
    """
    batch = _checked_batch(batch)
    _check_options(network, weights, engine)
    tell = progress or (lambda stage, share: None)
    tell("place", 0.0)
    skipped, unmapped = _unmapped(network, allow_unmapped)
    bits = read_precision(network, weight_bits, input_bits, precision)
    placement = place(
        system, network, bits, input_bits=input_bits, skipped=skipped, unmapped=unmapped
    )
    tell("program", 0.0)
    program = write_program(placement, batch=batch, weights=weights, progress=progress)
    tell("run", 0.0)
    timeline = run(program.tasks, engine)
    loading = load_program(placement) if program.preloaded and placement.groups else None
    loaded = run(loading.tasks, engine) if loading else None
    tell("report", 0.0)
    options = {
        "weight_bits": weight_bits,
        "input_bits": input_bits,
        "precision": _plain(precision),
        "batch": batch,
        "weights": weights,
        "engine": engine,
        "set": {o.path: o.text for o in system.overrides},
    }
    return report(program, timeline, loading, loaded, batch=batch, options=options)


def report(
    program: Program,
    timeline: Timeline,
    loading: Program | None,
    loaded: Timeline | None,
    *,
    batch: int,
    options: Mapping[str, object],
) -> Report:
    """Everything that is told of a finished run."""
    placement = program.placement
    system, network = placement.system, placement.network
    ledger = Ledger(program, timeline)
    entries = ledger.entries()
    rows = [
        {"part": e.part, "action": e.action, "count": e.count, "joules": e.joules,
         "origin": e.origin}
        for e in entries
    ]  # fmt: skip
    load = Ledger(loading, loaded) if loading and loaded else None
    done = [*ledger.charges(), *(load.charges() if load else ())]
    times = assumed_times(system, done)
    return Report(
        system=system.name,
        network=network.name,
        clock=system.clock,
        cycles=timeline.makespan,
        latency=_first_result(program, timeline),
        interval=_interval(program, timeline, batch),
        load_cycles=loaded.makespan if loaded else _load_cycles(program, timeline),
        load_joules=_known(load) if load else None,
        batch=batch,
        macs=sum(plan.site.anchor.macs for plan in placement.plans if plan.site.is_matrix),
        crossbars=placement.crossbars,
        crossbars_available=placement.available,
        utilisation=placement.utilisation,
        groups=max(1, placement.groups),
        lifetime=_lifetime(program, batch),
        area=system.total("area"),
        power=system.total("power"),
        bound=_bound(ledger, timeline),
        layers=from_rows(LAYERS, ledger.layers()),
        parts=from_rows(PARTS, ledger.parts(entries)),
        ledger=from_rows(LEDGER, rows),
        assumed=(*system.assumed, *placement.assumed, *program.assumed, *times),
        unmapped=placement.unmapped,
        rounded=program.rounded,
        options=options,
        digests=dict(system.sources) | {network.source or network.name: network.digest},
    )


def _checked_batch(batch: object) -> int:
    try:
        count = operator.index(batch)  # type: ignore[arg-type]
    except TypeError:
        raise _out_of_range(f"`batch` is {batch!r}, not a whole number") from None
    if isinstance(batch, bool) or count < 1:
        raise _out_of_range(f"`batch` is {batch!r}, less than 1")
    return count


def _check_options(network: object, weights: object, engine: object) -> None:
    if not isinstance(network, Network):
        helps = ("read one: `cimarch.read_network(path)`",)
        raise _out_of_range(f"the network is {network!r}, not a `cimarch.Network`", *helps)
    if weights not in ("preloaded", "cold"):
        raise _out_of_range(f"`weights` is `{weights}`, neither `preloaded` nor `cold`")
    if engine not in tuple(ENGINES):
        named = ", ".join(f"`{name}`" for name in ENGINES)
        raise _out_of_range(f"`engine` is `{engine}`, not one of {named}")


def _out_of_range(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E049", headline, helps=helps))


def _unmapped(network: Network, allowed: bool) -> tuple[frozenset[str], tuple[str, ...]]:
    """The operations that no part does: a diagnostic, or (allowed) left out with a line."""
    left = [op for op in network.operations if op.kind in UNMAPPED]
    left += [
        op
        for op in network.operations
        if op.kind == "matmul" and op.weight is None and network.has_geometry
    ]
    if left and not allowed:
        op = left[0]
        raise DescriptionError(
            Diagnostic(
                "E241",
                f"`{op.name}` is a `{op.function or op.kind}`, which no part of a system does",
                notes=(f"{len(left)} operations of `{network.name}` are like it",),
                helps=("leave such operations out with `--allow-unmapped`",),
            )
        )
    lines = tuple(f"`{op.name}` ({op.function or op.kind}) is left out" for op in left)
    return frozenset(op.name for op in left), lines


def _plain(precision: object) -> object:
    return os.fspath(precision) if isinstance(precision, Path) else precision


def _load_cycles(program: Program, timeline: Timeline) -> int:
    """Cycles in which the run does nothing but write weights: the loads of its groups."""
    kind = program.columns["kind"]
    tasks = np.flatnonzero((kind == KIND["load"]) | (kind == KIND["write"]))
    if not len(tasks):
        return 0
    key = program.columns["inference"][tasks].astype(np.int64) * (
        int(program.columns["group"].max()) + 1
    ) + program.columns["group"][tasks].astype(np.int64)
    order = np.argsort(key, kind="stable")
    tasks, key = tasks[order], key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    starts = np.minimum.reduceat(timeline.start[tasks], first)
    ends = np.maximum.reduceat(timeline.finish[tasks], first)
    return int((ends - starts).sum())


def _finishes(program: Program, timeline: Timeline) -> np.ndarray:
    """The cycle at which each inference's last task ends."""
    inference = program.columns["inference"].astype(np.int64)
    ends = np.zeros(int(inference.max(initial=0)) + 1, np.int64)
    np.maximum.at(ends, inference, timeline.finish)
    return ends


def _first_result(program: Program, timeline: Timeline) -> int:
    """The latency of the first inference: from cycle 0 to its last result."""
    return int(_finishes(program, timeline)[0]) if len(timeline.finish) else 0


def _interval(program: Program, timeline: Timeline, batch: int) -> float | None:
    if batch < 2:
        return None
    if program.placement.groups > 1:
        return timeline.makespan / batch
    ends = np.sort(_finishes(program, timeline))
    return float(ends[-1] - ends[0]) / (batch - 1)


def _lifetime(program: Program, batch: int) -> float | None:
    """Inferences until the most written cells have had as many writes as their endurance."""
    written = program.columns["tile"][program.columns["kind"] == KIND["write"]].astype(np.int64)
    tiles = program.placement.tiles.take(written)
    worn = []
    for index, pool in enumerate(program.placement.pools):
        arrays = tiles.array[tiles.pool == index]
        if pool.number("endurance") and len(arrays):
            writes = int(np.bincount(arrays).max()) * pool.integer("pulses")
            worn.append(float(pool.number("endurance") * batch / writes))
    return min(worn, default=None)


def _bound(ledger: Ledger, timeline: Timeline) -> Bound | None:
    found = ledger.bound()
    if found is None:
        return None
    at, cycles = found
    return Bound(at.path, (at.lo, at.hi), cycles, cycles / timeline.makespan)


def _known(ledger: Ledger) -> float | None:
    entries = [e for e in ledger.entries() if e.action != "leakage"]
    if any(e.joules is None for e in entries):
        return None
    return sum(e.joules or 0.0 for e in entries)


__all__ = ["Placement", "report", "simulate"]
