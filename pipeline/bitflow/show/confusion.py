"""Confusion matrices: counts of true and found classes, prepared for HTML pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["counted", "matrix", "pairs"]

Counts = npt.NDArray[np.int64]
Labels = npt.NDArray[np.integer[Any]]

_LETTERS = 3  # the longest name that fits above a column
_FAINTEST = 0.25  # strength of a cell with one image among many, which must be visible


def counted(truth: Labels, found: Labels, classes: int) -> Counts:
    """Counts int64 [true class][found class] of labels [N], all within 0..classes - 1."""
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (truth, found), 1)
    return counts


def matrix(counts: Counts, names: Sequence[str]) -> dict[str, Any]:
    """Counts for a template: each cell with its strength, 0 to 60, by its share of the row, and the right share of each
    row. tall: a name is too long to be written horizontally above its column.
    """
    rows = []
    for index, (name, line) in enumerate(zip(names, counts.tolist(), strict=True)):
        total = max(1, sum(line))
        cells = [
            {
                "count": count,
                "right": index == column,
                "strength": round(60 * max(count / total, _FAINTEST)) if count else 0,
            }
            for column, count in enumerate(line)
        ]
        rows.append({"name": name, "cells": cells, "share": f"{line[index] / total:.0%}" if sum(line) else ""})
    return {"names": names, "rows": rows, "tall": max(map(len, names)) > _LETTERS}


def pairs(truth: Labels, found: Labels, names: Sequence[str], most: int) -> list[tuple[str, str, int]]:
    """True class, found class, how often: up to `most` confusions, the most frequent first.

    Made from labels, not counts: with thousands of classes a table of counts would be large.
    """
    wrong = truth != found
    kinds, counts = np.unique(np.stack([truth[wrong], found[wrong]]), axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(names[kinds[0, at]], names[kinds[1, at]], int(counts[at])) for at in order]
