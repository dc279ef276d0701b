"""A torch module to a Network: exported, saved in memory, and read as any other archive is.

There is one way from torch to a Network, so what is traced in Python and what is exported to a file
give the same.
"""

from __future__ import annotations

import hashlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from cimarch.diagnostics import DescriptionError
from cimarch.workload.network import Network
from cimarch.workload.problems import problem
from cimarch.workload.pt2 import read_pt2
from cimarch.workload.zoo import need_torch


def trace(
    module: Any,
    example_inputs: Any,
    *,
    name: str | None = None,
    allow_unmapped: bool = False,
) -> Network:
    """Make the Network of a torch module, called with `example_inputs` (a tensor or a tuple).

    The module is taken as it is at inference (`eval()`), whatever mode it is in; its mode is put
    back. The first dimension of the inputs is the batch and must be 1. Raises DescriptionError
    where torch cannot export the module or an operator is not covered.
    """
    title = name or type(module).__name__.lower()
    data = export(module, example_inputs)
    return read_pt2(
        memoryview(data),
        name=title,
        source=f"{title} (traced)",
        digest=hashlib.sha256(data).hexdigest(),
        allow_unmapped=allow_unmapped,
    )


def export(module: Any, example_inputs: Any) -> bytes:
    """The bytes of a torch.export archive of the module, at inference.

    Stack traces are left out: a model that is handed on should not tell where it was made.
    """
    torch = need_torch("tracing a module")
    if not isinstance(module, torch.nn.Module):
        kind = type(module).__name__
        raise problem("E151", f"what is to be traced is a `{kind}`, not a torch module")
    inputs = tuple(example_inputs) if isinstance(example_inputs, Sequence) else (example_inputs,)
    with _at_inference(module), _quiet(), torch.no_grad(), io.BytesIO() as buffer:
        try:
            program = torch.export.export(module, inputs)
            for node in program.graph.nodes:
                node.meta.pop("stack_trace", None)
            torch.export.save(program, buffer)
        except Exception as error:
            raise _failed(module, inputs, error) from error
        return buffer.getvalue()


def _failed(module: Any, inputs: tuple[Any, ...], error: Exception) -> DescriptionError:
    shapes = ", ".join("x".join(map(str, getattr(x, "shape", ("?",)))) for x in inputs)
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return problem(
        "E152",
        f"torch cannot export `{type(module).__name__}` with inputs of {shapes}",
        notes=[f"{type(error).__name__}: {line[:200]}" for line in lines[:1]],
        helps=["check that `module(example_inputs)` runs, and that `--input` has its shape"],
    )


@contextmanager
def _at_inference(module: Any) -> Iterator[None]:
    """Every submodule in eval mode inside, in its own mode again after."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch logs what it also raises, with tracebacks; what is raised is told to the user."""
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
