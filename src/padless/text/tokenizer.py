"""The Tokenizer of Keras 1 and 2, which Keras 3 no longer offers in public, and the functions beside it."""

from __future__ import annotations

import copy
import functools
import hashlib
import itertools
import json
import numbers
import operator
import warnings
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from padless import native
from padless.errors import ArgumentError, DataError, DTypeError, explain, nearest
from padless.text.padding import shown
from padless.text.processes import in_processes
from padless.text.terms import Cut, terms_of

Analyzer = Callable[[Any], Iterable[Any]]
MatrixMode = Literal["binary", "count", "freq", "tfidf"]

# Keras's default: ASCII punctuation without the apostrophe, and the tabulator and newline.
FILTERS = '!"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n'
_MODES = ("binary", "count", "freq", "tfidf")
_LONE = "surrogatepass"
"""Halves of characters, which Python's strings may hold, survive."""


def text_to_word_sequence(
    input_text: str, filters: Iterable[str] = FILTERS, lower: bool = True, split: str | None = " "
) -> list[str]:
    """Cut a text into words.

    Args:
        input_text: the text.
        filters: characters that separate words, beside `split`.
        lower: whether to turn the text to lower case first.
        split: what separates words; None stands for any white space (the characters in `filters` are then deleted).

    Returns:
        The words, without empty ones.

    Raises:
        DTypeError: for a text that is no string. A TypeError.
        ArgumentError: for an empty `split`, and for entries of `filters` longer than one character. A ValueError.

    Example:
        >>> text_to_word_sequence("The cat, the hat!")
        ['the', 'cat', 'the', 'hat']

    Source: `keras.preprocessing.text.text_to_word_sequence` of Keras 2.
    """
    where = "text_to_word_sequence"
    if not isinstance(input_text, str):
        raise _no_text(where, input_text)
    if split is not None and not isinstance(split, str):
        raise DTypeError(explain(f"{where}(split=...)", expected="a string", got=shown(split), fix='write split=" "'))
    if split == "":
        raise ArgumentError(
            explain(
                f"{where}(split=...)",
                expected="at least one character",
                got="an empty separator",
                fix='write split=" ", or Tokenizer(char_level=True) for single characters',
            )
        )
    table = _table(filters, split) if isinstance(filters, str) else _make_table(filters, split)
    text = input_text.lower() if lower else input_text
    return [word for word in text.translate(table).split(split) if word]


