"""Where the features of an input stand: last, or first after the batch."""

from __future__ import annotations

from typing import Any

from padless.errors import MaskError, explain
from padless.layer import Layer
from padless.layers.arguments import word
from padless.ragged import Ragged
from padless.spec import Spec


class FeatureAxis(Layer):
    """A layer with Keras's `data_format`: `build` and `call` see features last, whatever the input has.

    Subclasses hand the argument to `_read_format`. With "channels_first", the features of an array (B, D, ...) are
    moved to the end before the layer, and back behind it. Rows have their features last.
    """

    def _read_format(self, data_format: str | None) -> None:
        known = ("channels_last", "channels_first")
        self.data_format = word(self.place, "data_format", data_format or known[0], known)

    def _spec_seen(self, spec: Spec) -> Spec:
        if self.data_format == "channels_last" or len(spec) < 3:
            return spec
        if spec.ragged:
            raise MaskError(self._rows_error())
        return Spec((spec[0], *spec[2:], spec[1]), spec.dtype, ragged=False)

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # What cannot read rows at all says so itself.
        if self.data_format == "channels_last" or (isinstance(x, Ragged) and self.view is None):
            return super()._dispatch(x, args, kwargs)
        if isinstance(x, Ragged):
            raise MaskError(self._rows_error())
        y = super()._dispatch(self.xp.moveaxis(x, 1, -1) if x.ndim > 2 else x, args, kwargs)
        return self.xp.moveaxis(y, -1, 1)

    def _rows_error(self) -> str:
        return explain(
            f"{self.place}: data_format",
            expected="features as last axis, where rows have unequal length",
            got="'channels_first', and rows",
            fix="data_format='channels_last'",
        )
