"""How pieces follow one another: layer by layer, or row by row through all sites of a group.

Layer by layer, every row of a site waits until all of the site before is done. In a pipeline a row
waits for the rows that it reads, and the store of row y, where its home holds B rows, until all
readers have freed row y - B. The inferences of a batch are one stream of rows: row y of inference i
is row i H + y.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs
import numpy as np

from cimarch.engine.pieces import NOTHING, Link, Template
from cimarch.engine.tasks import JOIN, Ints
from cimarch.mapping.homes import Home
from cimarch.mapping.placement import Placement
from cimarch.mapping.rows import Reach
from cimarch.mapping.sites import map_rows
from cimarch.mapping.tiling import Tile
from cimarch.program.context import Context
from cimarch.program.operands import BROUGHT, WRITTEN, OperandPass
from cimarch.program.passes import SitePass
from cimarch.program.sketch import (
    FREED,
    LATER_OPERANDS,
    MADE,
    OPERANDS,
    PASSED,
    READS,
    ROOM,
    TAKEN,
    Laid,
    Strip,
)


@attrs.frozen
class End:
    """A task whose finish others wait for: a slot of a block of a piece."""

    piece: int
    slot: int
    block: int


@attrs.define(eq=False)
class Draft:
    """A piece that is not yet tied to others."""

    template: Template
    repeat: int
    cut: int = 0
    columns: Mapping[str, int] = attrs.field(factory=dict)
    links: list[Link] = attrs.field(factory=list)

    def wait(self, gate: int, end: End) -> None:
        """Let a gate of every block wait for one task."""
        self.links.append(Link(gate, end.piece, end.slot, np.full(self.repeat, end.block)))


@attrs.frozen(eq=False)
class Brought:
    """The piece that brings inputs of the network to their homes, a row a strip."""

    tensors: tuple[str, ...]
    laid: Laid
    rows: int
    """Of one inference."""
    piece: int


@attrs.frozen(eq=False)
class _Track:
    """A piece whose blocks are rows of inferences."""

    piece: int
    laid: Laid
    rows: int
    """Of one inference."""
    strips: int
    makes: tuple[str, ...]
    """Tensors, a row of each a strip."""
    reaches: tuple[Reach, ...] = ()
    homes: Mapping[tuple[int, str], tuple[Home, ...]] = attrs.field(factory=dict)
    """(position, tensor) -> where it is read."""


@attrs.frozen(eq=False)
class _Operand:
    """The pieces that write an operand into arrays."""

    work: OperandPass
    joins: _Track
    """A block a key, in order."""
    runs: tuple[_Track, ...]
    """One for each of the pass's runs."""


