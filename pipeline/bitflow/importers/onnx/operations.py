"""The operations of ONNX and QONNX as operations of `graph`."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx

from bitflow.importers import graph as g
from bitflow.importers.onnx import qonnx_operations as qonnx
from bitflow.importers.onnx.reader import OnnxReader, Operation
from bitflow.importers.rounding import MORE_BITS
from bitflow.ir import BatchNorm

__all__ = ["AT_THE_END", "OPERATIONS", "UNWANTED"]

Array = npt.NDArray[Any]
UNWANTED = {
    "LeakyRelu": MORE_BITS, "Elu": MORE_BITS, "PRelu": MORE_BITS, "Gelu": MORE_BITS, "HardSigmoid": MORE_BITS,
    "Abs": MORE_BITS, "AveragePool": "only a max-pool or the global average can be taken",
}  # fmt: skip
AT_THE_END = {"Softmax", "LogSoftmax"}


# ---- Layers ----


def _sides(node: Operation, spans: tuple[int, int], strides: tuple[int, int], size: tuple[int, int], flat: bool) -> Any:
    """(top, left, bottom, right) from `pads` or `auto_pad`."""
    auto = node.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        needed = [max((-(-n // s) - 1) * s + k - n, 0) for n, s, k in zip(size, strides, spans, strict=True)]
        low = [n // 2 if auto == "SAME_UPPER" else n - n // 2 for n in needed]
        return low[0], low[1], needed[0] - low[0], needed[1] - low[1]
    pads = [int(n) for n in node.get("pads", [])] if auto == "NOTSET" else []
    if flat:
        left, right = [*pads, 0, 0][:2]
        return 0, left, 0, right
    return tuple([*pads, 0, 0, 0, 0][:4])


def _pair(numbers: Any, flat: bool) -> tuple[int, int]:
    numbers = [int(n) for n in numbers] or [1]
    return (1, numbers[0]) if flat else (numbers[0], numbers[-1])


def _out(size: tuple[int, int], sides: Any, spans: tuple[int, int], strides: tuple[int, int]) -> tuple[int, int]:
    rows = (size[0] + sides[0] + sides[2] - spans[0]) // strides[0] + 1
    return rows, (size[1] + sides[1] + sides[3] - spans[1]) // strides[1] + 1


def _map_size(node: Operation, reader: OnnxReader) -> tuple[tuple[int, int], bool]:
    shape = reader.shape(node)
    if len(shape) not in (3, 4):
        raise reader.refuse(node.label, f"is {node.kind} of a tensor with {len(shape)} axes; maps have 3 or 4")
    flat = len(shape) == 3
    return ((1, shape[-1]) if flat else (shape[-2], shape[-1])), flat


def _conv(reader: OnnxReader, node: Operation) -> None:
    weights = reader.constant(node.label, node.inputs[1], "weights")
    size, flat = _map_size(node, reader)
    if weights.ndim != (3 if flat else 4):
        raise reader.refuse(node.label, f"weights of {weights.ndim} axes for a map of {3 if flat else 4}")
    weights = weights[:, :, None, :] if flat else weights
    stride, dilation = _pair(node.get("strides", []), flat), _pair(node.get("dilations", []), flat)
    if min(*stride, *dilation) < 1 or not weights.size:
        raise reader.refuse(node.label, "a stride or dilation below 1, or no weights")
    spans = (dilation[0] * (weights.shape[2] - 1) + 1, dilation[1] * (weights.shape[3] - 1) + 1)
    sides = _sides(node, spans, stride, size, flat)
    bias = reader.optional(node, 2, "biases")
    op = g.Conv(weights, bias, stride, sides, dilation, int(node.get("group", 1)))
    rows, columns = _out(size, sides, spans, stride)
    reader.add(node, op, (1, len(weights), columns) if flat else (1, len(weights), rows, columns))


def _gemm(reader: OnnxReader, node: Operation) -> None:
    if node.get("transA", 0):
        raise reader.refuse(node.label, "transposes the map")
    weights = reader.constant(node.label, node.inputs[1], "weights")
    if weights.ndim != 2:
        raise reader.refuse(node.label, f"weights of {weights.ndim} axes")
    weights = weights if node.get("transB", 0) else weights.T
    alpha, beta = np.float32(node.get("alpha", 1.0)), np.float32(node.get("beta", 1.0))
    bias = reader.optional(node, 2, "biases")
    if bias is not None:
        bias = np.broadcast_to(bias * beta, (1, len(weights))).reshape(-1)
    reader.add(node, g.Dense(weights * alpha, bias), (1, len(weights)))


def _mat_mul(reader: OnnxReader, node: Operation) -> None:
    weights = reader.constant(node.label, node.inputs[1], "weights")
    if weights.ndim != 2:
        raise reader.refuse(node.label, f"multiplies by a matrix of {weights.ndim} axes")
    reader.add(node, g.Dense(weights.T), (*reader.shape(node)[:-1], weights.shape[1]))


def _batch_norm(reader: OnnxReader, node: Operation) -> None:
    if node.get("training_mode", 0):
        raise reader.refuse(node.label, "is in training mode; export the network for inference")
    values = [reader.constant(node.label, name, "statistics") for name in node.inputs[1:5]]
    if len(values) != 4:
        raise reader.refuse(node.label, "lacks some of its statistics")
    norm = BatchNorm(values[0], values[1], values[2], values[3], float(node.get("epsilon", 1e-5)))
    reader.add(node, g.Norm(norm))


def _max_pool(reader: OnnxReader, node: Operation) -> None:
    size, flat = _map_size(node, reader)
    kernel, stride = _pair(node.get("kernel_shape", []), flat), _pair(node.get("strides", []), flat)
    if min(*kernel, *stride) < 1 or any(int(n) != 1 for n in node.get("dilations", [])):
        raise reader.refuse(node.label, "a dilated max-pool, or one with a stride below 1, cannot be taken")
    top, left, bottom, right = _sides(node, kernel, stride, size, flat)
    if node.get("ceil_mode", 0):
        ends = []
        for n, k, s, before, after in zip(size, kernel, stride, (top, left), (bottom, right), strict=True):
            count = -(-(n + before + after - k) // s) + 1
            count -= int(
                (count - 1) * s >= n + before
            )  # a window that would start beyond the map and its leading padding
            ends.append(max(0, (count - 1) * s + k - n - before))
        bottom, right = ends
    sides = (top, left, bottom, right)
    rows, columns = _out(size, sides, kernel, stride)
    channels = reader.shape(node)[1]
    reader.add(node, g.MaxPool(kernel, stride, sides), (1, channels, columns) if flat else (1, channels, rows, columns))


def _pad(reader: OnnxReader, node: Operation) -> None:
    if node.get("mode", "constant") != "constant":
        raise reader.refuse(node.label, f"pads with mode {node.get('mode', '')!r}; only a constant can be padded")
    pads = reader.optional(node, 1, "sides")
    numbers = [int(n) for n in (node.get("pads", []) if pads is None else pads)]
    fill = reader.optional(node, 2, "value")
    value = float(node.get("value", 0.0) if fill is None else np.ravel(fill)[0])
    shape = reader.shape(node)
    count = len(shape)
    if len(numbers) != 2 * count or (len(node.inputs) > 3 and node.inputs[3]):
        raise reader.refuse(node.label, "pads axes that are not those of a map")
    before, after = numbers[:count], numbers[count:]
    if count not in (3, 4) or any(before[:2]) or any(after[:2]):
        raise reader.refuse(node.label, "pads the batch or the channels")
    flat = count == 3
    sides = (0, before[2], 0, after[2]) if flat else (before[2], before[3], after[2], after[3])
    grown = tuple(n + a + b for n, a, b in zip(shape, before, after, strict=True))
    reader.add(node, g.Pad(sides, value), grown)


def _global_mean(reader: OnnxReader, node: Operation) -> None:
    shape = reader.shape(node)
    keep = True
    if node.kind == "ReduceMean":
        given = reader.optional(node, 1, "axes")
        axes = {int(n) % len(shape) for n in (node.get("axes", []) if given is None else given)}
        if axes != set(range(2, len(shape))):
            raise reader.refuse(node.label, "only a mean over all positions of [N, C, ...] can be taken")
        keep = bool(node.get("keepdims", 1))
    elif node.kind == "AveragePool":
        whole = tuple(int(n) for n in node.get("kernel_shape", [])) == tuple(shape[2:])
        if not whole or any(node.get("pads", [])):
            raise reader.refuse(node.label, UNWANTED["AveragePool"])
    reader.add(node, g.GlobalMean(keep), (*shape[:2], *(1,) * (len(shape) - 2)) if keep else shape[:2])


# ---- Signs, comparisons, arithmetic ----


def _sign(reader: OnnxReader, node: Operation) -> None:
    reader.add(node, g.SignOf(0))


def _clip(reader: OnnxReader, node: Operation) -> None:
    low, high = reader.optional(node, 1, "limits"), reader.optional(node, 2, "limits")
    low = node.get("min", None) if low is None else low
    high = node.get("max", None) if high is None else high
    reader.add(node, g.Clip((-inf if low is None else float(low), inf if high is None else float(high))))


def _relu(reader: OnnxReader, node: Operation) -> None:
    reader.add(node, g.Clip((0.0, inf)))


def _round(reader: OnnxReader, node: Operation) -> None:
    reader.add(node, g.Round({"Round": "ROUND", "Floor": "FLOOR", "Ceil": "CEIL"}[node.kind]))


def _tanh(reader: OnnxReader, node: Operation) -> None:
    """Rises through 0, so it changes nothing before a sign."""
    reader.add(node, g.Clip())


_COMPARISONS = {"Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le"}
_TURNED = {"gt": "lt", "ge": "le", "lt": "gt", "le": "ge"}


def _compare(reader: OnnxReader, node: Operation) -> None:
    first, second = map(reader.operand, node.inputs[:2])
    kind = _COMPARISONS[node.kind]
    if isinstance(first, str) and isinstance(second, str):
        raise reader.refuse(node.label, "compares two tensors that depend on the input")
    value, limit = (first, second) if isinstance(first, str) else (second, first)
    kind = kind if isinstance(first, str) else _TURNED[kind]
    assert isinstance(value, str) and not isinstance(limit, str)
    reader.compare(node.label, kind, value, limit, node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shapes[value]


def _not(reader: OnnxReader, node: Operation) -> None:
    name = node.inputs[0]
    if name not in reader.truths:
        raise reader.refuse(node.label, "is Not of something other than a comparison")
    turned = g.Combine("mul", np.array(-1, np.float32))
    to = f"{node.outputs[0]}:turned"
    reader.truths[node.outputs[0]] = reader.emit(node.label, turned, reader.truths[name], to=to)
    reader.shapes[node.outputs[0]] = reader.shapes[name]


def _where(reader: OnnxReader, node: Operation) -> None:
    yes, no = map(reader.operand, node.inputs[1:3])
    if isinstance(yes, str) or isinstance(no, str):
        raise reader.refuse(node.label, "chooses between tensors that depend on the input")
    reader.choose(node.label, node.inputs[0], yes, no, node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shapes[node.inputs[0]]


def _combine(reader: OnnxReader, node: Operation) -> None:
    first, second = map(reader.operand, node.inputs[:2])
    reader.combine(node.label, node.kind.lower(), first, second, node.outputs[0])
    shapes = [reader.shape(node, position) for position in (0, 1)]
    try:
        reader.shapes[node.outputs[0]] = np.broadcast_shapes(*shapes)
    except ValueError:
        raise reader.refuse(node.label, f"shapes {shapes[0]} and {shapes[1]} do not fit") from None


def _negate(reader: OnnxReader, node: Operation) -> None:
    reader.add(node, g.Combine("mul", np.array(-1, np.float32)))


def _cast(reader: OnnxReader, node: Operation) -> None:
    name = node.inputs[0]
    kind = int(node.get("to", onnx.TensorProto.FLOAT))
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
    if name in reader.truths and kind != onnx.TensorProto.BOOL:
        reader.aliases[node.outputs[0]] = reader.resolve(node.label, name)
    elif name in reader.truths or kind in floats:
        reader.alias(node.label, name, node.outputs[0])
    else:
        raise reader.refuse(node.label, "casts numbers to integers; only a sign is one bit")
    reader.shapes[node.outputs[0]] = reader.shapes[name]


# ---- Shapes ----


def _same(reader: OnnxReader, node: Operation) -> None:
    reader.alias(node.label, node.inputs[0], node.outputs[0])
    reader.shapes[node.outputs[0]] = reader.shapes[node.inputs[0]]


def _shape(reader: OnnxReader, node: Operation) -> None:
    shape = np.array(reader.shape(node), dtype=np.int64)
    reader.constants[node.outputs[0]] = shape[node.get("start", 0) : node.get("end", len(shape))]


def _to_shape(reader: OnnxReader, node: Operation, shape: list[int]) -> None:
    size = prod(reader.shape(node))
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or known < 1 or (size % known if -1 in shape else size != known):
        raise reader.refuse(node.label, f"reshapes {reader.shape(node)} to {shape}")
    full = tuple(size // known if n == -1 else n for n in shape)
    if not full or full[0] != 1:
        raise reader.refuse(node.label, f"reshapes to {full}, which mixes the images of a batch")
    reader.add(node, g.Reshape(full), full)


def _reshape(reader: OnnxReader, node: Operation) -> None:
    wanted = reader.optional(node, 1, "shape")
    numbers = [int(n) for n in np.ravel(node.get("shape", []) if wanted is None else wanted)]
    before = reader.shape(node)
    if not node.get("allowzero", 0):
        numbers = [before[i] if n == 0 and i < len(before) else n for i, n in enumerate(numbers)]
    _to_shape(reader, node, numbers)


def _flatten(reader: OnnxReader, node: Operation) -> None:
    shape = reader.shape(node)
    axis = int(node.get("axis", 1)) % max(len(shape), 1)
    _to_shape(reader, node, [prod(shape[:axis]), prod(shape[axis:])])


def _squeeze(reader: OnnxReader, node: Operation) -> None:
    given = reader.optional(node, 1, "axes")
    shape = reader.shape(node)
    axes = [int(n) for n in (node.get("axes", []) if given is None else np.ravel(given))]
    if node.kind == "Squeeze":
        chosen = {n % len(shape) for n in axes} or {i for i, n in enumerate(shape) if n == 1 and i > 0}
        if any(shape[i] != 1 for i in chosen):
            raise reader.refuse(node.label, f"squeezes axes {sorted(chosen)} of {shape}")
        _to_shape(reader, node, [n for i, n in enumerate(shape) if i not in chosen])
        return
    count = len(shape) + len(axes)
    places = {n % count for n in axes}
    rest = iter(shape)
    _to_shape(reader, node, [1 if i in places else next(rest, 1) for i in range(count)])


def _transpose(reader: OnnxReader, node: Operation) -> None:
    shape = reader.shape(node)
    order = tuple(int(n) for n in node.get("perm", range(len(shape))[::-1]))
    if sorted(order) != list(range(len(shape))):
        raise reader.refuse(node.label, f"transposes {len(shape)} axes by {order}")
    reader.add(node, g.Transpose(order), tuple(shape[i] for i in order))


def _concat(reader: OnnxReader, node: Operation) -> None:
    if not all(map(reader.depends, node.inputs)):
        raise reader.refuse(node.label, "concatenates a constant")
    shapes = [reader.shape(node, i) for i in range(len(node.inputs))]
    axis = int(node.get("axis", 1)) % len(shapes[0])
    parts = [reader.of(node, i) for i in range(len(node.inputs))]
    reader.emit(node.label, g.Concat(axis), *parts, to=node.outputs[0])
    total = sum(shape[axis] for shape in shapes)
    reader.shapes[node.outputs[0]] = (*shapes[0][:axis], total, *shapes[0][axis + 1 :])


OPERATIONS: dict[str, Callable[[OnnxReader, Operation], None]] = {
    "Add": _combine,
    "AveragePool": _global_mean,
    "BatchNormalization": _batch_norm,
    "BipolarQuant": qonnx.bipolar_quant,
    "Cast": _cast,
    "Ceil": _round,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "Div": _combine,
    "Dropout": _same,
    "Flatten": _flatten,
    "Floor": _round,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_mean,
    "Identity": _same,
    "IntQuant": qonnx.quant,
    "MatMul": _mat_mul,
    "MaxPool": _max_pool,
    "Mul": _combine,
    "MultiThreshold": qonnx.multi_threshold,
    "Neg": _negate,
    "Not": _not,
    "Pad": _pad,
    "Quant": qonnx.quant,
    "ReduceMean": _global_mean,
    "Relu": _relu,
    "Reshape": _reshape,
    "Round": _round,
    "Shape": _shape,
    "Sign": _sign,
    "Squeeze": _squeeze,
    "Sub": _combine,
    "Tanh": _tanh,
    "Transpose": _transpose,
    "Unsqueeze": _squeeze,
    "Where": _where,
    **dict.fromkeys(_COMPARISONS, _compare),
}
