"""How long a request waits before it is sent again."""

from __future__ import annotations

from bitflow_hil.link.retry_timer import RetryTimer


def test_unknown_device_is_given_the_first_wait() -> None:
    assert RetryTimer(first_s=0.5).first == 0.5


def test_late_answer_is_waited_for_on_a_line_that_lost_nothing() -> None:
    retry_timer = RetryTimer(first_s=0.5, least_s=0.1)
    for _ in range(50):
        retry_timer.took(0.01)
    assert retry_timer.first == 0.5


def test_line_that_loses_is_asked_again_as_soon_as_answers_come() -> None:
    retry_timer = RetryTimer(first_s=0.5, least_s=0.1)
    retry_timer.lost()
    for _ in range(100):
        retry_timer.took(0.01)
    assert retry_timer.first == 0.1
    for _ in range(100):
        retry_timer.took(0.3)
    assert 0.3 < retry_timer.first < 0.4


def test_answers_that_vary_are_waited_for_longer() -> None:
    steady, varying = RetryTimer(), RetryTimer()
    for retry_timer in (steady, varying):
        retry_timer.lost()
    for i in range(200):
        steady.took(1.0)
        varying.took(0.5 + i % 2)
    assert varying.first > 2 * steady.first


def test_waits_grow_up_to_a_bound() -> None:
    retry_timer, wait = RetryTimer(), 0.5
    for _ in range(30):
        assert retry_timer.longer(wait) >= wait
        wait = retry_timer.longer(wait)
    assert wait == RetryTimer.MOST_S
