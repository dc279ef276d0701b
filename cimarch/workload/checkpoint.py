"""A state_dict and the name of a network from `models/`: together a Network.

The arrays are read by torch's restricted reader or by safetensors, which build tensors and run
nothing. Their names and shapes must be those of the network.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from math import prod
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError
from cimarch.workload.files import contents, find
from cimarch.workload.network import Network
from cimarch.workload.problems import EXPORT, listed, problem
from cimarch.workload.pt2 import read_pt2
from cimarch.workload.sniff import REFUSALS, refusal, sniff
from cimarch.workload.trace import export
from cimarch.workload.zoo import build, default_input, models, need_torch

WRAPPERS = ("state_dict", "model_state_dict", "model", "net")
"""Under which training scripts put the state_dict beside the rest of a checkpoint."""
PREFIXES = ("module.", "_orig_mod.")
"""What DataParallel and torch.compile put before every name."""


def read_state_dict(
    data: memoryview, source: str, digest: str, model: str, shape: tuple[int, ...] | None
) -> Network:
    """Read what `torch.save(model.state_dict(), ...)` wrote, in its zip or its legacy form."""
    return _loaded(open_state_dict(data, source), source, digest, model, shape)


def read_safetensors(
    data: memoryview, source: str, digest: str, model: str, shape: tuple[int, ...] | None
) -> Network:
    """Read a safetensors file."""
    return _loaded(open_safetensors(data, source), source, digest, model, shape)


def open_state_dict(data: memoryview, source: str) -> object:
    """The tensors of a state_dict, by torch's restricted reader."""
    torch = need_torch(f"reading `{source}`, a state_dict,")
    try:
        loaded: object = torch.load(io.BytesIO(data), "cpu", weights_only=True)
    except Exception as error:
        raise problem(
            "E116",
            f"`{source}` cannot be read as a state_dict",
            notes=[str(error).partition("\n")[0][:200]],
            helps=["torch.save(model.state_dict(), 'state.pt')", EXPORT],
        ) from None
    return loaded


def open_safetensors(data: memoryview, source: str) -> object:
    """The tensors of a safetensors file."""
    need_torch(f"reading `{source}`")
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        return load(bytes(data))
    except (SafetensorError, ValueError, KeyError, AttributeError, TypeError, RuntimeError,
            MemoryError, OverflowError) as error:  # fmt: skip
        raise problem(
            "E116", f"`{source}` is a damaged safetensors file", notes=[str(error)[:200]]
        ) from None


def load_file_(module: Any, path: str) -> None:
    """Put the weights of a state_dict or safetensors file into a module."""
    data = contents(find(path))
    sniffed = sniff(data, path)
    opener = {"state_dict": open_state_dict, "safetensors": open_safetensors}.get(sniffed.kind)
    if sniffed.kind in REFUSALS:
        raise refusal(path, sniffed)
    if opener is None:
        raise problem("E162", f"`{path}` is not a file of weights")
    load_(module, opener(data, path), path)


def load_(module: Any, state: object, source: str) -> None:
    """Put a state_dict into a module; a name or shape that does not fit is a diagnostic."""
    torch = need_torch(f"reading `{source}`")
    given = _unwrapped(state, source, torch)
    wanted = module.state_dict()
    counters = {key for key in wanted if key.endswith("num_batches_tracked")}
    _compare(given, wanted, counters, source, type(module).__name__)
    for key in counters - set(given):
        given[key] = torch.zeros((), dtype=torch.long)
    module.load_state_dict(given, assign=True)


def _loaded(
    state: object, source: str, digest: str, model: str, shape: tuple[int, ...] | None
) -> Network:
    module = build(model, weights=False)
    load_(module, state, source)
    return _exported(module, model, shape or default_input(model), source, digest)


def _exported(module: Any, model: str, shape: tuple[int, ...], source: str, digest: str) -> Network:
    torch = need_torch(f"building `{model}`")
    device = next(module.parameters()).device
    try:
        data = export(module, torch.zeros(shape, device=device))
    except DescriptionError as error:
        size = "x".join(map(str, default_input(model)))
        first = attrs.evolve(error.diagnostics[0], helps=(f"`{model}` is made for --input {size}",))
        raise DescriptionError(first) from error
    return read_pt2(memoryview(data), name=model, source=source, digest=digest)


def _unwrapped(state: object, source: str, torch: Any) -> dict[str, Any]:
    """The tensors by name: out of a checkpoint that holds more, and without common prefixes."""
    if isinstance(state, Mapping):
        inner = next((state[key] for key in WRAPPERS if isinstance(state.get(key), Mapping)), None)
        state = state if inner is None else inner
    if not isinstance(state, Mapping) or not all(
        isinstance(v, torch.Tensor) for v in state.values()
    ):
        raise problem(
            "E162",
            f"`{source}` is not a state_dict: it holds something else than tensors by name",
            helps=["torch.save(model.state_dict(), 'state.pt')"],
        )
    found = {str(key): value for key, value in state.items()}
    for prefix in PREFIXES:
        if found and all(key.startswith(prefix) for key in found):
            found = {key[len(prefix) :]: value for key, value in found.items()}
    return found


def _compare(
    given: Mapping[str, Any], wanted: Mapping[str, Any], spare: set[str], source: str, kind: str
) -> None:
    missing = [key for key in wanted if key not in given and key not in spare]
    strange = [key for key in given if key not in wanted]
    shapes = [
        f"{key} is {_by(given[key])}, not {_by(wanted[key])}"
        for key in wanted
        if key in given and given[key].shape != wanted[key].shape
    ]
    notes = [f"missing: {listed(missing)}"] if missing else []
    notes += [f"not in the network: {listed(strange)}"] if strange else []
    notes += shapes[:4] + ([f"{len(shapes) - 4} more shapes differ"] if len(shapes) > 4 else [])
    if notes:
        raise problem(
            "E162",
            f"the weights of `{source}` are not those of `{kind}`",
            notes=notes,
            helps=[f"networks that --model knows: {', '.join(models().MODELS)}", EXPORT],
        )


def _by(tensor: Any) -> str:
    return " x ".join(map(str, tensor.shape)) if prod(tensor.shape) else "empty"
