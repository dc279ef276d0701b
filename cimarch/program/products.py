"""One product on one array: the tasks of its reads and conversions, and what they are charged.

Its exact times are those of `cimarch.mapping.readout`. Step k of a product ends at ceil(k x step):
times are rounded up once, not step by step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil
from typing import NamedTuple

import attrs

from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.readout import Pace, Shot, shot, turns
from cimarch.mapping.readout import Vector as Vector
from cimarch.mapping.wiring import Convert, Wiring
from cimarch.program.charges import Charge, charge, latency_of


class Stage(NamedTuple):
    """One task of a product, in order; times in system cycles."""

    busy: int
    latency: int
    kind: str
    """`read`, `convert`, or `product` where both are one task: a conversion holds the converters,
    the others the array."""
    charges: tuple[Charge, ...] = ()
    after_start: bool = False
    """Waits for the start of the task before it in the product, not for its finish."""


@attrs.frozen
class Frees:
    """What of a product frees its array for the next one's first read."""

    stage: int
    """Which of its tasks, by place."""
    at_start: bool
    """That task's start (what is converted next is held), not its finish."""


FIRST = Frees(0, at_start=False)
LAST = Frees(-1, at_start=False)
HELD = Frees(-1, at_start=True)


class Product(NamedTuple):
    """The tasks of one product, each after the one before; alike on arrays that are read alike."""

    stages: tuple[Stage, ...]
    frees: Frees
    reads: int
    """Word-line groups x input steps."""
    conversions: int
    interval: Fraction
    """Seconds from one read to the next, steady."""
    alone: int = 0
    """Cycles that the array is held through reads and bursts, where it is."""
    groups: tuple[int, ...] = (0,)
    """Where the tasks of each word-line group begin; merged ones begin together."""
    reading: int = 0
    """Cycles of all its reads, which merged tasks do not show."""
    converting: int = 0
    """Cycles of all its conversions."""


