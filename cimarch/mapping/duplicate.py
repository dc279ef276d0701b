"""Copies: how often the weights of each operation are held, so that several work in turn.

Copy c of d takes the windows whose index mod d is c, so an operation with d copies makes d products
at once. `balance` gives the next copy to the operation with the most windows x seconds per product
/ copies, as long as that makes the slowest one faster; `fill` goes on until nothing more fits.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from fractions import Fraction
from heapq import heapify, heappop, heappush
from pathlib import Path

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic, listing, suggestion
from cimarch.mapping.densities import Densities, Density
from cimarch.mapping.readout import Vector, seconds_per_product
from cimarch.mapping.tiling import Arrays, Cut, Taker, Tiles, Wish
from cimarch.mapping.wiring import Wiring

WORDS = ("none", "balance", "fill")
_FORM = 'write `none`, `balance`, `fill`, or a file with `{"conv1": 4, ...}`'

Duplicate = str | Path | Mapping[str, int]
"""`none`, `balance`, `fill`, copies by operation (or pattern), or a JSON file of such."""

Wanted = str | dict[str, int]
"""One of the words, or the copies of the operations that are named."""


def read_duplicate(duplicate: object, names: Sequence[str]) -> Wanted:
    """What `--duplicate` means for the operations of these names.

    Raises DescriptionError for a file that cannot be read, a name that matches no operation, and a
    number of copies that is none.
    """
    if isinstance(duplicate, str) and duplicate in WORDS:
        return duplicate
    where = "`duplicate`"
    if isinstance(duplicate, (str, Path)):
        where, duplicate = f"the file of copies `{duplicate}`", _read(Path(duplicate))
    if not isinstance(duplicate, Mapping):
        raise _wrong(f"{where} is not an object of copies by operation", helps=(_FORM,))
    found: dict[str, int] = {}
    for pattern, copies in duplicate.items():
        hits = [name for name in names if name == pattern or fnmatchcase(name, str(pattern))]
        if not hits:
            raise _wrong(
                f"{where} names `{pattern}`, which is no matrix operation of the network",
                notes=(f"they are {listing(names[:6])}{_more(names)}",),
                helps=suggestion(str(pattern), names),
            )
        if isinstance(copies, bool) or not isinstance(copies, int) or copies < 1:
            raise _wrong(f"{where}: `{pattern}` has {copies!r} copies, not a whole number from 1")
        found |= dict.fromkeys(hits, copies)
    return found


def _more(names: Sequence[str]) -> str:
    return f" and {len(names) - 6} more" if len(names) > 6 else ""


def _read(path: Path) -> object:
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_once)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _wrong(
            f"the file of copies `{path}` cannot be read: {reason}", helps=(_FORM,)
        ) from None
    except (ValueError, RecursionError) as error:
        raise _wrong(f"the file of copies `{path}` is not JSON: {error}", helps=(_FORM,)) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file, in which no name may stand twice."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _wrong(f"the file of copies names `{name}` twice")
        found[name] = value
    return found


def _wrong(
    headline: str, *, notes: tuple[str, ...] = (), helps: tuple[str, ...] = ()
) -> DescriptionError:
    return DescriptionError(Diagnostic("E204", headline, notes=notes, helps=helps))


@attrs.frozen
class Stage:
    """One operation as copies weigh it."""

    wish: Wish
    pool: int
    parts: Cut
    windows: int
    seconds: Fraction
    """From product to product."""

    @property
    def name(self) -> str:
        return self.wish.site.anchor.name

    @property
    def load(self) -> Fraction:
        """Seconds of all its products, on one copy."""
        return self.windows * self.seconds


def stages(
    wishes: Sequence[Wish],
    tiles: Tiles,
    pools: Sequence[Arrays],
    wirings: Sequence[Wiring],
    densities: Densities,
) -> list[Stage]:
    """The operations of a placement without copies."""
    found = []
    for wish in wishes:
        mine = tiles.take(tiles.site == wish.site.index)
        pool = int(mine.pool[0])
        op = wish.site.anchor
        seconds = _slowest(wish, mine, wirings[pool], densities.of(op.name))
        found.append(Stage(wish, pool, pools[pool].cut(op, wish.bits), op.windows, seconds))
    return found


def _slowest(wish: Wish, tiles: Tiles, wiring: Wiring, density: Density) -> Fraction:
    """Seconds from product to product on the array of a site that takes longest."""
    shapes = np.stack([tiles.rows, tiles.columns, tiles.lines, tiles.at_column], axis=1)
    kinds, first = np.unique(shapes, axis=0, return_index=True)
    return max(
        seconds_per_product(
            wiring, Vector(rows, columns, lines, wish.bits, at, density), int(tiles.array[place])
        )
        for (rows, columns, lines, at), place in zip(kinds.tolist(), first.tolist(), strict=True)
    )


def copies_of(stages: Sequence[Stage], pools: Sequence[Arrays], wanted: Wanted) -> list[int]:
    """The copies of each operation, of those that fit one resident group without any.

    Raises DescriptionError where copies asked for by number do not fit, or are more than an
    operation has windows.
    """
    if isinstance(wanted, str):
        return _given(stages, pools, fill=wanted == "fill")
    counts = [wanted.get(stage.name, 1) for stage in stages]
    for stage, count in zip(stages, counts, strict=True):
        if count > stage.windows:
            raise _wrong(
                f"`{stage.name}` has {count} copies, more than its {stage.windows} windows",
                notes=("every copy takes windows in turn",),
                helps=(f"`{stage.name}`: {stage.windows}",),
            )
    for index, pool in enumerate(pools):
        if not _fits(stages, pools, counts, index):
            asked = {s.name: n for s, n in zip(stages, counts, strict=True) if n > 1}
            told = ", ".join(f"{n} of `{name}`" for name, n in list(asked.items())[:4])
            raise _wrong(
                f"the copies do not fit the {pool.part.count} arrays of `{pool.part.path}`",
                notes=(f"asked for are {told}" + (", ..." if len(asked) > 4 else ""),),
                helps=("ask for fewer, or `--duplicate fill` for as many as fit",),
            )
    return counts


def _given(stages: Sequence[Stage], pools: Sequence[Arrays], *, fill: bool) -> list[int]:
    """Copies given one by one to the operation that would take longest."""
    counts = [1] * len(stages)
    waiting = [(-stage.load, i) for i, stage in enumerate(stages)]
    heapify(waiting)
    best, slowest = list(counts), max((stage.load for stage in stages), default=Fraction(0))
    while waiting:
        _, i = heappop(waiting)
        counts[i] += 1
        if counts[i] > stages[i].windows or not _fits(stages, pools, counts, stages[i].pool):
            counts[i] -= 1
            if fill:
                continue
            break
        heappush(waiting, (-stages[i].load / counts[i], i))
        if -waiting[0][0] < slowest:
            best, slowest = list(counts), -waiting[0][0]
    return counts if fill else best


def _fits(
    stages: Sequence[Stage], pools: Sequence[Arrays], counts: Sequence[int], index: int
) -> bool:
    """Whether all copies that go to a pool fit one resident group."""
    taker = Taker(pools[index])
    for stage, count in zip(stages, counts, strict=True):
        if stage.pool == index:
            taker.space(stage.wish.spaced)
            taker.skip(stage.parts, count)
    return taker.is_within_first
