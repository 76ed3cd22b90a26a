"""Losses: one number for each step (or row), and sums that add up over batches; formulas of Keras 3.15.

Legend of shapes: N live steps of all rows (or B rows, where the predictions have none), D outputs, C classes.

Every loss gives per-sample numbers with the last axis of the predictions reduced: (N, D) to (N,). `Loss.sums` gives
the sum of weight x loss and the sum of weights, so that batches, accumulated steps and ranks add up before the one
division.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from padless import activations, backends
from padless.errors import ArgumentError, DataError, RowError, ShapeError, explain, nearest
from padless.named import Configured, find, snake_case, table
from padless.ragged import Ragged
from padless.targets import aligned

Array = Any
LossFunction = Callable[..., Array]
Shape = Sequence[int | None]

EPSILON = 1e-7
"""How near probabilities come to 0 and 1, as in Keras."""

REDUCTIONS = ("mean_with_sample_weight", "sum_over_batch_size", "mean", "sum", "none", None)
_MEAN = "mean_with_sample_weight"


class LabelError(DataError):
    """A label is outside 0..C-1.

    Attributes:
        index: its place in the flat labels, which is its step or row.
    """

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


# ---- shapes


def floating(x: Any) -> Array:
    """The array in a precision that sums can be taken in.

    Args:
        x: an array, a number or a list.

    Returns:
        A float32 array, or float64 where it comes so.
    """
    owner = backends.of(x)
    array = x if owner.is_array(x) else owner.asarray(x)
    return array if owner.dtype_name(array) in ("float32", "float64") else owner.cast(array, "float32")


def _like(y_true: Any, y_pred: Array) -> Array:
    """The targets as an array of the predictions' backend and dtype."""
    owner = backends.of(y_pred)
    return owner.cast(owner.asarray(y_true), owner.dtype_name(y_pred))


