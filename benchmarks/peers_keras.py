"""Keras as a contestant; KERAS_BACKEND must say on which backend before this is imported."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np

from benchmarks.data import Data
from benchmarks.models import build
from benchmarks.peers import Peer, Task, row_losses

# Keras says once per layer that the mask is lost; the comparison of losses shows it.
warnings.filterwarnings("ignore", message=".*mask.*")


class Batches(keras.utils.PyDataset):
    """Ready batches: nothing but handing them over is left to do."""

    def __init__(self, made: list[tuple[np.ndarray, np.ndarray]]) -> None:
        super().__init__()
        self.made = made

    def __len__(self) -> int:
        return len(self.made)

    def __getitem__(self, at: int) -> tuple[np.ndarray, np.ndarray]:
        return self.made[at]


class Keras(Peer):
    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = build(keras, task.spec, task.vocabulary, task.classes)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.model.set_weights(weights)

    def _length(self, longest: int) -> int | None:
        return longest if self.task.variant == "fixed" else None

    def ready(self, data: Data, batches: list[list[int]], longest: int) -> Any:
        return [data.padded(rows, self._length(longest)) for rows in batches]

    def train(self, made: Any) -> None:
        if self.task.backend == "tensorflow":
            # A generator with its shapes told: one trace for all lengths, where PyDataset would do the same slower.
            self.model.fit(self._dataset(made), shuffle=False, verbose=0)
        else:
            self.model.fit(Batches(made), shuffle=False, verbose=0)
        # Until the last step is done: JAX gives arrays before they are computed.
        keras.ops.convert_to_numpy(self.model.trainable_variables[-1])

    def _dataset(self, made: Any) -> Any:
        import tensorflow as tf

        def batches() -> Iterator[tuple[np.ndarray, np.ndarray]]:
            yield from made

        x, y = made[0]
        shapes = (
            tf.TensorSpec((None, None, *x.shape[2:]), x.dtype),
            tf.TensorSpec((None, *(None for _ in y.shape[1:])), y.dtype),
        )
        return tf.data.Dataset.from_generator(batches, output_signature=shapes).prefetch(2)

    def losses(self, data: Data, rows: list[int], longest: int) -> tuple[list[float], float]:
        x, y = data.padded(rows, self._length(longest))
        found = np.asarray(self.model.predict_on_batch(x))
        return row_losses(data, rows, list(found)), float(np.ravel(self.model.test_on_batch(x, y))[0])

    def requests(self, data: Data, groups: list[list[int]], longest: int) -> list[Any]:
        return [data.padded(rows, self._length(longest))[0] for rows in groups]

    def answer(self, made: Any) -> None:
        np.asarray(self.model.predict_on_batch(made))
