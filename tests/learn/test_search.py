"""The search: what is outside is not trained, test images are not looked at, no network is lost or trained twice."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest

from bitflow.boards import board
from bitflow.errors import CheckFailed, InputError
from bitflow.ir import PackedNetwork
from bitflow.learn.data.dataset import Dataset, Split, assemble
from bitflow.learn.recipe import Recipe
from bitflow.learn.search import optuna_study as study
from bitflow.learn.search import search as searching
from bitflow.learn.search.pareto import Costs, Limits, winner
from bitflow.learn.search.search import Search, SearchPlan, Standing
from bitflow.learn.training.train import Result
from bitflow.planner.for_board import plan_for
from bitflow.show.report import report

BASE = "conv3x3:8/stride2 conv3x3:8"
PLAN = SearchPlan(BASE, Recipe(epochs=1, batch=64), Limits(), "stm32f4", trials=3)


def pictures() -> Dataset:
    """Two classes that a network learns at once."""
    labels = np.arange(120) % 2
    noise = np.random.default_rng(0).integers(0, 120, (120, 8, 8, 1))
    split = Split((noise + 120 * labels[:, None, None, None]).astype(np.uint8), labels)
    return assemble("small", split, split.take(np.arange(10)), ("dark", "bright"))


def price(network: PackedNetwork) -> Costs:
    """By size alone: quick, and the same for equal shapes."""
    return Costs(sum(layer.weights_bytes for layer in network.layers), 100, 1000, 1.0)


def searched(folder: Path, plan: SearchPlan = PLAN, **other: Any) -> Search:
    options: dict[str, Any] = {"data": pictures(), "price": price, **other}
    return Search(plan, storage=f"sqlite:///{folder / 'search.db'}", **options)


def interrupt_at(epoch: int, trained: int) -> Callable[[Standing], None]:
    def watch(now: Standing) -> None:
        if (now.epoch, now.trained) == (epoch, trained):
            raise KeyboardInterrupt

    return watch


def test_what_is_outside_must_not_be_trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained: list[int] = []
    original = searching.train

    def counted(module: Any, *arguments: Any, **options: Any) -> Any:
        trained.append(sum(value.numel() for value in module.parameters() if value.dim() > 1))
        return original(module, *arguments, **options)

    monkeypatch.setattr(searching, "train", counted)

    def dear(network: PackedNetwork) -> Costs:
        """So that weights alone do not tell that a network is outside."""
        return replace(price(network), flash_bytes=3 * price(network).flash_bytes)

    found = searched(tmp_path, replace(PLAN, limits=Limits(flash_bytes=12000)), price=dear)
    found.run()
    outside = [one for one in found.results() if one.state == "outside"]
    assert outside
    assert all("flash" in one.exceeds and one.accuracy is None for one in outside)
    assert len(trained) == len(found.results()) - len(outside) == 3
    assert max(trained) <= 8 * 4000
    assert (found.results()[0].layers, found.results()[0].base) == (BASE, True)


@pytest.mark.long
def test_no_network_must_be_proposed_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The more weights the better, so that all proposals crowd where the limit is."""

    def heavy(module: Any, *_: Any, on_epoch: Callable[[int, float], None], **__: Any) -> Result:
        found = sum(value.numel() for value in module.parameters()) / 1e6
        on_epoch(1, found)
        return Result(1, 1, found, None, 0.0, False)

    monkeypatch.setattr(searching, "train", heavy)
    found = searched(tmp_path, replace(PLAN, trials=20, limits=Limits(flash_bytes=9000)))
    found.run()
    assert found.study is not None
    twins = [one for one in found.study.trials if "twin" in one.user_attrs]
    assert len(twins) <= 2
    trained = [one for one in found.results() if one.state != "outside"]
    assert len({one.layers for one in trained}) == len(trained) == 20
    values = [one.accuracy or 0 for one in trained]
    assert sum(values[10:]) > 1.1 * sum(values[:10]), "it learns"


