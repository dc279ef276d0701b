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
