"""Operands that are known only at run time, written into arrays: stories worked out by hand."""

from __future__ import annotations

import json
from itertools import product

import pytest

import cimarch
from attention import attend
from chips import Run, chip, run
from cimarch import DescriptionError, read_network, simulate
from cimarch.cli import main
from cimarch.hardware.system import System
from cimarch.mapping.saved import to_dict
from cimarch.program.context import Options
from cimarch.report.map import operations
from cimarch.workload.attention import lowered
from cimarch.workload.blocks import build, decode, prefill
from cimarch.workload.network import Network
from cimarch.workload.transformer import Transformer

TINY = Transformer(
    "tiny", "llama", "language", layers=1, width=8, heads=4, kv_heads=2, head_dim=2, hidden=12,
    positions=64, function="silu", vocabulary=10, attention_bias=False, out_bias=False,
    mlp_bias=False,
)  # fmt: skip


def desk(*, arrays: int = 8, per: str = "row", more: str = "", write: str = "store") -> System:
    """Arrays of 4 x 4 cells, a number of 4 bits each: a read takes 2 cycles, a write 3.

    Queries and probabilities come from `maps`, keys and values from `store`, a word of 32 bits a
    cycle; a softmax takes a cycle an element.
    """
    return chip(f"""
    part maps: buffer {{ size = 1 KiB, width = 32 bit }}
    part store: buffer {{ size = 1 KiB, width = 32 bit }}
    part array[{arrays}]: crossbar {{
        rows = 4, columns = 4, cell_bits = 4, encoding = signed_cell, operands = true
        write_per = {per}
        action read {{ latency = 2 ns }}
        action write {{ latency = 3 ns, energy = 1 pJ }}
        {more}
    }}
    part soft: unit {{ does = [softmax] }}
    connect maps -> array[*] -> soft -> maps
    connect {write} -> array[*].write
    """)


def written(system: System, network: Network, **options: object) -> Run:
    """A run, checked, with operands in arrays."""
    return run(system, lowered(network, attention="written"), **options)  # type: ignore[arg-type]


def on(found: Run, array: int, kind: str) -> list[tuple[int, int]]:
    """(start, finish) of the tasks of a kind on an array."""
    tiles = found.placement.tiles.array[found.program.columns["tile"]]
    timeline = found.timeline
    return [
        (int(timeline.start[t]), int(timeline.finish[t]))
        for t in found.at("array", kind)
        if tiles[t] == array
    ]


# Keys and values in time ------------------------------------------------------------------------


def test_a_key_is_a_column_and_a_value_a_row() -> None:
    # Layer by layer, one head, 3 tokens. A key leaves the store in 1 cycle and is 2 cells of a
    # column on 2 word lines: 2 writes, 6 cycles. The next key comes as soon as its write begins.
    found = written(desk(), attend(3, heads=1, kv_heads=1))
    assert found.spans("store", "load")[:3] == [(0, 1), (1, 2), (7, 8)]
    assert on(found, 0, "write") == [(1, 7), (7, 13), (13, 19)]
    # Then the products of 3 queries; a softmax of 2 keys on average is 2 cycles, its store 1.
    assert on(found, 0, "product") == [(19, 21), (21, 23), (23, 25)]
    assert found.spans("soft", "unit") == [(21, 23), (23, 25), (25, 27)]
    # A value is a row: one write. 28 + 1, 3 writes of 3, 3 products of 2, and the last result.
    assert on(found, 1, "write") == [(29, 32), (32, 35), (35, 38)]
    assert on(found, 1, "product") == [(38, 40), (40, 42), (42, 44)]
    assert found.cycles == 28 + 1 + 9 + 6 + 1


def test_a_key_is_written_when_the_rows_that_do_not_need_it_are_done() -> None:
    # In a pipeline token t is put to keys 0 to t: write, product, write, product, ...
    found = written(desk(), attend(3, heads=1, kv_heads=1), schedule="pipeline")
    assert on(found, 0, "write") == [(1, 7), (9, 15), (17, 23)]
    assert on(found, 0, "product") == [(7, 9), (15, 17), (23, 25)]
    # Its probabilities are there after a softmax of 2 and a store of 1, its value long before.
    assert on(found, 1, "write") == [(2, 5), (14, 17), (22, 25)]
    assert on(found, 1, "product") == [(12, 14), (20, 22), (28, 30)]
    assert found.cycles == 31


def test_without_a_causal_mask_all_keys_are_written_before_the_first_product() -> None:
    found = written(desk(), attend(3, heads=1, kv_heads=1, causal=False), schedule="pipeline")
    assert on(found, 0, "write") == [(1, 7), (7, 13), (13, 19)]
    assert on(found, 0, "product") == [(19, 21), (21, 23), (23, 25)]


