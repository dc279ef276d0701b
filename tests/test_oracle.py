"""An independent simulator of tiny chips agrees with the program and its engine.

The oracle (tests/oracle) runs a placement word line by word line, one process per part; the program
merges what it may into fewer tasks, in closed form. Totals, the end of every layer, the busy cycles
of every part and the count of every action must be the same; layer by layer, and in a pipeline,
where the oracle finds for itself which rows a row reads, when they are made and when they are free.
"""

from __future__ import annotations

import ast
from pathlib import Path
from random import Random

import attrs
import pytest

import cimarch
from cimarch.engine import run
from cimarch.engine.outcome import outcome
from cimarch.engine.tasks import Timeline
from cimarch.mapping.assign import Asked
from cimarch.mapping.place import place
from cimarch.mapping.placement import Placement
from cimarch.mapping.precision import precision
from cimarch.program.ledger import Ledger
from cimarch.program.program import Program, load_program, program
from cimarch.workload.network import Network
from oracle import chip, descriptions, networks
from oracle.descriptions import CHIPS, any_chip

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


def placed(text: str, network: Network, bits: int = 4, **options: object) -> Placement:
    """A network on a chip, with the same bits for weights and inputs."""
    chosen = precision(network, bits, bits)
    return place(cimarch.loads(text), network, chosen, input_bits=bits, **options)  # type: ignore[arg-type]


def product(placement: Placement, **options: object) -> tuple[Program, Timeline]:
    """What cimarch finds."""
    written = program(placement, **options)  # type: ignore[arg-type]
    return written, run(written.tasks, "simpy")


def busy(written: Program, timeline: Timeline) -> dict[str, int]:
    """Busy cycles by resource."""
    kinds = {part.path: part.kind for part in written.placement.system.walk()}
    held = zip(written.resources, timeline.busy.tolist(), strict=True)
    return {str(at): n for at, n in held if kinds.get(at.path) not in MERGED}


def longest(written: Program, timeline: Timeline) -> dict[str, int]:
    """Busy cycles of the busiest member of each part whose work is merged, as reported."""
    ledger = Ledger(written, outcome(written.work, timeline))
    parts = ledger.parts(ledger.entries())
    return {str(p["path"]): int(str(p["busy_cycles"])) for p in parts if p["kind"] in MERGED}


def most(placement: Placement, found: chip.Outcome) -> dict[str, int]:
    """The same of the oracle."""
    return {
        part.path: max((n for at, n in found.busy.items() if at.path == part.path), default=0)
        for part in placement.system.of_kind(*MERGED)
    }


def counts(written: Program, timeline: Timeline) -> dict[tuple[str, str], int]:
    """How often each part did each action."""
    found: dict[tuple[str, str], int] = {}
    for entry in Ledger(written, outcome(written.work, timeline)).entries():
        if entry.action != "leakage":
            key = (entry.part, entry.action)
            found[key] = found.get(key, 0) + entry.count
    return found


def agree(placement: Placement, *, rounded: bool = False, **options: object) -> None:
    """Assert that both find the same; `rounded` where single bursts end within cycles."""
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
    if not rounded:
        assert longest(written, timeline) == most(placement, found)


@pytest.mark.parametrize(("name", "network"), CASES)
def test_the_oracle_agrees(name: str, network: str) -> None:
    agree(placed(CHIPS[name], NETWORKS[network]), rounded="fractions" in name)


@pytest.mark.parametrize("name", ["hold", "macro", "linked", "linked, written by cells", "analog"])
def test_the_oracle_agrees_on_a_batch_that_begins_with_its_weights(name: str) -> None:
    agree(placed(CHIPS[name], NETWORKS["perceptron"]), batch=3, weights="cold")


@pytest.mark.parametrize("seed", range(40))
def test_the_oracle_agrees_on_chips_and_networks_as_they_fall(seed: int) -> None:
    draw = Random(seed)
    text, network = any_chip(draw), networks.any_network(draw)
    bits = precision(network, draw.randint(1, 8), draw.randint(1, 8))
    try:
        placement = place(cimarch.loads(text), network, bits, input_bits=8)
    except cimarch.DescriptionError:
        pytest.skip("the network does not fit the chip")
    if "noc" in text and placement.groups > 1:
        pytest.skip("rows that arrive slower than a part moves them leave gaps for others")
    agree(placement, rounded=True, batch=draw.randint(1, 2))


