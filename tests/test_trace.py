"""A timeline tells the times of the report, as trace events and as waveforms."""

from __future__ import annotations

import json
import shutil
from collections import Counter as Multiset
from contextlib import ExitStack
from fractions import Fraction
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import pytest

import chips
import chrome_trace
import cimarch
from chips import Draft, bare, chip, round_trip
from cimarch import DescriptionError, Network, simulate
from cimarch.cli import main
from cimarch.report import scene
from cimarch.report.chrome import microseconds, nanoseconds
from cimarch.report.files import whole
from cimarch.report.spans import Span, lanes
from cimarch.report.vcd import sign, steps

BITS = {"weight_bits": 4, "input_bits": 4}


def vectors(count: int) -> Network:
    return Network.from_table(
        [{"name": "fc", "kind": "linear", "outputs": 256, "inputs": 256, "invocations": count}]
    )


def tower(layers: int = 3, side: int = 6) -> Network:
    """3 x 3 convolutions of 2 channels, each with an activation, one behind the other."""
    draft, last = Draft(2, side, side), "x"
    for i in range(1, layers + 1):
        conv = draft.conv(f"conv{i}", last, 2, 3, padding=1)
        last = draft.relu(f"relu{i}", conv)
    return draft.network()


COSTS = "part spare: buffer { size = 1 KiB, leakage = 3 mW }"


def tall(arrays: int = 3, clock: str = "1 GHz", size: str = "1 KiB") -> cimarch.System:
    """A chip for towers: each array holds the 18 rows of a convolution."""
    return chip(
        f"""
        part maps: buffer {{
            size = {size}, width = 32 bit, leakage = 1 mW
            action read {{ energy = 1 pJ }}
            action write {{ energy = 2 pJ }}
        }}
        part array[{arrays}]: crossbar {{
            rows = 18, columns = 8, cell_bits = 4, encoding = signed_cell
            action read {{ latency = 40 ns, energy = 5 pJ }}
            action write {{ latency = 1 ns, energy = 7 pJ }}
        }}
        part sum: accumulator {{ action add {{ energy = 1 pJ }} }}
        part vector: unit {{ does = [relu], action compute {{ energy = 3 pJ }} }}
        connect maps -> array[*] -> sum -> vector -> maps
        connect maps -> sum
        """,
        clock=clock,
    )


def never_run(monkeypatch: pytest.MonkeyPatch) -> None:
    module = import_module("cimarch.simulate")
    monkeypatch.setattr(module, "run_work", lambda *_, **__: pytest.fail("it ran"))


def traced(tmp_path: Path, system: cimarch.System, network: Network, **options: object):
    """The report of a run, and its trace."""
    path = tmp_path / "run.json"
    report = simulate(system, network, timeline=path, **{**BITS, **options})
    return report, chrome_trace.read(path)


# Slices ------------------------------------------------------------------------------------------


