"""Callbacks in `fit` on real peptides."""

from __future__ import annotations

import csv
import http.server
import json
import threading
import urllib.parse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import callbacks, layers
from padless.callbacks import (
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    RemoteMonitor,
    TerminateOnNaN,
    lr_find,
)
from padless.errors import ArgumentError, NumericError

DATA = Path(__file__).parents[1] / "data" / "peptides.csv"


def peptides(count: int = 60) -> tuple[list[list[int]], np.ndarray[Any, Any]]:
    """So many peptides, of both classes in turn."""
    with DATA.open(encoding="utf-8") as file:
        rows = [(text, float(kind)) for text, kind in list(csv.reader(file))[1:]]
    half = count // 2
    chosen = [row for pair in zip(rows[:half], rows[-half:], strict=True) for row in pair]
    return [[ord(letter) - 64 for letter in text] for text, _ in chosen], np.array([kind for _, kind in chosen])


X, Y = peptides()


def model(optimizer: Any = None) -> padless.Sequential:
    padless.utils.set_random_seed(7)
    made = padless.Sequential(
        [layers.Embedding(27, 4), layers.GlobalAveragePooling1D(), layers.Dense(1, activation="sigmoid")]
    )
    made.compile(optimizer or padless.optimizers.Adam(0.05), "binary_crossentropy", metrics=["accuracy"])
    return made


def fit(made: padless.Sequential, told: list[Any], epochs: int = 4, **more: Any) -> dict[str, list[float]]:
    arguments = {"batch_size": 10, "verbose": 0, "validation_data": (X[40:], Y[40:]), **more}
    return made.fit(X[:40], Y[:40], epochs=epochs, callbacks=told, **arguments).history


# ---- in fit


def test_the_best_model_is_saved_and_loads(trainer: str, tmp_path: Path) -> None:
    made = model()
    path = tmp_path / "deep" / "best.safetensors"
    weights = tmp_path / "{epoch}-{val_accuracy:.2f}.weights.safetensors"
    told = [
        ModelCheckpoint(path, "val_loss", save_best_only=True),
        ModelCheckpoint(weights, save_weights_only=True),
    ]
    history = fit(made, told)
    best = padless.load_model(path)
    loss = best.evaluate(X[40:], Y[40:], verbose=0, batch_size=10, return_dict=True)["loss"]
    np.testing.assert_allclose(loss, min(history["val_loss"]), rtol=1e-6)
    names = [f"{at + 1}-{value:.2f}.weights.safetensors" for at, value in enumerate(history["val_accuracy"])]
    assert sorted(path.name for path in tmp_path.glob("*.safetensors")) == sorted(names)
    best.load_weights(tmp_path / names[-1])
    np.testing.assert_array_equal(best.get_weights()[0], made.get_weights()[0])


def test_rates_are_in_the_history(trainer: str) -> None:
    halved = LearningRateScheduler(lambda epoch, rate: rate / 2 if epoch else rate)
    history = fit(model(), [halved, ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=10.0)])
    np.testing.assert_allclose(history["learning_rate"], [0.05, 0.025, 0.00125, 0.0000625], rtol=1e-6)


def test_what_is_watched_must_be_there() -> None:
    for callback in (EarlyStopping("val_loss"), ModelCheckpoint("m", save_best_only=True), ReduceLROnPlateau()):
        with pytest.raises(ArgumentError, match=r"(?s)monitor='val_loss'.*validation_data=\(x, y\)"):
            fit(model(), [callback], validation_data=None)
    with pytest.raises(ArgumentError, match="monitor='val_acuracy'"):
        fit(model(), [EarlyStopping("val_acuracy", mode="max")], validation_data=None)
    with pytest.raises(ArgumentError, match="mode of auto, min or max"):
        EarlyStopping(mode="most")
    # In epochs without validation nothing is counted.
    stop = EarlyStopping("val_accuracy", patience=1, min_delta=10)
    assert len(fit(model(), [stop], epochs=9, validation_freq=2)["loss"]) == 4


def test_whether_more_is_better_is_known_or_asked_for() -> None:
    made = model()
    fit(made, [], epochs=1)
    for name, sign in {"loss": -1.0, "val_loss": -1.0, "tags_loss": -1.0, "accuracy": 1.0, "val_accuracy": 1.0}.items():
        stop = EarlyStopping(name)
        stop.set_model(made)
        assert stop.sign == sign
    odd = EarlyStopping("val_oddness")
    odd.set_model(made)
    with pytest.raises(ArgumentError, match='mode="max" or mode="min"'):
        odd.improves(1.0, 2.0)


def test_checkpoints_refuse_what_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="between epochs nothing is validated"):
        ModelCheckpoint("m.safetensors", save_best_only=True, save_freq=3)
    for wrong in (0, -1, True, "batch", 1.5):
        with pytest.raises(ArgumentError, match='save_freq of "epoch" or a number of batches'):
            ModelCheckpoint("m.safetensors", save_freq=wrong)
    with pytest.raises(ArgumentError, match="safetensors"):
        ModelCheckpoint("m.h5")
    with pytest.raises(ArgumentError, match=r"(?s)names among epoch, batch .*vall_loss"):
        fit(model(), [ModelCheckpoint(tmp_path / "{vall_loss}.safetensors")])


def test_a_schedule_must_give_numbers() -> None:
    with pytest.raises(ArgumentError, match="a schedule that gives a number"):
        fit(model(), [LearningRateScheduler(lambda epoch: "fast")])

    def wrong(epoch: int, rate: float) -> float:
        raise TypeError("of its own")

    with pytest.raises(TypeError, match="of its own"):  # and not that it takes one argument
        fit(model(), [LearningRateScheduler(wrong)])


