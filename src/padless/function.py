"""A model as a function of its weights, for training loops of one's own, as JAX's transformations want it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from padless import backends
from padless import random as _random
from padless.backends.base import Array, Backend
from padless.batching import count_rows
from padless.errors import ArgumentError, explain
from padless.layer import calling, carrying, substituted
from padless.ragged import Ragged
from padless.targets import live_entries

if TYPE_CHECKING:
    from padless.model import Model


class FunctionBatch:
    """A batch for a function of one's own.

    Args:
        parts: input, targets and weights; None where there are none.
        live: (B,) bool.

    Attributes:
        x: the input: a Ragged, an array (B, ...), or a tuple or dict of these.
        y: the targets: a Ragged, an array (B, ...), or None.
        sample_weight: the same, or None.
        live: (B,) bool, False for rows that only fill the batch up to a size; what adds up over a batch leaves them
            out. All True where nothing is filled up.
    """

    x: Any
    y: Any
    sample_weight: Any
    live: Array

    def __init__(self, parts: tuple[Any, Any, Any], live: Array) -> None:
        self.x, self.y, self.sample_weight = parts
        self.live = live

    @classmethod
    def on(cls, backend: Backend, parts: tuple[Any, Any, Any]) -> FunctionBatch:
        """Move a batch as it is to a backend.

        Args:
            backend: the backend.
            parts: on the host.

        Returns:
            The batch.
        """
        x, y, weight = (_moved(part, backend) for part in parts)
        return cls((x, y, weight), backend.asarray(np.ones(count_rows(x), np.bool_)))

    def live_of(self, value: Any) -> Array:
        """Which entries of the first axis of an output are real.

        Args:
            value: a Ragged or an array (B, ...).

        Returns:
            Bools, one for each step (N,) or each row (B,).
        """
        found = live_entries(value, self.live)
        assert found is not None
        return found

    def cut(self, value: Any) -> Any:
        """Bring an output to the host, without what only fills the batch up. Not under jit.

        Args:
            value: a Ragged, an array (B, ...), or a tuple, list or dict of these.

        Returns:
            The same with NumPy arrays.
        """
        if isinstance(value, tuple | list):
            return type(value)(self.cut(part) for part in value)
        if isinstance(value, dict):
            return {key: self.cut(part) for key, part in value.items()}
        return self._cut(value)

    def _cut(self, value: Any) -> Any:
        return value.numpy() if isinstance(value, Ragged) else np.asarray(backends.of(value).to_host(value))


class ModelFunction:
    """What `Model.as_function` gives: the model as a pure function of its weights.

    Args:
        model: built.
        states: the arrays that training does not change, by path.

    Attributes:
        states: these, such as moving means.
    """

    def __init__(self, model: Model, states: dict[str, Array]) -> None:
        self.states = states
        self.kept: dict[Any, Any] = {}
        """What a backend notes here for this function."""
        self._model = model
        self._backend = model.backend
        self._paths = frozenset(model.weight_slots()) - frozenset(states)

    def __call__(
        self,
        params: Mapping[str, Array],
        x: Any,
        *,
        states: Mapping[str, Array] | None = None,
        training: bool = False,
        seed: Any = 0,
    ) -> Any:
        """Compute the output.

        Args:
            params: the weights by path.
            x: what the model takes: a list of sequences, a Ragged, an array, several of them; or a batch that `batch`
                made. An array under jit is taken as it is: every row of it counts.
            states: other arrays by path; those that the model had by default.
            training: whether dropout drops and statistics are those of the batch.
            seed: of dropout: a whole number, or an array that holds one.

        Returns:
            As the model gives it for x. Under jit, NaN where the input has what cannot be looked at there: ids that
            the vocabulary does not have, steps that a layer masks and that are still there.

        Raises:
            ArgumentError: when weights are missing or unknown.

        Example:
            >>> import padless
            >>> model = padless.Sequential([padless.layers.Embedding(9, 4), padless.layers.LSTM(2)])
            >>> y = model([[1, 2], [3]])
            >>> params, apply = model.as_function()
            >>> bool((apply(params, [[1, 2], [3]]) == y).all())
            True
        """
        return self.with_states(params, states, x, training=training, seed=seed)[0]

    def with_states(
        self,
        params: Mapping[str, Array],
        states: Mapping[str, Array] | None,
        x: Any,
        *,
        training: bool = True,
        seed: Any = 0,
    ) -> tuple[Any, dict[str, Array]]:
        """Compute the output and what becomes of the states.

        Args:
            params: the weights by path.
            states: the other arrays by path; None for those that the model had.
            x: as in a call.
            training: whether dropout drops and statistics are those of the batch, and move.
            seed: of dropout.

        Returns:
            The output, and the states after this call by path.

        Raises:
            ArgumentError: when weights are missing or unknown.

        Example:
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.layers.BatchNormalization(momentum=0.5)])
            >>> _ = model(np.zeros((1, 1), "float32"))
            >>> params, apply = model.as_function()
            >>> _, states = apply.with_states(params, None, np.full((3, 1), 4, "float32"))
            >>> float(states["layers/0/moving_mean"][0])
            2.0
        """
        return self._called(params, states, x, training, seed, None)

    def with_losses(
        self,
        params: Mapping[str, Array],
        states: Mapping[str, Array] | None,
        x: Any,
        *,
        training: bool = True,
        seed: Any = 0,
    ) -> tuple[Any, dict[str, Array], list[Array]]:
        """Compute the output, what becomes of the states, and what regularizers and layers add to the loss.

        Args:
            params: the weights by path.
            states: the other arrays by path; None for those that the model had.
            x: as in a call.
            training: whether dropout drops and statistics are those of the batch, and move.
            seed: of dropout.

        Returns:
            The output, the states after this call by path, and scalars, as `model.losses` has them.

        Raises:
            ArgumentError: when weights are missing or unknown.

        Example:
            >>> import numpy as np, padless
            >>> dense = padless.layers.Dense(1, kernel_regularizer="l2", activity_regularizer="l1")
            >>> model = padless.Sequential([dense])
            >>> _ = model(np.ones((1, 2), "float32"))
            >>> params, apply = model.as_function()
            >>> y, _, losses = apply.with_losses(params, None, np.ones((3, 2), "float32"))
            >>> len(losses)
            2
        """
        losses: list[Array] = []
        y, after = self._called(params, states, x, training, seed, losses)
        return y, after, losses

    def _called(
        self,
        params: Mapping[str, Array],
        states: Mapping[str, Array] | None,
        x: Any,
        training: bool,
        seed: Any,
        losses: list[Array] | None,
    ) -> tuple[Any, dict[str, Array]]:
        """Output and states; losses go into the list."""
        self._require(params)
        before = {**self.states, **(states or {})}
        model = self._model
        given, live = (x.x, x.live) if isinstance(x, FunctionBatch) else (x, None)

        def run(live: Array | None) -> tuple[Any, dict[str, Array], list[Array]]:
            added: list[Array] = []
            keep = None if losses is None else lambda layer, value: added.append(value)
            # A stateful layer begins anew in each call: its states would be no result of a pure function.
            with model._lock, substituted(model, {**before, **params}) as assigned, carrying(model, {}):
                with _random.drawing(seed, 0), calling(training=training, live=live, losses=keep):
                    entered, form = model._enter_inputs(given, None)
                    y = model._run(entered)
                if losses is not None:
                    added += model.regularization()
            return model._last_form(form, entered).leave(y), {**before, **assigned}, added

        y, after, added = self._backend.purely(run, given, live)
        if losses is not None:
            losses += added
        return y, after

    def _require(self, params: Mapping[str, Array]) -> None:
        missing, unknown = self._paths - params.keys(), params.keys() - self._paths
        if missing or unknown:
            raise ArgumentError(
                explain(
                    f"weights of the function of {self._model.name!r}",
                    expected=f"an array for each of {len(self._paths)} paths",
                    got=f"missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}",
                    fix="the first that model.as_function() gives, with other numbers; states come apart",
                )
            )

    def batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, *, also: Callable[[Any, Any], Any] | None = None
    ) -> FunctionBatch:
        """Make a batch of which only the size matters to what is compiled for it.

        On JAX it is a pytree: filled up to a size of a geometric series, with all index arrays that the model asks of
        the rows, so that a function that takes it under jit is compiled once for each size. A batch without rows of
        unequal length keeps its size.

        Args:
            x: rows of one batch, in any form that `fit` takes.
            y: targets, one per row or one per step.
            sample_weight: weights, one per row or one per step.
            also: also(output, batch) is traced once, to learn what it asks of rows beside what the model does: a loss
                with layers of its own, say. Operations such as `row_mean` need none.

        Returns:
            The batch; hand it to the function in the place of x.

        Example:
            >>> import padless
            >>> model = padless.Sequential([padless.layers.Embedding(9, 4), padless.layers.LSTM(2)])
            >>> y = model([[1, 2], [3]])
            >>> params, apply = model.as_function()
            >>> batch = apply.batch([[1, 2], [3]])
            >>> batch.cut(apply(params, batch)).shape
            (2, 2)
        """
        made = self._model._one_batch(x, y, sample_weight)
        return self._backend.function_batch(self, (made.x, made.y, made.weight), also)

    def weights(self) -> dict[str, Array]:
        """The weights that the model has at present, by path."""
        return {path: array for path, array in self._model._arrays()["weights"].items() if path in self._paths}

    def ask(self, params: Mapping[str, Array], batch: FunctionBatch, also: Callable[[Any, Any], Any] | None) -> None:
        """Do once all that is likely to be done with a batch, to find out what it asks of rows.

        Args:
            params: the weights.
            batch: the batch.
            also: as in `batch`.
        """
        for training in (False, True):
            y = self._with_gradients(params, batch, training)
            for rows in (part.rows for part in _ragged(y)):
                for name in (
                    "value_rowids",
                    "row_lengths",
                    "row_divisors",
                    "first_index",
                    "last_index",
                    "reverse_index",
                ):
                    self._backend.index(rows, name)
            for part in _ragged((y, batch.x, batch.y, batch.sample_weight)):
                _ = part.rows.came_padded, part.rows.has_holes
            if also is not None:
                also(y, batch)

    def _with_gradients(self, params: Mapping[str, Array], batch: FunctionBatch, training: bool) -> Any:
        """The output, after gradients were taken, which may ask for more."""
        xp = self._backend.xp

        def total(weights: dict[str, Array]) -> tuple[Array, Any]:
            y, _, losses = self.with_losses(weights, None, batch, training=training)
            floats = [v for v in [*_values(y), *losses] if xp.isdtype(v.dtype, "real floating")]
            return sum((xp.sum(v) for v in floats[1:]), start=xp.sum(floats[0])), y

        return self._backend.value_and_grad(total, dict(params))[0][1]


def _moved(x: Any, backend: Backend) -> Any:
    if x is None:
        return None
    if isinstance(x, tuple | list):
        return tuple(_moved(part, backend) for part in x)
    if isinstance(x, dict):
        return {key: _moved(part, backend) for key, part in x.items()}
    return x.with_flat_values(backend.asarray(x.flat_values)) if isinstance(x, Ragged) else backend.asarray(x)


def _parts(y: Any) -> list[Any]:
    if isinstance(y, dict):
        y = list(y.values())
    return [part for item in y for part in _parts(item)] if isinstance(y, tuple | list) else [y]


def _values(y: Any) -> list[Array]:
    return [part.flat_values if isinstance(part, Ragged) else part for part in _parts(y)]


def _ragged(y: Any) -> list[Ragged]:
    found = [part for part in _parts(y) if isinstance(part, Ragged)]
    return found + _ragged([part.values for part in found]) if found else []
