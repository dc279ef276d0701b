"""What the bit-plane kernels need to know of placed weights and ranges of converters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Ints, Lines
from cimarch.functional.paths.code_tables import CodeTable, byte_codes, code_table, scales
from cimarch.functional.paths.plane_data import CONSTANT, ROWS, WIDE, Plan
from cimarch.functional.paths.plane_steps import BitPlanes
from cimarch.functional.scheme import Scheme

MOST_CODES = 2**22
"""Entries of all tables of codes of an operation; with more of them it is left to others."""
_LARGEST = 2**31 - 1
_UNUSED = [np.zeros(256, np.uint8)] * 2

Floats = NDArray[np.float64]


class UnsuitableError(ValueError):
    """An operation that bit planes cannot compute."""


@attrs.frozen(eq=False)
class Prepared:
    """Channel groups with the same sections, ready for the kernels."""

    plan: Plan
    planes: BitPlanes
    stages: int
    """Tiles whose sums pass adders one by one; 1 where they may be added in any order."""
    held_lines: int
    """Lines that are added up apart."""
    constants: NDArray[np.int32] | None
    """(groups, outputs, 4) as `run_whole` takes them; None where not all is whole."""
    ratios: Floats
    """(groups, held lines, outputs)."""
    left_out: Floats
    """(groups, outputs, 2): what codes do not stand for, of outputs and of the reference."""
    numbers: Floats
    """As `Adders` has them."""
    conversions: int
    """Of a window."""
    sums: int
    """Sums of a window that adders of limited width hold."""


def prepare(
    lines: Sequence[Lines], ranges: Ranges | None, groups: Sequence[int], *, counting: bool = False
) -> Prepared:
    """Prepare channel groups with the same sections; UnsuitableError where that is impossible.

    `counting`: for kernels that count what clips and rounds.
    """
    return _Maker(lines, ranges, groups, counting).prepared()


class _Maker:
    """Makes one `Prepared`, array by array; G, S, O, L are groups, sections, outputs, lines.

    Arrays of outputs have one more for the reference column where the scheme has one.
    """

    def __init__(
        self, lines: Sequence[Lines], ranges: Ranges | None, groups: Sequence[int], counting: bool
    ) -> None:
        self.counting = counting
        self.lines, self.groups = [lines[g] for g in groups], np.array(groups, np.int64)
        first = self.lines[0]
        self.scheme: Scheme = first.scheme
        self.converter = self.scheme.converter if ranges is not None else None
        self.ranges, self.sections = ranges, first.sections
        self.planes = BitPlanes(self.scheme)
        self.reference = first.reference
        self.count, self.outputs = int(first.digits.shape[0]), first.outputs
        self.columns = self.outputs + (self.reference != 0)
        self.tiles = first.factors.shape[2]
        self.places = np.array([step.place for step in self.planes.steps], np.int64)
        self._digits()
        self._tables()
        self._registers()

    def _digits(self) -> None:
        """Digits by section, and the largest and least sum of each with one unit of input."""
        if any(abs(each.digits).max(initial=0) > 2**15 - 1 for each in self.lines):
            raise UnsuitableError("digits of more than 16 bits")
        shape = (len(self.lines), len(self.sections), self.columns, self.count)
        rows = max((s.end - s.first for s in self.sections), default=0)
        self.digits = np.zeros((*shape, max(1, -(-rows // ROWS)) * ROWS), np.int16)
        for g, each in enumerate(self.lines):
            for s, section in enumerate(self.sections):
                size = section.end - section.first
                taken = each.digits[:, :, section.first : section.end].swapaxes(0, 1)
                self.digits[g, s, : self.outputs, :, :size] = taken
                if self.reference:
                    self.digits[g, s, self.outputs, 0, :size] = 1
        self.above = np.maximum(self.digits, 0).sum(axis=-1, dtype=np.int64)
        self.below = np.maximum(-self.digits.astype(np.int32), 0).sum(axis=-1, dtype=np.int64)

    def _tables(self) -> None:
        """Tables of codes: one for each range that lines have."""
        low = min(min(step.low, 0) for step in self.planes.steps)
        high = max(max(step.high, 0) for step in self.planes.steps)
        most = self.above * high - self.below * low
        least = self.above * low - self.below * high
        ends, self.table_of = self._classes()
        self.tables: list[CodeTable] = []
        for n, (start, step) in enumerate(ends):
            mine = np.broadcast_to((self.table_of == n)[None, None], most.shape)
            first, end = int(least[mine].min(initial=0)), int(most[mine].max(initial=0)) + 1
            if end - first + sum(len(t.codes) for t in self.tables) > MOST_CODES:
                raise UnsuitableError("more sums than a table of codes may have")
            self.tables.append(code_table(self.converter, start, step, first, end))

    def _classes(self) -> tuple[Floats, Ints]:
        """The ranges that differ, and which of them (outputs, lines) have."""
        if self.converter is None or self.ranges is None:
            return np.array([[0.0, 1.0]]), np.zeros((self.columns, self.count), np.int64)
        low, step = self.ranges.low, self.ranges.step
        outputs = np.append(np.arange(self.outputs) % low.shape[1], 0)[: self.columns]
        at = np.ix_(np.arange(self.count) % len(low), outputs)
        pairs = np.stack([low[at].T, step[at].T], axis=-1)
        if self.reference:
            pairs[self.outputs] = low[0, 0], step[0, 0]
        ends, which = np.unique(pairs.reshape(-1, 2), axis=0, return_inverse=True)
        return ends, which.reshape(self.columns, self.count)

    def _registers(self) -> None:
        """Quanta, and the bounds of what adders hold: which of them may overflow."""
        base, quantum = scales(self.converter, self.ranges, self.count, self.outputs)
        self.base, self.quantum = base, float(quantum.min())
        self.ratio = quantum / self.quantum
        self.whole_ratios = bool((self.ratio == np.rint(self.ratio)).all())
        self.columns_ratio = np.ones((self.columns, self.count))
        self.columns_ratio[: self.outputs] = self.ratio.T
        self.factors = self._factors()
        low, high = self._bounds()
        least = np.cumsum(low, axis=2).min(axis=2)
        most = np.cumsum(high, axis=2).max(axis=2)
        self.tile_bits = self._width(self.scheme.tile_bits, low, high)
        self.sum_bits = self._width(self.scheme.sum_bits if self.tiles > 1 else None, least, most)
        self.in_order = not self.whole_ratios or bool(self.tile_bits or self.sum_bits)
        ends = (low, high) if self.in_order else (least, most)
        self.largest = max((float(abs(each).max(initial=0)) for each in ends), default=0)
        if self.largest > _LARGEST:
            raise UnsuitableError("sums of more than 32 bits")

    def _bounds(self) -> tuple[Floats, Floats]:
        """Bounds (groups, outputs, tiles) of the sums of tiles, in quanta."""
        low, high = self._codes()
        factors = self.factors if self.whole_ratios else self.factors * self.columns_ratio
        ends = np.stack([low * factors, high * factors])[:, :, :, : self.outputs].astype(np.float64)
        shape = (len(self.lines), self.outputs, self.tiles)
        least, most = np.zeros(shape), np.zeros(shape)
        for s, section in enumerate(self.sections):
            least[:, :, section.tile] += ends.min(axis=0)[:, s].sum(axis=-1)
            most[:, :, section.tile] += ends.max(axis=0)[:, s].sum(axis=-1)
        return least, most

    def _codes(self) -> tuple[Ints, Ints]:
        """The least and the largest sum over steps of a line's codes, (G, S, O, L)."""
        low, high = np.zeros_like(self.above), np.zeros_like(self.above)
        spans = Counter[tuple[int, int]]()
        for step in self.planes.steps:
            spans[min(step.low, 0), max(step.high, 0)] += step.place
        for n, table in enumerate(self.tables):
            mine = (..., *np.nonzero(self.table_of == n))
            above, below = self.above[mine], self.below[mine]
            for (least, most), place in spans.items():
                ends = table.extent(above * least - below * most, above * most - below * least)
                low[mine] += place * ends[0]
                high[mine] += place * ends[1]
        return low, high

    def _width(self, bits: int | None, low: Floats, high: Floats) -> int:
        """The width of an adder that may overflow; 0: none does."""
        if bits is None:
            return 0
        top = 2.0 ** (bits - 1)
        fits = bool(np.all(low >= -top) and np.all(high <= top - 1))
        return 0 if fits else bits

    def prepared(self) -> Prepared:
        stages = self.tiles if self.in_order else 1
        held = 1 if self.whole_ratios else self.count
        plan = self._plan(stages, held)
        left_out, constants = self._left_out(), None
        if self._is_whole(left_out):
            constants = self._constants(left_out)
        _, quantum = scales(self.converter, self.ranges, 1, 1)
        scheme = self.scheme
        measured = float(quantum[0, 0]) if self.reference else 0.0
        numbers = [
            self.quantum, self.reference, measured, self.tile_bits, self.sum_bits,
            scheme.overflow == "wrap",
        ]  # fmt: skip
        widths = (scheme.tile_bits is not None) * self.tiles
        widths += (scheme.sum_bits is not None) * (self.tiles - 1)
        return Prepared(
            plan, self.planes, stages, held, constants,
            np.ones((len(self.lines), held, self.outputs)) if self.whole_ratios
            else np.repeat(self.ratio[None], len(self.lines), axis=0),
            left_out, np.array(numbers, np.float64), self._conversions(),
            widths * self.outputs * len(self.lines),
        )  # fmt: skip

    def _conversions(self) -> int:
        each = len(self.sections) * len(self.places)
        blocks = sum(lines.blocks for lines in self.lines) if self.reference else 0
        return each * (len(self.lines) * self.count * self.outputs + blocks)

    def _left_out(self) -> Floats:
        """What codes do not stand for, in the plain reference's order of additions."""
        taken = np.array([s.tile for s in self.sections], np.int64)
        found = np.zeros((len(self.lines), self.outputs, 2))
        steps = int(self.places.sum())
        for g, each in enumerate(self.lines):
            for tile in range(self.tiles):
                turns = int((taken == tile).sum()) * steps
                base = np.zeros(self.outputs)
                for line in range(self.count):
                    base = base + self.base[line] * (each.factors[line, :, tile] * turns)
                found[g, :, 0] = found[g, :, 0] + base
        if self.reference:
            found[:, :, 1] = self.base[0, 0] * (len(self.sections) * steps)
        return found

    def _is_whole(self, left_out: Floats) -> bool:
        """Whether results are whole numbers of 32 bits and may be added in any order."""
        if self.in_order or not float(self.quantum).is_integer():
            return False
        low, high = self.scheme.input_range
        inputs = max(abs(low), abs(high)) * float(sum(s.end - s.first for s in self.sections))
        correction = max(float(abs(each.correction).max(initial=0)) for each in self.lines)
        measured = 0.0
        if self.reference:
            codes = max((1.0, *(float(abs(t.codes).max()) for t in self.tables)))
            measured = codes * float(self.places.sum()) * len(self.sections)
            measured = abs(self.reference) * (self.quantum * measured + abs(left_out[0, 0, 1]))
        bound = self.quantum * max(self.largest, 1) + abs(left_out[..., 0]).max(initial=0)
        bound += inputs * correction + measured
        return bool((left_out == np.rint(left_out)).all()) and bound <= _LARGEST

    def _constants(self, left_out: Floats) -> NDArray[np.int32]:
        quantum = self.quantum
        made = np.zeros((len(self.lines), self.outputs, 4), np.int32)
        made[..., 0], made[..., 1] = int(quantum), left_out[..., 0]
        if self.reference:
            _, measured = scales(self.converter, self.ranges, 1, 1)
            made[..., 2] = self.reference * int(measured[0, 0])
            made[..., 3] = self.reference * left_out[..., 1]
        return made

    def _factors(self) -> Ints:
        """(G, S, O, L): what one code counts, in quanta of the line or, if they can, of all."""
        tiles = [section.tile for section in self.sections]
        found = np.zeros(self.above.shape, np.int64)
        for g, each in enumerate(self.lines):
            found[g, :, : self.outputs] = each.factors[:, :, tiles].T
        if self.whole_ratios:
            found *= self.columns_ratio.astype(np.int64)
        if self.reference:
            found[:, :, self.outputs, 0] = 1
        return found

    def _plan(self, stages: int, held: int) -> Plan:
        tiles = np.array([s.tile for s in self.sections], np.int64)
        rows = np.array([s.end - s.first for s in self.sections], np.int64)
        corrections = self._corrections()
        begins = np.searchsorted(tiles, np.arange(stages + 1))
        if stages == 1:
            begins = np.array([0, len(tiles)])
        steps = [step.planes for step in self.planes.steps]
        offsets = np.cumsum([0, *(len(t.codes) for t in self.tables)])[:-1]
        zeros = np.array([o - t.first for o, t in zip(offsets, self.tables, strict=True)], np.int64)
        values_at = np.repeat(zeros[self.table_of][None], len(self.lines), axis=0)
        blocks = [each.blocks for each in self.lines]
        wide = self.factors
        parts = self._bytes(wide, begins, held)
        empty = ~self.digits.reshape(*self.digits.shape[:4], -1, ROWS).any(axis=-1)
        return Plan(
            digits=self.digits,
            order=np.argsort(empty, axis=-1, kind="stable").astype(np.uint16),
            used=(~empty).sum(axis=-1),
            **parts,
            wide_factor=wide.astype(np.int32),
            values_at=values_at,
            values=np.concatenate([t.codes for t in self.tables]).astype(np.int32),
            flags=np.concatenate([t.flags for t in self.tables]),
            slopes=np.array([_slope(t) for t in self.tables], np.int32)[self.table_of],
            first=np.array([s.first for s in self.sections], np.int64),
            lookups=-(-rows // ROWS),
            rows=rows,
            tile=tiles if corrections.shape[2] > 1 else np.zeros_like(tiles),
            begins=begins.astype(np.int64),
            correction=corrections,
            step_begins=np.cumsum([0, *(len(step) for step in steps)]),
            step_planes=np.array([p for step in steps for p, _ in step], np.int64),
            step_weights=np.array([w for step in steps for _, w in step], np.int32),
            places=self.places.astype(np.int32),
            bits=np.array([len(self.places)], np.int64),
            maps=np.array(self.planes.maps, np.int32),
            times=np.array([[1] * self.outputs + [n] * (self.reference != 0) for n in blocks]),
            group=self.groups,
        )

    def _corrections(self) -> NDArray[np.int32]:
        """(groups, outputs, tiles), one for all tiles where they do not differ, none if all 0."""
        made = np.stack([each.correction for each in self.lines])
        if not made.any():
            return np.zeros((*made.shape[:2], 0), np.int32)
        if (made == made[:, :, :1]).all():
            made = made[:, :, :1]
        return np.ascontiguousarray(made, np.int32)

    def _bytes(self, wide: Ints, begins: Ints, held: int) -> dict[str, Any]:
        """How each line is computed in bytes, and what that leaves out."""
        shape = self.above.shape
        how = np.full(shape, WIDE, np.uint8)
        start, low, high = (np.zeros(shape, np.uint8) for _ in range(3))
        codes, factor = np.zeros(shape, np.int64), wide.copy()
        least = np.zeros(shape, np.int64)
        tables: list[NDArray[np.uint8]] = []
        for where, table, begin, saturates in self._kinds():
            negates = self.planes.last_is_negative
            made = byte_codes(self.tables[table], begin, saturates, negates)
            if made is None or (self.counting and made.flags is None):
                continue
            how[where], start[where], low[where] = made.how, made.start, made.low
            high[where], codes[where] = made.high, 256 * len(tables)
            factor[where] *= made.factor
            last = self.places[-1]
            least[where] = made.least * (self.places.sum() - last) + made.least_last * last
            least[where] -= made.factor * made.of_zero * self.planes.left_empty
            if made.tables is not None or self.counting:
                tables += _UNUSED if made.tables is None else list(made.tables)
            if self.counting and made.flags is not None:
                tables += list(made.flags)
        nothing = (self.above + self.below == 0) | (wide == 0)
        zeros = np.array([int(t.codes[-t.first]) for t in self.tables])[self.table_of]
        least = np.where(nothing, zeros * self.places.sum(), least) * wide
        least[how == WIDE] = np.where(nothing, least, 0)[how == WIDE]
        how[nothing] = CONSTANT
        return {
            "how": how, "start": start, "low": low, "high": high, "codes": codes,
            "factor": factor.astype(np.int32), "tables": np.concatenate(tables or _UNUSED),
            "bias": self._bias(least, begins, held),
        }  # fmt: skip

    def _kinds(self) -> list[tuple[tuple[NDArray[np.intp], ...], int, int, bool]]:
        """Places of lines whose sums become codes in one way: table, start, saturating."""
        if not self.planes.fits_bytes:
            return []
        table = np.broadcast_to(self.table_of, self.above.shape)
        saturates = (self.below == 0) & (self.above > 255) & self._tables_fit()
        start = np.where(self.below == 0, 0, np.where(self.below <= 128, 128, self.below))
        start = np.where((start == 128) & (self.above > 127), self.below, start)
        fits = saturates | (self.above + start <= 255)
        if not fits.any():
            return []
        keys = ((table * 257 + start) * 2 + saturates)[fits]
        order = np.argsort(keys, kind="stable")
        found, firsts = np.unique(keys[order], return_index=True)
        parts = np.split(np.flatnonzero(fits)[order], firsts[1:])
        return [
            (np.unravel_index(mine, fits.shape), key // 514, key // 2 % 257, key % 2 == 1)
            for key, mine in zip(found.tolist(), parts, strict=True)
        ]

    def _tables_fit(self) -> NDArray[np.bool_]:
        """Of each line of a section, whether no lookup's table holds more than a byte does.

        Tables are made modulo 256, which is right for sums that are kept so, not for those that are
        held at 255.
        """
        lookups = self.digits.reshape(*self.digits.shape[:-1], -1, ROWS)
        fits: NDArray[np.bool_] = np.all(lookups.sum(axis=-1, dtype=np.int64) <= 255, axis=-1)
        return fits

    def _bias(self, least: Ints, begins: Ints, held: int) -> NDArray[np.int32]:
        made = np.zeros((least.shape[0], len(begins) - 1, held, least.shape[2]), np.int64)
        for stage in range(len(begins) - 1):
            mine = least[:, begins[stage] : begins[stage + 1]].sum(axis=1).swapaxes(1, 2)
            made[:, stage] = mine if held > 1 else mine.sum(axis=1, keepdims=True)
        return made.astype(np.int32)


def _slope(table: CodeTable) -> tuple[int, int, int, int]:
    """Low, high, the code of low, and codes a sum, 0 where a table is no slope between flats."""
    if table.slope is None:
        return 0, 0, 0, 0
    low, high, step = table.slope
    return low, high, int(table.codes[low - table.first]), step
