"""Photographs of people: readers that know who is on each picture, and never put one person into both parts."""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.data.dataset import Dataset, Labels, Split, hold_out
from bitflow.learn.data.image_files import Pictures, kept, list_pictures

__all__ = ["persons", "read_hands", "read_signs"]

# Columns of 11K Hands that can be classes. id and imageName identify the picture.
HAND_COLUMNS = ("accessories", "age", "aspectOfHand", "gender", "irregularities", "nailPolish", "skinColor")
HAND_SIZE = (224, 224, 3)
SIGN_SIZE = (64, 64, 3)
# Limit for a class table, bytes. The one of 11K Hands has 0.9 MB.
MAX_TABLE = 2**26
_SIGN = re.compile(r"(?:.*\D)?(\d{1,9})\.\w+")
# How many photographs a row of signs may go back or leave out before it counts as another person's.
_NEW_ROW = 5


def read_hands(place: Path, size: tuple[int, ...] | None) -> Dataset:
    """11K Hands (Afifi, 2019): DIR has HandInfo.csv, and the pictures or a folder Hands of them.

    DIR@COLUMN uses this column of the table as the classes; by default gender. A fifth of the pictures is the test
    part; no person, by the column id, is in both parts.

    size: (height, width[, channels]), by default 224x224x3.
    """
    folder, column = _suffix(place, "gender")
    require(column in HAND_COLUMNS, f"hands can be told apart by {', '.join(HAND_COLUMNS)}, not by {column!r}")
    rows = _read_table(folder / "HandInfo.csv", ("id", column, "imageName"))
    pictures = folder / "Hands" if (folder / "Hands").is_dir() else folder
    missing = [name for _, _, name in rows if not (pictures / name).is_file()]
    if missing:
        raise InputError(f"{pictures} lacks {len(missing)} of {len(rows)} pictures of HandInfo.csv, as {missing[0]}")
    people, columns, names = zip(*rows, strict=True)
    classes, labels = _numbered(columns)
    images = kept(Pictures(pictures, names, size or HAND_SIZE))
    data = hold_out(folder.name, Split(images, labels, _numbered(people)[1]), classes)
    unseen = sorted(set(data.test.labels.tolist()) - set(data.train.labels.tolist()))
    if unseen:
        raise InputError(f"{folder}: {column} {classes[unseen[0]]!r} has too few people to train on")
    return data


def read_signs(place: Path, size: tuple[int, ...] | None) -> Dataset:
    """Photographs of the ten signs for digits (Sign-Language-Digits-Dataset): DIR/0..9, or DIR/images/0..9.

    Ten classes; with DIR@two the two classes "0-4" and "5-9". A fifth of the pictures is the test part; no person
    (see `persons`) is in both parts.

    size: (height, width[, channels]), by default 64x64x3.
    """
    folder, kind = _suffix(place, "ten")
    require(kind in ("ten", "two"), f"signs are told apart as DIR or DIR@two, not by {kind!r}")
    folder = folder / "images" if (folder / "images").is_dir() else folder
    names, labels, classes = list_pictures(folder)
    require(classes == tuple("0123456789"), f"{folder} must have the class folders 0 to 9, has {', '.join(classes)}")
    groups = persons([_photograph(folder, name) for name in names], labels)
    if kind == "two":
        labels, classes = (labels >= 5).astype(np.int64), ("0-4", "5-9")
    images = kept(Pictures(folder, names, size or SIGN_SIZE))
    return hold_out(
        folder.parent.name if folder.name == "images" else folder.name, Split(images, labels, groups), classes
    )


def persons(numbers: Sequence[int], signs: Labels) -> Labels:
    """Who is on each photograph, int64 [N], from the numbers of the photographs and the signs (0..9) on them.

    Everybody was photographed with the signs 0 to 9 in a row. So, in the order of the numbers, the next person begins
    where the row starts over: where the sign falls by five, counting missing photographs. A row of fewer than five
    signs is not yet a new person, because some photographs are missing and some signs are swapped. Taking two people
    for one does no harm, but taking one for two would.
    """
    number = np.array(numbers, np.int64)
    order = np.argsort(number, kind="stable")
    groups = np.zeros(len(number), np.int64)
    person = length = 0
    for before, here in itertools.pairwise(order):
        length += 1
        left_out = number[here] - number[before] - 1
        if length >= _NEW_ROW and signs[before] - signs[here] + left_out >= _NEW_ROW:
            person, length = person + 1, 0
        groups[here] = person
    return groups


def _suffix(place: Path, default: str) -> tuple[Path, str]:
    """DIR@WHAT -> DIR, WHAT. If a folder has the whole name, it is used with the default."""
    text, mark, what = str(place).rpartition("@")
    whole = not mark or "/" in what or place.is_dir()
    return (place, default) if whole else (Path(text), what)


def _read_table(path: Path, columns: tuple[str, ...]) -> list[tuple[str, ...]]:
    """The columns of a table, one tuple per row. Raises InputError if a column is missing, or there are no rows."""
    try:
        require(path.stat().st_size <= MAX_TABLE, f"{path}: is larger than {MAX_TABLE} bytes")
        with path.open(newline="", encoding="utf-8-sig") as file:
            table = csv.DictReader(file)
            lacks = [column for column in columns if column not in (table.fieldnames or ())]
            require(
                not lacks, f"{path}: has no column {', '.join(lacks)}; it has {', '.join(table.fieldnames or ['none'])}"
            )
            rows = [tuple(row[column] or "" for column in columns) for row in table]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"{path}: cannot be read ({reason})") from error
    require(bool(rows), f"{path}: has no rows")
    for line, row in enumerate(rows, 2):
        if "" in row:
            raise InputError(f"{path}: row {line} has no {columns[row.index('')]}")
        require(Path(row[-1]).name == row[-1] != "..", f"{path}: row {line}: {row[-1]!r} is not the name of a picture")
    return rows


def _numbered(values: Iterable[str]) -> tuple[tuple[str, ...], Labels]:
    """The different values, sorted, and the index of each value among them."""
    names, places = np.unique(np.array(list(values)), return_inverse=True)
    return tuple(map(str, names)), places.astype(np.int64)


def _photograph(folder: Path, name: str) -> int:
    found = _SIGN.fullmatch(Path(name).name)
    if found is None:
        raise InputError(f"{folder / name}: has no number, as in IMG_1118.JPG, from which the person follows")
    return int(found[1])
