"""What kernels do for maps of bits as strings: changes of layout, and the max-pool (src/planes of the C library)."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.geometry import Shape, Window
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.table import Job, takes_strings

__all__ = ["Taps", "around", "inside"]

Taps = npt.NDArray[np.bool_]


def around(job: Job) -> Counter[str]:
    """Around a kernel that works on strings: its maps are turned where its neighbours want the other layout."""
    layer, source, target = job.layer, job.layer.source, job.layer.target
    found: Counter[str] = Counter()
    if takes_strings(job.kernel) and not job.strings_in:
        found += _turned(source.height * source.width, source.channels)
    if not job.strings_out:
        found += _turned(target.channels, target.height * target.width)
    if layer.pool is not None:
        found += _pooled(layer)
    return found


def _turned(rows: int, columns: int) -> Counter[str]:
    """turn_all(): 32 x 32 bits at a time, of which the last steps take only columns that there are, four together."""
    high, wide = bits.words_for(rows), bits.words_for(columns)
    return Counter(
        turns=high * wide,
        turned_rows=rows * wide,
        turned_fours=high * -(-columns // 4),
        turned_columns=high * columns,
    )


def _pooled(layer: PackedLayer) -> Counter[str]:
    """pool_strings()."""
    assert layer.pool is not None
    window, target, channels = layer.pool.window, layer.target, layer.target.channels
    found: Counter[str] = Counter(
        pool_channels=channels, pool_written=channels * (target.height * target.width // bits.WORD)
    )
    if window.kernel == window.stride == (2, 2) and not any(window.padding):
        if layer.conv.width <= 16:
            found["pool_pairs"] += channels * (target.height // 2)
            found["pool_last"] += channels * (target.height % 2)
        else:
            found["pool_parts"] += channels * target.height * -(-target.width // 16)
            found["pool_ends"] += channels * target.height
        return found
    wide, stride = window.kernel[1], window.stride[1]
    together = 1 if wide >= bits.WORD else (bits.WORD - wide) // stride + 1
    pieces = -(-target.width // together) * channels
    rows = int(inside(window, layer.conv, target)[0].sum())
    found["pool_words"] += pieces * target.height
    found["pool_rows"] += pieces * rows
    found["pool_shifts"] += pieces * rows * (min(wide, bits.WORD) - 1)
    found["pool_halved"] += pieces * target.height if stride == 2 else 0
    found["pool_picked"] += target.size if stride > 2 else 0
    return found


def inside(window: Window, source: Shape, target: Shape) -> tuple[Taps, Taps]:
    """Of rows and of columns: for each output, which taps of the window lie inside the map."""
    sizes = ((source.height, target.height), (source.width, target.width))
    rows, columns = (
        _inside(*sizes[k], window.kernel[k], window.stride[k], window.dilation[k], window.padding[k]) for k in range(2)
    )
    return rows, columns


def _inside(size: int, outputs: int, kernel: int, stride: int, dilation: int, before: int) -> Taps:
    at = np.arange(outputs)[:, np.newaxis] * stride - before + np.arange(kernel) * dilation
    seen: Taps = (at >= 0) & (at < size)
    return seen
