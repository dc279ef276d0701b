"""The flags by which a user names a chip, a network and their bits."""

from __future__ import annotations

import click

from cimarch.cli.options import flags

BITS = click.IntRange(1, 64)
SCHEDULES = click.Choice(["layers", "pipeline"])

naming = flags(
    click.argument("architecture", metavar="ARCH"),
    click.argument("model", metavar="[MODEL]", required=False),
    click.option(
        "--model", "name", metavar="NAME", help="The network whose weights, or shapes, it is."
    ),
    click.option("--input", "input_", metavar="SIZES", help="Shape of the input: 1x3x32x32."),
    click.option("--tokens", type=int, metavar="N", help="New tokens of a transformer."),
    click.option("--set", "set_", metavar="PATH=VALUE", multiple=True, help="Change a parameter."),
    click.option(
        "--weight-bits", type=BITS, default=8, show_default=True, help="Bits of a weight."
    ),
    click.option("--input-bits", type=BITS, default=8, show_default=True, help="Bits of an input."),
    click.option("--precision", metavar="FILE", help="Bits per operation, as JSON."),
)
"""A chip, a network and bits: of every command that has both."""

reading = flags(
    naming,
    click.option("--context", type=int, metavar="N", help="Tokens before them, in its cache."),
    click.option("--schedule", type=SCHEDULES, help="Layer by layer, or rows as they come."),
)
"""The same, and what a run in time takes: of `map` and `sim`."""
