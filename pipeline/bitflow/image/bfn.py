"""A `.bfn` as one value, and its file."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bitflow.errors import ImageError, InputError
from bitflow.files import write_atomic
from bitflow.image.convert import decode_any
from bitflow.image.format import MAX_BYTES, Record
from bitflow.image.read import decode
from bitflow.image.write import Placed, encode, place, record
from bitflow.packed import PackedNetwork

__all__ = ["Image", "load", "load_any", "save"]


@dataclass(frozen=True, slots=True)
class Image:
    """A packed network as bytes. Make it with `of`, which makes each network's image once.

    placed: the layout of its parts.
    data: the whole file.
    """

    network: PackedNetwork
    placed: Placed
    data: bytes = field(repr=False)

    @classmethod
    def of(cls, network: PackedNetwork) -> Image:
        """The image of a network. Raises InputError for one that a `.bfn` cannot hold."""
        return _image(_Same(id(network), network))

    @property
    def crc32(self) -> int:
        """The CRC-32 that ends the image; it identifies the network on every board."""
        return int.from_bytes(self.data[-4:], "little")

    def record(self, index: int) -> Record:
        """The record of a layer."""
        return record(self.network, self.placed, index)


@dataclass(frozen=True, slots=True)
class _Same:
    """A network as a key of a cache, compared by identity: it holds arrays and has no hash. Keeps the network alive."""

    number: int
    network: PackedNetwork = field(compare=False)


@functools.lru_cache(maxsize=8)
def _image(same: _Same) -> Image:
    placed = place(same.network)
    return Image(same.network, placed, encode(same.network, placed))


def save(network: PackedNetwork, path: str | Path) -> None:
    """Write a `.bfn`. The file is renamed into place, so that nobody sees it half written."""
    write_atomic(path, Image.of(network).data)


def load(path: str | Path) -> PackedNetwork:
    """Read a `.bfn`. Raises ImageError, naming the file, if it is damaged or contradicts itself."""
    return _read(path, decode)


def load_any(path: str | Path) -> PackedNetwork:
    """The same of any version of the format since 2."""
    return _read(path, decode_any)


def _read(path: str | Path, decoded: Callable[[bytes], PackedNetwork]) -> PackedNetwork:
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    try:
        return decoded(data)
    except ImageError as error:
        raise ImageError(f"{path}: {error}") from error
