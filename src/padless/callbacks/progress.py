"""How training goes, on a terminal: a live bar, or one line per epoch."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from padless.callbacks.base import Callback, Logs

if TYPE_CHECKING:
    from rich.progress import Progress

T = TypeVar("T")


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
