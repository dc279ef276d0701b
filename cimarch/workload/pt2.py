"""The reader of torch.export archives (.pt2): a zip of JSON and raw arrays, read without torch.

Three layouts are read:

- torch 2.9 and newer: `models/model.json`, raw arrays under `data/weights/` and `data/constants/`;
- torch 2.8: the same graph, but weights and constants as one state_dict each (takes torch);
- torch 2.6 and 2.7: `serialized_exported_program.json` and state_dicts (takes torch).

Example inputs are pickles in all of them; they are never opened.
"""

from __future__ import annotations

from cimarch.workload.archive import Archive, open_archive
from cimarch.workload.fields import Field
from cimarch.workload.graph import Graph, read_graph
from cimarch.workload.lower import lower
from cimarch.workload.network import Network, Weight
from cimarch.workload.problems import listed, problem
from cimarch.workload.weights import read_pickled, read_raw

OLD_PROGRAM = "serialized_exported_program.json"
WEIGHTS, CONSTANTS = "data/weights/", "data/constants/"


def is_pt2(archive: Archive) -> bool:
    """Whether an archive holds an exported program."""
    return OLD_PROGRAM in archive or bool(_models(archive))


def read_pt2(
    data: memoryview, *, name: str, source: str, digest: str, allow_unmapped: bool = False
) -> Network:
    """Read the bytes of a torch.export archive into a Network; runs nothing of it.

    Raises DescriptionError where the archive is damaged or hostile, an operator is not covered
    (unless `allow_unmapped`), or shapes do not fit.
    """
    graph, weights = read_program(data, source)
    return lower(
        graph,
        weights,
        name=name,
        source=source,
        digest=digest,
        allow_unmapped=allow_unmapped,
    )


def read_program(data: memoryview, source: str) -> tuple[Graph, dict[str, Weight]]:
    """The graph of a torch.export archive as it stands, and its stored tensors by their paths.

    Raises DescriptionError where the archive is damaged or hostile.
    """
    archive = open_archive(data, source)
    program, weights = _read_old(archive) if OLD_PROGRAM in archive else _read_new(archive)
    return read_graph(program), weights


def _models(archive: Archive) -> list[str]:
    """The names of the programs inside: `models/NAME.json`."""
    found = [n for n in archive.members if n.startswith("models/") and n.endswith(".json")]
    return [name[len("models/") : -len(".json")] for name in found]


def _read_new(archive: Archive) -> tuple[Field, dict[str, Weight]]:
    models = _models(archive)
    if len(models) != 1:
        held = listed(models) if models else "none"
        raise problem("E111", f"`{archive.source}` holds {len(models)} models, not one: {held}")
    _check_byte_order(archive)
    weights: dict[str, Weight] = {}
    for folder, kind in ((WEIGHTS, "weights"), (CONSTANTS, "constants")):
        pickled = f"{folder}{models[0]}.pt"
        if pickled in archive:
            weights |= read_pickled(archive, pickled)
        elif f"{folder}{models[0]}_{kind}_config.json" in archive:
            weights |= read_raw(archive, folder, f"{models[0]}_{kind}_config.json")
    return archive.json(f"models/{models[0]}.json"), weights


def _read_old(archive: Archive) -> tuple[Field, dict[str, Weight]]:
    weights: dict[str, Weight] = {}
    for name in ("serialized_state_dict.pt", "serialized_constants.pt"):
        if name in archive and len(archive.read(name)):
            weights |= read_pickled(archive, name)
    return archive.json(OLD_PROGRAM), weights


def _check_byte_order(archive: Archive) -> None:
    if "byteorder" in archive:
        order = bytes(archive.read("byteorder")[:16])
        if order != b"little":
            raise problem("E115", f"`{archive.source}` has byte order {order!r}, not `little`")
