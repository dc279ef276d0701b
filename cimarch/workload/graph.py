"""The graph of an exported model as its file states it: values, nodes, arguments.

Field names are those of torch's export schema, version 8 (`torch/_export/serde/schema.py`, BSD).
A symbolic batch is recognised by two strict patterns and becomes a batch of one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

import attrs

from cimarch.workload.fields import Field
from cimarch.workload.problems import problem

SCHEMA_MAJOR = 8
LARGEST_TENSOR = 1 << 40
"""Elements: beyond any activation or weight."""
MOST_DIMENSIONS = 16

DTYPES = {
    1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float16", 7: "float32",
    8: "float64", 12: "bool", 13: "bfloat16", 28: "uint16", 34: "uint32", 35: "uint64",
}  # fmt: skip
"""Numbers of the schema's ScalarType."""

_SYMBOL = r"(?:(s\d{1,9})|Symbol\('(s\d{1,9})'(?:, (?:positive|integer|nonnegative)=True){0,3}\))"
_BATCH = re.compile(_SYMBOL)
_MULTIPLE = re.compile(rf"(?:Mul\(Integer\((\d{{1,9}})\), {_SYMBOL}\)|(\d{{1,9}})\*(s\d{{1,9}}))")


@attrs.frozen
class Ref:
    """An argument that is a tensor: the name of its value."""

    name: str


SYMBOLIC = "<symbolic>"
"""An argument whose number is only known at run time."""

Argument = Ref | int | float | str | bool | None | tuple["Argument", ...]

Reader = Callable[[Field], Argument]


@attrs.frozen
class Value:
    """A tensor of the graph; a symbolic batch counts as one."""

    name: str
    sizes: tuple[int, ...]
    dtype: str
    batch: int | None = None
    """The dimension that is symbolic."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes of one inference: without the batch."""
        axis = self.batch if self.batch is not None else 0
        if self.sizes and self.sizes[axis] == 1:
            return self.sizes[:axis] + self.sizes[axis + 1 :]
        return self.sizes


@attrs.frozen
class Node:
    """One call of an operator."""

    target: str
    """`aten.conv2d.default`."""
    arguments: Mapping[str, Argument]
    outputs: tuple[str, ...]
    """Names of the tensors that it makes."""
    module: str
    """The path of the module that called it: `layer1.0.conv1`."""
    module_type: str
    name: str
    called: str = ""
    """What its file calls the operator, where that is not `target`."""

    @property
    def packet(self) -> str:
        """The operator without namespace, overload and in-place mark: `conv2d`."""
        namespace, _, rest = self.target.partition(".")
        name = rest.partition(".")[0]
        if namespace != "aten":
            return ""
        return name if name.startswith("__") else name.removesuffix("_")

    @property
    def in_place(self) -> bool:
        """Whether it changes its first argument."""
        return self.target.split(".")[1:2] == [f"{self.packet}_"]


@attrs.frozen
class Graph:
    """A model as exported: what flows in, what is stored, the calls in order, what comes out."""

    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    stored: Mapping[str, str]
    """Value name to the path of the parameter, buffer or constant that it is."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def read_graph(program: Field) -> Graph:
    """Read an exported program's JSON into a Graph."""
    _check_version(program)
    module = program["graph_module"]
    graph = module["graph"]
    values = {name: _value(name, meta) for name, meta in graph["tensor_values"].members()}
    stored, inputs = _inputs(module["signature"]["input_specs"])
    for name in inputs:
        _check_batch(values, name)
    return Graph(
        nodes=tuple(_node(node) for node in graph["nodes"].items()),
        values=values,
        stored=stored,
        inputs=inputs,
        outputs=_outputs(module["signature"]["output_specs"]),
    )


def read_sizes(sizes: Field) -> tuple[tuple[int, ...], int | None]:
    """Read a list of sizes; gives them with every symbol as 1, and which one is symbolic."""
    found, batch = [], None
    if len(sizes.items()) > MOST_DIMENSIONS:
        raise problem(
            "E130", f"`{sizes.where}` of `{sizes.file}` has more than {MOST_DIMENSIONS} dimensions"
        )
    for axis, size in enumerate(sizes.items()):
        number, symbolic = _size(size)
        if symbolic and batch is not None:
            raise problem(
                "E131",
                f"`{size.where}` of `{size.file}` is a second symbolic dimension",
                helps=["export with all dimensions fixed but the batch"],
            )
        found.append(number)
        batch = axis if symbolic else batch
    total = 1
    for number in found:
        total *= number
        if total > LARGEST_TENSOR:
            raise problem(
                "E130", f"`{sizes.where}` of `{sizes.file}` has more than {LARGEST_TENSOR} elements"
            )
    return tuple(found), batch


def _check_version(program: Field) -> None:
    major = program["schema_version"]["major"].integer()
    if major != SCHEMA_MAJOR:
        raise problem(
            "E115",
            f"the archive follows version {major} of the export schema, not {SCHEMA_MAJOR}",
            helps=["export the model with torch 2.6 to 2.13"],
        )


def _size(size: Field) -> tuple[int, bool]:
    """One size: its number (1 if it is the batch) and whether it is symbolic."""
    fixed = size.get("as_int")
    if fixed is not None:
        number = fixed.integer()
        if number < 0:
            raise problem("E130", f"`{size.where}` of `{size.file}` is {number}, below 0")
        return number, False
    text = size["as_expr"]["expr_str"].text()
    if _BATCH.fullmatch(text):
        return 1, True
    multiple = _MULTIPLE.fullmatch(text)
    if multiple and int(multiple[1] or multiple[4]) > 0:
        return int(multiple[1] or multiple[4]), False
    raise problem(
        "E131",
        f"`{size.where}` of `{size.file}` is `{text[:60]}`, neither a number nor the batch",
        helps=["export with all dimensions fixed but the batch"],
    )


