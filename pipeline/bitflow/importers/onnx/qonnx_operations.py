"""QONNX's own operations on tensors that depend on the input: BipolarQuant, Quant and MultiThreshold.

QONNX's documentation defines them (fastmachinelearning/qonnx). BipolarQuant has sign(0) = +1.
"""

from __future__ import annotations

from math import log2
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.importers import graph as g
from bitflow.importers.onnx.qonnx_constants import whole_range
from bitflow.importers.onnx.reader import OnnxReader, Operation
from bitflow.importers.rounding import ROUNDINGS, limits_between

__all__ = ["bipolar_quant", "channels_at", "multi_threshold", "quant"]

Array = npt.NDArray[Any]


def bipolar_quant(reader: OnnxReader, node: Operation) -> None:
    """+scale where x >= 0, else -scale."""
    scale = reader.constant(node.label, node.inputs[1], "scale")
    ones = reader.emit(node.label, g.SignOf(1), reader.of(node), to=f"{node.outputs[0]}:bits")
    reader.emit(node.label, g.Combine("mul", scale), ones, to=node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shape(node)


def quant(reader: OnnxReader, node: Operation) -> None:
    """(n - zero point) * scale, where n is x / scale + zero point rounded to a whole number of the type."""
    names = ("scale", "zero point", "width")
    scale, zero, bits = (_one(reader, node, at, name) for at, name in enumerate(names, start=1))
    if scale == 0:
        raise reader.refuse(node.label, "a scale of 0")
    if bits not in (1, 2, 3):
        raise reader.refuse(node.label, f"{bits:g}-bit activations; activations of 1, 2 and 3 bits can be taken")
    mode = str(node.get("rounding_mode", "ROUND")).upper()
    if mode not in ROUNDINGS:
        raise reader.refuse(node.label, f"rounding mode {mode} is unknown")
    signed, narrow = bool(node.get("signed", 1)), bool(node.get("narrow", 0))
    low, high = (int(n) for n in whole_range(signed, narrow, bits))
    if signed and bits == 1:  # as QONNX has it: -1 and +1
        limits, low, high = [(0.0, True)], -1, 1
    else:
        limits = limits_between(mode, low, high)
    if not limits:
        raise reader.refuse(node.label, f"{bits:g}-bit activations of one value only")
    pace = (high - low) // len(limits)  # whole numbers from level to level
    if scale < 0:
        # Turned around, n falls with x: -n rises, and reaches -m where n does not reach m + 1.
        limits = [(-limit, not equal) for limit, equal in reversed(limits)]
        scale, zero, low = -scale, -zero, -high
    numbers, reached = zip(*limits, strict=True)
    start = (low - zero) / pace
    _add(reader, node, g.Levels(np.array(numbers), reached, start, pace * scale, 0.0, scale, zero))


def multi_threshold(reader: OnnxReader, node: Operation) -> None:
    """The number of thresholds that x reaches, times out_scale plus out_bias."""
    limits = reader.constant(node.label, node.inputs[1], "thresholds")
    count = limits.shape[1] if limits.ndim == 2 else limits.size
    if limits.ndim != 2 or not 1 <= count <= MAX_THRESHOLDS:
        bits = int(np.ceil(log2(count + 1)))
        raise reader.refuse(
            node.label, f"{bits}-bit activations ({count} thresholds); 1 to {MAX_THRESHOLDS} thresholds can be taken"
        )
    shape = reader.shape(node)
    place = channels_at(node.get("data_layout", ""), len(shape))
    axes = [-1 if i == place else 1 for i in range(len(shape))]
    each = limits.T if len(limits) == 1 else limits.T.reshape(count, *axes)
    scale, bias = float(np.float32(node.get("out_scale", 1.0))), float(np.float32(node.get("out_bias", 0.0)))
    if scale == 0:
        raise reader.refuse(node.label, "an out_scale of 0")
    if scale > 0:
        op = g.Levels(each, (True,) * count, 0.0, scale, bias)
    else:
        # Turned around: -x goes beyond -limit where x does not reach the limit.
        op = g.Levels(-each, (False,) * count, -float(count), -scale, bias, -1.0)
    _add(reader, node, op)


def channels_at(layout: str, axes: int) -> int:
    """The axis of the channels: by the letters of a layout, or QONNX's own for this number of axes."""
    layout = layout or {2: "NC", 3: "NWC", 4: "NCHW"}.get(axes, "")
    return layout.index("C") if "C" in layout else 1


def _add(reader: OnnxReader, node: Operation, op: g.Levels) -> None:
    if not np.isfinite([op.start, op.step, op.low, op.divisor, op.shift]).all():
        raise reader.refuse(node.label, "a scale, zero point or bias that is not finite")
    reader.add(node, op)


def _one(reader: OnnxReader, node: Operation, at: int, what: str) -> float:
    """A parameter that is one number for all channels."""
    values = np.unique(reader.constant(node.label, node.inputs[at], what))
    if len(values) != 1:
        raise reader.refuse(
            node.label, f"has a {what} for each channel: values of different scales do not add up to an integer"
        )
    return float(values[0])
