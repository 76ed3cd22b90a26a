"""JAX: pure functions of arrays whose shapes are known before they run.

Three things differ from the other backends. A dtype that was asked for is kept, float64 too, while everything that
nobody asked for stays 32 bits wide, as JAX's users know it. Index arrays are int32. And the arrays that describe the
rows of a batch to a kernel come from one table of functions, `PLANS`, by name and arguments alone: what they return
may as well be the input of a compiled step.
"""

from __future__ import annotations

import threading
import types
import weakref
from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optree
from jax import lax

from padless.backends.base import Array, Backend, Cell, Program, Step
from padless.backends.jax import attention, compiled, convolution, random, recurrent
from padless.backends.jax.compiled import CompiledProgram
from padless.backends.jax.filled import TracedRows
from padless.backends.jax.shapes import Host
from padless.backends.numpy import same_padding
from padless.errors import BackendError, DTypeError, explain
from padless.lengths import Transposed, Window
from padless.ragged import Ragged
from padless.rows import PairRows, RowPartition, weakly

if TYPE_CHECKING:
    from padless.function import FunctionBatch, ModelFunction
    from padless.optimizers import Optimizer

PLANS: Mapping[str, Callable[..., dict[str, Host]]] = {
    "bounds": attention.bounds,
    "staircase": recurrent.staircase,
    "separated": convolution.separated,
}
"""What `JaxBackend.plan` can make, by name: function(partition, *arguments) to arrays, on the host.

Without holes, their shapes depend on the numbers of rows and of steps and on the arguments alone.
"""

# Of the two settings the narrow one: only who names a 64-bit dtype gets it, where JAX would warn and give 32 bits.
jax.config.update("jax_explicit_x64_dtypes", "allow")  # type: ignore[no-untyped-call]


def _flatten(x: Ragged) -> tuple[tuple[Any], RowPartition]:
    return (x.values,), x.rows


def _unflatten(rows: RowPartition, children: Any) -> Ragged:
    # Trees are also filled with things that are no arrays (None, shapes, markers), so nothing is checked here.
    made = object.__new__(Ragged)
    (made.values,), made.rows = children, rows
    return made


jax.tree_util.register_pytree_node(Ragged, _flatten, _unflatten)


def _take(x: jax.Array, indices: jax.Array, /, *, axis: int | None = None) -> jax.Array:
    """As the standard's `take`: what an index beyond the end reads is not said.

    JAX's own fills with NaN there, and drops such gradients: 1.5 against 0.6 ms for 12,000 x 128 on two cores, and for
    the gradient of a table of 20,000 x 128 3.4 against 1.1 ms.
    """
    if indices.dtype in (np.int64, np.uint64):
        indices = indices.astype(jnp.int32)  # the gradient of a gather wants what JAX's own indices are
    at = (axis or 0) % x.ndim
    if not x.shape[at]:
        return jnp.zeros((*x.shape[:at], *indices.shape, *x.shape[at + 1 :]), x.dtype)
    place = (slice(None),) * at
    taken: jax.Array = x.at[(*place, indices)].get(mode="promise_in_bounds", wrap_negative_indices=False)
    return taken


@jax.custom_jvp
def _abs(x: jax.Array, /) -> jax.Array:
    """As the standard's `abs`; its gradient at 0 is 0, as everywhere else, not 1."""
    return jnp.abs(x)


@_abs.defjvp
def _abs_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    return jnp.abs(primals[0]), jnp.sign(primals[0]) * tangents[0]


def _clip(x: jax.Array, /, min: Any = None, max: Any = None) -> jax.Array:
    """As the standard's `clip`; its gradient at the bounds is 1, as everywhere else, not 1/2."""
    if max is not None:
        x = jnp.where(x > max, max, x).astype(x.dtype)
    return x if min is None else jnp.where(x < min, min, x).astype(x.dtype)


def _namespace() -> Any:
    return types.SimpleNamespace(**{**vars(jnp), "take": _take, "abs": _abs, "clip": _clip})


def _concrete(x: Any) -> Any:
    """The array behind a value of which the gradient is being taken; None for one that a compiled step only names."""
    if isinstance(x, jax.core.Tracer):
        x = lax.stop_gradient(x)
    return None if isinstance(x, jax.core.Tracer) else x


