"""The graph of an ONNX model in the words of an exported torch graph: one set of rules reads both.

Operations are taken in order. What depends on no input is worked out (`onnx_fold`); the rest
becomes calls of ATen's operators (`onnx_rules`), with the sizes that follow from their arguments: a
file may state sizes or not, but what it states must agree. A symbolic batch is one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import attrs
import numpy as np

from cimarch.workload.graph import LARGEST_TENSOR, Argument, Graph, Node, Ref, Value
from cimarch.workload.network import Weight
from cimarch.workload.onnx_file import DTYPES, Tensors, dtype, text
from cimarch.workload.onnx_fold import NotFolded, fold
from cimarch.workload.problems import problem
from cimarch.workload.steps import Array, Sizes

FLOAT, INT, STRING, TENSOR, FLOATS, INTS = 1, 2, 3, 4, 6, 7
"""Numbers of AttributeProto.AttributeType that operators here have."""

ROOM = 1 << 24
"""Elements that constants may be worked out to, besides as many as the file holds."""

_PARAMETER = re.compile(r"[A-Za-z_]\w*(\.\w+)+")
"""A name that a module gave its parameter: `layer1.0.conv1.weight`."""


Conversion = Callable[["OnnxCall"], None]
"""Writes what an operation is in ATen's words."""


@attrs.frozen(eq=False)
class Operator:
    """One operation of the file."""

    op: str
    inputs: tuple[str, ...]
    """Names; empty where one is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    name: str
    module: str
    """The path of the module that it came from, where the exporter tells."""
    module_type: str


class Reading:
    """What is known while the operations of a file are taken in order."""

    def __init__(
        self,
        model: Any,
        tensors: Tensors,
        conversions: Mapping[str, Conversion],
        *,
        allow_unmapped: bool,
    ) -> None:
        self.source = tensors.source
        self.conversions = conversions
        self.tensors = tensors
        self.allow_unmapped = allow_unmapped
        self.opset = _opset(model, self.source)
        self.operators = [_operator(node, tensors) for node in model.graph.node]
        self.outputs = tuple(text(value.name) for value in model.graph.output)
        self.readers: dict[str, list[Operator]] = defaultdict(list)
        for operator in self.operators:
            for name in operator.inputs:
                self.readers[name].append(operator)
        stated = (*model.graph.value_info, *model.graph.output)
        self.stated = {text(value.name): _stated(value) for value in stated}
        self.constants: dict[str, Array] = {}
        self.values: dict[str, Value] = {}
        self.nodes: list[Node] = []
        self.stored: dict[str, str] = {}
        self.weights: dict[str, Weight] = {}
        self.views: dict[tuple[str, str], Ref] = {}
        """Stored parameters that are seen in other sizes, by name and role."""
        self.numbers = count()
        self.done: set[int] = set()
        """Operations that an earlier one took in, by `id`."""
        for tensor in model.graph.initializer:
            self.constants[text(tensor.name)] = tensors.array(tensor)
        self.room = ROOM + sum(array.size for array in self.constants.values())
        self.inputs = self._inputs(model.graph.input)

    def graph(self) -> tuple[Graph, dict[str, Weight]]:
        """Take every operation; gives the graph and what it stores."""
        for operator in self.operators:
            if id(operator) not in self.done:
                self._take(operator)
        flowing = tuple(name for name in self.outputs if name in self.values)
        graph = Graph(tuple(self.nodes), self.values, self.stored, self.inputs, flowing)
        return graph, self.weights

    def _inputs(self, stated: Any) -> tuple[str, ...]:
        """What is handed in; old files list what is stored among it."""
        flowing = [value for value in stated if text(value.name) not in self.constants]
        for value in flowing:
            self.values[value.name] = _input(value)
        return tuple(value.name for value in flowing)

    def _take(self, operator: Operator) -> None:
        call = OnnxCall(self, operator)
        for name in operator.inputs:
            if name and name not in self.constants and name not in self.values:
                raise problem("E114", f"{call.where} reads `{name}`, which nothing makes before it")
        if operator.op == "Constant":
            self._keep(operator, call.constant_value())
        elif operator.op == "Shape" and operator.inputs and operator.inputs[0]:
            self._keep(operator, call.shape())
        elif all(not name or name in self.constants for name in operator.inputs):
            self._fold(call)
        elif operator.op in self.conversions:
            self.conversions[operator.op](call)
        else:
            self._unmapped(call)

    def _keep(self, operator: Operator, array: Array) -> None:
        if len(operator.outputs) != 1:
            raise problem("E114", f"`{operator.name}` ({operator.op}) has not one output")
        self.constants[operator.outputs[0]] = array

    def _fold(self, call: OnnxCall) -> None:
        """Work out what depends on no input."""
        inputs = [self.constants[name] if name else None for name in call.operator.inputs]
        try:
            found = fold(call.operator.op, call.operator.attributes, inputs)
            self.room -= found.size if found.base is None else 0
            if self.room < 0:
                raise NotFolded("more numbers than the file itself holds")
            self._keep(call.operator, found)
        except NotFolded as error:
            raise call.wrong(
                "works on constants in a way that is not covered",
                code="E120",
                notes=(str(error)[:200],),
                helps=("simplify the file first, for instance with onnxsim",),
            ) from None

    def _unmapped(self, call: OnnxCall) -> None:
        """An operator that is not covered: told, or kept where the file states its sizes."""
        if not self.allow_unmapped:
            raise call.wrong(
                "is an operator that is not covered",
                code="E120",
                helps=("--allow-unmapped keeps it as a line in the report",),
            )
        sizes = [self.stated.get(name) for name in call.operator.outputs]
        if any(found is None or None in found for found in sizes):
            raise call.wrong("is not covered, and the file does not state the sizes of its outputs")
        flows = tuple(Ref(name) for name in call.operator.inputs if name in self.values)
        whole = [tuple(n or 1 for n in found or ()) for found in sizes]
        call.emit_all(f"onnx.{call.operator.op}", whole, inputs=flows)

    def store(self, name: str, path: str, array: Array) -> Ref:
        """Make a constant a stored parameter of the graph."""
        held = self.weights.get(path)
        if held is not None and held.data is not array:
            path = name
        if name not in self.stored:
            self.stored[name] = path
            self.weights[path] = Weight(path, array.shape, str(array.dtype), array)
            self.values[name] = Value(name, array.shape, str(array.dtype))
        return Ref(name)

    def fresh(self, wanted: str) -> str:
        """A name for a value that the file has none for."""
        while True:
            name = f"{wanted}~{next(self.numbers)}"
            if name not in self.values and name not in self.constants:
                return name

    def only_reader(self, name: str) -> Operator | None:
        """The one operation that reads a value, once; None where others do, or it flows out."""
        readers = self.readers[name]
        return readers[0] if len(readers) == 1 and name not in self.outputs else None


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
            if self.reading.readers[name] or name in self.reading.outputs:
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
            if len(found) > 16 or np.prod(found, dtype=np.float64) > LARGEST_TENSOR:
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


def _opset(model: Any, source: str) -> int:
    """The version of the standard operators."""
    versions = [o.version for o in model.opset_import if o.domain in ("", "ai.onnx")]
    if not model.graph.node or not versions:
        raise problem("E124", f"`{source}` is an ONNX model without operations")
    if not 7 <= versions[0] <= 99:
        raise problem(
            "E115",
            f"`{source}` uses version {versions[0]} of the ONNX operators, below 7",
            helps=["convert it first with onnx.version_converter, or export the model again"],
        )
    return int(versions[0])


def _operator(node: Any, tensors: Tensors) -> Operator:
    if not node.output:
        raise problem("E114", f"`{text(node.name)}` ({text(node.op_type)}) has no output")
    module, module_type = _module(node)
    domain = "" if node.domain in ("", "ai.onnx") else f"{text(node.domain)}."
    return Operator(
        op=domain + text(node.op_type),
        inputs=tuple(map(text, node.input)),
        outputs=tuple(map(text, node.output)),
        attributes={text(a.name): _attribute(a, tensors) for a in node.attribute},
        name=text(node.name),
        module=module,
        module_type=module_type,
    )


def _attribute(attribute: Any, tensors: Tensors) -> Any:
    """An attribute's value; None for kinds that no operator here has."""
    kinds: dict[int, Callable[[], Any]] = {
        FLOAT: lambda: float(str(np.float32(attribute.f))),
        INT: lambda: int(attribute.i),
        STRING: lambda: attribute.s.decode("utf-8"),
        TENSOR: lambda: tensors.array(attribute.t),
        FLOATS: lambda: tuple(attribute.floats),
        INTS: lambda: tuple(attribute.ints),
    }
    kind = kinds.get(attribute.type)
    return None if kind is None else kind()


