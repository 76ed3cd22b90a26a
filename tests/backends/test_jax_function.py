"""Models in the world of JAX: optax as the optimizer, a model as a pure function, compiling ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Sequential, layers, optimizers
from padless.errors import ArgumentError, NumericError
from tests.oracle import using
from tests.tolerances import TRAINING

jax = pytest.importorskip("jax")
optax = pytest.importorskip("optax")

import jax.numpy as jnp  # noqa: E402

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [7], [3, 5], [8, 9, 7, 9], [3, 2], [3]]
TARGETS = np.arange(8, dtype="float32") / 8


@pytest.fixture(autouse=True)
def on_jax() -> Iterator[None]:
    with using("jax"):
        yield


def embedder(*more: Any) -> Sequential:
    padless.utils.set_random_seed(3)
    return Sequential([layers.Embedding(10, 4, mask_zero=True), layers.GRU(4), *more, layers.Dense(1)])


def compilations(model: Any, step: str = "_training_step") -> int:
    count: int = model._programs[step][1].compilations
    return count


# ---- optax


def by_hand(transformation: Any, weights: dict[str, Any], x: Any, y: Any, steps: int) -> list[Any]:
    """A dense layer, least squares, optax: as its documentation writes it."""
    state = transformation.init(weights)
    for _ in range(steps):
        gradients = jax.grad(lambda w: jnp.mean((x @ w["kernel"] + w["bias"] - y) ** 2))(weights)
        updates, state = transformation.update(gradients, state, weights)
        weights = optax.apply_updates(weights, updates)
    return [np.asarray(weights[name]) for name in ("kernel", "bias")]


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize(
    "make",
    [
        lambda: optax.adam(1e-2),
        lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(optax.linear_schedule(0.1, 0.0, 4), 0.9)),
        lambda: optax.contrib.schedule_free_sgd(0.1),
    ],
)
def test_fit_gives_the_numbers_of_a_loop_by_hand(make: Any, eagerly: bool) -> None:
    x = np.random.default_rng(0).normal(size=(8, 3)).astype("float32")
    y = TARGETS[:, None]
    model = Sequential([layers.Dense(1)])
    model(x)
    before = dict(zip(("kernel", "bias"), map(jnp.asarray, model.get_weights()), strict=True))
    model.compile(make(), "mse", run_eagerly=eagerly)
    model.fit(x, y, epochs=5, batch_size=8, shuffle=False, verbose=0)
    for mine, theirs in zip(model.get_weights(), by_hand(make(), before, x, y, 5), strict=True):
        np.testing.assert_allclose(mine, theirs, **TRAINING)
    assert model.optimizer.iterations == 5
    assert eagerly or compilations(model) == 1


def test_a_learning_rate_can_be_read_and_set_where_optax_keeps_one() -> None:
    model = embedder()
    model.compile(optax.inject_hyperparams(optax.sgd)(learning_rate=0.5), "mse")
    assert model.optimizer.learning_rate == 0.5
    model.fit(IDS, TARGETS, verbose=0)
    model.optimizer.learning_rate = 0.0
    before = model.get_weights()
    model.fit(IDS, TARGETS, verbose=0)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    model.compile(optax.sgd(0.5), "mse")
    with pytest.raises(ArgumentError, match="inject_hyperparams"):
        _ = model.optimizer.learning_rate


def test_a_loss_that_is_no_number_changes_nothing() -> None:
    model = Sequential([layers.Dense(1)])
    model.compile(optax.adam(1e-2), "mse")
    x, y = np.ones((4, 2), "float32"), np.ones((4, 1), "float32")
    model.fit(x, y, verbose=0)
    weights, state = model.get_weights(), jax.tree.map(np.asarray, model.optimizer.slots)
    with pytest.raises(NumericError):
        model.fit(x * np.nan, y, verbose=0)
    for one, other in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    jax.tree.map(np.testing.assert_array_equal, state, jax.tree.map(np.asarray, model.optimizer.slots))
    assert model.optimizer.iterations == 1


def test_a_weight_that_was_frozen_finds_its_state_again() -> None:
    model = embedder()
    model.compile(optax.adam(1e-2), "mse")
    model.fit(IDS, TARGETS, verbose=0)
    slots = model.optimizer.slots["state"]
    (place,) = (name for name in slots if ".mu" in name and "embeddings" in name)
    before = np.asarray(slots[place])
    model.layers[0].trainable = False
    model.fit(IDS, TARGETS, verbose=0)
    np.testing.assert_array_equal(before, slots[place])
    model.layers[0].trainable = True
    model.fit(IDS, TARGETS, verbose=0)
    assert not np.array_equal(before, slots[place])
    assert int(slots["[0].count"]) == 3


def test_a_model_with_optax_can_be_saved(tmp_path: Path) -> None:
    model = embedder()
    model.compile(optax.adam(1e-2), "mse", metrics=["mae"])
    model.fit(IDS, TARGETS, verbose=0)
    model.save(tmp_path / "m.safetensors")
    with pytest.warns(optimizers.LostOptimizerWarning, match=r"model\.compile"):
        again = padless.load_model(tmp_path / "m.safetensors")
    assert again.evaluate(IDS, TARGETS, verbose=0) == model.evaluate(IDS, TARGETS, verbose=0)
    with pytest.raises(ArgumentError, match="an optax transformation"):
        again.fit(IDS, TARGETS, verbose=0)


def test_optax_needs_jax() -> None:
    with using("torch"):
        model = Sequential([layers.Dense(1)])
        with pytest.raises(ArgumentError, match="set_backend"):
            model.compile(optax.adam(1e-2), "mse")
