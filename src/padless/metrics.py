"""Metrics whose state adds up; formulas of Keras 3.15.

Legend of shapes: N live steps of all rows (or B rows, where the predictions have none), D outputs, C classes.

`batch_state` is pure and works on packed arrays of a backend, so that it can be part of a compiled training step; what
it gives for one batch is added to a state in float64 on the host. A number of an epoch therefore depends on the live
steps alone: not on padding, and not on how they were cut into batches.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from padless import activations, backends, losses
from padless.errors import ArgumentError, DataError, ShapeError, explain, nearest
from padless.losses import (
    EPSILON,
    Loss,
    Shape,
    answers,
    as_samples,
    class_labels,
    fit_weights,
    floating,
    matched,
    scalar_like,
)
from padless.losses import binary_crossentropy as binary_crossentropy
from padless.losses import binary_focal_crossentropy as binary_focal_crossentropy
from padless.losses import categorical_crossentropy as categorical_crossentropy
from padless.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from padless.losses import categorical_hinge as categorical_hinge
from padless.losses import hinge as hinge
from padless.losses import huber as huber
from padless.losses import kl_divergence as kl_divergence
from padless.losses import log_cosh as log_cosh
from padless.losses import mean_absolute_error as mean_absolute_error
from padless.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from padless.losses import mean_squared_error as mean_squared_error
from padless.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from padless.losses import poisson as poisson
from padless.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from padless.losses import squared_hinge as squared_hinge
from padless.named import Configured, find, snake_case, table
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.targets import aligned

Array = Any
HostArray = npt.NDArray[Any]
State = dict[str, Array]
MetricFunction = Callable[..., Array]


def _divided(total: Any, count: Any) -> HostArray:
    """The quotient, and 0 where count is 0."""
    total, count = np.asarray(total, np.float64), np.asarray(count, np.float64)
    quotients = np.zeros(np.broadcast(total, count).shape)
    np.divide(total, count, out=quotients, where=count != 0)
    return quotients


def _plain(value: Any) -> Any:
    """A float where there is one number, else the array."""
    return float(value) if np.ndim(value) == 0 else value


class Metric(Configured):
    """Base class of metrics: a subclass has `batch_state`, whose numbers add up over batches, and `result`.

    Args:
        name: shown in logs. Default: the class name in snake case.
        dtype: kept for Keras's sake; the state is float64 on the host.

    Attributes:
        state: sums of all batches since the last reset, by name.

    Example:
        >>> class Largest(Metric):
        ...     def batch_state(self, y_true, y_pred, weight):
        ...         return {"hits": (y_pred > 1).sum()}
        ...
        ...     def result(self):
        ...         return self.of("hits")
        >>> metric = Largest()
        >>> metric.update_state([0, 0], [0.5, 1.5])
        >>> metric.result()
        1.0

    Source: Keras 3.15, but for `batch_state`.
    """

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        self.name = name or snake_case(type(self).__name__)
        self.dtype = dtype
        self.state: dict[str, HostArray] = {}

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        """What one batch adds to the state; what a subclass defines.

        Args:
            y_true: (N, ...) targets of the live steps.
            y_pred: (N, ...) predictions.
            weight: (N,) or None.

        Returns:
            Arrays by name.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method batch_state(y_true, y_pred, weight)")

    def result(self) -> Any:
        """The metric of everything since the last reset.

        Returns:
            A float, or an array where there are several numbers.
        """
        raise NotImplementedError(f"{type(self).__name__} needs a method result()")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: targets in any form: arrays, lists, Ragged.
            y_pred: (B, ...) or a Ragged, whose live steps count.
            sample_weight: None, one weight for each row, or one for each step.

        Raises:
            ShapeError: when shapes do not fit.
            DataError: when rows differ.
        """
        self.merge(self.batch_state(*aligned(f"metric {self.name!r}", y_true, y_pred, sample_weight)))

    def merge(self, state: Mapping[str, Array]) -> None:
        """Add what `batch_state` gave for a batch, or the state of another metric of the same kind.

        Args:
            state: arrays by name.
        """
        for name, value in state.items():
            host = np.asarray(backends.of(value).to_host(value), np.float64)
            self.state[name] = self.state[name] + host if name in self.state else host

    def reset_state(self) -> None:
        """Forget everything, as at the start of an epoch."""
        self.state = {}

    def of(self, name: str) -> Any:
        """One number or array of the state; 0 before the first batch.

        Args:
            name: a name that `batch_state` gives.

        Returns:
            A float or an array.
        """
        return _plain(self.state.get(name, np.zeros(())))

    def __call__(self, *batch: Any, **weights: Any) -> Any:
        """Add a batch, and give the result so far.

        Args:
            *batch: as for `update_state`.
            **weights: as for `update_state`.

        Returns:
            As `result`.
        """
        self.update_state(*batch, **weights)
        return self.result()

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"name": self.name, "dtype": self.dtype}


# ---- sums and means


def _weighed(name: str, values: Array, weight: Array | None) -> State:
    """Sum of weight x value, and sum of weights."""
    owner = backends.of(values)
    values = floating(values)
    if not values.ndim:
        values = owner.xp.reshape(values, (1,))
        weight = None if weight is None else owner.xp.reshape(weight, (1,))
    if weight is None:
        return {"total": owner.xp.sum(values), "count": scalar_like(values, math.prod(values.shape))}
    weight = fit_weights(name, weight, values)
    return {"total": owner.xp.sum(values * weight), "count": owner.xp.sum(weight)}


class _Average(Metric):
    """A metric that is a mean over samples."""

    def result(self) -> Any:
        return _plain(_divided(self.of("total"), self.of("count")))


class Mean(_Average):
    """Weighted mean of numbers.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> mean = Mean()
        >>> mean.update_state([1.0, 3.0], sample_weight=[3.0, 1.0])
        >>> mean.result()
        1.5

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "mean", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add numbers.

        Args:
            values: a number, an array, a list or a Ragged.
            sample_weight: None, one weight for each row, or one for each number.

        Raises:
            ShapeError: when the weights do not fit.
        """
        _, numbers, weight = aligned(f"metric {self.name!r}", values, values, sample_weight)
        self.merge(_weighed(self.name, numbers, weight))


class Sum(Mean):
    """Weighted sum of numbers.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> total = Sum()
        >>> total.update_state([1.0, 3.0])
        >>> total.result()
        4.0

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "sum", dtype: str | None = None) -> None:
        super().__init__(name, dtype)

    def result(self) -> Any:  # noqa: D102
        return self.of("total")


class MeanMetricWrapper(_Average):
    """Mean of what a function gives for each sample.

    Args:
        fn: fn(y_true, y_pred, **arguments) gives one number or more for each sample, or one for the batch.
        name: shown in logs. Default: the function's name.
        dtype: kept for Keras's sake.
        **arguments: handed to the function.

    Example:
        >>> metric = MeanMetricWrapper(lambda y_true, y_pred: abs(y_true - y_pred), name="distance")
        >>> metric([[0.0], [0.0]], [[1.0], [2.0]])
        1.5

    Source: Keras 3.15.
    """

    def __init__(self, fn: MetricFunction, name: str | None = None, dtype: str | None = None, **arguments: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None), dtype)
        self.fn = fn
        self.arguments = arguments

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        values = self.fn(*as_samples(y_true, y_pred), **self.arguments)
        if values.ndim:
            return _weighed(self.name, values, weight)
        if weight is not None:
            raise ShapeError(
                explain(
                    f"metric {self.name!r}",
                    expected="one number for each sample, to be weighted",
                    got="one number for the whole batch",
                    fix="return the numbers with only the last axis reduced, such as mean(..., axis=-1)",
                )
            )
        return {"total": values * y_pred.shape[0], "count": scalar_like(values, y_pred.shape[0])}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "fn": self.fn, **self.arguments}


class _Named(MeanMetricWrapper):
    """A mean whose function its class fixes."""

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), **self.arguments}


# ---- accuracies


def accuracy(y_true: Any, y_pred: Any) -> Array:
    """Where predictions equal targets.

    Args:
        y_true: (N, ...) targets.
        y_pred: (N, ...) predicted labels, of the same shape.

    Returns:
        An array like y_pred of 0 and 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> accuracy([1, 2], [1, 3]).tolist()
        [1.0, 0.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("accuracy", y_true, y_pred)
    return xp.astype(y_true == y_pred, y_pred.dtype)


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Array:
    """Where yes-or-no answers are right.

    Args:
        y_true: (N, D) labels 0 and 1.
        y_pred: (N, D) probabilities.
        threshold: above it, the answer is yes.

    Returns:
        (N, D) of 0 and 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> binary_accuracy([[1.0], [1.0]], [[0.9], [0.2]]).tolist()
        [[1.0], [0.0]]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("binary_accuracy", y_true, y_pred)
    return xp.astype(y_true == xp.astype(y_pred > threshold, y_true.dtype), y_pred.dtype)


def categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Where the likeliest class is the right one, for one-hot labels.

    Args:
        y_true: (N, C) one-hot labels.
        y_pred: (N, C) probabilities or scores.

    Returns:
        (N,) of 0 and 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> categorical_accuracy([[0, 1], [0, 1]], [[0.1, 0.9], [0.8, 0.2]]).tolist()
        [1.0, 0.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("categorical_accuracy", y_true, y_pred)
    return xp.astype(xp.argmax(y_true, axis=-1) == xp.argmax(y_pred, axis=-1), y_pred.dtype)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Array:
    """Where the likeliest class is the right one, for labels 0..C-1.

    Args:
        y_true: (N,) or (N, 1) labels.
        y_pred: (N, C) probabilities or scores.

    Returns:
        (N,) of 0 and 1.

    Raises:
        ShapeError: when there is not one label for each prediction.

    Example:
        >>> sparse_categorical_accuracy([1, 1], [[0.1, 0.9], [0.8, 0.2]]).tolist()
        [1.0, 0.0]

    Source: Keras 3.15.
    """
    y_pred = floating(y_pred)
    xp = backends.of(y_pred).xp
    labels = class_labels("sparse_categorical_accuracy", y_true, y_pred)
    return xp.astype(labels == xp.argmax(y_pred, axis=-1), y_pred.dtype)


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Array:
    """Where the right class is among the k likeliest, for one-hot labels.

    Args:
        y_true: (N, C) one-hot labels.
        y_pred: (N, C) probabilities or scores.
        k: how many.

    Returns:
        (N,) of 0 and 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> top_k_categorical_accuracy([[0, 0, 1]], [[0.5, 0.2, 0.3]], k=2).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("top_k_categorical_accuracy", y_true, y_pred)
    return _in_top_k(xp.argmax(y_true, axis=-1), y_pred, k)


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5, from_sorted_ids: bool = False) -> Array:
    """Where the right class is among the k likeliest, for labels 0..C-1.

    Args:
        y_true: (N,) or (N, 1) labels.
        y_pred: (N, C) probabilities or scores; with from_sorted_ids (N, at least k) labels, the likeliest first.
        k: how many.
        from_sorted_ids: what y_pred holds.

    Returns:
        (N,) of 0 and 1.

    Raises:
        ShapeError: when there is not one label for each prediction.

    Example:
        >>> sparse_top_k_categorical_accuracy([2], [[0.5, 0.2, 0.3]], k=2).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    y_pred = floating(y_pred)
    xp = backends.of(y_pred).xp
    labels = class_labels("sparse_top_k_categorical_accuracy", y_true, y_pred)
    if not from_sorted_ids:
        return _in_top_k(labels, y_pred, k)
    return xp.astype(xp.any(xp.astype(labels, y_pred.dtype)[..., None] == y_pred[..., :k], axis=-1), y_pred.dtype)


def _in_top_k(labels: Array, y_pred: Array, k: int) -> Array:
    """Whether fewer than k classes have a higher score than the right one."""
    xp = backends.of(y_pred).xp
    own = xp.take_along_axis(y_pred, labels[..., None], axis=-1)
    higher = xp.sum(xp.astype(y_pred > own, y_pred.dtype), axis=-1)
    return xp.astype(higher < k, y_pred.dtype)


class Accuracy(_Named):
    """How often predicted labels equal the targets.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> Accuracy()([1, 2], [1, 3])
        0.5

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "accuracy", dtype: str | None = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(_Named):
    """How often yes-or-no answers are right.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        threshold: above it, the answer is yes.

    Example:
        >>> BinaryAccuracy()([[1.0], [1.0]], [[0.9], [0.2]])
        0.5

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)


class CategoricalAccuracy(_Named):
    """How often the likeliest class is the right one, for one-hot labels.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> CategoricalAccuracy()([[0, 1], [0, 1]], [[0.1, 0.9], [0.8, 0.2]])
        0.5

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(_Named):
    """How often the likeliest class is the right one, for labels 0..C-1.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> SparseCategoricalAccuracy()([1, 1], [[0.1, 0.9], [0.8, 0.2]])
        0.5

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(_Named):
    """How often the right class is among the k likeliest, for one-hot labels.

    Args:
        k: how many.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> TopKCategoricalAccuracy(k=2)([[0, 0, 1]], [[0.5, 0.2, 0.3]])
        1.0

    Source: Keras 3.15.
    """

    def __init__(self, k: int = 5, name: str | None = "top_k_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(top_k_categorical_accuracy, name, dtype, k=k)


class SparseTopKCategoricalAccuracy(_Named):
    """How often the right class is among the k likeliest, for labels 0..C-1.

    Args:
        k: how many.
        name: shown in logs.
        dtype: kept for Keras's sake.
        from_sorted_ids: the predictions are labels, the likeliest first.

    Example:
        >>> SparseTopKCategoricalAccuracy(k=2)([2], [[0.5, 0.2, 0.3]])
        1.0

    Source: Keras 3.15.
    """

    def __init__(
        self,
        k: int = 5,
        name: str | None = "sparse_top_k_categorical_accuracy",
        dtype: str | None = None,
        from_sorted_ids: bool = False,
    ) -> None:
        own: dict[str, Any] = {"k": k, "from_sorted_ids": from_sorted_ids}
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, **own)


# ---- losses as metrics


class LossMetric(_Average):
    """The weighted mean of a loss.

    Args:
        loss: the loss, or its config.
        name: shown in logs. Default: the loss's name.
        dtype: kept for Keras's sake.

    Example:
        >>> LossMetric(losses.Huber(delta=2.0))([[0.0]], [[1.0]])
        0.5
    """

    def __init__(self, loss: Loss | Mapping[str, Any], name: str | None = None, dtype: str | None = None) -> None:
        self.loss = find("loss", loss, losses.KNOWN, Loss)
        super().__init__(name or self.loss.name, dtype)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # noqa: D102
        total, count = self.loss.sums(y_true, y_pred, sample_weight)
        self.merge({"total": total, "count": count})

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        total, count = self.loss.sums(y_true, y_pred, weight)
        return {"total": total, "count": count}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        loss = {"class_name": type(self.loss).__name__, "config": self.loss.get_config()}
        return {**super().get_config(), "loss": loss}


class _Lossy(LossMetric):
    """A metric that is the loss of the same name; the arguments are the loss's own."""

    kind: ClassVar[type[Loss]]

    def __init__(self, name: str | None = None, dtype: str | None = None, **arguments: Any) -> None:
        self.arguments = arguments
        super().__init__(self.kind(**arguments), name or snake_case(type(self).__name__), dtype)

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), **self.arguments}


class MeanSquaredError(_Lossy):
    """Mean of the squared errors.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> MeanSquaredError()([[0.0], [0.0]], [[1.0], [2.0]])
        2.5

    Source: Keras 3.15.
    """

    kind = losses.MeanSquaredError


class MeanAbsoluteError(_Lossy):
    """Mean of the sizes of the errors.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> MeanAbsoluteError()([[0.0], [0.0]], [[1.0], [2.0]])
        1.5

    Source: Keras 3.15.
    """

    kind = losses.MeanAbsoluteError


class MeanAbsolutePercentageError(_Lossy):
    """Mean of the errors' sizes as percentages of the targets' sizes.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> MeanAbsolutePercentageError()([[2.0]], [[1.0]])
        50.0

    Source: Keras 3.15.
    """

    kind = losses.MeanAbsolutePercentageError


class MeanSquaredLogarithmicError(_Lossy):
    """Mean of the squared differences of log(y + 1).

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> MeanSquaredLogarithmicError()([[1.0]], [[1.0]])
        0.0

    Source: Keras 3.15.
    """

    kind = losses.MeanSquaredLogarithmicError


class LogCoshError(_Lossy):
    """Mean of log(cosh(error)).

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> round(LogCoshError()([[0.0]], [[1.0]]), 4)
        0.4338

    Source: Keras 3.15.
    """

    kind = losses.LogCosh

    def __init__(self, name: str | None = "logcosh", dtype: str | None = None) -> None:
        super().__init__(name, dtype)


class Poisson(_Lossy):
    """Mean of the Poisson loss.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> round(Poisson()([[2.0]], [[1.0]]), 4)
        1.0

    Source: Keras 3.15.
    """

    kind = losses.Poisson


