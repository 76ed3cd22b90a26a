"""How training goes: a live bar on a terminal or in a notebook, or one line per epoch."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import TypeVar

from padless.callbacks.base import Callback, Logs
from padless.callbacks.screens import LineScreen, Screen, Status, is_watched, new_screen

T = TypeVar("T")


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
    """A live bar on a terminal or in a notebook: batches, time left, loss and metrics. Else one line per epoch.

    Beside them stand the real steps per second, and the fill that padded batches would have: the share of real steps
    among the rows times the longest row of each batch. What is not real, padless does not compute.

    Args:
        live: whether to draw a bar; by default, where somebody sees it move: when stdout is a terminal, or in a
            notebook.
    """

    def __init__(self, live: bool | None = None) -> None:
        super().__init__()
        self.live = is_watched() if live is None else live
        self._screen: Screen = LineScreen()
        self._status: Status | None = None
        self._training = False

    def _begin(self) -> None:
        self._screen = new_screen() if self.live else LineScreen()

    def _open(self, title: str) -> None:
        self._status = Status(title, self.params.get("steps") or None)
        self._screen.open(self._status)

    def _advance(self, batch: int, logs: Logs) -> None:
        status = self._status
        if status is not None:
            status.done = batch + 1
            status.steps += self.model.last_batch_steps
            status.places += self.model.last_batch_places
            status.logs = logs
            self._screen.refresh(status)

    def _close(self, logs: Logs | None) -> None:
        status, self._status = self._status, None
        if status is not None:
            status.over = True
            status.logs = logs or {}
            self._screen.close(status)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Note that this is training."""
        self._training = True
        self._begin()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Leave what is open after an error in the middle of an epoch."""
        self._training = False
        self.on_failure()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open a bar."""
        self._open(f"Epoch {epoch + 1}/{self.params['epochs']}")

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar."""
        self._advance(batch, logs or {})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Close the bar, or print the line."""
        self._close(logs)

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Stop the clock of training; open a bar if this is `evaluate`."""
        if self._training:
            if self._status is not None:
                self._status.seconds = self._status.elapsed
                self._screen.refresh(self._status)
            return
        self._begin()
        self._open("Evaluate")

    def on_test_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar of `evaluate`."""
        if not self._training:
            self._advance(batch, logs or {})

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Close the bar of `evaluate`, or print the line."""
        if not self._training:
            self._close(logs)

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Open the bar of `predict`."""
        self._begin()
        self._open("Predict")

    def on_predict_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Move the bar of `predict`."""
        self._advance(batch, {})

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Close the bar of `predict`, or print the line."""
        self._close({})

    def on_failure(self) -> None:
        """Leave the bar as it is, and give the terminal back."""
        self._status = None
        self._screen.abandon()
