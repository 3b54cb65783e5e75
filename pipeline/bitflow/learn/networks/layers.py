"""The text that describes a network, one word per layer, as in recipes and `bitflow search`. No torch here.

    conv5x5:32/stride2 conv3x3:64/pool2 res3x3:64 conv3x3:96/pad0 dense:256

BatchNorm and sign follow each layer; after the last one comes the dense layer with the scores. The first layer is a
convolution of the pixels. Options follow slashes:

    strideN            stride of the convolution; stride1x2: of rows and columns
    padN               padding; pad0x2: of rows and columns; by default the map keeps its size (at stride 1)
    pool2, pool3s2     max-pool of 2x2, of 3x3 with stride 2, before BatchNorm and sign; pool1x2 on a map of height 1
    bitpool2           the same after the sign, where the maximum of bits is their OR
    groupsN            the channels in N groups
    w8                 int8 weights
    shift              a learnable number per channel before the sign
    t3                 three signs with a learnable shift each (at most 8; `bitflow.nn.Thermometer`): three bits a
                       channel, so that the next layer gets three times the channels; no more products in this layer

res3x3:64 is a residual layer: sign, convolution, and an integer addition of the map before that sign (Bi-Real Net, Liu
et al., 2018). It follows a convolution with the same number of channels. The sign inside it is that of the layer
before: conv3x3:64/t3 res3x3:64 convolves 192 bits, and adds 64 integers. Groups cannot follow several bits a channel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, cast

from bitflow.accumulation import MAX_THRESHOLDS
from bitflow.errors import InputError
from bitflow.geometry import require

__all__ = ["LayerText", "Pooling", "parse_layers", "widened", "widened_text"]

Pair = tuple[int, int]

_WORD = re.compile(r"(conv|res)(\d{1,2})x(\d{1,2}):(\d{1,5})((?:/\w+)*)|dense:(\d{1,5})((?:/\w+)*)")
_POOL = re.compile(r"(bit)?pool(\d{1,2})(?:x(\d{1,2}))?(?:s(\d{1,2})(?:x(\d{1,2}))?)?")
_STRIDE = re.compile(r"stride(\d{1,2})(?:x(\d{1,2}))?")
_PAD = re.compile(r"pad(\d{1,2})(?:x(\d{1,2}))?")
_GROUPS = re.compile(r"groups(\d{1,5})")
_THRESHOLDS = re.compile(r"t(\d{1,2})")
_MOST_LAYERS = 100
_OPTIONS = "strideN, padN, poolN, bitpoolN, groupsN, w8, shift, tN"


@dataclass(frozen=True, slots=True)
class Pooling:
    """A max-pool.

    kernel, stride: (rows, columns).
    bits: after the sign, not before BatchNorm.
    """

    kernel: Pair
    stride: Pair
    bits: bool


@dataclass(frozen=True, slots=True)
class LayerText:
    """A hidden layer as described by its word.

    kernel: (rows, columns); (1, 1) for a dense layer.
    padding: (rows, columns); None: the map keeps its size.
    thresholds: T, bits of each channel.
    text: the word.
    """

    kind: Literal["conv", "res", "dense"]
    channels: int
    kernel: Pair = (1, 1)
    stride: Pair = (1, 1)
    padding: Pair | None = None
    pool: Pooling | None = None
    groups: int = 1
    weight_bits: int = 1
    shift: bool = False
    thresholds: int = 1
    text: str = ""

    @property
    def sides(self) -> Pair:
        """Padding of rows and columns: the given one, else the one that keeps the map's size."""
        if self.padding is not None:
            return self.padding
        return (self.kernel[0] - 1) // 2, (self.kernel[1] - 1) // 2