def test_costs_must_be_those_of_the_report(tmp_path: Path) -> None:
    target = board("stm32f4")

    def planned(network: PackedNetwork) -> Costs:
        found = report(network, target.name, plan_for(network, target))
        return Costs(found.flash_bytes, found.ram_bytes, found.instructions, None)

    found = searched(tmp_path, replace(PLAN, trials=1), price=planned)
    found.run()
    (only,) = found.results()
    assert only.costs is not None
    assert only.first_costs is not None
    assert only.costs.ram_bytes == only.first_costs.ram_bytes
    assert only.costs.instructions == pytest.approx(only.first_costs.instructions, rel=0.02)
    assert winner([only]) == only


def test_limits_must_hold_after_training(tmp_path: Path) -> None:
    grown: dict[str, int] = {}

    def growing(network: PackedNetwork) -> Costs:
        shapes = str([(layer.source, layer.target, layer.taps) for layer in network.layers])
        grown[shapes] = grown.get(shapes, 0) + 1
        # The base has the smallest network's shapes, which the search asks for first.
        return Costs(1000 if grown[shapes] < 2 or len(grown) == 1 else 9000, 100, 1000, 1.0)

    base = "conv5x5:8 conv3x3:8 conv3x3:8"
    found = searched(tmp_path, replace(PLAN, base=base, trials=1, limits=Limits(5000)), price=growing)
    found.run()
    (only,) = found.results()
    assert (only.state, only.exceeds) == ("trained", "flash 9,000 bytes of 5,000")
    assert only.first_costs == Costs(1000, 100, 1000, 1.0)
    assert winner([only]) is None


def test_the_test_images_must_not_be_looked_at(tmp_path: Path) -> None:
    class Hidden:
        dtype, shape = np.dtype(np.uint8), (10, 8, 8, 1)

        def __len__(self) -> int:
            return 10

        def __getitem__(self, _: object) -> object:
            raise AssertionError("a test image was looked at")

        take = __getitem__

    data = pictures()
    hidden = replace(data, test=Split(Hidden(), data.test.labels))  # type: ignore[arg-type]
    found = searched(tmp_path, replace(PLAN, trials=1), data=hidden)
    found.run()
    assert len(found.results()) == 1


def test_a_search_that_was_stopped_must_go_on(tmp_path: Path) -> None:
    first = searched(tmp_path, watch=interrupt_at(epoch=1, trained=1))
    first.run()
    assert first.interrupted
    assert len(first.results()) == 1
    second = searched(tmp_path)
    second.run()
    results = second.results()
    assert results[0] == first.results()[0]
    assert len(results) == len({one.layers for one in results}) == 3
    assert second.study is not None
    states = [one.state for one in second.study.trials]
    assert states.count(optuna.trial.TrialState.FAIL) == 1
    assert optuna.trial.TrialState.RUNNING not in states
    cut = next(one for one in second.study.trials if one.state is optuna.trial.TrialState.FAIL)
    assert cut.user_attrs["layers"] in {one.layers for one in results}
    third = searched(tmp_path)
    third.run()
    assert third.results() == results


def test_time_must_end_a_search(tmp_path: Path) -> None:
    found = searched(tmp_path, replace(PLAN, trials=None, seconds=1e-6))
    found.run()
    assert found.results() == []
    assert not found.interrupted


def test_equal_seeds_must_propose_equal_networks(tmp_path: Path) -> None:
    texts = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        (tmp_path / name).mkdir()
        found = searched(tmp_path / name, replace(PLAN, trials=2, recipe=replace(PLAN.recipe, seed=seed)))
        found.run()
        texts.append([one.layers for one in found.results()])
    assert texts[0] == texts[1] != texts[2]


@pytest.mark.parametrize(
    ("other", "message"),
    [({"limits": Limits(9000)}, "limit of flash_bytes None, not 9000"), ({"board": "rp2040"}, "has board stm32f4")],
)
def test_another_search_must_not_mix_with_a_study(tmp_path: Path, other: dict[str, Any], message: str) -> None:
    searched(tmp_path, replace(PLAN, trials=1)).run()
    with pytest.raises(InputError, match=message):
        searched(tmp_path, replace(PLAN, **other)).run()


