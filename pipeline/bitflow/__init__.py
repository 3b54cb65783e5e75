"""BitFlow: fully binary networks on microcontrollers, with proof that the chip computes what was trained.

    net = bitflow.load("model.bfn")
    net.predict(images)

The layers for training are in `bitflow.nn`, which needs torch; nothing else here does.
"""

import importlib

from bitflow._version import __version__
from bitflow.api import Model, fuse, import_keras, import_onnx, load, report
from bitflow.errors import (
    BitflowError,
    CheckFailed,
    DeviceError,
    FusionError,
    ImageError,
    ImportRefused,
    InputError,
    MissingError,
)
from bitflow.ir import PackedNetwork

__all__ = [
    "BitflowError",
    "CheckFailed",
    "DeviceError",
    "FusionError",
    "ImageError",
    "ImportRefused",
    "InputError",
    "MissingError",
    "Model",
    "PackedNetwork",
    "__version__",
    "fuse",
    "import_keras",
    "import_onnx",
    "load",
    "report",
]


def __getattr__(name: str) -> object:
    """Import `bitflow.nn` on first use: it needs torch, which most users of bitflow do not have."""
    if name == "nn":
        return importlib.import_module("bitflow.nn")
    raise AttributeError(f"module 'bitflow' has no attribute {name!r}")
