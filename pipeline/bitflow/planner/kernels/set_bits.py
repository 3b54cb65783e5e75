"""set_bits: the ones of a window are listed, and the transposed weights of a plan added for them."""

from __future__ import annotations

import itertools
import math
from collections import Counter, defaultdict

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.accumulation import LayerKind, MapType
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.spec import DataArray, Form, Job, Kernel, KernelSpec, Option, Work
from bitflow.planner.patterns.geometry import COUNT_DIGITS, RUN
from bitflow.planner.windows import POSITION_CODE, inside, unpooled_words

__all__ = ["SPEC"]

_CASES = 4  # of a threshold: even and odd number of listed inputs; ones and zeros listed
_OFFSETS = 0x10000
_COUNTED = 1 << COUNT_DIGITS


def _covers(layer: PackedLayer, lane_words: int) -> bool:
    return (
        layer.output_type is MapType.BITS
        and not layer.shared
        and layer.groups == 1
        and layer.invert is None
        and not (any(layer.window.padding) and layer.pad_value == 0)
        and _start(layer.taps) + _most_listed(layer.taps) < _COUNTED
        and (layer.taps + 1) * 4 * lane_words <= _OFFSETS
    )


def _blocks(layer: PackedLayer, lane_words: int) -> int:
    return -(-bits.words_for(layer.conv.channels) // lane_words)


def _data_bytes(layer: PackedLayer, lane_words: int) -> int:
    """bf_set_bits_size: bytes that the kernel needs of a plan."""
    return _blocks(layer, lane_words) * (layer.thresholds * _CASES * COUNT_DIGITS + layer.taps + 1) * 4 * lane_words


def _most_listed(taps: int) -> int:
    """A list is given up when it has more ones than this: then that of the zeros is shorter."""
    return taps // 2 + taps // 8 + 1


def _start(taps: int) -> int:
    """What every count starts at, less half of the listed inputs."""
    return _most_listed(taps) // 2 + 1


def _scratch_words(job: Job) -> int:
    """The counts and the list."""
    counts = 2 * COUNT_DIGITS * job.lane_words
    return unpooled_words(job.layer) + counts + (2 + _most_listed(job.layer.taps) + bits.WORD + RUN) // 2


def _data(layer: PackedLayer, lane_words: int) -> bytes:
    """Of each block of filters: thresholds (ones listed, even and odd; zeros), a plane for each input, one of zeros."""
    assert layer.weights is not None and layer.shift is not None
    lanes = 32 * lane_words
    count = _blocks(layer, lane_words) * lanes
    weights = np.zeros((count, layer.taps), dtype=np.bool_)
    filters = layer.conv.channels
    weights[:filters] = bits.unpack(layer.weights, layer.taps) > 0
    shifts = np.zeros((layer.thresholds, count), dtype=np.int64)
    shifts[:, :filters] = layer.shift.reshape(-1, filters)
    ones = weights.sum(axis=1, dtype=np.int64)
    cases = [_threshold(layer.taps, ones, s, odd) for shift in shifts for s in (shift, -1 - shift) for odd in (0, 1)]
    planes = np.stack(cases)[:, np.newaxis, :] >> np.arange(COUNT_DIGITS)[:, np.newaxis] & 1  # [cases, planes, filters]
    rows = np.concatenate([planes.reshape(-1, count).astype(np.bool_), weights.T, np.zeros((1, count), dtype=np.bool_)])
    words = bits.pack(rows)  # [rows, words of all filters]
    blocks = words.reshape(len(rows), -1, lane_words).transpose(1, 0, 2)
    return np.ascontiguousarray(blocks).astype("<u4").tobytes()


def _threshold(taps: int, ones: npt.NDArray[np.int64], shift: npt.NDArray[np.int64], odd: int) -> npt.NDArray[np.int64]:
    """The count from which on a bit is 1: 2 S - m >= ceil((2 W - n - shift) / 2), its start for m inputs included."""
    least = -((shift + taps - 2 * ones) // 2)  # ceil of the negative is the negative of the floor
    threshold: npt.NDArray[np.int64] = np.clip((least + odd + 1) // 2 + _start(taps), 0, _COUNTED - 1)
    return threshold


def _arrays(layer: PackedLayer, data: bytes, lane_words: int) -> tuple[DataArray, ...]:
    words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
    return (DataArray("planes", "block after block of filters: thresholds, weights of each input", words),)


def _options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
    return (Option(Kernel.SET_BITS, 0, _data_bytes(layer, core.lane_words)),)


def _work(job: Job, core: Core) -> Work:
    """The mean over pictures: of the bits inside the map half are taken to be 1, as many as of independent ones.

    A list that grows too long is given up, and one of the zeros made: so at positions beside much padding of +1.
    """
    layer = job.layer
    kernel, channels = layer.window.kernel, layer.source.channels
    blocks = _blocks(layer, job.lane_words)
    most = _most_listed(layer.taps)
    found: dict[str, float] = defaultdict(float)
    rows, columns = (Counter(taps.sum(axis=1).tolist()) for taps in inside(layer.window, layer.source, layer.conv))
    for (high, n), (wide, m) in itertools.product(rows.items(), columns.items()):
        positions, within, outside = n * m, high * wide, kernel[0] * kernel[1] - high * wide
        ones, spread = within * channels / 2, math.sqrt(within * channels) / 2
        padded = outside * channels if layer.pad_value > 0 else 0
        given_up = 0.5 * math.erfc((most + 0.5 - ones - padded) / max(spread, 0.5) / math.sqrt(2))
        # Of the window, for the list of the ones, which may end early, and that of the zeros.
        looked = 1 - given_up + given_up * most / max(ones + padded, most) + given_up
        runs = (1 - given_up) * _runs(ones + padded, spread) + given_up * _runs(ones, spread)
        for thing, count in (
            ("positions", 1),
            ("again", given_up),
            ("window_rows", looked * kernel[0]),
            ("taps", looked * within),
            ("outside", looked * outside),
            ("words", looked * within * bits.words_for(channels)),
            ("listed", looked * ones),
            ("padded", (looked - given_up) * padded),
            ("blocks", blocks),
            ("thresholds", blocks * layer.thresholds if layer.thresholds > 1 else 0),
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


_CODE = ("division", *POSITION_CODE, "bits put together", "adder of 16-bit lists", "set bits")

SPEC = KernelSpec(
    kernel=Kernel.SET_BITS,
    forms=(
        Form(
            "bf_conv_set_bits", ("division", *POSITION_CODE, "bits put together", "adder of 16-bit lists", "set bits")
        ),
    ),
    kinds=(LayerKind.CONV, LayerKind.DENSE),
    covers=_covers,
    scratch_words=_scratch_words,
    work=_work,
    options=_options,
    data=_data,
    arrays=_arrays,
    planned=True,
    by_pixels=True,
)
