"""Callbacks that watch a log, and stop training or slow it down; the rules of Keras 3.15."""

from __future__ import annotations

from typing import Any

from padless import metrics
from padless.callbacks.base import Callback, Logs
from padless.errors import ArgumentError, NumericError, explain, nearest

_RISING = (
    metrics.Accuracy, metrics.BinaryAccuracy, metrics.CategoricalAccuracy, metrics.SparseCategoricalAccuracy,
    metrics.TopKCategoricalAccuracy, metrics.SparseTopKCategoricalAccuracy, metrics.CosineSimilarity, metrics.Precision,
    metrics.Recall, metrics.TruePositives, metrics.TrueNegatives, metrics.AUC, metrics.SensitivityAtSpecificity,
    metrics.SpecificityAtSensitivity, metrics.PrecisionAtRecall, metrics.RecallAtPrecision, metrics.FBetaScore,
    metrics.R2Score, metrics.PearsonCorrelation, metrics.ConcordanceCorrelation, metrics.IoU, metrics.SpanF1,
)  # fmt: skip
_FALLING = (metrics.LossMetric, metrics.FalsePositives, metrics.FalseNegatives)
_MODES = {"min": -1.0, "max": 1.0}


class Monitor(Callback):
    """Base class of callbacks that compare a log with its best value.

    Args:
        monitor: name of a log, such as "val_loss".
        mode: "min", "max", or "auto": by what the log is, a loss or a metric.
        best: a value to begin with; the first that comes by default.
        min_delta: smallest change that counts as an improvement.

    Raises:
        ArgumentError: for another mode.
    """

    def __init__(self, monitor: str, mode: str, best: float | None = None, min_delta: float = 0) -> None:
        super().__init__()
        if mode not in ("auto", *_MODES):
            raise ArgumentError(
                explain(type(self).__name__, expected="mode of auto, min or max", got=repr(mode), fix='mode="auto"')
            )
        self.monitor, self.mode = monitor, mode
        self.best, self.min_delta = best, abs(min_delta)

    @property
    def sign(self) -> float:
        """1.0 where more is better, -1.0 where less is.

        Raises:
            ArgumentError: when mode is "auto" and nothing tells.
        """
        name = self.monitor.removeprefix("val_")
        if self.mode in _MODES:
            return _MODES[self.mode]
        if name == "loss" or name.endswith("_loss"):
            return -1.0
        metric = next((one.metric for one in self.model._heads.scored if one.label == name), None)
        says = getattr(metric, "_direction", None)  # what Keras's metrics, and those of users, say
        if says == "up" or isinstance(metric, _RISING):
            return 1.0
        if says == "down" or isinstance(metric, _FALLING):
            return -1.0
        raise ArgumentError(
            explain(
                f"{type(self).__name__}(monitor={self.monitor!r})",
                expected="a loss, or a metric that is known to be better when it is higher, or lower",
                got="neither",
                fix='mode="max" or mode="min"',
            )
        )

    def improves(self, value: float, on: float | None) -> bool:
        """Whether a value is better than another by more than min_delta; always where there is no other."""
        return on is None or (value - self.min_delta > on if self.sign > 0 else value + self.min_delta < on)

    def watched(self, logs: Logs | None) -> float | None:
        """The value of the log that is watched.

        Args:
            logs: of an epoch.

        Returns:
            The value; None in an epoch without validation (`validation_freq`) where it is one of validation.

        Raises:
            ArgumentError: when there is no such log, or it is no number.
        """
        logs = logs or {}
        where = f"{type(self).__name__}(monitor={self.monitor!r})"
        if self.monitor in logs:
            value: Any = logs[self.monitor]
            if isinstance(value, list):
                raise ArgumentError(
                    explain(where, expected="a log of one number", got=f"{len(value)} of them", fix='monitor="loss"')
                )
            return float(value)
        of_validation = self.monitor.startswith("val_")
        if of_validation and self.params.get("validates"):
            return None
        needs_data = of_validation and self.monitor.removeprefix("val_") in logs
        fix = "fit(..., validation_data=(x, y))" if needs_data else nearest(self.monitor, logs)
        raise ArgumentError(explain(where, expected="the name of a log", got=f"those of {sorted(logs)}", fix=fix))


