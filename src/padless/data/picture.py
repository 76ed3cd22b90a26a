"""A picture of an inspection: how long the rows are, and what padding makes of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import ArgumentError, BackendError, explain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from padless.data.inspection import Inspection

_FIRST, _SECOND, _GREY = "#0072b2", "#d55e00", "#8c8c8c"  # of Okabe and Ito's colours, which all eyes tell apart


def draw(found: Inspection, path: Path) -> None:
    """Draw the histogram, and what each layout computes.

    Args:
        found: the inspection.
        path: of the file.

    Raises:
        BackendError: when matplotlib is not installed.
        ArgumentError: when it knows no such format.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        got, fix = "no matplotlib", "pip install matplotlib"
        raise BackendError(explain("plot", expected="a package that draws", got=got, fix=fix)) from error
    figure = Figure(figsize=(10, 6.4), layout="constrained")
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        fix = f"{path.stem}.png, or another of {', '.join(sorted(known))}"
        raise ArgumentError(explain("plot", expected="the name of a picture", got=str(path), fix=fix))
    above, below = figure.subplots(2, 1, height_ratios=[3, 0.4 + 0.42 * len(found.costs)])
    figure.suptitle(f"{_title(found)}: {found.rows:,} rows, {found.steps:,} {found.unit}", x=0.02, ha="left")
    _draw_histogram(found, above)
    _draw_costs(found, below)
    figure.savefig(path, dpi=150)


def _title(found: Inspection) -> str:
    return (Path(found.source).name or found.source) + (f", {found.column}" if found.column else "")


def _whole() -> Any:
    """Ticks at whole numbers."""
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(nbins="auto", integer=True, min_n_ticks=1)


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(length=3)
    axes.xaxis.set_major_locator(_whole())
    axes.xaxis.set_major_formatter("{x:,.0f}")


def _draw_histogram(found: Inspection, axes: Axes) -> None:
    bins = found.histogram.bins(50)
    width = bins[0].high - bins[0].low + 1
    # The few far beyond the others share the last bar, as wide as any.
    beyond = bins[-1] if bins[-1].high - bins[-1].low + 1 != width else None
    left = [one.low - 0.5 for one in bins]
    axes.bar(left, [one.rows for one in bins], 0.94 * width, align="edge", color=_FIRST)
    if beyond is not None:
        axes.containers[0][-1].set_color(_GREY)
        text = f"{beyond.rows:,} rows of {beyond.low:,} to {beyond.high:,}"
        place = (left[-1] + width, beyond.rows)
        axes.annotate(text, place, (0, 4), textcoords="offset points", ha="right", va="bottom", color=_GREY)
    ends = left[0], left[-1] + width
    top = 1.2 * max(one.rows for one in bins)
    for name, share, style, down in (("half have at most", 50, "-", 0), ("95 % have at most", 95, "--", -16)):
        at = found.histogram.percentile(share)
        axes.axvline(at, color=_SECOND, linestyle=style, linewidth=1.2)
        before = at > ends[0] + 0.75 * (ends[1] - ends[0])
        shift, side = ((-5, down), "right") if before else ((5, down), "left")
        text = f"{name} {at:,.0f}"
        axes.annotate(text, (at, top), shift, textcoords="offset points", va="top", ha=side, color=_SECOND)
    axes.set(xlabel=f"{found.unit} of a row", ylabel="rows", xlim=ends, ylim=(0, top))
    axes.yaxis.set_major_locator(_whole())
    axes.yaxis.set_major_formatter("{x:,.0f}")
    _bare(axes)


def _draw_costs(found: Inspection, axes: Axes) -> None:
    real = found.histogram.unpadded()
    names, costs = list(found.costs), list(found.costs.values())
    at = range(len(costs))
    axes.barh(at, [real.steps] * len(costs), color=_FIRST, height=0.7, label="real")
    axes.barh(at, [c.steps - real.steps for c in costs], left=real.steps, color=_SECOND, height=0.7, label="padding")
    for place, cost in zip(at, costs, strict=True):
        text = f" {cost.waste(real):.0%} padding".replace("%", " %") if place else " none"
        axes.annotate(text, (cost.steps, place), (3, 0), textcoords="offset points", va="center")
    axes.set_yticks(at, names)
    axes.invert_yaxis()
    axes.set(xlabel=f"{found.unit} that an epoch computes", xlim=(0, 1.18 * max(cost.steps for cost in costs) or 1))
    axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, frameon=False)
    _bare(axes)
