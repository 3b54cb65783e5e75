"""Labelled images from `--data`: the front door to all readers. Training never sees a test set. No torch here.

digits           scikit-learn's 8x8 digits; a fixed stratified test split of 360
idx:DIR          files of the MNIST family, gzipped or raw
npz:FILE         x and y, or x_train, y_train, x_test, y_test
folder:DIR       one folder of pictures a class, or train/ and test/ with such folders
imagenet:DIR     train/ and val/ with one folder of pictures a class; decoded when they are needed
hands:DIR        11K Hands with its HandInfo.csv; DIR@aspectOfHand learns that column, by default gender
signs:DIR        photographs of the ten signs for digits; DIR@two: two classes, 0-4 and 5-9
"""

from __future__ import annotations

import gzip
import math
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError, MissingError
from bitflow.geometry import require
from bitflow.learn.dataset import SPLIT_SEED, Dataset, Labels, Split, assemble, hold_out, stratified_split
from bitflow.learn.people import read_hands, read_signs
from bitflow.learn.pictures import MAX_BYTES, Pictures, kept, list_pictures, read_picture

__all__ = ["PICTURE_SOURCES", "SOURCES", "Dataset", "Labels", "Split", "load_data", "read_picture", "stratified_split"]

# Sources whose pictures are brought to a size that one may choose.
PICTURE_SOURCES = ("folder", "hands", "imagenet", "signs")
IMAGENET_SIZE = (224, 224, 3)


def load_data(spec: str, size: tuple[int, ...] | None = None) -> Dataset:
    """Read the data that `spec` names (see above); `size` (height, width[, channels]) is for sources of pictures.

    Raises InputError for an unknown source, an unreadable or empty one, or labels that do not fit the images;
    MissingError where scikit-learn is not installed.
    """
    source, _, place = spec.partition(":")
    if source not in SOURCES or (source == "digits") == bool(place):
        raise InputError(
            f"data {spec!r} is unknown; choose one of digits, idx:DIR, npz:FILE, "
            f"{', '.join(f'{name}:DIR' for name in PICTURE_SOURCES)}"
        )
    if size is not None and source not in PICTURE_SOURCES:
        raise InputError(f"a size is for pictures of {', '.join(PICTURE_SOURCES)}, not for {spec!r}")
    return SOURCES[source](Path(place).expanduser(), size)


def _digits(_: Path, __: object) -> Dataset:
    """1,797 digits, 8x8, with their values 0..16 brought to 0..255."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingError("the digits come with scikit-learn: pip install 'bitflow-net[train]'") from error
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    whole = Split(images, bunch.target.astype(np.int64))
    rest, held = stratified_split(whole.labels, 360, SPLIT_SEED)
    return assemble("digits", whole.take(rest), whole.take(held), tuple(str(n) for n in range(10)))


def _idx(folder: Path, _: object) -> Dataset:
    parts = []
    for prefix in ("train", "t10k"):
        images = _read_idx(_find_idx(folder, f"{prefix}-images", 3), 3)
        labels = _read_idx(_find_idx(folder, f"{prefix}-labels", 1), 1)
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


def _read_idx(path: Path, dimensions: int) -> npt.NDArray[np.uint8]:
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
    require(count <= MAX_BYTES, f"{path}: says it holds {count} bytes, the limit is {MAX_BYTES}")
    values = file.read(count + 1)
    require(len(values) == count, f"{path}: should hold {count} bytes, holds {_amount(len(values), count)}")
    return np.frombuffer(values, np.uint8).reshape(sizes)


def _amount(got: int, want: int) -> str:
    return "more" if got > want else str(got)


def _npz(path: Path, _: object) -> Dataset:
    arrays = _read_npz(path)
    if {"x_train", "y_train", "x_test", "y_test"} <= arrays.keys():
        train, test = (_npz_split(path, arrays[f"x_{part}"], arrays[f"y_{part}"]) for part in ("train", "test"))
        return assemble(path.stem, train, test, _numbered(path, train.labels, test.labels))
    if {"x", "y"} <= arrays.keys():
        whole = _npz_split(path, arrays["x"], arrays["y"])
        return hold_out(path.stem, whole, _numbered(path, whole.labels))
    raise InputError(f"{path}: needs x and y, or x_train, y_train, x_test, y_test; has {', '.join(sorted(arrays))}")


def _read_npz(path: Path) -> dict[str, npt.NDArray[Any]]:
    try:
        with zipfile.ZipFile(path) as archive:
            total = sum(entry.file_size for entry in archive.infolist())
        require(total <= MAX_BYTES, f"{path}: unpacks to {total} bytes, the limit is {MAX_BYTES}")
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: cannot be read as .npz ({error})") from error


def _npz_split(path: Path, images: npt.NDArray[Any], labels: npt.NDArray[Any]) -> Split:
    if images.ndim == 3:
        images = images[..., np.newaxis]
    require(images.ndim == 4, f"{path}: images must be [N, H, W] or [N, H, W, C], got {list(images.shape)}")
    require(images.dtype in (np.uint8, np.int8), f"{path}: images must be uint8 or int8, got {images.dtype}")
    labels = labels.reshape(-1) if labels.ndim == 2 and labels.shape[1] == 1 else labels
    whole = labels.ndim == 1 and np.issubdtype(labels.dtype, np.integer)
    require(whole, f"{path}: labels must be integers [N], got {labels.dtype} {list(labels.shape)}")
    return Split(images, labels.astype(np.int64))


def _numbered(path: Path, *labels: Labels) -> tuple[str, ...]:
    """Class names "0", "1", ...; a label beyond 65534 is a mistake, not a class."""
    top = max(int(part.max(initial=0)) for part in labels)
    require(top < 65535, f"{path}: label {top} is too large for a class")
    return tuple(str(n) for n in range(top + 1))


def _folder(folder: Path, size: tuple[int, ...] | None) -> Dataset:
    require(folder.is_dir(), f"{folder} is not a folder")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return _parts(folder, ("train", "test"), size, kept)
    names, labels, classes = list_pictures(folder)
    return hold_out(folder.name, Split(kept(Pictures(folder, names, size)), labels), classes)


def _imagenet(folder: Path, size: tuple[int, ...] | None) -> Dataset:
    require(folder.is_dir(), f"{folder} is not a folder")
    return _parts(folder, ("train", "val"), size or IMAGENET_SIZE, lambda pictures: pictures)


def _parts(
    folder: Path,
    parts: tuple[str, str],
    size: tuple[int, ...] | None,
    keep: Callable[[Pictures], npt.NDArray[np.uint8] | Pictures],
) -> Dataset:
    """A folder with a training and a test part, each with one folder of pictures a class."""
    train, test = (list_pictures(folder / part) for part in parts)
    same = train[2] == test[2]
    require(same, f"{folder}: {parts[0]}/ and {parts[1]}/ do not have the same class folders")
    first = Pictures(folder / parts[0], train[0], size)
    splits = [
        Split(keep(Pictures(folder / part, names, first.shape[1:] if size else None)), labels)
        for part, (names, labels, _) in zip(parts, (train, test), strict=True)
    ]
    return assemble(folder.name, splits[0], splits[1], train[2])


SOURCES: dict[str, Callable[[Path, tuple[int, ...] | None], Dataset]] = {
    "digits": _digits,
    "folder": _folder,
    "hands": read_hands,
    "idx": _idx,
    "imagenet": _imagenet,
    "npz": _npz,
    "signs": read_signs,
}
