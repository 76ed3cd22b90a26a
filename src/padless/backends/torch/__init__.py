"""PyTorch: plain tensors on the CPU or on a CUDA device.

Weights are updated in place by `update`; what `asarray` makes of host arrays and what `to_host` gives back are
therefore copies, so that neither ever changes under its owner's hands.
"""

from __future__ import annotations

import contextvars
import itertools
import types
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar

import array_api_compat.torch
import numpy as np
import optree
import torch
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from padless.backends.base import Array, Backend, Cell, RowGradient, Step
from padless.backends.torch import (
    attention,
    convolution,
    dense,
    embedding,
    exporting,
    flash,
    memory,
    pooling,
    recurrent,
    updates,
)
from padless.errors import DTypeError, explain
from padless.lengths import Transposed, Window
from padless.rows import PairRows, RowPartition

if TYPE_CHECKING:
    from padless.optimizers import Optimizer


def _take(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int | None = None) -> torch.Tensor:
    """As the standard's `take`; negative indices are an error, as they are in torch."""
    if indices.dtype not in (torch.int64, torch.int32):
        indices = indices.to(torch.int64)
    return torch.index_select(x, 0 if axis is None else axis, indices)


def _searchsorted(x1: torch.Tensor, x2: torch.Tensor, /, *, side: str = "left") -> torch.Tensor:
    """As the standard's `searchsorted`, without its `sorter`; ONNX has no such operation."""
    if not exporting.active():
        return torch.searchsorted(x1, x2, side=side)
    passed = x1 < x2[..., None] if side == "left" else x1 <= x2[..., None]
    return passed.sum(dim=-1)


def _take_along_axis(x: torch.Tensor, indices: torch.Tensor, /, *, axis: int = -1) -> torch.Tensor:
    """As the standard's `take_along_axis`; torch's own compares all sizes with each other, known or not."""
    if not exporting.active():
        return torch.take_along_dim(x, indices, dim=axis)
    sizes = [*x.shape]
    sizes[axis] = -1
    return torch.gather(x, axis, indices.expand(sizes))


def _namespace() -> Any:
    # array_api_compat's own `take` looks for negative indices (7.8 against 2.1 microseconds a call) and its `matmul`
    # for mixed dtypes (5.4 against 1.3); what it adds to any other function is below one microsecond, but `reshape` is
    # called most.
    ours = {"take": _take, "matmul": torch.matmul, "reshape": torch.reshape}
    # For what an exported program cannot have.
    ours |= {"searchsorted": _searchsorted, "take_along_axis": _take_along_axis}
    return types.SimpleNamespace(**{**vars(array_api_compat.torch), **ours})