def same_rank(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Bring targets and predictions to one number of axes, where only a last axis of size 1 is missing.

    Args:
        y_true: targets.
        y_pred: predictions.

    Returns:
        Both. (N,) beside (N, 1) becomes (N, 1); other targets lose or gain a last axis of size 1.
    """
    xp = backends.of(y_pred).xp
    if y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        return (y_true, y_pred[..., None]) if y_pred.ndim == 1 else (xp.squeeze(y_true, axis=-1), y_pred)
    if y_pred.ndim == y_true.ndim + 1 and y_pred.shape[-1] == 1:
        return y_true[..., None], y_pred
    return y_true, y_pred


def as_samples(y_true: Array, y_pred: Array) -> tuple[Array, Array]:
    """Give single numbers a last axis, over which a function reduces; without it, it would reduce over the samples.

    Args:
        y_true: targets.
        y_pred: predictions.

    Returns:
        Both; (N, 1) where both were (N,).
    """
    y_true, y_pred = same_rank(y_true, y_pred)
    return (y_true[:, None], y_pred[:, None]) if y_true.ndim == 1 and y_pred.ndim == 1 else (y_true, y_pred)


def matched(where: str, y_true: Any, y_pred: Any) -> tuple[Array, Array, Any]:
    """Bring targets and predictions to one shape and dtype, without broadcasting.

    Args:
        where: the loss or metric, as the user knows it.
        y_true: targets.
        y_pred: predictions.

    Returns:
        Both, and their namespace.

    Raises:
        ShapeError: when the shapes differ.
    """
    y_pred = floating(y_pred)
    y_true, y_pred = same_rank(_like(y_true, y_pred), y_pred)
    if tuple(y_true.shape) != tuple(y_pred.shape):
        raise ShapeError(
            explain(
                f"{where!r}",
                expected=f"targets of the shape of the predictions, {tuple(y_pred.shape)}",
                got=f"targets {tuple(y_true.shape)}",
                fix=_shape_fix(where, y_true, y_pred),
            )
        )
    return y_true, y_pred, backends.of(y_pred).xp


def _shape_fix(where: str, y_true: Array, y_pred: Array) -> str:
    if y_true.ndim == y_pred.ndim - 1 or (y_true.ndim == y_pred.ndim and y_true.shape[-1] == 1):
        if where == "categorical_crossentropy":
            return "loss='sparse_categorical_crossentropy' for whole-number labels"
        return f"a last layer with 1 unit, or targets with {y_pred.shape[-1]} numbers each"
    if y_pred.shape[-1] == 1:
        return f"a last layer with {y_true.shape[-1]} units"
    return "targets with one number for each output of the model"


# ---- functions: arrays in, one number for each sample out


def mean_squared_error(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of (y_true - y_pred)^2.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> mean_squared_error([[0.0, 1.0]], [[1.0, 1.0]]).tolist()
        [0.5]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("mean_squared_error", y_true, y_pred)
    return xp.mean((y_true - y_pred) ** 2, axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of |y_true - y_pred|.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> mean_absolute_error([[0.0, 1.0]], [[1.0, 1.0]]).tolist()
        [0.5]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("mean_absolute_error", y_true, y_pred)
    return xp.mean(xp.abs(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of 100 |y_true - y_pred| / |y_true|.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> mean_absolute_percentage_error([[2.0]], [[1.0]]).tolist()
        [50.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("mean_absolute_percentage_error", y_true, y_pred)
    size = xp.abs(y_true)
    return 100.0 * xp.mean(xp.abs(y_true - y_pred) / xp.where(size < EPSILON, EPSILON, size), axis=-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of (log(y_true + 1) - log(y_pred + 1))^2; what is below 0 counts as 0.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> mean_squared_logarithmic_error([[1.0]], [[1.0]]).tolist()
        [0.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("mean_squared_logarithmic_error", y_true, y_pred)

    def logarithm(x: Array) -> Array:
        return xp.log(xp.where(x < EPSILON, EPSILON, x) + 1.0)

    return xp.mean((logarithm(y_pred) - logarithm(y_true)) ** 2, axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Array:
    """Squared error near 0, absolute error far from it.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.
        delta: where the one becomes the other.

    Returns:
        (N,) mean over the outputs of e^2 / 2 for |e| <= delta, else delta (|e| - delta / 2).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> huber([[0.0, 0.0]], [[1.0, 3.0]]).tolist()
        [1.5]

    Source: Huber 1964; Keras 3.15.
    """
    y_true, y_pred, xp = matched("huber", y_true, y_pred)
    error = xp.abs(y_pred - y_true)
    return xp.mean(xp.where(error <= delta, 0.5 * error * error, delta * (error - 0.5 * delta)), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of log(cosh(y_pred - y_true)).

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> log_cosh([[0.0]], [[0.0]]).round(6).tolist()
        [0.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("log_cosh", y_true, y_pred)
    error = y_pred - y_true
    return xp.mean(error + activations.softplus(-2.0 * error) - 0.6931471805599453, axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of y_pred - y_true log(y_pred).

    Args:
        y_true: (N, D) counts.
        y_pred: (N, D) predicted rates, above 0.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> poisson([[2.0]], [[1.0]]).round(4).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("poisson", y_true, y_pred)
    return xp.mean(y_pred - y_true * xp.log(y_pred + EPSILON), axis=-1)


def kl_divergence(y_true: Any, y_pred: Any) -> Array:
    """Kullback-Leibler divergence: sum over the classes of y_true log(y_true / y_pred).

    Args:
        y_true: (N, C) probabilities.
        y_pred: (N, C) predicted probabilities.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> kl_divergence([[0.5, 0.5]], [[0.5, 0.5]]).tolist()
        [0.0]

    Source: Kullback and Leibler 1951; Keras 3.15.
    """
    y_true, y_pred, xp = matched("kl_divergence", y_true, y_pred)
    y_true, y_pred = xp.clip(y_true, EPSILON, 1.0), xp.clip(y_pred, EPSILON, 1.0)
    return xp.sum(y_true * xp.log(y_true / y_pred), axis=-1)


def _signed(y_true: Array, xp: Any) -> Array:
    """Labels -1 and 1 of labels 0 and 1."""
    return xp.where(y_true == 0, -1.0, y_true)


def hinge(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of max(1 - y_true y_pred, 0).

    Args:
        y_true: (N, D) labels -1 and 1; 0 counts as -1.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> hinge([[1.0, 0.0]], [[0.5, -2.0]]).tolist()
        [0.25]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("hinge", y_true, y_pred)
    return xp.mean(activations.relu(1.0 - _signed(y_true, xp) * y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Array:
    """Mean over the outputs of max(1 - y_true y_pred, 0)^2.

    Args:
        y_true: (N, D) labels -1 and 1; 0 counts as -1.
        y_pred: (N, D) predictions.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> squared_hinge([[1.0, 0.0]], [[0.5, -2.0]]).tolist()
        [0.125]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("squared_hinge", y_true, y_pred)
    return xp.mean(activations.relu(1.0 - _signed(y_true, xp) * y_pred) ** 2, axis=-1)


def categorical_hinge(y_true: Any, y_pred: Any) -> Array:
    """How far the best wrong class comes within 1 of the right one.

    Args:
        y_true: (N, C) one-hot labels.
        y_pred: (N, C) predictions.

    Returns:
        (N,) max(wrong - right + 1, 0).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> categorical_hinge([[1.0, 0.0]], [[0.5, 0.25]]).tolist()
        [0.75]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("categorical_hinge", y_true, y_pred)
    right = xp.sum(y_true * y_pred, axis=-1)
    wrong = xp.max((1.0 - y_true) * y_pred, axis=-1)
    return activations.relu(wrong - right + 1.0)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Minus the cosine of the angle between targets and predictions; 0 where either is 0.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.
        axis: of the vectors.

    Returns:
        (N,) numbers from -1 (same direction) to 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]]).tolist()
        [-1.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("cosine_similarity", y_true, y_pred)

    def unit(x: Array) -> Array:
        square = xp.sum(x * x, axis=axis, keepdims=True)
        return x / xp.sqrt(xp.where(square <= EPSILON**2, EPSILON**2, square))

    return -xp.sum(unit(y_true) * unit(y_pred), axis=axis)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """Mean over the outputs of -log of the probability given to the true answer of each yes-or-no question.

    Args:
        y_true: (N, D) labels 0 and 1, or probabilities.
        y_pred: (N, D) predicted probabilities.
        from_logits: y_pred are scores before the sigmoid.
        label_smoothing: 0.2 turns the labels 0 and 1 into 0.1 and 0.9.
        axis: over which the mean is taken.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> binary_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.6931]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("binary_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    if from_logits:
        return xp.mean(activations.softplus(y_pred) - y_true * y_pred, axis=axis)
    p = xp.clip(y_pred, EPSILON, 1.0 - EPSILON)
    return -xp.mean(y_true * xp.log(p) + (1.0 - y_true) * xp.log(1.0 - p), axis=axis)


def _log_probabilities(y_pred: Array, from_logits: bool, axis: int) -> Array:
    if from_logits:
        return activations.log_softmax(y_pred, axis)
    xp = backends.of(y_pred).xp
    return xp.log(xp.clip(y_pred / xp.sum(y_pred, axis=axis, keepdims=True), EPSILON, 1.0 - EPSILON))


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Array:
    """-log of the probability given to the true class, for one-hot labels.

    Args:
        y_true: (N, C) one-hot labels, or probabilities.
        y_pred: (N, C) predicted probabilities; divided by their sum.
        from_logits: y_pred are scores before the softmax.
        label_smoothing: the share of each label that is spread over all classes.
        axis: of the classes.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ, or there is one class only.

    Example:
        >>> categorical_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.6931]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("categorical_crossentropy", y_true, y_pred)
    classes = y_pred.shape[axis]
    if classes == 1:
        raise ShapeError(
            explain(
                "'categorical_crossentropy'",
                expected="at least two classes: with one, the loss is always 0",
                got=f"predictions {tuple(y_pred.shape)}",
                fix="loss='binary_crossentropy' for one yes-or-no output",
            )
        )
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / classes
    return -xp.sum(y_true * _log_probabilities(y_pred, from_logits, axis), axis=axis)


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, ignore_class: int | None = None, axis: int = -1
) -> Array:
    """-log of the probability given to the true class, for labels 0..C-1.

    Args:
        y_true: (N,) or (N, 1) labels.
        y_pred: (N, C) predicted probabilities; divided by their sum.
        from_logits: y_pred are scores before the softmax.
        ignore_class: a label whose samples do not count: their loss is 0.
        axis: of the classes.

    Returns:
        (N,).

    Raises:
        ShapeError: when there is not one label for each prediction.
        LabelError: when a label is outside 0..C-1.

    Example:
        >>> sparse_categorical_crossentropy([1], [[0.5, 0.5]]).round(4).tolist()
        [0.6931]

    Source: Keras 3.15.
    """
    y_pred = floating(y_pred)
    owner = backends.of(y_pred)
    xp = owner.xp
    labels = class_labels("sparse_categorical_crossentropy", y_true, y_pred, axis)
    if ignore_class is not None:
        live = labels != ignore_class
        labels = xp.where(live, labels, 0)
        # No number of an ignored sample may reach the sum, not even through a gradient.
        y_pred = xp.where(xp.expand_dims(live, axis=axis), y_pred, 1.0)
    _check_labels(labels, y_pred.shape[axis])
    loss = -_chosen_log_probability(y_pred, xp.expand_dims(labels, axis=axis), from_logits, axis)
    return loss if ignore_class is None else xp.where(live, loss, 0.0)


def _chosen_log_probability(y_pred: Array, chosen: Array, from_logits: bool, axis: int) -> Array:
    """Log of the probability of one class of each sample; of that one alone, where there are probabilities."""
    xp = backends.of(y_pred).xp
    if from_logits:
        return xp.squeeze(xp.take_along_axis(activations.log_softmax(y_pred, axis), chosen, axis=axis), axis=axis)
    own = xp.squeeze(xp.take_along_axis(y_pred, chosen, axis=axis), axis=axis)
    return xp.log(xp.clip(own / xp.sum(y_pred, axis=axis), EPSILON, 1.0 - EPSILON))


def class_labels(where: str, y_true: Any, y_pred: Array, axis: int = -1) -> Array:
    """Read targets as whole-number labels, one for each prediction.

    Args:
        where: the loss or metric, as the user knows it.
        y_true: (N,) or (N, 1).
        y_pred: (N, C).
        axis: of the classes.

    Returns:
        (N,) int64.

    Raises:
        ShapeError: when there is not one label for each prediction.
    """
    owner = backends.of(y_pred)
    labels = owner.asarray(y_true)
    if labels.ndim == y_pred.ndim and labels.ndim and labels.shape[axis] == 1:
        labels = owner.xp.squeeze(labels, axis=axis)
    shape = list(y_pred.shape)
    classes = shape.pop(axis) if shape else 0
    if not y_pred.ndim or tuple(labels.shape) != tuple(shape):
        one_hot = tuple(labels.shape) == tuple(y_pred.shape)
        raise ShapeError(
            explain(
                f"{where!r}",
                expected=f"one label for each of the predictions {tuple(y_pred.shape)}, shape {tuple(shape)}",
                got=f"labels {tuple(labels.shape)}",
                fix=f"{where.removeprefix('sparse_')!r} for one-hot labels"
                if one_hot and y_pred.ndim > 1
                else f"whole-number labels from 0 to {classes - 1}"
                if y_pred.ndim > 1
                else "predictions (N, classes): a last layer with one unit for each class",
            )
        )
    return owner.cast(labels, "int64")


def _check_labels(labels: Array, classes: int) -> None:
    owner = backends.of(labels)
    if owner.is_traced(labels):
        owner.assume((labels >= 0) & (labels < classes))
        return
    bounds = owner.bounds(labels)
    if bounds is None or (bounds[0] >= 0 and bounds[1] < classes):
        return
    host = owner.to_host(labels).reshape(-1)
    index = int(((host < 0) | (host >= classes)).argmax())
    raise LabelError(
        explain(
            "'sparse_categorical_crossentropy'",
            expected=f"labels from 0 to {classes - 1}, since the predictions have {classes} classes",
            got=f"label {int(host[index])} at index {index}",
            fix=f"a last layer with at least {int(host.max()) + 1} units"
            if host[index] >= classes
            else f"labels that begin at 0, or ignore_class={int(host[index])}",
        ),
        index,
    )


# ---- objects


def quotient(total: Array, weight: Array) -> Array:
    """Divide a sum by its weight; 0 where nothing has weight.

    Args:
        total: of weight x loss.
        weight: sum of weights.

    Returns:
        The mean.

    Example:
        >>> import numpy as np
        >>> float(quotient(np.float64(6.0), np.float64(4.0))), float(quotient(np.float64(0.0), np.float64(0.0)))
        (1.5, 0.0)
    """
    xp = backends.of(total).xp
    return xp.where(weight == 0, 0.0, total / xp.where(weight == 0, 1.0, weight))


def scalar_like(array: Array, value: float) -> Array:
    """Make a scalar array of a number.

    Args:
        array: whose backend, dtype and device it gets.
        value: the number.

    Returns:
        An array without axes.
    """
    owner = backends.of(array)
    return owner.xp.full((), value, dtype=array.dtype, device=owner.device_of(array))


class Loss(Configured):
    """Base class of losses: a subclass has `call(y_true, y_pred)` with one number for each sample.

    Args:
        name: shown in logs and errors. Default: the class name in snake case.
        reduction: "mean_with_sample_weight" divides the sum of weight x loss by the sum of weights (the default here);
            "sum_over_batch_size" and "mean" divide it by the number of live samples (Keras's default); "sum" does not
            divide; "none" or None gives the losses one by one.
        dtype: in which predictions are taken; None for that of the predictions, but at least float32.

    Raises:
        ArgumentError: when there is no such reduction.

    Example:
        >>> class Cubic(Loss):
        ...     def call(self, y_true, y_pred):
        ...         return abs((y_true - y_pred) ** 3).mean(axis=-1)
        >>> float(Cubic()([[0.0], [0.0]], [[1.0], [2.0]], sample_weight=[1.0, 3.0]))
        6.25

    Source: Keras 3.15, but for the default reduction.
    """

    def __init__(self, name: str | None = None, reduction: str | None = _MEAN, dtype: str | None = None) -> None:
        if reduction not in REDUCTIONS:
            raise ArgumentError(
                explain(
                    "reduction",
                    expected="a known name",
                    got=repr(reduction),
                    fix=nearest(str(reduction), (name for name in REDUCTIONS if name)),
                )
            )
        self.name = name or snake_case(type(self).__name__)
        self.reduction = reduction
        self.dtype = dtype

    def call(self, y_true: Array, y_pred: Array) -> Array:
        """The loss of each sample; what a subclass defines.

        Args:
            y_true: (N, ...) targets.
            y_pred: (N, ...) predictions.

        Returns:
            (N,).
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method call(y_true, y_pred)")

    def live(self, y_true: Array, y_pred: Array) -> Array | None:
        """Which samples count.

        Args:
            y_true: (N, ...) targets.
            y_pred: (N, ...) predictions.

        Returns:
            A bool array of the shape of the losses, or None for all.
        """
        return None

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Array:
        """Compute the loss of a batch.

        Args:
            y_true: targets in any form: arrays, lists, Ragged.
            y_pred: (B, ...) or a Ragged.
            sample_weight: None, one weight for each row, or one for each step.

        Returns:
            A scalar; with reduction "none", (N,) weighted losses.

        Raises:
            ShapeError: when shapes do not fit.
            DataError: when rows differ, or a label is outside 0..C-1.
        """
        if self.reduction in ("none", None):
            losses, weights, _ = self._weighted(y_true, y_pred, sample_weight)
            return losses if weights is None else losses * weights
        return quotient(*self.sums(y_true, y_pred, sample_weight))

    def sums(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, among: Array | None = None
    ) -> tuple[Array, Array]:
        """Compute a batch's part of the loss, to be added to that of other batches and divided once.

        Args:
            y_true: targets in any form: arrays, lists, Ragged.
            y_pred: (B, ...) or a Ragged.
            sample_weight: None, one weight for each row, or one for each step.
            among: None, or a bool for each step or row: False for one that only fills the batch up.

        Returns:
            Sum of weight x loss, and what to divide it by: the sum of weights, the number of live samples for "mean"
            and "sum_over_batch_size", or 1 for "sum" (so that several batches give the mean of their sums).

        Raises:
            ArgumentError: when the reduction is "none".
            ShapeError: when shapes do not fit.
            DataError: when rows differ, or a label is outside 0..C-1.
        """
        if self.reduction in ("none", None):
            raise ArgumentError(
                explain(
                    f"loss {self.name!r}",
                    expected="a reduction that gives one number, to train with",
                    got=f"reduction={self.reduction!r}",
                    fix=f"reduction={_MEAN!r}",
                )
            )
        losses, weights, live = self._weighted(y_true, y_pred, sample_weight, among)
        xp = backends.of(losses).xp
        if self.reduction == "sum":
            weight = scalar_like(losses, 1)
        elif self.reduction == _MEAN and weights is not None:
            weight = xp.sum(weights)
        elif live is not None:
            weight = xp.sum(xp.astype(live, losses.dtype))
        else:
            weight = scalar_like(losses, math.prod(losses.shape))
        return xp.sum(losses if weights is None else losses * weights), weight

    def _weighted(
        self, y_true: Any, y_pred: Any, sample_weight: Any, among: Array | None = None
    ) -> tuple[Array, Array | None, Array | None]:
        """Losses, weights of the same shape, and which samples live."""
        targets, values, weights = aligned(f"loss {self.name!r}", y_true, y_pred, sample_weight)
        values = floating(values) if self.dtype is None else backends.of(values).cast(values, self.dtype)
        try:
            losses = self.call(targets, values)
        except LabelError as error:
            raise _with_row(error, targets, y_pred) from None
        if not losses.ndim and values.ndim:
            losses = self._spread(losses, values, weights if among is None else among)
        if weights is not None:
            weights = fit_weights(self.name, weights, losses)
        live = self.live(targets, values)
        if among is not None:
            xp = backends.of(losses).xp
            among = xp.broadcast_to(xp.reshape(among, (-1, *(1 for _ in losses.shape[1:]))), tuple(losses.shape))
            losses = xp.where(among, losses, 0.0)
            live = among if live is None else xp.logical_and(among, live)
        if live is not None and weights is not None:
            weights = backends.of(losses).xp.where(live, weights, 0.0)
        return losses, weights, live

    def _spread(self, loss: Array, values: Array, weights: Array | None) -> Array:
        """A function that gave one number for the batch: the same number for each sample, where that is right."""
        if weights is not None:
            raise ShapeError(
                explain(
                    f"loss {self.name!r}",
                    expected="one loss for each sample, to be weighted",
                    got="one number for the whole batch",
                    fix="return the losses with only the last axis reduced, such as mean(..., axis=-1)",
                )
            )
        owner = backends.of(values)
        return loss * owner.xp.ones((values.shape[0],), dtype=values.dtype, device=owner.device_of(values))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = {"name": self.name, "reduction": self.reduction}
        return config if self.dtype is None else {**config, "dtype": self.dtype}


def _with_row(error: LabelError, targets: Array, y_pred: Any) -> RowError:
    """The same error with the row, and the step where the predictions have rows."""
    if isinstance(y_pred, Ragged):
        row, place = _place(y_pred, error.index)
    else:
        row = error.index // max(math.prod(targets.shape[1:]), 1)
        place = f"row {row}"
    return RowError(str(error).replace(f"at index {error.index}", f"in {place}"), row)


def _place(y_pred: Ragged, index: int) -> tuple[int, str]:
    """The row of a step, and its place in words."""
    if isinstance(y_pred.values, Ragged):
        within = y_pred.values.rows
        row, place = _place(Ragged(within.row_lengths, y_pred.rows), int(within.value_rowids[index]))
        return row, f"{place}, place {within.positions[index]} in it"
    row = int(y_pred.rows.value_rowids[index])
    return row, f"row {row}, step {y_pred.rows.positions[index]}"


def fit_weights(name: str, weights: Array, losses: Array) -> Array:
    """Bring weights to the dtype and shape of the losses: the weight of a sample counts for all its numbers.

    Args:
        name: of the loss or metric.
        weights: (N,), or as the losses.
        losses: (N, ...).

    Returns:
        An array like the losses.

    Raises:
        ShapeError: when they do not fit.
    """
    owner = backends.of(losses)
    xp = owner.xp
    weights = owner.cast(weights, owner.dtype_name(losses))
    if weights.ndim == losses.ndim + 1 and weights.shape[-1] == 1:
        weights = xp.squeeze(weights, axis=-1)
    if weights.ndim > losses.ndim or tuple(weights.shape) != tuple(losses.shape[: weights.ndim]):
        raise ShapeError(
            explain(
                f"loss {name!r}, sample_weight",
                expected=f"one weight for each loss, shape {tuple(losses.shape)}, or for each sample",
                got=f"shape {tuple(weights.shape)}",
                fix="an array (B,), one weight for each row, or one for each step",
            )
        )
    if weights.ndim < losses.ndim:
        weights = xp.reshape(weights, (*weights.shape, *(1 for _ in losses.shape[weights.ndim :])))
        weights = xp.broadcast_to(weights, tuple(losses.shape))
    return weights


class LossFunctionWrapper(Loss):
    """Makes a loss of a function.

    Args:
        fn: fn(y_true, y_pred, **arguments) gives one number for each sample.
        reduction: as in `Loss`.
        name: shown in logs and errors. Default: the function's name.
        dtype: as in `Loss`.
        **arguments: handed to the function.

    Example:
        >>> loss = LossFunctionWrapper(huber, delta=2.0)
        >>> float(loss([[0.0]], [[1.0]]))
        0.5

    Source: Keras 3.15.
    """

    def __init__(
        self,
        fn: LossFunction,
        reduction: str | None = _MEAN,
        name: str | None = None,
        dtype: str | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None), reduction, dtype)
        self.fn = fn
        self.arguments = arguments

    def call(self, y_true: Array, y_pred: Array) -> Array:  # noqa: D102
        return self.fn(*as_samples(y_true, y_pred), **self.arguments)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"fn": self.fn, **super().get_config(), **self.arguments}


