"""A strict reader of Chrome trace events, which refuses whatever the format does not allow.

"Trace Event Format", section on the JSON object format: complete (`X`), counter (`C`) and metadata
(`M`) events. Times are read as Perfetto's trace processor reads a JSON number: a double of
microseconds, times 1000, cut to whole nanoseconds.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

FIELDS = {
    "X": {"ph", "name", "pid", "tid", "ts", "dur", "args"},
    "C": {"ph", "name", "pid", "tid", "ts", "args"},
    "M": {"ph", "name", "pid", "args"},
}
NAMES = {"process_name", "process_sort_index", "thread_name", "thread_sort_index"}


@attrs.frozen
class Slice:
    """A complete event on a named track."""

    process: str
    thread: str
    lane: int
    name: str
    start: int
    """Nanoseconds."""
    end: int
    args: Mapping[str, Any]


@attrs.frozen
class Trace:
    """All slices, in order of the file, and the steps of all counters."""

    slices: list[Slice]
    counters: dict[tuple[str, str], list[tuple[int, float]]]
    """(process, counter) -> (nanosecond, value)."""
    about: Mapping[str, Any]

    def of(self, process: str, thread: str | None = None) -> list[Slice]:
        """The slices of a process, or of one of its threads."""
        return [s for s in self.slices if s.process == process and thread in (None, s.thread)]


def nanoseconds(value: object) -> int:
    """A time as Perfetto takes it."""
    assert isinstance(value, (int, float)), value
    assert not isinstance(value, bool), value
    assert value >= 0, value
    return int(value * 1000.0)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    assert len(found) == len(pairs), f"a name twice in {pairs}"
    return found


def _never(text: str) -> float:
    raise AssertionError(f"{text} is no JSON")


def read(path: Path) -> Trace:
    """Read a trace; assert that it keeps to the format and no slices of a track overlap."""
    whole = json.loads(path.read_text(), object_pairs_hook=_once, parse_constant=_never)
    events = whole.pop("traceEvents")
    about = whole.pop("otherData")
    assert not whole, f"unknown parts {list(whole)}"
    names = _names(events)
    slices, counters = [], {}
    for event in events:
        process = names["process_name", event["pid"]]
        if event["ph"] == "X":
            start = nanoseconds(event["ts"])
            end = start + nanoseconds(event["dur"])
            thread = names["thread_name", event["tid"]]
            slices.append(
                Slice(process, thread, event["tid"], event["name"], start, end, event["args"])
            )
        elif event["ph"] == "C":
            ((unit, value),) = event["args"].items()
            key = (process, f"{event['name']} {unit}")
            counters.setdefault(key, []).append((nanoseconds(event["ts"]), value))
    _check_tracks(slices)
    for steps in counters.values():
        assert steps == sorted(steps, key=lambda step: step[0]), "a counter goes back in time"
    return Trace(slices, counters, about)


def _names(events: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    """What processes and threads are called; all numbers differ, so no reader confuses them."""
    found: dict[tuple[str, int], Any] = {}
    for event in events:
        assert set(event) - {"tid"} == FIELDS[event["ph"]] - {"tid"}, event
        assert ("tid" in event) == (event["ph"] != "M" or "thread" in event["name"]), event
        if event["ph"] == "M":
            assert event["name"] in NAMES
            key = (event["name"], event.get("tid", event["pid"]))
            assert key not in found, f"{key} is named twice"
            (found[key],) = event["args"].values()
    numbers = [number for name, number in found if name.endswith("_name")]
    assert len(set(numbers)) == len(numbers), "a thread has the number of another"
    assert min(numbers) > 0
    return found


def _check_tracks(slices: list[Slice]) -> None:
    tracks: dict[int, list[Slice]] = {}
    for each in slices:
        tracks.setdefault(each.lane, []).append(each)
    for mine in tracks.values():
        mine.sort(key=lambda s: (s.start, s.end))
        for before, after in pairwise(mine):
            assert before.end <= after.start, f"{before} overlaps {after}"
