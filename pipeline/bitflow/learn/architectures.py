"""Networks by name. Each is a plain torch Sequential of `bitflow.nn` layers, so that it reads as what it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from bitflow.errors import InputError
from bitflow.learn.recipe import recipe_for
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign

__all__ = ["ARCHITECTURES", "build"]


def _tiny(channels: int, zero_point: int) -> list[nn.Module]:
    """For pictures of about 8x8: 9 KB packed."""
    return [
        InputConv2d(channels, 32, 3, padding=1, zero_point=zero_point),
        nn.BatchNorm2d(32),
        Sign(),
        BinaryConv2d(32, 64, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(64),
        Sign(),
        BinaryConv2d(64, 64, 3, padding=1),
        nn.BatchNorm2d(64),
        Sign(),
    ]


def _lenet(channels: int, zero_point: int) -> list[nn.Module]:
    """For pictures of about 28x28: 14 KB packed. The stride of the first layer keeps training and inference quick."""
    return [
        InputConv2d(channels, 32, 5, stride=2, padding=2, zero_point=zero_point),
        nn.BatchNorm2d(32),
        Sign(),
        BinaryConv2d(32, 64, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(64),
        Sign(),
        BinaryConv2d(64, 96, 3),
        nn.BatchNorm2d(96),
        Sign(),
    ]


ARCHITECTURES: dict[str, Callable[[int, int], list[nn.Module]]] = {"bitflow-lenet": _lenet, "bitflow-tiny": _tiny}


def build(name: str, input_shape: tuple[int, int, int], classes: int, zero_point: int = 128) -> nn.Sequential:
    """The architecture `name` with fresh weights for pictures (height, width, channels).

    The last layer is a BinaryLinear without BatchNorm, so that the scores are plain integers. Raises InputError for an
    unknown name and for pictures that are too small.
    """
    recipe_for(name)
    height, width, channels = input_shape
    features = nn.Sequential(*ARCHITECTURES[name](channels, zero_point), nn.Flatten())
    features.eval()  # a training pass over one image would not do for BatchNorm
    try:
        with torch.no_grad():
            count = features(torch.zeros(1, channels, height, width)).shape[1]
    except RuntimeError as error:
        raise InputError(f"{name} does not take pictures as small as {height}x{width}") from error
    return nn.Sequential(*features, BinaryLinear(count, classes)).train()
