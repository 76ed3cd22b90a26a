"""Ragged: steps of all rows end to end, and the partition that says where each row begins.

Legend of shapes, used in all of padless: N steps of all rows end to end, B rows, T longest row (or padded length),
D features, H heads.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
import numpy.typing as npt
import optree

from padless import backends
from padless.errors import ArgumentError, DataError, MaskError, ShapeError, explain
from padless.rows import PairRows, RowPartition, require_same_steps

if TYPE_CHECKING:
    import awkward
    import pyarrow
    import tensorflow

Array = Any

_UFUNCS: dict[str, Callable[[Any, Any], Any]] = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "true_divide": operator.truediv,
    "floor_divide": operator.floordiv,
    "remainder": operator.mod,
    "power": operator.pow,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
    "equal": operator.eq,
    "not_equal": operator.ne,
}


def _never_dense(how: str) -> NoReturn:
    raise MaskError(
        explain(
            how,
            expected="an explicit way out of rows, since a dense array would lose them",
            got="a Ragged",
            fix="x.values for the packed steps, x.to_padded(value=0) for a padded array, x.to_list() for a list",
        )
    )


class Ragged:
    """A batch of sequences of unequal length, packed.

    Args:
        values: (N, ...) array of any backend: the steps of all rows, end to end.
        rows: where the rows begin and end.

    Raises:
        ShapeError: when values and rows do not have the same number of steps.

    Example:
        >>> x = Ragged.from_list([[1, 2], [], [3, 4, 5]])
        >>> x.shape, x.rows.row_lengths.tolist()
        ((3, None), [2, 0, 3])
        >>> (x * 2).to_padded().tolist()
        [[2, 4, 0], [0, 0, 0], [6, 8, 10]]

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
    def from_list(cls, rows: Sequence[Any], dtype: npt.DTypeLike | None = None) -> Ragged:
        """Make a ragged value of a list of sequences.

        Args:
            rows: B sequences: lists of numbers, lists of feature lists, NumPy arrays or tensors.
            dtype: of the values; the default keeps arrays as they are, makes int64 of ints and float32 of floats.

        Returns:
            The value, on the host (arrays of one framework stay there).

        Raises:
            DataError: when the rows do not have the same features; it names the first row that differs.

        Example:
            >>> Ragged.from_list([[1, 2], [3]]).values.tolist()
            [1, 2, 3]
        """
        if isinstance(rows, str | bytes) or not hasattr(rows, "__len__"):
            raise DataError(
                explain(
                    "Ragged.from_list",
                    expected="a list of sequences",
                    got=type(rows).__name__,
                    fix="Ragged.from_list([[1, 2], [3]])",
                )
            )
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
                (holes). None: all are real.

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
            if live.shape != shape:
                raise ShapeError(
                    explain(
                        "mask",
                        expected=f"the shape {shape} of the array's rows and steps",
                        got=f"shape {live.shape}",
                        fix="a bool array (B, T), True where the step is real",
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
            values: (N, ...).
            row_splits: (B+1,) int, from 0 to N.

        Returns:
            The value; the steps are not copied.

        Example:
            >>> import numpy as np
            >>> Ragged.from_row_splits(np.arange(3), [0, 1, 3]).to_list()
            [[0], [1, 2]]
        """
        return cls(
            backends.of(values).asarray(values), RowPartition(np.asarray(backends.of(row_splits).to_host(row_splits)))
        )

    @classmethod
    def from_lengths(cls, values: Array, lengths: npt.ArrayLike) -> Ragged:
        """Make a ragged value of packed steps and the number of steps of each row.

        Args:
            values: (N, ...).
            lengths: (B,) int, N in all.

        Returns:
            The value; the steps are not copied.

        Example:
            >>> import numpy as np
            >>> Ragged.from_lengths(np.arange(3), [1, 2]).to_list()
            [[0], [1, 2]]
        """
        counts = np.asarray(backends.of(lengths).to_host(lengths))
        return cls(backends.of(values).asarray(values), RowPartition.from_lengths(counts))

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
    def from_arrow(cls, column: pyarrow.Array | pyarrow.ChunkedArray) -> Ragged:
        """Make a ragged value of an Arrow list column, without a copy where Arrow allows it.

        Args:
            column: list or large_list of numbers, or of fixed-size lists of numbers.

        Returns:
            The value, NumPy.

        Raises:
            DataError: when rows or steps are null, or the column is no list.
        """
        import pyarrow as pa

        if isinstance(column, pa.ChunkedArray):
            column = column.combine_chunks()
        if not (pa.types.is_list(column.type) or pa.types.is_large_list(column.type)):
            raise DataError(
                explain(
                    "from_arrow",
                    expected="a column of lists",
                    got=str(column.type),
                    fix="cast it to pa.large_list(...)",
                )
            )
        flat = column.flatten()
        if column.null_count or flat.null_count:
            raise DataError(
                explain(
                    "from_arrow",
                    expected="no nulls",
                    got=f"{column.null_count} null rows and {flat.null_count} null steps",
                    fix="drop or fill them first: column.drop_null(), pc.fill_null(column, ...)",
                )
            )
        offsets = column.offsets.to_numpy()
        width: tuple[int, ...] = ()
        while pa.types.is_fixed_size_list(flat.type):
            width = (*width, flat.type.list_size)
            flat = flat.flatten()
        values = (
            flat.to_numpy(zero_copy_only=False).reshape((-1, *width)) if width else flat.to_numpy(zero_copy_only=False)
        )
        return cls(values, RowPartition(offsets - offsets[0]))

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
        """Make a ragged value of a tf.RaggedTensor with one ragged axis.

        Args:
            x: the tensor.

        Returns:
            The value, NumPy.
        """
        return cls(x.values.numpy(), RowPartition(x.row_splits.numpy()))

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
        """(B, None, D...): the second axis has no single length."""
        return (self.rows.nrows, None, *(int(n) for n in self.values.shape[1:]))

    @property
    def ndim(self) -> int:
        """Number of axes, the ragged one included."""
        return int(self.values.ndim) + 1

    @property
    def dtype(self) -> Any:
        """Dtype of the values."""
        return self.values.dtype

    @property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(B, T) True where `to_padded()` holds a live step."""
        return self.rows.mask

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

    def to(self, device: Any) -> Ragged:
        """Move the values to a device of their framework.

        Args:
            device: as the framework names it, such as "cuda:0".

        Returns:
            The moved value; the partition stays on the host.
        """
        return self.with_values(backends.of(self.values).to_device(self.values, device))

    # ---- out

    def to_padded(self, value: float = 0, side: str | None = None, length: int | None = None) -> Array:
        """Make a padded array.

        Args:
            value: what stands where no step is.
            side: "post" or "pre": where the padding goes. None: where it was in the array that the rows came from,
                else "post".
            length: T. None: that of the array that the rows came from, else the longest row.

        Returns:
            (B, T, ...), of the framework of the values.

        Raises:
            ShapeError: when a row is longer than `length`.
            ArgumentError: when `side` is neither.

        Example:
            >>> Ragged.from_list([[1, 2], [3]]).to_padded(side="pre", value=-1).tolist()
            [[1, 2], [-1, 3]]
        """
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
        flat = backends.of(self.values).to_host(self.values).tolist()
        splits = self.rows.row_splits.tolist()
        return [flat[a:b] for a, b in itertools.pairwise(splits)]

    def numpy(self) -> Ragged:
        """Make the same value with NumPy values.

        Returns:
            The value, on the host.
        """
        return self.with_values(backends.of(self.values).to_host(self.values))

    # ---- rows

    def __len__(self) -> int:
        return self.rows.nrows

    def __iter__(self) -> Iterator[Array]:
        if isinstance(self.rows, PairRows):
            return map(self._row, range(len(self)))
        splits = self.rows.row_splits.tolist()
        return (self.values[a:b] for a, b in itertools.pairwise(splits))

    def __getitem__(self, item: Any) -> Any:
        """A row's steps for a number; a Ragged of rows for a slice, a list or an array of numbers or of bools."""
        if isinstance(item, int | np.integer):
            row = operator.index(item)
            if not -len(self) <= row < len(self):
                raise IndexError(
                    explain("Ragged", expected=f"a row from 0 to {len(self) - 1}", got=str(row), fix="len(x)")
                )
            return self._row(row % len(self))
        if isinstance(item, tuple):
            raise MaskError(
                explain(
                    "Ragged[...]",
                    expected="rows only",
                    got=f"{len(item)} indices",
                    fix="x.with_values(x.values[:, i]) for a feature, padless.row_last(x) for the last step",
                )
            )
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
        owner = backends.of(self.values)
        return Ragged(owner.xp.take(self.values, owner.asarray(index), axis=0), rows)

    # ---- operators keep the rows

    def _operate(self, name: str, function: Callable[[Any, Any], Any], other: Any, swap: bool = False) -> Ragged:
        if isinstance(other, Ragged):
            require_same_steps(f"operator {name}", self.rows, other.rows)
            if other.values.ndim != self.values.ndim:  # (N,) beside (N, D) would broadcast where N happens to be D
                raise ShapeError(
                    explain(
                        f"operator {name}",
                        expected="steps of as many axes on both sides",
                        got=f"{self!r} and {other!r}",
                        fix="x.with_values(x.values[:, None]) beside features",
                    )
                )
            right = other.values
        elif getattr(other, "ndim", 0) == 0 and not isinstance(other, list | tuple | str):
            # NumPy's numbers are plain ones here: other frameworks' arrays do not know them.
            right = other.item() if isinstance(other, np.generic | np.ndarray) else other
        else:
            shape = tuple(getattr(other, "shape", ())) or f"a {type(other).__name__}"
            raise MaskError(
                explain(
                    f"operator {name}",
                    expected="a number or a Ragged with the same rows",
                    got=f"{shape} beside {self!r}",
                    fix="padless.spread(other, x) gives each row's entry to all its steps; "
                    "x.with_values(x.values + other) for one entry per feature or per packed step",
                )
            )
        return self.with_values(function(right, self.values) if swap else function(self.values, right))

    def __add__(self, other: Any) -> Ragged:
        return self._operate("+", operator.add, other)

    def __radd__(self, other: Any) -> Ragged:
        return self._operate("+", operator.add, other, swap=True)

    def __sub__(self, other: Any) -> Ragged:
        return self._operate("-", operator.sub, other)

    def __rsub__(self, other: Any) -> Ragged:
        return self._operate("-", operator.sub, other, swap=True)

    def __mul__(self, other: Any) -> Ragged:
        return self._operate("*", operator.mul, other)

    def __rmul__(self, other: Any) -> Ragged:
        return self._operate("*", operator.mul, other, swap=True)

    def __truediv__(self, other: Any) -> Ragged:
        return self._operate("/", operator.truediv, other)

    def __rtruediv__(self, other: Any) -> Ragged:
        return self._operate("/", operator.truediv, other, swap=True)

    def __floordiv__(self, other: Any) -> Ragged:
        return self._operate("//", operator.floordiv, other)

    def __rfloordiv__(self, other: Any) -> Ragged:
        return self._operate("//", operator.floordiv, other, swap=True)

    def __mod__(self, other: Any) -> Ragged:
        return self._operate("%", operator.mod, other)

    def __pow__(self, other: Any) -> Ragged:
        return self._operate("**", operator.pow, other)

    def __rpow__(self, other: Any) -> Ragged:
        return self._operate("**", operator.pow, other, swap=True)

    def __and__(self, other: Any) -> Ragged:
        return self._operate("&", operator.and_, other)

    def __or__(self, other: Any) -> Ragged:
        return self._operate("|", operator.or_, other)

    def __lt__(self, other: Any) -> Ragged:
        return self._operate("<", operator.lt, other)

    def __le__(self, other: Any) -> Ragged:
        return self._operate("<=", operator.le, other)

    def __gt__(self, other: Any) -> Ragged:
        return self._operate(">", operator.gt, other)

    def __ge__(self, other: Any) -> Ragged:
        return self._operate(">=", operator.ge, other)

    def __eq__(self, other: object) -> Any:
        return self._operate("==", operator.eq, other)

    def __ne__(self, other: object) -> Any:
        return self._operate("!=", operator.ne, other)

    def __matmul__(self, other: Any) -> Ragged:
        """Every step times a (D, E) matrix."""
        if isinstance(other, Ragged) or getattr(other, "ndim", 0) not in (1, 2):
            raise MaskError(
                explain(
                    "operator @", expected="a (D, E) matrix on the right", got=repr(other), fix="x @ kernel, per step"
                )
            )
        return self.with_values(self.values @ other)

    def __neg__(self) -> Ragged:
        return self.with_values(-self.values)

    def __abs__(self) -> Ragged:
        return self.with_values(abs(self.values))

    def __invert__(self) -> Ragged:
        return self.with_values(~self.values)

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
        # NumPy numbers and arrays on the left of an operator come here: numbers are fine, arrays are refused there.
        if method == "__call__" and ufunc.__name__ in _UFUNCS and len(inputs) == 2 and not kwargs:
            left, right = inputs
            function = _UFUNCS[ufunc.__name__]
            if isinstance(left, Ragged):
                return left._operate(ufunc.__name__, function, right)
            if isinstance(right, Ragged):
                return right._operate(ufunc.__name__, function, left, swap=True)
        return _never_dense(f"numpy.{ufunc.__name__} of a Ragged")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", str(function)).strip("_")
        # tensor + ragged arrives here first; a tensor that holds one number is a number.
        if (
            len(args) == 2
            and not kwargs
            and isinstance(args[1], cls)
            and name in ("add", "sub", "mul", "radd", "rmul", "rsub")
        ):
            left, right = args
            function = {"a": operator.add, "s": operator.sub, "m": operator.mul}[name.removeprefix("r")[0]]
            return right._operate(name, function, left, swap=not name.startswith("r"))
        return _never_dense(f"torch {name} of a Ragged")

    def __reduce__(self) -> tuple[Any, ...]:
        owner = backends.of(self.values)
        if owner.compiles:  # JAX makes 32 bits of 64 when it reads its own pickles
            return (_restored, (owner.name, owner.to_host(self.values), owner.dtype_name(self.values), self.rows))
        return (Ragged, (self.values, self.rows))

    def __repr__(self) -> str:
        dtype = backends.of(self.values).dtype_name(self.values)
        return f"Ragged(shape={self.shape}, {dtype}, lengths={self.rows.lengths_text})"


def _restored(backend: str, values: npt.NDArray[Any], dtype: str, rows: RowPartition) -> Ragged:
    return Ragged(backends.get(backend).asarray(values, dtype), rows)


def _unflatten(rows: RowPartition, children: Sequence[Any]) -> Ragged:
    # Trees are also filled with things that are no arrays (None, shapes, markers), so nothing is checked here.
    made = object.__new__(Ragged)
    made.values, made.rows = children[0], rows
    return made


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
            raise DataError(_bad_row(rows, str(wrong))) from None
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
        raise DataError(_bad_row(rows, f"values of type {values.dtype}"))
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


def _bad_row(rows: Sequence[Any], what: str) -> str:
    return explain(
        "a list of sequences",
        expected=f"{len(rows)} rows of numbers whose steps all have the same shape",
        got=what,
        fix="turn words into ids with a Tokenizer first; give each step the same features",
    )
