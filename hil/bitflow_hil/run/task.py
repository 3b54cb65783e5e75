"""The task for boards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from bitflow.ir import PackedNetwork

__all__ = ["Task"]


@dataclass(frozen=True, slots=True)
class Task:
    """Test images for a network, and the scores for comparison.

    images: [N, H, W, C].
    labels: [N], the true ones.
    host_scores: int32 [N, classes], of the C library on this computer.
    float_accuracy: a fraction; None if no float network is known.
    """

    network: PackedNetwork
    images: npt.NDArray[Any]
    labels: npt.NDArray[np.int64]
    host_scores: npt.NDArray[np.int32]
    float_accuracy: float | None = None
