"""A data set in the form in which a network takes it, or a diagnostic that says why it cannot.

Nothing is cut, stretched or guessed: inputs are of the network's shape, and classes as many as its
outputs. A map is laid out in a row for a network of vectors.
"""

from __future__ import annotations

from math import prod

import attrs
import numpy as np

from cimarch.data.dataset import UNJUDGED, DataSet, Examples
from cimarch.data.labels import checked
from cimarch.data.problems import by, problem
from cimarch.workload.network import Network

Shape = tuple[int, ...]


def fitted(data: DataSet, network: Network) -> DataSet:
    """A data set with inputs of the network's shape and a label for each of its answers.

    Maps are laid out as a vector, channel by channel and row by row, for a network that takes as
    many numbers in a row. Raises DescriptionError where the shape is another, the classes are not
    as many as the outputs, or a token is unknown to the network.
    """
    _check_form(data, network)
    wanted = network.tensors[network.inputs[0]].shape
    outputs = network.tensors[network.outputs[0]].shape
    _check_shape(data, network.name, wanted)
    _check_channels(data)
    if data.kind == "tokens":
        _check_tokens(data, network.name, outputs)
        return _of_last(data) if outputs[0] < wanted[0] else data
    _check_classes(data, network.name, outputs)
    if not data.classes:
        data = attrs.evolve(data, classes=tuple(map(str, range(outputs[0]))))
    if data.test.shape == wanted:
        return data
    load = data.load_train
    return attrs.evolve(
        data, test=_flat(data.test), load_train=lambda: (train := load()) and _flat(train)
    )


def _check_form(data: DataSet, network: Network) -> None:
    """Raise DescriptionError unless the network takes one tensor, of what the data set holds."""
    if len(network.inputs) != 1 or not network.outputs:
        raise problem(
            "E323",
            f"`{network.name}` takes {len(network.inputs)} tensors: a data set gives one",
        )
    handed = network.inputs[0]
    looks_up = any(op.kind == "embedding" and handed in op.inputs for op in network.operations)
    if looks_up != (data.kind == "tokens"):
        takes, gives = ("tokens", "images") if looks_up else ("images", "tokens")
        raise problem("E323", f"`{network.name}` takes {takes}, and `{data.name}` holds {gives}")


def _check_shape(data: DataSet, network: str, wanted: Shape) -> None:
    same = data.test.shape == wanted
    if not same and (len(wanted) != 1 or prod(data.test.shape) != wanted[0]):
        raise problem(
            "E323",
            f"the inputs of `{data.name}` are {by(data.test.shape)}, those of the network "
            f"`{network}` {by(wanted)}",
        )


def _check_channels(data: DataSet) -> None:
    """Raise DescriptionError where the normalisation is for other channels than the inputs'."""
    normalise = data.test.normalise
    if normalise is not None and normalise.channels not in (1, data.test.shape[0]):
        raise problem(
            "E328",
            f"inputs of `{data.name}` have {data.test.shape[0]} channels, their normalisation "
            f"{normalise.channels}",
            notes=[normalise.source],
        )


def _check_classes(data: DataSet, network: str, outputs: Shape) -> None:
    """Raise DescriptionError unless each class is an output, and each label a class."""
    most = int(data.test.labels.max(initial=0))
    agree = outputs[0] == len(data.classes) if data.classes else outputs[0] > most
    if len(outputs) == 1 and agree:
        checked(data.test.labels, len(data.test.stored), outputs[0], data.name)
        return
    has = f"{len(data.classes)} classes" if data.classes else f"labels up to {most}"
    raise problem("E324", f"`{data.name}` has {has}, and `{network}` gives {by(outputs)} outputs")


def _check_tokens(data: DataSet, network: str, outputs: Shape) -> None:
    """Raise DescriptionError unless the network knows each token, and tells what follows."""
    if len(outputs) != 2 or outputs[0] not in (1, data.test.shape[0]):
        raise problem(
            "E323",
            f"`{network}` gives {by(outputs)} outputs for {data.test.shape[0]} tokens: not what "
            "comes after each",
        )
    top = max(int(data.test.stored.max()), int(data.test.labels.max()))
    if top >= outputs[1]:
        raise problem(
            "E327",
            f"`{data.name}` holds token {top}, and `{network}` knows {outputs[1]} tokens, "
            f"0 to {outputs[1] - 1}",
        )


def _of_last(data: DataSet) -> DataSet:
    """For a network that tells what follows its last token alone: windows that are full."""
    load = data.load_train
    test = _last(data.test)
    if not len(test):
        raise problem("E325", f"`{data.name}` has no window of {data.test.shape[0]} tokens")
    return attrs.evolve(data, test=test, load_train=lambda: (train := load()) and _last(train))


def _last(examples: Examples) -> Examples:
    full = examples.take(np.flatnonzero(examples.labels[:, -1] != UNJUDGED))
    return attrs.evolve(full, labels=full.labels[:, -1:])


def _flat(examples: Examples) -> Examples:
    """Each input as one row; the normalisation still goes channel by channel."""
    stored = examples.stored.reshape(len(examples), -1)
    normalise = examples.normalise
    if normalise is not None and normalise.channels > 1:
        channels, each = examples.shape[0], prod(examples.shape[1:])
        normalise = attrs.evolve(
            normalise,
            mean=_spread(normalise.mean, channels, each),
            deviation=_spread(normalise.deviation, channels, each),
        )
    return Examples(stored, examples.labels, normalise)


def _spread(values: tuple[float, ...], channels: int, each: int) -> tuple[float, ...]:
    """A number for each element, from one for each channel or for all."""
    whole = values if len(values) > 1 else values * channels
    return tuple(value for value in whole for _ in range(each))
