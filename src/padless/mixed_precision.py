"""In which precision layers compute and keep their weights: Keras's dtype policies.

A policy is read when a layer is made. "mixed_bfloat16" and "mixed_float16" keep weights in float32 and compute in 16
bits; what adds numbers up (`Layer.sums`, and `SUMMING` of backends/base.py) does so in float32 under every policy.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Self

from padless.errors import ArgumentError, NotThereYetError, explain, nearest
from padless.named import Configured

if TYPE_CHECKING:
    from padless.optimizers import LossScaleOptimizer

__all__ = [
    "HALVES",
    "DTypePolicy",
    "LossScaleOptimizer",
    "Policy",
    "config_of",
    "dtype_policy",
    "floatx",
    "get",
    "global_policy",
    "set_dtype_policy",
    "set_floatx",
    "set_global_policy",
]

HALVES = frozenset({"float16", "bfloat16"})
"""Dtypes in which sums of many numbers go wrong: bfloat16 cannot count beyond 256, float16 ends at 65,504."""
_MIXED = {"mixed_float16": "float16", "mixed_bfloat16": "bfloat16"}
_WIDTHS = ("8", "16", "32", "64")
_FLOATS = ("float16", "bfloat16", "float32", "float64")
_DTYPES = (*_FLOATS, *(f"{kind}{width}" for kind in ("int", "uint") for width in _WIDTHS), "bool", "string", "object")
_floatx = "float32"
_policy: DTypePolicy | None = None


class DTypePolicy(Configured):
    """In which dtype a layer computes, and in which it keeps its weights.

    Args:
        name: of a dtype, which both then are; or "mixed_bfloat16" or "mixed_float16": weights in float32, computing in
            16 bits. The global policy by default.

    Attributes:
        name: as given.
        compute_dtype: of what a layer computes and gives.
        variable_dtype: of its weights.

    Raises:
        ArgumentError: for a name that is not known.
        NotThereYetError: for one of Keras's quantized policies.

    Example:
        >>> policy = DTypePolicy("mixed_bfloat16")
        >>> policy.compute_dtype, policy.variable_dtype
        ('bfloat16', 'float32')
    """

    quantization_mode: None = None

    def __init__(self, name: str | None = None) -> None:
        given = dtype_policy().name if name is None else name
        if not isinstance(given, str) or given not in (*_MIXED, *_DTYPES):
            raise _unknown(given)
        self.name: str = given
        self.compute_dtype = _MIXED.get(given, given)
        self.variable_dtype = "float32" if given in _MIXED else given

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same policy.

        Returns:
            {"name": ...}.
        """
        return {"name": self.name}

    @classmethod
    def from_config(cls, config: Any) -> Self:
        """Make a policy of what `get_config` gave.

        Args:
            config: the arguments.

        Returns:
            The policy.
        """
        return cls(**config)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DTypePolicy) and other.name == self.name

    def __hash__(self) -> int:
        return hash(self.name)

    def __repr__(self) -> str:
        return f'<DTypePolicy "{self.name}">'


Policy = DTypePolicy


def _unknown(name: Any) -> Exception:
    words = ("int8_from_", "int4", "float8_from_", "gptq", "awq")
    if isinstance(name, str) and name.startswith(words):
        got, fix = "a quantized one of Keras's", "mixed_bfloat16, or float32"
        return NotThereYetError(explain("dtype", expected="a policy that padless offers", got=got, fix=fix))
    return ArgumentError(
        explain(
            "dtype",
            expected="the name of a dtype, or mixed_bfloat16 or mixed_float16",
            got=repr(name),
            fix=nearest(str(name), {*_MIXED, *_FLOATS}),
        )
    )


def get(identifier: Any) -> DTypePolicy:
    """Find a policy.

    Args:
        identifier: a name, a policy, a dtype of NumPy, torch or JAX, or the config of a policy as in Keras's files;
            None for the global one.

    Returns:
        The policy.

    Raises:
        ArgumentError: for a name that is not known.

    Example:
        >>> import numpy as np
        >>> get(np.float32), get({"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}})
        (<DTypePolicy "float32">, <DTypePolicy "mixed_float16">)
    """
    if identifier is None:
        return dtype_policy()
    if isinstance(identifier, DTypePolicy):
        return identifier
    if isinstance(identifier, dict):
        config = identifier.get("config", identifier)
        return DTypePolicy(config.get("name", config.get("source_name")) if isinstance(config, dict) else config)
    if not isinstance(identifier, str):
        # A policy of Keras has a name as well; dtypes of torch have none, but write themselves so.
        name = getattr(identifier, "name", None) or getattr(identifier, "__name__", None) or str(identifier)
        identifier = str(name).rsplit(".", 1)[-1]
    return DTypePolicy(identifier)


def config_of(policy: DTypePolicy) -> Any:
    """What files hold of a policy: the name of a dtype, or a config as Keras writes it.

    Args:
        policy: the policy.

    Returns:
        For `get`.

    Example:
        >>> config_of(DTypePolicy("float64"))
        'float64'
    """
    # A dtype is its own policy: its name is what older files hold, and what everything can read.
    if policy.name not in _MIXED:
        return policy.name
    return {"module": "padless.mixed_precision", "class_name": "DTypePolicy", "config": policy.get_config()}


def dtype_policy() -> DTypePolicy:
    """The policy of layers that are made without `dtype`.

    Returns:
        The one that was set last; else that of `floatx()`.

    Example:
        >>> dtype_policy()
        <DTypePolicy "float32">
    """
    return DTypePolicy(_floatx) if _policy is None else _policy


def set_dtype_policy(policy: Any) -> None:
    """Set the policy of layers that are made from now on without `dtype`; layers that are there keep theirs.

    Args:
        policy: a name, such as "mixed_bfloat16", or a policy; None for that of `floatx()` again.

    Raises:
        ArgumentError: for a name that is not known, or a dtype without fractions.

    Example:
        >>> import padless
        >>> set_dtype_policy("mixed_bfloat16")
        >>> padless.layers.Dense(3).compute_dtype
        'bfloat16'
        >>> set_dtype_policy(None)
    """
    global _policy
    found = None if policy is None else get(policy)
    if found is not None:
        _require_floats("set_dtype_policy", found.compute_dtype)
    _policy = found


global_policy = dtype_policy
set_global_policy = set_dtype_policy


def floatx() -> str:
    """The dtype of inputs and of layers for which none is said.

    Returns:
        "float32", unless it was set.
    """
    return _floatx


def set_floatx(value: str) -> None:
    """Set the dtype of inputs and of layers for which none is said.

    Args:
        value: "float16", "bfloat16", "float32" or "float64".

    Raises:
        ArgumentError: for anything else.

    Example:
        >>> set_floatx("float64")
        >>> dtype_policy()
        <DTypePolicy "float64">
        >>> set_floatx("float32")
    """
    global _floatx
    _require_floats("set_floatx", value)
    _floatx = value


def _require_floats(where: str, dtype: str) -> None:
    if dtype not in _FLOATS:
        raise ArgumentError(explain(where, expected=", ".join(_FLOATS), got=repr(dtype), fix="float32"))


def __getattr__(name: str) -> Any:
    # Only when asked for: layers read policies, and need no optimizers.
    if name == "LossScaleOptimizer":
        from padless.optimizers import LossScaleOptimizer

        setattr(sys.modules[__name__], name, LossScaleOptimizer)
        return LossScaleOptimizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
