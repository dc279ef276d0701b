"""A report: every figure follows its definition, and unknown stays unknown."""

from __future__ import annotations

import csv
import json
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from cimarch.report.columns import from_rows
from cimarch.report.csv import texts
from cimarch.report.definitions import FIGURES, LAYERS, LEDGER, PARTS, TABLES
from cimarch.report.html import fragment
from cimarch.report.report import Bound
from cimarch.report.terminal import render
from reports import CONV, small

DOCS = Path(__file__).resolve().parent.parent / "docs"


def test_a_thousand_cycles_at_one_gigahertz_are_a_microsecond() -> None:
    assert small().seconds == 1e-6
    assert small(clock=Fraction(1_200_000_000), cycles=120).seconds == 1e-7


def test_a_multiply_accumulate_is_two_operations() -> None:
    # 2 x 442,368 operations: in 2 uJ, and in 1 us on 2 mm^2
    assert small().tops_per_watt == pytest.approx(2 * 442_368 / 2e-6 / 1e12, rel=1e-12)
    assert small().gops_per_mm2 == pytest.approx(2 * 442_368 / 1e-6 / 2 / 1e9, rel=1e-12)


def test_a_batch_shares_the_energy_and_counts_all_its_operations() -> None:
    four = small(batch=4)
    assert four.joules == 2e-6
    assert four.joules_per_inference == 5e-7
    assert four.throughput == 4e6
    assert four.tops_per_watt == pytest.approx(4 * small().tops_per_watt, rel=1e-12)


def test_one_action_without_a_cost_makes_the_energy_unknown() -> None:
    report = small(adc_joules=None)
    assert report.joules is None
    assert report.tops_per_watt is None
    assert report.unpriced == ("tile.ima.adc.convert",)
    assert report.to_dict()["joules"] is None


def test_an_action_that_never_happened_needs_no_cost() -> None:
    assert small().unpriced == ()
    assert small().joules == 2e-6


def test_no_ledger_means_no_energy_not_zero() -> None:
    assert small(ledger=from_rows(LEDGER, [])).joules is None


def test_no_area_means_no_density() -> None:
    assert small(area=0).gops_per_mm2 is None


def test_a_run_without_a_cycle_divides_by_nothing() -> None:
    empty = small(cycles=0, latency=0, bound=None)
    assert (empty.throughput, empty.gops_per_mm2) == (None, None)
    assert "bound by" not in render(empty).partition("Per operation")[0]


def test_columns_are_numpy_arrays_that_a_script_can_mask() -> None:
    layers = small().layers
    assert layers["cycles"][layers["kind"] == "conv2d"].sum() == 900
    assert layers["cycles"].dtype == np.int64
    assert np.isnan(layers["utilisation"][1])


def test_a_row_must_fill_its_table() -> None:
    with pytest.raises(ValueError, match="a row lacks `windows`"):
        from_rows(LAYERS, [{"name": "a", "kind": "conv2d"}])
    with pytest.raises(ValueError, match="a row has no column named cycels"):
        from_rows(LAYERS, [{**CONV, "cycels": 3}])


def test_columns_must_be_those_of_the_table() -> None:
    with pytest.raises(ValueError, match="differ from the table's in: bound_by"):
        small(layers={c.name: [] for c in LAYERS if c.name != "bound_by"})
    with pytest.raises(ValueError, match="not of one length"):
        small(parts={c.name: [1] if c.name == "count" else [] for c in PARTS})


def test_the_same_report_is_the_same_json() -> None:
    first, second = (json.dumps(small().to_dict(), allow_nan=False) for _ in range(2))
    assert first == second
    assert json.loads(first)["layers"][0]["conversions"] == 524_288


def test_numpy_numbers_become_plain_json() -> None:
    report = small(cycles=np.int64(1000), utilisation=np.float64(0.5))
    assert '"cycles": 1000' in json.dumps(report.to_dict())


def test_json_names_every_figure_and_column() -> None:
    found = small().to_dict()
    assert {figure.key for figure in FIGURES} <= set(found)
    for table, columns in TABLES.items():
        assert list(found[table][0]) == [column.name for column in columns]


def test_csv_has_units_in_its_names_and_nothing_for_unknown() -> None:
    files = texts(small())
    (adc, pool) = csv.DictReader(files["parts.csv"].splitlines())
    assert adc["power_mW"] == "192.0"
    assert pool["area_mm2"] == ""
    assert set(files) == {"summary.csv", *(f"{table}.csv" for table in TABLES)}


def test_pandas_gets_the_layers_unless_asked_otherwise() -> None:
    pytest.importorskip("pandas")
    assert list(small().to_pandas()["cycles"]) == [900, 100]
    assert list(small().to_pandas("ledger")["action"]) == ["convert", "compute"]
    with pytest.raises(ValueError, match="no table `rows`"):
        small().to_pandas("rows")


def test_without_pandas_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(ImportError, match=r"pip install 'cimarch\[data\]'"):
        small().to_pandas()


def test_a_pipe_gets_every_column_and_no_colour() -> None:
    text = render(small())
    assert "524,288" in text
    assert "\x1b" not in text
    assert "no room" not in text


def test_a_narrow_terminal_leaves_columns_out_and_says_so() -> None:
    text = render(small(), width=70)
    assert max(map(len, text.splitlines())) <= 70
    assert "no room for" in text
    assert "900" in text


@pytest.mark.parametrize("width", [1, 10, 40, 80, 200])
def test_any_width_renders(width: int) -> None:
    assert "Chip" in render(small(), width=width, colour=True).replace("\n", "")


def test_the_summary_names_the_bottleneck_and_the_operation_that_it_delays_most() -> None:
    text = " ".join(render(small()).split())
    assert "bound by tile.ima.adc[3] busy 890 cycles, 89.0 % of the time" in text
    assert "delays most conv1 waits there for 77 cycles" in text
    assert "peak arrays 1 of these are held at one time" in text
    alone = small(bound=Bound("tile.ima.adc", (3, 4), 890, 0.89))
    assert "delays most" not in render(alone)


def test_brackets_in_names_are_not_markup() -> None:
    layers = from_rows(LAYERS, [{**CONV, "name": "block[red]"}])
    assert "block[red]" in render(small(layers=layers))


def test_the_text_tells_which_cost_is_missing() -> None:
    text = render(small(adc_joules=None))
    assert "no cost for 1 action: tile.ima.adc.convert" in text
    assert "TOPS/W" not in text


def test_html_escapes_what_a_file_named() -> None:
    layers = from_rows(LAYERS, [{**CONV, "name": "<script>"}])
    html = fragment(small(layers=layers))
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert small()._repr_html_().startswith("<div>")


def documented() -> str:
    """The part of docs/report.md that the definitions make."""
    sections = ["## Figures\n"]
    sections += [f"- `{figure.key}`: {figure.definition}" for figure in FIGURES]
    for table, columns in TABLES.items():
        sections.append(f"\n## Columns of `{table}`\n")
        sections += [f"- `{c.name}` ({c.type}): {c.definition}" for c in columns]
    return "\n".join(sections) + "\n"


def test_the_docs_give_every_definition() -> None:
    assert (DOCS / "report.md").read_text().endswith(documented())
