"""The flags by which a user asks for the timeline of a run."""

from __future__ import annotations

import click

from cimarch.cli.options import flags

recording = flags(
    click.option(
        "--timeline", metavar="FILE", help="Write every task there, as a trace for Perfetto."
    ),
    click.option("--vcd", metavar="FILE", help="Write the same as waveforms, for GTKWave."),
    click.option(
        "--power",
        metavar="FILE",
        help="Write power over time there: .csv, or a picture (.svg, .pdf, .png).",
    ),
    click.option(
        "--bounds",
        metavar="FILE",
        help="Write what each operation holds and waits for: .csv, or a picture.",
    ),
    click.option(
        "--timeline-from",
        type=click.IntRange(min=0),
        metavar="CYCLE",
        help="Write no task that is over by then.",
    ),
    click.option(
        "--timeline-to",
        type=click.IntRange(min=1),
        metavar="CYCLE",
        help="Write no task that begins then or later.",
    ),
)


def cut(first: int | None, last: int | None) -> tuple[int, int | None] | None:
    """The cycles that the flags name; None where they name none."""
    return None if first is None and last is None else (first or 0, last)