def test_every_task_is_a_slice_on_the_track_of_what_it_holds(tmp_path: Path) -> None:
    # Reads of a cycle, bursts of four; a read may start when the burst before it does.
    _, trace = traced(tmp_path, bare(), vectors(3))
    reads = trace.of("array", "array[0]")
    bursts = trace.of("adc", "adc[0..63]")
    assert [(s.name, s.start, s.end) for s in reads] == [
        ("fc read", 0, 1), ("fc read", 1, 2), ("fc read", 5, 6),
    ]  # fmt: skip
    assert [(s.name, s.start, s.end) for s in bursts] == [
        ("fc convert", 1, 5), ("fc convert", 5, 9), ("fc convert", 9, 13),
    ]  # fmt: skip
    assert [s.args["row"] for s in bursts] == [0, 1, 2]
    assert [s.args["wait"] for s in bursts] == [0, 3, 3]
    assert bursts[0].args == {
        "operation": "fc", "tile": 0, "inference": 0, "row": 0, "window": 0, "group": 0,
        "start_cycle": 1, "cycles": 4, "latency": 4, "wait": 0,
    }  # fmt: skip


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("clock", ["1 GHz", "1.2 GHz", "300 MHz"])
@pytest.mark.parametrize("weights", ["preloaded", "cold"])
def test_the_times_of_a_trace_are_those_of_the_report(
    tmp_path: Path, schedule: str, clock: str, weights: str
) -> None:
    options = {"schedule": schedule, "weights": weights, "batch": 2}
    report, trace = traced(tmp_path, tall(clock=clock), tower(), **options)
    time = nanoseconds(report.clock)
    (run,) = trace.of("run", "run")
    assert (run.start, run.end) == (0, time(report.cycles))
    assert run.args["cycles"] == report.cycles == trace.about["cycles"]
    names = ("name", "start_cycle", "finish_cycle")
    for name, start, finish in zip(*(report.layers[n].tolist() for n in names), strict=True):
        mine = trace.of("layers", name)
        assert min(s.args["start_cycle"] for s in mine) == start
        assert max(s.args["finish_cycle"] for s in mine) == finish
        assert (min(s.start for s in mine), max(s.end for s in mine)) == (time(start), time(finish))
    for path, busy in zip(report.parts["path"], report.parts["busy_cycles"].tolist(), strict=True):
        held = Multiset()
        for each in trace.of(path):
            held[each.thread] += each.args["cycles"]
        if held and path != "array":  # an array is busy for what its reads hold beside it too
            assert max(held.values()) == busy
    first = next(s for s in trace.of("run", "inferences") if s.name == "inference 0")
    assert first.args["finish_cycle"] == report.latency


def test_layers_of_a_pipeline_overlap_and_layer_by_layer_they_do_not(tmp_path: Path) -> None:
    for schedule, overlap in (("layers", False), ("pipeline", True)):
        _, trace = traced(tmp_path, tall(), tower(), schedule=schedule)
        convs = [trace.of("layers", f"conv{i}")[0] for i in (1, 2, 3)]
        assert all((a.end > b.start) == overlap for a, b in pairwise(convs))


def test_rows_and_windows_are_counted_within_their_inference(tmp_path: Path) -> None:
    _, trace = traced(tmp_path, tall(), tower(1), batch=2)
    reads = [s.args for s in trace.of("array") if s.name == "conv1 product"]
    assert [(a["inference"], a["row"], a["window"]) for a in reads] == [
        (i, r, w) for i in range(2) for r in range(6) for w in range(6)
    ]


def test_resident_groups_and_their_loads_have_tracks(tmp_path: Path) -> None:
    report, trace = traced(tmp_path, tall(arrays=1), tower(), schedule="layers")
    groups = trace.of("run", "resident groups")
    loads = trace.of("run", "loads")
    assert [s.name for s in groups] == ["group 0", "group 1", "group 2"]
    assert [s.name for s in loads] == ["load of group 0", "load of group 1", "load of group 2"]
    assert sum(s.args["cycles"] for s in loads) == report.load_cycles
    assert groups[0].end == loads[1].start
    assert {s.name for s in trace.of("array")} >= {"conv1 write", "conv3 product"}


def test_lanes_are_as_few_as_it_takes() -> None:
    spans = [Span("t", "a", 0, 4), Span("t", "b", 2, 6), Span("t", "c", 4, 5), Span("t", "d", 6, 7)]
    assert [[s.name for s in lane] for lane in lanes(spans)] == [["a", "c", "d"], ["b"]]


# Counters ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
def test_the_most_active_arrays_are_the_peak_of_the_report(tmp_path: Path, schedule: str) -> None:
    report, trace = traced(tmp_path, tall(), tower(), schedule=schedule)
    steps = trace.counters["arrays and power", "active arrays held"]
    assert max(value for _, value in steps) == report.peak_arrays
    assert steps[-1][1] == 0
    assert report.peak_arrays == (1 if schedule == "layers" else 3)


