"""Drafted networks with numbers in them, and how a refusal is held to its words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import numpy as np
import pytest

from cimarch.diagnostics import DescriptionError
from cimarch.workload.network import Network, Weight


def weighted(network: Network, **given: object) -> Network:
    """A network with these weights, by operation name; others are drawn, the same each time."""
    generator = np.random.default_rng(0)
    held = {}
    for path, weight in network.weights.items():
        drawn = generator.normal(0, 1, weight.shape) / np.sqrt(max(1, np.prod(weight.shape[1:])))
        data = np.asarray(given.get(path, drawn), np.float32).reshape(weight.shape)
        held[path] = Weight(path, weight.shape, "float32", data)
    return attrs.evolve(network, weights=held)


def biased(network: Network, name: str, bias: object) -> Network:
    """The same with a bias at one operation."""
    data = np.asarray(bias, np.float32)
    held = {**network.weights, f"{name}.bias": Weight(f"{name}.bias", data.shape, "float32", data)}
    operations = tuple(
        attrs.evolve(op, bias=f"{name}.bias") if op.name == name else op
        for op in network.operations
    )
    return attrs.evolve(network, weights=held, operations=operations)


@contextmanager
def refused(code: str, *words: str) -> Iterator[None]:
    """What is inside is refused with this code, and told with these words."""
    with pytest.raises(DescriptionError) as caught:
        yield
    assert code in {each.code for each in caught.value.diagnostics}
    for word in words:
        assert word in caught.value.render()
