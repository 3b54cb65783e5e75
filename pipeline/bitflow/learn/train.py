"""The training loop: Adam, a schedule, clipped latent weights, and the best epoch by validation accuracy.

What it does is what helps binary networks most (Courbariaux 2016, Alizadeh 2019): Adam rather than SGD, no weight
decay, latent weights clipped to [-1, 1], a schedule that ends at a learning rate of zero.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn import checkpoint
from bitflow.learn.augment import augmented
from bitflow.learn.dataset import Dataset, Split
from bitflow.learn.evaluate import accuracy, as_input, renew_norms
from bitflow.learn.history import History
from bitflow.learn.loader import Loader
from bitflow.learn.recipe import Recipe
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign, clip_latent

__all__ = ["Result", "train"]

# The logits of the last layer are alpha * x, and x has the spread sqrt(features). Cross entropy learns best from logits
# of a few units; alpha, which the training moves, does the rest.
SPREAD = 8.0


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave. Accuracies are fractions of the best epoch; of the test part None where it was not judged.

    interrupted: Ctrl-C ended the run early.
    """

    best_epoch: int
    epochs: int
    validation_accuracy: float
    test_accuracy: float | None
    seconds: float
    interrupted: bool

    def facts(self) -> dict[str, Any]:
        """The result by name."""
        return asdict(self)

    def metrics(self) -> dict[str, float]:
        """The result as plain numbers."""
        return {key: float(value) for key, value in self.facts().items() if value is not None}


@dataclass(slots=True)
class _Run:
    """All that changes while training, and so all that a checkpoint holds."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    random: torch.Generator
    best: Mapping[str, Tensor]
    average: dict[str, Tensor]
    identity: str
    accuracy: float = 0.0
    best_epoch: int = 0
    best_accuracy: float = -1.0
    epoch: int = 0
    seconds: float = 0.0

    def state(self) -> dict[str, Any]:
        return {
            "kind": "checkpoint",
            "format": checkpoint.FORMAT,
            "identity": self.identity,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": self.random.get_state(),
            "best": dict(self.best),
            "average": self.average,
            "numbers": [self.best_epoch, self.best_accuracy, self.epoch, self.seconds],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        require(state["identity"] == self.identity, f"is of another run: {state['identity']}, not {self.identity}")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"])
        self.best, self.average = state["best"], state["average"]
        self.best_epoch, self.best_accuracy, self.epoch, self.seconds = state["numbers"]


def train(
    module: nn.Sequential,
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    test: bool = True,
    tensorboard: bool = False,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> Result:
    """Train `module` in place; it ends with the weights of the best epoch, in eval mode.

    Writes into `folder`: last.pt after each epoch and best.pt after each better one (checkpoints), metrics.csv (one
    line an epoch) and metrics.json (the result). resume: go on from last.pt. on_epoch(done, best accuracy) is called
    after each epoch. Ctrl-C ends the run and keeps the best epoch; before the first epoch is done it passes on. test:
    judge the test part at the end; a search must not even look. tensorboard: events too, in the folder tensorboard.

    Raises InputError where there is nothing to resume, or it is of another run, and where the loss is no number.
    """
    torch.set_num_threads(recipe.threads)
    learning, validation = data.train.cut(max(1, round(len(data.train) * recipe.validation)), recipe.seed)
    require(len(learning) >= 2, f"{data.name}: {len(data.train)} training images are too few")
    batch = min(recipe.batch, len(learning))
    # What decides which images are trained on: another one would let the run see its validation images.
    identity = f"{data.name}, {len(data.train)} images, seed {recipe.seed}, validation {recipe.validation}"
    run = _start(module, recipe, len(learning) // batch, identity)
    if resume:
        _resume(run, folder / "last.pt")
    interrupted = False
    before = run.seconds
    started = time.monotonic()
    log = History(folder, resume, tensorboard, run.epoch)
    with log as history, Loader(learning, batch, recipe.workers) as loader:
        try:
            while run.epoch < recipe.epochs:
                floats = run.epoch < _float_epochs(recipe)
                _set_float_weights(run.module, floats)
                rate = float(run.schedule.get_last_lr()[0])
                loss, right = _epoch(run, loader, len(learning), recipe)
                run.epoch += 1
                better = not floats and _judge(run, learning, validation, recipe)
                run.seconds = before + time.monotonic() - started
                history.add(
                    {
                        "epoch": run.epoch,
                        "loss": loss,
                        "train_accuracy": right,
                        "validation_accuracy": math.nan if floats else run.accuracy,
                        "learning_rate": rate,
                        "seconds": run.seconds,
                    }
                )
                for name in ("last.pt", "best.pt")[: 1 + better]:
                    checkpoint.write(folder / name, run.state())
                on_epoch(run.epoch, run.best_accuracy)
        except KeyboardInterrupt:
            if not run.best_epoch:
                raise
            interrupted = True
    _set_float_weights(module, False)
    module.load_state_dict(run.best)
    module.eval()
    result = Result(
        run.best_epoch,
        run.epoch,
        run.best_accuracy,
        accuracy(module, data.test) if test else None,
        round(run.seconds, 1),
        interrupted,
    )
    _write_text(folder / "metrics.json", json.dumps(result.facts(), indent=2) + "\n")
    return result


def _start(module: nn.Module, recipe: Recipe, steps: int, identity: str) -> _Run:
    for layer in module.modules():
        if isinstance(layer, Sign):
            layer.estimator = recipe.estimator
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate)
    # A closed form, so that a run that is resumed with more epochs follows the longer cosine from there.
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rate(recipe, step, steps))
    random = torch.Generator().manual_seed(recipe.seed)
    average = {name: weight.detach().clone() for name, weight in module.named_parameters()}
    return _Run(module, optimiser, schedule, random, module.state_dict(), average, identity)


def _rate(recipe: Recipe, step: int, steps: int) -> float:
    """The learning rate of a step as a fraction of the recipe's; each of two training steps has its own schedule."""
    first, total = _float_epochs(recipe) * steps, recipe.epochs * steps
    start, end = (0, first) if step < first else (first, total)
    warm = min(round(recipe.warmup * steps), end - start)
    if step - start < warm:
        return (step - start + 1) / warm
    done = (step - start - warm) / max(end - start - warm, 1)
    return {"cosine": (1 + math.cos(math.pi * done)) / 2, "linear": 1 - done, "constant": 1.0}[recipe.schedule]


