"""The averages of weights that an optimizer keeps, in the place of the weights while something else looks at them."""

from __future__ import annotations

from typing import Any

import numpy as np

from padless.callbacks.base import Callback, Logs
from padless.errors import ArgumentError, explain


class SwapEMAWeights(Callback):
    """Evaluate and predict with the averages of the weights, and train on with the weights.

    Args:
        swap_on_epoch: whether the averages also stand in the model from the end of an epoch to the beginning of the
            next, for callbacks that come after this one, such as ModelCheckpoint.

    Raises:
        ArgumentError: while training, when the optimizer keeps no averages.

    Source: Keras 3.15's callback of that name, of which the averages survive an early stop here, too.

    Example:
        >>> import numpy as np, padless
        >>> model = padless.Sequential([padless.layers.Dense(1)])
        >>> model.compile(padless.optimizers.SGD(0.1, use_ema=True), "mse")
        >>> x = np.ones((4, 2), np.float32)
        >>> history = model.fit(x, x[:, :1], verbose=0, validation_data=(x, x[:, :1]), callbacks=[SwapEMAWeights()])
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        super().__init__()
        self.swap_on_epoch = swap_on_epoch
        self._kept: dict[str, Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Refuse an optimizer without averages."""
        self._kept = None
        self._require()

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the averages in, if asked to."""
        if self.swap_on_epoch:
            self._put_in()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._put_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._put_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_back()

    def _require(self) -> None:
        optimizer = self.model.optimizer
        if optimizer is None or not optimizer.use_ema:
            got = "no optimizer" if optimizer is None else f"{type(optimizer).__name__}(use_ema=False)"
            fix = "optimizers.Adam(use_ema=True)"
            raise ArgumentError(
                explain("SwapEMAWeights", expected="an optimizer that averages weights", got=got, fix=fix)
            )

    def _put_in(self) -> None:
        self._require()
        averages = self.model.optimizer.slots.get("average", {})
        if self._kept is None and averages:
            slots = self.model.weight_slots()
            self._kept = {path: slots[path][0].__dict__[slots[path][1]] for path in averages if path in slots}
            self._place({path: averages[path] for path in self._kept})

    def _put_back(self) -> None:
        if self._kept is not None:
            self._place(self._kept)
            self._kept = None

    def _place(self, arrays: dict[str, Any]) -> None:
        slots = self.model.weight_slots()
        for path, array in arrays.items():
            layer, name = slots[path]
            layer.__dict__[name] = array

    def get_state(self) -> dict[str, Any] | None:
        """The weights, while the averages are in their place."""
        if self._kept is None:
            return None
        return {path: np.array(self.model.backend.to_host(array)) for path, array in self._kept.items()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Keep the weights, to be put back."""
        self._kept = {path: self.model.backend.asarray(np.array(array)) for path, array in state.items()}
