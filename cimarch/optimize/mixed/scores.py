"""How much the network loses where a strip has fewer bits: what can be said without trying.

Each score is larger where a strip should keep its bits. Its parts are the change `e` that fewer
bits make to the strip's weights, and how curved the loss is along them; the gradient of the loss,
which is not zero on finite data, is left out of all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import attrs
import numpy as np
from torch import nn

from cimarch.data.dataset import Examples
from cimarch.functional.fit.strips import fake_quantised
from cimarch.mapping.strips import Strips
from cimarch.optimize.mixed.fisher import Fisher, fisher
from cimarch.optimize.mixed.hutchinson import Traces, traces
from cimarch.optimize.mixed.layers import Floats, Layer, PerStrip
from cimarch.workload.network import Network

Told = Callable[[str, float], None]


@attrs.frozen(eq=False, slots=False)
class Evidence:
    """What scores are made of; each part is worked out once, where a score asks for it."""

    module: nn.Module
    """With norms folded (`cimarch.optimize.mixed.layers.folded`)."""
    layers: Sequence[Layer]
    examples: Examples
    """That calibrate: none of those that judge."""
    bits: tuple[int, ...] = (8, 4)
    """The precisions, the highest first."""
    per: str = "channel"
    """Of what one weight scale is: `tensor`, `channel` or `strip`."""
    method: str = "minmax"
    """How the scale of weights is chosen (`cimarch.functional.fit.strips`)."""
    probes: int = 50
    seed: int = 0
    device: str = "cpu"
    tell: Told = lambda stage, share: None

    @cached_property
    def change(self) -> dict[str, Floats]:
        """What the lowest precision changes, against the highest: (outputs, depth, positions).

        Scales are those of a layer that is all at one precision.
        """
        return {
            layer.name: quantised_to(layer, self.bits[-1], self.per, self.method)
            - quantised_to(layer, self.bits[0], self.per, self.method)
            for layer in self.layers
        }

    @cached_property
    def error(self) -> dict[str, Floats]:
        """The squared length of that change, of each strip."""
        return {layer.name: layer.pooled(self.change[layer.name] ** 2) for layer in self.layers}

    @cached_property
    def exact(self) -> Fisher:
        """The Fisher diagonal with all labels."""
        return self.fisher("exact")

    def fisher(self, kind: str) -> Fisher:
        """The Fisher diagonal of a kind."""
        self.tell(f"Fisher diagonal, {kind}", 0.0)
        return fisher(
            self.module, self.layers, self.examples, kind=kind, seed=self.seed,
            change=self.change, device=self.device,
        )  # fmt: skip

    @cached_property
    def traces(self) -> Traces:
        """Hutchinson's traces."""
        return traces(
            self.module, self.layers, self.examples, probes=self.probes, seed=self.seed,
            device=self.device, tell=lambda share: self.tell("probes of the Hessian", share),
        )  # fmt: skip

    def score(self, name: str) -> dict[str, Floats]:
        """A score by its name in `SCORES`, of all strips: (positions, outputs) by layer."""
        return SCORES[name].make(self)


def quantised_to(layer: Layer, bits: int, per: str, method: str) -> Floats:
    """The weights of a layer all at one precision, (outputs, depth, positions)."""
    strips = Strips((bits,), np.zeros((layer.positions, layer.outputs), np.uint8))
    return np.asarray(quantised_layer(layer, strips, per, method), np.float64)


def quantised_layer(layer: Layer, strips: Strips, per: str, method: str) -> np.ndarray:
    """The weights of a layer with each strip at its precision, (outputs, depth, positions)."""
    return fake_quantised(layer.weight, strips, per=per, method=method)


@attrs.frozen
class Score:
    """A way to say how sensitive strips are."""

    summary: str
    make: Callable[[Evidence], dict[str, Floats]]


def _fisher(kind: str) -> Callable[[Evidence], dict[str, Floats]]:
    """Mean diagonal of the strip x squared change: e' F e, were F a multiple of the unit matrix."""

    def made(evidence: Evidence) -> dict[str, Floats]:
        found = evidence.exact if kind == "exact" else evidence.fisher(kind)
        return {
            layer.name: layer.pooled(found.diagonal[layer.name])
            / layer.depth
            * evidence.error[layer.name]
            for layer in evidence.layers
        }

    return made


def _block(evidence: Evidence) -> dict[str, Floats]:
    """e' F e with the strip's whole block of F."""
    return dict(evidence.exact.moved)


