"""Rows in a pipeline, each story worked by hand.

In the chips without buffers everything is at hand and a product takes one cycle for each two of
its inputs, so a layer of 2 t inputs is a stage of t cycles a row.
"""

from __future__ import annotations

from itertools import permutations

import pytest

from chips import Draft, Run, chip, run
from cimarch import DescriptionError
from cimarch.hardware.system import System
from cimarch.mapping.assign import Asked
from cimarch.workload.network import Network
from oracle.networks import Maker


def stages(*, arrays: int = 8, lines: int = 2) -> System:
    """Arrays that take one cycle for each `lines` inputs; nothing else."""
    return chip(f"""
    part array[{arrays}]: crossbar {{
        rows = 16, columns = 16, word_lines = {lines}, cell_bits = 4, encoding = signed_cell
        action read {{ latency = 1 ns }}
    }}
    """)


def tandem(rows: int, *times: int) -> Network:
    """Tokens through layers `l1`, `l2`, ... of 2 t inputs each; the last makes two outputs."""
    make = Maker()
    last = make.input(rows, 2 * times[0])
    for i, time in enumerate((*times[1:], 1), start=1):
        last = make.linear(f"l{i}", last, 2 * time)
    return make.done(last)


def cycles(system: System, network: Network, **options: object) -> int:
    return run(system, network, schedule="pipeline", **options).cycles  # type: ignore[arg-type]


def starts(done: Run, part: str, site: int) -> list[int]:
    """When the tasks of a site on a part begin."""
    return [int(done.timeline.start[task]) for task in done.at(part, site=site)]


# Fill and bottleneck


@pytest.mark.parametrize("times", [(3, 5), (5, 3), *permutations((1, 4, 2)), (2, 2, 2)])
def test_a_tandem_takes_its_fill_and_the_rest_at_its_bottleneck(times: tuple[int, ...]) -> None:
    # The first row passes every stage; each row after it is as late as the slowest stage makes it:
    # (1, 4, 2) and 5 rows: 7 + 4 x 4 = 23, wherever the 4 is.
    for rows in (2, 5):
        assert cycles(stages(), tandem(rows, *times)) == sum(times) + (rows - 1) * max(times)


def test_layer_by_layer_every_stage_takes_all_rows() -> None:
    assert run(stages(), tandem(5, 1, 4, 2)).cycles == 5 * (1 + 4 + 2)


def test_rows_of_windows_pass_as_one() -> None:
    # Two 1 x 1 convolutions of 3 rows of 4 windows: 2 inputs, then 6: rows of 4 x 1 and 4 x 3.
    make = Maker()
    first = make.conv("first", make.input(2, 3, 4), 6, 1)
    network = make.done(make.conv("second", first, 2, 1))
    assert cycles(stages(), network) == 4 + 12 + 2 * 12


def test_half_the_word_lines_take_twice_the_groups() -> None:
    # Stages of 2, 6, 4 inputs: 1, 3, 2 cycles with 2 lines at once, 2, 6, 4 with one.
    network = tandem(5, 1, 3, 2)
    assert cycles(stages(), network) == 6 + 4 * 3
    assert cycles(stages(lines=1), network) == 12 + 4 * 6


def test_a_convolution_waits_for_the_rows_below() -> None:
    # 2 x 2 inputs x 2 channels are 4 cycles a window, 3 windows a row; the maps have 4, 3, 2 rows
    # of 4, 3, 2 windows. Row 0 of `second` needs rows 0 and 1 of `first`, there at 24, and has two
    # windows; row 1 needs row 2, there at 36.
    make = Maker()
    first = make.conv("first", make.input(2, 4, 4), 2, 2)
    network = make.done(make.conv("second", first, 2, 2))
    done = run(stages(), network, schedule="pipeline")
    assert done.cycles == 36 + 8
    assert starts(done, "array", 1) == [24, 28, 36, 40]


