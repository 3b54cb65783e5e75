"""All numbers and names that the templates print, so that templates need no logic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitflow._version import __version__
from bitflow.accumulation import MapType
from bitflow.emit.plan_view import PlanView, plan_view
from bitflow.emit.text import ArrayView, comment, escape, identifier, number, rows
from bitflow.image.bfn import Image
from bitflow.image.format import PIXELS, ROLES, TRANSIENT, VERSION
from bitflow.image.write import Placed
from bitflow.ir import LayerKind, PackedLayer, PackedNetwork
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, default_plan, replaced

__all__ = ["ArrayView", "LayerView", "ModelView", "identifier", "model_view", "rows"]

_KINDS = {kind: f"BF_{kind.name}" for kind in LayerKind}
_OUTPUTS = {MapType.BITS: "BF_BITS", MapType.SCORES: "BF_SCORES", MapType.INTEGERS: "BF_INTEGERS"}
_ORDERS = ("BF_ORDER_GRAY", "BF_ORDER_RGB", "BF_ORDER_BGR", "BF_ORDER_OTHER")
_RESIZES = ("BF_RESIZE_NONE", "BF_RESIZE_STRETCH", "BF_RESIZE_CROP")
_MEANINGS = {
    "weights": "bit i of a filter is tap (ky * kernel_w + kx) * channels + c; 1 is +1, 0 is -1",
    "int8 weights": "byte i of a filter is tap (ky * kernel_w + kx) * channels + c",
    "shift": "BatchShift: output bit = (accumulator + shift >= 0)",
    "scale": "score = scale * accumulator + offset",
    "offset": "score = scale * accumulator + offset",
    "pool_and": "channels whose pool is an AND",
    "invert": "channels whose bit is inverted",
}


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer record as C initialisers, and its arrays."""

    comment: str
    fields: tuple[str, ...]
    arrays: tuple[ArrayView, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    """All numbers of a model.

    prefix, macro: prefixes of all generated names.
    plan: None: the library chooses the kernels.
    whole: whether the struct has the whole image; not if kernels use their own data in place of the weights.
    """

    version: str
    image_version: int
    flags: str
    name: str
    prefix: str
    macro: str
    height: int
    width: int
    channels: int
    dtype: str
    channel_order: str
    resize: str
    zero_point: int
    classes: int
    labels: tuple[str, ...]
    layers: tuple[LayerView, ...]
    kernels: tuple[tuple[str, str], ...]
    plan: PlanView | None
    whole: bool
    input_bytes: int
    arena_bytes: int
    input_at: int
    shared_bytes: int
    pinned_bytes: int
    image_bytes: int
    struct_bytes: int
    crc32: str
    name_at: int
    labels_at: int
    text: tuple[str, ...]
    text_bytes: int
    extra: tuple[str, ...]
    extra_words: int
    build_id: str = ""


def _array(name: str, role: str, layer: PackedLayer) -> ArrayView | None:
    values = getattr(layer, role)
    if values is None:
        return None
    meaning = _MEANINGS["scale" if role == "shift" and layer.has_scores else role]
    kind = "uint32_t" if values.dtype == np.uint32 else "int32_t"
    if role == "weights" and layer.weight_bits == 8:
        kind, values, meaning = "int8_t", values.astype("<u4").view(np.int8), _MEANINGS["int8 weights"]
    if role == "weights":
        lines = tuple("{" + ", ".join(number(v) for v in line) + "}," for line in values)
        meaning = f"[filters][{'bytes' if kind == 'int8_t' else 'words'}], {layer.taps} taps a filter; {meaning}"
    else:
        lines = rows(values)
        meaning = f"{'[channels]' if kind == 'int32_t' else '[words]'}; {meaning}"
    dimensions = "".join(f"[{n}]" for n in values.shape)
    return ArrayView(f"{name}_{role}", kind, dimensions, meaning, lines)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _layer(network: PackedNetwork, placed: Placed, index: int, left_out: tuple[str, ...]) -> LayerView:
    layer = network.layers[index]
    name = f"l{index}_{identifier(layer.name or layer.kind.name)}"
    candidates = (_array(name, role, layer) for role in ROLES if role not in left_out)
    arrays = tuple(array for array in candidates if array is not None)
    where = {array.name.removeprefix(f"{name}_"): array.name for array in arrays}
    offsets = [f"AT({where[role]})" if role in where else "0" for role in ROLES]
    r = Image.of(network).record(index)
    sources = ["BF_PIXELS" if s == PIXELS else str(s) for s in (r.source0, r.source1, r.source2, r.source3)]
    pinned = "BF_TRANSIENT" if r.pinned == TRANSIENT else str(r.pinned)
    fields = (
        f"{_KINDS[layer.kind]}, {_OUTPUTS[layer.output_type]}, {r.pad_value}, {r.weight_bits},",
        f"{r.in_h}, {r.in_w}, {r.in_c}, /* in */",
        f"{r.groups}, /* groups */",
        f"{r.kernel_h}, {r.kernel_w}, /* kernel */",
        f"{r.stride_h}, {r.stride_w}, /* stride */",
        f"{r.dilation_h}, {r.dilation_w}, /* dilation */",
        f"{_list(layer.window.padding)}, /* padding: top, left, bottom, right */",
        f"{r.conv_h}, {r.conv_w}, /* accumulators */",
        f"{r.pool_h}, {r.pool_w}, {r.pool_stride_h}, {r.pool_stride_w}, /* pool, its stride */",
        f"{r.pool_top}, {r.pool_left}, {r.pool_bottom}, {r.pool_right}, /* its padding */",
        f"{r.out_h}, {r.out_w}, {r.out_c}, /* out */",
        f"{r.source_count}, {r.thresholds}, {{{', '.join(sources)}}}, /* sources; bits of an accumulator */",
        f"{r.last}, {r.in_thresholds}, {r.flags}, /* the last reader of the map; bits of a value; shared weights */",
        f"{pinned}, /* its place */",
        f"{r.bound}, /* largest accumulator */",
        f"{', '.join(offsets)},",
        f"AT(text) + {r.name - placed.text_at}, {{0, 0}},",
    )
    what = layer.kind.name.lower().replace("_", " ")
    return LayerView(comment(f"{layer.name}: {what}, {layer.source} -> {layer.target}"), fields, arrays)


def model_view(network: PackedNetwork, prefix: str | None = None, plan: Plan | None = None) -> ModelView:
    """Everything that the templates need.

    prefix: prefix of the generated names; by default the network's name.
    plan: which kernel runs each layer; None: the C library chooses, and the struct's bytes are those of the image.
    """
    prefix = identifier(prefix or network.name)
    placed = Image.of(network).placed
    planned = plan or default_plan(network)
    left_out = tuple(replaced(own.kernel) if plan else () for own in planned.layers)
    missing = sum(
        getattr(layer, role).nbytes for layer, roles in zip(network.layers, left_out, strict=True) for role in roles
    )
    shape = network.input_spec.shape
    used = [(spec, form) for spec in KERNELS.values() for form in spec.symbols if form in planned.symbols]
    strings = (network.name, *(layer.name for layer in network.layers), *network.labels)
    return ModelView(
        version=__version__,
        image_version=VERSION,
        flags="BF_APPROXIMATE" if network.approximate else "0",
        name=comment(network.name),
        prefix=prefix,
        macro=prefix.upper(),
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        dtype="BF_INT8" if network.input_spec.dtype == "int8" else "BF_UINT8",
        channel_order=_ORDERS[network.input_spec.channel_order],
        resize=_RESIZES[network.input_spec.resize],
        zero_point=network.input_spec.zero_point,
        classes=network.classes,
        labels=tuple(map(comment, network.labels)),
        layers=tuple(_layer(network, placed, index, left_out[index]) for index in range(len(network.layers))),
        kernels=tuple((f"BF_USE_{spec.kernel.name}", form) for spec, form in used),
        input_bytes=shape.size,
        arena_bytes=planned.arena_bytes,
        input_at=planned.input_at,
        shared_bytes=planned.shared_bytes,
        pinned_bytes=planned.pinned_bytes,
        image_bytes=placed.size,
        struct_bytes=placed.size - missing,
        plan=plan_view(network, plan) if plan else None,
        whole=missing == 0,
        crc32=f"0x{Image.of(network).crc32:08X}u",
        name_at=placed.name - placed.text_at,
        labels_at=placed.labels - placed.text_at,
        text=tuple(escape(text) for text in strings),
        text_bytes=len(placed.text),
        extra=rows(np.frombuffer(placed.extra, dtype="<u4").astype(np.uint32)),
        extra_words=len(placed.extra) // 4,
    )
