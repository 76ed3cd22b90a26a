"""Spec: what a layer is told of its input when it is built. Symbol: a value of a model before there is data."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from padless import backends
from padless.errors import MaskError, PadlessError, explain
from padless.operators import OPERATORS, Operators, torch_operator
from padless.ragged import Ragged

if TYPE_CHECKING:
    from padless.graph import Node

Array = Any


class Spec(tuple[int | None, ...]):
    """Shape and dtype of a layer's input, batch axis first; None for the batch and for a ragged axis.

    Args:
        shape: such as (None, None, 128).
        dtype: name of the dtype.
        ragged: whether the input has rows.

    Example:
        >>> spec = Spec((None, None, 128))
        >>> spec.features, spec[-1], spec.step_shape
        (128, 128, (128,))
    """

    dtype: str
    ragged: bool

    def __new__(cls, shape: tuple[int | None, ...], dtype: str = "float32", *, ragged: bool | None = None) -> Spec:
        """Make the tuple."""
        made = super().__new__(cls, shape)
        made.dtype = dtype
        made.ragged = (len(shape) > 1 and shape[1] is None) if ragged is None else ragged
        return made

    @classmethod
    def of(cls, value: Any) -> Spec:
        """The spec of a value.

        Args:
            value: a Ragged or an array.

        Returns:
            The spec.
        """
        if isinstance(value, Ragged):
            flat = value.flat_values
            return cls((None, *value.shape[1:]), backends.of(flat).dtype_name(flat), ragged=True)
        shape = (None, *(int(n) for n in value.shape[1:])) if len(value.shape) else ()
        return cls(shape, backends.of(value).dtype_name(value), ragged=False)

    def standin(self) -> Any:
        """A tiny value of this shape and dtype."""
        from padless.graph import standin

        return standin(tuple(self)[1:], self.dtype, ragged=self.ragged)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """The shape, batch axis included."""
        return tuple(self)

    @property
    def features(self) -> int:
        """Size of the last axis."""
        size = self[-1] if self else None
        if size is None:
            raise PadlessError(
                explain(
                    "the last axis of the input",
                    expected="a size that is known when the layer is built",
                    got=f"shape {tuple(self)}",
                    fix="Input(shape=(None, 16)) for steps of 16 features; an axis that varies must be the second",
                )
            )
        return size

    @property
    def step_shape(self) -> tuple[int | None, ...]:
        """Shape of one step: without batch and time."""
        return tuple(self)[2:]


class InputSpec:
    """What a layer expects of an input: assigned to its `input_spec`, it is checked at every call.

    Axes are counted as in (B, None, D), batch first, also where rows come; an axis that varies fits any size.

    Args:
        dtype: name.
        shape: one size for each axis, None for any.
        ndim: number of axes.
        max_ndim: most of them.
        min_ndim: fewest of them.
        axes: sizes of some axes, such as {-1: 16}.
        allow_last_axis_squeeze: whether a last axis of size 1 may be there or not.
        name: kept.
        optional: kept.

    Example:
        >>> InputSpec(ndim=3, axes={-1: 16})
        InputSpec(ndim=3, axes={-1: 16})
        >>> InputSpec(shape=(None, 4, 1), allow_last_axis_squeeze=True).fits(Spec((None, 4)))
        True
    """

    def __init__(
        self,
        dtype: Any = None,
        shape: tuple[int | None, ...] | None = None,
        ndim: int | None = None,
        max_ndim: int | None = None,
        min_ndim: int | None = None,
        axes: dict[int, int | None] | None = None,
        allow_last_axis_squeeze: bool = False,
        name: str | None = None,
        optional: bool = False,
    ) -> None:
        self.dtype = None if dtype is None else str(getattr(dtype, "name", dtype))
        self.shape = None if shape is None else tuple(shape)
        self.ndim = ndim if shape is None else len(shape)
        self.max_ndim = max_ndim
        self.min_ndim = min_ndim
        self.axes = {int(axis): size for axis, size in (axes or {}).items()}
        self.allow_last_axis_squeeze = allow_last_axis_squeeze
        self.name = name
        self.optional = optional

    def fits(self, spec: Spec) -> bool:
        """Whether an input is as expected.

        Args:
            spec: of the input.

        Returns:
            The answer.
        """
        wanted, got, ndim = self.shape, tuple(spec), self.ndim
        if wanted is not None and self.allow_last_axis_squeeze:
            wanted, got = (one[:-1] if one and one[-1] == 1 else one for one in (wanted, got))
            ndim = len(wanted)
        sizes = [*enumerate(wanted or ()), *self.axes.items()]
        return (
            (self.dtype is None or self.dtype == spec.dtype)
            and (ndim is None or ndim == len(got))
            and (self.max_ndim is None or len(spec) <= self.max_ndim)
            and (self.min_ndim is None or len(spec) >= self.min_ndim)
            and all(-len(got) <= axis < len(got) for axis, _ in sizes)
            and all(None in (size, got[axis]) or size == got[axis] for axis, size in sizes)
        )

    def __repr__(self) -> str:
        said = {key: value for key, value in vars(self).items() if value not in (None, False, {})}
        if self.shape is not None:
            del said["ndim"]
        return f"InputSpec({', '.join(f'{key}={value!r}' for key, value in said.items())})"


_SYMBOL_FIX = (
    "a symbol stands for data that come later: give it to layers, or to padless operators; "
    "wrap other functions in a layer class with a `call`"
)


class Symbol(Operators):
    """A value of a functional model before there is data: shape, dtype and rows, but no numbers.

    Args:
        standin: a tiny value with the same features: a Ragged of three unequal rows (of such rows), or an array.
        node: the layer call that made it; None for an Input.
        index: which output of that call it is.
        name: for the summary.

    Made by `padless.Input` and by calling layers on symbols.
    """

    __array_ufunc__ = None
    # Symbols are compared by which they are, as Keras's: ops.equal(a, b) compares what they stand for.
    __hash__ = object.__hash__

    def __init__(self, standin: Any, node: Node | None = None, index: int = 0, name: str = "") -> None:
        self.standin = standin
        self.node = node
        self.index = index
        self.name = name
        # What an Input was given; every other symbol reads its shape off the stand-in.
        self.given_shape: tuple[int | None, ...] | None = None
        self.must_be_ragged = False
        self.like: Symbol | None = None

    @property
    def spec(self) -> Spec:
        """Shape and dtype."""
        return Spec.of(self.standin)

    @property
    def shape(self) -> tuple[int | None, ...]:
        """(None, ...): None for the batch and for an axis that varies."""
        return self.given_shape or self.spec.shape

    @property
    def dtype(self) -> str:
        """Name of the dtype."""
        return self.spec.dtype

    def __eq__(self, other: object) -> bool:
        return self is other

    def _operate(self, sign: str, other: Any, swap: bool = False) -> Any:
        from padless.operation import Operation

        if isinstance(other, str | bytes | dict | set) or other is None:
            self._refuse(f"operator {sign} with a {type(other).__name__}")
        function = Operation(OPERATORS[sign][0])
        return function(other, self) if swap else function(self, other)

    def _alone(self, name: str, function: Callable[[Any], Any]) -> Any:
        from padless.operation import Operation

        return Operation(name)(self)

    def __getitem__(self, item: Any) -> Any:
        """Pick features, or the first or last step: `x[..., 1:3]`, `x[:, -1]`; batch and rows stay as they are."""
        from padless.operation import Operation

        items = item if isinstance(item, tuple) else (item,)
        first = items[0] if items else None
        if first is not Ellipsis and not (isinstance(first, slice) and first == slice(None)):
            raise MaskError(
                explain(
                    f"{self!r}[{', '.join(map(str, items))}]",
                    expected="all rows of the batch, which are not known before there is one: x[:, ...] or x[..., i]",
                    got=f"{first!r} as first index",
                    fix="x[..., 1:3] for features, x[:, -1] for the last step of each row",
                )
            )
        return Operation("get_item")(self, *items)

    def _refuse(self, what: str) -> NoReturn:
        raise PadlessError(explain(f"{what}: {self!r}", expected="data", got="a symbol", fix=_SYMBOL_FIX))

    def __bool__(self) -> bool:
        self._refuse("bool()")

    def __len__(self) -> int:
        self._refuse("len()")

    def __iter__(self) -> Any:
        self._refuse("iteration")

    def __array__(self, *args: Any, **kwargs: Any) -> NoReturn:
        self._refuse("np.asarray()")

    def __float__(self) -> float:
        self._refuse("float()")

    def __index__(self) -> int:
        self._refuse("int()")

    @classmethod
    def __torch_function__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = getattr(function, "__name__", str(function))
        known = torch_operator(name) if len(args) == 2 and not kwargs and isinstance(args[1], cls) else None
        if known is not None:
            return args[1]._operate(known[0], args[0], swap=not known[1])
        next(arg for arg in args if isinstance(arg, cls))._refuse(f"torch {name}")

    def __repr__(self) -> str:
        rows = ", rows" if self.must_be_ragged or self.spec.ragged else ""
        return f"Symbol({self.name!r}, shape={self.shape}, {self.dtype}{rows})"


_SEVERAL = (list, tuple)


def has_symbol(x: Any) -> bool:
    """Whether a value is a symbol, or a list, tuple or dict with one in it."""
    if isinstance(x, _SEVERAL):
        return any(isinstance(value, Symbol) for value in x)
    return isinstance(x, Symbol) or (isinstance(x, dict) and any(map(has_symbol, x.values())))
