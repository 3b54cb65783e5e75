"""The training loop: Adam, a cosine schedule, clipped latent weights, and the best epoch by validation accuracy.

What it does is what helps binary networks most (Courbariaux 2016, Alizadeh 2019): Adam rather than SGD, no weight
decay, latent weights clipped to [-1, 1], a schedule that ends at a learning rate of zero.
"""

from __future__ import annotations

import csv
import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn import checkpoint
from bitflow.learn.dataset import Dataset, Images, Labels, Split, blocks
from bitflow.learn.recipe import Recipe
from bitflow.nn import BinaryLinear, clip_latent

__all__ = ["Result", "accuracy", "as_input", "logits", "predict", "train"]

# The logits of the last layer are alpha * x, and x has the spread sqrt(features). Cross entropy learns best from logits
# of a few units; alpha, which the training moves, does the rest.
SPREAD = 8.0

# Images are evaluated in blocks of so many bytes: the first layer's floats take about 50 times as much.
BLOCK_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Result:
    """What a run gave. Accuracies are fractions of the best epoch; interrupted: Ctrl-C ended it early."""

    best_epoch: int
    epochs: int
    validation_accuracy: float
    test_accuracy: float
    seconds: float
    interrupted: bool

    def facts(self) -> dict[str, Any]:
        """The result by name."""
        return asdict(self)

    def metrics(self) -> dict[str, float]:
        """The result as plain numbers."""
        return {key: float(value) for key, value in self.facts().items()}


