"""An exported graph becomes a Network: rules applied, batch norms folded, the dead removed, named.

Calls are taken in order. What a rule makes of a call is an operation, or nothing (a dropout, a
`contiguous`): then its output is its input under another name. A call that changes its argument in
place gives the argument's name to the result; where another view of the same storage is read
afterwards the model is refused rather than guessed at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.fold import fold_batch_norms
from cimarch.workload.graph import Argument, Graph, Node, Ref, Value
from cimarch.workload.naming import Names, operation_names
from cimarch.workload.network import Network, Operation, Tensor, Weight
from cimarch.workload.operators import OPERATORS
from cimarch.workload.problems import problem
from cimarch.workload.steps import Alias, Call, Constant, Flow, Result, Rule, Step
from cimarch.workload.view_rules import clone, convert, dropout, expand, permute, reshape, same

PRESERVING = frozenset({clone, convert, dropout, expand, permute, reshape, same})
"""Rules by which a stored parameter stays a stored parameter."""


def lower(
    graph: Graph,
    weights: Mapping[str, Weight],
    *,
    name: str,
    source: str,
    digest: str,
    allow_unmapped: bool = False,
) -> Network:
    """Make the Network of a graph whose stored tensors are `weights`, by path."""
    steps, flows = _Lowering(graph, weights, allow_unmapped).run()
    outputs = [flow.name for flow in flows]
    steps = fold_batch_norms(steps, keep=outputs)
    steps = _alive(steps, outputs)
    if not steps:
        raise problem("E124", f"`{source}` has no operation between its inputs and its outputs")
    return _network(graph, steps, outputs, name=name, source=source, digest=digest)


@attrs.frozen
class _Place:
    """Where a value lies: its storage, and which run of certain views it belongs to."""

    storage: str
    view: str


class _Lowering:
    """The state while the calls of a graph are taken in order."""

    def __init__(self, graph: Graph, weights: Mapping[str, Weight], allow_unmapped: bool) -> None:
        self.graph = graph
        self.allow_unmapped = allow_unmapped
        self.bound: dict[str, Flow | Constant] = {}
        self.places: dict[str, _Place] = {}
        self.stale: dict[str, str] = {}
        """Values that were changed through another view, and by which operator."""
        self.steps: list[Step] = []
        for name, path in graph.stored.items():
            self._bind(name, Constant(*self._stored(name, path, weights)))
        for name in graph.inputs:
            self._bind(name, Flow(name, graph.values[name].sizes))

    def run(self) -> tuple[list[Step], list[Flow]]:
        """Take every call; gives the steps and what flows out."""
        for node in self.graph.nodes:  # those that make no tensor are about sizes
            if node.outputs or node.in_place:
                self._take(node)
        outputs = [self._read(name, "the network's output") for name in self.graph.outputs]
        flows = [found for found in outputs if isinstance(found, Flow)]
        if not flows:
            raise problem("E124", "the network has no output that depends on its input")
        return self.steps, flows

    def _stored(
        self, name: str, path: str, weights: Mapping[str, Weight]
    ) -> tuple[tuple[int, ...], Weight]:
        if path not in weights:
            raise problem("E116", f"the archive has no array for `{path}`")
        weight = weights[path]
        stated = self.graph.values.get(name)
        if stated is not None and stated.sizes != weight.shape:
            raise problem(
                "E130", f"`{path}` is {weight.shape} as stored, {stated.sizes} in the graph"
            )
        return weight.shape, weight

    def _take(self, node: Node) -> None:
        call = self._call(node)
        rule = OPERATORS.get(node.packet)
        flowing = any(isinstance(found, Flow) for found in call.tensors.values())
        result: Result
        if rule is None:
            result = self._unmapped(call)
        elif not flowing and rule not in PRESERVING:
            result = Constant(call.out)
        else:
            result = self._ruled(call, rule)
        self._settle(call, result)
        if node.in_place:
            self._change_in_place(call)

    def _ruled(self, call: Call, rule: Rule) -> Result:
        """What a rule makes of a call; a case that it does not cover may be allowed."""
        try:
            return rule(call)
        except DescriptionError as error:
            if error.diagnostics[0].code == "E120" and self.allow_unmapped:
                return self._unmapped(call)
            raise

    def _call(self, node: Node) -> Call:
        names = [ref.name for ref in _refs(node.arguments.values())]
        where = f"`{node.module or node.name}` ({node.called or node.target})"
        outputs = [self.graph.values.get(name) for name in node.outputs]
        if any(found is None for found in outputs):
            raise problem("E114", f"{where} makes a tensor that has no shape in the archive")
        return Call(
            node,
            {name: self._read(name, where) for name in names},
            tuple(found for found in outputs if found is not None),
        )

    def _read(self, name: str, where: str) -> Flow | Constant:
        if name in self.stale:
            raise problem(
                "E122",
                f"{where} reads `{name}`, which {self.stale[name]} changed through another view",
                helps=["write the operation without `_` or `inplace=True`, then export again"],
            )
        if name not in self.bound:
            raise problem("E114", f"{where} reads `{name}`, which nothing makes")
        return self.bound[name]

    def _unmapped(self, call: Call) -> Step:
        flows = tuple(found for found in call.tensors.values() if isinstance(found, Flow))
        if not self.allow_unmapped:
            raise problem(
                "E120",
                f"{call.where} is an operator that is not covered",
                helps=["--allow-unmapped keeps it as a line in the report"],
            )
        return Step("other", flows, function=call.node.target)

    def _settle(self, call: Call, result: Result) -> None:
        """Bind the outputs of a call to what its rule made."""
        if isinstance(result, tuple):
            if len(result) != len(call.outputs):
                raise call.wrong(f"has {len(call.outputs)} outputs, not {len(result)}")
            for step, value in zip(result, call.outputs, strict=True):
                self._emit(call, step, (value,))
        elif isinstance(result, Step):
            count = len(result.sizes) or (len(call.outputs) if result.kind == "other" else 1)
            self._emit(call, result, call.outputs[:count])
        elif call.outputs:
            self._bind_unmade(call, result, call.outputs[0])

    def _bind_unmade(self, call: Call, result: Alias | Constant, value: Value) -> None:
        found = result if isinstance(result, Constant) else result.flow
        if found.sizes != value.sizes:
            raise call.wrong(f"gives {found.sizes}, but the file says {value.sizes}", code="E130")
        self._bind(value.name, found)
        if isinstance(result, Alias) and not result.copied:
            self._place(call, value.name, certain=result.copied is False)

    def _emit(self, call: Call, step: Step, values: tuple[Value, ...]) -> None:
        for sizes, value in zip(step.sizes, values, strict=False):
            if sizes != value.sizes:
                raise call.wrong(
                    f"gives {sizes} by its arguments, but the file says {value.sizes}", code="E130"
                )
        node = call.node
        outputs = tuple(value.name for value in values)
        self.steps.append(
            attrs.evolve(step, outputs=outputs, module=node.module, module_type=node.module_type)
        )
        for value in values:
            self._bind(value.name, Flow(value.name, value.sizes))
            if step.view is not False:
                self._place(call, value.name, certain=bool(step.view))

    def _bind(self, name: str, found: Flow | Constant) -> None:
        if name in self.bound:
            raise problem("E114", f"two operations make a tensor `{name}`")
        if isinstance(found, Flow) and 0 in found.sizes:
            raise problem("E130", f"tensor `{name}` has no elements: it is {found.sizes}")
        self.bound[name] = found
        self.places[name] = _Place(name, name)

    def _place(self, call: Call, name: str, *, certain: bool) -> None:
        """Note that an output lies (certainly, or perhaps) in its first input's storage."""
        first = next((ref.name for ref in _refs(call.node.arguments.values())), name)
        origin = self.places[first]
        self.places[name] = _Place(origin.storage, origin.view if certain else name)

    def _change_in_place(self, call: Call) -> None:
        """The first argument's storage now holds the result."""
        changed = next((ref.name for ref in _refs(call.node.arguments.values())), None)
        if changed is None or not call.outputs:
            return
        if isinstance(self.bound[changed], Constant):
            raise call.wrong("changes a stored tensor in place")
        result, before, place = call.outputs[0].name, self.bound[changed], self.places[changed]
        for name, found in list(self.bound.items()):
            if name == result or self.places[name].storage != place.storage:
                continue
            if found == before and self.places[name].view == place.view:
                self.bound[name] = self.bound[result]
            else:
                self.stale[name] = call.where
        self.places[result] = place


