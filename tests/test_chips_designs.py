"""The bundled designs: what their papers print, and what each of them is there to show."""

from __future__ import annotations

from fractions import Fraction
from functools import cache
from pathlib import Path

import pytest

import cimarch
from cimarch import DescriptionError, Network, Report, simulate
from cimarch.workload.shapes import shapes_only

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "architectures"
RESNET = ROOT / "models" / "resnet20.pt"


def product(chip: str, rows: int, columns: int, count: int = 1, **options: object) -> Report:
    """Some products of one vector after the other with one matrix."""
    settings = options.pop("set", {})
    row = {"kind": "linear", "outputs": columns, "inputs": rows, "invocations": count}
    system = cimarch.load(chip, set=settings)  # type: ignore[arg-type]
    return simulate(system, Network.from_table([row]), **options)  # type: ignore[arg-type]


def each(report: Report, part: str, action: str) -> float:
    """Joules of one action."""
    ledger = report.ledger
    rows = zip(ledger["part"], ledger["action"], ledger["count"], ledger["joules"], strict=True)
    ((count, joules),) = ((n, j) for p, a, n, j in rows if (p, a) == (part, action))
    return float(joules) / int(count)


def busy(report: Report, part: str) -> int:
    """Cycles of a part."""
    return int(dict(zip(report.parts["path"], report.parts["busy_cycles"], strict=True))[part])


def joules(report: Report, *names: str, action: str = "") -> float:
    """Of all parts whose own names are these; of an action, or of all but leakage."""
    ledger = report.ledger
    rows = zip(ledger["part"], ledger["action"], ledger["joules"], strict=True)
    return sum(
        float(j)
        for part, done, j in rows
        if part.rpartition(".")[2] in names and (done == action if action else done != "leakage")
    )


@cache
def resnet20() -> Network:
    return cimarch.read_network(str(RESNET))


# Parts ------------------------------------------------------------------------------------------


def test_parts_are_imported_by_name_from_anywhere(tmp_path: Path) -> None:
    main = tmp_path / "mine.cimarch"
    main.write_text(
        "from parts.isaac import Crossbar, Adc\n"
        "system Mine {\n    clock = 1 GHz\n    part x: Crossbar { rows = 256, columns = 256 }\n"
        "    part adc[2]: Adc\n    connect x -> adc[*]\n}\n"
    )
    system = cimarch.load(main)
    assert system.part("x").power == 4 * cimarch.load("isaac").part("tile.ima.xbar").power


def test_a_folder_of_parts_is_no_chip() -> None:
    with pytest.raises(DescriptionError) as caught:
        cimarch.load("parts")
    (told,) = caught.value.diagnostics
    assert told.code == "E004"
    assert "`raella`" in told.notes[0]
    assert "parts" not in told.notes[0]


@pytest.mark.parametrize(
    "name", ["isaac", "puma", "raella", "language_chip", "hybrid"], ids=lambda name: name
)
def test_the_parts_of_isaac_are_not_copied(name: str) -> None:
    text = (FOLDER / f"{name}.cimarch").read_text()
    assert "from parts.isaac import" in text
    assert "0.0096 mm^2" not in text  # Table I's converters


@pytest.mark.parametrize(
    ("name", "recalled"),
    [("puma", True), ("prime", True), ("raella", False), ("two_pools", False), ("hybrid", False)],
)
def test_the_header_names_the_source_and_marks_what_was_recalled(name: str, recalled: bool) -> None:
    text = (FOLDER / f"{name}.cimarch").read_text()
    header = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert any(year in header for year in ("2016", "2019", "2023", "arXiv"))
    assert ("`unverified`" in header) == recalled


# Sizes ------------------------------------------------------------------------------------------

SCALED = {
    "isaac": ("tile_rows", 7),
    "puma": ("tiles", 69),
    "raella": ("tiles", 74),
    "prime": ("banks", 32),
    "two_pools": ("tiles", 4),
    "hybrid": ("tiles", 32),
    "language_chip": ("tile_rows", 16),
    "bit_serial": ("macros", 128),
    "small": ("macros", 8),
}
"""Per chip: what says how many arrays it has, and half of it."""


@pytest.mark.parametrize("name", SCALED)
def test_half_of_a_chip_has_half_of_its_arrays(name: str) -> None:
    parameter, half = SCALED[name]
    whole, part = cimarch.load(name), cimarch.load(name, set={parameter: half})
    for array in whole.of_kind("crossbar", "digital_array"):
        assert part.part(array.path).count * 2 == array.count


# ISAAC and PUMA ---------------------------------------------------------------------------------


def test_the_totals_of_puma_are_those_that_its_ratios_come_from() -> None:
    # 138 x 8 x 2 x 128 x 128 multiplications and additions in 16 steps of 128 / 1.480695 GHz.
    system = cimarch.load("puma")
    peak = 138 * 8 * 2 * 128 * 128 * 2 / (16 * 128 / 1.480695e9)
    assert peak == pytest.approx(52.31e12, rel=1e-4)
    area, power = float(system.total("area")) * 1e6, float(system.total("power"))
    assert (round(area, 1), round(power, 1)) == (90.6, 62.5)
    assert peak / area / 1e9 == pytest.approx(577, rel=1e-3)
    assert peak / power / 1e9 == pytest.approx(837, rel=1e-3)


