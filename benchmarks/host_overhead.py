"""What a call costs beside its kernel: the host's time for each layer, for a model around layers, and for one row.

Tiny inputs, so that nearly all of the time is the host's. Each layer takes turns with the framework operations that it
has to call on the same tensors ("bare"); the difference is padless's own. "fresh" is the call on rows that nobody has
used yet, as the first layer of each kind pays it once for a batch: index arrays and plans are made anew.

    python benchmarks/host_overhead.py            # layers, models, one row; torch
    python benchmarks/host_overhead.py --quick
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

LENGTHS = (3, 5, 2, 4)
FEATURES = 16
WORDS = 1000


class Row(NamedTuple):
    """One line of the table.

    Attributes:
        question: "layer", "model" or "one row".
        what: which layer, or which call of which model.
        call: seconds of the call, median.
        bare: seconds of the framework's operations alone; None where there is no such thing.
        fresh: seconds of the call on rows that were not used before; None where that is what `call` is.
        layers: how many layers the call ran.
    """

    question: str
    what: str
    call: float
    bare: float | None = None
    fresh: float | None = None
    layers: int = 1

    @property
    def ours(self) -> float | None:
        """Seconds for each layer that are not the framework's."""
        return None if self.bare is None else (self.call - self.bare) / self.layers


