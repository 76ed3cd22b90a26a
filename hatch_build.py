"""Compile the kernels of padless.native into the wheel; without a compiler, the wheel is pure Python and slower."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tempfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Kernels(BuildHookInterface[Any]):
    """Compiles before the wheel is packed; for an editable installation beside the sources."""

    PLUGIN_NAME = "custom"

    def _builder(self) -> Any:
        path = Path(self.root) / "src" / "padless" / "native" / "build.py"
        spec = spec_from_file_location("padless_native_build", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    def dependencies(self) -> list[str]:
        """Packages that the compiler comes in."""
        return list(self._builder().requirements()) if self.target_name == "wheel" else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile."""
        build = self._builder()
        if self.target_name != "wheel" or not build.wanted():
            return
        in_place = version == "editable"
        self._made = tempfile.TemporaryDirectory()
        try:
            library = build.compile_to(build.SOURCES if in_place else Path(self._made.name))
        except (OSError, subprocess.CalledProcessError) as error:
            # Whoever only wants to install it shall not be stopped: everything works without, more slowly.
            print(f"padless: kernels were not compiled: {getattr(error, 'stderr', None) or error}", file=sys.stderr)
            return
        if in_place:
            return
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data.update(pure_python=False, tag=f"py3-none-{platform}")
        build_data["force_include"][str(library)] = f"padless/native/{build.LIBRARY}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Throw the compiled copy away: it is in the wheel."""
        if hasattr(self, "_made"):
            self._made.cleanup()
