"""How many rows have how many steps, and what padding would make of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Int = NDArray[np.int64]
Float = NDArray[np.float64]


class Cost(NamedTuple):
    """What an epoch computes.

    Attributes:
        steps: steps, padded ones among them.
        pairs: pairs of steps that attention within rows looks at: the sum of the squares of their lengths.
    """

    steps: float
    pairs: float

    def waste(self, real: Cost) -> float:
        """Share of the steps that is padding.

        Args:
            real: what the same rows cost without any.

        Returns:
            From 0 to 1.
        """
        return 1 - real.steps / self.steps if self.steps else 0.0


class Bin(NamedTuple):
    """Rows of like lengths.

    Attributes:
        low: the least steps of such a row.
        high: the most.
        rows: how many there are.
    """

    low: int
    high: int
    rows: int


class Histogram:
    """The lengths of rows, each with how often it occurs: small, however many rows there are.

    Args:
        counts: (length, rows of that length), in any order.

    Attributes:
        lengths: (U,) the different lengths, ascending.
        counts: (U,) rows of each.

    Example:
        >>> rows = Histogram([(2, 3), (6, 1)])
        >>> rows.rows, rows.steps, rows.longest, rows.percentile(50)
        (4, 12, 6, 2.0)
        >>> rows.in_one_array().waste(rows.unpadded())
        0.5
    """

    def __init__(self, counts: Iterable[tuple[int, int]]) -> None:
        pairs = np.array(sorted(counts), np.int64).reshape(-1, 2)
        self.lengths: Int = pairs[:, 0]
        self.counts: Int = pairs[:, 1]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(self.counts.sum())

    @property
    def steps(self) -> int:
        """Number of steps of all rows."""
        return int(self.lengths @ self.counts)

    @property
    def shortest(self) -> int:
        """Steps of the shortest row."""
        return int(self.lengths[0])

    @property
    def longest(self) -> int:
        """Steps of the longest row."""
        return int(self.lengths[-1])

    @property
    def mean(self) -> float:
        """Steps of a row on average."""
        return self.steps / self.rows

    def percentile(self, share: float) -> float:
        """Length that so many per cent of the rows do not exceed, as `numpy.percentile` has it.

        Args:
            share: from 0 to 100.

        Returns:
            Steps, between those of two rows where it falls there.
        """
        place = share / 100 * (self.rows - 1)
        ends = np.cumsum(self.counts)
        low, high = (
            int(self.lengths[np.searchsorted(ends, at, side="right")]) for at in (int(place), math.ceil(place))
        )
        return float(low + (high - low) * (place - math.floor(place)))

    # ---- what an epoch computes

    def unpadded(self) -> Cost:
        """The real steps alone."""
        return Cost(self.steps, _dot(self.lengths.astype(float) ** 2, self.counts))

    def in_one_array(self) -> Cost:
        """All rows padded to the longest."""
        return Cost(float(self.rows) * self.longest, float(self.rows) * float(self.longest) ** 2)

    def in_batches(self, size: int) -> Cost:
        """Batches of so many rows at random, each padded to its longest row: the mean over all orders of the rows.

        Args:
            size: rows of a batch; the last one has the rest.

        Returns:
            The exact expectation; the order of one epoch differs from it by chance.
        """
        full, rest = divmod(self.rows, size)
        steps = pairs = 0.0
        for batches, rows in ((full, size), (1, rest)):
            if batches and rows:
                at_most = self._chance_of_at_most(rows)
                longest = np.diff(at_most, prepend=0.0)
                steps += batches * rows * float(longest @ self.lengths)
                pairs += batches * rows * float(longest @ self.lengths.astype(float) ** 2)
        return Cost(steps, pairs)

    def _chance_of_at_most(self, rows: int) -> Float:
        """(U,) chance that so many rows, drawn at random, are all at most so long: C(n, rows) / C(all, rows)."""
        all_ways = _log_ways(self.rows, rows)
        ways = (_log_ways(n, rows) for n in np.cumsum(self.counts).tolist())
        return np.exp(np.fromiter(ways, np.float64, len(self.counts)) - all_ways)

    def in_sorted_batches(self, size: int) -> Cost:
        """Rows sorted by length, then cut into batches of so many: the least that length buckets can pad.

        Args:
            size: rows of a batch; the last one has the rest.

        Returns:
            What they compute.
        """
        ends = np.cumsum(self.counts)
        # Of the batches that end within a run of equally long rows, each is as long as these.
        ended = ends // size
        batches = np.diff(ended, prepend=0)
        rest = int(ends[-1] % size)
        tail = float(rest) * self.longest, float(rest) * float(self.longest) ** 2
        return Cost(
            size * _dot(self.lengths, batches) + tail[0],
            size * _dot(self.lengths.astype(float) ** 2, batches) + tail[1],
        )

    # ---- for people to look at

    def bins(self, most: int = 12) -> list[Bin]:
        """Bins of a round width, and one for the few rows far beyond the others.

        Args:
            most: bins, about.

        Returns:
            The bins, shortest rows first, those without rows among them.
        """
        usual = math.ceil(self.percentile(99))
        last = self.longest if self.longest <= 1.5 * usual else usual
        width = round_width((last + 1 - self.shortest) / most)
        edges = [*range(self.shortest // width * width, last + 1, width)]
        edges.append(edges[-1] + width)
        if self.longest >= edges[-1]:
            edges.append(self.longest + 1)
        return self.counted(edges)

    def counted(self, edges: list[int]) -> list[Bin]:
        """Rows between edges.

        Args:
            edges: ascending; a bin holds its lower edge, not its upper one.

        Returns:
            A bin between each two edges.
        """
        places = np.searchsorted(self.lengths, edges)
        before = np.concatenate([[0], np.cumsum(self.counts)])[places]
        return [
            Bin(low, high - 1, rows)
            for low, high, rows in zip(edges, edges[1:], np.diff(before).tolist(), strict=False)
        ]


def round_up(value: float) -> int:
    """The next whole number of which at most two digits are not 0.

    Args:
        value: a number from 0 on.

    Returns:
        A number that is not smaller.

    Example:
        >>> round_up(12_345), round_up(7.2)
        (13000, 8)
    """
    unit = int(10 ** max(len(str(math.ceil(value))) - 2, 0))
    return math.ceil(value / unit) * unit


def round_width(least: float) -> int:
    """The next of 1, 2, 5, 10, 20, 50, and so on.

    Args:
        least: a number.

    Returns:
        A number that is not smaller.

    Example:
        >>> round_width(31)
        50
    """
    unit = 1
    while 10 * unit < least:
        unit *= 10
    return next(step * unit for step in (1, 2, 5, 10) if step * unit >= least)


def _log_ways(n: int, rows: int) -> float:
    """Logarithm of the number of ways to draw so many of n rows."""
    return -math.inf if n < rows else math.lgamma(n + 1) - math.lgamma(rows + 1) - math.lgamma(n - rows + 1)


def _dot(lengths: Int | Float, counts: Int) -> float:
    return float(lengths.astype(np.float64) @ counts.astype(np.float64))
