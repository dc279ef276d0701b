"""A run as a value change dump (IEEE 1364-2005, clause 18), which GTKWave opens.

A scope per part holds a scope per resource with `busy`, the `kind` and the `operation` of the task
that holds it; `counters` has what buffers hold, the active arrays and the power. The comments at
the head say what the numbers of kinds and operations mean. `operation` and `kind` are `x` while
nothing holds the resource.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import IO

import attrs
import numpy as np

from cimarch.engine.tasks import Ints
from cimarch.program.context import KINDS
from cimarch.report.scene import Scene
from cimarch.report.slices import Names

CHUNK = 50_000
"""Slices that are put into text at once."""

UNITS = (("1 ns", 10**9), ("1 ps", 10**12))
"""Timescales and their steps per second: the first that the clock's period is a multiple of."""

UNKNOWN = -1
"""The value that is written `x`."""
KIND_BITS = 8
WORD_BITS = 32


def write(file: IO[bytes], scene: Scene) -> None:
    """Write a scene; the same bytes for the same scene."""
    timescale, time = steps(scene.program.placement.system.clock)
    signals = _Signals(scene)
    for line in _head(scene, timescale, signals):
        file.write(line.encode() + b"\n")
    file.write(f"#{time(scene.first)}\n$dumpvars\n".encode())
    shown = scene.first
    for cycle, signal, value in _changes(scene, signals).rows():
        if cycle != shown:
            end = "$end\n" if shown == scene.first else ""
            file.write(f"{end}#{time(cycle)}\n".encode())
            shown = cycle
        file.write(signals.all[signal].value(value).encode() + b"\n")
    if shown == scene.first:
        file.write(b"$end\n")
    if shown != scene.last:
        file.write(f"#{time(scene.last)}\n".encode())


def steps(clock: Fraction) -> tuple[str, Callable[[int], int]]:
    """The timescale, and from a cycle to the nearest step, of two the later.

    Steps of 1 ns where the period of the clock is whole nanoseconds, else of 1 ps.
    """
    name, per_second = next(
        ((name, per) for name, per in UNITS if (per / clock).denominator == 1), UNITS[-1]
    )
    each = Fraction(per_second) / clock
    times, per = 2 * each.numerator, 2 * each.denominator
    return name, lambda cycle: (cycle * times + each.denominator) // per


@attrs.frozen
class _Signal:
    """One variable: what it is called, and the sign that stands for it."""

    name: str
    kind: str
    bits: int
    sign: str
    per_unit: Fraction = Fraction(1)
    """How many of a value make one unit of a real."""
    unknown: bool = False
    """Whether it is `x` while it says nothing."""

    def declared(self) -> str:
        """Its line in the head."""
        return f"$var {self.kind} {self.bits} {self.sign} {self.name} $end"

    def value(self, number: int) -> str:
        """The line that gives it a value."""
        if self.kind == "real":
            return f"r{float(number / self.per_unit)!r} {self.sign}"
        if self.bits == 1:
            return f"{number}{self.sign}"
        return f"bx {self.sign}" if number == UNKNOWN else f"b{number:b} {self.sign}"


class _Signals:
    """All variables: three of each resource, then the counters."""

    def __init__(self, scene: Scene) -> None:
        resources = scene.program.resources
        self.used = sorted(
            set(scene.tasks.resource.tolist()), key=lambda r: (resources[r].path, resources[r].lo)
        )
        self.all: list[_Signal] = []
        for _ in self.used:
            self._add("busy", "wire", 1)
            self._add("kind", "reg", KIND_BITS, unknown=True)
            self._add("operation", "integer", WORD_BITS, unknown=True)
        for counter in (*scene.totals, *scene.buffers):
            self._add(f"{plain(counter.name)}_{counter.unit}", "real", 64, per=counter.per_unit)

    def _add(
        self, name: str, kind: str, bits: int, *, per: Fraction = Fraction(1), unknown: bool = False
    ) -> None:
        self.all.append(_Signal(name, kind, bits, sign(len(self.all)), per, unknown))

    def of(self, place: int) -> list[_Signal]:
        """Those of a resource, by its place in `used`."""
        return self.all[3 * place : 3 * place + 3]

    @property
    def counters(self) -> list[_Signal]:
        """Those behind the resources'."""
        return self.all[3 * len(self.used) :]


def sign(number: int) -> str:
    """The shortest unused sign: digits of base 94 from `!` on."""
    text = chr(33 + number % 94)
    while number >= 94:
        number = number // 94 - 1
        text += chr(33 + number % 94)
    return text


def plain(name: str) -> str:
    """A name without what a reader would take for a bit range or a scope."""
    return re.sub(r"\W+", "_", name).strip("_")


def _head(scene: Scene, timescale: str, signals: _Signals) -> Iterator[str]:
    placement = scene.program.placement
    yield f"$comment {_safe(placement.network.name)} on {_safe(placement.system.name)} $end"
    yield f"$comment kind: {', '.join(f'{i} {name}' for i, name in enumerate(KINDS))} $end"
    for number, name in enumerate(_operations(scene)):
        yield f"$comment operation {number}: {_safe(name)} $end"
    yield f"$timescale {timescale} $end"
    yield f"$scope module {plain(placement.system.name) or 'system'} $end"
    yield from _declared(scene, signals)
    yield "$scope module counters $end"
    yield from (signal.declared() for signal in signals.counters)
    yield "$upscope $end"
    yield "$upscope $end"
    yield "$enddefinitions $end"


