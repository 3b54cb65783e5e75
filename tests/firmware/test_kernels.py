"""Every kernel on each core, on hundreds of random layers: the words of the layer in question are the reference's.

A board runs one firmware; layers are sent to it with plans, one for each kernel that covers them. The boards run side
by side, two at a time.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from bitflow.boards import board
from bitflow.cores import CORES, core_of
from bitflow.deploy.build import Built
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.planner import plan_format as plan_image
from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.patterns import grouping
from bitflow.synthetic.layer_plans import every_plan, measured
from bitflow.synthetic.single_layers import random_spec, single_layer
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

LAYERS = 300
TRIES = 60
# Three kinds of assembly; the other cores run that of the M4: there the kernels take turns.
EVERY = ("qemu-m0-4m", "qemu-m4", "qemu-m55")
IN_TURN = ("qemu-m3", "qemu-m7", "qemu-m33")


@dataclass(frozen=True, slots=True)
class Case:
    """A layer, its plans by kernel, and what it must give."""

    data: bytes
    plans: tuple[tuple[Kernel, bytes], ...]
    picture: npt.NDArray[np.uint8]
    index: int
    words: npt.NDArray[np.uint32]


def case(seed: int, lane_words: int) -> Case:
    grouping.TRIES = TRIES
    network = single_layer(random_spec(seed), seed)
    picture = random_images(network.input_spec, 4, seed)[0]
    index = measured(network)
    words = run_packed(network, picture[np.newaxis]).hidden[index]
    core = replace(CORES["v7m" if lane_words == 1 else "mve"], lists8=True)
    plans = tuple((kernel, plan_image.encode(network, plan)) for kernel, plan in every_plan(network, core))
    return Case(Image.of(network).data, plans, picture, index, words.view(np.uint32).reshape(-1))


def ran(name: str, elf: Path, cases: list[Case]) -> Counter[Kernel]:
    """All layers with all their kernels on a board."""
    done: Counter[Kernel] = Counter()
    with Emulator(board(name), elf) as running, Device(SerialTransport(running.port)) as device:
        device.info()
        for seed, each in enumerate(cases):
            turn = seed % len(each.plans)
            for kernel, plan in each.plans if name in EVERY else each.plans[turn : turn + 1]:
                device.load(each.data, plan)
                words = device.map_of(each.picture, each.index)
                assert np.array_equal(words, each.words), f"{name}: layer {seed} by {kernel.name}"
                done[kernel] += 1
    return done


@pytest.fixture(scope="module")
def reports(firmware: Callable[[str], Built]) -> dict[str, Future[Counter[Kernel]]]:
    elves = {name: firmware(name).elf for name in EVERY + IN_TURN}
    with ProcessPoolExecutor(2, get_context("spawn")) as processes:
        cases = {w: list(processes.map(case, range(LAYERS), [w] * LAYERS, chunksize=10)) for w in (1, 4)}
    processors = sorted(os.sched_getaffinity(0))
    free = iter(processors)
    with ThreadPoolExecutor(len(processors[:2]), initializer=lambda: os.sched_setaffinity(0, {next(free)})) as workers:
        return {
            name: workers.submit(ran, name, elf, cases[core_of(board(name).cpu).lane_words])
            for name, elf in elves.items()
        }


@pytest.mark.parametrize("name", EVERY + IN_TURN)
def test_every_kernel_must_give_the_reference_s_words(
    name: str, reports: dict[str, Future[Counter[Kernel]]], capsys: pytest.CaptureFixture[str]
) -> None:
    done = reports[name].result()
    with capsys.disabled():
        print(f"\n{name}: {', '.join(f'{count} layers by {kernel.name}' for kernel, count in sorted(done.items()))}")
    assert done[Kernel.CONV_PLAIN] == LAYERS or (name in IN_TURN and done.total() == LAYERS)
    assert {Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.PATTERNS_1, Kernel.SET_BITS} <= set(done)
