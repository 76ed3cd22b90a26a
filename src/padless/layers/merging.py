"""Layers that make one value of several."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import trailing_axes
from padless.lengths import Uniform
from padless.ops.products import einsum_of
from padless.ops.reductions import normalize
from padless.ragged import Ragged
from padless.row_ops import row_concat
from padless.rows import RowPartition
from padless.spec import Spec


class _Merge(Layer):
    """What element-by-element merges have: inputs that fit, and a function of them.

    Rows need the same rows in every input. Arrays broadcast as in Keras: an input with fewer axes gets new ones after
    the batch.
    """

    view = "steps"
    merges = True

    def call(self, x: Sequence[Array]) -> Array:
        """Merge.

        Args:
            x: arrays (N, ...).

        Returns:
            (N, ...).
        """
        first = x[0].shape
        if all(value.shape == first for value in x):
            return self._merged(list(x))
        self._require_fitting(x)
        axes = max(value.ndim for value in x)
        return self._merged(
            [self.xp.reshape(v, (*v.shape[:1], *(1 for _ in range(axes - v.ndim)), *v.shape[1:])) for v in x]
        )

    def _merged(self, x: list[Array]) -> Array:
        raise NotImplementedError

    def _require_fitting(self, x: Sequence[Array]) -> None:
        shapes = [tuple(value.shape) for value in x]
        # Compared, not put into sets: in a program that is being exported, a size may be a name.
        fitting = all(shape[:1] == shapes[0][:1] for shape in shapes)
        for axis in range(1, max(map(len, shapes))):
            sizes = [shape[-axis] for shape in shapes if len(shape) > axis and shape[-axis] != 1]
            fitting = fitting and all(size == sizes[0] for size in sizes)
        if not fitting:
            raise ShapeError(
                explain(
                    self.place,
                    expected="inputs of one shape, or of shapes that broadcast after the batch",
                    got=f"shapes {', '.join(map(str, shapes))}",
                    fix="bring them to one width first, with layers.Dense(units)",
                )
            )


class Add(_Merge):
    """Add several values, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) to (B, ...); rows need the same rows in every input.

    Raises:
        ShapeError: when shapes do not fit; it gives them.
        MaskError: when only some inputs have rows.

    Example:
        >>> import numpy as np
        >>> Add()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
        [[2.0, 2.0]]
    """

    def _merged(self, x: list[Array]) -> Array:
        return reduce(lambda a, b: a + b, x)


class Subtract(_Merge):
    """Subtract the second of two values from the first, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of two (B, ...) to (B, ...); rows need the same rows in both.

    Raises:
        ArgumentError: when there are not two.
        ShapeError: when shapes do not fit; it gives them.

    Example:
        >>> import numpy as np
        >>> Subtract()([np.ones((1, 2)), np.ones((1, 2))]).tolist()
        [[0.0, 0.0]]
    """

    def _merged(self, x: list[Array]) -> Array:
        if len(x) != 2:
            raise ArgumentError(explain(self.place, expected="two values", got=str(len(x)), fix="Subtract()([a, b])"))
        return x[0] - x[1]


class Multiply(_Merge):
    """Multiply several values, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) to (B, ...); rows need the same rows in every input.

    Raises:
        ShapeError: when shapes do not fit; it gives them.

    Example:
        >>> import numpy as np
        >>> Multiply()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
        [[6.0, 6.0]]
    """

    def _merged(self, x: list[Array]) -> Array:
        return reduce(lambda a, b: a * b, x)


class Average(_Merge):
    """Average several values, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) to (B, ...); rows need the same rows in every input.

    Raises:
        ShapeError: when shapes do not fit; it gives them.

    Example:
        >>> import numpy as np
        >>> Average()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
        [[2.5, 2.5]]
    """

    reads = "floats"

    def _merged(self, x: list[Array]) -> Array:
        return reduce(lambda a, b: a + b, x) / len(x)


class Maximum(_Merge):
    """Take the largest of several values, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) to (B, ...); rows need the same rows in every input.

    Raises:
        ShapeError: when shapes do not fit; it gives them.

    Example:
        >>> import numpy as np
        >>> Maximum()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
        [[3.0, 3.0]]
    """

    def _merged(self, x: list[Array]) -> Array:
        return reduce(self.xp.maximum, x)


class Minimum(_Merge):
    """Take the smallest of several values, element by element.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) to (B, ...); rows need the same rows in every input.

    Raises:
        ShapeError: when shapes do not fit; it gives them.

    Example:
        >>> import numpy as np
        >>> Minimum()([np.full((1, 2), 2.0), np.full((1, 2), 3.0)]).tolist()
        [[2.0, 2.0]]
    """

    def _merged(self, x: list[Array]) -> Array:
        return reduce(self.xp.minimum, x)


class Concatenate(Layer):
    """Put several values side by side, along the features by default, or one behind the other, along time.

    Along time, each row of the output holds the live steps of that row of every input, and their lengths may differ. An
    array (B, T, ...) beside rows gives T steps to each row: one learned step before all others, for example.

    Args:
        axis: along which to put them, counted as in Keras; 1 is time.
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ..., D1), (B, ..., D2), ... to (B, ..., D1 + D2 + ...); rows need the same rows in every input,
        but along time.

    Raises:
        ShapeError: when shapes differ in another axis; it gives them.
        DataError: when there are other rows in one of them.
        MaskError: when only some inputs have rows, but along time.

    Example:
        >>> import numpy as np
        >>> Concatenate()([np.zeros((1, 2)), np.ones((1, 1))]).tolist()
        [[0.0, 0.0, 1.0]]
    """

    view = "steps"
    merges = True

    def __init__(self, axis: int = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, spec: list[Spec]) -> None:
        """Note which axis it is.

        Args:
            spec: of the inputs.
        """
        self._axis = trailing_axes(self.place, self.axis, spec[0])[0]

    def call(self, x: Sequence[Array]) -> Array:
        """Concatenate.

        Args:
            x: arrays (N, ...).

        Returns:
            (N, ...).
        """
        if any(value.shape != x[0].shape for value in x):
            self._require_fitting(x)
        return self.xp.concat(list(x), axis=self._axis)

    def _require_fitting(self, x: Sequence[Array]) -> None:
        shapes = [tuple(value.shape) for value in x]
        others = [(*s[: len(s) + self._axis], *s[len(s) + self._axis + 1 :]) for s in shapes]
        if any(len(s) != len(shapes[0]) for s in shapes) or any(other != others[0] for other in others):
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"inputs whose shapes differ in axis {self.axis} alone",
                    got=f"shapes {', '.join(map(str, shapes))}",
                    fix="another axis, or a layer before that brings the other axes to one size",
                )
            )

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        ragged = next((value for value in x if isinstance(value, Ragged)), None)
        if ragged is None or ragged.ndim + self._axis != 1:
            return super()._dispatch(x, args, kwargs)
        return row_concat([value if isinstance(value, Ragged) else self._as_rows(value, ragged.rows) for value in x])

    def _as_rows(self, x: Array, rows: RowPartition) -> Ragged:
        """An array (B, T, ...) as rows of T steps, beside others."""
        if x.ndim < 2 or x.shape[0] != rows.nrows:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"rows, or an array ({rows.nrows}, T, ...), one entry for each row",
                    got=f"shape {tuple(x.shape)}",
                    fix="x[:, None] gives the entry of each row a time axis",
                )
            )
        steps = self.xp.reshape(x, (x.shape[0] * x.shape[1], *x.shape[2:]))
        return Ragged(steps, rows.derived(Uniform(int(x.shape[1]))))


class Dot(Layer):
    """Multiply two values and sum over one axis of each, row by row.

    On rows: over features, each step with its row's entry, as (B, None, D) and (B, D) give (B, None); over the time of
    both, one result for each row, as (B, None, D) and (B, None, E) give (B, D, E) with axes=1. That all steps of one
    meet all steps of the other has no place in rows: attention does that.

    Args:
        axes: the axis of both, or one of each in a tuple; counted with the batch, as 0.
        normalize: whether to bring the values to length 1 along their axes first, which gives the cosine.
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ..., D, ...) and (B, ..., D, ...) to (B, the other axes of both); (B, D) and (B, D) to (B, 1).

    Raises:
        ArgumentError: when there are not two values, or axes are not numbers after the batch.
        ShapeError: when sizes along the axes differ.
        MaskError: when steps of rows would meet others than those of the same place.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 3)), np.ones((1, 3))])
        >>> Dot((2, 1))([x, np.array([[1.0, 0, 0], [1, 2, 3]])]).to_list()
        [[1.0, 1.0], [6.0]]

    Source: Keras 3.15.
    """

    view = "ragged"
    merges = True
    reads = "floats"
    sums = True

    def __init__(self, axes: int | Sequence[int], normalize: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = tuple(axes) if isinstance(axes, list | tuple) else (axes, axes)
        if len(given) != 2 or any(isinstance(axis, bool) or not hasattr(axis, "__index__") for axis in given):
            raise ArgumentError(
                explain(f"{self.place}: axes", expected="a number, or two", got=repr(axes), fix="axes=(2, 1)")
            )
        self.axes = given
        self.normalize = normalize

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.call(x)

    def call(self, x: Sequence[Any]) -> Any:
        """Multiply and sum.

        Args:
            x: two values, with rows or without.

        Returns:
            A Ragged, or an array (B, ...).
        """
        if len(x) != 2:
            raise ArgumentError(explain(self.place, expected="two values", got=str(len(x)), fix="Dot(axes=1)([a, b])"))
        at = [self._place_of(axis, value) for axis, value in zip(self.axes, x, strict=True)]
        sizes = [value.shape[axis] for axis, value in zip(at, x, strict=True)]
        if None not in sizes and sizes[0] != sizes[1]:
            raise ShapeError(
                explain(
                    self.place,
                    expected="axes of one size",
                    got=f"axes {self.axes} of {tuple(x[0].shape)} and {tuple(x[1].shape)}",
                    fix="other axes, or layers.Dense(units) before it",
                )
            )
        if self.normalize:
            x = [normalize(value, axis=axis) for axis, value in zip(at, x, strict=True)]
        y = einsum_of(self.place, self._equation(at, x), x)
        return self.xp.expand_dims(y, axis=1) if not isinstance(y, Ragged) and y.ndim == 1 else y

    def _place_of(self, axis: int, value: Any) -> int:
        if value.ndim < 2 or not -value.ndim < axis < value.ndim or axis == 0:
            raise ArgumentError(
                explain(
                    f"{self.place}: axes",
                    expected=f"axes after the batch, of {tuple(value.shape)}",
                    got=str(self.axes),
                    fix="axes=-1 for the last of both",
                )
            )
        return int(axis % value.ndim)

    def _equation(self, at: Sequence[int], x: Sequence[Any]) -> str:
        one = "a" + "bcdefghij"[: x[0].ndim - 1]
        other = "a" + "klmnopqrs"[: x[1].ndim - 1]
        other = other[: at[1]] + one[at[0]] + other[at[1] + 1 :]
        rest = (one[: at[0]] + one[at[0] + 1 :]) + other[1:].replace(one[at[0]], "")
        return f"{one},{other}->{rest}"


def add(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Add several values: `Add()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Add`.

    Returns:
        Their sum.
    """
    return Add(**kwargs)(inputs)


