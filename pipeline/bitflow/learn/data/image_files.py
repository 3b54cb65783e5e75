"""Pictures on disk: one, many in an array, or a lazy array of more than fit into memory."""

from __future__ import annotations

import copy
import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.data.picture_cache import Cache, source_of

__all__ = ["MAX_BYTES", "Pictures", "kept", "list_pictures", "read_picture"]

# No reader makes a larger array, whatever a header says; bytes. CIFAR-10 has 184 MB.
MAX_BYTES = 2**30
PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


class Pictures:
    """Picture files as a lazy array uint8 [N, H, W, C]: indexing decodes.

    Indexing takes an index, a slice or an array of indices. `take` selects Pictures without decoding; `cached` gives
    the same Pictures, decoded once and then read from the user's cache. Indexing raises InputError that names a file
    which cannot be read.
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, names: Sequence[str] | npt.NDArray[Any], size: tuple[int, ...] | None) -> None:
        """Arguments:

        names: paths below `folder`.
        size: (height, width[, channels]) to which pictures are stretched; None: all have the first picture's size.
        """
        require(len(names) > 0, f"{folder} has no pictures")
        self._folder = folder
        self._names = np.asarray(names, dtype=object)
        self._size = None if size is None else (size[0], size[1])
        # Not a list of Paths: ImageNet has 1.3 million pictures.
        channels = size[2] if size is not None and len(size) == 3 else None
        if self._size is None or channels is None:
            first = read_picture(folder / self._names[0], self._size, channels)
            self._picture = (first.shape[0], first.shape[1], first.shape[2])
        else:
            self._picture = (*self._size, channels)
        self._cache: Cache | None = None
        self._places = np.arange(len(names))  # in the cache

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """N, height, width, channels."""
        return (len(self._names), *self._picture)

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, key: Any) -> npt.NDArray[np.uint8]:
        chosen, places = self._names[key], self._places[key]
        if isinstance(chosen, str):
            return self._read(chosen, places)
        images = np.empty((len(chosen), *self._picture), np.uint8)
        for index, (name, place) in enumerate(zip(chosen, places, strict=True)):
            images[index] = self._read(name, place)
        return images

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def take(self, indices: npt.NDArray[np.intp], axis: int = 0) -> Pictures:
        """The pictures at the indices, not decoded.

        axis: 0; accepted because arrays have it.
        """
        require(axis == 0, f"pictures are taken along axis 0, not {axis}")
        part = copy.copy(self)
        part._names, part._places = self._names[indices], self._places[indices]
        return part

    def cached(self) -> Pictures:
        """The same pictures, decoded only once (see `learn.data.picture_cache`)."""
        found = copy.copy(self)
        found._cache = Cache(self._folder, self._names, self._picture, len(self))
        found._places = np.arange(len(self))
        return found

    def _read(self, name: str, place: int) -> npt.NDArray[np.uint8]:
        path = self._folder / name
        if self._cache is None:
            return self._decoded(path)
        try:
            source = source_of(path)
        except OSError as error:
            raise InputError(f"{path}: cannot be read as a picture ({error.strerror})") from error
        found = self._cache.find(place, source)
        if found is None:
            found = self._decoded(path)
            self._cache.keep(place, source, found)
        return found

    def _decoded(self, path: Path) -> npt.NDArray[np.uint8]:
        picture = read_picture(path, self._size, self._picture[2])
        want = self._picture
        require(
            picture.shape == want,
            f"{path} is {picture.shape[0]}x{picture.shape[1]}, others are {want[0]}x{want[1]}: "
            "give the size to which pictures are resized",
        )
        return picture


def kept(pictures: Pictures) -> npt.NDArray[np.uint8] | Pictures:
    """The pictures decoded, if they take at most 1 GiB; else cached on disk."""
    return pictures[:] if int(np.prod(pictures.shape)) <= MAX_BYTES else pictures.cached()


def list_pictures(folder: Path) -> tuple[list[str], npt.NDArray[np.int64], tuple[str, ...]]:
    """Names ("class/file"), labels and class names of a folder with one folder of pictures per class, sorted.

    Raises InputError if there are no class folders, or one has no pictures.
    """
    require(folder.is_dir(), f"{folder} is not a folder")
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    require(bool(classes), f"{folder} has no class folders: put the pictures of each class into a folder of its own")
    names: list[str] = []
    labels: list[int] = []
    for index, place in enumerate(classes):
        with os.scandir(folder / place) as entries:
            found = sorted(entry.name for entry in entries if Path(entry.name).suffix.lower() in PICTURES)
        require(bool(found), f"{folder / place} has no pictures ({', '.join(sorted(PICTURES))})")
        names += [f"{place}/{name}" for name in found]
        labels += [index] * len(found)
    return names, np.array(labels, np.int64), tuple(classes)


def read_picture(path: Path, size: tuple[int, ...] | None, channels: int | None) -> npt.NDArray[np.uint8]:
    """One picture as uint8 [H, W, 1 or 3]. Raises InputError if Pillow cannot read it.

    size: (height, width) to which it is stretched; None: its own size.
    channels: 1 (gray) or 3 (RGB); None: as in the file.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            channels = channels or (1 if file.mode in ("1", "L", "I;16") else 3)
            picture = file.convert("L" if channels == 1 else "RGB")
            if size is not None:
                picture = _stretched(picture, size[0], size[1])
            return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error})") from error


def _stretched(picture: Image.Image, height: int, width: int) -> Image.Image:
    """The picture at another size: first its rows, rounded to 8 bits, then its columns, as bf_picture() on a device.

    In a single call Pillow has this order up to version 12; from version 13 on the order depends on the sizes.
    """
    bilinear = Image.Resampling.BILINEAR
    return picture.resize((width, picture.height), bilinear).resize((width, height), bilinear)
