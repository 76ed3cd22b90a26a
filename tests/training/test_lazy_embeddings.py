"""Adam(lazy_embeddings=True): rows of a table that a step did not look up are left alone, whoever computes it."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers, optimizers
from padless.backends.base import Backend
from tests.tolerances import VALUES

torch = pytest.importorskip("torch")

IDS = [[1, 2, 2], [3], [], [5, 1]] * 3
LABELS = np.array([0, 1, 0, 1] * 3, np.float32)
KINDS: dict[str, dict[str, Any]] = {
    "plain": {},
    "amsgrad": {"amsgrad": True},
    "clipnorm": {"clipnorm": 0.01},
    "global_clipnorm": {"global_clipnorm": 0.01},
    "clipvalue": {"clipvalue": 1e-3},
    "decay": {"weight_decay": 0.1},
}


@pytest.fixture(params=["torch", "jax"])
def trains(request: pytest.FixtureRequest) -> Any:
    pytest.importorskip(request.param, reason="trains on torch and JAX")
    before = padless.backend()
    padless.set_backend(request.param)
    yield request.param
    padless.set_backend(before)


def trained(optimizer: Any, steps: int = 30, make: Any = None, dtype: str = "float32") -> Any:
    padless.utils.set_random_seed(0)
    model = (make or plain)(dtype)
    model(IDS)
    model.compile(optimizer, "mse")
    model.fit(IDS, LABELS, epochs=steps // 3, batch_size=4, verbose=0, shuffle=False)
    return model


def plain(dtype: str) -> Any:
    return padless.Sequential(
        [layers.Embedding(9, 4, dtype=dtype), layers.GlobalAveragePooling1D(dtype=dtype), layers.Dense(1, dtype=dtype)]
    )


def shared(dtype: str) -> Any:
    x = padless.Input((None,), dtype="int32")
    table = layers.Embedding(9, 4, dtype=dtype)
    both = layers.Concatenate()([table(x), layers.Dense(3, dtype=dtype)(table(x))])
    return padless.Model(x, layers.Dense(1, dtype=dtype)(layers.GlobalAveragePooling1D(dtype=dtype)(both)))


def _weights(model: Any) -> list[Any]:
    return [np.asarray(model.backend.to_host(w)) for w in model.weights]


@pytest.mark.filterwarnings("ignore:.*no steps")
@pytest.mark.parametrize("make", [plain, shared])
@pytest.mark.parametrize("kind", KINDS)
def test_rows_alone_give_what_the_whole_table_gives(kind: str, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = _weights(trained(optimizers.Adam(0.05, lazy_embeddings=True, **KINDS[kind]), make=make, dtype="float64"))
    backend = padless.backends.get("torch")
    monkeypatch.setattr(type(backend), "lookup", Backend.lookup)
    slow = _weights(trained(optimizers.Adam(0.05, lazy_embeddings=True, **KINDS[kind]), make=make, dtype="float64"))
    for one, other in zip(fast, slow, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_rows_that_are_not_looked_up_stay_where_they_are(trains: str) -> None:
    padless.utils.set_random_seed(0)
    start = plain("float32")
    start(IDS)
    before = _weights(start)[0]
    model = trained(optimizers.AdamW(0.05, weight_decay=0.1, lazy_embeddings=True))
    after = _weights(model)[0]
    known = [1, 2, 3, 5]
    others = [0, 4, 6, 7, 8]
    np.testing.assert_array_equal(after[others], before[others])
    assert (after[known] != before[known]).all()
    for slot in model.optimizer.slots.values():
        (table,) = (model.backend.to_host(array) for path, array in slot.items() if path.endswith("embeddings"))
        assert (table[others] == 0).all()
        assert (table[known] != 0).any(axis=1).all()


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_torch_and_jax_agree(request: pytest.FixtureRequest) -> None:
    pytest.importorskip("jax", reason="compares with JAX")
    found = []
    for name in ("torch", "jax"):
        before = padless.backend()
        padless.set_backend(name)
        found.append(_weights(trained(optimizers.Adam(0.01, lazy_embeddings=True))))
        padless.set_backend(before)
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_it_is_plain_adam_where_every_row_is_looked_up_or_the_table_is_read_in_another_way() -> None:
    def small(dtype: str) -> Any:
        return padless.Sequential([layers.Embedding(4, 4), layers.GlobalAveragePooling1D(), layers.Dense(1)])

    def penalized(dtype: str) -> Any:
        table = layers.Embedding(9, 4, embeddings_regularizer="l2")
        return padless.Sequential([table, layers.GlobalAveragePooling1D(), layers.Dense(1)])

    def constrained(dtype: str) -> Any:
        table = layers.Embedding(9, 4, embeddings_constraint="unit_norm")
        return padless.Sequential([table, layers.GlobalAveragePooling1D(), layers.Dense(1)])

    def tied(dtype: str) -> Any:
        table = layers.ReversibleEmbedding(9, 4)
        x = padless.Input((None,), dtype="int32")
        scores = table(layers.Dense(4)(table(x)), reverse=True)
        return padless.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(scores)))

    def run(make: Any, ids: Any, lazy: bool) -> list[Any]:
        padless.utils.set_random_seed(0)
        model = make("float32")
        model.compile(optimizers.Adam(0.05, lazy_embeddings=lazy), "mse")
        # Two batches, so that a row is moved by its running mean where its batch is not.
        model.fit(ids, LABELS, epochs=5, batch_size=6, verbose=0, shuffle=False)
        return _weights(model)

    all_rows = [[0, 1], [2, 3, 3]] * 6
    apart = [[1, 2, 2], [3, 1]] * 3 + [[5], [7, 6]] * 3
    for make, ids in ((small, all_rows), (penalized, apart), (constrained, apart), (tied, apart)):
        for one, other in zip(run(make, ids, True), run(make, ids, False), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_beside_torch_s_own() -> None:
    model = trained(optimizers.Adam(0.05, epsilon=1e-30, lazy_embeddings=True), steps=9)
    padless.utils.set_random_seed(0)
    start = plain("float32")
    start(IDS)
    table, kernel, bias = (torch.from_numpy(w.copy()).requires_grad_() for w in _weights(start))
    rest = torch.optim.Adam([kernel, bias], 0.05, eps=1e-30)
    rows = torch.optim.SparseAdam([table], 0.05, eps=1e-30)
    for _ in range(9):
        means = [
            torch.nn.functional.embedding(torch.tensor(ids, dtype=torch.int64), table, sparse=True).sum(0)
            / max(len(ids), 1)
            for ids in IDS[:4]
        ]
        loss = (torch.stack(means) @ kernel + bias).squeeze(1).sub(torch.from_numpy(LABELS[:4])).square().mean()
        for each in (rest, rows):
            each.zero_grad()
        loss.backward()
        for each in (rest, rows):
            each.step()
    for one, other in zip(_weights(model), (table, kernel, bias), strict=True):
        np.testing.assert_allclose(one, other.detach().numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_config_and_file(tmp_path: Path) -> None:
    assert "lazy_embeddings" not in optimizers.Adam().get_config()
    again = optimizers.AdamW.from_config(optimizers.AdamW(lazy_embeddings=True).get_config())
    assert again.lazy_embeddings
    model = trained(optimizers.Adam(0.05, lazy_embeddings=True), steps=6)
    model.save(tmp_path / "model.safetensors")
    loaded = padless.load_model(tmp_path / "model.safetensors")
    assert loaded.optimizer.lazy_embeddings


@pytest.mark.filterwarnings("ignore:.*no steps")
@pytest.mark.parametrize("make", [optimizers.Adam, optimizers.AdamW])
def test_thirty_steps_of_the_formula_row_by_row(make: Any, trains: str) -> None:
    """Written out for one row at a time: Adam's step by the count of all steps where the row has a gradient."""
    backend, draw = padless.backends.current(), np.random.default_rng(3)
    table = draw.normal(size=(7, 3)).astype("float32")
    optimizer = make(0.05, lazy_embeddings=True)
    share = 0.05 * (optimizer.weight_decay or 0.0)
    optimizer.tables = frozenset({"table"})
    weights = {"table": backend.asarray(table)}
    expected, m, v = table.astype("float64"), np.zeros((7, 3)), np.zeros((7, 3))
    for step in range(30):
        gradient = np.zeros((7, 3), "float32")
        rows = draw.choice(6, size=2, replace=False)
        gradient[rows] = draw.normal(size=(2, 3))
        weights = optimizer.apply(backend, weights, {"table": backend.asarray(gradient)})
        for row in rows:
            g = gradient[row].astype("float64")
            m[row], v[row] = 0.9 * m[row] + 0.1 * g, 0.999 * v[row] + 0.001 * g * g
            size = 0.05 * np.sqrt(1 - 0.999 ** (step + 1)) / (1 - 0.9 ** (step + 1))
            expected[row] -= share * expected[row]
            expected[row] -= size * m[row] / (np.sqrt(v[row]) + 1e-7)
    np.testing.assert_allclose(backend.to_host(weights["table"]), expected, **VALUES)
    np.testing.assert_array_equal(backend.to_host(weights["table"])[6], table[6])


