"""The networks that a search tries: every choice is a network that can be built, and the recipes are among them."""

from __future__ import annotations

import random

import pytest
import torch

from bitflow.learn.networks import architectures
from bitflow.learn.networks.layers import parse_layers
from bitflow.learn.recipe import layers_of
from bitflow.learn.search.space import Space

PICTURES = [(8, 8, 1), (28, 28, 1), (33, 47, 3), (96, 96, 3), (1, 128, 6), (100, 1, 2), (49, 10, 1), (2, 2, 1)]


def some(space: Space, count: int, seed: int = 0) -> list[str]:
    chosen = random.Random(seed)
    return [
        space.text({name: chosen.randrange(len(options)) for name, options in space.choices.items()})
        for _ in range(count)
    ]


@pytest.mark.parametrize("picture", PICTURES, ids=str)
def test_every_choice_must_be_a_network(picture: tuple[int, int, int]) -> None:
    space = Space(picture[:2])
    for text in [*some(space, 12), space.smallest()]:
        module = architectures.build(text, picture, 3).eval()
        with torch.no_grad():
            assert module(torch.zeros(1, picture[2], *picture[:2])).shape == (1, 3), text
        for layer in parse_layers(text):
            assert layer.channels % 8 == 0
            for axis in (0, 1):
                assert picture[axis] > 1 or layer.kernel[axis] == 1, text


@pytest.mark.parametrize("picture", [(8, 8, 1), (28, 28, 1), (33, 47, 3), (96, 96, 3), (1, 128, 6)], ids=str)
def test_last_maps_must_be_small_but_not_too_small(picture: tuple[int, int, int]) -> None:
    for text in some(Space(picture[:2]), 20):
        convolutions = " ".join(word for word in text.removesuffix("/pad0").split() if "conv" in word)
        module = architectures.build(convolutions.replace("/pad0", ""), picture, 2)
        features = torch.nn.Sequential(*list(module)[:-2]).eval()
        with torch.no_grad():
            shape = features(torch.zeros(1, picture[2], *picture[:2])).shape[2:]
        assert 3 <= max(shape) <= (16 if picture[0] == 1 else 8), text


@pytest.mark.parametrize("picture", PICTURES, ids=str)
def test_a_network_of_the_space_must_be_its_own_nearest(picture: tuple[int, int, int]) -> None:
    space = Space(picture[:2])
    for text in some(space, 100):
        assert space.text(space.nearest(text)) == text


@pytest.mark.parametrize(
    ("text", "side"), [(layers_of("bitflow-tiny"), 8), ("conv5x5:32/stride2 conv3x3:64/pool2 conv3x3:96/pad0", 28)]
)
def test_usual_small_networks_must_be_in_the_space(text: str, side: int) -> None:
    space = Space((side, side))
    written = space.text(space.nearest(text))
    assert parse_layers(written) == parse_layers(text)


def test_what_is_not_in_the_space_must_have_a_nearest() -> None:
    space = Space((32, 32))
    text = "conv11x11:96/stride4/pool3s2 conv5x5:500/groups2 res5x5:500 dense:4096 dense:7"
    found = parse_layers(space.text(space.nearest(text)))
    assert [layer.kind for layer in found] == ["conv", "conv", "conv", "dense"]
    assert [layer.channels for layer in found] == [96, 256, 256, 256]


def test_bits_of_an_accumulator_must_be_a_choice_of_each_layer() -> None:
    space = Space((28, 28))
    text = "conv5x5:16/stride2/t3 conv3x3:32/pool2/t2 conv3x3:48/pad0"
    assert space.text(space.nearest(text)) == text
    assert space.text(space.nearest(text.replace("/t3", "/t8"))) == text.replace("/t3", "/t4")
    assert "/t" not in space.smallest()


def test_one_change_must_put_a_pool_in_the_place_of_a_stride() -> None:
    space = Space((28, 28))
    text = "conv5x5:32/stride2 conv3x3:64/pool2 conv3x3:96/pad0"
    pooled = space.choices["first"].index("pool")
    assert space.text(space.nearest(text) | {"first": pooled}) == text.replace("/stride2", "/pool2")
