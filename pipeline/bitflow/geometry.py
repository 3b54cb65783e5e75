"""Shapes and windows: the geometry that every stage and every layer kind shares."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.errors import InputError

__all__ = ["ChannelOrder", "InputSpec", "Pool", "Resize", "Shape", "Window", "require"]


def require(condition: bool, message: str) -> None:
    """Raise InputError(message) unless the condition holds."""
    if not condition:
        raise InputError(message)


class ChannelOrder(IntEnum):
    """What the channels of the input mean; the values are those of a `.bfn`."""

    GRAY = 0
    RGB = 1
    BGR = 2
    OTHER = 3

    @classmethod
    def default(cls, channels: int) -> ChannelOrder:
        """What this number of channels means by default: one is gray, three are RGB."""
        return {1: cls.GRAY, 3: cls.RGB}.get(channels, cls.OTHER)


class Resize(IntEnum):
    """How a picture of another size is resized to the input's size."""

    NONE = 0
    STRETCH = 1
    CROP = 2


@dataclass(frozen=True, slots=True)
class Shape:
    """A map: height x width x channels."""

    height: int
    width: int
    channels: int

    def __post_init__(self) -> None:
        for f in fields(self):
            value = getattr(self, f.name)
            require(1 <= value <= 65535, f"{f.name} {value} of a map is outside 1..65535")

    @property
    def size(self) -> int:
        """Values in the map."""
        return self.height * self.width * self.channels

    @property
    def words(self) -> int:
        """32-bit words of the channel-packed map."""
        return self.height * self.width * bits.words_for(self.channels)

    def __str__(self) -> str:
        return f"{self.height}x{self.width}x{self.channels}"


@dataclass(frozen=True, slots=True)
class Window:
    """Geometry of a sliding window.

    kernel, stride, dilation: (rows, columns).
    padding: (top, left, bottom, right).
    """

    kernel: tuple[int, int]
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    dilation: tuple[int, int] = (1, 1)

    def __post_init__(self) -> None:
        require(all(1 <= k <= 65535 for k in self.kernel), f"kernel {self.kernel} is outside 1..65535")
        require(all(1 <= s <= 255 for s in self.stride), f"stride {self.stride} is outside 1..255")
        require(all(0 <= p <= 255 for p in self.padding), f"padding {self.padding} is outside 0..255")
        require(all(1 <= d <= 255 for d in self.dilation), f"dilation {self.dilation} is outside 1..255")

    def over(self, height: int, width: int) -> tuple[int, int]:
        """Height and width of the output for a map of height x width. Raises InputError if the window does not fit."""
        top, left, bottom, right = self.padding
        spans = [d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilation, strict=True)]
        room = (height + top + bottom - spans[0], width + left + right - spans[1])
        require(
            min(room) >= 0,
            f"a window of {spans[0]}x{spans[1]} does not fit a map of {height}x{width} with padding {self.padding}",
        )
        return room[0] // self.stride[0] + 1, room[1] // self.stride[1] + 1


@dataclass(frozen=True, slots=True)
class Pool:
    """Max-pool. A position outside the map never wins."""

    window: Window

    def __post_init__(self) -> None:
        (kh, kw), (top, left, bottom, right) = self.window.kernel, self.window.padding
        require(max(kh, kw) <= 255, f"pool window {kh}x{kw} is larger than 255")
        require(self.window.dilation == (1, 1), "a dilated max-pool is not supported")
        require(max(top, bottom) < kh and max(left, right) < kw, "a pool window may not lie outside the map")


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The input of a network: 8-bit pixels, what they mean, and how a picture becomes an input.

    shape: height, width and channels.
    dtype: type of a pixel.
    zero_point: the pixel value that counts as 0.
    channel_order: what the channels mean.
    resize: how a picture of another size is resized.
    """

    shape: Shape
    dtype: Literal["uint8", "int8"] = "uint8"
    zero_point: int = 128
    channel_order: ChannelOrder = ChannelOrder.OTHER
    resize: Resize = Resize.STRETCH

    def __post_init__(self) -> None:
        require(self.dtype in ("uint8", "int8"), f"input type {self.dtype!r} is neither 'uint8' nor 'int8'")
        low, high = self.pixel_range
        require(low <= self.zero_point <= high, f"zero point {self.zero_point} is outside {low}..{high}")

    @property
    def pixel_range(self) -> tuple[int, int]:
        return (0, 255) if self.dtype == "uint8" else (-128, 127)

    @property
    def bound(self) -> int:
        """Largest absolute value of pixel - zero point."""
        low, high = self.pixel_range
        return max(self.zero_point - low, high - self.zero_point)

    def check(self, images: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Images as an array [N, H, W, C] of the input's type. Raises InputError that says expected and actual."""
        images = np.asarray(images)
        want = (self.shape.height, self.shape.width, self.shape.channels)
        if images.ndim == 3 and images.shape[1:] == want[:2] and want[2] == 1:
            images = images[..., np.newaxis]
        require(
            images.ndim == 4 and images.shape[1:] == want,
            f"images must be [N, {', '.join(map(str, want))}], got {list(images.shape)}",
        )
        require(images.dtype == np.dtype(self.dtype), f"images must be {self.dtype}, got {images.dtype}")
        return images
