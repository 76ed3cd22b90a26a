"""Recurrent cells: one time step, alone or one cell on another, and how a cell is run over all steps of all rows."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any, ClassVar

import optree

from padless import activations, constraints, initializers, random, regularizers
from padless.errors import ArgumentError, NotThereYetError, ShapeError, explain
from padless.layer import Layer, losses_go
from padless.layers.arguments import positive
from padless.ragged import Ragged
from padless.row_ops import spread
from padless.spec import Spec

Array = Any
State = tuple[Array, ...]


class GatedCell(Layer):
    """What the cells of padless share: weights in Keras's layout, dropout, the call on one step.

    A subclass gives `project` (the part of the formula without state) and `step` (the rest).
    """

    reads = "floats"
    sums = True
    kind: ClassVar[str]
    gates: ClassVar[int]
    width: ClassVar[str] = "units"
    """Name of the argument that says how wide the output is."""

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
        self.units = positive(self.place, self.width, units)
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
    def output_shape(self) -> tuple[int, ...]:
        """Shape of a row's output and of its first state."""
        return (self.units,)

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
        return zeros(self, batch_size, self.state_size)

    def kernel_shapes(self, spec: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of kernel and recurrent kernel.

        Args:
            spec: (None, D), one step.

        Returns:
            (D, gates * units) and (units, gates * units).

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
        return (spec[-1], self.gates * self.units), (self.units, self.gates * self.units)

    def build(self, spec: Any) -> None:
        """Make kernel, recurrent_kernel and bias.

        Args:
            spec: (None, D), one step.
        """
        kernel, recurrent_kernel = self.kernel_shapes(spec)
        self.kernel = self.add_weight(
            "kernel",
            kernel,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.recurrent_kernel = self.add_weight(
            "recurrent_kernel",
            recurrent_kernel,
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
        return self.backend.dense(x, self.kernel, self.bias)

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

    def run(self, x: Ragged, states: Any, *, reverse: bool) -> tuple[Array, list[Array]]:
        """Compute all steps of all rows.

        Args:
            x: (B, None, D).
            states: a list of arrays (B, units).
            reverse: read every row backwards.

        Returns:
            (N, units) and the states after each row's last step.
        """
        values, nrows = x.values, x.rows.nrows
        if self.training and self.dropout:
            values = values * spread(self.drop("dropout", (nrows, *values.shape[1:])), like=x).values
        constants, state = self.constants(nrows), tuple(states)
        y, final = self.backend.recur(_Formula(self), values, x.rows, state, reverse=reverse, constants=constants)
        return y, list(final)

    def constants(self, nrows: int) -> State:
        """What recurrent dropout multiplies each row's state with; nothing outside of training."""
        if not (self.training and self.recurrent_dropout):
            return ()
        return (self.drop("recurrent_dropout", (nrows, *self.output_shape)),)

    def drop(self, what: str, shape: tuple[int, ...]) -> Array:
        """Draw zeros in the share that the attribute `what` gives, and 1 / (1 - share) elsewhere."""
        share = getattr(self, what)
        seed = random.key(f"{self._path or self.name}/{what}")
        if self.seed is not None:
            seed = (self.seed, *seed)
        kept = self.backend.random_uniform(seed, shape, "float32") >= share
        return self.backend.cast(kept, self.call_dtype) / (1 - share)


class _Formula:
    """A cell as a backend reads it."""

    def __init__(self, cell: GatedCell) -> None:
        self.kind: str | None = cell.kind
        self.fusable = cell.fusable
        self.reset_after: bool = getattr(cell, "reset_after", True)
        arrays = {"kernel": cell.kernel, "recurrent_kernel": cell.recurrent_kernel, "bias": cell.bias}
        self.weights: Mapping[str, Array] = {name: array for name, array in arrays.items() if array is not None}
        self.project = cell.project
        self.step = cell.step


def dropped(state: Array, constants: State) -> Array:
    """A state without what recurrent dropout drops."""
    return state * constants[0] if constants else state


def gates_of(z: Array, parts: int) -> list[Array]:
    """(B, ..., parts * units) cut into gates (B, ..., units)."""
    units = z.shape[-1] // parts
    return [z[..., k * units : (k + 1) * units] for k in range(parts)]


def lstm_step(cell: LSTMCell, z: Array, c: Array) -> tuple[Array, State]:
    """What an LSTM makes of all four gates z and of what it carries."""
    i, f, candidate, o = gates_of(z, 4)
    gate, squash = cell.recurrent_activation, cell.activation
    c = gate(f) * c + gate(i) * squash(candidate)
    h = gate(o) * squash(c)
    return h, (h, c)


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
        return lstm_step(self, z + dropped(h, constants) @ self.recurrent_kernel, c)


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
        return ordinary and own

    def project(self, x: Array) -> Array:
        """The part of the formula that needs no state; see GatedCell."""
        bias = self.bias[0, :] if self.bias is not None and self.reset_after else self.bias
        return self.backend.dense(x, self.kernel, bias)

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The part of the formula that needs the state; see GatedCell."""
        (old,) = state
        h = dropped(old, constants)
        gate, squash, kernel = self.recurrent_activation, self.activation, self.recurrent_kernel
        x_update, x_reset, x_candidate = gates_of(z, 3)
        if self.reset_after:
            inner = h @ kernel if self.bias is None else h @ kernel + self.bias[1, :]
            h_update, h_reset, h_candidate = gates_of(inner, 3)
            candidate = squash(x_candidate + gate(x_reset + h_reset) * h_candidate)
        else:
            h_update, h_reset = gates_of(h @ kernel[:, : 2 * self.units], 2)
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
        h = self.activation(z + dropped(state[0], constants) @ self.recurrent_kernel)
        return h, (h,)


class StackedRNNCells(Layer):
    """Several cells as one: the output of each is the input of the next.

    `RNN([cell, cell])` makes one by itself. Over rows, each cell is run over all steps before the next one is, by the
    same kernels as a layer of its own.

    Args:
        cells: a list of cells: LSTMCell, GRUCell, SimpleRNNCell, or your own, as `RNN` takes them.
        **kwargs: name, dtype, trainable.

    Shapes: (B, D) and a list with the states of each cell, to (B, H) of the last cell and a list like that.

    Raises:
        ArgumentError: for no cells, or something that is none.
        ShapeError: for a cell whose output or states have the wrong shape.

    Example:
        >>> import padless
        >>> layer = padless.layers.RNN([LSTMCell(8), GRUCell(4)], return_state=True)
        >>> y, (h, c), (last,) = layer(padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]]))
        >>> tuple(y.shape), tuple(c.shape), tuple(last.shape)
        ((2, 4), (2, 8), (2, 4))

    Source: Graves, Mohamed and Hinton 2013.
    """

    reads = "floats"
    reads_weights_of = ("cells",)
    sums = True

    def __init__(self, cells: Sequence[Any], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(cells, list | tuple) or not cells:
            fix = "StackedRNNCells([LSTMCell(32), LSTMCell(32)])"
            raise ArgumentError(explain(f"{self.place}: cells", expected="a list of cells", got=repr(cells), fix=fix))
        for at, cell in enumerate(cells):
            require_cell(f"{self.place}: cells[{at}]", cell)
        self.cells = list(cells)

    @property
    def state_size(self) -> list[Any]:
        """What each cell says."""
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self) -> Any:
        """Width of the last cell's output."""
        return output_size(self.cells[-1])

    def get_initial_state(self, batch_size: int) -> list[Any]:
        """States before the first step.

        Args:
            batch_size: B.

        Returns:
            For each cell a list of arrays (B, H); an array where the cell itself says nothing but one width.
        """
        return [
            zeros(self, batch_size, cell.state_size)[0]
            if not hasattr(cell, "get_initial_state") and not isinstance(cell.state_size, list | tuple)
            else first_states(self, cell, batch_size)
            for cell in self.cells
        ]

    def build(self, spec: Any) -> None:
        """Make the weights of all cells.

        Args:
            spec: (None, D), one step.
        """
        for cell in self.cells:
            build_cell(cell, spec)
            size = output_size(cell)
            spec = Spec((None, *(size if isinstance(size, tuple) else (size,))), self.dtype, ragged=False)

    def call(self, x: Array, states: Any) -> tuple[Array, list[Any]]:
        """Compute one step.

        Args:
            x: (B, D).
            states: those of each cell.

        Returns:
            (B, H) and the new states of each cell.
        """
        new = []
        for cell, given in zip(self.cells, states, strict=True):
            leaves, form = flat(given if isinstance(given, list | tuple) else [given])
            x, made = CheckedStep(self, cell, form)(x, tuple(leaves))
            new.append(form.unflatten(made) if isinstance(given, list | tuple) else made[0])
        return x, new

    def run(self, x: Ragged, states: Any, *, reverse: bool) -> tuple[Array, list[Any]]:
        """Compute all steps of all rows.

        Args:
            x: (B, None, D).
            states: those of each cell.
            reverse: read every row backwards.

        Returns:
            (N, H) and the states of each cell after each row's last step.
        """
        new = []
        for cell, given in zip(self.cells, states, strict=True):
            several = isinstance(given, list | tuple)
            y, made = run_cell(self, cell, x, given if several else [given], reverse=reverse)
            x = x.with_values(y)
            new.append(made if several else made[0])
        return x.values, new


