"""Normalization: of each step over its features, or of each feature over the live steps of a batch."""

from __future__ import annotations

import math
from typing import Any

from padless import constraints, initializers, regularizers
from padless.errors import NotThereYetError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import beside, refuse_time, require_features, trailing_axes
from padless.ragged import Ragged
from padless.spec import Spec


class _Normalization(Layer):
    """What both have: gamma and beta, and axes that must not be the steps of rows."""

    view = "steps"
    reads = "floats"

    axis: Any
    _axes: tuple[int, ...]
    _beside: tuple[int, ...]

    def _note(self, spec: Spec) -> tuple[int, ...]:
        """Note the axes; gives the shape of gamma and beta."""
        self._axes = trailing_axes(self.place, self.axis, spec)
        if spec.ragged:
            refuse_time(self.place, self.axis, self._axes, len(spec) - 1)
        self._beside = beside(self._axes, spec)
        return tuple(self._beside[axis] for axis in self._axes)

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged):
            refuse_time(self.place, self.axis, self._axes, x.values.ndim)
        return super()._dispatch(x, args, kwargs)

    def _scaled(self, x: Array, gamma: Array | None, beta: Array | None) -> Array:
        """Multiply by gamma and add beta, each along the noted axes."""
        if gamma is not None:
            x = x * self.xp.reshape(gamma, self._beside)
        return x if beta is None else x + self.xp.reshape(beta, self._beside)


class LayerNormalization(_Normalization):
    """Shift and scale every step so that its features have mean 0 and variance 1, then by learned numbers.

    Args:
        axis: of the features, or several, counted as in Keras; never time on rows.
        epsilon: added to the variance.
        center: whether to add a learned beta.
        scale: whether to multiply by a learned gamma.
        beta_initializer: of beta.
        gamma_initializer: of gamma.
        beta_regularizer: adds a penalty on beta to the loss.
        gamma_regularizer: adds a penalty on gamma to the loss.
        beta_constraint: applied to beta after each update.
        gamma_constraint: applied to gamma after each update.
        rms_scaling: neither shift nor center; old in Keras, which names its other layer instead.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input. Weights: gamma (D,), beta (D,).

    Raises:
        MaskError: when rows come and `axis` holds time.
        ShapeError: when the input has no such axis, or other features than at first.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.array([[1.0, 3.0]]), np.array([[0.0, 4.0], [5.0, 5.0]])])
        >>> LayerNormalization(epsilon=0.0001)(x)[0].tolist()[0][1] > 0.99
        True

    Source: Ba, Kiros and Hinton 2016, arXiv:1607.06450.
    """

    def __init__(
        self,
        axis: Any = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        *,
        rms_scaling: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = float(epsilon)
        self.center = center and not rms_scaling
        self.scale = scale or rms_scaling
        self.rms_scaling = rms_scaling
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, spec: Spec) -> None:
        """Make gamma and beta.

        Args:
            spec: of the input.
        """
        shape = self._note(spec)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )

    def call(self, x: Array) -> Array:
        """Normalize.

        Args:
            x: (N, ..., D).

        Returns:
            (N, ..., D).
        """
        if self._axes == (-1,):
            require_features(self.place, x, self._beside[-1])
        centred = x - self.xp.mean(x, axis=self._axes, keepdims=True)
        variance = self.xp.mean(centred * centred, axis=self._axes, keepdims=True)
        y = (x if self.rms_scaling else centred) / self.xp.sqrt(variance + self.epsilon)
        return self._scaled(y, self.gamma, self.beta)


