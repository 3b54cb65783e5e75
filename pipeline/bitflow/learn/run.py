"""A whole training run, from settings to `model.pt`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bitflow.learn import architectures, checkpoint
from bitflow.learn.data import load_data
from bitflow.learn.recipe import Recipe
from bitflow.learn.train import Result, train

__all__ = ["run"]


def run(
    data: str,
    architecture: str,
    recipe: Recipe,
    folder: Path,
    *,
    name: str = "model",
    size: tuple[int, ...] | None = None,
    width: float = 1.0,
    resume: bool = False,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> tuple[nn.Sequential, checkpoint.ModelFile, Result]:
    """Train `architecture` on `data`; write model.pt into `folder` and the run's files into `folder`/training.

    Equal settings give equal weights on one machine: torch's arithmetic may differ between CPUs. Arguments and errors
    as `learn.data.load_data`, `learn.architectures.build` and `learn.train.train`.
    """
    dataset = load_data(data, size)
    shape = dataset.contract.shape
    torch.manual_seed(recipe.seed)
    module = architectures.build(
        architecture,
        (shape.height, shape.width, shape.channels),
        len(dataset.class_names),
        dataset.contract.zero_point,
        width,
    )
    result = train(module, dataset, recipe, folder / "training", resume=resume, on_epoch=on_epoch)
    model = checkpoint.ModelFile(name, architecture, dataset.contract, dataset.class_names, result.metrics(), width)
    checkpoint.save_module(folder / "model.pt", module, model)
    return module, model, result
