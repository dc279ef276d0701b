"""Archives that were made to harm: every one is refused, and nothing of it runs."""

import io
import json
import struct
import zipfile

import numpy as np
import pytest


def test_the_archive_made_by_hand_is_a_good_one(tiny, read):
    network = read(tiny.bytes())
    conv, relu = network.operations
    assert (conv.name, conv.kind, conv.rows, conv.columns, conv.windows) == (
        "conv",
        "conv2d",
        18,
        3,
        16,
    )
    assert (relu.name, relu.function) == ("act", "relu")
    assert np.array_equal(network.weights["conv.weight"].data.ravel(), np.arange(54))
    assert network.tensors["x"].shape == (2, 4, 4)


def test_deflated_members_are_read_too(tiny, read):
    assert len(read(tiny.bytes(zipfile.ZIP_DEFLATED)).operations) == 2


@pytest.mark.parametrize(
    "name", ["net/data/sample_inputs/model.pt", "net/extra/x.pkl", "net/data/constants/custom_0"]
)
def test_pickles_beside_the_model_are_never_opened(tiny, read, trap, name):
    tiny.extra[name] = trap.pickled
    assert len(read(tiny.bytes()).operations) == 2
    assert not trap.sprung()


def test_a_weight_stored_as_a_pickle_is_refused(tiny, refused, trap):
    tiny.entry["use_pickle"] = True
    tiny.weight = trap.pickled
    problem = refused(tiny.bytes())
    assert problem.code == "E116"
    assert "`conv.weight`" in problem.headline
    assert "pickle" in problem.headline
    assert not trap.sprung()


@pytest.mark.parametrize("layout", ["torch 2.8", "torch 2.6"])
def test_a_hostile_state_dict_in_an_older_layout_does_not_run(tiny, refused, trap, layout):
    pytest.importorskip("torch")
    if layout == "torch 2.8":
        tiny.extra["net/data/weights/model.pt"] = trap.pickled
        data = tiny.bytes()
    else:
        data = zipped(
            {
                "version": b"8.0",
                "serialized_exported_program.json": json.dumps(tiny.program).encode(),
                "serialized_state_dict.pt": trap.pickled,
                "serialized_constants.pt": b"",
            }
        )
    assert refused(data).code == "E116"
    assert not trap.sprung()


@pytest.mark.parametrize("name", ["/etc/x", "net/../../x", "net\\..\\x", "C:/x"])
def test_a_member_that_leaves_the_archive_is_refused(tiny, refused, name):
    tiny.extra[name] = b""
    assert refused(tiny.bytes()).code == "E110"


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(tiny, refused):
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in [*tiny.members().items(), ("net/byteorder", b"little")]:
                archive.writestr(name, data)
        problem = refused(buffer.getvalue())
    assert problem.headline.endswith("has `net/byteorder` more than once")


def test_an_encrypted_member_is_refused(tiny, refused):
    data = bytearray(tiny.bytes())
    at = data.rfind(b"PK\x01\x02")
    data[at + 8] |= 1
    problem = refused(bytes(data))
    assert problem.headline.startswith("member `net/byteorder` of")
    assert problem.headline.endswith("is encrypted")


def test_an_exotic_packing_is_refused(tiny, refused):
    assert "packed by zip method 12" in refused(tiny.bytes(zipfile.ZIP_BZIP2)).headline


def test_a_member_that_unpacks_to_far_more_than_the_file_is_refused(tiny, refused):
    tiny.extra["net/zeros"] = bytes(20_000_000)
    problem = refused(tiny.bytes(zipfile.ZIP_DEFLATED))
    assert problem.code == "E112"
    assert "above 100 for one" in problem.headline


def test_a_member_that_unpacks_to_more_than_it_states_is_refused(tiny, refused):
    data = bytearray(tiny.bytes(zipfile.ZIP_DEFLATED))
    at = data.find(b"PK\x01\x02")  # models/model.json in the directory
    (size,) = struct.unpack_from("<I", data, at + 24)
    struct.pack_into("<I", data, at + 24, size - 7)
    assert refused(bytes(data)).code == "E111"


