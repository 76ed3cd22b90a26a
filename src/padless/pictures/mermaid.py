"""A drawing as a flowchart of Mermaid, which GitHub, GitLab and notebooks draw from text."""

from __future__ import annotations

import re

from padless.pictures.drawing import Arrow, Box, Drawing
from padless.pictures.scene import row_colors


def mermaid(drawing: Drawing, rankdir: str = "TB") -> str:
    """Write a drawing as Mermaid: thick arrows carry rows, whose names they bear.

    Args:
        drawing: the drawing.
        rankdir: as of `layout`.

    Returns:
        The text of an .mmd file, or of a block in Markdown.

    Example:
        >>> from padless.pictures.drawing import Arrow, Box
        >>> print(mermaid(Drawing([Box("a", "words"), Box("b", "pooled")], [Arrow("a", "b", rows=("T",))])))
        flowchart TB
            n0["<b>words</b>"]
            n1["<b>pooled</b>"]
            n0 ==>|"T"| n1
            linkStyle 0 stroke:#0072b2
    """
    names = {part.key: f"n{at}" for at, part in enumerate(drawing.parts)}
    boxes, frames = {box.key: box for box in drawing.boxes}, {frame.key: frame for frame in drawing.frames}
    held = {part for frame in drawing.frames for part in frame.parts}
    lines = [f"flowchart {rankdir}"]
    lines += [f"    %% {_escaped(name)}: {_escaped(text)}" for name, text in drawing.legend.items()]

    def add(key: str, indent: str) -> None:
        if key in boxes:
            lines.append(f'{indent}{names[key]}["{_label(boxes[key])}"]')
            return
        lines.append(f'{indent}subgraph {names[key]}["{_escaped(frames[key].title)}"]')
        for part in frames[key].parts:
            add(part, indent + "    ")
        lines.append(f"{indent}end")

    for key in (*boxes, *frames):
        if key not in held:
            add(key, "    ")
    colors = row_colors(drawing)
    lines += [f"    {names[arrow.source]} {_arrow(arrow)} {names[arrow.target]}" for arrow in drawing.arrows]
    for at, arrow in enumerate(drawing.arrows):
        color = arrow.mark.color if arrow.mark else colors[arrow.rows[0]] if arrow.rows else None
        if color:
            lines.append(f"    linkStyle {at} stroke:{color}")
    for part in drawing.parts:
        if part.mark:
            lines.append(f"    style {names[part.key]} stroke:{part.mark.color},stroke-width:3px")
    return "\n".join(lines)


def _label(box: Box) -> str:
    said = [f"<b>{_escaped(box.name)}</b>"] if box.name else []
    said += [_escaped(text) for text in (box.kind, *box.details, box.rows) if text]
    if box.mark and box.mark.note:
        said.append(f"<b>{_escaped(box.mark.note)}</b>")
    return "<br/>".join(said)


def _arrow(arrow: Arrow) -> str:
    if not arrow.known:
        return "-.->"
    return f'==>|"{_escaped(", ".join(arrow.rows))}"|' if arrow.rows else "-->"


def _escaped(text: str) -> str:
    """Mermaid reads "#60;" as "<" where it would take "<" for its own language."""
    return re.sub(r"[^\w .,:;()'→\u00d7+*/=-]", lambda found: f"#{ord(found[0])};", _plain(text))


def _plain(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
