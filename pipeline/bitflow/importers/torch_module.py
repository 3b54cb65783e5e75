"""A torch module of `bitflow.nn` layers -> Network. Only what is understood is taken; all else is refused by name."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from bitflow import bits
from bitflow.check.reference import Trace
from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import ChannelOrder, InputContract, Pool, Shape, Window
from bitflow.ir import Accumulation, BatchNorm, BinaryConv, BinaryDense, InputConv, Layer, Network, PoolPlace
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign, binarise

__all__ = ["network_from_module", "run_module"]

# Modules that do nothing in eval mode.
_SILENT = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.Identity)
_ACCUMULATIONS = (InputConv2d, BinaryConv2d, BinaryLinear)
_KNOWN = (*_ACCUMULATIONS, nn.BatchNorm1d, nn.BatchNorm2d, nn.MaxPool2d, nn.Flatten, Sign)
_ORDERS = {1: ChannelOrder.GRAY, 3: ChannelOrder.RGB}


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A module that is not a container, and its dotted name."""

    name: str
    module: nn.Module

    def refuse(self, reason: str) -> ImportRefused:
        return ImportRefused(f"layer {self.name!r} ({type(self.module).__name__}): {reason}")

    def check(self, condition: bool, reason: str) -> None:
        if not condition:
            raise self.refuse(reason)


def network_from_module(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    name: str = "model",
    labels: Sequence[str] = (),
    dtype: Literal["uint8", "int8"] = "uint8",
    channel_order: ChannelOrder | None = None,
) -> Network:
    """Read a (nested) Sequential as the float network that it computes in eval mode.

    input_shape: (height, width, channels) of a picture. dtype: the type of its pixels. channel_order: by default gray
    for one channel, RGB for three. A layer is InputConv2d (the first), BinaryConv2d or BinaryLinear, then at most one
    BatchNorm and one MaxPool2d, then Sign, which the last layer has not.

    Raises ImportRefused for a module that cannot be taken, naming it by its dotted name; InputError where shapes do not
    fit each other.
    """
    groups = _groups(module)
    zero_point = getattr(groups[0][0].module, "zero_point", 0)
    shape = Shape(*input_shape)
    order = _ORDERS.get(shape.channels, ChannelOrder.OTHER) if channel_order is None else channel_order
    contract = InputContract(shape, dtype, zero_point, order)
    layers: list[Layer] = []
    flat = False
    for index, group in enumerate(groups):
        layer, flat = _layer(group, index, shape, flat, contract)
        is_last = index == len(groups) - 1
        group[0].check(layer.sign or is_last, "no Sign before the next layer; every layer but the last ends in one")
        group[-1].check(not (layer.sign and is_last), "the network ends in a Sign; the last layer gives the logits")
        layers.append(layer)
        shape = layer.target
    if (shape.height, shape.width) != (1, 1):
        raise InputError(f"layer {groups[-1][0].name!r}: the last layer gives a map of {shape}, not one score a class")
    return Network(name, contract, tuple(layers), tuple(labels))


def run_module(module: nn.Module, images: npt.NDArray[Any], batch: int = 256) -> Trace:
    """What torch itself makes of images [N, H, W, C]: the bits of each hidden layer, and float32 logits.

    Raises ImportRefused for a module that `network_from_module` would not take.
    """
    groups = _groups(module.eval())
    parts = [_run_groups(groups, images[at : at + batch]) for at in range(0, max(len(images), 1), batch)]
    *hidden, logits = (np.concatenate(layer) for layer in zip(*parts, strict=True))
    return Trace(tuple(hidden), logits)


def _run_groups(groups: list[list[_Leaf]], images: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    value = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)).astype(np.float32))
    found: list[npt.NDArray[Any]] = []
    with torch.inference_mode():
        for group in groups:
            for leaf in group:
                if type(leaf.module) is not nn.Flatten:
                    value = before = leaf.module(value)
                else:
                    value = leaf.module(value)
            maps = before if before.dim() == 4 else before[:, :, None, None]
            found.append(bits.pack(maps.numpy().transpose(0, 2, 3, 1)))
    found[-1] = value.numpy().reshape(len(images), -1)
    return found


def _leaves(module: nn.Module, prefix: str) -> Iterator[_Leaf]:
    # Not named_children(): it leaves out a module that is used a second time.
    if type(module) is nn.Sequential:
        for key, child in zip(module._modules, module, strict=True):
            yield from _leaves(child, f"{prefix}.{key}" if prefix else key)
    elif type(module) not in _SILENT:
        yield _Leaf(prefix or "the module", module)


