"""Values by epoch: which belong into one panel, and small curves of them as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from padless.pictures.lettering import wrapped
from padless.pictures.scene import GREY, INK, PALE, PAPER
from padless.pictures.svg import text_of

if TYPE_CHECKING:
    from padless.callbacks.history import History

TRAINING, VALIDATION = "#0072b2", "#d55e00"
_RATES = ("learning_rate", "lr")


@dataclass
class Curve:
    """The values of one quantity.

    Attributes:
        label: "training", "validation", or "".
        epochs: from 1.
        values: of these epochs.
    """

    label: str
    epochs: list[int]
    values: list[float]

    @property
    def validates(self) -> bool:
        """Whether it is of the data for validation."""
        return self.label.startswith("validation")


@dataclass
class Panel:
    """What is drawn in one pair of axes.

    Attributes:
        title: the name of the quantity.
        curves: of training and of validation; of a metric with several numbers, each of these.
    """

    title: str
    curves: list[Curve] = field(default_factory=list)

    @property
    def logarithmic(self) -> bool:
        """Whether the values are learning rates that differ by more than a factor of ten."""
        values = [value for curve in self.curves for value in curve.values if value > 0]
        return self.title in _RATES and bool(values) and max(values) > 10 * min(values)


def panels_of(history: History) -> list[Panel]:
    """Sort the logs of training into panels: the loss first, learning rates last.

    Args:
        history: what `fit` gave.

    Returns:
        The panels.
    """
    found: dict[str, Panel] = {}
    for name, values in history.history.items():
        title = name.removeprefix("val_") if name.startswith("val_") else name
        panel = found.setdefault(title, Panel(title))
        label = "validation" if name != title else "training"
        epochs = [epoch + 1 for epoch in epochs_of(history, name)]
        panel.curves += _curves(label, epochs, values)

    def place(title: str) -> int:
        return 0 if title == "loss" else 2 if title in _RATES else 1

    return [found[title] for title in sorted(found, key=place)]


def epochs_of(history: History, name: str) -> list[int]:
    """The epochs of the values of a log; the last ones where nothing is noted."""
    known, count = history.epochs_of.get(name, []), len(history.history[name])
    if len(known) == count:
        return known
    return history.epoch[-count:] if len(history.epoch) >= count else list(range(count))


def _curves(label: str, epochs: list[int], values: Sequence[Any]) -> list[Curve]:
    """One curve; of values that are lists, one for each number in them; none of what is no number."""
    if any(isinstance(value, list | tuple) for value in values):
        rows = [value if isinstance(value, list | tuple) else [value] for value in values]
        return [
            curve
            for at in range(max(map(len, rows)))
            for curve in _curves(f"{label} {at}", epochs, [row[at] if at < len(row) else math.nan for row in rows])
        ]
    if not all(isinstance(value, int | float) for value in values):
        return []
    return [Curve(label, epochs, [float(value) for value in values])]


# ---- as SVG

_WIDE, _HIGH, _LEFT, _RIGHT, _TOP, _BOTTOM = 250.0, 130.0, 52.0, 12.0, 26.0, 22.0


def panel_svg(panel: Panel) -> str:
    """Draw a small panel.

    Args:
        panel: the panel.

    Returns:
        SVG.
    """
    values = [value for curve in panel.curves for value in curve.values if math.isfinite(value)]
    epochs = [epoch for curve in panel.curves for epoch in curve.epochs]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    scaled = math.log10 if panel.logarithmic and low > 0 else float
    first, last = (min(epochs), max(epochs)) if epochs else (1, 1)

    def x_of(epoch: float) -> float:
        share = (epoch - first) / (last - first) if last > first else 0.5
        return _LEFT + share * (_WIDE - _LEFT - _RIGHT)

    def y_of(value: float) -> float:
        share = (scaled(value) - scaled(low)) / (scaled(high) - scaled(low)) if high > low else 0.5
        return _HIGH - _BOTTOM - share * (_HIGH - _TOP - _BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDE:.0f}" height="{_HIGH:.0f}" role="img" '
        f'viewBox="0 0 {_WIDE:.0f} {_HIGH:.0f}" font-family="Helvetica, Arial, sans-serif" font-size="10">',
        f'<rect width="{_WIDE:.0f}" height="{_HIGH:.0f}" rx="6" fill="{PAPER}" stroke="{PALE}"/>',
        _label(10, 16, wrapped(panel.title, 12, _WIDE - 24, bold=True)[0], 12, INK, "start", True),
    ]
    ticks = [(high, y_of(high)), (low, y_of(low))] if high > low else [(low, y_of(low))]
    for value, y in ticks if values else ():
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDE - _RIGHT}" stroke="{PALE}"/>')
        parts.append(_label(_LEFT - 5, y + 3.5, f"{value:.3g}", 10, GREY, "end"))
    parts += [_label(x_of(epoch), _HIGH - 8, str(epoch), 10, GREY, "middle") for epoch in sorted({first, last})]
    for curve in panel.curves:
        parts.append(_drawn(curve, x_of, y_of))
    if not values:
        parts.append(_label(_WIDE / 2, _HIGH / 2, "not a number", 11, GREY, "middle"))
    return "".join([*parts, "</svg>"])


def _label(x: float, y: float, text: str, size: float, color: str, anchor: str, bold: bool = False) -> str:
    weight = ' font-weight="bold"' if bold else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size:g}" fill="{color}" text-anchor="{anchor}"{weight}>'
        f"{text_of(text)}</text>"
    )


def _drawn(curve: Curve, x_of: Any, y_of: Any) -> str:
    """Lines through what follows each other and is a number; dots where nothing does."""
    color = VALIDATION if curve.validates else TRAINING
    runs: list[list[str]] = [[]]
    for epoch, value in zip(curve.epochs, curve.values, strict=True):
        if math.isfinite(value):
            runs[-1].append(f"{x_of(epoch):.1f},{y_of(value):.1f}")
        elif runs[-1]:
            runs.append([])
    made = []
    for run in filter(None, runs):
        if len(run) > 1:
            made.append(f'<polyline points="{" ".join(run)}" fill="none" stroke="{color}" stroke-width="1.6"/>')
        else:
            x, y = run[0].split(",")
            made.append(f'<circle cx="{x}" cy="{y}" r="2.6" fill="{color}"/>')
    return "".join(made)


def strip_svg(lengths: NDArray[np.int64], width: float = 420.0, height: float = 46.0) -> str:
    """Draw lengths of rows as bars from left to right; of very many, the longest of neighbours.

    Args:
        lengths: (B,) of the rows.
        width: pixels.
        height: pixels.

    Returns:
        SVG; its colors can be read on light and on dark pages.
    """
    most = int(lengths.max(initial=0))
    bars = min(len(lengths), int(width // 3))
    first = np.arange(bars) * len(lengths) // max(bars, 1)
    tops = np.maximum.reduceat(lengths, first).tolist() if bars else []
    step = min(width / max(bars, 1), 16.0)
    shown = "".join(
        f'<rect x="{at * step:.1f}" y="{height - max(height * n / most, 1):.1f}" width="{max(step - 1, 1):.1f}" '
        f'height="{max(height * n / most, 1):.1f}"/>'
        for at, n in enumerate(tops)
        if most
    )
    wide = max(step * bars, 1.0)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{wide:.0f}" height="{height:.0f}" role="img" '
        f'viewBox="0 0 {wide:.1f} {height:.0f}" fill="{TRAINING}" style="background:rgba(128,128,128,0.15)">'
        f"<title>lengths of {len(lengths):,} rows, up to {most:,}</title>{shown}</svg>"
    )
