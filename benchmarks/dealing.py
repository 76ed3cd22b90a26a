"""Which rows a run takes, in which batches: a sample that stands for an epoch."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

WINDOW = 50
"""Batches that length bucketing sorts together."""

Batches = list[list[int]]


@dataclass(frozen=True)
class Deal:
    """The same rows in two orders.

    Attributes:
        random: batches as they come.
        bucketed: batches of rows of like length, as sorting in windows of 50 batches of the whole data makes them.
        said: how far the sample stands for an epoch.
    """

    random: Batches
    bucketed: Batches
    said: str


def traits(lengths: np.ndarray, batches: Batches) -> np.ndarray:
    """Padded steps and padded scores for each real one: what batches cost who pads."""
    real = padded = scores = squares = 0
    for rows in batches:
        own = lengths[rows]
        real += int(own.sum())
        squares += int((own**2).sum())
        padded += len(own) * int(own.max())
        scores += len(own) * int(own.max()) ** 2
    return np.array([padded / real, scores / squares])


def waste(lengths: np.ndarray, batches: Batches) -> float:
    return float(1 - 1 / traits(lengths, batches)[0])


def _cut(rows: np.ndarray, size: int) -> Batches:
    return [[int(row) for row in rows[at : at + size]] for at in range(0, len(rows) - size + 1, size)]


def deal(lengths: np.ndarray, size: int, count: int | None, seed: int = 0, draws: int = 200) -> Deal:
    """Take `count` batches out of one window of bucketing, evenly from short to long, and the same rows at random.

    Of many such draws the one is taken whose padding is most like that of the whole window, in both orders. Sorting
    the taken rows again gives the same bucketed batches.
    """
    rng = np.random.default_rng(seed)
    window = rng.permutation(len(lengths))[: size * min(WINDOW, len(lengths) // size)]
    buckets = _cut(window[np.argsort(lengths[window], kind="stable")], size)
    count = min(count or len(buckets), len(buckets))
    shuffles = [_cut(rng.permutation(window), size) for _ in range(20)]
    wanted = np.concatenate(
        [np.mean([traits(lengths, one) for one in shuffles], axis=0), traits(lengths, buckets)],
    )
    best, nearest = None, np.inf
    edges = np.linspace(0, len(buckets), count + 1)
    for _ in range(draws):
        picked = [buckets[int(rng.uniform(a, b))] for a, b in pairwise(edges)]
        mixed = _cut(rng.permutation(np.concatenate(picked)), size)
        found = np.concatenate([traits(lengths, mixed), traits(lengths, picked)])
        distance = float(np.abs(np.log(found / wanted)).sum())
        if distance < nearest:
            best, nearest = (mixed, picked), distance
    assert best is not None
    mixed, picked = best
    said = (
        f"{count} of {len(lengths) // size} batches of {size}; padding at random {waste(lengths, mixed):.1%} (all: "
        f"{1 - 1 / wanted[0]:.1%}), bucketed {waste(lengths, picked):.1%} (all: {1 - 1 / wanted[2]:.1%})"
    )
    return Deal(mixed, [picked[at] for at in rng.permutation(count)], said)


def as_made(lengths: np.ndarray, size: int) -> Deal:
    """Batches in the order of the data, which hold what they should; bucketed, their rows sorted over all of them."""
    mixed, sorted_rows = np.arange(len(lengths)), np.argsort(lengths, kind="stable")
    batches = _cut(mixed, size)
    return Deal(batches, _cut(sorted_rows, size), f"padding {waste(lengths, batches):.1%} of each batch")


def thinned(lengths: np.ndarray, batches: Batches, count: int, seed: int = 0) -> Batches:
    """Fewer of the batches, for who is slow: those whose padding is most like that of all."""
    if count >= len(batches):
        return batches
    rng = np.random.default_rng(seed)
    wanted = traits(lengths, batches)
    choices = [sorted(rng.choice(len(batches), count, replace=False)) for _ in range(200)]
    return min(
        ([batches[at] for at in choice] for choice in choices),
        key=lambda some: float(np.abs(np.log(traits(lengths, some) / wanted)).sum()),
    )
