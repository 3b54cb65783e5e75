"""The kernels of the C library as the planner sees them: which layers each covers, how its maps lie, what it needs.

Sizes repeat the C library's own arithmetic (the `covers` and `scratch` of each bf_kernel); tests hold them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from bitflow import bits
from bitflow.accumulation import LayerKind, Values
from bitflow.packed import INPUT, PackedLayer, PackedNetwork
from bitflow.planner.kernels import input_sums, set_bits
from bitflow.planner.kernels import patterns as classes

__all__ = [
    "LIST_MEMORY",
    "Job",
    "Kernel",
    "candidates",
    "gives_strings",
    "is_usual",
    "scratch",
    "stored_bytes",
    "symbols",
    "takes_strings",
]

LIST_MEMORY = 16384
"""BF_LIST_MEMORY: bytes that a convolution without a plan takes to make its lists."""

_MAKING_PAYS = 8


class Kernel(IntEnum):
    """bf_kernel_number: of kernels that serve the same kind, those with lower numbers are faster and cover less."""

    INPUT_SUMS = 0
    INPUT_PLAIN = 1
    PATTERNS_16 = 2
    PATTERNS_8 = 3
    SET_BITS = 4
    PATTERNS_1 = 5
    CONV_PLAIN = 6
    WIDE_CONV = 7
    SUM = 8
    CONCAT = 9
    TOTAL = 10

    @property
    def symbol(self) -> str:
        """Its name in bitflow.h."""
        return _SYMBOLS[self]

    @property
    def forms(self) -> tuple[str, ...]:
        """Its names in bitflow.h: of the kernel itself, and of what links less code and covers only usual layers."""
        usual = self.by_classes or self in (Kernel.INPUT_SUMS, Kernel.CONV_PLAIN)
        return (self.symbol, f"{self.symbol}_lite") if usual else (self.symbol,)

    @property
    def planned(self) -> bool:
        """Whether it needs data of a plan."""
        return self in (Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.SET_BITS)

    @property
    def by_classes(self) -> bool:
        return self in (Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.PATTERNS_1)


_SYMBOLS = {
    Kernel.INPUT_SUMS: "bf_input_sums",
    Kernel.INPUT_PLAIN: "bf_input_conv_plain",
    Kernel.PATTERNS_16: "bf_conv_patterns_16",
    Kernel.PATTERNS_8: "bf_conv_patterns_8",
    Kernel.SET_BITS: "bf_conv_set_bits",
    Kernel.PATTERNS_1: "bf_conv_patterns_1",
    Kernel.CONV_PLAIN: "bf_conv_plain",
    Kernel.WIDE_CONV: "bf_wide_conv",
    Kernel.SUM: "bf_sum",
    Kernel.CONCAT: "bf_concat",
    Kernel.TOTAL: "bf_total",
}
_BY_KIND = {
    LayerKind.INPUT_CONV: (Kernel.INPUT_SUMS, Kernel.INPUT_PLAIN),
    LayerKind.CONV: (Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.SET_BITS, Kernel.PATTERNS_1, Kernel.CONV_PLAIN),
    LayerKind.DENSE: (Kernel.SET_BITS, Kernel.CONV_PLAIN),
    LayerKind.WIDE_CONV: (Kernel.WIDE_CONV,),
    LayerKind.SUM: (Kernel.SUM,),
    LayerKind.CONCAT: (Kernel.CONCAT,),
    LayerKind.TOTAL: (Kernel.TOTAL,),
}


def symbols(network: PackedNetwork, kernels: Sequence[Kernel]) -> dict[Kernel, str]:
    """Who runs the layers, as bitflow.h calls it: the form with less code where all layers of a kernel are usual."""
    unusual = {kernel for layer, kernel in zip(network.layers, kernels, strict=True) if not is_usual(layer, kernel)}
    return {kernel: kernel.forms[0 if kernel in unusual else -1] for kernel in sorted(set(kernels))}


def is_usual(layer: PackedLayer, kernel: Kernel) -> bool:
    """Whether the form for usual layers runs a layer that the kernel covers."""
    if kernel is Kernel.CONV_PLAIN:
        return layer.kind is LayerKind.DENSE and layer.pool is None
    if layer.pool:
        window, (height, width) = layer.pool.window, (layer.conv.height, layer.conv.width)
        inside = 2 * layer.target.height <= height and 2 * layer.target.width <= width
        if window.kernel != (2, 2) or window.stride != (2, 2) or any(window.padding[:2]) or not inside:
            return False
    return kernel is Kernel.INPUT_SUMS or (kernel.by_classes and classes.reads_input(layer))


def takes_strings(kernel: Kernel) -> bool:
    """Whether it works on strings of bits, and takes its input as such."""
    return kernel.by_classes


def gives_strings(kernel: Kernel) -> bool:
    """Whether it works on strings of bits, and gives its map as such."""
    return kernel.by_classes or kernel is Kernel.INPUT_SUMS


def geometry(layer: PackedLayer, kernel: Kernel, lane_words: int) -> classes.Geometry:
    """Of a kernel of filter classes."""
    chunk = classes.LIST8_CHANNELS if kernel is Kernel.PATTERNS_8 else layer.source.channels
    return classes.Geometry(layer, chunk, lane_words)


def _covers(layer: PackedLayer, kernel: Kernel, lane_words: int) -> bool:
    match kernel:
        case Kernel.INPUT_SUMS:
            return input_sums.covers(layer, lane_words)
        case Kernel.PATTERNS_16 | Kernel.PATTERNS_8:
            return classes.covers(layer, geometry(layer, kernel, lane_words).chunk, lane_words)
        case Kernel.PATTERNS_1:
            pays = layer.conv.height * layer.conv.width >= _MAKING_PAYS
            return pays and classes.covers(layer, layer.source.channels, lane_words)
        case Kernel.SET_BITS:
            return set_bits.covers(layer, lane_words)
        case _:
            return True


def candidates(layer: PackedLayer, lane_words: int) -> tuple[Kernel, ...]:
    """The kernels that can run a layer, in the order of their numbers; the last one covers every layer of its kind."""
    return tuple(kernel for kernel in _BY_KIND[layer.kind] if _covers(layer, kernel, lane_words))


@dataclass(frozen=True, slots=True)
class Job:
    """A layer, who runs it and how its maps lie. memory: bytes for the planes and lists of PATTERNS_1;
    sized: whether a plan has the sizes of its classes.
    """

    network: PackedNetwork
    layer: PackedLayer
    kernel: Kernel
    lane_words: int
    strings_in: bool = False
    strings_out: bool = False
    memory: int = LIST_MEMORY
    sized: bool = True


def stored_bytes(layer: PackedLayer, strings: bool, lane_words: int) -> int:
    """Of the map that a layer gives, in the arena."""
    if strings:
        return 4 * _strings(layer.target.height * layer.target.width, layer.target.channels, lane_words)
    return 4 * layer.map_words


def _strings(positions: int, channels: int, lane_words: int) -> int:
    return classes.string_words(positions, lane_words) * channels


def _unpooled_words(layer: PackedLayer) -> int:
    """Words of the public map before the pool, where there is one."""
    if layer.pool is None:
        return 0
    return layer.conv.size if layer.gives is Values.INTEGERS else layer.conv.words


def _strings_scratch(job: Job) -> int:
    """bf_strings_scratch: words of the input as strings, and of the map before and after the pool."""
    layer, source = job.layer, job.layer.source
    words = 0
    if takes_strings(job.kernel) and not job.strings_in:
        words += _strings(source.height * source.width, source.channels, job.lane_words)
    if layer.pool is not None or not job.strings_out:
        words += _strings(layer.conv.height * layer.conv.width, layer.target.channels, job.lane_words)
    if layer.pool is not None and not job.strings_out:
        words += _strings(layer.target.height * layer.target.width, layer.target.channels, job.lane_words)
    return words


@dataclass(frozen=True, slots=True)
class Share:
    """How PATTERNS_1 uses its memory. part: groups whose lists are made at a time. blocks: whose planes are kept."""

    part: int
    blocks: int


def share(g: classes.Geometry, memory: int) -> Share:
    """As few turns over the blocks as the memory allows, but at least one group at a time."""
    words = memory // 4
    planes = g.planes * g.lane_words
    group = g.record_words + g.list_words
    everything = planes * g.blocks
    left, blocks = max(words - planes, 0), 1
    if left // group < g.groups and words >= everything + group:
        left, blocks = words - everything, g.blocks
    return Share(max(1, min(left // group, g.groups)), blocks)


def _classes_scratch(job: Job) -> int:
    g = geometry(job.layer, job.kernel, job.lane_words)
    counts = (classes.CLASSES + 1) * classes.COUNT_PLANES * job.lane_words
    words = _strings_scratch(job) + g.copies_words + counts + g.passes * 64 * job.lane_words
    used = share(g, job.memory) if job.kernel is Kernel.PATTERNS_1 else Share(0, 1)
    words += used.blocks * g.planes * job.lane_words
    return words + used.part * (g.record_words + g.list_words)


def scratch(job: Job) -> int:
    """Bytes of scratch, the maps before and after a pool included where they lie there."""
    layer = job.layer
    unpooled = _unpooled_words(layer)
    match job.kernel:
        case Kernel.INPUT_SUMS:
            words = _strings_scratch(job) + input_sums.scratch_words(layer)
        case Kernel.INPUT_PLAIN:
            words = unpooled + (layer.taps + 1) // 2  # int16 a tap
        case Kernel.PATTERNS_16 | Kernel.PATTERNS_8 | Kernel.PATTERNS_1:
            words = _classes_scratch(job)
        case Kernel.SET_BITS:
            words = unpooled + set_bits.scratch_words(layer, job.lane_words)
        case Kernel.CONV_PLAIN:
            words = unpooled + 2 * bits.words_for(layer.taps)  # the bits under the window and their mask
        case Kernel.WIDE_CONV:
            pixels = layer.sources[0] == INPUT
            wide = not pixels and job.network.layers[layer.sources[0]].gives is Values.INTEGERS
            words = unpooled + (layer.taps if wide else (layer.taps + 1) // 2)  # int32 or int16 a tap
        case Kernel.SUM | Kernel.TOTAL:
            words = unpooled + layer.source.channels  # the sums of a position
        case Kernel.CONCAT:
            words = 0
    return 4 * words
