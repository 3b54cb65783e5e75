"""The ladder: all engines run the same images, and each is compared with the one before, bit for bit.

    torch -> float (NumPy) -> integer -> packed -> C on the host -> C on a device

Hidden bits and labels must be equal on every rung, scores from the integer network on. The first difference is named:
its layer, image, channel and position.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import Trace, run_integer, run_network, run_packed
from bitflow.ir import MapType, Network, PackedLayer, PackedNetwork
from bitflow.lower.pack import unpack

__all__ = ["Difference", "Rung", "Step", "climb", "first_difference", "ladder"]

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Rung:
    """An engine.

    run: images [N, H, W, C] -> Trace.
    integer: the scores are integers, which must be equal.
    """

    name: str
    run: Callable[[Array], Trace]
    integer: bool = True


@dataclass(frozen=True, slots=True)
class Difference:
    """The first difference between two engines.

    channel: the class, if scores or labels differ.
    position: (y, x); None for scores and labels.
    """

    layer: str
    image: int
    channel: int
    position: tuple[int, int] | None
    expected: int
    got: int

    def __str__(self) -> str:
        where = f"layer {self.layer}, channel {self.channel}"
        if self.position is not None:
            where += f", position y={self.position[0]} x={self.position[1]}"
        return f"image {self.image}, {where}: expected {self.expected:+d}, got {self.got:+d}"


@dataclass(frozen=True, slots=True)
class Step:
    """A rung compared with the one below it."""

    name: str
    compared_with: str
    images: int
    difference: Difference | None


def ladder(packed: PackedNetwork, network: Network | None = None, host: bool = True) -> list[Rung]:
    """The rungs that need neither torch nor a device, in order.

    network: the float network, if known.
    """
    rungs = []
    if network is not None:
        rungs.append(Rung("float", lambda images: run_network(network, images), integer=False))
    integer = unpack(packed)
    rungs.append(Rung("integer", lambda images: run_integer(integer, images)))
    rungs.append(Rung("packed", lambda images: run_packed(packed, images)))
    if host:
        rungs.append(Rung("C on the host", HostEngine(packed).trace))
    return rungs


def climb(rungs: Sequence[Rung], packed: PackedNetwork, images: Array) -> list[Step]:
    """Run every rung on images [N, H, W, C] and compare it with the one below."""
    below, expected = rungs[0], rungs[0].run(images)
    steps = []
    for rung in rungs[1:]:
        got = rung.run(images)
        difference = first_difference(packed, expected, got, scores=below.integer and rung.integer)
        steps.append(Step(rung.name, below.name, len(images), difference))
        below, expected = rung, got
    return steps


def first_difference(packed: PackedNetwork, expected: Trace, got: Trace, scores: bool) -> Difference | None:
    """The first image, position and channel that differ in the first layer that differs; None if all is equal.

    scores: compare the scores too, not only the labels (integer engines).
    """
    for layer, want, have in zip(packed.layers[:-1], expected.hidden, got.hidden, strict=True):
        if not np.array_equal(want, have):
            channels = layer.target.channels
            a, b = (_numbers(layer, words, channels) for words in (want, have))
            image, y, x, channel = (int(i) for i in np.argwhere(a != b)[0])
            values = int(a[image, y, x, channel]), int(b[image, y, x, channel])
            return Difference(layer.name, image, channel, (y, x), *values)
    last = packed.layers[-1].name
    if scores and not np.array_equal(expected.scores, got.scores):
        image, channel = (int(i) for i in np.argwhere(expected.scores != got.scores)[0])
        values = int(expected.scores[image, channel]), int(got.scores[image, channel])
        return Difference(f"{last} (score)", image, channel, None, *values)
    if not np.array_equal(expected.labels, got.labels):
        image = int(np.argwhere(expected.labels != got.labels)[0][0])
        values = int(expected.labels[image]), int(got.labels[image])
        return Difference(f"{last} (label)", image, values[0], None, *values)
    return None


def _numbers(layer: PackedLayer, found: Array, channels: int) -> Array:
    """A hidden map as numbers [N, H, W, C]: +-1 or integers."""
    return bits.unpack(found, channels) if layer.output_type is MapType.BITS else found
