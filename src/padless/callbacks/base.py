"""What every callback is, with Keras's names and hooks, and the list of them that `fit` tells."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from padless.errors import ArgumentError, NumericError, explain, nearest

if TYPE_CHECKING:
    from padless.model import Model

Logs = dict[str, float]

HOOKS = (
    "on_train_begin", "on_train_end", "on_epoch_begin", "on_epoch_end",
    "on_train_batch_begin", "on_train_batch_end", "on_test_begin", "on_test_end",
    "on_test_batch_begin", "on_test_batch_end", "on_predict_begin", "on_predict_end",
    "on_predict_batch_begin", "on_predict_batch_end",
)  # fmt: skip


class Callback:
    """Something that is told how training goes, and may stop it with `self.model.stop_training = True`.

    Subclasses write the hooks that they need; `logs` holds the loss and the metrics so far.

    Beyond Keras: `get_state` and `set_state`, by which `BackupAndRestore` keeps what a callback remembers;
    `on_numeric_error`, `on_failure` and `on_interrupt`.

    Example:
        >>> class Stop(Callback):
        ...     def on_epoch_end(self, epoch, logs=None):
        ...         self.model.stop_training = logs["loss"] < 0.1
    """

    told_last: ClassVar[bool] = False
    """Whether it hears of everything after the callbacks that are not."""

    def __init__(self) -> None:
        self.params: dict[str, Any] = {}
        self._model: Model | None = None

    @property
    def model(self) -> Any:
        """The model in training."""
        return self._model

    def set_params(self, params: dict[str, Any]) -> None:
        """Learn verbose, epochs, steps (batches of an epoch, or None), validates (whether there are data for that)."""
        self.params = params

    def set_model(self, model: Model) -> None:
        """Learn the model."""
        self._model = model

    def set_callbacks(self, callbacks: list[Callback]) -> None:
        """Learn all callbacks, itself among them."""

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

    def on_interrupt(self, batch: int, logs: Logs | None = None) -> None:
        """After the batch at hand when Ctrl-C was pressed in the middle of an epoch, before `on_epoch_end`."""

    def on_failure(self) -> None:
        """After an error in `evaluate` or `predict`, which is raised then; in `fit`, `on_train_end` is told anyway."""

    def on_numeric_error(self, batch: int, error: NumericError) -> bool:
        """When the loss of a batch is no number; the weights are those before it.

        Args:
            batch: its number.
            error: what `fit` would raise.

        Returns:
            Whether `fit` shall end without raising it.
        """
        return False

    def get_state(self) -> dict[str, Any] | None:
        """What to keep of this callback in a backup.

        Returns:
            Texts, numbers, booleans, None and NumPy arrays, in dicts by text and in lists; None for nothing.
        """
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave; told after `on_train_begin`.

        Args:
            state: tuples come back as lists.
        """


class CallbackList:
    """Several callbacks, told in order.

    Args:
        callbacks: the callbacks.
        model: the model in training.
        params: as `Callback.set_params`.
    """

    def __init__(self, callbacks: Iterable[Callback], model: Model, params: dict[str, Any]) -> None:
        self.callbacks = sorted(callbacks, key=lambda callback: callback.told_last)
        self.params = params
        for callback in self.callbacks:
            callback.set_params(params)
            callback.set_model(model)
            callback.set_callbacks(self.callbacks)

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

    @contextlib.contextmanager
    def failing(self) -> Iterator[None]:
        """Within this context, every callback is told of an error that is then raised.

        Yields:
            Nothing.
        """
        try:
            yield
        except BaseException:
            self.tell("on_failure")
            raise

    def settle(self, batch: int, error: NumericError) -> bool:
        """Tell of a loss that is no number.

        Args:
            batch: its number.
            error: what `fit` would raise.

        Returns:
            Whether a callback wants `fit` to end without raising it.
        """
        return any([callback.on_numeric_error(batch, error) for callback in self.callbacks])


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
        super().__init__()
        known = (*HOOKS, "on_batch_begin", "on_batch_end")
        for name, function in hooks.items():
            if name not in known:
                raise ArgumentError(
                    explain("LambdaCallback", expected="the name of a hook", got=name, fix=nearest(name, known))
                )
            if function is not None:
                setattr(self, name, function)
