"""Convolutions that treat every feature alone: depthwise, and separable, which mixes the features afterwards."""

from __future__ import annotations

from typing import Any

from padless.layer import Array
from padless.layers.arguments import positive
from padless.layers.convolution import Windowed
from padless.ragged import Ragged
from padless.spec import Spec


class _Depthwise(Windowed):
    """What both have: windows with kernels for every feature."""

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
        self._read_windows(kernel_size, strides, padding, data_format, dilation_rate)
        self.depth_multiplier = positive(self.place, "depth_multiplier", depth_multiplier)
        self._read_ending(activation, use_bias)

    def _each_convolved(self, x: Ragged | Array, kernel: Array, finish: bool) -> Ragged | Array:
        """Features D to D * depth_multiplier."""
        made = self._features * self.depth_multiplier
        return self._convolved(x, self.xp.reshape(kernel, (*self.kernel_size, 1, made)), self._features, finish)


class DepthwiseConvolution(_Depthwise):
    """A depthwise convolution over any number of axes."""

    sums = True

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
        self._read_input(spec)
        self.kernel = self._add("kernel", (*self.kernel_size, spec.features, self.depth_multiplier), "depthwise")
        self.bias = self._add("bias", (spec.features * self.depth_multiplier,), "bias") if self.use_bias else None

    def call(self, x: Ragged | Array) -> Ragged | Array:
        """Convolve.

        Args:
            x: rows (B, None, D), or an array (B, ..., D) where windows have several axes.

        Returns:
            The same with other places, and D * depth_multiplier features.
        """
        return self._each_convolved(x, self.kernel, finish=True)


class SeparableConvolution(_Depthwise):
    """A separable convolution over any number of axes."""

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
        self._read_input(spec)
        each, made = self.depth_multiplier, self.depth_multiplier * spec.features
        once = (1,) * self.spatial
        self.depthwise_kernel = self._add("depthwise_kernel", (*self.kernel_size, spec.features, each), "depthwise")
        self.pointwise_kernel = self._add("pointwise_kernel", (*once, made, self.filters), "pointwise")
        self.bias = self._add("bias", (self.filters,), "bias") if self.use_bias else None

    def call(self, x: Ragged | Array) -> Ragged | Array:
        """Convolve.

        Args:
            x: rows (B, None, D), or an array (B, ..., D) where windows have several axes.

        Returns:
            The same with other places and filters.
        """
        y = self._each_convolved(x, self.depthwise_kernel, finish=False)
        return self._finished(y @ self.xp.reshape(self.pointwise_kernel, self.pointwise_kernel.shape[-2:]))


class DepthwiseConv1D(DepthwiseConvolution):
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

    view = "ragged"
    spatial = 1
    paddings = ("valid", "same", "causal")


class SeparableConv1D(SeparableConvolution):
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

    view = "ragged"
    spatial = 1
    paddings = ("valid", "same", "causal")
