"""The combinations of features that random networks must cover, and those that a network has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np

from bitflow.ir import BatchNorm, BinaryDense, Layer, Network, Pool, Sign, Sum

__all__ = [
    "CONVS", "GAMMAS", "INPUTS", "PLACES", "THRESHOLDS", "Block", "Cell", "Pair", "cells", "every_cell", "every_pair",
    "pairs",
]  # fmt: skip

PLACES = ("none", "before_norm", "after_norm", "after_sign")
GAMMAS = ("-", "0", "+")
THRESHOLDS = (1, 2, 3, 4, 7, 8)


@dataclass(frozen=True, slots=True, order=True)
class Cell:
    """A combination that must occur, of a layer and one of its channels (gamma)."""

    kind: str
    padding: str
    stride: int
    groups: str
    place: str
    residual: bool
    gamma: str


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A number of thresholds with a value of another feature, which must occur together in a layer."""

    kind: str
    feature: str
    value: str
    thresholds: int


@dataclass(frozen=True, slots=True)
class Block:
    """The features of a convolution in a random network."""

    padding: str
    stride: int
    groups: str
    place: str
    residual: bool = False
    thresholds: int = 1


CONVS = tuple(
    Block(*block)
    for block in product(("none", "-1", "0", "1"), (1, 2), ("one", "some", "depthwise"), PLACES, (False, True))
)
INPUTS = tuple(Block(*block) for block in product(("none", "0"), (1, 2), ("one", "depthwise"), PLACES))


def every_cell() -> set[Cell]:
    """All combinations that must occur."""
    every = [("input_conv", plan) for plan in INPUTS] + [("conv", plan) for plan in CONVS]
    dense = Block("none", 1, "one", "none")
    every += [("dense", dense), ("sum", dense), ("total", dense), ("wide_conv", dense)]
    return {
        Cell(kind, p.padding, p.stride, p.groups, p.place, p.residual, gamma)
        for (kind, p), gamma in product(every, GAMMAS)
    }


_PAIRED = ("padding", "stride", "groups", "place", "residual", "gamma")


def every_pair() -> set[Pair]:
    """All pairs that must occur: each value of each feature of a kind with each number of thresholds."""
    return {pair for cell in every_cell() for count in THRESHOLDS for pair in _pairs(cell, count)}


def _pairs(cell: Cell, thresholds: int) -> set[Pair]:
    return {Pair(cell.kind, feature, str(getattr(cell, feature)), thresholds) for feature in _PAIRED}


def _place(layer: Layer) -> str:
    kinds = [type(step) for step in layer.steps]
    if Pool not in kinds:
        return "none"
    at = kinds.index(Pool)
    if at > kinds.index(Sign):
        return "after_sign"
    return "before_norm" if BatchNorm in kinds[at:] else "after_norm"


def _gammas(layer: Layer) -> Iterator[str]:
    for step in layer.steps:
        if isinstance(step, BatchNorm):
            yield from (
                name for name, value in zip(GAMMAS, (-1, 0, 1), strict=True) if (np.sign(step.weight) == value).any()
            )


def cells(network: Network) -> set[Cell]:
    """The combinations that occur in a network. A residual one is described by the convolution in its sum."""
    return {cell for cell, _ in _found(network)}


def pairs(network: Network) -> set[Pair]:
    """The pairs that occur in a network."""
    return {pair for cell, thresholds in _found(network) for pair in _pairs(cell, thresholds)}


def _found(network: Network) -> Iterator[tuple[Cell, int]]:
    """The combinations in a network, with the thresholds of their layers."""
    for layer in network.layers[:-1]:
        if layer.sign is None:
            continue
        of, residual = layer.accumulation, False
        if isinstance(of, Sum) and len(of.inputs) > 1:
            of, residual = network.layers[(layer.sources or ())[0]].accumulation, True
        padding = str(of.pad_value) if any(of.window.padding) else "none"
        values = of.source.channels // of.in_thresholds
        groups = "one" if of.groups == 1 else "depthwise" if of.groups == values else "some"
        place = _place(layer)
        kind = of.kind.name.lower()
        if kind == "wide_conv" and isinstance(of, BinaryDense):
            padding, groups = "none", "one"
        for gamma in _gammas(layer):
            yield Cell(kind, padding, of.window.stride[0], groups, place, residual, gamma), layer.thresholds
