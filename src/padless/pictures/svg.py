"""A scene as SVG, on light paper of its own, so that it can be read on a dark page, too."""

from __future__ import annotations

import re
from html import escape

from padless.pictures.scene import PALE, PAPER, Rectangle, Scene, Shape, Stroke, Text

_FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"


def svg(scene: Scene, label: str = "") -> str:
    """Write a scene as SVG.

    Args:
        scene: the scene.
        label: for those who cannot see it.

    Returns:
        The text of a file, or of a part of a page.
    """
    wide, high = f"{scene.width:.0f}", f"{scene.height:.0f}"
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide}" height="{high}" viewBox="0 0 {wide} {high}" '
        f'role="img" font-family="{_FONT}" style="max-width:100%;height:auto">'
    )
    paper = f'<rect width="{wide}" height="{high}" rx="6" fill="{PAPER}" stroke="{PALE}" class="paper"/>'
    title = f"<title>{text_of(label)}</title>" if label else ""
    return "\n".join([head + title, paper, *map(_written, scene.parts), "</svg>\n"])


def text_of(value: str) -> str:
    """A text for SVG or HTML: escaped, without the characters that XML cannot hold.

    Args:
        value: any text.

    Returns:
        The text.
    """
    return escape(_FORBIDDEN.sub("\ufffd", value))


def _points(points: tuple[tuple[float, float], ...]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _about(about: tuple[str, ...]) -> str:
    """What a part stands for, for those who look something up in the file."""
    if not about or not about[0]:
        return ""
    names = {"arrow": ("source", "target"), "rows": ("source", "target", "rows")}.get(about[0], ("key",))
    said = "".join(f' data-{name}="{text_of(value)}"' for name, value in zip(names, about[1:], strict=True))
    return f' class="{about[0]}"{said}'


def _rectangle(one: Rectangle) -> str:
    place = one.place
    dashed = ' stroke-dasharray="5 4"' if one.dashed else ""
    return (
        f'<rect{_about(one.about)} x="{place.left:.1f}" y="{place.top:.1f}" width="{place.width:.1f}" '
        f'height="{place.height:.1f}" rx="5" fill="{one.fill}" stroke="{escape(one.color)}" '
        f'stroke-width="{one.width}"{dashed}/>'
    )


def _stroke(one: Stroke) -> str:
    dashed = ' stroke-dasharray="5 4"' if one.dashed else ""
    return (
        f'<polyline{_about(one.about)} points="{_points(one.points)}" fill="none" stroke="{escape(one.color)}" '
        f'stroke-width="{one.width}" stroke-linejoin="round"{dashed}/>'
    )


def _shape(one: Shape) -> str:
    return f'<polygon points="{_points(one.points)}" fill="{escape(one.color)}"/>'


def _text(one: Text) -> str:
    anchor = ' text-anchor="middle"' if one.middle else ""
    bold = ' font-weight="bold"' if one.bold else ""
    return (
        f'<text x="{one.x:.1f}" y="{one.y:.1f}" font-size="{one.size:g}" fill="{escape(one.color)}"{bold}{anchor}>'
        f"{text_of(one.text)}</text>"
    )


def _written(part: Text | Rectangle | Stroke | Shape) -> str:
    if isinstance(part, Rectangle):
        return _rectangle(part)
    if isinstance(part, Stroke):
        return _stroke(part)
    return _shape(part) if isinstance(part, Shape) else _text(part)
