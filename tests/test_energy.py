"""Energy adds up: to the last digit, in any order, and whatever is paid for it."""

from __future__ import annotations

import json
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import cimarch
from chips import chip, table
from cimarch import simulate
from cimarch.cli import main
from cimarch.hardware.system import System
from cimarch.program.energy import add_up
from cimarch.report.report import Report
from cimarch.report.summary import lines
from cimarch.workload.network import Network

ARRAY = """
    part dac[8]: dac {{ bits = 1, action convert {{ energy = {k} * 0.1 pJ }} }}
    part array: crossbar {{
        rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell, leakage = {k} * 3 uW
        action read {{ latency = 1 ns, energy = {k} * {read} }}
        action write {{ latency = 1 ns, energy = {k} * 5.7 pJ }}
    }}
    part adc: adc {{ rate = 1 GHz, power = {k} * 3.1 mW }}
    {more}
    connect dac[*] -> array -> adc
"""


def priced(k: str = "1", more: str = "", read: str = "2.3 pJ") -> System:
    return chip(ARRAY.format(k=k, more=more, read=read))


def report(system: System, network: Network | None = None, **options: object) -> Report:
    chosen = network or table((8, 6, 10), (6, 3, 7), (3, 8, 5))
    return simulate(system, chosen, weight_bits=4, input_bits=4, **options)  # type: ignore[arg-type]


def rows(found: Report) -> dict[tuple[str, str], float]:
    """Joules by part and action."""
    names = zip(found.ledger["part"], found.ledger["action"], strict=True)
    return dict(zip(names, found.ledger["joules"].tolist(), strict=True))


# To the last digit ------------------------------------------------------------------------------


def assert_adds_up(found: Report) -> None:
    """Every table of a report sums to its total, exactly, in any order."""
    energy = found.to_pandas("energy")
    total = energy["joules"].sum()
    assert total == found.joules == sum(energy["joules"].tolist())
    assert total == sum(sorted(energy["joules"].tolist(), reverse=True))
    shuffled = energy["joules"].tolist()
    random.Random(7).shuffle(shuffled)
    assert total == sum(shuffled)
    for table_name, keys in (("ledger", ["part", "action", "origin"]), ("parts", ["part"])):
        other = found.to_pandas(table_name).rename(columns={"path": "part"})
        assert sum(other["joules"].tolist()) == total
        grouped = energy.groupby(keys)["joules"].sum()
        joined = other.set_index(keys)["joules"]
        assert all(joined[key] == joules for key, joules in grouped.items())
    by_operation = energy.groupby("operation")["joules"].sum()
    layers = found.to_pandas("layers").set_index("name")["joules"]
    assert all(layers.get(name, 0.0) == by_operation.get(name, 0.0) for name in layers.index)
    assert sum(layers.tolist()) + by_operation.get("", 0.0) == total
    assert found.dynamic_joules + found.static_joules == total  # type: ignore[operator]
    assert found.on_chip_joules + found.off_chip_joules == total  # type: ignore[operator]


def test_all_tables_sum_to_the_total_to_the_last_digit() -> None:
    pytest.importorskip("pandas")
    for weights in ("preloaded", "cold"):
        assert_adds_up(report(priced(), weights=weights, batch=3))


def test_counts_of_the_energy_table_sum_to_those_of_the_ledger() -> None:
    pytest.importorskip("pandas")
    found = report(priced())
    counts = found.to_pandas("energy").groupby(["part", "action"])["count"].sum()
    for row in found.to_pandas("ledger").itertuples():
        assert counts[row.part, row.action] == row.count


def test_the_total_is_the_float_nearest_to_the_exact_one() -> None:
    # 40 reads of 2.3 pJ, 320 dac steps of 0.1 pJ; 240 conversions at 1 GHz of 3.1 mW;
    # 280 ns of 3 uW: 92 + 32 + 744 + 0.84 pJ
    assert report(priced(), table((8, 6, 10))).joules == float(Fraction("868.84e-12"))


def test_three_thirds_are_one() -> None:
    # each is 0.33..., rounded; the third is one step larger, so that they add up to 1
    third = Fraction(1, 3)
    found = add_up([third, third, third])
    assert sum(found) == 1.0
    assert max(found) - min(found) == 2.0**-53


