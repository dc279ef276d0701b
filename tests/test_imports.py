"""Imports point down, and what a command does not need it does not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

LAYERS = (
    {"units", "diagnostics", "share"},
    {"language"},
    {"hardware"},
    {"workload"},
    {"mapping"},
    {"program"},
    {"engine"},
    {"functional"},
    {"data"},
    {"report"},
    {"simulate"},
    {"evaluate"},
    {"optimize"},
    {"explore"},
    {"generate"},
    {"cli", "__main__"},
)
"""From the ground up: a module imports from its own layer and from those before it."""

MADE_FOR_ABOVE = {
    "language": tuple(
        f"cimarch.hardware.{name}" for name in ("system", "kinds", "costs", "origin", "plausible")
    ),
    "program": tuple(
        f"cimarch.engine.{name}" for name in ("tasks", "edges", "pieces", "expand", "outcome")
    ),
}
"""The language makes a System, with what cost models say of its parts, and a program makes Tasks:
each knows what it makes, no more."""

HEAVY = ("torch", "numpy", "networkx", "numba", "rich", "simpy", "pandas")


def layer_of(module: str) -> int:
    name = module.split(".")[1]
    return next(level for level, names in enumerate(LAYERS) if name in names)


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted((ROOT / "cimarch").glob("**/*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        yield ".".join(parts[:-1] if parts[-1] == "__init__" else parts), path


def imports(tree: ast.AST) -> Iterator[str]:
    """What a module imports when it runs, in functions too; not what only its types name."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        yield from imports(node)


@pytest.mark.parametrize(("module", "path"), [m for m in modules() if m[0] != "cimarch"])
def test_imports_point_down(module: str, path: Path) -> None:
    top = module.split(".")[1]
    for name in imports(ast.parse(path.read_text())):
        parts = name.split(".")
        if parts[0] != "cimarch" or (len(parts) == 2 and parts[1] not in set().union(*LAYERS)):
            continue
        if any(f"{name}.".startswith(f"{made}.") for made in MADE_FOR_ABOVE.get(top, ())):
            continue
        if len(parts) > 1:
            assert layer_of(name) <= layer_of(module), f"{module} imports {name}"


def test_every_module_has_a_layer() -> None:
    for module, _ in modules():
        if module != "cimarch":
            layer_of(module)


def loaded_after(code: str) -> set[str]:
    """Which heavy packages a fresh interpreter holds after running `code`."""
    tell = f"import sys; print(*(set(sys.modules) & {set(HEAVY)}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\n{tell}"], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def test_importing_cimarch_loads_nothing_heavy() -> None:
    assert loaded_after("import cimarch") == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["check", "isaac"],
        ["--help"],
        ["optimize", "--help"],
        *([name, "--help"] for name in ("sim", "eval", "validate", "compare")),
    ],
)
def test_a_light_command_loads_nothing_heavy(arguments: list[str]) -> None:
    run = f"from cimarch.cli import main; assert main({arguments}) == 0"
    assert loaded_after(run) == set()


def test_a_run_on_an_archive_needs_no_torch() -> None:
    arguments = ["sim", "isaac", "models/resnet20.pt", "--json"]
    loaded = loaded_after(f"from cimarch.cli import main; assert main({arguments}) == 0")
    assert not loaded & {"torch", "networkx", "pandas", "simpy"}


def test_simulate_is_the_function_even_when_its_module_was_imported_first() -> None:
    check = "import cimarch.simulate; import cimarch; assert callable(cimarch.simulate)"
    loaded_after(check)


def test_every_public_name_is_there() -> None:
    import cimarch

    for name in cimarch.__all__:
        assert getattr(cimarch, name) is not None
    with pytest.raises(AttributeError, match="has no attribute `simulte`"):
        _ = cimarch.simulte
