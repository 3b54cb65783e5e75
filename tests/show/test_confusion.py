"""Confusions, counted by hand."""

from __future__ import annotations

import numpy as np

from bitflow.show.confusion import counted, matrix, pairs

TRUTH, FOUND = np.array([0, 0, 0, 1, 2, 2, 2, 2]), np.array([0, 1, 1, 1, 0, 2, 2, 0])
NAMES = ("cat", "a dog", "owl", "bee")


def test_counts_must_be_true_then_found() -> None:
    counts = counted(TRUTH, FOUND, 4)
    assert counts.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [2, 0, 2, 0], [0, 0, 0, 0]]


def test_a_matrix_must_share_out_its_rows() -> None:
    found = matrix(counted(TRUTH, FOUND, 4), NAMES)
    assert [row["share"] for row in found["rows"]] == ["33%", "100%", "50%", ""]
    assert [cell["strength"] for cell in found["rows"][0]["cells"]] == [20, 40, 0, 0]
    assert [cell["right"] for cell in found["rows"][1]["cells"]] == [False, True, False, False]
    assert found["tall"]
    assert not matrix(counted(TRUTH, FOUND, 4), "abcd")["tall"]


def test_pairs_must_be_the_most_frequent_confusions() -> None:
    assert pairs(TRUTH, FOUND, NAMES, 9) == [("cat", "a dog", 2), ("owl", "cat", 2)]
    assert pairs(TRUTH, FOUND, NAMES, 1) == [("cat", "a dog", 2)]
    assert pairs(TRUTH, TRUTH, NAMES, 9) == []
