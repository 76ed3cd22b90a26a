"""A source of batches for `fit` whose rows are read from files as a plan needs them."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from padless.batching import Batch, Column, EmptyRowsWarning, Planned, RaggedColumn, column, with_keys
from padless.data.parquet import ParquetRows, each_of
from padless.data.plan import EpochPlan, Int, Planner
from padless.ragged import end_to_end

if TYPE_CHECKING:
    from padless.layer import Layer

Columns = dict[str, Column]
T = TypeVar("T")

_END: Any = object()


def ahead(things: Iterator[T]) -> Generator[T]:
    """Give what an iterator makes, which makes the next one on another thread meanwhile.

    Args:
        things: the iterator; nobody else may use it.

    Yields:
        The things. What the iterator raises is raised where it would have given one. The thread ends with the
        generator, be it at its end, by an error or by `close`, after the one thing that it is making.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="padless-reads-ahead") as thread:
        coming = thread.submit(next, things, _END)
        while (thing := coming.result()) is not _END:
            coming = thread.submit(next, things, _END)
            yield thing


class RowGroups(Planned):
    """Rows of Parquet files, as a source of batches.

    Args:
        rows: the files.
        mask_maker: the layer that finds padding, if the model begins with one; batches then have fewer steps than was
            planned.
        targets: the columns of the targets, where they are named by the outputs; None for those of the files.
        weights: the same of the weights.
        **rule: how rows are dealt to batches: as of `Planner`.
    """

    def __init__(
        self,
        rows: ParquetRows,
        mask_maker: Layer | None = None,
        targets: Any = None,
        weights: Any = None,
        **rule: Any,
    ) -> None:
        self.rows = rows
        self.mask_maker = mask_maker
        names = rows.x, rows.y if targets is None else targets, rows.weight if weights is None else weights
        self.names = [tuple(part) if isinstance(part, list) else part for part in names]
        self._warns = False
        lengths = (lambda: rows.lengths) if rows.sequences else None
        super().__init__(
            Planner(rows.nrows, lengths, blocks=rows.blocks, window=rows.window, name_of=rows.name_of, **rule)
        )

    def name_of(self, row: int) -> str:
        """Name a row in errors, with its file."""
        return self.rows.name_of(row)

    def warn_of_empty_rows(self) -> None:
        """Warn when the first row without steps is read."""
        self._warns = True

    def batches(self, plan: EpochPlan) -> Generator[Batch]:
        """Make the batches of a plan one by one.

        Args:
            plan: it counts them.

        Yields:
            The batches, on the host.

        Raises:
            DataError: when a file cannot be read.
        """
        coming = plan[plan.done :]
        left = self._needed(coming)
        held: dict[int, Columns] = {}
        with contextlib.closing(ahead(self._blocks(coming))) as read:
            for rows in coming:
                pieces = []
                for block, own in self._by_block(rows):
                    if block not in held:
                        held[block] = self._seen(block, next(read))
                    pieces.append((held[block], own - self.rows.blocks[block]))
                    left[block] -= len(own)
                    if not left[block]:
                        del held[block]
                batch = self._batch(pieces, rows)
                del pieces
                plan.done += 1
                yield batch

    def _needed(self, plan: Sequence[Int]) -> Int:
        """(G,) how many rows of each block a plan needs."""
        blocks = self.rows.blocks
        counts = np.zeros(len(blocks) - 1, np.int64)
        for at in range(0, len(plan), 4096):
            rows = np.concatenate(plan[at : at + 4096])
            counts += np.bincount(np.searchsorted(blocks, rows, side="right") - 1, minlength=len(counts))
        return counts

    def _by_block(self, rows: Int) -> Iterator[tuple[int, Int]]:
        """The rows of a batch, block by block."""
        blocks = np.searchsorted(self.rows.blocks, rows, side="right") - 1
        numbers, firsts = np.unique(blocks, return_index=True)
        yield from zip(numbers.tolist(), np.split(rows, firsts[1:]), strict=True)

    def _blocks(self, plan: Sequence[Int]) -> Iterator[Columns]:
        """The blocks in the order in which a plan first needs them; on another thread."""
        seen = set()
        for rows in plan:
            for block, _ in self._by_block(rows):
                if block not in seen:
                    seen.add(block)
                    yield self._columns(block)

    def _columns(self, block: int) -> Columns:
        """The columns of a block."""
        first = next(iter(each_of(self.names[0])))
        return {
            name: column(name, values, self.mask_maker if name == first else None)
            for name, values in self.rows.read(block, self.rows.columns).items()
        }

    def _seen(self, block: int, columns: Columns) -> Columns:
        """The columns of a block; warns of the first that has a row without steps."""
        for name in each_of(self.names[0]) if self._warns else ():
            col = columns[name]
            empty = np.nonzero(col.lengths() == 0)[0] if isinstance(col, RaggedColumn) else np.zeros(0, np.int64)
            if len(empty):
                self._warns = False
                warnings.warn(
                    f"rows of {name!r} have no steps; the first that came is "
                    f"{self.name_of(int(self.rows.blocks[block] + empty[0]))}. "
                    "They are legal: sums, means, maxima over none give 0, recurrent layers their initial state.",
                    EmptyRowsWarning,
                    stacklevel=2,
                )
                break
        return columns

    def _batch(self, pieces: list[tuple[Columns, Int]], rows: Int) -> Batch:
        made = {name: end_to_end([columns[name].take(own) for columns, own in pieces]) for name in self.rows.columns}
        x, y, weight = (with_keys(names, lambda _, name: made[name]) for names in self.names)
        return Batch(x, y, weight, rows, self.planner.room)
