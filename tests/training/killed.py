"""A program of its own that trains, and is killed at any moment: `python killed.py FOLDER SEED KILLS`.

Each attempt is a process that a first one forks. It kills itself at the n-th call of a Python or C function, anywhere
or within the saving of a backup, with n drawn. The last attempt is left alone. Prints
what the training that was never killed ended with, and all others that ended; and which files the backups of those that
were killed had.
"""

from __future__ import annotations

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

import padless
from padless import callbacks, layers

torch.set_num_threads(1)
_SAVES = 6_000
"""Calls of a few savings."""
DATA = Path(__file__).parents[1] / "data" / "peptides.csv"


def peptides() -> tuple[list[list[int]], np.ndarray[Any, Any]]:
    """60 of each class in turn."""
    with DATA.open(encoding="utf-8") as file:
        rows = [(text, float(kind)) for text, kind in list(csv.reader(file))[1:]]
    chosen = [row for pair in zip(rows[:60], rows[-60:], strict=True) for row in pair]
    return [[ord(letter) - 64 for letter in text] for text, _ in chosen], np.array([kind for _, kind in chosen])


def train(folder: Path) -> dict[str, Any]:
    """What a user's program does: nothing in it knows of kills."""
    padless.utils.set_random_seed(7)
    x, y = peptides()
    model = padless.Sequential(
        [layers.Embedding(27, 4), layers.Dropout(0.3), layers.GRU(8), layers.Dense(1, activation="sigmoid")]
    )
    model.compile(padless.optimizers.Adam(0.02), "binary_crossentropy", metrics=["accuracy", "AUC"])
    told = [
        callbacks.BackupAndRestore(folder / "backup", save_freq=2),
        callbacks.EarlyStopping("val_loss", patience=3, min_delta=0.01, restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss", patience=1, min_delta=0.1),
        callbacks.ModelCheckpoint(folder / "best.safetensors", save_best_only=True),
        callbacks.CSVLogger(folder / "log.csv"),
    ]
    history = model.fit(x[:90], y[:90], 12, 6, 0, told, validation_data=(x[90:], y[90:]))
    return {
        "history": history.history,
        "weights": _hash(model),
        "best": _hash(padless.load_model(folder / "best.safetensors")),
        "table": (folder / "log.csv").read_text(encoding="utf-8"),
        "left": sorted(os.listdir(folder)),
    }


def _hash(model: Any) -> str:
    return hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest()


def attempt(folder: Path, calls: int | None, saving: bool) -> dict[str, Any] | None:
    """Train in a process that is killed after so many calls; None where it was."""
    result = folder.with_suffix(".json")
    result.unlink(missing_ok=True)
    child = os.fork()
    if not child:
        _die_after(calls, saving)
        ended = train(folder)
        sys.setprofile(None)
        result.write_text(json.dumps(ended), encoding="utf-8")
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL, status
        return None
    assert status == 0, "the training failed"
    made: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return made


def _die_after(calls: int | None, saving: bool) -> None:
    left = calls or 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    if calls is None:
        return
    if not saving:
        sys.setprofile(count)
        return
    save = callbacks.BackupAndRestore._save

    def counted(self: Any) -> None:
        sys.setprofile(count)
        save(self)
        sys.setprofile(None)

    callbacks.BackupAndRestore._save = counted  # type: ignore[method-assign]


def _calls(function: Callable[[], Any]) -> int:
    """How many functions of Python and C are called."""
    number = 0

    def count(frame: Any, event: str, argument: Any) -> None:
        nonlocal number
        number += 1

    sys.setprofile(count)
    function()
    sys.setprofile(None)
    return number


def main(folder: Path, seed: int, kills: int) -> None:
    plain = folder / "plain"
    plain.mkdir(parents=True)
    ended: list[Any] = [train(plain)]  # here, so that what is imported late is there in all processes
    total = _calls(lambda: train(plain))
    draw = random.Random(seed)
    killed = folder / "killed"
    killed.mkdir()
    done, found = 0, set()
    while done < kills:
        saving = bool(done % 2)
        made = attempt(killed, draw.randrange(1, _SAVES if saving else total // 3), saving)
        if made is None:
            done += 1
            backup = killed / "backup"
            found.add("|".join(sorted(_plain(name) for name in os.listdir(backup))) if backup.exists() else "")
        else:
            ended.append(made)
            shutil.rmtree(killed)
            killed.mkdir()
    ended.append(attempt(killed, None, False))
    print(json.dumps({"ended": ended, "found": sorted(found)}))


def _plain(name: str) -> str:
    return "unfinished" if name.startswith(".latest") else name.partition(".")[0]


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
