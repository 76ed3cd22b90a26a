"""Recurrent layers: each row from its first to its last live step, whatever stands beside it in the batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from padless import activations, constraints, initializers, random, regularizers
from padless.errors import ArgumentError, NotThereYetError, ShapeError, explain
from padless.layer import Layer
from padless.layers.arguments import positive
from padless.ragged import Ragged
from padless.row_ops import row_reverse, spread
from padless.spec import Spec

Array = Any
State = tuple[Array, ...]


# ---- cells: one time step


class GatedCell(Layer):
    """What LSTMCell, GRUCell and SimpleRNNCell share: weights in Keras's layout, dropout, the call on one step.

    A subclass gives `project` (the part of the formula without state) and `step` (the rest).
    """

    reads = "floats"
    kind: ClassVar[str]
    gates: ClassVar[int]

    def __init__(
        self,
        units: int,
        *,
        activation: Any,
        use_bias: bool,
        kernel_initializer: Any,
        recurrent_initializer: Any,
        bias_initializer: Any,
        kernel_regularizer: Any,
        recurrent_regularizer: Any,
        bias_regularizer: Any,
        kernel_constraint: Any,
        recurrent_constraint: Any,
        bias_constraint: Any,
        dropout: float,
        recurrent_dropout: float,
        seed: int | None,
        **kwargs: Any,
    ) -> None:
        kwargs.pop("implementation", None)  # Keras's choice between two ways to compute the same
        super().__init__(**kwargs)
        for name, rate in (("dropout", dropout), ("recurrent_dropout", recurrent_dropout)):
            if isinstance(rate, bool | str) or not 0 <= rate < 1:
                raise ArgumentError(
                    explain(
                        f"{self.place}: {name}",
                        expected="a share from 0 up to, but not, 1",
                        got=repr(rate),
                        fix=f"{name}=0.2 to drop a fifth",
                    )
                )
        self.units = positive(self.place, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.recurrent_initializer = initializers.get(recurrent_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.recurrent_regularizer = regularizers.get(recurrent_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.recurrent_constraint = constraints.get(recurrent_constraint)
        self.bias_constraint = constraints.get(bias_constraint)
        self.dropout = dropout
        self.recurrent_dropout = recurrent_dropout
        self.seed = seed

    @property
    def state_size(self) -> int | list[int]:
        """Width of the state; a list where there are several."""
        return self.units

    @property
    def output_size(self) -> int:
        """Width of the output."""
        return self.units

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """Shape of the bias."""
        return (self.gates * self.units,)

    @property
    def fusable(self) -> bool:
        """Whether this is the ordinary formula, which fast kernels compute."""
        raise NotImplementedError

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """State before the first step.

        Args:
            batch_size: B.

        Returns:
            Arrays (B, units) of zeros.
        """
        return _zeros(self, batch_size, self.state_size)

    def build(self, spec: Any) -> None:
        """Make kernel (D, gates * units), recurrent_kernel (units, gates * units) and bias.

        Args:
            spec: (None, D), one step.

        Raises:
            ShapeError: when a step is not a vector.
        """
        if len(spec) != 2:
            raise ShapeError(
                explain(
                    self.place,
                    expected="a vector at each step: (B, T, D), or (B, D) for the cell alone",
                    got=f"steps of shape {tuple(spec[1:])}",
                    fix="one vector for each step: x.reshape(B, T, -1) of a padded array",
                )
            )
        width = self.gates * self.units
        self.kernel = self.add_weight(
            "kernel",
            (spec[-1], width),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel",
            (self.units, width),
            self.recurrent_initializer,
            regularizer=self.recurrent_regularizer,
            constraint=self.recurrent_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                self.bias_shape,
                self.start_of_bias,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def start_of_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """First values of the bias.

        Args:
            shape: of the bias.
            dtype: of the values.

        Returns:
            A host array.
        """
        return (self.bias_initializer or initializers.Zeros())(shape)

    def project(self, x: Array) -> Array:
        """The part of the formula that needs no state.

        Args:
            x: (N, D), all steps at once.

        Returns:
            (N, gates * units).
        """
        z = x @ self.kernel
        return z if self.bias is None else z + self.bias

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The rest of the formula, for one time step.

        Args:
            z: (B, gates * units), what `project` gave.
            state: arrays (B, units).
            *constants: (B, units) to multiply the state with, for recurrent dropout; or nothing.

        Returns:
            (B, units) and the new state.
        """
        raise NotImplementedError

    def call(self, x: Array, states: Any) -> tuple[Array, Any]:
        """Compute one step.

        Args:
            x: (B, D).
            states: a list of arrays (B, units), or one array where one is enough.

        Returns:
            (B, units) and the new states, in the form of the old ones.
        """
        several = isinstance(states, list | tuple)
        if self.training and self.dropout:
            x = x * self.drop("dropout", tuple(x.shape))
        y, new = self.step(self.project(x), tuple(states) if several else (states,), *self.constants(x.shape[0]))
        return y, (list(new) if several else new[0])

    def run(self, x: Ragged, state: State, *, reverse: bool) -> tuple[Array, State]:
        """Compute all steps of all rows.

        Args:
            x: (B, None, D).
            state: arrays (B, units).
            reverse: read every row backwards.

        Returns:
            (N, units) and the state after each row's last step.
        """
        values, nrows = x.values, x.rows.nrows
        if self.training and self.dropout:
            values = values * spread(self.drop("dropout", (nrows, *values.shape[1:])), like=x).values
        constants = self.constants(nrows)
        return self.backend.recur(_Formula(self), values, x.rows, state, reverse=reverse, constants=constants)

    def constants(self, nrows: int) -> State:
        """What recurrent dropout multiplies each row's state with; nothing outside of training."""
        if not (self.training and self.recurrent_dropout):
            return ()
        return (self.drop("recurrent_dropout", (nrows, self.units)),)

    def drop(self, what: str, shape: tuple[int, ...]) -> Array:
        """Draw zeros in the share that the attribute `what` gives, and 1 / (1 - share) elsewhere."""
        share = getattr(self, what)
        seed = random.key(f"{self._path or self.name}/{what}")
        if self.seed is not None:
            seed = (self.seed, *seed)
        kept = self.backend.random_uniform(seed, shape, "float32") >= share
        return self.backend.cast(kept, self.dtype) / (1 - share)


