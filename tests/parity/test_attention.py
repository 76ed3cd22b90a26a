"""MultiHeadAttention gives Keras's numbers on sequences of equal length, and on padded ones where Keras is right."""

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
OPTIONS: list[dict[str, Any]] = [
    {},
    {"value_dim": 6},
    {"use_bias": False},
    {"output_shape": 2},
    {"output_shape": (2, 3), "attention_axes": 1},
    {"use_gate": True, "value_dim": 2},
    {"kernel_initializer": "he_normal", "bias_initializer": "ones", "flash_attention": False},
]


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def pair(options: dict[str, Any], inputs: list[Any]) -> tuple[Any, Any]:
    """Keras's layer and ours with the same weights."""
    theirs, ours = keras.layers.MultiHeadAttention(2, 4, **options), layers.MultiHeadAttention(2, 4, **options)
    theirs(*inputs)
    ours(*inputs)
    assert list(ours.weight_slots()) == [w.path.partition("/")[2] for w in theirs.weights]
    weights = [0.5 * draw(*w.shape, seed=20 + at) for at, w in enumerate(theirs.weights)]
    ours.set_weights(weights)
    theirs.set_weights(ours.get_weights())
    return theirs, ours


def results(layer: Any, inputs: list[Any], **arguments: Any) -> list[Any]:
    """The output, and the gradients of a weighted sum of it by weights and inputs."""
    leaves = [torch.tensor(x, requires_grad=True) for x in inputs]
    if isinstance(layer, padless.Layer):
        slots = layer.weight_slots()
        weights = [torch.tensor(w, requires_grad=True) for w in layer.get_weights()]
        with substituted(layer, dict(zip(slots, weights, strict=True))):
            y = layer(*leaves, **arguments)
    else:
        weights = [w.value for w in layer.weights]
        y = layer(*leaves, **arguments)
    found = torch.autograd.grad((y * torch.tensor(draw(*y.shape, seed=9))).sum(), [*weights, *leaves])
    return [y.detach().numpy(), *(g.numpy() for g in found)]


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("keys", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_it_computes_what_keras_computes(options: dict[str, Any], keys: bool, causal: bool) -> None:
    inputs = [draw(B, T, 3), draw(B, S, 4, seed=1), *([draw(B, S, 2, seed=2)] if keys else [])]
    theirs, ours = pair(options, inputs)
    expected = results(theirs, inputs, use_causal_mask=causal)
    got = results(ours, inputs, use_causal_mask=causal)
    np.testing.assert_allclose(got[0], expected[0], **VALUES)
    for mine, right in zip(got[1:], expected[1:], strict=True):
        np.testing.assert_allclose(mine, right, **GRADIENTS)


def test_it_computes_what_keras_computes_on_padded_input() -> None:
    x, value = draw(B, T, 3), draw(B, S, 4, seed=1)
    theirs, ours = pair({}, [x, value])
    live, seen = np.arange(T) < np.array([[5], [2], [1]]), np.arange(S) < np.array([[3], [7], [4]])
    masked, masked_value = keras.ops.convert_to_tensor(x), keras.ops.convert_to_tensor(value)
    masked._keras_mask, masked_value._keras_mask = torch.tensor(live), torch.tensor(seen)
    expected = theirs(masked, masked_value).detach().numpy()
    got = ours(x, value, query_mask=live, value_mask=seen).numpy()
    np.testing.assert_allclose(got[live], expected[live], **VALUES)
    assert not got[~live].any()


def test_weights_start_alike() -> None:
    inputs = [draw(B, T, 32), draw(B, S, 16)]
    theirs, ours = keras.layers.MultiHeadAttention(4, 8, value_dim=6), layers.MultiHeadAttention(4, 8, value_dim=6)
    theirs(*inputs)
    ours(*inputs)
    for mine, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        assert mine.shape == right.shape
        np.testing.assert_allclose(mine.std(), right.std(), rtol=0.2)


def test_arguments_are_those_of_keras() -> None:
    for method in ("__init__", "call"):
        theirs = inspect.signature(getattr(keras.layers.MultiHeadAttention, method)).parameters
        ours = inspect.signature(getattr(layers.MultiHeadAttention, method.replace("call", "__call__"))).parameters
        wanted = {key: p.default for key, p in theirs.items() if key != "value"}
        got = {key: p.default for key, p in ours.items() if key != "value" and p.kind is not p.KEYWORD_ONLY}
        assert list(got) == list(wanted)
        assert got == wanted


@pytest.mark.parametrize("name", ["MultiHeadAttention", "GroupedQueryAttention"])
@pytest.mark.parametrize("gated", [False, True])
def test_activity_regularizer_counts_what_that_of_keras_counts(name: str, gated: bool) -> None:
    sizes = (2, 4) if name == "MultiHeadAttention" else (4, 2, 1)
    other = "GroupQueryAttention" if name == "GroupedQueryAttention" else name
    query, value = draw(B, T, 3), draw(B, S, 3, seed=1)
    options = {"activity_regularizer": "l2", "use_gate": gated}
    theirs = getattr(keras.layers, other)(*sizes, **options)
    ours = getattr(layers, name)(*sizes, **options)
    theirs(query, value)
    ours(query, value)
    ours.set_weights([np.asarray(w) for w in theirs.get_weights()])
    theirs(query, value)
    want = sum(float(loss.detach()) for loss in theirs.losses)
    ours(query, value)
    np.testing.assert_allclose(sum(float(loss.detach()) for loss in ours.losses), want, **VALUES)
    # Of rows of unequal length, live steps alone, divided by as many rows.
    rows = [padless.Ragged.from_list([one[:n] for one, n in zip(x, (2, 4, 1), strict=True)]) for x in (query, value)]
    ours(*rows)
    found = sum(float(loss.detach()) for loss in ours.losses)
    each = []
    for q, v, n in zip(query, value, (2, 4, 1), strict=True):
        ours(q[None, :n], v[None, :n])
        each.append(sum(float(loss.detach()) for loss in ours.losses))
    np.testing.assert_allclose(found, np.mean(each), **VALUES)
