"""Penalties on outputs, and what layers add to the loss: by live steps, whatever the padding and the batching."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Ragged, Sequential, layers, regularizers
from padless.errors import ArgumentError, NotThereYetError, ShapeError
from padless.layer import calling, count_of_rows
from padless.optimizers import SGD
from padless.utils import pad_sequences, set_random_seed
from tests.tolerances import TRAINING, VALUES

RNG = np.random.default_rng(11)
LENGTHS = [3, 1, 6, 2, 4, 0, 5, 1, 2]
ROWS = [RNG.normal(size=(n, 4)).astype(np.float32) for n in LENGTHS]
IDS = [RNG.integers(1, 9, size=n).tolist() for n in LENGTHS]
NUMBERS = RNG.normal(size=(len(LENGTHS), 2)).astype(np.float32)

pytestmark = [
    pytest.mark.usefixtures("trainer"),
    pytest.mark.filterwarnings("ignore::padless.batching.EmptyRowsWarning"),
]


class Quiet(Layer):
    """Adds the squares of all steps, or their mean over rows, to the loss."""

    view = "ragged"

    def __init__(self, by_row: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.by_row = by_row

    def call(self, x: Any) -> Any:
        if self.by_row:
            sums = padless.row_sum(x * x)
            live = self.live(sums)
            count: Any = sums.shape[0]
            if live is not None:
                sums = self.xp.where(live[:, None], sums, 0.0)
                count = self.xp.sum(self.backend.cast(live, "float32"))
            self.add_loss(0.1 * self.xp.sum(sums) / count)
        else:
            self.add_loss(0.1 * x * x)
        return x


Make = Callable[[], list[Layer]]
MAKERS: dict[str, Make] = {
    "layers": lambda: [
        layers.Dense(4, activity_regularizer="l2"),
        layers.Activation("tanh", activity_regularizer=regularizers.L1L2(0.1, 0.2)),
        layers.Conv1D(3, 2, padding="same", activity_regularizer="l1", kernel_regularizer="l2"),
        layers.LSTM(3, return_sequences=True, activity_regularizer="l1"),
    ],
    "ActivityRegularization, function": lambda: [
        layers.ActivityRegularization(0.1, 0.1),
        layers.Dense(3, activity_regularizer=lambda y: 0.1 * (y * y).sum()),
    ],
    "add_loss by row": lambda: [Quiet(by_row=True)],
}


def model_of(make: Make, *first: Layer) -> Sequential:
    set_random_seed(3)
    pooled = layers.LSTM(3, activity_regularizer="l1")
    model = Sequential([Input((None, 4)), *first, *make(), pooled, layers.Dense(2, activity_regularizer="l2")])
    model.compile(SGD(0.1), "mse")
    return model


def padded(side: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x = pad_sequences(ROWS, maxlen=13, dtype="float32", padding=side)
    return x, pad_sequences([np.ones(n) for n in LENGTHS], maxlen=13, padding=side) > 0


@pytest.mark.parametrize("name", MAKERS)
def test_padding_changes_nothing(name: str) -> None:
    packed, masked = model_of(MAKERS[name]), model_of(MAKERS[name], layers.Masking())
    for side in ("post", "pre"):
        want = packed.train_on_batch(ROWS, NUMBERS)
        assert np.isfinite(want)
        np.testing.assert_allclose(masked.train_on_batch(padded(side)[0], NUMBERS), want, **TRAINING)
    for a, b in zip(masked.get_weights(), packed.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)
    want = packed.evaluate(ROWS, NUMBERS, verbose=0)
    for side in ("post", "pre"):
        x, mask = padded(side)
        poisoned = Ragged.from_padded(np.where(mask[..., None], x, np.nan), mask)
        for model, given in ((masked, x), (packed, Ragged.from_list(ROWS)), (packed, poisoned)):
            np.testing.assert_allclose(model.evaluate(given, NUMBERS, verbose=0), want, **TRAINING)


@pytest.mark.parametrize("name", MAKERS)
def test_batching_changes_no_loss_of_an_epoch(name: str) -> None:
    model = model_of(MAKERS[name])
    want = model.evaluate(ROWS, NUMBERS, batch_size=len(ROWS), verbose=0)
    for sizes in ({"batch_size": 1}, {"batch_size": 4}, {"max_tokens": 9}):
        np.testing.assert_allclose(model.evaluate(ROWS, NUMBERS, verbose=0, **sizes), want, **TRAINING)
    model.compile(SGD(0.0), "mse")
    found = model.fit(ROWS, NUMBERS, batch_size=4, verbose=0).history["loss"]
    np.testing.assert_allclose(found, [want], **TRAINING)


def test_what_a_penalty_is() -> None:
    """What all live steps cost, divided by the number of rows, those without steps among them."""
    model = Sequential([layers.ActivityRegularization(l1=0.5), layers.ActivityRegularization(l2=0.25)])
    model.compile("sgd")
    cost = sum(0.5 * np.abs(row).sum() + 0.25 * (row**2).sum() for row in ROWS) / len(ROWS)
    np.testing.assert_allclose(model.evaluate(ROWS, verbose=0), cost, **VALUES)
    np.testing.assert_allclose(model.test_on_batch(ROWS), cost, **VALUES)
    model(ROWS)
    np.testing.assert_allclose(sum(float(value) for value in model.losses), cost, **VALUES)


def test_penalties_pull_at_weights() -> None:
    """One step on 0.5 sum |x w + b|^2 / B and no other loss, by hand."""
    model = Sequential([layers.Dense(2, activity_regularizer=regularizers.L2(0.5))])
    model.compile(SGD(0.1))
    model(ROWS)
    kernel, bias = model.get_weights()
    steps = np.concatenate(ROWS)
    y = steps @ kernel + bias
    model.train_on_batch(ROWS)
    np.testing.assert_allclose(model.get_weights()[0], kernel - 0.1 * steps.T @ y / len(ROWS), **TRAINING)
    np.testing.assert_allclose(model.get_weights()[1], bias - 0.1 * y.sum(axis=0) / len(ROWS), **TRAINING)


def test_ids_left_out_cost_nothing() -> None:
    model = Sequential([layers.Embedding(9, 3, mask_zero=True, activity_regularizer="l1"), layers.LSTM(2)])
    model.compile(SGD(0.1), "mse")
    want = model.evaluate(IDS, NUMBERS, verbose=0)
    holes = [[0, *row, 0, 0] for row in IDS]
    np.testing.assert_allclose(model.evaluate(holes, NUMBERS, verbose=0), want, **TRAINING)
    np.testing.assert_allclose(model.evaluate(pad_sequences(holes), NUMBERS, verbose=0), want, **TRAINING)
    table = np.abs(model.get_weights()[0])
    plain = Sequential(model.layers[1:])
    plain.compile(SGD(0.1), "mse")
    extra = 0.01 * sum(table[row].sum() for row in IDS if row) / len(IDS)
    embedded = [model.get_weights()[0][row] if row else np.zeros((0, 3), "float32") for row in IDS]
    np.testing.assert_allclose(plain.evaluate(embedded, NUMBERS, verbose=0) + extra, want, **TRAINING)


def test_what_add_loss_takes() -> None:
    layer = Quiet()
    layer(ROWS)
    np.testing.assert_allclose(float(layer.losses[0]), 0.1 * (np.concatenate(ROWS) ** 2).sum(), **VALUES)
    for wrong, text in ((3.0, "3.0"), (layer.backend.asarray(np.ones(3, "float32")), r"shape \(3,\)"), (None, "None")):
        with pytest.raises(ShapeError, match=rf"add_loss: expected a scalar array(.|\n)*{text}"):
            layer.add_loss(wrong)
    model = Sequential([Quiet(), layers.LSTM(2)])
    model.compile("sgd", "mse")
    plain = Sequential(model.layers[1:])
    plain.compile("sgd", "mse")
    np.testing.assert_allclose(
        model.test_on_batch(ROWS, NUMBERS),
        plain.test_on_batch(ROWS, NUMBERS) + 0.1 * (np.concatenate(ROWS) ** 2).sum(),
        **TRAINING,
    )


def test_losses_are_those_of_the_last_call() -> None:
    first, last = (layers.Dense(2, activity_regularizer="l2") for _ in range(2))
    model = Sequential([Input((None, 4)), first, layers.GlobalAveragePooling1D(), last])
    model.compile(SGD(0.1), "mse")
    assert model.losses == [], "symbols cost nothing"
    for _ in range(2):
        model(ROWS)
        assert [len(one.losses) for one in (model, first, last)] == [2, 1, 1]
    before = [float(value) for value in model.losses]
    model.fit(ROWS, NUMBERS, verbose=0)
    model.predict(ROWS, verbose=0)
    assert [float(value) for value in model.losses] == before, "what fit does leaves no traces"
    first(ROWS[:1])
    assert float(model.losses[0]) != before[0]
    again = pickle.loads(pickle.dumps(copy.deepcopy(model)))
    assert again.losses == []
    model(ROWS[:1], training=True)
    assert len(model.losses) == 2


def test_regularizers_of_weights_count_among_them() -> None:
    model = Sequential([layers.Dense(2, kernel_regularizer="l2", activity_regularizer="l1")])
    model(ROWS)
    np.testing.assert_allclose(
        float(model.losses[-1]), 0.01 * (model.get_weights()[0].astype(np.float64) ** 2).sum(), **VALUES
    )
    assert len(model.losses) == 2


def test_a_shared_layer_and_models_in_models_count_each_call() -> None:
    shared = layers.Dense(4, activity_regularizer="l2")
    inner = Sequential([shared, layers.Activation("tanh")], name="inner")
    x = Input((None, 4))
    model = Model(x, layers.GlobalAveragePooling1D()(inner(shared(x))))
    model.compile("sgd", "mse")
    plain = Model(x, model.outputs[0])
    y = RNG.normal(size=(len(ROWS), 4)).astype(np.float32)
    want = plain(ROWS)
    model(ROWS)
    extra = sum(float(value) for value in model.losses)
    assert len(model.losses) == 2
    error = float(((np.asarray(model.backend.to_host(want)) - y) ** 2).mean())
    np.testing.assert_allclose(model.test_on_batch(ROWS, y), error + extra, **TRAINING)


def test_nothing_and_empty_rows_cost_nothing() -> None:
    layer = layers.Dense(3, activity_regularizer="l1")
    for rows in ([np.zeros((0, 4), "float32")] * 2, ROWS[:2]):
        layer(rows)
        assert np.isfinite(float(layer.losses[0]))
    layer(Ragged.from_lengths(np.zeros((0, 4), "float32"), []))
    assert float(layer.losses[0]) == 0


def test_costs_that_do_not_add_up_over_steps() -> None:
    layer = layers.Dense(3, activity_regularizer="orthogonal_regularizer")
    with pytest.raises(NotThereYetError, match="expected one that adds up over the steps of rows"):
        layer(ROWS)
    with pytest.raises(ArgumentError, match="nonsense"):
        layers.Dense(3, activity_regularizer="nonsense")


@pytest.mark.filterwarnings("ignore::padless.backends.jax.compiled.CompilationWarning")
def test_costs_that_compare_rows_see_real_ones_alone(trainer: str) -> None:
    x = RNG.normal(size=(5, 4)).astype(np.float32)
    model = Sequential([layers.Dense(3, activity_regularizer="orthogonal_regularizer")])
    model.compile("sgd")
    y = model.predict(x, verbose=0)
    want = regularizers.OrthogonalRegularizer()(y) / 5
    np.testing.assert_allclose(model.test_on_batch(x), want, **TRAINING)


def test_recurrent_cells_refuse_it() -> None:
    with pytest.raises(NotThereYetError, match="activity_regularizer: expected that of the layer"):
        layers.RNN(layers.LSTMCell(3, activity_regularizer="l2"))


def test_steps_as_rows_are_divided_by_the_rows() -> None:
    """A layer that hands its steps to another one as rows, as TimeDistributed does, says how many rows there are."""

    class EachStep(Layer):
        view = "ragged"

        def __init__(self) -> None:
            super().__init__()
            self.inner = layers.Dense(3, activity_regularizer="l2")

        def call(self, x: Any) -> Any:
            with calling(training=self.training, tracing=self.tracing, live=self.live(x), rows=count_of_rows(x)):
                return x.with_values(self.inner._run(x.values))

    layer = EachStep()
    for training in (None, True):
        layer(ROWS, training=training)
        assert len(layer.losses) == 1
    for stack in ([layer], [layer.inner]):
        model = Sequential(stack)
        model.compile("sgd")
        y = np.concatenate(ROWS) @ layer.inner.get_weights()[0]
        np.testing.assert_allclose(model.test_on_batch(ROWS), 0.01 * (y**2).sum() / len(ROWS), **TRAINING)


def test_functions_of_ones_own_get_them() -> None:
    model = Sequential(
        [Input((None, 4)), layers.Dense(3, activity_regularizer="l2"), layers.LSTM(2, kernel_regularizer="l2")]
    )
    params, apply = model.as_function()
    batch = apply.batch(ROWS)
    y, _, losses = apply.with_losses(params, None, batch)
    model(ROWS)
    assert len(losses) == 2
    host = model.backend.to_host
    np.testing.assert_allclose([float(host(v)) for v in losses], [float(host(v)) for v in model.losses], **VALUES)
    np.testing.assert_allclose(batch.cut(y), host(model(ROWS)), **VALUES)
