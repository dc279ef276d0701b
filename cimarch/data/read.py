"""`--data NAME[:PATH]` to a data set."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from cimarch.data.cifar import cifar10
from cimarch.data.dataset import DataSet
from cimarch.data.digits import digits
from cimarch.data.folder import image_folder
from cimarch.data.given import npz
from cimarch.data.normalisation import Stated, brought, stated
from cimarch.data.own import is_own, own
from cimarch.data.problems import problem
from cimarch.data.tokens import tokens
from cimarch.diagnostics import suggestion
from cimarch.workload.network import Network

FORMS = ("cifar10:PATH", "digits", "folder:PATH", "npz:PATH", "tokens:PATH", "module:function")

OF_A_PATH: dict[str, Callable[[str, Stated | None], DataSet]] = {
    "cifar10": cifar10, "folder": image_folder, "npz": npz,
}  # fmt: skip


def read_data(
    text: str,
    network: Network | None = None,
    *,
    normalise: str | Stated | None = None,
    tokenizer: str | None = None,
) -> DataSet:
    """Read the data set that `text` names, in the form in which `network` takes it.

    `text` is `digits`, `cifar10:PATH`, `folder:PATH` (pictures by class), `npz:PATH`,
    `tokens:PATH`, or `module:function`, a function of your own that gives arrays or a `DataSet`.
    `normalise` is `MEAN/DEVIATION`, a number for each channel of inputs that are scaled to 0..1,
    where the data set's own is not the network's, as the file of an adapted model may say too;
    `tokenizer` cuts text (`cimarch.data.tokens`).
    Nothing but a function of your own is run. Raises DescriptionError where there is no such set,
    it is damaged or empty, or does not fit the network.
    """
    name, colon, path = text.partition(":")
    scale = stated(normalise) if isinstance(normalise, str) else normalise
    if scale is None and network is not None:
        scale = brought(network)
    if tokenizer is not None and name != "tokens":
        raise problem("E327", f"`{text}` holds no text: it takes no tokenizer")
    if name == "tokens":
        if scale is not None and not scale.of_bytes:
            raise problem("E328", f"`{text}` holds tokens, which are not normalised")
        found = tokens(_path(text, path), _length(text, network), tokenizer)
    elif name == "digits":
        if colon:
            raise problem("E320", f"data set `digits` takes no path, and `{path}` is given")
        found = digits(scale)
    elif name in OF_A_PATH:
        found = OF_A_PATH[name](_path(text, path), scale)
    elif is_own(text) and name.lower() not in {*OF_A_PATH, "digits", "tokens"}:
        found = own(text, scale)
    else:
        raise _unknown(text, name)
    return found if network is None else found.fitted(network)


def _path(text: str, path: str) -> str:
    if not path:
        name = text.partition(":")[0]
        raise problem(
            "E320", f"data set `{name}` is given without a path", helps=[f"--data {name}:PATH"]
        )
    return os.path.expanduser(path)


def _length(text: str, network: Network | None) -> int:
    """Tokens that the network takes at once."""
    if network is None:
        raise problem("E320", f"`{text}` is cut to a network's length, and none is given")
    shape = network.tensors[network.inputs[0]].shape if len(network.inputs) == 1 else ()
    if len(shape) != 1:
        raise problem("E323", f"`{network.name}` takes no row of tokens, and `{text}` holds them")
    return shape[0]


def _unknown(text: str, name: str) -> Exception:
    return problem(
        "E320",
        f"there is no data set `{text}`",
        notes=[f"there are {', '.join(FORMS)}"],
        helps=_meant(text, name),
    )


def _meant(text: str, name: str) -> tuple[str, ...]:
    """What to type instead: a name that is like it, or a name before a path."""
    try:
        is_path = Path(os.path.expanduser(text)).exists()
    except (OSError, ValueError):
        is_path = False
    if is_path:
        return tuple(f"--data {each}:{text}" for each in OF_A_PATH)
    return suggestion(name.lower(), ("digits", "tokens", *OF_A_PATH))
