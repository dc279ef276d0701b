"""The named list: every bundled chip with small networks of every kind, and what comes of it.

`test_every_chip.py` holds each pair to what must be true of any run, `benchmarks/every_chip.py`
times them, and docs/benchmarks.md prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import attrs

import cimarch
from cimarch.hardware.system import System
from cimarch.workload.network import Network
from cimarch.workload.shapes import shapes_only

ROOT = Path(__file__).resolve().parent.parent

CHIPS = (
    "isaac", "edge_macro", "single_crossbar", "language_chip", "bit_serial",
    "puma", "raella", "prime", "two_pools", "hybrid", "small",
    "neurram", "jia_2020", "colonnade", "tsmc_22nm",
)  # fmt: skip


def table() -> Network:
    """A table of layers: several vectors, a layer four times over, a single one."""
    names = ("outputs", "inputs", "invocations", "repeat")
    rows = ((70, 300, 9, 1), (40, 70, 3, 4), (20, 160, 1, 1))
    return Network.from_table(
        {"kind": "linear", **dict(zip(names, row, strict=True))} for row in rows
    )


NETWORKS: Mapping[str, Callable[[], Network]] = {
    "mlp": lambda: shapes_only("mlp"),
    "resnet20": lambda: cimarch.read_network(str(ROOT / "models" / "resnet20.pt")),
    "mobilenetv2_cifar": lambda: shapes_only("mobilenetv2_cifar"),
    "vgg8": lambda: shapes_only("vgg8"),
    "char-gpt, 8 tokens": lambda: cimarch.read_network("char-gpt", tokens=8),
    "stories260k, 8 tokens": lambda: cimarch.read_network("stories260k", tokens=8),
    "stories260k, the 9th token": lambda: cimarch.read_network("stories260k", context=8),
    "table": table,
}

DIGITAL_ATTENTION = ("E241",) * 4 + (1,) + ("E241",) * 5
"""Of the chips from `puma` on, one has a unit that multiplies two operands: `hybrid`."""

COMES_TO: Mapping[str, tuple[int | str, ...]] = {
    "mlp": (1, 10, 19, 1, 1, 1, 1, 1, 1, 1, 3, 1, 13, 258, 37),
    "resnet20": (1, 36, 36, 1, 1, 1, 1, 1, 1, 1, 4, 2, 26, 320, 53),
    "mobilenetv2_cifar": (1, "E232", 504, 1, 5, 1, 1, 1, 2, 1, 45, 16, 537, 3663, 711),
    "vgg8": (1, "E232", 800, 1, 13, 1, 1, 1, 4, 1, 110, 19, 201, 12688, 1596),
    "char-gpt, 8 tokens": ("E241", "E241", 82, 1, 1, *DIGITAL_ATTENTION),
    "stories260k, 8 tokens": ("E241", "E241", 63, 1, 1, *DIGITAL_ATTENTION),
    "stories260k, the 9th token": ("E241", "E241", 63, 1, 1, *DIGITAL_ATTENTION),
    "table": (1, 7, 9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 12, 53, 15),
}
"""Per network, for each of `CHIPS`: its resident groups at 8 bits, or the code of the refusal.

E232: the weights are more than the buffer holds that they are kept in. E241: attention, on a chip
of which no part multiplies two operands.
"""


@attrs.frozen
class Pair:
    """A bundled chip and a network."""

    chip: str
    network: str
    comes_to: int | str

    @property
    def runs(self) -> bool:
        """Whether the chip can run it."""
        return isinstance(self.comes_to, int)

    @property
    def schedules(self) -> tuple[str, ...]:
        """A table of layers has no rows for a pipeline; of what is loaded a thousand times, one
        run shows all."""
        loaded = self.comes_to if isinstance(self.comes_to, int) else 0
        once = self.network == "table" or loaded > 1000
        return ("layers",) if once else ("layers", "pipeline")

    def system(self) -> System:
        """The chip."""
        return cimarch.load(self.chip)

    def read(self) -> Network:
        """The network."""
        return NETWORKS[self.network]()

    def __str__(self) -> str:
        return f"{self.chip} {self.network}"


def pairs() -> Iterator[Pair]:
    """The list, in order."""
    for network in NETWORKS:
        for chip, comes_to in zip(CHIPS, COMES_TO[network], strict=True):
            yield Pair(chip, network, comes_to)


PAIRS = tuple(pairs())
