"""Layers that say in Keras's words that they support masking: those that mix steps after all are found at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from padless import Input, Layer, MaskError, Model, Ragged, layers

ROWS = [np.random.default_rng(n).normal(size=(n, 4)).astype(np.float32) for n in (3, 0, 2)]


class Ported(Layer):
    """Layers with `supports_masking = True` and no `mask`."""

    supports_masking = True


class MeanOfTime(Ported):
    def call(self, x: Any) -> Any:
        return self.xp.mean(x, axis=1)


class SharesOfTime(Ported):
    def call(self, x: Any) -> Any:
        e = self.xp.exp(x)
        return e / self.xp.sum(e, axis=1, keepdims=True)


class Running(Ported):
    def call(self, x: Any) -> Any:
        return self.xp.cumulative_sum(x, axis=1)


class AddsPlaces(Ported):
    def call(self, x: Any) -> Any:
        return x + self.backend.cast(self.xp.arange(x.shape[1]), self.dtype)[:, None] if x.ndim == 3 else x + 1


class Centred(Ported):
    def call(self, x: Any, training: bool = False) -> Any:
        return x - self.xp.mean(x, axis=-1, keepdims=True)


class Inner(Ported):
    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense, self.drop = layers.Dense(3), layers.Dropout(0.5)

    def call(self, x: Any) -> Any:
        return self.drop(self.dense(x))


class PackedOnly(Ported):
    def call(self, x: Any) -> Any:
        if x.ndim != 2:
            raise ValueError("(N, D)")
        return 2 * x


@pytest.mark.parametrize("kind", [MeanOfTime, SharesOfTime, Running, AddsPlaces])
def test_those_that_mix_steps_raise(backend: str, kind: type[Layer]) -> None:
    layer = kind(name="mixer")
    for _ in range(2):
        with pytest.raises(MaskError, match=r"layer 'mixer'(.|\n)*computed alone(.|\n)*axis=-1"):
            layer(Ragged.from_list(ROWS))
    dense = layer(np.ones((2, 5, 4), np.float32))
    assert dense.shape[0] == 2, "without rows it is as in Keras"
    if backend != "jax":
        with pytest.raises(MaskError, match="mixer"):
            Model(x := Input((None, 4)), kind(name="mixer")(x))


@pytest.mark.parametrize("kind", [Centred, Inner, PackedOnly])
def test_those_that_do_not_are_taken_at_their_word(backend: str, kind: type[Layer]) -> None:
    layer = kind()
    y = layer(Ragged.from_list(ROWS))
    assert y.rows.row_lengths.tolist() == [3, 0, 2]
    assert Model(x := Input((None, 4)), kind()(x))(ROWS)[0].shape[0] == 3


def test_trying_leaves_no_trace(backend: str) -> None:
    class Counting(Ported):
        def build(self, spec: Any) -> None:
            self.calls = self.add_state("calls", (1,))

        def call(self, x: Any) -> Any:
            self.assign("calls", self.calls + 1)
            self.add_loss(self.xp.sum(self.calls))
            return x

    layer = Counting()
    layer(Ragged.from_list(ROWS))
    assert layer.state_dict()["calls"] == 1
    assert len(layer.losses) == 1