# Rows in a pipeline -----------------------------------------------------------------------------


def piped(text: str, network: Network, size: int, bits: int = 4, **options: object) -> Placement:
    """The same in a pipeline, with buffers of so many bytes."""
    sized = text.replace("SIZE", f"{size} B")
    return placed(sized, network, bits, schedule="pipeline", **options)


def least(text: str, network: Network, bits: int = 4, **options: object) -> int:
    """Bytes that the buffers must have: as many fit, one less does not."""

    def fits(size: int) -> bool:
        try:
            piped(text, network, size, bits, **options)
        except cimarch.DescriptionError:
            return False
        return True

    low, high = 0, 1
    while not fits(high):
        low, high = high, 2 * high
        assert high < 5000, "it fits in no buffer"
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if fits(middle) else (middle, high)
    return high


@pytest.mark.parametrize("network", networks.ROWS)
@pytest.mark.parametrize("name", descriptions.ROWS)
def test_the_oracle_agrees_on_a_pipeline(name: str, network: str) -> None:
    text, chosen = descriptions.ROWS[name], networks.ROWS[network]
    size = least(text, chosen)
    agree(piped(text, chosen, size), rounded=True, batch=2)
    if name == "shared":
        agree(piped(text, chosen, size + size // 3), rounded=True)


@pytest.mark.parametrize("network", ["chain", "residual of stride 2", "tokens"])
def test_the_oracle_agrees_on_a_pipeline_with_room_for_all(network: str) -> None:
    placement = piped(descriptions.SHARED, networks.ROWS[network], 3000)
    agree(placement, rounded=True, batch=3, weights="cold")


@pytest.mark.parametrize("name", ["hold", "macro", "macro, rows kept", "linked", "digital"])
def test_the_oracle_agrees_on_chips_where_whole_tensors_have_room(name: str) -> None:
    for network in ("convolutions", "residual"):
        agree(placed(CHIPS[name], NETWORKS[network], schedule="pipeline"), batch=2)


@pytest.mark.parametrize("seed", range(20))
def test_the_oracle_agrees_on_pipelines_as_they_fall(seed: int) -> None:
    draw = Random(seed)
    text, network = descriptions.any_rows(draw), networks.any_rows(draw)
    bits = draw.choice([2, 4, 4, 6])
    size = least(text, network, bits) + draw.choice([0, 0, 1, 5, 20, 2000])
    agree(piped(text, network, size, bits), rounded=True, batch=draw.randint(1, 3))


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("copies", [{"start": 2}, {"inner": 3, "outer": 2}, "fill"])
def test_the_oracle_agrees_where_weights_are_held_several_times(
    copies: object, schedule: str
) -> None:
    text, network = descriptions.SHARED, networks.ROWS["residual of stride 2"]
    asked = Asked(duplicate=copies)
    size = least(text, network, asked=asked)
    sized = text.replace("SIZE", f"{size if schedule == 'pipeline' else 3000} B")
    agree(placed(sized, network, schedule=schedule, asked=asked), rounded=True, batch=2)


@pytest.mark.parametrize("seed", range(12))
def test_the_oracle_agrees_on_copies_as_they_fall(seed: int) -> None:
    draw = Random(seed)
    text, network = descriptions.any_rows(draw), networks.any_rows(draw)
    asked = Asked(duplicate=draw.choice(["fill", "balance"]))
    size = least(text, network, asked=asked)
    agree(piped(text, network, size, asked=asked), rounded=True, batch=draw.randint(1, 3))


@pytest.mark.xfail(strict=True, reason="two operands of one row are waited for together")
def test_a_residual_is_fetched_when_its_own_rows_are_made() -> None:
    text, network = descriptions.SHARED, networks.two_residuals()
    agree(piped(text, network, least(text, network)), rounded=True)


def test_a_row_that_reads_only_padding_waits_for_nothing() -> None:
    text, network = descriptions.APART, networks.bordered()
    agree(piped(text, network, least(text, network)), rounded=True)


def test_of_a_window_the_fetches_of_all_tiles_come_before_the_products() -> None:
    # Ready in one cycle at the buffer that both tiles of a window are staged in: the reading of
    # the first tile's inputs for its product, and the last step of fetching the second one's.
    draw = Random(1014)
    text, network = descriptions.any_rows(draw), networks.any_rows(draw)
    agree(piped(text, network, 2009, draw.choice([2, 4, 4, 6])), rounded=True)


def test_three_groups_of_weights_are_written_in_turn() -> None:
    placement = placed(CHIPS["linked"], networks.table((20, 24, 2), (24, 6, 2)))
    assert placement.groups == 3
    agree(placement)


@pytest.mark.xfail(strict=True, reason="a write goes at the pace of its way, rows there or not")
def test_rows_that_came_while_their_array_was_written_are_written_at_once() -> None:
    # Two positions on one array: rows of one cell come after 1 and 2, and are written from 1 to 7;
    # rows of four come after 6 and 10. They are written from 7 to 13.
    parts = """
    part high: Cells {
        rows = 2, columns = 5, cell_bits = 8, serves = weight_bits > 4
        action write { latency = 3 ns }
    }
    part low[4]: Cells { rows = 2, columns = 5, serves = weight_bits <= 4 }
    part gate: link { width = 8 bit, rate = 1 GHz }
    part sum: accumulator
    connect gate -> high.write
    connect high -> sum
    connect low[*] -> sum
    """
    make = networks.Maker()
    network = make.done(make.conv("conv", make.input(2, 2, 3), 4, 2))
    strips = {"bits": [8, 4], "levels": ["0111", "0000", "1111", "1111"]}
    bits = precision(network, 8, 4, {"conv": {"strips": strips}})
    text = f"from std import accumulator\n{ONE % parts}"
    placement = place(cimarch.loads(text), network, bits, input_bits=4)
    assert chip.load(placement).cycles == 13
    assert run(load_program(placement).tasks).makespan == 13


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


# Small chips whose right answer is worked by hand


ONE = """
from std import crossbar, digital_array, dac, sample_hold, adc, buffer, unit, bus, link, mesh, host
component Cells is crossbar {
    cell_bits = 4, encoding = signed_cell
    action read { latency = 1 ns }
}
system One {
    clock = 1 GHz
    %s
}
"""


@attrs.frozen
class Story:
    """A chip, a network, and how many cycles it takes."""

    parts: str
    network: Network
    cycles: int


def two_inputs() -> Network:
    """Four rows of one input, two of another."""
    make = networks.Maker()
    first, second = make.input(4, 2), make.input(2, 2)
    return make.done(make.linear("first", first, 2), make.linear("second", second, 2))


def rectified() -> Network:
    """One layer with a relu."""
    make = networks.Maker()
    return make.done(make.relu(make.linear("layer", make.input(1, 4), 2)))


STORIES = {
    # 2 sums of 10 bits are 2 words: read 1, written 2, read out 2, relu 2
    "a buffer right behind an array is written": Story(
        """
    part x: digital_array {
        rows = 4, columns = 2, cell_bits = 4, encoding = signed_cell
        action read { latency = 1 ns }
    }
    part out: buffer { size = 8 B, width = 16 bit }
    part vec: unit { does = [relu] }
    connect x -> out -> vec
    """,
        rectified(),
        7,
    ),
    # 16 bits are one word of the maps and 4 of the bus: 1 + 4, then both arrays read
    "a bus brings two arrays the same data at once": Story(
        """
    part maps: buffer { size = 64 B, width = 16 bit }
    part bus: bus { width = 4 bit }
    part x[2]: Cells { rows = 4, columns = 2 }
    connect maps -> bus -> x[*]
    """,
        networks.table((4, 4, 1)),
        6,
    ),
    # a read of 1 and a burst of 4, twice
    "without a hold an array waits for shared converters": Story(
        """
    part x[2]: Cells { rows = 4, columns = 4 }
    part adc: adc { rate = 1 GHz }
    connect x[*] -> adc
    """,
        networks.table((4, 4, 2)),
        10,
    ),
    # reads at 0, 4, 12 (the burst before starts at 9) and 16; bursts of 5 from 4, 9, 16 and 21
    "every read of an array with a clock of its own starts on its edges": Story(
        """
    part dac[4]: dac { bits = 1 }
    part x: Cells {
        rows = 4, columns = 5, clock = 250 MHz
        action read { latency = 4 ns }
    }
    part hold[5]: sample_hold
    part adc: adc { rate = 1 GHz }
    connect dac[*] -> x -> hold[*] -> adc
    """,
        networks.table((4, 5, 1)),
        26,
    ),
    # one word of the maps; the first of 6 words after 10, the others 2 each; a read
    "the latency of a link comes before its first word": Story(
        """
    part maps: buffer { size = 64 B, width = 64 bit }
    part wire: link { width = 4 bit, rate = 500 MHz, action transfer { latency = 10 ns } }
    part x: Cells { rows = 8, columns = 2 }
    connect maps -> wire -> x
    """,
        networks.table((6, 2, 1)),
        22,
    ),
    # node 3 is two links away, the first in use for node 1 from 2 to 8: 8 + 2 x 3 + 5, then
    # a word written and a read
    "a mesh link is held for as many cycles as flits": Story(
        """
    part maps: buffer { size = 64 B, width = 64 bit }
    part noc: mesh { nodes = 4, width = 4 bit, hop = 3 cycle }
    part far[4]: buffer { size = 2 B, width = 64 bit }
    part x[4]: Cells { rows = 8, columns = 2 }
    connect maps -> noc
    connect noc -> far[*] -> x[*]
    """,
        networks.table((6, 8, 1)),
        21,
    ),
    # 4 + 2 rows of a word each, the last there at 7; then 4 + 2 products
    "every row of two inputs comes in": Story(
        """
    part desk: host { width = 8 bit, rate = 1 GHz }
    part maps: buffer { size = 64 B, width = 8 bit }
    part x[2]: Cells { rows = 4, columns = 2 }
    connect desk -> maps -> x[*]
    """,
        two_inputs(),
        13,
    ),
    # rows come after 2 and 4, the last is written from 4 to 5.5: 6 cycles and a product, twice
    "a row is written from when it comes": Story(
        """
    part gate: link { width = 4 bit, rate = 1 GHz }
    part x: Cells { rows = 2, columns = 2, action write { latency = 1.5 ns } }
    connect gate -> x.write
    """,
        networks.table((2, 2, 1), (2, 2, 1)),
        2 * (6 + 1),
    ),
    # the last row is on `slow` from 2 to 4, on `quick` from 4 to 5.5, and written from 6 to 7
    "a row crosses a part from when it comes": Story(
        """
    part slow: link { width = 4 bit, rate = 1 GHz }
    part quick: bus { width = 8 bit, action transfer { latency = 1.5 ns } }
    part x: Cells { rows = 2, columns = 2, action write { latency = 1 ns } }
    connect slow -> quick -> x.write
    """,
        networks.table((2, 2, 1), (2, 2, 1)),
        2 * (7 + 1),
    ),
    # 4 rows written and a product, 5; 11 bits of a sum over the bus and into the maps, 8; the same
    # again, 13; the new sum over the bus, 15, the old out of the maps, 16, added, 17, stored
    "a sum that waits for the next group is read when it is wanted": Story(
        """
    part maps: buffer { size = 64 B, width = 64 bit }
    part x: Cells { rows = 4, columns = 1 }
    part wires: bus { width = 8 bit }
    part vec: unit { does = [add] }
    connect maps -> x -> wires -> vec -> maps
    connect maps -> vec
    """,
        networks.table((8, 1, 1)),
        18,
    ),
}


@pytest.mark.parametrize("name", STORIES)
def test_the_oracle_finds_what_is_worked_by_hand(name: str) -> None:
    story = STORIES[name]
    assert chip.run(placed(ONE % story.parts, story.network)).cycles == story.cycles


@pytest.mark.parametrize("name", STORIES)
def test_the_program_finds_what_is_worked_by_hand(name: str) -> None:
    story = STORIES[name]
    agree(placed(ONE % story.parts, story.network))