def one_hot(
    input_text: str,
    n: int,
    filters: Iterable[str] = FILTERS,
    lower: bool = True,
    split: str | None = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Turn a text into ids by Python's `hash`, which differs from process to process for strings.

    Two words may get the same id, and despite the name nothing is one-hot: this is `hashing_trick` with `hash`.

    Args:
        input_text: the text.
        n: the ids are in 1 ... n-1.
        filters: see `text_to_word_sequence`.
        lower: see `text_to_word_sequence`.
        split: see `text_to_word_sequence`.
        analyzer: a function from a text to words, instead of `text_to_word_sequence`.

    Returns:
        One id per word.

    Raises:
        ArgumentError: for n below 2. A ValueError.
        DTypeError: for a text that is no string, or an n that is no integer. A TypeError.

    Example:
        >>> ids = one_hot("the cat the", 50)
        >>> len(ids), ids[0] == ids[2]
        (3, True)

    Source: `keras.preprocessing.text.one_hot` of Keras 2.
    """
    return hashing_trick(input_text, n, hash, filters=filters, lower=lower, split=split, analyzer=analyzer)


def hashing_trick(
    text: str,
    n: int,
    hash_function: Callable[[Any], int] | Literal["md5"] | None = None,
    filters: Iterable[str] = FILTERS,
    lower: bool = True,
    split: str | None = " ",
    analyzer: Analyzer | None = None,
) -> list[int]:
    """Turn a text into ids without a vocabulary: the hash of each word, brought into 1 ... n-1.

    Args:
        text: the text.
        n: the ids are in 1 ... n-1; 0 stays free for padding. Different words may share an id.
        hash_function: from a word to an integer; "md5" is the same in every process, None is Python's `hash`, which
            is not.
        filters: see `text_to_word_sequence`.
        lower: see `text_to_word_sequence`.
        split: see `text_to_word_sequence`.
        analyzer: a function from a text to words, instead of `text_to_word_sequence`.

    Returns:
        One id per word.

    Raises:
        ArgumentError: for n below 2, where no id is left, and for the name of an unknown hash. A ValueError.
        DTypeError: for a text that is no string, an n that is no integer, or a `hash_function` that cannot be called.
            A TypeError.

    Example:
        >>> hashing_trick("the cat the", 50, "md5")
        [43, 32, 43]

    Source: `keras.preprocessing.text.hashing_trick` of Keras 2; Weinberger et al. 2009, "Feature hashing for large
    scale multitask learning".
    """
    slots = _hash_slots(n)
    hashed = _hash_function(hash_function)
    words = analyzer(text) if analyzer is not None else text_to_word_sequence(text, filters, lower, split)
    return [hashed(word) % slots + 1 for word in words]


class Tokenizer:
    """Turn texts into rows of ids by a vocabulary that is learned from texts, as Keras's Tokenizer did.

    The most frequent word gets the id 1, ties are in the order of first appearance, and 0 is never used, so that it
    can be padding. A text is a string, or a list of words (which are turned to lower case and nothing else). A bare
    string in place of the list of texts counts as a list of its characters, as in Keras.

    Differences from Keras, all of them errors instead of silence: `oov_token` without a vocabulary, where Keras
    writes None among the ids, and negative ids in `sequences_to_matrix`, which Keras counts from the last column.
    Rows of ids may also be arrays and tensors, and a tokenizer from JSON can be fitted further.

    Args:
        num_words: keep ids below this number only, that is the num_words - 1 most frequent words (the word for
            unknown ones is one of them); None or 0 keeps all. `word_index` always holds all of them.
        filters: characters that separate words, beside `split`.
        lower: whether to turn texts to lower case.
        split: what separates words.
        char_level: whether every character is a word; `filters` and `split` are then not used.
        oov_token: the word that stands for unknown ones, with the id 1; with None they are left out.
        analyzer: a function from a text to words, used instead of `filters`, `lower` and `split`. It is not part of
            the configuration or of JSON.
        **kwargs: `document_count`, to start from; `nb_words`, an old name of `num_words`.

    Attributes:
        word_counts: how often each word came, in the order of first appearance.
        word_docs: in how many texts each word came.
        word_index: from words to ids.
        index_word: from ids to words.
        index_docs: in how many texts each id came.
        document_count: the number of texts.

    Raises:
        DTypeError: for unknown arguments, and for a `num_words` that is no number. A TypeError.

    Example:
        >>> tokenizer = Tokenizer(num_words=4, oov_token="?")
        >>> tokenizer.fit_on_texts(["the cat sat", "the dog sat too"])
        >>> tokenizer.word_index
        {'?': 1, 'the': 2, 'sat': 3, 'cat': 4, 'dog': 5, 'too': 6}
        >>> tokenizer.texts_to_sequences(["the bird sat"])
        [[2, 1, 3]]

    Source: `keras.preprocessing.text.Tokenizer` of Keras 2.
    """

    def __init__(
        self,
        num_words: int | None = None,
        filters: Iterable[str] = FILTERS,
        lower: bool = True,
        split: str | None = " ",
        char_level: bool = False,
        oov_token: Any = None,
        analyzer: Analyzer | None = None,
        **kwargs: Any,
    ) -> None:
        if "nb_words" in kwargs:
            warnings.warn("Tokenizer(nb_words=...) is now called num_words", stacklevel=2)
            num_words = kwargs.pop("nb_words")
        document_count = kwargs.pop("document_count", 0)
        if kwargs:
            raise DTypeError(_unknown_arguments(kwargs))
        _check_num_words(num_words)
        self.word_counts: dict[Any, int] = OrderedDict()
        self.word_docs: dict[Any, int] = defaultdict(int)
        self.filters = filters
        self.split = split
        self.lower = lower
        self.num_words = num_words
        self.document_count: int = document_count
        self.char_level = char_level
        self.oov_token = oov_token
        self.index_docs: dict[int, int] = defaultdict(int)
        self.word_index: dict[Any, int] = {}
        self.index_word: dict[int, Any] = {}
        self.analyzer = analyzer

    def fit_on_texts(self, texts: Iterable[Any], *, workers: int = 1) -> None:
        """Learn the vocabulary from texts; a further call adds to the counts and numbers all words anew.

        Args:
            texts: strings, or lists of words; a stream of any length, of which some thousand are held at a time.
            workers: processes that split and count; it pays where an analyzer of yours does that.

        Raises:
            DTypeError: for a text that is neither. A TypeError.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["a b b", ["B", "c"]])
            >>> tokenizer.word_index, tokenizer.document_count
            ({'b': 1, 'a': 2, 'c': 3}, 2)
        """
        where = "Tokenizer.fit_on_texts"
        counts, docs = self.word_counts, self.word_docs
        empty = copy.copy(self)  # what other processes are given
        empty.word_counts, empty.word_docs, empty.word_index, empty.index_word, empty.index_docs = {}, {}, {}, {}, {}
        for read, found in in_processes(empty._counted, _blocks(_texts(where, texts)), workers, where):
            self.document_count += read
            for word, count, texts_with_it in found:
                counts[word] = counts.get(word, 0) + count
                docs[word] = docs.get(word, 0) + texts_with_it
        ranked = sorted(counts, key=counts.__getitem__, reverse=True)
        if self.oov_token is not None:
            ranked.insert(0, self.oov_token)
        self.word_index = {word: i for i, word in enumerate(ranked, 1)}
        self.index_word = {i: word for word, i in self.word_index.items()}
        for word, count in docs.items():
            self.index_docs[self.word_index[word]] = count

    def _counted(self, block: list[Any]) -> tuple[int, list[tuple[Any, int, int]]]:
        """How many texts these are, and their words: how often each comes, and in how many of them."""
        cut = self._cut()
        if cut is None or not all(isinstance(text, str) for text in block):
            words = (Counter(self._words("Tokenizer.fit_on_texts", text)) for text in block)
            return len(block), [(word, count, 1) for text in words for word, count in text.items()]
        seen = terms_of(cut)
        seen.count([self._lowered(text) for text in block])
        terms, times, documents, read = seen.found()
        numbers = zip(terms, times.tolist(), documents.tolist(), strict=True)
        return read, [(term.decode("utf-8", _LONE), count, texts) for term, count, texts in numbers]

    def fit_on_sequences(self, sequences: Sequence[Iterable[int]]) -> None:
        """Count in how many rows each id occurs, for "tfidf" without texts.

        Args:
            sequences: rows of ids.

        Raises:
            DTypeError: for rows that cannot be counted or read. A TypeError.

        Example:
            >>> tokenizer = Tokenizer(num_words=3)
            >>> tokenizer.fit_on_sequences([[1, 1], [1, 2]])
            >>> dict(tokenizer.index_docs)
            {1: 2, 2: 1}
        """
        rows = _rows("Tokenizer.fit_on_sequences", sequences)
        self.document_count += len(rows)
        for row in rows:
            for i in dict.fromkeys(row):
                self.index_docs[i] = self.index_docs.get(i, 0) + 1

    def texts_to_sequences(self, texts: Iterable[Any], *, workers: int = 1) -> list[list[int]]:
        """Turn texts into rows of ids.

        Args:
            texts: strings, or lists of words.
            workers: processes that split; it pays where an analyzer of yours does that.

        Returns:
            One row per text. Unknown words, and those beyond `num_words`, are left out, so that a row may be empty;
            with `oov_token` they become its id.

        Raises:
            DTypeError: for a text that is neither a string nor a list. A TypeError.
            DataError: if `oov_token` is needed and has no id, because no text was learned. A ValueError.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["the cat"])
            >>> tokenizer.texts_to_sequences(["cat the dog", "dog"])
            [[2, 1], []]
        """
        if workers != 1:
            where = "Tokenizer.texts_to_sequences"
            each = in_processes(self.texts_to_sequences, _blocks(_texts(where, texts)), workers, where)
            return list(itertools.chain.from_iterable(each))
        cut = self._cut()
        given = texts if isinstance(texts, list) else list(_texts("Tokenizer.texts_to_sequences", texts))
        # Making the table takes as long as Python takes for some thousand words.
        worth = cut is not None and all(isinstance(text, str) for text in given) and sum(map(len, given)) > 100_000
        find = self._finder(cut) if cut is not None and worth else None
        if find is None:
            return list(self.texts_to_sequences_generator(given))
        return [row for block in _blocks(given) for row in find(block)]

    def texts_to_sequences_generator(self, texts: Iterable[Any]) -> Iterator[list[int]]:
        """Turn texts into rows of ids, one at a time; see `texts_to_sequences`.

        Args:
            texts: strings, or lists of words.

        Yields:
            The row of each text.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["the cat"])
            >>> next(tokenizer.texts_to_sequences_generator(["cat"]))
            [2]
        """
        where = "Tokenizer.texts_to_sequences"
        index, limit = self.word_index, self.num_words
        oov = index.get(self.oov_token)
        unknown = oov if self.oov_token is not None else None
        for text in _texts(where, texts):
            words = self._words(where, text)
            if oov is None and self.oov_token is not None and any(word not in index for word in words):
                raise DataError(self._no_oov(where))
            ids = [index.get(word, unknown) for word in words]
            if limit:
                ids = [oov if i is not None and i >= limit else i for i in ids]
            yield [i for i in ids if i is not None]

    def sequences_to_texts(self, sequences: Iterable[Iterable[int]]) -> list[str]:
        """Turn rows of ids back into texts.

        Args:
            sequences: rows of ids.

        Returns:
            One text per row: the words with a space between them (single characters too, as in Keras). Unknown ids are
            left out, or become `oov_token`.

        Raises:
            DTypeError: for rows that are none, or words that are no strings. A TypeError.
            DataError: if `oov_token` is needed and has no id, because no text was learned. A ValueError.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["the cat"])
            >>> tokenizer.sequences_to_texts([[2, 1, 9]])
            ['cat the']
        """
        return list(self.sequences_to_texts_generator(sequences))

    def sequences_to_texts_generator(self, sequences: Iterable[Iterable[int]]) -> Iterator[str]:
        """Turn rows of ids back into texts, one at a time; see `sequences_to_texts`.

        Args:
            sequences: rows of ids.

        Yields:
            The text of each row.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["the cat"])
            >>> next(tokenizer.sequences_to_texts_generator([[2]]))
            'cat'
        """
        where = "Tokenizer.sequences_to_texts"
        index, limit = self.index_word, self.num_words
        oov = self.word_index.get(self.oov_token)
        for row in _texts(where, sequences):
            words = []
            for i in _row(where, row):
                word = index.get(i)
                if word is not None and not (limit and i >= limit):
                    words.append(word)
                elif word is None and self.oov_token is None:
                    continue
                elif oov is not None:
                    words.append(index[oov])
                elif word is None:
                    raise DataError(self._no_oov(where))
            try:
                yield " ".join(words)
            except TypeError as error:
                raise DTypeError(
                    explain(where, expected="a vocabulary of strings", got=shown(words), fix="use index_word directly")
                ) from error

    def texts_to_matrix(self, texts: Iterable[Any], mode: MatrixMode = "binary") -> NDArray[np.float64]:
        """Turn texts into one row of numbers each, a column per word; see `sequences_to_matrix`.

        Args:
            texts: strings, or lists of words.
            mode: "binary", "count", "freq" or "tfidf".

        Returns:
            An array of shape (texts, words).

        Raises:
            ArgumentError: see `sequences_to_matrix`. A ValueError.
            DTypeError: for a text that is neither a string nor a list. A TypeError.

        Example:
            >>> tokenizer = Tokenizer()
            >>> tokenizer.fit_on_texts(["the cat the"])
            >>> tokenizer.texts_to_matrix(["the the cat"], mode="count")
            array([[0., 2., 1.]])
        """
        return self.sequences_to_matrix(self.texts_to_sequences(texts), mode=mode)

    def sequences_to_matrix(
        self, sequences: Sequence[Iterable[int]], mode: MatrixMode = "binary"
    ) -> NDArray[np.float64]:
        """Turn rows of ids into one row of numbers each, a column per id.

        Args:
            sequences: rows of ids. Ids that are too large for the result are not counted.
            mode: "binary" is 1 for ids that occur, "count" how often, "freq" the count over the length of the row,
                "tfidf" (1 + ln count) * ln(1 + documents / (1 + documents with the id)).

        Returns:
            An array of shape (rows, num_words), or (rows, len(word_index) + 1) without `num_words`.

        Raises:
            ArgumentError: for an unknown mode, for a width that is not known, and for "tfidf" without documents. A
                ValueError, as in Keras.
            DataError: for negative ids. A ValueError.
            DTypeError: for ids that are no integers. A TypeError.

        Example:
            >>> Tokenizer(num_words=4).sequences_to_matrix([[1, 1, 3], []], mode="freq").round(2)
            array([[0.  , 0.67, 0.  , 0.33],
                   [0.  , 0.  , 0.  , 0.  ]])
        """
        where = "Tokenizer.sequences_to_matrix"
        width = self._width(where, mode)
        rows = _rows(where, sequences)
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        _check_ids(where, rows)
        places = [place * width + i for place, row in enumerate(rows) for i in row if i < width]
        cells, counts = np.unique(np.array(places, np.int64), return_counts=True)
        out = np.zeros((len(rows), width))
        out.reshape(-1)[cells] = self._weights(mode, cells % width, counts, lengths[cells // width])
        return out

    def get_config(self) -> dict[str, Any]:
        """Return the arguments and the vocabulary; the dictionaries in it are JSON, as in Keras.

        Returns:
            A dictionary with the keys that Keras writes.

        Raises:
            DTypeError: for words that JSON cannot hold as keys, such as tuples. A TypeError.

        Example:
            >>> Tokenizer(num_words=9).get_config()["num_words"]
            9
        """
        learned = ("word_counts", "word_docs", "index_docs", "index_word", "word_index")
        try:
            vocabulary = {name: json.dumps(getattr(self, name)) for name in learned}
        except TypeError as error:
            raise DTypeError(
                explain(
                    "Tokenizer.get_config",
                    expected="words that JSON can hold as keys (strings)",
                    got=str(error),
                    fix="let the analyzer return strings",
                )
            ) from error
        return {
            "num_words": self.num_words,
            "filters": self.filters,
            "lower": self.lower,
            "split": self.split,
            "char_level": self.char_level,
            "oov_token": self.oov_token,
            "document_count": self.document_count,
            **vocabulary,
        }

    def _repr_html_(self) -> str:
        from padless.pictures.notebook import tokenizer_html

        return tokenizer_html(self)

    def to_json(self, **kwargs: Any) -> str:
        """Return the tokenizer as JSON, which Keras reads as well; the `analyzer` is not part of it.

        Args:
            **kwargs: for `json.dumps`.

        Returns:
            The JSON text.

        Raises:
            DTypeError: see `get_config`. A TypeError.

        Example:
            >>> tokenizer_from_json(Tokenizer(num_words=9).to_json()).num_words
            9
        """
        return json.dumps({"class_name": type(self).__name__, "config": self.get_config()}, **kwargs)

    def _cut(self) -> Cut | None:
        """How native code finds the words of whole texts; None where settings ask for more than separators."""
        filters, split = self.filters, self.split
        plain = isinstance(filters, str) and isinstance(split, str) and len(split) == 1 and (filters + split).isascii()
        if not plain or self.char_level or self.analyzer is not None or not native.available():
            return None
        return Cut(None, b"", f"{split}{filters}".encode())

    def _lowered(self, text: str) -> bytes:
        return (text.lower() if self.lower else text).encode("utf-8", _LONE)

    def _finder(self, cut: Cut) -> Callable[[list[str]], list[list[int]]] | None:
        """A function from texts to rows of ids in native code; None where the vocabulary is not what fitting makes."""
        index = self.word_index
        oov = index.get(self.oov_token) if self.oov_token is not None else -1
        if oov is None or not all(type(i) is int and isinstance(word, str) for word, i in index.items()):
            return None
        terms = terms_of(cut, [word.encode("utf-8", _LONE) for word in index])
        # An unknown word is found at -1, the last place. Ids below 0 are left out.
        ids = np.array([*index.values(), oov], np.int64)
        if self.num_words:
            ids[ids >= self.num_words] = oov

        def find(texts: list[str]) -> list[list[int]]:
            places, lengths = terms.find([self._lowered(text) for text in texts])
            found = ids[places]
            kept = found >= 0
            before = np.concatenate([[0], np.cumsum(kept)])
            splits = before[np.concatenate([[0], np.cumsum(lengths)])].tolist()
            listed = found[kept].tolist()
            return [listed[first:last] for first, last in itertools.pairwise(splits)]

        return find

    def _words(self, where: str, text: Any) -> list[Any]:
        """Cut one text into words by the tokenizer's settings."""
        if isinstance(text, list) or self.char_level:
            try:
                if not self.lower:
                    return list(text)
                return [word.lower() for word in text] if isinstance(text, list) else list(text.lower())
            except (AttributeError, TypeError) as error:
                raise _no_text(where, text) from error
        if self.analyzer is not None:
            return list(self.analyzer(text))
        if not isinstance(text, str):
            raise _no_text(where, text)
        return text_to_word_sequence(text, self.filters, self.lower, self.split)

    def _width(self, where: str, mode: str) -> int:
        if mode not in _MODES:
            hint = f" ({nearest(mode, _MODES)})" if isinstance(mode, str) else ""
            raise ArgumentError(
                explain(
                    f"{where}(mode=...)",
                    expected='"binary", "count", "freq" or "tfidf"',
                    got=f"unknown vectorization mode {mode!r}{hint}",
                    fix='write mode="binary"',
                )
            )
        if not self.num_words and not self.word_index:
            raise ArgumentError(
                explain(
                    where,
                    expected="a number of columns",
                    got="no num_words and no vocabulary",
                    fix="specify a dimension by Tokenizer(num_words=...), or call fit_on_texts first",
                )
            )
        if mode == "tfidf" and not self.document_count:
            raise ArgumentError(
                explain(
                    where,
                    expected="counts of documents, for tfidf",
                    got="a tokenizer that has seen none",
                    fix="fit the Tokenizer first, by fit_on_texts or fit_on_sequences",
                )
            )
        width: Any = self.num_words or len(self.word_index) + 1
        if not isinstance(width, numbers.Integral) or width < 0:
            raise (ArgumentError if isinstance(width, numbers.Integral) else DTypeError)(
                explain(where, expected="an integer num_words above 0", got=shown(width), fix="write num_words=20000")
            )
        return int(width)

    def _weights(
        self, mode: str, ids: NDArray[np.int64], counts: NDArray[np.int64], lengths: NDArray[np.int64]
    ) -> NDArray[Any]:
        if mode == "binary":
            return np.ones(len(ids))
        if mode == "count":
            return counts
        if mode == "freq":
            return counts / lengths
        used, place = np.unique(ids, return_inverse=True)
        documents = np.array([self.index_docs.get(i, 0) for i in used.tolist()])
        return (1 + np.log(counts)) * np.log(1 + self.document_count / (1 + documents))[place]

    def _no_oov(self, where: str) -> str:
        return explain(
            where,
            expected=f"an id for oov_token={self.oov_token!r}",
            got="none in word_index, and something unknown to replace",
            fix="call fit_on_texts first",
        )


