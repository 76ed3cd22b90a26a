"""Adam of a table by the rows that were looked up, in C, against the same step with a gradient of the whole table."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import padless
from padless import backends, layers, native, optimizers
from padless.backends.base import Backend, RowGradient
from tests.tolerances import GRADIENTS, VALUES

torch = pytest.importorskip("torch")

ON_CPU = str(backends.get("torch").device) == "cpu"
pytestmark = pytest.mark.skipif(not (native.available() and ON_CPU), reason="needs the library, on the CPU")
SETTINGS: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.1},
    "clipnorm": {"clipnorm": 0.5},
    "global_clipnorm": {"global_clipnorm": 0.5},
    "clipvalue": {"clipvalue": 0.1},
    "scaled": {"loss_scale_factor": 8.0},
    "epsilon": {"epsilon": 1e-3, "beta_1": 0.0, "beta_2": 0.5},
}


def stepped(optimizer: Any, table: np.ndarray, batches: Any, dtype: str, whole: bool) -> dict[str, Any]:
    """The table and what is remembered of it after a step for each of (ids, what came back)."""
    backend, optimizer = backends.get("torch"), copy.deepcopy(optimizer)
    weights = {"table": backend.asarray(table, dtype)}
    for ids, values in batches:
        rows, came = torch.from_numpy(ids), torch.from_numpy(values).to(weights["table"].dtype)
        gradient: Any = RowGradient(rows, came)
        if whole:
            gradient = torch.zeros_like(weights["table"]).index_add_(0, rows, came)
        weights = optimizer.apply(backend, weights, {"table": gradient})
    kept = {name: slot["table"] for name, slot in optimizer.slots.items()}
    return {name: backend.to_host(array) for name, array in {**kept, "table": weights["table"]}.items()}


@settings(max_examples=30)
@given(
    rows=st.integers(1, 40),
    width=st.sampled_from([1, 5, 63, 64, 65, 130]),
    counts=st.lists(st.integers(0, 60), min_size=1, max_size=3),
    threads=st.integers(1, 3),
    seed=st.integers(0, 99),
)
def test_it_is_the_step_of_the_whole_table(rows: int, width: int, counts: list[int], threads: int, seed: int) -> None:
    draw, before = np.random.default_rng(seed), torch.get_num_threads()
    table = draw.normal(size=(rows, width)).astype("float32")
    batches = [(draw.integers(0, rows, n), draw.normal(size=(n, width)).astype("float32")) for n in counts]
    optimizer = optimizers.Adam(0.01)
    torch.set_num_threads(threads)
    try:
        found = stepped(optimizer, table, batches, "float32", whole=False)
    finally:
        torch.set_num_threads(before)
    expected = stepped(optimizer, table, batches, "float64", whole=True)
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, **GRADIENTS)


@pytest.mark.parametrize("kind", SETTINGS)
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.AdamW, optimizers.SGD, optimizers.Adagrad])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_whatever_else_the_optimizer_does(kind: str, make: Any, dtype: str) -> None:
    known = {name: value for name, value in SETTINGS[kind].items() if name in make(**SETTINGS["plain"]).get_config()}
    draw = np.random.default_rng(1)
    table = draw.normal(size=(9, 6)).astype(dtype)
    batches = [(draw.integers(0, 5, 12), draw.normal(size=(12, 6)).astype(dtype)) for _ in range(4)]
    found, expected = (stepped(make(0.01, **known), table, batches, dtype, whole) for whole in (False, True))
    for name, array in expected.items():
        np.testing.assert_allclose(
            found[name], array, **(VALUES if dtype == "float32" else {"rtol": 1e-9, "atol": 1e-12})
        )


def test_large_tables_are_shared_among_threads() -> None:
    draw, before, found = np.random.default_rng(2), torch.get_num_threads(), []
    table = draw.normal(size=(3000, 32)).astype("float32")
    ids = draw.zipf(1.5, 5000) % 3000  # most are of a few rows
    values = draw.normal(size=(5000, 32)).astype("float32")
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(stepped(optimizers.Adam(), table, [(ids, values)], "float32", whole=False)["table"])
    torch.set_num_threads(before)
    for one in found[1:]:
        np.testing.assert_array_equal(one, found[0])


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "lion", torch.optim.Adam])
def test_fit_gives_what_it_gives_with_whole_gradients(optimizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """With two lookups of one table in a step, and rows that nothing looks up."""
    padless.set_backend("torch")
    labels = np.array([0.0, 1.0, 0.0], "float32")

    def trained() -> list[Any]:
        padless.utils.set_random_seed(0)
        a, b = padless.Input((None,), dtype="int32"), padless.Input((None,), dtype="int32")
        table, pool = layers.Embedding(50, 8), layers.GlobalAveragePooling1D()
        y = layers.Dense(1)(
            layers.Concatenate()([pool(table(a)), pool(layers.LSTM(4, return_sequences=True)(table(b)))])
        )
        model = padless.Model([a, b], y)
        model.compile(optimizer, "mse")
        model.fit(
            [[[1, 2, 2], [3], [4, 1]], [[5], [1, 1, 7], [2]]], labels, epochs=5, batch_size=2, verbose=0, shuffle=False
        )
        return [np.asarray(w.detach()) for w in model.weights]

    found = trained()
    monkeypatch.setattr(type(backends.get("torch")), "lookup", Backend.lookup)
    for one, other in zip(found, trained(), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
