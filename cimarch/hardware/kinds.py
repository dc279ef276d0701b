"""The kinds of component: their ports, their actions and what one action is one of.

A kind is a component of `std.cimarch` with a behaviour in Python; this table is the list of both.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

IN_OUT = ("in", "out")
ANY = ("any",)


@attrs.frozen
class Kind:
    """What Python knows of one kind of component."""

    name: str
    ports: tuple[str, ...]
    """`in`, `out`, `write` or `any`; none where it only holds other parts."""
    actions: Mapping[str, str]
    """The work that one use of an action does: rules of energy charge by it."""
    summary: str
    figures: tuple[str, ...] = ()
    """The parameters that decide time; one left at the library's default counts as assumed."""

    @property
    def default_source(self) -> str | None:
        """The port that `name -> ...` means."""
        return self._first("out", "any")

    @property
    def default_target(self) -> str | None:
        """The port that `... -> name` means."""
        return self._first("in", "any")

    def _first(self, *names: str) -> str | None:
        return next((n for n in names if n in self.ports), None)


_CONVERSION = {"convert": "a conversion"}
_WORDS = {"read": "a word", "write": "a word"}
_SUM = {"add": "an addition"}
_CELLS = {"read": "a group of word lines in one input step", "write": "a row, cell or array"}
_ARRAY = ("rows", "columns", "cell_bits")

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("block", (), {}, "holds other parts"),
        Kind("chip", (), {}, "a whole system"),
        Kind("crossbar", ("in", "out", "write"), _CELLS, "multiplies and sums in analog", _ARRAY),
        Kind(
            "digital_array", ("in", "out", "write"), _CELLS, "multiplies and sums exactly", _ARRAY
        ),
        Kind("dac", IN_OUT, _CONVERSION, "makes voltages of input bits", ("bits",)),
        Kind("sample_hold", IN_OUT, {"hold": "a column held"}, "keeps what was read"),
        Kind("adc", IN_OUT, _CONVERSION, "makes numbers of column sums", ("bits", "rate")),
        Kind("shift_add", IN_OUT, _SUM, "shifts and adds steps and slices"),
        Kind("accumulator", IN_OUT, _SUM, "adds up results"),
        Kind("adder_tree", IN_OUT, _SUM, "adds many results at once"),
        Kind(
            "unit", IN_OUT, {"compute": "an element"}, "works on elements", ("does", "lanes", "ii")
        ),
        Kind("buffer", IN_OUT, _WORDS, "holds activations", ("width",)),
        Kind("dram", IN_OUT, _WORDS, "memory off the chip", ("width", "rate")),
        Kind("host", IN_OUT, _WORDS, "hands inputs in, takes results", ("width", "rate")),
        Kind("bus", ANY, {"transfer": "a word"}, "one transfer at a time", ("width",)),
        Kind("link", ANY, {"transfer": "a word"}, "wires to elsewhere", ("width", "rate")),
        Kind("mesh", ANY, {"hop": "a flit over one link"}, "routers in a grid", ("width", "hop")),
        Kind("htree", ANY, {"transfer": "a word"}, "a tree of wires", ("width", "hop")),
    )
}
"""Every kind by name."""

CROSSBARS = ("crossbar", "digital_array")
"""The kinds that hold weights."""

COSTS = ("latency", "energy")
"""What an action may state."""

OPERATION_WORDS = (
    *("any", "activation", "norm", "softmax", "pool", "add", "mul", "matmul", "sdpa", "embedding"),
    *("relu", "relu6", "leaky_relu", "clamp", "hardtanh", "sigmoid", "tanh", "gelu", "silu"),
    *("mish", "hardswish", "hardsigmoid", "elu", "softplus", "exp", "log", "erf", "sin", "cos"),
    *("sqrt", "rsqrt", "reciprocal", "abs", "negate", "square", "power", "masked_fill"),
    *("subtract", "divide", "log_softmax", "batch", "layer", "rms", "group"),
    *("max_pool", "average_pool", "max", "average"),
)
"""The words by which `does` of a unit names operations: kinds, functions, and `any` of them."""
