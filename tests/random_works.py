"""Random works of a few small pieces, for the tests that hold the engines against each other."""

from __future__ import annotations

import numpy as np

from cimarch.engine.edges import Edges
from cimarch.engine.pieces import NOTHING, Link, Piece, Template, Work
from cimarch.engine.tasks import JOIN

PERIODS = ((1, 1), (6, 5), (3, 1), (7, 1), (2, 3))


def random_template(
    rng: np.random.Generator, *, resources: int, longest: int, periods: int, slots: int = 6
) -> Template:
    """A template of up to six slots whose numbers say nothing of their order.

    Edges of the same block go along a random order of the slots, so they make no cycle.
    """
    size = int(rng.integers(1, slots + 1))
    order = rng.permutation(size)
    resource = rng.integers(0, resources, size)
    resource[rng.random(size) < rng.uniform(0, 0.5)] = JOIN
    real = resource != JOIN
    ends = np.sort(rng.integers(0, size, (int(rng.integers(0, 2 * size)), 2)), axis=1)
    lag = np.where(
        ends[:, 0] == ends[:, 1], rng.integers(1, 4, len(ends)), rng.integers(0, 3, len(ends))
    )
    back = lag > 0
    ends[back] = rng.permuted(ends[back], axis=1)
    gates = int(rng.integers(0, 3))
    opens = np.stack(
        (
            rng.integers(0, size, 2 * gates),
            rng.integers(0, max(1, gates), 2 * gates),
        ),
        1,
    )
    return Template.of(
        resource=resource,
        busy=np.where(real, rng.integers(1, longest + 1, size), 0),
        latency=np.where(real, rng.integers(1, longest + 1, size), 0),
        period=rng.integers(0, periods, size),
        edges=Edges(order[ends[:, 1]], order[ends[:, 0]], lag, rng.random(len(ends)) < 0.4),
        gates=gates,
        opens=opens,
    )


def random_work(
    rng: np.random.Generator, *, longest: int = 3, acyclic: bool = True, blocks: int = 5
) -> Work:
    """A work of a few pieces, some of one template, with gates between them.

    Pieces come in no order. Gates of a block wait for pieces that come before in a hidden order,
    or for earlier blocks of the same piece, so they make no cycle; unless that is allowed.
    """
    periods = len(PERIODS) if rng.random() < 0.4 else 1
    resources = int(rng.integers(1, 6))
    templates = [
        random_template(rng, resources=resources, longest=longest, periods=periods)
        for _ in range(int(rng.integers(1, 4)))
    ]
    pieces = []
    for _ in range(int(rng.integers(1, 5))):
        template = templates[rng.integers(len(templates))]
        cut = int(rng.integers(0, len(template))) if rng.random() < 0.5 else 0
        pieces.append(Piece(template, int(rng.integers(1, blocks + 1)), cut))
    hidden = rng.permutation(len(pieces))
    linked = [
        Piece(p.template, p.repeat, p.cut, _links(rng, pieces, number, hidden, acyclic))
        for number, p in enumerate(pieces)
    ]
    return Work(tuple(linked), PERIODS)


def _links(
    rng: np.random.Generator,
    pieces: list[Piece],
    number: int,
    hidden: np.ndarray,
    acyclic: bool,
) -> tuple[Link, ...]:
    piece, links = pieces[number], []
    for _ in range(int(rng.integers(0, 2 * piece.template.gates + 1))):
        behind = int(rng.integers(len(pieces)))
        if acyclic and hidden[behind] > hidden[number]:
            continue
        blocks = rng.integers(NOTHING, pieces[behind].repeat, piece.repeat)
        if acyclic and behind == number:
            blocks = np.minimum(blocks, np.arange(piece.repeat) - 1)
        source = int(rng.integers(len(pieces[behind].template)))
        links.append(Link(int(rng.integers(piece.template.gates)), behind, source, blocks))
    return tuple(links)


def laned(rng: np.random.Generator, work: Work) -> Work:
    """The work with each template as several lanes that do the same, here and there not quite.

    Some resources are one a lane, others shared; slots lie lane by lane or side by side; some
    edges go across the lanes, and some lane may have one slot that takes longer.
    """
    lanes = int(rng.integers(2, 5))
    resource = np.arange(max(1, work.resources) * lanes).reshape(-1, lanes)
    private = rng.random(len(resource)) < 0.8
    resource[~private] = resource[~private, :1]
    apart = bool(rng.random() < 0.5)
    made = {id(t): _lanes_of(rng, t, resource, apart) for t in work.templates}
    pieces = []
    for piece in work.pieces:
        links = [
            Link(
                link.gate * lanes + lane,
                link.piece,
                _lane_slot(len(work.pieces[link.piece].template), lanes, apart, link.source, lane),
                link.blocks,
            )
            for link in piece.links
            for lane in range(lanes)
        ]
        if links and rng.random() < 0.2:
            del links[int(rng.integers(len(links)))]
        cut = piece.cut if apart else piece.cut * lanes
        pieces.append(Piece(made[id(piece.template)], piece.repeat, cut, tuple(links)))
    return Work(tuple(pieces), work.periods)


def _lane_slot(size: int, lanes: int, apart: bool, slot: int, lane: int) -> int:
    return lane * size + slot if apart else slot * lanes + lane


