"""Keys to whole numbers by a vocabulary, and back: StringLookup and IntegerLookup."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import pairwise, repeat
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from padless.errors import ArgumentError, DataError, NotBuiltError, explain
from padless.layers.arguments import refuse_sparse, two_numbers, word
from padless.layers.host import HostLayer, OnHost, batches, encoded
from padless.ragged import Ragged
from padless.text.fingerprints import buckets
from padless.text.splitting import utf8
from padless.text.terms import Counts

_MODES = ("int", "one_hot", "multi_hot", "count", "tf_idf")
_OLD_MODES = {"binary": "multi_hot", "tf-idf": "tf_idf"}


class IndexLookup(HostLayer):
    """What both lookups share: a vocabulary, learned by `adapt` or given, and the ways to write its numbers.

    Keras's places: the mask first (0, in mode "int" alone), then those of unknown keys, then the vocabulary.
    """

    key_type: ClassVar[type]

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        idf_weights: Any,
        invert: bool,
        output_mode: str,
        sparse: bool,
        pad_to_max_tokens: bool,
        oov_method: str,
        salt: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_tokens = max_tokens
        self.num_oov_indices = num_oov_indices
        self.mask_token = mask_token
        self.oov_token = oov_token
        self.invert = invert
        self.output_mode = word(self.place, "output_mode", _OLD_MODES.get(output_mode, output_mode), _MODES)
        self.pad_to_max_tokens = pad_to_max_tokens
        self.oov_method = word(self.place, "oov_method", oov_method, ("floormod", "farmhash"))
        self.salt = two_numbers(self.place, "salt", salt)
        self._refuse_what_does_not_fit(sparse, idf_weights, vocabulary)
        self._terms: list[Any] = []
        self._table: dict[Any, int] = {}
        self.idf_weights: NDArray[np.float32] | None = None
        self._given = vocabulary is not None
        self.reset_state()
        if vocabulary is not None:
            self.set_vocabulary(vocabulary, idf_weights)

    def _refuse_what_does_not_fit(self, sparse: bool, idf_weights: Any, vocabulary: Any) -> None:
        def refuse(wrong: bool, expected: str, got: str, fix: str) -> None:
            if wrong:
                raise ArgumentError(explain(self.place, expected=expected, got=got, fix=fix))

        refuse_sparse(self.place, sparse)
        most, mode = self.max_tokens, self.output_mode
        refuse(most is not None and most <= 1, "max_tokens above 1", f"max_tokens={most}", "max_tokens=20_000")
        refuse(
            self.pad_to_max_tokens and most is None, "max_tokens beside pad_to_max_tokens", "none", "max_tokens=20_000"
        )
        refuse(self.num_oov_indices < 0, "num_oov_indices from 0 on", str(self.num_oov_indices), "num_oov_indices=1")
        refuse(self.invert and mode != "int", 'output_mode="int" beside invert', f"{mode!r}", 'output_mode="int"')
        refuse(
            idf_weights is not None and mode != "tf_idf",
            'idf_weights with output_mode="tf_idf" alone',
            f"output_mode={mode!r}",
            "leave them out",
        )
        refuse(
            mode == "tf_idf" and vocabulary is not None and idf_weights is None,
            "idf_weights beside a vocabulary, since output_mode is 'tf_idf'",
            "none",
            "idf_weights=[one for each term]; or adapt(texts), which learns both",
        )
        refuse(
            self.salt is not None and self.key_type is int and self.oov_method != "farmhash",
            "oov_method='farmhash' beside salt, for whole numbers",
            f"salt={self.salt}, oov_method={self.oov_method!r}",
            'oov_method="farmhash"',
        )

    # ---- the vocabulary

    @property
    def first_unknown(self) -> int:
        """The number of unknown keys, or the first of them."""
        return 1 if self.mask_token is not None and self.output_mode == "int" else 0

    @property
    def _first_term(self) -> int:
        return self.first_unknown + self.num_oov_indices

    def vocabulary_size(self) -> int:
        """How many numbers there are, those of the mask and of unknown keys among them."""
        return self._first_term + len(self._terms)

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The keys in the order of their numbers.

        Args:
            include_special_tokens: whether the mask and unknown keys come first, so that places are numbers.

        Returns:
            A list.
        """
        special = [self.mask_token] * self.first_unknown + [self.oov_token] * self.num_oov_indices
        return [*(special if include_special_tokens else []), *self._terms]

    def set_vocabulary(self, vocabulary: Any, idf_weights: Any = None) -> None:
        """Take a vocabulary in the place of the one that there was.

        Args:
            vocabulary: the keys, in order, with or without those for the mask and for unknown ones in front; or the
                path of a file with one key a line.
            idf_weights: inverse document frequencies, one for each key, where output_mode is "tf_idf".

        Raises:
            ArgumentError: for an empty one, a key that is there twice, a mask in the middle, or more than max_tokens.
        """
        keys = self._read(vocabulary)
        special = self.get_vocabulary()[: self._first_term]
        whole = len(keys) >= len(special) and keys[: len(special)] == special
        terms = keys[len(special) :] if whole else keys
        self._refuse_vocabulary(keys, terms, special)
        self._terms = terms
        self._make_table()
        if self.output_mode == "tf_idf":
            self._set_weights(keys, idf_weights, whole)

    def _read(self, vocabulary: Any) -> list[Any]:
        if isinstance(vocabulary, str | Path):
            path = Path(vocabulary)
            if not path.exists():
                expected, fix = "a file with one key a line", "the path of one, or a list of keys"
                raise ArgumentError(explain(self.place, expected=expected, got=f"no file {path}", fix=fix))
            lines: list[Any] = path.read_text(encoding="utf-8").split("\n")
            vocabulary = lines[:-1] if lines and not lines[-1] else lines
        listed = vocabulary.tolist() if hasattr(vocabulary, "tolist") else list(vocabulary)
        return [key.decode() if isinstance(key, bytes) else self.key_type(key) for key in listed]

    def _refuse_vocabulary(self, keys: list[Any], terms: list[Any], special: list[Any]) -> None:
        def refuse(expected: str, got: str, fix: str) -> None:
            raise ArgumentError(explain(f"{self.place}: vocabulary", expected=expected, got=got, fix=fix))

        if not keys:
            refuse("at least one key", "an empty vocabulary", "vocabulary=['a', 'b'], or adapt(data)")
        twice = [key for key, count in Counter(terms).items() if count > 1]
        if twice:
            refuse("each key once", f"repeated terms: {twice[:10]}", "list(dict.fromkeys(keys))")
        reserved = [self.mask_token] + ([self.oov_token] if self.invert else [])
        for token in reserved:
            if token is not None and token in terms:
                refuse(
                    f"no reserved token among the keys, or exactly {special} in front",
                    f"{token!r} at place {keys.index(token)}",
                    "leave it out",
                )
        size = self._first_term + len(terms)
        if self.max_tokens is not None and size > self.max_tokens:
            refuse(f"at most max_tokens={self.max_tokens}", f"{size} with the reserved ones", f"max_tokens={size}")

    def _set_weights(self, keys: list[Any], given: Any, whole: bool) -> None:
        weights = np.asarray([] if given is None else given, np.float32)
        if weights.shape != (len(keys),):
            raise ArgumentError(
                explain(
                    f"{self.place}: idf_weights",
                    expected=f"one for each of {len(keys)} keys",
                    got="none" if given is None else f"shape {weights.shape}",
                    fix="adapt(data) learns them",
                )
            )
        # As Keras: nobody knows how rare an unknown key is, so the mean stands for it.
        front = [] if whole else [weights.mean()] * self._first_term
        self.idf_weights = np.concatenate([np.asarray(front, np.float32), weights])

    @property
    def table(self) -> dict[Any, int]:
        """The number of each key of the vocabulary.

        Raises:
            NotBuiltError: before there is one.
        """
        if not self._table and not self.tracing:
            self._require_vocabulary()
        return self._table

    def _make_table(self) -> None:
        self._table = {self._key(term): self._first_term + at for at, term in enumerate(self._terms)}

    def _key(self, term: Any) -> Any:
        """What stands for a term in the table."""
        return term

    # ---- learning

    def adapt(self, data: Any, batch_size: int | None = None, steps: int | None = None) -> None:
        """Learn the vocabulary: the most frequent keys first, of equally frequent ones the last in the alphabet first.

        Args:
            data: keys: an array, a list, rows; or anything that yields batches of them, read one at a time.
            batch_size: accepted; data that are at hand are read at once.
            steps: batches to read; None for all.

        Raises:
            ArgumentError: when the vocabulary was given.
        """
        self.reset_state()
        for batch in batches(data, steps, self.place):
            self.update_state(batch)
        self.finalize_state()

    def reset_state(self) -> None:
        """Forget what was counted."""
        self._counts: Counter[Any] = Counter()
        self._documents: Counter[Any] = Counter()
        self._document_count = 0

    def update_state(self, data: Any) -> None:
        """Count a batch.

        Args:
            data: keys; for "tf_idf" each row is a document.

        Raises:
            ArgumentError: when the vocabulary was given.
        """
        if self._given:
            raise ArgumentError(
                explain(
                    f"{self.place}: adapt",
                    expected="a layer without a vocabulary",
                    got="one that was given its vocabulary",
                    fix="leave out vocabulary=, or leave out adapt",
                )
            )
        for batch in batches(data, None, self.place):
            values = batch.flat_values if isinstance(batch, Ragged) else batch.reshape(-1)
            keys = self._keys(values)
            if isinstance(batch, Ragged):
                splits = batch.rows.row_splits.tolist()
            else:
                each = 1 if batch.ndim < 2 else int(np.prod(batch.shape[1:]))
                splits = list(range(0, len(keys) + 1, each))
            self.count(keys, splits)

    def count(self, keys: Sequence[Any], splits: Sequence[int]) -> None:
        """Count keys, and in how many documents each is.

        Args:
            keys: as in the table.
            splits: where the documents begin, and the last one ends.
        """
        self._counts.update(keys)
        if self.output_mode == "tf_idf":
            for first, last in pairwise(splits):
                self._documents.update(set(keys[first:last]))
            self._document_count += len(splits) - 1

    def take_counts(self, found: Counts) -> None:
        """Add what was counted elsewhere.

        Args:
            found: terms with their counts.
        """
        self._counts.update(dict(zip(found.terms, found.times.tolist(), strict=True)))
        self._documents.update(dict(zip(found.terms, found.documents.tolist(), strict=True)))
        self._document_count += found.texts

    def finalize_state(self) -> None:
        """Make the vocabulary of what was counted."""
        if self._given or not self._counts:
            return
        for token in (self.mask_token, self.oov_token):
            if token is not None:
                self._counts.pop(self._key(token), None)
        room = None if self.max_tokens is None else max(self.max_tokens - self._first_term, 0)
        ranked = sorted(self._counts, key=lambda key: (self._counts[key], key), reverse=True)[:room]
        self._terms = [self._term(key) for key in ranked]
        self._make_table()
        if self.output_mode == "tf_idf":
            found = np.array([self._documents[key] for key in ranked], np.float64)
            # Keras's formula, ln(1 + documents / (1 + documents with the key)).
            weights = np.log(1 + self._document_count / (1 + found))
            front = np.full(self._first_term, weights.mean() if len(weights) else 0.0)
            self.idf_weights = np.concatenate([front, weights]).astype(np.float32)
        self.reset_state()

    def _term(self, key: Any) -> Any:
        return key

    # ---- looking up

    def _keys(self, values: NDArray[Any]) -> list[Any]:
        """Values as they stand in the table."""
        raise NotImplementedError

    def prepare(self, x: OnHost) -> OnHost:
        """Look keys up, or numbers where `invert` says so.

        Args:
            x: keys (...), or rows of them.

        Returns:
            int64 (...), or what output_mode says; keys with `invert`.
        """
        values = x.flat_values if isinstance(x, Ragged) else x
        if self.invert:
            found = self._terms_of(values)
            return x.with_flat_values(found) if isinstance(x, Ragged) else found
        ids = self.numbers(self._keys(values.reshape(-1))).reshape(values.shape)
        return self.written(x.with_flat_values(ids) if isinstance(x, Ragged) else ids)

    def written(self, ids: OnHost) -> OnHost:
        """Numbers as output_mode says.

        Args:
            ids: int64 (...), or rows of them.

        Returns:
            The same, or float32 (..., depth).
        """
        if self.output_mode == "int":
            return ids
        size = self.vocabulary_size()
        depth = self.max_tokens if self.pad_to_max_tokens and self.max_tokens is not None else size
        if self.output_mode != "tf_idf":
            return encoded(ids, self.output_mode, depth)
        if self.idf_weights is None:
            self._require_vocabulary()
        counted = encoded(ids, "count", depth)
        weights = np.zeros(depth, np.float32)
        weights[:size] = self.idf_weights
        return counted * weights

    def numbers(self, keys: Sequence[Any]) -> NDArray[np.int64]:
        """The number of each key.

        Args:
            keys: as in the table.

        Returns:
            (N,) numbers; -1 for the mask where it has none.

        Raises:
            NotBuiltError: before there is a vocabulary.
            DataError: for an unknown key where num_oov_indices is 0.
        """
        known = np.fromiter(map(self.table.get, keys, repeat(-2)), np.int64, len(keys))
        unknown = np.nonzero(known == -2)[0]
        if self.mask_token is not None:
            mask = self._key(self.mask_token)
            masked = np.fromiter((keys[at] == mask for at in unknown.tolist()), np.bool_, len(unknown))
            known[unknown[masked]] = 0 if self.output_mode == "int" else -1
            unknown = unknown[~masked]
        if not len(unknown):
            return known
        if self.num_oov_indices == 0:
            if self.tracing:
                known[unknown] = 0
                return known
            raise DataError(
                explain(
                    self.place,
                    expected="keys of the vocabulary, since num_oov_indices=0",
                    got=f"{self._term(keys[int(unknown[0])])!r}, and {len(unknown) - 1} more that are not in it",
                    fix="num_oov_indices=1",
                )
            )
        place = self._place_of_unknown([keys[at] for at in unknown.tolist()]) if self.num_oov_indices > 1 else 0
        known[unknown] = self.first_unknown + place
        return known

    def _require_vocabulary(self) -> None:
        raise NotBuiltError(
            explain(
                self.place,
                expected="a vocabulary",
                got="none",
                fix="layer.adapt(data) before the first call, or vocabulary=[...]",
            )
        )

    def _place_of_unknown(self, keys: list[Any]) -> NDArray[np.int64]:
        return buckets(map(self._bytes, keys), self.num_oov_indices, self.salt)

    def _bytes(self, key: Any) -> bytes:
        return str(key).encode()

    def _terms_of(self, numbers: NDArray[Any]) -> NDArray[Any]:
        if not self._terms and not self.tracing:
            self._require_vocabulary()
        kind = object if self.key_type is str else np.int64
        every = np.empty(self.vocabulary_size() + 1, kind)
        every[:] = [*self.get_vocabulary(), self.oov_token]
        at = np.asarray(numbers).astype(np.int64)
        found: NDArray[Any] = every[np.where((at < 0) | (at >= len(every) - 1), len(every) - 1, at)]
        return found

    # ---- config

    def get_config(self) -> dict[str, Any]:
        """The arguments, with the vocabulary as it is now."""
        config = super().get_config()
        config["output_mode"] = self.output_mode
        if self._terms:
            config["vocabulary"] = self.get_vocabulary()
            if self.idf_weights is not None:
                config["idf_weights"] = self.idf_weights.tolist()
        return config


