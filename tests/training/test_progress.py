"""What training shows: a bar on a terminal and in a notebook, lines elsewhere; and that none of it is cut or broken."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import types
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from padless import Ragged, Sequential, layers
from padless.batching import Batch, count_places
from padless.callbacks import Callback, ProgbarLogger, logs_text, screens
from padless.callbacks.screens import Status, bar_lines, duration, notebook_html

X = [[1, 2, 3, 4], [5], [6, 7], [8, 9, 1, 2, 3, 4], [5, 6], [7], [8, 9, 1], [2]]
Y = np.array([0.0, 1, 0, 1, 0, 1, 0, 1])


def model() -> Sequential:
    made = Sequential([layers.Embedding(10, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)])
    made.compile("sgd", "mse", metrics=["mae"])
    return made


class Terminal(io.StringIO):
    """Takes what is written; says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Of 100 columns; stdout while `looking`."""
    for name, value in {"COLUMNS": "100", "TERM": "xterm", "LINES": "30"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Terminal()


@contextlib.contextmanager
def looking(terminal: Terminal) -> Iterator[None]:
    """Not in the fixture: pytest puts a stdout of its own there when the test begins."""
    import rich

    before, rich._console = rich._console, None  # rich keeps the first stdout that it saw
    try:
        with contextlib.redirect_stdout(terminal):
            yield
    finally:
        rich._console = before


def plain(text: str) -> str:
    """What was written, without the codes of a terminal."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text)


# ---- lines


def test_lines_where_stdout_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    made = model()
    for verbose in ("auto", 1, 2):
        made.fit(X, Y, epochs=2, batch_size=4, shuffle=False, validation_split=0.5, verbose=verbose)
        made.evaluate(X, Y, verbose=verbose)
        made.predict(X, verbose=verbose)
        lines = capsys.readouterr().out.splitlines()
        assert len(lines) == (3 if verbose == "auto" else 4)
        for at, line in enumerate(lines[:2], 1):
            # 13 steps in 4 rows of up to 6.
            logs = r"loss: \S+ - mae: \S+ - val_loss: \S+ - val_mae: \S+"
            assert re.fullmatch(rf"Epoch {at}/2 - [\d.]+s - padded fill 54% - [\d,]+ steps/s - {logs}", line), line
        # 20 steps in 8 rows of up to 6.
        rate = r"[\d.]+s - padded fill 42% - [\d,]+ steps/s"
        assert re.fullmatch(rf"Evaluate - {rate} - loss: \S+ - mae: \S+", lines[2])
        assert all(re.fullmatch(f"Predict - {rate}", line) for line in lines[3:])
    made.fit(X, Y, verbose=0)
    made.evaluate(X, Y, verbose=0)
    made.predict(X, verbose=0)
    assert capsys.readouterr().out == ""


def test_a_logger_of_ones_own_says_whether_it_is_live(capsys: pytest.CaptureFixture[str]) -> None:
    model().fit(X, Y, callbacks=[ProgbarLogger(live=False)], verbose=1)
    assert len(capsys.readouterr().out.splitlines()) == 1


def test_several_numbers_of_one_name_and_numbers_that_are_none() -> None:
    assert logs_text({"loss": float("nan"), "f1": [0.5, 0.0001]}) == "loss: nan - f1: [0.5000, 1.0000e-04]"  # type: ignore[dict-item]
    assert logs_text({"loss": float("inf")}) == "loss: inf"


def test_times_are_short() -> None:
    assert [duration(x) for x in (0.04, 9.94, 9.96, 59.4, 61, 3600, 7325)] == [
        "0.0s", "9.9s", "10s", "59s", "1:01", "1:00:00", "2:02:05",
    ]  # fmt: skip


# ---- the fill of padded batches


def test_places_are_rows_times_the_longest() -> None:
    assert count_places(Ragged.from_list(X)) == len(X) * 6
    assert count_places(Ragged.from_list([])) == 0
    assert count_places(Ragged.from_list([[], []])) == 0
    assert count_places(Ragged.from_list([[[1, 2], [3]], [[4]]])) == 2 * 2 * 2
    assert count_places({"a": np.zeros((3, 4)), "b": Ragged.from_list([[1], [1, 2]])}) == 4
    assert count_places((np.zeros((3, 4, 2)), np.zeros((3, 5)))) == 12
    assert Batch(Ragged.from_list(X)).nplaces == 48


def test_fill_is_said_only_where_there_is_padding() -> None:
    status = Status("Epoch 1/1", 4, done=2, steps=10, places=20)
    assert status.fill_text == "padded fill 50%"
    status.places = 10
    assert status.fill_text == ""


# ---- a terminal


