"""What a description says of strips: the pool of each precision, and how many fill an array."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.system import Part, System
from cimarch.mapping.packing import shape_of
from cimarch.mapping.pools import pools_of, serves
from cimarch.mapping.precision import Bits
from cimarch.optimize.mixed.layers import Layer
from cimarch.workload.network import Network, Operation


@attrs.frozen(eq=False)
class Pools:
    """The pools that the strips of each precision lie on."""

    bits: tuple[int, ...]
    input_bits: int
    operations: Mapping[str, Operation]
    of_layer: Mapping[str, tuple[Part, ...]]
    """Of each layer the pool of each precision."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """Each pool once, in the order of precisions."""
        found = {part.path: part for parts in self.of_layer.values() for part in parts}
        return tuple(found.values())

    @property
    def is_single(self) -> bool:
        """Whether all precisions lie on one pool."""
        return len(self.parts) == 1

    def capacity(self, group: str) -> dict[str, tuple[int, ...]]:
        """Strips of each precision that fill an array; with `position`, that fill one band."""
        found = {}
        for name, parts in self.of_layer.items():
            shapes = [
                shape_of(part, self.operations[name], Bits(bits, self.input_bits))
                for part, bits in zip(parts, self.bits, strict=True)
            ]
            found[name] = tuple(s.beside if group == "position" else s.strips for s in shapes)
        return found


def pools(
    system: System, network: Network, layers: Sequence[Layer], bits: tuple[int, ...],
    input_bits: int = 8,
) -> Pools:  # fmt: skip
    """The first pool that serves each precision of each layer.

    Raises DescriptionError where none does.
    """
    operations = {op.name: op for op in network.operations}
    found = {
        layer.name: tuple(_pool(system, operations[layer.name], b, input_bits) for b in bits)
        for layer in layers
    }
    return Pools(bits, input_bits, operations, found)


def _pool(system: System, op: Operation, bits: int, input_bits: int) -> Part:
    wanted = Bits(bits, input_bits)
    able = [pool for pool in pools_of(system) if serves(pool, op, wanted)]
    if not able:
        known = ", ".join(f"`{pool.path}`" for pool in pools_of(system))
        raise DescriptionError(
            Diagnostic(
                "E481",
                f"no pool of `{system.name}` serves strips of {bits} bits of `{op.name}`",
                notes=(f"it has {known}",) if known else ("it has no arrays",),
                helps=(f"let one serve them: `serves = weight_bits <= {bits}`",
                       "or give other `--bits`"),
            )
        )  # fmt: skip
    return able[0]
