"""What the templates print of a plan: which kernel runs each layer, and the arrays that the kernels need."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bitflow.emit.text import ArrayView, comment, identifier, rows
from bitflow.ir import PackedLayer, PackedNetwork
from bitflow.planner import plan_format as plan_image
from bitflow.planner.kernels.table import Kernel, geometry
from bitflow.planner.plan import LayerPlan, Plan

__all__ = ["ChoiceView", "PlanView", "plan_view"]

_WHAT = {
    Kernel.PATTERNS_8: ("groups: channels, start, limits", "lists: class after class, runs of 8 planes"),
    Kernel.PATTERNS_16: ("groups: channels, start, limits", "lists: class after class, runs of 8 planes"),
    Kernel.PATTERNS_1: ("groups: channels, inputs of each class", ""),
    Kernel.SET_BITS: ("block after block of filters: bounds, weights of each input", ""),
}


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """A layer's kernel. data, size: C expressions."""

    comment: str
    kernel: str
    memory: int
    data: str
    size: str
    arrays: tuple[ArrayView, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    """bytes: of the whole plan. crc32: its last word. core, wish: what it was made for."""

    lane_words: int
    core: str
    objective: str
    bytes: int
    crc32: str
    choices: tuple[ChoiceView, ...]


def _arrays(layer: PackedLayer, own: LayerPlan, name: str, data: bytes, lane_words: int) -> tuple[ArrayView, ...]:
    """Records as bytes, then lists as bytes or 16-bit numbers; weights as words."""
    if not data:
        return ()
    first, second = _WHAT[own.kernel]
    if own.kernel is Kernel.SET_BITS:
        words = np.frombuffer(data, dtype="<u4").astype(np.uint32)
        return (ArrayView(f"{name}_planes", "uint32_t", f"[{len(words)}]", first, rows(words)),)
    g = geometry(layer, own.kernel, lane_words)
    records = len(data) if own.kernel is Kernel.PATTERNS_1 else 4 * g.groups * g.record_words
    table = np.frombuffer(data[:records], dtype=np.uint8)
    shape = f"[{g.groups}][{records // g.groups}]"
    lines = tuple("{" + ", ".join(map(str, row)) + "}," for row in table.reshape(g.groups, -1))
    found = [ArrayView(f"{name}_groups", "uint8_t", shape, first, lines)]
    if second:
        wide = own.kernel is Kernel.PATTERNS_16
        lists = np.frombuffer(data[records:], dtype="<u2" if wide else np.uint8)
        kind = "uint16_t" if wide else "uint8_t"
        found.append(ArrayView(f"{name}_lists", kind, f"[{len(lists)}]", second, rows(lists, 16)))
    return tuple(found)


def plan_view(network: PackedNetwork, plan: Plan) -> PlanView:
    """Everything that the template needs of a plan."""
    whole = plan_image.encode(network, plan)
    choices = []
    for index, (layer, own) in enumerate(zip(network.layers, plan.layers, strict=True)):
        data = plan_image.kernel_data(layer, own, plan.lane_words)
        arrays = _arrays(layer, own, f"l{index}_{identifier(layer.name or layer.kind.name)}", data, plan.lane_words)
        choices.append(
            ChoiceView(
                comment(layer.name),
                f"BF_USE_{own.kernel.name}",
                own.memory,
                f"PLAN_AT({arrays[0].name})" if arrays else "0",
                f"{len(data)}u" if arrays else "0",
                arrays,
            )
        )
    crc = int.from_bytes(whole[-4:], "little")
    return PlanView(plan.lane_words, plan.core, plan.objective, len(whole), f"0x{crc:08X}u", tuple(choices))
