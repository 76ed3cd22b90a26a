"""Audits of Keras models: each way of losing a mask is found at its layer, with its reason; what is right is clean."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from keras import layers

import padless
from padless import ArgumentError, DataError, PadlessError
from tests.auditing.keras_models import CLEAN, LOSSES, Encoder, Loss, embedded, encoder, model, rows, then, two_inputs

# Keras's variables do not take NumPy 2's copy argument, and Keras warns of some masks.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*mask.*:UserWarning"),
]


def audit(model: Any, data: Any = None, **kwargs: Any) -> padless.auditing.AuditReport:
    return padless.audit(model, data, **{"compare": False, **kwargs})


@pytest.fixture(autouse=True)
def names_begin_anew() -> None:
    """Keras numbers layers without a name through the process: "multiply" after other tests would be "multiply_49"."""
    keras.utils.clear_session()


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_each_way_of_losing_a_mask_is_named(loss: Loss) -> None:
    made = loss.make()
    report = audit(made, rows() if isinstance(made, Encoder) else None)
    assert not report.ok
    grave = [one for one in report.findings if one.grave]
    found = {(one.layer, one.reason) for one in grave}
    assert (loss.layer, loss.reason) in found, f"{found}\n{report}"
    first = next(one for one in grave if (one.layer, one.reason) == (loss.layer, loss.reason))
    assert first.starts == (loss.starts or loss.layer)
    assert first.difference > 0
    # One cause has one finding, but for what padding on the left adds, and the loss.
    others = {reason for _, reason in found} - {
        loss.reason,
        "causal_left",
        "places_from_the_left",
        "loss_counts_padding",
    }
    assert not others, str(report)


@pytest.mark.parametrize("make", CLEAN.values(), ids=CLEAN)
def test_what_keras_does_right_is_clean(make: Any) -> None:
    report = audit(make())
    assert report.ok, str(report)
    assert not [one for one in report.findings if one.grave]
    assert report.verdict.startswith("Padding changes none of this model's answers")


def test_numbers_are_those_of_keras_itself() -> None:
    made = LOSSES["GlobalMaxPooling1D"].make()
    data = rows()
    report = audit(made, data)
    longest = max(map(len, data))
    padded = keras.utils.pad_sequences(data, padding="post")
    together = np.asarray(made.predict(padded, verbose=0))
    each = np.concatenate([np.asarray(made.predict(row[None], verbose=0)) for row in data])
    assert report.of("alone").largest == pytest.approx(float(np.abs(together - each).max()), rel=1e-5)  # type: ignore[union-attr]
    assert report.columns == longest
    assert not report.invented


def test_a_model_that_is_sound_when_padded_on_the_right_is_said_so() -> None:
    make = then(lambda: layers.Conv1D(4, 3, padding="causal"), lambda: layers.Lambda(lambda x: x[:, 0]))
    assert audit(make(), sides=("right",)).ok
    both = audit(make())
    assert not both.ok
    assert both.verdict.startswith("Padded on the right, this model's answers are sound; padded on the left")


def test_a_loss_that_alone_differs_is_said_so() -> None:
    report = audit(LOSSES["loss without a mask"].make())
    assert report.verdict.startswith("Padding does not change what this model predicts, but how it learns")
    assert report.of("loss").differs  # type: ignore[union-attr]
    assert not report.training_ok


def test_the_compiled_loss_is_used() -> None:
    made = then(lambda: layers.LSTM(4), lambda: layers.Dense(3, activation="softmax"))()
    made.compile("adam", "sparse_categorical_crossentropy")
    report = audit(made)
    assert report.ok
    assert "compiled" in report.of("loss").question  # type: ignore[union-attr]
    assert report.of("loss").error == ""  # type: ignore[union-attr]


def test_a_loss_that_cannot_be_asked_is_no_end() -> None:
    made = then(lambda: layers.LSTM(4))()

    def wrong(y: Any, prediction: Any) -> Any:
        raise ValueError("not like this")

    made.compile("sgd", wrong)
    report = audit(made)
    assert "not like this" in report.of("loss").error  # type: ignore[union-attr]
    assert "not asked: ValueError: not like this" in str(report)


def test_the_model_is_left_as_it_was() -> None:
    made = then(layers.BatchNormalization, lambda: layers.Dropout(0.5), lambda: layers.GRU(3, dropout=0.3))()
    x = keras.utils.pad_sequences(rows(), padding="post")
    before, weights = np.asarray(made.predict(x, verbose=0)), [np.array(w) for w in made.get_weights()]
    calls = keras.Layer.__call__, keras.Operation.__call__
    audit(made)
    assert (keras.Layer.__call__, keras.Operation.__call__) == calls
    assert made.layers[3].rate == 0.5
    assert made.layers[4].cell.dropout == 0.3
    for one, other in zip(weights, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(before, np.asarray(made.predict(x, verbose=0)))


def test_weights_that_layers_assign_in_training_are_put_back() -> None:
    made = then(lambda: layers.SpectralNormalization(layers.Dense(4)), lambda: layers.GRU(2))()
    before = [np.array(weight) for weight in made.get_weights()]
    report = padless.audit(made)
    for one, other in zip(before, made.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    assert report.comparison is not None
    assert report.comparison.ok, str(report)


def test_a_model_of_its_own_takes_a_dict() -> None:
    class Named(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.reader = layers.Embedding(40, 4, mask_zero=True), layers.GRU(3)

        def call(self, x: Any) -> Any:
            return {"read": self.reader(self.words(x["ids"])), "kept": x["price"]}

    report = audit(Named(), {"ids": [[1, 2, 3], [4]], "price": [[1.5], [2.5]]})
    assert report.ok
    assert report.rows == (3, 1)


def test_a_model_of_fixed_length_is_compared_where_it_can_be() -> None:
    report = padless.audit(model(lambda x: layers.LSTM(3)(embedded(x)), (20,)))
    assert report.ok
    assert report.of("longer") is None
    assert report.comparison is not None
    assert report.comparison.ok


def test_a_masked_step_that_nan_gets_through_is_a_remark_only() -> None:
    report = audit(CLEAN["one attention"]())
    assert report.ok
    assert [one.reason for one in report.findings if not one.grave] == ["nan_gets_through"]


def test_padless_gives_the_same_answer_in_all_cases() -> None:
    report = padless.audit(encoder())
    found = report.comparison
    assert found is not None
    assert found.ok, str(report)
    assert found.from_keras is not None
    assert found.from_keras < 1e-5
    assert len(found.differences) == 4
    assert max(found.differences.values()) < 1e-5
    assert found.speed.steps < found.speed.padded_steps
    assert found.speed.error == ""
    assert min(found.speed.keras, found.speed.padless) > 0
    assert "That answer is Keras's own for the row alone, unpadded" in str(report)
    assert "This is one measurement" in str(report)


def test_what_padless_has_not_is_said_by_name() -> None:
    report = padless.audit(LOSSES["rows mixed"].make())
    assert report.comparison is not None
    assert "Centred" in report.comparison.error
    assert "padless could not be asked the same" in str(report)


def test_several_inputs_take_data_by_name() -> None:
    titles = [np.array([1, 2, 3]), np.array([4]), np.array([5, 6, 7, 8, 9])]
    signals = [np.ones((len(title), 3)) for title in titles]
    report = audit(two_inputs(), {"title": titles, "signal": signals})
    assert report.ok
    assert report.rows == (3, 1, 5)
    with pytest.raises(ArgumentError, match="'signal', too"):
        audit(two_inputs(), {"title": titles, "other": titles})
    with pytest.raises(DataError, match="1 and 3 steps in row 0"):
        audit(two_inputs(), {"title": titles, "signal": [signal[:1] for signal in signals]})


@pytest.mark.parametrize(
    ("make", "data", "text"),
    [
        (lambda: Encoder(), None, "a class of its own"),
        (lambda: model(lambda x: layers.Dense(2)(x), (4,), "float32"), None, "rows of unequal length"),
        (lambda: model(embedded), [[1, 2], [10_000]], "ids below"),
        (lambda: model(embedded), [], "rows with steps"),
        (lambda: model(embedded), [[[1.0, 2.0]]], "rows of shape"),
        (lambda: keras.Sequential([keras.Input((None,), dtype="string"), layers.Identity()]), None, "texts"),
        (lambda: keras.layers.Dense(3), None, "a model of Keras or padless"),
    ],
)
def test_what_cannot_be_audited_is_named(make: Any, data: Any, text: str) -> None:
    with pytest.raises(PadlessError, match=text):
        audit(make(), data)


def test_rows_too_short_for_the_model_are_made_longer() -> None:
    report = audit(then(lambda: layers.Conv1D(4, 11, name="wide"), layers.GlobalAveragePooling1D)())
    assert min(report.rows) >= 11


def test_a_model_that_cannot_read_masked_rows_is_named() -> None:
    with pytest.raises(ArgumentError, match=r"Softmax\.call.* must be broadcastable"):
        audit(then(layers.Softmax)())


def test_masked_steps_that_are_read_without_harm_are_no_clean_bill() -> None:
    """Zeros beside a row are what a convolution would pad with anyway."""

    def body(x: Any) -> Any:
        wide = layers.Conv1D(4, 5, padding="same", name="wide")
        return layers.Lambda(lambda y: y[:, :2])(wide(layers.Masking()(x)))

    report = audit(model(body, (None, 3), "float32"), sides=("right",))
    assert report.ok
    assert "masked steps are not skipped: 'wide' reads them" in report.verdict


def test_a_row_without_steps_that_gets_nan_is_a_remark() -> None:
    report = audit(CLEAN["GlobalAveragePooling1D"]())
    assert report.ok
    assert report.of("empty").differs  # type: ignore[union-attr]
    assert "A row without any real step" in str(report)
    assert not audit(CLEAN["LSTM"]()).of("empty").differs  # type: ignore[union-attr]
