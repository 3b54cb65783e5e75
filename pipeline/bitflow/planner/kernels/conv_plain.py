"""conv_plain: bits tap by tap; it covers every binary convolution and dense layer, and stays the reference."""

from __future__ import annotations

import itertools
from collections import Counter

from bitflow import bits
from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.spec import Form, Job, Kernel, KernelSpec, Work
from bitflow.planner.windows import inside, positions, unpooled_words

__all__ = ["SPEC"]


def _is_lite(layer: PackedLayer) -> bool:
    return layer.kind is LayerKind.DENSE and layer.pool is None and not layer.shared


def _scratch_words(job: Job) -> int:
    layer = job.layer
    if _is_lite(layer) and layer.source.channels % bits.WORD == 0:
        return 0  # the map is the window
    parts = layer.in_thresholds if layer.shared else 1
    return unpooled_words(layer) + (1 + _has_mask(layer)) * parts * layer.filter_words  # the bits under the window


def _has_mask(layer: PackedLayer) -> bool:
    """Whether there are taps that do not count."""
    return layer.pad_value == 0 and any(layer.window.padding)


def _counted(filters: int, words: int) -> Work:
    """Words that are counted, by threes and singly."""
    return Counter(threes=filters * (words // 3), words=filters * (words % 3))


def _work(job: Job, core: Core) -> Work:
    return _dense(job.layer) if _is_lite(job.layer) else _conv_plain(job.layer)


def _dense(layer: PackedLayer) -> Work:
    """All of the map is the window: as it lies, or where channels do not fill words brought together by bf_append()."""
    channels, words = layer.source.channels, layer.filter_words
    found: Work = Counter(
        dense=1,
        dense_outputs=layer.conv.channels,
        thresholds=layer.target.channels if layer.thresholds > 1 else 0,
    )
    found += _counted(layer.conv.channels, words)
    if channels % 32:
        taps = layer.source.height * layer.source.width
        found["dense_filled"] = words
        found["dense_taps"] = taps
        found["copied"] = sum(_pieces(channels, 0, tap * channels) for tap in range(taps))
    return found


def _conv_plain(layer: PackedLayer) -> Work:
    """bf_append() copies bits of a tap, piece by piece between the ends of words; those of a mask are marked."""
    parts, masked = layer.in_thresholds if layer.shared else 1, _has_mask(layer)
    channels, words = layer.source.channels // layer.groups // layer.in_thresholds, layer.filter_words
    windows = positions(layer) * layer.groups
    # Of each row and each column of the window: outputs for which it lies inside the map.
    rows, columns = (taps.sum(axis=0).tolist() for taps in inside(layer.window, layer.source, layer.conv))
    within = sum(rows) * sum(columns)
    taps = layer.window.kernel[0] * layer.window.kernel[1] * positions(layer)
    found: Work = Counter(
        positions=positions(layer),
        windows=windows,
        window_rows=windows * layer.window.kernel[0] * layer.in_thresholds,
        window_words=windows * words * parts * (1 + masked),
        taps=within * layer.groups * layer.in_thresholds,
        outside=(taps - within) * layer.groups * layer.in_thresholds,
        outputs=layer.conv.size,
        parts=layer.conv.size * (parts - 1),
        thresholds=layer.conv.size * layer.thresholds if layer.thresholds > 1 else 0,
    )
    if masked:
        found["masked_words"] = layer.conv.size * words * parts
    else:
        found += _counted(layer.conv.size * parts, words)
    values, step = layer.source.channels // layer.in_thresholds, channels * (1 if parts > 1 else layer.in_thresholds)
    for (tap, (high, wide)), t in itertools.product(
        enumerate(itertools.product(rows, columns)), range(layer.in_thresholds)
    ):
        seen, at = high * wide, tap * step + t * (words * bits.WORD if parts > 1 else channels)
        begins = (t * values + g * channels for g in range(layer.groups))
        found["copied"] += seen * sum(_pieces(channels, begin, at) for begin in begins)
        marked = seen if masked else positions(layer) - seen if layer.pad_value > 0 else 0
        found["marked"] += marked * layer.groups * _pieces(channels, at)
    return found


def _pieces(n: int, *begins: int) -> int:
    """That n bits are cut into by the ends of words, where they begin at these bits of what is read or written."""
    return len({0} | {end for begin in begins for end in range(-begin % bits.WORD, n, bits.WORD)})


_LITE_CODE = ("division", "bits before a pool", "bits of a position", "bits put together", "plain dense layer")

SPEC = KernelSpec(
    kernel=Kernel.CONV_PLAIN,
    forms=(
        Form("bf_conv_plain_lite", _LITE_CODE, _is_lite),
        Form("bf_conv_plain", (*_LITE_CODE, "pool of positions", "plain convolution")),
    ),
    kinds=(LayerKind.CONV, LayerKind.DENSE),
    scratch_words=_scratch_words,
    work=_work,
)
