"""Networks that a chip cannot run are refused, with the operation, the limit and what to type."""

from __future__ import annotations

import pytest

from chips import Draft, chip, mlp, round_trip, run, table
from cimarch import DescriptionError, simulate
from cimarch.hardware.system import System
from cimarch.language import load as bundled
from cimarch.workload.network import Network

ARRAYS = """
    part array[{n}]: crossbar {{ rows = 8, columns = 8, cell_bits = {bits}, encoding = {encoding} }}
"""


def arrays(more: str, *, n: int = 2, bits: int = 4, encoding: str = "signed_cell") -> System:
    return chip(ARRAYS.format(n=n, bits=bits, encoding=encoding) + more)


def refused(system: System, network: Network, bits: int = 4) -> tuple[str, str, list[str]]:
    """Code, headline, and the notes and helps of the one diagnostic."""
    with pytest.raises(DescriptionError) as caught:
        run(system, network, bits)
    (found,) = caught.value.diagnostics
    return found.code, found.headline, [*found.notes, *found.helps]


def test_a_buffer_too_small_for_a_receptive_field() -> None:
    # 3 rows of 6 columns of 8 channels at 4 bits: 3 x 6 x 8 / 2 = 72 bytes.
    draft = Draft(8, 6, 6)
    draft.conv("conv", "x", 8, 3, padding=1)
    code, headline, more = refused(round_trip(arrays=9, size="64 B"), draft.network())
    assert code == "E231"
    assert headline == (
        "`conv` needs 3 rows of its input at once, 72 bytes: more than `maps` has free"
    )
    assert more == [
        "`maps` holds 64 bytes in all",
        "the input is `x`, 4 bits an element",
        "make its `size` at least 72 bytes",
    ]


def test_a_fully_connected_layer_needs_all_of_its_input() -> None:
    # 40 inputs of 4 bits are 20 bytes.
    code, headline, _ = refused(round_trip(arrays=5, size="16 B"), table((40, 8)))
    assert (code, headline) == (
        "E231",
        "`l1` needs its input at once, 20 bytes: more than `maps` has free",
    )


def test_weights_too_large_for_the_buffer_they_are_kept_in() -> None:
    # 256 x 256 weights of 4 bits are 32 KiB.
    small = bundled("edge_macro", set={"weights.size": "16 KiB"})
    code, headline, more = refused(small, table((256, 256)))
    assert code == "E232"
    assert headline == "the weights of `table` take 32768 bytes, more than `weights` holds"
    assert more == [
        "`weights` holds 16384 bytes",
        "make its `size` larger, or lower `--weight-bits`",
    ]


def test_row_tiles_without_a_common_adder() -> None:
    system = arrays("part sum[2]: accumulator\nconnect array[*] -> sum[*]")
    code, headline, more = refused(system, table((16, 8)))
    assert code == "E223"
    assert headline == "no adder that `array[1]` leads to joins the partial sums of `l1`"
    assert more == [
        "its 16 inputs take several arrays of `array`",
        "connect the arrays to a common shift_add, accumulator or adder_tree",
    ]


def test_no_unit_is_able() -> None:
    system = arrays("part vector: unit { does = [sigmoid] }\nconnect array[*] -> vector")
    code, headline, more = refused(system, mlp(8, 8, 8))
    assert (code, headline) == ("E222", "no unit of the system does `relu`")
    assert more == [
        "`relu1` needs it",
        "`vector` does `sigmoid`",
        "add `relu` to the `does` of a unit",
    ]


def test_an_able_unit_that_results_do_not_reach() -> None:
    system = arrays(
        "part maps: buffer { size = 1 KiB }\npart vector: unit { does = [relu] }\n"
        "connect maps -> array[*]\nconnect maps -> vector"
    )
    code, headline, more = refused(system, mlp(8, 8, 8))
    assert (code, headline) == ("E222", "no part that does `relu` is reached from `array`")
    assert more == ["`relu1` needs it", "`vector` does it", "connect `array` to one of them"]


def test_no_way_from_results_to_the_next_layer() -> None:
    system = arrays("part maps: buffer { size = 1 KiB }\nconnect maps -> array[*]")
    code, headline, more = refused(system, table((8, 8), (8, 8)))
    assert code == "E224"
    assert headline == "no route leads from `array` to `maps`, where `l1` is read"
    assert more == ["connect them: `connect array -> maps`"]


def test_a_weight_wider_than_an_array() -> None:
    # 8 bits of 1 in two halves: 16 columns of 8.
    code, headline, more = refused(arrays("", bits=1, encoding="differential"), table((8, 8)), 8)
    assert code == "E211"
    assert headline == "a weight of `l1` takes 16 columns, more than an array of `array` has"
    assert more == [
        "`array` has 8 columns, 1 bits a cell, encoding `differential`",
        "the weight has 8 bits",
        "give it `packing = straddle`, more `columns`, or fewer `--weight-bits`",
    ]


def test_a_home_that_is_not_on_the_way_of_the_inputs() -> None:
    system = chip("""
    part maps: buffer { size = 1 KiB }
    part array: crossbar { rows = 8, columns = 8, cell_bits = 4, home = "attic" }
    connect maps -> array
    """)
    code, headline, more = refused(system, table((8, 8)))
    assert code == "E225"
    assert headline == "the home `attic` of `array` is no buffer on its inputs' way"
    assert more == ["`maps` is one"]


@pytest.mark.parametrize(
    ("option", "value", "headline"),
    [
        ("batch", 0, "`batch` is 0, less than 1"),
        ("weights", "warm", "`weights` is `warm`, neither `preloaded` nor `cold`"),
        ("engine", "slow", "`engine` is `slow`, not one of `fast`, `simpy`"),
        ("weight_bits", 0, "weight_bits is 0, outside 1..64"),
        ("input_bits", 65, "input_bits is 65, outside 1..64"),
        (
            "precision",
            [[4, 4]],
            "the precision policy has 1 entry, the network 2 matrix operations",
        ),
        (
            "precision",
            {"l3": [4, 4]},
            "the precision policy names `l3`, which is no matrix operation of the network",
        ),
    ],
)
def test_options_out_of_range(option: str, value: object, headline: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        simulate(round_trip(), table((8, 8), (8, 8)), **{option: value})  # type: ignore[arg-type]
    (found,) = caught.value.diagnostics
    assert found.headline == headline
