"""What tests of training share."""

from __future__ import annotations

import numpy as np
import pytest


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Two classes that a network learns at once: bright and dark pictures with noise."""
    random = np.random.default_rng(0)
    labels = np.arange(200) % 2
    images = (random.integers(0, 120, (200, 8, 8)) + 120 * labels[:, None, None]).astype(np.uint8)
    path = tmp_path_factory.mktemp("data") / "small.npz"
    np.savez(path, x=images, y=labels)
    return f"npz:{path}"
