"""The contract of a backend, with a slow, plain default for most of it.

The defaults are the specification: they use `xp`, the array-API standard, and host arrays of the `RowPartition` only.
A backend overrides what it does faster, and every override is tested against its default.
"""

from __future__ import annotations

import functools
import itertools
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from functools import reduce
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

import numpy as np

from padless.errors import ArgumentError, explain
from padless.lengths import Transposed, Window
from padless.mixed_precision import HALVES
from padless.rows import PairRows, RowPartition, weakly

if TYPE_CHECKING:
    from padless.function import FunctionBatch, ModelFunction
    from padless.optimizers import Optimizer

Array = Any
"""An array of whatever framework the backend hides."""

_dtype_names: dict[Any, str] = {}
"""By dtype: making the text takes as long as some layers do."""

Step = Callable[..., tuple[Array, tuple[Array, ...]]]
"""step(x_t, state, *constants) -> (y_t, new state), all with the live rows as first axis."""


class Cell(Protocol):
    """What a backend must know of a recurrent cell.

    Attributes:
        kind: "lstm", "gru" or "simple_rnn": which formula; None for any other cell, which only `scan` can run.
        fusable: True when activations and options are the ordinary ones that fast kernels compute.
        reset_after: of "gru": whether the reset gate acts after the product with the recurrent kernel.
        weights: the cell's arrays by name, in Keras's layout (kernel, recurrent_kernel, bias).
    """

    kind: str | None
    fusable: bool
    reset_after: bool
    weights: Mapping[str, Array]

    def project(self, x: Array) -> Array:
        """The part of the formula that needs no state: (N, D) to (N, gates), all steps at once."""

    def step(self, z: Array, state: tuple[Array, ...], *constants: Array) -> tuple[Array, tuple[Array, ...]]:
        """The rest of the formula, for one time step of the live rows."""


class Program:
    """A function of arrays and of a batch, run again and again; this one runs it as it is.

    Args:
        function: pure: function(arrays, numbers, batch, live) gives new arrays by name, numbers found out by name, and
            an output with an entry for each row or step. `arrays` are those by name that `collect` gives, `numbers`
            plain numbers by name, `batch` a tree of Ragged, arrays and None. `live` is None, or (B,) bool: False for
            rows that only fill the batch up.
        collect: gives the arrays.

    Attributes:
        compilations: how often it was compiled.
        given_back: what the last run, which failed, leaves of the arrays that it was handed for good.
    """

    compilations: int = 0
    given_back: Any = None

    def __init__(self, function: Callable[..., tuple[Any, Any, Any]], collect: Callable[[], dict[str, Any]]) -> None:
        self.function = function
        self.collect = collect

    def __call__(self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None = None) -> Any:
        """Run it.

        Args:
            numbers: by name.
            batch: a tree of Ragged, arrays (B, ...) and None, on the host or on the backend.
            room: most rows and steps that any batch of this run has, where it is known.

        Returns:
            What the function returned; the output may lie on the host.
        """
        return self.function(self.collect(), numbers, batch, None)

    def size(
        self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None, whole: Callable[[], Any]
    ) -> Hashable:
        """What is compiled for a batch, as something to compare with that of others; None where nothing is.

        Args:
            numbers: by name.
            batch: a batch; the features of its steps may be missing.
            room: as in a call.
            whole: gives the batch with its features, for a function that has seen none like it.
        """
        return None

    def warm(self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None = None) -> None:
        """Compile what running it would, and change nothing.

        Args:
            numbers: by name.
            batch: a batch.
            room: as in a call.
        """


SUMMING = ("segment_sum", "attention", "pair_scores", "pair_shares", "pair_sums", "ctc")
"""Methods that add up many numbers of their first argument: of 16 bits, they compute in float32 and give 16 bits."""


def _in_float32(method: Callable[..., Any]) -> Callable[..., Any]:
    """A method of a backend that never adds up in 16 bits."""

    @functools.wraps(method)
    def summed(self: Backend, x: Array, *args: Any, **kwargs: Any) -> Any:
        kind = _dtype_names.get(x.dtype) or self.dtype_name(x)
        if kind not in HALVES:
            return method(self, x, *args, **kwargs)
        wide = [self.wide(one) if self.is_array(one) else one for one in args]
        named = {name: self.wide(one) if self.is_array(one) else one for name, one in kwargs.items()}
        return self.cast(method(self, self.wide(x), *wide, **named), kind)

    return summed


