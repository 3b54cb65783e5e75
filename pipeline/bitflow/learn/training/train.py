"""The training loop: batches, a schedule, clipped latent weights, and the best epoch by validation accuracy.

It follows what helps binary networks most (Courbariaux 2016, Alizadeh 2019): Adam instead of SGD, no weight decay,
latent weights clipped to [-1, 1], and a schedule that ends at a learning rate of zero.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from bitflow.errors import InputError
from bitflow.files import write_atomic
from bitflow.geometry import require
from bitflow.learn.data.dataset import Dataset, Split
from bitflow.learn.data.loader import Loader
from bitflow.learn.data.sanity import trouble
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.augment import augmented
from bitflow.learn.training.device import Place, place
from bitflow.learn.training.evaluate import accuracy, as_input, copied, renew_norms, right_answers
from bitflow.learn.training.history import History
from bitflow.learn.training.optimiser import float_epochs, rate, set_float_weights
from bitflow.learn.training.state import State
from bitflow.learn.training.torchrun import was_restarted
from bitflow.nn import BinaryLinear, Sign, clip_latent

__all__ = ["Result", "train"]

# The logits of the last layer are alpha * x, and x has the standard deviation sqrt(features). Cross entropy learns best
# from logits of a few units; training adapts alpha.
SPREAD = 8.0
# Within an epoch: seconds between checkpoints, and steps between readings of the loss, for which a GPU must stop.
_INTERVAL, _LOOK = 300.0, 16


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a run. Accuracies are fractions, of the best epoch.

    best_epoch: 0 before the first evaluation.
    test_accuracy: None if the test part was not evaluated.
    interrupted: Ctrl-C or the end of its time ended the run early.
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


class _TimeOver(Exception):
    """The time for this part of a run is over."""


@dataclass(slots=True)
class _Run:
    """A run and what it works with.

    forward: the module as a training step calls it.
    scale: factor of its logits.
    """

    state: State
    recipe: Recipe
    place: Place
    forward: nn.Module
    scale: float
    teacher: nn.Module | None
    learning: Split
    validation: Split
    folder: Path
    on_step: Callable[[float, float], None]
    started: float
    deadline: float
    saved: float

    @property
    def steps(self) -> int:
        return len(self.learning) // self.recipe.batch

    def write(self, name: str = "last.pt") -> None:
        self.saved = time.monotonic()
        self.state.seconds += self.saved - self.started
        self.started = self.saved
        if self.place.first:
            self.state.write(self.folder / name)


def train(
    module: nn.Sequential,
    data: Dataset,
    recipe: Recipe,
    folder: Path,
    *,
    teacher: nn.Module | None = None,
    resume: bool = False,
    test: bool = True,
    tensorboard: bool = False,
    seconds: float = math.inf,
    on_step: Callable[[float, float], None] = lambda epochs, best: None,
    on_epoch: Callable[[int, float], None] = lambda epoch, best: None,
    on_remark: Callable[[str], None] = lambda remark: None,
) -> Result:
    """Train `module` in place; it ends with the weights of the best epoch, on the CPU, in eval mode.

    Writes into `folder`: the checkpoints last.pt (after each epoch, in long epochs every few minutes) and best.pt
    (after each better epoch), metrics.csv (one line per epoch) and metrics.json (the result). Of several processes
    (`learn.training.device`) only the first one writes. Ctrl-C ends the run and keeps the best epoch; before the first
    evaluation it raises KeyboardInterrupt.

    teacher: a float network, in eval mode, whose logits teach.
    resume: continue from last.pt; processes restarted by torchrun always do.
    test: evaluate the test part at the end; a search must not.
    tensorboard: write events as well, into the folder tensorboard.
    seconds: time after which this part of the run ends.
    on_step: called with epochs done and best accuracy (0 before the first evaluation) after each step.
    on_epoch: called with the epoch and the best accuracy after each epoch.
    on_remark: called once if the loss grows or nothing is learned.

    Raises InputError if there is nothing to resume, if it is of another run, and if the loss is not a number.
    """
    learning, validation = data.train.cut(max(1, round(len(data.train) * recipe.validation)), recipe.seed)
    # What decides which images are trained on. Resuming with another split would train on validation images.
    identity = f"{data.name}, {len(data.train)} images, seed {recipe.seed}, validation {recipe.validation}"
    for layer in module.modules():
        if isinstance(layer, Sign):
            layer.estimator = recipe.estimator
    interrupted = False
    here = place(recipe)
    require(len(learning) >= 2 * here.size, f"{data.name}: {len(data.train)} training images are too few")
    recipe = replace(recipe, batch=min(recipe.batch, len(learning) // here.size * here.size))
    with ExitStack() as stack:
        module.to(here.device)
        state = State.start(module, recipe, len(learning) // recipe.batch, identity)
        if resume or (was_restarted() and (folder / "last.pt").exists()):
            state.restore(folder / "last.pt")
        now = time.monotonic()
        run = _Run(
            state, recipe, here, here.forward(module, recipe.compile), _temperature(module),
            None if teacher is None else teacher.to(here.device), learning, validation, folder, on_step,
            now, now + seconds, now,
        )  # fmt: skip
        history = None
        if here.first:
            history = stack.enter_context(History(folder, state.epoch > 0, tensorboard, state.epoch))
        loader = stack.enter_context(Loader(learning, recipe.batch // here.size, recipe.workers))
        try:
            while state.epoch < recipe.epochs:
                row = _epoch(run, loader)
                if history is not None:
                    history.add(row)
                    _remark(run, history, on_remark)
                for tell in (on_step, on_epoch):
                    tell(state.epoch, max(state.best_accuracy, 0.0))
        except _TimeOver:
            interrupted = True
        except KeyboardInterrupt:
            if not state.best_epoch:
                raise
            interrupted = True
    return _finish(run, data, interrupted, test)


def _remark(run: _Run, history: History, on_remark: Callable[[str], None]) -> None:
    """Report once what is wrong with the training so far."""
    said = None if run.state.warned else trouble(history.rows(), run.learning.labels)
    if said:
        on_remark(said)
        run.state.warned = True


def _epoch(run: _Run, loader: Loader) -> dict[str, float]:
    """One pass over the images in a new order, from the step where it stopped; its numbers, by the names of History.

    The last, smaller batch is left out.
    """
    state, recipe, here = run.state, run.recipe, run.place
    floats = state.epoch < float_epochs(recipe)
    set_float_weights(state.module, floats)
    state.module.train()
    order = torch.randperm(len(run.learning), generator=_chance(recipe.seed, state.epoch)).numpy()
    own = here.part(order, recipe.batch // here.size)
    sums = torch.tensor([state.loss, state.right], dtype=torch.float64, device=here.device)
    for images, labels in loader.epoch(own[state.step * recipe.batch // here.size :]):
        sums += _step(run, images, torch.from_numpy(labels))
        state.step += 1
        if state.step < run.steps:
            run.on_step(state.epoch + state.step / run.steps, max(state.best_accuracy, 0.0))
        if state.step % _LOOK == 0 or state.step == run.steps:
            _look(run, sums)
    learning_rate = recipe.learning_rate * rate(recipe, state.epoch * run.steps, run.steps)
    loss, right = here.total(state.loss, state.right)
    state.epoch, state.step, state.loss, state.right = state.epoch + 1, 0, 0.0, 0.0
    better = not floats and _judge(run)
    run.write()
    if better:
        run.write("best.pt")
    return {
        "epoch": state.epoch,
        "loss": loss / (run.steps * here.size),
        "train_accuracy": right / (run.steps * recipe.batch),
        "validation_accuracy": math.nan if floats else state.accuracy,
        "learning_rate": learning_rate,
        "seconds": state.seconds,
    }


def _step(run: _Run, images: np.ndarray[Any, Any], labels: Tensor) -> Tensor:
    """Train on one batch; its loss and the number of right images, float64 [2]."""
    state, recipe, here = run.state, run.recipe, run.place
    chance = _chance(recipe.seed, state.epoch, state.step, here.rank)
    inputs = here.to_device(augmented(here.to_device(as_input(images)), recipe, chance))
    wanted = labels.to(here.device, non_blocking=True)
    with torch.autocast(here.device.type, torch.bfloat16, enabled=here.half):
        found = run.forward(inputs).float() * run.scale
        with torch.no_grad():
            told = None if run.teacher is None else run.teacher(inputs).float()
    loss = functional.cross_entropy(found, wanted, label_smoothing=recipe.label_smoothing)
    if told is not None:
        loss = (1 - recipe.teacher_share) * loss + recipe.teacher_share * _distance(found, told, recipe.temperature)
    for optimiser in state.optimisers:
        optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    for optimiser, schedule in zip(state.optimisers, state.schedules, strict=True):
        optimiser.step()
        schedule.step()
    clip_latent(state.module)
    if recipe.average:
        _average(run)
    return torch.stack([loss.detach().double(), (found.argmax(1) == wanted).sum().double()])


def _distance(found: Tensor, told: Tensor, temperature: float) -> Tensor:
    """The Kullback-Leibler divergence of softened logits [N, classes], times the square that keeps its gradient's size
    (Hinton et al., "Distilling the Knowledge in a Neural Network", 2015).
    """
    ours = functional.log_softmax(found / temperature, 1)
    theirs = functional.log_softmax(told / temperature, 1)
    return functional.kl_div(ours, theirs, reduction="batchmean", log_target=True) * temperature**2


def _look(run: _Run, sums: Tensor) -> None:
    """Add up the sums, save if it is time, and stop if the time is over; all processes do so at the same step."""
    state = run.state
    state.loss, state.right = sums.tolist()
    if not math.isfinite(state.loss):
        raise InputError(f"the loss is {state.loss} in epoch {state.epoch + 1}: a smaller learning_rate may help")
    now = time.monotonic()
    over = run.place.total(float(now >= run.deadline))[0] > 0 if math.isfinite(run.deadline) else False
    if over or now - run.saved > _INTERVAL:
        run.write()
    if over and (state.step < run.steps or state.epoch + 1 < run.recipe.epochs):
        raise _TimeOver


def _chance(*numbers: int) -> torch.Generator:
    """Random numbers that depend only on `numbers`."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(numbers).generate_state(1)[0]))