# ---- any cell: what it must have, its states, all steps


def require_cell(where: str, cell: Any) -> None:
    """Require what makes a cell.

    Args:
        where: the argument, for the error.
        cell: what was given.

    Raises:
        ArgumentError: when it has no `call`, or no `state_size` that says how wide its states are.
    """
    size = getattr(cell, "state_size", None)
    if not callable(getattr(cell, "call", None)) or size is None:
        fix = "LSTMCell(32), or a class with call(self, x_t, states) and state_size"
        raise ArgumentError(explain(where, expected="a cell with `call` and `state_size`", got=repr(cell), fix=fix))
    if hasattr(cell, "get_initial_state"):
        return
    widths = optree.tree_leaves(size)
    if not all(hasattr(n, "__index__") and not isinstance(n, bool) and n >= 0 for n in widths):
        raise ArgumentError(
            explain(
                f"{where}: state_size",
                expected="the width of the state, or a list with a width, or a tuple of sizes, for each state",
                got=repr(size),
                fix="state_size = 32, or [32, (4, 8)]; or get_initial_state(self, batch_size), which says it all",
            )
        )


def build_cell(cell: Any, spec: Any) -> None:
    """Make the weights of a cell that is a layer and has none yet.

    Args:
        cell: the cell.
        spec: (None, D), one step.
    """
    if isinstance(cell, Layer) and not cell.built:
        cell._build_with(spec)


