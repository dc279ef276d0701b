"""A placement as a file: which array holds which tile, to be looked at, changed and placed again.

The file is JSON. `operations` are the matrix products with their bits and how they are cut; each of
`tiles` is a row of the `columns`: the place of its operation, which copy of its weights, which of
its channel groups, column blocks and row blocks, the place of its pool, the array within it, its
first column there and its resident group. It fits the description and the network it was made of,
told by digests; `--set` may differ, as long as every tile still has its place.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic, listing
from cimarch.hardware.system import Part, System
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site
from cimarch.mapping.tiling import Arrays, Cut, Ints, Tiles, Wish, tiles_of
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network

SCHEMA = "cimarch.placement/1"
COLUMNS = (
    "operation", "copy", "channel_group", "column_block", "row_block", "pool", "array",
    "at_column", "group",
)  # fmt: skip


# Saved ------------------------------------------------------------------------------------------


def to_dict(placement: Placement) -> dict[str, Any]:
    """A placement as plain JSON values, the same for the same placement, byte for byte.

    Raises DescriptionError where it holds strips of several precisions.
    """
    _refuse_strips(placement.bits)
    matrices = [plan for plan in placement.plans if plan.site.is_matrix]
    place = {plan.site.index: i for i, plan in enumerate(matrices)}
    t = placement.tiles
    operation = [place[site] for site in t.site.tolist()]
    rows = zip(
        operation, t.copy.tolist(), t.channel_group.tolist(), t.column_block.tolist(),
        t.row_block.tolist(), t.pool.tolist(), t.array.tolist(), t.at_column.tolist(),
        t.resident.tolist(), strict=True,
    )  # fmt: skip
    return {
        "schema": SCHEMA,
        "system": {"name": placement.system.name, "digest": system_digest(placement.system)},
        "network": {"name": placement.network.name, "digest": network_digest(placement.network)},
        "pools": [pool.path for pool in placement.pools],
        "operations": [
            {
                "name": plan.site.anchor.name,
                "weight_bits": placement.bits[plan.site.anchor.name].weight,
                "input_bits": placement.bits[plan.site.anchor.name].input,
                "groups_of_word_lines": int(t.reads[t.site == plan.site.index][0]),
            }
            for plan in matrices
        ],
        "columns": list(COLUMNS),
        "tiles": [list(row) for row in rows],
    }


def _refuse_strips(bits: Mapping[str, Bits]) -> None:
    """Raise DescriptionError for strips: their tiles follow from the precision policy."""
    for name, each in bits.items():
        if each.strips is not None:
            raise DescriptionError(
                Diagnostic(
                    "E463",
                    f"the strips of `{name}` are kept in no placement file",
                    helps=("keep the precision policy: strips are placed alike every time",),
                )
            )


def to_text(placement: Placement) -> str:
    """A placement as the text of a file, a tile a line."""
    found = to_dict(placement)
    tiles = found.pop("tiles")
    head = json.dumps(found, indent=2)
    lines = ",\n".join(f"    {json.dumps(row)}" for row in tiles)
    body = f"[\n{lines}\n  ]" if tiles else "[]"
    return f'{head[:-2]},\n  "tiles": {body}\n}}\n'


def system_digest(system: System) -> str:
    """A digest of the files that a system was read from."""
    return _digest([digest for _, digest in system.sources])


def network_digest(network: Network) -> str:
    """A digest of the operations that are placed: their names, shapes and order."""
    return _digest(
        [
            f"{op.name} {op.kind} {op.rows} {op.columns} {op.groups} {op.windows}"
            for op in network.operations
        ]
    )


def _digest(texts: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(texts).encode("utf-8")).hexdigest()


# Read -------------------------------------------------------------------------------------------

Saved = str | Path | Mapping[str, Any] | Placement
"""A placement file's path, what such a file holds, or a placement itself."""


