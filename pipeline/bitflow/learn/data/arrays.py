"""Readers of arrays in files: the MNIST family, NumPy archives, features of sounds, CIFAR-10. Nothing is unpickled."""

from __future__ import annotations

import gzip
import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.data.dataset import Dataset, Labels, Split, assemble, hold_out
from bitflow.learn.data.image_files import MAX_BYTES

__all__ = ["read_cifar10", "read_idx", "read_npz", "read_sound"]

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_BATCHES = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
# Names of recordings: those of MLPerf Tiny's runner, "tst_000005_Down_0.bin", and those of Speech Commands,
# "bed/00176480_nohash_0.wav", whose first part is a hash of the speaker.
_WORD = re.compile(r".*_([^_]+)_(\d{1,5})\.\w+")
_SPEAKER = re.compile(r"(?:.*/)?(\w+)_nohash_\d+(?:\.\w+)?")


def read_idx(folder: Path, _: object = None) -> Dataset:
    """Files of the MNIST family in a folder, gzipped or raw. Raises InputError."""
    parts = []
    for prefix in ("train", "t10k"):
        images = _read_idx_file(_find_idx(folder, f"{prefix}-images", 3), 3)
        labels = _read_idx_file(_find_idx(folder, f"{prefix}-labels", 1), 1)
        parts.append(Split(images[..., np.newaxis], labels.astype(np.int64)))
    require(len(parts[0]) > 0, f"{folder}: there are no training images")
    classes = int(max(part.labels.max(initial=0) for part in parts)) + 1
    return assemble(folder.name, parts[0], parts[1], tuple(str(n) for n in range(classes)))


