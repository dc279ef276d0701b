"""What a run assumes of parts that work while an array is read."""

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
