"""Shapes that are known before a step runs: gathers between two layouts."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

FAR = np.iinfo(np.int32).max
"""An index beyond the end of every array: reads as 0. N itself would be a spare slot where a batch has some."""

Host = np.ndarray[Any, Any]


@partial(jax.custom_vjp, nondiff_argnums=())
def relaid(x: jax.Array, there: jax.Array, back: jax.Array) -> jax.Array:
    """Lay the first axis of an array out in another way.

    The gradient is gathered as well, where JAX would scatter it.

    Args:
        x: (N, ...).
        there: (S,) which entry stands at each place; `FAR` for zeros.
        back: (N,) the one place of each entry whose gradient counts; `FAR` for none.

    Returns:
        (S, ...).
    """
    return gathered(x, there)


def gathered(x: jax.Array, index: jax.Array) -> jax.Array:
    """The entries of the first axis at an index; zeros where it is `FAR`."""
    # A gradient that is known beforehand comes as an array of the host.
    found: jax.Array = jnp.asarray(x).at[index].get(mode="fill", fill_value=0, wrap_negative_indices=False)
    return found


def _forward(x: jax.Array, there: jax.Array, back: jax.Array) -> tuple[jax.Array, jax.Array]:
    return gathered(x, there), back


def _backward(back: jax.Array, gradient: jax.Array) -> tuple[jax.Array, None, None]:
    return gathered(gradient, back), None, None


relaid.defvjp(_forward, _backward)


def broadcast(marks: jax.Array, like: jax.Array) -> jax.Array:
    """Give marks (...,) as many axes as an array has, so that they choose among its entries."""
    return jnp.reshape(marks, (*marks.shape, *(1 for _ in range(like.ndim - marks.ndim))))