@pytest.mark.parametrize("batch", [1, 3])
def test_power_adds_up_to_the_energy_of_the_report(tmp_path: Path, batch: int) -> None:
    report, trace = traced(tmp_path, tall(), tower(), batch=batch)
    steps = trace.counters["arrays and power", "power W"]
    joules = sum(watts * (b - a) * 1e-9 for (a, watts), (b, _) in pairwise(steps))
    assert steps[-1] == (report.cycles, 0)
    assert joules == pytest.approx(report.joules, rel=1e-9)
    assert report.joules == pytest.approx(report.known_joules)


@pytest.mark.parametrize("schedule", ["layers", "pipeline"])
@pytest.mark.parametrize("size", ["96 B", "1 KiB"])
def test_a_buffer_never_holds_more_than_its_size(tmp_path: Path, schedule: str, size: str) -> None:
    system = tall(size=size)
    _, trace = traced(tmp_path, system, tower(), schedule=schedule, batch=2)
    steps = trace.counters["buffers", "maps[0] bytes"]
    assert 0 < max(value for _, value in steps) <= int(system.part("maps").number("size")) / 8
    assert min(value for _, value in steps) == 0 == steps[-1][1]


def joined() -> Network:
    """Two branches behind a first convolution, added, pooled, and joined with one of them."""
    draft = Draft(2, 8, 8)
    first = draft.relu("relu1", draft.conv("conv1", "x", 2, 3, padding=1))
    left = draft.conv("left", first, 2, 3, padding=1)
    right = draft.conv("right", left, 2, 1)
    both = draft.add("both", right, first)
    small = draft.pool("small", both, 2, 2)
    last = draft.conv("last", small, 2, 3, padding=1)
    draft.linear("fc", draft.view("flat", last, 32), 3)
    return draft.network()


def test_no_buffer_of_a_branching_network_is_ever_overfull(tmp_path: Path) -> None:
    ran = 0
    for schedule in ("layers", "pipeline"):
        for size in range(60, 260, 20):
            system = round_trip(arrays=40, size=f"{size} B")
            try:
                _, trace = traced(tmp_path, system, joined(), schedule=schedule, batch=3)
            except DescriptionError:
                continue
            ran += 1
            steps = [value for _, value in trace.counters["buffers", "maps[0] bytes"]]
            assert max(steps) <= size, (schedule, size)
            assert min(steps) >= 0
    assert ran >= 8


def test_results_that_stay_on_the_chip_are_held_to_the_end(tmp_path: Path) -> None:
    system = round_trip()
    report, trace = traced(tmp_path, system, chips.mlp(8, 6))
    steps = trace.counters["buffers", "maps[0] bytes"]
    # 8 inputs of 4 bits are freed as the product is over, when 6 results of 4 bits come.
    assert steps == [(0, 4), (1, 3), (2, 0)]
    assert report.cycles == 2


def test_layer_by_layer_a_map_is_held_until_its_readers_are_over(tmp_path: Path) -> None:
    # 6 x 6 x 2 elements of 4 bits are 36 bytes: the input is there, the first map is stored beside
    # it row by row, 6 bytes each; the input goes as layer 1 ends, and the last map comes.
    report, trace = traced(tmp_path, tall(), tower(2), schedule="layers")
    steps = dict(trace.counters["buffers", "maps[0] bytes"])
    finish = dict(zip(report.layers["name"], report.layers["finish_cycle"].tolist(), strict=True))
    assert list(steps.values()) == [36, 42, 48, 54, 60, 66, 72, 36, 42, 48, 54, 60, 66, 72, 0]
    assert steps[finish["conv1"]] == 36
    assert steps[report.cycles] == 0


def test_a_cut_begins_with_the_value_that_a_counter_has() -> None:
    from cimarch.report.counters import counter

    whole_run = counter("x", "u", ([0, 5, 9],), ([2, 3, -5],))
    part = whole_run.within(6, 9)
    assert (part.times.tolist(), part.values.tolist()) == ([6], [5])
    assert whole_run.within(5, 10).times.tolist() == [5, 9]
    same = counter("x", "u", ([3], [3, 4]), ([-1], [1, 0]))
    assert len(same) == 0


