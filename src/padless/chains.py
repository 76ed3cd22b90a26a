"""Linear chains: which tags follow each other in a row, scored by one matrix for each step.

The potentials of a chain are a Ragged (B, None, K, K): entry [i, j] of a step is the score of tag j there after tag i
at the step before. At the first step of a row the score does not depend on i. The score of a path is the sum over its
steps; its probability is exp(score), divided by the sum over all paths of the row.

Legend of shapes: N steps of all rows, B rows, K tags. Source: Lafferty, McCallum and Pereira 2001; Rabiner 1989 for the
recursions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from padless import backends
from padless.backends.base import Array, logsumexp
from padless.ragged import Ragged


def _wide(x: Ragged) -> tuple[Ragged, Any]:
    """Potentials in a precision that long rows can be added up in, and their backend."""
    owner = backends.of(x.values)
    return x.with_values(owner.wide(x.values)), owner


def _forward(x: Ragged, reduce: Any) -> tuple[Array, Array]:
    """(N, K) what all paths to each tag of each step add up to, and (B, K) the same at the end of each row."""
    owner = backends.of(x.values)
    xp, tags = owner.xp, x.values.shape[-1]

    def step(scores: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        made = reduce(owner, state[0][:, :, None] + xp.reshape(scores, (state[0].shape[0], tags, tags)), axis=1)
        return made, (made,)

    # Before the first step all tags together weigh 1: its scores are the same after each of them.
    start = -math.log(tags) if reduce is logsumexp else 0.0
    before = xp.full((x.rows.nrows, tags), start, dtype=x.values.dtype, device=owner.device_of(x.values))
    made, (last,) = owner.scan(step, xp.reshape(x.values, (-1, tags * tags)), x.rows, (before,))
    return made, last


def _largest(owner: Any, x: Array, axis: int) -> Array:
    return owner.xp.max(x, axis=axis)


def log_partition(x: Ragged) -> Array:
    """Log of the sum over all paths of exp(score).

    Args:
        x: (B, None, K, K) potentials.

    Returns:
        (B,); 0 for an empty row.

    Example:
        >>> import numpy as np
        >>> log_partition(Ragged.from_list([np.zeros((2, 3, 3))])).round(4).tolist()  # 9 paths
        [2.1972]
    """
    x, owner = _wide(x)
    return logsumexp(owner, _forward(x, logsumexp)[1], axis=1)


def path_score(x: Ragged, tags: Array) -> Array:
    """Score of one path of each row.

    Args:
        x: (B, None, K, K) potentials.
        tags: (N,) ids from 0 to K-1.

    Returns:
        (B,); 0 for an empty row.

    Example:
        >>> import numpy as np
        >>> x = Ragged.from_list([np.array([[[1.0, 2.0], [1.0, 2.0]], [[5.0, 6.0], [7.0, 8.0]]])])
        >>> path_score(x, np.array([1, 0])).tolist()  # 2 for tag 1, 7 for tag 0 after it
        [9.0]
    """
    x, owner = _wide(x)
    xp, count = owner.xp, x.values.shape[-1]
    tags = owner.cast(tags, "int64")
    # The step before the first one of a row belongs to another row: any tag will do.
    before = xp.where(owner.index(x.rows, "ranks") == 0, tags, xp.concat([tags[:1], tags[:-1]]))
    flat = xp.reshape(x.values, (-1, count * count))
    return owner.segment_sum(xp.take_along_axis(flat, (before * count + tags)[:, None], axis=1)[:, 0], x.rows)


def viterbi(x: Ragged) -> Ragged:
    """The path of each row with the highest score; of equal ones the one whose last tags have the lower ids.

    Args:
        x: (B, None, K, K) potentials.

    Returns:
        (B, None) ids from 0 to K-1.

    Example:
        >>> import numpy as np
        >>> x = Ragged.from_list([np.array([[[1.0, 2.0], [1.0, 2.0]], [[9.0, 6.0], [7.0, 8.0]]])])
        >>> viterbi(x).to_list()  # 1 + 9 is more than 2 + 8
        [[0, 0]]

    Source: Viterbi 1967.
    """
    x, owner = _wide(x)
    xp, count = owner.xp, x.values.shape[-1]
    best, _ = _forward(x, _largest)
    both = xp.concat([best, xp.reshape(x.values, (-1, count * count))], axis=1)
    ids = owner.asarray(np.arange(count), owner.dtype_name(x.values))[None]

    def step(scores: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        # The state says what each tag here would add to the path behind it.
        parts = xp.reshape(scores, (state[0].shape[0], 1 + count, count))
        total = parts[:, 0, :] + state[0]
        tag = xp.min(xp.where(total == xp.max(total, axis=1, keepdims=True), ids, count - 1.0), axis=1, keepdims=True)
        index = xp.broadcast_to(owner.cast(tag, "int64")[:, None], (tag.shape[0], count, 1))
        added = xp.take_along_axis(parts[:, 1:, :], index, axis=2)
        return tag, (added[:, :, 0],)

    after = xp.zeros((x.rows.nrows, count), dtype=x.values.dtype, device=owner.device_of(x.values))
    tags, _ = owner.scan(step, both, x.rows, (after,), reverse=True)
    return x.with_values(owner.cast(tags[:, 0], "int64"))


def marginals(x: Ragged) -> Ragged:
    """Probability of each tag at each step, over all paths of its row.

    Args:
        x: (B, None, K, K) potentials.

    Returns:
        (B, None, K); each step sums to 1.

    Example:
        >>> import numpy as np
        >>> marginals(Ragged.from_list([np.zeros((2, 4, 4))])).to_list()[0][1]
        [0.25, 0.25, 0.25, 0.25]
    """
    x, owner = _wide(x)
    xp, count = owner.xp, x.values.shape[-1]
    before, _ = _forward(x, logsumexp)

    def step(scores: Array, state: tuple[Array, ...]) -> tuple[Array, tuple[Array, ...]]:
        added = xp.reshape(scores, (state[0].shape[0], count, count)) + state[0][:, None, :]
        return state[0] + 0.0, (logsumexp(owner, added, axis=2),)

    after = xp.zeros((x.rows.nrows, count), dtype=x.values.dtype, device=owner.device_of(x.values))
    behind, _ = owner.scan(step, xp.reshape(x.values, (-1, count * count)), x.rows, (after,), reverse=True)
    both = before + behind
    return x.with_values(xp.exp(both - logsumexp(owner, both, axis=1)[:, None]))
