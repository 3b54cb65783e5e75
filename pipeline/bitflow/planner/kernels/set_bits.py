"""Lists of set bits: the transposed weights and the bounds that a plan holds for firmware/.../conv_set_bits.c."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import LayerKind, MapType
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.patterns import COUNT_PLANES, RUN

__all__ = ["covers", "most_listed", "scratch_words", "set_bits_data", "size"]

_BOUNDS = 4
_OFFSETS = 0x10000
_COUNTED = 1 << COUNT_PLANES


def covers(layer: PackedLayer, lane_words: int) -> bool:
    """Whether the kernel can run a layer."""
    return (
        layer.kind in (LayerKind.CONV, LayerKind.DENSE)
        and layer.output_type is MapType.BITS
        and layer.groups == 1
        and layer.invert is None
        and not (any(layer.window.padding) and layer.pad_value == 0)
        and _start(layer.taps) + most_listed(layer.taps) < _COUNTED
        and (layer.taps + 1) * 4 * lane_words <= _OFFSETS
    )


def _blocks(layer: PackedLayer, lane_words: int) -> int:
    return -(-bits.words_for(layer.target.channels) // lane_words)


def size(layer: PackedLayer, lane_words: int) -> int:
    """bf_set_bits_size: bytes that the kernel needs of a plan."""
    return _blocks(layer, lane_words) * (_BOUNDS * COUNT_PLANES + layer.taps + 1) * 4 * lane_words


def most_listed(taps: int) -> int:
    """A list is given up when it has more ones than this: then that of the zeros is shorter."""
    return taps // 2 + taps // 8 + 1


def _start(taps: int) -> int:
    """What every count starts at, less half of the listed inputs."""
    return most_listed(taps) // 2 + 1


def scratch_words(layer: PackedLayer, lane_words: int) -> int:
    """Words of the counts and the list."""
    return 2 * COUNT_PLANES * lane_words + (2 + most_listed(layer.taps) + bits.WORD + RUN) // 2


def set_bits_data(layer: PackedLayer, lane_words: int) -> bytes:
    """Of each block of filters: bounds (ones listed, even and odd; zeros), a plane for each input, one of zeros."""
    assert layer.weights is not None and layer.shift is not None
    lanes = 32 * lane_words
    count = _blocks(layer, lane_words) * lanes
    weights = np.zeros((count, layer.taps), dtype=np.bool_)
    weights[: layer.target.channels] = bits.unpack(layer.weights, layer.taps) > 0
    shift = np.zeros(count, dtype=np.int64)
    shift[: layer.target.channels] = layer.shift
    ones = weights.sum(axis=1, dtype=np.int64)
    bounds = np.stack([_bound(layer.taps, ones, s, odd) for s in (shift, -1 - shift) for odd in (0, 1)])
    planes = bounds[:, np.newaxis, :] >> np.arange(COUNT_PLANES)[:, np.newaxis] & 1  # [4, planes, filters]
    rows = np.concatenate([planes.reshape(-1, count).astype(np.bool_), weights.T, np.zeros((1, count), dtype=np.bool_)])
    words = bits.pack(rows)  # [rows, words of all filters]
    blocks = words.reshape(len(rows), -1, lane_words).transpose(1, 0, 2)
    return np.ascontiguousarray(blocks).astype("<u4").tobytes()


def _bound(taps: int, ones: npt.NDArray[np.int64], shift: npt.NDArray[np.int64], odd: int) -> npt.NDArray[np.int64]:
    """The count from which on a bit is 1: 2 S - m >= ceil((2 W - n - shift) / 2), its start for m inputs included."""
    least = -((shift + taps - 2 * ones) // 2)  # ceil of the negative is the negative of the floor
    bound: npt.NDArray[np.int64] = np.clip((least + odd + 1) // 2 + _start(taps), 0, _COUNTED - 1)
    return bound
