"""Windows over channel-packed maps: scratch and work that kernels which go position by position share."""

from __future__ import annotations

from collections import Counter

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import MapType
from bitflow.cores import Core
from bitflow.geometry import Shape, Window
from bitflow.packed import INPUT, PackedLayer
from bitflow.planner.kernels.spec import Job, Work

__all__ = [
    "GATHER_CODE",
    "MERGE_CODE",
    "POSITION_CODE",
    "Taps",
    "gather_scratch_words",
    "gather_work",
    "inside",
    "integers_in",
    "merge_scratch_words",
    "merge_work",
    "pool_work",
    "positions",
    "unpooled_words",
]

Taps = npt.NDArray[np.bool_]

# Parts of the library (`planner.code_size`) that such kernels link.
POSITION_CODE = ("bits before a pool", "pool of positions")
MERGE_CODE = (*POSITION_CODE, "bits of a position", "division", "sums of maps")
GATHER_CODE = (*POSITION_CODE, "bits of a position", "division", "plain first layer, wide convolution")


def positions(layer: PackedLayer) -> int:
    """Accumulators of a channel."""
    return layer.conv.height * layer.conv.width


def unpooled_words(layer: PackedLayer) -> int:
    """32-bit words of the channel-packed map before the pool; 0 where there is no pool."""
    if layer.pool is None:
        return 0
    return layer.conv.size if layer.output_type is MapType.INTEGERS else layer.unpooled.words


def integers_in(job: Job) -> bool:
    """Whether the layer's first source is a map of integers."""
    source = job.layer.sources[0]
    return source != INPUT and job.network.layers[source].output_type is MapType.INTEGERS


def gather_scratch_words(job: Job) -> int:
    """The map before a pool, and the window as int16, or as int32 where the source holds integers."""
    taps = job.layer.taps
    return unpooled_words(job.layer) + (taps if integers_in(job) else (taps + 1) // 2)


def merge_scratch_words(job: Job) -> int:
    """The map before a pool, and the sums of a position."""
    return unpooled_words(job.layer) + job.layer.source.channels


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


def pool_work(layer: PackedLayer) -> Work:
    """The max-pool of a channel-packed map."""
    if layer.pool is None:
        return Counter()
    window, target = layer.pool.window, layer.target
    words = target.channels if layer.output_type is MapType.INTEGERS else bits.words_for(target.channels)
    rows, columns = (int(taps.sum()) for taps in inside(window, layer.conv, target))
    return Counter(
        pooled=words * target.height * target.width,
        pool_spans=words * rows * target.width,
        pool_looked_at=words * rows * columns,
    )


def gather_work(job: Job, core: Core) -> Work:
    """A window of integers is gathered for each position."""
    layer = job.layer
    windows = positions(layer) * layer.groups
    rows, columns = (int(taps.sum()) for taps in inside(layer.window, layer.source, layer.conv))
    within = rows * columns
    whole = layer.taps // 32 * 32
    pixels, integers = layer.sources[0] == INPUT, integers_in(job)
    outputs = layer.conv.size
    return Counter(
        windows=windows,
        window_rows=windows * layer.window.kernel[0],
        taps=within * layer.groups,
        outside=windows * layer.window.kernel[0] * layer.window.kernel[1] - within * layer.groups,
        gathered=within * layer.source.channels,
        outputs=outputs,
        thresholds=outputs * layer.thresholds if layer.thresholds > 1 else 0,
        multiplied_whole=outputs * whole,
        multiplied=outputs * (layer.taps - whole),
        wide=outputs * layer.taps if integers else 0,
        signed=outputs * layer.taps if integers and layer.weight_bits == 1 else 0,
        gathered_bits=0 if pixels or integers else within * layer.source.channels,
    )


def merge_work(job: Job, core: Core) -> Work:
    """Maps are summed, or joined, position by position."""
    layer = job.layer
    count = layer.source.height * layer.source.width
    sources = [job.network.layers[source] for source in layer.sources]
    summed = {values: sum(count * s.target.channels for s in sources if s.output_type is values) for values in MapType}
    return Counter(
        positions=count * len(sources),
        summed_bits=summed[MapType.BITS],
        summed_integers=summed[MapType.INTEGERS],
        outputs=layer.conv.size,
        thresholds=layer.conv.size * layer.thresholds if layer.thresholds > 1 else 0,
        words=count * sum(bits.words_for(s.target.channels) for s in sources),
    )
