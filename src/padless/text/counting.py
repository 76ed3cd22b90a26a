"""How many words or characters texts have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from padless.errors import ArgumentError, explain, nearest
from padless.text.splitting import WHITESPACE, rules
from padless.text.terms import Cut, terms_of

Tokens = Literal["word", "char"]


def count_tokens(texts: Sequence[str | bytes], tokens: Tokens = "word") -> NDArray[np.int64]:
    """Count the words of each text, as `TextVectorization` splits them by default, or its characters.

    Args:
        texts: B texts; bytes are UTF-8, and what is not counts as something that is no white space.
        tokens: "word" or "char".

    Returns:
        (B,) counts.

    Raises:
        ArgumentError: when tokens is neither.

    Example:
        >>> count_tokens(["It's late - go home.", ""]).tolist(), count_tokens(["né"], "char").tolist()
        ([4, 0], [2])
    """
    if tokens == "word":
        # Halves of surrogate pairs, which JSON can hold, are part of a word like any other letter.
        encoded = [text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts]
        return terms_of(Cut(*rules("lower_and_strip_punctuation"), WHITESPACE)).find(encoded)[1]
    if tokens == "char":
        characters = (text.decode("utf-8", "replace") if isinstance(text, bytes) else text for text in texts)
        return np.fromiter(map(len, characters), np.int64, len(texts))
    raise ArgumentError(
        explain("tokens", expected='"word" or "char"', got=repr(tokens), fix=nearest(str(tokens), ["word", "char"]))
    )
