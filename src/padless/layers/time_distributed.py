"""TimeDistributed: a layer, or a whole model, for every step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from padless import backends
from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.layer import Array, Layer, mask_finder, rows_of_steps
from padless.ragged import Ragged
from padless.rows import RowPartition
from padless.spec import Spec
from padless.training import Trainer


class TimeDistributed(Layer):
    """Call a layer on every live step, as if each were a sample of its own.

    The steps may be rows themselves, such as the sentences of documents: the layer then reads all sentences as the
    rows of one batch, and what it gives for each is a step of the document. What keeps rows gives rows within rows
    again. Padded steps are not computed.

    Args:
        layer: the layer, or a model: one that looks at a step, at an image, at a sentence.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, T, ...) to (B, T, ...), rows (B, None, ...) to rows (B, None, ...), for a layer that makes (N, ...) of
        (N, ...). Rows within rows (B, None, None, ...) to (B, None, ...), or to (B, None, None, ...) where the layer
        keeps rows. (B, S, W, ...) where the layer, or the first layer of the model, is a Masking or an
        Embedding(mask_zero=True): a sentence without a word is padding before the first and after the last that has
        one, and an empty row between them.

    Raises:
        ArgumentError: when `layer` is no layer, or one that takes several values.
        ShapeError: when the steps of the input are single numbers.
        MaskError: when padded arrays come, and a layer somewhere inside would find padding, but not the first.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> documents = padless.Ragged.from_list([[[4, 5, 6], [7]], [[8, 9]]])
        >>> sentence = padless.Sequential([layers.Embedding(10, 3), layers.LSTM(8)])
        >>> TimeDistributed(sentence)(documents).shape
        (2, None, 8)

    Source: Keras 3.15.
    """

    view = "ragged"
    reads_nested = True

    def __init__(self, layer: Layer, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer) or layer.merges:
            raise ArgumentError(
                explain(
                    "TimeDistributed(layer)",
                    expected="a layer or a model of one input",
                    got=repr(layer),
                    fix="TimeDistributed(layers.Dense(8)), with the parentheses",
                )
            )
        self.layer = layer

    @property
    def inner_mask_maker(self) -> Layer | None:
        """The layer inside that finds padding in what it is given; None where there is none."""
        if isinstance(self.layer, Trainer):
            return self.layer._mask_maker()
        return self.layer if self.layer.makes_mask else None

    @property
    def makes_mask(self) -> bool:  # type: ignore[override]
        """Whether the layer inside finds padding."""
        return self.inner_mask_maker is not None

    def build(self, spec: Spec) -> None:
        """Make the weights of the layer.

        Args:
            spec: of the input.
        """
        self.layer.build(Spec((None, *spec[2:]), spec.dtype))

    def _build_for(self, x: Any) -> None:
        # The layer builds itself when it is called.
        if x.ndim < 3:
            raise ShapeError(
                explain(
                    self.place,
                    expected="steps with axes of their own, (B, T, ...)",
                    got=f"shape {tuple(x.shape)}",
                    fix=f"{type(self.layer).__name__} alone for steps that are numbers",
                )
            )
        self.built = True

    def _prepared(self, x: Any) -> Any:
        if not isinstance(x, Ragged):
            return self._nested(x)
        if not isinstance(x.values, Ragged) and x.values.ndim == 1 and not x.rows.nvals:
            return x.with_values(Ragged(x.values, RowPartition([0])))  # empty lists do not say what they are lists of
        return x

    def _nested(self, x: Array) -> Any:
        """A padded array as rows within rows, where something inside finds the padding."""
        if self.inner_mask_maker is None:
            hidden = [inner for _, inner in self.layer.inner_layers() if inner.makes_mask]
            if hidden:
                raise MaskError(self._hidden_error(hidden[0]))
            return x
        axes = mask_finder(self)[1]
        mask = self.compute_mask(x) if x.ndim > axes else None
        if mask is None or mask.ndim != 1 + axes:
            return x  # a layer says itself what is wrong
        if self.tracing or backends.of(mask).assume(mask):
            return Ragged.from_padded(x, np.ones(tuple(mask.shape), np.bool_))
        return Ragged.from_padded(x, mask)

    def _hidden_error(self, finder: Layer) -> str:
        return explain(
            self.place,
            expected=f"rows, since {finder.name!r} inside of {self.layer.name!r} finds padding, and nobody outside "
            "would know which steps are nothing else",
            got="a padded array",
            fix="lists, a Ragged, or mask= of shape (B, S, W); or make it the first layer of a Sequential or a "
            "functional model; Ragged.from_padded(x) if no step is padding",
        )

    def compute_mask(self, x: Array, mask: Any = None) -> Array | None:
        """Say which steps of the steps are real.

        Args:
            x: (B, S, W, ...).
            mask: not used.

        Returns:
            (B, S, W) bool; None where the layer inside finds no padding.
        """
        finder: Any = self.inner_mask_maker
        if finder is None:
            return None
        xp = self.xp
        found = finder.compute_mask(xp.reshape(self.backend.asarray(x), (x.shape[0] * x.shape[1], *x.shape[2:])))
        return xp.reshape(found, (*x.shape[:2], *found.shape[1:]))

    def call(self, x: Ragged) -> Any:
        """Call the layer on all steps at once.

        Args:
            x: (B, None, ...).

        Returns:
            (B, None, ...); a list, tuple or dict of these where the layer gives several outputs.
        """
        with rows_of_steps(x):
            y = self.layer._run(x.values)
        return _for_each(y, x.with_values)

    def decide(self, y: Any) -> Any:
        """As the layer does, for each step.

        Args:
            y: what `call` gave.

        Returns:
            What the layer says of it.
        """
        first = y
        while isinstance(first, dict | list | tuple):
            first = next(iter(first.values() if isinstance(first, dict) else first))
        if isinstance(first, Ragged):
            return _for_each(self.layer.decide(_for_each(y, lambda part: part.values)), first.with_values)
        shape = tuple(first.shape[:2])
        steps = _for_each(y, lambda part: self.xp.reshape(part, (-1, *part.shape[2:])))
        return _for_each(self.layer.decide(steps), lambda part: self.xp.reshape(part, (*shape, *part.shape[1:])))

    def _run_uniform(self, x: Array, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        y = self.call(Ragged.from_padded(x), *args, **kwargs)
        # Rows that came up inside cannot go back into an array without being lost.
        return _for_each(y, lambda part: part if isinstance(part.values, Ragged) else part.to_padded())


def _for_each(y: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(y, dict):
        return {key: _for_each(part, change) for key, part in y.items()}
    return type(y)(_for_each(part, change) for part in y) if isinstance(y, tuple | list) else change(y)
