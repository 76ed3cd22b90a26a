"""Tables and their columns as data of fit, evaluate, predict, calls and adapt: as the same lists would be."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Ragged, Sequential, layers
from padless.data import tables
from padless.errors import BackendError, DataError, DTypeError
from tests.strategies import examples, lengths

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
datasets = pytest.importorskip("datasets")

IDS = [[3, 1, 4], [1], [7, 7], [5, 9, 2, 6, 5]]
FRAMES = [[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0]], [[7.0, 8.0]] * 3, [[9.0, 1.0]]]
LABELS = [0, 1, 0, 1]
TEXTS = ["good film", "bad", "", "a good one"]
PRICES = [1.5, 2.5, -1.0, 0.25]

Table = Callable[[dict[str, Any]], Any]


def shuffled(columns: dict[str, Any]) -> Any:
    """An HF Dataset that holds its rows in another order than it gives them in."""
    count = len(next(iter(columns.values())))
    stored = {name: [*values[::-1], *values] for name, values in columns.items()}
    return datasets.Dataset.from_dict(stored).select(range(count - 1, -1, -1))


LIBRARIES: dict[str, Table] = {
    "pandas": pd.DataFrame,
    "pandas of Arrow": lambda columns: pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype),
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
    "pyarrow in chunks": lambda columns: pa.concat_tables([pa.table(columns)[:1], pa.table(columns)[1:]]),
    "pyarrow record batch": pa.RecordBatch.from_pydict,
    "datasets": datasets.Dataset.from_dict,
    "datasets, shuffled": shuffled,
    "datasets, torch format": lambda columns: shuffled(columns).with_format("torch"),
    "datasets, a transform": lambda columns: shuffled(columns).with_transform(lambda rows: rows),
}


@pytest.fixture(params=list(LIBRARIES))
def library(request: pytest.FixtureRequest) -> Table:
    return LIBRARIES[request.param]


def classifier(**input_arguments: Any) -> Sequential:
    padless.utils.set_random_seed(0)
    first = [padless.Input((None,), dtype="int32", **input_arguments)] if input_arguments else []
    model = Sequential([*first, layers.Embedding(10, 4), layers.LSTM(3), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def same(history: padless.callbacks.History, expected: padless.callbacks.History) -> bool:
    """Whether two trainings went alike."""
    assert history.history.keys() == expected.history.keys()
    for name, values in expected.history.items():
        np.testing.assert_allclose(history.history[name], values, rtol=1e-5)
    return True


def two_inputs() -> padless.Model:
    padless.utils.set_random_seed(0)
    ids = padless.Input((None,), dtype="int32", name="ids")
    tags = padless.Input((None,), dtype="int32", name="tags")
    embed, pool = layers.Embedding(10, 4), layers.GlobalAveragePooling1D()
    x = layers.Concatenate()([pool(embed(ids)), pool(embed(tags))])
    outputs = {"label": layers.Dense(2, "softmax", name="label")(x), "cost": layers.Dense(1, name="cost")(x)}
    model = padless.Model([ids, tags], outputs)
    model.compile("sgd", {"label": "sparse_categorical_crossentropy", "cost": "mse"})
    return model


# ---- columns


@given(sizes=lengths(empty_batch=False), dtype=st.sampled_from(["int8", "int64", "uint8", "float32", "bool"]))
@examples(0.3)
def test_what_comes_out_of_a_batch_is_what_went_in(sizes: list[int], dtype: str) -> None:
    from padless.batching import Table as Rows

    rows = [(np.arange(n) % 2).astype(dtype) for n in sizes]
    column = pa.array(rows, pa.list_(pa.from_numpy_dtype(np.dtype(dtype))))
    for make in LIBRARIES.values():
        table = make({"x": column if make is not shuffled else rows, "n": sizes})
        if "datasets" in type(table).__module__:
            continue  # they hold Python's numbers of one size
        batch = Rows(table["x"], table["n"]).batch(np.arange(len(sizes)))
        assert batch.x.dtype == dtype
        assert [row.tolist() for row in batch.x] == [row.tolist() for row in rows]
        assert batch.y.tolist() == sizes


def test_columns_of_every_library_are_as_lists(library: Table, trainer: str) -> None:
    table = library({"ids": IDS, "label": LABELS})
    arguments: dict[str, Any] = {"verbose": 0, "shuffle": False, "batch_size": 2, "epochs": 2}
    model = classifier()
    assert same(model.fit(table["ids"], table["label"], **arguments), classifier().fit(IDS, LABELS, **arguments))
    assert model.evaluate(table["ids"], table["label"], verbose=0) == pytest.approx(
        model.evaluate(IDS, LABELS, verbose=0)
    )
    lists = model.predict(IDS, verbose=0)
    np.testing.assert_array_equal(model.predict(table["ids"], verbose=0), lists)
    np.testing.assert_array_equal(model.predict({"ids": table["ids"]}["ids"], verbose=0), lists)
    np.testing.assert_array_equal(model.predict_on_batch(table["ids"]), lists)
    np.testing.assert_allclose(model.backend.to_host(model(table["ids"])), lists, atol=1e-6)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32"])
def test_ids_of_every_whole_dtype(dtype: str, backend: str) -> None:
    model = classifier()
    column = pa.array(IDS, pa.list_(pa.from_numpy_dtype(np.dtype(dtype))))
    np.testing.assert_array_equal(model.predict(column, verbose=0), model.predict(IDS, verbose=0))


def test_steps_with_features(library: Table) -> None:
    """Lists of lists of one length are features, as in lists of Python; those of unequal length are rows."""
    table = library({"frames": FRAMES, "documents": [[[1, 2], [3]], [[4]], [], [[5, 6], [7, 8]]]})
    padless.utils.set_random_seed(0)
    model = Sequential([layers.LSTM(3)])
    np.testing.assert_allclose(model.predict(table["frames"], verbose=0), model.predict(FRAMES, verbose=0), atol=1e-6)
    found = tables.read(table["documents"], "x")
    rows = found if isinstance(found, Ragged) else Ragged.from_list([list(map(list, row)) for row in found])
    assert rows.ragged_rank == 2
    assert rows.rows.row_lengths.tolist() == [2, 1, 0, 2]


def test_an_input_says_whether_equal_lists_are_rows_or_features(library: Table) -> None:
    table = library({"x": [[[1, 2], [3, 4]], [[5, 6]]]})
    word = layers.TimeDistributed(Sequential([layers.Embedding(10, 4), layers.GlobalMaxPooling1D()]))
    documents = Sequential([padless.Input((None, None), dtype="int32"), word, layers.GlobalMaxPooling1D()])
    assert documents.predict(table["x"], verbose=0).shape == (2, 4)
    frames = Sequential([padless.Input((None, 2)), layers.LSTM(3)])
    assert frames.predict(table["x"], verbose=0).shape == (2, 3)


def test_lists_of_a_fixed_size_are_an_array() -> None:
    column = pa.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], pa.list_(pa.float64(), 2))
    model = Sequential([layers.Dense(1)])
    expected = model.predict(np.array(column.to_pylist(), "float32"), verbose=0)
    for given_column in (column, pl.Series(column.to_pylist(), dtype=pl.Array(pl.Float64, 2))):
        np.testing.assert_allclose(model.predict(given_column, verbose=0), expected, rtol=1e-6)


def test_texts_go_to_a_text_layer(library: Table, backend: str) -> None:
    if backend == "jax":
        pytest.skip("texts cannot be compiled: tests/training/test_texts.py")
    table = library({"text": TEXTS, "label": LABELS})
    vectorize, again = layers.TextVectorization(), layers.TextVectorization()
    vectorize.adapt(TEXTS)
    again.adapt(table["text"])
    assert again.get_vocabulary() == vectorize.get_vocabulary()
    assert again(table["text"]).to_list() == vectorize(TEXTS).to_list()
    model = Sequential([vectorize, layers.Embedding(10, 4), layers.GlobalAveragePooling1D(), layers.Dense(2)])
    model.compile("sgd", padless.losses.SparseCategoricalCrossentropy(from_logits=True))
    lists = model.predict(TEXTS, verbose=0)
    np.testing.assert_array_equal(model.predict(table["text"], verbose=0), lists)
    if backend != "numpy":
        model.fit(table["text"], table["label"], verbose=0)
        model.fit(table, y="label", verbose=0)


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXTS, pa.large_string()),
        pa.array(TEXTS, pa.string_view()),
        pa.array(TEXTS).dictionary_encode(),
        pd.Series(TEXTS, dtype="category"),
        pd.Series(TEXTS, dtype="string[pyarrow]"),
        pl.Series(TEXTS, dtype=pl.Categorical),
    ],
    ids=["large_string", "string_view", "dictionary", "pandas category", "pandas Arrow", "polars categorical"],
)
def test_all_kinds_of_texts(column: Any) -> None:
    vectorize = layers.TextVectorization()
    vectorize.adapt(column)
    assert vectorize(column).to_list() == vectorize(TEXTS).to_list()


def test_a_tokenizer_reads_columns(library: Table) -> None:
    table = library({"text": TEXTS, "words": [text.split() for text in TEXTS]})
    for column, plain in (("text", TEXTS), ("words", [text.split() for text in TEXTS])):
        ours, lists = padless.preprocessing.text.Tokenizer(), padless.preprocessing.text.Tokenizer()
        ours.fit_on_texts(table[column])
        lists.fit_on_texts(plain)
        assert ours.word_index == lists.word_index
        assert ours.texts_to_sequences(table[column]) == lists.texts_to_sequences(plain)


def test_rows_of_words_go_to_a_lookup(library: Table) -> None:
    words = [["red", "blue"], [], ["green", "red"]]
    table = library({"words": words})
    lookup = layers.StringLookup()
    lookup.adapt(words)
    again = layers.StringLookup()
    again.adapt(table["words"])
    assert again.get_vocabulary() == lookup.get_vocabulary()
    assert lookup(table["words"]).to_list() == lookup(words).to_list()


def test_numbers_go_to_adapt(library: Table) -> None:
    table = library({"price": PRICES})
    ours, lists = layers.Normalization(axis=None), layers.Normalization(axis=None)
    ours.adapt(table["price"])
    lists.adapt(np.array(PRICES))
    np.testing.assert_allclose(ours(np.array(PRICES)), lists(np.array(PRICES)), rtol=1e-6)


def test_rows_come_back_as_rows_that_arrow_reads() -> None:
    model = Sequential([layers.Embedding(10, 4), layers.Dense(2)])
    for column in (pa.array(IDS), pl.Series(IDS), pd.Series(IDS, dtype=pd.ArrowDtype(pa.list_(pa.int64())))):
        found = model.predict(column, verbose=0)
        assert isinstance(found, Ragged)
        assert pl.Series(found.to_arrow()).to_list() == found.to_list()


# ---- tables


def test_names_of_columns(library: Table, trainer: str) -> None:
    columns = {"ids": IDS, "label": LABELS, "weight": [1.0, 2.0, 0.0, 1.0]}
    table = library(columns)
    arguments: dict[str, Any] = {"verbose": 0, "shuffle": False, "batch_size": 3}
    weights = np.array(columns["weight"])
    expected = classifier().fit(IDS, LABELS, sample_weight=weights, **arguments, validation_data=(IDS, LABELS, weights))
    history = classifier().fit(table, y="label", sample_weight="weight", **arguments, validation_data=table)
    assert same(history, expected)
    named = classifier(name="ids")
    named.fit(table, y="label", **arguments)
    assert named.predict(table, verbose=0).shape == (4, 2), "an input with a name finds its column by itself"


def test_columns_by_the_names_of_inputs_and_outputs(library: Table, trainer: str) -> None:
    arguments: dict[str, Any] = {"verbose": 0, "shuffle": False}
    lists = {"ids": IDS, "tags": IDS[::-1]}, {"label": LABELS, "cost": PRICES}
    expected = two_inputs().fit(*lists, **arguments)
    table = library({"cost": PRICES, "tags": IDS[::-1], "label": LABELS, "ids": IDS})
    assert same(two_inputs().fit(table, **arguments), expected)
    assert same(two_inputs().fit(table, y=["label", "cost"], **arguments), expected)
    assert same(two_inputs().fit(table, y={"label": "label", "cost": "cost"}, **arguments), expected)
    inputs, outputs = library(lists[0]), library(lists[1])
    assert same(two_inputs().fit(inputs, outputs, **arguments), expected)
    model = two_inputs()
    found, again = model.predict(inputs, verbose=0), model.predict(lists[0], verbose=0)
    np.testing.assert_array_equal(found["label"], again["label"])


def test_dicts_tuples_and_lists_of_columns(library: Table, trainer: str) -> None:
    table = library({"ids": IDS, "tags": IDS[::-1], "label": LABELS, "cost": PRICES})
    arguments: dict[str, Any] = {"verbose": 0, "shuffle": False}
    expected = two_inputs().fit({"ids": IDS, "tags": IDS[::-1]}, {"label": LABELS, "cost": PRICES}, **arguments)
    ids, tags = table["ids"], table["tags"]
    for x in ({"ids": ids, "tags": tags}, (ids, tags), [ids, tags]):
        for y in ({"label": table["label"], "cost": table["cost"]}, [table["label"], table["cost"]]):
            assert same(two_inputs().fit(x, y, **arguments), expected)


def test_columns_of_numbers_are_one_array(library: Table, trainer: str) -> None:
    table = library({"price": PRICES, "size": [1, 2, 3, 4], "label": LABELS})
    padless.utils.set_random_seed(0)
    model = Sequential([layers.Dense(2)])
    model.compile("sgd", "mse")
    arrays = np.array([PRICES, [1, 2, 3, 4]], "float32").T
    expected = model.predict(arrays, verbose=0)
    some = library({"price": PRICES, "size": [1, 2, 3, 4]})
    np.testing.assert_allclose(model.predict(some, verbose=0), expected, rtol=1e-5)
    np.testing.assert_allclose(model.backend.to_host(model(some)), expected, rtol=1e-5)
    one = Sequential([layers.Dense(1)])
    one.compile("sgd", "mse")
    one.fit(table, y="label", verbose=0)
    model.fit(arrays, some, verbose=0)
    with pytest.raises(DataError, match="all of which are taken"):
        model.fit(some, y=["price", "size"], verbose=0)


def test_a_subclassed_model_gets_a_dict_of_columns(trainer: str) -> None:
    class Both(padless.Model):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.pool, self.head = layers.Embedding(10, 4), layers.GlobalMaxPooling1D(), layers.Dense(1)

        def call(self, x: Any) -> Any:
            return self.head(self.pool(self.embed(x["ids"])))

    model = Both()
    model.compile("sgd", "mse")
    table = pa.table({"ids": IDS, "other": IDS, "label": LABELS})
    model.fit(table, y="label", verbose=0)
    assert model.predict(table.select(["ids", "other"]), verbose=0).shape == (4, 1)


def test_a_reader_of_batches_and_a_dataset_of_files(tmp_path: Path) -> None:
    table = pa.table({"ids": IDS, "label": LABELS})
    model = classifier()
    expected = model.evaluate(IDS, LABELS, verbose=0)
    assert model.evaluate(table.to_reader(2), y="label", verbose=0) == pytest.approx(expected)
    pq.write_table(table, tmp_path / "a.parquet")
    files = pytest.importorskip("pyarrow.dataset").dataset(tmp_path)
    assert model.evaluate(files, y="label", verbose=0) == pytest.approx(expected)


def test_a_dict_of_columns_with_the_name_of_the_targets() -> None:
    model = classifier()
    expected = model.evaluate(IDS, LABELS, verbose=0)
    rows = datasets.Dataset.from_dict({"ids": IDS, "label": LABELS})[:]
    assert model.evaluate(rows, y="label", verbose=0) == pytest.approx(expected)


def test_views_of_a_dataset_keep_their_order() -> None:
    whole = datasets.Dataset.from_dict({"n": list(range(20)), "ids": [[n] * (n % 3) for n in range(20)]})
    views = [
        whole.shuffle(seed=3),
        whole.shuffle(seed=3).select([5, 2, 2, 9]),
        whole.select(range(4, 9)),
        whole.filter(lambda row: row["n"] % 2 == 0),
        whole.train_test_split(0.3, seed=1)["test"],
        datasets.concatenate_datasets([whole.select([3]), whole]),
        pickle.loads(pickle.dumps(whole.shuffle(seed=3))),
        whole.with_format("torch", columns=["n", "ids"]).shard(3, 1),
    ]
    for view in views:
        expected = view.with_format(None)
        columns = tables.columns_of(view)
        assert columns is not None
        found = columns.pick(["n", "ids"], "x")
        assert found["n"].tolist() == list(expected["n"])
        assert found["ids"].to_list() == list(expected["ids"])
        assert tables.read(view["ids"], "x").to_list() == list(expected["ids"])
    assert tables.columns_of(whole.with_format("torch", columns=["n"])).names == ["n"]  # type: ignore[union-attr]


def test_a_transform_of_ones_own_makes_the_columns() -> None:
    plain = datasets.Dataset.from_dict({"text": TEXTS})
    made = plain.with_transform(lambda rows: {"size": [len(text) for text in rows["text"]]})
    columns = tables.columns_of(made)
    assert columns is not None
    assert list(columns.pick(["size"], "x")["size"]) == [len(text) for text in TEXTS]


# ---- files


def test_a_parquet_file(tmp_path: Path, trainer: str) -> None:
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"ids": IDS, "label": LABELS, "when": pa.array([0] * 4, pa.timestamp("s"))}), file)
    model = classifier(name="ids")
    expected = model.evaluate(IDS, LABELS, verbose=0)
    for path in (file, str(file)):
        assert model.evaluate(path, y="label", verbose=0) == pytest.approx(expected)
        np.testing.assert_array_equal(model.predict(path, verbose=0), model.predict(IDS, verbose=0))
    model.fit(str(file), y="label", validation_data=str(file), verbose=0)


def test_a_parquet_file_that_ends_early(tmp_path: Path, trainer: str) -> None:
    file = tmp_path / "train.parquet"
    pq.write_table(pa.table({"ids": IDS * 100, "label": LABELS * 100}), file)
    model = classifier()
    model.fit(file, y="label", verbose=0)
    weights = [weight.copy() for weight in model.get_weights()]
    whole = file.read_bytes()
    for rest in (whole[: len(whole) // 2], whole[:-8], b"", whole[:4] + b"\0" * (len(whole) // 3) + whole[-400:]):
        file.write_bytes(rest)
        with pytest.raises(DataError, match=r"(?s)train\.parquet.*a whole Parquet file.*ends early"):
            model.fit(file, y="label", verbose=0)
    for before, after in zip(weights, model.get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)
    with pytest.raises(FileNotFoundError, match="absent"):
        model.fit(tmp_path / "absent.parquet", y="label", verbose=0)


# ---- bad input


def test_a_column_that_is_not_there(library: Table) -> None:
    table = library({"ids": IDS, "label": LABELS})
    with pytest.raises(DataError, match=r"(?s)y, column 'lable'.*did you mean 'label'\? Known: ids, label"):
        classifier().fit(table, y="lable", verbose=0)
    with pytest.raises(DataError, match=r"(?s)a column for each.*no column 'tags'.*Known: ids, label"):
        two_inputs().predict(table, verbose=0)
    with pytest.raises(DataError, match=r"(?s)targets, since there is a loss.*\['ids', 'label'\].*y=\"label\""):
        classifier().fit(table, verbose=0)
    with pytest.raises(DataError, match=r"(?s)one column for the model's input.*\['ids', 'label'\]"):
        classifier().predict(table, verbose=0)


def test_names_without_a_table() -> None:
    with pytest.raises(DataError, match=r"(?s)y='label'.*x of type list, which has no columns"):
        classifier().fit(IDS, y="label", verbose=0)


@pytest.mark.parametrize("name", ["pandas", "pandas of Arrow", "polars", "pyarrow", "pyarrow in chunks", "datasets"])
@pytest.mark.parametrize(
    "values",
    [[[1], [2, 3], None, [4]], [1, 2, None, 4], ["a", "b", None, "d"], [[1], [2, 3], [4, None], [5]]],
    ids=["rows", "numbers", "texts", "steps"],
)
def test_nulls_are_named_by_column_and_row(name: str, values: list[Any]) -> None:
    columns = {"ids": values, "label": LABELS}
    table = pd.DataFrame({**columns, "ids": pd.Series(values, dtype=object)}) if name == "pandas" else None
    table = LIBRARIES[name](columns) if table is None else table
    with pytest.raises(DataError, match=r"(?s)column 'ids'.*row 2\b"):
        classifier().fit(table, y="label", verbose=0)
    if "pandas" in name or name == "polars":  # those of pyarrow have no name
        with pytest.raises(DataError, match=r"(?s)column 'ids'.*row 2\b"):
            classifier().predict(table["ids"], verbose=0)
    with pytest.raises(DataError, match=r"(?s)row 2\b"):
        classifier().predict(table["ids"], verbose=0)


@pytest.mark.parametrize("dtype", ["Int64", "int64[pyarrow]", "boolean", "str", "category"])
def test_nulls_of_pandas(dtype: str) -> None:
    values = ["a", None] if dtype in ("str", "category") else [True, None]
    with pytest.raises(DataError, match=r"(?s)column 'label'.*no nulls.*in row 1"):
        classifier().fit(IDS[:2], pd.Series(values, dtype=dtype, name="label"), verbose=0)


def test_numbers_of_pandas() -> None:
    for dtype in ("Int64", "int64[pyarrow]", "UInt8", "Float32", "boolean"):
        found = tables.read(pd.Series([1, 0, 1], dtype=dtype), "x")
        assert found.tolist() == [1, 0, 1]


def test_dates_say_what_to_write(library: Table) -> None:
    times = list(np.array(["2020-01-01", "2021-01-01"], "datetime64[us]").astype(object))
    table = library({"when": times, "label": [0, 1]})
    if "transform" in str(getattr(table, "format", "")):
        pytest.skip("the transform gives what it likes")
    with pytest.raises(DTypeError, match=r"(?s)column 'when'.*timestamp|datetime.*in row 0.*int64"):
        classifier().fit(table, y="label", verbose=0)


def test_unequal_features_are_named_by_column_and_row(library: Table) -> None:
    rows = [[[1.0, 2.0]], [[3.0, 4.0], [5.0]], [[6.0, 7.0]]]
    table = library({"frames": rows, "label": [0, 1, 0]})
    model = Sequential([padless.Input((None, 2), name="frames"), layers.LSTM(3), layers.Dense(1)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=r"(?s)x.*frames.*row 1\b"):
        model.fit(table, y="label", verbose=0)
    with pytest.raises(DataError, match=r"(?s)row 1\b"):
        model.fit(rows, [0, 1, 0], verbose=0)


def test_texts_where_numbers_are_due(library: Table, trainer: str) -> None:
    table = library({"ids": IDS, "kind": ["a", "b", "a", "b"], "words": [["a"], [], ["b"], ["c"]]})
    with pytest.raises(DTypeError, match=r"(?s)y: expected numbers.*'a' in row 0.*StringLookup"):
        classifier().fit(table["ids"], table["kind"], verbose=0)
    with pytest.raises(DTypeError, match=r"(?s)expected numbers.*StringLookup|TextVectorization"):
        classifier().predict(table["words"], verbose=0)


def test_several_tables_and_single_rows_are_refused() -> None:
    split = datasets.DatasetDict({"train": datasets.Dataset.from_dict({"ids": IDS})})
    with pytest.raises(DataError, match=r"(?s)a datasets.Dataset.*DatasetDict.*\['train'\]"):
        classifier().predict(split, verbose=0)
    with pytest.raises(DataError, match=r"(?s)IterableDataset.*iter\(batch_size=32\)"):
        classifier().predict(split["train"].to_iterable_dataset(), verbose=0)


def test_two_columns_of_one_name() -> None:
    table = pa.Table.from_arrays([pa.array(IDS), pa.array(IDS)], names=["ids", "ids"])
    with pytest.raises(DataError, match="a name that several have"):
        classifier().predict(table, verbose=0)


def test_without_pyarrow(monkeypatch: pytest.MonkeyPatch) -> None:
    series = pl.Series("ids", IDS)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    model = classifier()
    np.testing.assert_array_equal(model.predict(series, verbose=0), model.predict(IDS, verbose=0))
    for table in (pl.DataFrame({"ids": IDS}), "train.parquet"):
        with pytest.raises(BackendError, match=r"(?s)pyarrow.*pip install pyarrow"):
            model.predict(table, verbose=0)


def test_rows_of_words_go_through_a_model(library: Table, backend: str) -> None:
    if backend == "jax":
        pytest.skip("texts cannot be compiled: tests/training/test_texts.py")
    words = [["red", "blue"], ["red"], ["green", "red"], ["blue"]]
    table = library({"words": words, "label": LABELS})
    lookup = layers.StringLookup(vocabulary=["red", "green", "blue"])
    model = Sequential([lookup, layers.Embedding(4, 3), layers.GlobalMaxPooling1D(), layers.Dense(1)])
    model.compile("sgd", "mse")
    ids = Sequential(model.layers[1:]).predict(lookup(words), verbose=0)
    np.testing.assert_allclose(model.predict(table["words"], verbose=0), ids, rtol=1e-6)
    if backend != "numpy":
        model.fit(table, y="label", verbose=0)
