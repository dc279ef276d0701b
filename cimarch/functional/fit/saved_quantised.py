"""A quantised model as a file: `cimarch.quantised/1`, in the layout of safetensors.

The tensor `manifest` holds JSON as bytes: the schema, the network it is a model of, and each
operation's bits, scale of inputs, zero point and range. Tensors `NAME.weights` (groups, outputs,
rows), `NAME.weight_scale` and `NAME.bias` hold its numbers. Where strips have several precisions,
the operation has `strips` as a precision file does (`cimarch.mapping.strips`), and `NAME.ratios`
(positions, outputs). Nothing in a file is run.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.quantise import MOST_BITS, matrices
from cimarch.functional.fit.strips import are_ratios
from cimarch.functional.quantised import Quantised, QuantisedNetwork, by_row
from cimarch.mapping.precision import Bits
from cimarch.mapping.saved import network_digest
from cimarch.mapping.strips import read_strips
from cimarch.workload.fields import Field, parse
from cimarch.workload.network import Network, Operation, Weight
from cimarch.workload.tensor_files import read_tensors

SCHEMA = "cimarch.quantised/1"
LARGEST = 4 << 30
"""Bytes of a file."""
AGAIN = "quantise the float model again"

Saved = str | Path | QuantisedNetwork
"""A file's path, or the model itself."""


def to_bytes(quantised: QuantisedNetwork) -> bytes:
    """The content of a file, the same for the same model."""
    from safetensors.numpy import save

    tensors: dict[str, NDArray[Any]] = {}
    for name, each in quantised.operations.items():
        tensors[f"{name}.weights"] = _narrow(each.weights)
        tensors[f"{name}.weight_scale"] = each.weight_scale
        if each.bias is not None:
            tensors[f"{name}.bias"] = each.bias
        if each.ratios is not None:
            tensors[f"{name}.ratios"] = each.ratios
    manifest = json.dumps(_manifest(quantised), sort_keys=True).encode("utf-8")
    tensors["manifest"] = np.frombuffer(manifest, np.uint8)
    return save({name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()})


def model_digest(quantised: QuantisedNetwork) -> str:
    """SHA-256 of all that a file of the model would say."""
    found = sha256(json.dumps(_manifest(quantised), sort_keys=True).encode("utf-8"))
    for each in quantised.operations.values():
        for numbers in (each.weights, each.weight_scale, each.bias, each.ratios):
            if numbers is not None:
                found.update(np.ascontiguousarray(numbers).data)
    return found.hexdigest()


def _narrow(weights: NDArray[np.int32]) -> NDArray[Any]:
    largest = int(np.abs(weights).max(initial=0))
    return weights.astype(np.int8 if largest < 128 else np.int16 if largest < 2**15 else np.int32)


def _manifest(quantised: QuantisedNetwork) -> dict[str, Any]:
    network = quantised.network
    return {
        "schema": SCHEMA,
        "network": {"name": network.name, "digest": network_digest(network)},
        "source": quantised.source,
        "operations": [
            {
                "name": name,
                "weight_bits": each.bits.weight,
                "input_bits": each.bits.input,
                "input_scale": each.input_scale,
                "input_zero": each.input_zero,
                "input_range": list(each.input_range),
                **({"strips": each.bits.strips.to_dict()} if each.bits.strips else {}),
            }
            for name, each in quantised.operations.items()
        ],
    }


# Read ---------------------------------------------------------------------------------------------


def read_quantised(saved: Saved, network: Network) -> QuantisedNetwork:
    """A saved model of this network; DescriptionError where it is none, or of another."""
    if isinstance(saved, QuantisedNetwork):
        _check_network(saved.network.name, network_digest(saved.network), network)
        return saved
    return from_bytes(_bytes(Path(saved)), network, f"{saved}")


