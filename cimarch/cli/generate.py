"""`cimarch generate`: a prompt, then token after token, on a chip."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from cimarch.cli.options import overrides
from cimarch.cli.output import as_json, named_place, write_whole
from cimarch.cli.placing import placing
from cimarch.cli.reading import BITS, SCHEDULES

if TYPE_CHECKING:
    from cimarch.generate import Generation

COUNT = click.IntRange(min=1)


@click.command("generate")
@click.argument("architecture", metavar="ARCH")
@click.argument("model", metavar="MODEL")
@click.option("--model", "name", metavar="NAME", help="The network whose weights MODEL is.")
@click.option("--prompt", type=COUNT, required=True, metavar="N", help="Tokens of the prompt.")
@click.option("--tokens", type=COUNT, required=True, metavar="N", help="New tokens.")
@click.option(
    "--runs",
    type=COUNT,
    metavar="N",
    help="Tokens that are simulated, the others lie between; 17 if not given.",
)
@click.option("--set", "set_", metavar="PATH=VALUE", multiple=True, help="Change a parameter.")
@click.option("--weight-bits", type=BITS, default=8, show_default=True, help="Bits of a weight.")
@click.option("--input-bits", type=BITS, default=8, show_default=True, help="Bits of an input.")
@click.option("--schedule", type=SCHEDULES, help="Layer by layer, or rows as they come.")
@placing
@click.option("--json", "json_", is_flag=True, help="Print everything as JSON.")
@click.option("-o", "--output", "file", metavar="FILE", help="Write everything there as JSON.")
def generate(
    architecture: str,
    model: str,
    name: str | None,
    prompt: int,
    tokens: int,
    runs: int | None,
    set_: tuple[str, ...],
    weight_bits: int,
    input_bits: int,
    schedule: str | None,
    place: tuple[str, ...],
    duplicate: str,
    spread_rows: bool,
    placement: str | None,
    attention: str | None,
    json_: bool,
    file: str | None,
) -> None:
    """Generate tokens with MODEL on ARCH: time to the first, tokens per second, joules a token.

    \b
    cimarch generate language_chip gpt2 --prompt 128 --tokens 64
    cimarch generate language_chip llama-3.2-1b --prompt 512 --tokens 256 --runs 5 --json

    MODEL is a transformer: the folder of a Hugging Face model, weights with --model, or a name.
    """
    import cimarch
    from cimarch.cli.progress import Progress
    from cimarch.generate import generate as run

    target = named_place("--output", file)
    system = cimarch.load(architecture, set=overrides(set_))
    with Progress() as progress:
        found = run(
            system, model, prompt=prompt, tokens=tokens, runs=runs, weights_of=name,
            progress=progress, weight_bits=weight_bits, input_bits=input_bits,
            schedule=schedule, place=place, duplicate=duplicate, spread_rows=spread_rows,
            placement=placement, attention=attention,
        )  # fmt: skip
    if target is not None:
        write_whole(target, as_json(found.to_dict()) + "\n")
    click.echo(as_json(found.to_dict()) if json_ else _text(found))


def _text(found: Generation) -> str:
    """The figures, and the tokens that were simulated."""
    from cimarch.report.format import count, quantity

    speed = found.tokens_per_second
    lines = [
        ("time to first token", quantity(found.time_to_first_token, "s")),
        ("tokens per second", "-" if speed is None else f"{speed:.4g}"),
        ("energy of the prompt", quantity(found.prefill.joules, "J")),
        ("energy per token", quantity(found.joules_per_token, "J")),
        (
            "cache",
            f"{count(found.cache.bytes)} bytes, {count(found.cache.bytes_per_token)} a token",
        ),
        ("cache lies in", ", ".join(found.cache.homes) or "no buffer"),
    ]
    width = max(len(name) for name, _ in lines)
    text = [
        f"{found.network} on {found.system}, {found.prompt} tokens of prompt, "
        f"{found.tokens} new tokens",
        "",
        *(f"  {name:<{width}}  {value}" for name, value in lines),
    ]
    if found.steps:
        text += ["", f"  {'tokens before':>13}  {'cycles':>13}  {'time':>10}  {'energy':>10}"]
    for step in found.steps:
        text.append(
            f"  {count(step.context):>13}  {count(step.cycles):>13}  "
            f"{quantity(step.seconds, 's'):>10}  {quantity(step.joules, 'J'):>10}"
        )
    if found.interpolated:
        text += ["", f"  {found.interpolated} tokens lie between these, and are interpolated"]
    return "\n".join(text)
