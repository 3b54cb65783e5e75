"""What a search found: networks with their accuracy and costs, and which of them no other beats."""

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
    """What a network takes.

    flash_bytes, ram_bytes: as `bitflow report` counts them.
    instructions: predicted, for one image; None where the core was not measured.
    milliseconds: what they take on the board; None where it has no clock, or instructions are not known.
    """

    flash_bytes: int
    ram_bytes: int
    instructions: int | None
    milliseconds: float | None


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that a network may take; None: as much as it likes."""

    flash_bytes: int | None = None
    ram_bytes: int | None = None
    milliseconds: float | None = None

    def excess(self, costs: Costs, margin: float = 0.0) -> dict[str, float]:
        """By which fraction each limit is exceeded; below 0: so much is left. margin: fraction of a limit kept free."""
        found = {}
        for name in _WORDS:
            limit, cost = getattr(self, name), getattr(costs, name)
            if limit is not None:
                found[name] = (math.inf if cost is None else cost) / (limit * (1 - margin)) - 1
        return found

    def exceeded(self, costs: Costs, margin: float = 0.0) -> str:
        """The limits that are exceeded, in words; empty where there are none."""
        names = [name for name, excess in self.excess(costs, margin).items() if excess > 0]
        return ", ".join(f"{_WORDS[name].format(getattr(costs, name))} of {getattr(self, name):,}" for name in names)


@dataclass(frozen=True, slots=True)
class Tried:
    """A network that a search tried. layers: its description. accuracy: on validation images, None where it was not
    trained. costs: with its weights as they are at the end, of a network that was not trained with random ones; None
    where not even those were counted. exceeds: the limits that it exceeds, in words. base: whether the search began
    with it. first_costs: with random weights.
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
        """Whether it was trained to the end and keeps all limits."""
        return self.state == "trained" and not self.exceeds


@dataclass(frozen=True, slots=True)
class Axis:
    """What accuracy is paid for with: a field of `Costs`, and its name for people."""

    field: Literal["flash_bytes", "instructions", "milliseconds"]
    title: str

    def of(self, tried: Tried) -> float:
        """The cost of a network that has costs."""
        return float(getattr(tried.costs, self.field))


def axis_of(tried: Sequence[Tried]) -> Axis:
    """Latency where it is known, else instructions, else flash."""
    costs = [one.costs for one in tried if one.costs is not None]
    if costs and all(one.milliseconds is not None for one in costs):
        return Axis("milliseconds", "latency of an image, ms (predicted)")
    if costs and all(one.instructions is not None for one in costs):
        return Axis("instructions", "instructions an image (predicted)")
    return Axis("flash_bytes", "flash, bytes")


def front(tried: Sequence[Tried]) -> list[Tried]:
    """The networks within the limits that no other one beats: each is more accurate than all that are quicker."""
    axis = axis_of(tried)
    found: list[Tried] = []
    for one in sorted(filter(_accepted, tried), key=lambda one: (axis.of(one), -share(one), flash(one))):
        if not found or share(one) > share(found[-1]):
            found.append(one)
    return found


def winner(tried: Sequence[Tried]) -> Tried | None:
    """The most accurate network within the limits; of equal ones the quickest. None: there is no network."""
    found = front(tried)
    return found[-1] if found else None


def _accepted(one: Tried) -> bool:
    return one.accepted


def share(one: Tried) -> float:
    """Its accuracy; 0 where it was not trained."""
    return one.accuracy or 0.0


def flash(one: Tried) -> int:
    """Bytes of flash of a network that has costs."""
    assert one.costs is not None
    return one.costs.flash_bytes
