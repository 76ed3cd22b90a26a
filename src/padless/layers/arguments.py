"""Checks that several layers make of their arguments and inputs: sizes, words, axes, shapes."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

from padless.errors import ArgumentError, MaskError, NotThereYetError, ShapeError, explain
from padless.spec import Spec

Array = Any


def positive(place: str, name: str, value: Any) -> int:
    """Require a whole number above 0.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: what was given.

    Returns:
        The number.

    Raises:
        ArgumentError: when it is anything else.

    Example:
        >>> positive("layer 'dense'", "units", 3)
        3
    """
    if not isinstance(value, bool) and hasattr(value, "__index__") and operator.index(value) > 0:
        return operator.index(value)
    raise ArgumentError(
        explain(f"{place}: {name}", expected="a whole number above 0", got=repr(value), fix=f"{name}=64, for example")
    )


def share(place: str, name: str, value: Any) -> float:
    """Require a share below 1.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: what was given.

    Returns:
        The share.

    Raises:
        ArgumentError: when it is anything else.

    Example:
        >>> share("layer 'attention'", "dropout", 0.1)
        0.1
    """
    if not isinstance(value, bool | str) and 0 <= value < 1:
        return float(value)
    raise ArgumentError(
        explain(
            f"{place}: {name}",
            expected="a share from 0 up to, but not, 1",
            got=repr(value),
            fix=f"{name}=0.1 for a tenth",
        )
    )


def sizes(place: str, name: str, value: Any, count: int) -> tuple[int, ...]:
    """Require one size for each of several axes; a single number stands for all.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: a number, or a tuple or list of numbers.
        count: number of axes.

    Returns:
        The sizes.

    Raises:
        ArgumentError: when there are more or fewer sizes, or one is not above 0.

    Example:
        >>> sizes("layer 'conv2d'", "kernel_size", 3, 2)
        (3, 3)
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    if len(given) != count:
        fix = f"{name}=3" if count == 1 else f"{name}=3, or {name}={(3,) * count}"
        raise ArgumentError(explain(f"{place}: {name}", expected=f"{count} of them", got=repr(value), fix=fix))
    return tuple(positive(place, name, size) for size in given)


def counts(place: str, name: str, value: Any, count: int) -> tuple[int, ...]:
    """Require one number that is not below 0 for each of several places; a single number stands for all.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: a number, or a tuple or list of numbers.
        count: number of places.

    Returns:
        The numbers.

    Raises:
        ArgumentError: when there are more or fewer, or one is below 0.

    Example:
        >>> counts("layer 'zero_padding1d'", "padding", 1, 2)
        (1, 1)
    """
    given = tuple(value) if isinstance(value, list | tuple) else (value,) * count
    if len(given) == count and all(not isinstance(n, bool) and hasattr(n, "__index__") for n in given):
        numbers = tuple(operator.index(n) for n in given)
        if min(numbers) >= 0:
            return numbers
    expected = "a whole number from 0 on" if count == 1 else f"{count} whole numbers from 0 on, or one for all"
    fix = f"{name}=1" if count == 1 else f"{name}={(1,) * count}"
    raise ArgumentError(explain(f"{place}: {name}", expected=expected, got=repr(value), fix=fix))


def word(place: str, name: str, value: Any, known: Sequence[str]) -> str:
    """Require one of several words, in capital or small letters.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: what was given.
        known: the words.

    Returns:
        The word, in small letters.

    Raises:
        ArgumentError: when it is another.

    Example:
        >>> word("layer 'conv1d'", "padding", "SAME", ("valid", "same"))
        'same'
    """
    if isinstance(value, str) and value.lower() in known:
        return value.lower()
    words = ", ".join(repr(one) for one in known)
    raise ArgumentError(
        explain(f"{place}: {name}", expected=f"one of {words}", got=repr(value), fix=f"{name}={known[0]!r}")
    )


def refuse_sparse(place: str, sparse: bool) -> None:
    """Refuse Keras's sparse tensors.

    Args:
        place: the layer, for the error.
        sparse: what was given.

    Raises:
        NotThereYetError: when it is true.
    """
    if sparse:
        fix = "sparse=False; rows of numbers, output_mode='int', hold nothing but what is there"
        raise NotThereYetError(explain(place, expected="dense arrays", got="sparse=True", fix=fix))


def two_numbers(place: str, name: str, value: Any) -> tuple[int, int] | None:
    """Require a whole number, which counts for both, or two.

    Args:
        place: the layer, for the error.
        name: of the argument.
        value: what was given; or None.

    Returns:
        The numbers; or None.

    Raises:
        ArgumentError: when it is anything else.

    Example:
        >>> two_numbers("layer 'hashing'", "salt", 133)
        (133, 133)
    """
    if value is None:
        return None
    made = (value, value) if isinstance(value, int) else tuple(value)
    if len(made) != 2:
        expected, fix = f"{name} as a number or two", f"{name}=[133, 137]"
        raise ArgumentError(explain(place, expected=expected, got=repr(value), fix=fix))
    return made


