"""Which rows each batch of an epoch has: planned from the lengths of the rows alone, before a value is read."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from padless.errors import ArgumentError, DataError, explain

Int = npt.NDArray[np.int64]
Lengths = npt.NDArray[np.signedinteger[Any]]

WAITING = 64
"""Rows among which the one is looked for that fills a batch best: 64 fill 12,000 steps to 99.7 % with news articles."""


def order_of(seed: int, epoch: int) -> np.random.Generator:
    """What draws the order of the rows in one epoch.

    Args:
        seed: of the run.
        epoch: its number.

    Returns:
        The generator; of each epoch another one, so that an epoch needs none of those before it.
    """
    return np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, 1, epoch))))


def packed(lengths: Lengths, max_tokens: int, order: Int, waiting: int = WAITING) -> list[Int]:
    """Deal rows to batches that hold nearly as many steps as they may.

    Rows come in the order given. When the next one does not fit any more, the longest that does among those waiting
    goes before it; the one that did not fit begins the next batch, so that nothing waits for long.

    Args:
        lengths: (B,) steps of each row, none above max_tokens; a row without steps counts as one, so that the number
            of rows has a bound, too.
        max_tokens: the most steps of a batch.
        order: (C,) the rows, in the order in which they come.
        waiting: rows to choose from; 1 keeps the order.

    Returns:
        The rows of each batch.

    Example:
        >>> packed(np.array([4, 3, 3, 2]), 6, np.arange(4))
        [array([0, 3]), array([1, 2])]
    """
    if waiting == 1:
        ends = np.cumsum(np.maximum(lengths[order], 1), dtype=np.int64)
        cuts = [0]
        while cuts[-1] < len(order):
            before = int(ends[cuts[-1] - 1]) if cuts[-1] else 0
            cuts.append(int(np.searchsorted(ends, before + max_tokens, side="right")))
        return [order[first:last] for first, last in itertools.pairwise(cuts)]
    coming = _costs_of(lengths, order)
    window = list(itertools.islice(coming, waiting))
    batches: list[Int] = []
    dealt: list[int] = []
    room = max_tokens
    while window:
        at = 0
        if window[0][1] > room:
            fitting = (n for n in range(len(window)) if window[n][1] <= room)
            at = max(fitting, key=lambda n: window[n][1], default=-1)
        if at < 0:
            batches.append(np.array(dealt, np.int64))
            dealt, room = [], max_tokens
            continue
        row, cost = window.pop(at)
        window.extend(itertools.islice(coming, 1))
        dealt.append(row)
        room -= cost
    return [*batches, np.array(dealt, np.int64)]


def _costs_of(lengths: Lengths, order: Int) -> Iterator[tuple[int, int]]:
    """Each row and the room that it takes, made block by block: Python's numbers are large."""
    for at in range(0, len(order), 65_536):
        rows = order[at : at + 65_536]
        yield from zip(rows.tolist(), np.maximum(lengths[rows], 1).tolist(), strict=True)


def mixed(blocks: Int, window: int, draw: np.random.Generator) -> Int:
    """Draw an order of rows that lie in blocks, of which only a few are needed at a time.

    The blocks come in an order drawn first. Each row is then drawn a place of its own among the blocks around its own
    one: those that come next are not needed yet, those that came before are used up.

    Args:
        blocks: (G+1,) the first row of each block, and the number of rows.
        window: blocks among which rows are mixed; 1 leaves the rows of a block together.
        draw: draws both.

    Returns:
        (B,) the rows, each once.

    Example:
        >>> order = mixed(np.array([0, 3, 6, 9]), 1, np.random.default_rng(0))
        >>> (order // 3).tolist()
        [2, 2, 2, 0, 0, 0, 1, 1, 1]
    """
    sizes, nrows = np.diff(blocks), int(blocks[-1])
    turn = draw.permutation(len(sizes))
    ends = np.cumsum(sizes[turn])
    around = (window - 1) / 2 * nrows / max(len(sizes), 1)
    low = np.maximum(ends - sizes[turn] - around, 0)
    high = np.minimum(ends + around, nrows)
    place = draw.random(nrows)
    place *= np.repeat(high - low, sizes[turn])
    place += np.repeat(low, sizes[turn])
    rows = np.repeat(blocks[1:][turn] - ends, sizes[turn])
    rows += np.arange(nrows)
    found: Int = rows[np.argsort(place, kind="stable")]
    return found


