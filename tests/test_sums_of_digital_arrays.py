"""Behind digital arrays trees sum word lines, and the adders behind these slices and steps."""

from __future__ import annotations

from fractions import Fraction

import pytest

import cimarch
from chips import chip, run, table
from cimarch import simulate
from cimarch.explore.products import full_products
from cimarch.hardware.system import System

MACRO = """
    part maps: buffer {{ size = 1 KiB, width = 64 bit, action read {{ energy = 0 J }} }}
    part dac[8]: dac {{ bits = 1, action convert {{ energy = 0 J }} }}
    part array: digital_array {{
        rows = 8, columns = 16, word_lines = 4, cell_bits = 1, encoding = twos_complement
        action read {{ latency = 1 ns, energy = 0 J }}
    }}
    {adders}
    connect maps -> dac[*] -> array -> {way}
"""
TREE = "part tree[16]: adder_tree {{ bits = 3, {cost} }}\n"
JOIN = "part join: accumulator {{ bits = 24, {cost} }}\n"


def macro(tree: str | None, join: str | None) -> System:
    adders = (TREE.format(cost=tree) if tree else "") + (JOIN.format(cost=join) if join else "")
    way = " -> ".join(["tree[*]"] * bool(tree) + ["join"] * bool(join))
    return chip(MACRO.format(adders=adders, way=way))


def test_a_tree_adds_for_each_line_and_read_and_so_does_what_joins_its_sums() -> None:
    # 2 groups of 4 word lines x 4 steps x 16 lines: 128 sums of 2 pJ, 128 additions of 1 pJ.
    costs = "action add { energy = 2 pJ }", "action add { energy = 1 pJ }"
    (found,) = full_products(macro(*costs), 4, 4)
    assert {(c.part, c.count) for (charges,) in [found.charges] for c in charges} == {
        ("array", 8), ("dac", 32), ("tree", 128), ("join", 128),
    }  # fmt: skip
    assert found.joules == Fraction(128 * 3, 10**12)


def test_an_adder_alone_joins_what_the_array_sums_by_itself() -> None:
    (found,) = full_products(macro(None, "action add { energy = 1 pJ }"), 4, 4)
    assert found.joules == Fraction(128, 10**12)


def test_a_power_is_paid_by_all_trees_while_the_array_is_read() -> None:
    # 8 reads of 1 ns by 16 trees of 1 mW, and by one adder of 2 mW.
    (found,) = full_products(macro("power = 1 mW", "power = 2 mW"), 4, 4)
    assert found.joules == Fraction(8 * (16 + 2), 10**12)


def test_what_stands_still_between_reads_pays_idle_power() -> None:
    # 5 products of 8 reads keep the tree busy for 40 ns of the run.
    system = macro("idle_power = 1 mW, action add { energy = 0 J }", "action add { energy = 0 J }")
    found = simulate(system, table((8, 4, 5)), weight_bits=4, input_bits=4)
    spent = sum(
        joules
        for part, action, joules in zip(
            found.energy["part"], found.energy["action"], found.energy["joules"], strict=True
        )
        if (part, action) == ("tree", "idle")
    )
    assert spent == pytest.approx(16 * 1e-3 * (found.cycles - 40) * 1e-9)


def test_what_joins_the_sums_of_a_tree_says_how_wide_they_may_be() -> None:
    costs = ("action add { energy = 0 J }",) * 2
    done = run(macro(*costs), table((8, 4, 5)))
    wiring = done.placement.wirings[0]
    assert [part and part.path for part in (wiring.tree, wiring.merger)] == ["tree", "join"]


@pytest.mark.parametrize("name", ["small", "hybrid"])
def test_bundled_digital_arrays_pay_for_their_trees(name: str) -> None:
    for found in full_products(cimarch.load(name)):
        if found.pool.endswith("array"):
            trees = [c for c in found.charges[0] if c.part.endswith("tree")]
            assert found.joules is not None
            assert sum(c.joules or 0 for c in trees) > found.joules / 2
