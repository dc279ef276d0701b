"""The flags by which a user says where things lie: for every command that places a network."""

from __future__ import annotations

import click

from cimarch.cli.options import flags

placing = flags(
    click.option(
        "--place",
        metavar="PATTERN=POOL",
        multiple=True,
        help="Which arrays hold some operations; the last that matches.",
    ),
    click.option(
        "--duplicate",
        metavar="HOW",
        default="none",
        show_default=True,
        help="Copies of weights: none, balance, fill, or a JSON file of copies by operation.",
    ),
    click.option(
        "--spread-rows",
        is_flag=True,
        help="Spread rows over free arrays where few word lines are active at once.",
    ),
    click.option("--placement", metavar="FILE", help="Take over a placement that `map -o` wrote."),
    click.option(
        "--attention",
        type=click.Choice(["digital", "written"]),
        help="Two operands of a run: a unit multiplies, or one is written into arrays.",
    ),
)
