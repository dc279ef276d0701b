"""The graph of an ONNX model in the words of an exported torch graph: one set of rules reads both.

Operations are taken in order. What depends on no input is worked out (`onnx_fold`); the rest
becomes calls of ATen's operators (`onnx_operators`), with the sizes that follow from their
arguments: a file may state sizes or not, but what it states must agree. A symbolic batch is one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from itertools import count
from typing import Any

from cimarch.workload.graph import Graph, Node, Ref, Value
from cimarch.workload.network import Weight
from cimarch.workload.onnx_call import Conversion, OnnxCall
from cimarch.workload.onnx_file import Tensors, text
from cimarch.workload.onnx_fold import NotFolded, fold
from cimarch.workload.onnx_records import Operator, input_value, operator, opset, stated_sizes
from cimarch.workload.problems import problem
from cimarch.workload.steps import Array

ROOM = 1 << 24
"""Elements that constants may be worked out to, besides as many as the file holds."""


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
        self.opset = opset(model, self.source)
        self.operators = [operator(node, tensors) for node in model.graph.node]
        self.outputs = tuple(text(value.name) for value in model.graph.output)
        self.shown = frozenset(self.outputs)
        self.readers: dict[str, list[Operator]] = defaultdict(list)
        for each in self.operators:
            for name in each.inputs:
                self.readers[name].append(each)
        stated = (*model.graph.value_info, *model.graph.output)
        self.stated = {text(value.name): stated_sizes(value) for value in stated}
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
        for each in self.operators:
            if id(each) not in self.done:
                self._take(each)
        flowing = tuple(name for name in self.outputs if name in self.values)
        graph = Graph(tuple(self.nodes), self.values, self.stored, self.inputs, flowing)
        return graph, self.weights

    def _inputs(self, stated: Any) -> tuple[str, ...]:
        """What is handed in; old files list what is stored among it."""
        flowing = [value for value in stated if text(value.name) not in self.constants]
        for value in flowing:
            self.values[value.name] = input_value(value)
        return tuple(value.name for value in flowing)

    def _take(self, taken: Operator) -> None:
        call = OnnxCall(self, taken)
        for name in taken.inputs:
            if name and name not in self.constants and name not in self.values:
                raise problem("E114", f"{call.where} reads `{name}`, which nothing makes before it")
        if taken.op == "Constant":
            self._keep(taken, call.constant_value())
        elif taken.op == "Shape" and taken.inputs and taken.inputs[0]:
            self._keep(taken, call.shape())
        elif all(not name or name in self.constants for name in taken.inputs):
            self._fold(call)
        elif taken.op in self.conversions:
            self.conversions[taken.op](call)
        else:
            self._unmapped(call)

    def _keep(self, taken: Operator, array: Array) -> None:
        if len(taken.outputs) != 1:
            raise problem("E114", f"`{taken.name}` ({taken.op}) has not one output")
        self.constants[taken.outputs[0]] = array

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
        return readers[0] if len(readers) == 1 and name not in self.shown else None
