"""Windows of a series: by their definition, beside Keras where it runs without TensorFlow, and in fit."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import padless
from padless.data import TimeseriesGenerator, timeseries_dataset_from_array
from padless.errors import ArgumentError, DataError

THEIRS: Any = __import__("keras.src.legacy.preprocessing.sequence", fromlist=["x"]).TimeseriesGenerator


def joined(batches: Any) -> tuple[np.ndarray, np.ndarray]:
    xs, ys = zip(*batches, strict=True)
    return np.concatenate(xs), np.concatenate(ys)


@given(
    steps=st.integers(2, 40),
    length=st.integers(1, 6),
    stride=st.integers(1, 4),
    rate=st.integers(1, 3),
    begin=st.integers(0, 5),
    spare=st.integers(0, 5),
    missing=st.integers(0, 8),
)
def test_windows_are_those_of_the_definition(
    steps: int, length: int, stride: int, rate: int, begin: int, spare: int, missing: int
) -> None:
    data = np.random.default_rng(0).normal(size=(steps, 2))
    targets = np.arange(steps - min(missing, steps))
    end = steps - spare
    stride, rate = min(stride, steps - 1), min(rate, steps - 1)
    expected = [
        (data[s : s + length * rate : rate], targets[s])
        for s in range(begin, end, stride)
        if s + (length - 1) * rate < end and s < len(targets)
    ]

    def made() -> Any:
        return timeseries_dataset_from_array(
            data, targets, length, stride, rate, batch_size=3, start_index=begin, end_index=end
        )

    if not expected or begin >= end:
        with pytest.raises((ArgumentError, DataError)):
            made()
        return
    windows = made()
    batches = list(windows)
    assert len(windows) == len(batches)
    x, y = joined(batches)
    np.testing.assert_array_equal(x, [window for window, _ in expected])
    np.testing.assert_array_equal(y, [target for _, target in expected])
    assert all(len(batch[0]) == 3 for batch in batches[:-1])


def test_without_targets_and_one_by_one() -> None:
    assert [w.tolist() for w in timeseries_dataset_from_array(range(4), None, 3, batch_size=None)] == [
        [0, 1, 2],
        [1, 2, 3],
    ]


def test_shuffled_windows_keep_their_targets_and_change_each_time() -> None:
    windows = timeseries_dataset_from_array(np.arange(100), np.arange(100) * 10, 4, shuffle=True, seed=3, batch_size=8)
    first, second = joined(windows), joined(windows)
    for x, y in (first, second):
        np.testing.assert_array_equal(x[:, 0] * 10, y)
        np.testing.assert_array_equal(np.sort(y), np.arange(97) * 10)
    assert (first[1] != second[1]).any()
    again = timeseries_dataset_from_array(np.arange(100), np.arange(100) * 10, 4, shuffle=True, seed=3, batch_size=8)
    np.testing.assert_array_equal(joined(again)[1], first[1])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"sequence_length": 0}, "sequence_length as a whole number from 1"),
        ({"sequence_length": 11}, "at least one whole window"),
        ({"sequence_length": 2, "start_index": -1}, "start_index as a whole number from 0 to 9"),
        ({"sequence_length": 2, "end_index": 0}, "end_index as a whole number from 1 to 10"),
        ({"sequence_length": 2, "start_index": 5, "end_index": 4}, "end_index as a whole number from 6"),
        ({"sequence_length": 2, "sampling_rate": 10}, "sampling_rate as a whole number from 1 to 9"),
        ({"sequence_length": 2, "sequence_stride": 0}, "sequence_stride"),
        ({"sequence_length": 2, "batch_size": 0}, "batch_size"),
        ({"sequence_length": 2, "format": "torch"}, 'format="tf" or "grain"'),
        ({"sequence_length": 2, "start_index": 5, "targets": [1, 2]}, "2 targets"),
    ],
)
def test_what_makes_no_sense_is_an_error(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        timeseries_dataset_from_array(np.arange(10), arguments.pop("targets", None), **arguments)


@given(
    length=st.integers(1, 5),
    rate=st.integers(1, 3),
    stride=st.integers(1, 3),
    start=st.integers(0, 4),
    reverse=st.booleans(),
    size=st.integers(1, 7),
)
def test_the_generator_is_keras_s(length: int, rate: int, stride: int, start: int, reverse: bool, size: int) -> None:
    data, targets = np.random.default_rng(1).normal(size=(20, 3)), np.arange(20)
    arguments = dict(
        length=length, sampling_rate=rate, stride=stride, start_index=start, reverse=reverse, batch_size=size
    )
    ours, theirs = TimeseriesGenerator(data, targets, **arguments), THEIRS(data, targets, **arguments)
    assert len(ours) == len(theirs)
    for (x, y), at in zip(ours, range(len(theirs)), strict=True):
        np.testing.assert_array_equal(x, theirs[at][0])
        np.testing.assert_array_equal(y, theirs[at][1])


def test_the_generator_draws_and_writes_as_keras_does() -> None:
    data = np.arange(12.0)
    ours, theirs = (kind(data, data, 3, shuffle=True, batch_size=4) for kind in (TimeseriesGenerator, THEIRS))
    np.random.seed(5)
    x, y = ours[0]
    np.random.seed(5)
    their_x, their_y = theirs[0]
    np.testing.assert_array_equal(x, their_x)
    np.testing.assert_array_equal(y, their_y)
    config = json.loads(ours.to_json())["config"]
    # As tf-keras writes it; Keras 3.15's own get_config raises an AttributeError.
    assert config["data"] == config["targets"] == json.dumps(data.tolist())
    assert (config["length"], config["start_index"], config["end_index"], config["shuffle"]) == (3, 3, 11, True)


def test_the_generator_refuses() -> None:
    with pytest.raises(ValueError, match="of same length"):
        TimeseriesGenerator([1, 2], [1], 1)
    with pytest.raises(ValueError, match="up to end_index"):
        TimeseriesGenerator([1, 2, 3], [1, 2, 3], 3)
    with pytest.raises(IndexError, match="batch 9 of 1"):
        TimeseriesGenerator([1, 2, 3], [1, 2, 3], 1)[9]


@pytest.mark.parametrize("kind", ["function", "generator"])
def test_windows_go_into_fit(kind: str) -> None:
    series = np.sin(np.arange(60, dtype=np.float32))[:, None]
    data = (
        timeseries_dataset_from_array(series[:-4], series[4:, 0], 4, batch_size=16, shuffle=True, seed=0)
        if kind == "function"
        else TimeseriesGenerator(series, series[:, 0], 4, batch_size=16)
    )
    model = padless.Sequential([padless.layers.SimpleRNN(4), padless.layers.Dense(1)])
    model.compile("adam", "mse")
    history = model.fit(data, epochs=3, verbose=0).history["loss"]
    assert history[-1] < history[0]
