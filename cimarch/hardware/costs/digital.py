"""Digital parts: shift-add, accumulator, adder tree and unit, of the blocks that they hold.

Shifting by a step that is known is wiring: no block is counted for it. The clock of registers that
rest is priced where it is not gated (`clock`); what control takes is not modelled.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, log2

from cimarch.hardware.costs.clock import clocked
from cimarch.hardware.costs.inputs import counted, whole
from cimarch.hardware.costs.logic import (
    ADDER,
    AREA,
    COMPARATOR,
    ENERGY,
    LEAKAGE,
    MULTIPLIER,
    REGISTER,
    TABLE,
    Block,
    Makeup,
    Measure,
    Use,
    estimate,
    measured,
)
from cimarch.hardware.costs.model import Estimate, Facts, Model, Pricing
from cimarch.hardware.costs.technology import technology

Made = Callable[[Facts], Makeup | None]
"""What a part is made of; None where it is made of nothing."""


def _sum(facts: Facts) -> Makeup:
    """An adder and the register of its sum."""
    bits = whole(facts, "bits")
    return Makeup(
        (Use(ADDER, bits), Use(REGISTER, bits)), "adder + register", counted(facts, "bits")
    )


def full_adders(terms: int, bits: int) -> int:
    """One-bit adders of a tree that sums `terms` numbers to one of `bits`.

    Sums are `bits` wide at the root, and a bit less wide on each level above.
    """
    depth = ceil(log2(terms))
    found, left = 0, terms
    for level in range(1, depth + 1):
        found += left // 2 * max(1, bits - depth + level)
        left -= left // 2
    return found


def _tree(facts: Facts) -> Makeup:
    count = full_adders(whole(facts, "terms"), whole(facts, "bits"))
    inputs = (*counted(facts, "bits", "terms"), ("full_adders", str(count)))
    return Makeup((Use(ADDER, 1, count),), "full_adders * adder", inputs)


_CURVES = (
    *("activation", "sigmoid", "tanh", "gelu", "silu", "mish", "hardswish", "hardsigmoid", "elu"),
    *("softplus", "exp", "log", "erf", "sin", "cos", "sqrt", "rsqrt", "reciprocal", "power"),
)
_WHOLE_ROWS = ("norm", "layer", "rms", "group", "softmax", "log_softmax", "any")
OPERATIONS: dict[str, tuple[Block, ...]] = {
    **dict.fromkeys(("relu", "relu6", "clamp", "hardtanh", "abs", "max"), (COMPARATOR,)),
    **dict.fromkeys(("max_pool", "pool"), (COMPARATOR, REGISTER)),
    **dict.fromkeys(("add", "subtract", "negate", "masked_fill"), (ADDER,)),
    **dict.fromkeys(("average_pool", "average"), (ADDER, REGISTER)),
    **dict.fromkeys(("mul", "square", "leaky_relu"), (MULTIPLIER,)),
    **dict.fromkeys(("matmul", "sdpa"), (MULTIPLIER, ADDER, REGISTER)),
    **dict.fromkeys(_CURVES, (TABLE,)),
    **dict.fromkeys(_WHOLE_ROWS, (MULTIPLIER, ADDER, TABLE, REGISTER)),
    "batch": (MULTIPLIER, ADDER),
    "divide": (MULTIPLIER, TABLE),
    "embedding": (REGISTER,),
}
"""The blocks that an element of each operation of `does` goes through. A row of `norm` or `softmax`
is summed, looked up and scaled; `any` may be any of them."""


def _does(facts: Facts) -> list[str]:
    return [word for word in facts.list("does") if isinstance(word, str)]


def _element(facts: Facts) -> Makeup | None:
    """The dearest of what a unit does: which of it an element needs, only the network knows."""
    to, bits = technology(facts), whole(facts, "bits")
    made = {
        word: Makeup(tuple(Use(block, bits) for block in OPERATIONS[word]), "")
        for word in _does(facts)
    }
    if not made:
        return None
    dearest = max(made, key=lambda word: measured(made[word], ENERGY, to))
    uses = made[dearest].uses
    inputs = (*counted(facts, "bits"), ("dearest", dearest))
    return Makeup(uses, " + ".join(use.block.name for use in uses), inputs)


def _lanes(facts: Facts) -> Makeup | None:
    """All that the lanes of a unit hold, each block once a lane."""
    blocks = {block.name: block for word in _does(facts) for block in OPERATIONS[word]}
    bits, lanes = whole(facts, "bits"), whole(facts, "lanes")
    uses = tuple(Use(block, bits, lanes) for block in blocks.values())
    formula = f"lanes * ({' + '.join(blocks)})"
    return Makeup(uses, formula, counted(facts, "bits", "lanes")) if uses else None


def _priced(name: str, made: Made, measure: Measure) -> Pricing:
    def price(facts: Facts) -> Estimate | None:
        makeup = made(facts)
        return None if makeup is None else estimate(facts, name, makeup, measure)

    return price


def _models(kind: str, action: str, name: str, used: Made, held: Made) -> tuple[Model, ...]:
    """Energy of what an action uses; area and leakage of what the part holds."""
    return (
        Model(kind, f"{action}.energy", _priced(name, used, ENERGY)),
        Model(kind, "area", _priced(name, held, AREA)),
        Model(kind, "leakage", _priced(name, held, LEAKAGE)),
    )


MODELS = (
    *_models("shift_add", "add", "shift-add", _sum, _sum),
    *_models("accumulator", "add", "accumulator", _sum, _sum),
    *_models("adder_tree", "add", "adder tree", _tree, _tree),
    *_models("unit", "compute", "unit of logic blocks", _element, _lanes),
    clocked("shift_add", lambda facts: whole(facts, "bits"), "bits"),
    clocked("accumulator", lambda facts: whole(facts, "bits"), "bits"),
    clocked(
        "unit",
        lambda facts: whole(facts, "bits") * whole(facts, "lanes") * whole(facts, "stages"),
        "bits * lanes * stages",
    ),
)
