"""Float weights of a source as whole numbers: +-1 times a factor or int8 times a scale, one factor for each filter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["factorise"]

# A quantiser's float32 weights may differ by this much from a multiple of their scale.
_TOLERANCE = 2.0**-22


def factorise(
    weights: npt.NDArray[Any],
) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float64]] | None:
    """Filters [out, ...] -> whole numbers int8 of that shape, and factors float64 [out]; None if there are none.

    A filter is whole * factor: exactly for +-1, within float32's rounding for int8.
    """
    rows = np.asarray(weights, dtype=np.float64).reshape(len(weights), -1)
    if rows.size == 0 or not np.isfinite(rows).all():
        return None
    sizes = np.abs(rows)
    top = sizes.max(axis=1)
    whole = np.where(rows < 0, -1, 1).astype(np.int8)
    factors = top.copy()
    for index in np.flatnonzero((sizes != top[:, None]).any(axis=1) | (top == 0)):
        found = _int8(rows[index])
        if found is None:
            return None
        whole[index], factors[index] = found
    return whole.reshape(weights.shape), factors


def _int8(row: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.int8], float] | None:
    """The smallest whole numbers of which a row is a multiple."""
    top = float(np.abs(row).max())
    if top == 0:
        return np.zeros(len(row), dtype=np.int8), 1.0
    for largest in range(1, 128):
        scale = top / largest
        whole = np.rint(row / scale)
        if np.all(np.abs(whole * scale - row) <= _TOLERANCE * np.abs(row)):
            return whole.astype(np.int8), scale
    return None
