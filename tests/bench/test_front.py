"""docs/compare.md and the README show what was counted, and a count today is the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from bench.front import PAGE, ROWS, count, file_of, known, write
from bench.rivals import RIVALS

from bitflow.image.bfn import load
from bitflow.learn.data.sources import load_data
from bitflow.planner.choice import Objective

README = Path(__file__).parents[2] / "README.md"
DIGITS = known()["bitflow-tiny digits"]


def test_the_page_must_be_made_from_the_figures() -> None:
    assert write() == PAGE.read_text(encoding="utf-8"), "python -m bench.front"


@pytest.mark.parametrize("objective", ["balanced", "speed"])
def test_digits_must_take_what_the_page_says(objective: Objective) -> None:
    images = np.asarray(load_data("digits").test.images[:100])
    assert count(load(file_of(ROWS[0])), images, "qemu-m4", objective) == DIGITS[objective]["M4"]


def test_the_readme_must_show_the_figures_of_both() -> None:
    text = README.read_text(encoding="utf-8")
    [rival] = [one for one in RIVALS if one.data == "digits" and one.accuracy > 98]
    ours = [DIGITS["balanced"][core]["instructions"] for core in ("M4", "M0", "M55")]
    for counts in (ours, (rival.m4, rival.m0, rival.m55)):
        assert " | ".join(f"{n:,}" for n in counts if n).replace(" |", " instructions |", 1) in text
