"""A whole training run, from settings to `model.pt`."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bitflow.learn.data.dataset import Dataset
from bitflow.learn.data.sanity import remarks
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import Recipe
from bitflow.learn.training import checkpoint
from bitflow.learn.training.teacher import trained_teacher
from bitflow.learn.training.torchrun import is_first, is_shared, was_restarted
from bitflow.learn.training.train import Result, train

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
    seconds: float = math.inf,
    on_remark: Callable[[str], None] = lambda remark: None,
    on_step: Callable[[float, float], None] = lambda epochs, best: None,
    on_epoch: Callable[[int, float], None] = lambda epoch, best: None,
    on_saved: Callable[[Dataset, nn.Module, Result], None] = lambda dataset, module, result: None,
) -> tuple[nn.Sequential, checkpoint.ModelFile, Result]:
    """Train `architecture` on `data`; write model.pt into `folder` and the run's files into `folder`/training.

    A teacher in the recipe is trained first, in `folder`/training/teacher; its epochs count in on_step. Nothing is
    written before an epoch was evaluated. Equal settings give equal weights on one machine: torch's arithmetic may
    differ between CPUs.

    on_remark: called with a line for each problem of data and training.
    on_saved: called once, after model.pt is written.

    The other arguments and the errors are those of `load_data`, `architectures.build` and `train`.
    """
    dataset = load_data(data, size)
    for remark in remarks(dataset):
        on_remark(remark)
    shape = dataset.input_spec.shape
    torch.manual_seed(recipe.seed)
    module = architectures.build(
        architecture,
        (shape.height, shape.width, shape.channels),
        len(dataset.class_names),
        dataset.input_spec.zero_point,
        width,
    )
    place = folder / "training"
    if is_shared() and is_first() and not resume and not was_restarted():
        _set_aside(place)
    end = time.monotonic() + seconds
    teacher, result = None, None
    if recipe.teacher:
        teacher, result = trained_teacher(
            dataset, recipe, place / "teacher", resume=resume, seconds=seconds, on_step=on_step
        )
    if result is None or not result.interrupted:
        result = train(
            module,
            dataset,
            recipe,
            place,
            teacher=teacher,
            # If its teacher took all the time, it has no checkpoint yet.
            resume=resume and (teacher is None or (place / "last.pt").exists()),
            tensorboard=tensorboard,
            seconds=end - time.monotonic(),
            on_step=lambda epochs, best: on_step(epochs + (recipe.teacher_epochs if teacher else 0), best),
            on_epoch=on_epoch,
            on_remark=on_remark,
        )
    else:
        result = replace(result, best_epoch=0, epochs=0, validation_accuracy=0.0)
    model = checkpoint.ModelFile(name, architecture, dataset.input_spec, dataset.class_names, result.metrics(), width)
    if not result.best_epoch or not is_first():
        return module, model, result
    checkpoint.save_module(folder / "model.pt", module, model)
    on_saved(dataset, module, result)
    return module, model, result


def _set_aside(folder: Path) -> None:
    """Move an earlier run's files away, so that processes restarted by torchrun do not resume it."""
    for path in (folder / "last.pt", folder / "teacher" / "last.pt"):
        if path.exists():
            path.replace(path.with_name("earlier.pt"))
