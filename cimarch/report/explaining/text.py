"""An explanation as text: numbers in a column, and below each what says it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator

from cimarch.diagnostics import printable
from cimarch.hardware.origin import Origin, Remark
from cimarch.report.explaining.explain import Explanation
from cimarch.report.explaining.provenance import Provenance, Term
from cimarch.report.format import percent

_WIDTH = 100
_LONGEST_VALUE = 40
_MOST_TERMS = 40
"""Terms of one number that are told as text; `--json` has all."""
_STYLES = {"head": "1", "name": "1;34", "warning": "1;33", "quiet": "2"}


class _Paint:
    def __init__(self, on: bool) -> None:
        self.on = on

    def __call__(self, style: str, text: str) -> str:
        return f"\x1b[{_STYLES[style]}m{text}\x1b[0m" if self.on and text else text


def render(explanation: Explanation, *, colour: bool = False) -> str:
    """The whole explanation as text, in colour only where asked."""
    paint = _Paint(colour)
    blocks = [
        [paint("head", printable(explanation.heading))],
        *(_remark(remark, paint) for remark in explanation.remarks),
        _numbers(explanation.numbers, explanation, paint),
    ]
    if not explanation.address and not explanation.numbers:
        return "\n\n".join([blocks[0][0], "\n".join(_overview(explanation.made, paint))])
    if explanation.reads:
        blocks.append([paint("head", "which reads")])
        blocks.append(_numbers(explanation.reads, explanation, paint, whole=True))
    blocks += [_made(number, paint) for number in explanation.made]
    return "\n\n".join("\n".join(lines) for lines in blocks if lines)


def _remark(remark: Remark, paint: _Paint) -> list[str]:
    place = f"{remark.file}:{remark.number}"
    above = "" if remark.about == remark.file else f", above `{remark.about}`"
    lines = [f"  # {printable(line)}".rstrip() for line in remark.lines]
    return [place + above, *(paint("quiet", line) for line in lines)]


# ------------------------------------------------------------------- numbers of a part


def _numbers(
    numbers: Iterable[Origin], about: Explanation, paint: _Paint, *, whole: bool = False
) -> list[str]:
    listed = list(numbers)
    if not listed:
        return []
    said = {remark.lines for remark in about.remarks}
    names = [number.address if whole else number.name for number in listed]
    values = [_value(number) for number in listed]
    wide, deep = max(map(len, names)), max(map(len, values))
    lines = []
    for name, value, number in zip(names, values, listed, strict=True):
        head = f"  {paint('name', name)}{' ' * (wide - len(name))}  {value.ljust(deep)}  "
        lines.append((head + _how(number)).rstrip())
        lines += _below(number, paint, said)
    return lines


def _value(number: Origin) -> str:
    told = printable(number.told or "-")
    return told if len(told) <= _LONGEST_VALUE else told[: _LONGEST_VALUE - 3] + "..."


def _how(number: Origin) -> str:
    """What said it, in a few words."""
    place = f", {number.line.place}" if number.line else ""
    if number.how == "inherited":
        return f"of {f'`{number.giver}`' if number.giver else 'the system'}{place}"
    if number.how == "set":
        return number.setting
    if number.how == "modelled" and number.estimate is not None:
        return f"modelled: {number.estimate.model}"
    said = {"default": "the library's", "nobody": "said by nobody"}
    return said.get(number.how, number.how) + place


def _below(number: Origin, paint: _Paint, said: set[tuple[str, ...]]) -> Iterator[str]:
    """The line of the description, the expression with its values, the model, notes, helps."""
    if number.line is not None and (number.how != "default" or number.worked):
        for comment in number.line.above if number.line.above not in said else ():
            yield from _indented(f"# {comment}", paint, "quiet")
        comment = f"  # {number.line.comment}" if number.line.comment else ""
        yield from _indented(number.line.text + comment, paint, "quiet")
    if number.estimate is not None:
        yield from _model(number, paint)
    elif (number.worked or _goes_on(number)) and number.how != "from power":
        written = f"{number.expression} = " if _goes_on(number) and number.worked else ""
        yield from _indented(f"= {written}{number.worked or number.expression}", paint)
    if number.needs:
        given = ", ".join(f"{r.name} = {r.value}" for r in number.reads if r.name in number.needs)
        of_run = given or ", ".join(number.needs)
        yield from _indented(f"depends on the run; the value is that of {of_run}", paint)
    for warning in number.warnings:
        yield from _indented(f"warning: {warning}", paint, "warning")
    for note in number.notes:
        yield from _indented(f"note: {note}", paint)
    for help_ in number.helps:
        yield from _indented(f"help: {help_}", paint)


def _goes_on(number: Origin) -> bool:
    """Whether an expression stands on more lines than the one that is shown."""
    return number.line is not None and number.expression not in number.line.text


def _model(number: Origin, paint: _Paint) -> Iterator[str]:
    assert number.estimate is not None
    yield from _indented(number.estimate.formula, paint)
    inputs = ", ".join(f"{name} = {value}" for name, value in number.estimate.inputs)
    if inputs:
        yield from _indented(f"with {inputs}", paint)
    yield from _indented(f"source: {number.estimate.source}", paint)


def _indented(text: str, paint: _Paint, style: str = "") -> Iterator[str]:
    lines = textwrap.wrap(
        printable(text), _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 8,
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    yield from (paint(style, line) if style else line for line in lines)


# ------------------------------------------------------------- sums and reported numbers


def _made(number: Provenance, paint: _Paint) -> list[str]:
    head = f"{paint('name', printable(number.address))} = {paint('head', printable(number.told))}"
    lines = [head]
    if number.definition != number.formula:
        lines += _wrapped(number.definition)
    if number.formula:
        lines += _wrapped(f"{_LEADS.get(number.made, '')}{number.formula}")
    lines += _terms(number.terms[:_MOST_TERMS], paint)
    if len(number.terms) > _MOST_TERMS:
        lines.append(f"    and {len(number.terms) - _MOST_TERMS:,} more (--json has them)")
    for note in number.notes:
        lines += _wrapped(f"note: {note}")
    return lines


def _overview(numbers: tuple[Provenance, ...], paint: _Paint) -> list[str]:
    """A line a number: its address, its value, how it is made."""
    wide = max(len(number.address) for number in numbers)
    deep = max(len(number.told) for number in numbers)
    return [
        f"  {paint('name', number.address)}{' ' * (wide - len(number.address))}"
        f"  {number.told.rjust(deep)}  {_LEADS.get(number.made, '')}{number.formula}"
        for number in numbers
    ]


_LEADS = {"sum": "sum of: ", "formula": "= ", "run": "in the run: ", "placement": "placed: "}


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(
        printable(text), _WIDTH, initial_indent="  ", subsequent_indent="  ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip


def _terms(terms: tuple[Term, ...], paint: _Paint) -> list[str]:
    rows = [_cells(term) for term in terms]
    widths = [max((len(row[i]) for row in rows), default=0) for i in range(4)]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(row[1:4], widths[1:], strict=True)),
        ]
        lines.append(f"    {'  '.join(cells)}  {row[4]}".rstrip())
    return lines


def _cells(term: Term) -> tuple[str, ...]:
    times = f"{term.count:,} x {term.each}" if term.count is not None else term.each
    share = percent(term.share) if term.share is not None else ""
    origin = _how(term.origin) if term.origin is not None else ""
    return printable(term.name), printable(term.told), share, times, origin
