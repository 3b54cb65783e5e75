"""Networks by name. Each is a plain torch Sequential of `bitflow.nn` layers, so that it reads as what it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from bitflow.errors import InputError
from bitflow.geometry import require
from bitflow.learn.recipe import recipe_for
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign

__all__ = ["ARCHITECTURES", "Architecture", "build"]

Picture = tuple[int, int, int]
Wide = Callable[[int], int]


@dataclass(frozen=True, slots=True)
class Architecture:
    """features: the convolutions for a picture (height, width, channels), a zero point, and channels by `wide`.
    dense: outputs of the dense layers that follow, each with BatchNorm and sign, before the one that gives the scores.
    """

    features: Callable[[Picture, int, Wide], list[nn.Module]]
    dense: tuple[int, ...] = ()


def _tiny(picture: Picture, zero_point: int, wide: Wide) -> list[nn.Module]:
    """For pictures of about 8x8: 9 KB packed."""
    return [
        InputConv2d(picture[2], wide(32), 3, padding=1, zero_point=zero_point),
        nn.BatchNorm2d(wide(32)),
        Sign(),
        BinaryConv2d(wide(32), wide(64), 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(wide(64)),
        Sign(),
        BinaryConv2d(wide(64), wide(64), 3, padding=1),
        nn.BatchNorm2d(wide(64)),
        Sign(),
    ]


def _lenet(picture: Picture, zero_point: int, wide: Wide) -> list[nn.Module]:
    """For pictures of about 28x28: 14 KB packed. The stride of the first layer keeps training and inference quick."""
    return [
        InputConv2d(picture[2], wide(32), 5, stride=2, padding=2, zero_point=zero_point),
        nn.BatchNorm2d(wide(32)),
        Sign(),
        BinaryConv2d(wide(32), wide(64), 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(wide(64)),
        Sign(),
        BinaryConv2d(wide(64), wide(96), 3),
        nn.BatchNorm2d(wide(96)),
        Sign(),
    ]


def _alexnet(picture: Picture, zero_point: int, wide: Wide) -> list[nn.Module]:
    """The network of the paper, for pictures of 224x224: 7.8 MB packed with 1,000 classes.

    AlexNet as in XNOR-Net (Rastegari et al., 2016), max-pool between convolution and BatchNorm. Pictures below 128
    pixels get a first layer of 5x5 with stride 2 instead of 11x11 with stride 4, so that 64x64 and 32x32 still leave a
    map for the last pool.
    """
    height, width, channels = picture
    kernel, stride = (11, 4) if min(height, width) >= 128 else (5, 2)
    return [
        InputConv2d(channels, wide(96), kernel, stride=stride, padding=2, zero_point=zero_point),
        nn.MaxPool2d(3, stride=2),
        nn.BatchNorm2d(wide(96)),
        Sign(),
        BinaryConv2d(wide(96), wide(256), 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        nn.BatchNorm2d(wide(256)),
        Sign(),
        BinaryConv2d(wide(256), wide(384), 3, padding=1),
        nn.BatchNorm2d(wide(384)),
        Sign(),
        BinaryConv2d(wide(384), wide(384), 3, padding=1),
        nn.BatchNorm2d(wide(384)),
        Sign(),
        BinaryConv2d(wide(384), wide(256), 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.BatchNorm2d(wide(256)),
        Sign(),
    ]


ARCHITECTURES = {
    "bitflow-alexnet": Architecture(_alexnet, dense=(4096, 4096)),
    "bitflow-lenet": Architecture(_lenet),
    "bitflow-tiny": Architecture(_tiny),
}


def build(name: str, input_shape: Picture, classes: int, zero_point: int = 128, width: float = 1.0) -> nn.Sequential:
    """The architecture `name` with fresh weights for pictures (height, width, channels).

    width: all channels but those of picture and scores times this, rounded to a multiple of 8. The last layer is a
    BinaryLinear without BatchNorm, so that the scores are plain integers. Raises InputError for an unknown name, a
    width outside 0.03..4, and pictures that are too small.
    """
    recipe_for(name)
    require(0.03 <= width <= 4, f"width {width} is outside 0.03..4")
    architecture = ARCHITECTURES[name]

    def wide(channels: int) -> int:
        return max(8, 8 * round(channels * width / 8))

    features = nn.Sequential(*architecture.features(input_shape, zero_point, wide), nn.Flatten())
    count = _outputs(name, features, input_shape)
    dense: list[nn.Module] = []
    for outputs in map(wide, architecture.dense):
        dense += [BinaryLinear(count, outputs), nn.BatchNorm1d(outputs), Sign()]
        count = outputs
    return nn.Sequential(*features, *dense, BinaryLinear(count, classes)).train()


def _outputs(name: str, features: nn.Sequential, picture: Picture) -> int:
    """Values that the convolutions give for one picture."""
    height, width, channels = picture
    features.eval()  # a training pass over one image would not do for BatchNorm
    try:
        with torch.no_grad():
            return int(features(torch.zeros(1, channels, height, width)).shape[1])
    except RuntimeError as error:
        raise InputError(f"{name} does not take pictures as small as {height}x{width}") from error
