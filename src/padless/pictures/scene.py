"""A laid-out drawing as rectangles, lines and lines of text, which any format can hold."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, field
from typing import NamedTuple

from padless.pictures.drawing import RED, Arrow, Box, Drawing, Frame
from padless.pictures.layout import Layout, Line, Place, Point, layout
from padless.pictures.lettering import width_of, wrapped

INK, GREY, PALE, PAPER, LINE = "#1f2933", "#52606d", "#cbd2d9", "#ffffff", "#52606d"
FILL, FRAME_FILL, RED_FILL = "#f5f7fa", "#fafbfc", "#fdecea"
# Near Okabe and Ito's colors, which all eyes tell apart, and dark enough for small text; red is for marks alone.
ROW_COLORS = ("#0072b2", "#c46a00", "#00795a", "#b0458f", "#008ba3", "#6f6a00")
_MARGIN, _MOST_TEXT, _APART = 16.0, 250.0, 4.0
_NAME, _KIND, _DETAIL, _TITLE = 13.0, 12.0, 11.0, 15.0


class Text(NamedTuple):
    """A line of text.

    Attributes:
        x: of its middle, or of its left end.
        y: of its base line.
        text: the characters.
        size: of the font.
        color: of it.
        bold: whether it is.
        middle: whether x is the middle.
    """

    x: float
    y: float
    text: str
    size: float = _DETAIL
    color: str = INK
    bold: bool = False
    middle: bool = True


class Rectangle(NamedTuple):
    """A rectangle with round corners.

    Attributes:
        place: where.
        fill: its color.
        color: of its border.
        width: of its border.
        dashed: whether the border is.
        about: what it stands for: "box", "frame", "paper", and a key.
    """

    place: Place
    fill: str
    color: str
    width: float = 1.0
    dashed: bool = False
    about: tuple[str, str] = ("", "")


class Stroke(NamedTuple):
    """A line through points, as a curve that was cut into short pieces.

    Attributes:
        points: the points.
        color: of it.
        width: of it.
        dashed: whether it is.
        about: what it stands for: "arrow" or "rows", then source, target and the name of rows.
    """

    points: tuple[Point, ...]
    color: str
    width: float = 1.2
    dashed: bool = False
    about: tuple[str, ...] = ()


class Shape(NamedTuple):
    """A filled polygon, such as the head of an arrow.

    Attributes:
        points: its corners.
        color: of it.
    """

    points: tuple[Point, ...]
    color: str


@dataclass
class Scene:
    """Everything in a picture, what is behind first.

    Attributes:
        parts: the parts.
        width: of all.
        height: of all.
    """

    parts: list[Text | Rectangle | Stroke | Shape] = field(default_factory=list)
    width: float = 0.0
    height: float = 0.0


def scene(drawing: Drawing, rankdir: str = "TB") -> Scene:
    """Lay out a drawing.

    Args:
        drawing: what there is.
        rankdir: as of `layout`.

    Returns:
        The scene.
    """
    colors = _box_colors(drawing)
    texts = {box.key: _lines(box, colors.get(box.key, GREY)) for box in drawing.boxes}
    sizes = {key: _size(lines) for key, lines in texts.items()}
    titles = {frame.key: (width_of(_frame_title(frame), _KIND, bold=True) + 8, 20.0) for frame in drawing.frames}
    found = layout(drawing, sizes, titles, rankdir)
    made = Scene()
    made.width = _MARGIN * 2 + max(found.width, width_of(drawing.title, _TITLE, bold=True))
    top = _MARGIN + (_TITLE + 14 if drawing.title else 0)
    left = (made.width - found.width) / 2
    if drawing.title:
        made.parts.append(Text(_MARGIN, _MARGIN + _TITLE, drawing.title, _TITLE, bold=True, middle=False))
    _add_places(made, drawing, found, texts, (left, top), rankdir in ("TB", "BT"))
    made.height = top + found.height + _MARGIN
    _add_legend(made, drawing, row_colors(drawing))
    return made


def row_colors(drawing: Drawing) -> dict[str, str]:
    """A colour for each name of rows.

    Args:
        drawing: where they are.

    Returns:
        Colours by name.
    """
    return {name: ROW_COLORS[at % len(ROW_COLORS)] for at, name in enumerate(drawing.row_names)}


def _lines(box: Box, color_of_rows: str) -> list[Text]:
    """What a box says, each line at its height, x from the middle of the box."""
    said = [(box.name, _NAME, INK, True), (box.kind, _KIND, GREY, False)]
    said += [(detail, _DETAIL, INK, False) for detail in box.details]
    said.append((box.rows, _DETAIL, color_of_rows, False))
    if box.mark is not None:
        said.append((box.mark.note, _DETAIL, box.mark.color, True))
    found, y = [], 8.0
    for text, size, color, bold in said:
        for line in wrapped(text, size, _MOST_TEXT, bold=bold) if text else ():
            y += size + 3
            found.append(Text(0.0, y - 2, line, size, color, bold))
    return found


def _box_colors(drawing: Drawing) -> dict[str, str]:
    """Of the rows that leave a box, or reach it."""
    colors, found = row_colors(drawing), dict[str, str]()
    for arrow in drawing.arrows:
        if arrow.rows:
            found.setdefault(arrow.source, colors[arrow.rows[0]])
    for arrow in drawing.arrows:
        if arrow.rows:
            found.setdefault(arrow.target, colors[arrow.rows[0]])
    return found


def _size(lines: list[Text]) -> tuple[float, float]:
    width = max((width_of(line.text, line.size, bold=line.bold) for line in lines), default=0.0)
    return max(width + 20, 60.0), (lines[-1].y if lines else 12.0) + 9


def _add_places(
    made: Scene,
    drawing: Drawing,
    found: Layout,
    texts: dict[str, list[Text]],
    shift: Point,
    upright: bool,
) -> None:
    colors = row_colors(drawing)

    def moved(place: Place) -> Place:
        return place._replace(left=place.left + shift[0], top=place.top + shift[1])

    frames = {frame.key: frame for frame in drawing.frames}
    for key, place in found.frames.items():  # of frames within frames the outer ones first
        _add_frame(made, frames[key], moved(place))
    for line in found.lines:
        points = tuple((x + shift[0], y + shift[1]) for x, y in line.points)
        _add_arrow(made, drawing.arrows[line.arrow], line._replace(points=points), colors, upright)
    for box in drawing.boxes:
        place = moved(found.boxes[box.key])
        mark = box.mark
        border, fill, thick = (mark.color, RED_FILL if mark.color == RED else FILL, 2.4) if mark else (GREY, FILL, 1.0)
        made.parts.append(Rectangle(place, fill, border, thick, about=("box", box.key)))
        x, low = place.left + place.width / 2, texts[box.key][-1].y + 9 if texts[box.key] else place.height
        down = place.top + (place.height - low) / 2
        made.parts += [text._replace(x=x, y=text.y + down) for text in texts[box.key]]


def _frame_title(frame: Frame) -> str:
    return wrapped(frame.title, _KIND, 2 * _MOST_TEXT, bold=True)[0]


def _add_frame(made: Scene, frame: Frame, place: Place) -> None:
    color, thick = (frame.mark.color, 2.4) if frame.mark else (GREY, 1.0)
    made.parts.append(Rectangle(place, FRAME_FILL, color, thick, True, ("frame", frame.key)))
    made.parts.append(Text(place.left + 9, place.top + 17, _frame_title(frame), _KIND, color, True, False))


def _add_arrow(made: Scene, arrow: Arrow, line: Line, colors: dict[str, str], upright: bool) -> None:
    """The line of the values, its head, and beside it the line of the rows."""
    color, width = (arrow.mark.color, 2.4) if arrow.mark else (LINE, 1.3)
    points = curve(line.points, upright)
    about = (arrow.source, arrow.target)
    for at, name in enumerate(arrow.rows):
        beside = parallel(points, _APART * (at + 1), upright)
        made.parts.append(Stroke(beside, colors[name], 2.2, not arrow.known, ("rows", *about, name)))
        if line.begins:
            made.parts.append(_dot(beside[0], colors[name]))
    if line.ends:
        head = _head(points)
        points = (*points[:-1], ((head[1][0] + head[2][0]) / 2, (head[1][1] + head[2][1]) / 2))
        made.parts.append(Shape(head, color))
    made.parts.append(Stroke(points, color, width, not arrow.known, ("arrow", *about)))


def curve(points: tuple[Point, ...], upright: bool = True, pieces: int = 20) -> tuple[Point, ...]:
    """Swing from each point to the next; straight where they lie so.

    Args:
        points: where to go through.
        upright: whether each swing begins and ends upright, not level.
        pieces: of each swing.

    Returns:
        More points.
    """
    made = [points[0]]
    for (x, y), (u, v) in itertools.pairwise(points):
        if abs(x - u) < 0.01 or abs(y - v) < 0.01:
            made.append((u, v))
            continue
        for at in range(1, pieces + 1):
            t = at / pieces
            slow = t * t * (3 - 2 * t)
            made.append((x + slow * (u - x), y + t * (v - y)) if upright else (x + t * (u - x), y + slow * (v - y)))
    return tuple(made)


def parallel(points: tuple[Point, ...], distance: float, upright: bool = True) -> tuple[Point, ...]:
    """A line beside another.

    Args:
        points: of the other.
        distance: how far to the side.
        upright: whether the line begins and ends upright; level where it is False.

    Returns:
        As many points.
    """
    made = []
    for at, (x, y) in enumerate(points):
        (x0, y0), (x1, y1) = points[max(at - 1, 0)], points[min(at + 1, len(points) - 1)]
        if at in (0, len(points) - 1):
            x0, y0, x1, y1 = (x, y0, x, y1) if upright else (x0, y, x1, y)
        length = math.hypot(x1 - x0, y1 - y0) or 1.0
        made.append((x + distance * (y1 - y0) / length, y - distance * (x1 - x0) / length))
    return tuple(made)


def _head(points: tuple[Point, ...]) -> tuple[Point, Point, Point]:
    (x0, y0), (x, y) = points[-2], points[-1]
    length = math.hypot(x - x0, y - y0) or 1.0
    u, v = (x - x0) / length, (y - y0) / length
    return (x, y), (x - 7 * u + 3.2 * v, y - 7 * v - 3.2 * u), (x - 7 * u - 3.2 * v, y - 7 * v + 3.2 * u)


def _dot(point: Point, color: str) -> Shape:
    x, y = point
    corners = tuple((x + 2.6 * math.cos(at * math.pi / 6), y + 2.6 * math.sin(at * math.pi / 6)) for at in range(12))
    return Shape(corners, color)


def _add_legend(made: Scene, drawing: Drawing, colors: dict[str, str]) -> None:
    """What the colours mean, below all."""
    entries = [(colors[name], f"{name}: {drawing.legend[name]}" if drawing.legend.get(name) else name, "rows")
               for name in drawing.row_names]  # fmt: skip
    notes = {arrow.mark: None for arrow in drawing.arrows if arrow.mark and arrow.mark.note}
    entries += [(mark.color, mark.note, "mark") for mark in notes]
    if any(not arrow.known for arrow in drawing.arrows):
        entries.append((LINE, "code of the model's own lies between", "dashed"))
    most = max(made.width - 2 * _MARGIN - 40, 320.0)
    y = made.height
    for color, text, kind in entries:
        for at, line in enumerate(wrapped(text, _DETAIL, most)):
            if not at:
                ends = (_MARGIN, y - 1), (_MARGIN + 26, y - 1)
                if kind == "rows":
                    made.parts.append(Stroke(ends, LINE, 1.3))
                    made.parts.append(Stroke(parallel(ends, -_APART, False), color, 2.2, about=("legend", text)))
                else:
                    made.parts.append(Stroke(ends, color, 2.4 if kind == "mark" else 1.3, kind == "dashed"))
            made.parts.append(Text(_MARGIN + 34, y + 4, line, _DETAIL, INK, False, False))
            made.width = max(made.width, _MARGIN * 2 + 40 + width_of(line, _DETAIL))
            y += 17
    made.height = y + (_MARGIN - 8 if entries else 0)
