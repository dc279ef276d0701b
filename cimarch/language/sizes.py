"""Which parameter gives the size of an array: what changes how many of a part there are."""

from __future__ import annotations

from cimarch.language import ast
from cimarch.language.instances import Instance
from cimarch.language.references import Scope, refer


def sized_by(part: Instance) -> tuple[str, ...]:
    """For each size of a part's array, the path by which `--set` changes it; "" where none does.

    A size that is a plain name is changed by the parameter of that name, or by the one further out
    that gives this its value: `part chip: Chip { tiles = tiles }` leads to `tiles` of the system.
    """
    if part.tree is None or part.parent is None:
        return ()
    return tuple(_parameter(size, part.parent) for size in part.tree.shape)


def _parameter(size: ast.Expression, here: Instance) -> str:
    found = ""
    while isinstance(size, ast.Name):
        reference = refer(Scope(here, here), size.path)
        if reference is None or reference.parameter is None:
            break
        holder, parameter = reference.instance, reference.parameter
        if not parameter.is_let:
            found = f"{holder.path}.{parameter.name}".lstrip(".")
        binding = holder.bindings[parameter.name]
        size, here = binding.value, binding.scope
    return found
