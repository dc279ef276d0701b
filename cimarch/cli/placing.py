"""The flags by which a user says where things lie: for every command that places a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., object])

_OPTIONS = (
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


def placing(command: Command) -> Command:
    """Give a command the flags, in the order in which its help lists them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
