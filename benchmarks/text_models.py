"""Real words per second in training on texts of unequal length: padless, Keras, PyTorch padded.

How it measures is in benchmarks/README.md. From the root of the repository: `./run bench`, or
`python -m benchmarks.text_models`; `--backend jax` compares padless and Keras on JAX.
"""

from __future__ import annotations

import argparse
import os
import sys
import warnings

MODELS = ("bilstm", "conv", "encoder")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Real words per second in training: padless, Keras, PyTorch.")
    parser.add_argument("--backend", choices=("torch", "jax"), default="torch", help="of padless and Keras")
    parser.add_argument("--models", nargs="+", choices=MODELS, help="default: all; with --quick: conv")
    parser.add_argument("--quick", action="store_true", help="two batches, two repeats: only to see whether it works")
    parser.add_argument("--batches", type=int, help="of an epoch (default 10; 66 are all articles)")
    parser.add_argument("--turns", type=int, help="of each contestant with everything compiled (default 5)")
    parser.add_argument("--first-epochs", type=int, help="new processes that train from nothing, on JAX (default 5)")
    parser.add_argument("--only", nargs="+", metavar="CONTESTANT", help="those named like this (default: all)")
    parser.add_argument("--threads", type=int, help="threads of torch (default: torch's own choice)")
    parser.add_argument("--no-log", action="store_true", help="do not append the results to benchmarks/LOG.md")
    parser.add_argument("--first-epoch-of", help=argparse.SUPPRESS)  # what a new process is asked for
    options = parser.parse_args()
    if options.threads and options.backend == "jax":
        parser.error("--threads: JAX takes all cores it is given; give it fewer with taskset")
    if options.turns == 0 and (options.backend == "torch" or options.first_epochs == 0):
        parser.error("--turns 0 leaves only first epochs to measure, and there are none")
    options.models = options.models or (("conv",) if options.quick else MODELS)
    options.batches = options.batches or (2 if options.quick else 10)
    return options


def main() -> None:
    options = parsed()
    os.environ["KERAS_BACKEND"] = options.backend  # read when keras is imported, which contest does
    # Keras says once per layer that the mask is lost; the comparison of losses shows it.
    warnings.filterwarnings("ignore", message=".*mask.*")
    from benchmarks import contest

    if options.first_epoch_of:
        print(contest.first_epoch(options.backend, options.models[0], options.batches, options.first_epoch_of))
        return
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    repeats = options.turns if options.turns is not None else 2 if options.quick else 5
    first_epochs = 0 if options.backend == "torch" else 1 if options.quick else 5
    if options.first_epochs is not None and options.backend == "jax":
        first_epochs = options.first_epochs
    plan = contest.Plan(options.backend, options.batches, repeats, first_epochs, options.only)
    line, results = contest.run(plan, options.models)
    if not options.no_log:
        contest.log(line, results)


if __name__ == "__main__":
    sys.exit(main())