def _groups(module: nn.Module) -> list[list[_Leaf]]:
    """The leaves, cut before each convolution or linear layer."""
    groups: list[list[_Leaf]] = []
    for leaf in _leaves(module, ""):
        # By exact type: the forward pass of a subclass may compute anything.
        leaf.check(type(leaf.module) in _KNOWN, _reason(leaf.module))
        if type(leaf.module) in _ACCUMULATIONS:
            first = type(leaf.module) is InputConv2d
            leaf.check(first or bool(groups), "the first layer must be InputConv2d, which takes the pixels")
            leaf.check(not (first and groups), "only the first layer takes pixels; use BinaryConv2d")
            groups.append([leaf])
        elif groups:
            groups[-1].append(leaf)
        else:
            raise leaf.refuse("stands before the first InputConv2d")
    if not groups:
        raise ImportRefused("the module has no layers; it needs at least an InputConv2d")
    return groups


def _reason(module: nn.Module) -> str:
    match module:
        case _ if isinstance(module, _KNOWN):
            return "is a subclass of a layer that BitFlow knows; its forward pass may compute anything"
        case nn.Conv2d() | nn.Linear():
            return "has float weights; use InputConv2d, BinaryConv2d or BinaryLinear of bitflow.nn"
        case nn.ReLU() | nn.Tanh() | nn.Hardtanh() | nn.Sigmoid() | nn.PReLU() | nn.GELU():
            return "an activation is one bit here; use Sign of bitflow.nn"
        case nn.AvgPool2d() | nn.AdaptiveAvgPool2d() | nn.AdaptiveMaxPool2d():
            return "only MaxPool2d can be taken"
        case _:
            return "is unknown to BitFlow"


def _layer(group: list[_Leaf], index: int, source: Shape, flat: bool, contract: InputContract) -> tuple[Layer, bool]:
    """The layer that a group makes over a map `source`, and whether its result is flat ([N, features])."""
    head = group[0]
    accumulation = _accumulation(head, source, flat, contract)
    flat = isinstance(accumulation, BinaryDense)
    shape = accumulation.target
    norm: BatchNorm | None = None
    pool: Pool | None = None
    place = PoolPlace.BEFORE_NORM
    sign = False
    for leaf in group[1:]:
        match leaf.module:
            case nn.BatchNorm1d() | nn.BatchNorm2d() as module:
                leaf.check(norm is None, "a second BatchNorm in one layer")
                leaf.check(not sign, "a BatchNorm after the Sign; it belongs between convolution and Sign")
                _check_norm(leaf, module, shape, flat)
                norm = _norm(leaf, module)
            case nn.MaxPool2d() as module:
                leaf.check(pool is None, "a second max-pool in one layer")
                leaf.check(not flat, "a max-pool after Flatten")
                pool = _pool(leaf, module, shape)
                shape = Shape(*pool.window.over(shape.height, shape.width), shape.channels)
                if sign:
                    place = PoolPlace.AFTER_SIGN
                elif norm is not None:
                    place = PoolPlace.AFTER_NORM
            case Sign():
                leaf.check(not sign, "a second Sign in one layer")
                sign = True
            case nn.Flatten() as module:
                leaf.check((module.start_dim, module.end_dim) == (1, -1), "must flatten all but the first dimension")
                flat = True
            case module:
                raise leaf.refuse(_reason(module))
    bias = getattr(head.module, "bias", None)
    scale = _array(head, head.module.scaling_factor())  # type: ignore[operator]
    layer = Layer(
        _name(head.name, accumulation, index),
        accumulation,
        scale,
        None if bias is None else _array(head, bias),
        norm,
        pool,
        place,
        sign,
    )
    return layer, flat


def _name(dotted: str, accumulation: Accumulation, index: int) -> str:
    """The module's own name; where that is a number, the kind and the layer's place, as in conv2."""
    if not dotted.split(".")[-1].isdigit():
        return dotted
    return f"{'dense' if isinstance(accumulation, BinaryDense) else 'conv'}{index + 1}"


def _array(leaf: _Leaf, tensor: Tensor) -> npt.NDArray[np.float32]:
    leaf.check(tensor.dtype == torch.float32, f"has {tensor.dtype} values; only float32 can be fused exactly")
    return np.asarray(tensor.detach().cpu().numpy(), np.float32)


