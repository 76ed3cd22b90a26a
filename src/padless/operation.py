"""The functions of `padless.ops` as steps of a graph: called on a symbol, each becomes a layer that a file can hold."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from padless import activations, backends
from padless.errors import ArgumentError, MaskError, explain
from padless.layer import Layer, has_symbol, unique_name, watched
from padless.ragged import Ragged
from padless.row_ops import ROW_OPS
from padless.rows import require_same_steps
from padless.spec import Symbol


@dataclass(frozen=True)
class Named:
    """An entry of the table of functions.

    Attributes:
        kind: "each" for element by element, "reduction", "along" for what goes along an axis that stays, "shape",
            "product", "rows" for what is asked of each row, or "other".
        compute: the function, of arrays and values with rows.
    """

    kind: str
    compute: Callable[..., Any]


TABLE: dict[str, Named] = {name: Named("rows", compute) for name, compute in ROW_OPS.items()}
"""All functions of `padless.ops` and `padless.row_ops` that symbols can be given, by name."""


def named(kind: str, name: str, compute: Callable[..., Any], says: str | None = None) -> Callable[..., Any]:
    """Put a function into the table.

    Args:
        kind: as of `Named`.
        name: in the table.
        compute: the function.
        says: what it does; its own docstring by default.

    Returns:
        The function for users: it computes, or makes a node of a graph where a symbol is among its arguments.
    """
    own = functools.partial(_computed, kind, name, compute)
    TABLE[name] = Named(kind, own)

    def function(*args: Any, **kwargs: Any) -> Any:
        if any(map(has_symbol, args)) or (kwargs and any(map(has_symbol, kwargs.values()))):
            return Operation(name)(*args, **kwargs)
        return own(*args, **kwargs)

    function.__name__ = function.__qualname__ = name
    function.__module__ = "padless.ops"
    function.__doc__ = says or compute.__doc__
    function.__signature__ = inspect.signature(compute)  # type: ignore[attr-defined]
    return function


def _is_nested(x: Any) -> bool:
    return isinstance(x, Ragged) and isinstance(x.values, Ragged)


def _computed(kind: str, name: str, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function gives; of rows within rows, what a function element by element gives for the inner rows."""
    given = [value if isinstance(value, list | tuple) else [value] for value in (*args, *kwargs.values())]
    found = list(filter(_is_nested, itertools.chain(*given)))
    if not found:
        return compute(*args, **kwargs)
    if kind != "each":
        raise MaskError(
            explain(
                f"ops.{name}",
                expected="rows, not rows within rows",
                got=repr(found[0]),
                fix=f"x.with_values(ops.{name}(x.values, ...)) for the inner rows; axes count as theirs there",
            )
        )

    def inner(x: Any) -> Any:
        if not isinstance(x, Ragged):
            return x
        require_same_steps(f"ops.{name}", found[0].rows, x.rows)
        return x.values

    made = _computed(kind, name, compute, *map(inner, args), **{key: inner(x) for key, x in kwargs.items()})
    return found[0].with_values(made)


class Operation(Layer):
    """A function of `padless.ops` in a graph.

    Args:
        function: its name; "activations.relu" for a function of `padless.activations`.
        **kwargs: name.

    Example:
        >>> import padless
        >>> x = padless.Input((None, 2))
        >>> model = padless.Model(x, padless.ops.relu(x) * 2)
        >>> model([[[-1.0, 1.0]]])[0].tolist()
        [[0.0, 2.0]]
    """

    view = "ragged"

    def __init__(self, function: str, **kwargs: Any) -> None:
        super().__init__(**{**kwargs, "name": kwargs.get("name") or unique_name(function.rpartition(".")[2])})
        self.function = function
        _known(function)
        self.built = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Note a call on symbols.

        Args:
            *args: of the function.
            **kwargs: of the function.

        Returns:
            A symbol, or several.
        """
        from padless.graph import apply, symbols_in

        symbols = symbols_in((args, kwargs))
        if not symbols:
            return _known(self.function)(*args, **kwargs)
        self._require_batch(args, kwargs)
        kind = symbols[0].dtype
        first, *others = (constant(value, kind) for value in args)
        return apply(self, first, tuple(others), None, {key: constant(value, kind) for key, value in kwargs.items()})

    def _require_batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse what would reduce the batch, whose rows must not touch each other, whatever stands in them."""
        entry = TABLE.get(self.function)
        if entry is None or entry.kind != "reduction":
            return
        given = {**dict(zip(("x", "axis"), args, strict=False)), **kwargs}
        x, axis = given.get("x"), given.get("axis", given.get("axes"))
        if self.function == "norm" and "axis" not in kwargs:
            axis = args[2] if len(args) > 2 else None
        axes = axis if isinstance(axis, list | tuple) else (axis,)
        if isinstance(x, Symbol) and any(one is None or one in (0, -len(x.shape)) for one in axes):
            raise MaskError(
                explain(
                    f"ops.{self.function}",
                    expected="axes after the batch: rows must not touch each other",
                    got=f"axis={axis} of {x!r}",
                    fix=f"ops.{self.function}(x, axis=1) for one result per row, axis=-1 for one per step",
                )
            )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        y = _known(self.function)(*args, **kwargs)
        watched(self, next((a for a in args if isinstance(a, Ragged)), args[0] if args else None), y)
        return y


@functools.cache
def _known(function: str) -> Callable[..., Any]:
    """What computes a function of `padless.ops`, or an activation."""
    importlib.import_module("padless.ops")  # which fills the table
    if function in TABLE:
        return TABLE[function].compute
    module, _, name = function.partition(".")
    found = getattr(activations, name, None) if module == "activations" and not name.startswith("_") else None
    if not callable(found):
        raise ArgumentError(
            explain("padless.ops", expected="a function that it has", got=repr(function), fix="docs/ops.md")
        )
    compute: Callable[..., Any] = found
    return compute


def constant(value: Any, kind: str) -> Any:
    """What stands beside symbols in a graph, as something that a file can hold.

    Args:
        value: a symbol, a constant, or a container of these.
        kind: dtype of the symbol: floats beside floats take their precision.

    Returns:
        Symbols as they are, arrays on the host, dtypes by name.

    Raises:
        ArgumentError: for a Ragged.

    Example:
        >>> import numpy as np
        >>> constant([np.float64, np.ones(2)], "float32")
        ['float64', array([1., 1.], dtype=float32)]
    """
    if value is None or value is Ellipsis or isinstance(value, Symbol | bool | int | float | str | slice):
        return value
    if isinstance(value, list | tuple):
        return type(value)(constant(part, kind) for part in value)
    if isinstance(value, Ragged):
        raise ArgumentError(
            explain(
                "an operation on symbols",
                expected="symbols, numbers and arrays",
                got=repr(value),
                fix="another Input(shape=(None, D), like=x), since rows belong to a batch",
            )
        )
    if hasattr(value, "shape") and not isinstance(value, type):
        host = backends.of(value).to_host(value)
        if not host.ndim:
            return host.item()
        return host.astype(kind) if host.dtype.kind == "f" and kind in ("float16", "float32", "float64") else host
    return dtype_text(value)


def dtype_text(dtype: Any) -> str:
    """The name of a dtype, given as a name or as NumPy, torch or JAX write it.

    Args:
        dtype: the dtype.

    Returns:
        Its name.

    Example:
        >>> import numpy as np
        >>> dtype_text(np.int32), dtype_text("bool")
        ('int32', 'bool')
    """
    if isinstance(dtype, str):
        return dtype
    return str(getattr(dtype, "name", None) or getattr(dtype, "__name__", None) or dtype).rsplit(".", 1)[-1]
