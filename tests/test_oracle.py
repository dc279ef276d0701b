"""An independent simulator of tiny chips agrees with the program and its engine.

The oracle (tests/oracle) runs a placement word line by word line, one process per part; the program
merges what it may into fewer tasks, in closed form. Totals, the end of every layer, the busy cycles
of every part and the count of every action must be the same.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import cimarch
from cimarch.engine import run
from cimarch.engine.tasks import Timeline
from cimarch.mapping.placement import Placement, place
from cimarch.mapping.precision import precision
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program, load_program, program
from cimarch.workload.network import Network
from oracle import chip, networks
from oracle.descriptions import CHIPS

NETWORKS = {
    "table": networks.table((40, 5, 3), (5, 9, 2)),
    "perceptron": networks.mlp(),
    "convolutions": networks.convolutions(),
    "residual": networks.residual(),
}
MERGED = ("crossbar", "digital_array", "adc")
"""Kinds whose single reads and bursts the program merges: the time that they are held differs."""
CASES = [
    (name, network)
    for name in CHIPS
    for network in NETWORKS
    if (name, network) not in {("analog", "convolutions"), ("analog, slow maps", "convolutions")}
    and (not name.startswith("tiles") or network in ("table", "perceptron"))
]
"""No adder joins the four row blocks of `convolutions` on `analog`; on `tiles` maps take long."""


def placed(text: str, network: Network) -> Placement:
    """A network on a chip, 4-bit weights and inputs."""
    return place(cimarch.loads(text), network, precision(network, 4, 4), input_bits=4)


def product(placement: Placement, **options: object) -> tuple[Program, Timeline]:
    """What cimarch finds."""
    written = program(placement, **options)  # type: ignore[arg-type]
    return written, run(written.tasks, "simpy")


def busy(written: Program, timeline: Timeline) -> dict[str, int]:
    """Busy cycles by resource."""
    kinds = {part.path: part.kind for part in written.placement.system.walk()}
    held = zip(written.resources, timeline.busy.tolist(), strict=True)
    return {str(at): n for at, n in held if kinds.get(at.path) not in MERGED}


def counts(written: Program, timeline: Timeline) -> dict[tuple[str, str], int]:
    """How often each part did each action."""
    found: dict[tuple[str, str], int] = {}
    for entry in Ledger(written, timeline).entries():
        if entry.action != "leakage":
            key = (entry.part, entry.action)
            found[key] = found.get(key, 0) + entry.count
    return found


def agree(placement: Placement, **options: object) -> None:
    """Assert that both find the same."""
    written, timeline = product(placement, **options)
    found = chip.run(placement, **options)  # type: ignore[arg-type]
    assert timeline.makespan == found.cycles
    operation = written.columns["operation"]
    for site, (_, end) in found.layers.items():
        assert timeline.finish[operation == site].max() == end
    kinds = {part.path: part.kind for part in placement.system.walk()}
    held = {str(at): n for at, n in found.busy.items() if kinds.get(at.path) not in MERGED}
    assert busy(written, timeline) == held
    assert counts(written, timeline) == found.counts


@pytest.mark.parametrize(("name", "network"), CASES)
def test_the_oracle_agrees(name: str, network: str) -> None:
    agree(placed(CHIPS[name], NETWORKS[network]))


@pytest.mark.parametrize("name", ["hold", "macro", "linked", "linked, written by cells", "analog"])
def test_the_oracle_agrees_on_a_batch_that_begins_with_its_weights(name: str) -> None:
    agree(placed(CHIPS[name], NETWORKS["perceptron"]), batch=3, weights="cold")


def test_three_groups_of_weights_are_written_in_turn() -> None:
    placement = placed(CHIPS["linked"], networks.table((20, 12, 2), (12, 6, 2)))
    assert placement.groups == 3
    agree(placement)


@pytest.mark.parametrize("name", ["bare", "macro", "tiles", "analog", "digital"])
def test_the_oracle_agrees_on_a_load(name: str) -> None:
    placement = placed(CHIPS[name], NETWORKS["table"])
    written = load_program(placement)
    assert run(written.tasks).makespan == chip.load(placement).cycles


def test_a_cross_tile_transfer_takes_the_mesh() -> None:
    placement = placed(CHIPS["tiles"], NETWORKS["perceptron"])
    assert chip.run(placement).counts["noc", "hop"] > 0
    assert len({int(a) // 6 for a in placement.tiles.array}) == 2


def test_the_oracle_knows_nothing_of_programs_and_engines() -> None:
    for path in (Path(__file__).parent / "oracle").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert not any(n.startswith(("cimarch.program", "cimarch.engine")) for n in names)


# What is right, worked by hand, where the two do not agree

ONE = """
from std import crossbar, digital_array, dac, sample_hold, adc, buffer, unit, bus, link, mesh, host
system One {
    clock = 1 GHz
    %s
}
"""


def both(text: str, network: Network) -> tuple[int, int]:
    """Cycles that the oracle and the program find."""
    placement = placed(ONE % text, network)
    return chip.run(placement).cycles, product(placement)[1].makespan
