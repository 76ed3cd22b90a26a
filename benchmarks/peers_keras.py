"""Keras as a contestant; KERAS_BACKEND must say on which backend before this is imported."""

from __future__ import annotations

import warnings
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


def _dataset(made: list[tuple[np.ndarray, np.ndarray]]) -> Any:
    """Ready batches for TensorFlow, with one trace for all lengths.

    It is made once and kept in memory: four batches of the convolution took 160 ms from it, and 180 or 320 by turns
    from one that was made for each `fit`, or from a PyDataset.
    """
    import tensorflow as tf

    x, y = made[0]
    shapes = (
        tf.TensorSpec((None, None, *x.shape[2:]), x.dtype),
        tf.TensorSpec((None, *(None for _ in y.shape[1:])), y.dtype),
    )
    return tf.data.Dataset.from_generator(lambda: iter(made), output_signature=shapes).cache().prefetch(2)


class Keras(Peer):
    def __init__(self, task: Task) -> None:
        self.task = task
        self.model = build(keras, task.spec, task.vocabulary, task.classes)

    def set_weights(self, weights: list[np.ndarray]) -> None:
        self.model.set_weights(weights)

    def _length(self, longest: int) -> int | None:
        return longest if self.task.variant == "fixed" else None

    def ready(self, data: Data, batches: list[list[int]], longest: int) -> Any:
        made = [data.padded(rows, self._length(longest)) for rows in batches]
        return _dataset(made) if self.task.backend == "tensorflow" else Batches(made)

    def train(self, made: Any) -> None:
        self.model.fit(made, shuffle=False, verbose=0)
        # Until the last step is done: JAX gives arrays before they are computed.
        keras.ops.convert_to_numpy(self.model.trainable_variables[-1])

    def losses(self, data: Data, rows: list[int], longest: int) -> tuple[list[float], float]:
        x, y = data.padded(rows, self._length(longest))
        found = np.asarray(self.model.predict_on_batch(x))
        return row_losses(data, rows, list(found)), float(np.ravel(self.model.test_on_batch(x, y))[0])

    def requests(self, data: Data, groups: list[list[int]], longest: int) -> list[Any]:
        return [data.padded(rows, self._length(longest))[0] for rows in groups]

    def answer(self, made: Any) -> None:
        np.asarray(self.model.predict_on_batch(made))
