"""`.weights.h5`: Keras reads what padless wrote and the other way round, for every layer that both have."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import padless
from padless import Input, Model, Sequential, layers
from padless.errors import ArgumentError, DataError, NotThereYetError, ShapeError
from tests.cases import CASES, Case
from tests.saving.keras_twins import called, inputs, known, twin
from tests.tolerances import TRAINING, VALUES

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*copy keyword:DeprecationWarning"),
]

NOT_CALLED = {
    "LayerNormalization-time": "Keras on torch fails on it",
    "RMSNormalization-time": "Keras on torch fails on it",
    "DepthwiseConv1D-causal, dilation": "not in Keras",
    "TimeDistributed-GRU": "Keras wants one output of the inner layer",
}
BOTH = [case for case in CASES if case.name not in NOT_CALLED and known(case.make("float32"))]


@pytest.fixture(autouse=True)
def _torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


def filled(layer: Any, seed: int) -> list[Any]:
    """Give a layer other weights, all different; gives them."""
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(size=w.shape).astype(w.dtype) for w in layer.get_weights()])
    return [np.array(w) for w in layer.get_weights()]


def same(mine: list[Any], theirs: list[Any]) -> None:
    assert [w.shape for w in mine] == [w.shape for w in theirs]
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_array_equal(one, other)


def pair(case: Case) -> tuple[Any, Any]:
    """A model of ours and one of Keras around the layer of a case, built."""
    ours, xs = case.make("float32"), inputs(case)
    called(ours, case, xs)
    if not ours.get_weights():
        return ours, None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = twin(ours)
        called(theirs, case, xs)
    if not isinstance(ours, Model):
        ours, theirs = Sequential([ours]), keras.Sequential([theirs])
        ours.built = theirs.built = True
    return ours, theirs


@pytest.mark.parametrize("case", BOTH, ids=lambda case: case.name)
def test_every_layer_goes_both_ways(case: Case, tmp_path: Path) -> None:
    ours, theirs = pair(case)
    if theirs is None:  # there is nothing in the file of a layer without weights
        return
    path = tmp_path / "w.weights.h5"
    wanted = filled(ours, 1)
    ours.save_weights(path)
    theirs.load_weights(path)
    same(theirs.get_weights(), wanted)
    wanted = filled(theirs, 2)
    theirs.save_weights(path)
    ours.load_weights(path)
    same(ours.get_weights(), wanted)


# ---- whole models


def tagger(k: Any) -> Any:
    """Two branches of unequal depth with layers of one class, a shared layer, a nested model."""
    ids = k.Input((None,), dtype="int32", name="ids")
    marks = k.Input((None, 3), name="marks")
    shared = k.layers.Dense(4, name="shared")
    nested = k.Sequential([k.layers.Dense(4, activation="tanh"), k.layers.LayerNormalization()], name="nested")
    a = shared(k.layers.Embedding(10, 4)(ids))
    b = k.layers.Dense(4)(k.layers.Dense(5)(marks))
    both = k.layers.Add()([shared(b), a])
    x = k.layers.Bidirectional(k.layers.GRU(3, return_sequences=True))(nested(both))
    return k.Model([ids, marks], [k.layers.Dense(2)(x), k.layers.Dense(3)(k.layers.LSTM(2)(both))])


def siamese(k: Any) -> Any:
    """The same layers of a class in another order than that of their making."""
    x, y = k.Input((None, 4)), k.Input((None, 4))
    far = k.layers.Dense(4)
    near = k.layers.Dense(4)
    inner = k.layers.Dense(4)
    u = near(y)
    v = inner(far(x))
    return k.Model([x, y], k.layers.Concatenate()([k.layers.Dense(4)(u), k.layers.Dense(4)(v), near(x)]))


def masked(k: Any) -> Any:
    """Masks that Keras keeps as steps of the graph."""
    x, ids = k.Input((None, 4)), k.Input((None,), dtype="int32")
    a = k.layers.LSTM(3, return_sequences=True)(k.layers.Masking()(k.layers.Dense(4)(x)))
    b = k.layers.LSTM(3, return_sequences=True)(k.layers.Embedding(10, 4, mask_zero=True)(ids))
    return k.Model([x, ids], k.layers.Dense(1)(k.layers.LSTM(3)(k.layers.Dense(4)(k.layers.Add()([a, b])))))


def subclassed(k: Any) -> Any:
    """Attributes before and after "layers" in the alphabet, in lists, dicts and lists of lists."""

    class Block(k.layers.Layer):
        if k is padless:
            view = "steps"

        def __init__(self, units: int) -> None:
            super().__init__()
            self.inner = [k.layers.Dense(units), k.layers.Dense(units)]
            self._norm = k.layers.LayerNormalization()

        def build(self, shape: Any) -> None:
            if k is not padless:
                self.inner[0].build(tuple(shape))
                self.inner[1].build((*tuple(shape)[:-1], self.inner[0].units))
                self._norm.build((*tuple(shape)[:-1], self.inner[0].units))

        def call(self, x: Any) -> Any:
            for layer in self.inner:
                x = layer(x)
            return self._norm(x)

    class Mine(k.Model):
        def __init__(self) -> None:
            super().__init__()
            self._first = k.layers.Dense(4)
            self.output_layer = k.layers.Dense(2)
            self.blocks = [Block(4), Block(4)]
            self.zoo = {"b": k.layers.Dense(3), "a": k.layers.Dense(4)}
            self.dense = k.layers.Dense(4)
            self.pairs = [[k.layers.Dense(4)], [k.layers.Dense(4)]]
            self.model = k.Sequential([k.layers.Dense(4)])

        def call(self, x: Any) -> Any:
            x = self.dense(self._first(x))
            for block in self.blocks:
                x = block(x)
            for (layer,) in self.pairs:
                x = layer(x)
            return self.output_layer(self.zoo["b"](self.zoo["a"](self.model(x))))

    made = Mine()
    made(np.ones((2, 5, 4), np.float32))
    return made


MODELS = [tagger, siamese, masked, subclassed]


@pytest.mark.parametrize("make", MODELS)
def test_whole_models_go_both_ways(make: Any, tmp_path: Path) -> None:
    ours, theirs = make(padless), make(keras)
    path = tmp_path / "w.weights.h5"
    wanted = filled(ours, 1)
    ours.save_weights(path)
    theirs.load_weights(path)
    same(theirs.get_weights(), wanted)
    wanted = filled(theirs, 2)
    theirs.save_weights(path)
    ours.load_weights(path)
    same(ours.get_weights(), wanted)
    assert [p.name for p in tmp_path.iterdir()] == ["w.weights.h5"]


def test_what_a_layer_learned_goes_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    x = np.random.default_rng(3).normal(3.0, 2.0, (8, 5, 4)).astype(np.float32)
    made = []
    for k in (padless, keras):
        norm = k.layers.Normalization()
        norm.adapt(x)
        made.append(k.Sequential([k.Input((None, 4)), norm, k.layers.Dense(2)]))
        other = k.layers.Normalization()
        other.adapt(x[:2] + 1)
        made.append(k.Sequential([k.Input((None, 4)), other, k.layers.Dense(2)]))
    ours, our_other, theirs, their_other = made
    for file, model in ((ours, their_other), (theirs, our_other), (ours, our_other)):
        file.save_weights(path)
        model.load_weights(path)
        np.testing.assert_allclose(model.predict(x, verbose=0), file.predict(x, verbose=0), **VALUES)
    narrow = padless.layers.Normalization()
    narrow.adapt(x[..., :1])
    small = padless.Sequential([padless.Input((None, 1)), narrow])
    with pytest.raises(ShapeError):
        small.load_weights(path)
    np.testing.assert_allclose(narrow.mean, x[..., :1].mean(axis=(0, 1)), **VALUES)


# ---- the optimizer

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("RMSprop", {"momentum": 0.5, "centered": True}),
    ("Adam", {}),
    ("Adam", {"amsgrad": True}),
    ("AdamW", {"use_ema": True}),
    ("Adadelta", {"learning_rate": 1.0}),
    ("Adafactor", {}),
    ("Adagrad", {}),
    ("Adamax", {}),
    ("Ftrl", {}),
    ("Lamb", {}),
    ("Lion", {}),
    ("Muon", {}),
    ("Nadam", {}),
    ("Adam", {"gradient_accumulation_steps": 2}),
]


def learner(k: Any, name: str, arguments: dict[str, Any]) -> Any:
    made = k.Sequential([k.Input((None, 3)), k.layers.LSTM(4), k.layers.Dense(1)])
    made.compile(optimizer=getattr(k.optimizers, name)(**{"learning_rate": 0.01, **arguments}), loss="mse")
    return made


def trained(model: Any, first: int) -> None:
    """Four steps of three rows, without padding, in order."""
    rng = np.random.default_rng(first)
    x, y = rng.normal(size=(12, 5, 3)).astype(np.float32), rng.normal(size=(12, 1)).astype(np.float32)
    model.fit(x, y, batch_size=3, shuffle=False, verbose=0)


@pytest.mark.parametrize(("name", "arguments"), OPTIMIZERS, ids=lambda value: str(value))
def test_training_goes_on_as_if_it_had_never_stopped(name: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    for first, second in ((padless, keras), (keras, padless)):
        one, other = learner(first, name, arguments), learner(second, name, arguments)
        trained(one, 1)
        trained(other, 2)  # so that it has a state of its own
        one.save_weights(path)
        other.load_weights(path)
        assert int(np.asarray(other.optimizer.iterations)) == int(np.asarray(one.optimizer.iterations))
        trained(one, 3)
        trained(other, 3)
        for mine, wanted in zip(other.get_weights(), one.get_weights(), strict=True):
            np.testing.assert_allclose(mine, wanted, **TRAINING)


def test_a_model_that_was_compiled_anew_begins_anew(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    one = learner(padless, "Adam", {})
    trained(one, 1)
    one.save_weights(path)
    other = learner(padless, "Adam", {"learning_rate": 1e-5})
    other.load_weights(path)
    assert other.optimizer.iterations == 0
    assert other.optimizer.learning_rate == 1e-5
    same(other.get_weights(), one.get_weights())


def test_another_optimizer_is_left_alone_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    one, other = learner(keras, "Adam", {}), learner(padless, "SGD", {"momentum": 0.9})
    trained(one, 1)
    trained(other, 2)
    one.save_weights(path)
    with pytest.warns(padless.optimizers.LostOptimizerWarning, match="it begins anew"):
        other.load_weights(path)
    assert other.optimizer.iterations == 4
    same(other.get_weights(), one.get_weights())


# ---- ways to load


def stack(k: Any, *sizes: int) -> Any:
    return k.Sequential([k.Input((None, 3)), *(k.layers.Dense(size) for size in sizes)])


def test_what_differs_is_told_layer_by_layer_and_nothing_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "w.weights.h5"
    stack(keras, 4, 5, 6).save_weights(path)
    ours = stack(padless, 4, 7)
    before = ours.get_weights()
    with pytest.raises(ShapeError) as told:
        ours.load_weights(path)
    text = str(told.value)
    first, second = (layer.name for layer in ours.layers)
    assert f"file {path}: expected the weights of {ours.name!r}" in text
    assert f"layer {second!r} (layers/dense_1): expected kernel (4, 7), bias (7,), got (4, 5), (5,)" in text
    assert "layers/dense_2: (5, 6), (6,), of which the model has none" in text
    assert first not in text.replace(second, "")
    same(ours.get_weights(), before)


@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors"])
def test_layers_that_differ_may_be_left_alone(name: str, tmp_path: Path) -> None:
    file = stack(padless, 4, 5, 6)
    wanted = filled(file, 1)
    file.save_weights(tmp_path / name)
    ours = stack(padless, 4, 7, 6)
    before = ours.get_weights()
    with pytest.warns(UserWarning, match="expected"):
        ours.load_weights(tmp_path / name, skip_mismatch=True)
    biases = wanted[5:] if name.endswith(".safetensors") else before[5:]  # there each array is for itself
    same(ours.get_weights(), [*wanted[:2], *before[2:5], *biases])
    ours = stack(padless, 4, 5, 6)
    before = ours.get_weights()
    ours.load_weights(tmp_path / name, objects_to_skip=[ours.layers[1]])
    same(ours.get_weights(), [*wanted[:2], *before[2:4], *wanted[4:]])


def test_several_files_with_an_index(tmp_path: Path) -> None:
    theirs, ours = stack(keras, 40, 50, 60), stack(padless, 40, 50, 60)
    wanted = filled(theirs, 1)
    theirs.save_weights(tmp_path / "w.weights.json", max_shard_size=14_000 / 2**30)
    assert len(list(tmp_path.glob("w_*.weights.h5"))) > 1
    ours.load_weights(tmp_path / "w.weights.json")
    same(ours.get_weights(), wanted)
    with pytest.raises(NotThereYetError, match="one file of weights"):
        ours.save_weights(tmp_path / "w.weights.json")
    index = json.loads((tmp_path / "w.weights.json").read_text())
    for wrong in ("../w_00000.weights.h5", "/etc/passwd", "passwd", 3):
        index["weight_map"]["/layers/dense/vars"] = wrong
        (tmp_path / "bad.weights.json").write_text(json.dumps(index))
        with pytest.raises(DataError, match="beside it"):
            ours.load_weights(tmp_path / "bad.weights.json")


def test_the_paths_of_keras_2_13(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    theirs, ours = stack(keras, 4, 5), stack(padless, 4, 5)
    wanted = filled(theirs, 1)
    theirs.save_weights(tmp_path / "w.weights.h5")
    with h5py.File(tmp_path / "w.weights.h5", "a") as file:
        file.move("layers", "_layer_checkpoint_dependencies")
    ours.load_weights(tmp_path / "w.weights.h5")
    same(ours.get_weights(), wanted)


def test_weights_out_of_a_whole_model_and_of_a_folder(tmp_path: Path) -> None:
    theirs, ours = stack(keras, 4, 5), stack(padless, 4, 5)
    wanted = filled(theirs, 1)
    theirs.save(tmp_path / "m.keras")
    theirs.save(tmp_path / "folder", zipped=False)
    for name in ("m.keras", "folder"):
        filled(ours, 2)
        ours.load_weights(tmp_path / name)
        same(ours.get_weights(), wanted)


def test_files_are_not_replaced_where_they_must_not_be(tmp_path: Path) -> None:
    ours = stack(padless, 4)
    ours.save_weights(tmp_path / "w.weights.h5")
    before = (tmp_path / "w.weights.h5").read_bytes()
    with pytest.raises(ArgumentError, match="which is there"):
        ours.save_weights(tmp_path / "w.weights.h5", overwrite=False)
    ours.save_weights(tmp_path / "w.weights.h5")
    assert (tmp_path / "w.weights.h5").read_bytes() == before, "the same weights give the same file"


# ---- kinds of numbers


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("name", ["w.weights.h5", "w.safetensors"])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_every_dtype_comes_back(dtype: str, name: str, tmp_path: Path) -> None:
    if dtype == "bfloat16" and padless.backend() == "numpy":
        return  # NumPy has none
    made = [Sequential([Input((3,)), layers.Dense(4, dtype=dtype)]) for _ in range(2)]
    wanted = made[0].get_weights()
    made[0].save_weights(tmp_path / name)
    made[1].load_weights(tmp_path / name)
    same(made[1].get_weights(), wanted)
    assert made[1].backend.dtype_name(made[1].weights[0]) == dtype


def test_bfloat16_is_that_of_keras_and_of_safetensors(tmp_path: Path) -> None:
    ours = Sequential([Input((3,)), layers.Dense(4, dtype="bfloat16")])
    theirs = keras.Sequential([keras.Input((3,)), keras.layers.Dense(4, dtype="bfloat16")])
    ours.save_weights(tmp_path / "w.weights.h5")
    theirs.load_weights(tmp_path / "w.weights.h5")
    same(ours.get_weights(), [np.asarray(w, np.float32) for w in theirs.get_weights()])
    again = Sequential([Input((3,)), layers.Dense(4, dtype="bfloat16")])
    theirs.save_weights(tmp_path / "w.weights.h5")
    again.load_weights(tmp_path / "w.weights.h5")
    same(again.get_weights(), ours.get_weights())
    ours.save_weights(tmp_path / "w.safetensors")
    with pytest.importorskip("safetensors").safe_open(tmp_path / "w.safetensors", "pt") as file:
        read = file.get_tensor("layers/0/kernel")
    assert str(read.dtype) == "torch.bfloat16"
    np.testing.assert_array_equal(read.float().numpy(), ours.get_weights()[0])
