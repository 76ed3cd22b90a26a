"""Initializers: the numbers with which weights begin; distributions and defaults of Keras 3.15.

They are drawn on the host in float64 and rounded, so that a seed gives the same numbers on every backend and device.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from padless import random
from padless.errors import ArgumentError, ShapeError, explain, nearest
from padless.named import Configured, config_of, find, table

HostArray = npt.NDArray[Any]
Shape = Sequence[int]

_TRUNCATED_DEVIATION = 0.87962566103423978
"""Standard deviation of a standard normal distribution cut at 2."""


class Initializer(Configured):
    """Base class: a subclass has `__call__(shape, dtype)`."""

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:
        """Make the numbers.

        Args:
            shape: of the weight.
            dtype: name of a dtype.

        Returns:
            A NumPy array.
        """
        raise NotImplementedError

    def clone(self) -> Initializer:
        """Make another one with the same arguments."""
        return self.from_config(self.get_config())


class Constant(Initializer):
    """The same number everywhere.

    Args:
        value: the number, or an array that broadcasts to the shape.

    Example:
        >>> Constant(2.0)((2,)).tolist()
        [2.0, 2.0]

    Source: Keras 3.15.
    """

    def __init__(self, value: Any = 0.0) -> None:
        self.value = value

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        return np.broadcast_to(np.asarray(self.value, dtype=dtype), tuple(shape)).copy()

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"value": self.value.tolist() if isinstance(self.value, np.ndarray | np.generic) else self.value}


class Zeros(Initializer):
    """Zeros.

    Example:
        >>> Zeros()((2,)).tolist()
        [0.0, 0.0]

    Source: Keras 3.15.
    """

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        return np.zeros(tuple(shape), dtype)


class Ones(Initializer):
    """Ones.

    Example:
        >>> Ones()((2,)).tolist()
        [1.0, 1.0]

    Source: Keras 3.15.
    """

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        return np.ones(tuple(shape), dtype)


class Identity(Initializer):
    """The identity matrix.

    Args:
        gain: number on the diagonal.

    Raises:
        ShapeError: when called for anything but a matrix.

    Example:
        >>> Identity()((2, 2)).tolist()
        [[1.0, 0.0], [0.0, 1.0]]

    Source: Keras 3.15.
    """

    def __init__(self, gain: float = 1.0) -> None:
        self.gain = gain

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        if len(shape) != 2:
            raise ShapeError(
                explain(
                    "Identity",
                    expected="the shape of a matrix",
                    got=f"{tuple(shape)}",
                    fix="another initializer for this weight, such as 'orthogonal'",
                )
            )
        rows, columns = shape
        return np.asarray(self.gain * np.eye(rows, columns), dtype)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"gain": self.gain}


_COSINES = {
    "hann": (0.5, 0.5),
    "hamming": (0.54, 0.46),
    "blackman": (0.42, 0.5, 0.08),
    "nuttall": (0.3635819, 0.4891775, 0.1365995, 0.0106411),
    "blackmanharris": (0.35875, 0.48829, 0.14128, 0.01168),
    "flattop": (0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368),
    "boxcar": (1.0,),
}
"""Windows that are sums of cosines, a0 - a1 cos(t) + a2 cos(2 t) - ..., t from 0 to 2 pi (Harris 1978)."""


def _window(name: str, length: int, periodic: bool) -> HostArray:
    """A window as SciPy makes it; those that are not sums of cosines, SciPy has to make."""
    if name in _COSINES:
        t = 2 * np.pi * np.arange(length) / max(length if periodic else length - 1, 1)
        terms = (factor * (-1) ** k * np.cos(k * t) for k, factor in enumerate(_COSINES[name]))
        return np.ones(1) if length == 1 else np.asarray(sum(terms, start=np.zeros(length)))
    try:
        signal = importlib.import_module("scipy.signal")
        return np.asarray(signal.get_window(name, length, periodic))
    except (ImportError, ValueError) as problem:
        raise ArgumentError(
            explain(
                "STFT, window",
                expected="the name of a window",
                got=f"{name!r}: {problem}",
                fix=f"{nearest(name, _COSINES)} SciPy, where it is installed, knows more.",
            )
        ) from None


class STFT(Initializer):
    """Waves of a short-time Fourier transform, for the kernel (T, 1, F) of a Conv1D.

    Column f holds f waves in 2 (F - 1) steps: their cosines, or their sines, below 0.

    Args:
        side: "real" for cosines or "imag" for sines.
        window: which the waves are multiplied with: a name such as "hann" or "hamming", T numbers, or None.
        scaling: "density" divides by the root of the sum of the window's squares, "spectrum" by the sum of its sizes;
            None does not.
        periodic: whether the window is one period of T + 1 steps, of which the last is left out.

    Raises:
        ArgumentError: when an argument is none of these.
        ShapeError: when called for another shape, or another length than the window's.

    Example:
        >>> (STFT("real", None, None)((4, 1, 3))[:, 0, 1] + 0.0).round(4).tolist()
        [1.0, 0.0, -1.0, -0.0]

    Source: Keras 3.15; window formulas of SciPy 1.16.
    """

    def __init__(
        self, side: str = "real", window: Any = "hann", scaling: str | None = "density", periodic: bool = False
    ) -> None:
        for name, value, known in (
            ("side", side, ("real", "imag")),
            ("scaling", scaling, ("density", "spectrum", None)),
        ):
            if value not in known:
                words = ", ".join(repr(one) for one in known)
                raise ArgumentError(
                    explain(f"STFT, {name}", expected=f"one of {words}", got=repr(value), fix=f"{name}={known[0]!r}")
                )
        if isinstance(window, str):
            _window(window, 1, periodic)
        self.side = side
        self.window = window
        self.scaling = scaling
        self.periodic = periodic

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        window = _window(self.window, shape[0], self.periodic) if isinstance(self.window, str) else self.window
        weights = None if window is None else np.asarray(window, np.float64)
        if len(shape) != 3 or shape[1] != 1 or (weights is not None and weights.shape != (shape[0],)):
            raise ShapeError(
                explain(
                    "STFT",
                    expected="the shape of a kernel (T, 1, F), with a window of T numbers",
                    got=f"{tuple(shape)}" + ("" if weights is None else f" and a window of shape {weights.shape}"),
                    fix="Conv1D with as many steps as the window has, on one feature",
                )
            )
        steps, _, waves = shape
        angle = -2 * np.pi * np.arange(steps)[:, None, None] * np.arange(waves) / max(2 * (waves - 1), 1)
        kernel = np.cos(angle) if self.side == "real" else np.sin(angle)
        if weights is not None:
            size = {"density": np.sqrt(np.sum(weights**2)), "spectrum": np.sum(np.abs(weights)), None: 1.0}
            kernel = kernel * weights[:, None, None] / size[self.scaling]
        return np.asarray(kernel, dtype)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        window = np.asarray(self.window).tolist() if self.window is not None else None
        return {"side": self.side, "window": window, "periodic": self.periodic, "scaling": self.scaling}


class RandomInitializer(Initializer):
    """Base class of the initializers that draw.

    Args:
        seed: a whole number gives the same values at each call; None draws new ones, repeatable after
            `padless.utils.set_random_seed`.
    """

    def __init__(self, seed: int | None = None) -> None:
        self.seed = seed

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:  # noqa: D102
        seed = random.next_seed() if self.seed is None else self.seed
        return self.draw(np.random.default_rng(seed), tuple(shape)).astype(dtype)

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:
        """Draw the numbers; what a subclass defines.

        Args:
            generator: where they come from.
            shape: of the weight.

        Returns:
            A float64 array.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"seed": self.seed}


