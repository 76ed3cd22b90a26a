"""Windows, masks of pairs, shared heads of keys, scores: every backend against the default, and that against loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless import backends
from padless.backends.base import Backend
from padless.rows import RowPartition
from tests import strategies
from tests.backends.test_attention_kernels import FAST, filled, needs_jax, on_fast
from tests.tolerances import GRADIENTS, VALUES

Host = npt.NDArray[Any]
H, K, V = 4, 3, 2


def drawn(rows: RowPartition, value_rows: RowPartition, groups: int = H, seed: int = 0) -> dict[str, Host]:
    numbers = np.random.default_rng(seed)
    shapes = {"q": (rows.nvals, H, K), "k": (value_rows.nvals, groups, K), "v": (value_rows.nvals, groups, V)}
    return {name: numbers.normal(size=shape) for name, shape in shapes.items()}


def masked(rows: RowPartition, value_rows: RowPartition, heads: int, seed: int = 0) -> Host | None:
    """A mask with so many heads, or none; half of the pairs, and no key at all for some queries."""
    if not heads:
        return None
    pairs: Any = rows.pairs(value_rows)
    numbers = np.random.default_rng((seed, 1))
    some = numbers.random(rows.nvals) < 0.8
    return (numbers.random((pairs.nvals, heads)) < 0.5) & some[pairs.query_index][:, None]


def visible(n: int, m: int, causal: bool, window: int | None) -> Host:
    ahead = np.arange(m) - np.arange(n)[:, None]
    seen = ahead <= 0 if causal else np.ones((n, m), bool)
    return seen if window is None else seen & (np.abs(ahead) < window)


def one_by_one(arrays: dict[str, Host], rows: RowPartition, value_rows: RowPartition, options: dict[str, Any]) -> Host:
    """The formula, one row and one query after the other."""
    made = np.zeros((rows.nvals, H, V))
    starts, mask = rows.pairs(value_rows).row_splits, options.get("mask")
    each = H // arrays["k"].shape[1]
    for row in range(rows.nrows):
        queries = range(*rows.row_splits[row : row + 2].tolist())
        keys = np.arange(*value_rows.row_splits[row : row + 2].tolist())
        seen = visible(len(queries), len(keys), options["causal"], options["window"])
        for rank, query in enumerate(queries):
            for head in range(H):
                own = seen[rank].copy()
                if mask is not None:
                    first = starts[row] + rank * len(keys)
                    own &= mask[first : first + len(keys), head % mask.shape[1]]
                picked = keys[own]
                if len(picked):
                    k, v = (arrays[name][picked, head // each] for name in "kv")
                    shares = np.exp(0.7 * k @ arrays["q"][query, head])
                    made[query, head] = shares @ v / shares.sum()
    return made


def results(
    name: str,
    arrays: dict[str, Host],
    rows: RowPartition,
    value_rows: RowPartition,
    options: dict[str, Any],
    default: bool = False,
) -> dict[str, Host]:
    """The answer and the gradients of a weighted sum of it."""
    backend = backends.get(name)
    function = super(type(backend), backend).attention if default else backend.attention
    mask = options.get("mask")
    given_mask = None if mask is None else backend.asarray(mask)
    by_y = np.random.default_rng(1).normal(size=(rows.nvals, H, V))

    def loss(given: dict[str, Any]) -> tuple[Any, Any]:
        y = function(given["q"], given["k"], given["v"], rows, value_rows, scale=0.7, **{**options, "mask": given_mask})
        return (y * backend.asarray(by_y)).sum(), y

    (_, y), gradients = backend.value_and_grad(loss, {key: backend.asarray(array) for key, array in arrays.items()})
    return {"y": backend.to_host(y)} | {key: backend.to_host(array) for key, array in gradients.items()}


def assert_same(got: dict[str, Host], expected: dict[str, Host]) -> None:
    for key, array in got.items():
        assert np.isfinite(array).all(), key
        np.testing.assert_allclose(array, expected[key], err_msg=key, **GRADIENTS)


sides = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), min_size=1, max_size=4)
windows = st.one_of(st.none(), st.integers(1, 6))


@strategies.examples(0.3)
@given(
    lengths=sides,
    causal=st.booleans(),
    window=windows,
    heads=st.sampled_from([0, 1, H]),
    groups=st.sampled_from([1, 2, H]),
)
def test_the_default_is_the_formula(
    lengths: list[tuple[int, int]], causal: bool, window: int | None, heads: int, groups: int
) -> None:
    rows, value_rows = (RowPartition.from_lengths(np.array(side)) for side in zip(*lengths, strict=True))
    arrays = drawn(rows, value_rows, groups)
    options = {"causal": causal, "window": window, "mask": masked(rows, value_rows, heads)}
    got = backends.get("numpy").attention(*arrays.values(), rows, value_rows, scale=0.7, **options)
    np.testing.assert_allclose(got, one_by_one(arrays, rows, value_rows, options), **VALUES)


def compared(
    name: str, lengths: list[tuple[int, int]], causal: bool, window: int | None, heads: int, groups: int
) -> None:
    rows, value_rows = (RowPartition.from_lengths(np.array(side)) for side in zip(*lengths, strict=True))
    arrays = drawn(rows, value_rows, groups)
    options = {"causal": causal, "window": window, "mask": masked(rows, value_rows, heads)}
    expected = results("torch", arrays, rows, value_rows, options, default=True)
    assert_same(results(name, arrays, rows, value_rows, options), expected)


@on_fast
@pytest.mark.parametrize(
    ("causal", "window", "heads", "groups"), [(False, 40, 0, 2), (True, 3, H, H), (False, None, 1, 1)]
)
def test_it_equals_the_default_on_torch(name: str, causal: bool, window: int | None, heads: int, groups: int) -> None:
    lengths = [(130, 300), (0, 3), (5, 0), (300, 70), (2, 7)]
    compared(name, lengths, causal, window, heads, groups)


@pytest.mark.skipif("torch" not in FAST, reason="torch is not installed")
@strategies.examples(0.3)
@given(
    lengths=sides,
    causal=st.booleans(),
    window=windows,
    heads=st.sampled_from([0, 1, H]),
    groups=st.sampled_from([1, 2, H]),
)
def test_torch_equals_the_default(
    lengths: list[tuple[int, int]], causal: bool, window: int | None, heads: int, groups: int
) -> None:
    compared("torch", lengths, causal, window, heads, groups)


@on_fast
def test_scores_are_shares_of_what_is_seen(name: str) -> None:
    rows, value_rows = RowPartition.from_lengths([3, 0, 20, 2]), RowPartition.from_lengths([4, 2, 17, 0])
    arrays, backend, plain = drawn(rows, value_rows, 2), backends.get(name), backends.get("numpy")
    mask, pairs = masked(rows, value_rows, H), rows.pairs(value_rows)
    assert mask is not None

    def shares(of: Backend, q: Any, k: Any) -> Any:
        scores = of.pair_scores(q, k, pairs, 0.7)
        return of.pair_shares(scores, pairs, causal=True, window=5, mask=of.asarray(mask))

    expected = shares(plain, arrays["q"], arrays["k"])
    q, k, v = (backend.asarray(array) for array in arrays.values())
    got = shares(backend, q, k)
    np.testing.assert_allclose(backend.to_host(got), expected, **VALUES)
    options: dict[str, Any] = {"causal": True, "window": 5, "mask": backend.asarray(mask), "scale": 0.7}
    y = backend.attention(q, k, v, rows, value_rows, **options)
    np.testing.assert_allclose(backend.to_host(backend.pair_sums(got, v, pairs)), backend.to_host(y), **VALUES)
    # What is dropped with scores at hand is what is dropped without.
    dropped = backend.attention(q, k, v, rows, value_rows, **options, dropout=0.4, seed=(1, 2))
    apart = backend.pair_sums(backend.pair_dropout(got, pairs, 0.4, (1, 2)), v, pairs)
    np.testing.assert_allclose(backend.to_host(apart), backend.to_host(dropped), **VALUES)
    weights = np.random.default_rng(3).normal(size=expected.shape)

    def loss(given: dict[str, Any]) -> tuple[Any, None]:
        return (shares(backend, given["q"], given["k"]) * backend.asarray(weights)).sum(), None

    _, found = backend.value_and_grad(loss, {"q": q, "k": k})
    for key in ("q", "k"):
        direction = np.random.default_rng(2).normal(size=arrays[key].shape)
        moved = [{**arrays, key: arrays[key] + sign * 1e-5 * direction} for sign in (1, -1)]
        ahead, behind = ((shares(plain, one["q"], one["k"]) * weights).sum() for one in moved)
        got_slope = (backend.to_host(found[key]) * direction).sum()
        np.testing.assert_allclose(got_slope, (ahead - behind) / 2e-5, err_msg=key, **GRADIENTS)


@on_fast
def test_poison_that_is_not_seen_plays_no_part(name: str) -> None:
    rows = RowPartition.from_lengths([5, 17, 140])
    arrays, options = drawn(rows, rows), {"causal": True, "window": 4, "mask": masked(rows, rows, 1)}
    expected = results(name, arrays, rows, rows, options)
    poisoned = {key: np.where((rows.value_rowids == 1)[:, None, None], np.nan, x) for key, x in arrays.items()}
    got = results(name, poisoned, rows, rows, options)
    others = rows.value_rowids != 1
    for key, array in got.items():
        np.testing.assert_allclose(array[others], expected[key][others], err_msg=key, **GRADIENTS)


@needs_jax
def test_rows_that_fill_a_batch_up_are_skipped() -> None:
    lengths, value_lengths = [5, 0, 30, 20], [4, 3, 33, 7]
    rows, value_rows = RowPartition.from_lengths(lengths), RowPartition.from_lengths(value_lengths)
    more, more_values = filled([*lengths, 7, 0, 2], 3), filled([*value_lengths, 2, 4, 11], 3)
    arrays, mask, jax = drawn(rows, value_rows), masked(rows, value_rows, 1), backends.get("jax")
    assert mask is not None
    more_mask = np.concatenate([mask, np.ones((more.pairs(more_values).nvals - len(mask), 1), bool)])
    options: dict[str, Any] = {"scale": 0.7, "window": 6}
    expected = jax.attention(
        *(jax.asarray(x) for x in arrays.values()), rows, value_rows, **options, mask=jax.asarray(mask)
    )
    sizes = {"q": more.nvals, "k": more_values.nvals, "v": more_values.nvals}
    poisoned = [np.concatenate([x, np.full((sizes[key] - len(x), *x.shape[1:]), np.nan)]) for key, x in arrays.items()]
    got = jax.attention(*map(jax.asarray, poisoned), more, more_values, **options, mask=jax.asarray(more_mask))
    np.testing.assert_allclose(jax.to_host(got)[: rows.nvals], jax.to_host(expected), **VALUES)
    assert not jax.to_host(got)[rows.nvals :].any()


def test_a_window_computes_only_what_it_reaches(monkeypatch: pytest.MonkeyPatch) -> None:
    if "torch" not in FAST:
        pytest.skip("torch is not installed")
    from padless.backends.torch import attention

    sizes, kernel = [], attention.functional.scaled_dot_product_attention

    def watched(q: Any, k: Any, v: Any, **options: Any) -> Any:
        sizes.append(q.shape[2] * k.shape[2])
        return kernel(q, k, v, **options)

    monkeypatch.setattr(attention.functional, "scaled_dot_product_attention", watched)
    rows, torch = RowPartition.from_lengths([1280]), backends.get("torch")
    arrays = [torch.asarray(x) for x in drawn(rows, rows).values()]
    torch.attention(*arrays, rows, rows, scale=1.0, window=10)
    assert sum(sizes) < 1280**2 / 8
