"""What issue 5 wants to reach, as ratios padless / peer in one run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.orchestrator import Result


@dataclass(frozen=True)
class Target:
    """A ratio to reach and one to aim at.

    Attributes:
        against: said in the table.
        peers: the fastest of them counts.
        reach, aim: see above.
    """

    against: str
    peers: tuple[str, ...]
    reach: float
    aim: float

    def line(self, results: Sequence[Result]) -> list[str] | None:
        own = {r.who.name: r for r in results if r.who.library == "padless" and r.who.backend == "torch" and r.speeds}
        rivals = [r for r in results if r.who.name in self.peers and r.speeds]
        if not own or not rivals:
            return None
        best = max(rivals, key=lambda r: r.speed)
        ratios = {name: r.speed / best.speed for name, r in own.items()}
        most = max(ratios.values())
        each = [f"{ratios[name]:.2f}" if name in ratios else "" for name in ("padless random", "padless grouped")]
        verdict = least(most, self.reach, self.aim)
        return [self.against, best.who.name, *each, f"{self.reach:g}", f"{self.aim:g}", verdict]


HEAD = ["against", "which is", "padless random / it", "padless grouped / it", "reach", "aim at", ""]


def _keras(variant: str) -> tuple[str, ...]:
    return tuple(f"Keras {backend} {variant}" for backend in ("torch", "jax", "tensorflow"))


def _padded(reach: float, aim: float) -> Target:
    return Target("best Keras padded per batch", _keras("padded"), reach, aim)


def _bucketed(reach: float, aim: float) -> Target:
    return Target("best Keras bucketed", _keras("bucketed"), reach, aim)


ANY_KERAS = Target("best Keras", tuple(n for v in ("padded", "fixed", "bucketed") for n in _keras(v)), 3, 10)
EQUAL = (Target("PyTorch padded", ("PyTorch padded",), 0.97, 1), Target("best Keras padded", _keras("padded"), 0.97, 1))
TARGETS: dict[str, tuple[Target, ...]] = {
    "bilstm64": (
        _padded(5, 8),
        _bucketed(2.5, 4),
        Target("PyTorch padded", ("PyTorch padded",), 6, 12),
        Target("PyTorch packed", ("PyTorch packed",), 10, 30),
    ),
    "gru64": (_padded(5, 8), _bucketed(2.5, 4)),
    "conv": (_padded(2, 2.6), _bucketed(1.1, 1.4)),
    "encoder128": (
        _padded(5, 8),
        _bucketed(1.3, 1.8),
        Target("PyTorch padded", ("PyTorch padded",), 4, 6),
        Target("PyTorch bucketed", ("PyTorch bucketed",), 1.5, 2.2),
    ),
    "bag": (ANY_KERAS,),
    **{f"{name}-equal": EQUAL for name in ("bilstm64", "conv", "encoder128")},
}
SHARE = (0.45, 0.65)
"""Of the measured product ceiling, for the LSTM of 256 units."""
SLOPE = (1.05, 1.02)
MEMORY = (0.42, 0.38)
OVERHEAD = (15, 8)
IMPORT = (0.3, 0.15)
FEED = (10.5, 30)
"""Million ids a second: three times, and some nine times, what the bag of embeddings trains on."""
TEXT = (2, 4)
PADDING = {"arrays": (2.0, 2.7), "lists": (1.3, 2.0)}


def verdict(value: float, reach: float, aim: float) -> str:
    """For what should be small."""
    return "aim met" if value <= aim else "met" if value <= reach else "missed"


def least(value: float, reach: float, aim: float) -> str:
    """For what should be large."""
    return "aim met" if value >= aim else "met" if value >= reach else "missed"