def _average(run: _Run) -> None:
    state = run.state
    done = state.epoch * run.steps + state.step
    # Over fewer steps at first; otherwise the random initial weights would remain in the average for long.
    decay = min(run.recipe.average, (1 + done) / (10 + done))
    with torch.no_grad():
        for name, weight in state.module.named_parameters():
            state.average[name].lerp_(weight, 1 - decay)


def _temperature(module: nn.Module) -> float:
    last = list(module.modules())[-1]
    return SPREAD / math.sqrt(last.in_features) if isinstance(last, BinaryLinear) else 1.0


def _judge(run: _Run) -> bool:
    """Evaluate the epoch, and keep it if it is at least as good: of two equal epochs the later has calmer weights.

    The evaluation uses the averaged weights and fresh statistics; training continues with its own.
    """
    state, recipe, here = run.state, run.recipe, run.place
    trained = copied(state.module)
    if recipe.average:
        state.module.load_state_dict(state.average, strict=False)
    if recipe.norm_images:
        renew_norms(state.module, run.learning, recipe.norm_images)
    own = here.share(run.validation)
    right, count = here.total(right_answers(state.module, own), len(own))
    state.accuracy = right / count
    better = state.accuracy >= state.best_accuracy
    if better:
        state.best = copied(state.module)
        state.best_epoch, state.best_accuracy = state.epoch, state.accuracy
    state.module.load_state_dict(trained)
    return better


def _finish(run: _Run, data: Dataset, interrupted: bool, test: bool) -> Result:
    """Load the best weights into the module; return the result, which the first process also writes."""
    state = run.state
    set_float_weights(state.module, False)
    state.module.load_state_dict(state.best)
    state.module.to("cpu").eval()
    judged = test and run.place.first and state.best_epoch > 0
    result = Result(
        state.best_epoch,
        state.epoch,
        max(state.best_accuracy, 0.0),
        accuracy(state.module, data.test) if judged else None,
        round(state.seconds, 1),
        interrupted,
    )
    if run.place.first:
        write_atomic(run.folder / "metrics.json", json.dumps(result.facts(), indent=2) + "\n")
    return result
