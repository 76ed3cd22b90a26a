"""Whole numbers of a graph that stand where NumPy's do: `lengths.py` says in NumPy how rows come of rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

Tensor = torch.Tensor

_UFUNCS: dict[str, Callable[..., Any]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "floor_divide": lambda a, b: torch.div(a, b, rounding_mode="floor"),
    "remainder": torch.remainder,
    "negative": torch.neg,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "bitwise_and": torch.logical_and,
}


class Numbers(np.lib.mixins.NDArrayOperatorsMixin):
    """A tensor of whole numbers or bools to which NumPy hands its functions.

    Args:
        tensor: the numbers.

    Example:
        >>> (np.maximum(Numbers(torch.tensor([1, 5])) - 2, 0) * np.arange(2)).tensor.tolist()
        [0, 3]
    """

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __getitem__(self, key: Any) -> Numbers:
        return Numbers(self.tensor[key])

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        known = _UFUNCS.get(ufunc.__name__)
        if known is None or method != "__call__" or kwargs:
            return NotImplemented
        return Numbers(known(*(self._beside(one) for one in inputs)))

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if function not in _FUNCTIONS:
            return NotImplemented
        return Numbers(_FUNCTIONS[function](*(self._beside(one) for one in args), **kwargs))

    def _beside(self, x: Any) -> Tensor:
        if isinstance(x, Numbers):
            return x.tensor
        if isinstance(x, Tensor):
            return x
        if isinstance(x, np.ndarray):
            kind = torch.bool if x.dtype == np.bool_ else torch.int64
            return torch.tensor(x.tolist(), dtype=kind, device=self.tensor.device)
        return torch.as_tensor(x, dtype=torch.int64, device=self.tensor.device)


def _clip(x: Tensor, least: Tensor, most: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(x, least), most)


_FUNCTIONS: dict[Any, Callable[..., Any]] = {
    np.where: torch.where,
    np.clip: _clip,
    np.full_like: torch.full_like,
}
