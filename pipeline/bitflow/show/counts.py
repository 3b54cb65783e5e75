"""Puts a layer's instruction count in perspective: per multiply-accumulate, beside the plain kernel and int8."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bitflow.errors import InputError, MissingError
from bitflow.ir import LayerKind, PackedLayer

__all__ = ["BenchRow", "check_plot", "int8_instructions", "plot"]

# Instructions per multiply-accumulate of CMSIS-NN's int8 kernels on the same shapes, for whole layers, counted in QEMU
# like ours, by the number of input channels: 3x3 convolutions, a dense layer, first layers. Measured once and quoted
# here; CMSIS-NN is not part of this project.
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
    """A layer that was counted.

    bytes: size of its weights or lists in flash.
    plain_instructions: count of the plain kernel; None: unknown.
    int8_instructions: count of the nearest measured int8 layer, scaled to this layer's size; None: unknown, or not a
        layer alone, since nobody would use an int8 network of these shapes.
    """

    name: str
    kind: str
    kernel: str
    macs: int
    instructions: int
    bytes: int
    weights: int
    plain_instructions: int | None
    int8_instructions: int | None = None

    @property
    def macs_per_instruction(self) -> float:
        return self.macs / max(self.instructions, 1)

    @property
    def bits_per_weight(self) -> float | None:
        return 8 * self.bytes / self.weights if self.weights else None


def int8_instructions(core: str, layer: PackedLayer) -> int | None:
    """Instructions of an int8 layer of this shape, by the measured layer with the nearest number of input channels."""
    table = _INT8.get(core, {}).get(layer.kind)
    if table is None:
        return None
    channels = layer.taps if layer.kind is LayerKind.DENSE else layer.source.channels
    near = min(table, key=lambda known: abs(math.log(known / channels)))
    return round(table[near] * layer.macs)


def check_plot(file: Path) -> None:
    """Raise InputError unless a plot can have this file type."""
    if file.suffix not in (".png", ".svg"):
        raise InputError(f"{file}: a plot is a .png or .svg file")


def plot(rows: Sequence[BenchRow], title: str, file: Path) -> None:
    """Bars of instructions per 1,000 multiply-accumulates: BitFlow, plain, int8 where known. PNG or SVG, by the ending.

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
    series = {label: counts for label, counts in series.items() if any(counts)}
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
    axes.set_xlabel("instructions per 1,000 multiply-accumulates (fewer is better)")
    axes.set_title(title)
    axes.margins(x=0.15)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), ncols=3, frameon=False, fontsize=8)
    with rc_context({"svg.hashsalt": file.name}):  # the same bytes every time
        figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None, dpi=150)
