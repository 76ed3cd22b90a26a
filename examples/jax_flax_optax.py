"""Train a padless model in a loop of Flax and optax: one state, one jitted step, no padding.

The model classifies the BBC articles of bbc_news.py. `model.as_function()` makes a pure function of it, which a Flax
TrainState holds beside the weights and the state of optax; `apply.batch` makes batches that compile once for each size.

Run it with `python examples/jax_flax_optax.py` where padless[jax,demo], torch, flax and optax are installed.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from bbc_news import load_articles

import padless
from padless import Sequential, layers
from padless.preprocessing.text import Tokenizer

try:
    import optax
    from flax.training.train_state import TrainState
except ImportError as missing:
    sys.exit(f"{missing.name} is not installed: pip install 'optax>=0.2.8,<0.3' 'flax>=0.12.8,<0.13'")

BATCH = 32


def make_model(words: int, classes: int) -> Sequential:
    padless.utils.set_random_seed(1)
    return Sequential(
        [
            padless.Input((None,), dtype="int32"),
            layers.Embedding(words, 64, mask_zero=True),
            layers.Dropout(0.2),
            layers.Conv1D(64, 3, padding="same", activation="relu"),
            layers.GlobalMaxPooling1D(),
            layers.Dense(classes),
        ]
    )


@jax.jit
def training_step(state: TrainState, batch: Any) -> tuple[TrainState, jax.Array]:
    """One step of optax; compiled once for each size of a batch."""

    def loss(params: Any) -> jax.Array:
        scores = state.apply_fn(params, batch, training=True, seed=state.step)
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, batch.y)
        # Rows that only fill the batch up to its size are not live, and count for nothing.
        return jnp.sum(losses * batch.live) / jnp.sum(batch.live)

    value, gradients = jax.value_and_grad(loss)(state.params)
    return state.apply_gradients(grads=gradients), value


@jax.jit
def scores_of(state: TrainState, batch: Any) -> jax.Array:
    return state.apply_fn(state.params, batch)


def batches(apply: Any, articles: list[list[int]], classes: np.ndarray, order: np.ndarray) -> Iterator[Any]:
    for at in range(0, len(order), BATCH):
        rows = order[at : at + BATCH]
        yield apply.batch([articles[i] for i in rows], classes[rows])


def accuracy(apply: Any, state: TrainState, articles: list[list[int]], classes: np.ndarray, rows: np.ndarray) -> float:
    parts = [batch.cut(scores_of(state, batch)) for batch in batches(apply, articles, classes, rows)]
    return float((np.concatenate(parts).argmax(axis=1) == classes[rows]).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description="Train a padless model with Flax and optax.")
    parser.add_argument("--epochs", type=int, default=3, help="times through the articles (default 3)")
    parser.add_argument("--words", type=int, default=20_000, help="size of the vocabulary (default 20000)")
    parser.add_argument("--articles", type=int, help="use only so many articles, for a quick look")
    options = parser.parse_args()

    padless.set_backend("jax")
    texts, classes, names = load_articles()
    order = np.random.default_rng(0).permutation(len(texts))[: options.articles]
    held_out, training = order[: len(order) // 5], order[len(order) // 5 :]
    tokenizer = Tokenizer(num_words=options.words)
    tokenizer.fit_on_texts([texts[i] for i in training])
    articles = tokenizer.texts_to_sequences(texts)  # a list of lists of ids, each as long as its article

    model = make_model(options.words, len(names))
    params, apply = model.as_function()
    state = TrainState.create(apply_fn=apply, params=params, tx=optax.adam(3e-3))
    start, shuffling = time.perf_counter(), np.random.default_rng(1)
    for epoch in range(options.epochs):
        losses = []
        for batch in batches(apply, articles, classes, shuffling.permutation(training)):
            state, loss = training_step(state, batch)
            losses.append(loss)
        print(f"Epoch {epoch + 1}: loss {np.mean(losses):.4f}, {time.perf_counter() - start:.0f} s so far", flush=True)
    print(f"{training_step._cache_size()} sizes of batches were compiled for {state.step} steps.")

    right = accuracy(apply, state, articles, classes, held_out)
    majority = np.bincount(classes[training]).argmax()
    always = (classes[held_out] == majority).mean()
    print(f"{right:.1%} of {len(held_out)} held-out articles right; always {names[majority]}: {always:.1%}.")

    # The trained weights go back into the model, which predicts the same.
    model.load_state_dict({**state.params, **apply.states})
    scores = model.predict([articles[i] for i in held_out], verbose=0)
    assert abs((scores.argmax(axis=1) == classes[held_out]).mean() - right) < 0.01


if __name__ == "__main__":
    main()
