"""The flags by which a user says how a run goes: for every command that runs a program."""

from __future__ import annotations

import click

from cimarch.cli.options import flags

running = flags(
    click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True),
    click.option(
        "--weights",
        type=click.Choice(["preloaded", "cold"]),
        default="preloaded",
        show_default=True,
        help="Whether the first load of the weights is part of the run.",
    ),
    click.option(
        "--overlap",
        is_flag=True,
        help="Write an array anew as soon as its last product is over.",
    ),
    click.option(
        "--granularity",
        type=click.Choice(["operation", "product", "wordline"]),
        default="product",
        show_default=True,
        help="What begins by itself: all arrays of a window, each, or each group of word lines.",
    ),
    click.option(
        "--detail",
        type=click.Choice(["mvm", "wordline"]),
        default="mvm",
        show_default=True,
        help="Merge a product's reads and conversions where that changes no time, or do not.",
    ),
    click.option(
        "--engine",
        type=click.Choice(["fast", "simpy"]),
        default="fast",
        show_default=True,
        help="Both give the same cycles; simpy is the slow reference.",
    ),
)
