"""Arrays at work: every group of word lines, every input step, every burst by itself.

A read senses one group of word lines for one step of the input; then the converters take turns at
its sense lines. A sample-and-hold keeps what was read until its conversion starts, and the next
read may start then; without one the array waits for its converters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from fractions import Fraction
from math import ceil

import attrs
import simpy

from cimarch.hardware.encoding import columns_per_weight, sense_lines_per_weight
from cimarch.hardware.routes import Instances
from cimarch.hardware.system import Part
from cimarch.mapping.placement import Placement
from oracle.hardware import Bench, Job, Order, Steps, pass_on
from oracle.movement import stated


@attrs.frozen
class Sensing:
    """One tile's product: its reads in order, each with the burst that follows, if one does."""

    array: Instances
    converters: Instances | None
    reads: tuple[tuple[int, int], ...]
    """Of each read that a burst may follow: word lines, and input steps that add up in analog."""
    read: Fraction
    """Seconds of one of them."""
    burst: Fraction
    """Seconds that the converters are held for one of them."""
    delay: Fraction
    """Seconds from the start of a burst to its last result."""
    private: bool
    """Whether no other array uses the converters."""


@attrs.define
class Lane:
    """What the windows of one tile leave to each other."""

    done: dict[int, simpy.Event]
    """Per window: the last conversion has its results."""
    fed: dict[int, simpy.Event]
    """Per window: the driving buffer has been read."""


@attrs.frozen
class Products:
    """A tile's products, as the array that it lies on sees them."""

    tile: int
    ready: Callable[[int], list[simpy.Event]]
    """What a window's product waits for."""
    order: Callable[[int], Order]
    feed: Callable[[int, Order], Job] | None
    lane: Lane