def test_a_bar_moves_on_a_terminal(terminal: Terminal) -> None:
    made = model()
    with looking(terminal):
        made.fit(X, Y, epochs=2, batch_size=4, validation_split=0.5)
        made.evaluate(X, Y)
        made.predict(X)
    text = terminal.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 4, "the cursor is there again"
    lines = [line.strip() for line in plain(text).replace("\r", "\n").splitlines() if line.strip()]
    assert any(re.match(r"Epoch 2/2  1/1  [\d.]+s  [\d,]+ steps/s  padded fill 54%", line) for line in lines), lines
    assert any(line.startswith("Evaluate  1/1") for line in lines)
    assert any(line.startswith("Predict  1/1") for line in lines)
    assert any("val_mae: " in line for line in lines)


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120, 200])
def test_no_line_of_the_bar_is_longer_than_the_terminal(width: int) -> None:
    logs = {"loss": 0.1234, "a_long_name_of_a_metric": 0.5, "val_loss": 1e-9, "val_a_long_name_of_a_metric": 0.25}
    status = Status("Epoch 12/100", 345, done=17, steps=123_456, places=400_000, logs=logs)
    for over in (False, True):
        status.over = over
        lines = [str(line) for line in bar_lines(status, width)]
        assert max(map(len, lines)) <= width
        text = " ".join(lines)
        if width >= 40:
            for name in ("Epoch 12/100", "17/345", "steps/s", "padded fill 31%", "val_a_long_name_of_a_metric: 0.2500"):
                assert name in text
        assert ("─" in text) is not over
    assert "─" not in str(bar_lines(Status("Epoch 1/1", 2), width, fine=False)[0])


def test_a_stream_without_an_end_has_no_bar(terminal: Terminal) -> None:
    status = Status("Epoch 1/1", None, done=3)
    assert "  3  " in str(bar_lines(status, 100)[0])
    assert "─" not in str(bar_lines(status, 100)[0])
    assert status.time_text.endswith("s")


def test_an_error_gives_the_terminal_back(terminal: Terminal) -> None:
    class Broken(Callback):
        def on_predict_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("broken")

        on_test_batch_end = on_predict_batch_end

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            raise RuntimeError("broken")

    made = model()
    for run in (
        lambda: made.predict(X, callbacks=[Broken()]),
        lambda: made.evaluate(X, Y, callbacks=[Broken()]),
        lambda: made.fit(X, Y, callbacks=[Broken()]),
    ):
        with looking(terminal), pytest.raises(RuntimeError, match="broken"):
            run()
    text = terminal.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 3


def test_a_callback_may_evaluate_and_print_while_the_bar_is_there(terminal: Terminal) -> None:
    class Curious(Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            print("hello from a callback")
            self.model.evaluate(X, Y, callbacks=[], verbose=1)

    with looking(terminal):
        model().fit(X, Y, callbacks=[Curious()])
    text = plain(terminal.getvalue())
    assert "hello from a callback" in text
    assert "Evaluate" in text


# ---- a notebook


class Shown:
    """What IPython has been given to show: one entry for each output, the last of its updates."""

    def __init__(self) -> None:
        self.outputs: list[str] = []
        self.updates = 0

    def display(self, html: Any, display_id: bool = False) -> Any:
        assert display_id
        self.outputs.append(html)
        at = len(self.outputs) - 1

        def update(html: Any) -> None:
            self.updates += 1
            self.outputs[at] = html

        return types.SimpleNamespace(update=update)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Shown:
    """A module IPython as a kernel has it."""
    shown = Shown()
    ipython: Any = types.ModuleType("IPython")
    ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    display: Any = types.ModuleType("IPython.display")
    display.HTML, display.display = str, shown.display
    monkeypatch.setitem(sys.modules, "IPython", ipython)
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    return shown


def test_a_notebook_shows_one_output_for_each_call(notebook: Shown, capsys: pytest.CaptureFixture[str]) -> None:
    made = model()
    made.fit(X, Y, epochs=3, batch_size=2)
    assert len(notebook.outputs) == 1
    made.evaluate(X, Y)
    made.predict(X)
    assert len(notebook.outputs) == 3
    lines = re.findall(r"<div>(.*?)</div>", notebook.outputs[0])
    assert [line.split(" - ")[0] for line in lines] == ["Epoch 1/3", "Epoch 2/3", "Epoch 3/3"]
    assert all("loss: " in line and "steps/s" in line for line in lines)
    assert "Predict" in notebook.outputs[2]
    assert notebook.updates < 20, "a few times a second, not for every batch"
    made.fit(X, Y, verbose=2)
    assert len(capsys.readouterr().out.splitlines()) == 1
    assert len(notebook.outputs) == 3


def test_ipython_on_a_terminal_is_no_notebook(notebook: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: types.SimpleNamespace())
    assert not screens.in_notebook()
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: None)
    assert not screens.in_notebook()


def test_names_in_a_notebook_are_text() -> None:
    status = Status("<b>", 2, done=1, logs={"<script>": 1.0})
    html = notebook_html(["<script>"] * 100, status)
    assert "<script>" not in html
    assert "<b>" not in html
    assert "... 50 lines above" in html
    assert "width:50%" in html
