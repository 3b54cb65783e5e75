"""What the kernels of filter patterns do, loop by loop."""

from __future__ import annotations

import functools
import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

from bitflow import bits
from bitflow.planner.patterns.geometry import BORDER_PATTERNS, QUAD, Geometry
from bitflow.planner.patterns.lists import Steps

__all__ = ["lists_work", "making_work"]

_WORD = bits.WORD
_PAIR_PLANES = 10  # that bf_look_up() of v7m finds in two words


def lists_work(g: Geometry, steps: Steps, entry_bits: int, turns: int = 1, planes_kept: bool = False) -> Counter[str]:
    """The things that a kernel does for one picture, without its pool and changes of layout.

    entry_bits: of a list's entry. turns: over the blocks. planes_kept: whether the planes of all blocks are kept from
    one turn to the next.
    """
    found = _quads(g, steps, f"lists{entry_bits}")
    found["blocks"] = g.blocks * turns
    if g.exact:
        found += _border_work(g, steps, turns)
    for thing, count in _planes(_Place.of(g)).items():
        found[thing] += count * (1 if planes_kept else turns)
    found["filled"] = (g.blocks if planes_kept else 1) * g.layer.window.kernel[0] * _chunks(g)
    return found + _copies(g)


def _chunks(g: Geometry) -> int:
    return -(-g.layer.source.channels // g.chunk)


# ---- Groups: adding and comparing. ----


def _quads(g: Geometry, steps: Steps, adder: str) -> Counter[str]:
    """Of all blocks. A comparison takes planes by twos; the sign is left over where the width is odd."""
    quads = g.quads * g.blocks
    found = Counter(
        {
            "groups": quads,
            f"fours_{adder}": steps.fours * g.blocks,
            f"left1_{adder}": steps.left[0] * g.blocks,
            f"left2_{adder}": steps.left[1] * g.blocks,
            f"left3_{adder}": steps.left[2] * g.blocks,
            f"begun_{adder}": steps.begun * g.blocks,
            adder: quads,
            "wide": steps.wide * g.blocks,
            "ripples": round(quads * _ripples(g)),
        }
    )
    several = g.layer.thresholds - 1
    if not g.exact and several:
        found["several"] = quads
        found["several_digits"] = quads * g.digits
        found["several_odd"] = quads * (g.digits % 2)
        found["several_thresholds"] = quads * several
        found["several_thresholds_digits"] = quads * several * g.digits
        found["several_undecided"] = steps.undecided * g.blocks
        found["several_undecided_digits"] = steps.undecided * g.blocks * g.digits
    elif not g.exact:
        found["compared"] = quads * (g.digits // 2)
        found["compared_odd"] = quads * (g.digits % 2)
        found["undecided"] = steps.undecided * g.blocks
        found["undecided_planes"] = steps.undecided * g.blocks * g.digits
    return found


def _ripples(g: Geometry) -> float:
    """About how often adding the inputs of a quad carries into digits that a block of four runs does not update.

    The count of a lane grows by half an input and passes multiples of 256, up to where its top digit decides. Lanes
    pass one within about four standard deviations of a count of random bits; each block of 32 inputs in which any lane
    passes one carries.
    """
    end = 1 << (g.digits - 1)
    at = [2 * (multiple - end) + g.inputs for multiple in range(256, end + 1, 256)]
    return sum(1 + math.sqrt(inputs) / 8 for inputs in at if inputs > 0)


@dataclass(slots=True)
class _Borders:
    """What bf_find_borders() does in one turn over the blocks.

    single: blocks that need one border.
    several: blocks that need more than one.
    together: borders of all those blocks.
    tables: border tables that are made, since that of the block before does not serve.
    columns: zones of columns whose lanes are made for them.
    """

    single: int = 0
    several: int = 0
    together: int = 0
    tables: int = 0
    columns: int = 0


def _borders(g: Geometry) -> tuple[_Borders, _Borders]:
    """Of the first turn over the blocks, and of each one after it."""
    y, x = g.axes
    width, block = g.layer.conv.width, 32 * g.lane_words
    before = None
    turns = _Borders(), _Borders()
    for turn, number in itertools.product(turns, range(g.blocks)):
        first, last = number * block // width, (min((number + 1) * block, g.positions) - 1) // width
        at = next(j for j in range(y.count) if y.start[j + 1] > first)
        whole = at if block % width == 0 and last < y.start[at + 1] else None
        found = 0
        while at < y.count and y.start[at] <= last:
            at = min(at, g.borders - 1) + g.together
            found += 1
        turn.single += found == 1
        turn.several += found > 1
        turn.together += found if found > 1 else 0
        if whole is None or whole != before:
            turn.tables += found
            turn.columns += x.count if number == 0 or block % width else 0
        before = whole
    return turns


def _border_work(g: Geometry, steps: Steps, turns: int) -> Counter[str]:
    """Limits that differ by border pattern: a block with one border is quicker, unless filter 0 is undecided."""
    borders, again = _borders(g)
    decided, thresholds = g.quads - steps.undecided, g.layer.thresholds
    # Quads whose block takes the slow way, and the comparisons that they make there, border by border.
    slow = steps.undecided * borders.single + g.quads * borders.several
    passes = steps.undecided * borders.single + g.quads * borders.together
    quick = decided * borders.single
    undecided = steps.undecided * (borders.single + borders.together)
    if thresholds > 1:
        slow, passes, quick = slow + quick, thresholds * (passes + quick), 0
        undecided += (thresholds - 1) * g.quads * (borders.single + borders.together)
    compared = quick + passes
    looked_up = decided * (borders.single + borders.together)
    columns = (borders.columns + (turns - 1) * again.columns) * g.lane_words
    return Counter(
        border_tables=borders.tables + (turns - 1) * again.tables,
        border_columns=columns,
        border_turns=columns * (_WORD // g.layer.conv.width + 1),
        border_blocks=g.blocks * turns,
        exact_slow=slow,
        exact_passes=passes,
        exact_merged=decided * (borders.together - borders.several) * g.digits,
        exact_undecided=undecided,
        exact_undecided_planes=undecided * g.digits,
        exact_compared=compared,
        exact_planes=compared * (g.digits // 2),
        exact_odd=compared * (g.digits % 2),
        exact_fours=compared * (g.digits // 4),
        looked_up=looked_up,
        looked_up_planes=looked_up * g.digits,
        looked_up_wide=looked_up * (g.digits > _PAIR_PLANES),
    )


# ---- Planes, and copies of the input. ----


@dataclass(frozen=True, slots=True)
class _Place:
    """A geometry by what its planes depend on, so that equal ones are counted once."""

    key: tuple[object, ...]
    g: Geometry = field(compare=False)

    @classmethod
    def of(cls, g: Geometry) -> _Place:
        layer = g.layer
        return cls((layer.source, layer.conv, layer.window, layer.pad_value, g.chunk, g.lane_words), g)


def _copied(g: Geometry) -> str:
    """What taps read: the input, phases of rows and columns, or copies of columns."""
    layer = g.layer
    if not g.copies_words:
        return "input"
    narrower = layer.conv.width == (layer.source.width + 1) // 2
    return "phases" if layer.window.stride == (2, 2) and narrower else "columns"


@functools.lru_cache(maxsize=256)
def _planes(place: _Place) -> Counter[str]:
    """bf_planes_of_block() of all blocks: of three columns at once, or tap by tap. Where a tap's first lane is bit 0
    of a word (or, of three columns, their middle one's) loops of their own take fewer instructions.
    """
    g = place.g
    layer, window, copied = g.layer, g.layer.window, _copied(g)
    (kh, kw), channels, width = window.kernel, layer.source.channels, layer.conv.width
    block, chunks = 32 * g.lane_words, _chunks(g)
    by_three = copied == "input" and kw == 3 and window.dilation[1] == 1 and window.padding[1] == 1
    columns = 0 if copied == "columns" else kw
    found: Counter[str] = Counter(
        plane_rows=g.blocks * kh,
        column_masks=g.blocks * columns * g.lane_words,
        column_turns=columns * sum(-(-(_WORD + b * _WORD % width) // width) for b in range(g.blocks * g.lane_words)),
    )
    for ky in range(kh):
        offset = ky * window.dilation[0] - window.padding[0]
        phase = offset % window.stride[0]
        down = (offset - phase) // window.stride[0]
        rows = (layer.source.height - phase + window.stride[0] - 1) // window.stride[0]
        begin, end = max(-down * width, 0), min((rows - down) * width, g.blocks * block)
        seen = -(-end // block) - begin // block if end > begin else 0  # blocks with lanes inside the map
        found["row_masks"] += -(-end // _WORD) - begin // _WORD if end > begin else 0
        if by_three:
            found["rows_by_three"] += g.blocks * chunks
            even = seen if down * width % _WORD == 0 else 0
            found["planes_by_three"] += (g.blocks - even) * channels
            found["planes_by_three_even"] += even * channels
            continue
        found["taps"] += g.blocks * kw
        found["tap_chunks"] += g.blocks * kw * chunks
        for kx in range(kw):
            right = kx * window.dilation[1] - window.padding[1]
            right = {"input": right, "phases": right // 2, "columns": 0}[copied]
            even = g.blocks if (down * width + right) % _WORD == 0 else g.blocks - seen
            found["planes"] += (g.blocks - even) * channels
            found["planes_even"] += even * channels
    return found


def _copies(g: Geometry) -> Counter[str]:
    """bf_copy_input(): rows of at most a word in loops of their own."""
    layer, copied = g.layer, _copied(g)
    source, (high, wide), channels = layer.source, layer.window.stride, layer.source.channels
    if copied == "input":
        return Counter()
    if copied == "phases":
        if source.width > _WORD:
            pieces = -(-layer.conv.width // (_WORD // 2))
            return Counter(
                split_pieces=2 * channels * source.height * pieces,
                split_rows=2 * channels * source.height,
                split_strings=4 * channels,
                split_written=channels * (source.height * source.width // _WORD),
            )
        halves = ((source.height + 1) // 2, source.height // 2)
        pairs = sum(half // 2 for half in halves) if source.width <= _WORD // 2 else 0
        return Counter(
            split_calls=2 * channels,
            split_pairs=channels * pairs,
            split_singles=channels * (source.height - 2 * pairs),
            split_written=channels * (source.height * source.width // _WORD),
        )
    strings = layer.window.kernel[1] * channels * high
    rows = layer.window.kernel[1] * channels * source.height
    kernel, dilation, before = layer.window.kernel[1], layer.window.dilation[1], layer.window.padding[1]
    narrow = max(source.width, layer.conv.width, (kernel - 1) * dilation + 1, before + 1) <= _WORD
    if narrow and (high, wide) == (1, 1):
        # Three kernel columns at a time, from the first one that lies inside the map.
        threes = max(kernel - before, 0) // 3 if dilation == 1 and layer.conv.width <= _WORD - 2 else 0
        ones = kernel - 3 * threes
        return Counter(
            copied_calls=channels * ones,
            copied_narrow=channels * ones * source.height,
            copied_calls_of_three=channels * threes,
            copied_threes=channels * threes * source.height,
            copied_written=rows * layer.conv.width // _WORD,
        )
    words = rows * -(-layer.conv.width // _WORD)
    return Counter(
        copied_words=words,
        copied_rows=rows,
        copied_strided=words if wide > 1 else 0,
        copied_strings=strings,
        copied_written=rows * layer.conv.width // _WORD,
    )


# ---- Lists that are made in RAM. ----


def making_work(g: Geometry, steps: Steps, sized: bool) -> Counter[str]:
    """Lists that are made in RAM. sized: whether a plan has the sizes of the patterns."""
    layer = g.layer
    (kh, kw), channels = layer.window.kernel, layer.source.channels
    words = bits.words_for(channels)
    whole = channels % _WORD == 0
    found = Counter(
        made_groups=g.quads,
        counted_words=0 if sized else g.quads * bits.words_for(g.inputs),
        counted_groups=0 if sized else g.quads,
        made_words=g.quads * kh * kw * words,
        made_rows=g.quads * kh,
        gathered_words=0 if whole else g.quads * kh * kw * words,
        gathered_taps=0 if whole else g.quads * kh * kw,
        made_entries=g.quads * g.inputs,
        made_fillers=steps.fillers,
    )
    if not g.exact:
        return found
    y, x = g.axes
    filters, patterns = QUAD * g.quads, y.count * x.count
    packed = sum(
        m * x.count <= i < m * x.count + BORDER_PATTERNS // x.count * x.count
        for i in range(patterns)
        for m in range(g.borders)
    )
    found += Counter(
        limit_words=0 if not whole else filters * kh * kw * words,
        limit_gathered=0 if whole else filters * kh * kw * words,
        limit_taps=filters * kh * kw,
        limit_columns=filters * kh * kw * x.count,
        limit_rows=filters * kh * y.count,
        limit_patterns=filters * kh * patterns,
        limits=filters * patterns * layer.thresholds,
        packed=filters * packed * layer.thresholds,
        made_borders=g.quads * g.borders,
    )
    return found
