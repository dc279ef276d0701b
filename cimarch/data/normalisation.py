"""How stored numbers become inputs: as a data set has it, a flag, or the file beside a model."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np
from numpy.typing import NDArray

from cimarch.data.problems import problem
from cimarch.workload.adapted import NORMALISE, brought_json
from cimarch.workload.network import Network

Array = NDArray[Any]


@attrs.frozen
class Normalise:
    """How stored numbers become a network's inputs: (x / whole - mean) / deviation, in float32."""

    whole: float = 1.0
    """The stored number that stands for 1."""
    mean: tuple[float, ...] = (0.0,)
    """Of each channel, or one for all."""
    deviation: tuple[float, ...] = (1.0,)
    source: str = "as they are"
    """Who says so."""

    def __call__(self, stored: Array) -> NDArray[np.float32]:
        """The inputs of a batch whose second axis is the channel."""
        inputs = stored.astype(np.float32)
        shape = (1, -1) + (1,) * (stored.ndim - 2)
        if self.whole != 1:
            inputs /= np.float32(self.whole)
        if any(self.mean):
            inputs -= np.array(self.mean, np.float32).reshape(shape)
        if any(each != 1 for each in self.deviation):
            inputs /= np.array(self.deviation, np.float32).reshape(shape)
        return np.ascontiguousarray(inputs)

    @property
    def channels(self) -> int:
        """Channels that it is for; 1: any number."""
        return max(len(self.mean), len(self.deviation))

    def as_stated(self, stated: Stated | None) -> Normalise:
        """The same where nothing is stated; what is stated otherwise goes before it."""
        if stated is None:
            return self
        source = f"x / {self.whole:g}, {stated.source}"
        return Normalise(self.whole, stated.mean, stated.deviation, source)


@attrs.frozen
class Stated:
    """A mean and a deviation that somebody states, for each channel or for all.

    They are of inputs that are scaled to 0..1, as the data set scales them.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]
    source: str
    of_bytes: bool = False
    """It is for stored bytes alone: other numbers are taken as they are."""


FORM = "`--normalise .485,.456,.406/.229,.224,.225`"


def stated(text: str) -> Stated:
    """What `MEAN/DEVIATION` says, a number for each channel of inputs that are scaled to 0..1.

    Raises DescriptionError (E328) where it does not say it.
    """
    pieces = [_numbers(piece) for piece in text.split("/")]
    mean, deviation = (pieces[0], pieces[1]) if len(pieces) == 2 else (None, None)
    if mean is None or deviation is None or min(deviation) <= 0:
        raise problem(
            "E328",
            f"`{text}` is not a mean and a deviation above 0",
            helps=[f"write for instance {FORM}"],
        )
    if 1 not in (len(mean), len(deviation)) and len(mean) != len(deviation):
        raise problem("E328", f"`{text}` has {len(mean)} means and {len(deviation)} deviations")
    return Stated(mean, deviation, f"stated: {text}")


def beside(model: str | Path) -> Stated | None:
    """What the JSON file of the same name beside a model states under `normalise`.

    `{"normalise": {"mean": [...], "deviation": [...]}}`, of inputs that are scaled to 0..1; None
    where there is no such file or entry. DescriptionError (E328) where it says something else.
    """
    path = Path(model).with_suffix(".json")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    if not isinstance(found, dict) or "normalise" not in found:
        return None
    return _of(found["normalise"], f"`normalise` of `{path}`", f"`{path.name}` beside the model")


def brought(network: Network) -> Stated | None:
    """What the file of an adapted model states, as `beside`; None where it states nothing."""
    held = brought_json(network, NORMALISE)
    return None if held is None else _of(held.value, f"`{held.file}`", f"`{held.file}`")


def _of(entry: object, where: str, source: str) -> Stated:
    if isinstance(entry, dict) and set(entry) == {"mean", "deviation"}:
        mean, deviation = _checked(entry["mean"]), _checked(entry["deviation"])
        if mean and deviation and min(deviation) > 0:
            return Stated(mean, deviation, source, of_bytes=True)
    raise problem("E328", f"{where} is not two lists of numbers, `mean` and `deviation`")


def _numbers(text: str) -> tuple[float, ...] | None:
    try:
        return _checked([float(piece) for piece in text.split(",")])
    except ValueError:
        return None


def _checked(values: object) -> tuple[float, ...] | None:
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        return None
    plain = all(type(v) in (int, float) and math.isfinite(v) and abs(v) < 1e30 for v in values)
    return tuple(float(value) for value in values) if plain else None
