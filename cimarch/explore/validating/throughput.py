"""Peak throughput of described chips, pool by pool and twice: in closed form and by events."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from cimarch import share
from cimarch.explore.products import full_products
from cimarch.hardware.rollup import peak, rates
from cimarch.language import load


@attrs.frozen
class Throughput:
    """What the arrays of one pool can do at most, at the precision that the chip names."""

    chip: str
    pool: str
    weight_bits: int
    input_bits: int
    sharing: int
    """Arrays that share converters: they are what is run."""
    alone: int
    """Cycles of one product by itself."""
    interval: float
    """Cycles from one product of an array to its next, by events."""
    fill: float
    """Cycles that products that follow one another take beyond their intervals."""
    closed: float | None
    """Operations per second in closed form; None where the description states no read."""
    events: float
    """Operations per second by events."""

    @property
    def difference(self) -> float | None:
        """Relative: events / closed form - 1."""
        return self.events / self.closed - 1 if self.closed else None


def bundled_chips() -> list[str]:
    """The names of the descriptions that come with cimarch."""
    found = (path.stem for path in share.folder("architectures").glob("*.cimarch"))
    return sorted(name for name in found if name != "std")


def throughputs(name: str) -> Iterator[Throughput]:
    """Both figures for each pool of a described chip; raises DescriptionError as `load` does.

    Of a pool whose links pick members, the first cluster of arrays stands for all.
    """
    system = load(name)
    bits = system.root.integer("weight_bits"), system.root.integer("input_bits")
    known = peak(system, *bits).operations is not None
    closed = rates(system, *bits)
    seen: set[str] = set()
    for each in full_products(system, *bits):
        if each.pool in seen:
            continue
        seen.add(each.pool)
        yield Throughput(
            chip=name,
            pool=each.pool,
            weight_bits=bits[0],
            input_bits=bits[1],
            sharing=len(each.cluster.arrays),
            alone=each.alone,
            interval=float(each.interval),
            fill=float(each.fill),
            closed=float(closed[each.pool]) if known else None,
            events=float(each.rate),
        )
