"""The order in which a quantised network is run, and what is done in one go.

Behind a matrix operation, the sum with a second tensor and the limits of a relu belong to its
digital tail, as does the rounding to the inputs of the next matrix operation: one pass instead of a
tensor for each. Numbers are the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from math import inf

import attrs

from cimarch.functional.quantised import Quantised
from cimarch.functional.run.tail import Rounding, Scales, Tail
from cimarch.workload.network import Network, Operation


@attrs.frozen
class Step:
    """One operation, with those that it takes in behind it."""

    operation: Operation
    inputs: tuple[str, ...]
    """Tensors: those of the operation; behind a matrix operation's, the second addend."""
    result: str
    tail: Tail | None = None
    """Of a matrix operation in whole numbers."""
    rounding: Rounding | None = None
    """Of its inputs."""
    last: tuple[str, ...] = ()
    """Tensors that nothing reads after it."""


def sequence(network: Network, quantised: Mapping[str, Quantised]) -> tuple[Step, ...]:
    """The steps of a network of which some operations are in whole numbers."""
    steps = _joined(network, quantised)
    return _ended(network, _rounded(network, steps))


def _ordered(network: Network, quantised: Collection[str]) -> list[Operation]:
    """Operations in an order in which matrix operations wait for all that does not need them.

    So what a shortcut does to its tensor is done before the products beside it, whose tails add it.
    """
    there = set(network.tensors) - _made(network)
    waiting, order = list(network.operations), []
    while waiting:
        left = []
        for operation in waiting:
            if operation.name in quantised or not there.issuperset(operation.inputs):
                left.append(operation)
                continue
            order.append(operation)
            there.update(operation.outputs)
        product = next((op for op in left if op.name in quantised), None)
        if product is not None:
            order.append(product)
            there.update(product.outputs)
        waiting = [op for op in left if op is not product]
    return order


def _made(network: Network) -> set[str]:
    """The tensors that operations make."""
    return {name for operation in network.operations for name in operation.outputs}


def _joined(network: Network, quantised: Mapping[str, Quantised]) -> list[Step]:
    """Operations with what their tails take in."""
    order = _ordered(network, quantised)
    readers = _Readers(network, order)
    taken: set[str] = set()
    steps = []
    for operation in order:
        if operation.name in taken:
            continue
        step = Step(operation, operation.inputs, operation.outputs[0])
        if operation.name in quantised:
            step, absorbed = _with_tail(step, quantised[operation.name], readers)
            taken |= absorbed
        steps.append(step)
    return steps


class _Readers:
    """Who reads each tensor of a network, and when each comes about."""

    def __init__(self, network: Network, order: Sequence[Operation]) -> None:
        self.network = network
        self._reads = Counter(name for op in network.operations for name in op.inputs)
        self._reads.update(network.outputs)
        self._reads.update(network.states.values())
        self._reader = {name: op for op in network.operations for name in op.inputs}
        self._place = {name: i for i, op in enumerate(order) for name in op.outputs}

    def only(self, tensor: str) -> Operation | None:
        """The operation that alone reads a tensor."""
        return self._reader.get(tensor) if self._reads[tensor] == 1 else None

    def same_shape(self, *tensors: str) -> bool:
        """Whether tensors have one shape."""
        return len({self.network.tensors[name].shape for name in tensors}) == 1

    def before(self, tensor: str, operation: Operation) -> bool:
        """Whether a tensor is there when an operation starts."""
        return self._place.get(tensor, -1) < self._place[operation.outputs[0]]


def _with_tail(step: Step, quantised: Quantised, readers: _Readers) -> tuple[Step, set[str]]:
    """A matrix operation with the operations that its tail takes in, and their names."""
    inputs, result, absorbed = step.inputs, step.result, set()
    following = readers.only(result)
    if following is not None and (other := _addend(following, result)):
        made = following.outputs[0]
        if readers.same_shape(result, other, made) and readers.before(other, step.operation):
            inputs, result = (*inputs, other), made
            absorbed.add(following.name)
            following = readers.only(result)
    limits = _limits(following) if following is not None else None
    if following is not None and limits is not None:
        result = following.outputs[0]
        absorbed.add(following.name)
    tail = Tail(Scales.of(quantised), limits or (-inf, inf))
    rounding = Rounding.of(quantised)
    return attrs.evolve(step, inputs=inputs, result=result, tail=tail, rounding=rounding), absorbed


def _addend(operation: Operation, tensor: str) -> str | None:
    """The other tensor of a plain sum of two."""
    if operation.kind != "add" or operation.function or len(operation.inputs) != 2:
        return None
    first, second = operation.inputs
    other = second if first == tensor else first
    return None if operation.settings or other == tensor else other


def _limits(operation: Operation) -> tuple[float, float] | None:
    """Between which numbers an activation holds its input, where that is all it does."""
    if operation.kind != "activation":
        return None
    given = dict(operation.settings)
    if operation.function in ("hardtanh", "clamp"):
        low, high = given["low"], given["high"]
        assert isinstance(low, int | float)
        assert isinstance(high, int | float)
        return float(low), float(high)
    return {"relu": (0.0, inf), "relu6": (0.0, 6.0)}.get(operation.function)


def _rounded(network: Network, steps: list[Step]) -> list[Step]:
    """Steps whose tails know what their results are for."""
    roundings: dict[str, set[Rounding]] = {}
    wanted = {*network.outputs, *network.states.values()}
    for step in steps:
        plain = step.inputs if step.rounding is None else step.inputs[1:]
        wanted.update(plain)
        if step.rounding is not None:
            roundings.setdefault(step.inputs[0], set()).add(step.rounding)
    made = []
    for step in steps:
        if step.tail is not None:
            mine = roundings.get(step.result, set())
            only = next(iter(mine)) if len(mine) == 1 else None
            keeps = step.result in wanted or only is None
            tail = attrs.evolve(step.tail, keeps=keeps, rounding=only)
            step = attrs.evolve(step, tail=tail)
        made.append(step)
    return made


def _ended(network: Network, steps: list[Step]) -> tuple[Step, ...]:
    """Steps that know which tensors are not needed after them."""
    needed = {*network.outputs, *network.states.values()}
    made = []
    for step in reversed(steps):
        mentioned = {*step.inputs, step.result}
        made.append(attrs.evolve(step, last=tuple(sorted(mentioned - needed))))
        needed |= mentioned
    return tuple(reversed(made))
