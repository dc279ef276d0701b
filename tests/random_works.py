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
