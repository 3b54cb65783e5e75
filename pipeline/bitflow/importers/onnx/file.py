"""ONNX and QONNX files -> Network. Files are not trusted: nothing in them is run, and everything is bounded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError
from onnx import external_data_helper, numpy_helper

from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import Shape, require
from bitflow.importers import graph as g
from bitflow.importers.assemble import Imported
from bitflow.importers.files import MAX_BYTES, read_bounded
from bitflow.importers.layout import lengths
from bitflow.importers.onnx.operations import AT_THE_END, OPERATIONS, UNWANTED
from bitflow.importers.onnx.reader import OnnxReader, Operation
from bitflow.importers.pixels import Pixels, network_of

__all__ = ["import_onnx", "read_graph", "read_model"]

_FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


@np.errstate(all="ignore")  # of hostile numbers: what comes of them is refused
def import_onnx(
    path: str | Path,
    *,
    pixels: Pixels | None = None,
    size: tuple[int, ...] | None = None,
    name: str | None = None,
    labels: Sequence[str] = (),
    sign_zero: int | None = None,
) -> Imported:
    """The network in an ONNX or QONNX file.

    pixels: how the source scaled its pixels; by default p / 255.
    size: (height, width[, channels]) of the input, if the file does not say or the input is flat.
    name: name of the network; by default the file's.
    labels: names of the classes.
    sign_zero: as in `assemble`.

    Raises InputError for a file that is damaged or hostile, ImportRefused for a network that is not supported.
    """
    path = Path(path)
    graph, shape = read_graph(read_model(path), size)
    return network_of(
        graph, shape, pixels or Pixels.UNIT, path.stem if name is None else name, labels=labels, sign_zero=sign_zero
    )


def read_model(path: Path) -> onnx.ModelProto:
    """Parse a file, with external data from its own folder. Raises InputError with the reason."""
    data = read_bounded(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise InputError(f"{path}: not an ONNX file, or damaged") from error
    require(len(model.graph.node) > 0, f"{path}: not an ONNX file: it holds no graph")
    outside = 0
    for tensor in _tensors(model.graph):
        _check_tensor(path, tensor)
        if external_data_helper.uses_external_data(tensor):
            outside += _load_external(path, tensor)
            require(outside <= MAX_BYTES, f"{path}: its external data is larger than {MAX_BYTES} bytes")
    return model


def _tensors(graph: onnx.GraphProto) -> Sequence[onnx.TensorProto]:
    held = [a.t for node in graph.node for a in node.attribute if a.type == onnx.AttributeProto.TENSOR]
    return [*graph.initializer, *held]


def _check_tensor(path: Path, tensor: onnx.TensorProto) -> None:
    count = 1
    for dimension in tensor.dims:
        require(dimension >= 0, f"{path}: tensor {tensor.name!r} has a negative dimension")
        count *= dimension
        require(count <= MAX_BYTES, f"{path}: tensor {tensor.name!r} is too large")


def _load_external(path: Path, tensor: onnx.TensorProto) -> int:
    """Read a tensor's bytes from a file beside the model, and from nowhere else; return how many."""
    info = external_data_helper.ExternalDataInfo(tensor)
    folder = path.parent.resolve()
    place = (folder / info.location).resolve()
    inside = place.is_relative_to(folder) and not Path(info.location).is_absolute()
    require(inside, f"{path}: the data of tensor {tensor.name!r} is outside the model's folder: {info.location}")
    require(place.is_file(), f"{path}: the data of tensor {tensor.name!r} is missing: {info.location}")
    whole = place.stat().st_size
    offset, length = int(info.offset or 0), int(info.length or 0)
    length = length or whole - offset
    fits = 0 <= offset <= whole and 0 <= length <= whole - offset
    require(fits and length <= MAX_BYTES, f"{path}: the data of tensor {tensor.name!r} ends beyond {info.location}")
    with place.open("rb") as file:
        file.seek(offset)
        tensor.raw_data = file.read(length)
    tensor.data_location = onnx.TensorProto.DEFAULT
    return length


