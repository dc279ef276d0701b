"""A placement as a picture: which cells of which arrays hold what, as the text of an SVG file.

Per pool and resident group a panel: its arrays nested as the description nests them, each with the
rectangle of cells that its tiles take, coloured by operation. Where there are too many arrays to
see, a square stands for several and is divided among what lies on them. The same placement gives
the same text.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from xml.sax.saxutils import escape

import attrs
import numpy as np

from cimarch.diagnostics import printable
from cimarch.mapping.placement import Placement
from cimarch.mapping.tiling import Tiles
from cimarch.report.format import count, percent, plural
from cimarch.report.map import headline
from cimarch.report.nesting import Box, Nesting, nesting

MOST_PANELS = 24
"""Panels that are drawn; a line says how many more there are."""
MOST_NAMES = 120
"""Operations that the legend names."""

_MARGIN = 16.0
_LINE = 16.0
_LETTER = 6.6
"""Width of a letter of the legend."""
_WIDEST = 1400.0
"""Panels are put side by side up to this width."""


def svg(placement: Placement) -> str:
    """The picture as SVG."""
    return _Drawing(placement).text()


def colour(index: int) -> str:
    """The colour of an operation: hues a golden angle apart, so that neighbours differ."""
    hue = index * 137.508 % 360
    light = (0.52, 0.64, 0.44)[index // 7 % 3]
    return _hex(hue, 0.58, light)


def _hex(hue: float, saturation: float, light: float) -> str:
    reach = saturation * min(light, 1 - light)

    def channel(n: int) -> int:
        k = (n + hue / 30) % 12
        return round(255 * (light - reach * max(-1, min(k - 3, 9 - k, 1))))

    return f"#{channel(0):02x}{channel(8):02x}{channel(4):02x}"


@attrs.frozen
class _Panel:
    """The arrays of one pool in one resident group."""

    title: tuple[str, str]
    """Two lines."""
    pool: int
    group: int
    grid: Nesting
    tiles: Tiles
    """Those that are loaded then."""
    left_out: int
    """Arrays behind the last that is drawn."""

    @property
    def size(self) -> tuple[float, float]:
        width, height = self.grid.size
        return max(width, *(_LETTER * len(line) for line in self.title)), height + 3.5 * _LINE


class _Drawing:
    def __init__(self, placement: Placement) -> None:
        self.placement = placement
        self.names = {p.site.index: p.site.anchor.name for p in placement.plans}
        held = [plan.site.index for plan in placement.plans if plan.site.is_matrix]
        self.colours = {site: colour(i) for i, site in enumerate(held)}
        self.panels, self.more = self._panels()

    def _panels(self) -> tuple[list[_Panel], int]:
        tiles, placement = self.placement.tiles, self.placement
        keys = sorted(set(zip(tiles.resident.tolist(), tiles.pool.tolist(), strict=True)))
        found = []
        for group, index in keys[:MOST_PANELS]:
            pool = placement.pools[index]
            of_pool = tiles.pool == index
            grid = nesting(placement.system, pool, int(tiles.array[of_pool].max()) + 1)
            mine = np.flatnonzero(of_pool & (tiles.resident == group))
            used = len(np.unique(tiles.array[mine]))
            title = (
                f"{pool.path}, group {group}",
                f"{count(used)} of {plural(pool.count, 'array')}, "
                f"{percent(placement.utilisation_of(mine))} of their cells",
            )
            found.append(
                _Panel(title, index, group, grid, tiles.take(mine), pool.count - grid.shown)
            )
        return found, len(keys) - len(found)

    def text(self) -> str:
        """The whole file."""
        body, width, height = self._body()
        size = f'width="{_n(width)}" height="{_n(height)}" viewBox="0 0 {_n(width)} {_n(height)}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" {size} '
                'font-family="sans-serif" font-size="11">',
                f"<title>{_safe(headline(self.placement))}</title>",
                f'<rect width="{_n(width)}" height="{_n(height)}" fill="#ffffff"/>',
                *body,
                "</svg>\n",
            ]
        )

    def _body(self) -> tuple[list[str], float, float]:
        lines = [_text(_MARGIN, _MARGIN + 12, headline(self.placement), bold=True)]
        x, y = _MARGIN, 2 * _MARGIN + _LINE
        right, tallest = 400.0, 0.0
        least = max((panel.size[0] for panel in self.panels), default=0.0)
        for panel in self.panels:
            width, height = panel.size
            width = max(width, least if least < _WIDEST / 3 else 0.0)
            if x > _MARGIN and x + width > _WIDEST:
                x, y, tallest = _MARGIN, y + tallest + _MARGIN, 0.0
            lines += [f'<g transform="translate({_n(x)} {_n(y)})">', *self._panel(panel), "</g>"]
            x += width + 2 * _MARGIN
            right, tallest = max(right, x), max(tallest, height)
        y += tallest + _MARGIN
        if self.more:
            lines.append(_text(_MARGIN, y, f"... and {self.more} more resident groups"))
            y += _LINE
        legend, y, right = self._legend(y, right)
        return lines + legend, max(right, _LETTER * len(headline(self.placement))), y + _MARGIN

    # One panel

    def _panel(self, panel: _Panel) -> Iterator[str]:
        yield _text(0, 10, panel.title[0])
        yield _text(0, 10 + _LINE, panel.title[1], fill="#777777")
        yield f'<g transform="translate(0 {_n(2.2 * _LINE)})">'
        for depth in range(len(panel.grid.levels)):
            yield _frames(panel.grid, depth)
        yield from self._filled(panel)
        yield "</g>"
        if panel.left_out:
            more = f"{plural(panel.left_out, 'array')} behind these, not drawn"
            yield _text(0, panel.grid.size[1] + 3.2 * _LINE - 2, more, fill="#777777")

    def _filled(self, panel: _Panel) -> Iterator[str]:
        if panel.grid.arrays_each > 1:
            yield from self._shares(panel)
            return
        pool = self.placement.pools[panel.pool]
        rows, columns = pool.integer("rows"), pool.integer("columns")
        t, depth = panel.tiles, len(panel.grid.levels) - 1
        for i in np.lexsort((t.at_column, t.at_row, t.array)).tolist():
            frame = panel.grid.box(int(t.array[i]), depth)
            box = Box(
                frame.x + frame.width * int(t.at_column[i]) / columns,
                frame.y + frame.height * int(t.at_row[i]) / rows,
                frame.width * int(t.columns[i]) / columns,
                frame.height * int(t.rows[i]) / rows,
            )
            site = int(t.site[i])
            yield _rect(box, self.colours[site], self._told(panel, i))
            name = _fitted(self.names[site], box.width - 6)
            if box.height > 14 and (len(name) > 7 or name == self.names[site]):
                ink = "#ffffff" if _is_dark(self.colours[site]) else "#000000"
                yield _text(box.x + 3, box.y + 12, name, fill=ink)

    def _told(self, panel: _Panel, i: int) -> str:
        t = panel.tiles
        copy = f", copy {t.copy[i]}" if t.copy[i] or self._is_copied(int(t.site[i])) else ""
        return (
            f"{panel.grid.name(int(t.array[i]))}: {self.names[int(t.site[i])]}{copy}, column block "
            f"{t.column_block[i]}, row block {t.row_block[i]}: {t.rows[i]} x {t.columns[i]} cells"
        )

    def _is_copied(self, site: int) -> bool:
        return len(self.placement.plans[site].copies) > 1

    def _shares(self, panel: _Panel) -> Iterator[str]:
        """Squares for several arrays each, divided by what lies on them."""
        each, t = panel.grid.arrays_each, panel.tiles
        pairs = np.unique(np.stack([t.array, t.site], axis=1), axis=0)
        keys, counts = np.unique(
            np.stack([pairs[:, 0] // each, pairs[:, 1]], axis=1), axis=0, return_counts=True
        )
        depth, sofar, square = len(panel.grid.levels) - 1, 0.0, -1
        for (place, site), arrays in zip(keys.tolist(), counts.tolist(), strict=True):
            sofar = sofar if place == square else 0.0
            square = place
            frame = panel.grid.box(place, depth)
            height = min(frame.height * arrays / each, frame.height - sofar)
            box = Box(frame.x, frame.y + sofar, frame.width, height)
            sofar += height
            told = f"{self._range(panel, place)}: {self.names[site]} on {plural(arrays, 'array')}"
            yield _rect(box, self.colours[site], told)

    def _range(self, panel: _Panel, place: int) -> str:
        each, pool = panel.grid.arrays_each, self.placement.pools[panel.pool]
        last = min(pool.count, (place + 1) * each) - 1
        return f"{pool.path}[{place * each}..{last}]"

    # Legend

    def _legend(self, top: float, right: float) -> tuple[list[str], float, float]:
        sites = list(self.colours)[:MOST_NAMES]
        told = [_fitted(self._entry(site), 360) for site in sites]
        if not told:
            return [], top, right
        wide = max(len(entry) for entry in told) * _LETTER + 30
        across = max(1, int((max(right, 900.0) - _MARGIN) // wide))
        down = ceil(len(told) / across)
        lines = []
        for i, (site, entry) in enumerate(zip(sites, told, strict=True)):
            x, y = _MARGIN + i // down * wide, top + _LINE * (i % down)
            lines.append(_rect(Box(x, y, 12, 12), self.colours[site], self.names[site]))
            lines.append(_text(x + 18, y + 10, entry))
        bottom = top + down * _LINE
        if len(self.colours) > len(sites):
            more = f"... and {len(self.colours) - len(sites)} more operations"
            lines.append(_text(_MARGIN, bottom + 10, more))
            bottom += _LINE
        return lines, bottom, max(right, _MARGIN + ceil(len(told) / down) * wide)

    def _entry(self, site: int) -> str:
        plan, tiles = self.placement.plans[site], self.placement.tiles
        copies = f", {len(plan.copies)} copies" if len(plan.copies) > 1 else ""
        arrays = len(np.unique(self.placement.arrays[tiles.site == site]))
        return f"{self.names[site]}: {plural(arrays, 'array')}{copies}"


# Elements ---------------------------------------------------------------------------------------

_FRAMES = ("#8a8a8a", "#b5b5b5", "#d0d0d0")


def _frames(grid: Nesting, depth: int) -> str:
    """The outlines of a level's members, as one path."""
    innermost = depth == len(grid.levels) - 1
    stroke = "#dddddd" if innermost else _FRAMES[min(depth, len(_FRAMES) - 1)]
    fill = "#f6f6f6" if innermost else "none"
    parts = []
    for i in range(grid.members(depth)):
        box = grid.box(i, depth)
        w, h = _n(box.width), _n(box.height)
        parts.append(f"M{_n(box.x)} {_n(box.y)}h{w}v{h}h-{w}z")
    return f'<path d="{"".join(parts)}" fill="{fill}" stroke="{stroke}" stroke-width="0.6"/>'


