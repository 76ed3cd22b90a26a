"""Convolutions and interpolation of images and volumes: on every backend, in TimeDistributed, and their errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, MaskError, NotThereYetError, ShapeError
from tests.tolerances import VALUES

Host = np.ndarray[Any, Any]

KINDS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "Conv2D": (lambda: layers.Conv2D(4, 3, (2, 1), "same", groups=2), (7, 6, 2)),
    "Conv3D": (lambda: layers.Conv3D(2, (1, 2, 3), dilation_rate=(1, 2, 1)), (3, 4, 4, 2)),
    "DepthwiseConv2D": (lambda: layers.DepthwiseConv2D(3, 2, "same", depth_multiplier=2), (7, 6, 2)),
    "SeparableConv2D": (lambda: layers.SeparableConv2D(3, 2, dilation_rate=2, depth_multiplier=2), (7, 6, 2)),
    "Conv2DTranspose": (lambda: layers.Conv2DTranspose(3, (3, 2), (2, 3), "same", (1, 0)), (4, 3, 2)),
    "Conv2DTranspose-gaps": (lambda: layers.Conv2DTranspose(3, 2, (2, 4)), (4, 3, 2)),
    "Conv3DTranspose": (lambda: layers.Conv3DTranspose(2, (1, 2, 3), dilation_rate=2, padding="same"), (3, 2, 4, 2)),
    "UpSampling2D": (lambda: layers.UpSampling2D((2, 3), interpolation="bicubic"), (4, 3, 2)),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def host(x: Any) -> Host:
    return padless.backends.of(x).to_host(x)


def draw(*shape: int, seed: int = 0) -> Host:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@every_kind
def test_backends_agree(kind: str, backend: str) -> None:
    make, shape = KINDS[kind]
    x, layer = draw(2, *shape), make()
    y = layer(x)
    padless.set_backend("numpy")  # the fixture sets it back
    plain = make()
    plain(x)
    plain.set_weights(layer.get_weights())
    wanted = plain(x)
    assert tuple(y.shape) == wanted.shape
    np.testing.assert_allclose(host(y), wanted, **VALUES)
    assert tuple(layer(x[:0]).shape) == (0, *wanted.shape[1:])


@every_kind
def test_every_frame_of_rows_alone(kind: str, backend: str) -> None:
    make, shape = KINDS[kind]
    x = Ragged.from_list([draw(2, *shape), draw(0, *shape), draw(3, *shape, seed=1)])
    layer = layers.TimeDistributed(make())
    y = layer(x)
    assert y.rows is x.rows
    np.testing.assert_allclose(host(y.values[3]), host(layer.layer(host(x.values)[3:4]))[0], **VALUES)
    with pytest.raises(MaskError, match="expected an input of fixed size"):
        make()(x)


@every_kind
def test_symbols_have_the_shape_of_the_answer(kind: str) -> None:
    make, shape = KINDS[kind]
    inputs = Input(shape)
    outputs = make()(inputs)
    model = Model(inputs, outputs)
    assert model(draw(2, *shape)).shape == (2, *outputs.shape[1:])


def test_a_transposed_convolution_of_one_axis_is_that_of_rows(backend: str) -> None:
    x = draw(2, 5, 1, 3)
    for options in (
        {"strides": 3, "padding": "same"},
        {"strides": 3, "output_padding": 1},
        {"dilation_rate": 2, "padding": "same"},
    ):
        rows = layers.Conv1DTranspose(2, 2, **options)
        wanted = host(rows(x[:, :, 0]))
        both = {key: value if key == "padding" else (value, 0 if key == "output_padding" else 1)
                for key, value in options.items()}  # fmt: skip
        images = layers.Conv2DTranspose(2, (2, 1), **both)
        images(x)
        images.set_weights([rows.get_weights()[0][:, None], rows.get_weights()[1]])
        np.testing.assert_allclose(host(images(x))[:, :, 0], wanted, **VALUES)


def test_autoencoder_learns(trainer: str) -> None:
    model = Sequential(
        [
            layers.Conv2D(3, 3, strides=2, padding="same", activation="relu"),
            layers.SeparableConv2D(4, 2, padding="same"),
            layers.Conv2DTranspose(1, 3, strides=2, padding="same"),
        ]
    )
    x = draw(4, 4, 6, 1)
    model.compile("adam", "mse")
    history = model.fit(x, x, epochs=6, batch_size=4, verbose=0).history["loss"]
    assert history[-1] < history[0]


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
@pytest.mark.parametrize("make", [lambda **a: layers.Conv2D(2, 2, **a), layers.MaxPooling2D, layers.ZeroPadding2D])
def test_rows_are_refused_whatever_the_format(make: Any, data_format: str) -> None:
    for width in ((4, 3), (4, 4, 3)):
        with pytest.raises(MaskError, match="expected an input of fixed size"):
            make(data_format=data_format)(Ragged.from_lengths(draw(5, *width), [3, 2]))


# ---- interpolation


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos3", "lanczos5"])
@pytest.mark.parametrize("size", [2, (1, 3), (4, 2)])
def test_interpolation_is_that_of_jax(interpolation: str, size: Any) -> None:
    image = pytest.importorskip("jax.image")
    x = draw(2, 5, 3, 2)
    y = host(layers.UpSampling2D(size, interpolation=interpolation)(x))
    method = {"bicubic": "cubic"}.get(interpolation, interpolation)
    np.testing.assert_allclose(y, image.resize(x, y.shape, method), rtol=1e-5, atol=1e-5)


def test_interpolation_of_whole_numbers(backend: str) -> None:
    x = np.array([0, 4], np.int32).reshape(1, 1, 2, 1)
    assert host(layers.UpSampling2D((1, 2), interpolation="bilinear")(x)).ravel().tolist() == [0, 1, 3, 4]
    repeated = host(layers.UpSampling2D((1, 2))(x))
    assert repeated.dtype.kind == "i"
    assert repeated.ravel().tolist() == [0, 0, 4, 4]
    with pytest.raises(ArgumentError, match="'nearest', 'bilinear'"):
        layers.UpSampling2D(interpolation="linear")


# ---- errors


@pytest.mark.parametrize(
    "make",
    [
        lambda **a: layers.Conv3D(4, **{"kernel_size": 2} | a),
        lambda **a: layers.SeparableConv2D(4, **{"kernel_size": 2} | a),
        lambda **a: layers.DepthwiseConv2D(**{"kernel_size": 2} | a),
        lambda **a: layers.Conv2DTranspose(4, **{"kernel_size": 2} | a),
        lambda **a: layers.Conv3DTranspose(4, **{"kernel_size": 2} | a),
    ],
)
def test_arguments_are_checked(make: Any) -> None:
    for wrong, text in [
        ({"kernel_size": 0}, "kernel_size: expected a whole number above 0"),
        ({"kernel_size": (1, 2, 3, 4)}, "kernel_size: expected [23] of them"),
        ({"strides": 0}, "strides"),
        ({"dilation_rate": -1}, "dilation_rate"),
        ({"padding": "causal"}, "one of 'valid', 'same'"),
        ({"data_format": "last"}, "'channels_last', 'channels_first'"),
    ]:
        with pytest.raises(ArgumentError, match=text):
            make(**wrong)
    assert make(padding="SAME").padding == "same"


def test_arguments_that_do_not_go_together() -> None:
    for make in (layers.Conv3D, layers.Conv2DTranspose, layers.Conv3DTranspose):
        with pytest.raises(ArgumentError, match="not both"):
            make(2, 2, strides=2, dilation_rate=2)
    for more in (2, (0, 2), 5):
        with pytest.raises(ArgumentError, match="output_padding: expected a number below strides, 3, 2"):
            layers.Conv2DTranspose(2, 2, strides=(3, 2), output_padding=more)
    with pytest.raises(ArgumentError, match="output_padding: expected 3 whole numbers from 0 on"):
        layers.Conv3DTranspose(2, 2, strides=2, output_padding=-1)
    for make in (layers.SeparableConv2D, layers.Conv2DTranspose):
        with pytest.raises(ArgumentError, match="filters: expected a whole number above 0"):
            make(0, 2)
    for make in (layers.SeparableConv2D, layers.DepthwiseConv2D):
        with pytest.raises(ArgumentError, match="depth_multiplier: expected a whole number above 0"):
            make(kernel_size=2, depth_multiplier=0, **({"filters": 2} if make is layers.SeparableConv2D else {}))
    for axes, make in ((2, layers.Conv2D), (3, layers.Conv3D)):
        with pytest.raises(ArgumentError, match="divisor of the 3 features"):
            make(4, 2, groups=2)(draw(2, *(5, 5, 5)[:axes], 3))
    with pytest.raises(NotThereYetError):
        layers.Conv3D(2, 2, lora_rank=2)


def test_shapes_are_checked() -> None:
    for make in (layers.Conv2D, layers.SeparableConv2D, layers.Conv2DTranspose):
        with pytest.raises(ShapeError, match=r"expected 4 axes, \(B, H, W, D\)(.|\n)*x\[None\] makes a batch of one"):
            make(2, 2)(draw(2, 5, 3))
        layer = make(2, 2)
        layer(draw(2, 5, 5, 3))
        with pytest.raises(ShapeError, match="expected 3 features"):
            layer(draw(2, 5, 5, 4))
    for make in (layers.Conv3D, layers.Conv3DTranspose):
        with pytest.raises(ShapeError, match="expected 5 axes"):
            make(2, 2)(draw(2, 5, 5, 3))
    with pytest.raises(ShapeError, match="at least 2 x 3 x 2 places"):
        layers.Conv3D(2, (2, 3, 2))(draw(1, 4, 2, 4, 1))
    with pytest.raises(ShapeError, match="at least 3 x 3 places"):
        layers.DepthwiseConv2D(2, dilation_rate=2)(draw(1, 2, 5, 1))
    with pytest.raises(ShapeError, match="places along every axis of the input and the output"):
        layers.Conv2DTranspose(2, 2)(draw(1, 0, 5, 1))
    with pytest.raises(ShapeError, match="output_padding=None"):
        layers.Conv2DTranspose(2, 2, padding="same", output_padding=0)(draw(1, 1, 1, 1))
