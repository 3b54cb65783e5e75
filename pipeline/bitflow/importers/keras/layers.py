"""The layers of Larq and Keras as operations of `graph`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import InputError
from bitflow.importers import graph as g
from bitflow.importers.reader import Reader
from bitflow.ir import BatchNorm

__all__ = ["ACTIVATION_QUANTIZERS", "KERNEL_QUANTIZERS", "LAYERS", "KerasLayer", "KerasReader"]

Array = npt.NDArray[Any]
Weights = Mapping[str, Array]
_SIGNS = {"ste_sign", "approx_sign", "swish_sign", "SteSign", "ApproxSign", "SwishSign"}
_SCALED_SIGNS = {"magnitude_aware_sign", "MagnitudeAwareSign"}
_STEPS = {"ste_heaviside", "SteHeaviside"}
ACTIVATION_QUANTIZERS = _SIGNS | _STEPS
KERNEL_QUANTIZERS = _SIGNS | _SCALED_SIGNS


@dataclass(frozen=True, slots=True)
class KerasLayer:
    """A layer's configuration.

    inbound: the sources of a layer in a graph.
    """

    name: str
    kind: str
    config: Mapping[str, Any]
    inbound: Any

    @classmethod
    def of(cls, item: Any) -> KerasLayer:
        """Read an entry of the list of layers."""
        if not isinstance(item, dict) or not isinstance(item.get("config"), dict):
            raise InputError("the configuration of a layer is damaged")
        kind = str(item.get("class_name", "")).rpartition(">")[2]
        name = str(item["config"].get("name") or item.get("name") or kind)
        return cls(name, kind, item["config"], item.get("inbound_nodes", []))

    def get(self, name: str, default: Any) -> Any:
        """An option."""
        value = self.config.get(name, default)
        return default if value is None else value

    def pair(self, name: str, default: int = 1) -> tuple[int, int]:
        """(rows, columns) of an option; (1, columns) for a 1-D layer."""
        value = self.get(name, default)
        numbers = [int(n) for n in value] if isinstance(value, list | tuple) else [int(value)]
        if not 1 <= len(numbers) <= 2 or min(numbers) < 1:
            raise InputError(f"layer {self.name!r}: {name} = {value}")
        return (numbers[0] if not self.kind.endswith("1D") else 1, numbers[-1])

    def quantizer(self, name: str) -> str:
        """Name of a quantizer, "" for none."""
        value = self.config.get(name)
        if isinstance(value, dict):
            value = value.get("class_name")
        return "" if value in (None, "NoOp", "no_op") else str(value).rpartition(">")[2]


@dataclass(slots=True)
class KerasReader(Reader):
    """Reads layers.

    outputs: tensor of each layer.
    shapes: shapes of tensors, without the batch.
    ended: name of the layer after which nothing may follow.
    """

    outputs: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    ended: str = ""

    def begin(self, shape: tuple[int, ...]) -> None:
        """The input."""
        self.tensors.add("input")
        self.shapes["input"] = shape
        self.outputs["input"] = "input"

    def alias_input(self, name: str) -> None:
        """The input layer's own name."""
        self.outputs[name] = "input"

    def call(self, layer: KerasLayer, sources: list[str], weights: Weights) -> None:
        """Read a layer that takes the outputs of others."""
        if self.ended:
            raise self.refuse(layer.name, f"follows {self.ended!r}")
        translate = LAYERS.get(layer.kind)
        if translate is None:
            raise self.refuse(layer.name, f"is a {layer.kind}, which is unknown to BitFlow")
        tensors = [self.outputs[source] for source in sources]
        self.outputs[layer.name] = translate(self, layer, tensors, weights)

    def put(self, layer: KerasLayer, op: g.Op, source: str, shape: tuple[int, ...], part: str = "") -> str:
        """Append a node.

        part: name of the part, for a layer that needs several nodes.
        """
        to = f"{layer.name}:{part}" if part else f"{layer.name}:out"
        self.shapes[to] = shape
        return self.emit(layer.name, op, source, to=to)

    def binarised(self, layer: KerasLayer, source: str, quantizer: str) -> str:
        """The input of a layer after its input quantizer."""
        shape = self.shapes[source]
        if quantizer == "":
            return source
        if quantizer in _SIGNS:
            return self.put(layer, g.SignOf(1), source, shape, "bits")
        if quantizer in _STEPS:
            self.compare(layer.name, "gt", source, np.zeros(1, np.float32), f"{layer.name}:truth")
            number = self.resolve(layer.name, f"{layer.name}:truth")
            self.shapes[number] = shape
            return number
        raise self.refuse(layer.name, f"input quantizer {quantizer}: not one bit")

    def quantised(self, layer: KerasLayer, kernel: Array, quantizer: str) -> Array:
        """A kernel [..., out] after its quantizer."""
        if quantizer == "":
            return kernel
        signs = np.where(kernel >= 0, np.float32(1), np.float32(-1))
        if quantizer in _SIGNS:
            return signs
        if quantizer in _SCALED_SIGNS:
            return np.asarray(signs * np.abs(kernel).mean(axis=tuple(range(kernel.ndim - 1)), dtype=np.float32))
        raise self.refuse(layer.name, f"kernel quantizer {quantizer}: neither -1 and +1 nor a sign with a factor")


