"""Terms of texts, numbered as they come and counted: in one pass of native code, or by Python's own functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, chain, pairwise, repeat
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from padless import native

_DELETED, _SEPARATOR = 256, 257
_BLOCK = 4 << 20
"""Bytes that are looked at together: some megabytes, so that what is made of them stays small."""


class Cut:
    """How bytes become terms: which are changed, which are left out, which separate.

    Args:
        table: (256,) what each byte becomes; None changes none.
        deleted: bytes that are left out.
        separators: bytes between terms.
    """

    def __init__(self, table: bytes | None, deleted: bytes, separators: bytes) -> None:
        first, rest = separators[:1], bytes(set(separators[1:]) - set(separators[:1]))
        self._first = first
        self._deleted = deleted
        self._table = bytes(range(256)) if table is None else table
        self._separated = bytes.maketrans(rest, first * len(rest))
        self.map = np.frombuffer(self._table, np.uint8).astype(np.int16)
        self.map[list(separators)] = _SEPARATOR
        self.map[list(deleted)] = _DELETED

    def __call__(self, text: bytes) -> list[bytes]:
        """The terms of one text, by Python."""
        parts = text.translate(self._separated, self._deleted).split(self._first)
        return [term.translate(self._table) for term in parts if term]


def _blocks(texts: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    """Texts of some megabytes at a time."""
    first = size = 0
    for at, text in enumerate(texts, 1):
        size += len(text)
        if size > _BLOCK:
            yield texts[first:at]
            first, size = at, 0
    if first < len(texts):
        yield texts[first:]


class Counts(NamedTuple):
    """What was counted, small enough to be handed to another process.

    Attributes:
        terms: in the order in which they first came.
        times: (len(terms),) how often each came.
        documents: (len(terms),) in how many texts.
        texts: number of texts that were counted.
    """

    terms: list[bytes]
    times: NDArray[np.int64]
    documents: NDArray[np.int64]
    texts: int


class Terms:
    """Terms in the order in which they first came, with how often each came and in how many texts.

    Args:
        cut: how texts become terms.
        known: terms to begin with.

    Attributes:
        texts_read: number of texts that were counted.
    """

    def __init__(self, cut: Cut, known: Sequence[bytes] = ()) -> None:
        self.cut = cut
        self.texts_read = 0
        self._numbers = {term: at for at, term in enumerate(known)}
        self._counted: Counter[bytes] = Counter()
        self._in_texts: Counter[bytes] = Counter()

    def __len__(self) -> int:
        """Number of terms."""
        return len(self._numbers)

    @property
    def terms(self) -> list[bytes]:
        """All terms."""
        return list(self._numbers)

    @property
    def counts(self) -> NDArray[np.int64]:
        """(len,) how often each term came."""
        return np.fromiter(map(self._counted.__getitem__, self._numbers), np.int64, len(self))

    @property
    def documents(self) -> NDArray[np.int64]:
        """(len,) in how many texts each term came."""
        return np.fromiter(map(self._in_texts.__getitem__, self._numbers), np.int64, len(self))

    def found(self) -> Counts:
        """What was counted so far."""
        return Counts(self.terms, self.counts, self.documents, self.texts_read)

    def count(self, texts: Sequence[bytes]) -> None:
        """Count the terms of texts.

        Args:
            texts: UTF-8.
        """
        for block in _blocks(texts):
            self._count_rows([self.cut(text) for text in block])

    def _count_rows(self, rows: Sequence[Sequence[bytes]]) -> None:
        self._counted.update(chain.from_iterable(rows))
        self._in_texts.update(chain.from_iterable(map(set, rows)))
        for term in chain.from_iterable(rows):
            self._numbers.setdefault(term, len(self._numbers))
        self.texts_read += len(rows)

    @classmethod
    def of_rows(cls, rows: Sequence[Sequence[bytes]]) -> Terms:
        """Count terms of texts that were cut elsewhere.

        Args:
            rows: the terms of each text.

        Returns:
            The terms.
        """
        made = Terms(Cut(None, b"", b" "))
        made._count_rows(rows)
        return made

    def find(self, texts: Sequence[bytes]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Number the terms of texts.

        Args:
            texts: UTF-8.

        Returns:
            (N,) the number of each term, -1 for unknown ones, and (B,) how many each text has.
        """
        rows = [self.cut(text) for text in texts]
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        found = map(self._numbers.get, chain.from_iterable(rows), repeat(-1))
        return np.fromiter(found, np.int32, int(lengths.sum())), lengths


