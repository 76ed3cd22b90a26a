"""Pictures of models, histories and values: SVG and Mermaid by padless itself, PNG and PDF by matplotlib.

A picture of any graph is made of a plain description:

    >>> from padless.pictures import Arrow, Box, Drawing, Mark, Picture
    >>> graph = Drawing([Box("a", "words"), Box("b", "mean", mark=Mark("here the mask is lost"))], [Arrow("a", "b")])
    >>> picture = Picture(graph)
    >>> picture.svg().startswith("<svg"), picture.mermaid().startswith("flowchart TB")
    (True, True)
"""

from padless.pictures.drawing import Arrow as Arrow
from padless.pictures.drawing import Box as Box
from padless.pictures.drawing import Drawing as Drawing
from padless.pictures.drawing import Frame as Frame
from padless.pictures.drawing import Mark as Mark
from padless.pictures.models import drawing_of as drawing_of
from padless.pictures.picture import Picture as Picture
from padless.pictures.picture import model_to_mermaid as model_to_mermaid
from padless.pictures.picture import plot_model as plot_model
