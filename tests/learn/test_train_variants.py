"""Training the variants: a result is taken from where it lies, and a run that was cut goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitflow.learn.baselines.train_variants import train_variant
from bitflow.learn.data.dataset import Dataset
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks.variants import VARIANTS
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.train import Result

QUICK = Recipe(epochs=3, batch=32, learning_rate=0.002)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """Two classes that a network learns at once: bright and dark pictures with noise."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = (random.integers(0, 120, (200, 8, 8)) + 120 * labels[:, None, None]).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x=images, y=labels)
    return load_data(f"npz:{path}")


def run(name: str, data: Dataset, folder: Path, recipe: Recipe = QUICK, stop: int = 0) -> Result:
    def on_epoch(epoch: int, best: float) -> None:
        assert not (stop < 0), "trained again"
        if epoch == stop:
            raise KeyboardInterrupt

    return train_variant(name, data, "bitflow-tiny", recipe, folder, on_epoch=on_epoch)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_must_learn_once_and_go_on_where_it_was_cut(name: str, small: Dataset, tmp_path: Path) -> None:
    whole = run(name, small, tmp_path / "whole")
    assert whole.test_accuracy > 0.9
    assert run(name, small, tmp_path / "whole", stop=-1) == whole
    with pytest.raises(KeyboardInterrupt):
        run(name, small, tmp_path / "cut", stop=2)
    assert not (tmp_path / "cut" / "model.pt").exists()
    rest = run(name, small, tmp_path / "cut")
    assert replace(rest, seconds=0.0) == replace(whole, seconds=0.0)
    assert (tmp_path / "cut" / "model.pt").exists() == (name == "bitflow")


def test_other_settings_must_be_trained_anew(small: Dataset, tmp_path: Path) -> None:
    run("float", small, tmp_path)
    other = run("float", small, tmp_path, replace(QUICK, epochs=1, seed=2))
    assert other.epochs == 1
    assert json.loads((tmp_path / "settings.json").read_text())["recipe"]["seed"] == 2
