"""What the methods that change widths take."""

from __future__ import annotations

import attrs

from cimarch.data.dataset import DataSet
from cimarch.optimize.frame.options import Options, Trains, option, wrong
from cimarch.optimize.training import Recipe


@attrs.frozen(kw_only=True)
class Widths(Trains):
    """The budget, how channels are chosen, and how the network is trained afterwards."""

    budget: int | None = option(
        None, "Macros that all weights may take; those of the description.", least=1, metavar="N"
    )
    bit_lines: int | None = option(
        None, "The budget in bit lines, in place of macros.", least=1, metavar="N"
    )
    pool: str = option("", "The pool whose macros are counted; the first that serves a layer.")
    uncounted: str = option(
        "", "Layers that lie elsewhere and count for nothing: patterns, with commas between."
    )
    weight_bits: int | None = option(
        None, "Of a weight on the chip; those that the system states.", least=1, most=32
    )
    input_bits: int | None = option(
        None, "Of an input; those that the system states.", least=1, most=32
    )
    importance: str = option(
        "taylor",
        "What channels are kept by: what the loss loses, to first order, a bit line; or |gamma|.",
        words=("taylor", "gamma", "magnitude", "random"),
    )
    epochs: int = option(10, "Epochs of training with the last widths.", least=0)
    rate: float = option(0.05, "Learning rate of that training.", least=0)
    decay: float = option(5e-4, "Of weights.", least=0)
    bfloat16: bool = option(True, "Products of training in bfloat16, as processors have them.")

    def check(self) -> None:
        """Raise DescriptionError where an option is outside what it may be."""
        Options.check(self)
        if self.budget is not None and self.bit_lines is not None:
            raise wrong(
                f"`budget` is {self.budget} macros and `bit_lines` is {self.bit_lines}: "
                "one of them is the budget",
                f"`--budget {self.budget}`",
                f"`--bit-lines {self.bit_lines}`",
            )

    def recipe(self, epochs: int, rate: float, data: DataSet) -> Recipe:
        """How to train for so many epochs on a data set."""
        return Recipe(
            epochs=epochs, rate=rate, batch=self.batch, decay=self.decay, seed=self.seed,
            bfloat16=self.bfloat16, **self.augmented(data),
        )  # fmt: skip


@attrs.frozen(kw_only=True)
class UniformWidth(Widths):
    """One factor for all widths."""


@attrs.frozen(kw_only=True)
class TwoStage(Widths):
    """How the network shrinks and expands."""

    rounds: int = option(2, "Times that it shrinks and expands.", least=1, most=100)
    shrink_epochs: int = option(1, "Epochs of training with the regulariser, each time.", least=1)
    shrink_rate: float = option(0.02, "Learning rate of that training.", least=0)
    strength: float = option(
        2.0, "Of the regulariser (lambda); 0: none.", least=0, metavar="LAMBDA"
    )
    form: str = option(
        "bilinear", "Of the regulariser: MorphNet's, or as it was published.",
        words=("bilinear", "literal"),
    )  # fmt: skip
    threshold: float | None = option(
        None, "Channels whose importance is below go; one that leaves `shrink_to`.", least=0
    )
    shrink_to: float = option(
        0.7, "Share of a round's budget that is left before it expands.", least=0.01, most=1
    )
    least: float = option(0.25, "Share of its channels that a layer keeps.", least=0, most=1)
    fresh: str = option(
        "keep", "Outgoing weights of new channels: zero, or drawn.", words=("keep", "he")
    )
    then_qat: bool = option(False, "Go on with quantisation-aware training, the second stage.")
