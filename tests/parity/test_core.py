"""The layers that reshape, multiply and hand on, against Keras on input without padding."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import torch

import padless
from padless import layers
from tests.parity.test_layers import Case, _torch, draw, label, pair, same
from tests.tolerances import VALUES

# Keras's variables do not take NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
assert _torch is not None  # the fixture: all of this file runs on torch


def einsum(equation: str, shape: Any, bias: str | None, x: tuple[int, ...], **more: Any) -> Case:
    return ("EinsumDense", {"equation": equation, "output_shape": shape, "bias_axes": bias, **more}, x)


CASES: list[Case] = [
    ("Identity", {}, (2, 5, 3)),
    einsum("ab,bc->ac", 64, "c", (3, 4)),
    einsum("abc,cd->abd", (None, 4), "d", (2, 5, 3), activation="relu"),
    einsum("abc,cd->abd", (5, 4), "bd", (2, 5, 3)),
    einsum("abc,bd->adc", (4, None), "d", (2, 5, 3)),
    einsum("...x,xy->...y", 4, "y", (2, 5, 3)),
    einsum("...x,xy->...y", 4, "y", (2, 5, 6, 3)),
    einsum("...x,xy->...y", 4, None, (2, 3)),
    einsum("abc...,bd->adc...", (4, None), "d", (2, 5, 3, 2)),
    einsum("ab...,bc->ac...", 4, "c", (2, 5, 3)),
    einsum("abcd,def->abecf", (None, 2, 5, 4), "ef", (2, 6, 5, 3)),
    einsum("abcd,def->abecf", (None, 2, 5, 4), "f", (2, 6, 5, 3)),
    einsum("abcd,cde->abe", (6, 4), "e", (2, 6, 5, 3), kernel_initializer="ones"),
    ("Reshape", {"target_shape": (3, 4)}, (2, 12)),
    ("Reshape", {"target_shape": (-1, 2, 3)}, (2, 5, 6)),
    ("Reshape", {"target_shape": (6, -1)}, (2, 3, 4)),
    ("Reshape", {"target_shape": (-1,)}, (2, 3, 4)),
    ("Permute", {"dims": (2, 1)}, (2, 5, 3)),
    ("Permute", {"dims": (1, 3, 2)}, (2, 5, 3, 4)),
    ("Permute", {"dims": (3, 1, 2)}, (2, 5, 3, 4)),
    ("RepeatVector", {"n": 3}, (2, 4)),
]

DOTS: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    ("Dot", {"axes": 1}, [(2, 5), (2, 5)]),
    ("Dot", {"axes": -1}, [(2, 5, 3), (2, 4, 3)]),
    ("Dot", {"axes": (1, 2)}, [(2, 5, 3), (2, 4, 5)]),
    ("Dot", {"axes": (2, 1)}, [(2, 5, 3), (2, 3)]),
    ("Dot", {"axes": (1, 2)}, [(2, 3), (2, 5, 3)]),
    ("Dot", {"axes": (2, 1)}, [(2, 5, 3), (2, 3, 4, 2)]),
    ("Dot", {"axes": (3, 1)}, [(2, 5, 4, 3), (2, 3, 6)]),
    ("Dot", {"axes": 1, "normalize": True}, [(2, 5), (2, 5)]),
    ("Dot", {"axes": 2, "normalize": True}, [(2, 5, 3), (2, 4, 3)]),
]


@pytest.mark.parametrize("case", CASES, ids=label)
def test_layers_compute_what_keras_computes(case: Case) -> None:
    name, kwargs, shape = case
    x = draw(*shape)
    same(*pair(name, kwargs, x), x)


@pytest.mark.parametrize("case", DOTS, ids=label)
def test_dot_computes_what_keras_computes(case: Any) -> None:
    name, kwargs, shapes = case
    xs = [draw(*shape, seed=at) for at, shape in enumerate(shapes)]
    same(*pair(name, kwargs, xs), xs)
    got, wanted = layers.dot(xs, **kwargs), keras.layers.dot(xs, **kwargs)
    np.testing.assert_allclose(got.numpy(), wanted.detach().numpy(), **VALUES)


def test_a_lambda_computes_what_keras_computes() -> None:
    def scaled(x: Any, by: float = 1.0, training: bool | None = None) -> Any:
        return x * by + (1 if training else 0)

    x = draw(2, 5, 3)
    arguments = {"arguments": {"by": 3.0}}
    theirs, ours = keras.layers.Lambda(scaled, **arguments), layers.Lambda(scaled, **arguments)
    for training in (False, True):
        got, wanted = ours(x, training=training), theirs(x, training=training)
        np.testing.assert_allclose(got.numpy(), wanted.numpy(), **VALUES)


@pytest.mark.parametrize("axis", [-1, 1, [1, 2]])
def test_softmax_with_a_mask_of_entries(axis: Any) -> None:
    x = draw(2, 5, 3)
    mask = np.random.default_rng(0).random((2, 5, 3)) > 0.3
    got, wanted = layers.Softmax(axis)(x, mask=mask), keras.layers.Softmax(axis)(x, mask=torch.tensor(mask))
    np.testing.assert_allclose(got.numpy(), wanted.numpy(), **VALUES)


@pytest.mark.parametrize("name", ["Identity", "EinsumDense", "Reshape", "Permute", "RepeatVector", "Dot", "Lambda"])
def test_arguments_are_those_of_keras(name: str) -> None:
    import inspect

    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name).__init__).parameters
    later = {"lora_rank", "lora_alpha", "quantization_config", "gptq_unpacked_column_size"}
    wanted = {key: p.default for key, p in theirs.items() if key not in later}
    got = {key: p.default for key, p in ours.items() if p.kind is not p.KEYWORD_ONLY}
    assert got == wanted
    for key in later & theirs.keys():
        with pytest.raises(padless.errors.NotThereYetError, match=key):
            layers.EinsumDense("ab,bc->ac", 4, **{key: 2})


def test_weights_start_alike() -> None:
    for name, kwargs, shape in CASES:
        x = draw(*shape)
        theirs, ours = getattr(keras.layers, name)(**kwargs), getattr(layers, name)(**kwargs)
        theirs(x)
        ours(x)
        for mine, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            if right.std() == 0:
                np.testing.assert_array_equal(mine, right)
            else:
                assert 0.3 < np.abs(mine).max() / np.abs(right).max() < 3
