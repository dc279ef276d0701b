"""Batches as one stream of rows: how far apart inferences come, worked by hand."""

from __future__ import annotations

from itertools import permutations

import pytest

from cimarch import simulate
from cimarch.report.report import Report
from cimarch.workload.network import Network
from test_stories_pipeline import held as one_buffer
from test_stories_pipeline import (
    pressed,
    pressed_run,
    residual,
    stages,
    tandem,
    two_layers,
)


def piped(system: object, network: Network, bits: int = 4, **options: object) -> Report:
    return simulate(  # type: ignore[call-arg, arg-type]
        system, network, weight_bits=bits, input_bits=bits, schedule="pipeline", **options
    )


@pytest.mark.parametrize("times", [(3, 5), (5, 3), *permutations((1, 4, 2))])
def test_inferences_come_as_far_apart_as_the_bottleneck_works_on_one(
    times: tuple[int, ...],
) -> None:
    # A batch of 8 is 8 x 5 rows in one stream: the fill, and 39 more rows at the bottleneck's pace.
    # The first inference is over after 5 rows, each other one 5 rows of the bottleneck later.
    slowest = max(times)
    found = piped(stages(), tandem(5, *times), batch=8)
    assert found.latency == sum(times) + 4 * slowest
    assert found.interval == 5 * slowest
    assert found.cycles == found.latency + 7 * found.interval
    assert found.throughput == pytest.approx(8e9 / found.cycles)


def test_layer_by_layer_inferences_come_one_after_the_other() -> None:
    found = simulate(
        stages(), tandem(5, 1, 4, 2), weight_bits=4, input_bits=4, batch=8, schedule="layers"
    )
    assert (found.latency, found.interval, found.cycles) == (35, 35, 8 * 35)


def test_a_batch_that_is_whole_in_its_buffers_still_streams() -> None:
    # Rows of 10 cycles on b; 6 rows an inference: 60 apart, though a works ahead.
    found = piped(pressed(6), two_layers(6), 8, batch=4)
    assert (found.latency, found.interval) == (2 + 60 + 1, 60)


def test_room_for_one_row_slows_every_inference_alike() -> None:
    # 11 cycles a row: making and reading take turns, across inferences too.
    assert pressed_run(1, batch=3).cycles == 2 + (3 * 6 - 1) * 11 + 10 + 1


def test_copies_divide_the_interval() -> None:
    # 5 rows of 6 cycles on 2 copies: of each two inferences' 10 rows each copy has 5.
    one, two = (
        piped(stages(), tandem(5, 1, 6, 2), batch=9, duplicate={"l2": copies}) for copies in (1, 2)
    )
    assert (one.interval, two.interval) == (30, 15)


@pytest.mark.parametrize("more", [0, 1, 30])
def test_a_batch_takes_the_same_transfers_in_any_room(more: int) -> None:
    one, many = (piped(one_buffer((7 + more) * 8), residual(2), 8, batch=batch) for batch in (1, 3))
    counts = [
        {
            (part, action): count
            for part, action, count in zip(
                found.ledger["part"], found.ledger["action"], found.ledger["count"], strict=True
            )
            if action != "leakage"
        }
        for found in (one, many)
    ]
    assert {key: 3 * count for key, count in counts[0].items()} == counts[1]
