"""Terms of texts: native code and Python's own functions agree on all texts."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import native
from padless.text import Tokenizer
from padless.text.splitting import LOWER, PUNCTUATION, WHITESPACE
from padless.text.terms import Cut, NativeTerms, Terms

CUTS = [Cut(LOWER, PUNCTUATION, WHITESPACE), Cut(None, b"", b" \t\n,"), Cut(None, b"x", b" x")]
TEXTS = st.lists(st.binary(max_size=40) | st.text(alphabet="aAbB ,x\té\0", max_size=30).map(str.encode), max_size=20)

pytestmark = pytest.mark.skipif(not native.available(), reason="compares with the native library")


@given(first=TEXTS, second=TEXTS, cut=st.sampled_from(CUTS))
def test_native_code_counts_as_python_does(first: list[bytes], second: list[bytes], cut: Cut) -> None:
    plain, fast = Terms(cut), NativeTerms(cut)
    for texts in (first, second):
        plain.count(texts)
        fast.count(texts)
    assert fast.terms == plain.terms
    assert len(fast) == len(plain)
    assert fast.texts_read == plain.texts_read == len(first) + len(second)
    np.testing.assert_array_equal(fast.counts, plain.counts)
    np.testing.assert_array_equal(fast.documents, plain.documents)
    known = plain.terms[::2]
    for ours, theirs in zip(NativeTerms(cut, known).find(second), Terms(cut, known).find(second), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_known_terms_count_in_the_first_text() -> None:
    cut = Cut(None, b"", b" ")
    for terms in (Terms(cut, [b"a", b"b"]), NativeTerms(cut, [b"a", b"b"])):
        terms.count([b"a b a", b"c a"])
        assert terms.counts.tolist() == [3, 1, 1]
        assert terms.documents.tolist() == [2, 1, 1]


def test_the_table_grows() -> None:
    texts = [" ".join(f"word{at * 7 + k}" for k in range(50)).encode() for at in range(3000)]
    cut = CUTS[0]
    plain, fast = Terms(cut), NativeTerms(cut)
    plain.count(texts)
    fast.count(texts)
    assert fast.terms == plain.terms
    np.testing.assert_array_equal(fast.counts, plain.counts)
    for ours, theirs in zip(fast.find(texts), plain.find(texts), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(
    texts=st.lists(st.text(max_size=30) | st.sampled_from(["the cat", "The, CAT\ud800", "", " \0 "]), max_size=12),
    arguments=st.fixed_dictionaries(
        {},
        optional={
            "num_words": st.integers(1, 5),
            "oov_token": st.sampled_from(["?", "the"]),
            "lower": st.booleans(),
            "split": st.sampled_from([" ", ",", "t"]),
            "filters": st.sampled_from(["", "a,", "é"]),
        },
    ),
)
def test_the_tokenizer_says_the_same_without_native_code(texts: list[str], arguments: dict[str, Any]) -> None:
    def said(fast: bool) -> Any:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(native, "available", lambda: fast)
            tokenizer = Tokenizer(**arguments)
            for part in (texts[:5], texts[5:]):
                tokenizer.fit_on_texts(part)
            ids = tokenizer.texts_to_sequences([*texts, "the unknown cat " * (10_000 if fast else 1)])
        learned = (tokenizer.word_counts, dict(tokenizer.word_docs), tokenizer.word_index, dict(tokenizer.index_docs))
        return learned, tokenizer.document_count, ids[:-1]

    assert said(True) == said(False)
