"""Runs a graph exactly as its source defines it, in float32 NumPy and in the source's own axes, to check an import.

Nothing here is shared with `assemble`: no accumulators, no BitFlow layout, no fusing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.engines.reference import windows
from bitflow.geometry import Window
from bitflow.importers import graph as g
from bitflow.importers.rounding import ROUNDINGS
from bitflow.lower.arithmetic import affine

__all__ = ["run_graph"]

Array = npt.NDArray[Any]


def run_graph(source: g.Graph, inputs: Array) -> npt.NDArray[np.float32]:
    """The graph's output [N, classes] for float32 inputs in its own axes, of which the first is the batch."""
    tensors = {source.input: inputs.astype(np.float32)}
    for node in source.needed():
        tensors[node.output] = _run(node.op, [tensors[name] for name in node.inputs], source.native)
    return np.asarray(tensors[source.output].reshape(len(inputs), -1), dtype=np.float32)


def _run(op: g.Op, values: Sequence[Array], native: str) -> Array:
    value = values[0]
    match op:
        case g.Conv():
            return _on_map(value, native, lambda m: _conv(op, m))
        case g.MaxPool(kernel, stride, padding):
            window = Window(kernel, stride, padding)
            return _on_map(value, native, lambda m: np.asarray(windows(m, window, -np.inf).max(axis=(3, 4))))
        case g.Pad((top, left, bottom, right), fill):
            sides = ((0, 0), (top, bottom), (left, right), (0, 0))
            return _on_map(value, native, lambda m: np.pad(m, sides, constant_values=fill))
        case g.GlobalMean(keep):
            axes = tuple(i for i in range(1, value.ndim) if i != _channels(value, native))
            return np.asarray(value.mean(axis=axes, keepdims=keep, dtype=np.float32))
        case g.Dense(weights, bias):
            found = value @ weights.T.astype(np.float32)
            return found if bias is None else found + bias
        case g.Norm(norm):
            a, b = affine(norm)
            shape = [1] * value.ndim
            shape[_channels(value, native)] = -1
            return np.asarray(value * a.reshape(shape) + b.reshape(shape), dtype=np.float32)
        case g.Combine(how, constants):
            numbers = np.asarray(constants, dtype=np.float32)
            return value * numbers if how == "mul" else value / numbers if how == "div" else value + numbers
        case g.SignOf(zero):
            return np.where(value == 0, np.float32(zero), np.sign(value)).astype(np.float32)
        case g.Levels():
            x = value / np.float32(op.divisor) + np.float32(op.shift)
            over = [np.where(np.less(b, x), 1, (b == x) & r) for b, r in zip(op.limits, op.reached, strict=True)]
            return np.asarray((np.sum(over, axis=0) + op.start) * op.step + op.low, dtype=np.float32)
        case g.Round(mode):
            return np.asarray(ROUNDINGS[mode](value), dtype=np.float32)
        case g.Clip(limits):
            return np.clip(value, *(limits or (-1, 1)))
        case g.Transpose(order):
            return value.transpose(order)
        case g.Reshape(shape):
            return value.reshape(len(value), *shape[1:])
        case g.Plus():
            return values[0] + values[1]
        case g.Concat(axis):
            return np.concatenate(values, axis=axis)
        case g.Refused(reason):
            raise ValueError(reason)


def _channels(value: Array, native: str) -> int:
    return 1 if native.startswith("NC") or value.ndim == 2 else value.ndim - 1


def _on_map(value: Array, native: str, run: Callable[[Array], Array]) -> Array:
    """Run a function of [N, H, W, C] on a map in the source's axes."""
    flat = value.ndim == 3
    channels_first = native.startswith("NC")
    if flat:
        value = value[:, :, None, :] if channels_first else value[:, None]
    result = run(value.transpose(0, 2, 3, 1) if channels_first else value)
    result = result.transpose(0, 3, 1, 2) if channels_first else result
    return result.squeeze(2 if channels_first else 1) if flat else result


def _conv(op: g.Conv, values: Array) -> Array:
    window = Window((op.weights.shape[2], op.weights.shape[3]), op.stride, op.padding, op.dilation)
    under = windows(values, window, np.float32(op.fill))
    n, h, w, kh, kw, channels = under.shape
    grouped = under.reshape(n, h, w, kh, kw, op.groups, channels // op.groups)
    filters = op.weights.astype(np.float32).reshape(op.groups, -1, *op.weights.shape[1:])
    found = np.einsum("nhwijgc,gocij->nhwgo", grouped, filters, optimize=True).reshape(n, h, w, -1)
    return np.asarray(found if op.bias is None else found + op.bias)
