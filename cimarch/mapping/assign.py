"""From what a user asks to tiles: which pool, how many copies, how many rows on an array."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

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
    pools = [Arrays(wiring.pool, wiring.domains) for wiring in wirings]
    parts = tuple(wiring.pool for wiring in wirings)
    found = choices([site.anchor for site in matrices], parts, bits, asked.pools)
    wishes = [Wish(site, bits[site.anchor.name], found[site.anchor.name]) for site in matrices]
    return tile(wishes, pools)
