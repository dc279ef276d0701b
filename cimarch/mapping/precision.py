"""How many bits weights and inputs have, for the network and for single operations."""

from __future__ import annotations

import json
import operator
from collections.abc import Mapping, Sequence, Sized
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.workload.network import Network

LIMIT = 64
_LARGEST = 1 << 20
_MOST_ENTRIES = 10_000


@attrs.frozen
class Bits:
    """The precision of one matrix operation."""

    weight: int
    input: int


def precision(
    network: Network, weight_bits: int, input_bits: int, policy: object = None
) -> dict[str, Bits]:
    """Bits by operation name, for every matrix operation of the network.

    `policy` is None, a path of a JSON file, or what such a file holds: a list with one
    `[weight bits, input bits]` per matrix operation in order, or an object from names (or patterns
    such as `layer1.*`) to such a pair or to `{"weight_bits": w, "input_bits": a}`.
    """
    weight_bits = _whole(weight_bits, "weight_bits")
    input_bits = _whole(input_bits, "input_bits")
    names = [op.name for op in network.operations if op.is_matrix]
    bits = {name: Bits(weight_bits, input_bits) for name in names}
    if policy is None:
        return bits
    where = "the precision policy"
    if isinstance(policy, (str, Path)):
        where = f"the precision file `{policy}`"
        policy = _read(Path(policy))
    if isinstance(policy, Sized) and len(policy) > _MOST_ENTRIES:
        raise _wrong(f"{where} has {len(policy)} entries, above {_MOST_ENTRIES}")
    if isinstance(policy, Mapping):
        return bits | _by_name(policy, names, bits, where)
    if isinstance(policy, Sequence) and not isinstance(policy, (str, bytes)):
        return _by_order(policy, names, bits, where)
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
    policy: Sequence[object], names: list[str], bits: dict[str, Bits], where: str
) -> dict[str, Bits]:
    if len(policy) != len(names):
        raise _wrong(
            f"{where} has {_counted(len(policy), 'entry', 'entries')}, the network "
            + _counted(len(names), "matrix operation", "matrix operations"),
            "give one pair per operation, or name them in an object",
            notes=(f"they are {_some(names)}",),
        )
    return {
        name: _pair(entry, bits[name], f"{where}, entry {i + 1} (`{name}`)")
        for i, (name, entry) in enumerate(zip(names, policy, strict=True))
    }


def _by_name(
    policy: Mapping[str, object], names: list[str], bits: dict[str, Bits], where: str
) -> dict[str, Bits]:
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
            chosen[name] = _pair(entry, bits[name], f"{where}, `{pattern}`")
    return chosen


def _pair(entry: object, default: Bits, where: str) -> Bits:
    if isinstance(entry, Mapping):
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