def from_bytes(data: bytes, network: Network, saved: str) -> QuantisedNetwork:
    """The model that the content of a file says; as `read_quantised`."""
    if data[:1] == b"{" and int.from_bytes(data[:8], "little") > len(data):
        told = "converter ranges, which are JSON, are taken by `--ranges`"
        raise _wrong(f"`{saved}` is JSON, and no quantised model", notes=(told,))
    tensors = read_tensors(memoryview(data), saved)
    manifest = tensors.get("manifest")
    if manifest is None or manifest.data is None or manifest.dtype != "uint8":
        raise _wrong(f"`{saved}` is no quantised model: it has no `manifest`")
    content = parse(manifest.data.tobytes(), f"the manifest of {saved}", once=True, help=AGAIN)
    if content.object().get("schema") != SCHEMA:
        raise _wrong(f"`{saved}` has not the schema `{SCHEMA}`")
    made_of = content["network"]
    _check_network(made_of["name"].text(), made_of["digest"].text(), network)
    known = {op.name: op for op in matrices(network)}
    found: dict[str, Quantised] = {}
    for entry in content["operations"].items():
        name = entry["name"].text()
        if name not in known or name in found:
            raise _wrong(f"`{saved}` names `{name}`, which is no operation to quantise, or twice")
        found[name] = _operation(entry, known[name], tensors)
    return QuantisedNetwork(network, found, content["source"].text())


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise _wrong(f"the quantised model `{path}` is not a regular file")
        if path.stat().st_size > LARGEST:
            raise _wrong(f"the quantised model `{path}` is larger than {LARGEST} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise _wrong(f"the quantised model `{path}` cannot be read: {reason}") from None


def _check_network(name: str, digest: str, network: Network) -> None:
    if digest != network_digest(network):
        raise _wrong(
            f"the quantised model is of another network than this `{network.name}`",
            notes=(f"it is of `{name}`",),
        )


def _operation(entry: Field, op: Operation, tensors: Mapping[str, Weight]) -> Quantised:
    given = entry.get("strips")
    strips = None if given is None else read_strips(given.value, op, f"`{entry.file}`")
    bits = Bits(entry["weight_bits"].integer(), entry["input_bits"].integer(), strips)
    low, high = _range(entry)
    scale = entry["input_scale"].number()
    zero = entry["input_zero"].integer()
    shape = (op.groups, op.columns, op.rows)
    weights = _tensor(entry, tensors, op, "weights", shape, "i")
    weight_scale = _tensor(entry, tensors, op, "weight_scale", (op.groups * op.columns,), "f")
    bias = None
    if f"{op.name}.bias" in tensors:
        bias = _tensor(entry, tensors, op, "bias", (op.groups * op.columns,), "f")
    ratios = None
    each = np.array(bits.weight)
    if strips is not None:
        level_shape = strips.level.shape
        ratios = _tensor(entry, tensors, op, "ratios", level_shape, "f").astype(np.float64)
        each = by_row(np.array(strips.bits)[strips.level], shape)
    top = np.maximum(1, 2 ** np.minimum(each - 1, MOST_BITS) - 1)
    for is_good, what in (
        (each.min() >= 1 and each.max() <= MOST_BITS and 1 <= bits.input <= MOST_BITS, "bits"),
        (strips is None or bits.weight == strips.bits[0], "weight_bits"),
        (ratios is None or are_ratios(ratios), "ratios"),
        (math.isfinite(scale) and scale > 0, "input_scale"),
        (low <= zero <= high and (zero == 0 or low == 0), "input_zero"),
        (bool((np.abs(weights.astype(np.int64)) <= top).all()), "weights"),
        (bool(((each > 1) | (weights != 0)).all()), "weights"),
        (bool(np.isfinite(weight_scale).all()), "weight_scale"),
    ):
        if not is_good:
            raise _wrong(f"`{what}` of `{op.name}` in `{entry.file}` is out of range")
    return Quantised(
        bits, weights.astype(np.int32), weight_scale.astype(np.float64), scale, zero, (low, high),
        None if bias is None else bias.astype(np.float64), ratios,
    )  # fmt: skip


def _range(entry: Field) -> tuple[int, int]:
    ends = [end.integer() for end in entry["input_range"].items()]
    if len(ends) != 2 or not -(2**MOST_BITS) <= ends[0] <= 0 < ends[1] <= 2**MOST_BITS:
        raise _wrong(f"`{entry.where}.input_range` of `{entry.file}` is no range")
    return ends[0], ends[1]


def _tensor(
    entry: Field,
    tensors: Mapping[str, Weight],
    op: Operation,
    which: str,
    shape: tuple[int, ...],
    kind: str,
) -> NDArray[Any]:
    held = tensors.get(f"{op.name}.{which}")
    data = None if held is None else held.data
    if data is None or data.shape != shape or data.dtype.kind != kind:
        raise _wrong(f"`{which}` of `{op.name}` in `{entry.file}` is missing, or of another shape")
    if kind == "f" and not np.isfinite(data).all():
        raise _wrong(
            f"`{which}` of `{op.name}` in `{entry.file}` holds numbers that are not finite"
        )
    return data


def _wrong(headline: str, *, notes: tuple[str, ...] = ()) -> DescriptionError:
    return DescriptionError(Diagnostic("E307", headline, notes=notes, helps=(AGAIN,)))
