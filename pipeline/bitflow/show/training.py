"""A training run as one HTML file: settings, curves, confused classes, and wrong test images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.files import write_atomic
from bitflow.geometry import require
from bitflow.show import confusion, html, training_plots
from bitflow.show.training_plots import DARK, LIGHT, PANELS

__all__ = ["Images", "page"]

_CLASSES = 20  # classes in a confusion table, at most; more do not fit a page
_DRAWN = 100  # classes in a confusion picture, at most; more would be too small to see
_ROWS = 12  # rows of the tables of pairs and of classes, at most
_WRONG = 40
_RIGHT = 12
_SIDE = 112  # longer side of a test image, pixels
_TOP = 5

History = Sequence[Mapping[str, float]]
Counts = npt.NDArray[np.int64]
Labels = npt.NDArray[np.integer[Any]]


class Images(Protocol):
    """Test images uint8 or int8 [N, H, W, C]: an array, or a lazy array that decodes when indexed."""

    def __len__(self) -> int: ...

    def __getitem__(self, key: Any, /) -> Any: ...


def page(
    folder: Path,
    history: History,
    facts: Mapping[str, str],
    images: Images,
    labels: Labels,
    scores: npt.NDArray[Any],
    names: Sequence[str],
    *,
    title: str = "Training",
) -> Path:
    """Write training.html, curves.png and confusion.png (up to 100 classes) into `folder`; the path of the page.

    Equal arguments give equal bytes.

    history: one row per epoch, as from `learn.training.history.read_epochs`; may be empty.
    facts: more facts about the run, by name, in the order in which they are shown.
    images, labels, scores: of the test part, [N, H, W, C], [N] and [N, classes]; a larger score is more likely.
    names: names of the classes.

    Raises MissingError without matplotlib, before anything is written; InputError if the arguments do not fit each
    other, or the files cannot be written.
    """
    require(scores.ndim == 2 and len(scores) > 0, f"scores must be [N, classes], got {list(scores.shape)}")
    require(
        len(images) == len(labels) == len(scores), f"{len(images)} images, {len(labels)} labels, {len(scores)} scores"
    )
    require(len(names) == scores.shape[1], f"{len(names)} names for {scores.shape[1]} classes")
    inside = bool(((labels >= 0) & (labels < len(names))).all())
    require(inside, f"a label is outside 0..{len(names) - 1}")
    names = [_clean(name) for name in names]
    predicted = scores.argmax(axis=1)
    counts = confusion.counted(labels, predicted, len(names))
    # Pictures first: without matplotlib nothing is written.
    drawn = {"curves.png": training_plots.curves(history, LIGHT)}
    cells = None
    if len(names) <= _DRAWN:
        drawn["confusion.png"] = training_plots.confusion(counts, names, LIGHT)
    if _CLASSES < len(names) <= _DRAWN:
        cells = _pair(drawn["confusion.png"], training_plots.confusion(counts, names, DARK))
    text = html.render(
        "bitflow.show",
        "training.html.j2",
        title=_clean(title),
        tiles=_tiles(history, labels, scores),
        facts=[(_clean(name), _clean(value)) for name, value in facts.items()],
        curves=_curves(history),
        matrix=confusion.matrix(counts, names) if len(names) <= _CLASSES else None,
        cells=cells,
        pairs=confusion.pairs(labels, predicted, names, _ROWS),
        hardest=_hardest(counts, names) if len(names) > _CLASSES else [],
        examples=_examples(images, labels, scores, names),
    )
    _write(folder, {**drawn, "training.html": text.encode()})
    return folder / "training.html"


def _clean(name: str) -> str:
    """The name without characters that move a cursor or change the writing direction. Templates escape markup."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in name)


def _tiles(history: History, labels: Labels, scores: npt.NDArray[Any]) -> list[tuple[str, str, str]]:
    """Name, value and remark of the most important figures."""
    right = int((scores.argmax(axis=1) == labels).sum())
    tiles = [("test accuracy", f"{right / len(labels):.2%}", f"{right:,} of {len(labels):,} images")]
    if scores.shape[1] > _CLASSES:
        # The number of classes that score higher than the right one.
        above = (scores > scores[np.arange(len(labels)), labels][:, np.newaxis]).sum(axis=1)
        tiles.append((f"top {_TOP}", f"{(above < _TOP).mean():.2%}", f"the right class is among {_TOP}"))
    known = [row for row in history if not math.isnan(row["validation_accuracy"])]
    if known:
        best = max(known, key=lambda row: (row["validation_accuracy"], row["epoch"]))
        tiles.append(
            ("validation accuracy", f"{best['validation_accuracy']:.2%}", f"the best, epoch {best['epoch']:g}")
        )
        if not math.isnan(best["train_accuracy"]):
            tiles.append(("training accuracy", f"{best['train_accuracy']:.2%}", "in the same epoch"))
    if history:
        last = history[-1]
        tiles.append(("epochs", f"{last['epoch']:g}", "" if math.isnan(last["seconds"]) else _time(last["seconds"])))
    return tiles


def _time(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 2:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _curves(history: History) -> list[dict[str, str]]:
    if not history:
        return []
    return [
        {
            "says": f"{title} over {len(history)} epochs",
            **_pair(*(training_plots.curves(history, theme, [panel]) for theme in (LIGHT, DARK))),
        }
        for panel, (title, _) in enumerate(PANELS)
    ]


def _pair(light: bytes, dark: bytes) -> dict[str, str]:
    return {"light": html.png(light), "dark": html.png(dark)}


def _hardest(counts: Counts, names: Sequence[str]) -> list[tuple[str, str, int, int]]:
    """Name, share, right images and all images of the classes with the lowest accuracy."""
    totals, right = counts.sum(axis=1), np.diag(counts)
    shares = np.where(totals > 0, right / np.maximum(totals, 1), 2)
    order = [at for at in np.argsort(shares, kind="stable")[:_ROWS] if totals[at]]
    return [(names[at], f"{shares[at]:.0%}", int(right[at]), int(totals[at])) for at in order]


def _examples(images: Images, labels: Labels, scores: npt.NDArray[Any], names: Sequence[str]) -> list[dict[str, Any]]:
    """Wrong test images, the most confident first, and the first right image of each class."""
    predicted = scores.argmax(axis=1)
    every = np.arange(len(labels))
    ahead = scores[every, predicted].astype(float) - scores[every, labels]
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-ahead[wrong], kind="stable")]
    right = np.flatnonzero(predicted == labels)
    firsts = np.sort(right[np.unique(labels[right], return_index=True)[1]])
    return [
        {
            "title": title,
            "wide": images[0].shape[0] == 1,
            "images": [
                {
                    "index": int(at),
                    "truth": names[labels[at]],
                    "said": names[predicted[at]],
                    "right": predicted[at] == labels[at],
                    "source": html.picture(images[int(at)], _SIDE),
                }
                for at in chosen.tolist()
            ],
        }
        for title, chosen in (
            (f"Wrong images: {len(wrong):,}, the surest first", surest[:_WRONG]),
            (f"Right images: {len(right):,}, the first of each class", firsts[:_RIGHT]),
        )
        if len(chosen)
    ]


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if "confusion.png" not in files:
            (folder / "confusion.png").unlink(missing_ok=True)  # from an older run
        for name, content in files.items():
            write_atomic(folder / name, content)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror})") from error
