"""`padless.audit`: open a model, ask it, and say what came of it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from padless.auditing.comparison import Comparison, compare_with_padless
from padless.auditing.findings import Examination, Outcome
from padless.auditing.foreign import told
from padless.auditing.keras_side import KerasSubject
from padless.auditing.padless_side import PadlessSubject
from padless.auditing.picture import drawing_of
from padless.auditing.probes import LENGTHS, Batch, Rows, given, invented
from padless.auditing.report import AuditReport
from padless.errors import ArgumentError, DTypeError, PadlessError, explain
from padless.model import Model

_ROWS, _SPEED_ROWS = 12, 32
_SIDES = ("right", "left")
_QUIET = 2.0

Subject = KerasSubject | PadlessSubject


def audit(
    model: Any,
    data: Any = None,
    *,
    sides: Sequence[str] = _SIDES,
    compare: bool = True,
    verbose: bool | None = None,
) -> AuditReport:
    """Say whether padding changes the answers of a model: where it gets in, why, and by how much.

    The model is asked about a few rows: each alone, in a batch, padded to T steps and to more, on the right and on the
    left, in another order, with other numbers in masked steps, in training. For a Keras model what every layer put out
    is compared, and the masks on the way, to find the layer where the mask is lost; then the same model in padless is
    asked the same. Of a padless model the same questions show that rows are independent. The model is left as it was.

    Args:
        model: a `.keras` file, of which nothing is executed; a file of padless; a live Keras or padless model.
        data: rows to ask about: a list of sequences, a Ragged, a padded array; a dict of them by name for several
            inputs. None makes rows of random numbers.
        sides: where padding may be: ("right", "left"), or one of them if your rows never are padded on the other.
        compare: whether to turn a Keras model into one of padless, and to measure both.
        verbose: whether to say on stderr what is being done, when it takes more than two seconds; None where that is a
            terminal.

    Returns:
        The report: `.ok`, `.verdict`, `.findings`, `.print()`, `.to_html(path)`, `.to_dict()`.

    Raises:
        DataError: when a file is broken or holds code, or data do not fit the model.
        ArgumentError: when nothing can be asked: no input has rows of unequal length, or it is not known.
        DTypeError: when the model is none, or reads texts.
        BackendError: for a Keras model without Keras.

    Example:
        >>> import padless
        >>> from padless import layers
        >>> model = padless.Sequential([padless.Input((None, 4)), layers.LSTM(8), layers.Dense(2)])
        >>> report = padless.audit(model)
        >>> report.ok, report.findings
        (True, [])
    """
    wrong = [side for side in sides if side not in _SIDES] or ([] if "right" in sides or "left" in sides else ["none"])
    if wrong or isinstance(sides, str):
        got, fix = repr(sides), 'sides=("right",)'
        raise ArgumentError(explain("audit", expected='sides of "right" and "left"', got=got, fix=fix))
    with _progress(verbose) as progress:
        progress("opening the model")
        opened, source = _opened(model)
        subject: Subject = PadlessSubject(opened, data) if isinstance(opened, Model) else KerasSubject(opened, data)
        outcome, rows = _examined(subject, data, sides, progress)
        comparison: Comparison | None = None
        if compare and isinstance(subject, KerasSubject):
            speed = None if data is None else given(subject.slots, data, _SPEED_ROWS)
            comparison = compare_with_padless(subject, outcome, rows, speed, progress)
        progress("drawing")
        return AuditReport(
            outcome,
            name=str(opened.name),
            source=source,
            library=subject.library,
            invented=data is None,
            comparison=comparison,
            drawing=drawing_of(outcome, subject.slots, str(opened.name), subject.carries),
        )


def _opened(model: Any) -> tuple[Any, str]:
    """The model, and where it came from."""
    if isinstance(model, str | os.PathLike):
        path = Path(model)
        if path.suffix == ".keras" or path.is_dir():
            from padless.auditing.keras_files import open_keras_file

            return open_keras_file(path), path.name
        if path.suffix in (".h5", ".hdf5"):
            got, fix = path.name, "model.save('model.keras') in Keras 3, or audit the live model"
            raise ArgumentError(explain("audit", expected="a .keras file", got=got, fix=fix))
        from padless.saving import load_model

        try:
            return load_model(path), path.name
        except OSError as error:
            got, fix = error.strerror or str(error), "check its name, and that it may be read"
            raise ArgumentError(explain(f"file {path}", expected="a model", got=got, fix=fix)) from None
    if isinstance(model, Model):
        return model, "a live model"
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(model, keras.Model):
        return model, "a live model"
    got, fix = type(model).__name__, "a Model; for a layer of padless: padless.testing.check_layer(layer)"
    raise DTypeError(explain("audit", expected="a model of Keras or padless, or a file", got=got, fix=fix))


def _examined(
    subject: Subject, data: Any, sides: Sequence[str], progress: Callable[[str], None]
) -> tuple[Outcome, Rows]:
    """Ask about rows that the model can read alone: longer ones, where the first are too short for it."""
    if data is not None:
        rows = given(subject.slots, data, _ROWS)
        _require_readable(subject, rows)
        return _asked(subject, rows, sides, progress), rows
    last: PadlessError | None = None
    for times in (1, 2, 4, 8):
        lengths = [times * n if subject.fixed is None else max(1, n * subject.fixed // 20) for n in LENGTHS]
        rows = invented(subject.slots, lengths)
        try:
            _require_readable(subject, rows)
        except PadlessError as error:
            last = error
        else:
            return _asked(subject, rows, sides, progress), rows
    assert last is not None
    raise last


def _asked(subject: Subject, rows: Rows, sides: Sequence[str], progress: Callable[[str], None]) -> Outcome:
    try:
        return Examination(subject, rows, sides, progress).run()
    except PadlessError:
        raise
    except Exception as error:
        fix = "without a mask on what goes into the layer it names, or with data= that it can read"
        expected = "a model that can read padded rows as it reads each alone"
        raise ArgumentError(explain("audit", expected=expected, got=told(error), fix=fix)) from error


def _require_readable(subject: Subject, rows: Rows) -> None:
    shortest = min(range(len(rows.lengths)), key=lambda at: rows.lengths[at])
    length = rows.lengths[shortest]
    try:
        subject.run(Batch(rows.take([shortest]), subject.fixed or length))
    except Exception as error:
        got = f"for {length} steps, {told(error)}"
        fix = "data= with rows as the model was made for"
        raise ArgumentError(explain("audit", expected="a model that can read a row alone", got=got, fix=fix)) from error


@contextmanager
def _progress(verbose: bool | None) -> Iterator[Callable[[str], None]]:
    """Says what is being done, once it has taken a while."""
    shown = sys.stderr.isatty() if verbose is None else verbose
    ends, began, said = "\r" if sys.stderr.isatty() else "\n", time.monotonic(), [0]

    def progress(text: str) -> None:
        if shown and time.monotonic() - began > _QUIET:
            line = f"audit: {text}"
            print(f"{line:<{said[0]}}", end=ends, file=sys.stderr, flush=True)
            said[0] = len(line)

    try:
        yield progress
    finally:
        if said[0] and ends == "\r":
            print(" " * said[0], end="\r", file=sys.stderr, flush=True)
