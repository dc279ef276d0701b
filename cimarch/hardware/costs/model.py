"""What a cost model is: a formula that prices a part which states no cost of its own.

A model is asked only where the description leaves a number open, and it answers with an `Estimate`:
the number, and everything that a reader needs to work it out again. Models give energy, area and
leakage, never time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Protocol

import attrs

from cimarch.units import Quantity


class Facts(Protocol):
    """What a model may ask of the part that it prices. Numbers are in SI base units."""

    @property
    def kind(self) -> str:
        """The component of the library that the part is at the bottom."""

    @property
    def clock(self) -> Fraction:
        """Hz: the part's clock."""

    @property
    def running(self) -> Mapping[str, Fraction]:
        """What only a run knows (`RUNNING_NAMES`); empty for an area or a leakage."""

    def has(self, name: str) -> bool:
        """Whether a parameter has a value: it is not `none`."""

    def number(self, name: str) -> Fraction:
        """The value of a parameter that is a number."""

    def word(self, name: str) -> str:
        """The value of a parameter that is a word."""

    def flag(self, name: str) -> bool:
        """The value of a parameter that is true or false."""

    def list(self, name: str) -> tuple[object, ...]:
        """The value of a parameter that is a list."""

    def latency(self, action: str, running: Mapping[str, Fraction]) -> Fraction:
        """Seconds of one of the part's own actions: as stated, else a cycle of its clock."""

    def stated(self, action: str) -> Fraction | None:
        """Joules of one of the part's own actions, as the description states them, in an ordinary
        run; None where it does not."""


@attrs.frozen
class Estimate:
    """One number of a cost model, and how it came about."""

    quantity: Quantity
    model: str
    """The model's name: `SAR converter`."""
    formula: str
    """In symbols, the names of `inputs` in it: `energy = e0 * 4^bits`."""
    inputs: tuple[tuple[str, str], ...]
    """What was put in for each name, as people write it: `("bits", "8")`."""
    source: str
    """Paper and table or equation, or the public file that it was read from."""
    warnings: tuple[str, ...] = ()
    """Where the formula is used outside what it was made for, a sentence each: `8 nm is outside
    16..130 nm, the nodes of the table`."""


class CostError(ValueError):
    """The formula means nothing for this part: `flash` with 14 bits."""

    def __init__(self, headline: str, parameter: str, *helps: str) -> None:
        super().__init__(headline)
        self.headline = headline
        """Lowercase, no full stop, with the value and the limit; the part's path is added."""
        self.parameter = parameter
        """Whose value is to blame."""
        self.helps = helps
        """What to type."""


Pricing = Callable[[Facts], Estimate | None]
"""Gives the estimate; None where the description says too little for it. Raises CostError."""


@attrs.frozen
class Model:
    """What prices one number of one kind of part."""

    kind: str
    target: str
    """`area`, `leakage`, `router_area`, or an action's energy: `read.energy`."""
    price: Pricing
    needs: frozenset[str] = frozenset()
    """The running names that the estimate depends on."""
    needs_node: bool = True
    """Whether it is asked only where the description states a `node`."""
