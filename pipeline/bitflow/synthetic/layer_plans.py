"""Plans around one layer: its neighbours get kernels that pass maps on as in a network of such layers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from bitflow.cores import Core
from bitflow.errors import InputError
from bitflow.ir import PackedNetwork
from bitflow.planner.choice import Objective, choose
from bitflow.planner.kernels.spec import LIST_MEMORY, Kernel, Option
from bitflow.planner.kernels.table import KERNELS, candidates
from bitflow.planner.plan import Plan, default_option, planned
from bitflow.synthetic.single_layers import MEASURED

__all__ = ["every_plan", "measured", "plain_plan", "singled_out"]


def measured(network: PackedNetwork) -> int:
    """Index of the measured layer."""
    return next(i for i, layer in enumerate(network.layers) if layer.name == MEASURED)


def _with(network: PackedNetwork, core: Core, kernel: Kernel, memory: int, sized: bool = True) -> Plan:
    """A plan in which the layer has this kernel, and others the first kernel that needs no lists of a plan."""
    own = measured(network)
    options = [default_option(layer, core.lane_words) for layer in network.layers]
    data = len(KERNELS[kernel].data(network.layers[own], core.lane_words)) if sized else 0
    options[own] = Option(kernel, memory, data)
    return replace(planned(network, core.lane_words, options, [""] * len(options)), core=core.name)


def singled_out(network: PackedNetwork, core: Core, objective: Objective, kernel: Kernel | None) -> Plan:
    """The plan with a kernel for the layer. Raises InputError if the kernel does not cover the layer.

    kernel: None: the objective's choice.
    """
    found = choose(network, core, objective).layers[measured(network)]
    if kernel is None:
        return _with(network, core, found.kernel, found.memory, found.data_bytes > 0)
    allowed = candidates(network.layers[measured(network)], core.lane_words)
    if kernel not in {spec.kernel for spec in allowed}:
        names = ", ".join(spec.name for spec in allowed)
        raise InputError(f"{kernel.name.lower()} does not cover this layer: {names} do")
    if found.kernel is kernel:
        return _with(network, core, kernel, found.memory)
    # At most 20 KB more than the planes of one block, which a small chip can spare for lists.
    return _with(network, core, kernel, 2 * LIST_MEMORY if kernel is Kernel.PATTERNS_1 else 0)


def plain_plan(network: PackedNetwork, plan: Plan) -> Plan:
    """A plan in which every layer has the kernel that covers all layers of its kind."""
    options = [Option(candidates(layer, plan.lane_words)[-1].kernel) for layer in network.layers]
    found = planned(network, plan.lane_words, options, [""] * len(options))
    return replace(found, core=plan.core)


def every_plan(network: PackedNetwork, core: Core) -> Iterator[tuple[Kernel, Plan]]:
    """A plan for each kernel that the layer can have; lists made in RAM also with least memory and without sizes, sums
    of pixels with each size of tables.
    """
    layer = network.layers[measured(network)]
    for spec in candidates(layer, core.lane_words):
        kernel = spec.kernel
        ways: tuple[tuple[int, bool], ...] = ((0, True),)
        if kernel is Kernel.PATTERNS_1:
            ways = ((0, True), (LIST_MEMORY, True), (LIST_MEMORY, False))
        elif kernel is Kernel.INPUT_SUMS:
            ways = tuple((option.memory, True) for option in spec.ways(layer, core))
        for memory, sized in ways:
            try:
                yield kernel, _with(network, core, kernel, memory, sized)
            except AssertionError:
                continue  # a pattern is too large for 8-bit lists