class _Named(LossFunctionWrapper):
    """A loss whose function its class fixes."""

    def get_config(self) -> dict[str, Any]:
        return {**Loss.get_config(self), **self.arguments}


class MeanSquaredError(_Named):
    """Mean over the outputs of (y_true - y_pred)^2.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(MeanSquaredError()([[0.0], [1.0]], [[1.0], [1.0]]))
        0.5

    Source: Keras 3.15.
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = "mean_squared_error", dtype: str | None = None
    ) -> None:
        super().__init__(mean_squared_error, reduction, name, dtype)


class MeanAbsoluteError(_Named):
    """Mean over the outputs of |y_true - y_pred|.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(MeanAbsoluteError()([[0.0], [1.0]], [[1.0], [1.0]]))
        0.5

    Source: Keras 3.15.
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = "mean_absolute_error", dtype: str | None = None
    ) -> None:
        super().__init__(mean_absolute_error, reduction, name, dtype)


class MeanAbsolutePercentageError(_Named):
    """Mean over the outputs of 100 |y_true - y_pred| / |y_true|.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(MeanAbsolutePercentageError()([[2.0]], [[1.0]]))
        50.0

    Source: Keras 3.15.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str | None = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_absolute_percentage_error, reduction, name, dtype)


class MeanSquaredLogarithmicError(_Named):
    """Mean over the outputs of (log(y_true + 1) - log(y_pred + 1))^2.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(MeanSquaredLogarithmicError()([[1.0]], [[1.0]]))
        0.0

    Source: Keras 3.15.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str | None = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(mean_squared_logarithmic_error, reduction, name, dtype)