def read_saved(saved: Saved) -> Mapping[str, Any]:
    """What a placement file holds; DescriptionError where it is none."""
    if isinstance(saved, Placement):
        return to_dict(saved)
    content: object = saved
    where = "the placement"
    if isinstance(saved, (str, Path)):
        where = f"the placement file `{saved}`"
        content = _read(Path(saved))
    if not isinstance(content, Mapping) or content.get("schema") != SCHEMA:
        raise _wrong(
            f"{where} has not the schema `{SCHEMA}`",
            helps=("write one: `cimarch map ARCH MODEL -o placement.json`",),
        )
    return content


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _wrong(f"the placement file `{path}` cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the placement file `{path}` is not JSON: {error}") from None


def _wrong(
    headline: str, *, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
) -> DescriptionError:
    return DescriptionError(Diagnostic("E205", headline, notes=notes, helps=helps))


def saved_tiles(
    saved: Saved,
    system: System,
    network: Network,
    sites: Sequence[Site],
    wirings: Sequence[Wiring],
    bits: Mapping[str, Bits],
) -> Tiles:
    """The tiles of a saved placement, checked against the system and the network.

    Raises DescriptionError where it was made of another description or network, names what is not
    there, leaves a weight out, holds one twice, or puts two tiles on the same cells.
    """
    _refuse_strips(bits)
    content = read_saved(saved)
    _check_digests(content, system, network)
    pools = tuple(wiring.pool for wiring in wirings)
    matrices = [site for site in sites if site.is_matrix]
    entries = _operations(content, matrices, bits)
    rows = _rows(content, len(entries), _pools(content, pools), pools)
    tables = [
        _Reader(site, bits[site.anchor.name], entry, pools).table(rows[rows[:, 0] == i])
        for i, (site, entry) in enumerate(zip(matrices, entries, strict=True))
    ]
    tiles = Tiles.joined(tables)
    _check_cells(tiles, matrices, pools)
    _check_groups(tiles, matrices)
    return tiles


def _check_digests(content: Mapping[str, Any], system: System, network: Network) -> None:
    for what, name, digest in (
        ("system", system.name, system_digest(system)),
        ("network", network.name, network_digest(network)),
    ):
        found = content.get(what)
        if not isinstance(found, Mapping) or found.get("digest") != digest:
            made = found.get("name") if isinstance(found, Mapping) else None
            raise _wrong(
                f"the placement was made of another {what} than this `{name}`",
                notes=(f"it was made of `{made}`, digest `{_start(found)}`",
                       f"this one has the digest `{digest[:12]}`"),
                helps=("map the network anew: `cimarch map ARCH MODEL -o placement.json`",),
            )  # fmt: skip


def _start(found: object) -> str:
    return str(found.get("digest"))[:12] if isinstance(found, Mapping) else "none"


@attrs.frozen
class _Entry:
    """How a placement file says that an operation is cut."""

    reads: int


def _operations(
    content: Mapping[str, Any], matrices: Sequence[Site], bits: Mapping[str, Bits]
) -> list[_Entry]:
    listed = content.get("operations")
    if not isinstance(listed, list) or not all(isinstance(e, Mapping) for e in listed):
        raise _wrong("the placement's `operations` is not a list of objects")
    names = [site.anchor.name for site in matrices]
    given = [entry.get("name") for entry in listed]
    for name in given:
        if name not in names:
            raise _wrong(f"the placement holds `{name}`, which is no matrix operation that is run")
    if given != names:
        missing = [name for name in names if name not in given]
        if missing:
            raise _wrong(f"the placement holds no weights of `{missing[0]}`")
        raise _wrong("the placement's operations are not once each in the order of the network")
    for entry in listed:
        _check_bits(entry, bits[entry["name"]])
    limit = 1 << 16
    return [_Entry(_whole(e, "groups_of_word_lines", limit)) for e in listed]


def _check_bits(entry: Mapping[str, Any], bits: Bits) -> None:
    for key, now in (("weight_bits", bits.weight), ("input_bits", bits.input)):
        if entry.get(key) != now:
            flag = key.replace("_", "-")
            raise _wrong(
                f"the placement has `{entry['name']}` at {key} {entry.get(key)}, the run at {now}",
                helps=(f"run it with `--{flag} {entry.get(key)}`, or map it anew",),
            )


