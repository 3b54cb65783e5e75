"""Descriptions of networks: each word means one layer, and what means none is refused by its word."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import bitflow
from bitflow.errors import InputError
from bitflow.learn.networks import architectures
from bitflow.learn.networks.layers import parse_layers, widened
from bitflow.learn.recipe import layers_of, recipe_for, recipe_names
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Residual, Shift, Sign, Thermometer


def test_each_option_must_reach_its_layer() -> None:
    text = "conv5x3:16/stride2x1/w8/pool2 conv3x3:24/groups2/pad0 conv1x3:24/pad2x4/pool1x2s1x3/shift dense:8"
    first, second, third, dense = parse_layers(text)
    assert (first.kernel, first.stride, first.sides, first.weight_bits) == ((5, 3), (2, 1), (2, 1), 8)
    assert (second.groups, second.sides, second.pool) == (2, (0, 0), None)
    assert third.pool is not None
    assert (third.sides, third.pool.kernel, third.pool.stride, third.shift) == ((2, 4), (1, 2), (1, 3), True)
    assert (dense.kind, dense.channels) == ("dense", 8)


def test_layers_must_stand_in_their_order() -> None:
    module = architectures.build("conv3x3:8 conv3x3:16/bitpool2 conv3x3:16/pool3s2 res3x3:16 dense:24", (16, 16, 1), 3)
    kinds = [InputConv2d, nn.BatchNorm2d, Sign, BinaryConv2d, nn.BatchNorm2d, Sign, nn.MaxPool2d, BinaryConv2d]
    kinds += [nn.MaxPool2d, Residual, nn.BatchNorm2d, Sign, nn.Flatten, BinaryLinear, nn.BatchNorm1d, Sign]
    assert [type(layer) for layer in module] == [*kinds, BinaryLinear]
    shifted = architectures.build("conv3x3:8/shift", (8, 8, 1), 2)
    assert [type(layer) for layer in shifted][1:4] == [nn.BatchNorm2d, Shift, Sign]


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        (
            "conv3x3:16 conv3x3:16/pool2 res3x3:16 res3x3:16/pool2 conv3x3:32/groups2/bitpool2 dense:40/shift",
            (16, 16, 3),
        ),
        ("conv1x5:24 conv1x3:32/pool1x2 conv1x3:32/pool1x2 dense:16", (1, 40, 10)),
        ("conv3x3:8/w8 conv3x3:16/stride2/pad0/w8 dense:16/w8", (12, 12, 1)),
        ("conv3x3:8/t3 conv3x3:16/pool2/t2 res3x3:16/t4 conv3x3:8 res3x3:8/pool2 conv3x3:8/t8 dense:9/t5", (16, 8, 3)),
        ("conv1x5:9/t3 conv1x3:10/bitpool1x2/t2 dense:16/t2", (1, 40, 10)),
    ],
)
def test_described_networks_must_fuse_exactly(text: str, shape: tuple[int, int, int]) -> None:
    torch.manual_seed(3)
    module = architectures.build(text, shape, 10)
    images = np.random.default_rng(0).integers(0, 256, (64, *shape)).astype(np.uint8)
    floats = torch.from_numpy(images.transpose(0, 3, 1, 2).astype(np.float32))
    for _ in range(3):
        module(floats)
    with torch.inference_mode():
        labels = module.eval()(floats).argmax(1).numpy()
    np.testing.assert_array_equal(bitflow.fuse(module, input_shape=shape).predict(images), labels)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "1 to 100"),
        ("dense:8", "first layer"),
        ("res3x3:8", "first layer"),
        ("conv3x3:8 res3x3:8", "adds integers"),
        ("conv3x3:8 conv3x3:16 res3x3:8", "of 8 channels"),
        ("conv3x3:8 conv3x3:8/bitpool2 res3x3:8", "adds integers"),
        ("conv3x3:8 conv3x3:8 res2x2:8", "keep its size"),
        ("conv3x3:8 dense:4 conv3x3:8", "follows a dense layer"),
        ("conv3x3:8/pool2/pool2", "twice"),
        ("conv3x3:8/stride0", "size of 0"),
        ("conv3x3:8/wide", "'wide' is not one of"),
        ("conv3:8", "is not one of convKxK"),
        ("conv3x3:8 dense:8/pool2", "neither stride"),
        ("conv3x3:8 " * 101, "1 to 100"),
        ("conv3x3:8/t0", r"'conv3x3:8/t0': 0 bits a channel are outside 1\.\.8"),
        ("conv3x3:8 conv3x3:8 res3x3:8/t9", r"9 bits a channel are outside 1\.\.8"),
        ("conv3x3:8 dense:8/t99", "99 bits a channel"),
        ("conv3x3:8/t3/t2", "says thresholds twice"),
        ("conv3x3:8/t3/shift", "has a shift already"),
        ("conv3x3:8/t2 conv3x3:8/groups2", "'conv3x3:8/groups2' cannot divide 2 bits a channel into groups"),
        ("conv3x3:8/t", "'t' is not one of .*, tN"),
    ],
)
def test_a_wrong_word_must_be_named(text: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        parse_layers(text)


@given(st.text(alphabet="convresdplt0123456789x:/ ", max_size=40))
def test_any_text_must_be_read_or_refused(text: str) -> None:
    try:
        layers = parse_layers(text)
    except InputError:
        return
    assert " ".join(layer.text for layer in layers) == " ".join(text.split())


def test_the_layer_after_several_bits_must_get_as_many_channels() -> None:
    text = "conv3x3:8/t3 conv3x3:16/pool2/t2 res3x3:16 conv3x3:24 conv3x3:24/t4 res3x3:24/t3 conv3x3:8/bitpool2/t2"
    module = architectures.build(f"{text} dense:9/t5", (16, 16, 1), 3)
    parts = [part for part in module.modules() if isinstance(part, BinaryConv2d | BinaryLinear)]
    sizes = [part.in_channels if isinstance(part, BinaryConv2d) else part.in_features for part in parts]
    assert sizes == [24, 32, 16, 24, 96, 72, 2 * 8 * 16, 9 * 5]
    assert [part.thresholds for part in module.modules() if isinstance(part, Thermometer)] == [3, 2, 4, 3, 2, 5]
    one = architectures.build("conv3x3:8/t1", (8, 8, 1), 2)
    assert [type(layer) for layer in one] == [InputConv2d, nn.BatchNorm2d, Sign, nn.Flatten, BinaryLinear]
    assert architectures.build("conv3x3:16/t3", (8, 8, 1), 2, width=0.5)[2].thresholds == 3


def test_widths_must_be_multiples_of_eight() -> None:
    assert [widened(12, 1.0), widened(12, 0.5), widened(64, 0.7), widened(8, 0.1)] == [12, 8, 48, 8]


@pytest.mark.parametrize("name", recipe_names())
def test_recipes_must_be_whole(name: str) -> None:
    recipe_for(name)
    parse_layers(layers_of(name))
    assert layers_of(name) == " ".join(layers_of(name).split()), "a search compares texts"
    parse_layers(layers_of(name, (32, 32, 3)))
    assert layers_of(" conv3x3:8\n  conv3x3:16 ") == "conv3x3:8 conv3x3:16"


def test_an_unknown_name_must_say_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean bitflow-lenet"):
        recipe_for("bitflow-lenett")
    with pytest.raises(InputError, match="describe its layers"):
        layers_of("resnet")
