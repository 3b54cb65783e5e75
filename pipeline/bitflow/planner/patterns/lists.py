"""The lists that a plan holds for the kernels of filter patterns. Repeats the C library's making of lists in NumPy."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.planner.patterns import grouping
from bitflow.planner.patterns.geometry import PATTERNS, QUAD, RUN, Geometry
from bitflow.planner.patterns.grouping import grouped
from bitflow.planner.patterns.limits import Quad, first_threshold, most_disagreements, record

__all__ = ["Steps", "pattern_data", "pattern_sizes", "pattern_steps", "sizes_bytes"]

PAGE = 64
"""Quads whose filters are counted from one channel."""
_GRAY = (0, 1, 3, 2, 6, 7, 5, 4)

Entries = npt.NDArray[np.int64]


# ---- Lists. ----


def _list16(entries: Entries, geometry: Geometry) -> bytes:
    size = 4 * geometry.lane_words
    runs = -(-len(entries) // RUN)
    padded = np.full(runs * RUN, geometry.filler, dtype=np.int64)
    padded[: len(entries)] = entries
    return np.array([runs, *(padded * size)], dtype="<u2").tobytes()


def _runs8(entries: Entries, fillers: Entries) -> list[list[int]] | None:
    """Distances in runs of 8; None where a plane is too far from any filler."""
    runs: list[list[int]] = []
    base, at = 0, 0
    while at < len(entries):
        near = [int(e) for e in entries[at : at + RUN] if e - base <= 255]
        if len(near) < RUN:
            found = fillers[(fillers >= base) & (fillers <= base + 255)]
            if not len(found):
                return None
            filler = int(found[-1])
            padding = [filler] * (RUN - len(near))
            run = padding + near if near and near[-1] > filler else near + padding
            if not near and filler == base:
                return None
        else:
            run = near
        runs.append([plane - base for plane in run])
        base = run[-1]
        at += len(near)
    return runs


def _list8(entries: Entries, geometry: Geometry, fillers: Entries) -> bytes | None:
    """Runs of bytes, or of 16 bits where the class is too sparse for that; None where neither can hold it."""
    runs = _runs8(entries, fillers)
    wide = -(-len(entries) // RUN)
    if runs is None or len(runs) > wide + 1:
        return None if wide > 255 else bytes((0, wide)) + _list16(entries, geometry)[2:]
    return None if len(runs) > 255 else bytes((len(runs), 0)) + bytes(d for run in runs for d in run)


# ---- What a plan holds. ----


def _row_numbers(rows: npt.NDArray[np.int64]) -> bytes:
    """Counted from the first channel of their page."""
    return (rows % (PAGE * QUAD)).astype(np.uint8).tobytes()


def _patterns(weights: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """The pattern of each input of four filters [4, inputs]."""
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
    place = (layer.source, layer.conv, layer.window, layer.pad_value, geometry.chunk, geometry.lane_words)
    digest = hashlib.sha256(repr((place, grouping.TRIES)).encode() + layer.weights.tobytes() + layer.shift.tobytes())
    return _Known(digest.digest(), geometry)


def pattern_data(geometry: Geometry, width: int) -> tuple[bytes, tuple[tuple[int, ...], ...]] | None:
    """Records and lists of all quads, and the runs of each pattern of each quad. width: 8 or 16 bits an entry.

    None where a pattern has too many entries for lists of 8 bits.
    """
    return _pattern_data(_known(geometry), width)


@functools.lru_cache(maxsize=64)
def _pattern_data(known: _Known, width: int) -> tuple[bytes, tuple[tuple[int, ...], ...]] | None:
    geometry = known.geometry
    layer = geometry.layer
    assert layer.weights is not None and layer.shift is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    planes = geometry.plane_numbers()
    fillers = geometry.fillers()
    inverted = geometry.copies_words > 0 and layer.pad_value > 0
    most = most_disagreements(geometry, weights, layer.shift)
    records, lists, runs = [], [], []
    for rows in grouped(weights, PAGE):
        four = weights[rows]
        pattern = _patterns(four)
        entries = planes + (four[0] ^ inverted)
        other = np.array([0, *(int(np.sum(pattern >> (QUAD - 1 - j) & 1)) for j in range(1, QUAD))])
        records.append(record(geometry, Quad(rows, most[:, rows], other), _row_numbers(rows)))
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
    """Bytes of pattern_sizes()."""
    return geometry.quads * (QUAD + 2 * PATTERNS)


def pattern_sizes(geometry: Geometry) -> bytes:
    """What a plan holds for lists that are made in RAM: filters of each quad, and how many inputs each pattern has."""
    layer = geometry.layer
    assert layer.weights is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    records = []
    for rows in grouped(weights, PAGE):
        sizes = np.bincount(_patterns(weights[rows]), minlength=PATTERNS)[list(_GRAY)]
        records.append(_row_numbers(rows) + sizes.astype("<u2").tobytes())
    return b"".join(records)


@dataclass(frozen=True, slots=True)
class Steps:
    """What adders do for one block of positions, all quads together.

    fours: blocks of four runs of 8 entries.
    left: patterns that have 1, 2, 3 runs beside those.
    begun: patterns that have any runs.
    wide: runs of 16 bits in lists of bytes.
    fillers: entries that are no inputs.
    undecided: quads where no start value lets the top digit decide for filter 0.
    """

    fours: int
    left: tuple[int, int, int]
    begun: int
    wide: int
    fillers: int
    undecided: int


def pattern_steps(geometry: Geometry, width: int, searched: bool = True) -> Steps | None:
    """The steps of lists of 8 or 16 bits an entry. searched: whether quads are those of a plan, else filters in order.

    None where a pattern has too many entries for lists of 8 bits.
    """
    return _pattern_steps(_known(geometry), width, searched)


@functools.lru_cache(maxsize=256)
def _pattern_steps(known: _Known, width: int, searched: bool) -> Steps | None:
    geometry = known.geometry
    layer = geometry.layer
    assert layer.weights is not None and layer.shift is not None
    weights = bits.unpack(layer.weights, geometry.inputs) > 0
    order = grouped(weights, PAGE) if searched else np.arange(len(weights)).reshape(-1, QUAD)
    most = most_disagreements(geometry, weights, layer.shift)
    undecided = sum(first_threshold(geometry, most[:, rows[0]])[1] is None for rows in order)
    sizes = np.stack([np.bincount(_patterns(weights[rows]), minlength=PATTERNS) for rows in order])
    runs, wide = -(-sizes // RUN), 0 * sizes
    if width == 8:
        found = _pattern_data(known, 8)
        if found is None:
            return None
        runs, wide = np.array(found[1]) & 0xFF, np.array(found[1]) >> 8
    one, two, three = (int(np.sum(runs % 4 == k)) for k in (1, 2, 3))
    fillers = RUN * int(runs.sum() + wide.sum()) - int(sizes.sum())
    return Steps(int((runs // 4).sum()), (one, two, three), int(np.sum(runs > 0)), int(wide.sum()), fillers, undecided)
