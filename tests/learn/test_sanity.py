"""Remarks on data: each fault is said in one line, and good data are not talked about."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from bitflow.learn.data.dataset import Dataset, Split, assemble
from bitflow.learn.data.image_files import Pictures
from bitflow.learn.data.sanity import remarks, trouble


def images(count: int, seed: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 1), np.uint8)


def dataset(train: list[int], test: list[int], names: tuple[str, ...] = ("cat", "dog", "emu")) -> Dataset:
    """So many training and test images of each class, no two alike."""
    parts = []
    for seed, counts in enumerate((train, test)):
        labels = np.repeat(np.arange(len(counts)), counts).astype(np.int64)
        parts.append(Split(images(len(labels), seed), labels))
    return assemble("data", *parts, names)


def test_good_data_must_not_be_talked_about() -> None:
    assert remarks(dataset([200, 20, 30], [5, 5, 6])) == []


def test_classes_without_images_must_be_named() -> None:
    assert remarks(dataset([30, 0, 30], [9, 9, 9])) == ["no training images: 'dog'"]
    assert remarks(dataset([30, 30, 30], [0, 9, 0])) == ["no test images: 'cat', 'emu'"]


def test_few_images_must_be_counted() -> None:
    assert remarks(dataset([30, 19, 3], [5, 4, 9])) == [
        "fewer than 20 training images: 'dog' (19), 'emu' (3)",
        "fewer than 5 test images: 'dog' (4)",
    ]


def test_an_imbalance_must_be_said_with_its_counts() -> None:
    assert remarks(dataset([201, 20, 30], [9, 9, 9])) == [
        "classes are far from equal in size: 201 training images of 'cat', 20 of 'dog'"
    ]


def test_many_classes_must_stay_one_line() -> None:
    names = tuple(f"class {number}" for number in range(1000))
    (line,) = remarks(dataset([20] * 1000, [5] + [0] * 999, names))
    assert line == "no test images: 'class 1', 'class 2', 'class 3' and 996 more of 1000 classes"


def test_hostile_names_must_not_reach_a_terminal() -> None:
    (line,) = remarks(dataset([30, 30], [9, 0], ("a", "\x1b[2J\n\u202eb")))
    assert line == r"no test images: '\x1b[2J\n\u202eb'"


def test_test_images_that_are_trained_on_must_be_counted() -> None:
    train = Split(images(80, 0), np.arange(80, dtype=np.int64) % 2)
    mixed = np.concatenate([train.images[[3, 3, 10]], images(17, 1)])
    labels = np.concatenate([[1, 0, 0], np.arange(17) % 2]).astype(np.int64)
    data = assemble("data", train, Split(mixed, labels), ("a", "b"))
    assert remarks(data) == [
        "3 of 20 test images are training images, too, 1 of them with another label: accuracy will be too high"
    ]
    labels[1] = 1
    assert remarks(data) == ["3 of 20 test images are training images, too: accuracy will be too high"]


def test_pictures_on_disk_must_not_be_decoded(tmp_path: Path) -> None:
    names = [f"{number}.png" for number in range(60)]
    pictures = Pictures(tmp_path, names, (4, 4, 1))  # none of the files exists
    labels = np.arange(60, dtype=np.int64) % 2
    assert remarks(assemble("data", Split(pictures, labels), Split(pictures, labels), ("a", "b"))) == []
    Image.new("L", (4, 4)).save(tmp_path / "0.png")
    assert remarks(assemble("data", Split(pictures, labels), Split(pictures[:1], labels[:1]), ("a", "b")))[
        0
    ].startswith("no test images: 'b'")


def epochs(*losses: float, right: float = 0.9, judged: bool = True) -> list[dict[str, float]]:
    validation = 0.9 if judged else math.nan
    return [
        {"epoch": at, "loss": loss, "train_accuracy": right, "validation_accuracy": validation}
        for at, loss in enumerate(losses, 1)
    ]


def test_a_loss_that_grows_must_be_said() -> None:
    labels = np.arange(100) % 4
    assert trouble(epochs(2.0, 0.5, 0.6, 0.4, 0.9), labels) == (
        "the loss grows: 0.4 in epoch 4, 0.9 in epoch 5; a smaller learning_rate may help"
    )
    # A small one swings; and when weights become binary, in the second of two steps, it starts anew.
    assert trouble(epochs(0.02, 0.01, 0.04), labels) is None
    assert trouble(epochs(0.5, 0.2, judged=False) + epochs(1.5, 1.2), labels) is None


def test_a_network_that_learns_nothing_must_be_said() -> None:
    labels = np.array([0] * 70 + [1] * 30)
    assert trouble(epochs(*[0.6] * 4, right=0.7), labels) is None
    assert trouble(epochs(*[0.6] * 5, right=0.7), labels) == (
        "nothing is learned in 5 epochs: 70.0% of the training images are right, "
        "and 70.0% are of the most frequent class"
    )
    assert trouble(epochs(*[0.6] * 5, right=0.8), labels) is None
