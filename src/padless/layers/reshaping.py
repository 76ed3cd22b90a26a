"""Layers that give values another shape."""

from __future__ import annotations

import math
from typing import Any

from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.forms import Form
from padless.layer import Array, Layer
from padless.layers.arguments import counts, positive, require_rank, word
from padless.layers.channels import FeatureAxis
from padless.lengths import Extend, Repeat
from padless.ragged import Ragged
from padless.row_ops import derived, row_slice, spread
from padless.spec import Spec


class Flatten(Layer):
    """Put all axes but the batch into one.

    Rows of unequal length have no fixed number of features to give, so they raise.

    Args:
        data_format: "channels_last", or "channels_first" for (B, D, ...), whose second axis then is moved to the end.
        **kwargs: name, dtype.

    Shapes:
        (B, ...) to (B, product of the others); (B,) to (B, 1).

    Raises:
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> tuple(Flatten()(np.ones((2, 3, 4))).shape)
        (2, 12)
    """

    def __init__(self, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        known = ("channels_last", "channels_first")
        self.data_format = word(self.place, "data_format", data_format or known[0], known)

    def call(self, x: Array) -> Array:
        """Reshape.

        Args:
            x: (B, ...).

        Returns:
            (B, D).
        """
        if self.data_format == "channels_first" and x.ndim > 2:
            x = self.xp.permute_dims(x, (0, *range(2, x.ndim), 1))
        return self.xp.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def mask_error(self) -> str:
        """The text of the error that rows raise here."""
        return explain(
            self.place,
            expected="the same number of steps in every row, since features of different steps become one vector",
            got="rows of unequal length",
            fix="pool the rows first, with layers.GlobalMaxPooling1D() or a recurrent layer; or cut and pad them to "
            "one length without a mask: pad_sequences(x, maxlen=100), or x.to_padded(length=100)",
        )


_NO_STEPS = "return_sequences=True in the recurrent layer before, if there is one"


class ZeroPadding1D(FeatureAxis):
    """Put steps of zeros before the first and behind the last step of each row.

    These steps are as real as others: later layers read them. A row without steps gets them, too. Steps that are masked
    stay so.

    Args:
        padding: how many before and how many behind; one number for both.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T + before + behind, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for numbers below 0.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2], [3]])
        >>> ZeroPadding1D((1, 2))(x).to_list()
        [[0, 1, 2, 0, 0], [0, 3, 0, 0]]
    """

    view = "ragged"

    def __init__(self, padding: Any = 1, data_format: str | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.padding = counts(self.place, "padding", padding, 2)
        self._read_format(data_format)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Pad.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return derived(x, Extend(*self.padding))


class Cropping1D(Layer):
    """Cut steps off at the real ends of each row.

    A row that is too short for it has no steps afterwards. A masked step within a row counts as one, and stays masked.

    Args:
        cropping: how many steps to cut off before and behind; one number for both.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T - before - behind, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for numbers below 0.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2, 3, 4], [5, 6]])
        >>> Cropping1D((1, 1))(x).to_list()
        [[2, 3], []]
    """

    view = "ragged"

    def __init__(self, cropping: Any = (1, 1), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cropping = counts(self.place, "cropping", cropping, 2)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Crop.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        before, behind = self.cropping
        return row_slice(x, before, -behind if behind else None) if before or behind else x


class TimeSlice(Layer):
    """Take some steps of each row, as Python slices a list: `row[start:stop:step]`.

    What a language model needs to set a sequence beside the one that is a step ahead: `TimeSlice(stop=-1)(x)` is its
    input, `TimeSlice(1)(x)` its target. A masked step within a row counts as one, and stays masked.

    Args:
        start: the first step; counted from the end of the row where negative. None: the first of the row.
        stop: the step behind the last one; counted from the end where negative. None: the end of the row.
        step: steps from one to the next; above 0. None: 1.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T', ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for a step that is not above 0, or what is no whole number.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[1, 2, 3, 4], [5]])
        >>> TimeSlice(1)(x).to_list(), TimeSlice(stop=-1)(x).to_list(), TimeSlice(-2)(x).to_list()
        ([[2, 3, 4], []], [[1, 2, 3], []], [[3, 4], [5]])
    """

    view = "ragged"

    def __init__(
        self, start: int | None = None, stop: int | None = None, step: int | None = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        for name, end in (("start", start), ("stop", stop)):
            if end is not None and (isinstance(end, bool) or not hasattr(end, "__index__")):
                raise ArgumentError(
                    explain(f"{self.place}: {name}", expected="a whole number", got=repr(end), fix=f"{name}=None")
                )
        self.start, self.stop = start, stop
        self.step = None if step is None else positive(self.place, "step", step)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Slice.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return row_slice(x, self.start, self.stop, self.step)


class UpSampling1D(Layer):
    """Repeat every step of each row.

    Args:
        size: how often each step stands in the output.
        **kwargs: name, dtype.

    Shapes:
        (B, T, ...) to (B, T * size, ...); rows (B, None, ...) to rows.

    Raises:
        ArgumentError: for a size that is not above 0.

    Example:
        >>> import padless
        >>> UpSampling1D(2)(padless.Ragged.from_list([[1, 2], [3]])).to_list()
        [[1, 1, 2, 2], [3, 3]]
    """

    view = "ragged"

    def __init__(self, size: int = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = positive(self.place, "size", size)

    def build(self, spec: Spec) -> None:
        """Check the input.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, least=True, fix=_NO_STEPS)

    def call(self, x: Ragged) -> Ragged:
        """Repeat.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...).
        """
        return derived(x, Repeat(self.size))


class Reshape(Layer):
    """Give every row, or every step, another shape.

    On rows, time stays: the first size is -1, and the others are those of a step.

    Args:
        target_shape: sizes after the batch; -1 for one that follows from the others.
        **kwargs: name, dtype.

    Shapes:
        (B, ...) to (B, *target_shape); rows (B, None, ...) to (B, None, *target_shape[1:]).

    Raises:
        ArgumentError: when the sizes are no whole numbers, or several are -1.
        ShapeError: when the numbers of entries differ.
        MaskError: when rows come, and entries would move from step to step.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 6)), np.ones((1, 6))])
        >>> Reshape((-1, 2, 3))(x).shape
        (2, None, 2, 3)
    """

    view = "steps"

    def __init__(self, target_shape: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        given = tuple(target_shape) if isinstance(target_shape, list | tuple) else (target_shape,)
        sizes = tuple(-1 if size is None else size for size in given)
        whole = all(hasattr(size, "__index__") and not isinstance(size, bool) and size >= -1 for size in sizes)
        if not whole or sizes.count(-1) > 1:
            raise ArgumentError(
                explain(
                    f"{self.place}: target_shape",
                    expected="whole numbers, one of them -1 at most",
                    got=repr(target_shape),
                    fix="Reshape((-1, 2, 3)), for example",
                )
            )
        self.target_shape = sizes

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if not isinstance(x, Ragged):
            return super()._dispatch(x, args, kwargs)
        count = math.prod(x.values.shape[1:])
        if self.target_shape[:1] != (-1,) or math.prod(self.target_shape[1:]) != count:
            raise MaskError(
                explain(
                    self.place,
                    expected=f"(-1, ...) with {count} entries behind it, as every step has: steps stay whole on rows "
                    "of unequal length",
                    got=f"target_shape={self.target_shape}, and rows {x.shape}",
                    fix=f"Reshape((-1, {count})); or pool the rows first",
                )
            )
        return x.with_values(self.xp.reshape(x.values, (x.rows.nvals, *self.target_shape[1:])))

    def call(self, x: Array) -> Array:
        """Reshape.

        Args:
            x: (B, ...).

        Returns:
            (B, *target_shape).
        """
        count, known = math.prod(x.shape[1:]), math.prod(n for n in self.target_shape if n != -1)
        fits = known == count if -1 not in self.target_shape else known > 0 and count % known == 0
        if not fits:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"a target_shape of {count} entries",
                    got=f"{self.target_shape} for {tuple(x.shape)}",
                    fix="sizes whose product is that number; -1 for one of them",
                )
            )
        return self.xp.reshape(x, (x.shape[0], *(count // known if n == -1 else n for n in self.target_shape)))


class Permute(Layer):
    """Put the axes after the batch into another order; on rows, time stays the first of them.

    Args:
        dims: the axes in their new order, counted from 1.
        **kwargs: name, dtype.

    Shapes:
        (B, ...) to (B, ...); rows (B, None, D, E) to (B, None, E, D) with dims=(1, 3, 2).

    Raises:
        ArgumentError: when dims are not 1, 2, ... in some order.
        ShapeError: when the input has another number of axes.
        MaskError: when rows come and time would move.

    Example:
        >>> import numpy as np
        >>> tuple(Permute((2, 1))(np.ones((1, 3, 4))).shape)
        (1, 4, 3)
    """

    view = "steps"

    def __init__(self, dims: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dims = tuple(dims) if isinstance(dims, list | tuple) else (dims,)
        if sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise ArgumentError(
                explain(
                    f"{self.place}: dims",
                    expected="the axes after the batch, counted from 1, each once",
                    got=repr(dims),
                    fix="Permute((2, 1)), for example",
                )
            )

    def build(self, spec: Spec) -> None:
        """Compare the number of axes.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, len(self.dims) + 1, fix=f"dims with {len(spec) - 1} axes")

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged) and self.dims[:1] != (1,):
            raise MaskError(
                explain(
                    self.place,
                    expected="time to stay the first axis after the batch, since rows have unequal lengths",
                    got=f"dims={self.dims}, and rows {x.shape}",
                    fix="Permute((1, 3, 2)) for axes of the features; layers.Unmask() before it, to treat padding as "
                    "data on purpose",
                )
            )
        if isinstance(x, Ragged):
            return x.with_values(self.xp.permute_dims(x.values, (0, *(axis - 1 for axis in self.dims[1:]))))
        return super()._dispatch(x, args, kwargs)

    def call(self, x: Array) -> Array:
        """Permute.

        Args:
            x: (B, ...).

        Returns:
            (B, ...).
        """
        return self.xp.permute_dims(x, (0, *self.dims))


