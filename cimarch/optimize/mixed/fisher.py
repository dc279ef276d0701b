"""The diagonal of the Fisher information, weight by weight.

Of a network whose answers are a softmax, F = E_x[J' (diag p - p p') J], J the derivative of the
logits by the weights and p their softmax (R. Karakida et al., AISTATS 2019, with labels that the
model itself draws). Three ways to take its diagonal, all over the same images:

- `exact`: all labels, weighted by their probability: sum_c p_c (d log p_c / dw)^2. With the
  eigenvectors u and eigenvalues l of diag p - p p', this is sum_k l_k (J' u_k)^2: of an answer that
  is nearly certain few eigenvalues matter. Pairs of image and eigenvector are left out, smallest
  first, until `LEFT_OUT` of the sum of all eigenvalues is.
- `sampled`: one label for each image, drawn from the softmax.
- `empirical`: the label of the data.

The square is of each image's own gradient, summed over its windows, as the definition wants.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cimarch.data.dataset import Examples
from cimarch.optimize.mixed.layers import Floats, Layer

KINDS = ("exact", "sampled", "empirical")
LEFT_OUT = 5e-3
"""Share of the eigenvalues of diag p - p p' that `exact` leaves out."""
BATCH = 32
"""Images at a time: their unfolded inputs lie in memory."""


@attrs.frozen(eq=False)
class Fisher:
    """What was found, each the mean over images, by the name of a layer."""

    diagonal: Mapping[str, Floats]
    """Of each weight, (outputs, depth, positions)."""
    moved: Mapping[str, Floats]
    """e' F e of each strip for the change `e` that was given, (positions, outputs)."""
    passes: int
    """Gradients that were taken: pairs of an image and a direction."""


def fisher(
    module: nn.Module,
    layers: Sequence[Layer],
    examples: Examples,
    *,
    kind: str = "exact",
    seed: int = 0,
    change: Mapping[str, Floats] | None = None,
    device: str = "cpu",
) -> Fisher:
    """The diagonal over all examples; of a `change` of the weights also its square per strip.

    `change` is (outputs, depth, positions) by layer; `seed` draws the labels of `sampled`.
    """
    taps = _Taps(module, layers)
    pairs = _pairs(module, examples, kind, seed, device)
    sums = _Sums(layers, change or {}, device)
    order = torch.argsort(pairs.counts, descending=True, stable=True)
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        some = some[pairs.counts[some] > 0]
        if not len(some):
            break
        inputs = torch.from_numpy(examples.take(some.numpy()).inputs()).to(device)
        with taps.on():
            logits = module(inputs)
            _directions(logits, pairs, some, taps, sums)
    return sums.found(len(examples), int(pairs.counts.sum()))


@attrs.frozen(eq=False)
class _Pairs:
    """For each image the directions in which its logits are pulled, as many as count."""

    directions: Tensor
    """(images, most, classes), scaled by the root of the eigenvalue."""
    counts: Tensor


def _pairs(module: nn.Module, examples: Examples, kind: str, seed: int, device: str) -> _Pairs:
    logits = _logits(module, examples, device).double()
    p = torch.softmax(logits, 1)
    if kind == "exact":
        return _eigen(p)
    if kind == "sampled":
        drawn = torch.multinomial(p, 1, generator=torch.Generator().manual_seed(seed))[:, 0]
    else:
        drawn = torch.from_numpy(np.asarray(examples.labels))
    pulled = F.one_hot(drawn, p.shape[1]) - p
    return _Pairs(pulled[:, None].float(), torch.ones(len(p), dtype=torch.long))


def _logits(module: nn.Module, examples: Examples, device: str) -> Tensor:
    with torch.inference_mode():
        found = [module(torch.from_numpy(x).to(device)).cpu() for x, _ in examples.batches(128)]
    return torch.cat(found)


def _eigen(p: Tensor) -> _Pairs:
    """Eigenvectors of diag p - p p' of each image, the largest first."""
    values, vectors = torch.linalg.eigh(torch.diag_embed(p) - p[:, :, None] * p[:, None])
    values = values.flip(1).clamp(min=0)
    directions = vectors.flip(2).transpose(1, 2) * values.sqrt()[:, :, None]
    smallest = values.flatten().sort()
    allowed = smallest.values.cumsum(0) <= LEFT_OUT * values.sum()
    left = torch.zeros(values.numel(), dtype=torch.bool)
    left[smallest.indices[allowed]] = True
    return _Pairs(directions.float(), (~left.view_as(values)).sum(1))


