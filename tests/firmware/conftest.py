"""Firmware for each emulated board, built by PlatformIO once a session."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bitflow.boards import board
from bitflow.deploy.build import Built, build
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

EMULATED = ("qemu-m0", "qemu-m3", "qemu-m4", "qemu-m7", "qemu-m33", "qemu-m55")


def packed(seed: int) -> PackedNetwork:
    return pack(fuse(random_network(seed)))


@pytest.fixture(scope="session")
def network() -> PackedNetwork:
    return packed(1)


@pytest.fixture(scope="session")
def firmware(network: PackedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Built]:
    """Built firmware of a board; the project's path has a space in it."""
    for tool in ("arm-none-eabi-gcc", "qemu-system-arm"):
        if shutil.which(tool) is None:
            pytest.skip(f"{tool} is not installed")
    folder = tmp_path_factory.mktemp("project") / "with a space"
    return lambda name: build(network, board(name), folder)


@pytest.fixture(scope="session", params=EMULATED)
def emulator(request: pytest.FixtureRequest, firmware: Callable[[str], Built]) -> Iterator[Emulator]:
    """Each emulated board, running."""
    with Emulator(board(request.param), firmware(request.param).elf) as running:
        yield running


@pytest.fixture
def device(emulator: Emulator) -> Iterator[Device]:
    with Device(SerialTransport(emulator.port)) as found:
        yield found
        found.load(b"")


@pytest.fixture(scope="session")
def m4(firmware: Callable[[str], Built]) -> Path:
    """The firmware of qemu-m4."""
    return firmware("qemu-m4").elf


V6M = board("qemu-m0-4m")
"""The core of the micro:bit with more RAM: what is compiled for a Cortex-M0 runs on a Cortex-M3 as it is."""


@pytest.fixture(scope="session")
def v6m(firmware: Callable[[str], Built]) -> Path:
    """The firmware of V6M."""
    return firmware(V6M.name).elf