class Huber(_Named):
    """Squared error near 0, absolute error far from it.

    Args:
        delta: where the one becomes the other.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(Huber()([[0.0, 0.0]], [[1.0, 3.0]]))
        1.5

    Source: Huber 1964; Keras 3.15.
    """

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = _MEAN,
        name: str | None = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(huber, reduction, name, dtype, delta=delta)


class LogCosh(_Named):
    """Mean over the outputs of log(cosh(y_pred - y_true)).

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> round(float(LogCosh()([[0.0]], [[1.0]])), 4)
        0.4338

    Source: Keras 3.15.
    """

    def __init__(self, reduction: str | None = _MEAN, name: str | None = "log_cosh", dtype: str | None = None) -> None:
        super().__init__(log_cosh, reduction, name, dtype)


class Poisson(_Named):
    """Mean over the outputs of y_pred - y_true log(y_pred).

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> round(float(Poisson()([[2.0]], [[1.0]])), 4)
        1.0

    Source: Keras 3.15.
    """

    def __init__(self, reduction: str | None = _MEAN, name: str | None = "poisson", dtype: str | None = None) -> None:
        super().__init__(poisson, reduction, name, dtype)


class KLDivergence(_Named):
    """Kullback-Leibler divergence: sum over the classes of y_true log(y_true / y_pred).

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]]))
        0.0

    Source: Kullback and Leibler 1951; Keras 3.15.
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = "kl_divergence", dtype: str | None = None
    ) -> None:
        super().__init__(kl_divergence, reduction, name, dtype)


class Hinge(_Named):
    """Mean over the outputs of max(1 - y_true y_pred, 0).

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(Hinge()([[1.0, 0.0]], [[0.5, -2.0]]))
        0.25

    Source: Keras 3.15.
    """

    def __init__(self, reduction: str | None = _MEAN, name: str | None = "hinge", dtype: str | None = None) -> None:
        super().__init__(hinge, reduction, name, dtype)


class SquaredHinge(_Named):
    """Mean over the outputs of max(1 - y_true y_pred, 0)^2.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(SquaredHinge()([[1.0, 0.0]], [[0.5, -2.0]]))
        0.125

    Source: Keras 3.15.
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = "squared_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(squared_hinge, reduction, name, dtype)


