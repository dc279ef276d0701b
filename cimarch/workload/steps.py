"""Steps: operations on their way from an exported graph to a Network.

A rule (see `operators`) turns one call of the graph into a Step, an alias of its input, or a
constant; `lower` strings them together.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
from numpy.typing import NDArray

from cimarch.workload.graph import SYMBOLIC, Argument, Node, Ref, Value
from cimarch.workload.network import Geometry, Setting, Weight
from cimarch.workload.problems import problem

Sizes = tuple[int, ...]


@attrs.frozen
class Flow:
    """A tensor that flows: its value in the graph, after aliases."""

    name: str
    sizes: Sizes


@attrs.frozen(eq=False)
class Constant:
    """A tensor that is the same in every inference: stored, or computed from what is."""

    sizes: Sizes
    weight: Weight | None = None
    """The parameter that it is (or is a view of); None where it is computed."""


@attrs.frozen(eq=False)
class Alias:
    """The call changes nothing: its output is this input."""

    flow: Flow
    copied: bool | None = False
    """False: the same storage; True: a copy; None: either, as the layout has it."""


@attrs.frozen(eq=False)
class Step:
    """An operation whose name is not decided yet; inputs and output are values of the graph."""

    kind: str
    inputs: tuple[Flow, ...]
    sizes: tuple[Sizes, ...] = ()
    """What its rule says that its outputs measure, to be compared with the file; empty: unknown."""
    function: str = ""
    geometry: Geometry | None = None
    weight: Weight | None = None
    bias: Weight | None = None
    rows: int = 0
    columns: int = 0
    groups: int = 1
    windows: int = 1
    window_rows: int = 1
    settings: tuple[tuple[str, Setting], ...] = ()
    view: bool | None = False
    """Whether its output lies in its input's storage; None: as the layout has it."""
    fold: tuple[Weight | None, ...] = ()
    """Of a batch norm: scale and shift per channel, that its convolution may take in."""
    outputs: tuple[str, ...] = ()
    module: str = ""
    module_type: str = ""


Result = Step | Alias | Constant | tuple[Step, ...]
Rule = Callable[["Call"], Result]


@attrs.frozen(eq=False)
class Call:
    """One call of an operator, with its arguments looked up; what a rule asks of it."""

    node: Node
    tensors: dict[str, Flow | Constant]
    """By the name of the value."""
    outputs: tuple[Value, ...]

    @property
    def where(self) -> str:
        """How a user knows this call: the path of its parameters or module, and the operator."""
        path = self.node.module or self.node.name
        return f"`{path}` ({self.node.called or self.node.target})"

    @property
    def out(self) -> Sizes:
        """What the file says of the first output."""
        if not self.outputs:
            raise self.wrong("has no output tensor")
        return self.outputs[0].sizes

    def wrong(self, what: str, *, code: str = "E122", helps: tuple[str, ...] = ()) -> Exception:
        """A diagnostic on this call."""
        return problem(code, f"{self.where} {what}", helps=helps)

    def get(self, *names: str) -> Argument:
        """An argument under any of its names, None where it is left out."""
        given = self.node.arguments
        return next((given[name] for name in names if given.get(name) is not None), None)

    def tensor(self, *names: str) -> Flow | Constant | None:
        """A tensor argument; None where it is left out or is a number."""
        found = self.get(*names)
        return self.tensors[found.name] if isinstance(found, Ref) else None

    def flow(self, *names: str) -> Flow:
        """A tensor argument that must depend on the network's input."""
        found = self.tensor(*names)
        if not isinstance(found, Flow):
            raise self.wrong(f"does not take `{names[0]}` from the network's input")
        return found

    def parameter(self, *names: str) -> Weight | None:
        """A tensor argument that must be a stored parameter, or left out."""
        found = self.tensor(*names)
        if found is None:
            return None
        if isinstance(found, Constant) and found.weight is not None:
            return found.weight
        raise self.wrong(
            f"computes its `{names[0]}` in the graph: it must be a stored parameter",
            helps=("torch.nn.utils.parametrize.remove_parametrizations(module, 'weight')",),
        )

    def required(self, *names: str) -> Weight:
        """A stored parameter that must be there."""
        found = self.parameter(*names)
        if found is None:
            raise self.wrong(f"has no `{names[0]}`")
        return found

    def integer(self, *names: str, default: int | None = None) -> int:
        """A whole number."""
        found = self.get(*names)
        if found is None and default is not None:
            return default
        if type(found) is int:
            return found
        raise self._mistyped(names[0], "a whole number", found)

    def number(self, *names: str, default: float | None = None) -> float:
        """A number."""
        found = self.get(*names)
        if found is None and default is not None:
            return default
        if isinstance(found, (int, float)):
            return found
        raise self._mistyped(names[0], "a number", found)

    def flag(self, *names: str, default: bool = False) -> bool:
        """True or false."""
        found = self.get(*names)
        return default if found is None else bool(found)

    def integers(self, *names: str, default: Sizes | None = None) -> Sizes:
        """A list of whole numbers (one stands for itself)."""
        found = self.get(*names)
        if found is None and default is not None:
            return default
        listed = found if isinstance(found, tuple) else (found,)
        numbers = tuple(n for n in listed if type(n) is int)
        if len(numbers) != len(listed):
            raise self._mistyped(names[0], "whole numbers", found)
        return numbers

    def pair(self, *names: str, default: Sizes, least: int) -> tuple[int, int]:
        """Two whole numbers, rows and columns, of at least `least` each."""
        found = self.integers(*names, default=default) or default
        if len(found) > 2 or min(found, default=least - 1) < least:
            raise self.wrong(
                f"has `{names[0]}` {_shown(found)}, not two numbers of at least {least}",
                code="E130",
            )
        return found[0], found[-1]

    def axis(self, rank: int, *names: str, default: int | None = None) -> int:
        """A dimension of a tensor of `rank`; negative ones count from the end."""
        return self.axes(rank, (self.integer(*names, default=default),))[0]

    def axes(self, rank: int, found: Sizes) -> Sizes:
        """Dimensions of a tensor of `rank`, each in range."""
        for axis in found:
            if not -rank <= axis < rank:
                raise self.wrong(f"names dimension {axis} of {rank}", code="E130")
        return tuple(axis % rank for axis in found)

    def _mistyped(self, name: str, expected: str, found: Argument) -> Exception:
        if found == SYMBOLIC or (isinstance(found, tuple) and SYMBOLIC in found):
            return self.wrong(f"takes `{name}` from a symbolic shape", code="E131")
        return self.wrong(f"has `{name}` {_shown(found)}, not {expected}")


def _shown(value: object) -> str:
    text = "left out" if value is None else str(value)
    return text if len(text) <= 60 else text[:57] + "..."


Array = NDArray[Any]
