"""Programs that JAX compiles: once for each size of a batch, not for each batch.

A batch is filled up to sizes of a geometric series (`filled.py`). What the function asks of the rows is found out by
tracing it once; from then on the host makes these arrays for every batch and hands them in. Spare slots come in as NaN,
so that whatever leaks is seen at once, and are replaced by the first live slot before the function sees them: what it
computes there is as finite as the data are, and counts for nothing.

What goes wrong while a function is traced goes wrong again without compiling, on the batch as it is, where the error
says what it always says. A function that only cannot be traced runs without being compiled, with one warning.
"""

from __future__ import annotations

import contextvars
import threading
import warnings
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from padless.backends.base import Program
from padless.backends.jax.filled import FilledRows, Path, Sizes, Source, TracedRows, capacity, follow, found
from padless.errors import DataError, explain
from padless.ragged import Ragged
from padless.rows import RowPartition

if TYPE_CHECKING:
    from padless.backends.jax import JaxBackend

Array = Any
Key = tuple[int, Path, str, str, tuple[Hashable, ...]]

_LEAST_ROWS = 8
_MANY = 16
"""From so many compilations on, a program that needs another for most batches says so."""


class CompilationWarning(UserWarning):
    """A step is compiled again and again, or cannot be compiled."""


class Form(NamedTuple):
    """What a program is compiled for, beside the shapes of arrays.

    Attributes:
        tree: containers of the batch.
        kinds: for each of its leaves the number of its rows among those of the batch, and of the rows within them;
            nothing for an array (B, ...).
        sizes: of each input's rows.
        wanted: what the function asks of the rows.
        numbers: sizes that it asked for, such as a padded length.
    """

    tree: Any
    kinds: tuple[tuple[int, ...], ...]
    sizes: tuple[Sizes, ...]
    wanted: tuple[Key, ...] = ()
    numbers: tuple[tuple[tuple[int, Path, str], int], ...] = ()