@dataclass(slots=True)
class _Run:
    """All that changes while training, and so all that a checkpoint holds."""

    module: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler
    random: torch.Generator
    best: Mapping[str, Tensor]
    identity: str
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
            "numbers": [self.best_epoch, self.best_accuracy, self.epoch, self.seconds],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        require(state["identity"] == self.identity, f"is of another run: {state['identity']}, not {self.identity}")
        self.module.load_state_dict(state["module"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.schedule.load_state_dict(state["schedule"])
        self.random.set_state(state["random"])
        self.best = state["best"]
        self.best_epoch, self.best_accuracy, self.epoch, self.seconds = state["numbers"]


def as_input(images: np.ndarray[Any, Any]) -> Tensor:
    """uint8 or int8 [N, H, W, C] -> float32 [N, C, H, W] of the pixel values, as a module takes them."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32))


def logits(module: nn.Module, images: Images) -> npt.NDArray[np.float32]:
    """Logits float32 [N, classes] that a module in eval mode gives for images [N, H, W, C]."""
    module.eval()
    with torch.inference_mode():
        return np.concatenate([module(as_input(part)).numpy() for part in blocks(images, BLOCK_BYTES, 1000)])


def predict(module: nn.Module, images: Images) -> Labels:
    """Labels int64 [N] of images [N, H, W, C]: the largest logit, of equal ones the first."""
    return np.asarray(np.argmax(logits(module, images), axis=1))


def accuracy(module: nn.Module, split: Split) -> float:
    """The share of images that a module in eval mode gives the right label."""
    return float(np.mean(predict(module, split.images) == split.labels))


def train(
    module: nn.Sequential,
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    resume: bool = False,
    on_epoch: Callable[[int, float], None] = lambda epoch, accuracy: None,
) -> Result:
    """Train `module` in place; it ends with the weights of the best epoch, in eval mode.

    Writes into `folder`: last.pt after each epoch and best.pt after each better one (checkpoints), metrics.csv (one
    line an epoch) and metrics.json (the result). resume: go on from last.pt. on_epoch(done, best accuracy) is called
    after each epoch. Ctrl-C ends the run and keeps the best epoch; before the first epoch is done it passes on.

    Raises InputError where there is nothing to resume, or it is of another run.
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
    log = _Log(folder / "metrics.csv", resume)
    interrupted = False
    before = run.seconds
    started = time.monotonic()
    try:
        while run.epoch < recipe.epochs:
            loss = _epoch(run, learning, batch, recipe.shift)
            run.epoch += 1
            run.seconds = before + time.monotonic() - started
            _judge(run, accuracy(module, validation), loss, folder, log)
            on_epoch(run.epoch, run.best_accuracy)
    except KeyboardInterrupt:
        if not run.best_epoch:
            raise
        interrupted = True
    module.load_state_dict(run.best)
    result = Result(
        run.best_epoch,
        run.epoch,
        run.best_accuracy,
        accuracy(module, data.test),
        round(run.seconds, 1),
        interrupted,
    )
    _write_text(folder / "metrics.json", json.dumps(result.facts(), indent=2) + "\n")
    return result


def _start(module: nn.Module, recipe: Recipe, steps: int, identity: str) -> _Run:
    optimiser = torch.optim.Adam(module.parameters(), lr=recipe.learning_rate)
    total = recipe.epochs * steps
    # A closed form, so that a run that is resumed with more epochs follows the longer cosine from there.
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: (1 + math.cos(math.pi * step / total)) / 2)
    random = torch.Generator().manual_seed(recipe.seed)
    return _Run(module, optimiser, schedule, random, module.state_dict(), identity)


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


def _epoch(run: _Run, learning: Split, batch: int, shift: int) -> float:
    """One pass over the images in a new order; the mean loss. The last, smaller batch is left out."""
    run.module.train()
    order = torch.randperm(len(learning), generator=run.random).numpy()
    labels = torch.from_numpy(learning.labels)
    scale = _temperature(run.module)
    total = 0.0
    starts = range(0, len(order) - batch + 1, batch)
    for start in starts:
        chosen = order[start : start + batch]
        images = _shifted(as_input(learning.images[chosen]), shift, run.random)
        loss = functional.cross_entropy(run.module(images) * scale, labels[chosen])
        run.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        run.optimiser.step()
        run.schedule.step()
        clip_latent(run.module)
        total += float(loss.detach())
    return total / len(starts)


def _temperature(module: nn.Module) -> float:
    last = list(module.modules())[-1]
    return SPREAD / math.sqrt(last.in_features) if isinstance(last, BinaryLinear) else 1.0


def _shifted(images: Tensor, shift: int, random: torch.Generator) -> Tensor:
    """Each image [N, C, H, W] moved by up to `shift` pixels in both directions; the border's pixels are repeated."""
    if shift == 0:
        return images
    count, _, height, width = images.shape
    padded = functional.pad(images, (shift,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=random)
    rows, columns = down + torch.arange(height), right + torch.arange(width)
    every = torch.arange(count)[:, None, None]
    return padded[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2).contiguous()


def _judge(run: _Run, score: float, loss: float, folder: Path, log: _Log) -> None:
    """Note the epoch; keep it where it is at least as good: of two equal ones the later has the calmer weights."""
    better = score >= run.best_accuracy
    if better:
        run.best = {key: value.clone() for key, value in run.module.state_dict().items()}
        run.best_epoch, run.best_accuracy = run.epoch, score
    log.add(run.epoch, loss, score, float(run.schedule.get_last_lr()[0]), run.seconds)
    checkpoint.write(folder / "last.pt", run.state())
    if better:
        checkpoint.write(folder / "best.pt", run.state())


class _Log:
    """metrics.csv: one line an epoch, written at once, so that a run can be watched."""

    def __init__(self, path: Path, resume: bool) -> None:
        self._path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        if not (resume and path.exists()):
            self._write("w", "epoch", "loss", "validation_accuracy", "learning_rate", "seconds")

    def add(self, epoch: int, loss: float, score: float, rate: float, seconds: float) -> None:
        self._write("a", epoch, f"{loss:.5f}", f"{score:.5f}", f"{rate:.6f}", f"{seconds:.1f}")

    def _write(self, mode: str, *cells: object) -> None:
        with self._path.open(mode, newline="") as file:
            csv.writer(file).writerow(cells)


def _write_text(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text)
    beside.replace(path)
