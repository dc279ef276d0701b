"""Cases computed elsewhere, of the folder that CIMARCH_GOLDEN names.

`single_crossbar/*.json` there are runs of the one-crossbar model of arXiv 2601.21737: the hardware,
a layer table, the bits of each layer under a policy, and the milliseconds at 8 bits and under it.
`crossbar/*.npz` are products on crossbars (`tests/crossbar_cases.py`); those of `tests/golden/` are
of the same form, and are of the plain reference (`tests/golden/make.py`).
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chips
import cimarch
import crossbar_cases
from cimarch import Network
from cimarch.functional.matrix import PATHS, path_of
from cimarch.functional.windows import Windows
from published import Hardware, chip, cycles

FOLDER = os.environ.get("CIMARCH_GOLDEN")
CASES = sorted(Path(FOLDER, "single_crossbar").glob("*.json")) if FOLDER else []
CROSSBARS = sorted(Path(FOLDER, "crossbar").glob("*.npz")) if FOLDER else []
OWN = sorted((Path(__file__).parent / "golden").glob("*.npz"))

elsewhere = pytest.mark.skipif(not FOLDER, reason="CIMARCH_GOLDEN names no folder of cases")


def read(path: Path) -> dict[str, Any]:
    """A case with its decimals exact."""
    case: dict[str, Any] = json.loads(path.read_text(), parse_float=Fraction)
    return case


def in_cycles(milliseconds: Fraction, hardware: Hardware) -> int:
    """A time as cycles; it may be off by what a double cannot hold."""
    exact = milliseconds * 1000 * hardware.clock
    assert abs(exact - round(exact)) < Fraction(1, 1000), "the time is no whole number of cycles"
    return round(exact)


@elsewhere
def test_the_folder_has_cases() -> None:
    assert CASES, f"{FOLDER}/single_crossbar has no *.json"
    assert CROSSBARS, f"{FOLDER}/crossbar has no *.npz"


@elsewhere
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_case_takes_its_milliseconds(path: Path) -> None:
    case = read(path)
    hardware = Hardware(**case["hardware"])
    system, network = chip(hardware), Network.from_table(case["layers"])
    policy = case["policy_weight_activation_bits"]
    eight = cimarch.simulate(system, network, weights="cold")
    mixed = cimarch.simulate(system, network, weights="cold", precision=policy)
    for report, given in ((eight, case["w8a8_ms"]), (mixed, case["policy_ms"])):
        assert report.rounded == ()
        assert report.cycles == in_cycles(given["total"], hardware)
        assert report.load_cycles == in_cycles(given["write"], hardware)
    assert eight.cycles / mixed.cycles == pytest.approx(float(case["speedup"]), rel=1e-14)
    assert (mixed.cycles, mixed.load_cycles) == cycles(hardware, case["layers"], policy)


@elsewhere
def test_a_schedule_is_legal_and_writes_each_tile_once() -> None:
    case = read(CASES[0])
    policy = case["policy_weight_activation_bits"]
    system, network = chip(Hardware(**case["hardware"])), Network.from_table(case["layers"])
    run = chips.run(system, network, weights="cold", precision=policy)
    assert run.writes() == {0: len(run.placement.tiles)}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("file", [*CROSSBARS, *OWN], ids=lambda file: file.stem)
def test_a_product_is_that_of_the_file_by_every_path_that_takes_it(file: Path, name: str) -> None:
    case = crossbar_cases.read(file)
    lines = case.lines
    try:
        path = path_of([lines], case.ranges, Windows(lines.rows), path=name)
    except ValueError as refusal:
        pytest.skip(str(refusal))
    values, counts = path.counted(case.inputs)
    assert path.name == name
    assert np.abs(case.told(values) - case.results).max() < 1e-6
    assert np.array_equal(path(case.inputs), values)
    stats = case.config.get("stats")
    if stats and case.config["adc_bits"]:
        assert (counts.conversions, counts.clipped) == (stats["conv"], stats["clip"])
