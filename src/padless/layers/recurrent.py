"""Recurrent layers: each row from its first to its last live step, whatever stands beside it in the batch."""

from __future__ import annotations

from typing import Any

from padless.errors import BackendError, NotThereYetError, ShapeError, explain
from padless.layer import Layer, carries_apart
from padless.layers.cells import (
    GatedCell,
    GRUCell,
    LSTMCell,
    SimpleRNNCell,
    StackedRNNCells,
    build_cell,
    first_states,
    flat,
    last_output,
    require_cell,
    run_cell,
)
from padless.ragged import Ragged
from padless.row_ops import row_reverse
from padless.spec import Spec

Array = Any


class RNN(Layer):
    """Run a cell over every row, from its first to its last live step.

    Args:
        cell: LSTMCell, GRUCell, SimpleRNNCell, or a class of your own with `call(x_t, states)` that returns the output
            and the new states, `state_size` (a width, or a list of them; a tuple in it is the shape of a state that is
            no vector) and, if zeros will not do, `get_initial_state(batch_size)`. Its output need not be its first
            state, and `call` may take `training`. A list of cells is a stack: see StackedRNNCells.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return the state after each row's last step, too: [output, state, ...].
        go_backwards: read every row from its last to its first step. The sequence comes back in the order in which it
            was read, each row's last step first; holes stay where they are.
        stateful: begin each row of a batch with the state that the row at its place in the batch before ended with.
            Batches must have equally many rows, in the same order: `fit` wants shuffle=False and a batch_size that
            divides the rows. `reset_state` of the layer or of the model forgets it all.
        unroll: accepted; there is nothing to unroll.
        zero_output_for_mask: accepted; masked steps are not computed, and are zeros in a padded output.
        **kwargs: name, dtype, trainable.

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; states (B, H). An empty row has no output,
        its state is the initial one, and so is its last output (zeros for a cell of your own).

    Call arguments: `initial_state=[...]`, one array (B, H) for each state. Rows stay rows beside it. Of a stack of
        cells a list for each cell, or all arrays in one list.

    Raises:
        ArgumentError: for a cell without `call` or `state_size`.
        ShapeError: for an input that is not a sequence of such steps, an initial state of other shapes, a cell that
            returns something else than an output and states like the old ones, or a batch of another size where
            states are kept.

    Example:
        >>> import padless
        >>> layer = RNN(GRUCell(4), return_sequences=True)
        >>> layer(padless.Ragged.from_list([[[1.0, 2.0]], [[3.0, 4.0], [5.0, 6.0]]])).shape
        (2, None, 4)

    Source: Elman 1990.
    """

    view = "ragged"
    reads = "floats"
    reads_weights_of = ("cell",)
    sums = True

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
        if isinstance(cell, list | tuple):
            cell = StackedRNNCells(cell, dtype=kwargs.get("dtype"))
        where = f"{type(self).__name__}(cell)"
        require_cell(where, cell)
        if getattr(cell, "activity_regularizer", None) is not None:
            # The cell is never called as a layer, so nothing would come of it.
            fix = f"{type(self).__name__}(..., activity_regularizer=...), which counts the layer's output"
            what = f"{where}: activity_regularizer"
            raise NotThereYetError(explain(what, expected="that of the layer", got="one of the cell", fix=fix))
        self.cell = cell
        # A cell is run in the dtype of the layer, whatever it is when called alone.
        self._special = self._special or getattr(cell, "_special", False)
        self.return_sequences = return_sequences
        self.return_state = return_state
        self.go_backwards = go_backwards
        self.stateful = stateful
        self.unroll = unroll
        self.zero_output_for_mask = zero_output_for_mask
        self.step_shape: tuple[int | None, ...] = ()
        self._begins_with_zeros = False
        if stateful:
            self.kept = None

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
        return first_states(self, self.cell, batch_size)

    @property
    def states(self) -> list[Any] | None:
        """What a stateful layer keeps for the next batch; None where it keeps nothing."""
        if self.kept is None:
            return None
        form = flat(self.get_initial_state(self.kept[0].shape[0] if self.kept else 1))[1]
        return list(form.unflatten(self.kept))

    def reset_state(self, states: Any = None) -> None:
        """Forget the states that were kept, so that the next batch begins anew and may have another size.

        Args:
            states: arrays to begin the next batch with, in place of the initial ones.

        Example:
            >>> import numpy as np
            >>> layer = SimpleRNN(2, stateful=True)
            >>> first = layer(np.ones((3, 4, 1), np.float32))
            >>> layer.reset_state()
            >>> bool((layer(np.ones((3, 4, 1), np.float32)) == first).all())
            True
        """
        if self.stateful:
            self.kept = None if states is None else [self._in_dtype(state) for state in flat(states)[0]]

    def reset_states(self) -> None:
        """`reset_state` under its older name."""
        self.reset_state()

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
        # Zeros that the cell makes itself are as they should be; there is nothing to be looked at in each call.
        own = type(self).get_initial_state is RNN.get_initial_state
        own = own and getattr(type(self.cell), "get_initial_state", None) is GatedCell.get_initial_state
        self._begins_with_zeros = own and self.cell.call_dtype == self.call_dtype
        build_cell(self.cell, Spec((None, *self.step_shape), getattr(spec, "dtype", self.dtype), ragged=False))

    def call(self, x: Ragged, initial_state: Any = None, in_order: bool = False) -> Any:
        """Run the cell over all rows.

        Args:
            x: (B, None, D).
            initial_state: an array (B, H) for each state; zeros by default.
            in_order: leave the output of each step at its step with `go_backwards`, too.

        Returns:
            The output; or a list of the output and the states.
        """
        if x.values.shape[1:] != self.step_shape:
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"steps of shape {self.step_shape}, as in the first call",
                    got=f"steps of shape {tuple(x.values.shape[1:])}",
                    fix="the same features in every call, or another layer",
                )
            )
        y, final = run_cell(self, self.cell, x, self._begin(initial_state, x.rows.nrows), reverse=self.go_backwards)
        if self.stateful and not self.tracing:
            self._keep(final)
        output: Any
        if self.return_sequences:
            output = x.with_values(y)
            if self.go_backwards and not in_order:
                output = row_reverse(output)
        else:
            output = last_output(self.cell, final)
            if output is None:
                at = self.backend.index(x.rows, "first_index" if self.go_backwards else "last_index")
                output = self.backend.take_or(y, at, 0)
        return [output, *final] if self.return_state else output

    def _begin(self, given: Any, nrows: int) -> list[Any]:
        """The states before the first step of each row: those given, those kept, or the cell's own."""
        if self._begins_with_zeros and given is None and self.kept is None:
            return self.get_initial_state(nrows)
        first, form = flat(self.get_initial_state(nrows))
        first = [self._in_dtype(state) for state in first]
        wanted = [tuple(state.shape) for state in first]
        if any(shape[:1] != (nrows,) for shape in wanted):
            expected = f"arrays with an entry for each of {nrows} rows"
            self._refuse_states("get_initial_state", expected, wanted, "arrays (batch_size, ...) for state_size")
        if self.stateful and not self.tracing and self.kept is not None:
            self._require_size(nrows)
            given = self.kept if given is None else given
        if given is None:
            return list(form.unflatten(first))
        arrays = flat(given)[0]
        came = [tuple(getattr(array, "shape", ())) for array in arrays]
        if came != wanted:
            # Of symbols, the number of rows is that of a stand-in.
            of_one = [(None, *shape[1:]) if self.tracing else shape for shape in (*wanted, *came)]
            expected = f"{len(wanted)} array(s) of shape {', '.join(map(str, of_one[: len(wanted)]))}"
            came = of_one[len(wanted) :]
            fix = "the states that return_state=True gives for the same number of rows, without the output"
            self._refuse_states("initial_state", expected, came, fix)
        pairs = zip(arrays, first, strict=True)
        return list(form.unflatten([self.backend.asarray(a, self.backend.dtype_name(like)) for a, like in pairs]))

    def _in_dtype(self, state: Any) -> Array:
        """A state on the backend; floats in the layer's dtype, whole numbers as they are."""
        array = self.backend.asarray(state)
        kind = self.backend.dtype_name(array)
        floats = kind.startswith(("float", "bfloat"))
        return self.backend.cast(array, self.call_dtype) if floats and kind != self.call_dtype else array

    def _refuse_states(self, what: str, expected: str, came: list[tuple[int, ...]], fix: str) -> None:
        got = f"{len(came)} of shape {', '.join(map(str, came))}"
        raise ShapeError(explain(f"{what} of {self.place}", expected=expected, got=got, fix=fix))

    def _require_size(self, nrows: int) -> None:
        assert self.kept is not None
        size = int(self.kept[0].shape[0]) if self.kept else nrows
        if size != nrows:
            raise ShapeError(
                explain(
                    f"{self.place}, stateful",
                    expected=f"a batch of {size} rows, which go on where those of the last batch ended",
                    got=f"a batch of {nrows} rows",
                    fix=f"batches of {size} rows each; reset_state() of the layer or the model before other rows come",
                )
            )

    def _keep(self, final: Any) -> None:
        states = [self.backend.stop_gradient(state) for state in flat(final)[0]]
        if not carries_apart() and any(self.backend.is_traced(state) for state in states):
            raise BackendError(
                explain(
                    f"{self.place}, stateful",
                    expected="a call that is not being compiled: it could not leave its state in the layer",
                    got="one inside of a transformation such as jax.jit",
                    fix="return_state=True and initial_state=, which pass states on; or fit and predict of a model",
                )
            )
        self.kept = states

    def __getattr__(self, name: str) -> Any:
        # Called for what is not found here: the arguments of the cell, as in Keras (layer.dropout).
        cell = self.__dict__.get("cell")
        if cell is None or type(self) is RNN or name not in getattr(cell, "_arguments", ()):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return getattr(cell, name)


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
        stateful: go on where the last batch ended, row by row; see RNN.
        unroll: accepted; there is nothing to unroll.
        use_cudnn: accepted; fast kernels are used where they fit.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h and c (B, H). An empty row has no output,
        and its state is the initial one.

    Call arguments: `initial_state=[h, c]`, each (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), an initial state of other shapes, or a batch of another size
            where states are kept.

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
        stateful: go on where the last batch ended, row by row; see RNN.
        unroll: accepted; there is nothing to unroll.
        reset_after: whether the reset gate acts after the product (as cuDNN does) or before it (as in the paper).
        use_cudnn: accepted; fast kernels are used where they fit.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h (B, H). An empty row has no output, and its
        state is the initial one.

    Call arguments: `initial_state=h`, (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), an initial state of another shape, or a batch of another
            size where states are kept.

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
        stateful: go on where the last batch ended, row by row; see RNN.
        unroll: accepted; there is nothing to unroll.
        seed: sets the draws of this layer apart.
        **kwargs: name, dtype, trainable, zero_output_for_mask (accepted; masked steps are always zeros).

    Shapes: (B, None, D) to (B, H), or (B, None, H) with return_sequences; h (B, H). An empty row has no output, and its
        state is the initial one.

    Call arguments: `initial_state=h`, (B, H). Rows stay rows beside it.

    Raises:
        ArgumentError: for units that are not above 0, or shares outside of [0, 1).
        ShapeError: for an input that is not (B, None, D), an initial state of another shape, or a batch of another
            size where states are kept.

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


def _for_cell(name: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    """What a layer's further arguments say about its cell; `implementation` is the cell's alone."""
    kwargs.pop("implementation", None)
    return {"name": name, **{key: kwargs[key] for key in ("dtype", "trainable") if key in kwargs}}
