"""What `fit` returns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from padless.callbacks.base import Callback, Logs

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class History(Callback):
    """What `fit` returns: loss and metrics of every epoch, in `history`; a notebook shows them as table and curves.

    Attributes:
        epoch: indices of the epochs.
        history: the values of each log, in order.
        epochs_of: for each log the epochs that have it: with `validation_freq=2` the validation has not all.
    """

    def __init__(self) -> None:
        super().__init__()
        self.epoch: list[int] = []
        self.history: dict[str, list[float]] = {}
        self.epochs_of: dict[str, list[int]] = {}

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self.epoch.append(epoch)
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(value)
            self.epochs_of.setdefault(name, []).append(epoch)

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"epoch": self.epoch, "history": self.history, "epochs_of": self.epochs_of}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.epoch, self.history = list(state["epoch"]), {name: list(logs) for name, logs in state["history"].items()}
        self.epochs_of = {name: list(epochs) for name, epochs in state.get("epochs_of", {}).items()}

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw loss and metrics by epoch, training and validation of one in one panel; shows nothing by itself.

        Args:
            path: of a file; its ending says the format: .png, .svg, .pdf. None writes nothing.

        Returns:
            The figure of matplotlib. Epochs count from 1, and those in which a value was no number are marked.

        Raises:
            BackendError: when matplotlib is not installed.
            ArgumentError: when there are no epochs yet, or matplotlib knows no such format.

        Example:
            >>> history = History()
            >>> history.on_epoch_end(0, {"loss": 0.9, "val_loss": 1.0})
            >>> history.on_epoch_end(1, {"loss": 0.5, "val_loss": 0.7})
            >>> figure = history.plot()  # doctest: +SKIP
            >>> [panel.title for panel in history.panels()]
            ['loss']
        """
        from padless.pictures.plots import plot_history

        return plot_history(self, path)

    def panels(self) -> list[Any]:
        """What there is to draw: for each quantity a `padless.pictures.curves.Panel`."""
        from padless.pictures.curves import panels_of

        return panels_of(self)

    def _repr_html_(self) -> str:
        from padless.pictures.notebook import history_html

        return history_html(self)

    def __repr__(self) -> str:
        from padless.callbacks.screens import logs_parts

        last = ", ".join(logs_parts({name: values[-1] for name, values in self.history.items()}))
        return f"<History of {len(self.epoch)} epochs: {last.replace(': ', '=')}>"
