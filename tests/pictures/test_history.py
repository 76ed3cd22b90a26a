"""History.plot: a panel for each quantity, training and validation in it, epochs from 1."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from padless import Sequential, layers
from padless.callbacks import History, LearningRateScheduler
from padless.errors import ArgumentError
from padless.pictures.curves import panels_of

X, Y = [[1, 2, 3], [4], [5, 6]] * 8, np.array([0.0, 1, 0] * 8)


def history(*logs: dict[str, Any]) -> History:
    made = History()
    for epoch, one in enumerate(logs):
        made.on_epoch_end(epoch, one)
    return made


def drawn(figure: Any) -> dict[str, dict[str, tuple[list[float], list[float]]]]:
    return {
        axes.get_title(): {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
        for axes in figure.axes
        if axes.get_title()
    }


def test_fit_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    model = Sequential([layers.Embedding(10, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    found = model.fit(
        X, Y, epochs=4, validation_split=0.25, validation_freq=2, verbose=0,
        callbacks=[LearningRateScheduler(lambda epoch: 10.0**-epoch)],
    )  # fmt: skip
    assert found.epochs_of["val_loss"] == [1, 3]
    figure = found.plot(tmp_path / "h.svg")
    lines = drawn(figure)
    assert list(lines) == ["loss", "mae", "learning_rate"]
    assert lines["loss"]["training"] == ([1, 2, 3, 4], found.history["loss"])
    assert lines["loss"]["validation"] == ([2, 4], found.history["val_loss"])
    assert figure.axes[2].get_yscale() == "log"
    assert (tmp_path / "h.svg").read_text(encoding="utf-8").count("<svg") == 1
    for ending in ("png", "pdf"):
        found.plot(tmp_path / f"h.{ending}")
        assert (tmp_path / f"h.{ending}").stat().st_size > 1000
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_one_epoch_no_validation_and_no_numbers() -> None:
    pytest.importorskip("matplotlib")
    one = history({"loss": 0.5}).plot().axes[0]
    low, high = one.get_xlim()
    assert [x for x in one.get_xticks() if low <= x <= high] == [1]
    assert one.get_legend() is None
    nan = history({"loss": 0.5}, {"loss": math.nan}, {"loss": math.inf}, {"loss": 0.2}).plot().axes[0]
    assert list(drawn(nan.figure)["loss"]["not a number"][0]) == [2, 3]
    assert [line.get_marker() for line in nan.lines] == ["o", "x"]
    never = history({"loss": math.nan}).plot().axes[0]
    assert not len(never.get_yticks())
    classes = history({"loss": 1.0, "f1": [0.5, 0.6]}, {"loss": 0.9, "f1": [0.6, 0.7]})
    assert drawn(classes.plot())["f1"] == {"training 0": ([1, 2], [0.5, 0.6]), "training 1": ([1, 2], [0.6, 0.7])}


def test_many_metrics_have_panels_of_their_own() -> None:
    pytest.importorskip("matplotlib")
    found = history({f"{before}{name}": 1.0 for name in ("loss", *"abcdef", "$x^2$ " * 20) for before in ("", "val_")})
    figure = found.plot()
    assert len(drawn(figure)) == 8
    assert figure.axes[8].axison is False
    figure.canvas.draw()


def test_only_validation_and_old_histories() -> None:
    """A backup of an earlier version does not say which epochs a log has."""
    panels = panels_of(history({"val_loss": 1.0}))
    assert [(panel.title, [curve.label for curve in panel.curves]) for panel in panels] == [("loss", ["validation"])]
    old = History()
    old.set_state({"epoch": [4, 5, 6], "history": {"loss": [3.0, 2.0, 1.0], "val_loss": [2.5]}})
    curves = panels_of(old)[0].curves
    assert [curve.epochs for curve in curves] == [[5, 6, 7], [7]]
    new = History()
    new.set_state(history({"loss": 1.0}).get_state())
    assert new.epochs_of == {"loss": [0]}


def test_what_is_missing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("matplotlib")
    with pytest.raises(ArgumentError, match=r"History\.plot: expected an epoch at least"):
        History().plot()
    with pytest.raises(ArgumentError, match=r"h\.png, or another of"):
        history({"loss": 1.0}).plot(tmp_path / "h.xyz")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r'pip install matplotlib, or pip install "padless\[plot\]"'):
        history({"loss": 1.0}).plot()
