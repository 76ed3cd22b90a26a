"""Every function of padless.ops: each row as if alone, symbols as data, files, Keras; on all backends."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Ragged, RowPartition, backends, ops
from padless.operation import TABLE
from padless.saving import deserialize, serialize
from tests.compiled import compiled, fits
from tests.ops.samples import APART, SAMPLES, Sample
from tests.oracle import using
from tests.tolerances import VALUES

LENGTHS = [3, 0, 5, 1]
EACH = [pytest.param(sample, id=sample.name) for sample in SAMPLES]


def host(x: Any) -> np.ndarray[Any, Any]:
    return np.asarray(backends.of(x).to_host(x))


def parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def values(sample: Sample, backend: str) -> list[Ragged]:
    rows = RowPartition.from_lengths(LENGTHS)
    made = []
    for at in range(len(sample.steps)):
        steps = np.concatenate([sample.draw(at, row, count) for row, count in enumerate(LENGTHS)])
        made.append(Ragged(backends.get(backend).asarray(steps), rows))
    return made


def alone(sample: Sample) -> list[list[np.ndarray[Any, Any] | None]]:
    """Each row alone, a dense NumPy array, in float64; None for the results per row of an empty one."""
    found: list[list[Any]] = []
    for row, count in enumerate(LENGTHS):
        dense = [sample.draw(at, row, count)[None] for at in range(len(sample.steps))]
        dense = [one.astype(np.float64) if one.dtype == np.float32 else one for one in dense]
        results = [None] * 2 if sample.ends and not count else [host(y)[0] for y in parts(sample.call(dense))]
        for at, y in enumerate(results):
            if at >= len(found):
                found.append([])
            found[at].append(y)
    return found


def assert_as_alone(sample: Sample, result: Any, rows: RowPartition | None) -> None:
    """Compare with each row alone; `rows` are those that are kept."""
    for got, truth in zip(parts(result), alone(sample), strict=False):
        assert isinstance(got, Ragged) != sample.ends
        if isinstance(got, Ragged):
            assert rows is None or got.rows is rows
            got = list(got)
        for mine, other in zip(got, truth, strict=True):
            expected = np.full(mine.shape, sample.empty) if other is None else other
            assert tuple(mine.shape) == expected.shape
            np.testing.assert_allclose(host(mine).astype(np.float64), expected.astype(np.float64), **VALUES)


def test_every_function_is_tried() -> None:
    tried = {sample.function for sample in SAMPLES}
    assert set(TABLE) == tried | set(APART)
    assert not tried & set(APART)
    for name in TABLE:
        assert hasattr(ops, name) or hasattr(padless, name)


@pytest.mark.parametrize("name", sorted(set(TABLE) - set(padless.row_ops.ROW_OPS)))
def test_every_function_says_what_it_does(name: str) -> None:
    assert getattr(ops, name).__doc__
    assert getattr(ops, name).__name__ == name


def test_the_page_names_every_function() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ops.md").read_text(encoding="utf-8")
    names = set(re.findall(r"\w+", page))
    public = {name for name, value in vars(ops).items() if callable(value) and not name.startswith("_")}
    assert not public - names - {"amax", "amin", "swish"}, "docs/ops.md lists all of them"


@pytest.mark.parametrize("eager", [name for name in ("numpy", "torch")])
@pytest.mark.parametrize("sample", EACH)
def test_each_row_as_alone(eager: str, sample: Sample) -> None:
    pytest.importorskip(eager)
    x = values(sample, eager)
    result = sample.call(x)
    for y in parts(result):
        assert backends.of(y.values if isinstance(y, Ragged) else y).name == eager
    assert_as_alone(sample, result, x[0].rows)


class Several(Layer):
    """Some functions at once, so that JAX compiles them together."""

    view = "ragged"
    merges = True

    def __init__(self, samples: list[Sample]) -> None:
        super().__init__()
        self.samples = samples

    def _prepared(self, x: Any) -> Any:
        return x

    def call(self, x: Any) -> Any:
        made, at = [], 0
        for sample in self.samples:
            count = len(sample.steps)
            made += parts(sample.call(x[at : at + count]))
            at += count
        return made


@pytest.mark.compiles
@pytest.mark.parametrize("kind", ["each", "reduction", "along", "shape", "product"])
def test_each_row_as_alone_compiled(kind: str) -> None:
    pytest.importorskip("jax")
    samples = [sample for sample in SAMPLES if TABLE[sample.function].kind == kind]
    rows = RowPartition.from_lengths(LENGTHS)
    inputs = [x.with_values(x.values) for sample in samples for x in values(sample, "jax")]
    inputs = [Ragged(x.values, rows) for x in inputs]
    with using("jax"):
        layer = Several(samples)

    def function(arrays: Any, numbers: Any, batch: Any, live: Any) -> Any:
        return {}, {}, layer.call(batch[0])

    results = list(compiled(function, layer)({}, (inputs, []), fits(rows.nrows, rows.nvals))[2])
    for sample in samples:
        count = len(parts(sample.call(values(sample, "numpy"))))
        assert_as_alone(sample, results[:count], None)
        results = results[count:]


def symbols(sample: Sample) -> list[Any]:
    kind = {"float": "float32", "int": "int32", "bool": "bool"}[sample.kind]
    first = Input((None, *sample.steps[0]), dtype=kind, ragged=True)
    return [first, *(Input((None, *shape), dtype=kind, like=first) for shape in sample.steps[1:])]


@pytest.mark.parametrize("eager", ["numpy", "torch"])
@pytest.mark.parametrize("sample", EACH)
def test_symbols_say_the_same_as_data(eager: str, sample: Sample) -> None:
    pytest.importorskip(eager)
    with using(eager):
        x = symbols(sample)
        made = sample.call(x)
        model = Model(x if len(x) > 1 else x[0], made)
        data = values(sample, eager)
        expected = parts(sample.call(data))
        written = json.loads(json.dumps(serialize(model)))
        for one in (model, deserialize(written)):
            got = parts(one(tuple(data) if len(data) > 1 else data[0]))
            assert len(got) == len(expected) == len(parts(made))
            for symbol, mine, truth in zip(parts(made), got, expected, strict=True):
                assert isinstance(mine, Ragged) == isinstance(truth, Ragged)
                assert isinstance(symbol.standin, Ragged) == isinstance(truth, Ragged)
                assert tuple(symbol.shape)[1:] == tuple(truth.shape)[1:]
                assert symbol.dtype == ops.dtype(truth) == ops.dtype(mine)
                a, b = (y.values if isinstance(y, Ragged) else y for y in (mine, truth))
                np.testing.assert_array_equal(host(a), host(b))


@pytest.mark.parametrize("sample", EACH)
def test_as_keras_on_arrays(sample: Sample) -> None:
    keras = pytest.importorskip("keras")
    torch = pytest.importorskip("torch")
    if sample.function.startswith("bitwise") and not hasattr(keras.ops, sample.function):
        pytest.skip("Keras has another name for it")
    if sample.function == "count_nonzero":
        pytest.skip("Keras transposes the result on torch")
    dense = [np.stack([sample.draw(at, row, 5) for row in range(3)]) for at in range(len(sample.steps))]
    mine = parts(sample.call([torch.from_numpy(x) for x in dense]))
    theirs = parts(sample.call([keras.ops.convert_to_tensor(x) for x in dense], keras.ops))
    assert len(mine) == len(theirs)
    for a, b in zip(mine, theirs, strict=True):
        assert tuple(a.shape) == tuple(b.shape)
        np.testing.assert_allclose(host(a).astype(np.float64), host(b.detach()).astype(np.float64), **VALUES)
        if a.dtype != b.dtype:
            # Whole numbers of 32 and 64 bits are one kind here.
            assert {str(a.dtype), str(b.dtype)} <= {"torch.int32", "torch.int64"}, (a.dtype, b.dtype)
