"""The tables of `docs/costs.md` say what the cost models compute with."""

from __future__ import annotations

from pathlib import Path

import pytest

from cimarch.hardware.costs import dram
from cimarch.hardware.costs.cells import DEVICES
from cimarch.hardware.costs.memory_table import TABLE
from cimarch.hardware.costs.technology import AREAS, NODES

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "costs.md").read_text()


def rows(section: str, first: str) -> list[list[str]]:
    """The cells of the table of a section whose heading begins with a word."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    (table,) = [t for t in text.split("\n\n") if t.startswith(f"| {first} |")]
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_table_of_nodes() -> None:
    text = PAGE.split("\n## Technology nodes\n")[1]
    lines = text.split("| nm | HP: V |")[1].splitlines()[2:12]
    for line in lines:
        node, *numbers = (float(cell) for cell in line.strip("|").split("|"))
        for kind, told in (("HP", numbers[:4]), ("LOP", numbers[4:])):
            known = NODES[kind][node]
            row = (known.voltage, known.capacitance, known.cold, known.warm)
            assert told == [pytest.approx(value, rel=4e-3) for value in row], (node, kind)
    assert len(lines) == len(NODES["HP"])


def test_the_table_of_areas() -> None:
    text = PAGE.split("\n## Technology nodes\n")[1].split("| nm | 180 |")[1].splitlines()
    nodes = [180.0, *(float(cell) for cell in text[0].strip("| ").split("|"))]
    areas = [float(cell) for cell in text[2].strip("|").split("|")[1:]]
    assert dict(zip(nodes, areas, strict=True)) == AREAS


def test_the_table_of_buffers() -> None:
    columns = [(32, "LOP"), (32, "HP"), (22, "HP"), (22, "LOP")]
    found = rows("Buffers", "size, width")
    for i, row in enumerate(found):
        for column, told in zip(columns, row[1:], strict=True):
            p = TABLE[column][i]
            known = [n for n in (p.read, p.write, p.leakage, p.area) if n is not None]
            assert [float(n) for n in told.split(" / ")] == known
    assert all(len(found) == len(points) for points in TABLE.values())


def test_the_table_of_devices() -> None:
    areas = {row[0].strip("`"): row[1] for row in rows("Memory cells and arrays", "device")}
    assert areas == {name: f"{device.squares:g} F^2" for name, device in DEVICES.items()}


def test_the_table_of_standards() -> None:
    told = {row[0].strip("`"): float(row[1]) for row in rows("Memory off the chip", "standard")}
    assert told == {name: picojoules for name, (picojoules, _) in dram.STANDARDS.items()}