class CategoricalHinge(_Named):
    """How far the best wrong class comes within 1 of the right one.

    Args:
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(CategoricalHinge()([[1.0, 0.0]], [[0.5, 0.25]]))
        0.75

    Source: Keras 3.15.
    """

    def __init__(
        self, reduction: str | None = _MEAN, name: str | None = "categorical_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(categorical_hinge, reduction, name, dtype)


class CosineSimilarity(_Named):
    """Minus the cosine of the angle between targets and predictions; 0 where either is 0.

    Args:
        axis: of the vectors.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> float(CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]]))
        -1.0

    Source: Keras 3.15.
    """

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(cosine_similarity, reduction, name, dtype, axis=axis)


class BinaryCrossentropy(_Named):
    """Mean over the outputs of -log of the probability given to the true answer of each yes-or-no question.

    Args:
        from_logits: the predictions are scores before the sigmoid.
        label_smoothing: 0.2 turns the labels 0 and 1 into 0.1 and 0.9.
        axis: over which the mean is taken.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> round(float(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.6931

    Source: Keras 3.15.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
    ) -> None:
        own: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_crossentropy, reduction, name, dtype, **own)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class CategoricalCrossentropy(_Named):
    """-log of the probability given to the true class, for one-hot labels.

    Args:
        from_logits: the predictions are scores before the softmax.
        label_smoothing: the share of each label that is spread over all classes.
        axis: of the classes.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ, or one class only.

    Example:
        >>> round(float(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.6931

    Source: Keras 3.15.
    """

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        own: dict[str, Any] = {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_crossentropy, reduction, name, dtype, **own)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing


class SparseCategoricalCrossentropy(_Named):
    """-log of the probability given to the true class, for labels 0..C-1.

    Args:
        from_logits: the predictions are scores before the softmax.
        ignore_class: a label whose samples do not count, neither in the sum nor in what it is divided by.
        reduction: as in `Loss`.
        axis: of the classes.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with anything but one label for each prediction.
        LabelError: when called with a label outside 0..C-1.

    Example:
        >>> loss = SparseCategoricalCrossentropy(ignore_class=-1)
        >>> round(float(loss([1, -1], [[0.5, 0.5], [0.9, 0.1]])), 4)
        0.6931

    Source: Keras 3.15.
    """

    def __init__(
        self,
        from_logits: bool = False,
        ignore_class: int | None = None,
        reduction: str | None = _MEAN,
        axis: int = -1,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        own: dict[str, Any] = {"from_logits": from_logits, "ignore_class": ignore_class, "axis": axis}
        super().__init__(sparse_categorical_crossentropy, reduction, name, dtype, **own)
        self.from_logits = from_logits
        self.ignore_class = ignore_class

    def call(self, y_true: Array, y_pred: Array) -> Array:  # noqa: D102
        return sparse_categorical_crossentropy(y_true, y_pred, **self.arguments)

    def live(self, y_true: Array, y_pred: Array) -> Array | None:  # noqa: D102
        if self.ignore_class is None:
            return None
        return class_labels(self.name, y_true, y_pred, self.arguments["axis"]) != self.ignore_class


mse = MSE = mean_squared_error
mae = MAE = mean_absolute_error
mape = MAPE = mean_absolute_percentage_error
msle = MSLE = mean_squared_logarithmic_error
bce = BCE = binary_crossentropy
kld = KLD = kl_divergence
logcosh = log_cosh

KNOWN: dict[str, type[Loss]] = table(
    *(MeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError, MeanSquaredLogarithmicError, Huber, LogCosh),
    *(Poisson, KLDivergence, Hinge, SquaredHinge, CategoricalHinge, CosineSimilarity),
    *(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy),
    **{"mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError},
    **{"mape": MeanAbsolutePercentageError, "MAPE": MeanAbsolutePercentageError},
    **{"msle": MeanSquaredLogarithmicError, "MSLE": MeanSquaredLogarithmicError},
    **{"bce": BinaryCrossentropy, "BCE": BinaryCrossentropy, "kld": KLDivergence, "KLD": KLDivergence},
    **{"logcosh": LogCosh},
)


_KERAS_ONLY = (
    *("binary_focal_crossentropy", "categorical_focal_crossentropy", "categorical_generalized_cross_entropy"),
    *("ctc", "dice", "tversky", "circle"),
)


def answers(y_true_shape: Shape, y_pred_shape: Shape) -> str:
    """Tell from the shapes what is predicted, as Keras does for "accuracy" and "crossentropy".

    Args:
        y_true_shape: of the targets; a length that varies may be None.
        y_pred_shape: of the predictions.

    Returns:
        "binary" (one output), "sparse_categorical" (labels 0..C-1) or "categorical" (one-hot labels).

    Example:
        >>> answers((8,), (8, 1)), answers((8,), (8, 5)), answers((8, 5), (8, 5))
        ('binary', 'sparse_categorical', 'categorical')
    """
    if len(y_pred_shape) < 2 or y_pred_shape[-1] == 1:
        return "binary"
    if len(y_true_shape) < len(y_pred_shape) or y_true_shape[-1] == 1:
        return "sparse_categorical"
    return "categorical"


def get(identifier: Any, *, y_true_shape: Shape | None = None, y_pred_shape: Shape | None = None) -> Loss | None:
    """Find a loss.

    Args:
        identifier: a name ("mse", "mean_squared_error", "MeanSquaredError"), an object, a class, a function
            fn(y_true, y_pred), a config as in a model's file, or None.
        y_true_shape: of the targets, for "crossentropy" and "ce", which name the binary, the categorical or the sparse
            one as the shapes say.
        y_pred_shape: of the predictions.

    Returns:
        The loss; None for None.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.
        NotThereYetError: when Keras has it and padless does not yet.

    Example:
        >>> get("mse").name
        'mean_squared_error'
    """
    if identifier is None:
        return None
    if identifier in ("crossentropy", "ce") and y_true_shape is not None and y_pred_shape is not None:
        identifier = answers(y_true_shape, y_pred_shape) + "_crossentropy"
    if isinstance(identifier, Loss | type) or not callable(identifier):
        return find("loss", identifier, KNOWN, Loss, _KERAS_ONLY)
    return _BY_FUNCTION[identifier]() if identifier in _BY_FUNCTION else LossFunctionWrapper(identifier)


_BY_FUNCTION: dict[Any, type[Loss]] = {globals()[snake_case(kind.__name__)]: kind for kind in set(KNOWN.values())}
