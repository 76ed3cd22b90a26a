"""What progress is shown on: a terminal, a notebook, or plain lines."""

from __future__ import annotations

import contextlib
import importlib
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

from padless.callbacks.base import Logs

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions
    from rich.text import Text

_BAR = 20
_SHORT_BAR = 8
_MOST_LINES = 50


def logs_text(logs: Logs) -> str:
    """Write logs as Keras does: "loss: 0.1234 - accuracy: 0.9876"."""
    return " - ".join(logs_parts(logs))


def logs_parts(logs: Logs) -> list[str]:
    """Each of the logs as "loss: 0.1234"; several numbers of one name in brackets."""
    return [f"{name}: {_number(value)}" for name, value in logs.items()]


def _number(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_number, value))}]"
    return f"{value:.4f}" if abs(value) > 1e-3 or value == 0 else f"{value:.4e}"


def duration(seconds: float) -> str:
    """Such as "0.4s", "12s", "2:05", "1:02:05"."""
    if seconds < 60:
        return f"{seconds:.0f}s" if seconds >= 9.95 else f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


@dataclass
class Status:
    """How far an epoch, an evaluation or a prediction is.

    Attributes:
        title: such as "Epoch 1/3".
        total: how many batches there are, or None.
        began: when, by `time.perf_counter`.
        done: batches.
        steps: real ones, so far.
        places: what a library that pads each batch to its longest row would have computed for them.
        seconds: that the batches took, once they are over.
        logs: loss and metrics.
        over: whether all is.
    """

    title: str
    total: int | None = None
    began: float = field(default_factory=time.perf_counter)
    done: int = 0
    steps: int = 0
    places: int = 0
    seconds: float | None = None
    logs: Logs = field(default_factory=dict)
    over: bool = False

    @property
    def elapsed(self) -> float:
        """Seconds, what comes after the batches included."""
        return time.perf_counter() - self.began

    @property
    def time_text(self) -> str:
        """What is left, or what it took."""
        if self.over:
            return duration(self.elapsed)
        if self.seconds is not None:
            return "validating"
        if self.total and self.done:
            return f"{duration(self.elapsed / self.done * max(self.total - self.done, 0))} left"
        return duration(self.elapsed)

    @property
    def count_text(self) -> str:
        """Batches."""
        return f"{self.done}/{self.total}" if self.total else str(self.done)

    @property
    def fill_text(self) -> str:
        """How much of padded batches would be real steps; "" where there is nothing to pad."""
        return f"padded fill {self.steps / self.places:.0%}" if self.steps < self.places else ""

    @property
    def rate_text(self) -> str:
        """Real steps in a second."""
        return f"{self.steps / max(self.seconds or self.elapsed, 1e-9):,.0f} steps/s"

    @property
    def line(self) -> str:
        """All of it, once it is over, in one line."""
        said = [duration(self.elapsed), self.fill_text, self.rate_text, *logs_parts(self.logs)]
        return " - ".join(filter(None, [self.title, *said]))


class Screen:
    """Shows one status after the other."""

    def open(self, status: Status) -> None:
        """Begin to show a status; it changes afterwards.

        Args:
            status: the status.
        """

    def refresh(self, status: Status) -> None:
        """Look at it again.

        Args:
            status: the status.
        """

    def close(self, status: Status) -> None:
        """Show it for the last time.

        Args:
            status: the status.
        """

    def abandon(self) -> None:
        """Leave everything as it is: there was an error."""


class LineScreen(Screen):
    """A line for each status that is over."""

    def close(self, status: Status) -> None:  # noqa: D102
        print(status.line, flush=True)


class TerminalScreen(Screen):
    """A bar that moves, in as many lines as it needs; rich puts what else is printed above it."""

    def __init__(self) -> None:
        self._live: Any = None

    def open(self, status: Status) -> None:  # noqa: D102
        from rich.errors import LiveError
        from rich.live import Live

        live = Live(_Bar(status), refresh_per_second=5, vertical_overflow="visible")
        with contextlib.suppress(LiveError):  # a callback that evaluates, while the bar of `fit` is there
            live.start()
            self._live = live

    def close(self, status: Status) -> None:  # noqa: D102
        if self._live is None:
            print(status.line, flush=True)
        self.abandon()

    def abandon(self) -> None:  # noqa: D102
        if self._live is not None:
            self._live.stop()
            self._live = None


