"""The networks for comparison with a BitFlow network: equal shapes, with floats in place of some or all bits.

bitflow   unchanged: 8-bit pixels, all weights and activations of one bit; BatchShift after fusion
xnor      XNOR-Net (Rastegari et al., 2016): first and last layer float, ReLU before the last; between them binary
          weights with scaling factor alpha, float BatchNorm, sign. The factor of the activations is left out, as in
          the authors' published code.
float     full precision: float weights, BatchNorm, ReLU

Where a BitFlow layer makes several bits of a channel, the others make one value of it, a ReLU or a sign. So their next
layer has fewer inputs, and the channels of all three are those of the accumulators.

In `float`, a residual layer becomes a pre-activation layer (BatchNorm, ReLU, convolution, added to the map), and int8
weights become floats; `xnor` leaves both unchanged. `Shift` remains only before a sign: BatchNorm's bias does the same.

All three keep the order of their layers. `xnor` and `float` are trained and evaluated in torch; nothing fuses them.
"""

from __future__ import annotations

from torch import Tensor, nn

from bitflow.errors import InputError
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Residual, Shift, Sign, Thermometer

__all__ = ["VARIANTS", "Centred", "variant"]

VARIANTS = ("float", "xnor", "bitflow")


class Centred(nn.Module):
    """8-bit pixels as floats in [-1, 1]: (x - zero point) / 128, in the same shape."""

    def __init__(self, zero_point: int) -> None:
        super().__init__()
        self.zero_point = zero_point

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.zero_point) / 128

    def extra_repr(self) -> str:
        return f"zero_point={self.zero_point}"


def variant(module: nn.Sequential, name: str) -> nn.Sequential:
    """The variant `name` of a network from `learn.networks.architectures.build`; float weights are fresh.

    Raises InputError for an unknown name.
    """
    if name not in VARIANTS:
        raise InputError(f"network {name!r} is unknown; choose of {', '.join(VARIANTS)}")
    if name == "bitflow":
        return module
    layers = list(module)
    last_sign = max(index for index, layer in enumerate(layers) if isinstance(layer, Sign))
    found: list[nn.Module] = []
    bits = 1  # of each value of the map that a layer gets
    for index, layer in enumerate(layers):
        outer = index == len(layers) - 1 or isinstance(layer, InputConv2d)
        if name == "float" or outer or index in (last_sign - 1, last_sign):  # a Shift before its sign
            found += _as_float(layer, bits)
        else:
            found.append(_of_values(layer, bits))
        bits = _bits_after(layer, bits)
    return nn.Sequential(*found).train(module.training)


def _bits_after(layer: nn.Module, bits: int) -> int:
    """Bits of a value of a layer's map, from those of the map that it gets."""
    match layer:
        case Thermometer():
            return layer.thresholds
        case InputConv2d() | BinaryConv2d() | BinaryLinear() | Residual():
            return 1
        case _:
            return bits


def _of_values(layer: nn.Module, bits: int) -> nn.Module:
    """The binary layer for one bit of each value. A layer that changes has fresh weights."""
    match layer:
        case Thermometer():
            return Sign(layer.estimator)
        case Residual():
            return _residual(layer, [_of_values(part, b) for part, b in _body(layer)])
        case BinaryConv2d() if bits > 1:
            return BinaryConv2d(
                layer.in_channels // bits, layer.out_channels, layer.kernel_size, layer.stride, layer.padding,
                layer.padding_value, scaled=layer.scaled, weight_bits=layer.weight_bits,
            )  # fmt: skip
        case BinaryLinear() if bits > 1:
            return BinaryLinear(layer.in_features // bits, layer.out_features, weight_bits=layer.weight_bits)
        case _:
            return layer


def _body(layer: Residual) -> list[tuple[nn.Module, int]]:
    """The layers of a residual layer, and how many bits a value has that each gets."""
    assert isinstance(layer.body, nn.Sequential)
    found, bits = [], 1
    for part in layer.body:
        found.append((part, bits))
        bits = _bits_after(part, bits)
    return found


def _residual(layer: Residual, body: list[nn.Module]) -> Residual:
    return Residual(nn.Sequential(*body), layer.shortcut)


def _as_float(layer: nn.Module, bits: int) -> list[nn.Module]:
    """The layer with float weights or activations. BatchNorm follows each convolution, so none has a bias.

    bits: of a value of the map that it gets.
    """
    match layer:
        case InputConv2d() | BinaryConv2d():
            convolution = nn.Conv2d(
                layer.in_channels // bits,
                layer.out_channels,
                layer.kernel_size,
                layer.stride,
                layer.padding[:2],  # top and left: architectures pad both ends alike
                groups=layer.groups,
                bias=False,
            )
            return [Centred(layer.zero_point), convolution] if isinstance(layer, InputConv2d) else [convolution]
        case BinaryLinear():
            return [nn.Linear(layer.in_features // bits, layer.out_features)]
        case Residual():
            return [_residual(layer, [twin for part, b in _body(layer) for twin in _as_float(part, b)])]
        case Shift():
            return []
        case Sign():
            return [nn.ReLU()]
        case _:
            return [layer]
