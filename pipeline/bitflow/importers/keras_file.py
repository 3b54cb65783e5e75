"""Larq and Keras checkpoints (`.h5`, `.keras`) -> Network, read with h5py; TensorFlow is not needed.

The configuration of the layers is data and stays data: a Lambda layer or an unknown class is refused, nothing is run.
Maps are channels-last. Larq's sign has sign(0) = +1.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import ChannelOrder, InputContract, Shape, require
from bitflow.importers import graph as g
from bitflow.importers.assemble import Imported, assemble
from bitflow.importers.keras_layers import KerasLayer, KerasReader
from bitflow.importers.pixels import Pixels

__all__ = ["import_keras", "read_keras"]

_MAX_BYTES = 2**30
_MAX_CONFIG = 2**24
_ORDERS = {1: ChannelOrder.GRAY, 3: ChannelOrder.RGB}
# Names of a BatchNorm's variables in the order in which Keras 3 numbers them; flags that leave the first two out.
_NORM = (("gamma", "scale"), ("beta", "center"), ("moving_mean", ""), ("moving_variance", ""))


def import_keras(
    path: str | Path,
    *,
    pixels: Pixels | None = None,
    size: tuple[int, ...] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    sign_zero: int | None = None,
) -> Imported:
    """The network in a Larq or Keras file: Sequential, or a graph of layers with one input and one output.

    pixels: what float the source got for a pixel; p itself if it is not said. size: (height, width[, channels]) where
    the file does not say. The rest and the errors as `import_onnx`.
    """
    path = Path(path)
    source, shape = read_keras(path, size)
    pixels = pixels or Pixels.RAW
    contract = InputContract(shape, "uint8", 0, _ORDERS.get(shape.channels, ChannelOrder.OTHER))
    imported = assemble(
        source,
        contract,
        pixel_steps=pixels.steps(shape.channels),
        name=path.stem if name is None else name,
        labels=labels,
        sign_zero=sign_zero,
    )
    said = (f"input: the source got {pixels} for a pixel p", "sign(0) = +1, as Larq has it")
    return replace(imported, notes=(*said, *imported.notes))


def read_keras(path: Path, size: tuple[int, ...] | None = None) -> tuple[g.Graph, Shape]:
    """The graph of a file, and the shape of its input."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    require(len(data) <= _MAX_BYTES, f"{path}: larger than {_MAX_BYTES} bytes")
    try:
        if zipfile.is_zipfile(io.BytesIO(data)):
            config, data = _unzip(path, data)
            with h5py.File(io.BytesIO(data), "r") as file:
                return _read(_Weights(file, numbered=True), config, size)
        with h5py.File(io.BytesIO(data), "r") as file:
            text = file.attrs.get("model_config")
            if text is None:
                raise InputError(
                    f"{path}: holds weights but no model_config; save the whole model, not its weights alone"
                )
            return _read(_Weights(file, numbered=False), _parse(path, text), size)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # h5py raises many kinds for damaged files
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise InputError(f"{path}: not a Keras file, or damaged: {reason}") from error