class NativeTerms(Terms):
    """The same by native code, which takes a fifth of the time."""

    def __init__(self, cut: Cut, known: Sequence[bytes] = ()) -> None:
        super().__init__(cut)
        self._size = len(known)
        self._make_room(max(len(known), 1024), max(sum(map(len, known)), 1 << 14))
        joined = np.frombuffer(b"".join(known), np.uint8)
        self._arena[: len(joined)] = joined
        self._starts[1 : len(known) + 1] = list(accumulate(map(len, known)))
        _call("hash_terms", self._arena, self._starts, self._hashes, self._size)
        self._place()

    def _make_room(self, terms: int, size: int) -> None:
        """Room for so many terms, and bytes of them."""
        self._slots = np.full(1 << (2 * terms).bit_length(), -1, np.int32)
        self._starts = np.zeros(terms + 1, np.int64)
        self._hashes = np.zeros(terms, np.uint64)
        self._counted_room, self._in_texts_room = np.zeros(terms, np.int64), np.zeros(terms, np.int64)
        self._last = np.full(terms, -1, np.int64)  # no text yet: known terms, too, count in the first one
        self._arena = np.zeros(size, np.uint8)

    def _kept(self) -> list[tuple[NDArray[Any], int]]:
        """What must outlive a new table, and how much of it is used."""
        by_term: list[NDArray[Any]] = [self._hashes, self._counted_room, self._in_texts_room, self._last]
        kept = [(array, self._size) for array in by_term]
        return [*kept, (self._starts, self._size + 1), (self._arena, int(self._starts[self._size]))]

    def _grow(self, needed: int) -> None:
        """Twice the room for terms, and some for so many more bytes."""
        before = self._kept()
        self._make_room(2 * len(self._hashes), 2 * len(self._arena) + needed)
        for (new, _), (old, used) in zip(self._kept(), before, strict=True):
            new[:used] = old[:used]
        self._place()

    def _place(self) -> None:
        _call("place_terms", self._slots, len(self._slots) - 1, self._hashes, self._size)

    def __len__(self) -> int:
        """Number of terms."""
        return self._size

    @property
    def terms(self) -> list[bytes]:
        """All terms."""
        whole = self._arena[: self._starts[self._size]].tobytes()
        return [whole[first:last] for first, last in pairwise(self._starts[: self._size + 1].tolist())]

    @property
    def counts(self) -> NDArray[np.int64]:
        """(len,) how often each term came."""
        return self._counted_room[: self._size]

    @property
    def documents(self) -> NDArray[np.int64]:
        """(len,) in how many texts each term came."""
        return self._in_texts_room[: self._size]

    def count(self, texts: Sequence[bytes]) -> None:  # noqa: D102
        for block in _blocks(texts):
            text, ends = _joined(block)
            state = np.array([0, self._size, 0, self.texts_read], np.int64)
            while _call(
                "count_terms", text, ends, len(ends), self.cut.map, self._slots, len(self._slots) - 1, self._starts,
                self._hashes, self._counted_room, self._in_texts_room, self._last, len(self._hashes), self._arena,
                len(self._arena), state,
            ):  # fmt: skip
                self._size = int(state[1])
                self._grow(len(text))
            self._size = int(state[1])
            self.texts_read += len(block)

    def find(self, texts: Sequence[bytes]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # noqa: D102
        found, counts = [np.zeros(0, np.int32)], [np.zeros(0, np.int64)]
        for block in _blocks(texts):
            text, ends = _joined(block)
            ids = np.empty(len(text) // 2 + len(block), np.int32)
            lengths, count = np.empty(len(block), np.int64), np.zeros(1, np.int64)
            longest = np.empty(max(map(len, block)) + 1, np.uint8)
            _call(
                "find_terms", text, ends, len(ends), self.cut.map, self._slots, len(self._slots) - 1, self._starts,
                self._hashes, self._arena, longest, ids, lengths, count,
            )  # fmt: skip
            found.append(ids[: int(count[0])])
            counts.append(lengths)
        return np.concatenate(found), np.concatenate(counts)


def _joined(texts: Sequence[bytes]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Texts end to end, and where each ends."""
    return np.frombuffer(b"".join(texts), np.uint8), np.cumsum([len(text) for text in texts])


def _call(name: str, *arguments: Any) -> int:
    takes = "".join("p" if isinstance(argument, np.ndarray) else "n" for argument in arguments)
    function: Callable[..., int] | None = native.find(name, takes)
    assert function is not None
    return function(*(a.ctypes.data if isinstance(a, np.ndarray) else a for a in arguments))


def terms_of(cut: Cut, known: Sequence[bytes] = ()) -> Terms:
    """Terms by native code where there is any.

    Args:
        cut: how texts become terms.
        known: terms to begin with.

    Returns:
        The terms.
    """
    return NativeTerms(cut, known) if native.available() else Terms(cut, known)