class StringLookup(IndexLookup):
    """Turn texts into whole numbers by a vocabulary, or back.

    Args:
        max_tokens: most numbers, those of the mask and of unknown texts among them; None for no bound.
        num_oov_indices: numbers for unknown texts; more than one are dealt by a hash; with 0 an unknown text is an
            error.
        mask_token: the text that becomes 0; None for none.
        oov_token: what `invert` gives for the numbers of unknown texts.
        vocabulary: the texts in order, or the path of a file with one a line; None to learn them by `adapt`.
        idf_weights: inverse document frequencies of a given vocabulary, for "tf_idf".
        invert: whether to turn numbers into texts.
        output_mode: "int"; "one_hot" for each text; "multi_hot", "count" or "tf_idf" for each row, or the last axis.
        pad_to_max_tokens: whether the last four are max_tokens wide.
        sparse: must be False.
        encoding: of bytes.
        oov_method: accepted; texts are always hashed.
        salt: one or two numbers that change the hash.
        **kwargs: name.

    Shapes:
        Texts (...) or rows of them (B, None) to int64 of the same shape; or float32 (..., size), (B, size) for rows.

    Raises:
        ArgumentError: for arguments that do not fit each other, or a vocabulary that cannot be one.
        NotBuiltError: when it is called without a vocabulary.
        DataError: for an unknown text with num_oov_indices=0.

    Example:
        >>> layer = StringLookup(vocabulary=["a", "b"])
        >>> layer(["b", "z", "a"]).tolist()
        [2, 0, 1]
        >>> StringLookup(vocabulary=["a", "b"], invert=True)([2, 0]).tolist()
        ['b', '[UNK]']

    Source: Keras 3.15.
    """

    key_type = str

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str = "[UNK]",
        vocabulary: Any = None,
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        sparse: bool = False,
        encoding: str = "utf-8",
        oov_method: str = "floormod",
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        self.encoding = encoding
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, oov_method, salt, **kwargs,
        )  # fmt: skip

    def _key(self, term: Any) -> bytes:
        return term.encode() if isinstance(term, str) else bytes(term)

    def _term(self, key: bytes) -> str:
        return key.decode()

    def _keys(self, values: NDArray[Any]) -> list[bytes]:
        return utf8(values.reshape(-1).tolist(), self.encoding)

    def _bytes(self, key: bytes) -> bytes:
        return key


