"""Training of networks whose accumulators give several bits: it resumes exactly, and fuses exactly what was trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.learn.test_train import equal, weights

import bitflow
from bitflow.importers.torch.module import network_from_module
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.evaluate import copied, predict, renew_norms
from bitflow.learn.training.run import run
from bitflow.nn import Thermometer, clip_latent

TEXT = "conv3x3:8/t3 conv3x3:8/pool2/t2 res3x3:8/t3 dense:16/t2"
QUICK = Recipe(epochs=3, batch=64, precision="float32")


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"average": 0.9, "norm_images": 100},
        {"float_weights": 0.4, "estimator": "polynomial"},
        {"precision": "bfloat16"},
        {"optimiser": "bop", "flip_rate": 0.1},
        {"teacher": TEXT, "teacher_epochs": 1},
    ],
    ids=str,
)
def test_a_run_must_resume_exactly_and_fuse_exactly(tmp_path: Path, small: str, change: dict[str, Any]) -> None:
    recipe = replace(QUICK, **change)
    module, _, result = run(small, TEXT, recipe, tmp_path / "whole")

    def stop(epoch: int, best: float) -> None:
        if epoch == 2:
            raise KeyboardInterrupt

    run(small, TEXT, recipe, tmp_path / "cut", on_epoch=stop)
    run(small, TEXT, recipe, tmp_path / "cut", resume=True)
    assert equal(weights(tmp_path / "whole"), weights(tmp_path / "cut"))
    assert result.test_accuracy is not None
    torch.manual_seed(recipe.seed)
    fresh = dict(architectures.build(TEXT, (8, 8, 1), 2).named_parameters())
    for name, value in module.named_parameters():
        assert not torch.equal(value, fresh[name]), f"{name} does not learn"
    for part in module.modules():
        if isinstance(part, Thermometer):
            assert part.estimator == recipe.estimator
    assert [layer.thresholds for layer in network_from_module(module, (8, 8, 1)).layers] == [3, 1, 2, 1, 3, 2, 1]
    images = np.concatenate([np.asarray(load_data(small).train.images), random_images()])
    assert np.array_equal(bitflow.fuse(module, input_shape=(8, 8, 1)).predict(images), predict(module, images))


def random_images() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (200, 8, 8, 1)).astype(np.uint8)


def test_shifts_must_be_neither_clipped_nor_renewed(small: str) -> None:
    module = architectures.build(TEXT, (8, 8, 1), 2)
    for part in module.modules():
        if isinstance(part, Thermometer):
            part.shift.data *= 4
    before = copied(module)
    clip_latent(module)
    renew_norms(module, load_data(small).train, 100)
    after = module.state_dict()
    shifts = [name for name in before if name.endswith("shift")]
    assert len(shifts) == 4
    assert all(torch.equal(before[name], after[name]) for name in shifts)
    assert any(not torch.equal(before[name], after[name]) for name in before if name.endswith("running_mean"))
