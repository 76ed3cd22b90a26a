"""Recurrent layers give Keras's numbers on sequences of equal length: outputs, states and gradients."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import layers
from padless.layer import substituted
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

B, T, D, H = 3, 5, 4, 6
STATES = {"LSTM": 2, "GRU": 1, "SimpleRNN": 1}

KINDS = [
    ("LSTM", {}),
    ("LSTM", {"use_bias": False}),
    ("LSTM", {"activation": "relu", "recurrent_activation": "hard_sigmoid"}),
    ("LSTM", {"activation": None, "recurrent_activation": "softmax"}),
    ("GRU", {}),
    ("GRU", {"use_bias": False}),
    ("GRU", {"reset_after": False}),
    ("GRU", {"reset_after": False, "use_bias": False}),
    ("GRU", {"activation": "softsign", "recurrent_activation": "hard_sigmoid"}),
    ("SimpleRNN", {}),
    ("SimpleRNN", {"use_bias": False}),
    ("SimpleRNN", {"activation": "elu"}),
]
RETURNS = [
    {},
    {"return_sequences": True},
    {"return_state": True},
    {"return_sequences": True, "return_state": True},
    {"go_backwards": True},
    {"go_backwards": True, "return_sequences": True, "return_state": True},
]


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


def weights_of(layer: Any) -> list[np.ndarray[Any, Any]]:
    """Keras's get_weights warns on NumPy 2."""
    return [w.value.detach().cpu().numpy() for w in layer.weights]


def with_same_weights(ours: Any, theirs: Any) -> None:
    """Build both layers and give them the same random weights, biases included."""
    theirs.build((B, T, D))
    ours(draw(B, T, D))
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights_of(theirs)]
    weights = [draw(*w.shape, seed=at) * 0.5 for at, w in enumerate(weights_of(theirs))]
    theirs.set_weights(weights)
    ours.set_weights(weights)


def results(layer: Any, weights: list[Any], x: Any, states: list[Any], **arguments: Any) -> tuple[list[Any], list[Any]]:
    """Outputs, and the gradients of a weighted sum of them all by weights, input and initial states."""
    y = layer(x, **arguments)
    outputs = list(y) if isinstance(y, list | tuple) else [y]
    loss = sum((out * torch.from_numpy(draw(*out.shape, seed=at))).sum() for at, out in enumerate(outputs))
    gradients = torch.autograd.grad(loss, [*weights, x, *states])
    return [out.detach().numpy() for out in outputs], [g.numpy() for g in gradients]


def compare(ours: Any, theirs: Any, states: int = 0) -> None:
    with_same_weights(ours, theirs)

    def inputs() -> tuple[Any, list[Any], dict[str, Any]]:
        x = torch.from_numpy(draw(B, T, D, seed=20)).requires_grad_()
        start = [torch.from_numpy(draw(B, H, seed=30 + k)).requires_grad_() for k in range(states)]
        return x, start, {"initial_state": start} if states else {}

    x, start, arguments = inputs()
    wanted, wanted_gradients = results(theirs, [w.value for w in theirs.weights], x, start, **arguments)
    x, start, arguments = inputs()
    leaves = {
        path: owner.__dict__[name].detach().clone().requires_grad_()
        for path, (owner, name) in ours.weight_slots().items()
    }
    with substituted(ours, leaves):
        got, gradients = results(ours, list(leaves.values()), x, start, **arguments)
    assert len(got) == len(wanted)
    for mine, reference in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, **VALUES)
    for mine, reference in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(mine, reference, **GRADIENTS)


@pytest.mark.parametrize("returns", RETURNS, ids=lambda r: "+".join(r) or "last")
@pytest.mark.parametrize(("kind", "arguments"), KINDS, ids=lambda a: a if isinstance(a, str) else str(a))
def test_layer(kind: str, arguments: dict[str, Any], returns: dict[str, bool]) -> None:
    options = {**arguments, **returns, "dtype": "float64"}
    compare(getattr(layers, kind)(H, **options), getattr(keras.layers, kind)(H, **options))


