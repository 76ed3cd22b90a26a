"""Lambda, EinsumDense, Reshape, Permute, RepeatVector, Spread, Dot: what they say of rows and of bad input."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, MaskError, Model, Ragged, Sequential, backends, layers, load_model, ops
from padless.errors import ArgumentError, DataError, ShapeError
from tests.tolerances import VALUES


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(backends.of(x).to_host(x))


def ragged(*counts: int, width: tuple[int, ...] = (4,), seed: int = 0) -> Ragged:
    values = np.random.default_rng(seed).normal(size=(sum(counts), *width)).astype(np.float32)
    return Ragged.from_lengths(backends.current().asarray(values), counts)


# ---- Lambda


@padless.register
def doubled(x: Any) -> Any:
    return x * 2


@padless.register
def pair_sum(xs: Any) -> Any:
    return xs[0] + xs[1]


@padless.register
def first_half_masked(x: Any, mask: Any = None) -> Any:
    """All but the first step."""
    xp = backends.of(x).xp
    live = xp.ones_like(x[..., 0]) > 0 if mask is None else mask
    return live & (xp.cumulative_sum(backends.of(x).cast(live, "int32"), axis=1) > 1)


def test_a_lambda_must_say_how_it_reads_rows(backend: str) -> None:
    x = ragged(2, 0, 1)
    with pytest.raises(MaskError, match=r"(?s)'twice' \(Lambda\).*view=\"steps\".*\"ragged\".*\"padded\""):
        layers.Lambda(lambda v: v * 2, name="twice")(x)
    dense = host(layers.Lambda(lambda v: v * 2)(np.ones((2, 3), np.float32)))
    np.testing.assert_array_equal(dense, np.full((2, 3), 2))
    for view in ("steps", "ragged", "padded"):
        np.testing.assert_array_equal(host(layers.Lambda(doubled, view=view)(x).values), host(x.values) * 2)
    largest = layers.Lambda(lambda v: ops.max(v, axis=1), view="ragged")(x)
    assert largest.shape == (3, 4)


def test_words_of_a_lambda_are_checked() -> None:
    with pytest.raises(ArgumentError, match="one of 'steps', 'ragged', 'padded'"):
        layers.Lambda(doubled, view="packed")
    with pytest.raises(ArgumentError, match="a function"):
        layers.Lambda(3)
    with pytest.raises(MaskError, match="as many steps as it got"):
        layers.Lambda(lambda v: v[:1], view="steps")(ragged(2, 1))


def test_axis_1_of_a_lambda_for_steps_is_that_of_features(backend: str) -> None:
    x = ragged(3, 1)
    y = layers.Lambda(lambda v: ops.mean(v, axis=1), view="steps")(x)
    np.testing.assert_allclose(host(y.values), host(x.values).mean(axis=1), atol=1e-6)


def test_a_mask_parameter_reads_padded_arrays(backend: str) -> None:
    def centred(x: Any, mask: Any = None) -> Any:
        xp = backends.of(x).xp
        live = backends.of(x).cast(mask, "float32")[..., None]
        return x - xp.sum(x * live, axis=1, keepdims=True) / xp.sum(live, axis=1, keepdims=True)

    x = ragged(3, 1)
    made = layers.Lambda(centred)(x)
    assert made.rows is x.rows
    np.testing.assert_allclose(host(ops.sum(made, axis=1)), np.zeros((2, 4)), atol=1e-5)


def test_the_mask_of_a_lambda_is_that_of_its_output(backend: str, tmp_path: Path) -> None:
    layer = layers.Lambda(doubled, mask=first_half_masked)
    x = ragged(3, 1, 2)
    made = layer(x)
    assert made.rows.row_lengths.tolist() == [2, 0, 1]
    np.testing.assert_allclose(host(made[0]), 2 * host(x[0])[1:], **VALUES)
    fixed = layers.Lambda(doubled, mask=np.array([[True, False], [True, True]]))(np.ones((2, 2, 1), np.float32))
    assert fixed.rows.row_lengths.tolist() == [1, 2]


def test_a_lambda_of_several_values(backend: str, tmp_path: Path) -> None:
    a = Input((None, 4), ragged=True)
    b = Input((None, 4), like=a)
    both = layers.Lambda(pair_sum, view="steps")
    model = Model([a, b], both([a, b]))
    x, y = ragged(2, 1), ragged(2, 1, seed=1)
    want = host(x.values) + host(y.values)
    np.testing.assert_allclose(host(model([x, y]).values), want, **VALUES)
    np.testing.assert_allclose(host(both([x, y]).values), want, **VALUES)
    model.save(tmp_path / "m")
    np.testing.assert_allclose(host(load_model(tmp_path / "m")([x, y]).values), want, **VALUES)
    with pytest.raises(DataError, match="row 0 has 2 steps on one side"):
        both([x, ragged(1, 2)])


def test_files_hold_names_of_functions_and_no_code(tmp_path: Path) -> None:
    def model(layer: layers.Lambda) -> Model:
        return Sequential([Input((None, 4)), layer])

    kept = model(layers.Lambda(doubled, view="steps", arguments={}))
    kept.save(tmp_path / "named")
    x = ragged(2, 1)
    np.testing.assert_array_equal(host(load_model(tmp_path / "named")(x).values), host(kept(x).values))
    model(layers.Lambda(ops.relu, view="steps")).save(tmp_path / "ops")
    assert host(load_model(tmp_path / "ops")(x).values).min() == 0
    model(layers.Lambda(padless.row_max, view="ragged")).save(tmp_path / "rows")
    assert load_model(tmp_path / "rows")(x).shape == (2, 4)
    for wrong in (lambda v: v * 2, functools.partial(doubled)):
        with pytest.raises(ArgumentError, match=r"(?s)\(Lambda.*function: expected a function with a name.*register"):
            model(layers.Lambda(wrong, view="steps")).save(tmp_path / "lambda")

    def unknown(v: Any) -> Any:
        return v

    model(layers.Lambda(unknown, view="steps")).save(tmp_path / "unknown")
    with pytest.raises(ArgumentError, match="'unknown'"):
        load_model(tmp_path / "unknown")
    again = load_model(tmp_path / "unknown", custom_objects={"unknown": unknown})
    np.testing.assert_array_equal(host(again(x).values), host(x.values))


# ---- EinsumDense


def test_equations_that_would_mix_steps_raise_on_rows() -> None:
    x = ragged(2, 1)
    for equation, shape, bias in (
        ("abc,bd->adc", (3, None), None),
        ("abc,cd->adb", (3, None), None),
        ("abc,cd->ad", 3, None),
        ("abc,bcd->ad", 3, None),
        ("abc,cd->abd", (5, 3), "bd"),
    ):
        with pytest.raises(MaskError, match=r"(?s)EinsumDense.*equation: expected batch and time.*Fix: 'abc,cd->abd'"):
            layers.EinsumDense(equation, shape, bias_axes=bias)(x)
        layer = layers.EinsumDense(equation, shape, bias_axes=bias)
        layer(np.ones((2, 5, 4), np.float32))
        with pytest.raises(MaskError, match="EinsumDense"):
            layer(ragged(5, 5))


def test_wrong_equations_say_what_is_wrong() -> None:
    for equation in ("abc", "abc,cd", "abc,cd->abe", "abc,ce->abd", "aac,cd->aad", "...x,xy->y...", "a b", "a1,12->a2"):
        with pytest.raises(ArgumentError, match="'input,kernel->output'"):
            layers.EinsumDense(equation, (None, 3))
    with pytest.raises(ShapeError, match=r"an axis for each letter of 'abc'"):
        layers.EinsumDense("abc,cd->abd", (None, 3))(np.ones((2, 4), np.float32))
    with pytest.raises(ShapeError, match=r"2 sizes, for 'bd' of the output"):
        layers.EinsumDense("abc,cd->abd", 3)(np.ones((2, 5, 4), np.float32))
    with pytest.raises(ShapeError, match=r"expected 5 for 'b'"):
        layers.EinsumDense("abc,cd->abd", (6, 3))(np.ones((2, 5, 4), np.float32))
    with pytest.raises(ShapeError, match=r"a size for 'd' of the kernel"):
        layers.EinsumDense("abc,cd->abd", (None, None))(np.ones((2, 5, 4), np.float32))
    with pytest.raises(ArgumentError, match="batch as first letter"):
        layers.EinsumDense("abc,ad->dbc", (None, None))(np.ones((2, 5, 4), np.float32))
    layer = layers.EinsumDense("abc,cd->abd", (None, 3))
    layer(ragged(2, 1))
    with pytest.raises(ShapeError, match="the sizes of the input that built the layer"):
        layer(ragged(2, 1, width=(5,)))


def test_one_einsum_dense_reads_rows_and_arrays(backend: str) -> None:
    layer = layers.EinsumDense("...c,cd->...d", 3, bias_axes="d")
    x = ragged(3, 3)
    rows, dense = layer(x), layer(x.to_padded())
    np.testing.assert_allclose(host(rows.to_padded()), host(dense), **VALUES)


# ---- shapes


def test_shapes_on_rows_and_arrays(backend: str) -> None:
    x = ragged(2, 0, 1, width=(6,))
    assert layers.Reshape((-1, 2, 3))(x).shape == (3, None, 2, 3)
    assert layers.Reshape((None, 6, 1))(x).shape == (3, None, 6, 1)
    assert layers.Permute((1, 3, 2))(layers.Reshape((-1, 2, 3))(x)).shape == (3, None, 3, 2)
    dense = np.ones((2, 3, 6), np.float32)
    assert tuple(layers.Reshape((-1, 2))(dense).shape) == (2, 9, 2)
    assert tuple(layers.Reshape((-1, 2))(dense[:0]).shape) == (0, 9, 2)
    assert tuple(layers.Permute((2, 1))(dense).shape) == (2, 6, 3)
    assert tuple(layers.RepeatVector(5)(dense[:, 0]).shape) == (2, 5, 6)


def test_shapes_that_do_not_fit_say_so() -> None:
    x = ragged(2, 1, width=(6,))
    for target in ((-1, 3), (2, 3), (6,), (-1, 4)):
        with pytest.raises(MaskError, match=r"(?s)Reshape.*with 6 entries behind it.*Fix: Reshape\(\(-1, 6\)\)"):
            layers.Reshape(target)(x)
    with pytest.raises(ShapeError, match="a target_shape of 6 entries"):
        layers.Reshape((4,))(np.ones((2, 6), np.float32))
    for wrong in ((-1, -1), (2.5,), "ab", (-2,)):
        with pytest.raises(ArgumentError, match="target_shape"):
            layers.Reshape(wrong)
    for wrong in ((0, 1), (2,), (1, 1), (1, 3)):
        with pytest.raises(ArgumentError, match="dims"):
            layers.Permute(wrong)
    with pytest.raises(ShapeError, match="4 axes"):
        layers.Permute((1, 3, 2))(x)
    with pytest.raises(MaskError, match=r"time to stay the first axis"):
        layers.Permute((2, 1))(x)
    with pytest.raises(MaskError, match=r"(?s)RepeatVector.*Spread"):
        layers.RepeatVector(3)(x)
    with pytest.raises(ShapeError, match=r"\(B, D\)"):
        layers.RepeatVector(3)(np.ones((2, 3, 4), np.float32))
    with pytest.raises(ArgumentError, match="n: expected a whole number above 0"):
        layers.RepeatVector(0)


# ---- Spread


def test_spread_gives_vectors_to_rows(backend: str, tmp_path: Path) -> None:
    x = ragged(2, 0, 1)
    vector = np.arange(6, dtype=np.float32).reshape(3, 2)
    made = layers.Spread()([vector, x])
    assert made.rows is x.rows
    np.testing.assert_array_equal(host(made.values), vector[[0, 0, 2]])
    listed = layers.Spread()([vector[:2], [np.ones((1, 2), np.float32), np.ones((2, 2), np.float32)]])
    assert [row.shape for row in listed] == [(1, 2), (2, 2)]
    dense = layers.Spread()([vector, np.ones((3, 5, 7), np.float32)])
    np.testing.assert_array_equal(host(dense), np.repeat(vector[:, None], 5, axis=1))
    a, b = Input((2,)), Input((None, 4))
    model = Model([a, b], layers.Concatenate()([b, layers.Spread()([a, b])]))
    for one in (model, type(model).from_config(model.get_config())):
        y = one([vector, x])
        np.testing.assert_array_equal(host(y.values)[:, 4:], vector[[0, 0, 2]])
        assert tuple(one([vector, np.ones((3, 5, 4), np.float32)]).shape) == (3, 5, 6)


def test_spread_of_the_wrong_values_says_so() -> None:
    x = ragged(2, 1)
    with pytest.raises(MaskError, match="one entry for each row first"):
        layers.Spread()([x, x])
    with pytest.raises(ArgumentError, match="two values"):
        layers.Spread()([x])
    with pytest.raises(ShapeError, match="one entry for each of 2 rows"):
        layers.Spread()([np.ones((3, 2)), x])
    with pytest.raises(ShapeError, match=r"\(B, \.\.\.\) and \(B, T"):
        layers.Spread()([np.ones((3, 2)), np.ones((2, 4, 2))])


# ---- Dot


def test_dot_of_steps_with_an_entry_of_their_row(backend: str) -> None:
    x = ragged(2, 0, 3)
    vector = np.random.default_rng(1).normal(size=(3, 4)).astype(np.float32)
    matrix = np.random.default_rng(1).normal(size=(3, 4, 2)).astype(np.float32)
    ids = np.array([0, 0, 2, 2, 2])
    for layer, values, want in (
        (layers.Dot((2, 1)), [x, vector], (host(x.values) * vector[ids]).sum(1)),
        (layers.Dot((1, 2)), [vector, x], (host(x.values) * vector[ids]).sum(1)),
        (layers.Dot((-1, 1)), [x, matrix], np.einsum("nd,nde->ne", host(x.values), matrix[ids])),
    ):
        made = layer(values)
        assert made.rows is x.rows
        np.testing.assert_allclose(host(made.values), want, **VALUES)
    cosine = host(layers.Dot((2, 1), normalize=True)([x, vector]).values)
    lengths = np.linalg.norm(host(x.values), axis=1) * np.linalg.norm(vector[ids], axis=1)
    np.testing.assert_allclose(cosine, (host(x.values) * vector[ids]).sum(1) / lengths, **VALUES)


def test_dot_over_the_time_of_both(backend: str) -> None:
    x, y = ragged(2, 0, 3), ragged(2, 0, 3, width=(2,), seed=1)
    want = [host(a).T @ host(b) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(host(layers.dot([x, y], axes=1)), np.stack(want), **VALUES)
    one = Ragged.from_list([[1.0, 2.0], [3.0]])
    assert host(layers.Dot(1)([one, one])).tolist() == [[5.0], [9.0]]


def test_dot_that_would_mix_steps_raises() -> None:
    x = ragged(2, 1)
    for axes, values in (
        (2, [x, x]),
        ((1, 1), [x, np.ones((2, 2, 4), np.float32)]),
        ((2, 2), [np.ones((2, 3, 4), np.float32), x]),
    ):
        with pytest.raises(MaskError, match=r"(?s)\(Dot\).*Attention"):
            layers.Dot(axes)(values)
    with pytest.raises(DataError, match="row 0 has 2 steps"):
        layers.Dot(1)([x, ragged(1, 2)])
    with pytest.raises(ShapeError, match="axes of one size"):
        layers.Dot((2, 1))([x, np.ones((2, 5), np.float32)])
    for wrong in ("a", (1,), (1, 2, 3), 0.5):
        with pytest.raises(ArgumentError, match="a number, or two"):
            layers.Dot(wrong)
    for axes in (0, 3, -3):
        with pytest.raises(ArgumentError, match="axes after the batch"):
            layers.Dot(axes)([x, x])
    with pytest.raises(ArgumentError, match="two values"):
        layers.Dot(1)([x, x, x])


# ---- Softmax over time


def test_softmax_over_the_steps_of_each_row(backend: str) -> None:
    x = ragged(2, 0, 3)
    made = layers.Softmax(axis=1)(x)
    assert made.rows is x.rows
    for row, got in zip(x, made, strict=True):
        e = np.exp(host(row))
        np.testing.assert_allclose(host(got), e / e.sum(0), **VALUES)
    weights = layers.Softmax(axis=[1, 2])(x)
    np.testing.assert_allclose(host(ops.sum(weights, axis=(1, 2))), [1, 0, 1], **VALUES)
