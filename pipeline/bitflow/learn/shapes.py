"""The shapes of a torch network as plain values, for `show.compare` to count from."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from bitflow.geometry import Shape
from bitflow.learn import architectures
from bitflow.learn.variants import VARIANTS, variant
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d
from bitflow.show.compare import LayerShape

__all__ = ["describe", "describe_variants"]

_CONVOLUTIONS = (BinaryConv2d, InputConv2d, nn.Conv2d)
_DENSE = (BinaryLinear, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_BINARY = (BinaryConv2d, BinaryLinear, InputConv2d)


def describe_variants(
    architecture: str, picture: tuple[int, int, int], classes: int, width: float = 1.0
) -> dict[str, tuple[LayerShape, ...]]:
    """The shapes of each variant of an architecture for pictures (height, width, channels).

    Arguments and errors as `learn.architectures.build`. The networks are made without memory for their weights.
    """
    with torch.device("meta"):
        return {
            name: describe(variant(architectures.build(architecture, picture, classes, width=width), name), picture)
            for name in VARIANTS
        }


def describe(module: nn.Sequential, picture: tuple[int, int, int]) -> tuple[LayerShape, ...]:
    """Each layer of a plain Sequential as it runs over one picture (height, width, channels): its shapes and its kind.

    A network whose first layer is InputConv2d is taken as fused: integers only.
    """
    height, width, channels = picture
    fused = isinstance(module[0], InputConv2d)
    found: list[LayerShape] = []
    with torch.no_grad():
        value = torch.zeros(1, channels, height, width)
        for part in module.eval():
            source, value = value, part(value)
            if isinstance(part, _CONVOLUTIONS + _DENSE):
                found.append(_layer(len(found), part, source, value, fused))
            elif found and not isinstance(part, nn.Flatten):
                norm = found[-1].norm or isinstance(part, _NORMS)
                found[-1] = replace(found[-1], target=_shape(value), norm=norm)
    return tuple(found)


def _layer(index: int, part: nn.Module, source: Tensor, target: Tensor, fused: bool) -> LayerShape:
    weight = part.weight
    assert isinstance(weight, Tensor)
    binary = isinstance(part, _BINARY)
    scales = 0 if fused or not binary else 1 if isinstance(part, BinaryLinear) else len(weight)
    return LayerShape(
        name=f"{'dense' if isinstance(part, _DENSE) else 'conv'}{index + 1}",
        source=_shape(source),
        accumulators=target.numel(),
        target=_shape(target),
        taps=weight[0].numel(),
        filters=len(weight),
        binary=binary,
        pixels=index == 0,
        fused=fused,
        scales=scales,
        bias=part.bias is not None,
        norm=False,
    )


def _shape(value: Tensor) -> Shape:
    channels, height, width = (*value.shape[1:], 1, 1)[:3]
    return Shape(height, width, channels)