# Times as numbers --------------------------------------------------------------------------------


def test_a_reader_of_doubles_gets_every_nanosecond_back() -> None:
    edges = [10**k + d for k in range(3, 16) for d in (-1, 0, 1)]
    for nanosecond in [*range(3000), *edges, 1_001, 9_007_199_254_741]:
        assert int(float(microseconds(nanosecond)) * 1000.0) == nanosecond
        assert abs(float(microseconds(nanosecond)) - nanosecond / 1000) <= nanosecond * 1e-15


def test_cycles_that_are_no_nanoseconds_are_rounded_to_the_nearest() -> None:
    time = nanoseconds(Fraction(1_200_000_000))
    assert [time(cycle) for cycle in (0, 1, 2, 3, 6, 1_200_000)] == [0, 1, 2, 3, 5, 1_000_000]


# Parts of a run, and mistakes --------------------------------------------------------------------


def test_a_part_of_a_run_has_the_tasks_that_hold_something_in_it(tmp_path: Path) -> None:
    _, trace = traced(tmp_path, bare(), vectors(3), timeline_cycles=(5, 9))
    assert [(s.name, s.start) for s in trace.slices if s.process in ("array", "adc")] == [
        ("fc convert", 5), ("fc read", 5),
    ]  # fmt: skip
    _, trace = traced(tmp_path, bare(), vectors(3), timeline_cycles=(4, 5))
    assert [s.start for s in trace.of("adc")] == [1]
    assert trace.about["first_cycle"] == 4
    assert not trace.counters


def test_too_many_tasks_are_refused_before_the_run_with_a_way_to_cut_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "MOST_SHOWN", 3)
    monkeypatch.setattr(
        import_module("cimarch.simulate"), "run_work", lambda *_, **__: pytest.fail("it ran")
    )
    path = tmp_path / "run.json"
    with pytest.raises(DescriptionError, match="the run has 6 tasks, more than the 3"):
        simulate(bare(), vectors(3), timeline=path, **BITS)
    assert list(tmp_path.iterdir()) == []


def test_a_part_with_too_many_tasks_says_where_to_end_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "MOST_SHOWN", 3)
    with pytest.raises(DescriptionError) as caught:
        simulate(bare(), vectors(3), timeline=tmp_path / "t", timeline_cycles=(0, 13), **BITS)
    (found,) = caught.value.diagnostics
    assert found.headline == "these cycles have 6 tasks, more than the 3 of one timeline"
    assert found.helps[0].startswith("take a part of it, in cycles: `--timeline-to 5`")
    _, trace = traced(tmp_path, bare(), vectors(3), timeline_cycles=(0, 5))
    assert len(trace.of("array")) + len(trace.of("adc")) == 3


def test_a_part_behind_the_end_is_told_where_the_run_is_over(tmp_path: Path) -> None:
    with pytest.raises(
        DescriptionError, match="first cycle is 13, and the run is over at cycle 13"
    ):
        simulate(bare(), vectors(3), vcd=tmp_path / "t", timeline_cycles=(13, None), **BITS)
    simulate(bare(), vectors(3), vcd=tmp_path / "t", timeline_cycles=(12, None), **BITS)
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


def test_any_power_is_written(tmp_path: Path) -> None:
    # 256 conversions in 4 ns, as whole picowatts; more than 64 bits have room for in larger steps.
    for costs, joules in (("1 fJ", 1e-15), ("1 J", 1.0), ("1000000000000000000 J", 1e18)):
        system = bare(adc=f"action convert {{ energy = {costs} }}")
        _, trace = traced(tmp_path, system, vectors(1), vcd=tmp_path / "t")
        steps = trace.counters["arrays and power", "power W"]
        assert [t for t, _ in steps] == [1, 5]
        assert steps[0][1] == pytest.approx(256 * joules / 4e-9)