@given(
    st.lists(
        st.fractions(min_value=0, max_value=10**6, max_denominator=10**9), min_size=1, max_size=40
    ),
    st.randoms(use_true_random=False),
)
def test_any_numbers_add_up_in_any_order(numbers: list[Fraction], chance: random.Random) -> None:
    found = add_up(numbers)
    total = float(sum(numbers))
    shuffled = list(found)
    chance.shuffle(shuffled)
    assert sum(found) == sum(shuffled) == float(np.sum(found)) == total
    half = len(found) // 2
    assert sum(found[:half]) + sum(found[half:]) == total
    assert all(abs(f - float(n)) <= total * 2.0**-51 for f, n in zip(found, numbers, strict=True))


@pytest.mark.parametrize("name", ["isaac", "language_chip", "hybrid", "prime", "two_pools"])
def test_a_bundled_chip_adds_up(name: str) -> None:
    pytest.importorskip("pandas")
    found = simulate(cimarch.load(name), cimarch.read_network("digits"), batch=2)
    assert_adds_up(found)


# Laws -------------------------------------------------------------------------------------------


def test_doubling_every_energy_doubles_the_total_exactly() -> None:
    once, twice = report(priced("1")), report(priced("2"))
    assert twice.joules == 2 * once.joules  # type: ignore[operator]
    assert (twice.energy["joules"] == 2 * once.energy["joules"]).all()


def test_unused_parts_cost_area_and_leakage_only() -> None:
    unused = "part spare[3]: block { area = 2 mm^2, power = 1 W, leakage = 1 mW }"
    plain, more = report(priced()), report(priced(more=unused))
    assert more.cycles == plain.cycles
    assert more.dynamic_joules == pytest.approx(plain.dynamic_joules, rel=1e-15)
    assert more.area == plain.area + 6e-6
    known = rows(more)
    # 3 x 1 mW over all of the run
    assert known["spare", "leakage"] == pytest.approx(3e-3 * more.seconds, rel=1e-12)
    assert {part for part, _ in known} == {"dac", "array", "adc", "spare"}


def test_counted_and_from_power_and_static_are_the_total() -> None:
    found = report(priced())
    shares = found.to_pandas("energy")
    counted = shares[shares["origin"] == "stated"]
    counted = counted[counted["action"] != "leakage"]["joules"].sum()
    from_power = shares[shares["origin"] == "from power"]["joules"].sum()
    assert min(counted, from_power, found.static_joules) > 0
    assert counted + from_power + found.static_joules == found.joules


CHAIN = """
    part maps: buffer {{ size = 1 KiB, width = {buffer} bit, clock = {clock} }}
    part wires: {wires}
    part dac[16]: dac {{ bits = 2 }}
    part array: crossbar {{
        rows = 16, columns = 8, cell_bits = 8, encoding = signed_cell, clock = {array}
    }}
    part adc: adc {{ rate = {rate} }}
    connect maps -> wires -> dac[*] -> array -> adc
"""
"""One part behind the other: nothing contends for any."""

FAST = {
    "buffer": 32, "clock": "1 GHz", "wires": "bus { width = 32 bit }", "array": "1 GHz",
    "rate": "1 GHz",
}  # fmt: skip


@pytest.mark.parametrize(
    "slower",
    [
        *({"clock": f"1 GHz / {n}"} for n in (2, 3, 7)),
        *({"array": f"1 GHz / {n}"} for n in (2, 3, 7)),
        *({"rate": f"1 GHz / {n}"} for n in (2, 3, 7)),
        *({"buffer": n} for n in (24, 16, 5)),
        *({"wires": f"bus {{ width = {n} bit }}"} for n in (24, 16, 5)),
        {"wires": "bus { width = 32 bit, action transfer { latency = 3 ns } }"},
    ],
    ids=str,
)
def test_what_is_slower_or_narrower_never_shortens_a_chain(slower: dict[str, object]) -> None:
    plain, other = (
        report(chip(CHAIN.format(**(FAST | change))), table((16, 8, 4)), schedule="layers")
        for change in ({}, slower)
    )
    assert plain.cycles <= other.cycles


# What is paid for time --------------------------------------------------------------------------


def idle(body: str) -> Report:
    """5 products of 10 ns on one array, each with 4 conversions at 1 GHz behind it: 70 ns."""
    system = chip(f"""
        part array: crossbar {{
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read {{ latency = 10 ns, energy = 1 pJ }}
        }}
        part adc[2]: adc {{ rate = 0.5 GHz, action convert {{ energy = 0 J }}, {body} }}
        connect array -> adc[*]
    """)
    found = simulate(system, table((4, 4, 5)))
    assert found.cycles == 70
    return found


