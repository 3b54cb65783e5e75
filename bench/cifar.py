"""A network of the size of CIFAR-10: python -m bench.cifar FILE writes it, with random weights."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

from bitflow.geometry import Pool, Window
from bitflow.image.bfn import save
from bitflow.ir import LayerKind, PackedNetwork
from bitflow.synthetic.single_layers import Spec, parse, row_of_layers

__all__ = ["LAYERS", "cifar"]

LAYERS = (
    "first3x3:32x32x3-32",
    "conv3x3:32x32x32-32",  # then a 2x2 pool
    "conv3x3:16x16x32-64",
    "conv3x3:16x16x64-64",  # then a 2x2 pool
    "conv3x3:8x8x64-128",
    "conv3x3:8x8x128-128",  # then a 2x2 pool
)
"""As `bitflow bench --layer` takes them; a dense layer of 2,048 to 10 follows."""


def cifar() -> PackedNetwork:
    """32x32x3 pixels to 10 scores: six convolutions, three pools, one dense layer."""
    specs = [parse(text) for text in LAYERS]
    pooled = [replace(s, pool=Pool(Window((2, 2), (2, 2)))) if i % 2 else s for i, s in enumerate(specs)]
    last = pooled[-1].conv_map
    source = replace(last, height=last.height // 2, width=last.width // 2)
    return row_of_layers("cifar", [*pooled, Spec(LayerKind.DENSE, source, 10, Window((4, 4)))], seed=1)


if __name__ == "__main__":
    save(cifar(), Path(sys.argv[1]))
