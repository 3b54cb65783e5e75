"""`python -m bench.speed_training`: images a second of training, beside plain PyTorch in the same shape.

BitFlow is the whole run of `learn.training.train`: its moves of the pictures, schedule and checkpoints. The float one
is the loop that one writes first: Adam, cross entropy, nothing else; its maps have the channels last, as BitFlow's do,
which is the faster layout. Both get the same random pictures, the rounds are interleaved and the median of each is
taken. Prints, and asserts nothing; the aim is a ratio of at least 0.7.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from bench.ablation import LAYERS, RECIPE
from bitflow.learn.data.dataset import Dataset, Split, assemble
from bitflow.learn.networks import architectures
from bitflow.learn.networks.variants import variant
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.device import has_units_for_half
from bitflow.learn.training.evaluate import as_input
from bitflow.learn.training.train import train

PICTURE = (28, 28, 1)
CLASSES = 10
BATCH = 128
SEED = 1


def random_data(count: int) -> Dataset:
    """Pictures of noise with random labels: `count` to train with and one that picks the best epoch."""
    random = np.random.default_rng(SEED)
    parts = [
        Split(random.integers(0, 256, (size, *PICTURE), np.uint8), random.integers(0, CLASSES, size))
        for size in (count + 1, 1)
    ]
    return assemble("noise", *parts, tuple(map(str, range(CLASSES))))


def bitflow_speed(data: Dataset, recipe: Recipe) -> float:
    """Images a second of the real training loop, the judgement of its epochs on one picture included."""
    torch.manual_seed(SEED)
    module = architectures.build(LAYERS, PICTURE, CLASSES)
    with tempfile.TemporaryDirectory() as folder:
        seconds = train(module, data, recipe, Path(folder), test=False).seconds
    return recipe.epochs * (len(data.train) - 1) / seconds


def float_speed(data: Dataset, recipe: Recipe, half: bool) -> float:
    """Images a second of the float network in a plain loop; half: in bfloat16."""
    torch.manual_seed(SEED)
    torch.set_num_threads(recipe.threads)
    module = variant(architectures.build(LAYERS, PICTURE, CLASSES), "float").train()
    module = module.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(module.parameters(), lr=1e-3)
    images, labels = as_input(data.train.images[:-1]), torch.from_numpy(data.train.labels[:-1])
    started = time.monotonic()
    for _ in range(recipe.epochs):
        for chosen in torch.randperm(len(images)).split(recipe.batch):
            inputs = images[chosen].contiguous(memory_format=torch.channels_last)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                scores = module(inputs)
            loss = functional.cross_entropy(scores.float(), labels[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return recipe.epochs * len(images) / (time.monotonic() - started)


def main() -> None:
    """Measure, and print a line for each network and for each ratio."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=1, help="of a round")
    parser.add_argument("--steps", type=int, default=240, help="of an epoch")
    # More wait for each other, and where another program needs a core that is what would be measured.
    parser.add_argument("--threads", type=int, default=1, help="of torch")
    asked = parser.parse_args()
    data = random_data(asked.steps * BATCH)
    usual = replace(RECIPE, epochs=asked.epochs, batch=BATCH, threads=asked.threads)
    usual = replace(usual, validation=1 / len(data.train))
    single = replace(usual, precision="float32")
    ways: dict[str, Callable[[], float]] = {
        "bitflow float32": lambda: bitflow_speed(data, single),
        "float float32": lambda: float_speed(data, usual, half=False),
    }
    ratios = [("bitflow float32", "float float32")]
    if has_units_for_half():  # where `auto` is bfloat16
        ways["bitflow bfloat16"] = lambda: bitflow_speed(data, replace(usual, precision="auto"))
        ways["float bfloat16"] = lambda: float_speed(data, usual, half=True)
        ratios += [("bitflow bfloat16", "float float32"), ("bitflow bfloat16", "float bfloat16")]
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(asked.rounds):
        for name, measure in ways.items():
            found[name].append(measure())
    speeds = {name: statistics.median(values) for name, values in found.items()}
    print(f"{LAYERS}, batches of {BATCH}, threads: {usual.threads}, median of {asked.rounds} rounds")
    for name, values in found.items():
        print(f"{name:<17} {speeds[name]:>8,.0f} images/s, {min(values):,.0f} to {max(values):,.0f}")
    for ours, theirs in ratios:
        print(f"{ours} / {theirs}: {speeds[ours] / speeds[theirs]:.2f}")


if __name__ == "__main__":
    main()
