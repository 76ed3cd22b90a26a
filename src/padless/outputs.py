"""The outputs of a model: their names, and what stands for each in losses, targets, weights and metrics."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from padless import backends, losses, metrics
from padless.backends.base import Array
from padless.errors import ArgumentError, DataError, PadlessError, explain
from padless.losses import Loss
from padless.metrics import Metric
from padless.ragged import Ragged

Specs = list[tuple[Any, bool]]
"""Metrics as they were given, and whether weights count for each."""


class Head(NamedTuple):
    """What `compile` said of one output.

    Attributes:
        name: of the output.
        loss: or None, where it is not trained.
        weight: of the loss in the sum of all; None for 1.
        metrics: of it.
    """

    name: str
    loss: Loss | None
    weight: float | None
    metrics: Specs


class Scored(NamedTuple):
    """A metric of an output.

    Attributes:
        label: in logs.
        output: name of the output.
        metric: the metric.
        weighted: whether sample weights count.
    """

    label: str
    output: str
    metric: Metric
    weighted: bool


def names_of(tree: Any, given: Sequence[str] | None = None) -> list[str]:
    """Name the outputs of a model as Keras does.

    Args:
        tree: an output, or a flat list, tuple or dict of them.
        given: names for those of a list, such as those of the layers that made them.

    Returns:
        The keys of a dict; else those that were given, made unique; else "output_1" and so on.

    Raises:
        ArgumentError: when containers lie in containers.

    Example:
        >>> names_of((1, 2)), names_of({"tags": 1}), names_of((1, 2), ["dense", "dense"])
        (['output_1', 'output_2'], ['tags'], ['dense', 'dense_1'])
    """
    if not isinstance(tree, dict | list | tuple):
        return list(given or ["output"])
    if any(isinstance(part, dict | list | tuple) for part in (tree.values() if isinstance(tree, dict) else tree)):
        raise ArgumentError(
            explain(
                "outputs",
                expected="one, or a flat list or dict of them",
                got="lists or dicts within each other",
                fix='{"tags": a, "topic": b}',
            )
        )
    if isinstance(tree, dict):
        return [str(key) for key in tree]
    names: list[str] = []
    for at in range(len(tree)):
        name = given[at] if given else f"output_{at + 1}"
        same = sum(other == name or other.startswith(f"{name}_") for other in names)
        names.append(f"{name}_{same}" if name in names else name)
    return names


class Heads:
    """What `compile` said of all outputs.

    Args:
        loss: for all outputs, or a list or dict of them.
        loss_weights: numbers, as the losses.
        metrics: of the only output; or a list with an entry for each, or a dict of them.
        weighted_metrics: the same, by sample weight.
        names: of the outputs; None where the first batch will tell.

    Raises:
        ArgumentError: when something does not fit the outputs, or a name is not known.
    """

    def __init__(
        self, loss: Any, loss_weights: Any, metrics: Any, weighted_metrics: Any, names: list[str] | None
    ) -> None:
        self.loss = _each(loss, _loss)
        self._weights = loss_weights
        self._specs = {"metrics": metrics, "weighted_metrics": weighted_metrics}
        for what, given in self._specs.items():
            _check_metrics(what, given)
        self._names = names
        self._heads: list[Head] | None = None
        self._scored: list[Scored] | None = None
        self._awaited: list[metrics.State] = []
        if names is not None:
            self._settle(names)

    # ---- which outputs there are

    @property
    def several(self) -> bool:
        """Whether there is more than one output, as far as is known."""
        if self._names is not None:
            return len(self._names) > 1
        return isinstance(self.loss, dict) or (isinstance(self.loss, list | tuple) and len(self.loss) > 1)

    @property
    def heads(self) -> list[Head]:
        """One for each output; none before they are known."""
        return self._heads or []

    @property
    def trained(self) -> list[Head]:
        """Those with a loss."""
        return [head for head in self.heads if head.loss is not None]

    @property
    def names(self) -> list[str] | None:
        """Of the outputs; None before they are known."""
        return self._names

    @property
    def measured(self) -> bool:
        """Whether there are metrics."""
        return any(head.metrics for head in self.heads)

    def of(self, y_pred: Any) -> dict[str, Any]:
        """Outputs by name.

        Args:
            y_pred: what the model gave.

        Returns:
            In the order of the model's outputs.
        """
        if self._names is None:
            self._settle(names_of(y_pred))
        assert self._names is not None
        if isinstance(y_pred, dict):
            return {name: y_pred[name] for name in self._names}
        parts = list(y_pred) if isinstance(y_pred, list | tuple) else [y_pred]
        return dict(zip(self._names, parts, strict=True))

    def _settle(self, names: list[str]) -> None:
        self._names = names
        found = self._by_name("loss", self.loss, alike=True)
        weights = self._by_name("loss_weights", self._weights, alike=len(names) == 1)
        specs: dict[str, Specs] = {name: [] for name in names}
        for what, given in self._specs.items():
            for name, entry in self._metrics_by_name(what, given).items():
                listed = entry if isinstance(entry, list | tuple) else [entry]
                specs[name] += [(spec, what == "weighted_metrics") for spec in listed if spec is not None]
        self._heads = [Head(name, found.get(name), weights.get(name), specs[name]) for name in names]

    def _by_name(self, what: str, given: Any, *, alike: bool) -> dict[str, Any]:
        """What was given for each output; `alike`: a single thing stands for all."""
        names = self._names or []
        if given is None:
            return {}
        if isinstance(given, dict):
            if set(given) <= set(names):
                return dict(given)
            if len(given) == len(names) == 1:
                return {names[0]: next(iter(given.values()))}
        elif isinstance(given, list | tuple):
            if len(given) == len(names):
                return dict(zip(names, given, strict=True))
        elif alike:
            return dict.fromkeys(names, given)
        raise self._unfit(f"compile({what}=...)", given)

    def _metrics_by_name(self, what: str, given: Any) -> dict[str, Any]:
        names = self._names or []
        if len(names) == 1 and isinstance(given, list | tuple):
            return {names[0]: [spec for part in given for spec in (part if isinstance(part, list | tuple) else [part])]}
        return self._by_name(what, given or None, alike=False)

    def _unfit(self, where: str, given: Any) -> ArgumentError:
        names = self._names or []
        shown = list(given) if isinstance(given, dict) else given
        fits = ", ".join(f"{name!r}: ..." for name in names)
        return ArgumentError(
            explain(
                where,
                expected=f"one for each of the outputs {names}, in a list in this order or a dict by name",
                got=repr(shown) if len(repr(shown)) < 200 else f"{type(given).__name__} of {len(given)}",
                fix=f"{{{fits}}}",
            )
        )

    # ---- targets and weights

    def targets(self, y: Any) -> Any:
        """Targets by the names of the outputs, where there are several outputs.

        Args:
            y: a list, tuple or dict; as it is for the only output of a model.

        Returns:
            A dict without the outputs that have none; or y itself.

        Raises:
            DataError: when there is not one for each output that is trained.
        """
        if y is None or not self.several:
            return next(iter(y.values())) if isinstance(y, dict) and len(y) == 1 else y
        if isinstance(y, list | tuple):
            for names in (self._names or names_of(tuple(range(len(y)))), [head.name for head in self.trained]):
                if len(names) == len(y):
                    return {name: part for name, part in zip(names, y, strict=True) if part is not None}
        elif isinstance(y, dict) and set(y) <= set(self._names or y):
            return {name: part for name, part in y.items() if part is not None}
        raise self._no_target("y", y)

    def weights(self, weight: Any) -> Any:
        """Sample weights by the names of the outputs, where there are several.

        Args:
            weight: a list, tuple or dict of weights; or one weight for each row, which counts for all outputs.

        Returns:
            A dict, or the weights themselves.

        Raises:
            DataError: when there is not one for each output that is trained.
        """
        for_all = not isinstance(weight, list | tuple | dict) or (
            not isinstance(weight, dict) and not any(hasattr(part, "__len__") or part is None for part in weight)
        )
        if weight is None or not self.several or for_all:
            return weight
        try:
            return self.targets(weight)
        except DataError:
            raise self._no_target("sample_weight", weight) from None

    def _no_target(self, what: str, given: Any) -> DataError:
        names = self._names or list(self.loss)
        got = f"a {type(given).__name__}"
        if isinstance(given, dict):
            got = f"those of {sorted(map(str, given))}"
        elif isinstance(given, list | tuple):
            got += f" of {len(given)}"
        return DataError(
            explain(
                f"{what}, for a model with several outputs",
                expected=f"one for each of {names}, in a list in this order or a dict by name",
                got=got,
                fix=f"{{{', '.join(f'{name!r}: ...' for name in names)}}}",
            )
        )

    # ---- losses

    def sums(
        self, y: Any, outputs: Mapping[str, Any], weight: Any, live: Array | None
    ) -> dict[str, tuple[Array, Array]]:
        """What a batch adds to the loss of each output.

        Args:
            y: targets, by name where there are several outputs.
            outputs: predictions by name.
            weight: sample weights, likewise.
            live: (B,) bool, False for rows that only fill the batch up; None where there are none.

        Returns:
            Sum of weight x loss, and what to divide it by, for each output that is trained.

        Raises:
            PadlessError: as the losses do; it names the output.
        """
        made = {}
        for head in self.trained:
            assert head.loss is not None
            y_pred = outputs[head.name]
            with self.naming(head.name):
                true = self._own("y", y, head.name)
                made[head.name] = head.loss.sums(
                    true, y_pred, self._own_weight(weight, head.name), head.loss.among(y_pred, live)
                )
        return made

    def weighted(self, shares: Mapping[str, Any]) -> dict[str, Any]:
        """The parts of the loss that is trained.

        Args:
            shares: losses of the outputs by name.

        Returns:
            The losses times their weights.
        """
        return {h.name: shares[h.name] if h.weight is None else h.weight * shares[h.name] for h in self.trained}

    def total(self, shares: Mapping[str, Any]) -> Any:
        """The loss that is trained, of those of the outputs.

        Args:
            shares: by name.

        Returns:
            Their weighted sum.
        """
        first, *rest = self.weighted(shares).values()
        found = first
        for part in rest:
            found = found + part
        return found

    def _own(self, what: str, y: Any, name: str) -> Any:
        if len(self.heads) == 1:
            return y
        if not isinstance(y, dict) or name not in y:
            raise self._no_target(what, y)
        return y[name]

    def _own_weight(self, weight: Any, name: str) -> Any:
        return weight.get(name) if isinstance(weight, dict) else weight

    @contextlib.contextmanager
    def naming(self, name: str) -> Iterator[None]:
        """Errors name the output, where there are several."""
        try:
            yield
        except PadlessError as wrong:
            if len(self.heads) == 1:
                raise
            raise wrong.inside(f"output {name!r}") from None

    # ---- metrics

    @property
    def scored(self) -> list[Scored]:
        """The metrics, once data were seen."""
        return self._scored or []

    @property
    def sums_so_far(self) -> list[metrics.State]:
        """The states of the metrics; may be set before data were seen. None at all: each begins anew."""
        return self._awaited if self._scored is None else [dict(one.metric.state) for one in self._scored]

    @sums_so_far.setter
    def sums_so_far(self, sums: list[metrics.State]) -> None:
        self._awaited = sums
        for one, state in zip(self.scored, sums or itertools.repeat({}), strict=False):
            one.metric.reset_state()
            one.metric.merge(state)

    def update(self, y: Any, y_pred: Any, weight: Any) -> None:
        """Add a batch to the metrics.

        Args:
            y: targets, by name where there are several outputs.
            y_pred: what the model says.
            weight: sample weights, likewise.
        """
        outputs = self.of(y_pred)
        if self._scored is None:
            self._scored = self._resolved(y, outputs)
            self.sums_so_far = self._awaited
        for _, output, metric, weighted in self._scored:
            with self.naming(output):
                own = self._own_weight(weight, output) if weighted else None
                metric.update_state(self._own("y", y, output), outputs[output], sample_weight=own)

    def _resolved(self, y: Any, outputs: Mapping[str, Any]) -> list[Scored]:
        found: list[Scored] = []
        several = len(self.heads) > 1
        for weighted in (False, True):
            for head in self.heads:
                for spec in (spec for spec, by_weight in head.metrics if by_weight is weighted):
                    with self.naming(head.name):
                        metric = _metric(spec, head.loss, self._own("y", y, head.name), outputs[head.name])
                    label = _label(metric.name, head.name if several else "", weighted, {one.label for one in found})
                    found.append(Scored(label, head.name, metric, weighted))
        return found


def _each(given: Any, function: Callable[[Any], Any]) -> Any:
    """Losses of what stands in a list or dict; a config of one loss is a dict, too."""
    if isinstance(given, dict) and "class_name" not in given:
        return {key: function(part) for key, part in given.items()}
    return [function(part) for part in given] if isinstance(given, list | tuple) else function(given)


class _Crossentropy(Loss):
    """The binary, the categorical or the sparse crossentropy, as the shapes of a batch tell."""

    def sums(
        self, y_true: Any, y_pred: Any, sample_weight: Any = None, among: Array | None = None
    ) -> tuple[Array, Array]:
        shapes = _step_shapes(y_true, y_pred)
        meant = losses.get("crossentropy", y_true_shape=shapes[0], y_pred_shape=shapes[1])
        assert meant is not None
        return meant.sums(y_true, y_pred, sample_weight, among)


def _loss(given: Any) -> Loss | None:
    return _Crossentropy("crossentropy") if given in ("crossentropy", "ce") else losses.get(given)


def _check_metrics(what: str, given: Any) -> None:
    if isinstance(given, str) or not (given is None or isinstance(given, list | tuple | dict)):
        raise ArgumentError(
            explain(f"compile({what}=...)", expected="a list", got=repr(given), fix=f"{what}=[{given!r}]")
        )
    for part in given.values() if isinstance(given, dict) else given or ():
        for spec in part if isinstance(part, list | tuple) else [part]:
            if isinstance(spec, str):
                metrics.check_name(spec)


def _metric(spec: Any, loss: Loss | None, y: Any, y_pred: Any) -> Metric:
    """Find a metric; "accuracy" of decided labels compares them, of scores it depends on the shapes."""
    values = y_pred.flat_values if isinstance(y_pred, Ragged) else y_pred
    owner = backends.of(values)
    if isinstance(spec, str) and spec.lower() in ("accuracy", "acc") and "int" in owner.dtype_name(values):
        return metrics.Accuracy(spec)
    true_shape, pred_shape = _step_shapes(y, y_pred)
    return metrics.get(spec, loss=loss, y_true_shape=true_shape, y_pred_shape=pred_shape)


def _step_shapes(y: Any, y_pred: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shapes of targets and predictions, without a time axis where there are rows."""
    true, pred = (tuple((v.flat_values if isinstance(v, Ragged) else v).shape) for v in (y, y_pred))
    if isinstance(y_pred, Ragged) and not isinstance(y, Ragged):
        true = (*true[:1], *true[1 + y_pred.ragged_rank :])  # padded targets
    return true, pred


def _label(name: str, output: str, weighted: bool, taken: set[str]) -> str:
    """The name of a metric in logs, as Keras makes it unique."""
    prefix = f"{output}_" if output else ""
    label = f"{prefix}{name}"
    if label in taken and weighted:
        label = f"{prefix}weighted_{name}"
    at = 1
    plain = label
    while label in taken:
        label, at = f"{plain}_{at}", at + 1
    return label
