"""Training: it repeats, resumes, keeps the best epoch, and writes files that are whole."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bitflow.errors import InputError
from bitflow.learn import architectures
from bitflow.learn.checkpoint import load_module
from bitflow.learn.data import Dataset, load_data
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.learn.run import run
from bitflow.learn.train import Result, train

QUICK = Recipe(epochs=3, batch=128)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two classes that a network learns at once: bright and dark pictures with noise."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = (random.integers(0, 120, (200, 8, 8)) + 120 * labels[:, None, None]).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x=images, y=labels)
    return f"npz:{path}"


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_module(folder / "model.pt")[0].state_dict())


def equal(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


def test_equal_seeds_must_give_equal_networks(tmp_path: Path, small: str) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run(small, "bitflow-tiny", replace(QUICK, seed=seed), tmp_path / name)
    assert equal(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not equal(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_a_resumed_run_must_equal_one_that_never_stopped(tmp_path: Path, small: str) -> None:
    run(small, "bitflow-tiny", QUICK, tmp_path / "whole")

    def stop(epoch: int, best: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    _, _, cut = run(small, "bitflow-tiny", QUICK, tmp_path / "cut", on_epoch=stop)
    assert (cut.interrupted, cut.epochs) == (True, 2)
    _, _, rest = run(small, "bitflow-tiny", QUICK, tmp_path / "cut", resume=True)
    assert (rest.interrupted, rest.epochs) == (False, 3)
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert len((tmp_path / "cut" / "training" / "metrics.csv").read_text().splitlines()) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"average": 0.9, "norm_images": 100, "schedule": "linear", "warmup": 1.0},
        {"float_weights": 0.4, "estimator": "bireal"},
        {"rotate": 10.0, "stretch": 0.1, "flip": True, "cutout": 3},
        {"precision": "bfloat16", "label_smoothing": 0.1},
    ],
)
def test_each_setting_must_matter_and_resume_exactly(tmp_path: Path, small: str, change: dict[str, Any]) -> None:
    recipe = replace(QUICK, epochs=4, precision="float32")
    run(small, "bitflow-tiny", recipe, tmp_path / "plain")
    run(small, "bitflow-tiny", replace(recipe, **change), tmp_path / "whole")

    def stop(epoch: int, best: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    run(small, "bitflow-tiny", replace(recipe, **change), tmp_path / "cut", on_epoch=stop)
    run(small, "bitflow-tiny", replace(recipe, **change), tmp_path / "cut", resume=True)
    assert not equal(weights(tmp_path / "plain"), weights(tmp_path / "whole"))
    assert equal(weights(tmp_path / "cut"), weights(tmp_path / "whole"))


def test_a_loss_that_is_no_number_must_be_said(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitflow.learn.train._temperature", lambda module: float("inf"))
    with pytest.raises(InputError, match="a smaller learning_rate"):
        run(small, "bitflow-tiny", QUICK, tmp_path)


def test_the_test_part_must_not_be_judged_unasked(tmp_path: Path, small: str) -> None:
    data = load_data(small)
    module = architectures.build("bitflow-tiny", (8, 8, 1), 2)
    result = train(module, data, replace(QUICK, epochs=1), tmp_path, test=False)
    assert result.test_accuracy is None
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] is None


def test_page_and_events_must_be_written(tmp_path: Path, small: str) -> None:
    said: list[str] = []
    result = run(small, "bitflow-tiny", QUICK, tmp_path, tensorboard=True, page=True, on_remark=said.append)[2]
    assert list((tmp_path / "training" / "tensorboard").glob("events.*"))
    page = tmp_path / "training" / "training.html"
    assert said[-1] == f"wrote {page}"
    assert f"{result.test_accuracy:.2%}" in page.read_text()
    assert len((tmp_path / "training" / "metrics.csv").read_text().splitlines()) == QUICK.epochs + 1


def test_without_matplotlib_the_model_must_be_whole(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    _, facts, result = run(small, "bitflow-tiny", QUICK, tmp_path, page=True, on_remark=said.append)
    assert said[-1].startswith("no page of the run: matplotlib is not installed")
    assert result.epochs == QUICK.epochs
    assert load_module(tmp_path / "model.pt")[1] == facts
    assert not (tmp_path / "training" / "training.html").exists()


def test_a_page_must_not_load_the_data_again(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(data: str, size: tuple[int, ...] | None) -> Dataset:
        loaded.append(data)
        return load_data(data, size)

    monkeypatch.setattr("bitflow.learn.run.load_data", load)
    run(small, "bitflow-tiny", replace(QUICK, epochs=1), tmp_path, page=True)
    assert loaded == [small]


def test_an_interrupt_before_the_first_epoch_must_leave_no_model(tmp_path: Path, small: str) -> None:
    def stop(self: object, *_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bitflow.learn.train._epoch", stop)
        run(small, "bitflow-tiny", QUICK, tmp_path)
    assert not (tmp_path / "model.pt").exists()


def test_the_result_must_be_written(tmp_path: Path, small: str) -> None:
    _, facts, result = run(small, "bitflow-tiny", QUICK, tmp_path, name="light")
    assert result.test_accuracy > 0.9
    assert json.loads((tmp_path / "training" / "metrics.json").read_text()) == result.facts()
    assert load_module(tmp_path / "model.pt")[1] == facts
    assert (facts.name, facts.labels) == ("light", ("0", "1"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.pt", "training"]


def test_resume_must_refuse_another_run(tmp_path: Path, small: str) -> None:
    with pytest.raises(InputError, match="nothing to resume"):
        run(small, "bitflow-tiny", QUICK, tmp_path, resume=True)
    run(small, "bitflow-tiny", QUICK, tmp_path)
    with pytest.raises(InputError, match="another run"):
        run(small, "bitflow-tiny", replace(QUICK, seed=9), tmp_path, resume=True)
    (tmp_path / "training" / "last.pt").write_bytes(b"PK\3\4 torn")
    with pytest.raises(InputError, match="damaged"):
        run(small, "bitflow-tiny", QUICK, tmp_path, resume=True)


@pytest.mark.parametrize("keep", [0, 1, 100, 5000])
def test_a_damaged_model_must_be_refused(tmp_path: Path, small: str, keep: int) -> None:
    run(small, "bitflow-tiny", replace(QUICK, epochs=1), tmp_path)
    path = tmp_path / "model.pt"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"model\.pt"):
        load_module(path)


@pytest.mark.parametrize("content", [3, {"kind": "model"}, {"kind": "model", "format": 1}, {"format": 1}])
def test_a_model_that_contradicts_itself_must_be_refused(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "model.pt")
    with pytest.raises(InputError, match=r"model\.pt"):
        load_module(tmp_path / "model.pt")


class Hostile:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (exec, ("raise SystemExit('it ran')",))


def test_a_model_file_must_not_run_code(tmp_path: Path) -> None:
    torch.save({"kind": "model", "format": 1, "name": Hostile()}, tmp_path / "model.pt")
    with pytest.raises(InputError, match="damaged"):
        load_module(tmp_path / "model.pt")


def test_architectures_must_refuse_what_they_cannot_be() -> None:
    with pytest.raises(InputError, match="did you mean bitflow-lenet"):
        architectures.build("bitflow-lenett", (28, 28, 1), 10)
    with pytest.raises(InputError, match="as small as 2x2"):
        architectures.build("bitflow-lenet", (2, 2, 1), 10)


@pytest.mark.parametrize("change", [{"epochs": 0}, {"batch": 1}, {"learning_rate": 0.0}, {"validation": 1.0}])
def test_senseless_recipes_must_be_refused(change: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(change))):
        replace(Recipe(), **change)  # type: ignore[arg-type]


def test_digits_must_reach_96_percent(tmp_path: Path) -> None:
    result: Result = run("digits", "bitflow-tiny", replace(recipe_for("bitflow-tiny"), epochs=20), tmp_path)[2]
    assert result.test_accuracy >= 0.96