def test_the_next_inference_writes_when_the_last_row_is_done() -> None:
    # 3 keys and 3 products of an inference hold the array of keys 24 cycles from cycle 1 on; those
    # of the next follow at once.
    found = written(desk(), attend(3, heads=1, kv_heads=1), schedule="pipeline", batch=2)
    assert on(found, 0, "write") == [(1, 7), (9, 15), (17, 23), (25, 31), (33, 39), (41, 47)]
    assert on(found, 0, "product")[-1] == (47, 49)
    assert found.cycles == 31 + 24


def test_a_head_has_arrays_of_its_own_and_works_beside_the_others() -> None:
    found = written(desk(), attend(3))
    assert found.writes() == {0: 3, 1: 3, 2: 3, 3: 3}
    assert on(found, 0, "write") == [(1, 7), (7, 13), (13, 19)]
    assert on(found, 1, "write") == [(2, 8), (8, 14), (14, 20)]


def test_heads_that_share_keys_are_put_to_the_same_arrays() -> None:
    # 4 heads, 2 of keys: each key is written once, 2 queries a token are put to it.
    found = written(desk(), attend(3, heads=4, kv_heads=2))
    assert found.writes() == {0: 3, 1: 3, 2: 3, 3: 3}
    assert [found.layer(f"sdpa.{name}")["products"] for name in ("scores", "values")] == [12, 12]
    assert len(on(found, 0, "product")) == 3 * 2


def test_keys_of_earlier_tokens_are_in_the_arrays_already() -> None:
    # 5 keys, then one more: column 1 of the second array of a head, and row 1 of its values'.
    found = written(desk(arrays=16), attend(1, earlier=5), schedule="pipeline")
    assert found.placement.crossbars == 8
    assert found.writes() == {1: 1, 3: 1, 5: 1, 7: 1}
    assert found.count("array", "write") == 2 * 2 + 2 * 1
    assert len(found.at("array", "product")) == 8
    (scores, values) = (p for p in found.placement.plans)
    assert scores.writing is not None
    assert (scores.writing.keys.tolist(), scores.writing.earlier) == ([5], 5)
    assert values.writing is not None
    assert values.writing.needs.tolist() == [1]


def test_tokens_behind_earlier_ones_see_these_and_themselves() -> None:
    found = written(desk(arrays=16), attend(2, earlier=3, heads=1, kv_heads=1))
    (writing, _) = (p.writing for p in found.placement.plans)
    assert writing is not None
    # 4 + 5 keys: the two tokens are one row of 9 pairs.
    assert (writing.keys.tolist(), writing.needs.tolist()) == ([3, 4], [2])
    assert found.count("soft", "compute") == 9


# What is counted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("per", "writes"), [("row", 3 * 2 * (2 + 1)), ("cell", 3 * 2 * (2 + 2)), ("array", 3 * 2 * 2)]
)
def test_writes_are_rows_cells_or_arrays(per: str, writes: int) -> None:
    """3 tokens, 2 heads of 2 numbers: a key 2 rows, a value 1; both 2 cells; both an array."""
    for schedule in ("layers", "pipeline"):
        found = written(desk(per=per), attend(3), schedule=schedule)
        assert found.count("array", "write") == writes
        assert found.joules("array", "write") == pytest.approx(writes * 1e-12)
    pulsed = written(desk(per=per, more="pulses = 3"), attend(3))
    assert pulsed.count("array", "write") == 3 * writes


def test_scores_are_counted_of_the_keys_that_are_seen() -> None:
    # 1 + 2 + 3 pairs of each of 2 heads; an array's product takes all its columns.
    found = written(desk(), attend(3))
    assert found.count("soft", "compute") == 2 * 6
    operations = [op for p in found.placement.plans for op in p.site.operations]
    assert sum(op.macs for op in operations) == 2 * (2 * 6 * 2)


def test_operands_have_their_arrays_for_themselves_and_count_as_used() -> None:
    # 2 x 3 cells of keys and 3 x 2 of values, for 2 heads, on arrays of 16 cells.
    for use in ("layer", "shared"):
        found = written(desk(more=f"array_use = {use}"), attend(3))
        assert found.placement.crossbars == 4
        assert found.placement.utilisation == (4 * 6) / (4 * 16)


def test_the_keys_of_an_inference_are_written_to_cells_of_their_own() -> None:
    # A cell is written once an inference, an array that is written whole once a key.
    for per, lives in (("row", 300), ("cell", 300), ("array", 100)):
        system = desk(per=per, more="endurance = 300")
        assert simulate(system, attend(3), weight_bits=4, input_bits=4).lifetime == lives


