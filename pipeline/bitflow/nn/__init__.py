"""Binary layers for your own torch modules, with the straight-through estimator and the XNOR scaling factor.

A module takes float [N, C, H, W] with pixel values (0..255, or -128..127) and returns float logits [N, classes]:

    nn.Sequential(
        InputConv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), Sign(),
        BinaryConv2d(16, 32, 3, padding=1), nn.MaxPool2d(2), nn.BatchNorm2d(32), Sign(),
        nn.Flatten(), BinaryLinear(32 * 14 * 14, 10),
    )

In eval mode a layer convolves with *exact* +-1 weights and multiplies the **result** by the scaling factor alpha = mean
|latent weight|. If the weights held the factor, float32 would give several values for one integer accumulator,
depending on batch and memory layout, and no network fused from the module could be exact.

Sources: the straight-through estimator with clipping, Hubara et al., "Binarized Neural Networks", 2016; the scaling
factor, Rastegari et al., "XNOR-Net", 2016.
"""

from bitflow.nn.estimators import ESTIMATORS, binarise
from bitflow.nn.layers import (
    BinaryConv1d,
    BinaryConv2d,
    BinaryLinear,
    InputConv1d,
    InputConv2d,
    Residual,
    clip_latent,
)
from bitflow.nn.signs import Shift, Sign, Thermometer

__all__ = [
    "ESTIMATORS",
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryLinear",
    "InputConv1d",
    "InputConv2d",
    "Residual",
    "Shift",
    "Sign",
    "Thermometer",
    "binarise",
    "clip_latent",
]
