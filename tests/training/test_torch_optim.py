"""Classes of torch.optim as optimizers: the steps that torch takes itself."""

from __future__ import annotations

import copy
import functools
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers, optimizers
from padless.errors import ArgumentError
from padless.optimizers import LostOptimizerWarning
from tests.tolerances import VALUES

torch = pytest.importorskip("torch")

MAKERS = {
    "class": torch.optim.AdamW,
    "partial": functools.partial(torch.optim.SGD, lr=0.1, momentum=0.9, nesterov=True),
    "function": lambda parameters: torch.optim.Adagrad(parameters, lr=0.1, initial_accumulator_value=0.5),
    "NAdam": functools.partial(torch.optim.NAdam, lr=0.01),
    "RMSprop": functools.partial(torch.optim.RMSprop, lr=0.01, centered=True, weight_decay=0.1),
    "Rprop": torch.optim.Rprop,
}
X = [np.full((n, 3), n / 4, "float32") for n in (1, 4, 2, 3)]
Y = np.array([0, 1, 0, 1], np.float32)


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def model_with(optimizer: Any) -> Any:
    padless.utils.set_random_seed(0)
    model = padless.Sequential([layers.LSTM(4), layers.Dense(1)])
    model(X)
    model.compile(optimizer, "mse")
    return model


def by_hand(make: Any, steps: int) -> list[Any]:
    """The same by a loop of torch: the model is called for its loss, and torch's optimizer has its weights."""
    model = model_with("sgd")
    parameters = {
        path: torch.nn.Parameter(w.clone()) for path, w in zip(model.weight_slots(), model.weights, strict=True)
    }
    optimizer = make(list(parameters.values()))
    for _ in range(steps):
        optimizer.zero_grad()
        with padless.layer.substituted(model, dict(parameters)):
            loss = ((model(X, training=True)[:, 0] - torch.tensor(Y)) ** 2).mean()
        loss.backward()
        optimizer.step()
    return [parameter.detach().numpy() for parameter in parameters.values()]


@pytest.mark.parametrize("kind", MAKERS)
def test_steps_are_those_of_torch(kind: str) -> None:
    model = model_with(MAKERS[kind])
    model.fit(X, Y, 4, 30, shuffle=False, verbose=0)
    assert model.optimizer.iterations == 30
    for one, other in zip(model.weights, by_hand(MAKERS[kind], 30), strict=True):
        np.testing.assert_allclose(one.numpy(), other, **VALUES)


def test_a_weight_that_rests_keeps_what_is_remembered() -> None:
    model = model_with(MAKERS["partial"])
    model.layers[0].trainable = False
    model.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    assert set(model.optimizer.slots["momentum_buffer"]) == {"layers/1/kernel", "layers/1/bias"}
    model.layers[0].trainable, model.layers[1].trainable = True, False
    before = [w.clone() for w in model.layers[1].weights]
    kept = model.optimizer.slots["momentum_buffer"]["layers/1/bias"].clone()
    model.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.layers[1].weights, strict=True))
    assert torch.equal(model.optimizer.slots["momentum_buffer"]["layers/1/bias"], kept)
    assert len(model.optimizer.slots["momentum_buffer"]) == 5


def test_weights_that_were_set_are_trained() -> None:
    model, other = model_with(torch.optim.Adam), model_with(torch.optim.Adam)
    for one in (model, other):
        one.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    model.set_weights([w.numpy() for w in other.weights])
    for one in (model, other):
        one.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    for a, b in zip(model.weights, other.weights, strict=True):
        assert torch.equal(a, b)


def test_a_copy_goes_its_own_way() -> None:
    model = model_with(torch.optim.Adam)
    model.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    second = copy.deepcopy(model)
    before = [w.clone() for w in model.weights]
    second.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))
    model.fit(X, Y, 4, 2, shuffle=False, verbose=0)
    for a, b in zip(model.weights, second.weights, strict=True):
        assert torch.equal(a, b)


def test_learning_rate() -> None:
    model = model_with(MAKERS["partial"])
    assert model.optimizer.learning_rate == 0.1
    model.optimizer.learning_rate = 0.0
    before = [w.clone() for w in model.weights]
    model.fit(X, Y, verbose=0)
    assert model.optimizer.learning_rate == 0.0
    assert all(torch.equal(a, b) for a, b in zip(before, model.weights, strict=True))


def test_constraints_hold() -> None:
    padless.utils.set_random_seed(0)
    model = padless.Sequential([layers.LSTM(4), layers.Dense(1, kernel_constraint="non_neg")])
    model.compile(functools.partial(torch.optim.Adam, lr=0.5), "mse")
    model.fit(X, Y, epochs=5, verbose=0)
    assert (model.layers[1].kernel >= 0).all()


def test_what_no_file_can_hold(tmp_path: Any) -> None:
    model = model_with(torch.optim.AdamW)
    model.fit(X, Y, verbose=0)
    model.save(tmp_path / "m.safetensors")
    with pytest.warns(LostOptimizerWarning, match="AdamW of torch, which no file can hold"):
        again = padless.load_model(tmp_path / "m.safetensors")
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    with pytest.raises(ArgumentError, match="before training"):
        again.fit(X, Y, verbose=0)


def test_what_makes_no_optimizer() -> None:
    with pytest.raises(ArgumentError, match=r"already(.|\n)*functools.partial\(torch.optim.SGD, lr"):
        optimizers.get(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    with pytest.raises(ArgumentError, match="LBFGS"):
        optimizers.get(torch.optim.LBFGS)
    with pytest.raises(ArgumentError, match=r"makes None(.|\n)*functools.partial"):
        optimizers.get(lambda parameters: None)
    with pytest.raises(ArgumentError, match="raises"):
        optimizers.get(functools.partial(torch.optim.SGD, rate=0.1))
    with pytest.raises(ArgumentError, match=r"Got: <class 'torch.nn"):
        optimizers.get(torch.nn.Linear)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_other_backends_say_so(backend: str) -> None:
    pytest.importorskip(backend)
    padless.set_backend(backend)
    model = padless.Sequential([layers.Dense(1)])
    with pytest.raises(ArgumentError, match=rf'on the backend {backend!r}(.|\n)*set_backend\("torch"\)'):
        model.compile(torch.optim.SGD, "mse")
