"""The precision of strips: what a precision file says of them, and what does not fit."""

from __future__ import annotations

from typing import Any

import pytest

from chips import Draft, table
from cimarch import DescriptionError
from cimarch.mapping.precision import Bits, precision
from cimarch.mapping.strips import depth_of, positions_of
from cimarch.workload.network import Network


def network() -> Network:
    """A convolution of 2 x 2 positions, 3 channels and 4 outputs, and a layer of 5 outputs."""
    draft = Draft(3, 4, 4)
    draft.conv("conv", "x", 4, 2)
    return draft.network()


MIX: dict[str, Any] = {"bits": [8, 4], "levels": ["0011", "0101", "1111", "0000"]}


def of(strips: object, **more: object) -> Bits:
    """The precision of the convolution that an entry gives it."""
    return precision(network(), 6, 5, {"conv": {"strips": strips, **more}})["conv"]


def test_a_strip_has_a_level_for_each_position_and_output() -> None:
    bits = of(MIX, input_bits=3)
    assert (bits.weight, bits.input) == (8, 3)
    strips = bits.strips
    assert strips is not None
    assert (strips.positions, strips.outputs, strips.bits) == (4, 4, (8, 4))
    assert strips.level.tolist() == [[0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1], [0, 0, 0, 0]]
    # 8 strips of 8 bits and 8 of 4, each of 3 weights.
    assert strips.counts == (8, 8)
    assert strips.weight_bits(depth_of(network().operations[0])) == 3 * (8 * 8 + 8 * 4)


def test_what_is_written_is_read_again() -> None:
    strips = of(MIX).strips
    assert strips is not None
    assert strips.to_dict() == MIX | {"layout": "packed"}
    assert of(MIX).to_entry() == {"input_bits": 5, "strips": MIX | {"layout": "packed"}}
    few = strips.to_dict() | {"reads": 2}
    for told in (strips.to_dict(), few):
        assert of(told).strips.to_dict() == told  # type: ignore[union-attr]
    assert Bits(8, 4).to_entry() == {"weight_bits": 8, "input_bits": 4}


def test_the_strips_of_a_level_have_its_bits() -> None:
    bits = of(MIX)
    assert [bits.of_level(level) for level in (0, 1)] == [Bits(8, 5), Bits(4, 5)]


def test_a_level_that_no_strip_has_is_not_used() -> None:
    strips = of({"bits": [8, 6, 4], "levels": ["2222"] * 3 + ["0000"]}).strips
    assert strips is not None
    assert (strips.counts, strips.used) == ((4, 0, 12), (0, 2))


def test_a_layer_without_a_kernel_has_one_position() -> None:
    flat = table((7, 5))
    name = flat.operations[0].name
    strips = precision(flat, 8, 8, {name: {"strips": {"bits": [8, 4], "levels": ["01011"]}}})
    assert (positions_of(flat.operations[0]), depth_of(flat.operations[0])) == (1, 7)
    assert strips[name].strips.counts == (2, 3)  # type: ignore[union-attr]


WRONG = {
    "a list": ([8, 4], "E460", "strips are [8, 4], not an object"),
    "another field": (MIX | {"bit": 1}, "E460", "strips have an unknown field `bit`"),
    "no such layout": (
        MIX | {"layout": "tight"},
        "E460",
        "`layout` of strips is 'tight', none of `packed`, `holes`",
    ),
    "half a read": (MIX | {"reads": 0.5}, "E460", "`reads` of strips is 0.5, not a whole number "
                    "from 0 on"),
    "reads of holes": (MIX | {"reads": 2, "layout": "holes"}, "E460", "`reads` of strips is 2 in "
                       "the layout `holes`"),
    "no bits": (
        {"levels": MIX["levels"]},
        "E460",
        "`bits` of strips is None, not a list of whole numbers",
    ),
    "true": (MIX | {"bits": [8, True]}, "E460", "`bits` of strips is [8, True], not a list of "
             "whole numbers"),
    "none": (MIX | {"bits": []}, "E460", "strips have 0 precisions, outside 1..10"),
    "too many bits": (MIX | {"bits": [65, 4]}, "E460", "a precision of strips is 65, outside "
                      "1..64"),
    "rising": (MIX | {"bits": [4, 8]}, "E460", "`bits` of strips are [4, 8], not falling"),
    "numbers": (MIX | {"levels": [[0, 0, 1, 1]] * 4}, "E460", "`levels` of strips are not a list "
                "of texts"),
    "a level too many": (
        MIX | {"levels": ["0012", "0000", "0000", "0000"]},
        "E460",
        "position 0 of strips has the level `2`, outside 0..1",
    ),
    "too few positions": (MIX | {"levels": ["0011"]}, "E461", "strips have 1 position, not 4"),
    "too few outputs": (
        MIX | {"levels": ["0011", "001", "0011", "0011"]},
        "E461",
        "position 1 of strips has 3 outputs, not 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_strips_that_do_not_fit_are_told(name: str) -> None:
    entry, code, told = WRONG[name]
    with pytest.raises(DescriptionError) as caught:
        of(entry)
    (found,) = caught.value.diagnostics
    assert (found.code, found.headline) == (code, f"the precision policy, `conv`: {told}")


def test_weight_bits_beside_strips_are_told() -> None:
    with pytest.raises(DescriptionError, match="has `weight_bits` beside strips"):
        of(MIX, weight_bits=8)
