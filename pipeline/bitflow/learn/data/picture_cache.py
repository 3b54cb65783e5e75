"""Decoded pictures on disk, so that a data set too large for memory is decoded once, not in every epoch.

A list of pictures at a size has one file in the user's cache, `pictures/KEY`: a seal of 4 bytes for each picture, then
the pixels of each. The file has holes until pictures are written. A picture that finds no room is decoded each time.

A seal is the CRC-32 of the pixels and of the source's size and time of change, and is written last. So a picture that
is half written, or changed since, is never used. Several processes may read and write at a time, since all write the
same bytes. The file is not memory-mapped, so that a full disk is an error and not a signal that ends the process.

`BITFLOW_PICTURE_CACHE` limits the bytes of all files together (default: 64 GiB; 0: no cache). A tenth of the disk is
left free. Files are removed if not used for 30 days, or for one day if another file needs the room.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
import weakref
import zlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from bitflow import resources
from bitflow.errors import InputError

__all__ = ["VARIABLE", "Cache", "source_of"]

VARIABLE = "BITFLOW_PICTURE_CACHE"
_LIMIT = 2**36
_FREE = 10  # 1 / _FREE of the disk stays free
_DAY = 24 * 3600.0
_STALE = 30 * _DAY
_FORMAT = 1


class Cache:
    """Room for `count` pictures uint8 of one shape. Cheap to make: the file is opened on first use."""

    def __init__(self, folder: Path, names: Iterable[str], shape: tuple[int, int, int], count: int) -> None:
        """Another list of pictures, size or version of Pillow has another file.

        folder, names: the pictures, in order.
        """
        key = "\0".join((f"{_FORMAT} {PIL.__version__} {shape}", str(folder.resolve()), *names))
        self._name = hashlib.sha256(os.fsencode(key)).hexdigest()[:32]
        self._shape = shape
        self._nbytes = int(np.prod(shape))
        self._start = -(-4 * count // 4096) * 4096
        self._count = count
        self._file: int | None = None
        self._room = 0  # pictures for which there is room, from the first on

    def __getstate__(self) -> dict[str, object]:
        # A worker opens the file itself.
        return {**self.__dict__, "_file": None}

    def find(self, place: int, source: int) -> npt.NDArray[np.uint8] | None:
        """The picture at `place`; None unless it was decoded from this `source` (see `source_of`)."""
        file = self._opened()
        if file < 0:
            return None
        pixels = np.empty(self._shape, np.uint8)
        try:
            seal = os.pread(file, 4, 4 * place)
            got = os.preadv(file, [pixels.data.cast("B")], self._start + place * self._nbytes) if any(seal) else 0
        except OSError:
            return None
        return pixels if got == self._nbytes and seal == _seal(pixels, source) else None

    def keep(self, place: int, source: int, pixels: npt.NDArray[np.uint8]) -> None:
        """Write a decoded picture, if there is room. Errors of the disk only cost time."""
        file = self._opened()
        if file < 0 or place >= self._room:
            return
        with contextlib.suppress(OSError):
            disk = os.fstatvfs(file)
            if disk.f_bavail * _FREE < disk.f_blocks:
                return
            content = np.ascontiguousarray(pixels)
            if os.pwrite(file, content.data.cast("B"), self._start + place * self._nbytes) == self._nbytes:
                os.pwrite(file, _seal(content, source), 4 * place)

    def _opened(self) -> int:
        """The file's descriptor; -1: there is no cache."""
        if self._file is None:
            limit = _limit()
            self._file = -1
            if limit == 0:
                return -1
            with contextlib.suppress(OSError):
                folder = resources.cache_folder() / "pictures"
                folder.mkdir(parents=True, exist_ok=True)
                left = limit - _make_room(folder, self._name, limit, self._start + self._count * self._nbytes)
                self._room = max(0, left - self._start) // self._nbytes
                if self._room:
                    self._file = os.open(folder / self._name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                    os.utime(folder / self._name)
                    weakref.finalize(self, os.close, self._file)
        return self._file


def source_of(path: Path) -> int:
    """32 bits of a picture file's size and time of change, by which a changed file is noticed.

    Raises OSError.
    """
    found = path.stat()
    return zlib.crc32(f"{found.st_size} {found.st_mtime_ns}".encode())


def _seal(pixels: npt.NDArray[np.uint8], source: int) -> bytes:
    # Four zeros are a hole.
    return (zlib.crc32(pixels.data.cast("B"), source) or 1).to_bytes(4, "little")


def _limit() -> int:
    text = os.environ.get(VARIABLE, str(_LIMIT))
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise InputError(f"{VARIABLE} must be a number of bytes, such as {_LIMIT}, or 0; it is {text!r}")
    return int(text)


def _make_room(folder: Path, name: str, limit: int, need: int) -> int:
    """Remove files that were not used for long, and return the bytes that all files but `name` then take.

    A file that was used today stays: it may be the training part of the run whose test part is opened now.
    """
    found = []
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):  # removed by another process
            facts = path.stat()
            found.append((facts.st_mtime, 512 * facts.st_blocks, path))
    now = time.time()
    others = sorted(entry for entry in found if entry[2].name != name)
    total = sum(size for _, size, _ in others)
    for used, size, path in others:
        age = now - used
        if age > _STALE or (age > _DAY and total + need > limit):
            path.unlink(missing_ok=True)
            total -= size
    return total
