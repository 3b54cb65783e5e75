"""QONNX's own operations on constants: BipolarQuant and Quant.

QONNX's documentation defines them (fastmachinelearning/qonnx). BipolarQuant has sign(0) = +1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused
from bitflow.importers.rounding import ROUNDINGS

__all__ = ["CONSTANTS", "whole_range"]

Array = npt.NDArray[Any]


def whole_range(signed: bool, narrow: bool, bits: float) -> tuple[float, float]:
    """The smallest and the largest whole number of a type."""
    if signed:
        return -(2 ** (bits - 1)) + narrow, 2 ** (bits - 1) - 1
    return 0, 2**bits - 1 - narrow


def _bipolar_constant(attributes: Mapping[str, Any], values: Array, scale: Array) -> Array:
    return np.asarray(np.where(values >= 0, scale, -scale), dtype=np.float32)


def _quant_constant(attributes: Mapping[str, Any], values: Array, scale: Array, zero: Array, width: Array) -> Array:
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    bits = float(np.ravel(width)[0])
    if not 1 <= bits <= 8:
        raise ImportRefused(f"weights of {bits:g} bits; 1 to 8 can be taken")
    mode = str(attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in ROUNDINGS:
        raise ImportRefused(f"rounding mode {mode} is unknown")
    x = values / scale + zero
    if signed and bits == 1:  # as QONNX has it: -1 and +1
        whole = np.where(x >= 0, 1, -1)
    else:
        whole = np.clip(ROUNDINGS[mode](x), *whole_range(signed, narrow, bits))
    return np.asarray((whole - zero) * scale, dtype=np.float32)


CONSTANTS: dict[str, Callable[..., Array]] = {
    "BipolarQuant": _bipolar_constant,
    "IntQuant": _quant_constant,
    "Quant": _quant_constant,
}
