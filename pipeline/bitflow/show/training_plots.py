"""Pictures of a training run as PNG bytes, for a light or dark page: its curves and its confusion matrix."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import MissingError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["DARK", "LIGHT", "PANELS", "Theme", "confusion", "curves"]

History = Sequence[Mapping[str, float]]

# Title; for each curve its column in the history and its name.
PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("Loss", (("loss", "training"),)),
    ("Accuracy", (("train_accuracy", "training"), ("validation_accuracy", "validation"))),
    ("Learning rate", (("learning_rate", "learning rate"),)),
)

_COUNTED = 20  # up to this many classes the cells have room for a count
_LONGEST = 18  # characters of a name, at most


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours.

    ground: background.
    line: lines between cells.
    curves: the curves, in order.
    """

    ground: str
    text: str
    line: str
    curves: tuple[str, str]


# As in look.css.j2.
LIGHT = Theme("#ffffff", "#5a6675", "#dde2e8", ("#2563eb", "#c2410c"))
DARK = Theme("#1a2029", "#9aa7b6", "#2d3643", ("#6098ff", "#f0a35c"))


def curves(history: History, theme: Theme, panels: Sequence[int] = (0, 1, 2)) -> bytes:
    """Some of PANELS side by side, over the epochs. Raises MissingError without matplotlib."""
    figure = _figure(3.8 * len(panels), 2.5, theme)
    epochs = [row["epoch"] for row in history]
    for place, panel in enumerate(panels, 1):
        title, series = PANELS[panel]
        axes = figure.add_subplot(1, len(panels), place)
        # The last curve is the most solid. A single epoch is drawn as a dot.
        for number, (column, name) in enumerate(series):
            dot = "o" if len(history) == 1 else ""
            color = theme.curves[0] if number == len(series) - 1 else theme.curves[1]
            axes.plot(epochs, [row[column] for row in history], color=color, label=name, marker=dot, linewidth=1.8)
        _plain(axes, theme)
        axes.set_title(title, color=theme.text, fontsize=11, loc="left")
        axes.set_xlabel("epoch", color=theme.text)
        axes.locator_params(axis="x", integer=True)
        axes.grid(axis="y", color=theme.line, linewidth=0.8)
        if panel == 1:
            axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:.4g}%")
        if len(series) > 1:
            axes.legend(frameon=False, labelcolor=theme.text, loc="lower right")
    return _png(figure)


def confusion(counts: npt.NDArray[np.int64], names: Sequence[str], theme: Theme) -> bytes:
    """Counts [true, predicted] as cells, shaded by their share of the row. Raises MissingError, as `curves`."""
    classes = len(names)
    side = min(14.0, 2.6 + 0.42 * classes if classes <= _COUNTED else 4.0 + 0.16 * classes)
    figure = _figure(side, side, theme)
    from matplotlib.colors import LinearSegmentedColormap, PowerNorm

    axes = figure.add_subplot()
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # The square root makes a cell with one image of many visible.
    colors = LinearSegmentedColormap.from_list("shares", [theme.ground, theme.curves[0]])
    axes.imshow(shares, cmap=colors, norm=PowerNorm(0.5, 0, 1))
    _plain(axes, theme)
    size = 9 if classes <= _COUNTED else 6
    # parse_math: a name with dollar signs is not a formula.
    shown = [_short(name) for name in names]
    axes.set_xticks(range(classes), shown, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(classes), shown, fontsize=size, parse_math=False)
    axes.set_xlabel("predicted", color=theme.text)
    axes.set_ylabel("true class", color=theme.text)
    if classes <= _COUNTED:
        for (row, column), count in np.ndenumerate(counts):
            if count:
                color = theme.ground if shares[row, column] > 0.3 else theme.text
                axes.text(column, row, f"{count}", ha="center", va="center", fontsize=8, color=color)
    return _png(figure)


def _figure(width: float, height: float, theme: Theme) -> Figure:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("matplotlib is not installed: pip install 'bitflow-net[plot]'") from error
    return Figure(figsize=(width, height), layout="constrained", facecolor=theme.ground)


def _plain(axes: Any, theme: Theme) -> None:
    axes.set_facecolor(theme.ground)
    axes.tick_params(colors=theme.text, length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(theme.line)


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"


def _png(figure: Figure) -> bytes:
    """A figure as PNG; equal figures give equal bytes, without version or date."""
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a font may lack a letter of a name, which is then drawn as a box
        figure.savefig(file, format="png", dpi=144, metadata={"Software": None})
    return file.getvalue()
