"""Filter classes: the lists and limits that a plan holds for the C library's kernels.

Repeats lists.c, limits.c and border.c of the C library (src/patterns) in NumPy.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.planner.grouping import grouped
from bitflow.planner.kernels.patterns import CLASSES, COUNT_PLANES, GROUP, RUN, Geometry

__all__ = ["Steps", "class_data", "class_sizes", "class_steps", "sizes_bytes"]

PAGE = 64
"""Groups whose filters are counted from one channel."""
_GRAY = (0, 1, 3, 2, 6, 7, 5, 4)
_FIRST_LIMIT = 0x8000

Entries = npt.NDArray[np.int64]


# ---- Lists. ----


def _list16(entries: Entries, geometry: Geometry) -> bytes:
    size = 4 * geometry.lane_words
    runs = -(-len(entries) // RUN)
    padded = np.full(runs * RUN, geometry.filler, dtype=np.int64)
    padded[: len(entries)] = entries
    return np.array([runs, *(padded * size)], dtype="<u2").tobytes()


def _runs8(entries: Entries, fillers: Entries) -> list[list[int]] | None:
    """Distances in runs of 8; None where a plane is out of reach of any filler."""
    runs: list[list[int]] = []
    base, at = 0, 0
    while at < len(entries):
        reach = [int(e) for e in entries[at : at + RUN] if e - base <= 255]
        if len(reach) < RUN:
            found = fillers[(fillers >= base) & (fillers <= base + 255)]
            if not len(found):
                return None
            filler = int(found[-1])
            padding = [filler] * (RUN - len(reach))
            run = padding + reach if reach and reach[-1] > filler else reach + padding
            if not reach and filler == base:
                return None
        else:
            run = reach
        runs.append([plane - base for plane in run])
        base = run[-1]
        at += len(reach)
    return runs


def _list8(entries: Entries, geometry: Geometry, fillers: Entries) -> bytes | None:
    """Runs of bytes, or of 16 bits where the class is too sparse for that; None where neither can hold it."""
    runs = _runs8(entries, fillers)
    wide = -(-len(entries) // RUN)
    if runs is None or len(runs) > wide + 1:
        return None if wide > 255 else bytes((0, wide)) + _list16(entries, geometry)[2:]
    return None if len(runs) > 255 else bytes((len(runs), 0)) + bytes(d for run in runs for d in run)


# ---- Limits. ----


def limit_code(j: int, limit: npt.NDArray[np.int64], width: int) -> npt.NDArray[np.int64]:
    """BF_LIMIT() of lanes.h."""
    return (limit + (1 << width)) & ((2 << width) - 1)


@dataclass(frozen=True, slots=True)
class _Group:
    """Four filters. most: of each and each border pattern, [4, patterns]; the disagreements that still give a 1."""

    rows: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]


def _most(geometry: Geometry, weights: npt.NDArray[np.bool_], shift: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """[filters, patterns]: from -1, never, to `inputs`, always."""
    layer = geometry.layer
    kh, kw = layer.window.kernel
    taps = weights.reshape(len(weights), kh, kw, -1)
    columns = []
    if not geometry.exact:
        columns.append((geometry.inputs + shift.astype(np.int64)) // 2)
    else:
        y, x = geometry.axes
        total = taps.sum(axis=(1, 2, 3))
        for py in range(y.count):
            for px in range(x.count):
                seen = taps[:, y.first[py] : y.end[py], x.first[px] : x.end[px]]
                valid = seen[0].size
                columns.append((valid + shift.astype(np.int64)) // 2 + total - seen.sum(axis=(1, 2, 3)))
    return np.clip(np.stack(columns, axis=1), -1, geometry.inputs)


def _starts(geometry: Geometry, most: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """Where filter 0's top plane decides, its start of each pattern; None: it cannot for all."""
    half = 1 << (geometry.width - 1)
    if geometry.exact and geometry.width >= COUNT_PLANES:
        return None
    if np.any(most >= half) or np.any(most < geometry.inputs - half):
        return None
    return half - 1 - most


def _rows(rows: npt.NDArray[np.int64]) -> bytes:
    """Counted from the first channel of their page."""
    return (rows % (PAGE * GROUP)).astype(np.uint8).tobytes()


def _record(geometry: Geometry, group: _Group) -> bytes:
    rows = _rows(group.rows)
    starts = _starts(geometry, group.most[0])
    base = np.zeros_like(group.most[0]) if starts is None else starts
    limits = [limit_code(j, group.most[j] + base - group.other[j], geometry.width) for j in range(1, GROUP)]
    if not geometry.exact:
        first = _FIRST_LIMIT | int(group.most[0, 0] + 1) if starts is None else int(starts[0])
        return rows + np.array([first, *(int(limit[0]) for limit in limits)], dtype="<u2").tobytes()
    head = rows + np.array([_FIRST_LIMIT if starts is None else 0, 0, 0, 0], dtype="<u2").tobytes()
    coded = [group.most[0] + 1 if starts is None else starts, *limits]
    return head + b"".join(_pack(geometry, coded, number) for number in range(geometry.packs))


