"""The plot of a search: the accuracy of each network against its cost."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from bitflow.errors import MissingError
from bitflow.learn.search.pareto import Axis, Limits, Tried, axis_of, flash, front, share

__all__ = ["plot"]


def plot(tried: Sequence[Tried], title: str, limits: Limits, dark: bool = False) -> bytes:
    """A PNG of accuracy against latency, with colours for flash, and with the front, the base and the winner.

    Raises MissingError without matplotlib.
    """
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("matplotlib is not installed: pip install 'bitflow-net[plot]'") from error
    axis, text = axis_of(tried), "#e4e9f0" if dark else "#1b2430"
    paper, dim = ("#1a2029", "#9aa7b6") if dark else ("#ffffff", "#5a6675")
    shown = [one for one in tried if one.costs is not None and one.accuracy is not None]
    style: dict[Any, Any] = {"text.color": text, "axes.labelcolor": text, "xtick.color": dim, "ytick.color": dim}
    style |= {"axes.edgecolor": dim, "axes.facecolor": paper, "font.size": 9}
    with rc_context(style):
        figure = Figure(figsize=(8.0, 4.8), layout="constrained", facecolor=paper)
        axes = figure.add_subplot()
        if shown:
            _points(figure, axes, shown, axis, dark)
        _marks(axes, shown, axis, text)
        _frame(axes, shown, axis, limits, dim)
        axes.set_title(title, loc="left")
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=150, metadata={"Software": None})
    return file.getvalue()


def _points(figure: Any, axes: Any, shown: Sequence[Tried], axis: Axis, dark: bool) -> None:
    """Filled: fully trained and within the limits. Small: stopped early. Crosses: outside the limits after training."""
    from matplotlib import cm, colormaps, colors

    sizes = [flash(one) / 1024 for one in shown]
    # No dark points on a dark page, no light points on white.
    ends = (0.3, 1.0) if dark else (0.0, 0.9)
    shades = [ends[0] + (ends[1] - ends[0]) * k / 255 for k in range(256)]
    shade = cm.ScalarMappable(
        colors.Normalize(min(sizes), max(sizes)), colors.ListedColormap(colormaps["viridis"](shades))
    )
    floor = _floor(shown)
    kinds = {
        "trained": ([one for one in shown if one.accepted], "o", 46),
        "stopped early": ([one for one in shown if one.state == "stopped"], "v", 20),
        "outside the limits": ([one for one in shown if one.state == "trained" and one.exceeds], "x", 30),
    }
    for label, (ones, marker, size) in kinds.items():
        if ones:
            axes.scatter(
                [axis.of(one) for one in ones],
                [max(100 * share(one), floor) for one in ones],
                c=[flash(one) / 1024 for one in ones],
                norm=shade.norm,
                cmap=shade.cmap,
                s=size,
                marker=marker,
                label=label,
            )
    figure.colorbar(shade, ax=axes, label="flash, KB", pad=0.02).outline.set_visible(False)


def _floor(shown: Sequence[Tried]) -> float:
    """The lowest accuracy of the plot, %: networks stopped early are drawn on it or above."""
    ends = [100 * share(one) for one in shown if one.state == "trained"]
    return min(ends) - 0.25 * max(max(ends) - min(ends), 4.0) if ends else 0.0


def _marks(axes: Any, shown: Sequence[Tried], axis: Axis, text: str) -> None:
    line = front(shown)
    best = line[-1] if line else None
    if len(line) > 1:
        axes.step(
            [axis.of(one) for one in line], [100 * share(one) for one in line],
            where="post", color="#d55e00", linewidth=1.6, zorder=0.5, label="front",
        )  # fmt: skip
    base = next((one for one in shown if one.base), None)
    for one, label, colour, marker in ((best, "winner", "#d55e00", "o"), (base, "base", text, "s")):
        if one is not None:
            place = axis.of(one), 100 * share(one)
            axes.scatter(
                *place, s=170, marker=marker, facecolors="none", edgecolors=colour, linewidths=1.8, label=label
            )


def _frame(axes: Any, shown: Sequence[Tried], axis: Axis, limits: Limits, dim: str) -> None:
    from matplotlib.ticker import LogLocator, StrMethodFormatter

    places = [axis.of(one) for one in shown] or [1.0]
    limit = None if axis.field == "instructions" else getattr(limits, axis.field)
    if limit is not None and limit < 3 * max(places):
        axes.axvline(limit, color=dim, linestyle=":", linewidth=1.2, label="limit")
        places.append(limit)
    if max(places) > 4 * min(places) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_minor_formatter("")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    axes.set_xlabel(axis.title)
    axes.set_ylabel("validation accuracy, %")
    axes.grid(color=dim, alpha=0.2, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(0.06)
    if shown:
        axes.legend(loc="best", frameon=False, fontsize=8, markerscale=0.8)
