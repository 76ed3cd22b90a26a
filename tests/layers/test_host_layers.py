"""Layers that read texts and keys: forms in and out, streams, files, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padless import Ragged, layers
from padless.errors import ArgumentError, DataError, DTypeError, NotBuiltError, NotThereYetError, ShapeError

TEXTS = ["The cat sat.", "the dog", "", "A cat!"]


def adapted(**arguments: Any) -> Any:
    layer = layers.TextVectorization(**arguments)
    layer.adapt(TEXTS)
    return layer


def test_texts_of_any_form_become_the_same_rows(backend: str) -> None:
    layer = adapted()
    expected = [[2, 3, 4], [2, 5], [], [6, 3]]
    assert sorted(layer.get_vocabulary()[2:4]) == ["cat", "the"]
    expected = layer(TEXTS).to_list()
    forms: list[Any] = [
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, object),
        np.array(TEXTS)[:, None],
        [text.encode() for text in TEXTS],
    ]
    for form in forms:
        assert layer(form).to_list() == expected
    assert layer(TEXTS).rows.row_lengths.tolist() == [3, 2, 0, 2]


def test_a_stream_of_batches_teaches_the_same() -> None:
    whole = adapted()
    layer = layers.TextVectorization()
    layer.adapt(iter([TEXTS[:2], np.array(TEXTS[2:])]))
    assert layer.get_vocabulary() == whole.get_vocabulary()
    layer.adapt(iter([TEXTS, ["never"]]), steps=1)
    assert layer.get_vocabulary() == whole.get_vocabulary()


def test_a_function_or_a_tokenizer_may_split() -> None:
    class Made:
        def __init__(self, tokens: list[str]) -> None:
            self.tokens = tokens

    class Pairs:
        def encode_batch(self, texts: list[str]) -> list[Made]:
            return [Made([text[at : at + 2] for at in range(0, len(text), 2)]) for text in texts]

    by_object = layers.TextVectorization(standardize=None, split=Pairs())
    by_object.adapt(["abab", "abc"])
    assert by_object.get_vocabulary() == ["", "[UNK]", "ab", "c"]
    by_function = layers.TextVectorization(
        standardize=lambda texts: np.char.upper(texts), split=lambda texts: [text.split("-") for text in texts]
    )
    by_function.adapt(["a-b", "a"])
    assert by_function.get_vocabulary() == ["", "[UNK]", "A", "B"]
    assert by_function(["b-z"]).to_list() == [[3, 1]]


def test_rows_of_keys_stay_rows_and_a_file_holds_a_vocabulary(tmp_path: Path, backend: str) -> None:
    path = tmp_path / "terms.txt"
    path.write_text("b\na\n", encoding="utf-8")
    layer = layers.StringLookup(vocabulary=str(path))
    rows = layer([["a", "b"], [], ["z"]])
    assert isinstance(rows, Ragged)
    assert rows.to_list() == [[2, 1], [], [0]]
    back = layers.StringLookup(vocabulary=["b", "a"], invert=True)
    assert back(rows).to_list() == [["a", "b"], [], ["[UNK]"]]
    counted = layers.StringLookup(vocabulary=["b", "a"], output_mode="count")([["a", "a"], [], ["z"]])
    assert np.asarray(counted).tolist() == [[0, 0, 2], [0, 0, 0], [1, 0, 0]]
    assert np.asarray(layers.Hashing(3)([["A"], ["B", "A"]]).values).tolist() == [1, 0, 1]


@pytest.mark.parametrize(
    ("make", "error", "text"),
    [
        (lambda: layers.TextVectorization()(["a"]), NotBuiltError, r"layer.adapt\(data\)"),
        (lambda: adapted()([["a", "b"], ["c"]]), ShapeError, "texts .B,. or .B, 1."),
        (lambda: adapted()(np.array(["a", None], object)), DataError, "None at row 1"),
        (lambda: adapted()({"a"}), DTypeError, "got: set|Got: set"),
        (lambda: layers.TextVectorization(split="words"), ArgumentError, "split"),
        (lambda: layers.TextVectorization(ngrams=0), ArgumentError, "ngrams"),
        (lambda: layers.TextVectorization(output_mode="count", output_sequence_length=3), ArgumentError, "output_mode"),
        (lambda: layers.TextVectorization(sparse=True), NotThereYetError, "sparse"),
        (lambda: layers.TextVectorization(vocabulary=["a"]).adapt(["b"]), ArgumentError, "given its vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a", "a"]), ArgumentError, "repeated terms: .'a'."),
        (lambda: layers.StringLookup(vocabulary=[]), ArgumentError, "empty vocabulary"),
        (lambda: layers.StringLookup(vocabulary=["a", "m"], mask_token="m"), ArgumentError, "reserved token"),
        (lambda: layers.StringLookup(max_tokens=2, vocabulary=["a", "b"]), ArgumentError, "at most max_tokens=2"),
        (lambda: layers.StringLookup(vocabulary="nowhere.txt"), ArgumentError, "no file nowhere.txt"),
        (lambda: layers.StringLookup(max_tokens=1), ArgumentError, "max_tokens above 1"),
        (lambda: layers.StringLookup(invert=True, output_mode="count"), ArgumentError, "invert"),
        (lambda: layers.StringLookup(num_oov_indices=0, vocabulary=["a"])(["b"]), DataError, "'b', and 0 more"),
        (lambda: layers.StringLookup(vocabulary=["a"], output_mode="tf_idf"), ArgumentError, "idf_weights"),
        (lambda: layers.IntegerLookup(salt=1), ArgumentError, "salt"),
        (lambda: layers.IntegerLookup(vocabulary=[1])([1.5]), DataError, "whole numbers"),
        (lambda: layers.Hashing(0), ArgumentError, "num_bins"),
        (lambda: layers.HashedCrossing(3)([["a"]]), ArgumentError, "at least two"),
        (lambda: layers.HashedCrossing(3)([["a"], ["b", "c"]]), ShapeError, "one shape"),
        (lambda: layers.Discretization(), ArgumentError, "neither"),
        (lambda: layers.Discretization(num_bins=3)(np.array([1.0])), NotBuiltError, "boundaries"),
        (lambda: layers.CategoryEncoding(), ArgumentError, "num_tokens"),
        (lambda: layers.CategoryEncoding(2)(np.array([[0, 2]])), DataError, "ids from 0 to 1"),
        (lambda: layers.CategoryEncoding(2)(np.array([[0]]), count_weights=np.ones((1, 1))), ArgumentError, "count"),
    ],
)
def test_refusals(make: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        make()
