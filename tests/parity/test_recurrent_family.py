"""Stacked cells, cells of one's own, convolutional LSTMs and stateful layers give Keras's numbers."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import padless
from padless import Layer, Sequential, layers
from padless.layer import substituted
from tests.tolerances import GRADIENTS, TRAINING, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

B, T, D, H = 3, 5, 4, 6
Make = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape)


def leaves(tree: Any) -> list[Any]:
    return [leaf for part in tree for leaf in leaves(part)] if isinstance(tree, list | tuple) else [tree]


def weights_of(layer: Any) -> list[np.ndarray[Any, Any]]:
    """Keras's get_weights warns on NumPy 2."""
    return [w.value.detach().cpu().numpy() for w in layer.weights]


def with_same_weights(ours: Any, theirs: Any, shape: tuple[int, ...]) -> None:
    """Build both layers and give them the same random weights, biases included."""
    theirs.build(shape)
    with torch.no_grad():
        ours(draw(*shape))
    if hasattr(ours, "reset_state"):
        ours.reset_state()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights_of(theirs)]
    weights = [draw(*w.shape, seed=at) * 0.5 for at, w in enumerate(weights_of(theirs))]
    theirs.set_weights(weights)
    ours.set_weights(weights)


def compare(make: Make, shape: tuple[int, ...] = (B, T, D), batches: int = 1, **arguments: Any) -> None:
    """Outputs and states of one call after the other, and the gradients of their sum by weights and inputs."""
    ours, theirs = make(layers), make(keras.layers)
    with_same_weights(ours, theirs, shape)

    def results(layer: Any, weights: list[Any]) -> tuple[list[Any], list[Any]]:
        inputs = [torch.from_numpy(draw(*shape, seed=20 + at)).requires_grad_() for at in range(batches)]
        found = [part for x in inputs for part in leaves(layer(x, **arguments))]
        loss = sum((part * torch.from_numpy(draw(*part.shape, seed=at))).sum() for at, part in enumerate(found))
        gradients = torch.autograd.grad(loss, [*weights, *inputs])
        return [part.detach().numpy() for part in found], [g.numpy() for g in gradients]

    wanted, wanted_gradients = results(theirs, [w.value for w in theirs.weights])
    own = {
        path: slot.__dict__[name].detach().clone().requires_grad_()
        for path, (slot, name) in ours.weight_slots().items()
    }
    with substituted(ours, own):
        got, gradients = results(ours, list(own.values()))
    assert len(got) == len(wanted)
    for mine, reference in zip(got, wanted, strict=True):
        np.testing.assert_allclose(mine, reference, **VALUES)
    for mine, reference in zip(gradients, wanted_gradients, strict=True):
        np.testing.assert_allclose(mine, reference, **GRADIENTS)


def options(**arguments: Any) -> dict[str, Any]:
    return {"dtype": "float64", **arguments}