def _whole(entry: Mapping[str, Any], key: str, limit: int) -> int:
    value = entry.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
        raise _wrong(f"`{key}` of `{entry['name']}` in the placement is {value!r}")
    return value


def _pools(content: Mapping[str, Any], pools: Sequence[Part]) -> list[int]:
    """What the file's pool numbers mean here."""
    listed = content.get("pools")
    paths = [pool.path for pool in pools]
    if not isinstance(listed, list) or not all(isinstance(path, str) for path in listed):
        raise _wrong("the placement's `pools` is not a list of paths")
    for path in listed:
        if path not in paths:
            raise _wrong(
                f"the placement's pool `{path}` is no crossbar or digital array of the system",
                notes=(f"they are {listing(paths)}",),
            )
    return [paths.index(path) for path in listed]


def _rows(
    content: Mapping[str, Any], operations: int, known: Sequence[int], pools: Sequence[Part]
) -> Ints:
    """The tiles of a file as a table, its numbers in range and its pools by their place here."""
    if content.get("columns") != list(COLUMNS):
        raise _wrong(f"the placement's `columns` are not {listing(COLUMNS)}")
    listed = content.get("tiles")
    if not isinstance(listed, list):
        raise _wrong("the placement's `tiles` is not a list")
    most = {"operation": operations, "pool": len(known)}
    for number, row in enumerate(listed):
        if not isinstance(row, list) or len(row) != len(COLUMNS):
            raise _wrong(f"tile {number} of the placement has not {len(COLUMNS)} numbers")
        for name, value in zip(COLUMNS, row, strict=True):
            limit = most.get(name, 1 << 31)
            is_whole = isinstance(value, int) and not isinstance(value, bool)
            if not is_whole or not 0 <= value < limit:
                raise _wrong(
                    f"`{name}` of tile {number} of the placement is {value!r}, "
                    f"not a whole number below {limit}"
                )
    rows = np.array(listed, np.int64).reshape(len(listed), len(COLUMNS))
    rows[:, 5] = np.array(known, np.int64)[rows[:, 5]]
    counts = np.array([pool.count for pool in pools])[rows[:, 5]]
    for number in np.flatnonzero(rows[:, 6] >= counts)[:1].tolist():
        pool = pools[int(rows[number, 5])]
        raise _wrong(
            f"tile {number} of the placement is on array {rows[number, 6]} of `{pool.path}`, "
            f"which has {pool.count}"
        )
    return rows