def _float_epochs(recipe: Recipe) -> int:
    return int(recipe.float_weights * recipe.epochs)


def _set_float_weights(module: nn.Module, floats: bool) -> None:
    for layer in module.modules():
        if isinstance(layer, BinaryConv2d | BinaryLinear | InputConv2d):
            layer.float_weights = floats


def _resume(run: _Run, path: Path) -> None:
    if not path.exists():
        raise InputError(f"nothing to resume: {path} does not exist; train without --resume first")
    state = checkpoint.read(path, "checkpoint")
    try:
        run.restore(state)
    except InputError as error:
        raise InputError(f"cannot resume: {path} {error}") from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"cannot resume: {path} is of another architecture; train without --resume") from error


def _epoch(run: _Run, loader: Loader, count: int, recipe: Recipe) -> tuple[float, float]:
    """One pass over the images in a new order; the mean loss and accuracy. The last, smaller batch is left out."""
    run.module.train()
    order = torch.randperm(count, generator=run.random).numpy()
    scale = _temperature(run.module)
    half = _half(recipe.precision)
    total, right, steps = 0.0, 0, 0
    for images, labels in loader.epoch(order):
        inputs = augmented(as_input(images), recipe, run.random).contiguous(memory_format=torch.channels_last)
        wanted = torch.from_numpy(labels)
        with torch.autocast("cpu", torch.bfloat16, enabled=half):
            found = run.module(inputs).float() * scale
        loss = functional.cross_entropy(found, wanted, label_smoothing=recipe.label_smoothing)
        if not math.isfinite(loss.item()):
            raise InputError(f"the loss is {loss.item()} in epoch {run.epoch + 1}: a smaller learning_rate may help")
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        run.schedule.step()
        clip_latent(run.module)
        if recipe.average:
            _average(run, recipe.average)
        total += loss.item()
        right += int((found.argmax(1) == wanted).sum())
        steps += 1
    return total / steps, right / (steps * len(wanted))


def _half(precision: str) -> bool:
    """Whether to train in bfloat16. On processors without units for it, it is slower than float32."""
    return precision == "bfloat16" or (precision == "auto" and torch.cpu._is_amx_tile_supported())


def _average(run: _Run, decay: float) -> None:
    with torch.no_grad():
        for name, weight in run.module.named_parameters():
            run.average[name].lerp_(weight, 1 - decay)


def _temperature(module: nn.Module) -> float:
    last = list(module.modules())[-1]
    return SPREAD / math.sqrt(last.in_features) if isinstance(last, BinaryLinear) else 1.0


def _judge(run: _Run, learning: Split, validation: Split, recipe: Recipe) -> bool:
    """Judge the epoch; keep it where it is at least as good: of two equal ones the later has the calmer weights.

    What is judged has the averaged weights, and statistics of its own; training goes on from what it had.
    """
    trained = _copy(run.module.state_dict())
    if recipe.average:
        run.module.load_state_dict(run.average, strict=False)
    if recipe.norm_images:
        renew_norms(run.module, learning, recipe.norm_images)
    run.accuracy = accuracy(run.module, validation)
    better = run.accuracy >= run.best_accuracy
    if better:
        run.best = _copy(run.module.state_dict())
        run.best_epoch, run.best_accuracy = run.epoch, run.accuracy
    run.module.load_state_dict(trained)
    return better


def _copy(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in state.items()}


def _write_text(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)
