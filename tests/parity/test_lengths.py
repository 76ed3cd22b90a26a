"""Layers that give rows another length, against Keras on input without padding: outputs, gradients, arguments."""

from __future__ import annotations

import inspect
from itertools import product
from typing import Any

import keras
import pytest

import padless
from padless import layers
from tests.parity.test_layers import Case, draw, label, pair, same

# Keras's variables do not take NumPy 2's copy argument; its layers warn of what frameworks without "same" differ in.
pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:You might experience inconsistencies:UserWarning"),
]


@pytest.fixture(autouse=True)
def on_torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def convolutions() -> list[Case]:
    found: list[Case] = []
    for padding, (stride, gap), size in product(("valid", "same"), ((1, 1), (2, 1), (3, 1), (1, 2)), (1, 2, 3, 4)):
        kwargs = {"kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("DepthwiseConv1D", {**kwargs, "depth_multiplier": 1 + size % 2}, (2, 11, 3)))
        if size > 2:
            found.append(("SeparableConv1D", {**kwargs, "filters": 4, "depth_multiplier": size - 2}, (2, 11, 3)))
        found.append(("Conv1DTranspose", {**kwargs, "filters": 4}, (2, 5, 3)))
        found += [("Conv1DTranspose", {**kwargs, "filters": 2, "output_padding": n}, (2, 5, 3)) for n in range(stride)]
    found.append(("DepthwiseConv1D", {"kernel_size": [3], "activation": "tanh", "use_bias": False}, (2, 8, 3)))
    found.append(("SeparableConv1D", {"filters": 2, "kernel_size": 3, "activation": "relu"}, (2, 8, 3)))
    found.append(("Conv1DTranspose", {"filters": 2, "kernel_size": 3, "activation": "relu"}, (2, 8, 3)))
    return found


def moves() -> list[Case]:
    return [
        *(("ZeroPadding1D", {"padding": padding}, (2, 5, 3)) for padding in (1, 0, (0, 2), (3, 1))),
        *(("Cropping1D", {"cropping": cropping}, (2, 5, 3)) for cropping in (1, 0, (0, 2), (3, 1))),
        *(("UpSampling1D", {"size": size}, (2, 5, 3)) for size in (1, 2, 3)),
    ]


def parts() -> list[Case]:
    return [
        (name, {"output_size": size}, (2, length, 3))
        for name in ("AdaptiveAveragePooling1D", "AdaptiveMaxPooling1D")
        for length, size in ((12, 4), (7, 3), (3, 5), (1, 2), (8, 8), (5, 1))
    ]


FIRST: list[Case] = [
    ("Conv1D", {"filters": 4, "kernel_size": 3, "padding": "same"}, (2, 3, 8)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": (1, 2)}, (2, 3, 6, 5)),
    ("DepthwiseConv1D", {"kernel_size": 3, "depth_multiplier": 2}, (2, 3, 8)),
    ("SeparableConv1D", {"filters": 4, "kernel_size": 3}, (2, 3, 8)),
    ("Conv1DTranspose", {"filters": 4, "kernel_size": 3, "strides": 2}, (2, 3, 5)),
    ("ZeroPadding1D", {"padding": 2}, (2, 3, 5)),
    ("MaxPooling1D", {"pool_size": 2}, (2, 3, 6)),
    ("AveragePooling1D", {"pool_size": 2}, (2, 3, 6)),
    ("GlobalMaxPooling1D", {"keepdims": True}, (2, 3, 6)),
    ("GlobalAveragePooling1D", {}, (2, 3, 6)),
    ("AdaptiveAveragePooling1D", {"output_size": 4}, (2, 3, 6)),
    ("AdaptiveMaxPooling1D", {"output_size": (4,)}, (2, 3, 6)),
]
CASES: list[Case] = [
    *convolutions(),
    *moves(),
    *parts(),
    *((name, {**kwargs, "data_format": "channels_first"}, shape) for name, kwargs, shape in FIRST),
]


@pytest.mark.parametrize("case", CASES, ids=label)
def test_layers_compute_what_keras_computes(case: Case) -> None:
    name, kwargs, shape = case
    x = draw(*shape)
    same(*pair(name, kwargs, x), x)


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_those_of_keras(name: str) -> None:
    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name).__init__).parameters
    wanted = {key: p.default for key, p in theirs.items() if not key.startswith(("lora", "quantization"))}
    got = {key: p.default for key, p in ours.items() if p.kind is not p.KEYWORD_ONLY}
    assert list(got) == list(wanted)
    spelled = {(1, 1): 1}  # an equal default, written in another way
    assert {k: spelled.get(v, v) for k, v in got.items()} == {k: spelled.get(v, v) for k, v in wanted.items()}


def test_other_names_of_keras_work() -> None:
    for alias in ("Convolution1DTranspose", "SeparableConvolution1D"):
        assert getattr(layers, alias).__name__ == getattr(keras.layers, alias).__name__
