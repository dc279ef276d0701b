"""Laws that hold between runs of any small chip and network, on both schedules.

Queues that serve the first to be ready have anomalies: a slower part can shorten a run. So a
slower part, a smaller buffer or one more reader says nothing of the time in general; what holds is
here.
"""

from __future__ import annotations

import re
from random import Random

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chips import Run, run
from cimarch import DescriptionError, loads
from cimarch.mapping.place import place
from cimarch.mapping.precision import precision
from cimarch.workload.network import Network
from oracle.networks import any_rows
from test_stories_pipeline import stages, tandem

SCHEDULES = ("layers", "pipeline")

TEXT = """
from std import crossbar, dac, sample_hold, adc, accumulator, buffer, unit, host, bus
system Small {
    clock = 1 GHz
    part desk: host { OWN width = 8 bit, rate = RATE MHz }
    part maps: buffer { OWN size = SIZE B, width = WORD bit }
    part wires: bus { OWN width = BUS bit }
    part input[12]: buffer { OWN size = STAGE B, width = WORD bit }
    part dac[12, 40]: dac { OWN bits = 2 }
    part x[12]: crossbar { rows = 40, columns = 16, word_lines = 20, cell_bits = 4, home = "maps", encoding = signed_cell, action read { latency = READ ns } }
    part hold[12, 16]: sample_hold { OWN }
    part adc[12, 4]: adc { rate = 500 MHz }
    part psum: accumulator { OWN bits = 20 }
    part vec: unit { OWN does = [relu, add, max_pool, average_pool], lanes = 2, stages = 2 }
    part out: host { OWN width = 8 bit, rate = RATE MHz }
    connect desk -> maps -> wires -> input[*] -> dac[*, *] -> x[*] -> hold[*, *] -> adc[*, *] -> psum
    connect psum -> vec -> maps
    connect maps -> vec -> out
}
"""  # noqa: E501


@attrs.frozen
class Small:
    """The numbers of a small chip."""

    rate: int = 500
    word: int = 32
    bus: int = 24
    stage: int = 40
    read: int = 4
    size: int = 8192

    def text(self, *, own: str = "") -> str:
        """Its description; `own` is said of every part whose times are not all stated."""
        text = TEXT.replace("OWN", own)
        for name in ("rate", "word", "bus", "stage", "read", "size"):
            text = re.sub(rf"\b{name.upper()}\b", str(getattr(self, name)), text)
        return text


small_chips = st.builds(
    Small,
    rate=st.sampled_from([100, 250, 1000]),
    word=st.sampled_from([8, 16, 32]),
    bus=st.sampled_from([4, 8, 24]),
    stage=st.sampled_from([1, 20, 40, 80]),
    read=st.integers(1, 9),
)
networks = st.integers(0, 400).map(lambda seed: any_rows(Random(seed)))
schedules = st.sampled_from(SCHEDULES)
few = settings(max_examples=20)


def done(text: str, network: Network, schedule: str, **options: object) -> Run:
    return run(loads(text), network, schedule=schedule, **options)  # type: ignore[arg-type]


def counts(found: Run) -> dict[tuple[str, str], int]:
    """How often each part does each action."""
    every: dict[tuple[str, str], int] = {}
    for entry in found.entries:
        if entry.action != "leakage":
            key = (entry.part, entry.action)
            every[key] = every.get(key, 0) + entry.count
    return every


def busiest(found: Run) -> int:
    """Cycles that the busiest resource is held."""
    return int(found.timeline.busy.max())


def least(chip: Small, network: Network) -> int:
    """Bytes of `maps` that are enough for a pipeline while one less is not."""

    def fits(size: int) -> bool:
        system = loads(attrs.evolve(chip, size=size).text())
        bits = precision(network, 4, 4)
        try:
            place(system, network, bits, input_bits=4, schedule="pipeline")
        except DescriptionError:
            return False
        return True

    low, high = 0, chip.size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


# Time


