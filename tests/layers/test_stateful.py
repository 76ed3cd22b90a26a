"""Stateful layers: rows of a batch go on where those of the last one ended, called directly and in models."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, BackendError, NumericError, ShapeError
from padless.testing import check_layer
from tests.cases import OwnMatrixCell
from tests.tolerances import TRAINING, VALUES

pytestmark = pytest.mark.filterwarnings("ignore::padless.batching.EmptyRowsWarning")
D, H, B = 3, 4, 3
PARTS = [[3, 0, 2], [1, 4, 0], [2, 2, 5]]
"""Steps of the three rows of each of three batches."""

Host = np.ndarray[Any, Any]

MAKERS: dict[str, Callable[..., Layer]] = {
    "lstm": lambda **a: layers.LSTM(H, **a),
    "gru": lambda **a: layers.GRU(H, **a),
    "simple": lambda **a: layers.SimpleRNN(H, **a),
    "backwards": lambda **a: layers.GRU(H, go_backwards=True, **a),
    "stack": lambda **a: layers.RNN([layers.LSTMCell(H), layers.GRUCell(H)], **a),
    "own": lambda **a: layers.RNN(OwnMatrixCell(H), **a),
    "both": lambda **a: layers.Bidirectional(layers.LSTM(H, **a)),
    "both_stack": lambda **a: layers.Bidirectional(layers.RNN([layers.GRUCell(H), layers.GRUCell(2)], **a)),
}


def host(x: Any) -> Host:
    return padless.backends.of(x).to_host(x)


def pieces(at: int, parts: list[list[int]] = PARTS) -> list[Host]:
    """The rows of one batch."""
    return [np.random.default_rng((at, row)).normal(size=(n, D)).astype(np.float32) for row, n in enumerate(parts[at])]


def in_one() -> list[Host]:
    """Each row with all its pieces end to end."""
    return [np.concatenate(own) for own in zip(*(pieces(at) for at in range(3)), strict=True)]


def all_rows() -> list[Host]:
    """The rows of all batches, one batch after the other, as `fit` and `predict` take them."""
    return [row for at in range(3) for row in pieces(at)]


def leaves(tree: Any) -> list[Any]:
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list | tuple) else [tree]


def make(stateful: bool = True, **arguments: Any) -> Sequential:
    padless.utils.set_random_seed(3)
    model = Sequential(
        [layers.GRU(H, stateful=stateful, return_sequences=True), layers.LSTM(H, stateful=stateful), layers.Dense(1)]
    )
    model.compile(loss="mse", optimizer=padless.optimizers.SGD(0.1), **arguments)
    return model


# ---- layers, called directly


@pytest.mark.parametrize("name", MAKERS)
def test_it_passes_states_on_as_initial_state_does(backend: str, name: str) -> None:
    layer, plain = MAKERS[name](stateful=True, return_state=True), MAKERS[name](return_state=True)
    first = Ragged.from_list(pieces(0))
    plain(first)
    layer(first)
    layer.reset_state()  # type: ignore[attr-defined]
    layer.set_weights(plain.get_weights())
    states = None
    for at in range(3):
        x = Ragged.from_list(pieces(at))
        expected = plain(x, initial_state=states)
        got = layer(x)
        states = expected[1:]
        for one, other in zip(leaves(got), leaves(expected), strict=True):
            np.testing.assert_array_equal(host(one), host(other))
        for one, other in zip(leaves(layer.states), leaves(states), strict=True):  # type: ignore[attr-defined]
            np.testing.assert_array_equal(host(one), host(other))


@pytest.mark.parametrize("name", ["lstm", "gru", "simple", "stack", "own"])
def test_pieces_of_a_sequence_are_the_sequence(backend: str, name: str) -> None:
    layer = MAKERS[name](stateful=True, return_sequences=True)
    answers = [layer(Ragged.from_list(pieces(at))) for at in range(3)]
    kept = [host(state) for state in leaves(layer.states)]  # type: ignore[attr-defined]
    layer.reset_state()  # type: ignore[attr-defined]
    whole = layer(Ragged.from_list(in_one()))
    for row in range(B):
        got = np.concatenate([host(answer[row]) for answer in answers])
        np.testing.assert_allclose(got, host(whole[row]), **VALUES)
    for one, other in zip(kept, leaves(layer.states), strict=True):  # type: ignore[attr-defined]
        np.testing.assert_allclose(one, host(other), **VALUES)


def test_frames_too(backend: str) -> None:
    layer = layers.ConvLSTM1D(2, 3, padding="same", stateful=True)
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 2)).astype(np.float32)
    layer(x[:, :2])
    got = host(layer(x[:, 2:]))
    layer.reset_states()
    np.testing.assert_allclose(got, host(layer(x)), **VALUES)


def test_a_row_without_steps_keeps_its_state(backend: str) -> None:
    layer = layers.LSTM(H, stateful=True)
    layer(Ragged.from_list(pieces(0)))
    before = [host(state) for state in leaves(layer.states)]
    output = host(layer(Ragged.from_list([*pieces(0)[:2], np.zeros((0, D), np.float32)])))
    for one, other in zip(before, leaves(layer.states), strict=True):
        np.testing.assert_array_equal(one[2], host(other)[2])
        assert (one[0] != host(other)[0]).all()
    np.testing.assert_array_equal(output[2], before[0][2])


def test_padding_does_not_matter(backend: str) -> None:
    layer = layers.GRU(H, stateful=True)
    for at in range(3):
        layer(Ragged.from_list(pieces(at)))
    kept = host(layer.states[0])
    layer.reset_state()
    for at in range(3):
        rows = Ragged.from_list(pieces(at))
        mask = np.arange(9) >= 9 - rows.rows.row_lengths[:, None]
        layer(np.where(mask[..., None], rows.to_padded(length=9, side="pre"), np.nan), mask=mask)
    np.testing.assert_array_equal(host(layer.states[0]), kept)


def test_an_initial_state_that_is_given_comes_before_the_one_that_is_kept(backend: str) -> None:
    layer, x, start = layers.GRU(H, stateful=True), Ragged.from_list(pieces(0)), np.ones((B, H), np.float32)
    layer(x)
    given = host(layer(x, initial_state=start))
    layer.reset_state(states=[start])
    np.testing.assert_array_equal(host(layer(x)), given)
    np.testing.assert_array_equal(host(layer.states[0]), given)


def test_layers_that_are_not_stateful_keep_nothing(backend: str) -> None:
    for layer in (layers.GRU(H), layers.Bidirectional(layers.GRU(H))):
        x = Ragged.from_list(pieces(0))
        first = host(layer(x))
        layer.reset_state()
        assert layer.states is None
        np.testing.assert_array_equal(host(layer(x)), first)


# ---- models


def test_predict_goes_from_batch_to_batch(backend: str) -> None:
    model = make()
    got = model.predict(all_rows(), batch_size=B, verbose=0)
    again = model.predict(all_rows(), batch_size=B, verbose=0)
    assert np.abs(got - again).max() > 1e-4
    model.reset_state()
    np.testing.assert_array_equal(model.predict(all_rows(), batch_size=B, verbose=0), got)
    plain = make(stateful=False)
    plain.predict(in_one(), verbose=0)
    plain.set_weights(model.get_weights())
    np.testing.assert_allclose(got[-B:], plain.predict(in_one(), verbose=0), **VALUES)
    model.reset_states()
    one_by_one = np.concatenate([model.predict_on_batch(pieces(at)) for at in range(3)])
    np.testing.assert_allclose(one_by_one, got, **VALUES)


def test_evaluate_goes_from_batch_to_batch(backend: str) -> None:
    model, targets = make(), np.arange(9, dtype=np.float32)
    got = model.evaluate(all_rows(), targets, batch_size=B, verbose=0)
    model.reset_state()
    predicted = model.predict(all_rows(), batch_size=B, verbose=0)[:, 0]
    np.testing.assert_allclose(got, np.mean((predicted - targets) ** 2), **TRAINING)


def test_fit_goes_from_batch_to_batch() -> None:
    """Training by hand: each batch begins with the states that the one before ended with."""
    pytest.importorskip("torch")
    before = padless.backend()
    padless.set_backend("torch")
    try:
        fit_and_fit_by_hand()
    finally:
        padless.set_backend(before)


def fit_and_fit_by_hand() -> None:
    model, by_hand = make(), make(stateful=False)
    targets = np.linspace(-1, 1, 9, dtype=np.float32)
    for one in (model, by_hand):
        one.predict_on_batch(pieces(0))
    model.reset_state()
    by_hand.set_weights(model.get_weights())
    model.fit(all_rows(), targets, batch_size=B, epochs=2, shuffle=False, verbose=0)

    class Passing(Model):
        """The same layers, with states that are passed on by hand."""

        def __init__(self) -> None:
            super().__init__()
            self.gru, self.lstm, self.head = by_hand.layers
            self.states: list[Any] = [None, None]

        def call(self, x: Any) -> Any:
            y, *own = self.gru(x, initial_state=self.states[0])
            z, *other = self.lstm(y, initial_state=self.states[1])
            if not self.tracing:
                self.states = [[self.backend.stop_gradient(s) for s in part] for part in (own, other)]
            return self.head(z)

    passing = Passing()
    passing.gru.return_state = passing.lstm.return_state = True
    passing.compile(loss="mse", optimizer=padless.optimizers.SGD(0.1), run_eagerly=True)
    passing.fit(all_rows(), targets, batch_size=B, epochs=2, shuffle=False, verbose=0)
    for one, other in zip(model.get_weights(), by_hand.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, **TRAINING)
    kept = [state for layer in model.layers[:2] for state in layer.states]  # type: ignore[attr-defined]
    for one, other in zip(kept, leaves(passing.states), strict=True):
        np.testing.assert_allclose(host(one), host(other), **TRAINING)


def test_backends_train_alike() -> None:
    for name in ("torch", "jax"):
        pytest.importorskip(name)
    before, found = padless.backend(), []
    try:
        for name in ("torch", "jax"):
            padless.set_backend(name)
            model = Sequential([Input((None, D)), layers.LSTM(H, stateful=True), layers.Dense(1)])
            model.compile(loss="mse", optimizer=padless.optimizers.SGD(0.1))
            shapes = [w.shape for w in model.get_weights()]
            model.set_weights([np.random.default_rng(at).normal(size=shape) for at, shape in enumerate(shapes)])
            targets = np.linspace(-1, 1, 9, dtype=np.float32)
            model.fit(all_rows(), targets, batch_size=B, epochs=2, shuffle=False, verbose=0)
            states = model.layers[0].states  # type: ignore[attr-defined]
            found.append([*model.get_weights(), *map(host, states)])
    finally:
        padless.set_backend(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, **TRAINING)


def test_validation_begins_anew_and_leaves_training_where_it_was(trainer: str) -> None:
    model, targets = make(), np.zeros(9, np.float32)
    model.predict_on_batch(pieces(0))
    weights = model.get_weights()
    kept = []
    for data in (None, (all_rows()[:2], targets[:2])):
        model.reset_state()
        model.set_weights(weights)
        model.fit(all_rows(), targets, batch_size=B, shuffle=False, verbose=0, validation_data=data)
        kept.append([host(state) for layer in model.layers[:2] for state in layer.states])  # type: ignore[attr-defined]
    for one, other in zip(*kept, strict=True):
        np.testing.assert_array_equal(one, other)
    model.reset_state()
    alone = model.evaluate(all_rows()[:2], targets[:2], verbose=0)
    np.testing.assert_allclose(model.history.history["val_loss"][0], alone, **VALUES)  # type: ignore[union-attr]


def test_compiled_once_for_the_first_batch_and_once_for_the_others() -> None:
    pytest.importorskip("jax")
    before = padless.backend()
    padless.set_backend("jax")
    try:
        model = make()
        assert model.warmup(all_rows(), batch_size=B, steps="predict", verbose=0) == 2
        assert model.layers[0].states is None  # type: ignore[attr-defined]
        for _ in range(2):
            model.predict(all_rows(), batch_size=B, verbose=0)
            model.reset_state()
        assert model._programs["_prediction"][1].compilations == 2
    finally:
        padless.set_backend(before)


def test_models_in_models_and_functional_ones(backend: str) -> None:
    x = Input((None, D))
    inner = Sequential([layers.GRU(H, stateful=True, return_sequences=True)])
    model = Model(x, layers.Bidirectional(layers.LSTM(2, stateful=True))(inner(x)))
    assert inner.layers[0].states is None, "stand-ins leave no state"  # type: ignore[attr-defined]
    first = host(model(Ragged.from_list(pieces(0))))
    assert np.abs(host(model(Ragged.from_list(pieces(0)))) - first).max() > 1e-4
    model.summary(print_fn=lambda text: None)
    model.reset_state()
    np.testing.assert_array_equal(host(model(Ragged.from_list(pieces(0)))), first)


def test_states_are_neither_weights_nor_in_files(backend: str, tmp_path: Path) -> None:
    model = make()
    first = model.predict(pieces(0), verbose=0)
    assert len(model.get_weights()) == 8
    assert not any("kept" in path or "state" in path for path in model.state_dict())
    model.save(tmp_path / "model.safetensors")
    again = padless.load_model(tmp_path / "model.safetensors")
    assert again.layers[0].stateful  # type: ignore[attr-defined]
    np.testing.assert_array_equal(again.predict(pieces(0), verbose=0), first)


def test_what_is_no_number_leaves_the_states_of_before(trainer: str) -> None:
    model = make()
    model.train_on_batch(pieces(0), np.zeros(B, np.float32))
    kept = [host(state) for state in leaves(model.layers[0].states)]  # type: ignore[attr-defined]
    with pytest.raises(NumericError):
        model.train_on_batch(pieces(1), np.full(B, np.nan, np.float32))
    for one, other in zip(kept, leaves(model.layers[0].states), strict=True):  # type: ignore[attr-defined]
        np.testing.assert_array_equal(one, host(other))


@pytest.mark.parametrize("name", ["gru", "both"])
def test_check_layer_takes_each_call_for_a_first_one(name: str) -> None:
    check_layer(MAKERS[name](stateful=True, return_sequences=True))


# ---- errors


@pytest.mark.parametrize("name", MAKERS)
def test_a_batch_of_another_size(backend: str, name: str) -> None:
    layer = MAKERS[name](stateful=True)
    layer(Ragged.from_list(pieces(0)))
    with pytest.raises(
        ShapeError, match=r"stateful: expected a batch of 3 rows[^$]*Got: a batch of 2 rows[^$]*reset_state"
    ):
        layer(Ragged.from_list(pieces(1)[:2]))
    layer.reset_state()  # type: ignore[attr-defined]
    layer(Ragged.from_list(pieces(1)[:2]))


def test_rows_that_batches_of_one_size_do_not_divide(backend: str) -> None:
    model = make()
    with pytest.raises(ShapeError, match=r"layers/0 of 'sequential[^$]*a batch of 3 rows[^$]*a batch of 1 rows"):
        model.predict(all_rows()[:4], batch_size=B, verbose=0)


def test_shuffled_rows_cannot_follow_each_other(trainer: str) -> None:
    model = make()
    with pytest.raises(ArgumentError, match=r"shuffle=False: each row[^$]*layers/0[^$]*batch_size that divides"):
        model.fit(all_rows(), np.zeros(9), batch_size=B, verbose=0)


def test_directions_that_differ() -> None:
    with pytest.raises(ArgumentError, match="stateful True and False"):
        layers.Bidirectional(layers.GRU(H, stateful=True), backward_layer=layers.GRU(H, go_backwards=True))


def test_inside_of_a_transformation_of_jax() -> None:
    jax = pytest.importorskip("jax")
    before = padless.backend()
    padless.set_backend("jax")
    try:
        layer = layers.GRU(H, stateful=True)
        x = np.ones((2, 3, D), np.float32)
        layer(x)
        with pytest.raises(BackendError, match="return_state=True and initial_state="):
            jax.jit(lambda a: layer(a))(x)
        assert np.isfinite(host(layer(x))).all()
        model = Sequential([layers.GRU(H, stateful=True)])
        first = host(model(x))
        params, apply = model.as_function()
        function = jax.jit(lambda p, a: apply(p, a))
        for _ in range(2):
            np.testing.assert_allclose(host(function(params, x)), first, **VALUES)
        gradient = jax.grad(lambda p: apply(p, x).sum())(params)
        assert all(np.isfinite(np.asarray(a)).all() for a in gradient.values())
    finally:
        padless.set_backend(before)
