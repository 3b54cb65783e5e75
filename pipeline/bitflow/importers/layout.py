"""The order of a tensor's axes. Maps are [height, width, channels] here, whatever their order in the source."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.geometry import Shape
from bitflow.importers.graph import Node
from bitflow.importers.value import Axes, Value, flat_axes
from bitflow.ir import BatchNorm

__all__ = [
    "arrange",
    "channel_values",
    "close_up",
    "dense_filters",
    "is_map",
    "lengths",
    "reshape",
    "sizes",
    "transpose",
]

Array = npt.NDArray[Any]


def _size(shape: Shape, letter: str) -> int:
    return {"H": shape.height, "W": shape.width, "C": shape.channels}[letter]


def lengths(shape: Shape, axes: Axes) -> tuple[int, ...]:
    """Lengths of a tensor's axes, without the batch's."""
    return tuple(prod(_size(shape, letter) for letter in axis) for axis in axes[1:])


def sizes(value: Value) -> tuple[int, ...]:
    """The tensor's shape for a batch of one."""
    return (1, *lengths(value.shape, value.axes))


def is_map(value: Value, native: str) -> bool:
    """Whether the tensor is a map with its axes in the order `native`; axes of length 1 may be missing, as H in 1-D."""
    missing = [letter for letter in native if letter not in "".join(value.axes)]
    axes = [axis or (missing.pop(0) if missing else "") for axis in value.axes]
    lone = {letter for letter in missing if letter == "N" or _size(value.shape, letter) > 1}
    return not lone and "".join(axes) == "".join(letter for letter in native if letter not in missing)


def arrange(node: Node, values: list[Value]) -> list[Value]:
    """The values, if all have the same order of axes."""
    if len({value.axes for value in values}) != 1:
        raise node.refuse(f"takes tensors with different orders of axes: {[v.axes for v in values]}")
    return values


def transpose(node: Node, value: Value, order: tuple[int, ...]) -> Value:
    """The same map with its axes in another order."""
    if sorted(order) != list(range(len(value.axes))) or order[0] != 0:
        raise node.refuse(f"transposes axes {value.axes} by {order}")
    return replace(value, axes=tuple(value.axes[i] for i in order))


def reshape(node: Node, value: Value, shape: tuple[int, ...]) -> Value:
    """Join axes, split them again, or insert and remove axes of length 1. A map is never torn apart."""
    rest = [int(n) for n in shape[1:]]
    known = prod(n for n in rest if n != -1)
    if rest.count(-1) == 1 and known and value.shape.size % known == 0:
        rest[rest.index(-1)] = value.shape.size // known
    if prod(rest) != value.shape.size or any(n < 1 for n in rest):
        raise node.refuse(f"reshapes {value.shape.size} values to {list(shape)}")
    letters = [letter for letter in flat_axes(value.axes) if _size(value.shape, letter) > 1]
    axes = []
    for size in rest:
        axis = ""
        while prod(_size(value.shape, letter) for letter in axis) < size and letters:
            axis += letters.pop(0)
        if prod(_size(value.shape, letter) for letter in axis) != size:
            raise node.refuse(f"reshapes {sizes(value)} to {list(shape)}, which tears the map apart")
        axes.append(axis)
    return replace(value, axes=("N", *_with_lone_letters(axes, value)))


def _with_lone_letters(axes: list[str], value: Value) -> list[str]:
    """Give axes of length 1 the letters that are left over, so that a map remains a map."""
    left = [x for x in flat_axes(value.axes) if _size(value.shape, x) == 1]
    named = []
    for axis in axes:
        named.append(axis or (left.pop(0) if left else ""))
    if left and named and len(named) == 1:
        named[0] += "".join(left)
    return named


def channel_values(node: Node, value: Value, array: Array) -> npt.NDArray[np.float64]:
    """One number per channel, float64 [channels], from constants that broadcast to the tensor from the right."""
    shape, channels = value.shape, value.shape.channels
    if array.size == 1:
        return np.full(channels, float(array.reshape(-1)[0]))
    wanted = sizes(value)
    padded = array.reshape((1,) * (len(wanted) - array.ndim) + array.shape) if array.ndim <= len(wanted) else array
    if padded.ndim != len(wanted) or any(n not in (1, want) for n, want in zip(padded.shape, wanted, strict=True)):
        raise node.refuse(f"constants of shape {list(array.shape)} do not broadcast to {list(wanted)}")
    whole = np.broadcast_to(padded, wanted).reshape([_size(shape, x) for x in flat_axes(value.axes)] or [1])
    return _one_per_channel(node, value, whole)


def _one_per_channel(node: Node, value: Value, whole: Array) -> npt.NDArray[np.float64]:
    letters = flat_axes(value.axes)
    if "C" in letters:
        whole = np.moveaxis(whole, letters.index("C"), -1)
    rows = whole.reshape(-1, value.shape.channels)
    if not np.array_equal(rows, np.broadcast_to(rows[:1], rows.shape)):
        raise node.refuse("a constant for each position has no integer per channel; it must be one per channel")
    return np.asarray(rows[0], dtype=np.float64)


def close_up(node: Node, value: Value, norm: BatchNorm) -> BatchNorm:
    """A BatchNorm with one number per channel; after a flatten its numbers repeat, and the repeats are removed."""
    channels = value.shape.channels
    if len(norm.weight) == channels:
        return norm
    if len(norm.weight) != value.shape.size:
        raise node.refuse(f"takes {len(norm.weight)} channels, the map before it has {channels}")
    letters = flat_axes(value.axes)
    found = {}
    for name in ("weight", "bias", "mean", "variance"):
        whole = getattr(norm, name).reshape([_size(value.shape, x) for x in letters])
        found[name] = _one_per_channel(node, value, whole).astype(np.float32)
    return BatchNorm(**found, eps=norm.eps)


def dense_filters(node: Node, value: Value, weights: Array) -> Array:
    """Weights [out, in] over a flat tensor -> [out, height, width, channels]."""
    want = value.shape.size
    flat = sizes(value)[-1]
    if flat != want:
        raise node.refuse(f"is dense over the last axis of {list(sizes(value))} only; flatten the map before it")
    if weights.ndim != 2 or weights.shape[1] != want:
        raise node.refuse(f"takes {weights.shape[-1]} features, the map before it has {want} ({value.shape})")
    letters = value.axes[-1]
    letters += "".join(x for x in "HWC" if x not in letters)
    whole = weights.reshape(len(weights), *(_size(value.shape, x) for x in letters))
    return np.transpose(whole, (0, *(1 + letters.index(x) for x in "HWC")))
