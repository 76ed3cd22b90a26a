"""Models in the world of JAX: optax as the optimizer, a model as a pure function, compiling ahead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Sequential, layers, optimizers
from padless.errors import ArgumentError, BackendError, DataError, NotBuiltError, NumericError
from padless.utils import pad_sequences
from tests.oracle import using
from tests.tolerances import GRADIENTS, TRAINING, VALUES

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
    return Sequential([layers.Embedding(10, 4, mask_zero=True), layers.SimpleRNN(4), *more, layers.Dense(1)])


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


@pytest.mark.parametrize(
    ("make", "eagerly"),
    [
        (lambda: optax.adam(1e-2), True),
        (lambda: optax.chain(optax.clip(0.5), optax.sgd(optax.linear_schedule(0.1, 0.0, 4), 0.9)), False),
        (lambda: optax.contrib.schedule_free_sgd(0.1), False),
    ],
    ids=["adam", "chain", "schedule_free"],
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


# ---- a model as a function

SOME = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [], [3, 0]]
OTHERS = [[2, 2], [7, 1, 8, 2], [8]]


def tagger() -> Sequential:
    padless.utils.set_random_seed(4)
    return Sequential(
        [
            layers.Embedding(10, 3, mask_zero=True),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Conv1D(3, 2, padding="same"),
        ]
    )


def same(mine: Any, theirs: Any) -> None:
    assert len(mine) == len(theirs)
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, **VALUES)


@pytest.mark.parametrize("form", [list, padless.Ragged.from_list, pad_sequences])
def test_the_function_gives_what_the_model_gives(form: Any) -> None:
    for model in (tagger(), embedder(layers.Dropout(0.5))):
        want = model(form(SOME))
        params, apply = model.as_function()
        assert set(params) | set(apply.states) == set(model.weight_slots())
        got = apply(params, form(SOME))
        assert type(got) is type(want)
        same(got, want)
        batch = apply.batch(form(SOME))
        same(batch.cut(jax.jit(apply)(params, batch)), model(padless.Ragged.from_list(SOME)))


def test_batches_of_one_size_compile_once_and_their_spare_slots_are_poison() -> None:
    model = tagger()
    model(SOME)
    params, apply = model.as_function()

    @jax.jit
    def step(params: Any, batch: Any) -> Any:
        def loss(params: Any) -> Any:
            y, states = apply.with_states(params, None, batch, seed=3)
            live = batch.live_of(y)
            per_row = padless.row_mean(y).mean(-1) - batch.y
            return jnp.sum((y.values**2).mean(-1) * live) + jnp.sum(per_row**2 * batch.live), (y, states)

        return jax.value_and_grad(loss, has_aux=True)(params)

    for x in (SOME, OTHERS):
        batch = apply.batch(x, np.ones(len(x), "float32"))
        spare = [leaf for leaf in jax.tree.leaves(batch) if leaf.dtype == jnp.float32]
        assert any(np.isnan(leaf).any() for leaf in spare)
        (value, (y, states)), gradients = step(params, batch)
        eager = apply.with_states(params, None, padless.Ragged.from_list([[i for i in row if i] for row in x]), seed=3)
        same(batch.cut(y), eager[0])
        for path, state in states.items():
            np.testing.assert_allclose(state, eager[1][path], **VALUES)
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((value, gradients)))
    assert step._cache_size() == 1


def test_gradients_are_those_without_jit() -> None:
    model = embedder()
    model(SOME)
    params, apply = model.as_function()
    y = np.arange(5, dtype="float32")

    def loss(params: Any, x: Any, y: Any, live: Any) -> Any:
        return jnp.sum((apply(params, x)[:, 0] - y) ** 2 * live)

    want = jax.grad(loss)(params, SOME, y, 1.0)
    batch = apply.batch(SOME, y)
    got = jax.jit(jax.grad(lambda params, b: loss(params, b, b.y, b.live)))(params, batch)
    for path, gradient in got.items():
        np.testing.assert_allclose(gradient, want[path], **GRADIENTS)


def test_vmap_runs_over_weights() -> None:
    model = embedder()
    model(SOME)
    params, apply = model.as_function()
    many = jax.tree.map(lambda w: jnp.stack([w, 2 * w]), params)
    batch = apply.batch(SOME)
    both = jax.jit(jax.vmap(apply, in_axes=(0, None)))(many, batch)
    for at, weights in enumerate((params, jax.tree.map(lambda w: 2 * w, params))):
        same(both[at][:5], apply(weights, SOME))


def test_losses_of_padless_work_on_a_batch() -> None:
    model = tagger()
    model(OTHERS)
    params, apply = model.as_function()
    y = [np.full((len(row), 3), 0.5, "float32") for row in OTHERS]
    weight = np.array([1.0, 0.0, 2.0], "float32")
    mse = padless.losses.get("mse")

    def loss(params: Any, batch: Any) -> Any:
        out = apply(params, batch)
        total, count = mse.sums(batch.y, out, batch.sample_weight, batch.live_of(out))
        return total / count

    got = jax.jit(loss)(params, apply.batch(OTHERS, y, weight))
    want = mse(padless.Ragged.from_list(y), padless.Ragged.from_list(model(OTHERS)), weight)
    np.testing.assert_allclose(got, want, **VALUES)


def test_what_only_the_users_code_asks_of_rows_must_be_said() -> None:
    model = tagger()
    model(OTHERS)
    params, apply = model.as_function()
    pool = layers.Conv1D(2, 3)
    pool(padless.Ragged.from_list([np.ones((4, 3), "float32")]))

    def more(y: Any, batch: Any) -> Any:
        return padless.row_sum(pool(y))

    step = jax.jit(lambda params, batch: more(apply(params, batch), batch))
    with pytest.raises(BackendError, match="also="):
        step(params, apply.batch(OTHERS))
    batch = apply.batch(OTHERS, also=more)
    same(batch.cut(step(params, batch)), padless.row_sum(pool(padless.Ragged.from_list(model(OTHERS)))))


def test_rows_of_the_host_work_under_jit() -> None:
    model = tagger()
    ids = padless.Ragged.from_list(OTHERS)
    want = model(ids)
    params, apply = model.as_function()
    got = jax.jit(lambda params, ids: apply(params, ids))(params, ids)
    assert got.rows is ids.rows
    same(got, want)


def test_what_cannot_be_looked_at_under_jit_makes_no_number() -> None:
    model = tagger()
    model(OTHERS)
    params, apply = model.as_function()
    step = jax.jit(lambda params, ids: apply(params, ids))
    assert np.isnan(step(params, padless.Ragged.from_list([[3, 0, 1]])).values).all()  # a masked step
    assert np.isnan(step(params, padless.Ragged.from_list([[3, 99]])).values).all()  # no such id
    assert np.isfinite(jax.jit(apply)(params, apply.batch([[], []])).values).all()


def test_rows_that_left_the_function_say_where_their_lengths_are() -> None:
    model = tagger()
    model(OTHERS)
    params, apply = model.as_function()
    y = jax.jit(apply)(params, apply.batch(OTHERS))
    with pytest.raises(BackendError, match=r"batch\.cut"):
        padless.row_sum(y)


def test_dropout_depends_on_the_seed_alone() -> None:
    model = tagger()
    model(SOME)
    params, apply = model.as_function()
    step = jax.jit(lambda params, batch, seed: apply(params, batch, training=True, seed=seed))
    small, large = apply.batch(OTHERS), apply.batch(OTHERS + SOME * 20)
    model.layers[1].trainable = False  # statistics of a batch would differ
    one, again, other = (small.cut(step(params, small, jnp.int32(seed))) for seed in (1, 1, 2))
    same(one, again)
    assert not np.allclose(one.values, other.values)
    same(one, apply(params, OTHERS, training=True, seed=1))
    same(one, large.cut(step(params, large, 1))[:3])


def test_dense_batches_keep_their_size() -> None:
    model = Sequential([layers.Dense(2), layers.BatchNormalization()])
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    model(x)
    params, apply = model.as_function()
    batch = apply.batch(x, np.arange(5))
    assert batch.x.shape == (5, 3)
    assert batch.live.all()
    got = jax.jit(lambda params, b: apply.with_states(params, None, b.x))(params, batch)
    want = apply.with_states(params, None, x)
    same(got[0], want[0])
    same(list(got[1].values()), list(want[1].values()))


def test_several_inputs_and_outputs_and_nothing_of_the_trace_leaks() -> None:
    ids, numbers = padless.Input((None,), dtype="int32"), padless.Input((3,))
    steps = layers.Embedding(10, 2, mask_zero=True)(ids)
    whole = layers.BatchNormalization()(layers.Concatenate()([layers.GlobalMaxPooling1D()(steps), numbers]))
    model = padless.Model([ids, numbers], {"steps": layers.Dense(1)(steps), "whole": layers.Dense(2)(whole)})
    x = (OTHERS, np.arange(9, dtype="float32").reshape(3, 3))
    params, apply = model.as_function()
    batch = apply.batch(x)
    step = jax.jit(lambda params, x: apply.with_states(params, None, x))
    with jax.checking_leaks():
        got, states = step(params, batch)
    want, after = apply.with_states(params, None, x)
    for name, part in batch.cut(got).items():
        same(part, want[name])
    same(list(states.values()), list(after.values()))
    same(list(step(params, batch.x)[1].values()), list(after.values()))


def test_weights_come_back_into_the_model() -> None:
    model = embedder()
    model(SOME)
    params, apply = model.as_function()
    doubled = {path: 2 * array for path, array in params.items()}
    model.load_state_dict({**doubled, **apply.states})
    same(model(SOME), apply(doubled, SOME))
    with pytest.raises(ArgumentError, match="missing"):
        apply({}, SOME)
    with pytest.raises(NotBuiltError):
        embedder().as_function()


def test_the_function_works_on_other_backends() -> None:
    for name in ("torch", "numpy"):
        with using(name):
            model = tagger()
            want = model(SOME)
            params, apply = model.as_function()
            same(apply(params, SOME), want)
            batch = apply.batch(SOME, np.arange(5))
            assert np.asarray(batch.live).all()
            same(batch.cut(apply(params, batch)), want)


# ---- compiling ahead


def many_rows() -> tuple[list[Any], Any]:
    lengths = np.random.default_rng(5).integers(10, 24, 32)
    return [np.full(n, 3) for n in lengths], np.arange(32, dtype="float32") / 32


def test_after_warmup_fit_compiles_nothing_and_gives_the_same_numbers() -> None:
    x, y = many_rows()
    weights = []
    for ahead in (False, True):
        padless.utils.set_random_seed(3)
        model = Sequential([layers.Embedding(10, 4), layers.GlobalMaxPooling1D(), layers.Dense(1)])
        model(x[:2])
        model.compile(optax.adam(1e-2), "mse", metrics=["mae"])
        padless.utils.set_random_seed(8)
        if ahead:
            before, count = model.get_weights(), model.warmup(x, y, batch_size=8, epochs=2, steps=("train", "predict"))
            same(model.get_weights(), before)
            assert model.optimizer.iterations == 0
            trained = compilations(model)
            assert trained + compilations(model, "_prediction") == count
            assert trained > 1
        model.fit(x, y, batch_size=8, epochs=2, verbose=0)
        model.predict(x, batch_size=8, verbose=0)
        weights.append(model.get_weights())
        if ahead:
            assert compilations(model) == trained
            assert model.warmup(x, y, batch_size=8, epochs=1, steps="predict") == 0
    same(*weights)


@pytest.mark.parametrize(
    "size", [{"max_tokens": 200}, {"batch_size": 4, "length_grouping": 4}, {"max_tokens": 90, "length_grouping": 3}]
)
def test_warmup_of_features_looks_at_lengths_alone(size: dict[str, int]) -> None:
    padless.utils.set_random_seed(8)
    x, y = many_rows()
    x = [np.ones((len(row), 2), "float32") for row in x]
    model = Sequential([layers.Dense(2), layers.GlobalMaxPooling1D(), layers.Dense(1)])
    model(x[:2])
    model.compile("sgd", "mse")
    count = model.warmup(x, y, **size, epochs=2)
    model.fit(x, y, **size, epochs=2, verbose=0)
    assert count == compilations(model) > 0


def test_warmup_says_what_is_wrong() -> None:
    model = embedder()
    with pytest.raises(NotBuiltError, match="compile"):
        model.warmup(IDS, TARGETS)
    model.compile("sgd", "mse")
    with pytest.raises(ArgumentError, match="predict"):
        model.warmup(IDS, TARGETS, steps=("fit",))
    with pytest.raises(DataError, match="again"):
        model.warmup(batch for batch in [(IDS, TARGETS)])

    class Twice:
        def __iter__(self) -> Iterator[Any]:
            return iter([(IDS, TARGETS), (IDS[:2], TARGETS[:2])])

    assert model.warmup(Twice()) == 1
    model.compile("sgd", "mse", run_eagerly=True)
    assert model.warmup(IDS, TARGETS) == 0
