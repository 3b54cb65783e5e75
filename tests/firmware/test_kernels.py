"""Every kernel on each core, on hundreds of random layers: the words of the layer in question are the reference's.

A board runs one firmware; layers are sent to it with plans, one for each kernel that covers them.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pytest
from tests.tiers import parts

from bitflow.boards import board
from bitflow.cores import CORES, core_of
from bitflow.deploy.build import Built
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import DeviceError
from bitflow.image.bfn import Image
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import Kernel
from bitflow.synthetic.layer_plans import every_plan, measured
from bitflow.synthetic.single_layers import random_spec, single_layer
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport

pytestmark = pytest.mark.usefixtures("few_tries")
LAYERS = 300
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


@functools.cache
def case(seed: int, lane_words: int) -> Case:
    network = single_layer(random_spec(seed), seed)
    picture = random_images(network.input_spec, 4, seed)[0]
    index = measured(network)
    words = run_packed(network, picture[np.newaxis]).hidden[index]
    core = replace(CORES["v7m" if lane_words == 1 else "mve"], lists8=True)
    plans = tuple((kernel, plan_format.encode(network, plan)) for kernel, plan in every_plan(network, core))
    return Case(Image.of(network).data, plans, picture, index, words.view(np.uint32).reshape(-1))


@pytest.mark.parametrize("seeds", parts(LAYERS, 70))
@pytest.mark.parametrize("name", EVERY + IN_TURN)
def test_every_kernel_must_give_the_reference_s_words(
    name: str, seeds: Sequence[int], firmware: Callable[[str], Built]
) -> None:
    """The sample has each kernel. What differs is named by seed and kernel, and the others are tried in any case."""
    elf, lane_words = firmware(name).elf, core_of(board(name).cpu).lane_words
    jobs = []
    for seed in seeds:
        plans = case(seed, lane_words).plans
        turn = seed % len(plans)
        jobs += [(seed, *plan) for plan in (plans if name in EVERY else plans[turn : turn + 1])]
    done, wrong, jobs = Counter[Kernel](), list[str](), jobs[::-1]
    while jobs:
        with Emulator(board(name), elf) as running, Device(SerialTransport(running.port)) as device:
            device.info()
            while jobs:
                seed, kernel, plan = jobs.pop()
                each = case(seed, lane_words)
                done[kernel] += 1
                try:
                    device.load(each.data, plan)
                    if not np.array_equal(device.map_of(each.picture, each.index), each.words):
                        wrong.append(f"layer {seed} by {kernel.name}")
                except DeviceError as error:  # the next ones get a new board
                    wrong.append(f"layer {seed} by {kernel.name}: {error}")
                    break
    print(f"{name}: {', '.join(f'{count} layers by {kernel.name}' for kernel, count in sorted(done.items()))}")
    assert wrong == []
    assert name in IN_TURN or done[Kernel.CONV_PLAIN] == len(seeds)
    assert {Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.PATTERNS_1, Kernel.SET_BITS} <= set(done)
