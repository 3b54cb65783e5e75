"""pytest plugin: the `device` fixture, for tests that run against any board.

pytest --bitflow-board qemu-m7                             an emulated board, built and started
pytest --bitflow-board stm32h7 --bitflow-port /dev/ttyACM0    a board that runs its firmware
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from bitflow.deploy.boards import Board
    from bitflow.ir import PackedNetwork
    from bitflow_hil.device import Device

__all__ = ["bitflow_board", "bitflow_network", "device", "pytest_addoption"]


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("bitflow")
    group.addoption("--bitflow-board", metavar="NAME", default="qemu-m4", help="board (see: bitflow boards)")
    group.addoption("--bitflow-port", metavar="URL", help="serial port of a board that runs its firmware")
    group.addoption("--bitflow-model", metavar="MODEL", default="builtin:digits", help="network on the board")


@pytest.fixture(scope="session")
def bitflow_board(pytestconfig: pytest.Config) -> Board:
    """The board of --bitflow-board."""
    from bitflow.deploy.boards import board

    return board(pytestconfig.getoption("--bitflow-board"))


@pytest.fixture(scope="session")
def bitflow_network(pytestconfig: pytest.Config) -> PackedNetwork:
    """The network of --bitflow-model."""
    from bitflow import project
    from bitflow.lower import image

    return image.load(project.resolve_model(pytestconfig.getoption("--bitflow-model")))


@pytest.fixture(scope="session")
def device(
    pytestconfig: pytest.Config,
    bitflow_board: Board,
    bitflow_network: PackedNetwork,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Device]:
    """A device that runs the network: at --bitflow-port, or an emulated board."""
    from bitflow.deploy.build import build
    from bitflow_hil.device import Device
    from bitflow_hil.emulator import Emulator
    from bitflow_hil.transport import SerialTransport

    port = pytestconfig.getoption("--bitflow-port")
    if port is not None:
        with Device(SerialTransport(port, bitflow_board.baud)) as found:
            yield found
        return
    built = build(bitflow_network, bitflow_board, tmp_path_factory.mktemp("firmware"))
    with Emulator(bitflow_board, built.elf) as emulator, Device(SerialTransport(emulator.port)) as found:
        yield found
