"""Layers around layers."""

from __future__ import annotations

import copy
from typing import Any

from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Layer
from padless.layers.recurrent import RNN
from padless.ragged import Ragged
from padless.row_ops import row_reverse

Array = Any

_MERGE_MODES = ("concat", "sum", "mul", "ave", None)


class Wrapper(Layer):
    """A base class for layers of your own around a layer, which is `self.layer`.

    How it reads rows, it says in `view` like any layer; the layer inside is called with what `call` gives it.

    Args:
        layer: the layer inside.
        **kwargs: name, dtype, trainable, activity_regularizer.

    Raises:
        ArgumentError: when `layer` is no layer.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> class Twice(Wrapper):
        ...     view = "ragged"
        ...     def call(self, x):
        ...         return self.layer(self.layer(x))
        >>> x = padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
        >>> Twice(layers.Dense(2))(x).shape
        (2, None, 2)
    """

    def __init__(self, layer: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            name = type(self).__name__
            fix = f"{name}(layers.Dense(8)), with the parentheses"
            raise ArgumentError(explain(f"{name}(layer)", expected="a layer or a model", got=repr(layer), fix=fix))
        self.layer = layer

    def build(self, spec: Any) -> None:
        """Build the layer inside.

        Args:
            spec: of the input.
        """
        if not self.layer.built:
            self.layer._build_with(spec)


class Bidirectional(Layer):
    """Read every row in both directions: from its first live step to its last, and from its last to its first.

    Args:
        layer: LSTM, GRU, SimpleRNN, RNN, or a layer of your own with `go_backwards`, `return_sequences` and
            `return_state`. It serves as a model for both directions and is not used itself.
        merge_mode: how the two outputs become one: "concat", "sum", "mul", "ave", or None for a list of both.
        weights: arrays to start with, those of the forward layer first.
        backward_layer: the layer for the way back, with the other `go_backwards`; by default a copy of `layer`.
        **kwargs: name, dtype, trainable.

    Shapes: (B, None, D) to (B, 2H), or (B, None, 2H) where the layer returns sequences; H with "sum", "mul" and "ave".
        The outputs of the way back stand at their own steps. With return_state: [output, forward states...,
        backward states...].

    Call arguments: `initial_state=[...]`, the states of the forward layer first.

    Raises:
        ArgumentError: for an unknown merge_mode, something that is no such layer, or directions that do not fit.
        ShapeError: for an initial state of other shapes.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> x = padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
        >>> Bidirectional(layers.LSTM(8, return_sequences=True))(x).shape
        (2, None, 16)

    Source: Schuster and Paliwal 1997.
    """

    view = "ragged"
    reads = "floats"

    def __init__(
        self,
        layer: Any,
        merge_mode: str | None = "concat",
        weights: list[Any] | None = None,
        backward_layer: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if merge_mode not in _MERGE_MODES:
            raise ArgumentError(
                explain(
                    "Bidirectional(merge_mode=...)",
                    expected="'concat', 'sum', 'mul', 'ave' or None",
                    got=repr(merge_mode),
                    fix="merge_mode='concat'",
                )
            )
        _require_recurrent("layer", layer)
        self.merge_mode = merge_mode
        self.forward_layer = _copy(layer, "forward", layer.go_backwards)
        if backward_layer is None:
            self.backward_layer = _copy(layer, "backward", not layer.go_backwards)
        else:
            _require_recurrent("backward_layer", backward_layer)
            self.backward_layer = backward_layer
        self._require_pair()
        self.stateful: bool = getattr(layer, "stateful", False)
        self.return_sequences: bool = layer.return_sequences
        self.return_state: bool = layer.return_state
        self.first_weights = weights

    def _require_pair(self) -> None:
        forward, backward = self.forward_layer, self.backward_layer
        problems = [
            f"{name} {getattr(forward, name, False)} and {getattr(backward, name, False)}"
            for name in ("return_sequences", "return_state", "stateful")
            if getattr(forward, name, False) != getattr(backward, name, False)
        ]
        if forward.go_backwards == backward.go_backwards:
            problems.append(f"go_backwards {forward.go_backwards} in both")
        if problems:
            raise ArgumentError(
                explain(
                    "Bidirectional(layer, backward_layer=...)",
                    expected="layers that differ in go_backwards and return the same things",
                    got=", ".join(problems),
                    fix="leave backward_layer out, or give it go_backwards=True",
                )
            )

    @property
    def states(self) -> tuple[Any, ...] | None:
        """What stateful layers keep for the next batch, forward first; None where they keep nothing."""
        forth, back = (getattr(layer, "states", None) for layer in (self.forward_layer, self.backward_layer))
        return None if forth is None or back is None else (*forth, *back)

    def reset_state(self) -> None:
        """Have both layers forget the states that they keep; see RNN."""
        for layer in (self.forward_layer, self.backward_layer):
            if self.stateful:
                layer.reset_state()

    def reset_states(self) -> None:
        """`reset_state` under its older name."""
        self.reset_state()

    def build(self, spec: Any) -> None:
        """Make the weights of both layers.

        Args:
            spec: (None, None, D).
        """
        for layer in (self.forward_layer, self.backward_layer):
            if not layer.built:
                layer._build_with(spec)
        if self.first_weights is not None:
            self.set_weights(self.first_weights)

    def call(self, x: Ragged, initial_state: Any = None) -> Any:
        """Run both layers and merge what they give.

        Args:
            x: (B, None, D).
            initial_state: states of the forward layer, then those of the backward layer.

        Returns:
            The output, or a list as the class says.
        """
        forward_state, backward_state = self._halves(initial_state)
        # Layers of ours need not put the steps into the order in which they were read, only to have it undone here.
        forth, back = (
            layer(x, **state, **({"in_order": True} if type(layer).call is RNN.call else {}))
            for layer, state in ((self.forward_layer, forward_state), (self.backward_layer, backward_state))
        )
        states: list[Array] = []
        if self.return_state:
            forth, *forward_final = forth
            back, *backward_final = back
            states = [*forward_final, *backward_final]
        if self.return_sequences:
            back, forth = self._in_order(self.backward_layer, back), self._in_order(self.forward_layer, forth)
        merged = self._merge(forth, back)
        if self.merge_mode is None:
            return [*merged, *states]
        return [merged, *states] if self.return_state else merged

    def _in_order(self, layer: Any, y: Any) -> Any:
        """The output of each step at its step: a layer that goes backwards gives the last step first."""
        return row_reverse(y) if layer.go_backwards and type(layer).call is not RNN.call else y

    def _merge(self, forth: Any, back: Any) -> Any:
        if self.merge_mode is None:
            return [forth, back]
        if isinstance(forth, Ragged):
            return forth.with_values(self._merge(forth.values, back.values))
        if self.merge_mode == "concat":
            return self.xp.concat([forth, back], axis=-1)
        if self.merge_mode == "mul":
            return forth * back
        return forth + back if self.merge_mode == "sum" else (forth + back) / 2

    def _halves(self, given: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        if given is None:
            return {}, {}
        if not isinstance(given, list | tuple) or len(given) % 2:
            raise ShapeError(
                explain(
                    f"initial_state of {self.place}",
                    expected="a list of the forward layer's states and as many of the backward layer's",
                    got=f"{len(given)} of them" if isinstance(given, list | tuple) else type(given).__name__,
                    fix="initial_state=[forward_h, forward_c, backward_h, backward_c] for an LSTM",
                )
            )
        half = len(given) // 2
        return {"initial_state": list(given[:half])}, {"initial_state": list(given[half:])}


def _require_recurrent(argument: str, layer: Any) -> None:
    if not isinstance(layer, Layer) or not all(
        hasattr(layer, name) for name in ("go_backwards", "return_sequences", "return_state")
    ):
        raise ArgumentError(
            explain(
                f"Bidirectional({argument}=...)",
                expected="a recurrent layer",
                got=repr(layer),
                fix="Bidirectional(layers.LSTM(32)), or a layer with go_backwards, return_sequences and return_state",
            )
        )


def _copy(layer: Any, direction: str, go_backwards: bool) -> Any:
    """A new layer, not built, made with the same arguments."""
    copied = _remade(layer)
    copied.name = f"{direction}_{layer.name.removeprefix(f'{direction}_')}"
    copied.trainable = layer.trainable
    # An attribute and no argument: a class of the user's own need not have it among its arguments.
    copied.go_backwards = go_backwards
    return copied


def _remade(value: Any) -> Any:
    """A layer is made anew from its arguments, and so are layers among them, such as cells; the rest is copied."""
    if isinstance(value, Layer):
        return type(value)(**{name: _remade(argument) for name, argument in value._arguments.items()})
    if isinstance(value, list | tuple):
        return type(value)(_remade(item) for item in value)
    return copy.deepcopy(value)