def _lanes_of(
    rng: np.random.Generator, template: Template, resource: np.ndarray, apart: bool
) -> Template:
    size, lanes = len(template), resource.shape[1]
    lane = np.arange(lanes)[:, None]

    def place(slots: np.ndarray, of: np.ndarray = lane) -> np.ndarray:
        return (of * size + slots if apart else slots * lanes + of).astype(np.int64)

    rows = place(np.arange(size))
    columns = {}
    for name in ("busy", "latency", "period"):
        columns[name] = np.empty(size * lanes, np.int64)
        columns[name][rows] = getattr(template, name)
    held = np.empty(size * lanes, np.int64)
    held[rows] = np.where(
        template.resource == JOIN, JOIN, resource[np.maximum(0, template.resource)].T
    )
    odd = int(rng.integers(size * lanes))
    if rng.random() < 0.25 and held[odd] != JOIN:
        columns["busy"][odd] += 1
    edges = template.edges
    parts = [
        Edges(
            place(edges.slot).ravel(),
            place(edges.source).ravel(),
            np.tile(edges.lag, lanes),
            np.tile(edges.after_start, lanes),
        )
    ]
    across = np.flatnonzero(rng.random(len(edges.slot)) < 0.3)
    for other in range(1, lanes):
        parts.append(
            Edges(
                place(edges.slot[across]).ravel(),
                place(edges.source[across], (lane + other) % lanes).ravel(),
                np.tile(edges.lag[across], lanes),
                np.tile(edges.after_start[across], lanes),
            )
        )
    return Template.of(
        resource=held,
        **columns,
        edges=Edges.joined(parts),
        gates=template.gates * lanes,
        opens=np.stack(
            (
                place(template.opens[:, 0]).ravel(),
                (template.opens[:, 1] * lanes + lane).ravel(),
            ),
            1,
        ),
    )


def pipeline(rng: np.random.Generator, *, blocks: int = 60, longest: int = 4) -> Work:
    """A few pieces in a row: each takes in rows of the one before, some with room for few rows.

    A first piece, a write, comes before all of them; a last one may wait for every row.
    """
    periods = len(PERIODS) if rng.random() < 0.3 else 1
    resources = int(rng.integers(1, 6))
    write = Piece(Template.of(resource=[0], busy=[int(rng.integers(1, 60))]))
    chosen: list[tuple[Template, int, int]] = []
    most = int(rng.integers(1, blocks + 1))
    for _ in range(int(rng.integers(1, 5))):
        base = random_template(rng, resources=resources, longest=longest, periods=periods, slots=4)
        template = _in_turn(rng, base)
        cut = int(rng.integers(0, len(template))) if rng.random() < 0.2 else 0
        rows = max(1, most * int(rng.choice([1, 1, 1, 2])) // int(rng.choice([1, 1, 1, 2])))
        rows = rows if rng.random() < 0.9 else int(rng.integers(1, most + 1))
        chosen.append((template, rows, cut))
    pieces = [write]
    for number, (template, repeat, cut) in enumerate(chosen):
        links = _rows(rng, chosen, number) if rng.random() < 0.95 else ()
        pieces.append(Piece(template, repeat, cut, links))
    if rng.random() < 0.3:
        last = [
            Link(0, len(pieces) - 1, int(rng.integers(len(chosen[-1][0]))), [block])
            for block in range(chosen[-1][1])
        ]
        end = Template.of(resource=[0], busy=[3], gates=1, opens=((0, 0),))
        pieces.append(Piece(end, 1, 0, tuple(last)))
    return Work(tuple(pieces), PERIODS)


def _in_turn(rng: np.random.Generator, base: Template) -> Template:
    """The template with three gates; a block begins when one or two before it have ended."""
    size, edges = len(base), base.edges
    roots = np.setdiff1d(np.arange(size), edges.slot[edges.lag == 0])
    roots = roots[rng.random(len(roots)) < 0.98]
    more = Edges(
        roots,
        rng.integers(0, size, len(roots)),
        rng.integers(1, 3, len(roots)),
        rng.random(len(roots)) < 0.2,
    )
    all_slots = np.arange(size) if rng.random() < 0.8 else np.arange(1)
    opens = np.stack((all_slots, rng.integers(0, 3, len(all_slots))), 1)
    return Template.of(
        resource=base.resource,
        busy=base.busy,
        latency=base.latency,
        period=base.period,
        edges=Edges.joined([edges, more]),
        gates=3,
        opens=np.concatenate((opens, rng.integers(0, (size, 3), (3, 2)))),
    )


def _rows(
    rng: np.random.Generator, chosen: list[tuple[Template, int, int]], number: int
) -> tuple[Link, ...]:
    """Gate 0: rows of the piece before; gate 1: the next one has room again; gate 2: the write."""
    block = np.arange(chosen[number][1])
    links = [Link(2, 0, 0, np.zeros_like(block))] if rng.random() < 0.7 else []
    if number:
        before, rows, _ = chosen[number - 1]
        for _ in range(int(rng.integers(1, 3))):
            behind = block * rows // len(block) + int(rng.integers(-2, 2))
            behind = np.where(behind < 0, NOTHING, np.minimum(behind, rows - 1))
            links.append(Link(0, number, int(rng.integers(len(before))), behind))
    if number + 1 < len(chosen) and rng.random() < 0.6:
        after, rows, _ = chosen[number + 1]
        ahead = (block - int(rng.integers(4, 12))) * rows // len(block) - 3
        ahead = np.where(ahead < 0, NOTHING, ahead)
        links.append(Link(1, number + 2, int(rng.integers(len(after))), ahead))
    return tuple(links)