@pytest.mark.parametrize(("kind", "arguments"), KINDS, ids=lambda a: a if isinstance(a, str) else str(a))
def test_initial_state(kind: str, arguments: dict[str, Any]) -> None:
    options = {**arguments, "return_sequences": True, "return_state": True, "dtype": "float64"}
    compare(getattr(layers, kind)(H, **options), getattr(keras.layers, kind)(H, **options), STATES[kind])


@pytest.mark.parametrize("initial", [False, True], ids=["zeros", "initial_state"])
@pytest.mark.parametrize("returns", RETURNS[:4], ids=lambda r: "+".join(r) or "last")
@pytest.mark.parametrize("merge_mode", ["concat", "sum", "mul", "ave", None])
@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_bidirectional(kind: str, merge_mode: str | None, returns: dict[str, bool], initial: bool) -> None:
    options = {**returns, "dtype": "float64"}
    ours = layers.Bidirectional(getattr(layers, kind)(H, **options), merge_mode=merge_mode, dtype="float64")
    theirs = keras.layers.Bidirectional(
        getattr(keras.layers, kind)(H, **options), merge_mode=merge_mode, dtype="float64"
    )
    compare(ours, theirs, 2 * STATES[kind] if initial else 0)


def test_bidirectional_with_a_backward_layer_of_its_own() -> None:
    def make(family: Any) -> Any:
        return family.Bidirectional(
            family.LSTM(H, return_sequences=True, dtype="float64"),
            backward_layer=family.GRU(H, return_sequences=True, go_backwards=True, dtype="float64"),
            dtype="float64",
        )

    compare(make(layers), make(keras.layers))


@pytest.mark.parametrize(("kind", "arguments"), KINDS, ids=lambda a: a if isinstance(a, str) else str(a))
def test_cell(kind: str, arguments: dict[str, Any]) -> None:
    options = {**arguments, "dtype": "float64"}
    ours, theirs = getattr(layers, f"{kind}Cell")(H, **options), getattr(keras.layers, f"{kind}Cell")(H, **options)
    x = torch.from_numpy(draw(B, D))
    states = [torch.from_numpy(draw(B, H, seed=30 + k)) for k in range(STATES[kind])]
    ours(x, states)
    theirs.build((B, D))
    ours.set_weights(weights_of(theirs))
    y, after = ours(x, states)
    wanted, wanted_after = theirs(x, states)
    assert len(after) == len(wanted_after)
    for mine, reference in zip([y, *after], [wanted, *wanted_after], strict=True):
        np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), **VALUES)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_first_weights_and_config_arguments_are_those_of_keras(kind: str) -> None:
    ours, theirs = getattr(layers, kind)(H), getattr(keras.layers, kind)(H)
    ours(draw(B, T, D))
    theirs.build((B, T, D))
    paths = ["cell/kernel", "cell/recurrent_kernel", "cell/bias"]
    assert list(ours.weight_slots()) == paths
    kernel, recurrent, bias = ours.get_weights()
    np.testing.assert_array_equal(bias, weights_of(theirs)[2])
    assert np.abs(kernel).max() <= np.sqrt(6 / (D + kernel.shape[1]))
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(H), atol=1e-5)
    assert set(theirs.get_config()) - {"zero_output_for_mask"} <= set(ours.get_config())


@pytest.mark.parametrize(
    "kind", ["LSTM", "GRU", "SimpleRNN", "RNN", "Bidirectional", "LSTMCell", "GRUCell", "SimpleRNNCell"]
)
def test_arguments_stand_in_the_order_of_keras(kind: str) -> None:
    import inspect

    def parameters(cls: Any) -> list[tuple[str, Any]]:
        found = inspect.signature(cls.__init__).parameters.values()
        return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert parameters(getattr(layers, kind)) == parameters(getattr(keras.layers, kind))
