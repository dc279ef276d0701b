"""An evaluation as text: accuracies below each other, then a row for each layer."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rich.console import RenderableType
from rich.text import Text

from cimarch.diagnostics import printable
from cimarch.report.accuracy import Evaluation, Score
from cimarch.report.columns import to_rows
from cimarch.report.format import count, number, plural
from cimarch.report.statistics import Interval
from cimarch.report.summary import Line
from cimarch.report.tables import Row, View, figures, listed, narrowed, rendered, table, wrapped


def render(found: Evaluation, *, width: int | None = None, colour: bool = False) -> str:
    """The whole evaluation as text.

    `width` is that of a terminal: columns that do not fit are left out, and a line says so.
    """
    return rendered(_blocks(found, narrowed(width)), width=width, colour=colour)


def title(found: Evaluation) -> str:
    """What was judged, on what, by how many examples."""
    what = "image" if found.kind == "images" else "row of tokens"
    of = plural(found.examples, what) if found.kind == "images" else f"{count(found.examples)} rows"
    return f"{found.network} on {found.system}, {of} of {found.data}"


def _blocks(found: Evaluation, width: int | None) -> Iterable[RenderableType]:
    yield Text(printable(title(found)), style="bold")
    yield Text()
    yield figures(lines(found))
    yield Text()
    yield Text(f"Per operation (measured on {_examples(found, found.statistics)})", style="bold")
    yield from table(_LAYERS, to_rows(found.layers), width)
    yield from listed("Assumed", found.assumed, width)
    yield from listed("Notes", found.notes, width)
    yield Text()
    yield Text("What the figures mean", style="bold")
    for sentence in _MEANINGS:
        yield from wrapped(sentence, width)


def _examples(found: Evaluation, many: int) -> str:
    noun = "image" if found.kind == "images" else "row"
    return f"the first {count(many)} {noun}s" if many > 1 else f"the first {noun}"


def lines(found: Evaluation) -> list[Line]:
    """The summary, in the order that the questions come."""
    made = [
        Line("float", *_score(found, found.float_model, found.rate("float"))),
        Line("quantised", *_score(found, found.quantised, found.rate("quantised"))),
        *_chip(found),
        Line("chip - quantised", *_difference(found)),
    ]
    worst = _worst(found)
    if worst is not None:
        made.append(worst)
    if found.quantisation:
        made.append(Line("quantisation", "", found.quantisation))
    return made


def _score(found: Evaluation, score: Score, rate: float | None) -> tuple[str, str]:
    if found.kind == "tokens":
        value = f"perplexity {number(score.perplexity)}"
        told = [f"{number(score.bits)} bits per token", f"{_percent(score.top1.value)} right"]
    else:
        value = _percent(score.top1.value)
        told = [f"{_percent(score.top1.low)} to {_percent(score.top1.high)}"]
        if score.top5 is not None:
            told.append(f"top five {_percent(score.top5)}")
    return value, ", ".join([*told, *_rate(found, rate)])


def _rate(found: Evaluation, rate: float | None) -> list[str]:
    noun = "images" if found.kind == "images" else "rows"
    return [] if rate is None else [f"{number(rate)} {noun}/s"]


def _chip(found: Evaluation) -> Iterable[Line]:
    if found.spread is None:
        yield Line("chip", *_score(found, found.chip[0], found.rate()))
    else:
        deviation, mean = found.spread
        told = f"mean of {found.trials} trials, {_range(mean)}, deviation {_percent(deviation)}"
        rate = _rate(found, found.rate())
        yield Line("chip", _percent(mean.value), ", ".join([told, *rate]))
        if found.loss is not None and found.kind == "tokens":
            yield Line("", f"perplexity {number(math.exp(min(found.loss, 700.0)))}", "of the mean")
    agreed = math.fsum(found.agreement) / found.trials
    same = "every answer" if found.is_equal else f"{_percent(agreed)} of the answers"
    yield Line("agreement", same, "as the quantised model")


def _difference(found: Evaluation) -> tuple[str, str]:
    if found.is_equal and not _differs(found.loss_difference):
        return "0", "equal, answer by answer"
    value = found.difference
    told = f"{_signed(value.low)} to {_signed(value.high)} points, paired"
    if found.p_value is not None:
        told += f", p = {_p(found.p_value)}"
    if found.kind == "tokens" and found.loss_difference is not None:
        told += f"; {found.loss_difference.value / math.log(2):+.4f} bits per token"
    return f"{_signed(value.value)} points", told


def _differs(interval: Interval | None) -> bool:
    return interval is not None and interval.value != 0


def _p(value: float) -> str:
    return "below 0.001" if value < 0.001 else f"{value:.3f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2f} %"


def _signed(share: float) -> str:
    return f"{100 * share:+.2f}"


def _range(interval: Interval) -> str:
    return f"{_percent(interval.low)} to {_percent(interval.high)}"


def _worst(found: Evaluation) -> Line | None:
    """The operation that adds most to the error, and what its conversions do."""
    rows = [row for row in to_rows(found.layers) if row["error"]]
    if not rows:
        return None
    row = max(rows, key=lambda row: float(row["error"] or 0))
    told = f"signal/error {_error(_number(row['error']))}"
    for word in ("clipped", "rounded", "overflowed"):
        if row[word]:
            told += f", {_share(_number(row[word]))} {word}"
    return Line("departs most in", str(row["name"]), told)


def _number(value: object) -> float | None:
    return value if isinstance(value, float) else None


def _share(value: float | None) -> str:
    """Shares of conversions: few count, so a small one is not rounded to nothing."""
    if value is None:
        return "-"
    if value == 0:
        return "0"
    return f"{100 * value:.2f} %" if value >= 0.00005 else f"{100 * value:.0e} %"


def _error(value: float | None) -> str:
    """An error's power, in decibels below the signal."""
    if value is None:
        return "-"
    return "exact" if value == 0 else f"{-10 * math.log10(value) + 0.0:.1f} dB"


def _range_of(row: Row) -> str:
    if row["step"] is None:
        return "-"
    return f"{row['range_low']:.4g} .. {row['range_high']:.4g}"


def _step(row: Row) -> str:
    return "-" if row["step"] is None else f"{row['step']:.4g}"


_LAYERS = (
    View("operation", lambda row: row["name"], right=False),
    View("path", lambda row: row["path"], right=False),
    View("bits", lambda row: f"{row['weight_bits']}/{row['input_bits']}", rank=5),
    View("encoding", lambda row: row["encoding"], right=False, rank=4),
    View("adc", lambda row: str(row["converter_bits"] or "-"), rank=5),
    View("range", _range_of, rank=3),
    View("step", _step, rank=3),
    View("chosen by", lambda row: row["range_source"], right=False, rank=2),
    View("conversions", lambda row: count(row["conversions"]), rank=4),
    View("clipped", lambda row: _share(row["clipped"])),
    View("rounded", lambda row: _share(row["rounded"])),
    View("overflow", lambda row: _share(row["overflowed"]), rank=1),
    View("signal/error", lambda row: _error(row["error"])),
    View("to here", lambda row: _error(row["error_to_here"])),
)

_MEANINGS = (
    "clipped, rounded: shares of the conversions whose sum lay outside the converter's range, and "
    "inside it between two codes",
    "conversions: of one inference; range and step of their codes: in units, one being one level "
    "of a cell x one level of an input step",
    "signal/error: power of the exact result of the same inputs over that of the chip's error; to "
    "here: the same against the quantised model, with what the operations before did",
    "intervals are of 95 %; chip - quantised pairs the answers to the same examples",
)
