"""The results of a search: networks with accuracy and costs, and those that no other network beats."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

__all__ = ["Axis", "Costs", "Limits", "State", "Tried", "axis_of", "flash", "front", "share", "winner"]

State = Literal["trained", "stopped", "outside"]

_WORDS = {"flash_bytes": "flash {:,} bytes", "ram_bytes": "RAM {:,} bytes", "milliseconds": "latency {:.3g} ms"}


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of a network.

    flash_bytes, ram_bytes: as in `bitflow report`.
    instructions: predicted, for one image; None if the core was not measured.
    milliseconds: predicted time on the board; None if it has no clock, or the instructions are unknown.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int | None
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """Upper limits of the costs; None: no limit."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    milliseconds: float | None = None

    def excess(self, costs: Costs, margin: float = 0.0) -> dict[str, float]:
        """The fraction by which each limit is exceeded; negative if something is left.

        margin: fraction of each limit that is kept free.
        """
        found = {}
        for name in _WORDS:
            limit, cost = getattr(self, name), getattr(costs, name)
            if limit is not None:
                found[name] = (math.inf if cost is None else cost) / (limit * (1 - margin)) - 1
        return found

    def exceeded(self, costs: Costs, margin: float = 0.0) -> str:
        """The exceeded limits, in words; empty if all are kept."""
        names = [name for name, excess in self.excess(costs, margin).items() if excess > 0]
        return ", ".join(f"{_WORDS[name].format(getattr(costs, name))} of {getattr(self, name):,}" for name in names)


@dataclass(frozen=True, slots=True)
class Tried:
    """A network that a search tried.

    layers: its description.
    accuracy: on validation images; None if it was not trained.
    costs: with its final weights, or with random ones if it was not trained; None if not even these were counted.
    exceeds: the limits that it exceeds, in words.
    base: the search began with it.
    seconds: time of its training.
    first_costs: with random weights.
    """

    number: int
    layers: str
    state: State
    accuracy: float | None
    costs: Costs | None
    exceeds: str = ""
    base: bool = False
    seconds: float = 0.0
    first_costs: Costs | None = None

    @property
    def accepted(self) -> bool:
        """Whether the network was trained to the end and is within all limits."""
        return self.state == "trained" and not self.exceeds


@dataclass(frozen=True, slots=True)
class Axis:
    """The cost against which accuracy is shown: a field of `Costs`, and its title for people."""

    field: Literal["flash_bytes", "instructions", "milliseconds"]
    title: str

    def of(self, tried: Tried) -> float:
        """This cost of a network that has costs."""
        return float(getattr(tried.costs, self.field))


def axis_of(tried: Sequence[Tried]) -> Axis:
    """Latency if it is known, else instructions, else flash."""
    costs = [one.costs for one in tried if one.costs is not None]
    if costs and all(one.milliseconds is not None for one in costs):
        return Axis("milliseconds", "latency of an image, ms (predicted)")
    if costs and all(one.instructions is not None for one in costs):
        return Axis("instructions", "instructions per image (predicted)")
    return Axis("flash_bytes", "flash, bytes")


def front(tried: Sequence[Tried]) -> list[Tried]:
    """The networks within the limits that no other beats: each is more accurate than all faster ones."""
    axis = axis_of(tried)
    found: list[Tried] = []
    for one in sorted(filter(_accepted, tried), key=lambda one: (axis.of(one), -share(one), flash(one))):
        if not found or share(one) > share(found[-1]):
            found.append(one)
    return found


def winner(tried: Sequence[Tried]) -> Tried | None:
    """The most accurate network within the limits; of equal ones the fastest. None without one."""
    found = front(tried)
    return found[-1] if found else None


def _accepted(one: Tried) -> bool:
    return one.accepted


def share(one: Tried) -> float:
    """The accuracy; 0 if it was not trained."""
    return one.accuracy or 0.0


def flash(one: Tried) -> int:
    """Bytes of flash of a network that has costs."""
    assert one.costs is not None
    return one.costs.flash_bytes
