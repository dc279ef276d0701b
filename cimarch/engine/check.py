"""What a work must be like for an engine to run it."""

from __future__ import annotations

import numpy as np

from cimarch.engine.pieces import NOTHING, Piece, Template, Work
from cimarch.engine.tasks import JOIN

_MOST = 2**31
"""No template has more slots or edges, and no work more gates."""
_LATEST = 2**62
"""No time may come near the end of 64 bits."""


def check_work(work: Work) -> None:
    """Raise a ValueError that says what is wrong with a work; a cycle is not looked for."""
    for numerator, denominator in work.periods:
        if numerator < 1 or denominator < 1:
            raise ValueError(f"the period {numerator}/{denominator} is not positive")
    if work.periods and work.periods[0][0] > work.periods[0][1]:
        first = "{}/{}".format(*work.periods[0])
        raise ValueError(f"the first period, that of gates, is {first}, more than a cycle")
    for number, template in enumerate(work.templates):
        try:
            _check_template(template, len(work.periods))
        except ValueError as error:
            raise ValueError(f"{error}, in template {number}") from None
    for number, piece in enumerate(work.pieces):
        try:
            _check_piece(work, piece)
        except ValueError as error:
            raise ValueError(f"{error}, in piece {number}") from None
    _check_sizes(work)


def _check_template(template: Template, periods: int) -> None:
    slots, edges = len(template), template.edges
    lengths = {"busy": slots, "latency": slots, "period": slots}
    for name, length in lengths.items():
        if getattr(template, name).shape != (length,):
            raise ValueError(f"`{name}` has shape {getattr(template, name).shape}, not ({length},)")
    _check_times(template)
    for name in ("slot", "source"):
        _check_range(f"`{name}` of an edge", getattr(edges, name), slots)
    _check_range("a lag", edges.lag, _MOST)
    _check_range("a slot that waits for a gate", template.opens[:, 0], slots)
    _check_range("a gate", template.opens[:, 1], template.gates)
    _check_range("`period`", template.period, periods)


def _check_times(template: Template) -> None:
    """A task takes at least a cycle of both, a join neither."""
    if (template.resource < JOIN).any():
        raise ValueError(f"a resource is {template.resource.min()}, below {JOIN}")
    join = template.resource == JOIN
    for name, column in (("busy", template.busy), ("latency", template.latency)):
        wrong = np.flatnonzero(np.where(join, column != 0, column < 1))
        if len(wrong):
            slot = int(wrong[0])
            need = "0, as it is a join" if join[slot] else "at least 1"
            raise ValueError(f"`{name}` of slot {slot} is {column[slot]}, not {need}")


def _check_piece(work: Work, piece: Piece) -> None:
    slots = len(piece.template)
    if piece.repeat < 0:
        raise ValueError(f"a template is repeated {piece.repeat} times, less than 0")
    most = slots - 1 if piece.repeat and slots else 0
    if not 0 <= piece.cut <= most:
        raise ValueError(f"`cut` is {piece.cut}, outside 0..{most}")
    for link in piece.links:
        _check_number("a gate of a link", link.gate, piece.template.gates)
        _check_number("a piece of a link", link.piece, len(work.pieces))
        behind = work.pieces[link.piece]
        _check_number("`source` of a link", link.source, len(behind.template))
        if link.blocks.shape != (piece.repeat,):
            raise ValueError(f"a link has {link.blocks.shape} blocks, not ({piece.repeat},)")
        _check_range("a block of a link", link.blocks, behind.repeat, least=NOTHING)


def _check_sizes(work: Work) -> None:
    slots = sum(len(template) for template in work.templates)
    edges = sum(len(template.edges.slot) for template in work.templates)
    gates = int(work.first_gate[-1]) - len(work)
    for name, amount, most in (
        ("slots", slots, _MOST // 2),
        ("edges", edges, _MOST),
        ("gates", gates, _MOST),
    ):
        if amount >= most:
            raise ValueError(f"the work has {amount} {name}, more than {most - 1}")
    steps = [n for n, _ in work.periods] + [1]
    scale = float(max([d for _, d in work.periods] + steps))
    longest = 0.0
    for piece in work.pieces:
        times = np.maximum(piece.template.busy, piece.template.latency)
        longest += piece.repeat * float(times.sum(dtype=np.float64) + len(times) * max(steps))
    if longest * scale >= _LATEST:
        raise ValueError(f"the times of the work may add up to more than {_LATEST} cycles")


def _check_number(name: str, value: int, stop: int) -> None:
    if not 0 <= value < stop:
        raise ValueError(f"{name} is {value}, outside 0..{stop - 1}")


def _check_range(
    name: str, values: np.ndarray[tuple[int, ...], np.dtype[np.integer]], stop: int, least: int = 0
) -> None:
    if len(values) and not (values.min() >= least and values.max() < stop):
        wrong = np.flatnonzero((values < least) | (values >= stop))
        raise ValueError(f"{name} is {values[wrong[0]]}, outside {least}..{stop - 1}")
