"""The command line: `python -m padless`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
    _add_audit(commands)
    demo = "train a classifier of news articles on this machine (--help lists its options)"
    commands.add_parser("demo", help=demo, add_help=False)
    return parser


def _add_audit(commands: Any) -> None:
    about = "say whether padding changes the answers of a Keras or padless model, where it gets in, and why"
    audit = commands.add_parser(
        "audit",
        help=about,
        description=f"{about[0].upper()}{about[1:]}. Nothing in the file is executed.",
        epilog="Exit status: 0 clean, 1 padding changes answers, 2 the model could not be audited.",
    )
    audit.add_argument("model", metavar="MODEL", type=Path, help="a .keras file, or a file of padless")
    data = "rows to ask about: .parquet with lists, .npz with padded arrays (default: random numbers)"
    audit.add_argument("--data", type=Path, metavar="FILE", help=data)
    audit.add_argument("--column", help="which column of the data to read, for a model with one input")
    side = "where your rows are padded, if never on the other side (default: ask about both)"
    audit.add_argument("--side", choices=("right", "left", "both"), default="both", help=side)
    audit.add_argument("--html", type=Path, metavar="FILE", help="write the report as a page, with a picture")
    audit.add_argument("--json", action="store_true", help="print the report as JSON")
    alone = "do not turn a Keras model into one of padless, nor measure both"
    audit.add_argument("--no-compare", action="store_true", help=alone)


def _audit(options: argparse.Namespace) -> int:
    from padless.auditing import audit
    from padless.auditing.data_files import read_data

    data = None if options.data is None else read_data(options.data, options.column)
    sides = ("right", "left") if options.side == "both" else (options.side,)
    report = audit(options.model, data, sides=sides, compare=not options.no_compare)
    if options.html is not None:
        report.to_html(options.html)
    with _reader_may_leave():
        if options.json:
            print(json.dumps(report.to_dict(), indent=2))
        else:
            report.print()
    return 0 if report.ok else 1


@contextmanager
def _reader_may_leave() -> Iterator[None]:
    """`| head` has read enough: no error, and Python shall not complain of it when it ends."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _inspect(options: argparse.Namespace) -> int:
    from padless.data.inspection import inspect
    from padless.data.report import show

    # What was asked for comes first: max_tokens is suggested by it.
    sizes = (options.batch_size, 32)
    found = inspect(options.data, options.column, tokens=options.tokens, batch_size=sizes)
    if options.plot is not None:
        found.plot(options.plot)
    with _reader_may_leave():
        if options.json:
            print(json.dumps(found.to_dict(), indent=2))
        else:
            show(found)
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: of the command line; None for those of this process.

    Returns:
        0; 1 where an audit found that padding changes answers; 2 where the arguments, the data or the model are wrong,
        which is said on stderr.
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
        return {"inspect": _inspect, "audit": _audit}[options.command](options)
    except PadlessError as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