def _hawq(evidence: Evidence) -> dict[str, Floats]:
    """Mean trace of the layer x squared change (Z. Dong et al., NeurIPS 2020, eq. 7 of HAWQ-V2)."""
    mean = {
        layer.name: evidence.traces.layer(layer.name) / layer.weights for layer in evidence.layers
    }
    return {name: max(mean[name], 0.0) * error for name, error in evidence.error.items()}


def _hessian(evidence: Evidence) -> dict[str, Floats]:
    """Mean trace of the strip x squared change; a negative trace counts as 0."""
    return {
        layer.name: np.maximum(evidence.traces.strips[layer.name], 0)
        / layer.depth
        * evidence.error[layer.name]
        for layer in evidence.layers
    }


def _printed(evidence: Evidence) -> dict[str, Floats]:
    """Trace / 2D x |w|^2 (arXiv 2512.19445, section 4.1): what it costs to remove the strip."""
    return {
        layer.name: np.maximum(evidence.traces.strips[layer.name], 0)
        / (2 * layer.depth)
        * layer.pooled(layer.weight.astype(np.float64) ** 2)
        for layer in evidence.layers
    }


def _error(evidence: Evidence) -> dict[str, Floats]:
    return dict(evidence.error)


def _noise(evidence: Evidence) -> dict[str, Floats]:
    """Squared change of the strip / squared weights of its layer.

    It does not hang on how large a layer's weights are, which a folded batch norm sets.
    """
    return {
        layer.name: evidence.error[layer.name] / (float((layer.weight**2).sum()) or 1.0)
        for layer in evidence.layers
    }


def _magnitude(evidence: Evidence) -> dict[str, Floats]:
    return {
        layer.name: np.sqrt(layer.pooled(layer.weight.astype(np.float64) ** 2))
        for layer in evidence.layers
    }


def _random(evidence: Evidence) -> dict[str, Floats]:
    draw = np.random.default_rng(evidence.seed)
    return {layer.name: draw.random((layer.positions, layer.outputs)) for layer in evidence.layers}


SCORES: dict[str, Score] = {
    "fisher": Score("Fisher diagonal, all labels by the softmax, x quantisation error",
                    _fisher("exact")),
    "fisher_sampled": Score("the same with a label that the softmax draws", _fisher("sampled")),
    "fisher_empirical": Score("the same with the label of the data", _fisher("empirical")),
    "fisher_block": Score("Fisher block of the strip along its quantisation error", _block),
    "hawq": Score("Hessian trace of the layer x quantisation error of the strip", _hawq),
    "hessian": Score("Hessian trace of the strip x its quantisation error", _hessian),
    "printed": Score("Hessian trace of the strip / 2D x |w|^2", _printed),
    "error": Score("quantisation error alone", _error),
    "noise": Score("quantisation error of the strip / squared weights of the layer", _noise),
    "magnitude": Score("length of the strip", _magnitude),
    "random": Score("drawn", _random),
}  # fmt: skip
"""By name. Traces and Fisher are of the loss on examples that calibrate."""


def over_windows(scores: PerStrip, network: Network, power: float) -> dict[str, Floats]:
    """Scores over the windows of each layer to a power: what is lost for what is saved.

    A strip is read and converted once for each window, so that energy is saved where windows are
    many. A power of 1 is the greedy order of a knapsack of energy, 0 that of one of strips.
    """
    windows = {op.name: op.windows for op in network.operations}
    return {name: np.asarray(each) / windows[name] ** power for name, each in scores.items()}


def ranked(scores: PerStrip) -> dict[str, Floats]:
    """Each score as the share of all strips that are not above it, in (0, 1]: a quantile.

    So a threshold on it is the share of strips below. Ties go by the order of layers, positions and
    outputs.
    """
    flat = np.concatenate([np.asarray(values).ravel() for values in scores.values()])
    place = np.empty(len(flat))
    place[np.argsort(flat, kind="stable")] = np.arange(1, len(flat) + 1) / len(flat)
    found, first = {}, 0
    for name, values in scores.items():
        found[name] = place[first : first + values.size].reshape(values.shape)
        first += values.size
    return found


def told(scores: Mapping[str, Any]) -> dict[str, list[list[float]]]:
    """Scores as plain JSON values."""
    return {name: np.asarray(values).tolist() for name, values in scores.items()}
