"""The Python interface: load or fuse a network, ask it, save it."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from bitflow import resources
from bitflow.check.host import HostEngine
from bitflow.check.reference import run_packed
from bitflow.deploy import boards
from bitflow.errors import InputError
from bitflow.ir import PackedNetwork
from bitflow.lower import fuse as lowering
from bitflow.lower import image
from bitflow.lower.pack import pack
from bitflow.show import report as reporting

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Model", "fuse", "load", "report"]

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
        shape = self.contract.shape
        return shape.height, shape.width, shape.channels

    @property
    def input_dtype(self) -> str:
        """Type of a pixel: "uint8" or "int8"."""
        return self.contract.dtype

    def scores(self, images: npt.NDArray[Any], engine: Engine = "c") -> npt.NDArray[np.int32]:
        """Integer scores, int32 [N, classes].

        images: uint8 or int8 (`input_dtype`) [N, H, W, C]; [N, H, W] where there is one channel. engine: "c" is the C
        library on the host, compiled once; "numpy" the slow reference. Raises InputError for images of another shape
        or type, MissingError for "c" without a C compiler.
        """
        if engine not in ("c", "numpy"):
            raise InputError(f"unknown engine {engine!r}: c or numpy")
        found = HostEngine(self).scores(images) if engine == "c" else run_packed(self, images).scores
        return np.asarray(found, dtype=np.int32)

    def predict(self, images: npt.NDArray[Any], engine: Engine = "c") -> npt.NDArray[np.int64]:
        """Class of each image, int [N]: the largest score, of equal ones the first. Arguments as for `scores`."""
        return np.asarray(np.argmax(self.scores(images, engine), axis=1))

    def save(self, path: str | Path) -> None:
        """Write the `.bfn`; the file appears whole or not at all."""
        image.save(self, path)


def load(path: str | Path) -> Model:
    """Read a `.bfn` file, or "builtin:NAME". Raises ImageError if it is damaged or of another version."""
    name = str(path).removeprefix("builtin:")
    return Model.of(image.load(resources.builtin_model(name) if name != str(path) else path))


def fuse(
    module: nn.Module,
    input_shape: tuple[int, int, int],
    *,
    name: str = "model",
    labels: Sequence[str] = (),
    dtype: Literal["uint8", "int8"] = "uint8",
) -> Model:
    """Fuse a torch module made of `bitflow.nn` layers to BatchShift and pack it.

    module takes float [N, C, H, W] with pixel values 0..255 (or -128..127 with dtype "int8") and gives logits
    [N, classes]. input_shape: (H, W, C). The result's `predict` equals the arg-max of the module in eval mode, first
    index on ties. With a BatchNorm after the last layer float32 may order some pairs of classes as no int32 scores can:
    then it warns how many, and how near their logits are. Raises ImportRefused for layers that are not binary,
    FusionError where float32 overflows.
    """
    from bitflow.importers.torch_module import network_from_module

    network = network_from_module(module, input_shape, name=name, labels=tuple(labels), dtype=dtype)
    fused = lowering.fuse(network)
    order = lowering.explain(network, fused)[-1].order
    if order is not None and order.pairs:
        text = (
            f"{order.pairs} of {order.of} pairs of class scores are ordered unlike the float logits, which differ there"
        )
        warnings.warn(f"{name}: {text} by {order.gap:g} at most", stacklevel=2)
    return Model.of(pack(fused))


def report(network: PackedNetwork, board: str = boards.DEFAULT_BOARD) -> reporting.Report:
    """What a network costs on a board. Raises InputError for a board that is not in the table."""
    found = boards.board(board)
    return reporting.report(network, found.name, found.flash, found.ram)
