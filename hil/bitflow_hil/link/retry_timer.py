"""How long to wait for an answer before a request is sent again."""

from __future__ import annotations

__all__ = ["RetryTimer"]


class RetryTimer:
    """Learns from answers how long they take: mean and deviation, as RFC 6298 does for TCP.

    Sending a request again costs little, since a device never runs one twice; sending it again too late costs the time
    in which nothing happens on the line. On a line that has lost nothing yet, a late answer is more likely to come than
    to be lost, so the timer waits longer.
    """

    MOST_S = 16.0
    GROWTH = 1.3

    def __init__(self, first_s: float = 0.5, least_s: float = 0.1) -> None:
        """Waits, in seconds.

        first_s: while nothing is known or lost.
        least_s: the shortest wait.
        """
        self._first_s, self._least_s = first_s, least_s
        self._is_lossy = False
        self._mean: float | None = None
        self._deviation = 0.0

    def took(self, seconds: float) -> None:
        """Record that the answer to a request that was sent only once took this long."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    def lost(self) -> None:
        """Record that something was lost or damaged on the line."""
        self._is_lossy = True

    @property
    def first(self) -> float:
        """The wait of the first attempt, seconds."""
        if self._mean is None:
            return self._first_s
        least = self._least_s if self._is_lossy else self._first_s
        return min(max(self._mean + 4 * self._deviation, least), self.MOST_S)

    def longer(self, seconds: float) -> float:
        """The wait after an attempt that waited `seconds` in vain."""
        return min(seconds * self.GROWTH, self.MOST_S)