def test_idle_power_is_paid_beside_leakage_while_a_part_is_not_busy() -> None:
    # both converters are busy 4 ns of 14, 20 ns in all, and rest 50 ns:
    # leakage 2 x 70 ns x 3 mW = 420 pJ, idle 2 x 50 ns x 1 mW = 100 pJ
    found = idle("leakage = 3 mW, idle_power = 1 mW")
    assert rows(found)["adc", "leakage"] == pytest.approx(420e-12, rel=1e-12)
    assert rows(found)["adc", "idle"] == pytest.approx(100e-12, rel=1e-12)
    assert found.static_joules == pytest.approx(520e-12, rel=1e-12)


def test_a_gated_part_pays_gated_leakage_in_place_of_both() -> None:
    # leakage while busy, 2 x 20 ns x 3 mW = 120 pJ; gated, 2 x 50 ns x 0.1 mW = 10 pJ
    found = idle("leakage = 3 mW, idle_power = 1 mW, gated_leakage = 0.1 mW")
    assert rows(found)["adc", "leakage"] == pytest.approx(120e-12, rel=1e-12)
    assert rows(found)["adc", "gated"] == pytest.approx(10e-12, rel=1e-12)
    assert ("adc", "idle") not in rows(found)


def test_what_is_switched_off_whole_pays_nothing_while_it_rests() -> None:
    found = idle("leakage = 3 mW, gated_leakage = 0 W")
    assert rows(found)["adc", "leakage"] == pytest.approx(120e-12, rel=1e-12)
    assert rows(found)["adc", "gated"] == 0.0


def test_a_block_is_busy_as_long_as_the_busiest_part_inside() -> None:
    # two tiles with an array each, held 14 ns a product: 70 ns by l1, then 42 ns by l2; a tile
    # leaks 3 mW while it works, and 0.1 mW while the other does
    system = chip(
        """
        part tile[2]: Tile { leakage = 3 mW, gated_leakage = 0.1 mW }
        """,
        components="""
        component Tile is block {
            part array: crossbar {
                rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
                action read { latency = 10 ns, energy = 1 pJ }
            }
            part adc: adc { rate = 1 GHz, action convert { energy = 0 J } }
            connect array -> adc
        }
        """,
    )
    found = simulate(system, table((4, 4, 5), (4, 4, 3)), schedule="layers")
    assert found.cycles == 70 + 42
    assert rows(found)["tile", "leakage"] == pytest.approx(112e-9 * 3e-3, rel=1e-12)
    assert rows(found)["tile", "gated"] == pytest.approx(112e-9 * 0.1e-3, rel=1e-12)


def test_a_part_that_does_nothing_is_idle_all_the_time() -> None:
    found = report(priced(more="part spare[3]: block { idle_power = 1 mW }"))
    assert rows(found)["spare", "idle"] == pytest.approx(3e-3 * found.seconds, rel=1e-12)


def test_an_adder_behind_a_converter_is_busy_while_this_converts() -> None:
    # it joins what the converter gives: busy 4 of every 14 ns, idle for 50 ns of 1 mW
    system = chip("""
        part array: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 10 ns, energy = 1 pJ }
        }
        part adc: adc { rate = 1 GHz, action convert { energy = 0 J } }
        part sum: shift_add { idle_power = 1 mW, action add { energy = 0 J } }
        connect array -> adc -> sum
    """)
    found = simulate(system, table((4, 4, 5)))
    assert found.cycles == 70
    assert rows(found)["sum", "idle"] == pytest.approx(50e-12, rel=1e-12)


def test_all_adders_behind_an_array_s_converters_pay_their_power() -> None:
    # 4 converters, an adder each: 5 bursts of one turn, 1 ns, keep 4 adders of 1 mW busy
    system = chip("""
        part array: crossbar {
            rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell
            action read { latency = 10 ns, energy = 1 pJ }
        }
        part adc[4]: adc { rate = 1 GHz, action convert { energy = 0 J } }
        part sum[4]: shift_add { power = 1 mW }
        connect array -> adc[*] -> sum[*]
    """)
    found = simulate(system, table((4, 4, 5)))
    assert found.cycles == 5 * 11
    assert rows(found)["sum", "add"] == pytest.approx(5 * 4 * 1e-12, rel=1e-12)


# Off the chip -----------------------------------------------------------------------------------


