"""Hundreds of random networks on each core, sent one after the other into a firmware that runs.

The boards run side by side, each worker with its emulators on a processor of its own. The micro:bit takes what fits its
16 KB; what does not fit runs as ARMv6-M code on a machine with more RAM.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from tests.firmware.conftest import EMULATED, V6M

from bitflow.boards import Board, board
from bitflow.deploy.build import Built
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
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


@dataclass(slots=True)
class Report:
    """How many networks a core ran, and in how many of them each cell was."""

    loaded: Counter[str] = field(default_factory=Counter)
    seen: Counter[Cell] = field(default_factory=Counter)


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


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in range(SEEDS)]


def ran(target: Board, elf: Path, cases: list[Case], report: Report) -> list[Case]:
    """Runs all that fit; returns the others."""
    left = []
    with Emulator(target, elf) as running, Device(SerialTransport(running.port)) as device:
        room = device.info().load_bytes
        for each in cases:
            if each.ram > room:
                left.append(each)
                continue
            assert device.load(each.data).name == each.name
            scores = [run.scores for run in device.run(each.images)]
            assert np.array_equal(scores, each.scores), f"{target.name}: {each.name}: other scores"
            for layer, (got, want) in enumerate(zip(device.hidden(each.images[0]), each.hidden, strict=True)):
                assert np.array_equal(got, want), f"{target.name}: {each.name}: another map of layer {layer}"
            report.loaded[target.name] += 1
            report.seen.update(each.cells)
    return left


def core(name: str, elf: Path, v6m: Path, cases: list[Case]) -> Report:
    """All networks on a core."""
    report = Report()
    left = ran(board(name), elf, cases, report)
    if left and name == "qemu-m0":
        left = ran(V6M, v6m, left, report)
    assert not left, f"{name}: no room for {[each.name for each in left]}"
    return report


@pytest.fixture(scope="module")
def reports(cases: list[Case], firmware: Callable[[str], Built], v6m: Path) -> Iterator[dict[str, Future[Report]]]:
    elves = {name: firmware(name).elf for name in EMULATED}
    processors = sorted(os.sched_getaffinity(0))
    free = iter(processors)
    with ThreadPoolExecutor(len(processors[:2]), initializer=lambda: os.sched_setaffinity(0, {next(free)})) as workers:
        yield {name: workers.submit(core, name, elf, v6m, cases) for name, elf in elves.items()}


@pytest.mark.parametrize("name", EMULATED)
def test_every_random_network_equals_the_host(
    name: str, reports: dict[str, Future[Report]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Together they leave no combination out, on each core."""
    report, wanted = reports[name].result(), every_cell()
    assert report.loaded.total() == SEEDS
    with capsys.disabled():
        loaded = ", ".join(f"{count} networks on {where}" for where, count in report.loaded.items())
        least = min(report.seen[cell] for cell in wanted)
        print(f"\n{name}: {loaded}; {len(wanted & set(report.seen))} of {len(wanted)} cells, {least} or more in each")
    assert wanted <= set(report.seen), f"{name} ran no network with {sorted(wanted - set(report.seen))}"
