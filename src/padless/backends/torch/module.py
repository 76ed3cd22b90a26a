"""A model as a module of PyTorch: parameters and buffers that share their memory with the model's arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from padless import random
from padless.errors import ArgumentError, BackendError, explain
from padless.layer import Layer, calling, substituted
from padless.model import Model
from padless.ragged import Ragged

Tensor = torch.Tensor


class TorchModule(nn.Module):
    """What `Model.as_torch_module` gives.

    Weights that are trained are parameters, those of layers with `trainable = False` parameters without a gradient, and
    what layers move themselves, such as moving means, buffers; each by its path in the model. The buffer `drawn` counts
    training steps, for dropout.

    Args:
        model: built, on torch.
    """

    drawn: Tensor

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self._losses: list[Tensor] = []
        self._seed = random.next_seed()
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))
        for path, (layer, name) in model.weight_slots().items():
            array = layer.__dict__[name].detach()
            if layer._weights[name].trainable:
                self.register_parameter(path, nn.Parameter(array, requires_grad=layer.trains(name)))
            else:
                self.register_buffer(path, array)
        self._share()

    # ---- one memory

    def _arrays(self) -> dict[str, Tensor]:
        """Parameters and buffers by path, without that of random numbers."""
        both = (*self._parameters.items(), *self._buffers.items())
        return {path: array for path, array in both if array is not None and path != "drawn"}

    def _share(self) -> None:
        """Have the model compute with the memory of parameters and buffers."""
        slots = self.model.weight_slots()
        self._shared: dict[str, Tensor] = {}
        for path, array in self._arrays().items():
            layer, name = slots[path]
            self._shared[path] = layer.__dict__[name] = array.detach()

    def _follow(self) -> None:
        """Take over what one side has put in place of an array of both."""
        slots = self.model.weight_slots()
        for path, array in self._arrays().items():
            layer, name = slots[path]
            if layer.__dict__[name] is not self._shared[path]:
                with torch.no_grad():
                    array.copy_(layer.__dict__[name])
        self._share()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> TorchModule:
        self._follow()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        layers: list[Layer] = [self.model, *(layer for _, layer in self.model.inner_layers())]
        slots, kinds = self.model.weight_slots(), set()
        for path, array in self._arrays().items():
            layer, name = slots[path]
            layer._weights[name].dtype = str(array.dtype).rpartition(".")[2]
            kinds |= {layer._weights[name].dtype} if array.is_floating_point() else set()
        if len(kinds) == 1:
            for layer in layers:
                layer.dtype = next(iter(kinds))
        self._share()
        return self

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """Parameters and buffers by path.

        Args:
            *args: as of `torch.nn.Module`.
            **kwargs: as of `torch.nn.Module`.

        Returns:
            A dict.
        """
        self._follow()
        return super().state_dict(*args, **kwargs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._follow()
        super()._load_from_state_dict(*args, **kwargs)
        self._share()

    def __getstate__(self) -> dict[str, Any]:
        self._follow()
        # Losses hang on the graph of a step, which nobody can copy.
        return {**self.__dict__, "_losses": [], "_shared": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self._share()

    # ---- the call

    def forward(self, x: Any, *, mask: Any = None, row_splits: Any = None) -> Any:
        """Compute the output, with gradients.

        Args:
            x: what the model takes: a Ragged, a list of sequences, a padded tensor (B, T, ...); or packed steps
                (N, ...) beside `row_splits`.
            mask: (B, T) bool beside a padded tensor.
            row_splits: (B+1,) where rows begin and end, beside packed steps.

        Returns:
            As the model gives it; a Ragged for packed steps, where rows do not end.
        """
        self._follow()
        if row_splits is not None:
            if mask is not None:
                fix = "row_splits beside packed steps, a mask beside a padded tensor"
                raise ArgumentError(explain("forward", expected="row_splits or mask", got="both", fix=fix))
            x = Ragged.from_row_splits(x, row_splits)
        self._require_place()
        model = self.model
        added: list[Tensor] = []
        step = int(self.drawn) if self.training else 0
        rank = torch.distributed.get_rank() if _distributed() else 0
        calls = calling(training=self.training, losses=lambda layer, value: added.append(value))
        drawing = random.drawing(self._seed + rank, step)
        with model._lock, substituted(model, self._arrays()) as assigned, drawing, calls:
            entered, form = model._enter_inputs(x, mask)
            y = model._run(entered)
            added += model.regularization()
        self._losses = added
        with torch.no_grad():
            for path, array in assigned.items():
                self._arrays()[path].copy_(array)
            if self.training:
                self.drawn += 1
        return model._last_form(form, entered).leave(y)

    def _require_place(self) -> None:
        wanted = self.model.backend.device
        first = next(iter(self._arrays().values()), None)
        if first is not None and first.device.type != wanted.type:
            raise BackendError(
                explain(
                    "forward",
                    expected=f"weights on {wanted.type}, where padless puts data in this process",
                    got=f"weights on {first.device.type}",
                    fix=f"module.to({wanted.type!r})",
                )
            )

    @property
    def losses(self) -> list[Tensor]:
        """What regularizers and layers add to the loss, of the last call; add them to yours."""
        return self._losses

    def constrain(self) -> None:
        """Apply the constraints of weights, if there are any; to be called after `optimizer.step()`."""
        slots = self.model.weight_slots()
        with torch.no_grad():
            for path, parameter in self._parameters.items():
                layer, name = slots[path]
                rule = layer._weights[name].constraint
                if rule is not None and layer.trains(name) and parameter is not None:
                    parameter.copy_(rule(parameter.detach()))


def _distributed() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()