def subtract(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Subtract the second of two values from the first: `Subtract()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Subtract`.

    Returns:
        Their difference.
    """
    return Subtract(**kwargs)(inputs)


def multiply(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Multiply several values: `Multiply()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Multiply`.

    Returns:
        Their product.
    """
    return Multiply(**kwargs)(inputs)


def average(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Average several values: `Average()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Average`.

    Returns:
        Their mean.
    """
    return Average(**kwargs)(inputs)


def maximum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Take the largest of several values: `Maximum()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Maximum`.

    Returns:
        The largest, element by element.
    """
    return Maximum(**kwargs)(inputs)


def minimum(inputs: Sequence[Any], **kwargs: Any) -> Any:
    """Take the smallest of several values: `Minimum()(inputs)`.

    Args:
        inputs: the values.
        **kwargs: arguments of `Minimum`.

    Returns:
        The smallest, element by element.
    """
    return Minimum(**kwargs)(inputs)


def concatenate(inputs: Sequence[Any], axis: int = -1, **kwargs: Any) -> Any:
    """Put several values side by side: `Concatenate(axis)(inputs)`.

    Args:
        inputs: the values.
        axis: along which.
        **kwargs: arguments of `Concatenate`.

    Returns:
        One value.
    """
    return Concatenate(axis, **kwargs)(inputs)


def dot(inputs: Sequence[Any], axes: int | Sequence[int] = -1, **kwargs: Any) -> Any:
    """Multiply two values and sum over one axis of each: `Dot(axes)(inputs)`.

    Args:
        inputs: the values.
        axes: the axis of both, or one of each.
        **kwargs: arguments of `Dot`.

    Returns:
        One value.
    """
    return Dot(axes, **kwargs)(inputs)
