"""Reads untrusted files into bounded memory."""

from __future__ import annotations

from pathlib import Path

from bitflow.errors import InputError

__all__ = ["MAX_BYTES", "read_bounded"]

MAX_BYTES = 2**30  # of a file, and of its external data
_PART = 2**20


def read_bounded(path: Path) -> bytes:
    """The bytes of a file. Raises InputError if it cannot be read or is larger than MAX_BYTES.

    Reads in parts, because read(n) allocates n bytes at once, however short the file is.
    """
    parts, size = [], 0
    try:
        with path.open("rb") as file:
            while part := file.read(_PART):
                parts.append(part)
                size += len(part)
                if size > MAX_BYTES:
                    raise InputError(f"{path}: larger than {MAX_BYTES} bytes")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return b"".join(parts)
