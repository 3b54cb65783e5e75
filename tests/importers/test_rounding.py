"""Activations that are rounded by a source's own operations become values of several bits, equal to the source's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from tests.importers.onnx_models import Model, same
from tests.importers.test_torch_module import needs_fma
from tests.importers.torch_runs import equal_to_torch
from torch import Tensor, nn
from torch.nn import functional

from bitflow.errors import ImportRefused
from bitflow.importers.onnx.file import import_onnx
from bitflow.importers.pixels import Pixels
from bitflow.importers.source import Settings
from bitflow.importers.torch.module import network_from_module
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d


class Ste(torch.autograd.Function):
    """A straight-through estimator of rounding, as many repositories have it."""

    @staticmethod
    def forward(ctx, x):
        return torch.round(x)

    @staticmethod
    def backward(ctx, gradient):
        return gradient


def conv(channels: int, filters: int, padding: int = 0) -> nn.Module:
    """A plain convolution with weights of +-1: those of bitflow.nn round, since they take bits."""
    found = nn.Conv2d(channels, filters, 3, padding=padding, bias=False)
    found.weight.data = torch.where(found.weight >= 0, 1.0, -1.0)
    return found


def dense(features: int, classes: int) -> nn.Module:
    """With biases by which no two classes are equal: torch's rounding would decide between them."""
    found = nn.Linear(features, classes)
    found.weight.data = torch.where(found.weight >= 0, 1.0, -1.0)
    found.bias.data = 0.0137 * torch.arange(classes)
    return found


class Levels(nn.Module):
    """An activation of few levels in a style."""

    def __init__(self, style: str) -> None:
        super().__init__()
        self.style = style
        self.register_buffer("low", torch.tensor(-2.0))
        self.register_buffer("high", torch.tensor(1.0))

    def forward(self, x: Tensor) -> Tensor:
        match self.style:
            case "unit interval":  # DoReFa-Net
                return torch.round(torch.clamp(x, 0, 1) * 3) / 3
            case "straight through":
                return Ste.apply(x.clamp(0.0, 1.0).mul(7)).div(7)
            case "detached":
                y = torch.clamp(x, -1, 1) * 2
                return (torch.round(y) - y).detach() + y
            case "clipped last":
                return torch.clamp(torch.round(x / 0.75 + 1), 0, 3) - 1
            case "clipped by choices":
                y = torch.round(x / 0.5)
                y = torch.where(y > self.high, self.high, y)
                return torch.where(y < self.low, self.low, y) * 0.5
            case "rectified":
                return torch.clamp(torch.floor(functional.relu(x) * 2), max=5) / 2
            case "rectified by six":
                return torch.ceil(functional.relu6(x))
            case "downwards":
                return -torch.trunc(torch.clamp(x, min=-3, max=3)) * 0.25
            case "turned":
                return torch.round(1 - 2 * functional.hardtanh(x, 0, 1))
        raise ValueError(self.style)


BITS = {"unit interval": 3, "straight through": 7, "detached": 4, "clipped last": 3, "clipped by choices": 3,
        "rectified": 5, "rectified by six": 6, "downwards": 6, "turned": 2}  # fmt: skip


@needs_fma
@pytest.mark.parametrize("style", BITS)
def test_a_module_that_rounds_must_have_the_levels_of_torch(style: str) -> None:
    torch.manual_seed(len(style))
    module = nn.Sequential(
        InputConv2d(2, 5, 3), nn.BatchNorm2d(5), Levels(style),
        conv(5, 6), nn.BatchNorm2d(6), Levels(style), nn.MaxPool2d(2), nn.Flatten(),
        dense(6 * 9, 4),
    )  # fmt: skip
    if style == "downwards":  # a pool of values that were turned around
        del module[6]
        module[7] = dense(6 * 36, 4)
    network = equal_to_torch(module, (10, 10, 2), seed=len(style))
    assert [layer.thresholds for layer in network.layers] == [BITS[style]] * 2 + [1]


@needs_fma
@pytest.mark.parametrize("style", ["unit interval", "detached", "clipped by choices"])
def test_padded_zeros_must_be_those_of_torch(style: str) -> None:
    torch.manual_seed(len(style))
    module = nn.Sequential(
        InputConv2d(1, 5, 3),
        nn.BatchNorm2d(5),
        Levels(style),
        conv(5, 6, 1),
        Levels(style),
        nn.Flatten(),
        dense(384, 4),
    )
    network = equal_to_torch(module, (10, 10, 1), seed=1)
    assert network.layers[0].thresholds == BITS[style] + (style == "clipped by choices")


