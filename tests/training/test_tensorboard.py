"""Files of events: read back by a small parser, and by tensorboard's own reader where it is installed."""

from __future__ import annotations

import importlib.util
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from padless.callbacks import TensorBoard
from padless.callbacks.events import EventFile, crc32c, histogram, masked, scalar
from padless.errors import ArgumentError, NotThereYetError
from tests.training.test_callbacks import X, Y, fit, model


def records(path: Path) -> Iterator[bytes]:
    data = path.read_bytes()
    while data:
        (length,) = struct.unpack("<Q", data[:8])
        assert struct.unpack("<I", data[8:12])[0] == masked(crc32c(data[:8]))
        message = data[12 : 12 + length]
        assert struct.unpack("<I", data[12 + length : 16 + length])[0] == masked(crc32c(message))
        yield message
        data = data[16 + length :]


def fields(message: bytes) -> dict[int, list[Any]]:
    """The fields of a message by number: ints, floats and bytes."""
    found: dict[int, list[Any]] = {}
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    while at < len(message):
        key = varint()
        kind = key & 7
        value: Any
        if kind == 0:
            value = varint()
        elif kind == 1:
            value, at = struct.unpack("<d", message[at : at + 8])[0], at + 8
        elif kind == 5:
            value, at = struct.unpack("<f", message[at : at + 4])[0], at + 4
        else:
            size = varint()
            value, at = message[at : at + size], at + size
        found.setdefault(key >> 3, []).append(value)
    return found


def read(folder: Path) -> dict[str, list[tuple[int, Any]]]:
    """Steps and values by tag; a histogram as its fields."""
    found: dict[str, list[tuple[int, Any]]] = {}
    for path in sorted(folder.glob("events.out.tfevents.*")):
        first, *events = [fields(record) for record in records(path)]
        assert first[3] == [b"brain.Event:2"]
        for event in events:
            for one in fields(event[5][0])[1]:
                value = fields(one)
                made = value[2][0] if 2 in value else fields(value[5][0])
                found.setdefault(value[1][0].decode(), []).append((event[2][0], made))
    return found


def test_the_checksum_is_that_of_the_standard() -> None:
    # RFC 3720, B.4.
    assert crc32c(b"\0" * 32) == 0x8A9136AA
    assert crc32c(bytes(range(32))) == 0x46DD794E
    assert crc32c(b"123456789") == 0xE3069283


@given(st.lists(st.tuples(st.integers(0, 2**62), st.text(min_size=1), st.floats(width=32, allow_nan=False))))
def test_scalars_come_back(tmp_path_factory: pytest.TempPathFactory, values: list[tuple[int, str, float]]) -> None:
    folder = tmp_path_factory.mktemp("events")
    file = EventFile(folder)
    for step, tag, value in values:
        file.add(step, [scalar(tag, value)])
    file.close()
    want: dict[str, list[tuple[int, float]]] = {}
    for step, tag, value in values:
        want.setdefault(tag, []).append((step, value))
    assert read(folder) == want


@pytest.mark.parametrize("values", [[], [1.0], [np.nan, np.inf], [1, 2, 3, 4.5, np.nan]])
def test_a_histogram_counts_what_is_finite(values: list[float]) -> None:
    made = fields(fields(histogram("w", values))[5][0])
    finite = [value for value in values if np.isfinite(value)]
    limits, counts = (np.frombuffer(made[number][0], "<f8") for number in (6, 7))
    assert len(limits) == len(counts)
    assert counts.sum() == made[3][0] == len(finite)
    assert made[4][0] == sum(finite)
    assert made[5][0] == sum(value**2 for value in finite)


def test_fit_writes_what_tensorboard_shows(trainer: str, tmp_path: Path) -> None:
    made = model()
    history = fit(made, [TensorBoard(tmp_path, histogram_freq=2, update_freq=3, write_steps_per_second=True)])
    train, held_out = read(tmp_path / "train"), read(tmp_path / "validation")
    for name in ("loss", "accuracy"):
        want = [(epoch, np.float32(value)) for epoch, value in enumerate(history[name])]
        assert train[f"epoch_{name}"] == want
        assert held_out[f"epoch_{name}"] == [(at, np.float32(value)) for at, value in enumerate(history[f"val_{name}"])]
        assert [step for step, _ in train[f"batch_{name}"]] == [3, 6, 9, 12, 15]
    assert [step for step, _ in held_out["evaluation_loss_vs_iterations"]] == [4, 8, 12, 16]
    assert train["epoch_learning_rate"] == [(epoch, np.float32(0.05)) for epoch in range(4)]
    assert all(value > 0 for _, value in train["epoch_steps_per_second"] + train["batch_steps_per_second"])
    shown = {tag.removesuffix("/histogram"): values for tag, values in train.items() if tag.endswith("/histogram")}
    assert set(shown) == set(made.state_dict())
    for path, values in shown.items():
        assert [step for step, _ in values] == [0, 2]
        assert values[0][1][3][0] == made.state_dict()[path].size


def test_evaluate_and_epochs_alone(tmp_path: Path) -> None:
    made = model()
    fit(made, [TensorBoard(tmp_path)], epochs=2, validation_data=None)
    assert set(read(tmp_path / "train")) == {"epoch_loss", "epoch_accuracy", "epoch_learning_rate"}
    assert not (tmp_path / "validation").exists()
    loss = made.evaluate(X, Y, verbose=0, callbacks=[TensorBoard(tmp_path)])[0]
    assert read(tmp_path / "validation")["evaluation_loss_vs_iterations"] == [(8, np.float32(loss))]


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(NotThereYetError, match="write_images"):
        TensorBoard(write_images=True)
    with pytest.raises(ArgumentError, match='update_freq of "epoch", "batch" or a number of batches'):
        TensorBoard(update_freq="never")


@pytest.mark.skipif(not importlib.util.find_spec("tensorboard"), reason="tensorboard reads its files")
def test_tensorboard_reads_the_files(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    history = fit(model(), [TensorBoard(tmp_path, histogram_freq=1)])
    found = EventAccumulator(str(tmp_path / "train"))
    found.Reload()
    np.testing.assert_allclose([one.value for one in found.Scalars("epoch_loss")], history["loss"], rtol=1e-6)
    assert len(found.Histograms("layers/0/embeddings/histogram")) == 4
