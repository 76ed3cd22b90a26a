"""Layers that read one step at a time, masks, merges: each row alone, any padding, holes, empty rows, errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given

import padless
from padless import Input, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, DataError, DTypeError, MaskError, NotThereYetError, ShapeError
from padless.layer import substituted
from padless.random import drawing
from tests.strategies import examples, masks, seeds
from tests.tolerances import VALUES

D = 3
LENGTHS = [3, 0, 1, 5]

PER_STEP: dict[str, Any] = {
    "dense": lambda: layers.Dense(4, activation="tanh", bias_initializer="ones"),
    "activation": lambda: layers.Activation("softmax"),
    "relu": lambda: layers.ReLU(1.0, 0.1),
    "leaky_relu": lambda: layers.LeakyReLU(),
    "elu": lambda: layers.ELU(),
    "prelu": lambda: layers.PReLU("ones", shared_axes=[1]),
    "softmax": lambda: layers.Softmax(),
    "dropout": lambda: layers.Dropout(0.5),
    "layer_normalization": lambda: layers.LayerNormalization(beta_initializer="ones"),
    "batch_normalization": lambda: layers.BatchNormalization(moving_mean_initializer="ones"),
}
every_layer = pytest.mark.parametrize("name", PER_STEP)


def host(x: Any) -> np.ndarray[Any, Any]:
    return padless.backends.of(x).to_host(x)


def draw(*shape: int, seed: int = 0) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def packed(lengths: list[int]) -> Ragged:
    return Ragged.from_lengths(draw(sum(lengths), D), lengths)


# ---- rows


@every_layer
def test_a_row_alone_is_the_row_in_a_batch(name: str, backend: str) -> None:
    layer, x = PER_STEP[name](), packed(LENGTHS)
    together = layer(x)
    assert together.rows is x.rows
    for at, length in enumerate(LENGTHS):
        alone = layer(x[at : at + 1])
        assert alone.shape[:2] == (1, None)
        assert len(alone[0]) == length
        np.testing.assert_allclose(host(alone[0]), host(together[at]), **VALUES)


@every_layer
@given(mask=masks(), seed=seeds())
@examples(0.4)
def test_padding_holes_and_poison_change_nothing(name: str, mask: Any, seed: int) -> None:
    x = draw(*mask.shape, D, seed=seed)
    x[~mask] = np.nan
    layer = PER_STEP[name]()
    y = host(layer(x, mask=mask))
    assert y.shape[:2] == mask.shape
    assert not y[~mask].any()
    plain = host(layer(x[mask]))
    np.testing.assert_allclose(y[mask], plain, **VALUES)


@every_layer
def test_a_batch_of_arrays_is_computed_as_it_is(name: str, backend: str) -> None:
    layer, x = PER_STEP[name](), draw(2, 4, D)
    y = host(layer(x))
    assert y.shape[:2] == (2, 4)
    np.testing.assert_allclose(y, np.stack([host(step) for step in layer(list(x))]), **VALUES)


@every_layer
def test_no_rows_and_no_steps(name: str, backend: str) -> None:
    layer = PER_STEP[name]()
    layer(packed(LENGTHS))
    for lengths in ([], [0], [0, 0]):
        y = layer(packed(lengths), training=True)
        assert len(y) == len(lengths)
        assert y.rows.nvals == 0


@every_layer
def test_gradients_of_a_batch_are_those_of_its_rows(name: str) -> None:
    layer, x = PER_STEP[name](), packed(LENGTHS)
    layer(x)
    backend = layer.backend

    def gradients(value: Ragged) -> dict[str, Any]:
        def loss(arrays: dict[str, Any]) -> Any:
            with substituted(layer, {path: arrays[path] for path in arrays if path != "x"}):
                y = layer(value.with_values(arrays["x"]))
            return (y.values**3).sum(), None

        leaves = {path: getattr(layer, path) for path in layer.weight_slots()} | {"x": backend.asarray(value.values)}
        return {path: backend.to_host(g) for path, g in backend.value_and_grad(loss, leaves)[1].items()}

    together, alone = gradients(x), [gradients(x[at : at + 1]) for at in range(len(LENGTHS))]
    np.testing.assert_allclose(together.pop("x"), np.concatenate([g.pop("x") for g in alone]), **VALUES)
    for path, gradient in together.items():
        np.testing.assert_allclose(gradient, sum(g[path] for g in alone), rtol=1e-4, atol=1e-5)


# ---- Dense


def test_dense_is_its_formula(backend: str) -> None:
    layer, x = layers.Dense(2, activation="relu", bias_initializer="ones"), draw(4, D)
    y = host(layer(x))
    np.testing.assert_allclose(y, np.maximum(x @ layer.get_weights()[0] + 1, 0), **VALUES)
    assert host(layer(np.ones((2, D), int))).dtype == np.float32


def test_dense_says_what_is_wrong() -> None:
    for units in (0, -1, 2.5, "8", None, True):
        with pytest.raises(ArgumentError, match="units: expected a whole number above 0"):
            layers.Dense(units)
    assert layers.Dense(np.int64(3)).units == 3
    with pytest.raises(ShapeError, match="expected 3 axes or more"):
        layers.Dense(2)([[1.0, 2.0], [3.0]])
    layer = layers.Dense(2, name="head")
    layer(draw(2, D))
    with pytest.raises(ShapeError, match=r"layer 'head' \(Dense\): expected 3 features(.|\n)*shape \(2, 4\)"):
        layer(draw(2, 4))
    with pytest.raises(NotThereYetError, match="lora_rank"):
        layers.Dense(2, lora_rank=2)
    with pytest.raises(ArgumentError, match="did you mean 'activation'"):
        layers.Dense(2, activaton="relu")
    for wrong in ("kernel_initializer", "kernel_regularizer", "bias_constraint", "activation", "activity_regularizer"):
        with pytest.raises(ArgumentError, match="nonsense"):
            layers.Dense(2, **{wrong: "nonsense"})


def test_penalties_and_constraints_reach_the_weights() -> None:
    layer = layers.Dense(
        1, use_bias=True, kernel_initializer="ones", kernel_regularizer="l2", kernel_constraint="non_neg"
    )
    layer(draw(2, D))
    assert [float(one) for one in layer.regularization()] == pytest.approx([0.03])
    constraint = layer._weights["kernel"].constraint
    assert constraint is not None
    assert host(constraint(layer.backend.asarray(np.array([-1.0, 1.0])))).tolist() == [0.0, 1.0]


# ---- Embedding


def test_embedding_masks_zeros_everywhere(backend: str) -> None:
    layer = layers.Embedding(10, 4, mask_zero=True)
    y = layer(np.array([[0, 7, 0, 9, 0], [0, 0, 0, 0, 0], [1, 2, 3, 4, 5]]))
    assert y.rows.row_lengths.tolist() == [2, 0, 5]
    assert y.rows.positions.tolist() == [0, 2, 0, 1, 2, 3, 4]
    table = layer.get_weights()[0]
    np.testing.assert_array_equal(host(y.values), table[[7, 9, 1, 2, 3, 4, 5]])
    rows = layer([[7, 0, 9], [0], []])
    assert [len(row) for row in rows] == [2, 0, 0]
    assert layer.compute_mask([[0, 3]]).tolist() == [[False, True]]
    assert layer.compute_mask(Ragged.from_list([[0], [3]])).to_list() == [[False], [True]]


def test_embedding_keeps_rows_and_an_earlier_mask(backend: str) -> None:
    plain, masked = layers.Embedding(10, 4), layers.Embedding(10, 4, mask_zero=True)
    ids = np.array([[1, 0, 3, 4]])
    assert tuple(plain(ids).shape) == (1, 4, 4)
    assert plain.compute_mask(ids) is None
    assert [len(row) for row in plain([[1, 0], [], [3]])] == [2, 0, 1]
    y = masked(ids, mask=np.array([[True, True, True, False]]))
    assert (host(y)[0, [1, 3]] == 0).all()
    assert (host(y)[0, [0, 2]] != 0).any(axis=-1).all()
    assert plain(np.array([[[1, 2]], [[3, 4]]])).shape == (2, 1, 2, 4)
    assert plain(np.array([3, 4])).shape == (2, 4)


def test_embedding_names_the_id_that_is_not_there(backend: str) -> None:
    layer = layers.Embedding(100, 4, name="words")
    with pytest.raises(DataError) as caught:
        layer([[1, 2], [3], [4, 5, 100]])
    text = str(caught.value)
    assert "layer 'words' (Embedding)" in text
    assert "which has 100, 0 to 99" in text
    assert "id 100 in row 2, step 2" in text
    assert "input_dim=101" in text
    with pytest.raises(DataError, match="id -1 in row 1, step 0"):
        layer(np.array([[1, 2], [-1, 2]]))
    with pytest.raises(DataError, match="id 500 in row 1, step 2"):
        layers.Embedding(100, 4, mask_zero=True)(np.array([[1, 2, 0], [0, 0, 500]]))
    with pytest.raises(DTypeError, match="whole numbers"):
        layer(draw(2, 3))


def test_embedding_checks_its_arguments(backend: str) -> None:
    for wrong in (0, 2.0, "9"):
        with pytest.raises(ArgumentError, match="input_dim"):
            layers.Embedding(wrong, 4)
        with pytest.raises(ArgumentError, match="output_dim"):
            layers.Embedding(4, wrong)
    table = draw(5, 2)
    for given_as in (table, [table]):
        layer = layers.Embedding(5, 2, weights=given_as, input_length=7)
        np.testing.assert_array_equal(host(layer(np.array([[4, 0]]))[0]), table[[4, 0]])
        assert layer.get_config()["weights"] is None
        assert layers.Embedding.from_config(layer.get_config()).input_dim == 5
    with pytest.raises(ShapeError, match=r"shape \(5, 2\)(.|\n)*shape \(4, 2\)"):
        layers.Embedding(5, 2, weights=table[:4])
    with pytest.raises(ShapeError, match="one id for each step"):
        layers.Embedding(5, 2, mask_zero=True)(np.ones(3, int))


def test_masks_are_found_inside_models() -> None:
    x = Input(shape=(None,))
    embedded = layers.Embedding(10, 4, mask_zero=True)(x)
    model = Model(x, layers.GlobalAveragePooling1D()(layers.Dense(3)(embedded)))
    padded, rows = host(model(np.array([[0, 0, 7, 8], [9, 0, 0, 0]]))), host(model([[7, 8], [9]]))
    np.testing.assert_allclose(padded, rows, **VALUES)
    features = draw(2, 5, D)
    features[0, 3:] = features[1, :2] = 0
    pooled = Sequential([layers.Masking(), layers.GlobalMaxPooling1D()])
    np.testing.assert_array_equal(host(pooled(features)), [features[0, :3].max(0), features[1, 2:].max(0)])


# ---- Masking, Unmask


def test_masking_masks_steps_whose_features_all_equal_the_value(backend: str) -> None:
    x = draw(2, 5, D)
    x[0, 0] = x[0, 2] = x[1] = 0
    x[0, 3, 0] = 0
    y = layers.Masking()(x)
    assert y.rows.mask.tolist() == [[False, True, False, True, True], [False] * 5]
    np.testing.assert_array_equal(host(y.to_padded()), x)
    again = layers.Masking(mask_value=9.0)(y)
    assert again.rows is y.rows
    assert layers.Masking()([x[0], x[1]])[1].shape == (0, D)
    assert layers.Masking()(draw(2, 3, 2, 2)).rows.nvals == 6
    assert layers.Masking()(np.array([[1, 0, 2]])).rows.positions.tolist() == [0, 2]


def test_masking_finds_nan_and_keeps_an_earlier_mask(backend: str) -> None:
    x = draw(1, 4, 2)
    x[0, 0] = np.nan
    x[0, 1, 0] = np.nan
    layer = layers.Masking(mask_value=math.nan)
    assert layer(x).rows.mask.tolist() == [[False, True, True, True]]
    mask = np.array([[True, True, True, False]])
    assert host(layer.compute_mask(x, mask)).tolist() == [[False, True, True, False]]
    assert layer.compute_mask(Ragged.from_list(list(x))).to_list() == [[False, True, True, True]]
    assert (host(layer(x, mask=mask))[0, 3] == 0).all()


def test_unmask_gives_a_padded_array(backend: str) -> None:
    x = packed(LENGTHS)
    y = layers.Unmask()(x)
    assert y.shape == (4, 5, D)
    assert not host(y)[1].any()
    dense = draw(2, 4, D)
    np.testing.assert_array_equal(host(layers.Unmask()(dense)), dense)
    ids = np.array([[0, 7, 8]])
    embedded = layers.Embedding(10, 4, mask_zero=True)(ids)
    assert host(layers.Unmask()(embedded))[0, 0].tolist() == [0] * 4
    assert layers.Flatten()(layers.Unmask()(embedded)).shape == (1, 12)


# ---- Dropout


def test_dropout_drops_its_part_and_scales_the_rest(backend: str) -> None:
    x = np.ones((100, 100), np.float32)
    layer = layers.Dropout(0.25)
    y = host(layer(x, training=True))
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.75)}
    assert abs((y == 0).mean() - 0.25) < 0.02
    np.testing.assert_array_equal(host(layer(x)), x)
    np.testing.assert_array_equal(host(layers.Dropout(0)(x, training=True)), x)
    assert not host(layers.Dropout(1)(x, training=True)).any()


def test_dropout_depends_on_run_step_and_place_alone(backend: str) -> None:
    x, layer = np.ones((20, 20), np.float32), layers.Dropout(0.5, name="here")

    def drawn(seed: int, step: int, layer: Any = layer) -> Any:
        with drawing(seed, step):
            return host(layer(x, training=True)).tolist()

    assert drawn(1, 2) == drawn(1, 2)
    others = [drawn(1, 3), drawn(2, 2), drawn(1, 2, layers.Dropout(0.5, name="there"))]
    others += [drawn(1, 2, layers.Dropout(0.5, seed=7, name="here"))]
    assert all(other != drawn(1, 2) for other in others)


def test_dropout_shares_what_noise_shape_says(backend: str) -> None:
    x = np.ones((3, 50, 8), np.float32)
    y = host(layers.Dropout(0.5, noise_shape=(None, 1, None))(x, training=True))
    assert (y == y[:, :1]).all()
    assert 0 < (y == 0).mean() < 1
    rows = Ragged.from_lengths(np.ones((60, 8), np.float32), [50, 10])
    y = host(layers.Dropout(0.5, noise_shape=(None, None, 1))(rows, training=True).values)
    assert (y == y[:, :1]).all()
    for training in (True, False):
        for sizes in ((None, 50, None), (2, None, None), (None, 1)):
            with pytest.raises(ShapeError, match="batch and time of rows 1 or None"):
                layers.Dropout(0.5, noise_shape=sizes)(rows, training=training)
        with pytest.raises(ShapeError, match=r"\(3, 50, 8\)"):
            layers.Dropout(0.5, noise_shape=(None, 2, None))(x, training=training)


def test_dropout_checks_its_arguments() -> None:
    for rate in (-0.1, 1.1, "half", None, True):
        with pytest.raises(ArgumentError, match="from 0 to 1"):
            layers.Dropout(rate)
    for shape in ("abc", 3, (), (0, 1), (1.5,)):
        with pytest.raises(ArgumentError, match="noise_shape"):
            layers.Dropout(0.5, noise_shape=shape)


# ---- normalization


def test_layer_normalization_along_any_axis_of_an_array(backend: str) -> None:
    x = draw(2, 6, D)
    y = host(layers.LayerNormalization(axis=1, epsilon=1e-6)(x))
    np.testing.assert_allclose(y, (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-6), **VALUES)
    y = host(layers.LayerNormalization(rms_scaling=True, epsilon=1e-6)(x))
    np.testing.assert_allclose(y, x / np.sqrt(x.var(-1, keepdims=True) + 1e-6), **VALUES)


def test_axes_count_as_in_keras_on_rows_too(backend: str) -> None:
    x = Ragged.from_lengths(draw(5, 2, D), [4, 1])
    each = layers.LayerNormalization(axis=[2, 3])(x)
    np.testing.assert_allclose(host(each.values).mean(axis=(1, 2)), np.zeros(5), atol=1e-6)
    assert layers.BatchNormalization(axis=2)(x).shape == (2, None, 2, D)
    np.testing.assert_allclose(host(layers.Softmax(axis=2)(x).values).sum(1), np.ones((5, D)), **VALUES)


@pytest.mark.parametrize("kind", [layers.LayerNormalization, layers.BatchNormalization])
def test_time_is_no_axis_of_rows(kind: Any) -> None:
    for axis in (1, -2):
        with pytest.raises(MaskError, match="axis=-1"):
            kind(axis=axis)(packed(LENGTHS))
        layer = kind(axis=axis)
        layer(draw(2, 4, D))  # an array is fine, and does not make rows fine
        with pytest.raises(MaskError, match="axis=-1"):
            layer(packed([4, 4]))
    with pytest.raises(ShapeError, match="axis of the input"):
        kind(axis=3)(packed(LENGTHS))
    with pytest.raises(ArgumentError, match="after the batch"):
        kind(axis=0)(packed(LENGTHS))
    with pytest.raises(ArgumentError):
        kind(axis="last")(packed(LENGTHS))


def test_batch_normalization_counts_live_steps_only(backend: str) -> None:
    lengths, x = [3, 0, 1, 5], draw(9, D)
    rows, flat = layers.BatchNormalization(momentum=0.5), layers.BatchNormalization(momentum=0.5)
    y = rows(Ragged.from_lengths(x, lengths), training=True)
    np.testing.assert_allclose(host(y.values), host(flat(x, training=True)), **VALUES)
    np.testing.assert_allclose(host(rows.moving_mean), x.mean(0) / 2, **VALUES)
    np.testing.assert_allclose(host(rows.moving_variance), 0.5 + x.var(0) / 2, **VALUES)
    before = rows.get_weights()
    empty = rows(packed([0, 0]), training=True)
    assert empty.rows.nvals == 0
    rows.trainable = False
    rows(packed([3]), training=True)
    for mine, right in zip(rows.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, right)


def test_normalizations_check_features_and_arguments() -> None:
    for kind in (layers.LayerNormalization, layers.BatchNormalization):
        layer = kind()
        layer(packed(LENGTHS))
        with pytest.raises(ShapeError, match="expected 3 features"):
            layer(draw(2, 4, 1))
    with pytest.raises(NotThereYetError, match="synchronized"):
        layers.BatchNormalization(synchronized=True)


# ---- activations


def test_prelu_shares_its_slopes_along_time(backend: str) -> None:
    with pytest.raises(MaskError, match=r"shared_axes=\[1\]"):
        layers.PReLU()(packed(LENGTHS))
    layer = layers.PReLU()
    layer(draw(2, 4, D))
    with pytest.raises(MaskError, match=r"shared_axes=\[1\]"):
        layer(packed([4, 4]))
    shared = layers.PReLU("ones", shared_axes=1)
    shared(draw(2, 4, D))
    assert shared(packed(LENGTHS)).shape == (4, None, D)


def test_activations_check_their_arguments() -> None:
    for kind, name in ((layers.ReLU, "max_value"), (layers.ReLU, "threshold"), (layers.LeakyReLU, "negative_slope")):
        with pytest.raises(ArgumentError, match=name):
            kind(**{name: -1})
    assert layers.LeakyReLU(alpha=0.1).negative_slope == 0.1
    with pytest.raises(ArgumentError, match="did you mean 'relu'"):
        layers.Activation("rellu")


# ---- merges

MERGES: dict[str, Any] = {
    "Add": lambda a, b: a + b,
    "Subtract": lambda a, b: a - b,
    "Multiply": lambda a, b: a * b,
    "Average": lambda a, b: (a + b) / 2,
    "Maximum": np.maximum,
    "Minimum": np.minimum,
    "Concatenate": lambda a, b: np.concatenate([a, b], axis=-1),
}


@pytest.mark.parametrize("name", MERGES)
def test_merges_keep_the_rows(name: str, backend: str) -> None:
    x = packed(LENGTHS)
    other = x.with_values(draw(9, D, seed=1))
    y = getattr(layers, name)()([x, other])
    np.testing.assert_allclose(host(y.values), MERGES[name](x.values, other.values), **VALUES)
    assert y.rows.same_steps(x.rows)
    lists = getattr(layers, name)()([[row.tolist() for row in x], [row.tolist() for row in other]])
    assert [len(row) for row in lists] == LENGTHS
    assert getattr(layers, name)()([packed([0, 0])] * 2).rows.nvals == 0


@pytest.mark.parametrize("name", MERGES)
def test_merges_want_the_same_rows_in_every_input(name: str, backend: str) -> None:
    layer = getattr(layers, name)()
    with pytest.raises(padless.PadlessError, match="row 0"):
        layer([packed([3, 2]), packed([2, 3])])
    with pytest.raises(MaskError, match=r"padless\.spread"):
        layer([packed([2, 2]), draw(2, D)])
    with pytest.raises(MaskError, match=r"padless\.spread"):
        layer([draw(2, 2, D), packed([2, 2])])


def test_merges_say_which_shapes_do_not_fit(backend: str) -> None:
    for x in ([draw(2, 5, 3), draw(2, 5, 2)], [draw(2, 3), draw(1, 3)]):
        with pytest.raises(ShapeError, match=r"shapes \(2, (5, )?3\), \("):
            layers.Add()(x)
    with pytest.raises(ShapeError, match="axis -1"):
        layers.Concatenate()([draw(2, 5, 3), draw(2, 4, 3)])
    with pytest.raises(ShapeError, match="axis 1"):
        layers.Concatenate(axis=1)([draw(2, 5, 3), draw(2, 3)])
    with pytest.raises(ArgumentError, match="two values"):
        layers.Subtract()([draw(2, 3)] * 3)
    with pytest.raises(ArgumentError, match="a list"):
        layers.Add()(draw(2, 3))
    with pytest.raises(ArgumentError, match="a list"):
        layers.Add()(Ragged.from_list(draw(2, 3, D)))  # whose rows are no values to be added


def test_concatenate_along_features_and_time(backend: str) -> None:
    assert layers.Concatenate(axis=2)([packed([2, 2])] * 2).shape == (2, None, 2 * D)
    assert layers.Concatenate(axis=1)([draw(2, 5, 3), draw(2, 1, 3)]).shape == (2, 6, 3)


# ---- config


@pytest.mark.parametrize(
    "layer",
    [
        *[make() for make in PER_STEP.values()],
        layers.Embedding(9, 4, mask_zero=True),
        layers.Masking(mask_value=-1.0),
        layers.Unmask(),
        *[getattr(layers, name)() for name in MERGES],
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_a_config_makes_the_same_layer(layer: Any) -> None:
    import json

    config = json.loads(json.dumps(layer.get_config()))
    again = type(layer).from_config(config)
    assert again.get_config() == layer.get_config()
    assert again.makes_mask == layer.makes_mask