class Arrays:
    """The arrays of one of a placement's pools."""

    def __init__(self, bench: Bench, placement: Placement, pool: Part) -> None:
        self.bench = bench
        self.placement = placement
        self.pool = pool
        self.routes = placement.wiring.routes
        self.kinds = {part.path: part.kind for part in placement.system.walk()}
        behind = self._behind(0)
        self.hold = next(
            (placement.system.part(at.path) for at in behind
             if self.kinds[at.path] == "sample_hold"),
            None,
        )  # fmt: skip
        self.dac = next(
            (placement.system.part(at.path)
             for at in self.routes.upstream(self.array(0), "in") if self.kinds[at.path] == "dac"),
            None,
        )  # fmt: skip
        adders = [
            placement.system.part(path)
            for path in dict.fromkeys(at.path for at in behind)
            if self.kinds[path] in ("shift_add", "accumulator", "adder_tree")
        ]
        self.trees = None
        if self.pool.kind == "digital_array" and len(adders) > 1:
            own = adders[0].kind == "adder_tree" and adders[0].count >= self.pool.count
            self.trees = adders.pop(0) if own else None
        self.merger = adders[0] if adders else None

    def array(self, index: int) -> Instances:
        """One array of the pool."""
        return Instances(self.pool.path, index, index + 1)

    def _behind(self, index: int) -> list[Instances]:
        """What an array leads to before the first buffer."""
        found = []
        for at in self.routes.downstream(self.array(index)):
            if self.kinds[at.path] == "buffer":
                break
            found.append(at)
        return found

    def converters(self, index: int) -> Instances | None:
        """The converters of an array."""
        if self.pool.kind == "digital_array":
            return None
        return next((at for at in self._behind(index) if self.kinds[at.path] == "adc"), None)

    def sensing(self, tile: int) -> Sensing:
        """The reads and bursts of a tile's product."""
        tiles = self.placement.tiles
        name = self.placement.plans[int(tiles.site[tile])].site.anchor.name
        bits = self.placement.bits[name].of_level(int(tiles.level[tile]))
        index = int(tiles.array[tile])
        together = self._steps(bits.input) if self._analog_steps else 1
        limit = self.pool.integer("word_lines")
        rows = int(tiles.rows[tile])
        reads = [
            (min(limit, rows - first), together)
            for first in range(0, rows, limit)
            for _ in range(0, self._steps(bits.input), together)
        ]
        read = stated(self.pool, "read", 1 / self.pool.clock) * together
        at = self.converters(index)
        burst = delay = Fraction(0)
        if at is not None:
            adc = self.placement.system.part(at.path)
            one = 1 / adc.number("rate")
            lines, column = int(tiles.lines[tile]), int(tiles.at_column[tile])
            turns = self._turns(adc, lines, len(at), bits.weight, column)
            burst = turns * one
            delay = burst + max(Fraction(0), stated(adc, "convert", one) - one)
            if self.merger is not None:
                delay += stated(self.merger, "add", Fraction(0))
        private = not any(
            other is not None and at is not None and other.meet(at)
            for i in range(self.pool.count)
            if i != index
            for other in (self.converters(i),)
        )
        return Sensing(self.array(index), at, tuple(reads), read, burst, delay, private)

    @property
    def _analog_steps(self) -> bool:
        return self.pool.word("input_accumulation") == "analog"

    def _steps(self, input_bits: int) -> int:
        if self.dac is None:
            return 1
        signed = self.pool.word("inputs") == "sign_magnitude"
        return max(1, ceil((input_bits - signed) / self.dac.integer("bits")))

    def _turns(self, adc: Part, lines: int, converters: int, weight_bits: int, column: int) -> int:
        """The most sense lines in use that are wired to one converter."""
        per = Fraction(
            sense_lines_per_weight(self.pool, weight_bits),
            columns_per_weight(self.pool, weight_bits),
        )
        whole = ceil(self.pool.integer("columns") * per)
        side_by_side = ceil(whole / converters)
        used = [0] * converters
        first = int(column * per)
        for line in range(first, first + lines):
            interleaved = adc.word("mux") == "interleaved"
            used[line % converters if interleaved else line // side_by_side] += 1
        return max(used)

    def note(self, tile: int, sensing: Sensing) -> None:
        """Count what one product does: every row driven, every line held and converted."""
        lines = int(self.placement.tiles.lines[tile])
        count = self.bench.count
        for rows, steps in sensing.reads:
            count(self.pool.path, "read", steps)
            if self.dac is not None:
                count(self.dac.path, "convert", rows * steps)
            if sensing.converters is not None:
                count(sensing.converters.path, "convert", lines)
                if self.hold is not None:
                    count(self.hold.path, "hold", lines)
            if sensing.converters is not None or self.pool.kind == "digital_array":
                for adder in (self.trees, self.merger):
                    if adder is not None:
                        count(adder.path, "add", lines * (1 if sensing.converters else steps))

    def run(self, products: Sequence[Products], windows: Iterable[int]) -> Steps:
        """All products of a pass on one array: window by window, one tile's after the other's."""
        held: simpy.Event | None = None
        fed: dict[int, simpy.Event] = {}
        sensings = [self.sensing(each.tile) for each in products]
        for window in windows:
            for each, sensing in zip(products, sensings, strict=True):
                yield self.bench.all([*each.ready(window), *filter(None, [fed.get(each.tile)])])
                self.note(each.tile, sensing)
                for k in range(len(sensing.reads)):
                    if held is not None:
                        yield held
                    read, held, done = self._read(sensing, k, each.order(window))
                    yield read.started
                    if k == 0 and each.feed is not None:
                        lane_feed = each.feed(window, each.order(window))
                        self.bench.env.process(pass_on(lane_feed.done, each.lane.fed[window]))
                        fed[each.tile] = each.lane.fed[window]
                self.bench.env.process(pass_on(done, each.lane.done[window]))

    def _read(self, sensing: Sensing, k: int, order: Order) -> tuple[Job, simpy.Event, simpy.Event]:
        """One read and its burst: (the read, when the next may start, when results are there)."""
        env = self.bench.env
        following, done = env.event(), env.event()
        bare = sensing.converters is not None and self.hold is None
        read = self.bench.work(
            sensing.array, self._cycles(sensing, k)[0], (*order, 1, 2 * k),
            stage=k == 0, released=following if bare and sensing.private else None,
        )  # fmt: skip
        env.process(self._convert(sensing, k, order, read, following, done))
        return read, following, done

    def _convert(
        self, sensing: Sensing, k: int, order: Order, read: Job, following: simpy.Event,
        done: simpy.Event,
    ) -> Steps:  # fmt: skip
        """The burst after a read; with a hold the next read follows when it starts."""
        yield read.done
        if sensing.converters is None:
            following.succeed()
            done.succeed()
            return
        env = self.bench.env
        busy, late = self._cycles(sensing, k)[1:]
        if not busy and not late and self.hold is None:  # it ends in the cycle in which it begins
            following.succeed()
            done.succeed()
            return
        burst = self.bench.work(
            sensing.converters, busy, (*order, 1, 2 * k + 1), latency=late,
        )  # fmt: skip
        if self.hold is not None:
            env.process(pass_on(burst.started, following))
        elif sensing.private:
            env.process(self._wait(burst.started, busy, following))
        else:
            env.process(pass_on(burst.done, following))
        yield burst.done
        done.succeed()

    def _wait(self, event: simpy.Event, cycles: int, then: simpy.Event) -> Steps:
        yield event
        yield self.bench.env.timeout(cycles)
        then.succeed()

    def _cycles(self, sensing: Sensing, k: int) -> tuple[int, int, int]:
        """Cycles of read k, of its burst, and to the burst's last result.

        Steps that follow one another are timed exactly: each ends with the cycle in which it does.
        With shared converters each step is rounded by itself, and so is a burst that ends before
        the next read does.
        """
        clock = self.bench.system.clock
        read, burst, delay = (t * clock for t in (sensing.read, sensing.burst, sensing.delay))
        if not sensing.private or sensing.converters is None:
            return (
                _between(k, read),
                max(1, _between(k, burst)),
                max(1, _between(k, burst), ceil(delay)),
            )
        if self.hold is not None and read >= burst:
            return _between(k, read), ceil(burst), ceil(delay)
        begin = k * (read + burst)
        if self.hold is not None:
            begin = read + (k - 1) * burst if k else Fraction(0)
        sensed = begin + read if self.hold is None else read + k * burst
        return (
            ceil(begin + read) - ceil(begin),
            ceil(sensed + burst) - ceil(sensed),
            ceil(sensed + delay) - ceil(sensed),
        )


def _between(k: int, step: Fraction) -> int:
    """Cycles of step k, where step k ends at ceil((k + 1) x step)."""
    return ceil((k + 1) * step) - ceil(k * step)
