"""How signed weights become cells: the columns, the sums that are sensed, and the input steps.

Every encoding cuts a weight into slices of `cell_bits`; what differs is how a sign is kept. The
functions take a crossbar (or digital array) part; all counts are of one weight.
"""

from __future__ import annotations

import attrs

from cimarch.hardware.system import Part


@attrs.frozen
class Encoding:
    """One way to keep a sign."""

    name: str
    summary: str
    doubled: bool = False
    """Two halves, positive and negative, whose difference is the weight."""
    sign_column: bool = False
    """The sign bit lies in a column of its own."""
    sign_in_cell: bool = False
    """A cell holds a signed number."""
    reference_column: bool = False
    """One column of the array holds the offset."""
    one_bit: bool = False
    """A weight is +1 or -1 and takes one cell."""
    correction: str = "none"
    """What takes the offset out again: `digital`, `column` or `none`."""


ENCODINGS: dict[str, Encoding] = {
    encoding.name: encoding
    for encoding in (
        Encoding(
            "offset",
            "weights + 2^(bits - 1); a count of the inputs' sum takes the offset out",
            correction="digital",
        ),
        Encoding(
            "offset_column",
            "the same, the offset measured by one more column",
            reference_column=True,
            correction="column",
        ),
        Encoding(
            "flipped",
            "offset, a column stored inverted where that lowers its largest sum (ISAAC)",
            correction="digital",
        ),
        Encoding("differential", "positive and negative half beside each other", doubled=True),
        Encoding("twos_complement", "the sign bit in its own column", sign_column=True),
        Encoding("signed_cell", "a cell holds a signed number", sign_in_cell=True),
        Encoding("binary", "+1 or -1 in one cell", one_bit=True, sign_in_cell=True),
    )
}
"""Every encoding by the word of `std.cimarch`."""


def encoding_of(part: Part) -> Encoding:
    """The encoding of a crossbar."""
    return ENCODINGS[part.word("encoding")]


def slices(part: Part, weight_bits: int) -> int:
    """Cells side by side that hold one weight's magnitude: ceil(weight bits / cell bits).

    A sign bit with a column of its own is not among them: 1 + ceil((bits - 1) / cell bits) in all.
    """
    encoding, cell_bits = encoding_of(part), part.integer("cell_bits")
    if encoding.one_bit:
        return 1
    if encoding.sign_column:
        return max(0, _ceil(weight_bits - 1, cell_bits))
    return _ceil(weight_bits, cell_bits)


def columns_per_weight(part: Part, weight_bits: int) -> int:
    """Columns that one weight takes on its array: those of its cells, and `sum_columns` that carry
    its sum (a digital macro whose adders lie in the columns, such as Colonnade)."""
    return cell_columns(part, weight_bits) + part.integer("sum_columns")


def cell_columns(part: Part, weight_bits: int) -> int:
    """Columns that the cells of one weight take on its array.

    A differential pair takes twice the slices when its halves lie in neighbouring columns
    (`pair = column`); with `pair = row` or `array` the other half lies elsewhere.
    """
    encoding, count = encoding_of(part), slices(part, weight_bits)
    if encoding.doubled and part.word("pair") == "column":
        return 2 * count
    return count + encoding.sign_column


def rows_per_input(part: Part) -> int:
    """Rows that one input drives: two where a differential pair lies in neighbouring rows."""
    return 2 if encoding_of(part).doubled and part.word("pair") == "row" else 1


def arrays_per_weight(part: Part) -> int:
    """Arrays that hold one weight: two where the halves of a pair lie on two arrays."""
    return 2 if encoding_of(part).doubled and part.word("pair") == "array" else 1


def sense_lines_per_weight(part: Part, weight_bits: int) -> int:
    """Sums that are converted for one weight on one array: its columns, halved where the halves of
    a pair in neighbouring columns are subtracted in analog, one where the slices merge in analog
    too. Of halves on two arrays see `arrays_per_sum`."""
    columns = cell_columns(part, weight_bits)
    encoding = encoding_of(part)
    halves = 2 if encoding.doubled and part.word("pair") == "column" else 1
    if part.word("slice_merge") == "analog":
        columns = halves
    if halves == 2 and part.word("subtract") == "analog":
        columns = _ceil(columns, 2)
    return columns


def merged_columns(part: Part, weight_bits: int) -> int:
    """Columns of an array that are summed before they are converted, and so lie beside each other:
    a pair that is subtracted in analog, or a whole weight whose slices merge."""
    if part.word("slice_merge") == "analog":
        return columns_per_weight(part, weight_bits)
    beside = encoding_of(part).doubled and part.word("pair") == "column"
    return 2 if beside and part.word("subtract") == "analog" else 1


def arrays_per_sum(part: Part) -> int:
    """Arrays whose bit lines meet before they are converted: two where the halves of a pair on two
    arrays are subtracted in analog. Of each two lines one is converted, half of them by the
    converters of either array."""
    return arrays_per_weight(part) if part.word("subtract") == "analog" else 1


def extra_columns(part: Part) -> int:
    """Columns of an array that hold no weights: one where the offset is measured."""
    return int(encoding_of(part).reference_column)


def steps(part: Part, dac_bits: int, input_bits: int) -> int:
    """Input steps of one read: ceil(magnitude bits / DAC bits), the sign of a sign-magnitude input
    being no bit of its magnitude."""
    magnitude = input_bits - (part.word("inputs") == "sign_magnitude")
    return max(1, _ceil(magnitude, dac_bits))


def conversions_per_line(part: Part, dac_bits: int, input_bits: int) -> int:
    """Conversions of one sense line for one group: one a step, or one in all where the steps are
    accumulated in analog."""
    analog = part.word("input_accumulation") == "analog"
    return 1 if analog else steps(part, dac_bits, input_bits)


def is_read_apart(part: Part) -> bool:
    """Whether the positive and the negative rows of pairs are read after each other: halves in
    neighbouring rows share a bit line, and only a conversion of each tells them apart."""
    digital = part.word("subtract") == "digital"
    return encoding_of(part).doubled and part.word("pair") == "row" and digital


def inputs_per_group(part: Part) -> int:
    """Inputs whose rows are read at once: the word lines, half of them where an input drives two
    rows in one read."""
    together = 1 if is_read_apart(part) else rows_per_input(part)
    return part.integer("word_lines") // together


def groups(part: Part, rows: int) -> tuple[int, ...]:
    """The rows of each group of word lines that is read after the one before, of the first `rows`.

    A pair of rows that is read together stays in one group; rows that are read apart follow each
    other, all positive ones before all negative ones.
    """
    together = rows_per_input(part)
    if is_read_apart(part):
        rows, together = rows // together, 1
    limit = inputs_per_group(part) * together
    found = tuple(min(limit, rows - first) for first in range(0, rows, limit))
    return found * 2 if is_read_apart(part) else found


def _ceil(count: int, by: int) -> int:
    return -(-count // by)
