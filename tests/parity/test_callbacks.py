"""Callbacks beside Keras's own, with the same arguments on the same logs: the same decisions, names and bytes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import layers
from padless.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    SwapEMAWeights,
)
from padless.errors import ArgumentError

keras = pytest.importorskip("keras")
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")


class Stub:
    """What a callback asks of a model, padless's or Keras's; notes the names of files."""

    def __init__(self, learning_rate: float = 0.5) -> None:
        self.optimizer = SimpleNamespace(learning_rate=learning_rate)
        self.stop_training = False
        self.weights = 0
        self.files: list[str] = []
        self._heads = SimpleNamespace(scored=[])

    def state_dict(self) -> int:
        return self.weights

    def load_state_dict(self, weights: int) -> None:
        self.weights = weights

    get_weights, set_weights = state_dict, load_state_dict

    def save(self, path: Any, overwrite: bool = True) -> None:
        self.files.append(Path(path).name.removesuffix(".keras").removesuffix(".safetensors"))

    def save_weights(self, path: Any, overwrite: bool = True) -> None:
        self.files.append(Path(path).name.removesuffix(".weights.h5").removesuffix(".weights.safetensors"))


def run(callback: Any, logs: list[dict[str, float]], batches: int = 0) -> tuple[Stub, list[Any]]:
    """Tell of an epoch for each of the logs, until training is stopped; what the model then is, and the rates."""
    stub = Stub()
    callback.set_model(stub)
    callback.set_params({"epochs": len(logs), "steps": batches, "verbose": 0})
    rates = []
    callback.on_train_begin()
    for epoch, one in enumerate(logs):
        callback.on_epoch_begin(epoch)
        for batch in range(batches):
            callback.on_train_batch_begin(batch)
            callback.on_train_batch_end(batch, dict(one))
        stub.weights = epoch + 1
        seen = dict(one)
        callback.on_epoch_end(epoch, seen)
        rates.append((stub.optimizer.learning_rate, seen.get("learning_rate")))
        if stub.stop_training:
            break
    callback.on_train_end()
    return stub, rates


# In steps of 1/8 all sums are exact: Keras compares in float32.
EIGHTHS = st.integers(0, 24).map(lambda n: n / 8)
LOSSES = st.lists(EIGHTHS, min_size=1, max_size=12)
MODES = st.sampled_from(["min", "max", "auto"])


@given(
    losses=LOSSES,
    arguments=st.fixed_dictionaries(
        {
            "patience": st.integers(0, 3),
            "min_delta": EIGHTHS,
            "mode": MODES,
            "baseline": st.none() | EIGHTHS,
            "start_from_epoch": st.integers(0, 3),
            "restore_best_weights": st.booleans(),
        }
    ),
)
def test_early_stopping_stops_where_keras_does(losses: list[float], arguments: dict[str, Any]) -> None:
    logs = [{"val_loss": loss} for loss in losses]
    own, theirs = EarlyStopping(**arguments), keras.callbacks.EarlyStopping(**arguments)
    (mine, rates), (other, other_rates) = run(own, logs), run(theirs, logs)
    assert (mine.stop_training, len(rates), mine.weights) == (other.stop_training, len(other_rates), other.weights)
    assert (own.best, own.best_epoch, own.stopped_epoch) == (theirs.best, theirs.best_epoch, theirs.stopped_epoch)


@given(
    losses=LOSSES,
    arguments=st.fixed_dictionaries(
        {
            "factor": st.sampled_from([0.5, 0.25]),
            "patience": st.integers(0, 3),
            "min_delta": EIGHTHS,
            "mode": MODES,
            "cooldown": st.integers(0, 3),
            "min_lr": st.sampled_from([0.0, 0.125]),
        }
    ),
)
def test_the_rate_is_reduced_where_keras_does(losses: list[float], arguments: dict[str, Any]) -> None:
    logs = [{"val_loss": loss} for loss in losses]
    _, rates = run(ReduceLROnPlateau(**arguments), logs)
    _, other = run(keras.callbacks.ReduceLROnPlateau(**arguments), logs)
    assert rates == other


@given(
    losses=LOSSES,
    best=st.booleans(),
    weights=st.booleans(),
    threshold=st.none() | EIGHTHS,
    freq=st.sampled_from(["epoch", 2, 5]),
)
def test_files_are_named_and_chosen_as_keras_does(
    losses: list[float], best: bool, weights: bool, threshold: float | None, freq: Any, tmp_path: Path
) -> None:
    logs = [{"loss": loss} for loss in losses]
    name = "{epoch:02d}-{loss:.2f}" + ("" if freq == "epoch" else "-{batch}")
    arguments = {
        "monitor": "loss",
        "save_best_only": best,
        "save_weights_only": weights,
        "save_freq": freq,
        "initial_value_threshold": threshold,
        "mode": "min",
    }
    own = ModelCheckpoint(tmp_path / (name + (".weights.safetensors" if weights else ".safetensors")), **arguments)
    theirs = keras.callbacks.ModelCheckpoint(tmp_path / (name + (".weights.h5" if weights else ".keras")), **arguments)
    theirs._set_monitor_op()  # Keras's needs the end of an epoch first
    assert run(own, logs, 3)[0].files == run(theirs, logs, 3)[0].files


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_is_the_one_that_keras_writes(append: bool, separator: str, tmp_path: Path) -> None:
    logs: list[Any] = [
        {"loss": 0.5, "accuracy": 1 / 3},
        {"loss": 0.25, "val_loss": 1e-9, "accuracy": float("nan")},
        {"f1": [1, 2]},
    ]
    for name, kind in (("own", CSVLogger), ("keras", keras.callbacks.CSVLogger)):
        for part in (logs, logs[1:], logs[2:]):
            run(kind(tmp_path / name, separator=separator, append=append), part)
    assert (tmp_path / "own").read_bytes() == (tmp_path / "keras").read_bytes()


@pytest.mark.parametrize("schedule", [lambda epoch, rate: rate / (1 + epoch), lambda epoch: 0.5 / (2 + epoch)])
def test_a_schedule_sets_the_rates_that_keras_sets(schedule: Any) -> None:
    logs = [{"loss": 1.0}] * 4
    assert (
        run(LearningRateScheduler(schedule), logs)[1] == run(keras.callbacks.LearningRateScheduler(schedule), logs)[1]
    )


@pytest.mark.parametrize("swap_on_epoch", [False, True])
@pytest.mark.parametrize("stops", [False, True])
def test_averages_are_swapped_as_in_keras(trainer: str, swap_on_epoch: bool, stops: bool) -> None:
    x, y = (np.random.default_rng(at).normal(size=(40, n)).astype("float32") for at, n in ((0, 3), (1, 1)))
    how: dict[str, Any] = {
        "batch_size": 8, "epochs": 3, "shuffle": False, "verbose": 0, "validation_data": (x[::2], y[::2]),
    }  # fmt: skip
    mine, theirs = padless.Sequential([layers.Dense(1)]), keras.Sequential([keras.layers.Dense(1)])
    mine(x), theirs(x)
    mine.set_weights(theirs.get_weights())
    given = {"use_ema": True, "ema_momentum": 0.9}
    mine.compile(padless.optimizers.SGD(0.05, **given), "mse")
    theirs.compile(keras.optimizers.SGD(0.05, **given), "mse")
    seen: list[Any] = []

    class Notes(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            seen.append(mine.get_weights())
            self.model.stop_training = stops and epoch == 1

    history = mine.fit(x, y, callbacks=[SwapEMAWeights(swap_on_epoch), Notes()], **how).history
    ended = mine.get_weights()
    # Where it stops before the last epoch with averages in place, Keras puts the weights there in the end.
    epochs = {**how, "epochs": len(history["loss"])}
    want = theirs.fit(x, y, callbacks=[keras.callbacks.SwapEMAWeights(swap_on_epoch)], **epochs).history
    for name in ("loss", "val_loss"):
        np.testing.assert_allclose(history[name], want[name], rtol=1e-5)
    for one, other in zip(ended, theirs.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    averages = [np.array(mine.backend.to_host(a)) for a in mine.optimizer.slots["average"].values()]
    for one, average, last in zip(ended, averages, seen[-1], strict=True):
        np.testing.assert_array_equal(one, average)
        assert np.array_equal(last, average) is swap_on_epoch


def test_swapping_needs_averages(trainer: str) -> None:
    model = padless.Sequential([layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 2), "float32")
    with pytest.raises(ArgumentError, match=r"SwapEMAWeights: expected an optimizer that averages weights"):
        model.fit(x, x[:, :1], verbose=0, callbacks=[SwapEMAWeights()])
    with pytest.raises(ArgumentError, match="SwapEMAWeights"):
        model.evaluate(x, x[:, :1], verbose=0, callbacks=[SwapEMAWeights()])
