"""A scheme: everything of a pool of arrays that decides the arithmetic of its products."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property

import attrs

from cimarch.hardware.encoding import ENCODINGS, Encoding
from cimarch.hardware.system import Part, Value
from cimarch.mapping.precision import Bits
from cimarch.mapping.wiring import Wiring
from cimarch.units import Quantity

TRANSFERS = ("mid_tread", "mid_rise", "sign_magnitude", "thresholds")
"""How a converter makes codes of sums; see `cimarch.functional.converter`."""


@attrs.frozen(slots=False)
class Converter:
    """What a converter makes of one column sum.

    Sums are in units: one unit is one level of a cell times one level of an input step.
    """

    bits: int
    transfer: str = "mid_tread"
    low: Fraction | None = None
    """The lower end of its range, in units; None: not stated."""
    high: Fraction | None = None
    step: Fraction | None = None
    """Units from code to code; None: not stated."""
    thresholds: tuple[Fraction, ...] = ()
    """Of transfer `thresholds`: the sums, in steps, at which the code goes up; ascending."""
    levels: tuple[Fraction, ...] = ()
    """Of transfer `thresholds`: what each code stands for, in steps; one more than thresholds."""

    @property
    def codes(self) -> int:
        """How many codes it has: 2^bits; one less where they lie evenly about zero."""
        if self.transfer == "thresholds":
            return len(self.levels)
        return int(2**self.bits) - (self.transfer == "sign_magnitude")


@attrs.frozen(slots=False)
class Scheme:
    """How the arrays of a pool multiply at one precision."""

    encoding: str = "offset"
    weight_bits: int = 8
    input_bits: int = 8
    cell_bits: int = 2
    dac_bits: int = 1
    """Bits of an input that are applied in one step."""
    inputs: str = "unsigned"
    """`unsigned`, `sign_magnitude` or `twos_complement`."""
    pair: str = "column"
    """Where the negative half of a differential weight lies: `column`, `row` or `array`."""
    subtract: str = "digital"
    """Where it is subtracted: before (`analog`) or after (`digital`) the conversion."""
    input_accumulation: str = "digital"
    """Where the steps of an input are added: `analog` makes one conversion of all of them."""
    slice_merge: str = "digital"
    """Where the slices of a weight are added: `analog` makes one conversion of all of them."""
    converter: Converter | None = None
    """None: sums are exact."""
    tile_bits: int | None = None
    """Width of the adder that joins the conversions of one array; None: as wide as they need."""
    sum_bits: int | None = None
    """Width of the adder in which the arrays of one column block meet."""
    overflow: str = "saturate"
    """What an adder does with a sum that is too wide for it: `saturate` or `wrap`."""

    @property
    def kind(self) -> Encoding:
        """The row of the table of encodings."""
        return ENCODINGS[self.encoding]

    @property
    def slices(self) -> int:
        """Cells that hold one weight's magnitude, the sign's own column apart."""
        if self.kind.one_bit:
            return 1
        bits = self.weight_bits - self.kind.sign_column
        return -(-bits // self.cell_bits)

    @property
    def steps(self) -> int:
        """Input steps of one read: ceil(magnitude bits / DAC bits)."""
        magnitude = self.input_bits - (self.inputs == "sign_magnitude")
        return max(1, -(-magnitude // self.dac_bits))

    @cached_property
    def input_range(self) -> tuple[int, int]:
        """The least and the largest input."""
        top = 2 ** (self.input_bits - 1)
        if self.inputs == "sign_magnitude":
            return 1 - top, top - 1
        if self.inputs == "twos_complement":
            return -top, top - 1
        return 0, 2 * top - 1

    @cached_property
    def weight_range(self) -> tuple[int, int]:
        """The least and the largest weight.

        A differential weight may use all bits for its magnitude: its sign is the half that it lies
        in. (Quantisers drop one bit, so that all encodings hold the same weights.)
        """
        if self.kind.one_bit:
            return -1, 1
        top = 2 ** (self.weight_bits - 1)
        if self.kind.doubled:
            return 1 - 2 * top, 2 * top - 1
        return -top, top - 1


def scheme_of(wiring: Wiring, bits: Bits) -> Scheme:
    """The scheme of a pool at a precision, from its description."""
    pool, (dac, _) = wiring.pool, wiring.driver
    adc, merger = wiring.converter, wiring.merger
    return Scheme(
        encoding=pool.word("encoding"),
        weight_bits=bits.weight,
        input_bits=bits.input,
        cell_bits=pool.integer("cell_bits"),
        dac_bits=dac.integer("bits") if dac else bits.input,
        inputs=pool.word("inputs"),
        pair=pool.word("pair"),
        subtract=pool.word("subtract"),
        input_accumulation=pool.word("input_accumulation"),
        slice_merge=pool.word("slice_merge"),
        converter=converter_of(adc) if adc else None,
        tile_bits=merger.integer("bits") if merger else None,
        sum_bits=_sum_bits(wiring),
        overflow=merger.word("overflow") if merger else "saturate",
    )


def converter_of(adc: Part) -> Converter:
    """The arithmetic of a converter, from its description."""
    return Converter(
        bits=adc.integer("bits"),
        transfer=adc.word("transfer"),
        low=_stated(adc.params.get("range_low")),
        high=_stated(adc.params.get("range_high")),
        step=_stated(adc.params.get("step")),
        thresholds=_numbers(adc.params["thresholds"]),
        levels=_numbers(adc.params["levels"]),
    )


def _sum_bits(wiring: Wiring) -> int | None:
    """Width of the nearest adder that serves more than one array."""
    paths = (domain.path for domain in wiring.domains if domain.arrays > 1)
    path = next(paths, None)
    return wiring.system.part(path).integer("bits") if path else None


def _stated(value: Value | None) -> Fraction | None:
    return value.value if isinstance(value, Quantity) else None


def _numbers(value: Value) -> tuple[Fraction, ...]:
    assert isinstance(value, tuple)
    return tuple(each.value for each in value if isinstance(each, Quantity))
