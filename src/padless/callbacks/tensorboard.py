"""What TensorBoard shows of a training."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from padless.callbacks import events
from padless.callbacks.base import Callback, Logs
from padless.errors import ArgumentError, NotThereYetError, explain


class TensorBoard(Callback):
    """Write files that `tensorboard --logdir logs` shows: loss, metrics, learning rate, histograms of the weights.

    Neither TensorFlow nor tensorboard is needed to write them. Folders and names are Keras's: "train" and
    "validation"; `epoch_loss`, `epoch_learning_rate`, `batch_loss`, `evaluation_loss_vs_iterations`.

    Args:
        log_dir: a folder of its own for each training.
        histogram_freq: write histograms of all weights each so many epochs; 0 for none.
        write_graph: accepted; changes nothing.
        write_images: not there yet.
        write_steps_per_second: whether to write how many batches were trained per second.
        update_freq: "epoch", "batch", or each so many batches.
        profile_batch: not there yet.
        embeddings_freq: not there yet.
        embeddings_metadata: not there yet.

    Raises:
        ArgumentError: for another update_freq.
        NotThereYetError: for arguments that are not there yet.

    Example:
        >>> TensorBoard("logs", update_freq="batch", histogram_freq=1).update_freq
        1
    """

    def __init__(
        self,
        log_dir: Any = "logs",
        histogram_freq: int = 0,
        write_graph: bool = True,
        write_images: bool = False,
        write_steps_per_second: bool = False,
        update_freq: str | int = "epoch",
        profile_batch: Any = 0,
        embeddings_freq: int = 0,
        embeddings_metadata: Any = None,
    ) -> None:
        super().__init__()
        absent = {
            "write_images": write_images,
            "profile_batch": profile_batch,
            "embeddings_freq": embeddings_freq,
            "embeddings_metadata": embeddings_metadata,
        }
        for name, value in absent.items():
            if value:
                raise NotThereYetError(
                    explain("TensorBoard", expected=f"its default for {name}", got=repr(value), fix=f"leave out {name}")
                )
        if update_freq not in ("epoch", "batch") and not (isinstance(update_freq, int) and update_freq > 0):
            raise ArgumentError(
                explain(
                    "TensorBoard",
                    expected='update_freq of "epoch", "batch" or a number of batches',
                    got=repr(update_freq),
                    fix='"epoch"',
                )
            )
        self.log_dir, self.histogram_freq = os.fspath(log_dir), histogram_freq
        self.update_freq = 1 if update_freq == "batch" else update_freq
        self.write_steps_per_second = write_steps_per_second
        self._files: dict[str, events.EventFile] = {}
        self._batches = 0
        self._began = (0.0, 0.0)
        self._iterations = 0
        self._training = False

    def _add(self, folder: str, step: int, named: dict[str, Any]) -> None:
        """Write the logs that are numbers."""
        if folder not in self._files:
            self._files[folder] = events.EventFile(Path(self.log_dir) / folder)
        self._files[folder].add(step, [events.scalar(tag, value) for tag, value in named.items() if _is_number(value)])

    def _close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files = {}

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Count from the first batch."""
        self._batches, self._training = 0, True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the files."""
        self._training = False
        self._close()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Take the time."""
        self._began, self._iterations = (time.perf_counter(), self._began[1]), self.model.optimizer.iterations

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Count, and take the time."""
        self._batches += 1
        self._began = self._began[0], time.perf_counter()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write the logs so far, if it is time."""
        if self.update_freq == "epoch" or self._batches % int(self.update_freq):
            return
        speed = {"steps_per_second": _per_second(1, self._began[1])} if self.write_steps_per_second else {}
        named = {f"batch_{name}": value for name, value in {**speed, **(logs or {})}.items()}
        self._add("train", self._batches, named)

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Write the logs of an evaluation over the steps of the optimizer."""
        optimizer = self.model.optimizer
        if optimizer is not None:
            named = {f"evaluation_{name}_vs_iterations": value for name, value in (logs or {}).items()}
            self._add("validation", optimizer.iterations, named)
        if not self._training:
            self._close()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the logs of the epoch, and histograms if it is time."""
        optimizer = self.model.optimizer
        own = {name: value for name, value in (logs or {}).items() if not name.startswith("val_")}
        own["learning_rate"] = optimizer.learning_rate
        if self.write_steps_per_second:
            own["steps_per_second"] = _per_second(optimizer.iterations - self._iterations, self._began[0])
        self._add("train", epoch, {f"epoch_{name}": value for name, value in own.items()})
        held_out = {name[4:]: value for name, value in (logs or {}).items() if name.startswith("val_")}
        if held_out:
            self._add("validation", epoch, {f"epoch_{name}": value for name, value in held_out.items()})
        if self.histogram_freq and epoch % self.histogram_freq == 0:
            drawn = (
                events.histogram(f"{path}/histogram", array)
                for path, array in self.model.state_dict().items()
                if array.dtype.kind in "fiu"
            )
            self._files["train"].add(epoch, drawn)

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"batches": self._batches}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self._batches = state["batches"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _per_second(batches: int, began: float) -> float:
    return batches / max(time.perf_counter() - began, 1e-9)
