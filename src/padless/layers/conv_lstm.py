"""LSTMs over frames: each step is an array of fixed size, and convolutions stand where an LSTM has products."""

from __future__ import annotations

from typing import Any, ClassVar

from padless.errors import ArgumentError, ShapeError, explain
from padless.layers.arguments import channels_last, positive, sizes, word
from padless.layers.cells import LSTMCell, State, dropped, lstm_step
from padless.layers.recurrent import RNN

Array = Any


class ConvLSTMCell(LSTMCell):
    """One step of a convolutional LSTM: the formula of an LSTM with convolutions in the place of both products.

    Args:
        rank: number of axes that are convolved along: 1, 2 or 3.
        filters: number of features F of state and output.
        kernel_size: size of a window, one number or one for each axis.
        strides: places between two windows on the input; the state is always convolved with strides of 1.
        padding: "valid" or "same", of the input; the state keeps its size.
        data_format: "channels_last".
        dilation_rate: places between two taps of a window on the input.
        **kwargs: as of LSTMCell; name, dtype, trainable.

    Shapes: (B, W, C) and two states (B, W', F) to (B, W', F) and the new states, for one axis.

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, strides together with dilation.
        ShapeError: when the input has other axes, one of them has no fixed size, or is smaller than a window.

    Example:
        >>> import numpy as np
        >>> cell = ConvLSTMCell(1, 4, 3, padding="same")
        >>> cell.build((None, 8, 2))
        >>> y, states = cell(np.ones((5, 8, 2), np.float32), cell.get_initial_state(5))
        >>> tuple(y.shape)
        (5, 8, 4)

    Source: Shi and others 2015.
    """

    width = "filters"

    def __init__(
        self,
        rank: int,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(filters, **kwargs)
        self.rank = positive(self.place, "rank", rank)
        self.filters = self.units
        self.kernel_size = sizes(self.place, "kernel_size", kernel_size, rank)
        self.strides = sizes(self.place, "strides", strides, rank)
        self.padding = word(self.place, "padding", padding, ("valid", "same"))
        channels_last(self.place, data_format)
        self.data_format = "channels_last"
        self.dilation_rate = sizes(self.place, "dilation_rate", dilation_rate, rank)
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                explain(
                    self.place,
                    expected="strides above 1 or a dilation_rate above 1, not both (as in Keras)",
                    got=f"strides={strides}, dilation_rate={dilation_rate}",
                    fix="strides=1, or dilation_rate=1",
                )
            )
        self.places: tuple[int, ...] = ()

    @property
    def output_shape(self) -> tuple[int, ...]:
        """(W', F): shape of a row's output and of each state."""
        return (*self.places, self.filters)

    @property
    def state_size(self) -> list[Any]:
        """Shapes of h and c."""
        return [self.output_shape, self.output_shape]

    @property
    def output_size(self) -> Any:
        """Shape of the output."""
        return self.output_shape

    def kernel_shapes(self, spec: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Shapes of kernel and recurrent kernel.

        Args:
            spec: (None, W, C), one step.

        Returns:
            (K, C, 4F) and (K, F, 4F).

        Raises:
            ShapeError: when a step has other axes, or is smaller than a window.
        """
        axes = ("H", "W", "D")[: self.rank] if self.rank > 1 else ("W",)
        steps = f"steps of shape ({', '.join(axes)}, C), with sizes that are known when the layer is built"
        if len(spec) != self.rank + 2 or None in spec[1:]:
            fix = f"Input(shape=(None, {', '.join(['8'] * self.rank)}, 3)), for example; only time may vary"
            raise ShapeError(explain(self.place, expected=steps, got=f"steps of shape {tuple(spec[1:])}", fix=fix))
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        places = spec[1:-1]
        if self.padding == "same":
            self.places = tuple(-(-n // stride) for n, stride in zip(places, self.strides, strict=True))
        else:
            pairs = zip(places, spans, self.strides, strict=True)
            self.places = tuple((n - span) // stride + 1 for n, span, stride in pairs)
        if min(self.places) < 1:
            expected = f"steps of at least {' x '.join(map(str, spans))} places, the size of a window"
            fix = "padding='same', or a smaller kernel_size"
            raise ShapeError(explain(self.place, expected=expected, got=f"steps of shape {tuple(spec[1:])}", fix=fix))
        wide = self.gates * self.filters
        return (*self.kernel_size, spec[-1], wide), (*self.kernel_size, self.filters, wide)

    def project(self, x: Array) -> Array:
        """The part of the formula that needs no state; see GatedCell."""
        z = self.backend.convolve_dense(x, self.kernel, self.strides, self.dilation_rate, self.padding, 1)
        return z if self.bias is None else z + self.bias

    def step(self, z: Array, state: State, *constants: Array) -> tuple[Array, State]:
        """The part of the formula that needs the state; see GatedCell."""
        h, c = state
        once = (1,) * self.rank
        of_state = self.backend.convolve_dense(dropped(h, constants), self.recurrent_kernel, once, once, "same", 1)
        return lstm_step(self, z + of_state, c)


class _ConvLSTM(RNN):
    """What the three layers share: all but the number of axes."""

    rank: ClassVar[int]

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
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
        **kwargs: Any,
    ) -> None:
        cell = ConvLSTMCell(
            self.rank,
            filters,
            kernel_size,
            strides=strides,
            padding=padding,
            data_format=data_format,
            dilation_rate=dilation_rate,
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
            name="conv_lstm_cell",
            **{key: kwargs[key] for key in ("dtype", "trainable") if key in kwargs},
        )
        super().__init__(
            cell,
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            activity_regularizer=activity_regularizer,
            **kwargs,
        )


class ConvLSTM1D(_ConvLSTM):
    """Convolutional LSTM over sequences of rows of W places with C features: spectra, lines of sensors.

    Time may have any length, row by row; W is fixed. Each sequence is read from its first to its last live step.

    Args:
        filters: number of features F of state and output.
        kernel_size: K, places in a window.
        strides: places between two windows on the input.
        padding: "valid" or "same", along W.
        data_format: "channels_last".
        dilation_rate: places between two taps of a window on the input; not together with strides.
        activation: of candidate and output.
        recurrent_activation: of the gates.
        use_bias: whether there is a bias.
        kernel_initializer: of the kernel (K, C, 4F), gates in the order i, f, c, o.
        recurrent_initializer: of the recurrent kernel (K, F, 4F).
        bias_initializer: of the bias (4F,).
        unit_forget_bias: start the bias of the forget gate at 1 (Jozefowicz and others 2015).
        kernel_regularizer: added to the loss.
        recurrent_regularizer: added to the loss.
        bias_regularizer: added to the loss.
        activity_regularizer: of the output; see Layer.
        kernel_constraint: applied after each update.
        recurrent_constraint: applied after each update.
        bias_constraint: applied after each update.
        dropout: share of the input's entries that a row loses in training, the same at all its steps.
        recurrent_dropout: share of the state's entries that a row loses in training, the same at all its steps.
        seed: sets the draws of this layer apart.
        return_sequences: return the output of every step, not of the last one alone.
        return_state: return [output, h, c], the state after each row's last step.
        go_backwards: read every row from its last to its first step; see RNN.
        stateful: go on where the last batch ended, row by row; see RNN.
        **kwargs: name, dtype, trainable, unroll and zero_output_for_mask (accepted; see RNN).

    Shapes: (B, None, W, C) to (B, W', F), or (B, None, W', F) with return_sequences; h and c (B, W', F).

    Call arguments: `initial_state=[h, c]`.

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, strides together with dilation.
        ShapeError: when the input has other axes, W has no fixed size or is smaller than a window.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((5, 8, 2)), np.ones((2, 8, 2))])
        >>> ConvLSTM1D(4, 3, padding="same", return_sequences=True)(x).shape
        (2, None, 8, 4)

    Source: Shi and others 2015.
    """

    rank = 1


class ConvLSTM2D(_ConvLSTM):
    """Convolutional LSTM over sequences of images (H, W, C), such as films of unequal length.

    Args, errors and call arguments are those of ConvLSTM1D; sizes are one number for both axes, or one for each.

    Shapes: (B, None, H, W, C) to (B, H', W', F), or (B, None, H', W', F) with return_sequences; h and c (B, H', W', F).

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((3, 6, 8, 1)), np.ones((1, 6, 8, 1))])
        >>> tuple(ConvLSTM2D(4, (3, 3))(x).shape)
        (2, 4, 6, 4)

    Source: Shi and others 2015.
    """

    rank = 2


class ConvLSTM3D(_ConvLSTM):
    """Convolutional LSTM over sequences of volumes (H, W, D, C).

    Args, errors and call arguments are those of ConvLSTM1D; sizes are one number for all axes, or one for each.

    Shapes: (B, None, H, W, D, C) to (B, H', W', D', F), or (B, None, H', W', D', F) with return_sequences.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 3, 4, 5, 1)), np.ones((1, 3, 4, 5, 1))])
        >>> tuple(ConvLSTM3D(2, 2)(x).shape)
        (2, 2, 3, 4, 2)

    Source: Shi and others 2015.
    """

    rank = 3
