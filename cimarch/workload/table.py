"""Layer tables: a network as rows of matrix products, for when there is no model file.

A row is one layer. Columns (each has the spellings given):

- `name`: optional; `layer1`, `layer2`, ... where it is missing;
- `kind` or `type`: `conv2d`, `linear` (also `dense`) or `matmul`, in any case;
- `outputs`, `inputs`: columns and rows of the weight matrix;
- `invocations`: products per inference, 1 where the column is missing;
- `repeat`: how many such matrices there are, 1 where the column is missing.

The layers form a chain without maps between them: each waits for the whole of the one before.
"""

from __future__ import annotations

import csv
import difflib
import io
from collections.abc import Iterable, Mapping
from itertools import islice
from numbers import Integral

import attrs

from cimarch.diagnostics import MOST_FOUND, DescriptionError, Diagnostic
from cimarch.workload.fields import parse
from cimarch.workload.naming import Names
from cimarch.workload.network import Network, Operation, Tensor, Weight
from cimarch.workload.problems import problem

KINDS = {"conv2d": "conv2d", "linear": "linear", "dense": "linear", "matmul": "matmul"}
COLUMNS = ("name", "kind", "type", "outputs", "inputs", "invocations", "repeat")
AROUND = ("layers", "name", "source", "comment")
"""Members of a JSON table that is an object; only the layers are read."""
MOST_ROWS = 10_000
"""Of a table, and ten times as many lines: a network of a thousand layers is a deep one."""
LONGEST_LINE = 10_000
LONGEST_NAME = 1_000
LARGEST = 1 << 40
"""Of any number in a table."""
EXAMPLE = "name,kind,outputs,inputs,invocations,repeat"


@attrs.frozen
class Layer:
    """One row of a table."""

    name: str
    kind: str
    outputs: int
    inputs: int
    invocations: int
    repeat: int


def from_table(
    rows: Iterable[Mapping[str, object]],
    *,
    name: str = "table",
    source: str = "a table",
    digest: str = "",
) -> Network:
    """Make a Network of rows (dicts by column name); all wrong rows are told in one go."""
    rows = list(islice(rows, MOST_ROWS + 1)) if isinstance(rows, Iterable) else [rows]
    if len(rows) > MOST_ROWS:
        raise problem("E112", f"{source} has more than {MOST_ROWS} rows")
    for number, row in enumerate(rows, start=1):
        _check_columns(number, row)
    layers: list[Layer] = []
    taken: set[str] = set()
    wrong: list[Diagnostic] = []
    for number, row in enumerate(rows, start=1):
        try:
            layers.append(_layer(number, row, taken))
            taken.add(layers[-1].name)
        except DescriptionError as error:
            wrong.extend(error.diagnostics)
        if len(wrong) >= MOST_FOUND:
            break
    if wrong:
        raise DescriptionError(*wrong)
    if not layers:
        raise problem("E140", f"{source} has no rows", helps=[f"columns: {EXAMPLE}"])
    return _chain(layers, name, source, digest)


def read_csv(text: str, source: str) -> list[dict[str, object]]:
    """The rows of a CSV text with a line of column names; empty cells are left out."""
    written = text.splitlines()
    if len(written) > 10 * MOST_ROWS or max(map(len, written), default=0) > LONGEST_LINE:
        limits = f"more than {10 * MOST_ROWS} lines, or one of more than {LONGEST_LINE} characters"
        raise problem("E112", f"`{source}` has {limits}")
    try:
        lines = [
            line for line in csv.reader(io.StringIO(text)) if any(cell.strip() for cell in line)
        ]
    except csv.Error as error:
        raise problem("E140", f"`{source}` is not a CSV table", notes=[str(error)]) from None
    header, *body = [[cell.strip() for cell in line] for line in lines]
    for number, line in enumerate(body, start=1):
        if len(line) > len(header):
            raise problem(
                "E141",
                f"row {number} of `{source}` has {len(line)} cells under {len(header)} columns",
                helps=[f"columns: {','.join(header)}"],
            )
    twice = [column for column in header if header.count(column) > 1]
    if twice:
        raise problem("E141", f"`{source}` has column `{twice[0]}` more than once")
    return [{c: v for c, v in zip(header, line, strict=False) if v} for line in body]


def read_json(data: bytes, source: str) -> list[Mapping[str, object]]:
    """The rows of a JSON text: a list of objects, or an object with such a list as `layers`."""
    table = parse(data, source, once=True, help=f"columns: {EXAMPLE}")
    strange = [] if isinstance(table.value, list) else sorted(set(table.object()) - set(AROUND))
    if strange:
        raise problem(
            "E141",
            f"`{source}` has `{strange[0]}` beside its layers, which a layer table does not have",
            notes=[f"it is a list of layers, or an object with {', '.join(AROUND)}"],
        )
    rows = table if isinstance(table.value, list) else table["layers"]
    return [row.object() for row in rows.items()]


