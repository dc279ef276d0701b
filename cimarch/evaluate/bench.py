"""A network on the bench: placed, in whole numbers, with the data that calibrates and judges it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs
import numpy as np

from cimarch.data.dataset import DataSet, Examples
from cimarch.data.read import read_data
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.evaluate.options import How, Where, wrong
from cimarch.functional.cells.device import device_of
from cimarch.functional.converter import Ranges
from cimarch.functional.fit.calibrate import Policy
from cimarch.functional.fit.observe import seen, spreads_of, watched
from cimarch.functional.fit.quantise import check_weights, matrices, quantise, schemes_of
from cimarch.functional.fit.saved_quantised import read_quantised
from cimarch.functional.fit.saved_ranges import Calibration, check_names, check_shape, read_ranges
from cimarch.functional.fit.saved_ranges import Saved as SavedRanges
from cimarch.functional.matrix import Matrix, matrix_of
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.functional.scheme import Scheme
from cimarch.functional.shares import (
    check_inputs,
    schemes_of_shares,
    weights_of_shares,
    wirings_of,
)
from cimarch.hardware.system import System
from cimarch.mapping.placement import Placement
from cimarch.mapping.saved import network_digest
from cimarch.workload.network import Network

CALIBRATION = 128
"""Examples that calibrate where no number is asked for, as far as the data set has as many."""


@attrs.frozen(eq=False)
class Bench:
    """A placed, quantised network with its data."""

    placement: Placement
    data: DataSet
    schemes: Mapping[str, Scheme]
    """By operation; of strips of several precisions, that of the highest."""
    pools: Mapping[str, Scheme]
    """By share: the operation, or its strips of one precision (`cimarch.functional.shares`)."""
    quantised: QuantisedNetwork
    how: How

    @classmethod
    def of(
        cls, system: System, network: Network, data: DataSet | str, where: Where, how: How
    ) -> Bench:
        """Place a network, read its data, and make it whole; DescriptionError where that fails."""
        how.check()
        check_weights(network)
        how.tell("place", 0.0)
        model = None if how.quantised is None else read_quantised(how.quantised, network)
        if model is not None:
            bits = {name: each.bits.to_entry() for name, each in model.operations.items()}
            where = attrs.evolve(where, precision=bits)
        placement = where.placed(system, network)
        schemes = schemes_of(placement)
        if not schemes:
            raise _nothing_placed(placement.network)
        for name in schemes:  # what is said of cells and converters goes together, or is told now
            check_inputs(placement, name)
            for wiring in wirings_of(placement, name):
                device_of(wiring.pool, wiring.converter)
        how.tell("read data", 0.0)
        data = read_data(data, network) if isinstance(data, str) else data.fitted(network)
        if model is None:
            model = _quantised(network, placement, schemes, data, how)
        else:
            model = _taken_over(model, network, placement, schemes)
        pools = {
            share: scheme
            for name in schemes
            for share, scheme in schemes_of_shares(placement, name).items()
        }
        return cls(placement, data, schemes, pools, model, how)

    def calibration(self, policy: Policy) -> Calibration:
        """Converter ranges by a policy, on the examples that calibrate."""
        how = self.how
        _check_converters(self.pools)
        chosen = _calibrating(self.data, how.calibrate, "converter ranges are chosen on data")
        watch = watched(
            self.placement, self.quantised, lambda: _inputs(chosen, how.batch), len(chosen),
            per=policy.per, device=how.device, tell=lambda part: how.tell("calibrate", part),
        )  # fmt: skip
        found = watch.ranges(policy, len(chosen))
        return Calibration(
            ranges=found,
            schemes={name: self.pools[name] for name in found},
            network=self.placement.network.name,
            network_digest=network_digest(self.placement.network),
            system=self.placement.system.name,
            policy=policy.name,
            per=policy.per,
            images=len(chosen),
            data=self.data.name,
            seen={name: seen(watch.sums[name], each) for name, each in found.items()},
        )

    def ranges(self, given: SavedRanges | None, policy: Policy) -> Mapping[str, Ranges]:
        """The ranges of converters where the description states none; none: one unit a step."""
        if given is not None:
            found = self._given(given)
            for op in matrices(self.placement.network):
                mine = schemes_of_shares(self.placement, op.name) if op.name in self.schemes else {}
                for share in mine.keys() & found.keys():
                    check_shape(found[share], mine[share], op)
            return found
        has_any = any(scheme.converter is not None for scheme in self.pools.values())
        return self.calibration(policy).ranges if policy.needs_data and has_any else {}

    def _given(self, given: SavedRanges) -> Mapping[str, Ranges]:
        """Ranges that were given, by operation, checked against what they are for."""
        if isinstance(given, Mapping) and all(isinstance(r, Ranges) for r in given.values()):
            check_names(given, self.pools)
            return given
        read = read_ranges(given)
        read.check(self.placement.network, self.pools)
        return read.ranges

    def matrix(self, name: str, ranges: Mapping[str, Ranges], **how: Any) -> Matrix:
        """A matrix operation with its path; DescriptionError where the one asked for is none.

        `ranges` are those of all shares, by name.
        """
        whole = self.quantised.operations[name]
        try:
            return matrix_of(self.placement, name, whole, ranges, on=self.how.device, **how)
        except ValueError as error:
            if how.get("path") is None:
                raise
            raise wrong(f"`{name}` cannot be computed as asked: {error}") from None


def _quantised(
    network: Network, placement: Placement, schemes: Mapping[str, Scheme], data: DataSet, how: How
) -> QuantisedNetwork:
    """The network in whole numbers, by the examples that calibrate.

    It is the one that was read: in the placed one attention is taken apart in products, which say
    what they cost, and not all that they compute.
    """
    chosen = _calibrating(data, how.calibrate, "the model was never quantised")
    spreads = spreads_of(
        network, schemes, lambda: _inputs(chosen, how.batch), len(chosen),
        histograms=how.quantising.method != "minmax", device=how.device,
        tell=lambda part: how.tell("quantise", part),
    )  # fmt: skip
    strips = {name: strips for name in schemes if (strips := placement.bits[name].strips)}
    return quantise(network, schemes, spreads, how.quantising, strips)


def _taken_over(
    model: QuantisedNetwork,
    network: Network,
    placement: Placement,
    schemes: Mapping[str, Scheme],
) -> QuantisedNetwork:
    """A quantised model on the pools of a placement; DescriptionError where one cannot take it."""
    for name, scheme in schemes.items():
        each = model.operations.get(name)
        if each is None:
            raise _unfit(f"the quantised model holds no `{name}`, which lies on arrays")
        for part, weights in zip(
            schemes_of_shares(placement, name).values(), weights_of_shares(each), strict=True
        ):
            low, high = part.weight_range
            if not (low <= weights.min() and weights.max() <= high):
                raise _unfit(
                    f"weights of `{name}` are {weights.min()}..{weights.max()}, and its "
                    f"encoding `{part.encoding}` holds {low}..{high}"
                )
        if each.input_range != scheme.input_range:
            raise _unfit(
                f"inputs of `{name}` are {_span(each.input_range)}, and its pool takes "
                f"{_span(scheme.input_range)} (`inputs = {scheme.inputs}`)"
            )
    operations = {name: model.operations[name] for name in schemes}
    return QuantisedNetwork(network, operations, model.source)


def _span(ends: tuple[int, int]) -> str:
    return f"{ends[0]}..{ends[1]}"


def _calibrating(data: DataSet, images: int | None, what: str) -> Examples:
    """The examples that calibrate; DescriptionError where there are none."""
    train = data.train
    there = 0 if train is None else len(train)
    if images == 0 or not there:
        why = f"data set `{data.name}` has no examples that calibrate"
        raise DescriptionError(
            Diagnostic(
                "E300",
                f"{what}, and there is no calibration data",
                notes=(why if not there else "0 examples are to calibrate",
                       "scales and ranges are found on examples that do not judge"),
                helps=("calibrate on some: `--calibrate 128`" if there else
                       "name a data set with a training part",
                       "or give a quantised model: `--quantised model.safetensors`"),
            )
        )  # fmt: skip
    return data.calibrating(min(CALIBRATION, there) if images is None else images)


def _inputs(examples: Examples, batch: int) -> Iterator[np.ndarray]:
    for inputs, _ in examples.batches(batch):
        yield inputs


def _check_converters(schemes: Mapping[str, Scheme]) -> None:
    if all(scheme.converter is None for scheme in schemes.values()):
        raise DescriptionError(
            Diagnostic(
                "E305", "no converter stands behind these arrays: there is no range to choose"
            )
        )


def _nothing_placed(network: Network) -> DescriptionError:
    return DescriptionError(
        Diagnostic("E305", f"no weight matrix of `{network.name}` lies on arrays")
    )


def _unfit(headline: str) -> DescriptionError:
    helps = ("quantise the float model for this system",)
    return DescriptionError(Diagnostic("E307", headline, helps=helps))
