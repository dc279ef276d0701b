"""Bit planes: the exact product with any converter, as fast as conversions allow."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import attrs
import numba
import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges
from cimarch.functional.lines import Lines
from cimarch.functional.paths.lookups import LANES
from cimarch.functional.paths.plane_data import PART_BITS, ROWS, Adders, Room, Source
from cimarch.functional.paths.plane_kernels import kernel, lay_out
from cimarch.functional.paths.plane_plan import Prepared, UnsuitableError, prepare
from cimarch.functional.sums import Counts
from cimarch.functional.windows import Windows

CHUNK = 2048
"""Windows that are computed at once: with some tables of digits they fit a core's second cache."""
TABLES = 2**19
"""Bytes for tables of digits."""
BATCH = 2**24
"""Bytes of the inputs that are laid out at once."""
_SLACK = 64


@attrs.frozen(eq=False, slots=False)
class Planes:
    """The products of one matrix operation by lookups of bit planes; see `cimarch.functional.path`.

    Raises ValueError for operations that `takes` refuses.
    """

    lines: Sequence[Lines]
    """One per channel group."""
    ranges: Ranges | None
    """None: no converter."""
    windows: Windows
    threads: int | None = None
    """Threads that compute; None: as many as numba is set to use."""

    @property
    def name(self) -> str:
        return "bit planes"

    @property
    def may_share(self) -> bool:
        """Whether calls may run at the same time."""
        return True

    @staticmethod
    def takes(lines: Sequence[Lines], ranges: Ranges | None) -> bool:
        """Whether bit planes can compute an operation: digits of up to 16 bits, at most 4 million
        codes in tables, and sums of up to 32 bits; ranges that are the same in all row tiles."""
        if ranges is not None and ranges.by_tile:
            return False
        try:
            _prepared(lines, ranges)
        except UnsuitableError:
            return False
        return True

    @cached_property
    def prepared(self) -> tuple[Prepared, ...]:
        """One for all channel groups, or several where their sections differ."""
        return _prepared(self.lines, self.ranges)

    @cached_property
    def _counting(self) -> tuple[Prepared, ...]:
        return _prepared(self.lines, self.ranges, counting=True)

    def __call__(self, inputs: NDArray[np.integer]) -> NDArray[np.generic]:
        """The results."""
        return self._run(inputs, self.prepared, None)

    def counted(self, inputs: NDArray[np.integer]) -> tuple[NDArray[np.generic], Counts]:
        """The same results, and what happened to their conversions and sums (slower)."""
        counts = np.zeros(3, np.int64)
        results = self._run(inputs, self._counting, counts)
        clipped, rounded, overflowed = counts.tolist()
        windows = results.size // (len(self.lines) * self.lines[0].outputs or 1)
        conversions = windows * sum(each.conversions for each in self.prepared)
        sums = windows * sum(each.sums for each in self.prepared)
        return results, Counts(conversions, clipped, rounded, sums, overflowed)

    def _run(
        self, inputs: NDArray[np.integer], prepared: Sequence[Prepared],
        counts: NDArray[np.int64] | None,
    ) -> NDArray[np.generic]:  # fmt: skip
        vectors = self.windows.geometry is None
        high, wide = (1, 1) if vectors else self.windows.size(*inputs.shape[2:])
        outputs = sum(each.outputs for each in self.lines)
        if not len(inputs):
            whole = all(each.constants is not None for each in prepared)
            return np.zeros((0, outputs, high, wide)[: inputs.ndim], np.int32 if whole else float)
        if vectors:
            parts = [
                self._maps(inputs[n : n + CHUNK].T[None, :, None], prepared, counts)[0].T
                for n in range(0, len(inputs), CHUNK)
            ]
            return np.concatenate(parts) if len(parts) > 1 else np.ascontiguousarray(parts[0])
        each = max(1, inputs[:1].size * len(prepared[0].planes.maps))
        some = max(1, BATCH // each)
        found = [
            self._maps(inputs[n : n + some], prepared, counts) for n in range(0, len(inputs), some)
        ]
        made = np.concatenate(found) if len(found) > 1 else found[0]
        return made.reshape(len(inputs), outputs, high, wide)

    def _maps(
        self, inputs: NDArray[np.integer], prepared: Sequence[Prepared],
        counts: NDArray[np.int64] | None,
    ) -> NDArray[np.generic]:  # fmt: skip
        """Results (images, outputs, windows) of maps."""
        source, rows = self.source_of(inputs)
        images, high, wide = (int(n) for n in source.shape[:3])
        outputs = sum(each.outputs for each in self.lines)
        whole = all(each.constants is not None for each in prepared)
        results = np.empty((images, outputs, high * wide), np.int32 if whole else np.float64)
        for each in prepared:
            self._share(each, source, rows, counts, results)
        return results

    def _share(
        self, prepared: Prepared, source: Source, rows: int, counts: NDArray[np.int64] | None,
        results: NDArray[np.generic],
    ) -> None:  # fmt: skip
        """Give each thread as many output rows."""
        whole, per_map = results.dtype == np.int32, prepared.planes.per_map
        run = kernel(per_map, whole, counts is not None)
        tuples = ((np.uint8(0),) * per_map, (np.uint8(0),) * (counts is not None))
        chunk = max(1, CHUNK // max(int(source.shape[2]), 1))
        each = max(chunk, -(-rows // (self.threads or numba.get_num_threads())))
        parts = [(q, min(q + each, rows)) for q in range(0, rows, each)]

        def work(part: tuple[int, int]) -> NDArray[np.int64]:
            mine = np.zeros(3, np.int64)
            room, width = room_of(prepared, source, min(chunk, part[1] - part[0]))
            last = prepared.constants if whole else _adders(prepared, width)
            run(*tuples, prepared.plan, source, *part, chunk, room, last, mine, results)
            return mine

        if len(parts) > 1:
            with ThreadPoolExecutor(len(parts)) as pool:
                found = list(pool.map(work, parts))
        else:
            found = [work(part) for part in parts]
        if counts is not None:
            counts += np.sum(found, axis=0)

    def source_of(self, inputs: NDArray[np.integer]) -> tuple[Source, int]:
        """The bytes of maps, and how many output rows they have."""
        planes, geometry = self.prepared[0].planes, self.windows.geometry
        maps = planes.split(inputs)
        kernel_size = stride = dilation = (1, 1)
        padding = (0, 0, 0, 0)
        if geometry is not None:
            kernel_size, stride, dilation = geometry.kernel, geometry.stride, geometry.dilation
            padding = geometry.padding
        above, below, left, right = padding
        count, images, channels, high, wide = maps.shape
        down, across = high + above + below, wide + left + right
        phase = -(-across // stride[1])
        line = stride[1] * phase
        size = channels * down * line
        flat = np.empty(count * images * size + _SLACK, np.uint8)
        flat[-_SLACK:] = 0
        fill = planes.split(np.array([self.windows.fill])).ravel()
        parts = np.ascontiguousarray(maps).reshape(count, -1, high, wide)
        lay_out()(parts, fill, padding, stride[1], flat)
        size_out = (high, wide) if geometry is None else self.windows.size(high, wide)
        i, j = np.divmod(np.arange(kernel_size[0] * kernel_size[1]), kernel_size[1])
        column = j * dilation[1]
        within = i * dilation[0] * line + column % stride[1] * phase + column // stride[1]
        at = (np.arange(channels)[:, None] * (down * line) + within[None]).reshape(
            len(self.lines), -1
        )
        shape = [images, *size_out, size, stride[0] * line, images * size]
        return Source(flat, at.astype(np.int64), np.array(shape, np.int64)), images * size_out[0]


def _prepared(
    lines: Sequence[Lines], ranges: Ranges | None, *, counting: bool = False
) -> tuple[Prepared, ...]:
    layouts: dict[tuple[object, ...], list[int]] = {}
    for g, each in enumerate(lines):
        layouts.setdefault(each.sections, []).append(g)
    return tuple(prepare(lines, ranges, groups, counting=counting) for groups in layouts.values())


def room_of(prepared: Prepared, source: Source, chunk: int) -> tuple[Room, int]:
    """Memory for chunks of as many output rows."""
    plan, planes = prepared.plan, prepared.planes
    width = -(-int(chunk * source.shape[2]) // LANES) * LANES
    lookups, maps = int(plan.lookups.max(initial=0)), len(planes.maps)
    total = maps * planes.per_map
    outputs, lines = plan.digits.shape[2:4]
    parts = 16 // PART_BITS
    room = Room(
        filled=_aligned(maps * lookups * ROWS * width + _SLACK),
        indices=_aligned(maps * lookups * planes.per_map * width),
        tables=_aligned(
            max(min(TABLES, outputs * lines * lookups * LANES), (lines + parts) * lookups * LANES)
        ),
        sums=_aligned(4 * prepared.held_lines * outputs * width)
        .view(np.int32)
        .reshape(prepared.held_lines, outputs, width),
        inputs=np.zeros((max(1, plan.correction.shape[2]), width), np.int32),
        raw=_aligned(total * LANES),
        wide=np.zeros((total, LANES), np.int32),
        levels=np.zeros(LANES, np.int32),
        converted=np.zeros(LANES, np.int32),
        part=np.zeros(ROWS, np.int16),
    )
    return room, width


def _adders(prepared: Prepared, width: int) -> Adders:
    outputs = prepared.ratios.shape[2]
    return Adders(
        prepared.ratios, prepared.left_out, prepared.numbers, np.zeros((outputs, width)),
        np.zeros(width, np.int32), np.zeros(width),
    )  # fmt: skip


def _aligned(size: int) -> NDArray[np.uint8]:
    """Bytes that begin where a vector may."""
    room = np.empty(size + LANES, np.uint8)
    first = -room.ctypes.data % LANES
    return room[first : first + size]