def tokenizer_from_json(json_string: str) -> Tokenizer:
    """Read a tokenizer that `to_json` wrote, padless's or Keras's.

    Args:
        json_string: the JSON text.

    Returns:
        The tokenizer, without an `analyzer`: set that attribute again if there was one.

    Raises:
        DataError: for a text that is no such JSON. A ValueError.
        DTypeError: for something that is no string. A TypeError.

    Example:
        >>> tokenizer = Tokenizer()
        >>> tokenizer.fit_on_texts(["the cat"])
        >>> tokenizer_from_json(tokenizer.to_json()).word_index
        {'the': 1, 'cat': 2}

    Source: `keras.preprocessing.text.tokenizer_from_json` of Keras 2.
    """
    where = "tokenizer_from_json"
    if not isinstance(json_string, str | bytes | bytearray):
        raise DTypeError(
            explain(where, expected="a string", got=shown(json_string), fix="pass what Tokenizer.to_json() returned")
        )
    try:
        config = dict(json.loads(json_string)["config"])
        counts, docs, word_index = (json.loads(config.pop(k)) for k in ("word_counts", "word_docs", "word_index"))
        # JSON has no integer keys: they come back as strings.
        index_docs, index_word = (
            {int(k): v for k, v in json.loads(config.pop(name)).items()} for name in ("index_docs", "index_word")
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            explain(
                where,
                expected="the JSON of a Tokenizer",
                got=f"{shown(json_string)} ({type(error).__name__}: {error})",
                fix="pass what Tokenizer.to_json() returned, unchanged",
            )
        ) from error
    tokenizer = Tokenizer(**config)
    tokenizer.word_counts = OrderedDict(counts)
    tokenizer.word_docs = defaultdict(int, docs)
    tokenizer.index_docs = defaultdict(int, index_docs)
    tokenizer.word_index = word_index
    tokenizer.index_word = index_word
    return tokenizer


