"""What a notebook shows: complete HTML, names and words as text, nothing from elsewhere."""

from __future__ import annotations

import math
import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from padless import Input, Model, Ragged, Sequential, layers
from padless.callbacks import History
from padless.preprocessing.text import Tokenizer
from tests.strategies import examples, lengths

EVIL = "<script>alert(1)</script>\"&'"


class Reader(HTMLParser):
    """Checks that every tag is closed in its turn; keeps tags, attributes and text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(html)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def read(value: Any) -> Reader:
    html = value._repr_html_()
    found = Reader(html)
    assert not found.tags & {"script", "link", "img", "iframe", "style"}
    assert not any(name.startswith("on") or name in ("href", "src") for name in found.attributes)
    assert "http" not in html.replace("http://www.w3.org/2000/svg", "")
    return found


def classifier(name: str = "articles") -> Sequential:
    return Sequential(
        [Input((None,), dtype="int32", name="words"), layers.Embedding(50, 4, name=name), layers.LSTM(3)], name=name
    )


def test_a_model_shows_table_and_picture() -> None:
    found = read(classifier())
    for words in ("Model: 'articles'", "(None, None, 4)", "LSTM", "Weights: 296", "rows end", "if\u00a0given"):
        assert words in found.text
    assert "svg" in found.tags
    assert "<script>" in read(classifier(EVIL)).text


def test_a_model_that_saw_nothing_shows_its_layers() -> None:
    found = read(Sequential([layers.Dense(3, name="answer")]))
    assert "answer" in found.text
    assert "Nothing is known of the input yet" in found.text
    assert "svg" not in found.tags


def test_a_model_whose_code_fails_is_shown_all_the_same() -> None:
    class Moody(Model):
        fails = False

        def __init__(self) -> None:
            super().__init__()
            self.answer = layers.Dense(2, name="answer")

        def call(self, x: Any) -> Any:
            if self.fails:
                raise RuntimeError("<not today>")
            return self.answer(x)

    made = Moody()
    made(np.ones((2, 3), np.float32))
    assert "answer" in read(made).text
    made.fails = True
    assert "<not today>" in read(made).text


def test_branches_and_models_within_models_are_in_the_table() -> None:
    x = Input((None, 4), name="x")
    inner = Sequential([layers.Dense(4, name="deep")], name="inner")
    y = layers.Add(name="sum")([inner(x), x])
    found = read(Model(x, y))
    assert "connected to" in found.text
    assert "inner, x" in found.text
    assert "deep (Dense)" in found.text


def test_a_model_of_very_many_layers_has_no_picture() -> None:
    x = y = Input((None, 2))
    for _ in range(70):
        y = layers.Activation("relu")(y)
    found = read(Model(x, y))
    assert "71 calls of layers: padless.plot_model(model) draws them." in found.text


def test_a_history_shows_curves_and_numbers() -> None:
    made = History()
    assert "History of 0 epochs" in read(made).text
    for epoch in range(20):
        logs: dict[str, Any] = {"loss": 1 / (epoch + 1), EVIL: math.nan, "f1": [0.5, 0.25]}
        if epoch % 2:
            logs["val_loss"] = 2 / (epoch + 1)
        made.on_epoch_end(epoch, logs)
    found = read(made)
    assert "History of 20 epochs" in found.text
    assert "8 epochs before these" in found.text
    assert "0.0500" in found.text
    assert "[0.5000, 0.2500]" in found.text
    assert EVIL in found.text
    assert "not a number" in found.text
    assert "val_loss=0.1000" in repr(made)


@examples(0.6)
@given(rows=lengths())
def test_any_rows_are_shown(rows: list[int]) -> None:
    x = Ragged.from_list([list(range(n)) for n in rows])
    found = read(x)
    assert f"{len(rows):,} rows, {sum(rows):,} steps" in found.text
    assert ("svg" in found.tags) == bool(rows)
    for row in list(x)[:5]:
        assert str(row.tolist()[:12])[:-1] in found.text


@pytest.mark.parametrize(
    "x",
    [
        Ragged.from_list([[[1, 2], [3]], [[4]], []]),
        Ragged.from_list([np.ones((3, 2)), np.zeros((0, 2))]),
        Ragged.from_list([[math.nan, math.inf], [1 / 3]]),
        Ragged.from_lengths(np.array(["a", EVIL, "b"], object), [2, 1]),
        Ragged.from_pairs([[[True, False]], [[True], [False]]]),
        Ragged.from_lengths(np.ones((5000, 1000), np.float32), [2000, 3000]),
    ],
    ids=["rows within rows", "features", "no numbers", "texts", "pairs", "wide"],
)
def test_values_of_any_kind_are_shown(x: Ragged) -> None:
    found = read(x)
    assert "Ragged" in found.text
    assert len(x._repr_html_()) < 8000


def test_values_of_any_backend_are_shown(backend: str) -> None:
    import padless

    x = Ragged.from_list([[1.5, 2.0], [3.0]])
    moved = x.with_values(padless.backends.current().asarray(x.values, "float32"))
    assert "[1.5, 2]" in read(moved).text


def test_a_tokenizer_shows_its_most_frequent_words() -> None:
    made = Tokenizer(num_words=3)
    assert "no words yet" in read(made).text
    made.fit_on_texts(["the cat", "the <b>hat</b>"])
    text = read(made).text
    assert "words of 2 texts; ids 1 to 2 are used (num_words=3)" in text
    assert re.search(r"the12100%", text), text
    made = Tokenizer(filters="", split="|")
    made.fit_on_texts([EVIL + "|" + "x" * 100])
    assert EVIL in read(made).text
    sequences = Tokenizer(lower=False)
    sequences.fit_on_texts([["a", 7], [7]])
    assert "7" in read(sequences).text
