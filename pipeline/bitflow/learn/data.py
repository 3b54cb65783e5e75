"""Labelled images from `--data`: readers and fixed, seeded splits. Training never sees a test set. No torch here.

digits        scikit-learn's 8x8 digits; a fixed stratified test split of 360
idx:DIR       files of the MNIST family, gzipped or raw
npz:FILE      x and y, or x_train, y_train, x_test, y_test
folder:DIR    one folder of pictures a class, or train/ and test/ with such folders
"""

from __future__ import annotations

import gzip
import math
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitflow.errors import InputError, MissingError
from bitflow.geometry import ChannelOrder, InputContract, Shape, require

__all__ = ["SOURCES", "Dataset", "Split", "load_data", "read_picture", "stratified_split"]

Images = npt.NDArray[Any]
Labels = npt.NDArray[np.int64]

# No reader makes an array beyond this many bytes, whatever a header says. CIFAR-10 has 184 MB.
MAX_BYTES = 2**30
TEST_FRACTION = 0.2
SPLIT_SEED = 0
PICTURES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}


@dataclass(frozen=True, slots=True)
class Split:
    """images: uint8 or int8 [N, H, W, C]; labels: int64 [N]."""

    images: Images
    labels: Labels

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: npt.NDArray[np.intp]) -> Split:
        """The images at the indices, in their order."""
        return Split(self.images[indices], self.labels[indices])


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training part, a test part, the names of the classes and what a device must know of the input."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    contract: InputContract


