"""The arguments of `Model.summary`, which are Keras's, and its looks in narrow and wide lines."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from padless import Input, Model, Sequential, layers
from padless.errors import ArgumentError


def nested() -> Model:
    x = Input((None, 8), name="steps")
    inner = Sequential([layers.Dense(8, name="deep"), layers.LSTM(4, return_sequences=True, name="read")], name="inner")
    y = layers.GlobalMaxPooling1D(name="pooled")(inner(x))
    return Model(x, layers.Dense(2, name="answer")(y), name="outer")


def branching() -> Model:
    x, other = Input((None, 8), name="steps"), Input((3,), name="beside")
    y, h, _ = layers.LSTM(4, return_sequences=True, return_state=True, name="read")(x)
    z = layers.Concatenate(name="joined")([layers.GlobalMaxPooling1D(name="largest")(y), h, other])
    return Model([x, other], layers.Dense(2, name="answer")(z), name="branching")


def text_of(model: Model, *args: Any, **kwargs: Any) -> str:
    said: list[str] = []
    model.summary(*args, print_fn=said.append, **kwargs)
    assert len(said) == 1
    return said[0]


def names(text: str) -> list[str]:
    return [line.split()[0] for line in text.splitlines()[4:] if line.startswith("  ") and line.strip()]


def test_keras_has_the_same_arguments_in_the_same_order() -> None:
    keras = pytest.importorskip("keras")
    import inspect

    assert list(inspect.signature(Model.summary).parameters) == list(inspect.signature(keras.Model.summary).parameters)


def test_models_within_are_opened_when_asked() -> None:
    closed, opened = text_of(nested(), 100), text_of(nested(), 100, expand_nested=True)
    assert names(closed) == ["steps", "inner", "pooled", "answer"]
    assert "└ deep (Dense)" in opened
    assert "└ read (LSTM)" in opened


def test_what_layers_are_connected_to_is_said_where_it_is_not_the_one_above() -> None:
    assert "Connected to" not in text_of(nested(), 100)
    text = text_of(branching(), 120)
    assert "Connected to" in text
    line = next(line for line in text.splitlines() if line.strip().startswith("joined"))
    assert line.endswith("largest, read[1], beside")
    assert names(text)[:2] == ["steps", "beside"]


def test_trained_or_not() -> None:
    model = nested()
    model.get_layer("answer").trainable = False
    lines = text_of(model, 100, show_trainable=True).splitlines()
    ends = {line.split()[0]: line.split()[-1] for line in lines if line.startswith("  ") and line.strip()}
    assert (ends["inner"], ends["answer"], ends["pooled"]) == ("yes", "no", "-")


def test_a_range_of_layers() -> None:
    assert names(text_of(nested(), 100, layer_range=("inner", "pooled"))) == ["inner", "pooled"]
    assert names(text_of(nested(), 100, layer_range=["p.*", "an.*"])) == ["pooled", "answer"]
    with pytest.raises(ArgumentError, match="did you mean 'inner'"):
        text_of(nested(), layer_range=("iner", "answer"))
    with pytest.raises(ArgumentError, match="expected two names"):
        text_of(nested(), layer_range="inner")


def test_positions_as_shares_and_in_characters() -> None:
    shares = text_of(nested(), 100, positions=[0.5, 0.7, 0.9, 1.0])
    characters = text_of(nested(), 100, positions=[50, 70, 90, 100])
    assert shares == characters
    assert shares.splitlines()[2].index("Output shape") == 52
    with pytest.raises(ArgumentError, match="for 4 columns"):
        text_of(nested(), 100, positions=[0.5, 1.0])


@pytest.mark.parametrize("width", [40, 60, 80, 100, 140])
def test_no_line_is_longer_than_asked_and_nothing_is_missing(width: int) -> None:
    for model in (nested(), branching()):
        text = text_of(model, width)
        assert max(map(len, text.splitlines())) <= width
        joined = "".join(text.split())
        for layer in model.layers:
            assert f"{layer.count_params():,}" in joined
        if width >= 60:
            assert all(f"{layer.name}" in text for layer in model.layers)
    assert "has no room here" in text_of(branching(), 50)
    assert "has no room here" not in text_of(branching(), 100)


def test_names_with_brackets_are_no_markup() -> None:
    model = Sequential([Input((None, 2)), layers.LSTM(2, name="[red]a[/red]")], name="[bold]")
    text = text_of(model, 100)
    assert "[red]a[/red] (LSTM)" in text
    assert "'[bold]'" in text


def test_bytes_are_those_of_the_dtypes() -> None:
    half = Sequential([Input((4,)), layers.Dense(256, dtype="float16", use_bias=False)])
    assert "(2.00 KiB)" in text_of(half, 100)


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_a_stream_without_characters_for_lines_gets_plain_ones(encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    nested().summary(100, expand_nested=True)
    sys.stdout.flush()
    text = written.getvalue().decode(encoding)
    assert ("└ deep" in text) == (encoding == "utf-8")
    assert ("+ deep" in text) == (encoding != "utf-8")
