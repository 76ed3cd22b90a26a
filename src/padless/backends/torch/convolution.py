"""Convolutions, for PyTorch.

The rows stand in one buffer, zeros between them, and a row-wise convolution is one ordinary convolution of that buffer,
of which the outputs that see two rows are dropped. On the CPU oneDNN computes it, with the features last, in which no
array is laid out anew. With 12,000 steps, 128 to 128 features and 5 taps it reaches, on two AMD Zen 5 cores and in
GFLOP/s, 496 forward and for the gradient of the steps, and 413 for that of the kernel, of some 500; products tap by tap
through torch's own BLAS reached 204, 190 and 186. The gradient of the kernel has a kernel in C, for 444.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F

from padless import native
from padless.backends.base import Backend
from padless.backends.numpy import same_padding
from padless.backends.torch import derivatives, products
from padless.backends.torch.threads import share
from padless.lengths import Transposed, Window
from padless.rows import Int, RowPartition

if TYPE_CHECKING:
    from padless.backends.torch import TorchBackend

Tensor = torch.Tensor

_ONEDNN: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
# Outputs in one piece where oneDNN sums up the gradient of the kernel: in one long piece it runs at 282 GFLOP/s instead
# of 413. Sizes are multiples of it, since oneDNN spends half a millisecond on each size that it has not met yet.
_PIECE = 128
# The same for short batches.
_SHORT_PIECE = 16
# Slots per pass where features do not meet, and nothing but memory is waited for.
_THIN_BLOCK = 512
# Below so many features gathering them is cheap; by the products of torch's BLAS also the next, which are thin there.
_LEAST_FEATURES = 4
_LEAST_FEATURES_OF_BLAS = 16
# Floating-point operations from which on oneDNN is faster: its calls, which lay out the kernel, take longer to begin.
_LEAST_OPERATIONS = 8_000_000
# So many slots for each output, the buffer is mostly zeros, and gathering what windows see is faster.
_MOST_WASTE = 2.0


class Spread(NamedTuple):
    """How packed steps get into a buffer.

    Attributes:
        source: (slots,) the step at each slot, -1 for a zero.
        taken: the same, but 0 for a zero.
        zeros: the slots that hold a zero.
    """

    source: Tensor
    taken: Tensor
    zeros: Tensor

    @classmethod
    def of(cls, backend: TorchBackend, source: Int) -> Spread:
        """Give the spread of a source."""
        moved = backend.asarray
        return cls(moved(source), moved(np.maximum(source, 0)), moved(np.flatnonzero(source < 0)))

    def __call__(self, x: Tensor) -> Tensor:
        """(N, D) to (slots, D); in half the time of adding into zeros."""
        return x.index_select(0, self.taken).index_fill_(0, self.zeros, 0)


class Plan:
    """Where steps stand in the buffer. What only gradients need is made when it is first asked for.

    A row begins where a window does, at a multiple of the stride. One run of zeros serves the end of a row and the
    start of the next.

    Attributes:
        window: size, stride, dilation.
        outputs: windows in the buffer.
        piece: windows in one piece for the gradient of the kernel by oneDNN.
        buffer: packed steps to slots, `outputs` windows of them.
        outward: (M,) window of each output step.
    """

    def __init__(self, backend: TorchBackend, rows: RowPartition, window: Window) -> None:
        self.window, self._backend = window, backend
        made = rows.derived(window)
        span, stride = window.span, window.stride
        extents, counts = rows.extents, made.extents
        before, full = window.margins(extents), counts > 0
        shared = int(before[full].min(initial=span))
        wide = np.maximum(before + extents, (counts - 1) * stride + span - shared)
        wide = np.where(full, -(-wide // stride) * stride, 0)
        bases = np.cumsum(wide) - wide
        inward = np.where(full[rows.value_rowids], (bases + before)[rows.value_rowids] + rows.positions, -1)
        self._outward = (bases // stride)[made.value_rowids] + made.positions
        outputs = int(self._outward[-1]) + 1
        self.piece = _PIECE if outputs >= 8 * _PIECE else _SHORT_PIECE
        self.outputs = -(-outputs // self.piece) * self.piece
        self._source = np.full((self.outputs - 1) * stride + span, -1)
        # What no window reaches at the end may not have a slot.
        self._seen = (inward >= 0) & (inward < len(self._source))
        self._source[inward[self._seen]] = np.flatnonzero(self._seen)
        if stride > 1 or window.dilation > 1:
            # Nor may what only windows of no row reach: NaN there, times a gradient of 0, is NaN.
            read = np.zeros(len(self._source), np.bool_)
            for tap in range(window.size):
                read[self._outward * stride + tap * window.dilation] = True
            self._source[~read] = -1
        self._inward = inward
        self.buffer, self.outward = Spread.of(backend, self._source), backend.asarray(self._outward)

    @cached_property
    def gradients(self) -> Spread:
        """Packed outputs to windows, with a span of zeros less one on both sides."""
        between = self.window.span - 1
        source = np.full(self.outputs + 2 * between, -1)
        source[self._outward + between] = np.arange(len(self._outward))
        return Spread.of(self._backend, source)

    @cached_property
    def pieces(self) -> Spread:
        """Packed steps to slots of one piece behind the other, each with all that its windows see."""
        stride = self.window.stride
        starts = np.arange(0, self.outputs, self.piece)[:, None] * stride
        source = self._source[starts + np.arange((self.piece - 1) * stride + self.window.span)]
        return Spread.of(self._backend, source.reshape(-1))

    @cached_property
    def _inwards(self) -> tuple[Tensor, Tensor]:
        moved = self._backend.asarray
        return moved(np.where(self._seen, self._inward, 0)), moved(np.flatnonzero(~self._seen))

    def windows(self, by_y: Tensor) -> Tensor:
        """What `gradients` gives, without the zeros on both sides."""
        return by_y[self.window.span - 1 :][: self.outputs]

    def steps(self, buffer: Tensor) -> Tensor:
        """(slots, D) to (N, D); zeros for steps that no window sees."""
        inward, unseen = self._inwards
        x = buffer.index_select(0, inward)
        return x.index_fill_(0, unseen, 0) if len(unseen) else x


def plan(backend: TorchBackend, rows: RowPartition, window: Window) -> Plan:
    """Lay out the rows of a batch for one kind of window; made once per batch.

    Args:
        backend: moves the index arrays.
        rows: the partition; it has steps, and a window fits into one of its rows.
        window: the kind.

    Returns:
        The plan.
    """
    key = (backend.name, str(backend.device), "convolution", window)
    found: Plan = rows.moved(key, lambda: Plan(backend, rows, window))
    return found


def convolve(
    backend: TorchBackend,
    x: Tensor,
    rows: RowPartition,
    kernel: Tensor,
    window: Window,
    groups: int,
    bias: Tensor | None,
    relu: bool,
) -> tuple[Tensor, RowPartition] | None:
    """Convolve rows.

    Args:
        backend: moves the index arrays.
        x: (N, D) steps.
        rows: their partition.
        kernel: (K, D / groups, filters).
        window: size, stride, dilation and padding.
        groups: number of groups of features that do not see each other.
        bias: (filters,) added to every output; None for none.
        relu: whether outputs below 0 become 0.

    Returns:
        (M, filters) and the partition of the output; None where the default is faster: few features, or rows so short
        that the buffer would be mostly zeros; and for what is not computed here.
    """
    each, fast = _each(kernel, groups), _by_onednn(x, kernel)
    if not each and (
        kernel.shape[1] < (_LEAST_FEATURES if fast else _LEAST_FEATURES_OF_BLAS) or (groups > 1 and not fast)
    ):
        return None
    made = rows.derived(window)
    if not made.nvals or torch.compiler.is_compiling():  # torch's compiler cannot trace oneDNN's convolution
        return None
    layout = plan(backend, rows, window)
    if layout.outputs > _MOST_WASTE * max(made.nvals, _PIECE):
        return None
    if each and kernel.shape[2] > groups:
        # Features that several kernels read stand side by side; most often there is one for each.
        x, groups = x.repeat_interleave(kernel.shape[2] // groups, dim=1), kernel.shape[2]

    def again(x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        how: dict[str, Any] = {"stride": window.stride, "dilation": window.dilation, "padding": window.padding}
        y: Tensor = Backend.convolve(backend, x, rows, kernel, **how, groups=groups, bias=bias, relu=relu)[0]
        return y

    y: Tensor = _Convolution.apply(x, kernel, bias, layout, groups, relu, again)  # type: ignore[no-untyped-call]
    return y, made


def _by_onednn(x: Tensor, kernel: Tensor) -> bool:
    large = 2 * x.shape[0] * kernel.numel() >= _LEAST_OPERATIONS
    return _ONEDNN and large and x.device.type == "cpu" and x.dtype == kernel.dtype == torch.float32


class _Convolution(torch.autograd.Function):
    """A convolution with bias and, where asked for, ReLU."""

    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        kernel: Tensor,
        bias: Tensor | None,
        layout: Plan,
        groups: int,
        relu: bool,
        again: Callable[..., Tensor],
    ) -> Tensor:
        """(N, D), (K, D / groups, filters) and (filters,) to (M, filters)."""
        convolved = _onednn if _by_onednn(x, kernel) else _taps
        y = convolved(layout.buffer(x), kernel, bias, layout, groups).index_select(0, layout.outward)
        if relu:
            # Not within oneDNN, which makes 0 of NaN.
            torch.relu_(y)
        ctx.save_for_backward(x, kernel, bias, *([y] if relu else []))
        ctx.layout, ctx.groups, ctx.again = layout, groups, again
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """(M, filters) to the gradients of the inputs."""
        x, kernel, bias, *outputs = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:3]
        if torch.is_grad_enabled():
            # Who wants the gradient of a gradient gets that of the default.
            return *derivatives.by_default(ctx.again, (x, kernel, bias), wanted, grads[0]), None, None, None, None
        spread, by_bias = _spread_gradient(grads[0], outputs[0] if outputs else None, ctx.layout, wanted[2])
        to_x = _onednn_to_x if _by_onednn(x, kernel) else _taps_to_x
        by_kernel = _to_kernel(x, spread, kernel, ctx.layout, ctx.groups) if wanted[1] else None
        by_x = to_x(spread, kernel, ctx.layout, ctx.groups) if wanted[0] else None
        del spread  # before as much again is made of the slots
        return None if by_x is None else ctx.layout.steps(by_x), by_kernel, by_bias, None, None, None, None


def _each(kernel: Tensor, groups: int) -> bool:
    """Whether every feature is convolved alone."""
    return groups > 1 and kernel.shape[1] == 1


def _to_kernel(x: Tensor, by_y: Tensor, kernel: Tensor, layout: Plan, groups: int) -> Tensor:
    """(N, D) and (outputs with zeros on both sides, filters) to (K, D / groups, filters)."""
    each, fast, found = _each(kernel, groups), _by_onednn(x, kernel), None
    if fast and (each or groups == 1):
        found = (_native_to_each if each else _native_to_kernel)(x, by_y, kernel, layout)
    if found is None:
        # oneDNN takes features that do not meet for groups of sixteen here, and computes sixteen times as much.
        other = _onednn_to_kernel if fast and not each else _taps_to_kernel
        found = other(x, by_y, kernel, layout, groups)
    return found


def _spread_gradient(by_y: Tensor, relu: Tensor | None, layout: Plan, summed: bool) -> tuple[Tensor, Tensor | None]:
    """Spread the gradient of the output, and sum it up.

    Args:
        by_y: (M, filters).
        relu: (M, filters) output of the ReLU; None where there was none.
        layout: the plan.
        summed: whether the sum is wanted.

    Returns:
        What `layout.gradients` gives, where ReLU lets the gradient pass, and (filters,) its sum over the steps.
    """
    made = products.spread(by_y, relu, layout.gradients.source, summed)
    if made is not None:
        return made
    masked = by_y if relu is None else torch.ops.aten.threshold_backward(by_y, relu, 0)
    return layout.gradients(masked), masked.sum(0) if summed else None


# ---- by oneDNN


def _image(x: Tensor, pieces: int = 1) -> Tensor:
    """(pieces * L, D) as images (pieces, D, 1, L), features last in memory."""
    length = x.shape[0] // pieces
    return x.as_strided((pieces, x.shape[1], 1, length), (length * x.shape[1], 1, length * x.shape[1], x.shape[1]))


def _filters(kernel: Tensor) -> Tensor:
    """(K, D / groups, filters) as (filters, D / groups, 1, K)."""
    return kernel.permute(2, 1, 0).unsqueeze(2)


def _steps(x: Tensor) -> Tensor:
    """An image (1, D, 1, L) as (L, D)."""
    return x[0, :, 0].t()


def _onednn(buffer: Tensor, kernel: Tensor, bias: Tensor | None, layout: Plan, groups: int) -> Tensor:
    """(slots, D) to (outputs, filters)."""
    stride, dilation = [1, layout.window.stride], [1, layout.window.dilation]
    return _steps(torch.mkldnn_convolution(_image(buffer), _filters(kernel), bias, [0, 0], stride, dilation, groups))


def _onednn_to_x(by_y: Tensor, kernel: Tensor, layout: Plan, groups: int) -> Tensor:
    """(outputs with zeros on both sides, filters) to (slots, D)."""
    window = layout.window
    if window.stride == 1 and (groups == 1 or _each(kernel, groups)):
        # The same convolution with the taps the other way round.
        flipped = _filters(kernel.flip(0) if groups > 1 else kernel.flip(0).transpose(1, 2))
        dilation = [1, window.dilation]
        found = torch.mkldnn_convolution(_image(by_y), flipped, None, [0, 0], [1, 1], dilation, groups)
    else:
        slots = len(layout.buffer.source)
        like = by_y.new_empty(1).expand(slots, kernel.shape[1] * groups)
        by_y = _image(layout.windows(by_y))
        found, _, _ = _aten_backward(by_y, _image(like.contiguous()), kernel, layout, groups, (True, False))
    return _steps(found)


def _onednn_to_kernel(x: Tensor, by_y: Tensor, kernel: Tensor, layout: Plan, groups: int) -> Tensor:
    """As `_to_kernel`."""
    count = layout.outputs // layout.piece
    seen, by_y = _image(layout.pieces(x), count), _image(layout.windows(by_y), count)
    _, found, _ = _aten_backward(by_y, seen, kernel, layout, groups, (False, True))
    return found[:, :, 0].permute(2, 1, 0).contiguous()  # type: ignore[no-any-return]


def _native_to_kernel(x: Tensor, by_y: Tensor, kernel: Tensor, layout: Plan) -> Tensor | None:
    """As `_to_kernel` with one group, in C; None where that is not to be had, or has to fill up too much."""
    window, source = layout.window, layout.buffer.source
    return products.kernel_gradient(x, source, layout.windows(by_y), window.size, window.stride, window.dilation)


def _native_to_each(x: Tensor, by_y: Tensor, kernel: Tensor, layout: Plan) -> Tensor | None:
    """As `_to_kernel` where every feature is alone, in C: 12,000 x 128 with 9 taps in 0.65 ms, tap by tap in 3.2."""
    function = native.find("each_gradient", "ppppnnnnnnn")
    if function is None:
        return None
    x, by_y, source = x.contiguous(), layout.windows(by_y), layout.buffer.source
    size, _, features = kernel.shape
    sizes = (layout.outputs, features, size, layout.window.stride, layout.window.dilation)
    found = x.new_empty(kernel.shape)

    def some(part: int, parts: int) -> None:
        tiles = -(-features // products.WIDTH)
        first, last = (min(tiles * at // parts * products.WIDTH, features) for at in (part, part + 1))
        function(*(t.data_ptr() for t in (x, source, by_y, found)), *sizes, first, last)

    share(some, alone=layout.outputs * kernel.numel() < 1_000_000)
    return found


def _aten_backward(
    by_y: Tensor, x: Tensor, kernel: Tensor, layout: Plan, groups: int, wanted: tuple[bool, bool]
) -> tuple[Any, Any, Any]:
    stride, dilation = [1, layout.window.stride], [1, layout.window.dilation]
    return torch.ops.aten.convolution_backward(  # type: ignore[no-any-return]
        by_y, x, _filters(kernel), None, stride, [0, 0], dilation, False, [0, 0], groups, (*wanted, False)
    )


# ---- tap by tap: for other devices and dtypes


def _seen(buffer: Tensor, tap: int, layout: Plan) -> Tensor:
    """(outputs, D) what one tap of every window sees, a view."""
    first, stride = tap * layout.window.dilation, layout.window.stride
    return buffer[first : first + (layout.outputs - 1) * stride + 1 : stride]


def _taps(buffer: Tensor, kernel: Tensor, bias: Tensor | None, layout: Plan, groups: int) -> Tensor:
    """As `_onednn`; groups is 1 or D."""
    y = buffer.new_zeros((layout.outputs, kernel.shape[2]))
    for tap in range(kernel.shape[0]):
        seen = _seen(buffer, tap, layout)
        y = y.addmm_(seen, kernel[tap]) if groups == 1 else y.addcmul_(seen, kernel[tap])
    return y if bias is None else y.add_(bias)


def _taps_to_x(by_y: Tensor, kernel: Tensor, layout: Plan, groups: int) -> Tensor:
    """As `_onednn_to_x`; groups is 1 or D."""
    by_y = layout.windows(by_y)
    by_buffer = by_y.new_zeros((len(layout.buffer.source), kernel.shape[1] * groups))
    for tap in range(kernel.shape[0]):
        seen = _seen(by_buffer, tap, layout)
        seen.addmm_(by_y, kernel[tap].t()) if groups == 1 else seen.addcmul_(by_y, kernel[tap])
    return by_buffer


def _taps_to_kernel(x: Tensor, by_y: Tensor, kernel: Tensor, layout: Plan, groups: int) -> Tensor:
    """As `_to_kernel`; groups is 1 or D."""
    by_y, buffer = layout.windows(by_y), layout.buffer(x)
    by_kernel = torch.zeros_like(kernel)
    block = _THIN_BLOCK if groups > 1 and x.device.type == "cpu" else layout.outputs
    for first in range(0, layout.outputs, block):
        for tap in range(kernel.shape[0]):
            here, seen = by_y[first : first + block], _seen(buffer, tap, layout)[first : first + block]
            by_kernel[tap] += seen.t() @ here if groups == 1 else (seen * here).sum(0)
    return by_kernel


def convolve_dense(
    x: Tensor, kernel: Tensor, strides: tuple[int, ...], dilation: tuple[int, ...], padding: str, groups: int
) -> Tensor:
    """Convolve a batch of fixed size, channels last, with Keras's padding.

    Args:
        x: (B, spatial axes, C), one to three axes.
        kernel: (taps of each axis, C / groups, filters).
        strides: of each axis.
        dilation: of each axis.
        padding: "valid" or "same"; the latter pads one more behind than before where the sum is odd.
        groups: number of groups of channels.

    Returns:
        (B, spatial axes, filters).
    """
    spatial = kernel.ndim - 2
    function: Any = (F.conv1d, F.conv2d, F.conv3d)[spatial - 1]
    pads = [(0, 0)] * spatial
    if padding == "same":
        pads = same_padding(x.shape[1:-1], kernel.shape[:spatial], strides, dilation)
    even = all(before == after for before, after in pads)
    x = x.movedim(-1, 1)
    if not even:
        x = F.pad(x, [pad for pair in reversed(pads) for pad in pair])
    y: Tensor = function(
        x,
        kernel.movedim((-1, -2), (0, 1)),
        stride=strides,
        padding=tuple(before for before, _ in pads) if even else 0,
        dilation=dilation,
        groups=groups,
    )
    return y.movedim(1, -1)


def convolve_dense_transposed(x: Tensor, kernel: Tensor, hows: tuple[Transposed, ...]) -> Tensor:
    """Convolve a batch of fixed size the other way round, channels last, with Keras's cuts.

    Args:
        x: (B, spatial axes, D), one to three axes.
        kernel: (taps of each axis, filters, D).
        hows: which steps and taps fall on which place, for each axis.

    Returns:
        (B, spatial axes, filters).
    """
    function: Any = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[len(hows) - 1]
    y = function(
        x.movedim(-1, 1),
        kernel.movedim((-1, -2), (0, 1)),
        stride=tuple(how.stride for how in hows),
        dilation=tuple(how.dilation for how in hows),
    )
    # Torch makes all places that anything falls on; less than none is cut off.
    pads = [(before - how.span + 1, behind - how.span + 1) for how in hows for before, behind in [how.zeros]]
    y = F.pad(y, [pad for pair in reversed(pads) for pad in pair])
    return y.movedim(1, -1)