@functools.lru_cache(maxsize=32)
def _table(filters: str, split: str | None) -> dict[int, str | None]:
    return _make_table(filters, split)


def _make_table(filters: Iterable[str], split: str | None) -> dict[int, str | None]:
    where = "text_to_word_sequence(filters=...)"
    try:
        return str.maketrans({character: split for character in filters})
    except (TypeError, ValueError) as error:
        kind = ArgumentError if isinstance(error, ValueError) else DTypeError
        raise kind(
            explain(
                where,
                expected="a string, each of its characters a separator",
                got=shown(filters),
                fix='write filters="" for none',
            )
        ) from error


def _hash_slots(n: int) -> int:
    try:
        size = operator.index(n)
    except TypeError as error:
        raise DTypeError(
            explain("hashing_trick(n=...)", expected="an integer", got=shown(n), fix="write n=int(n)")
        ) from error
    if size < 2:
        raise ArgumentError(
            explain(
                "hashing_trick(n=...)",
                expected="2 or more, because the ids are in 1 ... n-1",
                got=str(size),
                fix="write n=20000, some two to ten times the number of words you expect",
            )
        )
    return size - 1


def _md5(word: str) -> int:
    return int.from_bytes(hashlib.md5(word.encode(), usedforsecurity=False).digest(), "big")


