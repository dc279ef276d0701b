"""Generate text on a chip: the prompt at once, then token after token with a growing cache.

The prompt's tokens are one run (prefill), which ends with the first new token. Every further token
is a run of its own over one token, whose attention reads the keys and values of all tokens before
it. Of many such runs some are simulated, evenly spaced, the first and the last among them; what the
others take is interpolated between their neighbours, and counted as such.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.system import System
from cimarch.mapping.placement import Placement
from cimarch.report.report import Report
from cimarch.simulate import map_network, simulate
from cimarch.workload.network import Network
from cimarch.workload.read import read_network

SCHEMA = "cimarch.generation/1"
MOST_RUNS = 17
"""Decoding steps that are simulated where nobody says how many."""

Progress = Callable[[str, float], None]


@attrs.frozen
class Step:
    """The making of one token after the first."""

    context: int
    """Tokens before it, whose keys and values are read."""
    cycles: int
    seconds: float
    joules: float | None


@attrs.frozen
class Cache:
    """Keys and values of earlier tokens."""

    bytes_per_token: int
    """Of all blocks, at the run's input bits."""
    bytes: int
    """With the last token."""
    homes: tuple[str, ...]
    """The buffers, or arrays, that hold them."""


@attrs.frozen
class Generation:
    """What generating some tokens takes."""

    system: str
    network: str
    prompt: int
    """Tokens of the prompt."""
    tokens: int
    """New tokens, the first of which comes with the prompt's run."""
    prefill: Report
    steps: tuple[Step, ...]
    """The runs that were simulated, in order of their contexts."""
    cache: Cache
    decode_seconds: float
    """From the first new token to the last."""
    decode_joules: float | None

    @property
    def time_to_first_token(self) -> float:
        """Seconds from the prompt's first input to the first new token."""
        return float(self.prefill.seconds)

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens after the first, by the time from the first to the last; None for one token."""
        return (self.tokens - 1) / self.decode_seconds if self.tokens > 1 else None

    @property
    def joules_per_token(self) -> float | None:
        """Energy of a token after the first."""
        if self.decode_joules is None or self.tokens < 2:
            return None
        return self.decode_joules / (self.tokens - 1)

    @property
    def interpolated(self) -> int:
        """Tokens whose time was interpolated between runs."""
        return self.tokens - 1 - len(self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Everything, as JSON takes it."""
        return {
            "schema": SCHEMA,
            "system": self.system,
            "network": self.network,
            "prompt_tokens": self.prompt,
            "new_tokens": self.tokens,
            "time_to_first_token_s": self.time_to_first_token,
            "tokens_per_second": self.tokens_per_second,
            "prefill_joules": self.prefill.joules,
            "decode_seconds": self.decode_seconds,
            "decode_joules": self.decode_joules,
            "joules_per_token": self.joules_per_token,
            "interpolated_tokens": self.interpolated,
            "cache": attrs.asdict(self.cache),
            "steps": [attrs.asdict(step) for step in self.steps],
            "prefill": self.prefill.to_dict(),
        }


def generate(
    system: System,
    model: str | os.PathLike[str] | Callable[[int, int], Network],
    *,
    prompt: int,
    tokens: int,
    runs: int | None = None,
    weights_of: str | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Generation:
    """Simulate a prompt of `prompt` tokens and `tokens` new ones.

    `model` is what `read_network` takes for a transformer (`weights_of` its `model`), or a function
    of the new tokens and of those in the cache that gives the network. `runs` of the decoding steps
    are simulated (all where it is as many; 17 where it is not said), further options are those of
    `simulate`. Raises DescriptionError where the system cannot run it.
    """
    prompt, tokens = _count("prompt", prompt), _count("tokens", tokens)
    _refuse_batches(options)
    make = model if callable(model) else _reader(model, weights_of)
    tell = progress or (lambda stage, share: None)
    network = make(prompt, 0)
    prefill = simulate(system, network, **options)
    contexts = _chosen(prompt, tokens, MOST_RUNS if runs is None else _count("runs", runs))
    steps = []
    for place, context in enumerate(contexts):
        tell(f"token after {context}", (place + 1) / (len(contexts) + 1))
        report = simulate(system, make(1, context), **options)
        steps.append(Step(context, report.cycles, float(report.seconds), report.joules))
    last = make(1, contexts[-1]) if contexts else network
    seconds = _summed([(s.context, s.seconds) for s in steps])
    known = [(s.context, s.joules) for s in steps if s.joules is not None]
    joules = _summed(known) if len(known) == len(steps) else None
    cache = _cache(system, last, prompt + tokens - 1, options)
    return Generation(
        system.name, network.name, prompt, tokens, prefill, tuple(steps), cache, seconds, joules
    )


def _reader(model: str | os.PathLike[str], weights_of: str | None) -> Callable[[int, int], Network]:
    def read(tokens: int, context: int) -> Network:
        return read_network(model, model=weights_of, tokens=tokens, context=context)

    return read


def _chosen(prompt: int, tokens: int, runs: int) -> list[int]:
    """Contexts of the steps to simulate: evenly spaced, the first and the last among them."""
    steps = tokens - 1
    if steps <= max(runs, 1):
        return list(range(prompt, prompt + steps))
    if runs == 1:
        return [prompt + steps // 2]
    return sorted({prompt + place * (steps - 1) // (runs - 1) for place in range(runs)})


def _summed(points: Sequence[tuple[int, float]]) -> float:
    """The sum over all contexts from the first to the last point, linear between points."""
    total = sum(value for _, value in points)
    for (a, first), (b, second) in pairwise(points):
        total += (b - a - 1) * (first + second) / 2
    return total


def _cache(system: System, network: Network, tokens: int, options: Mapping[str, Any]) -> Cache:
    """The room that keys and values take after so many tokens, and where they are."""
    bits = int(options.get("input_bits", 8))
    each = sum(
        network.tensors[name].elements // network.tensors[name].shape[0] * bits
        for name in network.states.values()
    )
    told = {name: value for name, value in options.items() if name in _OF_MAPS}
    placed = map_network(system, network, **told)
    return Cache(-(-each // 8), -(-each * tokens // 8), _homes(placed))


_OF_MAPS = frozenset(
    {
        "weight_bits", "input_bits", "precision", "schedule", "place", "duplicate", "spread_rows",
        "placement", "attention", "allow_unmapped",
    }
)  # fmt: skip


def _homes(placement: Placement) -> tuple[str, ...]:
    """The buffers that the states of a network are read from, or the arrays that hold them."""
    states = {*placement.network.states, *placement.network.states.values()}
    found = {
        home.path: None
        for plan in placement.plans
        for _, home in plan.read_homes()
        if home.tensor in states
    }
    found |= {plan.pool.path: None for plan in placement.plans if plan.writing is not None}
    return tuple(found)


def _count(name: str, value: object) -> int:
    try:
        count = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        raise _wrong(f"`{name}` is {value!r}, not a whole number") from None
    if isinstance(value, bool) or count < 1:
        raise _wrong(f"`{name}` is {value!r}, less than 1")
    return count


def _refuse_batches(options: Mapping[str, Any]) -> None:
    if options.get("batch", 1) != 1:
        raise _wrong(f"`batch` is {options['batch']!r}: tokens are generated one after another")


def _wrong(headline: str) -> DescriptionError:
    return DescriptionError(Diagnostic("E049", headline))
