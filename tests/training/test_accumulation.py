"""Several batches in a step are exactly one large batch; averages of weights take their place when training ends."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import layers, optimizers, schedules
from padless.errors import NumericError
from tests.tolerances import TRAINING

torch = pytest.importorskip("torch")


@pytest.fixture(params=["torch", "jax"], autouse=True)
def trains(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param, reason="trains on torch and JAX")
    before = padless.backend()
    padless.set_backend(request.param)
    yield request.param
    padless.set_backend(before)


def rows_of(lengths: list[int], seed: int = 0) -> tuple[list[Any], list[Any], list[Any]]:
    """Sequences, a target and a weight for each step."""
    random = np.random.default_rng(seed)
    x = [random.normal(size=(n, 3)).astype("float32") for n in lengths]
    y = [random.normal(size=(n, 1)).astype("float32") for n in lengths]
    return x, y, [random.uniform(0, 2, size=n).astype("float32") for n in lengths]


def tagger() -> Any:
    padless.utils.set_random_seed(0)
    return padless.Sequential([layers.LSTM(4, return_sequences=True, kernel_regularizer="l2"), layers.Dense(1)])


def weights_of(model: Any) -> list[Any]:
    return [np.array(model.backend.to_host(w)) for w in model.weights]


def equal(one: Any, other: Any) -> None:
    for a, b in zip(weights_of(one), weights_of(other), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)


LENGTHS = [1, 7, 2, 2, 5, 9, 1, 3]


@pytest.mark.parametrize("more", [{}, {"clipnorm": 0.1}, {"weight_decay": 0.1, "use_ema": True}])
@pytest.mark.parametrize("name", ["SGD", "Adam", "Nadam", "Adafactor"])
def test_batches_of_a_step_are_one_large_batch(name: str, more: dict[str, Any]) -> None:
    x, y, weight = rows_of(LENGTHS)
    models = []
    for size, batches in ((8, None), (2, 4)):
        model = tagger()
        model.compile(getattr(optimizers, name)(0.05, gradient_accumulation_steps=batches, **more), "mse")
        history = model.fit(x, y, size, 3, sample_weight=weight, shuffle=False, verbose=0)
        assert model.optimizer.iterations == 3
        models.append((model, history.history["loss"][0]))
    equal(models[0][0], models[1][0])
    assert models[0][1] == pytest.approx(models[1][1], rel=1e-5)


@given(st.lists(st.integers(1, 6), min_size=4, max_size=4), st.integers(0, 99))
def test_for_any_lengths(lengths: list[int], seed: int) -> None:
    """Steps of one row each; a mean of the gradients of rows would be another."""
    if padless.backend() == "jax":
        lengths, seed = [1, 2, 1, 2], seed % 3  # sizes that are compiled already
    x, y, weight = rows_of(lengths, seed)
    weight[1][:] = 0  # a batch without weight
    models = []
    for size, batches in ((4, None), (1, 4)):
        model = padless.Sequential([layers.Dense(1, kernel_initializer="ones")])
        model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=batches), "mse")
        model.fit(x, y, size, sample_weight=weight, shuffle=False, verbose=0)
        models.append(model)
    equal(*models)


def test_several_outputs_count_apart() -> None:
    """Tags count by steps, topics by rows."""
    x, tags, _ = rows_of(LENGTHS)
    topics = np.arange(8, dtype="float32").reshape(8, 1)
    models = []
    for size, batches in ((8, None), (2, 4)):
        padless.utils.set_random_seed(0)
        steps = padless.Input((None, 3))
        read = layers.LSTM(4, return_sequences=True)(steps)
        out = {"tags": layers.Dense(1)(read), "topic": layers.Dense(1)(layers.GlobalAveragePooling1D()(read))}
        model = padless.Model(steps, out)
        optimizer = optimizers.Adam(0.05, gradient_accumulation_steps=batches)
        model.compile(optimizer, {"tags": "mse", "topic": "mae"}, loss_weights={"tags": 2.0, "topic": 0.5})
        model.fit(x, {"tags": tags, "topic": topics}, size, 3, shuffle=False, verbose=0)
        models.append(model)
    equal(*models)


def test_a_model_without_a_loss_of_its_own() -> None:
    class Sized(padless.Layer):
        view = "steps"

        def build(self, spec: Any) -> None:
            self.scale = self.add_weight("scale", (), "ones")

        def call(self, x: Any) -> Any:
            self.add_loss((self.scale - 3.0) ** 2)
            return x * self.scale

    model = padless.Sequential([Sized()])
    model.compile(optimizers.SGD(0.25, gradient_accumulation_steps=2))
    model.fit(rows_of([1, 2, 3, 4])[0], batch_size=1, epochs=2, verbose=0)
    # Four steps halve the distance of 2.
    assert weights_of(model)[0] == pytest.approx(3 - 2 / 2**4)


def test_batches_that_are_left_over_wait() -> None:
    x, y, _ = rows_of([2, 3, 4])
    model = tagger()
    model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    model.fit(x, y, 1, shuffle=False, verbose=0)
    assert (model.optimizer.iterations, model.optimizer.gathered_batches) == (1, 1)
    before = weights_of(model)
    second = copy.deepcopy(model)
    for one in (model, second):
        one.train_on_batch([x[0]], [y[0]])
        assert (one.optimizer.iterations, one.optimizer.gathered_batches) == (2, 0)
    equal(model, second)
    assert not np.array_equal(before[0], weights_of(model)[0])


def test_no_batch_changes_a_weight_but_the_last() -> None:
    x, y, _ = rows_of([2, 3, 4])
    model = tagger()
    model.compile(optimizers.Adam(0.1, gradient_accumulation_steps=3, weight_decay=0.1), "mse")
    model(x)
    before = weights_of(model)
    for at in range(2):
        model.train_on_batch([x[at]], [y[at]])
        for a, b in zip(before, weights_of(model), strict=True):
            np.testing.assert_array_equal(a, b)
    model.train_on_batch([x[2]], [y[2]])
    assert not np.array_equal(before[0], weights_of(model)[0])


def test_a_bad_batch_is_not_counted() -> None:
    x, y, _ = rows_of([2, 3, 4])
    model = tagger()
    model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse")
    model.train_on_batch([x[0]], [y[0]])
    good = copy.deepcopy(model)
    with pytest.raises(NumericError):
        model.train_on_batch([np.full((2, 3), np.nan, "float32")], [y[0]])
    assert model.optimizer.gathered_batches == 1
    for one in (model, good):
        one.train_on_batch([x[1]], [y[1]])
    equal(model, good)


def test_dropout_differs_from_batch_to_batch_of_a_step() -> None:
    kept: list[Any] = []

    class Seen(padless.Layer):
        view = "steps"

        def call(self, x: Any) -> Any:
            kept.append(self.backend.to_host(x).copy())
            return x

    model = padless.Sequential([layers.Dropout(0.5), Seen(), layers.Dense(1)])
    model.compile(optimizers.SGD(0.1, gradient_accumulation_steps=2), "mse", run_eagerly=True)
    x = [np.ones((50, 3), "float32")]
    model(x)
    kept.clear()
    for _ in range(4):
        model.train_on_batch(x, [np.zeros((50, 1), "float32")])
    assert all(not np.array_equal(a, b) for at, a in enumerate(kept) for b in kept[:at])


def test_a_schedule_counts_steps() -> None:
    x, y, _ = rows_of([1] * 8)
    model = tagger()
    rate = schedules.PiecewiseConstantDecay([1], [0.5, 0.25])
    model.compile(optimizers.SGD(rate, gradient_accumulation_steps=4), "mse")
    model.fit(x[:7], y[:7], 1, shuffle=False, verbose=0)
    assert model.optimizer.learning_rate == 0.5
    model.fit(x, y, 1, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 3
    assert model.optimizer.learning_rate == 0.25


def test_lazy_embeddings_take_the_sum_of_the_batches() -> None:
    ids, labels = [[1, 2, 2], [3], [5, 1], [2]], np.array([0, 1, 0, 1], np.float32)
    models = []
    for size, batches in ((4, None), (1, 4)):
        padless.utils.set_random_seed(0)
        model = padless.Sequential([layers.Embedding(9, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)])
        model.compile(optimizers.Adam(0.05, lazy_embeddings=True, gradient_accumulation_steps=batches), "mse")
        model.fit(ids, labels, size, 5, shuffle=False, verbose=0)
        models.append(model)
    equal(*models)


def test_a_scaled_loss_changes_nothing_but_what_is_lost_below_the_smallest_number() -> None:
    x, y, _ = rows_of(LENGTHS)
    models = []
    for scale, batches in ((None, None), (1024.0, None), (1024.0, 2)):
        model = tagger()
        model.compile(optimizers.Adam(0.05, loss_scale_factor=scale, gradient_accumulation_steps=batches), "mse")
        history = model.fit(x, y, 8 // (batches or 1), 2, shuffle=False, verbose=0).history
        models.append((model, history["loss"][0]))
    for model, loss in models[1:]:
        equal(models[0][0], model)
        assert loss == pytest.approx(models[0][1], rel=1e-5)


def test_warmup_then_training() -> None:
    x, y, _ = rows_of(LENGTHS)
    model = tagger()
    model(x)
    model.compile(optimizers.Adam(0.05, gradient_accumulation_steps=4), "mse")
    model.warmup(x, y, batch_size=2, shuffle=False)
    compiled = [program.compilations for _, program in model._programs.values()]
    model.fit(x, y, 2, shuffle=False, verbose=0)
    assert [program.compilations for _, program in model._programs.values()] == compiled
    plain = tagger()
    plain(x)
    plain.compile(optimizers.Adam(0.05), "mse")
    plain.fit(x, y, 8, shuffle=False, verbose=0)
    equal(model, plain)


# ---- averages


def test_averages_take_the_place_of_the_weights_when_training_ends() -> None:
    x, y, _ = rows_of(LENGTHS)
    seen: list[list[Any]] = []
    model = tagger()
    model.compile(optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5), "mse")

    class Note(padless.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            seen.append(weights_of(self.model))

    model.fit(x, y, 4, 3, shuffle=False, verbose=0, callbacks=[Note()])
    wanted = seen[0]
    for step in seen[1:]:
        wanted = [0.5 * a + 0.5 * w for a, w in zip(wanted, step, strict=True)]
    for a, b in zip(wanted, weights_of(model), strict=True):
        np.testing.assert_allclose(a, b, **TRAINING)
    # The averages are copies: another step changes the weights, not both.
    model.train_on_batch(x, y)
    average = model.optimizer.slots["average"]["layers/1/bias"]
    last = {path: array for path, array in zip(model.weight_slots(), weights_of(model), strict=True)}
    assert not np.array_equal(model.backend.to_host(average), last["layers/1/bias"])


def test_averages_overwrite_the_weights_now_and_then() -> None:
    x, y, _ = rows_of(LENGTHS)
    model = tagger()
    model.compile(optimizers.Adam(0.1, use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=2), "mse")
    for at in range(4):
        model.train_on_batch(x, y)
        average = model.optimizer.slots["average"]["layers/1/kernel"]
        same = np.array_equal(model.backend.to_host(average), weights_of(model)[-2])
        assert same == (at % 2 == 1) or at == 0


def test_no_epoch_no_average() -> None:
    x, y, _ = rows_of(LENGTHS)
    model = tagger()
    model.compile(optimizers.SGD(0.1, use_ema=True), "mse")
    model(x)
    before = weights_of(model)
    model.fit(x, y, epochs=0, verbose=0)
    for a, b in zip(before, weights_of(model), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "name", ["Adagrad", "Adadelta", "Adamax", "Nadam", "Ftrl", "Lion", "Adafactor", "Lamb", "Muon"]
)
def test_every_optimizer_trains_and_comes_back_from_a_file(name: str, tmp_path: Any) -> None:
    ids, labels = [[1, 2, 2], [3], [5, 1], [2, 4]] * 2, np.array([0, 1, 0, 1] * 2, np.float32)
    padless.utils.set_random_seed(0)
    model = padless.Sequential([layers.Embedding(9, 4), layers.LSTM(4), layers.Dense(1, name="head")])
    more = {"exclude_layers": ["head"]} if name == "Muon" else {}
    model.compile(getattr(optimizers, name)(0.05, use_ema=True, clipnorm=1.0, **more), "mse")
    history = model.fit(ids, labels, 4, 10, verbose=0).history["loss"]
    assert history[-1] < history[0]
    if name == "Muon":
        assert set(model.optimizer.slots["velocity"]) == {
            path for path in model.weight_slots() if not path.endswith("cell/kernel") and "recurrent" not in path
        }
    model.save(tmp_path / "model.padless")
    again = padless.load_model(tmp_path / "model.padless")
    assert again.optimizer.get_config() == model.optimizer.get_config()
    again.fit(ids, labels, 4, 1, verbose=0)
