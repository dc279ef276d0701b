"""What a layer takes of a chip: segments of word lines, bit lines, macros, and how full they are.

A bit line holds whole input channels: a kernel of k x k positions takes k x k word lines a channel,
so `per` = floor(rows / (k k)) channels lie on one bit line. More channels take several segments:

    segments  = ceil(inputs / per)
    bit lines = outputs x segments x columns of a weight
    macros    = ceil(bit lines of all layers / columns of a macro)

The published account of arXiv 2510.14379 counts bit lines and word lines without a formula; this is
the count that its macro (256 x 256) leaves: 28 channels of a 3 x 3 kernel on 252 of 256 word lines.

Two utilisations, both cells that hold weights over all cells of macros:

packed
    bit lines of all layers lie side by side, so that only the last macro is not full of them;
aligned
    a macro holds bit lines of one segment of one layer, as the mapper places layers.
"""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from cimarch.hardware.encoding import (
    arrays_per_weight,
    columns_per_weight,
    extra_columns,
    rows_per_input,
)
from cimarch.hardware.system import Part


@attrs.frozen
class Macro:
    """One array of a pool, as far as it decides how many of them layers take."""

    rows: int
    """Word lines."""
    columns: int
    """Bit lines."""
    across: int = 1
    """Bit lines of one weight."""
    down: int = 1
    """Word lines of one input."""
    beside: int = 1
    """Arrays over which one weight lies."""
    offset: int = 0
    """Bit lines that hold no weights."""
    together: int = 0
    """Word lines that are active at a time; 0: all. More than that are read one after the other."""

    @classmethod
    def of(cls, pool: Part, weight_bits: int) -> Macro:
        """The arrays of a pool, with weights of so many bits."""
        return cls(
            pool.integer("rows"),
            pool.integer("columns"),
            columns_per_weight(pool, weight_bits),
            rows_per_input(pool),
            arrays_per_weight(pool),
            extra_columns(pool),
            pool.integer("word_lines"),
        )

    @property
    def usable(self) -> int:
        """Bit lines for weights."""
        return self.columns - self.offset

    @property
    def cells(self) -> int:
        """Of one macro, whether they can hold weights or not."""
        return self.rows * self.columns


@attrs.frozen
class Layer:
    """A convolution or a fully connected layer, as far as it takes bit lines."""

    name: str
    positions: int
    """Of its kernel: 9 of a 3 x 3 convolution, 1 of a fully connected layer."""
    inputs: int
    """Channels that one output is made of."""
    outputs: int

    @property
    def weights(self) -> int:
        """Parameters of its matrix."""
        return self.positions * self.inputs * self.outputs


def per_bit_line(positions: int, macro: Macro) -> int:
    """Input channels on one bit line; 0 where a kernel is larger than a bit line."""
    return macro.rows // macro.down // positions


def segments(layer: Layer, macro: Macro) -> int:
    """Bit lines that the inputs of one output fill; a kernel larger than one takes several."""
    per = per_bit_line(layer.positions, macro)
    if per:
        return -(-layer.inputs // per)
    return layer.inputs * -(-layer.positions * macro.down // macro.rows)


def bit_lines(layer: Layer, macro: Macro) -> int:
    """Of a layer."""
    return layer.outputs * segments(layer, macro) * macro.across * macro.beside


def reads(layer: Layer, macro: Macro) -> int:
    """Groups of word lines that are read one after the other for one output's fullest segment."""
    per = per_bit_line(layer.positions, macro)
    held = min(layer.inputs, per) * layer.positions * macro.down if per else macro.rows
    return -(-held // (macro.together or macro.rows))


def aligned_macros(layer: Layer, macro: Macro) -> int:
    """Macros of a layer where none holds bit lines of two segments or two layers."""
    weights_across = macro.usable // macro.across
    blocks = -(-layer.outputs // weights_across)
    return blocks * segments(layer, macro) * macro.beside


@attrs.frozen
class Resources:
    """What layers take together."""

    bit_lines: int
    macros: int
    """That hold these bit lines side by side: those that are bought."""
    aligned_macros: int
    weights: int
    packed: float
    """Utilisation of `macros`."""
    aligned: float
    """Utilisation of `aligned_macros`."""


def resources(layers: Iterable[Layer], macro: Macro) -> Resources:
    """What layers take of macros."""
    listed = list(layers)
    lines = sum(bit_lines(layer, macro) for layer in listed)
    bought = macros_of(lines, macro)
    apart = sum(aligned_macros(layer, macro) for layer in listed)
    weights = sum(layer.weights for layer in listed)
    held = weights * macro.across * macro.down * macro.beside
    return Resources(
        lines, bought, apart, weights, held / (bought * macro.cells), held / (apart * macro.cells)
    )


def macros_of(lines: int, macro: Macro) -> int:
    """Macros for so many bit lines side by side."""
    return max(1, -(-lines // macro.usable))


def chain(widths: Iterable[int], inputs: int = 3, positions: int = 9) -> list[Layer]:
    """Convolutions one behind the other, by their outputs."""
    found = []
    for number, outputs in enumerate(widths):
        found.append(Layer(f"conv{number + 1}", positions, inputs, outputs))
        inputs = outputs
    return found
