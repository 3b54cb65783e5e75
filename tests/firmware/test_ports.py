"""Ports of the firmware to real boards, as far as they go without one: STM32 bare, and the Arduino framework."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tty
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from bitflow import resources
from bitflow.boards import board, boards
from bitflow.deploy.build import Built, build
from bitflow.emit import codegen
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.synthetic.single_layers import parse, single_layer
from bitflow_hil.devices import emulator as emulator_module
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

HERE = Path(__file__).parent
BUILT = [row.name for row in boards() if row.bare and not row.emulated]
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2")
MACROS = ("-DBOARD_BAUD=115200u", "-DBOARD_RAM=65536u", "-DFIRMWARE_LOAD=0", "-DFIRMWARE_ARENA_SECTION=0")


def equals_the_host(device: Device, network: PackedNetwork) -> None:
    images = random_images(network.input_spec, 20, 3)
    engine = HostEngine(network)
    assert device.self_test() == 0
    assert np.array_equal([run.scores for run in device.run(images)], engine.scores(images))
    for got, want in zip(device.hidden(images[0]), engine.hidden(images[:1]), strict=True):
        assert np.array_equal(got, want.view(np.uint32).reshape(-1))


# ---- STM32. ----


def qemu_with(machine: str) -> str:
    """The system's QEMU, or the newer one of .ci/newer-qemu, whichever has the machine."""
    for program in ("qemu-system-arm", str(HERE.parents[1] / ".venv" / "qemu" / "qemu-system-arm")):
        if shutil.which(program) and machine in subprocess.check_output((program, "-M", "help"), text=True):
            return program
    pytest.skip("this system has no QEMU 9.1 or newer")


@pytest.mark.parametrize("name", BUILT)
def test_real_board_is_built_and_linked(firmware: Callable[[str], Built], name: str) -> None:
    built, row = firmware(name), board(name)
    assert row.bare is not None
    nm = subprocess.run(("arm-none-eabi-nm", built.elf), capture_output=True, text=True, check=True).stdout
    at = {name: int(address, 16) for address, name in re.findall(r"^([0-9a-f]+) \w (\w+)$", nm, re.MULTILINE)}
    assert at["vectors"] == row.bare.flash_at
    assert at["reset_handler"] > row.bare.flash_at
    if row.bare.itcm:
        assert 0 < at["bf_run"] < row.bare.itcm
        assert 0x20000000 <= at["builtin_arena"] < 0x20000000 + row.bare.dtcm
        assert at["_stack_top"] == 0x20000000 + row.bare.dtcm


@pytest.mark.parametrize("name", ["qemu-stm32f4", "qemu-stm32l4"])
def test_stm32_port_runs_on_an_emulated_stm32(
    firmware: Callable[[str], Built], network: PackedNetwork, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The F4: the older USART, and a clock control that never answers, so that the firmware goes on with the clock of
    the reset. The L4: the newer USART, which is the H7's too, and a PLL that comes up.
    """
    target = board(name)
    monkeypatch.setattr(emulator_module, "PROGRAM", qemu_with(str(target.machine)))
    with (
        Emulator(target, firmware(target.name).elf) as emulator,
        Device(SerialTransport(emulator.port)) as device,
    ):
        info = device.info()
        assert target.is_core(info.cpuid)
        assert (info.board, info.timer_hz) == (target.name, target.clock_hz)
        assert 0 < info.stack_used < info.stack_bytes
        for loops in (100, 700_000):
            assert device.instructions(device.calibrate(loops)) - 2 * loops in (0, 1, 2)
        equals_the_host(device, network)
        # Inputs that are longer than what the port keeps of received bytes: the next one comes in during a run.
        other = single_layer(parse("first3x3:32x32x3-8"), 0)
        device.load(Image.of(other).data)
        images = random_images(other.input_spec, 12, 5)
        assert np.array_equal([run.scores for run in device.run(images)], HostEngine(other).scores(images))


TINY = """\
[tiny-ring]
title = "An STM32F405 that keeps few received bytes"
status = "emulated"
cpu = "cortex-m4"
machine = "netduinoplus2"
flash = 1048576
ram = 131072
clock_hz = 168000000
bare.port = ["stm32f4", "stm32_usart"]
bare.flash_at = 0x08000000
bare.ram_at = 0x20000000
bare.stack = 8192

[tiny-ring.bare.defines]
BOARD_UART = "0x40011000u"
BOARD_UART_IRQ = "37"
BOARD_PLL_N = "168u"
BOARD_VOS = "0x4000u"
BOARD_RESET_HZ = "168000000u"
BOARD_RING = "16u"
"""


def test_board_of_ones_own_with_a_full_ring_goes_on(
    network: PackedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bytes that find no room wait in the USART, whose interrupt is held back until there is some."""
    (tmp_path / "boards.toml").write_text(TINY)
    monkeypatch.chdir(tmp_path)
    target = board("tiny-ring")
    with (
        Emulator(target, build(network, target, tmp_path).elf) as emulator,
        Device(SerialTransport(emulator.port)) as device,
    ):
        equals_the_host(device, network)


# ---- Arduino, against a stand-in for Arduino.h. ----


@pytest.fixture(scope="module")
def sources(network: PackedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("arduino")
    codegen.generate_platformio(network, folder, {})
    return folder


@pytest.fixture(scope="module")
def arduino(sources: Path) -> Iterator[str]:
    """A port where the Arduino port answers, compiled for this computer."""
    includes = (f"-I{HERE / 'arduino'}", f"-I{sources / 'src'}", f"-I{resources.c_library() / 'include'}")
    own = [path for path in (sources / "src").glob("*.c") if path.name != "main.c"]
    library = (resources.c_library() / "src").rglob("*.c")
    flags = (*STRICT, *MACROS, '-DFIRMWARE_BOARD="arduino"', *includes)
    subprocess.run(("gcc", "-std=c99", *flags, "-c", *own, *library), cwd=sources, check=True)
    cpp = (sources / "src" / "boards" / "arduino.cpp", HERE / "arduino" / "stand_in.cpp")
    subprocess.run(("g++", *flags, *cpp, *sources.glob("*.o"), "-o", sources / "sketch"), cwd=sources, check=True)
    master, slave = os.openpty()
    tty.setraw(slave)
    running = subprocess.Popen((sources / "sketch",), stdin=master, stdout=master)
    os.close(master)
    yield os.ttyname(slave)
    running.kill()
    running.wait()
    os.close(slave)


def test_arduino_port_runs(arduino: str, network: PackedNetwork) -> None:
    with Device(SerialTransport(arduino)) as device:
        info = device.info()
        assert info.board == "arduino"
        assert info.stack_bytes == 0
        equals_the_host(device, network)
        (run,) = device.run(random_images(network.input_spec, 1, 0))
        assert run.ticks < 1_000_000  # microseconds


@pytest.mark.parametrize("cpu", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33"])
def test_arduino_port_compiles_for_each_core(sources: Path, tmp_path: Path, cpu: str) -> None:
    command = ("arm-none-eabi-g++", f"-mcpu={cpu}", "-mthumb", *STRICT, *MACROS, f"-I{HERE / 'arduino'}")
    source = sources / "src" / "boards" / "arduino.cpp"
    subprocess.run((*command, f"-I{sources / 'src'}", "-c", source, "-o", tmp_path / "arduino.o"), check=True)
