"""Counts instructions on an emulated board; with QEMU's -icount the counts are the same on every run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.plan import Plan
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.repl import INSTRUCTIONS_PER_TICK, Repl

__all__ = ["Count", "count_firmware", "count_micropython", "count_planned"]

_CALLS = 4  # of predict(), and then twice as many: the difference leaves out the overhead around the calls

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
    """Instructions of a run; with several pictures the rounded mean.

    layers: of each layer; empty if they were not counted.
    checked: the scores were right.
    """

    instructions: int
    layers: tuple[int, ...]
    checked: bool


def _images(network: PackedNetwork, count: int) -> npt.NDArray[Any]:
    """Images of noise: only few kernels depend on the image. Every second image is the negative of the one before, so
    that in both together the bits of sums around 0 are 1 as often as 0.
    """
    low, high = network.input_spec.pixel_range
    noise = [random_images(network.input_spec, 4, seed=number // 2)[0] for number in range(count)]
    return np.stack([low + high - own if number % 2 else own for number, own in enumerate(noise)])


def count_firmware(device: Device, network: PackedNetwork, pictures: int = 1) -> Count:
    """Instructions from bf_run's entry to its return, and of each layer, in the board's firmware.

    pictures: number of images of which the mean is taken; only kernels that skip bits of 0 need several.
    """
    images = _images(network, pictures)
    runs = list(device.run(images))
    layers = np.mean([[device.instructions(ticks) for ticks in device.profile(own)] for own in images], axis=0)
    total = np.mean([device.instructions(run.ticks) for run in runs])
    right = np.array_equal([run.scores for run in runs], run_packed(network, images).scores)
    return Count(round(float(total)), tuple(round(float(n)) for n in layers), right)


def count_planned(device: Device, network: PackedNetwork, plan: Plan | None, pictures: int = 1) -> Count:
    """As count_firmware, for a network that is first sent to the board, with or without a plan."""
    device.load(Image.of(network).data, b"" if plan is None else plan_format.encode(network, plan))
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