class OursMinimal(Layer):
    """Keras's example of a cell, with a second state."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, 1]
        self.output_size = 2 * units

    def build(self, spec: Any) -> None:
        self.kernel = self.add_weight(shape=(spec[-1], self.units), name="kernel")
        self.recurrent_kernel = self.add_weight(shape=(self.units, self.units), name="recurrent_kernel")

    def call(self, x: Any, states: Any) -> Any:
        h = x @ self.kernel + states[0] @ self.recurrent_kernel
        return torch.cat([h, h * states[1]], -1), [h, states[1] + 1]


class TheirsMinimal(keras.layers.Layer):  # type: ignore[misc]
    """The same for Keras."""

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units
        self.state_size = [units, 1]
        self.output_size = 2 * units

    build = OursMinimal.build.__wrapped__  # ours takes shapes of ours

    def call(self, x: Any, states: Any) -> Any:
        h = x @ self.kernel.value + states[0] @ self.recurrent_kernel.value
        return torch.cat([h, h * states[1]], -1), [h, states[1] + 1]


def minimal(family: Any, units: int) -> Any:
    return (OursMinimal if family is layers else TheirsMinimal)(units, dtype="float64")


RETURNS = [
    {},
    {"return_sequences": True, "return_state": True},
    {"go_backwards": True, "return_sequences": True, "return_state": True},
]
every_return = pytest.mark.parametrize("returns", RETURNS, ids=lambda r: "+".join(r) or "last")


def stack(family: Any, **arguments: Any) -> Any:
    cells = [
        family.LSTMCell(H, **options()),
        minimal(family, 3),
        family.GRUCell(5, **options()),
        family.SimpleRNNCell(2, **options()),
    ]
    return family.RNN(cells, **options(**arguments))


@every_return
def test_stack(returns: dict[str, bool]) -> None:
    compare(lambda family: stack(family, **returns))


@every_return
def test_cell_of_ones_own(returns: dict[str, bool]) -> None:
    compare(lambda family: family.RNN(minimal(family, 3), **options(**returns)))


def test_stack_both_ways() -> None:
    def make(family: Any) -> Any:
        cells = [family.LSTMCell(H, **options()), family.GRUCell(5, **options())]
        return family.Bidirectional(family.RNN(cells, **options(return_sequences=True)), **options())

    compare(make)


def test_stack_from_states_of_its_own() -> None:
    sizes = [[H, H], [3, 1], [5], [2]]
    states = [[torch.from_numpy(draw(B, n, seed=n)) for n in part] for part in sizes]
    compare(lambda family: stack(family, return_state=True), initial_state=states)


@every_return
@pytest.mark.parametrize(
    ("kind", "arguments", "step"),
    [
        ("ConvLSTM1D", {}, (6, 2)),
        ("ConvLSTM1D", {"padding": "same", "strides": 2, "use_bias": False}, (7, 2)),
        ("ConvLSTM1D", {"dilation_rate": 2, "recurrent_activation": "hard_sigmoid"}, (7, 2)),
        ("ConvLSTM1D", {"padding": "same", "activation": "relu"}, (6, 2)),
        ("ConvLSTM2D", {"kernel_size": (2, 3), "strides": (1, 2)}, (5, 6, 2)),
        ("ConvLSTM2D", {"padding": "same"}, (4, 5, 1)),
        ("ConvLSTM3D", {"kernel_size": 2}, (3, 4, 3, 2)),
    ],
    ids=str,
)
def test_frames(kind: str, arguments: dict[str, Any], step: tuple[int, ...], returns: dict[str, bool]) -> None:
    given = options(**{"kernel_size": 3, **arguments, **returns})
    compare(lambda family: getattr(family, kind)(3, **given), shape=(2, 4, *step))


def test_frames_both_ways() -> None:
    compare(
        lambda family: family.Bidirectional(family.ConvLSTM1D(2, 3, **options(return_sequences=True)), **options()),
        shape=(2, 4, 6, 2),
    )


def test_first_weights_of_frames_are_those_of_keras() -> None:
    ours, theirs = layers.ConvLSTM2D(4, 3), keras.layers.ConvLSTM2D(4, 3)
    ours(draw(1, 2, 5, 5, 3))
    theirs.build((1, 2, 5, 5, 3))
    kernel, recurrent, bias = ours.get_weights()
    np.testing.assert_array_equal(bias, weights_of(theirs)[2])
    assert [w.shape for w in (kernel, recurrent)] == [w.shape for w in weights_of(theirs)[:2]]
    assert 0.5 < np.abs(kernel).max() / np.abs(weights_of(theirs)[0]).max() < 2
    flat = recurrent.reshape(-1, recurrent.shape[-1])
    theirs_flat = weights_of(theirs)[1].reshape(-1, recurrent.shape[-1])
    np.testing.assert_allclose(np.linalg.svd(flat)[1], np.linalg.svd(theirs_flat)[1], atol=1e-5)


# ---- stateful: one batch after the other


# Keras on torch overwrites states that the backward pass of LSTM and GRU still needs: there are no gradients to compare
# with, but through RNN(LSTMCell). Bidirectional with a state to return fails as well.


def outputs_of_batches(make: Make) -> None:
    ours, theirs = make(layers), make(keras.layers)
    with_same_weights(ours, theirs, (B, T, D))
    for at in range(3):
        x = torch.from_numpy(draw(B, T, D, seed=20 + at))
        with torch.no_grad():
            got, wanted = leaves(ours(x)), leaves(theirs(x))
        for mine, reference in zip(got, wanted, strict=True):
            np.testing.assert_allclose(mine.numpy(), reference.numpy(), **VALUES)
    for mine, reference in zip(ours.states, theirs.states, strict=True):
        np.testing.assert_allclose(mine.numpy(), reference.value.numpy(), **VALUES)


@pytest.mark.parametrize("returns", RETURNS[:2], ids=lambda r: "+".join(r) or "last")
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN"])
def test_stateful(kind: str, returns: dict[str, bool]) -> None:
    outputs_of_batches(lambda family: getattr(family, kind)(H, **options(stateful=True, **returns)))


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
@pytest.mark.parametrize("sequences", [False, True])
def test_stateful_both_ways(kind: str, sequences: bool) -> None:
    given = options(stateful=True, return_sequences=sequences)
    outputs_of_batches(lambda family: family.Bidirectional(getattr(family, kind)(H, **given), **options()))


@pytest.mark.parametrize("kind", ["LSTMCell", "GRUCell", "SimpleRNNCell"])
def test_gradients_of_stateful_cells(kind: str) -> None:
    given = options(stateful=True, return_state=True)
    compare(lambda family: family.RNN(getattr(family, kind)(H, **options()), **given), batches=3)


def test_stateful_cell_of_ones_own() -> None:
    compare(lambda family: family.RNN(minimal(family, 3), **options(stateful=True, return_state=True)), batches=3)


def test_stateful_stack() -> None:
    ours, theirs = (stack(family, stateful=True, return_state=True) for family in (layers, keras.layers))
    with_same_weights(ours, theirs, (B, T, D))
    for at in range(3):
        x = torch.from_numpy(draw(B, T, D, seed=20 + at))
        for mine, reference in zip(leaves(ours(x)), leaves(theirs(x)), strict=True):
            np.testing.assert_allclose(mine.detach().numpy(), reference.detach().numpy(), **VALUES)


def test_stateful_frames() -> None:
    compare(lambda family: family.ConvLSTM1D(2, 3, **options(stateful=True)), shape=(2, 3, 6, 2), batches=3)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # Keras's predict on NumPy 2
def test_fit_and_predict_of_a_stateful_model() -> None:
    x, y = draw(4 * B, T, D).astype(np.float32), draw(4 * B, 1, seed=1).astype(np.float32)

    def parts(family: Any) -> list[Any]:
        return [
            family.RNN(family.LSTMCell(H), stateful=True, return_sequences=True),
            family.RNN(family.GRUCell(H), stateful=True),
            family.Dense(1),
        ]

    ours, theirs = (
        Sequential(parts(layers)),
        keras.Sequential([keras.Input(batch_shape=(B, T, D)), *parts(keras.layers)]),
    )
    ours(x[:B])
    ours.reset_state()
    weights = [draw(*w.shape, seed=at) * 0.5 for at, w in enumerate(weights_of(theirs))]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    ours.compile(loss="mse", optimizer=padless.optimizers.SGD(0.05))
    theirs.compile(loss="mse", optimizer=keras.optimizers.SGD(0.05))
    for model in (ours, theirs):
        model.fit(x, y, batch_size=B, epochs=2, shuffle=False, verbose=0)
    for mine, reference in zip(ours.get_weights(), weights_of(theirs), strict=True):
        np.testing.assert_allclose(mine, reference, **TRAINING)
    got, wanted = (model.predict(x, batch_size=B, verbose=0) for model in (ours, theirs))
    np.testing.assert_allclose(got, wanted, **TRAINING)
    for model in (ours, theirs):
        for layer in model.layers[:2]:
            layer.reset_state()
    got, wanted = (model.evaluate(x, y, batch_size=B, verbose=0) for model in (ours, theirs))
    np.testing.assert_allclose(got, wanted, **TRAINING)


# ---- arguments


@pytest.mark.parametrize("kind", ["StackedRNNCells", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D"])
def test_arguments_stand_in_the_order_of_keras(kind: str) -> None:
    def parameters(cls: Any) -> list[tuple[str, Any]]:
        found = inspect.signature(cls.__init__).parameters.values()
        return [(p.name, p.default) for p in found if p.kind is p.POSITIONAL_OR_KEYWORD]

    assert parameters(getattr(layers, kind)) == parameters(getattr(keras.layers, kind))


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "SimpleRNN", "ConvLSTM1D"])
def test_what_keras_tells_of_a_layer_can_be_read_here(kind: str) -> None:
    arguments = {"kernel_size": 2} if kind == "ConvLSTM1D" else {}
    ours, theirs = getattr(layers, kind)(3, **arguments), getattr(keras.layers, kind)(3, **arguments)
    names = [name for name, kind_ in vars(type(theirs)).items() if isinstance(kind_, property)]
    names += [name for name, kind_ in vars(type(theirs).__mro__[1]).items() if isinstance(kind_, property)]
    for name in names:
        value = getattr(theirs, name)
        assert hasattr(ours, name), name
        if isinstance(value, bool | int | float | str | tuple):
            assert getattr(ours, name) == value
    assert set(theirs.get_config()) - {"zero_output_for_mask"} <= set(ours.get_config()) | {"unroll"}
