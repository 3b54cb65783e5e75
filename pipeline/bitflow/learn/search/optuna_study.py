"""The study of a search: the database of its networks and their results, shared by any number of processes.

A trial is one network. Its attributes:

layers: its description.
base: the search began with it.
fits: it is within the limits and will be trained.
twin: an earlier trial has the same network.
first_costs, costs, exceeds: as in `learn.search.pareto.Tried`.
seconds: time of its training.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.search.pareto import Costs, State, Tried

__all__ = ["again", "agree", "is_open", "open_study", "queued", "quiet", "result", "results", "taken"]

# Random networks that are trained before the sampler learns from them; it starts earlier after this many in a row
# outside the limits, from which it learns where the limits are.
_RANDOM, _ROW = 6, 60
# Every second proposal is a changed version of one of this many best networks.
_BEST = 5
# Attempts at changing a network until it is new.
_CHANGES = 400
Text = Callable[[Mapping[str, int]], str | None]

# Networks that must be fully trained before a median means anything.
_RUNS_BEFORE_STOPPING = 4
# Seconds. A process without a heartbeat for _DEAD no longer trains its network.
_HEARTBEAT, _DEAD = 10, 60
_ATTEMPTS = 4  # at opening a database


def open_study(url: str, name: str, seed: int, warmup: int, text: Text) -> optuna.Study:
    """The study with a name in a database; created if there is none.

    warmup: epochs before which no training is stopped.
    text: the network that the options of each choice stand for; None if it is certainly outside the limits.

    Raises InputError for a database that cannot be used.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for attempt in range(_ATTEMPTS):
        try:
            return _opened(url, name, seed, warmup, text)
        except (SQLAlchemyError, ImportError, RuntimeError, ValueError) as error:
            # If several processes create the same database at once, some find it incomplete.
            if attempt + 1 < _ATTEMPTS and isinstance(error, DBAPIError | RuntimeError):
                time.sleep(0.2 * 2**attempt)
                continue
            first = str(error).strip().splitlines()[0]
            raise InputError(f"storage {url} cannot be used ({first[:120]})") from error
    raise AssertionError("the last attempt returns or raises")


def _opened(url: str, name: str, seed: int, warmup: int, text: Text) -> optuna.Study:
    patience: dict[str, Any] = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    with quiet():
        storage = optuna.storages.RDBStorage(
            url,
            engine_kwargs=patience,
            heartbeat_interval=_HEARTBEAT,
            grace_period=_DEAD,
            heartbeat_stale_trial_callback=again,
        )
        if storage.engine.dialect.name == "sqlite":
            _serialise(storage.engine)
        return optuna.create_study(
            storage=storage,
            sampler=_Sampler(seed, text),
            pruner=optuna.pruners.MedianPruner(_RUNS_BEFORE_STOPPING, n_warmup_steps=warmup),
            study_name=name,
            direction="maximize",
            load_if_exists=True,
        )


def _serialise(engine: Engine) -> None:
    """Let each transaction take SQLite's lock before it reads: Optuna's SELECT ... FOR UPDATE takes none there, and two
    processes could take the same network from the queue.
    """

    @event.listens_for(engine, "connect")
    def leave_transactions_to_us(connection: DBAPIConnection, _: object) -> None:
        connection.isolation_level = None

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    engine.dispose()  # connections that Optuna opened before


def agree(study: optuna.Study, settings: Mapping[str, Any], base: str, options: Mapping[str, int]) -> None:
    """Check that all processes of a study search for the same; the first one puts the base into the queue.

    options: those nearest to the base. Raises InputError where the study has other settings.
    """
    known = study.user_attrs.get("settings")
    if known is None:
        study.set_user_attr("settings", dict(settings))
        study.enqueue_trial(dict(options), user_attrs={"layers": base, "base": True}, skip_if_exists=True)
        return
    for key in {**known, **settings}:
        require(
            known.get(key) == settings.get(key),
            f"study {study.study_name!r} has {key} {known.get(key)}, not {settings.get(key)}; "
            "search in another folder, or under another --study",
        )