class _Bar:
    """A status for rich: its parts side by side, on the next line what does not fit."""

    def __init__(self, status: Status) -> None:
        self.status = status

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        yield from bar_lines(self.status, options.max_width, console.encoding.startswith("utf"))


def bar_lines(status: Status, width: int, fine: bool = True) -> list[Text]:
    """Write a status in lines of a terminal.

    Args:
        status: the status.
        width: characters of a line.
        fine: whether the terminal can show other characters than those of ASCII.

    Returns:
        Lines of rich, none longer than the width.
    """
    from rich.text import Text

    parts = [Text(status.title, "bold"), Text(status.count_text)]
    if status.total and not status.over:
        parts.append(_drawn(status.done / status.total, _BAR if width >= 80 else _SHORT_BAR, fine))
    parts += [Text(status.time_text, "cyan"), Text(status.rate_text, "green")]
    parts += [Text(status.fill_text, "dim")] if status.fill_text else []
    parts += [Text(text) for text in logs_parts(status.logs)]
    lines = [parts[0]]
    for part in parts[1:]:
        if len(lines[-1]) + 2 + len(part) <= width:
            lines[-1] = Text.assemble(lines[-1], "  ", part)
        else:
            lines.append(Text.assemble("  ", part))
    for line in lines:
        line.truncate(width, overflow="ellipsis" if fine else "crop")
    return lines


def _drawn(share: float, width: int, fine: bool) -> Text:
    from rich.text import Text

    full = min(round(share * width), width)
    done, rest = ("━", "─") if fine else ("=", ".")
    return Text.assemble((done * full, "magenta"), (rest * (width - full), "bright_black"))


class NotebookScreen(Screen):
    """One output of a cell, in which a line for each status that is over stands above the bar of the present one."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._handle: Any = None
        self._shown = 0.0

    def open(self, status: Status) -> None:  # noqa: D102
        self._show(status)

    def refresh(self, status: Status) -> None:  # noqa: D102
        if time.perf_counter() - self._shown > 0.25:
            self._show(status)

    def close(self, status: Status) -> None:  # noqa: D102
        self._lines.append(status.line)
        self._show(None)

    def _show(self, status: Status | None) -> None:
        ipython = importlib.import_module("IPython.display")
        html = ipython.HTML(notebook_html(self._lines, status))
        if self._handle is None:
            self._handle = ipython.display(html, display_id=True)
        else:
            self._handle.update(html)
        self._shown = time.perf_counter()


def notebook_html(lines: list[str], status: Status | None) -> str:
    """Write what a notebook shows.

    Args:
        lines: of what is over.
        status: of what is not, or None.

    Returns:
        HTML; colors are those of the page.
    """
    hidden = len(lines) - _MOST_LINES
    shown = [f"... {hidden} lines above"] * (hidden > 0) + lines[-_MOST_LINES:]
    if status is not None:
        said = [status.count_text, status.time_text, status.rate_text, status.fill_text, *logs_parts(status.logs)]
        shown.append(" - ".join(filter(None, [status.title, *said])))
    text = "".join(f"<div>{escape(line)}</div>" for line in shown)
    bar = ""
    if status is not None and status.total:
        share = min(status.done / status.total, 1)
        bar = (
            '<div style="width:20em;height:0.4em;border:1px solid currentColor;border-radius:3px;opacity:0.8">'
            f'<div style="width:{share:.0%};height:100%;background:#0072b2"></div></div>'
        )
    return f'<div style="font-family:monospace;white-space:pre-wrap">{text}{bar}</div>'


def in_notebook() -> bool:
    """Whether this runs in a notebook, which shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return shell is not None and hasattr(shell, "kernel")


def on_terminal() -> bool:
    """Whether stdout is a terminal."""
    return sys.stdout is not None and sys.stdout.isatty()


def is_watched() -> bool:
    """Whether somebody sees a bar move: on a terminal or in a notebook."""
    return on_terminal() or in_notebook()


def new_screen() -> Screen:
    """What there is to show something on."""
    return NotebookScreen() if in_notebook() else TerminalScreen()