def test_a_run_too_long_to_be_kept_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scene, "MOST_RECORDED", 5)
    with pytest.raises(DescriptionError, match="the run has 6 tasks, more than the 5 whose times"):
        simulate(bare(), vectors(3), vcd=tmp_path / "t", timeline_cycles=(0, 9), **BITS)


@pytest.mark.parametrize(
    ("options", "headline"),
    [
        ({"timeline": ".", "vcd": None}, "`.` cannot be written: it is a folder"),
        ({"timeline": "no/t.json"}, "`no/t.json` cannot be written: there is no folder `no`"),
        ({"timeline": "t", "vcd": "t"}, "`t` is given for both the timeline and its waveforms"),
        ({"timeline_cycles": (0, 5)}, "a part of the timeline is asked for, and no file to"),
        ({"vcd": "t", "timeline_cycles": (5, 5)}, "the timeline's last cycle is 5, not after"),
        ({"vcd": "t", "timeline_cycles": (-1, 5)}, "the timeline's first cycle is -1, less than 0"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: dict[str, object], headline: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        import_module("cimarch.simulate"), "run_work", lambda *_, **__: pytest.fail("it ran")
    )
    with pytest.raises(DescriptionError) as caught:
        simulate(bare(), vectors(1), **BITS, **options)
    assert caught.value.diagnostics[0].headline.startswith(headline)


def test_a_file_that_fails_halfway_leaves_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    path.write_text("before")
    writing = ExitStack()
    writing.enter_context(whole(path)).write(b"half")
    assert len(list(tmp_path.iterdir())) == 2
    assert not writing.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["before"]


def test_the_same_run_is_the_same_bytes_with_either_engine(tmp_path: Path) -> None:
    for name, engine in (("a", "fast"), ("b", "fast"), ("c", "simpy")):
        simulate(
            tall(), tower(), engine=engine, batch=2,
            timeline=tmp_path / f"{name}.json", vcd=tmp_path / f"{name}.vcd", **BITS,
        )  # fmt: skip
    for suffix in ("json", "vcd"):
        assert len({(tmp_path / f"{name}.{suffix}").read_bytes() for name in "abc"}) == 1


def test_names_from_a_file_are_written_as_json_and_as_words_of_a_comment(tmp_path: Path) -> None:
    name = 'a "b" $end \\ \n \ud800'
    row = {"name": name, "kind": "linear", "outputs": 8, "inputs": 8}
    report, trace = traced(
        tmp_path, round_trip(), Network.from_table([row]), vcd=tmp_path / "run.vcd"
    )
    assert {s.name for s in trace.of("layers")} == {report.layers["name"][0]}
    comments = [
        line
        for line in (tmp_path / "run.vcd").read_text().splitlines()
        if line.startswith("$comment operation")
    ]
    assert len(comments) == 1
    assert comments[0].count("$end") == 1


def test_the_command_writes_both_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "net.csv"
    table.write_text("name,kind,outputs,inputs,invocations\nfc,linear,64,64,4\n")
    files = [str(tmp_path / name) for name in ("t.json", "t.vcd")]
    flags = ["--timeline", files[0], "--vcd", files[1], "--timeline-from", "0"]
    assert main(["sim", "isaac", str(table), *flags, "--json"]) == 0
    trace = chrome_trace.read(Path(files[0]))
    assert trace.about["cycles"] == json.loads(capsys.readouterr().out)["cycles"]
    assert Path(files[1]).read_text().startswith("$comment")
    for wrong, told in (
        (["--timeline-to", "5"], "and no file to write it to"),
        (["--timeline", ""], "--timeline is given without a name"),
        (["--vcd", "t.vcd", "--timeline-from", "7", "--timeline-to", "7"], "not after its first"),
    ):
        assert main(["sim", "isaac", str(table), *wrong]) == 2
        assert told in capsys.readouterr().err


# Waveforms ---------------------------------------------------------------------------------------


def waves(path: Path):
    vcdvcd = pytest.importorskip("vcdvcd", reason="needs vcdvcd, of the extra `trace`")
    return vcdvcd.VCDVCD(str(path), store_tvs=True)


def held(wave, last: int) -> int:
    """Steps in which a wire is 1."""
    tv = [*wave.tv, (last, "0")]
    return sum(b - a for (a, value), (b, _) in pairwise(tv) if value == "1")


@pytest.mark.parametrize(("clock", "step"), [("1 GHz", 1), ("250 MHz", 4), ("1.2 GHz", None)])
def test_a_wire_is_one_while_its_part_is_held(tmp_path: Path, clock: str, step: int | None) -> None:
    path = tmp_path / "run.vcd"
    report = simulate(tall(clock=clock), tower(), vcd=path, timeline=tmp_path / "t", **BITS)
    found = waves(path)
    timescale, time = steps(report.clock)
    assert found.timescale["magnitude"] == 1
    assert found.timescale["unit"] == ("ns" if step else "ps") == timescale.split()[1]
    assert found.endtime == time(report.cycles)
    if step:
        assert time(report.cycles) == step * report.cycles
        trace = chrome_trace.read(tmp_path / "t")
        for path_, name in (("maps", "maps_0"), ("array", "array_1"), ("vector", "vector_0")):
            thread = f"{path_}[{name[-1]}]"
            cycles = sum(s.args["cycles"] for s in trace.of(path_, thread))
            assert held(found[f"Chip.{name}.busy"], found.endtime) == step * cycles


def test_waveforms_say_what_holds_a_part_and_what_buffers_hold(tmp_path: Path) -> None:
    path = tmp_path / "run.vcd"
    report = simulate(tall(), tower(), vcd=path, timeline=tmp_path / "t", **BITS)
    found, trace = waves(path), chrome_trace.read(tmp_path / "t")
    kinds = found[
        "Chip.array_0.kind[7:0]"
        if "Chip.array_0.kind[7:0]" in found.signals
        else "Chip.array_0.kind"
    ].tv
    assert {value for _, value in kinds} <= {"x", bin(5)[2:]}  # 5: product
    arrays = found["Chip.counters.active_arrays_held"].tv
    assert max(float(value) for _, value in arrays) == report.peak_arrays
    expected = [(t, v) for t, v in trace.counters["buffers", "maps[0] bytes"]]
    got = [(t, float(v)) for t, v in found["Chip.counters.maps_0_bytes"].tv]
    assert got[-len(expected) :] == expected


def test_signs_are_never_used_twice() -> None:
    assert len({sign(number) for number in range(20_000)}) == 20_000
    assert [sign(number) for number in (0, 93, 94, 95)] == ["!", "~", "!!", '"!']


def test_a_picosecond_is_the_step_of_a_clock_that_is_no_whole_nanosecond() -> None:
    name, time = steps(Fraction(1_200_000_000))
    assert (name, [time(cycle) for cycle in (1, 2, 6)]) == ("1 ps", [833, 1667, 5000])
    assert steps(Fraction(250_000_000))[0] == "1 ns"


# Perfetto ----------------------------------------------------------------------------------------


def test_perfetto_reads_the_same_times(tmp_path: Path) -> None:
    shell = shutil.which("trace_processor_shell")
    if shell is None:
        pytest.skip("no `trace_processor_shell` of Perfetto on the path")
    processor = pytest.importorskip("perfetto.trace_processor")
    report, trace = traced(tmp_path, tall(), tower(), batch=2)
    config = processor.TraceProcessorConfig(bin_path=shell)
    with processor.TraceProcessor(trace=str(tmp_path / "run.json"), config=config) as opened:
        rows = opened.query("select name, ts, dur from slice")
        found = sorted((row.name, row.ts, row.ts + row.dur) for row in rows)
        errors = opened.query("select sum(value) as n from stats where severity = 'error'")
        assert [row.n for row in errors] == [0]
    assert found == sorted((s.name, s.start, s.end) for s in trace.slices)
    assert max(end for _, _, end in found) == report.cycles