def test_stride_needs_rows_further_on() -> None:
    # 1 x 1, 2 windows a row, 1 cycle each: row r of `first` is there at 2 r + 2. With stride 2 the
    # only window of row a of `second` waits for row 2 a: 2, 6, 10, and takes a cycle.
    make = Maker()
    first = make.conv("first", make.input(2, 6, 2), 2, 1)
    done = run(stages(), make.done(make.conv("second", first, 2, 1, stride=2)), schedule="pipeline")
    assert starts(done, "array", 1) == [2, 6, 10]
    assert done.cycles == 12  # rows that nothing reads are made too


def test_dilation_needs_rows_further_on() -> None:
    # A kernel of 3 reads rows a, a + 2, a + 4. `first` makes 6 rows of 5 windows of a cycle, row r
    # at 5 r + 5; a row of `second` is one window of 9 inputs, 5 cycles. Row 0 waits for row 4.
    make = Maker()
    first = make.conv("first", make.input(2, 6, 5), 1, 1)
    second = make.conv("second", first, 2, 3, dilation=2)
    done = run(stages(), make.done(second), schedule="pipeline")
    assert starts(done, "array", 1) == [25, 30]


def test_a_flattened_map_is_needed_whole() -> None:
    # 4 rows of 2 cycles, then one product of 16 inputs: 8 cycles.
    make = Maker()
    network = make.done(make.linear("all", make.conv("one", make.input(2, 4, 2), 2, 1), 3))
    assert cycles(stages(), network) == 4 * 2 + 8


# Weights held several times


