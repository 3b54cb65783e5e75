"""Puts a firmware on a board. An emulated board is booted once, tested and stopped."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

from bitflow.deploy import build, platformio
from bitflow.deploy.boards import Board
from bitflow.deploy.build import Built
from bitflow.errors import CheckFailed, DeviceError
from bitflow.ir import PackedNetwork

__all__ = ["Flashed", "commands", "flash"]


@dataclass(frozen=True, slots=True)
class Flashed:
    """What the board said: its core, the network's CRC-32, the build, and how much of the stack a run used."""

    board: str
    cpuid: int
    crc32: int
    build_id: str
    stack_used: int


def commands(network: PackedNetwork, board: Board, project_folder: Path) -> list[str]:
    """The external commands of a flash, as they are typed."""
    from bitflow_hil import emulator

    folder = build.folder_of(network, project_folder)
    elf = folder / ".pio" / "build" / board.name / "firmware.elf"
    return [shlex.join(words) for words in (platformio.command(folder, board.name), emulator.command(board, elf))]


def flash(built: Built, board: Board) -> Flashed:
    """Boot, compare core and network, run the self-test, stop.

    Raises DeviceError if the board does not answer or is another one, CheckFailed if its scores are wrong.
    """
    from bitflow_hil.device import Device
    from bitflow_hil.emulator import Emulator
    from bitflow_hil.transport import SerialTransport

    with Emulator(board, built.elf) as emulator, Device(SerialTransport(emulator.port, board.baud)) as device:
        wrong = device.self_test()
        info = device.info()
    if not board.is_core(info.cpuid):
        raise DeviceError(f"the core of {board.name} says CPUID {info.cpuid:08x}: it is another one")
    if info.crc32 != built.crc32:
        raise DeviceError(f"{board.name} runs {info.crc32:08x}, not {built.crc32:08x}")
    if wrong:
        raise CheckFailed(f"self-test on {board.name}: {wrong} of {info.classes} scores differ")
    return Flashed(board.name, info.cpuid, info.crc32, info.build_id, info.stack_used)