@pytest.mark.parametrize("kind", ["uint8", "int16", "int32", "int64"])
def test_ids_of_any_whole_dtype(kind: str, trains: str) -> None:
    found = []
    for dtype in ("int64", kind):
        padless.utils.set_random_seed(0)
        model = plain("float32")
        model.compile(optimizers.Adam(0.05, lazy_embeddings=True), "mse")
        model.fit(np.array([[1, 2], [3, 3]], dtype), np.array([0.0, 1.0], "float32"), epochs=3, verbose=0)
        found.append(_weights(model))
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_a_gradient_of_rows_is_that_of_the_table(dtype: str) -> None:
    backend = padless.backends.get("torch")
    table = torch.arange(40.0).reshape(10, 4).to(getattr(torch, dtype))
    ids = torch.tensor([7, 2, 2, 9, 7, 7])

    def loss(weights: dict[str, Any]) -> tuple[Any, None]:
        once, twice = (backend.lookup(weights["table"], ids[part]) for part in (slice(None), slice(2, 4)))
        return once.square().sum() + (3 * twice).sum(), None

    (_, _), gradients = backend.value_and_grad(loss, {"table": table}, {"table"})
    found = backend.added_up(gradients["table"])
    assert found.rows.tolist() == [2, 7, 9]
    (_, _), whole = backend.value_and_grad(loss, {"table": table})
    np.testing.assert_allclose(found.values.to(torch.float32), whole["table"][[2, 7, 9]].to(torch.float32), **VALUES)
    (_, _), none = backend.value_and_grad(
        lambda w: (backend.lookup(w["table"], ids[:0]).sum(), None), {"table": table}, {"table"}
    )
    assert none["table"].values.shape == (0, 4)