def test_the_constants_of_pumas_simulator_come_close_to_its_totals() -> None:
    system = cimarch.load("puma:PumaConstants")
    converters = 138 * 8 * 2 * 8
    assert system.part("tile.core.mvmu.adc").count == converters == 17_664
    fitted = cimarch.load("puma")
    area = system.total("area") - fitted.total("area")
    assert area == converters * (Fraction(12, 10**4) - Fraction(11045, 10**7)) / 10**6
    power = system.total("power") - fitted.total("power")
    assert power == converters * (2 - Fraction(19762, 10**4)) / 1000
    assert float(system.total("area")) * 1e6 == pytest.approx(90.6, rel=0.02)
    assert float(system.total("power")) == pytest.approx(62.5, rel=0.01)


def test_a_product_on_puma_takes_sixteen_steps_of_a_hundred_nanoseconds() -> None:
    report = product("puma:PumaConstants", 128, 128, weight_bits=16, input_bits=16)
    assert busy(report, "tile.core.mvmu.xbar") == 16 * 100  # at 1 GHz
    assert report.crossbars == 1  # eight slices of 128 columns each


# RAELLA -----------------------------------------------------------------------------------------


def test_speculation_takes_eleven_steps_for_eight_and_less_than_half_of_the_conversions() -> None:
    with_it, without = (
        product("raella", 512, 170, set={"speculates": word}) for word in ("true", "false")
    )
    assert (busy(with_it, "tile.macro.array"), busy(without, "tile.macro.array")) == (1100, 800)
    converted = each(with_it, "tile.macro.adc", "convert")
    assert converted == pytest.approx(0.42 * 1.42e-12)
    assert each(without, "tile.macro.adc", "convert") == pytest.approx(1.42e-12)


def test_a_network_takes_less_energy_on_raella_by_the_ratio_that_is_published() -> None:
    # Up to 4.9 times, over networks; here one of them, with eDRAM that holds its first map.
    large = {
        "tile.edram.size": "1 MiB",
        "tile.edram.area": "0.083 mm^2",
        "tile.edram.power": "20.7 mW",
    }
    network = shapes_only("resnet18")
    isaac, raella = (
        joules_of(simulate(cimarch.load(name, set=large), network)) for name in ("isaac", "raella")
    )
    assert isaac / raella == pytest.approx(4.7, abs=0.1)


def joules_of(report: Report) -> float:
    assert report.joules is not None
    return float(report.joules)


# PRIME ------------------------------------------------------------------------------------------


def test_six_bits_enter_prime_in_two_steps() -> None:
    report = product("prime", 256, 128, input_bits=6)
    reads = dict(zip(report.ledger["part"], report.ledger["count"], strict=True))
    assert reads["bank.compute.mat"] == 2 * 2  # of both mats of the pair
    # A weight of 8 bits is two cells in each of two mats of 256 x 256: 128 columns of weights.
    weights = cimarch.load("prime").part("bank.compute.mat").count // 2 * 256 * 128
    assert weights == 268_435_456  # 2.7 * 10^8 synapses


# Two pools --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bits", "pool", "sense_amplifiers"), [(4, "four", 15), (8, "eight", 255)])
def test_a_conversion_pays_for_each_reference_and_for_the_current_of_its_column(
    bits: int, pool: str, sense_amplifiers: int
) -> None:
    # 128 word lines, of which half are on, of cells of half of 1 / 6 kohm: 187.5 ohm.
    current = 0.0649 * 187.5**-0.997574
    report = product("two_pools", 128, 32, weight_bits=bits)
    assert each(report, f"tile.{pool}.adc", "convert") == pytest.approx(
        (3.0875e-6 * sense_amplifiers + current) * 1e-9
    )


def test_a_weight_goes_to_the_pool_of_its_bits() -> None:
    system, network = cimarch.load("two_pools"), resnet20()
    for bits, pool in ((2, "four"), (4, "four"), (5, "eight"), (8, "eight")):
        placement = cimarch.map_network(system, network, weight_bits=bits)
        assert {plan.pool.path for plan in placement.plans} == {f"tile.{pool}.array"}


def test_sixteen_levels_serve_two_columns_and_256_serve_four() -> None:
    system = cimarch.load("two_pools")
    for pool, columns in (("four", 2), ("eight", 4)):
        arrays = system.part(f"tile.{pool}.array").count
        assert system.part(f"tile.{pool}.adc").count == arrays * 128 // columns
    # A read of 10 ns, then as many conversions of 1 ns, 8 times over.
    for bits, pool, columns in ((4, "four", 2), (8, "eight", 4)):
        report = product("two_pools", 128, 32, weight_bits=bits)
        assert busy(report, f"tile.{pool}.array") == 8 * (10 + columns)