def test_nothing_is_written_before_a_run_where_no_weights_are() -> None:
    report = simulate(desk(), attend(3), weight_bits=4, input_bits=4)
    assert report.load_cycles == 0
    assert report.options["attention"] == "written"


# All ways of a run ------------------------------------------------------------------------------

ALL = "[embedding, norm, mul, activation, softmax, add]"
NETWORKS = {
    "prompt": prefill(TINY, 5),
    "long": prefill(TINY, 20),
    "token": decode(TINY, 9),
    "part": build(TINY, tokens=3, context=4),
}


def machine(
    array: str = "encoding = signed_cell, cell_bits = 8", *, does: str = ALL, count: int = 200,
    hold: bool = True, converters: int = 200, operands: str = "true",
) -> System:  # fmt: skip
    """Arrays of 16 x 16 cells with dacs of 4 bits and converters, around one buffer and a bus."""
    return chip(f"""
    part maps: buffer {{ size = 64 KiB, width = 64 bit }}
    part bus: bus {{ width = 32 bit }}
    part dac[{16 * count}]: dac {{ bits = 4 }}
    part array[{count}]: crossbar {{
        rows = 16, columns = 16, operands = {operands}
        {array}
        action read {{ latency = 3 ns }}
        action write {{ latency = 2 ns }}
    }}
    {f"part hold[{16 * count}]: sample_hold" if hold else ""}
    part adc[{converters}]: adc {{ rate = 1 GHz }}
    part sum: accumulator
    part vector: unit {{ lanes = 8, does = {does} }}
    connect maps -> bus -> dac[*] -> array[*] -> {"hold[*] ->" if hold else ""} adc[*]
    connect adc[*] -> sum -> vector -> maps
    connect bus -> array[*].write
    connect maps -> sum
    connect maps -> vector
    """)


@pytest.mark.parametrize("name", NETWORKS)
def test_both_schedules_engines_and_details_run_legally(name: str) -> None:
    for schedule in ("layers", "pipeline"):
        cycles = set()
        for engine, detail in product(("fast", "simpy"), ("mvm", "wordline")):
            how = Options(detail=detail)
            found = written(
                machine(), NETWORKS[name], bits=8, schedule=schedule, engine=engine, how=how
            )
            cycles.add(found.cycles)
        assert len(cycles) == 1


@pytest.mark.parametrize(
    "array",
    [
        "encoding = differential, pair = row, cell_bits = 4",
        "encoding = differential, pair = array, cell_bits = 2, write_per = cell",
        "encoding = offset_column, cell_bits = 2, packing = straddle",
        "encoding = twos_complement, cell_bits = 4, packing = straddle, write_per = cell",
        "encoding = offset, cell_bits = 8, grouped = diagonal, write_per = cell, word_lines = 4",
    ],
)
@pytest.mark.parametrize(("hold", "converters"), [(True, 200), (False, 1), (True, 2)])
def test_every_encoding_and_read_out_runs_legally(array: str, hold: bool, converters: int) -> None:
    system = machine(array, hold=hold, converters=converters)
    for schedule, granularity in (("layers", "operation"), ("pipeline", "wordline")):
        how = Options(granularity=granularity)
        found = written(system, NETWORKS["prompt"], bits=8, schedule=schedule, how=how, batch=2)
        assert found.layer("model.layers.0.self_attn.sdpa.scores")["products"]


@pytest.mark.parametrize(
    ("array", "cells"),
    [
        ("signed_cell, cell_bits = 8", 1),
        ("offset, cell_bits = 2", 4),
        ("flipped, cell_bits = 3", 3),
    ],
)
def test_cells_written_are_tokens_times_heads_of_keys_times_numbers(array: str, cells: int) -> None:
    system = machine(f"write_per = cell, packing = straddle, encoding = {array}")
    found = written(system, NETWORKS["long"], bits=8)
    assert found.count("array", "write") == 2 * 20 * 2 * 2 * cells


@pytest.mark.parametrize("count", [3, 5, 8])
def test_operands_wait_for_their_resident_group(count: int) -> None:
    for schedule, overlap in product(("layers", "pipeline"), (False, True)):
        system = machine(count=count, converters=count)
        how = Options(overlap=overlap)
        found = written(system, NETWORKS["long"], bits=8, schedule=schedule, how=how, batch=2)
        assert found.placement.groups > 1