class _Formula:
    """A cell as a backend reads it."""

    def __init__(self, cell: GatedCell) -> None:
        self.kind: str | None = cell.kind
        self.fusable = cell.fusable
        arrays = {"kernel": cell.kernel, "recurrent_kernel": cell.recurrent_kernel, "bias": cell.bias}
        self.weights: Mapping[str, Array] = {name: array for name, array in arrays.items() if array is not None}
        self.project = cell.project
        self.step = cell.step


def _masked(state: Array, constants: State) -> Array:
    return state * constants[0] if constants else state


def _split(z: Array, parts: int) -> list[Array]:
    """(B, parts * units) cut into gates (B, units)."""
    units = z.shape[1] // parts
    return [z[:, k * units : (k + 1) * units] for k in range(parts)]


def _zeros(layer: Layer, nrows: int, state_size: Any) -> list[Array]:
    xp, backend = layer.xp, layer.backend
    return [
        xp.zeros(shape, dtype=getattr(xp, layer.dtype), device=backend.device)
        for shape in _state_shapes(nrows, state_size)
    ]


def _state_shapes(nrows: int, state_size: Any) -> list[tuple[int, ...]]:
    sizes = state_size if isinstance(state_size, list | tuple) else [state_size]
    return [(nrows, *size) if isinstance(size, list | tuple) else (nrows, size) for size in sizes]


