"""Back-to-back products that fill their arrays, run by the event engine: the most that arrays do.

A *cluster* is the arrays that share converters. Each of its arrays is given K products that use all
its rows, all its columns and every step of the input, each to begin as soon as the array is free,
and the tasks of these products (`cimarch.program.products`: reads and bursts of conversions, with
their sample-and-holds, clocks and beats) are run by the ordinary engine. There is no buffer or bus
in between, so nothing but arrays and converters limits the pace.

K and 2 K products differ by K products at the steady pace, in which filling is over:

    interval   = (cycles of 2 K products - cycles of K) / K
    operations per second = arrays x operations of one product x clock / interval

It is the same quantity as the closed form of `cimarch.hardware.rollup`, but for whole cycles.
What a product costs are the charges of its tasks, as a run of a network would pay them.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import attrs

from cimarch.engine import run_work
from cimarch.engine.edges import Edge
from cimarch.engine.pieces import Piece, Template, Work
from cimarch.hardware.encoding import (
    arrays_per_sum,
    arrays_per_weight,
    columns_per_weight,
    extra_columns,
    rows_per_input,
)
from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part, System
from cimarch.mapping.densities import chip_density
from cimarch.mapping.precision import Bits
from cimarch.mapping.tiling import cut
from cimarch.mapping.wiring import Wiring, wirings_of
from cimarch.program.charges import Charge
from cimarch.program.context import Numbers, disjoint, period_of
from cimarch.program.products import Product, Products, Vector
from cimarch.workload.network import Operation

MANY = 64
"""K: products of each array in the shorter of the two runs."""


@attrs.frozen
class Cluster:
    """Arrays that share converters, and how many such groups of arrays a pool has."""

    arrays: tuple[int, ...]
    """Their numbers in the pool."""
    times: int = 1


@attrs.frozen
class BackToBack:
    """What products that follow one another on the arrays of one cluster come to."""

    pool: str
    """The path of the arrays."""
    cluster: Cluster
    operations: Fraction
    """Multiplications and additions of one product on one array; half of them where a weight takes
    two arrays."""
    interval: Fraction
    """Cycles from one product of an array to its next, in the long run."""
    alone: int
    """Cycles of one product by itself, from its first read to its last result."""
    fill: Fraction
    """Cycles that K products take beyond K intervals."""
    charges: tuple[tuple[Charge, ...], ...]
    """What one product of each array is charged."""
    clock: Fraction

    @property
    def rate(self) -> Fraction:
        """Operations per second of all the pool's arrays of this kind."""
        arrays = len(self.cluster.arrays) * self.cluster.times
        return arrays * self.operations * self.clock / self.interval

    @property
    def joules(self) -> Fraction | None:
        """Of one product, the mean over the arrays; None where an action has no price."""
        each = [charge.joules for charges in self.charges for charge in charges]
        known = [joules for joules in each if joules is not None]
        return sum(known, Fraction(0)) / len(self.charges) if len(known) == len(each) else None

    @property
    def watts(self) -> Fraction | None:
        """What all the pool's arrays of this kind spend in products at that pace."""
        if self.joules is None or not self.operations:
            return None
        return self.rate / self.operations * self.joules

    @property
    def unpriced(self) -> tuple[str, ...]:
        """Actions of a product that have no price, `part.action` each."""
        found = (c for charges in self.charges for c in charges if c.joules is None)
        return tuple(dict.fromkeys(f"{c.part}.{c.action}" for c in found))


def full_products(
    system: System, weight_bits: int | None = None, input_bits: int | None = None
) -> tuple[BackToBack, ...]:
    """Run full-size products on one cluster of each kind that a system has.

    At the precision that the system names, unless another is given. Raises DescriptionError where a
    weight is wider than an array.
    """
    bits = Bits(
        weight_bits or system.root.integer("weight_bits"),
        input_bits or system.root.integer("input_bits"),
    )
    return tuple(
        back_to_back(wiring, cluster, bits)
        for wiring in wirings_of(system)
        for cluster in clusters(wiring)
    )


def operations_per_second(found: tuple[BackToBack, ...]) -> Fraction:
    """The peak throughput of a system by its full products, all pools busy at once."""
    return sum((each.rate for each in found), Fraction(0))


def operations_per_joule(found: tuple[BackToBack, ...]) -> Fraction | None:
    """Operations of all pools by the joules that their products are charged; None where an action
    has no price, or where nothing is paid at all."""
    watts = [each.watts for each in found]
    known = [each for each in watts if each is not None]
    spent = sum(known, Fraction(0))
    return operations_per_second(found) / spent if spent and len(known) == len(watts) else None


