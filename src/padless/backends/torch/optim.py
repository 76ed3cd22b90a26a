"""Optimizers of torch.optim, and others of their kind, as optimizers of padless."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from padless.backends.base import Array, Backend
from padless.backends.torch import embedding
from padless.errors import ArgumentError, explain
from padless.optimizers import Absent, Optimizer


class TorchOptimizer(Optimizer):
    """An optimizer of torch as one of padless.

    What it remembers lies in `slots`, by its names and the paths of the weights, and is lent to the optimizer for a
    step. So a weight that is frozen and later trained again finds its own, as it does with padless's optimizers.

    Args:
        make: makes the optimizer of a list of parameters: a class of torch.optim, a functools.partial of one, or a
            function.

    Raises:
        ArgumentError: when it cannot be made without further arguments, makes something else, or what it makes wants
            to compute the loss itself.

    Example:
        >>> import functools, torch
        >>> from padless import backends
        >>> optimizer = TorchOptimizer(functools.partial(torch.optim.SGD, lr=0.5))
        >>> optimizer.apply(backends.get("torch"), {"w": torch.ones(1)}, {"w": torch.ones(1)})["w"].tolist()
        [0.5]
    """

    def __init__(self, make: Callable[[list[torch.nn.Parameter]], Any]) -> None:
        super().__init__(0.0)
        self.make = make
        self._parameters: dict[str, torch.nn.Parameter] = {}
        self._made = self._new([torch.nn.Parameter(torch.zeros(1))])

    def _new(self, parameters: list[torch.nn.Parameter]) -> torch.optim.Optimizer:
        problem: Exception | None = None
        try:
            made = self.make(parameters)
        except TypeError as error:
            problem, made = error, None
        if not isinstance(made, torch.optim.Optimizer) or isinstance(made, torch.optim.LBFGS):
            raise ArgumentError(
                explain(
                    "optimizer",
                    expected="what makes an optimizer of torch.optim of a list of parameters, one that is given "
                    "gradients",
                    got=f"{self.make!r}, which " + (f"raises {problem}" if problem else f"makes {made!r}"),
                    fix="functools.partial(torch.optim.SGD, lr=0.1)",
                )
            )
        return made

    # ---- what is remembered

    def prepare(self, backend: Backend, weights: dict[str, Array]) -> None:
        """Make parameters of weights that have none yet.

        Args:
            backend: torch.
            weights: arrays by path.
        """
        fresh = [path for path in weights if path not in self._parameters]
        if not fresh:
            return
        self._parameters |= {path: torch.nn.Parameter(weights[path].detach()) for path in fresh}
        before, self._made = self._made, self._new(list(self._parameters.values()))
        for group in self._made.param_groups:
            group |= {name: value for name, value in before.param_groups[0].items() if name != "params"}
        for path in fresh:  # some begin with something
            self._note(path)

    def _note(self, path: str) -> None:
        for name, value in self._made.state.get(self._parameters[path], {}).items():
            self.slots.setdefault(name, {})[path] = value

    def held(self, weights: Any) -> Any:
        """Nothing: what is remembered is changed in place.

        Args:
            weights: not used.

        Returns:
            An empty dict.
        """
        return {}

    # ---- the step

    def numbers(self) -> dict[str, Any]:
        """Nothing but the count: the learning rate is torch's own affair."""
        return {"iteration": self.iterations, "learning_rate": 0.0}

    def step(
        self,
        backend: Backend,
        weights: dict[str, Array],
        gradients: dict[str, Array],
        slots: Any,
        learning_rate: float,
        iteration: int,
    ) -> tuple[dict[str, Array], Any]:
        """Take the step that torch would, in place.

        Args:
            backend: torch.
            weights: arrays by path.
            gradients: arrays by path, one for each weight.
            slots: not used.
            learning_rate: not used.
            iteration: not used.

        Returns:
            The weights, and nothing.
        """
        gradients = {path: embedding.whole(gradients[path], weight) for path, weight in weights.items()}
        for path, parameter in self._parameters.items():
            parameter.grad = None
            if path in weights:
                # The very memory of the weight: another tensor may stand there since the last step.
                parameter.data, parameter.grad = weights[path], gradients[path]
                own = {name: slot[path] for name, slot in self.slots.items() if path in slot}
                if own:
                    self._made.state[parameter] = own
        self._made.step()
        for path in weights:
            self._note(path)
            self._parameters[path].grad = None
        return weights, {}

    # ---- the learning rate

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(self._made.param_groups[0]["lr"])

    @learning_rate.setter
    def learning_rate(self, value: Any) -> None:
        for group in self._made.param_groups:
            group["lr"] = float(value)

    # ---- config

    def for_file(self, given: Any) -> Any:
        """A stand-in: functions cannot be saved.

        Args:
            given: what makes the optimizer.

        Returns:
            An optimizer that says so.
        """
        return Absent(f"{type(self._made).__name__} of torch")

    def get_config(self) -> dict[str, Any]:
        """What makes the optimizer, which no file can hold.

        Returns:
            The argument by its name.
        """
        return {"make": self.make}
