"""Damaged files of every kind: a few of them on each run; `make fuzz` tries more."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.importers.fuzzing import attack, mutate, write_seed

from bitflow.errors import InputError
from bitflow.importers.keras.extract import extract

COUNTS = {"onnx": 120, "pt": 60, "h5": 12, "keras": 12}  # h5 and keras start a process each


@pytest.mark.parametrize("kind", COUNTS)
def test_damaged_file_must_be_taken_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    results = {attack(tmp_path, kind, seed) for seed in range(COUNTS[kind])}
    assert results - {"taken"}, "nothing was refused"


def test_a_file_that_the_library_never_ends_with_must_be_refused(tmp_path: Path) -> None:
    """Found by the fuzzer: the HDF5 library loops for ever on it."""
    path = tmp_path / "net.h5"
    write_seed(path, 1065)
    path.write_bytes(mutate(path.read_bytes(), np.random.default_rng(1065)))
    with pytest.raises(InputError, match="damaged"):
        extract(path, seconds=5)
