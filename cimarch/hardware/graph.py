"""The hardware as a networkx graph, and as the text of one."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from cimarch.hardware.system import Part, Port, System

if TYPE_CHECKING:
    import networkx


def graph(system: System) -> networkx.MultiDiGraph:
    """A node per part, an edge per link; `<->` is two edges.

    Nodes are the parts' paths, with `kind`, `type`, `count`, `shape`, `area_m2`, `power_w` and
    `inside` (the path of the part that holds it); parts that only hold others are nodes too. Edges
    have `source_port`, `target_port`, `scope`, `share` and, where one is stated, `width_bits`.
    """
    import networkx

    found = networkx.MultiDiGraph(name=system.name)
    for part in system.walk():
        found.add_node(part.path, **_node(part))
    for link in system.links:
        ends = [(link.source, link.target)] + [(link.target, link.source)] * link.both
        for source, target in ends:
            facts = {"scope": link.scope, "share": link.share, **_ports(source, target)}
            if link.width is not None:
                facts["width_bits"] = int(link.width)
            found.add_edge(source.path, target.path, **facts)
    return found


def _node(part: Part) -> dict[str, object]:
    return {
        "kind": part.kind,
        "type": part.type_name,
        "count": part.count,
        "shape": list(part.shape),
        "area_m2": float(part.area),
        "power_w": float(part.power),
        "inside": part.path.rpartition(".")[0],
    }


def _ports(source: Port, target: Port) -> dict[str, object]:
    return {"source_port": source.name, "target_port": target.name}


def as_json(system: System) -> str:
    """The graph in networkx' node-link form."""
    import networkx

    data = networkx.node_link_data(graph(system), edges="edges")
    return json.dumps(data, indent=2) + "\n"


def as_dot(system: System) -> str:
    """The graph for Graphviz: a part is a box, what holds parts is a frame."""
    lines = [f"digraph {_quoted(system.name)} {{", "  rankdir=LR", "  node [shape=box]"]
    lines += _frame(system.root, "  ")
    for source, target, facts in graph(system).edges(data=True):
        width = facts.get("width_bits")
        label = f" [label={_quoted(f'{width} bit')}]" if width else ""
        lines.append(f"  {_quoted(source)} -> {_quoted(target)}{label}")
    return "\n".join([*lines, "}"]) + "\n"


def _frame(part: Part, indent: str) -> list[str]:
    lines = []
    for inside in part.parts:
        label = _quoted(f"{inside.name} x {inside.count}" if inside.count > 1 else inside.name)
        if inside.parts:
            lines.append(f"{indent}subgraph {_quoted('cluster_' + inside.path)} {{")
            lines.append(f"{indent}  label={label}")
            lines += [*_frame(inside, indent + "  "), indent + "}"]
        else:
            lines.append(f"{indent}{_quoted(inside.path)} [label={label}]")
    return lines


def _quoted(text: str) -> str:
    return json.dumps(text)
