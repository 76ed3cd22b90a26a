"""Convolutions over arrays of fixed size: images (B, H, W, D) and volumes (B, H, W, L, D)."""

from __future__ import annotations

from typing import Any

from padless.layers.convolution import Convolution
from padless.layers.separable import DepthwiseConvolution, SeparableConvolution
from padless.layers.transposed import TransposedConvolution


class Conv2D(Convolution):
    """Slide a window over images of fixed size, and give a learned sum of what it sees.

    Args:
        filters: number of features of the output.
        kernel_size: height and width of a window; one number for all.
        strides: places between two windows.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: places between two taps of a window; not together with strides.
        groups: number of groups of features that do not see each other.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, H, W, D) to (B, H', W', filters). Weights: kernel (height, width, D / groups, filters),
        bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, groups that do not divide the features.
        ShapeError: when the input has another number of axes, other features than at first, or is smaller than a
            "valid" window.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(Conv2D(4, 3)(np.ones((2, 8, 8, 1))).shape)
        (2, 6, 6, 4)
    """

    spatial = 2


class Conv3D(Convolution):
    """Slide a window over volumes of fixed size, and give a learned sum of what it sees.

    Args:
        filters: number of features of the output.
        kernel_size: height, width and length of a window; one number for all.
        strides: places between two windows.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: places between two taps of a window; not together with strides.
        groups: number of groups of features that do not see each other.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', filters). Weights: kernel (height, width, length, D / groups, filters),
        bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, groups that do not divide the features.
        ShapeError: when the input has another number of axes, other features than at first, or is smaller than a
            "valid" window.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(Conv3D(4, 3)(np.ones((2, 8, 8, 8, 1))).shape)
        (2, 6, 6, 6, 4)
    """

    spatial = 3


class DepthwiseConv2D(DepthwiseConvolution):
    """Slide a window over images of fixed size, and give learned sums of what it sees, for every feature alone.

    Features d * depth_multiplier to (d + 1) * depth_multiplier of the output come of feature d.

    Args:
        kernel_size: height and width of a window; one number for both.
        strides: places between two windows.
        padding: "valid" or "same".
        depth_multiplier: number of output features for each feature.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: places between two taps of a window.
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
        (B, H, W, D) to (B, H', W', D * depth_multiplier). Weights: kernel (height, width, D, depth_multiplier), bias
        (D * depth_multiplier,).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, other features than at first, or is smaller than a
            "valid" window.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(DepthwiseConv2D(3, depth_multiplier=2)(np.ones((1, 8, 8, 3))).shape)
        (1, 6, 6, 6)
    """

    spatial = 2


class SeparableConv2D(SeparableConvolution):
    """Slide a window over images of fixed size for every feature alone, then mix the features of each place.

    A `DepthwiseConv2D` and a product with a matrix: far fewer weights than a `Conv2D` of the same size.

    Args:
        filters: number of features of the output.
        kernel_size: height and width of a window; one number for both.
        strides: places between two windows.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: places between two taps of a window.
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
        (B, H, W, D) to (B, H', W', filters). Weights: depthwise_kernel (height, width, D, depth_multiplier),
        pointwise_kernel (1, 1, D * depth_multiplier, filters), bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, or an unknown padding.
        ShapeError: when the input has another number of axes, other features than at first, or is smaller than a
            "valid" window.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(SeparableConv2D(4, 3, padding="same")(np.ones((1, 8, 8, 3))).shape)
        (1, 8, 8, 4)

    Source: Chollet 2017, "Xception".
    """

    spatial = 2


class Conv2DTranspose(TransposedConvolution):
    """Give every place of images several places, `strides` further for each, and add up what falls on a place.

    The way back of a `Conv2D` of the same arguments, as to sizes. By Keras's formulas, n places along an axis become
    n * strides with "same", (n - 1) * strides + max(K, strides) with "valid" (K counts dilation).

    Args:
        filters: number of features of the output.
        kernel_size: height and width of what each place adds to; one number for all.
        strides: places between what two places add to.
        padding: "valid" or "same".
        output_padding: more places at the end of each axis, in place of those that Keras's formulas give; below
            strides.
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        dilation_rate: places between two taps of the kernel; not together with strides.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, H, W, D) to (B, H', W', filters). Weights: kernel (height, width, filters, D),
        bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, or an output_padding not below strides.
        ShapeError: when the input has another number of axes, or other features than at first.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(Conv2DTranspose(4, 3, strides=2, padding="same")(np.ones((2, 5, 5, 1))).shape)
        (2, 10, 10, 4)

    Source: sizes and cuts are those of TensorFlow's conv2d_transpose, which Keras keeps on every backend.
    """

    spatial = 2


class Conv3DTranspose(TransposedConvolution):
    """Give every place of volumes several places, `strides` further for each, and add up what falls on a place.

    The way back of a `Conv3D` of the same arguments, as to sizes. By Keras's formulas, n places along an axis become
    n * strides with "same", (n - 1) * strides + max(K, strides) with "valid" (K counts dilation).

    Args:
        filters: number of features of the output.
        kernel_size: height, width and length of what each place adds to; one number for all.
        strides: places between what two places add to.
        padding: "valid" or "same".
        data_format: "channels_last"; or "channels_first" for arrays whose features are the second axis.
        output_padding: more places at the end of each axis, in place of those that Keras's formulas give; below
            strides.
        dilation_rate: places between two taps of the kernel; not together with strides.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, H, W, L, D) to (B, H', W', L', filters). Weights: kernel (height, width, length, filters, D),
        bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, or an output_padding not below strides.
        ShapeError: when the input has another number of axes, or other features than at first.
        MaskError: when rows come, which have no fixed size: layers.TimeDistributed convolves each of their steps.

    Example:
        >>> import numpy as np
        >>> tuple(Conv3DTranspose(4, 3, strides=2, padding="same")(np.ones((2, 5, 5, 5, 1))).shape)
        (2, 10, 10, 10, 4)

    Source: sizes and cuts are those of TensorFlow's conv3d_transpose, which Keras keeps on every backend.
    """

    spatial = 3

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        data_format: str | None = None,
        output_padding: Any = None,
        dilation_rate: Any = 1,
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
        # In Keras, data_format comes first here, and output_padding elsewhere.
        super().__init__(
            *(filters, kernel_size, strides, padding, output_padding, data_format, dilation_rate, activation, use_bias),
            *(kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer),
            *(kernel_constraint, bias_constraint),
            **kwargs,
        )
