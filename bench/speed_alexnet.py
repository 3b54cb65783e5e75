"""`make speed-alexnet`: the paper's network at full size through the C library on this computer, with random weights.

Prints images a second on one core, the bytes of the `.bfn`, the bytes a run needs (image and arena), and on how many of
the images the label is not torch's. Speeds are printed and never asserted.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import torch
from torch import nn

from bitflow.engines.host import HostEngine
from bitflow.image.write import encode
from bitflow.importers.torch.module import network_from_module
from bitflow.learn.networks import architectures
from bitflow.learn.training.evaluate import predict
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

SEED = 1


def random_module(picture: tuple[int, int, int], classes: int, width: float) -> nn.Sequential:
    """bitflow-alexnet with random weights, statistics and scales of both signs, in eval mode."""
    torch.manual_seed(SEED)
    module = architectures.build("bitflow-alexnet", picture, classes, width=width)
    for layer in module:
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            for values in (layer.weight, layer.bias, layer.running_mean):
                nn.init.normal_(values)
    return module.eval()


def main() -> None:
    """Measure, and print a line for each figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--size", type=int, default=224, help="height and width of an image")
    parser.add_argument("--classes", type=int, default=1000)
    parser.add_argument("--width", type=float, default=1.0)
    asked = parser.parse_args()
    picture = (asked.size, asked.size, 3)
    module = random_module(picture, asked.classes, asked.width)
    network = pack(fuse(network_from_module(module, picture)))
    images = np.random.default_rng(SEED).integers(0, 256, (asked.images, *picture), np.uint8)
    engine = HostEngine(network)
    engine.scores(images[:1])
    start = time.perf_counter()
    labels = engine.predict(images)  # fewer than a thread takes, so one core
    seconds = time.perf_counter() - start
    size = len(encode(network))
    print(f"images/s         {len(images) / seconds:.2f}")
    print(f"ms/image         {1000 * seconds / len(images):.1f}")
    print(f".bfn bytes       {size}")
    print(f"arena bytes      {engine.arena_size}")
    print(f"image and arena  {size + engine.arena_size}")
    print(f"labels differ    {np.count_nonzero(labels != predict(module, images))} of {len(images)}")


if __name__ == "__main__":
    main()
