"""Runs PlatformIO: offline where a board needs nothing of its registry, without telemetry and update checks."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from bitflow import resources
from bitflow.cores import Toolchain
from bitflow.errors import BitflowError, CheckFailed, MissingError

__all__ = ["command", "core_folder", "firmware", "program_of", "run", "variables"]


_QUIET = {
    "PLATFORMIO_SETTING_ENABLE_TELEMETRY": "no",
    "PLATFORMIO_SETTING_CHECK_PLATFORMIO_INTERVAL": "36500",  # days
    "PLATFORMIO_SETTING_CHECK_PRUNE_SYSTEM_THRESHOLD": "0",
    "PLATFORMIO_DISABLE_PROGRESSBAR": "yes",
    "PLATFORMIO_NO_ANSI": "yes",
}
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")


def core_folder() -> Path:
    """PlatformIO's own folder, in the user's cache."""
    return resources.cache_folder() / "platformio"


def program_of(toolchain: Toolchain, name: str) -> str:
    """A program of a toolchain, as "size": on PATH, or in the package that PlatformIO fetched."""
    program = f"{toolchain.prefix}{name}"
    found = sorted((core_folder() / "packages").glob(f"*/bin/{program}")) if shutil.which(program) is None else []
    return str(found[0]) if found else program


def command(folder: Path, environment: str) -> list[str]:
    """The command that builds an environment of a project."""
    return [sys.executable, "-m", "platformio", "run", "-d", str(folder), "-e", environment]


def firmware(folder: Path, environment: str) -> Path:
    """What that builds."""
    return folder / ".pio" / "build" / environment / "firmware.elf"


def variables(folder: Path) -> dict[str, str]:
    """The process environment for commands of a project: builds and uploads find the same packages."""
    # Each project keeps its own link to the platform folder inside it: a common one would serve the first project only.
    platforms = folder / ".pio" / "platforms"
    own = {"PLATFORMIO_CORE_DIR": str(core_folder()), "PLATFORMIO_PLATFORMS_DIR": str(platforms)}
    return {**os.environ, **_QUIET, **own}


def run(folder: Path, environment: str, log: Path, toolchain: Toolchain | None) -> None:
    """Build. log: where the output goes. toolchain: on PATH; None: PlatformIO brings its own.

    What was built of other sources in the folder is used again where it is equal. Raises MissingError without
    PlatformIO, compiler or registry, CheckFailed where the program does not fit the memories, BitflowError with the
    first error otherwise.
    """
    if importlib.util.find_spec("platformio") is None:
        raise MissingError("platformio is not installed: pip install 'bitflow-net[firmware]'")
    if toolchain is not None and shutil.which(toolchain.compiler) is None:
        raise MissingError(f"{toolchain.compiler} is missing: {toolchain.hint}")
    _provide_scons(core_folder())
    with log.open("w") as output:
        done = subprocess.run(
            [*command(folder, environment), *(["--disable-auto-clean"] if toolchain else [])],
            env=variables(folder),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise _failure(log)


def _failure(log: Path) -> BitflowError:
    lines = log.read_text(errors="replace").splitlines()
    if any("HTTPClientError" in line for line in lines):
        return MissingError(f"PlatformIO cannot fetch what this board needs: its registry does not answer (see {log})")
    for line in lines:
        if match := _OVERFLOW.search(line):
            return CheckFailed(f"the firmware does not fit: {match[2]} bytes too many for {match[1]} (see {log})")
    first = next((line for line in lines if re.search(r"\b[Ee]rror\b", line)), lines[-1] if lines else "no output")
    return BitflowError(f"PlatformIO failed: {first.strip()} (see {log})")


def _provide_scons(core: Path) -> None:
    """Make SCons of the Python environment PlatformIO's own package, so that it asks no registry for it.

    Nothing is done where the package is there, or where the environment has no SCons: then PlatformIO fetches it.
    """
    package = core / "packages" / "tool-scons"
    if package.exists() or importlib.util.find_spec("SCons") is None:
        return
    from platformio.dependencies import get_core_dependencies

    version = get_core_dependencies()["tool-scons"].lstrip("~^=")
    spec = {"owner": "platformio", "id": None, "name": "tool-scons", "requirements": None, "uri": None}
    files = {
        "package.json": json.dumps({"name": "tool-scons", "version": version, "description": "SCons of Python"}),
        "scons.py": "from SCons.Script import main\n\nmain()\n",
        ".piopm": json.dumps({"type": "tool", "name": "tool-scons", "version": version, "spec": spec}),
    }
    fresh = package.with_name(f"tool-scons.{os.getpid()}.new")
    fresh.mkdir(parents=True)
    for name, text in files.items():
        (fresh / name).write_text(text)
    try:
        fresh.rename(package)
    except OSError:  # another process was faster
        shutil.rmtree(fresh)
