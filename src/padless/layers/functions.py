"""Layers that pass a value on, or hand it to a function of the user's."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_args

from padless.errors import ArgumentError, explain
from padless.layer import Layer, View
from padless.layers.arguments import word
from padless.ragged import Ragged
from padless.spec import has_symbol


class Identity(Layer):
    """Pass a value on as it is.

    Args:
        **kwargs: name, dtype.

    Shapes:
        Any; the output has that of the input.

    Example:
        >>> Identity()([[1.0, 2.0], [3.0]])[0].tolist()
        [1.0, 2.0]
    """

    view = "steps"

    def call(self, x: Any) -> Any:
        """Pass on.

        Args:
            x: (N, ...).

        Returns:
            The same.
        """
        return x


class Lambda(Layer):
    """Apply a function of your own.

    What a function does to rows cannot be seen from outside, so that it must be said: `view`. A `mask` parameter of the
    function says it too, in Keras's words, and so does the `mask` argument here.

    Args:
        function: f(x), with `mask` and `training` among its parameters if it wants them.
        output_shape: not needed, since shapes are found by a call on a tiny value.
        mask: the mask of the output: (B, T) bools, or a function (x, mask) of padded arrays that gives it.
        arguments: further arguments of the function, by name.
        view: how the function reads rows. "steps": it gets the packed steps (N, ...) and looks at one at a time.
            "ragged": it gets a Ragged, and returns one or an entry for each row. "padded": it gets (B, T, ...), and
            (B, T) bools where it has a parameter `mask`; its output at padding is dropped.
        **kwargs: name, dtype, trainable.

    Shapes:
        As of the function.

    Raises:
        ArgumentError: when it is no function; and from `save`, for a Python lambda.
        MaskError: when rows come and nothing says how the function reads them.

    Example:
        >>> import padless
        >>> Lambda(lambda x: x * x, view="steps")([[1.0, 2.0], [3.0]])[0].tolist()
        [1.0, 4.0]
        >>> Lambda(padless.row_max, view="ragged")([[1.0, 2.0], [3.0]]).tolist()
        [2.0, 3.0]
    """

    def __init__(
        self,
        function: Callable[..., Any],
        output_shape: Any = None,
        mask: Any = None,
        arguments: Mapping[str, Any] | None = None,
        *,
        view: View | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not callable(function):
            raise ArgumentError(
                explain(
                    f"{self.place}: function",
                    expected="a function",
                    got=repr(function),
                    fix="Lambda(lambda x: 2 * x, view='steps')",
                )
            )
        self.function = function
        self.mask = mask
        self.arguments = dict(arguments or {})
        self._takes = _parameters(function)
        self._said = view if view is None else word(self.place, "view", view, get_args(View))
        self._many = False

    # Whether several values come is known from call to call.
    @property
    def merges(self) -> bool:  # type: ignore[override]
        """Whether the present call has several values."""
        return self._many

    @property
    def _view(self) -> Any:
        if self._said is None and (self.mask is not None or "mask" in self._takes):
            return "padded"
        return self._said

    @property
    def _computes_mask(self) -> bool:
        return self.mask is not None

    def __call__(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Call the function on a value, or on several in a tuple or in a list of symbols or of Ragged.

        Args:
            x: as of every layer.
            *args: as of every layer.
            **kwargs: as of every layer.

        Returns:
            What the function returns, in the form that came in.
        """
        listed = isinstance(x, list) and bool(x) and (has_symbol(x) or all(isinstance(v, Ragged) for v in x))
        self._many = listed or isinstance(x, tuple)
        return super().__call__(x, *args, **kwargs)

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        self._many = isinstance(x, list | tuple)
        return super()._run(x, *args, **kwargs)

    def call(self, x: Any, mask: Any = None, training: bool | None = None) -> Any:
        """Call the function.

        Args:
            x: as the view says.
            mask: (B, T) of padded arrays.
            training: whether it is a training step.

        Returns:
            What the function returns.
        """
        given = dict(self.arguments)
        given.update({"mask": mask} if "mask" in self._takes else {})
        given.update({"training": training} if "training" in self._takes else {})
        return self.function(x, **given)

    def compute_mask(self, x: Any, mask: Any = None) -> Any:
        """Say which steps of the output are real, as the argument `mask` says.

        Args:
            x: the padded input.
            mask: its mask.

        Returns:
            (B, T) bools, or None.
        """
        return self.mask(x, mask) if callable(self.mask) else self.mask

    def mask_error(self) -> str:
        """The text of the error that rows raise here."""
        return explain(
            self.place,
            expected="a function of which it is said how it reads rows of unequal length",
            got="a value with rows, and no `view`",
            fix='Lambda(f, view="steps") if f looks at one step at a time; view="ragged" if it takes a padless.Ragged, '
            'as the functions of padless.ops do; view="padded" for f(x, mask)',
        )

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again.

        Returns:
            A dict that JSON can hold.

        Raises:
            ArgumentError: when a function has no name that a file could give.
        """
        for name, value in self._arguments.items():
            if callable(value) and not (inspect.isfunction(value) and value.__name__ != "<lambda>"):
                kind = "a Python lambda" if inspect.isfunction(value) else f"a {type(value).__name__}"
                raise ArgumentError(
                    explain(
                        f"{self.place}: {name}",
                        expected="a function with a name, since files hold no code",
                        got=kind,
                        fix="@padless.register above `def my_function(x): ...`, and Lambda(my_function)",
                    )
                )
        return super().get_config()


def _parameters(function: Callable[..., Any]) -> frozenset[str]:
    try:
        return frozenset(inspect.signature(function).parameters)
    except ValueError:  # what is written in C may not say
        return frozenset()
