"""Texts to terms, as Keras's TextVectorization splits them: flat terms and how many each text has.

Terms are UTF-8 bytes here, as in TensorFlow's string functions, on which Keras stands: lower case touches A to Z alone,
and white space is what C calls so. Bytes also are what Python translates and splits fastest.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray

PUNCTUATION = b"!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~'"
LOWER = bytes(range(65)) + bytes(range(97, 123)) + bytes(range(91, 256))

WHITESPACE = b" \t\n\r\v\f"

Standardize = str | Callable[[Any], Any] | None
Split = str | Callable[[Any], Any] | None


def utf8(texts: Iterable[Any], encoding: str = "utf-8") -> list[bytes]:
    """Texts as UTF-8.

    Args:
        texts: str, or bytes in `encoding`.
        encoding: of bytes.

    Returns:
        Bytes.
    """
    if encoding.lower().replace("-", "") == "utf8":
        return [text if isinstance(text, bytes) else str(text).encode() for text in texts]
    return [(text.decode(encoding) if isinstance(text, bytes) else str(text)).encode() for text in texts]


def rules(how: str | None) -> tuple[bytes | None, bytes]:
    """What a standard does to bytes.

    Args:
        how: "lower_and_strip_punctuation", "lower", "strip_punctuation" or None.

    Returns:
        (256,) what each byte becomes, None for itself; and the bytes that are left out.
    """
    words = how or ""
    return LOWER if words.startswith("lower") else None, PUNCTUATION if words.endswith("strip_punctuation") else b""


def standardized(texts: Sequence[bytes], how: Standardize) -> list[bytes]:
    """Make what is to count as the same term the same.

    Args:
        texts: UTF-8.
        how: "lower_and_strip_punctuation", "lower", "strip_punctuation", None, or a function of an array of str.

    Returns:
        UTF-8.
    """
    if callable(how):
        made = how(np.array([text.decode() for text in texts], dtype=np.str_))
        return utf8(np.asarray(made).reshape(-1).tolist())
    if how is None:
        return list(texts)
    table, deleted = rules(how)
    return [text.translate(table, deleted) for text in texts]


def split(texts: Sequence[bytes], how: Split) -> list[list[bytes]]:
    """Cut each text into terms.

    Args:
        texts: UTF-8.
        how: "whitespace", "character", None for whole texts, or a function of a list of str that gives a list of terms
            for each; or an object with `encode_batch`, such as those of the package tokenizers.

    Returns:
        The terms of each text.
    """
    if how == "whitespace":
        return [text.split() for text in texts]
    if how == "character":
        return [[character.encode() for character in text.decode()] for text in texts]
    if how is None:
        return [[text] for text in texts]
    strings = [text.decode() for text in texts]
    if hasattr(how, "encode_batch"):
        return [utf8(made.tokens) for made in how.encode_batch(strings)]
    assert callable(how)
    return [utf8(terms) for terms in how(strings)]


def with_ngrams(terms: Sequence[bytes], sizes: Sequence[int]) -> list[bytes]:
    """Runs of neighbouring terms, joined by a space: all of the first size, then all of the next.

    Args:
        terms: of one text.
        sizes: how many terms a run has.

    Returns:
        The runs.
    """
    return [b" ".join(terms[at : at + n]) for n in sizes for at in range(len(terms) - n + 1)]


def flat(rows: Sequence[Sequence[bytes]]) -> tuple[list[bytes], NDArray[np.int64]]:
    """All terms end to end, and how many each row has.

    Args:
        rows: the terms of each text.

    Returns:
        N terms and (B,) counts.
    """
    return list(chain.from_iterable(rows)), np.fromiter(map(len, rows), np.int64, len(rows))
