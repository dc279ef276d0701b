"""What calibration looks at: inputs of the float model, and column sums of the quantised one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.functional.converter import Ranges, convert, stated_ranges
from cimarch.functional.fit.calibrate import Policy, calibrated
from cimarch.functional.fit.histograms import SUMS, Histograms
from cimarch.functional.fit.spread import Spread, Spreads
from cimarch.functional.lines import Lines
from cimarch.functional.matrix import ranges_of
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.shares import Share, plan_of, shares_of
from cimarch.functional.windows import Windows
from cimarch.mapping.placement import Placement
from cimarch.workload.network import Network

Array = NDArray[Any]
Batches = Callable[[], Iterable[Array]]
"""Gives the inputs of the calibration examples, a batch at a time, from the first each time."""
Tell = Callable[[float], None]
"""Called with the share that is done."""


def spreads_of(
    network: Network,
    names: Iterable[str],
    batches: Batches,
    images: int,
    *,
    histograms: bool = True,
    device: str = "cpu",
    tell: Tell = lambda share: None,
) -> dict[str, Spread]:
    """What the inputs of operations are in the float model, over `images` calibration examples."""
    from cimarch.functional.run.execute import Executor

    wanted, spreads = frozenset(names), Spreads()
    passes = [spreads.see, spreads.count] if histograms else [spreads.see]
    for turn, look in enumerate(passes):

        def observe(name: str, inputs: Array, look: Callable[..., None] = look) -> None:
            if name in wanted:
                look(name, inputs)

        float_ = Executor.float(network, device=device, observe=observe)
        done = 0
        for batch in batches():
            float_.run(batch)
            done += len(batch)
            tell((turn + done / max(1, images)) / len(passes))
    return spreads.result(images)


class Watch:
    """Counts the column sums of the operations of a placed network while it runs.

    All is kept by the names of shares: of the operation, or of its strips of one precision.
    """

    def __init__(
        self, placement: Placement, quantised: QuantisedNetwork, per: str, images: int
    ) -> None:
        self.shares: dict[str, Share] = {}
        self.of: dict[str, list[str]] = {}
        """The shares that are counted, by operation."""
        self.windows: dict[str, Windows] = {}
        self.sums: dict[str, Histograms] = {}
        self._share: dict[str, float] = {}
        for name, each in quantised.operations.items():
            op = plan_of(placement, name).site.anchor
            self.windows[name] = Windows.of(op, each.input_zero)
            for share in shares_of(placement, name, each):
                if share.scheme.converter is None:
                    continue
                self.of.setdefault(name, []).append(share.name)
                self.shares[share.name] = share
                outputs = [piece.outputs for piece in share.pieces] or None
                self.sums[share.name] = made = Histograms(share.lines, per, outputs, op.columns)
                every = images * op.windows * made.sums_of_a_window
                self._share[share.name] = min(1.0, SUMS / max(1, every))

    def see(self, name: str, inputs: Array, sums: Array) -> None:
        """Count the sums that the inputs of an operation make; the product's are not looked at."""
        del sums
        if name not in self.of:
            return
        windows = self.windows[name].unfold(inputs)
        for share in self.of[name]:
            mine = windows[:, some(windows.shape[1], self._share[share])]
            self.sums[share].add(self.shares[share].inputs(mine))

    def ranges(self, policy: Policy, images: int) -> dict[str, Ranges]:
        """The ranges of every operation's converters; where the description states one, that."""
        return {
            name: _stated(self.shares[name].lines) or calibrated(sums, policy, images)
            for name, sums in self.sums.items()
        }


def some(count: int, share: float) -> NDArray[np.int64]:
    """A share of the numbers below `count`, evenly spread without a period, ascending.

    They are the multiples of the golden ratio, their whole parts taken off: Weyl's sequence, which
    meets no rhythm of rows and columns.
    """
    wanted = int(np.ceil(share * count))
    if wanted >= count:
        return np.arange(count)
    places = np.mod(np.arange(wanted) * ((np.sqrt(5) - 1) / 2), 1.0)
    return np.unique((places * count).astype(np.int64))


def _stated(lines: tuple[Lines, ...]) -> Ranges | None:
    converter = lines[0].scheme.converter
    assert converter is not None
    return stated_ranges(converter, lines[0].signed)


def watched(
    placement: Placement,
    quantised: QuantisedNetwork,
    batches: Batches,
    images: int,
    *,
    per: str = "layer",
    device: str = "cpu",
    tell: Tell = lambda share: None,
) -> Watch:
    """The column sums of the quantised model over `images` calibration examples."""
    from cimarch.functional.run.execute import Executor

    watch = Watch(placement, quantised, per, images)
    executor = Executor(quantised, None, device=device, observe=watch.see)
    done = 0
    for batch in batches():
        executor.run(batch)
        done += len(batch)
        tell(done / max(1, images))
    return watch


def seen(sums: Histograms, ranges: Ranges) -> Mapping[str, float]:
    """What comes of counted sums in given ranges.

    `least` and `largest`, in units, and the shares of the conversions that are `clipped` and
    `rounded`.
    """
    converter = sums.scheme.converter
    assert converter is not None
    histogram, counts = sums.result(), sums.counts.sum()
    low, step = _of_each_range(sums, ranges)
    codes = convert(converter, histogram.values[None], low[:, None], step[:, None])
    total = max(1, int(counts))
    return {
        "least": float(histogram.values.min(initial=0)),
        "largest": float(histogram.values.max(initial=0)),
        "clipped": float((histogram.counts * codes.clipped).sum() / total),
        "rounded": float((histogram.counts * codes.rounded).sum() / total),
    }


def _of_each_range(sums: Histograms, ranges: Ranges) -> tuple[NDArray[np.float64], ...]:
    """Low end and step of what each histogram stands for."""
    shape = sums.keys.shape
    found = []
    for given in (ranges.low, ranges.step):
        each = np.zeros(len(sums.counts))
        each[sums.keys] = np.broadcast_to(given, shape)
        found.append(each)
    return tuple(found)


__all__ = ["Batches", "Tell", "Watch", "ranges_of", "seen", "some", "spreads_of", "watched"]
