"""The plan of a network for a board: its core, and what the firmware around the network leaves of its memories."""

from __future__ import annotations

from bitflow.boards import Board
from bitflow.cores import core_of
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner.choice import Objective, choose
from bitflow.planner.code_size import BASE_BYTES
from bitflow.planner.plan import Plan

__all__ = ["plan_for"]

# What the firmware takes beside the network: its code with kernels, its buffers and its stack.
_FIRMWARE_FLASH = 32 * 1024
_FIRMWARE_RAM = 5 * 1024


def plan_for(
    network: PackedNetwork, board: Board, objective: Objective = "balanced", flash_budget: int = 0, ram_budget: int = 0
) -> Plan:
    """Which kernel runs each layer on a board. Budgets are bytes, 0: what the board has.

    A budget that no plan keeps is exceeded by as little as possible: who builds or reports says so.
    """
    flash, ram = flash_budget or board.flash, ram_budget or board.ram
    weights = sum(layer.weights_bytes for layer in network.layers)
    others = Image.of(network).placed.size - weights + BASE_BYTES
    inputs = 2 * (network.input_spec.shape.size + 4 * network.classes)
    return choose(
        network,
        core_of(board.cpu),
        objective,
        None if flash is None else flash - others - _FIRMWARE_FLASH,
        None if ram is None else ram - inputs - _FIRMWARE_RAM,
    )