def test_gradients_of_gradients_of_a_lookup() -> None:
    from padless.backends.torch.embedding import lookup

    table = torch.arange(12.0, dtype=torch.float64).reshape(4, 3).requires_grad_()
    ids = torch.tensor([3, 1, 3])
    (first,) = torch.autograd.grad(lookup(table, ids).pow(3).sum(), table, create_graph=True)
    (second,) = torch.autograd.grad(first.sum(), table, create_graph=True)
    expected = torch.zeros_like(table).index_add(0, ids, 6 * table.detach()[ids])
    np.testing.assert_allclose(second.detach(), expected, **VALUES)


@pytest.mark.filterwarnings("ignore:.*no steps")
def test_on_and_off_and_on_again_in_a_copy(trains: str) -> None:
    """What is remembered serves both ways, and in a copy of the model as in itself."""
    model = trained(optimizers.Adam(0.05, lazy_embeddings=True), steps=6)
    before = _weights(model)[0]
    model.optimizer.lazy_embeddings = False
    model.fit([[8]] * 4, LABELS[:4], epochs=1, verbose=0)
    off = _weights(model)[0]
    assert (off[[1, 2, 3, 5, 8]] != before[[1, 2, 3, 5, 8]]).all()
    model.optimizer.lazy_embeddings = True
    ends = []
    for one in (copy.deepcopy(model), model):
        one.fit([[8]] * 4, LABELS[:4], epochs=2, verbose=0, shuffle=False)
        ends.append(_weights(one))
        np.testing.assert_array_equal(ends[-1][0][:8], off[:8])
        assert (ends[-1][0][8] != off[8]).all()
    for one, other in zip(*ends, strict=True):
        np.testing.assert_array_equal(one, other)
