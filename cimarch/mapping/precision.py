"""How many bits weights and inputs have, for the network and for single operations."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence, Sized
from difflib import get_close_matches
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.workload.adapted import PRECISION, brought_json
from cimarch.workload.network import Network, Operation

if TYPE_CHECKING:  # it imports numpy, which who only reads pairs of bits does without
    from cimarch.mapping.strips import Strips

LIMIT = 64
_LARGEST = 1 << 20
_MOST_ENTRIES = 10_000


@attrs.frozen(cache_hash=True)
class Bits:
    """The precision of one matrix operation."""

    weight: int
    """Of a weight; of the highest level, where strips differ."""
    input: int
    strips: Strips | None = None
    """The precision of each strip of the weights (`cimarch.mapping.strips`), where they differ."""

    def of_level(self, level: int) -> Bits:
        """The precision of the strips of one level."""
        return self if self.strips is None else _plain(self.strips.bits[level], self.input)

    def to_entry(self) -> dict[str, Any]:
        """As an entry of a precision file."""
        if self.strips is not None:
            return {"input_bits": self.input, "strips": self.strips.to_dict()}
        return {"weight_bits": self.weight, "input_bits": self.input}


@cache
def _plain(weight: int, input: int) -> Bits:
    """Bits without strips; the same object each time, which is quick to compare."""
    return Bits(weight, input)


def precision(
    network: Network, weight_bits: int, input_bits: int, policy: object = None
) -> dict[str, Bits]:
    """Bits by operation name, for every matrix operation of the network.

    `policy` is None, a path of a JSON file, or what such a file holds: a list with one
    `[weight bits, input bits]` per matrix operation in order, or an object from names (or patterns
    such as `layer1.*`) to such a pair, to `{"weight_bits": w, "input_bits": a}`, or where weights
    are mixed to `{"strips": {"bits": [...], "levels": [...], "layout": "packed"}, "input_bits": a}`
    (`cimarch.mapping.strips`). None takes what the file of an adapted model brings, `{}` nothing.
    """
    weight_bits = _whole(weight_bits, "weight_bits")
    input_bits = _whole(input_bits, "input_bits")
    ops = {op.name: op for op in network.operations if op.is_matrix}
    bits = {name: Bits(weight_bits, input_bits) for name in ops}
    where = "the precision policy"
    if policy is None:
        held = brought_json(network, PRECISION)
        if held is None:
            return bits
        policy, where = held.value, f"the precision policy `{held.file}`"
    elif isinstance(policy, (str, Path)):
        where = f"the precision file `{policy}`"
        policy = _read(Path(policy))
    if isinstance(policy, Sized) and len(policy) > _MOST_ENTRIES:
        raise _wrong(f"{where} has {len(policy)} entries, above {_MOST_ENTRIES}")
    if isinstance(policy, Mapping):
        return bits | _by_name(policy, ops, bits, where)
    if isinstance(policy, Sequence) and not isinstance(policy, (str, bytes)):
        return _by_order(policy, ops, bits, where)
    raise _wrong(f"{where} is neither a list nor an object", _FORM)


_FORM = 'write `[[8, 8], [4, 6], ...]`, a pair per operation, or `{"conv1": [8, 8], ...}`'


def _wrong(headline: str, *helps: str, notes: tuple[str, ...] = ()) -> DescriptionError:
    return DescriptionError(Diagnostic("E201", headline, notes=notes, helps=helps))


def _read(path: Path) -> object:
    try:
        if path.exists() and not path.is_file():
            raise _wrong(f"the precision file `{path}` is not a regular file")
        if path.stat().st_size > _LARGEST:
            raise _wrong(f"the precision file `{path}` is larger than {_LARGEST} bytes")
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise _wrong(f"the precision file `{path}` cannot be read: {reason}") from None
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, a number without end
        raise _wrong(f"the precision file `{path}` is not JSON: {error}", _FORM) from None


def _once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of a JSON file, in which no name may stand twice."""
    found: dict[str, object] = {}
    for name, value in pairs:
        if name in found:
            raise _wrong(f"the precision file names `{name}` twice")
        found[name] = value
    return found


def _by_order(
    policy: Sequence[object], ops: Mapping[str, Operation], bits: dict[str, Bits], where: str
) -> dict[str, Bits]:
    names = list(ops)
    if len(policy) != len(names):
        raise _wrong(
            f"{where} has {_counted(len(policy), 'entry', 'entries')}, the network "
            + _counted(len(names), "matrix operation", "matrix operations"),
            "give one pair per operation, or name them in an object",
            notes=(f"they are {_some(names)}",),
        )
    return {
        name: _pair(entry, ops[name], bits[name], f"{where}, entry {i + 1} (`{name}`)")
        for i, (name, entry) in enumerate(zip(names, policy, strict=True))
    }


def _by_name(
    policy: Mapping[str, object], ops: Mapping[str, Operation], bits: dict[str, Bits], where: str
) -> dict[str, Bits]:
    names = list(ops)
    chosen: dict[str, Bits] = {}
    for pattern, entry in policy.items():
        hits = [name for name in names if name == pattern or fnmatchcase(name, str(pattern))]
        if not hits:
            near = get_close_matches(str(pattern), names, 1)
            helps = (f"did you mean `{near[0]}`?",) if near else ()
            raise _wrong(
                f"{where} names `{pattern}`, which is no matrix operation of the network",
                *helps,
                notes=(f"they are {_some(names)}",),
            )
        for name in hits:
            chosen[name] = _pair(entry, ops[name], bits[name], f"{where}, `{pattern}`")
    return chosen


def _pair(entry: object, op: Operation, default: Bits, where: str) -> Bits:
    if isinstance(entry, Mapping):
        if "strips" in entry:
            return _mixed(entry, op, default, where)
        unknown = sorted(set(entry) - {"weight_bits", "input_bits"})
        if unknown:
            raise _wrong(f"{where} has an unknown field `{unknown[0]}`", _FORM)
        return Bits(
            _whole(entry.get("weight_bits", default.weight), f"{where}: weight_bits"),
            _whole(entry.get("input_bits", default.input), f"{where}: input_bits"),
        )
    if isinstance(entry, Sequence) and not isinstance(entry, (str, bytes)) and len(entry) == 2:
        return Bits(
            _whole(entry[0], f"{where}: weight_bits"), _whole(entry[1], f"{where}: input_bits")
        )
    raise _wrong(f"{where} is not a pair of bits", _FORM)


def _mixed(entry: Mapping[str, object], op: Operation, default: Bits, where: str) -> Bits:
    """The precision of an operation whose strips have one each."""
    from cimarch.mapping.strips import read_strips

    unknown = sorted(set(entry) - {"strips", "input_bits"})
    if unknown:
        raise _wrong(
            f"{where} has `{unknown[0]}` beside strips",
            notes=("each strip has the weight bits of its level",),
        )
    input_bits = _whole(entry.get("input_bits", default.input), f"{where}: input_bits")
    strips = read_strips(entry["strips"], op, where)
    return Bits(strips.bits[0], input_bits, strips)


def _whole(value: object, what: str) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong(f"{what} is {value!r}, not a whole number") from None
    if isinstance(value, bool):
        raise _wrong(f"{what} is {value!r}, not a whole number")
    if not 1 <= count <= LIMIT:
        raise _wrong(f"{what} is {count}, outside 1..{LIMIT}")
    return count


def _counted(count: int, one: str, many: str) -> str:
    return f"{count} {one if count == 1 else many}"


def _some(names: list[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:6])
    return shown + (f" and {len(names) - 6} more" if len(names) > 6 else "")
