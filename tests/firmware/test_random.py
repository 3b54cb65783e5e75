"""Hundreds of random networks on each core, sent one after the other into a firmware that runs.

The micro:bit takes what fits its
16 KB; what does not fit runs as ARMv6-M code on a machine with more RAM.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.firmware.conftest import EMULATED, V6M
from tests.tiers import parts

from bitflow.boards import Board, board
from bitflow.deploy.build import Built
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.errors import DeviceError
from bitflow.image.bfn import Image
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.planner.plan import default_plan
from bitflow.synthetic.coverage import Cell, cells, every_cell
from bitflow.synthetic.networks import SEEDS, random_network
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

IMAGES = 2


@dataclass(frozen=True, slots=True)
class Case:
    """A network, what it must give, and the RAM that it takes. hidden: of the first image."""

    name: str
    data: bytes
    images: npt.NDArray[np.uint8] | npt.NDArray[np.int8]
    scores: npt.NDArray[np.int32]
    hidden: tuple[npt.NDArray[np.uint32], ...]
    cells: frozenset[Cell]
    ram: int


@functools.cache
def case(seed: int) -> Case:
    floats = random_network(seed)
    network = pack(fuse(floats))
    data, images, engine = (
        Image.of(network).data,
        random_images(network.input_spec, IMAGES + 1, seed),
        HostEngine(network),
    )
    images = images[:IMAGES]
    ram = len(data) + default_plan(network).arena_bytes + 2 * network.input_spec.shape.size
    largest = 4 * max(layer.map_words for layer in network.layers)  # a hidden map that is asked for
    hidden = tuple(found.view(np.uint32).reshape(-1) for found in engine.hidden(images[:1]))
    return Case(
        network.name, data, images, engine.scores(images), hidden, frozenset(cells(floats)), ram + largest + 256
    )


def wrong(device: Device, each: Case) -> str:
    """What differs on a device from what the host says; "" if nothing does."""
    if device.load(each.data).name != each.name:
        return "another network"
    if not np.array_equal([run.scores for run in device.run(each.images)], each.scores):
        return "other scores"
    pairs = enumerate(zip(device.hidden(each.images[0]), each.hidden, strict=True))
    return ", ".join(f"another map of layer {layer}" for layer, (got, want) in pairs if not np.array_equal(got, want))


def differences(target: Board, elf: Path, seeds: Sequence[int]) -> tuple[dict[int, str], list[int]]:
    """What was wrong, by seed, and the seeds of networks that do not fit: all others are tried in any case."""
    found: dict[int, str] = {}
    left: list[int] = []
    todo = list(seeds)
    while todo:
        with Emulator(target, elf) as running, Device(SerialTransport(running.port)) as device:
            room = device.info().load_bytes
            while todo:
                seed = todo.pop(0)
                if case(seed).ram > room:
                    left.append(seed)
                    continue
                try:
                    if said := wrong(device, case(seed)):
                        found[seed] = said
                except DeviceError as error:  # the next ones get a new board
                    found[seed] = str(error)
                    break
    return found, left


@pytest.mark.parametrize("seeds", parts(SEEDS, 140))
@pytest.mark.parametrize("name", EMULATED)
def test_random_networks_must_equal_the_host(
    name: str, seeds: Sequence[int], firmware: Callable[[str], Built], v6m: Path
) -> None:
    found, left = differences(board(name), firmware(name).elf, seeds)
    if left and name == "qemu-m0":
        more, left = differences(V6M, v6m, left)
        found |= more
    assert (found, left) == ({}, []), "by seed: what is wrong; for which there is no room"


@pytest.mark.long
def test_networks_together_must_leave_no_combination_out() -> None:
    """Those that every core runs."""
    seen = Counter(cell for seed in range(SEEDS) for cell in case(seed).cells)
    assert every_cell() <= set(seen)