class FilledBatch:
    """A batch on the host, filled up.

    Args:
        batch: a tree of Ragged, arrays (B, ...) and None.
        room: rows and steps to fill it up to; by default the next of the series.
        dense: whether to fill it up, too, when it has no rows of unequal length.

    Raises:
        DataError: when the parts do not have the same number of rows.
    """

    def __init__(self, batch: Any, room: tuple[int, int] | None = None, dense: bool = True) -> None:
        leaves, self.tree = jax.tree.flatten(batch, is_leaf=lambda x: isinstance(x, Ragged))
        counts = {len(leaf) for leaf in leaves}
        if len(counts) != 1:
            raise DataError(
                explain("a batch", expected="as many rows in each part", got=f"{sorted(counts)}", fix="equal counts")
            )
        self.nrows = counts.pop()
        self.capacity = capacity(self.nrows if room is None else max(self.nrows, room[0]), _LEAST_ROWS)
        if not dense and not any(isinstance(leaf, Ragged) for leaf in leaves):
            self.capacity = self.nrows - 1  # the last row is where the sink would be
        self.rows: list[FilledRows] = []
        self.leaves: list[np.ndarray[Any, Any]] = []
        kinds = []
        nested = any(isinstance(leaf, Ragged) and isinstance(leaf.values, Ragged) for leaf in leaves)
        for leaf in leaves:
            kind: list[int] = []
            size = self.capacity + 1
            while isinstance(leaf, Ragged):
                # Where steps are rows themselves, one of these, too, is to be the sink; room is for the innermost.
                holds_rows = isinstance(leaf.values, Ragged) or (nested and not kind)
                kind.append(self._input(leaf.rows, size, None if holds_rows or room is None else room[1], holds_rows))
                leaf, size = leaf.values, self.rows[kind[-1]].nvals
            kinds.append(tuple(kind))
            self.leaves.append(_filled(np.asarray(leaf), size))
        self.kinds = tuple(kinds)
        # How much of each is live; the rows last.
        self.live = np.array([*(rows.real.nvals for rows in self.rows), self.nrows], np.int32)

    def _input(self, rows: RowPartition, nrows: int, room: int | None, holds_rows: bool) -> int:
        """The number of these rows, filled up to so many, among those of the batch."""
        for at, known in enumerate(self.rows):
            # Lists know nothing of masked steps: as many live steps in each row is all that they can promise.
            alike = not rows.came_padded and rows.same_lengths(known.real)
            if known.nrows == nrows and (alike or known.real.same_steps(rows)):
                return at
        steps = None if room is None or room < rows.nvals else room
        self.rows.append(FilledRows.of(rows, nrows - 1, steps, spare=int(holds_rows)))
        return len(self.rows) - 1

    @property
    def form(self) -> Form:
        """What is known of it before the numbers are."""
        return Form(self.tree, self.kinds, tuple(Sizes(rows.nrows, rows.nvals) for rows in self.rows))

    def wanted(self, key: Key, plans: Callable[..., dict[str, Any]]) -> Any:
        """An array, or arrays by name, of the rows of one input."""
        at, path, how, name, arguments = key
        rows, given = follow(self.rows, at, path), found(self.rows, arguments)
        if how == "plan":
            return {part: _narrow(array) for part, array in plans(rows, name, *given).items()}
        return _narrow(rows.array(name, *given))

    def number(self, at: int, path: Path, name: str) -> int:
        """A size of the rows of one input."""
        return int(getattr(follow(self.rows, at, path), name))

    def cut(self, value: Any) -> Any:
        """What a program gave, on the host, without spare slots."""
        return self._cut(value, self.nrows)

    def _cut(self, value: Any, size: int) -> Any:
        if not isinstance(value, Ragged):
            return np.asarray(value)[:size]
        rows = value.rows
        if isinstance(rows, TracedRows):
            real = follow([one.real for one in self.rows], rows.input_name, rows.path)
        else:  # made of a dense array inside of the function
            real = rows.take(np.arange(size))[0]
        return Ragged(self._cut(value.values, real.nvals), real)


def _filled(values: np.ndarray[Any, Any], size: int) -> np.ndarray[Any, Any]:
    made = np.zeros((size, *values.shape[1:]), values.dtype)
    if values.dtype.kind == "f":
        made[len(values) :] = np.nan
    made[: len(values)] = values
    return made


def _words(numbers: dict[str, Any]) -> dict[str, Any]:
    """Whole numbers as 32 bits, whatever they count to: seeds go up to 2**32 - 1."""
    return {
        name: np.array(number & 0xFFFFFFFF, np.uint32).view(np.int32) if isinstance(number, int) else number
        for name, number in numbers.items()
    }