def _refs(arguments: Iterable[Argument]) -> list[Ref]:
    """The tensors among arguments, lists included."""
    found: list[Ref] = []
    for argument in arguments:
        if isinstance(argument, Ref):
            found.append(argument)
        elif isinstance(argument, tuple):
            found.extend(_refs(argument))
    return found


def _alive(steps: list[Step], outputs: list[str]) -> list[Step]:
    """The steps that something needs."""
    needed, kept = set(outputs), []
    for step in reversed(steps):
        if needed & set(step.outputs):
            needed.update(flow.name for flow in step.inputs)
            kept.append(step)
    return kept[::-1]


def _network(
    graph: Graph, steps: list[Step], outputs: list[str], *, name: str, source: str, digest: str
) -> Network:
    """Name everything and put it together."""
    names = Names(graph.inputs)
    called = {flow: flow for flow in graph.inputs}
    tensors = {n: Tensor(n, graph.values[n].shape) for n in graph.inputs}
    store = _Store()
    operations = []
    for step, title in zip(steps, operation_names(steps, names), strict=True):
        for index, output in enumerate(step.outputs):
            called[output] = title if index == 0 else names.fresh(title)
            made = called[output]
            tensors[made] = Tensor(made, graph.values[output].shape)
        operations.append(_operation(step, title, called, store))
    return Network(
        name=name,
        operations=tuple(operations),
        tensors=tensors,
        weights=store.weights,
        inputs=graph.inputs,
        outputs=tuple(called[output] for output in outputs),
        source=source,
        digest=digest,
    )


def _operation(step: Step, title: str, called: Mapping[str, str], store: _Store) -> Operation:
    return Operation(
        name=title,
        kind=step.kind,
        inputs=tuple(called[flow.name] for flow in step.inputs),
        outputs=tuple(called[output] for output in step.outputs),
        function=step.function,
        geometry=step.geometry,
        weight=store.keep(step.weight, f"{title}.weight"),
        bias=store.keep(step.bias, f"{title}.bias"),
        rows=step.rows,
        columns=step.columns,
        groups=step.groups,
        windows=step.windows,
        window_rows=step.window_rows,
        settings=step.settings,
    )


class _Store:
    """The weights of the network: one entry per array."""

    def __init__(self) -> None:
        self.weights: dict[str, Weight] = {}

    def keep(self, weight: Weight | None, own: str) -> str | None:
        """Store a weight under its path, or under `own` where another array has that path."""
        if weight is None:
            return None
        for path in (weight.path, own):
            held = self.weights.setdefault(path, attrs.evolve(weight, path=path))
            if held.data is weight.data and held.shape == weight.shape:
                return path
        names = Names(self.weights)
        path = names.fresh(own)
        self.weights[path] = attrs.evolve(weight, path=path)
        return path
