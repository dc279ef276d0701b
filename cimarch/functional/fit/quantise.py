"""Post-training quantisation: integer weights, and scales for weights and inputs.

A weight of B bits is one of -(2^(B-1) - 1) .. 2^(B-1) - 1, about zero, so that every encoding holds
the same weights; its scale is the largest magnitude / (2^(B-1) - 1), of the whole tensor or of each
output. A weight of 1 bit is the sign, and its scale the mean magnitude, which has the least squared
error (Rastegari et al., XNOR-Net, ECCV 2016, eq. 6).

An input that is never negative takes the codes from 0 up. One that may be negative is scaled about
zero where the pool's inputs carry a sign, and else moved up by a zero point (Jacob et al., CVPR
2018, eq. 1).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.spread import Spread
from cimarch.functional.fit.strips import RATIOS, quantised_strips
from cimarch.functional.quantised import Quantised, QuantisedNetwork
from cimarch.functional.scheme import Scheme
from cimarch.functional.shares import schemes_of_shares, summed_together
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import Bits
from cimarch.mapping.strips import Strips
from cimarch.workload.network import Network, Operation

PER = ("tensor", "channel", "strip")
"""Of what one weight scale is: the whole tensor, one output, or one strip. Of strips of several
precisions each has its own; where all of an operation has one precision, `strip` is `channel`, for
its kernel positions are read together."""
METHODS = ("minmax", "percentile", "mse")
"""How the range of inputs is chosen from those that were seen."""
WEIGHT_METHODS = ("minmax", "mse")
"""How the scale of weights is chosen."""

MOST_BITS = 16

_SHARES = np.linspace(0.2, 1.0, 81)
"""Of the largest magnitude: where `mse` looks for the end of the range."""

Floats = NDArray[np.float64]


@attrs.frozen
class Quantising:
    """The choices of post-training quantisation."""

    per: str = "tensor"
    """One of `PER`."""
    method: str = "minmax"
    """One of `METHODS`."""
    percentile: float = 99.99
    """Of method `percentile`: how much of the inputs the range holds, in percent, on each side."""
    weights: str = "minmax"
    """One of `WEIGHT_METHODS`."""
    ratio: str = "free"
    """One of `RATIOS`: what the scales of strips may be of that of their output."""

    def check(self) -> None:
        """Raise DescriptionError where a choice is none."""
        for name, value, known in (
            ("per", self.per, PER),
            ("method", self.method, METHODS),
            ("weights", self.weights, WEIGHT_METHODS),
            ("ratio", self.ratio, RATIOS),
        ):
            if value not in known:
                raise _wrong(
                    f"the choice `{name}` of quantisation is `{value}`, none of "
                    + ", ".join(f"`{word}`" for word in known)
                )
        check_percentile(self.percentile)


def check_percentile(value: object) -> None:
    """Raise DescriptionError where a percentile is outside 50..100."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 50 <= value <= 100:
        raise _wrong(f"the percentile is {value!r}, outside 50..100", "99.99 is usual")


def matrices(network: Network) -> tuple[Operation, ...]:
    """The operations with a stored weight matrix: those that are quantised."""
    return tuple(op for op in network.operations if op.is_matrix and not op.is_dynamic)


def schemes_of(placement: Placement) -> dict[str, Scheme]:
    """The scheme of each operation with a stored weight matrix, by its name; of strips of several
    precisions, that of the highest."""
    held = {op.name for op in matrices(placement.network)}
    return {
        name: next(iter(schemes_of_shares(placement, name).values()))
        for name in (plan.site.anchor.name for plan in placement.plans)
        if name in held
    }


def quantise(
    network: Network,
    schemes: Mapping[str, Scheme],
    spreads: Mapping[str, Spread],
    choices: Quantising | None = None,
    strips: Mapping[str, Strips] | None = None,
) -> QuantisedNetwork:
    """A float network in whole numbers, for the pools that its matrices lie on.

    `spreads` is what the inputs of each operation of `schemes` were on calibration data
    (`cimarch.functional.fit.spread`); `strips` are those of operations whose weights have several
    precisions. Raises DescriptionError where a weight is missing or not finite, or the bits of an
    operation are outside what can be quantised.
    """
    choices = choices or Quantising()
    choices.check()
    check_weights(network)
    found = {
        op.name: _operation(
            network, op, schemes[op.name], spreads[op.name], choices, (strips or {}).get(op.name)
        )
        for op in matrices(network)
        if op.name in schemes
    }
    images = next((spread.images for spread in spreads.values()), 0)
    where = f"inputs by {_told(choices)} over {images} calibration images"
    return QuantisedNetwork(network, found, f"{_weights_told(choices, found)}, {where}")


