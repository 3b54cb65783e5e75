"""Maps as bit planes: their size, the scratch around a kernel that works on them, changes of layout, max-pools."""

from __future__ import annotations

from collections import Counter

from bitflow import bits
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.spec import Job
from bitflow.planner.windows import inside

__all__ = ["around", "fits", "map_words", "plane_words", "pools_by_two", "scratch_words"]

_MAP_LIMIT = 2**28


def plane_words(positions: int, lane_words: int) -> int:
    """Words of a bit plane of so many positions: whole lanes."""
    return -(-bits.words_for(positions) // lane_words) * lane_words


def map_words(positions: int, channels: int, lane_words: int) -> int:
    """Words of a map as bit planes."""
    return plane_words(positions, lane_words) * channels


def fits(height: int, width: int, channels: int, lane_words: int) -> bool:
    """bf_planes_fit: whether the bit planes of a map are no larger than a map may be."""
    return map_words(height * width, channels, lane_words) <= _MAP_LIMIT // 16


def pools_by_two(layer: PackedLayer) -> bool:
    """Whether a layer has no pool, or one of 2x2 without padding on top and left: what lite forms can run."""
    if layer.pool is None:
        return True
    window, (height, width) = layer.pool.window, (layer.conv.height, layer.conv.width)
    inside = 2 * layer.target.height <= height and 2 * layer.target.width <= width
    return window.kernel == window.stride == (2, 2) and not any(window.padding[:2]) and inside


def scratch_words(job: Job, reads_planes: bool) -> int:
    """bf_planes_scratch: words of the input as bit planes, and of the map before and after the pool.

    reads_planes: whether the kernel works on planes of its input, too.
    """
    layer, source = job.layer, job.layer.source
    words = 0
    if reads_planes and not job.planes_in:
        words += map_words(source.height * source.width, source.channels, job.lane_words)
    if layer.pool is not None or not job.planes_out:
        words += map_words(layer.conv.height * layer.conv.width, layer.target.channels, job.lane_words)
    if layer.pool is not None and not job.planes_out:
        words += map_words(layer.target.height * layer.target.width, layer.target.channels, job.lane_words)
    return words


def around(job: Job, reads_planes: bool) -> Counter[str]:
    """Work around a kernel that works on bit planes: maps are transposed where a neighbour has the other layout."""
    layer, source, target = job.layer, job.layer.source, job.layer.target
    found: Counter[str] = Counter()
    if reads_planes and not job.planes_in:
        found += _turned(source.height * source.width, source.channels)
    if not job.planes_out:
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
