"""A scene as PNG, PDF and what else matplotlib writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from padless.errors import ArgumentError, BackendError, explain
from padless.pictures.scene import PAPER, Rectangle, Scene, Shape, Stroke

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_INCH = 96.0  # pixels, as in a browser


def new_figure(where: str, width: float, height: float) -> Figure:
    """An empty figure of matplotlib that nothing shows by itself.

    Args:
        where: who asks, for the error.
        width: inches.
        height: inches.

    Returns:
        The figure.

    Raises:
        BackendError: when matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        fix = 'pip install matplotlib, or pip install "padless[plot]"'
        raise BackendError(explain(where, expected="a package that draws", got="no matplotlib", fix=fix)) from error
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path, where: str, *, also: tuple[str, ...] = (), dpi: float) -> None:
    """Write a figure.

    Args:
        figure: the figure.
        path: of the file; its ending says the format.
        where: who asks, for the error.
        also: endings that the caller writes itself.
        dpi: dots per inch.

    Raises:
        ArgumentError: when matplotlib knows no such format.
    """
    known = figure.canvas.get_supported_filetypes()
    if path.suffix[1:].lower() not in known:
        fix = f"{path.stem}.png, or another of {', '.join(sorted({*known, *also}))}"
        raise ArgumentError(explain(where, expected="the name of a picture", got=str(path), fix=fix))
    figure.savefig(path, dpi=dpi)


def save_raster(scene: Scene, path: Path, dpi: float) -> None:
    """Write a scene by matplotlib.

    Args:
        scene: the scene.
        path: of the file; its ending says the format.
        dpi: dots per inch; 96 give the size that SVG has on a page.

    Raises:
        BackendError: when matplotlib is not installed.
        ArgumentError: when it knows no such format.
    """
    figure = new_figure(f"a picture as {path.suffix or path}", scene.width / _INCH, scene.height / _INCH)
    figure.set_facecolor(PAPER)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, scene.width), ylim=(scene.height, 0))
    axes.set_axis_off()
    for at, part in enumerate(scene.parts):
        _add(axes, part, at)
    save_figure(figure, path, "plot_model", also=("mmd", "svg"), dpi=dpi)


def _add(axes: Axes, part: Any, order: int) -> None:
    from matplotlib.patches import FancyBboxPatch, Polygon

    points = 72 / _INCH
    if isinstance(part, Rectangle):
        place = part.place
        corners = (place.left + 5, place.top + 5), place.width - 10, place.height - 10
        patch = FancyBboxPatch(
            *corners, "round,pad=5,rounding_size=5", fc=part.fill, ec=part.color, lw=part.width * points, zorder=order
        )
        patch.set_linestyle("--" if part.dashed else "-")
        axes.add_patch(patch)
    elif isinstance(part, Stroke):
        dashes = "--" if part.dashed else "-"
        axes.plot(*zip(*part.points, strict=True), dashes, color=part.color, lw=part.width * points, zorder=order)
    elif isinstance(part, Shape):
        axes.add_patch(Polygon(part.points, fc=part.color, ec="none", zorder=order))
    else:
        side, weight = "center" if part.middle else "left", "bold" if part.bold else "normal"
        # Else dollar signs in names would be read as mathematics.
        axes.text(part.x, part.y, part.text, ha=side, va="baseline", color=part.color, size=part.size * points,
                  weight=weight, zorder=order, parse_math=False)  # fmt: skip
