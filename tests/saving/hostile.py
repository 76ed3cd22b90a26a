"""Files that nobody writes by accident."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from padless import saving

SEQUENTIAL = {"module": "padless.model", "class_name": "Sequential"}


def zips(path: Path) -> Iterator[tuple[str, str]]:
    """Write one archive after the other; gives what is wrong with it, and what the error says."""
    weights = b"\x89HDF\r\n\x1a\n" + bytes(100)

    def write(*entries: tuple[Any, bytes], kind: int = zipfile.ZIP_STORED) -> None:
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, data in entries:
                archive.writestr(name, data)

    def patched(what: bytes, at: int, new: bytes) -> None:
        """Change each header of one kind."""
        data = bytearray(path.read_bytes())
        place = data.find(what)
        while place >= 0:
            data[place + at : place + at + len(new)] = new
            place = data.find(what, place + 4)
        path.write_bytes(data)

    write(("config.json", b"{}"), ("model.weights.h5", bytes(300_000_000)), kind=zipfile.ZIP_DEFLATED)
    yield "bomb", "unpack to 300,000,000"
    for name in ("../config.json", "/etc/passwd", "a/config.json", "config.json/..", "C:\\config.json", "lib.so"):
        write((name, b"{}"))
        yield f"name {name}", "files named metadata.json"
    write(("assets/../../x", b""))
    yield "traversal in assets", "files named metadata.json"
    with zipfile.ZipFile(path, "w") as archive:
        import warnings

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            archive.writestr("config.json", b"{}")
            archive.writestr("config.json", b"[]")
    yield "double", "several times"
    link = zipfile.ZipInfo("config.json")
    link.external_attr = 0o120777 << 16
    write((link, b"/etc/passwd"))
    yield "link", "a link or another special file"
    write(("config.json", b"{}" * 1000), kind=zipfile.ZIP_BZIP2)
    yield "another compression", "compressed in another way"
    write(("config.json", b"{}"))
    patched(b"PK\x01\x02", 8, b"\x01")
    yield "encrypted", "not encrypted"
    write(("config.json", b"{}"), ("model.weights.h5", weights))
    patched(b"PK\x01\x02", 20, (2**31).to_bytes(4, "little") * 2)
    yield "sizes beyond the file", "a size that fits"
    patched(b"PK\x01\x02", 20, (2**20).to_bytes(4, "little") * 2)
    yield "smaller sizes beyond the file", "within its"
    write(("config.json", b"{}"), ("model.weights.h5", weights))
    patched(b"PK\x01\x02", 16, bytes(4))
    yield "another checksum", "a zip archive"
    path.write_bytes(b"PK\x03\x04" + bytes(100))
    yield "no archive", "a zip archive"
    path.write_bytes(b"")
    yield "nothing", "a zip archive"


def configs() -> dict[str, tuple[Any, str]]:
    """Configs of models that a file may claim, and what the error says."""

    def layer(name: str, **config: Any) -> dict[str, Any]:
        return {"module": "padless.layers", "class_name": name, "config": config}

    def model(*layers: Any, features: Any = 3) -> dict[str, Any]:
        first = {"shape": [None, features], "dtype": "float32", "name": "x", "ragged": False}
        one = {"module": None, "class_name": "__input__", "config": first}
        return {**SEQUENTIAL, "config": {"name": "m", "layers": [one, *layers]}}

    deep: Any = []
    for _ in range(500):
        deep = [deep]
    array = {"module": None, "class_name": "__array__"}
    return {
        "deep": (deep, "levels of JSON"),
        "text": ("model", "sound config"),
        "number": (3, "sound config"),
        "none": (None, "sound config"),
        "no layers": ({**SEQUENTIAL, "config": {}}, "sound config"),
        "huge Dense": (model(layer("Dense", units=10**12)), "no more weights"),
        "negative Dense": (model(layer("Dense", units=-3)), "Dense"),
        "text for a number": (model(layer("Dense", units="many")), "expected"),
        "huge Embedding": (model(layer("Embedding", input_dim=10**15, output_dim=10**6)), "no more weights"),
        "huge LSTM": (model(layer("LSTM", units=10**9)), "no more weights"),
        "unknown class": (model(layer("Popen", args="ls")), "classes that padless knows"),
        "another module": ({"module": "os", "class_name": "system", "config": {"command": "ls"}}, "padless knows"),
        "a function of Python": (
            model(layer("Lambda", function={"module": "builtins", "class_name": "__function__",
                                            "config": {"name": "eval"}})), "padless knows",
        ),
        "code": (model(layer("Lambda", function={"class_name": "__lambda__", "config": {"code": "YwAAAA=="}})),
                 "expected a function"),
        "a layer alone": (layer("Dense", units=2), "a model"),
        "objects in an array": ({**array, "config": {"value": [1], "dtype": "O"}}, "numbers or texts"),
        "wide texts": ({**array, "config": {"value": [b"a"[0]], "dtype": "S2000000000"}}, "numbers or texts"),
        "a ring of calls": (
            {"module": "padless.model", "class_name": "Functional", "config": {
                "name": "m", "inputs": [], "layers": [layer("Dense", units=2)],
                "calls": [{"layer": 0, "args": [{"__symbol__": [0, 0]}], "kwargs": {}}],
                "input_tree": [], "output_tree": {"__symbol__": [0, 0]}}}, "sound config",
        ),
    }  # fmt: skip


def hdf5_files() -> dict[str, tuple[Callable[[Any], Any], str]]:
    """What makes the content of an HDF5 file that h5py opened, and what the error says."""
    import h5py

    def virtual(file: Any) -> None:
        layout = h5py.VirtualLayout((4,), "f4")
        layout[:] = h5py.VirtualSource("/tmp/other.h5", "data", (4,))
        file.create_virtual_dataset("a/vars/0", layout)

    def deep(file: Any) -> None:
        group = file
        for _ in range(150):
            group = group.create_group("a")

    def put(**arguments: Any) -> Callable[[Any], Any]:
        return lambda file: file.create_dataset("a/vars/0", **arguments)

    def named(name: str, value: Any) -> Callable[[Any], Any]:
        def fill(file: Any) -> None:
            file["a/vars/0"] = np.ones(2, np.float32)
            file[name] = file["a"] if value == "ring" else value

        return fill

    return {
        "soft link": (named("a/vars/1", h5py.SoftLink("/a/vars/0")), "soft link"),
        "external link": (named("a/vars/1", h5py.ExternalLink("/etc/passwd", "x")), "another file"),
        "ring": (named("a/b", "ring"), "another link"),
        "data in another file": (put(shape=(10,), dtype="u1", external=[("/etc/passwd", 0, 10)]), "another one"),
        "virtual": (virtual, "view of other files"),
        "huge": (put(shape=(10**9, 10**6), dtype="f4"), "all bytes are there"),
        "huge, by chunks": (put(shape=(10**6, 10**5), dtype="f4", chunks=(100, 100)), "in chunks"),
        "compressed": (put(data=np.zeros((99, 99)), compression="gzip"), "compressed"),
        "texts": (named("a/vars/1", "text"), "texts"),
        "lists": (put(shape=(3,), dtype=h5py.vlen_dtype("f4")), "texts or lists"),
        "references": (put(shape=(3,), dtype=h5py.ref_dtype), "references"),
        "records": (put(data=np.zeros(3, [("a", "f4")])), "records"),
        "complex": (put(data=np.ones(1, "c8")), "records"),
        "pairs of bytes": (put(data=np.zeros(3, "V2")), "pairs of bytes"),
        "bytes": (put(data=np.zeros(3, "V3")), "bytes"),
        "a dtype": (named("a/vars/1", np.dtype("f4")), "something else"),
        "empty": (named("a/vars/1", h5py.Empty("f4")), "something else"),
        "a gap": (named("a/vars/2", np.ones(1)), "named '0', '1'"),
        "elsewhere": (named("a/0", np.ones(1)), "groups named 'vars'"),
        "deep": (deep, "within each other"),
    }


def with_config(path: Path, config: Any) -> None:
    """A model's file whose config says something else."""
    saving.write_arrays(
        path, {"layers/0/kernel": np.ones((3, 2), np.float32)}, {"format": "padless 1", "config": json.dumps(config)}
    )
