"""Features of sounds and CIFAR-10: what their readers give, and that senseless files end in one clear line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitflow.errors import InputError
from bitflow.geometry import ChannelOrder, Shape
from bitflow.learn.data.sources import load_data


def sounds(count: int = 40) -> np.ndarray[Any, Any]:
    return np.random.default_rng(0).integers(-128, 128, (count, 7, 3), np.int8)


def test_sounds_must_be_maps_of_height_1_in_the_same_order_of_bytes(tmp_path: Path) -> None:
    x, y = sounds(), np.arange(40) % 4
    np.savez(tmp_path / "words.npz", x=x, y=y)
    data = load_data(f"sound:{tmp_path / 'words.npz'}")
    assert (data.input_spec.shape, data.input_spec.dtype) == (Shape(1, 7, 3), "int8")
    assert (data.input_spec.zero_point, data.input_spec.channel_order) == (0, ChannelOrder.OTHER)
    assert data.class_names == ("0", "1", "2", "3")
    assert np.bincount(data.test.labels).tolist() == [2, 2, 2, 2]
    given = {one.tobytes(): int(label) for one, label in zip(x, y, strict=True)}
    for part in (data.train, data.test):
        assert [given[image.tobytes()] for image in part.images] == part.labels.tolist()
    again = load_data(f"sound:{tmp_path / 'words.npz'}")
    assert np.array_equal(again.test.images, data.test.images)


def test_equal_sounds_must_stay_in_one_part(tmp_path: Path) -> None:
    x = np.concatenate([sounds(), sounds()])
    np.savez(tmp_path / "words.npz", x=x, y=np.tile(np.arange(40) % 4, 2))
    data = load_data(f"sound:{tmp_path / 'words.npz'}")
    train, test = ({image.tobytes() for image in part.images} for part in (data.train, data.test))
    assert (len(train), len(test)) == (32, 8)
    assert not train & test
    learning, validation = data.train.cut(8, 1)
    assert not {image.tobytes() for image in learning.images} & {image.tobytes() for image in validation.images}


@pytest.mark.parametrize("key", ["speakers", "names"])
def test_a_speaker_must_be_in_one_part(tmp_path: Path, key: str) -> None:
    who = np.arange(40) // 4
    names = np.array([f"bed/{100 + person:08x}_nohash_{number % 4}.wav" for number, person in enumerate(who)])
    extra: Any = {key: names if key == "names" else who}
    np.savez(tmp_path / "words.npz", x=sounds(), y=np.arange(40) % 4, **extra)
    data = load_data(f"sound:{tmp_path / 'words.npz'}")
    assert (len(data.train), len(data.test)) == (32, 8)
    assert data.train.groups is not None
    assert data.test.groups is not None
    assert not set(data.train.groups) & set(data.test.groups)


def test_words_must_name_the_classes_only_where_all_of_them_agree(tmp_path: Path) -> None:
    y = np.arange(40) % 2
    names = np.array([f"tst_{number:06}_{('Down', 'Go')[label]}_{label}.bin" for number, label in enumerate(y)])

    def classes(**more: Any) -> tuple[str, ...]:
        np.savez(tmp_path / "words.npz", x=sounds(), y=y, **more)
        return load_data(f"sound:{tmp_path / 'words.npz'}").class_names

    assert classes(names=names) == ("Down", "Go")
    assert classes(names=names[::-1]) == ("0", "1")
    assert classes(names=names[:-1]) == ("0", "1")
    assert classes(names=names, class_names=np.array(["off", "on", "rest"])) == ("off", "on", "rest")


def test_sounds_with_a_test_part_must_keep_it(tmp_path: Path) -> None:
    x, y = sounds(), np.arange(40) % 4
    np.savez(tmp_path / "words.npz", x_train=x[:30], y_train=y[:30], x_test=x[30:], y_test=y[30:])
    assert np.array_equal(load_data(f"sound:{tmp_path / 'words.npz'}").test.images[:, 0], x[30:])


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": sounds()}, "needs x and y; has x"),
        ({"x": sounds()[0], "y": np.zeros(7, int)}, r"must be \[N, steps, features\]"),
        ({"x": sounds() / 2, "y": np.zeros(40, int)}, "uint8 or int8"),
        ({"x": sounds(), "y": np.zeros(39, int)}, "40 sounds, 39 labels"),
        ({"x": sounds(), "y": np.arange(40) % 3, "class_names": np.array(["a", "b"])}, "at least 3 different names"),
        ({"x": sounds(), "y": np.arange(40) % 2, "class_names": np.array(["a", "a"])}, "at least 2 different names"),
        ({"x": sounds(), "y": np.arange(40) % 2, "speakers": np.arange(3)}, "speakers must be 40"),
        ({"x": sounds(), "y": np.arange(40) % 2, "speakers": np.zeros(40, int)}, "one person or group"),
        ({"x": sounds(), "y": np.arange(40) % 2, "names": np.arange(40)}, "names must be a list of text"),
        ({"x": sounds(0), "y": np.zeros(0, int)}, "too few"),
    ],
)
def test_bad_sounds_must_be_refused(tmp_path: Path, arrays: dict[str, Any], message: str) -> None:
    np.savez(tmp_path / "words.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_data(f"sound:{tmp_path / 'words.npz'}")


def test_the_words_of_mlperf_must_be_read(shared_data: Path) -> None:
    data = load_data(f"sound:{shared_data / 'kws' / 'kws01_1000_int8_49x10.npz'}")
    assert data.class_names[:3] == ("Down", "Go", "Left")
    assert data.class_names[10:] == ("Silence", "Unknown")
    assert (len(data.train), len(data.test), data.input_spec.shape) == (800, 200, Shape(1, 49, 10))


def write_batches(folder: Path, count: int = 4) -> np.ndarray[Any, Any]:
    """Six batches; returns the pixels of the test batch."""
    random = np.random.default_rng(0)
    images = np.empty(0)
    for number in range(6):
        images = random.integers(0, 256, (count, 32, 32, 3), np.uint8)
        name = f"data_batch_{number + 1}.bin" if number < 5 else "test_batch.bin"
        planes = images.transpose(0, 3, 1, 2).reshape(count, -1)
        labels = (np.arange(count, dtype=np.uint8) % 10)[:, np.newaxis]
        (folder / name).write_bytes(np.concatenate([labels, planes], axis=1).tobytes())
    return images


def test_cifar10_must_be_read_from_its_binary_version(tmp_path: Path) -> None:
    images = write_batches(tmp_path)
    data = load_data(f"cifar10:{tmp_path}")
    assert (len(data.train), data.class_names[3], data.input_spec.channel_order) == (20, "cat", ChannelOrder.RGB)
    assert np.array_equal(data.test.images, images)
    assert data.test.labels.tolist() == [0, 1, 2, 3]


def test_cifar10_must_be_read_from_npz(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (12, 32, 32, 3), np.uint8)
    np.savez(tmp_path / "train.npz", x=images, y=np.arange(12, dtype=np.uint8) % 10)
    np.savez(tmp_path / "test.npz", x=images[:2], y=np.array([[9], [0]], np.uint8))
    data = load_data(f"cifar10:{tmp_path}")
    assert np.array_equal(data.train.images, images)
    assert data.test.labels.tolist() == [9, 0]
    assert len(data.class_names) == 10


def test_bad_cifar10_must_be_refused(tmp_path: Path) -> None:
    def refused(message: str) -> None:
        with pytest.raises(InputError, match=message):
            load_data(f"cifar10:{tmp_path}")

    refused("has neither")
    (tmp_path / "data_batch_1").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    refused("the version for Python is not supported; use the binary one")
    for part in ("train", "test"):
        np.savez(tmp_path / f"{part}.npz", x=np.zeros((2, 32, 32), np.uint8), y=np.arange(2))
    refused(r"train\.npz: x must be uint8 \[N, 32, 32, 3\]")
    np.savez(tmp_path / "train.npz", x=np.array([{}], object), y=np.arange(1))
    refused("cannot be read as .npz")
    write_batches(tmp_path)
    content = (tmp_path / "data_batch_3.bin").read_bytes()
    (tmp_path / "data_batch_3.bin").write_bytes(content[:-1])
    refused(r"data_batch_3\.bin: is not a batch of CIFAR-10, records of 3073 bytes")
    (tmp_path / "data_batch_3.bin").write_bytes(b"\x0a" + content[1:])
    refused("label is outside 0..9")