class Products:
    """Products on the arrays of one pool; `note` is told exact times and what they became.

    `detail` is `mvm`, where the reads and bursts of a product merge as far as nothing else can come
    between them, or `wordline`, where each is a task. Both give the same times.
    """

    def __init__(
        self, wiring: Wiring, note: Callable[[str, Fraction, int], None], detail: str = "mvm"
    ) -> None:
        self.note = note
        self.fine = detail == "wordline"
        self.wiring = wiring
        self.pool = wiring.pool
        self.clock = wiring.system.clock
        self.dac, _ = wiring.driver
        self._found: dict[tuple[Vector, int, int], Product] = {}
        """By a vector, and the converters of an array with how many arrays share them."""
        self._alike: dict[tuple[object, ...], Product] = {}
        """By what of these a product hangs on."""

    def __len__(self) -> int:
        """How many products are known."""
        return len(self._found)

    def product(self, vector: Vector, array: int) -> Product:
        """The product of a vector on one array."""
        convert = self.wiring.convert(array)
        key = (vector, 0, 0) if convert is None else (vector, len(convert.at), convert.arrays)
        known = self._found.get(key)
        if known is None:
            known = self._found[key] = self._product_on(vector, convert)
        return known

    def _product_on(self, vector: Vector, convert: Convert | None) -> Product:
        """Where a vector begins on its array matters only for how its lines share converters."""
        key: tuple[object, ...] = (
            vector.rows, vector.columns, vector.lines, vector.bits, vector.density,
        )  # fmt: skip
        count = 0
        if convert is not None:
            count = turns(self.wiring, vector, convert)
            key = (*key, count, len(convert.at), convert.arrays)
        if key not in self._alike:
            found = self._product(vector, convert, count)
            reading, converting = self._working(vector, convert, found, count)
            self._alike[key] = found._replace(reading=reading, converting=converting)
        return self._alike[key]

    def _working(
        self, vector: Vector, convert: Convert | None, product: Product, count: int
    ) -> tuple[int, int]:
        """Cycles of all reads of a product, and of all its conversions, `count` of a converter for
        each read."""
        taken = shot(self.wiring, vector)
        reading = ceil(product.reads * taken.time * self.clock)
        if convert is None or self.wiring.converter is None:
            return reading, 0
        rate = self.wiring.converter.number("rate")
        return reading, ceil(taken.bursts * count / rate * self.clock)

    def aside(
        self, product: Product, array: int, rows: int, lines: int
    ) -> tuple[tuple[Instances, int], ...]:
        """The array, dacs, holds and converters that work in a product of so many rows and lines,
        each with its members in use and their busy cycles."""
        at, convert = self.wiring.array(array), self.wiring.convert(array)
        found = [(at, product.alone or product.reading)]
        if self.dac is not None:
            found.append((self._beside(self.dac, at, rows), product.reading))
        if self.wiring.hold is not None:
            found.append((self._beside(self.wiring.hold, at, lines), product.reading))
        if convert is not None:
            found.append((convert.at, product.converting))
        return tuple(found)

    def _beside(self, part: Part, array: Instances, used: int) -> Instances:
        """The members of a part around an array, of those that it has the first `used`."""
        each = max(1, part.count // self.pool.count)
        first = array.lo * part.count // self.pool.count
        return Instances(part.path, first, first + min(each, used))

    def _product(self, vector: Vector, convert: Convert | None, count: int) -> Product:
        reading = shot(self.wiring, vector)
        charges = self._read_charges(vector, reading)
        if convert is None:
            busy = max(1, ceil(reading.reads * reading.time * self.clock))
            self._note(reading.reads * reading.time, busy)
            stages = [Stage(busy, busy, "product")]
            if self.fine:
                stages = _reads(reading.reads, reading.time * self.clock) or stages
            stages[0] = stages[0]._replace(charges=charges + self._sum_charges(vector, reading))
            groups = _begins(len(stages), reading)
            return Product(tuple(stages), LAST, reading.reads, 0, reading.time, groups=groups)
        adc = self.wiring.converter
        assert adc is not None
        burst = count / adc.number("rate")
        bursts = reading.bursts
        delay = self._delay(burst, reading.running)
        timing = _Timing(reading.reads, bursts, reading.time, burst, self.clock, delay)
        held, alone = self.wiring.has_hold, 0
        own_clock = any(part.clock != self.clock for part in (self.pool, adc))
        if convert.arrays > 1 or own_clock:
            stages, exact = timing.apart(held), timing.total
            frees = HELD if held else LAST
        elif held:
            stages, exact = timing.held(), timing.overlapped
            frees = HELD if timing.is_bound_by_bursts else FIRST
        else:
            stages, exact, frees = timing.alone(), timing.total, FIRST
            alone = stages[0].busy
        self._note(exact, sum(stage.busy for stage in stages))
        if self.fine and convert.arrays == 1 and not own_clock:
            stages, frees = timing.fine(stages, held=held) or (stages, frees)
        stages[0] = stages[0]._replace(charges=charges)
        converted = self._convert_charges(vector, reading, bursts, burst)
        stages[-1] = stages[-1]._replace(charges=stages[-1].charges + converted)
        interval = max(reading.time, burst) if held else reading.time + burst
        conversions = bursts * vector.lines
        groups = _begins(len(stages), reading) if len(stages) == 2 * bursts else (0,)
        return Product(tuple(stages), frees, reading.reads, conversions, interval, alone, groups)

    def _note(self, exact: Fraction, cycles: int) -> None:
        self.note(f"a product on `{self.pool.path}` (reads and conversions)", exact, cycles)

    def _delay(self, burst: Fraction, running: Mapping[str, Fraction]) -> Fraction:
        """Seconds from the start of a burst to its last result."""
        assert self.wiring.converter is not None
        rate = self.wiring.converter.number("rate")
        single = latency_of(self.wiring.converter, "convert", 1 / rate, running)
        merge = self.wiring.merger
        merging = latency_of(merge, "add", Fraction(0), running) if merge else Fraction(0)
        return max(burst, burst - 1 / rate + single) + merging

    def _read_charges(self, vector: Vector, reading: Shot) -> tuple[Charge, ...]:
        charges = [
            charge(
                self.pool,
                "read",
                reading.each * count,
                busy=reading.time * reading.each * count,
                running={**reading.running, "active_rows": Fraction(rows)},
            )
            for rows, count in {r: reading.groups.count(r) for r in reading.groups}.items()
        ]
        if self.dac is not None:
            time = reading.time * reading.each
            count = vector.rows * reading.each
            charges.append(
                charge(
                    self.dac,
                    "convert",
                    count,
                    busy=time,
                    members=vector.rows,
                    running=reading.running,
                )
            )
        return tuple(charges)

    def _convert_charges(
        self, vector: Vector, reading: Shot, bursts: int, burst: Fraction
    ) -> tuple[Charge, ...]:
        count = bursts * vector.lines
        adc = self.wiring.converter
        assert adc is not None
        running = reading.running
        busy = vector.lines / adc.number("rate") * bursts
        charges = [charge(adc, "convert", count, busy=busy, running=running)]
        if self.wiring.hold is not None:
            time = reading.time * bursts
            charges.append(
                charge(
                    self.wiring.hold,
                    "hold",
                    count,
                    busy=time,
                    members=vector.lines,
                    running=running,
                )
            )
        if self.wiring.merger is not None:
            time = burst * bursts
            charges.append(self._added(self.wiring.merger, count, time, running))
        return tuple(charges)

    def _sum_charges(self, vector: Vector, reading: Shot) -> tuple[Charge, ...]:
        """Of the adders behind a digital array: its trees sum the word lines of each line and read,
        and what is behind them joins these sums. They work as long as the array is read."""
        if self.pool.kind != "digital_array":
            return ()
        count, time = reading.reads * vector.lines, reading.reads * reading.time
        adders = (self.wiring.tree, self.wiring.merger)
        return tuple(
            self._added(adder, count, time, reading.running)
            for adder in adders
            if adder is not None
        )

    def _added(
        self, adder: Part, count: int, busy: Fraction, running: Mapping[str, Fraction]
    ) -> Charge:
        """Additions by all the adders of one array."""
        members = max(1, adder.count // self.pool.count)
        return charge(adder, "add", count, busy=busy, members=members, running=running)


@attrs.frozen
class _Timing(Pace):
    """Tasks of n reads and their bursts, from exact times."""

    clock: Fraction
    delay: Fraction

    def _cycles(self, seconds: Fraction) -> int:
        return max(1, ceil(seconds * self.clock))

    def alone(self) -> list[Stage]:
        """No hold, private converters: one task holds the array through reads and bursts."""
        busy = self._cycles(self.total)
        late = self._cycles(self.reads * self.read + (self.bursts - 1) * self.burst + self.delay)
        return [Stage(busy, late, "product")]

    def held(self) -> list[Stage]:
        """A hold, private converters: reads and bursts overlap, merged without loss.

        Where a read is the longer, all reads follow one another and only the last burst is left;
        else the first read is followed by all bursts, and the array is free for the next product
        when the last of them starts. Bits that add in analog are read in one go before a burst.
        """
        read, burst, n = self.before_burst, self.burst, self.bursts
        last = self._cycles(burst)
        late = self._cycles(self.delay)
        if not self.is_bound_by_bursts:
            reads = self._cycles(n * read)
            return [
                Stage(reads, reads, "read"),
                Stage(last, late, "convert"),
            ]
        first = self._cycles(read)
        before = ceil(self.overlapped * self.clock) - first - last
        stages = [Stage(first, first, "read")]
        if before > 0:
            stages.append(Stage(before, before, "convert"))
        stages.append(Stage(last, late, "convert"))
        return stages

    def fine(self, merged: Sequence[Stage], *, held: bool) -> tuple[list[Stage], Frees] | None:
        """Every read and every burst of the merged tasks, at the cycles where they fall in these.

        None where some would take less than a cycle: then they stay merged.
        """
        if not held:
            spans = self._in_turn()
        elif self.is_bound_by_bursts:
            spans = self._behind_bursts(merged)
        else:
            spans = self._behind_reads()
        final = merged[-1]
        done = 0 if held else spans[-1][1]
        stages: list[Stage] = []
        for k, (read, end_of_read, begin, end) in enumerate(spans):
            busy = late = end - begin
            if k == self.bursts - 1:
                busy, late = final.busy - done, final.latency - done
            reading = end_of_read - read
            stages.append(Stage(reading, reading, "read", after_start=held and k > 0))
            stages.append(Stage(busy, late, "convert"))
        if any(min(stage.busy, stage.latency) < 1 for stage in stages):
            return None
        if held and not self.is_bound_by_bursts:
            return stages, Frees(-2, at_start=False)
        return stages, (HELD if held else LAST)

    def _in_turn(self) -> list[tuple[int, int, int, int]]:
        """Begin and end of each read and of each burst where these follow one another."""
        read, step = self.before_burst * self.clock, (self.before_burst + self.burst) * self.clock
        return [
            (ceil(k * step), ceil(k * step + read), ceil(k * step + read), ceil((k + 1) * step))
            for k in range(self.bursts)
        ]

    def _behind_reads(self) -> list[tuple[int, int, int, int]]:
        """The same where reads follow one another, each with its burst behind it."""
        read, burst = self.before_burst * self.clock, self._cycles(self.burst)
        ends = [ceil(k * read) for k in range(self.bursts + 2)]
        return [
            (ends[k], ends[k + 1], ends[k + 1], min(ends[k + 1] + burst, ends[k + 2]))
            for k in range(self.bursts)
        ]

    def _behind_bursts(self, merged: Sequence[Stage]) -> list[tuple[int, int, int, int]]:
        """The same where bursts follow one another, each read beside the burst before its own."""
        first = merged[0].busy
        limit = first + sum(stage.busy for stage in merged[1:-1])
        exact = [(self.before_burst + k * self.burst) * self.clock for k in range(self.bursts)]
        begins = [first, *(min(ceil(time), limit) for time in exact[1:-1])]
        begins += [limit] if self.bursts > 1 else []
        spans = [(0, first)]
        spans += [(a, a + min(first, b - a)) for a, b in pairwise(begins)]
        return [
            (*span, begin, end)
            for span, begin, end in zip(spans, begins, [*begins[1:], begins[-1]], strict=True)
        ]

    def apart(self, hold: bool) -> list[Stage]:
        """Every read and every burst is a task: other arrays use the converters too, or a clock
        other than the system's says when each may begin."""
        stages: list[Stage] = []
        for k in range(self.bursts):
            read = self._between(k, self.before_burst)
            burst = self._between(k, self.burst)
            late = self._cycles(self.delay) if k == self.bursts - 1 else burst
            stages.append(Stage(read, read, "read", after_start=hold and k > 0))
            stages.append(Stage(burst, late, "convert"))
        return stages

    def _between(self, k: int, step: Fraction) -> int:
        """Cycles of step k, so that step k ends at ceil((k + 1) x step)."""
        return max(1, ceil((k + 1) * step * self.clock) - ceil(k * step * self.clock))


def _reads(count: int, cycles: Fraction) -> list[Stage]:
    """Reads that follow one another; none where one would take less than a cycle."""
    ends = [ceil(k * cycles) for k in range(count + 1)]
    stages = [Stage(b - a, b - a, "product") for a, b in pairwise(ends)]
    return stages if all(stage.busy for stage in stages) else []


def _begins(stages: int, reading: Shot) -> tuple[int, ...]:
    """Where each group of word lines begins, of tasks as many for each; all at 0 where merged."""
    count = len(reading.groups)
    return tuple(range(0, stages, stages // count)) if stages % count == 0 else (0,)
