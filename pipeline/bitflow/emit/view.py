"""What the templates print: every number and name of the generated C, ready, so that templates hold no logic."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow._version import __version__
from bitflow.errors import InputError
from bitflow.ir import LayerKind, PackedLayer, PackedNetwork
from bitflow.lower import image
from bitflow.lower.plan import plan

__all__ = ["ArrayView", "LayerView", "ModelView", "identifier", "model_view", "rows"]

_KINDS = {LayerKind.INPUT_CONV: "BF_INPUT_CONV", LayerKind.CONV: "BF_CONV", LayerKind.DENSE: "BF_DENSE"}
_ORDERS = ("BF_ORDER_GRAY", "BF_ORDER_RGB", "BF_ORDER_BGR", "BF_ORDER_OTHER")
_RESIZES = ("BF_RESIZE_NONE", "BF_RESIZE_STRETCH", "BF_RESIZE_CROP")
# Words that C and C++ keep for themselves, and the library's own name.
_KEYWORDS = frozenset(
    """auto bitflow bool break case char class const continue default delete do double else enum extern false float for
    goto if inline int long namespace new operator private protected public register restrict return short signed sizeof
    static struct switch template this true typedef union unsigned void volatile while""".split()  # noqa: SIM905
)
_MEANINGS = {
    "weights": "bit i of a filter is tap (ky * kernel_w + kx) * channels + c; 1 is +1, 0 is -1",
    "shift": "BatchShift: output bit = (accumulator + shift >= 0)",
    "scale": "score = scale * accumulator + offset",
    "offset": "score = scale * accumulator + offset",
    "pool_and": "channels whose filter was flipped: their pool is an AND",
}


@dataclass(frozen=True, slots=True)
class ArrayView:
    """A named array. rows: initialisers, one string a line; nested: each row is an array of its own."""

    name: str
    type: str
    dimensions: str
    comment: str
    rows: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LayerView:
    """A layer record as C initialisers, and its arrays."""

    comment: str
    fields: tuple[str, ...]
    arrays: tuple[ArrayView, ...]


@dataclass(frozen=True, slots=True)
class ModelView:
    """All of a model's numbers. prefix and macro begin every generated name."""

    version: str
    image_version: int
    name: str
    prefix: str
    macro: str
    input_shape: str
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
    input_bytes: int
    arena_bytes: int
    image_bytes: int
    crc32: str
    name_at: int
    labels_at: int
    text: tuple[str, ...]
    text_bytes: int
    build_id: str = ""


def identifier(name: str) -> str:
    """A C identifier in lower case that reads like the name; a prefix where it would be none. InputError if empty."""
    words = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_")
    if not words:
        raise InputError(f"no C name can be made of {name!r}: give one with letters or digits")
    return f"net_{words}" if words[0].isdigit() or words in _KEYWORDS else words


def _escape(text: str) -> str:
    """A C string literal's inside, NUL included: everything but plain characters as three octal digits."""
    plain = re.compile(rb"[0-9A-Za-z _.,:;+*/()<>=-]")
    return "".join(chr(byte) if plain.match(bytes([byte])) else f"\\{byte:03o}" for byte in text.encode() + b"\0")


def comment(text: str) -> str:
    """Text that is safe inside a C comment on one line."""
    printable = "".join(c if c.isprintable() else "?" for c in text)
    return printable.replace("*/", "* /").replace("/*", "/ *")


def rows(values: npt.NDArray[Any], per_row: int = 8) -> tuple[str, ...]:
    """Numbers of a one-dimensional array as initialisers, `per_row` a line."""
    lines = (values[i : i + per_row] for i in range(0, len(values), per_row))
    return tuple(", ".join(_number(v) for v in line) + "," for line in lines)


def _number(value: Any) -> str:
    if isinstance(value, np.uint32):
        return f"0x{int(value):08X}u"
    # The smallest int32 has no literal of its own.
    return "(-2147483647 - 1)" if int(value) == -(2**31) else str(int(value))


