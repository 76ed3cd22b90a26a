"""Positions count from each row's first live step; blocks of a transformer; formulas, forms and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import padless
from padless import Input, Model, Ragged, backends, layers
from padless.errors import ArgumentError, DataError, NotThereYetError, RowError, ShapeError
from tests.tolerances import VALUES

Host = npt.NDArray[Any]

LENGTHS = [3, 0, 5, 2]
WIDTH = 6


def rows_of(lengths: list[int], width: int = WIDTH, seed: int = 0) -> list[Host]:
    return [
        np.random.default_rng((seed, at)).normal(size=(n, width)).astype(np.float32) for at, n in enumerate(lengths)
    ]


def host(x: Any) -> Host:
    return backends.of(x).to_host(x)


def rotated(x: Host, places: Host, wavelength: float = 10000, factor: float = 1.0) -> Host:
    """Pairs of features as complex numbers, turned."""
    half = x.shape[-1] // 2
    angles = places[:, None] / factor / wavelength ** (2 * np.arange(half) / x.shape[-1])
    turned = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angles)
    return np.concatenate([turned.real, turned.imag], axis=-1)


def waves(places: Host, width: int, wavelength: float = 10000) -> Host:
    even = places[:, None] / wavelength ** (np.arange(0, width, 2) / width)
    made = np.empty((len(places), width))
    made[:, ::2], made[:, 1::2] = np.sin(even), np.cos(even)
    return made


def table(layer: Any) -> Host:
    return host(layer.embeddings)


FORMULAS: list[tuple[Any, Any]] = [
    (layers.RotaryEmbedding, lambda layer, x, places: rotated(x, places)),
    (lambda: layers.RotaryEmbedding(50, 2.0), lambda layer, x, places: rotated(x, places, 50, 2.0)),
    (layers.SinePositionEncoding, lambda layer, x, places: waves(places, x.shape[1])),
    (lambda: layers.SinePositionEncoding(50), lambda layer, x, places: waves(places, x.shape[1], 50)),
    (lambda: layers.PositionEmbedding(20), lambda layer, x, places: table(layer)[places]),
]
formulas = pytest.mark.parametrize(
    ("make", "formula"), FORMULAS, ids=["rotary", "rotary 50", "sine", "sine 50", "table"]
)


@formulas
def test_places_count_from_the_first_live_step(backend: str, make: Any, formula: Any) -> None:
    layer, data = make(), rows_of(LENGTHS)
    x = Ragged.from_list(data)
    for row, got in enumerate(layer(x)):
        np.testing.assert_allclose(host(got), formula(layer, data[row], np.arange(LENGTHS[row])), **VALUES)
    live = np.arange(9) >= 9 - np.array(LENGTHS)[:, None]
    live[2, 6] = False  # a hole: what follows keeps its place
    array = np.full((4, 9, WIDTH), np.nan, np.float32)
    array[live] = 1
    got = host(layer(array, mask=live))
    for row in range(4):
        places = np.nonzero(live[row])[0]
        expected = formula(layer, array[row][live[row]], places - places[:1] if len(places) else places)
        np.testing.assert_allclose(got[row][live[row]], expected, **VALUES)


@formulas
def test_where_rows_start_and_places_that_are_given(backend: str, make: Any, formula: Any) -> None:
    layer, data = make(), rows_of(LENGTHS)
    x, starts = Ragged.from_list(data), np.array([7, 1, 0, 4])
    places = [np.arange(n) + start for n, start in zip(LENGTHS, starts, strict=True)]
    for given in (starts, layer.backend.asarray(starts)):
        for row, got in enumerate(layer(x, start_index=given)):
            np.testing.assert_allclose(host(got), formula(layer, data[row], places[row]), **VALUES)
    for row, got in enumerate(layer(x, start_index=3)):
        np.testing.assert_allclose(host(got), formula(layer, data[row], np.arange(LENGTHS[row]) + 3), **VALUES)
    given = [np.random.default_rng(row).integers(0, 20, n) for row, n in enumerate(LENGTHS)]
    dense = np.zeros((4, 5), np.int64)
    for row, own in enumerate(given):
        dense[row, : len(own)] = own
    for positions in (Ragged.from_list(given), dense):
        for row, got in enumerate(layer(x, positions=positions)):
            np.testing.assert_allclose(host(got), formula(layer, data[row], given[row]), **VALUES)
    got = layer(x, positions=dense[2])
    np.testing.assert_allclose(host(got[0]), formula(layer, data[0], dense[2, :3]), **VALUES)


def test_decoding_step_by_step_gives_what_the_whole_row_gives(backend: str) -> None:
    layer, data = layers.RotaryEmbedding(), rows_of([4, 6])
    whole = layer(Ragged.from_list(data))
    for step in range(4):
        one = layer(np.stack([row[step : step + 1] for row in data]), start_index=step)
        for row in range(2):
            np.testing.assert_allclose(host(one)[row, 0], host(whole[row])[step], **VALUES)


def test_products_of_turned_vectors_depend_on_the_distance_alone(backend: str) -> None:
    layer, data = layers.RotaryEmbedding(), rows_of([8])
    products = []
    for start in (0, 5):
        turned = host(layer(Ragged.from_list(data), start_index=start).values).astype(np.float64)
        products.append(turned @ turned.T)
    np.testing.assert_allclose(*products, rtol=1e-4, atol=1e-5)


def test_tokens_and_places(backend: str) -> None:
    layer = layers.TokenAndPositionEmbedding(10, 8, 4, mask_zero=True)
    ids = np.array([[0, 0, 5, 7], [3, 0, 2, 0], [0, 0, 0, 0]])
    got = layer(ids)
    tokens, places = (host(one.embeddings) for one in (layer.token_embedding, layer.position_embedding))
    assert got.rows.row_lengths.tolist() == [2, 2, 0]
    np.testing.assert_allclose(host(got[0]), tokens[[5, 7]] + places[[0, 1]], **VALUES)
    np.testing.assert_allclose(host(got[1]), tokens[[3, 2]] + places[[0, 2]], **VALUES)
    assert list(layer.weight_slots()) == ["token_embedding/embeddings", "position_embedding/embeddings"]


def test_a_text_classifier_of_encoder_blocks_trains(trainer: str) -> None:
    padless.utils.set_random_seed(0)
    x = Input((None,), dtype="int32")
    y = layers.TransformerEncoder(8, 2)(layers.TokenAndPositionEmbedding(6, 16, 8, mask_zero=True)(x))
    model = Model(x, layers.Dense(1, activation="sigmoid")(layers.GlobalAveragePooling1D()(y)))
    model.compile(padless.optimizers.Adam(0.02), "binary_crossentropy")
    numbers = np.random.default_rng(0)
    texts = [numbers.integers(1, 6, n).tolist() for n in numbers.integers(1, 9, 32)]
    labels = np.array([[text[0] == 5] for text in texts], np.float32)
    before = model.evaluate(texts, labels, verbose=0)
    model.fit(texts, labels, batch_size=32, epochs=12, verbose=0)
    assert np.all(np.asarray(model.evaluate(texts, labels, verbose=0)) < before)


# ---- blocks


def norm(x: Host, layer: Any) -> Host:
    apart = x - x.mean(-1, keepdims=True)
    return apart / np.sqrt((apart**2).mean(-1, keepdims=True) + 1e-5) * host(layer.gamma) + host(layer.beta)


def dense(x: Host, layer: Any) -> Host:
    return x @ host(layer.kernel) + host(layer.bias)


@pytest.mark.parametrize("first", [False, True])
def test_blocks_are_sums_around_attention_and_dense_layers(backend: str, first: bool) -> None:
    encoder = layers.TransformerEncoder(7, 2, normalize_first=first)
    decoder = layers.TransformerDecoder(7, 2, normalize_first=first)
    x, memory = rows_of(LENGTHS), rows_of([4, 2, 1, 0], 5, 1)

    def around(y: Host, layer: Any, inner: Any) -> Host:
        return y + inner(norm(y, layer)) if first else norm(y + inner(y), layer)

    def forward(block: Any) -> Any:
        return lambda y: dense(
            np.maximum(dense(y, block.feedforward_intermediate_dense), 0), block.feedforward_output_dense
        )

    encoded, decoded = encoder(Ragged.from_list(x)), decoder(Ragged.from_list(x), Ragged.from_list(memory))
    numbers = np.random.default_rng(0)
    for block in (encoder, decoder):
        block.set_weights([numbers.normal(size=w.shape) for w in block.get_weights()])
    encoded, decoded = encoder(Ragged.from_list(x)), decoder(Ragged.from_list(x), Ragged.from_list(memory))
    for row, own in enumerate(x):
        if not len(own):
            continue
        y = around(
            own, encoder.self_attention_layer_norm, lambda z: host(encoder.self_attention_layer(z[None], z[None]))[0]
        )
        y = around(y, encoder.feedforward_layer_norm, forward(encoder))
        np.testing.assert_allclose(host(encoded[row]), y, rtol=1e-4, atol=1e-5)
        y = around(
            own,
            decoder.self_attention_layer_norm,
            lambda z: host(decoder.self_attention(z[None], z[None], use_causal_mask=True))[0],
        )
        other = memory[row]
        y = around(
            y, decoder.cross_attention_layer_norm, lambda z, m=other: host(decoder.cross_attention(z[None], m[None]))[0]
        )
        y = around(y, decoder.feedforward_layer_norm, forward(decoder))
        np.testing.assert_allclose(host(decoded[row]), y, rtol=1e-4, atol=1e-5)


def test_what_blocks_are_called_with(backend: str) -> None:
    encoder, decoder, alone = (kind(7, 2) for kind in (layers.TransformerEncoder, *[layers.TransformerDecoder] * 2))
    x, memory = Ragged.from_list(rows_of(LENGTHS)), Ragged.from_list(rows_of([4, 2, 1, 0], 5, 1))
    y, scores = encoder(x, return_attention_scores=True)
    assert [tuple(row.shape) for row in scores] == [(2, n, n) for n in LENGTHS]
    np.testing.assert_allclose(host(y.values), host(encoder(x).values), **VALUES)
    before = Ragged.from_pairs([np.tri(n, dtype=bool) for n in LENGTHS])
    np.testing.assert_allclose(
        host(decoder(x, memory, use_causal_mask=False, decoder_attention_mask=before).values),
        host(decoder(x, memory).values),
        **VALUES,
    )
    live = np.arange(7) < np.array(LENGTHS)[:, None]
    seen = np.arange(5) < np.array([4, 2, 1, 0])[:, None]
    got = host(
        decoder(x.to_padded(length=7), memory.to_padded(length=5), decoder_padding_mask=live, encoder_padding_mask=seen)
    )
    np.testing.assert_allclose(got[live], host(decoder(x, memory).values), **VALUES)
    got = host(encoder(x.to_padded(length=7), padding_mask=live))
    np.testing.assert_allclose(got[live], host(encoder(x).values), **VALUES)
    assert alone(x).rows is x.rows
    assert not hasattr(alone, "cross_attention")
    with pytest.raises(ArgumentError, match="no encoder_sequence"):
        alone(x, memory)
    with pytest.raises(ArgumentError, match="an encoder_sequence"):
        decoder(x)
    with pytest.raises(DataError, match="4 rows against 2"):
        decoder(x, memory[:2])
    with pytest.raises(NotThereYetError, match="self_attention_cache"):
        decoder(x, memory, self_attention_cache=x)
    with pytest.raises(ShapeError, match="attention_mask"):
        encoder(x, attention_mask=np.ones((4, 9, 9), bool))


# ---- errors


def test_wrong_arguments(backend: str) -> None:
    x = Ragged.from_list(rows_of(LENGTHS))
    wrong: list[tuple[Any, type[Exception], str]] = [
        (lambda: layers.RotaryEmbedding()(x.with_values(x.values[:, :5])), ShapeError, "even number"),
        (lambda: layers.RotaryEmbedding(sequence_axis=2), NotThereYetError, "sequence_axis"),
        (lambda: layers.RotaryEmbedding(feature_axis=1), NotThereYetError, "feature_axis"),
        (lambda: layers.SinePositionEncoding()(x, start_index=np.zeros(3, int)), ShapeError, "one for each of 4 rows"),
        (lambda: layers.SinePositionEncoding()(x, positions=np.zeros((4, 4), int)), ShapeError, r"\(4, 5\)"),
        (lambda: layers.PositionEmbedding(0), ArgumentError, "sequence_length"),
        (lambda: layers.PositionEmbedding(4)(x), RowError, "place 4 in row 2"),
        (lambda: layers.PositionEmbedding(9)(x, start_index=np.array([0, 0, 0, 8])), RowError, "place 9 in row 3"),
        (lambda: layers.TokenAndPositionEmbedding(9, 9, 3, tie_weights=False), NotThereYetError, "tie_weights"),
        (lambda: layers.TransformerEncoder(0, 2), ArgumentError, "intermediate_dim"),
        (lambda: layers.TransformerEncoder(4, 2, dropout=1), ArgumentError, "dropout"),
        (lambda: layers.TransformerEncoder(4, 9)(x), ShapeError, "at least 9 features"),
        (lambda: layers.TransformerDecoder(4, 2)(np.ones((2, 3, 4, 5), np.float32)), ShapeError, "3 axes"),
    ]
    for call, error, text in wrong:
        with pytest.raises(error, match=text) as caught:
            call()
        assert "Fix:" in str(caught.value)
