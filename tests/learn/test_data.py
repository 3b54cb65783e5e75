"""Readers of data: what they give, and that hostile or senseless input ends in one clear line."""

from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitflow.errors import InputError
from bitflow.geometry import ChannelOrder
from bitflow.learn.data.sources import load_data, stratified_split


def test_digits_must_be_split_the_same_way_always() -> None:
    data = load_data("digits")
    assert (len(data.train), len(data.test)) == (1437, 360)
    assert data.test.images.shape == (360, 8, 8, 1)
    assert data.test.images.dtype == np.uint8
    assert data.test.images.max() == 255
    assert np.bincount(data.test.labels).tolist() == [36, 37, 35, 37, 36, 36, 36, 36, 35, 36]
    content = data.test.images.tobytes() + data.test.labels.tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "43289c5d80f3d35f"


@given(
    st.lists(st.integers(0, 4), min_size=10, max_size=200),
    st.floats(0.05, 0.9),
    st.integers(0, 2**31 - 1),
)
def test_split_must_be_disjoint_complete_and_stratified(values: list[int], share: float, seed: int) -> None:
    labels = np.array(values, np.int64)
    count = max(1, int(len(labels) * share))
    rest, held = stratified_split(labels, count, seed)
    assert len(held) == count
    assert sorted([*rest, *held]) == list(range(len(labels)))
    for label in np.unique(labels):
        exact = (labels == label).sum() * count / len(labels)
        assert abs((labels[held] == label).sum() - exact) < 1


def idx(values: np.ndarray[Any, Any]) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + struct.pack(f">{values.ndim}I", *values.shape) + values.tobytes()


def write_mnist(folder: Path, pack: bool) -> None:
    random = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 5)):
        images = random.integers(0, 256, (count, 6, 5), np.uint8)
        for name, content in (
            (f"{part}-images-idx3-ubyte", idx(images)),
            (f"{part}-labels-idx1-ubyte", idx((np.arange(count) % 3).astype(np.uint8))),
        ):
            (folder / (name + ".gz" * pack)).write_bytes(gzip.compress(content) if pack else content)


@pytest.mark.parametrize("pack", [True, False])
def test_idx_must_be_read(tmp_path: Path, pack: bool) -> None:
    write_mnist(tmp_path, pack)
    data = load_data(f"idx:{tmp_path}")
    assert data.train.images.shape == (12, 6, 5, 1)
    assert data.test.labels.tolist() == [0, 1, 2, 0, 1]
    assert data.input_spec.channel_order is ChannelOrder.GRAY


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not an idx file"),
        (b"\0\0\x0d\x03" + bytes(12), "not an idx file"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 2**31, 2**31, 2**31), "limit"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 12, 6, 5) + bytes(7), "should hold 360 bytes, holds 7"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 1, 6, 5) + bytes(31), "holds more"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 0, 6, 5), "0 training images"),
        (b"\0\0\x08\x03" + struct.pack(">3I", 12, 0, 5), "differ in shape"),
    ],
)
def test_hostile_idx_must_be_refused(tmp_path: Path, content: bytes, message: str) -> None:
    write_mnist(tmp_path, False)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(InputError, match=message):
        load_data(f"idx:{tmp_path}")


def test_a_torn_gzip_must_be_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path, True)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match="cannot be read"):
        load_data(f"idx:{tmp_path}")


def test_npz_must_be_read_with_and_without_a_test_part(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(-128, 128, (50, 4, 3), np.int8)
    labels = np.arange(50) % 5
    np.savez(tmp_path / "whole.npz", x=images, y=labels)
    data = load_data(f"npz:{tmp_path / 'whole.npz'}")
    assert (len(data.train), len(data.test), len(data.class_names)) == (40, 10, 5)
    assert (data.input_spec.dtype, data.input_spec.zero_point) == ("int8", 0)
    parts = {"x_train": images[:30], "y_train": labels[:30], "x_test": images[30:], "y_test": labels[30:]}
    np.savez(tmp_path / "parts.npz", **parts)  # type: ignore[arg-type]
    assert np.array_equal(load_data(f"npz:{tmp_path / 'parts.npz'}").test.images[..., 0], images[30:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": np.zeros(3)}, "needs x and y"),
        ({"x": np.zeros((9, 4), np.uint8), "y": np.zeros(9, int)}, "images must be"),
        ({"x": np.zeros((9, 4, 4)), "y": np.zeros(9, int)}, "uint8 or int8"),
        ({"x": np.zeros((9, 4, 4), np.uint8), "y": np.zeros(9)}, "labels must be integers"),
        ({"x": np.zeros((9, 4, 4), np.uint8), "y": np.arange(8)}, "9 images, 8 labels"),
        ({"x": np.zeros((9, 4, 4), np.uint8), "y": np.arange(9) - 1}, "label is outside"),
        ({"x": np.zeros((9, 4, 4), np.uint8), "y": np.zeros(9, int)}, "only one class"),
        ({"x": np.zeros((9, 4, 4), np.uint8), "y": np.full(9, 10**9)}, "too large"),
        ({"x": np.array([{}], object), "y": np.zeros(1, int)}, "cannot be read"),
        ({"x": np.zeros((0, 4, 4), np.uint8), "y": np.zeros(0, int)}, "too few"),
    ],
)
def test_bad_npz_must_be_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_data(f"npz:{tmp_path / 'data.npz'}")


def write_pictures(folder: Path, size: tuple[int, int] = (6, 4), mode: str = "RGB") -> None:
    for index, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for number in range(10):
            Image.new(mode, size, 20 * index + number).save(folder / name / f"{number}.png")


def test_a_folder_must_be_read_and_resized(tmp_path: Path) -> None:
    write_pictures(tmp_path)
    data = load_data(f"folder:{tmp_path}")
    assert data.class_names == ("cat", "dog")
    assert data.train.images.shape == (16, 4, 6, 3)
    assert data.input_spec.channel_order is ChannelOrder.RGB
    assert load_data(f"folder:{tmp_path}", (8, 8, 1)).test.images.shape == (4, 8, 8, 1)


def test_train_and_test_folders_must_be_kept_apart(tmp_path: Path) -> None:
    write_pictures(tmp_path / "train", mode="L")
    write_pictures(tmp_path / "test", mode="L")
    data = load_data(f"folder:{tmp_path}")
    assert (len(data.train), len(data.test)) == (20, 20)


def test_bad_folders_must_be_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no class folders"):
        load_data(f"folder:{tmp_path}")
    with pytest.raises(InputError, match="is not a folder"):
        load_data(f"folder:{tmp_path / 'nothing'}")
    write_pictures(tmp_path)
    Image.new("RGB", (9, 9)).save(tmp_path / "dog" / "other.png")
    with pytest.raises(InputError, match="give the size"):
        load_data(f"folder:{tmp_path}")
    (tmp_path / "dog" / "other.png").write_bytes(b"not a picture")
    with pytest.raises(InputError, match=r"other\.png: cannot be read as a picture"):
        load_data(f"folder:{tmp_path}")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="has no pictures"):
        load_data(f"folder:{tmp_path}")


@pytest.mark.parametrize("spec", ["", "digit", "digits:x", "idx", "idx:", "mnist:/x"])
def test_unknown_data_must_be_refused(spec: str) -> None:
    with pytest.raises(InputError, match="unknown; choose"):
        load_data(spec)


def test_mnist_must_be_complete(shared_data: Path) -> None:
    data = load_data(f"idx:{shared_data / 'mnist'}")
    assert (len(data.train), len(data.test)) == (60000, 10000)
    assert data.test.labels[:4].tolist() == [7, 2, 1, 0]
