"""What `fit` returns."""

from __future__ import annotations

from typing import Any

from padless.callbacks.base import Callback, Logs


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

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"epoch": self.epoch, "history": self.history}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.epoch, self.history = list(state["epoch"]), {name: list(logs) for name, logs in state["history"].items()}

    def __repr__(self) -> str:
        last = ", ".join(f"{name}={values[-1]:.4f}" for name, values in self.history.items())
        return f"<History of {len(self.epoch)} epochs: {last}>"
