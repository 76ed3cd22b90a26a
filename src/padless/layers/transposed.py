"""Transposed convolutions: from few steps to many."""

from __future__ import annotations

from typing import Any

from padless.errors import ArgumentError, ShapeError, explain
from padless.layer import Array
from padless.layers.arguments import counts, require_features
from padless.layers.convolution import Convolution
from padless.lengths import Transposed
from padless.ragged import Ragged


class TransposedConvolution(Convolution):
    """A transposed convolution over any number of axes."""

    sums = True

    def __init__(
        self,
        filters: int,
        kernel_size: Any,
        strides: Any = 1,
        padding: str = "valid",
        output_padding: Any = None,
        data_format: str | None = None,
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
        super().__init__(
            *(filters, kernel_size, strides, padding, data_format, dilation_rate, 1, activation, use_bias),
            *(kernel_initializer, bias_initializer, kernel_regularizer, bias_regularizer, activity_regularizer),
            *(kernel_constraint, bias_constraint),
            **kwargs,
        )
        self.output_padding = None
        if output_padding is not None:
            self.output_padding = counts(self.place, "output_padding", output_padding, self.spatial)
            if any(more >= stride for more, stride in zip(self.output_padding, self.strides, strict=True)):
                raise ArgumentError(
                    explain(
                        f"{self.place}: output_padding",
                        expected=f"a number below strides, {', '.join(map(str, self.strides))}",
                        got=repr(output_padding),
                        fix="output_padding=None",
                    )
                )
        more = self.output_padding or (None,) * self.spatial
        along = zip(self.kernel_size, self.strides, self.dilation_rate, more, strict=True)
        self._hows = tuple(Transposed(size, stride, gap, self.padding, behind) for size, stride, gap, behind in along)

    def _kernel_shape(self) -> tuple[int, ...]:
        return (*self.kernel_size, self.filters, self._features)

    def call(self, x: Ragged | Array) -> Ragged | Array:
        """Convolve.

        Args:
            x: rows (B, None, D), or an array (B, ..., D) where kernels have several axes.

        Returns:
            The same with other places and filters.

        Raises:
            ShapeError: when an array would have no place.
        """
        if isinstance(x, Ragged):
            require_features(self.place, x.values, self._features)
            y, rows = self.backend.convolve_transposed(x.values, x.rows, self.kernel, self._hows[0])
            return self._finished(Ragged(y, rows))
        require_features(self.place, x, self._features)
        if any(how.count(n) < 1 for how, n in zip(self._hows, x.shape[1:-1], strict=True)):
            raise ShapeError(
                explain(
                    self.place,
                    expected="places along every axis of the input and the output",
                    got=f"shape {tuple(x.shape)}",
                    fix="a larger input, or output_padding=None",
                )
            )
        return self._finished(self.backend.convolve_dense_transposed(x, self.kernel, self._hows))


class Conv1DTranspose(TransposedConvolution):
    """Give every step of a row several places, `strides` further for each step, and add up what falls on a place.

    The way back of a `Conv1D` of the same arguments, as to lengths. Each row alone: by Keras's formulas, a row of n
    steps becomes n * strides with "same", (n - 1) * strides + max(K, strides) with "valid" (K counts dilation), and a
    row without steps stays one. A masked step in the middle of a row adds nothing; its places are there.

    Args:
        filters: number of features of the output.
        kernel_size: K, number of places that each step adds to.
        strides: places between what two steps add to.
        padding: "valid" or "same".
        output_padding: more places at the end, in place of those that Keras's formulas give; below strides.
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
        (B, T, D) to (B, T', filters); rows (B, None, D) to rows (B, None, filters). Weights: kernel
        (K, filters, D), bias (filters,).

    Raises:
        ArgumentError: for sizes that are not above 0, an unknown padding, or an output_padding not below strides.
        ShapeError: when the input has another number of axes, or other features than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((3, 2)), np.ones((1, 2))])
        >>> Conv1DTranspose(4, 3, strides=2, padding="same")(x).rows.row_lengths.tolist()
        [6, 2]

    Source: lengths and cuts are those of TensorFlow's conv1d_transpose, which Keras keeps on every backend.
    """

    view = "ragged"
    spatial = 1
