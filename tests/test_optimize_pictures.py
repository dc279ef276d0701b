"""Records as points and as pictures, and the strips of a layer on its arrays."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest

import cimarch
from cimarch.mapping.strips import Strips
from cimarch.optimize.frame.record import Epoch, Figure, Record, Stand
from cimarch.optimize.telling.details import figures, tables
from cimarch.optimize.telling.panels import remaining
from cimarch.optimize.telling.points import Spread, points
from cimarch.optimize.telling.text import changed, changes, listed, render, shown
from cimarch.workload.network import Network

BEFORE = Stand(accuracy_chip=90.0, examples=100, cycles=1000, joules=2e-6, crossbars=20,
               utilisation=50.0, parameters=500, weight_bits=4000)  # fmt: skip


def record(seed: int = 0, *, bits: int = 3000, right: float = 89.0, **more: Any) -> Record:
    """A run that left so many bits, and is right so often."""
    given = {"method": "strips", "system": "Chip", "network": "net", "data": "digits"}
    options = {"seed": seed, "low": bits, "score": more.pop("score", "fisher")}
    after = attrs.evolve(BEFORE, weight_bits=bits, accuracy_chip=right)
    split = {"train": 80, "held_back": 20}
    return Record(**{**given, **more}, options=options, split=split, before=BEFORE, after=after)


# points


def test_the_spread_of_several_runs_is_that_of_a_sample() -> None:
    # Deviations from 5: 3, 1, 1, 3; squares add to 20, over n - 1 = 3.
    assert Spread.of([2, 4, 6, 8]) == Spread(5.0, (20 / 3) ** 0.5)
    assert Spread.of([7]) == Spread(7.0, 0.0)


def test_runs_that_differ_in_their_seed_alone_are_one_point() -> None:
    runs = [record(0, right=88.0), record(1, right=90.0), record(0, bits=2000, right=80.0)]
    found = points(runs)
    assert [point.runs for point in found] == [2, 1]
    assert found[0].accuracy == Spread(89.0, 2**0.5)
    assert found[0].left["bits of weights"] == Spread(75.0, 0.0)
    assert found[1].left == {
        "bits of weights": Spread(50.0, 0.0),
        "crossbars": Spread(100.0, 0.0),
        "parameters": Spread(100.0, 0.0),
    }
    assert {point.before for point in found} == {90.0}


def test_a_series_is_named_by_the_words_that_not_all_runs_have() -> None:
    runs = [record(), record(score="random"), record(method="hap"), record(bits=9)]
    names = ["strips, score fisher", "strips, score random", "hap", "strips, score fisher"]
    assert [point.series for point in points(runs)] == names


def test_without_an_accuracy_there_is_no_point() -> None:
    blind = attrs.evolve(record(), after=Stand(weight_bits=3))
    assert points([record(), blind]) == []


# text


@pytest.mark.parametrize(
    ("unit", "digits", "before", "after", "told"),
    [
        ("%", 2, 90.0, 89.5, ("90.00 %", "-0.50 points")),
        ("J", 4, 2e-6, 1e-6, ("2.000 uJ", "-50.0 %")),
        ("", 0, 4000, 3000, ("4,000", "-25.0 %")),
        ("", 0, 0, 10, ("0", "-")),
        ("", 0, 7, 7, ("7", "same")),
        ("", 0, None, 7, ("-", "-")),
    ],
)
def test_a_figure_is_shown_with_its_unit_and_its_change(
    unit: str, digits: int, before: float | None, after: float, told: tuple[str, str]
) -> None:
    figure = Figure("any", "any", unit, digits)
    assert (shown(figure, before), changed(figure, before, after)) == told


def test_a_figure_that_nobody_knows_has_no_row() -> None:
    assert [row["figure"] for row in changes(Stand(cycles=1), Stand(cycles=2))] == ["cycles"]


def test_what_is_left_is_a_share_of_what_was_there() -> None:
    found = remaining(Stand(cycles=10, crossbars=4), Stand(cycles=5, crossbars=6, joules=1.0))
    assert found == {"cycles": 0.5, "crossbars": 1.5}


def test_details_are_figures_or_tables() -> None:
    details = {
        "steps": 3, "bits": [8, 4], "layers": {"a": {"bits": 4, "map": [[1]]}},
        "scale": {"a": 0.5}, "rows": [{"x": 1}, {"y": 2}], "strange": [[[1]]],
    }  # fmt: skip
    assert figures(details) == {"steps": 3, "bits": [8, 4]}
    assert tables(details) == {
        "layers": [{"name": "a", "bits": 4}],
        "scale": [{"name": "a", "value": 0.5}],
        "rows": [{"x": 1}, {"y": 2}],
    }


def test_a_record_with_everything_is_printed() -> None:
    epochs = tuple(Epoch("train", n, 1 / n, 50.0 + n, 2.0) for n in range(1, 101))
    details = {"widths": [{"layer": f"conv{n}", "before": n, "after": n - 1} for n in range(1, 60)]}
    full = attrs.evolve(record(), epochs=epochs, details=details, notes=("it is so",))
    text = render([record(method="first"), full])
    assert "Done before (1)" in text
    assert "Training (100 epochs, 200.0 s)" in text
    assert "of 100: --json and --csv have all" in text
    assert "19 more rows" in text
    assert "80 examples train, 20 are held back, 100 test examples judge" in text
    assert render([]) == "no method has been at this model\n"
    assert "a.adapted" in listed([("a.adapted", [full])])


# pictures


def mixed(layout: str) -> tuple[Network, dict[str, Any]]:
    """A layer of 4 inputs and 6 outputs, of which every third has 8 bits."""
    row = {"name": "fc", "kind": "linear", "outputs": 6, "inputs": 4}
    strips = {"bits": [8, 4], "levels": ["011011"], "layout": layout}
    return Network.from_table([row], name="net"), {"fc": {"strips": strips}}


def test_the_layer_that_is_mixed_most_is_shown() -> None:
    pytest.importorskip("matplotlib")
    from cimarch.optimize.telling.strip_panels import most_mixed

    def of(*levels: int) -> Strips:
        return Strips((8, 4), np.array([levels], np.uint8))

    held = {"all": of(0, 0, 0, 0), "half": of(0, 1), "wide": of(0, 1, 0, 1), "few": of(0, 0, 0, 1)}
    assert most_mixed(held) == "wide"


@pytest.mark.parametrize("layout", ["packed", "holes"])
def test_the_cells_of_a_crossbar_are_those_of_its_strips(layout: str) -> None:
    from cimarch.optimize.telling.strip_panels import rectangles

    chip = cimarch.load("two_pools")
    network, policy = mixed(layout)
    placed = cimarch.map_network(chip, network, precision=policy)
    held = {0: 0, 1: 0}
    for array in rectangles(placed, "fc"):
        for each in array.held:
            held[each.level] += int(each.held.sum())
    # 2 strips of 4 weights of 8 bits: 4 cells each; 4 strips of 4 weights of 4 bits: 2 cells each.
    assert held == {0: 2 * 4 * 4, 1: 4 * 4 * 2}


@pytest.mark.parametrize("form", ["svg", "pdf", "png"])
def test_the_same_records_give_the_same_picture(form: str) -> None:
    pytest.importorskip("matplotlib")
    from cimarch.optimize.telling.pictures import of_points, of_record

    epochs = tuple(Epoch(stage, 1, 1.0, 50.0, 2.0) for stage in ("one", "two"))
    details = {"widths": [{"layer": "conv", "before": 3, "after": 2}]}
    full = attrs.evolve(record(), epochs=epochs, details=details)
    assert of_record(full, form) == of_record(full, form)
    runs = points([record(seed, right=88.0 + seed) for seed in range(3)])
    assert of_points(runs, form) == of_points(runs, form)


def test_a_picture_says_what_it_shows() -> None:
    pytest.importorskip("matplotlib")
    from cimarch.optimize.telling.pictures import of_record

    epochs = tuple(Epoch(stage, 1, 1.0, 50.0, 2.0) for stage in ("shrink", "finetune"))
    details = {"widths": [{"layer": "conv7", "before": 3, "after": 2}]}
    text = of_record(attrs.evolve(record(), epochs=epochs, details=details), "svg").decode()
    for word in ("strips: net for Chip", "bits of weights", "shrink", "finetune", "conv7", "loss"):
        assert word in text
