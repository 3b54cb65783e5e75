"""What a kernel is predicted to execute: instructions as a sum of things that its loops do, each at a price of its own.

The things are counted from the layer, exactly where they do not depend on pixels; what one of each costs on a core was
measured on random layers under QEMU (`python -m bench.fit`), and stands in costs.json.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
from collections import Counter, defaultdict
from importlib import resources

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import MapType
from bitflow.packed import INPUT, PackedLayer
from bitflow.planner.cores import Core
from bitflow.planner.kernels import map_work, set_bits
from bitflow.planner.kernels.input_sums_work import input_work
from bitflow.planner.kernels.pattern_work import class_work
from bitflow.planner.kernels.table import Job, Kernel, is_lite, writes_planes

__all__ = ["Things", "family", "features", "has_costs", "is_measured", "once", "predict"]

Things = Counter[str]


@functools.cache
def _costs() -> dict[str, dict[str, dict[str, float]]]:
    """core -> family -> thing -> instructions."""
    text = resources.files("bitflow.planner").joinpath("costs.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, float]]] = json.loads(text)
    return found


def is_measured(core: str) -> bool:
    """Whether there are costs for the core at all."""
    return core in _costs()


def has_costs(core: str, kernel: Kernel) -> bool:
    """Whether the kernel was measured on the core."""
    return once(kernel) in _costs().get(core, {}).get(family(kernel), {})


def family(kernel: Kernel) -> str:
    """Kernels of one family share code, and so its prices: what few layers of one do is known from another's."""
    return "STRINGS" if writes_planes(kernel) else kernel.name


def once(kernel: Kernel) -> str:
    """The thing that a kernel does once for a layer."""
    return f"layer_{kernel.name.lower()}"


def predict(job: Job, core: Core) -> int:
    """Instructions of a layer on a core."""
    prices = _costs()[core.name][family(job.kernel)]
    return round(sum(prices.get(thing, 0.0) * count for thing, count in features(job, core).items()))


def features(job: Job, core: Core) -> Things:
    """The things that a kernel does for one input, by name."""
    match job.kernel:
        case Kernel.INPUT_SUMS:
            found = input_work(job.layer, core) + map_work.around(job)
        case Kernel.INPUT_PLAIN | Kernel.WIDE_CONV:
            found = _by_values(job)
        case Kernel.PATTERNS_16 | Kernel.PATTERNS_8 | Kernel.PATTERNS_1:
            found = class_work(job) + map_work.around(job)
        case Kernel.SET_BITS:
            found = _set_bits(job.layer, job.lane_words)
        case Kernel.CONV_PLAIN:
            found = _dense(job.layer) if is_lite(job.layer, job.kernel) else _conv_plain(job.layer)
        case Kernel.SUM | Kernel.TOTAL | Kernel.CONCAT:
            found = _merge(job)
    if not writes_planes(job.kernel):
        found += _pool(job.layer)
    found[once(job.kernel)] = 1
    return found


def _positions(layer: PackedLayer) -> int:
    return layer.conv.height * layer.conv.width


def _pool(layer: PackedLayer) -> Things:
    """On the public form."""
    if layer.pool is None:
        return Counter()
    window, target = layer.pool.window, layer.target
    words = target.channels if layer.output_type is MapType.INTEGERS else bits.words_for(target.channels)
    rows, columns = (int(taps.sum()) for taps in map_work.inside(window, layer.conv, target))
    return Counter(
        pooled=words * target.height * target.width,
        pool_spans=words * rows * target.width,
        pool_looked_at=words * rows * columns,
    )


# ---- The others. ----