@pytest.mark.parametrize("copies", [1, 2, 3, 5, 6, 15, 16])
def test_copies_take_windows_in_turn(copies: int) -> None:
    # 16 windows of 2 cycles in rows of 4: the first copy takes ceil(16 / d), over rows and
    # inferences.
    make = Maker()
    network = make.done(make.conv("conv", make.input(4, 4, 4), 3, 1))
    asked = Asked(duplicate={"conv": copies})
    for batch in (1, 3):
        found = cycles(stages(arrays=16), network, asked=asked, batch=batch)
        assert found == 2 * -(-16 * batch // copies)


@pytest.mark.parametrize(("copies", "bottleneck"), [(1, 6), (2, 3), (3, 2), (5, 2)])
def test_copies_divide_the_bottleneck(copies: int, bottleneck: int) -> None:
    # Stages of 1, 6, 2: with two copies of l2 a row every 3 cycles, with three every 2, and with
    # more l3 is the slowest. The first row still takes 1 + 6 + 2.
    done = cycles(stages(), tandem(7, 1, 6, 2), asked=Asked(duplicate={"l2": copies}))
    assert done == 9 + 6 * bottleneck


def test_copies_that_do_not_divide_wait_for_the_slowest_pair() -> None:
    # 7 cycles on 2 copies: rows come out of l2 in pairs, one a cycle after the other: row 2 k at
    # 1 + 7 (k + 1), row 2 k + 1 at 2 + 7 (k + 1); row 5, the last of 6, at 2 + 21, and l3 of 2
    # cycles has row 4 until 24.
    done = cycles(stages(), tandem(6, 1, 7, 2), asked=Asked(duplicate={"l2": 2}))
    assert done == 22 + 2 + 2


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
def test_copies_share_the_fetch_of_a_residual(schedule: str) -> None:
    # 4 rows of 2 windows of 2 channels, 8 bits: 4 bytes a row of `one` are one word. Each of the
    # two copies of `two` takes a window a row, and half a row of the residual: a word of 2 bytes.
    # With 16-bit words a row is 2 words either way: 8 in all, and 4 more for each product's input.
    make = Maker()
    one = make.conv("one", make.input(2, 4, 2), 2, 1)
    network = make.done(make.add(make.conv("two", one, 2, 1), one))
    system = chip("""
    part maps: buffer { size = 1 KiB, width = 16 bit }
    part array[3]: crossbar { rows = 4, columns = 4, cell_bits = 8, encoding = signed_cell }
    part vec: unit { does = [add] }
    part desk: host { width = 8 bit, rate = 1 GHz }
    connect desk -> maps -> array[*] -> vec -> maps
    connect maps -> vec -> desk
    """)
    for copies in (1, 2):
        done = run(
            system, network, 8, asked=Asked(duplicate={"two": copies}), schedule=schedule
        )  # a word for each window of either convolution, and the residual
        assert done.count("maps", "read") == 8 + 8 + 8


# Rows that a buffer must hold


def held(size: int, *, bits: int = 8) -> System:
    """Everything in one buffer of so many bytes; results leave."""
    return chip(f"""
    part desk: host {{ width = 64 bit, rate = 1 GHz }}
    part out: host {{ width = 64 bit, rate = 1 GHz }}
    part maps: buffer {{ size = {size} B, width = 64 bit }}
    part array[8]: crossbar {{
        rows = 32, columns = 4, cell_bits = {bits}, encoding = signed_cell
    }}
    part vec: unit {{ does = [add] }}
    connect desk -> maps -> array[*] -> vec -> maps
    connect maps -> vec -> out
    """)


def residual(convolutions: int) -> Network:
    """3 x 3 convolutions behind each other, and what the first read added to what the last made."""
    draft = Draft(2, 6, 4)
    last = draft.conv("start", "x", 2, 1)
    for i in range(convolutions):
        last = draft.conv(f"conv{i}", last, 2, 3, padding=1)
    draft.add("sum", last, "start")
    return draft.network()


def convolution(*, stride: int = 1, dilation: int = 1) -> Network:
    """One 3 x 3 convolution."""
    draft = Draft(2, 12, 4)
    draft.conv("conv", "x", 2, 3, padding=dilation, stride=stride, dilation=dilation)
    return draft.network()


ROW = 2 * 4
"""Bytes of a row of all these maps: 2 channels of 4 bytes."""

LEAST = {
    # A row needs the one above and the one below it.
    "a convolution": (convolution(), 3, "conv", 3),
    # As many, though the next row begins two further on.
    "stride 2": (convolution(stride=2), 3, "conv", 3),
    # Rows a - 2, a and a + 2, and those between, which later rows read.
    "dilation 2": (convolution(dilation=2), 5, "conv", 5),
    # x a row, `start` and `conv0` 3 rows each. The sum of row r comes after row r + 1 of `conv0`,
    # so after row r + 2 of `start`: it finds rows r, r + 1, r + 2 there.
    "two convolutions and an identity": (residual(2), 1 + 3 + 3, "conv1", 3),
    # One convolution more, and `start` is a row further when its row r is added: 4 rows.
    "three convolutions and an identity": (residual(3), 1 + 4 + 3 + 3, "sum", 4),
}


@pytest.mark.parametrize("name", LEAST)
def test_a_buffer_holds_the_rows_that_a_pipeline_must_hold(name: str) -> None:
    network, rows, operation, most = LEAST[name]
    with pytest.raises(DescriptionError) as caught:
        run(held(rows * ROW - 1), network, 8, schedule="pipeline")
    (told,) = caught.value.diagnostics
    assert told.code == "E231"
    assert told.headline == (
        f"`{operation}` needs {most} rows of its input at once, {most * ROW} bytes: more than "
        "`maps` has free"
    )
    with pytest.raises(DescriptionError):
        run(held((rows - 1) * ROW), network, 8, schedule="pipeline")
    done = [
        run(held((rows + more) * ROW), network, 8, batch=2, schedule="pipeline").cycles
        for more in (0, 1)
    ]
    assert all(found > 0 for found in done)


def test_rows_that_are_made_and_never_read_have_room_too() -> None:
    # A kernel of one row that takes each third reads row 0 of 3 only, and yet rows 1 and 2 of
    # `first` are made: their windows read two rows of x each, so x has two rows at once.
    make = Maker()
    first = make.conv("first", make.input(2, 6, 4), 2, 2, stride=2)
    network = make.done(make.conv("second", first, 2, 1, stride=3))
    assert cycles(held(2 * ROW + 4), network, bits=8) > 0
    with pytest.raises(DescriptionError):
        run(held(2 * ROW + 3), network, 8, schedule="pipeline")


# Back-pressure


def pressed(rows: int, *, slow: str = "10 ns", more: str = "") -> System:
    """`first` -> a, a cycle a row -> `second`, of so many rows -> b, slow -> off the chip."""
    return chip(f"""
    part first: buffer {{ size = 1 KiB, width = 64 bit }}
    part a: crossbar {{
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 8
        action read {{ latency = 1 ns }}
    }}
    part second: buffer {{ size = {rows} * 8 B, width = 64 bit }}
    part b: crossbar {{
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 4
        action read {{ latency = {slow} }}
    }}
    part out: host {{ width = 64 bit, rate = 1 GHz }}
    connect first -> a -> second -> b -> out
    {more}
    """)


def two_layers(rows: int) -> Network:
    """Rows of 8 features through `fast` to 8 and `slow` to 4."""
    make = Maker()
    return make.done(make.linear("slow", make.linear("fast", make.input(rows, 8), 8), 4))


def pressed_run(rows: int, **options: object) -> Run:
    return run(pressed(rows), two_layers(6), 8, schedule="pipeline", **options)  # type: ignore[arg-type]


def test_a_producer_waits_for_the_row_that_a_slow_consumer_frees() -> None:
    # Row r of a is done at r + 1 and needs a cycle to be stored. b begins at 2 and takes row k at
    # 2 + 10 k; it is read while the product runs, so the row is free at 12 + 10 k. With two rows
    # of room row 0 is stored at 1, row 1 at 2, and row y when row y - 2 is free.
    done = pressed_run(2)
    assert [s for s, _ in done.spans("second", "store")] == [1, 2, 12, 22, 32, 42]
    assert [s for s, _ in done.spans("b")] == [2, 12, 22, 32, 42, 52]
    assert done.cycles == 2 + 6 * 10 + 1


def test_with_room_for_all_rows_a_producer_never_waits() -> None:
    # The stores follow one another but for the cycle, at 3, in which b reads row 0.
    done = pressed_run(6)
    assert [s for s, _ in done.spans("second", "store")] == [1, 2, 4, 5, 6, 7]
    assert done.cycles == 2 + 6 * 10 + 1


def test_with_room_for_one_row_making_and_reading_take_turns() -> None:
    # Row y is stored in the cycle after row y - 1 was worked on: 11 cycles a row.
    done = pressed_run(1)
    assert [s for s, _ in done.spans("second", "store")] == [1, 12, 23, 34, 45, 56]
    assert done.cycles == 2 + 5 * 11 + 10 + 1


def test_the_next_inference_waits_for_room_as_the_next_row_does() -> None:
    done = pressed_run(2, batch=2)
    expected = [1, 2, *range(12, 12 + 10 * 10, 10)]
    assert [s for s, _ in done.spans("second", "store")] == expected
    assert done.cycles == 2 + 12 * 10 + 1


def test_a_row_is_free_when_the_slower_of_two_readers_has_read_it() -> None:
    # c reads the same rows in 3 cycles each, and still row 2 comes when b is done with row 0.
    system = pressed(
        2,
        more="""
    part c: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 2
        action read { latency = 3 ns }
    }
    connect second -> c -> out
    """,
    )
    make = Maker()
    middle = make.linear("fast", make.input(6, 8), 8)
    network = make.done(make.linear("slow", middle, 4), make.linear("other", middle, 2))
    done = run(system, network, 8, schedule="pipeline")
    # b and c both begin at 2 and read row 0 at 3 and 4, when row 1 is stored already. Row y >= 2
    # is stored at 2 + 10 (y - 1), and in the cycle after it is c's: its product begins.
    assert [s for s, _ in done.spans("second", "store")] == [1, 2, 12, 22, 32, 42]
    assert [s for s, _ in done.spans("b")] == [2, 12, 22, 32, 42, 52]
    assert [s for s, _ in done.spans("c")] == [2, 5, 13, 23, 33, 43]
    assert done.cycles == 63


# Rows from outside


def test_rows_that_come_slowly_are_worked_on_as_they_come() -> None:
    # A row comes every 10 cycles and is in the buffer at 11 + 10 k; a product of one cycle, one to
    # leave. Layer by layer all rows come first, then 6 products, and the last leaves.
    system = chip("""
    part port: link { width = 64 bit, rate = 100 MHz }
    part first: buffer { size = 64 B, width = 64 bit }
    part a: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell
        action read { latency = 1 ns }
    }
    part out: host { width = 64 bit, rate = 1 GHz }
    connect port -> first -> a -> out
    """)
    make = Maker()
    network = make.done(make.linear("only", make.input(6, 8), 8))
    done = run(system, network, 8, schedule="pipeline")
    assert [s for s, _ in done.spans("a")] == [11, 21, 31, 41, 51, 61]
    assert done.cycles == 11 + 50 + 1 + 1
    assert run(system, network, 8).cycles == 61 + 6 + 1


def test_inputs_wait_for_room_as_results_do() -> None:
    # The link brings a row in a cycle and the buffer takes it in the next: row 0 is there at 2. A
    # product takes 10, so with 2 rows of room row y begins its way when row y - 2 is free, at
    # 12 + 10 (y - 2), and is there before it is wanted.
    system = chip("""
    part port: link { width = 64 bit, rate = 1 GHz }
    part first: buffer { size = 16 B, width = 64 bit }
    part a: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell
        action read { latency = 10 ns }
    }
    part out: host { width = 64 bit, rate = 1 GHz }
    connect port -> first -> a -> out
    """)
    make = Maker()
    done = run(system, make.done(make.linear("only", make.input(5, 8), 8)), 8, schedule="pipeline")
    assert [s for s, _ in done.spans("port")] == [0, 1, 12, 22, 32]
    assert [s for s, _ in done.spans("a")] == [2, 12, 22, 32, 42]
    assert done.cycles == 52 + 1


# Pools side by side


def test_two_pools_work_side_by_side() -> None:
    # Both read the same 5 rows, in 10 and in 4 cycles: together as long as the slower one; layer
    # by layer one after the other.
    system = chip("""
    part a: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 4
        action read { latency = 10 ns }
    }
    part b: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 2
        action read { latency = 4 ns }
    }
    """)
    make = Maker()
    given = make.input(5, 8)
    network = make.done(make.linear("one", given, 4), make.linear("other", given, 2))
    assert cycles(system, network, bits=8) == 50
    assert run(system, network, 8).cycles == 70


def test_a_pool_feeds_another_row_by_row() -> None:
    # 10 and 4 cycles a row: 14 for the first, 10 more for each of 4 others.
    system = chip("""
    part a: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 4
        action read { latency = 10 ns }
    }
    part b: crossbar {
        rows = 8, columns = 8, cell_bits = 8, encoding = signed_cell, serves = columns == 2
        action read { latency = 4 ns }
    }
    """)
    make = Maker()
    network = make.done(make.linear("two", make.linear("one", make.input(5, 8), 4), 2))
    assert cycles(system, network, bits=8) == 14 + 4 * 10


# Rows in order


def test_a_row_is_made_after_the_one_before_it() -> None:
    # Row 0 is that of copies 0 and 1, row 1 that of copies 2 and 3; all products are done at 1.
    # Row 1 is there at 5: fast 1..2 and 2..3, `maps` at 3 and 4, behind the first word of row 0 at
    # 2. Row 0's windows take the slow bus 1..9 and 9..17, and their last bits are in `maps` a cycle
    # later. The 2 x 2 kernel reads both rows: it waits for 18.
    system = chip("""
    part first[4]: buffer { size = 64 B, width = 8 bit }
    part a[4]: crossbar {
        rows = 2, columns = 2, cell_bits = 4, encoding = signed_cell, serves = columns == 2
        action read { latency = 1 ns }
    }
    part slow: bus { width = 1 bit }
    part fast: bus { width = 8 bit }
    part maps: buffer { size = 64 B, width = 8 bit }
    part b: crossbar {
        rows = 8, columns = 1, cell_bits = 4, encoding = signed_cell, serves = columns == 1
        action read { latency = 4 ns }
    }
    connect first[*] -> a[*]
    connect a[0..1] -> slow -> maps
    connect a[2..3] -> fast -> maps
    connect maps -> b
    """)
    make = Maker()
    network = make.done(make.conv("second", make.conv("first", make.input(2, 2, 2), 2, 1), 1, 2))
    done = run(system, network, asked=Asked(duplicate={"first": 4}), schedule="pipeline")
    assert [end for _, end in done.spans("maps", "store")] == [10, 4, 5, 18]
    assert starts(done, "b", 1) == [18]
    assert done.cycles == 22
