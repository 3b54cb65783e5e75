"""The search for the most accurate network within limits of flash, RAM and latency.

Optuna proposes networks, the planner prices them, and only those within the limits are trained.

Costs with random weights decide whether a network is trained: those of trained networks differ by less than _MARGIN. A
network outside the limits ends at once; the sampler learns from how far it is outside. The others are trained on one
part of the training images and evaluated on the rest, always the same; a network that is worse than half of the others
at the same point is stopped early. The costs of a trained network are counted again, with its own weights: only a
network that is within the limits with these can win. The test images are never used.

Several processes may share a study. A trial's number is its place in the queue: exactly the requested number of
networks is trained, in the order of their numbers, and none twice. If a process stops or dies, its network goes back
into the queue.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import optuna
import torch
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import SQLAlchemyError
from torch import nn

from bitflow.errors import CheckFailed, InputError
from bitflow.geometry import require
from bitflow.importers.torch.module import network_from_module
from bitflow.ir import PackedNetwork
from bitflow.learn.data.dataset import Dataset
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import Recipe, layers_of
from bitflow.learn.search.optuna_study import again, agree, is_open, open_study, queued, quiet, result, results, taken
from bitflow.learn.search.pareto import Costs, Limits, Tried
from bitflow.learn.search.space import Space
from bitflow.learn.training.train import train
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.planner.code_size import BASE_BYTES

__all__ = ["Search", "SearchPlan", "Standing"]

# With other weights a network's lists have other lengths. In 23 networks flash grew by up to 0.5 % with training, and
# predicted instructions by up to 2.4 %: search.json has `first_costs` and `costs` of each. The arena stays the same.
_MARGIN = 0.03
_MOST_OUTSIDE = 500  # in a row, known networks included: then hardly any network is within the limits
_POLL, _LONGEST_JUDGEMENT = 0.05, 30.0  # seconds


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """What to search for.

    base: name or description of the network that is tried first.
    recipe: how networks are trained; its seed is also the sampler's.
    trials: networks to train, over all processes; None: until the time is over.
    seconds: time of this process; None: no limit.
    """

    base: str
    recipe: Recipe
    limits: Limits
    board: str
    trials: int | None = None
    seconds: float | None = None

    def __post_init__(self) -> None:
        require(self.trials is None or self.trials >= 1, f"{self.trials} trials: at least 1 is needed")
        require(self.seconds is None or self.seconds > 0, "the time must be positive")


@dataclass(frozen=True, slots=True)
class Standing:
    """The progress of a search.

    trained: networks trained by all processes.
    outside: networks that exceed a limit.
    epoch: epoch of the network that this process trains; 0: it is looking for one.
    best: best validation accuracy; None before the first result.
    """

    trained: int
    outside: int
    epoch: int
    best: float | None


class _TimeOver(Exception):
    """The time of this process is over."""


class _Enough(Exception):
    """Other processes took the last networks."""


@dataclass(slots=True)
class Search:
    """A study, and the data on which its networks are trained.

    price: the costs of a packed network.
    storage: URL of the study's database.
    watch: called on any change.

    Raises InputError for a base that is invalid or does not take the pictures, CheckFailed if no network is within the
    limits.
    """

    plan: SearchPlan
    data: Dataset
    price: Callable[[PackedNetwork], Costs]
    storage: str
    name: str = "search"
    watch: Callable[[Standing], None] = lambda standing: None
    space: Space = field(init=False)
    study: optuna.Study | None = field(init=False, default=None)
    interrupted: bool = field(init=False, default=False)
    _deadline: float = field(init=False, default=math.inf)
    _outside: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        shape = self.data.input_spec.shape
        self.space = Space((shape.height, shape.width))
        self._build(layers_of(self.plan.base, self._picture))
        text = self.space.smallest()
        exceeded = self.plan.limits.exceeded(self._costs(self._build(text)), _MARGIN)
        if exceeded:
            raise CheckFailed(f"even the smallest network, {text}, exceeds the limits: {exceeded}")

    def run(self) -> None:
        """Train networks until there are enough, the time is over, or Ctrl-C (`interrupted`). While other processes
        train, it waits for them: one may die and leave its network.

        Raises InputError for a database that cannot be used, or whose study is another search.
        """
        study = self.study = self._open()
        if self.plan.seconds is not None:
            self._deadline = time.monotonic() + self.plan.seconds
        try:
            with quiet():
                while not self._finished(study):
                    try:
                        study.optimize(self._try, n_trials=1)
                    except _Enough:
                        continue
                self._tell(0)
        except _TimeOver:
            pass
        except KeyboardInterrupt:
            self.interrupted = True
        except (SQLAlchemyError, StorageInternalError, AssertionError) as error:
            # If a trial cannot be ended in the database, one of Optuna's own assertions fails.
            if isinstance(error, AssertionError) and not isinstance(error.__context__, StorageInternalError):
                raise
            raise InputError(f"storage {self.storage} cannot be used any more; is its database gone?") from error

    def results(self) -> list[Tried]:
        """All networks with a result, by their number."""
        return [result(trial) for trial in results(self.study)] if self.study else []

    # ---- The queue. ----

    def _open(self) -> optuna.Study:
        plan, text = self.plan, layers_of(self.plan.base, self._picture)
        # In the first epochs the learning rate is highest, and accuracies mean little.
        study = open_study(self.storage, self.name, plan.recipe.seed, plan.recipe.epochs // 4, self._text)
        settings = {
            "data": f"{self.data.name}, {len(self.data.train)} images of {self.data.input_spec.shape}",
            "base": plan.base,
            "board": plan.board,
            **{f"limit of {name}": value for name, value in asdict(plan.limits).items()},
            **asdict(replace(plan.recipe, threads=1, workers=0)),
        }
        agree(study, settings, text, self.space.nearest(text))
        return study

    def _finished(self, study: optuna.Study) -> bool:
        """Whether there is nothing left to do here. Waits while others train the last networks."""
        while True:
            if time.monotonic() >= self._deadline or self._outside >= _MOST_OUTSIDE:
                return True
            optuna.storages.fail_stale_trials(study)
            trials = study.get_trials(deepcopy=False)
            if self.plan.trials is None or len(taken(trials)) < self.plan.trials:
                return False
            if not any(one.state is TrialState.RUNNING and "fits" in one.user_attrs for one in trials):
                return True
            self._tell(0)
            time.sleep(20 * _POLL)

    def _claim(self, trial: Trial, text: str) -> None:
        """Take a network from the queue, in the order of numbers, on which all processes agree without a lock."""
        trial.set_user_attr("fits", True)
        started = time.monotonic()
        while True:
            earlier = [one for one in trial.study.get_trials(deepcopy=False) if one.number < trial.number]
            if not any(map(is_open, earlier)) or time.monotonic() - started > _LONGEST_JUDGEMENT:
                break
            time.sleep(_POLL)
        # A network can enter the queue just before this trial got its number, and be trained after it.
        before = taken(earlier) | queued(earlier)
        if text in before:
            trial.set_user_attr("twin", True)
            raise optuna.TrialPruned
        if self.plan.trials is not None and len(before) >= self.plan.trials:
            raise _Enough

    # ---- One network. ----

    def _try(self, trial: Trial) -> float:
        options = {name: trial.suggest_int(name, 0, len(own) - 1) for name, own in self.space.choices.items()}
        text = trial.user_attrs.get("layers") or self.space.text(options)
        trial.set_user_attr("layers", text)
        self._tell(0)
        known = next((one for one in results(trial.study) if one.user_attrs["layers"] == text), None)
        if known is not None:
            self._outside += 1
            return _as_known(trial, known)
        costs = self._judge(trial, text)
        try:
            self._claim(trial, text)
            return self._train(trial, text, costs)
        except (KeyboardInterrupt, _TimeOver):
            again(trial.study, trial.study.get_trials(deepcopy=False)[trial.number])
            raise

    def _judge(self, trial: Trial, text: str) -> Costs:
        """The costs of a network before training. A network outside the limits ends here."""
        limits, module = self.plan.limits, self._build(text)
        least = _least(module)
        if limits.flash_bytes is not None and least > limits.flash_bytes:
            trial.set_user_attr("exceeds", f"flash at least {least:,} bytes of {limits.flash_bytes:,}")
            trial.set_constraint("flash_bytes", least / limits.flash_bytes - 1)
            self._end_outside()
        costs = self._costs(module)
        trial.set_user_attr("first_costs", asdict(costs))
        exceeded = limits.exceeded(costs, _MARGIN)
        if exceeded:
            trial.set_user_attr("costs", asdict(costs))
            trial.set_user_attr("exceeds", exceeded)
            _constrain(trial, limits.excess(costs, _MARGIN))
            self._end_outside()
        self._outside = 0
        return costs

    def _end_outside(self) -> None:
        self._outside += 1
        raise optuna.TrialPruned

    def _train(self, trial: Trial, text: str, costs: Costs) -> float:
        recipe, limits = self.plan.recipe, self.plan.limits
        # The test images are not used: even the final results are on training images.
        started = time.monotonic()

        def on_epoch(epoch: int, best: float) -> None:
            trial.report(best, epoch)
            self._tell(epoch)
            if time.monotonic() >= self._deadline:
                raise _TimeOver
            if trial.should_prune():
                trial.set_user_attr("costs", asdict(costs))
                trial.set_user_attr("seconds", round(time.monotonic() - started, 1))
                _constrain(trial, limits.excess(costs, _MARGIN))
                raise optuna.TrialPruned

        module = self._build(text)
        with tempfile.TemporaryDirectory(prefix="bitflow-search-") as folder:
            run = train(module, self.data, recipe, Path(folder), test=False, on_epoch=on_epoch)
        if run.interrupted:
            raise KeyboardInterrupt
        found = self._costs(module)
        trial.set_user_attr("costs", asdict(found))
        trial.set_user_attr("seconds", run.seconds)
        trial.set_user_attr("exceeds", limits.exceeded(found))
        _constrain(trial, limits.excess(found))
        return run.validation_accuracy

    @property
    def _picture(self) -> tuple[int, int, int]:
        shape = self.data.input_spec.shape
        return shape.height, shape.width, shape.channels

    def _build(self, text: str) -> nn.Sequential:
        torch.manual_seed(self.plan.recipe.seed)
        input_spec = self.data.input_spec
        return architectures.build(text, self._picture, len(self.data.class_names), input_spec.zero_point)

    def _text(self, options: Mapping[str, int]) -> str | None:
        """The network with these options; None if its weights alone are too large."""
        text, most = self.space.text(options), self.plan.limits.flash_bytes
        if most is not None:
            with torch.device("meta"):
                if _least(self._build(text)) > most:
                    return None
        return text

    def _costs(self, module: nn.Module) -> Costs:
        network = network_from_module(module, self._picture, dtype=self.data.input_spec.dtype)
        return self.price(pack(fuse(network)))

    def _tell(self, epoch: int) -> None:
        found = self.results()
        trained = [one for one in found if one.state != "outside"]
        best = max((one.accuracy for one in trained if one.accepted and one.accuracy is not None), default=None)
        self.watch(Standing(len(trained), len(found) - len(trained), epoch, best))


def _least(module: nn.Module) -> int:
    """The least flash that a network takes, bytes: its weights at one bit each, which are quick to count."""
    return BASE_BYTES + sum(value.numel() for value in module.parameters() if value.dim() > 1) // 8


def _as_known(trial: Trial, known: FrozenTrial) -> float:
    """The result of the same network from different choices: the sampler learns it, and nothing is trained."""
    trial.set_user_attr("twin", True)
    _constrain(trial, known.constraints)
    if known.state is not TrialState.COMPLETE or known.value is None:
        raise optuna.TrialPruned
    return known.value


def _constrain(trial: Trial, excess: Mapping[str, float]) -> None:
    for name, value in excess.items():
        trial.set_constraint(name, min(value, 1e6))
