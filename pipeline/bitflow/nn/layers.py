"""Convolutions and dense layers with binary weights, and their sums."""

from __future__ import annotations

import math
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from bitflow.nn.estimators import binarise

__all__ = [
    "BinaryConv1d",
    "BinaryConv2d",
    "BinaryLinear",
    "InputConv1d",
    "InputConv2d",
    "Residual",
    "clip_latent",
]

Pair = tuple[int, int]
Sides = tuple[int, int, int, int]


def clip_latent(module: nn.Module) -> None:
    """Clip all latent weights in the module to [-1, 1]; call it after each step of the optimiser.

    Beyond +-1 the straight-through gradient is zero: a weight that drifts outside could never come back.
    """
    with torch.no_grad():
        for layer in module.modules():
            if isinstance(layer, _BinaryLayer):
                layer.weight.clamp_(-1, 1)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def _sides(padding: int | Pair | Sides) -> Sides:
    """(top, left, bottom, right) from one number, from (rows, columns) or from all four."""
    if isinstance(padding, tuple) and len(padding) == 4:
        return padding
    rows, columns = _pair(padding)
    return rows, columns, rows, columns


class _BinaryLayer(nn.Module):
    """Latent weights [out, ...], an optional bias [out], and the order of the arithmetic in `_finished`."""

    def __init__(self, shape: tuple[int, ...], bias: bool, scaled: bool, weight_bits: int) -> None:
        super().__init__()
        if weight_bits not in (1, 8):
            raise ValueError(f"weight_bits {weight_bits} is neither 1 nor 8")
        bound = math.prod(shape[1:]) ** -0.5
        self.scaled, self.weight_bits = scaled, weight_bits
        # The first of two training steps uses the latent weights themselves; see `float_weights`.
        self.float_weights = False
        self.weight = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(shape[0])) if bias else None

    def whole_weights(self) -> Tensor:
        """The weights as the layer uses them: +-1, or whole numbers -127..127 with 8 bits; gradients pass through.

        While `float_weights` is set (the first of two training steps) they are the latent weights themselves.
        """
        if self.float_weights:
            return self.weight
        if self.weight_bits == 1:
            return binarise(self.weight)
        wanted = self.weight.clamp(-1, 1) * 127
        return wanted + (torch.round(wanted) - wanted).detach() if self.training else torch.round(wanted)

    def scaling_factor(self) -> Tensor:
        """Alpha as the forward pass uses it: float32 [out], one mean |latent weight| per filter; 1/127 with 8 bits.

        The mean is taken in float64, so that its float32 does not depend on the number of threads.
        """
        if self.weight_bits == 8:
            return torch.full((self.weight.shape[0],), 1 / 127, device=self.weight.device)
        return self.weight.abs().double().flatten(1).mean(dim=1).float()

    def _training_weights(self) -> Tensor:
        """The weights times alpha: training need not be exact, so alpha takes no pass over the map."""
        weights = self.whole_weights()
        if self.float_weights or not self.scaled:
            return weights
        return weights * self.scaling_factor().view(-1, *(1,) * (weights.dim() - 1))

    def _finished(self, accumulator: Tensor) -> Tensor:
        """accumulator * alpha + bias along dimension 1, each rounded to float32. In training the weights hold alpha."""
        shape = (1, -1) + (1,) * (accumulator.dim() - 2)
        if not self.training:
            # Algorithms with inexact transforms (Winograd, FFT) may give values slightly off the integers.
            accumulator = torch.round(accumulator)
            if self.scaled:
                accumulator = accumulator * self.scaling_factor().view(shape)
        return accumulator if self.bias is None else accumulator + self.bias.view(shape)


