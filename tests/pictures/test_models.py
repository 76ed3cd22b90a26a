"""Models as drawings: every layer there, and rows along the arrows exactly where values have them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Sequential, layers
from padless.errors import ArgumentError, NotBuiltError
from padless.operation import Operation
from padless.pictures import Arrow, Box, Drawing, Frame, Mark, Picture, drawing_of, model_to_mermaid, plot_model
from padless.pictures.models import Shown
from padless.ragged import Ragged
from padless.spec import Symbol
from tests.cases import Case, cases

SVG = "{http://www.w3.org/2000/svg}"


def articles() -> Sequential:
    """The model of the demo."""
    return Sequential(
        [
            Input((None,), dtype="int32", name="words"),
            layers.Embedding(100, 8, mask_zero=True, name="embedding"),
            layers.Bidirectional(layers.LSTM(4, return_sequences=True), name="both_ways"),
            layers.GlobalMaxPooling1D(name="pooled"),
            layers.Dense(5, activation="softmax", name="classes"),
        ],
        name="articles",
    )


def two_inputs() -> Model:
    text, recording = Input((None,), dtype="int32", name="text"), Input((None, 12), name="recording")
    speaker = Input((4,), name="speaker")
    a = layers.Embedding(50, 8, mask_zero=True, name="embedding")(text)
    a = layers.Conv1D(8, 5, strides=2, padding="same", name="strided")(a)
    a = layers.GlobalMaxPooling1D(name="largest")(a)
    b = layers.MaxPooling1D(3, name="windows")(layers.Masking(name="masking")(recording))
    b = layers.GlobalAveragePooling1D(name="mean")(b)
    x = layers.Concatenate(name="beside")([a, b, speaker])
    return Model([text, recording, speaker], layers.Dense(2, name="answer")(x), name="two")


def pupil_and_teacher() -> Model:
    """Source and target, states and attention."""
    source, target = (Input((None,), dtype="int32", name=name) for name in ("source", "target"))
    e = layers.Embedding(30, 8, mask_zero=True, name="source_embedding")(source)
    e, h, c = layers.LSTM(8, return_sequences=True, return_state=True, name="encoder")(e)
    d = layers.Embedding(30, 8, mask_zero=True, name="target_embedding")(target)
    d = layers.LSTM(8, return_sequences=True, name="decoder")(d, initial_state=[h, c])
    a = layers.Attention(name="attention")([d, e])
    y = layers.Dense(30, name="letters")(layers.Concatenate(name="beside")([d, a]))
    return Model([source, target], y, name="pupil")


def nested() -> Model:
    x = Input((None, 8), name="x")
    inner = Model(x, layers.LSTM(8, return_sequences=True, name="lstm")(layers.Dense(8, name="dense")(x)), name="inner")
    head = Sequential([layers.Dense(8, name="dense"), layers.GlobalMaxPooling1D(name="pooled")], name="head")
    i = Input((None, 8), name="steps")
    return Model(i, layers.Dense(2, name="answer")(head(inner(inner(i)))), name="outer")


class Tagger(Model):
    """A model of a class of its own, with an operator between layers."""

    def __init__(self) -> None:
        super().__init__(name="tagger")
        self.embed = layers.Embedding(50, 8, mask_zero=True, name="embed")
        self.read = layers.LSTM(8, return_sequences=True, name="read")
        self.tags = layers.Dense(3, name="tags")

    def call(self, x: Any) -> Any:
        e = self.embed(x)
        return self.tags(e + self.read(e))


class Looking(Tagger):
    """One that looks at values as symbols have none."""

    def call(self, x: Any) -> Any:
        e = self.embed(x)
        steps = self.read(Ragged(e.values * 2, e.rows))
        return self.tags(steps)


MODELS: dict[str, Callable[[], Model]] = {
    "articles": articles,
    "two_inputs": two_inputs,
    "pupil_and_teacher": pupil_and_teacher,
    "nested": nested,
}


def along(drawing: Drawing) -> dict[tuple[str, str], tuple[str, ...]]:
    return {(arrow.source, arrow.target): arrow.rows for arrow in drawing.arrows}


def said(drawing: Drawing) -> dict[str, str]:
    return {box.key: box.rows for box in drawing.boxes}


# ---- what is drawn


def symbols_for(case: Case) -> list[Symbol]:
    kind = "int64" if case.reads == "ids" else "float32"
    first = Input((None, *case.inputs[0]), dtype=kind, name="first", ragged=True)
    return [first, *(Input((None, *one), like=first, name=f"other_{at}") for at, one in enumerate(case.inputs[1:]))]


@pytest.mark.parametrize("case", cases("kept", "change", "end", "drop"))
def test_rows_of_every_layer_are_drawn(case: Case) -> None:
    """Into the layer they go; behind it they are as its case says."""
    layer = case.make("float32")
    symbols = symbols_for(case)
    states = [Input((width,), name=f"state_{at}") for at, width in enumerate(case.states)]
    arguments = {"initial_state": states} if states else {}
    made = layer(symbols if layer.merges else symbols[0], **arguments)
    outputs = list(made) if isinstance(made, list | tuple) else [made]
    model = Model([*(symbols if layer.merges else symbols[:1]), *states], outputs)
    drawing = drawing_of(model)
    arrows = {arrow.source: arrow for arrow in drawing.arrows}
    key = drawing.boxes[-1].key
    assert {arrow.target for arrow in drawing.arrows} == {key}
    assert arrows["first"].rows == ("T",)
    assert all(arrows[f"state_{at}"].rows == () for at in range(len(states)))
    words = said(drawing)[key]
    if case.rows == "kept":
        assert set(drawing.legend) == {"T"}
        assert words in ("rows go out", "mask: rows enter, rows go out")
    elif case.rows == "change":
        assert re.search(r"→ T\d", words) or words.startswith("mask: rows enter"), words
        assert len(drawing.legend) > 1
    else:
        assert words.startswith("rows end"), words
    assert (isinstance(outputs[0].standin, Ragged)) == ("rows go out" in words)


def test_rows_enter_change_and_end(backend: str) -> None:
    drawing = drawing_of(two_inputs())
    assert along(drawing) == {
        ("text", "embedding"): ("T",),
        ("embedding", "strided"): ("T",),
        ("strided", "largest"): ("T3",),
        ("recording", "masking"): ("T2",),
        ("masking", "windows"): ("T2",),
        ("windows", "mean"): ("T4",),
        ("largest", "beside"): (),
        ("mean", "beside"): (),
        ("speaker", "beside"): (),
        ("beside", "answer"): (),
    }
    assert drawing.legend["T"] == "steps of a row of 'text'"
    assert drawing.legend["T3"] == "steps of a row after strided (100 → 50)"
    assert drawing.legend["T4"] == "steps of a row after windows (100 → 33)"
    words = said(drawing)
    assert words["embedding"] == words["masking"] == "mask: rows enter"
    assert words["strided"] == "rows T → T3"
    assert words["largest"] == words["mean"] == "rows end"
    assert words["speaker"] == words["answer"] == ""
    assert drawing.boxes[0].details == ("(B, T)",)
    details = {box.key: box.details for box in drawing.boxes}
    assert details["strided"] == ("(B, T, 8) → (B, T3, 8)",)
    assert details["beside"] == ("(B, 8), (B, 12), (B, 4) → (B, 24)",)


def test_a_slice_that_keeps_the_standins_rows_is_a_change_all_the_same() -> None:
    x = Input((None, 4), name="x")
    model = Model(x, layers.GlobalMaxPooling1D()(x[:, :5]))
    assert "T2" in drawing_of(model).legend
    said_: list[str] = []
    model.summary(print_fn=said_.append, line_length=100)
    assert "change" in said_[0]


def test_rows_within_rows_are_two_lines() -> None:
    i = Input((None, None), dtype="int32", name="documents")
    x = layers.Embedding(50, 8, mask_zero=True, name="words")(i)
    x = layers.TimeDistributed(layers.LSTM(8), name="sentences")(x)
    drawing = drawing_of(Model(i, layers.LSTM(4, name="whole")(x)))
    assert list(along(drawing).values()) == [("S", "W"), ("S", "W"), ("S",)]
    assert said(drawing)["sentences"] == "rows W end"
    assert {box.key: box.kind for box in drawing.boxes}["sentences"] == "TimeDistributed(LSTM)"
    assert drawing.boxes[1].details == ("(B, S, W) → (B, S, W, 8)",)


def test_states_carry_no_rows_and_leave_at_places_of_their_own() -> None:
    drawing = drawing_of(pupil_and_teacher())
    out = {(arrow.target, arrow.output): arrow.rows for arrow in drawing.arrows if arrow.source == "encoder"}
    assert out == {("attention", ""): ("T",), ("decoder", "1"): (), ("decoder", "2"): ()}
    assert along(drawing)["attention", "beside"] == ("T2",)
    assert said(drawing)["letters"] == "rows go out"


def test_models_within_models_are_boxes_or_frames(backend: str) -> None:
    closed = drawing_of(nested())
    assert [box.key for box in closed.boxes] == ["steps", "inner", "inner:2", "head", "answer"]
    assert not closed.frames
    drawing = drawing_of(nested(), Shown(nested=True))
    assert {frame.key: frame.parts for frame in drawing.frames} == {
        "inner": ("inner/dense", "inner/lstm"),
        "inner:2": ("inner:2/dense", "inner:2/lstm"),
        "head": ("head/dense", "head/pooled"),
    }
    assert along(drawing) == {
        ("steps", "inner/dense"): ("T",),
        ("inner/dense", "inner/lstm"): ("T",),
        ("inner/lstm", "inner:2/dense"): ("T",),
        ("inner:2/dense", "inner:2/lstm"): ("T",),
        ("inner:2/lstm", "head/dense"): ("T",),
        ("head/dense", "head/pooled"): ("T",),
        ("head/pooled", "answer"): (),
    }


def test_a_class_of_its_own_is_followed_through_operators() -> None:
    model = Tagger()
    with pytest.raises(NotBuiltError, match="call it once"):
        plot_model(model, None)
    model([[1, 2, 3], [4]])
    drawing = drawing_of(model)
    assert [box.kind for box in drawing.boxes] == ["Input", "Embedding", "LSTM", "ops.add", "Dense"]
    assert set(along(drawing).values()) == {("T",)}


def test_a_picture_takes_no_names() -> None:
    """Symbols make new layers of operators, which are gone afterwards."""

    def number() -> int:
        found = re.search(r"\d+$", Operation("add").name)
        return int(found[0]) if found else 0

    model = Tagger()
    model([[1, 2, 3], [4]])
    before = number()
    drawing_of(model)
    assert number() == before + 1


def test_what_symbols_cannot_tell_is_dashed() -> None:
    model = Looking()
    model([[1, 2, 3], [4]])
    drawing = drawing_of(model)
    assert [(arrow.source, arrow.target, arrow.known) for arrow in drawing.arrows] == [
        ("input", "embed", True),
        ("embed", "read", False),
        ("read", "tags", True),
    ]
    assert said(drawing) == {
        "input": "rows as they come",
        "embed": "mask: rows enter",
        "read": "",
        "tags": "rows go out",
    }
    assert drawing.boxes[2].details == ("(B, T, 8) → (B, T, 8)",)
    assert "own lies between" in Picture(drawing).svg()


def test_a_layer_that_is_called_twice_is_two_boxes() -> None:
    x, shared = Input((None, 4), name="x"), layers.Dense(4, name="shared")
    drawing = drawing_of(Model(x, shared(shared(x))))
    assert [box.key for box in drawing.boxes] == ["x", "shared", "shared:2"]


def test_what_boxes_say_is_chosen() -> None:
    def details(**options: bool) -> tuple[str, ...]:
        shown = Shown(**{"shapes": False, **options})
        return drawing_of(articles(), shown).boxes[-1].details

    assert details() == ()
    assert details(dtype=True) == ("float32",)
    assert details(activations=True) == ("activation softmax",)
    assert details(trainable=True) == ("trained",)
    model = articles()
    model.layers[-1].trainable = False
    assert drawing_of(model, Shown(trainable=True)).boxes[-1].details[-1] == "not trained"
    assert drawing_of(articles(), Shown(names=False)).boxes[-1].name == ""


# ---- how it is written


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("rankdir", ["TB", "LR"])
def test_svg_has_every_box_and_arrow_and_the_rows_beside_them(name: str, rankdir: str) -> None:
    picture = plot_model(MODELS[name](), None, expand_nested=True, rankdir=rankdir)
    drawing, root = picture.drawing, ElementTree.fromstring(picture.svg())
    rects = [one.get("data-key") for one in root.iter(f"{SVG}rect") if one.get("class") == "box"]
    assert rects == [box.key for box in drawing.boxes]
    lines = list(root.iter(f"{SVG}polyline"))
    arrows = {(one.get("data-source"), one.get("data-target")) for one in lines if one.get("class") == "arrow"}
    assert arrows == set(along(drawing))
    rows = {
        (one.get("data-source"), one.get("data-target"), one.get("data-rows"))
        for one in lines
        if one.get("class") == "rows"
    }
    assert rows == {(a.source, a.target, name) for a in drawing.arrows for name in a.rows}
    text = " ".join(one.text or "" for one in root.iter(f"{SVG}text"))
    for box in drawing.boxes:
        assert box.name in text
        assert box.kind in text
    for name, meaning in drawing.legend.items():
        assert f"{name}: {meaning}" in text


def test_mermaid_has_thick_arrows_where_rows_go() -> None:
    assert model_to_mermaid(articles()) == "\n".join(
        [
            "flowchart TB",
            "    %% T: steps of a row of 'words'",
            '    n0["<b>words</b><br/>Input<br/>(B, T)<br/>rows as they come"]',
            '    n1["<b>embedding</b><br/>Embedding<br/>(B, T) → (B, T, 8)<br/>mask: rows enter"]',
            '    n2["<b>both_ways</b><br/>Bidirectional(LSTM)<br/>(B, T, 8) → (B, T, 8)"]',
            '    n3["<b>pooled</b><br/>GlobalMaxPooling1D<br/>(B, T, 8) → (B, 8)<br/>rows end"]',
            '    n4["<b>classes</b><br/>Dense<br/>(B, 8) → (B, 5)"]',
            '    n0 ==>|"T"| n1',
            '    n1 ==>|"T"| n2',
            '    n2 ==>|"T"| n3',
            "    n3 --> n4",
            "    linkStyle 0 stroke:#0072b2",
            "    linkStyle 1 stroke:#0072b2",
            "    linkStyle 2 stroke:#0072b2",
        ]
    )
    framed = model_to_mermaid(nested(), expand_nested=True, rankdir="LR")
    assert framed.startswith("flowchart LR\n")
    assert framed.count("subgraph") == framed.count("    end") == 3


def test_a_mark_is_red_with_its_note() -> None:
    graph = Drawing(
        [Box("a", "embedding"), Box("b", "lambda"), Box("c", "lstm")],
        [Arrow("a", "b", ("mask",)), Arrow("b", "c", mark=Mark("no mask here"))],
        [Frame("f", "a model", ("b",))],
        "from Keras",
        {"mask": "the mask of Keras"},
    ).marked({"b": Mark("here the mask is lost"), "f": Mark("within")})
    picture = Picture(graph)
    root = ElementTree.fromstring(picture.svg())
    strokes = {one.get("data-key"): one.get("stroke") for one in root.iter(f"{SVG}rect")}
    assert strokes["b"] == strokes["f"] == "#c62828" != strokes["a"]
    assert "here the mask is lost" in picture.svg()
    assert "a model: within" in picture.svg()
    assert "no mask here" in picture.svg()
    assert "style n1 stroke:#c62828" in picture.mermaid()
    assert "here the mask is lost" in picture.mermaid()
    assert "linkStyle 1 stroke:#c62828" in picture.mermaid()


EVIL = '<script>alert("1")</script> & \x00\x1b[31m ]]> "quoted" #quot; --> end `x` $x^2$ ' + "x" * 200


def test_names_are_text_wherever_they_are_written() -> None:
    x = Input((None, 4), name=EVIL)
    model = Model(x, layers.LSTM(2, name=EVIL)(x), name=EVIL)
    picture = plot_model(model, None)
    root = ElementTree.fromstring(picture.svg())
    assert {one.tag for one in root.iter()} == {
        SVG + tag for tag in ("svg", "title", "rect", "polyline", "polygon", "text")
    }
    text = model_to_mermaid(model)
    assert "script>" not in text
    assert len(text.splitlines()) == 6
    graph = Drawing(
        [Box(EVIL, EVIL, EVIL, (EVIL,), EVIL, Mark(EVIL))], [], [Frame("f", EVIL, (EVIL,))], EVIL, {EVIL: EVIL}
    )
    ElementTree.fromstring(Picture(graph).svg())
    assert "<script" not in Picture(graph).mermaid()


def test_files_by_their_endings(tmp_path: Path) -> None:
    model = articles()
    picture = padless.plot_model(model, tmp_path / "m.svg")
    assert (tmp_path / "m.svg").read_text(encoding="utf-8") == picture.svg()
    padless.utils.plot_model(model, str(tmp_path / "m.mmd"), show_shapes=False)
    assert (tmp_path / "m.mmd").read_text(encoding="utf-8").startswith("flowchart TB")
    pytest.importorskip("matplotlib")
    with pytest.raises(ArgumentError, match=r"m\.png, or another of .*mmd.*svg"):
        plot_model(model, tmp_path / "m.docx")
    plot_model(model, tmp_path / "m.png", dpi=96)
    plot_model(model, tmp_path / "m.pdf")
    assert (tmp_path / "m.pdf").read_bytes().startswith(b"%PDF")
    import matplotlib.image

    pixels = matplotlib.image.imread(tmp_path / "m.png")
    assert pixels.shape[0] == pytest.approx(picture.scene.height, abs=1)
    assert pixels.shape[1] == pytest.approx(picture.scene.width, abs=1)
    assert len(np.unique(pixels.reshape(-1, pixels.shape[2]), axis=0)) > 50


def test_without_matplotlib_svg_works_and_png_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib.figure", None)
    plot_model(articles(), tmp_path / "m.svg")
    with pytest.raises(ImportError, match=r'pip install matplotlib, or pip install "padless\[plot\]"'):
        plot_model(articles(), tmp_path / "m.png")


def test_a_picture_changes_nothing_in_the_model() -> None:
    model = Tagger()
    model([[1, 2, 3], [4]])
    before = {path: array.copy() for path, array in model.state_dict().items()}
    want = model.predict([[1, 2], [3]])
    drawing_of(model)
    after = model.state_dict()
    assert list(before) == list(after)
    assert all((before[path] == after[path]).all() for path in before)
    for a, b in zip(model.predict([[1, 2], [3]]), want, strict=True):
        np.testing.assert_array_equal(a, b)


def test_layers_of_a_sequential_without_input_are_drawn_after_a_call() -> None:
    model = Sequential([layers.Embedding(9, 4, name="embed"), layers.LSTM(2, name="read")])
    model([[1, 2], [3]])
    assert along(drawing_of(model)) == {("input", "embed"): ("T",), ("embed", "read"): ("T",)}
    assert isinstance(model.layers[0], Layer)


def test_keras_has_the_same_arguments_in_the_same_order() -> None:
    keras = pytest.importorskip("keras")
    ours, theirs = (list(inspect.signature(function).parameters) for function in (plot_model, keras.utils.plot_model))
    assert ours == theirs[: len(ours)]
    assert theirs[len(ours) :] == ["splines", "kwargs"]
