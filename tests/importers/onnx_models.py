"""ONNX models as exporters write them: each seed takes other idioms for sign, BatchNorm, layout, flatten, dense."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bitflow.engines.host import HostEngine
from bitflow.importers.source import Settings, open_source
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

__all__ = ["OPSETS", "Model", "binary_network", "same"]

OPSETS = (11, 13, 14, 16, 17, 18, 19, 20, 21)


@dataclass
class Model:
    """Nodes and constants of a model while it is built; every node gets a name."""

    rng: np.random.Generator
    opset: int
    nodes: list[Any] = field(default_factory=list)
    constants: list[Any] = field(default_factory=list)

    def const(self, values: Any, dtype: type = np.float32) -> str:
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def op(self, kind: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        name = f"{kind}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [f"t_{name}"], name=name, domain=domain, **attributes))
        return f"t_{name}"

    def proto(self, shape: tuple[Any, ...], output: str, domain: str = "") -> onnx.ModelProto:
        entry = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
        end = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "net", [entry], [end], self.constants)
        opsets = [helper.make_opsetid("", self.opset)] + ([helper.make_opsetid(domain, 1)] if domain else [])
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)

    def signs(self, *shape: int) -> np.ndarray:
        return np.where(self.rng.random(shape) < 0.5, np.float32(-1), np.float32(1))

    def sign(self, x: str, way: int) -> str:
        one, minus, zero = self.const(1.0), self.const(-1.0), self.const(0.0)
        if way == 0:  # sign(0) = +1 by a second sign
            return self.op("Sign", self.op("Add", self.op("Sign", x), self.const(0.1)))
        if way == 1:
            if self.opset < 12:
                return self.op("Where", self.op("Less", x, zero), minus, one)
            return self.op("Where", self.op("GreaterOrEqual", x, zero), one, minus)
        if way == 2:  # sign(0) = -1, by way of 0 and 1
            number = self.op("Cast", self.op("Greater", x, zero), to=TensorProto.FLOAT)
            return self.op("Sub", self.op("Mul", number, self.const(2.0)), one)
        if way == 3:
            return self.op("Where", self.op("Not", self.op("Greater", zero, x)), one, minus)
        return self.op("Sign", self.op("Add", self.op("Sign", self.op("Clip", x, minus, one)), self.const(-0.5)))

    def norm(self, x: str, channels: int, shape: tuple[int, ...], spread: float, way: int) -> str:
        gamma = self.rng.normal(size=channels).astype(np.float32)
        beta = self.rng.normal(scale=0.3, size=channels).astype(np.float32)
        mean = self.rng.normal(scale=spread / 2, size=channels).astype(np.float32)
        variance = ((self.rng.random(channels) + 0.2) * spread**2).astype(np.float32)
        if way == 0:
            return self.op("BatchNormalization", x, *map(self.const, (gamma, beta, mean, variance)), epsilon=1e-3)
        scale = gamma / np.sqrt(variance + np.float32(1e-3))
        moved = self.op("Sub", x, self.const(mean.reshape(shape)))
        return self.op("Add", self.op("Mul", moved, self.const(scale.reshape(shape))), self.const(beta.reshape(shape)))

    def conv(self, x: str, weights: np.ndarray, way: int, **attributes: Any) -> str:
        """Weights as numbers; made in the graph; with a factor and a bias, as a folded BatchNorm leaves them."""
        kernel = list(weights.shape[2:])
        if way == 0:
            return self.op("Conv", x, self.const(weights), kernel_shape=kernel, **attributes)
        if way == 1:
            latent = weights * (self.rng.random(weights.shape) + 0.1)
            return self.op("Conv", x, self.op("Sign", self.const(latent)), kernel_shape=kernel, **attributes)
        factor = (self.rng.random(len(weights)) + 0.1) * np.where(self.rng.random(len(weights)) < 0.3, -1, 1)
        bias = self.const(self.rng.normal(size=len(weights)))
        folded = self.const(weights * factor.reshape(-1, *(1,) * (weights.ndim - 1)))
        return self.op("Conv", x, folded, bias, kernel_shape=kernel, **attributes)

    def flatten(self, x: str, way: int) -> str:
        if way == 0:
            return self.op("Flatten", x, axis=1)
        if way == 1:
            return self.op("Reshape", x, self.const([0, -1], np.int64))
        batch = self.op("Gather", self.op("Shape", x), self.const(0, np.int64), axis=0)
        if self.opset < 13:
            batch = self.op("Unsqueeze", batch, axes=[0])
        else:
            batch = self.op("Unsqueeze", batch, self.const([0], np.int64))
        return self.op("Reshape", x, self.op("Concat", batch, self.const([-1], np.int64), axis=0))

    def dense(self, x: str, weights: np.ndarray, way: int) -> str:
        if way == 0:
            return self.op("Gemm", x, self.const(weights), transB=1)
        if way == 1:
            return self.op("MatMul", x, self.op("Transpose", self.const(weights), perm=[1, 0]))
        bias = self.const(self.rng.normal(size=len(weights)))
        return self.op("Add", self.op("MatMul", x, self.const(weights.T * np.float32(0.25))), bias)


def binary_network(seed: int) -> tuple[onnx.ModelProto, tuple[int, int, int], str]:
    """A model, the (height, width, channels) of its pictures, and what float it gets for a pixel."""
    rng = np.random.default_rng(seed)
    model = Model(rng, OPSETS[seed % len(OPSETS)])
    height, width, channels = 9 + seed % 4, 8 + seed % 3, (1, 3)[seed % 2]
    last = seed % 5 == 4  # channels last, with the axes turned around each convolution
    pixels = ("unit", "raw", "signed")[seed % 3]
    x = "image"

    def turned(x: str, conv: Any) -> str:
        if not last:
            return str(conv(x))
        return model.op("Transpose", conv(model.op("Transpose", x, perm=[0, 3, 1, 2])), perm=[0, 2, 3, 1])

    first = model.signs(8, channels, 3, 3)
    pads = [0, 1, 1, 0] if pixels != "unit" else [0, 0, 0, 0]
    spread = {"unit": 1.5, "raw": 300.0, "signed": 2.0}[pixels]
    x = turned(x, lambda x: model.conv(x, first, seed % 3, pads=pads))
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]}
    shape = (1, 1, 1, 8) if last else (8, 1, 1)
    if seed % 4 == 0 and not last:
        x = model.op("MaxPool", x, **pool)
    # Channels last a BatchNormalization would stand along the wrong axis: exporters write it out.
    x = model.norm(x, 8, shape, spread, 1 if last else seed // 2 % 2)
    x = model.sign(x, seed % 5)
    if seed % 4 == 1:
        x = turned(x, lambda x: model.op("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER"))
    second = model.signs(12, 4 if seed % 6 == 5 else 8, 3, 3)
    groups = 2 if seed % 6 == 5 else 1

    residual = seed % 7 == 6  # the integers of two convolutions are added

    def padded(x: str, weights: np.ndarray = second) -> str:
        way = 0 if residual else seed // 3 % 3
        if seed % 3 == 0:
            return model.conv(x, weights, way, pads=[1, 1, 1, 1], group=groups)
        if seed % 3 == 1:
            return model.conv(x, weights, way, auto_pad="SAME_LOWER", strides=[2, 2], group=groups)
        sides = model.const([0, 0, 1, 0, 0, 0, 0, 2], np.int64)
        return model.conv(model.op("Pad", x, sides, model.const(-1.0)), weights, 0, group=groups)

    if residual:
        other = model.signs(*second.shape)
        x = turned(x, lambda x: model.op("Add", padded(x), padded(x, other)))
    else:
        x = turned(x, padded)
    x = model.sign(
        model.norm(x, 12, (1, 1, 1, 12) if last else (12, 1, 1), 6.0, 1 if last else seed % 2), (seed + 2) % 5
    )
    x = model.op("Dropout", x) if seed % 2 else model.op("Identity", x)
    model_shape = ("batch", height, width, channels) if last else ("batch", channels, height, width)
    probe = model.proto(model_shape, x)
    inferred = onnx.shape_inference.infer_shapes(probe, data_prop=True)
    found = next(v for v in [*inferred.graph.value_info, *inferred.graph.output] if v.name == x)
    features = int(np.prod([d.dim_value for d in found.type.tensor_type.shape.dim[1:]]))
    x = model.flatten(x, seed % 3)
    x = model.dense(x, model.signs(10, features), seed % 3 if seed % 3 != 2 else 1)
    x = model.sign(model.norm(x, 10, (10,), 8.0, (seed + 1) % 2), (seed + 1) % 5)
    x = model.dense(x, model.signs(4, 10), seed // 2 % 3)
    if seed % 2:
        x = model.op("Softmax", x, axis=1)
    return model.proto(model_shape, x), (height, width, channels), pixels


def same(path: Path, shape: tuple[int, int, int], settings: Settings, soft: bool = False) -> None:
    """The packed network gives the source's labels, wherever float32 tells them apart, and its logits."""
    opened = open_source(path, settings)
    packed = pack(fuse(opened.imported.network))
    low = -128 if packed.input_spec.dtype == "int8" else 0
    images = np.random.default_rng(0).integers(low, low + 256, (60, *shape)).astype(packed.input_spec.dtype)
    images[0], images[1] = low, low + 255
    want = opened.run(images).astype(np.float64)
    scores = HostEngine(packed).scores(images)
    assert packed.logits is not None
    got = packed.logits.scale * scores + packed.logits.offset
    if soft:
        want, got = np.log(want), got - np.log(np.exp(got).sum(axis=1, keepdims=True))
    assert np.abs(got - want).max() <= 1e-4 * np.abs(want).max()
    ordered = np.sort(want, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-4
    assert np.array_equal(scores.argmax(1)[clear], want.argmax(1)[clear])
    assert clear.any()
