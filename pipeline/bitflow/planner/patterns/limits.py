"""The limits of counts, up to which an output bit is 1; with exact zero padding, of each border pattern.

Repeats limits.c and border.c of the C library in NumPy; border.h has an example.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitflow.planner.patterns.geometry import COUNT_DIGITS, QUAD, Geometry

__all__ = ["Quad", "first_threshold", "limit_code", "most_disagreements", "record"]

_FIRST_LIMIT = 0x8000
_FIRST_THRESHOLD = 13  # at this bit
_FIRST_THRESHOLDS = 4


def limit_code(limit: npt.NDArray[np.int64], digits: int) -> npt.NDArray[np.int64]:
    """BF_LIMIT() of the C library."""
    return (limit + (1 << digits)) & ((2 << digits) - 1)


@dataclass(frozen=True, slots=True)
class Quad:
    """Four filters.

    rows: their numbers.
    most: [thresholds, 4, border patterns], the largest count of disagreements that still gives a 1.
    other: [4], inputs whose weight differs from that of filter 0.
    """

    rows: npt.NDArray[np.int64]
    most: npt.NDArray[np.int64]
    other: npt.NDArray[np.int64]


def most_disagreements(
    geometry: Geometry, weights: npt.NDArray[np.bool_], shift: npt.NDArray[np.int32]
) -> npt.NDArray[np.int64]:
    """The largest count of disagreements that still gives a 1; -1: never, `inputs`: always.

    [thresholds, filters, border patterns].
    """
    layer = geometry.layer
    kh, kw = layer.window.kernel
    taps = weights.reshape(len(weights), kh, kw, -1)
    shifts = shift.astype(np.int64).reshape(layer.thresholds, -1)
    columns = []
    if not geometry.exact:
        columns.append((geometry.inputs + shifts) // 2)
    else:
        y, x = geometry.axes
        total = taps.sum(axis=(1, 2, 3))
        for py in range(y.count):
            for px in range(x.count):
                seen = taps[:, y.first[py] : y.end[py], x.first[px] : x.end[px]]
                valid = seen[0].size
                columns.append((valid + shifts) // 2 + total - seen.sum(axis=(1, 2, 3)))
    return np.clip(np.stack(columns, axis=2), -1, geometry.inputs)


def _starts(geometry: Geometry, most: npt.NDArray[np.int64]) -> npt.NDArray[np.int64] | None:
    """The start value of each border pattern with which the top digit decides for filter 0; None: some have none."""
    half = 1 << (geometry.digits - 1)
    if geometry.exact and geometry.digits >= COUNT_DIGITS:
        return None
    if np.any(most >= half) or np.any(most < geometry.inputs - half):
        return None
    return half - 1 - most


def first_threshold(geometry: Geometry, most: npt.NDArray[np.int64]) -> tuple[int, npt.NDArray[np.int64] | None]:
    """The first of the lowest thresholds for which the top digit can decide, and the start values; 0, None: none.

    most: of filter 0, [thresholds, border patterns].
    """
    for t, each in enumerate(most[:_FIRST_THRESHOLDS]):
        begin = _starts(geometry, each)
        if begin is not None:
            return t, begin
    return 0, None


def record(geometry: Geometry, quad: Quad, numbers: bytes) -> bytes:
    """The record of a quad. numbers: of its filters, as a plan has them."""
    first, begin = first_threshold(geometry, quad.most[:, 0])
    base = np.zeros_like(quad.most[0, 0]) if begin is None else begin
    order = [first, *(t for t in range(len(quad.most)) if t != first)]
    limits = [limit_code(most + base - quad.other[:, np.newaxis], geometry.digits) for most in quad.most[order]]
    head = first << _FIRST_THRESHOLD | (_FIRST_LIMIT if begin is None else 0)
    if not geometry.exact:
        number = int(quad.most[first, 0, 0] + 1) if begin is None else int(begin[0])
        coded = [head | number, *np.concatenate([limit[:, 0] for limit in limits])[1:]]
        return numbers + np.array(coded, dtype="<u2").tobytes()
    for limit, most in zip(limits, quad.most[order], strict=True):
        limit[0] = most[0] + base + 1  # the bit is 1 where the count is less
    if begin is not None:
        limits[0][0] = begin
    borders = [_border_words(geometry, limit, number) for limit in limits for number in range(geometry.borders)]
    return numbers + np.array([head, 0, 0, 0], dtype="<u2").tobytes() + b"".join(borders)


def _border_words(geometry: Geometry, coded: npt.NDArray[np.int64], number: int) -> bytes:
    """Of each filter three words: digit by digit the border patterns whose bit is 1, six bits each, five a word."""
    y, x = geometry.axes
    words = np.zeros((QUAD, 3), dtype=np.uint32)
    for row in range(min(geometry.together, y.count - number)):
        for px in range(x.count):
            pattern, bit = (number + row) * x.count + px, row * x.count + px
            for j in range(QUAD):
                value = int(coded[j][pattern])
                for digit in range(geometry.digits + 1):
                    words[j, digit // 5] |= np.uint32((value >> digit & 1) << (6 * (digit % 5) + bit))
    return words.astype("<u4").tobytes()