def _hash_function(given: Callable[[Any], int] | str | None) -> Callable[[Any], int]:
    if given is None:
        return hash
    if given == "md5":
        return _md5
    if callable(given):
        return given
    kind = ArgumentError if isinstance(given, str) else DTypeError
    raise kind(
        explain(
            "hashing_trick(hash_function=...)",
            expected='None, "md5" or a function from a word to an integer',
            got=shown(given),
            fix='write hash_function="md5", which is the same in every process',
        )
    )


_BLOCK = 4096
"""Texts that are held of a stream."""


def _blocks(texts: Iterable[Any]) -> Iterator[list[Any]]:
    """Some texts at a time, so that a stream is never held whole."""
    coming = iter(texts)
    while block := list(itertools.islice(coming, _BLOCK)):
        yield block


def _texts(where: str, texts: Any) -> Iterable[Any]:
    from padless.data import tables  # which needs padless.text itself
    from padless.ragged import Ragged

    if not isinstance(texts, str):
        texts = tables.read(texts, where)
        texts = texts.to_list() if isinstance(texts, Ragged) else texts
    try:
        return iter(texts)  # type: ignore[no-any-return]
    except TypeError as error:
        raise DTypeError(
            explain(where, expected="a list", got=shown(texts), fix="put a single one in a list: [it]")
        ) from error


