"""Augmentation of training pictures: moved, turned, stretched, mirrored, with a hole."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from bitflow.learn.recipe import Recipe

__all__ = ["augmented"]


def augmented(images: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Images float [N, C, H, W] changed as the recipe says, by the numbers of `random` alone; whole pixel values.

    Numbers are drawn on the CPU, so that they are the same on every device. Pixels from outside a picture repeat its
    border.
    """
    if recipe.rotate or recipe.stretch:
        images = _transformed(images, recipe, random)
    elif recipe.shift:
        images = _shifted(images, recipe.shift, random)
    if recipe.flip:
        mirrored = (torch.rand(len(images), generator=random) < 0.5).to(images.device)
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    return _holed(images, recipe.cutout, random) if recipe.cutout else images


def _shifted(images: Tensor, shift: int, random: torch.Generator) -> Tensor:
    """Moved by up to `shift` whole pixels in both directions."""
    count, _, height, width = images.shape
    padded = functional.pad(images, (shift,) * 4, mode="replicate")
    down, right = torch.randint(0, 2 * shift + 1, (2, count, 1), generator=random).to(images.device)
    rows = down + torch.arange(height, device=images.device)
    columns = right + torch.arange(width, device=images.device)
    every = torch.arange(count, device=images.device)[:, None, None]
    return padded[every, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _transformed(images: Tensor, recipe: Recipe, random: torch.Generator) -> Tensor:
    """Turned, stretched in each direction and moved, in one interpolation."""
    count, _, height, width = images.shape

    def spread(most: float) -> Tensor:
        return (most * (2 * torch.rand(count, generator=random) - 1)).to(images.device)

    angle = spread(math.radians(recipe.rotate))
    tall, wide = 1 + spread(recipe.stretch), 1 + spread(recipe.stretch)
    down, right = spread(2 * recipe.shift / height), spread(2 * recipe.shift / width)
    # The grid's unit is half a side, so turning a picture that is not square needs its proportions.
    rows = torch.stack([angle.sin() * wide * width / height, angle.cos() * tall, down], 1)
    columns = torch.stack([angle.cos() * wide, -angle.sin() * tall * height / width, right], 1)
    grid = functional.affine_grid(torch.stack([columns, rows], 1), list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False).round()


def _holed(images: Tensor, size: int, random: torch.Generator) -> Tensor:
    """A square of `size` pixels, somewhere, takes its picture's mean (DeVries and Taylor, 2017)."""
    count, _, height, width = images.shape
    row = torch.randint(0, height, (count, 1), generator=random).to(images.device)
    column = torch.randint(0, width, (count, 1), generator=random).to(images.device)
    inside_rows = (torch.arange(height, device=images.device) - row).abs() <= size // 2
    inside_columns = (torch.arange(width, device=images.device) - column).abs() <= size // 2
    hole = (inside_rows[:, :, None] & inside_columns[:, None, :])[:, None]
    return torch.where(hole, images.mean(dim=(1, 2, 3), keepdim=True).round(), images)
