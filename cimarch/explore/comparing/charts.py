"""A comparison as pictures: its figures as grouped bars, and what bounds each operation.

matplotlib is imported when a picture is drawn; the same comparison gives the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cimarch.explore.comparing.comparison import Comparison, Result
from cimarch.explore.comparing.figures import FIGURES, Compared, times
from cimarch.report.pictures import DATES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING = "nothing"
"""What bounds an operation that takes no time."""


def bars(comparison: Comparison, form: str) -> bytes:
    """The figures of all networks as grouped bars, in `svg`, `pdf` or `png`.

    A bar is the ratio to the first chip, on a logarithmic axis: up from 1, or down. Over the first
    chip's stands its value, over the others' the ratio, or `?` where it is not known. A figure
    that no other chip knows is left out.
    """
    from matplotlib.figure import Figure

    drawn = [f for f in FIGURES if f.is_drawn and _ratios(comparison, f)]
    shown = [f for f in drawn if _are_compared(comparison, f)] or drawn
    columns = min(3, len(shown))
    rows = -(-len(shown) // columns)
    wide = max(3.2, 0.8 + 0.5 * len(comparison.results))
    figure = Figure(figsize=(columns * wide, rows * 2.4 + 0.6), layout="constrained")
    for number, compared in enumerate(shown, start=1):
        _draw(figure.add_subplot(rows, columns, number), comparison, compared)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    _legend(figure, handles, labels)
    return _bytes(figure, form)


def _ratios(comparison: Comparison, figure: Compared) -> list[float]:
    found = (comparison.ratios(result)[figure.key] for result in comparison.results)
    return [ratio for ratio in found if ratio]


def _are_compared(comparison: Comparison, figure: Compared) -> bool:
    """Whether another chip than the first knows it."""
    return any(
        comparison.ratios(result)[figure.key]
        for result in comparison.results
        if result is not comparison.first(result.network)
    )


def _draw(axes: Axes, comparison: Comparison, figure: Compared) -> None:
    width = 0.8 / len(comparison.chips)
    for number, chip in enumerate(comparison.chips):
        results = [r for r in comparison.results if r.chip == chip.name]
        places = [at + (number + 0.5) * width - 0.4 for at in range(len(results))]
        heights = [(comparison.ratios(r)[figure.key] or 1.0) - 1 for r in results]
        drawn = axes.bar(places, heights, width * 0.92, bottom=1, label=chip.name)
        axes.bar_label(drawn, [_above(comparison, r, figure) for r in results], fontsize=6)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(_plain)
    axes.yaxis.set_minor_formatter(_plain)
    axes.axhline(1, color="black", linewidth=0.8)
    ratios = [1.0, *_ratios(comparison, figure)]
    axes.set_ylim(min(0.8, min(ratios) / 1.5), max(1.25, max(ratios) * 1.5))
    axes.set_xlim(-0.5, len(comparison.networks) - 0.5)
    axes.set_xticks(range(len(comparison.networks)), comparison.networks, fontsize=8)
    axes.set_title(figure.label, fontsize=9)
    axes.tick_params(axis="y", which="both", labelsize=6)
    axes.spines[["top", "right"]].set_visible(False)


def _plain(value: float, place: float | None) -> str:
    """What stands at the axis: 0.5, 1, 2, 5, 10, and nothing between."""
    text = f"{value:.6g}"
    return text if text.strip("0.") in ("1", "2", "5") else ""


def _above(comparison: Comparison, result: Result, figure: Compared) -> str:
    """What stands over a bar: the first chip's value, or a ratio to it."""
    value, ratio = result.figures[figure.key], comparison.ratios(result)[figure.key]
    if value is None or ratio is None:
        return "?"
    is_first = result is comparison.first(result.network)
    return figure.show(value) if is_first else times(ratio)