class EpochPlan(Sequence[Int]):
    """The rows of each batch of one epoch, and what padding them would have cost.

    A sequence of the batches' rows; `print` shows its numbers. It is small, made before any batch is, and a function
    of the data's lengths, the arguments, the seed and the number of the epoch.

    Args:
        batches: the rows of each batch.
        lengths: gives (B,) steps of each row of the data, when they are asked for; None where rows have no steps.
        seed: of the order; None for rows in their order.
        epoch: its number.
        done: batches that were given out.

    Attributes:
        seed: of the order.
        epoch: its number.
        done: how many of the batches were given out so far.

    Example:
        >>> plan = plan_epoch([[1, 2], [3], [4, 5, 6], [7]], batch_size=2)
        >>> plan
        EpochPlan(2 batches, 4 rows, epoch 0)
        >>> [rows.tolist() for rows in plan]
        [[0, 1], [2, 3]]
        >>> print(plan)
        Epoch 0
          batches                                   2
          rows                                      4
          steps                                     7
          largest batch                             2 rows
                                                    4 steps
          padded to the longest row of each batch  10 steps, 30 % of them padding
          padded to the longest row of all         12 steps, 42 % of them padding
    """

    def __init__(
        self,
        batches: list[Int],
        lengths: Callable[[], Lengths] | None = None,
        seed: int | None = None,
        epoch: int = 0,
        done: int = 0,
    ) -> None:
        if not 0 <= done <= len(batches):
            raise DataError(
                explain(
                    f"epoch {epoch}",
                    expected=f"a place from batch 0 to {len(batches)}, the end",
                    got=f"batch {done}",
                    fix="the data, batch_size, max_tokens and length_grouping with which the state was saved",
                )
            )
        self._batches = batches
        self._lengths_of = lengths
        self.seed, self.epoch, self.done = seed, epoch, done

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._batches)

    def __getitem__(self, number: Any) -> Any:
        """The rows of a batch; of a slice, those of several."""
        return self._batches[number]

    @property
    def state(self) -> dict[str, int | None]:
        """Where the epoch is: seed, epoch, and batches given out. A plan with these as arguments goes on from there."""
        return {"seed": self.seed, "epoch": self.epoch, "batch": self.done}

    @property
    def nrows(self) -> int:
        """Rows of all batches."""
        return sum(map(len, self._batches))

    @property
    def most_rows(self) -> int:
        """Rows of the batch that has most of them."""
        return max(map(len, self._batches), default=0)

    @cached_property
    def _counts(self) -> tuple[Int, Int]:
        """(batches,) the steps and the longest row of each batch."""
        if self._lengths_of is None:
            raise ArgumentError(
                explain(
                    "steps of an epoch",
                    expected="an input of rows of unequal length",
                    got="arrays, whose rows are all equally long",
                    fix="plan.nrows",
                )
            )
        lengths = self._lengths_of()
        found = [(int(own.sum()), int(own.max(initial=0))) for own in (lengths[rows] for rows in self._batches)]
        steps, longest = np.array(found, np.int64).reshape(-1, 2).T
        return steps, longest

    @property
    def nsteps(self) -> int:
        """Steps of all batches."""
        return int(self._counts[0].sum())

    @property
    def most_steps(self) -> int:
        """Steps of the batch that has most of them."""
        return int(self._counts[0].max(initial=0))

    @property
    def padded_steps(self) -> int:
        """Steps that a library computes which pads each batch to its longest row."""
        return int((self._counts[1] * [len(rows) for rows in self._batches]).sum())

    @property
    def globally_padded_steps(self) -> int:
        """Steps that a library computes which pads all rows to the longest of them."""
        return int(self._counts[1].max(initial=0)) * self.nrows

    @property
    def waste(self) -> float:
        """Share of padding in `padded_steps`."""
        return 1 - self.nsteps / self.padded_steps if self.padded_steps else 0.0

    @property
    def global_waste(self) -> float:
        """Share of padding in `globally_padded_steps`."""
        return 1 - self.nsteps / self.globally_padded_steps if self.globally_padded_steps else 0.0

    def __repr__(self) -> str:
        return f"EpochPlan({len(self)} batches, {self.nrows} rows, epoch {self.epoch})"

    def __str__(self) -> str:
        lines = [("batches", len(self), ""), ("rows", self.nrows, "")]
        largest = [("largest batch", self.most_rows, " rows")]
        if self._lengths_of is None:
            lines += largest
        else:
            each, everything = (f" steps, {share:.0%} of them padding" for share in (self.waste, self.global_waste))
            lines += [("steps", self.nsteps, ""), *largest, ("", self.most_steps, " steps")]
            lines.append(("padded to the longest row of each batch", self.padded_steps, each.replace("%", " %")))
            lines.append(
                ("padded to the longest row of all", self.globally_padded_steps, everything.replace("%", " %"))
            )
        width = max(len(f"{number:,}") for _, number, _ in lines)
        table = [f"  {name:<40}{number:>{width + 1},}{unit}" for name, number, unit in lines]
        return "\n".join([f"Epoch {self.epoch}", *table])


