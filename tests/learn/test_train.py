"""Training: it repeats, resumes, keeps the best epoch, and writes files that are whole."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bitflow.errors import InputError
from bitflow.learn.data.sources import Dataset, load_data
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import Recipe, recipe_for
from bitflow.learn.training.checkpoint import load_module
from bitflow.learn.training.run import run
from bitflow.learn.training.train import Result, train
from bitflow.show.training_run import draw

QUICK = Recipe(epochs=3, batch=128)


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
        {"optimiser": "bop", "flip_rate": 0.1},
        {"teacher": "conv3x3:8/pool2", "teacher_epochs": 2},
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


def test_a_run_in_pieces_of_time_must_equal_one_that_never_stopped(
    tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each piece is over at its first look at the clock, within an epoch of nine steps."""
    recipe = Recipe(epochs=2, batch=16, average=0.9, norm_images=100, rotate=10, teacher_epochs=1)
    recipe = replace(recipe, teacher="conv3x3:8/pool2")
    run(small, "bitflow-tiny", recipe, tmp_path / "whole")
    monkeypatch.setattr("bitflow.learn.training.train._LOOK", 4)
    pieces = []
    while not pieces or pieces[-1].interrupted:
        pieces.append(run(small, "bitflow-tiny", recipe, tmp_path / "cut", resume=bool(pieces), seconds=0)[2])
        assert (tmp_path / "cut" / "model.pt").exists() == bool(pieces[-1].best_epoch)
    # Three looks an epoch, of the teacher's one and the network's two; none ends behind the last step of either.
    assert len(pieces) == 8, [piece.epochs for piece in pieces]
    assert pieces[0].best_epoch == 0
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    lines = [(tmp_path / name / "training" / "metrics.csv").read_text().splitlines() for name in ("whole", "cut")]
    whole, cut = ([line.rpartition(",")[0] for line in found] for found in lines)  # but for the seconds
    assert whole == cut


def test_a_long_epoch_must_be_saved_before_its_end(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = Recipe(epochs=1, batch=16, shift=2)
    run(small, "bitflow-tiny", recipe, tmp_path / "whole")
    monkeypatch.setattr("bitflow.learn.training.train._INTERVAL", 0.0)
    monkeypatch.setattr("bitflow.learn.training.train._LOOK", 4)

    def stop(epochs: float, best: float) -> None:
        if epochs > 0.5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(small, "bitflow-tiny", recipe, tmp_path / "cut", on_step=stop)
    steps = []
    run(small, "bitflow-tiny", recipe, tmp_path / "cut", resume=True, on_step=lambda done, _: steps.append(done))
    assert 0.4 < steps[0] < 0.6
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))


def test_bop_must_keep_weights_binary_and_learn(tmp_path: Path, small: str) -> None:
    recipe = replace(QUICK, epochs=8, batch=32, optimiser="bop", flip_rate=0.01, flip_threshold=1e-6)
    module, _, result = run(small, "bitflow-tiny", recipe, tmp_path)
    assert set(module[0].weight.detach().unique().tolist()) == {-1.0, 1.0}
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.9


def test_a_teacher_must_be_what_is_followed(tmp_path: Path, small: str) -> None:
    """With its whole share of the loss, a teacher that is sure of the wrong labels is believed, not the labels."""

    class Wrong(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            bright = images.mean(dim=(1, 2, 3)) > 120
            return torch.stack([bright, ~bright], 1) * 20.0

    module = architectures.build("bitflow-tiny", (8, 8, 1), 2)
    recipe = replace(QUICK, epochs=6, batch=32, teacher_share=1.0)
    assert train(module, load_data(small), recipe, tmp_path, teacher=Wrong()).test_accuracy == 0.0


@pytest.mark.long
@pytest.mark.skipif(" " in torch.__file__, reason="torch.compile does not link where torch's path has a space")
def test_compiled_training_must_learn_and_fuse_alike(tmp_path: Path, small: str) -> None:
    module, _, result = run(small, "conv3x3:8/pool2", replace(QUICK, compile=True), tmp_path)
    assert result.test_accuracy is not None
    assert result.test_accuracy > 0.9
    assert "_orig_mod" not in "".join(module.state_dict())


def test_a_training_that_fails_must_be_said_once(tmp_path: Path, small: str) -> None:
    said: list[str] = []
    data = load_data(small)
    alike = replace(data, train=replace(data.train, images=np.zeros_like(data.train.images)))
    module = architectures.build("bitflow-tiny", (8, 8, 1), 2)
    train(module, alike, replace(QUICK, epochs=8), tmp_path, on_remark=said.append)
    assert len(said) == 1
    assert "nothing is learned in 5 epochs" in said[0]


def test_a_loss_that_is_no_number_must_be_said(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bitflow.learn.training.train._temperature", lambda module: float("inf"))
    with pytest.raises(InputError, match="a smaller learning_rate"):
        run(small, "bitflow-tiny", QUICK, tmp_path)


def test_the_test_part_must_not_be_judged_unasked(tmp_path: Path, small: str) -> None:
    data = load_data(small)
    module = architectures.build("bitflow-tiny", (8, 8, 1), 2)
    result = train(module, data, replace(QUICK, epochs=1), tmp_path, test=False)
    assert result.test_accuracy is None
    assert json.loads((tmp_path / "metrics.json").read_text())["test_accuracy"] is None


def drawn(folder: Path, said: list[str]) -> Callable[[Dataset, nn.Module, Result], None]:
    """What draws the page of a run when its model is saved."""
    return lambda dataset, module, result: draw(folder / "training", dataset, module, result, said.append)


def test_page_and_events_must_be_written(tmp_path: Path, small: str) -> None:
    said: list[str] = []
    result = run(small, "bitflow-tiny", QUICK, tmp_path, tensorboard=True, on_saved=drawn(tmp_path, said))[2]
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
    _, facts, result = run(small, "bitflow-tiny", QUICK, tmp_path, on_saved=drawn(tmp_path, said))
    assert said[-1].startswith("no page of the run: matplotlib is not installed")
    assert result.epochs == QUICK.epochs
    assert load_module(tmp_path / "model.pt")[1] == facts
    assert not (tmp_path / "training" / "training.html").exists()


def test_a_page_must_not_load_the_data_again(tmp_path: Path, small: str, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[str] = []

    def load(data: str, size: tuple[int, ...] | None) -> Dataset:
        loaded.append(data)
        return load_data(data, size)

    monkeypatch.setattr("bitflow.learn.training.run.load_data", load)
    run(small, "bitflow-tiny", replace(QUICK, epochs=1), tmp_path, on_saved=drawn(tmp_path, []))
    assert loaded == [small]


def test_an_interrupt_before_the_first_epoch_must_leave_no_model(tmp_path: Path, small: str) -> None:
    def stop(self: object, *_: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("bitflow.learn.training.train._epoch", stop)
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
