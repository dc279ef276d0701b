"""Where inputs live and which way results go.

A site's results leave its arrays, meet at an adder where a matrix has several row blocks, pass the
unit of each digital operation of the tail in order, and are stored in the home of every reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

from cimarch.diagnostics import DescriptionError, Diagnostic
from cimarch.hardware.routes import Instances, Route
from cimarch.hardware.system import Part
from cimarch.mapping.sites import Site, Source
from cimarch.mapping.wiring import ADDERS, Wiring
from cimarch.workload.network import Operation


@attrs.frozen
class Home:
    """Where a reader finds a tensor: members of a buffer, each with a copy."""

    tensor: str
    path: str
    lo: int
    hi: int
    bits: int
    """Of one element."""
    whole: bool
    """Whether the whole tensor is there; else its rows stream through from outside."""
    room: int
    """Bits allotted in each member."""

    @property
    def members(self) -> tuple[Instances, ...]:
        return tuple(Instances(self.path, i, i + 1) for i in range(self.lo, self.hi))


@attrs.frozen
class Operand:
    """A stored tensor that an operation of the tail reads beside the results that pass it."""

    source: Source
    home: Home | None
    way: Route | None
    """From its home to the unit; None where it is at hand."""


@attrs.frozen
class Waypoint:
    """A digital operation on the way, and the unit or adder that does it."""

    operation: Operation
    at: Instances | None
    """None: the description has no such part, so it is done at once and free."""
    way: Route | None
    """From the place before; None where that is the same place."""
    operands: tuple[Operand, ...] = ()


@attrs.frozen
class Flow:
    """The way of some column blocks' results, from where they gather to where they are read."""

    blocks: tuple[int, ...]
    """The column blocks that share the way, by their place in the site."""
    adder: Instances | None
    """Where the sums of one column block meet; None for a single one, or where sums are free."""
    origin: Instances
    """Where a row of results gathers: the adder, a buffer, or the array itself."""
    waypoints: tuple[Waypoint, ...] = ()
    stores: tuple[Store, ...] = ()


@attrs.frozen
class Store:
    """A home (or the chip's edge) that receives the results, and the way there."""

    at: Instances
    way: Route
    bits: int
    """Of one element."""


def no_way(source: Instances, target: Instances, why: str) -> DescriptionError:
    """The diagnostic for two places that no links join."""
    return DescriptionError(
        Diagnostic(
            "E224",
            f"no route leads from `{source.path}` to `{target.path}`, {why}",
            helps=(f"connect them: `connect {source.path} -> {target.path}`",),
        )
    )


def words_of(op: Operation) -> tuple[str, ...]:
    """The words by which a unit's `does` may name an operation, the most precise first."""
    if op.kind == "pool":
        return (f"{op.function}_pool", "pool")
    words = (op.function, op.kind) if op.function else (op.kind,)
    return tuple(dict.fromkeys(words))


def able(part: Part, op: Operation) -> bool:
    """Whether a part can do a digital operation."""
    if part.kind in ADDERS:
        return op.kind == "add"
    if part.kind != "unit":
        return False
    does = part.params.get("does", ("any",))
    named = does if isinstance(does, tuple) else (does,)
    return "any" in named or any(word in named for word in words_of(op))


def unit_for(wiring: Wiring, here: Instances, op: Operation) -> Instances | None:
    """The nearest able part from a place on; None where the system has no such kind at all.

    Raises DescriptionError where such parts exist but none can do it, or none is reached.
    """
    system = wiring.system
    if able(system.part(here.path), op) and _operands_reach(wiring, here, op):
        return here
    for at in wiring.routes.downstream(here):
        if able(system.part(at.path), op) and _operands_reach(wiring, at, op):
            return _lanes(system.part(at.path), at)
    parts = [p for p in system.walk() if p.kind == "unit"]
    fit = [p for p in system.walk() if able(p, op)]
    if not parts and (op.kind != "add" or not fit):
        return None
    word = words_of(op)[0]
    if fit and parts:
        headline = f"no part that does `{word}` is reached from `{here.path}`"
        notes = tuple(f"`{p.path}` does it" for p in fit[:3])
        helps: tuple[str, ...] = (f"connect `{here.path}` to one of them",)
    elif fit:
        return None
    else:
        headline = f"no unit of the system does `{word}`"
        notes = tuple(f"`{p.path}` does {_listed(p)}" for p in parts[:3])
        helps = (f"add `{word}` to the `does` of a unit",)
    raise DescriptionError(
        Diagnostic("E222", headline, notes=(f"`{op.name}` needs it", *notes), helps=helps)
    )


def _listed(part: Part) -> str:
    does = part.params.get("does", ())
    return ", ".join(f"`{word}`" for word in (does if isinstance(does, tuple) else (does,)))


def _operands_reach(wiring: Wiring, at: Instances, op: Operation) -> bool:
    """Whether a second operand can come from some buffer."""
    return len(op.inputs) < 2 or any(len(b) == 1 for b in wiring.feeders(at))


