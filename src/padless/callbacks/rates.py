"""The learning rate of each epoch by a function; and a test that finds a good one."""

from __future__ import annotations

import inspect
import numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from padless.callbacks import state
from padless.callbacks.base import Callback, Logs
from padless.errors import ArgumentError, NumericError, explain


class LearningRateScheduler(Callback):
    """Set the learning rate of each epoch.

    Args:
        schedule: a function of the epoch, from 0, and the learning rate so far; or of the epoch alone.
        verbose: 1 prints the rate.

    Raises:
        ArgumentError: while training, when the function gives no number, or the optimizer follows a schedule.

    Example:
        >>> halved = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
        >>> halved.schedule(1, 0.5)
        0.25
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        super().__init__()
        self.schedule, self.verbose = schedule, verbose

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Set the rate."""
        optimizer = self.model.optimizer
        both = _takes(self.schedule, epoch, 0.0)
        rate: Any = self.schedule(epoch, optimizer.learning_rate) if both else self.schedule(epoch)
        if type(rate) is bool or not isinstance(rate, numbers.Real):
            raise ArgumentError(
                explain(
                    "LearningRateScheduler", expected="a schedule that gives a number", got=repr(rate), fix="float(...)"
                )
            )
        optimizer.learning_rate = float(rate)
        if self.verbose:
            print(f"Epoch {epoch + 1}: LearningRateScheduler set the learning rate to {float(rate):.4g}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the rate in the logs."""
        if logs is not None:
            logs["learning_rate"] = self.model.optimizer.learning_rate


def _takes(function: Callable[..., Any], *arguments: Any) -> bool:
    try:
        inspect.signature(function).bind(*arguments)
    except TypeError:
        return False
    except ValueError:  # of a function in C that does not say
        return True
    return True


@dataclass(frozen=True)
class LearningRateCurve:
    """What `lr_find` found.

    Attributes:
        rates: learning rates that were tried, rising.
        losses: of the batch that was trained with each.
        smooth: these, averaged over the ones before.

    Example:
        >>> curve = LearningRateCurve([0.001, 0.01, 0.1, 1.0], [1.0, 0.9, 0.2, 5.0], [1.0, 0.9, 0.2, 5.0])
        >>> curve.suggestion
        0.01
    """

    rates: list[float]
    losses: list[float]
    smooth: list[float]

    @property
    def suggestion(self) -> float:
        """The rate at which the smoothed loss falls fastest, before its minimum; a place to begin from."""
        lowest = int(np.argmin(self.smooth))
        if lowest < 1:
            return self.rates[lowest]
        falls = np.diff(self.smooth[: lowest + 1]) / np.diff(np.log(self.rates[: lowest + 1]))
        return self.rates[int(np.argmin(falls))]

    def plot(self, ax: Any = None) -> Any:
        """Draw losses over rates, with the suggestion; needs matplotlib.

        Args:
            ax: axes of matplotlib; new ones by default.

        Returns:
            The axes.
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(6, 4), layout="constrained").add_subplot()
        ax.plot(self.rates, self.losses, color="0.8", label="batches")
        ax.plot(self.rates, self.smooth, label="smoothed")
        ax.axvline(self.suggestion, color="tab:red", linestyle="--", label=f"suggestion {self.suggestion:.2g}")
        ax.set(xscale="log", xlabel="learning rate", ylabel="loss")
        low, start = min(self.smooth), self.smooth[0]
        ax.set_ylim(low - 0.1 * abs(start - low or 1.0), start + 0.5 * abs(start - low or 1.0))
        ax.legend()
        return ax

    def __repr__(self) -> str:
        return f"<LearningRateCurve of {len(self.rates)} rates up to {self.rates[-1]:.2g}: try {self.suggestion:.2g}>"


class _Ramp(Callback):
    """Trains each batch with a larger rate; stops when the loss has exploded."""

    def __init__(self, rates: list[float], beta: float, explodes: float) -> None:
        super().__init__()
        self.rates, self.beta, self.explodes = rates, beta, explodes
        self.losses: list[float] = []
        self.smooth: list[float] = []
        self._sum = 0.0

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Set the rate, and count this batch alone."""
        self.model.reset_metrics()
        self.model.optimizer.learning_rate = self.rates[len(self.losses)]

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Note the loss."""
        assert logs is not None
        self.losses.append(logs["loss"])
        self._sum = self.beta * self._sum + (1 - self.beta) * logs["loss"]
        self.smooth.append(self._sum / (1 - self.beta ** len(self.losses)))
        exploded = self.smooth[-1] > self.explodes * min(self.smooth) if min(self.smooth) > 0 else False
        self.model.stop_training = exploded or len(self.losses) == len(self.rates)

    def on_numeric_error(self, batch: int, error: NumericError) -> bool:
        """Too large a rate: the end of the test, and no error."""
        return bool(self.losses)


def lr_find(
    model: Any,
    x: Any,
    y: Any = None,
    *,
    start_lr: float = 1e-6,
    end_lr: float = 10.0,
    num_batches: int = 100,
    smoothing: float = 0.9,
    explodes: float = 4.0,
    **fit: Any,
) -> LearningRateCurve:
    """Find a good learning rate: train a few batches with rates that rise from batch to batch, and take it all back.

    Weights, optimizer, random numbers and history are afterwards what they were. A model without weights gets them.

    Args:
        model: compiled, with an optimizer whose learning rate can be set.
        x: as in `fit`; it begins again when it is used up.
        y: targets.
        start_lr: the first rate.
        end_lr: the last one.
        num_batches: how many rates.
        smoothing: weight of what came before, from 0 (no smoothing) to below 1.
        explodes: the test ends when the smoothed loss is so many times its minimum.
        **fit: further arguments of `fit`: batch_size, max_tokens, sample_weight, ...

    Returns:
        Rates and losses, a suggestion, and a plot.

    Raises:
        ArgumentError: when rates do not rise, or the optimizer follows a schedule.
        NumericError: when the very first loss is no number.

    Source: L. N. Smith, "Cyclical Learning Rates for Training Neural Networks", 2017, section 3.3; the suggestion and
    the smoothing as in fastai.

    Example:
        >>> import numpy as np, padless
        >>> model = padless.Sequential([padless.layers.GlobalAveragePooling1D(), padless.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> x = [np.full((size, 1), size / 9) for size in range(1, 9)]
        >>> curve = lr_find(model, x, [float(size) for size in range(1, 9)], num_batches=30, batch_size=4)
        >>> len(curve.rates) > 10 and model.optimizer.iterations == 0
        True
    """
    if not 0 < start_lr < end_lr or num_batches < 2 or not 0 <= smoothing < 1:
        raise ArgumentError(
            explain(
                "lr_find",
                expected="0 < start_lr < end_lr, at least two batches, 0 <= smoothing < 1",
                got=f"start_lr={start_lr}, end_lr={end_lr}, num_batches={num_batches}, smoothing={smoothing}",
                fix="lr_find(model, x, y)",
            )
        )
    model._require_compiled("lr_find")
    if not model.built:
        sizes = {name: fit[name] for name in ("batch_size", "max_tokens") if name in fit}
        model._build_on(next(iter(model._source(x, y, None, **sizes).epoch())))
    model._training_arrays()  # so that the optimizer has all that it remembers before it is copied
    rates = np.geomspace(start_lr, end_lr, num_batches).tolist()
    ramp = _Ramp(rates, smoothing, explodes)
    before, rate = state.of_model(model), model.optimizer._learning_rate
    history, place = model.history, dict(model._data_place)
    try:
        model.fit(x, y, epochs=num_batches, callbacks=[ramp], **{"verbose": 0, **fit})
    finally:
        state.into_model(model, before)
        model.optimizer._learning_rate = rate
        model.history, model._data_place, model.stop_training = history, place, False
        model.reset_metrics()
    return LearningRateCurve(rates[: len(ramp.losses)], ramp.losses, ramp.smooth)
