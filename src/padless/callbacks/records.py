"""Callbacks that hand the logs of each epoch on: to a table in a file, to a server."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import urllib.error
import urllib.parse
import urllib.request
import warnings
from pathlib import Path
from typing import IO, Any

import numpy as np

from padless.callbacks.base import Callback, Logs
from padless.errors import ArgumentError, explain

_SECONDS = 10


class CSVLogger(Callback):
    """Write the logs of each epoch as a row of a CSV file; what is there can be read at any time, after a kill, too.

    Columns are those of the first epoch, in alphabetical order; "NA" stands where an epoch has no such log.

    Args:
        filename: of the file; it begins anew unless append.
        separator: between columns.
        append: whether to go on at the end of a file that exists.

    Example:
        >>> import tempfile, pathlib
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = pathlib.Path(folder) / "log.csv"
        ...     table = CSVLogger(path)
        ...     table.on_train_begin()
        ...     table.on_epoch_end(0, {"loss": 0.5, "val_loss": 0.75})
        ...     table.on_train_end()
        ...     path.read_text().split()
        ['epoch,loss,val_loss', '0,0.5,0.75']
    """

    def __init__(self, filename: Any, separator: str = ",", append: bool = False) -> None:
        super().__init__()
        self.filename, self.separator, self.append = os.fspath(filename), separator, append
        self.columns: list[str] | None = None
        self._file: IO[str] | None = None
        self._size: int | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget an earlier run. The file is opened by the first epoch: `set_state` may still say that it goes on."""
        self._close()
        self.columns = self._size = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Open the file, so that it is there once training goes."""
        self._open()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write a row."""
        logs = logs or {}
        file = self._open()
        write = csv.writer(file, delimiter=self.separator).writerow
        if self.columns is None:
            names = sorted(logs)
            self.columns = names if any(name.startswith("val_") for name in names) else [
                *names, *(f"val_{name}" for name in names)
            ]  # fmt: skip
            if not file.tell():
                write(["epoch", *self.columns])
        write([epoch, *(_cell(logs.get(name, "NA")) for name in self.columns)])
        file.flush()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Close the file."""
        self._close()

    def _open(self) -> IO[str]:
        if self._file is None:
            goes_on = self.append or self._size is not None
            self._file = open(self.filename, "a" if goes_on else "w", newline="", encoding="utf-8")
            if self._size is not None:
                self._file.truncate(min(self._size, Path(self.filename).stat().st_size))
                self._file.seek(0, os.SEEK_END)
        return self._file

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def get_state(self) -> dict[str, Any]:  # noqa: D102
        return {"columns": self.columns, "size": None if self._file is None else self._file.tell()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on behind what had been written; rows of epochs that are trained once more are taken away.

        Args:
            state: as `get_state` gave it.
        """
        self.columns, self._size = state["columns"], state["size"]


def _cell(value: Any) -> Any:
    """A log in a table: a number, or a list as Keras writes it."""
    if isinstance(value, str) or np.ndim(value) == 0:
        return value
    return f'"[{", ".join(map(str, value))}]"'


class RemoteMonitor(Callback):
    """Post the logs of each epoch to a server over HTTP; a warning says when it cannot be reached.

    Args:
        root: address of the server.
        path: behind it.
        field: of the form that holds the JSON text.
        headers: further headers.
        send_as_json: whether to send JSON in place of a form.

    Raises:
        ArgumentError: when root is no address of HTTP.

    Example:
        >>> RemoteMonitor(root="http://localhost:9000").path
        '/publish/epoch/end/'
    """

    def __init__(
        self,
        root: str = "http://localhost:9000",
        path: str = "/publish/epoch/end/",
        field: str = "data",
        headers: dict[str, str] | None = None,
        send_as_json: bool = False,
    ) -> None:
        super().__init__()
        if urllib.parse.urlsplit(root).scheme not in ("http", "https"):
            raise ArgumentError(
                explain(
                    "RemoteMonitor",
                    expected="root of http:// or https://",
                    got=repr(root),
                    fix='"http://localhost:9000"',
                )
            )
        self.root, self.path, self.field = root, path, field
        self.headers, self.send_as_json = headers, send_as_json

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Send the epoch and its logs."""
        text = json.dumps({"epoch": epoch, **(logs or {})})
        if self.send_as_json:
            data, kind = text.encode(), "application/json"
        else:
            data, kind = urllib.parse.urlencode({self.field: text}).encode(), "application/x-www-form-urlencoded"
        request = urllib.request.Request(
            self.root + self.path, data, {"Content-Type": kind, **(self.headers or {})}, method="POST"
        )
        try:
            with contextlib.closing(urllib.request.urlopen(request, timeout=_SECONDS)) as answer:
                answer.read()
        except (urllib.error.URLError, OSError) as wrong:
            warnings.warn(f"RemoteMonitor could not reach {self.root}{self.path}: {wrong}", stacklevel=2)