def _rect(box: Box, fill: str, title: str) -> str:
    place = f'x="{_n(box.x)}" y="{_n(box.y)}" width="{_n(box.width)}" height="{_n(box.height)}"'
    return f'<rect {place} fill="{fill}"><title>{_safe(title)}</title></rect>'


def _text(x: float, y: float, content: str, *, bold: bool = False, fill: str = "") -> str:
    style = ' font-weight="bold" font-size="13"' if bold else f' fill="{fill}"' if fill else ""
    return f'<text x="{_n(x)}" y="{_n(y)}"{style}>{_safe(content)}</text>'


def _is_dark(fill: str) -> bool:
    """Whether letters on a colour are white (weights of ITU-R BT.601)."""
    red, green, blue = (int(fill[i : i + 2], 16) for i in (1, 3, 5))
    return 299 * red + 587 * green + 114 * blue < 128_000


def _safe(content: str) -> str:
    return escape(printable(content).encode("utf-8", "replace").decode("utf-8"))


def _fitted(content: str, width: float) -> str:
    """As much of a name as there is room for."""
    most = max(1, int(width // _LETTER))
    return content if len(content) <= most else content[: max(1, most - 2)] + ".."


def _n(value: float) -> str:
    """A length with at most two digits behind the point."""
    return f"{value:.2f}".rstrip("0").rstrip(".")
