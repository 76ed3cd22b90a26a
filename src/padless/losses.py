"""Losses: one number for each step (or row), and sums that add up over batches; formulas of Keras 3.15.

Legend of shapes: N live steps of all rows (or B rows, where the predictions have none), D outputs, C classes.

Every loss gives per-sample numbers with the last axis of the predictions reduced: (N, D) to (N,). `Loss.sums` gives
the sum of weight x loss and the sum of weights, so that batches, accumulated steps and ranks add up before the one
division.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from padless import activations, backends, chains
from padless.backends.base import logsumexp
from padless.errors import ArgumentError, DataError, RowError, ShapeError, explain, nearest
from padless.named import Configured, find, snake_case, table
from padless.ragged import Ragged
from padless.rows import naming_outer_rows
from padless.targets import aligned, is_nested, live_entries, live_steps, within_rows

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


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Binary crossentropy in which answers that are nearly right count little: times (1 - p)^gamma.

    Args:
        y_true: (N, D) labels 0 and 1, or probabilities.
        y_pred: (N, D) predicted probabilities.
        apply_class_balancing: whether label 1 is weighted by alpha and label 0 by 1 - alpha.
        alpha: that weight.
        gamma: how little they count; p is the probability given to the true answer.
        from_logits: y_pred are scores before the sigmoid.
        label_smoothing: 0.2 turns the labels 0 and 1 into 0.1 and 0.9.
        axis: over which the mean is taken.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> binary_focal_crossentropy([[1.0, 0.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.1733]

    Source: Lin et al. 2017; Keras 3.15.
    """
    y_true, y_pred, xp = matched("binary_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + 0.5 * label_smoothing
    share = activations.sigmoid(y_pred) if from_logits else y_pred
    p = xp.clip(share, EPSILON, 1.0 - EPSILON)
    loss = -(y_true * xp.log(p) + (1.0 - y_true) * xp.log(1.0 - p))
    loss = (1.0 - (y_true * share + (1.0 - y_true) * (1.0 - share))) ** gamma * loss
    if apply_class_balancing:
        loss = (y_true * alpha + (1.0 - y_true) * (1.0 - alpha)) * loss
    return xp.mean(loss, axis=axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Array:
    """Categorical crossentropy in which answers that are nearly right count little: times alpha (1 - p)^gamma.

    Args:
        y_true: (N, C) one-hot labels, or probabilities.
        y_pred: (N, C) predicted probabilities; divided by their sum.
        alpha: a weight; a list has one for each class.
        gamma: how little they count.
        from_logits: y_pred are scores before the softmax.
        label_smoothing: the share of each label that is spread over all classes.
        axis: of the classes.

    Returns:
        (N,).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> categorical_focal_crossentropy([[0.0, 1.0]], [[0.5, 0.5]]).round(4).tolist()
        [0.0433]

    Source: Lin et al. 2017; Keras 3.15.
    """
    y_true, y_pred, xp = matched("categorical_focal_crossentropy", y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1.0 - label_smoothing) + label_smoothing / y_true.shape[-1]
    share = activations.softmax(y_pred, axis) if from_logits else y_pred / xp.sum(y_pred, axis=axis, keepdims=True)
    p = xp.clip(share, EPSILON, 1.0 - EPSILON)
    if isinstance(alpha, list | tuple):
        weights = xp.asarray(alpha, dtype=p.dtype, device=backends.of(p).device_of(p))
        alpha = xp.reshape(weights, tuple(len(alpha) if at == axis % p.ndim else 1 for at in range(p.ndim)))
    return xp.sum(-(alpha * (1.0 - p) ** gamma) * y_true * xp.log(p), axis=axis)


def categorical_generalized_cross_entropy(y_true: Any, y_pred: Any, q: float = 0.5) -> Array:
    """(1 - p^q) / q for the probability p given to the true class: less moved by wrong labels than -log p.

    Args:
        y_true: (N,) or (N, 1) labels from 0 to C-1.
        y_pred: (N, C) predicted probabilities.
        q: from near 0, as the crossentropy, to 1, as the absolute error.

    Returns:
        (N,).

    Raises:
        ShapeError: when there is not one label for each prediction.
        LabelError: when a label is outside 0..C-1.

    Example:
        >>> categorical_generalized_cross_entropy([1], [[0.75, 0.25]]).tolist()
        [1.0]

    Source: Zhang and Sabuncu 2018; Keras 3.15.
    """
    y_pred = floating(y_pred)
    xp = backends.of(y_pred).xp
    labels = class_labels("categorical_generalized_cross_entropy", y_true, y_pred)
    _check_labels(labels, y_pred.shape[-1])
    p = xp.squeeze(xp.take_along_axis(y_pred, xp.expand_dims(labels, axis=-1), axis=-1), axis=-1)
    return (1.0 - xp.clip(p, EPSILON, None) ** q) / q


# ---- functions of a whole batch or row


def dice(y_true: Any, y_pred: Any, axis: int | Sequence[int] | None = None) -> Array:
    """How little two sets overlap: 1 - 2 |both| / (|one| + |other|), for shares from 0 to 1.

    Args:
        y_true: targets from 0 to 1.
        y_pred: predictions of the same shape.
        axis: over which sums are taken; None for all.

    Returns:
        The axes that are left; a scalar for axis=None.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> round(float(dice([[1.0, 0.0]], [[1.0, 1.0]])), 4)
        0.3333

    Source: Dice 1945, Milletari et al. 2016; Keras 3.15.
    """
    return Dice(reduction=None, axis=axis)(y_true, y_pred)


def tversky(
    y_true: Any, y_pred: Any, alpha: float = 0.5, beta: float = 0.5, axis: int | Sequence[int] | None = None
) -> Array:
    """How little two sets overlap, with weights of their own for what only one of them has.

    Args:
        y_true: targets from 0 to 1.
        y_pred: predictions of the same shape.
        alpha: weight of what only the targets have, as in Keras.
        beta: weight of what only the predictions have.
        axis: over which sums are taken; None for all.

    Returns:
        The axes that are left; a scalar for axis=None.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> round(float(tversky([[1.0, 0.0]], [[1.0, 1.0]], beta=1.0)), 4)
        0.5

    Source: Tversky 1977, Salehi et al. 2017; Keras 3.15.
    """
    return Tversky(alpha, beta, reduction=None, axis=axis)(y_true, y_pred)


def circle(
    y_true: Any,
    y_pred: Any,
    ref_labels: Any = None,
    ref_embeddings: Any = None,
    remove_diagonal: bool = True,
    gamma: float = 80.0,
    margin: float = 0.4,
) -> Array:
    """Draw embeddings of one label together and push others away, most where they are farthest from that.

    Args:
        y_true: (N,) labels.
        y_pred: (N, D) embeddings of length 1.
        ref_labels: (M,) labels of what they are compared with; y_true by default.
        ref_embeddings: (M, D); y_pred by default.
        remove_diagonal: whether none is compared with itself.
        gamma: how steep the loss is.
        margin: how near is near enough.

    Returns:
        (N,); 0 for a sample without another of its label, or without one of another label.

    Raises:
        ShapeError: when there is not one label for each embedding.

    Example:
        >>> circle([0, 0, 1], [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).round(4).tolist()
        [0.0, 0.0, 0.0]

    Source: Sun et al. 2020; Keras 3.15.
    """
    return _circle(y_true, y_pred, ref_labels, ref_embeddings, remove_diagonal, gamma, margin, None)


def _circle(
    y_true: Any, y_pred: Any, others: Any, embeddings: Any, apart: bool, gamma: float, margin: float, among: Any
) -> Array:
    """The same, among some of the samples only: (N,) bools, or None."""
    y_pred = floating(y_pred)
    owner = backends.of(y_pred)
    xp = owner.xp
    labels = owner.asarray(y_true)
    if y_pred.ndim != 2 or math.prod(labels.shape) != y_pred.shape[0]:
        raise ShapeError(
            explain(
                "'circle'",
                expected="embeddings (N, D) and one label for each",
                got=f"predictions {tuple(y_pred.shape)}, labels {tuple(labels.shape)}",
                fix="a last layer with one vector for each sample, and layers.UnitNormalization() behind it",
            )
        )
    labels = xp.reshape(labels, (-1,))
    others = labels if others is None else xp.reshape(owner.asarray(others), (-1,))
    embeddings = y_pred if embeddings is None else floating(embeddings)
    distance = activations.relu(1.0 - y_pred @ xp.permute_dims(embeddings, (1, 0)))
    alike = labels[:, None] == others[None, :]
    unlike = xp.logical_not(alike)
    if apart:
        places, columns = (xp.arange(n.shape[0], device=owner.device_of(y_pred)) for n in (labels, others))
        alike = xp.logical_and(alike, places[:, None] != columns[None, :])
    if among is not None:
        alike, unlike = xp.logical_and(alike, among[None, :]), xp.logical_and(unlike, among[None, :])
    near = -gamma * activations.relu(margin + distance) * (margin - distance)
    far = gamma * activations.relu(1.0 + margin - distance) * (1.0 - margin - distance)

    def total(scores: Array, chosen: Array) -> Array:
        return logsumexp(owner, xp.where(chosen, scores, -1e30), axis=1)

    both = xp.logical_and(xp.any(alike, axis=1), xp.any(unlike, axis=1))
    return xp.where(both, activations.softplus(total(near, alike) + total(far, unlike)), 0.0)


# ---- functions of whole rows


def ctc(y_true: Any, y_pred: Any) -> Array:
    """-log probability that the labels of each row come out of its steps, over all alignments.

    Args:
        y_true: for each row its labels from 1 to C-1, as `CTC` takes them.
        y_pred: rows of scores before the softmax: a Ragged (B, None, C), or an array (B, T, C) without padding.

    Returns:
        (B,).

    Raises:
        DataError: when labels are the blank, or more than the steps of their row can hold.

    Example:
        >>> import numpy as np
        >>> ctc([[1]], np.zeros((1, 2, 2))).round(4).tolist()  # 3 of 4 paths: 11, 01, 10
        [0.2877]

    Source: Graves et al. 2006; Keras 3.15.
    """
    return CTC(reduction=None)(y_true, y_pred)


def crf(y_true: Any, y_pred: Any) -> Array:
    """-log probability of the tags of each row.

    Args:
        y_true: a tag from 0 to K-1 for each step, or one-hot ones.
        y_pred: potentials (B, None, K, K), as `layers.CRF` gives them.

    Returns:
        (B,).

    Raises:
        DataError: when rows differ, or a tag is outside 0..K-1.

    Example:
        >>> import numpy as np
        >>> crf([[0, 1]], Ragged.from_list([np.zeros((2, 2, 2))])).round(4).tolist()  # one of 4 paths
        [1.3863]

    Source: Lafferty, McCallum and Pereira 2001.
    """
    return CRF(reduction=None)(y_true, y_pred)


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

    def among(self, y_pred: Any, live: Array | None) -> Array | None:
        """Which entries count, as `sums` wants them.

        Args:
            y_pred: (B, ...) or a Ragged.
            live: (B,) bool, False for rows that only fill the batch up; None where there are none.

        Returns:
            Bools, one for each step or row that has a loss; None for all.
        """
        return live_entries(y_pred, live)

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


class BinaryFocalCrossentropy(_Named):
    """Binary crossentropy in which answers that are nearly right count little.

    Args:
        apply_class_balancing: whether label 1 is weighted by alpha and label 0 by 1 - alpha.
        alpha: that weight.
        gamma: how little they count: times (1 - p)^gamma.
        from_logits: the predictions are scores before the sigmoid.
        label_smoothing: 0.2 turns the labels 0 and 1 into 0.1 and 0.9.
        axis: over which the mean is taken.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> round(float(BinaryFocalCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]])), 4)
        0.1733

    Source: Lin et al. 2017; Keras 3.15.
    """

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "binary_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        own: dict[str, Any] = {"apply_class_balancing": apply_class_balancing, "alpha": alpha, "gamma": gamma}
        own |= {"from_logits": from_logits, "label_smoothing": label_smoothing, "axis": axis}
        super().__init__(binary_focal_crossentropy, reduction, name, dtype, **own)


class CategoricalFocalCrossentropy(_Named):
    """Categorical crossentropy in which answers that are nearly right count little.

    Args:
        alpha: a weight; a list has one for each class.
        gamma: how little they count: times (1 - p)^gamma.
        from_logits: the predictions are scores before the softmax.
        label_smoothing: the share of each label that is spread over all classes.
        axis: of the classes.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ.

    Example:
        >>> round(float(CategoricalFocalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]])), 4)
        0.0433

    Source: Lin et al. 2017; Keras 3.15.
    """

    def __init__(
        self,
        alpha: Any = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = _MEAN,
        name: str | None = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        own: dict[str, Any] = {"alpha": alpha, "gamma": gamma, "from_logits": from_logits}
        own |= {"label_smoothing": label_smoothing, "axis": axis}
        super().__init__(categorical_focal_crossentropy, reduction, name, dtype, **own)


class CategoricalGeneralizedCrossEntropy(_Named):
    """(1 - p^q) / q for the probability p given to the true class, for labels 0..C-1.

    Args:
        q: between 0 and 1: near 0 as the crossentropy, near 1 as the absolute error.
        reduction: as in `Loss`.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ArgumentError: when q is not between 0 and 1.
        LabelError: when called with a label outside 0..C-1.

    Example:
        >>> float(CategoricalGeneralizedCrossEntropy()([1], [[0.75, 0.25]]))
        1.0

    Source: Zhang and Sabuncu 2018; Keras 3.15.
    """

    def __init__(
        self,
        q: float = 0.5,
        reduction: str | None = _MEAN,
        name: str | None = "categorical_generalized_cross_entropy",
        dtype: str | None = None,
    ) -> None:
        if not 0 < q < 1:
            raise ArgumentError(
                explain(
                    "CategoricalGeneralizedCrossEntropy, q",
                    expected="a number between 0 and 1",
                    got=repr(q),
                    fix="q=0.5",
                )
            )
        super().__init__(categorical_generalized_cross_entropy, reduction, name, dtype, q=q)

    def call(self, y_true: Array, y_pred: Array) -> Array:  # noqa: D102
        return categorical_generalized_cross_entropy(y_true, y_pred, **self.arguments)


# ---- losses of a whole batch


class _Overlap(Loss):
    """A loss made of three sums: of the targets, of the predictions, and of their products.

    Sums run over the axes that Keras's run over, in the padded array: 0 are the rows, 1 the steps. Sample weights of
    steps weigh what is summed.
    """

    def __init__(self, axis: int | Sequence[int] | None, reduction: str | None, name: str | None, dtype: str | None):
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def of_sums(self, both: Array, true: Array, pred: Array) -> Array:
        """The loss, given the sums."""
        raise NotImplementedError

    def _weighted(
        self, y_true: Any, y_pred: Any, sample_weight: Any, among: Array | None = None
    ) -> tuple[Array, Array | None, Array | None]:
        targets, values, weights = aligned(f"loss {self.name!r}", y_true, y_pred, sample_weight)
        values = floating(values) if self.dtype is None else backends.of(values).cast(values, self.dtype)
        true, pred, xp = matched(self.name, targets, values)
        shares = None if weights is None else fit_weights(self.name, weights, pred)
        if among is not None:
            live = xp.reshape(among, (-1, *(1 for _ in pred.shape[1:])))
            shares = xp.where(live, xp.ones_like(pred) if shares is None else shares, 0.0)
        parts = [part if shares is None else part * shares for part in (true * pred, true, pred)]
        rows = y_pred.rows if isinstance(y_pred, Ragged) else None
        axes = self._axes(pred.ndim, rows is not None)
        losses = self.of_sums(*(_summed(part, axes, rows) for part in parts))
        kept_rows = rows is not None and axes is not None and 1 in axes and 0 not in axes
        if axes is None or 0 in axes:
            return losses, None, None
        if kept_rows:
            assert rows is not None
            owner = backends.of(losses)
            lasting = owner.index(rows, "row_lengths") > 0
            counts = lasting
            if among is not None:
                first = owner.take_or(owner.cast(among, "int64"), owner.index(rows, "first_index"), 0)
                counts = xp.logical_and(lasting, first > 0)
            own = None if weights is None else self._of_rows(weights, rows, owner)
            counts = xp.broadcast_to(xp.reshape(counts, (-1, *(1 for _ in losses.shape[1:]))), tuple(losses.shape))
            losses = xp.where(counts, losses, 0.0)
            return losses, own if own is None else xp.where(counts, fit_weights(self.name, own, losses), 0.0), counts
        if among is not None:
            among = xp.broadcast_to(xp.reshape(among, (-1, *(1 for _ in losses.shape[1:]))), tuple(losses.shape))
            losses = xp.where(among, losses, 0.0)
        own = None if weights is None or weights.ndim > losses.ndim else fit_weights(self.name, weights, losses)
        return losses, own if own is None or among is None else xp.where(among, own, 0.0), among

    def _of_rows(self, weights: Array, rows: Any, owner: Any) -> Array:
        """(B,) the mean weight of the steps of each row."""
        counts = owner.cast(owner.xp.clip(owner.index(rows, "row_lengths"), 1, None), owner.dtype_name(weights))
        while weights.ndim > 1:
            weights = owner.xp.mean(weights, axis=-1)
        return owner.segment_sum(weights, rows) / counts

    def _axes(self, rank: int, ragged: bool) -> frozenset[int] | None:
        """Axes of the padded array; None for all."""
        if self.axis is None:
            return None
        rank += ragged
        given = [self.axis] if isinstance(self.axis, int) else list(self.axis)
        axes = frozenset(axis % rank for axis in given if -rank <= axis < rank)
        if len(axes) != len(given) or (ragged and 0 in axes and 1 not in axes):
            raise ShapeError(
                explain(
                    f"loss {self.name!r}, axis={self.axis}",
                    expected=f"axes of predictions of {rank} axes, rows and steps together or steps alone",
                    got=f"{given}",
                    fix="axis=None for all together; axis=(1, 2) for each row of (B, T, D)",
                )
            )
        return axes

    def get_config(self) -> dict[str, Any]:
        axis = self.axis if self.axis is None or isinstance(self.axis, int) else list(self.axis)
        return {**super().get_config(), "axis": axis}


def _summed(x: Array, axes: frozenset[int] | None, rows: Any) -> Array:
    """The sum over axes of the padded array, of which x holds the live steps where there are rows."""
    xp = backends.of(x).xp
    if axes is None:
        return xp.sum(x)
    if rows is None:
        return xp.sum(x, axis=tuple(sorted(axes)))
    inner = tuple(axis - 1 for axis in sorted(axes) if axis > 1)
    if inner:
        x = xp.sum(x, axis=inner)
    if 0 in axes:
        return xp.sum(x, axis=0)
    return backends.of(x).segment_sum(x, rows) if 1 in axes else x


class Dice(_Overlap):
    """How little targets and predictions overlap: 1 - 2 |both| / (|one| + |other|).

    Args:
        reduction: as in `Loss`. With axis=None each batch counts once: such a loss is no mean over steps.
        name: shown in logs and errors.
        axis: over which sums are taken, as in the padded array: None for all, (1, 2) for each row of (B, T, D). Masked
            steps are left out, rows without steps do not count.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ, or an axis that they do not have.

    Example:
        >>> round(float(Dice()([[1.0, 0.0]], [[1.0, 1.0]])), 4)
        0.3333

    Source: Dice 1945, Milletari et al. 2016; Keras 3.15.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str | None = "dice",
        axis: int | Sequence[int] | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(axis, reduction, name, dtype)

    def of_sums(self, both: Array, true: Array, pred: Array) -> Array:  # noqa: D102
        return 1.0 - 2.0 * both / (true + pred + EPSILON)


class Tversky(_Overlap):
    """How little targets and predictions overlap, with weights of their own for what only one of them has.

    Args:
        alpha: weight of what only the targets have, as in Keras.
        beta: weight of what only the predictions have.
        reduction: as in `Loss`. With axis=None each batch counts once: such a loss is no mean over steps.
        name: shown in logs and errors.
        axis: over which sums are taken, as in `Dice`.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with shapes that differ, or an axis that they do not have.

    Example:
        >>> round(float(Tversky(beta=1.0)([[1.0, 0.0]], [[1.0, 1.0]])), 4)
        0.5

    Source: Tversky 1977, Salehi et al. 2017; Keras 3.15.
    """

    def __init__(
        self,
        alpha: float = 0.5,
        beta: float = 0.5,
        reduction: str | None = _MEAN,
        name: str | None = "tversky",
        axis: int | Sequence[int] | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(axis, reduction, name, dtype)
        self.alpha = alpha
        self.beta = beta

    def of_sums(self, both: Array, true: Array, pred: Array) -> Array:  # noqa: D102
        return 1.0 - both / (both + self.alpha * (true - both) + self.beta * (pred - both) + EPSILON)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "alpha": self.alpha, "beta": self.beta}


class Circle(Loss):
    """Draw embeddings of one label together and push others away; all samples of a batch are compared with each other.

    Args:
        gamma: how steep the loss is.
        margin: how near is near enough.
        remove_diagonal: whether none is compared with itself.
        reduction: as in `Loss`. Samples whose loss is 0 do not count, as in Keras.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Raises:
        ShapeError: when called with anything but embeddings (N, D) and one label for each.

    Example:
        >>> y_pred = [[1.0, 0.0], [0.6, 0.8], [0.8, 0.6]]
        >>> round(float(Circle(gamma=1.0)([0, 0, 1], y_pred)), 4)
        1.0532

    Source: Sun et al. 2020; Keras 3.15.
    """

    def __init__(
        self,
        gamma: float = 80.0,
        margin: float = 0.4,
        remove_diagonal: bool = True,
        reduction: str | None = _MEAN,
        name: str | None = "circle",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.gamma = gamma
        self.margin = margin
        self.remove_diagonal = remove_diagonal

    def _weighted(
        self, y_true: Any, y_pred: Any, sample_weight: Any, among: Array | None = None
    ) -> tuple[Array, Array | None, Array | None]:
        labels, values, weights = aligned(f"loss {self.name!r}", y_true, y_pred, sample_weight)
        values = floating(values) if self.dtype is None else backends.of(values).cast(values, self.dtype)
        losses = _circle(labels, values, None, None, self.remove_diagonal, self.gamma, self.margin, among)
        xp = backends.of(losses).xp
        if among is not None:
            losses = xp.where(among, losses, 0.0)
        live = losses > 0
        if weights is not None:
            weights = xp.where(live, fit_weights(self.name, weights, losses), 0.0)
        return losses, weights, live

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"gamma": self.gamma, "margin": self.margin, "remove_diagonal": self.remove_diagonal}
        return {**super().get_config(), **own}


# ---- losses of whole rows


class RowLoss(Loss):
    """Base class of losses with one number for each row: a subclass has `call(y_true, y_pred)` of rows.

    Each row counts once, by its weight, however long it is; rows without steps do not count. Predictions without rows
    are taken for rows of equal length. Of rows within rows, each of the inner ones counts.

    Args:
        name: as in `Loss`.
        reduction: as in `Loss`, with rows for samples.
        dtype: as in `Loss`.

    Example:
        >>> class Longest(RowLoss):
        ...     def call(self, y_true, y_pred):
        ...         return backends.of(y_pred.values).segment_max(abs(y_pred.values), y_pred.rows)
        >>> float(Longest()(None, Ragged.from_list([[1.0, -2.0], [], [4.0]])))
        3.0
    """

    def call(self, y_true: Any, y_pred: Ragged) -> Array:
        """The loss of each row; what a subclass defines.

        Args:
            y_true: targets, as they came.
            y_pred: (B, None, ...).

        Returns:
            (B,).
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method call(y_true, y_pred)")

    def live(self, y_true: Any, y_pred: Ragged) -> Array:
        """Which rows count.

        Args:
            y_true: targets, as they came.
            y_pred: (B, None, ...).

        Returns:
            (B,) bools: rows with steps.
        """
        return backends.of(y_pred.values).index(y_pred.rows, "row_lengths") > 0

    def check(self, y_true: Any, y_pred: Ragged, among: Array | None) -> None:
        """Raise where targets do not fit; nothing to check by default.

        Args:
            y_true: targets, as they came.
            y_pred: (B, None, ...).
            among: (B,) bools: False for a row that only fills the batch up; or None.
        """

    def among(self, y_pred: Any, live: Array | None) -> Array | None:  # noqa: D102
        return live_steps(y_pred, live) if live is not None and is_nested(y_pred) else live

    def _weighted(
        self, y_true: Any, y_pred: Any, sample_weight: Any, among: Array | None = None
    ) -> tuple[Array, Array | None, Array | None]:
        if is_nested(y_pred):
            where = f"loss {self.name!r}"
            true, inner, weights = within_rows(where, y_true, y_pred, sample_weight)
            with naming_outer_rows(y_pred.rows):
                return self._weighted(true, inner, weights, among)
        rows = y_pred if isinstance(y_pred, Ragged) else Ragged.from_padded(y_pred)
        owner = backends.of(rows.values)
        values = floating(rows.values) if self.dtype is None else owner.cast(rows.values, self.dtype)
        rows = rows.with_values(values)
        self.check(y_true, rows, among)
        losses = self.call(y_true, rows)
        live = self.live(y_true, rows)
        if among is not None:
            live = owner.xp.logical_and(live, among)
        weights = None if sample_weight is None else self._weights(sample_weight, losses, owner)
        losses = owner.xp.where(live, losses, 0.0)
        return losses, weights if weights is None else owner.xp.where(live, weights, 0.0), live

    def _weights(self, weight: Any, losses: Array, owner: Any) -> Array:
        """(B,) weights of rows."""
        flat = (
            None
            if isinstance(weight, Ragged)
            else np.shape(weight)
            if isinstance(weight, list | tuple)
            else weight.shape
        )
        nrows = losses.shape[0]
        if flat is None or tuple(flat) not in ((nrows,), (nrows, 1)):
            raise ShapeError(
                explain(
                    f"loss {self.name!r}, sample_weight",
                    expected=f"one weight for each of {nrows} rows: this loss has one number for each",
                    got=repr(weight) if flat is None else f"shape {tuple(flat)}",
                    fix="an array (B,)",
                )
            )
        array = weight if owner.is_array(weight) else np.asarray(backends.of(weight).to_host(weight))
        return owner.cast(owner.xp.reshape(owner.asarray(array), (-1,)), owner.dtype_name(losses))


class CTC(RowLoss):
    """Labels without alignment: -log probability that a row's labels come out of its steps in order.

    A step gives a label or the blank, class 0; repeats become one label unless a blank is between. Labels are rows of
    their own, shorter than those of the predictions. A row needs as many steps as it has labels, and one more for each
    that is the same as the one before it; a row with fewer cannot be aligned, and its loss would be infinite.

    Args:
        reduction: as in `Loss`; each row counts once, those without steps do not.
        name: shown in logs and errors.
        dtype: as in `Loss`.
        zero_infinity: whether rows that cannot be aligned are left out, as if they were not there; not in Keras.

    Shapes:
        y_true: a list of lists or a Ragged (B, None) of ids from 1 to C-1, or an array (B, L) in which 0 is padding.
        y_pred: rows of scores before the softmax (B, None, C), or an array (B, T, C) without padding.

    Raises:
        DataError: when called with a label outside 1..C-1, or, without zero_infinity, a row that cannot be aligned.

    Example:
        >>> import numpy as np
        >>> y_pred = Ragged.from_list([np.zeros((3, 4)), np.zeros((2, 4))])
        >>> round(float(CTC()([[1, 2], [3]], y_pred)), 4)
        2.1117

    Source: Graves et al. 2006; blank and labels as in Keras 3.15.
    """

    def __init__(
        self,
        reduction: str | None = _MEAN,
        name: str | None = "ctc",
        dtype: str | None = None,
        zero_infinity: bool = False,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.zero_infinity = zero_infinity

    def call(self, y_true: Any, y_pred: Ragged) -> Array:  # noqa: D102
        owner = backends.of(y_pred.values)
        labels, counts = (owner.asarray(part) for part in self._labels(y_true, y_pred))
        scores = activations.log_softmax(y_pred.values, -1)
        return owner.ctc(scores, y_pred.rows, owner.cast(labels, "int64"), counts)

    def live(self, y_true: Any, y_pred: Ragged) -> Array:  # noqa: D102
        found = super().live(y_true, y_pred)
        if not self.zero_infinity:
            return found
        owner = backends.of(y_pred.values)
        needed = owner.asarray(_steps_for(*self._labels(y_true, y_pred)))
        return owner.xp.logical_and(found, owner.index(y_pred.rows, "row_lengths") >= needed)

    def check(self, y_true: Any, y_pred: Ragged, among: Array | None) -> None:  # noqa: D102
        labels, counts = self._labels(y_true, y_pred)
        owner = backends.of(labels)
        xp, classes = owner.xp, y_pred.values.shape[-1]
        inside = xp.arange(labels.shape[1], device=owner.device_of(labels))[None, :] < counts[:, None]
        wrong = xp.any(xp.logical_and(inside, xp.logical_or(labels < 1, labels >= classes)), axis=1)
        needed = _steps_for(labels, counts)
        lengths = owner.index(y_pred.rows, "row_lengths")
        bad = wrong if self.zero_infinity else xp.logical_or(wrong, lengths < needed)
        if owner.is_traced(bad):
            owner.assume(xp.logical_not(bad if among is None else xp.logical_and(bad, among)))
            return
        rows = owner.to_host(bad)
        if not rows.any():
            return
        row = int(rows.argmax())
        ids = owner.to_host(labels)[row][: int(counts[row])].tolist()
        if bool(wrong[row]):
            text = explain(
                f"loss {self.name!r}, row {row}",
                expected=f"labels from 1 to {classes - 1}: 0 is the blank, and the predictions have {classes} classes",
                got=f"{ids[:20]}",
                fix="ids that begin at 1, and a last layer with one unit more than there are labels",
            )
        else:
            text = explain(
                f"loss {self.name!r}, row {row}",
                expected=f"at least {int(needed[row])} steps for its {len(ids)} labels (one more for each repeat)",
                got=f"{int(lengths[row])} steps",
                fix="layers that keep more steps, shorter labels, or CTC(zero_infinity=True) to leave such rows out",
            )
        raise RowError(text, row)

    def _labels(self, y_true: Any, y_pred: Ragged) -> tuple[Array, Array]:
        """(B, L) labels, those of each row first, and (B,) how many; arrays of the backend of the targets."""
        if isinstance(y_true, list | tuple) and not all(hasattr(row, "__len__") for row in y_true):
            y_true = np.asarray(y_true)
        elif isinstance(y_true, list | tuple):
            y_true = Ragged.from_list([np.asarray(backends.of(row).to_host(row), np.int64) for row in y_true])
        values = y_true.values if isinstance(y_true, Ragged) else y_true
        owner = backends.of(values)
        xp = owner.xp
        array = owner.asarray(values)
        fits = array.ndim == 1 or tuple(array.shape[1:]) == (1,) if isinstance(y_true, Ragged) else array.ndim == 2
        nrows = len(y_true)
        if not fits or nrows != y_pred.rows.nrows or y_pred.ndim != 3:
            raise ShapeError(
                explain(
                    f"loss {self.name!r}",
                    expected="labels (B, None) or (B, L) beside predictions (B, None, C), with as many rows",
                    got=f"labels {tuple(y_true.shape)}, predictions {y_pred.shape}",
                    fix="a list with a list of ids for each row, and a last layer that keeps the steps",
                )
            )
        if not isinstance(y_true, Ragged):
            # Labels go to the front, in their order: padding may stand on any side.
            order = xp.argsort(xp.astype(array == 0, xp.int32), axis=1, stable=True)
            return xp.take_along_axis(array, order, axis=1), xp.sum(xp.astype(array != 0, xp.int32), axis=1)
        table = owner.index(y_true.rows, "rank_index")
        return owner.take_or(xp.reshape(array, (-1,)), table, 0), owner.index(y_true.rows, "row_lengths")

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "zero_infinity": self.zero_infinity}


def _steps_for(labels: Array, counts: Array) -> Array:
    """(B,) how many steps each row of labels needs: one for each, and a blank between equal ones."""
    owner = backends.of(labels)
    xp = owner.xp
    inside = xp.arange(labels.shape[1], device=owner.device_of(labels))[None, :] < counts[:, None]
    again = xp.logical_and(labels[:, 1:] == labels[:, :-1], inside[:, 1:])
    return counts + xp.sum(xp.astype(again, counts.dtype), axis=1)


class CRF(RowLoss):
    """-log probability of a row's tags under the potentials that `layers.CRF` gives.

    Args:
        reduction: as in `Loss`; each row counts once, those without steps do not.
        name: shown in logs and errors.
        dtype: as in `Loss`.

    Shapes:
        y_true: a tag from 0 to K-1 for each step, (B, None) or padded (B, T); or one-hot ones.
        y_pred: (B, None, K, K).

    Raises:
        DataError: when called with rows that differ, or a tag outside 0..K-1.

    Example:
        >>> import numpy as np
        >>> y_pred = Ragged.from_list([np.zeros((2, 2, 2)), np.zeros((1, 2, 2))])
        >>> round(float(CRF()([[0, 1], [1]], y_pred)), 4)
        1.0397

    Source: Lafferty, McCallum and Pereira 2001.
    """

    def __init__(self, reduction: str | None = _MEAN, name: str | None = "crf", dtype: str | None = None) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Ragged) -> Array:  # noqa: D102
        return chains.log_partition(y_pred) - chains.path_score(y_pred, self._tags(y_true, y_pred))

    def check(self, y_true: Any, y_pred: Ragged, among: Array | None) -> None:  # noqa: D102
        count = y_pred.values.shape[-1]
        if y_pred.ndim != 4 or y_pred.values.shape[1] != count:
            raise ShapeError(
                explain(
                    f"loss {self.name!r}",
                    expected="potentials (B, None, K, K)",
                    got=f"predictions {y_pred.shape}",
                    fix="layers.CRF(units) as the last layer",
                )
            )
        tags = self._tags(y_true, y_pred)
        try:
            _check_labels(tags, count)
        except LabelError as error:
            text = str(error).replace("'sparse_categorical_crossentropy'", f"loss {self.name!r}")
            raise _with_row(LabelError(text, error.index), tags, y_pred) from None

    def _tags(self, y_true: Any, y_pred: Ragged) -> Array:
        """(N,) ids."""
        tags, _, _ = aligned(f"loss {self.name!r}", y_true, y_pred)
        owner = backends.of(tags)
        count = y_pred.values.shape[-1]
        if tags.ndim == 2 and tags.shape[1] == 1:
            tags = tags[:, 0]
        elif tags.ndim == 2 and tags.shape[1] == count:
            tags = owner.xp.argmax(tags, axis=1)
        if tags.ndim != 1:
            raise ShapeError(
                explain(
                    f"loss {self.name!r}",
                    expected=f"a tag for each step, or {count} numbers with a single 1",
                    got=f"targets with {tuple(tags.shape[1:])} for each step",
                    fix="whole numbers from 0 to units - 1",
                )
            )
        return owner.cast(tags, "int64")


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
    *(BinaryFocalCrossentropy, CategoricalFocalCrossentropy, CategoricalGeneralizedCrossEntropy),
    *(Dice, Tversky, Circle, CTC, CRF),
    **{"mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError},
    **{"mape": MeanAbsolutePercentageError, "MAPE": MeanAbsolutePercentageError},
    **{"msle": MeanSquaredLogarithmicError, "MSLE": MeanSquaredLogarithmicError},
    **{"bce": BinaryCrossentropy, "BCE": BinaryCrossentropy, "kld": KLDivergence, "KLD": KLDivergence},
    **{"logcosh": LogCosh},
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

    Example:
        >>> get("mse").name
        'mean_squared_error'
    """
    if identifier is None:
        return None
    if identifier in ("crossentropy", "ce") and y_true_shape is not None and y_pred_shape is not None:
        identifier = answers(y_true_shape, y_pred_shape) + "_crossentropy"
    if isinstance(identifier, Loss | type) or not callable(identifier):
        return find("loss", identifier, KNOWN, Loss)
    return _BY_FUNCTION[identifier]() if identifier in _BY_FUNCTION else LossFunctionWrapper(identifier)


def serialize(loss: Any) -> Any:
    """Turn a loss into plain values.

    Args:
        loss: a loss, a function with a name, or a name.

    Returns:
        A dict that JSON can hold, or the name.

    Example:
        >>> serialize(Huber(2.0))["config"]["delta"]
        2.0
    """
    from padless import saving

    return saving.serialize(loss)


def deserialize(name: Any, custom_objects: Mapping[str, Any] | None = None) -> Loss | None:
    """Make a loss of what `serialize` gave.

    Args:
        name: a dict or a name.
        custom_objects: losses of your own by name.

    Returns:
        The loss.

    Raises:
        ArgumentError: when it is not known.

    Example:
        >>> deserialize(serialize(Huber(2.0))).arguments
        {'delta': 2.0}
    """
    own = (custom_objects or {}).get(str(name.get("class_name") if isinstance(name, Mapping) else name))
    if own is None:
        return get(name)
    return get(own.from_config(name.get("config") or {}) if isinstance(name, Mapping) else own)


_BY_FUNCTION: dict[Any, type[Loss]] = {globals()[snake_case(kind.__name__)]: kind for kind in set(KNOWN.values())}
