"""Networks by name or by description. Each is a plain torch Sequential of `bitflow.nn` layers."""

from __future__ import annotations

import torch
from torch import nn

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.networks.layers import LayerText, parse_layers, widened
from bitflow.learn.recipe import layers_of
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Residual, Shift, Sign, Thermometer

__all__ = ["build"]

Picture = tuple[int, int, int]


def build(name: str, input_shape: Picture, classes: int, zero_point: int = 128, width: float = 1.0) -> nn.Sequential:
    """A network with fresh weights for pictures (height, width, channels).

    The last layer is a BinaryLinear without BatchNorm, so that the scores are plain integers.

    name: name of a recipe, or a description as in `learn.networks.layers`.
    zero_point: the pixel value that counts as 0.
    width: factor for all channels but those of picture and scores, which are rounded to a multiple of 8.

    Raises InputError for an unknown name, a width outside 0.03..4, and pictures that are too small.
    """
    require(0.03 <= width <= 4, f"width {width} is outside 0.03..4")
    layers = parse_layers(layers_of(name, input_shape))
    maps = [layer for layer in layers if layer.kind != "dense"]
    features = nn.Sequential(*_features(maps, input_shape[2], zero_point, width), nn.Flatten())
    count = _outputs(name, features, input_shape)
    dense: list[nn.Module] = []
    for layer in layers[len(maps) :]:
        outputs = widened(layer.channels, width)
        dense += [BinaryLinear(count, outputs, weight_bits=layer.weight_bits), nn.BatchNorm1d(outputs)]
        dense += _sign(layer, outputs)
        count = outputs * layer.thresholds
    return nn.Sequential(*features, *dense, BinaryLinear(count, classes)).train()


def _features(layers: list[LayerText], channels: int, zero_point: int, width: float) -> list[nn.Module]:
    """The convolutions. A residual layer adds to integers: BatchNorm and sign of the map before it are inside."""
    found: list[nn.Module] = []
    thresholds = 1  # of the map that a layer gets: it has so many bits for each of `channels`
    for index, layer in enumerate(layers):
        outputs = widened(layer.channels, width)
        added = index + 1 < len(layers) and layers[index + 1].kind == "res"
        if layer.kind == "res":
            body = _convolution(layer, channels * thresholds, outputs, scaled=False)
            found.append(Residual(nn.Sequential(nn.BatchNorm2d(channels), _bits(channels, thresholds), body)))
        elif index == 0:
            found.append(_input(layer, channels, outputs, zero_point))
        else:
            found.append(_convolution(layer, channels * thresholds, outputs, scaled=not added))
        channels, thresholds = outputs, layer.thresholds
        pool = [] if layer.pool is None else [nn.MaxPool2d(layer.pool.kernel, layer.pool.stride)]
        bits = layer.pool is not None and layer.pool.bits
        if not bits:
            found += pool
        if not added:
            found += [nn.BatchNorm2d(outputs), *_sign(layer, outputs)]
        if bits:
            found += pool
    return found


def _input(layer: LayerText, channels: int, outputs: int, zero_point: int) -> InputConv2d:
    return InputConv2d(
        channels, outputs, layer.kernel, layer.stride, layer.sides, zero_point, layer.groups,
        weight_bits=layer.weight_bits,
    )  # fmt: skip


def _convolution(layer: LayerText, channels: int, outputs: int, scaled: bool) -> BinaryConv2d:
    return BinaryConv2d(
        channels, outputs, layer.kernel, layer.stride, layer.sides, groups=layer.groups, scaled=scaled,
        weight_bits=layer.weight_bits,
    )  # fmt: skip


def _sign(layer: LayerText, channels: int) -> list[nn.Module]:
    bits = _bits(channels, layer.thresholds)
    return [Shift(channels), bits] if layer.shift else [bits]


def _bits(channels: int, thresholds: int) -> Sign:
    return Sign() if thresholds == 1 else Thermometer(channels, thresholds)


def _outputs(name: str, features: nn.Sequential, picture: Picture) -> int:
    """The number of values that the convolutions output for one picture."""
    height, width, channels = picture
    features.eval()  # BatchNorm cannot do a training pass over one image
    try:
        with torch.no_grad():
            return int(features(torch.zeros(1, channels, height, width)).shape[1])
    except RuntimeError as error:
        raise InputError(f"{name} does not take pictures as small as {height}x{width}") from error
