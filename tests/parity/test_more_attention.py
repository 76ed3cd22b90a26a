"""All kinds of attention give Keras's outputs, scores and gradients on sequences of equal length."""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers
from padless.layer import substituted
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")
keras = pytest.importorskip("keras")

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

B, T, S = 3, 5, 7
Call = dict[str, Any]


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def mask(*shape: int) -> np.ndarray[Any, Any]:
    """Half of the pairs, and for each query the key of the same number."""
    return (np.random.default_rng(5).random(shape) < 0.5) | np.eye(*shape[-2:], dtype=bool)


def both(name: str, arguments: tuple[Any, ...], options: dict[str, Any], call: Any) -> tuple[Any, Any]:
    """Keras's layer and ours with the same weights."""
    theirs, ours = getattr(keras.layers, name)(*arguments, **options), getattr(layers, name)(*arguments, **options)
    call(theirs)
    call(ours)
    weights = [0.5 * draw(*w.shape, seed=20 + at) for at, w in enumerate(theirs.weights)]
    assert [tuple(w.shape) for w in ours.get_weights()] == [tuple(w.shape) for w in theirs.weights]
    ours.set_weights(weights)
    theirs.set_weights(ours.get_weights())
    return theirs, ours


def results(layer: Any, inputs: list[Any], call: Any) -> list[Any]:
    """The outputs, and the gradients of a weighted sum of them by weights and inputs."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    if isinstance(layer, padless.Layer):
        weights = [torch.tensor(w, requires_grad=True) for w in layer.get_weights()]
        with substituted(layer, dict(zip(layer.weight_slots(), weights, strict=True))):
            made = call(layer, leaves)
    else:
        weights = [w.value for w in layer.weights]
        made = call(layer, leaves)
    outputs = made if isinstance(made, tuple) else (made,)
    loss = sum((y * torch.tensor(draw(*y.shape, seed=9))).sum() for y in outputs)
    found = torch.autograd.grad(loss, [*weights, *leaves], allow_unused=True, materialize_grads=True)
    return [*(y.detach().numpy() for y in outputs), *(g.numpy() for g in found)]


def assert_same(name: str, arguments: tuple[Any, ...], options: Call, inputs: list[Any], call: Any) -> None:
    theirs, ours = both(name, arguments, options, lambda layer: call(layer, [torch.tensor(x) for x in inputs]))
    for mine, right in zip(results(ours, inputs, call), results(theirs, inputs, call), strict=True):
        assert mine.shape == right.shape
        np.testing.assert_allclose(mine, right, **GRADIENTS)


HEADED: list[tuple[str, tuple[int, ...], Call]] = [
    ("MultiHeadAttention", (2, 4), {}),
    ("MultiHeadAttention", (2, 4), {"sliding_window": 2, "use_gate": True}),
    ("GroupQueryAttention", (3, 4, 2), {}),
    ("GroupQueryAttention", (3, 4, 1), {"sliding_window": 3, "use_gate": True, "use_bias": False}),
    ("GroupQueryAttention", (3, 2, 2), {"kernel_initializer": "he_normal", "bias_initializer": "ones"}),
]
CALLS: list[Call] = [
    {},
    {"use_causal_mask": True},
    {"attention_mask": mask(B, T, S)},
    {"attention_mask": mask(1, T, S), "use_causal_mask": True},
    {"attention_mask": mask(B, 1, T, S)},
    {"return_attention_scores": True},
    {"attention_mask": mask(B, T, S), "return_attention_scores": True, "use_causal_mask": True},
]


@pytest.mark.parametrize("arguments", CALLS, ids=lambda c: "+".join(c) or "plain")
@pytest.mark.parametrize(("name", "sizes", "options"), HEADED, ids=str)
def test_headed_attention(name: str, sizes: tuple[int, ...], options: Call, arguments: Call) -> None:
    width = 6 if name == "GroupQueryAttention" else 4
    inputs = [draw(B, T, 6), draw(B, S, width, seed=1), draw(B, S, 3, seed=2)]

    def call(layer: Any, given: list[Any]) -> Any:
        own = dict(arguments)
        if "attention_mask" in own:
            own["attention_mask"] = torch.tensor(own["attention_mask"])
        return layer(*given, **own)

    assert_same(name, sizes, options, inputs, call)


@pytest.mark.parametrize("axes", [None, 1, 2, (1, 2)])
def test_other_axes(axes: Any) -> None:
    inputs = [draw(B, T, 2, 6), draw(B, S if axes != 2 else T, 3 if axes != 1 else 2, 4, seed=1)]
    if axes == 2:
        inputs[1] = draw(B, T, 3, 4, seed=1)
    assert_same("MultiHeadAttention", (2, 4), {"attention_axes": axes}, inputs, lambda layer, x: layer(*x))


@pytest.mark.parametrize("options", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
def test_time_beside_other_axes(options: Call) -> None:
    inputs = [draw(B, T, 2, 6), draw(B, S, 2, 4, seed=1)]
    if "use_causal_mask" in options:
        seen = torch.tensor(np.tri(T, S, dtype=bool)[None, None])

        def call(layer: Any, x: list[Any]) -> Any:  # Keras's own causal mask has one axis too few for its scores
            said = options if isinstance(layer, padless.Layer) else {"attention_mask": seen}
            return layer(*x, **said)
    else:

        def call(layer: Any, x: list[Any]) -> Any:
            return layer(*x, **options)

    assert_same("MultiHeadAttention", (2, 4), {"attention_axes": 1}, inputs, call)


SINGLE: list[tuple[str, Call]] = [
    ("Attention", {}),
    ("Attention", {"use_scale": True}),
    ("Attention", {"score_mode": "concat"}),
    ("Attention", {"score_mode": "concat", "use_scale": True}),
    ("AdditiveAttention", {}),
    ("AdditiveAttention", {"use_scale": False}),
]


@pytest.mark.parametrize("arguments", [{}, {"use_causal_mask": True}, {"return_attention_scores": True}], ids=str)
@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize(("name", "options"), SINGLE, ids=str)
def test_one_head(name: str, options: Call, keys: bool, arguments: Call) -> None:
    inputs = [draw(B, T, 4), draw(B, S, 3 if keys else 4, seed=1), *([draw(B, S, 4, seed=2)] if keys else [])]
    assert_same(name, (), options, inputs, lambda layer, x: layer(list(x), **arguments))


def test_one_head_on_padded_input() -> None:
    x, value = draw(B, T, 4), draw(B, S, 4, seed=1)
    live, seen = np.arange(T) < np.array([[5], [2], [1]]), np.arange(S) < np.array([[3], [7], [4]])
    masks = [torch.tensor(live), torch.tensor(seen)]
    given = [torch.tensor(x), torch.tensor(value)]
    for name, options in SINGLE:
        theirs, ours = both(name, (), options, lambda layer: layer(given))
        expected, scores = theirs(given, mask=masks, return_attention_scores=True)
        got, mine = ours([x, value], mask=[live, seen], return_attention_scores=True)
        np.testing.assert_allclose(got.detach(), expected.detach(), **VALUES)
        np.testing.assert_allclose(mine.detach()[live], scores.detach()[live], **VALUES)
        assert not mine[~live].any()


@pytest.mark.parametrize("name", ["Attention", "AdditiveAttention", "GroupQueryAttention"])
def test_arguments_are_those_of_keras(name: str) -> None:
    for method in ("__init__", "call"):
        theirs = inspect.signature(getattr(getattr(keras.layers, name), method)).parameters
        ours = inspect.signature(getattr(getattr(layers, name), method.replace("call", "__call__"))).parameters
        wanted = [key for key in theirs if key not in ("args", "kwargs")]
        got = [key for key, p in ours.items() if p.kind not in (p.KEYWORD_ONLY, p.VAR_KEYWORD)]
        assert got == wanted
        if method == "__init__":
            defaults = {key: theirs[key].default for key in wanted}
            assert {key: ours[key].default for key in wanted} == defaults
