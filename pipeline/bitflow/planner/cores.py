"""The cores that kernels are planned for: what a plan depends on, and nothing else of a board."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CORES", "CYCLES", "Core", "core_of"]


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

CYCLES = {
    "cortex-m0": 1.5,
    "cortex-m0plus": 1.5,
    "cortex-m3": 1.3,
    "cortex-m4": 1.3,
    "cortex-m33": 1.3,
    "cortex-m7": 1.0,
    "cortex-m55": 1.5,
}
"""Cycles per instruction that a prediction of time takes for granted, by a board's `cpu`. Assumed, never measured: no
kernel has run on silicon yet. Most instructions take one cycle, loads and taken branches about two (Arm's technical
reference manuals of the M0 to M4); a vector instruction of the M55 two, unless it overlaps with the next. The M7 can
run two at once; it is taken to run one, for what it waits. Flash is taken to keep up, by an accelerator or a cache.
"""


def core_of(cpu: str | None) -> Core:
    """The core of a board's `cpu`; of one that is not listed, and of no cpu, that of the host: plain C."""
    return CORES[_BY_CPU.get(cpu or "", "host")]
