"""A run as Chrome trace events (JSON), which Perfetto and chrome://tracing open.

Format: "Trace Event Format", the JSON object form; complete events (`X`), counters (`C`) and
metadata (`M`). Perfetto reads a time as a double of microseconds, multiplies it by 1000 and cuts
the rest off; times here are whole nanoseconds written so that this gives them back exactly. Begin
and end of a slice are rounded on their own, so slices that do not overlap in cycles do not overlap
in nanoseconds either. The cycles themselves stand in `args`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from typing import IO

import attrs

from cimarch.program.program import Program
from cimarch.report.counters import Counter
from cimarch.report.scene import Scene
from cimarch.report.slices import Names, Slices
from cimarch.report.spans import Span, lanes
from cimarch.report.stretches import NONE

CHUNK = 50_000
"""Slices that are put into text at once."""


def write(file: IO[bytes], scene: Scene) -> None:
    """Write all events of a scene, a line each; the same bytes for the same scene."""
    file.write(b'{"traceEvents":[\n')
    first = True
    for line in _events(scene):
        file.write(b"" if first else b",\n")
        file.write(line.encode())
        first = False
    file.write(f'\n],"otherData":{json.dumps(_about(scene))}}}\n'.encode())


def nanoseconds(clock: Fraction) -> Callable[[int], int]:
    """From a cycle to the nearest nanosecond, of two the later."""
    each = Fraction(10**9) / clock
    times, per = 2 * each.numerator, 2 * each.denominator

    def of(cycle: int) -> int:
        return (cycle * times + each.denominator) // per

    return of


def microseconds(nanosecond: int) -> str:
    """A time as JSON: the shortest number from which a reader of doubles cuts the nanosecond."""
    text = f"{nanosecond // 1000}.{nanosecond % 1000:03d}"
    value = float(text)
    return text if int(value * 1000.0) == nanosecond else repr(math.nextafter(value, math.inf))


@attrs.frozen
class _Track:
    """A row of the picture; `number` is its thread, different for all."""

    process: int
    number: int


def _about(scene: Scene) -> dict[str, object]:
    program = scene.program
    system = program.placement.system
    return {
        "system": system.name,
        "network": program.placement.network.name,
        "clock_Hz": float(system.clock),
        "cycles": scene.makespan,
        "ts": "cycle / clock in microseconds, to the nearest nanosecond; cycles are in args",
        "first_cycle": scene.first,
        "last_cycle": scene.last,
    }


def _events(scene: Scene) -> Iterator[str]:
    """All events: names first, then what is seen from afar, the counters, and the tasks."""
    time = nanoseconds(scene.program.placement.system.clock)
    numbers = _Numbers()
    yield from _overview(scene, numbers, time)
    for heading, counters in (("arrays and power", scene.totals), ("buffers", scene.buffers)):
        if counters:
            yield from _counters(heading, counters, numbers, time)
    tracks = _Resources(scene.program, scene.tasks, numbers)
    yield from tracks.names()
    yield from _tasks(scene, tracks.of, time)


class _Numbers:
    """Processes and threads, each with a number of its own, in the order that they are shown."""

    def __init__(self) -> None:
        self.next = 1

    def new(self) -> int:
        self.next += 1
        return self.next - 1

    def process(self, name: str) -> tuple[int, list[str]]:
        """A new process and the events that name and place it."""
        number = self.new()
        return number, _named("process", name, f'"pid":{number}', number)

    def thread(self, process: int, name: str) -> tuple[int, list[str]]:
        """A new thread and the events that name and place it."""
        number = self.new()
        return number, _named("thread", name, f'"pid":{process},"tid":{number}', number)


def _named(what: str, name: str, where: str, order: int) -> list[str]:
    return [
        f'{{"ph":"M","name":"{what}_name",{where},"args":{{"name":{json.dumps(name)}}}}}',
        f'{{"ph":"M","name":"{what}_sort_index",{where},"args":{{"sort_index":{order}}}}}',
    ]


# From afar


def _overview(scene: Scene, numbers: _Numbers, time: Callable[[int], int]) -> Iterator[str]:
    placement = scene.program.placement
    whole = Span("run", f"{placement.network.name} on {placement.system.name}", 0, scene.makespan)
    for heading, spans in (("run", [whole, *scene.course]), ("layers", scene.layers)):
        process, events = numbers.process(heading)
        yield from events
        tracks: dict[str, list[Span]] = {}
        for span in spans:
            tracks.setdefault(span.track, []).append(span)
        for name, mine in tracks.items():
            for lane in lanes(mine):
                thread, events = numbers.thread(process, name)
                yield from events
                yield from (_span(span, f'"pid":{process},"tid":{thread}', time) for span in lane)


def _span(span: Span, where: str, time: Callable[[int], int]) -> str:
    begin, end = time(span.start), time(span.finish)
    args: dict[str, int] = {"start_cycle": span.start, "finish_cycle": span.finish}
    args |= {"cycles": span.finish - span.start}
    args |= {n: v for n in ("group", "inference") if (v := getattr(span, n)) != NONE}
    return (
        f'{{"ph":"X","name":{json.dumps(span.name)},{where},"ts":{microseconds(begin)},'
        f'"dur":{microseconds(end - begin)},"args":{json.dumps(args)}}}'
    )


def _counters(
    heading: str, counters: Iterable[Counter], numbers: _Numbers, time: Callable[[int], int]
) -> Iterator[str]:
    process, events = numbers.process(heading)
    yield from events
    for counter in counters:
        name = json.dumps(counter.name)
        head = f'{{"ph":"C","name":{name},"pid":{process},"tid":{process},"ts":'
        for cycle, value in zip(counter.times.tolist(), counter.values.tolist(), strict=True):
            shown = value if counter.per_unit == 1 else counter.of(value)
            yield f'{head}{microseconds(time(cycle))},"args":{{"{counter.unit}":{shown}}}}}'


# Tasks


class _Resources:
    """A process a part, a thread for each of its resources that does something."""

    def __init__(self, program: Program, tasks: Slices, numbers: _Numbers) -> None:
        self.program = program
        self.numbers = numbers
        parts = program.placement.system.walk()
        self._ranks = {part.path: rank for rank, part in enumerate(parts)}
        self.used = sorted(set(tasks.resource.tolist()), key=self._order)
        self.of: dict[int, _Track] = {}

    def _order(self, resource: int) -> tuple[int, str, int]:
        """Parts in order of declaration, wires behind them, instances by number."""
        at = self.program.resources[resource]
        return (self._ranks.get(at.path, len(self._ranks)), at.path, at.lo)

    def names(self) -> Iterator[str]:
        """The events that name all tracks; fills `of`."""
        processes: dict[str, int] = {}
        for resource in self.used:
            at = self.program.resources[resource]
            if at.path not in processes:
                processes[at.path], events = self.numbers.process(at.path)
                yield from events
            thread, events = self.numbers.thread(processes[at.path], str(at))
            yield from events
            self.of[resource] = _Track(processes[at.path], thread)


_ARGS = ("tile", "inference", "row", "window")


def _tasks(scene: Scene, tracks: Mapping[int, _Track], time: Callable[[int], int]) -> Iterator[str]:
    names = _Texts(scene.program)
    for begin in range(0, len(scene.tasks), CHUNK):
        part = scene.tasks.take(slice(begin, begin + CHUNK))
        rows = zip(
            *(getattr(part, field.name).tolist() for field in attrs.fields(Slices)), strict=True
        )
        for row in rows:
            yield _task(row, names, tracks, time)


class _Texts:
    """The text of the parts of events that repeat."""

    def __init__(self, program: Program) -> None:
        self._names = Names(program)
        self._heads: dict[tuple[int, int, int], tuple[str, str]] = {}

    def of(self, kind: int, site: int, step: int) -> tuple[str, str]:
        """The name of a slice, and the first of its args, as JSON."""
        key = (kind, site, step)
        if key not in self._heads:
            operation = self._names.operation(site, step)
            first = f'"operation":{json.dumps(operation)},' if operation else ""
            self._heads[key] = (json.dumps(self._names.task(kind, site, step)), first)
        return self._heads[key]


def _task(
    row: Sequence[int],
    texts: _Texts,
    tracks: Mapping[int, _Track],
    time: Callable[[int], int],
) -> str:
    (resource, start, busy, latency, wait, kind, site, step, tile, group, _, inference, line,
     window) = row  # fmt: skip
    name, args = texts.of(kind, site, step)
    track = tracks[resource]
    begin, end = time(start), time(start + busy)
    known = zip(_ARGS, (tile, inference, line, window), strict=True)
    args += "".join(f'"{what}":{value},' for what, value in known if value != NONE)
    return (
        f'{{"ph":"X","name":{name},"pid":{track.process},"tid":{track.number},'
        f'"ts":{microseconds(begin)},"dur":{microseconds(end - begin)},"args":{{{args}'
        f'"group":{group},"start_cycle":{start},"cycles":{busy},"latency":{latency},'
        f'"wait":{wait}}}}}'
    )
