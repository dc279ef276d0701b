"""A candidate policy's price is what a whole simulation says of it."""

from __future__ import annotations

import gc
import tracemalloc
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import cimarch
from cimarch.engine import run_work
from cimarch.hardware import routes
from cimarch.mapping.precision import Bits
from cimarch.mapping.wiring import wirings_of
from cimarch.optimize.pricing import Price, Prices
from cimarch.program import kept
from cimarch.program.energy import weighted
from cimarch.program.products import Products, Vector
from cimarch.program.program import program as write_program

MODELS = Path(__file__).resolve().parent.parent / "models"
DIGITS = cimarch.read_network(MODELS / "digits.pt")
NAMES = ("conv1", "conv2", "conv3", "linear")
CHIPS = {"two_pools": 8, "edge_macro": 4, "bit_serial": 8, "isaac": 16}
"""With the bits of inputs."""
WIRINGS = [wiring for name in CHIPS for wiring in wirings_of(cimarch.load(name))]

_made: dict[tuple[str, str | None], Prices] = {}


def prices(chip: str, schedule: str | None) -> Prices:
    """One for all examples, as a search has one for all candidates."""
    key = chip, schedule
    if key not in _made:
        system = cimarch.load(chip)
        _made[key] = Prices(system, DIGITS, schedule, input_bits=CHIPS[chip])
    return _made[key]


def priced(chip: str, policy: Any, schedule: str | None) -> tuple[Price, int]:
    """A price, and the cycles of loading."""
    of = prices(chip, schedule)
    return of.of(policy), of.loading(policy)


def simulated(chip: str, policy: Any, schedule: str | None) -> tuple[Price, int]:
    report = cimarch.simulate(
        cimarch.load(chip), DIGITS, input_bits=CHIPS[chip], precision=policy, schedule=schedule
    )
    price = Price(report.cycles, report.joules, report.crossbars, report.utilisation)
    return price, report.load_cycles


@pytest.mark.parametrize("chip", CHIPS)
@given(data=st.data())
@settings(max_examples=8)
def test_a_price_is_that_of_a_simulation_to_the_last_digit(chip: str, data: st.DataObject) -> None:
    schedule = data.draw(st.sampled_from(["layers", "pipeline", None]), "schedule")
    most = 4 if chip == "edge_macro" else 8
    bits = st.integers(2, most)
    inputs = st.just(CHIPS[chip]) if chip == "isaac" else st.integers(2, CHIPS[chip])
    policy = data.draw(st.fixed_dictionaries({name: st.tuples(bits, inputs) for name in NAMES}))
    assert priced(chip, policy, schedule) == simulated(chip, policy, schedule)


@given(data=st.data())
@settings(max_examples=6)
def test_strips_of_two_precisions_are_priced_like_any_other_policy(data: st.DataObject) -> None:
    def levels(positions: int, outputs: int) -> st.SearchStrategy[list[str]]:
        row = st.text("01", min_size=outputs, max_size=outputs)
        return st.lists(row, min_size=positions, max_size=positions)

    layout = data.draw(
        st.sampled_from(
            [{"layout": "packed"}, {"layout": "packed", "reads": 2}, {"layout": "holes"}]
        )
    )
    policy = {
        name: {"strips": {"bits": [8, 4], "levels": data.draw(shape), **layout}}
        for name, shape in {"conv1": levels(9, 16), "linear": levels(1, 10)}.items()
    }
    assert priced("two_pools", policy, "layers") == simulated("two_pools", policy, "layers")


@given(data=st.data())
@settings(max_examples=40)
def test_a_product_that_was_met_before_is_as_if_it_were_not(data: st.DataObject) -> None:
    """Where on its array it begins tells it apart from others only by what its converters do."""
    wiring = data.draw(st.sampled_from(WIRINGS))
    met = Products(wiring, lambda *_: None)
    for _ in range(data.draw(st.integers(1, 6))):
        lines = data.draw(st.integers(1, 32))
        vector = Vector(
            data.draw(st.sampled_from([16, 128])), lines, lines, Bits(8, 8),
            data.draw(st.integers(0, 96)),
        )  # fmt: skip
        array = data.draw(st.integers(0, min(4, wiring.pool.count) - 1))
        assert met.product(vector, array) == Products(wiring, lambda *_: None).product(
            vector, array
        )


