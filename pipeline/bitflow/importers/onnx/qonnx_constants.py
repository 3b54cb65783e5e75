"""QONNX's own operations on constants: BipolarQuant and Quant.

QONNX's documentation defines them (fastmachinelearning/qonnx). BipolarQuant has sign(0) = +1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.errors import ImportRefused

__all__ = ["CONSTANTS"]

Array = npt.NDArray[Any]


def _bipolar_constant(attributes: Mapping[str, Any], values: Array, scale: Array) -> Array:
    return np.asarray(np.where(values >= 0, scale, -scale), dtype=np.float32)


def _quant_constant(attributes: Mapping[str, Any], values: Array, scale: Array, zero: Array, width: Array) -> Array:
    signed, narrow = bool(attributes.get("signed", 1)), bool(attributes.get("narrow", 0))
    bits = float(np.ravel(width)[0])
    if not 1 <= bits <= 8:
        raise ImportRefused(f"weights of {bits:g} bits; 1 to 8 can be taken")
    rounding = str(attributes.get("rounding_mode", "ROUND")).upper()
    rounded = {"ROUND": np.rint, "FLOOR": np.floor, "CEIL": np.ceil, "ROUND_TO_ZERO": np.trunc}.get(rounding)
    if rounded is None:
        raise ImportRefused(f"rounding mode {rounding} is unknown")
    low = -(2 ** (bits - 1)) + narrow if signed else 0
    high = 2 ** (bits - 1) - 1 if signed else 2**bits - 1 - narrow
    whole = np.clip(rounded(values / scale + zero), low, high)
    return np.asarray((whole - zero) * scale, dtype=np.float32)


CONSTANTS: dict[str, Callable[..., Array]] = {"BipolarQuant": _bipolar_constant, "Quant": _quant_constant}
