"""Power over time, and what operations hold and wait for: as numbers and as pictures."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

import cimarch
from chips import chip, table
from cimarch import simulate
from cimarch.diagnostics import DescriptionError
from cimarch.hardware.system import System
from cimarch.report import pictures
from cimarch.report.report import Report
from cimarch.workload.network import Network


def priced(more: str = "") -> System:
    """A read of 10 ns and 30 pJ, then 4 conversions of 1 ns and 2 pJ on one converter."""
    return chip(f"""
        part array[2]: crossbar {{
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read {{ latency = 10 ns, energy = 30 pJ }}
        }}
        part hold[2, 4]: sample_hold {{ action hold {{ energy = 0 J }} }}
        part adc[2]: adc {{ rate = 1 GHz, action convert {{ energy = 2 pJ }} }}
        {more}
        connect array[*] -> hold[*, *] -> adc[*]
    """)


def run(system: System, network: Network | None = None, **options: object) -> Report:
    given = {"power": True, "schedule": "layers", **options}
    return simulate(system, network or table((4, 4, 1)), **given)  # type: ignore[arg-type]


def test_energy_is_spread_over_the_cycles_that_a_task_takes() -> None:
    # 30 pJ over 10 ns of reading are 3 mW, 8 pJ over 4 ns of converting are 2 mW
    found = run(priced()).drawn
    assert found is not None
    assert found.width == 1e-9
    assert found.kinds == ("crossbar", "adc")
    assert found.watts[:, 0] == pytest.approx([3e-3] * 10 + [0] * 4)
    assert found.watts[:, 1] == pytest.approx([0] * 10 + [2e-3] * 4)


def test_the_conversions_of_merged_bursts_are_spread_over_all_of_them() -> None:
    # 4 input steps: reads of 10 ns and a last burst of 4 ns, which stands for 4 bursts of 8 pJ;
    # the first of these begins at 10 ns
    system = chip("""
        part dac[4]: dac { bits = 2, action convert { energy = 0 J } }
        part array: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 10 ns, energy = 30 pJ }
        }
        part hold[4]: sample_hold { action hold { energy = 0 J } }
        part adc: adc { rate = 1 GHz, action convert { energy = 2 pJ } }
        connect dac[*] -> array -> hold[*] -> adc
    """)
    for detail in ("mvm", "wordline"):
        report = run(system, detail=detail)
        found = report.drawn
        assert found is not None
        assert report.cycles == 44
        assert found.watts[:, 0] == pytest.approx([3e-3] * 40 + [0] * 4)
        assert found.watts[:, 1] == pytest.approx([0] * 10 + [4 * 8e-12 / 34e-9] * 34)


def test_the_most_that_is_drawn_is_where_work_overlaps() -> None:
    # the second read is under way while the first is converted
    report = run(priced("part spare: block { leakage = 1 mW }"), table((4, 4, 2)))
    assert report.drawn_peak == pytest.approx(3e-3 + 2e-3 + 1e-3)
    assert report.to_dict()["drawn_peak_W"] == report.drawn_peak


def test_no_stretch_draws_more_than_its_busiest_cycle() -> None:
    # stretches of 1.144 cycles, and reads that end within one
    found = run(priced(), table((4, 4, 114))).drawn
    assert found is not None
    assert found.width == pytest.approx(1.144e-9)
    assert found.total.max() <= found.peak * (1 + 1e-9)
    assert found.watts[2:800, 0] == pytest.approx(3e-3)  # read after read without a pause


def test_without_being_asked_no_power_is_worked_out() -> None:
    report = run(priced(), power=False)
    assert report.drawn is None
    assert report.to_dict()["drawn_peak_W"] is None


def test_what_is_paid_for_time_is_drawn_all_the_time() -> None:
    # the converters rest 10 of 14 ns, one of them all the time: 1 mW x (10 + 14) / 14
    found = run(priced("part spare: block { idle_power = 1 mW }")).drawn
    assert found is not None
    assert found.static == pytest.approx(1e-3)
    assert found.total == pytest.approx(found.watts.sum(axis=1) + 1e-3)


@pytest.mark.parametrize(("name", "batch"), [("isaac", 1), ("language_chip", 3)])
def test_stretches_times_width_are_the_energy(name: str, batch: int) -> None:
    network = cimarch.read_network("digits")
    report = simulate(cimarch.load(name), network, batch=batch, power=True)
    found = report.drawn
    assert found is not None
    assert report.cycles > 1000 == len(found.watts)
    assert found.dynamic_joules == pytest.approx(report.dynamic_joules, rel=1e-12)
    whole = float(found.total.sum()) * found.width
    assert whole == pytest.approx(report.joules, rel=1e-12)
    by_kind = dict(zip(found.kinds, found.watts.sum(axis=0) * found.width, strict=True))
    parts = report.to_pandas("parts").groupby("kind")["joules"].sum()
    for kind, joules in by_kind.items():
        assert joules == pytest.approx(parts[kind], rel=1e-12)
    assert found.peak >= found.total.max() * (1 - 1e-12)


def test_a_table_and_pictures_are_written(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    network = table((4, 4, 5), (4, 4, 3))
    for _ in range(2):
        for form in ("csv", "svg", "png", "pdf"):
            places = {name: tmp_path / f"{name}.{form}" for name in ("power", "bounds")}
            report = run(priced(), network, **places)
    rows = list(csv.DictReader((tmp_path / "power.csv").read_text().splitlines()))
    assert len(rows) == report.cycles
    assert set(rows[0]) == {"seconds", "crossbar_W", "adc_W", "static_W", "total_W"}
    bounds = list(csv.DictReader((tmp_path / "bounds.csv").read_text().splitlines()))
    assert bounds[0] == {
        "operation": "l1", "part": "array", "busy_cycles": "50", "waited_cycles": "0"
    }  # fmt: skip
    svg = (tmp_path / "power.svg").read_text()
    assert "crossbar" in svg
    assert "adc" in svg
    assert "l2" in (tmp_path / "bounds.svg").read_text()
    assert (tmp_path / "power.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {
        f"{name}.{form}" for name in ("power", "bounds") for form in ("csv", "svg", "png", "pdf")
    }


def test_the_same_run_gives_the_same_picture() -> None:
    pytest.importorskip("matplotlib")
    report = run(priced())
    assert report.drawn is not None
    for form in ("svg", "pdf", "png"):
        drawn = [pictures.power(report.drawn, "title", form) for _ in range(2)]
        held = [pictures.bounds(report.bounds, "title", form) for _ in range(2)]
        assert drawn[0] == drawn[1]
        assert held[0] == held[1]


def test_operations_that_hold_a_part_say_how_long_and_wait() -> None:
    # 5 reads of 10 ns one after the other, each converted in 4 ns while the next is read
    report = run(priced(), table((4, 4, 5)))
    rows = report.bounds
    found = dict(zip(rows["part"], rows["busy_cycles"].tolist(), strict=True))
    assert found["array"] == 50
    assert found["adc"] == 20
    assert (rows["waited_cycles"] >= 0).all()
    name, longest = max(found.items(), key=lambda item: item[1])
    assert report.layers["bound_by"].tolist()[0].startswith(name)
    assert longest == 50


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"power": "power.txt"}, "E431"),
        ({"bounds": "bounds"}, "E431"),
        ({"power": "nowhere/power.csv"}, "E900"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_run(options: dict[str, str], code: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        run(priced(), **options)
    assert [d.code for d in caught.value.diagnostics] == [code]


def test_without_matplotlib_a_picture_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "find_spec", lambda name: None)
    with pytest.raises(DescriptionError) as caught:
        run(priced(), power="power.svg")
    (found,) = caught.value.diagnostics
    assert found.code == "E432"
    assert "pip install 'cimarch[plot]'" in found.helps[0]


def test_a_task_held_beyond_the_last_event_is_spent_before_it() -> None:
    found = run(priced(), table((4, 4, 3))).drawn
    assert found is not None
    assert np.isfinite(found.watts).all()
    assert (found.watts >= 0).all()
