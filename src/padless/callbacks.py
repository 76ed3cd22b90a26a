"""Callbacks, with Keras's names and hooks, and the bar that shows how training goes."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress

    from padless.model import Model

Logs = dict[str, float]
T = TypeVar("T")

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end",
    "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_test_batch_begin", "on_test_batch_end", "on_predict_begin", "on_predict_end",
    "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip


class Callback:
    """Something that is told how training goes, and may stop it with `self.model.stop_training = True`.

    Subclasses write the hooks that they need; `logs` holds the loss and the metrics so far.

    Example:
        >>> class Stop(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1
    """

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Model | None = None

    @property
    def model(self) -> Any:
        """The model in training."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Learn verbose, epochs and steps (batches of an epoch, or None)."""
        self.params = params

    def set_model(self, model: Model) -> None:
        """Learn the model."""
        self._model = model

    def on_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch; an older name of `on_train_batch_begin`."""

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch; an older name of `on_train_batch_end`."""

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Before `fit`."""

    def on_train_end(self, logs: Logs | None = None) -> None:
        """After `fit`, stopped or not."""

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Before an epoch."""

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """After an epoch and its validation."""

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a training batch."""
        self.on_batch_begin(batch, logs)

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a training batch."""
        self.on_batch_end(batch, logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Before `evaluate`, or the validation of an epoch."""

    def on_test_end(self, logs: Logs | None = None) -> None:
        """After `evaluate`, or the validation of an epoch."""

    def on_test_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `evaluate`."""

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `evaluate`."""

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Before `predict`."""

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """After `predict`."""

    def on_predict_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Before a batch of `predict`."""

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """After a batch of `predict`."""


class CallbackList:
    """Several callbacks, told in order.

    Args:
        callbacks: the callbacks.
        model: the model in training.
        params: as `Callback.set_params`.
    """

    def __init__(self, callbacks: Iterable[Callback], model: Model, params: dict[str, Any]) -> None:
        self.callbacks = list(callbacks)
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)

    def expect(self, steps: int | None) -> None:
        """Tell every callback how many batches the coming epoch has, in the params that they know.

        Args:
            steps: the number, or None.
        """
        self.params["steps"] = steps

    def tell(self, hook: str, *args: Any) -> None:
        """Call a hook of every callback.

        Args:
            hook: its name.
            *args: epoch or batch, if the hook has one, and the logs.
        """
        for callback in self.callbacks:
            getattr(callback, hook)(*args)


class History(Callback):
    """What `fit` returns: loss and metrics of every epoch, in `history`."""

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4f}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs: {last}>"


class LambdaCallback(Callback):
    """A callback made of functions.

    Args:
        **hooks: functions by the name of their hook, such as `on_epoch_end=lambda epoch, logs: ...`.

    Example:
        >>> seen = []
        >>> callback = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
        >>> callback.on_epoch_end(0, {})
        >>> seen
        [0]
    """

    def __init__(self, **hooks: Callable[..., Any] | None) -> None:
        from padless.errors import ArgumentError, explain, nearest

        super().__init__()
        known = (*HOOKS, "on_batch_begin", "on_batch_end")
        for name, function in hooks.items():
            if name not in known:
                raise ArgumentError(
                    explain("LambdaCallback", expected="the name of a hook", got=name, fix=nearest(name, known))
                )
            if function is not None:
                setattr(self, name, function)


def logs_text(logs: Logs) -> str:
    """Write logs as Keras does: "loss: 0.1234 - accuracy: 0.9876"."""
    return " - ".join(
        f"{name}: {value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{name}: {value:.4e}"
        for name, value in logs.items()
    )


def waiting(title: str, things: Sequence[T], shown: bool) -> Iterator[T]:
    """Give things one by one; a bar appears on stderr when they have taken over two seconds.

    Args:
        title: of the bar.
        things: what to give.
        shown: whether there may be a bar.

    Yields:
        The things.
    """
    from rich.console import Console
    from rich.progress import Progress

    bar, began, task = Progress(transient=True, console=Console(stderr=True)), time.perf_counter(), None
    try:
        for at, thing in enumerate(things):
            if shown and task is None and time.perf_counter() - began > 2:
                bar.start()
                task = bar.add_task(title, total=len(things))
            if task is not None:
                bar.update(task, completed=at)
            yield thing
    finally:
        if task is not None:
            bar.stop()


class ProgbarLogger(Callback):
    """A live bar on a terminal: batches, loss and metrics, real steps per second, time left. Else one line per epoch.

    Args:
        live: whether to draw a bar; by default, when stdout is a terminal.
    """

    def __init__(self, live: bool | None = None) -> None:
        super().__init__()
        self.live = sys.stdout.isatty() if live is None else live
        self._bar: Progress | None = None
        self._task: Any = None
        self._steps = 0
        self._began = 0.0
        self._train_seconds = 0.0
        self._training = False

    def _open(self, title: str) -> None:
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        total = self.params.get("steps") or None
        self._bar = Progress(
            TextColumn("{task.description}"),
            MofNCompleteColumn(),
            BarColumn(bar_width=20),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[rate]}"),
            TextColumn("{task.fields[logs]}"),
            refresh_per_second=5,
        )
        self._bar.start()
        self._task = self._bar.add_task(title, total=total, rate="", logs="")

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None

    @property
    def _rate(self) -> float:
        seconds = self._train_seconds or time.perf_counter() - self._began
        return self._steps / max(seconds, 1e-9)

    def _advance(self, batch: int, logs: Logs | None) -> None:
        self._steps += self.model.last_batch_steps
        if self._bar is not None:
            self._bar.update(
                self._task, completed=batch + 1, rate=f"{self._rate:,.0f} steps/s", logs=logs_text(logs or {})
            )

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Note that this is training."""
        self._training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the bar."""
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open a bar."""
        self._steps, self._began, self._train_seconds = 0, time.perf_counter(), 0.0
        if self.live:
            self._open(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._advance(batch, logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Close the bar, or print the line."""
        if self._bar is not None:
            self._bar.update(self._task, logs=logs_text(logs or {}))
            self._close()
            return
        took = f"{time.perf_counter() - self._began:.1f}s - {self._rate:,.0f} steps/s"
        print(f"Epoch {epoch + 1}/{self.params['epochs']} - {took} - {logs_text(logs or {})}", flush=True)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Stop the clock of training; open a bar if this is `evaluate`."""
        if self._training:
            self._train_seconds = time.perf_counter() - self._began
            return
        self._steps, self._began = 0, time.perf_counter()
        if self.live:
            self._open("Evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar of `evaluate`."""
        if not self._training:
            self._advance(batch, logs)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Close the bar of `evaluate`, or print the line."""
        if self._training:
            return
        if self._bar is None:
            print(
                f"{time.perf_counter() - self._began:.1f}s - {self._rate:,.0f} steps/s - {logs_text(logs or {})}",
                flush=True,
            )
        self._close()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of `predict`."""
        self._steps, self._began = 0, time.perf_counter()
        if self.live:
            self._open("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar of `predict`."""
        self._advance(batch, {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Close the bar of `predict`."""
        self._close()


class EarlyStopping(Callback):
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
        super().__init__()
        self.monitor, self.patience, self.verbose = monitor, patience, verbose
        self.min_delta, self.baseline = abs(min_delta), baseline
        self.restore_best_weights, self.start_from_epoch = restore_best_weights, start_from_epoch
        rising = any(word in monitor for word in ("acc", "auc", "precision", "recall", "f1"))
        self.sign = 1.0 if mode == "max" or (mode == "auto" and rising) else -1.0
        self.best: float | None = None
        self.best_epoch = self.wait = self.stopped_epoch = 0
        self._best_weights: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run."""
        self.best, self.wait, self.stopped_epoch, self.best_epoch = None, 0, 0, 0
        self._best_weights = None

    def _improves(self, value: float, on: float | None) -> bool:
        return on is None or self.sign * (value - on) > self.min_delta

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Compare, and stop if it is time."""
        if self.monitor not in (logs or {}):
            from padless.errors import ArgumentError, explain, nearest

            raise ArgumentError(
                explain(
                    "EarlyStopping",
                    expected="the name of a log",
                    got=repr(self.monitor),
                    fix=nearest(self.monitor, logs or {}),
                )
            )
        if epoch < self.start_from_epoch:
            return
        assert logs is not None
        value = logs[self.monitor]
        self.wait += 1
        if self._improves(value, self.best):
            self.best, self.best_epoch = value, epoch
            if self.restore_best_weights:
                self._best_weights = self.model.state_dict()
            if self._improves(value, self.baseline):
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