class TorchBackend(Backend):
    """The PyTorch backend: CUDA where there is a device, else the CPU."""

    name: ClassVar[str] = "torch"
    trains: ClassVar[bool] = True
    xp: Any = _namespace()
    # A formula composed of `xp` functions takes 14 to 48 times as long on the CPU, each pass over memory being its own.
    native: ClassVar[Mapping[str, Callable[[Array], Array]]] = {
        "relu": torch.relu,
        "sigmoid": torch.sigmoid,
        "tanh": torch.tanh,
        "silu": functional.silu,
        "gelu": functional.gelu,
        "elu": functional.elu,
        "selu": torch.selu,
        "mish": functional.mish,
        "softsign": functional.softsign,
        "log_sigmoid": functional.logsigmoid,
        "softmax": lambda x: torch.softmax(x, -1),
        "log_softmax": lambda x: torch.log_softmax(x, -1),
    }

    def __init__(self) -> None:
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")

    # ---- data

    def asarray(self, x: Any, dtype: str | None = None) -> Array:
        wanted = None if dtype is None else getattr(torch, dtype)
        if isinstance(x, torch.Tensor):
            return x.to(self._device, wanted)
        host = np.asarray(x)
        if host.dtype.kind == "u" and host.dtype.itemsize > 1:
            host = host.astype(np.int64)  # torch can do next to nothing with its uint16, uint32 and uint64
        if host.dtype.kind not in "biufc":
            raise DTypeError(
                explain("asarray", expected="numbers", got=f"dtype {host.dtype}", fix="turn texts into ids first")
            )
        # A copy even where torch could share the memory: weights are updated in place, and arrays that may not be
        # written, such as those of a RowPartition, make torch warn.
        native = np.array(host, dtype=host.dtype.newbyteorder("="), order="C")
        return torch.from_numpy(native).to(self._device, wanted)

    def to_host(self, x: Array) -> np.ndarray[Any, Any]:
        x = x.detach()
        if x.dtype == torch.bfloat16:
            x = x.to(torch.float32)
        host: np.ndarray[Any, Any] = x.to("cpu", copy=True).numpy()
        return host

    def is_array(self, x: object) -> bool:
        return isinstance(x, torch.Tensor)

    @property
    def device(self) -> Any:
        return self._device

    def to_device(self, x: Array, device: Any) -> Array:
        return x.to(device)

    def cast(self, x: Array, dtype: str) -> Array:
        return x.to(getattr(torch, dtype))

    def stop_gradient(self, x: Array) -> Array:
        return x.detach()

    def no_gradient(self) -> AbstractContextManager[Any]:
        # Not inference_mode: index arrays are cached with the rows, and what was made there cannot serve training.
        return torch.no_grad()

    def bounds(self, x: Array) -> tuple[int, int] | None:
        if exporting.active() or x.device.type != "cpu" or not x.numel():
            return None
        low, high = torch.aminmax(x)
        return int(low), int(high)

    def is_traced(self, x: Array) -> bool:
        return exporting.active()

    def is_empty(self, x: Array) -> bool:
        return not exporting.active() and 0 in x.shape

    def graph_rows(self, x: Array, mask: Array | None) -> tuple[RowPartition, Array | None] | None:
        return exporting.rows_of_array(x, mask) if exporting.active() else None

    # ---- numbers that the standard lacks

    def erf(self, x: Array) -> Array:
        return torch.erf(x)

    def random_uniform(self, seed: tuple[int, ...], shape: tuple[int, ...], dtype: str) -> Array:
        mixed = np.random.SeedSequence(seed)
        if self._device.type == "cpu":
            # Half the time of torch's Mersenne twister: 3.0 against 6.9 ms for 12,000 x 128.
            drawn = np.random.Generator(np.random.SFC64(mixed)).random(
                shape, dtype=np.float64 if dtype == "float64" else np.float32
            )
            return torch.from_numpy(np.asarray(drawn)).to(getattr(torch, dtype))
        generator = torch.Generator(self._device)
        generator.manual_seed(int(mixed.generate_state(1, np.uint64)[0] >> np.uint64(1)))
        return torch.rand(shape, generator=generator, dtype=getattr(torch, dtype), device=self._device)

    # ---- rows

    def lookup(self, table: Array, ids: Array) -> Array:
        if getattr(table, "by_rows", False):
            return embedding.lookup(table, ids)
        return _take(table, ids, axis=0)

    def segment_sum(self, values: Array, rows: RowPartition) -> Array:
        # index_add forward and backward: 0.5 ms for 10,000 x 128; segment_reduce 3.1, a sum over padded rows 7.7.
        sums = values.new_zeros((rows.nrows, *values.shape[1:]))
        return sums.index_add(0, self.index(rows, "value_rowids"), values)

    def segment_max(self, values: Array, rows: RowPartition) -> Array:
        if isinstance(rows, exporting.ExportedRows):
            return exporting.kernels.segment_max(values, rows)
        shape = (rows.nrows, *values.shape[1:])
        if not values.numel():
            return values.new_zeros(shape)
        return pooling.segment_max(self, values.reshape(rows.nvals, -1), rows).reshape(shape)

    def window_max(self, values: Array, rows: RowPartition, window: Window) -> Array:
        found = pooling.window_max(self, values, rows, window) if rows.known else None
        return super().window_max(values, rows, window) if found is None else found

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
        if isinstance(rows, exporting.ExportedRows):
            return exporting.kernels.scan(step, x, rows, state, reverse, constants)
        return super().scan(step, x, rows, state, reverse=reverse, constants=constants)

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
        usual = rows.known and rows.nvals and not constants
        kernel = recurrent.kernel_for(cell, x.device.type) if usual else None
        if kernel is None:
            return super().recur(cell, x, rows, state, reverse=reverse, constants=constants)
        return kernel(self, cell, x, rows, state, reverse)

    def dense(self, x: Array, kernel: Array, bias: Array | None = None, relu: bool = False) -> Array:
        if exporting.active():
            return super().dense(x, kernel, bias, relu)
        return dense.dense(x, kernel, bias, relu)

    def layer_norm(
        self, x: Array, gamma: Array | None, beta: Array | None, epsilon: float, axes: tuple[int, ...] = (-1,)
    ) -> Array:
        if axes != (-1,):
            return super().layer_norm(x, gamma, beta, epsilon, axes)
        return functional.layer_norm(x, x.shape[-1:], gamma, beta, epsilon)

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
        fast = convolution.convolve(self, x, rows, kernel, window, groups, bias, relu) if rows.known else None
        if fast is not None:
            return fast
        how: dict[str, Any] = {"stride": stride, "dilation": dilation, "padding": padding, "groups": groups}
        return super().convolve(x, rows, kernel, **how, bias=bias, relu=relu)

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
        options: dict[str, Any] = {"scale": scale, "causal": causal, "window": window, "mask": mask}
        if dropout:  # torch's kernel draws by a generator of its own
            return super().attention(q, k, v, rows, value_rows, **options, dropout=dropout, seed=seed)
        if isinstance(rows, exporting.ExportedRows) or isinstance(value_rows, exporting.ExportedRows):
            return self._exported_attention(q, k, v, rows, value_rows, options)
        if mask is None and window != 0 and flash.fits(q, k, v):
            return flash.attend(self, q, k, v, rows, value_rows, scale=scale, causal=causal, window=window)
        layout = attention.plan(self, rows, value_rows)
        if mask is not None:
            pairs = rows.pairs(value_rows)
            assert isinstance(pairs, PairRows)
            options["tables"] = attention.pair_tables(self, layout, pairs)
        heads = q.shape[1]
        return attention.attend(layout, q, self._for_heads(k, heads), self._for_heads(v, heads), **options)

    def _exported_attention(
        self, q: Array, k: Array, v: Array, rows: RowPartition, value_rows: RowPartition, options: dict[str, Any]
    ) -> Array:
        mask = options.pop("mask")
        if mask is not None:
            return super().attention(q, k, v, rows, value_rows, **options, mask=mask)
        pairs = rows.pairs(value_rows)
        assert isinstance(pairs, exporting.ExportedPairs)
        k, v = self._for_heads(k, q.shape[1]), self._for_heads(v, q.shape[1])
        return exporting.kernels.attention(q, k, v, pairs, **options)

    def pair_scores(self, q: Array, k: Array, pairs: RowPartition, scale: float) -> Array:
        if isinstance(pairs, exporting.ExportedPairs):
            return exporting.kernels.pair_scores(q, self._for_heads(k, q.shape[1]), pairs, scale)
        return super().pair_scores(q, k, pairs, scale)

    def _pair_softmax(self, scores: Array, pairs: RowPartition) -> Array:
        if isinstance(pairs, exporting.ExportedPairs):
            return exporting.kernels.pair_softmax(scores, pairs)
        return super()._pair_softmax(scores, pairs)

    def pair_sums(self, shares: Array, v: Array, pairs: RowPartition) -> Array:
        if isinstance(pairs, exporting.ExportedPairs):
            return exporting.kernels.pair_sums(shares, self._for_heads(v, shares.shape[1]), pairs)
        return super().pair_sums(shares, v, pairs)

    def ctc(self, x: Array, rows: RowPartition, labels: Array, counts: Array, *, blank: int = 0) -> Array:
        if not rows.nvals or not labels.shape[1]:
            return super().ctc(x, rows, labels, counts, blank=blank)
        padded = self._padded_rows(x, rows, 0.0).transpose(0, 1)
        lengths = torch.from_numpy(np.array(rows.row_lengths))
        return functional.ctc_loss(
            padded, labels, lengths, counts.to("cpu"), blank=blank, reduction="none", zero_infinity=True
        )

    def convolve_dense(
        self, x: Array, kernel: Array, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
    ) -> Array:
        return convolution.convolve_dense(x, kernel, strides, dilation, padding, groups)

    def convolve_dense_transposed(self, x: Array, kernel: Array, hows: tuple[Transposed, ...]) -> Array:
        return convolution.convolve_dense_transposed(x, kernel, hows)

    # ---- training

    def keep_memory(self) -> None:
        if self._device.type == "cpu":
            memory.keep()

    def value_and_grad(
        self,
        function: Callable[[dict[str, Array]], tuple[Array, Any]],
        weights: dict[str, Array],
        tables: Collection[str] = (),
    ) -> tuple[tuple[Array, Any], dict[str, Array]]:
        leaves = {path: weight.detach().requires_grad_() for path, weight in weights.items()}
        for path in tables:
            leaves[path].by_rows = True  # for `lookup`
        with torch.enable_grad():
            loss, extra = function(leaves)
        if loss.requires_grad:
            found = torch.autograd.grad(loss, list(leaves.values()), materialize_grads=True)
            gradients = {path: embedding.by_rows(by) for path, by in zip(leaves, found, strict=True)}
        else:
            gradients = {path: torch.zeros_like(weight) for path, weight in weights.items()}
        # What else came back is for metrics and the user: it must not keep the graph of the step alive.
        return (loss.detach(), optree.tree_map(_detached, extra, namespace="padless")), gradients

    def value_and_grads(
        self, function: Callable[[dict[str, Array]], tuple[dict[str, Array], Any]], weights: dict[str, Array]
    ) -> tuple[tuple[dict[str, Array], Any], dict[str, dict[str, Array]]]:
        leaves = {path: weight.detach().requires_grad_() for path, weight in weights.items()}
        with torch.enable_grad():
            losses, extra = function(leaves)
        made, last = {}, next(reversed(losses))
        for name, loss in losses.items():
            found: Any = map(torch.zeros_like, weights.values())
            if loss.requires_grad:
                wanted = list(leaves.values())
                found = torch.autograd.grad(loss, wanted, materialize_grads=True, retain_graph=name != last)
            made[name] = dict(zip(weights, found, strict=True))
        values = {name: loss.detach() for name, loss in losses.items()}
        return (values, optree.tree_map(_detached, extra, namespace="padless")), made

    def remat(self, function: Callable[[], Any]) -> Any:
        context, times = contextvars.copy_context(), itertools.count()

        def run() -> Any:
            # Backward passes run outside of all contexts, some of them on a thread of their own.
            return context.copy().run(function) if next(times) else function()

        return checkpoint(run, use_reentrant=False)

    def making(self, make: Any) -> Optimizer:
        from padless.backends.torch.optim import TorchOptimizer

        return TorchOptimizer(make)

    def update(
        self,
        optimizer: Optimizer,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: dict[str, dict[str, Array]],
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], dict[str, dict[str, Array]]]:
        with torch.no_grad():
            number = learning_rate, iteration
            tables = embedding.in_place(optimizer, weights, gradients, slots, *number)
            others = {path: weight for path, weight in weights.items() if path not in tables}
            whole = {path: embedding.whole(gradients[path], weight) for path, weight in others.items()}
            if updates.in_place(optimizer, others, whole, slots, *number):
                return weights, slots
            made, after = super().update(optimizer, others, whole, slots, *number)
            return {**weights, **made}, {name: {**slots[name], **after[name]} for name in slots}

    def added_up(self, gradient: RowGradient) -> RowGradient:
        with torch.no_grad():
            return embedding.added_up(gradient)

    def decay(self, weights: dict[str, Array], share: float) -> dict[str, Array]:
        with torch.no_grad():
            updates.decay(list(weights.values()), share)
        return weights

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
        with torch.no_grad():
            if not isinstance(gradient, RowGradient):
                return super().update_rows(optimizer, weight, gradient, slots, learning_rate, iteration, decay)
            rows, values = embedding.added_up(gradient)
            # A quarter of the time of `any`; a NaN stays one, and so its row is touched.
            touched = values.flatten(1).abs().amax(1) != 0
            if not bool(touched.all()):
                rows, values = rows[touched], values[touched]
            old = {name: {"": slot.index_select(0, rows)} for name, slot in slots.items()}
            now = weight.index_select(0, rows)
            if decay:
                updates.decay([now], decay)
            # As a small table of its own, so that the fused kernel takes it.
            new, after = self.update(optimizer, {"": now}, {"": values}, old, learning_rate, iteration)
            weight.index_copy_(0, rows, new[""])
            for name, slot in slots.items():
                slot.index_copy_(0, rows, after[name][""])
            return weight, slots


def _detached(x: Any) -> Any:
    return x.detach() if isinstance(x, torch.Tensor) else x
