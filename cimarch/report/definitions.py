"""What every figure and column of a report means: one table, printed, exported and documented.

`FIGURES` are single numbers, `LAYERS`, `PARTS`, `LEDGER` and `ENERGY` the columns of the tables.
The foot of the terminal report, `docs/report.md` and the JSON names all come from here.
"""

from __future__ import annotations

from typing import Literal

import attrs

SCHEMA = "cimarch.report/1"
"""Name and version of the JSON and CSV layout; the number grows when a name or meaning changes."""


@attrs.frozen
class Figure:
    """One number of the summary."""

    key: str
    """Its name in JSON, with its unit where it has one that is not said by the word."""
    attribute: str
    """The attribute of `Report` that holds it."""
    definition: str
    scale: int = 1
    """JSON value = attribute x scale (attributes are in SI base units)."""


@attrs.frozen
class Column:
    """One column of a table."""

    name: str
    """With its unit where it has one."""
    type: Literal["int", "float", "text"]
    """`float` columns may hold unknown values: NaN in numpy, null in JSON, empty in CSV."""
    definition: str
    default: int | float | str | None = None
    """Taken where a row does not say; None: every row must."""


NAN = float("nan")

FIGURES = (
    Figure("cycles", "cycles", "system clock cycles from the run's begin to its last event"),
    Figure("seconds", "seconds", "cycles / system clock"),
    Figure(
        "joules",
        "joules",
        "energy of the run: the sum of the ledger, and of `energy`; null as soon as one action has"
        " no known cost",
    ),
    Figure("joules_per_inference", "joules_per_inference", "joules / batch"),
    Figure(
        "dynamic_joules",
        "dynamic_joules",
        "energy of what was done: joules without `leakage`, `idle` and `gated`; null if not known",
    ),
    Figure(
        "static_joules",
        "static_joules",
        "energy that is paid for time: the rows `leakage`, `idle` and `gated` of the ledger",
    ),
    Figure(
        "on_chip_joules",
        "on_chip_joules",
        "energy of the parts that are on the chip; null if not known",
    ),
    Figure(
        "off_chip_joules",
        "off_chip_joules",
        "energy spent beside the chip: of `dram`, of `host`, and of links with `off_chip = true`;"
        " null if not known",
    ),
    Figure(
        "modelled_joules",
        "modelled_joules",
        "energy that a cost model gave, not the description: rows of origin `model ...`",
    ),
    Figure(
        "load_cycles",
        "load_cycles",
        "cycles to write weights: before the run and beside `cycles` where all fit at once and are"
        " preloaded, else the part of `cycles` in which groups are loaded",
    ),
    Figure("load_seconds", "load_seconds", "load_cycles / system clock"),
    Figure(
        "load_joules",
        "load_joules",
        "energy of what that load does, beside `joules`; what leaks meanwhile is not in it; null if"
        " not known",
    ),
    Figure(
        "latency_cycles",
        "latency",
        "cycles from the first input in to the first result out, of the first inference",
    ),
    Figure(
        "interval_cycles",
        "interval",
        "steady distance in cycles between results of a batch; null for a batch of 1",
    ),
    Figure("inferences_per_second", "throughput", "batch / seconds"),
    Figure("macs", "macs", "multiply-accumulates of one inference, all operations"),
    Figure("crossbars", "crossbars", "crossbar arrays that hold weights at least once"),
    Figure("crossbars_available", "crossbars_available", "crossbar arrays that the system has"),
    Figure(
        "peak_arrays",
        "peak_arrays",
        "the most crossbar arrays that are held at one time, by products or by writes",
    ),
    Figure("tasks", "tasks", "tasks of the run: reads, conversions, transfers, additions, ..."),
    Figure(
        "alike_tasks",
        "alike_tasks",
        "tasks that the engine did not run because others provably run at the same times",
    ),
    Figure(
        "skipped_tasks",
        "skipped_tasks",
        "tasks that the engine added up because the state of the run repeats",
    ),
    Figure(
        "utilisation",
        "utilisation",
        "cells that hold weights / cells of the crossbars allocated, over all resident groups",
    ),
    Figure("groups", "groups", "resident groups: how often the chip is filled for one inference"),
    Figure(
        "lifetime_inferences",
        "lifetime",
        "inferences until the cells written most are worn out: endurance x batch / (writes of"
        " the run x pulses of a write); null where no endurance is stated or nothing is written",
    ),
    Figure("area_mm2", "area", "sum of the area of all instances of all parts", 1_000_000),
    Figure(
        "modelled_area_mm2",
        "modelled_area",
        "area that a cost model gave, not the description, of that sum",
        1_000_000,
    ),
    Figure("peak_power_W", "power", "sum of the power of all instances, all busy at once"),
    Figure(
        "drawn_peak_W",
        "drawn_peak",
        "the most power drawn in any cycle, the energy of a task spread evenly over the cycles that"
        " it holds its part; null unless power over time was asked for",
    ),
    Figure("leakage_W", "leakage", "sum of the leakage of all instances, none switched off"),
    Figure(
        "tops_per_watt",
        "tops_per_watt",
        "2 x macs x batch / joules / 10^12 (one multiply-accumulate is two operations),"
        " at the precision of the run; null without joules",
    ),
    Figure(
        "input_density",
        "input_density",
        "how full inputs are, where a cost reads it: the mean over the multiply-accumulates; null"
        " where none does",
    ),
    Figure("weight_density", "weight_density", "the same of weights"),
    Figure(
        "gops_per_mm2",
        "gops_per_mm2",
        "2 x macs x batch / seconds / area_mm2 / 10^9, at the precision of the run;"
        " null where no area is stated",
    ),
)

