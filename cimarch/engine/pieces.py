"""What a program is made of: pieces, each a template of tasks repeated, and the gates between them.

A program repeats itself: every row of an operation's results is the same few thousand tasks with
the same edges. A `Template` is such a block of tasks, written once; a `Piece` repeats it. Tasks of
one piece wait for each other by the template's edges, in the same block or some blocks earlier.
Between pieces only *gates* wait: a gate of a block opens when everything that its links name has
finished, and the template says which slots wait for it.

Ten windows of fetch, read and convert; a read may start when the conversion of the read before it
starts (a sample-and-hold). Window k waits until a first piece, a write, is over:

    write = Piece(Template.of(resource=[1], busy=[100]))
    window = Template.of(
        resource=[0, 1, 2],
        busy=[2, 5, 4],
        edges=(Edge(1, 0), Edge(2, 1), Edge(1, 2, lag=1, after_start=True)),
        gates=1,
        opens=((0, 0),),
    )
    work = Work((write, Piece(window, 10, links=(Link(0, piece=0, source=0, blocks=[0] * 10),))))

The same program as one table of tasks, which says what it means: `expand`. Task numbers follow the
order of pieces, blocks and slots; the gates, joins that hold nothing, come behind all tasks.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property

import attrs
import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimarch.engine.edges import Edge, Edges
from cimarch.engine.tasks import JOIN, Ints

NOTHING = -1
"""In place of a block: wait for nothing."""


@attrs.frozen(eq=False)
class Template:
    """A block of tasks, a column an attribute, one row a slot."""

    resource: NDArray[np.int32]
    """What the task holds; `JOIN` for a join."""
    busy: Ints
    latency: Ints
    period: NDArray[np.int16]
    edges: Edges
    gates: int
    """How many gates a block has."""
    opens: NDArray[np.int32]
    """(n, 2): a slot, and the gate of its block that it waits for."""
    columns: Mapping[str, NDArray[np.generic]]
    """What the tasks mean, for who reads the program; the engines do not look."""

    @classmethod
    def of(
        cls,
        *,
        resource: ArrayLike,
        busy: ArrayLike,
        latency: ArrayLike | None = None,
        period: ArrayLike = 0,
        edges: Iterable[Edge] | Edges = (),
        gates: int = 0,
        opens: ArrayLike = (),
        columns: Mapping[str, NDArray[np.generic]] | None = None,
    ) -> Template:
        """A template from lists; `latency` is as long as `busy` where it is not given."""
        held = np.asarray(resource, np.int32)
        return cls(
            held,
            np.asarray(busy, np.int64),
            np.asarray(busy if latency is None else latency, np.int64),
            np.full(held.shape, period, np.int16),
            edges if isinstance(edges, Edges) else Edges.of(edges),
            gates,
            np.asarray(opens, np.int32).reshape(-1, 2),
            dict(columns or {}),
        )

    def __len__(self) -> int:
        """How many tasks a block has."""
        return len(self.resource)


def _numbers(values: ArrayLike) -> Ints:
    return np.asarray(values, np.int64)


@attrs.frozen(eq=False)
class Link:
    """Gate `gate` of block k waits for the finish of a task of some piece.

    That is slot `source` of block `blocks[k]` of the piece with number `piece` in the work (which
    may come later, or be the same); `NOTHING` in `blocks` waits for none.
    """

    gate: int
    piece: int
    source: int
    blocks: Ints = attrs.field(converter=_numbers)


@attrs.frozen(eq=False)
class Piece:
    """A template, repeated."""

    template: Template
    repeat: int = 1
    """Blocks."""
    cut: int = 0
    """Slots at the end of the last block that are not there: no task, and no edge to or from it.
    A gate whose slots are all cut off opens all the same."""
    links: tuple[Link, ...] = ()
    columns: Mapping[str, int] = attrs.field(factory=dict)
    """What all its tasks have in common."""

    def __len__(self) -> int:
        """How many tasks it has."""
        return self.repeat * len(self.template) - self.cut


@attrs.frozen(eq=False)
class Work:
    """All pieces of a program, in order."""

    pieces: tuple[Piece, ...]
    periods: tuple[tuple[int, int], ...] = ((1, 1),)
    """See `Tasks.periods`; the first is that of gates too, and at most a cycle."""
    defaults: Mapping[str, np.integer] = attrs.field(factory=dict)
    """The columns of the tasks and, for tasks and gates that do not say, their values."""

    def __len__(self) -> int:
        """How many tasks there are, without the gates."""
        return int(self.first[-1])

    @cached_property
    def first(self) -> Ints:
        """The number of each piece's first task; at the end, how many tasks there are."""
        return np.concatenate(([0], np.cumsum([len(piece) for piece in self.pieces]))).astype(
            np.int64
        )

    @cached_property
    def first_gate(self) -> Ints:
        """The number, in the table of all, of each piece's first gate; at the end, of all nodes."""
        gates = [piece.repeat * piece.template.gates for piece in self.pieces]
        return len(self) + np.concatenate(([0], np.cumsum(gates))).astype(np.int64)

    @cached_property
    def templates(self) -> tuple[Template, ...]:
        """Each template once, in order of its first piece."""
        return tuple({id(p.template): p.template for p in self.pieces}.values())

    def pieces_of(self, template: Template) -> Sequence[Piece]:
        """The pieces that repeat a template, in order."""
        return self._by_template[id(template)]

    @cached_property
    def _by_template(self) -> Mapping[int, Sequence[Piece]]:
        found: dict[int, list[Piece]] = {}
        for piece in self.pieces:
            found.setdefault(id(piece.template), []).append(piece)
        return found

    @cached_property
    def resources(self) -> int:
        """How many resources the work speaks of."""
        return 1 + max((int(t.resource.max(initial=JOIN)) for t in self.templates), default=JOIN)

    @cached_property
    def busy(self) -> Ints:
        """Per resource: cycles held, by all tasks together."""
        held = np.zeros(self.resources, np.int64)
        for piece in self.pieces:
            template, last = piece.template, len(piece.template) - piece.cut
            real = np.flatnonzero(template.resource != JOIN)
            times = np.where(real < last, piece.repeat, piece.repeat - 1)
            np.add.at(held, template.resource[real], template.busy[real] * times)
        return held

    def check(self) -> None:
        """Raise a ValueError that says what is wrong with the work; a cycle is not looked for."""
        from cimarch.engine.check import check_work

        check_work(self)

    def column(self, name: str) -> NDArray[np.generic]:
        """A column of all tasks and gates, in order of their numbers."""
        default = self.defaults[name]
        laid = np.full(int(self.first_gate[-1]), default, dtype=default.dtype)
        for piece, first in zip(self.pieces, self.first, strict=False):
            mine = laid[first : first + len(piece)]
            if name in piece.columns:
                mine[:] = piece.columns[name]
            elif name in piece.template.columns:
                mine[:] = np.resize(piece.template.columns[name], len(piece))
        return laid
