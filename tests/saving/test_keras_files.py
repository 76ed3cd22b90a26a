"""`.keras` files: Keras opens what padless saved and the other way round, with the same predictions."""

from __future__ import annotations

import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import padless
from padless import Input, Layer, Model, Sequential, graph, layers, ops
from padless.errors import ArgumentError, DataError, MaskError, NotThereYetError
from padless.saving import read_archive, write_archive
from padless.saving.keras import names
from tests.cases import CASES, Case
from tests.ops.samples import SAMPLES
from tests.saving.keras_twins import inputs, known
from tests.tolerances import HALVES, TRAINING, VALUES

pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*copy keyword:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:.*does not support masking:UserWarning"),
    pytest.mark.filterwarnings("ignore:.*The structure of `inputs`:UserWarning"),
    pytest.mark.filterwarnings("ignore:You passed `rms_scaling=True`:UserWarning"),
]

NOT_RUN_BY_KERAS = {
    "AdaptiveMaxPooling1D": "(B, T, D) alone",
    "AveragePooling1D-same": "averages copies of the edge, on torch",
    "Embedding-mask_zero": "what is masked is not 0 there",
    "GlobalMaxPooling1D-keepdims": "(B, T, D) alone",
    "GroupedQueryAttention": "query and value of one width",
    "LayerNormalization-time": "fails on torch",
    "MaxPooling1D-same, stride 1": "(B, T, D) alone",
    "RMSNormalization-time": "fails on torch",
    "SpectralNormalization-Embedding": "what comes out is as whole as the ids",
    "TimeDistributed-GRU": "one output of the inner layer",
}
"""Cases of which Keras opens the file, or would, but cannot run the layer, or runs it wrongly; and why."""


@pytest.fixture(autouse=True)
def _torch() -> Any:
    before = padless.backend()
    padless.set_backend("torch")
    yield
    padless.set_backend(before)


# ---- every layer


def around(case: Case) -> tuple[Model, list[Any]]:
    """A functional model around the layer of a case, and arrays for it; with rows where the layer reads them."""
    try:
        return _around(case, None), _arrays(case)
    except MaskError:
        return _around(case, 12), _arrays(case)


def _arrays(case: Case) -> list[Any]:
    rng = np.random.default_rng(2)
    return inputs(case) + [rng.normal(size=(2, width)).astype(np.float32) for width in case.states]


def _around(case: Case, steps: int | None) -> Model:
    layer = case.make("float32")
    dtype = "int32" if case.reads == "ids" else "float32"
    given = [Input((steps, *features), dtype=dtype, name=f"x{at}") for at, features in enumerate(case.inputs)]
    states = [Input((width,), name=f"state{at}") for at, width in enumerate(case.states)]
    if isinstance(layer, layers.MultiHeadAttention | layers.GroupedQueryAttention):
        query, value, *key = given if len(given) > 1 else given * 2
        y = layer(query, value, *key)
    elif states:
        y = layer(given[0], initial_state=states)
    else:
        y = layer(given if layer.merges else given[0])
    ends = graph.symbols_in(y)
    return Model([*given, *states], ends if len(ends) > 1 else ends[0])


def filled(model: Any) -> Any:
    """The model, with other weights; above 0, as variances are."""
    rng = np.random.default_rng(3)
    model.set_weights([np.abs(rng.normal(size=w.shape, scale=0.4)).astype(w.dtype) for w in model.get_weights()])
    return model


def flat(y: Any) -> list[Any]:
    if isinstance(y, dict):
        y = list(y.values())
    return [array for part in y for array in flat(part)] if isinstance(y, list | tuple) else [np.asarray(y)]


def predicted(model: Any, xs: Any) -> list[Any]:
    if isinstance(xs, list) and len(xs) == 1:
        xs = xs[0]
    if isinstance(xs, list) and isinstance(model, padless.Model):
        xs = tuple(xs)
    return flat(model.predict(xs, verbose=0))


def near(got: list[Any], wanted: list[Any]) -> None:
    for one, other in zip(got, wanted, strict=True):
        np.testing.assert_allclose(one, other, **VALUES)


def own_alone(layer: Model) -> list[Layer]:
    """The layers that Keras does not have."""
    return [one for one in layer.layers if type(one).__name__ in names.OURS_ALONE]