class LSTMCell(GatedCell):
    """One step of an LSTM.

    With the gates i, f, c, o of z = x kernel + bias + h recurrent_kernel:
    c = sigmoid(f) c + sigmoid(i) tanh(c), h = sigmoid(o) tanh(c).

    Args:
        units: size H of state and output.
        activation: of candidate and output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, 4H).
        recurrent_initializer: of the recurrent kernel (H, 4H).
        bias_initializer: of the bias (4H,).
        unit_forget_bias: start the bias of the forget gate at 1 (Jozefowicz and others 2015).
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        seed: sets the draws of this cell apart.
        **kwargs: name, dtype, trainable.

    Shapes: (B, D) and [(B, H), (B, H)] to (B, H) and [(B, H), (B, H)].

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).

    Example:
        >>> import numpy as np
        >>> cell = LSTMCell(4)
        >>> y, (h, c) = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
        >>> tuple(y.shape), tuple(c.shape)
        ((2, 4), (2, 4))

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers and others 2000.
    """

    kind = "lstm"
    gates = 4

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.unit_forget_bias = unit_forget_bias

    @property
    def state_size(self) -> list[int]:
        """Widths of h and c."""
        return [self.units, self.units]

    @property
    def fusable(self) -> bool:
        """Whether this is the ordinary formula, which fast kernels compute."""
        ordinary = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        return ordinary and type(self).step is LSTMCell.step and type(self).project is GatedCell.project

    def start_of_bias(self, shape: tuple[int, ...], dtype: Any = None) -> Any:
        """First values of the bias.

        Args:
            shape: of the bias.
            dtype: of the values.

        Returns:
            A host array, 1 at the forget gate unless told otherwise.
        """
        bias = super().start_of_bias(shape).copy()
        if self.unit_forget_bias:
            bias[self.units : 2 * self.units] = 1
        return bias

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The part of the formula that needs the state; see GatedCell."""
        h, c = state
        i, f, candidate, o = _split(z + _masked(h, constants) @ self.recurrent_kernel, 4)
        gate, squash = self.recurrent_activation, self.activation
        c = gate(f) * c + gate(i) * squash(candidate)
        h = gate(o) * squash(c)
        return h, (h, c)


class GRUCell(GatedCell):
    """One step of a GRU.

    With the gates z, r and the candidate g: h = sigmoid(z) h + (1 - sigmoid(z)) tanh(g), where r acts on the state's
    share of g, after the product with the recurrent kernel (reset_after=True) or before it.

    Args:
        units: size H of state and output.
        activation: of the candidate.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, 3H).
        recurrent_initializer: of the recurrent kernel (H, 3H).
        bias_initializer: of the bias: (2, 3H), for input and state, or (3H,) with reset_after=False.
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        reset_after: whether the reset gate acts after the product (as cuDNN does) or before it (as in the paper).
        seed: sets the draws of this cell apart.
        **kwargs: name, dtype, trainable.

    Shapes: (B, D) and [(B, H)] to (B, H) and [(B, H)].

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).

    Example:
        >>> import numpy as np
        >>> cell = GRUCell(4)
        >>> y, (h,) = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
        >>> tuple(y.shape)
        (2, 4)

    Source: Cho and others 2014.
    """

    kind = "gru"
    gates = 3

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        reset_after: bool = True,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )
        self.recurrent_activation = activations.get(recurrent_activation)
        self.reset_after = reset_after

    @property
    def bias_shape(self) -> tuple[int, ...]:
        """(2, 3H) where input and state have a bias each, else (3H,)."""
        return (2, 3 * self.units) if self.reset_after else (3 * self.units,)

    @property
    def fusable(self) -> bool:
        """Whether this is the ordinary formula, which fast kernels compute."""
        ordinary = self.activation is activations.tanh and self.recurrent_activation is activations.sigmoid
        own = type(self).step is GRUCell.step and type(self).project is GRUCell.project
        return self.reset_after and ordinary and own

    def project(self, x: Array) -> Array:
        """The part of the formula that needs no state; see GatedCell."""
        z = x @ self.kernel
        if self.bias is None:
            return z
        return z + (self.bias[0, :] if self.reset_after else self.bias)

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The part of the formula that needs the state; see GatedCell."""
        (old,) = state
        h = _masked(old, constants)
        gate, squash, kernel = self.recurrent_activation, self.activation, self.recurrent_kernel
        x_update, x_reset, x_candidate = _split(z, 3)
        if self.reset_after:
            inner = h @ kernel if self.bias is None else h @ kernel + self.bias[1, :]
            h_update, h_reset, h_candidate = _split(inner, 3)
            candidate = squash(x_candidate + gate(x_reset + h_reset) * h_candidate)
        else:
            h_update, h_reset = _split(h @ kernel[:, : 2 * self.units], 2)
            candidate = squash(x_candidate + (gate(x_reset + h_reset) * h) @ kernel[:, 2 * self.units :])
        update = gate(x_update + h_update)
        new = update * old + (1 - update) * candidate
        return new, (new,)


