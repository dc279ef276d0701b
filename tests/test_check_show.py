"""`cimarch check` and `cimarch show`, as a shell sees them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from cimarch.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_check_finds_no_mistakes_in_isaac(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, "check", "isaac") == (0, "Isaac: 17 parts, 16 links, no mistakes\n", "")


def test_check_tells_of_a_broken_assertion_and_exits_with_2(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, err = run(capsys, "check", "isaac", "--set", "tile.ima.adc.bits=6")
    assert (code, out) == (2, "")
    assert err.startswith("error[E070]: the converter clips the largest column sum\n")
    assert "^ 6 >= 8 is false\n" in err
    assert "= note: `adc.bits` is 6, set by `--set tile.ima.adc.bits=6`\n" in err
    assert err.endswith("= help: `adc.bits` of 8 or more satisfies it\n")


def test_check_prints_the_same_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "check", "isaac", "--json")
    assert (code, json.loads(out)["errors"]) == (0, [])
    code, out, _ = run(capsys, "check", "isaac", "--json", "--set", "tile.ima.adc.bits=6")
    assert (code, json.loads(out)["errors"][0]["code"]) == (2, "E070")


def test_show_prints_the_figures_of_isaac(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, err = run(capsys, "show", "isaac")
    assert (code, err) == (0, "")
    assert "Isaac: 1.2 GHz" in out
    row = next(line.split() for line in out.splitlines() if line.strip().startswith("xbar[8]"))
    assert row[:4] == ["xbar[8]", "Crossbar", "(crossbar)", "16,128"]
    total = next(line for line in out.splitlines() if line.startswith("Isaac  "))
    assert total.endswith("85.42 mm^2     65.81 W")
    assert "peak: 41.29 TOPS at 16-bit weights and 16-bit inputs" in out
    assert "`hop` of `noc` is" in out


def test_show_as_json_has_units_in_its_names(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, "show", "isaac", "--json", "--set", "weight_bits=8")
    data = json.loads(out)
    assert data["schema"] == "cimarch.show/1"
    assert data["area_mm2"] == pytest.approx(85.42472)
    assert data["peak_tops"] == pytest.approx(2 * 41.2877, rel=1e-5)
    assert data["overrides"] == {"weight_bits": "8"}
    adc = next(part for part in data["parts"] if part["path"] == "tile.ima.adc")
    assert (adc["count"], adc["params"]["rate"]) == (16_128, 1_280_000_000)


def test_show_writes_the_graph_whole(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    dot, node_link = tmp_path / "g.dot", tmp_path / "g.json"
    assert run(capsys, "show", "isaac", "--graph", str(dot))[0] == 0
    assert run(capsys, "show", "isaac", "--graph", str(node_link))[0] == 0
    assert dot.read_text().startswith('digraph "Isaac" {')
    assert len(json.loads(node_link.read_text())["nodes"]) == 18
    assert sorted(p.name for p in tmp_path.iterdir()) == ["g.dot", "g.json"]


def test_a_graph_of_another_form_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    code, _, err = run(capsys, "show", "isaac", "--graph", str(tmp_path / "g.png"))
    assert code == 2
    assert err.startswith("error[E046]")
    code, _, err = run(capsys, "show", "isaac", "--graph", str(tmp_path / "no" / "g.dot"))
    assert (code, err[:11]) == (2, "error[E900]")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("nowhere.cimarch", "E004"),
        (".", "E004"),
        ("isaak", "E004"),
        ("a\0b", "E004"),
        ("x" * 5000, "E004"),
        ("isaac:Isaacs", "E092"),
    ],
)
def test_what_is_no_description_is_told(
    capsys: pytest.CaptureFixture[str], name: str, code: str
) -> None:
    exit_code, out, err = run(capsys, "check", name)
    assert (exit_code, out) == (2, "")
    assert err.startswith(f"error[{code}]")


def test_check_imports_nothing_heavy() -> None:
    script = (
        "import sys; from cimarch.cli import main; main(['check', 'isaac']); "
        "print(sorted({'torch', 'numpy', 'networkx', 'numba', 'rich', 'simpy'} & set(sys.modules)))"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert result.stdout.endswith("[]\n")


def test_show_marks_what_a_cost_model_gave(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    chip = tmp_path / "chip.cimarch"
    chip.write_text("""
        from std import crossbar, adc
        system Chip {
            clock = 1 GHz
            part cells: crossbar { area = 1 mm^2, leakage = 1 mW }
            part adc: adc { area = 2 mm^2, rate = 1.28 GHz, node = 32 nm }
            connect cells -> adc
        }
        """)
    _, out, _ = run(capsys, "show", str(chip))
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert rows["cells"].endswith("1 mW")
    assert rows["adc"].endswith("493.9 uW *")
    assert "2 mm^2 *" not in rows["adc"]
    assert "cimarch explain" in out
    _, out, _ = run(capsys, "show", str(chip), "--json")
    parts = {part["path"]: part["modelled"] for part in json.loads(out)["parts"]}
    assert parts["adc"] == ["convert.energy", "leakage"]
