"""Converter ranges as a file, for the same network in the same cells: `cimarch.ranges/1`.

The file is JSON. Each entry of `operations` says for which arithmetic its ranges were chosen, and
holds `low` and `step` in units: a row for each sense line (or one for all), a number for each
output (or one for all), or in its place a list of one for each row tile. Ranges may also lie in
the file of a placement, as its `ranges`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.converter import Ranges
from cimarch.functional.lines import cells_of
from cimarch.functional.scheme import Converter, Scheme
from cimarch.mapping.saved import SCHEMA as PLACEMENT
from cimarch.mapping.saved import network_digest
from cimarch.workload.fields import Field, parse
from cimarch.workload.network import Network, Operation

SCHEMA = "cimarch.ranges/1"
LARGEST = 256 << 20
"""Bytes of a file."""
AGAIN = "calibrate anew: `cimarch calibrate ARCH MODEL --data ... -o ranges.json`"

_WORDS = frozenset({"encoding", "inputs", "subtract", "input_accumulation", "slice_merge"})
_ARITHMETIC = (
    "encoding", "weight_bits", "input_bits", "cell_bits", "dac_bits", "inputs", "subtract",
    "input_accumulation", "slice_merge",
)  # fmt: skip
"""The fields of a scheme that its sums depend on."""


@attrs.frozen(eq=False, kw_only=True)
class Calibration:
    """Converter ranges chosen on data, and how."""

    ranges: Mapping[str, Ranges]
    """By operation."""
    schemes: Mapping[str, Scheme]
    """What they are for, by operation."""
    network: str
    """Name of the network."""
    network_digest: str
    system: str
    """Name of the system."""
    policy: str
    per: str
    images: int
    """That were looked at."""
    data: str = ""
    """Name of the data set."""
    seen: Mapping[str, Mapping[str, float]] = attrs.field(factory=dict)
    """By operation: `least` and `largest` sum of the calibration images, in units, and the shares
    `clipped` and `rounded` of their conversions."""

    def to_dict(self) -> dict[str, Any]:
        """The same as plain JSON values."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "network": {"name": self.network, "digest": self.network_digest},
            "policy": self.policy,
            "per": self.per,
            "images": self.images,
            "data": self.data,
            "operations": [self._operation(name) for name in self.ranges],
        }

    def to_text(self) -> str:
        """The text of a file."""
        return json.dumps(self.to_dict(), indent=1) + "\n"

    def _operation(self, name: str) -> dict[str, Any]:
        ranges = self.ranges[name]
        return {
            "name": name,
            **_arithmetic(self.schemes[name]),
            "source": ranges.source,
            "low": ranges.low.tolist(),
            "step": ranges.step.tolist(),
            **self.seen.get(name, {}),
        }

    def check(self, network: Network, schemes: Mapping[str, Scheme]) -> None:
        """Raise DescriptionError where they are not for this network in these cells."""
        if self.network_digest != network_digest(network):
            raise _wrong(
                f"the ranges were calibrated for another network than this `{network.name}`",
                notes=(f"they are for `{self.network}`",),
            )
        check_names(self.ranges, schemes)
        for name in self.ranges:
            _check_arithmetic(name, _arithmetic(self.schemes[name]), _arithmetic(schemes[name]))


def check_names(ranges: Mapping[str, Ranges], schemes: Mapping[str, Scheme]) -> None:
    """Raise DescriptionError where ranges are for an operation that has no converters."""
    for name in ranges:
        if name not in schemes or schemes[name].converter is None:
            raise _wrong(f"the ranges name `{name}`, which has no converters here")


def _arithmetic(scheme: Scheme) -> dict[str, Any]:
    found: dict[str, Any] = {field: getattr(scheme, field) for field in _ARITHMETIC}
    converter = scheme.converter
    found["converter_bits"] = converter.bits if converter else 0
    found["transfer"] = converter.transfer if converter else ""
    return found


def _check_arithmetic(name: str, made: Mapping[str, Any], here: Mapping[str, Any]) -> None:
    for field, value in here.items():
        if made[field] != value:
            raise _wrong(
                f"the ranges of `{name}` are for {field} {made[field]}, and it has {value}"
            )


def with_placement(calibration: Calibration, placement: Mapping[str, Any]) -> dict[str, Any]:
    """What a placement file holds, with ranges in it."""
    return {**placement, "ranges": calibration.to_dict()}


# Read ---------------------------------------------------------------------------------------------

Saved = str | Path | Mapping[str, Any] | Calibration
"""A file's path, what such a file holds, or the ranges: as they were chosen, or by operation."""


