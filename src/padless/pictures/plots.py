"""The history of a training as a figure of matplotlib."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING

from padless.errors import ArgumentError, explain
from padless.pictures.curves import TRAINING, VALIDATION, Curve, Panel, panels_of
from padless.pictures.drawing import RED
from padless.pictures.raster import new_figure, save_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from padless.callbacks.history import History

_MOST_COLUMNS = 3
_MARKED = 40  # epochs, up to which each has a dot


def plot_history(history: History, path: str | os.PathLike[str] | None = None) -> Figure:
    """Draw loss and metrics by epoch.

    Args:
        history: what `fit` gave.
        path: of a file, or None.

    Returns:
        The figure.

    Raises:
        BackendError: when matplotlib is not installed.
        ArgumentError: when there are no epochs yet, or matplotlib knows no such format.
    """
    where = "History.plot"
    panels = [panel for panel in panels_of(history) if panel.curves]
    if not panels:
        fix = "history = model.fit(...), then history.plot()"
        raise ArgumentError(explain(where, expected="an epoch at least", got="none", fix=fix))
    columns = min(len(panels), _MOST_COLUMNS if len(panels) != 4 else 2)
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(where, max(4.4 * columns, 5.0), 3.3 * rows)
    figure.set_layout_engine("constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for panel, one in zip(panels, axes, strict=False):
        _draw(panel, one)
    for one in axes[len(panels) :]:
        one.set_axis_off()
    if path is not None:
        save_figure(figure, Path(path), where, dpi=150)
    return figure


def _draw(panel: Panel, axes: Axes) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.set_title(_short(panel.title), parse_math=False)
    axes.set_xlabel("epoch")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)
    axes.xaxis.set_major_locator(MaxNLocator(nbins="auto", integer=True, min_n_ticks=1))
    single = len([curve for curve in panel.curves if not curve.validates]) < 2
    for at, curve in enumerate(panel.curves):
        color = (VALIDATION if curve.validates else TRAINING) if single else f"C{at % 10}"
        dotted = len(curve.epochs) <= _MARKED
        axes.plot(
            curve.epochs,
            [value if math.isfinite(value) else math.nan for value in curve.values],
            "--" if curve.validates and not single else "-",
            marker="o" if dotted else "",
            markersize=4,
            color=color,
            label=curve.label,
        )
    epochs = [epoch for curve in panel.curves for epoch in curve.epochs]
    room = max(0.04 * (max(epochs) - min(epochs)), 0.2)
    axes.set_xlim(max(min(epochs) - room, 0.5), max(epochs) + room)
    if panel.logarithmic:
        axes.set_yscale("log")
    _mark_missing(panel.curves, axes)
    if len(panel.curves) > 1 or panel.curves[0].validates:
        axes.legend(fontsize="small", frameon=False)


def _mark_missing(curves: list[Curve], axes: Axes) -> None:
    """A red cross at the lower edge where a value is no number, NaN or infinite."""
    pairs = [pair for curve in curves for pair in zip(curve.epochs, curve.values, strict=True)]
    wrong = sorted({epoch for epoch, value in pairs if not math.isfinite(value)})
    if wrong:
        if not any(math.isfinite(value) for _, value in pairs):
            axes.set_yticks([])
        low = axes.get_xaxis_transform()
        axes.plot(wrong, [0.02] * len(wrong), "x", color=RED, transform=low, clip_on=False, label="not a number")
        axes.legend(fontsize="small", frameon=False)


def _short(title: str, most: int = 44) -> str:
    return title if len(title) <= most else title[: most - 3] + "..."
