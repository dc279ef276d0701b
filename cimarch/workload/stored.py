"""The weights of a transformer by the names of its parts, whatever a checkpoint calls them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from cimarch.workload.network import Network, Weight
from cimarch.workload.problems import listed, problem
from cimarch.workload.transformer import Transformer
from cimarch.workload.weights import from_tensors

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Under which training scripts put the state_dict beside the rest of a checkpoint."""

STACKED = {
    "tok": "embedding", "an": "before_attention", "wq": "query", "wk": "key", "wv": "value",
    "wo": "out", "fn": "before_mlp", "w1": "gate", "w2": "down", "w3": "up", "nf": "norm",
}  # fmt: skip
"""A layout in which each part of all blocks is one tensor, the block its first dimension."""


class Checkpoint(Mapping[str, Weight]):
    """Tensors of a checkpoint by the paths of a transformer; those never asked for are `unused`."""

    def __init__(self, tensors: Mapping[str, Weight], model: Transformer) -> None:
        stacked = set(STACKED) <= set(tensors) and "rms" in model.kind.norm
        self.tensors = _unstacked(tensors, model) if stacked else dict(tensors)
        self.model = model
        self.straight = model.kind.turned and self._is_straight()
        self.used: set[str] = set()

    def __getitem__(self, path: str) -> Weight:
        for name in self._names(path):
            if name in self.tensors:
                self.used.add(name)
                found = self.tensors[name]
                return _turned(found) if self.straight and self._is_matrix(path) else found
        raise KeyError(path)

    def __iter__(self) -> Iterator[str]:
        return iter(self.tensors)

    def __len__(self) -> int:
        return len(self.tensors)

    @property
    def unused(self) -> list[str]:
        """Tensors that the network has no place for, in order."""
        return [name for name in self.tensors if name not in self.used]

    def _is_matrix(self, path: str) -> bool:
        """Whether a parameter is the matrix of a block: of those that the family stores turned."""
        block = self.model.kind.paths["block"].partition("{}")[0]
        return path.startswith(block) and path.endswith(".weight")

    def _is_straight(self) -> bool:
        """Whether a family's matrices that are usually turned are not: torch's own layers."""
        path = f"{self.model.path('query', 0)}.weight"
        found = next((self.tensors[n] for n in self._names(path) if n in self.tensors), None)
        model = self.model
        outputs = (model.heads + 2 * model.kv_heads) * model.head_dim
        return found is not None and found.shape == (outputs, model.width)

    def _names(self, path: str) -> Iterator[str]:
        """What a checkpoint may call a parameter, the most usual first."""
        same = [path]
        if path == f"{self.model.kind.paths.get('embedding')}.weight":
            same += ["lm_head.weight"] * self.model.tied  # stored under one of two names
        if path.endswith("cls.predictions.bias"):
            same += ["cls.predictions.decoder.bias"]
        for each in same:
            yield each
            yield each.partition(".")[2]  # of the model without its head
            old = each.replace("LayerNorm.weight", "LayerNorm.gamma")
            yield old.replace("LayerNorm.bias", "LayerNorm.beta")


def told(network: Network, stored: Checkpoint) -> Network:
    """The network, its source saying which tensors of the checkpoint it has no place for."""
    if not stored.unused:
        return network
    return attrs.evolve(network, source=f"{network.source}, but not its {listed(stored.unused)}")


def from_state(state: object, source: str) -> dict[str, Weight]:
    """Make Weights of what torch's restricted reader gave; raises where it is no state_dict."""
    if isinstance(state, Mapping):
        state = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), state)
    if not isinstance(state, Mapping) or not all(hasattr(v, "data_ptr") for v in state.values()):
        raise problem(
            "E162",
            f"`{source}` is not a state_dict: it holds something else than tensors by name",
            helps=["torch.save(model.state_dict(), 'state.pt')"],
        )
    return from_tensors(state)


def _unstacked(tensors: Mapping[str, Weight], model: Transformer) -> dict[str, Weight]:
    """Each block's own part of every stacked tensor, as a view."""
    found: dict[str, Weight] = {}
    for name, tensor in tensors.items():
        part = STACKED.get(name)
        if part is None:
            found[name] = tensor
        elif part in ("embedding", "norm"):
            found[f"{model.path(part)}.weight"] = tensor
        else:
            blocks = tensor.shape[0] if tensor.shape else 0
            for number in range(min(blocks, model.layers)):
                found[f"{model.path(part, number)}.weight"] = _block(tensor, number)
    return found


def _turned(tensor: Weight) -> Weight:
    """The same numbers with two dimensions swapped; a vector as it is."""
    if len(tensor.shape) != 2:
        return tensor
    data = None if tensor.data is None else tensor.data.T
    return attrs.evolve(tensor, shape=tensor.shape[::-1], data=data)


def _block(tensor: Weight, number: int) -> Weight:
    data = None if tensor.data is None else tensor.data[number]
    return attrs.evolve(tensor, shape=tensor.shape[1:], data=data)
