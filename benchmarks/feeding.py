"""How fast data come: texts to ids, and rows to shuffled batches, beside Keras, PyTorch, HF datasets and tf.data."""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from benchmarks.data import articles, bbc
from benchmarks.tables import Table, spread
from benchmarks.targets import FEED, TEXT, least

ROWS = 32
REPEATED = 8
FEATURES = 64


def data(turns: int, megabytes: float) -> list[Table]:
    """Both halves of the question.

    Args:
        turns: of each contestant.
        megabytes: of text.

    Returns:
        The tables.
    """
    os.environ.setdefault("KERAS_BACKEND", "torch")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    return [ids_to_batches(turns), features_to_batches(turns), *texts_to_ids(turns, megabytes)]


def _in_turns(calls: dict[str, Callable[[], Any]], turns: int) -> dict[str, list[float]]:
    """Seconds of each call, taking turns; the first turn fills the caches."""
    found: dict[str, list[float]] = {who: [] for who in calls}
    for turn in range(turns + 1):
        for who, call in calls.items():
            start = time.perf_counter()
            call()
            if turn:
                found[who].append(time.perf_counter() - start)
    return found


def _drained(batches: Iterable[Any]) -> None:
    for _ in batches:
        pass


# ---- rows to batches


def _rows() -> tuple[list[np.ndarray], Any]:
    """The articles' ids as arrays, and as an Arrow column."""
    import pyarrow as pa

    found = bbc()
    rows = [found.row(at).astype(np.int32) for at in range(len(found.lengths))] * REPEATED
    splits = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int32)
    return rows, pa.ListArray.from_arrays(splits, np.concatenate(rows))


def _padless(column: Any) -> Callable[[], None]:
    """As `fit` does it, with the column given to it."""
    from padless.batching import Table as Rows

    table, epochs = Rows(column, batch_size=ROWS), iter(range(1_000_000))
    return lambda: _drained(table.batches(table.planner.plan(next(epochs), 0)))


def _keras(rows: list[np.ndarray]) -> Callable[[], None]:
    """All rows padded once, then a PyDataset's slices of the shuffled whole, as `fit` takes an array."""
    import keras

    padded = keras.utils.pad_sequences(rows, padding="post")
    random = np.random.default_rng(0)

    def epoch() -> None:
        order = random.permutation(len(padded))
        _drained(padded[order[at : at + ROWS]] for at in range(0, len(order), ROWS))

    return epoch


def _torch(rows: Any, as_tensor: Callable[[Any], Any]) -> Callable[[], None]:
    """A DataLoader that pads each batch, as PyTorch's tutorials do."""
    import torch
    from torch.nn.utils.rnn import pad_sequence

    def together(batch: list[Any]) -> Any:
        return pad_sequence([as_tensor(row) for row in batch], batch_first=True)

    loader = torch.utils.data.DataLoader(rows, ROWS, shuffle=True, collate_fn=together)
    return lambda: _drained(loader)


def _hugging_face(column: Any) -> Callable[[], None]:
    """A datasets.Dataset of the same column, read by the same DataLoader."""
    import datasets
    import pyarrow as pa

    made = datasets.Dataset(pa.table({"ids": column})).with_format("torch")
    return _torch(made, lambda row: row["ids"])


def _tensorflow(column: Any) -> Callable[[], None]:
    """tf.data over a RaggedTensor, padded batch by batch."""
    import tensorflow as tf

    values, splits = (part.to_numpy() for part in (column.flatten(), column.offsets))
    rows = tf.data.Dataset.from_tensor_slices(tf.RaggedTensor.from_row_splits(values, splits))
    batches = rows.shuffle(len(column)).map(lambda row: row).padded_batch(ROWS, [None]).prefetch(2)
    return lambda: _drained(batches)


def ids_to_batches(turns: int) -> Table:
    """An epoch of shuffled batches of the BBC articles' ids; what is counted are real ids."""
    import torch

    rows, column = _rows()
    makers: dict[str, Callable[[], Callable[[], None]]] = {
        "padless": lambda: _padless(column),
        "Keras, padded once": lambda: _keras(rows),
        "PyTorch DataLoader": lambda: _torch(rows, torch.from_numpy),
        "HF datasets": lambda: _hugging_face(column),
        "tf.data": lambda: _tensorflow(column),
    }
    calls, missing = {}, []
    for who, make in makers.items():
        try:
            calls[who] = make()
        except ImportError as error:
            missing.append(f"{who}: {error}")
    total = sum(map(len, rows))
    rates = {who: [total / seconds / 1e6 for seconds in times] for who, times in _in_turns(calls, turns).items()}
    middle = {who: statistics.median(found) for who, found in rates.items()}
    shown = [[who, spread(found, ".1f"), f"{middle['padless'] / middle[who]:.1f}"] for who, found in rates.items()]
    said = least(middle["padless"], *FEED)
    note = f"padless should reach {FEED[0]} million ids a second, three times what the fastest model asks for: {said}."
    return Table(
        f"shuffled batches of {ROWS} articles, million real ids a second",
        ["who", "million ids a second", "padless is so many times as fast"],
        shown,
        [note, *missing],
    )


