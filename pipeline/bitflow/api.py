"""The Python interface: load or fuse a network, run it, save it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from bitflow import boards, resources
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_packed
from bitflow.errors import InputError
from bitflow.image import bfn
from bitflow.importers.graph import SIGN_OF_ZERO
from bitflow.importers.pixels import Pixels
from bitflow.ir import Network, PackedNetwork
from bitflow.lower import fuse as lowering
from bitflow.lower.pack import pack
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.show import report as reporting

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Model", "fuse", "import_keras", "import_onnx", "load", "report"]

Engine = Literal["c", "numpy"]


class Model(PackedNetwork):
    """A packed network that can run itself. Everything that takes a PackedNetwork takes a Model."""

    __slots__ = ()

    @classmethod
    def of(cls, network: PackedNetwork) -> Model:
        """The same network as a Model."""
        return cls(**{f.name: getattr(network, f.name) for f in fields(PackedNetwork)})

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Height, width and channels of an input."""
        shape = self.input_spec.shape
        return shape.height, shape.width, shape.channels

    @property
    def input_dtype(self) -> str:
        """Type of a pixel: "uint8" or "int8"."""
        return self.input_spec.dtype

    def scores(self, images: npt.NDArray[Any], engine: Engine = "c") -> npt.NDArray[np.int32]:
        """Integer scores, int32 [N, classes].

        images: uint8 or int8 (`input_dtype`) [N, H, W, C]; with one channel also [N, H, W].
        engine: "c": the C library on the host, compiled once; "numpy": the slow reference.

        Raises InputError for images of another shape or type, MissingError for "c" without a C compiler.
        """
        if engine not in ("c", "numpy"):
            raise InputError(f"unknown engine {engine!r}: c or numpy")
        found = HostEngine(self).scores(images) if engine == "c" else run_packed(self, images).scores
        return np.asarray(found, dtype=np.int32)

    def float_logits(self, images: npt.NDArray[Any], engine: Engine = "c") -> npt.NDArray[np.float64]:
        """Float logits [N, classes], made from the integer scores on this computer; arguments as for `scores`.

        Raises InputError for a network that has none.
        """
        if self.logits is None:
            raise InputError(f"{self.name} has no float logits; its scores are integers")
        return np.asarray(self.logits.scale * self.scores(images, engine) + self.logits.offset)

    def predict(self, images: npt.NDArray[Any], engine: Engine = "c") -> npt.NDArray[np.int64]:
        """Class of each image, int [N]: the largest score, of equal ones the first. Arguments as for `scores`."""
        return np.asarray(np.argmax(self.scores(images, engine), axis=1))

    def save(self, path: str | Path) -> None:
        """Write the `.bfn`; the file appears whole or not at all."""
        bfn.save(self, path)


def load(path: str | Path) -> Model:
    """Read a `.bfn` file, or "builtin:NAME". Raises ImageError if it is damaged or of another version."""
    name = str(path).removeprefix("builtin:")
    return Model.of(bfn.load(resources.builtin_model(name) if name != str(path) else path))


def fuse(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    name: str = "model",
    labels: Sequence[str] = (),
    dtype: Literal["uint8", "int8"] = "uint8",
    pixels: str = "raw",
    sign_zero: Literal["plus", "minus"] | None = None,
) -> Model:
    """Fuse a torch module to BatchShift and pack it.

    Its layers are those of `bitflow.nn`, or any with one-bit weights and activations, in any style of forward pass.

    The result's `predict` equals the arg-max of the module in eval mode, the first index on ties. With a BatchNorm
    after the last layer, float32 may order some pairs of classes in a way that int32 scores cannot; then it warns how
    many pairs, and how near their logits are.

    module: takes float [N, C, H, W] with pixel values 0..255 and returns logits [N, classes].
    input_shape: (H, W, C); a module over sequences [N, C, W] has H = 1.
    name: name of the network.
    labels: names of the classes.
    dtype: type of a pixel.
    pixels: the float that the module gets for a pixel: raw, unit, signed or MEAN,STD, as `bitflow import --input`.
    sign_zero: the bit for torch.sign(0), which is 0 in torch; needed only where 0 can occur.

    Raises ImportRefused for what is not binary, FusionError where float32 overflows.
    """
    from bitflow.importers.torch.module import import_module, input_spec_of

    imported = import_module(
        module,
        input_spec_of(input_shape, dtype),
        pixel_steps=Pixels.parse(pixels).steps(input_shape[2]),
        name=name,
        labels=labels,
        sign_zero=SIGN_OF_ZERO[sign_zero],
    )
    return _fused(imported.network)


def import_onnx(path: str | Path, **options: Any) -> Model:
    """The network in an ONNX or QONNX file, packed. Options and errors as `bitflow.importers.onnx.file.import_onnx`."""
    from bitflow.importers.onnx import file as onnx_file

    return _fused(onnx_file.import_onnx(path, **options).network)


def import_keras(path: str | Path, **options: Any) -> Model:
    """The network in a Larq or Keras file, packed. Options as `bitflow.importers.keras.file.import_keras`."""
    from bitflow.importers.keras import file as keras_file

    return _fused(keras_file.import_keras(path, **options).network)


def _fused(network: Network) -> Model:
    fused = lowering.fuse(network)
    order = lowering.explain(network, fused)[-1].order
    if order is not None and order.pairs:
        text = (
            f"{order.pairs} of {order.of} pairs of class scores are ordered unlike the float logits, which differ there"
        )
        warnings.warn(f"{network.name}: {text} by {order.gap:g} at most", stacklevel=3)
    return Model.of(pack(fused))


def report(
    network: PackedNetwork, board: str = boards.DEFAULT_BOARD, optimize: Objective = "balanced"
) -> reporting.Report:
    """What a network costs on a board, with kernels chosen for an objective: "balanced", "speed", "flash" or "ram".

    Raises InputError for a board that is not in the table.
    """
    found = boards.board(board)
    return reporting.report(network, found.name, plan_for(network, found, optimize), found.flash, found.ram)