class BatchNormalization(_Normalization):
    """Shift and scale every feature so that it has mean 0 and variance 1 over a batch, then by learned numbers.

    On rows, only live steps count, in this batch and in the moving statistics. Outside of training, and while
    `trainable` is False, the moving statistics stand for the batch's. A batch without any step changes nothing.

    Args:
        axis: of the features, counted as in Keras; never time on rows.
        momentum: of the moving statistics: the part that each training step keeps.
        epsilon: added to the variance.
        center: whether to add a learned beta.
        scale: whether to multiply by a learned gamma.
        beta_initializer: of beta.
        gamma_initializer: of gamma.
        moving_mean_initializer: of the moving mean.
        moving_variance_initializer: of the moving variance.
        beta_regularizer: adds a penalty on beta to the loss.
        gamma_regularizer: adds a penalty on gamma to the loss.
        beta_constraint: applied to beta after each update.
        gamma_constraint: applied to gamma after each update.
        renorm: not there yet.
        renorm_clipping: of renorm.
        renorm_momentum: of renorm.
        synchronized: not there yet.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input. Weights, (D,) each: gamma, beta,
        moving_mean, moving_variance.

    Raises:
        MaskError: when rows come and `axis` is time.
        NotThereYetError: for renorm and synchronized.

    Example:
        >>> import numpy as np, padless
        >>> layer = BatchNormalization(momentum=0.5)
        >>> y = layer(padless.Ragged.from_list([np.ones((2, 1)), np.full((2, 1), 3.0)]), training=True)
        >>> layer.moving_mean.tolist()
        [1.0]

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        renorm: bool = False,
        renorm_clipping: Any = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        for name, wanted in (("renorm", renorm), ("synchronized", synchronized)):
            if wanted:
                raise NotThereYetError(
                    explain(f"{self.place}: {name}", expected="False", got="True, not there yet", fix="leave it out")
                )
        self.axis = axis
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def build(self, spec: Spec) -> None:
        """Make gamma, beta and the moving statistics.

        Args:
            spec: of the input.
        """
        shape = (math.prod(self._note(spec)),)
        self.gamma = self.beta = None
        if self.scale:
            self.gamma = self.add_weight(
                "gamma",
                shape,
                self.gamma_initializer,
                regularizer=self.gamma_regularizer,
                constraint=self.gamma_constraint,
            )
        if self.center:
            self.beta = self.add_weight(
                "beta",
                shape,
                self.beta_initializer,
                regularizer=self.beta_regularizer,
                constraint=self.beta_constraint,
            )
        self.moving_mean = self.add_state("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self.add_state("moving_variance", shape, self.moving_variance_initializer)

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return super()._dispatch(x, args, {**kwargs, "live": self.live(x)})

    def call(self, x: Array, live: Array | None = None) -> Array:
        """Normalize, and move the statistics while training.

        Args:
            x: (N, ..., D).
            live: (N,) bool, which of them count; None for all.

        Returns:
            (N, ..., D).
        """
        if self._axes == (-1,):
            require_features(self.place, x, self._beside[-1])
        mean, variance = self.moving_mean, self.moving_variance
        if self.training and self.trainable and math.prod(x.shape):
            mean, variance, share = self._statistics(x, live)
            self.assign("moving_mean", self.moving_mean * (1 - share) + mean * share)
            self.assign("moving_variance", self.moving_variance * (1 - share) + variance * share)
        y = (x - self.xp.reshape(mean, self._beside)) / self.xp.reshape(
            self.xp.sqrt(variance + self.epsilon), self._beside
        )
        return self._scaled(y, self.gamma, self.beta)

    def _statistics(self, x: Array, live: Array | None) -> tuple[Array, Array, Any]:
        """Mean and variance of what counts, and the share of them that goes into the moving ones."""
        xp = self.xp
        others = tuple(axis for axis in range(x.ndim) if axis - x.ndim not in self._axes)
        if live is None:
            return xp.mean(x, axis=others), xp.var(x, axis=others), 1 - self.momentum
        weight = xp.reshape(self.backend.cast(live, self.backend.dtype_name(x)), (-1, *(1 for _ in x.shape[1:])))
        each = math.prod(x.shape[axis] for axis in others if axis)
        count = xp.sum(weight) * each
        some = xp.where(count > 0, count, 1.0)
        mean = xp.sum(x * weight, axis=others) / some
        centred = x - xp.reshape(mean, self._beside)
        variance = xp.sum(centred * centred * weight, axis=others) / some
        return mean, variance, xp.where(count > 0, 1 - self.momentum, 0.0)
