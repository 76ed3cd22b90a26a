"""Any graph without circles: boxes side by side, arrows beside boxes, everything within the picture."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless.errors import ArgumentError
from padless.pictures import Arrow, Box, Drawing, Frame, Mark, Picture
from padless.pictures.layout import DIRECTIONS, Place, layout
from padless.pictures.lettering import width_of
from padless.pictures.scene import Rectangle, Stroke, Text, scene
from tests.strategies import examples


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """Boxes with long and short names, arrows from earlier to later ones, frames around some, frames within frames."""
    count = draw(st.integers(1, 12))
    names = draw(st.lists(st.text("abcdefgh_ il", max_size=60), min_size=count, max_size=count))
    boxes = [Box(str(at), name, "Kind", ("(B, T, 64)",) * (at % 3)) for at, name in enumerate(names)]
    pairs = [(a, b) for a in range(count) for b in range(a + 1, count)]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=2 * count)) if pairs else []
    arrows = [
        Arrow(str(a), str(b), draw(st.sampled_from([(), ("T",), ("S", "W")])), draw(st.sampled_from(["", "1"])))
        for a, b in chosen
    ]
    # A frame holds boxes that follow each other, so that no arrow leaves it and comes back.
    cuts = sorted(draw(st.sets(st.integers(0, count), max_size=4)))
    frames = [
        Frame(f"f{a}", "a model", tuple(str(at) for at in range(a, b))) for a, b in itertools.pairwise(cuts) if a < b
    ][:2]
    if frames and draw(st.booleans()):
        frames.append(Frame("around", "around the first", (frames[0].key,)))
    return Drawing(boxes, arrows, frames, draw(st.sampled_from(["", "a title"])), {"T": "steps"})


def apart(one: Place, other: Place) -> bool:
    return (
        one.left + one.width < other.left
        or other.left + other.width < one.left
        or one.top + one.height < other.top
        or other.top + other.height < one.top
    )


def inside(one: Place, other: Place) -> bool:
    return (
        other.left < one.left
        and other.top < one.top
        and one.left + one.width < other.left + other.width
        and one.top + one.height < other.top + other.height
    )


def holders(drawing: Drawing, key: str) -> set[str]:
    found = {frame.key for frame in drawing.frames if key in frame.parts}
    return found | {outer for frame in found for outer in holders(drawing, frame)}


@given(drawing=drawings(), rankdir=st.sampled_from(DIRECTIONS))
def test_nothing_lies_on_anything_else(drawing: Drawing, rankdir: str) -> None:
    made = scene(drawing, rankdir)
    paper = Place(0, 0, made.width, made.height)
    boxes = {part.about[1]: part.place for part in made.parts if isinstance(part, Rectangle) and part.about[0] == "box"}
    frames = {
        part.about[1]: part.place for part in made.parts if isinstance(part, Rectangle) and part.about[0] == "frame"
    }
    assert set(boxes) == {box.key for box in drawing.boxes}
    assert set(frames) == {frame.key for frame in drawing.frames}
    both = boxes | frames
    assert all(inside(place, paper) for place in both.values())
    for (a, one), (b, other) in itertools.combinations(both.items(), 2):
        if a in holders(drawing, b):
            assert inside(other, one)
        elif b in holders(drawing, a):
            assert inside(one, other)
        else:
            assert apart(one, other), (a, b)
    for part in made.parts:
        if isinstance(part, Stroke) and part.about[:1] in (("arrow",), ("rows",)):
            source, target = part.about[1:3]
            around = {source, target, *holders(drawing, source), *holders(drawing, target)}
            for key, place in both.items():
                if key not in around:
                    assert not any(within(point, place) for point in finer(part.points)), (source, target, key)
    strokes = [part for part in made.parts if isinstance(part, Stroke) and part.about[:1] in (("arrow",), ("rows",))]
    for frame in drawing.frames:
        place = frames[frame.key]
        title = Place(place.left + 9, place.top + 7, width_of(frame.name, 12), 12)
        assert not any(within(point, title) for stroke in strokes for point in finer(stroke.points))
    for text in (part for part in made.parts if isinstance(part, Text)):
        assert 0 < text.x < made.width
        assert 0 < text.y < made.height


def finer(points: tuple[tuple[float, float], ...]) -> list[tuple[float, float]]:
    return [
        (x + share / 8 * (u - x), y + share / 8 * (v - y))
        for (x, y), (u, v) in itertools.pairwise(points)
        for share in range(9)
    ]


def within(point: tuple[float, float], place: Place) -> bool:
    return place.left < point[0] < place.left + place.width and place.top < point[1] < place.top + place.height


@given(drawing=drawings())
def test_arrows_go_from_box_to_box_downwards(drawing: Drawing) -> None:
    found = layout(drawing, {box.key: (80.0, 40.0) for box in drawing.boxes})
    began, ended = set(), set()
    for line in found.lines:
        arrow = drawing.arrows[line.arrow]
        ys = [y for _, y in line.points]
        assert all(after > before - 1e-6 for before, after in itertools.pairwise(ys))
        if line.begins:
            place = found.boxes[arrow.source]
            began.add((arrow.source, arrow.output))
            assert line.points[0][1] == pytest.approx(place.top + place.height)
            assert place.left < line.points[0][0] < place.left + place.width
        if line.ends:
            place = found.boxes[arrow.target]
            ended.add((arrow.source, arrow.output, arrow.target))
            assert line.points[-1][1] == pytest.approx(place.top)
            assert place.left < line.points[-1][0] < place.left + place.width
    assert began == {(arrow.source, arrow.output) for arrow in drawing.arrows}
    assert ended == {(arrow.source, arrow.output, arrow.target) for arrow in drawing.arrows}


@examples(0.4)
@given(drawing=drawings())
def test_rows_are_a_second_line_exactly_where_arrows_carry_them(drawing: Drawing) -> None:
    strokes = [part for part in scene(drawing).parts if isinstance(part, Stroke)]
    first = {}
    for arrow in drawing.arrows:  # of two arrows alike in all but rows the first is drawn
        first.setdefault((arrow.source, arrow.output, arrow.target), arrow)
    expected = {(arrow.source, arrow.target, name) for arrow in first.values() for name in arrow.rows}
    drawn = {stroke.about[1:] for stroke in strokes if stroke.about[:1] == ("rows",)}
    assert drawn <= expected | {(a.source, a.target, name) for a in drawing.arrows for name in a.rows}
    if len(first) == len(drawing.arrows):
        assert drawn == expected


def test_a_straight_residual_and_its_layers_do_not_cross() -> None:
    """A chain of four with an arrow around each pair: each box in the middle column, no line within another box."""
    boxes = [Box(str(at), f"layer {at}") for at in range(5)]
    arrows = [Arrow(str(at), str(at + 1)) for at in range(4)] + [Arrow("0", "2"), Arrow("2", "4")]
    found = layout(Drawing(boxes, arrows), {box.key: (80.0, 30.0) for box in boxes})
    around = [line for line in found.lines if line.arrow > 3]
    assert all(len({x for x, _ in line.points[1:-1]}) == 1 for line in around)


def test_what_cannot_be_drawn_is_said() -> None:
    a, b = Box("a", "a"), Box("b", "b")
    with pytest.raises(ArgumentError, match=r"expected no circles.\n  Got: one through 'a'"):
        Picture(Drawing([a, b], [Arrow("a", "b"), Arrow("b", "a")]))
    with pytest.raises(ArgumentError, match="rankdir: expected TB, BT, LR, RL"):
        Picture(Drawing([a]), rankdir="down")
    with pytest.raises(ArgumentError, match="different keys"):
        Drawing([a, a])
    with pytest.raises(ArgumentError, match="did you mean 'a'"):
        Drawing([a], [Arrow("A", "a")])
    with pytest.raises(ArgumentError, match="in one frame at most"):
        Drawing([a], [], [Frame("f", "f", ("a",)), Frame("g", "g", ("a",))])
    with pytest.raises(ArgumentError, match="none within itself"):
        Drawing([a], [], [Frame("f", "f", ("g",)), Frame("g", "g", ("f",))])
    with pytest.raises(ArgumentError, match="did you mean 'a'"):
        Drawing([a]).marked({"aa": Mark()})
    with pytest.raises(ArgumentError, match="a name or #rrggbb"):
        Mark(color='red" onload="alert(1)')


def test_nothing_at_all_is_a_picture_too() -> None:
    assert "<svg" in Picture(Drawing([])).svg()