def read_ranges(saved: Saved) -> Calibration:
    """Saved ranges; DescriptionError where a file holds none, or is damaged."""
    if isinstance(saved, Calibration):
        return saved
    if isinstance(saved, Mapping):
        return _read(Field(saved, "", "the ranges", AGAIN))
    return from_bytes(_bytes(Path(saved)), f"{saved}")


def from_bytes(data: bytes, saved: str) -> Calibration:
    """The ranges that the content of a file says; as `read_ranges`."""
    return _read(parse(data, saved, once=True, help=AGAIN))


def _bytes(path: Path) -> bytes:
    try:
        if path.exists() and not path.is_file():
            raise _wrong(f"the ranges file `{path}` is not a regular file")
        if path.stat().st_size > LARGEST:
            raise _wrong(f"the ranges file `{path}` is larger than {LARGEST} bytes")
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error).lower()
        raise _wrong(f"the ranges file `{path}` cannot be read: {reason}") from None


def _read(content: Field) -> Calibration:
    schema = content.object().get("schema")
    if schema == PLACEMENT:
        content = content["ranges"]
        schema = content.object().get("schema")
    if schema != SCHEMA:
        raise _wrong(f"the ranges file `{content.file}` has not the schema `{SCHEMA}`")
    entries = content["operations"].items()
    names = [entry["name"].text() for entry in entries]
    if len(set(names)) < len(names):
        raise _wrong(f"the ranges file `{content.file}` names an operation twice")
    return Calibration(
        ranges={name: _ranges(entry) for name, entry in zip(names, entries, strict=True)},
        schemes={name: _scheme(entry) for name, entry in zip(names, entries, strict=True)},
        network=content["network"]["name"].text(),
        network_digest=content["network"]["digest"].text(),
        system=content["system"].text(),
        policy=content["policy"].text(),
        per=content["per"].text(),
        images=content["images"].integer(),
        data=content["data"].text(),
    )


def _ranges(entry: Field) -> Ranges:
    low, step = _numbers(entry["low"]), _numbers(entry["step"])
    if low.shape != step.shape or not np.isfinite(low).all():
        raise _wrong(f"`{entry.where}` of `{entry.file}` has no step for each low end")
    if not (np.isfinite(step) & (step > 0)).all():
        raise _wrong(f"`{entry.where}.step` of `{entry.file}` holds a step that is not above 0")
    return Ranges(low, step, entry["source"].text())


def _numbers(field: Field) -> np.ndarray:
    rows = [[_cell(each) for each in row.items()] for row in field.items()]
    lengths = {len(row) for row in rows}
    depths = {len(each) if isinstance(each, list) else 0 for row in rows for each in row}
    if not rows or not rows[0] or len(lengths) > 1 or len(depths) > 1:
        raise _wrong(f"`{field.where}` of `{field.file}` is no table of numbers")
    return np.array(rows, np.float64)


def _cell(field: Field) -> float | list[float]:
    """A number, or one for each row tile."""
    if isinstance(field.value, list) and field.value:
        return [each.number() for each in field.items()]
    return field.number()


def _scheme(entry: Field) -> Scheme:
    """What the ranges are for, as far as it is saved."""
    known: dict[str, Any] = {
        field: entry[field].text() if field in _WORDS else entry[field].integer()
        for field in _ARITHMETIC
    }
    converter = Converter(entry["converter_bits"].integer(), entry["transfer"].text())
    return Scheme(**known, converter=converter)


def check_shape(ranges: Ranges, scheme: Scheme, op: Operation) -> None:
    """Raise DescriptionError where ranges are not for an operation's sense lines and outputs."""
    cell = np.full((1, 1), scheme.weight_range[0])
    lines, outputs, name = len(cells_of(cell, scheme).into), op.columns, op.name
    for low, here in ((ranges.low.shape[0], lines), (ranges.low.shape[1], outputs)):
        if low not in (1, here):
            shape = " x ".join(map(str, ranges.low.shape))
            raise _wrong(
                f"the ranges of `{name}` are {shape}, for {lines} lines x {outputs} outputs"
            )


def check_tiles(ranges: Ranges | None, tiles: int, name: str) -> None:
    """Raise DescriptionError where ranges of each row tile are for other tiles than there are."""
    if ranges is not None and ranges.by_tile and ranges.low.shape[2] != tiles:
        given = ranges.low.shape[2]
        raise _wrong(f"the ranges of `{name}` are for {given} row tiles, and it lies on {tiles}")


def _wrong(headline: str, *, notes: tuple[str, ...] = ()) -> DescriptionError:
    return DescriptionError(Diagnostic("E306", headline, notes=notes, helps=(AGAIN,)))
