"""Which strips are high, and how many: thresholds, the knee, numbers that fill arrays."""

import numpy as np
import pytest

import cimarch
from cimarch.optimize.mixed.align import align
from cimarch.optimize.mixed.choose import (
    Point,
    compression,
    distance,
    knee,
    largest,
    levels_at,
    strips_of,
)
from cimarch.optimize.mixed.layers import Layer
from cimarch.optimize.mixed.scores import over_windows

RANKS = {"a": np.array([[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]])}


def test_a_strip_is_high_where_its_rank_is_above_the_threshold():
    assert levels_at(RANKS, [0.7])["a"].tolist() == [[1] * 7 + [0] * 3]
    assert not levels_at(RANKS, [0.0])["a"].any()
    assert levels_at(RANKS, [1.0])["a"].all()


def test_three_precisions_have_two_thresholds():
    assert levels_at(RANKS, [0.7, 0.4])["a"].tolist() == [[2] * 4 + [1] * 3 + [0] * 3]


def test_the_largest_threshold_within_is_found_in_eight_steps():
    asked = []

    def within(threshold: float) -> bool:
        asked.append(threshold)
        return threshold <= 0.37

    assert largest(within) == pytest.approx(0.37)
    assert len(asked) <= 8
    assert largest(lambda threshold: True) == 1.0
    assert largest(lambda threshold: False) == 0.0


def test_the_knee_is_farthest_below_the_line_between_the_ends():
    points = [Point(0, 0, 10), Point(0.5, 0.1, 5), Point(0.9, 0.8, 1), Point(0.7, 0.9, 6)]
    assert knee(points).threshold == 0.5
    assert knee([Point(0.3, 0, 1)]).threshold == 0.3


def test_distance_is_relative_to_the_first():
    first = {"a": np.array([3.0, 0.0]), "b": np.array([4.0])}
    assert distance(first, first) == 0
    assert distance({"a": np.array([3.0, 2.0]), "b": np.array([4.0])}, first) == 0.4


def layer(name: str, outputs: int, depth: int) -> Layer:
    return Layer(name, 1, outputs, depth, np.zeros((outputs, depth, 1), np.float32))


def test_compression_is_told_three_ways():
    layers = [layer("a", 2, 1), layer("b", 2, 3)]
    levels = {"a": np.array([[1, 1]], np.uint8), "b": np.array([[0, 1]], np.uint8)}
    found = compression(layers, levels, (8, 4))
    assert found.strips == 0.75
    assert found.bits == 1 - (2 * 4 + 3 * 8 + 3 * 4) / (8 * 8)
    assert found.parameters == 0


def test_strips_of_levels_are_those_of_a_precision_file():
    made = strips_of(levels_at(RANKS, [0.7]), (8, 4))["a"]
    assert made.to_dict() == {"bits": [8, 4], "levels": ["1111111000"], "layout": "packed"}


def high(aligned, name: str = "a") -> int:
    return int((aligned.levels[name] == 0).sum())


def test_high_strips_that_do_not_fill_an_array_go_down_the_least_sensitive_first():
    found = align(levels_at(RANKS, [0.5]), RANKS, {"a": (4, 8)}, way="demote", cap=1)
    assert found.levels["a"].tolist() == [[1] * 6 + [0] * 4]
    (move,) = found.moves
    assert (move.before, move.after, move.why) == (5, 4, "demoted")
    assert found.moved == 1


def test_or_lower_ones_come_up_the_most_sensitive_first():
    found = align(levels_at(RANKS, [0.5]), RANKS, {"a": (6, 8)}, way="promote", cap=1)
    assert found.levels["a"].tolist() == [[1] * 4 + [0] * 6]


def test_energy_decides_between_both():
    start = levels_at(RANKS, [0.5])

    def price(levels):
        return float((levels["a"] == 0).sum())

    assert high(align(start, RANKS, {"a": (3, 8)}, cap=1, price=price)) == 3
    assert high(align(start, RANKS, {"a": (3, 8)}, cap=1, price=lambda e: -price(e))) == 6


def test_no_more_than_a_share_moves():
    start = levels_at(RANKS, [0.5])
    found = align(start, RANKS, {"a": (3, 8)}, cap=0.2)  # down takes 2 of 5, up only 1
    assert (high(found), found.moves[0].why) == (6, "promoted")
    found = align(start, RANKS, {"a": (32, 64)}, cap=0.2)
    assert (high(found), found.moves[0].why) == (5, "left")


def test_a_full_array_stays():
    found = align(levels_at(RANKS, [0.5]), RANKS, {"a": (5, 8)})
    assert (high(found), found.moved, found.moves[0].why) == (5, 0, "full")


def test_positions_are_aligned_by_themselves():
    ranks = {"a": np.array([[0.1, 0.6, 0.7], [0.2, 0.8, 0.9]])}
    start = levels_at(ranks, [0.5])
    found = align(start, ranks, {"a": (3, 8)}, group="position", way="promote", cap=1)
    assert not found.levels["a"].any()
    assert [(move.position, move.after) for move in found.moves] == [(0, 3), (1, 3)]


def test_what_goes_down_is_counted_at_the_next_precision():
    start = levels_at(RANKS, [0.5, 0.2])  # 5 high, 3 in the middle, 2 low
    found = align(start, RANKS, {"a": (4, 4, 8)}, way="demote", cap=1)
    assert np.bincount(found.levels["a"].ravel()).tolist() == [4, 4, 2]


def test_nothing_is_aligned_where_nothing_is_asked():
    start = levels_at(RANKS, [0.5])
    found = align(start, RANKS, {}, group="none")
    assert found.moves == ()
    assert np.array_equal(found.levels["a"], start["a"])


def test_what_is_lost_is_weighed_by_what_is_saved():
    """A layer of 16 windows counts a quarter at the power 1/2."""
    network = cimarch.Network.from_table(
        [
            {"name": "a", "kind": "linear", "outputs": 2, "inputs": 3, "invocations": 16},
            {"name": "b", "kind": "linear", "outputs": 2, "inputs": 2, "invocations": 1},
        ]
    )
    scores = {"a": np.array([[8.0, 4.0]]), "b": np.array([[2.0, 1.0]])}
    found = over_windows(scores, network, 0.5)
    assert found["a"].tolist() == [[2.0, 1.0]]
    assert found["b"].tolist() == [[2.0, 1.0]]
    assert over_windows(scores, network, 0)["a"].tolist() == [[8.0, 4.0]]
