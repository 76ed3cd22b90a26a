"""What users of Keras subclass and assign: Wrapper, InputSpec, InputLayer; and builds by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import ArgumentError, Layer, MaskError, Ragged, Sequential, ShapeError, layers
from padless.spec import Spec


def host(x: Any) -> Any:
    return padless.backends.of(x).to_host(x)


@padless.register
class Scaled(layers.Wrapper):
    """A wrapper in Keras's words: it builds what is inside, and reads a weight of it."""

    supports_masking = True

    def build(self, input_shape: Any) -> None:
        super().build(input_shape)
        self.scale = self.add_weight(shape=(self.layer.kernel.shape[-1],), initializer="ones")

    def call(self, inputs: Any) -> Any:
        return self.layer(inputs) * self.scale


class Silent(layers.Wrapper):
    """Says nothing about rows."""

    def call(self, x: Any) -> Any:
        return self.layer(x)


def test_a_wrapper_of_a_user(backend: str, tmp_path: Path) -> None:
    x = Ragged.from_list([np.ones((2, 3), np.float32), np.ones((1, 3), np.float32)])
    model = Sequential([layers.InputLayer((None, 3)), Scaled(layers.Dense(4)), layers.GlobalMaxPooling1D()])
    wanted = host(model(x))
    assert len(model.weights) == 3
    model.save(tmp_path / "model.padless")
    np.testing.assert_array_equal(host(padless.load_model(tmp_path / "model.padless")(x)), wanted)
    silent = Silent(layers.Dense(4))
    with pytest.raises(MaskError, match="no `view`"):
        silent(x)
    with pytest.raises(ArgumentError, match=r"Scaled\(layer\): expected a layer or a model"):
        Scaled(layers.Dense)


@pytest.mark.parametrize(
    ("spec", "fits", "fails"),
    [
        ({"ndim": 3}, [(None, None, 4)], [(None, 4)]),
        ({"min_ndim": 2, "max_ndim": 3}, [(None, 4), (None, 2, 4)], [(None,), (None, 2, 2, 4)]),
        ({"shape": (None, None, 4)}, [(None, 5, 4), (None, None, 4)], [(None, 5, 3), (None, 4)]),
        ({"axes": {-1: 4, 1: None}}, [(None, 4), (None, 7, 4)], [(None, 3), (None,)]),
        ({"shape": (None, 4, 1), "allow_last_axis_squeeze": True}, [(None, 4), (None, 4, 1)], [(None, 4, 2)]),
        ({"dtype": "float32"}, [(None, 4)], []),
        ({"dtype": "int64"}, [], [(None, 4)]),
        ({}, [(None,), (None, 4)], []),
    ],
)
def test_input_specs(spec: dict[str, Any], fits: list[Any], fails: list[Any]) -> None:
    made = layers.InputSpec(**spec)
    assert all(made.fits(Spec(shape)) for shape in fits)
    assert not any(made.fits(Spec(shape)) for shape in fails)


def test_layers_hold_inputs_against_their_spec(backend: str) -> None:
    class Own(Layer):
        view = "steps"

        def build(self, input_shape: Any) -> None:
            self.input_spec = layers.InputSpec(min_ndim=2, axes={-1: input_shape[-1]})

        def call(self, x: Any) -> Any:
            return x

    layer = Own()
    layer(Ragged.from_list([np.ones((2, 3)), np.ones((1, 3))]))
    text = r"'own.*expected InputSpec\(min_ndim=2, axes=\{-1: 3\}\)\n.*shape \(None, None, 2\), float32"
    with pytest.raises(ShapeError, match=text):
        layer(Ragged.from_list([np.ones((2, 2)), np.ones((1, 2))]))
    with pytest.raises(ShapeError, match="InputSpec"):
        layer(padless.Input((None, 2)))
    both = layers.Add()
    both.input_spec = [layers.InputSpec(ndim=2), None]
    both([np.ones((2, 3)), np.ones((2, 3))])
    with pytest.raises(ShapeError, match=r"InputSpec\(ndim=2\)"):
        both([np.ones((2, 3, 1)), np.ones((2, 3, 1))])


def test_builds_by_hand_and_from_outside_know_where_the_features_are(backend: str) -> None:
    """Shapes and specs are those of the input, features first where the layer has them so."""
    x = np.ones((2, 3, 6, 4), np.float32)
    first = layers.Conv2D(5, 2, data_format="channels_first")
    first.build((None, 3, 6, 4))
    wrapped = layers.SpectralNormalization(layers.Conv2D(5, 2, data_format="channels_first"))
    last = layers.Conv2D(5, 2)
    last.build((None, 6, 4, 3))
    for layer in (first, wrapped):
        assert tuple(layer(x).shape) == (2, 5, 5, 3)
    assert tuple(first.kernel.shape) == tuple(last.kernel.shape) == (2, 2, 3, 5)


def test_summaries_and_specs_see_features_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    layer = layers.Conv2D(5, 3, data_format="channels_first")
    layer.input_spec = layers.InputSpec(axes={1: 3})
    model = Sequential([padless.Input((3, 8, 9)), layer, layers.GlobalMaxPooling2D("channels_first")])
    model.summary()
    assert "(None, 5, 6, 7)" in capsys.readouterr().out
    with pytest.raises(ShapeError, match="InputSpec"):
        layer(np.ones((2, 8, 9, 3), np.float32))


def test_rows_have_their_features_last(backend: str) -> None:
    x = Ragged.from_list([np.ones((4, 3), np.float32), np.ones((2, 3), np.float32)])
    layer = layers.Conv1D(5, 2, data_format="channels_first")
    for _ in range(2):
        with pytest.raises(MaskError, match="'channels_first', and rows"):
            layer(x)
        assert tuple(layer(np.ones((2, 3, 4), np.float32)).shape) == (2, 5, 3)
