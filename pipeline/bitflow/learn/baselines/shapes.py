"""The shapes of a torch network as plain values, from which `learn.baselines.costs` counts."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import torch
from torch import Tensor, nn

from bitflow.geometry import Shape
from bitflow.learn.baselines.costs import LayerShape
from bitflow.learn.networks import architectures
from bitflow.learn.networks.variants import VARIANTS, variant
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Residual, Thermometer

__all__ = ["describe", "describe_variants"]

_CONVOLUTIONS = (BinaryConv2d, InputConv2d, nn.Conv2d)
_DENSE = (BinaryLinear, nn.Linear)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_WHOLE = (BinaryConv2d, BinaryLinear, InputConv2d)
_FLOAT = 32  # bits of a float weight


def describe_variants(
    architecture: str, picture: tuple[int, int, int], classes: int, width: float = 1.0
) -> dict[str, tuple[LayerShape, ...]]:
    """The shapes of each variant of an architecture for pictures (height, width, channels).

    Arguments and errors as `learn.networks.architectures.build`. The networks are made without memory for weights.
    """
    with torch.device("meta"):
        return {
            name: describe(variant(architectures.build(architecture, picture, classes, width=width), name), picture)
            for name in VARIANTS
        }


def describe(module: nn.Sequential, picture: tuple[int, int, int]) -> tuple[LayerShape, ...]:
    """Each layer of a plain Sequential as it runs over one picture (height, width, channels): its shapes and its kind.

    A network whose first layer is an InputConv2d counts as fused: integers only. The body of a Residual is a Sequential
    of BatchNorm, activation and convolution, as `learn.networks` makes it.
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
            elif isinstance(part, Residual):
                found.append(_residual(len(found), part, source, value, fused))
            elif found and isinstance(part, _NORMS):
                found[-1] = _normed(found[-1], part, value)
            elif found and not isinstance(part, nn.Flatten):
                found[-1] = replace(_several(found[-1], part), target=_shape(value))
    return (*found[:-1], replace(found[-1], scores=fused))


def _normed(layer: LayerShape, norm: nn.Module, value: Tensor) -> LayerShape:
    """The layer with the BatchNorm that follows it; a BatchShift comes before the pool."""
    values = layer.accumulators if layer.fused else value.numel()
    channels = len(cast(Tensor, norm.weight))
    return replace(layer, normed=layer.normed + values, norms=layer.norms + channels)


def _several(layer: LayerShape, part: nn.Module) -> LayerShape:
    """The layer with a BatchShift for each threshold; one of them is in `_normed`."""
    if not isinstance(part, Thermometer):
        return layer
    more = part.thresholds - 1
    return replace(layer, normed=layer.normed + more * layer.accumulators, norms=layer.norms + more * part.channels)


def _residual(index: int, part: Residual, source: Tensor, target: Tensor, fused: bool) -> LayerShape:
    assert isinstance(part.body, nn.Sequential)
    norm, sign, convolution = part.body
    layer = _layer(index, convolution, source, target, fused)
    bits = sign.thresholds if isinstance(sign, Thermometer) else 1
    normed, norms = source.numel() * bits, len(cast(Tensor, norm.weight)) * bits
    return replace(layer, name=f"res{index + 1}", normed=normed, norms=norms, residual=True)


def _layer(index: int, part: nn.Module, source: Tensor, target: Tensor, fused: bool) -> LayerShape:
    weight = part.weight
    assert isinstance(weight, Tensor)
    bits, scales = _FLOAT, 0
    if isinstance(part, _WHOLE):
        bits = part.weight_bits
        # With int8 weights and in dense layers, alpha is one number.
        one = bits == 8 or isinstance(part, BinaryLinear)
        scales = 0 if fused or not part.scaled else 1 if one else len(weight)
    return LayerShape(
        name=f"{'dense' if isinstance(part, _DENSE) else 'conv'}{index + 1}",
        source=_shape(source),
        accumulators=target.numel(),
        target=_shape(target),
        taps=weight[0].numel(),
        filters=len(weight),
        weight_bits=bits,
        pixels=index == 0,
        fused=fused,
        scales=scales,
        bias=part.bias is not None,
    )


def _shape(value: Tensor) -> Shape:
    channels, height, width = (*value.shape[1:], 1, 1)[:3]
    return Shape(height, width, channels)
