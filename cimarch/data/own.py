"""A data set that a function of the user's own makes: the one place here that runs user code."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from cimarch.data.dataset import DataSet
from cimarch.data.given import from_mapping, of_arrays
from cimarch.data.normalisation import Stated
from cimarch.data.problems import problem
from cimarch.diagnostics import DescriptionError

GIVES = "(images, labels), or (images, labels, training images, training labels)"


def is_own(text: str) -> bool:
    """Whether `text` has the form `package.module:function`."""
    module, colon, function = text.partition(":")
    return bool(colon) and _is_dotted(module) and _is_dotted(function)


def own(text: str, normalise: Stated | None = None) -> DataSet:
    """Import `package.module:function` and call it without arguments.

    It gives a `DataSet`, or arrays: a tuple (images, labels) or (images, labels, training images,
    training labels), or a dictionary that calls them so (`images`, `labels`, `train_images`,
    `train_labels`), `classes` being a list of names. The current folder is searched too. Raises
    DescriptionError where the import, the call or the result is wrong.
    """
    module, _, function = text.partition(":")
    found = _imported(module, text)
    for step in function.split("."):
        if not hasattr(found, step):
            raise problem("E326", f"`{module}` has no `{function}`")
        found = getattr(found, step)
    if not callable(found):
        raise problem("E326", f"`{text}` is a `{type(found).__name__}`, not a function")
    try:
        made = found()
    except DescriptionError:
        raise
    except (Exception, SystemExit) as error:
        raise _raised(f"calling `{text}`", error) from error
    return _data_set(made, text, normalise)


def _data_set(made: object, text: str, normalise: Stated | None) -> DataSet:
    if isinstance(made, DataSet):
        if normalise is not None and not normalise.of_bytes:
            raise problem("E328", f"`{text}` gives a `DataSet`, which has its own normalisation")
        if not isinstance(made.test.stored, np.ndarray):
            raise problem("E326", f"the examples of the `DataSet` of `{text}` are no numpy arrays")
        return made
    classes: list[str] = []
    try:
        if isinstance(made, Mapping):
            classes = [str(name) for name in made.get("classes", ())]
            given = from_mapping(text, made, text)
        elif isinstance(made, tuple) and len(made) in (2, 4):
            given = [np.asarray(each) for each in made]
        else:
            kind = type(made).__name__
            raise problem("E326", f"`{text}` gives a `{kind}`, not a data set", helps=[GIVES])
    except DescriptionError:
        raise
    except Exception as error:
        raise _raised(f"what `{text}` gives, taken as arrays,", error) from error
    return of_arrays(text, given, text, classes=classes, normalise=normalise)


def _imported(module: str, text: str) -> Any:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and (module + ".").startswith(error.name + "."):
            raise problem(
                "E326",
                f"there is no module `{error.name}` to import `{text}` from",
                notes=[f"looked for in {Path.cwd()} and where Python finds its packages"],
                helps=_without_ending(text, module),
            ) from None
        raise _raised(f"importing `{module}`", error) from error
    except (Exception, SystemExit) as error:
        raise _raised(f"importing `{module}`", error) from error


def _without_ending(text: str, module: str) -> list[str]:
    if not module.endswith(".py"):
        return []
    return [f"a module is named without its ending: `{text.replace('.py:', ':', 1)}`"]


def _raised(what: str, error: BaseException) -> DescriptionError:
    place = ""
    trace = error.__traceback__
    while trace is not None:
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    text = str(error).partition("\n")[0][:200]
    return problem(
        "E326",
        f"{what} raised {type(error).__name__}" + (f": {text}" if text else ""),
        notes=[f"at {place}"] if place else [],
    )


def _is_dotted(text: str) -> bool:
    return all(step.isidentifier() for step in text.split("."))
