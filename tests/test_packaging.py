"""What is built is complete: wheel, sdist and editable install carry the same files."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = {
    "cimarch.architectures": "architectures",
    "cimarch.dsl": "dsl",
    "cimarch.models": "models",
}
LEFT_OUT = shutil.ignore_patterns(
    ".git", ".venv*", "build", "dist", "*.egg-info", "__pycache__", ".*_cache", ".hypothesis"
)


def call(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(
        [str(word) for word in command], cwd=cwd, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def wheel_of(source: Path, place: Path) -> Path:
    pip = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation")
    call(*pip, "--wheel-dir", place, source, cwd=place)
    (wheel,) = place.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tree: a build leaves nothing in ours, and finds nothing stale."""
    place = tmp_path_factory.mktemp("source") / "cimarch"
    shutil.copytree(ROOT, place, ignore=LEFT_OUT)
    return place


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel_of(source, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh environment with the wheel; the dependencies are those of this one, by path."""
    place = tmp_path_factory.mktemp("clean")
    call(sys.executable, "-m", "venv", "--without-pip", place, cwd=place)
    python = place / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", python)
    call(*pip, "install", "--quiet", "--no-deps", wheel, cwd=place)
    (site,) = place.glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return place


def shipped() -> set[str]:
    """Every file that an installed cimarch must have, by its path in the wheel."""
    found = set()
    for folder, patterns in {
        "cimarch": ("**/*.py", "py.typed"),
        "dsl": ("*.lark",),
        "architectures": ("**/*.cimarch", "**/*.toml"),
        "models": ("*.py", "*.pt", "*.json"),
    }.items():
        inside = folder if folder == "cimarch" else f"cimarch/{folder}"
        for pattern in patterns:
            for path in (ROOT / folder).glob(pattern):
                found.add(f"{inside}/{path.relative_to(ROOT / folder)}")
    return found


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def test_the_list_of_packages_equals_the_folders() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    folders = {path.parent for path in (ROOT / "cimarch").glob("**/*.py")}
    packages = {".".join(folder.relative_to(ROOT).parts) for folder in folders}
    assert set(listed["packages"]) == packages | set(SHARED)
    assert {name: listed["package-dir"][name] for name in SHARED} == SHARED


def test_a_wheel_has_every_file_and_no_package_beside_cimarch(wheel: Path) -> None:
    files = names(wheel)
    assert shipped() <= files
    tops = {name.partition("/")[0] for name in files}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"cimarch"}


def test_the_sdist_builds_the_same_wheel(
    source: Path, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    place = tmp_path_factory.mktemp("sdist")
    build = (sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", place)
    call(*build, source, cwd=place)
    (packed,) = place.glob("*.tar.gz")
    with tarfile.open(packed) as archive:
        archive.extractall(place, filter="data")
    (unpacked,) = (path for path in place.iterdir() if path.is_dir())
    assert names(wheel_of(unpacked, place)) == names(wheel)
    for name in ("Makefile", "CHANGELOG.md", "tests/test_packaging.py"):
        assert (unpacked / name).is_file()


def test_an_installed_wheel_checks_isaac_from_any_folder(environment: Path, tmp_path: Path) -> None:
    python, command = environment / "bin" / "python", environment / "bin" / "cimarch"
    where = call(python, "-c", "import cimarch; print(cimarch.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(environment)
    call(command, "check", "isaac", cwd=tmp_path)


def test_an_installed_wheel_says_its_version(environment: Path, tmp_path: Path) -> None:
    assert call(environment / "bin" / "cimarch", "--version", cwd=tmp_path) == "cimarch 0.1.0\n"