LAYERS = (
    Column("name", "text", "operation: the path of its parameters in the model"),
    Column("kind", "text", "conv2d, linear, matmul, pool, add, ..."),
    Column("first_group", "int", "first resident group that holds a part of it, from 0", 0),
    Column("last_group", "int", "last resident group that holds a part of it", 0),
    Column("windows", "int", "products per weight matrix and inference"),
    Column("rows", "int", "rows of one group's weight matrix; 0: holds no weights", 0),
    Column("columns", "int", "columns of one group's weight matrix, before encoding", 0),
    Column("weight_bits", "int", "bits of a weight; 0: holds no weights", 0),
    Column("input_bits", "int", "bits of an input", 0),
    Column("copies", "int", "how often its weights are held (duplication)", 1),
    Column("tiles", "int", "pieces of its encoded weight matrix, copies included", 0),
    Column("crossbars", "int", "arrays that hold at least one of its tiles", 0),
    Column("utilisation", "float", "its cells / cells of those arrays", NAN),
    Column("start_cycle", "int", "cycle of its first event"),
    Column("finish_cycle", "int", "cycle of its last event"),
    Column("cycles", "int", "finish_cycle - start_cycle"),
    Column("share", "float", "cycles / cycles of the run; operations may overlap", NAN),
    Column("products", "int", "windows x tiles done: vectors put to arrays", 0),
    Column("conversions", "int", "analog to digital conversions", 0),
    Column("writes", "int", "arrays written during the run", 0),
    Column("joules", "float", "sum of its rows in `energy`; unknown if any action's cost is", NAN),
    Column("bound_by", "text", "path of the part that is busy longest for it", ""),
    Column(
        "waited_at",
        "text",
        "resource (path and instances) whose queue its tasks wait in longest",
        "",
    ),
    Column("waited_cycles", "int", "cycles that they wait there for others, added up", 0),
)

PARTS = (
    Column("path", "text", "dotted path, as in `--set`; empty: the system itself"),
    Column("kind", "text", "the component of the library that it is"),
    Column("count", "int", "instances in the system"),
    Column("used", "int", "instances that did something", 0),
    Column("area_mm2", "float", "all instances, without the parts inside", NAN),
    Column(
        "area_origin",
        "text",
        "where its area comes from: `stated`, `model ...`; empty: it has none",
        "",
    ),
    Column("power_mW", "float", "all instances busy, without the parts inside", NAN),
    Column(
        "leakage_mW", "float", "all instances, none switched off, without the parts inside", NAN
    ),
    Column("leakage_origin", "text", "where its leakage comes from, as of its area", ""),
    Column("busy_cycles", "int", "of the busiest instance", 0),
    Column("busy_share", "float", "busy_cycles / cycles of the run", NAN),
    Column("joules", "float", "sum of its rows in the ledger", NAN),
    Column(
        "off_chip",
        "int",
        "1: its energy is spent beside the chip (a dram, a host, a link with `off_chip`); else 0",
        0,
    ),
    Column("origin", "text", "where its energy comes from, as in the ledger", ""),
)

_ACTION = (
    "read, write, convert, ...; and, paid for time, of all instances: `leakage`; `idle`, beside it"
    " while not busy; `gated`, in place of both while not busy"
)
_ORIGIN = (
    "`stated`: an energy or a power paid for time, in the description; `from power`: power x busy"
    " time; `model ...`: a named cost model; `none`: nobody says, so joules is unknown"
)

LEDGER = (
    Column("part", "text", "path of the part"),
    Column("action", "text", _ACTION),
    Column("count", "int", "how often, over all instances and the whole run"),
    Column("joules", "float", "energy of all of them: the sum of their rows in `energy`", NAN),
    Column("origin", "text", _ORIGIN),
)

ENERGY = (
    Column(
        "operation",
        "text",
        "what it was done for: the `name` of a layer; empty: for none, as bringing inputs, and what"
        " is paid for time",
    ),
    Column("part", "text", "path of the part"),
    Column("action", "text", "as in the ledger"),
    Column("count", "int", "how often, over all instances and the whole run"),
    Column(
        "joules",
        "float",
        "energy of all of them: a whole multiple of one power of two, the same for all rows, so"
        " that sums of rows are exact in any order, and that of all is the float nearest to the"
        " total",
        NAN,
    ),
    Column("origin", "text", "as in the ledger"),
)

BOUNDS = (
    Column("operation", "text", "the `name` of a layer"),
    Column("part", "text", "path of a part, or a wire, that its tasks hold or wait for"),
    Column("busy_cycles", "int", "cycles that it holds the member that it holds longest"),
    Column("waited_cycles", "int", "cycles that its tasks wait in the queues of all members"),
)
"""The columns of `bounds`, which is written where it is asked for, and not part of the JSON."""

TABLES: dict[str, tuple[Column, ...]] = {
    "layers": LAYERS,
    "parts": PARTS,
    "ledger": LEDGER,
    "energy": ENERGY,
}
"""The columns of each table by the table's name."""
