"""Muon: matrices move by the nearest orthogonal one to their momentum; everything else by AdamW."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from padless.optimizers.arguments import share
from padless.optimizers.base import Array, LearningRate, Optimizer, Slots, lost


class Muon(Optimizer):
    """Moves of matrices with all singular values near 1, made of their momentum; other weights take AdamW's step.

    AdamW's are those that are not matrices, tables of embeddings, and the layers that `exclude_layers` names: the last
    layer of a classifier should be one.

    Args:
        learning_rate: a number, a schedule, or a function without arguments.
        adam_beta_1: share of the running mean that AdamW keeps at each step.
        adam_beta_2: share of the running mean of squares that it keeps.
        adam_weight_decay: weight decay of AdamW's weights; None for none.
        epsilon: added to the root of the running mean of squares.
        weight_decay: weight decay of the other matrices.
        exclude_layers: words or regular expressions; a weight whose path, or whose layer's name, holds one is AdamW's.
        exclude_embeddings: whether tables of embeddings are AdamW's.
        muon_a: of x in the odd polynomial that brings singular values near 1.
        muon_b: of its cube.
        muon_c: of its fifth power.
        adam_lr_ratio: AdamW's learning rate, as a share.
        momentum: share of the momentum that is kept at each step.
        ns_steps: how often the polynomial is applied.
        nesterov: look ahead along the momentum.
        rms_rate: root mean square of a move, before the learning rate; None for singular values near 1.
        **common: see `Common`.

    Raises:
        ArgumentError: when a share is not from 0 to 1.

    Example:
        >>> import numpy as np
        >>> Muon().slots_of("dense/kernel", np.ones((2, 3))), Muon().slots_of("dense/bias", np.ones(3))
        (('momentum',), ('momentum', 'velocity'))

    Source: Jordan and others 2024; Liu and others 2025 (rms_rate); Keras 3.15.
    """

    def __init__(
        self,
        learning_rate: LearningRate | Mapping[str, Any] = 0.001,
        adam_beta_1: float = 0.9,
        adam_beta_2: float = 0.999,
        adam_weight_decay: float | None = 0.004,
        epsilon: float = 1e-7,
        weight_decay: float | None = 0.004,
        *,
        exclude_layers: Sequence[str] | None = None,
        exclude_embeddings: bool = True,
        muon_a: float = 3.4445,
        muon_b: float = -4.7750,
        muon_c: float = 2.0315,
        adam_lr_ratio: float = 1,
        momentum: float = 0.95,
        ns_steps: int = 5,
        nesterov: bool = True,
        rms_rate: float | None = 0.2,
        **common: Any,
    ) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **common)
        self.adam_beta_1 = share("Muon", "adam_beta_1", adam_beta_1)
        self.adam_beta_2 = share("Muon", "adam_beta_2", adam_beta_2)
        self.adam_weight_decay = adam_weight_decay
        self.epsilon = epsilon
        self.exclude_layers = tuple(exclude_layers or ())
        self.exclude_embeddings = exclude_embeddings
        self.muon_a = muon_a
        self.muon_b = muon_b
        self.muon_c = muon_c
        self.adam_lr_ratio = adam_lr_ratio
        self.momentum = share("Muon", "momentum", momentum)
        self.ns_steps = ns_steps
        self.nesterov = nesterov
        self.rms_rate = rms_rate

    @property
    def slot_names(self) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity")

    def slots_of(self, path: str, weight: Array) -> tuple[str, ...]:  # noqa: D102
        return ("momentum", "velocity") if self._takes_adamw(path, weight) else ("momentum",)

    def _takes_adamw(self, path: str, weight: Array) -> bool:
        if weight.ndim != 2:
            return True
        names = (path, self.names.get(path, path))
        if self.exclude_embeddings and (path in self.tables or any("embedding" in name.lower() for name in names)):
            return True
        return any(re.search(word, name) for word in self.exclude_layers for name in names)

    def decay_of(self, path: str, weight: Array) -> float | None:  # noqa: D102
        return self.adam_weight_decay if self._takes_adamw(path, weight) else self.weight_decay

    def rule(  # noqa: D102
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        if "velocity" in slots:
            return self._adamw(xp, weight, gradient, slots, learning_rate * self.adam_lr_ratio, iteration)
        m = slots["momentum"] + gradient + slots["momentum"] * (self.momentum - 1)
        move = learning_rate * self._orthogonal(xp, gradient + self.momentum * m if self.nesterov else m)
        if self.rms_rate is not None:
            move = move * (max(weight.shape) ** 0.5 * self.rms_rate)
        return weight - move, {"momentum": m}

    def _orthogonal(self, xp: Any, x: Array) -> Array:
        """A matrix with the singular vectors of x, with singular values of 0.7 to 1.2 where its own are not tiny."""
        tall = x.shape[0] > x.shape[1]
        x = x.T if tall else x
        x = x / (xp.sqrt(xp.sum(x * x)) + 1e-7)
        for _ in range(self.ns_steps):
            square = x @ x.T
            x = self.muon_a * x + (self.muon_b * square + self.muon_c * square @ square) @ x
        return x.T if tall else x

    def _adamw(
        self, xp: Any, weight: Array, gradient: Array, slots: Slots, learning_rate: float, iteration: int
    ) -> tuple[Array, Slots]:
        lost_1, lost_2 = (lost(xp, beta, iteration + 1) for beta in (self.adam_beta_1, self.adam_beta_2))
        m = slots["momentum"] + (gradient - slots["momentum"]) * (1 - self.adam_beta_1)
        v = slots["velocity"] + (gradient * gradient - slots["velocity"]) * (1 - self.adam_beta_2)
        move = learning_rate * lost_2**0.5 / lost_1 * m / (xp.sqrt(v) + self.epsilon)
        return weight - move, {"momentum": m, "velocity": v}

    def get_config(self) -> dict[str, Any]:  # noqa: D102
        own = ("adam_beta_1", "adam_beta_2", "adam_weight_decay", "epsilon", "exclude_embeddings", "muon_a", "muon_b")
        more = ("muon_c", "adam_lr_ratio", "momentum", "ns_steps", "nesterov", "rms_rate")
        made = {name: getattr(self, name) for name in (*own, *more)}
        return {**super().get_config(), **made, "exclude_layers": list(self.exclude_layers)}