def parse_layers(text: str) -> tuple[LayerText, ...]:
    """The layers that a text describes. Raises InputError that names the wrong word."""
    words = text.split()
    require(1 <= len(words) <= _MOST_LAYERS, f"a network has 1 to {_MOST_LAYERS} hidden layers, not {len(words)}")
    layers = tuple(_layer(word) for word in words)
    require(layers[0].kind == "conv", f"the first layer must be a convolution, not {layers[0].text!r}")
    for before, layer in pairwise(layers):
        if layer.kind == "res":
            same = before.kind in ("conv", "res") and before.channels == layer.channels
            require(same, f"layer {layer.text!r} must follow a convolution of {layer.channels} channels")
            plain = before.pool is None or not before.pool.bits
            require(
                plain and before is not layers[0], f"layer {layer.text!r} adds integers, but there are none before it"
            )
        else:
            require(before.kind != "dense" or layer.kind == "dense", f"layer {layer.text!r} follows a dense layer")
        alone = layer.groups == 1 or before.thresholds == 1
        require(alone, f"layer {layer.text!r} cannot divide {before.thresholds} bits a channel into groups")
    return layers


def widened(channels: int, width: float) -> int:
    """Channels times a factor, rounded to a multiple of 8; unchanged if the factor is 1."""
    return channels if width == 1 else max(8, 8 * round(channels * width / 8))


def widened_text(text: str, width: float) -> str:
    """The text of the network with `widened` channels."""
    return re.sub(r":(\d+)", lambda found: f":{widened(int(found[1]), width)}", text)


def _layer(word: str) -> LayerText:
    found = _WORD.fullmatch(word)
    if found is None:
        raise InputError(f"layer {word!r} is not one of convKxK:CHANNELS, resKxK:CHANNELS, dense:OUTPUTS")
    kind, rows, columns, channels, options, outputs, dense_options = found.groups()
    if outputs is not None:
        return _checked(LayerText("dense", int(outputs), text=word, **_options(word, dense_options)))
    kernel = (int(rows), int(columns))
    which = cast(Literal["conv", "res"], kind)
    return _checked(LayerText(which, int(channels), kernel, text=word, **_options(word, options)))


def _options(word: str, text: str) -> dict[str, Any]:
    given: dict[str, Any] = {}
    for option in text.split("/")[1:]:
        key, value = _option(word, option)
        require(key not in given, f"layer {word!r} says {key} twice")
        given[key] = value
    return given


def _option(word: str, option: str) -> tuple[str, Any]:
    if option == "shift":
        return option, True
    if option == "w8":
        return "weight_bits", 8
    if found := _STRIDE.fullmatch(option):
        return "stride", _pair(found[1], found[2])
    if found := _PAD.fullmatch(option):
        return "padding", _pair(found[1], found[2])
    if found := _GROUPS.fullmatch(option):
        return "groups", int(found[1])
    if found := _THRESHOLDS.fullmatch(option):
        return "thresholds", int(found[1])
    if found := _POOL.fullmatch(option):
        kernel = _pair(found[2], found[3])
        return "pool", Pooling(kernel, _pair(found[4], found[5]) if found[4] else kernel, found[1] is not None)
    raise InputError(f"layer {word!r}: {option!r} is not one of {_OPTIONS}")


def _pair(rows: str, columns: str | None) -> Pair:
    return int(rows), int(rows if columns is None else columns)


def _checked(layer: LayerText) -> LayerText:
    word = repr(layer.text)
    sizes = [*layer.kernel, *layer.stride, layer.groups, layer.channels]
    if layer.pool is not None:
        sizes += [*layer.pool.kernel, *layer.pool.stride]
    require(min(sizes) >= 1, f"layer {word} has a size of 0")
    several = f"layer {word}: {layer.thresholds} bits a channel are outside 1..{MAX_THRESHOLDS}"
    require(1 <= layer.thresholds <= MAX_THRESHOLDS, several)
    require(layer.thresholds == 1 or not layer.shift, f"layer {word}: each of several signs has a shift already")
    if layer.kind == "dense":
        plain = layer.stride == (1, 1) and layer.pool is None and layer.padding is None and layer.groups == 1
        require(plain, f"layer {word}: a dense layer has neither stride, padding, pool nor groups")
    if layer.kind == "res":
        require(layer.stride == (1, 1) and layer.padding is None, f"layer {word}: what it adds must keep its size")
        require(all(size % 2 for size in layer.kernel), f"layer {word}: what it adds must keep its size")
        require(layer.groups == 1 and layer.weight_bits == 1, f"layer {word} has one group of +-1 weights")
    return layer
