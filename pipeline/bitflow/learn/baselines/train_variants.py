"""Trains the variants of an architecture under equal conditions, each in its own folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from bitflow.files import write_atomic
from bitflow.learn.data.dataset import Dataset
from bitflow.learn.networks import architectures
from bitflow.learn.networks.variants import variant
from bitflow.learn.recipe import Recipe
from bitflow.learn.training import checkpoint
from bitflow.learn.training.train import Result, train

__all__ = ["train_variant"]


def train_variant(
    name: str,
    dataset: Dataset,
    architecture: str,
    recipe: Recipe,
    folder: Path,
    *,
    width: float = 1.0,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> Result:
    """Train one variant (`learn.networks.variants`). The files of the run, and BitFlow's model.pt, go to `folder`.

    With equal settings all variants get the same pictures in the same order, moved by the same pixels, and the same
    seed and schedule. A recipe's teacher is not used: they learn from labels alone. If `folder` already has the result
    of equal settings, it is used; an interrupted run is resumed. Ctrl-C ends the run with KeyboardInterrupt. Errors as
    `learn.training.train.train` and `learn.networks.architectures.build`.
    """
    shape = dataset.input_spec.shape
    picture = (shape.height, shape.width, shape.channels)
    settings = {
        "network": name,
        "architecture": architecture,
        "width": width,
        "picture": list(picture),
        "classes": list(dataset.class_names),
        "data": f"{dataset.name}, {len(dataset.train)} and {len(dataset.test)} images",
        "recipe": asdict(recipe),
    }
    known = _read(folder / "settings.json") == settings
    done = _read(folder / "metrics.json")
    model = folder / "model.pt"
    if known and done is not None and not done["interrupted"] and (name != "bitflow" or model.exists()):
        return Result(**done)
    torch.manual_seed(recipe.seed)
    zero_point = dataset.input_spec.zero_point
    module = architectures.build(architecture, picture, len(dataset.class_names), zero_point, width)
    module = variant(module, name)
    folder.mkdir(parents=True, exist_ok=True)
    if not known:
        for stale in ("last.pt", "metrics.json", "model.pt"):
            (folder / stale).unlink(missing_ok=True)
        write_atomic(folder / "settings.json", json.dumps(settings, indent=2) + "\n")
    resume = (folder / "last.pt").exists()
    result = train(module, dataset, recipe, folder, resume=resume, on_epoch=on_epoch)
    if result.interrupted:
        raise KeyboardInterrupt
    if name == "bitflow":
        facts = checkpoint.ModelFile(
            dataset.name, architecture, dataset.input_spec, dataset.class_names, result.metrics(), width
        )
        checkpoint.save_module(model, module, facts)
    return result


def _read(path: Path) -> Any:
    """The contents of a run's file; None if it is missing or incomplete."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
