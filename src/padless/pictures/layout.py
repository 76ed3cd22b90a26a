"""Places for boxes, frames and arrows: layers from the first to the last, without boxes or arrows over boxes."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from statistics import fmean
from typing import NamedTuple

from padless.errors import ArgumentError, explain
from padless.pictures.columns import columns
from padless.pictures.drawing import Drawing, Frame
from padless.pictures.ranks import Key, Links, ordered, ranks

Point = tuple[float, float]
Size = tuple[float, float]
DIRECTIONS = ("TB", "BT", "LR", "RL")
_GAP, _PAD, _PORT = 34.0, 14.0, 24.0
_BEND, _NARROWEST_PORT, _BORDER_GAP = 10.0, 14.0, 8.0


class Place(NamedTuple):
    """A rectangle.

    Attributes:
        left: x of its left side; x grows to the right.
        top: y of its upper side; y grows downwards.
        width: of it.
        height: of it.
    """

    left: float
    top: float
    width: float
    height: float


class Line(NamedTuple):
    """A piece of an arrow; arrows through the borders of frames have several.

    Attributes:
        arrow: its index in the drawing.
        points: where it goes through; between two points it goes straight or swings over.
        begins: whether it begins at a box, not at a border.
        ends: whether it ends at a box.
    """

    arrow: int
    points: tuple[Point, ...]
    begins: bool
    ends: bool


@dataclass
class Layout:
    """Where everything is.

    Attributes:
        boxes: by key.
        frames: by key.
        lines: the arrows.
        width: of all.
        height: of all.
    """

    boxes: dict[str, Place] = field(default_factory=dict)
    frames: dict[str, Place] = field(default_factory=dict)
    lines: list[Line] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0
    ports: dict[Key, float] = field(default_factory=dict)


class _Segment(NamedTuple):
    """A piece of an arrow within one frame, from one node there to another."""

    source: Key
    out: Key
    target: Key
    into: Key
    arrow: int


def layout(
    drawing: Drawing, sizes: Mapping[str, Size], titles: Mapping[str, Size] | None = None, rankdir: str = "TB"
) -> Layout:
    """Find places.

    Args:
        drawing: what there is.
        sizes: width and height of each box, by key.
        titles: of each frame; none by default.
        rankdir: from where to where arrows go: "TB" from top to bottom, "BT", "LR", "RL".

    Returns:
        The places.

    Raises:
        ArgumentError: for another rankdir, or arrows in a circle.

    Example:
        >>> from padless.pictures.drawing import Arrow, Box
        >>> graph = Drawing([Box("a", "a"), Box("b", "b")], [Arrow("a", "b")])
        >>> found = layout(graph, {"a": (50, 20), "b": (70, 20)})
        >>> found.boxes["a"].top + 20 < found.boxes["b"].top
        True
    """
    if rankdir not in DIRECTIONS:
        got, fix = repr(rankdir), 'rankdir="TB" for top to bottom, "LR" for left to right'
        raise ArgumentError(explain("rankdir", expected=", ".join(DIRECTIONS), got=got, fix=fix))
    found = _Arranger(drawing, sizes, titles or {}, rankdir).arranged("")
    turn = {"TB": (False, False), "BT": (False, True), "LR": (True, False), "RL": (True, True)}[rankdir]
    return _turned(found, *turn)


def _turned(found: Layout, across: bool, backwards: bool) -> Layout:
    """What was laid out from top to bottom, in another direction."""

    def place(one: Place) -> Place:
        top = found.height - one.top - one.height if backwards else one.top
        return Place(top, one.left, one.height, one.width) if across else one._replace(top=top)

    def point(one: Point) -> Point:
        x, y = one[0], found.height - one[1] if backwards else one[1]
        return (y, x) if across else (x, y)

    return Layout(
        {key: place(one) for key, one in found.boxes.items()},
        {key: place(one) for key, one in found.frames.items()},
        [line._replace(points=tuple(map(point, line.points))) for line in found.lines],
        *((found.height, found.width) if across else (found.width, found.height)),
    )


class _Arranger:
    """Lays out frames from the inside out; all as if from top to bottom."""

    def __init__(self, drawing: Drawing, sizes: Mapping[str, Size], titles: Mapping[str, Size], rankdir: str) -> None:
        self.frames = {frame.key: frame for frame in drawing.frames}
        self.rankdir, self.titles = rankdir, titles
        self.holder = {part: frame.key for frame in drawing.frames for part in frame.parts}
        self.across = rankdir in ("LR", "RL")
        self.sizes = {box.key: self._size(sizes[box.key]) for box in drawing.boxes}
        self.nodes: dict[str, list[str]] = {"": [], **{key: [] for key in self.frames}}
        for key in (*self.sizes, *self.frames):
            self.nodes[self.holder.get(key, "")].append(key)
        self.segments: dict[str, dict[Key, _Segment]] = {key: {} for key in self.nodes}
        for at, arrow in enumerate(drawing.arrows):
            self._cut(arrow.source, arrow.target, (arrow.source, arrow.output), at)

    def _size(self, size: Size) -> Size:
        return (size[1], size[0]) if self.across else size

    def _holders(self, key: str) -> list[str]:
        """The frames around something, the outermost first; "" is around all."""
        found = [self.holder.get(key, "")]
        while found[-1]:
            found.append(self.holder.get(found[-1], ""))
        return found[::-1]

    def _cut(self, source: str, target: str, port: Key, arrow: int) -> None:
        """Cut an arrow where it goes through borders of frames."""
        before, after = self._holders(source), self._holders(target)
        shared = next((at for at, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), None)
        shared = min(len(before), len(after)) if shared is None else shared
        node: Key = source
        for frame in reversed(before[shared:]):
            self._add(frame, _Segment(node, port, ("out", port), port, arrow))
            node = frame
        for at in range(shared, len(after)):
            self._add(after[at - 1], _Segment(node, port, after[at], port, arrow))
            node = ("in", port)
        self._add(after[-1], _Segment(node, port, target, (node, port), arrow))

    def _add(self, frame: str, segment: _Segment) -> None:
        self.segments[frame].setdefault(segment[:4], segment)  # of two alike the first

    def arranged(self, frame: str) -> Layout:
        """Lay out what is in a frame, itself not among it; `ports` say where arrows go through its border."""
        inner = {key: self.arranged(key) for key in self.nodes[frame] if key in self.frames}
        padded = {key: self._framed(self.frames[key], one) for key, one in inner.items()}
        return _Layers(self, list(self.segments[frame].values()), self.nodes[frame], padded).laid_out()

    def _framed(self, frame: Frame, inner: Layout) -> Layout:
        """Add the border and the title."""
        wide, high = self._size(self.titles.get(frame.key, (0.0, 0.0)))
        left, top, bottom = _PAD, _PAD, _PAD
        if self.across:
            left += wide
            inner.height = max(inner.height, high)
        else:
            side = "in" if self.rankdir == "TB" else "out"
            through = [x for key, x in inner.ports.items() if isinstance(key, tuple) and key[0] == side]
            first = min(through, default=wide + _PAD)
            left = max(left, left + wide + _PAD - first if first < wide + _PAD else left)
            inner.width = max(inner.width, wide)
            top, bottom = (top + high, bottom) if side == "in" else (top, bottom + high)
        made = _moved(inner, left, top)
        made.width, made.height = left + inner.width + _PAD, top + inner.height + bottom
        made.lines = [_to_border(line, top, inner.height, made.height) for line in made.lines]
        made.ports = {key: x + left for key, x in inner.ports.items()}
        return made


def _moved(found: Layout, right: float, down: float) -> Layout:
    def place(one: Place) -> Place:
        return one._replace(left=one.left + right, top=one.top + down)

    lines = [line._replace(points=tuple((x + right, y + down) for x, y in line.points)) for line in found.lines]
    boxes, frames = ({key: place(one) for key, one in those.items()} for those in (found.boxes, found.frames))
    return Layout(boxes, frames, lines, found.width, found.height)


def _to_border(line: Line, top: float, inner: float, height: float) -> Line:
    """Lengthen a line that begins or ends at the edge of what is in a frame up to its border."""
    points = line.points
    if not line.begins and points[0][1] <= top:
        points = ((points[0][0], 0.0), *points)
    if not line.ends and points[-1][1] >= top + inner:
        points = (*points, (points[-1][0], height))
    return line._replace(points=points)


class _Layers:
    """The layers within one frame."""

    def __init__(
        self, arranger: _Arranger, segments: list[_Segment], nodes: list[str], inner: dict[str, Layout]
    ) -> None:
        self.segments, self.inner = segments, inner
        ports: dict[Key, None] = dict.fromkeys(
            key for segment in segments for key in (segment.source, segment.target) if isinstance(key, tuple)
        )
        self.ports = list(ports)
        self.sizes: dict[Key, Size] = {key: (_BEND, 0.0) for key in ports}
        for key in nodes:
            self.sizes[key] = self._wide_enough(key, arranger.sizes) if key not in inner else (
                inner[key].width, inner[key].height)  # fmt: skip
        self.bends: dict[int, list[Key]] = {}
        self.rows = self._ordered(nodes)
        self._find_columns()

    def _wide_enough(self, key: str, sizes: dict[str, Size]) -> Size:
        """At least so wide that its arrows have room."""
        into = len({segment.into for segment in self.segments if segment.target == key})
        out = len({segment.out for segment in self.segments if segment.source == key})
        return max(sizes[key][0], _NARROWEST_PORT * (max(into, out) + 1)), sizes[key][1]

    def _ordered(self, nodes: list[str]) -> list[list[Key]]:
        """The rows, with a bend in each row that an arrow goes through."""
        first: set[Key] = {key for key in self.ports if isinstance(key, tuple) and key[0] == "in"}
        keys: list[Key] = [*self.ports, *nodes]
        found = ranks(
            keys,
            [(one.source, one.target) for one in self.segments],
            first,
            {key for key in self.ports if key not in first},
        )
        rows: list[list[Key]] = [[] for _ in range(max(found.values(), default=-1) + 1)]
        for key in keys:
            rows[found[key]].append(key)
        links: list[tuple[Key, Key]] = []
        for at, one in enumerate(self.segments):
            way = [("bend", at, row) for row in range(found[one.source] + 1, found[one.target])]
            for bend in way:
                rows[bend[2]].append(bend)
                self.sizes[bend] = (_BEND, 0.0)
            self.bends[at] = list(way)
            chain: list[Key] = [one.source, *way, one.target]
            links += itertools.pairwise(chain)
        self.links = links
        return ordered(rows, links)

    def _find_columns(self) -> None:
        above: Links = {key: [] for row in self.rows for key in row}
        below: Links = {key: [] for row in self.rows for key in row}
        for source, target in self.links:
            above[target].append(source)
            below[source].append(target)
        bends = {bend for way in self.bends.values() for bend in way}
        middles = columns(self.rows, above, below, lambda key: self.sizes[key][0], bends)
        left = min((x - self.sizes[key][0] / 2 for key, x in middles.items()), default=0.0)
        self.middle = {key: x - left for key, x in middles.items()}

    def _offsets(self) -> dict[tuple[Key, str, Key], float]:
        """Where the arrows of each node leave it and reach it, by (node, side, port)."""
        wanted: dict[tuple[Key, str], dict[Key, list[float]]] = {}
        for at, one in enumerate(self.segments):
            chain = [one.source, *self.bends[at], one.target]
            wanted.setdefault((one.source, "out"), {}).setdefault(one.out, []).append(self.middle[chain[1]])
            wanted.setdefault((one.target, "in"), {}).setdefault(one.into, []).append(self.middle[chain[-2]])
        found: dict[tuple[Key, str, Key], float] = {}
        for (node, side), ports in wanted.items():
            width = self.sizes[node][0]
            step = min(_PORT, width / (len(ports) + 1))
            means = {port: fmean(places) for port, places in ports.items()}
            for at, port in enumerate(sorted(means, key=means.__getitem__)):
                inner = self.inner.get(node) if isinstance(node, str) else None
                if inner is not None:
                    found[node, side, port] = self.middle[node] - width / 2 + inner.ports[side, port]
                else:
                    found[node, side, port] = self.middle[node] + step * (at - (len(ports) - 1) / 2)
        return found

    def laid_out(self) -> Layout:
        """Places of all."""
        offsets = self._offsets()
        ways = []
        for at, one in enumerate(self.segments):
            ends = offsets[one.source, "out", one.out], offsets[one.target, "in", one.into]
            ways.append([ends[0], *(self.middle[bend] for bend in self.bends[at]), ends[1]])
        row_of = {key: at for at, row in enumerate(self.rows) for key in row}
        tops, heights = self._heights(ways, row_of)
        made = Layout()
        made.width = max((self.middle[key] + size[0] / 2 for key, size in self.sizes.items()), default=0.0)
        made.height = tops[-1] + heights[-1] if tops else 0.0
        for key, (width, height) in self.sizes.items():
            if isinstance(key, str):
                row = row_of[key]
                top = tops[row] + (heights[row] - height) / 2
                self._put(made, key, Place(self.middle[key] - width / 2, top, width, height))
        for one, way in zip(self.segments, ways, strict=True):
            made.lines.append(self._line(one, way, row_of[one.source], tops, heights))
            for node, x in ((one.source, way[0]), (one.target, way[-1])):
                if isinstance(node, tuple):
                    made.ports[node] = x
        return made

    def _put(self, made: Layout, key: str, place: Place) -> None:
        inner = self.inner.get(key)
        if inner is None:
            made.boxes[key] = place
            return
        moved = _moved(inner, place.left, place.top)
        made.frames |= {key: place, **moved.frames}
        made.boxes |= moved.boxes
        made.lines += moved.lines

    def _heights(self, ways: list[list[float]], row_of: dict[Key, int]) -> tuple[list[float], list[float]]:
        """Where each row begins, and how high it is; more room below one from which arrows swing far."""
        heights = [max((self.sizes[key][1] for key in row), default=0.0) for row in self.rows]
        swings = [0.0] * len(self.rows)
        for one, way in zip(self.segments, ways, strict=True):
            for at, (x, following) in enumerate(itertools.pairwise(way), row_of[one.source]):
                swings[at] = max(swings[at], abs(following - x))
        tops: list[float] = []
        y = 0.0
        for at, (height, swing) in enumerate(zip(heights, swings, strict=True)):
            tops.append(y)
            below = self.rows[at + 1] if at + 1 < len(self.rows) else []
            border = all(not self.sizes[key][1] for key in self.rows[at])
            border = border or all(not self.sizes[key][1] for key in below)
            y += height + (_BORDER_GAP if border and swing < 1 else _GAP) + min(0.12 * swing, 80.0)
        return tops, heights

    def _line(self, one: _Segment, way: list[float], row: int, tops: list[float], heights: list[float]) -> Line:
        """Through each row upright, and between rows over to the next."""
        (_, first), (_, last) = self.sizes[one.source], self.sizes[one.target]
        points: list[Point] = []
        for at, x in enumerate(way):
            top, height = tops[row + at], heights[row + at]
            points += [(x, top), (x, top + height)]
        middle = tops[row] + heights[row] / 2
        points[0] = way[0], middle + first / 2 if isinstance(one.source, str) else tops[row]
        end = row + len(way) - 1
        middle = tops[end] + heights[end] / 2
        points[-1] = way[-1], middle - last / 2 if isinstance(one.target, str) else tops[end] + heights[end]
        begins, ends = (isinstance(key, str) and key not in self.inner for key in (one.source, one.target))
        return Line(one.arrow, _without_doubles(points), begins, ends)


def _without_doubles(points: list[Point]) -> tuple[Point, ...]:
    """The points without those on a straight way from one to another."""
    kept: list[Point] = []
    for point in points:
        if kept and kept[-1] == point:
            continue
        if len(kept) > 1 and kept[-1][0] == kept[-2][0] == point[0]:
            kept[-1] = point
        else:
            kept.append(point)
    return tuple(kept)
