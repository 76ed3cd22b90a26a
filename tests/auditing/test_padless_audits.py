"""Audits of padless models: rows that are independent are said so with numbers; a layer that mixes them is found."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import ArgumentError, Input, Model, Sequential, layers
from padless.errors import DTypeError
from tests.conftest import BACKENDS


class MixesRows(padless.Layer):
    """Takes the mean over all rows away: what no layer may do."""

    view = "steps"

    def call(self, x: Any) -> Any:
        return x - self.xp.mean(x, axis=0)


def classifier() -> Model:
    words = Input((None,), dtype="int32", name="words")
    x = layers.Embedding(30, 6, mask_zero=True)(words)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 3)(x, x)]))
    x = layers.GlobalMaxPooling1D()(layers.Dropout(0.3)(layers.Conv1D(5, 3, padding="same")(x)))
    return Model(words, layers.Dense(3, activation="softmax")(x))


@pytest.mark.parametrize("backend", [name for name in BACKENDS if name != "jax"], indirect=True)
def test_rows_are_independent_and_it_is_said_with_numbers(backend: str) -> None:
    report = padless.audit(classifier())
    assert report.ok
    assert report.findings == []
    assert report.comparison is None
    asked = {probe.name for probe in report.probes}
    assert asked >= {"alone", "longer", "left", "others", "order", "fill NaN", "fill 0", "loss", "training", "empty"}
    assert not report.of("empty").differs  # type: ignore[union-attr]
    assert (report.of("loss").error == "") == (backend == "torch")  # type: ignore[union-attr]
    assert ("row gradients" in asked) == (backend == "torch")
    assert report.of("alone").largest < 1e-6  # type: ignore[union-attr]
    assert f"padless {padless.__version__} ({backend})" in str(report)


def test_a_compiled_loss_does_not_depend_on_padding() -> None:
    model = classifier()
    model.compile("adam", "sparse_categorical_crossentropy")
    loss = padless.audit(model).of("loss")
    assert loss is not None
    assert loss.error == ""
    assert not loss.differs
    assert "compiled" in loss.question


def test_a_tagger_of_two_inputs() -> None:
    ids, numbers = Input((None,), dtype="int32", name="ids"), Input((None, 3), name="numbers")
    x = layers.Concatenate()([layers.Embedding(20, 4)(ids), layers.Dense(2)(numbers)])
    model = Model([ids, numbers], layers.Dense(4)(layers.Bidirectional(layers.GRU(3, return_sequences=True))(x)))
    model.compile("sgd", "mse")
    report = padless.audit(model)
    assert report.ok, str(report)
    assert [box.name for box in report.drawing.boxes[:2]] == ["ids", "numbers"]
    assert list(report.drawing.legend) == ["rows"]


@pytest.mark.parametrize("nested", [False, True])
def test_a_layer_that_mixes_rows_is_found(nested: bool) -> None:
    broken = [layers.LSTM(4, return_sequences=True), MixesRows(name="broken"), layers.Dense(2)]
    if nested:
        broken = [Sequential(broken, name="within")]
    report = padless.audit(Sequential([Input((None, 3)), *broken]))
    assert not report.ok
    (finding,) = report.findings
    assert finding.layer == ("within/broken" if nested else "broken")
    assert finding.reason == "mixes_rows"
    assert report.verdict.startswith("This model mixes rows")
    assert 'data-key="' not in report.verdict
    assert "mixes rows" in report.picture.svg()


def test_weights_are_left_as_they_were() -> None:
    model = Sequential([Input((None, 3)), layers.BatchNormalization(), layers.LSTM(2, stateful=True)])
    before = {path: np.array(array) for path, array in model.state_dict().items()}
    padless.audit(model)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(before[path], np.asarray(array))


def test_data_of_the_user_are_asked_about() -> None:
    report = padless.audit(classifier(), [[1, 2, 3], [], [4], [5, 6, 7, 8, 9, 10]])
    assert sorted(report.rows) == [1, 3, 6]
    assert not report.invented
    assert "of the data given" in str(report)


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: Sequential([Input((4,)), layers.Dense(2)]), ArgumentError, "inputs without steps"),
        (lambda: Sequential([layers.Dense(2)]), ArgumentError, "a model whose input is known"),
        (lambda: layers.Dense(2), DTypeError, "check_layer"),
        (lambda: 3, DTypeError, "a model of Keras or padless"),
    ],
)
def test_what_cannot_be_audited_is_named(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        padless.audit(make())


@pytest.mark.parametrize("sides", ["right", (), ("up",)])
def test_sides_are_checked(sides: Any) -> None:
    with pytest.raises(ArgumentError, match='sides of "right" and "left"'):
        padless.audit(classifier(), sides=sides)
