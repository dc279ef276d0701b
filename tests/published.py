"""The one-crossbar latency model of Pelke et al. (arXiv 2601.21737), and their VGG-16 table.

Their compiler knows one crossbar: each tile of a layer's weights is written once, then all its
vectors pass, an input step at a time, and nothing overlaps. `cycles` is that model in closed form;
`chip` is the bundled description with other numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import attrs

import cimarch
from cimarch.hardware.system import System

Row = Mapping[str, Any]

MAPPINGS = {
    "dc": ("differential", "column"),
    "dr": ("differential", "row"),
    "of": ("offset_column", "column"),
}
"""Their mappings (differential columns, differential rows, offset), and the `encoding` and `pair`
of a crossbar that is mapped so."""


def mapping(wording: str) -> str:
    """Which of the three a configuration means: `differential (two columns per slice)`, ..."""
    if wording in MAPPINGS:
        return wording
    if wording.startswith("offset"):
        return "of"
    assert wording.startswith("differential"), f"no mapping is called {wording}"
    return "dr" if "row" in wording else "dc"


@attrs.frozen(kw_only=True)
class Hardware:
    """The fields of a hardware configuration; times in microseconds."""

    rows: int = 256
    columns: int = 256
    cell_bits: int = 4
    input_slice_bits: int = 1
    write_us_per_crossbar: Fraction = Fraction(56)
    execute_us_per_input_step: Fraction = Fraction("1.4")
    encoding: str = "differential (two columns per slice)"
    crossbars: int = 1
    overlap: bool = False

    @property
    def clock(self) -> int:
        """MHz of a clock in whose cycles both times are whole: a power of ten."""
        megahertz = 1
        while any((t * megahertz).denominator > 1 for t in self._times):
            megahertz *= 10
            assert megahertz <= 10**9, "the times are no decimal fractions of a microsecond"
        return megahertz

    @property
    def write(self) -> int:
        """Cycles to write the crossbar."""
        return int(self._times[0] * self.clock)

    @property
    def step(self) -> int:
        """Cycles of one input step."""
        return int(self._times[1] * self.clock)

    @property
    def _times(self) -> tuple[Fraction, Fraction]:
        return Fraction(self.write_us_per_crossbar), Fraction(self.execute_us_per_input_step)

    def tiles(self, outputs: int, inputs: int, weight_bits: int) -> int:
        """Crossbars full of weights of one matrix.

        An offset takes one column of each crossbar. The paper counts one for a whole matrix, which
        comes to the same for its networks.
        """
        kept = mapping(self.encoding)
        columns = outputs * _ceil(weight_bits, self.cell_bits) * (2 if kept == "dc" else 1)
        rows = inputs * (2 if kept == "dr" else 1)
        room = self.columns - (1 if kept == "of" else 0)
        return _ceil(columns, room) * _ceil(rows, self.rows)


def _ceil(count: int, by: int) -> int:
    return -(-count // by)


def chip(hardware: Hardware) -> System:
    """The bundled one-crossbar chip with these numbers, on a clock that rounds nothing."""
    assert hardware.crossbars == 1, "the published model has one crossbar"
    assert not hardware.overlap, "the published model overlaps nothing"
    encoding, pair = MAPPINGS[mapping(hardware.encoding)]
    return cimarch.load(
        "single_crossbar",
        set={
            "clock": f"{hardware.clock} MHz",
            "crossbar.rows": hardware.rows,
            "crossbar.columns": hardware.columns,
            "crossbar.cell_bits": hardware.cell_bits,
            "crossbar.encoding": encoding,
            "crossbar.pair": pair,
            "crossbar.write.latency": f"{hardware.write} cycle",
            "crossbar.read.latency": f"{hardware.step} cycle",
            "dac.bits": hardware.input_slice_bits,
        },
    )


def cycles(
    hardware: Hardware, layers: Iterable[Row], bits: Iterable[Sequence[int]]
) -> tuple[int, int]:
    """Cycles of one inference, and those of them that write, by the published formula:

    repeat (T t_write + invocations T ceil(a / input slice) t_step), summed over the layers, where T
    is the number of tiles and a the bits of an input.
    """
    total = written = 0
    for row, (weight_bits, input_bits) in zip(layers, bits, strict=True):
        outputs, inputs, windows, repeat = (
            row[name] for name in ("outputs", "inputs", "invocations", "repeat")
        )
        tiles = repeat * hardware.tiles(outputs, inputs, weight_bits)
        steps = _ceil(input_bits, hardware.input_slice_bits)
        written += tiles * hardware.write
        total += tiles * (hardware.write + windows * steps * hardware.step)
    return total, written


def _layers(kind: str, *shapes: tuple[int, int, int]) -> list[Row]:
    return [
        {"kind": kind, "outputs": m, "inputs": n, "invocations": v, "repeat": 1}
        for m, n, v in shapes
    ]


VGG16 = [
    *_layers(
        "conv2d",
        (64, 27, 50176), (64, 576, 50176),
        (128, 576, 12544), (128, 1152, 12544),
        (256, 1152, 3136), (256, 2304, 3136), (256, 2304, 3136),
        (512, 2304, 784), (512, 4608, 784), (512, 4608, 784),
        (512, 4608, 196), (512, 4608, 196), (512, 4608, 196),
    ),
    *_layers("linear", (4096, 25088, 1), (4096, 4096, 1), (1000, 4096, 1)),
]  # fmt: skip
"""Configuration D of Simonyan & Zisserman (ICLR 2015) on 224 x 224 images: outputs, inputs
(channels x 3 x 3) and positions of each map."""

POLICY = (
    (8, 8), (4, 7), (4, 6), (4, 3), (4, 5), (4, 4), (4, 4), (4, 6), (4, 4), (4, 2), (4, 6), (4, 3),
    (4, 7), (8, 8), (4, 7), (8, 8),
)  # fmt: skip
"""Bits of weights and inputs that they publish for this crossbar, layer by layer."""