class _Sampler(BaseSampler):
    """Random networks at first, then in turn TPE's proposals and changes of the best. A proposal that is known,
    or surely outside, is changed until it is neither: TPE alone would propose the same few for ever.

    Its state is reset for each trial and seeded by its number, so that processes that share or resume a study never use
    the same random numbers.
    """

    def __init__(self, seed: int, text: Text) -> None:
        self._seed, self._text = seed, text
        self._begin(0)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        self._begin(trial.number)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._model.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if not search_space:
            return {}
        earlier = [one for one in study.get_trials(deepcopy=False) if one.number < trial.number]
        known = {one.user_attrs.get("layers") for one in earlier}
        row = next((n for n, one in enumerate(reversed(earlier)) if "fits" in one.user_attrs), len(earlier))
        if len(taken(earlier)) < _RANDOM and row < _ROW:
            return self._new(lambda strength: self._random(search_space), known)
        best = sorted((one for one in results(study) if one.value is not None), key=lambda one: -(one.value or 0))
        options = best[self._chance.integers(min(_BEST, len(best)))].params if best and trial.number % 2 else None
        if options is None or options.keys() != search_space.keys():
            options = self._model.sample_relative(study, trial, search_space)
        return self._new(lambda strength: self._changed(options, search_space, strength), known)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._independent.sample_independent(study, trial, param_name, param_distribution)

    def _new(self, propose: Callable[[int], dict[str, int]], known: Set[str | None]) -> dict[str, int]:
        """The first proposal with an unknown network, else the last one. The strength of the changes grows from 0."""
        for attempt in range(_CHANGES):
            options = propose(-(-attempt // 20))
            text = self._text(options)
            if text is not None and text not in known:
                break
        return options

    def _random(self, space: Mapping[str, BaseDistribution]) -> dict[str, int]:
        return {name: int(self._chance.integers(low, high + 1)) for name, (low, high) in _limits(space).items()}

    def _changed(
        self, options: Mapping[str, int], space: Mapping[str, BaseDistribution], strength: int
    ) -> dict[str, int]:
        """Up to `strength` choices changed, each by up to `strength` steps."""
        found = dict(options)
        if strength:
            count = self._chance.integers(1, min(strength, len(found)) + 1)
            for name in self._chance.choice(sorted(found), count, replace=False):
                low, high = _limits(space)[name]
                step = int(self._chance.integers(-strength, strength + 1))
                found[name] = min(max(found[name] + step, low), high)
        return found

    def _begin(self, number: int) -> None:
        # A prime, so that trials of different seeds do not share seeds.
        seed = (self._seed * 1_000_003 + number) % 2**32
        self._model = TPESampler(n_startup_trials=1, multivariate=True, seed=seed)
        self._independent = RandomSampler(seed=seed)
        self._chance = np.random.default_rng(seed)


def _limits(space: Mapping[str, BaseDistribution]) -> dict[str, tuple[int, int]]:
    return {name: (own.low, own.high) for name, own in space.items() if isinstance(own, IntDistribution)}


def again(study: optuna.Study, trial: FrozenTrial) -> None:
    """Put a network whose training was interrupted back into the queue."""
    kept: dict[str, Any] = {key: trial.user_attrs[key] for key in ("layers", "base") if key in trial.user_attrs}
    if "fits" in trial.user_attrs or "base" in kept:
        study.enqueue_trial(trial.params, user_attrs=kept)


def taken(trials: Sequence[FrozenTrial]) -> set[str]:
    """The networks that were or are trained."""
    live = (TrialState.RUNNING, TrialState.COMPLETE, TrialState.PRUNED)
    chosen = [one.user_attrs for one in trials if one.state in live]
    return {facts["layers"] for facts in chosen if "fits" in facts and "twin" not in facts}


def queued(trials: Sequence[FrozenTrial]) -> set[str]:
    """The networks that wait to be trained."""
    return {one.user_attrs["layers"] for one in trials if one.state is TrialState.WAITING}


def is_open(trial: FrozenTrial) -> bool:
    """Whether it is not yet decided if a trial trains."""
    return trial.state is TrialState.RUNNING and "fits" not in trial.user_attrs


def results(study: optuna.Study) -> list[FrozenTrial]:
    """The trials that ended with a result, each network once."""
    return [one for one in study.get_trials(deepcopy=False) if _is_result(one)]


def _is_result(trial: FrozenTrial) -> bool:
    judged = "exceeds" in trial.user_attrs or "costs" in trial.user_attrs
    return trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and judged and "twin" not in trial.user_attrs


def result(trial: FrozenTrial) -> Tried:
    """The result of a trial that has one."""
    facts = trial.user_attrs
    state: State = "trained" if trial.state is TrialState.COMPLETE else "stopped" if "fits" in facts else "outside"
    steps = trial.intermediate_values
    return Tried(
        trial.number,
        facts["layers"],
        state,
        trial.value if state == "trained" else steps[max(steps)] if steps else None,
        Costs(**facts["costs"]) if "costs" in facts else None,
        facts.get("exceeds", ""),
        facts.get("base", False),
        facts.get("seconds", 0.0),
        Costs(**facts["first_costs"]) if "first_costs" in facts else None,
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Silence Optuna's warnings: heartbeats and multivariate sampling have been experimental for years."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
