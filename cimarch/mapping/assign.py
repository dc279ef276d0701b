"""From what a user asks to tiles: which pool, how many copies, how many rows on an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.encoding import inputs_per_group
from cimarch.hardware.system import Part, System
from cimarch.mapping.densities import Densities, chip_density
from cimarch.mapping.duplicate import Duplicate, copies_of, read_duplicate, stages
from cimarch.mapping.filling import tile
from cimarch.mapping.pools import Wanted, choices, levels, pairs
from cimarch.mapping.precision import Bits
from cimarch.mapping.saved import Saved, saved_tiles
from cimarch.mapping.sites import Site
from cimarch.mapping.tiling import Arrays, Tiles, Wish
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network


@attrs.frozen
class Asked:
    """What a user wants of a placement beyond the rules."""

    pools: Wanted = None
    """Pools by pattern of operation names."""
    duplicate: Duplicate = "none"
    """How often weights are held."""
    spread_rows: bool = False
    """Whether rows that cannot be read at once lie on several arrays, where arrays are free."""
    spaced: Mapping[str, int] = attrs.field(factory=dict)
    """Operations whose first array is the first of so many: of all that one buffer feeds."""
    saved: Saved | None = None
    """A placement to take over as it is; nothing else can be asked for then."""
    densities: Densities | None = None
    """How full inputs and weights are, which a read's time may depend on; None: the chip's own."""

    def densities_on(self, system: System) -> Densities:
        """The densities of a run on a system."""
        return self.densities or Densities(chip_density(system))


NOTHING_ASKED = Asked()


def assign(
    network: Network,
    sites: Sequence[Site],
    wirings: Sequence[Wiring],
    bits: Mapping[str, Bits],
    asked: Asked,
    assume: Callable[[str], None],
) -> Tiles:
    """The tiles of every matrix site, in order of placement.

    `assume` is told what of `asked` could not be done. Raises DescriptionError where the pools
    cannot hold what is asked.
    """
    if asked.saved is not None:
        _nothing_else(asked)
        return saved_tiles(asked.saved, wirings[0].system, network, sites, wirings, bits)
    matrices = [site for site in sites if site.is_matrix]
    parts = tuple(wiring.pool for wiring in wirings)
    found = choices([site.anchor for site in matrices], parts, bits, asked.pools)
    each = levels([site.anchor for site in matrices], parts, bits, asked.pools)
    wishes = [
        Wish(
            site, bits[name], found.get(name, ()), spaced=asked.spaced.get(name, 0),
            levels=each.get(name, {}),
        )
        for site in matrices
        for name in (site.anchor.name,)
    ]  # fmt: skip
    pools = [Arrays(wiring.pool, wiring.domains) for wiring in wirings]
    densities = asked.densities_on(wirings[0].system)
    assigner = _Assigner(wishes, pools, wirings, assume, densities)
    if asked.spread_rows:
        assigner.spread()
    tiles = assigner.duplicated(asked.duplicate)
    for wish in wishes:
        if len(wish.levels) > 1:
            _tell_together(wish, tiles, parts, assume)
    return tiles


def _tell_together(
    wish: Wish, tiles: Tiles, pools: Sequence[Part], assume: Callable[[str], None]
) -> None:
    """Say where strips of several precisions lie on one pool, which reads them in turn."""
    mine = tiles.site == wish.site.index
    for pool in np.unique(tiles.pool[mine]).tolist():
        held = np.unique(tiles.level[mine & (tiles.pool == pool)]).tolist()
        if len(held) > 1:
            told = " and ".join(str(wish.bits.of_level(level).weight) for level in held)
            assume(f"strips of {told} bits lie together on `{pools[pool].path}`")


def _nothing_else(asked: Asked) -> None:
    others = {
        "--place": bool(pairs(asked.pools)),
        "--duplicate": asked.duplicate != "none",
        "--spread-rows": asked.spread_rows,
    }
    for flag, is_given in others.items():
        if is_given:
            raise DescriptionError(
                Diagnostic(
                    "E205",
                    f"`{flag}` and a saved placement exclude each other",
                    helps=(f"map the network anew with `{flag}`, or leave it out",),
                )
            )


class _Assigner:
    def __init__(
        self,
        wishes: Sequence[Wish],
        pools: Sequence[Arrays],
        wirings: Sequence[Wiring],
        assume: Callable[[str], None],
        densities: Densities,
    ) -> None:
        self.densities = densities
        self.wishes = wishes
        self.pools = pools
        self.wirings = wirings
        self.assume = assume
        self.most_reads = max((_groups(pool.part) for pool in pools), default=1)
        """Reads of one array for a window, at most."""

    def spread(self) -> None:
        """Put as few rows on an array as the free arrays allow: k groups of word lines each.

        k is the smallest with which all weights fit one resident group; every product then takes
        at most k groups of reads instead of rows / word lines (CIM-MLC's row remapping). Of strips,
        whose positions are read one after the other, an array then holds no more than it takes k
        groups to read.
        """
        mixed = [wish.site.index for wish in self.wishes if wish.levels]
        if self.most_reads == 1 and not mixed:
            return
        tiles = tile(self.wishes, self.pools)
        self.most_reads = max(self.most_reads, _most_reads(tiles, self.pools, mixed))
        if tiles.resident.max(initial=0):
            self.assume("no rows are spread: the weights take several resident groups as it is")
            return
        low, high = 1, self.most_reads
        while low < high:
            middle = (low + high) // 2
            fits = not tile(self.wishes, self._limited(middle)).resident.max(initial=0)
            low, high = (low, middle) if fits else (middle + 1, high)
        self.pools = self._limited(low)

    def _limited(self, reads: int) -> list[Arrays]:
        """The pools with at most so many groups of word lines on an array."""
        return [
            attrs.evolve(pool, reads=reads if reads < self._most(pool) else 0)
            for pool in self.pools
        ]

    def _most(self, pool: Arrays) -> int:
        """Reads of an array of a pool for a window, at most."""
        has_strips = any(wish.levels for wish in self.wishes)
        return self.most_reads if has_strips else _groups(pool.part)

    def duplicated(self, duplicate: Duplicate) -> Tiles:
        """The tiles, with the copies that are asked for."""
        wanted = read_duplicate(duplicate, [wish.site.anchor.name for wish in self.wishes])
        mixed = [wish.site.anchor.name for wish in self.wishes if wish.levels]
        if wanted != "none" and mixed:
            raise _held_once(mixed[0])
        tiles = tile(self.wishes, self.pools)
        if wanted == "none" or not len(tiles):
            return tiles
        groups = int(tiles.resident.max()) + 1
        if groups > 1:
            self.assume(f"no weights are held twice: they take {groups} resident groups as it is")
            return tiles
        each = stages(self.wishes, tiles, self.pools, self.wirings, self.densities)
        counts = copies_of(each, self.pools, wanted)
        wishes = [
            attrs.evolve(stage.wish, pools=(stage.pool,), copies=count)
            for stage, count in zip(each, counts, strict=True)
        ]
        return tile(wishes, self.pools)


def _held_once(name: str) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E463",
            "`--duplicate` and strips of several precisions exclude each other",
            notes=(f"the precision policy gives `{name}` strips, which are held once",),
            helps=("leave `--duplicate` out, or give whole operations their precision",),
        )
    )


def _most_reads(tiles: Tiles, pools: Sequence[Arrays], sites: Sequence[int]) -> int:
    """Groups of word lines that the arrays of some sites are read in for one window, at most."""
    mine = tiles.take(np.isin(tiles.site, sites))
    found = 0
    for index, pool in enumerate(pools):
        held = mine.take(mine.pool == index)
        reads = -(-held.inputs // inputs_per_group(pool.part))
        place = held.resident * pool.part.count + held.array
        found = max(found, int(np.bincount(place, weights=reads).max(initial=0)))
    return found


def _groups(pool: Part) -> int:
    """Groups of word lines that an array's rows are read in."""
    return -(-pool.integer("rows") // pool.integer("word_lines"))
