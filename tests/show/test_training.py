"""The page of a training run: one file that loads nothing, of bounded size, in which names of others stay text."""

from __future__ import annotations

import base64
import io
import math
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from bitflow.errors import InputError, MissingError
from bitflow.show import html, training_plots
from bitflow.show.training import page

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}", "$a_{b$", "\x1b[2J\u202eb")
HISTORY = [
    {
        "epoch": epoch,
        "loss": 1 / epoch,
        "train_accuracy": 0.5 + epoch / 10,
        "validation_accuracy": (0.6, 0.8, 0.8, 0.7)[epoch - 1],
        "learning_rate": 0.01,
        "seconds": 50.0 * epoch,
    }
    for epoch in range(1, 5)
]


class Reader(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data + " "  # cells of a table stand side by side

    def values(self, tag: str, name: str) -> list[str]:
        return [str(attributes[name]) for found, attributes in self.tags if found == tag and name in attributes]


def scored(
    count: int, classes: int, right: float = 0.5, shape: tuple[int, ...] = (6, 6, 1)
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64], npt.NDArray[np.int32]]:
    """Images, labels and scores of which a share is right; image k is wrong by k + 1."""
    images = np.random.default_rng(0).integers(0, 256, (count, *shape), np.uint8)
    labels = np.arange(count, dtype=np.int64) % classes
    scores = np.zeros((count, classes), np.int32)
    wrong = np.arange(count) >= right * count
    scores[np.arange(count), np.where(wrong, (labels + 1) % classes, labels)] = np.arange(count) + 1
    return images, labels, scores


def names(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def test_page_must_tell_the_figures_of_the_run(tmp_path: Path) -> None:
    path = page(tmp_path / "training", HISTORY, {"network": "tiny"}, *scored(100, 4, 0.9), names(4), title="A run")
    text = Reader(path).text
    for words in ("A run", "90.00%", "90 of 100 images", "the best, epoch 3", "80.00%", "network", "tiny", "3 min"):
        assert words in text
    assert "Wrong images: 10, the surest first" in text
    assert "Right images: 90, the first of each class" in text
    assert "top 5" not in text
    assert sorted(found.name for found in path.parent.iterdir()) == ["confusion.png", "curves.png", "training.html"]
    for name in ("confusion.png", "curves.png"):
        with Image.open(path.parent / name) as picture:
            picture.load()


def test_wrong_images_must_come_surest_first(tmp_path: Path) -> None:
    images, labels, scores = scored(100, 4)
    found = Reader(page(tmp_path, HISTORY, {}, images, labels, scores, names(4)))
    shown = [int(match[1]) for match in re.finditer(r"image (\d+)", found.text)]
    assert shown[:40] == list(range(99, 59, -1))
    assert shown[40:] == [0, 1, 2, 3]
    assert len(found.values("figure", "class")) == 0
    sources = [source for source in found.values("img", "src") if source == html.picture(images[99], 112)]
    assert len(sources) == 1


def test_page_must_count_confusions(tmp_path: Path) -> None:
    _, labels, scores = scored(12, 3, 0.5)
    text = Reader(page(tmp_path, HISTORY, {}, np.zeros((12, 4, 4, 3), np.uint8), labels, scores, names(3))).text
    pairs = " ".join(text[text.index("Most frequent confusions") : text.index("Wrong images")].split())
    assert pairs.endswith("images class 0 class 1 2 class 1 class 2 2 class 2 class 0 2")


def test_page_must_keep_names_as_text(tmp_path: Path) -> None:
    path = page(tmp_path, HISTORY, {"<i>fact": "<u>value"}, *scored(20, 5), HOSTILE, title="</title><b>run")
    found = Reader(path)
    assert {"script", "i", "u", "b"} & {tag for tag, _ in found.tags} == set()
    assert not [name for _, attributes in found.tags for name in attributes if name.startswith("on")]
    for text in (*HOSTILE[:4], "\ufffd[2J\ufffdb", "<i>fact", "<u>value", "</title><b>run"):
        assert text in found.text
    assert not set("\x1b\u202e") & set(path.read_text(encoding="utf-8"))


def test_page_must_load_nothing(tmp_path: Path) -> None:
    path = page(tmp_path, HISTORY, {}, *scored(60, 30, 0.9), names(30))
    found = Reader(path)
    sources = found.values("img", "src") + found.values("source", "srcset")
    assert len(sources) > 8
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    text = path.read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(
    ("classes", "table", "drawings", "drawn"), [(20, True, 3, True), (21, False, 4, True), (101, False, 3, False)]
)
def test_many_classes_must_not_be_many_cells(
    tmp_path: Path, classes: int, table: bool, drawings: int, drawn: bool
) -> None:
    (tmp_path / "confusion.png").write_bytes(b"of an older run")
    found = Reader(page(tmp_path, HISTORY, {}, *scored(3 * classes, classes), names(classes)))
    assert ("matrix" in " ".join(found.values("table", "class"))) == table
    assert found.values("img", "class") == ["drawing"] * drawings
    assert (tmp_path / "confusion.png").exists() == drawn
    assert ("Hardest classes" in found.text) == ("top 5" in found.text) == (not table)
    assert "Most frequent confusions" in found.text


def test_a_thousand_classes_must_stay_small(tmp_path: Path) -> None:
    path = page(tmp_path, HISTORY, {}, *scored(4000, 1000), names(1000))
    assert path.stat().st_size < 400_000


def test_equal_runs_must_give_equal_bytes(tmp_path: Path) -> None:
    found = []
    for folder in (tmp_path / "a", tmp_path / "b"):
        page(folder, HISTORY, {"seed": "1"}, *scored(30, 3), names(3))
        found.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert found[0] == found[1]


def test_a_page_must_come_without_curves_errors_and_hits(tmp_path: Path) -> None:
    images, labels, scores = scored(12, 3, 1.0)
    text = Reader(page(tmp_path, [], {}, images, labels, scores, names(3))).text
    assert "Wrong images" not in text
    assert "Most frequent" not in text
    assert "epochs" not in text
    unknown = [{**HISTORY[0], "train_accuracy": math.nan, "validation_accuracy": math.nan, "seconds": math.nan}]
    found = Reader(page(tmp_path, unknown, {}, images, (labels + 1) % 3, scores.astype(np.float32), names(3)))
    assert "Right images" not in found.text
    assert "0.00%" in found.text
    assert "nan" not in found.text


class Decoded:
    """Images that are decoded where they are indexed, as pictures on disk are."""

    def __init__(self, images: npt.NDArray[np.uint8]) -> None:
        self._images = images
        self.asked: set[int] = set()

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, key: Any) -> Any:
        self.asked.add(key)
        return self._images[key]


def test_only_the_images_that_are_shown_must_be_decoded(tmp_path: Path) -> None:
    images, labels, scores = scored(500, 4)
    lazy = Decoded(images)
    page(tmp_path, HISTORY, {}, lazy, labels, scores, names(4))
    assert len(lazy.asked) <= 40 + 4


def opened(source: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))


def test_pictures_must_show_each_kind_of_input() -> None:
    gray = np.array([[[-128], [127]]], np.int8)
    assert list(opened(html.picture(gray, 64)).tobytes()) == [0, 255]
    red = np.zeros((200, 100, 3), np.uint8)
    red[..., 0] = 255
    photo = opened(html.picture(red, 64))
    assert (photo.size, photo.getpixel((3, 3))) == ((32, 64), (255, 0, 0))
    # Three steps of two features: the first feature is the lower row, and each has all shades.
    sound = np.array([[[0, 50], [10, 40], [20, 40]]], np.int8)
    drawn = opened(html.picture(sound, 64))
    assert drawn.size == (3, 2)
    dark, bright = (68, 1, 84), (253, 231, 37)
    assert [drawn.getpixel((step, 1)) for step in (0, 2)] == [dark, bright]
    assert [drawn.getpixel((step, 0)) for step in range(3)] == [bright, dark, dark]


def test_sounds_must_be_shown_wide(tmp_path: Path) -> None:
    found = Reader(page(tmp_path, HISTORY, {}, *scored(12, 3, 0.5, (1, 49, 10)), names(3)))
    assert "pictures wide" in found.values("div", "class")


def test_what_does_not_fit_must_be_refused(tmp_path: Path) -> None:
    images, labels, scores = scored(12, 3)
    for arguments, message in (
        ((images[1:], labels, scores, names(3)), "11 images, 12 labels, 12 scores"),
        ((images, labels, scores, names(2)), "2 names for 3 classes"),
        ((images, labels + 1, scores, names(3)), r"outside 0\.\.2"),
        ((images[:0], labels[:0], scores[:0], names(3)), "scores must be"),
    ):
        with pytest.raises(InputError, match=message):
            page(tmp_path / "new", HISTORY, {}, *arguments)
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="file: cannot be written"):
        page(tmp_path / "file", HISTORY, {}, images, labels, scores, names(3))
    assert not (tmp_path / "new").exists()


def test_without_matplotlib_there_must_be_one_line_and_no_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingError, match=r"pip install 'bitflow-net\[plot\]'"):
        page(tmp_path / "new", HISTORY, {}, *scored(12, 3), names(3))
    assert not (tmp_path / "new").exists()


def test_themes_must_be_those_of_the_pages() -> None:
    look = Path(html.__file__).with_name("look.css.j2").read_text()
    light, dark = look.split("prefers-color-scheme: dark")
    for theme, part in ((training_plots.LIGHT, light), (training_plots.DARK, dark)):
        for name, color in (("card", theme.ground), ("dim", theme.text), ("line", theme.line)):
            assert f"--{name}: {color}" in part
