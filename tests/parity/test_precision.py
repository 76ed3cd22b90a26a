"""Keras's policies, and what its LossScaleOptimizer decides on the same gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import backends, layers, mixed_precision, optimizers
from tests.tolerances import HALVES, TRAINING

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's own, on NumPy 2

INNER = [
    ("SGD", {"learning_rate": 0.125, "momentum": 0.9}),
    ("Adam", {"learning_rate": 0.125, "clipnorm": 0.5}),
    ("Adam", {"learning_rate": 0.125, "use_ema": True, "ema_momentum": 0.8, "ema_overwrite_frequency": 3}),
    ("SGD", {"learning_rate": 0.125, "gradient_accumulation_steps": 3}),
]


def _steps() -> list[dict[str, Any]]:
    """Gradients of two weights; some are not finite, several in a row among them."""
    random = np.random.default_rng(0)
    steps = []
    for at in range(30):
        kernel, bias = random.normal(size=(3, 2)).astype(np.float32), random.normal(size=2).astype(np.float32)
        if at in (0, 5, 6, 13, 20):
            (kernel if at % 2 else bias).reshape(-1)[0] = (np.inf, -np.inf, np.nan)[at % 3]
        steps.append({"kernel": kernel * 64, "bias": bias * 64})
    return steps


@pytest.mark.parametrize("growth", [1, 2, 4])
@pytest.mark.parametrize(("name", "arguments"), INNER)
def test_the_same_decisions(trainer: str, name: str, arguments: dict[str, Any], growth: int) -> None:
    made = [getattr(kind, name)(**arguments) for kind in (optimizers, keras.optimizers)]
    mine = optimizers.LossScaleOptimizer(made[0], initial_scale=64.0, dynamic_growth_steps=growth)
    theirs = keras.optimizers.LossScaleOptimizer(made[1], initial_scale=64.0, dynamic_growth_steps=growth)
    owner = backends.current()
    weights = {"kernel": np.ones((3, 2), np.float32), "bias": np.zeros(2, np.float32)}
    arrays = {path: owner.asarray(w) for path, w in weights.items()}
    variables = [keras.Variable(w, name=path) for path, w in weights.items()]
    for at, step in enumerate(_steps()):
        arrays = mine.apply(owner, arrays, {path: owner.asarray(g) for path, g in step.items()})
        theirs.apply([torch.tensor(g) for g in step.values()], variables)
        assert float(mine.dynamic_scale) == float(theirs.dynamic_scale), at
        assert int(mine.step_counter) == int(theirs.step_counter), at
        assert mine.iterations == int(theirs.iterations), at
        for path, variable in zip(weights, variables, strict=True):
            np.testing.assert_allclose(owner.to_host(arrays[path]), variable.numpy(), err_msg=str(at), **TRAINING)
    assert float(mine.scale_loss(owner.asarray(1.0))) == float(theirs.scale_loss(torch.tensor(1.0)))


LAYERS = [
    ("Dense", {"units": 3, "activation": "softmax"}),
    ("Conv1D", {"filters": 3, "kernel_size": 2}),
    ("LayerNormalization", {}),
    ("BatchNormalization", {}),
    ("GlobalAveragePooling1D", {}),
    ("LSTM", {"units": 3, "return_sequences": True}),
    ("Softmax", {}),
    ("UnitNormalization", {}),
]


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize(("name", "arguments"), LAYERS)
def test_the_same_dtypes_and_values(name: str, arguments: dict[str, Any], policy: str) -> None:
    padless.set_backend("torch")
    mine, theirs = (getattr(kind, name)(dtype=policy, **arguments) for kind in (layers, keras.layers))
    assert mine.get_config()["dtype"]["config"] == theirs.get_config()["dtype"]["config"]
    assert (mine.compute_dtype, mine.variable_dtype, mine.dtype) == (
        theirs.compute_dtype,
        theirs.variable_dtype,
        theirs.dtype,
    )
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype(np.float32)
    theirs.build(x.shape)
    mine(x)
    mine.set_weights([np.array(w) for w in theirs.get_weights()])
    got, want = mine(x), theirs(torch.tensor(x))
    assert str(got.dtype) == str(want.dtype)
    half = mine.compute_dtype
    np.testing.assert_allclose(got.detach().float().numpy(), want.detach().float().cpu().numpy(), **HALVES[half])


def test_policies_of_keras_are_read() -> None:
    for name in ("float32", "float64", "bfloat16", "mixed_bfloat16", "mixed_float16"):
        policy = keras.DTypePolicy(name)
        for given in (policy, keras.dtype_policies.serialize(policy)):
            mine = mixed_precision.get(given)
            assert (mine.name, mine.compute_dtype, mine.variable_dtype) == (
                policy.name,
                policy.compute_dtype,
                policy.variable_dtype,
            )
