"""What a search found: limits, the front, the winner, the plot and the page."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from PIL import Image

from bitflow.learn.search.pareto import Costs, Limits, Tried, front, winner
from bitflow.show.search_page import render
from bitflow.show.search_plot import plot


def tried(number: int, accuracy: float, milliseconds: float | None, flash: int = 1000, **other: object) -> Tried:
    costs = Costs(flash, 100, 5000, milliseconds)
    return replace(Tried(number, f"conv3x3:{8 * number + 8}", "trained", accuracy, costs), **other)  # type: ignore[arg-type]


SLOW = tried(0, 0.9, 4.0, base=True)
QUICK = tried(1, 0.8, 1.0)
BEATEN = tried(2, 0.8, 2.0)
EQUAL = tried(3, 0.9, 5.0)
STOPPED = tried(4, 0.99, 0.5, state="stopped")
OUTSIDE = tried(5, 0.99, 0.5, exceeds="flash 1,000 bytes of 900")
UNTRAINED = Tried(6, "conv3x3:8", "outside", None, None, "flash at least 2,000 bytes of 900")
ALL = [SLOW, QUICK, BEATEN, EQUAL, STOPPED, OUTSIDE, UNTRAINED]


def test_the_front_must_hold_what_no_other_beats() -> None:
    assert front(ALL) == [QUICK, SLOW]
    assert winner(ALL) == SLOW
    assert winner([STOPPED, OUTSIDE, UNTRAINED]) is None


def test_of_equal_networks_the_smaller_must_win() -> None:
    smaller = tried(7, 0.9, 4.0, flash=500)
    assert winner([SLOW, smaller]) == winner([smaller, SLOW]) == smaller


def test_without_a_clock_flash_or_instructions_must_count() -> None:
    costs = Costs(500, 100, None, None)
    small, large = replace(QUICK, costs=costs), replace(SLOW, costs=replace(costs, flash_bytes=800))
    assert front([large, small]) == [small, large]
    assert front([tried(1, 0.8, None), tried(2, 0.7, None)]) == [tried(1, 0.8, None)]


@pytest.mark.parametrize(
    ("limits", "exceeded"),
    [
        (Limits(), ""),
        (Limits(1000, 100, 2.0), ""),
        (Limits(999, 100, 2.0), "flash 1,000 bytes of 999"),
        (Limits(None, 99, 1.5), "RAM 100 bytes of 99, latency 2 ms of 1.5"),
    ],
)
def test_limits_must_say_what_exceeds_them(limits: Limits, exceeded: str) -> None:
    costs = Costs(1000, 100, 5000, 2.0)
    assert limits.exceeded(costs) == exceeded
    assert (max(limits.excess(costs).values(), default=0) > 0) == bool(exceeded)
    assert limits == Limits() or limits.exceeded(costs, margin=0.01)


def test_a_latency_that_is_not_known_must_exceed_a_limit() -> None:
    assert Limits(milliseconds=5.0).excess(Costs(1, 1, None, None)) == {"milliseconds": float("inf")}


@pytest.mark.parametrize(
    ("shown", "dark"), [(ALL, False), (ALL, True), ([SLOW], False), ([UNTRAINED], True), ([OUTSIDE, STOPPED], False)]
)
def test_a_plot_must_be_drawn_of_anything(shown: list[Tried], dark: bool) -> None:
    picture = Image.open(io.BytesIO(plot(shown, "a & b", Limits(milliseconds=6.0), dark)))
    assert picture.size == (1200, 720)
    corner = picture.convert("L").getpixel((2, 2))
    assert isinstance(corner, int)
    assert (corner < 64) == dark


def test_the_page_must_hold_every_network_and_escape_names() -> None:
    texts = {"title": "<b> on stm32f4", "date": "today", "commands": "bitflow train", "footnote": "Predicted."}
    page = render(ALL, Limits(900), (b"light", b"dark"), texts)
    assert "<b>" not in page
    assert "&lt;b&gt; on stm32f4" in page
    assert page.count("<tr>") + page.count('<tr class="winner">') == 2 + len(front(ALL)) + len(ALL)
    assert "://" not in page
    assert "No network was trained" in render([UNTRAINED], Limits(900), None, texts)