class Block(nn.Module):
    """A residual sum of values of one scale, and their average."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(InputConv2d(1, 6, 3), nn.BatchNorm2d(6), Levels("detached"))
        self.body = nn.Sequential(conv(6, 6, 1), nn.BatchNorm2d(6), Levels("detached"))
        self.head = dense(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.clamp(torch.round(x + self.body(x)), -1, 1)
        return self.head(x.mean((2, 3)))


@needs_fma
def test_a_residual_sum_of_levels_must_be_that_of_torch() -> None:
    torch.manual_seed(0)
    network = equal_to_torch(Block(), (9, 8, 1), seed=5)
    assert [layer.thresholds for layer in network.layers] == [4, 4, 2, 1, 1]


@pytest.mark.parametrize(
    ("activation", "reason"),
    [
        (lambda x: torch.round(x), "rounds without limits"),
        (lambda x: torch.clamp(torch.round(x), min=0), "rounds without limits"),
        (lambda x: torch.round(torch.clamp(x, 0, 1) * 15) / 15, "an activation of 16 values; of 2 to 9 "),
        (lambda x: torch.clamp(torch.round(x), -0.5, 2.5), "rounds without limits"),
        (lambda x: torch.round(torch.tanh(x) * 3), "more than one bit"),
        (lambda x: torch.round(x, decimals=1), "rounds to decimals"),
        (functional.relu, "more than one bit"),
    ],
)  # fmt: skip
def test_what_is_rounded_to_too_many_values_must_be_refused(activation: object, reason: str) -> None:
    class Module(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.norm, self.head = InputConv2d(1, 4, 3), nn.BatchNorm2d(4), BinaryLinear(16, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(activation(self.norm(self.conv(x))).flatten(1))  # type: ignore[operator]

    with pytest.raises(ImportRefused, match=reason) as caught:
        network_from_module(Module(), (4, 4, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", ["Round", "Floor", "Ceil"])
@pytest.mark.parametrize("way", range(3))
def test_an_exported_rounding_must_decide_as_onnxruntime(tmp_path: Path, kind: str, way: int) -> None:
    model = Model(np.random.default_rng(way), (11, 13, 17)[way])

    def rounded(x: str) -> str:
        ends = [model.const(float(n)) for n in ((0, 1), (-2, 1), (0, 5))[way]]
        if way == 0:
            x = model.op(kind, model.op("Mul", model.op("Clip", x, *ends), model.const(3.0)))
            return model.op("Div", x, model.const(3.0))
        if way == 1:
            return model.op("Clip", model.op(kind, model.op("Div", x, model.const(0.7))), *ends)
        return model.op(kind, model.op("Clip", x, *ends))

    x = rounded(model.norm(model.conv("image", model.signs(6, 2, 3, 3), 0), 6, (6, 1, 1), 300.0, way % 2))
    x = rounded(model.norm(model.conv(x, model.signs(8, 6, 3, 3), 1, pads=[1, 1, 1, 1]), 8, (8, 1, 1), 4.0, 0))
    x = model.dense(model.flatten(x, 0), model.signs(5, 8 * 7 * 6), way)
    onnx.save(model.proto(("batch", 2, 9, 8), x), tmp_path / "net.onnx")
    same(tmp_path / "net.onnx", (9, 8, 2), Settings(pixels=Pixels.RAW))
    layers = import_onnx(tmp_path / "net.onnx", pixels=Pixels.RAW).network.layers
    assert layers[1].thresholds == (3, 3, 5)[way]


def test_a_layer_that_rounds_its_sums_must_refuse_thirds() -> None:
    """Layers of bitflow.nn take bits: of thirds they would make whole numbers."""
    module = nn.Sequential(InputConv2d(1, 5, 3), nn.BatchNorm2d(5), Levels("unit interval"), BinaryConv2d(5, 2, 3))
    with pytest.raises(ImportRefused, match=r"layer '3': .*rounds without limits"):
        network_from_module(nn.Sequential(*module, nn.Flatten(), BinaryLinear(2, 2)), (5, 5, 1))
