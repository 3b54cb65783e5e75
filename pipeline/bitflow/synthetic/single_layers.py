"""Networks around one layer, on which kernels are measured and checked.

A first layer makes random bits from random pixels. The measured layer follows, and a few filters reduce its map to two
scores. Weights are random. Some BatchShifts are ties, some have extreme values.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from bitflow import bits
from bitflow.errors import InputError
from bitflow.geometry import InputSpec, Pool, Shape, Window
from bitflow.ir import INPUT, LayerKind, MapType, PackedLayer, PackedNetwork

__all__ = ["MEASURED", "Spec", "parse", "random_spec", "row_of_layers", "single_layer", "typical_spec"]

MEASURED = "layer"  # the name of the measured layer
_STEM = "stem"
_MOST_BITS = 96  # channels of the map of a random layer with several thresholds
_PATTERN = re.compile(
    r"(?P<kind>conv|first)(?P<kh>\d+)x(?P<kw>\d+):(?P<h>\d+)x(?P<w>\d+)x(?P<cin>\d+)-(?P<cout>\d+)"
    r"(?:/s(?P<stride>[1-9]\d*)|/p(?P<pad>-1|0|\+1)|/g(?P<groups>[1-9]\d*)|/t(?P<thresholds>[1-8]))*"
)
_DENSE = re.compile(r"dense:(?P<n>\d+)-(?P<m>\d+)(?:/t(?P<thresholds>[1-8]))?")


@dataclass(frozen=True, slots=True)
class Spec:
    """A layer.

    kind: LayerKind INPUT_CONV, CONV or DENSE.
    source: shape of the map that it reads.
    channels: number of filters.
    thresholds: bits that each of them gives.
    far: how many of 16 BatchShifts have extreme values.
    """

    kind: LayerKind
    source: Shape
    channels: int
    window: Window
    groups: int = 1
    pad_value: int = -1
    pool: Pool | None = None
    zero_point: int = 128
    far: int = 0
    thresholds: int = 1

    @property
    def conv_map(self) -> Shape:
        if self.kind is LayerKind.DENSE:
            return Shape(1, 1, self.channels)
        return Shape(*self.window.over(self.source.height, self.source.width), self.channels)


def parse(text: str) -> Spec:
    """The layer that `bitflow bench --layer` describes.

    conv<k>x<k>:HxWxCin-Cout[/s<stride>][/p<-1|0|+1>][/g<groups>], dense:N-M, first<k>x<k>:HxWxC-Cout[/s<stride>], each
    with [/t<thresholds>]. Cout is the number of filters. Rows and columns are padded so that a stride of 1 keeps the
    size of the map. Raises InputError.
    """
    found = _DENSE.fullmatch(text)
    if found:
        source = Shape(1, 1, int(found["n"]))
        return Spec(LayerKind.DENSE, source, int(found["m"]), Window((1, 1)), thresholds=int(found["thresholds"] or 1))
    found = _PATTERN.fullmatch(text)
    if not found:
        raise InputError(
            f"no layer is called {text!r}: try conv3x3:16x16x64-64, conv3x3:32x32x32-64/s2/p0, dense:1024-256 "
            "or first3x3:28x28x1-32/t2"
        )
    kernel = int(found["kh"]), int(found["kw"])
    stride = int(found["stride"] or 1)
    before = [(k - 1) // 2 for k in kernel]
    padding = (before[0], before[1], kernel[0] - 1 - before[0], kernel[1] - 1 - before[1])
    first = found["kind"] == "first"
    groups = int(found["groups"] or 1)
    spec = Spec(
        LayerKind.INPUT_CONV if first else LayerKind.CONV,
        Shape(int(found["h"]), int(found["w"]), int(found["cin"])),
        int(found["cout"]),
        Window(kernel, (stride, stride), padding),
        groups,
        0 if first else int(found["pad"] or -1),
        thresholds=int(found["thresholds"] or 1),
    )
    if spec.source.channels % groups or spec.channels % groups:
        raise InputError(f"{text}: {groups} groups do not divide the channels")
    _ = spec.conv_map  # raises InputError if the window does not fit
    return spec


def random_spec(seed: int) -> Spec:
    """A random convolution of any geometry that some fast kernel covers."""
    rng = np.random.default_rng((seed, 2))
    kernel = tuple(int(rng.choice((1, 2, 3, 3, 3, 4, 5, 7))) for _ in range(2))
    stride = tuple(int(rng.choice((1, 1, 1, 2))) for _ in range(2))
    dilation = tuple(int(rng.choice((1, 1, 1, 1, 2, 3))) for _ in range(2))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    same = rng.random() < 0.5
    pads = [
        ((s - 1) // 2, s - 1 - (s - 1) // 2) if same else (int(rng.integers(0, 4)), int(rng.integers(0, 4)))
        for s in spans
    ]
    height, width = (
        int(rng.integers(max(1, s - p[0] - p[1]), 41 if rng.random() < 0.2 else 18 + s))
        for s, p in zip(spans, pads, strict=True)
    )
    taps = kernel[0] * kernel[1]
    most = max(2, min(70, 4095 // taps))
    cin = int(rng.choice((int(rng.integers(1, most)), min(32, most), min(16, most))))
    while height * width * cin * taps > 600_000:
        cin = max(1, cin // 2)
        height, width = max(spans[0], height // 2), max(spans[1], width // 2)
    window = Window(
        (kernel[0], kernel[1]), (stride[0], stride[1]), (pads[0][0], pads[1][0], pads[0][1], pads[1][1]),
        (dilation[0], dilation[1]),
    )  # fmt: skip
    channels = 4 * int(rng.integers(1, 11))
    spec = Spec(LayerKind.CONV, Shape(height, width, cin), channels, window, 1, int(rng.integers(-1, 2)), far=2)
    spec = replace(spec, pool=_random_pool(rng, spec.conv_map), zero_point=int(rng.integers(0, 256)))
    return replace(spec, thresholds=_random_thresholds(rng, channels))


def _random_thresholds(rng: np.random.Generator, filters: int) -> int:
    """One for about half of the layers; not so many that a map has very many channels."""
    return int(rng.choice([1, 1, 1, *(t for t in (2, 3, 4, 7, 8) if t * filters <= _MOST_BITS)]))


def _random_pool(rng: np.random.Generator, conv: Shape) -> Pool | None:
    draw = rng.random()
    if draw < 0.5 or min(conv.height, conv.width) < 2:
        return None
    if draw < 0.75:
        return Pool(Window((2, 2), (2, 2)))
    kernel = tuple(int(rng.integers(1, min(6, side + 1))) for side in (conv.height, conv.width))
    stride = tuple(int(rng.integers(1, 4)) for _ in range(2))
    pads = tuple(int(rng.integers(0, k)) for k in (*kernel, *kernel))
    return Pool(Window((kernel[0], kernel[1]), (stride[0], stride[1]), pads))  # type: ignore[arg-type]


def single_layer(spec: Spec, seed: int) -> PackedNetwork:
    """Pixels -> bits -> the layer -> a few bits -> scores; a first layer takes the pixels itself."""
    rng = np.random.default_rng((seed, 3))
    if spec.kind is LayerKind.INPUT_CONV:
        input_spec = InputSpec(spec.source, "uint8", spec.zero_point)
        layers = [_layer(rng, MEASURED, INPUT, spec, input_spec)]
    else:
        source = spec.source
        flat = spec.kind is LayerKind.DENSE
        pixels = (
            Shape(source.height, source.width, min(source.channels, 64))
            if flat
            else Shape(source.height, source.width, 1)
        )
        input_spec = InputSpec(pixels, "uint8", spec.zero_point)
        stem = Spec(LayerKind.INPUT_CONV, pixels, source.channels, *_stem_window(flat))
        layers = [_layer(rng, _STEM, INPUT, stem, input_spec), _layer(rng, MEASURED, 0, spec, input_spec)]
    if layers[-1].target.height * layers[-1].target.width > 1:
        last = Spec(LayerKind.CONV, layers[-1].target, 4, Window((1, 1)))
        layers.append(_layer(rng, "few", len(layers) - 1, last, input_spec))
    source = layers[-1].target
    end = Spec(LayerKind.DENSE, source, 2, Window((source.height, source.width)))
    layers.append(_scores(_layer(rng, "scores", len(layers) - 1, end, input_spec)))
    return PackedNetwork(f"single-{seed}", input_spec, tuple(layers), ())


def row_of_layers(name: str, specs: Sequence[Spec], seed: int) -> PackedNetwork:
    """A network of random layers, each reading the map of the one before; the last one is dense and gives scores."""
    rng = np.random.default_rng((seed, 5))
    input_spec = InputSpec(specs[0].source, "uint8", specs[0].zero_point)
    layers = [_layer(rng, f"{spec.kind.name.lower()}{i}", i - 1, spec, input_spec) for i, spec in enumerate(specs)]
    return PackedNetwork(name, input_spec, (*layers[:-1], _scores(layers[-1])), ())


def _stem_window(flat: bool) -> tuple[Window, int, int]:
    """Window, groups and padding value of the first layer: 3x3 mixes pixels, so that channels differ."""
    return (Window((1, 1)), 1, 0) if flat else (Window((3, 3), (1, 1), (1, 1, 1, 1)), 1, 0)


def _layer(rng: np.random.Generator, name: str, source: int, spec: Spec, input_spec: InputSpec) -> PackedLayer:
    taps = spec.window.kernel[0] * spec.window.kernel[1] * (spec.source.channels // spec.groups)
    bound = taps * (input_spec.bound if spec.kind is LayerKind.INPUT_CONV else 1)
    conv = spec.conv_map
    over = spec.pool.window.over(conv.height, conv.width) if spec.pool else (conv.height, conv.width)
    return PackedLayer(
        name=name,
        kind=spec.kind,
        sources=(source,),
        source=spec.source,
        conv=conv,
        target=Shape(*over, spec.thresholds * spec.channels),
        output_type=MapType.BITS,
        bound=bound,
        window=spec.window,
        groups=spec.groups,
        pad_value=spec.pad_value if any(spec.window.padding) and spec.kind is LayerKind.CONV else 0,
        pool=spec.pool,
        weight_bits=1,
        weights=bits.pack(rng.random((spec.channels, taps)) < 0.5),
        shift=_shifts(rng, spec, bound),
        pool_and=bits.pack(rng.random(spec.thresholds * spec.channels) < 0.3) if spec.pool else None,
    )


def _shifts(rng: np.random.Generator, spec: Spec, bound: int) -> npt.NDArray[np.int32]:
    """BatchShifts, mostly near 0, where bits are 1 as often as 0."""
    spread = max(1, round(0.5 * bound**0.5))
    count = spec.thresholds * spec.channels
    near = rng.integers(-spread, spread + 1, count)
    far = rng.choice((bound, -(bound + 1), bound - 1, -bound, bound // 2, -(bound // 2)), count)
    return np.where(rng.random(count) < spec.far / 16, far, near).astype(np.int32)


def _scores(layer: PackedLayer) -> PackedLayer:
    ones = np.ones(layer.target.channels, dtype=np.int32)
    return replace(layer, output_type=MapType.SCORES, shift=ones, offset=0 * ones)


def typical_spec(seed: int) -> Spec:
    """A layer typical of networks for small chips: a convolution, sometimes a first or a dense layer."""
    rng = np.random.default_rng((seed, 4))
    draw = rng.random()
    channels = [int(8 * rng.choice((1, 2, 3, 4, 4, 6, 8, 8, 12, 16))) for _ in range(2)]
    side = int(rng.integers(5, 34)), int(rng.integers(5, 34))
    kernel = int(rng.choice((1, 3, 3, 3, 5)))
    if draw < 0.15:
        source = Shape(1, 1, 32 * int(rng.integers(2, 40)))
        spec = Spec(LayerKind.DENSE, source, 8 * int(rng.integers(1, 40)), Window((1, 1)))
        return replace(spec, thresholds=_random_thresholds(rng, spec.channels))
    stride = int(rng.choice((1, 1, 1, 2)))
    pad = kernel // 2 if rng.random() < 0.8 else 0
    window = Window((kernel, kernel), (stride, stride), (pad, pad, pad, pad))
    if draw < 0.3:
        source = Shape(*side, int(rng.choice((1, 1, 3, 3, 2, 4))))
        spec = Spec(LayerKind.INPUT_CONV, source, channels[1], window, 1, 0)
        return replace(spec, thresholds=_random_thresholds(rng, spec.channels))
    while side[0] * side[1] * channels[0] * channels[1] * kernel**2 > 12_000_000:
        channels = [max(8, c // 16 * 8) for c in channels]
    spec = Spec(LayerKind.CONV, Shape(*side, channels[0]), channels[1], window, 1, int(rng.choice((-1, -1, 0, 0, 1))))
    pooled = min(spec.conv_map.height, spec.conv_map.width) > 1 and rng.random() < 0.3
    spec = replace(spec, pool=Pool(Window((2, 2), (2, 2)))) if pooled else spec
    return replace(spec, thresholds=_random_thresholds(rng, spec.channels))