def test_a_table_is_readable_while_training_goes(trainer: str, tmp_path: Path) -> None:
    path, lines = tmp_path / "log.csv", []
    peek = LambdaCallback(on_epoch_end=lambda epoch, logs: lines.append(path.read_text().count("\n")))
    history = fit(model(), [CSVLogger(path), peek])
    assert lines == [2, 3, 4, 5]
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["val_loss"]) for row in rows] == history["val_loss"]


def test_nan_ends_training_and_leaves_the_weights(trainer: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = padless.Sequential([layers.GlobalAveragePooling1D(), layers.Dense(1)])
    made.compile("sgd", "mse")
    x = [np.full((3, 1), value, np.float32) for value in (1, 2, 3, np.nan)]
    told = {"shuffle": False, "batch_size": 2, "epochs": 3, "verbose": 0}
    history = made.fit(x, np.ones(4), callbacks=[TerminateOnNaN()], **told)
    assert len(history.history["loss"]) == 1
    assert all(np.isfinite(weight).all() for weight in made.get_weights())
    assert "Batch 1: fit, epoch 1, batch 1: expected a loss that is a number" in capsys.readouterr().out
    with pytest.raises(NumericError, match="epoch 1, batch 1"):
        made.fit(x, np.ones(4), callbacks=[TerminateOnNaN(raise_error=True)], **told)


@pytest.fixture
def server() -> Iterator[tuple[str, list[tuple[str, str, str]]]]:
    got: list[tuple[str, str, str]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"])).decode()
            got.append((self.path, self.headers["Content-Type"], text))
            self.send_response(200 if "bad" not in self.path else 500)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{serving.server_port}", got
        serving.shutdown()
        thread.join()


def test_a_server_gets_the_logs(server: tuple[str, list[tuple[str, str, str]]]) -> None:
    root, got = server
    history = fit(model(), [RemoteMonitor(root), RemoteMonitor(root, path="/json", send_as_json=True)], epochs=2)
    assert [path for path, _, _ in got] == ["/publish/epoch/end/", "/json"] * 2
    form, plain = urllib.parse.parse_qs(got[2][2])["data"][0], got[3][2]
    assert json.loads(form) == json.loads(plain)
    assert json.loads(plain)["epoch"] == 1
    assert json.loads(plain)["val_loss"] == history["val_loss"][1]
    assert got[1][1] == "application/json"
    with pytest.warns(UserWarning, match=r"RemoteMonitor could not reach .*/bad: HTTP Error 500"):
        fit(model(), [RemoteMonitor(root, path="/bad")], epochs=1)
    with pytest.raises(ArgumentError, match="root of http:// or https://"):
        RemoteMonitor("file:///etc")


def test_a_server_that_is_not_there_is_a_warning() -> None:
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as closed:
        root = f"http://127.0.0.1:{closed.server_port}"
    with pytest.warns(UserWarning, match="RemoteMonitor could not reach"):
        fit(model(), [RemoteMonitor(root)], epochs=1)


# ---- the range test of learning rates


def test_lr_find_leaves_the_model_as_it_was(trainer: str) -> None:
    one = model()
    fit(one, [], epochs=1)
    other = model()
    fit(other, [], epochs=1)
    history = other.history
    curve = lr_find(other, X, Y, batch_size=10, num_batches=40)
    assert other.history is history
    assert other.optimizer.iterations == one.optimizer.iterations
    assert len(curve.rates) == len(curve.losses) == len(curve.smooth) > 10
    assert curve.rates[0] == 1e-6
    assert 1e-6 < curve.suggestion < 10
    padless.utils.set_random_seed(3)
    want = fit(one, [])
    padless.utils.set_random_seed(3)
    assert fit(other, []) == want
    np.testing.assert_array_equal(one.get_weights()[0], other.get_weights()[0])


def test_lr_find_ends_where_the_loss_explodes(trainer: str) -> None:
    made = padless.Sequential([layers.GlobalAveragePooling1D(), layers.Dense(1)])
    made.compile("sgd", "mse")
    rows = [np.full((2, 1), value, np.float32) for value in np.linspace(1, 2, 8)]
    curve = lr_find(made, rows, np.linspace(1, 2, 8), batch_size=4, end_lr=1e6, smoothing=0.0)
    assert len(curve.rates) < 100
    assert curve.losses[-1] > 4 * min(curve.losses)
    assert all(np.isfinite(weight).all() for weight in made.get_weights())
    assert made.optimizer.learning_rate == pytest.approx(0.01)


def test_lr_find_draws_and_refuses() -> None:
    curve = lr_find(model(), X, Y, batch_size=10, num_batches=30)
    pytest.importorskip("matplotlib")
    axes = curve.plot()
    assert axes.get_xscale() == "log"
    assert len(axes.lines) == 3
    assert repr(curve).startswith("<LearningRateCurve of ")
    with pytest.raises(ArgumentError, match="0 < start_lr < end_lr"):
        lr_find(model(), X, Y, start_lr=1.0, end_lr=0.1)
    decaying = padless.optimizers.SGD(padless.schedules.ExponentialDecay(0.1, 10, 0.9))
    with pytest.raises(ArgumentError, match="another schedule"):
        lr_find(model(decaying), X, Y)


def test_all_names_of_the_module_stay() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in ("HOOKS", "Callback", "CallbackList", "History", "ProgbarLogger", "logs_text", "waiting"):
            assert hasattr(callbacks, name)
