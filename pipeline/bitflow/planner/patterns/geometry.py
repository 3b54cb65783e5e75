"""The geometry of a layer that a kernel of filter patterns runs.

Four filters are a *quad*; each input of a layer has one of 8 patterns, by which of the filters 1, 2, 3 have another
weight there than filter 0. The C library's patterns/lanes.h says what is added and why the result is exact; this file
repeats its arithmetic, and a test holds the two together.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bitflow.accumulation import MapType
from bitflow.packed import PackedLayer
from bitflow.planner.planes import fits, plane_words

__all__ = [
    "BORDER_PATTERNS",
    "COUNT_DIGITS",
    "PATTERNS",
    "QUAD",
    "RUN",
    "Geometry",
    "covers",
    "geometry_of",
    "reads_input",
]

QUAD = 4
PATTERNS = 8
"""Patterns that an input can have."""
COUNT_DIGITS = 12
"""Binary digits of the largest count."""
RUN = 8
_LIST8_CHANNELS = 16
_KERNEL_SIDE = 16
_ZONES = 16  # of one axis, at most
BORDER_PATTERNS = 6
"""Border patterns that one comparison tells apart."""
_BORDER_WORDS = 12
_QUAD_BYTES = 12
_MORE_WORDS = 2  # of a quad, for each threshold but one
_OFFSETS = 0x10000  # a list entry is a byte offset of 16 bits
_MAP_LIMIT = 2**28

Entries = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Axis:
    """Positions start[j] .. start[j + 1] - 1 see the taps first[j] .. end[j] - 1."""

    start: tuple[int, ...]
    first: tuple[int, ...]
    end: tuple[int, ...]

    @property
    def count(self) -> int:
        return len(self.first)


def _axis(source: int, out: int, kernel: int, stride: int, dilation: int, before: int) -> _Axis:
    taps = np.arange(kernel) * dilation
    seen: list[tuple[int, int]] = []
    start: list[int] = []
    for position in range(out):
        at = position * stride - before + taps
        first = int(np.sum(at < 0))
        pattern = (first, max(first, kernel - int(np.sum(at >= source))))
        if not seen or seen[-1] != pattern:
            seen.append(pattern)
            start.append(position)
    return _Axis((*start, out), tuple(p[0] for p in seen), tuple(p[1] for p in seen))


@dataclass(frozen=True, eq=False)
class Geometry:
    """bf_geometry of a layer.

    chunk: channels between two fillers.
    lane_words: of the core.
    """

    layer: PackedLayer
    chunk: int
    lane_words: int

    @property
    def inputs(self) -> int:
        return self.layer.taps

    @property
    def digits(self) -> int:
        """Binary digits of a count."""
        return max(4, self.inputs.bit_length())

    @property
    def quads(self) -> int:
        return self.layer.conv.channels // QUAD

    @property
    def positions(self) -> int:
        return self.layer.conv.height * self.layer.conv.width

    @property
    def blocks(self) -> int:
        return -(-self.positions // (32 * self.lane_words))

    @property
    def row_planes(self) -> int:
        channels = self.layer.source.channels
        return 2 * self.layer.window.kernel[1] * channels + -(-channels // self.chunk) * 2

    @property
    def planes(self) -> int:
        return self.row_planes * self.layer.window.kernel[0]

    @property
    def filler(self) -> int:
        return self.row_planes - 1

    @property
    def exact(self) -> bool:
        return any(self.layer.window.padding) and self.layer.pad_value == 0

    @property
    def copies_words(self) -> int:
        return _copies_words(self.layer, self.lane_words)

    @functools.cached_property
    def axes(self) -> tuple[_Axis, _Axis]:
        """Of rows and of columns."""
        layer, window = self.layer, self.layer.window
        sides = ((layer.source.height, layer.conv.height), (layer.source.width, layer.conv.width))
        y, x = (
            _axis(*sides[k], window.kernel[k], window.stride[k], window.dilation[k], window.padding[k])
            for k in range(2)
        )
        return y, x

    @property
    def together(self) -> int:
        """Zones of rows that share one border."""
        return BORDER_PATTERNS // self.axes[1].count

    @property
    def borders(self) -> int:
        return max(self.axes[0].count - self.together + 1, 1) if self.exact else 0

    @property
    def tables(self) -> int:
        return -(-self.axes[0].count // self.together) if self.exact else 0

    @property
    def record_words(self) -> int:
        more = self.layer.thresholds - 1
        return _QUAD_BYTES // 4 + ((1 + more) * self.borders * _BORDER_WORDS if self.exact else more * _MORE_WORDS)

    @property
    def list_words(self) -> int:
        """Of a list that is made in RAM, at most."""
        return (self.inputs + (RUN - 1) * PATTERNS + PATTERNS + 1) // 2

    def plane_numbers(self) -> Entries:
        """Of each tap in the order of weights, the number of the plane that holds its bit."""
        kh, kw = self.layer.window.kernel
        ky, kx, c = np.meshgrid(np.arange(kh), np.arange(kw), np.arange(self.layer.source.channels), indexing="ij")
        chunk = c // self.chunk * (2 * kw * self.chunk + 2)
        return np.asarray(ky * self.row_planes + chunk + c % self.chunk * 2 * kw + 2 * kx, dtype=np.int64).reshape(-1)

    def fillers(self) -> Entries:
        """Numbers of the first plane of zeros of each pair, ascending."""
        kh, kw = self.layer.window.kernel
        ends = [
            min(c + self.chunk, self.layer.source.channels) for c in range(0, self.layer.source.channels, self.chunk)
        ]
        row = np.array([2 * kw * end + 2 * k for k, end in enumerate(ends)], dtype=np.int64)
        return (np.arange(kh, dtype=np.int64)[:, np.newaxis] * self.row_planes + row).reshape(-1)


def geometry_of(layer: PackedLayer, entry_bits: int, lane_words: int) -> Geometry:
    """The geometry for lists whose entries have so many bits: 8 or 16."""
    return Geometry(layer, _LIST8_CHANNELS if entry_bits == 8 else layer.source.channels, lane_words)


def _copies(layer: PackedLayer) -> int:
    """How many copies of the input the taps read; 0: they read the input itself."""
    stride, width = layer.window.stride, layer.source.width
    if stride == (2, 2) and layer.conv.width == (width + 1) // 2:
        return 4
    outside = any(layer.window.padding) and layer.pad_value > 0
    if max(stride) > 1 or layer.conv.width != width or outside:
        return layer.window.kernel[1] * stride[0]
    return 0


def reads_input(layer: PackedLayer) -> bool:
    """Whether all taps count and are read in the input itself: no copies, no exact zero padding."""
    return _copies(layer) == 0 and not (any(layer.window.padding) and layer.pad_value == 0)


def _copies_words(layer: PackedLayer, lane_words: int) -> int:
    rows = -(-layer.source.height // layer.window.stride[0])
    return plane_words(rows * layer.conv.width, lane_words) * layer.source.channels * _copies(layer)


def covers(geometry: Geometry) -> bool:
    """bf_patterns_cover: whether filter patterns can run a convolution."""
    layer, lane_words = geometry.layer, geometry.lane_words
    if layer.output_type is not MapType.BITS or layer.groups != 1 or layer.invert is not None:
        return False
    if layer.shared:
        return False
    window, source, padding = layer.window, layer.source, layer.window.padding
    if layer.conv.channels % QUAD or max(window.stride) > 2 or max(window.kernel) > _KERNEL_SIDE:
        return False
    if layer.taps >> COUNT_DIGITS:
        return False
    top, left, bottom, right = padding
    if any(padding) and layer.pad_value == 0 and (left + right >= BORDER_PATTERNS or top + bottom >= _ZONES):
        return False
    return (
        geometry.planes * 4 * lane_words <= _OFFSETS
        and fits(source.height, source.width, source.channels, lane_words)
        and fits(layer.conv.height, layer.conv.width, layer.target.channels, lane_words)
        and fits(layer.target.height, layer.target.width, layer.target.channels, lane_words)
        and _copies_words(layer, lane_words) <= _MAP_LIMIT // 16
    )
