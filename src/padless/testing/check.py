"""check_layer: whether a layer answers for each row alone, and never loses rows."""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from padless.errors import PadlessError, explain
from padless.layer import Layer, carrying, substituted
from padless.ragged import Ragged
from padless.rows import RowPartition

Array = Any
Host = npt.NDArray[Any]
Answers = list[list[Host]]
"""For each output of the layer, what it says about each row."""

LENGTHS = (3, 0, 1, 7, 2)
_WHERE = "where() around what goes into a root, a division or a logarithm: in a gradient, 0 times infinity is NaN"
_WORDS = {
    "P1": "P1, padding never changes an answer",
    "P2": "P2, a mask is never lost",
}


class PromiseError(PadlessError, AssertionError):
    """A layer breaks a promise about rows.

    Args:
        text: which promise, where, and by how much.
        promise: "P1" or "P2".
        what: the property that does not hold.
        got: what was found in its place.
        fix: what to write instead.
        lengths: of the rows of the smallest batch in which it does not hold.
    """

    def __init__(self, text: str, promise: str, what: str, got: str, fix: str, lengths: tuple[int, ...] = ()) -> None:
        super().__init__(text)
        self.promise = promise
        self.what = what
        self.got = got
        self.fix = fix
        self.lengths = lengths


@dataclass(frozen=True)
class Report:
    """What check_layer found to hold.

    Attributes:
        place: of the layer.
        properties: one sentence each.
    """

    place: str
    properties: tuple[str, ...]

    def __str__(self) -> str:
        return "\n".join([f"{self.place} keeps its promises:", *(f"  {line}" for line in self.properties)])


def check_layer(
    layer: Layer,
    features: int | Sequence[int] | Sequence[Sequence[int]] = 4,
    *,
    ids: int | None = None,
    lengths: Sequence[int] = LENGTHS,
    seed: int = 0,
) -> Report:
    """Check that a layer keeps two promises: padding never changes an answer, and a mask is never lost.

    The layer gets a small batch with an empty row, and each row alone; the batch in two parts; the rows in another
    order; beside a row of NaN; in padded arrays with NaN at masked steps, padded right, left and on both sides (a layer
    that reads padded arrays gets two fills that are numbers). Each time the answer for a row must be the same, and so
    must gradients, where the layer's backend has them. It takes about a second. A layer that was not built is built by
    it; no weight changes.

    Args:
        layer: any layer or model that takes one value, or a list of values if it merges.
        features: features of a step: 4, (4,), (28, 28), or () for one number. A list such as [(4,), (2,)], with an
            entry for each input, for a layer that merges.
        ids: for a layer that reads ids: how many there are; 0 is not used, since it often means padding.
        lengths: of the rows.
        seed: of the numbers.

    Returns:
        What was found to hold; `print` shows it.

    Raises:
        PromiseError: when a promise is broken. It says which, in what row, by how much, and the smallest batch in which
            that happens. An AssertionError.
        MaskError: by the layer itself, when it does not read rows.

    Example:
        >>> import padless
        >>> from padless.testing import check_layer
        >>> class Double(padless.Layer):
        ...     view = "steps"
        ...     def call(self, x):
        ...         return 2 * x
        >>> print(check_layer(Double()))  # doctest: +ELLIPSIS
        layer 'double' (Double) keeps its promises:
          one entry, or a run of steps, for each row
          ...
        >>> class Centre(padless.Layer):
        ...     view = "steps"
        ...     def call(self, x):
        ...         return x - self.xp.mean(x, axis=0)
        >>> try:
        ...     check_layer(Centre())
        ... except AssertionError as error:
        ...     print(str(error).splitlines()[0].partition(": ")[2])
        ...     print(error.lengths)
        expected P1, padding never changes an answer: the same for a row in a batch and alone.
        (1, 1)
    """
    shapes = _shapes(layer, features)
    check = _Check(layer, shapes, ids, tuple(lengths), seed)
    found = []
    for held, method in check.properties():
        try:
            method()
        except PromiseError as broken:
            raise _with_example(broken, check, method.__name__, ids, seed) from None
        found.append(held)
    return Report(layer.place, tuple(found))


