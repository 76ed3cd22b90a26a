"""Bad input: padless's own exception, with what was expected, what came, and what to write; nothing is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import MaskError, Ragged, Sequential, layers
from padless.batching import EmptyRowsWarning
from padless.errors import ArgumentError, BackendError, DataError, DTypeError, NotBuiltError, NumericError, ShapeError
from padless.optimizers import SGD

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5]]


pytestmark = pytest.mark.usefixtures("trainer")


def classifier(**kwargs: Any) -> Sequential:
    model = Sequential([layers.Embedding(10, 4, mask_zero=True), layers.LSTM(3), layers.Dense(2, activation="softmax")])
    model.compile(**{"optimizer": "adam", "loss": "sparse_categorical_crossentropy", **kwargs})
    return model


def tagger() -> Sequential:
    model = Sequential([layers.Embedding(10, 4, mask_zero=True), layers.Dense(3, activation="softmax")])
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    return model


def test_wrong_rank() -> None:
    with pytest.raises(ShapeError, match=r"LSTM"):
        layers.LSTM(3)(np.ones((2, 3), "float32"))
    with pytest.raises(ShapeError, match=r"LSTM"):
        layers.LSTM(3)(np.ones(3, "float32"))
    with pytest.raises(ShapeError, match=r"Conv1D"):
        layers.Conv1D(3, 2)([[1.0, 2.0]])


def test_floats_into_embedding() -> None:
    with pytest.raises(DTypeError, match=r"(?s)Embedding.*whole numbers.*float32.*astype"):
        classifier().predict([[1.5, 2.5]])


def test_ids_outside_the_vocabulary_name_the_id_and_the_row() -> None:
    with pytest.raises(DataError, match=r"(?s)id 10 in row 1.*input_dim=11"):
        classifier().predict([[1, 2], [3, 10]])
    with pytest.raises(DataError, match=r"id -1 in row 0"):
        classifier().predict([[1, -1]])


def test_unequal_counts() -> None:
    with pytest.raises(DataError, match=r"3 in x, 2 in y"):
        classifier().fit(IDS, [0, 1], verbose=0)
    with pytest.raises(DataError, match=r"1 in sample_weight"):
        classifier().fit(IDS, [0, 1, 0], sample_weight=[1.0], verbose=0)


def test_targets_with_other_row_lengths_show_the_first_row_that_differs() -> None:
    with pytest.raises(DataError, match=r"row 1 has 1 steps on one side and 2 on the other"):
        tagger().fit(IDS, [[0, 1, 2], [0, 1], [0] * 5], verbose=0)
    with pytest.raises(DataError, match="predictions have rows"):
        tagger().fit(IDS, [0, 1, 2], verbose=0)
    with pytest.raises(DataError, match="it has no rows"):
        classifier().fit(IDS, Ragged.from_list([[0, 1, 0], [0], [1] * 5]), verbose=0)


def test_labels_outside_the_classes() -> None:
    with pytest.raises(DataError, match="2"):
        classifier().fit(IDS, [0, 1, 2], verbose=0)
    with pytest.raises(DataError, match="row 2"):
        tagger().fit(IDS, [[0, 1, 2], [0], [1, 1, 1, 7, 1]], batch_size=3, shuffle=False, verbose=0)


def test_a_loss_that_is_no_number_names_batch_and_layer_and_keeps_the_weights() -> None:
    model = Sequential([layers.Dense(3, name="first"), layers.Dense(1, name="second")])
    model.compile(optimizer=SGD(0.1), loss="mse")
    x = [np.ones((2, 2), "float32") for _ in range(6)]
    y = [np.ones((2, 1), "float32") for _ in range(6)]
    model.fit(x[:2], y[:2], verbose=0)
    x[5] = x[5] * np.nan
    with pytest.raises(NumericError, match=r"(?s)epoch 1, batch 2.*layer 'first'.*got it in its input"):
        model.fit(x, y, batch_size=2, shuffle=False, verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())
    assert model.history is not None
    model.layers[1].set_weights([np.full((3, 1), np.inf, "float32"), np.zeros(1, "float32")])
    with pytest.raises(NumericError, match=r"(?s)layer 'second'.*made it.*'kernel'"):
        model.fit(x[:2], y[:2], verbose=0)


def test_an_empty_data_set() -> None:
    for x, y in (([], []), (np.zeros((0, 3), np.int64), np.zeros(0))):
        with pytest.raises(DataError, match="at least one row"):
            classifier().fit(x, y, verbose=0)


def test_unknown_names_suggest_the_nearest() -> None:
    model = Sequential([layers.Dense(1)])
    with pytest.raises(ArgumentError, match="'adam'"):
        model.compile(optimizer="adm")
    with pytest.raises(ArgumentError, match="sparse_categorical_crossentropy"):
        model.compile(loss="sparse_categorical_crosentropy")
    with pytest.raises(ArgumentError, match="accuracy"):
        model.compile(loss="mse", metrics=["accurcy"])
    with pytest.raises(ArgumentError, match="relu"):
        layers.Dense(1, activation="rellu")
    with pytest.raises(ArgumentError, match="list"):
        model.compile(loss="mse", metrics="accuracy")


def test_a_generator_that_ends_early_keeps_what_was_learned() -> None:
    model = classifier()
    model.predict(IDS)
    before = model.get_weights()[0]

    def short() -> Any:
        for _ in range(3):
            yield IDS, np.array([0, 1, 0])

    with pytest.raises(DataError, match=r"(?s)2 batches.*got: 1.*steps_per_epoch".replace("got", "Got")):
        model.fit(short(), epochs=2, steps_per_epoch=2, verbose=0)
    assert model.history is not None
    assert len(model.history.history["loss"]) == 1
    assert not np.array_equal(model.get_weights()[0], before)
    with pytest.raises(DataError, match="at least one batch"):
        model.fit(iter(()), verbose=0)
    with pytest.raises(DataError, match="inside the batches"):
        model.fit(short(), np.zeros(3), verbose=0)


def test_not_compiled_not_given() -> None:
    model = Sequential([layers.Dense(1)])
    with pytest.raises(NotBuiltError, match=r"model.compile\("):
        model.fit(np.ones((2, 2), "float32"), np.ones(2))
    model.compile(loss="mse")
    with pytest.raises(ArgumentError, match="x=None"):
        model.fit()
    with pytest.raises(DataError, match="batch_size"):
        model.fit(np.ones((2, 2), "float32"), np.ones((2, 1)), batch_size=0)
    with pytest.raises(DataError, match="validation_split"):
        model.fit(np.ones((1, 2), "float32"), np.ones((1, 1)), validation_split=0.5)


def test_texts_are_no_numbers() -> None:
    with pytest.raises(DTypeError, match="Tokenizer"):
        classifier().predict(["a text", "another"])


def test_empty_rows_are_legal_and_warned_of_once() -> None:
    model = classifier()
    with pytest.warns(EmptyRowsWarning, match="2 of 4 rows of x have no steps; the first is row 1") as caught:
        model.fit([[1], [], [2, 3], []], [0, 1, 0, 1], epochs=3, verbose=0)
    assert len(caught) == 1
    assert np.isfinite(model.predict_on_batch([[], [1]])).all()


def test_numpy_predicts_but_does_not_train() -> None:
    padless.set_backend("numpy")
    try:
        model = classifier()
        assert model.predict(IDS).shape == (3, 2)
        with pytest.raises(BackendError, match=r'set_backend\("torch"\)'):
            model.fit(IDS, [0, 1, 0], verbose=0)
    finally:
        padless.set_backend("torch")


def test_unknown_backend() -> None:
    with pytest.raises(BackendError, match="did you mean 'torch'"):
        padless.set_backend("torhc")


def test_lists_of_labels_and_of_one_hot_vectors() -> None:
    model = classifier()
    model.predict(IDS)
    want = model.evaluate(IDS, np.array([0, 1, 0]), verbose=0)
    assert model.evaluate(IDS, [[0], [1], [0]], verbose=0) == pytest.approx(want)
    model.compile(loss="categorical_crossentropy")
    assert model.evaluate(IDS, [[1, 0], [0, 1], [1, 0]], verbose=0) == pytest.approx(want)


def test_things_that_are_no_sequences() -> None:
    model = classifier()
    for wrong in ("abc", 5, {"a": [[1]]}):
        with pytest.raises(DTypeError, match="expected a list of sequences, a Ragged or an array"):
            model.predict(wrong)
    with pytest.raises(DataError, match="row 0 has steps of unequal shapes"):
        model.predict([[[1, 2], 3]])
    for steps in ([[[1, 2], [3]]], np.zeros((2, 3, 4), np.int64)):
        with pytest.raises(MaskError, match="rows within rows"):
            model.predict(steps)
    with pytest.raises(ArgumentError, match="y=None"):
        model.fit(IDS, verbose=0)


def test_no_rows_at_all_and_a_giant_among_dwarfs() -> None:
    model = classifier()
    assert tuple(model([]).shape) == (0, 2)
    assert tuple(model(Ragged.from_list([])).shape) == (0, 2)
    giant = [[1 + n % 9 for n in range(5000)], [1], [2, 3]]
    np.testing.assert_allclose(model.predict(giant)[1:], model.predict(giant[1:]), rtol=1e-5)


@pytest.mark.parametrize("name", ["train_step", "test_step", "compute_loss"])
def test_a_step_of_its_own_is_not_passed_over(name: str) -> None:
    model = type("Own", (Sequential,), {name: lambda self, *data: {}})([layers.Dense(1)])
    with pytest.raises(ArgumentError, match=rf"Own.{name}[^$]*another name for the method"):
        model.compile("adam", "mse")


def test_a_list_of_inputs_for_a_subclassed_model_says_tuple() -> None:
    class Both(padless.Model):
        def __init__(self) -> None:
            super().__init__()
            self.lookup, self.read, self.answer = layers.Embedding(10, 4), layers.GRU(3), layers.Dense(1)

        def call(self, x: Any) -> Any:
            one, other = (self.read(self.lookup(part)) for part in x)
            return self.answer(one * other)

    model = Both()
    model.compile("adam", "mse")
    with pytest.raises(DataError, match=r"2 in x, 3 in y[^$]*a tuple"):
        model.fit([IDS, IDS], np.ones(3), verbose=0)
    model.fit((IDS, IDS), np.ones(3), verbose=0)
