"""What the documents show and claim holds: examples run, links lead somewhere, tables are whole."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import attrs
import pytest

import cimarch
from cimarch.hardware.kinds import KINDS
from cimarch.program.context import KINDS as TASKS

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
STANDARD = (ROOT / "architectures" / "std.cimarch").read_text()
LANGUAGE = (ROOT / "docs" / "language.md").read_text()


@attrs.frozen
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    """Where its text begins."""
    language: str
    remark: str
    """What stands behind the language: the code that the block must be refused with."""
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks(page: Path) -> Iterator[Block]:
    text = page.read_text()
    for found in re.finditer(r"^```(\w*) ?(\w*)\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        line = text.count("\n", 0, found.start(3)) + 1
        yield Block(page, line, *found.groups())


ALL = [block for page in PAGES if page.parent.name == "docs" for block in blocks(page)]


def complete(text: str) -> str:
    """A whole description of an example that shows members, or components, only."""
    if re.search(r"^system ", text, re.MULTILINE):
        return text
    imports = f"from std import {', '.join(KINDS)}\n"
    if re.search(r"^(component|from) ", text, re.MULTILINE):
        return f"{text}\nsystem Example {{ clock = 1 GHz, part spare: std.crossbar }}"
    return f"{imports}system Example {{ clock = 1 GHz, part spare: crossbar\n{text} }}"


@pytest.mark.parametrize("block", [b for b in ALL if b.language == "cimarch"], ids=str)
def test_a_description_loads_or_is_refused_as_the_page_says(block: Block) -> None:
    if not block.remark:
        cimarch.loads(complete(block.text))
        return
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.loads(complete(block.text), file="example.cimarch")
    assert block.remark in {d.code for d in caught.value.diagnostics}


def told() -> list[tuple[Block, Block]]:
    """Descriptions that are refused, and the diagnostic shown below them."""
    return [(a, b) for a, b in pairwise(ALL) if a.remark.startswith("E") and b.language == "text"]


@pytest.mark.parametrize(("block", "shown"), told(), ids=str)
def test_a_diagnostic_is_told_as_the_page_shows_it(block: Block, shown: Block) -> None:
    with pytest.raises(cimarch.DescriptionError) as caught:
        cimarch.loads(block.text, file="example.cimarch")
    assert caught.value.render().strip() == shown.text.strip()


PYTHON = sorted({block.page for block in ALL if block.language == "python"})


@pytest.mark.parametrize("page", PYTHON, ids=lambda page: page.name)
def test_the_scripts_of_a_page_run_in_order(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {"__name__": "page"}
    for block in blocks(page):
        if block.language == "python" and _runs(block):
            code = compile("\n" * (block.line - 1) + block.text, str(page), "exec")
            exec(code, names)


def _runs(block: Block) -> bool:
    """Whether what the block reads is there: the shipped network is trained, not generated."""
    return "models/resnet20.pt" not in block.text or (ROOT / "models" / "resnet20.pt").is_file()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
        if "://" in target:
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in headings(path), f"{page.name} links to {target}"


def headings(page: Path) -> set[str]:
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_and_tests_that_are_named_exist(page: Path) -> None:
    text = page.read_text()
    known = "\n".join(file.read_text() for file in ROOT.glob("tests/**/*.py"))
    for name in re.findall(r"\btest_\w+(?!\.py)\b", text):
        assert f"def {name}(" in known or (ROOT / "tests" / f"{name}.py").exists(), name
    for name in re.findall(
        r"`((?:cimarch|docs|tests|benchmarks|architectures|dsl)/[\w./]+)`", text
    ):
        assert (ROOT / name).exists() or "NAME" in name, name


# ------------------------------------------------------- tables that must be whole


def table(page: str, heading: str) -> list[list[str]]:
    """The cells of the first table below a heading, without its head."""
    below = page.split(f"\n{heading}\n", 1)[1]
    rows = re.search(r"((?:^\|.*\n)+)", below, re.MULTILINE)
    assert rows is not None
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in rows.group(1).splitlines()
    ]
    return cells[2:]


def plain(cell: str) -> str:
    return cell.strip("`")


def test_every_kind_stands_in_the_table_with_its_ports_and_actions() -> None:
    rows = {plain(row[0]): row for row in table(LANGUAGE, "## Kinds")}
    assert set(rows) == set(KINDS)
    for name, kind in KINDS.items():
        assert re.findall(r"`(\w+)`", rows[name][2]) == list(kind.ports), name
        assert re.findall(r"`(\w+)`", rows[name][3]) == list(kind.actions), name


def test_every_parameter_stands_in_the_table_with_its_default() -> None:
    declared = set()
    for component, body in re.findall(r"^component (\w+)[^\n]*\{\n(.*?)^\}", STANDARD, re.M | re.S):
        for line in re.findall(r"^    param (.*)$", body, re.M):
            head, _, default = line.split("  #")[0].strip().partition(" = ")
            declared.add((component, re.split(r"[: ]", head)[0], default.strip()))
    rows = {(plain(r[0]), plain(r[1]), plain(r[3])) for r in table(LANGUAGE, "### Parameters")}
    assert {(kind, name, default) for kind, name, default in rows} == declared


def test_every_code_of_a_diagnostic_stands_in_the_table() -> None:
    text = "".join(file.read_text() for file in ROOT.glob("cimarch/**/*.py"))
    used = set(re.findall(r'"(E\d{3})"', text))
    shown = {code for row in table(LANGUAGE, "### Codes") for code in re.findall(r"E\d{3}", row[0])}
    assert shown == used


def test_every_kind_of_task_stands_in_the_table() -> None:
    rows = table((ROOT / "docs" / "engine.md").read_text(), "### Kinds of task")
    assert [plain(row[0]) for row in rows] == list(TASKS)
