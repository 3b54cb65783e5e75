"""Larq and Keras checkpoints (`.h5`, `.keras`) -> Network, read with h5py; TensorFlow is not needed.

The configuration of the layers is only read: a Lambda layer or an unknown class is refused, and nothing is run.
Maps are channels-last. Larq's sign has sign(0) = +1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import Shape
from bitflow.importers import graph as g
from bitflow.importers.assemble import Imported
from bitflow.importers.keras.extract import Extracted, extract
from bitflow.importers.keras.layers import KerasLayer, KerasReader
from bitflow.importers.layout import lengths
from bitflow.importers.pixels import Pixels, network_of

__all__ = ["NOTES", "import_keras", "read_keras"]

NOTES = ("sign(0) = +1, as Larq has it",)

# A BatchNorm's variables in the order of Keras 3's numbers, and the flags that leave out the first two.
_NORM = (("gamma", "scale"), ("beta", "center"), ("moving_mean", ""), ("moving_variance", ""))


@np.errstate(all="ignore")  # of hostile numbers: what comes of them is refused
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

    pixels: how the source scaled its pixels; by default not at all.
    size: (height, width[, channels]), if the file does not say.

    The other arguments and the errors are those of `import_onnx`.
    """
    path = Path(path)
    graph, shape = read_keras(path, size)
    return network_of(
        graph,
        shape,
        pixels or Pixels.RAW,
        path.stem if name is None else name,
        labels=labels,
        sign_zero=sign_zero,
        notes=NOTES,
    )


def read_keras(path: Path, size: tuple[int, ...] | None = None) -> tuple[g.Graph, Shape]:
    """The graph of a file, and the shape of its input. Errors and size as `import_keras`."""
    extracted = extract(path)
    try:
        return _read(_Weights(extracted), extracted.config, size)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError, IndexError) as error:
        # The configuration may have anything anywhere.
        raise InputError(f"{path}: its configuration contradicts itself: {type(error).__name__}: {error}") from error


@dataclass(frozen=True, slots=True)
class _Weights:
    """Variables of layers, by name."""

    held: Extracted

    def of(self, layer: KerasLayer, place: str) -> dict[str, npt.NDArray[Any]]:
        """Name of a variable (kernel, bias, gamma, ...) -> its values, float32.

        place: Keras 3's name of the layer.
        """
        prefix = f"layers/{place}/vars/" if self.held.numbered else f"{layer.name}/"
        for name, reason in self.held.refused.items():
            if name.startswith(prefix):
                raise InputError(f"layer {layer.name!r}: a variable {reason}: {name}")
        found = {name: array for name, array in self.held.arrays.items() if name.startswith(prefix)}
        if self.held.numbered:
            names = dict(enumerate(_numbered(layer)))
            keys = {path.removeprefix(prefix): array for path, array in found.items()}
            return {name: keys[str(number)] for number, name in names.items() if str(number) in keys}
        return {path.rpartition("/")[2].partition(":")[0]: array for path, array in found.items()}


def _numbered(layer: KerasLayer) -> Sequence[str]:
    if layer.kind == "BatchNormalization":
        return [name for name, flag in _NORM if not flag or layer.get(flag, True)]
    return ("depthwise_kernel" if "Depthwise" in layer.kind else "kernel", "bias")


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
    return shape, axes, lengths(shape, axes)


def _connections(model: dict[str, Any], layers: list[KerasLayer]) -> list[tuple[KerasLayer, list[str]]]:
    """Layers, each after its sources, with the names of these; no names: the source is the layer before."""
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
            raise ImportRefused(f"layer {waiting[0].name!r}: takes {', '.join(missing)}, which no layer gives")
        done += [(layer, sources[layer.name]) for layer in ready]
        placed.update(layer.name for layer in ready)
        waiting = [layer for layer in waiting if layer.name not in placed]
    outputs = _history(model["config"].get("output_layers", []))
    if len(outputs) == 1 and outputs[0] in by_name:
        # The output comes last, because the graph ends with its last node.
        done.sort(key=lambda item: item[0].name == outputs[0])
    return done


def _history(value: Any, depth: int = 0) -> list[str]:
    """Names of layers in inbound_nodes, which are lists in Keras 2 and dictionaries in Keras 3."""
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
