"""Model: Sequential, functional and subclassed; and the table that says where rows enter, are kept, change and end."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from padless import graph, outputs, saving
from padless.backends.base import Array
from padless.data import tables
from padless.data.tables import Wanted
from padless.errors import ArgumentError, DTypeError, NotBuiltError, ShapeError, explain
from padless.forms import Form, enter
from padless.function import ModelFunction
from padless.layer import Layer, calling, inside_model
from padless.ragged import Ragged, require_same_rows
from padless.spec import Spec, Symbol
from padless.training import Trainer


class Model(Trainer, Layer):
    """Layers with a `call` of their own, that can be trained.

    Three ways: `Model(inputs, outputs)` of symbols, `Sequential([...])`, or a subclass with layers as attributes and a
    `call(self, x)`. A model only passes rows on; its layers read them.

    Args:
        inputs: a symbol made by `Input`, or a list or dict of them.
        outputs: a symbol, or a list or dict of them.
        name: for summaries and errors.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> class Tagger(padless.Model):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.embed = layers.Embedding(50, 8, mask_zero=True)
        ...         self.head = layers.Dense(3, activation="softmax")
        ...     def call(self, x):
        ...         return self.head(self.embed(x))
        >>> [len(tags) for tags in Tagger()([[4, 5, 6], [7]])]
        [3, 1]
    """

    reads_nested = True

    def __new__(cls, *args: Any, **kwargs: Any) -> Model:
        """Make a functional model of `Model(inputs, outputs)`."""
        if cls is Model and (args or "inputs" in kwargs):
            return Functional.__new__(Functional, *args, **kwargs)
        made = super().__new__(cls, *args, **kwargs)
        assert isinstance(made, Model)
        return made

    def __init__(
        self, *, name: str | None = None, dtype: str = "float32", trainable: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(name=name, dtype=dtype, trainable=trainable, **kwargs)
        self._first_spec: Any = None  # a Spec, or a list or dict of them

    @property
    def layers(self) -> list[Layer]:
        """The layers of the model, in order."""
        return [layer for _, layer in self.children()]

    def get_layer(self, name: str | None = None, index: int | None = None) -> Layer:
        """Find a layer.

        Args:
            name: of the layer.
            index: of the layer in `layers`.

        Returns:
            The layer.

        Raises:
            ArgumentError: when there is none.
        """
        if index is not None:
            return self.layers[index]
        for layer in self.layers:
            if layer.name == name:
                return layer
        names = ", ".join(layer.name for layer in self.layers)
        raise ArgumentError(
            explain(f"get_layer of {self.name!r}", expected="a layer's name", got=repr(name), fix=f"one of: {names}")
        )

    # ---- the call

    def _form_call(self, x: Any, args: tuple[Any, ...], mask: Any, kwargs: dict[str, Any]) -> Any:
        outermost = not inside_model()
        entered, form = self._enter_inputs(x, mask)
        if outermost:
            with calling():
                y = self._run(entered, *args, **kwargs)
        else:
            y = self._run(entered, *args, **kwargs)
        return (self._last_form(form, entered) if outermost else form).leave(y)

    def _last_form(self, form: Form, entered: Any) -> Form:
        """The form that a model's results have in the end."""
        # A model is where rows end: what came as a padded array goes back as one.
        return Form(Ragged.to_padded) if form.undo is None and not _holds_ragged(entered) else form

    def _enter_inputs(self, x: Any, mask: Any) -> tuple[Any, Form]:
        """Turn what the user gives into values, one or several."""
        x = tables.inputs(x, self._wanted())
        many = isinstance(x, tuple) or (isinstance(x, list) and bool(x) and all(isinstance(v, Ragged) for v in x))

        def given(key: int | str, value: Any) -> tuple[Any, Form]:
            return enter(
                value,
                _mask_of(mask, key, x),
                self.backend,
                self.place,
                self._ragged_rank(key),
            )

        if isinstance(x, dict):
            entered = {key: given(key, value) for key, value in x.items()}
            return {key: value for key, (value, _) in entered.items()}, _form_of_rows(list(entered.values()))
        if many:
            pairs = [given(at, value) for at, value in enumerate(x)]
            return tuple(value for value, _ in pairs), _form_of_rows(pairs)
        return given(0, x)

    def _ragged_rank(self, key: int | str) -> int | None:
        spec = self._first_spec if self.built else None
        if isinstance(spec, dict):
            spec = spec.get(key)
        elif isinstance(spec, list):
            spec = spec[key] if isinstance(key, int) and key < len(spec) else None
        return _varying(spec[1:], spec.dtype) if isinstance(spec, Spec) and spec.ragged else None

    def _wanted(self) -> Wanted:
        return super()._wanted()._replace(ninputs=0)

    def _prepared(self, x: Any) -> Any:
        return x

    def _build_for(self, x: Any) -> None:
        """Claim the layers; remember what came, so that `summary` can trace it again."""
        if isinstance(x, dict):
            self._first_spec = {key: Spec.of(value) for key, value in x.items()}
        else:
            self._first_spec = [Spec.of(v) for v in x] if isinstance(x, list | tuple) else Spec.of(x)
        self.build(self._first_spec)
        self.built = True
        self.claim_layers()

    def _run(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        built = self.built
        try:
            return super()._run(x, *args, **kwargs)
        except BaseException:
            self.built = built  # a first call that fails has not built the layers
            raise

    def _dispatch(self, x: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if "training" in self._call_parameters and "training" not in kwargs:
            kwargs["training"] = self.training
        return self.call(x, *args, **kwargs)

    def claim_layers(self) -> None:
        """Tell every layer inside its place, for errors and for random numbers that depend on the place alone."""
        for path, layer in self.inner_layers():
            layer._path, layer._owner = path, self.name

    def reset_state(self) -> None:
        """Have all stateful layers forget what they keep, so that the next batch begins anew and may have another size.

        Example:
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.layers.GRU(2, stateful=True)])
            >>> x = np.ones((3, 4, 1), np.float32)
            >>> first, second = model.predict(x, verbose=0), model.predict(x, verbose=0)
            >>> model.reset_state()
            >>> bool((model.predict(x, verbose=0) == first).all()), bool((second == first).all())
            (True, False)
        """
        for _, layer in self.inner_layers():
            if "kept" in layer.__dict__:
                layer.kept = None

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Layer:
        """Make a model of what `get_config` gave; a functional one of what that of a functional one gave.

        Args:
            config: the arguments.

        Returns:
            A new model.
        """
        if cls is Model and "calls" in config:
            return Functional.from_config(config)
        return super().from_config(config)

    def reset_states(self) -> None:
        """`reset_state` under its older name."""
        self.reset_state()

    def build(self, spec: Any) -> None:
        """Nothing to make: the layers inside build themselves when they are called.

        Args:
            spec: an input shape such as (None, None, 16) traces the model and so builds all layers.
        """
        if not inside_model():
            self.trace(graph.standin(tuple(spec[1:]), "float32"))

    def trace(self, value: Any, watch: Callable[[Layer, Any, Any], None] | None = None) -> Any:
        """Call the model on a stand-in, without gradients.

        Args:
            value: the stand-in.
            watch: called with every layer, its input and its output.

        Returns:
            The output on the stand-in.
        """

        def run() -> Any:
            with calling(tracing=True, watch=watch):
                return self._run(value)

        with self.backend.no_gradient():
            return self.backend.abstractly(run)

    # ---- looking at it

    def _standins(self) -> Any:
        """Values to trace the model with, or None when nothing is known of its input yet."""
        if self._first_spec is None:
            return None
        if isinstance(self._first_spec, dict):
            return {key: spec.standin() for key, spec in self._first_spec.items()}
        if isinstance(self._first_spec, list):
            return tuple(spec.standin() for spec in self._first_spec)
        return self._first_spec.standin()

    def summary(
        self,
        line_length: int | None = None,
        positions: Sequence[float] | None = None,
        print_fn: Callable[[str], None] | None = None,
        expand_nested: bool = False,
        show_trainable: bool = False,
        layer_range: Sequence[str] | None = None,
    ) -> None:
        """Print the layers: output shapes, numbers of weights, and where rows enter, are kept, change and end.

        Args:
            line_length: width in characters; the terminal's by default.
            positions: where the columns end, as shares of the line or in characters; by default, as wide as they need.
            print_fn: called with the text; prints by default, in colors on a terminal.
            expand_nested: whether to list the layers of models within the model, too.
            show_trainable: whether to say which layers are trained.
            layer_range: names of the first and the last layer to list, or regular expressions for them.

        Raises:
            NotBuiltError: when nothing is known of the input yet.
            ArgumentError: for positions that are not as many as columns, and for names that no layer has.

        Example:
            >>> import padless
            >>> from padless import layers
            >>> model = padless.Sequential([padless.Input((None, 4)), layers.LSTM(2, name="read")], name="small")
            >>> model.summary(line_length=70)
            Model: 'small'
            <BLANKLINE>
              Layer (type)    Output shape      Rows       Weights
             ──────────────────────────────────────────────────────
              input (Input)   (None, None, 4)   if given
              read (LSTM)     (None, 2)         end             56
            <BLANKLINE>
            Weights: 56 (0.22 KiB), trained: 56, fixed: 0
            Rows: where sequences of unequal length enter, are kept, change their
            number of steps, and end.
        """
        from padless.summary import Columns, print_summary, summary_of

        if self._standins() is None:
            raise NotBuiltError(
                explain(
                    f"summary of {self.name!r}",
                    expected="a model whose input is known",
                    got="one that never saw data",
                    fix="give it an Input, call build((None, None, 16)), or call it once",
                )
            )
        found = summary_of(self, expand_nested=expand_nested, layer_range=layer_range)
        print_summary(found, Columns(show_trainable, positions, line_length), print_fn)

    def _repr_html_(self) -> str:
        from padless.pictures.notebook import model_html

        return model_html(self)

    # ---- as a function

    def as_function(self) -> tuple[dict[str, Array], ModelFunction]:
        """The model as a pure function of its weights, for JAX's transformations and training loops of one's own.

        `model.load_state_dict({**params, **states})` brings new numbers back into the model.

        Returns:
            params: copies of the weights that are trained, by path.
            apply: apply(params, x) computes the output; see `padless.function.ModelFunction`.

        Raises:
            NotBuiltError: when the model has no weights yet.

        Example:
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.Input((None, 3)), padless.layers.LSTM(2)])
            >>> params, apply = model.as_function()
            >>> sorted(params)
            ['layers/0/cell/bias', 'layers/0/cell/kernel', 'layers/0/cell/recurrent_kernel']
            >>> tuple(apply(params, [np.ones((4, 3)), np.ones((2, 3))]).shape)
            (2, 2)
        """
        self.require_built()

        def copies(arrays: dict[str, Array]) -> dict[str, Array]:
            host = self.backend.to_host
            kept = {path: self.backend.dtype_name(array) for path, array in arrays.items()}
            return {path: self.backend.asarray(np.array(host(arrays[path])), dtype) for path, dtype in kept.items()}

        arrays = self._arrays()
        return copies(arrays["weights"]), ModelFunction(self, copies(arrays["fixed"]))

    # ---- files

    def save(self, path: Any, overwrite: bool = True, zipped: bool | None = None) -> None:
        """Write architecture, weights and compile arguments into one file, with what the optimizer remembers.

        Args:
            path: of the file: one that ends in ".keras" is in Keras's format, which Keras opens, any other is a
                safetensors file; written beside it first and then renamed.
            overwrite: False refuses to replace a file.
            zipped: must not be False: there is one file.

        Raises:
            ArgumentError: when there is a file that must not be replaced; for the name of a file of weights.
            NotThereYetError: for a ".keras" file of what Keras does not have; the layer is named.

        Example:
            >>> import padless, tempfile, os
            >>> model = padless.Sequential([padless.Input((None, 2)), padless.layers.LSTM(3)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save(os.path.join(folder, "m.keras"))
            ...     again = padless.load_model(os.path.join(folder, "m.keras"))
            >>> again.count_params() == model.count_params()
            True
        """
        saving.save_model(self, path, overwrite, zipped)

    def to_keras(self, custom_objects: dict[str, Any] | None = None) -> Any:
        """Make a model of Keras: the same layers, weights, and optimizer with its state. Needs keras.

        Args:
            custom_objects: classes and functions of your own by name, written for Keras.

        Returns:
            The model, on the backend of Keras.

        Raises:
            NotThereYetError: for what Keras does not have; the layer is named.
            ArgumentError: when Keras is not installed.

        Example:
            >>> import os; os.environ["KERAS_BACKEND"] = "torch"
            >>> import numpy as np, padless
            >>> model = padless.Sequential([padless.Input((None, 2)), padless.layers.LSTM(3)])
            >>> x = np.ones((4, 5, 2), "float32")
            >>> bool(np.allclose(model.to_keras().predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6))
            True
        """
        return saving.to_keras(self, custom_objects)

    def save_weights(self, path: Any, overwrite: bool = True, max_shard_size: float | None = None) -> None:
        """Write the weights into a file: Keras's format where the name ends in ".weights.h5", else safetensors.

        Keras's file also holds what the optimizer remembers.

        Args:
            path: of the file; written beside it first and then renamed.
            overwrite: False refuses to replace a file.
            max_shard_size: must be None: there is one file.

        Raises:
            ArgumentError: when there is a file that must not be replaced; for the name of another of Keras's files.
            NotThereYetError: for a `max_shard_size`.

        Example:
            >>> import padless, tempfile, os
            >>> model = padless.Sequential([padless.Input((None, 2)), padless.layers.LSTM(3)])
            >>> with tempfile.TemporaryDirectory() as folder:
            ...     model.save_weights(os.path.join(folder, "m.weights.h5"))
            ...     model.load_weights(os.path.join(folder, "m.weights.h5"))
        """
        saving.save_weights(self, path, overwrite, max_shard_size)

    def load_weights(
        self, path: Any, skip_mismatch: bool = False, objects_to_skip: Sequence[Layer] | None = None
    ) -> None:
        """Read the weights from a file of padless or of Keras.

        Of Keras's files the optimizer's state comes along where the model has one that took a step already, as in
        Keras: a model that was compiled anew begins anew, with its own learning rate. `load_model` brings it back in
        any case.

        Args:
            path: of the file: ".weights.h5", ".weights.json" (an index of several files) or ".keras", or a safetensors
                file of padless.
            skip_mismatch: leave layers alone whose arrays do not fit, with a warning.
            objects_to_skip: layers to leave alone.

        Raises:
            DataError: when the file is broken, or holds what has no place in it.
            ShapeError: when its arrays are not those of the model; nothing is changed after an error.
        """
        saving.load_weights(self, path, skip_mismatch, objects_to_skip)


class Sequential(Model):
    """Layers one after the other.

    Args:
        layers: the layers; the first may be an `Input`, so that the model is built at once.
        name: for summaries and errors.

    Raises:
        DTypeError: when something is no layer.

    Example:
        >>> from padless import Sequential, layers
        >>> model = Sequential([layers.Embedding(100, 8, mask_zero=True), layers.LSTM(4), layers.Dense(1)])
        >>> tuple(model([[5, 6, 7], [8]]).shape)
        (2, 1)
    """

    def __init__(self, layers: Sequence[Any] | None = None, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        self._layers: list[Layer] = []
        self._input: Symbol | None = None
        self._output: Symbol | None = None
        for layer in layers or ():
            self.add(layer)

    def add(self, layer: Any) -> None:
        """Put a layer at the end.

        Args:
            layer: a layer, or an `Input` if there is none yet.

        Raises:
            DTypeError: when it is no layer.
            ArgumentError: when an Input comes late.
        """
        if isinstance(layer, Symbol):
            if self._layers or self._input is not None:
                raise ArgumentError(
                    explain(
                        f"{self.name!r}.add",
                        expected="an Input at the start only",
                        got="one after layers",
                        fix="put it first",
                    )
                )
            self._input = self._output = layer
            return
        if not isinstance(layer, Layer):
            raise DTypeError(
                explain(
                    f"{self.name!r}.add",
                    expected="a layer",
                    got=repr(layer),
                    fix="layers.Dense(8), with the parentheses",
                )
            )
        if self._input is None and not self._layers and layer.input_shape_hint is not None:
            self._input = self._output = graph.Input(tuple(layer.input_shape_hint))
        layer._path, layer._owner = f"layers/{len(self._layers)}", self.name
        if self._output is not None:
            self._output = layer(self._output)
        self._layers.append(layer)
        self.built = self._output is not None
        if self.built:
            self.claim_layers()

    def pop(self) -> Layer:
        """Take the last layer off.

        Returns:
            The layer.

        Raises:
            ArgumentError: when there is none.
        """
        if not self._layers:
            raise ArgumentError(
                explain(f"{self.name!r}.pop", expected="a layer to take off", got="a model without any", fix="add one")
            )
        last = self._layers.pop()
        if self._output is not None and self._output.node is not None:
            self._output = self._output.node.parents[0]
        return last

    @property
    def layers(self) -> list[Layer]:
        """The layers, in order."""
        return self._layers

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers with their paths."""
        return ((f"layers/{at}", layer) for at, layer in enumerate(self._layers))

    def call(self, x: Any) -> Any:
        """Run the layers one after the other.

        Args:
            x: the input.

        Returns:
            The output of the last layer.
        """
        self._check_promise(x)
        for layer in self._layers:
            x = layer._form_call(x, (), None, {})
        return x

    def _ragged_rank(self, key: int | str) -> int | None:
        return super()._ragged_rank(key) if self._input is None else _varying(self._input.shape[1:], self._input.dtype)

    def _wanted(self) -> Wanted:
        names = () if self._input is None else (self._input.name,)
        return super()._wanted()._replace(inputs=names, ninputs=1)

    def decide(self, y: Any) -> Any:
        """As the last layer does.

        Args:
            y: what `call` gave.

        Returns:
            What the model says.
        """
        return self._layers[-1].decide(y) if self._layers else y

    @property
    def output_names(self) -> list[str] | None:
        """The name of the last layer; None before there is one."""
        return [self._layers[-1].name] if self._layers else None

    def _check_promise(self, x: Any) -> None:
        if self._input is not None:
            _check_input(self, self._input, x)

    def _standins(self) -> Any:
        return self._input.standin if self._input is not None else super()._standins()

    def get_config(self) -> dict[str, Any]:
        """The layers' configs.

        Returns:
            A dict that JSON can hold.
        """
        first = [] if self._input is None else [saving.input_config(self._input)]
        return {"name": self.name, "layers": first + saving.written(self)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Sequential:
        """Make a model of what `get_config` gave.

        Args:
            config: name and layers.

        Returns:
            A new model.
        """
        return cls(saving.read(config["layers"]), name=config.get("name"))


class Functional(Model):
    """What `Model(inputs, outputs)` makes: a graph of layer calls.

    Args:
        inputs: a symbol made by `Input`, or a list, tuple or dict of them.
        outputs: a symbol, or a list, tuple or dict of them.
        name: for summaries and errors.
    """

    def __init__(self, inputs: Any, outputs: Any, *, name: str | None = None, trainable: bool = True) -> None:
        super().__init__(name=name, trainable=trainable)
        for what, tree in (("inputs", inputs), ("outputs", outputs)):
            if not graph.symbols_in(tree):
                raise DTypeError(
                    explain(
                        f"Model({what}=...)",
                        expected="symbols",
                        got=repr(tree),
                        fix="x = Input(shape=(None, 16)); y = layer(x); Model(x, y)",
                    )
                )
        self.inputs = graph.symbols_in(inputs)
        self.outputs = graph.symbols_in(outputs)
        self._input_tree = inputs
        self._output_tree = outputs
        self._nodes = graph.nodes_between(self.inputs, self.outputs)
        self._done = graph.last_reads(self._nodes, self.outputs)
        self._layers: list[Layer] = graph.layers_in(self._nodes, self.outputs)
        self.built = True
        self.claim_layers()

    @property
    def input(self) -> Any:
        """The inputs as they were given: one symbol, or a list or dict of them."""
        return self._input_tree

    @property
    def output(self) -> Any:
        """The outputs as they were given, to go on from in another model."""
        return self._output_tree

    @property
    def layers(self) -> list[Layer]:
        """The layers, those farthest from the outputs first, as in Keras."""
        return self._layers

    def children(self) -> Iterator[tuple[str, Layer]]:
        """The layers with their paths."""
        return ((f"layers/{at}", layer) for at, layer in enumerate(self._layers))

    def call(self, x: Any) -> Any:
        """Run the graph.

        Args:
            x: a value for each input: one, or a list, tuple or dict as the inputs are.

        Returns:
            The outputs, in the container that they were given in.
        """
        given = self._matched(x)
        values: dict[int, Any] = {}
        for symbol, value in zip(self.inputs, given, strict=True):
            _check_input(self, symbol, value)
            values[id(symbol)] = value
        for symbol in self.inputs:
            _check_like(self, symbol, values)
        return graph.run(self._nodes, values, self._output_tree, self._done)

    def decide(self, y: Any) -> Any:
        """Each output as the layer does that made it.

        Args:
            y: what `call` gave.

        Returns:
            What the model says, in the same container.
        """
        parts = iter(_leaves(y))

        def decided(symbol: Symbol) -> Any:
            part, maker = next(parts), _maker(symbol)
            return part if maker is None else maker.decide(part)

        return graph.replace(self._output_tree, decided)

    @property
    def output_names(self) -> list[str] | None:
        """Names of the outputs: keys of a dict, else names of the layers that made them."""
        return outputs.names_of(self._output_tree, [symbol.name for symbol in self.outputs])

    def _matched(self, x: Any) -> list[Any]:
        if isinstance(x, dict):
            names = list(self._input_tree) if isinstance(self._input_tree, dict) else [s.name for s in self.inputs]
            missing = [name for name in names if name not in x]
            if missing:
                raise ArgumentError(
                    explain(self.place, expected=f"inputs {names}", got=f"{list(x)}", fix=f"add {missing}")
                )
            return [x[name] for name in names]
        if len(self.inputs) == 1 and not isinstance(x, tuple):
            return [x]
        given = list(x) if isinstance(x, tuple | list) else [x]
        if len(given) != len(self.inputs):
            raise ArgumentError(
                explain(
                    self.place,
                    expected=f"{len(self.inputs)} inputs",
                    got=f"{len(given)}",
                    fix="a list with a value for each Input",
                )
            )
        return given

    def _enter_inputs(self, x: Any, mask: Any) -> tuple[Any, Form]:
        if isinstance(x, list) and len(self.inputs) > 1:
            x = tuple(x)
        elif isinstance(x, tuple) and len(self.inputs) == 1:
            x = x[0] if len(x) == 1 else list(x)
        return super()._enter_inputs(x, mask)

    def _ragged_rank(self, key: int | str) -> int | None:
        if isinstance(key, int):
            symbol = self.inputs[key] if key < len(self.inputs) else None
        elif isinstance(self._input_tree, dict):
            symbol = self._input_tree.get(key)
        else:
            symbol = next((symbol for symbol in self.inputs if symbol.name == key), None)
        return None if symbol is None else _varying(symbol.shape[1:], symbol.dtype)

    def _wanted(self) -> Wanted:
        by_name = isinstance(self._input_tree, dict)
        names = list(self._input_tree) if by_name else [symbol.name for symbol in self.inputs]
        return super()._wanted()._replace(inputs=names, ninputs=len(self.inputs), by_name=by_name)

    def _standins(self) -> Any:
        return graph.replace(self._input_tree, lambda symbol: symbol.standin)

    def get_config(self) -> dict[str, Any]:
        """The layers and how they are connected.

        Returns:
            A dict that JSON can hold.
        """
        return saving.graph_config(self)

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Functional:
        """Make a model of what `get_config` gave.

        Args:
            config: name, layers, nodes.

        Returns:
            A new model.
        """
        return saving.graph_from_config(cls, config)


def _maker(symbol: Symbol) -> Layer | None:
    """The layer that gives this alone, in a model within where that gives several; None for an input and the like."""
    node = symbol.node
    while node is not None and not isinstance(node.outputs, Symbol):
        if not isinstance(node.layer, Functional):
            return None
        at = next(at for at, one in enumerate(graph.symbols_in(node.outputs)) if one is symbol)
        symbol = node.layer.outputs[at]
        node = symbol.node
    return None if node is None else node.layer


def _varying(shape: tuple[int | None, ...], dtype: str) -> int | None:
    """How many axes of a row vary, where an Input says so; None where lists show it by themselves."""
    if len(shape) < 2:
        return None
    if shape[1] is None:
        return 2
    # Of whole numbers they may be sentences padded to one length; so may rows of a fixed number of them.
    return 1 if shape[0] is None and dtype.startswith("float") else None


def _mask_of(mask: Any, key: Any, inputs: Any) -> Any:
    """The mask of one of several inputs: there may be one for each, None where an input has none."""
    if isinstance(mask, dict) and isinstance(inputs, dict):
        return mask.get(key)
    each = isinstance(mask, list | tuple) and all(one is None or hasattr(one, "shape") for one in mask)
    return mask[key] if each and isinstance(inputs, list | tuple) and len(mask) == len(inputs) else mask


def _form_of_rows(entered: list[tuple[Any, Form]]) -> Form:
    """The form of the first input with rows, else of the first."""
    return next((form for value, form in entered if isinstance(value, Ragged)), entered[0][1])


def _holds_ragged(x: Any) -> bool:
    if isinstance(x, dict):
        return any(isinstance(v, Ragged) for v in x.values())
    return isinstance(x, Ragged) or (isinstance(x, tuple | list) and any(isinstance(v, Ragged) for v in x))


def _leaves(y: Any) -> list[Any]:
    """The values in nested lists, tuples and dicts, in order."""
    if isinstance(y, dict | list | tuple):
        return [leaf for part in (y.values() if isinstance(y, dict) else y) for leaf in _leaves(part)]
    return [y]


def _check_input(model: Model, symbol: Symbol, value: Any) -> None:
    """Compare what came with what the Input said."""
    shape = value.shape if isinstance(value, Ragged) else tuple(value.shape)
    said = symbol.shape
    fits = len(shape) == len(said) and all(
        a is None or b is None or a == b for a, b in zip(shape[1:], said[1:], strict=True)
    )
    if fits and symbol.must_be_ragged and not isinstance(value, Ragged):
        raise ShapeError(
            explain(
                f"input {symbol.name!r} of {model.name!r}",
                expected="rows: a list of sequences, a Ragged, or a padded array with mask=",
                got=f"an array of shape {shape}",
                fix="Ragged.from_padded(x, mask); or leave ragged=True out of the Input",
            )
        )
    if not fits:
        rows = " with rows" if isinstance(value, Ragged) else ""
        raise ShapeError(
            explain(
                f"input {symbol.name!r} of {model.name!r}",
                expected=f"shape {said}",
                got=f"shape {tuple(shape)}{rows}",
                fix="as many features per step as the Input says; a batch axis first",
            )
        )


def _check_like(model: Model, symbol: Symbol, values: dict[int, Array]) -> None:
    if symbol.like is None or id(symbol.like) not in values:
        return
    one, other = values[id(symbol)], values[id(symbol.like)]
    if isinstance(one, Ragged) and isinstance(other, Ragged):
        require_same_rows(f"input {symbol.name!r} of {model.name!r}, like {symbol.like.name!r}", one, other)


def count(array: Any) -> int:
    """Number of entries of an array."""
    return int(np.prod(array.shape))
