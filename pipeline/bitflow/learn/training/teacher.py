"""Distillation: a float network is trained first, and its logits teach the binary network more than labels do.

Source: Hinton et al., "Distilling the Knowledge in a Neural Network", 2015.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from bitflow.learn.data.dataset import Dataset
from bitflow.learn.networks import architectures
from bitflow.learn.networks.variants import variant
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.train import Result, train

__all__ = ["trained_teacher"]

# Adam's learning rate for float weights with BatchNorm.
_LEARNING_RATE = 0.002


def trained_teacher(
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    seconds: float = math.inf,
    on_step: Callable[[float, float], None] = lambda epochs, best: None,
) -> tuple[nn.Module, Result]:
    """The float variant of the recipe's teacher, and the result of its training.

    It is trained and evaluated on the same images as the network. If the result says interrupted, the time was over and
    it is not finished. Ctrl-C always raises KeyboardInterrupt.

    folder: for its files.
    resume: continue from the files there; a finished teacher is used as it is.

    The other arguments and the errors are those of `learn.training.train.train`.
    """
    own = replace(
        recipe,
        teacher="",
        epochs=recipe.teacher_epochs,
        optimiser="adam",
        learning_rate=_LEARNING_RATE,
        float_weights=0.0,
    )
    shape = data.input_spec.shape
    picture = (shape.height, shape.width, shape.channels)
    torch.manual_seed(recipe.seed)
    built = architectures.build(recipe.teacher, picture, len(data.class_names), data.input_spec.zero_point)
    module = variant(built, "float")
    end = time.monotonic() + seconds
    result = train(module, data, own, folder, resume=resume, test=False, seconds=seconds, on_step=on_step)
    if result.interrupted and time.monotonic() < end:
        raise KeyboardInterrupt
    return module.requires_grad_(False), result
