"""The backends: which are known, which is current. A framework is imported when it is first used."""

from __future__ import annotations

import importlib
import importlib.util
import os
from typing import Any

from padless.backends.base import Backend
from padless.errors import BackendError, MaskError, explain, nearest

_KNOWN = {
    "torch": ("torch", "padless.backends.torch", "TorchBackend"),
    "jax": ("jax", "padless.backends.jax", "JaxBackend"),
    "numpy": ("numpy", "padless.backends.numpy", "NumpyBackend"),
}
# Where the class of an array is defined, if not in the package of its backend.
_COMPILED = {"jaxlib": "jax"}
_INSTALL = {
    "torch": "pip install 'padless[torch]' (without a GPU first: "
    "pip install torch --index-url https://download.pytorch.org/whl/cpu)",
    "jax": "pip install 'padless[jax]'",
}
_loaded: dict[str, Backend] = {}
_current: str | None = None


def installed() -> list[str]:
    """Names of the backends whose framework is installed.

    Returns:
        The names, the one that trains best first.

    Example:
        >>> "numpy" in installed()
        True
    """
    return [name for name, (package, _, _) in _KNOWN.items() if importlib.util.find_spec(package) is not None]


def get(name: str) -> Backend:
    """Give a backend by its name, importing its framework if need be.

    Args:
        name: "torch", "jax" or "numpy".

    Returns:
        The backend; the same object each time.

    Raises:
        BackendError: when it is unknown or not installed; says what to install.
    """
    if name not in _loaded:
        if name not in _KNOWN:
            raise BackendError(
                explain("set_backend", expected="the name of a backend", got=repr(name), fix=nearest(name, _KNOWN))
            )
        package, module, kind = _KNOWN[name]
        if importlib.util.find_spec(package) is None:
            raise BackendError(
                explain(
                    f"backend {name!r}",
                    expected=f"the package {package} to be installed",
                    got="no such package",
                    fix=_INSTALL.get(name, f"pip install {package}"),
                )
            )
        made: Any = getattr(importlib.import_module(module), kind)
        _loaded[name] = made()
    return _loaded[name]


def set_backend(name: str) -> None:
    """Choose the backend of the layers and models that are made from now on.

    Args:
        name: "torch", "jax" or "numpy". The environment variable PADLESS_BACKEND chooses the one at the start; without
            it it is the first of these that is installed.

    Raises:
        BackendError: when it is unknown or not installed; says what to install.

    Example:
        >>> import padless
        >>> padless.set_backend("numpy")
        >>> padless.backend()
        'numpy'
        >>> padless.set_backend("torch")
    """
    global _current
    get(name)
    _current = name


def backend() -> str:
    """Name of the backend that new layers and models use.

    Returns:
        The name.
    """
    return current().name


def current() -> Backend:
    """The backend that new layers and models use."""
    global _current
    if _current is None:
        _current = os.environ.get("PADLESS_BACKEND") or installed()[0]
    return get(_current)


def of(x: Any) -> Backend:
    """The backend that an array belongs to; NumPy for numbers and lists.

    Args:
        x: an array, a number or nested lists.

    Returns:
        The backend.

    Example:
        >>> import numpy as np
        >>> of(np.zeros(3)).name
        'numpy'
    """
    package = type(x).__module__.partition(".")[0]
    if package == "padless" and hasattr(x, "flat_values"):
        raise MaskError(
            explain(
                "an operation on rows",
                expected="rows of steps",
                got=f"{x!r}: its steps are rows themselves",
                fix="call it with x.values, the rows within the rows, and put what it gives back by x.with_values(...)",
            )
        )
    package = _COMPILED.get(package, package)
    for name, (wanted, _, _) in _KNOWN.items():
        if package == wanted:
            return get(name)
    for loaded in _loaded.values():
        if loaded.is_array(x):
            return loaded
    return get("numpy")
