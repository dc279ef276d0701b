r"""A comparison as a LaTeX table: a row a figure, a column a chip, rules of the package `booktabs`.

The text is a `tabular`, to be taken with `\input{comparison}` inside a table of a paper. Units
stand in the heads of the rows, with one prefix for the whole row.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from math import floor, log10

import attrs

from cimarch.explore.comparing.comparison import Comparison, Result
from cimarch.explore.comparing.figures import FIGURES, Compared
from cimarch.report.format import count, number, percent

_PREFIXES = {-15: "f", -12: "p", -9: "n", -6: r"$\mu$", -3: "m", 0: "", 3: "k", 6: "M", 9: "G"}
_PREFIXED = ("s", "J", "W")
"""Units that take a prefix; the others are written as they are."""
_UNITS = {
    "mm^2": "mm$^2$", "GOPS/mm^2": "GOPS/mm$^2$", "1/s": "s$^{-1}$", "J s": r"J\,s",
}  # fmt: skip
_LABELS = {
    "TOPS/W": "efficiency", "GOPS/mm^2": "density", "inferences/s": "throughput",
    "available": "crossbars available", "energy x delay": r"energy $\times$ delay",
}  # fmt: skip
_SPECIAL = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': r"\textquotedbl{}",
}  # fmt: skip
UNKNOWN = "--"


@attrs.frozen
class Line:
    """One row: its head with the unit, and a cell for each chip."""

    head: str
    cells: tuple[str, ...]

    def __str__(self) -> str:
        return " & ".join([self.head, *self.cells]) + r" \\"


def escaped(text: str) -> str:
    """A text whose signs mean themselves in LaTeX."""
    return "".join(_SPECIAL.get(sign, sign) for sign in text)


def table(comparison: Comparison) -> str:
    """The whole table; ratios stand in brackets behind the values."""
    chips = [escaped(chip.name) for chip in comparison.chips]
    lines = [
        *_remarks(comparison),
        rf"\begin{{tabular}}{{l{'r' * len(chips)}}}",
        r"\toprule",
        str(Line("", tuple(chips))),
    ]
    for network in comparison.networks:
        lines += [r"\midrule", *_heading(comparison, network), *_rows(comparison, network)]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _remarks(comparison: Comparison) -> Iterable[str]:
    """Comments on top of the file: what was compared, and what the figures mean."""
    options = comparison.options
    yield (
        f"% cimarch {comparison.version}: {options['weight_bits']}-bit weights,"
        f" {options['input_bits']}-bit inputs, batch {options['batch']};"
        " in brackets: the ratio to the first chip that runs the network"
    )
    for chip in comparison.chips:
        changed = "".join(f", {each.path} = {each.text}" for each in chip.system.overrides)
        yield "% " + " ".join(f"{chip.name}: {chip.file}{changed}".split())


def _heading(comparison: Comparison, network: str) -> Iterable[str]:
    """The network's name across the table, where there are several."""
    if len(comparison.networks) > 1:
        wide = len(comparison.chips) + 1
        yield rf"\multicolumn{{{wide}}}{{l}}{{\textit{{{escaped(network)}}}}} \\"


def _rows(comparison: Comparison, network: str) -> Iterable[str]:
    results = comparison.of(network)
    for figure in FIGURES:
        if any(result.figures[figure.key] is not None for result in results):
            yield str(_line(comparison, figure, results))
    bounds = [r.report.bound.name if r.report and r.report.bound else "" for r in results]
    if any(bounds):
        yield str(Line("bound by", tuple(escaped(name) or UNKNOWN for name in bounds)))


def _line(comparison: Comparison, figure: Compared, results: Sequence[Result]) -> Line:
    unit, scale, show = _written(figure, [result.figures[figure.key] for result in results])
    cells = []
    for result in results:
        value = result.figures[figure.key]
        ratio = comparison.ratios(result)[figure.key]
        behind = None if result is comparison.first(result.network) else ratio
        cells.append(_cell(value, behind, scale, show))
    label = _LABELS.get(figure.label, escaped(figure.label))
    return Line(f"{label} ({unit})" if unit else label, tuple(cells))


def _cell(
    value: float | None, ratio: float | None, scale: float, show: Callable[[float], str]
) -> str:
    if value is None:
        return UNKNOWN
    return show(value * scale) + ("" if ratio is None else f" ({_number(ratio)})")


def _number(value: float) -> str:
    """A number as LaTeX writes powers of ten."""
    mantissa, power, exponent = number(value).partition("e")
    return rf"${mantissa} \times 10^{{{int(exponent)}}}$" if power else mantissa


def _written(
    figure: Compared, values: Sequence[float | None]
) -> tuple[str, float, Callable[[float], str]]:
    """The unit of a whole row, what its values are multiplied by, and how they are written."""
    if figure.show is percent:
        return r"\%", 100, lambda value: f"{value:.1f}"
    if figure.show is count:
        return "", 1, lambda value: f"{value:,.0f}"
    if figure.unit not in _PREFIXED:
        return _UNITS.get(figure.unit, figure.unit), 1, _number
    largest = max((abs(value) for value in values if value), default=1.0)
    exponent = min(max(3 * floor(log10(largest) / 3), min(_PREFIXES)), max(_PREFIXES))
    unit = _PREFIXES[exponent] + _UNITS.get(figure.unit, figure.unit)
    return unit, 10.0**-exponent, _number