def _module(node: Any) -> tuple[str, str]:
    """The path and class of an operation's module, as torch's exporters tell it."""
    told = {text(entry.key): text(entry.value) for entry in node.metadata_props}
    scopes = re.findall(r"'([^']*)'", told.get("pkg.torch.onnx.name_scopes", ""))
    types = re.findall(r"'([^']*)'", told.get("pkg.torch.onnx.class_hierarchy", ""))
    if len(scopes) > 1 and len(scopes) == len(types):
        path = re.sub(r"@\d+", "", scopes[-2])
        return (path, types[-2]) if re.fullmatch(r"[\w.\-]*", path) else ("", "")
    if re.fullmatch(r"(/[\w.\-]+)+", text(node.name)):
        return _joined(node.name.split("/")[1:-1]), ""
    return "", ""


def _joined(scopes: list[str]) -> str:
    """`features`, `features.1`, `conv` is `features.1.conv`: lists repeat their name."""
    steps: list[str] = []
    for scope in scopes:
        if steps and scope.startswith(steps[-1] + "."):
            steps.pop()
        steps.append(scope)
    return ".".join(steps)


def _stated(value: Any) -> tuple[int | None, ...] | None:
    """The sizes that a file states for a value, None for what it leaves open."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in value.type.tensor_type.shape.dim
    )


def _input(value: Any) -> Value:
    """What is handed in; its first dimension is the batch, which is 1 or left open."""
    sizes = _stated(value)
    if not sizes:
        raise problem("E131", f"input `{value.name}` has no sizes in the file")
    if None in sizes[1:]:
        axis = sizes.index(None, 1)
        raise problem(
            "E131",
            f"dimension {axis} of input `{value.name}` is symbolic: only the batch may be",
            helps=["export with all dimensions fixed but the first"],
        )
    if sizes[0] not in (1, None):
        shown = "x".join(map(str, sizes))
        raise problem(
            "E131",
            f"input `{value.name}` is {shown}: its first dimension, the batch, must be 1 or "
            "symbolic",
            helps=["export it with a batch of one"],
        )
    kind = DTYPES.get(value.type.tensor_type.elem_type, "float32")
    whole = tuple(n or 1 for n in sizes)
    return Value(value.name, whole, kind, 0 if sizes[0] is None else None)
