"""TimeDistributed: forms, refusals, models, files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import ArgumentError, DataError, Input, Layer, MaskError, Model, Ragged, Sequential, ShapeError, layers
from padless.saving import deserialize, serialize
from tests.conftest import BACKENDS
from tests.tolerances import VALUES

DOCUMENTS = [[[1, 2, 3], [4]], [], [[5, 6]], [[]], [[7], [], [8, 9]]]


def words() -> Ragged:
    return Ragged.from_list(DOCUMENTS)


def vectors(features: int = 3) -> Ragged:
    x = words()
    drawn = np.random.default_rng(0).uniform(-1, 1, (9, features)).astype(np.float32)
    return x.with_flat_values(padless.backends.current().asarray(drawn))


def encoder() -> Sequential:
    return Sequential([layers.Embedding(10, 3, mask_zero=True), layers.LSTM(4)])


def host(x: Any) -> Any:
    return padless.backends.current().to_host(x)


@pytest.fixture(params=[name for name in BACKENDS if name != "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[str]:
    """Called directly, JAX compiles every operation for every shape: it takes part in test_rows_within_rows.py."""
    before = padless.backend()
    padless.set_backend(request.param)
    yield request.param
    padless.set_backend(before)


# ---- arrays and plain rows


def test_a_dense_array(backend: str) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 5, 5, 2)).astype(np.float32)
    layer = layers.TimeDistributed(layers.Conv2D(4, 2))
    y = layer(x)
    assert tuple(y.shape) == (2, 3, 4, 4, 4)
    for at in range(3):
        np.testing.assert_allclose(host(y[:, at]), host(layer.layer(x[:, at])), **VALUES)


def test_rows_of_images_with_a_mask(backend: str) -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 4, 4, 2)).astype(np.float32)
    mask = np.array([[True, True, False], [False, True, True]])
    layer = layers.TimeDistributed(Sequential([layers.Conv2D(4, 2), layers.MaxPooling2D(), layers.Flatten()]))
    whole = host(layer(x))
    poisoned = np.where(mask[:, :, None, None, None], x, np.nan)
    y = host(layer(poisoned, mask=mask))
    np.testing.assert_allclose(y[mask], whole[mask], **VALUES)
    assert not y[~mask].any()


def test_several_outputs(backend: str) -> None:
    x = Ragged.from_list([np.ones((2, 3, 4), np.float32), np.ones((1, 3, 4), np.float32)])
    y, h, c = layers.TimeDistributed(layers.LSTM(5, return_sequences=True, return_state=True))(x)
    assert [part.shape for part in (y, h, c)] == [(2, None, 3, 5), (2, None, 5), (2, None, 5)]


def test_the_layer_knows_that_it_is_trained(backend: str) -> None:
    layer = layers.TimeDistributed(layers.Dropout(0.5))
    x = np.ones((2, 3, 50), np.float32)
    assert (host(layer(x)) == 1).all()
    assert 0.3 < (host(layer(x, training=True)) == 0).mean() < 0.7
    norm = layers.TimeDistributed(layers.BatchNormalization(momentum=0.5))
    norm(Ragged.from_list([np.full((2, 1), 3, np.float32), np.full((1, 1), 6, np.float32)]), training=True)
    np.testing.assert_allclose(norm.state_dict()["layer/moving_mean"], [2], **VALUES)


def test_weights_come_in_order_and_when_built_by_hand(backend: str) -> None:
    layer = layers.TimeDistributed(layers.Dense(2))
    layer.build((None, None, 3))
    assert [tuple(w.shape) for w in layer.get_weights()] == [(3, 2), (2,)]
    assert list(layer.state_dict()) == ["layer/kernel", "layer/bias"]
    layer.trainable = False
    assert not layer.trainable_weights


# ---- rows within rows


def test_rows_end_or_are_kept_inside(backend: str) -> None:
    x = vectors()
    ended = layers.TimeDistributed(layers.LSTM(4))(x)
    assert ended.shape == (5, None, 4)
    assert ended.rows is x.rows
    kept = layers.TimeDistributed(layers.LSTM(4, return_sequences=True))(x)
    assert kept.shape == (5, None, None, 4)
    assert kept.rows is x.rows
    assert kept.values.rows is x.values.rows
    changed = layers.TimeDistributed(layers.Conv1D(4, 2))(x)
    assert changed.values.rows.row_lengths.tolist() == [2, 0, 1, 0, 0, 0, 1]


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.Dense(3),
        lambda: layers.Dropout(0.5),
        lambda: layers.Activation("softmax"),
        lambda: layers.LayerNormalization(),
        lambda: layers.BatchNormalization(),
    ],
)
def test_what_looks_at_one_step_at_a_time_sees_the_innermost(backend: str, layer: Any) -> None:
    x, made = vectors(), layer()
    y = made(x)
    assert y.rows is x.rows
    assert y.values.rows is x.values.rows
    np.testing.assert_allclose(host(y.flat_values), host(made(x.values).values), **VALUES)
    distributed = layers.TimeDistributed(made)(x)
    np.testing.assert_array_equal(host(distributed.flat_values), host(y.flat_values))


def test_merging(backend: str) -> None:
    x = vectors()
    assert layers.Add()([x, x]).flat_values.shape == (9, 3)
    assert layers.Concatenate()([x, x]).shape == (5, None, None, 6)
    other = Ragged.from_list([[[[1.0] * 3] * 3, [[1.0] * 3]], [], [[[1.0] * 3]], [[]], [[[1.0] * 3], [], [[1.0] * 3]]])
    with pytest.raises(DataError, match="row 2, step 0 has 2 steps on one side and 1 on the other"):
        layers.Add()([x, other])
    with pytest.raises(MaskError, match="spread"):
        layers.Add()([x, np.ones((5, 3), np.float32)])


def test_ids_of_zero_are_masked_in_any_form(backend: str) -> None:
    ids = np.array([[[1, 0, 2], [0, 0, 0], [3, 0, 0], [0, 0, 0]]])
    layer = layers.Embedding(10, 3, mask_zero=True)
    for form in (layer, layers.TimeDistributed(layer)):
        y = form(ids)
        assert y.rows.row_lengths.tolist() == [3]
        assert y.values.rows.row_lengths.tolist() == [2, 0, 1]
        np.testing.assert_array_equal(y.mask, ids != 0)
        # Lists have no padding, so that every sentence is one.
        listed = form(Ragged.from_list(ids.tolist(), ragged_rank=2))
        assert listed.rows.row_lengths.tolist() == [4]
        assert listed.values.rows.row_lengths.tolist() == [2, 0, 1, 0]
        steps = form(Ragged.from_list(ids.tolist()))  # lists of equal length, not known to be sentences
        assert steps.values.rows.row_lengths.tolist() == [2, 0, 1, 0]


def test_features_that_say_nothing_are_masked(backend: str) -> None:
    x = np.zeros((1, 4, 3, 2), np.float32)
    x[0, 1, :2] = 1
    y = layers.TimeDistributed(layers.Masking())(x)
    assert (y.rows.row_lengths.tolist(), y.values.rows.row_lengths.tolist()) == ([1], [2])
    assert layers.Masking()(y).values.rows.row_lengths.tolist() == [2]
    x[0, 3, 1] = 2
    again = layers.TimeDistributed(Sequential([layers.Masking(), layers.GlobalMaxPooling1D()]))(x)
    assert again.shape == (1, None, 2)
    np.testing.assert_array_equal(host(again.values), [[1, 1], [0, 0], [2, 2]])
    assert tuple(layers.Unmask()(y).shape) == (1, 4, 3, 2)


def test_an_explicit_mask(backend: str) -> None:
    layer = layers.TimeDistributed(layers.GlobalMaxPooling1D())
    x = np.arange(12, dtype=np.float32).reshape((1, 3, 2, 2))
    mask = np.array([[[True, False], [False, False], [True, True]]])
    np.testing.assert_array_equal(host(layer(x, mask=mask)), [[[0, 1], [0, 0], [10, 11]]])


def test_the_answer_comes_in_the_form_of_the_question(backend: str) -> None:
    layer = layers.TimeDistributed(layers.Embedding(10, 3))
    found = layer(DOCUMENTS)
    assert [[tuple(words.shape) for words in document] for document in found] == [
        [(len(words), 3) for words in document] for document in DOCUMENTS
    ]
    pooled = Sequential([layer, layers.TimeDistributed(layers.GlobalMaxPooling1D())])
    assert [tuple(document.shape) for document in pooled(DOCUMENTS)] == [(len(d), 3) for d in DOCUMENTS]
    assert [tuple(document.shape) for document in pooled.predict(DOCUMENTS)] == [(len(d), 3) for d in DOCUMENTS]
    nested = Sequential([layer]).predict(DOCUMENTS)
    assert [[w.shape for w in document] for document in nested] == [[(len(w), 3) for w in d] for d in DOCUMENTS]
    assert Sequential([layer]).predict(words()).shape == (5, None, None, 3)


# ---- what is refused


@pytest.mark.parametrize(
    "layer",
    [
        lambda: layers.GRU(3),
        lambda: layers.Conv1D(3, 2),
        lambda: layers.GlobalMaxPooling1D(),
        lambda: layers.Flatten(),
        lambda: layers.MultiHeadAttention(1, 2),
        lambda: layers.Bidirectional(layers.LSTM(2)),
    ],
)
def test_what_cannot_read_rows_within_rows_says_so(backend: str, layer: Any) -> None:
    made = layer()
    x = [vectors(), vectors()] if made.merges else vectors()
    with pytest.raises(MaskError, match=r"rows within rows: lists of sequences[^$]*layers.TimeDistributed\(") as caught:
        made(x)
    assert made.name in str(caught.value)


def test_what_cannot_read_them_says_so_when_the_model_is_made(backend: str) -> None:
    x = Input((None, None), dtype="int32")
    with pytest.raises(MaskError, match="rows within rows"):
        layers.GRU(3)(layers.Embedding(10, 3)(x))
    with pytest.raises(MaskError, match="rows within rows"):
        Sequential([Input((None, None, 3)), layers.GlobalMaxPooling1D()])


def test_layers_of_users_do_not_read_them_by_accident(backend: str) -> None:
    class Padded(Layer):
        def call(self, x: Any, mask: Any = None) -> Any:
            return x

    class Rows(Layer):
        view = "ragged"

        def call(self, x: Any) -> Any:
            return x

    class Nothing(Layer):
        def call(self, x: Any) -> Any:
            return x

    class Counts(Layer):
        view = "ragged"
        reads_nested = True

        def call(self, x: Any) -> Any:
            return padless.row_sum(x.with_values(self.backend.index(x.values.rows, "row_lengths")))

    for kind in (Padded, Rows, Nothing):
        with pytest.raises(MaskError, match="rows within rows"):
            kind()(words())
    assert host(Counts()(words())).tolist() == [4, 0, 2, 0, 3]


def test_padding_that_nobody_outside_would_know_of(backend: str) -> None:
    class Encoder(Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed = layers.Embedding(10, 3, mask_zero=True)
            self.read = layers.LSTM(4)

        def call(self, x: Any) -> Any:
            return self.read(self.embed(x))

    layer = layers.TimeDistributed(Encoder())
    ids = words().to_padded()
    with pytest.raises(MaskError, match=r"'embedding.*' inside of 'encoder.*' finds padding"):
        layer(ids)
    truth = layer(words())
    assert truth.shape == (5, None, 4)
    np.testing.assert_allclose(host(layer(ids, mask=ids != 0))[0], [*host(truth[0]).tolist(), [0] * 4], **VALUES)
    assert layer(Ragged.from_padded(ids)).rows.row_lengths.tolist() == [3] * 5


def test_arguments(backend: str) -> None:
    with pytest.raises(ArgumentError, match="a layer or a model of one input"):
        layers.TimeDistributed(layers.Dense)  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="a layer or a model of one input"):
        layers.TimeDistributed(layers.Add())
    with pytest.raises(ShapeError, match=r"steps with axes of their own, \(B, T, ...\)"):
        layers.TimeDistributed(layers.Embedding(10, 3))([[1, 2], [3]])
    with pytest.raises(ShapeError, match=r"steps with axes of their own, \(B, T, ...\)"):
        layers.TimeDistributed(layers.Dense(3))(np.ones((2, 3), np.float32))
    with pytest.raises(MaskError, match="MaxPooling2D"):
        layers.TimeDistributed(layers.MaxPooling2D())(vectors())


def test_a_wrong_id_is_named_by_document_and_sentence(backend: str) -> None:
    model = Sequential([layers.TimeDistributed(encoder()), layers.GRU(2)])
    wrong = [*DOCUMENTS, [[1], [2, 99]]]
    with pytest.raises(DataError, match="id 99 in row 5, step 1, step 1"):
        model(wrong)
    with pytest.raises(DataError, match="id 99 in row 5, step 1, step 1"):
        model.predict(wrong, batch_size=2)


# ---- models


def test_an_input_says_that_lists_are_rows_within_rows(backend: str) -> None:
    x = Input((None, None), dtype="int32")
    assert x.shape == (None, None, None)
    y = layers.TimeDistributed(encoder())(x)
    assert tuple(y.shape) == (None, None, 4)
    model = Model(x, layers.GRU(2)(y))
    equal = [[[1, 2], [3, 4]], [[5, 6]]]
    np.testing.assert_allclose(host(model(equal)), host(model(Ragged.from_list(equal, ragged_rank=2))), **VALUES)
    np.testing.assert_allclose(model.predict(equal), host(model(equal)), **VALUES)
    assert host(model([[]])).tolist() == [[0, 0]]
    assert model.predict([[]]).tolist() == [[0, 0]]
    assert model.predict([[[]]]).shape == (1, 2)
    with pytest.raises(DataError, match="row 0 with steps that are no sequences"):
        model([[1, 2], [3]])
    with pytest.raises(ShapeError, match=r"expected shape \(None, None, None\)"):
        model(np.ones((2, 3), np.int64))
    fixed = Input((7, None, 3))
    assert tuple(layers.TimeDistributed(layers.LSTM(2))(fixed).shape) == (None, None, 2)
    with pytest.raises(padless.errors.NotThereYetError, match="at most two axes that vary"):
        Input((None, 3, None))


def test_one_document_alone_without_an_input(backend: str) -> None:
    model = Sequential([layers.TimeDistributed(encoder()), layers.GRU(2)])
    expected = host(model(DOCUMENTS))
    for at, document in enumerate(DOCUMENTS):
        np.testing.assert_allclose(host(model([document])), expected[at : at + 1], **VALUES)
        np.testing.assert_allclose(model.predict([document]), expected[at : at + 1], **VALUES)
    fresh = Sequential([layers.TimeDistributed(encoder()), layers.GRU(2)])
    assert host(fresh([[]])).tolist() == [[0, 0]]


def test_a_model_of_arrays_of_fixed_size(backend: str) -> None:
    x = Input((4, 3), dtype="int32")
    model = Model(x, layers.GRU(2)(layers.TimeDistributed(encoder())(x)))
    few = [[[1, 2, 3], [4]], [[5, 6]]]
    padded = Ragged.from_list(few).to_padded(length=(4, 3))
    np.testing.assert_allclose(model.predict(padded), host(model(few)), **VALUES)


def test_a_subclassed_model(backend: str) -> None:
    class Reader(Model):
        def __init__(self) -> None:
            super().__init__()
            self.sentences = layers.TimeDistributed(encoder())
            self.document = layers.GRU(2)

        def call(self, x: Any) -> Any:
            return self.document(self.sentences(x))

    model = Reader()
    answer = host(model(DOCUMENTS))
    assert answer.shape == (5, 2)
    assert "layer/layers/0/embeddings" in {path.removeprefix("sentences/") for path in model.state_dict()}
    np.testing.assert_allclose(model.predict(words()), answer, **VALUES)
    kept = [document for document in DOCUMENTS if document and document[-1]]
    padded = Ragged.from_list(kept).to_padded(side="pre")
    np.testing.assert_allclose(host(model(padded)), host(model(kept)), **VALUES)
    np.testing.assert_allclose(model.predict(padded), host(model(kept)), **VALUES)
    model.summary(print_fn=lambda text: None)


def test_three_levels(backend: str) -> None:
    """Books of chapters of sentences of words."""
    paragraph = Sequential([layers.TimeDistributed(encoder()), layers.GRU(3)])
    model = Sequential([layers.TimeDistributed(paragraph), layers.GRU(2)])
    books = [[[[1, 2], [3]], [[4]]], [[[5], [6, 7], [8]]]]
    x = Ragged.from_list(books, ragged_rank=3)
    expected = host(model(x))
    for at in range(2):
        np.testing.assert_allclose(host(model(x[[at]])), expected[at : at + 1], **VALUES)
    np.testing.assert_allclose(host(model(x.to_padded())), expected, **VALUES)
    np.testing.assert_allclose(model.predict(x.to_padded()), expected, **VALUES)
    np.testing.assert_allclose(model.predict(x), expected, **VALUES)


def test_summary(backend: str) -> None:
    model = Sequential(
        [
            Input((None, None), dtype="int32"),
            layers.Embedding(10, 3, mask_zero=True),
            layers.TimeDistributed(layers.GRU(4, return_sequences=True)),
            layers.TimeDistributed(layers.Conv1D(4, 2)),
            layers.TimeDistributed(layers.GlobalMaxPooling1D()),
            layers.GRU(2),
        ]
    )
    found: list[str] = []
    model.summary(print_fn=found.append, line_length=120)
    lines = [" ".join(line.split()) for line in found[0].splitlines()]
    for shape, word in [
        ("(None, None, None)", "if given"),
        ("(None, None, None, 3)", "enter 30"),
        ("(None, None, None, 4)", "kept"),
        ("(None, None, None, 4)", "change"),
        ("(None, None, 4)", "inner end"),
        ("(None, 2)", "end"),
    ]:
        assert any(f"{shape} {word}" in line for line in lines), (shape, word)


def test_config_and_file(backend: str, tmp_path: Path) -> None:
    x = Input((None, None), dtype="int32")
    model = Model(x, layers.GRU(2)(layers.TimeDistributed(encoder(), name="sentences")(x)))
    layer = model.get_layer("sentences")
    again = deserialize(json.loads(json.dumps(serialize(layer))))
    assert isinstance(again, layers.TimeDistributed)
    assert [type(part).__name__ for part in again.layer.layers] == ["Embedding", "LSTM"]
    model.save(tmp_path / "model.safetensors")
    loaded = padless.load_model(tmp_path / "model.safetensors")
    equal = [[[1, 2], [3, 4]], [[5, 6]]]
    for documents in (DOCUMENTS, equal):
        np.testing.assert_array_equal(loaded.predict(documents), model.predict(documents))
    sequential = Sequential([layers.TimeDistributed(encoder()), layers.GRU(2)])
    answer = sequential.predict(DOCUMENTS)
    sequential.save(tmp_path / "sequential.safetensors")
    np.testing.assert_array_equal(padless.load_model(tmp_path / "sequential.safetensors").predict(DOCUMENTS), answer)


def test_a_functional_model_inside_with_several_outputs(backend: str) -> None:
    x = Input((None,), dtype="int32")
    words = layers.LSTM(3, return_sequences=True)(layers.Embedding(10, 3, mask_zero=True)(x))
    inner = Model(x, {"last": layers.GRU(2)(words), "words": layers.Dense(4)(words)})
    layer = layers.TimeDistributed(inner)
    found = layer(Ragged.from_list(DOCUMENTS))
    assert {name: part.shape for name, part in found.items()} == {"last": (5, None, 2), "words": (5, None, None, 4)}
    few = [DOCUMENTS[0], DOCUMENTS[4]]
    padded = Ragged.from_list(few).to_padded(side="pre", length=(5, 6))
    again, truth = layer(padded), layer(Ragged.from_list(few))
    assert again["last"].rows.starts.tolist() == [3, 2]
    for name in found:
        np.testing.assert_allclose(host(again[name].flat_values), host(truth[name].flat_values), **VALUES)
    pair = layers.TimeDistributed(Model(x, [layers.GRU(2)(words), layers.Dense(4)(words)]))
    outer = Input((None, None), dtype="int32")
    ended, kept = pair(outer)
    assert (tuple(ended.shape), tuple(kept.shape)) == ((None, None, 2), (None, None, None, 4))
    last, tags = Model(outer, [layers.GRU(2)(ended), kept]).predict(DOCUMENTS)
    assert last.shape == (5, 2)
    assert [[w.shape for w in document] for document in tags] == [[(len(w), 4) for w in d] for d in DOCUMENTS]


def test_no_documents_at_all(backend: str) -> None:
    x = Input((None, None), dtype="int32")
    model = Model(x, layers.GRU(2)(layers.TimeDistributed(encoder())(x)))
    assert tuple(model([]).shape) == (0, 2)
    assert tuple(model(words()[[]]).shape) == (0, 2)
    assert tuple(model(np.zeros((0, 3, 4), np.int64)).shape) == (0, 2)
    assert tuple(model(np.zeros((2, 0, 4), np.int64)).shape) == (2, 2)
    assert tuple(model(np.zeros((2, 3, 0), np.int64)).shape) == (2, 2)
    assert host(model(np.zeros((2, 3, 4), np.int64))).tolist() == [[0, 0]] * 2


def test_tensors_in_lists_of_lists() -> None:
    torch = pytest.importorskip("torch")
    model = Sequential([layers.TimeDistributed(encoder()), layers.GRU(2)])
    expected = model.predict(DOCUMENTS)
    tensors = [[torch.tensor(sentence, dtype=torch.int64) for sentence in document] for document in DOCUMENTS]
    np.testing.assert_allclose(model.predict(tensors), expected, **VALUES)
    np.testing.assert_allclose(host(model(tensors)), expected, **VALUES)
    np.testing.assert_allclose(model.predict(list(words())), expected, **VALUES)
    np.testing.assert_allclose(host(model(list(words()))), expected, **VALUES)