def _with_example(broken: PromiseError, check: _Check, method: str, ids: int | None, seed: int) -> PromiseError:
    """The same error, and the smallest batch in which the same property does not hold."""
    smallest = check.lengths
    error = broken
    for lengths in _small_batches():
        try:
            getattr(_Check(check.layer, check.shapes, ids, lengths, seed), method)()
        except PromiseError as other:
            smallest, error = lengths, other
            break
    text = f"{broken}\n  Smallest example: lengths={smallest!r} gives {error.got}."
    return PromiseError(text, broken.promise, broken.what, broken.got, broken.fix, smallest)


def _small_batches() -> list[tuple[int, ...]]:
    """Up to three rows of up to two steps, fewest rows and steps first."""
    found = [lengths for rows in (1, 2, 3) for lengths in itertools.product(range(3), repeat=rows)]
    return sorted(found, key=lambda lengths: (len(lengths), sum(lengths)))


def _shapes(layer: Layer, features: Any) -> list[tuple[int, ...]]:
    if isinstance(features, int):
        return [(features,)] * (2 if layer.merges else 1)
    if len(features) and not isinstance(features[0], int):
        return [tuple(shape) for shape in features]
    return [tuple(features)] * (2 if layer.merges else 1)


class _Check:
    """One layer, and the batch that it is tried on."""

    def __init__(
        self, layer: Layer, shapes: list[tuple[int, ...]], ids: int | None, lengths: tuple[int, ...], seed: int
    ) -> None:
        self.layer = layer
        self.shapes = shapes
        self.lengths = lengths
        self.backend = layer.backend
        self.rows = RowPartition.from_lengths(lengths)
        numbers = np.random.default_rng(seed)
        self.steps: list[Host] = [
            numbers.uniform(-1, 1, (self.rows.nvals, *shape)).astype(np.float32)
            if ids is None
            else numbers.integers(1, ids, (self.rows.nvals, *shape))
            for shape in shapes
        ]
        self.has_ids = ids is not None

    def properties(self) -> Iterator[tuple[str, Callable[[], None]]]:
        """What is tried, and the sentence for each that holds."""
        yield "one entry, or a run of steps, for each row", self.require_rows
        yield "numbers for every row, empty ones too", self.require_numbers
        yield "the same in two calls", self.require_no_chance
        yield "the same for each row alone", self.require_alone
        yield "the same for a batch in two parts", self.require_parts
        yield "the same for rows in another order", self.require_order
        yield "the same whatever another row holds", self.require_mate
        yield "the same padded right, left and on both sides, with NaN in the padding", self.require_padded
        if self.layer._view == "padded" and not self.layer.merges:
            yield "the same for two fills of the padding", self.require_fills
        if self.backend.trains:
            yield "gradients that are the sum of those of each row alone, padded or not", self.require_gradients

    @cached_property
    def whole(self) -> list[Any]:
        """Outputs for the batch."""
        return self._outputs(self._inputs(self.steps, self.rows))

    @cached_property
    def expected(self) -> Answers:
        """What they say about each row."""
        return self._answers(self.whole)

    # ---- calls

    def _inputs(self, steps: Sequence[Array], rows: RowPartition) -> list[Ragged]:
        return [Ragged(self.backend.asarray(array), rows) for array in steps]

    def _outputs(self, inputs: list[Ragged]) -> list[Any]:
        with self.backend.no_gradient():
            return _parts(self._call(inputs))

    def _call(self, inputs: list[Ragged]) -> Any:
        with carrying(self.layer, {}):  # a stateful layer begins anew
            return self.layer(inputs if self.layer.merges else inputs[0])

    def _answers(self, outputs: list[Any]) -> Answers:
        hosts = [y.numpy() if isinstance(y, Ragged) else self.backend.to_host(y) for y in outputs]
        return [list(host) for host in hosts]

    # ---- what is tried

    def require_rows(self) -> None:
        """Every output has an entry, or steps, for every row."""
        for at, y in enumerate(self.whole):
            count = len(y) if isinstance(y, Ragged) else (tuple(y.shape) or (0,))[0]
            if count != self.rows.nrows:
                self._broken(
                    "P2",
                    "one entry, or a run of steps, for each row",
                    f"output {at} with {count} entries for {self.rows.nrows} rows",
                    "x.with_values(y) for packed steps y; padless.row_sum and its like for one entry per row",
                )

    def require_numbers(self) -> None:
        """No NaN, and no infinity."""
        for at, output in enumerate(self.expected):
            for row, answer in enumerate(output):
                if answer.dtype.kind == "f" and not np.isfinite(answer).all():
                    empty = " (an empty one)" if not self.rows.row_lengths[row] else ""
                    self._broken(
                        "P1",
                        "numbers for every row, empty ones too",
                        f"NaN or infinity in output {at}, row {row}{empty}",
                        "0 for what is made of no steps: padless.row_mean(x), or a division by max(count, 1)",
                    )

    def require_no_chance(self) -> None:
        """Two calls with the same input agree."""
        again = self._answers(self._outputs(self._inputs(self.steps, self.rows)))
        fix = "no random numbers outside of training"
        self._compare(again, self.expected, "the same in two calls with the same input", fix)

    def require_alone(self) -> None:
        """Each row gets the answer that it gets alone."""
        for row in range(self.rows.nrows):
            rows, index = self.rows.take([row])
            outputs = self._outputs(self._inputs([steps[index] for steps in self.steps], rows))
            self._require_same_kind(self.whole, outputs, row)
            self._compare(
                self._answers(outputs),
                [[output[row]] for output in self.expected],
                "the same for a row in a batch and alone",
                'view = "ragged" and sums over each row, in place of sums over the first axis',
                names=[row],
            )

    def _require_same_kind(self, whole: list[Any], alone: list[Any], row: int) -> None:
        if len(whole) != len(alone):
            self._broken(
                "P2", "as many outputs for any batch", f"{len(alone)} for row {row} alone, {len(whole)}", "one"
            )
        for at, (one, other) in enumerate(zip(whole, alone, strict=True)):
            same = isinstance(one, Ragged) == isinstance(other, Ragged)
            if same and (isinstance(one, Ragged) or tuple(one.shape[1:]) == tuple(other.shape[1:])):
                continue
            self._broken(
                "P2",
                "rows that are kept, or ended in one entry of fixed shape for each row",
                f"output {at} of shape {tuple(one.shape)} for the batch and {tuple(other.shape)} for row {row} alone: "
                "rows went in, and their lengths did not come out",
                "return a Ragged: x.with_values(y), or Ragged(y, rows) with a new partition",
            )

    def require_parts(self) -> None:
        """The first rows and the others, as two batches, get the same answers."""
        half = self.rows.nrows // 2
        parts = []
        for chosen in (np.arange(half), np.arange(half, self.rows.nrows)):
            rows, index = self.rows.take(chosen)
            parts.append(self._answers(self._outputs(self._inputs([steps[index] for steps in self.steps], rows))))
        joined = [[*one, *other] for one, other in zip(*parts, strict=True)]
        fix = "nothing in `call` that depends on how many rows there are"
        self._compare(joined, self.expected, "the same for a batch and for its two parts", fix)

    def require_order(self) -> None:
        """The answers move with the rows."""
        order = np.arange(self.rows.nrows)[::-1]
        rows, index = self.rows.take(order)
        self._compare(
            self._answers(self._outputs(self._inputs([steps[index] for steps in self.steps], rows))),
            [[output[row] for row in order] for output in self.expected],
            "the same for rows in another order",
            "nothing in `call` that depends on the place of a row",
            names=order.tolist(),
        )

    def require_mate(self) -> None:
        """What stands in another row does not matter, even if it is no number."""
        full = np.nonzero(self.rows.row_lengths)[0]
        if not len(full):
            return
        at = int(full[min(len(full) - 1, 2)])
        mate = self.rows.value_rowids == at
        changed = [steps.copy() for steps in self.steps]
        for steps in changed:
            steps[mate] = steps[mate][::-1] if self.has_ids else np.nan
        others = [row for row in range(self.rows.nrows) if row != at]
        found = self._answers(self._outputs(self._inputs(changed, self.rows)))
        self._compare(
            [[output[row] for row in others] for output in found],
            [[output[row] for row in others] for output in self.expected],
            f"the same whatever row {at} holds",
            "masked steps and other rows left out with where(), not multiplied by 0",
            names=others,
        )

    def _masks(self) -> list[tuple[str, npt.NDArray[np.bool_]]]:
        longest, spare = self.rows.max_row_length, 3
        columns = np.arange(longest + 2 * spare)
        found = []
        for side, starts in (
            ("the right", 0 * self.rows.row_lengths),
            ("the left", len(columns) - self.rows.row_lengths),
            ("both sides", spare + (longest - self.rows.row_lengths) // 2),
        ):
            ends = starts + self.rows.row_lengths
            found.append((side, (columns >= starts[:, None]) & (columns < ends[:, None])))
        return found

    def _padded_arrays(self, mask: npt.NDArray[np.bool_], fill: float) -> list[Array]:
        arrays = []
        for steps in self.steps:
            array = np.full((*mask.shape, *steps.shape[1:]), 0 if self.has_ids else fill, steps.dtype)
            array[mask] = steps
            arrays.append(self.backend.asarray(array))
        return arrays

    def require_padded(self) -> None:
        """Where the padding stands, and how much of it, does not matter."""
        for side, mask in self._masks():
            inputs = [Ragged.from_padded(array, mask) for array in self._padded_arrays(mask, np.nan)]
            self._compare(
                self._answers(self._outputs(inputs)),
                self.expected,
                f"the same padded on {side}",
                "no use of the padded length, and no position counted from the array's edge",
            )

    def require_fills(self) -> None:
        """A layer that reads padded arrays does not look at what padding holds."""
        takes_mask = "mask" in inspect.signature(self.layer.call).parameters
        for side, mask in self._masks():
            found = []
            for fill in (0.0, 100.0):
                x = self.layer._converted(self._padded_arrays(mask, fill)[0])
                call: Callable[..., Any] = self.layer.call
                with self.backend.no_gradient():
                    y = call(x, mask=self.backend.asarray(mask)) if takes_mask else call(x)
                found.append([self._live(part, mask) for part in _parts(y)])
            self._compare(
                found[1],
                found[0],
                f"the same for padding on {side} that holds 0 and that holds 100",
                "self.xp.where(mask[..., None], x, 0) before anything that mixes steps",
            )

    def _live(self, y: Array, mask: npt.NDArray[np.bool_]) -> list[Host]:
        host = self.backend.to_host(y)
        if host.ndim > 1 and host.shape[1] == mask.shape[1]:
            return [row[live] for row, live in zip(host, mask, strict=True)]
        return list(host)

    def require_gradients(self) -> None:
        """Gradients follow from the rows alone, and none reaches a masked step."""
        numbers = np.random.default_rng(1)
        weights = [[numbers.uniform(-1, 1, answer.shape) for answer in output] for output in self.expected]
        whole = self._gradient(self.steps, self.rows, weights)
        parts = []
        for row in range(self.rows.nrows):
            rows, index = self.rows.take([row])
            parts.append(self._gradient([steps[index] for steps in self.steps], rows, [[w[row]] for w in weights]))
        for key, found in whole.items():
            alone = [part[key] for part in parts]
            truth = np.concatenate(alone) if key.startswith("@") else np.sum(alone, axis=0)
            self._compare(
                [[found]],
                [[truth]],
                f"gradients {_named(key)} that are the sum of those of each row alone",
                _WHERE,
                names=["all"],
            )
        for side, mask in self._masks():
            padded = self._gradient(self._padded_arrays(mask, np.nan), None, weights, mask)
            for key, found in padded.items():
                if key.startswith("@") and found[~mask].any():
                    self._broken("P1", f"no gradient {_named(key)} at masked steps, padded {side}", "some", "where()")
                live = found[mask] if key.startswith("@") else found
                self._compare(
                    [[live]], [[whole[key]]], f"gradients {_named(key)} padded {side}", "where()", names=["all"]
                )

    def _gradient(
        self,
        steps: Sequence[Array],
        rows: RowPartition | None,
        weights: Answers,
        mask: npt.NDArray[np.bool_] | None = None,
    ) -> dict[str, Host]:
        """Gradients of a weighted sum of all answers, by path; those of inputs as "@0", "@1"."""
        slots = self.layer.weight_slots()
        own = {path: owner.__dict__[name] for path, (owner, name) in slots.items() if owner.trains(name)}
        fixed = {f"@{at}": self.backend.asarray(array) for at, array in enumerate(steps)}

        def function(given: dict[str, Array]) -> tuple[Array, None]:
            arrays = [given.get(key, array) for key, array in fixed.items()]
            if rows is None:
                inputs = [Ragged.from_padded(array, mask) for array in arrays]
            else:
                inputs = [Ragged(array, rows) for array in arrays]
            with substituted(self.layer, {path: given[path] for path in own}):
                outputs = _parts(self._call(inputs))
            # What is added is 0, and makes a sum of nothing depend on something.
            total = sum(self.layer.xp.sum(self.layer.xp.reshape(array, (-1,))[:0]) for array in given.values())
            for y, parts in zip(outputs, weights, strict=True):
                values = y.values if isinstance(y, Ragged) else y
                if not self.backend.dtype_name(values).startswith(("float", "bfloat")):
                    continue
                factor = np.concatenate(parts) if isinstance(y, Ragged) else np.stack(parts)
                total = total + self.layer.xp.sum(
                    values * self.backend.asarray(factor, self.backend.dtype_name(values))
                )
            return total, None

        moving = {**own, **({} if self.has_ids else fixed)}
        if not moving:
            return {}
        _, found = self.backend.value_and_grad(function, moving)
        return {key: self.backend.to_host(array) for key, array in found.items()}

    # ---- the verdict

    def _compare(
        self, got: Answers, expected: Answers, what: str, fix: str, names: Sequence[Any] | None = None
    ) -> None:
        for at, (one, other) in enumerate(zip(got, expected, strict=True)):
            for place, (mine, truth) in enumerate(zip(one, other, strict=True)):
                row = place if names is None else names[place]
                if mine.shape != truth.shape:
                    self._broken("P1", what, f"shapes {mine.shape} and {truth.shape} in output {at}, row {row}", fix)
                small = 1e-10 if truth.dtype == np.float64 and self.layer.dtype == "float64" else 1e-5
                scale = float(np.abs(truth[np.isfinite(truth)]).max(initial=1.0))
                if not np.allclose(mine, truth, rtol=small, atol=small * scale):
                    apart = np.abs(mine.astype(np.float64) - truth.astype(np.float64))
                    largest = "NaN" if np.isnan(apart).any() else f"{apart.max():.3g}"
                    where = "" if row == "all" else f" in output {at}, row {row}"
                    self._broken("P1", what, f"a difference of {largest}{where}", fix)

    def _broken(self, promise: str, what: str, got: str, fix: str) -> NoReturn:
        text = explain(f"check_layer of {self.layer.place}", expected=f"{_WORDS[promise]}: {what}", got=got, fix=fix)
        raise PromiseError(text, promise, what, got, fix, self.lengths)


def _parts(y: Any) -> list[Any]:
    return list(y) if isinstance(y, list | tuple) else [y]


def _named(key: str) -> str:
    return f"of input {key[1:]}" if key.startswith("@") else f"of weight {key!r}"
