"""Labelled images from `--data`: the entry to all readers. Training never sees a test set. No torch here.

digits           scikit-learn's 8x8 digits; a fixed stratified test split of 360
idx:DIR          files of the MNIST family, gzipped or raw
npz:FILE         x and y, or x_train, y_train, x_test, y_test
folder:DIR       one folder of pictures per class, or train/ and test/ with such folders
imagenet:DIR     train/ and val/ with one folder of pictures per class; decoded on access, then cached
cifar10:DIR      CIFAR-10: its binary version, or train.npz and test.npz
sound:FILE       features of sounds, x [N, steps, features] and y: maps of height 1, for layers along time
hands:DIR        11K Hands with its HandInfo.csv; the classes are its column gender, or with DIR@aspectOfHand that one
signs:DIR        photographs of the ten signs for digits; DIR@two: two classes, 0-4 and 5-9
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError, MissingError
from bitflow.geometry import require
from bitflow.learn.data.arrays import read_cifar10, read_idx, read_npz, read_sound
from bitflow.learn.data.dataset import SPLIT_SEED, Dataset, Labels, Split, assemble, hold_out, stratified_split
from bitflow.learn.data.image_files import Pictures, kept, list_pictures, read_picture
from bitflow.learn.data.person_datasets import read_hands, read_signs

__all__ = ["PICTURE_SOURCES", "SOURCES", "Dataset", "Labels", "Split", "load_data", "read_picture", "stratified_split"]

# Sources whose pictures can be resized to a chosen size.
PICTURE_SOURCES = ("folder", "hands", "imagenet", "signs")
IMAGENET_SIZE = (224, 224, 3)


def load_data(spec: str, size: tuple[int, ...] | None = None) -> Dataset:
    """Read the data that `spec` names (see above).

    size: (height, width[, channels]); only for sources of pictures.

    Raises InputError for an unknown source, an unreadable or empty one, or labels that do not fit the images;
    MissingError where scikit-learn is not installed.
    """
    source, _, place = spec.partition(":")
    if source not in SOURCES or (source == "digits") == bool(place):
        raise InputError(
            f"data {spec!r} is unknown; choose one of digits, idx:DIR, cifar10:DIR, npz:FILE, sound:FILE, "
            f"{', '.join(f'{name}:DIR' for name in PICTURE_SOURCES)}"
        )
    if size is not None and source not in PICTURE_SOURCES:
        raise InputError(f"a size can be given for {', '.join(PICTURE_SOURCES)}, not for {spec!r}")
    return SOURCES[source](Path(place).expanduser(), size)


def _digits(_: Path, __: object) -> Dataset:
    """1,797 digits, 8x8, with their values 0..16 scaled to 0..255."""
    try:
        from sklearn.datasets import load_digits
    except ModuleNotFoundError as error:
        raise MissingError("the digits come with scikit-learn: pip install 'bitflow-net[train]'") from error
    bunch = load_digits()
    images = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[..., np.newaxis]
    whole = Split(images, bunch.target.astype(np.int64))
    rest, held = stratified_split(whole.labels, 360, SPLIT_SEED)
    return assemble("digits", whole.take(rest), whole.take(held), tuple(str(n) for n in range(10)))


def _folder(folder: Path, size: tuple[int, ...] | None) -> Dataset:
    require(folder.is_dir(), f"{folder} is not a folder")
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return _parts(folder, ("train", "test"), size, kept)
    names, labels, classes = list_pictures(folder)
    return hold_out(folder.name, Split(kept(Pictures(folder, names, size)), labels), classes)


def _imagenet(folder: Path, size: tuple[int, ...] | None) -> Dataset:
    require(folder.is_dir(), f"{folder} is not a folder")
    return _parts(folder, ("train", "val"), size or IMAGENET_SIZE, Pictures.cached)


def _parts(
    folder: Path,
    parts: tuple[str, str],
    size: tuple[int, ...] | None,
    keep: Callable[[Pictures], npt.NDArray[np.uint8] | Pictures],
) -> Dataset:
    """A folder with a training and a test part, each with one folder of pictures per class."""
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
    "cifar10": read_cifar10,
    "digits": _digits,
    "folder": _folder,
    "hands": read_hands,
    "idx": read_idx,
    "imagenet": _imagenet,
    "npz": read_npz,
    "signs": read_signs,
    "sound": read_sound,
}
