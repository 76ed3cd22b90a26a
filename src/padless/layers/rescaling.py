"""Scales and shifts that are given, not learned."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless.errors import ArgumentError, DataError, NotBuiltError, ShapeError, explain
from padless.layer import Array, Layer
from padless.layers.arguments import beside, refuse_time, trailing_axes
from padless.layers.host import batches
from padless.losses import EPSILON
from padless.ragged import Ragged
from padless.spec import Spec


class Rescaling(Layer):
    """Multiply with a number and add another.

    Args:
        scale: the factor: a number, or an array with one for each feature.
        offset: what is added, likewise.
        **kwargs: name, dtype.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D), of floats or whole numbers; the output, floats, has that of the input.

    Raises:
        ShapeError: when an array does not fit the features of a step.

    Example:
        >>> import numpy as np
        >>> np.asarray(Rescaling(1 / 127.5, offset=-1.0)(np.array([[0, 255]]))).tolist()
        [[-1.0, 1.0]]

    Source: Keras 3.15.
    """

    view = "steps"
    reads = "floats"

    def __init__(self, scale: Any, offset: Any = 0.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.scale = np.asarray(scale, self.dtype)
        self.offset = np.asarray(offset, self.dtype)

    def build(self, spec: Spec) -> None:
        """Look at the shapes.

        Args:
            spec: of the input.
        """
        step = spec[2:] if spec.ragged else spec[1:]
        for name, given in (("scale", self.scale), ("offset", self.offset)):
            own = step[len(step) - given.ndim :]
            if given.ndim > len(step) or any(n not in (1, m) for n, m in zip(given.shape, own, strict=True)):
                raise ShapeError(
                    explain(
                        f"{self.place}: {name}",
                        expected=f"a number, or an array that fits the features of a step, {tuple(step)}",
                        got=f"shape {given.shape}",
                        fix=f"{name}=1.0, or one for each feature",
                    )
                )

    def call(self, x: Array) -> Array:
        """Rescale.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        return x * self.backend.asarray(self.scale) + self.backend.asarray(self.offset)


