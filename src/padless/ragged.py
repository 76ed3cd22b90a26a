"""Ragged: steps of all rows end to end, and the partition that says where each row begins.

Rows within rows, such as documents of sentences of words, are a Ragged whose `values` is a Ragged: the steps of a row
are rows themselves.

Legend of shapes, used in all of padless: N steps of all rows end to end, B rows, T longest row (or padded length),
D features, H heads. Of rows within rows: S longest row of rows, W longest row of these.
"""

from __future__ import annotations

import itertools
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
import optree

from padless import backends
from padless.errors import ArgumentError, DataError, MaskError, ShapeError, explain
from padless.operators import OPERATORS, Operators, sign_of_ufunc, torch_operator
from padless.rows import PairRows, RowPartition, naming_outer_rows, require_same_steps, rows_end_to_end

if TYPE_CHECKING:
    import awkward
    import pyarrow
    import tensorflow

Array = Any


def _never_dense(how: str) -> NoReturn:
    raise MaskError(
        explain(
            how,
            expected="an explicit way out of rows, since a dense array would lose them",
            got="a Ragged",
            fix="x.values for the packed steps, x.to_padded(value=0) for a padded array, x.to_list() for a list",
        )
    )


class Ragged(Operators):
    """A batch of sequences of unequal length, packed.

    Args:
        values: (N, ...) array of any backend: the steps of all rows, end to end. Of rows within rows a Ragged of N
            rows, each of which is a step.
        rows: where the rows begin and end.

    Raises:
        ShapeError: when values and rows do not have the same number of steps.

    Example:
        >>> x = Ragged.from_list([[1, 2], [], [3, 4, 5]])
        >>> x.shape, x.rows.row_lengths.tolist()
        ((3, None), [2, 0, 3])
        >>> (x * 2).to_padded().tolist()
        [[2, 4, 0], [0, 0, 0], [6, 8, 10]]
        >>> documents = Ragged.from_list([[[1, 2], [3]], [[4]]])
        >>> documents.shape, documents.rows.row_lengths.tolist(), documents.values.rows.row_lengths.tolist()
        ((2, None, None), [2, 1], [2, 1, 1])

    Source: values and row_splits as in tf.RaggedTensor (TensorFlow) and in Arrow lists.
    """

    __slots__ = ("__weakref__", "rows", "values")
    __hash__ = None  # type: ignore[assignment]  # compares element by element, as arrays do

    def __init__(self, values: Array, rows: RowPartition) -> None:
        shape = getattr(values, "shape", None)
        if not shape or shape[0] != rows.nvals:
            raise ShapeError(
                explain(
                    "Ragged",
                    expected=f"values with {rows.nvals} steps as first axis",
                    got=f"{type(values).__name__} of shape {None if shape is None else tuple(shape)}",
                    fix="Ragged.from_list, from_padded, from_lengths or from_row_splits",
                )
            )
        self.values = values
        self.rows = rows

    # ---- in

    @classmethod
    def from_list(
        cls, rows: Sequence[Any], dtype: npt.DTypeLike | None = None, *, ragged_rank: int | None = None
    ) -> Ragged:
        """Make a ragged value of a list of sequences.

        Args:
            rows: B sequences: lists of numbers, lists of feature lists, NumPy arrays or tensors.
            dtype: of the values; the default keeps arrays as they are, makes int64 of ints and float32 of floats.
            ragged_rank: how many axes after the first vary: 1 for rows, 2 for rows within rows. None: 2 when the rows
                are lists of sequences of unequal length, else 1.

        Returns:
            The value, on the host (arrays of one framework stay there).

        Raises:
            DataError: when the rows do not have the same features; it names the first row that differs.
            ArgumentError: when ragged_rank is not a number from 1 on.

        Example:
            >>> Ragged.from_list([[1, 2], [3]]).values.tolist()
            [1, 2, 3]
            >>> Ragged.from_list([[[1, 2], [3, 4]]]).shape, Ragged.from_list([[[1, 2], [3, 4]]], ragged_rank=2).shape
            ((1, None, 2), (1, None, None))
        """
        if ragged_rank is not None and (not isinstance(ragged_rank, int) or ragged_rank < 1):
            raise ArgumentError(
                explain(
                    "Ragged.from_list(ragged_rank=...)",
                    expected="a whole number from 1 on",
                    got=repr(ragged_rank),
                    fix="2 for rows within rows, 1 for steps of equal features",
                )
            )
        if isinstance(rows, str | bytes) or not hasattr(rows, "__len__"):
            raise DataError(
                explain(
                    "Ragged.from_list",
                    expected="a list of sequences",
                    got=type(rows).__name__,
                    fix="Ragged.from_list([[1, 2], [3]])",
                )
            )
        if any(isinstance(row, Ragged) for row in rows):
            rows, ragged_rank = [list(row) if isinstance(row, Ragged) else row for row in rows], ragged_rank or 2
        rank = (2 if _has_rows_within(rows) else 1) if ragged_rank is None else ragged_rank
        if rank > 1:
            return _from_rows_within(cls, rows, dtype, rank)
        if len(rows) and all(_is_foreign(row) for row in rows):
            owner = backends.of(rows[0])
            lengths = [int(row.shape[0]) for row in rows]
            return cls(owner.xp.concat(list(rows)), RowPartition.from_lengths(lengths))
        return _from_host_rows(cls, rows, dtype)

    @classmethod
    def from_padded(cls, x: Array, mask: npt.ArrayLike | None = None) -> Ragged:
        """Make a ragged value of a padded array, which remembers where every step stood.

        Args:
            x: (B, T, ...).
            mask: (B, T) bool, True where the step is real; masked steps may lie at either end or in the middle
                (holes). None: all are real. (B, S, W) for rows within rows: those without a real step are padding
                before the first and after the last that has one, and empty rows between these.

        Returns:
            The value; `to_padded()` puts every step back to its place.

        Raises:
            ShapeError: when x or the mask has the wrong shape or dtype.

        Example:
            >>> import numpy as np
            >>> x = Ragged.from_padded(np.array([[0, 7], [8, 9]]), np.array([[False, True], [True, True]]))
            >>> x.to_list()
            [[7], [8, 9]]
            >>> x.to_padded().tolist()
            [[0, 7], [8, 9]]
            >>> ids = np.array([[[1, 2], [3, 0], [0, 0]]])
            >>> Ragged.from_padded(ids, ids != 0).to_list()
            [[[1, 2], [3]]]
        """
        owner = backends.of(x)
        x = owner.asarray(x)
        if x.ndim < 2:
            raise ShapeError(
                explain(
                    "from_padded",
                    expected="an array (B, T) or (B, T, ...)",
                    got=f"shape {tuple(x.shape)}",
                    fix="x[None] for one sequence",
                )
            )
        shape = (int(x.shape[0]), int(x.shape[1]))
        if mask is None:
            rows = RowPartition.uniform(*shape)
        else:
            live = np.asarray(backends.of(mask).to_host(mask))
            if live.ndim > 2 and live.shape == tuple(x.shape[: live.ndim]):
                some = np.asarray(live.any(axis=tuple(range(2, live.ndim))))
                before, after = (np.logical_or.accumulate(part, axis=1) for part in (some, some[:, ::-1]))
                real = before & after[:, ::-1]
                outer = cls.from_padded(x, real)
                return outer.with_values(cls.from_padded(outer.values, live[real]))
            if live.shape != shape:
                raise ShapeError(
                    explain(
                        "mask",
                        expected=f"the shape {shape} of the array's rows and steps",
                        got=f"shape {live.shape}",
                        fix="a bool array (B, T), or (B, S, W) for rows within rows, True where the step is real",
                    )
                )
            rows = RowPartition.from_mask(live)
        flat = owner.xp.reshape(x, (shape[0] * shape[1], *x.shape[2:]))
        if not rows.is_uniform:
            flat = owner.xp.take(flat, owner.index(rows, "padded_index"), axis=0)
        return cls(flat, rows)

    @classmethod
    def from_row_splits(cls, values: Array, row_splits: npt.ArrayLike) -> Ragged:
        """Make a ragged value of packed steps and the places where rows begin.

        Args:
            values: (N, ...), or a Ragged of N rows.
            row_splits: (B+1,) int, from 0 to N.

        Returns:
            The value; the steps are not copied.

        Example:
            >>> import numpy as np
            >>> Ragged.from_row_splits(np.arange(3), [0, 1, 3]).to_list()
            [[0], [1, 2]]
        """
        return cls(_steps(values), RowPartition(np.asarray(backends.of(row_splits).to_host(row_splits))))

    @classmethod
    def from_lengths(cls, values: Array, lengths: npt.ArrayLike) -> Ragged:
        """Make a ragged value of packed steps and the number of steps of each row.

        Args:
            values: (N, ...), or a Ragged of N rows.
            lengths: (B,) int, N in all.

        Returns:
            The value; the steps are not copied.

        Example:
            >>> import numpy as np
            >>> Ragged.from_lengths(np.arange(3), [1, 2]).to_list()
            [[0], [1, 2]]
        """
        counts = np.asarray(backends.of(lengths).to_host(lengths))
        return cls(_steps(values), RowPartition.from_lengths(counts))

    @classmethod
    def from_pairs(cls, rows: Sequence[Any]) -> Ragged:
        """Make a ragged value with an entry for each pair of two steps, such as a mask for attention.

        Args:
            rows: B arrays or nested lists (n, m), or (H, n, m): n queries and m keys, as many as the row has.

        Returns:
            The value; x[i] and lists have the arrays (n, m) or (H, n, m) again, `to_padded` makes (B, T, S) or
            (B, H, T, S) of them. `values` is (P,) or (P, H): the pairs of all rows, end to end.

        Raises:
            DataError: when a row is no such array.

        Example:
            >>> mask = Ragged.from_pairs([[[True, False]], [[True], [False]]])
            >>> mask.to_list()
            [[[True, False]], [[True], [False]]]
            >>> mask.values.tolist()
            [True, False, True, False]
        """
        arrays = [np.asarray(backends.of(row).to_host(row)) if _is_foreign(row) else np.asarray(row) for row in rows]
        ranks = {array.ndim for array in arrays}
        if not ranks <= {2} and not ranks <= {3}:
            wrong = next(at for at, array in enumerate(arrays) if array.ndim not in (2, 3) or array.ndim != max(ranks))
            raise DataError(
                explain(
                    "Ragged.from_pairs",
                    expected="rows (n, m), or (H, n, m) in every row",
                    got=f"row {wrong} of shape {arrays[wrong].shape}",
                    fix="np.zeros((0, m)) for a row without queries",
                )
            )
        shapes = np.array([array.shape[-2:] for array in arrays], np.int64).reshape(-1, 2)
        pairs = PairRows(RowPartition.from_lengths(shapes[:, 0]), RowPartition.from_lengths(shapes[:, 1]))
        flat = [
            np.moveaxis(array, 0, -1).reshape(-1, len(array)) if array.ndim == 3 else array.ravel() for array in arrays
        ]
        return cls(np.concatenate(flat) if flat else np.zeros(0, bool), pairs)

    @classmethod
    def from_arrow(cls, column: Any) -> Ragged:
        """Make a ragged value of an Arrow list column; the steps are not copied, bools and several chunks excepted.

        Args:
            column: a pyarrow Array or ChunkedArray of list, large_list, list_view, large_list_view or fixed_size_list.
                They hold numbers, bools or texts; fixed-size lists of these, which are features; or lists again, which
                make rows within rows. Slices, dictionaries and runs are fine.

        Returns:
            The value, NumPy, in the dtype of the column. It reads Arrow's memory, which nobody may write.

        Raises:
            DataError: when a row or a step is null, or the column is no list; it names the first row.
            DTypeError: when the lists hold anything else, such as dates; it says what to write.

        Example:
            >>> import pyarrow as pa
            >>> x = Ragged.from_arrow(pa.array([[1, 2], [], [3]]))
            >>> x.shape, x.values.tolist()
            ((3, None), [1, 2, 3])
        """
        from padless.data.arrow import rows_of

        return rows_of(column)

    @classmethod
    def from_nested(cls, x: Any) -> Ragged:
        """Make a ragged value of a jagged torch NestedTensor; the steps are not copied.

        Args:
            x: made by torch.nested with layout=torch.jagged.

        Returns:
            The value.
        """
        return cls(x.values(), RowPartition(x.offsets().cpu().numpy()))

    @classmethod
    def from_tensorflow(cls, x: tensorflow.RaggedTensor) -> Ragged:
        """Make a ragged value of a tf.RaggedTensor.

        Args:
            x: the tensor, or a RaggedTensorValue.

        Returns:
            The value, NumPy.
        """
        inner = x.values
        values = cls.from_tensorflow(inner) if hasattr(inner, "row_splits") else np.asarray(inner)
        return cls(values, RowPartition(np.asarray(x.row_splits)))

    @classmethod
    def from_awkward(cls, x: awkward.Array) -> Ragged:
        """Make a ragged value of an Awkward array whose second axis is the ragged one.

        Args:
            x: the array.

        Returns:
            The value, NumPy.
        """
        import awkward as ak

        counts = ak.to_numpy(ak.num(x, axis=1))
        return cls(ak.to_numpy(ak.flatten(x, axis=1)), RowPartition.from_lengths(counts))

    # ---- shape and kind

    @property
    def shape(self) -> tuple[int | None, ...]:
        """(B, None, D...): the second axis has no single length; nor the third, of rows within rows."""
        return (self.rows.nrows, None, *(None if n is None else int(n) for n in self.values.shape[1:]))

    @property
    def ndim(self) -> int:
        """Number of axes, the ragged one included."""
        return int(self.values.ndim) + 1

    @property
    def dtype(self) -> Any:
        """Dtype of the values."""
        return self.values.dtype

    @property
    def ragged_rank(self) -> int:
        """How many axes after the first vary: 1, or 2 for rows within rows."""
        return 1 + self.values.ragged_rank if isinstance(self.values, Ragged) else 1

    @property
    def flat_values(self) -> Array:
        """(N, ...) the innermost steps end to end: `values`, or those of the rows within the rows."""
        values = self.values
        return values.flat_values if isinstance(values, Ragged) else values

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(B, T) True where `to_padded()` holds a live step; (B, S, W) of rows within rows."""
        if not isinstance(self.values, Ragged):
            return self.rows.mask
        inner = self.values.mask
        mask = np.zeros((self.rows.nrows * self.rows.padded_length, *inner.shape[1:]), np.bool_)
        mask[self.rows.padded_index] = inner
        return mask.reshape((self.rows.nrows, self.rows.padded_length, *inner.shape[1:]))

    def with_values(self, values: Array) -> Ragged:
        """Make a sibling: the same rows with other values.

        Args:
            values: (N, ...).

        Returns:
            The sibling.

        Raises:
            ShapeError: when the number of steps is another.

        Example:
            >>> x = Ragged.from_list([[1, 2], [3]])
            >>> x.with_values(x.values + 1).to_list()
            [[2, 3], [4]]
        """
        return Ragged(values, self.rows)

    def with_flat_values(self, values: Array) -> Ragged:
        """Make a sibling: the same rows, and rows within them, with other innermost values.

        Args:
            values: (N, ...).

        Returns:
            The sibling.

        Raises:
            ShapeError: when the number of steps is another.

        Example:
            >>> x = Ragged.from_list([[[1, 2], [3]], [[4]]])
            >>> x.with_flat_values(-x.flat_values).to_list()
            [[[-1, -2], [-3]], [[-4]]]
        """
        return self.with_values(self.values.with_flat_values(values) if isinstance(self.values, Ragged) else values)

    def to(self, device: Any) -> Ragged:
        """Move the values to a device of their framework.

        Args:
            device: as the framework names it, such as "cuda:0".

        Returns:
            The moved value; the partition stays on the host.
        """
        flat = self.flat_values
        return self.with_flat_values(backends.of(flat).to_device(flat, device))

    # ---- out

    def to_padded(
        self, value: float = 0, side: str | None = None, length: int | tuple[int | None, ...] | None = None
    ) -> Array:
        """Make a padded array.

        Args:
            value: what stands where no step is.
            side: "post" or "pre": where the padding goes. None: where it was in the array that the rows came from,
                else "post".
            length: T. None: that of the array that the rows came from, else the longest row. (S, W) for rows within
                rows.

        Returns:
            (B, T, ...), of the framework of the values; (B, S, W, ...) of rows within rows.

        Raises:
            ShapeError: when a row is longer than `length`.
            ArgumentError: when `side` is neither, or there is not a length for each axis that varies.

        Example:
            >>> Ragged.from_list([[1, 2], [3]]).to_padded(side="pre", value=-1).tolist()
            [[1, 2], [-1, 3]]
        """
        lengths = (None,) * self.ragged_rank if length is None else length if isinstance(length, tuple) else (length,)
        if len(lengths) != self.ragged_rank:
            raise ArgumentError(
                explain(
                    "to_padded(length=...)",
                    expected=f"{self.ragged_rank} lengths, one for each axis that varies",
                    got=repr(length),
                    fix="length=(S, W) for rows within rows; None in the place of one for the longest",
                )
            )
        if isinstance(self.values, Ragged):
            return self.with_values(self.values.to_padded(value, side, lengths[1:])).to_padded(value, side, lengths[0])
        return self._one_axis_padded(value, side, lengths[0])

    def _one_axis_padded(self, value: float, side: str | None, length: int | None) -> Array:
        rows = self.rows
        if isinstance(rows, PairRows):
            return self._padded_pairs(rows, value, side, length)
        if side not in (None, "post", "pre"):
            raise ArgumentError(
                explain("to_padded side", expected="'post' or 'pre'", got=repr(side), fix="side='post'")
            )
        if length is not None and length < int(rows.extents.max(initial=0)):
            longest = int(rows.extents.argmax())
            raise ShapeError(
                explain(
                    "to_padded",
                    expected=f"rows of at most {length} steps",
                    got=f"row {longest} with {rows.extents[longest]} steps",
                    fix=f"length={int(rows.extents.max())}, or cut the row first",
                )
            )
        if side is not None or length is not None:
            total = rows.padded_length if length is None else length
            starts = (
                total - rows.extents if side == "pre" else rows.starts if side is None else np.zeros_like(rows.extents)
            )
            if (starts + rows.extents > total).any():
                starts = np.zeros_like(rows.extents)
            rows = RowPartition(rows.row_splits, positions=rows.positions, starts=starts, length=total)
        return pad(self.values, rows, value)

    def _padded_pairs(self, pairs: PairRows, value: float, side: str | None, length: int | None) -> Array:
        """(B, T, S), or (B, H, T, S) as Keras has it."""
        if side is not None or length is not None:
            raise ArgumentError(
                explain(
                    "to_padded of pairs",
                    expected="neither side nor length",
                    got=f"side={side!r}, length={length!r}",
                    fix="leave them out: queries and keys stand where they stood",
                )
            )
        xp, features = backends.of(self.values).xp, self.values.shape[1:]
        padded = pad(self.values, pairs, value)
        padded = xp.reshape(padded, (pairs.nrows, pairs.queries.padded_length, pairs.keys.padded_length, *features))
        return xp.permute_dims(padded, (0, *range(3, padded.ndim), 1, 2))

    def _row(self, row: int) -> Array:
        """The steps of a row; a row of pairs is (n, m), or (H, n, m)."""
        splits = self.rows.row_splits
        steps = self.values[int(splits[row]) : int(splits[row + 1])]
        if not isinstance(self.rows, PairRows):
            return steps
        xp, queries, keys = backends.of(self.values).xp, self.rows.queries, self.rows.keys
        table = xp.reshape(steps, (int(queries.row_lengths[row]), int(keys.row_lengths[row]), *steps.shape[1:]))
        return xp.permute_dims(table, (*range(2, table.ndim), 0, 1))

    def to_list(self) -> list[Any]:
        """Make a list of lists of the live steps.

        Returns:
            B lists.

        Example:
            >>> Ragged.from_list([[1, 2], []]).to_list()
            [[1, 2], []]
        """
        if isinstance(self.rows, PairRows):
            return [row.tolist() for row in self.numpy()]
        if isinstance(self.values, Ragged):
            flat: list[Any] = self.values.to_list()
        else:
            flat = backends.of(self.values).to_host(self.values).tolist()
        splits = self.rows.row_splits.tolist()
        return [flat[a:b] for a, b in itertools.pairwise(splits)]

    def to_arrow(self) -> pyarrow.Array:
        """Make an Arrow column of the rows, for Parquet, polars, pandas or HF datasets.

        Returns:
            large_list of numbers, of fixed-size lists where steps have features, of large_list for rows within rows.
            Values on the host are not copied, bools excepted. The places of masked steps are not written.

        Raises:
            MaskError: for pairs of steps.

        Example:
            >>> str(Ragged.from_list([[1, 2], []]).to_arrow().type)
            'large_list<item: int64>'
        """
        from padless.data.arrow import arrow_of

        return arrow_of(self)

    def numpy(self) -> Ragged:
        """Make the same value with NumPy values.

        Returns:
            The value, on the host.
        """
        flat = self.flat_values
        return self.with_flat_values(backends.of(flat).to_host(flat))

    # ---- rows

    def __len__(self) -> int:
        return self.rows.nrows

    def __iter__(self) -> Iterator[Array]:
        if isinstance(self.rows, PairRows):
            return map(self._row, range(len(self)))
        splits = self.rows.row_splits.tolist()
        return (self.values[a:b] for a, b in itertools.pairwise(splits))

    def __getitem__(self, item: Any) -> Any:
        """A row's steps for a number; a Ragged of rows for a slice, a list or an array of numbers or of bools.

        Several indices count axes as those of the padded array: `x[..., 1:3]`, `x[:, :, 0]` pick features and keep
        the rows; `x[:, 1:]` slices every row, `x[:, 0]` and `x[:, -1]` are the first and the last step of
        each. The steps of a row of rows are a Ragged themselves.
        """
        if isinstance(item, int | np.integer):
            row = operator.index(item)
            if not -len(self) <= row < len(self):
                raise IndexError(
                    explain("Ragged", expected=f"a row from 0 to {len(self) - 1}", got=str(row), fix="len(x)")
                )
            return self._row(row % len(self))
        if item is Ellipsis or isinstance(item, tuple):
            return _picked(self, item if isinstance(item, tuple) else (item,))
        if isinstance(item, slice):
            chosen = np.arange(len(self))[item]
        else:
            chosen = np.asarray(item)
            if chosen.dtype == np.bool_ and chosen.shape != (len(self),):
                raise ShapeError(
                    explain("Ragged[bools]", expected=f"{len(self)}, one per row", got=f"{chosen.shape}", fix="x[keep]")
                )
            chosen = (
                np.nonzero(chosen)[0]
                if chosen.dtype == np.bool_
                else np.arange(len(self))[chosen if chosen.size else []]
            )
        rows, index = self.rows.take(chosen)
        if isinstance(self.values, Ragged):
            return Ragged(self.values[index], rows)
        owner = backends.of(self.values)
        return Ragged(owner.xp.take(self.values, owner.asarray(index), axis=0), rows)

    # ---- operators keep the rows

    def _operate(self, sign: str, other: Any, swap: bool = False) -> Ragged:
        where = f"operator {sign}"
        function = OPERATORS[sign][1]
        if sign == "@":
            right = matrix_beside(where, self, other, swap)
        else:
            right = beside(where, self, other)
        return self.with_values(function(right, self.values) if swap else function(self.values, right))

    def _alone(self, name: str, function: Callable[[Any], Any]) -> Ragged:
        return self.with_values(function(self.values))

    def __eq__(self, other: object) -> Any:
        return self._operate("==", other)

    # ---- never dense by accident

    def __bool__(self) -> bool:
        raise MaskError(
            explain(
                "bool(Ragged)", expected="one truth value", got=repr(self), fix="len(x) > 0, or bool(x.values.any())"
            )
        )

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        _never_dense("np.asarray(Ragged)")

    # No __jax_array__: arrays of JAX would call it before they let `array * ragged` come here, numbers among them. A
    # JAX function of a Ragged raises its own TypeError, which names the class.

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        # NumPy numbers and arrays on the left of an operator come here.
        sign = sign_of_ufunc(ufunc.__name__) if method == "__call__" and len(inputs) == 2 and not kwargs else None
        if sign is not None:
            left, right = inputs
            if isinstance(left, Ragged):
                return left._operate(sign, right)
            return right._operate(sign, left, swap=True)
        return _never_dense(f"numpy.{ufunc.__name__} of a Ragged")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        # tensor + ragged arrives here first.
        known = torch_operator(name) if len(args) == 2 and not kwargs and isinstance(args[1], cls) else None
        if known is not None:
            return args[1]._operate(known[0], args[0], swap=not known[1])
        return _never_dense(f"torch {name.strip('_')} of a Ragged")

    def __reduce__(self) -> tuple[Any, ...]:
        if isinstance(self.values, Ragged):
            return (Ragged, (self.values, self.rows))
        owner = backends.of(self.values)
        if owner.compiles:  # JAX makes 32 bits of 64 when it reads its own pickles
            return (_restored, (owner.name, owner.to_host(self.values), owner.dtype_name(self.values), self.rows))
        return (Ragged, (self.values, self.rows))

    def _repr_html_(self) -> str:
        from padless.pictures.notebook import ragged_html

        return ragged_html(self)

    def __repr__(self) -> str:
        dtype = backends.of(self.flat_values).dtype_name(self.flat_values)
        lengths, inner = self.rows.lengths_text, self.values
        while isinstance(inner, Ragged):
            lengths, inner = f"{lengths} of {inner.rows.lengths_text}", inner.values
        return f"Ragged(shape={self.shape}, {dtype}, lengths={lengths})"


def _restored(backend: str, values: npt.NDArray[Any], dtype: str, rows: RowPartition) -> Ragged:
    return Ragged(backends.get(backend).asarray(values, dtype), rows)


def counted(values: Any, rows: RowPartition) -> Ragged:
    """Make a ragged value of steps that were counted already: nothing is checked.

    Args:
        values: (N, ...).
        rows: their partition.

    Returns:
        The value.
    """
    made = object.__new__(Ragged)
    made.values, made.rows = values, rows
    return made


def _unflatten(rows: RowPartition, children: Sequence[Any]) -> Ragged:
    # Trees are also filled with things that are no arrays (None, shapes, markers).
    return counted(children[0], rows)


def _flatten(x: Any) -> tuple[tuple[Any], RowPartition, tuple[str]]:
    return (x.values,), x.rows, ("values",)


# optree's types want a Collection here, which it never uses as one.
_register: Any = optree.register_pytree_node
_register(Ragged, _flatten, _unflatten, namespace="padless")


def pad(values: Array, rows: RowPartition, value: float = 0) -> Array:
    """Put packed steps back to their places in a padded array.

    Args:
        values: (N, ...).
        rows: their partition.
        value: what stands where no step is.

    Returns:
        (B, T, ...).
    """
    owner = backends.of(values)
    xp = owner.xp
    shape = (rows.nrows, rows.padded_length, *values.shape[1:])
    if rows.is_uniform:
        return xp.reshape(values, shape)
    return xp.reshape(owner.take_or(values, owner.index(rows, "pad_index"), value), shape)


def _steps(values: Any) -> Any:
    return values if isinstance(values, Ragged) else backends.of(values).asarray(values)


def _is_rows(row: Any) -> bool:
    """Whether a row is a list whose steps are sequences themselves; told by the first."""
    return isinstance(row, list | tuple) and (not row or (hasattr(row[0], "__len__") and not isinstance(row[0], str)))


def _has_rows_within(rows: Sequence[Any]) -> bool:
    """Whether the rows are lists of sequences of unequal length: an array would have said that these are features."""
    if not all(_is_rows(row) for row in rows):
        return False
    try:
        return len({len(step) for row in rows for step in row}) > 1
    except TypeError:  # numbers among the sequences
        return False


def _from_rows_within(cls: type[Ragged], rows: Sequence[Any], dtype: npt.DTypeLike | None, rank: int) -> Ragged:
    for at, row in enumerate(rows):
        if not all(hasattr(inner, "__len__") and getattr(inner, "ndim", 1) for inner in row):
            raise DataError(
                explain(
                    "a list of rows within rows",
                    expected="each row a list of sequences, as a document is one of sentences",
                    got=f"row {at} with steps that are no sequences",
                    fix="Ragged.from_list([[[1, 2], [3]], [[4]]]); ragged_rank=1 for a list of plain sequences",
                )
            )
    inner = cls.from_list([inner for row in rows for inner in row], dtype, ragged_rank=rank - 1)
    return cls(inner, RowPartition.from_lengths(np.array([len(row) for row in rows], np.int64)))


def end_to_end(parts: Sequence[Any]) -> Any:
    """Put the rows of several values one after the other.

    Args:
        parts: values (B, None, ...) with NumPy values, rows within rows and pairs of steps too; or arrays (B, ...).

    Returns:
        The value, or the array.

    Example:
        >>> end_to_end([Ragged.from_list([[1, 2], []]), Ragged.from_list([[7]])]).to_list()
        [[1, 2], [], [7]]
    """
    if len(parts) == 1:
        return parts[0]
    if not isinstance(parts[0], Ragged):
        return np.concatenate(parts)
    return Ragged(end_to_end([part.values for part in parts]), rows_end_to_end([part.rows for part in parts]))


def require_same_rows(where: str, one: Ragged, other: Ragged) -> None:
    """Raise unless two values have the same rows with the same steps, and so the rows within these.

    Args:
        where: the operation, as the user knows it.
        one: a value.
        other: another one; where only one of them has rows within rows, these do not matter.

    Raises:
        DataError: it names both, and the first row that differs.
    """
    require_same_steps(where, one.rows, other.rows)
    if isinstance(one.values, Ragged) and isinstance(other.values, Ragged):
        with naming_outer_rows(one.rows):
            require_same_rows(where, one.values, other.values)


def _picked(x: Ragged, items: tuple[Any, ...]) -> Any:
    """What several indices pick, counted as in the padded array."""
    rows, time, *features = spelled_out(items, x.ndim)
    if isinstance(x.rows, PairRows) and not all(map(_is_whole, (time, *features))):
        raise MaskError(
            explain(
                f"Ragged[{_shown(items)}]",
                expected="rows only: pairs of steps have two axes in time, of queries and of keys",
                got=repr(x),
                fix="x.to_padded(), or x[i] for the pairs of one row, and indices of that",
            )
        )
    if rows is None or time is None or isinstance(rows, int | np.integer):
        raise MaskError(
            explain(
                f"Ragged[{_shown(items)}]",
                expected="rows only, or indices that keep the axes of batch and time: x[:, :, i], x[..., i:j]",
                got=f"{len(items)} indices",
                fix="x[..., i], which is x.with_values(x.values[:, i]), for a feature; padless.row_last(x), or "
                "x[:, -1], for the last step of each row; x[i][j] for a step of one",
            )
        )
    if not _is_whole(rows):
        x = x[rows]
    whole: tuple[Any, ...] = (slice(None),)
    if isinstance(x.values, Ragged) and _is_whole(time):
        return x.with_values(x.values[(*whole, *features)])
    if _is_whole(time):
        return x.with_values(index(x.values, (*whole, *features)))
    owner = backends.of(x.values)
    if isinstance(time, slice) and (time.start, time.stop, time.step) == (None, None, -1):
        taken = owner.xp.take(x.values, owner.index(x.rows, "reverse_index"), axis=0)
        return x.with_values(index(taken, (*whole, *features)))
    if isinstance(time, slice) and (time.step or 1) > 0:
        from padless.row_ops import row_slice

        taken = row_slice(x, time.start, time.stop, time.step)
        return taken.with_values(index(taken.values, (*whole, *features)))
    if isinstance(time, int | np.integer) and time in (0, -1):
        ends = owner.index(x.rows, "last_index" if time else "first_index")
        return index(owner.take_or(x.values, ends, 0), (*whole, *features))
    raise MaskError(
        explain(
            f"Ragged[{_shown(items)}]",
            expected="a slice of every row (1:, :-1, ::-1), its first step (0) or its last (-1) as second index",
            got=_shown((time,)),
            fix="x[:, ::2], for example; x[i][j] gives a step of one row",
        )
    )


def spelled_out(items: tuple[Any, ...], axes: int) -> list[Any]:
    """Indices with one for each axis in place of an ellipsis and of those that were left out.

    Args:
        items: as between brackets.
        axes: of what they are for.

    Returns:
        The indices; each None among them is a new axis.

    Raises:
        ShapeError: when there are more than axes.

    Example:
        >>> spelled_out((..., 0), 3)
        [slice(None, None, None), slice(None, None, None), 0]
    """
    used = sum(item is not None and item is not Ellipsis for item in items)
    if used > axes or sum(item is Ellipsis for item in items) > 1:
        raise ShapeError(
            explain(f"x[{_shown(items)}]", expected=f"at most {axes} indices", got=str(used), fix="x[..., 0]")
        )
    at = next((n for n, item in enumerate(items) if item is Ellipsis), len(items))
    return [*items[:at], *[slice(None)] * (axes - used), *items[at + 1 :]]


def index(x: Array, items: tuple[Any, ...]) -> Array:
    """Index an array of any backend, lists and slices backwards included.

    Args:
        x: the array.
        items: numbers, slices, lists or arrays of numbers, None and Ellipsis.

    Returns:
        What they pick.

    Example:
        >>> import numpy as np
        >>> index(np.arange(4), (slice(None, None, -2),)).tolist()
        [3, 1]
    """
    owner = backends.of(x)
    made: list[Any] = []
    at = 0
    for item in spelled_out(items, x.ndim):
        if isinstance(item, list | tuple):
            item = np.asarray(item, np.int64 if not item else None)
        if isinstance(item, slice) and (item.step or 1) < 0:
            item = np.arange(x.shape[at])[item]
        made.append(owner.asarray(item) if isinstance(item, np.ndarray) else item)
        at += item is not None
    return x[tuple(made)]


def _is_whole(item: Any) -> bool:
    return isinstance(item, slice) and (item.start, item.stop, item.step) == (None, None, None)


def _shown(items: tuple[Any, ...]) -> str:
    def one(item: Any) -> str:
        if isinstance(item, slice):
            ends = ":".join("" if end is None else str(end) for end in (item.start, item.stop))
            return ends if item.step is None else f"{ends}:{item.step}"
        return "..." if item is Ellipsis else str(item)

    return ", ".join(map(one, items))


def beside(where: str, x: Ragged, other: Any) -> Array:
    """What stands beside the packed steps of a value in an operation element by element.

    Arrays broadcast as beside the padded array (B, T, D): from the right, and over the features alone.

    Args:
        where: the operation, for errors.
        x: (B, None, ...).
        other: a Ragged with the same rows, a number, or an array with an entry for each feature.

    Returns:
        (N, ...) steps, a number, or an array of the features.

    Raises:
        DataError: when the rows are others.
        ShapeError: when steps have another number of axes.
        MaskError: when an array would reach over time or the batch.

    Example:
        >>> import numpy as np
        >>> x = Ragged.from_list([[[1, 2]], [[3, 4], [5, 6]]])
        >>> (x * np.array([1, 10])).to_list()
        [[[1, 20]], [[3, 40], [5, 60]]]
    """
    if isinstance(other, Ragged):
        require_same_rows(where, x, other)
        if other.values.ndim != x.values.ndim:  # (N,) beside (N, D) would broadcast where N happens to be D
            raise ShapeError(
                explain(
                    where,
                    expected="steps of as many axes on both sides",
                    got=f"{x!r} and {other!r}",
                    fix="x.with_values(x.values[:, None]) beside features",
                )
            )
        return other.values
    shape = getattr(other, "shape", None)
    if shape == () or isinstance(other, numbers.Number):
        # NumPy's numbers are plain ones here: other frameworks' arrays do not know them.
        return other.item() if isinstance(other, np.generic | np.ndarray) else other
    if isinstance(x.values, Ragged):
        beside(where, x.values, other)
        return other  # for the operator of the inner rows
    if shape is not None and (array := _of_features(x.values, other)) is not None:
        return array
    raise MaskError(
        explain(
            where,
            expected="a number or a Ragged with the same rows, or an array with an entry for each feature",
            got=f"{tuple(shape) if shape else f'a {type(other).__name__}'} beside {x!r}",
            fix="padless.spread(other, x) gives each row's entry to all its steps; "
            "x.with_values(x.values + other) for one entry per packed step",
        )
    )


def _of_features(values: Array, other: Any) -> Array | None:
    """An array that broadcasts over the features of packed steps; None for any other."""
    own, given = tuple(values.shape[1:]), tuple(other.shape)
    while len(given) > len(own) and given[0] == 1:
        given = given[1:]
    pairs = zip(given[::-1], own[::-1], strict=False)
    if len(given) > len(own) or not all(a == b or 1 in (a, b) for a, b in pairs):
        return None
    owner = backends.of(values)
    array = like_values(owner, other, values)
    return array if len(given) == len(other.shape) else owner.xp.reshape(array, given)


def matrix_beside(where: str, x: Ragged, other: Any, swap: bool = False) -> Array:
    """What every step of a value is multiplied by: a matrix (D, E) or a vector (D,), or a matrix of the same step.

    Args:
        where: the operation, for errors.
        x: (B, None, ..., D).
        other: what stands beside it.
        swap: whether it stands on the left.

    Returns:
        The array.

    Raises:
        MaskError: when it is anything else.
    """
    axes = x.values.ndim - 1
    if isinstance(x.values, Ragged) and not isinstance(other, Ragged):
        return other  # for the operator of the inner rows
    if isinstance(other, Ragged):
        if axes > 1 and other.values.ndim > 2:
            require_same_rows(where, x, other)
            return other.values
    elif (axes > 1 and getattr(other, "ndim", 0) == 2) or (not swap and axes and getattr(other, "ndim", 0) in (1, 2)):
        inner = other.shape[-1 if swap else 0], x.values.shape[-2 if swap else -1]
        if inner[0] != inner[1]:
            raise ShapeError(
                explain(
                    where,
                    expected=f"{inner[1]} rows of the matrix, one for each feature" if not swap else "sizes that fit",
                    got=f"shape {tuple(other.shape)} on the {'left' if swap else 'right'} of {x!r}",
                    fix="x @ kernel, kernel of shape (D, E)",
                )
            )
        return like_values(backends.of(x.values), other, x.values)
    raise MaskError(
        explain(
            where,
            expected="a (D, E) matrix on the right, for every step, or a matrix per step on both sides",
            got=f"{other!r} on the {'left' if swap else 'right'} of {x!r}",
            fix="x @ kernel; ops.einsum('btd,btd->bt', x, y) for a product of steps of the same rows; "
            "layers.Attention() lets the steps of a row meet each other",
        )
    )


def like_values(owner: Any, other: Any, values: Array) -> Array:
    """An array of the backend of others, in their precision if it comes from the host."""
    if owner.is_array(other):
        return other
    host = backends.of(other).to_host(other)
    kind = owner.dtype_name(values)
    return owner.asarray(host, kind if host.dtype.kind == "f" and kind.startswith(("float", "bfloat")) else None)


def _is_foreign(row: Any) -> bool:
    return hasattr(row, "shape") and not isinstance(row, np.ndarray | np.generic)


def _from_host_rows(cls: type[Ragged], rows: Sequence[Any], dtype: npt.DTypeLike | None) -> Ragged:
    if (
        len(rows)
        and all(isinstance(row, list | tuple) for row in rows)
        and not any(isinstance(row[0], list | tuple | np.ndarray) for row in rows if row)
    ):
        # One flat list and one conversion: no Python per row beyond counting.
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        flat: list[Any] = []
        for row in rows:
            flat.extend(row)
        try:
            values = np.asarray(flat, dtype=dtype)
        except (ValueError, TypeError) as wrong:
            raise DataError(_bad_row(rows, _first_odd(rows) or str(wrong))) from None
    else:
        arrays = [_steps_of(rows, at) for at in range(len(rows))]
        for at, array in enumerate(arrays):
            if array.ndim == 0 or array.dtype == object:
                raise DataError(_bad_row(rows, f"row {at} is {type(rows[at]).__name__}, not a sequence of steps"))
        full = [array for array in arrays if array.size or array.ndim > 1]
        width = full[0].shape[1:] if full else ()
        for at, array in enumerate(arrays):
            if len(array) and array.shape[1:] != width:
                raise DataError(
                    _bad_row(rows, f"row {at} has steps of shape {array.shape[1:]}, the rows before {width}")
                )
        lengths = np.array([len(array) for array in arrays], np.int64)
        live = [array for array in arrays if len(array)]
        values = np.concatenate(live) if live else np.zeros((0, *width), arrays[0].dtype if arrays else np.int64)
        values = values if dtype is None else values.astype(dtype)
    if values.dtype == object or values.dtype.kind in "USO":
        raise DataError(_bad_row(rows, _first_odd(rows) or f"values of type {values.dtype}"))
    if dtype is None and not any(isinstance(row, np.ndarray) for row in rows):
        if values.dtype == np.float64:
            # Lists without a single step say nothing of their kind; ids are the better guess.
            values = values.astype(np.float32 if values.size else np.int64)
    return cls(values, RowPartition.from_lengths(lengths))


def _steps_of(rows: Sequence[Any], at: int) -> npt.NDArray[Any]:
    try:
        return np.asarray(rows[at])
    except ValueError:  # NumPy's word for steps of unequal length
        raise DataError(_bad_row(rows, f"row {at} has steps of unequal shapes")) from None


def _first_odd(rows: Sequence[Any]) -> str:
    """The first row with a step that is no number, for errors."""
    for at, row in enumerate(rows):
        for step in row:
            if step is None or isinstance(step, str | bytes) or np.asarray(step).dtype.kind not in "biufc":
                return f"row {at} with {step!r} in it"
    return ""


def _bad_row(rows: Sequence[Any], what: str) -> str:
    return explain(
        "a list of sequences",
        expected=f"{len(rows)} rows of numbers whose steps all have the same shape",
        got=what,
        fix="turn words into ids with a Tokenizer first; give each step the same features",
    )