def clusters(wiring: Wiring) -> list[Cluster]:
    """One cluster of each kind that a pool has; all are alike where its links name all members."""
    convert = wiring.convert(0)
    if convert is None:
        return [Cluster((0,), wiring.pool.count)]
    if wiring.routes.is_uniform:
        each = max(1, convert.arrays)
        return [Cluster(tuple(range(each)), wiring.pool.count // each)]
    return _kinds(wiring)


def _kinds(wiring: Wiring) -> list[Cluster]:
    """The first cluster of each kind, where links pick members: arrays and converters in number."""
    found: dict[tuple[int, int], Cluster] = {}
    for at, arrays in _sharing(wiring):
        key = (len(at), len(arrays))
        known = found.get(key, Cluster(arrays, 0))
        found[key] = attrs.evolve(known, times=known.times + 1)
    return list(found.values())


def _sharing(wiring: Wiring) -> list[tuple[Instances, tuple[int, ...]]]:
    """Converters and the arrays that they serve, arrays whose converters overlap together."""
    ways = [(wiring.convert(array), array) for array in range(wiring.pool.count)]
    served = sorted((convert.at, array) for convert, array in ways if convert is not None)
    groups: list[tuple[Instances, tuple[int, ...]]] = []
    for at, array in served:
        if groups and at.lo < groups[-1][0].hi:
            last, arrays = groups[-1]
            groups[-1] = (attrs.evolve(last, hi=max(last.hi, at.hi)), (*arrays, array))
        else:
            groups.append((at, (array,)))
    return groups


def back_to_back(wiring: Wiring, cluster: Cluster, bits: Bits) -> BackToBack:
    """Run K and 2 K full products on each array of a cluster, and one by itself."""
    products = _products(wiring, cluster, bits)
    clock = wiring.system.clock
    some, twice = (_cycles(wiring, products, count) for count in (MANY, 2 * MANY))
    interval = Fraction(twice - some, MANY)
    return BackToBack(
        pool=wiring.pool.path,
        cluster=cluster,
        operations=operations_of(wiring.pool, bits),
        interval=interval,
        alone=_cycles(wiring, products[:1], 1),
        fill=some - MANY * interval,
        charges=tuple(tuple(c for s in each.stages for c in s.charges) for _, each in products),
        clock=clock,
    )


def _products(wiring: Wiring, cluster: Cluster, bits: Bits) -> list[tuple[int, Product]]:
    """Each array of a cluster with a full product."""
    made = Products(wiring, lambda what, seconds, cycles: None)
    return [
        (array, made.product(full_vector(wiring, bits, array), array)) for array in cluster.arrays
    ]


def full_vector(wiring: Wiring, bits: Bits, array: int = 0) -> Vector:
    """The part of an array that a product of full size uses: what a tile of a matrix larger than
    the array takes, as full of ones as the chip states. Of two arrays whose bit lines meet, each
    converts half of the lines."""
    pool = wiring.pool
    (_, _, rows), (_, _, columns, lines) = _cut(pool, bits)
    lines += extra_columns(pool)
    if arrays_per_sum(pool) == 2:
        lines = (lines + 1 - array % 2) // 2
    density = chip_density(wiring.system)
    return Vector(rows, columns + extra_columns(pool), lines, bits, density=density)


def operations_of(pool: Part, bits: Bits) -> Fraction:
    """Multiplications and additions of a full product on one array."""
    (_, inputs, _), (_, _, columns, _) = _cut(pool, bits)
    weights = Fraction(columns, columns_per_weight(pool, bits.weight))
    return 2 * inputs * weights / arrays_per_weight(pool)


def _cut(pool: Part, bits: Bits) -> tuple[tuple[int, int, int], tuple[int, int, int, int]]:
    """The first row block and the first column block of a matrix larger than an array."""
    rows = max(1, pool.integer("rows") // rows_per_input(pool))
    matrix = Operation(
        "product", "linear", ("x",), ("y",), rows=rows, columns=pool.integer("columns")
    )
    parts = cut(matrix, pool, bits)
    return parts.row_blocks[0], parts.column_blocks[0]


def _cycles(wiring: Wiring, products: list[tuple[int, Product]], count: int) -> int:
    """Cycles until the last result of so many products on each array."""
    return run_work(_work(wiring, products, count)).makespan


def _work(wiring: Wiring, products: list[tuple[int, Product]], count: int) -> Work:
    """Products of several arrays, side by side, so often."""
    system = wiring.system
    resources: Numbers[Instances] = Numbers()
    periods: Numbers[Fraction] = Numbers({Fraction(1): 0})
    rows = []
    for array, product in products:
        reads, converts = wiring.held(array)
        for place, stage in enumerate(product.stages):
            at = converts if stage.kind == "convert" else reads
            beat = period_of(system.part(at.path), system.clock, stage=place == 0)
            rows.append((resources[at], stage.busy, stage.latency, periods[beat]))
    _, renumber = disjoint(resources)
    held, busy, latency, period = zip(*rows, strict=True)
    template = Template.of(
        resource=renumber[list(held)], busy=busy, latency=latency, period=period,
        edges=list(_edges([product for _, product in products])),
    )  # fmt: skip
    exact = tuple((p.numerator, p.denominator) for p in periods)
    return Work((Piece(template, count),), exact)


def _edges(products: list[Product]) -> Iterator[Edge]:
    """Each task after the one before, each product after what of the last one frees its array."""
    first = 0
    for product in products:
        for place, stage in enumerate(product.stages[1:], start=first + 1):
            yield Edge(place, place - 1, after_start=stage.after_start)
        frees = product.frees
        source = first + frees.stage % len(product.stages)
        yield Edge(first, source, lag=1, after_start=frees.at_start)
        first += len(product.stages)
