"""TextVectorization: texts to rows of ids, or to counts of terms."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from padless.errors import ArgumentError, DataError, ShapeError, explain
from padless.layers.arguments import word
from padless.layers.host import HostLayer, OnHost, batches
from padless.layers.lookup import StringLookup
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.text.processes import in_processes
from padless.text.splitting import WHITESPACE, flat, rules, split, standardized, utf8, with_ngrams
from padless.text.terms import Counts, Cut, Terms, terms_of

_STANDARDS = ("lower_and_strip_punctuation", "lower", "strip_punctuation")


class TextVectorization(HostLayer):
    """Turn texts into rows of ids of their terms: no padding, and none to be masked later.

    Terms, their numbers and their order are Keras's (0 is padding, 1 unknown, then by frequency). The result is rows,
    where Keras pads, and no TensorFlow is needed. Whole texts may be given: to this layer, and to `fit` and `predict`
    of a model that begins with it.

    Args:
        max_tokens: most terms, padding and unknown among them; None for no bound.
        standardize: "lower_and_strip_punctuation" (A to Z and ASCII alone), "lower", "strip_punctuation", None, or a
            function that is given an array of texts and gives one.
        split: "whitespace", "character", None for whole texts; a function that is given a list of texts and gives a
            list of terms for each; or an object with `encode_batch`, such as one of the package tokenizers.
        ngrams: runs of neighbouring terms as further terms: up to so many, or of the sizes in a tuple.
        output_mode: "int"; or "multi_hot", "count", "tf_idf" for one vector for each text.
        output_sequence_length: rows are cut to so many ids.
        pad_to_max_tokens: whether vectors are max_tokens wide.
        vocabulary: the terms in order, or the path of a file with one a line; None to learn them by `adapt`.
        idf_weights: inverse document frequencies of a given vocabulary, for "tf_idf".
        sparse: must be False.
        ragged: False for an array padded with 0 behind, of output_sequence_length, or as long as the longest row.
        encoding: of bytes.
        **kwargs: name.

    Shapes:
        Texts (B,) or (B, 1) to rows (B, None) int64; (B, T) with ragged=False; (B, size) float32 in the other modes.

    Raises:
        ArgumentError: for arguments that do not fit each other.
        NotBuiltError: when it is called without a vocabulary.
        ShapeError: for texts with another second axis than 1, where they are split.

    Example:
        >>> layer = TextVectorization()
        >>> layer.adapt(["The cat sat.", "The cat!", "the end"])
        >>> layer.get_vocabulary()
        ['', '[UNK]', 'the', 'cat', 'sat', 'end']
        >>> layer(["The cat, again", ""]).to_list()
        [[2, 3, 1], []]

    Source: Keras 3.15.
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        standardize: Any = "lower_and_strip_punctuation",
        split: Any = "whitespace",
        ngrams: Any = None,
        output_mode: str = "int",
        output_sequence_length: int | None = None,
        pad_to_max_tokens: bool = False,
        vocabulary: Any = None,
        idf_weights: Any = None,
        sparse: bool = False,
        ragged: bool = True,
        encoding: str = "utf-8",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.standardize = _known(self.place, "standardize", standardize, _STANDARDS)
        self.split = _known(self.place, "split", split, ("whitespace", "character"))
        self.ngrams = _sizes(self.place, ngrams)
        self.lookup = StringLookup(
            max_tokens, 1, "", "[UNK]", vocabulary, idf_weights, False, output_mode, pad_to_max_tokens, sparse
        )
        self.output_mode = self.lookup.output_mode
        if output_sequence_length is not None and (
            self.output_mode != "int" or isinstance(output_sequence_length, bool) or int(output_sequence_length) < 0
        ):
            raise ArgumentError(
                explain(
                    self.place,
                    expected='output_sequence_length as a whole number, beside output_mode="int"',
                    got=f"{output_sequence_length!r}, output_mode={self.output_mode!r}",
                    fix="leave it out",
                )
            )
        self.output_sequence_length = output_sequence_length
        self.ragged = ragged
        self.encoding = encoding
        in_one_pass = self.split == "whitespace" and ngrams is None and not callable(standardize)
        self._cut = Cut(*rules(standardize), WHITESPACE) if in_one_pass else None
        self._finder: tuple[Any, Terms] | None = None

    # ---- the vocabulary

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[str]:
        """The terms in the order of their numbers; see `StringLookup`."""
        return self.lookup.get_vocabulary(include_special_tokens)

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of padding and of unknown terms among them."""
        return self.lookup.vocabulary_size()

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary in the place of the one that there was; see `StringLookup`."""
        self.lookup.set_vocabulary(vocabulary, idf_weights)

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None, *, workers: int = 1) -> None:
        """Learn the vocabulary of texts.

        Args:
            data: texts: a list, an array, a column; or anything that yields lists or arrays of them, or texts.
            batch_size: accepted; texts that are at hand are read in blocks.
            steps: batches to read; None for all.
            workers: processes that split and count; it pays where a function of yours does that.
        """
        self.reset_state()
        if workers == 1:
            for batch in batches(data, steps, self.place):
                self.update_state(batch)
        else:
            self._refuse_a_given_vocabulary()
            count = partial(_terms_in, self._cut, self.standardize, self.split, self.ngrams)
            blocks = (block for batch in batches(data, steps, self.place) for block in _blocks(self._texts(batch)))
            for found in in_processes(count, blocks, workers, self.place):
                self.lookup.take_counts(found)
        self.finalize_state()

    def _refuse_a_given_vocabulary(self) -> None:
        if self.lookup._given:
            self.lookup.update_state([])

    def reset_state(self) -> None:
        """Forget what was counted."""
        self.lookup.reset_state()
        self._counted = None if self._cut is None else terms_of(self._cut)

    def update_state(self, data: Any) -> None:
        """Count the terms of some texts.

        Args:
            data: texts.
        """
        self._refuse_a_given_vocabulary()
        for batch in batches(data, None, self.place):
            texts = self._texts(batch)
            if self._counted is not None:
                self._counted.count(texts)
                continue
            for block in _blocks(texts):
                terms, counts = flat(self._terms(block))
                self.lookup.count(terms, [0, *np.cumsum(counts).tolist()])

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if self._counted is not None:
            self.lookup.take_counts(self._counted.found())
        self.lookup.finalize_state()
        self._counted = None if self._cut is None else terms_of(self._cut)

    # ---- the work

    def prepare(self, x: OnHost) -> OnHost:
        """Split texts and look their terms up.

        Args:
            x: texts (B,) or (B, 1).

        Returns:
            Rows (B, None) of int64; or what output_mode and ragged say.
        """
        texts = self._texts(x)
        ids = self._ids(texts)
        if self.output_sequence_length is not None:
            ids = ids[:, : self.output_sequence_length]
        if self.split is None and self.output_sequence_length is None and self.output_mode == "int":
            return ids.values.reshape(x.shape)  # type: ignore[no-any-return]
        made = self.lookup.written(ids)
        if self.ragged or not isinstance(made, Ragged):
            return made
        padded: OnHost = made.to_padded(length=self.output_sequence_length)
        return padded

    def _ids(self, texts: list[bytes]) -> Ragged:
        """(B, None) the number of each term."""
        if self._cut is not None and not self.tracing:
            numbers, lengths = self._found(self._cut).find(texts)
            ids = np.where(numbers < 0, 0, numbers + 1) + self.lookup.first_unknown
            return Ragged(ids.astype(np.int64), RowPartition.from_lengths(lengths))
        blocks, counts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
        for block in _blocks(texts):
            terms, lengths = flat(self._terms(block))
            blocks.append(self.lookup.numbers(terms))
            counts.append(lengths)
        return Ragged(np.concatenate(blocks), RowPartition.from_lengths(np.concatenate(counts)))

    def _found(self, cut: Cut) -> Terms:
        """The terms of the vocabulary, ready to be found in texts."""
        table = self.lookup.table
        if self._finder is None or self._finder[0] is not table:
            self._finder = table, terms_of(cut, list(table))
        return self._finder[1]

    def _terms(self, texts: list[bytes]) -> list[list[bytes]]:
        return _rows_of(self.standardize, self.split, self.ngrams, texts)

    def _texts(self, x: OnHost) -> list[bytes]:
        if isinstance(x, Ragged) or (x.ndim > 1 and (x.ndim > 2 or x.shape[1] != 1)):
            shape = tuple(x.shape)
            expected, fix = "texts (B,) or (B, 1)", "' '.join(terms) for each text; StringLookup for terms"
            raise ShapeError(explain(self.place, expected=expected, got=f"shape {shape}", fix=fix))
        flat_texts = x.reshape(-1).tolist()
        wrong = next((at for at, text in enumerate(flat_texts) if not isinstance(text, str | bytes)), None)
        if wrong is not None and not self.tracing:
            got = f"{flat_texts[wrong]!r} at row {wrong}"
            raise DataError(explain(self.place, expected="texts", got=got, fix="texts.fillna('') for missing ones"))
        return utf8(flat_texts, self.encoding)

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the vocabulary as it is now."""
        learned = self.lookup.get_config()
        return super().get_config() | {name: learned[name] for name in ("vocabulary", "idf_weights", "output_mode")}


_BLOCK = 4096
"""Texts that are split at a time: the memory of their terms, some twenty times that of the texts, stays bounded."""


def _blocks(texts: list[bytes]) -> Iterator[list[bytes]]:
    return (texts[at : at + _BLOCK] for at in range(0, len(texts), _BLOCK))


def _rows_of(standardize: Any, how: Any, ngrams: tuple[int, ...] | None, texts: list[bytes]) -> list[list[bytes]]:
    rows = split(standardized(texts, standardize), how)
    return rows if ngrams is None else [with_ngrams(row, ngrams) for row in rows]


def _terms_in(
    cut: Cut | None, standardize: Any, how: Any, ngrams: tuple[int, ...] | None, texts: list[bytes]
) -> Counts:
    """The terms of some texts, counted in whatever process."""
    if cut is None:
        return Terms.of_rows(_rows_of(standardize, how, ngrams, texts)).found()
    seen = terms_of(cut)
    seen.count(texts)
    return seen.found()


def _known(place: str, name: str, value: Any, words: tuple[str, ...]) -> Any:
    return word(place, name, value, words) if isinstance(value, str) else value


def _sizes(place: str, ngrams: Any) -> tuple[int, ...] | None:
    if ngrams is None:
        return None
    sizes = tuple(range(1, ngrams + 1)) if isinstance(ngrams, int) else tuple(ngrams)
    if not sizes or not all(isinstance(n, int) and n > 0 for n in sizes):
        expected, fix = "a whole number or a tuple of them, from 1 on", "ngrams=2"
        raise ArgumentError(explain(f"{place}: ngrams", expected=expected, got=repr(ngrams), fix=fix))
    return sizes
