"""One operation of an ONNX file while it is taken: its inputs, and what is written of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np

from cimarch.workload.graph import LARGEST_TENSOR, MOST_DIMENSIONS, Argument, Node, Ref, Value
from cimarch.workload.onnx_file import dtype
from cimarch.workload.onnx_records import Operator
from cimarch.workload.problems import problem
from cimarch.workload.steps import Array, Sizes

if TYPE_CHECKING:
    from cimarch.workload.onnx_graph import Reading

_PARAMETER = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
"""A name that a module gave its parameter: `layer1.0.conv1.weight`."""


@attrs.frozen(eq=False)
class OnnxCall:
    """One operation with what is known of its inputs; what a conversion asks of it."""

    reading: Reading
    operator: Operator

    @property
    def where(self) -> str:
        """How a user knows this operation."""
        operator = self.operator
        return f"`{operator.module or operator.name or operator.outputs[0]}` ({operator.op})"

    def wrong(
        self,
        what: str,
        *,
        code: str = "E122",
        notes: tuple[str, ...] = (),
        helps: tuple[str, ...] = (),
    ) -> Exception:
        """A diagnostic on this operation."""
        return problem(code, f"{self.where} {what}", notes=notes, helps=helps)

    def name(self, index: int) -> str:
        """The name of an input; empty where it is left out."""
        return self.operator.inputs[index] if index < len(self.operator.inputs) else ""

    def is_flow(self, index: int) -> bool:
        """Whether an input depends on the network's."""
        return self.name(index) in self.reading.values and self.constant(index) is None

    def flow(self, index: int = 0) -> Ref:
        """An input that must depend on the network's."""
        if not self.is_flow(index):
            raise self.wrong(f"does not take its input {index} from the network's input")
        return Ref(self.name(index))

    def sizes(self, index: int = 0) -> Sizes:
        """The sizes of an input."""
        constant = self.constant(index)
        if constant is not None:
            return tuple(constant.shape)
        if not self.name(index):
            raise self.wrong(f"has no input {index}")
        return self.reading.values[self.name(index)].sizes

    def constant(self, index: int) -> Array | None:
        """The numbers of an input that is the same in every inference; None otherwise."""
        return self.reading.constants.get(self.name(index))

    def constants(self) -> list[Array | None]:
        """The numbers of every input, None for those that flow or are left out."""
        return [self.constant(index) for index in range(len(self.operator.inputs))]

    def integers(self, index: int) -> tuple[int, ...] | None:
        """The whole numbers of an input; None where it is left out."""
        if not self.name(index):
            return None
        found = self.constant(index)
        if found is None:
            raise self.wrong(f"takes input {index} from a computed tensor", code="E131")
        if found.dtype.kind not in "iu" or found.size > 64:
            raise self.wrong(f"has an input {index} that is no short list of whole numbers")
        return tuple(int(n) for n in found.ravel())

    def scalar(self, index: int) -> float | None:
        """The number of an input that holds one; None otherwise."""
        found = self.constant(index)
        return None if found is None or found.size != 1 else decimal(found)

    def whole(self, name: str, default: int) -> int:
        """A whole number among the attributes."""
        return int(self._attribute(name, int, default))

    def real(self, name: str, default: float) -> float:
        """A number among the attributes."""
        return float(self._attribute(name, (int, float), default))

    def text(self, name: str, default: str) -> str:
        """A word among the attributes."""
        return str(self._attribute(name, str, default))

    def list_of(self, name: str) -> tuple[int, ...] | None:
        """Whole numbers among the attributes; None where there are none of that name."""
        found = self._attribute(name, tuple, None)
        if found is not None and not all(type(n) is int for n in found):
            raise self.wrong(f"has `{name}` that is no list of whole numbers")
        return None if found is None else tuple(found)

    def _attribute(self, name: str, kinds: Any, default: Any) -> Any:
        found = self.operator.attributes.get(name, default)
        if found is not default and not isinstance(found, kinds):
            raise self.wrong(f"has `{name}` of a type that it does not take")
        return found

    def axis(self, number: int, rank: int) -> int:
        """A dimension of a tensor of `rank`; negative ones count from the end."""
        if not -rank <= number < rank:
            raise self.wrong(f"names dimension {number} of {rank}", code="E130")
        return number % rank

    def parameter(self, index: int, role: str = "weight") -> Ref | None:
        """An input as a stored parameter; None where it is left out.

        Its path is its name, where a module gave it; else its module's, with `role` behind.
        """
        array, name = self.constant(index), self.name(index)
        if not name:
            return None
        if array is None:
            raise self.wrong(f"computes its {role} in the graph: it must be stored")
        return self.reading.store(name, self._path(name, role), array)

    def seen(self, index: int, role: str, array: Array) -> Ref:
        """An input as a stored parameter that is seen in other sizes, in one way for each role."""
        name, reading = self.name(index), self.reading
        if (name, role) not in reading.views:
            path = self._path(name, role)
            reading.views[name, role] = reading.store(reading.fresh(name), path, array)
        return reading.views[name, role]

    def _path(self, name: str, role: str) -> str:
        if role == "bias" and not name.endswith(".bias"):
            weight = self.reading.stored.get(self.name(1), "")
            if weight.endswith(".weight"):
                return weight.removesuffix("weight") + "bias"
        if _PARAMETER.fullmatch(name):
            return name
        module = self.operator.module
        return f"{module}.{role}" if module else name

    def operand(self, index: int) -> Argument:
        """An input of a sum or the like: what flows, a number, or a stored parameter."""
        array = self.constant(index)
        if array is None:
            return self.flow(index)
        return decimal(array) if array.ndim == 0 else self.parameter(index)

    def emit(self, target: str, sizes: Sizes, /, **arguments: Argument) -> None:
        """Write the call that this operation is."""
        self.emit_all(target, [sizes], **arguments)

    def emit_all(self, target: str, sizes: list[Sizes], /, **arguments: Argument) -> None:
        """The same with an output of each of `sizes`; outputs beyond are not to be read."""
        names = self.operator.outputs[: len(sizes)]
        for name in self.operator.outputs[len(sizes) :]:
            if self.reading.readers[name] or name in self.reading.shown:
                raise self.wrong(f"has an output `{name}` that is not covered", code="E120")
        for name, found in zip(names, sizes, strict=False):
            self._agree(name, found)
        self._write(target, names, sizes, arguments)

    def between(self, target: str, sizes: Sizes, /, **arguments: Argument) -> Ref:
        """Write a call that comes before the one that this operation is."""
        name = self.reading.fresh(self.operator.outputs[0])
        self._write(target, (name,), [sizes], arguments)
        return Ref(name)

    def take_in(self, other: Operator) -> OnnxCall:
        """This operation and a later one that reads its result as one, with the outputs of that."""
        self.reading.done.add(id(other))
        return attrs.evolve(self, operator=attrs.evolve(self.operator, outputs=other.outputs))

    def shape(self) -> Array:
        """The sizes of the input, or the part of them from `start` to `end`."""
        start, end = self.whole("start", 0), self.whole("end", len(self.sizes()))
        return np.array(self.sizes()[start:end], np.int64)

    def constant_value(self) -> Array:
        """What a Constant holds."""
        for name, kind in _CONSTANTS.items():
            found = self.operator.attributes.get(name)
            if isinstance(found, np.ndarray | float | int | tuple):
                return np.asarray(found, kind)
        raise self.wrong("holds no numbers", code="E120")

    def _agree(self, name: str, sizes: Sizes) -> None:
        stated = self.reading.stated.get(name)
        if stated is None:
            return
        if len(stated) != len(sizes) or any(
            n is not None and n != size for n, size in zip(stated, sizes, strict=True)
        ):
            raise self.wrong(
                f"gives {sizes} by its arguments, but the file says {stated}", code="E130"
            )

    def _write(
        self, target: str, names: tuple[str, ...], sizes: list[Sizes], arguments: dict[str, Any]
    ) -> None:
        reading, operator = self.reading, self.operator
        kind = dtype(self.whole("to", 1), self.where) if operator.op == "Cast" else "float32"
        for name, found in zip(names, sizes, strict=False):
            if name in reading.values or name in reading.constants:
                raise problem("E114", f"two operations make a tensor `{name}`")
            if len(found) > MOST_DIMENSIONS or np.prod(found, dtype=np.float64) > LARGEST_TENSOR:
                raise self.wrong(f"makes more than {LARGEST_TENSOR} elements", code="E130")
            reading.values[name] = Value(name, found, kind)
        given = {key: value for key, value in arguments.items() if value is not None}
        reading.nodes.append(
            Node(
                target,
                given,
                names,
                operator.module,
                operator.module_type,
                operator.name or names[0],
                operator.op,
            )
        )


_CONSTANTS = {
    "value": None, "value_float": np.float32, "value_floats": np.float32,
    "value_int": np.int64, "value_ints": np.int64,
}  # fmt: skip


def decimal(array: Array) -> float:
    """The one number of an array, as one would write it: 0.1 for the float32 next to it."""
    number = array.ravel()[0]
    return float(str(number)) if array.dtype.kind == "f" else float(number)


Conversion = Callable[[OnnxCall], None]
"""Writes what an operation is in ATen's words."""
