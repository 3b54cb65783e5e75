"""A torch module -> Network: torch.export finds what its forward pass computes, in any style.

torch computes once whatever depends only on parameters; the few operations of `graph` remain. Anything else is refused
with the name of its module.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from math import prod
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, fx, nn

from bitflow import bits
from bitflow.engines.reference import Trace
from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import ChannelOrder, InputSpec, Shape
from bitflow.importers import graph as g
from bitflow.importers.assemble import Imported, assemble
from bitflow.importers.torch.operations import (
    AT_THE_END,
    FILLED,
    OPERATIONS,
    SILENT,
    UNWANTED,
    TorchReader,
    name_of,
    target_name,
)
from bitflow.ir import Layer, Network, Rounding, Step
from bitflow.lower.arithmetic import composed

__all__ = ["import_module", "input_spec_of", "network_from_module", "run_module"]

_BATCH = 16


def network_from_module(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    name: str = "model",
    labels: Sequence[str] = (),
    dtype: Literal["uint8", "int8"] = "uint8",
    channel_order: ChannelOrder | None = None,
) -> Network:
    """Read a module as the float network that it computes in eval mode. Arguments and errors as `import_module`."""
    input_spec = input_spec_of(input_shape, dtype, channel_order)
    return import_module(module, input_spec, name=name, labels=labels).network


def input_spec_of(
    input_shape: tuple[int, int, int], dtype: Literal["uint8", "int8"], order: ChannelOrder | None = None
) -> InputSpec:
    """The input of a module: (height, width, channels) of pixels; by default gray for one channel, RGB for three."""
    shape = Shape(*input_shape)
    order = ChannelOrder.default(shape.channels) if order is None else order
    return InputSpec(shape, dtype, 128 if dtype == "uint8" else 0, order)


@np.errstate(all="ignore")  # of hostile numbers: what comes of them is refused
def import_module(
    module: nn.Module,
    input_spec: InputSpec,
    *,
    pixel_steps: tuple[Step, ...] = (),
    name: str = "model",
    labels: Sequence[str] = (),
    sign_zero: int | None = None,
) -> Imported:
    """The network that a module computes in eval mode.

    module: takes floats [N, C, H, W], or [N, C, W] or [N, C].
    input_spec: shape and type of the pixels.
    pixel_steps: what was done to a pixel before the module got it.
    name: name of the network.
    labels: names of the classes.
    sign_zero: as in `assemble`.

    Raises ImportRefused with the dotted name of what is not supported; InputError if torch cannot run the module on
    that shape.
    """
    exported, axes = _export(module, input_spec.shape, batch=1)
    source = _read(exported, axes)
    return assemble(
        source,
        input_spec,
        pixel_steps=pixel_steps,
        name=name,
        labels=labels,
        sign_zero=sign_zero,
        rounding=Rounding.FLOAT32,
    )


def run_module(module: nn.Module, images: npt.NDArray[Any]) -> Trace:
    """torch's own results for images [N, H, W, C]: the maps of the hidden layers, and float32 logits.

    Raises ImportRefused for a module that `network_from_module` refuses.
    """
    shape = Shape(*images.shape[1:])
    dtype: Literal["uint8", "int8"] = "int8" if images.dtype == np.int8 else "uint8"
    exported, axes = _export(module, shape, batch=1)
    imported = assemble(_read(exported, axes), input_spec_of(images.shape[1:], dtype), rounding=Rounding.FLOAT32)
    exported, axes = _export(module, shape, batch=_BATCH)
    recorder = _Recorder(exported.module(), [name for name, _ in imported.tensors])
    parts = []
    for start in range(0, max(len(images), 1), _BATCH):
        part = images[start : start + _BATCH]
        whole = np.zeros((_BATCH, *images.shape[1:]), np.float32)
        whole[: len(part)] = part
        found = recorder.run_on(_tensor(whole, axes))
        parts.append([values[: len(part)] for values in found])
    *hidden, logits = (np.concatenate(layer) for layer in zip(*parts, strict=True))
    layers = imported.network.layers[:-1]
    kept = tuple(
        _as_map(values, layer, steps)
        for values, layer, (_, steps) in zip(hidden, layers, imported.tensors, strict=True)
    )
    return Trace(kept, logits.reshape(len(images), -1))


def _as_map(
    values: npt.NDArray[Any], layer: Layer, steps: tuple[Step, ...]
) -> npt.NDArray[np.uint32] | npt.NDArray[np.int32]:
    """A tensor [N, C, H, W] or flat, as the map of a layer.

    steps: what torch did since to the layer's integers, or to its bits, or to the sum of the bits of each value.
    """
    shape = layer.target
    channels = prod(values.shape[1:]) // (shape.height * shape.width)
    maps = values.reshape(-1, channels, shape.height, shape.width).transpose(0, 2, 3, 1)
    slope, offset = composed(steps, channels)
    if not slope.all():
        raise InputError(f"layer {layer.name!r}: its integers cannot be read from torch's numbers")
    maps = (maps - offset) / slope
    if layer.sign is None:
        return np.rint(maps).astype(np.int32)
    if channels == shape.channels or layer.sign.thresholds is None:
        return bits.pack(maps > 0)
    # As many bits of a value are +1 as the sum says: those of the lowest thresholds.
    zeros = -np.array(layer.sign.zeros)[:, None]
    order = np.lexsort((np.broadcast_to(zeros, layer.sign.thresholds.shape), layer.sign.thresholds), axis=0)
    rank = np.argsort(order, axis=0)
    ones = rank < (np.rint(maps)[..., None, :] + layer.thresholds) / 2
    return bits.pack(ones.reshape(*maps.shape[:3], -1))


class _Recorder(fx.Interpreter):
    """Runs an exported module and records the tensors that are the maps of layers."""

    def __init__(self, module: nn.Module, tensors: Sequence[str]) -> None:
        super().__init__(module)
        if "" in tensors:
            raise InputError("the module has a layer whose map is no tensor in torch; it cannot be compared with torch")
        self._tensors = tensors
        self._kept: dict[str, Tensor] = {}

    def run_on(self, inputs: Tensor) -> list[npt.NDArray[Any]]:
        """The maps of the hidden layers, and the logits."""
        with torch.inference_mode():
            logits = self.run(inputs)
        logits = logits[0] if isinstance(logits, tuple | list) else logits
        return [*(self._map(name) for name in self._tensors), logits.numpy()]

    def call_function(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        # With another batch size torch may store a map in another order, for which there is no view.
        view = target is torch.ops.aten.view.default
        return super().call_function(torch.ops.aten.reshape.default if view else target, args, kwargs)

    def run_node(self, n: fx.Node) -> Any:
        self._kept[n.name] = result = super().run_node(n)
        return result

    def _map(self, tensor: str) -> npt.NDArray[Any]:
        # The graph names the parts of a comparison with a colon; the bits are those of x >= limit or x > limit.
        name, mark, _ = tensor.partition(":")
        values = self._kept[name].float().numpy()
        return 0.5 - values if mark and name.startswith(("le", "lt")) else np.asarray(values)


def _tensor(images: npt.NDArray[Any], axes: tuple[str, ...]) -> Tensor:
    values = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    return (
        values if len(axes) == 4 else values.reshape(len(values), *([values.shape[1], -1] if len(axes) == 3 else [-1]))
    )


def _export(module: nn.Module, shape: Shape, batch: int) -> tuple[torch.export.ExportedProgram, tuple[str, ...]]:
    """What the module computes, and the axes of its input: a map of height 1 may be [N, C, W], a 1x1 map [N, C]."""
    tries: list[tuple[tuple[int, ...], tuple[str, ...]]] = [
        ((batch, shape.channels, shape.height, shape.width), ("N", "C", "H", "W"))
    ]
    if shape.height == 1:
        tries.append(((batch, shape.channels, shape.width), ("N", "C", "W")))
    if shape.height == shape.width == 1:
        tries.append(((batch, shape.channels), ("N", "C")))
    for parameter in module.parameters():
        if parameter.dtype != torch.float32:
            raise ImportRefused(f"the module has {parameter.dtype} values; only float32 can be fused exactly")
    reason = ""
    was_training = module.training
    module.eval()
    try:
        for size, axes in tries:
            try:
                with torch.no_grad(), _Quiet():
                    return torch.export.export(module, (torch.zeros(size),), strict=False), axes
            except Exception as error:  # a forward pass may raise anything
                reason = reason or next(iter(str(error).strip().splitlines()), type(error).__name__)
    finally:
        module.train(was_training)
    raise InputError(f"torch cannot run the module on floats {list(tries[0][0])}: {reason}")


class _Quiet:
    """Silences torch.export, which also logs the traceback of what it raises."""

    def __enter__(self) -> None:
        self._level = logging.root.manager.disable
        logging.disable(logging.CRITICAL)

    def __exit__(self, *_: object) -> None:
        logging.disable(self._level)


def _read(exported: torch.export.ExportedProgram, axes: tuple[str, ...]) -> g.Graph:
    """The graph of everything that depends on the input."""
    reader = TorchReader()
    constants = {**exported.state_dict, **exported.constants}
    signature = exported.graph_signature
    held = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    native = "NCW" if len(axes) == 3 else "NCHW"
    entry = ""
    output = ""
    for node in _without_straight_through(exported.graph):
        if node.op == "placeholder" and node.name in held:
            reader.tensors_of[node.name] = constants[held[node.name]].detach().clone()
        elif node.op == "placeholder":
            if entry:
                raise ImportRefused("the module takes more than one input")
            entry = node.name
            reader.tensors.add(entry)
        elif node.op == "output":
            first = node.args[0]
            while isinstance(first, tuple | list):
                first = first[0]
            if not isinstance(first, fx.Node):
                raise ImportRefused("the module does not return a tensor")
            output = reader.resolve("output", first.name)
        elif node.op == "call_function":
            try:
                _call(reader, node)
            except ImportRefused as error:
                return reader.stopped(entry, axes, error, [n.name for n in node.all_input_nodes], native)
        else:
            raise ImportRefused(f"{node.op} {node.name!r} is unknown to BitFlow")
    return g.Graph(reader.nodes, entry, output, axes, native)


def _call(reader: TorchReader, node: fx.Node) -> None:
    target = target_name(node)
    if target in FILLED:
        # Its shape depends on the input, but it is the same number everywhere.
        value = FILLED[target]
        number = node.args[-1] if value is None else value
        reader.tensors_of[node.name] = torch.tensor(float(number))  # type: ignore[arg-type]
        return
    if not any(map(reader.varies, node.all_input_nodes)):
        reader.compute(node)
        return
    if target in SILENT or (target in AT_THE_END and all(user.op == "output" for user in node.users)):
        reader.pass_on(node)
        return
    translate: Callable[[TorchReader, fx.Node], None] | None = OPERATIONS.get(target)
    if translate is None:
        raise reader.refuse(name_of(node), UNWANTED.get(target, f"computes {target}, which is unknown to BitFlow"))
    translate(reader, node)


def _without_straight_through(graph: fx.Graph) -> Iterator[fx.Node]:
    """The nodes of a graph, with (a - b) + b, a form of straight-through estimators, replaced by a."""
    for node in list(graph.nodes):
        if node.op != "call_function" or target_name(node) != "add" or len(node.args) != 2:
            continue
        for one, other in (node.args, node.args[::-1]):
            inner = one
            while isinstance(inner, fx.Node) and inner.op == "call_function" and target_name(inner) in SILENT:
                inner = inner.args[0]
            if isinstance(inner, fx.Node) and target_name(inner) == "sub" and inner.args[1:] == (other,):
                node.replace_all_uses_with(inner.args[0])
                break
    graph.eliminate_dead_code()
    yield from graph.nodes
