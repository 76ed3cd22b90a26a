"""A picture in any format, and the pictures of models with Keras's arguments."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from padless.pictures.drawing import Drawing
from padless.pictures.mermaid import mermaid
from padless.pictures.models import Shown, drawing_of
from padless.pictures.scene import scene
from padless.pictures.svg import svg

if TYPE_CHECKING:
    from padless.model import Model


class Picture:
    """A drawing to be looked at; a notebook shows it.

    Args:
        drawing: boxes and arrows.
        rankdir: from where to where arrows go: "TB" from top to bottom, "BT", "LR", "RL".
        dpi: of PNG; 96 give the size that SVG has on a page.

    Raises:
        ArgumentError: for another rankdir, or arrows that go around in a circle.

    Example:
        >>> from padless.pictures import Box, Drawing
        >>> Picture(Drawing([Box("a", "words")], title="a model"))
        <Picture of 'a model': 1 boxes, 0 arrows>
    """

    def __init__(self, drawing: Drawing, rankdir: str = "TB", dpi: float = 200) -> None:
        self.drawing, self.rankdir, self.dpi = drawing, rankdir, dpi
        self.scene = scene(drawing, rankdir)

    def svg(self) -> str:
        """The picture as SVG."""
        return svg(self.scene, self.drawing.title)

    def mermaid(self) -> str:
        """The picture as text for Mermaid."""
        return mermaid(self.drawing, self.rankdir)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a file.

        Args:
            path: its ending says the format: .svg, .mmd for Mermaid; .png, .pdf and what else matplotlib writes.

        Raises:
            BackendError: when it is to be written by matplotlib, which is not installed.
            ArgumentError: when the ending is none of these.
        """
        to = Path(path)
        ending = to.suffix.lower()
        if ending == ".svg":
            to.write_text(self.svg(), encoding="utf-8")
        elif ending == ".mmd":
            to.write_text(self.mermaid() + "\n", encoding="utf-8")
        else:
            from padless.pictures.raster import save_raster

            save_raster(self.scene, to, self.dpi)

    def _repr_html_(self) -> str:
        return f'<div style="overflow:auto">{self.svg()}</div>'

    def __repr__(self) -> str:
        drawing = self.drawing
        return f"<Picture of {drawing.title!r}: {len(drawing.boxes)} boxes, {len(drawing.arrows)} arrows>"


def plot_model(
    model: Model,
    to_file: str | os.PathLike[str] | None = "model.svg",
    show_shapes: bool = True,
    show_dtype: bool = False,
    show_layer_names: bool = True,
    rankdir: str = "TB",
    expand_nested: bool = False,
    dpi: float = 200,
    show_layer_activations: bool = False,
    show_trainable: bool = False,
) -> Picture:
    """Draw a model, without any program besides; rows are a second line beside the arrows that they go along.

    So one sees where sequences of unequal length enter, where their lengths change, and where they end.

    Args:
        model: Sequential, functional, or of a class of your own; one whose input is known.
        to_file: .svg, .mmd for Mermaid; .png, .pdf by matplotlib. None writes nothing.
        show_shapes: the shapes that go into a layer and come out: B rows, T steps, ...
        show_dtype: what kind of numbers comes out.
        show_layer_names: the names of layers above their classes.
        rankdir: from where to where arrows go: "TB" from top to bottom, "BT", "LR", "RL".
        expand_nested: whether to draw what is in a model within the model.
        dpi: of PNG; 96 give the size that SVG has on a page.
        show_layer_activations: the activations of layers.
        show_trainable: whether the weights of a layer are trained.

    Returns:
        The picture, which a notebook shows.

    Raises:
        NotBuiltError: when nothing is known of the input yet.
        ArgumentError: for another rankdir or ending.
        BackendError: for an ending that needs matplotlib, which is not installed.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> model = padless.Sequential([padless.Input((None, 4)), layers.LSTM(8), layers.Dense(1)], name="small")
        >>> padless.plot_model(model, to_file=None)
        <Picture of 'small': 3 boxes, 2 arrows>
    """
    shown = Shown(show_shapes, show_dtype, show_layer_names, show_layer_activations, show_trainable, expand_nested)
    picture = Picture(drawing_of(model, shown), rankdir, dpi)
    if to_file is not None:
        picture.save(to_file)
    return picture


def model_to_mermaid(model: Model, show_shapes: bool = True, rankdir: str = "TB", expand_nested: bool = False) -> str:
    """Draw a model as a flowchart of Mermaid, to put into a README.

    Args:
        model: as of `plot_model`.
        show_shapes: as of `plot_model`.
        rankdir: as of `plot_model`.
        expand_nested: as of `plot_model`.

    Returns:
        The text; thick arrows carry rows, whose names they bear.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> model = padless.Sequential([padless.Input((None, 4), name="x"), layers.LSTM(8, name="read")])
        >>> print(padless.model_to_mermaid(model))
        flowchart TB
            %% T: steps of a row of 'x'
            n0["<b>x</b><br/>Input<br/>(B, T, 4)<br/>rows as they come"]
            n1["<b>read</b><br/>LSTM<br/>(B, T, 4) → (B, 8)<br/>rows end"]
            n0 ==>|"T"| n1
            linkStyle 0 stroke:#0072b2
    """
    return mermaid(drawing_of(model, Shown(shapes=show_shapes, nested=expand_nested)), rankdir)