def _variable(reader: KerasReader, layer: KerasLayer, weights: Weights, name: str, axes: int) -> Array:
    if name not in weights:
        raise InputError(f"layer {layer.name!r}: the file holds no {name}")
    array = weights[name]
    if array.ndim != axes or not array.size:
        raise InputError(f"layer {layer.name!r}: {name} has shape {array.shape}, not {axes} axes")
    return array


def _bias(layer: KerasLayer, weights: Weights, count: int) -> Array | None:
    if not layer.get("use_bias", True):
        return None
    if "bias" not in weights or weights["bias"].shape != (count,):
        raise InputError(f"layer {layer.name!r}: the file holds no bias of {count} numbers")
    return weights["bias"]


def _size(reader: KerasReader, layer: KerasLayer, source: str) -> tuple[int, int, int]:
    """(height, width, channels) of a map; a 1-D map has height 1."""
    shape = reader.shapes[source]
    wanted = 2 if layer.kind.endswith("1D") else 3
    if len(shape) != wanted:
        raise reader.refuse(layer.name, f"takes a map of {wanted} axes, not {shape}")
    if layer.get("data_format", "channels_last") != "channels_last":
        raise reader.refuse(layer.name, "is channels-first; Larq's and Keras's own order is channels-last")
    return (1, *shape) if wanted == 2 else (shape[0], shape[1], shape[2])  # type: ignore[return-value]


