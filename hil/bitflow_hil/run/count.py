"""Counts instructions of an emulated board: QEMU's -icount makes them the same on every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format as plan_image
from bitflow.planner.plan import Plan
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.repl import INSTRUCTIONS_PER_TICK, Repl

__all__ = ["Count", "count_firmware", "count_micropython", "count_planned"]

_CALLS = 4  # of predict(), and then twice as many: their difference leaves what surrounds the calls out

_PREDICT = """\
import bitflow, time
m = bitflow.Model({model})
x = bytearray({image!r})
def calls(n):
 t = time.ticks_cpu()
 for _ in range(n):
  m.predict(x)
 return time.ticks_diff(time.ticks_cpu(), t)
"""


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions of a run, the mean of several pictures' where there are some, rounded.

    layers: of each layer, empty where they were not counted. checked: scores were right.
    """

    instructions: int
    layers: tuple[int, ...]
    checked: bool


def _images(network: PackedNetwork, count: int) -> npt.NDArray[Any]:
    """Noise: few kernels do not take as long for any image. Every second one is the negative of that before it, so
    that bits of sums around 0 are as often 1 as 0 in both together.
    """
    low, high = network.input_spec.pixel_range
    noise = [random_images(network.input_spec, 4, seed=number // 2)[0] for number in range(count)]
    return np.stack([low + high - own if number % 2 else own for number, own in enumerate(noise)])


def count_firmware(device: Device, network: PackedNetwork, pictures: int = 1) -> Count:
    """Instructions from bf_run's entry to its return, and of each layer, on the board's firmware: means of `pictures`,
    which only the kernels need that skip bits that are 0.
    """
    images = _images(network, pictures)
    runs = list(device.run(images))
    layers = np.mean([[device.instructions(ticks) for ticks in device.profile(own)] for own in images], axis=0)
    total = np.mean([device.instructions(run.ticks) for run in runs])
    right = np.array_equal([run.scores for run in runs], run_packed(network, images).scores)
    return Count(round(float(total)), tuple(round(float(n)) for n in layers), right)


def count_planned(device: Device, network: PackedNetwork, plan: Plan | None, pictures: int = 1) -> Count:
    """The same of a network that is sent to the board first, with a plan or without one."""
    device.load(Image.of(network).data, b"" if plan is None else plan_image.encode(network, plan))
    return count_firmware(device, network, pictures)


def count_micropython(repl: Repl, network: PackedNetwork, model: str = "'model.bfn'") -> Count:
    """Instructions of one predict() call from MicroPython: the difference of N and 2 N calls on one counter.

    model: the argument of bitflow.Model() on the board, as Python text.
    """

    (image,) = _images(network, 1)
    repl.run(_PREDICT.format(model=model, image=image.tobytes()))
    once, twice = repl.value(f"(calls({_CALLS}), calls({2 * _CALLS}))")
    expected = int(run_packed(network, image[np.newaxis]).labels[0])
    right = repl.value("m.predict(x)") == expected
    return Count(round((twice - once) * INSTRUCTIONS_PER_TICK / _CALLS), (), right)
