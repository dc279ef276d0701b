"""`cimarch show`: what is in a description, before anything runs."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cimarch.cli.check import tell_warnings
from cimarch.cli.options import overrides
from cimarch.units import AREA, FREQUENCY, POWER, Quantity
from cimarch.units import show as quantity

if TYPE_CHECKING:
    from cimarch.hardware.rollup import Peak
    from cimarch.hardware.system import Part, System


@click.command(no_args_is_help=True)
@click.argument("architecture")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="Set a parameter.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.option(
    "--graph",
    "graph",
    metavar="FILE",
    help="Write the graph of parts and links: .dot for Graphviz, .json for networkx.",
)
def show(architecture: str, settings: tuple[str, ...], as_json: bool, graph: str | None) -> None:
    """Show the parts of a system: counts, area, peak power, clock, peak throughput.

    ARCHITECTURE is a file, or the name of one that comes with cimarch (isaac).

    \b
    cimarch show isaac
    cimarch show isaac --graph isaac.dot
    """
    from cimarch.language import load

    system = load(architecture, overrides(settings))
    if graph is not None:
        _write_graph(system, Path(graph))
    if as_json:
        from cimarch.cli.output import as_json as to_json

        click.echo(to_json(to_dict(system)))
    else:
        tell_warnings(system)
        click.echo(to_text(system))


def _write_graph(system: System, path: Path) -> None:
    from cimarch.cli.output import write_whole
    from cimarch.diagnostics import DescriptionError, Diagnostic
    from cimarch.hardware.graph import as_dot, as_json

    forms = {".dot": as_dot, ".json": as_json}
    if path.suffix not in forms:
        headline = f"--graph {path}: neither a `.dot` nor a `.json` file"
        helps = (f"`--graph {path.with_suffix('.dot')}`" if path.name else "`--graph chip.dot`",)
        raise DescriptionError(Diagnostic("E046", headline, helps=helps))
    write_whole(path, forms[path.suffix](system))


# ------------------------------------------------------------------------- text

_HEADS = ("part", "kind", "count", "clock", "area", "peak power", "leakage")


def to_text(system: System) -> str:
    """The whole page: heading, tree, peak, what is assumed."""
    from cimarch.hardware.rollup import peak

    lines = [f"{system.name}: {quantity(Quantity(system.clock, FREQUENCY))}", ""]
    lines += _table([_HEADS, *_rows(system.root, 0)])
    lines += ["", "areas and powers are of all members, with the parts inside"]
    if any(part.estimates for part in system.walk()):
        lines.append("* with a cost model's in it: `cimarch explain ARCH PART` tells where from")
    lines.append("")
    lines.append(_peak_line(peak(system), system.total("area")))
    if system.assumed:
        lines += ["", "assumed, because the description does not say:"]
        lines += [f"  {line}" for line in system.assumed]
    return "\n".join(lines)


def _rows(part: Part, depth: int) -> list[tuple[str, ...]]:
    from cimarch.hardware.rollup import total

    size = f"[{', '.join(map(str, part.shape))}]" if part.shape else ""
    row = (
        "  " * depth + part.name + size,
        part.kind if part.kind == part.type_name else f"{part.type_name} ({part.kind})",
        f"{part.count:,}",
        quantity(Quantity(part.clock, FREQUENCY)),
        _or_dash(total(part, "area"), AREA) + _mark(part, "area", "router_area"),
        _or_dash(total(part, "power"), POWER),
        _or_dash(total(part, "leakage"), POWER) + _mark(part, "leakage"),
    )
    return [row] + [r for inside in part.parts for r in _rows(inside, depth + 1)]


def _mark(part: Part, *numbers: str) -> str:
    """A star where a cost model gave the number, of the part or of one inside."""
    return " *" if any(n in p.estimates for p in part.walk() for n in numbers) else ""


def _or_dash(value: Fraction, dimension: tuple[int, ...]) -> str:
    return _rounded(value, dimension) if value else "-"


def _rounded(value: Fraction, dimension: tuple[int, ...]) -> str:
    """Four significant digits: as many as published tables have."""
    return quantity(Quantity(Fraction(f"{float(value):.4g}"), dimension))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    if all(row[-1] == "-" for row in rows[1:]):  # nothing leaks
        rows = [row[:-1] for row in rows]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _peak_line(found: Peak, area: Fraction) -> str:
    precision = f"{found.weight_bits}-bit weights and {found.input_bits}-bit inputs"
    if found.operations is None:
        names = ", ".join(f"`{path}`" for path in found.unknown)
        return f"peak: not known at {precision}: {names} states no latency of `read`"
    line = f"peak: {_throughput(found.operations)} at {precision}"
    if area:
        density = float(found.operations / area / 10**15)
        line += f", {density:,.0f} GOPS/mm^2" if density >= 1000 else f", {density:.4g} GOPS/mm^2"
    return line + " (a multiplication and an addition are 2 operations)"


def _throughput(operations: Fraction) -> str:
    for factor, unit in ((10**12, "TOPS"), (10**9, "GOPS"), (10**6, "MOPS")):
        if operations >= factor:
            return f"{float(operations / factor):.2f} {unit}"
    return f"{float(operations):.2f} OPS"


# ------------------------------------------------------------------------- JSON


def to_dict(system: System) -> dict[str, object]:
    """The same for a program; units are in the names."""
    from cimarch.hardware.rollup import peak

    found = peak(system)
    return {
        "schema": "cimarch.show/1",
        "system": system.name,
        "clock_hz": _number(system.clock),
        "area_mm2": float(system.total("area") * 10**6),
        "peak_power_w": float(system.total("power")),
        "leakage_w": float(system.total("leakage")),
        "weight_bits": found.weight_bits,
        "input_bits": found.input_bits,
        "peak_tops": None if found.operations is None else float(found.operations / 10**12),
        "parts": [_part(part) for part in system.walk()],
        "links": [
            {
                "source": f"{link.source.path}.{link.source.name}",
                "target": f"{link.target.path}.{link.target.name}",
                "scope": link.scope,
                "both": link.both,
                "share": link.share,
                "width_bits": None if link.width is None else int(link.width),
            }
            for link in system.links
        ],
        "assumed": list(system.assumed),
        "warnings": [warning.to_dict() for warning in system.warnings],
        "overrides": {o.path: o.text for o in system.overrides},
        "sources": [{"file": file, "sha256": digest} for file, digest in system.sources],
    }


def _part(part: Part) -> dict[str, object]:
    from cimarch.hardware.rollup import total

    return {
        "path": part.path,
        "kind": part.kind,
        "type": part.type_name,
        "shape": list(part.shape),
        "count": part.count,
        "clock_hz": _number(part.clock),
        "area_mm2": float(total(part, "area") * 10**6),
        "peak_power_w": float(total(part, "power")),
        "leakage_w": float(total(part, "leakage")),
        "modelled": sorted(part.estimates),
        "params": {name: _value(value) for name, value in part.params.items()},
        "stated": sorted(part.stated & part.params.keys()),
    }


def _value(value: object) -> object:
    """A number in base units, or the value as it is."""
    if isinstance(value, Quantity):
        return _number(value.value)
    return [_value(v) for v in value] if isinstance(value, tuple) else value


def _number(value: Fraction) -> int | float:
    return int(value) if value.denominator == 1 else float(value)
