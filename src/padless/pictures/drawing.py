"""What a picture of a graph shows, in plain values: boxes, arrows, frames, marks. Nothing here knows of models."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from padless.errors import ArgumentError, explain, nearest

RED = "#c62828"


@dataclass(frozen=True)
class Mark:
    """What makes a box or an arrow stand out.

    Args:
        note: a sentence; under the text of a box, in the legend for an arrow.
        color: a name of CSS or "#rrggbb".

    Raises:
        ArgumentError: for anything else as color.
    """

    note: str = ""
    color: str = RED

    def __post_init__(self) -> None:
        if not re.fullmatch(r"#([0-9a-fA-F]{3}|[0-9a-fA-F]{6})|[a-zA-Z]+", self.color):
            raise ArgumentError(
                explain("Mark(color=...)", expected="a name or #rrggbb", got=repr(self.color), fix=f"color={RED!r}")
            )


@dataclass(frozen=True)
class Box:
    """A layer, an input, an output.

    Args:
        key: what arrows and frames call it.
        name: its first line, bold; "" for none.
        kind: its second line, such as the class.
        details: further lines.
        rows: a last line that says what becomes of rows.
        mark: makes it stand out.
    """

    key: str
    name: str
    kind: str = ""
    details: tuple[str, ...] = ()
    rows: str = ""
    mark: Mark | None = None


@dataclass(frozen=True)
class Arrow:
    """A value that goes from one box to another.

    Args:
        source: key of a box.
        target: key of a box.
        rows: which rows it carries, outermost first, by names of the legend; a second line each. None: ().
        output: which of the outputs of the source it is; arrows with the same one begin at one place.
        known: False draws it dashed: the way of the value is not known.
        mark: makes it stand out.
    """

    source: str
    target: str
    rows: tuple[str, ...] = ()
    output: str = ""
    known: bool = True
    mark: Mark | None = None


@dataclass(frozen=True)
class Frame:
    """A model within the model, drawn around its boxes; no arrow may leave it and come back.

    Args:
        key: what other frames call it.
        name: its title.
        parts: keys of the boxes and frames in it.
        mark: makes it stand out.
    """

    key: str
    name: str
    parts: tuple[str, ...]
    mark: Mark | None = None

    @property
    def title(self) -> str:
        """The name, with the note of the mark."""
        return self.name + (f": {self.mark.note}" if self.mark and self.mark.note else "")


@dataclass(frozen=True)
class Drawing:
    """Boxes and arrows, in no place yet.

    Args:
        boxes: in the order in which they shall stand where nothing else says it.
        arrows: between them, without circles.
        frames: around some of them.
        title: above all.
        legend: for each name of rows, what it stands for.

    Raises:
        ArgumentError: when a key is there twice, or an arrow or a frame names none that is there.

    Example:
        >>> graph = Drawing([Box("a", "words"), Box("b", "pooled")], [Arrow("a", "b", rows=("T",))])
        >>> red = graph.marked({"b": Mark("here the mask is lost")})
        >>> red.boxes[1].mark.note
        'here the mask is lost'
    """

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...] = ()
    frames: tuple[Frame, ...] = ()
    title: str = ""
    legend: Mapping[str, str] = field(default_factory=dict)

    def __init__(
        self,
        boxes: Iterable[Box],
        arrows: Iterable[Arrow] = (),
        frames: Iterable[Frame] = (),
        title: str = "",
        legend: Mapping[str, str] | None = None,
    ) -> None:
        for name, value in (("boxes", boxes), ("arrows", arrows), ("frames", frames)):
            object.__setattr__(self, name, tuple(value))
        object.__setattr__(self, "title", title)
        object.__setattr__(self, "legend", dict(legend or {}))
        self._check()

    def _check(self) -> None:
        keys = [box.key for box in self.boxes]
        known = {*keys, *(frame.key for frame in self.frames)}
        twice = len(keys) + len(self.frames) - len(known)
        if twice:
            fix = "a key of its own for each box and frame"
            raise ArgumentError(explain("Drawing", expected="different keys", got=f"{twice} more than once", fix=fix))
        self._check_frames(known)
        for arrow in self.arrows:
            for key in (arrow.source, arrow.target):
                if key not in keys:
                    raise ArgumentError(
                        explain(f"arrow to {arrow.target!r}", expected="keys of boxes", got=key, fix=nearest(key, keys))
                    )

    def _check_frames(self, known: set[str]) -> None:
        """Each box and frame is in one frame at most, and none within itself."""
        holder: dict[str, str] = {}
        for frame in self.frames:
            for part in frame.parts:
                outer: str | None = frame.key
                while outer is not None and outer != part:
                    outer = holder.get(outer)
                if part not in known or outer is not None or part in holder:
                    got = f"{part!r} in frame {frame.key!r}" + (", the second that has it" if part in holder else "")
                    fix = "each box and frame in one frame at most, by its key, and none within itself"
                    raise ArgumentError(explain("Drawing", expected="boxes and frames", got=got, fix=fix))
                holder[part] = frame.key

    def marked(self, marks: Mapping[str, Mark]) -> Drawing:
        """The same with some boxes or frames marked.

        Args:
            marks: by key.

        Returns:
            A new drawing.

        Raises:
            ArgumentError: when a key is not there.
        """
        keys = {part.key for part in self.parts}
        for key in marks:
            if key not in keys:
                raise ArgumentError(
                    explain("marked", expected="keys of boxes or frames", got=key, fix=nearest(key, keys))
                )
        return Drawing(
            (replace(box, mark=marks.get(box.key, box.mark)) for box in self.boxes),
            self.arrows,
            (replace(frame, mark=marks.get(frame.key, frame.mark)) for frame in self.frames),
            self.title,
            self.legend,
        )

    @property
    def parts(self) -> tuple[Box | Frame, ...]:
        """Boxes and frames."""
        return (*self.boxes, *self.frames)

    @property
    def row_names(self) -> list[str]:
        """The names of all rows: of the legend, then of the arrows."""
        return list(dict.fromkeys([*self.legend, *(name for arrow in self.arrows for name in arrow.rows)]))