class KLDivergence(_Lossy):
    """Mean of the Kullback-Leibler divergence.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> KLDivergence()([[0.5, 0.5]], [[0.5, 0.5]])
        0.0

    Source: Keras 3.15.
    """

    kind = losses.KLDivergence


class Hinge(_Lossy):
    """Mean of the hinge loss.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> Hinge()([[1.0, 0.0]], [[0.5, -2.0]])
        0.25

    Source: Keras 3.15.
    """

    kind = losses.Hinge


class SquaredHinge(_Lossy):
    """Mean of the squared hinge loss.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> SquaredHinge()([[1.0, 0.0]], [[0.5, -2.0]])
        0.125

    Source: Keras 3.15.
    """

    kind = losses.SquaredHinge


class CategoricalHinge(_Lossy):
    """Mean of the categorical hinge loss.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> CategoricalHinge()([[1.0, 0.0]], [[0.5, 0.25]])
        0.75

    Source: Keras 3.15.
    """

    kind = losses.CategoricalHinge


class BinaryCrossentropy(_Lossy):
    """Mean of the binary crossentropy.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        from_logits: the predictions are scores before the sigmoid.
        label_smoothing: as in the loss.

    Example:
        >>> round(BinaryCrossentropy()([[1.0], [0.0]], [[0.5], [0.5]]), 4)
        0.6931

    Source: Keras 3.15.
    """

    kind = losses.BinaryCrossentropy

    def __init__(
        self,
        name: str | None = "binary_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing)


class CategoricalCrossentropy(_Lossy):
    """Mean of the crossentropy, for one-hot labels.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        from_logits: the predictions are scores before the softmax.
        label_smoothing: as in the loss.
        axis: of the classes.

    Example:
        >>> round(CategoricalCrossentropy()([[0.0, 1.0]], [[0.5, 0.5]]), 4)
        0.6931

    Source: Keras 3.15.
    """

    kind = losses.CategoricalCrossentropy

    def __init__(
        self,
        name: str | None = "categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, label_smoothing=label_smoothing, axis=axis)


class SparseCategoricalCrossentropy(_Lossy):
    """Mean of the crossentropy, for labels 0..C-1.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        from_logits: the predictions are scores before the softmax.
        ignore_class: a label whose samples do not count.
        axis: of the classes.

    Example:
        >>> round(SparseCategoricalCrossentropy()([1], [[0.5, 0.5]]), 4)
        0.6931

    Source: Keras 3.15.
    """

    kind = losses.SparseCategoricalCrossentropy

    def __init__(
        self,
        name: str | None = "sparse_categorical_crossentropy",
        dtype: str | None = None,
        from_logits: bool = False,
        ignore_class: int | None = None,
        axis: int = -1,
    ) -> None:
        super().__init__(name, dtype, from_logits=from_logits, ignore_class=ignore_class, axis=axis)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Cosine of the angle between targets and predictions; as a metric, more is better.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.
        axis: of the vectors.

    Returns:
        (N,) numbers from -1 to 1 (same direction).

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> cosine_similarity([[0.0, 2.0]], [[0.0, 1.0]]).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    return -losses.cosine_similarity(y_true, y_pred, axis)


class CosineSimilarity(_Named):
    """Mean cosine of the angle between targets and predictions.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        axis: of the vectors.

    Example:
        >>> CosineSimilarity()([[0.0, 2.0]], [[0.0, 1.0]])
        1.0

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "cosine_similarity", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(cosine_similarity, name, dtype, axis=axis)


class RootMeanSquaredError(MeanSquaredError):
    """Root of the mean of the squared errors.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> RootMeanSquaredError()([[0.0], [0.0]], [[2.0], [2.0]])
        2.0

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return math.sqrt(super().result())


# ---- right and wrong, yes and no


_LOWEST = -1e10
"""The score of a class that is not among the k highest, and the threshold that lies under every other."""


def _confusion(labels: Array, scores: Array, weight: Array | None, thresholds: Sequence[float]) -> State:
    """Weights of the yes and no answers that are right and wrong at each threshold.

    Args:
        labels: (N, D); whatever is not 0 is yes.
        scores: (N, D); the answer is yes above the threshold.
        weight: (N, D) or None.
        thresholds: T numbers, rising or not.

    Returns:
        true_positives and false_positives (T,), positives and negatives (a scalar each: of all answers).
    """
    owner = backends.of(scores)
    xp = owner.xp
    yes = xp.astype(xp.reshape(labels != 0, (-1,)), scores.dtype)
    flat = xp.reshape(scores, (-1,))
    share = xp.ones_like(flat) if weight is None else xp.reshape(weight, (-1,))
    bounds = xp.asarray(thresholds, dtype=flat.dtype, device=owner.device_of(flat))
    # Sums from the highest score down: a count of none is exactly 0, not a difference of sums that are nearly equal.
    order = xp.argsort(-flat)
    passed = xp.searchsorted(xp.take(-flat, order, axis=0), -bounds, side="left")

    def above(weights: Array) -> tuple[Array, Array]:
        sums = xp.cumulative_sum(weights, include_initial=True)
        return xp.take(sums, passed, axis=0), sums[-1]

    true_positives, positives = above(xp.take(yes * share, order, axis=0))
    false_positives, negatives = above(xp.take((1.0 - yes) * share, order, axis=0))
    return {
        "true_positives": true_positives,
        "false_positives": false_positives,
        "positives": positives,
        "negatives": negatives,
    }


def _top_k_only(scores: Array, k: int) -> Array:
    """Scores of the k highest classes of each sample; the others far below."""
    xp = backends.of(scores).xp
    order = xp.argsort(scores, axis=-1, descending=True, stable=True)
    return xp.where(xp.argsort(order, axis=-1) < k, scores, _LOWEST)


def _thresholds(where: str, thresholds: float | Sequence[float] | None, default: float) -> list[float]:
    if thresholds is None:
        return [default]
    given = [thresholds] if isinstance(thresholds, int | float) else [float(t) for t in thresholds]
    wrong = [t for t in given if not 0 <= t <= 1]
    if wrong:
        raise ArgumentError(
            explain(f"{where}, thresholds", expected="numbers from 0 to 1", got=f"{wrong}", fix="thresholds=0.5")
        )
    return given


class _Counts(Metric):
    """A metric of how many answers are right and wrong at each threshold."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        self.init_thresholds = thresholds
        self.top_k = top_k
        self.class_id = class_id
        self.thresholds = _thresholds(type(self).__name__, thresholds, 0.5 if top_k is None else _LOWEST)

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:
        labels, scores, _ = matched(self.name, *as_samples(y_true, y_pred))
        if self.top_k is not None:
            scores = _top_k_only(scores, self.top_k)
        if self.class_id is not None:
            if scores.ndim < 2 or not -scores.shape[-1] <= self.class_id < scores.shape[-1]:
                raise ShapeError(
                    explain(
                        f"metric {self.name!r}, class_id",
                        expected=f"predictions (N, C) with a class {self.class_id}",
                        got=f"predictions {tuple(scores.shape)}",
                        fix="leave class_id out, or a last layer with more units",
                    )
                )
            labels, scores = labels[..., self.class_id], scores[..., self.class_id]
        return _confusion(
            labels, scores, None if weight is None else fit_weights(self.name, weight, scores), self.thresholds
        )

    def _each(self, values: HostArray) -> Any:
        """One number for one threshold, else an array."""
        full = np.broadcast_to(values, (len(self.thresholds),))
        return float(full[0]) if len(self.thresholds) == 1 else full.copy()

    def get_config(self) -> dict[str, Any]:
        own = {"thresholds": self.init_thresholds, "top_k": self.top_k, "class_id": self.class_id}
        return {**super().get_config(), **own}


class Precision(_Counts):
    """Share of the yes answers that are right.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        top_k: yes for the k highest classes of each sample instead.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when a threshold is not from 0 to 1.

    Example:
        >>> Precision()([[1.0], [0.0]], [[0.9], [0.8]])
        0.5

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        tp = self.of("true_positives")
        return self._each(_divided(tp, tp + self.of("false_positives")))


class Recall(_Counts):
    """Share of the targets yes that are found.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        top_k: yes for the k highest classes of each sample instead.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when a threshold is not from 0 to 1.

    Example:
        >>> Recall()([[1.0], [1.0]], [[0.9], [0.2]])
        0.5

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return self._each(_divided(self.of("true_positives"), self.of("positives")))


class _Count(_Counts):
    """How many answers are of one sort."""

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(thresholds, name=name, dtype=dtype)

    def get_config(self) -> dict[str, Any]:
        return {**Metric.get_config(self), "thresholds": self.init_thresholds}


class TruePositives(_Count):
    """Number of yes answers that are right.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> TruePositives()([[1.0], [0.0]], [[0.9], [0.8]])
        1.0

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return self._each(self.of("true_positives"))


class FalsePositives(_Count):
    """Number of yes answers that are wrong.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> FalsePositives()([[1.0], [0.0]], [[0.9], [0.8]])
        1.0

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return self._each(self.of("false_positives"))


class TrueNegatives(_Count):
    """Number of no answers that are right.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> TrueNegatives()([[1.0], [0.0]], [[0.9], [0.2]])
        1.0

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return self._each(self.of("negatives") - self.of("false_positives"))


class FalseNegatives(_Count):
    """Number of no answers that are wrong.

    Args:
        thresholds: above which the answer is yes; several give several numbers. Default: 0.5.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> FalseNegatives()([[1.0], [1.0]], [[0.9], [0.2]])
        1.0

    Source: Keras 3.15.
    """

    def result(self) -> Any:  # noqa: D102
        return self._each(self.of("positives") - self.of("true_positives"))


_CURVES = ("ROC", "PR", "PRGAIN")
_SUMMATIONS = ("interpolation", "majoring", "minoring")


def _choice(name: str, value: str, choices: Sequence[str]) -> str:
    for choice in choices:
        if str(value).lower() == choice.lower():
            return choice
    raise ArgumentError(
        explain(f"AUC, {name}", expected="a known name", got=repr(value), fix=nearest(str(value), choices))
    )


class AUC(Metric):
    """Area under the curve of two rates that change with the threshold, as a sum over thresholds.

    Args:
        num_thresholds: how many, from 0 to 1.
        curve: "ROC", "PR" (precision over recall) or "PRGAIN".
        summation_method: "interpolation", or "majoring" or "minoring" for an upper or a lower bound.
        name: shown in logs.
        dtype: kept for Keras's sake.
        thresholds: numbers from 0 to 1, in place of num_thresholds.
        multi_label: the mean of one area for each label, instead of the area of all answers together.
        num_labels: how many labels; checked with multi_label.
        label_weights: one weight for each label.
        from_logits: the predictions are scores before the sigmoid.

    Raises:
        ArgumentError: when an argument has none of these values.
        ShapeError: when multi_label is given and the predictions are not (N, num_labels).

    Example:
        >>> round(AUC()([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9]), 3)
        0.75

    Source: Davis and Goadrich 2006 (PR), Flach and Kull 2015 (PRGAIN); Keras 3.15.
    """

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        if thresholds is None and num_thresholds < 2:
            raise ArgumentError(
                explain(
                    "AUC, num_thresholds", expected="at least 2", got=repr(num_thresholds), fix="num_thresholds=200"
                )
            )
        if num_labels and not multi_label:
            raise ArgumentError(
                explain(
                    "AUC, num_labels", expected="multi_label=True with it", got="multi_label=False", fix="leave it out"
                )
            )
        inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
        self.init_thresholds = None if thresholds is None else sorted(_thresholds("AUC", thresholds, 0.5))
        inner = inner if self.init_thresholds is None else self.init_thresholds
        self.thresholds = [-EPSILON, *inner, 1.0 + EPSILON]
        self.num_thresholds = len(self.thresholds)
        self.curve = _choice("curve", curve, _CURVES)
        self.summation_method = _choice("summation_method", summation_method, _SUMMATIONS)
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else np.asarray(label_weights, np.float64)
        self.from_logits = from_logits

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        labels, scores, xp = matched(self.name, *as_samples(y_true, y_pred))
        scores = xp.clip(activations.sigmoid(scores) if self.from_logits else scores, 0.0, 1.0)
        if weight is not None:
            weight = fit_weights(self.name, weight, scores)
        if self.multi_label:
            return self._by_label(labels, scores, weight)
        if self.label_weights is not None:
            shares = xp.asarray(self.label_weights, dtype=scores.dtype, device=backends.of(scores).device_of(scores))
            weight = (xp.ones_like(scores) if weight is None else weight) * shares
        return _confusion(labels, scores, weight, self.thresholds)

    def _by_label(self, labels: Array, scores: Array, weight: Array | None) -> State:
        """The counts of each label, with the labels as last axis."""
        if scores.ndim != 2 or self.num_labels not in (None, scores.shape[1]):
            raise ShapeError(
                explain(
                    f"metric {self.name!r}",
                    expected=f"predictions (N, {self.num_labels or 'labels'}), since multi_label=True",
                    got=f"{tuple(scores.shape)}",
                    fix="a last layer with one unit for each label",
                )
            )
        xp = backends.of(scores).xp
        each = [
            _confusion(labels[:, i], scores[:, i], None if weight is None else weight[:, i], self.thresholds)
            for i in range(scores.shape[1])
        ]
        return {name: xp.stack([state[name] for state in each], axis=-1) for name in each[0]}

    def result(self) -> float:  # noqa: D102
        if not self.state:
            return 0.0
        tp, fp = self.state["true_positives"], self.state["false_positives"]
        fn, tn = self.state["positives"] - tp, self.state["negatives"] - fp
        if self.curve == "PR" and self.summation_method == "interpolation":
            areas = _interpolated_pr(tp, fp, fn)
        else:
            x, y = _CURVE_POINTS[self.curve](tp, fp, tn, fn)
            areas = (x[:-1] - x[1:]) * _HEIGHTS[self.summation_method](y[:-1], y[1:])
        if not self.multi_label:
            return float(areas.sum())
        by_label = areas.sum(axis=0)
        if self.label_weights is None:
            return float(by_label.mean())
        return float(_divided((by_label * self.label_weights).sum(), self.label_weights.sum()))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {
            **super().get_config(),
            "num_thresholds": self.num_thresholds,
            "curve": self.curve,
            "summation_method": self.summation_method,
            "multi_label": self.multi_label,
            "num_labels": self.num_labels,
            "label_weights": None if self.label_weights is None else self.label_weights.tolist(),
            "from_logits": self.from_logits,
            **({} if self.init_thresholds is None else {"thresholds": self.init_thresholds}),
        }


def _interpolated_pr(tp: HostArray, fp: HostArray, fn: HostArray) -> HostArray:
    """Areas under precision over recall between thresholds; it is true positives that are interpolated.

    Between two thresholds, true positives grow in proportion to yes answers p: tp = slope * p + intercept. The integral
    of precision tp / p over recall is then slope * (growth of tp + intercept * growth of log p) / positives.

    Source: Davis and Goadrich 2006.
    """
    p = tp + fp
    growth = tp[:-1] - tp[1:]
    slope = _divided(growth, np.maximum(p[:-1] - p[1:], 0))
    intercept = tp[1:] - slope * p[1:]
    both = (p[:-1] > 0) & (p[1:] > 0)
    ratio = np.where(both, _divided(p[:-1], p[1:]), 1.0)
    return _divided(slope * (growth + intercept * np.log(ratio)), np.maximum(tp[1:] + fn[1:], 0))


def _roc(tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
    return _divided(fp, fp + tn), _divided(tp, tp + fn)


def _pr(tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
    return _divided(tp, tp + fn), _divided(tp, tp + fp)


def _pr_gain(tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
    odds = _divided(tp + fn, tn + fp)
    recall_gain = np.where(tp == 0, 0.0, 1.0 - odds * _divided(fn, tp))
    precision_gain = np.where(tp == 0, 1.0, 1.0 - odds * _divided(fp, tp))
    return np.maximum(recall_gain, 0.0), precision_gain


_CURVE_POINTS: dict[str, Callable[..., tuple[HostArray, HostArray]]] = {"ROC": _roc, "PR": _pr, "PRGAIN": _pr_gain}
_HEIGHTS: dict[str, Callable[[HostArray, HostArray], HostArray]] = {
    "interpolation": lambda left, right: (left + right) / 2,
    "majoring": np.maximum,
    "minoring": np.minimum,
}


# ---- the best of one rate while another is good enough


class _AtRate(_Counts):
    """The best of one rate over the thresholds at which another is at least a given number."""

    given: ClassVar[str]

    def __init__(
        self, value: float, num_thresholds: int, class_id: int | None, name: str | None, dtype: str | None
    ) -> None:
        if not 0 <= value <= 1:
            raise ArgumentError(
                explain(
                    f"{type(self).__name__}, {self.given}",
                    expected="a number from 0 to 1",
                    got=repr(value),
                    fix=f"{self.given}=0.5",
                )
            )
        if num_thresholds < 1:
            raise ArgumentError(
                explain(
                    f"{type(self).__name__}, num_thresholds",
                    expected="a whole number from 1 on",
                    got=repr(num_thresholds),
                    fix="num_thresholds=200",
                )
            )
        super().__init__(class_id=class_id, name=name, dtype=dtype)
        self.value = value
        self.num_thresholds = num_thresholds
        if num_thresholds > 1:
            # The first lies below 0, so that a score of exactly 0 is a yes there, as in Keras.
            inner = [i / (num_thresholds - 1) for i in range(1, num_thresholds - 1)]
            self.thresholds = [-EPSILON, *inner, 1.0]

    def rates(self, tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
        """The rate that must be good enough, and the one of which the best is wanted."""
        raise NotImplementedError

    def result(self) -> float:
        if not self.state:
            return 0.0
        tp, fp = self.state["true_positives"], self.state["false_positives"]
        enough, wanted = self.rates(tp, fp, self.state["negatives"] - fp, self.state["positives"] - tp)
        return float(np.max(np.where(enough >= self.value, wanted, 0.0), initial=0.0))

    def get_config(self) -> dict[str, Any]:
        own = {self.given: self.value, "num_thresholds": self.num_thresholds, "class_id": self.class_id}
        return {**Metric.get_config(self), **own}


class SensitivityAtSpecificity(_AtRate):
    """The highest share of the targets yes that is found while a share of the targets no is found, too.

    Args:
        specificity: the least share of the targets no that must be found.
        num_thresholds: how many, from 0 to 1.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when specificity is not from 0 to 1.

    Example:
        >>> SensitivityAtSpecificity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        0.5

    Source: Keras 3.15.
    """

    given = "specificity"

    def __init__(
        self,
        specificity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(specificity, num_thresholds, class_id, name, dtype)

    def rates(self, tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
        """Specificity and sensitivity."""
        return _divided(tn, tn + fp), _divided(tp, tp + fn)


class SpecificityAtSensitivity(_AtRate):
    """The highest share of the targets no that is found while a share of the targets yes is found, too.

    Args:
        sensitivity: the least share of the targets yes that must be found.
        num_thresholds: how many, from 0 to 1.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when sensitivity is not from 0 to 1.

    Example:
        >>> round(SpecificityAtSensitivity(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8]), 4)
        0.6667

    Source: Keras 3.15.
    """

    given = "sensitivity"

    def __init__(
        self,
        sensitivity: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(sensitivity, num_thresholds, class_id, name, dtype)

    def rates(self, tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
        """Sensitivity and specificity."""
        return _divided(tp, tp + fn), _divided(tn, tn + fp)


class PrecisionAtRecall(_AtRate):
    """The highest precision while the recall is at least a given number.

    Args:
        recall: that number.
        num_thresholds: how many thresholds, from 0 to 1.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when recall is not from 0 to 1.

    Example:
        >>> PrecisionAtRecall(0.5)([0, 0, 0, 1, 1], [0.0, 0.3, 0.8, 0.3, 0.8])
        0.5

    Source: Keras 3.15.
    """

    given = "recall"

    def __init__(
        self,
        recall: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(recall, num_thresholds, class_id, name, dtype)

    def rates(self, tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
        """Recall and precision."""
        return _divided(tp, tp + fn), _divided(tp, tp + fp)


class RecallAtPrecision(_AtRate):
    """The highest recall while the precision is at least a given number.

    Args:
        precision: that number.
        num_thresholds: how many thresholds, from 0 to 1.
        class_id: the only class to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when precision is not from 0 to 1.

    Example:
        >>> RecallAtPrecision(0.8)([0, 0, 1, 1], [0.0, 0.5, 0.3, 0.9])
        0.5

    Source: Keras 3.15.
    """

    given = "precision"

    def __init__(
        self,
        precision: float,
        num_thresholds: int = 200,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(precision, num_thresholds, class_id, name, dtype)

    def rates(self, tp: HostArray, fp: HostArray, tn: HostArray, fn: HostArray) -> tuple[HostArray, HostArray]:
        """Precision and recall."""
        return _divided(tp, tp + fp), _divided(tp, tp + fn)


# ---- F-scores


_AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """Harmonic mean of precision and recall, in which recall weighs beta^2 times as much.

    Args:
        average: None for one number for each class, "macro" for their mean, "weighted" for that by how often each class
            is true, "micro" for the score of all answers together.
        beta: how much recall counts.
        threshold: above which the answer is yes; None for the highest score of each sample alone.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when an argument has none of these values.
        ShapeError: when called with anything but (N, C).

    Example:
        >>> round(FBetaScore("micro", beta=2.0)([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]]), 4)
        0.5

    Source: van Rijsbergen 1979; Keras 3.15.
    """

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str | None = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        fine = average in _AVERAGES, beta > 0, threshold is None or 0 < threshold <= 1
        for what, given, wanted, right in (
            ("average", average, f"one of {_AVERAGES}", fine[0]),
            ("beta", beta, "a number above 0", fine[1]),
            ("threshold", threshold, "None, or a number above 0 and up to 1", fine[2]),
        ):
            if not right:
                raise ArgumentError(
                    explain(f"{type(self).__name__}, {what}", expected=wanted, got=repr(given), fix="see its docstring")
                )
        self.average = average
        self.beta = float(beta)
        self.threshold = threshold

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        true, scores, xp = matched(self.name, y_true, y_pred)
        if scores.ndim != 2:
            raise ShapeError(
                explain(
                    f"metric {self.name!r}",
                    expected="predictions (N, C), and one-hot or yes-or-no targets of the same shape",
                    got=f"predictions {tuple(scores.shape)}",
                    fix="a last layer with one unit for each class",
                )
            )
        if self.threshold is None:
            yes = xp.logical_and(scores >= xp.max(scores, axis=-1, keepdims=True), xp.abs(scores) > 1e-9)
        else:
            yes = scores > self.threshold
        yes = xp.astype(yes, scores.dtype)
        share = xp.ones_like(scores) if weight is None else fit_weights(self.name, weight, scores)
        axis = None if self.average == "micro" else 0
        return {
            "true_positives": xp.sum(yes * true * share, axis=axis),
            "false_positives": xp.sum(yes * (1 - true) * share, axis=axis),
            "false_negatives": xp.sum((1 - yes) * true * share, axis=axis),
            "weights": xp.sum(true * share, axis=axis),
        }

    def result(self) -> Any:  # noqa: D102
        tp, fp, fn = (self.of(name) for name in ("true_positives", "false_positives", "false_negatives"))
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        score = (1 + self.beta**2) * precision * recall / (self.beta**2 * precision + recall + EPSILON)
        if self.average == "weighted":
            weights = self.of("weights")
            return float(np.sum(score * weights / (np.sum(weights) + EPSILON)))
        return _plain(score) if self.average is None else float(np.mean(score))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"average": self.average, "beta": self.beta, "threshold": self.threshold}
        return {**super().get_config(), **own}


class F1Score(FBetaScore):
    """Harmonic mean of precision and recall.

    Args:
        average: as in `FBetaScore`.
        threshold: above which the answer is yes; None for the highest score of each sample alone.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when an argument has none of these values.
        ShapeError: when called with anything but (N, C).

    Example:
        >>> round(F1Score(average="macro")([[1, 0], [0, 1]], [[0.9, 0.1], [0.8, 0.2]]), 4)
        0.3333

    Source: Keras 3.15.
    """

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str | None = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["beta"]
        return config


# ---- regression


class R2Score(Metric):
    """Share of the variance of the targets that the predictions explain: 1 - residuals / variance.

    Args:
        class_aggregation: "uniform_average" over the outputs, "variance_weighted_average", or None for one number each.
        num_regressors: how many independent variables the model has, for the adjusted score; 0 for the plain one.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Raises:
        ArgumentError: when an argument has none of these values.
        ShapeError: when called with anything but (N, D).

    Example:
        >>> round(R2Score()([[1.0], [4.0], [3.0]], [[2.0], [4.0], [4.0]]), 4)
        0.5714

    Source: Keras 3.15.
    """

    def __init__(
        self,
        class_aggregation: str | None = "uniform_average",
        num_regressors: int = 0,
        name: str | None = "r2_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        kinds = (None, "uniform_average", "variance_weighted_average")
        for what, given, wanted, right in (
            ("class_aggregation", class_aggregation, f"one of {kinds}", class_aggregation in kinds),
            ("num_regressors", num_regressors, "a whole number from 0 on", num_regressors >= 0),
        ):
            if not right:
                raise ArgumentError(
                    explain(f"R2Score, {what}", expected=wanted, got=repr(given), fix=f"leave {what} out")
                )
        self.class_aggregation = class_aggregation
        self.num_regressors = num_regressors

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        true, pred, xp = matched(self.name, *as_samples(y_true, y_pred))
        if pred.ndim != 2:
            raise ShapeError(
                explain(
                    f"metric {self.name!r}",
                    expected="predictions (N, D)",
                    got=f"{tuple(pred.shape)}",
                    fix="one number or one vector for each step or row",
                )
            )
        share = xp.ones_like(pred) if weight is None else fit_weights(self.name, weight, pred)
        return {
            "sum": xp.sum(true * share, axis=0),
            "squared_sum": xp.sum(true * true * share, axis=0),
            "residual": xp.sum((true - pred) ** 2 * share, axis=0),
            "count": xp.sum(share, axis=0),
            "num_samples": xp.sum(xp.astype(share != 0, share.dtype)),
        }

    def result(self) -> Any:  # noqa: D102
        if not self.state:
            return 0.0
        total = self.state["squared_sum"] - _divided(self.state["sum"] ** 2, self.state["count"])
        scores = np.where(total == 0, 0.0, 1.0 - _divided(self.state["residual"], total))
        if self.class_aggregation == "uniform_average":
            scores = scores.mean()
        elif self.class_aggregation == "variance_weighted_average":
            scores = _divided((total * scores).sum(), total.sum())
        left = float(self.state["num_samples"]) - self.num_regressors - 1
        if self.num_regressors and left > 0:  # with fewer samples, Keras falls back to the plain score, too
            scores = 1.0 - (1.0 - scores) * (float(self.state["num_samples"]) - 1.0) / left
        return _plain(scores)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"class_aggregation": self.class_aggregation, "num_regressors": self.num_regressors}
        return {**super().get_config(), **own}


def pearson_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """Correlation of targets and predictions along an axis.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.
        axis: along which.

    Returns:
        (N,) numbers from -1 to 1; 0 where either does not vary.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> pearson_correlation([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]).round(4).tolist()
        [1.0]

    Source: Keras 3.15.
    """
    y_true, y_pred, xp = matched("pearson_correlation", y_true, y_pred)
    true, pred = (y - xp.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred))
    scale = xp.sqrt(xp.mean(true * true, axis=axis) * xp.mean(pred * pred, axis=axis))
    return xp.where(scale > 0, xp.mean(true * pred, axis=axis) / xp.where(scale > 0, scale, 1.0), 0.0)


def concordance_correlation(y_true: Any, y_pred: Any, axis: int = -1) -> Array:
    """How near the predictions are to the line on which they equal the targets.

    Args:
        y_true: (N, D) targets.
        y_pred: (N, D) predictions.
        axis: along which.

    Returns:
        (N,) numbers from -1 to 1.

    Raises:
        ShapeError: when the shapes differ.

    Example:
        >>> concordance_correlation([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]).round(4).tolist()
        [1.0]

    Source: Lin 1989; Keras 3.15.
    """
    y_true, y_pred, xp = matched("concordance_correlation", y_true, y_pred)
    means = [xp.mean(y, axis=axis, keepdims=True) for y in (y_true, y_pred)]
    true, pred = y_true - means[0], y_pred - means[1]
    apart = xp.squeeze((means[0] - means[1]) ** 2, axis=axis)
    norm = xp.mean(true * true, axis=axis) + xp.mean(pred * pred, axis=axis) + apart
    return 2.0 * xp.mean(true * pred, axis=axis) / (norm + EPSILON)


class PearsonCorrelation(_Named):
    """Mean correlation of targets and predictions.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        axis: along which the correlation is taken.

    Example:
        >>> round(PearsonCorrelation()([[1.0, 2.0, 3.0]], [[2.0, 4.0, 6.0]]), 4)
        1.0

    Source: Keras 3.15.
    """

    def __init__(self, name: str | None = "pearson_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(pearson_correlation, name, dtype, axis=axis)


class ConcordanceCorrelation(_Named):
    """Mean concordance correlation of targets and predictions.

    Args:
        name: shown in logs.
        dtype: kept for Keras's sake.
        axis: along which the correlation is taken.

    Example:
        >>> round(ConcordanceCorrelation()([[1.0, 2.0, 3.0]], [[1.0, 2.0, 3.0]]), 4)
        1.0

    Source: Lin 1989; Keras 3.15.
    """

    def __init__(self, name: str | None = "concordance_correlation", dtype: str | None = None, axis: int = -1) -> None:
        super().__init__(concordance_correlation, name, dtype, axis=axis)


# ---- overlap of classes


class IoU(Metric):
    """Intersection over union of what is predicted as a class and what is of it; the mean over some classes.

    Args:
        num_classes: how many there are.
        target_class_ids: those to look at. One that neither occurs nor is predicted does not count.
        name: shown in logs.
        dtype: kept for Keras's sake.
        ignore_class: a label whose samples do not count.
        sparse_y_true: whether targets are labels; else one-hot.
        sparse_y_pred: whether predictions are labels; else scores of the classes.
        axis: of the classes, where they are one-hot.

    Raises:
        ArgumentError: when a class is out of range.

    Example:
        >>> round(IoU(2, [0])([0, 0, 1, 1], [0, 1, 0, 1]), 4)
        0.3333

    Source: Keras 3.15.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(name or snake_case(type(self).__name__).replace("io_u", "iou"), dtype)
        if not target_class_ids or not all(0 <= n < num_classes for n in target_class_ids):
            raise ArgumentError(
                explain(
                    f"{type(self).__name__}, target_class_ids",
                    expected=f"numbers from 0 to {num_classes - 1}",
                    got=f"{list(target_class_ids)}",
                    fix=f"target_class_ids={list(range(num_classes))}",
                )
            )
        self.num_classes = num_classes
        self.target_class_ids = list(target_class_ids)
        self.ignore_class = ignore_class
        self.sparse_y_true = sparse_y_true
        self.sparse_y_pred = sparse_y_pred
        self.axis = axis

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        owner = backends.of(y_pred)
        xp = owner.xp
        true, pred = (
            owner.cast(owner.asarray(y) if sparse else xp.argmax(owner.asarray(y), axis=self.axis), "int64")
            for y, sparse in ((y_true, self.sparse_y_true), (y_pred, self.sparse_y_pred))
        )
        if math.prod(true.shape) != math.prod(pred.shape):
            raise ShapeError(
                explain(
                    f"metric {self.name!r}",
                    expected=f"one label for each prediction, shape {tuple(pred.shape)}",
                    got=f"labels {tuple(true.shape)}",
                    fix="OneHotIoU or sparse_y_true=False for one-hot labels, sparse_y_pred=False for scores",
                )
            )
        share = xp.ones(tuple(pred.shape), dtype=xp.float32, device=owner.device_of(pred))
        share = xp.reshape(share if weight is None else fit_weights(self.name, weight, share), (-1,))
        true, pred = xp.reshape(true, (-1,)), xp.reshape(pred, (-1,))
        if self.ignore_class is not None:
            share = xp.where(true == self.ignore_class, 0.0, share)
        # A label out of range is none of the classes: its row, or its column, is all zeros.
        classes = xp.arange(self.num_classes, device=owner.device_of(pred))
        rows, columns = (xp.astype(y[:, None] == classes[None, :], share.dtype) for y in (true, pred))
        return {"confusion": xp.permute_dims(rows * share[:, None], (1, 0)) @ columns}

    def result(self) -> float:  # noqa: D102
        if not self.state:
            return 0.0
        table = self.state["confusion"]
        both = np.diag(table)
        union = (table.sum(axis=0) + table.sum(axis=1) - both)[self.target_class_ids]
        there = union > 1e-9
        shares = np.where(there, both[self.target_class_ids] / (union + EPSILON), 0.0)
        return float(shares.sum() / (there.sum() + EPSILON))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        names = ("num_classes", "target_class_ids", "ignore_class", "sparse_y_true", "sparse_y_pred", "axis")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


class BinaryIoU(IoU):
    """Intersection over union of yes and no answers.

    Args:
        target_class_ids: 0 for no, 1 for yes, or both for their mean.
        threshold: from which on the answer is yes.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Example:
        >>> round(BinaryIoU()([0, 1, 0, 1], [0.1, 0.2, 0.4, 0.7]), 4)
        0.5833

    Source: Keras 3.15.
    """

    def __init__(
        self,
        target_class_ids: Sequence[int] = (0, 1),
        threshold: float = 0.5,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(2, target_class_ids, name, dtype)
        self.threshold = threshold

    def batch_state(self, y_true: Array, y_pred: Array, weight: Array | None) -> State:  # noqa: D102
        return super().batch_state(y_true, floating(y_pred) >= self.threshold, weight)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = {"target_class_ids": self.target_class_ids, "threshold": self.threshold}
        return {**Metric.get_config(self), **own}


class MeanIoU(IoU):
    """Mean over all classes of intersection over union.

    Args:
        num_classes: how many there are.
        name: shown in logs.
        dtype: kept for Keras's sake.
        ignore_class: a label whose samples do not count.
        sparse_y_true: whether targets are labels; else one-hot.
        sparse_y_pred: whether predictions are labels; else scores of the classes.
        axis: of the classes, where they are one-hot.

    Example:
        >>> round(MeanIoU(2)([0, 0, 1, 1], [0, 1, 0, 1]), 4)
        0.3333

    Source: Keras 3.15.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_true: bool = True,
        sparse_y_pred: bool = True,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_true, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["target_class_ids"]
        return config


class OneHotIoU(IoU):
    """Intersection over union, for one-hot labels.

    Args:
        num_classes: how many there are.
        target_class_ids: those to look at.
        name: shown in logs.
        dtype: kept for Keras's sake.
        ignore_class: a class whose samples do not count.
        sparse_y_pred: whether predictions are labels; else scores of the classes.
        axis: of the classes.

    Example:
        >>> round(OneHotIoU(2, [0])([[1, 0], [0, 1]], [[0.6, 0.4], [0.7, 0.3]]), 4)
        0.5

    Source: Keras 3.15.
    """

    def __init__(
        self,
        num_classes: int,
        target_class_ids: Sequence[int],
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, target_class_ids, name, dtype, ignore_class, False, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["sparse_y_true"]
        return config


class OneHotMeanIoU(OneHotIoU):
    """Mean over all classes of intersection over union, for one-hot labels.

    Args:
        num_classes: how many there are.
        name: shown in logs.
        dtype: kept for Keras's sake.
        ignore_class: a class whose samples do not count.
        sparse_y_pred: whether predictions are labels; else scores of the classes.
        axis: of the classes.

    Example:
        >>> round(OneHotMeanIoU(2)([[1, 0], [0, 1]], [[0.6, 0.4], [0.7, 0.3]]), 4)
        0.25

    Source: Keras 3.15.
    """

    def __init__(
        self,
        num_classes: int,
        name: str | None = None,
        dtype: str | None = None,
        ignore_class: int | None = None,
        sparse_y_pred: bool = False,
        axis: int = -1,
    ) -> None:
        super().__init__(num_classes, range(num_classes), name, dtype, ignore_class, sparse_y_pred, axis)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        config = super().get_config()
        del config["target_class_ids"]
        return config


# ---- tagging


_SCHEMES = {"BIO": "BIO", "IOB2": "BIO", "IOB1": "BIO", "IOBES": "BIOES", "BIOES": "BIOES"}
_STARTS = {*("BB", "BS", "IB", "IS", "OB", "OI", "OE", "OS", "EB", "EI", "EE", "ES", "SB", "SI", "SE", "SS")}
"""Prefixes of two steps, one after the other, between which a span begins: before B and S, after O, E and S."""
_ENDS = {*("BB", "BS", "BO", "IB", "IS", "IO", "EB", "EI", "EE", "ES", "EO", "SB", "SI", "SE", "SS", "SO")}
"""The same where a span ends."""


class SpanF1(Metric):
    """F1 of spans, such as names in a text, that are written as a tag for each step: exact spans of the right type.

    As conlleval and seqeval count: tags that the scheme does not allow, such as I-X after O, begin a span all the same.
    The score is that of all types together; `precision`, `recall` and `by_type()` say more.

    Args:
        labels: the tags in the order of their ids, such as ["O", "B-PER", "I-PER"].
        scheme: "BIO" ("IOB2"), "IOB1" or "IOBES" ("BIOES"): which prefixes there are.
        name: shown in logs.
        dtype: kept for Keras's sake.

    Shapes:
        y_true: ids (B, None). y_pred: ids (B, None), or scores (B, None, number of labels).

    Raises:
        ArgumentError: when a label does not fit the scheme.
        ShapeError: when called without rows, or with weights.

    Example:
        >>> metric = SpanF1(["O", "B-PER", "I-PER", "B-LOC", "I-LOC"])
        >>> round(metric([[1, 2, 0, 3]], Ragged.from_list([[1, 2, 0, 1]])), 2), metric.precision, metric.recall
        (0.5, 0.5, 0.5)

    Source: Ramshaw and Marcus 1995; conlleval of CoNLL-2000; seqeval (its default mode, micro average).
    """

    def __init__(
        self, labels: Sequence[str], scheme: str = "BIO", name: str | None = "span_f1", dtype: str | None = None
    ) -> None:
        super().__init__(name, dtype)
        if scheme not in _SCHEMES:
            raise ArgumentError(
                explain("SpanF1, scheme", expected="a known name", got=repr(scheme), fix=nearest(scheme, _SCHEMES))
            )
        self.labels, self.scheme = list(labels), scheme
        parts = [label.partition("-") for label in self.labels]
        wrong = [
            label
            for label, (prefix, dash, kind) in zip(self.labels, parts, strict=True)
            if prefix not in _SCHEMES[scheme]
            or len(prefix) != 1
            or (prefix == "O") != (not kind)
            or bool(dash) != bool(kind)
        ]
        if wrong or not self.labels:
            raise ArgumentError(
                explain(
                    "SpanF1, labels",
                    expected=f'"O", and {", ".join(f"{c}-TYPE" for c in _SCHEMES[scheme] if c != "O")}',
                    got=f"{wrong[:5]}",
                    fix='the names of the tags in the order of their ids; scheme="IOBES" where there are E and S',
                )
            )
        self.types = sorted({kind for _, _, kind in parts if kind})
        self._type_of = np.array([self.types.index(kind) if kind else -1 for _, _, kind in parts])
        # begins[a, b]: whether a span begins at a step with label b after one with label a; ends: whether one ends.
        pairs = [[(a, b) for b in parts] for a in parts]
        self._begins = np.array([[a[0] + b[0] in _STARTS or _turns(b, a) for a, b in row] for row in pairs])
        self._ends = np.array([[a[0] + b[0] in _ENDS or _turns(a, b) for a, b in row] for row in pairs])
        # Rows begin after, and end before, an "O", whether there is a label for it or not.
        self._opens = np.array([prefix != "O" for prefix, _, _ in parts])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Add a batch.

        Args:
            y_true: ids in any form: lists, a Ragged, a padded array.
            y_pred: ids or scores of rows; an array (B, T, ...) counts as rows of equal length.
            sample_weight: must be None: spans are counted.

        Raises:
            ShapeError: when there are weights or no rows.
            DataError: when rows differ, or an id has no label.
        """
        where = f"metric {self.name!r}"
        if sample_weight is not None:
            raise ShapeError(explain(where, expected="no weights", got="some", fix="metrics=, not weighted_metrics="))
        rows = y_pred if isinstance(y_pred, Ragged) else Ragged.from_padded(y_pred)
        true, pred, _ = aligned(where, y_true, rows)
        found = [self._spans(self._ids(where, ids), rows.rows) for ids in (true, pred)]
        counts = {"true": found[0], "predicted": found[1], "right": _same_spans(*found)}
        self.merge(
            {name: np.bincount(kinds[kinds >= 0], minlength=len(self.types)) for name, (kinds, _) in counts.items()}
        )

    def _ids(self, where: str, values: Array) -> HostArray:
        ids = np.asarray(backends.of(values).to_host(values))
        if ids.ndim == 2:
            ids = ids.argmax(axis=1) if ids.shape[1] == len(self.labels) else ids.reshape(-1)
        ids = ids.astype(np.int64)
        if ids.size and not 0 <= ids.min() <= ids.max() < len(self.labels):
            raise DataError(
                explain(
                    where,
                    expected=f"ids from 0 to {len(self.labels) - 1}, one for each label",
                    got=f"ids from {ids.min()} to {ids.max()}",
                    fix="SpanF1(labels) with all tags, in the order of their ids",
                )
            )
        return ids

    def _spans(self, ids: HostArray, rows: RowPartition) -> tuple[HostArray, HostArray]:
        """(N,) type of the span that ends at each step, or -1; and the step at which it began."""
        first, last = rows.ranks == 0, np.append(rows.ranks[1:] == 0, True)[: len(ids)]
        before, after = np.roll(ids, 1), np.roll(ids, -1)
        begins = np.where(first, self._opens[ids], self._begins[before, ids])
        ends = np.where(last, self._opens[ids], self._ends[ids, after])
        starts = np.maximum.accumulate(np.where(begins, np.arange(len(ids)), 0)) if len(ids) else ids
        return np.where(ends, self._type_of[ids], -1), starts

    @property
    def precision(self) -> float:
        """Share of the predicted spans that are right."""
        return float(_divided(np.sum(self.of("right")), np.sum(self.of("predicted"))))

    @property
    def recall(self) -> float:
        """Share of the true spans that are found."""
        return float(_divided(np.sum(self.of("right")), np.sum(self.of("true"))))

    def result(self) -> float:  # noqa: D102
        both = np.sum(self.of("predicted")) + np.sum(self.of("true"))
        return float(_divided(2 * np.sum(self.of("right")), both))

    def by_type(self) -> dict[str, float]:
        """F1 of each type.

        Returns:
            By its name.
        """
        scores = _divided(2 * self.of("right"), self.of("predicted") + self.of("true"))
        full = np.broadcast_to(scores, (len(self.types),))
        return {kind: float(score) for kind, score in zip(self.types, full, strict=True)}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {**super().get_config(), "labels": self.labels, "scheme": self.scheme}


def _turns(one: tuple[str, str, str], other: tuple[str, str, str]) -> bool:
    """Whether a tag is part of a span of another type than its neighbour."""
    return one[0] != "O" and one[2] != other[2]


def _same_spans(true: tuple[HostArray, HostArray], pred: tuple[HostArray, HostArray]) -> tuple[HostArray, HostArray]:
    """Spans with the same end, begin and type."""
    same = (true[0] == pred[0]) & (true[1] == pred[1])
    return np.where(same, true[0], -1), true[1]


# ---- names

_KNOWN: dict[str, type[Metric]] = table(
    *(Mean, Sum, Accuracy, BinaryAccuracy, CategoricalAccuracy, SparseCategoricalAccuracy),
    *(TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy),
    *(MeanSquaredError, RootMeanSquaredError, MeanAbsoluteError, MeanAbsolutePercentageError),
    *(MeanSquaredLogarithmicError, LogCoshError, CosineSimilarity, Poisson, KLDivergence),
    *(Hinge, SquaredHinge, CategoricalHinge),
    *(BinaryCrossentropy, CategoricalCrossentropy, SparseCategoricalCrossentropy),
    *(Precision, Recall, AUC, TruePositives, TrueNegatives, FalsePositives, FalseNegatives),
    *(SensitivityAtSpecificity, SpecificityAtSensitivity, PrecisionAtRecall, RecallAtPrecision),
    *(FBetaScore, F1Score, R2Score, PearsonCorrelation, ConcordanceCorrelation),
    *(IoU, BinaryIoU, MeanIoU, OneHotIoU, OneHotMeanIoU, SpanF1),
    **{"mse": MeanSquaredError, "MSE": MeanSquaredError, "mae": MeanAbsoluteError, "MAE": MeanAbsoluteError},
    **{"mape": MeanAbsolutePercentageError, "MAPE": MeanAbsolutePercentageError},
    **{"msle": MeanSquaredLogarithmicError, "MSLE": MeanSquaredLogarithmicError},
    **{"bce": BinaryCrossentropy, "BCE": BinaryCrossentropy, "fbeta_score": FBetaScore},
)
_ACCURACIES: dict[str, type[MeanMetricWrapper]] = {
    "binary": BinaryAccuracy,
    "sparse_categorical": SparseCategoricalAccuracy,
    "categorical": CategoricalAccuracy,
}
_CROSSENTROPIES: dict[str, type[LossMetric]] = {
    "binary": BinaryCrossentropy,
    "sparse_categorical": SparseCategoricalCrossentropy,
    "categorical": CategoricalCrossentropy,
}
_BY_SHAPE: dict[str, dict[str, Any]] = {
    **{"accuracy": _ACCURACIES, "acc": _ACCURACIES},
    **{"crossentropy": _CROSSENTROPIES, "ce": _CROSSENTROPIES},
}
_BY_LOSS: dict[type, str] = {
    losses.BinaryCrossentropy: "binary",
    losses.SparseCategoricalCrossentropy: "sparse_categorical",
    losses.CategoricalCrossentropy: "categorical",
}


def resolve_accuracy(y_true_shape: Shape, y_pred_shape: Shape) -> type[MeanMetricWrapper]:
    """Tell which accuracy is meant by "accuracy", as Keras does.

    Args:
        y_true_shape: of the targets; a length that varies may be None.
        y_pred_shape: of the predictions.

    Returns:
        BinaryAccuracy for one output, SparseCategoricalAccuracy for labels 0..C-1, CategoricalAccuracy for one-hot
        labels.

    Example:
        >>> resolve_accuracy((8,), (8, 5)).__name__
        'SparseCategoricalAccuracy'

    Source: Keras 3.15.
    """
    return _ACCURACIES[answers(y_true_shape, y_pred_shape)]


def resolve_crossentropy(y_true_shape: Shape, y_pred_shape: Shape) -> type[LossMetric]:
    """Tell which crossentropy is meant by "crossentropy", as Keras does.

    Args:
        y_true_shape: of the targets; a length that varies may be None.
        y_pred_shape: of the predictions.

    Returns:
        BinaryCrossentropy for one output, SparseCategoricalCrossentropy for labels 0..C-1, CategoricalCrossentropy for
        one-hot labels.

    Example:
        >>> resolve_crossentropy((8,), (8, 1)).__name__
        'BinaryCrossentropy'

    Source: Keras 3.15.
    """
    return _CROSSENTROPIES[answers(y_true_shape, y_pred_shape)]


def get(
    identifier: Any,
    *,
    loss: Loss | None = None,
    y_true_shape: Shape | None = None,
    y_pred_shape: Shape | None = None,
) -> Metric:
    """Find a metric.

    Args:
        identifier: a name, an object, a class, a function fn(y_true, y_pred), a loss, or a config as in a model's file.
        loss: of the model. Where no shapes are given, it tells which metric "accuracy", "acc", "crossentropy" and "ce"
            stand for.
        y_true_shape: of the targets; with the shape of the predictions, they tell it, as in Keras.
        y_pred_shape: of the predictions.

    Returns:
        The metric. Found by name, it is called so in logs, as in Keras.

    Raises:
        ArgumentError: when there is no such name (it gives the nearest one), or nothing tells what it stands for.

    Example:
        >>> get("mse").name, type(get("acc", y_true_shape=(8,), y_pred_shape=(8, 5))).__name__
        ('mse', 'SparseCategoricalAccuracy')
    """
    if isinstance(identifier, str):
        shapes = None if y_true_shape is None or y_pred_shape is None else (y_true_shape, y_pred_shape)
        metric = _by_name(identifier, shapes, loss)
        metric.name = identifier
        return metric
    if isinstance(identifier, Loss):
        return LossMetric(identifier)
    if isinstance(identifier, type) and issubclass(identifier, Loss):
        return LossMetric(identifier())
    if callable(identifier) and not isinstance(identifier, Metric | type):
        return MeanMetricWrapper(identifier)
    return find("metric", identifier, _KNOWN, Metric)


def serialize(metric: Any) -> Any:
    """Turn a metric into plain values.

    Args:
        metric: a metric, a function with a name, or a name.

    Returns:
        A dict that JSON can hold, or the name.

    Example:
        >>> serialize(TopKCategoricalAccuracy(3))["config"]["k"]
        3
    """
    from padless import saving

    return saving.serialize(metric)


def deserialize(config: Any, custom_objects: Mapping[str, Any] | None = None) -> Metric:
    """Make a metric of what `serialize` gave.

    Args:
        config: a dict or a name.
        custom_objects: metrics of your own by name.

    Returns:
        The metric.

    Raises:
        ArgumentError: when it is not known.

    Example:
        >>> deserialize(serialize(TopKCategoricalAccuracy(3))).arguments
        {'k': 3}
    """
    own = (custom_objects or {}).get(str(config.get("class_name") if isinstance(config, Mapping) else config))
    if own is None:
        return get(config)
    return get(own.from_config(config.get("config") or {}) if isinstance(config, Mapping) else own)


def check_name(name: str) -> None:
    """Make sure that a name stands for a metric.

    Args:
        name: as in `compile(metrics=[name])`.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> check_name("accuracy")
    """
    if name.lower() not in _BY_SHAPE:
        find("metric", name, _KNOWN, Metric)


def _by_name(name: str, shapes: tuple[Shape, Shape] | None, loss: Loss | None) -> Metric:
    if name.lower() not in _BY_SHAPE:
        return find("metric", name, _KNOWN, Metric)
    kind = answers(*shapes) if shapes else _BY_LOSS.get(type(loss))
    if kind is not None:
        metric: Metric = _BY_SHAPE[name.lower()][kind]()
        return metric
    if name.lower() == "accuracy":
        return Accuracy()
    raise ArgumentError(
        explain(
            f"metric {name!r}",
            expected="shapes of targets and predictions, or a loss, from which to tell which one is meant",
            got="neither",
            fix="a full name such as 'binary_accuracy' or 'sparse_categorical_crossentropy'",
        )
    )