def test_members_that_lie_in_the_same_bytes_are_refused(tiny, refused):
    """The zip bombs of Fifield (WOOT 2019) let thousands of entries share one block."""
    tiny.extra["net/block"] = bytes(range(256)) * 40
    tiny.extra["net/again"] = b""
    data = bytearray(tiny.bytes())
    first, second = data.find(b"PK\x01\x02"), 0
    entries = {}
    while first >= 0:
        length = struct.unpack_from("<H", data, first + 28)[0]
        entries[bytes(data[first + 46 : first + 46 + length])] = first
        first = data.find(b"PK\x01\x02", first + 4)
    first, second = entries[b"net/block"], entries[b"net/again"]
    data[second + 16 : second + 28] = data[first + 16 : first + 28]
    assert refused(bytes(data)).code == "E110"


def test_a_damaged_weight_is_found_by_its_checksum(tiny, refused):
    data = bytearray(tiny.bytes())
    at = data.find(tiny.weight)
    data[at] ^= 1
    problem = refused(bytes(data))
    assert problem.code == "E111"
    assert "checksum" in problem.notes[0]


def test_a_file_cut_anywhere_is_refused_as_damaged(tiny, refused):
    data = tiny.bytes()
    for length in range(4, len(data), max(len(data) // 60, 1)):
        assert refused(data[:length]).code == "E111"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"storage_offset": {"as_int": 1}}, "reaches to byte 220 of its 216 bytes"),
        ({"strides": [{"as_int": n} for n in (18, 9, 3, 2)]}, "reaches to byte 224"),
        ({"sizes": [{"as_int": n} for n in (4, 2, 3, 3)]}, "reaches to byte 288"),
        ({"strides": [{"as_int": n} for n in (18, 9, 3, -1)]}, "sizes, strides or an offset"),
        ({"strides": [{"as_int": 1}]}, "sizes, strides or an offset"),
        ({"strides": [{"as_int": n} for n in (0, 0, 0, 0)]}, "its elements overlap"),
        ({"storage_offset": {"as_int": -4}}, "sizes, strides or an offset"),
        ({"dtype": 10}, "element type 10, which is not read here"),
        ({"dtype": 99}, "element type 99, which is not read here"),
        ({"layout": 2}, "stored sparse"),
        ({"sizes": [{"as_int": 1}] * 40}, "more than 16 dimensions"),
    ],
)
def test_a_weight_stays_inside_its_storage(tiny, refused, change, says):
    tiny.entry["tensor_meta"] |= change
    assert says in refused(tiny.bytes()).headline


def test_a_weight_of_another_shape_than_the_graph_says_is_refused(tiny, refused):
    tiny.entry["tensor_meta"] |= {"sizes": [{"as_int": 2}], "strides": [{"as_int": 1}]}
    assert refused(tiny.bytes()).headline == (
        "`conv.weight` is (2,) as stored, (3, 2, 3, 3) in the graph"
    )


def test_a_weight_that_is_not_there_is_named(tiny, refused):
    tiny.entry["path_name"] = "weight_7"
    assert "has no member `data/weights/weight_7`" in refused(tiny.bytes()).headline


def test_an_operator_that_is_not_covered_is_named_with_its_module(tiny, refused, read):
    tiny.graph["nodes"][1]["target"] = "torch.ops.aten.fft_fft.default"
    problem = refused(tiny.bytes())
    assert problem.code == "E120"
    assert problem.headline == "`act` (aten.fft_fft.default) is an operator that is not covered"
    other = read(tiny.bytes(), allow_unmapped=True).operations[1]
    assert (other.kind, other.function) == ("other", "aten.fft_fft.default")


