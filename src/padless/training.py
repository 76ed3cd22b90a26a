"""One loop: data to batches, the step, callbacks, metrics. No framework in it."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any

import numpy as np

from padless import batching, losses, optimizers, warming
from padless import random as _random
from padless.backends.base import Array, Program
from padless.batching import Batch, Planned, Source, Table
from padless.callbacks import Callback, CallbackList, History, ProgbarLogger
from padless.callbacks.screens import is_watched
from padless.data import tables
from padless.data.loading import samples
from padless.data.plan import EpochPlan, order_of
from padless.data.tables import Wanted
from padless.errors import (
    ArgumentError,
    BackendError,
    DataError,
    NotBuiltError,
    NotThereYetError,
    NumericError,
    RowError,
    explain,
)
from padless.forms import AS_LIST, Form
from padless.layer import Layer, Weight, calling, carried, carry, carrying, substituted
from padless.metrics import Metric
from padless.outputs import Heads
from padless.ragged import Ragged, end_to_end
from padless.targets import aligned

_STEPS = ("train_step", "test_step", "predict_step", "compute_loss", "compute_metrics", "make_train_function")
"""What Keras calls if a model has it."""

Logs = dict[str, float]
Parts = tuple[Any, Any, Any, dict[str, list[Array]]]
"""Input, targets and weights of a batch, and what layers keep from the batch before: it has as many rows."""


class Trainer(Layer):
    """What a model can do once it is compiled: fit, evaluate, predict."""

    stop_training: bool = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.compiled = False
        self.run_eagerly = False
        self.compile_arguments: dict[str, Any] = {}
        self.optimizer: optimizers.Optimizer | None = None
        self.loss: Any = None
        self.history: History | None = None
        self.last_batch_steps = 0
        self.last_batch_places = 0
        self._heads = Heads(None, None, None, None, None)
        self._totals: dict[str, Any] = {}
        self._extra = np.zeros(2)
        self._seed = 0
        self.epoch_plan: EpochPlan | None = None
        self._data_place: dict[str, int] = {}
        self._data_resumed: dict[str, int] | None = None
        self._class_weight: dict[int, float] | None = None
        self._programs: dict[str, tuple[Any, Program]] = {}
        self._constraints: dict[str, Callable[[Array], Array]] = {}
        self._lock = threading.RLock()

    def __getstate__(self) -> dict[str, Any]:
        # A copy, or a model in another process, makes its own.
        return {
            name: value for name, value in self.__dict__.items() if name not in ("_programs", "_lock", "epoch_plan")
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.update(_programs={}, _lock=threading.RLock(), epoch_plan=None)

    # ---- compile

    def compile(
        self,
        optimizer: Any = "rmsprop",
        loss: Any = None,
        loss_weights: Any = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int = 1,
        jit_compile: Any = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Say how to train.

        Outputs are named by the layers that make them, or by the keys of a dict of outputs; those of a list that a
        subclassed model returns are "output_1" and so on.

        Args:
            optimizer: a name such as "adam", or an optimizer; on JAX also one of optax, on torch also a class of
                torch.optim, a functools.partial of one, or a function that makes one of a list of parameters.
            loss: a name such as "sparse_categorical_crossentropy", a loss, or a function of targets and predictions.
                For several outputs one for all, or a list or dict of them; an output without one is not trained.
            loss_weights: of each output's loss in their sum: a list or dict; 1 by default.
            metrics: names such as "accuracy", metrics, or functions; they count every live step once. For several
                outputs a list with an entry for each, or a dict; an entry is a metric or a list of them.
            weighted_metrics: the same, by sample weight and class weight.
            run_eagerly: whether steps run without being compiled; changes nothing on torch.
            steps_per_execution: accepted; changes nothing.
            jit_compile: accepted; changes nothing on torch.
            auto_scale_loss: accepted; changes nothing.

        Raises:
            ArgumentError: for a name that is not known (it suggests the nearest), or what does not fit the outputs.
            NotThereYetError: when the class has a `train_step` or another method of Keras's that would not be called.
        """
        self._refuse_steps_of_its_own()
        heads = Heads(loss, loss_weights, metrics, weighted_metrics, self.output_names or self._heads.names)
        self.run_eagerly = run_eagerly
        self.optimizer = optimizers.get(optimizer, self.backend)
        self._heads = heads
        self.loss = heads.loss
        self._totals = {}
        self.compiled = True
        self.compile_arguments = {
            "optimizer": self.optimizer.for_file(optimizer),
            "loss": loss,
            "loss_weights": loss_weights,
            "metrics": metrics if isinstance(metrics, dict) else list(metrics or ()),
            "weighted_metrics": weighted_metrics
            if isinstance(weighted_metrics, dict)
            else list(weighted_metrics or ()),
        }

    @property
    def output_names(self) -> list[str] | None:
        """Names of the outputs; None where the first batch will tell."""
        return None

    def _refuse_steps_of_its_own(self) -> None:
        found = [name for name in _STEPS if hasattr(type(self), name)]
        if found:
            raise NotThereYetError(
                explain(
                    f"{type(self).__name__}.{found[0]}",
                    expected="a model that is trained by its loss",
                    got=f"a method {found[0]}, which Keras calls and padless does not",
                    fix="a subclass of losses.Loss or losses.RowLoss, add_loss in a layer, a callback; "
                    "or a loop of your own over batches, and another name for the method",
                )
            )

    def _require_compiled(self, what: str) -> None:
        if not self.compiled:
            raise NotBuiltError(
                explain(
                    f"{what} of {self.name!r}",
                    expected="a compiled model",
                    got="one that was not",
                    fix='model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])',
                )
            )

    @property
    def metrics(self) -> list[Metric]:
        """The metrics, once data were seen."""
        return [one.metric for one in self._heads.scored]

    @property
    def metrics_names(self) -> list[str]:
        """Names of what `evaluate` returns."""
        trained = self._heads.trained
        each = [f"{head.name}_loss" for head in trained] if len(trained) > 1 else []
        return ["loss", *each, *(one.label for one in self._heads.scored)]

    def reset_metrics(self) -> None:
        """Forget what loss and metrics have added up."""
        self._totals = {}
        self._extra = np.zeros(2)
        self._heads.sums_so_far = []

    @property
    def sums_so_far(self) -> dict[str, Any]:
        """What loss and metrics have added up in this epoch; set it, and they go on from there."""
        # By place: where outputs are named by layers, another process may name them otherwise.
        names = self._heads.names or []
        totals = [self._totals.get(name) for name in names]
        return {"names": names, "totals": totals, "extra": self._extra.copy(), "metrics": self._heads.sums_so_far}

    @sums_so_far.setter
    def sums_so_far(self, sums: dict[str, Any]) -> None:
        pairs = zip(self._heads.names or sums["names"], sums["totals"], strict=True)
        self._totals = {name: total for name, total in pairs if total is not None}
        self._extra = np.array(sums["extra"])
        self._heads.sums_so_far = sums["metrics"]

    # ---- one step

    def _loss_of(self, batch: Parts, training: bool, live: Array | None) -> tuple[Array, dict[str, Array], Any]:
        """Loss of one batch, what it is made of, and predictions. Pure but for states that layers assign."""
        x, y, weight, _ = batch
        added: list[Array] = []
        with calling(training=training, live=live, losses=lambda layer, value: added.append(value)):
            y_pred = self._run(self._moved(x))
        found: dict[str, Any] = {}
        xp, constant = self.xp, self.backend.stop_gradient
        outputs = self._heads.of(y_pred)
        if self._heads.trained and y is None:
            raise ArgumentError(
                explain(
                    f"fit of {self.name!r}", expected="targets, since there is a loss", got="y=None", fix="fit(x, y)"
                )
            )
        sums = self._heads.sums(y, outputs, weight, live)
        shares = {name: losses.quotient(*pair) for name, pair in sums.items()}
        value = self._heads.total(shares) if shares else self.backend.asarray(np.float32(0.0))
        extra = [*self.regularization(), *added]
        if extra:
            kind = self.backend.dtype_name(value)
            more = xp.sum(xp.stack([self.backend.cast(xp.reshape(e, ()), kind) for e in extra]))
            value = value + more
            found["extra"] = constant(more)
        if training and self.optimizer is not None and self.optimizer.gathers:
            found["shares"] = shares
        found["sums"] = {name: (constant(total), constant(count)) for name, (total, count) in sums.items()}
        sound = self.backend.assumed()
        if sound is not None:
            found["sound"] = sound
        y_pred = _detached(y_pred, self.backend)
        return value, found, self.decide(y_pred) if self._heads.measured else y_pred

    def _moved(self, x: Any) -> Any:
        if isinstance(x, tuple | list):
            return tuple(self._moved(part) for part in x)
        if isinstance(x, dict):
            return {key: self._moved(part) for key, part in x.items()}
        if getattr(x, "dtype", None) == np.dtype(object):
            return x  # texts, or rows of them, for a layer that reads them on the host
        if isinstance(x, Ragged):
            return x.with_flat_values(self.backend.asarray(x.flat_values))
        return self.backend.asarray(x)

    def _wanted(self) -> Wanted:
        """What the model reads of a table."""
        outputs = self._heads.names or ()
        return Wanted(outputs=outputs, needs_targets=self.loss is not None, ragged_rank=self._ragged_rank)

    def _ragged_rank(self, key: int | str) -> int | None:
        """How many axes after the first vary in a list for the input of that number or name, where that is known."""
        return None

    def _training_step(
        self, arrays: dict[str, Any], numbers: dict[str, Any], batch: Parts, live: Array | None
    ) -> tuple[dict[str, Any], dict[str, Array], Any]:
        """Loss, gradients and new weights of one batch; the old ones when the loss is not a number."""
        return self._learned(arrays, numbers, batch, live, self._stepped)

    def _gathering_step(
        self, arrays: dict[str, Any], numbers: dict[str, Any], batch: Parts, live: Array | None
    ) -> tuple[dict[str, Any], dict[str, Array], Any]:
        """Loss and gradients of one batch, which are kept for a later one that ends the step."""

        def kept(weights: Any, slots: Any, parts: Any, numbers: Any) -> Any:
            assert self.optimizer is not None
            return weights, self.optimizer.accumulated(self.backend, slots, parts)

        return self._learned(arrays, numbers, batch, live, kept)

    def _stepped(self, weights: Any, slots: Any, gradients: Any, numbers: Any) -> Any:
        """New weights and slots."""
        optimizer, backend = self.optimizer, self.backend
        assert optimizer is not None
        if optimizer.gathers:
            slots = optimizer.accumulated(backend, slots, gradients)
            gradients = optimizer.mean(backend, slots, weights)
        made, after = optimizer.step(backend, weights, gradients, slots, **numbers)
        return self._constrained(made), after

    def _learned(
        self,
        arrays: dict[str, Any],
        numbers: dict[str, Any],
        batch: Parts,
        live: Array | None,
        use: Callable[[Any, Any, Any, Any], Any],
    ) -> tuple[dict[str, Any], dict[str, Array], Any]:
        """Loss and gradients of one batch, and what `use` makes of them."""
        backend, optimizer = self.backend, self.optimizer
        assert optimizer is not None

        def loss_of(weights: dict[str, Array]) -> tuple[Array, Any]:
            given = {**arrays["fixed"], **weights}
            with substituted(self, given) as states, carrying(self, batch[3]) as kept:
                value, found, y_pred = self._loss_of(batch, True, live)
            return value, (found, (y_pred, kept), states)

        settings = {name: number for name, number in numbers.items() if name not in ("seed", "batch")}
        with _random.drawing(numbers["seed"], numbers["batch"]):
            gradients_of = self._gradients_by_part if optimizer.gathers else self._gradients
            value, (found, made, states), gradients = gradients_of(loss_of, arrays["weights"])
        xp = backend.xp
        found["fine"] = fine = xp.all(xp.isfinite(value))
        if "sound" in found:
            fine = xp.logical_and(fine, found["sound"])
        # A layer may also put another array in the place of one that is trained, which is then updated instead.
        start = {path: states.pop(path, array) for path, array in arrays["weights"].items()}
        before = {path: arrays["fixed"][path] for path in states}
        old = {"weights": arrays["weights"], "fixed": before, "slots": arrays["slots"]}

        def updated() -> dict[str, Any]:
            with backend.no_gradient():
                weights, slots = use(start, arrays["slots"], gradients, settings)
                return {"weights": weights, "fixed": states, "slots": slots}

        return backend.when(fine, updated, old), found, made

    def _gradients(
        self, loss_of: Callable[[dict[str, Array]], tuple[Array, Any]], weights: dict[str, Array]
    ) -> tuple[Array, Any, Any]:
        """Loss, what came with it, and gradients."""
        optimizer = self.optimizer
        assert optimizer is not None

        def scaled(weights: dict[str, Array]) -> tuple[Array, Any]:
            value, extra = loss_of(weights)
            return optimizer.scaled(value), extra

        (value, extra), gradients = self.backend.value_and_grad(scaled, weights, optimizer.lazily())
        return value, extra, gradients

    def _gradients_by_part(
        self, loss_of: Callable[[dict[str, Array]], tuple[Array, Any]], weights: dict[str, Array]
    ) -> tuple[Array, Any, Any]:
        """Loss, what came with it, and for each output the gradients of its sum of weight x loss, and the weights."""
        optimizer, constant = self.optimizer, self.backend.stop_gradient
        assert optimizer is not None

        def sums(weights: dict[str, Array]) -> tuple[dict[str, Array], Any]:
            value, extra = loss_of(weights)
            counts = {name: pair[1] for name, pair in extra[0]["sums"].items()} or {"": 1.0}
            shares = self._heads.weighted(extra[0].pop("shares"))
            # What is no output's goes with the first.
            first = next(iter(counts))
            shares[first] = value - sum(share for name, share in shares.items() if name != first)
            made = {name: optimizer.scaled(shares[name] * count) for name, count in counts.items()}
            return made, (constant(value), counts, extra)

        (_, (value, counts, extra)), gradients = self.backend.value_and_grads(sums, weights)
        return value, extra, {str(at): (gradients[name], count) for at, (name, count) in enumerate(counts.items())}

    def _constrained(self, weights: dict[str, Array]) -> dict[str, Array]:
        return {**weights, **{path: rule(weights[path]) for path, rule in self._constraints.items()}}

    def _test_step(
        self, arrays: dict[str, Any], numbers: dict[str, Any], batch: Parts, live: Array | None
    ) -> tuple[dict[str, Any], dict[str, Array], Any]:
        """Loss and predictions of one batch."""
        with self.backend.no_gradient(), self._holding(arrays), carrying(self, batch[3]) as kept:
            _, found, y_pred = self._loss_of(batch, False, live)
        return {}, found, (y_pred, kept)

    def _prediction(
        self, arrays: dict[str, Any], numbers: dict[str, Any], batch: Parts, live: Array | None
    ) -> tuple[dict[str, Any], dict[str, Array], Any]:
        """Predictions of one batch."""
        calls = calling(live=live, losses=None)
        with self.backend.no_gradient(), self._holding(arrays), carrying(self, batch[3]) as kept, calls:
            y = self.decide(self._run(self._moved(batch[0])))
        sound = self.backend.assumed()
        return {}, {} if sound is None else {"sound": sound}, (y, kept)

    def _holding(self, arrays: dict[str, Any]) -> contextlib.AbstractContextManager[Any]:
        """The model with the arrays of a compiled step; as it is, where they are its own: others may use it."""
        if not arrays:
            return contextlib.nullcontext()
        held = {**arrays["weights"], **arrays["fixed"]}
        slots = self.weight_slots()
        own = all(slots[path][0].__dict__[slots[path][1]] is array for path, array in held.items())
        return contextlib.nullcontext() if own else substituted(self, held)

    def _arrays(self) -> dict[str, Any]:
        """All arrays: weights that are trained, and fixed ones."""
        return _parted(self.weight_slots())

    def _training_arrays(self) -> dict[str, Any]:
        """All arrays, and what the optimizer remembers of those that are trained."""
        assert self.optimizer is not None
        slots = self.weight_slots()  # once for all that is asked here: the walk is a visible part of a small step
        arrays = _parted(slots)
        if not arrays["weights"]:
            raise ArgumentError(
                explain("fit", expected="something to train", got="no trainable weights", fix="layer.trainable = True")
            )
        trained = self._introduce_weights(slots)
        self._constraints = {
            path: weight.constraint for path, weight in trained.items() if weight.constraint is not None
        }
        with self.backend.no_gradient():
            self.optimizer.prepare(self.backend, arrays["weights"])
        return {**arrays, "slots": self.optimizer.held(arrays["weights"])}

    def _introduce_weights(self, slots: dict[str, tuple[Layer, str]]) -> dict[str, Weight]:
        """Tell the optimizer what it treats weights by."""
        assert self.optimizer is not None
        trained = {path: layer._weights[name] for path, (layer, name) in slots.items() if layer.trains(name)}
        self.optimizer.tables = frozenset(path for path, weight in trained.items() if weight.by_rows)
        self.optimizer.names = {path: f"{layer.name}/{name}" for path, (layer, name) in slots.items()}
        # By place: the names of layers, which outputs have, differ between models that are otherwise alike.
        self.optimizer.parts = [str(at) for at in range(max(len(self._heads.trained), 1))]
        return trained

    def trained_weights(self) -> dict[str, Array]:
        """The arrays that the optimizer changes, which gets to know them.

        Returns:
            Arrays by path, in Keras's order.
        """
        slots = self.weight_slots()
        self._introduce_weights(slots)
        return _parted(slots)["weights"]

    def _program(self, step: Callable[..., Any], collect: Callable[[], dict[str, Any]]) -> Program:
        """The program of a step; a new one after something was changed that is fixed where steps are compiled."""
        if not self._compiles:
            return Program(step, collect)
        settings = _settings_of(self)
        known = self._programs.get(step.__name__)
        if known is None or known[0] != settings:
            known = self._programs[step.__name__] = settings, self.backend.program(step, collect, self._lock)
        return known[1]

    @property
    def _compiles(self) -> bool:
        """Whether steps are compiled; where they are not, they read the arrays of the model itself."""
        return self.backend.compiles and not self.run_eagerly

    def _run_of(self, name: str) -> tuple[Program, dict[str, Any]]:
        """The program of "train", "gather", "evaluate" or "predict", and the numbers that its next run reads."""
        if name in ("train", "gather"):
            assert self.optimizer is not None
            numbers = {"seed": self._seed, "batch": self.optimizer.batches, **self.optimizer.numbers()}
            step = self._training_step if name == "train" else self._gathering_step
            return self._program(step, self._training_arrays), numbers
        step = self._test_step if name == "evaluate" else self._prediction
        return self._program(step, self._arrays if self._compiles else dict), {}

    def _parts_for(self, name: str, batch: Batch) -> Parts:
        """What a program reads of a batch."""
        kept = carried(self)
        if name == "predict":
            return batch.x, None, None, kept
        if name in ("train", "gather"):
            batch = self._weighted(batch)
        return batch.x, batch.y, batch.weight, kept

    def _train_on(self, batch: Batch, place: str = "this batch") -> None:
        """Take one training step; nothing is changed when the loss is not a number."""
        optimizer = self.optimizer
        assert optimizer is not None
        if not self.backend.trains:
            raise BackendError(
                explain(
                    "fit",
                    expected="a backend with gradients",
                    got=repr(self.backend.name),
                    fix='padless.set_backend("torch") before making the model',
                )
            )
        if not self.built:
            self._build_on(batch)
        program, numbers = self._run_of("train" if optimizer.steps_next else "gather")
        with self._lock:
            parts = batch.x, batch.y, batch.weight, carried(self)
            try:
                made, found, (y_pred, kept) = program(numbers, parts, batch.room)
            finally:
                if program.given_back is not None:
                    optimizer.keep(program.given_back)
                    program.given_back = None
            slots = self.weight_slots()
            for path, array in {**made["fixed"], **made["weights"]}.items():
                layer, name = slots[path]
                layer.__dict__[name] = array
            optimizer.keep(made["slots"])
        if not bool(self.backend.to_host(found["fine"])):
            raise NumericError(self._numeric_error(batch, place))
        carry(self, kept)
        optimizer.advance()
        self._count(batch, found, y_pred)

    def _finalize(self) -> None:
        """Put the averages of the weights in their place, if the optimizer keeps some."""
        assert self.optimizer is not None
        if self.optimizer.use_ema:
            slots = self.weight_slots()
            for path, array in self.optimizer.finalized(self.backend, _parted(slots)["weights"]).items():
                layer, name = slots[path]
                layer.__dict__[name] = array

    def _build_on(self, batch: Batch) -> None:
        def run() -> Any:
            with calling(tracing=True):
                y = self._run(self._moved(_first_rows(batch.x)))
            if self.compiled:
                # Now, so that what is compiled knows all losses from the first batch on; and here, where a dict still
                # has its order.
                self._heads.of(y)
            return y

        with self.backend.no_gradient():
            self.backend.abstractly(run)

    def _test_on(self, batch: Batch) -> None:
        if not self.built:
            self._build_on(batch)
        program, numbers = self._run_of("evaluate")
        _, found, (y_pred, kept) = program(numbers, self._parts_for("evaluate", batch), batch.room)
        carry(self, kept)
        self._count(batch, found, y_pred)

    def _count(self, batch: Batch, found: dict[str, Any], y_pred: Any) -> None:
        """Add a batch to the sums that loss and metrics are made of."""
        host = self.backend.to_host
        for name, pair in found["sums"].items():
            self._totals[name] = self._totals.get(name, np.zeros(2)) + [float(host(number)) for number in pair]
        if "extra" in found:
            # By rows, as Keras does it: penalties on outputs are means over the rows of a batch.
            rows = max(batch.nrows, 1)
            self._extra += [rows * float(host(found["extra"])), rows]
        self._note_sizes(batch)
        if batch.y is None:
            return
        with self.backend.no_gradient():
            self._heads.update(batch.y, y_pred, batch.weight)

    def _note_sizes(self, batch: Batch) -> None:
        """For those who watch: real steps, and those that padding would have made."""
        self.last_batch_steps, self.last_batch_places = batch.nsteps, batch.nplaces

    def _logs(self) -> Logs:
        heads = self._heads
        extra = self._extra[0] / self._extra[1] if self._extra[1] else 0.0
        shares = {head.name: 0.0 for head in heads.trained}
        for name, (total, count) in self._totals.items():
            shares[name] = float(total / count if count else 0.0)
        logs: Logs = {}
        if self.loss is not None or self._extra[1]:
            logs["loss"] = (heads.total(shares) if shares else 0.0) + float(extra)
        if len(shares) > 1:
            logs |= {f"{name}_loss": share for name, share in shares.items()}
        for label, _, metric, _ in heads.scored:
            result = metric.result()
            logs[label] = result if isinstance(result, float) else np.asarray(result).tolist()
        return logs

    def _numeric_error(self, batch: Batch, place: str) -> str:
        """Find the layer that first made a number that is not finite."""
        culprit = "the loss itself: every layer's output is finite"
        found: list[str] = []

        def watch(layer: Layer, x: Any, y: Any) -> None:
            if not found and not isinstance(layer, Trainer) and not _finite(y, self.backend):
                made = "got it in its input" if not _finite(x, self.backend) else "made it"
                bad = [name for name in layer._weights if not _finite(layer.__dict__[name], self.backend)]
                found.append(f"{layer.place} {made}" + (f"; its weights {bad} are not finite" if bad else ""))

        assert self.optimizer is not None
        with self.backend.no_gradient(), _random.drawing(self._seed, self.optimizer.batches):
            calls = calling(training=True, watch=watch, losses=None)
            with calls, substituted(self, {}), carrying(self, carried(self)):
                self._run(self._moved(batch.x))
        if found:
            culprit = found[0]
        return explain(
            f"fit, {place}",
            expected="a loss that is a number",
            got=f"NaN or infinity; {culprit}",
            fix="a smaller learning rate, clipnorm=1.0 in the optimizer, or data without NaN; "
            "the weights are those before this batch",
        )

    # ---- fit

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
        *,
        max_tokens: int | None = None,
        length_grouping: int | None = None,
    ) -> History:
        """Train.

        Args:
            x: a list of sequences, a Ragged, an array, or a column: a pandas or polars Series, a pyarrow Array, one of
                an HF Dataset; a tuple or dict of these for several inputs. Or a table: a DataFrame, a pyarrow Table, an
                HF Dataset, the path of a Parquet file. Its columns go to the inputs of the same name; a model with
                one input also takes the only column that is left, or all those left if they are numbers. Or something
                that yields batches: a generator, a DataLoader, a PyDataset, a tf.data.Dataset. A torch Dataset is read
                whole, row by row. Files larger than memory
                are `padless.data.ParquetRows`.
            y: targets, one per row or one per step; or names of columns of the table x. Without y the columns with the
                names of the outputs are the targets.
            batch_size: rows of a batch; 32 by default.
            epochs: how often to go through the data (index of the last epoch, as in Keras).
            verbose: 0 silent, 1 a live bar, 2 a line per epoch; "auto" is 1 on a terminal or in a notebook, else 2.
                Where nothing can move, 1 is as 2.
            callbacks: told how training goes.
            validation_split: share of the last rows that is held out.
            validation_data: (x, y) or (x, y, sample_weight) to evaluate after each epoch, a source of batches, or a
                table, which names of columns in y and sample_weight mean as well.
            shuffle: whether to draw a new order for each epoch.
            class_weight: weight of each class, by its number.
            sample_weight: (B,) one weight per row, or one per step; or the name of a column of the table x.
            initial_epoch: where to go on counting.
            steps_per_epoch: batches of an epoch; default: all.
            validation_steps: batches of a validation; default: all.
            validation_batch_size: rows of a batch there; default: batch_size, or steps by max_tokens.
            validation_freq: validate every so many epochs, or after those listed.
            max_tokens: steps of a batch, instead of batch_size: each holds as many rows as fit. With shuffle, rows
                that fit are looked for a little ahead, so that nearly all of max_tokens is used. Not in Keras.
            length_grouping: put rows of like lengths into one batch: of so many batches at a time, the rows are sorted
                by length, dealt, and the batches shuffled. Recurrent layers then have fewer time steps to go through;
                nothing else changes much, since no padding is computed anyway. Not in Keras.

        Returns:
            The history: loss and metrics by epoch, by live steps, whatever the batching. Ctrl-C ends training after
            the batch at hand and returns the history so far. `data_state` then says where to go on, and `epoch_plan`
            which rows the batches had.

        Raises:
            DataError: when counts or rows differ, a row is longer than max_tokens, or a generator ends early.
            NumericError: when the loss is no number; it names the batch and the layer; the weights stay as before it.

        Example:
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.layers.LSTM(4), padless.layers.Dense(1)])
            >>> model.compile(loss="mse")
            >>> x = [np.ones((2, 3)), np.zeros((5, 3))]
            >>> history = model.fit(x, [1.0, 0.0], epochs=2, verbose=0)
            >>> sorted(history.history)
            ['loss']
        """
        self._require_compiled("fit")
        source = self._source(x, y, sample_weight, batch_size, steps_per_epoch, max_tokens, length_grouping)
        held_out: Source | None = None
        if validation_data is not None:
            by_steps = None if validation_batch_size else max_tokens
            if tables.is_columnar(validation_data):
                validation_data = (validation_data, *tables.names_only(y, sample_weight))
            held_out = self._validation_source(
                validation_data, validation_batch_size or batch_size, validation_steps, by_steps, length_grouping
            )
        elif validation_split:
            source, held_out = _split(source, validation_split)
            held_out.planner.change(validation_batch_size, validation_steps)
        if isinstance(source, Planned):
            source.planner.goes_on = True
            if shuffle or length_grouping:
                self._refuse_shuffling(length_grouping)
        source.warn_of_empty_rows()
        self._data_place = {"seed": _random.next_seed(), "epoch": initial_epoch, "batch": 0}
        self._class_weight = class_weight
        history = self.history = History()
        told = self._callback_list([*(callbacks or ()), history], verbose, epochs, len(source) or None)
        told.params["validates"] = held_out is not None
        self.stop_training = False
        logs: Logs = {}
        self.backend.keep_memory()
        with _interruptible() as interrupted:
            told.tell("on_train_begin", {})
            try:
                for epoch in self._epochs_left(epochs):
                    logs = self._epoch(epoch, source, shuffle, told, interrupted)
                    cut = interrupted() and self._data_place["batch"] > 0
                    if held_out is not None and not cut and _validates(epoch, validation_freq):
                        with carrying(self, {}):  # other rows: they begin anew, and training goes on where it was
                            validation = self._evaluate(held_out, told)
                        logs |= {f"val_{name}": value for name, value in validation.items()}
                    told.tell("on_epoch_end", epoch, logs)
                    if interrupted():
                        print(f"Stopped by Ctrl-C in epoch {epoch + 1}; weights and history are kept.", file=sys.stderr)
                        break
                    if self.stop_training:
                        break
                self._finalize()
            finally:
                told.tell("on_train_end", logs)
                self._class_weight = None
        return history

    def _refuse_shuffling(self, length_grouping: int | None = None) -> None:
        """Rows that go on where those of the last batch ended must stay at their places."""
        stateful = [layer for _, layer in self.inner_layers() if "kept" in layer.__dict__]
        if stateful:
            raise ArgumentError(
                explain(
                    f"fit of {self.name!r}",
                    expected="shuffle=False: each row of a batch goes on where the row at its place in the last one "
                    f"ended, in {stateful[0].place}, which is stateful",
                    got=f"length_grouping={length_grouping}" if length_grouping else "shuffle=True, the default",
                    fix="fit(x, y, shuffle=False, batch_size=...), with a batch_size that divides the rows",
                )
            )

    @property
    def data_state(self) -> dict[str, int]:
        """Where `fit` is, or was left: seed, epoch, and how many of its batches were trained on.

        Set it, before `fit` or in `on_train_begin`, and the same `fit` goes on there: with the rows that are left of
        that epoch in the order in which they would have come, and epochs after it as they would have been. Weights and
        optimizer are saved and loaded apart from it.
        """
        return dict(self._data_place if self._data_resumed is None else self._data_resumed)

    @data_state.setter
    def data_state(self, state: dict[str, int]) -> None:
        if not isinstance(state, dict) or set(state) != {"seed", "epoch", "batch"}:
            raise ArgumentError(
                explain("data_state", expected="seed, epoch and batch", got=repr(state), fix="state = model.data_state")
            )
        self._data_resumed = {name: int(number) for name, number in state.items()}

    def _epochs_left(self, epochs: int) -> range:
        """The epochs to train, with their seed, once callbacks had their say."""
        if self._data_resumed is not None:
            self._data_place, self._data_resumed = self._data_resumed, None
        self._seed = self._data_place["seed"]
        return range(0 if self.stop_training else epochs)[self._data_place["epoch"] :]

    def _batches_of(self, source: Source, shuffle: bool) -> Generator[Batch]:
        """What is left of the epoch at hand."""
        place = self._data_place
        if isinstance(source, Planned):
            self.epoch_plan = source.planner.plan(place["epoch"], place["seed"] if shuffle else None, place["batch"])
            return source.batches(self.epoch_plan)
        self.epoch_plan = None
        batches = source.epoch(order_of(place["seed"], place["epoch"]) if shuffle else None)
        for _ in range(place["batch"]):
            if next(batches, None) is None:
                break
        return batches

    def _epoch(
        self, epoch: int, source: Source, shuffle: bool, told: CallbackList, interrupted: Callable[[], bool]
    ) -> Logs:
        self.reset_metrics()
        place = self._data_place
        batches = self._batches_of(source, shuffle)
        told.expect(len(source) or None)
        told.tell("on_epoch_begin", epoch, {})
        with contextlib.closing(batches):  # at once, whatever happens: files are read ahead on a thread
            for at, batch in enumerate(batches, place["batch"]):
                told.tell("on_train_batch_begin", at, {})
                try:
                    with _rows_of_the_data(batch, source):
                        self._train_on(self._weighted(batch), f"epoch {epoch + 1}, batch {at}")
                except NumericError as wrong:
                    if not told.settle(at, wrong):
                        raise
                    self.stop_training = True
                    break
                place["batch"] = at + 1
                told.tell("on_train_batch_end", at, self._logs())
                if interrupted() or self.stop_training:
                    break
            else:
                place.update(epoch=epoch + 1, batch=0)
        if place["batch"] and place["batch"] == len(source):
            place.update(epoch=epoch + 1, batch=0)
        if place["batch"] and interrupted():
            told.tell("on_interrupt", place["batch"] - 1, self._logs())
        return self._logs()

    def _weighted(self, batch: Batch) -> Batch:
        """Turn class weights into weights of rows or steps."""
        if self._class_weight is None or batch.y is None:
            return batch
        if isinstance(batch.y, dict):
            raise ArgumentError(
                explain(
                    "class_weight",
                    expected="a model with one output",
                    got=f"the outputs {sorted(batch.y)}",
                    fix="sample_weight={name: one weight for each row or step}",
                )
            )
        loss = _only(self.loss)
        if isinstance(loss, losses.RowLoss):
            raise ArgumentError(
                explain(
                    "class_weight",
                    expected="a loss with a number for each class that is told",
                    got=f"loss {loss.name!r}, which has one for each row",
                    fix="sample_weight=[one weight for each row]",
                )
            )
        values = batch.y.flat_values if isinstance(batch.y, Ragged) else np.asarray(batch.y)
        one_hot = _is_one_hot(values, loss, steps=isinstance(batch.y, Ragged))
        classes = (values.argmax(axis=-1) if one_hot else values).astype(np.int64)
        if not one_hot and classes.ndim > 1 and classes.shape[-1] == 1:
            classes = classes[..., 0]
        known = np.unique(classes)
        table = {int(c): float(self._class_weight.get(int(c), 1.0)) for c in known}
        weights: Any = (
            np.vectorize(table.__getitem__, otypes=[np.float32])(classes)
            if classes.size
            else classes.astype(np.float32)
        )
        if isinstance(batch.y, Ragged):
            weights = batch.y.with_flat_values(weights)
        if batch.weight is not None:
            weights = _times(_at_home(weights, batch.x), _at_home(batch.weight, batch.x))
        return batch._replace(weight=weights)

    def _source(
        self,
        x: Any,
        y: Any,
        weight: Any,
        batch_size: int | None = None,
        steps: int | None = None,
        max_tokens: int | None = None,
        length_grouping: int | None = None,
    ) -> Source:
        if x is None:
            raise ArgumentError(explain("fit", expected="data", got="x=None", fix="model.fit(x, y)"))
        rows = samples(x)
        if rows is not None:
            if y is not None or weight is not None:
                got, fix = "y= or sample_weight= beside it", "__getitem__ that returns x, y"
                raise ArgumentError(explain(type(x).__name__, expected="targets within the rows", got=got, fix=fix))
            x, y, weight = rows
        x, y, weight = tables.resolved(x, y, weight, self._wanted())
        return batching.source_of(
            x,
            y,
            weight,
            batch_size=batch_size,
            steps=steps,
            mask_maker=self._mask_maker(),
            several=len(getattr(self, "inputs", [0])) > 1,
            max_tokens=max_tokens,
            ragged_rank=self._ragged_rank,
            named=lambda y, weight: (self._heads.targets(y), self._heads.weights(weight)),
            length_grouping=length_grouping,
        )

    def _validation_source(
        self,
        data: Any,
        batch_size: int | None,
        steps: int | None,
        max_tokens: int | None,
        length_grouping: int | None = None,
    ) -> Source:
        if isinstance(data, tuple | list) and len(data) in (2, 3):
            x, y, weight = (*data, None)[:3]
            return self._source(x, y, weight, batch_size, steps, max_tokens, length_grouping)
        if isinstance(data, tuple):
            raise ArgumentError(
                explain(
                    "validation_data",
                    expected="(x, y) or (x, y, sample_weight)",
                    got=f"a tuple of {len(data)}",
                    fix="validation_data=(x, y)",
                )
            )
        ready = batching.yields_batches(data)
        return self._source(data, None, None, batch_size, steps, None if ready else max_tokens)

    def _mask_maker(self) -> Layer | None:
        """The layer that finds padding, when it alone reads the model's one input: then rows are packed on the host."""
        nodes = getattr(self, "_nodes", None)
        if nodes is not None:
            inputs, outputs = getattr(self, "inputs", []), getattr(self, "outputs", [])
            readers = {id(n.layer): n.layer for n in nodes if any(p is inputs[0] for p in n.parents)}
            alone = len(inputs) == 1 and len(readers) == 1 and all(out is not inputs[0] for out in outputs)
            first = next(iter(readers.values())) if alone else None
        else:
            sequence = getattr(self, "_layers", None)
            first = sequence[0] if sequence else None
        while isinstance(first, Trainer):
            first = first._mask_maker()
        return first if first is not None and first.makes_mask else None

    def _callback_list(
        self, callbacks: Sequence[Callback], verbose: int | str, epochs: int, steps: int | None
    ) -> CallbackList:
        level = (1 if is_watched() else 2) if verbose == "auto" else int(verbose)
        chosen = list(callbacks)
        if level and not any(isinstance(callback, ProgbarLogger) for callback in chosen):
            chosen.append(ProgbarLogger(live=level == 1 and is_watched()))
        params = {"verbose": level, "epochs": epochs, "steps": steps}
        return CallbackList(chosen, self, params)  # type: ignore[arg-type]

    def warmup(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        batch_size: int | None = None,
        *,
        epochs: int = 10,
        shuffle: bool = True,
        class_weight: dict[int, float] | None = None,
        steps: str | Sequence[str] = ("train",),
        max_tokens: int | None = None,
        length_grouping: int | None = None,
        verbose: int | str = "auto",
    ) -> int:
        """Compile ahead what `fit` on these data would compile on its way; nothing to do where nothing is compiled.

        The epochs of the next `fit` are dealt on the lengths of the rows alone, a thousand batches at most, and each
        size that occurs is compiled once. Weights, optimizer and random numbers stay as they are. A model that has no
        weights yet gets them.

        Args:
            x: as in `fit`; without the rows that validation_split would hold out.
            y: targets.
            sample_weight: as in `fit`.
            batch_size: rows of a batch; 32 by default.
            epochs: how many to look at, where rows are shuffled.
            shuffle: as in `fit`.
            class_weight: as in `fit`.
            steps: some of "train", "evaluate" and "predict".
            max_tokens: as in `fit`.
            length_grouping: as in `fit`.
            verbose: 0 silent; 1 a bar after two seconds; "auto" is 1 on a terminal.

        Returns:
            How often something was compiled; 0 on a backend that compiles nothing.

        Raises:
            ArgumentError: when steps has an unknown name.
            DataError: when x can be read only once.

        Example:
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.layers.LSTM(4), padless.layers.Dense(1)])
            >>> model.compile(loss="mse")
            >>> model.warmup([np.ones((2, 3)), np.zeros((5, 3))], [1.0, 0.0])
            0
        """
        names = warming.checked(steps)
        if set(names) - {"predict"}:
            self._require_compiled("warmup")
        source = self._source(x, y, sample_weight, batch_size, None, max_tokens, length_grouping)
        if self.run_eagerly or not self.backend.compiles:
            return 0
        self._class_weight = class_weight
        try:
            if not self.built:
                self._build_on(next(iter(source.epoch())))
            shown = sys.stdout.isatty() if verbose == "auto" else bool(verbose)
            return warming.warm(self, source, names, epochs if shuffle else 0, shown)
        finally:
            self._class_weight = None

    # ---- evaluate

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        return_dict: bool = False,
        *,
        max_tokens: int | None = None,
        length_grouping: int | None = None,
    ) -> Any:
        """Compute loss and metrics, by live steps.

        Args:
            x: as in `fit`.
            y: targets.
            batch_size: rows of a batch; 32 by default.
            verbose: as in `fit`.
            sample_weight: as in `fit`.
            steps: batches; default: all.
            callbacks: told how it goes.
            return_dict: whether to return a dict by name.
            max_tokens: steps of a batch, instead of batch_size.
            length_grouping: as in `fit`; changes nothing in what comes out.

        Returns:
            The loss; or a list of the loss and the metrics (`metrics_names`); or a dict.
        """
        self._require_compiled("evaluate")
        source = self._source(x, y, sample_weight, batch_size, steps, max_tokens, length_grouping)
        if length_grouping:
            self._refuse_shuffling(length_grouping)
        told = self._callback_list(list(callbacks or ()), verbose, 1, len(source) or None)
        logs = self._evaluate(source, told)
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values

    def _evaluate(self, source: Source, told: CallbackList) -> Logs:
        self.reset_metrics()
        told.tell("on_test_begin", {})
        with told.failing(), contextlib.closing(source.epoch()) as batches:
            for at, batch in enumerate(batches):
                told.tell("on_test_batch_begin", at, {})
                with _rows_of_the_data(batch, source):
                    self._test_on(batch)
                told.tell("on_test_batch_end", at, self._logs())
        logs = self._logs()
        told.tell("on_test_end", logs)
        return logs

    # ---- predict

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | None = None,
        *,
        max_tokens: int | None = None,
        length_grouping: int | None = None,
    ) -> Any:
        """Compute outputs for many rows, batch by batch.

        Args:
            x: as in `fit`.
            batch_size: rows of a batch; 32 by default.
            verbose: as in `fit`, except that "auto" prints no line where nothing can move.
            steps: batches; default: all.
            callbacks: told how it goes.
            max_tokens: steps of a batch, instead of batch_size.
            length_grouping: as in `fit`; changes nothing in what comes out.

        Returns:
            NumPy: an array (B, ...) where rows end in the model; else the form that came in: a list of arrays for a
            list, a Ragged for a Ragged, a padded array for a padded one. Rows are in the order given.
        """
        x = tables.inputs(x, self._wanted())
        source = self._source(x, None, None, batch_size, steps, max_tokens, length_grouping)
        if length_grouping:
            self._refuse_shuffling(length_grouping)
        level = int(is_watched()) if verbose == "auto" else verbose
        told = self._callback_list(list(callbacks or ()), level, 1, len(source) or None)
        told.tell("on_predict_begin", {})
        parts, order = [], []
        with told.failing(), contextlib.closing(source.epoch()) as batches:
            for at, batch in enumerate(batches):
                told.tell("on_predict_batch_begin", at, {})
                with _rows_of_the_data(batch, source):
                    parts.append(self._predict_on(batch))
                if batch.rows is not None and length_grouping:
                    order.append(batch.rows)
                self._note_sizes(batch)
                told.tell("on_predict_batch_end", at, {})
        told.tell("on_predict_end", {})
        made = _joined(parts)
        if order:
            made = _picked(made, np.argsort(np.concatenate(order)))
        return _form_of(x, several=isinstance(source, Table) and isinstance(source.inputs, tuple)).leave(made)

    def _predict_on(self, batch: Batch) -> Any:
        with self._lock:  # until another thread has built all layers
            if not self.built:
                self._build_on(batch)
        program, numbers = self._run_of("predict")
        _, _, (y, kept) = program(numbers, self._parts_for("predict", batch), batch.room)
        carry(self, kept)
        return _on_host(y, self.backend)

    # ---- single batches

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: dict[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Take one training step.

        Args:
            x: the rows of the batch.
            y: targets.
            sample_weight: as in `fit`.
            class_weight: as in `fit`.
            return_dict: whether to return a dict by name.

        Returns:
            The loss; or a list of the loss and the metrics; or a dict. Metrics add up until `reset_metrics`.
        """
        self._require_compiled("train_on_batch")
        self._class_weight = class_weight
        try:
            self._train_on(self._weighted(self._one_batch(x, y, sample_weight)))
        finally:
            self._class_weight = None
        return self._answer(return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """Compute loss and metrics of one batch.

        Args:
            x: the rows of the batch.
            y: targets.
            sample_weight: as in `fit`.
            return_dict: whether to return a dict by name.

        Returns:
            As `train_on_batch`.
        """
        self._require_compiled("test_on_batch")
        self._test_on(self._one_batch(x, y, sample_weight))
        return self._answer(return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """Compute outputs of one batch.

        Args:
            x: the rows of the batch.

        Returns:
            As `predict`.
        """
        x = tables.inputs(x, self._wanted())
        table = self._table(x, None, None)
        y = self._predict_on(table.batch(np.arange(table.nrows)))
        return _form_of(x, several=isinstance(table.inputs, tuple)).leave(y)

    def _one_batch(self, x: Any, y: Any, weight: Any) -> Batch:
        table = self._table(x, y, weight)
        return table.batch(np.arange(table.nrows))

    def _table(self, x: Any, y: Any, weight: Any) -> Table:
        source = self._source(x, y, weight)
        if isinstance(source, Table):
            return source
        raise DataError(
            explain(
                "a single batch",
                expected="the rows of the batch",
                got=f"a source of batches, {type(x).__name__}",
                fix="model.train_on_batch(*next(batches))",
            )
        )

    def _answer(self, return_dict: bool) -> Any:
        logs = self._logs()
        if return_dict:
            return logs
        values = list(logs.values())
        return values[0] if len(values) == 1 else values


@contextlib.contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back until the batch at hand is done; a second one interrupts at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed.is_set
        return
    before = signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    signal.signal(signal.SIGINT, handler)
    try:
        yield pressed.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _rows_of_the_data(batch: Batch, source: Source) -> Iterator[None]:
    """Name a wrong row by its index in the data, not in the batch."""
    try:
        yield
    except RowError as wrong:
        if batch.rows is None:
            raise
        row = int(batch.rows[wrong.row])
        raise wrong.renamed(row, source.name_of(row)) from None


def _split(source: Source, share: float) -> tuple[Table, Table]:
    """Hold the last rows of the data out."""
    if not isinstance(source, Table):
        raise ArgumentError(
            explain(
                "validation_split",
                expected="data that are all at hand",
                got="rows in files" if isinstance(source, Planned) else "a generator",
                fix="validation_data=: (x, y), or ParquetRows of files of their own",
            )
        )
    return source.split(share)


def _validates(epoch: int, frequency: int | Sequence[int]) -> bool:
    return (epoch + 1) % frequency == 0 if isinstance(frequency, int) else epoch + 1 in frequency


_BOOKKEEPING = frozenset(
    "built compiled gathered_batches history iterations last_batch_steps last_batch_places stop_training "
    "_class_weight _first_spec _heads _data_place _data_resumed _learning_rate _seed _totals epoch_plan".split()
)
"""Attributes that change while a model trains and that no step reads."""


def _settings_of(trainer: Trainer) -> tuple[Any, ...]:
    """What a compiled step takes for fixed: loss, optimizer, and the plain attributes of these and of all layers."""
    inner = [layer for _, layer in trainer.inner_layers()]
    heads = trainer._heads.heads
    things = (*(head.loss for head in heads), trainer.optimizer, trainer, *inner)
    return (
        trainer._heads.measured,
        tuple(head.weight for head in heads),
        *(_plain_attributes(thing) for thing in things),
    )


def _plain_attributes(thing: Any) -> tuple[Any, ...]:
    if thing is None:
        return ()
    plain = (bool, int, float, str, tuple)
    found = ((k, v) for k, v in vars(thing).items() if type(v) in plain or k == "activity_regularizer")
    return (thing, *((k, v) for k, v in found if k not in _BOOKKEEPING))


def _first_rows(x: Any) -> Any:
    if isinstance(x, tuple | list):
        return tuple(_first_rows(part) for part in x)
    if isinstance(x, dict):
        return {key: _first_rows(part) for key, part in x.items()}
    return x[:2]


def _parted(slots: dict[str, tuple[Layer, str]]) -> dict[str, dict[str, Array]]:
    """The arrays of these places by path: weights that are trained, and fixed ones."""
    weights: dict[str, Array] = {}
    fixed: dict[str, Array] = {}
    for path, (layer, name) in slots.items():
        (weights if layer.trains(name) else fixed)[path] = layer.__dict__[name]
    return {"weights": weights, "fixed": fixed}


def _detached(y: Any, backend: Any) -> Any:
    if isinstance(y, Ragged):
        return y.with_flat_values(backend.stop_gradient(y.flat_values))
    if isinstance(y, tuple | list):
        return type(y)(_detached(part, backend) for part in y)
    if isinstance(y, dict):
        return {key: _detached(part, backend) for key, part in y.items()}
    return backend.stop_gradient(y)


def _finite(y: Any, backend: Any) -> bool:
    if isinstance(y, tuple | list | dict):
        return all(_finite(part, backend) for part in (y.values() if isinstance(y, dict) else y))
    values = backend.to_host(y.flat_values if isinstance(y, Ragged) else y)
    return values.dtype.kind not in "f" or bool(np.isfinite(values).all())


def _on_host(y: Any, backend: Any) -> Any:
    if isinstance(y, Ragged):
        return y.with_flat_values(np.array(backend.to_host(y.flat_values)))
    if isinstance(y, tuple | list):
        return type(y)(_on_host(part, backend) for part in y)
    if isinstance(y, dict):
        return {key: _on_host(part, backend) for key, part in y.items()}
    return np.array(backend.to_host(y))


def _joined(parts: list[Any]) -> Any:
    first = parts[0]
    if isinstance(first, tuple | list):
        return type(first)(_joined([part[at] for part in parts]) for at in range(len(first)))
    if isinstance(first, dict):
        return {key: _joined([part[key] for part in parts]) for key in first}
    return end_to_end(parts)


def _picked(made: Any, rows: Any) -> Any:
    """Rows of all outputs, in another order."""
    if isinstance(made, tuple | list):
        return type(made)(_picked(part, rows) for part in made)
    if isinstance(made, dict):
        return {key: _picked(part, rows) for key, part in made.items()}
    return made[rows]


def _form_of(x: Any, *, several: bool) -> Form:
    """The form of the data given to predict: of the first input that says where its rows are, else of the first."""
    parts = list(x.values()) if isinstance(x, dict) else list(x) if several else [x]
    first = next((part for part in parts if _says_rows(part)), parts[0])
    if isinstance(first, list | tuple) or getattr(first, "dtype", None) == np.dtype(object):
        return AS_LIST
    return Form() if _says_rows(first) or not hasattr(first, "shape") else Form(Ragged.to_padded)


def _says_rows(part: Any) -> bool:
    if isinstance(part, list | tuple):
        return any(hasattr(row, "__len__") for row in part)
    jagged = isinstance(part, Ragged) or getattr(part, "is_nested", False)
    return jagged or getattr(part, "dtype", None) == np.dtype(object)


def _only(loss: Any) -> Any:
    """The loss of a model with one output, however it was given."""
    if isinstance(loss, dict | list | tuple):
        return next(iter(loss.values() if isinstance(loss, dict) else loss), None)
    return loss


_OF_CLASSES = (
    losses.CategoricalCrossentropy
    | losses.CategoricalFocalCrossentropy
    | losses.CategoricalHinge
    | losses.KLDivergence
    | losses.Dice
    | losses.Tversky
)
_OF_EACH = losses.BinaryCrossentropy | losses.BinaryFocalCrossentropy | losses.SparseCategoricalCrossentropy


def _is_one_hot(values: np.ndarray[Any, Any], loss: Any, *, steps: bool) -> bool:
    """Whether targets have a number for each class; an array (B, T) may also hold a class for each step."""
    if values.ndim < 2 or values.shape[-1] == 1:
        return False
    return isinstance(loss, _OF_CLASSES) or ((steps or values.ndim > 2) and not isinstance(loss, _OF_EACH))


def _at_home(value: Any, x: Any) -> Any:
    """The steps of lists at the places where a padded input has its own, so that padded arrays are read beside them."""
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, tuple | list) else [x]
    if isinstance(value, Ragged) and value.ragged_rank == 1 and not value.rows.came_padded:
        for part in parts:
            if isinstance(part, Ragged) and part.rows.came_padded and part.rows.same_lengths(value.rows):
                return Ragged(value.values, part.rows)
    return value


def _times(one: Any, other: Any) -> Any:
    """Class weights times sample weights, of rows or of steps."""
    if isinstance(one, Ragged):
        _, values, weights = aligned("class_weight", one, one, other)
        return one.with_flat_values(values * np.asarray(weights, np.float32).reshape(values.shape))
    if isinstance(other, Ragged):
        values, weights, _ = aligned("class_weight", one, other)
        return other.with_flat_values(values * np.asarray(weights, np.float32).reshape(values.shape))
    weights = np.asarray(other, np.float32)
    if weights.ndim == one.ndim + 1 and weights.shape[-1] == 1:
        weights = weights[..., 0]
    return one * weights.reshape(*weights.shape, *(1 for _ in range(one.ndim - weights.ndim)))
