"""Paths of the C library, the firmware project, the board table and the built-in network, in a wheel or a checkout, and
of the user's project and cache.
"""

from __future__ import annotations

from pathlib import Path

import platformdirs

from bitflow.errors import MissingError

__all__ = [
    "PROJECT_FILE",
    "board_table",
    "builtin_model",
    "c_library",
    "cache_folder",
    "firmware",
    "mpy_module",
    "project_folder",
    "templates",
]

PROJECT_FILE = "bitflow.toml"
"""The file that makes a folder a project."""

_PACKAGE = Path(__file__).resolve().parent


def _find(inside_wheel: str, inside_checkout: str) -> Path:
    """A wheel carries the file under bitflow/_resources; an editable install finds it in the checkout."""
    for path in (_PACKAGE / "_resources" / inside_wheel, _PACKAGE.parent.parent / inside_checkout):
        if path.exists():
            return path
    raise MissingError(f"{inside_checkout} is not part of this installation; reinstall bitflow-net")


def c_library() -> Path:
    """The folder of the C library: include/ and src/."""
    return firmware() / "lib" / "bitflow"


def firmware() -> Path:
    """The firmware project: platformio.ini, src/, platform/, lib/."""
    return _find("firmware", "firmware")


def mpy_module() -> Path:
    """The MicroPython module: its C source, its build files, the emulated boards."""
    return _find("mpy_module", "mpy_module")


def board_table() -> Path:
    """boards.toml, the one table of boards."""
    return _find("boards.toml", "hil/boards.toml")


def builtin_model(name: str) -> Path:
    """The `.bfn` that ships as `builtin:NAME`."""
    return _PACKAGE / "builtin" / f"{name}.bfn"


def templates() -> Path:
    """The Jinja2 templates of the code generator."""
    return _PACKAGE / "emit" / "templates"


def project_folder(start: Path | None = None) -> Path | None:
    """The nearest folder with a bitflow.toml, from `start` (or the current folder) upwards; None without one."""
    start = (start or Path.cwd()).resolve()
    return next((folder for folder in (start, *start.parents) if (folder / PROJECT_FILE).is_file()), None)


def cache_folder() -> Path:
    """The user's cache: compiled host engines and whatever else can be made again."""
    return Path(platformdirs.user_cache_dir("bitflow-net", appauthor=False))
