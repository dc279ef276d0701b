"""What every method takes, how an option says what it is, and what is wrong with some.

The options of a method are one frozen attrs class; each field is made by `option`, with the
sentence that both the command line and a reader need. `cimarch optimize` makes its flags from them.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from cimarch.data.dataset import DataSet
from cimarch.diagnostics import DescriptionError, Diagnostic, suggestion


def option(
    default: Any,
    help: str,
    *,
    least: float | None = None,
    most: float | None = None,
    words: tuple[str, ...] = (),
    metavar: str = "",
) -> Any:
    """A field of an options class: its default, a sentence, and the values that it may have.

    A number lies in `least`..`most`; a word is one of `words`. None, where it is the default, is
    allowed as well. `metavar` stands for the value on the page of help.
    """
    told = {"help": help, "least": least, "most": most, "words": words, "metavar": metavar}
    return attrs.field(default=default, metadata=told)


@attrs.frozen(kw_only=True)
class Options:
    """What every method takes."""

    seed: int = option(0, "Of everything random.", least=0, most=2**31 - 1)
    images: int | None = option(None, "Training examples that are used; all.", least=1, metavar="N")
    held_back: int | None = option(
        None, "Training examples that only choose and calibrate; 2,000, or a fifth.", least=1,
        metavar="N",
    )  # fmt: skip
    judge: int | None = option(
        None, "Judge by the first N test examples only, at the end.", least=1, metavar="N"
    )
    device: str = option("auto", "Where torch computes; auto: a GPU where there is one.")

    def check(self) -> None:
        """Raise DescriptionError where an option is outside what it may be."""
        for field in attrs.fields(type(self)):
            _check(field, getattr(self, field.name))

    def told(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {name: _plain(value) for name, value in attrs.asdict(self, recurse=False).items()}

    @property
    def torch_device(self) -> str:
        """The device that `auto` stands for."""
        if self.device != "auto":
            return self.device
        import torch

        return "cuda" if torch.cuda.is_available() else "cpu"


@attrs.frozen(kw_only=True)
class Trains(Options):
    """What methods take that train on images."""

    augment: str = option(
        "auto",
        "How training images are changed: shifted by up to an eighth of their width; mirrored as "
        "well, half of them; auto: mirrored where the data set says that this keeps the class.",
        words=("auto", "none", "shift", "mirror"),
    )
    batch: int = option(128, "Images of a step.", least=1)

    def augmented(self, data: DataSet) -> dict[str, Any]:
        """`shift` and `mirror` of a recipe for images of a data set."""
        if self.augment == "none":
            return {"shift": 0, "mirror": False}
        mirror = data.mirrors if self.augment == "auto" else self.augment == "mirror"
        return {"shift": data.test.shape[-1] // 8, "mirror": mirror}


def wrong(headline: str, *helps: str, notes: tuple[str, ...] = ()) -> DescriptionError:
    """The error for an option of a method."""
    return DescriptionError(Diagnostic("E450", headline, notes=notes, helps=helps))


def _check(field: attrs.Attribute[Any], value: Any) -> None:
    told = field.metadata
    if not told or (value is None and field.default is None):
        return
    name = field.name
    if told["words"] and value not in told["words"]:
        known = ", ".join(f"`{word}`" for word in told["words"])
        raise wrong(
            f"`{name}` is `{value}`, none of {known}", *suggestion(str(value), told["words"])
        )
    if told["least"] is None and told["most"] is None:
        return
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    whole = not _is_whole(field) or (number and value == value // 1)
    low = -sys.float_info.max if told["least"] is None else told["least"]
    high = sys.float_info.max if told["most"] is None else told["most"]
    if not (number and whole and low <= value <= high):
        what = "a whole number" if _is_whole(field) else "a number"
        reach = f"from {low:g} up" if told["most"] is None else f"in {low:g}..{high:g}"
        raise wrong(f"`{name}` is {value!r}, not {what} {reach}")


def _is_whole(field: attrs.Attribute[Any]) -> bool:
    return str(field.type).startswith("int")


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
