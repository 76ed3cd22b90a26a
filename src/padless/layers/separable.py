"""Convolutions that treat every feature alone: depthwise, and separable, which mixes the features afterwards."""

from __future__ import annotations

from typing import Any

from padless import activations, constraints, initializers, regularizers
from padless.layer import Array
from padless.layers.arguments import positive, require_features, require_rank, sizes, word
from padless.layers.channels import FeatureAxis
from padless.ragged import Ragged
from padless.spec import Spec


class _Depthwise1D(FeatureAxis):
    """What both have: a window along the steps of each row, with kernels for every feature."""

    view = "ragged"
    reads = "floats"
    bias: Array | None
    _features: int

    def __init__(
        self,
        kernel_size: Any,
        strides: Any,
        padding: str,
        data_format: str | None,
        dilation_rate: Any,
        depth_multiplier: int,
        activation: Any,
        use_bias: bool,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kernel_size = sizes(self.place, "kernel_size", kernel_size, 1)
        self.strides = sizes(self.place, "strides", strides, 1)
        self.padding = word(self.place, "padding", padding, ("valid", "same", "causal"))
        self._read_format(data_format)
        self.dilation_rate = sizes(self.place, "dilation_rate", dilation_rate, 1)
        self.depth_multiplier = positive(self.place, "depth_multiplier", depth_multiplier)
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

    def _convolved(self, x: Ragged, kernel: Array) -> Ragged:
        """(B, None, D) to (B, None, D * depth_multiplier)."""
        require_features(self.place, x.values, self._features)
        made = self._features * self.depth_multiplier
        y, rows = self.backend.convolve(
            x.values,
            x.rows,
            self.xp.reshape(kernel, (*self.kernel_size, 1, made)),
            stride=self.strides[0],
            dilation=self.dilation_rate[0],
            padding=self.padding,
            groups=self._features,
        )
        return Ragged(y, rows)

    def _finished(self, y: Ragged) -> Ragged:
        return y.with_values(self.activation(y.values if self.bias is None else y.values + self.bias))


class DepthwiseConv1D(_Depthwise1D):
    """Slide a window along the steps of each row, and give learned sums of what it sees, for every feature alone.

    Each row is convolved alone: its windows see zeros before its first and behind its last step, never another row or
    padding. Lengths follow Keras's formulas row by row. A masked step in the middle of a row is seen as zeros at its
    place. Features d * depth_multiplier to (d + 1) * depth_multiplier of the output come of feature d.

    Args:
        kernel_size: K, number of steps in a window.
        strides: steps between two windows.
        padding: "valid", "same", or, beyond Keras, "causal".
        depth_multiplier: number of output features for each feature.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: steps between two taps of a window.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        depthwise_initializer: of the kernel.
        bias_initializer: of the bias.
        depthwise_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        depthwise_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, T, D) to (B, T', D * depth_multiplier); rows (B, None, D) to rows. Weights: kernel (K, D, depth_multiplier),
        bias (D * depth_multiplier,).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or other features than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((5, 3)), np.ones((2, 3))])
        >>> y = DepthwiseConv1D(3, depth_multiplier=2)(x)
        >>> y.shape, y.rows.row_lengths.tolist()
        ((2, None, 6), [3, 0])
    """

    def __init__(
        self,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Any = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, activation, use_bias),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self._read_rules(
            depthwise_initializer=depthwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint,
            bias_constraint=bias_constraint,
        )

    def build(self, spec: Spec) -> None:
        """Make kernel and bias.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3)
        self._features = spec.features
        self.kernel = self._add("kernel", (*self.kernel_size, spec.features, self.depth_multiplier), "depthwise")
        self.bias = self._add("bias", (spec.features * self.depth_multiplier,), "bias") if self.use_bias else None

    def call(self, x: Ragged) -> Ragged:
        """Convolve.

        Args:
            x: (B, None, D).

        Returns:
            (B, None, D * depth_multiplier).
        """
        return self._finished(self._convolved(x, self.kernel))


class SeparableConv1D(_Depthwise1D):
    """Slide a window along the steps of each row for every feature alone, then mix the features of each step.

    A depthwise convolution (see `DepthwiseConv1D`, also for rows, lengths and masked steps) and a product with a
    matrix: far fewer weights than a `Conv1D` of the same size.

    Args:
        filters: number of features of the output.
        kernel_size: K, number of steps in a window.
        strides: steps between two windows.
        padding: "valid", "same", or, beyond Keras, "causal".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: steps between two taps of a window.
        depth_multiplier: number of features between the two for each feature.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        depthwise_initializer: of the kernel of the first.
        pointwise_initializer: of the kernel of the second.
        bias_initializer: of the bias.
        depthwise_regularizer: adds a penalty on the kernel of the first to the loss.
        pointwise_regularizer: adds a penalty on the kernel of the second to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        depthwise_constraint: applied to the kernel of the first after each update.
        pointwise_constraint: applied to the kernel of the second after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, T, D) to (B, T', filters); rows (B, None, D) to rows (B, None, filters). Weights: depthwise_kernel
        (K, D, depth_multiplier), pointwise_kernel (1, D * depth_multiplier, filters), bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, or other features than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((5, 3)), np.ones((2, 3))])
        >>> SeparableConv1D(4, 3, padding="same")(x).rows is x.rows
        True

    Source: Chollet 2017, "Xception".
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Any = 1,
        depth_multiplier: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        pointwise_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        depthwise_regularizer: Any = None,
        pointwise_regularizer: Any = None,
        bias_regularizer: Any = None,
        activity_regularizer: Any = None,
        depthwise_constraint: Any = None,
        pointwise_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            *(kernel_size, strides, padding, data_format, dilation_rate, depth_multiplier, activation, use_bias),
            activity_regularizer=activity_regularizer,
            **kwargs,
        )
        self.filters = positive(self.place, "filters", filters)
        self._read_rules(
            depthwise_initializer=depthwise_initializer,
            pointwise_initializer=pointwise_initializer,
            bias_initializer=bias_initializer,
            depthwise_regularizer=depthwise_regularizer,
            pointwise_regularizer=pointwise_regularizer,
            bias_regularizer=bias_regularizer,
            depthwise_constraint=depthwise_constraint,
            pointwise_constraint=pointwise_constraint,
            bias_constraint=bias_constraint,
        )

    def build(self, spec: Spec) -> None:
        """Make the kernels and the bias.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3)
        self._features, each = spec.features, self.depth_multiplier
        self.depthwise_kernel = self._add("depthwise_kernel", (*self.kernel_size, spec.features, each), "depthwise")
        self.pointwise_kernel = self._add("pointwise_kernel", (1, each * spec.features, self.filters), "pointwise")
        self.bias = self._add("bias", (self.filters,), "bias") if self.use_bias else None

    def call(self, x: Ragged) -> Ragged:
        """Convolve.

        Args:
            x: (B, None, D).

        Returns:
            (B, None, filters).
        """
        return self._finished(self._convolved(x, self.depthwise_kernel) @ self.pointwise_kernel[0])
