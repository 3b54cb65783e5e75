"""ROMFS images: MicroPython's own reader finds the files, and their data is aligned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitflow.emit.romfs import ALIGNMENT, romfs
from bitflow.errors import InputError


def number(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    while True:
        value = value << 7 | data[at] & 0x7F
        at += 1
        if data[at - 1] < 0x80:
            return value, at


def read(image: bytes) -> dict[str, tuple[int, bytes]]:
    """Name -> (offset, data), as extmod/vfs_rom.c reads an image."""
    kind, at = number(image, 0)
    size, at = number(image, at)
    assert (kind, at + size) == (0x14A6B1, len(image))
    found = {}
    while at < len(image):
        kind, at = number(image, at)
        size, at = number(image, at)
        end = at + size
        if kind == 5:
            length, at = number(image, at)
            name = image[at : at + length].decode()
            kind, at = number(image, at + length)
            size, at = number(image, at)
            assert (kind, at + size) == (2, end)
            found[name] = (at, image[at:end])
        at = end
    return found


NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/"), min_size=1, max_size=150)


@given(st.dictionaries(NAMES, st.binary(max_size=300), max_size=5))
def test_romfs_must_hold_every_file_aligned(files):
    image = romfs(files)
    found = read(image)
    assert {name: data for name, (_, data) in found.items()} == files
    assert all(offset % ALIGNMENT == 0 for offset, _ in found.values())
    assert len(image) % 2 == 0


def test_romfs_must_refuse_folders():
    with pytest.raises(InputError, match="plain name"):
        romfs({"a/b": b""})
