"""The operations of torch as operations of `graph`. The names are those of torch's ATen library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx

from bitflow.importers import graph as g
from bitflow.importers.reader import Reader
from bitflow.importers.rounding import MORE_BITS
from bitflow.ir import BatchNorm

__all__ = ["AT_THE_END", "FILLED", "OPERATIONS", "SILENT", "UNWANTED", "TorchReader", "name_of", "target_name"]

# Operations that do not change a map's values in eval mode.
SILENT = {
    "alias", "clone", "contiguous", "detach", "detach_", "dropout", "dropout_", "feature_dropout", "alpha_dropout",
    "lift_fresh_copy", "to", "_to_copy", "type_as", "_assert_tensor_metadata",
}  # fmt: skip
# Tensors filled with one number; None: the last argument is the number.
FILLED = {"ones_like": 1.0, "zeros_like": 0.0, "full_like": None, "new_ones": 1.0, "new_zeros": 0.0, "new_full": None}
# These change the logits, but not their order.
AT_THE_END = {"log_softmax", "softmax", "sigmoid"}

UNWANTED = {
    "gelu": MORE_BITS, "sigmoid": MORE_BITS, "prelu": MORE_BITS, "leaky_relu": MORE_BITS, "hardswish": MORE_BITS,
    "silu": MORE_BITS, "elu": MORE_BITS, "abs": MORE_BITS,
    "avg_pool2d": "only a max-pool or the global average can be taken",
    "adaptive_max_pool2d": "only a max-pool with a fixed window can be taken",
}  # fmt: skip


def target_name(node: fx.Node) -> str:
    """aten.max_pool2d.default -> max_pool2d."""
    return str(node.target).removeprefix("aten.").partition(".")[0]


@dataclass(slots=True)
class TorchReader(Reader):
    """Reads exported nodes.

    whole: tensors that are exact integers in torch too.
    """

    tensors_of: dict[str, Tensor] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)

    def varies(self, argument: Any) -> bool:
        """Whether an argument of a node depends on the input."""
        return isinstance(argument, fx.Node) and self.depends(argument.name)

    def of(self, node: fx.Node, position: int = 0) -> str:
        """The graph's tensor for an argument of a node."""
        return self.resolve(name_of(node), _name(node.args[position]))

    def add(self, node: fx.Node, op: g.Op) -> str:
        """Append a node that applies `op` to the first argument."""
        return self.emit(name_of(node), op, self.of(node), to=node.name)

    def numbers(self, argument: Any) -> npt.NDArray[Any]:
        """A parameter, a value computed from parameters or a plain number, as float32."""
        if isinstance(argument, fx.Node):
            return np.asarray(self.tensors_of[argument.name].detach().float().numpy())
        return np.asarray(argument, dtype=np.float32)

    def operand(self, argument: Any) -> str | npt.NDArray[Any]:
        """The name of a tensor that depends on the input; else the constant's value."""
        return argument.name if self.varies(argument) else self.numbers(argument)

    def compute(self, node: fx.Node) -> None:
        """Evaluate a node that does not depend on the input."""
        args, kwargs = fx.map_arg((node.args, node.kwargs), lambda n: self.tensors_of.get(n.name))
        with torch.no_grad():
            self.tensors_of[node.name] = node.target(*args, **kwargs)  # type: ignore[operator]

    def pass_on(self, node: fx.Node) -> None:
        """A node that changes nothing."""
        name = _name(node.args[0])
        if not self.varies(node.args[0]):  # type_as: only the type depends on the input
            self.tensors_of[node.name] = self.tensors_of[name]
            return
        if name in self.truths and target_name(node) in ("to", "_to_copy", "type_as"):
            self.aliases[node.name] = self.of(node)
            return
        if name not in self.truths and not node.meta["val"].is_floating_point():
            raise self.refuse(name_of(node), f"turns numbers into {node.meta['val'].dtype}; only a sign is one bit")
        self.alias(name_of(node), name, node.name)