class Normalization(Layer):
    """Shift and scale features to mean 0 and variance 1, or back: those that are given, or that `adapt` finds out.

    Args:
        axis: of the features that have a mean each, counted as in Keras, or several; None for one mean of all. Never
            time on rows.
        mean: of the features: a number, or one for each place along `axis`; None for `adapt`.
        variance: of the features, likewise.
        invert: whether to go from mean 0 and variance 1 to the given ones.
        **kwargs: name, dtype.

    Shapes:
        (B, ..., D) or rows (B, None, ..., D); the output has that of the input.

    Raises:
        ArgumentError: when mean or variance is missing, or their shapes differ.
        MaskError: when rows come and `axis` holds time.
        ShapeError: when they do not fit the input.
        NotBuiltError: when it is called before `adapt`, where both were left out.

    Example:
        >>> import numpy as np
        >>> np.asarray(Normalization(mean=[3.0, 0.0], variance=[4.0, 1.0])(np.array([[5.0, 0.5]]))).tolist()
        [[1.0, 0.5]]

    Source: Keras 3.15.
    """

    view = "steps"
    reads = "floats"

    def __init__(
        self, axis: Any = -1, mean: Any = None, variance: Any = None, invert: bool = False, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        count = 0 if axis is None else len(axis) if isinstance(axis, list | tuple) else 1
        alone = (mean is None) != (variance is None)
        if alone or np.shape(mean) != np.shape(variance) or np.ndim(mean) > count:
            raise ArgumentError(
                explain(
                    f"{self.place}: mean and variance",
                    expected=f"both, of one shape, with no more axes than `axis` has, {count}",
                    got=f"shapes {[None if v is None else np.shape(v) for v in (mean, variance)]}",
                    fix="mean=[0.5, 2.0], variance=[1.0, 4.0] for two features",
                )
            )
        self.axis = axis
        self.mean = None if mean is None else np.asarray(mean, self.dtype)
        self.variance = None if variance is None else np.asarray(variance, self.dtype)
        self.invert = invert

    def build(self, spec: Spec) -> None:
        """Bring mean and deviation to the shape in which they stand beside a step.

        Args:
            spec: of the input.
        """
        shape: tuple[int, ...] = ()
        sizes: tuple[int, ...] = ()
        self._axes: tuple[int, ...] = ()
        if self.axis is not None:
            self._axes = trailing_axes(self.place, self.axis, spec)
            if spec.ragged:
                refuse_time(self.place, self.axis, self._axes, len(spec) - 1)
            shape = beside(self._axes, spec)
            sizes = tuple(shape[axis] for axis in self._axes)
        self._beside = shape, sizes
        if self.mean is not None:
            self._place_statistics()

    def _place_statistics(self) -> None:
        assert self.mean is not None
        assert self.variance is not None
        shape, sizes = self._beside
        deviation = np.maximum(np.sqrt(self.variance), EPSILON)
        try:
            self._mean, self._deviation = (
                np.broadcast_to(given, sizes).reshape(shape) for given in (self.mean, deviation)
            )
        except ValueError:
            raise ShapeError(
                explain(
                    f"{self.place}: mean and variance",
                    expected=f"one for each feature along axis {self.axis}: shape {sizes}",
                    got=f"shape {self.mean.shape}",
                    fix="steps.mean(axis=0) of all live steps",
                )
            ) from None

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged) and self._axes:
            refuse_time(self.place, self.axis, self._axes, x.values.ndim)
        return super()._dispatch(x, args, kwargs)

    def call(self, x: Array) -> Array:
        """Normalize.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        if self.mean is None:
            if self.tracing:
                return x
            fix = "layer.adapt(data), or mean=[...], variance=[...]"
            raise NotBuiltError(explain(self.place, expected="a mean and a variance", got="none", fix=fix))
        mean, deviation = self.backend.asarray(self._mean), self.backend.asarray(self._deviation)
        return mean + x * deviation if self.invert else (x - mean) / deviation

    # ---- learning

    def adapt(self, data: Any, steps: int | None = None) -> None:
        """Find mean and variance of the live steps out, in one pass, in float64.

        Args:
            data: an array (B, ..., D), a Ragged or a list of sequences; or anything that yields batches of these.
            steps: batches to read; None for all.

        Raises:
            DataError: when there are no numbers at all.
            ArgumentError: when mean and variance were given.

        Source: the update for several batches, Chan, Golub and LeVeque 1979.
        """
        if self._arguments.get("mean") is not None:
            got, fix = "mean and variance", "leave them out, or leave out adapt"
            raise ArgumentError(explain(f"{self.place}: adapt", expected="neither given", got=got, fix=fix))
        count, mean, squares = 0, np.zeros(()), np.zeros(())
        for value in batches(data, steps, self.place):
            if not self.built:
                self._build_with(Spec.of(value))
            array = np.asarray(value.flat_values if isinstance(value, Ragged) else value, np.float64)
            if not array.size:
                continue
            kept = {axis % array.ndim for axis in self._axes}
            others = tuple(axis for axis in range(array.ndim) if axis not in kept)
            own, size = array.mean(axis=others), int(np.prod([array.shape[axis] for axis in others], dtype=np.int64))
            spread = ((array - np.expand_dims(own, others)) ** 2).sum(axis=others)
            total = count + size
            squares = squares + spread + (own - mean) ** 2 * (count * size / total)
            mean = mean + (own - mean) * (size / total)
            count = total
        if not count:
            fix = "data with at least one live step"
            raise DataError(explain(f"{self.place}: adapt", expected="numbers", got="none", fix=fix))
        self.mean, self.variance = mean.astype(self.dtype), (squares / count).astype(self.dtype)
        self._place_statistics()

    def learned_arrays(self) -> list[np.ndarray[Any, Any]]:
        """Mean, variance and a count that Keras has beside them; nothing where they were given."""
        if self.mean is None or self.variance is None or self._arguments.get("mean") is not None:
            return []
        return [self.mean, self.variance, np.zeros((), np.int32)]

    def learn_arrays(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        """Take mean and variance as `adapt` would have found them out.

        Args:
            arrays: as `learned_arrays` gave them.

        Raises:
            ShapeError: when they are none.
        """
        shape = self._beside[1]
        if [array.shape for array in arrays] != [shape, shape, ()]:
            got = ", ".join(str(array.shape) for array in arrays)
            fix = "the same axis, on data with as many features"
            raise ShapeError(explain(self.place, expected=f"{shape}, {shape}, () as weights", got=got, fix=fix))
        self.mean, self.variance = (np.array(array, self.dtype) for array in arrays[:2])
        self._place_statistics()

    def get_config(self) -> dict[str, Any]:
        """The arguments; mean and variance that were learned are among them."""
        learned = {} if self.mean is None or self.variance is None else {"mean": self.mean, "variance": self.variance}
        return super().get_config() | {name: array.tolist() for name, array in learned.items()}
