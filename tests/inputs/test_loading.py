"""Sources of batches: generators that change their mind, PyDataset, torch's DataLoader, tf.data."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import padless
from padless import Sequential, layers
from padless.errors import DataError

IDS = [[3, 1, 4], [1], [5, 9, 2, 6, 5], [2, 6]]
LABELS = [0, 1, 0, 1]

pytestmark = pytest.mark.usefixtures("trainer")


def classifier() -> Sequential:
    padless.utils.set_random_seed(0)
    model = Sequential([layers.Embedding(10, 4), layers.LSTM(3), layers.Dense(2, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def batches() -> Iterator[Any]:
    for at in (0, 2):
        yield IDS[at : at + 2], LABELS[at : at + 2]


class Halves(padless.utils.PyDataset):
    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.asked: list[int] = []
        self.ended = 0

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        self.asked.append(index)
        return list(batches())[index]

    def on_epoch_end(self) -> None:
        self.ended += 1


class ByNumber:
    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> Any:
        return list(batches())[index] if index < 2 else pytest.fail("asked for a batch that is not there")


def test_data_sets_that_give_batches_by_number() -> None:
    expected = classifier().fit(IDS, LABELS, batch_size=2, shuffle=False, epochs=2, verbose=0).history
    halves = Halves(workers=2, use_multiprocessing=True, max_queue_size=3)
    for source in (halves, ByNumber()):
        model = classifier()
        history = model.fit(source, shuffle=False, epochs=2, verbose=0).history
        np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-6)
        np.testing.assert_allclose(model.evaluate(source, verbose=0), model.evaluate(IDS, LABELS, verbose=0), rtol=1e-6)
    assert halves.asked == [0, 1] * 3
    assert halves.ended == 3
    classifier().fit(halves, epochs=8, verbose=0)
    assert len({tuple(halves.asked[at : at + 2]) for at in range(6, 22, 2)}) == 2, "shuffled: both orders come"


def test_a_loader_of_torch() -> None:
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")
    x, y = torch.tensor([[3, 1, 4], [1, 5, 9]]), torch.tensor([0, 1])
    model = classifier()
    expected = model.evaluate(x.numpy(), y.numpy(), verbose=0)
    loader = data.DataLoader(data.TensorDataset(x, y), batch_size=1)
    assert model.evaluate(loader, verbose=0) == pytest.approx(expected)
    rows: Any = list(zip(IDS, LABELS, strict=True))
    loader = data.DataLoader(rows, batch_size=2, collate_fn=lambda batch: tuple(map(list, zip(*batch, strict=True))))
    assert model.evaluate(loader, verbose=0) == pytest.approx(model.evaluate(IDS, LABELS, verbose=0))
    loader = data.DataLoader(IDS, batch_size=2, collate_fn=list)  # type: ignore[arg-type]
    np.testing.assert_allclose(model.predict(loader, verbose=0), model.predict(IDS, verbose=0), rtol=1e-6)


class TensorFlowData:
    """What padless uses of a tf.data.Dataset, with rows as its as_numpy_iterator gives them."""

    def __len__(self) -> int:
        raise TypeError("The dataset length is unknown.")

    def __iter__(self) -> Iterator[Any]:
        raise AssertionError("its own tensors are not asked for")

    def as_numpy_iterator(self) -> Iterator[Any]:
        for ids, labels in batches():
            splits = np.cumsum([0, *map(len, ids)])
            yield SimpleNamespace(values=np.concatenate(ids), row_splits=splits), np.array(labels)


def test_data_of_tensorflow() -> None:
    model = classifier()
    assert model.evaluate(TensorFlowData(), verbose=0) == pytest.approx(model.evaluate(IDS, LABELS, verbose=0))
    model.fit(TensorFlowData(), epochs=2, verbose=0)


@pytest.mark.parametrize(
    ("other", "got"),
    [
        (IDS, "nothing"),
        (([[[1], [2]]], [0]), "rows of steps of 1 numbers"),
        (({"ids": IDS}, LABELS), "{'ids': rows of numbers}"),
    ],
)
def test_a_generator_that_yields_another_structure(other: Any, got: str) -> None:
    model = classifier()

    def changing() -> Iterator[Any]:
        yield from batches()
        yield from batches()
        yield other

    with pytest.raises(DataError, match=r"(?s)batch 0 of epoch 3.*\(rows of numbers, 1 axes of numbers\)") as caught:
        model.fit(changing(), steps_per_epoch=2, epochs=3, verbose=0)
    assert got in str(caught.value)
    assert model.history is not None
    assert len(model.history.history["loss"]) == 2, "the training so far is kept"


def test_a_wrong_batch_is_named() -> None:
    def wrong() -> Iterator[Any]:
        yield from batches()
        yield [[1], ["a"]], [0, 1]

    with pytest.raises(DataError, match=r"(?s)batch 2 of epoch 1.*row 1 with 'a' in it"):
        classifier().fit(wrong(), verbose=0)