class SimpleRNNCell(GatedCell):
    """One step of a plain recurrent layer: h = tanh(x kernel + bias + h recurrent_kernel).

    Args:
        units: size H of state and output.
        activation: of the output.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, H).
        recurrent_initializer: of the recurrent kernel (H, H).
        bias_initializer: of the bias (H,).
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        seed: sets the draws of this cell apart.
        **kwargs: name, dtype, trainable.

    Shapes: (B, D) and [(B, H)] to (B, H) and [(B, H)].

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).

    Example:
        >>> import numpy as np
        >>> cell = SimpleRNNCell(4)
        >>> y, (h,) = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
        >>> tuple(y.shape)
        (2, 4)

    Source: Elman 1990.
    """

    kind = "simple_rnn"
    gates = 1

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **kwargs,
        )

    @property
    def fusable(self) -> bool:
        """Whether this is the ordinary formula, which fast kernels compute."""
        own = type(self).step is SimpleRNNCell.step and type(self).project is GatedCell.project
        return self.activation is activations.tanh and own

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The part of the formula that needs the state; see GatedCell."""
        h = self.activation(z + _masked(state[0], constants) @ self.recurrent_kernel)
        return h, (h,)


# ---- layers: all steps of all rows


class RNN(Layer):
    """Run a cell over every row, from its first to its last live step.

    Args:
        cell: LSTMCell, GRUCell, SimpleRNNCell, or a class of your own with `call(x_t, states)` that returns the output
            and the new states, `state_size` (a number, or a list of them) and, if zeros will not do,
            `get_initial_state(batch_size)`. Its output need not be its first state.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return the state after each row's last step, too: [output, state, ...].
        go_backwards: read every row from its last to its first step. The sequence comes back in the order in which it
            was read, each row's last step first; holes stay where they are.
        stateful: keep the state from batch to batch; not there yet.
        unroll: accepted; there is nothing to unroll.
        zero_output_for_mask: accepted; masked steps are not computed, and are zeros in a padded output.
        **kwargs: name, dtype, trainable.

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; states (B, H). An empty row has no output,
        its state is the initial one, and so is its last output (zeros for a cell of your own).

    Call arguments: `initial_state=[...]`, one array (B, H) for each state. Rows stay rows beside it.

    Raises:
        ArgumentError: for a cell without `call` or `state_size`.
        ShapeError: for an input that is not a sequence of such steps, or an initial state of other shapes.
        NotThereYetError: for stateful=True or a list of cells.

    Example:
        >>> import padless
        >>> layer = RNN(GRUCell(4), return_sequences=True)
        >>> layer(padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])).shape
        (2, None, 4)

    Source: Elman 1990.
    """

    view = "ragged"
    reads = "floats"

    def __init__(
        self,
        cell: Any,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        where = type(self).__name__
        if stateful:
            fix = "return_state=True, and initial_state= in the next call"
            raise NotThereYetError(explain(f"{where}(stateful=True)", expected="False", got="True", fix=fix))
        if isinstance(cell, list | tuple):
            fix = "one RNN layer for each cell, all but the last with return_sequences=True"
            raise NotThereYetError(explain(f"{where}(cell)", expected="one cell", got="a list of cells", fix=fix))
        if not (hasattr(cell, "call") and hasattr(cell, "state_size")):
            fix = "LSTMCell(32), or a class with call(self, x_t, states) and state_size"
            raise ArgumentError(
                explain(f"{where}(cell)", expected="a cell with `call` and `state_size`", got=repr(cell), fix=fix)
            )
        if getattr(cell, "activity_regularizer", None) is not None:
            # The cell is never called as a layer, so nothing would come of it.
            fix = f"{where}(..., activity_regularizer=...), which counts the layer's output"
            what = f"{where}(cell): activity_regularizer"
            raise NotThereYetError(explain(what, expected="that of the layer", got="one of the cell", fix=fix))
        self.cell = cell
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.step_shape: tuple[int | None, ...] = ()

    @property
    def state_size(self) -> list[Any]:
        """Width of each state."""
        size = self.cell.state_size
        return list(size) if isinstance(size, list | tuple) else [size]

    def get_initial_state(self, batch_size: int) -> list[Array]:
        """State before the first step.

        Args:
            batch_size: B.

        Returns:
            An array (B, H) for each state.
        """
        if not hasattr(self.cell, "get_initial_state"):
            return _zeros(self, batch_size, self.cell.state_size)
        state = self.cell.get_initial_state(batch_size=batch_size)
        return list(state) if isinstance(state, list | tuple) else [state]

    def build(self, spec: Any) -> None:
        """Make the cell's weights.

        Args:
            spec: (None, None, D).

        Raises:
            ShapeError: when the input is not a sequence of vectors.
        """
        if len(spec) < 3:
            raise ShapeError(
                explain(
                    self.place,
                    expected="sequences with features at each step, (B, T, D)",
                    got=f"shape {tuple(spec)}",
                    fix="layers.Embedding before it for ids; x[..., None] for sequences of one number",
                )
            )
        self.step_shape = tuple(spec[2:])
        if isinstance(self.cell, Layer) and not self.cell.built:
            self.cell._build_with(Spec((None, *self.step_shape), getattr(spec, "dtype", self.dtype), ragged=False))

    def call(self, x: Ragged, initial_state: Any = None) -> Any:
        """Run the cell over all rows.

        Args:
            x: (B, None, D).
            initial_state: an array (B, H) for each state; zeros by default.

        Returns:
            The output; or a list of the output and the states.
        """
        if tuple(x.values.shape[1:]) != self.step_shape:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"steps of shape {self.step_shape}, as in the first call",
                    got=f"steps of shape {tuple(x.values.shape[1:])}",
                    fix="the same features in every call, or another layer",
                )
            )
        state = self._initial(initial_state, x.rows.nrows)
        # A subclass of a cell may have a `call` of its own: then that is the formula.
        if isinstance(self.cell, GatedCell) and type(self.cell).call is GatedCell.call:
            y, final = self.cell.run(x, state, reverse=self.go_backwards)
            last = final[0]
        else:
            y, final = self.backend.scan(self._step, x.values, x.rows, state, reverse=self.go_backwards)
            at = self.backend.index(x.rows, "first_index" if self.go_backwards else "last_index")
            last = None if self.return_sequences else self.backend.take_or(y, at, 0)
        output = last
        if self.return_sequences:
            output = row_reverse(x.with_values(y)) if self.go_backwards else x.with_values(y)
        return [output, *final] if self.return_state else output

    def _step(self, x: Array, state: State) -> tuple[Array, State]:
        """One step of a cell of the user's own."""
        run = self.cell._run if isinstance(self.cell, Layer) else self.cell.call
        y, new = run(x, list(state))
        return y, tuple(new) if isinstance(new, list | tuple) else (new,)

    def _initial(self, given: Any, nrows: int) -> State:
        if given is None:
            return tuple(self.get_initial_state(nrows))
        arrays = list(given) if isinstance(given, list | tuple) else [given]
        wanted = _state_shapes(nrows, self.state_size)
        came = [tuple(getattr(array, "shape", ())) for array in arrays]
        if came != wanted:
            raise ShapeError(
                explain(
                    f"initial_state of {self.place}",
                    expected=f"{len(wanted)} array(s) of shape {', '.join(map(str, wanted))}",
                    got=f"{len(came)} of shape {', '.join(map(str, came))}",
                    fix="the states that return_state=True gives for the same number of rows, without the output",
                )
            )
        return tuple(self.backend.asarray(array, self.dtype) for array in arrays)