def _accumulation(leaf: _Leaf, source: Shape, flat: bool, contract: InputContract) -> Accumulation:
    match leaf.module:
        case InputConv2d() | BinaryConv2d() as module:
            leaf.check(not flat, "a convolution after Flatten")
            if module.in_channels != source.channels:
                raise InputError(
                    f"layer {leaf.name!r} takes {module.in_channels} channels, the map before it has {source.channels}"
                )
            filters = _bits(leaf, module.weight).transpose(0, 2, 3, 1)
            rows, columns = module.padding
            window = Window(module.kernel_size, module.stride, (rows, columns, rows, columns))
            _fits(leaf, window, source)
            if isinstance(module, InputConv2d):
                return InputConv(source, filters, window, contract, module.groups)
            return BinaryConv(source, filters, window, module.groups, module.padding_value)
        case BinaryLinear() as module:
            leaf.check(flat, "a linear layer over a map; put nn.Flatten() before it")
            if module.in_features != source.size:
                raise InputError(
                    f"layer {leaf.name!r} takes {module.in_features} features, the map before it has {source.size} "
                    f"({source})"
                )
            # torch flattens a map as [C, H, W]; here maps are [H, W, C].
            filters = _bits(leaf, module.weight).reshape(-1, source.channels, source.height, source.width)
            return BinaryDense(source, filters.transpose(0, 2, 3, 1))
        case module:
            raise leaf.refuse(_reason(module))


def _bits(leaf: _Leaf, latent: Tensor) -> npt.NDArray[np.int8]:
    leaf.check(latent.dtype == torch.float32, f"has {latent.dtype} weights; only float32 can be fused exactly")
    leaf.check(bool(torch.isfinite(latent).all()), "has weights that are not finite")
    with torch.no_grad():
        return binarise(latent).to(torch.int8).cpu().numpy()


def _fits(leaf: _Leaf, window: Window, source: Shape) -> None:
    try:
        window.over(source.height, source.width)
    except InputError as error:
        raise InputError(f"layer {leaf.name!r}: {error}") from None


def _check_norm(leaf: _Leaf, module: nn.BatchNorm1d | nn.BatchNorm2d, shape: Shape, flat: bool) -> None:
    want = nn.BatchNorm1d if flat else nn.BatchNorm2d
    leaf.check(isinstance(module, want), f"takes another number of dimensions; {want.__name__} fits here")
    leaf.check(module.running_mean is not None, "has no running statistics (track_running_stats=False)")
    features = shape.size if flat else shape.channels
    if module.num_features != features:
        raise InputError(f"layer {leaf.name!r} takes {module.num_features} channels, the map before it has {features}")
    leaf.check(
        not flat or (shape.height, shape.width) == (1, 1),
        "a BatchNorm of each position (after Flatten) has no integer per channel; put it before Flatten",
    )


def _norm(leaf: _Leaf, module: nn.BatchNorm1d | nn.BatchNorm2d) -> BatchNorm:
    def values(tensor: Tensor | None, default: float) -> npt.NDArray[np.float32]:
        if tensor is None:  # affine=False
            return np.full(module.num_features, default, np.float32)
        return _array(leaf, tensor)

    return BatchNorm(
        values(module.weight, 1.0),
        values(module.bias, 0.0),
        values(module.running_mean, 0.0),
        values(module.running_var, 1.0),
        module.eps,
    )


def _two(value: int | tuple[int, ...]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else (int(value[0]), int(value[1]))


def _pool(leaf: _Leaf, module: nn.MaxPool2d, shape: Shape) -> Pool:
    """A Window whose bottom and right padding say what torch says by padding and ceil_mode together."""
    leaf.check(_two(module.dilation) == (1, 1), "a dilated max-pool cannot be taken")
    leaf.check(not module.return_indices, "a max-pool that returns indices cannot be taken")
    kernel, stride, padding = _two(module.kernel_size), _two(module.stride), _two(module.padding)
    ends = []
    for size, k, s, p in zip((shape.height, shape.width), kernel, stride, padding, strict=True):
        room = size + 2 * p - k
        if room < 0:
            raise InputError(f"layer {leaf.name!r}: a window of {k} does not fit a map of {shape}")
        count = (-(-room // s) if module.ceil_mode else room // s) + 1
        if (count - 1) * s >= size + p:  # torch drops a window that starts beyond the map and its first padding
            count -= 1
        ends.append(max(0, (count - 1) * s + k - size - p))
    return Pool(Window(kernel, stride, (padding[0], padding[1], ends[0], ends[1])))
