"""Networks and tables at the edge of what is one, and what is told of them."""

from __future__ import annotations

from pathlib import Path

import pytest

import cimarch
from cimarch.cli import main
from cimarch.diagnostics import DescriptionError
from cimarch.report.format import number
from cimarch.report.terminal import render

CHIP = "from std import crossbar\nsystem Chip { clock = 1 GHz, part array[4]: crossbar }"


@pytest.mark.parametrize("rows", [None, 3, [3], [("a", "linear", 3, 3)]])
def test_rows_that_hold_no_columns_are_told(rows: object) -> None:
    with pytest.raises(DescriptionError) as caught:
        cimarch.Network.from_table(rows)  # type: ignore[arg-type]
    assert caught.value.diagnostics[0].headline.endswith("not values by column")


def test_a_model_of_one_layer_is_called_by_what_it_does() -> None:
    torch = pytest.importorskip("torch")
    network = cimarch.trace(torch.nn.Linear(3, 4), torch.zeros(1, 3))
    assert [operation.name for operation in network.operations] == ["linear"]
    report = cimarch.simulate(cimarch.loads(CHIP), network, precision={"linear": [4, 4]})
    assert report.layers["weight_bits"].tolist() == [4]


def test_only_torch_modules_are_traced() -> None:
    pytest.importorskip("torch")
    with pytest.raises(DescriptionError) as caught:
        cimarch.trace(3, ())
    (problem,) = caught.value.diagnostics
    assert problem.headline == "what is to be traced is a `int`, not a torch module"


def test_a_figure_is_not_hidden_behind_zeros() -> None:
    shown = [number(x) for x in (9.11e-10, 0.0001, 0.0, 41.29, 2e-39, None)]
    assert shown == ["9.110e-10", "0.0001000", "0", "41.29", "2.000e-39", "not known"]


@pytest.mark.parametrize("flag", ["--csv", "--output"])
def test_an_empty_name_of_an_output_does_not_mean_the_current_folder(
    flag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.csv").write_text("name,kind,outputs,inputs\na,linear,10,20\n")
    assert main(["sim", "isaac", "net.csv", flag, ""]) == 2
    assert f"{flag} is given without a name" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["net.csv"]


def test_the_flags_take_the_bits_that_a_precision_file_takes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = tmp_path / "net.csv"
    table.write_text("name,kind,outputs,inputs\na,linear,2,20\n")
    assert main(["sim", "isaac", str(table), "--weight-bits", "64"]) == 0
    assert "64-bit weights" in capsys.readouterr().out
    assert main(["sim", "isaac", str(table), "--weight-bits", "65"]) == 2


def test_a_name_cannot_write_on_the_terminal_or_break_a_row() -> None:
    rows = [{"name": "a\x1b[2Jb\nc", "kind": "linear", "outputs": 2, "inputs": 2}]
    network = cimarch.Network.from_table(rows, name="net\r\x07")
    text = render(cimarch.simulate(cimarch.loads(CHIP), network), width=100)
    assert not {"\x1b", "\x07", "\r"} & set(text)
    assert "  a\ufffd[2Jb\ufffdc  " in text


def test_a_narrow_terminal_loses_no_unit() -> None:
    network = cimarch.Network.from_table([{"kind": "linear", "outputs": 2, "inputs": 2}])
    report = cimarch.simulate(cimarch.load("isaac"), network)
    text = render(report, width=30)
    assert "layer1" in text
    assert "nJ\n" in text or "pJ\n" in text
    assert "throughput" in text
