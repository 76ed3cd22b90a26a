"""Pairs of a word and a word near it, for word vectors by skip-gram (Mikolov et al. 2013)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from padless.errors import ArgumentError, DataError, explain

_ROUNDS = 8
"""How often negative pairs that are true ones are drawn anew."""


def make_sampling_table(size: int, sampling_factor: float = 1e-5) -> NDArray[np.float64]:
    """Give the probability of keeping the word of each rank, by Zipf's law.

    Args:
        size: number of ranks; rank 0 counts as rank 1.
        sampling_factor: of word2vec; the smaller, the fewer common words are kept.

    Returns:
        (size,) probabilities.

    Raises:
        ArgumentError: for a size below 1, for which Keras raises an IndexError.

    Example:
        >>> make_sampling_table(3).round(5).tolist()
        [0.00315, 0.00315, 0.00548]

    Source: `keras.preprocessing.sequence.make_sampling_table`; word2vec, Mikolov et al. 2013, section 2.3.
    """
    if size < 1:
        raise ArgumentError(
            explain("make_sampling_table", expected="at least one rank", got=f"size={size}", fix="size=10000")
        )
    rank = np.maximum(np.arange(size), 1)
    # Frequency of a rank under Zipf's law is 1 over this; 0.577 is Euler's constant, as Keras cuts it.
    inverse = rank * (np.log(rank) + 0.577) + 0.5 - 1 / (12 * rank)
    table: NDArray[np.float64] = np.minimum(1.0, np.sqrt(sampling_factor * inverse))
    return table


def skipgrams(
    sequence: Sequence[int] | NDArray[Any],
    vocabulary_size: int,
    window_size: int = 4,
    negative_samples: float = 1.0,
    shuffle: bool = True,
    categorical: bool = False,
    sampling_table: ArrayLike | None = None,
    seed: int | None = None,
) -> tuple[list[list[int]], list[Any]]:
    """Pair every word with those around it (label 1) and with random words (label 0).

    Differences from Keras: `seed` governs all that is drawn and touches no global generator; a random word that stands
    next to the word in this sequence is drawn anew, since its label would be wrong; ids that are no words raise.

    Args:
        sequence: ids of the words; 0 is no word and is left out.
        vocabulary_size: largest id plus one.
        window_size: how many places to each side are near.
        negative_samples: random pairs for each true one.
        shuffle: whether to mix the pairs.
        categorical: labels [0, 1] and [1, 0] in place of 1 and 0.
        sampling_table: probability of keeping each id as the first word of its pairs; see `make_sampling_table`.
        seed: of everything that is drawn.

    Returns:
        Pairs and their labels.

    Raises:
        DataError: for an id below 0, or vocabulary_size and above.
        ArgumentError: for a vocabulary without words, or a negative number of samples.

    Example:
        >>> pairs, labels = skipgrams([1, 2, 3], vocabulary_size=4, window_size=1, negative_samples=0, shuffle=False)
        >>> pairs, labels
        ([[1, 2], [2, 1], [2, 3], [3, 2]], [1, 1, 1, 1])

    Source: `keras.preprocessing.sequence.skipgrams`.
    """
    where = "skipgrams"
    ids = np.asarray(sequence, np.int64).reshape(-1)
    if vocabulary_size < 2 or negative_samples < 0:
        raise ArgumentError(
            explain(
                where,
                expected="vocabulary_size from 2 on and negative_samples from 0 on",
                got=f"vocabulary_size={vocabulary_size}, negative_samples={negative_samples}",
                fix="vocabulary_size=largest id + 1",
            )
        )
    wrong = ids[(ids < 0) | (ids >= vocabulary_size)]
    if wrong.size:
        raise DataError(
            explain(
                where, expected=f"ids below {vocabulary_size}", got=str(wrong[0]), fix="vocabulary_size=largest id + 1"
            )
        )
    rng = np.random.default_rng(seed)
    near = _near(ids, window_size, sampling_table, rng)
    far = _far(near, int(len(near) * negative_samples), vocabulary_size, rng)
    pairs = np.concatenate([near, far])
    labels = np.repeat([1, 0], [len(near), len(far)])
    if shuffle:
        order = rng.permutation(len(pairs))
        pairs, labels = pairs[order], labels[order]
    return pairs.tolist(), (np.eye(2, dtype=np.int64)[labels] if categorical else labels).tolist()


def _near(ids: NDArray[np.int64], window: int, table: ArrayLike | None, rng: np.random.Generator) -> NDArray[np.int64]:
    """(P, 2) pairs of words at most `window` places apart, in the order of the first and then the second."""
    kept = ids > 0
    if table is not None:
        kept &= np.asarray(table)[ids] >= rng.random(len(ids))
    offsets = np.concatenate([np.arange(-window, 0), np.arange(1, window + 1)])
    first = np.repeat(np.nonzero(kept)[0], len(offsets))
    second = first + np.tile(offsets, int(kept.sum()))
    inside = (second >= 0) & (second < len(ids))
    first, second = first[inside], second[inside]
    words = ids[second] > 0
    return np.stack([ids[first[words]], ids[second[words]]], axis=1)


def _far(near: NDArray[np.int64], count: int, size: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """(count, 2) first words of the true pairs with random words that are not near them."""
    if not count or not len(near):
        return np.zeros((0, 2), np.int64)
    first = rng.permutation(near[:, 0])[np.arange(count) % len(near)]
    second = rng.integers(1, size, count)
    true = np.unique(near[:, 0] * size + near[:, 1])
    for _ in range(_ROUNDS):
        again = np.isin(first * size + second, true)
        if not again.any():
            break
        second[again] = rng.integers(1, size, int(again.sum()))
    return np.stack([first, second], axis=1)