def features_to_batches(turns: int) -> Table:
    """A list column of features to batches; the limit copies as many bytes."""
    import pyarrow as pa

    _, column = _rows()
    splits = column.offsets[: len(column) // REPEATED + 1]
    values = np.random.default_rng(0).standard_normal((splits[-1].as_py(), FEATURES), np.float32)
    steps = pa.FixedSizeListArray.from_arrays(values.reshape(-1), FEATURES)
    feed, copied = _padless(pa.ListArray.from_arrays(splits, steps)), np.empty_like(values)
    found = _in_turns({"padless": feed, "a copy of it": lambda: np.copyto(copied, values)}, turns)
    rates = {who: [values.nbytes / seconds / 1e9 for seconds in times] for who, times in found.items()}
    said = least(statistics.median(rates["padless"]), 1, 2)
    return Table(
        f"shuffled batches of {ROWS} rows of {FEATURES} features, GB a second",
        ["who", "GB a second"],
        [[who, spread(each, ".2f")] for who, each in rates.items()],
        [f"padless should reach 1 GB a second and core: {said}."],
    )


# ---- texts to ids


def _tokenizers(texts: list[str], turns: int) -> Table | None:
    try:
        from keras.src.legacy.preprocessing.text import Tokenizer as Theirs
    except ImportError:
        return None
    from padless.preprocessing.text import Tokenizer as Ours

    made: dict[str, Any] = {}

    def learn(who: str, kind: Any) -> None:
        made[who] = kind()
        made[who].fit_on_texts(texts)

    learned = _in_turns({"padless": lambda: learn("padless", Ours), "Keras": lambda: learn("Keras", Theirs)}, turns)
    assert made["padless"].word_index == made["Keras"].word_index
    numbered = _in_turns({who: lambda one=one: one.texts_to_sequences(texts) for who, one in made.items()}, turns)
    assert made["padless"].texts_to_sequences(texts[:500]) == made["Keras"].texts_to_sequences(texts[:500])
    return _compared("Tokenizer", {"fit_on_texts": learned, "texts_to_sequences": numbered}, texts)


def _vectorizers(texts: list[str], turns: int) -> Table | None:
    try:
        import tensorflow as tf
    except ImportError:
        return None
    import keras

    import padless

    made = {"padless": padless.layers.TextVectorization(), "Keras": keras.layers.TextVectorization()}
    whole = {"padless": texts, "Keras": tf.constant(texts)}
    learned = _in_turns({who: lambda who=who: made[who].adapt(whole[who]) for who in made}, turns)
    assert made["padless"].get_vocabulary() == made["Keras"].get_vocabulary()

    def number(who: str) -> None:
        for at in range(0, len(texts), 1000):  # Keras pads what it is given together
            made[who](whole[who][at : at + 1000])

    numbered = _in_turns({who: lambda who=who: number(who) for who in made}, turns)
    padded = made["padless"](texts[:500]).to_padded()
    np.testing.assert_array_equal(padded, made["Keras"](whole["Keras"][:500]))
    return _compared("TextVectorization", {"adapt": learned, "call": numbered}, texts)


def _compared(what: str, found: dict[str, dict[str, list[float]]], texts: list[str]) -> Table:
    """Megabytes a second of both, with the same ids."""
    size = sum(len(text.encode()) for text in texts) / 1e6
    rows = []
    for name, times in found.items():
        rates = {who: [size / seconds for seconds in each] for who, each in times.items()}
        ratio = statistics.median(rates["padless"]) / statistics.median(rates["Keras"])
        rows.append([name, *(spread(each, ".1f") for each in rates.values()), f"{ratio:.1f}", least(ratio, *TEXT)])
    note = f"Should be {TEXT[0]:g} times as fast as Keras's, at best {TEXT[1]:g}; vocabulary and ids are the same."
    return Table(f"{what}, {size:.0f} MB of text", ["", "padless MB/s", "Keras MB/s", "ratio", ""], rows, [note])


def texts_to_ids(turns: int, megabytes: float) -> list[Table]:
    """The articles again and again, each time with one word of its own, so that the vocabulary grows."""
    found = articles()
    texts: list[str] = []
    size = 0
    while size < megabytes * 1e6:
        texts.append(f"{found[len(texts) % len(found)]} w{len(texts)}")
        size += len(texts[-1])
    made = (_tokenizers(texts, turns), _vectorizers(texts, turns))
    return [table for table in made if table is not None]