class _Convolution(_BinaryLayer):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair,
        padding: int | Pair | Sides,
        groups: int,
        *,
        dilation: int | Pair,
        bias: bool,
        scaled: bool,
        weight_bits: int,
    ) -> None:
        if groups < 1 or in_channels % groups or out_channels % groups:
            raise ValueError(f"{in_channels} -> {out_channels} channels cannot be split into {groups} groups")
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.kernel_size, self.stride, self.padding = _pair(kernel_size), _pair(stride), _sides(padding)
        self.dilation = _pair(dilation)
        super().__init__((out_channels, in_channels // groups, *self.kernel_size), bias, scaled, weight_bits)

    def extra_repr(self) -> str:
        return f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, " + (
            f"padding={self.padding}, dilation={self.dilation}, groups={self.groups}, weight_bits={self.weight_bits}"
        )

    def _convolve(self, x: Tensor, fill: float) -> Tensor:
        """x [N, in, H, W] or [N, in, W], padded by `fill`, with whole weights -> [N, out, H', W'] or [N, out, W']."""
        flat = x.dim() == 3
        if flat:
            x = x.unsqueeze(2)
        if x.shape[1] == 1:  # one channel fits both layouts; torch is faster if told that the channels are last
            x = x.clone(memory_format=torch.channels_last)
        top, left, bottom, right = self.padding
        padded = functional.pad(x, (left, right, top, bottom), value=fill) if any(self.padding) else x
        weights = self._training_weights() if self.training else self.whole_weights()
        result = self._finished(functional.conv2d(padded, weights, None, self.stride, 0, self.dilation, self.groups))
        return result.squeeze(2) if flat else result


class InputConv2d(_Convolution):
    """First layer: 8-bit pixels minus the zero point, convolved with +-1 weights.

    In: float [N, in_channels, H, W] of whole numbers 0..255 (or -128..127). Out: float [N, out_channels, H', W'].
    A padded tap has the zero point's value, so it does not count.
    kernel_size, stride, dilation: an int or (rows, columns).
    padding: an int, (rows, columns) or (top, left, bottom, right).
    scaled: False leaves out alpha: the outputs are integers, which can be added.
    weight_bits: 1: +-1; 8: int8. ValueError if the channels cannot be split into the groups.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | Sides = 0,
        zero_point: int = 128,
        groups: int = 1,
        *,
        dilation: int | Pair = 1,
        bias: bool = False,
        scaled: bool = True,
        weight_bits: int = 1,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups,
            dilation=dilation, bias=bias, scaled=scaled, weight_bits=weight_bits,
        )  # fmt: skip
        self.zero_point = zero_point

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x - self.zero_point, 0.0)

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, zero_point={self.zero_point}"


class BinaryConv2d(_Convolution):
    """Convolution of +-1 with +-1 weights.

    In: float [N, in_channels, H, W] of +-1. Out: float [N, out_channels, H', W'].
    padding_value: of a padded tap: -1 (cheapest on a device: a bit 0), +1, or 0 (as in torch: it does not count); else
        ValueError. The rest as InputConv2d.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Pair,
        stride: int | Pair = 1,
        padding: int | Pair | Sides = 0,
        padding_value: int = -1,
        groups: int = 1,
        *,
        dilation: int | Pair = 1,
        bias: bool = False,
        scaled: bool = True,
        weight_bits: int = 1,
    ) -> None:
        if padding_value not in (-1, 0, 1):
            raise ValueError(f"padding_value {padding_value} is not -1, 0 or +1")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups,
            dilation=dilation, bias=bias, scaled=scaled, weight_bits=weight_bits,
        )  # fmt: skip
        self.padding_value = padding_value

    def forward(self, x: Tensor) -> Tensor:
        return self._convolve(x, float(self.padding_value))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, padding_value={self.padding_value}"


class InputConv1d(InputConv2d):
    """InputConv2d over sequences [N, channels, W], maps of height 1 on a device. padding: an int or (left, right)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Pair = 0,
        zero_point: int = 128,
        groups: int = 1,
        *,
        dilation: int = 1,
        **options: Any,
    ) -> None:
        left, right = _pair(padding)
        super().__init__(
            in_channels, out_channels, (1, kernel_size), (1, stride), (0, left, 0, right), zero_point, groups,
            dilation=(1, dilation), **options,
        )  # fmt: skip


class BinaryConv1d(BinaryConv2d):
    """BinaryConv2d over sequences [N, channels, W]. padding: an int or (left, right)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int | Pair = 0,
        padding_value: int = -1,
        groups: int = 1,
        *,
        dilation: int = 1,
        **options: Any,
    ) -> None:
        left, right = _pair(padding)
        super().__init__(
            in_channels, out_channels, (1, kernel_size), (1, stride), (0, left, 0, right), padding_value, groups,
            dilation=(1, dilation), **options,
        )  # fmt: skip


class BinaryLinear(_BinaryLayer):
    """Fully connected layer of +-1 with +-1 weights. In: float [N, in_features]. Out: float [N, out_features].

    Alpha is one number for the whole layer. So the logits of a last layer have the order of the integers: a tie of two
    integer scores is a tie of the logits, and the device needs no scale per class. scaled: False leaves out alpha.
    """

    def __init__(
        self, in_features: int, out_features: int, *, bias: bool = False, scaled: bool = True, weight_bits: int = 1
    ) -> None:
        self.in_features, self.out_features = in_features, out_features
        super().__init__((out_features, in_features), bias, scaled, weight_bits)

    def scaling_factor(self) -> Tensor:
        """Alpha as the forward pass uses it: float32 [out], the same number for each."""
        if self.weight_bits == 8:
            return super().scaling_factor()
        return self.weight.abs().double().mean().float().expand(self.out_features)

    def forward(self, x: Tensor) -> Tensor:
        weights = self._training_weights() if self.training else self.whole_weights()
        return self._finished(functional.linear(x, weights))

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, weight_bits={self.weight_bits}"


class Residual(nn.Module):
    """Sum of a body and a shortcut over the same map, as integers: put BatchNorm and Sign after it.

    body: a module whose results are whole numbers (a layer with scaled=False, or the +-1 of a Sign).
    shortcut: such a module with results of the same shape; without it the map itself is added.
    """

    def __init__(self, body: nn.Module, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut or nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.body(x) + self.shortcut(x))
