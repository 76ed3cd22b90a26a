"""Activations as layers: they look at one step at a time."""

from __future__ import annotations

from typing import Any

from padless import activations, constraints, initializers, regularizers
from padless.errors import ArgumentError, MaskError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import trailing_axes
from padless.ops.reductions import softmax as softmax
from padless.ragged import Ragged
from padless.spec import Spec


def _at_least_zero(place: str, name: str, value: Any) -> float:
    if value is None or value < 0:
        raise ArgumentError(
            explain(f"{place}: {name}", expected="a number from 0 on", got=repr(value), fix=f"{name}=0.1, for example")
        )
    return float(value)


class Activation(Layer):
    """Apply an activation function to every step.

    Args:
        activation: name or function.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Example:
        >>> Activation("relu")([[-1.0, 2.0], [3.0]])[0].tolist()
        [0.0, 2.0]
    """

    view = "steps"
    reads = "floats"

    def __init__(self, activation: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.activation = activations.get(activation)

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return self.activation(x)


class ReLU(Layer):
    """Keep what lies above a threshold: max(x, 0) by default.

    Args:
        max_value: where the output stops growing; None for nowhere.
        negative_slope: slope below the threshold.
        threshold: where the output starts to grow.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Example:
        >>> ReLU(max_value=1.0)([[-1.0, 2.0], [0.5]])[0].tolist()
        [0.0, 1.0]
    """

    view = "steps"
    reads = "floats"

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.max_value = None if max_value is None else _at_least_zero(self.place, "max_value", max_value)
        self.negative_slope = _at_least_zero(self.place, "negative_slope", negative_slope)
        self.threshold = _at_least_zero(self.place, "threshold", threshold)

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(Layer):
    """Rectify, but with a small slope below 0.

    Args:
        negative_slope: slope below 0; `alpha`, its older name in Keras, works too.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Example:
        >>> LeakyReLU(0.5)([[-1.0, 2.0], [0.5]])[0].tolist()
        [-0.5, 2.0]

    Source: Maas, Hannun and Ng 2013.
    """

    view = "steps"
    reads = "floats"

    def __init__(self, negative_slope: float = 0.3, **kwargs: Any) -> None:
        negative_slope = kwargs.pop("alpha", negative_slope)
        super().__init__(**kwargs)
        self.negative_slope = _at_least_zero(self.place, "negative_slope", negative_slope)

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return activations.leaky_relu(x, self.negative_slope)


class ELU(Layer):
    """Rectify smoothly: x above 0, alpha * (exp(x) - 1) below.

    Args:
        alpha: how far below 0 the output goes.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Example:
        >>> ELU()([[0.0, 2.0], [0.5]])[0].tolist()
        [0.0, 2.0]

    Source: Clevert, Unterthiner and Hochreiter 2015, arXiv:1511.07289.
    """

    view = "steps"
    reads = "floats"

    def __init__(self, alpha: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.alpha = float(alpha)

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return activations.elu(x, self.alpha)


class PReLU(Layer):
    """Rectify with a slope below 0 that is learned.

    Args:
        alpha_initializer: of the slopes.
        alpha_regularizer: adds a penalty on the slopes to the loss.
        alpha_constraint: applied to the slopes after each update.
        shared_axes: axes along which one slope serves all places, counted as in Keras, 1 being time. Rows need 1 among
            them: there is no slope of its own for each place in rows of any length.
        **kwargs: name, dtype, trainable.

    Shapes:
        Any; the output has that of the input. Weights: alpha, the shape of the input without the batch, 1 for shared
        axes.

    Raises:
        MaskError: when rows come and time is not shared.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([-np.ones((2, 3)), np.ones((1, 3))])
        >>> PReLU("ones", shared_axes=[1])(x).to_list()[0]
        [[-1.0, -1.0, -1.0], [-1.0, -1.0, -1.0]]

    Source: He, Zhang, Ren and Sun 2015, arXiv:1502.01852.
    """

    view = "steps"
    reads = "floats"

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = shared_axes

    def build(self, spec: Spec) -> None:
        """Make the slopes.

        Args:
            spec: of the input.
        """
        shared = () if self.shared_axes is None else trailing_axes(self.place, self.shared_axes, spec)
        shape = tuple(1 if axis in shared else spec[axis] for axis in range(1 - len(spec), 0))
        if None in shape:
            raise MaskError(self._time_error(tuple(spec)))
        self.alpha = self.add_weight(
            "alpha",
            tuple(size for size in shape if size is not None),
            self.alpha_initializer,
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def _prepared(self, x: Any) -> Any:
        x = super()._prepared(x)
        if self.built and isinstance(x, Ragged) and self.alpha.ndim == x.values.ndim and self.alpha.shape[0] != 1:
            raise MaskError(self._time_error(x.shape))
        return x

    def _time_error(self, shape: tuple[int | None, ...]) -> str:
        return explain(
            self.place,
            expected="slopes that all steps of a row share",
            got=f"a slope for each place in rows of any length, {shape}",
            fix="shared_axes=[1]",
        )

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return activations.relu(x) - self.alpha * activations.relu(-x)


class Softmax(Layer):
    """Turn the features of every step, or the steps of every row, into numbers from 0 to 1 that sum to 1.

    Args:
        axis: the axis that sums to 1, or several, counted as in Keras; 1 is time, and on rows the steps of each row.
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input. In a call, `mask` may have the shape of an array: True where an entry
        takes part; the others give 0.

    Raises:
        ArgumentError: when `axis` is the batch.

    Example:
        >>> import numpy as np, padless
        >>> Softmax()(padless.Ragged.from_list([np.zeros((1, 2)), np.zeros((2, 2))])).to_list()[0]
        [[0.5, 0.5]]
        >>> Softmax(axis=1)(padless.Ragged.from_list([[0.0], [1.0, 1.0]])).to_list()
        [[1.0], [0.5, 0.5]]
    """

    view = "steps"
    reads = "floats"
    sums = True

    def __init__(self, axis: Any = -1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.axis = axis

    def build(self, spec: Spec) -> None:
        """Note which axes these are.

        Args:
            spec: of the input.
        """
        self._axes = trailing_axes(self.place, self.axis, spec)

    def __call__(self, x: Any, *args: Any, mask: Any = None, **kwargs: Any) -> Any:
        """Call the layer.

        Args:
            x: as of every layer.
            *args: as of every layer.
            mask: as of every layer; or bools of the shape of x, an array, for each entry.
            **kwargs: as of every layer.

        Returns:
            As of every layer.
        """
        if mask is None or getattr(mask, "ndim", 0) < 3:
            return super().__call__(x, *args, mask=mask, **kwargs)
        x, marks = self.backend.asarray(x), self.backend.asarray(mask) > 0.5
        y = super().__call__(self.xp.where(marks, x, self.xp.full_like(x, float(self.xp.finfo(x.dtype).min))))
        return self.xp.where(marks, y, self.xp.zeros_like(y))

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged) and -min(self._axes) >= x.values.ndim:
            return softmax(x, self._axes)
        return super()._dispatch(x, args, kwargs)

    def call(self, x: Array) -> Array:
        """Apply the function.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return softmax(x, self._axes)