def name_of(node: fx.Node) -> str:
    """The dotted name of the module that a node belongs to; outside any module, the node's own name."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = stack[-1][0] if stack else ""
    return str(path or node.name)


def _name(argument: Any) -> str:
    return argument.name if isinstance(argument, fx.Node) else repr(argument)


def _get(node: fx.Node, position: int, name: str, default: Any = None) -> Any:
    return node.args[position] if len(node.args) > position else node.kwargs.get(name, default)


def _square(values: Any, one_dimensional: bool, default: int) -> tuple[int, int]:
    numbers = [values] if isinstance(values, int) else list(values)
    if one_dimensional:
        return default, int(numbers[0])
    return (int(numbers[0]), int(numbers[-1]))


def _conv(reader: TorchReader, node: fx.Node) -> None:
    weights = reader.numbers(_weights(reader, node))
    flat = weights.ndim == 3
    if flat:
        weights = weights[:, :, None, :]
    stride = _square(_get(node, 3, "stride", 1), flat, 1)
    dilation = _square(_get(node, 5, "dilation", 1), flat, 1)
    padding = _get(node, 4, "padding", 0)
    if padding == "same":
        spans = [d * (k - 1) for k, d in zip(weights.shape[2:], dilation, strict=True)]
        sides = (spans[0] // 2, spans[1] // 2, spans[0] - spans[0] // 2, spans[1] - spans[1] // 2)
    else:
        rows, columns = (0, 0) if padding == "valid" else _square(padding, flat, 0)
        sides = (rows, columns, rows, columns)
    bias = _get(node, 2, "bias")
    whole = bias is None and bool(np.all(weights == np.rint(weights))) and not reader.fractions(reader.of(node))
    op = g.Conv(
        weights,
        None if bias is None else reader.numbers(bias),
        stride,
        sides,
        dilation,
        int(_get(node, 6, "groups", 1)),
        whole=whole,
    )
    output = reader.add(node, op)
    if whole:
        reader.whole.add(output)


def _weights(reader: TorchReader, node: fx.Node) -> fx.Node:
    weights = node.args[1]
    if not isinstance(weights, fx.Node) or reader.varies(weights):
        raise reader.refuse(name_of(node), "its weights depend on the input")
    return weights


def _linear(reader: TorchReader, node: fx.Node) -> None:
    weights = reader.numbers(_weights(reader, node))
    if target_name(node) in ("matmul", "mm"):
        weights = weights.T
    bias = _get(node, 2, "bias")
    whole = bias is None and bool(np.all(weights == np.rint(weights))) and not reader.fractions(reader.of(node))
    op = g.Dense(weights, None if bias is None else reader.numbers(bias), whole=whole)
    output = reader.add(node, op)
    if whole:
        reader.whole.add(output)


def _round(reader: TorchReader, node: fx.Node) -> None:
    """Rounding; accumulators are integers already."""
    source = reader.of(node)
    if source in reader.whole:
        reader.aliases[node.name] = source
        return
    if node.kwargs.get("decimals") or len(node.args) > 1:
        raise reader.refuse(name_of(node), "rounds to decimals; only whole numbers can be taken")
    modes = {"round": "ROUND", "floor": "FLOOR", "ceil": "CEIL", "trunc": "DOWN", "fix": "DOWN"}
    reader.add(node, g.Round(modes[target_name(node).rstrip("_")]))


def _batch_norm(reader: TorchReader, node: fx.Node) -> None:
    mean, variance = _get(node, 3, "running_mean"), _get(node, 4, "running_var")
    if mean is None or variance is None:
        raise reader.refuse(name_of(node), "has no running statistics (track_running_stats=False)")
    mean = reader.numbers(mean)
    weight, bias = _get(node, 1, "weight"), _get(node, 2, "bias")
    norm = BatchNorm(
        np.ones_like(mean) if weight is None else reader.numbers(weight),
        np.zeros_like(mean) if bias is None else reader.numbers(bias),
        mean,
        reader.numbers(variance),
        float(_get(node, 7, "eps", 1e-5)),
    )
    reader.add(node, g.Norm(norm))


def _max_pool(reader: TorchReader, node: fx.Node) -> None:
    flat = target_name(node) == "max_pool1d"
    kernel = _square(node.args[1], flat, 1)
    stride = _square(_get(node, 2, "stride"), flat, 1) if _get(node, 2, "stride") else kernel
    rows, columns = _square(_get(node, 3, "padding", 0), flat, 0)
    if any(n != 1 for n in _square(_get(node, 4, "dilation", 1), flat, 1)):
        raise reader.refuse(name_of(node), "a dilated max-pool cannot be taken")
    first = node.args[0]
    before = first.meta["val"].shape  # type: ignore[union-attr]
    after = node.meta["val"].shape
    size = (1, before[-1]) if flat else before[-2:]
    count = (1, after[-1]) if flat else after[-2:]
    # torch's padding and ceil_mode together determine how far the last window extends beyond the map.
    ends = [
        max(0, (n - 1) * s + k - length - p)
        for n, s, k, length, p in zip(count, stride, kernel, size, (rows, columns), strict=True)
    ]
    reader.add(node, g.MaxPool(kernel, stride, (rows, columns, ends[0], ends[1])))


def _pad(reader: TorchReader, node: fx.Node) -> None:
    sides = [int(n) for n in node.args[1]]  # type: ignore[union-attr,arg-type]
    mode = _get(node, 2, "mode", "constant") if target_name(node) == "pad" else "constant"
    if mode != "constant" or len(sides) > 4:
        raise reader.refuse(name_of(node), f"pads with mode {mode!r}; only a constant around a map can be padded")
    value = _get(node, 3, "value", 0) if target_name(node) == "pad" else _get(node, 2, "value", 0)
    left, right, top, bottom = (*sides, 0, 0)[:4]
    reader.add(node, g.Pad((top, left, bottom, right), float(value or 0)))


def _sign(reader: TorchReader, node: fx.Node) -> None:
    reader.add(node, g.SignOf(0))


def _clip(reader: TorchReader, node: fx.Node) -> None:
    kind = target_name(node).rstrip("_")
    low, high = {"relu": (0.0, inf), "relu6": (0.0, 6.0), "hardtanh": (-1.0, 1.0)}.get(kind, (-inf, inf))
    if kind == "clamp_max":
        high = _end(reader, node, _get(node, 1, "max"), high)
    elif not kind.startswith("relu"):
        names = ("min_val", "max_val") if kind == "hardtanh" else ("min", "max")
        low = _end(reader, node, _get(node, 1, names[0]), low)
        high = _end(reader, node, _get(node, 2, names[1]), high)
    reader.add(node, g.Clip((low, high)))


def _end(reader: TorchReader, node: fx.Node, argument: Any, default: float) -> float:
    """A limit, which may be missing."""
    if argument is None:
        return default
    values = np.unique(reader.numbers(argument))
    if len(values) != 1:
        raise reader.refuse(name_of(node), "limits that differ from channel to channel")
    return float(values[0])


def _tanh(reader: TorchReader, node: fx.Node) -> None:
    """Rises through 0, so it changes nothing before a sign."""
    reader.add(node, g.Clip())


def _compare(reader: TorchReader, node: fx.Node) -> None:
    """x >= c, x > c, x < c or x <= c."""
    first, second = node.args[:2]
    if not reader.varies(first):
        raise reader.refuse(
            name_of(node), "compares a constant with a tensor that depends on the input; swap the two sides"
        )
    if reader.varies(second):
        raise reader.refuse(name_of(node), "compares two tensors that depend on the input")
    reader.compare(name_of(node), target_name(node), _name(first), reader.numbers(second), node.name)


def _limits(reader: TorchReader, condition: Any, yes: Any, no: Any) -> tuple[float, float] | None:
    """The limits of where(x > c, c, x) or where(x < c, c, x); None for any other choice."""
    if not isinstance(condition, fx.Node) or target_name(condition) not in ("gt", "ge", "lt", "le"):
        return None
    limit = np.unique(reader.numbers(yes))
    if condition.args[0] is not no or len(limit) != 1 or not np.all(reader.numbers(condition.args[1]) == limit):
        return None
    return (-inf, float(limit[0])) if target_name(condition) in ("gt", "ge") else (float(limit[0]), inf)


def _where(reader: TorchReader, node: fx.Node) -> None:
    condition, yes, no = node.args[:3]
    limits = _limits(reader, condition, yes, no) if reader.varies(no) and not reader.varies(yes) else None
    if limits is not None:
        reader.emit(name_of(node), g.Clip(limits), reader.resolve(name_of(node), _name(no)), to=node.name)
        return
    if reader.varies(yes) or reader.varies(no):
        raise reader.refuse(name_of(node), "chooses between tensors that depend on the input")
    reader.choose(name_of(node), _name(condition), reader.numbers(yes), reader.numbers(no), node.name)


def _combine(reader: TorchReader, node: fx.Node) -> None:
    if float(node.kwargs.get("alpha", 1)) != 1:  # type: ignore[arg-type]
        raise reader.refuse(name_of(node), "adds a multiple (alpha); multiply first")
    how = target_name(node).rstrip("_")
    first, second = node.args[:2] if how != "rsub" else node.args[1::-1]
    reader.combine(name_of(node), how.removeprefix("r"), reader.operand(first), reader.operand(second), node.name)


def _negate(reader: TorchReader, node: fx.Node) -> None:
    reader.add(node, g.Combine("mul", np.array(-1, np.float32)))


def _reshape(reader: TorchReader, node: fx.Node) -> None:
    shape = tuple(int(n) for n in node.meta["val"].shape)
    reader.add(node, g.Reshape(shape))


def _permute(reader: TorchReader, node: fx.Node) -> None:
    count = node.args[0].meta["val"].dim()  # type: ignore[union-attr]
    if target_name(node) == "transpose":
        order = list(range(count))
        a, b = (int(n) % count for n in node.args[1:3])  # type: ignore[arg-type]
        order[a], order[b] = order[b], order[a]
    else:
        order = [int(n) % count for n in node.args[1]]  # type: ignore[union-attr,arg-type]
    reader.add(node, g.Transpose(tuple(order)))


def _concat(reader: TorchReader, node: fx.Node) -> None:
    parts = list(node.args[0])  # type: ignore[arg-type]
    if not all(map(reader.varies, parts)):
        raise reader.refuse(name_of(node), "concatenates a constant")
    axis = int(_get(node, 1, "dim", 0)) % node.meta["val"].dim()
    label = name_of(node)
    reader.emit(label, g.Concat(axis), *(reader.resolve(label, part.name) for part in parts), to=node.name)


def _mean(reader: TorchReader, node: fx.Node) -> None:
    first = node.args[0]
    count = first.meta["val"].dim()  # type: ignore[union-attr]
    if target_name(node).startswith("adaptive"):
        whole, keep = all(n == 1 for n in node.args[1]), True  # type: ignore[union-attr]
    else:
        axes = {int(n) % count for n in _get(node, 1, "dim", [])}
        whole, keep = axes == set(range(2, count)), bool(_get(node, 2, "keepdim", False))
    if not whole:
        raise reader.refuse(name_of(node), "only a mean over all positions can be taken")
    reader.add(node, g.GlobalMean(keep))


OPERATIONS: dict[str, Callable[[TorchReader, fx.Node], None]] = {
    "adaptive_avg_pool1d": _mean,
    "adaptive_avg_pool2d": _mean,
    "add": _combine,
    "add_": _combine,
    "batch_norm": _batch_norm,
    "cat": _concat,
    "ceil": _round,
    "clamp": _clip,
    "clamp_": _clip,
    "clamp_max": _clip,
    "clamp_min": _clip,
    "constant_pad_nd": _pad,
    "conv1d": _conv,
    "conv2d": _conv,
    "div": _combine,
    "div_": _combine,
    "fix": _round,
    "flatten": _reshape,
    "floor": _round,
    "ge": _compare,
    "gt": _compare,
    "hardtanh": _clip,
    "hardtanh_": _clip,
    "le": _compare,
    "linear": _linear,
    "lt": _compare,
    "matmul": _linear,
    "max_pool1d": _max_pool,
    "max_pool2d": _max_pool,
    "mean": _mean,
    "mm": _linear,
    "mul": _combine,
    "mul_": _combine,
    "neg": _negate,
    "pad": _pad,
    "permute": _permute,
    "relu": _clip,
    "relu6": _clip,
    "relu6_": _clip,
    "relu_": _clip,
    "reshape": _reshape,
    "round": _round,
    "rsub": _combine,
    "sign": _sign,
    "sgn": _sign,
    "squeeze": _reshape,
    "sub": _combine,
    "sub_": _combine,
    "tanh": _tanh,
    "transpose": _permute,
    "trunc": _round,
    "unsqueeze": _reshape,
    "view": _reshape,
    "where": _where,
}
