"""How long to wait for an answer before a request is sent again."""

from __future__ import annotations

__all__ = ["RetryTimer"]


class RetryTimer:
    """Learns from answers how long they take: the mean and its deviation, as RFC 6298 has it for TCP.

    A request that is sent again costs little, since a device never runs one twice; one that is sent again too late
    costs all the time that nothing happens on the line. On a line that lost nothing yet an answer that is late is more
    likely to come than to be lost: there it waits longer.
    """

    MOST_S = 16.0
    GROWTH = 1.3

    def __init__(self, first_s: float = 0.5, least_s: float = 0.1) -> None:
        """first_s: what to wait while nothing is known or lost. least_s: never less."""
        self._first_s, self._least_s = first_s, least_s
        self._is_lossy = False
        self._mean: float | None = None
        self._deviation = 0.0

    def took(self, seconds: float) -> None:
        """An answer to a request that was sent once came after so many seconds."""
        if self._mean is None:
            self._mean, self._deviation = seconds, seconds / 2
            return
        self._deviation += (abs(seconds - self._mean) - self._deviation) / 4
        self._mean += (seconds - self._mean) / 8

    def lost(self) -> None:
        """Something was lost or damaged on the line."""
        self._is_lossy = True

    @property
    def first(self) -> float:
        """Seconds that the first attempt waits."""
        if self._mean is None:
            return self._first_s
        least = self._least_s if self._is_lossy else self._first_s
        return min(max(self._mean + 4 * self._deviation, least), self.MOST_S)

    def longer(self, seconds: float) -> float:
        """Seconds that an attempt waits after one that waited in vain."""
        return min(seconds * self.GROWTH, self.MOST_S)