def _safe(text: str) -> str:
    """A name as words of a comment: on one line, and nothing in it ends the comment."""
    words = " ".join(text.split()).replace("$", "_")
    return words.encode("utf-8", "backslashreplace").decode()


def _declared(scene: Scene, signals: _Signals) -> Iterator[str]:
    """The variables of the resources, scope in scope as the parts are."""
    open_scopes: list[str] = []
    for place, resource in enumerate(signals.used):
        at = scene.program.resources[resource]
        parts = [plain(name) for name in at.path.split(".")]
        members = f"{parts[-1]}_{at.lo}" + (f"_to_{at.hi - 1}" if len(at) > 1 else "")
        path = [*parts[:-1], members]
        common = 0
        while common < len(open_scopes) and open_scopes[common] == path[common]:
            common += 1
        yield from ["$upscope $end"] * (len(open_scopes) - common)
        yield from (f"$scope module {name} $end" for name in path[common:])
        open_scopes = path
        yield from (signal.declared() for signal in signals.of(place))
    yield from ["$upscope $end"] * len(open_scopes)


def _operations(scene: Scene) -> list[str]:
    """The names of the operations, in the order of their numbers."""
    return list(dict.fromkeys(Names(scene.program).operations.values()))


@attrs.frozen(eq=False)
class _Changes:
    """Values that variables take, by cycle and variable; -1 stands for `x`."""

    cycle: Ints
    signal: Ints
    value: Ints

    def rows(self) -> Iterator[tuple[int, int, int]]:
        """One change after the other."""
        for begin in range(0, len(self.cycle), CHUNK):
            part = slice(begin, begin + CHUNK)
            columns = (self.cycle[part], self.signal[part], self.value[part])
            yield from zip(*(column.tolist() for column in columns), strict=True)


def _changes(scene: Scene, signals: _Signals) -> _Changes:
    """All changes, beginning with a value of every variable at the first cycle.

    Of several at one cycle the last holds: a task that begins after one that ends.
    """
    parts = [*_initial(scene, signals), *_of_tasks(scene, signals), *_of_counters(scene, signals)]
    cycle, signal, value = (np.concatenate(each) for each in zip(*parts, strict=True))
    chosen = np.flatnonzero(cycle < scene.stop)
    order = chosen[np.lexsort((signal[chosen], cycle[chosen]))]
    cycle, signal, value = cycle[order], signal[order], value[order]
    last = np.append((np.diff(cycle) != 0) | (np.diff(signal) != 0), True)
    cycle, signal, value = cycle[last], signal[last], value[last]
    by_signal = np.argsort(signal, kind="stable")
    same = np.diff(signal[by_signal], prepend=-1) == 0
    same &= np.diff(value[by_signal], prepend=-1) == 0
    new = np.ones(len(cycle), np.bool_)
    new[by_signal[same]] = False
    return _Changes(cycle[new], signal[new], value[new])


_Columns = tuple[Ints, Ints, Ints]


def _initial(scene: Scene, signals: _Signals) -> Iterator[_Columns]:
    """Nothing is held."""
    number = np.arange(len(signals.all))
    value = np.array([UNKNOWN if signal.unknown else 0 for signal in signals.all], np.int64)
    yield np.full(len(number), scene.first), number, value


def _of_tasks(scene: Scene, signals: _Signals) -> Iterator[_Columns]:
    """Ends first, so that of one cycle what begins is told last."""
    tasks = scene.tasks
    first = np.zeros(len(scene.program.resources), np.int64)
    first[signals.used] = 3 * np.arange(len(signals.used))
    signal = first[tasks.resource]
    nothing = np.full(len(tasks), UNKNOWN)
    end = tasks.start + tasks.busy
    values = (np.ones_like(nothing), tasks.kind, _numbers(scene))
    yield end, signal, np.zeros_like(nothing)
    yield from ((end, signal + place, nothing) for place in (1, 2))
    begin = np.maximum(tasks.start, scene.first)
    yield from ((begin, signal + place, value) for place, value in enumerate(values))


def _numbers(scene: Scene) -> Ints:
    """Per task the number of its operation; `x` where it has none."""
    names = Names(scene.program).operations
    number = {name: place for place, name in enumerate(dict.fromkeys(names.values()))}
    kinds, which = np.unique(
        np.stack((scene.tasks.site, scene.tasks.step)), axis=1, return_inverse=True
    )
    each = [number.get(names.get((site, step), ""), UNKNOWN) for site, step in kinds.T.tolist()]
    return np.array([*each, 0], np.int64)[which.reshape(-1)]


def _of_counters(scene: Scene, signals: _Signals) -> Iterator[_Columns]:
    number = 3 * len(signals.used)
    for place, counter in enumerate((*scene.totals, *scene.buffers)):
        yield counter.times, np.full(len(counter), number + place), counter.values
