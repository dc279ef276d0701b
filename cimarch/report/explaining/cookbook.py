"""The recipe of each figure and of each column: what `explain` says a number is made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from cimarch.program.energy import STATIC
from cimarch.report.explaining.cells import Row, of_parts, told
from cimarch.report.explaining.priced import load_prices, prices
from cimarch.report.explaining.provenance import Term
from cimarch.report.explaining.recipes import (
    Cell,
    Recipe,
    Terms,
    beside,
    both,
    figures,
    origin_of,
    rows,
)
from cimarch.units import AREA, POWER, Quantity, show


def _run(how: str, unit: str = "") -> Recipe:
    return Recipe("run", how, unit=unit)


def _placed(how: str, unit: str = "") -> Recipe:
    return Recipe("placement", how, unit=unit)


def _network(how: str) -> Recipe:
    return Recipe("network", how)


def _sum(how: str, terms: Terms, unit: str) -> Recipe:
    return Recipe("sum", how, terms, unit=unit)


# --------------------------------------------------------------------------- figures


def _joules(chosen: Callable[[Cell, Row], bool]) -> Terms:
    """Rows of the ledger; those of actions that never happened have no part in a sum."""
    return rows("ledger", "joules", lambda cell, row: bool(row["count"]) and chosen(cell, row))


def _off_chip(cell: Cell, row: Row) -> bool:
    return bool(of_parts(cell.report, "off_chip").get(row["part"], 0))


def _is_modelled(name: str) -> Callable[[Cell, Row], bool]:
    return lambda cell, row: str(row[name]).startswith("model ")


def _endurance(cell: Cell) -> Iterator[Term]:
    """Per pool with an endurance: its inferences, and what they are worked out from."""
    for path, writes in cell.basis.writes.items() if cell.basis else ():
        pool = cell.basis.system.part(path) if cell.basis else None
        if pool is None or not pool.number("endurance"):
            continue
        endurance, pulses = pool.number("endurance"), pool.integer("pulses")
        inferences = float(endurance * cell.report.batch / (writes * pulses))
        worked = f"{show(Quantity(endurance))} * {cell.report.batch} / ({writes:,} * {pulses})"
        yield Term(
            path, inferences, told(inferences, ""), f"{path}.endurance", None, worked,
            origin=origin_of(cell, path, "endurance"),
        )  # fmt: skip


def _clock(cell: Cell) -> Iterator[Term]:
    """The line that states the clock of the system."""
    origin = origin_of(cell, "", "clock")
    if origin is not None:
        yield Term("clock", float(cell.report.clock), origin.told, "clock", origin=origin)


def _latest(cell: Cell) -> Iterator[Term]:
    """The operation that ends last."""
    names, ends = (cell.report.layers[name].tolist() for name in ("name", "finish_cycle"))
    if ends:
        last = max(range(len(ends)), key=ends.__getitem__)
        address = f"layers[{names[last]}].finish_cycle"
        yield Term(
            f"finish_cycle of {names[last]}", ends[last], told(ends[last], "cycles"), address
        )


_FIGURES: Mapping[str, Recipe] = {
    "cycles": Recipe(
        "formula", "the last finish_cycle of all operations", _latest, lambda last: last, "cycles"
    ),
    "seconds": Recipe(
        "formula", "cycles / clock_Hz", figures("cycles", "clock_Hz"), lambda c, f: c / f, "s"
    ),
    "joules": _sum("all rows of the ledger", _joules(lambda cell, row: True), "J"),
    "joules_per_inference": Recipe(
        "formula", "joules / batch", figures("joules", "batch"), lambda j, n: j / n, "J"
    ),
    "dynamic_joules": _sum(
        "the rows of the ledger that are not paid for time",
        _joules(lambda cell, row: row["action"] not in STATIC), "J",
    ),
    "static_joules": _sum(
        "the rows `leakage`, `idle` and `gated` of the ledger",
        _joules(lambda cell, row: row["action"] in STATIC), "J",
    ),
    "on_chip_joules": _sum(
        "the rows of the ledger of parts on the chip",
        _joules(lambda cell, row: not _off_chip(cell, row)), "J",
    ),
    "off_chip_joules": _sum(
        "the rows of the ledger of parts beside the chip", _joules(_off_chip), "J"
    ),
    "modelled_joules": _sum(
        "the rows of the ledger whose origin is a model", _joules(_is_modelled("origin")), "J"
    ),
    "load_cycles": _run("from the begin of writing weights to its end", "cycles"),
    "load_seconds": Recipe(
        "formula", "load_cycles / clock_Hz", figures("load_cycles", "clock_Hz"),
        lambda c, f: c / f, "s",
    ),
    "load_joules": _sum("all that the load does, each action at its price", load_prices, "J"),
    "latency_cycles": _run("the end of the last task of the first inference", "cycles"),
    "interval_cycles": _run(
        "(end of the last inference - end of the first) / (batch - 1); cycles / batch where weights"
        " are loaded on the way", "cycles",
    ),
    "inferences_per_second": Recipe(
        "formula", "batch / seconds", figures("batch", "seconds"), lambda n, s: n / s
    ),
    "macs": _network("multiplications of all operations: rows * columns * windows * groups, each"),
    "crossbars": _placed("arrays with at least one tile"),
    "crossbars_available": Recipe(
        "sum", "the arrays of all pools",
        rows("parts", "count", lambda cell, row: row["kind"] in ("crossbar", "digital_array")),
    ),
    "peak_arrays": _run("the most arrays that are held at any cycle"),
    "tasks": _run("tasks of the program"),
    "alike_tasks": _run("tasks whose times follow from others by symmetry"),
    "skipped_tasks": _run("tasks that were added up once the run repeated itself"),
    "utilisation": _placed("cells that hold weights / cells of the arrays with a tile", "share"),
    "groups": _placed("how often all arrays are filled anew"),
    "lifetime_inferences": Recipe(
        "formula", "the least of endurance * batch / (writes of a cell * pulses), over the pools",
        _endurance, lambda *each: min(each, default=None),
    ),
    "area_mm2": _sum("the areas of all parts", rows("parts", "area_mm2"), "mm2"),
    "modelled_area_mm2": _sum(
        "the areas that a model gave", rows("parts", "area_mm2", _is_modelled("area_origin")), "mm2"
    ),
    "peak_power_W": Recipe(
        "formula", "the powers of all parts, in mW, / 1000", rows("parts", "power_mW"),
        lambda *each: sum(each) / 1000, "W",
    ),
    "leakage_W": Recipe(
        "formula", "the leakages of all parts, in mW, / 1000", rows("parts", "leakage_mW"),
        lambda *each: sum(each) / 1000, "W",
    ),
    "drawn_peak_W": _run("the most power that tasks and time draw together at any cycle", "W"),
    "input_density": _run(
        "(densities of all operations * their multiply-accumulates) / multiply-accumulates"
    ),
    "weight_density": _run(
        "(densities of all operations * their multiply-accumulates) / multiply-accumulates"
    ),
    "tops_per_watt": Recipe(
        "formula", "2 * macs * batch / joules / 10^12", figures("macs", "batch", "joules"),
        lambda m, n, j: 2 * m * n / j / 1e12 if j else None,
    ),
    "gops_per_mm2": Recipe(
        "formula", "2 * macs * batch / seconds / area_mm2 / 10^9",
        figures("macs", "batch", "seconds", "area_mm2"),
        lambda m, n, s, a: 2 * m * n / s / a / 1e9 if s and a else None,
    ),
    "clock_Hz": Recipe("system", "the clock of the system", _clock, unit="Hz"),
    "batch": Recipe("asked", "--batch"),
    "bound.path": _run("the part of the instance that is held longest"),
    "bound.busy": _run("cycles of all tasks that hold it", "cycles"),
    "bound.share": Recipe(
        "formula", "bound.busy / cycles", figures("bound.busy", "cycles"), lambda b, c: b / c,
        "share",
    ),
    "bound.delays": _run("the operation whose tasks wait longest there"),
    "bound.waited": _run("cycles from ready to start there, of all its tasks", "cycles"),
}  # fmt: skip

# ---------------------------------------------------------------------------- layers


def _of_operation(cell: Cell, row: Row) -> bool:
    return bool(row["operation"] == cell.row["name"])


def _converts(cell: Cell, row: Row) -> bool:
    is_adc = of_parts(cell.report, "kind").get(row["part"]) == "adc"
    return _of_operation(cell, row) and is_adc and row["action"] == "convert"


_LAYERS: Mapping[str, Recipe] = {
    "name": _network("the path of its parameters"),
    "kind": _network("what it does"),
    "first_group": _placed("of the group that its first tile lies in"),
    "last_group": _placed("of the group that its last tile lies in"),
    "windows": _network("positions that its weights are multiplied at"),
    "rows": _network("inputs of one of its weight matrices"),
    "columns": _network("outputs of one of its weight matrices"),
    "weight_bits": Recipe("asked", "--weight-bits, or its line in --precision"),
    "input_bits": Recipe("asked", "--input-bits, or its line in --precision"),
    "copies": _placed("as --duplicate says, where arrays are free"),
    "tiles": _placed("encoded columns and rows, cut to the size of an array"),
    "crossbars": _placed("arrays with at least one of its tiles"),
    "utilisation": _placed("cells of its tiles / cells of those arrays", "share"),
    "start_cycle": _run("the start of its first task", "cycles"),
    "finish_cycle": _run("the end of its last task", "cycles"),
    "cycles": Recipe(
        "formula", "finish_cycle - start_cycle", beside("finish_cycle", "start_cycle"),
        lambda last, first: last - first, "cycles",
    ),
    "share": Recipe(
        "formula", "cycles / cycles of the run", both(beside("cycles"), figures("cycles")),
        lambda own, all_: own / all_ if all_ else None, "share",
    ),
    "products": _run("counted: vectors put to arrays, all copies and the whole batch"),
    "conversions": _sum(
        "its rows of `energy` that are conversions", rows("energy", "count", _converts), ""
    ),
    "writes": _run("counted: arrays written"),
    "joules": _sum("its rows of `energy`", rows("energy", "joules", _of_operation), "J"),
    "bound_by": _run("the part whose instance its tasks hold longest"),
    "waited_at": _run("the resource in whose queue its tasks stand longest, all together"),
    "waited_cycles": _run("cycles from ready to start there, of all its tasks", "cycles"),
}  # fmt: skip

# ----------------------------------------------------------------------------- parts


def _own(name: str) -> Terms:
    """Instances times what one of them has: area, power or leakage."""

    def give(cell: Cell) -> Iterator[Term]:
        if cell.basis is None:
            return
        part = cell.basis.system.part(str(cell.row["path"]))
        each = getattr(part, name)
        value = float(each * part.count * _PER[name][1])
        one = show(Quantity(each, _PER[name][0]))
        address = f"{part.path}.{name}" if part.path else name
        yield Term(
            "instances", value, told(value, "mm2" if name == "area" else "mW"), address,
            part.count, one, origin=origin_of(cell, part.path, name),
        )  # fmt: skip

    return give


_PER = {"area": (AREA, 10**6), "power": (POWER, 1000), "leakage": (POWER, 1000)}


def _instances(cell: Cell) -> Iterator[Term]:
    """The sizes that are multiplied."""
    path = str(cell.row["path"])
    origin = origin_of(cell, path, "count")
    if origin is not None:
        address = f"{path}.count" if path else "count"
        yield Term("instances", cell.row["count"], origin.told, address, origin=origin)


def _of_part(cell: Cell, row: Row) -> bool:
    return bool(row["part"] == cell.row["path"]) and bool(row["count"] or row["joules"])


_PARTS: Mapping[str, Recipe] = {
    "path": Recipe("system", "names from the system down"),
    "kind": Recipe("system", "the library's component at the bottom of its type"),
    "count": Recipe("system", "sizes of its array and of all that hold it, multiplied", _instances),
    "used": _run("instances that a task held, or that worked with an array"),
    "area_mm2": _sum("instances * own area", _own("area"), "mm2"),
    "area_origin": Recipe("system", "who says its area", _own("area")),
    "power_mW": _sum("instances * own power", _own("power"), "mW"),
    "leakage_mW": _sum("instances * own leakage", _own("leakage"), "mW"),
    "leakage_origin": Recipe("system", "who says its leakage", _own("leakage")),
    "busy_cycles": _run("cycles that its busiest instance is held, or serves an array", "cycles"),
    "busy_share": Recipe(
        "formula", "busy_cycles / cycles of the run",
        both(beside("busy_cycles"), figures("cycles")),
        lambda own, all_: own / all_ if all_ else None, "share",
    ),
    "joules": _sum("its rows of the ledger", rows("ledger", "joules", _of_part), "J"),
    "energy_share": Recipe(
        "formula", "joules / joules of the run", both(beside("joules"), figures("joules")),
        lambda own, all_: own / all_ if all_ else None, "share",
    ),
    "off_chip": Recipe("system", "1 for a dram, a host, and what states `off_chip = true`"),
    "origin": Recipe("system", "of its rows of the ledger", rows("ledger", "joules", _of_part)),
}  # fmt: skip

# -------------------------------------------------------------------- ledger, energy


def _of_line(cell: Cell, row: Row) -> bool:
    return all(row[name] == cell.row[name] for name in ("part", "action", "origin"))


_LEDGER: Mapping[str, Recipe] = {
    "part": Recipe("system", "what does the action"),
    "action": Recipe("system", "what is done, or what time is paid for"),
    "count": _sum("its rows of `energy`", rows("energy", "count", _of_line), ""),
    "joules": _sum("its rows of `energy`", rows("energy", "joules", _of_line), "J"),
    "origin": Recipe("system", "who says what one costs", rows("energy", "joules", _of_line)),
}

_ENERGY: Mapping[str, Recipe] = {
    "operation": _network("what its tasks work for"),
    "part": Recipe("system", "what does the action"),
    "action": Recipe("system", "what is done, or what time is paid for"),
    "count": _run("counted, task by task; of what time is paid for, the instances"),
    "joules": _sum("count * energy of one; watts * seconds where time is paid for", prices, "J"),
    "origin": Recipe("system", "who says what one costs", prices),
}

_BOUNDS: Mapping[str, Recipe] = {
    "operation": _network("what the tasks work for"),
    "part": Recipe("system", "what they hold, or wait for"),
    "busy_cycles": _run("cycles of its tasks at the member that they hold longest", "cycles"),
    "waited_cycles": _run("cycles from ready to start, of its tasks at all members", "cycles"),
}

RECIPES: Mapping[str, Mapping[str, Recipe]] = {
    "": _FIGURES,
    "layers": _LAYERS,
    "parts": _PARTS,
    "ledger": _LEDGER,
    "energy": _ENERGY,
    "bounds": _BOUNDS,
}
"""By table and name; the empty table holds the figures."""
