"""Names of operations: the path of their parameters, else one made of the module's path."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from cimarch.workload.steps import Step

HOLDERS = frozenset({"Conv2d", "Linear", "Embedding"})
"""Modules that hold one weight: their own path names it, also where they share it."""


class Names:
    """Names in use; a second use of one gets a number."""

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)
        self.uses: dict[str, int] = defaultdict(int)

    def fresh(self, wanted: str) -> str:
        """`wanted`, or `wanted_1`, `wanted_2`, ... where it is taken."""
        name = wanted
        while name in self.taken:
            self.uses[wanted] += 1
            name = f"{wanted}_{self.uses[wanted]}"
        self.taken.add(name)
        return name


def operation_names(steps: list[Step], names: Names) -> list[str]:
    """A unique, readable name for each step, in order; parameter paths come first."""
    alone = _alone(steps)
    wanted = [_wanted(step, alone) for step in steps]
    found: dict[int, str] = {}
    for first in (True, False):
        for index, step in enumerate(steps):
            if (step.weight is not None) is first:
                found[index] = names.fresh(wanted[index])
    return [found[index] for index in range(len(steps))]


def _wanted(step: Step, alone: frozenset[str]) -> str:
    """The path that names a step; a model that is one layer has none, and its word stands in."""
    return _path(step, alone) or _word(step)


def _path(step: Step, alone: frozenset[str]) -> str:
    if step.weight is not None:
        holder = step.module_type.rpartition(".")[2] in HOLDERS
        return step.module if holder else step.weight.path.removesuffix(".weight")
    if step.module in alone:
        return step.module
    return f"{step.module}.{_word(step)}" if step.module else _word(step)


def _word(step: Step) -> str:
    """What an operation without parameters is called: its function, if that says it all."""
    if step.kind in ("activation", "softmax"):
        return step.function
    if step.kind == "pool":
        return f"{step.function}_pool"
    return "permute" if step.function == "permute" else step.kind


def _alone(steps: list[Step]) -> frozenset[str]:
    """Torch's own modules that do one kind of thing (`features.2`, a ReLU): the path names it."""
    words = defaultdict(set)
    for step in steps:
        if step.module and step.module_type.startswith("torch.nn.modules."):
            words[step.module].add(_word(step))
    return frozenset(module for module, found in words.items() if len(found) == 1)
