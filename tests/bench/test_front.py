"""docs/compare.md and the README show what was counted, and a count today is the same."""

from __future__ import annotations

import numpy as np
import pytest
from bench.front import PAGE, README, ROWS, count, file_of, known, readme, write

from bitflow.image.bfn import load
from bitflow.learn.data.sources import load_data
from bitflow.planner.choice import Objective

DIGITS = known()["bitflow-tiny digits"]


def test_the_page_must_be_made_from_the_figures() -> None:
    assert write() == PAGE.read_text(encoding="utf-8"), "python -m bench.front"
    assert readme() == README.read_text(encoding="utf-8"), "python -m bench.front"


@pytest.mark.parametrize("objective", ["balanced", "speed"])
def test_digits_must_take_what_the_page_says(objective: Objective) -> None:
    images = np.asarray(load_data("digits").test.images[:100])
    assert count(load(file_of(ROWS[0])), images, "qemu-m4", objective) == DIGITS[objective]["M4"]
