"""Where the maps of a network lie in the arena while it runs: the place of every map that is kept.

A map that the next layer reads, and nobody else, is transient: such maps take turns at both ends of one region. All
others are kept below that region, from the layer that writes them to the last one that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.accumulation import Values
from bitflow.geometry import require
from bitflow.image.format import MAX_MAP_BYTES
from bitflow.ir import PackedNetwork

__all__ = ["Arena", "arrange"]


@dataclass(frozen=True, slots=True)
class Arena:
    """keep: offset of each layer's map in bytes, None: transient. last: of each layer, the last one that reads its map,
    of the last layer itself. kept_bytes: of the region for the maps that are kept.
    """

    keep: tuple[int | None, ...]
    last: tuple[int, ...]
    kept_bytes: int


def arrange(network: PackedNetwork) -> Arena:
    """Place the kept maps, in order of their layers, each at the lowest address that is free as long as it is needed.

    Raises InputError where a map, or all kept ones together, take more than a `.bfn` allows.
    """
    last = list(range(len(network.layers)))
    for index, layer in enumerate(network.layers):
        for source in layer.sources:
            if source >= 0:
                last[source] = index
    keep: list[int | None] = []
    kept: list[tuple[int, int, int]] = []  # (begin, end, last layer that reads it)
    for index, layer in enumerate(network.layers):
        size = 4 * layer.map_words
        unpooled = layer.conv.size if layer.gives is Values.INTEGERS else layer.conv.words
        most = max(size, 4 * unpooled, 4 * layer.source.words)
        require(most <= MAX_MAP_BYTES, f"layer {layer.name!r}: a map of {most} bytes is more than a .bfn can hold")
        used = last[index] > index or index == len(last) - 1
        require(used, f"layer {layer.name!r}: nothing takes its map")
        if last[index] <= index + 1:
            keep.append(None)
            continue
        at = 0
        for begin, end, reader in sorted(kept):
            if reader >= index and at + size > begin:
                at = max(at, end)
        keep.append(at)
        kept.append((at, at + size, last[index]))
    size = max((end for _, end, _ in kept), default=0)
    require(size <= MAX_MAP_BYTES, f"the maps that are kept take {size} bytes, more than a .bfn can hold")
    return Arena(tuple(keep), tuple(last), size)
