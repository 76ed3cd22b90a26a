"""Layers that prepare data, beside what Keras on TensorFlow said: recorded, since TensorFlow is no part of these tests.

`python tests/parity/record_preprocessing.py` with Keras and TensorFlow installed writes the records anew.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers
from padless.text.fingerprints import buckets

SAID: dict[str, Any] = json.loads((Path(__file__).parents[1] / "data" / "keras_preprocessing.json").read_text())


def _named(case: dict[str, Any]) -> str:
    return ",".join(f"{key}={value}" for key, value in case["arguments"].items() if value is not None) or "defaults"


def _layer(kind: Any, arguments: dict[str, Any], **more: Any) -> Any:
    given = {key: tuple(value) if isinstance(value, list) else value for key, value in arguments.items()}
    return kind(**given, **more)


def _same(ours: Any, theirs: Any) -> None:
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=1e-5)


@pytest.mark.parametrize("native", [True, False], ids=["native", "python"])
@pytest.mark.parametrize("case", SAID["cases"], ids=_named)
def test_texts(case: dict[str, Any], native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not native:
        monkeypatch.setattr(padless.native, "available", lambda: False)
    arguments = dict(case["arguments"])
    layer = _layer(layers.TextVectorization, arguments, ragged=False)
    layer.adapt(SAID["texts"])
    if case["vocabulary"] is not None:
        assert layer.get_vocabulary() == case["vocabulary"]
    expected = case["output"]
    if isinstance(expected, dict):
        table = np.zeros(expected["shape"])
        for row, column, value in expected["nonzero"]:
            table[row, column] = value
        expected = table
    _same(layer(SAID["probe"]), expected)
    again = layers.TextVectorization.from_config(layer.get_config())
    _same(again(SAID["probe"]), expected)


@pytest.mark.parametrize("case", SAID["strings"], ids=_named)
def test_string_lookup(case: dict[str, Any]) -> None:
    data = np.array([["x", "q", "z", "", "m"], ["é", "é", "w", "x2", "r"]])
    _same(_layer(layers.StringLookup, case["arguments"], vocabulary=["x", "y", "z", "é"])(data), case["given"])
    learned = _layer(layers.StringLookup, case["arguments"])
    learned.adapt(data)
    assert learned.get_vocabulary() == case["learned"]
    _same(learned(data), case["adapted"])
    _same(layers.StringLookup.from_config(learned.get_config())(data), case["adapted"])


@pytest.mark.parametrize("case", SAID["integers"], ids=_named)
def test_integer_lookup(case: dict[str, Any]) -> None:
    data = np.array([[1, 5, 7, 0], [-4, 1000, 12, 12]])
    _same(_layer(layers.IntegerLookup, case["arguments"], vocabulary=[12, 5, 1])(data), case["given"])
    learned = _layer(layers.IntegerLookup, case["arguments"])
    learned.adapt(data)
    assert learned.get_vocabulary() == case["learned"]
    _same(learned(data), case["adapted"])


@pytest.mark.parametrize("case", SAID["hashing"], ids=_named)
def test_hashing(case: dict[str, Any]) -> None:
    _same(_layer(layers.Hashing, case["arguments"])(np.array(case["input"])), case["output"])


@pytest.mark.parametrize("case", SAID["crossing"], ids=_named)
def test_crossing(case: dict[str, Any]) -> None:
    layer = _layer(layers.HashedCrossing, case["arguments"])
    _same(layer([np.array(case["a"]), np.array(case["b"])]), case["output"])


def test_fingerprints_of_all_lengths() -> None:
    texts = [text.encode() for text in SAID["fingerprints"]["texts"]]
    assert buckets(texts, 2**62).tolist() == SAID["fingerprints"]["farmhash"]
    assert buckets(texts, 2**62, (5, 7)).tolist() == SAID["fingerprints"]["siphash"]


def test_discretization(backend: Any) -> None:
    said = SAID["discretization"]
    x = np.array(said["x"], np.float32)
    layer = layers.Discretization(num_bins=5)
    layer.adapt(x)
    np.testing.assert_allclose(layer.bin_boundaries, said["boundaries"], atol=1e-6)
    _same(layer(x), said["int"])
    for mode, expected in said["modes"].items():
        _same(layers.Discretization(bin_boundaries=[-1.0, 0.0, 1.0], output_mode=mode)(x), expected)
    layer = layers.Discretization(num_bins=6, epsilon=0.02)
    layer.adapt(np.array(batch, np.float32) for batch in said["batches"])
    np.testing.assert_allclose(layer.bin_boundaries, said["batch_boundaries"], atol=1e-6)
    again = layers.Discretization.from_config(layer.get_config())
    _same(again(x), layer(x))


def test_category_encoding(backend: Any) -> None:
    said = SAID["category"]
    for mode in ("one_hot", "multi_hot", "count"):
        layer = layers.CategoryEncoding(num_tokens=4, output_mode=mode)
        _same(layer(np.array(said["ids"])), said[mode])
        _same(layer(np.array([0, 1, 1])), said["one_dim"][mode])
    weighted = layers.CategoryEncoding(num_tokens=4, output_mode="count")
    _same(weighted(np.array(said["ids"]), count_weights=np.array(said["weights"], np.float32)), said["weighted"])


def test_normalization(backend: Any) -> None:
    said = SAID["normalization"]
    x = np.array(SAID["discretization"]["x"], np.float32)
    batches = [np.array(batch, np.float32) for batch in SAID["discretization"]["batches"]]
    layer = layers.Normalization()
    layer.adapt(x)
    _same(layer(x), said["y"])
    _same(layers.Normalization.from_config(layer.get_config())(x), said["y"])
    every = layers.Normalization(axis=None)
    every.adapt(x)
    _same(every(x), said["all"])
    several = layers.Normalization()
    several.adapt(iter(batches))
    _same(several(batches[0]), said["batches"])