class _Reader:
    """One operation's tiles of a placement file."""

    def __init__(self, site: Site, bits: Bits, entry: _Entry, pools: Sequence[Part]) -> None:
        self.site = site
        self.op = site.anchor
        self.bits = bits
        self.entry = entry
        self.pools = pools

    def table(self, rows: Ints) -> Tiles:
        """All copies' tiles, in order; DescriptionError where weights are missing or doubled."""
        if not len(rows):
            raise _wrong(f"the placement holds no weights of `{self.op.name}`")
        pool = int(rows[0, 5])
        if (rows[:, 5] != pool).any():
            raise _wrong(f"the placement puts `{self.op.name}` in several pools")
        arrays = Arrays(self.pools[pool], reads=self.entry.reads)
        cut = arrays.cut(self.op, self.bits)
        rows = rows[np.lexsort((rows[:, 4], rows[:, 3], rows[:, 2], rows[:, 1]))]
        copies = int(rows[-1, 1]) + 1
        self._check_copies(rows, copies)
        self._check_whole(rows, cut, copies)
        wish = Wish(self.site, self.bits, (pool,), copies)
        return Tiles.joined(
            [
                tiles_of(wish, cut, arrays, (part[:, 6], part[:, 8], part[:, 7]), pool, number)
                for number, part in enumerate(np.split(rows, copies))
            ]
        )

    def _check_copies(self, rows: Ints, copies: int) -> None:
        if copies > self.op.windows:
            raise _wrong(
                f"the placement holds `{self.op.name}` {copies} times, "
                f"more than its {self.op.windows} windows"
            )
        if copies > 1 and rows[:, 8].any():
            raise _wrong(
                f"the placement holds `{self.op.name}` {copies} times beyond the first group"
            )

    def _check_whole(self, rows: Ints, cut: Cut, copies: int) -> None:
        """Every tile of the cut once in every copy."""
        shape = (len(cut.diagonals), len(cut.column_blocks), len(cut.row_blocks))
        first = np.array([group for group, _ in cut.diagonals])
        d, c, r = (index.ravel() for index in np.indices(shape))
        wanted = [(int(first[i]), int(j), int(k)) for i, j, k in zip(d, c, r, strict=True)]
        for number in range(copies):
            mine = rows[rows[:, 1] == number]
            found = list(map(tuple, mine[:, 2:5].tolist()))
            if found != wanted:
                self._tell(found, wanted, number)

    def _tell(
        self, found: Sequence[tuple[int, ...]], wanted: Sequence[tuple[int, ...]], copy: int
    ) -> None:
        twice = [tile for tile, other in pairwise(found) if tile == other]
        unknown = sorted(set(found) - set(wanted))
        missing = sorted(set(wanted) - set(found))
        what = f"of `{self.op.name}`, copy {copy}"
        names = "(channel group, column block, row block)"
        if twice:
            raise _wrong(f"the placement holds tile {twice[0]} {what} twice", notes=(names,))
        if unknown:
            raise _wrong(
                f"the placement holds tile {unknown[0]} {what}, which it is not cut into",
                notes=(names,),
            )
        raise _wrong(f"the placement lacks tile {missing[0]} {what}", notes=(names,))


def _check_cells(tiles: Tiles, matrices: Sequence[Site], pools: Sequence[Part]) -> None:
    """No column beyond an array, no cell twice, and one tile an array where the pool says so."""
    names = {site.index: site.anchor.name for site in matrices}
    ends = tiles.at_column + tiles.columns
    wide = np.array([pool.integer("columns") for pool in pools])[tiles.pool]
    for place in np.flatnonzero(ends > wide)[:1].tolist():
        raise _wrong(
            f"a tile of `{names[int(tiles.site[place])]}` ends at column {ends[place]}, "
            f"its array has {wide[place]}"
        )
    order = np.lexsort((tiles.at_column, tiles.array, tiles.pool, tiles.resident))
    for one, other in pairwise(order.tolist()):
        same = all(
            getattr(tiles, name)[one] == getattr(tiles, name)[other]
            for name in ("array", "pool", "resident")
        )
        pool = pools[int(tiles.pool[one])]
        if same and (ends[one] > tiles.at_column[other] or pool.word("array_use") != "shared"):
            both = sorted({names[int(tiles.site[place])] for place in (one, other)})
            raise _wrong(
                f"the placement puts two tiles on array {tiles.array[one]} of `{pool.path}` in "
                f"group {tiles.resident[one]}",
                notes=(f"of {listing(both)}",),
                helps=("`array_use = shared` lets tiles lie side by side",),
            )


def _check_groups(tiles: Tiles, matrices: Sequence[Site]) -> None:
    """Groups come one after the other, and no operation before the ones in front of it."""
    used = np.unique(tiles.resident)
    if len(used) and used[-1] + 1 != len(used):
        raise _wrong(f"the placement's resident groups are not 0 to {len(used) - 1}")
    latest, before = 0, ""
    for site in matrices:
        mine = tiles.resident[tiles.site == site.index]
        if mine.min() < latest:
            raise _wrong(
                f"the placement loads `{site.anchor.name}` in group {mine.min()}, before `{before}`"
                f" in group {latest}, which is run first"
            )
        latest, before = int(mine.max()), site.anchor.name