class _Pass(NamedTuple):
    """All rows, dealt once; number and first are counted over all passes."""

    seed: int | None
    number: int
    first: int
    batches: list[Int]


class Planner:
    """Deals rows to batches, in each epoch anew.

    Args:
        nrows: number of rows.
        lengths: gives (B,) steps of each row; called when they are first needed. None where rows have no steps.
        batch_size: rows of a batch.
        max_tokens: steps that a batch may hold, instead of batch_size.
        steps: batches of an epoch; None for all.
        length_grouping: batches among whose rows those of like lengths are put together; 0 for none.
        blocks: (G+1,) the first row of each block of rows that is read at once, and the number of rows; None where
            any row is at hand.
        window: blocks among which rows are mixed.
        name_of: names a row in errors.

    Attributes:
        most_rows: rows of the largest batch in all epochs that were planned so far; 0 before the first.
        goes_on: whether an epoch of some steps begins where the last one ended, and when the rows are used up with the
            first ones again; else each has the first batches, as many as there are.

    Raises:
        DataError: when batch_size is no number of rows, or a row is longer than max_tokens.
        ArgumentError: when max_tokens or length_grouping is given and no input has rows of unequal length.
    """

    def __init__(
        self,
        nrows: int,
        lengths: Callable[[], Lengths] | None = None,
        *,
        batch_size: int = 32,
        max_tokens: int | None = None,
        steps: int | None = None,
        length_grouping: int = 0,
        blocks: Int | None = None,
        window: int = 1,
        name_of: Callable[[int], str] = "row {}".format,
    ) -> None:
        if batch_size < 1:
            raise DataError(
                explain("batch_size", expected="a number from 1 on", got=str(batch_size), fix="batch_size=32")
            )
        self.nrows = nrows
        self.batch_size, self.max_tokens, self.length_grouping = batch_size, max_tokens, length_grouping
        self.steps = steps
        self.blocks, self.window = blocks, window
        self.most_rows = 0
        self.goes_on = False
        self._lengths_of = lengths
        self._name_of = name_of
        self._planned: int | None = None
        self._last: _Pass | None = None
        if max_tokens is not None or length_grouping:
            self._check_lengths()

    def _check_lengths(self) -> None:
        if self._lengths_of is None:
            raise ArgumentError(
                explain(
                    "length_grouping" if self.max_tokens is None else "max_tokens",
                    expected="an input of rows of unequal length: lists, a Ragged, or a padded array in front of "
                    "Masking or Embedding(mask_zero=True)",
                    got="arrays, whose rows are all equally long",
                    fix="batch_size=32",
                )
            )
        longest = int(self.lengths.argmax())
        most, limit = int(self.lengths[longest]), self.max_tokens
        if limit is not None and most > limit:
            raise DataError(
                explain(
                    f"max_tokens={limit}",
                    expected="rows of at most as many steps",
                    got=f"{self._name_of(longest)} with {most} steps",
                    fix=f"max_tokens={most} or more, or cut the row: [row[:{limit}] for row in x]",
                )
            )

    @cached_property
    def lengths(self) -> Lengths:
        """(B,) steps of each row."""
        assert self._lengths_of is not None
        return self._lengths_of()

    @property
    def room(self) -> tuple[int, int] | None:
        """The most rows and steps that any batch of the epochs planned so far has, where max_tokens bounds them."""
        return None if self.max_tokens is None or not self.most_rows else (self.most_rows, self.max_tokens)

    def part(self, rows: Int, lengths: Callable[[], Lengths] | None) -> Planner:
        """A planner of some of the rows.

        Args:
            rows: their indices; they are counted from 0 on there.
            lengths: gives the steps of each of them.

        Returns:
            The planner, by the same rule.
        """
        known: Lengths | None = self.__dict__.get("lengths")
        picked = None if known is None else known[rows]
        return Planner(
            len(rows),
            lengths if picked is None else lambda: picked,
            batch_size=self.batch_size,
            max_tokens=self.max_tokens,
            steps=self.steps,
            length_grouping=self.length_grouping,
        )

    def change(self, batch_size: int | None, steps: int | None) -> None:
        """Have batches of another size, and another number of them in an epoch.

        Args:
            batch_size: rows of a batch; None for those, or the steps, of before.
            steps: batches of an epoch; None for all.
        """
        if batch_size is not None:
            self.batch_size, self.max_tokens = batch_size, None
        self.steps = steps
        self._last = None
        self.__dict__.pop("_in_order", None)

    def __len__(self) -> int:
        """Number of batches of the epoch planned last; before the first, of one in the order of the rows."""
        if self._planned is not None:
            return self._planned
        if self.goes_on and self.steps is not None:
            return self.steps
        return len(self._in_order)

    def plan(self, epoch: int = 0, seed: int | None = None, batch: int = 0) -> EpochPlan:
        """Plan an epoch.

        Args:
            epoch: its number.
            seed: of the order; None keeps that of the rows.
            batch: where to go on in it.

        Returns:
            The plan: the same for the same numbers, whatever was planned before.

        Raises:
            DataError: when the epoch has not as many batches.
        """
        batches = self._some(epoch, seed)
        self._planned = len(batches)
        self.most_rows = max(self.most_rows, *map(len, batches))
        lengths = None if self._lengths_of is None else lambda: self.lengths
        return EpochPlan(batches, lengths, seed, epoch, batch)

    def _some(self, epoch: int, seed: int | None) -> list[Int]:
        """The rows of each batch of an epoch."""
        steps = self.steps
        if steps is None or (seed is None and not self.goes_on):
            return self._pass(epoch, seed)
        if not self.goes_on:
            return self._pass(epoch, seed)[:steps]
        first, found = epoch * steps, list[Int]()
        last = self._last
        if last is None or last.seed != seed or last.first > first:
            last = _Pass(seed, 0, 0, self._pass(0, seed))
        while len(found) < steps:
            found += last.batches[max(first - last.first, 0) :]
            self._last = last
            if len(found) < steps:
                number = last.number + 1
                last = _Pass(seed, number, last.first + len(last.batches), self._pass(number, seed))
        return found[:steps]

    def _pass(self, number: int, seed: int | None) -> list[Int]:
        """All rows, dealt once; in their order, where steps tells so, only the first of them."""
        if seed is None:
            return self._in_order
        draw = order_of(seed, number)
        order = draw.permutation(self.nrows) if self.blocks is None else mixed(self.blocks, self.window, draw)
        return self._deal(order, WAITING, draw)

    @cached_property
    def _in_order(self) -> list[Int]:
        """The rows of each batch when their order is kept; a few batches have those rows that they have ungrouped."""
        order = np.arange(self.nrows)
        if self.steps is not None and not self.goes_on:
            order = np.concatenate(self._cut(order, 1)[: self.steps])
        return self._deal(order, 1)

    def _deal(self, order: Int, waiting: int, draw: np.random.Generator | None = None) -> list[Int]:
        """The rows of each batch; with `length_grouping`, draw draws the order of the batches."""
        batches = self._grouped(order, draw) if self.length_grouping else self._cut(order, waiting)
        # The rows of a block side by side, so that they are copied as one piece.
        return batches if self.blocks is None else [np.sort(rows) for rows in batches]

    def _cut(self, order: Int, waiting: int) -> list[Int]:
        if self.max_tokens is not None:
            return packed(self.lengths, self.max_tokens, order, waiting)
        return [order[at : at + self.batch_size] for at in range(0, len(order), self.batch_size)]

    def _grouped(self, order: Int, draw: np.random.Generator | None) -> list[Int]:
        """Rows of like lengths together: each window of so many batches is sorted by length, then dealt."""
        each = self.batch_size
        if self.max_tokens is not None:
            each = max(int(self.max_tokens // max(self.lengths.mean(), 1)), 1)
        batches: list[Int] = []
        for at in range(0, len(order), self.length_grouping * each):
            window = order[at : at + self.length_grouping * each]
            window = window[np.argsort(self.lengths[window], kind="stable")]
            made = self._cut(window, 1)
            batches += made if draw is None else [made[number] for number in draw.permutation(len(made))]
        return batches


def plan_epoch(
    x: Any,
    *,
    batch_size: int | None = None,
    max_tokens: int | None = None,
    length_grouping: int | None = None,
    seed: int | None = None,
    epoch: int = 0,
    batch: int = 0,
) -> EpochPlan:
    """Plan the batches of an epoch as `fit` does, to be printed, or to be gone through in a loop of one's own.

    Args:
        x: data as for `fit`: lists, a Ragged, arrays, a tuple or dict of these, `ParquetRows`.
        batch_size: rows of a batch; 32 by default.
        max_tokens: steps of a batch, instead of batch_size.
        length_grouping: batches among whose rows those of like lengths are put together.
        seed: of the order; None keeps that of the rows.
        epoch: its number: each has another order.
        batch: where to go on in the epoch. `plan_epoch(x, **plan.state)`, with the size of the batches as it was,
            is the plan with what is left of it.

    Returns:
        The plan.

    Raises:
        ArgumentError: when x is a source of ready batches, which cannot be planned.
        DataError: as of `fit`.

    Example:
        >>> plan = plan_epoch([[1, 2], [3], [4, 5, 6], [7]], max_tokens=4, seed=1)
        >>> plan.nsteps, plan.most_steps, sorted(np.concatenate(plan).tolist())
        (7, 4, [0, 1, 2, 3])
    """
    from padless import batching

    source = batching.source_of(
        x,
        None,
        None,
        batch_size=batch_size,
        steps=None,
        mask_maker=None,
        several=False,
        max_tokens=max_tokens,
        length_grouping=length_grouping,
    )
    if isinstance(source, batching.Planned):
        return source.planner.plan(epoch, seed, batch)
    raise ArgumentError(
        explain(
            "plan_epoch",
            expected="rows: lists, a Ragged, arrays or ParquetRows",
            got=f"a source of ready batches, {type(x).__name__}",
            fix="the data that the batches are made of",
        )
    )