def _value(name: str, meta: Field) -> Value:
    sizes, batch = read_sizes(meta["sizes"])
    return Value(name, sizes, dtype(meta["dtype"]), batch)


def dtype(number: Field) -> str:
    """The name of a ScalarType; one that is not read here is a diagnostic."""
    found = DTYPES.get(number.integer())
    if found is None:
        raise problem(
            "E121",
            f"`{number.where}` of `{number.file}` is element type {number.integer()}, "
            "which is not read here",
            notes=[f"read are {', '.join(DTYPES.values())}"],
            helps=["convert it first: `model.float()`"],
        )
    return found


def _inputs(specs: Field) -> tuple[dict[str, str], tuple[str, ...]]:
    """What is stored (value name to path), and the tensors that are handed in."""
    stored, flowing = {}, []
    keys = {
        "parameter": "parameter_name",
        "buffer": "buffer_name",
        "tensor_constant": "tensor_constant_name",
    }
    for spec in specs.items():
        for kind, key in keys.items():
            entry = spec.get(kind)
            if entry is not None:
                stored[entry["arg"]["name"].text()] = entry[key].text()
        entry = spec.get("user_input")
        tensor = entry["arg"].get("as_tensor") if entry is not None else None
        if tensor is not None:
            flowing.append(tensor["name"].text())
    return stored, tuple(flowing)


def _outputs(specs: Field) -> tuple[str, ...]:
    found = []
    for spec in specs.items():
        entry = spec.get("user_output")
        tensor = entry["arg"].get("as_tensor") if entry is not None else None
        if tensor is not None:
            found.append(tensor["name"].text())
    return tuple(found)


def _check_batch(values: Mapping[str, Value], name: str) -> None:
    """Inputs lead with the batch, which is 1 or symbolic."""
    if name not in values:
        raise problem("E114", f"input `{name}` has no shape in the archive")
    value = values[name]
    if value.sizes and value.batch not in (None, 0):
        raise problem(
            "E131",
            f"dimension {value.batch} of input `{name}` is symbolic: only the batch may be",
            helps=["export with all dimensions fixed but the first"],
        )
    if value.sizes and value.sizes[0] != 1:
        sizes = "x".join(map(str, value.sizes))
        one = "x".join(map(str, (1, *value.sizes[1:])))
        raise problem(
            "E131",
            f"input `{name}` is {sizes}: its first dimension, the batch, must be 1 or symbolic",
            helps=[f"export it with a batch of one: --input {one}"],
        )


def _node(node: Field) -> Node:
    target = node["target"].text().removeprefix("torch.ops.")
    outputs = tuple(name for out in node["outputs"].items() for name in _names(out))
    module, module_type = _module(node)
    return Node(
        target=target,
        arguments={a["name"].text(): _argument(a["arg"]) for a in node["inputs"].items()},
        outputs=outputs,
        module=module,
        module_type=module_type,
        name=outputs[0] if outputs else target,
    )


def _names(output: Field) -> list[str]:
    """The tensors of one output: one, a list, or none (a number)."""
    for kind, entry in output.members():
        if kind == "as_tensor":
            return [entry["name"].text()]
        if kind == "as_tensors":
            return [tensor["name"].text() for tensor in entry.items()]
    return []


def _argument(argument: Field) -> Argument:
    for kind, field in argument.members():
        reader = _ARGUMENTS.get(kind)
        if reader is not None and field.value is not None:
            return reader(field)
    return None


def _symbolic(field: Field) -> Argument:
    """A number that may be a symbol's name: (as_int 3) or (as_name sym_size)."""
    number = field.get("as_int")
    return SYMBOLIC if number is None else number.integer()


def _each(reader: Reader) -> Reader:
    return lambda field: tuple(reader(item) for item in field.items())


def _optional(field: Field) -> Argument:
    tensor = field.get("as_tensor")
    return None if tensor is None else Ref(tensor["name"].text())


_ARGUMENTS: dict[str, Reader] = {
    "as_tensor": lambda field: Ref(field["name"].text()),
    "as_tensors": _each(lambda field: Ref(field["name"].text())),
    "as_optional_tensor": _optional,
    "as_optional_tensors": _each(_optional),
    "as_int": Field.integer,
    "as_ints": _each(Field.integer),
    "as_float": Field.number,
    "as_floats": _each(Field.number),
    "as_string": Field.text,
    "as_strings": _each(Field.text),
    "as_bool": Field.flag,
    "as_bools": _each(Field.flag),
    "as_sym_int": _symbolic,
    "as_sym_ints": _each(_symbolic),
    "as_scalar_type": Field.integer,
}
"""How each kind of argument is read; kinds that no operator here looks at are left out."""


def _module(node: Field) -> tuple[str, str]:
    """The innermost module of the call: its path and its class; empty where it is not told.

    The stack is `key,path,class;key,path,class`, outermost first.
    """
    metadata = node.get("metadata")
    stack = metadata.get("nn_module_stack") if metadata is not None else None
    if stack is None:
        return "", ""
    entry = stack.text().rpartition(";")[2].split(",")
    if len(entry) != 3 or entry[0].startswith("from_metadata"):
        return "", ""
    path = re.sub(r"@\d+", "", entry[1])
    return (path, entry[2]) if re.fullmatch(r"[\w.\-]*", path) else ("", "")
