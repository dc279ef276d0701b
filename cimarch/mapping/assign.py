"""From what a user asks to tiles: which pool, how many copies, how many rows on an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from cimarch.mapping.duplicate import Duplicate, copies_of, read_duplicate, stages
from cimarch.mapping.pools import Wanted, choices
from cimarch.mapping.precision import Bits
from cimarch.mapping.sites import Site
from cimarch.mapping.tiling import Arrays, Tiles, Wish, tile
from cimarch.mapping.wiring import Wiring
from cimarch.workload.network import Network


@attrs.frozen
class Asked:
    """What a user wants of a placement beyond the rules."""

    pools: Wanted = None
    """Pools by pattern of operation names."""
    duplicate: Duplicate = "none"
    """How often weights are held."""


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
    matrices = [site for site in sites if site.is_matrix]
    parts = tuple(wiring.pool for wiring in wirings)
    found = choices([site.anchor for site in matrices], parts, bits, asked.pools)
    wishes = [Wish(site, bits[site.anchor.name], found[site.anchor.name]) for site in matrices]
    pools = [Arrays(wiring.pool, wiring.domains) for wiring in wirings]
    return _Assigner(wishes, pools, wirings, assume).duplicated(asked.duplicate)


class _Assigner:
    def __init__(
        self,
        wishes: Sequence[Wish],
        pools: Sequence[Arrays],
        wirings: Sequence[Wiring],
        assume: Callable[[str], None],
    ) -> None:
        self.wishes = wishes
        self.pools = pools
        self.wirings = wirings
        self.assume = assume

    def duplicated(self, duplicate: Duplicate) -> Tiles:
        """The tiles, with the copies that are asked for."""
        wanted = read_duplicate(duplicate, [wish.site.anchor.name for wish in self.wishes])
        tiles = tile(self.wishes, self.pools)
        if wanted == "none" or not len(tiles):
            return tiles
        groups = int(tiles.resident.max()) + 1
        if groups > 1:
            self.assume(f"no weights are held twice: they take {groups} resident groups as it is")
            return tiles
        each = stages(self.wishes, tiles, self.pools, self.wirings)
        counts = copies_of(each, self.pools, wanted)
        wishes = [
            attrs.evolve(stage.wish, pools=(stage.pool,), copies=count)
            for stage, count in zip(each, counts, strict=True)
        ]
        return tile(wishes, self.pools)
