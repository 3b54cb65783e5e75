"""Training the variants: a result is taken from where it lies, and a run that was cut goes on."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bitflow.learn.baselines.train_variants import train_variant
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks.variants import VARIANTS
from bitflow.learn.recipe import Recipe
from bitflow.learn.training.train import Result

QUICK = Recipe(epochs=3, batch=32, learning_rate=0.002)


def run(name: str, source: str, folder: Path, recipe: Recipe = QUICK, stop: int = 0) -> Result:
    def on_epoch(epoch: int, best: float) -> None:
        assert not (stop < 0), "trained again"
        if epoch == stop:
            raise KeyboardInterrupt

    return train_variant(name, load_data(source), "bitflow-tiny", recipe, folder, on_epoch=on_epoch)


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_must_learn_once_and_go_on_where_it_was_cut(name: str, small: str, tmp_path: Path) -> None:
    whole = run(name, small, tmp_path / "whole")
    assert whole.test_accuracy > 0.9
    assert run(name, small, tmp_path / "whole", stop=-1) == whole
    with pytest.raises(KeyboardInterrupt):
        run(name, small, tmp_path / "cut", stop=2)
    assert not (tmp_path / "cut" / "model.pt").exists()
    rest = run(name, small, tmp_path / "cut")
    assert replace(rest, seconds=0.0) == replace(whole, seconds=0.0)
    assert (tmp_path / "cut" / "model.pt").exists() == (name == "bitflow")


def test_other_settings_must_be_trained_anew(small: str, tmp_path: Path) -> None:
    run("float", small, tmp_path)
    other = run("float", small, tmp_path, replace(QUICK, epochs=1, seed=2))
    assert other.epochs == 1
    assert json.loads((tmp_path / "settings.json").read_text())["recipe"]["seed"] == 2