def stratified_split(labels: Labels, held: int, seed: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Indices of the rest and of `held` images in which each class has its share (largest remainders), both ascending.

    The stream of RandomState is frozen by NumPy's policy (NEP 19), so a split is the same with every NumPy.
    """
    random = np.random.RandomState(seed)
    classes, counts = np.unique(labels, return_counts=True)
    shares = counts * (held / max(len(labels), 1))
    take = np.floor(shares).astype(int)
    for index in np.argsort(take - shares, kind="stable")[: held - int(take.sum())]:
        take[index] += 1
    chosen = [random.permutation(np.flatnonzero(labels == c))[:n] for c, n in zip(classes, take, strict=True)]
    inside = np.zeros(len(labels), dtype=bool)
    inside[np.concatenate(chosen)] = True
    return np.flatnonzero(~inside), np.flatnonzero(inside)


def load_data(spec: str, size: tuple[int, ...] | None = None) -> Dataset:
    """Read the data that `spec` names (see above); `size` (height, width[, channels]) is for pictures of a folder.

    Raises InputError for an unknown source, an unreadable or empty one, or labels that do not fit the images;
    MissingError where scikit-learn is not installed.
    """
    source, _, place = spec.partition(":")
    if source not in SOURCES or (source == "digits") == bool(place):
        raise InputError(f"data {spec!r} is unknown; choose one of digits, idx:DIR, npz:FILE, folder:DIR")
    if size is not None and source != "folder":
        raise InputError(f"a size is for pictures of folder:DIR, not for {spec!r}")
    return SOURCES[source](Path(place).expanduser(), size)


def _dataset(name: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Check what all sources must hold and derive the input contract."""
    for part, what in ((train, "training"), (test, "test")):
        require(len(part.images) == len(part.labels), f"{name}: {len(part.images)} {what} images, {len(part)} labels")
        require(len(part) > 0, f"{name}: there are no {what} images")
        require(part.images.shape[1:] == train.images.shape[1:], f"{name}: training and test images differ in shape")
        require(part.images.dtype == train.images.dtype, f"{name}: training and test images differ in type")
        inside = int(part.labels.min()) >= 0 and int(part.labels.max()) < len(class_names)
        require(inside, f"{name}: a {what} label is outside 0..{len(class_names) - 1}")
    require(len(class_names) >= 2, f"{name}: there is only one class")
    height, width, channels = train.images.shape[1:]
    dtype: Literal["uint8", "int8"] = "int8" if train.images.dtype == np.int8 else "uint8"
    orders = {1: ChannelOrder.GRAY, 3: ChannelOrder.RGB}
    order = orders.get(channels, ChannelOrder.OTHER) if dtype == "uint8" else ChannelOrder.OTHER
    zero_point = 128 if dtype == "uint8" else 0
    return Dataset(
        name, train, test, class_names, InputContract(Shape(height, width, channels), dtype, zero_point, order)
    )


def _hold_out(name: str, images: Images, labels: Labels, class_names: tuple[str, ...]) -> Dataset:
    """Cut the test part from a source that has none."""
    count = max(1, round(len(labels) * TEST_FRACTION))
    require(len(images) == len(labels), f"{name}: {len(images)} images, {len(labels)} labels")
    require(len(labels) > count, f"{name}: {len(labels)} images are too few to cut a test set from")
    whole = Split(images, labels)
    rest, held = stratified_split(labels, count, SPLIT_SEED)
    return _dataset(name, whole.take(rest), whole.take(held), class_names)


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
    return _dataset("digits", whole.take(rest), whole.take(held), tuple(str(n) for n in range(10)))


def _idx(folder: Path, _: object) -> Dataset:
    parts = []
    for prefix in ("train", "t10k"):
        images = _read_idx(_find_idx(folder, f"{prefix}-images", 3), 3)
        labels = _read_idx(_find_idx(folder, f"{prefix}-labels", 1), 1)
        parts.append(Split(images[..., np.newaxis], labels.astype(np.int64)))
    require(len(parts[0]) > 0, f"{folder}: there are no training images")
    classes = int(max(part.labels.max(initial=0) for part in parts)) + 1
    return _dataset(folder.name, parts[0], parts[1], tuple(str(n) for n in range(classes)))


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
        return _dataset(path.stem, train, test, _numbered(path, train.labels, test.labels))
    if {"x", "y"} <= arrays.keys():
        whole = _npz_split(path, arrays["x"], arrays["y"])
        return _hold_out(path.stem, whole.images, whole.labels, _numbered(path, whole.labels))
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
    if not ((folder / "train").is_dir() and (folder / "test").is_dir()):
        paths, labels, names = _list_pictures(folder)
        return _hold_out(folder.name, _read_pictures(paths, size), labels, names)
    train_paths, train_labels, names = _list_pictures(folder / "train")
    test_paths, test_labels, test_names = _list_pictures(folder / "test")
    require(names == test_names, f"{folder}: train/ and test/ do not have the same class folders")
    images = _read_pictures(train_paths + test_paths, size)
    cut = len(train_paths)
    return _dataset(folder.name, Split(images[:cut], train_labels), Split(images[cut:], test_labels), names)


def _list_pictures(folder: Path) -> tuple[list[Path], Labels, tuple[str, ...]]:
    classes = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    require(bool(classes), f"{folder} has no class folders: put the pictures of each class into a folder of its own")
    paths: list[Path] = []
    labels: list[int] = []
    for index, place in enumerate(classes):
        found = sorted(path for path in place.iterdir() if path.suffix.lower() in PICTURES)
        require(bool(found), f"{place} has no pictures ({', '.join(sorted(PICTURES))})")
        paths += found
        labels += [index] * len(found)
    return paths, np.array(labels, np.int64), tuple(path.name for path in classes)


def _read_pictures(paths: list[Path], size: tuple[int, ...] | None) -> npt.NDArray[np.uint8]:
    """All pictures as uint8 [N, H, W, C]; without a size they must all have the first one's."""
    first = read_picture(paths[0], None if size is None else size[:2], size[2] if size and len(size) == 3 else None)
    require(first.size * len(paths) <= MAX_BYTES, f"{len(paths)} pictures of {first.shape} are beyond the limit")
    images = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        picture = read_picture(path, None if size is None else size[:2], first.shape[2])
        require(
            picture.shape == first.shape,
            f"{path} is {picture.shape[0]}x{picture.shape[1]}, {paths[0].name} is {first.shape[0]}x{first.shape[1]}: "
            "give the size that pictures are brought to",
        )
        images[index] = picture
    return images


def read_picture(path: Path, size: tuple[int, ...] | None, channels: int | None) -> npt.NDArray[np.uint8]:
    """One picture as uint8 [H, W, 1 or 3], stretched to `size` (height, width) where one is given.

    channels: 1 (gray) or 3 (RGB); None takes what the file has. Raises InputError where Pillow cannot read it.
    """
    try:
        with warnings.catch_warnings(), Image.open(path) as file:
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            channels = channels or (1 if file.mode in ("1", "L", "I;16") else 3)
            picture = file.convert("L" if channels == 1 else "RGB")
            if size is not None and picture.size != (size[1], size[0]):
                picture = picture.resize((size[1], size[0]), Image.Resampling.BILINEAR)
            return np.asarray(picture, np.uint8).reshape(picture.height, picture.width, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path}: cannot be read as a picture ({error})") from error


SOURCES: dict[str, Callable[[Path, tuple[int, ...] | None], Dataset]] = {
    "digits": _digits,
    "folder": _folder,
    "idx": _idx,
    "npz": _npz,
}
