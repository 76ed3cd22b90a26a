"""Every override of every backend against its default in `Backend`, which is the specification."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import activations, backends, optimizers
from padless.backends.base import Backend
from padless.errors import DTypeError
from padless.lengths import Transposed, Window
from padless.rows import RowPartition
from tests import strategies
from tests.conftest import BACKENDS
from tests.tolerances import GRADIENTS, VALUES

DTYPES = ("float32", "float64")
# What the tests of this directory compare with the default, or with what it promises.
COMPARED = {
    "asarray",
    "to_host",
    "is_array",
    "device",
    "device_of",
    "to_device",
    "index",
    "cast",
    "stop_gradient",
    "no_gradient",
    "bounds",
    "erf",
    "random_uniform",
    "segment_sum",
    "segment_max",
    "recur",
    "window_max",
    "convolve",
    "attention",
    "scan",
    "convolve_dense",
    "convolve_dense_transposed",
    "compile",
    "value_and_grad",
    "value_and_grads",
    "update",
    "added_up",  # tests/backends/test_embedding_kernels.py
    "remat",  # tests/training/test_precision.py
    "decay",
    "take_or",
    "when",
    "abstractly",
    "is_traced",
    "assume",
    "assumed",
    # In test_attention_pairs.py.
    "pair_scores",
    "pair_dropout",
    "pair_sums",
    # In tests/training/test_lazy_embeddings.py.
    "lookup",
    "update_rows",
    # In test_memory.py.
    "keep_memory",
    # In test_dense_kernels.py.
    "dense",
    "layer_norm",
    # In tests/export.
    "graph_rows",
    "is_empty",
    # In tests/training/test_ctc.py.
    "ctc",
    # In test_jax_compiled.py: a compiled step is the step.
    "compiles",
    "program",
    # In test_jax_function.py.
    "purely",
    "function_batch",
    "transforming",
    "making",  # tests/training/test_torch_optim.py
}

batches = st.tuples(strategies.lengths(), strategies.seeds(), st.sampled_from(DTYPES))
all_backends = pytest.mark.parametrize("name", BACKENDS)


def overrides(backend: Backend) -> list[str]:
    return [name for name, value in vars(type(backend)).items() if hasattr(Backend, name) and not name.startswith("_")
            and (callable(value) or isinstance(value, property))]  # fmt: skip


def with_gradients(
    backend: Backend, function: Callable[..., Any], *inputs: np.ndarray[Any, Any]
) -> list[np.ndarray[Any, Any]]:
    """Results of a function, and their gradients by its inputs where the backend has any, all on the host.

    The results are weighted by numbers that depend on nothing but their shape.
    """
    if not backend.trains:
        return [backend.to_host(y) for y in function(*(backend.asarray(x) for x in inputs))]

    def loss(arrays: dict[str, Any]) -> tuple[Any, Any]:
        kept = list(function(*arrays.values()))
        weights = [np.random.default_rng(y.ndim).normal(size=tuple(y.shape)) for y in kept]
        total = sum(
            backend.xp.sum(y * backend.asarray(w, backend.dtype_name(y))) for y, w in zip(kept, weights, strict=True)
        )
        return total, kept

    # As a whole: operation by operation, JAX would compile each of them for every shape that is drawn.
    run = backend.compile(lambda arrays: backend.value_and_grad(loss, arrays))
    (_, kept), gradients = run({str(i): backend.asarray(x) for i, x in enumerate(inputs)})
    return [*(backend.to_host(y) for y in kept), *(backend.to_host(g) for g in gradients.values())]


def assert_same(fast: list[np.ndarray[Any, Any]], slow: list[np.ndarray[Any, Any]]) -> None:
    for one, other in zip(fast, slow, strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, **GRADIENTS)


@all_backends
def test_overrides_have_the_signature_of_the_base(name: str) -> None:
    backend = backends.get(name)
    for method in overrides(backend):
        base = getattr(Backend, method)
        if not isinstance(base, property):
            assert inspect.signature(getattr(type(backend), method)) == inspect.signature(base), method


@all_backends
def test_every_override_is_compared(name: str) -> None:
    assert set(overrides(backends.get(name))) <= COMPARED


# ---- data


@all_backends
@pytest.mark.parametrize("dtype", ["bool", "int8", "int32", "int64", "uint8", "float32", "float64"])
def test_arrays_come_and_go(name: str, dtype: str) -> None:
    backend = backends.get(name)
    host = np.array([[0, 1, 2], [3, 4, 5]]).astype(dtype)
    for given_, expected in ((host, host), (host.T, host.T), (host[:, ::-1], host[:, ::-1]), (host[:0], host[:0])):
        array = backend.asarray(given_)
        assert backend.is_array(array)
        assert backend.dtype_name(array) == dtype
        np.testing.assert_array_equal(backend.to_host(array), expected)
        assert backend.to_host(array).dtype == dtype
    assert backend.dtype_name(backend.cast(backend.asarray(host), "float64")) == "float64"
    assert backend.dtype_name(backend.asarray(host, "float32")) == "float32"
    assert backend.dtype_name(backend.asarray(backend.asarray(host), "float32")) == "float32"
    assert not backend.is_array("text")


@all_backends
def test_numbers_of_64_bits_keep_them(name: str) -> None:
    backend = backends.get(name)
    for host in (np.array([0.1, 1e-300]), np.array([2**40 + 1, -(2**62) - 3])):
        for dtype in (None, host.dtype.name):
            np.testing.assert_array_equal(backend.to_host(backend.asarray(host, dtype)), host)


@all_backends
def test_lists_numbers_and_foreign_byte_orders_become_arrays(name: str) -> None:
    backend = backends.get(name)
    assert backend.to_host(backend.asarray([[1, 2]])).tolist() == [[1, 2]]
    assert backend.to_host(backend.asarray(2.5)).tolist() == 2.5
    assert backend.to_host(backend.asarray(np.array([1, 2], ">i4"))).tolist() == [1, 2]


def test_texts_are_no_arrays_of_torch() -> None:
    pytest.importorskip("torch")
    with pytest.raises(DTypeError, match="expected numbers"):
        backends.get("torch").asarray(np.array(["a"]))


def test_torch_never_shares_memory_with_the_host() -> None:
    # Weights are updated in place.
    pytest.importorskip("torch")
    backend = backends.get("torch")
    host = np.zeros(3, np.float32)
    array = backend.asarray(host)
    seen = backend.to_host(array)
    array += 1
    assert host.tolist() == seen.tolist() == [0, 0, 0]


@all_backends
def test_bounds(name: str) -> None:
    backend = backends.get(name)
    assert backend.bounds(backend.asarray(np.array([[3, -1], [7, 2]]))) == (-1, 7)
    assert backend.bounds(backend.asarray(np.zeros((0, 2), np.int64))) is None


@all_backends
@given(strategies.seeds())
def test_erf(name: str, seed: int) -> None:
    backend = backends.get(name)
    x = np.random.default_rng(seed).normal(size=5) * 2
    np.testing.assert_allclose(backend.to_host(backend.erf(backend.asarray(x))), backends.get("numpy").erf(x), **VALUES)


@all_backends
@pytest.mark.parametrize("dtype", DTYPES)
def test_random_numbers_depend_on_seed_and_place_alone(name: str, dtype: str) -> None:
    backend = backends.get(name)

    def draw(seed: tuple[int, ...], *shape: int) -> np.ndarray[Any, Any]:
        return backend.to_host(backend.random_uniform(seed, shape, dtype))

    first = draw((1, 2, 3), 4000, 5)
    np.testing.assert_array_equal(draw((1, 2, 3), 4000, 5), first)
    np.testing.assert_array_equal(draw((1, 2, 3), 7, 5), first[:7])
    assert (draw((1, 2, 4), 4000, 5) != first).mean() > 0.99
    assert first.dtype == dtype
    assert 0 <= first.min() < first.max() < 1
    assert abs(first.mean() - 0.5) < 0.01
    assert abs(first.var() - 1 / 12) < 0.01
    assert draw((1,)).shape == ()
    assert draw((1,), 0, 3).shape == (0, 3)
    normal = backend.to_host(backend.random_normal((1, 2), (20000,), dtype))
    assert abs(normal.mean()) < 0.03
    assert abs(normal.std() - 1) < 0.03


# ---- rows


@all_backends
@pytest.mark.parametrize("method", ["segment_sum", "segment_max"])
@pytest.mark.parametrize("features", [(), (3,), (2, 2), (0,)])
@given(batches, st.booleans())
def test_segments(name: str, method: str, features: tuple[int, ...], batch: Any, ties: bool) -> None:
    lengths, seed, dtype = batch
    backend, rows = backends.get(name), RowPartition.from_lengths(lengths)
    x = np.random.default_rng(seed).normal(size=(rows.nvals, *features)).astype(dtype)
    if ties:
        x = x.round()
    assert_same(
        with_gradients(backend, lambda v: [getattr(backend, method)(v, rows)], x),
        with_gradients(backend, lambda v: [getattr(Backend, method)(backend, v, rows)], x),
    )


@all_backends
@pytest.mark.parametrize("method", ["segment_sum", "segment_max"])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_segments_of_whole_numbers(name: str, method: str, dtype: str) -> None:
    backend, rows = backends.get(name), RowPartition.from_lengths([2, 0, 1, 3])
    x = np.array([[5], [-7], [-3], [1], [1], [9]], dtype)
    fast = getattr(backend, method)(backend.asarray(x), rows)
    slow = getattr(Backend, method)(backends.get("numpy"), x, rows)  # JAX has no maximum of int64
    assert backend.dtype_name(fast) == slow.dtype.name == dtype
    np.testing.assert_array_equal(backend.to_host(fast), slow)


@all_backends
@given(batch=batches)
def test_entries_or_a_number(name: str, batch: Any) -> None:
    lengths, seed, dtype = batch
    backend, draw = backends.get(name), np.random.default_rng(seed)
    values = draw.normal(size=(sum(lengths), 3)).astype(dtype)
    index = draw.integers(0, len(values) + 1, (4, 2))

    def run(function: Callable[..., Any]) -> list[Any]:
        return with_gradients(backend, lambda x: (function(x, backend.asarray(index), -7),), values)

    for fast, slow in zip(run(backend.take_or), run(lambda *a: Backend.take_or(backend, *a)), strict=True):
        np.testing.assert_allclose(fast, slow, **VALUES)


@all_backends
def test_one_tree_or_another(name: str) -> None:
    backend = backends.get(name)
    one, other = backend.asarray(np.ones(2)), backend.asarray(np.zeros(2))
    for condition in (True, False):
        chosen = backend.when(backend.asarray(np.array(condition)), lambda: {"a": one}, {"a": other})
        assert backend.to_host(chosen["a"]).tolist() == [float(condition)] * 2


@all_backends
def test_outside_of_compiled_steps_nothing_is_assumed(name: str) -> None:
    backend = backends.get(name)
    condition = backend.asarray(np.array([True, False]))
    assert not backend.is_traced(condition)
    assert not backend.assume(condition)
    assert backend.assumed() is None
    shape = backend.abstractly(lambda: backend.asarray(np.zeros((2, 3), "float32")) * 2).shape
    assert tuple(shape) == (2, 3)


windows = st.tuples(
    st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.sampled_from(["valid", "same", "causal"])
)


@all_backends
# 3 features go the default's way in torch, 16 the fast one; 2 groups the default's, unless they are single features.
@pytest.mark.parametrize(("features", "groups"), [(3, 1), (16, 1), (4, 2), (4, 4), (2, 2)])
@given(batch=batches, window=windows, holes=st.booleans(), unit_stride=st.booleans())
def test_convolve(
    name: str, features: int, groups: int, batch: Any, window: tuple[int, int, int, str], holes: bool, unit_stride: bool
) -> None:
    (lengths, seed, dtype), (size, stride, dilation, padding) = batch, window
    backend, draw = backends.get(name), np.random.default_rng(seed)
    rows = RowPartition.from_lengths(lengths)
    if holes:
        rows, _ = rows.select(draw.random(rows.nvals) < 0.7)
    x = draw.normal(size=(rows.nvals, features)).astype(dtype)
    kernel = draw.normal(size=(size, features // groups, 4)).astype(dtype)
    options = {"stride": 1 if unit_stride else stride, "dilation": dilation, "padding": padding, "groups": groups}
    made: list[RowPartition] = []

    def run(convolve: Callable[..., Any]) -> list[np.ndarray[Any, Any]]:
        def one(v: Any, w: Any) -> list[Any]:
            y, partition = convolve(v, rows, w, **options)
            made.append(partition)
            return [y]

        return with_gradients(backend, one, x, kernel)

    assert_same(run(backend.convolve), run(lambda *a, **k: Backend.convolve(backend, *a, **k)))
    fast, slow = made
    assert fast.same_steps(slow)
    np.testing.assert_array_equal(fast.starts, slow.starts)
    assert fast.padded_length == slow.padded_length
    if padding != "valid" and options["stride"] == 1:
        assert fast is rows


@all_backends
@given(batch=batches, window=windows, holes=st.booleans(), width=st.sampled_from([1, 5, 70]))
def test_window_max(name: str, batch: Any, window: tuple[int, int, int, str], holes: bool, width: int) -> None:
    (lengths, seed, dtype), (size, stride, dilation, padding) = batch, window
    backend, draw = backends.get(name), np.random.default_rng(seed)
    rows = RowPartition.from_lengths(lengths)
    if holes:
        rows, _ = rows.select(draw.random(rows.nvals) < 0.5)
    # Few different numbers, so that windows see the largest more than once.
    x = draw.integers(0, 3, (rows.nvals, width)).astype(dtype)
    how = Window(size, stride, dilation, padding)
    assert_same(
        with_gradients(backend, lambda v: [backend.window_max(v, rows, how)], x),
        with_gradients(backend, lambda v: [Backend.window_max(backend, v, rows, how)], x),
    )


def test_convolve_in_several_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    from padless.backends.torch import convolution

    monkeypatch.setattr(convolution, "_PIECE", 8)
    monkeypatch.setattr(convolution, "_SHORT_PIECE", 4)
    monkeypatch.setattr(convolution, "_THIN_BLOCK", 7)
    backend, draw = backends.get("torch"), np.random.default_rng(0)
    rows = RowPartition.from_lengths([9, 0, 30, 4])
    x = draw.normal(size=(43, 16))
    for padding, groups in product(("valid", "same", "causal"), (1, 16)):
        options = {"padding": padding, "groups": groups}
        kernel = draw.normal(size=(3, 16 // groups, 16))
        assert_same(
            with_gradients(backend, lambda v, w, o=options: [backend.convolve(v, rows, w, **o)[0]], x, kernel),
            with_gradients(backend, lambda v, w, o=options: [Backend.convolve(backend, v, rows, w, **o)[0]], x, kernel),
        )


@given(
    sizes=st.tuples(st.integers(0, 3), st.integers(3, 9), st.integers(3, 9)),
    taps=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    strides=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    padding=st.sampled_from(["valid", "same"]),
    groups=st.sampled_from([1, 2]),
    dilation=st.sampled_from([1, 2]),
    spatial=st.sampled_from([1, 2]),
)
def test_dense_convolution_of_torch_equals_numpys(
    sizes: Any, taps: Any, strides: Any, padding: str, groups: int, dilation: int, spatial: int
) -> None:
    pytest.importorskip("torch")
    if padding == "valid" and any((k - 1) * dilation + 1 > n for k, n in zip(taps, sizes[1:], strict=True)):
        return
    draw = np.random.default_rng(0)
    x = draw.normal(size=(*sizes[: spatial + 1], 4))
    kernel = draw.normal(size=(*taps[:spatial], 4 // groups, 6))
    options = (strides[:spatial], (dilation,) * spatial, padding, groups)
    results = []
    for name in ("numpy", "torch"):
        backend = backends.get(name)
        y = backend.convolve_dense(backend.asarray(x), backend.asarray(kernel), *options)
        results.append(backend.to_host(y))
    assert results[0].shape == results[1].shape
    np.testing.assert_allclose(*results, **VALUES)


@all_backends
@pytest.mark.parametrize(
    "hows",
    [
        (Transposed(3), Transposed(2)),
        (Transposed(3, 2, padding="same"), Transposed(2, 3)),
        (Transposed(1, 4, padding="same"), Transposed(4, 3, padding="same", more=1)),
        (Transposed(2, 1, 3), Transposed(3, 1, 2, padding="same")),
        (Transposed(2, 3, padding="same", more=0),),
        (Transposed(2, 2, padding="same"), Transposed(1), Transposed(3, 2, more=1)),
    ],
)
def test_dense_transposed_convolution(name: str, hows: tuple[Transposed, ...]) -> None:
    backend, draw = backends.get(name), np.random.default_rng(0)
    x = draw.normal(size=(2, *(4, 3, 2)[: len(hows)], 3))
    kernel = draw.normal(size=(*(how.size for how in hows), 2, 3))
    fast = with_gradients(backend, lambda v, w: [backend.convolve_dense_transposed(v, w, hows)], x, kernel)
    slow = with_gradients(backend, lambda v, w: [Backend.convolve_dense_transposed(backend, v, w, hows)], x, kernel)
    assert fast[0].shape[1:-1] == tuple(int(how.count(n)) for how, n in zip(hows, x.shape[1:-1], strict=True))
    assert_same(fast, slow)


# ---- training


trainers = pytest.mark.parametrize("name", [name for name in BACKENDS if backends.get(name).trains])


@trainers
def test_value_and_grad(name: str) -> None:
    backend = backends.get(name)
    weights = {path: backend.asarray(np.array([1.0, 2.0])) for path in ("used", "unused")}
    (loss, extra), gradients = backend.value_and_grad(
        lambda w: (backend.xp.sum(w["used"] ** 2), {"tripled": 3 * w["used"], "text": "x", "none": None}), weights
    )
    assert backend.to_host(loss) == 5
    assert backend.to_host(extra["tripled"]).tolist() == [3, 6]
    assert (extra["text"], extra["none"]) == ("x", None)
    assert {path: backend.to_host(g).tolist() for path, g in gradients.items()} == {"used": [2, 4], "unused": [0, 0]}


@trainers
def test_a_loss_of_no_weight_has_gradient_zero(name: str) -> None:
    backend = backends.get(name)
    _, gradients = backend.value_and_grad(lambda w: (backend.asarray(1.0), None), {"w": backend.asarray(np.ones(2))})
    assert backend.to_host(gradients["w"]).tolist() == [0, 0]


@trainers
def test_gradients_at_kinks(name: str) -> None:
    """Where a function has no gradient, all backends give the same number."""
    backend, xp = backends.get(name), backends.get(name).xp
    functions: dict[str, Callable[[Any], Any]] = {
        "abs": xp.abs,
        "clip": lambda x: xp.clip(x, 0.0, 1.0),
        "relu": activations.relu,
        "maximum": lambda x: xp.maximum(x, 0 * x),
        "max": lambda x: xp.max(xp.stack([x, 0 * x]), axis=0),
    }
    at = np.array([-1.0, 0.0, 0.5, 1.0, 2.0])
    found = {key: with_gradients(backend, lambda x, f=f: [f(x)], at)[1].tolist() for key, f in functions.items()}
    # with_gradients weighs the results, by numbers that only depend on the shape
    weights = np.random.default_rng(1).normal(size=5)
    expected = {
        "abs": [-1, 0, 1, 1, 1],
        "clip": [0, 1, 1, 1, 0],
        "relu": [0, 0, 1, 1, 1],
        "maximum": [0, 0.5, 1, 1, 1],
        "max": [0, 0.5, 1, 1, 1],
    }
    for key, slopes in expected.items():
        np.testing.assert_allclose(found[key] / weights, slopes, err_msg=key, **VALUES)


@trainers
def test_no_gradient_flows_through_what_is_stopped(name: str) -> None:
    backend = backends.get(name)
    _, gradients = backend.value_and_grad(
        lambda w: (backend.xp.sum(w["a"] * backend.stop_gradient(w["a"])), None),
        {"a": backend.asarray(np.array([3.0]))},
    )
    assert backend.to_host(gradients["a"]).tolist() == [3]


@trainers
def test_index_arrays_made_without_gradients_serve_training(name: str) -> None:
    backend, rows = backends.get(name), RowPartition.from_lengths([2, 3])
    with backend.no_gradient():
        backend.segment_max(backend.asarray(np.ones((5, 2))), rows)
    assert with_gradients(backend, lambda v: [backend.segment_max(v, rows)], np.ones((5, 2)))[1].shape == (5, 2)


def test_torch_keeps_no_graph_alive() -> None:
    pytest.importorskip("torch")
    backend = backends.get("torch")
    (loss, extra), gradients = backend.value_and_grad(
        lambda w: (w["a"].sum(), [2 * w["a"]]), {"a": backend.asarray(np.ones(2))}
    )
    assert not loss.requires_grad
    assert not extra[0].requires_grad
    assert not gradients["a"].requires_grad


@trainers
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "make",
    [
        lambda: optimizers.Adam(0.01),
        lambda: optimizers.Adam(0.01, beta_1=0.5, beta_2=0.9, epsilon=1e-3, amsgrad=True),
        lambda: optimizers.AdamW(0.01, weight_decay=0.1),
        lambda: optimizers.SGD(0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9),
        lambda: optimizers.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
        lambda: optimizers.RMSprop(0.01),
        lambda: optimizers.RMSprop(0.01, momentum=0.5, centered=True),
        lambda: optimizers.Adadelta(0.01, weight_decay=0.1),
        lambda: optimizers.Nadam(0.01),
        lambda: optimizers.Adafactor(0.01),
        lambda: optimizers.Adam(0.01, use_ema=True, ema_overwrite_frequency=4, weight_decay=0.1),
        lambda: optimizers.SGD(0.1, momentum=0.9, gradient_accumulation_steps=4, loss_scale_factor=8.0),
    ],
)
def test_update(name: str, dtype: str, make: Callable[[], Any]) -> None:
    backend, draw = backends.get(name), np.random.default_rng(0)
    starts = {"a": draw.normal(size=(3, 4)).astype(dtype), "b": draw.normal(size=2).astype(dtype)}
    # From gradients that are tiny beside epsilon to large ones.
    gradients = [
        {path: (draw.normal(size=w.shape) * 10.0 ** (i % 10 - 8)).astype(dtype) for path, w in starts.items()}
        for i in range(30)
    ]

    class Default(type(backend)):  # type: ignore[misc]
        def update(self, *arguments: Any) -> Any:
            return Backend.update(self, *arguments)

        def decay(self, *arguments: Any) -> Any:
            return Backend.decay(self, *arguments)

    ends = []
    for one in (backend, Default()):
        optimizer, weights = make(), {path: one.asarray(w) for path, w in starts.items()}
        for step in gradients:
            weights = optimizer.apply(one, weights, {path: one.asarray(g) for path, g in step.items()})
        ends.append([*weights.values(), *(a for slot in optimizer.slots.values() for a in slot.values())])
    for fast, slow in zip(*ends, strict=True):
        assert backend.dtype_name(fast) == dtype
        np.testing.assert_allclose(backend.to_host(fast), backend.to_host(slow), **VALUES)


@trainers
def test_gradients_of_several_losses_are_those_of_each(name: str) -> None:
    backend = backends.get(name)
    weights = {
        "b": backend.asarray(np.arange(3.0)),
        "a": backend.asarray(np.ones(3)),
        "unused": backend.asarray(np.ones(2)),
    }

    def losses(weights: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        both = backend.xp.sum(weights["a"] * weights["b"] ** 2)
        made = {"first": both, "of one": backend.xp.sum(weights["b"]), "of none": backend.asarray(np.float64(3.0))}
        return made, {"more": both}

    (values, extra), gradients = backend.value_and_grads(losses, weights)
    assert set(gradients) == set(values) == {"first", "of one", "of none"}
    assert backend.to_host(extra["more"]) == 5
    for one, found in gradients.items():
        (value, _), wanted = backend.value_and_grad(lambda w, one=one: (losses(w)[0][one], None), weights)
        assert backend.to_host(values[one]) == backend.to_host(value)
        assert list(found) == list(weights)
        for path, gradient in wanted.items():
            np.testing.assert_array_equal(backend.to_host(found[path]), backend.to_host(gradient))


@trainers
def test_update_takes_gradients_that_do_not_lie_in_order(name: str) -> None:
    backend = backends.get(name)
    host = np.arange(6.0).reshape(2, 3)
    for make in (optimizers.Adam, optimizers.SGD, optimizers.RMSprop):
        ends = []
        for gradient in (backend.asarray(host), backend.xp.permute_dims(backend.asarray(host.T.copy()), (1, 0))):
            weights = {"w": backend.asarray(host * 0)}
            ends.append(make(0.1).apply(backend, weights, {"w": gradient})["w"])
        np.testing.assert_array_equal(*(backend.to_host(w) for w in ends))


@all_backends
def test_compile_keeps_what_a_function_returns(name: str) -> None:
    backend = backends.get(name)
    assert backend.to_host(backend.compile(lambda x: x + 1)(backend.asarray(np.ones(1)))).tolist() == [2]
