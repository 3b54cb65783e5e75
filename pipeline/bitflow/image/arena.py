"""Where the maps of a network lie in the arena while it runs: the offset of every pinned map.

A map that only the next layer reads is transient: such maps take turns at both ends of one region. All others are
pinned below that region, from the layer that writes them to the last one that reads them.
"""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.accumulation import MapType
from bitflow.geometry import require
from bitflow.image.format import MAX_MAP_BYTES
from bitflow.ir import PackedNetwork

__all__ = ["Arena", "arrange"]


@dataclass(frozen=True, slots=True)
class Arena:
    """Where each layer's map lies.

    pinned: offset of each layer's map, bytes; None: it is transient.
    last: index of the last layer that reads each layer's map; for the last layer, its own index.
    pinned_bytes: size of the region of pinned maps.
    """

    pinned: tuple[int | None, ...]
    last: tuple[int, ...]
    pinned_bytes: int


def arrange(network: PackedNetwork) -> Arena:
    """Place the pinned maps in the order of their layers, each at the lowest offset that stays free while it is needed.

    Raises InputError if a map, or all pinned maps together, take more than a `.bfn` allows.
    """
    last = list(range(len(network.layers)))
    for index, layer in enumerate(network.layers):
        for source in layer.sources:
            if source >= 0:
                last[source] = index
    pinned: list[int | None] = []
    placed: list[tuple[int, int, int]] = []  # (begin, end, last layer that reads it)
    for index, layer in enumerate(network.layers):
        size = 4 * layer.map_words
        unpooled = layer.conv.size if layer.output_type is MapType.INTEGERS else layer.unpooled.words
        most = max(size, 4 * unpooled, 4 * layer.source.words)
        require(most <= MAX_MAP_BYTES, f"layer {layer.name!r}: a map of {most} bytes is more than a .bfn can hold")
        used = last[index] > index or index == len(last) - 1
        require(used, f"layer {layer.name!r}: no layer reads its map")
        if last[index] <= index + 1:
            pinned.append(None)
            continue
        at = 0
        for begin, end, reader in sorted(placed):
            if reader >= index and at + size > begin:
                at = max(at, end)
        pinned.append(at)
        placed.append((at, at + size, last[index]))
    size = max((end for _, end, _ in placed), default=0)
    require(size <= MAX_MAP_BYTES, f"the pinned maps take {size} bytes, more than a .bfn can hold")
    return Arena(tuple(pinned), tuple(last), size)
