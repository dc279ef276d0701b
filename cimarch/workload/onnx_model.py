"""An ONNX model to a Network: parsed, put in ATen's words, and lowered as an archive is."""

from __future__ import annotations

from pathlib import Path

from cimarch.workload.lower import lower
from cimarch.workload.network import Network
from cimarch.workload.onnx_file import Tensors, parse
from cimarch.workload.onnx_graph import Reading
from cimarch.workload.onnx_operators import CONVERSIONS
from cimarch.workload.problems import problem


def read_onnx(
    data: memoryview,
    *,
    name: str,
    source: str,
    digest: str,
    folder: Path,
    allow_unmapped: bool = False,
) -> Network:
    """Read the bytes of an ONNX model whose file lies in `folder`; runs nothing of it.

    Numbers may lie in other files of that folder or below it, nowhere else. Raises DescriptionError
    where the file is damaged, an operator is not covered (unless `allow_unmapped`), or sizes do not
    fit; and where the package `onnx` is not installed.
    """
    model = parse(data, source)
    try:
        tensors = Tensors(source, folder)
        reading = Reading(model, tensors, CONVERSIONS, allow_unmapped=allow_unmapped)
        graph, weights = reading.graph()
    except UnicodeDecodeError:
        raise problem("E111", f"`{source}` has names that are not UTF-8 text") from None
    return lower(
        graph, weights, name=name, source=source, digest=digest, allow_unmapped=allow_unmapped
    )