@few
@given(small_chips, networks, schedules, st.sampled_from([2, 3, 7]))
def test_all_durations_times_k_are_all_times_times_k(
    chip: Small, network: Network, schedule: str, k: int
) -> None:
    # A system clock k times faster, every part on a clock of 1 GHz as before: the same run, k
    # cycles for each.
    once = done(chip.text(), network, schedule)
    finer = chip.text(own="clock = 1 GHz, ").replace("clock = 1 GHz\n", f"clock = {k} GHz\n")
    times = done(finer, network, schedule).timeline
    assert times.makespan == k * once.cycles
    assert (times.start == k * once.timeline.start).all()
    assert (times.finish == k * once.timeline.finish).all()
    assert (times.busy == k * once.timeline.busy).all()


@few
@given(small_chips, networks, schedules, st.integers(1, 3))
def test_no_run_is_shorter_than_its_busiest_part_works(
    chip: Small, network: Network, schedule: str, batch: int
) -> None:
    found = done(chip.text(), network, schedule, batch=batch)
    assert found.cycles >= busiest(found)


@few
@given(st.lists(st.integers(1, 8), min_size=1, max_size=4), st.integers(2, 6), st.integers(1, 3))
def test_a_tandem_is_never_shorter_than_its_bottleneck_nor_longer_than_layer_by_layer(
    times: list[int], rows: int, batch: int
) -> None:
    network = tandem(rows, *times)
    piped, layered = (
        run(stages(), network, schedule=s, batch=batch).cycles for s in SCHEDULES[::-1]
    )
    assert layered == batch * rows * sum(times)
    assert piped == sum(times) + (batch * rows - 1) * max(times) <= layered


@few
@given(networks)
def test_a_row_later_costs_no_more_than_every_stage_alone(network: Network) -> None:
    # Where no two sites share a part, what one does never waits for what another does of a row
    # further on: arrays alone, and everything at hand.
    assert run(stages(arrays=64), network, schedule="pipeline").cycles <= (
        run(stages(arrays=64), network).cycles
    )


# Counts and energy


@few
@given(small_chips, networks, st.integers(1, 2))
def test_counts_do_not_depend_on_schedule_engine_and_room(
    chip: Small, network: Network, batch: int
) -> None:
    tight = attrs.evolve(chip, size=least(chip, network))
    expected = counts(done(chip.text(), network, "layers", batch=batch))
    for each in (chip, tight):
        assert counts(done(each.text(), network, "pipeline", batch=batch)) == expected
    other = done(chip.text(), network, "pipeline", batch=batch, engine="simpy")
    assert counts(other) == expected


@few
@given(small_chips, networks, schedules, st.integers(2, 3))
def test_counts_are_additive_over_a_batch(
    chip: Small, network: Network, schedule: str, batch: int
) -> None:
    one, many = (counts(done(chip.text(), network, schedule, batch=n)) for n in (1, batch))
    assert many == {key: batch * count for key, count in one.items()}


@few
@given(small_chips, networks, schedules)
def test_a_wider_bus_is_never_charged_more_transfers(
    chip: Small, network: Network, schedule: str
) -> None:
    found = [
        counts(done(attrs.evolve(chip, bus=width).text(), network, schedule))["wires", "transfer"]
        for width in (4, 5, 8, 24, 64)
    ]
    assert found == sorted(found, reverse=True)


# Names and order


@few
@given(small_chips, networks, schedules, st.randoms(use_true_random=False))
def test_the_order_of_parts_changes_nothing(
    chip: Small, network: Network, schedule: str, draw: Random
) -> None:
    lines = chip.text().split("\n")
    places = [i for i, line in enumerate(lines) if line.startswith("    part ")]
    shuffled = [lines[i] for i in places]
    draw.shuffle(shuffled)
    for place_, line in zip(places, shuffled, strict=True):
        lines[place_] = line
    one, other = done(chip.text(), network, schedule), done("\n".join(lines), network, schedule)
    assert one.cycles == other.cycles
    assert (one.timeline.start == other.timeline.start).all()
    assert counts(one) == counts(other)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_parts_that_nothing_leads_to_change_nothing(schedule: str) -> None:
    network = any_rows(Random(1))
    alone = done(Small().text(), network, schedule)
    more = """    part spare[4]: buffer { size = 9 B, width = 8 bit }
    part idle[4]: bus { width = 8 bit }
    connect spare[*] -> idle[*]
    part desk:"""
    beside = done(Small().text().replace("    part desk:", more), network, schedule)
    assert (alone.timeline.finish == beside.timeline.finish).all()
    assert counts(alone) == counts(beside)