class RepeatVector(Layer):
    """Repeat a vector so many times: rows of equal length. `Spread` gives vectors to rows that are there.

    Args:
        n: how often.
        **kwargs: name, dtype.

    Shapes:
        (B, D) to (B, n, D).

    Raises:
        ArgumentError: when n is not a whole number above 0.
        ShapeError: when the input is not (B, D).
        MaskError: when rows come.

    Example:
        >>> import numpy as np
        >>> RepeatVector(2)(np.array([[1, 2]])).tolist()
        [[[1, 2], [1, 2]]]
    """

    def __init__(self, n: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.n = positive(self.place, "n", n)

    def build(self, spec: Spec) -> None:
        """Compare the number of axes.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 2, fix="a layer that gives one vector for each row before it")

    def call(self, x: Array) -> Array:
        """Repeat.

        Args:
            x: (B, D).

        Returns:
            (B, n, D).
        """
        return self.xp.stack([x] * self.n, axis=1)

    def mask_error(self) -> str:
        """The text of the error that rows raise here."""
        return explain(
            self.place,
            expected="one vector for each row, (B, D)",
            got="a value with rows, which has many",
            fix="pool the rows first, with layers.GlobalMaxPooling1D() or a recurrent layer; layers.Spread()([vector, "
            "sequences]) then gives each row's vector to all its steps",
        )


class Spread(Layer):
    """Give each row's entry to all steps of the row: the way from vectors back to sequences.

    Args:
        **kwargs: name, dtype.

    Shapes:
        a list of (B, ...) and rows (B, None, ...) to rows (B, None, ...) like the second; of (B, ...) and (B, T, ...)
        to (B, T, ...).

    Raises:
        ArgumentError: when there are not two values.
        ShapeError: when the numbers of rows differ.
        MaskError: when the first has rows, too.

    Example:
        >>> import numpy as np, padless
        >>> like = padless.Ragged.from_list([[1, 2], [3]])
        >>> Spread()([np.array([7, 8]), like]).to_list()
        [[7, 7], [8]]
    """

    view = "ragged"
    merges = True

    def _enter_many(self, values: Any, masks: Any) -> tuple[list[Any], Form]:
        entered, form = super()._enter_many(values, masks)
        # The steps come from the second, and with them the form.
        return entered, form if len(values) != 2 else super()._enter_many([values[1]], masks)[1]

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.call(x)

    def call(self, x: Any) -> Any:
        """Spread.

        Args:
            x: an array (B, ...), and a Ragged or an array (B, T, ...).

        Returns:
            A Ragged or an array.
        """
        if len(x) != 2:
            raise ArgumentError(
                explain(self.place, expected="two values", got=str(len(x)), fix="Spread()([vector, sequences])")
            )
        vector, like = x
        if isinstance(vector, Ragged):
            raise MaskError(
                explain(
                    self.place,
                    expected="one entry for each row first, then the sequences",
                    got=f"a first value with rows, {vector!r}",
                    fix="Spread()([vector, sequences]); pool the first with layers.GlobalMaxPooling1D() if need be",
                )
            )
        if isinstance(like, Ragged):
            return spread(vector, like)
        if like.ndim < 2 or like.shape[0] != vector.shape[0]:
            raise ShapeError(
                explain(
                    self.place,
                    expected="(B, ...) and (B, T, ...)",
                    got=f"{tuple(vector.shape)} and {tuple(like.shape)}",
                    fix="Spread()([vector, sequences])",
                )
            )
        steps = self.xp.expand_dims(vector, axis=1)
        return self.xp.broadcast_to(steps, (vector.shape[0], like.shape[1], *vector.shape[1:]))
