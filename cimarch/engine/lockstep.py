"""Tasks that provably run at the same times run once.

A site of 512 equal macros is 512 times the same: what one macro does at some time, all of them do.
`fold` looks for slots of a template that are *alike* and leaves one of each kind.

Each resource r gets a resource like it, and each slot s a slot like it, of the same template, so
that

1. a slot and its like have the same busy, latency and period, and are cut off the same last blocks;
2. the slots of a template that hold r are, in order, like those that hold the like of r: as many,
   the first like the first and so on;
3. what a slot waits for, with every source replaced by its like, is the same set as that of its
   like: (source, lag, after start or finish); and so for a gate in every piece of the template:
   (piece, source, blocks).

Then the task of a slot and the task of its like in the same block are ready at the same time and in
the same round of it, and start together. By induction over times, and rounds within a time: up to
some round, let this be so. Ready is when the last of what a task waits for has let go, and by 3
what the two wait for has let go together (that the one waits for more tasks of a kind does not
matter: these are one and the same time). By 1 their periods are the same. So the queues of r and of
its like hold, by 2, tasks that are like each other pair by pair, in the same order: of pieces and
blocks, which are the same for both, then of slots. By 1 both resources have been taken and become
free together. So they grant the pair together. Joins and gates hold nothing, and need only 3.

The likes are found by refining colours (`cimarch.engine.refine`): two slots keep one colour while
nothing tells them apart. Colours are hashes, so what they find is held against 1, 2 and 3, exactly,
before it is used.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine.edges import Edges
from cimarch.engine.outcome import Outcome, SlotTimes
from cimarch.engine.pieces import Link, Piece, Template, Work
from cimarch.engine.tasks import JOIN, Ints, Timeline

WORTH = 8
"""A work is looked at if it has so many times the tasks of its templates."""
GAIN = 0.3
"""A work is folded if more than this share of its tasks need not run."""
GATE = 2**22
"""The kind of wait for a gate; below are edges, above links."""


@attrs.frozen(eq=False)
class Folded:
    """A work with one of each kind, and where in it every slot and gate of the whole is found."""

    whole: Work
    work: Work
    slots: tuple[Ints, ...]
    """Per template of the whole and slot: its like, as a slot of the folded template."""
    gates: tuple[Ints, ...]
    """Per template and gate: the same."""
    resources: Ints
    """Per resource: its like."""

    def weights(self, weights: ArrayLike) -> Ints:
        """What each resource counts for itself and all that are like it."""
        each = np.broadcast_to(np.asarray(weights, np.int64), self.whole.resources)
        together = np.zeros(self.work.resources, np.int64)
        used = np.flatnonzero(self.whole.busy)
        np.add.at(together, self.resources[used], each[used])
        return together

    def unfold(self, found: Outcome) -> Outcome:
        """What the outcome of the folded work says of the whole."""
        gates = np.concatenate([np.zeros(0, np.int64), *self._gate_times(found.gates)])
        timeline = None if found.timeline is None else self._timeline(found.timeline, gates)
        return attrs.evolve(
            found,
            busy=self.whole.busy,
            slots=tuple(map(_slot_times, found.slots, self.slots)),
            gates=gates,
            alike=len(self.whole) - len(self.work),
            timeline=timeline,
        )

    def _template_of(self, piece: Piece) -> int:
        return next(n for n, each in enumerate(self.whole.templates) if each is piece.template)

    def _gate_times(self, opened: Ints) -> Iterator[Ints]:
        first = self.work.first_gate - len(self.work)
        for number, piece in enumerate(self.whole.pieces):
            mine = opened[first[number] : first[number + 1]].reshape(piece.repeat, -1)
            yield mine[:, self.gates[self._template_of(piece)]].ravel()

    def _timeline(self, timeline: Timeline, gates: Ints) -> Timeline:
        task = np.concatenate([np.zeros(0, np.int64), *self._like_tasks()])
        ready, start, finish = (
            np.concatenate((times[task], gates))
            for times in (timeline.ready, timeline.start, timeline.finish)
        )
        busy = np.trim_zeros(self.whole.busy, "b")
        return Timeline(ready, start, finish, busy, timeline.makespan)

    def _like_tasks(self) -> Iterator[Ints]:
        for number, piece in enumerate(self.whole.pieces):
            slots = len(self.work.pieces[number].template)
            block = slots * np.arange(piece.repeat)[:, None]
            tasks = block + self.slots[self._template_of(piece)]
            yield self.work.first[number] + tasks.ravel()[: len(piece)]


def fold(work: Work) -> Folded | None:
    """Leave one of each kind; None where too little is like anything else, or the work is small."""
    if len(work) < WORTH * sum(len(template) for template in work.templates):
        return None
    if any(int(each.edges.lag.max(initial=0)) >= GATE // 2 for each in work.templates):
        return None
    load = _load(work)
    if _gain(load, load) <= GAIN:  # what is alike is held equally often
        return None
    nodes = _Nodes.of(work, load)
    likes = _likes(nodes)
    return None if likes is None else _folded(work, nodes, *likes)


def _slot_times(times: SlotTimes, like: Ints) -> SlotTimes:
    return SlotTimes(times.first_start[like], times.last_finish[like], times.waited[like])


# What is compared -----------------------------------------------------------------------------


@attrs.frozen(eq=False)
class _Nodes:
    """The slots of all templates, then their gates."""

    first_slot: Ints
    first_gate: Ints
    """(templates + 1) each: where those of a template begin."""
    resource: NDArray[np.int32]
    """`JOIN` for a gate too."""
    load: NDArray[np.float64]
    """Per resource: how many tasks hold it."""
    columns: tuple[Ints, ...]
    """What must be the same: template, busy, latency, period, where it is cut off, rank among the
    slots that hold the same resource; and whether it is a join or a gate."""
    work: Work

    @classmethod
    def of(cls, work: Work, load: NDArray[np.float64]) -> _Nodes:
        """The nodes of a work, of whose resources so many tasks hold each."""
        templates = work.templates
        first_slot = _starts([len(each) for each in templates])
        first_gate = first_slot[-1] + _starts([each.gates for each in templates])
        resource = np.full(first_gate[-1], JOIN, np.int32)
        for each, first in zip(templates, first_slot, strict=False):
            resource[first : first + len(each)] = each.resource
        return cls(
            first_slot,
            first_gate,
            resource,
            load,
            _columns(work, first_slot, first_gate, resource),
            work,
        )

    @cached_property
    def waits(self) -> _Waits:
        """What they wait for; often they are told apart without it."""
        target, kind, source, links = _waits(self.work, self.first_slot, self.first_gate)
        order = np.argsort(target, kind="stable")
        first = _starts(np.bincount(target, minlength=len(self.resource)))
        return _Waits(first, kind[order], source[order].astype(np.int32), links)


@attrs.frozen(eq=False)
class _Waits:
    """What nodes wait for: a list a node."""

    first: Ints
    kind: Ints
    """Per thing to wait for: the lag and whether it waits for the start; that it is a gate; for a
    gate, the piece that waits, the piece waited for, and the blocks."""
    source: NDArray[np.int32]
    links: _Links
    """Per piece: its links, each with its kind."""


def _load(work: Work) -> NDArray[np.float64]:
    """Per resource: how many tasks hold it, those that are cut off included."""
    load = np.zeros(work.resources)
    for each in work.templates:
        times = sum(piece.repeat for piece in work.pieces_of(each))
        real = each.resource[each.resource != JOIN]
        load += times * np.bincount(real, minlength=work.resources)
    return load


def _columns(
    work: Work, first_slot: Ints, first_gate: Ints, resource: NDArray[np.int32]
) -> tuple[Ints, ...]:
    from cimarch.engine.refine import ranks

    rows = np.zeros((7, len(resource)), np.int64)
    for number, each in enumerate(work.templates):
        mine = slice(first_slot[number], first_slot[number + 1])
        limits = {len(each) - piece.cut for piece in work.pieces_of(each)}
        rows[0, mine] = rows[0, first_gate[number] : first_gate[number + 1]] = number
        rows[1, mine], rows[2, mine], rows[3, mine] = each.busy, each.latency, each.period
        rows[4, mine] = np.searchsorted(sorted(limits), np.arange(len(each)), "right")
    rank = np.zeros(len(resource), np.int32)
    ranks(resource, first_slot, work.resources, rank)
    rows[5] = rank
    rows[6] = resource == JOIN
    rows[6, first_slot[-1] :] = 2
    return tuple(rows)


_Links = tuple[tuple[tuple[Link, int], ...], ...]
_Rows = tuple[list[NDArray[np.integer]], list[NDArray[np.integer]], list[NDArray[np.integer]]]


def _waits(work: Work, first_slot: Ints, first_gate: Ints) -> tuple[Ints, Ints, Ints, _Links]:
    """Who waits, in which way, and for whom: all edges, gates and links; the kinds of links."""
    target, kinds, source = _inner_waits(work, first_slot, first_gate)
    links = _link_kinds(work, GATE + 1)
    of = {id(each): n for n, each in enumerate(work.templates)}
    for piece, mine in zip(work.pieces, links, strict=True):
        behind = [of[id(work.pieces[link.piece].template)] for link, _ in mine]
        gates = np.array([link.gate for link, _ in mine], np.int64)
        slots = np.array([link.source for link, _ in mine], np.int64)
        target.append(gates + first_gate[of[id(piece.template)]])
        kinds.append(np.array([each for _, each in mine], np.int64))
        source.append(slots + first_slot[np.array(behind, np.int64)])
    return _whole(target), _whole(kinds), _whole(source), links


def _inner_waits(work: Work, first_slot: Ints, first_gate: Ints) -> _Rows:
    """The edges of the templates, and the gates of their slots."""
    none = np.zeros(0, np.int64)
    rows: _Rows = [none], [none], [none]
    for each, slot, gate in zip(work.templates, first_slot, first_gate, strict=False):
        edges, opens = each.edges, each.opens
        rows[0].extend((edges.slot + slot, opens[:, 0] + slot))
        rows[1].extend((2 * edges.lag + edges.after_start, np.full(len(opens), GATE)))
        rows[2].extend((edges.source + slot, opens[:, 1] + gate))
    return rows


def _link_kinds(work: Work, first: int) -> _Links:
    """Per piece: its links, each with a number from `first` on.

    Links have one number where the piece that waits, the piece waited for and the blocks are one.
    """
    keys: dict[tuple[int, int, bytes], int] = {}
    return tuple(
        tuple(
            (link, keys.setdefault((n, link.piece, link.blocks.tobytes()), first + len(keys)))
            for link in piece.links
        )
        for n, piece in enumerate(work.pieces)
    )


def _whole(parts: list[NDArray[np.integer]]) -> Ints:
    return np.concatenate(parts).astype(np.int64)


def _starts(counts: ArrayLike) -> Ints:
    return np.concatenate(([0], np.cumsum(np.asarray(counts, np.int64)))).astype(np.int64)


# Who is like whom -----------------------------------------------------------------------------


def _likes(nodes: _Nodes) -> tuple[Ints, Ints] | None:
    """Per node and per resource: its like. None where there are no likes, or no proof of them."""
    colours = _refined(nodes)
    if colours is None:
        return None
    colour, held = colours
    resources = _first_alike(held)
    used = np.unique(nodes.resource[nodes.resource != JOIN])
    of_node = _first_alike(colour)
    slot = _slots_alike(nodes, resources)
    if slot is None or (colour[slot] != colour).any():
        return None
    real = nodes.resource != JOIN
    of_node[real] = slot[real]
    proved = _proved(nodes, of_node, resources, used)
    return (of_node, resources) if proved else None


def _refined(nodes: _Nodes) -> tuple[NDArray[np.uint64], NDArray[np.uint64]] | None:
    """Colours of nodes and of resources that a further round does not split."""
    from cimarch.engine import refine

    colour = np.zeros(len(nodes.resource), np.uint64)
    for column in nodes.columns:
        refine.colour_by(colour, column)
    held = np.zeros(len(nodes.load), np.uint64)
    kinds = 0
    while True:
        refine.colour_resources(colour, nodes.resource, held)
        if _gain(nodes.load, held) <= GAIN:
            return None
        waits = nodes.waits
        buffer = np.empty(int(np.diff(waits.first).max(initial=0)), np.uint64)
        refine.colour_by_resource(colour, nodes.resource, held)
        refine.colour_by_sources(
            waits.first, waits.kind, waits.source, colour.copy(), colour, buffer
        )
        before, kinds = kinds, _different(colour)
        if kinds == before:
            refine.colour_resources(colour, nodes.resource, held)
            return colour, held


def _gain(load: NDArray[np.float64], held: NDArray[np.generic]) -> float:
    """The share of tasks that need not run if resources of one colour are alike."""
    used = np.flatnonzero(load)
    _, kind, amount = np.unique(held[used], return_inverse=True, return_counts=True)
    return float((load[used] * (1 - 1 / amount[kind])).sum() / max(1.0, load.sum()))


def _different(colour: NDArray[np.uint64]) -> int:
    """How many colours there are."""
    line = np.sort(colour)
    return int(np.count_nonzero(line[1:] != line[:-1])) + 1


def _first_alike(colour: NDArray[np.uint64]) -> Ints:
    """Of each: the first of the same colour."""
    _, first, inverse = np.unique(colour, return_index=True, return_inverse=True)
    return first[inverse].astype(np.int64)


def _slots_alike(nodes: _Nodes, resources: Ints) -> Ints | None:
    """Of each slot: that of the same template and rank which holds the like of its resource.

    None where rule 2 does not hold. For joins and gates, themselves.
    """
    real = np.flatnonzero(nodes.resource != JOIN)
    of, rank = nodes.columns[0][real], nodes.columns[5][real]
    held = nodes.resource[real].astype(np.int64)
    key = of * len(resources) + held
    order = np.argsort(key, kind="stable")
    line = key[order]
    begin = np.searchsorted(line, key)
    theirs = of * len(resources) + resources[held]
    first = np.searchsorted(line, theirs)
    as_many = np.searchsorted(line, theirs, "right") - first
    if (as_many != np.searchsorted(line, key, "right") - begin).any():
        return None
    amount = np.bincount(held, minlength=len(resources))
    if (amount[held] != amount[resources[held]]).any():
        return None
    like = np.arange(len(nodes.resource))
    like[real] = real[order[first + rank]]
    return like


def _proved(nodes: _Nodes, like: Ints, resources: Ints, used: NDArray[np.int32]) -> bool:
    """Whether rules 1 and 3 hold, and a like is its own like."""
    from cimarch.engine.refine import same_sources

    if (like[like] != like).any() or (resources[resources[used]] != resources[used]).any():
        return False
    if any((column != column[like]).any() for column in nodes.columns):
        return False
    waits = nodes.waits
    spare = np.empty(2 * int(np.diff(waits.first).max(initial=0)), np.int64)
    return bool(same_sources(waits.first, waits.kind, waits.source, like, like, spare))


# One of each ----------------------------------------------------------------------------------


def _folded(work: Work, nodes: _Nodes, like: Ints, resources: Ints) -> Folded:
    kept = like == np.arange(len(like))
    place = np.cumsum(kept) - 1
    slots, gates, templates = [], [], {}
    for number, template in enumerate(work.templates):
        parts = []
        for first in (nodes.first_slot, nodes.first_gate):
            begin, end = int(first[number]), int(first[number + 1])
            before = place[begin - 1] + 1 if begin else 0
            parts.append(place[like[begin:end]] - before)
        slots.append(parts[0])
        gates.append(parts[1])
        begin = int(nodes.first_slot[number])
        keep = kept[begin : begin + len(template)]
        templates[id(template)] = number, _fold_template(template, keep, *parts), keep
    pieces = []
    for piece, linked in zip(work.pieces, nodes.waits.links, strict=True):
        number, template, keep = templates[id(piece.template)]
        limit = int(keep[: len(keep) - piece.cut].sum())
        pieces.append(
            Piece(
                template,
                piece.repeat,
                len(template) - limit,
                tuple(_fold_links(work, linked, gates[number], slots)),
            )
        )
    folded = Work(tuple(pieces), work.periods)
    return Folded(work, folded, tuple(slots), tuple(gates), resources)


def _fold_template(
    template: Template, keep: NDArray[np.bool_], slots: Ints, gates: Ints
) -> Template:
    """The slots that are kept, waiting for one of each."""
    edges = template.edges
    mine = np.flatnonzero(keep[edges.slot])
    rows = (slots[edges.slot[mine]], slots[edges.source[mine]], edges.lag[mine])
    slot, source, lag, after_start = _once(*rows, edges.after_start[mine])
    opens = template.opens[keep[template.opens[:, 0]]]
    waiter, gate = _once(slots[opens[:, 0]], gates[opens[:, 1]])
    return Template(
        template.resource[keep],
        template.busy[keep],
        template.latency[keep],
        template.period[keep],
        Edges(slot, source, lag, after_start.astype(np.bool_)),
        int(gates.max(initial=-1)) + 1,
        np.stack((waiter, gate), 1).astype(np.int32),
        {},
    )


def _fold_links(
    work: Work, linked: tuple[tuple[Link, int], ...], gates: Ints, slots: list[Ints]
) -> Iterator[Link]:
    """The links of the gates that are kept, once each: the first of a kind is the one like it."""
    number = {id(each): n for n, each in enumerate(work.templates)}
    kept = set(np.unique(gates, return_index=True)[1].tolist())
    seen = set()
    for link, kind in linked:
        if link.gate in kept:
            of = slots[number[id(work.pieces[link.piece].template)]]
            source = int(of[link.source])
            row = int(gates[link.gate]), source, kind
            if row not in seen:
                seen.add(row)
                yield Link(row[0], link.piece, source, link.blocks)


def _once(*columns: NDArray[np.generic]) -> tuple[Ints, ...]:
    """The rows of several columns, each once, in order."""
    table = [np.asarray(column).astype(np.int64) for column in columns]
    order = np.lexsort(table[::-1])
    rows = [column[order] for column in table]
    new = np.ones(len(order), np.bool_)
    if len(order):
        new[1:] = np.any([column[1:] != column[:-1] for column in rows], axis=0)
    return tuple(column[new] for column in rows)
