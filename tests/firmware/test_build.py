"""Building: found again, checked against budgets, and by hand with plain `pio run`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest

from bitflow.boards import board
from bitflow.deploy import environments, flash, platformio
from bitflow.deploy.build import Built, build
from bitflow.emit import codegen
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.errors import CheckFailed, InputError, MissingError
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.ir import BatchShift, BinaryDense, InputConv, IntegerLayer, IntegerNetwork, PackedNetwork, Scores
from bitflow.lower.pack import pack
from bitflow.planner.for_board import plan_for
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport


def test_second_build_is_found(firmware: Callable[[str], Built]) -> None:
    firmware("qemu-m4")
    assert not firmware("qemu-m4").fresh


def test_build_in_another_project_is_found_and_complete(
    network: PackedNetwork, firmware: Callable[[str], Built], tmp_path: Path
) -> None:
    """Nothing is compiled, and a user finds the same: the sources, the program, its map."""
    first, second = firmware("qemu-m4"), build(network, board("qemu-m4"), tmp_path)
    assert not second.fresh
    assert second.elf == second.folder / ".pio" / "build" / "qemu-m4" / "firmware.elf"
    assert second.elf.read_bytes() == first.elf.read_bytes()
    for name in ("platformio.ini", "src/main.c", "lib/bitflow/include/bitflow.h"):
        assert (second.folder / name).read_bytes() == (first.folder / name).read_bytes()
    assert second.elf.with_suffix(".map").is_file()


def test_program_that_somebody_else_built_is_not_taken(
    network: PackedNetwork, firmware: Callable[[str], Built], tmp_path: Path
) -> None:
    built = build(network, board("qemu-m4"), tmp_path)
    right = built.elf.read_bytes()
    built.elf.write_bytes(right + b"of pio run")
    build(network, board("qemu-m4"), tmp_path)
    assert built.elf.read_bytes() == right


def _asked(folder: Path) -> bool:
    return build(wide(16), board("qemu-m3"), folder).fresh


def test_of_processes_that_build_the_same_one_compiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        fresh = list(processes.map(_asked, [tmp_path / "one", tmp_path / "two"]))
    assert sorted(fresh) == [False, True]


def test_sizes_are_those_of_the_elf(firmware: Callable[[str], Built]) -> None:
    built = firmware("qemu-m0")
    words = (
        subprocess.run(("arm-none-eabi-size", str(built.elf)), capture_output=True, text=True, check=True)
        .stdout.splitlines()[1]
        .split()
    )
    assert built.flash_bytes == int(words[0]) + int(words[1])
    assert built.ram_bytes == int(words[1]) + int(words[2])  # with the room for the stack


def test_sizes_are_those_of_the_linker_s_map(firmware: Callable[[str], Built]) -> None:
    """What is printed before a board is flashed, within 1 %."""
    built = firmware("qemu-m4")
    text = built.elf.with_suffix(".map").read_text()
    found = re.findall(
        r"^\.(vectors|fast|text|ARM\.exidx|data|bss|arena|stack_room)\s+0x\w+\s+(0x\w+)", text, re.MULTILINE
    )
    sizes = {name: int(size, 16) for name, size in found}
    flash_bytes = sum(sizes.get(name, 0) for name in ("vectors", "fast", "text", "ARM.exidx", "data"))
    assert built.flash_bytes == pytest.approx(flash_bytes, rel=0.01)
    assert built.ram_bytes == pytest.approx(
        sizes["data"] + sizes["bss"] + sizes["arena"] + sizes["stack_room"], rel=0.01
    )


def test_flash_tests_an_emulated_board(firmware: Callable[[str], Built]) -> None:
    flashed = flash.flash_emulated(firmware("qemu-m4"), board("qemu-m4"))
    assert flashed.crc32 == firmware("qemu-m4").crc32


@pytest.mark.parametrize("budgets", [(1000, 0), (0, 1000)])
def test_budget_that_is_exceeded_fails(
    network: PackedNetwork, firmware: Callable[[str], Built], budgets: tuple[int, int]
) -> None:
    folder = firmware("qemu-m4").folder.parents[2]
    with pytest.raises(CheckFailed, match="1000 are allowed on qemu-m4"):
        build(network, board("qemu-m4"), folder, *budgets)


def wide(side: int) -> PackedNetwork:
    """A network whose input alone takes side * side bytes."""
    rng = np.random.default_rng(0)
    input_spec = InputSpec(Shape(side, side, 1))
    weights = rng.choice(np.array([-1, 1], np.int8), (4, side, side, 1))
    window = Window((side, side))
    first = InputConv(input_spec.shape, weights, window, input_spec)
    last = BinaryDense(Shape(1, 1, 4), rng.choice(np.array([-1, 1], np.int8), (2, 1, 1, 4)))
    layers = (
        IntegerLayer("first", first, BatchShift(np.zeros(4, np.int32))),
        IntegerLayer("last", last, Scores(np.ones(2, np.int32), np.zeros(2, np.int32))),
    )
    return pack(IntegerNetwork(f"wide-{side}", input_spec, layers))


def test_input_that_fits_once_gets_one_slot(tmp_path: Path) -> None:
    network = wide(60)
    target = board("qemu-m0")
    images = random_images(network.input_spec, 3, 0)
    with Emulator(target, build(network, target, tmp_path).elf) as emulator:
        device = Device(SerialTransport(emulator.port))
        assert device.info().slots == 1
        assert np.array_equal([run.scores for run in device.run(images)], HostEngine(network).scores(images))


def test_network_that_does_not_fit_says_by_how_much(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"does not fit: \d+ bytes too many for RAM"):
        build(wide(150), board("qemu-m0"), tmp_path)


def test_board_without_firmware_is_refused(network: PackedNetwork, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="boards to build for"):
        build(network, board("host"), tmp_path)


def test_missing_compiler_says_how_to_get_it(
    network: PackedNetwork, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingError, match="apt-get install gcc-arm-none-eabi"):
        build(network, board("qemu-m4"), tmp_path)


def test_generated_project_builds_by_plain_pio(
    network: PackedNetwork, firmware: Callable[[str], Built], tmp_path: Path
) -> None:
    firmware("qemu-m4")  # PlatformIO's folder in the cache has its SCons now
    project = tmp_path / "my project"
    plan = plan_for(network, board("qemu-m4"))
    codegen.generate_platformio(network, project, environments.files(plan.arena_bytes), plan=plan)
    core = {"PLATFORMIO_CORE_DIR": str(platformio.core_folder()), "PYTHONPATH": ""}
    command = (sys.executable, "-I", "-m", "platformio", "run", "-e", "qemu-m4", "-e", "qemu-m0")
    done = subprocess.run(command, cwd=project, env={**os.environ, **core}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stdout + done.stderr
    elf = project / ".pio" / "build" / "qemu-m4" / "firmware.elf"
    assert elf.read_bytes() == firmware("qemu-m4").elf.read_bytes(), "it depends on where it was built"
