"""The figures of docs/training.md are those that were measured, and what is kept is what they are of."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from bench import recipes, training_page
from bitflow.image.bfn import load
from bitflow.learn.recipe import recipe_names

ROOT = Path(__file__).parents[2]
KEPT = {name: entry["kept"] for name, entry in recipes.known().items() if "kept" in entry}


def test_the_pages_must_be_made_from_the_figures() -> None:
    for page, text in training_page.pages().items():
        assert text == page.read_text(encoding="utf-8"), "make docs"


def test_no_label_may_differ_once_fused() -> None:
    for name, entry in recipes.known().items():
        assert name.split()[0] in recipe_names()
        assert [run["differences"] for run in entry["runs"].values()] == [0] * len(entry["runs"])


@pytest.mark.parametrize("name", KEPT)
def test_a_network_that_is_kept_must_be_the_one_of_the_figure(name: str) -> None:
    path = ROOT / KEPT[name]["file"]
    run = recipes.known()[name]["runs"][str(KEPT[name]["seed"])]
    assert hashlib.sha256(path.read_bytes()).hexdigest() == run["sha256"]
    assert path.stat().st_size == run["bytes"] <= 200_000
    assert load(path).name == name.split()[0]
