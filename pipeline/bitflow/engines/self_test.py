"""Random images for tests without data, and the self-test that every firmware carries."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.engines.reference import run_packed
from bitflow.geometry import InputSpec
from bitflow.packed import PackedNetwork

__all__ = ["random_images", "self_test"]


def random_images(input_spec: InputSpec, count: int, seed: int) -> npt.NDArray[Any]:
    """Images [count, H, W, C] of the input's type: noise, then flat images at both ends and at the zero point.

    Every second noise image has its own level and contrast: with uniform noise one class would nearly always win.
    """
    rng = np.random.default_rng(seed)
    low, high = input_spec.pixel_range
    shape = input_spec.shape
    images = rng.integers(low, high + 1, (count, shape.height, shape.width, shape.channels))
    own = images[1::2]
    level, contrast = rng.integers(low, high + 1, (len(own), 1, 1, shape.channels)), rng.random((len(own), 1, 1, 1))
    images[1::2] = np.clip(level + contrast * (own - (low + high) / 2), low, high)
    for index, value in zip(range(max(count - 3, 0), count), (low, high, input_spec.zero_point), strict=False):
        images[index] = value
    return images.astype(input_spec.dtype)


def self_test(network: PackedNetwork) -> tuple[npt.NDArray[Any], npt.NDArray[np.int32]]:
    """An image [H, W, C] of noise from a fixed seed, and the scores int32 [classes] that the NumPy reference gives."""
    images = random_images(network.input_spec, 4, seed=0)[:1]
    return images[0], run_packed(network, images).scores[0]
