"""What each choice of the training is worth: one is changed at a time, judged on validation images, several seeds.

python -m bench.ablation idx:mnist [--seeds 1,2,3]     a run takes a minute; those that are known are not made again

Writes bench/ablation.json after each run; `python -m bench.training_page` makes the table of docs/training.md from it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from bitflow.learn.data.dataset import Dataset
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.teacher import trained_teacher
from bitflow.learn.training.train import train

__all__ = ["CHANGES", "EPOCHS", "LAYERS", "RECIPE", "RESULTS", "VALIDATION", "known"]

RESULTS = Path(__file__).with_name("ablation.json")
EPOCHS = 6
VALIDATION = 10_000  # images

# The network and the recipe of which the table is.
LAYERS = "conv5x5:32/stride2 conv3x3:64/pool2 conv3x3:96/pad0"
RECIPE = Recipe(
    epochs=EPOCHS, batch=128, learning_rate=0.005, shift=2, rotate=10.0, stretch=0.1, average=0.998, norm_images=4000
)
# What is changed, by the words of the table: settings of the recipe, and the layers where they are others.
CHANGES: dict[str, dict[str, Any]] = {
    "as the recipe has it": {},
    "images moved, not turned or stretched": {"rotate": 0.0, "stretch": 0.0},
    "images not changed at all": {"rotate": 0.0, "stretch": 0.0, "shift": 0},
    "estimator `polynomial`": {"estimator": "polynomial"},
    "estimator `bireal`": {"estimator": "bireal"},
    "optimiser `bop`": {"optimiser": "bop"},
    "two steps: first activations, then weights": {"float_weights": 0.5},
    "a teacher of twice the width": {
        "teacher": "conv5x5:64/stride2 conv3x3:128/pool2 conv3x3:192/pad0", "teacher_epochs": EPOCHS,
    },
    "label smoothing 0.1": {"label_smoothing": 0.1},
    "weights not averaged": {"average": 0.0},
    "weights not averaged, running BatchNorm statistics": {"average": 0.0, "norm_images": 0},
    "learning rate constant": {"schedule": "constant"},
    "learning rate falls on a line": {"schedule": "linear"},
    "an epoch of warm-up": {"warmup": 1.0},
    "learning rate 0.002": {"learning_rate": 0.002},
    "twice the epochs": {"epochs": 2 * EPOCHS},
    "a learnable shift before each sign": {"layers": " ".join(word + "/shift" for word in LAYERS.split())},
    "pool after the sign instead of before BatchNorm": {"layers": LAYERS.replace("/pool", "/bitpool")},
    "int8 weights in the first layer": {"layers": LAYERS.replace("/stride2", "/stride2/w8")},
}  # fmt: skip


def known() -> dict[str, dict[str, float]]:
    """Validation accuracy by change and seed, as far as it was measured."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", help="MNIST, as idx:DIR")
    parser.add_argument("--seeds", default="1,2,3")
    asked = parser.parse_args()
    data = load_data(asked.data)
    for seed in map(int, asked.seeds.split(",")):
        for name, change in CHANGES.items():
            if str(seed) in known().get(name, {}):
                continue
            accuracy = _measure(data, dict(change), seed)
            results = known()
            results.setdefault(name, {})[str(seed)] = round(accuracy, 6)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
            print(f"seed {seed}  {accuracy:.2%}  {name}", flush=True)


def _measure(data: Dataset, change: dict[str, Any], seed: int) -> float:
    layers = change.pop("layers", LAYERS)
    usual = replace(RECIPE, validation=VALIDATION / len(data.train), threads=1)
    recipe: Recipe = replace(usual, seed=seed, **change)
    shape = data.input_spec.shape
    picture = (shape.height, shape.width, shape.channels)
    with tempfile.TemporaryDirectory(prefix="bitflow-ablation-") as folder:
        teacher = trained_teacher(data, recipe, Path(folder) / "teacher")[0] if recipe.teacher else None
        torch.manual_seed(seed)
        module = architectures.build(layers, picture, len(data.class_names), data.input_spec.zero_point)
        return train(module, data, recipe, Path(folder), teacher=teacher, test=False).validation_accuracy


if __name__ == "__main__":
    main()
