"""Normalization: of each step over its features, of each row over its steps, of each feature over a batch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from padless import constraints, initializers, regularizers
from padless.backends.base import Backend
from padless.errors import ArgumentError, NotThereYetError, explain
from padless.layer import Array, Layer, View
from padless.layers.arguments import beside, positive, refuse_time, require_features, trailing_axes
from padless.losses import EPSILON
from padless.ragged import Ragged
from padless.row_ops import row_mean, spread
from padless.spec import Spec


class _Normalization(Layer):
    """What all have: axes that must not be the steps of rows; and most of them gamma and beta."""

    view: ClassVar[View | None] = "steps"
    reads = "floats"
    sums = True

    axis: Any
    center: Any
    scale: Any
    gamma: Any
    beta: Any
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

    def _add_gamma_and_beta(self, shape: tuple[int, ...]) -> None:
        self.gamma = self.beta = None
        for name, wanted in (("gamma", self.scale), ("beta", self.center)):
            if wanted:
                start, penalty, bound = (
                    getattr(self, f"{name}_{kind}") for kind in ("initializer", "regularizer", "constraint")
                )
                setattr(self, name, self.add_weight(name, shape, start, regularizer=penalty, constraint=bound))

    def _note_gamma_and_beta(self, beta: tuple[Any, Any, Any], gamma: tuple[Any, Any, Any]) -> None:
        """Note how they start, what they cost and where they may be."""
        self.beta_initializer, self.gamma_initializer = initializers.get(beta[0]), initializers.get(gamma[0])
        self.beta_regularizer, self.gamma_regularizer = regularizers.get(beta[1]), regularizers.get(gamma[1])
        self.beta_constraint, self.gamma_constraint = constraints.get(beta[2]), constraints.get(gamma[2])

    def _scaled(self, x: Array, gamma: Array | None, beta: Array | None) -> Array:
        """Multiply by gamma and add beta, each along the noted axes."""
        if gamma is not None:
            x = x * self._stood(gamma)
        return x if beta is None else x + self._stood(beta)

    def _stood(self, array: Array) -> Array:
        """An array with an entry for each place along the noted axes, so that it stands beside the input."""
        return array if len(self._beside) == 1 else self.xp.reshape(array, self._beside)


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
        self._note_gamma_and_beta(
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )

    def build(self, spec: Spec) -> None:
        """Make gamma and beta.

        Args:
            spec: of the input.
        """
        self._add_gamma_and_beta(self._note(spec))

    def call(self, x: Array) -> Array:
        """Normalize.

        Args:
            x: (N, ..., D).

        Returns:
            (N, ..., D).
        """
        if self._axes == (-1,):
            require_features(self.place, x, self._beside[-1])
        if self.rms_scaling:
            centred = x - self.xp.mean(x, axis=self._axes, keepdims=True)
            variance = self.xp.mean(centred * centred, axis=self._axes, keepdims=True)  # torch's var warns of no steps
            return self._scaled(x / self.xp.sqrt(variance + self.epsilon), self.gamma, self.beta)
        gamma, beta = (None if array is None else self._stood(array) for array in (self.gamma, self.beta))
        return self.backend.layer_norm(x, gamma, beta, self.epsilon, self._axes)


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
        renorm: whether to train with slowly moving statistics: what the batch's own give is corrected by a factor r and
            a shift d, through which no gradient flows (Ioffe 2017).
        renorm_clipping: {"rmin": ..., "rmax": ..., "dmax": ...}, bounds of r, and of d on both sides; any may be left
            out.
        renorm_momentum: of these statistics.
        synchronized: not there yet.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input. Weights, (D,) each: gamma, beta,
        moving_mean, moving_variance; with renorm also moving_stddev, renorm_mean, renorm_stddev.

    Raises:
        MaskError: when rows come and `axis` is time.
        ArgumentError: for bounds of renorm that are none.
        NotThereYetError: for synchronized.

    Example:
        >>> import numpy as np, padless
        >>> layer = BatchNormalization(momentum=0.5)
        >>> y = layer(padless.Ragged.from_list([np.ones((2, 1)), np.full((2, 1), 3.0)]), training=True)
        >>> layer.moving_mean.tolist()
        [1.0]

    Source: Ioffe and Szegedy 2015, arXiv:1502.03167; Ioffe 2017, arXiv:1702.03275.
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
        if synchronized:
            raise NotThereYetError(
                explain(f"{self.place}: synchronized", expected="False", got="True, not there yet", fix="leave it out")
            )
        self.axis = axis
        self.momentum = float(momentum)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self._note_gamma_and_beta(
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = bool(renorm)
        self.renorm_clipping = self._checked(renorm_clipping or {}) if renorm else renorm_clipping
        self.renorm_momentum = float(renorm_momentum)

    def build(self, spec: Spec) -> None:
        """Make gamma, beta and the moving statistics.

        Args:
            spec: of the input.
        """
        shape = (math.prod(self._note(spec)),)
        self._add_gamma_and_beta(shape)
        self.moving_mean = self.add_state("moving_mean", shape, self.moving_mean_initializer)
        self.moving_variance = self.add_state("moving_variance", shape, self.moving_variance_initializer)
        if self.renorm:
            start = self.moving_variance_initializer or initializers.Ones()

            def root(shape: tuple[int, ...], dtype: str) -> Any:
                return np.sqrt(start(shape, dtype))

            self.moving_stddev = self.add_state("moving_stddev", shape, root)
            self.renorm_mean = self.add_state("renorm_mean", shape, self.moving_mean_initializer)
            self.renorm_stddev = self.add_state("renorm_stddev", shape, root)

    def _checked(self, clipping: Any) -> dict[str, float]:
        known = isinstance(clipping, Mapping) and set(clipping) <= {"rmin", "rmax", "dmax"}
        given = {key: float(value) for key, value in clipping.items() if value is not None} if known else {}
        if not known or given.get("rmin", 0.0) > given.get("rmax", math.inf) or given.get("dmax", 0.0) < 0:
            raise ArgumentError(
                explain(
                    f"{self.place}: renorm_clipping",
                    expected="a dict of rmin, rmax (not below it) and dmax (not below 0)",
                    got=repr(clipping),
                    fix='renorm_clipping={"rmax": 3.0, "rmin": 0.3, "dmax": 5.0}',
                )
            )
        return given

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
        trains = self.training and self.trainable and math.prod(x.shape) > 0
        if trains:
            mean, variance, some = self._statistics(x, live)
        deviation = self.xp.sqrt(variance + self.epsilon)
        y = (x - self._stood(mean)) / self._stood(deviation)
        if trains and self.renorm:
            y = self._corrected(y, mean, deviation)
            self._move(self.renorm_momentum, some, renorm_mean=mean, renorm_stddev=deviation)
            self._move(self.momentum, some, moving_mean=mean, moving_stddev=deviation)
            square = self.moving_stddev * self.moving_stddev - self.epsilon
            square = self.xp.where(square < 0, self.xp.zeros_like(square), square)
            self.assign(
                "moving_variance", square if some is None else self.xp.where(some, square, self.moving_variance)
            )
        elif trains:
            self._move(self.momentum, some, moving_mean=mean, moving_variance=variance)
        return self._scaled(y, self.gamma, self.beta)

    def _move(self, momentum: float, some: Array | None, **statistics: Array) -> None:
        """Move statistics a little towards those of the batch; not at all where it has no steps."""
        share: Any = 1 - momentum
        if some is not None:
            share = self.xp.where(some, share, 0.0)
        for name, value in statistics.items():
            self.assign(name, getattr(self, name) * (1 - share) + value * share)

    def _corrected(self, y: Array, mean: Array, deviation: Array) -> Array:
        """What the moving statistics of renorm would have made of a batch, within bounds."""
        xp, fixed = self.xp, self.backend.stop_gradient
        bounds = self.renorm_clipping or {}
        known = xp.where(self.renorm_stddev < math.sqrt(self.epsilon), math.sqrt(self.epsilon), self.renorm_stddev)
        r, d = fixed(deviation / known), fixed((mean - self.renorm_mean) / known)
        r = xp.clip(r, bounds.get("rmin"), bounds.get("rmax")) if bounds.keys() & {"rmin", "rmax"} else r
        d = xp.clip(d, -bounds["dmax"], bounds["dmax"]) if "dmax" in bounds else d
        return y * xp.reshape(r, self._beside) + xp.reshape(d, self._beside)

    def _statistics(self, x: Array, live: Array | None) -> tuple[Array, Array, Array | None]:
        """Mean and variance of what counts, and whether there is any; None for certain."""
        xp = self.xp
        others = tuple(axis for axis in range(x.ndim) if axis - x.ndim not in self._axes)
        if live is None:
            return xp.mean(x, axis=others), xp.var(x, axis=others), None
        weight = xp.reshape(self.backend.cast(live, self.backend.dtype_name(x)), (-1, *(1 for _ in x.shape[1:])))
        each = math.prod(x.shape[axis] for axis in others if axis)
        count = xp.sum(weight) * each
        some = xp.where(count > 0, count, 1.0)
        mean = xp.sum(x * weight, axis=others) / some
        centred = x - xp.reshape(mean, self._beside)
        variance = xp.sum(centred * centred * weight, axis=others) / some
        return mean, variance, count > 0


class GroupNormalization(_Normalization):
    """Split the features into groups, and shift and scale each group of each row to mean 0 and variance 1.

    On rows, the statistics of a row are those of its own live steps.

    Args:
        groups: number of groups, which divides the features; -1 for as many as there are features.
        axis: of the features, counted as in Keras; never time on rows.
        epsilon: added to the variance.
        center: whether to add a learned beta.
        scale: whether to multiply by a learned gamma.
        beta_initializer: of beta.
        gamma_initializer: of gamma.
        beta_regularizer: adds a penalty on beta to the loss.
        gamma_regularizer: adds a penalty on gamma to the loss.
        beta_constraint: applied to beta after each update.
        gamma_constraint: applied to gamma after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input. Weights: gamma (D,), beta (D,).

    Raises:
        ArgumentError: when groups is no number from 1 on or -1, or does not divide the features.
        MaskError: when rows come and `axis` is time.

    Example:
        >>> import padless
        >>> x = padless.Ragged.from_list([[[1.0, 5.0], [3.0, 9.0]], [[4.0, 4.0]]])
        >>> y = GroupNormalization(groups=2, epsilon=1e-6)(x)
        >>> y[0].tolist()[0][0] < -0.99, y[1].tolist()
        (True, [[0.0, 0.0]])

    Source: Wu and He 2018, arXiv:1803.08494.
    """

    view = "ragged"

    def __init__(
        self,
        groups: int = 32,
        axis: int = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.groups = -1 if groups == -1 else positive(self.place, "groups", groups)
        self.axis = axis
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self._note_gamma_and_beta(
            (beta_initializer, beta_regularizer, beta_constraint),
            (gamma_initializer, gamma_regularizer, gamma_constraint),
        )

    def build(self, spec: Spec) -> None:
        """Make gamma and beta.

        Args:
            spec: of the input.
        """
        size, *more = self._note(spec)
        if more:
            raise ArgumentError(
                explain(f"{self.place}: axis", expected="one axis", got=repr(self.axis), fix="axis=-1 for the features")
            )
        if size % self.groups:
            raise ArgumentError(
                explain(
                    f"{self.place}: groups",
                    expected=f"a divisor of the {size} features",
                    got=str(self.groups),
                    fix=f"groups={math.gcd(size, self.groups)}; -1 for one group per feature",
                )
            )
        self.groups = size if self.groups == -1 else self.groups
        self._add_gamma_and_beta((size,))

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged):
            refuse_time(self.place, self.axis, self._axes, x.values.ndim)
        return self.call(x)

    def call(self, x: Any) -> Any:
        """Normalize.

        Args:
            x: rows (B, None, ..., D), or an array (B, ..., D).

        Returns:
            The same form.
        """
        values = x.values if isinstance(x, Ragged) else x
        if self._axes == (-1,):
            require_features(self.place, values, self._beside[-1])
        if self.backend.is_empty(values):
            return x
        at, size = values.ndim + self._axes[0], values.shape[self._axes[0]]
        split = (*values.shape[:at], self.groups, size // self.groups, *values.shape[at + 1 :])
        grouped = self.xp.reshape(values, split)
        within = tuple(axis for axis in range(1, len(split)) if axis != at)
        centred = grouped - self._mean(grouped, within, x)
        variance = self._mean(centred * centred, within, x)
        y = self.xp.reshape(centred / self.xp.sqrt(variance + self.epsilon), values.shape)
        y = self._scaled(y, self.gamma, self.beta)
        return x.with_values(y) if isinstance(x, Ragged) else y

    def _mean(self, grouped: Array, within: tuple[int, ...], x: Any) -> Array:
        """Of each group of each row; all steps of a row have as many features."""
        mean = self.xp.mean(grouped, axis=within, keepdims=True)
        if not isinstance(x, Ragged):
            return mean
        return spread(row_mean(x.with_values(mean)), like=x).values


class RMSNormalization(_Normalization):
    """Scale every step so that the mean square of its features is 1, then by learned numbers.

    Args:
        axis: of the features, or several, counted as in Keras; never time on rows.
        epsilon: added to the mean square.
        **kwargs: name, dtype, trainable.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input. Weight: scale (D,).

    Raises:
        MaskError: when rows come and `axis` holds time.
        ShapeError: when the input has no such axis, or other features than at first.

    Example:
        >>> import padless
        >>> y = RMSNormalization()(padless.Ragged.from_list([[[3.0, 3.0]], [[2.0, -2.0]]]))
        >>> y.numpy().values.round(4).tolist()
        [[1.0, 1.0], [1.0, -1.0]]

    Source: Zhang and Sennrich 2019, arXiv:1910.07467.
    """

    def __init__(self, axis: Any = -1, epsilon: float = 1e-6, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis
        self.epsilon = float(epsilon)

    def build(self, spec: Spec) -> None:
        """Make the scale.

        Args:
            spec: of the input.
        """
        self.scale = self.add_weight("scale", self._note(spec), "ones")

    def call(self, x: Array) -> Array:
        """Normalize.

        Args:
            x: (N, ..., D).

        Returns:
            (N, ..., D).
        """
        if self._axes == (-1,):
            require_features(self.place, x, self._beside[-1])
        square = self.xp.mean(x * x, axis=self._axes, keepdims=True)
        return self._scaled(x / self.xp.sqrt(square + self.epsilon), self.scale, None)


class UnitNormalization(_Normalization):
    """Scale every step so that its features, as a vector, are as long as 1; zeros stay zeros.

    Args:
        axis: of the features, or several, counted as in Keras; never time on rows.
        **kwargs: name, dtype.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input.

    Raises:
        MaskError: when rows come and `axis` holds time.
        ShapeError: when the input has no such axis.

    Example:
        >>> import padless
        >>> UnitNormalization()(padless.Ragged.from_list([[[3.0, 4.0]], [[0.0, 0.0]]])).to_list()
        [[[0.6000000238418579, 0.800000011920929]], [[0.0, 0.0]]]

    Source: Keras 3.15.
    """

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, spec: Spec) -> None:
        """Note the axes.

        Args:
            spec: of the input.
        """
        self._axes = trailing_axes(self.place, self.axis, spec)
        if spec.ragged:
            refuse_time(self.place, self.axis, self._axes, len(spec) - 1)

    def call(self, x: Array) -> Array:
        """Normalize.

        Args:
            x: (N, ..., D).

        Returns:
            (N, ..., D).
        """
        return unit(self.backend, x, self._axes, 1e-12)


def unit(backend: Backend, x: Array, axes: tuple[int, ...] | None, epsilon: float) -> Array:
    """Vectors as long as 1; those shorter than epsilon are divided by it, so that zeros stay zeros.

    Args:
        backend: of the array.
        x: an array.
        axes: along which the vectors lie; None for the whole array.
        epsilon: the shortest length to divide by.

    Returns:
        An array of the same shape. No gradient goes through vectors shorter than epsilon.
    """
    xp = backend.xp
    square = xp.sum(x * x, axis=axes, keepdims=True)
    short = square < epsilon * epsilon
    # The square root has no gradient at 0: it never sees one.
    length = xp.sqrt(xp.where(short, xp.ones_like(square), square))
    return xp.where(short, backend.stop_gradient(x / epsilon), x / length)


class SpectralNormalization(Layer):
    """A layer whose matrix is divided by its largest singular value at each training step.

    The value is estimated by power iteration, which goes on from step to step. As in Keras on TensorFlow and torch, the
    divided matrix takes the place of the layer's own, and the gradient is that of the divided matrix.

    Args:
        layer: a layer with a `kernel`, or with `embeddings`; rows are read and kept as it does.
        power_iterations: of each training step.
        **kwargs: name, dtype, trainable.

    Shapes:
        Those of the layer. Weights: vector_u (1, D) for D outputs, and those of the layer.

    Raises:
        ArgumentError: when power_iterations is not above 0, or the layer has no such weight.

    Example:
        >>> import numpy as np
        >>> from padless import layers
        >>> dense = layers.Dense(3, kernel_initializer=np.diag([4.0, 2.0, 1.0]))
        >>> layer = SpectralNormalization(dense, power_iterations=20)
        >>> _ = layer(np.ones((1, 3)), training=True)
        >>> np.linalg.norm(dense.get_weights()[0], 2).round(4).tolist()
        1.0

    Source: Miyato et al. 2018, arXiv:1802.05957.
    """

    view = "ragged"
    sums = True

    def __init__(self, layer: Any, power_iterations: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(layer, Layer):
            raise ArgumentError(
                explain(f"{self.place}: layer", expected="a layer", got=repr(layer), fix="layers.Dense(8), for example")
            )
        self.layer = layer
        self.power_iterations = positive(self.place, "power_iterations", power_iterations)
        self.makes_mask = layer.makes_mask

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """The steps that the wrapped layer calls real.

        Args:
            x: what it is called with.
            mask: of x.

        Returns:
            True where a step is real.
        """
        wrapped: Any = self.layer
        return wrapped.compute_mask(x, mask)

    def build(self, spec: Spec) -> None:
        """Make the layer's weights, and the vector with which the iteration begins.

        Args:
            spec: of the input.
        """
        if not self.layer.built:
            self.layer._build_with(spec)
        found = [name for name in ("kernel", "embeddings") if name in self.layer._weights]
        if not found:
            raise ArgumentError(
                explain(
                    f"{self.place}: layer",
                    expected="one with a kernel or embeddings, such as Dense, Conv1D or Embedding",
                    got=repr(self.layer),
                    fix="wrap the layer that has the matrix",
                )
            )
        self.matrix = found[0]
        size = self.layer._weights[self.matrix].shape[-1]
        self.vector_u = self.add_state("vector_u", (1, size), initializers.TruncatedNormal(stddev=0.02))

    def weights_ahead(self) -> list[str]:
        """The matrix, which Keras counts as a weight of this layer, too."""
        return [f"layer/{self.matrix}"] if self.built else []

    @property
    def _view(self) -> View | None:
        return self.layer._view

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        return self.call(x, *args, **kwargs)

    def call(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Run the layer; while training, with its matrix divided.

        Args:
            x: what the layer takes.
            *args: handed to it.
            **kwargs: handed to it.

        Returns:
            What it gives.
        """
        if not self.training:
            return self.layer(x, *args, **kwargs)
        kernel = getattr(self.layer, self.matrix)
        kind = self.backend.dtype_name(kernel)
        vector, divided = self._divided(self.backend.wide(self.backend.stop_gradient(kernel)))
        divided = divided if kind == self.call_dtype else self.backend.cast(divided, kind)
        self.assign("vector_u", vector)
        # The numbers of the divided matrix; gradients go on to the trained one as they are.
        self.layer.__dict__[self.matrix] = kernel + self.backend.stop_gradient(divided - kernel)
        return self.layer(x, *args, **kwargs)

    def _divided(self, kernel: Array) -> tuple[Array, Array]:
        """The vector after this step's iterations, and the matrix divided by its largest singular value."""
        xp, u = self.xp, self.vector_u
        matrix = xp.reshape(kernel, (-1, kernel.shape[-1]))
        for _ in range(self.power_iterations):
            v = unit(self.backend, u @ matrix.T, (0, 1), EPSILON)
            u = unit(self.backend, v @ matrix, (0, 1), EPSILON)
        largest = xp.reshape(v @ matrix @ u.T, ())
        nothing = xp.all(kernel == 0)
        divided = kernel / xp.where(nothing, xp.ones_like(largest), largest)
        return xp.where(nothing, self.vector_u, u), divided
