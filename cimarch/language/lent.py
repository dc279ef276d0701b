"""Names of the library that only cost models read: a component may take them for its own.

`part node[4]: Node` and `param voltage = 0.85 V` are what people write. A parameter of the same
kind then stands for the library's. One of another kind, or a part, is the component's own affair:
cost models then take the name from what encloses it, or what the library says by default.
"""

from __future__ import annotations

LENT = frozenset(
    [
        *(("block", name) for name in ("node", "transistors", "voltage", "temperature")),
        ("block", "clock_gating"),
        *(("crossbar", name) for name in ("cell_area", "read_voltage", "read_pulse")),
        *(("crossbar", name) for name in ("write_voltage", "write_energy")),
        ("sample_hold", "capacitance"),
        ("adc", "circuit"),
        ("adder_tree", "terms"),
        ("unit", "bits"),
        ("buffer", "memory"),
        ("dram", "standard"),
        *((kind, "length") for kind in ("bus", "link", "mesh", "htree")),
    ]
)
"""The component of the library that declares each, and the name."""
