"""A whole training run, from settings to `model.pt`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from bitflow.errors import MissingError
from bitflow.learn import architectures, checkpoint
from bitflow.learn.data import load_data
from bitflow.learn.dataset import Dataset
from bitflow.learn.evaluate import logits
from bitflow.learn.history import read_epochs
from bitflow.learn.recipe import Recipe
from bitflow.learn.remarks import remarks
from bitflow.learn.train import Result, train
from bitflow.show import training

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
    tensorboard: bool = False,
    page: bool = False,
    on_remark: Callable[[str], None] = lambda remark: None,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> tuple[nn.Sequential, checkpoint.ModelFile, Result]:
    """Train `architecture` on `data`; write model.pt into `folder` and the run's files into `folder`/training.

    Equal settings give equal weights on one machine: torch's arithmetic may differ between CPUs. page: draw the run as
    well (`show.training.page`), after model.pt is written. on_remark is called with a line for each thing that is odd
    about the data, and one for the page: where it lies, or why there is none. Arguments and errors as
    `learn.data.load_data`, `learn.architectures.build` and `learn.train.train`.
    """
    dataset = load_data(data, size)
    for remark in remarks(dataset):
        on_remark(remark)
    shape = dataset.contract.shape
    torch.manual_seed(recipe.seed)
    module = architectures.build(
        architecture,
        (shape.height, shape.width, shape.channels),
        len(dataset.class_names),
        dataset.contract.zero_point,
        width,
    )
    result = train(
        module, dataset, recipe, folder / "training", resume=resume, tensorboard=tensorboard, on_epoch=on_epoch
    )
    model = checkpoint.ModelFile(name, architecture, dataset.contract, dataset.class_names, result.metrics(), width)
    checkpoint.save_module(folder / "model.pt", module, model)
    if page:
        try:
            on_remark(f"wrote {_write_page(folder / 'training', dataset, module, result)}")
        except MissingError as error:
            on_remark(f"no page of the run: {error}")
    return module, model, result


def _write_page(folder: Path, dataset: Dataset, module: nn.Module, result: Result) -> Path:
    facts = {
        "data": f"{dataset.name}, {len(dataset.train)} training and {len(dataset.test)} test images",
        "test accuracy": "not judged" if result.test_accuracy is None else f"{result.test_accuracy:.2%}",
        "best epoch": f"{result.best_epoch} of {result.epochs}, validation {result.validation_accuracy:.2%}",
        "seconds": f"{result.seconds:.1f}",
    }
    return training.page(
        folder,
        read_epochs(folder),
        facts,
        dataset.test.images,
        dataset.test.labels,
        logits(module, dataset.test.images),
        dataset.class_names,
    )
