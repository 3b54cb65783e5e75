"""A plan for the templates: which kernel runs each layer, and the arrays that the kernels need."""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.emit.text import ArrayView, comment, identifier, rows
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import DataArray
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan

__all__ = ["ChoiceView", "PlanView", "plan_view"]


@dataclass(frozen=True, slots=True)
class ChoiceView:
    """A layer's kernel.

    data, size: C expressions.
    """

    comment: str
    kernel: str
    memory: int
    data: str
    size: str
    arrays: tuple[ArrayView, ...]


@dataclass(frozen=True, slots=True)
class PlanView:
    """A plan as the templates print it.

    core, objective: what the plan was made for.
    bytes: size of the whole plan.
    crc32: its last word, as C.
    """

    lane_words: int
    core: str
    objective: str
    bytes: int
    crc32: str
    choices: tuple[ChoiceView, ...]


def _view(name: str, array: DataArray) -> ArrayView:
    """Each record as one row of initialisers; plain numbers one after the other."""
    values = array.values
    kind = f"uint{8 * values.itemsize}_t"
    if values.ndim == 2:
        lines = tuple("{" + ", ".join(map(str, row)) + "}," for row in values)
    else:
        lines = rows(values, 8 if values.itemsize == 4 else 16)
    dimensions = "".join(f"[{size}]" for size in values.shape)
    return ArrayView(f"{name}_{array.name}", kind, dimensions, array.comment, lines)


def plan_view(network: PackedNetwork, plan: Plan) -> PlanView:
    """Everything that the template needs of a plan."""
    whole = plan_format.encode(network, plan)
    choices = []
    for index, (layer, own) in enumerate(zip(network.layers, plan.layers, strict=True)):
        data = plan_format.kernel_data(layer, own, plan.lane_words)
        name = f"l{index}_{identifier(layer.name or layer.kind.name)}"
        found = KERNELS[own.kernel].arrays(layer, data, plan.lane_words) if data else ()
        arrays = tuple(_view(name, array) for array in found)
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