def _truncated(generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:
    """Standard normal numbers between -2 and 2: what lies outside is drawn again."""
    flat = generator.standard_normal(math.prod(shape))
    outside = np.flatnonzero(np.abs(flat) > 2)
    while outside.size:
        flat[outside] = generator.standard_normal(outside.size)
        outside = outside[np.abs(flat[outside]) > 2]
    return flat.reshape(shape)


class RandomNormal(RandomInitializer):
    """Numbers of a normal distribution.

    Args:
        mean: of the distribution.
        stddev: its standard deviation.
        seed: a whole number gives the same values at each call.

    Example:
        >>> RandomNormal(seed=1)((2, 3)).shape
        (2, 3)

    Source: Keras 3.15.
    """

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.mean = mean
        self.stddev = stddev

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:  # noqa: D102
        return self.mean + self.stddev * generator.standard_normal(shape)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"mean": self.mean, "stddev": self.stddev, "seed": self.seed}


class TruncatedNormal(RandomNormal):
    """Numbers of a normal distribution, none further than two standard deviations from its mean.

    Args:
        mean: of the distribution.
        stddev: its standard deviation, before the cut.
        seed: a whole number gives the same values at each call.

    Example:
        >>> bool(abs(TruncatedNormal(stddev=1.0, seed=1)((1000,))).max() <= 2)
        True

    Source: Keras 3.15.
    """

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:  # noqa: D102
        return self.mean + self.stddev * _truncated(generator, shape)


