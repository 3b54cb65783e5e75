"""What the fast first layer does (input_sums.c, input_rows.c, arm/sums_v7m.S), loop by loop."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import dataclass

from bitflow import bits
from bitflow.cores import Core
from bitflow.geometry import Shape, Window
from bitflow.packed import PackedLayer
from bitflow.planner.input_sums import cut as cutting
from bitflow.planner.planes import plane_words

__all__ = ["input_work"]

_POINTERS = 9  # whose steps bf_sums_8() has unrolled
_THRESHOLDS = 4  # that bf_sums_8_several() takes, at most


@dataclass(frozen=True, slots=True)
class _Rows:
    """How the rows of a map are run; what of the layer it follows from is enough to tell two of them apart.

    parts: of `outputs` columns at most. turns: rows of a part; in pairs the upper ones, `turns` rows above the others.
    """

    source: Shape
    conv: Shape
    window: Window
    columns: int
    half: int
    outputs: int
    in_pairs: bool

    @property
    def parts(self) -> int:
        return -(-self.conv.width // self.outputs)

    @property
    def turns(self) -> int:
        return -(-self.conv.height // 2) if self.in_pairs else self.conv.height


def input_work(layer: PackedLayer, core: Core, group: int) -> Counter[str]:
    """The things that INPUT_SUMS does for one picture, without its pool and changes of layout.

    group: values of a group; 0: as many as are cheapest.
    """
    cut, filters = cutting.cut(layer, group), layer.conv.channels
    rows = _Rows(
        layer.source, layer.conv, layer.window, cutting.columns(layer, cut), cutting.half_row(layer),
        cutting.outputs(layer), cutting.in_pairs(layer),
    )  # fmt: skip
    turns = rows.parts * rows.turns
    strips = _strips(rows)
    work = Counter(
        cuts=0 if group else cutting.most_grouped(layer),
        cleared=layer.target.channels * plane_words(layer.conv.height * layer.conv.width, core.lane_words),
        made_filters=filters,
        made_thresholds=filters * (layer.thresholds - 1),
        made_words=filters * bits.words_for(layer.taps),
        made_groups=cut.pointers,
        made_pointers=filters * cut.pointers,
        parts=rows.parts,
        rows=turns,
        row_tables=turns * layer.window.kernel[0],
        bases=turns * cut.pointers,
    )
    work += strips
    work += _tables(layer, cut, strips["strips"])
    work += _sums(cut, rows.half, turns, layer, core)
    for thing, count in _put(rows).items():
        work[thing] += count * (layer.thresholds if thing == "put_rows" else layer.target.channels)
    return work


@functools.lru_cache(maxsize=64)
def _strips(rows: _Rows) -> Counter[str]:
    """Pixels of rows that are made: those where both lanes are inside the map run in a loop of their own."""
    (kernel_h, _), (stride_h, stride_w) = rows.window.kernel, rows.window.stride
    channels, size = rows.source.channels, rows.columns * rows.source.channels
    top, left = rows.window.padding[:2]
    apart = 0 if rows.in_pairs else rows.half * stride_w
    down = rows.turns * stride_h if rows.in_pairs else 0
    found: Counter[str] = Counter()
    for part in range(rows.parts):
        at = part * rows.outputs * stride_w - left
        begins = [max(0, -x * channels) for x in (at, at + apart)]
        ends = [min(size, (rows.source.width - x) * channels) for x in (at, at + apart)]
        made = sorted({y * stride_h + k for y in range(rows.turns) for k in range(kernel_h)})
        for row in made:
            sees = [0 <= row - top + k < rows.source.height for k in (0, down)]
            until = [end if own else 0 for end, own in zip(ends, sees, strict=True)]
            both = max(0, min(until) - max(begins))
            single = sum(max(0, end - begin) for begin, end in zip(begins, until, strict=True)) - 2 * both
            found += Counter(strips=1, strip_both=both, strip_others=size - both, strip_single=single)
    return found


def _tables(layer: PackedLayer, cut: cutting.Cut, strips: int) -> Counter[str]:
    """Tables of the input's rows: of each, four words at a time, the sums of all codes."""
    blocks = -(-cutting.row_words(layer, cut) // cutting.BUILT)
    last = layer.window.kernel[1] * layer.source.channels - (cut.groups - 1) * cut.group
    sizes = [cut.group] if cut.step else [cut.group] * (cut.groups - 1) + [last]
    found: Counter[str] = Counter(tables=strips * len(sizes), table_blocks=strips * blocks * len(sizes))
    for n in sizes:
        found["table_values"] += strips * blocks * n
        found["table_doublings"] += strips * blocks * max(n - 2, 0)
        found["table_sums"] += strips * blocks * 2**n
        found["table_single"] += strips * blocks * (n == 1)
    return found


def _sums(cut: cutting.Cut, half: int, turns: int, layer: PackedLayer, core: Core) -> Counter[str]:
    """The loops that add a row's sums, by the way that the core, pointers and thresholds of a filter take."""
    pointers, filters, several = cut.pointers, layer.conv.channels, layer.thresholds > 1
    if core.name == "v7m" and pointers == 3 and not several:
        return Counter(calls_three=turns, filters_three=turns * filters, fours_three=turns * filters * -(-half // 4))
    way, together = ("eight", 8) if core.lane_words == 4 else ("four", 4)
    if core.name == "v7m" and layer.thresholds <= _THRESHOLDS:
        way, together = ("eight_several" if several else "eight"), 8
    calls = turns * -(-half // together)
    return Counter(
        {
            f"calls_{way}": calls,
            f"call_pointers_{way}": calls * pointers,
            f"filters_{way}": calls * filters,
            f"added_{way}": calls * filters * pointers,
            f"beyond_{way}": calls * filters * max(pointers - _POINTERS, 0) if core.name == "v7m" else 0,
            f"thresholds_{way}": calls * filters * (layer.thresholds - 1),
            "next_bases": (calls - turns) * pointers,
        }
    )


@functools.lru_cache(maxsize=64)
def _put(rows: _Rows) -> Counter[str]:
    """For each filter: bits of a row to its bit plane, which may go on in the next word."""
    found: Counter[str] = Counter()
    for part in range(rows.parts):
        x = part * rows.outputs
        n = min(rows.outputs, rows.conv.width - x)
        for y in range(rows.turns):
            at = y * rows.conv.width + x
            found["put_rows"] += 1
            if n == bits.WORD and at % bits.WORD == 0:
                found["put_words"] += 1
                continue
            lower = rows.in_pairs and y + rows.turns < rows.conv.height
            for begin in (at, at + rows.turns * rows.conv.width)[: 1 + lower]:
                found["put"] += 1
                found["put_twice"] += begin % bits.WORD + n > bits.WORD
    return found
