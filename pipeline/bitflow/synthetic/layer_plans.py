"""Plans around one layer: it gets its kernel, its neighbours what hands maps over as in a network of such layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bitflow.errors import InputError
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format as plan_image
from bitflow.planner.choice import Objective, choose
from bitflow.planner.cores import Core
from bitflow.planner.kernels.table import LIST_MEMORY, Kernel, candidates
from bitflow.planner.plan import Plan, planned
from bitflow.synthetic.single_layers import MEASURED

__all__ = ["every_plan", "measured", "plain_plan", "singled_out"]


def measured(network: PackedNetwork) -> int:
    """Index of the layer in question."""
    return next(i for i, layer in enumerate(network.layers) if layer.name == MEASURED)


def _with(network: PackedNetwork, core: Core, kernel: Kernel, memory: int, sized: bool = True) -> Plan:
    """The layer with this kernel, others with the first one that needs no lists of a plan."""
    own = measured(network)
    kernels = [next(k for k in candidates(layer, core.lane_words) if not k.planned) for layer in network.layers]
    kernels[own] = kernel
    memories = [memory if i == own else LIST_MEMORY for i in range(len(kernels))]
    plan = planned(network, core.lane_words, kernels, memories, [""] * len(kernels))
    layers = [
        replace(choice, data_bytes=len(plan_image.kernel_data(layer, choice, core.lane_words)))
        for layer, choice in zip(network.layers, plan.layers, strict=True)
    ]
    if not sized:
        layers[own] = replace(layers[own], data_bytes=0)
    return replace(plan, layers=tuple(layers), core=core.name)


def singled_out(network: PackedNetwork, core: Core, objective: Objective, kernel: Kernel | None) -> Plan:
    """The plan with a kernel for the layer, None: what the wish asks for. InputError where it does not cover it."""
    found = choose(network, core, objective).layers[measured(network)]
    if kernel is None:
        return _with(network, core, found.kernel, found.memory, found.data_bytes > 0)
    allowed = candidates(network.layers[measured(network)], core.lane_words)
    if kernel not in allowed:
        names = ", ".join(k.name.lower() for k in allowed)
        raise InputError(f"{kernel.name.lower()} does not cover this layer: {names} do")
    # At most 20 KB more than the planes of one block: what a small chip can spare for lists.
    return _with(network, core, kernel, found.memory if found.kernel is kernel else 2 * LIST_MEMORY)


def plain_plan(network: PackedNetwork, plan: Plan) -> Plan:
    """Every layer with the kernel that covers all of its kind."""
    kernels = [candidates(layer, plan.lane_words)[-1] for layer in network.layers]
    found = planned(network, plan.lane_words, kernels, [0] * len(kernels), [""] * len(kernels))
    return replace(found, core=plan.core)


def every_plan(network: PackedNetwork, core: Core) -> Iterator[tuple[Kernel, Plan]]:
    """A plan for each kernel that the layer can have; for lists made in RAM with next to no memory and unsized, too."""
    for kernel in candidates(network.layers[measured(network)], core.lane_words):
        ways = ((0, True), (LIST_MEMORY, True), (LIST_MEMORY, False)) if kernel is Kernel.PATTERNS_1 else ((0, True),)
        for memory, sized in ways:
            try:
                yield kernel, _with(network, core, kernel, memory, sized)
            except AssertionError:
                continue  # a class too large for lists of 8 bits