class RandomUniform(RandomInitializer):
    """Numbers that are equally likely between two bounds.

    Args:
        minval: lower bound.
        maxval: upper bound.
        seed: a whole number gives the same values at each call.

    Example:
        >>> bool(RandomUniform(0.0, 1.0, seed=1)((1000,)).max() <= 1)
        True

    Source: Keras 3.15.
    """

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        super().__init__(seed)
        self.minval = minval
        self.maxval = maxval

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:  # noqa: D102
        return generator.uniform(self.minval, self.maxval, shape)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"minval": self.minval, "maxval": self.maxval, "seed": self.seed}


def compute_fans(
    shape: Shape, input_axes: Sequence[int] | None = None, output_axes: Sequence[int] | None = None
) -> tuple[int, int]:
    """Count the inputs and outputs of one unit of a weight.

    Args:
        shape: (D,), (in, out), or a kernel (..., in, out), whose leading axes are its taps.
        input_axes: axes that count as inputs, where the shape alone does not tell.
        output_axes: axes that count as outputs.

    Returns:
        Number of inputs and of outputs.

    Example:
        >>> compute_fans((3, 4, 8))
        (12, 24)

    Source: Keras 3.15.
    """
    if input_axes is not None and output_axes is not None:
        return math.prod(shape[axis] for axis in input_axes), math.prod(shape[axis] for axis in output_axes)
    if not shape:
        return 1, 1
    if len(shape) == 1:
        return shape[0], shape[0]
    taps = math.prod(shape[:-2])
    return shape[-2] * taps, shape[-1] * taps


_MODES: dict[str, Callable[[int, int], float]] = {
    "fan_in": lambda inputs, outputs: inputs,
    "fan_out": lambda inputs, outputs: outputs,
    "fan_avg": lambda inputs, outputs: (inputs + outputs) / 2,
}

_DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, tuple[int, ...]], HostArray]] = {
    "uniform": lambda generator, shape: generator.uniform(-math.sqrt(3.0), math.sqrt(3.0), shape),
    "truncated_normal": lambda generator, shape: _truncated(generator, shape) / _TRUNCATED_DEVIATION,
    "untruncated_normal": lambda generator, shape: generator.standard_normal(shape),
}
"""Each with mean 0 and variance 1."""


