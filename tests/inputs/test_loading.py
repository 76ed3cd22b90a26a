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


def test_rows_of_a_torch_dataset() -> None:
    data = pytest.importorskip("torch.utils.data")
    torch = pytest.importorskip("torch")

    class Rows(data.Dataset):  # type: ignore[misc]
        def __init__(self, *parts: Any) -> None:
            self.parts = parts

        def __len__(self) -> int:
            return len(IDS)

        def __getitem__(self, row: int) -> Any:
            found = tuple(part[row] for part in self.parts)
            return found if len(found) > 1 else found[0]

    tensors = [torch.tensor(row) for row in IDS]
    weights = [1.0, 2.0, 0.5, 3.0]
    how: dict[str, Any] = {"batch_size": 2, "epochs": 2, "verbose": 0}
    for parts, given in (
        ((tensors, LABELS), (IDS, LABELS)),
        ((IDS, torch.tensor(LABELS), weights), (IDS, LABELS, weights)),
    ):
        expected = classifier().fit(*given[:2], sample_weight=(*given, None)[2], **how).history["loss"]
        assert classifier().fit(Rows(*parts), **how).history["loss"] == expected
    model = classifier()
    np.testing.assert_array_equal(model.predict(Rows(IDS), verbose=0), model.predict(IDS, verbose=0))
    split = data.random_split(Rows(IDS, LABELS), [3, 1], generator=torch.Generator().manual_seed(0))[0]
    assert model.evaluate(split, verbose=0) == model.evaluate(
        [IDS[row] for row in split.indices], np.array(LABELS)[list(split.indices)], verbose=0
    )
    named = Rows([{"ids": row} for row in IDS], LABELS)
    ids = padless.Input((None,), dtype="int32", name="ids")
    by_name = padless.Model({"ids": ids}, layers.GlobalMaxPooling1D()(layers.Embedding(10, 2)(ids)))
    np.testing.assert_array_equal(by_name.predict(named, verbose=0), by_name.predict({"ids": IDS}, verbose=0))


def test_a_torch_dataset_that_is_none_of_rows() -> None:
    data = pytest.importorskip("torch.utils.data")

    class Stream(data.IterableDataset):  # type: ignore[misc]
        def __iter__(self) -> Any:
            return iter(zip(IDS, LABELS, strict=True))

    with pytest.raises(DataError, match=r"Stream: expected batches(.|\n)*DataLoader\(dataset, batch_size=32"):
        classifier().fit(Stream(), verbose=0)
    rows: Any = data.StackDataset(IDS, LABELS)
    with pytest.raises(padless.errors.ArgumentError, match="targets within the rows"):
        classifier().fit(rows, LABELS, verbose=0)
    with pytest.raises(DataError, match="1 parts in row 1, 2 in row 0"):
        classifier().fit(
            data.ConcatDataset([data.StackDataset(IDS[:1], LABELS[:1]), data.StackDataset(IDS)]), verbose=0
        )
    with pytest.raises(DataError, match="at least one row"):
        classifier().fit(data.Subset(rows, []), verbose=0)
