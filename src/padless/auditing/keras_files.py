"""Open a `.keras` file with Keras, without running anything that is in it."""

from __future__ import annotations

import json
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from padless.auditing.foreign import told
from padless.errors import BackendError, DataError, explain
from padless.saving.archive import read_archive, write_archive
from padless.saving.hdf5 import read_hdf5
from padless.saving.json_text import parsed

_PARTS = ("layers", "models", "initializers", "regularizers", "constraints", "activations", "losses", "metrics",
          "optimizers", "dtype_policies", "quantizers", "ops", "backend", "random")  # fmt: skip
"""Parts of Keras whose classes a file may name; in others are functions that read and write files."""

_REFUSED = ("Lambda", "__lambda__", "function", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer", "get_file")
_FIX = "load the model yourself, if you trust the file, and pass the live model: padless.audit(model)"


def open_keras_file(path: Path) -> Any:
    """Load a model.

    Args:
        path: of a `.keras` file.

    Returns:
        A Keras model; not compiled, where how it was compiled cannot be read without running code.

    Raises:
        DataError: when it is no such file, a broken one, or one that holds code or names things outside of Keras.
        BackendError: when Keras is not installed.
    """
    where = f"file {path}"
    try:
        files = read_archive(path)
    except OSError as error:
        got, fix = error.strerror or str(error), "check its name, and that it may be read"
        raise DataError(explain(where, expected="a .keras file", got=got, fix=fix)) from None
    if "config.json" not in files:
        got, fix = f"only {', '.join(files) or 'nothing'}", "a file that model.save(path) wrote"
        raise DataError(explain(where, expected="a config.json in it", got=got, fix=fix))
    config = parsed(files["config.json"], where)
    if not isinstance(config, dict) or "class_name" not in config:
        got, fix = "no description of a model", "a file that model.save(path) wrote"
        raise DataError(explain(where, expected="a model in config.json", got=got, fix=fix))
    compiled = config.pop("compile_config", None)
    _require_harmless(config, where)
    if compiled is not None and next(_foreign(compiled, ""), None) is None:
        config["compile_config"] = compiled
    files["config.json"] = json.dumps(config).encode()
    if "model.weights.h5" in files:
        read_hdf5(files["model.weights.h5"], where)  # refuses links and what is cut off
    return _loaded(files, where)


def _loaded(files: dict[str, bytes], where: str) -> Any:
    """What was checked is what is loaded: a copy, not the file that somebody may change meanwhile."""
    keras = imported()
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "model.keras"
        write_archive(copy, files)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                return keras.saving.load_model(copy, safe_mode=True)
        except Exception as error:
            expected = "a model that Keras can load"
            raise DataError(explain(where, expected=expected, got=told(error), fix=_FIX)) from error


def imported() -> Any:
    """Keras.

    Raises:
        BackendError: when it is not installed, or too old.
    """
    try:
        import keras
    except ImportError as error:
        fix = "pip install keras torch, and KERAS_BACKEND=torch; padless's own models need neither"
        raise BackendError(explain("audit of a Keras model", expected="keras", got=str(error), fix=fix)) from error
    if not keras.__version__.startswith("3."):
        got, fix = keras.__version__, "pip install 'keras>=3'"
        raise BackendError(explain("audit of a Keras model", expected="Keras 3", got=got, fix=fix))
    return keras


def _require_harmless(config: Any, where: str) -> None:
    found = next(_foreign(config, ""), None)
    if found is not None:
        raise DataError(explain(where, expected="layers of Keras alone, and no code", got=found, fix=_FIX))


def _foreign(value: Any, layer: str) -> Iterator[str]:
    """What in a config is no class of Keras, or is code, in words."""
    if isinstance(value, list):
        for one in value:
            yield from _foreign(one, layer)
    if not isinstance(value, dict):
        return
    inner = value.get("config")
    if isinstance(inner, dict) and isinstance(inner.get("name"), str):
        layer = inner["name"]
    kind, module = value.get("class_name"), value.get("module")
    if isinstance(kind, str):
        inside = f"{kind[:80]!r}" + (f" in layer {layer[:80]!r}" if layer else "")
        if kind in _REFUSED:
            yield f"code: {inside}"
        elif not _is_harmless(module, value.get("registered_name")):
            yield f"{inside}, of {str(module)[:80]!r}"
    for one in value.values():
        yield from _foreign(one, layer)


def _is_harmless(module: Any, registered: Any) -> bool:
    if module is None and not registered:
        return True  # a tensor, a dtype, a slice
    parts = str(module or "").split(".")
    if parts[0] == "keras":
        rest = parts[2:] if parts[1:2] == ["src"] else parts[1:]
        return not rest or rest[0] in _PARTS
    # What the caller himself made known.
    return isinstance(registered, str) and imported().saving.get_registered_object(registered) is not None
