"""Changed pictures stay pictures, and each setting does what it says."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from bitflow.learn.recipe import Recipe
from bitflow.learn.training.augment import augmented


def pictures(height: int = 20, width: int = 30) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).integers(0, 256, (50, 2, height, width)).astype(np.float32))


def changed(images: torch.Tensor, recipe: Recipe, seed: int = 0) -> torch.Tensor:
    return augmented(images, recipe, torch.Generator().manual_seed(seed))


def test_nothing_asked_must_change_nothing() -> None:
    assert torch.equal(changed(pictures(), Recipe(shift=0)), pictures())


def test_values_must_stay_whole_and_in_range_and_repeat() -> None:
    recipe = Recipe(shift=3, rotate=30, stretch=0.3, flip=True, cutout=5)
    found = changed(pictures(), recipe)
    assert torch.equal(found, found.round())
    assert found.min() >= 0 and found.max() <= 255
    assert torch.equal(found, changed(pictures(), recipe))
    assert not torch.equal(found, changed(pictures(), recipe, seed=1))


def test_shifts_must_move_by_whole_pixels_up_to_the_limit() -> None:
    image = torch.zeros(200, 1, 11, 11)
    image[:, :, 5, 5] = 255
    found = changed(image, Recipe(shift=2)).nonzero()[:, 2:] - 5
    assert len(found) == 200
    assert (int(found.min()), int(found.max())) == (-2, 2)


def test_a_turn_must_be_a_turn_where_pictures_are_not_square() -> None:
    """Against Pillow: one picture of a bar, turned by the angle that was drawn."""
    bar = np.zeros((24, 48), np.uint8)
    bar[10:14, 8:40] = 255
    found = changed(torch.from_numpy(bar.astype(np.float32))[None, None], Recipe(shift=0, rotate=40), seed=3)[0, 0]
    draw = torch.Generator().manual_seed(3)
    angle = 40 * (2 * float(torch.rand(1, generator=draw)) - 1)
    wanted = {
        sign: np.asarray(Image.fromarray(bar).rotate(sign * angle, Image.Resampling.BILINEAR), np.float32)
        for sign in (1, -1)
    }
    away = min(float(np.abs(found.numpy() - turned).mean()) for turned in wanted.values())
    assert abs(angle) > 5
    assert away < 2, "not a rotation by the drawn angle"


def test_holes_and_mirrors_must_be_there() -> None:
    found = changed(pictures(), Recipe(shift=0, cutout=7))
    same = (found != pictures()).any(dim=1).sum(dim=(1, 2))
    assert int(same.max()) <= 49 and int(same.min()) >= 10
    mirrored = changed(pictures(), Recipe(shift=0, flip=True))
    kept = sum(torch.equal(a, b) for a, b in zip(mirrored, pictures(), strict=True))
    turned = sum(torch.equal(a, b.flip(2)) for a, b in zip(mirrored, pictures(), strict=True))
    assert kept + turned == 50 and min(kept, turned) > 10
