"""A ROMFS image for MicroPython in which every file's data starts on a multiple of 4 bytes, for use in place.

The format is MicroPython's (1.25, extmod/vfs_rom.c): records of kind, length and payload, numbers as big-endian groups
of 7 bits. mpremote's own builder does not align; here the length before each file's data is written with leading 0x80
bytes, which change nothing but its size.
"""

from __future__ import annotations

from collections.abc import Mapping

from bitflow.geometry import require

__all__ = ["ALIGNMENT", "romfs"]

ALIGNMENT = 4

_MAGIC = b"\xd2\xcd\x31"  # the kind of the whole image: RM1
_PADDING, _DATA, _FILE = 1, 2, 5
_WIDTH = 4  # bytes of a length: fixed, so that offsets do not depend on what follows
_LIMIT = 1 << 7 * _WIDTH


def romfs(files: Mapping[str, bytes]) -> bytes:
    """An image with these files by name, without folders. Raises InputError for a slash in a name and above 256 MB."""
    payload = b""
    start = len(_MAGIC) + 5  # of the payload in the image: a multiple of 4
    for name, data in files.items():
        require(bool(name) and "/" not in name, f"a file in ROMFS needs a plain name, got {name!r}")
        payload += _file(name.encode(), data, start + len(payload))
    if len(payload) % 2:
        payload += bytes((_PADDING, 1, 0))  # the image's size must be even
    return _MAGIC + _number(len(payload), 5) + payload


def _file(name: bytes, data: bytes, at: int) -> bytes:
    """A file's record, whose data is aligned if the record starts at `at`."""
    head = _number(len(name), 1 if len(name) < 128 else 2) + name + bytes((_DATA,))
    before = at + 1 + _WIDTH + len(head) + _WIDTH
    content = head + _number(len(data), _WIDTH + -before % ALIGNMENT) + data
    return bytes((_FILE,)) + _number(len(content), _WIDTH) + content


def _number(value: int, width: int) -> bytes:
    """A number in `width` bytes."""
    require(value < min(_LIMIT, 1 << 7 * width), f"{value} bytes are too many for a ROMFS")
    groups = [value >> 7 * place & 0x7F for place in reversed(range(width))]
    return bytes([0x80 | group for group in groups[:-1]] + groups[-1:])