class EarlyStopping(Monitor):
    """Stop when a metric no longer improves.

    Args:
        monitor: name of a log, such as "val_loss".
        min_delta: smallest change that counts as an improvement.
        patience: epochs without improvement before training stops.
        verbose: 1 prints when training stops.
        mode: "min", "max", or "auto": "max" for accuracies and the like.
        baseline: a value that must be beaten.
        restore_best_weights: whether to go back to the weights of the best epoch.
        start_from_epoch: epochs to wait before monitoring.

    Source: the rules of Keras 3.15's callback of that name.

    Example:
        >>> EarlyStopping(monitor="val_loss", patience=3, restore_best_weights=True).best_epoch
        0
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience, self.verbose, self.baseline = patience, verbose, baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        self.best_epoch = self.wait = self.stopped_epoch = 0
        self._best_weights: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self.best, self.wait, self.stopped_epoch, self.best_epoch = None, 0, 0, 0
        self._best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop if it is time."""
        value = self.watched(logs)
        if value is None or epoch < self.start_from_epoch:
            return
        self.wait += 1
        if self.improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.state_dict()
            if self.improves(value, self.baseline):
                self.wait = 0
            return
        if self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Go back to the best weights, if asked."""
        if self._best_weights is not None:
            self.model.load_state_dict(self._best_weights)
        if self.stopped_epoch and self.verbose:
            print(f"Stopped after epoch {self.stopped_epoch + 1}; the best was epoch {self.best_epoch + 1}.")

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {
            "best": self.best,
            "wait": self.wait,
            "best_epoch": self.best_epoch,
            "stopped_epoch": self.stopped_epoch,
            "best_weights": self._best_weights,
        }

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.best, self.wait, self.best_epoch = state["best"], state["wait"], state["best_epoch"]
        self.stopped_epoch, self._best_weights = state["stopped_epoch"], state["best_weights"]


class ReduceLROnPlateau(Monitor):
    """Lower the learning rate when a metric no longer improves.

    Args:
        monitor: name of a log, such as "val_loss".
        factor: the new rate by the old one, below 1.
        patience: epochs without improvement before the rate is lowered.
        verbose: 1 prints when it is.
        mode: "min", "max", or "auto".
        min_delta: smallest change that counts as an improvement.
        cooldown: epochs after that in which nothing is counted.
        min_lr: the rate is not lowered below this.

    Raises:
        ArgumentError: when factor is 1 or more; while training, when the optimizer follows a schedule.

    Source: the rules of Keras 3.15's callback of that name.

    Example:
        >>> ReduceLROnPlateau(factor=0.2, patience=5, min_lr=1e-5).in_cooldown()
        False
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        if factor >= 1.0:
            raise ArgumentError(
                explain("ReduceLROnPlateau", expected="a factor below 1", got=f"factor={factor}", fix="factor=0.1")
            )
        self.factor, self.patience, self.verbose = factor, patience, verbose
        self.cooldown, self.min_lr = cooldown, min_lr
        self.cooldown_counter = self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether the rate was lowered a short while ago."""
        return self.cooldown_counter > 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self.best, self.cooldown_counter, self.wait = None, 0, 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and lower the rate if it is time; the rate of the epoch goes into the logs."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate
        value = self.watched(logs)
        if value is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(value, self.best):
            self.best, self.wait = value, 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience:
                self._lower(epoch)

    def _lower(self, epoch: int) -> None:
        optimizer = self.model.optimizer
        if optimizer.learning_rate <= self.min_lr:
            return
        optimizer.learning_rate = max(optimizer.learning_rate * self.factor, self.min_lr)
        self.cooldown_counter, self.wait = self.cooldown, 0
        if self.verbose:
            print(f"Epoch {epoch + 1}: ReduceLROnPlateau set the learning rate to {optimizer.learning_rate:.4g}.")

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.best, self.wait, self.cooldown_counter = state["best"], state["wait"], state["cooldown_counter"]


class TerminateOnNaN(Callback):
    """End training without an error when the loss of a batch is no number.

    `fit` raises a NumericError then, which names the layer, and keeps the weights of before that batch. With this
    callback it ends as if `stop_training` had been set, and prints the error: the history is returned, and a program
    goes on with the weights, in which there is no NaN. Keras's weights have NaN then.

    Args:
        raise_error: whether to raise the error after all, as without this callback.

    Example:
        >>> import numpy as np, padless
        >>> model = padless.Sequential([padless.layers.GlobalAveragePooling1D(), padless.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> history = model.fit([[[1.0]], [[np.nan]]], [0.0, 1.0], verbose=0, callbacks=[TerminateOnNaN()])
        Batch 0: fit, epoch 1, batch 0: expected a loss that is a number...
        >>> bool(np.isfinite(model.get_weights()[0]).all())
        True
    """

    def __init__(self, raise_error: bool = False) -> None:
        super().__init__()
        self.raise_error = raise_error

    def on_numeric_error(self, batch: int, error: NumericError) -> bool:  # noqa: D102
        if self.raise_error:
            return False
        print(f"Batch {batch}: {error}")
        return True