def bounds(comparison: Comparison, form: str) -> bytes:
    """For each run, a bar an operation: its time, in the colour of the kind of part that bounds it.

    A bar lies from the operation's first event to its last; a row of pictures is a network's, a
    column a chip's.
    """
    from matplotlib.figure import Figure

    longest = [max(len(r.layers) for r in comparison.of(name)) for name in comparison.networks]
    size = (4.2 * len(comparison.chips) + 1, 0.16 * sum(longest) + 1.2 * len(longest) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.add_gridspec(
        len(longest), len(comparison.chips), height_ratios=[n + 6 for n in longest]
    )
    colours = _colours(comparison)
    for number, result in enumerate(comparison.results):
        if result.report is not None:
            place = grid[divmod(number, len(comparison.chips))]
            _timeline(figure.add_subplot(place), comparison, result, colours)
    _legend(figure, [_patch(colour) for colour in colours.values()], list(colours))
    return _bytes(figure, form)


def _timeline(axes: Axes, comparison: Comparison, result: Result, colours: dict[str, Any]) -> None:
    from matplotlib.ticker import EngFormatter

    report = result.report
    assert report is not None
    layers, clock = report.layers, float(report.clock)
    names = [str(name) for name in layers["name"]]
    kinds = [_kind(comparison, result, str(by)) for by in layers["bound_by"]]
    starts = (layers["start_cycle"] / clock).tolist()
    lengths = (layers["cycles"] / clock).tolist()
    axes.barh(range(len(names)), lengths, 0.8, starts, color=[colours[kind] for kind in kinds])
    axes.set_yticks(range(len(names)), names, fontsize=5)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.tick_params(axis="x", labelsize=6)
    axes.set_title(f"{result.network} on {result.chip}", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


def power(comparison: Comparison, form: str) -> bytes:
    """What each chip draws over time, a picture for each network; powers on a logarithmic axis, and
    times where one run is much longer than another."""
    from matplotlib.figure import Figure

    size = (7, 2.8 * len(comparison.networks) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    for number, network in enumerate(comparison.networks, start=1):
        axes = figure.add_subplot(len(comparison.networks), 1, number)
        _drawn(axes, comparison, network)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    _legend(figure, handles, labels)
    return _bytes(figure, form)


def _drawn(axes: Axes, comparison: Comparison, network: str) -> None:
    from matplotlib.ticker import EngFormatter

    drawn = {
        number: (result, result.report.drawn)
        for number, result in enumerate(comparison.of(network))
        if result.report is not None
    }
    spans = [len(found.watts) * found.width for _, found in drawn.values() if found is not None]
    far_apart = bool(spans) and max(spans) > _FAR_APART * min(spans)
    for number, (result, found) in drawn.items():
        if found is not None:
            edges = [*found.starts.tolist(), len(found.watts) * found.width]
            if far_apart:
                edges[0] = found.width / 2  # a logarithmic axis has no zero
            axes.stairs(
                found.total,
                edges,
                label=result.chip,
                color=f"C{number}",
                baseline=None,
                linewidth=0.9,
            )
    axes.set_xscale("log" if far_apart else "linear")
    axes.set_yscale("log")
    axes.xaxis.set_major_formatter(EngFormatter(unit="s"))
    axes.yaxis.set_major_formatter(EngFormatter(unit="W"))
    axes.tick_params(labelsize=7)
    axes.set_title(network, fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)


_FAR_APART = 5
"""Times as long as the shortest run, from which the longest would hide it on a linear axis."""


def _kind(comparison: Comparison, result: Result, name: str) -> str:
    """The kind of the part that bounds an operation: `adc` for `tile.ima.adc[0]`."""
    path = name.partition("[")[0]
    system = next(chip.system for chip in comparison.chips if chip.name == result.chip)
    return next((part.kind for part in system.walk() if part.path == path), NOTHING)


def _colours(comparison: Comparison) -> dict[str, Any]:
    """A colour for each kind of part that bounds an operation, in the order that they come."""
    from matplotlib import colormaps

    kinds = dict.fromkeys(
        _kind(comparison, result, row["bound_by"])
        for result in comparison.results
        for row in result.layers
    )
    shades = colormaps["tab10"].colors  # type: ignore[attr-defined]
    return {
        kind: "#dddddd" if kind == NOTHING else shades[number % len(shades)]
        for number, kind in enumerate(kinds)
    }


def _legend(figure: Figure, handles: Sequence[Any], labels: Sequence[str]) -> None:
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(6, len(labels)), frameon=False,
        fontsize=8,
    )  # fmt: skip


def _patch(colour: Any) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=colour)


def _bytes(figure: Figure, form: str) -> bytes:
    import matplotlib

    file = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "cimarch", "svg.fonttype": "none"}):
        figure.savefig(file, format=form, dpi=150, metadata=DATES[form])
    return file.getvalue()
