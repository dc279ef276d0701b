"""Where a network lies on a chip: a line per operation, and one per pool and resident group.

The same rows are printed, exported and documented; `OPERATIONS` and `POOLS` say what they mean.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from cimarch.diagnostics import printable
from cimarch.hardware.encoding import groups
from cimarch.mapping.placement import Placement, Plan
from cimarch.mapping.precision import Bits
from cimarch.report.columns import Columns, from_rows, to_rows
from cimarch.report.definitions import NAN, Column
from cimarch.report.format import count, percent, plural

SCHEMA = "cimarch.map/1"
"""Name and version of the JSON layout."""

OPERATIONS = (
    Column("name", "text", "operation: the path of its parameters in the model"),
    Column("kind", "text", "conv2d, linear, matmul, pool, add, ..."),
    Column("tail", "text", "operations that its results pass before they are stored", ""),
    Column("pool", "text", "paths of the arrays that hold it; empty: it holds no weights", ""),
    Column("rows", "int", "rows of one group's weight matrix; 0: it holds no weights", 0),
    Column("columns", "int", "columns of one group's weight matrix, before encoding", 0),
    Column("matrices", "int", "channel groups of a convolution, repeats of a table", 0),
    Column("weight_bits", "int", "bits of a weight; of strips those of the highest level", 0),
    Column("input_bits", "int", "bits of an input"),
    Column("strips", "text", "how many strips of several precisions: `8: 43, 4: 101`", ""),
    Column("windows", "int", "products per weight matrix and inference"),
    Column("copies", "int", "how often its weights are held", 0),
    Column("tiles", "int", "pieces of its encoded weight matrix, copies included", 0),
    Column("arrays", "int", "arrays that hold at least one of its tiles", 0),
    Column("word_line_groups", "int", "reads that one product takes per input step", 0),
    Column("first_group", "int", "first resident group that holds a part of it", 0),
    Column("last_group", "int", "last resident group that holds a part of it", 0),
    Column("utilisation", "float", "its cells / cells of its arrays, over its groups", NAN),
    Column("input_from", "text", "homes of what it reads; `*`: rows of it stream in", ""),
    Column("results_to", "text", "where its results are stored", ""),
)

POOLS = (
    Column("pool", "text", "path of the arrays"),
    Column("group", "int", "resident group"),
    Column("operations", "int", "operations with a tile there"),
    Column("tiles", "int", "tiles loaded"),
    Column("arrays", "int", "arrays that hold at least one of them"),
    Column("available", "int", "arrays of the pool"),
    Column("utilisation", "float", "cells that hold weights / cells of those arrays", NAN),
)


def operations(placement: Placement) -> Columns:
    """One row per site, in order of the network."""
    return from_rows(OPERATIONS, [_operation(placement, plan) for plan in placement.plans])


def _operation(placement: Placement, plan: Plan) -> dict[str, object]:
    op = plan.site.anchor
    row: dict[str, object] = {
        "name": op.name,
        "kind": op.kind,
        "tail": ", ".join(other.function or other.kind for other in plan.site.tail),
        "input_bits": plan.bits,
        "windows": op.windows,
        "input_from": _homes(plan),
        "results_to": _stores(plan),
    }
    return row | (_weights(placement, plan) if plan.site.is_matrix else {})


def _weights(placement: Placement, plan: Plan) -> dict[str, object]:
    op, tiles = plan.site.anchor, placement.tiles
    mine = np.flatnonzero(tiles.site == plan.site.index)
    resident = tiles.resident[mine]
    return {
        "pool": ", ".join(pool.path for pool in placement.pools_of(plan)),
        "rows": op.rows,
        "columns": op.columns,
        "matrices": op.groups,
        "weight_bits": placement.bits[op.name].weight,
        "strips": _strips(placement.bits[op.name]),
        "copies": len(plan.copies),
        "tiles": len(mine),
        "arrays": len(np.unique(placement.arrays[mine])),
        "word_line_groups": max(
            len(groups(pool, int(tiles.rows[mine[tiles.pool[mine] == index]].max())))
            for index, pool in enumerate(placement.pools)
            if (tiles.pool[mine] == index).any()
        ),
        "first_group": int(resident.min()),
        "last_group": int(resident.max()),
        "utilisation": placement.utilisation_of(mine),
    }


def _strips(bits: Bits) -> str:
    """How many strips each precision has, the highest first; nothing where all are alike."""
    if bits.strips is None:
        return ""
    counted = zip(bits.strips.bits, bits.strips.counts, strict=True)
    return ", ".join(f"{bits}: {count}" for bits, count in counted if count)


def _homes(plan: Plan) -> str:
    """`tile.edram[0..3]`: members with a copy each; a `*` where its rows stream through; behind
    it where an operand is that is written into the arrays."""
    found = [
        f"{_members(home.path, home.lo, home.hi)}{'' if home.whole else '*'}"
        for home in (*plan.all_homes, *(plan.writing.homes if plan.writing else ()))
        if home is not None
    ]
    return ", ".join(dict.fromkeys(found)) or "at hand"


def _stores(plan: Plan) -> str:
    """Where results go: the places of one part together."""
    places = sorted({store.at for copy in plan.copies for f in copy.flows for store in f.stores})
    found: list[tuple[str, int, int]] = []
    for at in places:
        if found and found[-1][0] == at.path and at.lo <= found[-1][2]:
            found[-1] = (at.path, found[-1][1], max(found[-1][2], at.hi))
        else:
            found.append((at.path, at.lo, at.hi))
    return ", ".join(_members(*each) for each in found) or "nowhere"


def _members(path: str, lo: int, hi: int) -> str:
    return f"{path}[{lo}]" if hi == lo + 1 else f"{path}[{lo}..{hi - 1}]"


def pools(placement: Placement) -> Columns:
    """One row per pool and resident group."""
    return from_rows(POOLS, _pools(placement))


def _pools(placement: Placement) -> Iterator[dict[str, object]]:
    tiles = placement.tiles
    for index, pool in enumerate(placement.pools):
        for group in range(max(1, placement.groups)):
            mine = np.flatnonzero((tiles.pool == index) & (tiles.resident == group))
            yield {
                "pool": pool.path,
                "group": group,
                "operations": len(np.unique(tiles.site[mine])),
                "tiles": len(mine),
                "arrays": len(np.unique(tiles.array[mine])),
                "available": pool.count,
                "utilisation": placement.utilisation_of(mine) if len(mine) else None,
            }


def to_dict(placement: Placement) -> dict[str, Any]:
    """The whole map as plain JSON values, the same for the same placement, byte for byte."""
    return {
        "schema": SCHEMA,
        "system": placement.system.name,
        "network": placement.network.name,
        "crossbars": placement.crossbars,
        "crossbars_available": placement.available,
        "groups": max(1, placement.groups),
        "utilisation": placement.utilisation,
        "operations": to_rows(operations(placement)),
        "pools": to_rows(pools(placement)),
        "assumed": list(placement.assumed),
        "unmapped": list(placement.unmapped),
    }


# Text -------------------------------------------------------------------------------------------

_MOST_GROUPS = 20
"""Pool lines that are printed; more are in the JSON."""


def to_text(placement: Placement) -> str:
    """The map as a page for a terminal."""
    lines = [headline(placement), ""]
    lines += _table(_OPERATION_HEADS, map(_operation_cells, to_rows(operations(placement))))
    listed = to_rows(pools(placement))
    lines += ["", *_table(_POOL_HEADS, map(_pool_cells, listed[:_MOST_GROUPS]))]
    if len(listed) > _MOST_GROUPS:
        lines.append(f"... and {len(listed) - _MOST_GROUPS} more, in the JSON")
    if any("*" in str(row["input_from"]) for row in to_rows(operations(placement))):
        lines += ["", "*: rows stream through, as there is no room for all of them"]
    for title, sentences in (("assumed", placement.assumed), ("unmapped", placement.unmapped)):
        if sentences:
            lines += ["", f"{title}:", *(f"  {printable(line)}" for line in sentences)]
    return "\n".join(lines)


def headline(placement: Placement) -> str:
    """What lies on what, and how full it is."""
    return printable(
        f"{placement.network.name} on {placement.system.name}: {count(placement.crossbars)} of "
        f"{plural(placement.available, 'array')}, {percent(placement.utilisation)} of their "
        f"cells, {plural(max(1, placement.groups), 'resident group')}"
    )


_OPERATION_HEADS = (
    "operation", "tail", "pool", "matrix", "bits", "copies", "tiles", "arrays", "group", "used",
    "input from", "results to",
)  # fmt: skip


def _operation_cells(row: dict[str, Any]) -> tuple[str, ...]:
    held = bool(row["rows"])
    times = f" x {row['matrices']}" if row["matrices"] > 1 else ""
    first, last = row["first_group"], row["last_group"]
    weights = (
        row["pool"],
        f"{row['rows']} x {row['columns']}{times}",
        f"{_weight_bits(row)}/{row['input_bits']}",
        count(row["copies"]),
        count(row["tiles"]),
        count(row["arrays"]),
        str(first) if first == last else f"{first}..{last}",
        percent(row["utilisation"]),
    )
    name = row["name"] if held else f"{row['name']} ({row['kind']})"
    where = (row["input_from"], row["results_to"])
    return (name, row["tail"] or "-", *(weights if held else ("-",) * len(weights)), *where)


def _weight_bits(row: dict[str, Any]) -> str:
    """The precision of weights; of strips all that they have."""
    if not row["strips"]:
        return str(row["weight_bits"])
    return " ".join(each.split(":")[0] for each in row["strips"].split(", "))


_POOL_HEADS = ("pool", "group", "operations", "tiles", "arrays", "of", "used")


def _pool_cells(row: dict[str, Any]) -> tuple[str, ...]:
    numbers = [count(row[name]) for name in ("operations", "tiles", "arrays", "available")]
    used = "-" if row["utilisation"] is None else percent(row["utilisation"])
    return (row["pool"], str(row["group"]), *numbers, used)


_LEFT = frozenset({"operation", "tail", "pool", "input from", "results to"})


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of columns, words left and numbers right."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(heads), *cells]) for i in range(len(heads))]
    return [
        "  ".join(
            cell.ljust(width) if head in _LEFT else cell.rjust(width)
            for cell, width, head in zip(row, widths, heads, strict=True)
        ).rstrip()
        for row in [list(heads), *cells]
    ]
