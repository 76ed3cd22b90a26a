"""Layer: weights, build, and the one branch on how a layer reads rows."""

from __future__ import annotations

import contextlib
import contextvars
import functools
import inspect
import math
import threading
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import optree

from padless import backends, constraints, initializers, regularizers
from padless.errors import (
    ArgumentError,
    DataError,
    MaskError,
    NotBuiltError,
    NotThereYetError,
    ShapeError,
    explain,
    nearest,
)
from padless.forms import Form, enter
from padless.named import snake_case
from padless.ported import require_steps_alone
from padless.ragged import Ragged, counted
from padless.rows import RowPartition, naming_outer_rows, require_same_steps
from padless.spec import Spec, has_symbol
from padless.targets import is_nested, live_entries, live_steps

Array = Any
View = Literal["steps", "ragged", "padded"]

_NOT_YET = ("quantization_config", "lora_rank", "lora_alpha", "gptq_unpacked_column_size")
_names: Counter[str] = Counter()
_building = threading.RLock()
"""Two threads that call a layer for the first time must not both make its weights."""


class Mode(NamedTuple):
    """What a call inside a model knows of the call of the model."""

    training: bool = False
    tracing: bool = False
    watch: Callable[[Layer, Any, Any], None] | None = None
    live: Array | None = None
    losses: Callable[[Layer, Array], None] | None = None
    rows: Any = None


_mode: contextvars.ContextVar[Mode | None] = contextvars.ContextVar("padless_mode", default=None)

_kept: weakref.WeakKeyDictionary[Layer, list[Array]] = weakref.WeakKeyDictionary()
"""What layers added to the loss in the last call of theirs that the user made; not in the layers, which are copied."""


def keep_loss(layer: Layer, value: Array) -> None:
    """Remember what a layer adds to the loss, until it is called again.

    Args:
        layer: the layer.
        value: a scalar.
    """
    _kept.setdefault(layer, []).append(value)


def unique_name(base: str) -> str:
    """A name that no layer has yet: the base, then base_1, base_2, ..."""
    _names[base] += 1
    return base if _names[base] == 1 else f"{base}_{_names[base] - 1}"


@contextlib.contextmanager
def keeping_names() -> Iterator[None]:
    """Within this context new layers take no names: those made afterwards have the names they would have had.

    Yields:
        Nothing.
    """
    before = _names.copy()
    try:
        yield
    finally:
        _names.clear()
        _names.update(before)


_SEVERAL = (list, tuple)


def watched(layer: Layer, x: Any, y: Any) -> None:
    """Tell who watches the present call what went into a layer and what came out."""
    mode = _mode.get()
    if mode is not None and mode.watch is not None:
        mode.watch(layer, x, y)


def inside_model() -> bool:
    """Whether the present call is part of a model's call."""
    return _mode.get() is not None


def calling(
    *,
    training: bool = False,
    tracing: bool = False,
    watch: Callable[[Layer, Any, Any], None] | None = None,
    live: Array | None = None,
    losses: Callable[[Layer, Array], None] | Literal["around"] | None = "around",
    rows: Any = None,
) -> Within:
    """Within this context, layers are called as parts of a model.

    Args:
        training: whether dropout drops and statistics move.
        tracing: whether the values are stand-ins.
        watch: called with every layer, its input and its output.
        live: (B,) bool, False for rows that only fill the batch up; None where there are none.
        losses: called with every layer that adds to the loss, and what it adds; None where there is no loss. By default
            as around this context; outside of any, what is added is kept for `layer.losses`. Stand-ins cost nothing.
        rows: how many rows penalties on outputs are divided by; by default as around this context, or as many as an
            output has. To be said where steps are handed to a layer as if they were rows: `count_of_rows`.
    """
    around = _mode.get()
    if losses == "around":
        # Nothing is kept of a function that is being compiled: its numbers mean nothing outside.
        losses = around.losses if around is not None else keep_loss if live is None else None
    rows = around.rows if rows is None and around is not None else rows
    return Within(Mode(training, tracing, watch, live, None if tracing else losses, rows))


class _Room:
    """How many numbers weights may still take."""

    def __init__(self, numbers: int) -> None:
        self.left = self.numbers = numbers

    def take(self, place: str, shape: tuple[int, ...]) -> None:
        self.left -= math.prod(shape)
        if self.left < 0 or min(shape, default=0) < 0:
            raise DataError(
                explain(
                    place,
                    expected=f"no more weights than the file has: {self.numbers:,} numbers in all",
                    got=f"one of shape {shape}",
                    fix="a file that model.save(path) wrote",
                )
            )


_room: contextvars.ContextVar[_Room | None] = contextvars.ContextVar("padless_room", default=None)


@contextlib.contextmanager
def weights_of_at_most(numbers: int) -> Iterator[None]:
    """Within this context, layers that want more weights raise, before they are made: a config alone could fill memory.

    Args:
        numbers: that all weights together may have.

    Yields:
        Nothing.
    """
    token = _room.set(_Room(numbers))
    try:
        yield
    finally:
        _room.reset(token)


class Within:
    """A context of layer calls; a class, since a generator's context takes as long as some layers do.

    Args:
        mode: what the calls know.
    """

    __slots__ = ("_mode", "_token")

    def __init__(self, mode: Mode) -> None:
        self._mode = mode

    def __enter__(self) -> None:
        self._token = _mode.set(self._mode)

    def __exit__(self, *_: object) -> None:
        _mode.reset(self._token)


def training_is(training: bool) -> Within:
    """Within this context, a call is a training step, or none."""
    mode = _mode.get() or Mode()
    return calling(training=training, tracing=mode.tracing, watch=mode.watch, live=mode.live)


@contextlib.contextmanager
def losses_go(to: Callable[[Layer, Array], None]) -> Iterator[None]:
    """Within this context, what layers add to the loss goes to a function, unless nobody wants it.

    Args:
        to: called with every layer that adds to the loss, and what it adds.
    """
    mode = _mode.get() or Mode(losses=keep_loss)
    with Within(mode if mode.losses is None else mode._replace(losses=to)):
        yield


@dataclass
class Weight:
    """What a layer knows of one of its arrays, beside the array."""

    shape: tuple[int, ...]
    dtype: str
    trainable: bool
    regularizer: Callable[[Array], Array] | None = None
    constraint: Callable[[Array], Array] | None = None
    looked_up: bool = False

    @property
    def by_rows(self) -> bool:
        """Whether a step may leave rows of it alone: nothing but looking up reads it, or changes it beside a step."""
        return self.looked_up and self.regularizer is None and self.constraint is None


