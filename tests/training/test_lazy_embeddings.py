"""Adam(lazy_embeddings=True): rows of a table that a step did not look up are left alone, whoever computes it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import layers, optimizers
from padless.backends.base import Backend

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

    def tied(dtype: str) -> Any:
        table = layers.ReversibleEmbedding(9, 4)
        x = padless.Input((None,), dtype="int32")
        scores = table(layers.Dense(4)(table(x)), reverse=True)
        return padless.Model(x, layers.Dense(1)(layers.GlobalAveragePooling1D()(scores)))

    def run(make: Any, ids: Any, lazy: bool) -> list[Any]:
        padless.utils.set_random_seed(0)
        model = make("float32")
        model.compile(optimizers.Adam(0.05, lazy_embeddings=lazy), "mse")
        model.fit(ids, LABELS, epochs=5, batch_size=12, verbose=0, shuffle=False)
        return _weights(model)

    all_rows = [[0, 1], [2, 3, 3]] * 6
    for make, ids in ((small, all_rows), (penalized, IDS), (tied, IDS)):
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


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "int32"])
def test_ids_of_any_whole_dtype(dtype: str) -> None:
    found, rows = [], [[1, 2, 2], [3], [5, 1]]
    for ids in (rows, [np.asarray(row, dtype) for row in rows]):
        padless.utils.set_random_seed(0)
        model = plain("float32")
        model.compile(optimizers.Adam(lazy_embeddings=True), "mse")
        model.fit(ids, LABELS[:3], verbose=0, shuffle=False)
        found.append(model.get_weights())
    for one, other in zip(*found, strict=True):
        np.testing.assert_array_equal(one, other)
