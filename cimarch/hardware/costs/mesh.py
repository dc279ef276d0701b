"""Routers of a mesh: energy of a flit that passes one, and area.

Energy: ISAAC's router at 32 nm takes 20.74 pJ for 256 bits, 81 fJ a bit (hwcomponents-library,
isaac.py, from Table I), scaled; and the wires of `length` to the next router. For comparison: a
mesh of 4 x 4 at 45 nm delivered bits for 0.60 pJ each over several hops, 892 Gb/s at 531 mW (DAC
2012). Area: ISAAC's router of 8 ports and flits of 32 bits, 0.151 mm^2 at 32 nm (Table I), in
proportion to the width of the flit. Leakage of routers was found nowhere: none is modelled.
"""

from __future__ import annotations

from collections.abc import Iterator

from cimarch.hardware.costs.inputs import joules, square_metres
from cimarch.hardware.costs.model import Estimate, Facts, Model
from cimarch.hardware.costs.technology import (
    ENERGY_RULE,
    SCALING,
    energy_inputs,
    reference,
    scale_area,
    scale_energy,
    technology,
)
from cimarch.hardware.costs.wires import length_doubts, length_of, width_and_length, wire_energy
from cimarch.units import DATA, Quantity, show

_BIT = 20.74e-12 / 256
"""J of a bit in a router at 32 nm."""
_ROUTER = (0.151e-6, 32)
"""m^2 of a router at 32 nm, and the bits of its flits."""
_ISAAC = "A. Shafiee et al. (ISAAC), ISCA 2016, Table I: router, 32 nm"


def _doubts(width: float) -> Iterator[str]:
    if not 8 <= width <= 512:
        yield f"`width` {width:g} bit is outside 8..512 bit, the flits of published routers"


def hop(facts: Facts) -> Estimate:
    """Of one flit through one router and, where `length` is stated, over the wires behind it."""
    to, width = technology(facts), float(facts.number("width"))
    router = width * scale_energy(_BIT, 32, to)
    known = (
        ("known", show(joules(width * _BIT))),
        *energy_inputs(reference(32, to.transistors), to),
        ("router", show(joules(router))),
    )
    if not facts.has("length"):
        return Estimate(
            joules(router),
            "router",
            f"energy = router, router = {ENERGY_RULE}, known = width * 20.74 pJ / 256 bit;"
            " no `length`, no wires",
            (("width", show(Quantity(facts.number("width"), DATA))), *known),
            f"{_ISAAC}, 20.74 pJ per 256 bit (hwcomponents-library); {SCALING}",
            (*to.warnings, *_doubts(width)),
        )
    metres = length_of(facts)
    wires = wire_energy(width, metres, to.voltage)
    return Estimate(
        joules(router + wires),
        "router and wires",
        f"energy = router + wires, router = {ENERGY_RULE}, known = width * 20.74 pJ / 256 bit,"
        " wires = 0.5 * width / bit * length * 300 fF/mm * voltage^2",
        (*width_and_length(facts), *known, ("wires", show(joules(wires)))),
        f"{_ISAAC}, 20.74 pJ per 256 bit (hwcomponents-library); wires: Kogge et al., DARPA"
        f" ExaScale study 2008; {SCALING}",
        (*to.warnings, *_doubts(width), *length_doubts(metres)),
    )


def router_area(facts: Facts) -> Estimate:
    """Of one router."""
    to, width = technology(facts), float(facts.number("width"))
    area, bits = _ROUTER
    return Estimate(
        square_metres(scale_area(area, 32, to) * width / bits),
        "router",
        "router_area = 0.151 mm^2 * width / 32 bit * shrink",
        (
            ("width", show(Quantity(facts.number("width"), DATA))),
            ("shrink", f"{scale_area(1, 32, to):.6g}"),
            *to.told(),
        ),
        f"{_ISAAC}, 8 ports, flits of 32 bit, 0.151 mm^2; {SCALING}",
        (*to.warnings, *_doubts(width)),
    )


MODELS = (Model("mesh", "hop.energy", hop), Model("mesh", "router_area", router_area))