def called(case: Case) -> bool:
    return not case.name.endswith(("-nothing said", "-alone", "-channels_first"))


@pytest.mark.parametrize("case", [case for case in CASES if called(case)], ids=lambda case: case.name)
def test_every_layer_goes_both_ways(case: Case, tmp_path: Path) -> None:
    model, xs = around(case)
    filled(model)
    path = tmp_path / "ours.keras"
    refused = own_alone(model) or case.name in ("Lambda-ragged", "DepthwiseConv1D-causal, dilation")
    if refused:
        name = type(model.layers[0]).__name__
        with pytest.raises(NotThereYetError, match=rf"(?s){name}.*safetensors"):
            model.save(path)
        assert not path.exists()
        return
    model.save(path)
    again = padless.load_model(path)
    if case.name == "SpectralNormalization-Embedding":
        return
    wanted = predicted(model, xs)
    for one, other in zip(predicted(again, xs), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    if not known(case.make("float32")) or case.name in NOT_RUN_BY_KERAS or case.name.startswith("Lambda"):
        return
    theirs = keras.saving.load_model(path)
    near(predicted(theirs, xs), wanted)
    theirs.save(tmp_path / "theirs.keras")
    near(predicted(padless.load_model(tmp_path / "theirs.keras"), xs), wanted)


# ---- functions in graphs


OF_KERAS = [sample for sample in SAMPLES if sample.name not in ("softmax(axis=(1, 2))", "count_nonzero(axis=1)")]
"""Keras gives the numbers of one in another shape, and cannot open its own file of the other."""


@pytest.mark.parametrize("sample", OF_KERAS, ids=lambda sample: sample.name)
def test_every_function_goes_both_ways(sample: Any, tmp_path: Path) -> None:
    dtype = {"float": "float32", "int": "int32", "bool": "bool"}[sample.kind]
    given = [Input((3, *shape), dtype=dtype, name=f"x{at}") for at, shape in enumerate(sample.steps)]
    ends = graph.symbols_in(sample.call(given))
    model = Model(given, ends if len(ends) > 1 else ends[0])
    xs = [np.stack([sample.draw(at, row, 3) for row in range(2)]) for at in range(len(given))]
    model.save(tmp_path / "ours.keras")
    wanted = predicted(model, xs)
    theirs = keras.saving.load_model(tmp_path / "ours.keras")
    near(predicted(theirs, xs), wanted)
    theirs.save(tmp_path / "theirs.keras")
    near(predicted(padless.load_model(tmp_path / "theirs.keras"), xs), wanted)


# ---- whole models


def towers(k: Any, seed: int) -> Any:
    """A graph drawn by chance: two families of masked sequences, shared layers, branches of unequal depth."""
    rng = np.random.default_rng(seed)
    find, width = k.layers, 3
    ids, xs = k.Input((None,), dtype="int32", name="ids"), k.Input((None, width), name="xs")
    features = find.Dense(width)(xs) if rng.random() < 0.5 else xs
    families = [[find.Embedding(9, width, mask_zero=True)(ids)], [find.Masking()(features)]]
    shared, shared_lstm = find.Dense(width), find.LSTM(width, return_sequences=True)
    kinds = [
        lambda x, _: find.Dense(width)(x),
        lambda x, _: find.LSTM(width, return_sequences=True)(x),
        lambda x, y: find.Add()([x, y]),
        lambda x, y: find.Dense(width)(find.Concatenate()([x, y])),
        lambda x, _: shared(x),
        lambda x, _: shared_lstm(x),
        lambda x, _: find.Bidirectional(find.GRU(width, return_sequences=True), merge_mode="sum")(x),
        lambda x, _: find.LayerNormalization()(x),
        lambda x, _: find.TimeDistributed(find.Dense(width))(x),
    ]
    for _ in range(rng.integers(2, 8)):
        family = families[rng.integers(2)]
        x, y = (family[rng.integers(len(family))] for _ in range(2))
        family.append(kinds[rng.integers(len(kinds))](x, y))
    one, other = families
    ends = [find.GRU(2)(one[-1]), find.GRU(2)(other[-1])]
    ends += [find.GlobalAveragePooling1D()(one[rng.integers(len(one))]), find.LSTM(2)(other[rng.integers(len(other))])]
    return k.Model([ids, xs], {"a": find.Dense(2)(find.Concatenate()(ends)), "b": find.Dense(2)(ends[0])})


@pytest.mark.parametrize("seed", [*range(10), 102, 103])
@pytest.mark.parametrize("first", ["keras", "padless"])
def test_graphs_with_masks_go_both_ways(first: str, seed: int, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ids, xs = rng.integers(1, 9, (4, 6)).astype(np.int32), rng.normal(size=(4, 6, 3)).astype(np.float32)
    for row, length in enumerate((6, 3, 5, 1)):
        ids[row, length:], xs[row, length:] = 0, 0
    one, other = (keras, padless) if first == "keras" else (padless, keras)
    model = filled(towers(one, seed))
    wanted = predicted(model, [ids, xs])
    for k in (other, one):
        model.save(tmp_path / "m.keras")
        model = k.saving.load_model(tmp_path / "m.keras") if k is keras else k.load_model(tmp_path / "m.keras")
        near(predicted(model, [ids, xs]), wanted)


def nested(k: Any) -> Any:
    """Models in models, one of them called twice, operators, a slice, states handed over, several outputs."""
    x = k.Input((None, 3), name="x")
    step = k.Input((None, 3))
    inner = k.Model(step, k.layers.Dense(3, activation="tanh")(step), name="inner")
    head = k.Sequential([k.layers.Dense(4, activation=k.activations.relu, kernel_regularizer="l2")], name="head")
    y = inner(inner(x)) * 2.0 + x
    whole, h, c = k.layers.LSTM(3, return_sequences=True, return_state=True)(y)
    last = k.layers.LSTM(3)(whole, initial_state=[h, c])
    attended = k.layers.MultiHeadAttention(2, 2)(whole, whole, use_causal_mask=True)
    return k.Model(x, [head(last), head(k.ops.mean(whole, axis=1)), inner(attended), attended[:, -1, :]])


@pytest.mark.parametrize("first", ["keras", "padless"])
def test_nested_models_go_both_ways(first: str, tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype(np.float32)
    one, other = (keras, padless) if first == "keras" else (padless, keras)
    model = filled(nested(one))
    wanted = predicted(model, [x])
    for k in (other, one):
        model.save(tmp_path / "m.keras")
        model = k.saving.load_model(tmp_path / "m.keras") if k is keras else k.load_model(tmp_path / "m.keras")
        near(predicted(model, [x]), wanted)


def test_keras_gets_masks_where_it_would_lose_them() -> None:
    ids = Input((None,), dtype="int32")
    model = Model(ids, layers.LSTM(3)(layers.Embedding(9, 4, mask_zero=True)(ids) * 2.0))
    short, long = np.array([[3, 4, 0]]), np.array([[3, 4, 0, 0, 0, 0]])
    theirs = model.to_keras()
    near(predicted(theirs, [long]), predicted(model, [short]))


# ---- training goes on


def decay(k: Any) -> Any:
    return k.optimizers.schedules.ExponentialDecay if k is keras else k.schedules.ExponentialDecay


COMPILED: list[dict[str, Any]] = [
    {"optimizer": "adam", "loss": "mse", "metrics": ["mae"]},
    {"optimizer": lambda k: k.optimizers.SGD(0.1, momentum=0.9, nesterov=True), "loss": "mse", "metrics": None},
    {
        "optimizer": lambda k: k.optimizers.RMSprop(decay(k)(0.01, 2, 0.5), clipnorm=1.0),
        "loss": lambda k: k.losses.LogCosh(),
        "metrics": lambda k: [k.metrics.RootMeanSquaredError(name="off")],
    },
]


@pytest.mark.parametrize("said", COMPILED, ids=["adam", "momentum", "schedule"])
@pytest.mark.parametrize("first", ["keras", "padless"])
def test_training_goes_on_where_it_was(first: str, said: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(8, 5, 3)).astype(np.float32), rng.normal(size=(8, 1)).astype(np.float32)
    k = keras if first == "keras" else padless
    model = k.Sequential([k.layers.Input((None, 3)) if first == "keras" else Input((None, 3)), k.layers.GRU(4)])
    model.add(k.layers.Dense(1))
    filled(model)
    model.compile(**{key: value(k) if callable(value) else value for key, value in said.items()})
    fit = {"batch_size": 4, "shuffle": False, "verbose": 0}
    model.fit(x, y, epochs=2, **fit)
    other = padless.from_keras(model) if first == "keras" else model.to_keras()
    ours, theirs = (other, model) if first == "keras" else (model, other)
    mine, his = ours.fit(x, y, epochs=2, **fit).history, theirs.fit(x, y, epochs=2, **fit).history
    assert mine.keys() == his.keys()
    for key, values in his.items():
        np.testing.assert_allclose(mine[key], values, **TRAINING)


def test_what_the_files_of_keras_lose_is_said() -> None:
    theirs = keras.Sequential([keras.Input((None, 3)), keras.layers.LSTM(2)])
    theirs.compile("adam", keras.losses.Huber(0.7))
    with pytest.raises(ArgumentError, match=r"Huber\(delta=0\.7\)"):
        padless.from_keras(theirs)
    ours = padless.from_keras(theirs, compile=False)
    ours.compile("adam", padless.losses.Huber(0.7))
    assert ours.to_keras().loss.get_config().keys() == keras.losses.Huber(0.7).get_config().keys()


# ---- real models


def test_a_classifier_of_japanese_vowels_goes_both_ways(tmp_path: Path) -> None:
    rows, speakers = vowels()
    model = Sequential([Input((None, 12)), layers.Bidirectional(layers.LSTM(8)), layers.Dense(9, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(rows, speakers, epochs=1, verbose=0)
    model.save(tmp_path / "m.keras")
    theirs = keras.saving.load_model(tmp_path / "m.keras")
    alone = np.concatenate([theirs.predict(np.array(row)[None], verbose=0) for row in rows[:8]])
    np.testing.assert_allclose(alone, model.predict(rows[:8], verbose=0), **VALUES)
    theirs.save(tmp_path / "again.keras")
    again = padless.load_model(tmp_path / "again.keras")
    assert again.evaluate(rows, speakers, verbose=0) == pytest.approx(
        model.evaluate(rows, speakers, verbose=0), rel=1e-5
    )


def vowels() -> tuple[list[Any], Any]:
    """Some utterances, and who speaks."""
    path = Path(__file__).parents[1] / "data" / "JapaneseVowels" / "JapaneseVowels_TRAIN.ts"
    lines = path.read_text(encoding="utf-8").partition("@data")[2].split()[::9]
    rows = [np.array([part.split(",") for part in line.split(":")[:-1]], np.float32).T for line in lines]
    return rows, np.array([int(line.rpartition(":")[2]) - 1 for line in lines])


# ---- what a file may not do


def entry(model: Any, path: Path) -> dict[str, Any]:
    """The config in the file of a model."""
    model.save(path)
    with zipfile.ZipFile(path) as archive:
        config: dict[str, Any] = json.loads(archive.read("config.json"))
    return config


def rewritten(path: Path, config: Any) -> Path:
    """The same file with another config."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**files, "config.json": json.dumps(config).encode()}.items():
            archive.writestr(name, data)
    return path


def plain() -> Model:
    return Sequential([Input((None, 3)), layers.LSTM(2), layers.Dense(1)])


def test_keras_is_not_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "keras", None)
    model = plain()
    model.save(tmp_path / "m.keras")
    near(
        predicted(padless.load_model(tmp_path / "m.keras"), [np.ones((2, 4, 3))]),
        predicted(model, [np.ones((2, 4, 3))]),
    )
    for convert in (lambda: padless.from_keras(model), model.to_keras):
        with pytest.raises(ArgumentError, match="pip install keras"):
            convert()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"quantization_config": {"mode": "int8"}}, "quantization_config"),
        ({"lora_rank": 4}, "lora_rank"),
        ({"made_up": 1}, "made_up"),
        (
            {"dtype": {"module": "keras", "class_name": "DTypePolicy", "config": {"name": "mixed_int8"}}},
            "mixed_int8",
        ),
        ({"activation": {"class_name": "__lambda__", "config": {"value": "4wEA"}}}, "without code"),
        ({"activation": {"module": "os", "class_name": "function", "config": "system"}}, "'system'"),
        ({"kernel_initializer": {"module": "os", "class_name": "popen", "config": {}}}, "'popen'"),
        ({"kernel_initializer": {"module": "keras.layers", "class_name": "RandomCrop", "config": {}}}, "'RandomCrop'"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    config = entry(plain(), tmp_path / "m.keras")
    config["config"]["layers"][-1]["config"].update(change)
    with pytest.raises((ArgumentError, DataError), match=says):
        padless.load_model(rewritten(tmp_path / "m.keras", config))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16", "float64"])
def test_policies_go_both_ways(policy: str) -> None:
    theirs = keras.Sequential(
        [keras.Input((None, 3)), keras.layers.LSTM(4, dtype=policy), keras.layers.Dense(2, dtype=policy)]
    )
    ours = padless.from_keras(theirs)
    again = ours.to_keras()
    x = np.random.default_rng(0).normal(size=(2, 5, 3)).astype("float32")
    for one, other in zip(ours.layers[-2:], again.layers[-2:], strict=True):
        assert one.dtype_policy.name == other.dtype_policy.name == policy
    got, wanted = (np.asarray(predicted(one, [x])[0], np.float32) for one in (ours, theirs))
    np.testing.assert_allclose(got, wanted, **HALVES.get(policy.removeprefix("mixed_"), VALUES))


def test_what_changes_no_answer_is_left_out(tmp_path: Path) -> None:
    config = entry(plain(), tmp_path / "m.keras")
    config["config"]["layers"][1]["config"].update(implementation=2, time_major=False, unroll=True)
    padless.load_model(rewritten(tmp_path / "m.keras", config))


def test_a_mask_that_the_model_is_given_is_refused(tmp_path: Path) -> None:
    x, mask = keras.Input((None, 3)), keras.Input((None,), dtype="bool")
    keras.Model([x, mask], keras.layers.LSTM(2, name="reader")(x, mask=mask)).save(tmp_path / "m.keras")
    with pytest.raises(NotThereYetError, match=r"(?s)'reader'.*predict\(x, mask=...\)"):
        padless.load_model(tmp_path / "m.keras")


def test_graphs_that_never_begin_are_refused(tmp_path: Path) -> None:
    x = Input((None, 3))
    config = entry(Model(x, layers.Dense(3, name="b")(layers.Dense(3, name="a")(x))), tmp_path / "m.keras")
    nodes = {one["name"]: one["inbound_nodes"] for one in config["config"]["layers"]}
    nodes["a"][0]["args"][0]["config"]["keras_history"][0] = "b"
    with pytest.raises(DataError, match="wait for each other"):
        padless.load_model(rewritten(tmp_path / "m.keras", config))


@pytest.mark.parametrize(
    "config", [None, 3, [], {}, {"class_name": "Sequential", "config": None}, {"class_name": "Model"}]
)
def test_what_is_no_model_is_refused(config: Any, tmp_path: Path) -> None:
    plain().save(tmp_path / "m.keras")
    with pytest.raises((DataError, ArgumentError)):
        padless.load_model(rewritten(tmp_path / "m.keras", config))


@padless.register
class OwnGate(Layer):
    """Stands in a file of Keras under a name with a package."""

    view = "steps"

    def __init__(self, units: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def call(self, x: Any) -> Any:
        return x * self.units


def test_classes_of_ones_own_have_twins_on_both_sides(tmp_path: Path) -> None:
    class TheirGate(keras.layers.Layer):
        def __init__(self, units: int, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.units = units

        def call(self, x: Any) -> Any:
            return x * self.units

        def get_config(self) -> dict[str, Any]:
            return {**super().get_config(), "units": self.units}

    kind = keras.saving.register_keras_serializable("mine", "OwnGate")(TheirGate)
    x = np.ones((2, 3, 3), np.float32)
    theirs = keras.Sequential([keras.Input((None, 3)), kind(4), keras.layers.Dense(2)])
    ours = padless.from_keras(theirs)
    near(predicted(ours, [x]), predicted(theirs, [x]))
    near(predicted(ours.to_keras({"OwnGate": TheirGate}), [x]), predicted(ours, [x]))
    ours.save(tmp_path / "m.keras")
    near(predicted(padless.load_model(tmp_path / "m.keras"), [x]), predicted(ours, [x]))


def test_functions_without_a_twin_are_refused_by_name(tmp_path: Path) -> None:
    x = Input((None, 3))
    model = Model(x, padless.row_last(ops.relu(x)))
    with pytest.raises(NotThereYetError, match=r"(?s)row_last.*safetensors"):
        model.save(tmp_path / "m.keras")
    forced = Model(x, layers.Dropout(0.5)(x, training=True))
    with pytest.raises(NotThereYetError, match="training=True"):
        forced.save(tmp_path / "m.keras")
    with pytest.raises(ArgumentError, match="a built model of Keras"):
        padless.from_keras(plain())


class Scaled(keras.layers.Layer):
    """As most layers of users are: without a get_config, which then has `autocast`."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x: Any) -> Any:
        return x * self.scale


class OursScaled(padless.Layer):
    """The same for padless, by another name: that of the path in the file is Keras's."""

    view = "steps"

    def build(self, spec: Any) -> None:
        self.scale = self.add_weight("scale", (spec[-1],))

    def call(self, x: Any) -> Any:
        return x * self.scale


def test_a_class_of_ones_own_may_have_another_name_in_padless() -> None:
    theirs = keras.Sequential([keras.Input((None, 4)), Scaled(), keras.layers.LSTM(2)])
    ours = padless.from_keras(theirs, custom_objects={"Scaled": OursScaled})
    x = np.random.default_rng(0).normal(size=(2, 5, 4)).astype("float32")
    np.testing.assert_allclose(ours.predict(x, verbose=0), theirs.predict(x, verbose=0), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("rate", [0.01, keras.optimizers.schedules.CosineDecay(0.01, 100)], ids=["number", "schedule"])
def test_a_model_that_was_compiled_and_not_trained_comes_without_a_warning(rate: Any) -> None:
    theirs = keras.Sequential([keras.Input((None, 4)), keras.layers.LSTM(2)])
    theirs.compile(keras.optimizers.Adam(rate), "mse")
    ours = padless.from_keras(theirs)
    assert ours.compiled
    assert ours.optimizer.iterations == 0
    assert ours.optimizer.learning_rate == pytest.approx(0.01)


def test_inputs_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    keras.Sequential([keras.Input((None, 4)), keras.layers.LSTM(2)]).save(tmp_path / "m.keras")
    files = read_archive(tmp_path / "m.keras")
    config = json.loads(files["config.json"])
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, 10**5, 10**5]
    write_archive(tmp_path / "m.keras", {**files, "config.json": json.dumps(config).encode()})
    with pytest.raises(DataError, match="a few fit into memory"):
        padless.load_model(tmp_path / "m.keras")


@pytest.mark.parametrize("nested", ["sequential", "functional"])
def test_a_layer_in_two_models_is_read_and_not_written(nested: str, tmp_path: Path) -> None:
    """Keras writes such files and cannot open them."""
    layer = keras.layers.Dense(3, name="both")
    x, y = keras.Input((3,)), keras.Input((3,))
    inner = keras.Sequential([keras.Input((3,)), layer]) if nested == "sequential" else keras.Model(y, layer(y) * 2)
    theirs = keras.Model(x, inner(layer(x)))
    ours = padless.from_keras(theirs)
    values = np.random.default_rng(0).normal(size=(4, 3)).astype("float32")
    np.testing.assert_allclose(ours.predict(values, verbose=0), theirs.predict(values, verbose=0), rtol=1e-5, atol=1e-6)
    with pytest.raises(NotThereYetError, match=r"(?s)'both'.*two models.*safetensors"):
        ours.save(tmp_path / "m.keras")
    assert not list(tmp_path.iterdir())


def test_an_embedding_that_a_model_within_has_as_well_is_one() -> None:
    ids, one = keras.Input((None,), dtype="int32"), keras.Input((None,), dtype="int32")
    words = keras.layers.Embedding(20, 4, mask_zero=True, name="words")
    reader = keras.Model(ids, keras.layers.GRU(3)(words(ids)))
    theirs = keras.Model(one, [reader(one), keras.layers.GlobalAveragePooling1D()(words(one))])
    ours = padless.from_keras(theirs)
    assert len(ours.weights) == len(theirs.weights) == 4
    batch = np.array([[1, 2, 3], [4, 0, 0]], np.int32)
    near(predicted(ours, batch), predicted(theirs, batch))
