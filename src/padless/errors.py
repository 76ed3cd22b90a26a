"""Exceptions of padless, and the one way their texts are built."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Any, Self


class PadlessError(Exception):
    """Base class of every exception that padless raises on purpose."""

    def inside(self, where: str) -> Self:
        """The same error, with the name of what it happened in before its text.

        Args:
            where: such as "output 'tags'".

        Returns:
            A new error.

        Example:
            >>> str(PadlessError("loss 'mse': expected ...").inside("output 'tags'"))
            "output 'tags', loss 'mse': expected ..."
        """
        made = type(self).__new__(type(self))
        made.__dict__.update(self.__dict__)
        made.args = (f"{where}, {self}",)
        return made


class ArgumentError(PadlessError, ValueError):
    """An argument has a value that the function cannot use."""


class NotThereYetError(ArgumentError, NotImplementedError):
    """An argument of Keras that padless knows but does not offer yet."""


class DTypeError(PadlessError, TypeError):
    """A value has a type or dtype that the function cannot use."""


class ShapeError(PadlessError, ValueError):
    """A value has a shape that the function cannot use."""


class DataError(PadlessError, ValueError):
    """The data themselves are wrong: ids outside a vocabulary, counts that differ, nothing at all."""

    partitions: tuple[Any, Any] | None = None
    """Of two values whose rows differ: so that a graph, which knows where values came from, can say so."""


class RowError(DataError):
    """One row of the data is wrong.

    Args:
        text: the text; it names the row as "row 3".
        row: its index in the batch; training puts the index in the data in its place.
    """

    def __init__(self, text: str, row: int) -> None:
        super().__init__(text)
        self.row = row

    def renamed(self, row: int, name: str | None = None) -> RowError:
        """The same error with another index.

        Args:
            row: index in the data.
            name: in place of "row 3".

        Returns:
            A new error.
        """
        return RowError(re.sub(rf"\brow {self.row}\b", name or f"row {row}", str(self)), row)


class MaskError(PadlessError, TypeError):
    """A layer or an operation cannot honour rows of unequal length, and says what to write instead."""


class NotBuiltError(PadlessError, RuntimeError):
    """A model is asked for something that exists only after it was built or compiled."""


class NumericError(PadlessError, ArithmeticError):
    """A NaN or an infinity came up in training."""


class BackendError(PadlessError, ImportError):
    """A backend is not installed, unknown, or cannot do what is asked."""


class ExportError(PadlessError, RuntimeError):
    """A model cannot be written as a program for other libraries."""


def explain(where: str, *, expected: str, got: str, fix: str) -> str:
    """Build an error text: where it happened, what was expected, what came, what to write instead.

    Args:
        where: the layer, function or argument, as the user knows it.
        expected: what would have been right.
        got: what came.
        fix: what to write instead.

    Returns:
        The text.

    Example:
        >>> print(explain("Dense 'head'", expected="3 features", got="4", fix="build a new layer"))
        Dense 'head': expected 3 features.
          Got: 4.
          Fix: build a new layer.
    """

    def sentence(text: str) -> str:
        return text if text.endswith((".", "!", "?", ")")) else text + "."

    return f"{where}: expected {sentence(expected)}\n  Got: {sentence(got)}\n  Fix: {sentence(fix)}"


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names come nearest to a mistyped one.

    Args:
        name: what was written.
        known: the names that would have worked.

    Returns:
        A sentence for the end of an error text.

    Example:
        >>> nearest("adm", ["adam", "sgd"])
        "did you mean 'adam'? Known: adam, sgd"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name.lower(), names, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}Known: {', '.join(names) or 'none'}"
