"""The page of a finished training run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from bitflow.errors import MissingError
from bitflow.learn.data.dataset import Dataset
from bitflow.learn.training.history import read_epochs
from bitflow.show import training

if TYPE_CHECKING:
    from torch import nn

    from bitflow.learn.training.train import Result

__all__ = ["draw"]


def draw(folder: Path, dataset: Dataset, module: nn.Module, result: Result, say: Callable[[str], None]) -> None:
    """Write training.html and its pictures into the folder of a run, and say where it is, or why it was not written."""
    try:
        say(f"wrote {_page(folder, dataset, module, result)}")
    except MissingError as error:
        say(f"no page of the run: {error}")


def _page(folder: Path, dataset: Dataset, module: nn.Module, result: Result) -> Path:
    from bitflow.learn.training.evaluate import logits

    facts = {
        "data": f"{dataset.name}, {len(dataset.train)} training and {len(dataset.test)} test images",
        "test accuracy": "not evaluated" if result.test_accuracy is None else f"{result.test_accuracy:.2%}",
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