class JaxBackend(Backend):
    """The JAX backend: on whatever device JAX takes for its default."""

    name: ClassVar[str] = "jax"
    trains: ClassVar[bool] = True
    compiles: ClassVar[bool] = True
    xp: Any = _namespace()
    native: ClassVar[Mapping[str, Callable[[Array], Array]]] = {
        "relu": jax.nn.relu,
        "sigmoid": jax.nn.sigmoid,
        "tanh": jnp.tanh,
        "silu": jax.nn.silu,
        "gelu": partial(jax.nn.gelu, approximate=False),
        "elu": jax.nn.elu,
        "selu": jax.nn.selu,
        "mish": jax.nn.mish,
        "softsign": jax.nn.soft_sign,
        "log_sigmoid": jax.nn.log_sigmoid,
        "softmax": jax.nn.softmax,
        "log_softmax": jax.nn.log_softmax,
    }

    def __init__(self) -> None:
        self._updates: weakref.WeakKeyDictionary[Any, tuple[dict[str, Any], Any]] = weakref.WeakKeyDictionary()

    # ---- data

    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        if isinstance(x, jax.Array):
            return x if dtype is None else x.astype(dtype)
        host = np.asarray(x)
        if host.dtype.kind not in "biufc" and host.dtype.name != "bfloat16":
            raise DTypeError(
                explain("asarray", expected="numbers", got=f"dtype {host.dtype}", fix="turn texts into ids first")
            )
        # A copy even where JAX could share the memory: its arrays never change, those of the host may.
        # Made now, also while a step is compiled: a weight that is made there must serve after it.
        # To its dtype on the host: JAX would compile that, for every shape.
        with jax.ensure_compile_time_eval(), np.errstate(over="ignore", invalid="ignore"):
            made = np.array(host, dtype=jnp.dtype(dtype or host.dtype.newbyteorder("=")))
            # Not jnp.array: it brings 64-bit numbers to 32 bits first, and then calls them 64 bits wide.
            return jnp.asarray(made, dtype=made.dtype.name)

    def to_host(self, x: Array) -> np.ndarray[Any, Any]:
        found = _concrete(x)
        if found is None:
            raise BackendError(
                explain(
                    "reading numbers inside of a compiled step",
                    expected="what depends on numbers, such as a mask that a layer computes, to be found out before it",
                    got=f"{x.aval if hasattr(x, 'aval') else x}, which has no numbers yet",
                    fix="Masking or mask_zero as the first layer, or rows as input",
                )
            )
        host = np.asarray(found)
        return host.astype(np.float32) if host.dtype.name == "bfloat16" else host

    def is_array(self, x: object) -> bool:
        return isinstance(x, jax.Array)

    @property
    def device(self) -> Any:
        """None: new arrays go where JAX puts them, and may still be moved by it."""
        return None

    def device_of(self, x: Array) -> Any:
        return None

    def to_device(self, x: Array, device: Any) -> Array:
        if isinstance(device, str):
            kind, _, number = device.partition(":")
            device = jax.devices(kind)[int(number or 0)]
        return jax.device_put(x, device)

    def index(self, rows: RowPartition, name: str, *arguments: Any) -> Array:
        if isinstance(rows, TracedRows):
            return rows.arrays("index", name, *arguments)
        key = (self.name, "index", name, *(weakly(arguments) if arguments else ()))
        return rows.moved(key, lambda: self._index(rows.array(name, *arguments)))

    def plan(self, rows: RowPartition, name: str, *arguments: Any) -> dict[str, Array]:
        """Arrays that tell a kernel how the rows of a batch lie, made on the host once per batch.

        Args:
            rows: the partition.
            name: of a function in `PLANS`.
            *arguments: handed to it after the partition; hashable.

        Returns:
            Arrays by name: bools, and int32 for all whole numbers.
        """
        if isinstance(rows, TracedRows):
            return dict(rows.arrays("plan", name, *arguments))
        key = (self.name, "plan", name, *weakly(arguments))
        made = rows.moved(key, lambda: {k: self._index(a) for k, a in self.host_plan(rows, name, *arguments).items()})
        return dict(made)

    def host_plan(self, rows: RowPartition, name: str, *arguments: Any) -> dict[str, Host]:
        """As `plan`, on the host."""
        return PLANS[name](rows, *arguments)

    def _index(self, host: np.ndarray[Any, Any]) -> Array:
        return self.asarray(host, "bool" if host.dtype == np.bool_ else "int32")

    def cast(self, x: Array, dtype: str) -> Array:
        return x.astype(dtype)

    def stop_gradient(self, x: Array) -> Array:
        return lax.stop_gradient(x)

    def bounds(self, x: Array) -> tuple[int, int] | None:
        found = _concrete(x)
        if found is None or not found.size or any(device.platform != "cpu" for device in found.devices()):
            return None
        host = np.asarray(found)
        return int(host.min()), int(host.max())

    # ---- numbers that the standard lacks

    def erf(self, x: Array) -> Array:
        return lax.erf(x)

    def random_uniform(self, seed: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Array:
        return random.uniform(random.words_of(seed), tuple(shape), dtype)

    # ---- rows

    def segment_sum(self, values: Array, rows: RowPartition) -> Array:
        sums: Array = jnp.zeros((rows.nrows, *values.shape[1:]), values.dtype)
        # Steps that belong to no row, as those that fill a batch up to its size, have row B: they are left out.
        return sums.at[self.index(rows, "value_rowids")].add(values, mode="drop", indices_are_sorted=True)

    def segment_max(self, values: Array, rows: RowPartition) -> Array:
        if not values.size:
            return jnp.zeros((rows.nrows, *values.shape[1:]), values.dtype)
        return _segment_max(values, self.index(rows, "value_rowids"), rows.nrows)

    def take_or(self, values: Array, index: Array, fill: float | int) -> Array:
        if not values.shape[0]:
            return jnp.full((*index.shape, *values.shape[1:]), fill, values.dtype)
        taken: Array = values.at[index].get(mode="fill", fill_value=fill, wrap_negative_indices=False)
        return taken

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
        return recurrent.scan(step, x, self._staircase(rows, reverse), state, constants)

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
        plan = self._staircase(rows, reverse)
        kernel = recurrent.kernel_for(cell) if not constants else None
        if kernel is None or plan is None:
            return recurrent.scan(cell.step, x, plan, state, constants, cell.project)
        return kernel(cell, x, plan, state)

    def _staircase(self, rows: RowPartition, reverse: bool) -> dict[str, Array] | None:
        return self.plan(rows, "staircase", reverse) if rows.nvals else None

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
        window = Window(kernel.shape[0], stride, dilation, padding)
        made = rows.derived(window)
        how: dict[str, Any] = {"stride": stride, "dilation": dilation, "groups": groups}
        if not rows.nvals or not made.nvals:
            return super().convolve(x, rows, kernel, **how, padding=padding, bias=bias, relu=relu)
        y = convolution.convolve(x, kernel, self.plan(rows, "separated", window), **how)
        return self.finish(y, bias, relu), made

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
        if not q.size or not k.size or not v.size:
            return jnp.zeros((*q.shape[:2], v.shape[2]), q.dtype)
        k, v = self._for_heads(k, q.shape[1]), self._for_heads(v, q.shape[1])
        bounds, seen = (self.plan(rows, "bounds"), self.plan(value_rows, "bounds")), None
        if mask is not None:
            seen = attention.Seen(mask, self.plan(rows.pairs(value_rows), "bounds")["starts"])
        words = random.words_of(seed)
        return attention.attend(q, k, v, *bounds, seen, words, scale=scale, causal=causal, window=window, rate=dropout)

    def pair_scores(self, q: Array, k: Array, pairs: RowPartition, scale: float) -> Array:
        places = self.index(pairs, "query_index"), self.index(pairs, "key_index")
        return attention.pair_scores(q, self._for_heads(k, q.shape[1]), *places, scale=scale)

    def _pair_softmax(self, scores: Array, pairs: RowPartition) -> Array:
        assert isinstance(pairs, PairRows)
        return attention.pair_softmax(scores, self.index(pairs, "query_index"), pairs.queries.nvals)

    def pair_dropout(self, shares: Array, pairs: RowPartition, rate: float, seed: tuple[int, ...]) -> Array:
        places = self.index(pairs, "query_index"), self.index(pairs, "key_ranks")
        return attention.pair_dropout(shares, *places, rate=rate, seed=random.words_of(seed))

    def pair_sums(self, shares: Array, v: Array, pairs: RowPartition) -> Array:
        assert isinstance(pairs, PairRows)
        places = self.index(pairs, "query_index"), self.index(pairs, "key_index")
        return attention.pair_sums(shares, self._for_heads(v, shares.shape[1]), *places, count=pairs.queries.nvals)

    def convolve_dense(
        self, x: Array, kernel: Array, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
    ) -> Array:
        spatial = kernel.ndim - 2
        pads = [(0, 0)] * spatial
        if padding == "same":
            pads = same_padding(x.shape[1:-1], kernel.shape[:spatial], strides, dilation)
        axes = "HWD"[:spatial]
        return lax.conv_general_dilated(
            x,
            kernel,
            strides,
            pads,
            rhs_dilation=dilation,
            feature_group_count=groups,
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        )

    def convolve_dense_transposed(self, x: Array, kernel: Array, hows: tuple[Transposed, ...]) -> Array:
        axes = "HWD"[: len(hows)]
        return lax.conv_general_dilated(
            x,
            self.reversed_kernel(kernel),
            (1,) * len(hows),
            [how.zeros for how in hows],
            lhs_dilation=[how.stride for how in hows],
            rhs_dilation=[how.dilation for how in hows],
            dimension_numbers=(f"N{axes}C", f"{axes}IO", f"N{axes}C"),
        )

    # ---- training

    def remat(self, function: Callable[[], Any]) -> Any:
        trees: list[Any] = []

        def flat() -> list[Array]:
            leaves, tree = optree.tree_flatten(function(), namespace="padless")
            trees.append(tree)
            return leaves

        leaves = jax.checkpoint(flat)()
        return optree.tree_unflatten(trees[-1], leaves)

    def value_and_grad(
        self,
        function: Callable[[dict[str, Array]], tuple[Array, Any]],
        weights: dict[str, Array],
        tables: Collection[str] = (),
    ) -> tuple[tuple[Array, Any], dict[str, Array]]:
        result, gradients = jax.value_and_grad(function, has_aux=True)(weights)
        return result, {path: gradients[path] for path in weights}  # JAX sorts dicts by their keys

    def value_and_grads(
        self, function: Callable[[dict[str, Array]], tuple[dict[str, Array], Any]], weights: dict[str, Array]
    ) -> tuple[tuple[dict[str, Array], Any], dict[str, dict[str, Array]]]:
        losses, pull, extra = jax.vjp(function, weights, has_aux=True)
        made = {}
        for name in losses:
            of_one = {other: jnp.full_like(loss, other == name) for other, loss in losses.items()}
            (gradients,) = pull(of_one)
            made[name] = {path: gradients[path] for path in weights}
        return (losses, extra), made

    def compile(self, function: Callable[..., Any]) -> Callable[..., Any]:
        jitted: Callable[..., Any] = jax.jit(function)
        return jitted

    def program(
        self,
        function: Callable[..., tuple[Any, Any, Any]],
        collect: Callable[[], dict[str, Any]],
        lock: threading.RLock,
    ) -> Program:
        return CompiledProgram(self, function, collect, lock)

    def when(self, condition: Array, then: Callable[[], Any], otherwise: Any) -> Any:
        if not self.is_traced(condition):
            return super().when(condition, then, otherwise)
        return jax.tree.map(lambda made, there: jnp.where(condition, made, there), then(), otherwise)

    def abstractly(self, function: Callable[[], Any]) -> Any:
        try:
            shapes = jax.eval_shape(function)
        except Exception:  # what cannot do without numbers gets some; what is wrong is wrong then, too
            return function()
        return jax.tree.map(lambda like: self.asarray(np.ones(like.shape, like.dtype)), shapes)

    def is_traced(self, x: Array) -> bool:
        return _concrete(x) is None

    def assume(self, condition: Array) -> bool:
        return self.is_traced(condition) and compiled.assume(condition)

    def assumed(self) -> Array | None:
        return compiled.assumed()

    def purely(self, run: Callable[[Array | None], Any], x: Any, live: Array | None) -> Any:
        from padless.backends.jax import function

        return function.purely(run, x, live)

    def function_batch(
        self, function: ModelFunction, parts: tuple[Any, Any, Any], also: Callable[[Any, Any], Any] | None
    ) -> FunctionBatch:
        from padless.backends.jax.function import FilledFunctionBatch

        return FilledFunctionBatch.of(self, function, parts, also)

    def transforming(self, transformation: Any) -> Optimizer:
        from padless.backends.jax.optax import Transformation

        return Transformation(transformation)

    def update(
        self,
        optimizer: Optimizer,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: dict[str, dict[str, Array]],
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
        if any(self.is_traced(weight) for weight in weights.values()):
            return _step_of(self, optimizer, weights, gradients, slots, learning_rate, iteration)
        rule = self._compiled_rule(optimizer)
        if rule is not None:
            try:
                new, after = rule(weights, gradients, slots, learning_rate, iteration)
                return {path: new[path] for path in weights}, after
            except jax.errors.JAXTypeError:
                # A rule of the user's own that wants plain numbers, such as for math.sqrt.
                self._updates[optimizer] = (_settings(optimizer), None)
        return super().update(optimizer, weights, gradients, slots, learning_rate, iteration)

    def _compiled_rule(self, optimizer: Optimizer) -> Any:
        """The optimizer's step as one compiled function; a new one after a setting was changed."""
        settings = _settings(optimizer)
        known = self._updates.get(optimizer)
        if known is None or known[0] != settings:
            known = (settings, jax.jit(partial(_step_of, self, weakref.proxy(optimizer)), donate_argnums=(2,)))
            self._updates[optimizer] = known
        return known[1]


def _settings(optimizer: Optimizer) -> dict[str, Any]:
    """The plain attributes of an optimizer, but for those that change from step to step."""
    plain = (bool, int, float, str, type(None))
    apart = ("iterations", "gathered_batches", "_learning_rate")
    return {name: v for name, v in vars(optimizer).items() if isinstance(v, plain) and name not in apart}


def _step_of(
    backend: JaxBackend,
    optimizer: Optimizer,
    weights: dict[str, Array],
    gradients: dict[str, Array],
    slots: dict[str, dict[str, Array]],
    learning_rate: float,
    iteration: int,
) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
    """The default step, with every array back in its dtype: the numbers that came with it are arrays here."""
    new, after = Backend.update(backend, optimizer, weights, gradients, slots, learning_rate, iteration)
    new = {path: made.astype(weights[path].dtype) for path, made in new.items()}
    kept = {name: {path: made.astype(slots[name][path].dtype) for path, made in s.items()} for name, s in after.items()}
    return new, kept


# ---- the largest of each row


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def _segment_max(values: jax.Array, rowids: jax.Array, nrows: int) -> jax.Array:
    """Largest step of each row; the gradient is shared equally among the steps that reach it."""
    largest: jax.Array = _segment_max_forward(values, rowids, nrows)[0]
    return largest


@partial(jax.jit, static_argnums=(2,))
def _segment_max_forward(values: jax.Array, rowids: jax.Array, nrows: int) -> tuple[jax.Array, Any]:
    # XLA would compute a cheap formula twice, for the maximum and for what reaches it, and round it in two ways; on the
    # CPU it takes no notice of lax.optimization_barrier. What a branch gives is computed once.
    values = lax.cond(rowids[0] < 0, jnp.negative, lambda x: x, values)
    lowest: Any = -np.inf if jnp.issubdtype(values.dtype, jnp.floating) else np.iinfo(values.dtype).min
    largest = jnp.full((nrows, *values.shape[1:]), lowest, values.dtype)
    largest = largest.at[rowids].max(values, mode="drop", indices_are_sorted=True)
    steps = jnp.zeros(nrows, jnp.int32).at[rowids].add(1, mode="drop", indices_are_sorted=True)
    largest = jnp.where(steps.reshape(-1, *(1 for _ in values.shape[1:])) > 0, largest, 0)
    return largest, (values, rowids, largest)


@partial(jax.jit, static_argnums=(0,))
def _segment_max_backward(nrows: int, kept: Any, gradient: jax.Array) -> tuple[jax.Array, None]:
    values, rowids, largest = kept
    options: dict[str, Any] = {"mode": "drop", "indices_are_sorted": True}
    reached = values == largest.at[rowids].get(mode="fill", fill_value=0)
    ties = jnp.zeros(gradient.shape, values.dtype).at[rowids].add(reached.astype(values.dtype), **options)
    shared = (gradient / jnp.maximum(ties, 1)).at[rowids].get(mode="fill", fill_value=0)
    return jnp.where(reached, shared, 0), None


_segment_max.defvjp(_segment_max_forward, _segment_max_backward)
