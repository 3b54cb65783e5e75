"""Decoded pictures in the user's cache: read once, never half, never old, within the limit."""

from __future__ import annotations

import os
import pickle
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitflow import resources
from bitflow.errors import InputError
from bitflow.learn.data import image_files as reading
from bitflow.learn.data import picture_cache as caching
from bitflow.learn.data.image_files import Pictures, kept
from bitflow.learn.data.picture_cache import VARIABLE
from bitflow.learn.data.sources import load_data

COUNT = 6
NAMES = tuple(f"{number}.png" for number in range(COUNT))
SIZE = (8, 10, 3)
BYTES = 8 * 10 * 3


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the cache, empty."""
    monkeypatch.setattr(resources, "cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setenv(VARIABLE, str(2**20))
    monkeypatch.setattr(caching, "_FREE", 2**40)  # the disk of the tests may be nearly full
    return tmp_path / "cache" / "pictures"


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were decoded, in their order."""
    names: list[str] = []
    original = reading.read_picture

    def counted(path: Path, *rest: object) -> npt.NDArray[np.uint8]:
        names.append(path.name)
        return original(path, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(reading, "read_picture", counted)
    return names


def listed(tmp_path: Path, size: tuple[int, ...] = SIZE, names: tuple[str, ...] = NAMES) -> Pictures:
    """The pictures, decoded anew each time; they are written when they are first asked for."""
    folder = tmp_path / "photos"
    if not folder.exists():
        folder.mkdir()
        for number, name in enumerate(NAMES):
            Image.new("RGB", (20, 20), (number, 7 * number, 200 - number)).save(folder / name)
    return Pictures(folder, names, size)


def pictures(tmp_path: Path) -> Pictures:
    return listed(tmp_path).cached()


def test_pictures_must_be_decoded_once(tmp_path: Path, decoded: list[str]) -> None:
    first = pictures(tmp_path)
    plain = listed(tmp_path)[:]
    decoded.clear()
    part = first.take(np.array([4, 1, 5])).take(np.array([2, 0]))
    assert np.array_equal(part[:], plain[[5, 4]])
    assert np.array_equal(part[1], plain[4])
    assert decoded == ["5.png", "4.png"]
    # Another process, and one that got its pictures by pickle.
    again = pictures(tmp_path)
    assert np.array_equal(again[:], plain)
    assert np.array_equal(pickle.loads(pickle.dumps(first))[:], plain)
    assert sorted(decoded[2:]) == ["0.png", "1.png", "2.png", "3.png"]


def test_a_picture_that_changed_must_be_decoded_anew(tmp_path: Path, decoded: list[str]) -> None:
    pictures(tmp_path)[:]
    Image.new("RGB", (20, 20), (255, 0, 0)).save(tmp_path / "photos" / "3.png")
    os.utime(tmp_path / "photos" / "3.png", ns=(1, 1))
    again = pictures(tmp_path)
    decoded.clear()
    assert again[3][0, 0].tolist() == [255, 0, 0]
    assert again[2][0, 0].tolist() == [2, 14, 198]
    assert decoded == ["3.png"]
    (tmp_path / "photos" / "3.png").unlink()
    with pytest.raises(InputError, match=r"3\.png: cannot be read as a picture"):
        again[3]


@pytest.mark.parametrize("where", [BYTES - 1, 0, 3 * BYTES])
def test_a_picture_that_was_half_written_must_not_be_taken(
    tmp_path: Path, cache: Path, decoded: list[str], where: int
) -> None:
    want = pictures(tmp_path)[:]
    (file,) = cache.iterdir()
    with file.open("r+b") as content:
        content.truncate(4096 + where)
        content.truncate(4096 + COUNT * BYTES)
    decoded.clear()
    again = pictures(tmp_path)
    assert np.array_equal(again[:], want)
    assert decoded == list(NAMES[where // BYTES :])


def test_another_listing_or_size_must_have_another_file(tmp_path: Path, cache: Path) -> None:
    for _ in range(2):
        pictures(tmp_path)[:]
    assert len(list(cache.iterdir())) == 1
    for other in (
        listed(tmp_path, names=NAMES[::-1]),
        listed(tmp_path, (8, 10, 1)),
        listed(tmp_path, names=NAMES[:-1]),
    ):
        assert np.array_equal(other.cached()[:], other[:])
    assert len(list(cache.iterdir())) == 4


def test_what_is_beyond_the_limit_must_be_decoded_anew(
    tmp_path: Path, cache: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, str(4096 + 4 * BYTES + 5))
    images = pictures(tmp_path)
    want = images[:]
    assert next(cache.iterdir()).stat().st_size == 4096 + 4 * BYTES
    decoded.clear()
    assert np.array_equal(images[:], want)
    assert decoded == ["4.png", "5.png"]


def test_no_cache_must_be_made_where_none_is_wanted(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "0")
    pictures(tmp_path)[:]
    assert not cache.exists()
    for text in ("many", "-1", "1e9", ""):
        monkeypatch.setenv(VARIABLE, text)
        with pytest.raises(InputError, match="must be a number of bytes"):
            pictures(tmp_path)[:]


def test_a_disk_that_is_full_or_read_only_must_not_stop_a_run(
    tmp_path: Path, cache: Path, decoded: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", full)
        images = pictures(tmp_path)
        assert np.array_equal(images[:], images[:])
    assert next(cache.iterdir()).stat().st_size == 0
    with monkeypatch.context() as patch:
        patch.setattr(os, "open", full)
        pictures(tmp_path)[:]
    with monkeypatch.context() as patch:
        patch.setattr(caching, "_FREE", 10)
        patch.setattr(os, "fstatvfs", lambda _: os.statvfs_result((1, 1, 1000, 99, 99, 0, 0, 0, 0, 255)))
        pictures(tmp_path)[:]
    assert len(decoded) == 4 * COUNT
    assert next(cache.iterdir()).stat().st_size == 0


def test_old_files_must_make_room(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.mkdir(parents=True)
    now = time.time()
    for name, days in (("stale", 31), ("older", 3), ("old", 2), ("today", 0.5)):
        (cache / name).write_bytes(b"x" * 8192)
        os.utime(cache / name, (now - 86400 * days,) * 2)
    need = 4096 + COUNT * BYTES

    def left(limit: int) -> list[str]:
        monkeypatch.setenv(VARIABLE, str(limit))
        pictures(tmp_path)[:]
        return sorted(path.name for path in cache.iterdir() if len(path.name) < 9)

    assert left(3 * 8192 + need) == ["old", "older", "today"]
    assert left(2 * 8192 + need) == ["old", "today"]
    assert left(100) == ["today"]


def test_sources_must_cache_what_they_do_not_keep(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / "set" / part / name).mkdir(parents=True)
            Image.new("RGB", (20, 20), (1, 2, 3)).save(tmp_path / "set" / part / name / "1.png")
    load_data(f"imagenet:{tmp_path / 'set'}", (8, 8)).train.images[:]
    assert len(list(cache.iterdir())) == 1
    small = listed(tmp_path, names=NAMES[:2])
    assert isinstance(kept(small), np.ndarray)
    monkeypatch.setattr(reading, "MAX_BYTES", 2 * BYTES - 1)
    large = kept(small)
    assert isinstance(large, Pictures)
    assert np.array_equal(large[:], small[:])
    assert len(list(cache.iterdir())) == 2
