"""The fixed float32 arithmetic of the float reference, in NumPy.

torch does not fix how a network rounds, so BitFlow does (it is what torch's CPU kernels with FMA compute):

    z = float32(scale * x)                    x: the exact integer accumulator
    z = float32(z + bias)                     where the layer has a bias
    y = float32(fma(z, a, b))                 where it has a BatchNorm, with float32
        a = weight * (1 / sqrt(variance + eps)),  b = fma(-mean, a, bias)

A product of two float32 is exact in float64, so float32(float64(z) * a + b) serves as the fused multiply-add. Each of
these functions is monotone in x, which is what `fuse` rests on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.ir import BatchNorm, Layer

__all__ = ["affine", "normalise", "scale", "slope", "value"]

Float = npt.NDArray[np.float32]


def affine(norm: BatchNorm) -> tuple[Float, Float]:
    """a and b of a BatchNorm, float32 [channels] each."""
    inverse = np.float32(1) / np.sqrt(norm.variance + np.float32(norm.eps))
    a = (norm.weight * inverse).astype(np.float32)
    b = (-norm.mean.astype(np.float64) * a + norm.bias).astype(np.float32)
    return a, b


def scale(layer: Layer, accumulators: npt.NDArray[Any]) -> Float:
    """z of integer accumulators [..., channels]."""
    z: Float = (layer.scale.astype(np.float64) * accumulators).astype(np.float32)
    return z if layer.bias is None else z + layer.bias


def normalise(layer: Layer, z: Float) -> Float:
    """y of z [..., channels]; z itself where the layer has no BatchNorm."""
    if layer.norm is None:
        return z
    a, b = affine(layer.norm)
    return (z.astype(np.float64) * a + b).astype(np.float32)


def value(layer: Layer, accumulators: npt.NDArray[Any]) -> Float:
    """What the sign, or the arg-max, sees for integer accumulators [..., channels]."""
    return normalise(layer, scale(layer, accumulators))


def slope(layer: Layer) -> npt.NDArray[np.float64]:
    """Sign and size with which `value` grows in the accumulator, float64 [channels]."""
    factor = layer.scale.astype(np.float64)
    return factor if layer.norm is None else factor * affine(layer.norm)[0]
