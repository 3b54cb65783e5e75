"""One program at a time on a board: a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from bitflow import resources
from bitflow.errors import DeviceError

__all__ = ["PATIENCE_S", "folder", "held"]

PATIENCE_S = 600.0
"""How long a test waits for a board that another test uses, seconds."""

_LOOK_AGAIN_S = 0.1


def folder() -> Path:
    """The folder of this user's locks."""
    return resources.cache_folder() / "locks"


@contextlib.contextmanager
def held(name: str, patience_s: float = PATIENCE_S, place: Path | None = None) -> Iterator[None]:
    """Hold the lock of a board or port. Raises DeviceError, which names the holder, after patience_s seconds."""
    place = place or folder()
    place.mkdir(parents=True, exist_ok=True)
    # A port is a path or a URL, which cannot be a file name.
    path = place / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.lock"
    end = time.monotonic() + patience_s
    with path.open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except OSError:
                if time.monotonic() >= end:
                    file.seek(0)
                    raise DeviceError(f"{name} is in use by process {file.read().strip() or 'unknown'}") from None
                time.sleep(_LOOK_AGAIN_S)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