def output_size(cell: Any) -> Any:
    """Width of a cell's output: what it says, or else that of its first state.

    Args:
        cell: the cell.

    Returns:
        A number, or a shape.
    """
    size = getattr(cell, "output_size", None)
    if size is not None:
        return size
    return cell.state_size[0] if isinstance(cell.state_size, list | tuple) else cell.state_size


def flat(states: Any) -> tuple[list[Array], Any]:
    """The arrays in nested lists, and what puts others like them into the same lists."""
    leaves, form = optree.tree_flatten(states)
    return list(leaves), form


def first_states(owner: Layer, cell: Any, nrows: int) -> list[Any]:
    """The states of a cell before the first step: what it says itself, or else zeros.

    Args:
        owner: the layer that runs the cell.
        cell: the cell.
        nrows: B.

    Returns:
        Arrays (B, ...), in nested lists where the cell consists of cells.
    """
    if not hasattr(cell, "get_initial_state"):
        return zeros(owner, nrows, cell.state_size)
    state = cell.get_initial_state(batch_size=nrows)
    return list(state) if isinstance(state, list | tuple) else [state]


def zeros(owner: Layer, nrows: int, state_size: Any) -> list[Any]:
    """States of zeros.

    Args:
        owner: the layer that runs the cell.
        nrows: B.
        state_size: the width of one state, or a list with an entry for each: a width; a tuple, the shape of a state; or
            a list, the states of a cell within the cell.

    Returns:
        Arrays (B, ...), in nested lists as the sizes are.
    """
    backend, xp = owner.backend, owner.xp

    def made(size: Any) -> Any:
        if isinstance(size, list):
            return [made(one) for one in size]
        shape = (nrows, *size) if isinstance(size, tuple) else (nrows, size)
        return xp.zeros(shape, dtype=getattr(xp, owner.call_dtype), device=backend.device)

    return [made(size) for size in (state_size if isinstance(state_size, list | tuple) else [state_size])]


