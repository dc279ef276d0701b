"""What an ONNX file says, as plain values: operations, sizes, what is handed in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import numpy as np

from cimarch.workload.graph import Value
from cimarch.workload.onnx_file import DTYPES, Tensors, text
from cimarch.workload.problems import problem

FLOAT, INT, STRING, TENSOR, FLOATS, INTS = 1, 2, 3, 4, 6, 7
"""Numbers of AttributeProto.AttributeType that operators here have."""


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


def opset(model: Any, source: str) -> int:
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


def operator(node: Any, tensors: Tensors) -> Operator:
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


def stated_sizes(value: Any) -> tuple[int | None, ...] | None:
    """The sizes that a file states for a value, None for what it leaves open."""
    if not value.type.HasField("tensor_type") or not value.type.tensor_type.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value > 0 else None
        for d in value.type.tensor_type.shape.dim
    )


def input_value(value: Any) -> Value:
    """What is handed in; its first dimension is the batch, which is 1 or left open."""
    sizes = stated_sizes(value)
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
