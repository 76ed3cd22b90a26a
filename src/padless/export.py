"""Models as files for those who do not have padless: ONNX, and programs of `torch.export`."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from padless import backends
from padless.errors import ArgumentError, BackendError, NotThereYetError, explain, nearest

if TYPE_CHECKING:
    from padless.model import Model

Layout = Literal["packed", "padded"]

_ENDINGS = {".onnx": "onnx", ".pt2": "torch"}
_NEEDS = {"onnx": ("torch", "onnx", "onnxscript"), "torch": ("torch",)}
_OF_KERAS = ("tf_saved_model", "litert", "openvino")


def export(
    model: Model,
    filepath: Any,
    format: str | None = None,
    verbose: bool | None = None,
    input_signature: Any = None,
    *,
    layout: Layout = "packed",
) -> None:
    """As `Model.export`.

    Args:
        model: the model.
        filepath: of the file.
        format: "onnx" or "torch"; None: by the ending of the file's name, .onnx or .pt2.
        verbose: whether to print what the file takes and gives.
        input_signature: not there yet.
        layout: "packed" or "padded".
    """
    chosen = _format(filepath, format)
    if layout not in ("packed", "padded"):
        fix = "layout='packed' for values and row_splits, 'padded' for padded arrays and a mask"
        raise ArgumentError(explain("export(layout=...)", expected="'packed' or 'padded'", got=repr(layout), fix=fix))
    if input_signature is not None:
        fix = "leave it out: sizes of batch and time are free; Input(shape, dtype=...) says the rest"
        what = "export(input_signature=...)"
        raise NotThereYetError(explain(what, expected="None", got=type(input_signature).__name__, fix=fix))
    missing = [name for name in _NEEDS[chosen] if importlib.util.find_spec(name) is None]
    if missing:
        what = f"export(format={chosen!r})"
        fix = f"pip install {' '.join(missing)}"
        raise BackendError(explain(what, expected=f"the package {missing[0]}", got="no such package", fix=fix))
    model.require_built()
    from padless.backends.torch.exporting import files

    said = files.write(_on_torch(model), filepath, chosen, layout)
    if verbose:
        print(f"{filepath}: {said}")


def _format(filepath: Any, format: str | None) -> str:
    if format is None:
        ending = Path(filepath).suffix
        if ending in _ENDINGS:
            return _ENDINGS[ending]
        fix = "model.export('model.onnx'), or format='onnx'"
        raise ArgumentError(explain(f"export({str(filepath)!r})", expected="a format", got="none", fix=fix))
    if format in _NEEDS:
        return format
    what = f"export(format={format!r})"
    if format in _OF_KERAS:
        fix = "format='onnx', which most of their converters read"
        raise NotThereYetError(explain(what, expected="'onnx' or 'torch'", got="a format of Keras's", fix=fix))
    raise ArgumentError(explain(what, expected="'onnx' or 'torch'", got=repr(format), fix=nearest(format, _NEEDS)))


def _on_torch(model: Model) -> Model:
    """The model, or one on torch with the same layers and weights."""
    if model.backend.name == "torch":
        return model
    from padless.saving import deserialize, serialize

    before = backends.backend()
    backends.set_backend("torch")
    try:
        made: Model = deserialize(serialize(model))
        if model._first_spec is not None:
            made._first_spec = model._first_spec
        if not made.built or made.count_params() != model.count_params():
            made.trace(made._standins())
        made.load_state_dict(model.state_dict())
    finally:
        backends.set_backend(before)
    return made
