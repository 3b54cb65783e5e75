"""Plan -> the bytes that may follow an image: which kernel runs each layer, and what it needs. SPEC.md has them."""

from __future__ import annotations

import struct
import zlib

from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import LayerPlan, Plan

__all__ = ["MAGIC", "VERSION", "encode", "kernel_data", "size"]

MAGIC = b"BFP1"
VERSION = 1
HEADER = struct.Struct("<4sHHIII12x")
CHOICE = struct.Struct("<IIII")


def kernel_data(layer: PackedLayer, own: LayerPlan, lane_words: int) -> bytes:
    """What a plan holds for a kernel; empty where it needs nothing."""
    spec = KERNELS[own.kernel]
    return spec.data(layer, lane_words) if own.data_bytes or spec.planned else b""


def encode(network: PackedNetwork, plan: Plan) -> bytes:
    """The bytes of a plan, a multiple of 4 and the CRC-32 at their end."""
    choices, data = b"", b""
    at = HEADER.size + CHOICE.size * len(plan.layers)
    for layer, choice in zip(network.layers, plan.layers, strict=True):
        own = kernel_data(layer, choice, plan.lane_words)
        choices += CHOICE.pack(choice.kernel, choice.memory, at + len(data) if own else 0, len(own))
        data += own
    size = at + len(data) + 4
    head = HEADER.pack(MAGIC, VERSION, plan.lane_words, size, Image.of(network).crc32, len(plan.layers))
    body = head + choices + data
    return body + zlib.crc32(body).to_bytes(4, "little")


def size(network: PackedNetwork, plan: Plan) -> int:
    """Bytes of encode()."""
    return HEADER.size + CHOICE.size * len(plan.layers) + sum(layer.data_bytes for layer in plan.layers) + 4
