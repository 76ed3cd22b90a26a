"""Batches of functions of one's own: pytrees of arrays alone, so that only their size matters to `jax.jit`."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

import jax
import jax.numpy as jnp

from padless.backends.jax.compiled import (
    FilledBatch,
    Form,
    Given,
    Notes,
    NotNoted,
    assumed,
    live_rows,
    noting,
    unpacked,
)
from padless.backends.jax.filled import Path, Source, TracedRows
from padless.errors import BackendError, explain
from padless.function import FunctionBatch, ModelFunction
from padless.ragged import Ragged

if TYPE_CHECKING:
    from padless.backends.jax import JaxBackend

Array = Any


class _GivenOrTold(Given):
    """Gives the arrays of a batch, or says how to have more of them in it."""

    def array(self, input_name: int, path: Path, how: str, name: str, arguments: tuple[Hashable, ...]) -> Any:
        try:
            return super().array(input_name, path, how, name, arguments)
        except NotNoted:
            _unknown(name)

    def number(self, input_name: int, path: Path, name: str) -> int:
        try:
            return super().number(input_name, path, name)
        except NotNoted:
            _unknown(name)


def _unknown(name: str) -> NoReturn:
    raise BackendError(
        explain(
            f"{name!r} of the rows of a batch",
            expected="what the model itself asks of rows, or what apply.batch was told",
            got="something else",
            fix="apply.batch(x, y, also=function), where function(output, batch) does what is to be done",
        )
    ) from None


@jax.tree_util.register_pytree_node_class
class FilledFunctionBatch(FunctionBatch):
    """A batch filled up to a size: arrays, and a form that says what a function is compiled for.

    Args:
        form: what is known without the numbers.
        leaves: arrays of the batch, NaN in spare slots.
        counts: how much of each is live, as `FilledBatch` says.
        arrays: what is asked of the rows, in the order of the form.
        filled: the batch on the host; None for one that went through a transformation.
        source: gives the arrays in the place of those above, while it is found out which are asked for.
    """

    def __init__(
        self,
        form: Form,
        leaves: Any,
        counts: Array,
        arrays: Any,
        filled: FilledBatch | None = None,
        source: Source | None = None,
    ) -> None:
        # Nothing is computed here: trees are also filled with things that are no arrays.
        self._form, self._leaves, self._counts, self._arrays = form, leaves, counts, arrays
        self._filled, self._given_source = filled, source

    @classmethod
    def of(
        cls, backend: JaxBackend, function: ModelFunction, parts: Any, also: Callable[[Any, Any], Any] | None
    ) -> FilledFunctionBatch:
        """Fill a batch up and put all that is asked of its rows into it.

        Args:
            backend: JAX.
            function: asks.
            parts: input, targets and weights on the host.
            also: as in `ModelFunction.batch`.

        Returns:
            The batch.
        """
        # Nobody can see in an array which rows only fill it up; without rows of unequal length there need be none.
        filled = FilledBatch(parts, dense=False)
        leaves = [backend.asarray(leaf) for leaf in filled.leaves]

        def trace(form: Form, source: Source) -> None:
            def body(params: Any, leaves: Any, counts: Any) -> None:
                function.ask(params, cls(form, leaves, counts, None, source=source), also)

            jax.eval_shape(body, function.weights(), leaves, filled.live)

        notes: Notes = function.kept.setdefault(also, Notes(backend))
        form = notes.form(filled, trace)
        arrays = jax.tree.map(jnp.asarray, notes.wanted(form, filled))
        return cls(form, leaves, jnp.asarray(filled.live), arrays, filled)

    def tree_flatten(self) -> tuple[tuple[Any, ...], Form]:
        """The arrays, and the form."""
        return (self._leaves, self._counts, self._arrays), self._form

    @classmethod
    def tree_unflatten(cls, form: Form, children: Any) -> FilledFunctionBatch:
        """The batch of other arrays."""
        return cls(form, *children)

    @cached_property
    def _source(self) -> Any:
        if self._given_source is not None:
            return self._given_source
        return _GivenOrTold(self._form, self._arrays)

    @cached_property
    def _parts(self) -> tuple[Any, Any, Any]:
        parts: tuple[Any, Any, Any] = unpacked(self._form, self._source, self._leaves, self._counts)
        self._source.live, self._source.counts = self.live, self._counts
        return parts

    @property
    def x(self) -> Any:
        """The input."""
        return self._parts[0]

    @property
    def y(self) -> Any:
        """The targets."""
        return self._parts[1]

    @property
    def sample_weight(self) -> Any:
        """The weights."""
        return self._parts[2]

    @cached_property
    def live(self) -> Array:
        """(B,) bool, False for rows that only fill the batch up."""
        return live_rows(self._form, self._leaves, self._counts)

    def _cut(self, value: Any) -> Any:
        if self._filled is None:
            raise BackendError(
                explain(
                    "batch.cut",
                    expected="the batch that apply.batch made, outside of jit",
                    got="one that went through a transformation",
                    fix="return the output from the function, then batch.cut(output)",
                )
            )
        return self._filled.cut(value)


def purely(run: Callable[[Array | None], Any], x: Any, live: Array | None) -> Any:
    """As `Backend.purely`: what comes out is NaN where something that had to be assumed is wrong."""
    leaves = jax.tree.leaves(x, is_leaf=_is_ragged)
    rows = [_innermost(leaf) for leaf in leaves if _is_ragged(leaf) and isinstance(leaf.rows, TracedRows)]
    if live is None:
        live = next((part.source.live for part in rows), None)
    with noting():
        made = run(live)
        sound = assumed()
    if sound is None:
        return made
    for part in rows:
        if part.source.counts is not None:  # no step at all is no wrong one; what stands in for it may look so
            sound = sound | (part.source.counts[part.input_name] == 0)
    return jax.tree.map(lambda a: jnp.where(sound, a, jnp.nan) if jnp.issubdtype(a.dtype, jnp.floating) else a, made)


def _is_ragged(x: Any) -> bool:
    return isinstance(x, Ragged)


def _innermost(x: Ragged) -> Any:
    """The rows of the steps, of rows within rows."""
    return _innermost(x.values) if isinstance(x.values, Ragged) else x.rows