def _narrow(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return array if array.dtype == np.bool_ else array.astype(np.int32)


class _Recorder:
    """Gives arrays of a batch at hand, and notes what was asked."""

    live: Any = None
    counts: Any = None

    def __init__(self, batch: FilledBatch, plans: Callable[..., dict[str, Any]]) -> None:
        self.batch, self.plans = batch, plans
        self.wanted: dict[Key, None] = {}
        self.numbers: dict[tuple[int, Path, str], None] = {}

    def array(self, input_name: int, path: Path, how: str, name: str, arguments: tuple[Hashable, ...]) -> Any:
        key = (input_name, path, how, name, arguments)
        self.wanted[key] = None
        return jax.tree.map(jnp.asarray, self.batch.wanted(key, self.plans))

    def number(self, input_name: int, path: Path, name: str) -> int:
        self.numbers[(input_name, path, name)] = None
        return self.batch.number(input_name, path, name)


class NotNoted(Exception):
    """The function asks for something that it did not ask for when it was traced first."""


class Given:
    """Gives the arrays that came into a compiled function."""

    live: Any = None
    counts: Any = None

    def __init__(self, form: Form, arrays: list[Any]) -> None:
        self.arrays = dict(zip(form.wanted, arrays, strict=True))
        self.numbers = dict(form.numbers)

    def array(self, input_name: int, path: Path, how: str, name: str, arguments: tuple[Hashable, ...]) -> Any:
        key = (input_name, path, how, name, arguments)
        if key not in self.arrays:
            raise NotNoted
        return self.arrays[key]

    def number(self, input_name: int, path: Path, name: str) -> int:
        if (input_name, path, name) not in self.numbers:
            raise NotNoted
        return self.numbers[(input_name, path, name)]


class Notes:
    """What a function asks of the rows of batches, found out by tracing it once for each kind of batch.

    Args:
        backend: JAX.
    """

    def __init__(self, backend: JaxBackend) -> None:
        self._backend = backend
        self._known: dict[Any, Form] = {}

    def form(self, filled: FilledBatch, trace: Callable[[Form, Source], None]) -> Form:
        """The form of a batch, with what the function asks of its rows.

        Args:
            filled: the batch.
            trace: traces the function with the rows of a source that notes what it is asked for.

        Returns:
            The form.
        """
        form = filled.form
        # Of rows with holes a function may ask for something else than of rows without.
        kinds = [(rows.has_holes, rows.came_padded, rows.has_one_length) for rows in filled.rows]
        alike = form.tree, form.kinds, tuple(kinds)
        noted = self._known.get(alike)
        if noted is None:
            recorder = _Recorder(filled, self._backend.host_plan)
            trace(form, recorder)
            noted = self._known[alike] = form._replace(
                wanted=tuple(recorder.wanted), numbers=tuple((key, 0) for key in recorder.numbers)
            )
        return form._replace(wanted=noted.wanted, numbers=tuple((key, filled.number(*key)) for key, _ in noted.numbers))

    def wanted(self, form: Form, filled: FilledBatch) -> list[Any]:
        """The arrays of a batch that the function asks for, on the host."""
        return [filled.wanted(key, self._backend.host_plan) for key in form.wanted]

    def forget(self) -> None:
        """Find everything out again."""
        self._known.clear()

    def __iter__(self) -> Iterator[Form]:
        return iter(self._known.values())


_assumed: contextvars.ContextVar[list[Array] | None] = contextvars.ContextVar("padless_assumed", default=None)


def assume(condition: Array) -> bool:
    """Note a condition that a compiled function takes for true, to be looked at afterwards.

    Args:
        condition: bools.

    Returns:
        Whether anybody will look.
    """
    noted = _assumed.get()
    if noted is not None:
        noted.append(jnp.all(condition))
    return noted is not None


def assumed() -> Array | None:
    """Whether all that was assumed since the last call is true; None where nothing was."""
    noted = _assumed.get()
    if not noted:
        return None
    sound = jnp.all(jnp.stack(noted))
    noted.clear()
    return sound


@contextmanager
def noting() -> Iterator[None]:
    """Within this context, what is assumed is noted."""
    token = _assumed.set([])
    try:
        yield
    finally:
        _assumed.reset(token)


class CompiledProgram(Program):
    """A function of arrays and of a batch, compiled for each size of the batch.

    Args:
        backend: JAX.
        function: as of `Program`.
        collect: as of `Program`.
        lock: held while the function is traced: meanwhile the model holds no numbers.

    Attributes:
        compilations: how often it was compiled.
        calls: how often it was called.
        ahead: how often of these by `warm`.
        live: live and all slots of the steps (of the rows, where there are none) so far.
    """

    def __init__(
        self,
        backend: JaxBackend,
        function: Callable[..., tuple[Any, Any, Any]],
        collect: Callable[[], dict[str, Any]],
        lock: threading.RLock,
    ) -> None:
        super().__init__(function, collect)
        self.lock = lock
        self.calls = self.ahead = 0
        self.live = np.zeros(2, np.int64)
        self._backend = backend
        self._jitted = jax.jit(self._body, static_argnums=(0,), donate_argnums=(2,))
        self._notes = Notes(backend)
        self._compiles = True
        self._warned = False

    def __call__(self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None = None) -> Any:
        with self.lock:
            arrays = self.collect()
            if not self._compiles:
                return self._plainly(arrays, numbers, batch)
            problem: Exception | None = None
            try:
                filled = FilledBatch(batch, room)
                made, found, y = self._compiled(arrays, _words(numbers), filled)
            except jax.errors.JaxRuntimeError:
                raise
            except Exception as error:
                problem = error
            if problem is not None:
                result = self._plainly(arrays, numbers, batch)
                self._give_up(problem)
                return result
            # What the optimizer remembers was handed over to the step, which gave it back.
            slots = {k: v for k, v in made.items() if k == "slots"}
            try:
                if "sound" in found and not bool(found["sound"]):
                    return self._plainly({**arrays, **slots}, numbers, batch)
                self._count(filled)
                return made, found, jax.tree.map(filled.cut, y, is_leaf=lambda x: isinstance(x, Ragged))
            except BaseException:
                self.given_back = slots.get("slots")
                raise

    def _plainly(self, arrays: dict[str, Any], numbers: dict[str, Any], batch: Any) -> Any:
        """Run the function without compiling it, on the batch as it is."""
        return self.function(arrays, numbers, batch, None)

    def _give_up(self, problem: Exception) -> None:
        self._compiles = False
        warnings.warn(
            explain(
                "compiling a step",
                expected="layers, a loss and an optimizer that compute with arrays alone",
                got=f"{type(problem).__name__}: {problem}",
                fix="it runs without being compiled, slowly; compile(run_eagerly=True) says that this is wanted",
            ),
            CompilationWarning,
            stacklevel=6,
        )

    def _count(self, filled: FilledBatch) -> None:
        self.calls += 1
        live, slots = (filled.nrows, filled.capacity)
        if filled.rows:
            live, slots = (sum(r.real.nvals for r in filled.rows), sum(r.nvals for r in filled.rows))
        self.live += (live, slots)
        compilations = self.compilations - self.ahead
        if compilations >= _MANY and 2 * compilations > self.calls and not self._warned:
            self._warned = True
            *_, form = self._notes
            what = sorted({name for (_, _, name), _ in form.numbers}) or ["the shape of a dense input"]
            warnings.warn(
                explain(
                    "compiling a step",
                    expected="a handful of compilations",
                    got=f"{compilations} for {self.calls} batches: {', '.join(what)} differs from batch to batch",
                    fix="rows in place of padded arrays, layers that read rows; or pad everything to one length",
                ),
                CompilationWarning,
                stacklevel=6,
            )

    # ---- ahead of time

    def size(
        self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None, whole: Callable[[], Any]
    ) -> Hashable:
        with self.lock:
            if not self._compiles:
                return None
            arrays, filled = self.collect(), FilledBatch(batch, room)

            def trace(form: Form, source: Source) -> None:
                self._tracer(arrays, _words(numbers), FilledBatch(whole(), room))(form, source)

            try:
                form = self._notes.form(filled, trace)
            except Exception as error:
                problem = error
            else:
                wanted = jax.tree.leaves(self._notes.wanted(form, filled))
                return form, *(array.shape for array in wanted), *(len(leaf) for leaf in filled.leaves)
            self._plainly(_unshared(arrays), numbers, whole())
            self._give_up(problem)
            return None

    def warm(self, numbers: dict[str, Any], batch: Any, room: tuple[int, int] | None = None) -> None:
        before = self.compilations
        with self.lock:
            self._compiled(_unshared(self.collect()), _words(numbers), FilledBatch(batch, room))
        self.ahead += self.compilations - before

    # ---- tracing

    def _compiled(self, arrays: dict[str, Any], numbers: dict[str, Any], filled: FilledBatch) -> Any:
        kept, slots = _apart(arrays)
        moved = [self._backend.asarray(leaf) for leaf in filled.leaves]

        def run() -> Any:
            form = self._notes.form(filled, self._tracer(arrays, numbers, filled))
            return self._jitted(form, kept, slots, numbers, moved, filled.live, self._notes.wanted(form, filled))

        try:
            return run()
        except NotNoted:
            self._notes.forget()
            return run()

    def _tracer(
        self, arrays: dict[str, Any], numbers: dict[str, Any], filled: FilledBatch
    ) -> Callable[[Form, Source], None]:
        """What traces the function on a batch."""

        def trace(form: Form, source: Source) -> None:
            def body(*inputs: Any) -> Any:
                return self._traced(form, source, *inputs)

            jax.eval_shape(body, *_apart(arrays), numbers, filled.leaves, filled.live)

        return trace

    def _body(self, form: Form, kept: Any, slots: Any, numbers: Any, leaves: Any, live: Array, wanted: Any) -> Any:
        made = self._traced(form, Given(form, wanted), kept, slots, numbers, leaves, live)
        self.compilations += 1
        return made

    def _traced(self, form: Form, source: Any, kept: Any, slots: Any, numbers: Any, leaves: Any, live: Array) -> Any:
        batch = unpacked(form, source, leaves, live)
        with noting():
            made, found, y = self.function({**kept, **slots}, numbers, batch, live_rows(form, leaves, live))
        return made, found, jax.tree.map(_bare, y, is_leaf=lambda x: isinstance(x, Ragged))


def _apart(arrays: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a step leaves as it is, and what it is handed for good."""
    kept = {name: part for name, part in arrays.items() if name != "slots"}
    return kept, {name: part for name, part in arrays.items() if name == "slots"}


def _unshared(arrays: dict[str, Any]) -> dict[str, Any]:
    """The same with copies of what a step is handed for good."""
    kept, slots = _apart(arrays)
    return {**kept, **jax.tree.map(jnp.copy, slots)}


def unpacked(form: Form, source: Source, leaves: Any, live: Array) -> Any:
    """The batch inside of a compiled function.

    Args:
        form: of it.
        source: of the arrays of its rows; whoever calls this keeps it alive.
        leaves: arrays of the batch, NaN in spare slots.
        live: how much of each is live, as `FilledBatch` says.

    Returns:
        A tree of Ragged, arrays (B, ...) and None; spare slots hold what the first live one does.
    """
    rows = [TracedRows(sizes, source, at) for at, sizes in enumerate(form.sizes)]
    values = []
    for leaf, kind in zip(leaves, form.kinds, strict=True):
        part = _cleaned(leaf, live[kind[-1] if kind else -1])
        for at in reversed(kind):
            part = Ragged(part, rows[at])
        values.append(part)
    return jax.tree.unflatten(form.tree, values)


def live_rows(form: Form, leaves: Any, live: Array) -> Array:
    """(B,) bool, False for rows that only fill a batch up; arguments as of `unpacked`."""
    # Also where there are no rows, so that nothing else need know how many there are.
    nrows = form.sizes[0].nrows if form.sizes else int(leaves[0].shape[0])
    return jnp.arange(nrows) < live[-1]


def _cleaned(leaf: Array, live: Array) -> Array:
    """Spare slots, which come in as NaN, hold what the first live one does; zeros where there is none."""
    marks = jnp.arange(leaf.shape[0]) < live
    first = jnp.where(live > 0, leaf[:1], jnp.zeros_like(leaf[:1]))
    return jnp.where(jnp.reshape(marks, (-1, *(1 for _ in leaf.shape[1:]))), leaf, first)


def _bare(value: Any) -> Any:
    if not isinstance(value, Ragged):
        return value
    rows = value.rows
    return Ragged(_bare(value.values), rows.bare() if isinstance(rows, TracedRows) else rows)