def _layer(number: int, row: Mapping[str, object], taken: set[str]) -> Layer:
    name = row.get("name")
    title = f"layer{number}" if name in (None, "") else name
    if not isinstance(title, str):
        raise _wrong(number, "name", title, "a text")
    if len(title) > LONGEST_NAME:
        raise _wrong(number, "name", title, f"a text of at most {LONGEST_NAME} characters")
    if title in taken:
        raise problem("E142", f"row {number}: a layer before it is called `{title}` too")
    return Layer(
        name=title,
        kind=_kind(number, row),
        outputs=_number(number, row, "outputs", None),
        inputs=_number(number, row, "inputs", None),
        invocations=_number(number, row, "invocations", 1),
        repeat=_number(number, row, "repeat", 1),
    )


def _check_columns(number: int, row: Mapping[str, object]) -> None:
    if not isinstance(row, Mapping):
        told = f"row {number} is a `{type(row).__name__}`, not values by column"
        raise problem("E141", told, helps=[f"columns: {EXAMPLE}"])
    for column in row:
        if column not in COLUMNS:
            near = difflib.get_close_matches(str(column).lower(), COLUMNS, n=1)
            raise problem(
                "E141",
                f"row {number} has a column `{column}`, which a layer table does not have",
                notes=[f"its columns are {EXAMPLE.replace(',', ', ')}"],
                helps=[f"did you mean `{near[0]}`?"] if near else [],
            )
    if "kind" in row and "type" in row:
        raise problem("E141", f"row {number} has both `kind` and `type`, which say the same")


def _kind(number: int, row: Mapping[str, object]) -> str:
    column = "type" if "type" in row else "kind"
    given = row.get(column)
    kind = KINDS.get(given.strip().lower()) if isinstance(given, str) else None
    if kind is None:
        raise _wrong(number, column, given, f"one of {', '.join(KINDS)}")
    return kind


def _number(number: int, row: Mapping[str, object], column: str, default: int | None) -> int:
    given = row.get(column)
    if given is None or given != given:  # a data frame's empty cell is not a number
        given = default
    value = _whole(given)
    if value is None or not 1 <= value <= LARGEST:
        raise _wrong(number, column, given, f"a whole number from 1 to {LARGEST}")
    return value


def _whole(given: object) -> int | None:
    """A whole number, also as a text, a float or numpy's; None for anything else."""
    if isinstance(given, bool):
        return None
    if isinstance(given, str):
        text = given.strip()
        return int(text) if text.isascii() and text.isdigit() and len(text) < 20 else None
    if isinstance(given, float):
        return int(given) if given.is_integer() else None
    return int(given) if isinstance(given, Integral) else None


def _wrong(number: int, column: str, given: object, expected: str) -> DescriptionError:
    if given is None:
        return problem("E142", f"row {number}: `{column}` is missing; it is {expected}")
    shown = str(given) if len(str(given)) <= 40 else str(given)[:37] + "..."
    return problem("E142", f"row {number}: `{column}` is `{shown}`, not {expected}")


def _chain(layers: list[Layer], name: str, source: str, digest: str) -> Network:
    handed_in = Names(layer.name for layer in layers).fresh("input")
    features = layers[0].inputs * layers[0].repeat
    tensors = {handed_in: Tensor(handed_in, (layers[0].invocations, features))}
    weights, operations, before = {}, [], handed_in
    for layer in layers:
        path, features = f"{layer.name}.weight", layer.outputs * layer.repeat
        weights[path] = Weight(path, (features, layer.inputs), "float32")
        tensors[layer.name] = Tensor(layer.name, (layer.invocations, features))
        operations.append(_operation(layer, before, path))
        before = layer.name
    return Network(
        name=name,
        operations=tuple(operations),
        tensors=tensors,
        weights=weights,
        inputs=(handed_in,),
        outputs=(before,),
        source=source,
        digest=digest,
        has_geometry=False,
    )


def _operation(layer: Layer, before: str, path: str) -> Operation:
    return Operation(
        name=layer.name,
        kind=layer.kind,
        inputs=(before,),
        outputs=(layer.name,),
        weight=path,
        rows=layer.inputs,
        columns=layer.outputs,
        groups=layer.repeat,
        windows=layer.invocations,
        window_rows=layer.invocations,
    )