def _directions(logits: Tensor, pairs: _Pairs, some: Tensor, taps: _Taps, sums: _Sums) -> None:
    counts = pairs.counts[some]
    outputs = [taps.outputs[name] for name in taps.names]
    for k in range(int(counts.max())):
        here = int((counts > k).sum())  # images come in the order of their counts
        pull = torch.zeros_like(logits)
        pull[:here] = pairs.directions[some[:here], k].to(logits.device)
        last = k == int(counts.max()) - 1
        found = torch.autograd.grad(logits, outputs, pull, retain_graph=not last)
        for name, gradient in zip(taps.names, found, strict=True):
            sums.add(name, taps.columns(name)[:here], gradient[:here])


class _Taps:
    """Takes the inputs and outputs of layers while the module runs."""

    def __init__(self, module: nn.Module, layers: Sequence[Layer]) -> None:
        self.names = [layer.name for layer in layers]
        self.modules = {name: module.get_submodule(name) for name in self.names}
        self.inputs: dict[str, Tensor] = {}
        self.outputs: dict[str, Tensor] = {}
        self._columns: dict[str, Tensor] = {}

    def on(self) -> _Listening:
        self._columns.clear()
        return _Listening(self)

    def took(self, name: str, layer: nn.Module, given: Any, out: Tensor) -> Tensor:
        self.inputs[name] = given[0].detach()
        found = out if out.requires_grad else out.requires_grad_()
        self.outputs[name] = found
        return found

    def columns(self, name: str) -> Tensor:
        """The inputs of each window, (images, groups, depth x positions, windows)."""
        if name not in self._columns:
            self._columns[name] = _unfolded(self.modules[name], self.inputs[name])
        return self._columns[name]


class _Listening:
    def __init__(self, taps: _Taps) -> None:
        self.taps = taps

    def __enter__(self) -> None:
        self.hooks = [
            layer.register_forward_hook(partial(self.taps.took, name))
            for name, layer in self.taps.modules.items()
        ]

    def __exit__(self, *problem: object) -> None:
        for hook in self.hooks:
            hook.remove()


def _unfolded(layer: nn.Module, x: Tensor) -> Tensor:
    if isinstance(layer, nn.Linear):
        return x.reshape(len(x), 1, -1, x.shape[-1]).transpose(2, 3)
    assert isinstance(layer, nn.Conv2d)
    found = F.unfold(x, layer.kernel_size, layer.dilation, layer.padding, layer.stride)  # type: ignore[arg-type]
    return found.view(len(x), layer.groups, -1, found.shape[2])


class _Sums:
    def __init__(self, layers: Sequence[Layer], change: Mapping[str, Floats], device: str) -> None:
        self.layers = {layer.name: layer for layer in layers}
        zeros = partial(torch.zeros, dtype=torch.float64, device=device)
        self.diagonal = {
            name: zeros(each.outputs, each.depth * each.positions)
            for name, each in self.layers.items()
        }
        self.moved = {n: zeros(self.layers[n].outputs, self.layers[n].positions) for n in change}
        self.change = {
            n: torch.as_tensor(e, dtype=torch.float32, device=device) for n, e in change.items()
        }

    def add(self, name: str, columns: Tensor, gradient: Tensor) -> None:
        """The squares of the weight gradients of some images, one each."""
        images, groups, rows, windows = columns.shape
        pulled = gradient.reshape(images, groups, -1, windows)
        each = torch.matmul(pulled, columns.transpose(2, 3)).view(images, -1, rows)
        self.diagonal[name] += each.square().sum(0)
        if name in self.change:
            layer = self.layers[name]
            by_strip = each.view(images, layer.outputs, layer.depth, layer.positions)
            along = (by_strip * self.change[name]).sum(2)
            self.moved[name] += along.square().sum(0)

    def found(self, images: int, passes: int) -> Fisher:
        diagonal = {
            name: (total / images).cpu().numpy().reshape(
                self.layers[name].outputs, self.layers[name].depth, self.layers[name].positions
            )
            for name, total in self.diagonal.items()
        }  # fmt: skip
        moved = {name: (total / images).T.cpu().numpy() for name, total in self.moved.items()}
        return Fisher(diagonal, moved, passes)
