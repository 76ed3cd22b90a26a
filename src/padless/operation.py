"""The functions of `padless.ops` as steps of a graph: called on a symbol, each becomes a layer that a file can hold."""

from __future__ import annotations

import functools
import importlib
import inspect
import itertools
import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from padless import activations, backends
from padless.errors import ArgumentError, MaskError, explain
from padless.layer import Layer, unique_name, watched
from padless.mixed_precision import HALVES
from padless.ragged import Ragged
from padless.row_ops import ROW_OPS
from padless.rows import PairRows, require_same_steps
from padless.spec import Symbol, has_symbol


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


Array = Any

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


_SUMMING = ("reduction", "along")
"""Kinds of functions that add many numbers up."""


def _arrays(values: list[Any]) -> list[Array]:
    return [x for x in (v.flat_values if isinstance(v, Ragged) else v for v in values) if hasattr(x, "dtype")]


def _cast(tree: Any, dtypes: Collection[str], dtype: str) -> Any:
    """Arrays of these dtypes in another one; anything else as it is."""
    if isinstance(tree, list | tuple):
        return type(tree)(_cast(part, dtypes, dtype) for part in tree)
    if isinstance(tree, dict):
        return {key: _cast(part, dtypes, dtype) for key, part in tree.items()}
    values = tree.flat_values if isinstance(tree, Ragged) else tree
    if not hasattr(values, "dtype") or dtype_text(values.dtype) not in dtypes:
        return tree
    owner = backends.of(values)
    # A symbol's, or a text's.
    made = owner.cast(values, dtype) if owner.is_array(values) else values
    return tree.with_flat_values(made) if isinstance(tree, Ragged) else made