class LSTM(RNN):
    """Long short-term memory.

    Args:
        units: size H of state and output.
        activation: of candidate and output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, 4H), gates in the order i, f, c, o.
        recurrent_initializer: of the recurrent kernel (H, 4H).
        bias_initializer: of the bias (4H,).
        unit_forget_bias: start the bias of the forget gate at 1 (Jozefowicz and others 2015).
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        seed: sets the draws of this layer apart.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return [output, h, c], the state after each row's last step.
        go_backwards: read every row from its last to its first step; see RNN.
        stateful: not there yet.
        unroll: accepted; there is nothing to unroll.
        use_cudnn: accepted; fast kernels are used where they fit.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h and c (B, H). An empty row has no output,
        and its state is the initial one.

    Call arguments: `initial_state=[h, c]`, each (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), or an initial state of other shapes.
        NotThereYetError: for stateful=True.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
        >>> output, h, c = LSTM(8, return_sequences=True, return_state=True)(x)
        >>> output.shape, tuple(h.shape)
        ((2, None, 8), (2, 8))

    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers and others 2000.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        unit_forget_bias: bool = True,
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        use_cudnn: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        cell = LSTMCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            unit_forget_bias=unit_forget_bias,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **_for_cell("lstm_cell", kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.use_cudnn = use_cudnn

    @property
    def units(self) -> int:
        """Size of state and output."""
        return int(self.cell.units)


class GRU(RNN):
    """Gated recurrent unit.

    Args:
        units: size H of state and output.
        activation: of the candidate.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, 3H), gates in the order z (update), r (reset), h (candidate).
        recurrent_initializer: of the recurrent kernel (H, 3H).
        bias_initializer: of the bias: (2, 3H), for input and state, or (3H,) with reset_after=False.
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        seed: sets the draws of this layer apart.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return [output, h], the state after each row's last step.
        go_backwards: read every row from its last to its first step; see RNN.
        stateful: not there yet.
        unroll: accepted; there is nothing to unroll.
        reset_after: whether the reset gate acts after the product (as cuDNN does) or before it (as in the paper).
        use_cudnn: accepted; fast kernels are used where they fit.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h (B, H). An empty row has no output, and its
        state is the initial one.

    Call arguments: `initial_state=h`, (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), or an initial state of another shape.
        NotThereYetError: for stateful=True.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
        >>> tuple(GRU(8)(x).shape)
        (2, 8)

    Source: Cho and others 2014.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        recurrent_activation: Any = "sigmoid",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        seed: int | None = None,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        reset_after: bool = True,
        use_cudnn: str | bool = "auto",
        **kwargs: Any,
    ) -> None:
        cell = GRUCell(
            units,
            activation=activation,
            recurrent_activation=recurrent_activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            reset_after=reset_after,
            seed=seed,
            **_for_cell("gru_cell", kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.use_cudnn = use_cudnn

    @property
    def units(self) -> int:
        """Size of state and output."""
        return int(self.cell.units)


class SimpleRNN(RNN):
    """Plain recurrent layer: each output is tanh of input and last output, each times a matrix.

    Args:
        units: size H of state and output.
        activation: of the output.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (D, H).
        recurrent_initializer: of the recurrent kernel (H, H).
        bias_initializer: of the bias (H,).
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's features that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's features that a row loses in training, the same at all its steps.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return [output, h], the state after each row's last step.
        go_backwards: read every row from its last to its first step; see RNN.
        stateful: not there yet.
        unroll: accepted; there is nothing to unroll.
        seed: sets the draws of this layer apart.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h (B, H). An empty row has no output, and its
        state is the initial one.

    Call arguments: `initial_state=h`, (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), or an initial state of another shape.
        NotThereYetError: for stateful=True.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])
        >>> tuple(SimpleRNN(8)(x).shape)
        (2, 8)

    Source: Elman 1990.
    """

    def __init__(
        self,
        units: int,
        activation: Any = "tanh",
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        recurrent_initializer: Any = "orthogonal",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        recurrent_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        recurrent_constraint: Any = None,
        bias_constraint: Any = None,
        dropout: float = 0.0,
        recurrent_dropout: float = 0.0,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        seed: int | None = None,
        **kwargs: Any,
    ) -> None:
        cell = SimpleRNNCell(
            units,
            activation=activation,
            use_bias=use_bias,
            kernel_initializer=kernel_initializer,
            recurrent_initializer=recurrent_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            recurrent_regularizer=recurrent_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            recurrent_constraint=recurrent_constraint,
            bias_constraint=bias_constraint,
            dropout=dropout,
            recurrent_dropout=recurrent_dropout,
            seed=seed,
            **_for_cell("simple_rnn_cell", kwargs),
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )

    @property
    def units(self) -> int:
        """Size of state and output."""
        return int(self.cell.units)


def _for_cell(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a layer's further arguments say about its cell; `implementation` is the cell's alone."""
    kwargs.pop("implementation", None)
    return {"name": name, **{key: kwargs[key] for key in ("dtype", "trainable") if key in kwargs}}
