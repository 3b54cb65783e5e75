"""Pictures of people and of ImageNet: decoded when they are asked for, and nobody in two parts."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from bitflow.errors import InputError
from bitflow.learn.data import image_files as reading
from bitflow.learn.data.dataset import Split, blocks, grouped_split
from bitflow.learn.data.image_files import Pictures, kept
from bitflow.learn.data.person_datasets import persons
from bitflow.learn.data.sources import load_data
from bitflow.learn.training.evaluate import accuracy, as_input


def write_picture(path: Path, value: int, size: tuple[int, int] = (12, 9)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (value, 255 - value, 7)).save(path)


@pytest.fixture
def imagenet(tmp_path: Path) -> Path:
    """Two classes of pictures of several sizes, one of them gray."""
    for part, count in (("train", 9), ("val", 3)):
        for index, name in enumerate(("n01440764", "n02119789")):
            for number in range(count):
                place = tmp_path / part / name / f"{name}_{number}.JPEG"
                write_picture(place, 100 * index + number, (8 + number, 9))
    Image.new("L", (30, 30), 99).save(tmp_path / "train" / "n01440764" / "gray.JPEG")
    return tmp_path


def test_imagenet_must_be_decoded_only_where_it_is_indexed(imagenet: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []

    def counted(path: Path, *rest: object) -> np.ndarray:  # type: ignore[type-arg]
        read.append(path.name)
        return original(path, *rest)  # type: ignore[arg-type]

    original = reading.read_picture
    monkeypatch.setattr(reading, "read_picture", counted)
    data = load_data(f"imagenet:{imagenet}")
    images = data.train.images
    assert isinstance(images, Pictures)
    assert (images.shape, images.dtype, len(images)) == ((19, 224, 224, 3), np.uint8, 19)
    learning, validation = data.train.cut(4, 1)
    assert (len(learning), len(validation), data.class_names) == (15, 4, ("n01440764", "n02119789"))
    assert read == []
    assert images[2:5].shape == (3, 224, 224, 3)
    assert as_input(images[np.array([3, 1])]).shape == (2, 3, 224, 224)
    assert images[0].shape == (224, 224, 3)
    assert len(read) == 3 + 2 + 1


def test_pictures_must_equal_the_array_they_stand_for(imagenet: Path) -> None:
    data = load_data(f"imagenet:{imagenet}", (10, 8, 3))
    whole = np.asarray(data.test.images)
    assert isinstance(kept(data.test.images), np.ndarray)  # type: ignore[arg-type]
    chosen = np.array([5, 0, 3])
    assert np.array_equal(data.test.take(chosen).images[:], whole[chosen])
    assert np.array_equal(np.concatenate(list(blocks(data.test.images, 500, 9))), whole)
    assert [len(part) for part in blocks(whole, 500, 9)] == [2, 2, 2]
    assert len(next(iter(blocks(whole, 1, 9)))) == 1
    gray = load_data(f"imagenet:{imagenet}", (10, 8, 1)).test.images
    assert gray.shape == (6, 10, 8, 1)


def test_accuracy_must_take_pictures(imagenet: Path) -> None:
    import torch

    data = load_data(f"imagenet:{imagenet}", (10, 8, 3))
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(240, 2))
    part = data.test
    assert accuracy(network, part) == accuracy(network, Split(np.asarray(part.images), part.labels))


def test_bad_imagenet_must_be_refused(imagenet: Path) -> None:
    (imagenet / "train" / "n02119789" / "n02119789_4.JPEG").write_bytes(b"torn")
    images = load_data(f"imagenet:{imagenet}", (8, 8)).train.images
    with pytest.raises(InputError, match=r"n02119789_4\.JPEG: cannot be read as a picture"):
        images[:]
    (imagenet / "val" / "n3").mkdir()
    with pytest.raises(InputError, match="n3 has no pictures"):
        load_data(f"imagenet:{imagenet}")
    write_picture(imagenet / "val" / "n3" / "a.png", 1)
    with pytest.raises(InputError, match="train/ and val/ do not have the same class folders"):
        load_data(f"imagenet:{imagenet}")
    with pytest.raises(InputError, match="is not a folder"):
        load_data(f"imagenet:{imagenet / 'val'}")


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), min_size=4, max_size=120).filter(
        lambda rows: len({group for _, group in rows}) >= 2
    ),
    st.floats(0.05, 0.9),
    st.integers(0, 2**31 - 1),
)
def test_groups_must_never_be_cut(rows: list[tuple[int, int]], share: float, seed: int) -> None:
    labels, groups = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    held_count = max(1, int(len(labels) * share))
    rest, held = grouped_split(labels, groups, held_count, seed)
    assert len(rest) > 0
    assert len(held) > 0
    assert sorted([*rest, *held]) == list(range(len(labels)))
    assert not set(groups[rest]) & set(groups[held])
    again = grouped_split(labels, groups, held_count, seed)
    assert np.array_equal(again[1], held)


def test_many_groups_must_be_split_by_the_shares_of_their_classes() -> None:
    groups = np.repeat(np.arange(100), 10)
    labels = (groups % 4 == 0).astype(np.int64)
    _, held = grouped_split(labels, groups, 200, 0)
    assert np.bincount(labels[held]).tolist() == [150, 50]


def test_one_group_must_be_refused() -> None:
    with pytest.raises(InputError, match="one person or group"):
        grouped_split(np.array([0, 1]), np.array([5, 5]), 1, 0)


COLUMNS = (
    "id",
    "age",
    "gender",
    "skinColor",
    "accessories",
    "nailPolish",
    "aspectOfHand",
    "imageName",
    "irregularities",
)


def write_hands(folder: Path, people: int = 20, inside: str = "Hands") -> list[dict[str, object]]:
    """Four pictures a person, as 11K Hands has them."""
    rows: list[dict[str, object]] = []
    for person in range(people):
        for number, aspect in enumerate(("dorsal left", "dorsal right", "palmar left", "palmar right")):
            name = f"Hand_{4 * person + number:07}.jpg"
            write_picture(folder / inside / name, 10 * person + number)
            values = (person, 20 + person, ("female", "male")[person % 2], "fair", 0, 0, aspect, name, 0)
            rows.append(dict(zip(COLUMNS, values, strict=True)))
    write_table(folder, rows)
    return rows


def write_table(folder: Path, rows: list[dict[str, object]], columns: tuple[str, ...] = COLUMNS) -> None:
    with (folder / "HandInfo.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns, extrasaction="ignore")
        table.writeheader()
        table.writerows(rows)


@pytest.mark.parametrize("inside", ["Hands", ""])
def test_hands_must_keep_people_apart(tmp_path: Path, inside: str) -> None:
    write_hands(tmp_path, inside=inside)
    data = load_data(f"hands:{tmp_path}", (8, 8))
    assert data.class_names == ("female", "male")
    assert (len(data.train), len(data.test)) == (64, 16)
    assert np.bincount(data.test.labels).tolist() == [8, 8]
    assert data.train.groups is not None
    assert data.test.groups is not None
    assert not set(data.train.groups) & set(data.test.groups)
    learning, validation = data.train.cut(8, 1)
    assert not set(learning.groups) & set(validation.groups)  # type: ignore[arg-type]
    aspects = load_data(f"hands:{tmp_path}@aspectOfHand", (8, 8))
    assert aspects.class_names == ("dorsal left", "dorsal right", "palmar left", "palmar right")
    assert np.bincount(aspects.test.labels).tolist() == [4, 4, 4, 4]
    assert load_data(f"hands:{tmp_path}").test.images.shape[1:] == (224, 224, 3)


def test_bad_hands_must_be_refused(tmp_path: Path) -> None:
    def refused(message: str, spec: str = "") -> None:
        with pytest.raises(InputError, match=message):
            load_data(f"hands:{tmp_path}{spec}", (8, 8))

    refused("HandInfo.csv: cannot be read")
    rows = write_hands(tmp_path)
    refused("not by 'imageName'", "@imageName")
    refused("only one class", "@skinColor")
    refused("age '20' has too few people", "@age")
    write_table(tmp_path, rows, ("id", "age", "imageName"))
    refused("has no column gender; it has id, age, imageName")
    write_table(tmp_path, [])
    refused("has no rows")
    (tmp_path / "HandInfo.csv").write_bytes(b"")
    refused("it has none")
    (tmp_path / "HandInfo.csv").write_bytes(b"\xff\xfe\x00")
    refused("HandInfo.csv: cannot be read")
    write_table(tmp_path, [{**rows[0], "imageName": "../../etc/passwd"}])
    refused("is not the name of a picture")
    write_table(tmp_path, [{**rows[0], "gender": ""}])
    refused("row 2 has no gender")
    write_table(tmp_path, [*rows, {**rows[0], "imageName": "Hand_none.jpg"}])
    refused("lacks 1 of 81 pictures of HandInfo.csv, as Hand_none.jpg")
    write_table(tmp_path, rows[:4])
    refused("one person")
    write_table(tmp_path, rows)
    (tmp_path / "Hands" / "Hand_0000003.jpg").write_bytes(b"torn")
    refused(r"Hand_0000003\.jpg: cannot be read as a picture")


def people_of(signs: str, numbers: list[int] | None = None) -> list[int]:
    values = np.array([int(sign) for sign in signs], np.int64)
    return persons(numbers or list(range(len(signs))), values).tolist()


@pytest.mark.parametrize(
    ("signs", "want"),
    [
        ("01234567890123456789", [0] * 10 + [1] * 10),
        ("0213456798" + "0123456789", [0] * 10 + [1] * 10),  # swapped
        ("012345678" + "123456789", [0] * 9 + [1] * 9),  # left out
        ("01234567889" + "01123456789", [0] * 11 + [1] * 11),  # taken twice
        ("50123467890123456789", [0] * 10 + [1] * 10),  # one that is too early is no person
    ],
)
def test_rows_of_signs_must_be_persons(signs: str, want: list[int]) -> None:
    assert people_of(signs) == want


def test_photographs_that_are_left_out_must_count() -> None:
    numbers = [*range(9), *range(14, 20)]
    assert people_of("012345678" + "456789", numbers) == [0] * 9 + [1] * 6
    order = np.random.default_rng(0).permutation(30)
    found = persons(order.tolist(), order % 10)
    assert np.array_equal(found, order // 10)


def write_signs(folder: Path, people: int = 12) -> None:
    for number in range(10 * people):
        write_picture(folder / str(number % 10) / f"IMG_{1000 + number}.JPG", number)


def test_signs_must_keep_people_apart(tmp_path: Path) -> None:
    write_signs(tmp_path / "images")
    data = load_data(f"signs:{tmp_path}")
    assert data.class_names == tuple("0123456789")
    assert data.train.images.shape == (100, 64, 64, 3)
    assert np.bincount(data.test.labels).tolist() == [2] * 10
    assert not set(data.train.groups) & set(data.test.groups)  # type: ignore[arg-type]
    two = load_data(f"signs:{tmp_path}@two", (8, 8, 1))
    assert two.class_names == ("0-4", "5-9")
    assert np.bincount(two.test.labels).tolist() == [10, 10]


def test_bad_signs_must_be_refused(tmp_path: Path) -> None:
    write_signs(tmp_path, 3)
    (tmp_path / "9" / "IMG_1009.JPG").rename(tmp_path / "9" / "photo.jpg")
    with pytest.raises(InputError, match=r"photo\.jpg: has no number"):
        load_data(f"signs:{tmp_path}")
    (tmp_path / "9").rename(tmp_path / "ten")
    with pytest.raises(InputError, match="must have the class folders 0 to 9"):
        load_data(f"signs:{tmp_path}")


def test_the_photographs_of_signs_must_be_told_apart(shared_data: Path) -> None:
    data = load_data(f"signs:{shared_data / 'hands'}")
    assert (len(data.train), len(data.test)) == (1651, 411)
    assert data.train.groups is not None
    assert data.test.groups is not None
    assert not set(data.train.groups) & set(data.test.groups)
    people, counts = np.unique(np.concatenate([data.train.groups, data.test.groups]), return_counts=True)
    assert len(people) == 207
    assert counts.min() >= 6
    assert counts.max() <= 11