def _computed(kind: str, name: str, compute: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """What a function gives; of rows within rows, what a function element by element gives for the inner rows."""
    given = [value if isinstance(value, list | tuple) else [value] for value in (*args, *kwargs.values())]
    values = list(itertools.chain(*given))
    pairs = next((one for one in values if isinstance(one, Ragged) and isinstance(one.rows, PairRows)), None)
    if pairs is not None and kind != "each":
        raise MaskError(
            explain(
                f"ops.{name}",
                expected="steps, not pairs of steps: these have two axes in time, of queries and of keys",
                got=repr(pairs),
                fix="x.to_padded() for an array (B, T, S); x.values for all pairs, on purpose; padless.row_sum(x) for "
                "the pairs of each row together",
            )
        )
    if kind in _SUMMING:
        kinds = {dtype_text(one.dtype) for one in _arrays(values)} & HALVES
        if kinds:  # sums of many numbers go wrong in 16 bits
            args, kwargs = _cast((args, kwargs), HALVES, "float32")
            return _cast(_computed(kind, name, compute, *args, **kwargs), {"float32"}, kinds.pop())
    found = list(filter(_is_nested, values))
    if not found or name == "get_item":  # which knows rows within rows
        return compute(*args, **kwargs)
    if kind != "each" and name != "matmul":  # which, of rows, is one for each step, as the operator @ has it
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
        if not args:  # ops.relu(x=symbol)
            first_name = next(iter(_signature(_known(self.function)).parameters))
            if first_name not in kwargs:
                raise ArgumentError(
                    explain(f"ops.{self.function}", expected=first_name, got=f"{sorted(kwargs)}", fix=f"{first_name}=x")
                )
            args = (kwargs.pop(first_name),)
        self._require_batch(args, kwargs)
        if self.function == "squeeze" and args[1:] in ((), (None,)) and kwargs.get("axis") is None:
            # Not what happens to be 1 when data come, as a batch of one row.
            args = (args[0], [at for at, size in enumerate(symbols[0].shape) if at and size == 1])
            kwargs = {}
        kind = symbols[0].dtype
        first, *others = (constant(value, kind) for value in args)
        return apply(self, first, tuple(others), None, {key: constant(value, kind) for key, value in kwargs.items()})

    def _require_batch(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse what would mix the batch, whose rows must not touch each other, whatever stands in them."""
        entry = TABLE.get(self.function)
        if entry is None:  # an activation
            self._require_batch_first(_known(self.function), args, kwargs)
            return
        if entry.kind == "rows":
            return
        if entry.kind == "each":
            self._require_batch_beside([*args, *kwargs.values()])
            return
        if entry.kind != "reduction":
            self._require_batch_first(entry.compute, args, kwargs)
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

    def _require_batch_beside(self, given: list[Any]) -> None:
        """Refuse values whose batches would not stand beside each other, but one batch beside features of another."""
        symbols = [one for one in given if isinstance(one, Symbol)]
        ranks = {None if isinstance(one.standin, Ragged) else len(one.shape) for one in symbols}
        if len(ranks) > 1:
            raise MaskError(
                explain(
                    f"ops.{self.function}",
                    expected="symbols of as many axes, whose batches stand beside each other; or rows in all of them",
                    got=" and ".join(map(repr, symbols)),
                    fix="padless.spread(vector, sequences) beside rows; ops.expand_dims(vector, -1) beside (B, D)",
                )
            )

    def _require_batch_first(self, compute: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Refuse what would move, cut or join the batch, or put its entries into one number."""
        from padless.graph import symbols_in

        try:
            bound = _signature(compute).bind(*args, **kwargs)
        except TypeError:
            return  # which the function itself says
        bound.apply_defaults()
        given = bound.arguments
        if self.function == "einsum":
            wrong = _einsum_mixes(given["subscripts"], given["operands"])
        elif self.function in _PRODUCTS:
            wrong = _product_mixes(self.function, given)
        else:
            value = next(iter(given.values()))
            found = symbols_in(value)
            wrong = bool(found) and _axes_mix(self.function, len(found[0].shape), found[0].shape, given)
        if wrong:
            said = ", ".join(f"{key}={value!r}" for key, value in given.items())
            raise MaskError(
                explain(
                    self.function if "." in self.function else f"ops.{self.function}",
                    expected="the batch as the first axis of what comes and of the result, and each row by itself: how "
                    "many rows there are is not known before there are data",
                    got=said,
                    fix=f"axes after the batch, such as axis=-1; {self.function} of arrays, outside of a model",
                )
            )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        y = _known(self.function)(*args, **kwargs)
        watched(self, next((a for a in args if isinstance(a, Ragged)), args[0] if args else None), y)
        return y


def _signature(compute: Callable[..., Any]) -> inspect.Signature:
    """Of a function of the table."""
    return inspect.signature(compute.args[2] if isinstance(compute, functools.partial) else compute)


_NEW_AXIS = ("stack", "expand_dims", "one_hot")
_PRODUCTS = ("matmul", "dot", "tensordot", "segment_sum", "segment_max")


def _axes_mix(function: str, rank: int, shape: tuple[int | None, ...], given: dict[str, Any]) -> bool:
    """Whether a function of one value, or of a list of values, would touch the batch."""
    if function == "squeeze" and given["axis"] is None:
        return False
    if function == "transpose":
        return given["axes"] is None or given["axes"][0] not in (0, -rank)
    if function == "pad":
        widths = given["pad_width"]
        first = widths if isinstance(widths, int) else widths[0]
        return first != 0 and tuple(first if isinstance(first, list | tuple) else (first, first)) != (0, 0)
    if function == "reshape":
        sizes = given["newshape"] if isinstance(given["newshape"], list | tuple) else (given["newshape"],)
        if sizes[:1] == (None,) or sizes[:1] == [None]:
            return False
        rest = sizes[1:]
        known = all(isinstance(n, int) and n > 0 for n in rest) and None not in shape[1:]
        return not (sizes[0] == -1 and (None in shape[1:] or (known and math.prod(rest) == math.prod(shape[1:]))))  # type: ignore[arg-type]
    names = ("axis", "axis1", "axis2", "source", "destination")
    axes = [given[name] for name in names if name in given]
    rank += (len(axes[0]) if isinstance(axes[0], list | tuple) else 1) if axes and function in _NEW_AXIS else 0
    flat = [one for axis in axes for one in (axis if isinstance(axis, list | tuple) else [axis])]
    return any(one is None or one in (0, -rank) for one in flat)


def _einsum_mixes(subscripts: str, operands: tuple[Any, ...]) -> bool:
    """Whether a sum of products would sum over the batch, or put it elsewhere than in front."""
    left, arrow, result = subscripts.replace(" ", "").partition("->")
    labels = [letters for letters, one in zip(left.split(","), operands, strict=False) if isinstance(one, Symbol)]
    if not arrow:
        result = "".join(sorted(c for c in set(left) if c.isalpha() and left.count(c) == 1))
    firsts = {letters[:1] for letters in labels}
    if firsts == {"."}:
        return not result.startswith("...")
    batch = next(iter(firsts))
    twice = any(batch in letters[1:] for letters in [*labels, result])
    return len(firsts) > 1 or result[:1] != batch or twice


def _product_mixes(function: str, given: dict[str, Any]) -> bool:
    """Whether a product sums over the batch of one of its values, or makes pairs of rows."""
    one, other = list(given.values())[:2]
    if function.startswith("segment"):
        return True
    right = len(other.shape) if isinstance(other, Symbol) else 0
    if function == "matmul":
        return (isinstance(one, Symbol) and len(one.shape) < 2) or 0 < right < 3
    if right and len(getattr(one, "shape", ())):
        return True  # every row of one beside every row of the other
    if function == "tensordot" and isinstance(one, Symbol):
        axes, rank = given["axes"], len(one.shape)
        if isinstance(axes, int):
            return axes >= rank
        left = axes[0] if isinstance(axes[0], list | tuple) else (axes[0],)
        return any(axis in (0, -rank) for axis in left)
    return isinstance(one, Symbol) and len(one.shape) < 2 and len(getattr(other, "shape", ())) > 0


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