def channels_last(place: str, data_format: Any) -> None:
    """Require that features come last, for layers that offer no other order.

    Args:
        place: the layer, for the error.
        data_format: what was given; None means "channels_last".

    Raises:
        NotThereYetError: for "channels_first".
        ArgumentError: for anything else.
    """
    if data_format is None:
        return
    if word(place, "data_format", data_format, ("channels_last", "channels_first")) == "channels_first":
        raise NotThereYetError(
            explain(
                f"{place}: data_format",
                expected="features as last axis",
                got="'channels_first', which is not there yet",
                fix="data_format='channels_last', and move the axis of your arrays: np.moveaxis(x, 1, -1)",
            )
        )


def trailing_axes(place: str, axis: Any, spec: Spec) -> tuple[int, ...]:
    """Count axes from the end, so that they mean the same in (B, T, D) and in packed steps (N, D).

    Args:
        place: the layer, for the error.
        axis: a number or several, counted as in Keras: of the shape with batch and time.
        spec: of the input.

    Returns:
        Negative numbers, in the order of the axes.

    Raises:
        ShapeError: when the input has no such axis.
        ArgumentError: when it is the batch axis, or no number.

    Example:
        >>> trailing_axes("layer 'norm'", [2, 3], Spec((None, None, 4, 5)))
        (-2, -1)
    """
    rank = len(spec)
    given = tuple(axis) if isinstance(axis, list | tuple) else (axis,)
    if not given or any(isinstance(one, bool) or not hasattr(one, "__index__") for one in given):
        raise ArgumentError(
            explain(f"{place}: axis", expected="a number, or several", got=repr(axis), fix="axis=-1 for the features")
        )
    for one in given:
        if not -rank <= one < rank:
            raise ShapeError(
                explain(f"{place}: axis", expected=f"an axis of the input, {tuple(spec)}", got=str(one), fix="axis=-1")
            )
        if one % rank == 0:
            raise ArgumentError(
                explain(
                    f"{place}: axis",
                    expected="an axis after the batch, whose rows must not touch each other",
                    got=str(one),
                    fix="axis=-1 for the features",
                )
            )
    return tuple(sorted({one % rank - rank for one in given}))


def refuse_time(place: str, axis: Any, axes: tuple[int, ...], rank: int) -> None:
    """Require that none of some axes is the one that the steps of all rows share.

    Args:
        place: the layer, for the error.
        axis: as it was given.
        axes: the same, counted from the end.
        rank: number of axes of packed steps, (N, ...).

    Raises:
        MaskError: when one is.

    Example:
        >>> refuse_time("layer 'norm'", -1, (-1,), 2)
    """
    if -min(axes) >= rank:
        raise MaskError(
            explain(
                f"{place}: axis",
                expected="axes of the features: steps of rows of unequal length have no fixed place to go along",
                got=f"axis={axis}, which holds time, and rows",
                fix="axis=-1; or layers.Unmask() before it, to treat padding as data on purpose",
            )
        )


def beside(axes: tuple[int, ...], spec: Spec) -> tuple[int, ...]:
    """Shape in which an array with one entry for each place along some axes stands beside the input.

    Args:
        axes: counted from the end, as `trailing_axes` gives them.
        spec: of the input.

    Returns:
        The sizes of these axes, and 1 for the others between and behind them.

    Raises:
        ShapeError: when such an axis has no fixed size.

    Example:
        >>> beside((-3, -1), Spec((None, 4, 5, 6)))
        (4, 1, 6)
    """
    found = [spec[axis] if axis in axes else 1 for axis in range(min(axes), 0)]
    if None in found:
        raise ShapeError(
            explain(
                "axis",
                expected="axes whose size is known when the layer is built",
                got=f"axes {axes} of {tuple(spec)}",
                fix="axis=-1 for the features; Input(shape=(10, 16)) where every row has 10 steps",
            )
        )
    return tuple(size for size in found if size is not None)


_RANK_FIX = (
    "x[..., None] gives steps that are single numbers one feature; ids go through Embedding first",
    "x[..., None] gives places that are single numbers one feature; x[None] makes a batch of one",
)


def require_rank(place: str, spec: Spec, rank: int, *, least: bool = False, fix: str = "") -> None:
    """Require that an input has so many axes, batch included.

    Args:
        place: the layer, for the error.
        spec: of the input.
        rank: number of axes.
        least: whether more are fine.
        fix: what to write instead.

    Raises:
        ShapeError: when it has not.
    """
    if len(spec) == rank or (least and len(spec) > rank):
        return
    known = {2: "(B, D)", 3: "(B, T, D)", 4: "(B, H, W, D)", 5: "(B, H, W, L, D)"}
    more = " or more" if least else ""
    raise ShapeError(
        explain(
            place,
            expected=f"{rank} axes{more}, {known.get(rank, 'batch first')}",
            got=f"shape {tuple(spec)}",
            fix=fix or _RANK_FIX[rank > 3],
        )
    )


def require_features(place: str, x: Array, features: int) -> None:
    """Require the number of features that the layer was built with.

    Args:
        place: the layer, for the error.
        x: (..., D) array.
        features: D of the input that built the layer.

    Raises:
        ShapeError: when it is another.
    """
    if not x.ndim or x.shape[-1] != features:
        raise ShapeError(
            explain(
                place,
                expected=f"{features} features, as in the input that built the layer",
                got=f"shape {tuple(x.shape)}",
                fix="give it the same features; make a new layer for others",
            )
        )