def _unzip(path: Path, data: bytes) -> tuple[dict[str, Any], bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        found = {}
        for member, limit in (("config.json", _MAX_CONFIG), ("model.weights.h5", _MAX_BYTES)):
            if member not in archive.namelist():
                raise InputError(f"{path}: not a Keras file: it has no {member}")
            with archive.open(member) as file:
                found[member] = file.read(limit + 1)
            require(len(found[member]) <= limit, f"{path}: {member} is larger than {limit} bytes")
    return _parse(path, found["config.json"]), found["model.weights.h5"]


def _parse(path: Path, text: str | bytes) -> dict[str, Any]:
    require(len(text) <= _MAX_CONFIG, f"{path}: its configuration is larger than {_MAX_CONFIG} bytes")
    try:
        config = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: its configuration is no JSON") from error
    if not isinstance(config, dict) or not isinstance(config.get("config"), dict):
        raise InputError(f"{path}: its configuration describes no model")
    return config


@dataclass(frozen=True, slots=True)
class _Weights:
    """Variables of layers in a file, by name. numbered: Keras 3's way, layers/KIND/vars/0, 1, ..."""

    file: h5py.File
    numbered: bool

    def of(self, layer: KerasLayer, place: str) -> dict[str, npt.NDArray[Any]]:
        """Name of a variable (kernel, bias, gamma, ...) -> its values, float32. place: Keras 3's name of the layer."""
        if self.numbered:
            group = self._group(f"layers/{place}/vars")
            return {
                name: self._array(group[str(i)], layer)
                for i, name in enumerate(_numbered(layer))
                if group is not None and str(i) in group
            }
        root = self._group("model_weights") or self.file
        group = root.get(layer.name) if layer.name in root else None
        found = {}
        for path, dataset in _datasets(group, layer.name) if group is not None else ():
            found[path.rpartition("/")[2].partition(":")[0]] = self._array(dataset, layer)
        return found

    def _group(self, path: str) -> Any:
        at: Any = self.file
        for part in path.split("/"):
            if part not in at or not isinstance(at.get(part, getlink=True), h5py.HardLink):
                return None
            at = at[part]
        return at

    def _array(self, dataset: Any, layer: KerasLayer) -> npt.NDArray[Any]:
        plain = isinstance(dataset, h5py.Dataset) and not dataset.external and not dataset.is_virtual
        if not plain or dataset.dtype.kind != "f":
            raise InputError(f"layer {layer.name!r}: a variable that is no array of floats in this file")
        require(dataset.size * 8 <= _MAX_BYTES, f"layer {layer.name!r}: a variable of {dataset.size} numbers")
        return np.asarray(dataset[()], dtype=np.float32)


def _numbered(layer: KerasLayer) -> Sequence[str]:
    if layer.kind == "BatchNormalization":
        return [name for name, flag in _NORM if not flag or layer.get(flag, True)]
    return ("depthwise_kernel" if "Depthwise" in layer.kind else "kernel", "bias")


def _datasets(group: Any, name: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    """All arrays below a group, over hard links only: a file cannot lead into another, or round in a circle."""
    if depth > 8:
        raise InputError(f"layer {name!r}: its variables are nested too deep")
    for key in group:
        if not isinstance(group.get(key, getlink=True), h5py.HardLink):
            raise InputError(f"layer {name!r}: its variables lie behind a link")
        item = group[key]
        if isinstance(item, h5py.Dataset):
            yield key, item
        else:
            yield from _datasets(item, name, depth + 1)


def _read(weights: _Weights, model: dict[str, Any], size: tuple[int, ...] | None) -> tuple[g.Graph, Shape]:
    layers = [KerasLayer.of(item) for item in _items(model)]
    if not layers:
        raise ImportRefused("the model has no layers")
    reader = KerasReader()
    order = _connections(model, layers)
    shape: Shape | None = None
    axes: tuple[str, ...] = ()
    places: dict[str, int] = {}
    last = ""
    for layer, sources in order:
        snake = _snake(layer.kind)
        place = snake if snake not in places else f"{snake}_{places[snake]}"
        places[snake] = places.get(snake, 0) + 1
        if shape is None:
            shape, axes, batch = _input(layer, size)
            reader.begin(batch)
            if layer.kind == "InputLayer":
                reader.alias_input(layer.name)
                continue
        elif layer.kind == "InputLayer":
            raise ImportRefused("the model has more than one input")
        inputs = sources or [last or "input"]
        try:
            reader.call(layer, [s if s in reader.outputs else "input" for s in inputs], weights.of(layer, place))
        except ImportRefused as error:
            tensors = [reader.outputs[s] for s in inputs if s in reader.outputs]
            return reader.stopped("input", axes, error, tensors, "NHWC"), shape
        last = layer.name
    if shape is None or not last:
        raise ImportRefused("the model has no layers")
    return g.Graph(reader.nodes, "input", reader.outputs[last], axes, "NHWC"), shape


def _items(model: dict[str, Any]) -> list[dict[str, Any]]:
    found = model["config"].get("layers")
    if model.get("class_name") not in ("Sequential", "Functional", "Model") or not isinstance(found, list):
        raise ImportRefused(f"a model of class {model.get('class_name')!r}; Sequential and Functional can be taken")
    return found


def _snake(kind: str) -> str:
    """QuantConv2D -> quant_conv2d, as Keras names layers in a file."""
    text = ""
    for index, letter in enumerate(kind):
        before = kind[index - 1] if index else ""
        if letter.isupper() and before and (before.islower() or (before.isdigit() and letter != "D")):
            text += "_"
        text += letter.lower()
    return text


def _input(layer: KerasLayer, size: tuple[int, ...] | None) -> tuple[Shape, tuple[str, ...], tuple[int, ...]]:
    """Shape of the input map, the axes of the tensor, and its shape without the batch."""
    given = layer.get("batch_input_shape", None) or layer.get("batch_shape", None)
    if not isinstance(given, list | tuple) or not 2 <= len(given) <= 4:
        raise ImportRefused(
            f"layer {layer.name!r}: an input of shape {given}; [N, H, W, C], [N, W, C] or [N, K] is taken"
        )
    axes = {4: ("N", "H", "W", "C"), 3: ("N", "W", "C"), 2: ("N", "C")}[len(given)]
    if len(given) == 2 and size:
        axes = ("N", "HWC")
        found = dict(zip("HWC", (*size, 1)[:3], strict=False))
    else:
        sizes = dict(zip("HWC", (*(size or ()), 0, 0, 0)[:3], strict=False))
        found = {"H": 1, "W": 1, "C": 1}
        for axis, number in zip(axes[1:], given[1:], strict=True):
            found[axis] = int(number or sizes[axis])
            if not 1 <= found[axis] <= 65535:
                raise InputError(f"the input does not say its {axis}: give it with --size HxWxC")
    shape = Shape(found["H"], found["W"], found["C"])
    whole = tuple(int(np.prod([found[letter] for letter in axis])) for axis in axes[1:])
    return shape, axes, whole


def _connections(model: dict[str, Any], layers: list[KerasLayer]) -> list[tuple[KerasLayer, list[str]]]:
    """Layers after those that they take from, with the names of these; nothing for the layer before."""
    if model["class_name"] == "Sequential":
        return [(layer, []) for layer in layers]
    by_name = {layer.name: layer for layer in layers}
    sources = {layer.name: _history(layer.inbound) for layer in layers}
    done: list[tuple[KerasLayer, list[str]]] = []
    waiting = list(layers)
    placed: set[str] = set()
    while waiting:
        ready = [layer for layer in waiting if all(s in placed for s in sources[layer.name])]
        if not ready:
            missing = sorted(set(sources[waiting[0].name]) - placed)
            raise ImportRefused(f"layer {waiting[0].name!r}: takes {', '.join(missing)}, which nothing gives")
        done += [(layer, sources[layer.name]) for layer in ready]
        placed.update(layer.name for layer in ready)
        waiting = [layer for layer in waiting if layer.name not in placed]
    outputs = _history(model["config"].get("output_layers", []))
    if len(outputs) == 1 and outputs[0] in by_name:
        # The output last, so that it is what the graph ends in.
        done.sort(key=lambda item: item[0].name == outputs[0])
    return done


def _history(value: Any, depth: int = 0) -> list[str]:
    """Names of layers in inbound_nodes, in Keras 2's lists and in Keras 3's dictionaries."""
    if depth > 16:
        raise ImportRefused("the model's layers are connected in a way that is nested too deep")
    if isinstance(value, dict):
        if isinstance(value.get("keras_history"), list):
            return [str(value["keras_history"][0])]
        return [name for part in value.values() for name in _history(part, depth + 1)]
    if isinstance(value, list):
        if len(value) >= 3 and isinstance(value[0], str) and all(isinstance(n, int) for n in value[1:3]):
            return [value[0]]
        return [name for part in value for name in _history(part, depth + 1)]
    return []
