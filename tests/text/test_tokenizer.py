"""Tokenizer and the functions beside it: what they give, and the text of every error."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import padless.preprocessing.text
from padless.errors import ArgumentError, DataError, DTypeError, PadlessError
from padless.text import Tokenizer, hashing_trick, one_hot, text_to_word_sequence, tokenizer_from_json

TEXTS = ["The cat sat on the mat.", "The dog sat, too!", ["Already", "cut", "the"]]


@pytest.fixture
def fitted() -> Tokenizer:
    tokenizer = Tokenizer(oov_token="?")
    tokenizer.fit_on_texts(TEXTS)
    return tokenizer


def test_ids_follow_the_counts_and_ties_the_first_appearance(fitted: Tokenizer) -> None:
    assert list(fitted.word_index) == ["?", "the", "sat", "cat", "on", "mat", "dog", "too", "already", "cut"]
    assert fitted.word_index["the"] == 2
    assert fitted.index_word[1] == "?"
    assert fitted.word_counts["the"] == 4
    assert fitted.word_docs["the"] == 3
    assert fitted.index_docs[2] == 3
    assert fitted.document_count == 3


def test_sequences_and_back(fitted: Tokenizer) -> None:
    rows = fitted.texts_to_sequences(["the bird sat", ["Cat"], ""])
    assert rows == [[2, 1, 3], [4], []]
    assert fitted.sequences_to_texts(rows) == ["the ? sat", "cat", ""]
    fitted.num_words = 3
    assert fitted.texts_to_sequences(["the cat sat"]) == [[2, 1, 1]]
    assert fitted.sequences_to_texts([[2, 4, 99]]) == ["the ? ?"]


def test_without_oov_token_unknown_words_are_left_out() -> None:
    tokenizer = Tokenizer(num_words=2)
    tokenizer.fit_on_texts(["a a b"])
    assert tokenizer.texts_to_sequences(["a b c", "c"]) == [[1], []]
    assert tokenizer.sequences_to_texts([[1, 2, 9]]) == ["a"]
    assert Tokenizer().texts_to_sequences(["a"]) == [[]]


def test_rows_may_be_arrays_and_tensors(fitted: Tokenizer) -> None:
    forms: list[Callable[[Any], Any]] = [list, tuple, np.array, lambda row: [np.int64(i) for i in row]]
    try:
        import torch

        forms += [torch.tensor, lambda row: [torch.tensor(i) for i in row]]
    except ImportError:
        pass
    wanted = fitted.sequences_to_matrix([[2, 2, 3], [1]], mode="count")
    for form in forms:
        rows = [form([2, 2, 3]), form([1])]
        assert fitted.sequences_to_texts(rows) == ["the the sat", "?"]
        np.testing.assert_array_equal(fitted.sequences_to_matrix(rows, mode="count"), wanted)
        counter = Tokenizer(num_words=5)
        counter.fit_on_sequences(rows)
        assert dict(counter.index_docs) == {2: 1, 3: 1, 1: 1}
    np.testing.assert_array_equal(fitted.sequences_to_matrix(np.array([[2, 2, 3]]), mode="count"), wanted[:1])


def test_matrix_modes() -> None:
    tokenizer = Tokenizer(num_words=4)
    tokenizer.fit_on_sequences([[1], [1, 2]])
    rows = [[1, 1, 2, 9, 2**80], []]
    assert tokenizer.sequences_to_matrix(rows).tolist() == [[0, 1, 1, 0], [0] * 4]
    assert tokenizer.sequences_to_matrix(rows, mode="count").tolist() == [[0, 2, 1, 0], [0] * 4]
    assert tokenizer.sequences_to_matrix(rows, mode="freq").tolist() == [[0, 0.4, 0.2, 0], [0] * 4]
    tfidf = [[0, (1 + np.log(2)) * np.log(1 + 2 / 3), np.log(2), 0], [0] * 4]
    np.testing.assert_allclose(tokenizer.sequences_to_matrix(rows, mode="tfidf"), tfidf, rtol=1e-15)
    assert tokenizer.sequences_to_matrix([]).shape == (0, 4)


def test_a_tokenizer_from_json_can_be_fitted_further(fitted: Tokenizer) -> None:
    again = tokenizer_from_json(fitted.to_json(indent=1))
    for tokenizer in (fitted, again):
        tokenizer.fit_on_texts(["a new text"])
        tokenizer.fit_on_sequences([[2], [77]])
    assert again.get_config() == fitted.get_config()
    assert json.loads(again.to_json())["class_name"] == "Tokenizer"


def test_characters_analyzers_and_old_names() -> None:
    tokenizer = Tokenizer(char_level=True)
    tokenizer.fit_on_texts(["Aab", ["X", "y"]])
    assert tokenizer.word_index == {"a": 1, "b": 2, "x": 3, "y": 4}
    tokenizer = Tokenizer(analyzer=lambda text: text.split("-"))
    tokenizer.fit_on_texts(["a-b-a"])
    assert tokenizer.texts_to_sequences(["b-a"]) == [[2, 1]]
    with pytest.warns(UserWarning, match="num_words"):
        assert Tokenizer(nb_words=7).num_words == 7


def test_words() -> None:
    assert text_to_word_sequence("Don't a_b; C") == ["don't", "a", "b", "c"]
    assert text_to_word_sequence("A,b c", split=",", lower=False) == ["A", "b c"]
    assert text_to_word_sequence("a\rb\xa0c\N{EM DASH}d") == ["a\rb\xa0c\N{EM DASH}d"]
    assert text_to_word_sequence("a. b\tc", split=None) == ["a", "bc"]
    assert text_to_word_sequence("a,b", filters=[]) == ["a,b"]


def test_hashes() -> None:
    ids = hashing_trick("the cat the", 50, "md5")
    assert ids[0] == ids[2]
    assert hashing_trick("a b", 2) == [1, 1]
    assert hashing_trick("a bb", 9, len) == [2, 3]
    assert one_hot("a b", 50) == [hash("a") % 49 + 1, hash("b") % 49 + 1]
    assert one_hot("a-b", 50, analyzer=lambda text: text.split("-")) == one_hot("a b", 50)


def unfitted(**arguments: Any) -> Tokenizer:
    return Tokenizer(**arguments)


def on(text: str, **arguments: Any) -> Tokenizer:
    tokenizer = Tokenizer(**arguments)
    tokenizer.fit_on_texts([text])
    return tokenizer


ERRORS: list[tuple[Callable[[], Any], type[PadlessError], str]] = [
    (lambda: text_to_word_sequence(None), DTypeError, "NoneType None"),  # type: ignore[arg-type]
    (lambda: text_to_word_sequence(b"a"), DTypeError, r'decode\("utf-8"\)'),  # type: ignore[arg-type]
    (lambda: text_to_word_sequence("a", split=""), ArgumentError, "empty separator"),
    (lambda: text_to_word_sequence("a", split=5), DTypeError, "int 5"),  # type: ignore[arg-type]
    (lambda: text_to_word_sequence("a", filters=["ab"]), ArgumentError, "filters"),
    (lambda: text_to_word_sequence("a", filters=None), DTypeError, 'filters=""'),  # type: ignore[arg-type]
    (lambda: hashing_trick("a", 1), ArgumentError, "2 or more"),
    (lambda: hashing_trick("a", 9.0), DTypeError, "float 9.0"),  # type: ignore[arg-type]
    (lambda: hashing_trick("a", 9, "sha"), ArgumentError, "md5"),  # type: ignore[arg-type]
    (lambda: hashing_trick("a", 9, 3), DTypeError, "md5"),  # type: ignore[arg-type]
    (lambda: one_hot("a", 0), ArgumentError, "2 or more"),
    (lambda: Tokenizer(num_wrods=3), DTypeError, "did you mean 'num_words'"),
    (lambda: Tokenizer(num_words="3"), DTypeError, "str '3'"),  # type: ignore[arg-type]
    (lambda: on(None), DTypeError, "missing text"),  # type: ignore[arg-type]
    (lambda: on(("a", "b")), DTypeError, r"list\(text\)"),  # type: ignore[arg-type]
    (lambda: on([1, 2]), DTypeError, "list of strings"),  # type: ignore[arg-type]
    (lambda: on(None, char_level=True), DTypeError, "NoneType"),  # type: ignore[arg-type]
    (lambda: on(None, char_level=True, lower=False), DTypeError, "NoneType"),  # type: ignore[arg-type]
    (lambda: unfitted().fit_on_texts(None), DTypeError, "a list"),  # type: ignore[arg-type]
    (lambda: unfitted().fit_on_sequences(iter([[1]])), DTypeError, r"list\(sequences\)"),  # type: ignore[arg-type]
    (lambda: unfitted().fit_on_sequences([1]), DTypeError, "list of lists"),  # type: ignore[list-item]
    (lambda: unfitted().fit_on_sequences([[[1]]]), DTypeError, "list of lists"),  # type: ignore[list-item]
    (lambda: unfitted(oov_token="?").texts_to_sequences(["a"]), DataError, "fit_on_texts first"),
    (lambda: unfitted(oov_token="?").sequences_to_texts([[1]]), DataError, "fit_on_texts first"),
    (lambda: on([(1,)], lower=False).sequences_to_texts([[1]]), DTypeError, "strings"),  # type: ignore[arg-type]
    (lambda: on([(1,)], lower=False).to_json(), DTypeError, "analyzer"),  # type: ignore[arg-type]
    (lambda: unfitted().sequences_to_matrix([[1]]), ArgumentError, "specify a dimension"),
    (lambda: unfitted(num_words=3).sequences_to_matrix([[1]], mode="tfidf"), ArgumentError, "fit the Tokenizer"),
    (lambda: on("a").sequences_to_matrix([[]], mode="tf"), ArgumentError, "unknown vectorization mode 'tf'"),  # type: ignore[arg-type]
    (lambda: on("a").sequences_to_matrix([[-1]]), DataError, "pad_sequences"),
    (lambda: on("a").sequences_to_matrix([[1.0]]), DTypeError, "float 1.0"),  # type: ignore[list-item]
    (lambda: on("a").sequences_to_matrix([[None]]), DTypeError, "NoneType"),  # type: ignore[list-item]
    (lambda: unfitted(num_words=-3).sequences_to_matrix([[1]]), ArgumentError, "above 0"),
    (lambda: unfitted(num_words=1e3).sequences_to_matrix([[1]]), DTypeError, "float 1000.0"),
    (lambda: tokenizer_from_json("{}"), DataError, r"to_json\(\)"),
    (lambda: tokenizer_from_json("no json"), DataError, r"to_json\(\)"),
    (lambda: tokenizer_from_json(None), DTypeError, r"to_json\(\)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "kind", "text"), ERRORS, ids=lambda value: value if isinstance(value, str) else "")
def test_errors(call: Callable[[], Any], kind: type[PadlessError], text: str) -> None:
    with pytest.raises(kind, match=text) as caught:
        call()
    assert "Got: " in str(caught.value)
    assert "Fix: " in str(caught.value)


def test_keras_import_path() -> None:
    assert padless.preprocessing.text.Tokenizer is Tokenizer
    assert padless.preprocessing.text.tokenizer_from_json is tokenizer_from_json
