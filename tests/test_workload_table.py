"""Layer tables: rows of matrix products, from Python, CSV and JSON."""

import json

import pytest

from cimarch import DescriptionError, Network, read_network

ROW = {"name": "first", "kind": "conv2d", "outputs": 64, "inputs": 27, "invocations": 50176}


def wrong(rows):
    with pytest.raises(DescriptionError) as caught:
        Network.from_table(rows)
    return [diagnostic.headline for diagnostic in caught.value.diagnostics]


def test_a_row_is_a_matrix_and_its_products():
    network = Network.from_table([ROW])
    (layer,) = network.operations
    assert (layer.name, layer.kind, layer.rows, layer.columns) == ("first", "conv2d", 27, 64)
    assert (layer.groups, layer.windows, layer.window_rows) == (1, 50176, 50176)
    assert layer.macs == 27 * 64 * 50176
    assert not network.has_geometry


def test_rows_are_a_chain():
    network = Network.from_table([ROW, {"kind": "linear", "outputs": 10, "inputs": 64}])
    first, second = network.operations
    assert first.inputs == network.inputs == ("input",)
    assert second.inputs == first.outputs
    assert network.outputs == second.outputs == ("layer2",)
    assert network.weights["layer2.weight"].shape == (10, 64)


def test_repeat_is_a_number_of_matrices_of_that_size():
    (layer,) = Network.from_table([ROW | {"repeat": 12}]).operations
    assert layer.groups == 12
    assert layer.macs == 12 * 27 * 64 * 50176


@pytest.mark.parametrize(
    ("given", "kind"),
    [
        ("Conv2D", "conv2d"),
        ("conv2d", "conv2d"),
        ("Dense", "linear"),
        ("LINEAR", "linear"),
        ("MatMul", "matmul"),
    ],
)
@pytest.mark.parametrize("column", ["kind", "type"])
def test_a_kind_has_several_spellings(column, given, kind):
    rows = [{column: given, "outputs": 1, "inputs": 1}]
    assert Network.from_table(rows).operations[0].kind == kind


def test_a_layer_called_input_does_not_hide_the_input():
    network = Network.from_table([ROW | {"name": "input"}])
    assert network.inputs == ("input_1",)


def test_numbers_may_come_as_text_as_floats_and_from_numpy():
    import numpy as np

    row = {"kind": "linear", "outputs": np.int64(7), "inputs": "5", "invocations": 3.0}
    (layer,) = Network.from_table([row]).operations
    assert (layer.columns, layer.rows, layer.windows) == (7, 5, 3)


def test_an_empty_cell_of_a_data_frame_is_a_missing_one():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(
        {"kind": ["linear"] * 2, "outputs": [1, 2], "inputs": [3, 4], "repeat": [5, None]}
    )
    layers = Network.from_table(frame.to_dict("records")).operations
    assert [layer.groups for layer in layers] == [5, 1]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outputs": 0}, "row 1: `outputs` is `0`, not a whole number from 1 to 1099511627776"),
        ({"inputs": -4}, "row 1: `inputs` is `-4`, not a whole number from 1 to 1099511627776"),
        ({"inputs": 2.5}, "row 1: `inputs` is `2.5`, not a whole number from 1 to 1099511627776"),
        ({"inputs": 1 << 41}, "row 1: `inputs` is `2199023255552`, not a whole number from 1 to "
                              "1099511627776"),
        ({"repeat": True}, "row 1: `repeat` is `True`, not a whole number from 1 to 1099511627776"),
        ({"outputs": "many"}, "row 1: `outputs` is `many`, not a whole number from 1 to "
                              "1099511627776"),
        ({"outputs": None}, "row 1: `outputs` is missing; it is a whole number from 1 to "
                            "1099511627776"),
        ({"kind": "lstm"}, "row 1: `kind` is `lstm`, not one of conv2d, linear, dense, matmul"),
        ({"kind": None}, "row 1: `kind` is missing; it is one of conv2d, linear, dense, matmul"),
        ({"name": 7}, "row 1: `name` is `7`, not a text"),
        ({"stride": 2}, "row 1 has a column `stride`, which a layer table does not have"),
        ({"type": "conv2d"}, "row 1 has both `kind` and `type`, which say the same"),
    ],
)  # fmt: skip
def test_a_wrong_cell_is_told_with_row_column_value_and_limit(change, says):
    assert wrong([ROW | change]) == [says]


def test_all_wrong_rows_are_told_in_one_go():
    assert len(wrong([ROW | {"outputs": 0}, ROW, ROW | {"inputs": 0, "name": "x"}])) == 2


def test_two_layers_of_one_name_are_refused():
    assert wrong([ROW, ROW]) == ["row 2: a layer before it is called `first` too"]


def test_a_table_without_rows_is_refused():
    assert wrong([]) == ["a table has no rows"]


def test_a_misspelt_column_is_guessed():
    with pytest.raises(DescriptionError) as caught:
        Network.from_table([{"kind": "linear", "output": 3, "inputs": 3}])
    assert caught.value.diagnostics[0].helps == ("did you mean `outputs`?",)


def test_csv_and_json_say_the_same(tmp_path):
    (tmp_path / "a.csv").write_text("name,kind,outputs,inputs\nfc,linear,10,64\n,dense,5,10\n\n")
    rows = [
        {"name": "fc", "kind": "linear", "outputs": 10, "inputs": 64},
        {"type": "Dense", "outputs": 5, "inputs": 10},
    ]
    (tmp_path / "b.json").write_text(json.dumps(rows))
    (tmp_path / "c").write_text(json.dumps({"name": "two layers", "layers": rows}))
    first = read_network(tmp_path / "a.csv")
    assert [layer.name for layer in first.operations] == ["fc", "layer2"]
    for other in ("b.json", "c"):
        assert read_network(tmp_path / other).operations == first.operations


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("outputs,inputs\n1,2,3\n", "row 1 of `{}` has 3 cells under 2 columns"),
        ("kind,outputs,inputs,outputs\n", "`{}` has column `outputs` more than once"),
        ("kind,outputs,inputs\n", "`{}` has no rows"),
        ('{"layer": []}', "`{}` has `layer` beside its layers, which a layer table does not have"),
        ('{"name": "x"}', "`layers` of `{}` is missing"),
        ('[{"kind": 1}', "`{}` is not JSON"),
        ('{"layers": 7}', "`layers` of `{}` is a whole number, not a list"),
        ("[[1, 2]]", "`[0]` of `{}` is a list, not an object"),
    ],
)
def test_a_wrong_file_is_told_by_its_name(tmp_path, content, says):
    path = tmp_path / "table"
    path.write_text(content)
    with pytest.raises(DescriptionError) as caught:
        read_network(path)
    assert caught.value.diagnostics[0].headline == says.format(path)
