"""Callbacks that write the model, or all that training needs to go on, into files."""

from __future__ import annotations

import json
import os
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from padless import random, saving
from padless.callbacks import state
from padless.callbacks.base import Callback, Logs
from padless.callbacks.monitoring import Monitor
from padless.errors import ArgumentError, DataError, PadlessError, explain
from padless.saving.json_text import parsed
from padless.saving.transaction import all_or_nothing
from padless.saving.trees import apart, together

_FORMAT = "padless backup 1"


class _Count:
    """Counts batches up to the next file.

    Args:
        where: the callback, for errors.
        save_freq: "epoch", or a number of batches.

    Raises:
        ArgumentError: for anything else.
    """

    def __init__(self, where: str, save_freq: str | int) -> None:
        batches = isinstance(save_freq, int) and not isinstance(save_freq, bool) and save_freq > 0
        if save_freq != "epoch" and not batches:
            raise ArgumentError(
                explain(where, expected='save_freq of "epoch" or a number of batches', got=repr(save_freq), fix="100")
            )
        self.of = save_freq
        self.batches = 0

    def due(self) -> bool:
        """Count a batch; whether it is time."""
        if self.of == "epoch":
            return False
        self.batches += 1
        return self.batches >= int(self.of)


class ModelCheckpoint(Monitor):
    """Save the model while it trains: after each epoch, or each so many batches, or whenever it is the best so far.

    Files are written beside their place and then renamed, so that none is ever half there.

    Args:
        filepath: of the files, such as "{epoch:02d}-{val_loss:.2f}.safetensors"; epoch and batch count from 1, every
            log has its name. Folders are made.
        monitor: name of the log that tells which is best.
        verbose: 1 prints what is saved.
        save_best_only: whether to save only what is better than all before.
        save_weights_only: whether to save the weights alone (`model.load_weights`), else the model (`load_model`).
        mode: "min", "max", or "auto".
        save_freq: "epoch", or a number of batches.
        initial_value_threshold: a value that the first file must be better than.

    Raises:
        ArgumentError: when save_freq is neither, or a log of validation is watched between epochs; while training, when
            a log is missing; for the name of a file of another kind.

    Source: the rules of Keras 3.15's callback of that name.

    Example:
        >>> checkpoint = ModelCheckpoint("best.safetensors", monitor="val_accuracy", save_best_only=True)
        >>> checkpoint.best is None
        True
    """

    def __init__(
        self,
        filepath: Any,
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath: str = os.fspath(filepath)
        (saving.require_weights_name if save_weights_only else saving.require_own_name)(self.filepath)
        self.verbose, self.save_best_only, self.save_weights_only = verbose, save_best_only, save_weights_only
        self.save_freq = save_freq
        self._count = _Count("ModelCheckpoint", save_freq)
        self._epoch = 0
        if save_best_only and save_freq != "epoch" and monitor.startswith("val_"):
            raise ArgumentError(
                explain(
                    f"ModelCheckpoint(save_freq={save_freq}, save_best_only=True)",
                    expected="a log of training: between epochs nothing is validated",
                    got=f"monitor={monitor!r}",
                    fix=f'monitor={monitor.removeprefix("val_")!r}, or save_freq="epoch"',
                )
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time."""
        if self._count.due():
            self._count.batches = 0
            self._save(self._epoch, logs or {}, {"batch": batch + 1})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, unless that goes by batches."""
        if self.save_freq == "epoch":
            self._save(epoch, logs or {}, {})

    def _save(self, epoch: int, logs: Logs, place: dict[str, int]) -> None:
        if self.save_best_only and not self._is_best(epoch, logs):
            return
        path = self._path(epoch, logs, place)
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        (self.model.save_weights if self.save_weights_only else self.model.save)(path)
        if self.verbose:
            print(f"Epoch {epoch + 1}: saved {path}")

    def _is_best(self, epoch: int, logs: Logs) -> bool:
        value = self.watched(logs)
        if value is None or not self.improves(value, self.best):
            if self.verbose and value is not None:
                print(f"Epoch {epoch + 1}: {self.monitor} did not improve from {self.best:.5f}")
            return False
        self.best = value
        return True

    def _path(self, epoch: int, logs: Logs, place: dict[str, int]) -> str:
        try:
            return str(self.filepath).format(**{"epoch": epoch + 1, **place, **logs})
        except (KeyError, IndexError) as wrong:
            raise ArgumentError(
                explain(
                    f"ModelCheckpoint({self.filepath!r})",
                    expected=f"names among epoch, batch (between epochs) and the logs {sorted(logs)}",
                    got=str(wrong),
                    fix="{epoch:02d}.safetensors",
                )
            ) from None

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"best": self.best, "batches": self._count.batches}

    def set_state(self, state: dict[str, Any]) -> None:  # noqa: D102
        self.best, self._count.batches = state["best"], state["batches"]


class BackupAndRestore(Callback):
    """Go on where training was stopped: the same command, started again, ends as if it had never been stopped.

    One file holds weights, optimizer, random numbers, the place in the data, what loss and metrics have added up, and
    what callbacks remember (`Callback.get_state`): the history, too. It is written beside its place, forced to the
    disk and renamed; the one before it is kept, and is used, with a warning, where the latest cannot be read. Nothing
    in it is ever executed. On one number of threads the losses and weights are the same bit for bit.

    Ctrl-C in the middle of an epoch saves at once. When training has ended by itself, the files are removed. After an
    error, or a callback that stops in the middle of an epoch, they stay.

    Args:
        backup_dir: a folder of its own for each training.
        save_freq: "epoch", or a number of batches.
        double_checkpoint: accepted; the previous file is always kept.
        delete_checkpoint: whether to remove the files when training has ended.

    Raises:
        ArgumentError: when save_freq is neither.
        DataError: while training, when there are files, and none is a backup of this model.

    Example:
        >>> import tempfile, numpy as np, padless
        >>> model = padless.Sequential([padless.layers.LSTM(4), padless.layers.Dense(1)])
        >>> model.compile(loss="mse")
        >>> x = [np.ones((2, 3)), np.zeros((5, 3))]
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     backup = BackupAndRestore(folder, delete_checkpoint=False)
        ...     _ = model.fit(x, [1.0, 0.0], epochs=2, verbose=0, callbacks=[backup])
        ...     history = model.fit(x, [1.0, 0.0], epochs=3, verbose=0, callbacks=[backup])
        >>> history.epoch
        [0, 1, 2]
    """

    told_last = True

    def __init__(
        self,
        backup_dir: Any,
        save_freq: str | int = "epoch",
        double_checkpoint: bool = False,
        delete_checkpoint: bool = True,
    ) -> None:
        super().__init__()
        if not os.fspath(backup_dir):
            raise ArgumentError(explain("BackupAndRestore", expected="a folder", got="''", fix='"backup"'))
        self.backup_dir = Path(backup_dir)
        self.save_freq, self.delete_checkpoint = save_freq, delete_checkpoint
        self.latest = self.backup_dir / "latest.safetensors"
        self.previous = self.backup_dir / "previous.safetensors"
        self._count = _Count("BackupAndRestore", save_freq)
        self._sums: dict[str, Any] | None = None
        self._sound = True
        self._others: list[Callback] = []

    def set_callbacks(self, callbacks: list[Callback]) -> None:
        """Learn all callbacks, whose states it keeps."""
        self._others = [callback for callback in callbacks if callback is not self]

    # ---- when

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Go on from the latest file, if there is one."""
        self._sums, self._count.batches, self._sound = None, 0, True
        found = [path for path in (self.latest, self.previous) if path.exists()]
        refused: list[str] = []
        for path in found:
            try:
                self._restore(_read(path), path)
            except PadlessError as wrong:
                refused.append(str(wrong))
                continue
            self._sound = not refused
            if refused:
                warnings.warn(f"{refused[0]}; {path} was used instead", stacklevel=2)
            return
        if refused:
            raise DataError(
                explain(
                    f"BackupAndRestore({str(self.backup_dir)!r})",
                    expected="a backup of this model",
                    got="; ".join(refused),
                    fix="another folder, or remove these files to begin anew",
                )
            )

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """In the middle of an epoch, loss and metrics go on from what they had added up."""
        if self._sums is not None:
            self.model.sums_so_far, self._sums = self._sums, None

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time; after the last batch of an epoch once the epoch is done."""
        if self._count.due() and batch + 1 != self.params["steps"]:
            self._save()

    def on_interrupt(self, batch: int, logs: Logs | None = None) -> None:
        """Save."""
        self._save()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if it is time and the epoch was not cut short."""
        due = self._count.of == "epoch" or self._count.batches >= int(self._count.of)
        if due and self.model.data_state["epoch"] == epoch + 1:
            self._save()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Remove the files, if training has ended by itself."""
        place = self.model.data_state
        ended = place["epoch"] >= self.params["epochs"] or (self.model.stop_training and not place["batch"])
        if not (ended and self.delete_checkpoint and self.backup_dir.exists()):
            return
        # The older one first: a process that dies in between must not go back to it.
        for path in (self.previous, self.latest, *self._unfinished()):
            path.unlink(missing_ok=True)
        if not any(self.backup_dir.iterdir()):
            self.backup_dir.rmdir()

    # ---- what

    def _save(self) -> None:
        self._count.batches = 0
        model, place = self.model, self.model.data_state
        tree = {
            "model": state.of_model(model),
            "data": place,
            "sums": model.sums_so_far if place["batch"] else None,
            "stopped": bool(model.stop_training),
            "callbacks": {name: kept for name, one in self._named() if (kept := one.get_state()) is not None},
        }
        plain, arrays = apart(tree, "BackupAndRestore")
        self.backup_dir.mkdir(parents=True, exist_ok=True)
        for path in self._unfinished():
            path.unlink(missing_ok=True)
        written = json.dumps(plain)
        if self._sound and self.latest.exists():  # one that was refused does not push out the one before it
            os.replace(self.latest, self.previous)
        saving.write_arrays(
            self.latest, arrays, {"format": _FORMAT, "state": written, "crc32": str(_checksum(written, arrays))}
        )
        self._sound = True

    def _restore(self, tree: Any, path: Path) -> None:
        """Go on from a tree; after an error all is as it was."""
        numbers = random.get_state()
        remembered = [(one, kept) for _, one in self._named() if (kept := one.get_state()) is not None]
        try:
            with all_or_nothing(self.model):
                self._restore_all(tree)
        except Exception as wrong:
            random.set_state(numbers)
            self._sums = None
            for one, kept in remembered:
                one.set_state(kept)
            if isinstance(wrong, PadlessError):
                raise
            got, fix = f"{type(wrong).__name__}: {wrong}"[:200], "remove it"
            raise DataError(explain(f"file {path}", expected="a sound backup", got=got, fix=fix)) from wrong

    def _restore_all(self, tree: Any) -> None:
        state.into_model(self.model, tree["model"])
        if any(number < 0 for number in tree["data"].values()):
            raise ValueError(f"the place {tree['data']} in the data")
        self.model.data_state = tree["data"]
        self.model.stop_training = bool(tree["stopped"])
        self._sums = tree["sums"]
        for name, one in self._named():
            if name in tree["callbacks"]:
                one.set_state(tree["callbacks"][name])

    def _named(self) -> list[tuple[str, Callback]]:
        """The callbacks beside it by class and number."""
        seen: dict[str, int] = {}
        named = []
        for one in self._others:
            kind = type(one).__name__
            seen[kind] = seen.get(kind, 0) + 1
            named.append((f"{kind} {seen[kind]}", one))
        return named

    def _unfinished(self) -> list[Path]:
        """What a process left that died while it saved."""
        return list(self.backup_dir.glob(f".{self.latest.name}.*"))


def _checksum(text: str, arrays: dict[str, np.ndarray[Any, Any]]) -> int:
    total = zlib.crc32(text.encode())
    for name in sorted(arrays):
        total = zlib.crc32(np.ascontiguousarray(arrays[name]).tobytes(), total)
    return total


def _read(path: Path) -> Any:
    """The tree in a file; refused unless it is as it was written."""
    arrays, metadata = saving.read_arrays(path)
    if metadata.get("format") != _FORMAT:
        raise DataError(
            explain(
                f"file {path}", expected="a backup of training", got=f"metadata {sorted(metadata)}", fix="remove it"
            )
        )
    if metadata.get("crc32") != str(_checksum(metadata.get("state", ""), arrays)):
        raise DataError(
            explain(f"file {path}", expected="a backup as it was written", got="another checksum", fix="remove it")
        )
    tree = together(parsed(metadata["state"], f"file {path}"), arrays)
    absent = list(_absent(tree, _PARTS))
    if absent:
        fix = "the version of padless that wrote it; or remove it"
        raise DataError(explain(f"file {path}", expected=f"a backup with {absent[0]!r}", got="none", fix=fix))
    return tree


_PARTS: dict[str, Any] = {
    "model": {
        "weights": {},
        "kept": {},
        "optimizer": dict.fromkeys(("class_name", "iterations", "gathered_batches", "learning_rate", "slots")),
        "random": {},
        "input": None,
    },
    **dict.fromkeys(("data", "sums", "stopped", "callbacks")),
}


def _absent(tree: Any, parts: dict[str, Any]) -> Iterator[str]:
    """Names that a tree has not."""
    for name, inner in parts.items():
        if not isinstance(tree, dict) or name not in tree:
            yield name
        elif inner is not None:
            yield from _absent(tree[name], inner)