class IntegerLookup(IndexLookup):
    """Turn whole numbers, such as ids of products, into places in a vocabulary, or back.

    Args:
        max_tokens: as of `StringLookup`.
        num_oov_indices: places for unknown numbers; more than one are dealt by the remainder, or by a hash.
        mask_token: the number that becomes 0; None for none.
        oov_token: what `invert` gives for the places of unknown numbers.
        vocabulary: the numbers in order; None to learn them by `adapt`.
        vocabulary_dtype: accepted; numbers are int64.
        idf_weights: as of `StringLookup`.
        invert: whether to turn places into numbers.
        output_mode: as of `StringLookup`.
        sparse: must be False.
        pad_to_max_tokens: as of `StringLookup`.
        oov_method: "floormod" deals unknown numbers by the remainder, "farmhash" by a hash.
        salt: one or two numbers that change the hash.
        **kwargs: name.

    Shapes:
        Whole numbers (...) or rows of them to int64 of the same shape, or as of `StringLookup`.

    Raises:
        ArgumentError: as `StringLookup`.
        NotBuiltError: when it is called without a vocabulary.
        DataError: for an unknown number with num_oov_indices=0.

    Example:
        >>> IntegerLookup(vocabulary=[12, 36, 1138])([36, 5, 1138]).tolist()
        [2, 0, 3]

    Source: Keras 3.15.
    """

    key_type = int

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int = -1,
        vocabulary: Any = None,
        vocabulary_dtype: str = "int64",
        idf_weights: Any = None,
        invert: bool = False,
        output_mode: str = "int",
        sparse: bool = False,
        pad_to_max_tokens: bool = False,
        oov_method: str = "floormod",
        salt: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            max_tokens, num_oov_indices, mask_token, oov_token, vocabulary, idf_weights, invert, output_mode, sparse,
            pad_to_max_tokens, oov_method, salt, **kwargs,
        )  # fmt: skip

    def _keys(self, values: NDArray[Any]) -> list[int]:
        flat = np.asarray(values).reshape(-1)
        if flat.dtype.kind not in "iu" and flat.size and not self.tracing:
            expected, fix = "whole numbers", "StringLookup for texts; x.astype('int64'), if the floats are ids"
            raise DataError(explain(self.place, expected=expected, got=f"dtype {flat.dtype}", fix=fix))
        return flat.astype(np.int64).tolist()

    def _place_of_unknown(self, keys: Iterable[int]) -> NDArray[np.int64]:
        if self.oov_method == "farmhash":
            return super()._place_of_unknown(list(keys))
        return np.asarray(list(keys), np.int64) % self.num_oov_indices