def _set_bits(layer: PackedLayer, lane_words: int) -> Things:
    """The mean over pictures: of the bits inside the map half are taken to be 1, as many as of independent ones.

    A list that grows too long is given up, and one of the zeros made: so at positions beside much padding of +1.
    """
    kernel, channels = layer.window.kernel, layer.source.channels
    blocks = -(-bits.words_for(layer.target.channels) // lane_words)
    most = set_bits.most_listed(layer.taps)
    found: dict[str, float] = defaultdict(float)
    rows, columns = (
        Counter(taps.sum(axis=1).tolist()) for taps in map_work.inside(layer.window, layer.source, layer.conv)
    )
    for (high, n), (wide, m) in itertools.product(rows.items(), columns.items()):
        positions, inside, outside = n * m, high * wide, kernel[0] * kernel[1] - high * wide
        ones, spread = inside * channels / 2, math.sqrt(inside * channels) / 2
        padded = outside * channels if layer.pad_value > 0 else 0
        given_up = 0.5 * math.erfc((most + 0.5 - ones - padded) / max(spread, 0.5) / math.sqrt(2))
        # Of the window, for the list of the ones, which may end early, and that of the zeros.
        looked = 1 - given_up + given_up * most / max(ones + padded, most) + given_up
        runs = (1 - given_up) * _runs(ones + padded, spread) + given_up * _runs(ones, spread)
        for thing, count in (
            ("positions", 1),
            ("again", given_up),
            ("window_rows", looked * kernel[0]),
            ("taps", looked * inside),
            ("outside", looked * outside),
            ("words", looked * inside * bits.words_for(channels)),
            ("listed", looked * ones),
            ("padded", (looked - given_up) * padded),
            ("blocks", blocks),
            ("fours", blocks * runs[1]),
            ("runs", blocks * runs[0]),
            ("begun", blocks * runs[2]),
        ):
            found[thing] += positions * count
    return Counter({thing: round(count) for thing, count in found.items()})


def _runs(listed: float, spread: float) -> npt.NDArray[np.float64]:
    """Of a list, whose length has this mean and standard deviation, the mean number of runs of 8 entries, of blocks of
    four runs, and the part of lists that have any.
    """
    lengths = np.arange(max(0, math.floor(listed - 4 * spread)), math.ceil(listed + 4 * spread) + 1)
    likely = np.exp(-((lengths - listed) ** 2) / (2 * max(spread, 0.1) ** 2))
    runs = -(-lengths // 8)
    means: npt.NDArray[np.float64] = np.stack([runs, -(-runs // 4), runs > 0]) @ (likely / likely.sum())
    return means


def _dense(layer: PackedLayer) -> Things:
    """All of the map is the window: as it lies, or where channels do not fill words brought together by bf_append()."""
    channels, words = layer.source.channels, layer.filter_words
    found: Things = Counter(
        dense=1, dense_words=words, outputs=layer.target.channels, words=layer.target.channels * words
    )
    if channels % 32:
        taps = layer.source.height * layer.source.width
        found["dense_filled"] = words
        found["dense_taps"] = taps
        found["copied"] = sum(_pieces(channels, 0, tap * channels) for tap in range(taps))
    return found


def _conv_plain(layer: PackedLayer) -> Things:
    """bf_append() copies bits of a tap, and marks them in the mask, piece by piece between the ends of words."""
    channels, words = layer.source.channels // layer.groups, layer.filter_words
    windows = _positions(layer) * layer.groups
    # Of each row and each column of the window: outputs for which it lies inside the map.
    rows, columns = (taps.sum(axis=0).tolist() for taps in map_work.inside(layer.window, layer.source, layer.conv))
    inside = sum(rows) * sum(columns)
    taps = layer.window.kernel[0] * layer.window.kernel[1] * _positions(layer)
    found: Things = Counter(
        positions=_positions(layer),
        windows=windows,
        window_rows=windows * layer.window.kernel[0],
        window_words=windows * words,
        taps=inside * layer.groups,
        outside=(taps - inside) * layer.groups,
        outputs=_positions(layer) * layer.target.channels,
        words=_positions(layer) * layer.target.channels * words,
    )
    for tap, (high, wide) in enumerate(itertools.product(rows, columns)):
        seen, at = high * wide, tap * channels
        found["copied"] += seen * sum(_pieces(channels, g * channels, at) for g in range(layer.groups))
        marked = seen if layer.pad_value == 0 else _positions(layer)
        marked += _positions(layer) - seen if layer.pad_value > 0 else 0
        found["marked"] += marked * layer.groups * _pieces(channels, at)
    return found


def _pieces(n: int, *begins: int) -> int:
    """That n bits are cut into by the ends of words, where they begin at these bits of what is read or written."""
    return len({0} | {end for begin in begins for end in range(-begin % bits.WORD, n, bits.WORD)})


def _by_values(job: Job) -> Things:
    """Kernels that gather a window of integers for each position."""
    layer = job.layer
    positions, windows = _positions(layer), _positions(layer) * layer.groups
    rows, columns = (int(taps.sum()) for taps in map_work.inside(layer.window, layer.source, layer.conv))
    inside = rows * columns
    whole = layer.taps // 32 * 32
    pixels = layer.sources[0] == INPUT
    integers = not pixels and job.network.layers[layer.sources[0]].output_type is MapType.INTEGERS
    outputs = positions * layer.target.channels
    return Counter(
        windows=windows,
        window_rows=windows * layer.window.kernel[0],
        taps=inside * layer.groups,
        outside=windows * layer.window.kernel[0] * layer.window.kernel[1] - inside * layer.groups,
        gathered=inside * layer.source.channels,
        outputs=outputs,
        multiplied_whole=outputs * whole,
        multiplied=outputs * (layer.taps - whole),
        wide=outputs * layer.taps if integers else 0,
        signed=outputs * layer.taps if integers and layer.weight_bits == 1 else 0,
        gathered_bits=0 if pixels or integers else inside * layer.source.channels,
    )


def _merge(job: Job) -> Things:
    layer = job.layer
    positions = layer.source.height * layer.source.width
    sources = [job.network.layers[source] for source in layer.sources]
    summed = {
        values: sum(positions * s.target.channels for s in sources if s.output_type is values) for values in MapType
    }
    return Counter(
        positions=positions * len(sources),
        summed_bits=summed[MapType.BITS],
        summed_integers=summed[MapType.INTEGERS],
        outputs=layer.conv.size,
        words=positions * sum(bits.words_for(s.target.channels) for s in sources),
    )