def test_copies_of_an_operand_are_each_written() -> None:
    once = simulate(machine(), NETWORKS["prompt"])
    twice = simulate(machine(), NETWORKS["prompt"], duplicate={"*.scores": 2})
    assert column(twice, "writes", "scores") == 2 * column(once, "writes", "scores")
    assert column(twice, "products", "scores") == column(once, "products", "scores")


def column(report: object, name: str, operation: str) -> int:
    layers = report.layers  # type: ignore[attr-defined]
    found = zip(layers["name"], layers[name].tolist(), strict=True)
    return next(value for key, value in found if key.endswith(operation))


def test_a_saved_placement_gives_the_run_it_was_saved_of() -> None:
    placement = cimarch.map_network(machine(), NETWORKS["prompt"])
    saved = json.loads(json.dumps(to_dict(placement)))
    whole = simulate(machine(), NETWORKS["prompt"])
    assert simulate(machine(), NETWORKS["prompt"], placement=saved).cycles == whole.cycles


def test_the_map_tells_where_an_operand_comes_from() -> None:
    found = operations(cimarch.map_network(desk(), attend(3), weight_bits=4, input_bits=4))
    assert found["input_from"].tolist() == ["maps[0], store[0]"] * 2
    assert found["matrices"].tolist() == [2, 2]


def test_room_for_a_few_rows_is_enough_for_a_pipeline() -> None:
    # Queries, keys and values of 8 bits; what is read soon after it is made needs 2 rows at most.
    cycles = []
    for size in ("24 bit", "1 KiB"):
        system = chip(f"""
        part link: link {{ width = 8 bit }}
        part maps: buffer {{ size = 1 KiB, width = 8 bit }}
        part store: buffer {{ size = {size}, width = 8 bit }}
        part array[2]: crossbar {{
            rows = 8, columns = 8, cell_bits = 4, encoding = signed_cell, operands = true
            action write {{ latency = 3 ns }}
        }}
        part soft: unit {{ does = [softmax] }}
        connect link -> maps -> array[*] -> soft -> maps
        connect link -> store -> array[*].write
        """)
        network = attend(6, heads=1, kv_heads=1)
        cycles.append(written(system, network, schedule="pipeline").cycles)
    assert cycles[0] >= cycles[1]


# On the command line ----------------------------------------------------------------------------


