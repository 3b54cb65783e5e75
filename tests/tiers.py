"""Two tiers: a sample of everything in the one that a developer waits for, the whole in the long one.

`make test` runs what is not marked `long`, `make test-long` what is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

__all__ = ["SAMPLE", "parts", "seeds", "turns"]

SAMPLE = 20
"""How many of some hundreds of seeds the first tier takes."""


def parts(count: int, size: int, sample: int = SAMPLE, also: tuple[int, ...] = ()) -> list[Any]:
    """Seeds that are parameters of a test: a sample, and in the long tier the others, so many at a time.

    also: seeds of something rare that the sample has, too.
    """
    rest = [range(start, min(start + size, count)) for start in range(sample, count, size)]
    found = [pytest.param((*range(sample), *also), id=f"seeds 0 to {sample - 1}")]
    return found + [pytest.param(r, id=f"seeds {r.start} to {r.stop - 1}", marks=pytest.mark.long) for r in rest]


def seeds(count: int, sample: int = SAMPLE) -> list[Any]:
    """Seeds that are parameters of a test: a sample, and in the long tier the others."""
    return [*range(sample), *(pytest.param(seed, marks=pytest.mark.long) for seed in range(sample, count))]


def turns(values: Iterable[Any], ways: Iterable[Any]) -> list[Any]:
    """Pairs of a value and a way: each value with one way in turn, and in the long tier with the others."""
    ways = list(ways)
    return [
        pytest.param(value, way, marks=() if place == turn % len(ways) else pytest.mark.long)
        for turn, value in enumerate(values)
        for place, way in enumerate(ways)
    ]