class Layer:
    """One step of a model: weights, and a `call` that says how an input becomes an output.

    Subclasses write `build(spec)`, which makes weights with `add_weight`, and `call(x)`, and say in `view` how `call`
    reads rows of unequal length:

    - "steps": `call(x)` gets the packed steps (N, ...), or (B, ...) when the input has no rows. It must not mix steps.
    - "ragged": `call(x)` gets a `Ragged` and returns one, or an array (B, ...) if it pools.
    - "padded": `call(x, mask)` gets (B, T, ...) and (B, T), for code that exists. Output at padding is dropped.

    There is no default: a ragged value into a layer without a view raises `MaskError`. A layer written for Keras says
    it in Keras's words: a `mask` parameter in `call` reads as "padded", `supports_masking = True` as "steps", and what
    its `compute_mask(x, mask)` returns is the mask of its output.

    Args:
        name: for summaries and errors; the default is made of the class name.
        dtype: of weights and computation; "float32" by default.
        trainable: whether training changes the weights.
        activity_regularizer: adds a penalty on the output to the loss: what it costs, live steps alone, divided by the
            number of rows. A function of yours gets all live steps in one array; what it gives must add up over them.

    Raises:
        ArgumentError: for an argument that is not known.

    Example:
        >>> import numpy as np, padless
        >>> class Gate(padless.Layer):
        ...     view = "steps"
        ...     def build(self, spec):
        ...         self.kernel = self.add_weight("kernel", (spec.features, 1))
        ...     def call(self, x):
        ...         return x / (1 + self.xp.exp(-(x @ self.kernel)))
        >>> Gate()(padless.Ragged.from_list([np.ones((2, 3)), np.ones((1, 3))])).shape
        (2, None, 3)
    """

    view: ClassVar[View | None] = None
    merges: ClassVar[bool] = False
    """Whether the layer takes a list of values, as Add does."""
    reads: ClassVar[Literal["any", "floats", "ids"]] = "any"
    """What the layer computes with: "floats" turns whole numbers into floats, "ids" refuses floats."""
    makes_mask: bool = False
    """Whether the layer can find padding in a padded array, as Masking does."""
    kept: list[Array] | None = None
    """Arrays (B, ...) that a layer keeps from batch to batch, as the states of a stateful recurrent layer.

    A layer that does so assigns the attribute in `__init__`, and says in `get_initial_state(batch_size)` what it begins
    with. They are no weights: neither counted nor saved.
    """
    input_spec: Any = None
    """An `InputSpec`, or one for each input of a layer that merges: what comes is held against it at every call."""
    reads_nested: ClassVar[bool] = False
    """Whether `call` reads rows within rows itself, as TimeDistributed does."""

    _arguments: dict[str, Any]
    _call_parameters: ClassVar[frozenset[str]] = frozenset()
    _asks_training: ClassVar[bool] = False
    """Whether `call` wants to be told if it is a training step."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Layer:
        """Note the arguments, for get_config."""
        made = super().__new__(cls)
        # When the arguments do not fit, __init__ itself says what is wrong.
        with contextlib.suppress(TypeError):
            bound = inspect.signature(cls.__init__).bind(made, *args, **kwargs)
            bound.apply_defaults()
            arguments = dict(list(bound.arguments.items())[1:])
            for name, parameter in bound.signature.parameters.items():
                if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                    arguments.update(arguments.pop(name, {}))
            object.__setattr__(made, "_arguments", arguments)
        return made

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._call_parameters = frozenset(inspect.signature(cls.call).parameters)
        cls._asks_training = "training" in cls._call_parameters
        if "build" in cls.__dict__:
            cls.build = _noted(cls.__dict__["build"])  # type: ignore[method-assign]

    def __init__(
        self,
        *,
        name: str | None = None,
        dtype: str | None = None,
        trainable: bool = True,
        activity_regularizer: Any = None,
        **kwargs: Any,
    ) -> None:
        given = {key: value for key, value in kwargs.items() if value is not None}
        shape = given.pop("input_shape", None)
        for key in given:
            where = f"{type(self).__name__}({key}=...)"
            if key in _NOT_YET:
                raise NotThereYetError(
                    explain(
                        where,
                        expected="an argument that padless offers",
                        got="one of Keras's that is not there yet",
                        fix="leave it out",
                    )
                )
            known = inspect.signature(type(self).__init__).parameters
            raise ArgumentError(
                explain(
                    where,
                    expected="a known argument",
                    got=repr(key),
                    fix=nearest(
                        key, {*known, "name", "dtype", "trainable", "activity_regularizer"} - {"self", "kwargs"}
                    ),
                )
            )
        fresh = unique_name(snake_case(type(self).__name__))
        self.name = name or fresh
        self.dtype = "float32" if dtype is None else str(getattr(dtype, "name", dtype))
        self.backend = backends.current()
        self.built = False
        self.input_shape_hint = shape
        self.activity_regularizer = regularizers.get(activity_regularizer)
        self._trainable = trainable
        self._weights: dict[str, Weight] = {}
        self._path = ""
        self._owner = ""
        self._follows_time: list[bool] | None = None
        self._computes_steps_alone = False

    # ---- what subclasses write

    def build(self, spec: Any) -> None:
        """Make the weights. Called once, before the first `call`.

        Args:
            spec: shape and dtype of the input; a tuple such as (None, None, 128), with `.features`.
        """

    def call(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute the output.

        Args:
            x: as `view` says.
            *args: further arguments of the call.
            **kwargs: further arguments of the call.

        Returns:
            The output.
        """
        raise NotImplementedError(f"{type(self).__name__} has no call(self, x)")

    def decide(self, y: Any) -> Any:
        """Turn what a model with this layer at its end computes into what it says: what `predict` and metrics get.

        A loss gets what was computed. Most layers say what they compute; a layer that scores whole sequences, such as
        `layers.CRF`, picks the best one here. A subclassed model with such a layer calls it in a `decide` of its own.

        Args:
            y: what `call` gave.

        Returns:
            The same, or something with an entry for each step or row.
        """
        return y

    # ---- weights

    @property
    def xp(self) -> Any:
        """The array-API namespace of the layer's backend."""
        return self.backend.xp

    def add_weight(
        self,
        name: str | tuple[int, ...] | None = None,
        shape: tuple[int, ...] | None = None,
        initializer: Any = None,
        dtype: str | None = None,
        trainable: bool = True,
        *,
        regularizer: Any = None,
        constraint: Any = None,
        looked_up: bool = False,
    ) -> Array:
        """Make an array that belongs to the layer; assign it to an attribute.

        Args:
            name: of the attribute; may be left out, so that the shape comes first.
            shape: of the array.
            initializer: name or object; Glorot's uniform by default.
            dtype: the layer's by default.
            trainable: whether training changes it.
            regularizer: a function of the array that is added to the loss.
            constraint: a function of the array that is applied after each update.
            looked_up: whether it is a table of which a call reads some rows, by `self.backend.lookup(table, ids)`: an
                optimizer with lazy_embeddings then leaves the others alone, unless there is a regularizer or a
                constraint.

        Returns:
            The array.

        Example:
            >>> import padless
            >>> layer = padless.Layer()
            >>> tuple(layer.add_weight("scale", (3,), "ones").shape)
            (3,)
        """
        if name is not None and not isinstance(name, str):
            name, shape = None, name  # Keras's order: add_weight((3, 4))
        sizes = tuple(int(n) for n in (shape or ()))
        kind = dtype or self.dtype
        start = initializers.get(initializer or ("glorot_uniform" if kind.startswith(("float", "bfloat")) else "zeros"))
        assert start is not None
        room = _room.get()
        if room is not None:
            room.take(self.place, sizes)
        attribute = name or f"_weight{len(self._weights)}"
        self._weights[attribute] = Weight(
            sizes, kind, trainable, regularizers.get(regularizer), constraints.get(constraint), looked_up
        )
        self.__dict__[attribute] = self.backend.asarray(np.asarray(start(sizes), order="C"), kind)
        return self.__dict__[attribute]

    def add_state(self, name: str, shape: tuple[int, ...], initializer: Any = "zeros") -> Array:
        """Make an array that training does not change but the layer itself may, such as a moving mean.

        Args:
            name: of the attribute.
            shape: of the array.
            initializer: zeros by default.

        Returns:
            The array.
        """
        return self.add_weight(name, shape, initializer, trainable=False)

    def assign(self, name: str, value: Array) -> None:
        """Give one of the layer's arrays another value.

        Args:
            name: of the attribute.
            value: of the same shape.
        """
        self.__dict__[name] = self.backend.stop_gradient(value)

    def __setattr__(self, name: str, value: Any) -> None:
        own: dict[str, Weight] | None = self.__dict__.get("_weights")
        if own is None and isinstance(value, Layer):
            raise NotBuiltError(
                explain(
                    f"{type(self).__name__}.{name}",
                    expected="super().__init__() before layers are assigned",
                    got="a layer first",
                    fix="call super().__init__() at the start of __init__",
                )
            )
        if own is not None and not isinstance(value, Layer | Ragged):
            if name in own and self.__dict__.get(name) is not value:
                with self.backend.no_gradient():
                    value = self.backend.asarray(value, own[name].dtype)
            elif name not in own and self.backend.is_array(value) and not isinstance(value, np.ndarray | np.generic):
                registered = next((key for key in own if self.__dict__[key] is value), None)
                if registered is None:
                    raise ArgumentError(
                        explain(
                            f"{type(self).__name__}.{name}",
                            expected="arrays made by the layer, so that they are trained, saved and moved with it",
                            got=f"a bare {type(value).__name__}",
                            fix=f"self.{name} = self.add_weight({name!r}, shape), or add_state, or a NumPy array",
                        )
                    )
                own[name] = own.pop(registered)
                del self.__dict__[registered]
        object.__setattr__(self, name, value)

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers that are attributes of this one, in lists, tuples and dicts too, each with its path."""
        for name, value in list(self.__dict__.items()):  # another thread may be building
            if type(value) in _PLAIN:
                continue  # most are; a model is walked several times in each step
            if isinstance(value, Layer):
                yield name, value
            elif isinstance(value, _HOLDERS) and value and name not in _NO_LAYERS:
                yield from _layers_in(name, value)

    def inner_layers(self, path: str = "") -> Iterator[tuple[str, Layer]]:
        """All layers in this one, and in these, each with its path."""
        for name, child in self.children():
            yield f"{path}{name}", child
            yield from child.inner_layers(f"{path}{name}/")

    def weights_ahead(self) -> list[str]:
        """Paths of weights of attributes that come before the layer's own, as Keras orders them."""
        return []

    def learned_arrays(self) -> list[np.ndarray[Any, Any]]:
        """What `adapt` found out that Keras keeps among the weights; here it belongs to the config."""
        return []

    def learn_arrays(self, arrays: list[np.ndarray[Any, Any]]) -> None:
        """Take what `learned_arrays` gave.

        Args:
            arrays: from a file of weights.

        Raises:
            ShapeError: when the layer learns nothing of the kind.
        """
        shapes = ", ".join(str(array.shape) for array in arrays)
        fix = "the same layers as in the model that was saved"
        raise ShapeError(explain(self.place, expected="no weights", got=shapes, fix=fix))

    def weight_slots(self) -> dict[str, tuple[Layer, str]]:
        """Where every array of this layer and of the layers in it lives, by path; shared layers once."""
        slots: dict[str, tuple[Layer, str]] = {}
        _collect(self, "", slots, set())
        return slots

    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """All arrays by path, on the host.

        Returns:
            Such as {"layers/0/kernel": ...}.
        """
        return {
            path: np.array(layer.backend.to_host(layer.__dict__[name]))
            for path, (layer, name) in self.weight_slots().items()
        }

    def load_state_dict(self, arrays: dict[str, Any]) -> None:
        """Set all arrays by path.

        Args:
            arrays: as `state_dict` gave them.

        Raises:
            ShapeError: when a path is missing, unknown, or has another shape; nothing is changed then.
        """
        slots = self.weight_slots()
        missing, unknown = slots.keys() - arrays.keys(), arrays.keys() - slots.keys()
        wrong = [
            f"{path} is {tuple(arrays[path].shape)}, expected {layer._weights[name].shape}"
            for path, (layer, name) in slots.items()
            if path in arrays and tuple(arrays[path].shape) != layer._weights[name].shape
        ]
        if missing or unknown or wrong:
            raise ShapeError(
                explain(
                    f"weights of {self.name!r}",
                    expected=f"{len(slots)} arrays with the paths and shapes of the model",
                    got=f"missing {sorted(missing)[:3]}, unknown {sorted(unknown)[:3]}, other shapes {wrong[:3]}",
                    fix="build the same model, and call it once or give it an Input, before loading",
                )
            )
        for path, (layer, name) in slots.items():
            layer.__dict__[name] = layer.backend.asarray(np.array(arrays[path]), layer._weights[name].dtype)

    def _ordered_slots(self) -> list[tuple[Layer, str]]:
        return list(self.weight_slots().values())

    @property
    def weights(self) -> list[Array]:
        """All arrays, in Keras's order."""
        return [layer.__dict__[name] for layer, name in self._ordered_slots()]

    @property
    def trainable_weights(self) -> list[Array]:
        """The arrays that training changes."""
        return [layer.__dict__[name] for layer, name in self._ordered_slots() if layer.trains(name)]

    @property
    def non_trainable_weights(self) -> list[Array]:
        """The arrays that training does not change."""
        return [layer.__dict__[name] for layer, name in self._ordered_slots() if not layer.trains(name)]

    def trains(self, name: str) -> bool:
        """Whether training changes the array of that name."""
        return self._trainable and self._weights[name].trainable

    @property
    def trainable(self) -> bool:
        """Whether training changes the weights; setting it reaches the layers inside."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        object.__setattr__(self, "_trainable", bool(value))
        for _, child in self.children():
            child.trainable = value

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """All arrays as NumPy arrays, in Keras's order.

        Returns:
            The arrays; copies.
        """
        return [np.array(self.backend.to_host(array)) for array in self.weights]

    def set_weights(self, weights: list[Any]) -> None:
        """Set all arrays, in Keras's order.

        Args:
            weights: as `get_weights` gave them.

        Raises:
            ShapeError: when the count or a shape is another; nothing is changed then.
        """
        slots = self._ordered_slots()
        shapes = [layer._weights[name].shape for layer, name in slots]
        came = [tuple(np.shape(w)) for w in weights]
        if came != shapes:
            raise ShapeError(
                explain(
                    f"set_weights of {self.name!r}",
                    expected=f"{len(shapes)} arrays of shapes {shapes[:8]}",
                    got=f"{len(came)} of shapes {came[:8]}",
                    fix="build the layer first; take the arrays from get_weights() of the same layer",
                )
            )
        for (layer, name), value in zip(slots, weights, strict=True):
            layer.__dict__[name] = layer.backend.asarray(np.array(value), layer._weights[name].dtype)

    def count_params(self) -> int:
        """Number of weights.

        Returns:
            The sum of the sizes of all arrays.
        """
        return sum(int(np.prod(array.shape)) for array in self.weights)

    def regularization(self) -> list[Array]:
        """What the regularizers of all weights that are trained add to the loss."""
        found = []
        for layer, name in self._ordered_slots():
            rule = layer._weights[name].regularizer
            if rule is not None and layer.trains(name):
                found.append(rule(layer.__dict__[name]))
        return found

    # ---- what a call adds to the loss

    def add_loss(self, value: Array) -> None:
        """Add to the loss of a model, in `call`; it counts in `fit`, `evaluate` and their likes.

        Args:
            value: a scalar of the layer's backend; or a Ragged, whose live steps are added up. It is not divided by the
                number of rows. A scalar that adds up over a batch must leave out the entries that are not `live`.

        Raises:
            ShapeError: when it is neither.

        Example:
            >>> import padless
            >>> class Quiet(padless.Layer):
            ...     view = "ragged"
            ...     def call(self, x):
            ...         self.add_loss(0.5 * padless.row_sum(x).sum())
            ...         return x
            >>> layer = Quiet()
            >>> _ = layer(padless.Ragged.from_list([[1.0, 2.0], [3.0]]))
            >>> [float(value) for value in layer.losses]
            [3.0]
        """
        if isinstance(value, Ragged):
            value = self.xp.sum(self._live_part(value))
        if not self.backend.is_array(value) or value.ndim:
            shape = f"shape {tuple(value.shape)}" if hasattr(value, "shape") else repr(value)
            raise ShapeError(
                explain(
                    f"{self.place}: add_loss",
                    expected=f"a scalar array of {self.backend.name}, or a Ragged",
                    got=shape,
                    fix="self.add_loss(self.xp.mean(...)); x.with_values(...) where each step of a row adds something",
                )
            )
        mode = _mode.get()
        keep = keep_loss if mode is None else mode.losses
        if keep is not None:
            keep(self, value)

    @property
    def losses(self) -> list[Array]:
        """What this layer and those in it added to the loss when last called, and what regularizers of weights add."""
        unique = dict.fromkeys([self, *(layer for _, layer in self.inner_layers())])
        return [*(value for layer in unique for value in _kept.get(layer, ())), *self.regularization()]

    def _forget_losses(self) -> None:
        for layer in [self, *(layer for _, layer in self.inner_layers())]:
            _kept.pop(layer, None)

    def add_activity(self, y: Any) -> None:
        """Add what the activity regularizer, if there is one, says of an output to the loss, if anybody wants it.

        Args:
            y: a Ragged or an array (B, ...), or several.
        """
        mode = _mode.get()
        if self.activity_regularizer is None or (mode is not None and mode.losses is None):
            return
        if isinstance(y, dict):
            y = list(y.values())
        for part in _parts(y):
            if isinstance(part, list | tuple | dict):
                self.add_activity(part)
            else:
                self.add_loss(self._activity_of(part))

    def _activity_of(self, y: Any) -> Array:
        """What the activity regularizer says of an output, by row."""
        rule, mode = self.activity_regularizer, _mode.get()
        assert rule is not None
        live = None if mode is None else mode.live
        if not getattr(rule, "adds_up", True) and (live is not None or isinstance(y, Ragged)):
            raise NotThereYetError(
                explain(
                    f"{self.place}: activity_regularizer",
                    expected="one that adds up over the steps of rows",
                    got=f"{rule!r}, which compares them",
                    fix="regularizers.L1L2, or a function of yours",
                )
            )
        cost: Array = rule(self._live_part(y))
        count = count_of_rows(y)
        return cost / (count if isinstance(count, int) else self.backend.cast(count, self.backend.dtype_name(cost)))

    def _live_part(self, x: Any) -> Array:
        """The packed steps or the rows of a value, zeros in the place of those that only fill a batch up."""
        values, live = x.flat_values if isinstance(x, Ragged) else x, self.live(x)
        if live is None:
            return values
        beside = self.xp.reshape(live, (-1, *(1 for _ in values.shape[1:])))
        return self.xp.where(beside, values, self.xp.zeros_like(values))

    # ---- the call

    @property
    def training(self) -> bool:
        """Whether the present call is a training step."""
        mode = _mode.get()
        return mode is not None and mode.training

    @property
    def tracing(self) -> bool:
        """Whether the present call only finds out shapes, on stand-ins."""
        mode = _mode.get()
        return mode is not None and mode.tracing

    def live(self, x: Any) -> Array | None:
        """Which entries of the first axis of a value are real.

        Args:
            x: a Ragged or an array (B, ...).

        Returns:
            Bools, one for each innermost step (N,) or row (B,); None where all are, as they are outside of compiled
            steps.
        """
        mode = _mode.get()
        return None if mode is None else live_entries(x, mode.live)

    @property
    def place(self) -> str:
        """Name, class and place in the model, for errors."""
        where = f", {self._path} of {self._owner!r}" if self._path else ""
        return f"layer {self.name!r} ({type(self).__name__}{where})"

    def __call__(self, x: Any, *args: Any, mask: Any = None, training: bool | None = None, **kwargs: Any) -> Any:
        """Call the layer on data or on a symbol.

        Args:
            x: a list of sequences, a `Ragged`, an array, or a `Symbol`; a list of these for a layer that merges.
            *args: handed to `call`.
            mask: (B, T) bool for a padded array, True where the step is real.
            training: whether dropout drops and statistics move; default: as the call around this one.
            **kwargs: handed to `call`.

        Returns:
            The form that came in: a list for a list, a Ragged for a Ragged, a padded array for one with a mask.
        """
        if has_symbol(x) or (args and any(map(has_symbol, args))) or (kwargs and any(map(has_symbol, kwargs.values()))):
            from padless.graph import apply, require_symbols

            require_symbols(self.place, x)
            return apply(self, x, args, mask, kwargs, training)
        if _mode.get() is None and _kept:
            self._forget_losses()
        if training is not None and training != self.training:
            with Within((_mode.get() or Mode(losses=keep_loss))._replace(training=training)):
                return self._form_call(x, args, mask, kwargs)
        return self._form_call(x, args, mask, kwargs)

    def _form_call(self, x: Any, args: tuple[Any, ...], mask: Any, kwargs: dict[str, Any]) -> Any:
        if mask is None and self._reads_as_it_is(x):
            return self._run(x, *args, **kwargs)
        form: Form
        if self.merges:
            x, form = self._enter_many(x, mask)
        else:
            x, form = enter(x, mask, self.backend, self.place)
        return form.leave(self._run(x, *args, **kwargs))

    def _reads_as_it_is(self, x: Any) -> bool:
        """Whether an input is rows of the backend's arrays, or a list of them where the layer merges."""
        if type(x) is Ragged:
            return not self.merges and self.backend.is_array(x.flat_values)
        if not self.merges or not isinstance(x, _SEVERAL) or not x:
            return False
        return all(type(value) is Ragged and self.backend.is_array(value.flat_values) for value in x)

    def _enter_many(self, values: Any, masks: Any) -> tuple[list[Any], Form]:
        if not isinstance(values, list | tuple) or not values:
            raise ArgumentError(
                explain(
                    self.place,
                    expected="a list of values",
                    got="an empty list" if isinstance(values, list | tuple) else type(values).__name__,
                    fix=f"{type(self).__name__}()([a, b])",
                )
            )
        each = masks if isinstance(masks, list | tuple) else [masks] * len(values)
        if len(each) != len(values):
            raise ArgumentError(
                explain(
                    f"{self.place}: mask",
                    expected=f"a mask for each of {len(values)} values, or one for all",
                    got=f"{len(each)} masks",
                    fix="mask=[mask_of_a, mask_of_b]",
                )
            )
        entered = [enter(value, m, self.backend, self.place) for value, m in zip(values, each, strict=True)]
        return [value for value, _ in entered], entered[0][1]

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        """Compute on values that are already a Ragged or arrays of the backend."""
        if not self.reads_nested and (any(map(is_nested, x)) if self.merges else is_nested(x)):
            return self._run_within(x, args, kwargs)
        prepared = self._prepared(x)
        if prepared is not x and not self.reads_nested and is_nested(prepared):  # by now
            return self._run_within(prepared, args, kwargs)
        return self._run_prepared(prepared, args, kwargs)

    def _run_prepared(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if self.input_spec is not None:
            self._require_spec(x)
        if not self.built:
            with _building:
                if not self.built:  # by another thread
                    self._build_for(x)
        y = self._dispatch(x, args, kwargs)
        if self.activity_regularizer is not None:
            self.add_activity(y)
        watched(self, x, y)
        return y

    def _run_within(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Of rows within rows, a layer that looks at one step at a time sees the inner rows; no other can read them."""
        if self._view != "steps" and not (self.makes_mask and not self.merges):
            raise MaskError(self.nested_error())
        axis = getattr(self, "axis", None)
        if any(isinstance(one, int) and one >= 0 for one in (axis if isinstance(axis, list | tuple) else [axis])):
            # The layer sees the inner rows alone, whose axes have other numbers.
            raise MaskError(
                explain(
                    self.place,
                    expected="axes counted from the end, since rows within rows came",
                    got=f"axis={axis}",
                    fix="axis=-1 for the features, -2 for the steps of the inner rows",
                )
            )
        first = next(value for value in x if is_nested(value)) if self.merges else x
        with rows_of_steps(first):
            inner = self._values_of_all(x, first.rows) if self.merges else x.values
            y = self._run(inner, *args, **kwargs)
        y = type(y)(map(first.with_values, y)) if isinstance(y, list | tuple) else first.with_values(y)
        watched(self, x, y)
        return y

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The one branch on how the layer reads rows."""
        view = self._view
        if self._asks_training and "training" not in kwargs:
            kwargs["training"] = self.training
        many, rows = self.merges, None
        if many:
            rows = next((v.rows for v in x if isinstance(v, Ragged)), None)
        elif isinstance(x, Ragged):
            rows = x.rows
        if rows is None:
            if view == "ragged" and not many:
                return self._run_uniform(x, args, kwargs)
            y = self.call(x, *args, **kwargs)
            return self._with_mask(y, self._new_mask(x, None)) if self._computes_mask and not many else y
        if view is None:
            raise MaskError(self.mask_error())
        if view == "ragged":
            return self.call(x, *args, **kwargs)
        if view == "padded":
            inputs = [Ragged(v, rows) for v in self._values_of_all(x, rows)] if many else [x]
            return self._run_padded(inputs, args, kwargs)
        values = self._values_of_all(x, rows) if many else x.values
        if self.view is None and not (self._computes_steps_alone or many or args):
            # A Lambda was told how to read rows: its axis 1 is what it says.
            ours = type(self).__module__.startswith("padless.")
            self._computes_steps_alone = ours or require_steps_alone(self, values, kwargs)
        y = self.call(values, *args, **kwargs)
        if isinstance(y, _SEVERAL):
            return type(y)([self._as_steps(part, rows) for part in y])
        return self._as_steps(y, rows)

    def tried(self, x: Array, kwargs: dict[str, Any]) -> Any:
        """What `call` gives for an array, without any trace of it in gradients, losses or states."""
        with self.backend.no_gradient(), substituted(self, {}), calling(tracing=True):
            return self.call(x, **kwargs)

    def _as_steps(self, y: Array, rows: RowPartition) -> Ragged:
        if y.shape[0] != rows.nvals:
            raise MaskError(
                explain(
                    self.place,
                    expected=f'view = "steps" to return as many steps as it got, {rows.nvals}',
                    got=f"shape {tuple(y.shape)}",
                    fix='view = "ragged" for a layer that mixes, drops or adds steps',
                )
            )
        return counted(y, rows)

    def _run_uniform(self, x: Array, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """A layer that reads rows gets a dense array as rows of equal length; nothing is copied."""
        if x.ndim < 2:
            raise ShapeError(
                explain(
                    self.place,
                    expected="a batch of sequences (B, T, ...)",
                    got=f"shape {tuple(x.shape)}",
                    fix="x[None] for one sequence, or a list of sequences",
                )
            )
        y = self.call(Ragged.from_padded(x), *args, **kwargs)
        # Only a Ragged can carry a mask that a layer found.
        return y if self.makes_mask else _padded_again(y)

    def _run_padded(self, inputs: list[Ragged], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """One input, or the inputs of a layer that merges, which have the same rows."""
        rows = inputs[0].rows
        y, padded, mask = self._call_padded(inputs, rows.padded_length, args, kwargs)
        if self._computes_mask:
            return self._with_mask(y, self._new_mask(padded, mask))
        if self._follows_time is None:
            self._follows_time = self._probe(inputs, y, args, kwargs)
        made = []
        for part, follows in zip(_parts(y), self._follows_time, strict=True):
            if follows and part.shape[1] != rows.padded_length:
                raise MaskError(
                    explain(
                        self.place,
                        expected=f'view = "padded" to keep the {rows.padded_length} steps, or to pool them away',
                        got=f"shape {tuple(part.shape)}",
                        fix='view = "ragged" and a new partition, or compute_mask(x, mask) that gives the new mask',
                    )
                )
            made.append(self._live_steps(part, inputs[0]) if follows else part)
        return type(y)(made) if isinstance(y, list | tuple) else made[0]

    def _call_padded(
        self, inputs: list[Ragged], length: int, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[Any, Any, Any]:
        """Call on arrays padded to a length; gives the output, and what went in."""
        rows, xp = inputs[0].rows, self.xp
        padded, mask = [x.to_padded() for x in inputs], self.backend.index(rows, "mask")
        if length > rows.padded_length:
            mask, *padded = (
                xp.concat([a, xp.zeros((a.shape[0], length - a.shape[1], *a.shape[2:]), dtype=a.dtype)], axis=1)
                for a in (mask, *padded)
            )
        x, masks = (padded, [mask] * len(inputs)) if self.merges else (padded[0], mask)
        call: Callable[..., Any] = self.call
        return call(x, *args, **({"mask": masks} if "mask" in self._call_parameters else {}), **kwargs), x, masks

    def _probe(self, inputs: list[Ragged], y: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[bool]:
        """Which outputs have a time axis: those that grow with more steps of padding. Equal sizes prove nothing."""

        def longer() -> Any:
            with calling(tracing=True):
                # More than twice the length: halves, quarters and the like grow, too.
                return self._call_padded(inputs, 2 * inputs[0].rows.padded_length + 2, args, kwargs)[0]

        with self.backend.no_gradient():
            again = self.backend.abstractly(longer)
        pairs = zip(_parts(y), _parts(again), strict=True)
        return [one.ndim > 1 and one.shape[1] != other.shape[1] for one, other in pairs]

    def _live_steps(self, padded: Array, like: Ragged) -> Ragged:
        """The steps of a padded array at which another value has its own; the partition stays the same object."""
        flat = self.xp.reshape(padded, (padded.shape[0] * padded.shape[1], *padded.shape[2:]))
        return like.with_values(self.xp.take(flat, self.backend.index(like.rows, "padded_index"), axis=0))

    @property
    def _computes_mask(self) -> bool:
        """Whether the layer, in Keras's words, says itself which steps of its output are masked."""
        return not type(self).__module__.startswith("padless.") and hasattr(self, "compute_mask")

    def _new_mask(self, x: Array, mask: Array | None) -> Any:
        compute: Callable[..., Any] = self.compute_mask  # type: ignore[attr-defined]
        return compute(x, mask)

    def _with_mask(self, y: Any, mask: Any) -> Any:
        """Outputs with the masks that the layer computed; an output without one has no rows."""
        if mask is None:
            return y
        if isinstance(y, list | tuple):
            masks = mask if isinstance(mask, list | tuple) else [mask] * len(y)
            return type(y)(self._with_mask(part, m) for part, m in zip(y, masks, strict=True))
        return Ragged.from_padded(y, mask)

    def _values_of_all(self, inputs: list[Any], rows: RowPartition) -> list[Array]:
        values = [self._same_rows(value, rows) for value in inputs]
        if any(value.ndim != values[0].ndim for value in values):
            raise ShapeError(
                explain(
                    self.place,
                    expected="steps of as many axes in every input with rows",
                    got=", ".join(str(value.shape) for value in inputs),
                    fix="x.with_values(x.values[:, None]) gives steps that are numbers a feature axis",
                )
            )
        return values

    def _same_rows(self, value: Any, rows: RowPartition) -> Array:
        if not isinstance(value, Ragged):
            raise MaskError(
                explain(
                    self.place,
                    expected="rows in every input, the same ones",
                    got=f"an array of shape {tuple(value.shape)} beside rows",
                    fix="padless.spread(vector, like=sequences) gives each row's entry to all its steps",
                )
            )
        if value.rows is not rows:
            require_same_steps(self.place, rows, value.rows)
        return value.values

    @property
    def _view(self) -> View | None:
        if self.view is not None:
            return self.view
        if "mask" in self._call_parameters or self._computes_mask:
            return "padded"
        return "steps" if getattr(self, "supports_masking", False) else None

    def nested_error(self) -> str:
        """The text of the error that rows within rows raise here."""
        return explain(
            self.place,
            expected="rows of steps",
            got="rows within rows: lists of sequences of unequal length, as documents are of sentences",
            fix=f"layers.TimeDistributed({type(self).__name__}(...)) for each of the inner rows; then this layer can "
            "read what that gives for each. For plain sequences, give every step as many features",
        )

    def mask_error(self) -> str:
        """The text of the error that a ragged value raises here."""
        if type(self).__module__.startswith("padless.layers"):
            return explain(
                self.place,
                expected="an input of fixed size",
                got="a value with rows of unequal length, which this layer cannot read",
                fix="pool the rows first, with layers.GlobalMaxPooling1D() or a recurrent layer; or layers.Unmask() "
                "to make a padded array of them on purpose",
            )
        return explain(
            self.place,
            expected="a layer that says how it reads rows of unequal length",
            got="a value with rows, and a layer with no `view`",
            fix='view = "steps", "ragged" or "padded" in the class; or pool the rows first, with '
            "layers.GlobalMaxPooling1D() or a recurrent layer; or layers.Unmask() to drop the mask on purpose",
        )

    def _prepared(self, x: Any) -> Any:
        if self.merges:
            return [self._converted(value) for value in x]
        return self._converted(x)

    def _converted(self, x: Any) -> Any:
        values = x.flat_values if isinstance(x, Ragged) else x
        kind = self.backend.dtype_name(values)
        if kind == self.dtype and self.reads != "ids":
            return x
        if kind == "object":
            self._refuse_texts()
        wanted = kind
        if kind.startswith(("float", "bfloat")):
            wanted = self.dtype
            if self.reads == "ids":
                # An Input is float32 unless told otherwise, as in Keras; no numbers at all are no wrong ones.
                if not self.tracing and 0 not in values.shape:
                    self._refuse_floats(kind)
                wanted = "int64"
        elif self.reads == "floats":
            wanted = self.dtype
        if wanted == kind:
            return x
        values = self.backend.cast(values, wanted)
        return x.with_flat_values(values) if isinstance(x, Ragged) else values

    def _refuse_texts(self) -> None:
        from padless.errors import DTypeError

        fix = "layers.TextVectorization() before it, for rows of ids; or Tokenizer().texts_to_sequences(texts)"
        raise DTypeError(explain(self.place, expected="numbers", got="texts", fix=fix))

    def _refuse_floats(self, kind: str) -> None:
        from padless.errors import DTypeError

        raise DTypeError(
            explain(
                self.place,
                expected="whole numbers (ids)",
                got=f"dtype {kind}",
                fix="x.astype('int32'), if the floats are ids; Masking() finds padding in floats",
            )
        )

    def _build_for(self, x: Any) -> None:
        if self._view is None and any(isinstance(value, Ragged) for value in (x if self.merges else [x])):
            raise MaskError(self.mask_error())
        spec = [Spec.of(value) for value in x] if self.merges else Spec.of(x)
        self._build_with(spec)

    def _require_spec(self, x: Any) -> None:
        wanted = self.input_spec if isinstance(self.input_spec, list | tuple) else [self.input_spec]
        for value, one in zip(x if self.merges else [x], wanted, strict=False):
            spec = Spec.of(value)
            if one is not None and not one.fits(spec):
                got = f"shape {tuple(spec)}, {spec.dtype}"
                raise ShapeError(explain(self.place, expected=repr(one), got=got, fix="an input that fits input_spec"))

    def _spec_seen(self, spec: Spec) -> Spec:
        """What `build` is told of an input, given its spec; see FeatureAxis."""
        return spec

    def _build_with(self, spec: Any) -> None:
        before = dict(self.__dict__)
        try:
            self.build(self._spec_seen(spec))
        except BaseException:
            # A build that fails leaves the layer as it was, so that it can be called again.
            self._weights.clear()
            self.__dict__.clear()
            self.__dict__.update(before)
            raise
        self.built = True

    # ---- config

    def get_config(self) -> dict[str, Any]:
        """The arguments that make the same layer again.

        Returns:
            A dict that JSON can hold.
        """
        from padless.saving import serialize

        config = {"name": self.name, "dtype": self.dtype, "trainable": self._trainable}
        config.update(
            {key: serialize(value) for key, value in self.__dict__.get("_arguments", {}).items() if key not in config}
        )
        return config

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a layer of what `get_config` gave.

        Args:
            config: the arguments.

        Returns:
            A new layer, not built.
        """
        from padless.saving import deserialize

        return cls(**{key: deserialize(value) for key, value in config.items()})

    def __repr__(self) -> str:
        return f"<{type(self).__name__} name={self.name}, built={self.built}>"

    def require_built(self) -> None:
        """Raise unless the layer has its weights."""
        if not self.built:
            raise NotBuiltError(
                explain(
                    self.place,
                    expected="a layer that was built",
                    got="one that never saw data",
                    fix="call it once, or give the model an Input",
                )
            )


def count_of_rows(x: Any) -> Any:
    """How many rows penalties on a value are divided by.

    Args:
        x: a Ragged or an array (B, ...).

    Returns:
        A number, or an array that holds one; 1 in the place of 0.
    """
    mode = _mode.get() or Mode()
    if mode.rows is not None:
        return mode.rows
    if mode.live is None:
        return max(x.rows.nrows if isinstance(x, Ragged) else x.shape[0] if x.ndim else 1, 1)
    xp = backends.of(mode.live).xp
    count = xp.sum(mode.live)
    return xp.where(count > 0, count, xp.ones_like(count))


def mask_finder(layer: Layer) -> tuple[Layer, int]:
    """The layer that finds padding for another, which may be around it.

    Args:
        layer: one with `makes_mask`.

    Returns:
        The layer, and how many axes after the first of what `layer` is given may hold padding.
    """
    inner: Layer | None = getattr(layer, "inner_mask_maker", None)
    if inner is None:
        return layer, 1
    found, axes = mask_finder(inner)
    return found, axes + 1


@contextlib.contextmanager
def rows_of_steps(x: Ragged) -> Iterator[None]:
    """Within this context, layers are called as parts of a model, and each step of a value counts as a row.

    Args:
        x: (B, None, ...).

    Yields:
        Nothing.
    """
    mode = _mode.get() or Mode(losses=keep_loss)
    live = None if mode.live is None else live_steps(x, mode.live)
    with Within(mode._replace(live=live, rows=count_of_rows(x))), naming_outer_rows(x.rows):
        yield


def _parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def _noted(build: Callable[..., None]) -> Callable[..., None]:
    """A build that can also be called by hand with a shape, as in Keras, and that notes that it was done."""

    @functools.wraps(build)
    def built(self: Layer, spec: Any) -> None:
        shape = isinstance(spec, tuple | list) and all(n is None or isinstance(n, int) for n in spec)
        build(self, self._spec_seen(Spec(tuple(spec), self.dtype)) if shape and not isinstance(spec, Spec) else spec)
        self.built = True

    return built


def _padded_again(y: Any) -> Any:
    if isinstance(y, tuple | list):
        return type(y)(_padded_again(part) for part in y)
    return y.to_padded() if isinstance(y, Ragged) else y


_HOLDERS = (list, tuple, dict)
_PLAIN = frozenset({type(None), bool, int, float, str})


_NO_LAYERS = frozenset({"_arguments", "_weights", "_follows_time", "_programs", "_totals"})
"""Attributes of padless that hold none, or others' layers: arguments are noted as they came."""


def _layers_in(path: str, value: Any) -> Iterator[tuple[str, Layer]]:
    if isinstance(value, Layer):
        yield path, value
    elif isinstance(value, _SEVERAL):
        for at, item in enumerate(value):
            if type(item) not in _PLAIN:
                yield from _layers_in(f"{path}/{at}", item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if type(item) not in _PLAIN:
                yield from _layers_in(f"{path}/{key}", item)


def _collect(layer: Layer, path: str, slots: dict[str, tuple[Layer, str]], seen: set[int]) -> None:
    if id(layer) in seen:
        return
    seen.add(id(layer))
    for attribute, name in (ahead.split("/") for ahead in layer.weights_ahead()):
        child = layer.__dict__[attribute]
        if id(child) not in seen:
            slots[f"{path}{attribute}/{name}"] = (child, name)
    if layer._weights:
        for trainable in (True, False):
            for name, weight in layer._weights.items():
                if weight.trainable is trainable:
                    slots[f"{path}{name}"] = (layer, name)
    for name, child in layer.children():
        _collect(child, f"{path}{name}/", slots, seen)


@contextlib.contextmanager
def substituted(layer: Layer, arrays: dict[str, Array]) -> Iterator[dict[str, Array]]:
    """Within this context the layer computes with other arrays: the bridge from objects to pure functions.

    Args:
        layer: a layer or model.
        arrays: by path, as in `weight_slots`.

    Yields:
        A dict that holds, when the context ends, the arrays that the layer itself assigned meanwhile (states), by path.
    """
    slots = layer.weight_slots()
    before = {path: owner.__dict__[name] for path, (owner, name) in slots.items()}
    assigned: dict[str, Array] = {}
    try:
        for path, array in arrays.items():
            owner, name = slots[path]
            owner.__dict__[name] = array
        yield assigned
        for path, (owner, name) in slots.items():
            if owner.__dict__[name] is not arrays.get(path, before[path]):
                assigned[path] = owner.backend.stop_gradient(owner.__dict__[name])
    finally:
        for path, (owner, name) in slots.items():
            owner.__dict__[name] = before[path]


# ---- what layers keep from batch to batch

_apart: contextvars.ContextVar[bool] = contextvars.ContextVar("padless_apart", default=False)


def _keepers(layer: Layer) -> list[tuple[str, Layer]]:
    """The layers that keep something, each once, by path."""
    found: list[tuple[str, Layer]] = []
    seen: set[int] = set()

    def look(path: str, inner: Layer) -> None:
        if id(inner) in seen:
            return
        seen.add(id(inner))
        if "kept" in inner.__dict__:
            found.append((path, inner))
        for name, child in inner.children():
            look(f"{path}/{name}", child)

    look("", layer)
    return found


def carried(layer: Layer) -> dict[str, list[Array]]:
    """What a layer and the layers in it keep from batch to batch.

    Args:
        layer: a layer or model.

    Returns:
        Arrays (B, ...) by the path of their layer; nothing of a layer that keeps nothing at present.
    """
    return {path: keeper.kept for path, keeper in _keepers(layer) if keeper.kept is not None}


def coming_states(layer: Layer, nrows: int) -> dict[str, list[Array]]:
    """Arrays in the shapes of those that layers will keep, of the layers that keep nothing at present.

    Args:
        layer: a layer or model, built.
        nrows: B of the batches.

    Returns:
        As `carried` gives them.
    """
    keepers: list[tuple[str, Any]] = [(path, keeper) for path, keeper in _keepers(layer) if keeper.kept is None]
    return {path: list(optree.tree_leaves(keeper.get_initial_state(nrows))) for path, keeper in keepers}


def carry(layer: Layer, arrays: dict[str, list[Array]]) -> None:
    """Have layers keep other arrays.

    Args:
        layer: a layer or model.
        arrays: as `carried` gives them; layers that are not named keep what they do.
    """
    if arrays:
        for path, keeper in _keepers(layer):
            keeper.kept = arrays.get(path, keeper.kept)


@contextlib.contextmanager
def carrying(layer: Layer, arrays: dict[str, list[Array]]) -> Iterator[dict[str, list[Array]]]:
    """Within this context, layers keep other arrays; with `substituted`, what makes a pure function of a model.

    Args:
        layer: a layer or model.
        arrays: as `carried` gives them; layers that are not named begin with nothing.

    Yields:
        A dict that holds, when the context ends, what the layers keep then. They have again what they kept before.
    """
    keepers = _keepers(layer)
    before = [keeper.kept for _, keeper in keepers]
    after: dict[str, list[Array]] = {}
    token = _apart.set(True)
    try:
        for path, keeper in keepers:
            keeper.kept = arrays.get(path)
        yield after
        after.update((path, keeper.kept) for path, keeper in keepers if keeper.kept is not None)
    finally:
        _apart.reset(token)
        for (_, keeper), kept in zip(keepers, before, strict=True):
            keeper.kept = kept


def carries_apart() -> bool:
    """Whether what layers keep is taken care of by whoever runs them, so that it may be without numbers."""
    return _apart.get()