def test_the_command_takes_the_way_of_attention(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["sim", "language_chip", "stories260k", "--tokens", "2", "--json"]
    command += ["--set", "tile.array.operands=true", "--attention"]
    for way in ("digital", "written"):
        assert main([*command, way]) == 0
        assert json.loads(capsys.readouterr().out)["manifest"]["options"]["attention"] == way
    assert main(["sim", "isaac", "stories260k", "--tokens", "2", "--attention", "written"]) == 2
    assert "no pool has `operands = true`" in capsys.readouterr().err


# Networks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_unit_and_arrays_multiply_as_often(name: str) -> None:
    both = machine(does="[embedding, norm, mul, activation, softmax, add, matmul]")
    reports = [
        simulate(both, NETWORKS[name], attention=way) for way in ("digital", "written", None)
    ]
    assert [r.options["attention"] for r in reports] == ["digital", "written", "digital"]
    assert reports[0].macs == reports[1].macs
    assert column(reports[1], "writes", "scores") > 0 == column(reports[0], "writes", "scores")


def test_written_products_have_all_keys_and_the_heads_of_keys() -> None:
    """5 tokens, 4 heads, 2 of keys, 2 numbers: 10 queries are put to each of 2 matrices."""
    network = lowered(NETWORKS["prompt"], attention="written")
    scores, values = (op for op in network.operations if op.kind == "matmul")
    assert (scores.rows, scores.columns, scores.groups, scores.windows) == (2, 5, 2, 10)
    assert (values.rows, values.columns, values.groups, values.windows) == (5, 2, 2, 10)
    assert scores.macs == values.macs == 4 * 15 * 2
    assert (scores.written, values.written) == ("columns", "rows")
    assert scores.is_matrix
    assert lowered(network, attention="written").operations == network.operations


def test_products_that_a_module_writes_out_are_written_too() -> None:
    """3 tokens, two heads of 4: keys turned over are columns, values are rows."""
    torch = pytest.importorskip("torch")

    class ByHand(torch.nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = torch.nn.Linear(8, 24)

        def forward(self, x: object) -> object:
            query, key, value = (
                part.unflatten(2, (2, 4)).transpose(1, 2) for part in self.qkv(x).split(8, 2)
            )
            weights = (query @ key.transpose(2, 3)).softmax(3)
            return (weights @ value).transpose(1, 2).flatten(2)

    network = cimarch.trace(ByHand(), torch.zeros(1, 3, 8))
    found = written(machine(), network, bits=8, schedule="pipeline")
    keys, values = (p.writing for p in found.placement.plans if p.writing)
    assert keys.reaches[0].needs.tolist() == values.reaches[0].needs.tolist() == [1, 2, 3]
    assert keys.needs.tolist() == [3, 3, 3]
    assert [found.layer(name)["writes"] for name in ("matmul", "matmul_1")] == [6, 6]


@pytest.mark.parametrize(
    ("name", "given", "rows"),
    [
        ("char-gpt", {"tokens": 8}, 4 * 4 * 8 * (32 + 1)),
        ("stories260k", {"tokens": 4}, 5 * 4 * 4 * (8 + 1)),
        ("stories260k", {"context": 40}, 5 * 4 * 1 * (8 + 1)),
    ],
)
def test_language_models_run_on_the_bundled_chip(
    name: str, given: dict[str, int], rows: int
) -> None:
    """Layers x heads of keys x tokens x (a row for each number of a key, one for a value)."""
    system = cimarch.load("language_chip", set={"tile.array.operands": "true"})
    report = simulate(system, read_network(name, **given), attention="written")
    found = zip(report.ledger["part"], report.ledger["action"], report.ledger["count"], strict=True)
    assert {count for *what, count in found if what == ["tile.array", "write"]} == {rows}


# What cannot be ---------------------------------------------------------------------------------


def told(system: System, network: Network, **options: object) -> tuple[str, str]:
    with pytest.raises(DescriptionError) as caught:
        simulate(system, network, **options)  # type: ignore[arg-type]
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.code, diagnostic.headline


def test_attention_that_no_part_of_the_system_does_is_told() -> None:
    neither = machine(operands="false")
    assert told(neither, NETWORKS["prompt"], attention="written") == (
        "E241", "`attention` is `written`, but no pool has `operands = true`",
    )  # fmt: skip
    assert told(neither, NETWORKS["prompt"], attention="digital") == (
        "E241", "`attention` is `digital`, but no unit does `matmul`",
    )  # fmt: skip
    assert told(neither, NETWORKS["prompt"], attention="analog") == (
        "E049", "`attention` is `analog`, neither `digital` nor `written`",
    )  # fmt: skip
    assert told(neither, NETWORKS["prompt"])[0] == "E241"


def test_earlier_keys_that_do_not_stay_are_told() -> None:
    assert told(machine(count=5, converters=5), NETWORKS["token"]) == (
        "E234",
        "the keys of 9 earlier tokens do not stay in the arrays of "
        "`model.layers.0.self_attn.sdpa.scores`: the network takes 3 resident groups",
    )
    assert told(machine(), NETWORKS["token"], batch=2) == (
        "E241", "the arrays hold 9 earlier keys of one sequence, not of a batch of 2",
    )  # fmt: skip


def test_a_pool_that_may_not_hold_operands_is_told() -> None:
    system = chip("""
    part maps: buffer { size = 1 KiB }
    part fixed[8]: crossbar { rows = 4, columns = 4 }
    part array[8]: crossbar { rows = 4, columns = 4, cell_bits = 8, operands = true }
    part soft: unit { does = [softmax] }
    connect maps -> fixed[*] -> soft -> maps
    connect maps -> array[*] -> soft
    """)
    placed = cimarch.map_network(system, attend(3))
    assert {plan.pool.path for plan in placed.plans} == {"array"}
    assert told(system, attend(3), place={"sdpa.scores": "fixed"}) == (
        "E202",
        "`sdpa.scores` has an operand that is known only at run time, which `fixed` may not hold",
    )


def test_cells_that_no_buffer_leads_to_are_told() -> None:
    system = chip("""
    part maps: buffer { size = 1 KiB }
    part memory: dram
    part array[8]: crossbar { rows = 4, columns = 4, cell_bits = 8, operands = true }
    part soft: unit { does = [softmax] }
    connect maps -> array[*] -> soft -> maps
    connect memory -> array[*].write
    """)
    assert told(system, attend(3)) == (
        "E226", "no buffer leads to the cells of `array`, where `sdpa.scores` has `k` written",
    )  # fmt: skip


def test_without_any_buffer_an_operand_is_at_hand() -> None:
    system = chip("""
    part array[8]: crossbar {
        rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell, operands = true
        action write { latency = 3 ns }
    }
    """)
    report = simulate(system, attend(3, heads=1, kv_heads=1), schedule="layers")
    assert "what is written into `array` is at hand: the system has no buffer" in report.assumed
    # 3 keys of 2 rows, 3 values of 1, and 3 products of a cycle each.
    assert report.cycles == 3 * 6 + 3 + 3 * 3 + 3