def test_converters_take_most_and_coarse_ones_less() -> None:
    """arXiv 2512.19445, Table 3: more than half, also of a mixture; less with 4 bits."""
    network = resnet20()
    names = [op.name for op in network.operations if op.weight]
    coarse = ("layer3.0.conv2", "layer3.1.", "layer3.2.")  # 69 % of all weights
    policy = [[4 if name.startswith(coarse) else 8, 8] for name in names]
    system = cimarch.load("two_pools")
    exact, mixed, low = (
        simulate(system, network, **how)  # type: ignore[arg-type]
        for how in ({"weight_bits": 8}, {"precision": policy}, {"weight_bits": 4})
    )
    assert joules_of(low) < joules_of(mixed) < joules_of(exact)
    for report in (exact, mixed):
        assert joules(report, "adc") > joules_of(report) / 2
        assert joules(report, "adc") > 0.7 * joules(report, "adc", "dac", "array", "merge")
    assert joules(low, "adc") < joules_of(low) / 2


# ReRAM beside SRAM ------------------------------------------------------------------------------


def test_what_adapts_a_model_lies_in_sram_beside_what_is_frozen() -> None:
    rows = [
        {"name": "q.w", "kind": "linear", "outputs": 512, "inputs": 512, "invocations": 4},
        {"name": "q.lora_a", "kind": "linear", "outputs": 8, "inputs": 512, "invocations": 4},
        {"name": "q.lora_b", "kind": "linear", "outputs": 512, "inputs": 8, "invocations": 4},
    ]
    place = {"*": "tile.reram", "*lora*": "sram.array"}
    report = simulate(cimarch.load("hybrid"), Network.from_table(rows), place=place)
    held = dict(zip(report.layers["name"], report.layers["crossbars"], strict=True))
    # ReRAM: 4 x 16 arrays of 128 rows and 32 weights; SRAM: 256 rows and 32 weights.
    assert held == {"q.w": 4 * 16, "q.lora_a": 2, "q.lora_b": 16}
    assert report.joules is not None


def test_the_frozen_weights_are_noisy_and_those_in_sram_exact() -> None:
    system = cimarch.load("hybrid")
    assert system.part("tile.reram").number("program_noise") == Fraction(2, 100)
    assert system.part("sram.array").number("program_noise") == 0


# The small chip ---------------------------------------------------------------------------------


def test_the_small_chip_loads_its_weights_from_memory_in_every_run() -> None:
    # 16 arrays of 256 rows and 32 weights: 131,072 of ResNet-20's 268,336 at once, and 4 groups.
    report = simulate(cimarch.load("small"), resnet20())
    assert report.groups == 4
    ledger = report.ledger
    rows = zip(ledger["part"], ledger["action"], ledger["count"], strict=True)
    (words,) = (int(count) for *what, count in rows if what == ["memory", "read"])
    assert words * 16 == 268_336 * 8 + 3 * 32 * 32 * 8  # all weights, and the image
    # LPDDR4: 8 pJ a bit, also of what goes back.
    assert each(report, "memory", "read") == pytest.approx(16 * 8e-12)
    assert report.load_cycles > 0


# The chip for language models -------------------------------------------------------------------


@pytest.mark.parametrize(("converters", "turns"), [(4, 64), (8, 32), (16, 16), (32, 8)])
def test_converters_that_are_few_hold_the_cells_up(converters: int, turns: int) -> None:
    """arXiv 2510.11192: 100 ns of cells, and a conversion takes as many ns as it has bits."""
    options = {"set": {"converters_per_array": converters}}
    one, many = (product("language_chip:LanguageMesh", 256, 128, n, **options) for n in (1, 101))
    # The slower of both, and 8 cycles in which the vector leaves its buffer, 32 B a cycle.
    assert (many.cycles - one.cycles) / 100 == max(100, 8 * turns) + 8


def test_a_mesh_has_no_other_number_of_converters_than_the_study() -> None:
    for number in (2, 64):
        with pytest.raises(DescriptionError, match="the study has 4 to 32 converters"):
            cimarch.load("language_chip:LanguageMesh", set={"converters_per_array": number})


# Published totals -------------------------------------------------------------------------------

ASSERTING = [
    f.stem for f in sorted(FOLDER.glob("*.cimarch")) if "system Published" in f.read_text()
]


@pytest.mark.parametrize("name", ASSERTING)
def test_a_chip_asserts_what_is_published_of_it(name: str) -> None:
    whole = cimarch.load(f"{name}:Published")
    assert whole.total("area") == cimarch.load(name).total("area")


def test_six_chips_assert_published_totals() -> None:
    assert ASSERTING == ["colonnade", "isaac", "jia_2020", "neurram", "puma", "tsmc_22nm"]


def test_the_totals_of_a_paper_are_asked_of_nobody_elses_chip() -> None:
    larger = {"tile.edram.size": "1 MiB"}
    assert cimarch.load("isaac", set=larger).total("area") > cimarch.load("isaac").total("area")
    with pytest.raises(DescriptionError, match=r"area is not 85\.42"):
        cimarch.load("isaac:Published", set=larger)