def runs_whole(cell: Any) -> bool:
    """Whether a cell computes all steps itself. A subclass with a `call` of its own does not: that is its formula."""
    return getattr(type(cell), "call", None) in (GatedCell.call, StackedRNNCells.call)


def run_cell(owner: Layer, cell: Any, x: Ragged, states: Any, *, reverse: bool) -> tuple[Array, list[Any]]:
    """Run a cell over every row, from its first to its last live step.

    Args:
        owner: the layer that runs it.
        cell: the cell.
        x: (B, None, ...).
        states: those before the first step of each row.
        reverse: read every row backwards.

    Returns:
        (N, ...) the output at each step, and the states after each row's last step, in the same lists.
    """
    if runs_whole(cell):
        whole: tuple[Array, list[Any]] = cell.run(x, states, reverse=reverse)
        return whole
    leaves, form = flat(states)
    step = CheckedStep(owner, cell, form)
    y, final = owner.backend.scan(step, x.values, x.rows, tuple(leaves), reverse=reverse)
    return y, list(form.unflatten(final))


def last_output(cell: Any, final: list[Any]) -> Array | None:
    """A cell's output at the last step of each row, where one of its states is that; None where it is not.

    Args:
        cell: the cell.
        final: its states after each row's last step.

    Returns:
        (B, H); of a row without steps, the state that it began with.
    """
    if not runs_whole(cell):
        return None
    return last_output(cell.cells[-1], final[-1]) if isinstance(cell, StackedRNNCells) else final[0]


class CheckedStep:
    """One step of a cell, as backends call it: what the cell returns is looked at before anything is done with it.

    Args:
        owner: the layer that runs the cell.
        cell: the cell.
        form: of its states.
    """

    def __init__(self, owner: Layer, cell: Any, form: Any) -> None:
        self.form = form
        self.compiled = owner.backend.compiles
        known = isinstance(cell, Layer) and (cell._path or not owner._path)
        self.place = cell.place if known else f"the cell {type(cell).__name__} of {owner.place}"
        self.call = cell._run if isinstance(cell, Layer) else cell.call
        if not isinstance(cell, Layer) and "training" in inspect.signature(cell.call).parameters:
            self.call = partial(cell.call, training=owner.training)

    def __call__(self, x: Array, state: State) -> tuple[Array, State]:
        """Compute one step of the live rows."""
        with losses_go(self._refuse_loss) if self.compiled else nullcontext():
            made = self.call(x, self.form.unflatten(state))
        if not isinstance(made, list | tuple) or len(made) != 2:
            self._refuse("two things from `call`: the output, and the list of new states", _described(made))
        y, new = made
        leaves = flat(new)[0]
        wanted, came = [tuple(s.shape) for s in state], [tuple(getattr(s, "shape", ())) for s in leaves]
        if came != wanted:
            self._refuse(f"new states of the shapes of the old ones, {_listed(wanted)}", _listed(came))
        if not getattr(y, "shape", ()) or y.shape[0] != x.shape[0]:
            self._refuse(f"an output with an entry for each of {x.shape[0]} rows", _described(y))
        return y, tuple(leaves)

    def _refuse_loss(self, layer: Layer, value: Array) -> None:
        raise NotThereYetError(
            explain(
                f"{self.place}: add_loss",
                expected="a cell that adds nothing to the loss, where all steps are compiled as one loop",
                got=f"something added by {layer.place}",
                fix="add_loss or activity_regularizer in a layer after it, which sees the outputs of all steps",
            )
        )

    def _refuse(self, expected: str, got: str) -> None:
        fix = "return y, [h], with y (B, H) and a state (B, ...) for each entry of state_size, in that order"
        raise ShapeError(explain(self.place, expected=expected, got=got, fix=fix))


def _listed(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(map(str, shapes)) if shapes else "none"


def _described(made: Any) -> str:
    if hasattr(made, "shape"):
        return f"an array of shape {tuple(made.shape)}"
    return f"a {type(made).__name__}" + (f" of {len(made)}" if isinstance(made, list | tuple) else "")
