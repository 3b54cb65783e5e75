"""Warnings about data before training, and about the training itself: one line each, none if all is well."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.learn.data.dataset import Dataset, Split
from bitflow.learn.data.image_files import MAX_BYTES

__all__ = ["remarks", "trouble"]

Indices = npt.NDArray[np.intp]

# With fewer images accuracy of a class says little: one image of 20 is 5 %.
_FEW_TRAINING = 20
_FEW_TEST = 5
_IMBALANCE = 10
# A loss exceeding the best one so far by this factor, and by this difference, is growing and not just fluctuating.
_GROWN, _GROWN_BY = 2.0, 0.3
_PATIENCE = 5  # epochs by which something must be learned
_NAMED = 3  # classes named in a line, at most


def remarks(data: Dataset) -> list[str]:
    """Classes with no or very few images, a strong imbalance, and test images that are trained on.

    Only images in memory are compared, bit by bit, at about a second per gigabyte; pictures that are decoded on access
    are not.
    """
    train, test = (np.bincount(part.labels, minlength=len(data.class_names)) for part in (data.train, data.test))
    found = []
    for counts, what in ((train, "training"), (test, "test")):
        if not counts.all():
            found.append(f"no {what} images: {_classes(data, np.flatnonzero(counts == 0))}")
    for counts, few, what in ((train, _FEW_TRAINING, "training"), (test, _FEW_TEST, "test")):
        rare = np.flatnonzero((counts > 0) & (counts < few))
        if rare.size:
            found.append(f"fewer than {few} {what} images: {_classes(data, rare, counts)}")
    seen = np.flatnonzero(train)
    most, least = (seen[find(train[seen])] for find in (np.argmax, np.argmin))
    if train[most] > _IMBALANCE * train[least]:
        found.append(
            f"classes are far from equal in size: {train[most]} training images of {_name(data, most)}, "
            f"{train[least]} of {_name(data, least)}"
        )
    return found + _repeated(data.train, data.test)


def trouble(history: Sequence[Mapping[str, float]], labels: npt.NDArray[np.int64]) -> str | None:
    """What is wrong with a training so far, or None.

    history: one row per epoch, as in `learn.training.history`.
    labels: labels of the training images.
    """
    # With two training steps, each step has its own losses.
    judged = math.isnan(history[-1]["validation_accuracy"])
    rows = [row for row in history if math.isnan(row["validation_accuracy"]) == judged]
    best, last = min(rows, key=lambda row: row["loss"]), rows[-1]
    if last["loss"] > _GROWN * best["loss"] and last["loss"] - best["loss"] > _GROWN_BY:
        return (
            f"the loss grows: {best['loss']:.3g} in epoch {best['epoch']:.0f}, {last['loss']:.3g} in epoch "
            f"{last['epoch']:.0f}; a smaller learning_rate may help"
        )
    chance = np.bincount(labels).max() / len(labels)
    if len(rows) >= _PATIENCE and max(row["train_accuracy"] for row in rows) <= 1.05 * chance:
        return (
            f"nothing is learned in {len(rows)} epochs: {last['train_accuracy']:.1%} of the training images are right, "
            f"and {chance:.1%} are of the most frequent class"
        )
    return None


def _classes(data: Dataset, labels: Indices, counts: Indices | None = None) -> str:
    """The names of the first classes, with their counts, and how many there are in all."""
    named = [_name(data, at) + ("" if counts is None else f" ({counts[at]})") for at in labels[:_NAMED]]
    more = f" and {len(labels) - _NAMED} more of {len(data.class_names)} classes" if len(labels) > _NAMED else ""
    return ", ".join(named) + more


def _name(data: Dataset, label: int) -> str:
    # As Python's repr: a folder's name may contain control characters for a terminal.
    return ascii(data.class_names[label])


def _repeated(train: Split, test: Split) -> list[str]:
    """Test images that are also training images, and how many of these have another label there."""
    if not isinstance(train.images, np.ndarray) or not isinstance(test.images, np.ndarray):
        return []
    if train.images.nbytes + test.images.nbytes > MAX_BYTES:
        return []
    labels = dict(zip(_digests(train.images), train.labels.tolist(), strict=True))
    pairs = [
        (labels[one], truth) for one, truth in zip(_digests(test.images), test.labels, strict=True) if one in labels
    ]
    if not pairs:
        return []
    other = sum(known != truth for known, truth in pairs)
    say = f", {other} of them with another label" if other else ""
    return [f"{len(pairs)} of {len(test)} test images are training images, too{say}: accuracy will be too high"]


def _digests(images: npt.NDArray[Any]) -> Iterator[bytes]:
    return (hashlib.blake2b(np.ascontiguousarray(image).data, digest_size=16).digest() for image in images)