class Stream:
    """The pieces of one resident group."""

    def __init__(
        self,
        context: Context,
        drafts: list[Draft],
        group: int,
        barrier: tuple[End, ...],
        written: Mapping[int, End],
    ) -> None:
        self.context = context
        self.placement: Placement = context.placement
        self.drafts = drafts
        self.group = group
        self.barrier = barrier
        """What the next piece waits for."""
        self.written = written
        """Per site the end of the writing of its weights, where the barrier is not behind it."""
        self.finishes: dict[int, int] = {}
        """Inference -> the piece that is over when all of it is."""
        self.brought: list[Brought] = []
        self._inputs: list[tuple[tuple[str, ...], Laid, int]] | None = None
        self._keys: dict[str, int] = {}
        """Operands in their arrays, with the keys of each."""
        self._readers: dict[int, tuple[SitePass, _Track]] = {}
        """The piece of an operand's joins -> the site that has it in its arrays."""

    def run(
        self, passes: Sequence[SitePass], inferences: range, *, inputs: bool
    ) -> list[tuple[SitePass, int]]:
        """Add the pieces of some inferences; each pass with its piece."""
        tracks = self._input_tracks(len(inferences)) if inputs else []
        self.brought += [Brought(t.makes, t.laid, t.rows, t.piece) for t in tracks]
        if self.placement.schedule == "layers":
            done = self._layers(tracks, passes, inferences[0])
        else:
            done = self._pipeline(tracks, passes, inferences)
        return done

    # Layer by layer

    def _layers(
        self, tracks: list[_Track], passes: Sequence[SitePass], inference: int
    ) -> list[tuple[SitePass, int]]:
        if tracks:
            self._bar(tracks)
            self.barrier = self._joined(tuple(self._end(t, 1) for t in tracks))
        done = []
        for work in passes:
            for written in self._operand_tracks(work, 1, {"inference": inference}):
                self._bar(written.runs)
                self._collect(written, 1)
                self.barrier = (self._end(written.joins, 1),)
            track = self._site(work, 1, {"inference": inference})
            self._await_weights(work, track)
            self._bar([track])
            self.barrier = (self._end(track, 1),)
            done.append((work, track.piece))
        self._finish(inference, self.barrier)
        return done

    # Row by row

    def _pipeline(
        self, tracks: list[_Track], passes: Sequence[SitePass], inferences: range
    ) -> list[tuple[SitePass, int]]:
        operands: list[_Operand] = []
        sites: list[_Track] = []
        for work in passes:
            mine = self._operand_tracks(work, len(inferences), {})
            operands += mine
            sites.append(self._site(work, len(inferences), {}))
            self._readers |= {each.joins.piece: (work, sites[-1]) for each in mine}
        for work, track in zip(passes, sites, strict=True):
            self._await_weights(work, track)
        tracks = [*tracks, *(each.joins for each in operands), *sites]
        self._bar([*tracks, *(run for each in operands for run in each.runs)])
        makers: dict[str, list[_Track]] = {}
        readers: dict[str, list[_Track]] = {}
        for track in tracks:
            for tensor in track.makes:
                makers.setdefault(tensor, []).append(track)
            for tensor in dict.fromkeys(reach.source.tensor for reach in track.reaches):
                readers.setdefault(tensor, []).append(track)
        for track in tracks:
            self._tie(track, makers, readers)
        for each in operands:
            self._collect(each, len(inferences))
            self._tie_runs(each, makers)
        for place, inference in enumerate(inferences):
            self._finish(inference, tuple(self._end(t, place + 1) for t in tracks))
        self.barrier = self._joined(tuple(self._end(t, len(inferences)) for t in tracks))
        return [(work, track.piece) for work, track in zip(passes, sites, strict=True)]

    def _tie(
        self,
        track: _Track,
        makers: Mapping[str, Sequence[_Track]],
        readers: Mapping[str, Sequence[_Track]],
    ) -> None:
        """Link the gates of a piece to the rows that it needs and to the room for its results."""
        draft = self.drafts[track.piece]
        for (purpose, index), gate in track.laid.gates.items():
            if purpose in (BROUGHT, WRITTEN):
                continue
            strip = track.laid.strip
            each = strip.strips if purpose == LATER_OPERANDS else strip.rows
            total = self._total(track, purpose)
            numbers = np.arange(draft.repeat) * each + index
            numbers = np.where(numbers < total, numbers, NOTHING)
            if purpose == ROOM:
                found = self._room(track, numbers, readers)
            else:
                found = self._needed(track, purpose, numbers, makers)
            draft.links += [Link(gate, *each) for each in found]

    def _total(self, track: _Track, purpose: int) -> int:
        """Rows (or strips) of all inferences."""
        strips = self._strips(track)
        per_strip = purpose == LATER_OPERANDS
        return strips if per_strip else strips * track.laid.strip.joined

    def _strips(self, track: _Track) -> int:
        draft = self.drafts[track.piece]
        strip = track.laid.strip
        full = draft.repeat * strip.strips
        if not draft.cut:
            return full
        missing = sum(at >= len(track.laid) - draft.cut for at in track.laid.strip_at)
        return full - missing

    def _needed(
        self, track: _Track, purpose: int, numbers: Ints, makers: Mapping[str, Sequence[_Track]]
    ) -> Iterator[tuple[int, int, Ints]]:
        for reach in track.reaches:
            if _purpose(reach) != purpose:
                continue
            count = len(reach.needs)
            inference, row = np.divmod(np.maximum(numbers, 0), count)
            needs = reach.needs[row]
            height = self._height(reach.source.tensor)
            for maker in makers.get(reach.source.tensor, ()):
                strips = -(-needs * maker.strips // height) - 1 + inference * maker.strips
                strips = np.where((numbers >= 0) & (needs > 0), strips, NOTHING)
                yield from self._signalled(maker, MADE, strips)

    def _room(
        self, track: _Track, numbers: Ints, readers: Mapping[str, Sequence[_Track]]
    ) -> Iterator[tuple[int, int, Ints]]:
        strip = np.maximum(numbers, 0) // track.laid.strip.joined
        inference, number = np.divmod(strip, track.strips)
        for tensor in track.makes:
            height = self._height(tensor)
            made = (number + 1) * height // track.strips
            for reader in readers.get(tensor, ()):
                for reach in reader.reaches:
                    held = self._held(reader, reach) if reach.source.tensor == tensor else 0
                    if not held:
                        continue
                    free = made - held
                    turn = np.where(free > 0, inference, inference - 1)
                    free = np.where(free > 0, free, free + height)
                    frees = np.maximum.accumulate(reach.frees)
                    row = turn * len(frees) + np.searchsorted(frees, free)
                    row = np.where((numbers >= 0) & (turn >= 0), row, NOTHING)
                    yield from self._signalled(reader, _SIGNALS[_purpose(reach)], row)

    def _held(self, reader: _Track, reach: Reach) -> int:
        """Rows of a tensor that its homes hold for a reader; 0: no limit."""
        homes = reader.homes.get((reach.position, reach.source.tensor), ())
        return min((home.rows for home in homes if home.rows), default=0)

    def _height(self, tensor: str) -> int:
        known = self.placement.network.tensors.get(tensor)
        return self._keys[tensor] if known is None else map_rows(known)

    def _signalled(
        self, track: _Track, signal: int, numbers: Ints
    ) -> Iterator[tuple[int, int, Ints]]:
        """Where a signal is told for rows (or strips): piece, slot, and the blocks of each."""
        laid = track.laid
        per_strip = signal in (MADE, PASSED)
        each = laid.strip.strips if per_strip else laid.strip.rows
        if not any(told == signal for told, _ in laid.signal_at):
            joined = 1 if per_strip else laid.strip.joined
            numbers = np.where(numbers >= 0, numbers // joined, NOTHING)
            yield from self._signalled(track, MADE, numbers)
            return
        for index in range(each):
            mine = (numbers >= 0) & (numbers % each == index)
            if not mine.any():
                continue
            slot = _at_or_before(laid, signal, index)
            yield track.piece, slot, np.where(mine, numbers // each, NOTHING)

    # Pieces

    def _add(self, laid: Laid, strips: int, columns: Mapping[str, int]) -> int:
        repeat, cut = laid.cut(strips)
        self.context.count(repeat * len(laid), repeat, len(laid))
        columns = {"group": self.group, **columns}
        self.drafts.append(Draft(laid.template, repeat, cut, columns))
        return len(self.drafts) - 1

    def _site(self, work: SitePass, inferences: int, columns: Mapping[str, int]) -> _Track:
        index = work.plan.site.index
        piece = self._add(work.laid, work.size.strips * inferences, {"operation": index, **columns})
        homes: dict[tuple[int, str], tuple[Home, ...]] = {}
        for position, home in work.plan.read_homes():
            key = (position, home.tensor)
            homes[key] = (*homes.get(key, ()), home)
        reaches = tuple(self.placement.reaches.get(index, ()))
        size = work.size
        return _Track(
            piece, work.laid, size.rows, size.strips, (work.plan.site.result,), reaches, homes
        )

    # What is written into arrays at run time

    def _operand_tracks(
        self, work: SitePass, inferences: int, columns: Mapping[str, int]
    ) -> list[_Operand]:
        """The pieces that write the operand of a site; none where it has none."""
        operand = work.operand
        if operand is None:
            return []
        written, name = operand.writing, operand.writing.name
        self._keys[name] = operand.rows
        columns = {"operation": work.plan.site.index, **columns}
        runs = tuple(
            _Track(
                self._add(run.laid, run.count * inferences, columns),
                run.laid, run.count, run.count, (),
            )
            for run in operand.runs
        )  # fmt: skip
        joins = _Track(
            self._add(operand.laid, operand.rows * inferences, columns),
            operand.laid, operand.rows, operand.rows, (name,), written.reaches,
            operand.read_homes(),
        )  # fmt: skip
        return [_Operand(operand, joins, runs)]

    def _collect(self, operand: _Operand, inferences: int) -> None:
        """Let a key's joins wait for its transfer and for its writing."""
        draft = self.drafts[operand.joins.piece]
        for run, track in zip(operand.work.runs, operand.runs, strict=True):
            blocks = np.full((inferences, operand.work.rows), NOTHING)
            mine = np.arange(run.count * inferences).reshape(inferences, run.count)
            blocks[:, run.first : run.first + run.count] = mine
            for purpose, signal in ((BROUGHT, FREED), (WRITTEN, MADE)):
                gate = operand.joins.laid.gates[purpose, 0]
                slot = run.laid.signal_at[signal, 0]
                draft.links.append(Link(gate, track.piece, slot, blocks.ravel()))

    def _tie_runs(self, operand: _Operand, makers: Mapping[str, Sequence[_Track]]) -> None:
        """Link the writing of each key to the rows that it needs, and to the products before it:
        those of the rows that do not need it, of the inferences before all."""
        work, reader = self._readers[operand.joins.piece]
        before = operand.work.writing.before
        for run, track in zip(operand.work.runs, operand.runs, strict=True):
            draft = self.drafts[track.piece]
            inference, key = np.divmod(np.arange(draft.repeat), run.count)
            key += run.first
            needed = self._needed(operand.joins, READS, inference * operand.work.rows + key, makers)
            row = inference * reader.rows + before[key] - 1
            gates = track.laid.gates
            draft.links += [Link(gates[READS, 0], *each) for each in needed]
            draft.links += [Link(gates[ROOM, 0], *each) for each in _products(work, reader, row)]

    def _input_tracks(self, inferences: int) -> list[_Track]:
        """The pieces that bring the network's inputs to their homes, row by row."""
        if self._inputs is None:
            self._inputs = list(self._input_strips())
        if self.placement.schedule == "layers":
            inferences = 1
        return [
            _Track(self._add(laid, rows * inferences, {}), laid, rows, rows, tensors)
            for tensors, laid, rows in self._inputs
        ]

    def _input_strips(self) -> Iterator[tuple[tuple[str, ...], Laid, int]]:
        tensors = self.placement.network.tensors
        strips: dict[int, tuple[Strip, dict[str, None]]] = {}
        for source, store in self.placement.inputs:
            rows = map_rows(tensors[source.tensor])
            strip, names = strips.setdefault(rows, (Strip(0), {}))
            names[source.tensor] = None
            bits = -(-tensors[source.tensor].elements // rows) * store.bits
            slots = self.context.transfer(strip.row[0], store.way, bits, "input", -1)
            for slot in slots[:1]:
                strip.row[0].open(slot, READS)
                strip.row[0].open(slot, ROOM)
        for rows, (strip, names) in strips.items():
            yield tuple(names), strip.lay_out(), rows

    def _end(self, track: _Track, inferences: int) -> End:
        """The end of the first so many inferences of a track."""
        block, index = divmod(track.strips * inferences - 1, track.laid.strip.strips)
        return End(track.piece, track.laid.signal_at[MADE, index], block)

    def _bar(self, tracks: Sequence[_Track]) -> None:
        """Let every row of some pieces wait for the barrier."""
        for track in tracks:
            for (purpose, _), gate in track.laid.gates.items():
                if purpose == READS:
                    for end in self.barrier:
                        self.drafts[track.piece].wait(gate, end)

    def _await_weights(self, work: SitePass, track: _Track) -> None:
        """Let every row of a site wait until its weights are written."""
        end = self.written.get(work.plan.site.index)
        for (purpose, _), gate in track.laid.gates.items() if end else ():
            if purpose == READS and end:
                self.drafts[track.piece].wait(gate, end)

    def _joined(self, ends: tuple[End, ...]) -> tuple[End, ...]:
        """One task that is over when all of some are."""
        if len(ends) < 2:
            return ends or self.barrier
        return (End(self._join(ends, {}), 0, 0),)

    def _finish(self, inference: int, ends: tuple[End, ...]) -> None:
        self.finishes[inference] = self._join(ends, {"inference": inference})

    def _join(self, ends: tuple[End, ...], columns: Mapping[str, int]) -> int:
        join = Template.of(
            resource=[JOIN], busy=[0], gates=1, opens=((0, 0),),
        )  # fmt: skip
        draft = Draft(join, 1, columns={"group": self.group, **columns})
        for end in ends:
            draft.wait(0, end)
        self.drafts.append(draft)
        return len(self.drafts) - 1


def last_products(
    work: SitePass, piece: int, draft: Draft
) -> dict[tuple[str, int], tuple[End, ...]]:
    """Per array of a site (its pool and number) the ends of its last product in a piece."""
    if draft.cut:
        end = (End(piece, work.laid.signal_at[MADE, 0], draft.repeat - 1),)
        return {_place(work, each.tile): end for each in work.arrays.values()}
    found: dict[tuple[str, int], tuple[End, ...]] = {}
    for each in work.arrays.values():
        places = (int(work.laid.window_places(each.copy, slot)[-1]) for slot in each.ends)
        ends = tuple(End(piece, place, draft.repeat - 1) for place in places)
        place = _place(work, each.tile)
        found[place] = (*found.get(place, ()), *ends)
    return found


def _place(work: SitePass, tile: Tile) -> tuple[str, int]:
    """The pool and the array of a tile."""
    return work.placement.wirings[tile.pool].pool.path, tile.array


def _products(work: SitePass, track: _Track, rows: Ints) -> Iterator[tuple[int, int, Ints]]:
    """Where the products of a site's rows are over: piece, slot, and the blocks of each."""
    each = track.laid.strip.rows
    for index in range(each):
        mine = (rows >= 0) & (rows % each == index)
        if mine.any():
            done = work.products_done[index % len(work.products_done)]
            slot = track.laid.row_at[index] + done
            yield track.piece, slot, np.where(mine, rows // each, NOTHING)


_SIGNALS = {READS: FREED, OPERANDS: TAKEN, LATER_OPERANDS: PASSED}
"""What tells that the rows that a gate waits for are read."""


def _purpose(reach: Reach) -> int:
    """Which gate waits for the rows of a reach."""
    if reach.position == 0:
        return READS
    return LATER_OPERANDS if reach.per_strip else OPERANDS


def _at_or_before(laid: Laid, signal: int, index: int) -> int:
    """The slot of a signal of a row, or of the next row that has one."""
    last = max(number for told, number in laid.signal_at if told == signal)
    while (signal, index) not in laid.signal_at and index < last:
        index += 1
    return laid.signal_at[signal, min(index, last)]