def _same(size: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> tuple[int, int, int, int]:
    """TensorFlow's padding "same": an odd row or column goes to the end."""
    total = [max((-(-n // s) - 1) * s + k - n, 0) for n, k, s in zip(size, kernel, stride, strict=True)]
    return total[0] // 2, total[1] // 2, total[0] - total[0] // 2, total[1] - total[1] // 2


def _window(
    reader: KerasReader, layer: KerasLayer, size: tuple[int, int], spans: tuple[int, int], stride: tuple[int, int]
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Padding and size of the result."""
    padding = layer.get("padding", "valid")
    if padding not in ("valid", "same", "causal"):
        raise reader.refuse(layer.name, f"padding {padding!r}")
    sides = _same(size, spans, stride) if padding == "same" else (0, 0, 0, 0)
    if padding == "causal":
        sides = (0, spans[1] - 1, 0, 0)
    out = [(n + a + b - k) // s + 1 for n, a, b, k, s in zip(size, sides[:2], sides[2:], spans, stride, strict=True)]
    if min(out) < 1:
        raise InputError(f"layer {layer.name!r}: its window does not fit a map of {size[0]}x{size[1]}")
    return sides, (out[0], out[1])


def _conv(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    height, width, channels = _size(reader, layer, sources[0])
    flat = layer.kind.endswith("1D")
    depthwise = "Depthwise" in layer.kind
    name = "depthwise_kernel" if depthwise else "kernel"
    if depthwise and name not in weights:
        name = "kernel"
    kernel = _variable(reader, layer, weights, name, 3 if flat else 4)
    kernel = reader.quantised(
        layer, kernel, layer.quantizer("depthwise_quantizer" if depthwise else "kernel_quantizer")
    )
    kernel = kernel[None] if flat else kernel
    if depthwise:
        if kernel.shape[2] != channels:
            raise InputError(f"layer {layer.name!r}: {kernel.shape[2]} channels, the map before it has {channels}")
        filters = kernel.transpose(2, 3, 0, 1).reshape(-1, 1, *kernel.shape[:2])
    else:
        filters = kernel.transpose(3, 2, 0, 1)
    groups = channels if depthwise else int(layer.get("groups", 1))
    stride, dilation = layer.pair("strides"), layer.pair("dilation_rate")
    spans = (dilation[0] * (filters.shape[2] - 1) + 1, dilation[1] * (filters.shape[3] - 1) + 1)
    sides, out = _window(reader, layer, (height, width), spans, stride)
    bias = _bias(layer, weights, len(filters))
    fill = float(layer.get("pad_values", 0.0))
    source = reader.binarised(layer, sources[0], layer.quantizer("input_quantizer"))
    op = g.Conv(filters, bias, stride, sides, dilation, groups, fill)
    shape = (out[1], len(filters)) if flat else (*out, len(filters))
    return _activated(reader, layer, reader.put(layer, op, source, shape))


def _dense(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    kernel = _variable(reader, layer, weights, "kernel", 2)
    kernel = reader.quantised(layer, kernel, layer.quantizer("kernel_quantizer"))
    bias = _bias(layer, weights, kernel.shape[1])
    source = reader.binarised(layer, sources[0], layer.quantizer("input_quantizer"))
    shape = (*reader.shapes[source][:-1], kernel.shape[1])
    return _activated(reader, layer, reader.put(layer, g.Dense(kernel.T, bias), source, shape))


def _activated(reader: KerasReader, layer: KerasLayer, source: str) -> str:
    return _activation(reader, layer, layer.get("activation", "linear"), source)


def _activation(reader: KerasReader, layer: KerasLayer, what: Any, source: str) -> str:
    if isinstance(what, dict):
        what = what.get("class_name", "")
    name = str(what).rpartition(">")[2]
    shape = reader.shapes[source]
    if name == "linear":
        return source
    if name in _SIGNS:
        return reader.put(layer, g.SignOf(1), source, shape, "sign")
    if name in ("softmax", "log_softmax"):
        reader.ended = layer.name  # changes the logits, but not their order
        return source
    if name in ("hard_tanh", "tanh"):
        return reader.put(layer, g.Clip(), source, shape, "clip")
    raise reader.refuse(layer.name, f"activation {name}: more than one bit; only a sign is one bit")


def _activation_layer(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    return _activation(reader, layer, layer.get("activation", "linear"), sources[0])


def _softmax(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    return _activation(reader, layer, "softmax", sources[0])


def _max_pool(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    height, width, channels = _size(reader, layer, sources[0])
    kernel = layer.pair("pool_size", 2)
    stride = layer.pair("strides") if layer.config.get("strides") is not None else kernel
    sides, out = _window(reader, layer, (height, width), kernel, stride)
    shape = (out[1], channels) if layer.kind.endswith("1D") else (*out, channels)
    return reader.put(layer, g.MaxPool(kernel, stride, sides), sources[0], shape)


def _norm(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    shape = reader.shapes[sources[0]]
    axis = layer.get("axis", -1)
    axis = int(axis[0]) if isinstance(axis, list | tuple) and len(axis) == 1 else axis
    if not isinstance(axis, int) or axis % (len(shape) + 1) != len(shape):
        raise reader.refuse(layer.name, f"normalises along axis {axis}, not along the channels")
    mean = _variable(reader, layer, weights, "moving_mean", 1)
    variance = _variable(reader, layer, weights, "moving_variance", 1)
    gamma = _variable(reader, layer, weights, "gamma", 1) if layer.get("scale", True) else np.ones_like(mean)
    beta = _variable(reader, layer, weights, "beta", 1) if layer.get("center", True) else np.zeros_like(mean)
    norm = BatchNorm(gamma, beta, mean, variance, float(layer.get("epsilon", 1e-3)))
    return reader.put(layer, g.Norm(norm), sources[0], shape)


def _flatten(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    return _to(reader, layer, sources[0], (prod(reader.shapes[sources[0]]),))


def _reshape(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    wanted = [int(n) for n in layer.get("target_shape", [])]
    size = prod(reader.shapes[sources[0]])
    known = prod(n for n in wanted if n != -1)
    if wanted.count(-1) > 1 or known < 1 or size % known or (-1 not in wanted and known != size):
        raise reader.refuse(layer.name, f"reshapes {reader.shapes[sources[0]]} to {wanted}")
    return _to(reader, layer, sources[0], tuple(size // known if n == -1 else n for n in wanted))


def _to(reader: KerasReader, layer: KerasLayer, source: str, shape: tuple[int, ...]) -> str:
    return reader.put(layer, g.Reshape((1, *shape)), source, shape)


def _permute(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    order = (0, *(int(n) for n in layer.get("dims", [])))
    shape = reader.shapes[sources[0]]
    if sorted(order) != list(range(len(shape) + 1)):
        raise reader.refuse(layer.name, f"permutes {len(shape)} axes by {order[1:]}")
    return reader.put(layer, g.Transpose(order), sources[0], tuple(shape[i - 1] for i in order[1:]))


def _zero_padding(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    height, width, channels = _size(reader, layer, sources[0])
    value = layer.get("padding", 1)
    flat = layer.kind.endswith("1D")
    rows, columns = (0, value) if flat else value if isinstance(value, list | tuple) else (value, value)
    top, bottom = rows if isinstance(rows, list | tuple) else (rows, rows)
    left, right = columns if isinstance(columns, list | tuple) else (columns, columns)
    sides = (int(top), int(left), int(bottom), int(right))
    grown = (
        (width + sides[1] + sides[3], channels)
        if flat
        else (height + sides[0] + sides[2], width + sides[1] + sides[3], channels)
    )
    return reader.put(layer, g.Pad(sides, 0.0), sources[0], grown)


def _global_mean(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    shape = reader.shapes[sources[0]]
    keep = bool(layer.get("keepdims", False))
    return reader.put(
        layer, g.GlobalMean(keep), sources[0], (*(1,) * (len(shape) - 1), shape[-1]) if keep else shape[-1:]
    )


def _add(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    total = sources[0]
    for index, source in enumerate(sources[1:]):
        to = f"{layer.name}:{index}"
        reader.shapes[to] = reader.shapes[total]
        total = reader.emit(layer.name, g.Plus(), total, source, to=to)
    return total


def _concatenate(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    shapes = [reader.shapes[source] for source in sources]
    axis = int(layer.get("axis", -1)) % (len(shapes[0]) + 1)
    to = f"{layer.name}:out"
    reader.shapes[to] = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
    return reader.emit(layer.name, g.Concat(axis), *sources, to=to)


def _rescaling(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    shape = reader.shapes[sources[0]]
    scale, offset = (
        np.asarray(layer.get(name, default), np.float32) for name, default in (("scale", 1), ("offset", 0))
    )
    moved = reader.put(layer, g.Combine("mul", scale), sources[0], shape, "scaled")
    return reader.put(layer, g.Combine("add", offset), moved, shape)


def _nothing(reader: KerasReader, layer: KerasLayer, sources: list[str], weights: Weights) -> str:
    return sources[0]


LAYERS: dict[str, Callable[[KerasReader, KerasLayer, list[str], Weights], str]] = {
    "Activation": _activation_layer,
    "Add": _add,
    "BatchNormalization": _norm,
    "Concatenate": _concatenate,
    "Dropout": _nothing,
    "Flatten": _flatten,
    "GaussianNoise": _nothing,
    "GlobalAveragePooling1D": _global_mean,
    "GlobalAveragePooling2D": _global_mean,
    "MaxPooling1D": _max_pool,
    "MaxPooling2D": _max_pool,
    "Permute": _permute,
    "Rescaling": _rescaling,
    "Reshape": _reshape,
    "Softmax": _softmax,
    "SpatialDropout2D": _nothing,
    "ZeroPadding1D": _zero_padding,
    "ZeroPadding2D": _zero_padding,
    **dict.fromkeys(("Conv1D", "Conv2D", "QuantConv1D", "QuantConv2D"), _conv),
    **dict.fromkeys(("DepthwiseConv2D", "QuantDepthwiseConv2D"), _conv),
    **dict.fromkeys(("Dense", "QuantDense"), _dense),
}
