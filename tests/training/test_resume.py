"""Training that is stopped anywhere and started again ends as one that was never stopped."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers, saving
from padless.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    SwapEMAWeights,
    checkpoints,
)
from padless.errors import ArgumentError, DataError
from tests.training.test_callbacks import fit, model

ROOT = Path(__file__).parents[2]


class Gone(Exception):
    """In place of a kill, where the process must live on."""


class Dies(Callback):
    """Raises after so many batches."""

    def __init__(self, batches: int) -> None:
        super().__init__()
        self.left = batches

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.left -= 1
        if not self.left:
            raise Gone


def same(one: Any, other: Any) -> None:
    for a, b in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked")
def test_a_process_killed_at_any_moment_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killed.py")), str(tmp_path / "runs"), "1", "20"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "src"), "PADLESS_BACKEND": "torch"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    first, *others = told["ended"]
    assert len(first["history"]["loss"]) == 5
    assert first["left"] == ["best.safetensors", "log.csv"]
    assert others
    assert all(other == first for other in others)
    # Some were killed when there was no backup yet, or one, or while one was saved; at least this is there:
    assert "latest|previous" in told["found"]
    assert len(told["found"]) > 1


@pytest.mark.parametrize(("save_freq", "batches"), [("epoch", 1), ("epoch", 8), (1, 4), (1, 14), (3, 5), (3, 8)])
def test_an_error_anywhere(trainer: str, save_freq: Any, batches: int, tmp_path: Path) -> None:
    plain = model()
    want = fit(plain, [CSVLogger(tmp_path / "plain.csv")])
    for dies in (True, False):
        again = model()
        told = [BackupAndRestore(tmp_path / "backup", save_freq), CSVLogger(tmp_path / "log.csv")]
        if dies:
            with pytest.raises(Gone):
                fit(again, [*told, Dies(batches)])
        else:
            assert fit(again, told) == want
    same(plain, again)
    assert (tmp_path / "log.csv").read_bytes() == (tmp_path / "plain.csv").read_bytes()
    assert not (tmp_path / "backup").exists()


@pytest.mark.parametrize(("save", "batches"), [(1, 2), (1, 6), (1, 9), ("epoch", 9)])
def test_batches_gathered_for_a_step_and_averages_of_weights_go_on(
    trainer: str, save: Any, batches: int, tmp_path: Path
) -> None:
    def averaging() -> padless.Sequential:
        made = model()
        made.compile(
            padless.optimizers.Nadam(0.01, use_ema=True, ema_momentum=0.8, gradient_accumulation_steps=4), "mse"
        )
        return made

    plain, again = averaging(), averaging()
    want = fit(plain, [SwapEMAWeights(swap_on_epoch=True)])
    with pytest.raises(Gone):
        fit(averaging(), [SwapEMAWeights(swap_on_epoch=True), BackupAndRestore(tmp_path / "b", save), Dies(batches)])
    assert fit(again, [SwapEMAWeights(swap_on_epoch=True), BackupAndRestore(tmp_path / "b", save)]) == want
    same(plain, again)


def stateful() -> padless.Sequential:
    padless.utils.set_random_seed(7)
    made = padless.Sequential([layers.Embedding(27, 4), layers.GRU(4, stateful=True, dropout=0.2), layers.Dense(1)])
    made.compile(padless.optimizers.RMSprop(0.01, momentum=0.5), "mse")
    return made


def test_what_layers_keep_from_batch_to_batch_goes_on(trainer: str, tmp_path: Path) -> None:
    told = {"shuffle": False, "validation_data": None}
    plain = stateful()
    want = fit(plain, [], **told)
    with pytest.raises(Gone):
        fit(stateful(), [BackupAndRestore(tmp_path / "b", 1), Dies(7)], **told)
    again = stateful()
    assert fit(again, [BackupAndRestore(tmp_path / "b", 1)], **told) == want
    same(plain, again)


@pytest.mark.usefixtures("trainer")
def test_ctrl_c_saves_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, again = model(), None
    want = fit(plain, [])

    def press(batch: int, logs: Any) -> None:
        if again is not None and again.data_state["epoch"] == 1 and batch == 2:
            os.kill(os.getpid(), signal.SIGINT)

    for presses in (True, False):
        again = model()
        told = [BackupAndRestore(tmp_path / "backup")]
        got = fit(again, [*told, LambdaCallback(on_train_batch_end=press)] if presses else told)
        assert again.data_state["epoch"] == (1 if presses else 4)
        assert (tmp_path / "backup").exists() is presses
    assert got == want
    same(plain, again)


def test_a_file_that_is_cut_off_or_foreign_is_refused_and_the_one_before_it_used(tmp_path: Path) -> None:
    plain = model()
    want = fit(plain, [])
    for number, damage in enumerate(("cut", "empty", "turned", "text", "model")):
        folder = tmp_path / damage
        with pytest.raises(Gone):
            fit(model(), [BackupAndRestore(folder, 2), Dies(11)])
        latest = folder / "latest.safetensors"
        good = latest.read_bytes()
        at = len(good) - 9
        bad = {
            "cut": good[: len(good) // 2],
            "empty": b"",
            "turned": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
            "text": b"not a backup " * 99,
            "model": b"",
        }[damage]
        latest.write_bytes(bad)
        if damage == "model":
            plain.save(latest)
        (folder / ".latest.safetensors.abc").write_bytes(good[:number])
        again = model()
        with pytest.warns(UserWarning, match=r"latest.safetensors(?s:.*)previous.safetensors was used instead"):
            got = fit(again, [BackupAndRestore(folder, 2, delete_checkpoint=False)])
        assert got == want
        same(plain, again)
        # The bad one did not take the place of the good one, and what was unfinished is gone.
        assert sorted(path.name for path in folder.iterdir()) == ["latest.safetensors", "previous.safetensors"]
        assert fit(model(), [BackupAndRestore(folder, 2)]) == want


def test_without_a_backup_that_can_be_used_nothing_is_trained(tmp_path: Path) -> None:
    (tmp_path / "latest.safetensors").write_text("something else")
    with pytest.raises(DataError, match=r"expected a backup of this model(?s:.*)remove these files to begin anew"):
        fit(model(), [BackupAndRestore(tmp_path)])
    with pytest.raises(Gone):
        fit(model(), [BackupAndRestore(tmp_path / "of", 1), Dies(3)])
    with pytest.raises(DataError, match="the state of SGD, the optimizer of the model"):
        fit(model("sgd"), [BackupAndRestore(tmp_path / "of", 1)])
    other = padless.Sequential([layers.Embedding(27, 5), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    other.compile("adam", "mse", metrics=["accuracy"])
    with pytest.raises(DataError, match="other shapes"):
        fit(other, [BackupAndRestore(tmp_path / "of", 1)])


def test_training_that_stopped_by_itself_does_not_go_on(tmp_path: Path) -> None:
    class Late(Callback):
        """Dies once EarlyStopping has spoken, and the backup is saved."""

        told_last = True

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            if self.model.stop_training:
                raise Gone

    def told() -> list[Callback]:
        return [
            BackupAndRestore(tmp_path / "b"),
            EarlyStopping("loss", patience=2, min_delta=10, restore_best_weights=True),
        ]

    plain = model()
    want = fit(plain, told(), epochs=9)
    with pytest.raises(Gone):
        fit(model(), [*told(), Late()], epochs=9)
    again = model()
    assert fit(again, told(), epochs=9) == want
    assert len(want["loss"]) == 3
    same(plain, again)


def test_more_epochs_go_on_where_the_last_ones_ended(tmp_path: Path) -> None:
    plain, again = model(), model()
    want = fit(plain, [])
    (tmp_path / "notes.txt").write_text("of the user")
    fit(model(), [BackupAndRestore(tmp_path, delete_checkpoint=False)], epochs=2)
    again = model()
    assert fit(again, [BackupAndRestore(tmp_path)]) == want
    same(plain, again)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_what_callbacks_keep_must_be_plain(tmp_path: Path) -> None:
    class Keeps(Callback):
        def __init__(self) -> None:
            super().__init__()
            self.kept: dict[str, Any] = {"seen": [1, None, "a", np.arange(3)]}

        def get_state(self) -> dict[str, Any]:
            return self.kept

        def set_state(self, state: dict[str, Any]) -> None:
            self.kept = state

    one, other = Keeps(), Keeps()
    other.kept = {"seen": "another"}
    with pytest.raises(Gone):
        fit(model(), [BackupAndRestore(tmp_path, 1), one, other, Dies(3)])
    again = [Keeps(), Keeps()]
    fit(model(), [BackupAndRestore(tmp_path, 1), *again])
    np.testing.assert_array_equal(again[0].kept["seen"][3], np.arange(3))
    assert again[1].kept == {"seen": "another"}
    one.kept = {"seen": {1, 2}}
    with pytest.raises(ArgumentError, match="BackupAndRestore: expected texts, numbers, None and NumPy arrays"):
        fit(model(), [BackupAndRestore(tmp_path / "of"), one])
    for wrong in ("", 0):
        with pytest.raises(ArgumentError, match="BackupAndRestore"):
            BackupAndRestore(wrong if wrong == "" else tmp_path, save_freq=0)


def test_random_numbers_go_on_where_they_were() -> None:
    import random

    from padless import random as own

    state = own.get_state()
    want = random.random(), np.random.rand(), own.next_seed()
    own.set_state(state)
    assert (random.random(), np.random.rand(), own.next_seed()) == want


@pytest.mark.parametrize("name", ["model", "sums", "slots", "gathered_batches"])
def test_a_backup_that_lacks_something_says_so(name: str, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    with pytest.raises(Gone):
        fit(model(), [BackupAndRestore(tmp_path, 1), Dies(2)])
    path = tmp_path / "latest.safetensors"
    arrays, metadata = saving.read_arrays(path)
    tree = json.loads(metadata["state"])
    for part in (tree, tree["model"], tree["model"]["optimizer"]):
        part.pop(name, None)
    written = json.dumps(tree)
    saving.write_arrays(
        path, arrays, {**metadata, "state": written, "crc32": str(checkpoints._checksum(written, arrays))}
    )
    with pytest.raises(DataError, match=f"a backup with '{name}'(?s:.*)the version of padless that wrote it"):
        fit(model(), [BackupAndRestore(tmp_path)])
