"""Layers that give rows another length: where steps stand afterwards, rows behind rows, models, errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Input, Model, Ragged, RowPartition, Sequential, backends, layers
from padless.errors import ArgumentError, DataError, MaskError, ShapeError
from tests.compiled import run, run_forward
from tests.conftest import BACKENDS
from tests.oracle import using
from tests.strategies import examples, masks, seeds
from tests.tolerances import TRAINING, VALUES

Host = np.ndarray[Any, Any]


def draw(*shape: int, seed: int = 0) -> Host:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def host(x: Any) -> Host:
    return backends.of(x).to_host(x)


def numbers(text: str) -> tuple[Host, Host]:
    """A padded array of one feature and its mask: letters are live steps, numbered in order; dots are masked."""
    rows = text.split()
    mask = np.array([[letter != "." for letter in row] for row in rows])
    x = np.full((*mask.shape, 1), np.nan, np.float32)
    x[mask, 0] = np.arange(1, mask.sum() + 1)
    return x, mask


# ---- where steps stand


@pytest.mark.parametrize(
    ("layer", "given_text", "wanted"),
    [
        (
            lambda: layers.Cropping1D((1, 0)),
            "aa.aa. ..aaa. .a....",
            [[2, 0, 3, 4, 0], [0, 0, 6, 7, 0], [0, 0, 0, 0, 0]],
        ),
        (lambda: layers.Cropping1D((1, 1)), "..aaaa aaaa..", [[0, 0, 2, 3], [6, 7, 0, 0]]),
        (lambda: layers.Cropping1D(1), ".a.aa. ......", [[0, 0, 2, 0], [0, 0, 0, 0]]),
        (lambda: layers.ZeroPadding1D((1, 0)), "a.a. ..aa", [[0, 1, 0, 2, 0], [0, 0, 0, 3, 4]]),
        (lambda: layers.UpSampling1D(2), "a.a. ..aa", [[1, 1, 0, 0, 2, 2, 0, 0], [0, 0, 0, 0, 3, 3, 4, 4]]),
        (lambda: layers.UpSampling1D(2), ".aa.", [[0, 0, 1, 1, 2, 2, 0, 0]]),
        (lambda: layers.MaxPooling1D(2), "..aa..", [[0, 2, 0]]),
        (lambda: layers.TimeSlice(-2), "aaa. .aaa a...", [[2, 3], [5, 6], [7, 0]]),
        (lambda: layers.TimeSlice(stop=2), "aaa. .aaa a...", [[1, 2], [4, 5], [7, 0]]),
        (lambda: layers.TimeSlice(step=2), "aaaa. .a.aa", [[1, 3, 0], [0, 5, 6]]),
    ],
)
def test_padded_arrays_come_back_with_steps_in_place(backend: str, layer: Any, given_text: str, wanted: Any) -> None:
    x, mask = numbers(given_text)
    y = layer()(x, mask=mask)
    assert host(y)[..., 0].tolist() == wanted


def test_a_masked_step_stays_masked(backend: str) -> None:
    x, mask = numbers("a.aa a.a.")
    padded = layers.ZeroPadding1D(1)(Ragged.from_padded(x, mask))
    assert padded.mask.tolist() == [[True, True, False, True, True, True], [True, True, False, True, True, False]]
    assert layers.Cropping1D((2, 0))(padded).rows.starts.tolist() == [1, 1], "the row begins behind the hole"
    pooled = layers.MaxPooling1D(2)(padded)
    assert host(pooled.values)[:, 0].tolist() == [1, 2, 3, 4, 5]


def test_what_layers_do_to_ids(backend: str) -> None:
    x = Ragged.from_list([[1, 2, 3], [4], []])
    assert layers.Cropping1D((1, 0))(x).to_list() == [[2, 3], [], []]
    assert layers.ZeroPadding1D((0, 1))(x).to_list() == [[1, 2, 3, 0], [4, 0], [0]]
    assert layers.UpSampling1D(2)(x).to_list() == [[1, 1, 2, 2, 3, 3], [4, 4], []]
    for made in (layers.Cropping1D(1)(x), layers.Concatenate(axis=1)([x, x])):
        assert backends.of(made.values).dtype_name(made.values) == "int64"
    assert layers.Concatenate(axis=1)([x, [[7], [8, 9], [0]]]).to_list() == [[1, 2, 3, 7], [4, 8, 9], [0]]


def test_a_layer_that_changes_nothing_keeps_the_rows(backend: str) -> None:
    x = Ragged.from_list([draw(3, 2), draw(1, 2)])
    assert layers.Cropping1D(0)(x).rows is x.rows
    assert layers.DepthwiseConv1D(3, padding="same")(x).rows is x.rows


@pytest.mark.parametrize("wanted", [1, 3])
def test_parts_of_rows_leave_masked_steps_out(backend: str, wanted: int) -> None:
    x, mask = numbers("a.a.aa .a....")
    live = [[1.0, 2, 3, 4], [5]]
    for layer, function in ((layers.AdaptiveMaxPooling1D, np.max), (layers.AdaptiveAveragePooling1D, np.mean)):
        y = host(layer(wanted)(x, mask=mask))[..., 0]
        for got, steps in zip(y, live, strict=True):
            n = len(steps)
            parts = [steps[i * n // wanted : -(-(i + 1) * n // wanted)] for i in range(wanted)]
            np.testing.assert_allclose(got, [function(part) for part in parts], **VALUES)


# ---- rows behind rows


@pytest.mark.parametrize("name", BACKENDS)
@examples(0.5)
@given(one=masks(most=4, padding=3), two=masks(most=4, padding=3), seed=seeds(), data=st.data())
def test_rows_behind_rows_of_other_lengths(name: str, one: Host, two: Host, seed: int, data: Any) -> None:
    """Two partitions, with holes, and a dense array between them; compiled where the backend compiles."""
    count = min(len(one), len(two))
    with using(name):
        layer = _behind(name)
        rows = [RowPartition.from_mask(mask[:count]) for mask in (one, two)]
        values = [draw(part.nvals, 3, seed=seed + at) for at, part in enumerate(rows)]
        dense = draw(count, 2, 3, seed=seed)
        parts = [Ragged(layer.backend.asarray(v), r) for v, r in zip(values, rows, strict=True)]
        y = run_forward(layer, [parts[0], layer.backend.asarray(dense), parts[1]])
    splits = [part.row_splits for part in rows]
    for row in range(count):
        first, last = (v[s[row] : s[row + 1]] for v, s in zip(values, splits, strict=True))
        np.testing.assert_array_equal(host(y[row]), np.concatenate([first, dense[row], last]))
    holes = sum(int(part.places) - part.nvals for part in rows)
    assert y.rows.places - y.rows.nvals == holes


_layers: dict[str, Any] = {}


def _behind(name: str) -> Any:
    # One layer for each backend, so that its program is compiled once.
    return _layers.setdefault(name, layers.Concatenate(axis=1))


def test_forms_of_rows_behind_rows(backend: str) -> None:
    x, y = [draw(2, 3), draw(1, 3)], [draw(1, 3), draw(4, 3)]
    made = layers.concatenate([x, y], axis=1)
    assert isinstance(made, list)
    assert [len(row) for row in made] == [3, 5]
    np.testing.assert_array_equal(host(made[1]), np.concatenate([x[1], y[1]]))
    mask = np.array([[True, False, True], [False, True, True]])
    padded = host(layers.Concatenate(axis=1)([draw(2, 3, 1), draw(2, 3, 1, seed=1)], mask=[mask, mask]))
    assert padded.shape == (2, 6, 1)
    assert (padded[..., 0] != 0).tolist() == [[1, 0, 1, 1, 0, 1], [0, 0, 1, 1, 1, 1]], "at the edge both stood at"
    assert layers.Concatenate(axis=-2)([Ragged.from_list(x), Ragged.from_list(y)]).rows.row_lengths.tolist() == [3, 5]
    assert padless.row_concat([Ragged.from_list(x)]).rows.row_lengths.tolist() == [2, 1]


def test_rows_behind_rows_say_what_does_not_fit(backend: str) -> None:
    x = Ragged.from_list([draw(2, 3), draw(1, 3)])
    layer = layers.Concatenate(axis=1)
    with pytest.raises(DataError, match=r"as many rows in each value, 2[^$]*Got: 3"):
        layer([x, Ragged.from_list([draw(2, 3)] * 3)])
    with pytest.raises(ShapeError, match=r"steps of one shape[^$]*\(2, None, 3\), \(2, None, 4\)"):
        layer([x, Ragged.from_list([draw(2, 4)] * 2)])
    with pytest.raises(ShapeError, match=r"an array \(2, T, ...\)[^$]*\(3, 1, 3\)"):
        layer([x, draw(3, 1, 3)])
    with pytest.raises(ShapeError, match="steps of one shape"):
        layer([x, draw(2, 3)])


# ---- slices


def test_row_slice_and_its_layer(backend: str) -> None:
    x = Ragged.from_list([[1, 2, 3, 4], [5], []])
    for start, stop, step in ((1, None, None), (None, -1, None), (-2, None, 1), (0, 3, 2), (2, 1, None), (9, None, 1)):
        wanted = [row[start:stop:step] for row in x.to_list()]
        assert padless.row_slice(x, start, stop, step).to_list() == wanted
        assert layers.TimeSlice(start, stop, step)(x).to_list() == wanted
    with pytest.raises(ArgumentError, match=r"row_slice step[^$]*above 0"):
        padless.row_slice(x, step=-1)


@pytest.mark.parametrize("name", BACKENDS)
def test_all_but_the_first_stand_beside_all_but_the_last(name: str) -> None:
    """Differences of neighbours, compiled where the backend compiles; with holes the rows are others."""

    class Differences(padless.Layer):
        view = "ragged"

        def call(self, x: Any) -> Any:
            return padless.row_slice(x, 1) - padless.row_slice(x, stop=-1)

    with using(name):
        layer = Differences()
        x = Ragged.from_list([draw(4, 2), draw(1, 2), draw(0, 2), draw(2, 2)])
        y = run(layer, [x.with_values(layer.backend.asarray(x.values))])
        for row, steps in zip(y, x, strict=True):
            np.testing.assert_allclose(host(row), np.diff(steps, axis=0), **VALUES)
        assert padless.row_slice(x, 1, -1).rows is padless.row_slice(x, 0, -2).rows
        with pytest.raises(DataError, match="masked steps at other places"):
            layer(Ragged.from_padded(draw(1, 4, 2), np.array([[True, True, False, True]])))


def test_a_language_model_reads_one_step_behind_its_targets(backend: str) -> None:
    ids = Input((None,), dtype="int64")
    read = layers.Embedding(9, 4)(layers.TimeSlice(stop=-1)(ids))
    model = Model(ids, [layers.Dense(9)(layers.LSTM(3, return_sequences=True)(read)), layers.TimeSlice(1)(ids)])
    scores, targets = model([[1, 2, 3, 4], [5], [6, 7]])
    assert [len(row) for row in scores] == [3, 0, 1]
    assert [host(row).tolist() for row in targets] == [[2, 3, 4], [], [7]]


# ---- in models


def many_lengths() -> Model:
    """Every kind of change, one after the other, and rows behind rows of another length."""
    x = Input((None,), dtype="int64")
    steps = layers.Embedding(50, 4, mask_zero=True)(x)
    wide = layers.SeparableConv1D(4, 3, padding="same", activation="tanh")(layers.ZeroPadding1D((2, 1))(steps))
    longer = layers.Conv1DTranspose(4, 3, strides=2, padding="same")(layers.Cropping1D(1)(wide))
    both = layers.Concatenate(axis=1)([layers.UpSampling1D(2)(steps), longer, layers.TimeSlice(-3)(longer)])
    pooled = layers.AdaptiveMaxPooling1D(2)(layers.DepthwiseConv1D(2, depth_multiplier=2)(both))
    shorter = layers.MaxPooling1D(2)(layers.TimeSlice(step=2)(both))
    ends = [layers.Flatten()(pooled), layers.GlobalAveragePooling1D()(shorter)]
    return Model(x, layers.Dense(2)(layers.Concatenate()(ends)))


def test_training_is_the_same_on_every_backend() -> None:
    """With holes, an empty row, and on JAX compiled in two sizes."""
    ids = np.array(
        [[1, 0, 2, 3, 0], [0, 0, 0, 0, 0], [0, 4, 5, 0, 6], [7, 8, 9, 1, 2], [3, 0, 0, 0, 0], [0, 0, 2, 0, 4]]
    )
    x, targets = Ragged.from_padded(ids, np.ones(ids.shape, bool)), draw(6, 2)
    results: list[Any] = []
    weights: dict[str, Host] = {}
    for name in (name for name in BACKENDS if backends.get(name).trains):
        with using(name), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the row without steps
            model = many_lengths()
            weights = weights or {
                path: 0.3 * draw(*a.shape, seed=at) for at, (path, a) in enumerate(model.state_dict().items())
            }
            model.load_state_dict(weights)
            model.compile("sgd", "mse")
            history = model.fit(x, targets, batch_size=4, epochs=2, shuffle=False, verbose=0)
            results.append((history.history["loss"], model.state_dict()))
            alone = np.stack([host(model.predict(ids[row : row + 1], verbose=0))[0] for row in range(6)])
            np.testing.assert_allclose(host(model.predict(ids, verbose=0)), alone, **TRAINING)
    for losses, arrays in results[1:]:
        np.testing.assert_allclose(losses, results[0][0], **TRAINING)
        for path, array in arrays.items():
            np.testing.assert_allclose(array, results[0][1][path], err_msg=path, **TRAINING)


def test_a_learned_step_before_all_others(backend: str) -> None:
    class Start(padless.Layer):
        view = "ragged"

        def build(self, spec: Any) -> None:
            self.first = self.add_weight("first", (1, spec.features), "ones")
            self.join = layers.Concatenate(axis=1)

        def call(self, x: Any) -> Any:
            count = x.rows.nrows
            first = self.xp.broadcast_to(self.first[None], (count, 1, self.first.shape[1]))
            return self.join([first, x])

    model = Sequential([Start(), layers.GlobalAveragePooling1D()])
    y = host(model([np.zeros((3, 2), np.float32), np.zeros((0, 2), np.float32)]))
    np.testing.assert_allclose(y, [[0.25, 0.25], [1, 1]], **VALUES)


# ---- features first


def test_features_first(backend: str) -> None:
    x = draw(2, 3, 8)
    for make in (
        lambda **a: layers.Conv1D(4, 3, **a),
        lambda **a: layers.SeparableConv1D(4, 3, **a),
        lambda **a: layers.ZeroPadding1D(2, **a),
        lambda **a: layers.GlobalMaxPooling1D(**a),
    ):
        first, last = make(data_format="channels_first"), make()
        got = first(x)
        last(np.moveaxis(x, 1, -1))
        last.set_weights(first.get_weights())
        np.testing.assert_allclose(host(got), np.moveaxis(host(last(np.moveaxis(x, 1, -1))), -1, 1), **VALUES)
        with pytest.raises(MaskError, match=f"{first.name}[^$]*features as last axis"):
            first(Ragged.from_list([draw(2, 3)]))
        symbol = make(data_format="channels_first")(Input((3, 8)))
        assert tuple(symbol.shape)[1:] == tuple(got.shape)[1:]


# ---- errors


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (
            lambda: layers.Conv1DTranspose(2, 3, strides=2, output_padding=2),
            "output_padding: expected a number below strides, 2",
        ),
        (lambda: layers.Conv1DTranspose(2, 3, output_padding=0.5), "output_padding: expected a whole number from 0 on"),
        (lambda: layers.Conv1DTranspose(2, 3, strides=2, dilation_rate=2), "not both"),
        (lambda: layers.Conv1DTranspose(2, 3, strides=0), "strides: expected a whole number above 0"),
        (lambda: layers.Conv1DTranspose(2, 3, padding="causal"), "one of 'valid', 'same'"),
        (lambda: layers.SeparableConv1D(0, 3), "filters: expected a whole number above 0"),
        (lambda: layers.SeparableConv1D(2, 3, depth_multiplier=0), "depth_multiplier: expected"),
        (lambda: layers.DepthwiseConv1D((3, 3)), "kernel_size: expected 1 of them"),
        (lambda: layers.DepthwiseConv1D(3, padding="full"), "one of 'valid', 'same', 'causal'"),
        (lambda: layers.ZeroPadding1D(-1), "padding: expected 2 whole numbers from 0 on, or one for all"),
        (lambda: layers.ZeroPadding1D((1, 2, 3)), "padding: expected 2 whole numbers"),
        (lambda: layers.Cropping1D((1, -1)), "cropping: expected 2 whole numbers"),
        (lambda: layers.Cropping1D(1.5), "cropping: expected 2 whole numbers"),
        (lambda: layers.UpSampling1D(0), "size: expected a whole number above 0"),
        (lambda: layers.TimeSlice(1.5), "start: expected a whole number"),
        (lambda: layers.TimeSlice(step=0), "step: expected a whole number above 0"),
        (lambda: layers.AdaptiveMaxPooling1D(0), "output_size: expected a whole number above 0"),
        (lambda: layers.AdaptiveAveragePooling1D((2, 2)), "output_size: expected 1 of them"),
    ],
)
def test_wrong_arguments(make: Any, text: str) -> None:
    with pytest.raises(ArgumentError, match=text):
        make()


def test_wrong_shapes() -> None:
    for layer in (layers.DepthwiseConv1D(3), layers.SeparableConv1D(2, 3), layers.Conv1DTranspose(2, 3)):
        with pytest.raises(ShapeError, match="3 axes"):
            layer(Ragged.from_list([[1.0, 2.0]]))
        layer(Ragged.from_list([draw(2, 3)]))
        with pytest.raises(ShapeError, match="expected 3 features"):
            layer(Ragged.from_list([draw(2, 4)]))
    for layer in (layers.UpSampling1D(), layers.Cropping1D(), layers.ZeroPadding1D(), layers.TimeSlice(1)):
        with pytest.raises(ShapeError, match="2 axes or more"):
            layer(draw(4))
    with pytest.raises(ShapeError, match="3 axes or more"):
        layers.AdaptiveMaxPooling1D(2)(draw(4, 3))


def test_nothing_at_all(backend: str) -> None:
    """No rows, and only empty ones."""
    for rows in ([], [0, 0]):
        x = Ragged.from_lengths(np.zeros((0, 3), np.float32), rows)
        for layer in (layers.DepthwiseConv1D(3), layers.SeparableConv1D(2, 3), layers.Conv1DTranspose(2, 3)):
            assert layer(x).rows.row_lengths.tolist() == rows
        assert layers.ZeroPadding1D(1)(x).rows.row_lengths.tolist() == [2 for _ in rows]
        assert layers.Cropping1D(1)(x).rows.row_lengths.tolist() == rows
        assert layers.Concatenate(axis=1)([x, x]).rows.row_lengths.tolist() == rows
        assert host(layers.AdaptiveAveragePooling1D(2)(x)).tolist() == [[[0, 0, 0]] * 2 for _ in rows]