def _row(where: str, row: Any) -> list[Any]:
    """Read a row of ids; an array's or tensor's own scalars would not be found in a dictionary of ids."""
    try:
        ids = row.tolist() if hasattr(row, "tolist") else list(row)
        kinds = set(map(type, ids))
        if kinds <= {int}:
            return ids
        if any(hasattr(kind, "tolist") for kind in kinds):
            ids = [i.tolist() if hasattr(i, "tolist") else i for i in ids]
            kinds = set(map(type, ids))
        if any(kind.__hash__ is None for kind in kinds):
            raise TypeError("an id must be a single number")
        return ids
    except TypeError as error:
        raise DTypeError(explain(where, expected="rows of ids", got=shown(row), fix="pass a list of lists")) from error


def _rows(where: str, sequences: Sequence[Iterable[int]]) -> list[list[Any]]:
    if not hasattr(sequences, "__len__"):
        raise DTypeError(
            explain(
                where,
                expected="a list of rows of ids",
                got=shown(sequences),
                fix="write list(sequences)",
            )
        )
    return [_row(where, row) for row in sequences]


def _check_ids(where: str, rows: list[list[Any]]) -> None:
    for row in rows:
        for i in row:
            if not isinstance(i, int):
                raise DTypeError(
                    explain(where, expected="ids, which are integers", got=shown(i), fix="turn them into int first")
                )
            if i < 0:
                raise DataError(
                    explain(
                        where,
                        expected="ids of 0 and more",
                        got=str(i),
                        fix="leave padding out: count the rows before pad_sequences",
                    )
                )


def _check_num_words(num_words: Any) -> None:
    if num_words is not None and not isinstance(num_words, numbers.Real):
        raise DTypeError(
            explain(
                "Tokenizer(num_words=...)",
                expected="an integer or None",
                got=shown(num_words),
                fix="write num_words=20000",
            )
        )


def _unknown_arguments(kwargs: dict[str, Any]) -> str:
    known = ("num_words", "filters", "lower", "split", "char_level", "oov_token", "analyzer", "document_count")
    return explain(
        "Tokenizer",
        expected=f"the arguments {', '.join(known)}",
        got=f"unrecognized keyword arguments {kwargs} ({nearest(next(iter(kwargs)), known)})",
        fix="leave them out",
    )


def _no_text(where: str, text: Any) -> DTypeError:
    if isinstance(text, bytes):
        fix = 'write text.decode("utf-8")'
    elif isinstance(text, tuple):
        fix = "write list(text) for words that are cut already"
    else:
        fix = 'write str(text), or "" for a missing text'
    return DTypeError(explain(where, expected="a string (or a list of strings in Tokenizer)", got=shown(text), fix=fix))