def _array(name: str, role: str, layer: PackedLayer) -> ArrayView | None:
    values = getattr(layer, role)
    if values is None:
        return None
    meaning = _MEANINGS["scale" if role == "shift" and layer.gives_scores else role]
    dimensions = "".join(f"[{n}]" for n in values.shape)
    if role == "weights":
        lines = tuple("{" + ", ".join(_number(v) for v in line) + "}," for line in values)
        meaning = f"[filters][words], {layer.taps} taps a filter; {meaning}"
    else:
        lines = rows(values)
        meaning = f"{'[words]' if role == 'pool_and' else '[channels]'}; {meaning}"
    kind = "uint32_t" if values.dtype == np.uint32 else "int32_t"
    return ArrayView(f"{name}_{role}", kind, dimensions, meaning, lines)


def _list(values: Sequence[int]) -> str:
    return ", ".join(map(str, values))


def _layer(network: PackedNetwork, placed: image.Placed, index: int) -> LayerView:
    layer = network.layers[index]
    name = f"l{index}_{identifier(layer.name or layer.kind.name)}"
    candidates = (_array(name, role, layer) for role in ("weights", "shift", "offset", "pool_and"))
    arrays = tuple(array for array in candidates if array is not None)
    where = {array.name.removeprefix(f"{name}_"): array.name for array in arrays}
    pool = layer.pool.window if layer.pool else None
    window = layer.window

    offsets = [f"AT({where[role]})" if role in where else "0" for role in ("weights", "shift", "offset", "pool_and")]
    fields = (
        f"{_KINDS[layer.kind]}, {'BF_SCORES' if layer.gives_scores else 'BF_BITS'}, {layer.pad_value}, 0,",
        f"{layer.source.height}, {layer.source.width}, {layer.source.channels}, /* in */",
        f"{layer.groups}, /* groups */",
        f"{_list(window.kernel)}, /* kernel */",
        f"{_list(window.stride)}, /* stride */",
        f"{_list(window.dilation)}, /* dilation */",
        f"{_list(window.padding)}, /* padding: top, left, bottom, right */",
        f"{layer.conv.height}, {layer.conv.width}, /* accumulators */",
        f"{_list(pool.kernel + pool.stride if pool else (0,) * 4)}, /* pool, its stride */",
        f"{_list(pool.padding if pool else (0,) * 4)}, /* its padding */",
        f"{layer.target.height}, {layer.target.width}, {layer.target.channels}, /* out */",
        "0,",
        f"{', '.join(offsets)},",
        f"AT(text) + {placed.layer_names[index] - placed.text_at},",
    )
    what = layer.kind.name.lower().replace("_", " ")
    return LayerView(comment(f"{layer.name}: {what}, {layer.source} -> {layer.target}"), fields, arrays)


def model_view(network: PackedNetwork, prefix: str | None = None) -> ModelView:
    """Everything that the templates need. prefix: of the generated names, by default the network's name."""
    prefix = identifier(prefix or network.name)
    placed = image.place(network)
    planned = plan(network)
    shape = network.contract.shape
    kernels = {_KINDS[layer.kind]: p.kernel for layer, p in zip(network.layers, planned.layers, strict=True)}
    strings = (network.name, *(layer.name for layer in network.layers), *network.labels)
    return ModelView(
        version=__version__,
        image_version=image.VERSION,
        name=comment(network.name),
        prefix=prefix,
        macro=prefix.upper(),
        input_shape=str(shape),
        height=shape.height,
        width=shape.width,
        channels=shape.channels,
        dtype="BF_INT8" if network.contract.dtype == "int8" else "BF_UINT8",
        channel_order=_ORDERS[network.contract.channel_order],
        resize=_RESIZES[network.contract.resize],
        zero_point=network.contract.zero_point,
        classes=network.classes,
        labels=tuple(map(comment, network.labels)),
        layers=tuple(_layer(network, placed, index) for index in range(len(network.layers))),
        kernels=tuple(sorted(kernels.items())),
        input_bytes=shape.size,
        arena_bytes=planned.arena_bytes,
        image_bytes=placed.size,
        crc32=f"0x{image.crc32(network):08X}u",
        name_at=placed.name - placed.text_at,
        labels_at=placed.labels - placed.text_at,
        text=tuple(_escape(text) for text in strings),
        text_bytes=len(placed.text),
    )