class VarianceScaling(RandomInitializer):
    """Numbers with mean 0 and variance scale / n, where n counts the inputs or outputs of a unit.

    Args:
        scale: above 0.
        mode: what n is: "fan_in", "fan_out" or "fan_avg".
        distribution: "truncated_normal" (also "normal"), "untruncated_normal" or "uniform".
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Raises:
        ArgumentError: when an argument is none of these.

    Example:
        >>> VarianceScaling(2.0, seed=1)((4, 3)).shape
        (4, 3)

    Source: Keras 3.15.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(seed)
        if scale <= 0:
            raise ArgumentError(
                explain("VarianceScaling, scale", expected="a number above 0", got=repr(scale), fix="scale=1.0")
            )
        self.scale = scale
        self.mode = _known("mode", mode, _MODES)
        self.distribution = _known(
            "distribution", "truncated_normal" if distribution == "normal" else distribution.lower(), _DISTRIBUTIONS
        )
        self.input_axes = input_axes
        self.output_axes = output_axes

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:  # noqa: D102
        n = _MODES[self.mode](*compute_fans(shape, self.input_axes, self.output_axes))
        return math.sqrt(self.scale / max(1.0, n)) * _DISTRIBUTIONS[self.distribution](generator, shape)

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"scale": self.scale, "mode": self.mode, "distribution": self.distribution, **self._drawn_with()}

    def _drawn_with(self) -> dict[str, Any]:
        return {"seed": self.seed, "input_axes": self.input_axes, "output_axes": self.output_axes}


def _known(name: str, value: str, choices: dict[str, Any]) -> str:
    if value not in choices:
        raise ArgumentError(
            explain(f"VarianceScaling, {name}", expected="a known name", got=repr(value), fix=nearest(value, choices))
        )
    return value


class _Scaled(VarianceScaling):
    """VarianceScaling with three arguments fixed by the class."""

    _fixed: tuple[float, str, str]

    def __init__(
        self,
        seed: int | None = None,
        input_axes: Sequence[int] | None = None,
        output_axes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(*self._fixed, seed=seed, input_axes=input_axes, output_axes=output_axes)

    def get_config(self) -> dict[str, Any]:
        return self._drawn_with()


class GlorotUniform(_Scaled):
    """Uniform numbers with variance 2 / (inputs + outputs).

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> bool(abs(GlorotUniform(seed=1)((3, 3))).max() <= 1)
        True

    Source: Glorot and Bengio 2010; Keras 3.15.
    """

    _fixed = (1.0, "fan_avg", "uniform")


class GlorotNormal(_Scaled):
    """Truncated normal numbers with variance 2 / (inputs + outputs).

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> GlorotNormal(seed=1)((3, 3)).shape
        (3, 3)

    Source: Glorot and Bengio 2010; Keras 3.15.
    """

    _fixed = (1.0, "fan_avg", "truncated_normal")


class HeUniform(_Scaled):
    """Uniform numbers with variance 2 / inputs.

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> HeUniform(seed=1)((3, 3)).shape
        (3, 3)

    Source: He and others 2015; Keras 3.15.
    """

    _fixed = (2.0, "fan_in", "uniform")


class HeNormal(_Scaled):
    """Truncated normal numbers with variance 2 / inputs.

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> HeNormal(seed=1)((3, 3)).shape
        (3, 3)

    Source: He and others 2015; Keras 3.15.
    """

    _fixed = (2.0, "fan_in", "truncated_normal")


class LecunUniform(_Scaled):
    """Uniform numbers with variance 1 / inputs.

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> LecunUniform(seed=1)((3, 3)).shape
        (3, 3)

    Source: LeCun and others 1998; Keras 3.15.
    """

    _fixed = (1.0, "fan_in", "uniform")


class LecunNormal(_Scaled):
    """Truncated normal numbers with variance 1 / inputs.

    Args:
        seed: a whole number gives the same values at each call.
        input_axes: axes that count as inputs; None for those of Dense and convolution kernels.
        output_axes: axes that count as outputs.

    Example:
        >>> LecunNormal(seed=1)((3, 3)).shape
        (3, 3)

    Source: LeCun and others 1998; Keras 3.15.
    """

    _fixed = (1.0, "fan_in", "truncated_normal")


class Orthogonal(RandomInitializer):
    """A random matrix with orthogonal columns, or rows where there are fewer of them.

    Args:
        gain: factor.
        seed: a whole number gives the same values at each call.

    Raises:
        ShapeError: when called for fewer than two axes.

    Example:
        >>> q = Orthogonal(seed=1)((3, 3), "float64")
        >>> bool(np.allclose(q.T @ q, np.eye(3)))
        True

    Source: Saxe, McClelland and Ganguli 2014; Keras 3.15.
    """

    def __init__(self, gain: float = 1.0, seed: int | None = None) -> None:
        super().__init__(seed)
        self.gain = gain

    def draw(self, generator: np.random.Generator, shape: tuple[int, ...]) -> HostArray:  # noqa: D102
        if len(shape) < 2:
            raise ShapeError(
                explain(
                    "Orthogonal",
                    expected="a weight with at least two axes",
                    got=f"shape {shape}",
                    fix="another initializer for this weight, such as 'zeros'",
                )
            )
        rows, columns = math.prod(shape[:-1]), shape[-1]
        q, r = np.linalg.qr(generator.standard_normal((max(rows, columns), min(rows, columns))))
        q = q * np.sign(np.diagonal(r))
        return np.asarray(self.gain * (q if rows >= columns else q.T).reshape(shape))

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        return {"gain": self.gain, "seed": self.seed}


_KNOWN: dict[str, type[Initializer]] = table(
    *(Constant, Zeros, Ones, Identity, STFT, RandomNormal, TruncatedNormal, RandomUniform, VarianceScaling, Orthogonal),
    *(GlorotUniform, GlorotNormal, HeUniform, HeNormal, LecunUniform, LecunNormal),
    **{"zero": Zeros, "one": Ones, "normal": RandomNormal, "uniform": RandomUniform},
    **{"IdentityInitializer": Identity, "OrthogonalInitializer": Orthogonal, "STFTInitializer": STFT},
)

# Keras's other names for them.
constant, zeros, ones, identity, stft = Constant, Zeros, Ones, Identity, STFT
random_normal, truncated_normal, random_uniform = RandomNormal, TruncatedNormal, RandomUniform
variance_scaling, orthogonal = VarianceScaling, Orthogonal
glorot_uniform, glorot_normal = GlorotUniform, GlorotNormal
he_uniform, he_normal = HeUniform, HeNormal
lecun_uniform, lecun_normal = LecunUniform, LecunNormal
IdentityInitializer, OrthogonalInitializer, STFTInitializer = Identity, Orthogonal, STFT


class _Given(Initializer):
    """An array or a function of yours as an initializer."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, shape: Shape, dtype: str = "float32") -> HostArray:
        made = np.asarray(self.function(tuple(shape), dtype=dtype), dtype=dtype)
        if made.shape != tuple(shape):
            raise ShapeError(
                explain(
                    "initializer",
                    expected=f"numbers for a weight of shape {tuple(shape)}",
                    got=f"shape {made.shape}",
                    fix="an array of that shape, or a function fn(shape, dtype) that makes one",
                )
            )
        return made

    def get_config(self) -> dict[str, Any]:
        return {"function": self.function}