def _find_idx(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{mark}idx{dimensions}-ubyte{end}" for mark in "-." for end in (".gz", "")]
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise InputError(f"{folder} has no {names[0]} (or {names[1]})")


def _read_idx_file(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    """A file of unsigned bytes: 0 0 8 dimensions, then each size as a big-endian word, then the values."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            return _parse_idx(file, path, dimensions)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error


def _parse_idx(file: BinaryIO | gzip.GzipFile, path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
    header = file.read(4 + 4 * dimensions)
    good = len(header) == 4 + 4 * dimensions and header[:4] == bytes((0, 0, 8, dimensions))
    require(good, f"{path}: not an idx file of {dimensions}-dimensional bytes")
    sizes = struct.unpack(f">{dimensions}I", header[4:])
    count = math.prod(sizes)
    require(count <= MAX_BYTES, f"{path}: claims to hold {count} bytes, the limit is {MAX_BYTES}")
    values = file.read(count + 1)
    require(len(values) == count, f"{path}: should hold {count} bytes, holds {_amount(len(values), count)}")
    return np.frombuffer(values, np.uint8).reshape(sizes)


def _amount(got: int, want: int) -> str:
    return "more" if got > want else str(got)


def read_npz(path: Path, _: object = None) -> Dataset:
    """x [N, H, W] or [N, H, W, C] and y [N], or x_train, y_train, x_test, y_test. Raises InputError."""
    arrays = _load(path)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        train, test = (_split(path, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
        return assemble(path.stem, train, test, _numbered(path, train.labels, test.labels))
    if {"x", "y"} <= arrays.keys():
        whole = _split(path, arrays["x"], arrays["y"])
        return hold_out(path.stem, whole, _numbered(path, whole.labels))
    raise InputError(f"{path}: needs x and y, or x_train, y_train, x_test, y_test; has {', '.join(sorted(arrays))}")


def _load(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        require(total <= MAX_BYTES, f"{path}: unpacks to {total} bytes, the limit is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as .npz ({error})") from error


def _split(path: Path, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Split:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    require(images.ndim == 4, f"{path}: images must be [N, H, W] or [N, H, W, C], got {list(images.shape)}")
    require(images.dtype in (np.uint8, np.int8), f"{path}: images must be uint8 or int8, got {images.dtype}")
    labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    whole = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    require(whole, f"{path}: labels must be integers [N], got {labels.dtype} {list(labels.shape)}")
    return Split(images, labels.astype(np.int64))


def _numbered(path: Path, *labels: Labels) -> tuple[str, ...]:
    """Class names "0", "1", ... Raises InputError for labels above 65534."""
    top = max(int(part.max(initial=0)) for part in labels)
    require(top < 65535, f"{path}: label {top} is too large for a class")
    return tuple(str(n) for n in range(top + 1))


def read_sound(path: Path, _: object = None) -> Dataset:
    """Features of sounds, an .npz: x int8 or uint8 [N, steps, features] and y [N], or x_train, y_train, x_test, y_test.

    They become maps of height 1, width `steps` and one channel per feature, with the bytes in the same order, for
    layers along time (`bitflow.nn.InputConv1d`). The class names are `class_names` [classes], or come from the names of
    the recordings, `names` [N], if these are like MLPerf Tiny's ("tst_000005_Down_0.bin"); else they are numbers.

    Without x_test a fixed, seeded fifth is cut off as the test part, with the same share of each class. Equal
    recordings stay in one part. Speakers are known only from `speakers` [N], or from `names` like those of Speech
    Commands ("bed/00176480_nohash_0.wav"); then nobody is in both parts. Otherwise the same voice may be in both, and
    accuracy on new voices is likely to be lower than on the test part. This is so for MLPerf Tiny's 1,000 words, six of
    which occur twice.

    Raises InputError.
    """
    arrays = _load(path)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        train, test = (_sounds(path, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
        return assemble(path.stem, train, test, _words(path, arrays, train.labels, test.labels))
    require({"x", "y"} <= arrays.keys(), f"{path}: needs x and y; has {', '.join(sorted(arrays))}")
    whole = _sounds(path, arrays["x"], arrays["y"])
    groups = _speakers(path, arrays, len(whole))
    if groups is None and len(whole):
        rows = np.ascontiguousarray(whole.images).reshape(len(whole), -1)
        groups = np.unique(rows, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    return hold_out(path.stem, Split(whole.images, whole.labels, groups), _words(path, arrays, whole.labels))


def _sounds(path: Path, features: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Split:
    require(features.ndim == 3, f"{path}: features must be [N, steps, features], got {list(features.shape)}")
    split = _split(path, features[:, np.newaxis], labels)
    require(len(features) == len(split), f"{path}: {len(features)} sounds, {len(split)} labels")
    return split


def _words(path: Path, arrays: dict[str, npt.NDArray[Any]], *labels: Labels) -> tuple[str, ...]:
    numbers = _numbered(path, *labels)
    if "class_names" in arrays:
        names = tuple(map(str, arrays["class_names"].reshape(-1)))
        enough = len(set(names)) == len(names) >= len(numbers)
        require(enough, f"{path}: class_names must be at least {len(numbers)} different names")
        return names
    found = [_WORD.fullmatch(str(name)) for name in _names(path, arrays)]
    words = {int(match[2]): match[1] for match in found if match}
    every = sorted(words) == list(range(len(numbers))) and len(set(words.values())) == len(words)
    fits = every and len(found) == len(labels[0]) and [m and int(m[2]) for m in found] == labels[0].tolist()
    return tuple(words[n] for n in range(len(words))) if fits else numbers


def _speakers(path: Path, arrays: dict[str, npt.NDArray[Any]], count: int) -> Labels | None:
    if "speakers" in arrays:
        who = arrays["speakers"]
        good = who.shape == (count,) and who.dtype.kind in "iuU"
        require(good, f"{path}: speakers must be {count} integers or names, got {who.dtype} {list(who.shape)}")
        return np.unique(who, return_inverse=True)[1].astype(np.int64)
    found = [_SPEAKER.fullmatch(str(name)) for name in _names(path, arrays)]
    if len(found) != count or not found or not all(found):
        return None
    return np.unique([match[1] for match in found if match], return_inverse=True)[1].astype(np.int64)


def _names(path: Path, arrays: dict[str, npt.NDArray[Any]]) -> npt.NDArray[Any]:
    names = arrays.get("names", np.empty(0, "U1"))
    require(names.ndim == 1 and names.dtype.kind == "U", f"{path}: names must be a list of text")
    return names


def read_cifar10(folder: Path, _: object = None) -> Dataset:
    """CIFAR-10 (Krizhevsky, 2009) in a folder: the published binary version, data_batch_1.bin to data_batch_5.bin and
    test_batch.bin, or train.npz and test.npz with x uint8 [N, 32, 32, 3] and y [N]. Raises InputError.

    The version for Python is refused: it is pickled, and so could run code.
    """
    if all((folder / name).is_file() for name in (*_BATCHES, "test_batch.bin")):
        batches = [_read_batch(folder / name) for name in _BATCHES]
        train = Split(
            np.concatenate([part.images for part in batches]), np.concatenate([part.labels for part in batches])
        )
        return assemble(folder.name, train, _read_batch(folder / "test_batch.bin"), CIFAR10_CLASSES)
    if all((folder / name).is_file() for name in ("train.npz", "test.npz")):
        train, test = (_read_cifar_arrays(folder / name) for name in ("train.npz", "test.npz"))
        return assemble(folder.name, train, test, CIFAR10_CLASSES)
    pickled = (
        "; the version for Python is not supported; use the binary one" if (folder / "data_batch_1").exists() else ""
    )
    raise InputError(
        f"{folder} has neither {_BATCHES[0]} to {_BATCHES[-1]} and test_batch.bin, nor train.npz and test.npz{pickled}"
    )


def _read_cifar_arrays(path: Path) -> Split:
    arrays = _load(path)
    require({"x", "y"} <= arrays.keys(), f"{path}: needs x and y; has {', '.join(sorted(arrays))}")
    images = arrays["x"]
    good = images.shape[1:] == (32, 32, 3) and images.dtype == np.uint8
    require(good, f"{path}: x must be uint8 [N, 32, 32, 3], got {images.dtype} {list(images.shape)}")
    return _split(path, images, arrays["y"])


def _read_batch(path: Path) -> Split:
    """Records of a label and the red, green and blue planes of 32x32 pixels, one byte each."""
    size = 1 + 3 * 32 * 32
    try:
        # 2^28 bytes is nine times the published size.
        with path.open("rb") as file:
            content = file.read(2**28 + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    whole = 0 < len(content) <= 2**28 and len(content) % size == 0
    require(whole, f"{path}: is not a batch of CIFAR-10, records of {size} bytes")
    records = np.frombuffer(content, np.uint8).reshape(-1, size)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Split(np.ascontiguousarray(images), records[:, 0].astype(np.int64))
