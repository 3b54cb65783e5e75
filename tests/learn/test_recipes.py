"""The networks that come with BitFlow: each is as large as its recipe says, and fuses to the same labels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bitflow.engines.reference import run_packed
from bitflow.image.bfn import Image
from bitflow.importers.torch.module import network_from_module
from bitflow.learn.networks import architectures
from bitflow.learn.recipe import recipe_for, recipe_names
from bitflow.learn.training.evaluate import predict
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

# Pictures, classes and the most bytes that each may take.
SIZES = {
    "bitflow-tiny": ((8, 8, 1), 10, 4_000),
    "bitflow-lenet": ((28, 28, 1), 10, 9_000),
    "bitflow-lenet-deep": ((28, 28, 1), 10, 16_000),
    "bitflow-residual": ((28, 28, 1), 10, 16_000),
    "bitflow-hands": ((64, 64, 3), 10, 64_000),
    "bitflow-vgg-small": ((32, 32, 3), 10, 190_000),
    "bitflow-vgg": ((32, 32, 3), 10, 1_300_000),
    "bitflow-alexnet": ((64, 64, 3), 10, 5_000_000),
    "bitflow-sound": ((1, 49, 10), 12, 20_000),
}


def test_every_recipe_must_be_here() -> None:
    assert set(SIZES) == set(recipe_names())


@pytest.mark.parametrize("name", SIZES)
def test_a_recipe_must_build_fuse_and_fit(name: str) -> None:
    picture, classes, most = SIZES[name]
    recipe = recipe_for(name)
    assert recipe.seed == 1, "the seed of the figures is the first of three"
    torch.manual_seed(0)
    module = architectures.build(name, picture, classes)
    images = np.random.default_rng(0).integers(0, 256, (3, *picture), np.uint8)
    network = network_from_module(module, picture)
    packed = pack(fuse(network))
    assert 0.6 * most < len(Image.of(packed).data) <= most
    assert np.array_equal(np.argmax(run_packed(packed, images).scores, 1), predict(module, images))
    if recipe.teacher:
        assert architectures.build(recipe.teacher, picture, classes)