def _weights_told(choices: Quantising, found: Mapping[str, Quantised]) -> str:
    mixed = any(each.ratios is not None for each in found.values())
    shifts = " by powers of two" if mixed and choices.ratio == "power_of_two" else ""
    return f"weights per {choices.per}{shifts}"


def _told(choices: Quantising) -> str:
    return choices.method + (f" {choices.percentile:g}" if choices.method == "percentile" else "")


def _operation(
    network: Network, op: Operation, scheme: Scheme, spread: Spread, choices: Quantising,
    strips: Strips | None,
) -> Quantised:  # fmt: skip
    check_bits(op.name, scheme)
    matrix = weight_matrix(network, op)
    ratios = None
    if strips is not None:
        _check_scales(op.name, strips, choices)
        made = quantised_strips(
            matrix, strips, per=choices.per, method=choices.weights, ratio=choices.ratio
        )
        weights, weight_scale, ratios = made.weights, made.scale, made.ratios
    else:
        per = "channel" if choices.per == "strip" else choices.per
        weights, weight_scale = quantised_weights(matrix, scheme, per=per, method=choices.weights)
    scale, zero = input_scale(scheme, spread, choices)
    return Quantised(
        bits=Bits(strips.bits[0] if strips else scheme.weight_bits, scheme.input_bits, strips),
        weights=weights,
        weight_scale=weight_scale,
        input_scale=scale,
        input_zero=zero,
        input_range=scheme.input_range,
        bias=bias_of(network, op),
        ratios=ratios,
    )


def _check_scales(name: str, strips: Strips, choices: Quantising) -> None:
    """Raise DescriptionError where strips cannot have the scales that are asked for."""
    if choices.per == "strip" and strips.layout == "holes":
        raise DescriptionError(summed_together(name))
    most = max(strips.bits[level] for level in strips.used)
    if most > MOST_BITS:
        raise _wrong(
            f"`{name}` has strips of {most} bits, above the {MOST_BITS} that are quantised"
        )


def weight_matrix(network: Network, op: Operation) -> Floats:
    """The float weights of an operation, (groups, outputs, rows)."""
    data = _data(network, op, op.weight)
    return np.asarray(data, np.float64).reshape(op.groups, op.columns, op.rows)


def bias_of(network: Network, op: Operation) -> Floats | None:
    """The float bias of an operation, (groups x outputs,), where it has one."""
    return None if op.bias is None else np.asarray(_data(network, op, op.bias), np.float64).ravel()


def _data(network: Network, op: Operation, path: str | None) -> np.ndarray:
    weight = network.weights[path] if path is not None else None
    if weight is None or weight.data is None:
        raise DescriptionError(
            Diagnostic(
                "E302",
                f"the network `{network.name}` has no weights for `{op.name}`, only their shape",
                notes=("what a chip computes depends on the weights",),
                helps=("give a file with weights: an exported model, or a checkpoint `--model` of "
                       "a named network",),
            )
        )  # fmt: skip
    return weight.data


def check_weights(network: Network) -> None:
    """Raise DescriptionError where a stored weight is missing, not a number, or infinite."""
    for op in network.operations:
        for path in (op.weight, op.bias):
            if path is None:
                continue
            data = _data(network, op, path)
            bad = int(data.size - np.isfinite(data).sum()) if data.dtype.kind == "f" else 0
            if bad:
                raise DescriptionError(
                    Diagnostic(
                        "E303",
                        f"`{path}` of `{op.name}` holds {bad:,} of {data.size:,} numbers that are "
                        "not finite",
                        notes=("a weight that is NaN or infinite has no integer",),
                        helps=("look at the training run that wrote the file",),
                    )
                )


