"""The optimisers of a recipe, and the learning rate of each step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn

from bitflow.learn.recipe import Recipe
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d

__all__ = ["Bop", "float_epochs", "optimisers", "rate", "set_float_weights"]


class Bop(torch.optim.Optimizer):
    """Flips a binary weight if the mean of its gradients over time is above `threshold` and opposes the weight.

    The weights are +-1 and stay so: nothing is latent. Source: Helwegen et al., "Latent Weights Do Not Exist", 2019.

    lr: the share of a new gradient in the mean; a schedule lowers it.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, threshold: float) -> None:
        super().__init__(weights, {"lr": lr, "threshold": threshold})
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight.copy_(torch.where(weight >= 0, 1.0, -1.0))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take one step; `closure` is not called."""
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state: dict[str, Any] = self.state[weight]
                if not state:
                    state["mean"] = torch.zeros_like(weight)
                mean = state["mean"].lerp_(weight.grad, group["lr"])
                against = (mean * weight > 0) & (mean.abs() > group["threshold"])
                weight.copy_(torch.where(against, -weight, weight))


def optimisers(module: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """Adam for all weights, or Bop for the binary weights and Adam for the rest."""
    flipped = [layer.weight for layer in _binary(module) if layer.weight_bits == 1] if recipe.optimiser == "bop" else []
    known = set(map(id, flipped))
    rest = [weight for weight in module.parameters() if id(weight) not in known]
    found: list[torch.optim.Optimizer] = [torch.optim.Adam(rest, lr=recipe.learning_rate)]
    return [*found, Bop(flipped, recipe.flip_rate, recipe.flip_threshold)] if flipped else found


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """The rate of a step, with `steps` per epoch, as a fraction of the recipe's. Each of two training steps has its own
    schedule.

    A closed form, so that a run resumed with more epochs follows the longer schedule from there.
    """
    first, total = float_epochs(recipe) * steps, recipe.epochs * steps
    start, end = (0, first) if step < first else (first, total)
    warm = min(round(recipe.warmup * steps), end - start)
    if step - start < warm:
        return (step - start + 1) / warm
    done = (step - start - warm) / max(end - start - warm, 1)
    return {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[recipe.schedule]


def float_epochs(recipe: Recipe) -> int:
    """The number of epochs at the start in which only activations are binary."""
    return int(recipe.float_weights * recipe.epochs)


def set_float_weights(module: nn.Module, floats: bool) -> None:
    """Let all binary layers use their latent weights directly, or not."""
    for layer in _binary(module):
        layer.float_weights = floats


def _binary(module: nn.Module) -> list[BinaryConv2d | BinaryLinear | InputConv2d]:
    return [layer for layer in module.modules() if isinstance(layer, BinaryConv2d | BinaryLinear | InputConv2d)]
