"""A run as pictures: its power over time, and what its operations hold and wait for.

matplotlib is imported when a picture is drawn; the same run gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cimarch.diagnostics import DescriptionError, Diagnostic, listing
from cimarch.report.columns import Columns
from cimarch.report.format import quantity
from cimarch.report.power import Drawn

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DATES: Mapping[str, Mapping[str, Any]] = {
    "svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {"Software": None},
}  # fmt: skip
"""What of a picture would change from run to run, left out."""


def check_form(path: Path, flag: str) -> None:
    """Find before a run that its data or its picture could not be made: an ending that is none, no
    matplotlib. `.csv` needs nothing."""
    form = form_of(path)
    if form != "csv" and form not in DATES:
        forms = listing([".csv", *(f".{name}" for name in DATES)])
        raise DescriptionError(
            Diagnostic(
                "E431",
                f"`{flag}` cannot write `{path.name}`: its ending is none of {forms}",
                helps=(f"name a table or a picture: `{flag} {path.stem or 'run'}.csv`",),
            )
        )
    if form != "csv" and find_spec("matplotlib") is None:
        raise DescriptionError(
            Diagnostic(
                "E432",
                f"`{flag} {path.name}` needs matplotlib, which is not installed",
                helps=("install it: `pip install 'cimarch[plot]'`",
                       f"or take the numbers: `{flag} {path.stem}.csv`"),
            )
        )  # fmt: skip


def form_of(path: Path) -> str:
    """The form that a file's ending asks for."""
    return path.suffix.lower().removeprefix(".")


def power(found: Drawn, title: str, form: str) -> bytes:
    """Power over time, the kinds of part above each other; a mean of each stretch."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import EngFormatter

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.add_subplot()
    edges = np.append(found.starts, len(found.watts) * found.width)
    levels = list(found.watts.T)
    names = list(found.kinds)
    if found.static:
        levels, names = [np.full(len(edges) - 1, found.static), *levels], ["static", *names]
    base = np.zeros(len(found.watts))
    for number, (name, level) in enumerate(zip(names, levels, strict=True)):
        top = base + level
        axes.stairs(top, edges, baseline=base, fill=True, label=name, color=_colour(number))
        base = top
    axes.set_xlim(0, edges[-1])
    axes.set_ylim(0, max(float(found.total.max()) * 1.08, 1e-30))
    axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.yaxis.set_major_formatter(EngFormatter(unit="W"))
    peak = quantity(found.peak, "W")
    axes.set_title(f"{title}\nthe most in any cycle: {peak}", fontsize=9)
    _finish(axes)
    figure.legend(loc="outside right upper", frameon=False, fontsize=8)
    return _bytes(figure, form)


def bounds(table: Columns, title: str, form: str) -> bytes:
    """Per operation two bars, what it holds and what it waits for: the shares of the parts."""
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(table["operation"].tolist()))
    parts = list(dict.fromkeys(table["part"].tolist()))
    figure = Figure(figsize=(9, 0.18 * len(names) + 1.6), layout="constrained")
    for place, (column, what) in enumerate(_SHARED, start=1):
        axes = figure.add_subplot(1, 2, place)
        shares = _shares(table, column, names, parts)
        base = np.zeros(len(names))
        for number, part in enumerate(parts):
            axes.barh(
                range(len(names)), shares[:, number], 0.8, base, label=part, color=_colour(number)
            )
            base += shares[:, number]
        axes.set_yticks(range(len(names)), names if place == 1 else [""] * len(names), fontsize=5)
        axes.set_xlim(0, 1)
        axes.set_ylim(len(names) - 0.4, -0.6)
        axes.set_title(what, fontsize=8)
        _finish(axes)
    figure.suptitle(title, fontsize=9)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(4, max(1, len(labels))),
        frameon=False, fontsize=7,
    )  # fmt: skip
    return _bytes(figure, form)


_SHARED = (
    ("busy_cycles", "holds: shares of busy cycles"),
    ("waited_cycles", "waits for: shares of waited cycles"),
)
"""The columns that are drawn, and what stands above them."""


def _shares(table: Columns, column: str, names: Sequence[str], parts: Sequence[str]) -> Any:
    """(operations, parts): shares that add up to 1, or 0 where there is nothing."""
    cycles = np.zeros((len(names), len(parts)))
    rows = zip(*(table[name].tolist() for name in ("operation", "part", column)), strict=True)
    for name, part, count in rows:
        cycles[names.index(name), parts.index(part)] += count
    totals = cycles.sum(axis=1, keepdims=True)
    return np.divide(cycles, totals, out=np.zeros_like(cycles), where=totals > 0)


def _colour(number: int) -> Any:
    from matplotlib import colormaps

    shades = colormaps["tab20"].colors  # type: ignore[attr-defined]
    return shades[number % len(shades)]


def _finish(axes: Axes) -> None:
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _bytes(figure: Figure, form: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cimarch", "svg.fonttype": "none"}):
        figure.savefig(file, format=form, dpi=150, metadata=dict(DATES[form]))
    return file.getvalue()