def quantised_weights(
    matrix: Floats, scheme: Scheme, *, per: str = "tensor", method: str = "minmax"
) -> tuple[NDArray[np.int32], Floats]:
    """Integer weights of a float matrix (groups, outputs, rows), and the scale of each output.

    Ties round to even.
    """
    if scheme.kind.one_bit or scheme.weight_bits == 1:
        scale = _per(np.abs(matrix), per, np.mean)
        signs = np.where(matrix < 0, -1, 1).astype(np.int32)
        return signs, np.where(scale > 0, scale, 1.0).ravel()
    top = 2 ** (scheme.weight_bits - 1) - 1
    largest = _per(np.abs(matrix), per, np.max)
    largest = np.where(largest > 0, largest, top)
    if method == "mse":
        largest = _best_ends(matrix, largest, top, per)
    scale = largest / top
    whole = np.clip(np.rint(matrix / scale), -top, top).astype(np.int32)
    return whole, scale.ravel()


def _per(values: Floats, per: str, reduce: Callable[..., Any]) -> Floats:
    """A figure of a matrix, (groups, outputs, 1), the same everywhere where it is per tensor."""
    if per == "channel":
        return np.asarray(reduce(values, axis=2), np.float64)[:, :, None]
    return np.full((*values.shape[:2], 1), float(reduce(values, axis=None)))


def _best_ends(matrix: Floats, largest: Floats, top: int, per: str) -> Floats:
    """The end of the range with the least squared error, among shares of the largest magnitude."""
    best, least = largest, np.full_like(largest, np.inf)
    for share in _SHARES[::-1]:
        scale = share * largest / top
        error = (np.clip(np.rint(matrix / scale), -top, top) * scale - matrix) ** 2
        cost = _per(error, per, np.sum)
        best = np.where(cost < least, share * largest, best)
        least = np.minimum(cost, least)
    return best


def input_scale(scheme: Scheme, spread: Spread, choices: Quantising) -> tuple[float, int]:
    """Scale and zero point of inputs: x = scale x (whole number - zero point)."""
    if choices.method == "minmax":
        return _scale(scheme, spread.low, spread.high)
    if choices.method == "percentile":
        return _scale(scheme, *spread.percentiles(choices.percentile))
    return _best_scale(scheme, spread)


def _scale(scheme: Scheme, low: float, high: float) -> tuple[float, int]:
    """Of a range; it always holds 0, which stands for itself."""
    least, most = scheme.input_range
    low, high = min(low, 0.0), max(high, 0.0)
    if least < 0:
        return max(high, -low) / most or 1.0, 0
    if low == high:
        return 1.0, 0
    scale = (high - low) / most
    return scale, int(np.clip(np.rint(-low / scale), 0, most))


def _best_scale(scheme: Scheme, spread: Spread) -> tuple[float, int]:
    """The one with the least squared error over the histogram of inputs that were seen."""
    least, most = scheme.input_range
    best, lowest = (1.0, 0), np.inf
    for share in _SHARES[::-1]:
        scale, zero = _scale(scheme, share * spread.low, share * spread.high)
        whole = np.clip(np.rint(spread.values / scale) + zero, least, most)
        error = float((spread.counts * (scale * (whole - zero) - spread.values) ** 2).sum())
        if error < lowest:
            best, lowest = (scale, zero), error
    return best


def check_bits(name: str, scheme: Scheme) -> None:
    """Raise DescriptionError where an operation has bits that cannot be quantised on its arrays."""
    for what, bits in (("weights", scheme.weight_bits), ("inputs", scheme.input_bits)):
        if bits > MOST_BITS:
            raise _wrong(
                f"`{name}` has {what} of {bits} bits, above the {MOST_BITS} that are quantised"
            )
    low, high = scheme.weight_range
    if scheme.weight_bits == 1 and not (low <= -1 and high >= 1):
        raise _wrong(
            f"weights of `{name}` have 1 bit, -1 or +1, which the encoding `{scheme.encoding}` "
            "does not hold",
            "give weights 2 bits or more",
            "or choose `encoding = binary` or `differential` for its pool",
        )
    if scheme.input_range[1] < 1:
        raise _wrong(
            f"inputs of `{name}` have {scheme.input_bits} bit with a sign, which leaves no number "
            "above 0",
            "give inputs 2 bits or more",
            "or choose `inputs = unsigned` for its pool",
        )


def _wrong(headline: str, *helps: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E301", headline, helps=helps))