def test_memory_and_links_beside_the_chip_are_told_apart() -> None:
    # 3 products of 8 inputs of 4 bits: a word of 32 bits each from the memory, over the link
    system = chip("""
        part memory: dram { width = 32 bit, action read { energy = 100 pJ } }
        part wires: link { width = 32 bit, off_chip = true, action transfer { energy = 7 pJ } }
        part maps: buffer { size = 1 KiB, width = 32 bit }
        part array: crossbar {
            rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell
            action read { latency = 1 ns, energy = 2 pJ }
        }
        connect memory -> wires -> maps -> array
    """.replace("width = 32 bit }", "width = 32 bit, action read { energy = 0 J }\n"
                "action write { energy = 0 J } }"))  # fmt: skip
    found = report(system, table((8, 8, 3)))
    assert found.off_chip_joules == pytest.approx(3 * 107e-12)
    assert found.on_chip_joules == pytest.approx(3 * 2e-12)
    off = dict(zip(found.parts["path"], found.parts["off_chip"].tolist(), strict=True))
    assert off == {"": 0, "memory": 1, "wires": 1, "maps": 0, "array": 0}


# Stated or modelled -----------------------------------------------------------------------------


def test_areas_and_leakages_say_where_they_come_from() -> None:
    found = report(priced(more="part spare: block { area = 2 mm^2, leakage = 1 mW }"))
    parts = found.to_pandas("parts").set_index("path")
    assert parts.loc["spare", ["area_origin", "leakage_origin"]].tolist() == ["stated", "stated"]
    assert parts.loc["array", ["area_origin", "leakage_origin"]].tolist() == ["", "stated"]
    assert parts.loc["spare", "leakage_mW"] == 1.0


MODELLED = """
        node = 32 nm
        part array: crossbar {
            rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell, area = 1 mm^2
            leakage = 0 W
            action read { latency = 1 ns, energy = 2 pJ }
        }
        part adc: adc { rate = 1 GHz, bits = 8 }
        connect array -> adc
"""


def test_what_a_model_gave_is_told_as_such() -> None:
    found = report(chip(MODELLED), table((8, 6, 10)))
    parts = found.to_pandas("parts").set_index("path")
    assert parts.loc["adc", "area_origin"].startswith("model ")
    assert parts.loc["array", "area_origin"] == "stated"
    assert found.modelled_area == pytest.approx(parts.loc["adc", "area_mm2"] / 1e6)
    energy = found.to_pandas("ledger").set_index("part")
    assert energy.loc["adc", "origin"].tolist()[0].startswith("model ")
    assert found.modelled_joules is not None
    assert 0 < found.modelled_joules < found.joules  # type: ignore[operator]


def told(found: Report) -> dict[str, str]:
    """The summary: label to value and remark."""
    return {line.label.strip(): f"{line.value} {line.remark}".strip() for line in lines(found)}


def test_the_summary_tells_what_the_energy_is_made_of() -> None:
    # 868.84 pJ, of which 0.84 leak: 0.1 %; all prices are the description's
    found = told(report(priced(), table((8, 6, 10))))
    assert found["static"] == "0.1 % leakage, idle and gated, paid for time"
    assert not {"stated", "modelled", "off chip"} & set(found)
    shown = told(report(chip(MODELLED), table((8, 6, 10))))
    assert {"stated", "modelled"} <= set(shown)
    assert shown["area"].endswith("of it by cost models")


def test_efficiency_is_told_at_its_precision_and_activity() -> None:
    assert told(report(priced()))["efficiency"].endswith("TOPS/W 4-bit weights, 4-bit inputs")
    system = priced(read="1 pJ * input_density")
    given = {"l1": [0.25, 0.5], "l2": [0.25, 0.5], "l3": [0.25, 0.5]}
    found = report(system, densities=given)
    assert found.input_density == 0.25
    assert found.weight_density is None
    assert told(found)["efficiency"].endswith("4-bit weights, 4-bit inputs, inputs 25.0 % full")


def test_the_report_tells_what_is_not_to_be_relied_on_and_strict_refuses_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, network = tmp_path / "chip.cimarch", tmp_path / "net.json"
    body = MODELLED.replace("32 nm", "4 nm").replace("columns = 8", "columns = 16")
    head = "from std import crossbar, adc\nsystem Chip {\n    clock = 1 GHz"
    file.write_text(f"{head}{body}}}\n")
    network.write_text('[{"kind": "linear", "inputs": 8, "outputs": 6}]')
    assert main(["sim", str(file), str(network), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = enumerate(file.read_text().splitlines(), start=1)
    (line,) = (number for number, text in lines if "node = 4 nm" in text)
    (sentence,) = (each for each in found["warnings"] if "`adc`: node 4 nm" in each)
    assert sentence.startswith(f"{file}:{line}: ")
    assert all(each.endswith(" (W001)") for each in found["warnings"])
    assert main(["sim", str(file), str(network)]) == 0
    assert f"Warnings ({len(found['warnings'])})" in capsys.readouterr().out
    assert main(["sim", str(file), str(network), "--strict"]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "error[E910]: warned of under --strict: `adc`: " in printed.err
