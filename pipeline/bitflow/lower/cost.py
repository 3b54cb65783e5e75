"""What a kernel is predicted to execute: instructions as a sum of things that its loops do, each at a price of its own.

The things are counted from the layer, exactly where they do not depend on pixels; what one of each costs on a core was
measured on random layers under QEMU (`python -m bench.fit`), and stands in costs.json.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from importlib import resources

import numpy as np

from bitflow import bits
from bitflow.accumulation import Values
from bitflow.lower import class_lists, classes, input_sums
from bitflow.lower.cores import Core
from bitflow.lower.kernels import Job, Kernel, geometry, share, takes_strings
from bitflow.packed import INPUT, PackedLayer

__all__ = ["features", "has_costs", "is_measured", "predict"]

Things = Counter[str]


@functools.cache
def _costs() -> dict[str, dict[str, dict[str, float]]]:
    """core -> kernel -> thing -> instructions."""
    text = resources.files("bitflow.lower").joinpath("costs.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, float]]] = json.loads(text)
    return found


def is_measured(core: str) -> bool:
    """Whether there are costs for the core at all."""
    return core in _costs()


def has_costs(core: str, kernel: Kernel) -> bool:
    """Whether the kernel was measured on the core."""
    return kernel.name in _costs().get(core, {})


def predict(job: Job, core: Core) -> int:
    """Instructions of a layer on a core."""
    prices = _costs()[core.name][job.kernel.name]
    return round(sum(prices.get(thing, 0.0) * count for thing, count in features(job, core).items()))


def features(job: Job, core: Core) -> Things:
    """The things that a kernel does for one input, by name."""
    match job.kernel:
        case Kernel.INPUT_SUMS:
            found = _input_sums(job.layer, core) + _strings(job)
        case Kernel.INPUT_PLAIN | Kernel.WIDE_CONV:
            found = _by_values(job)
        case Kernel.CLASSES_16 | Kernel.CLASSES_8 | Kernel.CLASSES_1:
            found = _classes(job) + _strings(job)
        case Kernel.SET_BITS:
            found = _set_bits(job.layer, job.lane_words)
        case Kernel.CONV_PLAIN:
            found = _conv_plain(job.layer)
        case Kernel.SUM | Kernel.TOTAL | Kernel.CONCAT:
            found = _merge(job)
    if not takes_strings(job.kernel) and job.kernel is not Kernel.INPUT_SUMS:
        found += _pool(job.layer)
    found["layer"] = 1
    return found


def _positions(layer: PackedLayer) -> int:
    return layer.conv.height * layer.conv.width


# ---- Maps. ----


def _turns(positions: int, channels: int) -> Things:
    return Counter(
        turns=bits.words_for(positions) * bits.words_for(channels), turned_words=positions * bits.words_for(channels)
    )


def _strings(job: Job) -> Things:
    """Changes of layout, and the pool on strings."""
    layer, source = job.layer, job.layer.source
    found: Things = Counter()
    if takes_strings(job.kernel) and not job.strings_in:
        found += _turns(source.height * source.width, source.channels)
    if not job.strings_out:
        found += _turns(layer.target.height * layer.target.width, layer.target.channels)
    if layer.pool is None:
        return found
    window = layer.pool.window
    found["pool_channels"] += layer.target.channels
    if window.kernel == window.stride == (2, 2) and not any(window.padding):
        narrow, rows = layer.conv.width <= 16, layer.target.height
        pieces = rows // 2 if narrow else rows * -(-layer.target.width // 16)
        found["pool_pairs" if narrow else "pool_parts"] += pieces * layer.target.channels
        found["pool_last"] += layer.target.channels * (rows % 2) if narrow else 0
        found["pool_ends"] += 0 if narrow else layer.target.channels * rows
        return found
    together = 1 if window.kernel[1] >= 32 else (32 - window.kernel[1]) // window.stride[1] + 1
    words = -(-layer.target.width // together) * layer.target.height * layer.target.channels
    found["pool_words"] += words
    found["pool_rows"] += words * window.kernel[0]
    found["pool_shifts"] += words * window.kernel[0] * (window.kernel[1] - 1)
    found["pool_halved"] += words if window.stride[1] == 2 else 0
    found["pool_picked"] += layer.target.size if window.stride[1] > 2 else 0
    return found


def _pool(layer: PackedLayer) -> Things:
    """On the public form."""
    if layer.pool is None:
        return Counter()
    words = layer.target.size if layer.gives is Values.INTEGERS else layer.target.words
    kh, kw = layer.pool.window.kernel
    return Counter(pooled=words, pool_looked_at=words * kh * kw, pool_spans=words * kh)


# ---- Filter classes. ----


def _steps(geometry: classes.Geometry, width: int) -> tuple[int, int, int, int]:
    """Of all groups' lists: steps of 32, 16 and 8 entries, runs of 16 bits in lists of 8 bits."""
    found = class_lists.class_data(geometry, width)
    if found is None:
        return (0, 0, 0, 0)
    runs = np.array(found[1], dtype=np.int64)
    bytes_, wide = (runs & 0xFF, runs >> 8) if width == 8 else (runs, 0 * runs)
    return int((bytes_ // 4).sum()), int((bytes_ // 2 & 1).sum()), int((bytes_ & 1).sum()), int(wide.sum())


def _passes(g: classes.Geometry) -> int:
    """Of all blocks together."""
    y, _ = g.axes
    width, block = g.layer.conv.width, 32 * g.lane_words
    total = 0
    for b in range(g.blocks):
        first, last = b * block // width, (min((b + 1) * block, g.positions) - 1) // width
        at = next(j for j in range(y.count) if y.start[j + 1] > first)
        while at < y.count and y.start[at] <= last:
            at = min(at, g.packs - 1) + g.together
            total += 1
    return total


def _planes(g: classes.Geometry) -> Things:
    """Planes of all blocks: of three columns at once, and of single taps, aligned or not."""
    layer = g.layer
    (kh, kw), channels = layer.window.kernel, layer.source.channels
    chunks = -(-channels // g.chunk)
    own = g.copies_words == 0
    found: Things = Counter(kernel_rows=g.blocks * kh * chunks)
    if own and kw == 3 and layer.window.dilation[1] == 1 and layer.window.padding[1] == 1:
        found["planes_by_three"] = g.blocks * kh * channels
        found["column_masks"] = 3 * g.blocks
    else:
        found["taps"] = g.blocks * kh * kw * chunks
        found["planes"] = g.blocks * kh * kw * channels
        aligned = own and (kh, kw) == (1, 1)
        found["planes_aligned"] = g.blocks * channels if aligned else 0
        found["column_masks"] = kw * g.blocks
    found["column_turns"] = found["column_masks"] * (32 // layer.conv.width + 1)
    return found


def _copies(g: classes.Geometry) -> Things:
    layer = g.layer
    if not g.copies_words:
        return Counter()
    source, stride, channels = layer.source, layer.window.stride, layer.source.channels
    if stride == (2, 2) and layer.conv.width == (source.width + 1) // 2:
        fours = source.height // 4 if source.width <= 32 else 0
        narrow = source.width <= 16 and source.width % 2 == 0
        rows = (source.height - 4 * fours) * -(-layer.conv.width // 16)
        return Counter(
            split_narrow=fours * channels if narrow else 0,
            split_wide=0 if narrow else fours * channels,
            split_rows=rows * channels,
            split_channels=channels,
        )
    words = layer.window.kernel[1] * channels * source.height * -(-layer.conv.width // 32)
    strings = layer.window.kernel[1] * channels * stride[0]
    return Counter(copied_words=words, copied_strided=words if stride[1] > 1 else 0, copied_strings=strings)


def _classes(job: Job) -> Things:
    layer = job.layer
    g = geometry(layer, job.kernel, job.lane_words)
    turns = 1
    kept = False
    if job.kernel is Kernel.CLASSES_1:
        used = share(g, job.memory)
        turns, kept = -(-g.groups // used.part), used.blocks > 1
    steps32, steps16, steps8, wide = _steps(g, 8 if job.kernel is Kernel.CLASSES_8 else 16)
    found: Things = Counter(
        steps32=steps32 * g.blocks, steps16=steps16 * g.blocks, steps8=steps8 * g.blocks, wide=wide * g.blocks,
        blocks=g.blocks * turns, groups=g.groups * g.blocks, compared=g.groups * g.blocks * g.width,
    )  # fmt: skip
    for thing, count in _planes(g).items():
        found[thing] += count * (1 if kept else turns)
    found += _copies(g)
    if g.exact:
        passes = _passes(g)
        found["exact_groups"] = g.groups * g.blocks
        found["exact_passes"] = passes * g.groups
        found["exact_compared"] = passes * g.groups * g.width
        found["exact_tables"] = passes * turns
    if job.kernel is Kernel.CLASSES_1:
        words = layer.window.kernel[0] * layer.window.kernel[1] * bits.words_for(layer.source.channels)
        found["made_groups"] = g.groups
        found["counted_words"] = 0 if job.sized else g.groups * bits.words_for(g.inputs)
        found["made_words"] = g.groups * words
        found["made_entries"] = g.groups * g.inputs
        if g.exact:
            found["made_packs"] = g.groups * g.packs * g.axes[1].count * g.together
            found["made_patterns"] = g.groups * g.axes[0].count * g.axes[1].count * words
    return found


# ---- The others. ----


def _inside(layer: PackedLayer) -> int:
    """Taps that lie inside the map, of all positions together."""
    window, both = layer.window, 1
    sides = ((layer.source.height, layer.conv.height), (layer.source.width, layer.conv.width))
    for axis, (source, out) in enumerate(sides):
        at = np.arange(out)[:, np.newaxis] * window.stride[axis] - window.padding[axis]
        at = at + np.arange(window.kernel[axis]) * window.dilation[axis]
        both *= int(np.sum((at >= 0) & (at < source)))
    return both


def _set_bits(layer: PackedLayer, lane_words: int) -> Things:
    """Of the bits inside the map half are taken to be 1."""
    positions, channels = _positions(layer), layer.source.channels
    blocks = -(-bits.words_for(layer.target.channels) // lane_words)
    inside = _inside(layer)
    outside = positions * layer.window.kernel[0] * layer.window.kernel[1] - inside
    padded = outside if layer.pad_value > 0 else 0
    return Counter(
        positions=positions,
        taps=inside,
        outside=outside,
        words=inside * bits.words_for(channels),
        listed=inside * channels,
        padded=padded * channels,
        blocks=positions * blocks,
        added=inside * channels * blocks,
        added_padded=padded * channels * blocks,
    )


def _conv_plain(layer: PackedLayer) -> Things:
    positions, (kh, kw) = _positions(layer), layer.window.kernel
    windows = positions * layer.groups
    aligned = layer.source.channels // layer.groups % 32 == 0
    zero = any(layer.window.padding) and layer.pad_value == 0
    words = positions * layer.target.channels * layer.filter_words
    taps = windows * kh * kw
    return Counter(
        windows=windows,
        window_words=windows * layer.filter_words,
        taps=taps,
        tap_words=taps * bits.words_for(layer.source.channels // layer.groups),
        astray=0 if aligned else taps * bits.words_for(layer.source.channels // layer.groups),
        outputs=positions * layer.target.channels,
        words=words,
        masked=words if zero else 0,
    )


def _by_values(job: Job) -> Things:
    """Kernels that gather a window of integers for each position."""
    layer = job.layer
    positions = _positions(layer)
    whole = layer.taps // 32 * 32
    pixels = layer.sources[0] == INPUT
    integers = not pixels and job.network.layers[layer.sources[0]].gives is Values.INTEGERS
    outputs = positions * layer.target.channels
    return Counter(
        windows=positions * layer.groups,
        taps=positions * layer.groups * layer.window.kernel[0] * layer.window.kernel[1],
        gathered=positions * layer.groups * layer.taps,
        outputs=outputs,
        multiplied_whole=outputs * whole,
        multiplied=outputs * (layer.taps - whole),
        wide=outputs * layer.taps if integers else 0,
        signed=outputs * layer.taps if integers and layer.weight_bits == 1 else 0,
        gathered_bits=0 if pixels or integers else positions * layer.groups * layer.taps,
    )


def _merge(job: Job) -> Things:
    layer = job.layer
    positions = layer.source.height * layer.source.width
    sources = [job.network.layers[source] for source in layer.sources]
    summed = {values: sum(positions * s.target.channels for s in sources if s.gives is values) for values in Values}
    return Counter(
        positions=positions * len(sources),
        summed_bits=summed[Values.BITS],
        summed_integers=summed[Values.INTEGERS],
        outputs=layer.conv.size,
        words=positions * sum(bits.words_for(s.target.channels) for s in sources),
    )


def _input_sums(layer: PackedLayer, core: Core) -> Things:
    found = input_sums.cut(layer)
    words = input_sums.row_words(layer, found)
    parts, rows = -(-layer.conv.width // 32), layer.conv.height
    outputs = -(-layer.conv.width // parts)
    pairs = input_sums.in_pairs(layer)
    rows = -(-rows // 2) if pairs else rows
    half = outputs if pairs else -(-outputs // 2)
    kh, sh = layer.window.kernel[0], layer.window.stride[0]
    # Input rows whose tables are made, once for each part.
    fresh = (rows - 1) * min(sh, kh) + kh
    filters, turns = layer.target.channels, parts * rows
    way, executed = _summed(found.pointers, half, core)
    return Counter(
        {
            "parts": parts,
            "rows": turns,
            "table_words": parts * fresh * words * found.entries,
            "strips": parts * fresh,
            "strip_pixels": parts * fresh * words * layer.source.channels * layer.window.stride[1],
            f"sums_{way}": turns * filters * sum(executed),
            f"added_{way}": turns * filters * sum(executed) * found.pointers,
            f"calls_{way}": turns * len(executed),
            f"filters_{way}": turns * filters * len(executed),
            f"pointers_{way}": turns * filters * len(executed) * found.pointers,
            "filter_rows": turns * filters,
            "bases": turns * found.pointers,
            "made": filters * found.pointers,
            "made_filters": filters,
        }
    )


def _summed(pointers: int, half: int, core: Core) -> tuple[str, list[int]]:
    """Which loop adds the sums of a row, and in which steps of words."""
    if core.name != "v7m" or pointers > 9:
        return "loop", [4] * -(-half // 4)
    if pointers == 3:
        return "three", [-(-half // 4) * 4]
    return "some", [8] * -(-half // 8)
