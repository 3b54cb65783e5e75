"""Images of older versions of the format."""

from __future__ import annotations

from bitflow.errors import ImageError
from bitflow.image.format import MAGIC, OLDEST, Record
from bitflow.image.read import decode
from bitflow.maps import LayerKind
from bitflow.packed import PackedNetwork

__all__ = ["decode_any"]


def decode_any(data: bytes) -> PackedNetwork:
    """The network in a `.bfn` of version 2 or later. Raises ImageError as `decode` does.

    An image of version 2 is read where it lies, not rewritten first: its records may share bytes with its arrays.
    """
    if data[:6] != MAGIC + OLDEST.to_bytes(2, "little"):
        return decode(data)
    network = decode(data, OLDEST, _today)
    for layer in network.layers:
        if layer.kind in (LayerKind.SUM, LayerKind.TOTAL):
            given = {network.layers[source].target.channels for source in layer.sources}
            if given != {layer.source.channels}:
                raise ImageError(f"layer {layer.name!r}: version 2 has no sums of the bits of a value")
    return network


def _today(r: Record) -> Record:
    """A record of version 2, which had zeros where version 3 has its new fields."""
    if r.thresholds or r.in_thresholds or r.flags:
        raise ImageError("reserved fields are set")
    return r._replace(thresholds=1, in_thresholds=1)
