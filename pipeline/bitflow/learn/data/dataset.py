"""A data set: labelled images in a training and a test part; and fixed, seeded ways to split images in two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bitflow.geometry import ChannelOrder, InputSpec, Shape, require
from bitflow.learn.data.image_files import Pictures

__all__ = [
    "Dataset",
    "Images",
    "Labels",
    "Split",
    "assemble",
    "blocks",
    "grouped_split",
    "hold_out",
    "stratified_split",
]

Images = npt.NDArray[Any] | Pictures
Labels = npt.NDArray[np.int64]
Indices = npt.NDArray[np.intp]

TEST_FRACTION = 0.2
SPLIT_SEED = 0


@dataclass(frozen=True, slots=True)
class Split:
    """A part of a data set.

    images: uint8 or int8 [N, H, W, C], in memory or decoded on access.
    labels: int64 [N].
    groups: int64 [N], who or what each image shows, if known. Images of one group are alike in more than their label,
        so they must stay in one part: else a network is tested on what it has seen.
    """

    images: Images
    labels: Labels
    groups: Labels | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, indices: Indices) -> Split:
        """The images at the indices, in the order of the indices."""
        groups = None if self.groups is None else self.groups[indices]
        return Split(self.images.take(indices, axis=0), self.labels[indices], groups)

    def cut(self, held: int, seed: int) -> tuple[Split, Split]:
        """Cut off `held` images (about as many if whole groups are cut off), and return the rest and these."""
        if self.groups is None:
            rest, chosen = stratified_split(self.labels, held, seed)
        else:
            rest, chosen = grouped_split(self.labels, self.groups, held, seed)
        return self.take(rest), self.take(chosen)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A training part, a test part, the class names, and the input spec for a device."""

    name: str
    train: Split
    test: Split
    class_names: tuple[str, ...]
    input_spec: InputSpec


def blocks(images: Images, nbytes: int, most: int) -> Iterator[npt.NDArray[Any]]:
    """The images in order, in arrays of at most `nbytes` bytes and `most` images, but at least one image."""
    each = int(np.prod(images.shape[1:])) * images.dtype.itemsize
    step = max(1, min(most, nbytes // max(each, 1)))
    for start in range(0, len(images), step):
        yield images[start : start + step]


def stratified_split(labels: Labels, held: int, seed: int) -> tuple[Indices, Indices]:
    """Indices of the rest and of `held` images with the same share of each class (largest remainders), both ascending.

    NumPy's policy (NEP 19) freezes the stream of RandomState, so a split is the same with every version of NumPy.
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


def grouped_split(labels: Labels, groups: Labels, held: int, seed: int) -> tuple[Indices, Indices]:
    """Indices of the rest and of about `held` images, both ascending; every group is entirely in one of the two.

    Groups are tried in a random order; a group is held if that brings the classes nearer to their shares. Both parts
    have at least one group. Raises InputError if there is only one group.
    """
    names, member = np.unique(groups, return_inverse=True)
    classes, kind = np.unique(labels, return_inverse=True)
    require(len(names) >= 2, "all images are of one person or group, so they cannot be cut into two parts")
    counts = np.zeros((len(names), len(classes)))
    np.add.at(counts, (member, kind), 1)
    missing = counts.sum(axis=0) * (held / len(labels))
    order = np.random.RandomState(seed).permutation(len(names))
    inside = np.zeros(len(names), dtype=bool)
    for group in order[:-1]:
        nearer = np.abs(missing - counts[group]).sum() < np.abs(missing).sum()
        if nearer:
            inside[group] = True
            missing = missing - counts[group]
    if not inside.any():
        inside[np.argmin(counts.sum(axis=1))] = True
    chosen = inside[member]
    return np.flatnonzero(~chosen), np.flatnonzero(chosen)


def assemble(name: str, train: Split, test: Split, class_names: tuple[str, ...]) -> Dataset:
    """Check what every source must satisfy, and derive the input spec. Raises InputError."""
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
    order = ChannelOrder.default(channels) if dtype == "uint8" else ChannelOrder.OTHER
    zero_point = 128 if dtype == "uint8" else 0
    return Dataset(name, train, test, class_names, InputSpec(Shape(height, width, channels), dtype, zero_point, order))


def hold_out(name: str, whole: Split, class_names: tuple[str, ...]) -> Dataset:
    """Cut a fifth off as the test part, for a source without one. Raises InputError if there are too few images."""
    count = max(1, round(len(whole) * TEST_FRACTION))
    require(len(whole.images) == len(whole), f"{name}: {len(whole.images)} images, {len(whole)} labels")
    require(len(whole) > count, f"{name}: {len(whole)} images are too few to cut a test set from")
    train, test = whole.cut(count, SPLIT_SEED)
    return assemble(name, train, test, class_names)
