"""MultiHeadAttention: forms of input, rows of other lengths, empty rows, masks, models, dropout, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import padless
from padless import Input, Model, Ragged, RowPartition, layers
from padless.errors import ArgumentError, DataError, PadlessError, ShapeError
from padless.random import drawing
from tests.tolerances import VALUES

Host = npt.NDArray[Any]

D = 4
LENGTHS, OTHERS = [3, 0, 5, 2], [4, 2, 1, 0]


def rows_of(lengths: list[int], seed: int = 0) -> list[Host]:
    return [np.random.default_rng((seed, at)).normal(size=(n, D)).astype(np.float32) for at, n in enumerate(lengths)]


def made(**options: Any) -> layers.MultiHeadAttention:
    layer = layers.MultiHeadAttention(2, 3, **options)
    layer(np.ones((1, 2, D), np.float32), np.ones((1, 3, D), np.float32))
    numbers = np.random.default_rng(0)
    layer.set_weights([numbers.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def formula(layer: Any, query: Host, value: Host, causal: bool = False) -> Host:
    """What the paper says, for one row."""
    w = {path: array.astype(np.float64) for path, array in layer.state_dict().items()}
    q, k, v = (
        np.einsum("td,dhk->htk", x, w[f"{name}/kernel"]) + w[f"{name}/bias"][:, None]
        for name, x in (("query", query), ("key", value), ("value", value))
    )
    scores = q @ np.swapaxes(k, 1, 2) / np.sqrt(layer.key_dim)
    if causal:
        scores[:, ~np.tri(len(query), len(value), dtype=bool)] = -np.inf
    shares = np.exp(scores - scores.max(-1, keepdims=True)) if len(value) else scores
    heads = (shares / shares.sum(-1, keepdims=True)) @ v if len(value) else np.zeros((*q.shape[:2], v.shape[2]))
    return np.einsum("htv,hvd->td", heads, w["attention_output/kernel"]) + w["attention_output/bias"]


def assert_rows(got: Any, expected: list[Host]) -> None:
    for mine, right in zip(got, expected, strict=True):
        np.testing.assert_allclose(padless.backends.of(mine).to_host(mine), right, **VALUES)


# ---- what it computes


@pytest.mark.parametrize("causal", [False, True])
def test_rows_attend_to_rows_of_another_length(backend: str, causal: bool) -> None:
    layer, query, value = made(), rows_of(LENGTHS), rows_of(OTHERS, 1)
    expected = [formula(layer, q, v, causal) for q, v in zip(query, value, strict=True)]
    got = layer(query, value, use_causal_mask=causal)
    assert isinstance(got, list)
    assert_rows(got, expected)
    x = Ragged.from_list(query)
    y = layer(x, value, use_causal_mask=causal)
    assert y.rows is x.rows
    assert_rows(y, expected)
    np.testing.assert_allclose(y.numpy()[3], np.tile(layer.get_weights()[-1], (2, 1)), **VALUES)


def test_padding_that_masks_tell_plays_no_part(backend: str) -> None:
    layer, query, value = made(), rows_of(LENGTHS), rows_of(OTHERS, 1)
    arrays = []
    for rows, total in ((query, 9), (value, 6)):
        live = np.arange(total) >= total - np.array([len(row) for row in rows])[:, None]
        array = np.full((4, total, D), np.nan, np.float32)
        array[live] = np.concatenate(rows)
        arrays.append((array, live))
    (x, live), (z, seen) = arrays
    expected = [formula(layer, q, v) for q, v in zip(query, value, strict=True)]
    for masks in ({"value_mask": seen}, {"key_mask": seen}, {"value_mask": seen, "key_mask": seen | True}):
        y = np.asarray(layer(x, z, query_mask=live, **masks))
        assert not y[~live].any()
        np.testing.assert_allclose(y[live], np.concatenate(expected), **VALUES)
    # Self-attention: one mask is enough.
    for masks in ({"query_mask": live}, {"value_mask": live}, {"mask": live}):
        y = np.asarray(layer(x, x, **masks))
        np.testing.assert_allclose(y[live], np.concatenate([formula(layer, q, q) for q in query]), **VALUES)


def test_a_key_of_its_own(backend: str) -> None:
    layer = made()
    query, value, key = (Ragged.from_list(rows_of(n, at)) for at, n in enumerate([LENGTHS, OTHERS, OTHERS]))
    same = layer(query, value, value)
    np.testing.assert_array_equal(same.numpy()[0], layer(query, value).numpy()[0])
    assert (layer(query, value, key).numpy()[0] != same.numpy()[0]).any()


def test_rows_beside_an_array_of_fixed_length(backend: str) -> None:
    layer, query, value = made(), rows_of(LENGTHS), np.stack(rows_of([6] * 4, 1))
    assert_rows(
        layer(Ragged.from_list(query), value), [formula(layer, q, v) for q, v in zip(query, value, strict=True)]
    )
    dense = np.asarray(layer(value, Ragged.from_list(query[2:3] * 4)))
    np.testing.assert_allclose(dense, [formula(layer, v, query[2]) for v in value], **VALUES)


# ---- in models


def test_in_a_functional_model_with_two_inputs(backend: str) -> None:
    x, memory = Input((None, D)), Input((None, D))
    attend = layers.MultiHeadAttention(2, 3)
    model = Model([x, memory], attend(attend(x, x, use_causal_mask=True), memory))
    query, value = rows_of(LENGTHS), rows_of(OTHERS, 1)
    got = model((Ragged.from_list(query), Ragged.from_list(value)))
    inner = [formula(attend, q, q, True) for q in query]
    assert_rows(got, [formula(attend, q, v) for q, v in zip(inner, value, strict=True)])


def test_an_encoder_trains(trainer: str) -> None:
    padless.utils.set_random_seed(0)
    x = Input((None,), dtype="int32")
    y = layers.Embedding(6, 8)(x)
    y = layers.LayerNormalization()(layers.Add()([y, layers.MultiHeadAttention(2, 4, dropout=0.1)(y, y)]))
    model = Model(x, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(y)))
    model.compile("adam", "binary_crossentropy")
    numbers = np.random.default_rng(0)
    texts = [numbers.integers(1, 6, n).tolist() for n in numbers.integers(1, 9, 32)]
    labels = np.array([[5 in text] for text in texts], np.float32)
    before = model.evaluate(texts, labels, verbose=0)
    model.optimizer.learning_rate = 0.02
    model.fit(texts, labels, batch_size=32, epochs=12, verbose=0)
    assert np.all(np.asarray(model.evaluate(texts, labels, verbose=0)) < before)


# ---- dropout


def test_dropout_is_for_training_and_repeats_with_the_seed(backend: str) -> None:
    x = Ragged.from_list(rows_of([30, 0, 5]))
    layer = made(dropout=0.5)
    plain = layer(x, x).numpy()
    found = []
    for step in (1, 1, 2):
        with drawing(seed=1, step=step):
            found.append(layer(x, x, training=True).numpy())
    np.testing.assert_array_equal(found[0][0], found[1][0])
    assert (found[0][0] != found[2][0]).any()
    assert (found[0][0] != plain[0]).any()
    with drawing(seed=1, step=1):  # a longer row behind changes nothing
        longer = layer(*[Ragged.from_list([*rows_of([30, 0, 5]), np.ones((50, D), np.float32)])] * 2, training=True)
    np.testing.assert_allclose(longer.numpy()[0], found[0][0], **VALUES)


# ---- errors


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"num_heads": 0}, ArgumentError, "num_heads"),
        ({"key_dim": 1.5}, ArgumentError, "key_dim"),
        ({"value_dim": -1}, ArgumentError, "value_dim"),
        ({"output_shape": (2, 0)}, ArgumentError, "output_shape"),
        ({"dropout": 1.0}, ArgumentError, r"dropout[^$]*got 1\.0|dropout"),
        ({"sliding_window": 0}, ArgumentError, "sliding_window"),
    ],
)
def test_wrong_arguments(options: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        layers.MultiHeadAttention(**{"num_heads": 2, "key_dim": 3, **options})


def test_wrong_inputs(backend: str) -> None:
    layer, x, y = made(), Ragged.from_list(rows_of(LENGTHS)), Ragged.from_list(rows_of(OTHERS))
    calls: list[tuple[tuple[Any, ...], dict[str, Any], type[PadlessError], str]] = [
        ((x,), {}, ArgumentError, r"layer\(x, x\) for self-attention"),
        ((x, Ragged.from_list(rows_of([1]))), {}, DataError, "4 rows against 1"),
        ((x, y, x), {}, DataError, "row 0 has 4 steps on one side and 3"),
        ((x, Ragged(x.values[:, :2], x.rows)), {}, ShapeError, "4 features"),
        ((x, x), {"mask": x, "value_mask": x}, ArgumentError, "both"),
    ]
    for inputs, options, error, text in calls:
        with pytest.raises(error, match=text) as caught:
            layer(*inputs, **options)
        assert layer.name in str(caught.value)
        assert "Fix:" in str(caught.value)
    with pytest.raises(ShapeError, match="3 axes"):
        layers.MultiHeadAttention(2, 3)(np.ones((2, 3, D), np.float32), np.ones((2, 3, 4, D), np.float32))
    # What failed leaves the layer as it was.
    assert RowPartition.from_lengths(LENGTHS).same_steps(layer(x, y).rows)
