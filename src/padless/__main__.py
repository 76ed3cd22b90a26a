"""The command line: `python -m padless`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import padless
from padless.errors import PadlessError


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m padless", description="Deep learning with the Keras API for sequences of unequal length."
    )
    parser.add_argument("--version", action="version", version=f"padless {padless.__version__}")
    commands = parser.add_subparsers(title="commands", dest="command", metavar="COMMAND")
    about = "say how long the rows of a file are, what padding them would cost, and which max_tokens suits them"
    inspect = commands.add_parser("inspect", help=about, description=f"{about[0].upper()}{about[1:]}.")
    data = "Parquet, JSON lines, CSV, or a folder of these or of texts; of a single .txt, each line is a row"
    inspect.add_argument("data", metavar="DATA", type=Path, help=data)
    inspect.add_argument("--column", help="which to read (default: the only one that holds lists or texts)")
    words = "what to count in texts: words, as TextVectorization splits them (default), or characters"
    inspect.add_argument("--tokens", choices=("word", "char"), default="word", help=words)
    size = "rows of a padded batch to compare with, beside 32, and by which max_tokens is suggested (default 32)"
    inspect.add_argument("--batch-size", type=int, default=32, metavar="N", help=size)
    inspect.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture, too: .png, .svg, .pdf")
    inspect.add_argument("--json", action="store_true", help="print the numbers as JSON")
    demo = "train a classifier of news articles on this machine (--help lists its options)"
    commands.add_parser("demo", help=demo, add_help=False)
    return parser


def _inspect(options: argparse.Namespace) -> None:
    from padless.data.inspection import inspect
    from padless.data.report import show

    # What was asked for comes first: max_tokens is suggested by it.
    sizes = (options.batch_size, 32)
    found = inspect(options.data, options.column, tokens=options.tokens, batch_size=sizes)
    if options.plot is not None:
        found.plot(options.plot)
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        show(found)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; None for those of this process.

    Returns:
        0; 2 where the arguments or the data are wrong, which is said on stderr.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser()
    if not given:
        parser.print_help()
        return 0
    options, rest = parser.parse_known_args(given)
    if options.command == "demo":
        from padless.demo import main as run_demo

        return run_demo(rest)
    if rest:
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    try:
        _inspect(options)
        sys.stdout.flush()
    except PadlessError as error:
        print(error, file=sys.stderr)
        return 2
    except BrokenPipeError:  # `| head` has read enough; nor shall Python complain when it ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
