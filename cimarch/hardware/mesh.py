"""Where a mesh's routers and links are, and which links a packet takes.

Routers are numbered row by row. The first part that is connected to a mesh fills its nodes in
order, `concentration` of them to a router; the members of any further part are spread evenly.
A packet goes along its row first, then along the column (XY).
"""

from __future__ import annotations

from functools import cached_property
from math import ceil

from cimarch.hardware.routes import Instances, Routes
from cimarch.hardware.system import Part, System

EAST, WEST, SOUTH, NORTH, LOCAL = range(5)
DIRECTIONS = 5
"""A router's outgoing links: to its four neighbours, and back to its own nodes."""


class Mesh:
    """One mesh of a system."""

    def __init__(self, system: System, routes: Routes, part: Part) -> None:
        self._system = system
        self._routes = routes
        self.part = part
        self.concentration = part.integer("concentration")
        self.routers = ceil(part.integer("nodes") / self.concentration)
        self.columns = part.integer("columns")

    @cached_property
    def _ends(self) -> list[str]:
        """The parts connected to it, in order of declaration."""
        path = self.part.path
        wires = [w for ws in self._routes.leaving.values() for w in ws]
        touching = [w for w in wires if path in (w.source.path, w.target.path)]
        order = sorted(
            touching, key=lambda w: next(
                i for i, link in enumerate(self._system.links) if link is w.link
            ),
        )  # fmt: skip
        names = (w.target.path if w.source.path == path else w.source.path for w in order)
        return list(dict.fromkeys(names))

    def router(self, node: Instances) -> int:
        """The router that a connected member (the first of several) sits on."""
        count = self._system.part(node.path).count // self.part.count
        member = node.lo % count
        if self._ends[0] == node.path:
            return min(member // self.concentration, self.routers - 1)
        return member * self.routers // count


def passage(mesh: Mesh, source: Instances, target: Instances) -> list[int]:
    """The links a packet takes, by number: router * DIRECTIONS + direction."""
    here, there = mesh.router(source), mesh.router(target)
    if here == there:
        return [here * DIRECTIONS + LOCAL]
    row, column = divmod(here, mesh.columns)
    row_end, column_end = divmod(there, mesh.columns)
    taken = []
    while column != column_end:
        taken.append(
            (row * mesh.columns + column) * DIRECTIONS + (EAST if column < column_end else WEST)
        )
        column += 1 if column < column_end else -1
    while row != row_end:
        taken.append(
            (row * mesh.columns + column) * DIRECTIONS + (SOUTH if row < row_end else NORTH)
        )
        row += 1 if row < row_end else -1
    return taken