@given(st.lists(st.tuples(st.fractions(), st.integers(0, 10**6))))
def test_weighted_numbers_add_up_as_one_after_the_other(
    numbers: list[tuple[Fraction, int]],
) -> None:
    assert weighted(numbers) == sum((each * times for each, times in numbers), Fraction(0))


def test_a_run_that_is_asked_for_no_sums_differs_in_nothing_else() -> None:
    placed = cimarch.map_network(cimarch.load("two_pools"), DIGITS)
    work = write_program(placed).work
    whole, lean = run_work(work), run_work(work, sums=False)
    assert lean.slots == ()
    assert whole.slots
    assert (lean.makespan, lean.skipped) == (whole.makespan, whole.skipped)
    assert lean.last_finish.tolist() == whole.last_finish.tolist()
    assert lean.gates.tolist() == whole.gates.tolist()


def test_what_a_policy_does_not_name_has_the_bits_of_the_prices() -> None:
    low = Prices(cimarch.load("bit_serial"), DIGITS, weight_bits=4, input_bits=4)
    assert low.of({"conv1": [8, 8]}) == low.of([[8, 8], [4, 4], [4, 4], [4, 4]])
    assert low.of() == low.of([[4, 4]] * 4)


def test_costs_that_read_the_precision_are_those_of_each_policy(tmp_path: Path) -> None:
    """Of units, adders, drivers and transfers: what one policy took is not the next one's."""
    text = (MODELS.parent / "architectures" / "small.cimarch").read_text()
    for line, action in (
        ("part psum: accumulator { bits = 24", "action add { energy = 1 pJ * weight_bits }"),
        ("width = 256 bit }\n    part dac", "action read { latency = 1 ns * input_bits }"),
        ("ii = 1 cycle", "action compute { energy = 2 pJ * weight_bits }"),
        ("part results: bus { width = 512 bit", "action transfer { energy = 1 pJ * weight_bits }"),
    ):
        assert text.count(line) == 1
        head, mark, rest = line.partition(" }")
        text = text.replace(line, f"{head}\n        {action}\n    {mark}{rest}")
    path = tmp_path / "formulas.cimarch"
    path.write_text(text)
    system = cimarch.load(path)
    shared = Prices(system, DIGITS, weight_bits=4, input_bits=4)
    for policy in ([[8, 8]] * 4, [[4, 4]] * 4, [[8, 4]] * 4, [[4, 8]] * 4, [[8, 8]] * 4):
        report = cimarch.simulate(
            system, DIGITS, precision=policy, weight_bits=4, input_bits=4, schedule="layers"
        )
        price = shared.of(policy)
        assert (price.cycles, price.joules) == (report.cycles, report.joules), policy


def test_an_action_without_a_price_leaves_the_energy_unknown() -> None:
    system = cimarch.load("bit_serial")
    assert Prices(system, DIGITS).of().joules == cimarch.simulate(system, DIGITS).joules
    unpriced = [part.path for part in system.walk() if part.kind == "buffer"]
    assert unpriced  # they state no energy
    assert Prices(system, DIGITS).of().joules is None


def test_a_policy_that_is_none_is_refused_and_the_next_one_is_not() -> None:
    of = prices("edge_macro", "layers").of
    before = of([[4, 4]] * 4)
    with pytest.raises(cimarch.DescriptionError):
        of([[65, 4]] * 4)
    with pytest.raises(cimarch.DescriptionError):
        of({"conv9": [4, 4]})
    assert of([[4, 4]] * 4) == before


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    system = cimarch.load("two_pools")
    policies = [[[bits, 8]] * 4 for bits in (8, 4, 6, 8, 3, 4)]
    told = [Prices(system, DIGITS).of(policy) for policy in policies]
    monkeypatch.setattr(routes, "MOST_KEPT", 2)
    monkeypatch.setattr(routes, "MOST_ASKED", 2)
    monkeypatch.setattr(kept, "MOST", 2)
    forgetful = Prices(system, DIGITS)
    assert [forgetful.of(policy) for policy in policies] == told


def test_a_thousand_candidates_take_no_more_memory_than_ten() -> None:
    """What stays of 60 further candidates is less than a hundredth of what one needs."""
    of = prices("edge_macro", "layers").of
    policies = [[[a, 4], [b, 4], [c, 4], [4, 4]] for a in (2, 3, 4) for b in (2, 4) for c in (3, 4)]
    for policy in policies:
        of(policy)
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(5):
            for policy in policies:
                of(policy)
        gc.collect()
        stays, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stays < peak / 10
    assert stays < 200_000
