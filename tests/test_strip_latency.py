"""Strips take more arrays where reading them in turn would take longer than it may."""

import numpy as np
import pytest

pytest.importorskip("torch")

from chips import Draft
from cimarch.optimize.mixed.chip import pools
from cimarch.optimize.mixed.choose import Levels
from cimarch.optimize.mixed.latency import Spread
from cimarch.optimize.mixed.layers import Layer
from cimarch.optimize.mixed.pricing import Tilings
from cimarch.workload.network import Network
from test_stories_strips import two


@pytest.fixture
def spread() -> Spread:
    """Two convolutions of four positions, 18 and 8 windows; of each position the first strip is of
    8 bits.

    The first has strips of 2 weights, 4 outputs: its four of 8 bits fill an array, read 4 times for
    a window; its twelve of 4 bits take two. The second has strips of 4 weights, 2 outputs: two
    arrays of 8 bits, read twice, and one of 4 bits, read 4 times.
    """
    draft = Draft(2, 3, 10)
    draft.conv("first", "x", 4, 2)
    draft.conv("second", "first", 2, 2)
    network = draft.network()
    levels = {op.name: np.ones((4, op.columns), np.uint8) for op in network.operations}
    for level in levels.values():
        level[:, 0] = 0
    return on_two_pools(network, levels)


def on_two_pools(network: Network, levels: Levels) -> Spread:
    """Convolutions of four positions."""
    system = two()
    layers = [
        Layer(op.name, 4, op.columns, op.rows // 4, np.zeros((op.columns, op.rows // 4, 4)))
        for op in network.operations
    ]
    tilings = Tilings(system, network, (8, 4), 8)
    return Spread(tilings, pools(system, network, layers, (8, 4)), levels)


def cycles(spread: Spread, reads: dict[str, int]) -> int:
    return spread.tilings.priced(spread.tilings.policy(spread.levels, "packed", reads)).cycles


def test_what_is_no_slower_has_no_limits(spread):
    assert spread.within(cycles(spread, {})) == {}


def test_the_limit_that_saves_the_most_reads_for_an_array_comes_first(spread):
    # Two reads of the first: 18 x 2 saved for one array more. One read: 18 x 3 for five. Two reads
    # of the second: 8 x 2 for one.
    fewer = {"first": 2}
    assert cycles(spread, fewer) < cycles(spread, {})
    assert spread.within(cycles(spread, fewer)) == fewer
    assert spread.within(cycles(spread, {}) - 1) == fewer


def test_where_nothing_helps_the_fastest_that_was_found_stays(spread):
    # Two reads of the second, whose pools are read 20 and 6 cycles a window, gain nothing beside
    # 20 and 12; one read does.
    assert spread.within(0) == {"first": 1, "second": 1}
    fewest = cycles(spread, {"first": 1, "second": 1})
    assert fewest < cycles(spread, {"first": 1}) == cycles(spread, {"first": 1, "second": 2})


def test_a_limit_that_does_not_help_leaves_the_others_of_its_layer():
    # A window: two positions of 8 bits on an array, 20 cycles, beside four of 4 bits, 12 cycles.
    # Two reads save the most for an array, of 4 bits alone; one read makes 20 cycles 10.
    draft = Draft(2, 3, 4)
    draft.conv("conv", "x", 2, 2)
    level = np.array([[0, 1], [0, 1], [1, 1], [1, 1]], np.uint8)
    spread = on_two_pools(draft.network(), {"conv": level})
    assert cycles(spread, {"conv": 2}) == cycles(spread, {})
    assert spread.within(cycles(spread, {}) - 1) == {"conv": 1}


def test_any_number_is_a_limit_of_cycles(spread):
    assert spread.within(float("inf")) == {}
