"""Which tools are there, which are missing, and the command that gets each."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from dataclasses import dataclass

from bitflow.cores import ARM

__all__ = ["Tool", "examine"]

_PACKAGES = (
    ("torch", "train", "train and import networks"),
    ("scikit-learn", "train", "the digits data set"),
    ("platformio", "firmware", "build firmware"),
    ("scons", "firmware", "build firmware without a registry"),
    ("pyserial", "hil", "talk to boards"),
    ("cobs", "hil", "talk to boards"),
    ("mpremote", "hil", "talk to boards with MicroPython"),
    ("pyelftools", "hil", "build bitflow.mpy"),
    ("ar", "hil", "build bitflow.mpy"),
)
_PROGRAMS = (
    (ARM.compiler, "build firmware", ARM.hint),
    ("qemu-system-arm", "run emulated boards", "sudo apt-get install qemu-system-arm"),
    ("openocd", "flash STM32 boards by ST-LINK", "sudo apt-get install openocd"),
    ("dfu-util", "flash boards by DFU", "sudo apt-get install dfu-util"),
)


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool: what it is for, the version that was found (None: it is missing), and the command that gets it."""

    name: str
    purpose: str
    found: str | None
    get: str


def examine() -> tuple[Tool, ...]:
    """All tools that some command needs."""
    packages = [
        Tool(name, purpose, _package(name), f"pip install 'bitflow-net[{extra}]'") for name, extra, purpose in _PACKAGES
    ]
    programs = [Tool(name, purpose, _program(name), get) for name, purpose, get in _PROGRAMS]
    names = [name for name in (os.environ.get("CC"), "cc", "gcc", "clang") if name and shutil.which(name)]
    host = _program(names[0]) if names else None
    return (
        *packages,
        *programs,
        Tool("C compiler", "run networks on this computer", host, "sudo apt-get install gcc libc6-dev"),
    )


def versions() -> dict[str, str | None]:
    """Of the programs that a run on a board depends on: their names for a report, and the versions found."""
    return {"gcc": _program(ARM.compiler), "qemu": _program("qemu-system-arm")}


def _package(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _program(name: str) -> str | None:
    """First line of --version, or None where there is no such program or it does not start."""
    if shutil.which(name) is None:
        return None
    try:
        said = subprocess.run((name, "--version"), capture_output=True, text=True, check=False, timeout=10).stdout
    except (OSError, subprocess.TimeoutExpired):
        return None
    return said.splitlines()[0] if said else None
