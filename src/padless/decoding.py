"""From scores to sequences: the best path of a CTC model, and of a linear chain."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from padless import backends
from padless.chains import marginals, viterbi
from padless.errors import ShapeError, explain
from padless.ragged import Ragged

__all__ = ["Decoded", "ctc_greedy", "marginals", "viterbi"]


class Decoded(NamedTuple):
    """What `ctc_greedy` found.

    Attributes:
        ids: for each row a list of ids, without blanks and repeats.
        path: (B, None) the best class at each step, blanks and repeats included; NumPy.
        scores: (B,) sum of the highest score of each step; NumPy.
    """

    ids: list[list[int]]
    path: Ragged
    scores: np.ndarray[Any, Any]


def ctc_greedy(x: Any, merge_repeated: bool = True, mask_index: int = 0) -> Decoded:
    """Read the best class of every step, merge repeats, and leave blanks out.

    A class that comes twice in a row is one label; with a blank between, it is two.

    Args:
        x: rows of scores (B, None, C), such as logits or log-probabilities: a Ragged, a list of arrays, or an array
            (B, T, C) without padding.
        merge_repeated: whether repeats become one.
        mask_index: the blank.

    Returns:
        Ids, path and scores.

    Raises:
        ShapeError: when x is nothing of the kind.

    Example:
        >>> import numpy as np
        >>> scores = np.eye(4)[[0, 2, 2, 0, 2, 3]]
        >>> ctc_greedy([scores, scores[:2]]).ids
        [[2, 2, 3], [2]]

    Source: Graves et al. 2006, best path decoding; Keras 3.15, ops.ctc_decode(strategy="greedy"), whose scores are
    these with the other sign.
    """
    rows = x if isinstance(x, Ragged) else Ragged.from_list(x) if isinstance(x, list | tuple) else Ragged.from_padded(x)
    values = backends.of(rows.values).to_host(rows.values)
    if values.ndim != 2:
        raise ShapeError(
            explain(
                "ctc_greedy",
                expected="rows of scores (B, None, C)",
                got=f"shape {rows.shape}",
                fix="what model.predict gives for a last layer with one unit for each class, the blank included",
            )
        )
    where = rows.rows
    path = values.argmax(axis=1)
    kept = path != mask_index
    if merge_repeated and len(path):
        again = np.append(False, path[1:] == path[:-1]) & (where.ranks > 0)
        kept &= ~again
    ids = [path[a:b][kept[a:b]].tolist() for a, b in zip(where.row_splits[:-1], where.row_splits[1:], strict=True)]
    highest = values.max(axis=1, initial=-np.inf) if len(path) else np.zeros(0, values.dtype)
    scores = backends.get("numpy").segment_sum(highest, where)
    return Decoded(ids, Ragged(path, where), scores)
