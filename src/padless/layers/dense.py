"""Dense: one matrix for every step."""

from __future__ import annotations

from typing import Any

from padless import activations, constraints, initializers, regularizers
from padless.layer import Array, Layer
from padless.layers.arguments import positive, require_features, require_rank
from padless.spec import Spec


class Dense(Layer):
    """Multiply every step by a matrix, add a bias, apply an activation: activation(x @ kernel + bias).

    On rows it computes the live steps and nothing else.

    Args:
        units: number of features of the output.
        activation: name or function; None for none.
        use_bias: whether to add a bias.
        kernel_initializer: of the matrix.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the matrix to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        activity_regularizer: adds a penalty on the output to the loss, live steps alone.
        kernel_constraint: applied to the matrix after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) to (B, ..., units); rows (B, None, ..., D) to (B, None, ..., units). Weights: kernel (D, units),
        bias (units,).

    Raises:
        ArgumentError: when units is not a whole number above 0.
        ShapeError: when the input has no features, or others than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 3)), np.ones((1, 3))])
        >>> Dense(4, activation="relu")(x).shape
        (2, None, 4)
    """

    view = "steps"
    reads = "floats"

    def __init__(
        self,
        units: int,
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
        self.units = positive(self.place, "units", units)
        self.activation = activations.get(activation)
        self.use_bias = use_bias
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, spec: Spec) -> None:
        """Make kernel and bias.

        Args:
            spec: of the input.
        """
        require_rank(self.place, spec, 3 if spec.ragged else 2, least=True)
        self.kernel = self.add_weight(
            "kernel",
            (spec.features, self.units),
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.use_bias:
            self.bias = self.add_weight(
                "bias",
                (self.units,),
                self.bias_initializer,
                regularizer=self.bias_regularizer,
                constraint=self.bias_constraint,
            )

    def call(self, x: Array) -> Array:
        """Compute the output.

        Args:
            x: (N, ..., D).

        Returns:
            (N, ..., units).
        """
        require_features(self.place, x, self.kernel.shape[0])
        relu = self.activation is activations.relu
        y = self.backend.dense(x, self.kernel, self.bias, relu)
        return y if relu else self.activation(y)
