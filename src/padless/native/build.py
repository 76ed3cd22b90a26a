"""Compile the kernels; run when padless is installed, and by hand as `python src/padless/native/build.py`.

It needs nothing but Python and a C compiler: $CC, else cc, gcc or clang, else the one in the PyPI package ziglang,
which the build asks for where there is no other. Nothing of padless is imported here: it may not be installed yet.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path

SOURCES = Path(__file__).parent
# Not ".so" alone: Python would take it for a module.
SUFFIX = {"win32": ".dll", "darwin": ".dylib"}.get(sys.platform, ".so.1")
LIBRARY = f"kernels{SUFFIX}"

# No errno, no traps: libm is not called, and nobody looks at flags. NaN and infinity stay what they are.
_FLAGS = ["-O3", "-std=c11", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast"]
_LEVELS = {
    "x86": {
        "v4": ["-march=x86-64-v4", "-mprefer-vector-width=512", "-DLANES=16"],
        "v3": ["-march=x86-64-v3", "-DLANES=8"],
    },
    "other": {"base": ["-DLANES=4"]},
}


def wanted() -> bool:
    """Whether kernels are to be compiled: not with PADLESS_NATIVE=0."""
    return os.environ.get("PADLESS_NATIVE") != "0"


def compiler() -> list[str] | None:
    """The command of a C compiler; None where there is none."""
    if os.environ.get("CC"):
        return shlex.split(os.environ["CC"])
    for name in ("cc", "gcc", "clang"):
        if shutil.which(name):
            return [name]
    return [sys.executable, "-m", "ziglang", "cc"] if find_spec("ziglang") else None


def requirements() -> list[str]:
    """Packages that must be there before the kernels can be compiled."""
    return ["ziglang>=0.15,<0.18"] if wanted() and compiler() is None else []


def _units() -> list[Path]:
    """The sources that are compiled for each level."""
    return sorted(path for path in SOURCES.glob("*.c") if path.name != "level.c")


def fingerprint() -> str:
    """What the sources are, as a short text."""
    digest = hashlib.sha256()
    for path in sorted([*SOURCES.glob("*.c"), *SOURCES.glob("*.h")]):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:16]


def _flags_of(flags: list[str], command: list[str]) -> list[str]:
    """As this compiler writes them: zig's names of processors have no hyphens."""
    return [flag.replace("x86-64-v", "x86_64_v") for flag in flags] if "ziglang" in command else flags


def compile_to(folder: Path) -> Path:
    """Compile the library.

    Args:
        folder: where to put it; what was there is replaced at once when the new one is whole.

    Returns:
        The file.

    Raises:
        FileNotFoundError: where there is no compiler.
        subprocess.CalledProcessError: when the compiler fails; its output is in `stderr`.
    """
    command = compiler()
    if command is None:
        raise FileNotFoundError("no C compiler: neither $CC nor cc, gcc, clang or the package ziglang")
    family = "x86" if platform.machine().lower() in ("x86_64", "amd64") else "other"
    with tempfile.TemporaryDirectory() as made:
        objects = []

        def one(source: Path, name: str, *flags: str) -> None:
            target = Path(made) / f"{name}.o"
            line = [*command, *_FLAGS, *flags, "-c", str(source), "-o", str(target)]
            subprocess.run(line, check=True, capture_output=True, text=True)
            objects.append(str(target))

        one(SOURCES / "level.c", "level", f'-DSOURCES="{fingerprint()}"')
        for level, flags in _LEVELS[family].items():
            for source in _units():
                named = [f"-DLEVEL={level}", *_flags_of(flags, command)]
                one(source, f"{source.stem}_{level}", *named)
        whole = Path(made) / LIBRARY
        line = [*command, "-shared", *objects, "-o", str(whole)]
        subprocess.run(line, check=True, capture_output=True, text=True)
        folder.mkdir(parents=True, exist_ok=True)
        beside = folder / f".{LIBRARY}.{os.getpid()}"
        shutil.copyfile(whole, beside)
        os.replace(beside, folder / LIBRARY)
    return folder / LIBRARY


if __name__ == "__main__":
    try:
        print(compile_to(SOURCES))
    except subprocess.CalledProcessError as error:
        sys.exit(error.stderr)
