"""How long the long tests are: BITFLOW_SOAK=1, which `make soak` sets, makes 10,000 images of some hundred."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from bitflow.learn.data.sources import load_data

__all__ = ["SOAK", "digits_file"]

SOAK = os.environ.get("BITFLOW_SOAK") == "1"


def digits_file(folder: Path, images: int) -> str:
    """A data source of so many test images: those of digits, again and again."""
    test = load_data("digits").test
    pixels = np.resize(test.images, (images, *test.images.shape[1:]))
    labels = np.resize(test.labels, images)
    np.savez(folder / "digits.npz", x_train=pixels[:10], y_train=labels[:10], x_test=pixels, y_test=labels)
    return f"npz:{folder / 'digits.npz'}"