def _pack(geometry: Geometry, coded: list[npt.NDArray[np.int64]], number: int) -> bytes:
    """Of each filter three words: plane by plane the sets of lanes whose bit is 1, six bits each, five a word."""
    y, x = geometry.axes
    words = np.zeros((GROUP, 3), dtype=np.uint32)
    for row in range(min(geometry.together, y.count - number)):
        for px in range(x.count):
            pattern, bit = (number + row) * x.count + px, row * x.count + px
            for j in range(GROUP):
                value = int(coded[j][pattern])
                for plane in range(geometry.width + 1):
                    words[j, plane // 5] |= np.uint32((value >> plane & 1) << (6 * (plane % 5) + bit))
    return words.astype("<u4").tobytes()


# ---- What a plan holds. ----


def _patterns(weights: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The class of each input of four filters [4, inputs]."""
    differs = weights[1:] ^ weights[0]
    return np.asarray(differs[0] * 4 + differs[1] * 2 + differs[2] * 1, dtype=np.int64)


@dataclass(frozen=True, slots=True)
class _Known:
    """A geometry by what its lists depend on, so that they are made once."""

    key: bytes
    geometry: Geometry = field(compare=False)


def _known(geometry: Geometry) -> _Known:
    layer = geometry.layer
    assert layer.weights is not None and layer.shift is not None
    shape = (layer.source, layer.conv, layer.window, layer.pad_value, geometry.chunk, geometry.lane_words)
    digest = hashlib.sha256(repr(shape).encode() + layer.weights.tobytes() + layer.shift.tobytes())
    return _Known(digest.digest(), geometry)


def class_data(geometry: Geometry, width: int) -> tuple[bytes, tuple[tuple[int, ...], ...]] | None:
    """Records and lists of all groups, and of each group the runs of its classes. width: 8 or 16 bits an entry.

    None where a class has too many entries for lists of 8 bits.
    """
    return _class_data(_known(geometry), width)


@functools.lru_cache(maxsize=64)
def _class_data(known: _Known, width: int) -> tuple[bytes, tuple[tuple[int, ...], ...]] | None:
    geometry = known.geometry
    layer = geometry.layer
    assert layer.weights is not None and layer.shift is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    planes = geometry.plane_numbers()
    fillers = geometry.fillers()
    inverted = geometry.copies_words > 0 and layer.pad_value > 0
    most = _most(geometry, weights, layer.shift)
    records, lists, runs = [], [], []
    for rows in grouped(weights, PAGE):
        four = weights[rows]
        pattern = _patterns(four)
        entries = planes + (four[0] ^ inverted)
        other = np.array([0, *(int(np.sum(pattern >> (GROUP - 1 - j) & 1)) for j in range(1, GROUP))])
        records.append(_record(geometry, _Group(rows, most[rows], other)))
        sizes = []
        for code in _GRAY:
            members = np.sort(entries[pattern == code])
            text = _list16(members, geometry) if width == 16 else _list8(members, geometry, fillers)
            if text is None:
                return None
            sizes.append(int.from_bytes(text[:2], "little") if width == 16 else text[0] + 256 * text[1])
            lists.append(text)
        runs.append(tuple(sizes))
    data = b"".join((*records, *lists))
    return data + bytes(-len(data) % 4), tuple(runs)


def sizes_bytes(geometry: Geometry) -> int:
    """Of class_sizes()."""
    return geometry.groups * (GROUP + 2 * CLASSES)


def class_sizes(geometry: Geometry) -> bytes:
    """What a plan holds for lists that are made in RAM: filters of each group, and how many inputs its classes have."""
    layer = geometry.layer
    assert layer.weights is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    records = []
    for rows in grouped(weights, PAGE):
        sizes = np.bincount(_patterns(weights[rows]), minlength=CLASSES)[list(_GRAY)]
        records.append(_rows(rows) + sizes.astype("<u2").tobytes())
    return b"".join(records)


@dataclass(frozen=True, slots=True)
class Steps:
    """What adders do for one block of positions, all groups together. fours: blocks of four runs of 8 entries; left:
    classes that have 1, 2, 3 runs beside those; begun: classes that have any; wide: runs of 16 bits in lists of bytes;
    fillers: entries that are no inputs; undecided: groups where no start lets the top plane decide for filter 0.
    """

    fours: int
    left: tuple[int, int, int]
    begun: int
    wide: int
    fillers: int
    undecided: int


def class_steps(geometry: Geometry, width: int, searched: bool = True) -> Steps | None:
    """Of lists of 8 or 16 bits an entry; searched: whether groups are those that a plan has, else filters as they come.

    None where a class has too many entries for lists of 8 bits.
    """
    return _class_steps(_known(geometry), width, searched)


@functools.lru_cache(maxsize=256)
def _class_steps(known: _Known, width: int, searched: bool) -> Steps | None:
    geometry = known.geometry
    layer = geometry.layer
    assert layer.weights is not None and layer.shift is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    order = grouped(weights, PAGE) if searched else np.arange(len(weights)).reshape(-1, GROUP)
    most = _most(geometry, weights, layer.shift)
    undecided = sum(_starts(geometry, most[rows[0]]) is None for rows in order)
    sizes = np.stack([np.bincount(_patterns(weights[rows]), minlength=CLASSES) for rows in order])
    runs, wide = -(-sizes // RUN), 0 * sizes
    if width == 8:
        found = _class_data(known, 8)
        if found is None:
            return None
        runs, wide = np.array(found[1]) & 0xFF, np.array(found[1]) >> 8
    one, two, three = (int(np.sum(runs % 4 == k)) for k in (1, 2, 3))
    fillers = RUN * int(runs.sum() + wide.sum()) - int(sizes.sum())
    return Steps(int((runs // 4).sum()), (one, two, three), int(np.sum(runs > 0)), int(wide.sum()), fillers, undecided)
