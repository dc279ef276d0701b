"""A model that methods change: a network that can be trained, and what methods have found for it.

As a file it is one zip, `cimarch.adapted/1`, which `cimarch sim` and `cimarch eval` read like any
other network: they take the precision, the whole weights and the converter ranges from it that a
method has put there.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import fx, nn

from cimarch.data.normalisation import beside
from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.functional.fit.saved_quantised import from_bytes, to_bytes
from cimarch.functional.fit.saved_ranges import Calibration
from cimarch.functional.quantised import QuantisedNetwork
from cimarch.optimize.frame.record import Record, records_of
from cimarch.optimize.frame.trainee import module_of
from cimarch.report.files import whole
from cimarch.workload.adapted import (
    MANIFEST,
    NETWORK,
    NORMALISE,
    PRECISION,
    QUANTISED,
    RANGES,
    RECORDS,
    SCHEMA,
    read_adapted,
)
from cimarch.workload.checkpoint import load_file_
from cimarch.workload.files import contents, find, is_name
from cimarch.workload.network import Network
from cimarch.workload.pt2 import read_program, read_pt2
from cimarch.workload.sniff import sniff
from cimarch.workload.trace import export
from cimarch.workload.zoo import build, default_input, entry, is_known


@attrs.frozen(eq=False)
class Model:
    """A network, and what methods have found for it."""

    name: str
    archive: bytes
    """Of torch.export, with all parameters in float."""
    attached: Mapping[str, bytes] = attrs.field(factory=dict)
    """What lies beside it in the file, by the names of `cimarch.workload.adapted`."""
    source: str = ""

    @classmethod
    def of(cls, given: Model | str | os.PathLike[str], network: str | None = None) -> Model:
        """A model itself, or read from a file.

        The file is a torch.export archive, what `save` wrote, or where `network` names one of
        `models/` its weights: a state_dict or safetensors. Raises DescriptionError where it is
        neither: other files lack what training needs.
        """
        if isinstance(given, Model):
            return given
        if isinstance(given, nn.Module):
            raise TypeError("a module takes an example input: `Model.of_module(module, example)`")
        if network is not None:
            return cls._of_weights(os.fspath(given), network)
        if is_name(given) and is_known(os.fspath(given)):
            raise _untrained(os.fspath(given))
        path = find(given)
        data, source = contents(path), os.fspath(given)
        kind = sniff(data, source).kind
        if kind == "pt2":
            return cls(path.stem, bytes(data), _normalised(path), source)
        if kind == "adapted":
            read = read_adapted(data, source)
            return cls(read.name, bytes(read.network), read.attached, source)
        if kind in ("state_dict", "safetensors"):
            raise _without_network(source)
        raise DescriptionError(
            Diagnostic(
                "E453",
                f"`{source}` cannot be trained: it is no archive of torch.export",
                helps=(f"{_EXPORT} -o model.pt",),
            )
        )

    @classmethod
    def of_module(cls, module: nn.Module, example: Any, name: str = "") -> Model:
        """A torch module, as it is at inference; `example` is an input with a batch of one.

        Raises DescriptionError where torch cannot export the module, or an operator is not covered.
        """
        title = name or type(module).__name__.lower()
        made = cls(title, export(module, example))
        made.network()  # tells of what is not covered
        return made

    @classmethod
    def _of_weights(cls, file: str, network: str) -> Model:
        made = build(network)
        load_file_(made, file)
        return attrs.evolve(
            cls.of_module(made, torch.zeros(default_input(network)), network), source=file
        )

    @property
    def digest(self) -> str:
        """SHA-256 of all that a file of it would say."""
        found = hashlib.sha256(self.archive)
        for name in sorted(self.attached):
            found.update(name.encode() + self.attached[name])
        return found.hexdigest()

    def network(self) -> Network:
        """The network for everything that is below training, with what is attached to it."""
        content = self.to_bytes() if self.attached else self.archive
        digest = hashlib.sha256(content).hexdigest()
        read = read_pt2(
            memoryview(self.archive), name=self.name, source=self.source or self.name, digest=digest
        )
        return attrs.evolve(read, attached=dict(self.attached))

    def module(self) -> fx.GraphModule:
        """The network as a torch module that can be trained (`cimarch.optimize.frame.trainee`)."""
        return module_of(*read_program(memoryview(self.archive), self.source or self.name))

    @property
    def records(self) -> tuple[Record, ...]:
        """What each method did, the first one first."""
        given = self.attached.get(RECORDS)
        return records_of(given, f"{self.source or self.name}: {RECORDS}") if given else ()

    @property
    def precision(self) -> Any:
        """The precision policy that a method has found (`cimarch.mapping.precision`), or None."""
        given = self.attached.get(PRECISION)
        return json.loads(given) if given else None

    def quantised(self) -> QuantisedNetwork | None:
        """The network in whole numbers as a method has left it, or None."""
        given = self.attached.get(QUANTISED)
        return from_bytes(given, self.network(), f"{self.name}") if given else None

    def trained(self, archive: bytes, **attached: object) -> Model:
        """The model with other parameters; of what was attached, only the records stay, and how
        inputs are normalised."""
        kept = {n: v for n, v in self.attached.items() if n in (RECORDS, NORMALISE)}
        made = attrs.evolve(self, archive=archive, attached=kept)
        return made.with_(**attached)  # type: ignore[arg-type]

    def with_(
        self,
        *,
        quantised: QuantisedNetwork | None = None,
        ranges: Calibration | None = None,
        precision: object = None,
        record: Record | None = None,
    ) -> Model:
        """The model with what a method has found for it."""
        found = dict(self.attached)
        if quantised is not None:
            found[QUANTISED] = to_bytes(quantised)
        if ranges is not None:
            found[RANGES] = ranges.to_text().encode()
        if precision is not None:
            found[PRECISION] = json.dumps(precision).encode()
        if record is not None:
            found[RECORDS] = _listed([*self.records, record])
        return attrs.evolve(self, attached=found, source="")  # no file has this content

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it to a file, whole or not at all; DescriptionError where it cannot."""
        with whole(Path(path)) as file:
            file.write(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The content of its file, the same for the same model."""
        manifest = json.dumps({"schema": SCHEMA, "name": self.name}).encode()
        members = {MANIFEST: manifest, NETWORK: self.archive, **self.attached}
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
            for name in sorted(members):
                archive.writestr(zipfile.ZipInfo(name), members[name])
        return buffer.getvalue()


def _normalised(path: Path) -> dict[str, bytes]:
    """What the JSON file beside a model states, which its own file is to bring from now on."""
    stated = beside(path)
    if stated is None:
        return {}
    told = {"mean": list(stated.mean), "deviation": list(stated.deviation)}
    return {NORMALISE: json.dumps(told).encode()}


_EXPORT = "cimarch export package.module:factory --input 1x3x32x32"


def _without_network(source: str) -> DescriptionError:
    return DescriptionError(
        Diagnostic(
            "E453",
            f"`{source}` cannot be trained: it holds weights without their network",
            helps=("name it: `--model resnet20`", f"{_EXPORT} --weights {source} -o model.pt"),
        )
    )


def _untrained(name: str) -> DescriptionError:
    known = entry(name)
    sizes = "x".join(map(str, known.input))
    factory = f"cimarch.models.{known.file}:{known.factory}"
    return DescriptionError(
        Diagnostic(
            "E453",
            f"`{name}` is the name of a network without weights: nothing is there to adapt",
            helps=(f"cimarch export {factory} --input {sizes} --weights state.pt -o {name}.pt",),
        )
    )


def _listed(records: Sequence[Record]) -> bytes:
    return json.dumps([record.to_dict() for record in records], indent=1).encode()