def _lanes(part: Part, at: Instances) -> Instances:
    """The members that one place leads to; of those behind a mesh, the first such set."""
    lanes = 1
    for extent in part.shape:
        lanes *= extent
    return at if len(at) <= lanes else Instances(at.path, at.lo, at.lo + lanes)


class Rooms:
    """What every buffer holds when: sizes are limits, kept over the order of the sites."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._held: dict[tuple[str, int], list[tuple[int, int, int]]] = {}

    def fits(self, path: str, lo: int, hi: int, span: tuple[int, int], bits: int) -> bool:
        """Whether members of a buffer have room for `bits` from one site to another."""
        part = self._wiring.system.part(path)
        if "size" not in part.params:
            return True
        size = part.number("size")
        return all(self._most(path, i, span) + bits <= size for i in range(lo, hi))

    def _most(self, path: str, index: int, span: tuple[int, int]) -> int:
        """The most bits that a member holds at any time of a span."""
        held = self._held.get((path, index), ())
        times = {span[0]} | {first for first, _, _ in held if span[0] <= first <= span[1]}
        return max(sum(bits for first, last, bits in held if first <= t <= last) for t in times)

    def take(self, path: str, lo: int, hi: int, span: tuple[int, int], bits: int) -> None:
        """Hold the room."""
        for i in range(lo, hi):
            self._held.setdefault((path, i), []).append((*span, bits))


def receptive_rows(op: Operation, rows: int) -> int:
    """Rows of a map of `rows` rows that one row of results needs."""
    if op.geometry is None:
        return rows if op.kind not in ("add", "mul", "activation") else 1
    reach = (op.geometry.kernel[0] - 1) * op.geometry.dilation[0] + 1
    return min(reach, rows)


def find_home(
    wiring: Wiring,
    rooms: Rooms,
    at: Instances,
    source: Source,
    sizes: tuple[int, int, int],
    span: tuple[int, int],
    reader: Site,
    known: Iterable[Home],
) -> Home | None:
    """The home of a tensor for a reader at some arrays or at a unit.

    The nearest buffer that the whole reader reaches as one member and that has room for the whole
    tensor; else one member each of the nearest level, with a copy in each; else the same with room
    for the rows that one row of results needs. `sizes` is bits of an element, of the tensor, and of
    those rows; `span` the sites from its making to this reading (rows that stream through take
    room during the reading alone).
    """
    bits, whole, rows = sizes
    levels = list(_levels(wiring, at))
    if not levels:
        return None
    for home in known:
        same = any(home.path == f.path and home.lo <= f.lo and f.hi <= home.hi for f in levels)
        if same and home.tensor == source.tensor and home.bits >= bits:
            return home
    for needed in (whole, rows):
        for single in (True, False):
            for level in levels:
                if (len(level) == 1) != single:
                    continue
                held = span if needed == whole else (reader.index, reader.index)
                if rooms.fits(level.path, level.lo, level.hi, held, needed):
                    rooms.take(level.path, level.lo, level.hi, held, needed)
                    return Home(
                        source.tensor, level.path, level.lo, level.hi, bits, needed == whole, needed
                    )
    raise _no_room(wiring, levels, source, sizes, reader)


def _levels(wiring: Wiring, at: Instances) -> Sequence[Instances]:
    levels = list(wiring.feeders(at))
    if at.path == wiring.pool.path and (named := wiring.pool.params.get("home")):
        chosen = [level for level in levels if level.path == named]
        if not chosen:
            raise DescriptionError(
                Diagnostic(
                    "E225",
                    f"the home `{named}` of `{wiring.pool.path}` is no buffer on its inputs' way",
                    span=wiring.pool.span,
                    notes=tuple(f"`{level.path}` is one" for level in levels[:4]),
                )
            )
        return chosen
    return levels


def _no_room(
    wiring: Wiring,
    levels: Sequence[Instances],
    source: Source,
    sizes: tuple[int, int, int],
    reader: Site,
) -> DescriptionError:
    bits, _, rows = sizes
    largest = max(levels, key=lambda level: wiring.system.part(level.path).number("size"))
    size = wiring.system.part(largest.path).number("size")
    op = reader.anchor
    count = 1 if op.geometry is None else op.geometry.kernel[0]
    what = f"{count} rows of its input" if op.geometry else "its input"
    need = -(-rows // 8)
    return DescriptionError(
        Diagnostic(
            "E231",
            f"`{op.name}` needs {what} at once, {need} bytes: more than `{largest.path}` has free",
            span=wiring.system.part(largest.path).span,
            notes=(
                f"`{largest.path}` holds {float(size / 8):g} bytes in all",
                f"the input is `{source.tensor}`, {bits} bits an element",
            ),
            helps=(f"make its `size` at least {need} bytes",),
        )
    )


def route_from(wiring: Wiring, here: Instances, target: Instances, why: str) -> Route | None:
    """The way between two places; None where they are one. Raises where no links lead there."""
    if here == target:
        return None
    way = wiring.routes.find(here, target)
    if way is None:
        raise no_way(here, target, why)
    return way
