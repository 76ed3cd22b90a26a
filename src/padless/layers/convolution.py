"""Convolutions: Conv1D along the steps of each row, Conv2D over arrays of fixed size."""

from __future__ import annotations

from typing import Any, ClassVar

from padless import activations, constraints, initializers, regularizers
from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array
from padless.layers.arguments import positive, require_features, require_rank, sizes, word
from padless.layers.channels import FeatureAxis
from padless.ragged import Ragged
from padless.spec import Spec


class _Convolution(FeatureAxis):
    """What convolutions of any number of axes have: arguments, kernel and bias."""

    reads = "floats"
    spatial: ClassVar[int]
    paddings: ClassVar[tuple[str, ...]]

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
        self.kernel_size = sizes(self.place, "kernel_size", kernel_size, self.spatial)
        self.strides = sizes(self.place, "strides", strides, self.spatial)
        self.padding = word(self.place, "padding", padding, self.paddings)
        self._read_format(data_format)
        self.dilation_rate = sizes(self.place, "dilation_rate", dilation_rate, self.spatial)
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
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def _refuse_groups(self, what: str, count: int, fix: str) -> None:
        raise ArgumentError(
            explain(f"{self.place}: groups", expected=f"a divisor of the {count} {what}", got=str(self.groups), fix=fix)
        )

    def build(self, spec: Spec) -> None:
        """Make kernel and bias.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, self.spatial + 2)
        self._features = spec.features
        if self._features % self.groups:
            self._refuse_groups("features of the input", self._features, "groups=1, or other features")
        self.kernel = self.add_weight(
            "kernel",
            self._kernel_shape(),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.filters,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def _kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self._features // self.groups, self.filters)

    def _finished(self, y: Array) -> Array:
        return self.activation(y if self.bias is None else y + self.bias)


class Conv1D(_Convolution):
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

    def call(self, x: Ragged) -> Ragged:
        """Convolve.

        Args:
            x: (B, None, D).

        Returns:
            (B, None, filters).
        """
        require_features(self.place, x.values, self._features)
        y, rows = self.backend.convolve(
            x.values,
            x.rows,
            self.kernel,
            stride=self.strides[0],
            dilation=self.dilation_rate[0],
            padding=self.padding,
            groups=self.groups,
        )
        return Ragged(self._finished(y), rows)


class Conv2D(_Convolution):
    """Slide a window over images of fixed size, and give a learned sum of what it sees.

    Args:
        filters: number of features of the output.
        kernel_size: height and width of a window; one number for both.
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
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, H, W, D) to (B, H', W', filters). Weights: kernel (height, width, D / groups, filters), bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, groups that do not divide the features.
        ShapeError: when the input has another number of axes, other features than at first, or is smaller than a
            "valid" window.
        MaskError: when rows come: a window over two axes has no meaning across rows of unequal length.

    Example:
        >>> import numpy as np
        >>> tuple(Conv2D(4, (3, 3))(np.ones((2, 8, 8, 1))).shape)
        (2, 6, 6, 4)
    """

    spatial = 2
    paddings = ("valid", "same")

    def call(self, x: Array) -> Array:
        """Convolve.

        Args:
            x: (B, H, W, D).

        Returns:
            (B, H', W', filters).
        """
        require_features(self.place, x, self._features)
        spans = [(k - 1) * d + 1 for k, d in zip(self.kernel_size, self.dilation_rate, strict=True)]
        if self.padding == "valid" and any(n < span for n, span in zip(x.shape[1:-1], spans, strict=True)):
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"at least {spans[0]} x {spans[1]} places, the size of a window",
                    got=f"shape {tuple(x.shape)}",
                    fix="padding='same', or a smaller kernel_size",
                )
            )
        y = self.backend.convolve_dense(x, self.kernel, self.strides, self.dilation_rate, self.padding, self.groups)
        return self._finished(y)