@pytest.mark.parametrize(
    "target",
    ["torch.ops.evil.relu.default", "torch.ops.higher_order.map", "os.system", "", "aten."],
)
def test_only_atens_own_operators_are_covered(tiny, refused, target):
    tiny.graph["nodes"][1]["target"] = target
    assert refused(tiny.bytes()).code == "E120"


SYMBOL = "Symbol('s77', positive=True, integer=True)"


def test_a_symbolic_batch_counts_as_one(tiny, read):
    for name in ("x", "c", "y"):
        batch = {"as_expr": {"expr_str": SYMBOL, "hint": {"as_int": 2}}}
        tiny.graph["tensor_values"][name]["sizes"][0] = batch
    assert read(tiny.bytes()).tensors["conv"].shape == (3, 4, 4)


@pytest.mark.parametrize(
    "text", ["__import__('os').mkdir('ran')", "s77 + 1", "Symbol('s77') * x", "s" * 100_000]
)
def test_any_other_expression_is_refused_unread(tiny, refused, text):
    tiny.graph["tensor_values"]["x"]["sizes"][0] = {"as_expr": {"expr_str": text}}
    problem = refused(tiny.bytes())
    assert problem.code == "E131"
    assert "neither a number nor the batch" in problem.headline


def test_a_symbolic_size_beside_the_batch_is_refused(tiny, refused):
    tiny.graph["tensor_values"]["x"]["sizes"][2] = {"as_expr": {"expr_str": "s3"}}
    assert "dimension 2 of input `x` is symbolic" in refused(tiny.bytes()).headline


def test_a_batch_of_eight_is_refused_with_the_input_to_type(tiny, refused):
    tiny.graph["tensor_values"]["x"]["sizes"][0] = {"as_int": 8}
    problem = refused(tiny.bytes())
    assert problem.headline.startswith("input `x` is 8x2x4x4: its first dimension")
    assert problem.helps == ("export it with a batch of one: --input 1x2x4x4",)


def test_shapes_that_contradict_the_geometry_are_refused(tiny, refused):
    tiny.graph["tensor_values"]["c"]["sizes"][3] = {"as_int": 5}
    assert refused(tiny.bytes()).headline == (
        "`conv` (aten.conv2d.default) gives (1, 3, 4, 4) by its arguments, "
        "but the file says (1, 3, 4, 5)"
    )


@pytest.mark.parametrize(
    ("argument", "value", "says"),
    [
        ("stride", [0, 0], "`stride` (0, 0), not two numbers of at least 1"),
        ("padding", [-1, 1], "`padding` (-1, 1), not two numbers of at least 0"),
        ("stride", [1, 1, 1], "`stride` (1, 1, 1), not two numbers"),
        ("stride", [10**30, 1], "but the file says"),
    ],
)
def test_nonsense_geometry_is_refused_with_its_value(tiny, refused, argument, value, says):
    inputs = tiny.graph["nodes"][0]["inputs"]
    next(i for i in inputs if i["name"] == argument)["arg"] = {"as_ints": value}
    assert says in refused(tiny.bytes()).headline


def test_a_tensor_that_nothing_makes_is_named(tiny, refused):
    tiny.graph["nodes"][1]["inputs"][0]["arg"] = {"as_tensor": {"name": "ghost"}}
    assert "reads `ghost`, which nothing makes" in refused(tiny.bytes()).headline


def test_json_that_is_too_deep_is_refused(tiny, refused):
    tiny.extra["net/models/model.json"] = b"[" * 100_000
    assert refused(tiny.bytes()).headline == "`models/model.json` is nested too deep to be a model"


def test_another_version_of_the_schema_is_refused(tiny, refused):
    tiny.program["schema_version"]["major"] = 9
    assert "version 9 of the export schema, not 8" in refused(tiny.bytes()).headline


def test_two_models_in_one_archive_are_refused(tiny, refused):
    tiny.extra["net/models/other.json"] = b"{}"
    assert "holds 2 models, not one" in refused(tiny.bytes()).headline


def zipped(members):
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        return buffer.getvalue()