def test_limits_that_nothing_keeps_must_be_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="even the smallest network"):
        searched(tmp_path, replace(PLAN, limits=Limits(flash_bytes=10)))
    with pytest.raises(InputError, match="cannot be used"):
        Search(PLAN, pictures(), price, "nothing://at/all").run()


def test_a_database_that_goes_away_must_be_said(tmp_path: Path) -> None:
    def move(now: Standing) -> None:
        if now.trained == 1:
            (tmp_path / "search.db").replace(tmp_path / "moved.db")

    with pytest.raises(InputError, match=r"sqlite:.*search\.db cannot be used any more"):
        searched(tmp_path, watch=move).run()


def test_a_network_of_a_dead_process_must_be_trained_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study, "_HEARTBEAT", 1)
    monkeypatch.setattr(study, "_DEAD", 1)
    begun = f"""
        import os
        from tests.learn import test_search as own
        own.study._HEARTBEAT = own.study._DEAD = 1
        own.searching.train = lambda *a, **b: os._exit(9)
        own.searched(own.Path({str(tmp_path)!r})).run()
    """
    assert _python(begun).wait() == 9
    found = searched(tmp_path, replace(PLAN, trials=1))
    found.run()
    assert [(one.layers, one.state, one.base) for one in found.results()] == [(BASE, "trained", True)]


def test_two_processes_must_share_a_study(tmp_path: Path) -> None:
    # Each waits in its first training until the other one trains, too.
    code = """
        import time
        from tests.learn import test_search as own
        folder, name, other = own.Path({folder!r}), {name!r}, {other!r}
        original, done = own.searching.train, []
        def train(*arguments, **options):
            done.append(1)
            (folder / name).touch()
            limit = time.monotonic() + 300
            while not (folder / other).exists() and time.monotonic() < limit:
                time.sleep(0.01)
            return original(*arguments, **options)
        own.searching.train = train
        found = own.searched(folder, own.replace(own.PLAN, trials=5))
        found.run()
        print(len(done), sorted(one.number for one in found.results()))
    """
    names = (("a", "b"), ("b", "a"))
    both = [_python(code.format(folder=str(tmp_path), name=name, other=other)) for name, other in names]
    says = [process.communicate(timeout=600)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    counts = [int(text.split()[0]) for text in says]
    assert min(counts) >= 1
    assert sum(counts) == 5
    assert says[0].split(maxsplit=1)[1] == says[1].split(maxsplit=1)[1]
    found = searched(tmp_path, replace(PLAN, trials=5))
    found.run()
    assert len({one.layers for one in found.results()}) == len(found.results()) == 5


def test_two_processes_must_not_take_the_same_network_from_the_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    studies = [searched(tmp_path)._open() for _ in range(2)]
    both = threading.Barrier(2)

    def wait_for_the_other(*arguments: object) -> None:
        with contextlib.suppress(threading.BrokenBarrierError):  # it cannot come: this one holds the lock
            both.wait(2)

    # Optuna calls this between reading and writing.
    monkeypatch.setattr(optuna.storages.RDBStorage, "check_trial_is_updatable", wait_for_the_other)
    with ThreadPoolExecutor(2) as pool:
        numbers = [trial.number for trial in pool.map(lambda study: study.ask(), studies)]
    assert sorted(numbers) == [0, 1]


def test_a_network_that_just_entered_the_queue_must_be_trained_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    look, entered = optuna.Study._pop_waiting_trial_id, "conv3x3:16/stride2 conv3x3:8"

    def look_too_early(own: optuna.Study) -> int | None:
        found = look(own)
        if found is None and len(own.trials) == 1:
            own.enqueue_trial(own.trials[0].params, user_attrs={"layers": entered})
        return found

    monkeypatch.setattr(optuna.Study, "_pop_waiting_trial_id", look_too_early)
    found = searched(tmp_path, replace(PLAN, trials=2))
    found.run()
    assert [(one.number, one.layers) for one in found.results()] == [(0, BASE), (1, entered)]


def _python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)


def test_more_changes_than_choices_must_not_fail() -> None:
    sampler = study._Sampler(1, lambda options: None)
    assert 0 <= sampler._changed({"depth": 0}, {"depth": optuna.distributions.IntDistribution(0, 3)}, 20)["depth"] <= 3
