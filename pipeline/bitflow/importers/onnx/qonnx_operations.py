"""QONNX's own operations on tensors that depend on the input: BipolarQuant, Quant and MultiThreshold.

QONNX's documentation defines them (fastmachinelearning/qonnx). BipolarQuant has sign(0) = +1.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.importers import graph as g
from bitflow.importers.onnx.reader import OnnxReader, Operation

__all__ = ["bipolar_quant", "multi_threshold", "quant"]

Array = npt.NDArray[Any]


def bipolar_quant(reader: OnnxReader, node: Operation) -> None:
    """+scale where x >= 0, else -scale."""
    scale = reader.constant(node.label, node.inputs[1], "scale")
    ones = reader.emit(node.label, g.SignOf(1), reader.of(node), to=f"{node.outputs[0]}:bits")
    reader.emit(node.label, g.Combine("mul", scale), ones, to=node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shape(node)


def quant(reader: OnnxReader, node: Operation) -> None:
    """Only one bit is supported for a tensor that depends on the input: unsigned 0 and 1."""
    scale, zero, width = (reader.constant(node.label, name, "parameters") for name in node.inputs[1:4])
    bits = float(np.ravel(width)[0])
    if bits != 1:
        raise reader.refuse(node.label, f"{bits:g}-bit activations; only activations of one bit can be taken")
    if node.get("signed", 1):
        raise reader.refuse(node.label, "1-bit activations of -1 and 0; use BipolarQuant for -1 and +1")
    if str(node.get("rounding_mode", "ROUND")).upper() != "ROUND" or np.any(zero != 0) or np.any(scale <= 0):
        raise reader.refuse(node.label, "1-bit activations with a zero point or another rounding than ROUND")
    # round(x / scale) clipped to 0..1: half to even rounds 0.5 to 0, so the result is 1 above scale / 2.
    reader.compare(node.label, "gt", node.inputs[0], scale * np.float32(0.5), f"{node.outputs[0]}:truth")
    reader.shapes[f"{node.outputs[0]}:truth"] = reader.shape(node)
    reader.combine(node.label, "mul", f"{node.outputs[0]}:truth", scale, node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shape(node)


def multi_threshold(reader: OnnxReader, node: Operation) -> None:
    """The number of thresholds that x reaches, times out_scale plus out_bias; with one threshold that is one bit."""
    limits = reader.constant(node.label, node.inputs[1], "thresholds")
    if limits.ndim != 2 or limits.shape[1] != 1:
        count = limits.shape[1] if limits.ndim == 2 else limits.size
        bits = int(np.ceil(np.log2(count + 1))) if count else 0
        raise reader.refuse(node.label, f"{bits}-bit activations ({count} thresholds); only one bit can be taken")
    shape = reader.shape(node)
    layout = str(node.get("data_layout", "NCHW" if len(shape) == 4 else "NC"))
    place = layout.index("C") if "C" in layout else 1
    limit = limits[:, 0].reshape([-1 if i == place else 1 for i in range(len(shape))]) if len(limits) > 1 else limits[0]
    scale, bias = np.float32(node.get("out_scale", 1.0)), np.float32(node.get("out_bias", 0.0))
    truth = f"{node.outputs[0]}:truth"
    reader.compare(node.label, "ge", node.inputs[0], limit, truth)
    reader.choose(node.label, truth, np.asarray(scale + bias), np.asarray(bias), node.outputs[0])
    reader.shapes[node.outputs[0]] = shape
