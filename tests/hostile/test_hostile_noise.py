"""Any bytes at all end in a network or in diagnostics."""

import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cimarch import DescriptionError, read_network

SETTINGS = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 70),
    st.sampled_from([-(10**25), 10**25, 1 << 40, 1 << 62]),
    st.floats(),
    st.sampled_from(
        ["", "x", "w", "c", "y", "s1", "aten", "torch.ops.aten.add_.Tensor", "..", "é"]
    ),
    st.sampled_from([[], {}, [[]], [1, 1], {"as_int": 2}, {"as_tensor": {"name": "x"}}]),
)
TARGETS = st.sampled_from(
    [f"torch.ops.aten.{name}.default" for name in
     ("add_", "linear", "mm", "matmul", "view", "permute", "transpose", "t", "slice", "select",
      "split", "unbind", "pad", "cat", "stack", "mean", "softmax", "batch_norm", "layer_norm",
      "max_pool2d", "adaptive_avg_pool2d", "embedding", "expand", "narrow", "clamp", "to",
      "scaled_dot_product_attention", "addmm", "dropout", "relu_", "arange", "nothing")]
)  # fmt: skip


def survives(path, **options):
    """Whether the file is a network; anything but a diagnostic fails the test."""
    try:
        return bool(read_network(path, **options).operations)
    except DescriptionError as error:
        told = error
    assert all(d.headline and d.code.startswith("E1") for d in told.diagnostics)
    assert told.render()
    return False


@SETTINGS
@given(st.data())
def test_an_archive_with_some_bytes_changed(make_tiny, tmp_path, data):
    content = bytearray(make_tiny().bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        content[at] = data.draw(st.integers(0, 255))
    path = tmp_path / "model.pt"
    path.write_bytes(content)
    survives(path)


@SETTINGS
@given(st.data())
def test_an_archive_whose_json_is_changed_and_its_checksums_right(make_tiny, tmp_path, data):
    tiny = make_tiny()
    roots = [tiny.program, tiny.graph["nodes"], tiny.entry]
    for _ in range(data.draw(st.integers(1, 3))):
        root = data.draw(st.sampled_from(roots))
        places = list(leaves(root))
        if not places:
            continue
        holder, key = data.draw(st.sampled_from(places))
        if key == "target" and data.draw(st.booleans()):
            holder[key] = data.draw(TARGETS)
        elif isinstance(holder, dict) and data.draw(st.integers(0, 5)) == 0:
            del holder[key]
        else:
            holder[key] = copy.deepcopy(data.draw(SCALARS))
    path = tmp_path / "model.pt"
    path.write_bytes(tiny.bytes())
    survives(path, allow_unmapped=data.draw(st.booleans()))


def leaves(value):
    """Every place in a JSON value: (holder, key)."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inner in list(items):
        yield value, key
        if isinstance(inner, (dict, list)):
            yield from leaves(inner)


HEADS = st.sampled_from(
    [b"", b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"{", b"[", b"\x08\x07\x12",
     b"name,kind,outputs,inputs\n", b"\x10\0\0\0\0\0\0\0{"]
)  # fmt: skip
COLUMNS = st.sampled_from(["name", "kind", "type", "outputs", "inputs", "layers", "repeat"])
TABLES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(COLUMNS, inner), max_leaves=12
)


@SETTINGS
@given(
    st.builds(bytes.__add__, HEADS, st.binary(max_size=200))
    | TABLES.map(lambda value: json.dumps(value).encode())
)
def test_any_bytes(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    survives(path)


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04", b"\x80\x02.", b"[]", b"{}", b"outputs", b"\xff"]
)
def test_short_files(tmp_path, content):
    path = tmp_path / "model"
    path.write_bytes(content)
    assert not survives(path)
