"""EinsumDense: a dense layer by an equation in Einstein's notation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from padless import activations, constraints, initializers, regularizers
from padless.errors import ArgumentError, MaskError, ShapeError, explain
from padless.layer import Array, Layer
from padless.ragged import Ragged
from padless.spec import Spec


class EinsumDense(Layer):
    """Multiply by a kernel as an equation says, add a bias, apply an activation.

    Rows have batch and time as their first two letters: "abc,cd->abd" multiplies every step by a matrix. An equation in
    which the kernel has time, or time moves, would mix the steps of rows of any length and raises.

    Args:
        equation: "input,kernel->output", such as "abc,cd->abd"; "..." stands for axes in front or behind that are left
            as they are.
        output_shape: sizes of the output's axes after the batch, without those of "..."; None where it is the input's.
        activation: name or function; None for none.
        bias_axes: the letters of the output along which the bias has entries; None for no bias.
        kernel_initializer: of the kernel.
        bias_initializer: of the bias.
        kernel_regularizer: adds a penalty on the kernel to the loss.
        bias_regularizer: adds a penalty on the bias to the loss.
        kernel_constraint: applied to the kernel after each update.
        bias_constraint: applied to the bias after each update.
        **kwargs: name, dtype, trainable.

    Shapes:
        As the equation says. Weights: kernel, bias (1 along letters that are not bias_axes).

    Raises:
        ArgumentError: when the equation is none of this kind.
        ShapeError: when sizes do not fit.
        MaskError: when rows come and the equation would mix their steps.

    Example:
        >>> import numpy as np, padless
        >>> x = padless.Ragged.from_list([np.ones((2, 3)), np.ones((1, 3))])
        >>> EinsumDense("abc,cde->abde", (None, 4, 5), bias_axes="de")(x).shape
        (2, None, 4, 5)

    Source: Keras 3.15.
    """

    view = "steps"
    reads = "floats"

    def __init__(
        self,
        equation: str,
        output_shape: int | Sequence[int | None],
        activation: Any = None,
        bias_axes: str | None = None,
        kernel_initializer: Any = "glorot_uniform",
        bias_initializer: Any = "zeros",
        kernel_regularizer: Any = None,
        bias_regularizer: Any = None,
        kernel_constraint: Any = None,
        bias_constraint: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.equation = equation
        self._terms = _terms(self.place, equation)
        self._sizes = tuple(output_shape) if isinstance(output_shape, list | tuple) else (output_shape,)
        self.activation = activations.get(activation)
        self.bias_axes = bias_axes
        self.kernel_initializer = initializers.get(kernel_initializer)
        self.bias_initializer = initializers.get(bias_initializer)
        self.kernel_regularizer = regularizers.get(kernel_regularizer)
        self.bias_regularizer = regularizers.get(bias_regularizer)
        self.kernel_constraint = constraints.get(kernel_constraint)
        self.bias_constraint = constraints.get(bias_constraint)

    def build(self, spec: Spec) -> None:
        """Make kernel and bias.

        Args:
            spec: of the input.
        """
        self._spell_out(spec)
        if spec.ragged and not self._per_step:
            raise MaskError(self.mask_error())
        sizes = self._known_sizes(spec)
        into, kernel, out = self._letters
        shape = tuple(self._size(sizes, letter) for letter in kernel)
        self.kernel = self.add_weight(
            "kernel",
            shape,
            self.kernel_initializer,
            regularizer=self.kernel_regularizer,
            constraint=self.kernel_constraint,
        )
        self.bias = None
        if self.bias_axes:
            first = min(out.index(letter) for letter in self.bias_axes)
            own = tuple(self._size(sizes, letter) if letter in self.bias_axes else 1 for letter in out[first:])
            self.bias = self.add_weight(
                "bias", own, self.bias_initializer, regularizer=self.bias_regularizer, constraint=self.bias_constraint
            )
        self._fixed = {at: self._size(sizes, letter) for at, letter in enumerate(into) if letter in kernel}

    def _spell_out(self, spec: Spec) -> None:
        """Letters for all axes, those that an ellipsis stands for among them."""
        into, kernel, out = self._terms
        count = len(spec) - len(into.replace("...", ""))
        if count < 0 or (count and "..." not in into):
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"an axis for each letter of {into!r} in {self.equation!r}, batch and time among them",
                    got=f"shape {tuple(spec)}",
                    fix="'abc,cd->abd' for sequences, 'ab,bc->ac' for vectors, '...x,xy->...y' for both",
                )
            )
        hidden = "".join([c for c in "ABCDEFGHIJKLMNOPQRSTUVWXYZ" if c not in self.equation][:count])
        self._letters = (into.replace("...", hidden), kernel, out.replace("...", hidden))
        into, kernel, out = self._letters
        time, bias = into[1:2], self.bias_axes or ""
        if into[0] != out[0] or into[0] in kernel or not set(bias) <= set(out[1:]):
            raise ArgumentError(
                explain(
                    f"{self.place}: equation",
                    expected="the batch as first letter of input and output, and bias_axes among the others",
                    got=f"{self.equation!r}, bias_axes={self.bias_axes!r}",
                    fix="EinsumDense('abc,cd->abd', (None, 64), bias_axes='d')",
                )
            )
        self._per_step = bool(time) and out[1:2] == time and time not in kernel and time not in bias

    def _known_sizes(self, spec: Spec) -> dict[str, int | None]:
        into, _, out = self._letters
        term, hidden = self._terms[2], len(out) - len(self._terms[2].replace("...", ""))
        # The batch has no size; what an ellipsis stands for has those of the input.
        own = out[hidden:] if term.startswith("...") else out[1 : len(out) - hidden]
        if len(own) != len(self._sizes):
            raise ShapeError(
                explain(
                    f"{self.place}: output_shape",
                    expected=f"{len(own)} sizes, for {own!r} of the output in {self.equation!r}",
                    got=str(self._sizes),
                    fix="None for an axis that has the input's size",
                )
            )
        sizes: dict[str, int | None] = dict(zip(into, spec, strict=True))
        for letter, size in zip(own, self._sizes, strict=True):
            known = sizes.get(letter)
            if letter in into and size is not None and known is not None and size != known:
                raise ShapeError(
                    explain(
                        f"{self.place}: output_shape",
                        expected=f"{known} for {letter!r}, as in the input {tuple(spec)}",
                        got=str(size),
                        fix="None for an axis that has the input's size",
                    )
                )
            sizes[letter] = known if size is None else size
        return sizes

    def _size(self, sizes: dict[str, int | None], letter: str) -> int:
        size = sizes.get(letter)
        if size is None:
            raise ShapeError(
                explain(
                    f"{self.place}: output_shape",
                    expected=f"a size for {letter!r} of the kernel or bias in {self.equation!r}",
                    got=f"{self._sizes}",
                    fix="a number in its place; an Input with a size for the axis",
                )
            )
        return int(size)

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if isinstance(x, Ragged) and not self._per_step:
            raise MaskError(self.mask_error())
        return super()._dispatch(x, args, kwargs)

    def call(self, x: Array) -> Array:
        """Compute the output.

        Args:
            x: (N, ...).

        Returns:
            (N, ...).
        """
        into, kernel, out = self._letters
        packed = x.ndim == len(into) - 1 and self._per_step
        if x.ndim != len(into) - packed or any(x.shape[at - packed] != n for at, n in self._fixed.items()):
            raise ShapeError(
                explain(
                    self.place,
                    expected=f"the axes of {into!r} with the sizes of the input that built the layer",
                    got=f"shape {tuple(x.shape)}",
                    fix="give it the same features; make a new layer for others",
                )
            )
        if packed:
            into, out = into.replace(into[1], ""), out.replace(into[1], "")
        y = self.xp.einsum(f"{into},{kernel}->{out}", x, self.kernel)
        return self.activation(y if self.bias is None else y + self.bias)

    def mask_error(self) -> str:
        """The text of the error that rows raise here."""
        return explain(
            f"{self.place}: equation",
            expected="batch and time as the first two letters of input and output, and in neither kernel nor bias",
            got=f"{self.equation!r}, bias_axes={self.bias_axes!r}, and rows, whose steps it would mix",
            fix="'abc,cd->abd' for each step; layers.Unmask() before it, to treat padding as data on purpose",
        )


def _terms(place: str, equation: str) -> tuple[str, str, str]:
    """Input, kernel and output of an equation."""
    left, arrow, out = equation.replace(" ", "").partition("->")
    into, comma, kernel = left.partition(",")
    front, back = (term.replace("...", "") for term in (into, out))
    letters = all(term.isalpha() and term.isascii() and len(set(term)) == len(term) for term in (front, kernel, back))
    ends = [(term.startswith("..."), term.endswith("..."), term.count(".")) for term in (into, out)]
    alike = ends[0] == ends[1] and ends[0] in ((False, False, 0), (True, False, 3), (False, True, 3))
    known = set(back) <= set(front) | set(kernel) and set(kernel) <= set(front) | set(back)
    if not (arrow and comma and letters and alike and known):
        raise ArgumentError(
            explain(
                f"{place}: equation",
                expected="'input,kernel->output', each letter once in a term, all of the kernel's in one of the "
                "others; with '...' in front or behind in both input and output, if at all",
                got=repr(equation),
                fix="'abc,cd->abd', or '...x,xy->...y'",
            )
        )
    return into, kernel, out
