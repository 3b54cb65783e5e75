"""What a layer's instruction count means: for each multiply-accumulate, beside the plain kernel, and beside int8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitflow.errors import InputError, MissingError
from bitflow.ir import LayerKind, PackedLayer

__all__ = ["BenchRow", "check_plot", "int8_instructions", "plot"]

# Instructions for each multiply-accumulate of CMSIS-NN's int8 kernels on the same shapes, whole layers, counted in QEMU
# like ours, by the number of input channels: of 3x3 convolutions, of a dense layer, of first layers. Measured once,
# quoted here, not part of this project.
_INT8: dict[str, dict[LayerKind, dict[int, float]]] = {
    "v7m": {
        LayerKind.CONV: {32: 1.923, 64: 1.760, 128: 1.689},
        LayerKind.DENSE: {1024: 1.924},
        LayerKind.INPUT_CONV: {1: 8.64, 3: 4.10},
    },
    "v6m": {
        LayerKind.CONV: {32: 6.70, 64: 6.33, 128: 6.16},
        LayerKind.DENSE: {1024: 6.10},
        LayerKind.INPUT_CONV: {1: 19.3, 3: 10.7},
    },
    "mve": {
        LayerKind.CONV: {32: 0.253, 64: 0.206, 128: 0.187},
        LayerKind.DENSE: {1024: 0.482},
        LayerKind.INPUT_CONV: {1: 2.81, 3: 1.04},
    },
}


@dataclass(frozen=True, slots=True)
class BenchRow:
    """A layer that was counted. bytes: of its weights or lists in flash. plain_instructions: of the plain kernel;
    int8_instructions: of the nearest layer whose 8-bit kernel was measured, scaled to this one's size; None: unknown.
    """

    name: str
    kind: str
    kernel: str
    macs: int
    instructions: int
    bytes: int
    weights: int
    plain_instructions: int | None
    int8_instructions: int | None

    @property
    def macs_per_instruction(self) -> float:
        return self.macs / max(self.instructions, 1)

    @property
    def bits_per_weight(self) -> float | None:
        return 8 * self.bytes / self.weights if self.weights else None


def int8_instructions(core: str, layer: PackedLayer) -> int | None:
    """What an int8 layer of this shape takes: that of the nearest number of input channels that was measured."""
    table = _INT8.get(core, {}).get(layer.kind)
    if table is None:
        return None
    channels = layer.taps if layer.kind is LayerKind.DENSE else layer.source.channels
    near = min(table, key=lambda known: abs(math.log(known / channels)))
    return round(table[near] * layer.macs)


def check_plot(file: Path) -> None:
    """Raise InputError unless a plot can be of this kind of file."""
    if file.suffix not in (".png", ".svg"):
        raise InputError(f"{file}: a plot is a .png or .svg file")


def plot(rows: Sequence[BenchRow], title: str, file: Path) -> None:
    """Bars of the instructions for each 1,000 multiply-accumulates: ours, plain, int8. By the name's end PNG or SVG.

    Raises InputError for another ending, MissingError without matplotlib.
    """
    check_plot(file)
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingError("matplotlib is not installed: pip install 'bitflow-net[plot]'") from error
    shown = [row for row in rows if row.macs]
    series: dict[str, list[int | None]] = {
        "BitFlow": [*(row.instructions for row in shown)],
        "plain XOR and popcount": [row.plain_instructions for row in shown],
        "int8 (CMSIS-NN)": [row.int8_instructions for row in shown],
    }
    figure = Figure(figsize=(8.0, 1.6 + 0.62 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    for k, (label, counts) in enumerate(series.items()):
        values = [1000 * (n or 0) / row.macs for n, row in zip(counts, shown, strict=True)]
        places = [i + (k - 1) * 0.27 for i in range(len(shown))]
        bars = axes.barh(places, values, height=0.25, label=label, color=("#0072b2", "#e69f00", "#999999")[k])
        axes.bar_label(bars, [f"{value:,.0f}" if value else "" for value in values], padding=3, fontsize=8)
    axes.set_xscale("log")
    axes.set_yticks(range(len(shown)), [f"{row.name}\n{row.kernel.removeprefix('bf_')}" for row in shown], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlabel("instructions for 1,000 multiply-accumulates (fewer is better)")
    axes.set_title(title)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=8)
    with rc_context({"svg.hashsalt": file.name}):  # the same bytes every time
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
