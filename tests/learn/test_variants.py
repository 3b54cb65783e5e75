"""The paper's AlexNet and the networks it is compared with: their shapes, and what is counted of them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from bitflow.errors import ImportRefused, InputError
from bitflow.image.bfn import Image
from bitflow.importers.torch.module import network_from_module
from bitflow.ir import MapType
from bitflow.learn.baselines.costs import cost, total
from bitflow.learn.baselines.shapes import describe, describe_variants
from bitflow.learn.networks import architectures
from bitflow.learn.networks.variants import VARIANTS, variant
from bitflow.learn.recipe import recipe_names
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Residual, Shift, Sign, Thermometer


def test_alexnet_must_have_the_shapes_of_the_paper() -> None:
    layers = describe_variants("bitflow-alexnet", (224, 224, 3), 1000)["bitflow"]
    assert [str(layer.target) for layer in layers] == [
        "27x27x96",
        "13x13x256",
        "13x13x384",
        "13x13x384",
        "6x6x256",
        "1x1x4096",
        "1x1x4096",
        "1x1x1000",
    ]
    assert [layer.taps for layer in layers] == [363, 2400, 2304, 3456, 3456, 9216, 4096, 4096]
    assert sum(layer.taps * layer.filters for layer in layers) == 62_367_776
    assert total(map(cost, layers)).bytes < 9_000_000


def test_alexnet_must_pool_before_batchnorm_in_layers_1_2_and_5() -> None:
    module = architectures.build("bitflow-alexnet", (64, 64, 3), 2, width=0.1)
    kinds = [type(layer) for layer in module]
    pooled = [nn.MaxPool2d, nn.BatchNorm2d, Sign]
    plain = [nn.BatchNorm2d, Sign]
    dense = [BinaryLinear, nn.BatchNorm1d, Sign]
    convolutions = [InputConv2d, *pooled, BinaryConv2d, *pooled, *([BinaryConv2d, *plain] * 2), BinaryConv2d, *pooled]
    assert kinds == [*convolutions, nn.Flatten, *dense, *dense, BinaryLinear]


@pytest.mark.parametrize("size", [32, 64, 96, 128])
def test_alexnet_must_take_small_pictures(size: int) -> None:
    module = architectures.build("bitflow-alexnet", (size, size, 1), 2, width=0.05).eval()
    assert module[0].kernel_size == ((11, 11) if size >= 128 else (5, 5))
    packed = pack(fuse(network_from_module(module, (size, size, 1))))
    assert packed.classes == 2


def test_alexnet_must_refuse_what_it_cannot_be() -> None:
    with pytest.raises(InputError, match="as small as 16x16"):
        architectures.build("bitflow-alexnet", (16, 16, 3), 2)
    with pytest.raises(InputError, match=r"width 5 is outside 0\.03\.\.4"):
        architectures.build("bitflow-alexnet", (64, 64, 3), 2, width=5)


def test_a_width_must_scale_all_channels_but_the_outer_ones() -> None:
    layers = "conv5x5:32/stride2 conv3x3:64/pool2 conv3x3:96/pad0"
    module = architectures.build(layers, (28, 28, 1), 10, width=0.25)
    assert [layer.out_channels for layer in module if isinstance(layer, InputConv2d | BinaryConv2d)] == [8, 16, 24]
    assert module[-1].out_features == 10


@pytest.mark.parametrize("architecture", recipe_names())
def test_variants_must_have_the_same_shapes(architecture: str) -> None:
    picture = (64, 64, 3)
    found = describe_variants(architecture, picture, 7, 0.1)
    assert tuple(found) == VARIANTS
    for layers in zip(*found.values(), strict=True):
        assert len({(layer.accumulators, layer.filters) for layer in layers}) == 1


def test_variants_must_be_binary_where_they_say() -> None:
    def kinds(name: str) -> list[type]:
        module = variant(architectures.build("bitflow-alexnet", (32, 32, 3), 5, width=0.05), name)
        return [type(layer) for layer in module if any(True for _ in layer.parameters()) or "U" in type(layer).__name__]

    assert not {BinaryConv2d, BinaryLinear, InputConv2d} & set(kinds("float"))
    xnor = [kind for kind in kinds("xnor") if kind not in (nn.BatchNorm1d, nn.BatchNorm2d)]
    assert xnor == [nn.Conv2d, *([BinaryConv2d] * 4), *([BinaryLinear] * 2), nn.ReLU, nn.Linear]
    with pytest.raises(InputError, match="choose of float, xnor, bitflow"):
        variant(nn.Sequential(), "int8")


@pytest.mark.parametrize("name", ["float", "xnor"])
def test_variants_must_learn_and_never_be_fused(name: str) -> None:
    torch.manual_seed(0)
    module = variant(architectures.build("bitflow-alexnet", (32, 32, 3), 5, width=0.05), name)
    images = torch.randint(0, 256, (4, 3, 32, 32)).float()
    module(images).sum().backward()
    weights = [value for key, value in module.named_parameters() if key.endswith("weight")]
    assert all(value.grad is not None for value in weights)
    with pytest.raises(ImportRefused):
        network_from_module(module.eval(), (32, 32, 3))


def test_counted_bytes_must_be_those_of_the_packed_network() -> None:
    picture = (32, 32, 3)
    module = architectures.build("bitflow-alexnet", picture, 5, width=0.1).eval()
    packed = pack(fuse(network_from_module(module, picture)))
    counted = [cost(layer) for layer in describe(module, picture)]
    for layer, one in zip(packed.layers, counted, strict=True):
        masks = 0 if layer.pool_and is None else layer.pool_and.nbytes
        assert one.bytes == layer.nbytes - masks
        assert one.binary_operations + one.integer_additions == layer.macs + layer.conv.size
    assert total(counted).bytes < len(Image.of(packed).data)


def test_counted_multiplications_must_be_those_that_torch_counts() -> None:
    with torch.device("meta"):
        module = variant(architectures.build("bitflow-alexnet", (224, 224, 3), 1000), "float").eval()
        with FlopCounterMode(display=False) as counter:
            module(torch.zeros(1, 3, 224, 224))
    layers = describe_variants("bitflow-alexnet", (224, 224, 3), 1000)["float"]
    norms = sum(layer.normed for layer in layers)
    assert total(map(cost, layers)).float_multiplications == counter.get_total_flops() // 2 + norms


def test_middle_layers_of_bitflow_must_have_no_float_operation() -> None:
    found = describe_variants("bitflow-alexnet", (224, 224, 3), 1000)
    for layer in found["bitflow"]:
        assert (cost(layer).float_multiplications, cost(layer).float_additions) == (0, 0)
    for layer in found["xnor"][1:-1]:
        one = cost(layer)
        assert one.float_multiplications == layer.accumulators + layer.target.size
        assert one.binary_operations == layer.accumulators * layer.taps
    assert np.prod([cost(found["xnor"][at]).binary_operations for at in (0, -1)]) == 0


# Every option of `learn.networks.layers` at least once.
DESCRIBED = [
    (
        "conv3x3:16 conv3x3:16/pool2 res3x3:16 res3x3:16/pool2/shift conv3x3:32/groups2/bitpool2 dense:40/shift",
        (16, 16, 3),
    ),
    ("conv5x3:8/w8/stride2x1/bitpool2 conv3x3:16/pad0/w8 res1x3:16 res3x3:16 dense:16/w8 dense:8", (20, 12, 1)),
    ("conv2x4:8/pad1x2/shift conv3x3:8/stride2/pool3s2/shift", (17, 14, 2)),
    ("conv1x5:24 conv1x4:32/pool1x2 conv1x3:32/pad0x3/pool1x3s1x2 res1x5:32/bitpool1x2", (1, 40, 10)),
]
# With several bits a channel.
SEVERAL = [
    ("conv3x3:8/t3 conv3x3:16/pool2/t2 res3x3:16/t4 conv3x3:16/bitpool2 conv3x3:16/t2 dense:9/t5 dense:7", (16, 16, 3)),
    ("conv1x5:9/t3 conv1x3:10/pool1x2/t2 conv1x3:12/t8", (1, 40, 10)),
]


def described(text: str, picture: tuple[int, int, int]) -> nn.Sequential:
    torch.manual_seed(4)
    return architectures.build(text, picture, 5)


@pytest.mark.parametrize(("text", "picture"), DESCRIBED)
def test_variants_of_described_networks_must_have_the_same_shapes(text: str, picture: tuple[int, int, int]) -> None:
    found = describe_variants(text, picture, 5)
    for layers in zip(*found.values(), strict=True):
        shapes = {(layer.source, layer.accumulators, layer.target, layer.taps, layer.filters) for layer in layers}
        assert len(shapes) == 1
    assert {layer.weight_bits for layer in found["float"]} == {32}


@pytest.mark.parametrize(("text", "picture"), SEVERAL)
def test_variants_must_have_one_value_for_several_bits(text: str, picture: tuple[int, int, int]) -> None:
    found = describe_variants(text, picture, 5)
    words = text.split()
    bits = [1, *(int(re.search(r"/t(\d)|$", word)[1] or 1) for word in words)]  # type: ignore[index]
    for kind in ("float", "xnor"):
        for layer, ours, given in zip(found[kind], found["bitflow"], bits, strict=True):
            assert (layer.accumulators, layer.filters) == (ours.accumulators, ours.filters)
            assert layer.taps * given == ours.taps
        module = variant(described(text, picture), kind)
        assert not any(isinstance(part, Thermometer) for part in module.modules())


@pytest.mark.parametrize(("text", "picture"), [*DESCRIBED, *SEVERAL])
@pytest.mark.parametrize("name", ["float", "xnor"])
def test_variants_of_described_networks_must_train(name: str, text: str, picture: tuple[int, int, int]) -> None:
    module = variant(described(text, picture), name)
    signs = [type(layer) for layer in module.modules() if isinstance(layer, Sign | Shift)]
    binary = [layer for layer in module.modules() if isinstance(layer, BinaryConv2d | BinaryLinear | InputConv2d)]
    if name == "float":
        assert (signs, binary) == ([], [])
    else:
        whole = described(text, picture)
        assert [layer.weight_bits for layer in binary] == [
            layer.weight_bits for layer in list(whole.modules())[:-1] if isinstance(layer, BinaryConv2d | BinaryLinear)
        ]
        assert sum(kind is Sign for kind in signs) == sum(isinstance(layer, Sign) for layer in whole.modules()) - 1
    images = torch.randint(0, 256, (6, picture[2], *picture[:2])).float()
    before = {key: value.detach().clone() for key, value in module.named_parameters()}
    optimiser = torch.optim.Adam(module.parameters())
    scores = module(images)
    assert scores.shape == (6, 5)
    nn.functional.cross_entropy(scores, torch.arange(6) % 5).backward()
    optimiser.step()
    assert all(not torch.equal(before[key], value) for key, value in module.named_parameters())


def test_a_shift_must_stay_before_the_signs_that_stay() -> None:
    text = "conv3x3:8/shift conv3x3:8/shift conv3x3:8/shift"
    kinds = [type(layer) for layer in variant(described(text, (8, 8, 1)), "xnor")]
    assert [kind for kind in kinds if kind in (Shift, Sign, nn.ReLU)] == [Shift, Sign, Shift, Sign, nn.ReLU]


def test_a_float_residual_layer_must_stand_before_its_activation() -> None:
    layers = list(variant(described("conv3x3:8 conv3x3:8 res3x3:8", (8, 8, 1)), "float"))
    (residual,) = [layer for layer in layers if isinstance(layer, Residual)]
    assert [type(layer) for layer in residual.body] == [nn.BatchNorm2d, nn.ReLU, nn.Conv2d]
    value = torch.randn(2, 8, 8, 8)
    torch.testing.assert_close(residual(value), value + residual.body(value))


@pytest.mark.parametrize(("text", "picture"), [*DESCRIBED, *SEVERAL])
def test_counts_of_described_networks_must_be_those_of_the_packed_network(
    text: str, picture: tuple[int, int, int]
) -> None:
    module = described(text, picture).eval()
    packed = pack(fuse(network_from_module(module, picture)))
    counted = total(map(cost, describe(module, picture)))
    assert counted.bytes == sum(layer.nbytes for layer in packed.layers)
    shifts = sum(
        layer.conv.size * layer.thresholds for layer in packed.layers if layer.output_type is not MapType.INTEGERS
    )
    shortcuts = sum(layer.conv.size * (len(layer.sources) - 1) for layer in packed.layers)
    products = sum(layer.macs for layer in packed.layers)
    assert counted.binary_operations + counted.integer_additions == products + shifts + shortcuts
    assert counted.binary_operations == sum(layer.macs for layer in packed.layers[1:] if layer.weight_bits == 1)
    assert counted.integer_multiplications == (packed.layers[0].macs if packed.layers[0].weight_bits == 8 else 0)
    assert (counted.float_multiplications, counted.float_additions) == (0, 0)


@pytest.mark.parametrize(("text", "picture"), [*DESCRIBED, *SEVERAL])
def test_counted_multiplications_of_described_networks_must_be_torch_s(
    text: str, picture: tuple[int, int, int]
) -> None:
    module = variant(described(text, picture), "float").eval()
    with FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, picture[2], *picture[:2]))
    layers = describe(module, picture)
    products = counter.get_total_flops() // 2
    assert total(map(cost, layers)).float_multiplications == products + sum(layer.normed for layer in layers)