def get(identifier: Any) -> Initializer | None:
    """Find an initializer.

    Args:
        identifier: a name, an object, a class, a config as in a model's file, an array with the values themselves, a
            function fn(shape, dtype), or None.

    Returns:
        The initializer; None for None.

    Raises:
        ArgumentError: when there is no such name; it gives the nearest one.

    Example:
        >>> get("glorot_uniform")
        GlorotUniform(seed=None, input_axes=None, output_axes=None)
    """
    if identifier is None:
        return None
    if isinstance(identifier, np.ndarray | np.generic):
        values = np.array(identifier)
        return _Given(lambda shape, dtype: values)
    if callable(identifier) and not isinstance(identifier, Initializer | type):
        return _Given(identifier)
    return find("initializer", identifier, _KNOWN, Initializer)


def serialize(initializer: Initializer) -> dict[str, Any]:
    """A config from which `deserialize` makes the initializer again.

    Args:
        initializer: an initializer.

    Returns:
        A dict that JSON can hold.

    Example:
        >>> deserialize(serialize(Constant(2.0)))
        Constant(value=2.0)
    """
    return config_of(initializer)


def deserialize(config: Mapping[str, Any]) -> Initializer | None:
    """Make an initializer of its config, as `get` does.

    Args:
        config: {"class_name": ..., "config": {...}}.

    Returns:
        The initializer.
    """
    return get(config)
