"""Convolutions: what all of them have, and Conv1D along the steps of each row."""

from __future__ import annotations

from typing import Any, ClassVar

from padless import activations, constraints, initializers, regularizers
from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array
from padless.layers.arguments import positive, require_features, require_rank, sizes, word
from padless.layers.channels import FeatureAxis
from padless.ragged import Ragged
from padless.spec import Spec


class Windowed(FeatureAxis):
    """What every convolution has: windows over any number of axes, a bias, an activation.

    Along one axis the input are rows (`view = "ragged"`); over two or three, arrays of fixed size.
    """

    reads = "floats"
    spatial: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]] = ("valid", "same")
    bias: Array | None
    _features: int

    def _read_windows(
        self, kernel_size: Any, strides: Any, padding: str, data_format: str | None, dilation_rate: Any
    ) -> None:
        self.kernel_size = sizes(self.place, "kernel_size", kernel_size, self.spatial)
        self.strides = sizes(self.place, "strides", strides, self.spatial)
        self.padding = word(self.place, "padding", padding, self.paddings)
        self._read_format(data_format)
        self.dilation_rate = sizes(self.place, "dilation_rate", dilation_rate, self.spatial)

    def _read_ending(self, activation: Any, use_bias: bool) -> None:
        self.activation = activations.get(activation)
        self.use_bias = use_bias

    def _read_rules(self, **rules: Any) -> None:
        """Initializers, regularizers and constraints by the name of the argument."""
        makers = {"initializer": initializers.get, "regularizer": regularizers.get, "constraint": constraints.get}
        for name, rule in rules.items():
            make: Any = makers[name.rpartition("_")[2]]
            setattr(self, name, make(rule))

    def _add(self, name: str, shape: tuple[int, ...], kind: str) -> Array:
        """Make the array of a name with the rules of a kind."""
        return self.add_weight(
            name,
            shape,
            getattr(self, f"{kind}_initializer"),
            regularizer=getattr(self, f"{kind}_regularizer"),
            constraint=getattr(self, f"{kind}_constraint"),
        )

    def _read_input(self, spec: Spec) -> None:
        require_rank(self.place, spec, self.spatial + 2)
        self._features = spec.features

    def _convolved(self, x: Ragged | Array, kernel: Array, groups: int, finish: bool = True) -> Ragged | Array:
        """Rows (B, None, D) to rows (B, None, filters), or arrays (B, ..., D) to (B, ..., filters).

        Args:
            x: rows or array.
            kernel: (sizes, D / groups, filters).
            groups: number of groups of features that do not see each other.
            finish: whether to add the bias and apply the activation.

        Returns:
            Rows or array.
        """
        if isinstance(x, Ragged):
            require_features(self.place, x.values, self._features)
            relu = finish and self.activation is activations.relu
            y, rows = self.backend.convolve(
                x.values,
                x.rows,
                kernel,
                stride=self.strides[0],
                dilation=self.dilation_rate[0],
                padding=self.padding,
                groups=groups,
                bias=self.bias if finish else None,
                relu=relu,
            )
            return Ragged(self.activation(y) if finish and not relu else y, rows)
        require_features(self.place, x, self._features)
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        if self.padding == "valid" and any(n < span for n, span in zip(x.shape[1:-1], spans, strict=True)):
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"at least {' x '.join(map(str, spans))} places, the size of a window",
                    got=f"shape {tuple(x.shape)}",
                    fix="padding='same', or a smaller kernel_size",
                )
            )
        y = self.backend.convolve_dense(x, kernel, self.strides, self.dilation_rate, self.padding, groups)
        return self._finished(y) if finish else y

    def _finished(self, y: Ragged | Array) -> Ragged | Array:
        """With the bias, and through the activation."""
        if isinstance(y, Ragged):
            return y.with_values(self._finished(y.values))
        return self.activation(y if self.bias is None else y + self.bias)


class Convolution(Windowed):
    """A convolution over any number of axes: arguments, kernel and bias."""

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(activity_regularizer=activity_regularizer, **kwargs)
        self.filters = positive(self.place, "filters", filters)
        self._read_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.groups = positive(self.place, "groups", groups)
        if self.filters % self.groups:
            self._refuse_groups("filters", self.filters, f"filters={self.groups * max(self.filters // self.groups, 1)}")
        if max(self.strides) > 1 and max(self.dilation_rate) > 1:
            raise ArgumentError(
                explain(
                    self.place,
                    expected="strides above 1 or a dilation_rate above 1, not both (as in Keras)",
                    got=f"strides={strides}, dilation_rate={dilation_rate}",
                    fix="strides=1, or dilation_rate=1",
                )
            )
        self._read_ending(activation, use_bias)
        self._read_rules(
            kernel_initializer=kernel_initializer,
            bias_initializer=bias_initializer,
            kernel_regularizer=kernel_regularizer,
            bias_regularizer=bias_regularizer,
            kernel_constraint=kernel_constraint,
            bias_constraint=bias_constraint,
        )

    def _refuse_groups(self, what: str, count: int, fix: str) -> None:
        raise ArgumentError(
            explain(f"{self.place}: groups", expected=f"a divisor of the {count} {what}", got=str(self.groups), fix=fix)
        )

    def build(self, spec: Spec) -> None:
        """Make kernel and bias.

        Args:
            spec: of the input.
        """
        self._read_input(spec)
        if self._features % self.groups:
            self._refuse_groups("features of the input", self._features, "groups=1, or other features")
        self.kernel = self._add("kernel", self._kernel_shape(), "kernel")
        self.bias = self._add("bias", (self.filters,), "bias") if self.use_bias else None

    def _kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self._features // self.groups, self.filters)

    def call(self, x: Ragged | Array) -> Ragged | Array:
        """Convolve.

        Args:
            x: rows (B, None, D), or an array (B, ..., D) where windows have several axes.

        Returns:
            The same with other places and filters.
        """
        return self._convolved(x, self.kernel, self.groups)


class Conv1D(Convolution):
    """Slide a window along the steps of each row, and give a learned sum of what it sees.

    Each row is convolved alone: its windows see zeros before its first and behind its last step, never another row or
    padding. Lengths follow Keras's formulas row by row, "same" pads each row by its own length, and a row that is
    shorter than a "valid" window gives no step. A masked step in the middle of a row is seen as zeros at its place.

    Args:
        filters: number of features of the output.
        kernel_size: K, number of steps in a window.
        strides: steps between two windows.
        padding: "valid", "same" or "causal".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: steps between two taps of a window; not together with strides.
        groups: number of groups of features that do not see each other.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, T, D) to (B, T', filters); rows (B, None, D) to rows (B, None, filters). Weights: kernel
        (K, D / groups, filters), bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, groups that do not divide the features.
        ShapeError: when the input has another number of axes, or other features than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((5, 3)), np.ones((2, 3))])
        >>> Conv1D(4, 3)(x).rows.row_lengths.tolist()
        [3, 0]
        >>> Conv1D(4, 3, strides=2, padding="same")(x).rows.row_lengths.tolist()
        [3, 1]
    """

    view = "ragged"
    spatial = 1
    paddings = ("valid", "same", "causal")
