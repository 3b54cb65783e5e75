"""The state of a training, which is what a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.recipe import Recipe
from bitflow.learn.training import checkpoint
from bitflow.learn.training.evaluate import copied
from bitflow.learn.training.optimiser import optimisers, rate

__all__ = ["State"]


@dataclass(slots=True)
class State:
    """A run between two steps. Random numbers depend only on seed, epoch and step, so they are not part of the state.

    average: average of the weights.
    best: weights of the best epoch.
    identity: what decides which images are trained on.
    epoch: epochs done.
    step: steps done in the next epoch.
    loss, right: sums over these steps.
    accuracy: of the last evaluation.
    best_accuracy: -1 before the first evaluation.
    seconds: time of the run, over all its parts.
    """

    module: nn.Module
    optimisers: list[torch.optim.Optimizer]
    schedules: list[torch.optim.lr_scheduler.LRScheduler]
    average: dict[str, Tensor]
    best: Mapping[str, Tensor]
    identity: str
    epoch: int = 0
    step: int = 0
    loss: float = 0.0
    right: float = 0.0
    accuracy: float = 0.0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    seconds: float = 0.0
    warned: bool = field(default=False)

    @classmethod
    def start(cls, module: nn.Module, recipe: Recipe, steps: int, identity: str) -> State:
        """The state before the first step, with `steps` steps per epoch."""
        found = optimisers(module, recipe)
        schedules: list[torch.optim.lr_scheduler.LRScheduler] = [
            torch.optim.lr_scheduler.LambdaLR(one, lambda step: rate(recipe, step, steps)) for one in found
        ]
        average = {name: weight.detach().clone() for name, weight in module.named_parameters()}
        return cls(module, found, schedules, average, copied(module), identity)

    def write(self, path: Path) -> None:
        """Save everything, and rename the file into place."""
        content = {
            "kind": "checkpoint",
            "format": checkpoint.FORMAT,
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimisers": [one.state_dict() for one in self.optimisers],
            "schedules": [one.state_dict() for one in self.schedules],
            "best": dict(self.best),
            "average": self.average,
            "numbers": {name: getattr(self, name) for name in _NUMBERS},
        }
        checkpoint.write(path, content)

    def restore(self, path: Path) -> None:
        """Resume from a file of `write`. Raises InputError if there is none, or it is of another run or network."""
        if not path.exists():
            raise InputError(f"nothing to resume: {path} does not exist; train without --resume first")
        content = checkpoint.read(path, "checkpoint")
        try:
            self._take(content)
        except InputError as error:
            raise InputError(f"cannot resume: {path} {error}") from error
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"cannot resume: {path} is of another architecture; train without --resume") from error

    def _take(self, content: Mapping[str, Any]) -> None:
        known = content["identity"]
        require(known == self.identity, f"is of another run: {known}, not {self.identity}")
        self.module.load_state_dict(content["module"])
        for optimiser, kept in zip(self.optimisers, content["optimisers"], strict=True):
            optimiser.load_state_dict(kept)
        for schedule, kept in zip(self.schedules, content["schedules"], strict=True):
            schedule.load_state_dict(kept)
        for name, weight in self.average.items():
            weight.copy_(content["average"][name])
        self.best = content["best"]
        for name in _NUMBERS:
            setattr(self, name, content["numbers"][name])


_NUMBERS = ("epoch", "step", "loss", "right", "accuracy", "best_epoch", "best_accuracy", "seconds", "warned")