class Backend(ABC):
    """One array framework, behind some fifteen methods.

    Attributes:
        name: as in `padless.set_backend(name)`.
        xp: the framework's array-API namespace.
        trains: whether it has gradients.
        compiles: whether programs are compiled for each size of a batch.
        halves: names of the dtypes of 16 bits that it computes in.
        native: the framework's own functions by the name of an activation, for what its formula in `xp` is slow at.
    """

    name: ClassVar[str]
    xp: Any
    trains: ClassVar[bool] = True
    compiles: ClassVar[bool] = False
    halves: ClassVar[frozenset[str]] = HALVES
    native: ClassVar[Mapping[str, Callable[[Array], Array]]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for name in SUMMING:
            if name in cls.__dict__:
                setattr(cls, name, _in_float32(cls.__dict__[name]))

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickled model finds the backend of its new process by name.
        from padless.backends import get

        return (get, (self.name,))

    # ---- data

    @abstractmethod
    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        """Make an array of this backend, on its device.

        Args:
            x: a NumPy array, a number, nested lists, or an array of this backend.
            dtype: name of a dtype, such as "float32"; None keeps what is there.

        Returns:
            The array.
        """

    @abstractmethod
    def to_host(self, x: Array) -> np.ndarray[Any, Any]:
        """Make a NumPy array of an array of this backend; waits for the device."""

    @abstractmethod
    def is_array(self, x: object) -> bool:
        """Whether x is an array of this backend."""

    @property
    def device(self) -> Any:
        """The device on which new arrays are made."""
        return "cpu"

    def device_of(self, x: Array) -> Any:
        """The device of an array, for `xp` functions that make another beside it; None to leave that to `xp`."""
        return x.device

    def to_device(self, x: Array, device: Any) -> Array:
        """The same array on another device, named as the framework names it, such as "cuda:0"."""
        return x

    def dtype_name(self, x: Array) -> str:
        """Name of an array's dtype, such as "float32"."""
        name = _dtype_names.get(x.dtype)
        if name is None:
            name = _dtype_names[x.dtype] = str(x.dtype).rsplit(".", 1)[-1]
        return name

    def index(self, rows: RowPartition, name: str, *arguments: Any) -> Array:
        """An array of the partition on this backend's device, moved once per batch.

        Args:
            rows: the partition.
            name: an attribute of it, such as "value_rowids"; or a method, such as "taps".
            *arguments: of the method; hashable.

        Returns:
            The array.
        """
        key = (self.name, str(self.device), name, *(weakly(arguments) if arguments else ()))
        return rows.moved(key, lambda: self.asarray(rows.array(name, *arguments)))

    def cast(self, x: Array, dtype: str) -> Array:
        """Change the dtype of an array."""
        return self.xp.astype(x, getattr(self.xp, dtype))

    def wide(self, x: Array) -> Array:
        """Floats of 16 bits as float32, in which sums of many are right; anything else as it is."""
        return self.cast(x, "float32") if self.dtype_name(x) in HALVES else x

    def stop_gradient(self, x: Array) -> Array:
        """The same numbers, through which no gradient flows."""
        return x

    def no_gradient(self) -> AbstractContextManager[Any]:
        """A context in which nothing is recorded for gradients."""
        return nullcontext()

    def bounds(self, x: Array) -> tuple[int, int] | None:
        """Smallest and largest number of an int array, or None where reading them would stall the device."""
        return None

    # ---- numbers that the standard lacks

    @abstractmethod
    def erf(self, x: Array) -> Array:
        """The error function, element by element."""

    @abstractmethod
    def random_uniform(self, seed: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Array:
        """Numbers in [0, 1) that depend on the seed and the place alone, never on what was drawn before."""

    def random_normal(self, seed: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Array:
        """Numbers of the standard normal distribution, drawn as `random_uniform` draws (Box and Muller 1958)."""
        xp = self.xp
        u = self.random_uniform((*seed, 1), shape, dtype)
        v = self.random_uniform((*seed, 2), shape, dtype)
        return xp.sqrt(-2.0 * xp.log(1.0 - u)) * xp.cos(2.0 * np.pi * v)

    # ---- rows

    def _padded_rows(self, values: Array, rows: RowPartition, fill: float | int) -> Array:
        """(N, ...) to (B, L, ...), `fill` where a row has ended."""
        xp = self.xp
        spare = xp.full((1, *values.shape[1:]), fill, dtype=values.dtype, device=self.device_of(values))
        table = self.index(rows, "unpad_index")
        shape = (rows.nrows, rows.max_row_length, *values.shape[1:])
        return xp.reshape(xp.take(xp.concat([values, spare]), xp.reshape(table, (-1,)), axis=0), shape)

    def segment_sum(self, values: Array, rows: RowPartition) -> Array:
        """Sum of the steps of each row: (N, ...) to (B, ...); 0 for an empty row."""
        return self.xp.sum(self._padded_rows(values, rows, 0), axis=1, dtype=values.dtype)

    def segment_max(self, values: Array, rows: RowPartition) -> Array:
        """Largest step of each row, feature by feature: (N, ...) to (B, ...); 0 for an empty row."""
        xp = self.xp
        shape = (rows.nrows, *values.shape[1:])
        if not rows.nvals:
            return xp.zeros(shape, dtype=values.dtype, device=self.device_of(values))
        lowest = -xp.inf if xp.isdtype(values.dtype, "real floating") else xp.iinfo(values.dtype).min
        largest = xp.max(self._padded_rows(values, rows, lowest), axis=1)
        alive = xp.reshape(self.index(rows, "row_lengths") > 0, (rows.nrows, *(1 for _ in shape[1:])))
        return xp.where(alive, largest, xp.zeros_like(largest))

    def window_max(self, values: Array, rows: RowPartition, window: Window) -> Array:
        """Largest step that each window sees, feature by feature.

        Args:
            values: (N, ...) floats.
            rows: their partition.
            window: size, stride, dilation and padding.

        Returns:
            (M, ...), with M of `rows.derived(window)`; 0 where a window sees nothing but holes.
        """
        xp = self.xp
        index = self.index(rows, "taps", window)
        y = xp.max(self.take_or(values, index, -xp.inf), axis=1)
        if not rows.has_holes:
            return y
        seen = xp.any(index < rows.nvals, axis=1)
        return xp.where(xp.reshape(seen, (seen.shape[0], *(1 for _ in y.shape[1:]))), y, xp.zeros_like(y))

    def lookup(self, table: Array, ids: Array) -> Array:
        """Rows of a table, which is a weight of its own: (V, D) and (N,) whole numbers to (N, D)."""
        return self.xp.take(table, ids, axis=0)

    def take_or(self, values: Array, index: Array, fill: float | int) -> Array:
        """values[index] for an int index of any shape, `fill` where the index is N (one past the end)."""
        xp = self.xp
        spare = xp.full((1, *values.shape[1:]), fill, dtype=values.dtype, device=self.device_of(values))
        flat = xp.take(xp.concat([values, spare]), xp.reshape(index, (-1,)), axis=0)
        return xp.reshape(flat, (*index.shape, *values.shape[1:]))

    def scan(
        self,
        step: Step,
        x: Array,
        rows: RowPartition,
        state: tuple[Array, ...],
        *,
        reverse: bool = False,
        constants: tuple[Array, ...] = (),
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run a cell over every row, each from its first to its last live step; no ended row is computed.

        Args:
            step: the cell.
            x: (N, ...) steps.
            rows: their partition.
            state: arrays (B, ...), the state of each row before its first step.
            reverse: read every row backwards.
            constants: arrays (B, ...) handed to every step.

        Returns:
            (N, ...) the output at each step, in the steps' own order, and the state of each row after its last step
            (the given state for an empty row).
        """
        xp = self.xp
        by_length = self.index(rows, "rows_by_length")
        order = self.index(rows, "time_major_reverse" if reverse else "time_major")
        back = self.index(rows, "time_major_reverse_inverse" if reverse else "time_major_inverse")
        slots = xp.take(x, order, axis=0)
        live_state = tuple(xp.take(s, by_length, axis=0) for s in state)
        live_constants = tuple(xp.take(c, by_length, axis=0) for c in constants)
        outputs: list[Array] = []
        ended: list[tuple[Array, ...]] = []
        first, before = 0, rows.nrows
        for live in rows.batch_sizes.tolist():
            if live < before:
                ended.append(tuple(s[live:] for s in live_state))
                live_state = tuple(s[:live] for s in live_state)
                live_constants = tuple(c[:live] for c in live_constants)
                before = live
            y, live_state = step(slots[first : first + live], live_state, *live_constants)
            outputs.append(y)
            first += live
        if not outputs:
            # No step at all: one call on zero rows tells the width of the output.
            y, _ = step(slots, tuple(s[:0] for s in live_state), *(c[:0] for c in live_constants))
            return y, state
        ended.append(live_state)
        inverse = self.index(rows, "rows_by_length_inverse")
        final = tuple(
            xp.take(xp.concat([piece[k] for piece in reversed(ended)]), inverse, axis=0) for k in range(len(state))
        )
        return xp.take(xp.concat(outputs), back, axis=0), final

    def recur(
        self,
        cell: Cell,
        x: Array,
        rows: RowPartition,
        state: tuple[Array, ...],
        *,
        reverse: bool = False,
        constants: tuple[Array, ...] = (),
    ) -> tuple[Array, tuple[Array, ...]]:
        """Run a whole recurrent layer: as `scan`, but the backend may know a kernel for this cell.

        Args:
            cell: formula and weights.
            x: (N, D) steps.
            rows: their partition.
            state: arrays (B, units).
            reverse: read every row backwards.
            constants: arrays (B, ...) handed to every step.

        Returns:
            As `scan`.
        """
        return self.scan(cell.step, cell.project(x), rows, state, reverse=reverse, constants=constants)

    def convolve(
        self,
        x: Array,
        rows: RowPartition,
        kernel: Array,
        *,
        stride: int = 1,
        dilation: int = 1,
        padding: str = "valid",
        groups: int = 1,
        bias: Array | None = None,
        relu: bool = False,
    ) -> tuple[Array, RowPartition]:
        """Convolve every row alone along time.

        Args:
            x: (N, D) steps.
            rows: their partition.
            kernel: (K, D / groups, filters).
            stride: places between two windows.
            dilation: places between two taps.
            padding: "valid", "same" or "causal".
            groups: number of groups of features that do not see each other.
            bias: (filters,) added to every output; None for none.
            relu: whether outputs below 0 become 0.

        Returns:
            (M, filters) and the partition of the output.
        """
        window = Window(kernel.shape[0], stride, dilation, padding)
        y = self._convolve_taps(x, self.index(rows, "taps", window), kernel, groups)
        return self.finish(y, bias, relu), rows.derived(window)

    def dense(self, x: Array, kernel: Array, bias: Array | None = None, relu: bool = False) -> Array:
        """Multiply every step by a matrix.

        Args:
            x: (..., D).
            kernel: (D, F).
            bias: (F,) added to every output; None for none.
            relu: whether outputs below 0 become 0.

        Returns:
            (..., F).
        """
        return self.finish(x @ kernel, bias, relu)

    def layer_norm(
        self, x: Array, gamma: Array | None, beta: Array | None, epsilon: float, axes: tuple[int, ...] = (-1,)
    ) -> Array:
        """Give the features of every step mean 0 and variance 1, then scale and shift them.

        Args:
            x: (..., D).
            gamma: (D,), or what stands beside x where there are other axes; or None.
            beta: likewise.
            epsilon: added to the variance.
            axes: of the features.

        Returns:
            (..., D).
        """
        kind = self.dtype_name(x)
        if kind in HALVES:
            scale, shift = (None if one is None else self.wide(one) for one in (gamma, beta))
            return self.cast(self.layer_norm(self.wide(x), scale, shift, epsilon, axes), kind)
        centred = x - self.xp.mean(x, axis=axes, keepdims=True)
        y = centred / self.xp.sqrt(self.xp.mean(centred * centred, axis=axes, keepdims=True) + epsilon)
        y = y if gamma is None else y * gamma
        return y if beta is None else y + beta

    def finish(self, y: Array, bias: Array | None, relu: bool) -> Array:
        """Add a bias, and make 0 of what is below; as `convolve` and `dense`."""
        y = y if bias is None else y + bias
        if not relu:
            return y
        function = self.native.get("relu")
        return self.xp.where(y <= 0, self.xp.zeros_like(y), y) if function is None else function(y)

    def _convolve_taps(self, x: Array, index: Array, kernel: Array, groups: int) -> Array:
        """What the windows see times the kernel: (N, D), (M, K) and (K, D / groups, filters) to (M, filters)."""
        xp = self.xp
        size, width, filters = kernel.shape
        each = filters // groups
        if width == 1 < groups:
            return self._convolve_depthwise(x, index, xp.reshape(kernel, (size, groups, each)))
        taps, seen = self.take_or(x, index, 0), (index.shape[0], size * width)
        if groups == 1:
            return xp.reshape(taps, seen) @ xp.reshape(kernel, (size * width, filters))
        parts = [
            xp.reshape(taps[:, :, g * width : (g + 1) * width], seen)
            @ xp.reshape(kernel[:, :, g * each : (g + 1) * each], (size * width, each))
            for g in range(groups)
        ]
        return xp.concat(parts, axis=1)

    def _convolve_depthwise(self, x: Array, index: Array, kernel: Array) -> Array:
        """Convolve every feature with kernels of its own: (N, D), (M, K) and (K, D, each) to (M, D * each)."""
        xp = self.xp
        size, width, each = kernel.shape
        buffer = xp.concat([x, xp.zeros((1, width), dtype=x.dtype, device=self.device_of(x))])[:, :, None]
        parts = [xp.take(buffer, index[:, tap], axis=0) * kernel[tap] for tap in range(size)]
        return xp.reshape(reduce(lambda a, b: a + b, parts), (index.shape[0], width * each))

    def convolve_transposed(
        self, x: Array, rows: RowPartition, kernel: Array, how: Transposed
    ) -> tuple[Array, RowPartition]:
        """Convolve every row alone, the other way round: all products of steps and taps, then those of each place.

        Args:
            x: (N, D) steps.
            rows: their partition.
            kernel: (K, filters, D).
            how: which steps and taps fall on which place.

        Returns:
            (M, filters) and the partition of the output.
        """
        xp = self.xp
        size, filters, width = kernel.shape
        flat = x @ xp.permute_dims(xp.reshape(kernel, (size * filters, width)), (1, 0))
        products = xp.reshape(flat, (rows.nvals * size, filters))
        spare = xp.zeros((1, filters), dtype=x.dtype, device=self.device_of(x))
        products = xp.concat([products, spare])
        steps, taps = self.index(rows, "taps", how), self.index(rows, "taps_kernel", how)
        index = xp.where(steps < rows.nvals, steps * size + taps, rows.nvals * size)
        parts = [xp.take(products, index[:, tap], axis=0) for tap in range(index.shape[1])]
        return reduce(lambda a, b: a + b, parts), rows.derived(how)

    # ---- attention

    def attention(
        self,
        q: Array,
        k: Array,
        v: Array,
        rows: RowPartition,
        value_rows: RowPartition,
        *,
        scale: float,
        causal: bool = False,
        window: int | None = None,
        mask: Array | None = None,
        dropout: float = 0.0,
        seed: tuple[int, ...] = (),
    ) -> Array:
        """Let the steps of every row attend to those of the row with the same number: softmax(scale q k^T) v.

        Args:
            q: (N, H, K) queries.
            k: (M, G, K) keys; H is a multiple of G, and H / G heads of queries share one of keys.
            v: (M, G, V) values.
            rows: partition of the queries, into B rows.
            value_rows: partition of keys and values, into B rows.
            scale: of the scores.
            causal: whether the i-th step of a row sees only the first i of the other.
            window: the i-th step sees only those steps of the other that are fewer than so many places from i.
            mask: (P, 1) or (P, H) bool, which pairs of a query and a key see each other; P of `rows.pairs(value_rows)`.
            dropout: share of the probabilities that is zeroed; the others grow by 1 / (1 - dropout).
            seed: of that. What is drawn for a row depends on neither rows behind it nor their lengths.

        Returns:
            (N, H, V); 0 where there is nothing to attend to.
        """
        pairs = rows.pairs(value_rows)
        scores = self.pair_scores(q, k, pairs, scale)
        shares = self.pair_shares(scores, pairs, causal=causal, window=window, mask=mask)
        return self.pair_sums(self.pair_dropout(shares, pairs, dropout, seed) if dropout else shares, v, pairs)

    def pair_scores(self, q: Array, k: Array, pairs: RowPartition, scale: float) -> Array:
        """Products of queries and keys.

        Args:
            q: (N, H, K) queries.
            k: (M, G, K) keys.
            pairs: `rows.pairs(value_rows)`.
            scale: of the products.

        Returns:
            (P, H), for each pair of the same row and each head of queries.
        """
        assert isinstance(pairs, PairRows)
        xp, heads, k = self.xp, q.shape[1], self._for_heads(k, q.shape[1])
        made = [xp.zeros((0, heads), dtype=q.dtype, device=self.device_of(q))]
        for own, keys in zip(_of_rows(q, pairs.queries), _of_rows(k, pairs.keys), strict=True):
            # (H, n, K) @ (H, K, m)
            scores = xp.permute_dims(own, (1, 0, 2)) @ xp.permute_dims(keys, (1, 2, 0))
            made.append(xp.reshape(xp.permute_dims(scale * scores, (1, 2, 0)), (own.shape[0] * keys.shape[0], heads)))
        return xp.concat(made)

    def pair_shares(
        self,
        scores: Array,
        pairs: RowPartition,
        *,
        causal: bool = False,
        window: int | None = None,
        mask: Array | None = None,
    ) -> Array:
        """The softmax of the scores of each query over the keys that it sees.

        Args:
            scores: (P, H).
            pairs: `rows.pairs(value_rows)`.
            causal: as of `attention`.
            window: as of `attention`.
            mask: as of `attention`.

        Returns:
            (P, H); 0 for a key that the query does not see. Where it sees one, the shares of a query sum to 1.
        """
        xp, visible = self.xp, mask
        if causal or window is not None:
            ahead = self.index(pairs, "key_ranks") - self.index(pairs, "query_ranks")
            near = ahead < (1 if causal else window)
            near = xp.expand_dims(near if window is None else near & (ahead > -window), axis=-1)
            visible = near if mask is None else near & mask
        if visible is not None:
            scores = xp.where(visible, scores, xp.asarray(-xp.inf, dtype=scores.dtype, device=self.device_of(scores)))
        return self._pair_softmax(scores, pairs)

    def _pair_softmax(self, scores: Array, pairs: RowPartition) -> Array:
        """(P, H) to (P, H): over the keys of each query."""
        assert isinstance(pairs, PairRows)
        xp, made = self.xp, [scores[:0]]
        for row, n, m in zip(_of_rows(scores, pairs), *_sizes(pairs), strict=True):
            if not n * m:
                continue
            table = xp.reshape(row, (n, m, scores.shape[1]))
            largest = xp.max(table, axis=1, keepdims=True)
            # Without any key in sight the shares are 0; NaN stays NaN.
            shares = xp.exp(table - xp.where(largest == -xp.inf, xp.zeros_like(largest), largest))
            total = xp.sum(shares, axis=1, keepdims=True)
            shares = shares / xp.where(total == 0, xp.ones_like(total), total)
            made.append(xp.reshape(shares, (n * m, scores.shape[1])))
        return xp.concat(made)

    def pair_dropout(self, shares: Array, pairs: RowPartition, rate: float, seed: tuple[int, ...]) -> Array:
        """Zero some shares, and scale the others up.

        Args:
            shares: (P, H).
            pairs: `rows.pairs(value_rows)`.
            rate: share of them that is zeroed.
            seed: as of `attention`.

        Returns:
            (P, H).
        """
        assert isinstance(pairs, PairRows)
        xp, heads, made = self.xp, shares.shape[1], [shares[:0]]
        for row, part in enumerate(_of_rows(shares, pairs)):
            kept = self.random_uniform((*seed, row), (part.shape[0], heads), "float32") >= rate
            made.append(xp.where(kept, part / (1 - rate), xp.zeros_like(part)))
        return xp.concat(made)

    def pair_sums(self, shares: Array, v: Array, pairs: RowPartition) -> Array:
        """Sum the values of each query's keys, by their shares.

        Args:
            shares: (P, H).
            v: (M, G, V) values.
            pairs: `rows.pairs(value_rows)`.

        Returns:
            (N, H, V).
        """
        assert isinstance(pairs, PairRows)
        xp, heads, v = self.xp, shares.shape[1], self._for_heads(v, shares.shape[1])
        made = [xp.zeros((0, heads, v.shape[2]), dtype=v.dtype, device=self.device_of(v))]
        both = zip(_of_rows(shares, pairs), _of_rows(v, pairs.keys), *_sizes(pairs), strict=True)
        for part, values, n, m in both:
            # (H, n, m) @ (H, m, V)
            table = xp.permute_dims(xp.reshape(part, (n, m, heads)), (2, 0, 1))
            made.append(xp.permute_dims(table @ xp.permute_dims(values, (1, 0, 2)), (1, 0, 2)))
        return xp.concat(made)

    def _for_heads(self, x: Array, heads: int) -> Array:
        """(M, G, K) to (M, H, K): a head of keys for each head of queries."""
        steps, groups, width = x.shape
        if groups == heads:
            return x
        shared = self.xp.broadcast_to(self.xp.expand_dims(x, axis=2), (steps, groups, heads // groups, width))
        return self.xp.reshape(shared, (steps, heads, width))

    def ctc(self, x: Array, rows: RowPartition, labels: Array, counts: Array, *, blank: int = 0) -> Array:
        """-log probability that the labels of each row come out of its steps, over all alignments.

        The labels with a blank before, between and behind them are states, of which a row enters one at each step: the
        same, the next, or the one behind the next where that skips a blank between two different labels.

        Args:
            x: (N, C) log-probabilities of the classes at each step.
            rows: their partition.
            labels: (B, L) ids of classes; what stands behind the last label of a row does not count.
            counts: (B,) number of labels of each row.
            blank: the class that stands for no label.

        Returns:
            (B,); 0, and no gradient, for a row that has more labels than its steps can hold.

        Source: Graves et al. 2006, equations 6 to 8, in logarithms.
        """
        xp = self.xp
        nrows, most = labels.shape

        def full(*shape: int, value: float = _NEVER) -> Array:
            return xp.full(shape, value, dtype=x.dtype, device=self.device_of(x))

        def between(blanks: Array, others: Array) -> Array:
            return xp.concat(
                [xp.reshape(xp.stack([blanks[:, :-1], others], axis=2), (nrows, 2 * most)), blanks[:, -1:]], axis=1
            )

        blanks = xp.full((nrows, most + 1), blank, dtype=labels.dtype, device=self.device_of(labels))
        states = between(blanks, labels)
        unlike = xp.where(labels[:, 1:] != labels[:, :-1], full(1, 1, value=0.0), full(1, 1))
        skips = between(full(nrows, most + 1), xp.concat([full(nrows, 1), unlike], axis=1)[:, :most])

        def step(scores: Array, state: tuple[Array, ...], skip: Array) -> tuple[Array, tuple[Array, ...]]:
            same = state[0]
            moved = xp.concat([full(same.shape[0], 2), same], axis=1)
            ways = xp.stack([same, moved[:, 1:-1], moved[:, :-2] + skip])
            made = logsumexp(self, ways, axis=0) + scores
            return made[:, :1], (made,)

        scores = xp.take_along_axis(x, xp.take(states, self.index(rows, "value_rowids"), axis=0), axis=1)
        before = xp.concat([full(nrows, 1, value=0.0), full(nrows, 2 * most)], axis=1)
        _, (ended,) = self.scan(step, scores, rows, (before,), constants=(skips,))
        at = self.cast(2 * counts, "int64")[:, None]
        last = xp.take_along_axis(ended, at, axis=1)
        ends = xp.concat([last, xp.take_along_axis(ended, xp.where(at > 0, at - 1, at), axis=1)], axis=1)
        both = xp.where(counts > 0, logsumexp(self, ends, axis=1), last[:, 0])
        return xp.where(both > 0.5 * _NEVER, -both, xp.zeros_like(both))

    @abstractmethod
    def convolve_dense(
        self, x: Array, kernel: Array, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
    ) -> Array:
        """Convolve a batch of fixed size, channels last: (B, H, W, C) with (kh, kw, C / groups, filters)."""

    def convolve_dense_transposed(self, x: Array, kernel: Array, hows: tuple[Transposed, ...]) -> Array:
        """Convolve a batch of fixed size the other way round, by a convolution of what is spread out.

        Args:
            x: (B, spatial axes, D), one to three axes, none of size 0.
            kernel: (taps of each axis, filters, D).
            hows: which steps and taps fall on which place, for each axis.

        Returns:
            (B, spatial axes, filters).
        """
        xp = self.xp

        def beside(x: Array, axis: int, before: int, behind: int) -> Array:
            sizes = [(*x.shape[:axis], count, *x.shape[axis + 1 :]) for count in (before, behind)]
            first, last = (xp.zeros(size, dtype=x.dtype, device=self.device_of(x)) for size in sizes)
            return xp.concat([first, x, last], axis=axis)

        for axis, how in enumerate(hows, start=1):
            places = (x.shape[axis] - 1) * how.stride + 1
            spread = beside(xp.expand_dims(x, axis=axis + 1), axis + 1, 0, how.stride - 1)
            spread = xp.reshape(spread, (*x.shape[:axis], x.shape[axis] * how.stride, *x.shape[axis + 1 :]))
            x = beside(spread[(slice(None),) * axis + (slice(0, places),)], axis, *how.zeros)
        once, gaps = (1,) * len(hows), tuple(how.dilation for how in hows)
        return self.convolve_dense(x, self.reversed_kernel(kernel), once, gaps, "valid", 1)

    def reversed_kernel(self, kernel: Array) -> Array:
        """The kernel that convolves what is spread out: (taps of each axis, filters, D) to (taps, D, filters)."""
        spatial = tuple(range(kernel.ndim - 2))
        return self.xp.permute_dims(self.xp.flip(kernel, axis=spatial), (*spatial, kernel.ndim - 1, kernel.ndim - 2))

    # ---- training

    def keep_memory(self) -> None:  # noqa: B027 (most have nothing to do)
        """Get ready for many steps of about one size: what one of them freed is to be kept for the next."""

    def value_and_grad(
        self,
        function: Callable[[dict[str, Array]], tuple[Array, Any]],
        weights: dict[str, Array],
        tables: Collection[str] = (),
    ) -> tuple[tuple[Array, Any], dict[str, Array]]:
        """Call `function(weights) -> (loss, anything else)` and give the gradient of the loss by every weight.

        Args:
            function: pure; reads the weights from its argument only.
            weights: arrays by path.
            tables: paths of those whose gradient may be a `RowGradient`, where nothing but `lookup` reads them.

        Returns:
            What the function returned, and the gradients by path; zeros for a weight that the loss does not use.
        """
        raise NotImplementedError

    def value_and_grads(
        self, function: Callable[[dict[str, Array]], tuple[dict[str, Array], Any]], weights: dict[str, Array]
    ) -> tuple[tuple[dict[str, Array], Any], dict[str, dict[str, Array]]]:
        """Call `function(weights) -> (losses by name, anything else)` and give the gradients of each loss.

        Args:
            function: pure; reads the weights from its argument only.
            weights: arrays by path.

        Returns:
            What the function returned, and the gradients by name of the loss and path.
        """
        raise NotImplementedError

    def remat(self, function: Callable[[], Any]) -> Any:
        """Call a function so that what it computes on its way is not kept for gradients, but computed again.

        Args:
            function: without arguments; gives the same whenever it is called. Gradients flow to all arrays it reads.

        Returns:
            What it returns: a tree of arrays and Ragged.
        """
        return function()

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Make a function faster that is called again and again with arrays; the same function, where nothing helps."""
        return function

    def program(
        self,
        function: Callable[..., tuple[Any, Any, Any]],
        collect: Callable[[], dict[str, Any]],
        lock: threading.RLock,
    ) -> Program:
        """Make a program of a function, compiled where that helps.

        Args:
            function: as of `Program`.
            collect: as of `Program`.
            lock: to be held while the function is traced.

        Returns:
            The program.
        """
        return Program(function, collect)

    def when(self, condition: Array, then: Callable[[], Any], otherwise: Any) -> Any:
        """Choose between a tree of arrays that is made for it and one that is there.

        Args:
            condition: one bool.
            then: makes the tree.
            otherwise: a tree of the same kind.

        Returns:
            One of them.
        """
        return then() if bool(self.to_host(condition)) else otherwise

    def abstractly(self, function: Callable[[], Any]) -> Any:
        """Call a function of which only the shapes of the result are wanted.

        Args:
            function: without arguments; may be called twice.

        Returns:
            What it returns, or other numbers in the same shapes.
        """
        return function()

    # ---- what a compiled function cannot look at

    def is_traced(self, x: Array) -> bool:
        """Whether an array is only the name of one that a compiled function will get."""
        return False

    def assume(self, condition: Array) -> bool:
        """Take for true what a compiled function cannot look at, to be found out when it has run.

        Args:
            condition: bools.

        Returns:
            True if so; False where nothing is compiled, or nobody would look afterwards.
        """
        return False

    def is_empty(self, x: Array) -> bool:
        """Whether an array has no entry; False where nobody knows, since what is computed of none does no harm."""
        return 0 in x.shape

    def graph_rows(self, x: Array, mask: Array | None) -> tuple[RowPartition, Array | None] | None:
        """The rows of a padded array in a program that is being exported, whose sizes nobody knows.

        Args:
            x: (B, T, ...).
            mask: (B, T) bool; None where all steps are real.

        Returns:
            The rows, and the (N,) place of each step in the array reshaped to (B*T, ...), None for all; or None where
            nothing is exported.
        """
        return None

    def assumed(self) -> Array | None:
        """Whether all that was assumed since the last call is true: one bool; None where nothing was."""
        return None

    def purely(self, run: Callable[[Array | None], Any], x: Any, live: Array | None) -> Any:
        """Call a model inside of a function that may be compiled.

        Args:
            run: gets `live`, or what the backend knows in its place.
            x: the input.
            live: (B,) bool, False for rows that only fill the batch up; None where that is not said.

        Returns:
            What `run` returns.
        """
        return run(live)

    def function_batch(
        self, function: ModelFunction, parts: tuple[Any, Any, Any], also: Callable[[Any, Any], Any] | None
    ) -> FunctionBatch:
        """Make a batch for a function of the user's.

        Args:
            function: the model.
            parts: input, targets and weights on the host: trees of Ragged, arrays (B, ...) and None.
            also: as in `ModelFunction.batch`.

        Returns:
            The batch.
        """
        from padless.function import FunctionBatch

        return FunctionBatch.on(self, parts)

    def transforming(self, transformation: Any) -> Optimizer:
        """Make an optimizer of a transformation of optax.

        Args:
            transformation: has init(weights) and update(gradients, state, weights).

        Returns:
            The optimizer.

        Raises:
            ArgumentError: where arrays are not those of JAX.
        """
        raise ArgumentError(
            explain(
                f"optimizer={type(transformation).__name__}(...)",
                expected=f"one of padless's own on the backend {self.name!r}",
                got="a transformation of JAX arrays, such as optax has",
                fix='padless.set_backend("jax") before making the model; or optimizer="adam"',
            )
        )

    def making(self, make: Any) -> Optimizer:
        """Make an optimizer of what makes one of torch's.

        Args:
            make: a class of torch.optim, a functools.partial of one, or a function of a list of parameters.

        Returns:
            The optimizer.

        Raises:
            ArgumentError: where arrays are not those of torch.
        """
        raise ArgumentError(
            explain(
                f"optimizer={make!r}",
                expected=f"one of padless's own on the backend {self.name!r}",
                got="what makes an optimizer of torch's parameters",
                fix='padless.set_backend("torch") before making the model; or optimizer="adam"',
            )
        )

    def update(
        self,
        optimizer: Optimizer,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: dict[str, dict[str, Array]],
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
        """Take one optimizer step.

        Args:
            optimizer: holds the rule and its constants.
            weights: arrays by path.
            gradients: by path, already clipped; of a table perhaps of some rows.
            slots: what the rule remembers: {slot name: {path: array}}.
            learning_rate: of this step.
            iteration: 0 for the first step.

        Returns:
            New weights and new slots.
        """
        new_weights: dict[str, Array] = {}
        new_slots: dict[str, dict[str, Array]] = {name: {} for name in slots}
        for path, weight in weights.items():
            own = {name: slot[path] for name, slot in slots.items() if path in slot}
            new_weights[path], after = optimizer.rule(self.xp, weight, gradients[path], own, learning_rate, iteration)
            for name, value in after.items():
                new_slots[name][path] = value
        return new_weights, new_slots

    def decay(self, weights: dict[str, Array], share: float) -> dict[str, Array]:
        """Take a share off weights.

        Args:
            weights: arrays by path.
            share: of each number.

        Returns:
            Arrays by path, which may be those given.
        """
        # Not weight * (1 - share): in float32 that loses most digits of the share.
        return {path: weight - weight * share for path, weight in weights.items()}

    def added_up(self, gradient: RowGradient) -> RowGradient:
        """Say of each row of a gradient once what it says of it.

        Args:
            gradient: what `value_and_grad` gave.

        Returns:
            The same gradient, its rows in order.
        """
        raise NotImplementedError

    def update_rows(
        self,
        optimizer: Optimizer,
        weight: Array,
        gradient: Array | RowGradient,
        slots: dict[str, Array],
        learning_rate: float,
        iteration: int,
        decay: float = 0.0,
    ) -> tuple[Array, dict[str, Array]]:
        """Take one optimizer step of the rows of a table whose gradient is not all zero; leave the others alone.

        Args:
            optimizer: holds the rule and its constants.
            weight: (V, ...).
            gradient: of its shape, or of some rows.
            slots: what the rule remembers, by slot name.
            learning_rate: of this step.
            iteration: 0 for the first step.
            decay: share of these rows that is taken off before.

        Returns:
            The new table and the new slots.
        """
        xp = self.xp
        axes = tuple(range(1, weight.ndim))
        touched = xp.any(gradient != 0, axis=axes, keepdims=True)
        new, after = optimizer.rule(xp, weight - weight * decay, gradient, slots, learning_rate, iteration)
        return xp.where(touched, new, weight), {n: xp.where(touched, after[n], slots[n]) for n in slots}


for _name in SUMMING:
    setattr(Backend, _name, _in_float32(getattr(Backend, _name)))


class RowGradient(NamedTuple):
    """The gradient of a table of which some rows were looked up; zero for the others.

    Attributes:
        rows: (n,) numbers of the rows; what is said of a row more than once adds up.
        values: (n, ...) their gradients.
    """

    rows: Array
    values: Array


_NEVER = -1e30
"""Log-probability of what cannot be; finite, so that no gradient becomes NaN, and far below all that can be."""


def logsumexp(backend: Backend, x: Array, axis: int) -> Array:
    """log(sum(exp(x))) along an axis, of numbers of any size that are finite.

    Args:
        backend: of the array.
        x: an array.
        axis: along which to sum; not empty.

    Returns:
        An array without that axis.
    """
    xp = backend.xp
    largest = backend.stop_gradient(xp.max(x, axis=axis, keepdims=True))
    return xp.squeeze(largest, axis=axis) + xp.log(xp.sum(xp.exp(x - largest), axis=axis))


def _of_rows(x: Array, rows: RowPartition) -> Iterator[Array]:
    """The steps of each row."""
    return (x[a:b] for a, b in itertools.pairwise(rows.row_splits.tolist()))


def _sizes(pairs: PairRows) -> tuple[list[int], list[int]]:
    """Numbers of queries and of keys of each row."""
    return pairs.queries.row_lengths.tolist(), pairs.keys.row_lengths.tolist()
