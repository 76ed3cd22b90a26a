"""Layers against Keras on input without padding: outputs, gradients of weights and input, states, config."""

from __future__ import annotations

from itertools import product
from typing import Any

import keras
import numpy as np
import pytest
import torch

import padless
from padless import layers
from padless.layer import substituted
from tests.tolerances import GRADIENTS, VALUES

# Keras's variables do not take NumPy 2's copy argument.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

Case = tuple[str, dict[str, Any], tuple[int, ...]]


def convolutions() -> list[Case]:
    found: list[Case] = []
    for padding, (stride, gap), size in product(
        ("valid", "same", "causal"), ((1, 1), (2, 1), (3, 1), (1, 2), (1, 3)), (1, 2, 3, 4)
    ):
        kwargs = {"filters": 4, "kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("Conv1D", kwargs, (2, 11, 3)))
    for padding, groups in product(("valid", "same", "causal"), (2, 3)):
        found.append(("Conv1D", {"filters": 6, "kernel_size": 3, "padding": padding, "groups": groups}, (2, 8, 6)))
    found.append(("Conv1D", {"filters": 4, "kernel_size": [3], "activation": "tanh", "use_bias": False}, (2, 8, 3)))
    for padding, (stride, gap), size in product(
        ("valid", "same"), ((1, 1), (2, 1), ((3, 1), 1), (1, 2), (1, (2, 3))), (2, 3, (1, 3))
    ):
        kwargs = {"filters": 4, "kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("Conv2D", kwargs, (2, 7, 8, 3)))
    found.append(("Conv2D", {"filters": 4, "kernel_size": 3, "groups": 2, "activation": "relu"}, (2, 6, 5, 4)))
    for padding, (stride, gap), size in product(
        ("valid", "same"), ((1, 1), ((3, 1, 2), 1), (1, (1, 2, 1))), (2, (1, 3, 2))
    ):
        kwargs = {"filters": 2, "kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("Conv3D", kwargs, (2, 5, 6, 4, 3)))
    found.append(("Conv3D", {"filters": 4, "kernel_size": 2, "groups": 2, "use_bias": False}, (2, 3, 4, 3, 4)))
    for padding, (stride, gap), size in product(("valid", "same"), ((1, 1), (2, 1), (1, (2, 3))), (2, (1, 3))):
        kwargs = {"kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("DepthwiseConv2D", {**kwargs, "depth_multiplier": 2}, (2, 7, 8, 3)))
        found.append(("SeparableConv2D", {**kwargs, "filters": 4, "depth_multiplier": 2}, (2, 7, 8, 3)))
    found.append(("DepthwiseConv2D", {"kernel_size": 3, "activation": "relu", "use_bias": False}, (2, 6, 5, 4)))
    found.append(("SeparableConv2D", {"filters": 2, "kernel_size": 3, "activation": "tanh"}, (2, 6, 5, 4)))
    for padding, (stride, gap), size in product(
        ("valid", "same"), ((1, 1), (2, 1), ((3, 1), 1), (4, 1), (1, (2, 3))), (1, 2, (3, 4))
    ):
        kwargs = {"filters": 4, "kernel_size": size, "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("Conv2DTranspose", kwargs, (2, 3, 4, 3)))
    for padding, more, size in product(("valid", "same"), (0, 1, (2, 0)), (2, (3, 4))):
        kwargs = {"filters": 2, "kernel_size": size, "padding": padding, "strides": 3, "output_padding": more}
        found.append(("Conv2DTranspose", kwargs, (2, 3, 4, 3)))
    for padding, (stride, gap, more) in product(
        ("valid", "same"), ((1, 1, None), ((2, 1, 3), 1, None), (2, 1, (1, 0, 1)), (1, 2, None))
    ):
        kwargs = {"filters": 2, "kernel_size": (1, 2, 3), "padding": padding, "strides": stride, "dilation_rate": gap}
        found.append(("Conv3DTranspose", {**kwargs, "output_padding": more}, (2, 3, 2, 4, 3)))
    return found


def channels_first() -> list[Case]:
    """Each kind of layer of images and volumes, with its features before them."""
    windows = {"strides": 2, "padding": "same"}
    kinds: list[tuple[str, dict[str, Any], int]] = [
        *((f"Conv{axes}D", {"filters": 2, "kernel_size": 3, **windows}, axes) for axes in (2, 3)),
        *((f"Conv{axes}DTranspose", {"filters": 2, "kernel_size": 3, **windows}, axes) for axes in (2, 3)),
        ("DepthwiseConv2D", {"kernel_size": 3, **windows}, 2),
        ("SeparableConv2D", {"filters": 2, "kernel_size": 3, **windows}, 2),
        ("MaxPooling2D", windows, 2),
        ("AveragePooling3D", {"pool_size": 2}, 3),
        ("GlobalMaxPooling2D", {}, 2),
        ("GlobalAveragePooling3D", {"keepdims": True}, 3),
        ("AdaptiveMaxPooling2D", {"output_size": 3}, 2),
        ("AdaptiveAveragePooling3D", {"output_size": 2}, 3),
        *((f"ZeroPadding{axes}D", {}, axes) for axes in (2, 3)),
        *((f"Cropping{axes}D", {"cropping": 1}, axes) for axes in (2, 3)),
        *((f"UpSampling{axes}D", {}, axes) for axes in (2, 3)),
        ("UpSampling2D", {"interpolation": "bilinear"}, 2),
    ]
    return [
        (name, {**kwargs, "data_format": "channels_first"}, (2, 3, *(6, 4, 5)[:axes])) for name, kwargs, axes in kinds
    ]


def poolings() -> list[Case]:
    found: list[Case] = []
    for name, padding, stride, size in product(
        ("MaxPooling1D", "AveragePooling1D"), ("valid", "same"), (None, 1, 2, 3), (1, 2, 3, 4)
    ):
        step = stride or size
        # Where "same" pads one side more, Keras on torch averages copies of the last step, and elsewhere it does not:
        # tests/layers/test_convolution_pooling.py has those windows.
        uneven = padding == "same" and max((-(-10 // step) - 1) * step + size - 10, 0) % 2
        if name == "MaxPooling1D" or not uneven:
            found.append((name, {"pool_size": size, "strides": stride, "padding": padding}, (2, 10, 3)))
    for padding, stride, size in product(("valid", "same"), (None, 1, (2, 3)), (2, (3, 2), (1, 4))):
        found.append(("MaxPooling2D", {"pool_size": size, "strides": stride, "padding": padding}, (2, 7, 8, 3)))
    for padding, stride, size in product(("valid", "same"), (None, 2), (2, (3, 2, 1))):
        found.append(("MaxPooling3D", {"pool_size": size, "strides": stride, "padding": padding}, (2, 5, 6, 4, 2)))
    # Even windows on even sizes, where "same" pads both sides alike: as for AveragePooling1D.
    for padding, size in product(("valid", "same"), (2, (4, 2))):
        found.append(("AveragePooling2D", {"pool_size": size, "padding": padding}, (2, 8, 4, 3)))
    found.append(("AveragePooling2D", {"pool_size": 3, "strides": 1, "padding": "same"}, (2, 5, 4, 3)))
    found.append(("AveragePooling3D", {"pool_size": 3, "strides": 1, "padding": "same"}, (2, 5, 4, 3, 2)))
    found.append(("AveragePooling3D", {"pool_size": (2, 1, 2), "strides": (1, 2, 2)}, (2, 5, 4, 4, 2)))
    for axes, kind, size in product((2, 3), ("Max", "Average"), (1, 3)):
        found.append((f"Adaptive{kind}Pooling{axes}D", {"output_size": size}, (*(3, 5, 4, 3)[: axes + 1], 4)))
    found.append(("AdaptiveAveragePooling2D", {"output_size": (3, 5)}, (2, 7, 4, 3)))
    for axes in (2, 3):
        shape = (*(2, 5, 4, 6)[: axes + 1], 3)
        found += [(f"ZeroPadding{axes}D", {"padding": size}, shape) for size in (2, (1, 0, 2)[:axes])]
        found.append((f"ZeroPadding{axes}D", {"padding": ((0, 1), (2, 1), (1, 0))[:axes]}, shape))
        found += [(f"Cropping{axes}D", {"cropping": size}, shape) for size in (1, ((0, 1), (2, 1), (1, 0))[:axes])]
        found += [(f"UpSampling{axes}D", {"size": size}, shape) for size in (2, (1, 3, 2)[:axes])]
    found += [("UpSampling2D", {"size": size, "interpolation": "bilinear"}, (2, 5, 1, 3)) for size in (2, (1, 3))]
    for axes, kind, keep in product((1, 2, 3), ("Max", "Average"), (False, True)):
        found.append((f"Global{kind}Pooling{axes}D", {"keepdims": keep}, (*(3, 5, 4, 3)[: axes + 1], 4)))
    return found


CASES: list[Case] = [
    ("Dense", {"units": 4}, (5, 3)),
    ("Dense", {"units": 4, "activation": "relu", "use_bias": False}, (2, 6, 3)),
    ("Dense", {"units": 4, "activation": "softmax", "bias_initializer": "ones"}, (2, 3, 2, 3)),
    ("Activation", {"activation": "gelu"}, (2, 6, 3)),
    ("ReLU", {}, (2, 6, 3)),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2}, (2, 6, 3)),
    ("LeakyReLU", {}, (2, 6, 3)),
    ("LeakyReLU", {"negative_slope": 0.01}, (2, 6, 3)),
    ("ELU", {}, (2, 6, 3)),
    ("ELU", {"alpha": 0.5}, (2, 6, 3)),
    ("PReLU", {"alpha_initializer": "ones"}, (2, 6, 3)),
    ("PReLU", {"alpha_initializer": "ones", "shared_axes": [1]}, (2, 6, 3)),
    ("Softmax", {}, (2, 6, 3)),
    ("Softmax", {"axis": 1}, (2, 6, 3)),
    ("Softmax", {"axis": [1, 2]}, (2, 6, 3)),
    ("LayerNormalization", {}, (2, 6, 3)),
    ("LayerNormalization", {"epsilon": 1e-5, "center": False}, (4, 3)),
    ("LayerNormalization", {"scale": False}, (2, 6, 3)),
    ("LayerNormalization", {"axis": [1, 2]}, (2, 6, 3)),
    ("LayerNormalization", {"axis": [1, 3]}, (2, 4, 5, 3)),
    ("BatchNormalization", {}, (2, 6, 3)),
    ("BatchNormalization", {"scale": False}, (4, 3)),
    ("BatchNormalization", {"center": False, "epsilon": 1e-2}, (4, 3)),
    ("BatchNormalization", {"axis": 1}, (2, 6, 3)),
    ("Dropout", {"rate": 0.5}, (2, 6, 3)),
    ("Flatten", {}, (2, 6, 3)),
    ("Flatten", {"data_format": "channels_first"}, (2, 6, 3, 2)),
    ("Flatten", {}, (4,)),
    *convolutions(),
    *poolings(),
    *channels_first(),
]

MERGES: list[tuple[str, dict[str, Any], list[tuple[int, ...]]]] = [
    ("Add", {}, [(2, 5, 3)] * 3),
    ("Add", {}, [(2, 5, 3), (2, 1, 3), (2, 3)]),
    ("Subtract", {}, [(2, 5, 3)] * 2),
    ("Multiply", {}, [(2, 5, 3)] * 3),
    ("Average", {}, [(2, 5, 3)] * 3),
    ("Maximum", {}, [(2, 5, 3)] * 3),
    ("Minimum", {}, [(2, 5, 3), (2, 5, 1)]),
    ("Concatenate", {}, [(2, 5, 3), (2, 5, 1), (2, 5, 2)]),
    ("Concatenate", {"axis": 1}, [(2, 5, 3), (2, 1, 3)]),
    ("Concatenate", {"axis": -2}, [(2, 5, 3), (2, 1, 3)]),
]


def label(case: Any) -> str:
    return f"{case[0]}-{case[2]}-" + ",".join(f"{key}={value}" for key, value in case[1].items())


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@pytest.fixture(autouse=True)
def _torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def keras_side(layer: Any, xs: Any, training: bool) -> tuple[Any, list[Any], list[Any]]:
    """Output, gradients of the trainable weights, gradients of the inputs, of a fixed sum of the output."""
    many = isinstance(xs, list)
    inputs = [torch.tensor(x, requires_grad=True) for x in (xs if many else [xs])]
    y = layer(inputs if many else inputs[0], training=training)
    weights = [weight.value for weight in layer.trainable_weights]
    found = torch.autograd.grad((y * torch.tensor(draw(*y.shape, seed=9))).sum(), [*weights, *inputs])
    return y.detach().numpy(), [g.numpy() for g in found[: len(weights)]], [g.numpy() for g in found[len(weights) :]]


def our_side(layer: Any, xs: Any, training: bool) -> tuple[Any, list[Any], list[Any]]:
    many = isinstance(xs, list)
    backend = layer.backend
    slots = layer.weight_slots()
    trained = [path for path, (owner, name) in slots.items() if owner.trains(name)]
    leaves = {path: slots[path][0].__dict__[slots[path][1]] for path in trained}
    leaves.update({f"input{at}": backend.asarray(x) for at, x in enumerate(xs if many else [xs])})
    moved: dict[str, Any] = {}

    def loss(arrays: dict[str, Any]) -> Any:
        inputs = [array for path, array in arrays.items() if path.startswith("input")]
        with substituted(layer, {path: arrays[path] for path in trained}) as assigned:
            y = layer(inputs if many else inputs[0], training=training)
        moved.update(assigned)
        return (y * backend.asarray(draw(*y.shape, seed=9))).sum(), y

    (_, y), gradients = backend.value_and_grad(loss, leaves)
    for path, value in moved.items():
        slots[path][0].assign(slots[path][1], value)
    host = {path: backend.to_host(gradient) for path, gradient in gradients.items()}
    return backend.to_host(y), [host.pop(path) for path in trained], list(host.values())


def pair(name: str, kwargs: dict[str, Any], xs: Any) -> tuple[Any, Any]:
    """Keras's layer and ours, built, with the same weights, none of them at its default."""
    theirs, ours = getattr(keras.layers, name)(**kwargs), getattr(layers, name)(**kwargs)
    theirs(xs)
    ours(xs)
    weights = theirs.get_weights()
    assert [w.shape for w in ours.get_weights()] == [w.shape for w in weights]
    assert list(ours._weights) == [w.name for w in theirs.weights]
    weights = [np.abs(draw(*w.shape, seed=20 + at)) + 0.1 for at, w in enumerate(weights)]
    theirs.set_weights(weights)
    ours.set_weights(weights)
    return theirs, ours


def same(theirs: Any, ours: Any, xs: Any, *, training: bool = False) -> None:
    wanted, got = keras_side(theirs, xs, training), our_side(ours, xs, training)
    assert got[0].shape == wanted[0].shape
    np.testing.assert_allclose(got[0], wanted[0], **VALUES)
    for mine, right in zip([*got[1], *got[2]], [*wanted[1], *wanted[2]], strict=True):
        np.testing.assert_allclose(mine, right, **GRADIENTS)


@pytest.mark.parametrize("case", CASES, ids=label)
def test_layers_compute_what_keras_computes(case: Case) -> None:
    name, kwargs, shape = case
    x = draw(*shape)
    same(*pair(name, kwargs, x), x)


@pytest.mark.parametrize("case", MERGES, ids=label)
def test_merges_compute_what_keras_computes(case: Any) -> None:
    name, kwargs, shapes = case
    xs = [draw(*shape, seed=at) for at, shape in enumerate(shapes)]
    theirs, ours = pair(name, kwargs, xs)
    same(theirs, ours, xs)
    function = getattr(layers, name.lower())
    np.testing.assert_array_equal(function(xs, **kwargs).numpy(), ours(xs).numpy())


@pytest.mark.parametrize(
    ("kwargs", "shape"),
    [({}, (4, 6, 3)), ({"momentum": 0.7, "epsilon": 1e-2}, (8, 3)), ({"axis": 1, "scale": False}, (4, 6, 3))],
)
def test_batch_normalization_trains_as_in_keras(kwargs: dict[str, Any], shape: tuple[int, ...]) -> None:
    theirs, ours = pair("BatchNormalization", kwargs, draw(*shape))
    for step in range(4):
        same(theirs, ours, 3 * draw(*shape, seed=step) + step, training=True)
    for mine, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
        np.testing.assert_allclose(mine, right, **VALUES)
    same(theirs, ours, draw(*shape))
    theirs.trainable = ours.trainable = False
    before = ours.get_weights()
    np.testing.assert_allclose(
        ours(draw(*shape), training=True).numpy(),
        theirs(draw(*shape), training=True).detach().numpy(),
        **VALUES,
    )
    assert all((a == b).all() for a, b in zip(before, ours.get_weights(), strict=True))


def test_embedding_looks_up_what_keras_looks_up() -> None:
    ids = np.array([[1, 2, 9], [2, 0, 2]])
    theirs, ours = pair("Embedding", {"input_dim": 10, "output_dim": 4}, ids)
    table = ours.backend.asarray(ours.get_weights()[0])

    def loss(arrays: dict[str, Any]) -> Any:
        with substituted(ours, arrays):
            y = ours(ids)
        return (y * y).sum(), y

    (_, y), gradients = ours.backend.value_and_grad(loss, {"embeddings": table})
    right = theirs(ids)
    np.testing.assert_array_equal(y.numpy(), right.detach().numpy())
    (wanted,) = torch.autograd.grad((right * right).sum(), [theirs.weights[0].value])
    np.testing.assert_allclose(gradients["embeddings"].numpy(), wanted.numpy(), **GRADIENTS)


def test_masks_are_those_of_keras() -> None:
    ids = np.array([[0, 2, 9], [2, 0, 0]])
    theirs, ours = pair("Embedding", {"input_dim": 10, "output_dim": 4, "mask_zero": True}, ids)
    np.testing.assert_array_equal(ours.compute_mask(ids), theirs.compute_mask(ids).numpy())
    np.testing.assert_array_equal(ours(ids).rows.mask, ids != 0)
    x = draw(2, 4, 3)
    x[0, 1] = x[1, 3] = 0
    x[0, 2, 1] = 0
    mask = keras.layers.Masking().compute_mask(x).numpy()
    np.testing.assert_array_equal(layers.Masking().compute_mask(x), mask)
    np.testing.assert_array_equal(layers.Masking()(x).rows.mask, mask)


def test_weights_start_alike() -> None:
    """The same initializers, and weights that stand for what they start with."""
    for name, kwargs, shape in CASES:
        x = draw(*shape)
        theirs, ours = getattr(keras.layers, name)(**kwargs), getattr(layers, name)(**kwargs)
        theirs(x)
        ours(x)
        for mine, right in zip(ours.get_weights(), theirs.get_weights(), strict=True):
            assert mine.dtype == right.dtype
            if right.std() == 0:
                np.testing.assert_array_equal(mine, right)
            else:
                assert mine.std() > 0
                assert 0.3 < np.abs(mine).max() / np.abs(right).max() < 3
    table = np.asarray(layers.Embedding(1000, 8)(np.array([[0, 999]])).numpy())
    assert 0.02 < np.abs(table).max() <= 0.05


CLASSES = sorted({name for name, _, _ in [*CASES, *MERGES]} | {"Embedding", "Masking"})


@pytest.mark.parametrize("name", CLASSES)
def test_arguments_are_those_of_keras(name: str) -> None:
    import inspect

    theirs = inspect.signature(getattr(keras.layers, name).__init__).parameters
    ours = inspect.signature(getattr(layers, name).__init__).parameters
    later = {"lora_rank", "lora_alpha", "quantization_config"}
    wanted = {key: p.default for key, p in theirs.items() if key not in later}
    got = {key: p.default for key, p in ours.items() if p.kind is not p.KEYWORD_ONLY}
    # Equal defaults, written in another way.
    spelled = {"Zeros": "zeros", (1, 1): 1, (1, 1, 1): 1, (2, 2): 2, (2, 2, 2): 2}
    spelled |= {((0, 0),) * axes: 0 for axes in (2, 3)} | {((1, 1),) * axes: 1 for axes in (2, 3)}
    assert list(got) == list(wanted)
    if name in ("AveragePooling2D", "AveragePooling3D"):
        got["pool_size"] = wanted["pool_size"]  # must be said in Keras; here it is 2, as for the other pooling layers
    assert {k: spelled.get(v, v) for k, v in got.items()} == {k: spelled.get(v, v) for k, v in wanted.items()}
    for key in later & theirs.keys():
        with pytest.raises(padless.errors.NotThereYetError, match=key):
            getattr(layers, name)(*[2] * (1 + (name == "Embedding")), **{key: 2})


def test_other_names_of_keras_work() -> None:
    for alias in (
        *("AvgPool1D", "MaxPool1D", "MaxPool2D", "GlobalAvgPool1D", "GlobalMaxPool1D"),
        *("Convolution1D", "Convolution2D", "Convolution3D", "SeparableConvolution1D", "SeparableConvolution2D"),
        *("Convolution1DTranspose", "Convolution2DTranspose", "Convolution3DTranspose"),
    ):
        assert getattr(layers, alias).__name__ == getattr(keras.layers, alias).__name__
