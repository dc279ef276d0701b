"""A model that was adapted to a chip, as one file: a zip of a network and what was found for it.

`cimarch.adapted/1`: `adapted.json` (the schema and the model's name), `network.pt2` (the archive of
torch.export), and where a method has put them there `precision.json`, `quantised.safetensors`,
`ranges.json` and `records.json`, each in the format that it has as a file of its own;
`normalise.json` is what the JSON file beside the first model stated under `normalise`.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from cimarch.workload.archive import Archive, open_archive
from cimarch.workload.fields import Field, parse
from cimarch.workload.network import Network
from cimarch.workload.problems import problem

AGAIN = "adapt the model again: `cimarch optimize METHOD ARCH MODEL --data ... -o OUT`"
SCHEMA = "cimarch.adapted/1"
MANIFEST = "adapted.json"
NETWORK = "network.pt2"
PRECISION = "precision.json"
QUANTISED = "quantised.safetensors"
RANGES = "ranges.json"
RECORDS = "records.json"
NORMALISE = "normalise.json"
_ATTACHED = (PRECISION, QUANTISED, RANGES, RECORDS, NORMALISE)


@attrs.frozen(eq=False)
class Adapted:
    """What such a file holds."""

    name: str
    network: memoryview
    attached: Mapping[str, bytes]
    """By member name."""


def is_adapted(archive: Archive) -> bool:
    """Whether an archive is such a file."""
    return MANIFEST in archive


def read_adapted(data: memoryview, source: str) -> Adapted:
    """The parts of such a file; DescriptionError where it is damaged, or of another schema."""
    archive = open_archive(data, source)
    manifest = archive.json(MANIFEST)
    schema = manifest["schema"].text()
    if schema != SCHEMA:
        raise problem("E111", f"`{source}` is of the schema `{schema}`, not `{SCHEMA}`")
    attached = {name: bytes(archive.read(name)) for name in _ATTACHED if name in archive}
    return Adapted(manifest["name"].text(), memoryview(archive.read(NETWORK)), attached)


def brought(network: Network, member: str) -> str:
    """How a member that the network brings is named in a message: the file, and what of it."""
    return f"{network.source or network.name}: {member}"


def brought_json(network: Network, member: str) -> Field | None:
    """A JSON member that the network brings, None without it; DescriptionError where it is none."""
    held = network.attached.get(member)
    if held is None:
        return None
    return parse(held, brought(network, member), once=True, help=AGAIN)
