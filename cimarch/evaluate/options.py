"""The options of an evaluation, and what is wrong with some."""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.quantise import Quantising
from cimarch.functional.fit.saved_quantised import Saved as SavedModel
from cimarch.hardware.system import System
from cimarch.mapping.duplicate import Duplicate
from cimarch.mapping.placement import Placement
from cimarch.mapping.pools import Wanted, pairs
from cimarch.mapping.saved import Saved as SavedPlacement
from cimarch.simulate import Progress, map_network
from cimarch.workload.network import Network


@attrs.frozen(kw_only=True)
class Where:
    """Where a network lies: the options of `map_network`."""

    weight_bits: int = 8
    input_bits: int = 8
    precision: object = None
    place: Wanted = None
    duplicate: Duplicate = "none"
    spread_rows: bool = False
    placement: SavedPlacement | None = None
    attention: str | None = None
    allow_unmapped: bool = False

    def placed(self, system: System, network: Network) -> Placement:
        """The network on a system; DescriptionError where it cannot lie there."""
        return map_network(
            system, network, weight_bits=self.weight_bits, input_bits=self.input_bits,
            precision=self.precision, place=self.place, duplicate=self.duplicate,
            spread_rows=self.spread_rows, placement=self.placement, attention=self.attention,
            allow_unmapped=self.allow_unmapped,
        )  # fmt: skip

    def told(self) -> dict[str, object]:
        """As plain JSON values."""
        return {
            "weight_bits": self.weight_bits,
            "input_bits": self.input_bits,
            "precision": plain(self.precision),
            "place": dict(pairs(self.place)),
            "duplicate": plain(self.duplicate),
            "spread_rows": self.spread_rows,
            "placement": named(self.placement),
            "attention": self.attention,
            "allow_unmapped": self.allow_unmapped,
        }


@attrs.frozen(kw_only=True)
class How:
    """How a network becomes whole numbers, and is run."""

    quantising: Quantising
    quantised: SavedModel | None = None
    """A model that is so already."""
    calibrate: int | None = None
    """Examples that calibrate; None: as many as is usual."""
    batch: int = 100
    device: str = "cpu"
    tell: Progress = lambda stage, share: None

    def check(self) -> None:
        """Raise DescriptionError where something is not possible here."""
        _check_torch()
        _check_device(self.device)
        self.quantising.check()
        count(self.batch, "batch")
        if self.calibrate is not None:
            count(self.calibrate, "calibrate", least=0)

    def told(self) -> dict[str, object]:
        """As plain JSON values; what only says how fast it goes is not among them."""
        return {
            "quantising": attrs.asdict(self.quantising),
            "quantised": named(self.quantised),
            "calibrate": self.calibrate,
        }


def plain(option: object) -> Any:
    """An option as a JSON value."""
    if isinstance(option, Mapping):
        return dict(option)
    return os.fspath(option) if isinstance(option, Path) else option


def named(option: object) -> str | None:
    """The file that an option names; of what was given as an object, what it is."""
    if option is None or isinstance(option, (str, Path)):
        return None if option is None else os.fspath(option)
    return type(option).__name__


def count(value: object, what: str, least: int = 1) -> int:
    """A whole number from `least` up; DescriptionError where it is none."""
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        count = least - 1
    if isinstance(value, bool) or count < least:
        raise wrong(f"`{what}` is {value!r}, not a whole number from {least} up")
    return count


def wrong(headline: str, *notes: str) -> DescriptionError:
    """The error for an option."""
    return DescriptionError(Diagnostic("E309", headline, notes=notes))


def _check_torch() -> None:
    if find_spec("torch") is None:
        raise DescriptionError(
            Diagnostic(
                "E308",
                "evaluating a network takes torch, which is not installed",
                helps=("install it: `pip install 'cimarch[torch]'`",),
            )
        )


def _check_device(device: str) -> None:
    """Raise DescriptionError where torch has no such device."""
    import torch

    try:
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise wrong(f"`device` is {device!r}, which cannot be used here", reason) from None
