"""One program at a time on a board: a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from bitflow import resources
from bitflow.errors import DeviceError
from bitflow.files import digest, locked, write_atomic

__all__ = ["PATIENCE_S", "folder", "held"]

PATIENCE_S = 600.0
"""How long a test waits for a board that another test uses, seconds."""


def folder() -> Path:
    """The folder of this user's locks."""
    return resources.cache_folder() / "locks"


@contextlib.contextmanager
def held(name: str, patience_s: float = PATIENCE_S, place: Path | None = None) -> Iterator[None]:
    """Hold the lock of a board or port. Raises DeviceError, which names the holder, after patience_s seconds."""
    # A port is a path or a URL, which cannot be a file name.
    path = (place or folder()) / f"{digest(name)[:16]}.lock"
    holder = path.with_suffix(".holder")
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(path, max(patience_s, 0)))
        except TimeoutError:
            who = holder.read_text() if holder.exists() else "unknown"
            raise DeviceError(f"{name} is in use by process {who}") from None
        write_atomic(holder, str(os.getpid()))
        yield
