"""A file written by another tool: its type, the network in it, and the source's own runtime to check against."""

from __future__ import annotations

import importlib.util
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused, InputError
from bitflow.geometry import ChannelOrder, InputSpec, Shape
from bitflow.importers.assemble import Imported
from bitflow.importers.graph import Graph
from bitflow.importers.layout import lengths
from bitflow.importers.pixels import Pixels, network_of
from bitflow.importers.run_graph import run_graph
from bitflow.importers.value import Axes, flat_axes

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Settings", "Source", "open_source"]

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Settings:
    """What the user says about a file.

    pixels: how the source scaled its pixels.
    size: (height, width[, channels]).
    module: FILE.py:CLASS for a torch state dict.

    The other fields are the arguments of `assemble`.
    """

    pixels: Pixels | None = None
    size: tuple[int, ...] | None = None
    name: str | None = None
    labels: Sequence[str] = ()
    sign_zero: int | None = None
    module: str | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """An imported file.

    kind: type of the file and its runtime, for people to read.
    run: images [N, H, W, C] as the network takes them -> logits float32 [N, classes], by the source's own runtime.
    """

    kind: str
    imported: Imported
    run: Callable[[Array], Floats]


@np.errstate(all="ignore")  # of hostile numbers: what comes of them is refused
def open_source(path: str | Path, settings: Settings) -> Source:
    """Import a file of any known type. Raises InputError for one that is damaged, hostile or of an unknown type."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    if path.suffix in (".h5", ".hdf5", ".keras") or start == b"\x89HDF\r\n\x1a\n":
        return _keras(path, settings)
    if path.suffix in (".pt", ".pth", ".ckpt", ".bin") or start.startswith(b"PK"):
        return _torch(path, settings)
    return _onnx(path, settings)


def _floats(pixels: Pixels, images: Array, axes: Axes) -> Floats:
    """Images [N, H, W, C] as floats in the source's axes."""
    values = pixels.floats(images)
    letters = flat_axes(axes)
    letters += "".join(letter for letter in "HWC" if letter not in letters)
    kept = values.transpose(0, *(1 + "HWC".index(letter) for letter in letters))
    return np.ascontiguousarray(kept.reshape(len(values), *lengths(Shape(*values.shape[1:]), axes)))


def _imported(
    graph: Graph, shape: Shape, pixels: Pixels, path: Path, settings: Settings, notes: Sequence[str] = ()
) -> Imported:
    name = path.stem if settings.name is None else settings.name
    labels, zero = settings.labels, settings.sign_zero
    return network_of(graph, shape, pixels, name, labels=labels, sign_zero=zero, notes=notes)


def _keras(path: Path, settings: Settings) -> Source:
    from bitflow.importers.keras.file import NOTES, read_keras

    pixels = settings.pixels or Pixels.RAW
    graph, shape = read_keras(path, settings.size)
    imported = _imported(graph, shape, pixels, path, settings, NOTES)
    return Source(
        "a NumPy reading of the file", imported, lambda images: run_graph(graph, _floats(pixels, images, graph.axes))
    )


def _onnx(path: Path, settings: Settings) -> Source:
    from bitflow.importers.onnx.file import read_graph, read_model
    from bitflow.importers.onnx.run import OnnxRunner

    pixels = settings.pixels or Pixels.UNIT
    model = read_model(path)
    graph, shape = read_graph(model, settings.size)
    imported = _imported(graph, shape, pixels, path, settings)
    runner = OnnxRunner(model)
    return Source(runner.kind, imported, lambda images: runner.run(_floats(pixels, images, graph.axes)))


def _torch(path: Path, settings: Settings) -> Source:
    from bitflow.importers.torch.module import import_module
    from bitflow.learn.training.evaluate import logits

    if settings.module is None:
        module, input_spec, name, labels = _own_checkpoint(path)
        settings = replace(settings, name=settings.name or name, labels=settings.labels or labels)
    else:
        module, input_spec = _state_dict(path, settings)
    pixels = settings.pixels or Pixels.RAW
    shape = input_spec.shape
    imported = import_module(
        module,
        input_spec,
        pixel_steps=pixels.steps(shape.channels),
        name=settings.name or path.stem,
        labels=settings.labels,
        sign_zero=settings.sign_zero,
    )
    imported = replace(imported, notes=(f"input: the source got {pixels} for a pixel p", *imported.notes))
    return Source("torch", imported, lambda images: logits(module, pixels.floats(images)))


def _own_checkpoint(path: Path) -> tuple[nn.Module, InputSpec, str, tuple[str, ...]]:
    """A checkpoint of `bitflow train`."""
    from bitflow.learn.training.checkpoint import NotOurs, load_module

    try:
        module, facts = load_module(path)
    except NotOurs as error:
        raise InputError(
            f"{error}; for a state dict, name the class that it belongs to: --module net.py:Net --size HxWxC"
        ) from None
    return module, facts.input_spec, facts.name, facts.labels


def _state_dict(path: Path, settings: Settings) -> tuple[nn.Module, InputSpec]:
    """The user's own class with the numbers of a file. Only numbers are read from the file."""
    import torch

    file, _, name = (settings.module or "").rpartition(":")
    if not file or not name:
        raise InputError(f"--module {settings.module!r} is not FILE.py:CLASS")
    if not settings.size or len(settings.size) != 3:
        raise InputError("say the size of the module's input: --size HxWxC")
    try:
        with warnings.catch_warnings(action="ignore"):  # an odd pickle is refused below
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or hostile pickle raises anything
        raise InputError(
            f"{path} is damaged, or holds more than numbers: save the module's state_dict() alone, a pickled module is "
            "never loaded"
        ) from error
    state = content.get("state_dict", content) if isinstance(content, dict) else None
    if not isinstance(state, dict):
        raise InputError(f"{path} holds no state dict")
    module = _class(Path(file), name)()
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} does not fit {name}: {reason}") from error
    shape = Shape(*settings.size)
    return module.eval(), InputSpec(shape, "uint8", 0, ChannelOrder.default(shape.channels))


def _class(file: Path, name: str) -> Callable[[], nn.Module]:
    """A class of the user's own source file, which is executed."""
    found = importlib.util.spec_from_file_location(file.stem, file)
    if found is None or found.loader is None or not file.is_file():
        raise InputError(f"{file} is no Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules.setdefault(file.stem, module)
    found.loader.exec_module(module)
    made = getattr(module, name, None)
    if not callable(made):
        raise ImportRefused(f"{file} has no class {name}")
    return cast("Callable[[], nn.Module]", made)
