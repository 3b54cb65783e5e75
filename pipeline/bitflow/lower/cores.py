"""The cores that kernels are planned for: what a plan depends on, and nothing else of a board."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CORES", "Core", "core_of"]


@dataclass(frozen=True, slots=True)
class Core:
    """name: of its costs. lane_words: words that kernels handle side by side (BF_LANE_WORDS). lists8: whether lists of
    8 bits have assembly there; without, those of 16 bits are faster by far.
    """

    name: str
    lane_words: int = 1
    lists8: bool = True


CORES = {
    "v6m": Core("v6m", lists8=False),
    "v7m": Core("v7m"),
    "mve": Core("mve", lane_words=4, lists8=False),
    "host": Core("host"),
}

_BY_CPU = {
    "cortex-m0": "v6m",
    "cortex-m0plus": "v6m",
    "cortex-m3": "v7m",
    "cortex-m4": "v7m",
    "cortex-m7": "v7m",
    "cortex-m33": "v7m",
    "cortex-m55": "mve",
}


def core_of(cpu: str | None) -> Core:
    """The core of a board's `cpu`; of one that is not listed, and of no cpu, that of the host: plain C."""
    return CORES[_BY_CPU.get(cpu or "", "host")]
