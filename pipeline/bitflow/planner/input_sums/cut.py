"""How the fast first layer cuts rows into groups of values, and the sizes that follow.

Repeats input_sums.c of the C library.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.packed import PackedLayer

__all__ = [
    "BUILT", "Cut", "columns", "cut", "half_row", "in_pairs", "most_grouped", "outputs", "row_words", "scratch_words",
]  # fmt: skip

_MOST_GROUP = 5
_ROW_OUTPUTS = 32
_LANE_OUTPUTS = 12
_SLACK = 8
BUILT = 4
"""Words of a table that are made together."""
_HEAD = 2  # words of a filter for each threshold


@dataclass(frozen=True, slots=True)
class Cut:
    """How the values of a kernel row are cut into groups. step: words to the next group's sums; 0: tables of their own.

    entries: sums for each x of a row. pointers: places that a filter adds.
    """

    group: int
    groups: int
    step: int
    entries: int
    pointers: int


def _cut(layer: PackedLayer, group: int) -> Cut:
    channels, (kh, kw), (_, sw) = layer.source.channels, layer.window.kernel, layer.window.stride
    values, pixels = kw * channels, group // channels
    groups = -(-values // group)
    last = values - (groups - 1) * group
    shared = group % channels == 0 and pixels % sw == 0 and last == group
    entries = 1 << group if shared else ((groups - 1) << group) + (1 << last)
    return Cut(group, groups, pixels // sw if shared else 0, entries, kh * groups)


def _cost(layer: PackedLayer, found: Cut) -> int:
    kh, sh = layer.window.kernel[0], layer.window.stride[0]
    return 3 * layer.conv.channels * found.pointers + (6 * min(sh, kh) + 2 * kh) * found.entries


def most_grouped(layer: PackedLayer) -> int:
    """Values of the largest group that is tried."""
    return min(layer.window.kernel[1] * layer.source.channels, _MOST_GROUP)


def cut(layer: PackedLayer, group: int) -> Cut:
    """The one with groups of so many values; 0: the cheapest one, of several the one with the smallest groups."""
    if group:
        return _cut(layer, group)
    cuts = (_cut(layer, group) for group in range(1, most_grouped(layer) + 1))
    return min(cuts, key=lambda found: _cost(layer, found))


def in_pairs(layer: PackedLayer) -> bool:
    """Whether the two lanes of a word are rows, since the map is narrow, and not columns."""
    return layer.conv.width <= _LANE_OUTPUTS and layer.conv.height > 1


def outputs(layer: PackedLayer) -> int:
    """Columns of the parts that rows are cut into."""
    return -(-layer.conv.width // -(-layer.conv.width // _ROW_OUTPUTS))


def half_row(layer: PackedLayer) -> int:
    """Words of a part of a row: two positions each."""
    return outputs(layer) if in_pairs(layer) else -(-outputs(layer) // 2)


def row_words(layer: PackedLayer, found: Cut) -> int:
    """Words of a table's entry: those of a part of a row, and what shared tables reach further."""
    return max(half_row(layer) + (found.groups - 1) * found.step, BUILT)


def columns(layer: PackedLayer, found: Cut) -> int:
    """Columns of pixels, two lanes each, that the tables of a row are made of."""
    span = found.group // layer.source.channels if found.step else layer.window.kernel[1]
    return (row_words(layer, found) - 1) * layer.window.stride[1] + span


def scratch_words(layer: PackedLayer, group: int) -> int:
    """Of the sums themselves. group: as in `cut`."""
    found = cut(layer, group)
    filter_words = _HEAD * layer.thresholds + -(-found.pointers // 2)
    filters = layer.conv.channels * filter_words + _HEAD * (layer.thresholds - 1) + 1
    tables = layer.window.kernel[0] * row_words(layer, found) * found.entries
    pixels = columns(layer, found) * layer.source.channels
    return tables + _SLACK + pixels + found.pointers + filters
