"""What a run assumes of parts that work while an array is read, and behind it."""

from __future__ import annotations

import pytest

from chips import chip, table
from cimarch import simulate

DRIVEN = """
    part dac[4]: dac {{ bits = 8, {dac} }}
    part array: crossbar {{
        rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
        action read {{ latency = 10 ns }}
    }}
    part hold[4]: sample_hold {{ {hold} }}
    part adc[4]: adc {{ rate = 1 GHz }}
    connect dac[*] -> array -> hold[*] -> adc[*]
"""


@pytest.mark.parametrize(
    ("dac", "hold", "told"),
    [
        ("action convert { latency = 25 ns }", "", "`dac.convert`"),
        ("", "action hold { latency = 5 ns }", "`hold.hold`"),
        (
            "action convert { latency = 25 ns }",
            "action hold { latency = 5 ns }",
            "`dac.convert`, `hold.hold`",
        ),
    ],
)
def test_a_time_that_no_run_waits_for_is_told(dac: str, hold: str, told: str) -> None:
    found = simulate(chip(DRIVEN.format(dac=dac, hold=hold)), table((4, 4, 1)))
    assert found.cycles == 10 + 1
    assert f"the latency of {told} is among that of the array's `read`" in found.assumed


def test_nothing_is_told_of_parts_that_state_no_time() -> None:
    found = simulate(chip(DRIVEN.format(dac="", hold="")), table((4, 4, 1)))
    assert not [line for line in found.assumed if "is among that of" in line]


DIGITAL = """
    node = 28 nm
    part array: digital_array {{
        rows = 4, columns = 8, encoding = twos_complement, device = SRAM
        action read {{ latency = 1 ns{energy} }}
    }}
    {tree}
    part sum: shift_add
    connect array -> {way} sum
"""


@pytest.mark.parametrize(
    ("tree", "energy", "is_told"), [(False, "", True), (True, "", False), (False, "1 pJ", False)]
)
def test_cells_that_a_model_prices_want_a_tree_behind_them(
    tree: bool, energy: str, is_told: bool
) -> None:
    described = DIGITAL.format(
        energy=f", energy = {energy}" * bool(energy),
        tree="part tree[8]: adder_tree { terms = 4, bits = 3 }" * tree,
        way="tree[*] ->" * tree,
    )
    found = simulate(chip(described), table((4, 1, 1)))
    told = "the sums over word lines of `array` are free: no adder_tree is behind"
    assert (told in found.assumed) == is_told