def _array(path: str, tensor: onnx.TensorProto) -> npt.NDArray[Any]:
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as error:  # NumPy may raise anything for a damaged tensor
        raise InputError(f"tensor {path or tensor.name!r} is damaged: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def read_graph(model: onnx.ModelProto, size: tuple[int, ...] | None = None) -> tuple[g.Graph, Shape]:
    """The graph of a model, and the shape of its input. Errors and size as `import_onnx`."""
    graph = model.graph
    reader = OnnxReader(opset={o.domain: o.version for o in model.opset_import})
    reader.constants = {tensor.name: _array(tensor.name, tensor) for tensor in graph.initializer}
    entries = [value for value in graph.input if value.name not in reader.constants]
    if len(entries) != 1:
        raise ImportRefused(
            f"the network has {len(entries)} inputs: {', '.join(v.name for v in entries)}; one is taken"
        )
    entry = entries[0]
    shape, axes = _input(entry, graph, size)
    reader.shapes[entry.name] = (1, *lengths(shape, axes))
    reader.tensors.add(entry.name)
    if not graph.output:
        raise ImportRefused("the network has no output")
    for index, node in enumerate(graph.node):
        try:
            _call(reader, Operation.of(node, index))
        except ImportRefused as error:
            return reader.stopped(entry.name, axes, error, node.input), shape
    output = graph.output[0].name
    if not reader.depends(output):
        raise ImportRefused(f"the output {output!r} does not depend on the input")
    return g.Graph(reader.nodes, entry.name, reader.resolve("output", output), axes), shape


def _input(
    entry: onnx.ValueInfoProto, graph: onnx.GraphProto, size: tuple[int, ...] | None
) -> tuple[Shape, tuple[str, ...]]:
    """Shape of the input map and the axes of the tensor."""
    kind = entry.type.tensor_type
    if kind.elem_type not in _FLOATS:
        raise ImportRefused(f"input {entry.name!r} is not float; the network must take floats")
    numbers = [d.dim_value if d.HasField("dim_value") else 0 for d in kind.shape.dim]
    if len(numbers) not in (2, 3, 4):
        raise ImportRefused(f"input {entry.name!r} has {len(numbers)} axes; [N, C, H, W], [N, C, W] or [N, K] is taken")
    if len(numbers) == 4:
        # Exporters of channels-last frameworks transpose the axes first.
        last = any(n.op_type == "Transpose" and entry.name in n.input and _order(n) == (0, 3, 1, 2) for n in graph.node)
        axes: tuple[str, ...] = ("N", "H", "W", "C") if last else ("N", "C", "H", "W")
    else:
        axes = ("N", "C", "W") if len(numbers) == 3 else ("N", "CHW" if size else "C")
    given = dict(zip("HWC", (*size, 1)[:3], strict=False)) if size else {}
    found = {"H": 1, "W": 1, "C": 1}
    for axis, number in zip(axes[1:], numbers[1:], strict=True):
        if len(axis) > 1:
            found = {**found, **given}
            want = int(np.prod(list(found.values())))
            require(number in (0, want), f"input {entry.name!r} has {number} values, not {want}")
            continue
        found[axis] = number or given.get(axis, 0)
        if not found[axis]:
            raise InputError(f"input {entry.name!r} does not say its {axis}: give it with --size HxWxC")
    for axis, number in found.items():
        require(1 <= number <= 65535, f"input {entry.name!r}: {axis} = {number} is outside 1..65535")
    return Shape(found["H"], found["W"], found["C"]), axes


def _order(node: onnx.NodeProto) -> tuple[int, ...]:
    return next((tuple(a.ints) for a in node.attribute if a.name == "perm"), ())


def _call(reader: OnnxReader, node: Operation) -> None:
    for name in node.inputs:
        if name and not reader.known(name):
            raise ImportRefused(f"layer {node.label!r}: takes {name!r}, which no layer before it gives")
    kind = node.kind
    if not any(reader.depends(name) for name in node.inputs if name):
        reader.compute(node)
        return
    if kind in AT_THE_END:
        # These change the logits, but not their order.
        reader.ends[node.outputs[0]] = node.label
        reader.alias(node.label, node.inputs[0], node.outputs[0])
        return
    if any(name in reader.ends for name in node.inputs):
        raise reader.refuse(node.label, f"follows {reader.ends[next(n for n in node.inputs if n in reader.ends)]!r}")
    translate = OPERATIONS.get(kind)
    if translate is None:
        raise reader.refuse(node.label, UNWANTED.get(kind, f"is {kind}, which is unknown to BitFlow"))
    try:
        translate(reader, node)
    except InputError:
        raise
    except (IndexError, KeyError, TypeError, ValueError, OverflowError) as error:  # inputs or attributes that it lacks
        raise InputError(f"layer {node.label!r}: {kind} is damaged: {_first_line(error)}") from error
