"""Which four filters make a quad: the search that makes the patterns' sizes fit the adders' steps.

Any grouping gives the same bits. But an adder takes the entries of a pattern in steps of 32, 16 and 8, and what does
not fill the last one are planes of zeros; so filters change places between quads as long as that makes lists cheaper.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

__all__ = ["TRIES", "grouped"]

_GROUP = 4
TRIES = 4000
# Instructions for a pattern with so many runs of 8 entries: of four runs together, and of those left over (on the M4).
_FOUR_RUNS = 219
_RUNS_LEFT = np.array([0, 75, 122, 175], dtype=np.int64)


def _run_cost(runs: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    costs: npt.NDArray[np.int64] = runs // 4 * _FOUR_RUNS + _RUNS_LEFT[runs % 4]
    return costs


def _cost(words: npt.NDArray[np.uint64], used: npt.NDArray[np.uint64]) -> int:
    """Of the lists of four filters [4, words]."""
    x, y, z = words[1:] ^ words[0]
    sides = [(used & ~x, used & x), (~y, y), (~z, z)]
    masks = np.stack([a & b & c for a in sides[0] for b in sides[1] for c in sides[2]])
    return int(_run_cost(-(-np.bitwise_count(masks).sum(axis=1, dtype=np.int64) // 8)).sum())


def grouped(weights: npt.NDArray[np.bool_], page: int) -> npt.NDArray[np.int64]:
    """Filters [n, inputs] in quads: their numbers [n / 4, 4]. The same weights give the same quads.

    page: the number of quads in a page; only quads of one page exchange filters.
    """
    return _grouped(weights.shape, np.packbits(weights).tobytes(), page, TRIES)


@functools.lru_cache(maxsize=256)
def _grouped(shape: tuple[int, int], packed: bytes, page: int, tries: int) -> npt.NDArray[np.int64]:
    """Of weights as bits: the lists of a layer are made more than once."""
    weights = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=shape[0] * shape[1]).reshape(shape) > 0
    count, inputs = weights.shape
    order = np.arange(count, dtype=np.int64).reshape(-1, _GROUP)
    if len(order) < 2:
        return order
    padded = np.zeros((count, -(-inputs // 64) * 64), dtype=np.bool_)
    padded[:, :inputs] = weights
    words = np.packbits(padded, axis=1, bitorder="little").view("<u8").astype(np.uint64)
    used = np.packbits(np.arange(padded.shape[1]) < inputs, bitorder="little").view("<u8").astype(np.uint64)
    costs = [_cost(words[rows], used) for rows in order]
    rng = np.random.default_rng(0)
    for _ in range(tries):
        g = int(rng.integers(len(order)))
        first = g // page * page
        h = int(rng.integers(first, min(first + page, len(order))))
        i, j = rng.integers(0, _GROUP, 2)
        if g == h:
            continue
        order[g, i], order[h, j] = order[h, j], order[g, i]
        fresh = _cost(words[order[g]], used), _cost(words[order[h]], used)
        if sum(fresh) <= costs[g] + costs[h]:
            costs[g], costs[h] = fresh
        else:
            order[g, i], order[h, j] = order[h, j], order[g, i]
    return order
