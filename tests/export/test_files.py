"""Files of exported models: names, kinds, what cannot be exported, and that nothing is left where that happens."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Ragged, Sequential, layers
from padless.errors import ArgumentError, BackendError, DataError, ExportError, NotBuiltError, NotThereYetError
from tests.export.running import Session

pytestmark = pytest.mark.usefixtures("on_torch")


def small() -> Model:
    return Sequential([Input((None, 2)), layers.GRU(3, return_sequences=True)])


class Counts(Layer):
    """Looks at a length on the host, as no layer should."""

    view = "ragged"

    def call(self, x: Ragged) -> Any:
        return x.values[: int(x.rows.row_lengths[0])]


class Sorts(Layer):
    """Does what ONNX has no operation for."""

    view = "steps"

    def call(self, x: Any) -> Any:
        import torch

        return torch.special.bessel_j0(x)


def test_names_and_axes(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    small().export(tmp_path / "packed.onnx")
    small().export(tmp_path / "padded.onnx", layout="padded")
    said = {}
    for layout in ("packed", "padded"):
        graph = onnx.load(tmp_path / f"{layout}.onnx").graph
        onnx.checker.check_model(str(tmp_path / f"{layout}.onnx"))
        said[layout] = {
            one.name: [axis.dim_param or axis.dim_value for axis in one.type.tensor_type.shape.dim]
            for one in [*graph.input, *graph.output]
        }
    assert said["packed"]["values"] == ["input_steps", 2]
    assert said["packed"]["row_splits"] == ["rows_and_one"]
    assert said["packed"]["output_values"][1] == 3
    assert said["padded"]["input"] == ["rows", "input_length", 2]
    assert said["padded"]["mask"] == ["rows", "input_length"]
    assert list(said["padded"])[2:] == ["output", "output_mask"]


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    query, value, context = Input((None, 4), name="query"), Input((None, 3), name="value"), Input((2,), name="context")
    attended = layers.MultiHeadAttention(2, 3)(query, value)
    pooled = layers.Concatenate()([layers.GlobalMaxPooling1D()(attended), context])
    model = Model([query, value, context], {"tags": layers.Dense(2)(attended), "class": layers.Dense(3)(pooled)})
    model.export(tmp_path / "model.onnx")
    run = Session(tmp_path / "model.onnx")
    assert run.inputs == ["query", "query_row_splits", "value", "value_row_splits", "context"]
    numbers = np.random.default_rng(0)
    queries = Ragged.from_lengths(numbers.normal(size=(6, 4)).astype(np.float32), [4, 0, 2])
    values = Ragged.from_lengths(numbers.normal(size=(9, 3)).astype(np.float32), [1, 3, 5])
    vector = numbers.normal(size=(3, 2)).astype(np.float32)
    y = model.predict_on_batch([queries, values, vector])
    given = {"query": queries.values, "query_row_splits": queries.rows.row_splits}
    given |= {"value": values.values, "value_row_splits": values.rows.row_splits, "context": vector}
    found = run(given)
    assert list(found) == ["tags_values", "tags_row_splits", "class"]
    np.testing.assert_allclose(found["tags_values"], y["tags"].values, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["class"], y["class"], rtol=1e-5, atol=1e-5)


def test_rows_of_different_inputs_are_not_taken_for_the_same(tmp_path: Path) -> None:
    one, other = Input((None, 2), name="one"), Input((None, 2), name="other")
    model = Model([one, other], layers.Add()([one, other]))
    with pytest.raises(DataError, match="those of input 'one', the second those of input 'other'"):
        model.export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())
    alike = Input((None, 2), name="alike", like=one)
    Model([one, alike], layers.Add()([one, alike])).export(tmp_path / "model.onnx")
    assert Session(tmp_path / "model.onnx").inputs == ["one", "one_row_splits", "alike"]


@pytest.mark.parametrize("layer", [Counts, Sorts])
def test_what_cannot_be_exported_is_named_and_leaves_no_file(layer: Any, tmp_path: Path) -> None:
    before = tmp_path / "model.onnx"
    before.write_bytes(b"as it was")
    odd = layer(name="odd_one")
    model = Sequential([Input((None, 2)), layers.Dense(2), odd])
    with pytest.raises((ExportError, BackendError), match="odd_one") as caught:
        model.export(before)
    assert "Fix:" in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
    assert before.read_bytes() == b"as it was"


def test_texts(tmp_path: Path) -> None:
    words = layers.TextVectorization(vocabulary=["a", "b"])
    model = Sequential([Input((), dtype="string"), words, layers.Embedding(9, 2), layers.GRU(2)])
    with pytest.raises(NotThereYetError, match="behind TextVectorization"):
        model.export(tmp_path / "model.onnx")


def test_arguments(tmp_path: Path) -> None:
    model = small()
    with pytest.raises(ArgumentError, match="format='onnx'"):
        model.export(tmp_path / "model")
    with pytest.raises(ArgumentError, match="'packed' or 'padded'"):
        model.export(tmp_path / "model.onnx", layout="ragged")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="onnx"):
        model.export(tmp_path / "model", format="onxx")
    with pytest.raises(NotThereYetError, match="a format of Keras's"):
        model.export(tmp_path / "model", format="tf_saved_model")
    with pytest.raises(NotThereYetError, match="Input\\(shape, dtype="):
        model.export(tmp_path / "model.onnx", input_signature=[object()])
    with pytest.raises(NotBuiltError, match="never saw data"):
        Sequential([layers.Dense(2)]).export(tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_missing_packages_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, find = small(), importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "onnx" else find(name, *rest))
    with pytest.raises(BackendError, match="pip install onnx"):
        model.export(tmp_path / "model.onnx")


def test_what_it_says(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    both = layers.Bidirectional(layers.LSTM(3, return_sequences=True))
    Sequential([Input((None, 2)), both, layers.GlobalMaxPooling1D()]).export(tmp_path / "model.onnx")
    heard = capfd.readouterr()
    assert heard.out == ""
    assert heard.err == ""
    small().export(tmp_path / "model.pt2", verbose=True)
    assert "(values, row_splits) -> (output_values, output_row_splits)" in capfd.readouterr().out


def test_a_model_is_as_before(tmp_path: Path) -> None:
    model = Sequential([Input((None, 2)), layers.LSTM(3, stateful=True), layers.Dropout(0.5), layers.Dense(2)])
    x = np.ones((2, 3, 2), np.float32)
    first = model.predict(x, verbose=0)
    model.reset_state()
    arrays = {path: layer.__dict__[name] for path, (layer, name) in model.weight_slots().items()}
    model.export(tmp_path / "model.pt2")
    assert all(layer.__dict__[name] is arrays[path] for path, (layer, name) in model.weight_slots().items())
    np.testing.assert_array_equal(model.predict(x, verbose=0), first)


def test_importing_padless_imports_no_exporter() -> None:
    code = (
        "import sys, padless, padless.export; print([n for n in sys.modules if n in ('torch', 'onnx', 'onnxscript')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_ids_are_ids(tmp_path: Path) -> None:
    """An Input without a dtype is one of floats, in Keras too, but what reads it may read ids."""
    inner = Sequential([layers.Embedding(9, 2), layers.GRU(2)])
    model = Sequential([Input((None,)), inner])
    model.export(tmp_path / "model.onnx")
    x = padless.Ragged.from_list([[1, 2], [3]])
    found = Session(tmp_path / "model.onnx")({"values": x.values, "row_splits": x.rows.row_splits})
    np.testing.assert_allclose(found["output"], model.predict(x, verbose=0), rtol=1e-5, atol=1e-5)
