"""The widest network of a given shape within a budget of bit lines.

A shape is a wished width of each space, of which only the proportions count. `widest` finds the
largest factor omega with which all widths, rounded, stay within the budget, by bisection: bit lines
never fall as omega grows. `filled` then moves single widths, by a fraction of themselves or up to
the next full segment, while more weights come to lie on the same bit lines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from heapq import nlargest
from itertools import combinations, product
from math import prod

import attrs

from cimarch.optimize.morph.problems import too_small
from cimarch.optimize.morph.resources import Layer, Macro, bit_lines, per_bit_line
from cimarch.optimize.morph.ties import Ties, Use, Widths

SLACKS = (0.25, 0.5, 1.0)
"""How far `filled` moves a width from its share, as a part of it: the first that reaches `FULL`."""
FULL = 0.95
"""The utilisation of the budget with which `filled` is content."""
NEARBY = 4
"""Channels by which one move changes a width at most, where it fills no whole segment."""
FAR = 0.03
"""What a width twice, or half, its share costs, in utilisation, averaged over spaces."""
FINE = 1 << 12
"""Steps of omega in which it is found, per factor of one."""

OMEGAS = (0.9, 1.0, 1.1, 1.2)
"""Where `filled` begins, as parts of the largest omega: segments make bit lines uneven in it."""

COMBINED = 1 << 12
"""Neighbours of full segments that are looked at, at most."""
MANY = 16
"""Spaces up to which any two are moved together; of more those that a layer joins."""
STARTS = 3
"""Of these, those from which `filled` climbs."""

Shape = Mapping[int, float]
"""Wished widths of spaces that may change."""


@attrs.frozen(eq=False)
class Budget:
    """Bit lines that a network may take, and how layers take them."""

    ties: Ties
    macro: Macro
    lines: int
    counted: frozenset[str] = frozenset()
    """The layers that the macros hold; all where it is empty."""

    def layers(self, widths: Widths) -> list[Layer]:
        """The layers that are counted, were the spaces of these widths."""
        found = self.ties.layers(widths)
        return [each for each in found if not self.counted or each.name in self.counted]

    def taken(self, widths: Widths) -> int:
        """Bit lines of these widths."""
        return sum(bit_lines(layer, self.macro) for layer in self.layers(widths))

    def check(self) -> None:
        """Raise DescriptionError where one channel a space is too much already."""
        least = self.taken(self.widths(dict.fromkeys(self.ties.free, 1.0), 0.0))
        if least > self.lines:
            raise too_small(self.lines, least, self.macro.usable)

    def widths(self, shape: Shape, omega: float) -> dict[int, int]:
        """All widths of a shape that is scaled; at least one channel each, embedded ones no more
        than what they are embedded in."""
        found = self.ties.widths
        for number in self.ties.free:
            found[number] = max(1, round(omega * shape[number]))
        for embed in self.ties.embeds:
            found[embed.larger] = max(found[embed.larger], found[embed.smaller])
        return found


def widest(budget: Budget, shape: Shape) -> tuple[float, dict[int, int]]:
    """The largest omega, and its widths, that are within the budget.

    Raises DescriptionError where not even one channel a space is.
    """
    budget.check()
    low, high = 0, FINE
    while budget.taken(budget.widths(shape, high / FINE)) <= budget.lines:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        if budget.taken(budget.widths(shape, middle / FINE)) <= budget.lines:
            low = middle
        else:
            high = middle
    return low / FINE, budget.widths(shape, low / FINE)


def filled(budget: Budget, shape: Shape) -> dict[int, int]:
    """Widths near a shape that put the most weights on the budget's bit lines, never on more.

    From each of several omegas around the largest one, as they are and with widths that fill whole
    segments, a hill climb over one width and over pairs of widths takes the best move until none is
    better. Widths move further where that fills the budget, and not where nothing fills it. The
    same for the same shape.
    """
    omega, plain = widest(budget, shape)
    near = None
    for slack in SLACKS:
        best = _within(budget, shape, omega, slack, plain)
        near = near or best
        if _Climb(budget, best, slack).utilisation(best) >= FULL:
            return best
    return near or plain


def _within(
    budget: Budget, shape: Shape, omega: float, slack: float, plain: dict[int, int]
) -> dict[int, int]:
    """The best end of all climbs with so much slack; `plain` where none is better."""
    best, score = plain, _Climb(budget, plain, slack).score(plain)
    for step in OMEGAS:
        climb = _Climb(budget, budget.widths(shape, step * omega), slack)
        for start in climb.starts():
            ended, reached = climb.climbed(start)
            if reached > score + 1e-9 and budget.taken(ended) <= budget.lines:
                best, score = ended, reached
    return best


class _Climb:
    """Scores widths, and tells which are a move away."""

    def __init__(self, budget: Budget, centre: Widths, slack: float) -> None:
        self.budget, self.centre = budget, dict(centre)
        counted = budget.counted
        self.uses = [u for u in budget.ties.uses if not counted or u.path in counted]
        self.touching = {
            number: [use for use in self.uses if number in (use.reads, use.makes)]
            for number in budget.ties.free
        }
        self.room = {number: self._room(number, slack) for number in budget.ties.free}
        self.whole = {number: self._whole(number) for number in self.room}
        self.cells = budget.lines * budget.macro.rows // budget.macro.across
        self.of: Callable[[Use, int, int], tuple[int, int]] = lru_cache(None)(self._of)

    def climbed(self, start: Widths) -> tuple[dict[int, int], float]:
        """Where a climb from some widths ends, and its score."""
        best = dict(start)
        score = self.score(best)
        while True:
            for pairs in (False, True):
                better = max(self.near(best, pairs), key=lambda found: found[0], default=None)
                if better is not None and better[0] > score + 1e-9:
                    score, best = better
                    break
            else:
                return best, score

    def starts(self) -> list[dict[int, int]]:
        """The centre, and the best of its neighbours in which widths fill whole segments."""
        choices = {n: sorted({*self.whole[n], self.centre[n]}) for n in self.room}
        if prod(map(len, choices.values())) > COMBINED:
            choices = {n: self._nearest(n) for n in self.room}
        found = (
            {**self.centre, **dict(zip(choices, combined, strict=True))}
            for combined in product(*choices.values())
        )
        return [self.centre, *nlargest(STARTS, filter(self._nested, found), key=self.score)]

    def _nearest(self, number: int) -> list[int]:
        centre = self.centre[number]
        return [min(self.whole[number], key=lambda w: abs(w - centre), default=centre)]

    def _room(self, number: int, slack: float) -> range:
        """The widths that a space may take."""
        width = self.centre[number]
        return range(max(1, int(width / (1 + slack))), int(width * (1 + slack)) + 2)

    def _whole(self, number: int) -> list[int]:
        """Widths that fill whole segments of who reads them."""
        readers = [u for u in self.touching[number] if u.reads == number and not u.depthwise]
        pers = [per_bit_line(u.positions, self.budget.macro) // u.repeat for u in readers]
        per = max([1, *pers])
        return [width for width in self.room[number] if width % per == 0] if per > 1 else []

    def _of(self, use: Use, reads: int, makes: int) -> tuple[int, int]:
        """Bit lines and weights of a layer."""
        inputs = 1 if use.depthwise else reads * use.repeat
        layer = Layer(use.path, use.positions, inputs, makes)
        return bit_lines(layer, self.budget.macro), layer.weights

    def total(self, widths: Widths, uses: list[Use]) -> tuple[int, int]:
        """Bit lines and weights of some layers."""
        lines = weights = 0
        for use in uses:
            taken, held = self.of(use, widths[use.reads], widths[use.makes])
            lines, weights = lines + taken, weights + held
        return lines, weights

    def score(self, widths: Widths) -> float:
        """Utilisation of the budget, less what leaving the shape and the budget costs."""
        lines, weights = self.total(widths, self.uses)
        return self.worth(lines, weights) - self.strayed(widths)

    def worth(self, lines: int, weights: int) -> float:
        """Utilisation of the budget; each bit line above it costs more than it can hold."""
        return weights / self.cells - 2 * max(0, lines - self.budget.lines) / self.budget.lines

    def utilisation(self, widths: Widths) -> float:
        """Of the budget."""
        return self.total(widths, self.uses)[1] / self.cells

    def strayed(self, widths: Widths) -> float:
        """How far widths are from where they started."""
        return sum(self.far(number, widths[number]) for number in self.room)

    def far(self, number: int, width: int) -> float:
        """What one space's width adds to it."""
        start = self.centre[number]
        return FAR * (max(width, start) / min(width, start) - 1) / len(self.room)

    def near(self, widths: dict[int, int], pairs: bool) -> Iterator[tuple[float, dict[int, int]]]:
        """All moves of one width, or of two, with their scores."""
        lines, weights = self.total(widths, self.uses)
        strayed = self.strayed(widths)
        for one, other in self._who(pairs):
            uses = self._both(one, other)
            own_lines, own_weights = self.total(widths, uses)
            own_far = self._far(widths, one, other)
            for first, second in self._moves(widths, one, other):
                trial = {**widths, one: first, other: second}
                if not self._nested(trial):
                    continue
                taken, held = self.total(trial, uses)
                far = strayed - own_far + self._far(trial, one, other)
                worth = self.worth(lines - own_lines + taken, weights - own_weights + held)
                yield worth - far, trial

    def _who(self, pairs: bool) -> Iterator[tuple[int, int]]:
        if not pairs:
            return zip(self.room, self.room, strict=True)
        found = combinations(self.room, 2)
        return found if len(self.room) <= MANY else filter(self._share, found)

    def _share(self, pair: tuple[int, int]) -> bool:
        """Whether a layer joins two spaces."""
        return not set(self.touching[pair[0]]).isdisjoint(self.touching[pair[1]])

    def _far(self, widths: Widths, one: int, other: int) -> float:
        return sum(self.far(number, widths[number]) for number in {one, other})

    def _both(self, one: int, other: int) -> list[Use]:
        if one == other:
            return self.touching[one]
        return list(dict.fromkeys(self.touching[one] + self.touching[other]))

    def _moves(self, widths: Widths, one: int, other: int) -> Iterator[tuple[int, int]]:
        if one == other:
            yield from ((width, width) for width in self._steps(one, widths[one]))
            return
        yield from product(self._steps(one, widths[one]), self._steps(other, widths[other]))

    def _steps(self, number: int, width: int) -> list[int]:
        """The widths that one move leads to."""
        close = range(width - NEARBY, width + NEARBY + 1)
        found = {each for each in close if each in self.room[number]} | {*self.whole[number]}
        return sorted(found - {width})

    def _nested(self, widths: Widths) -> bool:
        return all(widths[e.smaller] <= widths[e.larger] for e in self.budget.ties.embeds)
