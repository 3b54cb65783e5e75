"""The kinds of cores, one row each: everything that depends on the core and not on the board.

A new core is a row here with its files: assembly under firmware/lib/bitflow/src, a start file, prices
(`python -m bench.fit BOARD`) and a column of code sizes (`planner.code_size`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["ARM", "CORES", "Core", "Toolchain", "core_of", "cycles_of"]


@dataclass(frozen=True, slots=True)
class Toolchain:
    """A cross compiler.

    prefix: prefix of its programs' names.
    flags: for every file and the linker, besides -mcpu.
    hint: the command that installs it.
    """

    prefix: str
    flags: tuple[str, ...]
    hint: str

    @property
    def compiler(self) -> str:
        """Name of the C compiler."""
        return f"{self.prefix}gcc"


@dataclass(frozen=True, slots=True)
class Core:
    """A kind of core: what plans, firmware and emulators depend on.

    name: name of its assembly (the port header's BF_ARM_...), of its prices in costs.json and of its code sizes.
    lane_words: words that kernels handle side by side (BF_LANE_WORDS).
    lists8: whether 8-bit lists have assembly on this core; without it 16-bit lists are much faster.
    cycles: cycles per instruction by a board's `cpu` (see below).
    toolchain: the compiler for its firmware; None: this computer.
    port: the file of firmware/src/boards that all its boards share.
    start: the file of firmware/platform that starts it.
    emulator: the program that runs its firmware.
    """

    name: str
    lane_words: int = 1
    lists8: bool = True
    cycles: Mapping[str, float] = field(default_factory=dict, hash=False)
    toolchain: Toolchain | None = None
    port: str = ""
    start: str = ""
    emulator: str = ""


ARM = Toolchain("arm-none-eabi-", ("-mthumb",), "sudo apt-get install gcc-arm-none-eabi libnewlib-arm-none-eabi")

# Cycles per instruction, for predictions of time. Assumed, never measured: no kernel has run on silicon yet. Most
# instructions take one cycle, loads and taken branches about two (Arm's technical reference manuals of the M0 to M4); a
# vector instruction of the M55 takes two, unless it overlaps with the next. The M7 can run two at once; one is assumed,
# to allow for its stalls. Flash is assumed to keep up, by an accelerator or a cache.
_V6M = {"cortex-m0": 1.5, "cortex-m0plus": 1.5}
_V7M = {"cortex-m3": 1.3, "cortex-m4": 1.3, "cortex-m7": 1.0, "cortex-m33": 1.3}
_MVE = {"cortex-m55": 1.5}

CORES = {
    core.name: core
    for core in (
        Core("v6m", 1, False, _V6M, ARM, "cortex_m", "start.c", "qemu-system-arm"),
        Core("v7m", 1, True, _V7M, ARM, "cortex_m", "start.c", "qemu-system-arm"),
        Core("mve", 4, False, _MVE, ARM, "cortex_m", "start.c", "qemu-system-arm"),
        Core("host"),
    )
}


def core_of(cpu: str | None) -> Core:
    """The core of a board's `cpu`; if it is not listed or None, the host's, which runs plain C."""
    return next((core for core in CORES.values() if cpu in core.cycles), CORES["host"])


def cycles_of(cpu: str | None) -> float | None:
    """Cycles per instruction assumed for a board's `cpu`; None if it is not listed."""
    return core_of(cpu).cycles.get(cpu or "")