def timed(function: Callable[[], Any], calls: int) -> float:
    """Seconds of a call, over so many."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def timed_each(function: Callable[[Any], Any], arguments: list[Any]) -> float:
    """Seconds of a call, with another argument each time."""
    start = time.perf_counter()
    for argument in arguments:
        function(argument)
    return (time.perf_counter() - start) / len(arguments)


def together(functions: list[Callable[[], float]], turns: int) -> list[float]:
    """Medians of several measurements, which take turns, after a turn that does not count."""
    found = [[function() for function in functions] for _ in range(turns + 1)][1:]
    return [statistics.median(times) for times in zip(*found, strict=True)]


# ---- layers


class Case(NamedTuple):
    """A layer and what it has to call.

    Attributes:
        name: for the table.
        layer: the layer.
        wrap: gives the layer's arguments for one Ragged.
        bare: gives a function without arguments that makes the framework's calls on the same tensors.
        ids: whether it reads ids.
        layers: how many layers it calls, itself included.
    """

    name: str
    layer: Any
    bare: Callable[[Any, Any], Callable[[], Any]]
    wrap: Callable[[Any], tuple[Any, ...]] = lambda x: (x,)
    ids: bool = False
    layers: int = 1


def cases() -> list[Case]:
    """About twenty common layers."""
    import torch
    from torch.nn import functional

    from padless import layers

    def each(function: Callable[[Any], Any]) -> Callable[[Any, Any], Callable[[], Any]]:
        return lambda layer, x: lambda: function(x.values)

    def dense(layer: Any, x: Any) -> Callable[[], Any]:
        return lambda: torch.addmm(layer.bias, x.values, layer.kernel)

    def conv(layer: Any, x: Any) -> Callable[[], Any]:
        convolve, kernel, rows = layer.backend.convolve, layer.kernel, x.rows
        return lambda: convolve(x.values, rows, kernel, padding="same")[0] + layer.bias

    def recurrent(layer: Any, x: Any) -> Callable[[], Any]:
        from padless.layers.cells import _Formula

        backend, cell, count = layer.backend, layer.cell, len(layer.state_size)

        def run() -> Any:
            state = tuple(torch.zeros((x.rows.nrows, cell.units)) for _ in range(count))
            return backend.recur(_Formula(cell), x.values, x.rows, state)

        return run

    def both_ways(layer: Any, x: Any) -> Callable[[], Any]:
        from padless.layers.cells import _Formula

        backend, cells = layer.backend, (layer.forward_layer.cell, layer.backward_layer.cell)

        def run() -> Any:
            made = []
            for cell, reverse in zip(cells, (False, True), strict=True):
                state = (torch.zeros((x.rows.nrows, cell.units)), torch.zeros((x.rows.nrows, cell.units)))
                made.append(backend.recur(_Formula(cell), x.values, x.rows, state, reverse=reverse)[0])
            return torch.cat(made, -1)

        return run

    def heads(layer: Any, x: Any) -> Callable[[], Any]:
        def projected(weight: Any, bias: Any, values: Any) -> Any:
            return torch.addmm(bias.reshape(-1), values, weight.reshape(values.shape[1], -1))

        dense = [part for _, part in sorted(layer.children()) if hasattr(part, "kernel")]
        weights = [(part.kernel, part.bias) for part in dense]

        def run() -> Any:
            q, k, v = (projected(*weights[at % len(weights)], x.values).reshape(-1, 2, 8) for at in range(3))
            y = layer.backend.attention(q, k, v, x.rows, x.rows, scale=0.35)
            return projected(weights[0][0], weights[0][1], y.reshape(-1, 16))

        return run

    def attend(layer: Any, x: Any) -> Callable[[], Any]:
        def run() -> Any:
            values = x.values[:, None]
            return layer.backend.attention(values, values, values, x.rows, x.rows, scale=1.0)[:, 0]

        return run

    def rowids(layer: Any, x: Any) -> Any:
        return layer.backend.index(x.rows, "value_rowids")

    def mean(layer: Any, x: Any) -> Callable[[], Any]:
        ids = rowids(layer, x)
        counts = torch.tensor(LENGTHS, dtype=torch.float32)[:, None]
        return lambda: x.values.new_zeros((len(LENGTHS), FEATURES)).index_add(0, ids, x.values) / counts

    def largest(layer: Any, x: Any) -> Callable[[], Any]:
        return lambda: layer.backend.segment_max(x.values, x.rows)

    def windows(layer: Any, x: Any) -> Callable[[], Any]:
        return lambda: layer.backend.window_max(x.values, x.rows, layer._window)

    def looked_up(layer: Any, x: Any) -> Callable[[], Any]:
        return lambda: functional.embedding(x.values, layer.embeddings)

    def normed(layer: Any, x: Any) -> Callable[[], Any]:
        return lambda: functional.layer_norm(x.values, (FEATURES,), layer.gamma, layer.beta, layer.epsilon)

    def batch_normed(layer: Any, x: Any) -> Callable[[], Any]:
        moving = (layer.moving_mean, layer.moving_variance, layer.gamma, layer.beta)
        return lambda: functional.batch_norm(x.values, *moving, False, 0.1, layer.epsilon)

    return [
        Case("Dense", layers.Dense(FEATURES), dense),
        Case("Dense relu", layers.Dense(FEATURES, activation="relu"), lambda a, x: lambda: dense(a, x)().relu()),
        Case("Activation", layers.Activation("relu"), each(torch.relu)),
        Case("Dropout", layers.Dropout(0.1), each(lambda values: values)),
        Case("Embedding", layers.Embedding(WORDS, FEATURES), looked_up, ids=True),
        Case("Embedding mask_zero", layers.Embedding(WORDS, FEATURES, mask_zero=True), looked_up, ids=True),
        Case("LayerNormalization", layers.LayerNormalization(), normed),
        Case("BatchNormalization", layers.BatchNormalization(), batch_normed),
        Case("Add", layers.Add(), each(lambda values: values + values), lambda x: ([x, x],)),
        Case("Concatenate", layers.Concatenate(), each(lambda v: torch.cat([v, v], -1)), lambda x: ([x, x],)),
        Case(
            "TimeDistributed", layers.TimeDistributed(layers.Dense(FEATURES)), lambda a, x: dense(a.layer, x), layers=2
        ),
        Case("Conv1D", layers.Conv1D(FEATURES, 3, padding="same"), conv),
        Case("MaxPooling1D", layers.MaxPooling1D(2), windows),
        Case("GlobalAveragePooling1D", layers.GlobalAveragePooling1D(), mean),
        Case("GlobalMaxPooling1D", layers.GlobalMaxPooling1D(), largest),
        Case("SimpleRNN", layers.SimpleRNN(8, return_sequences=True), recurrent),
        Case("GRU", layers.GRU(8, return_sequences=True), recurrent),
        Case("LSTM", layers.LSTM(8, return_sequences=True), recurrent),
        Case("Bidirectional LSTM", layers.Bidirectional(layers.LSTM(8, return_sequences=True)), both_ways, layers=3),
        Case("Attention", layers.Attention(), attend, lambda x: ([x, x],)),
        Case("MultiHeadAttention", layers.MultiHeadAttention(2, 8), heads, lambda x: (x, x)),
    ]


def ragged(*, ids: bool = False, lengths: tuple[int, ...] = LENGTHS) -> Any:
    """A value with rows of its own."""
    import torch

    import padless

    total = sum(lengths)
    values = torch.randint(1, WORDS, (total,)) if ids else torch.randn(total, FEATURES)
    return padless.Ragged(values, padless.RowPartition.from_lengths(lengths))


def of_layers(turns: int, calls: int) -> Iterator[Row]:
    """Each layer alone, rows reused and fresh."""
    import torch

    for case in cases():
        x = ragged(ids=case.ids)
        given = case.wrap(x)
        with torch.no_grad():
            case.layer(*given)
            bare = case.bare(case.layer, x)

            def call(layer: Any = case.layer, given: Any = given) -> Any:
                return layer(*given)

            def fresh(case: Case = case) -> float:
                made = [case.wrap(ragged(ids=case.ids)) for _ in range(calls // 4)]
                return timed_each(lambda given, case=case: case.layer(*given), made)  # noqa: B023 (its own)

            found = together([lambda c=call: timed(c, calls), lambda b=bare: timed(b, calls), fresh], turns)
        yield Row("layer", case.name, *found, layers=case.layers)


# ---- models around layers


def of_models(turns: int, calls: int) -> Iterator[Row]:
    """Six layers as a model: what walking them costs beyond the calls that each makes."""
    import torch

    import padless
    from padless import layers

    def stack() -> list[Any]:
        return [layers.Dense(FEATURES) for _ in range(6)]

    inputs = padless.Input((None, FEATURES))
    value: Any = inputs
    for layer in stack():
        value = layer(value)
    models = {
        "Sequential of 6 Dense": padless.Sequential([padless.Input((None, FEATURES)), *stack()]),
        "functional of 6 Dense": padless.Model(inputs, value),
    }
    x = ragged()
    with torch.no_grad():
        for name, model in models.items():
            weights = [(layer.kernel, layer.bias) for layer in model.layers if hasattr(layer, "kernel")]

            def bare(weights: Any = weights) -> Any:
                values = x.values
                for kernel, bias in weights:
                    values = torch.addmm(bias, values, kernel)
                return values

            found = together([lambda m=model: timed(lambda: m(x), calls), lambda b=bare: timed(b, calls)], turns)
            yield Row("model", name, *found, layers=len(weights))


# ---- one row


def small_models() -> dict[str, Any]:
    """The models of `models.py` in small: a row of ids to five classes."""
    import padless
    from padless import layers

    def built(*middle: Any) -> Any:
        first = [padless.Input((None,), dtype="int32"), layers.Embedding(WORDS, 64, mask_zero=True)]
        return padless.Sequential([*first, *middle, layers.Dense(5, activation="softmax")])

    def encoder() -> Any:
        inputs = padless.Input((None,), dtype="int32")
        x: Any = layers.Embedding(WORDS, 64, mask_zero=True)(inputs)
        for _ in range(2):
            y = layers.LayerNormalization()(x)
            x = layers.Add()([x, layers.MultiHeadAttention(4, 16)(y, y)])
            y = layers.Dense(128, activation="relu")(layers.LayerNormalization()(x))
            x = layers.Add()([x, layers.Dense(64)(y)])
        y = layers.GlobalAveragePooling1D()(x)
        return padless.Model(inputs, layers.Dense(5, activation="softmax")(y))

    return {
        "bag": built(layers.GlobalAveragePooling1D()),
        "conv": built(layers.Conv1D(64, 5, padding="same", activation="relu"), layers.GlobalMaxPooling1D()),
        "bilstm": built(layers.Bidirectional(layers.LSTM(32, return_sequences=True)), layers.GlobalMaxPooling1D()),
        "encoder": encoder(),
    }


def of_one_row(turns: int, calls: int) -> Iterator[Row]:
    """Answers for single rows, and for a stream of single requests of 5 to 200 steps."""
    rng = np.random.default_rng(0)
    stream = [[rng.integers(1, WORDS, n).tolist()] for n in rng.integers(5, 200, 40)]
    for name, model in small_models().items():
        for steps in (20, 400):
            rows = [rng.integers(1, WORDS, steps).tolist()]

            def call(model: Any = model, rows: Any = rows) -> Any:
                return model(rows)

            def predicted(model: Any = model, rows: Any = rows) -> Any:
                return model.predict(rows, verbose=0)

            def at_once(model: Any = model, rows: Any = rows) -> Any:
                return model.predict_on_batch(rows)

            chosen = {"model(x)": call, "predict": predicted, "predict_on_batch": at_once}
            found = together([lambda f=f: timed(f, calls) for f in chosen.values()], turns)
            for which, seconds in zip(chosen, found, strict=True):
                yield Row("one row", f"{name}, {steps} steps, {which}", seconds)

        def answered(model: Any = model) -> float:
            return timed_each(lambda rows, model=model: model.predict(rows, verbose=0), stream)  # noqa: B023 (its own)

        yield Row("one row", f"{name}, stream, predict", *together([answered], turns))


def measure(turns: int = 7, calls: int = 200, questions: tuple[str, ...] = ("layer", "model", "row")) -> list[Row]:
    """Measure on torch.

    Args:
        turns: of which the median counts.
        calls: of each turn.
        questions: which of "layer", "model" and "row".

    Returns:
        The lines of the table.
    """
    found: list[Row] = []
    if "layer" in questions:
        found += of_layers(turns, calls)
    if "model" in questions:
        found += of_models(turns, calls)
    if "row" in questions:
        found += of_one_row(turns, max(calls // 20, 2))
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--only", nargs="+", default=["layer", "model", "row"])
    parser.add_argument("--quick", action="store_true", help="one turn of few calls: only to see whether it works")
    said = parser.parse_args()
    turns, calls = (1, 8) if said.quick else (said.turns, said.calls)
    print(f"{'microseconds':<40}{'call':>9}{'bare':>9}{'ours':>9}{'fresh':>9}")
    for row in measure(turns, calls, tuple(said.only)):
        cells = (row.call, row.bare, row.ours, row.fresh)
        print(f"{row.what:<40}" + "".join(f"{'' if cell is None else f'{cell * 1e6:.1f}':>9}" for cell in cells))


if __name__ == "__main__":
    main()
