"""The kinds of cores: one row each, with all that differs between them and is no board's.

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

    prefix: what the names of its programs begin with.
    flags: of every file and of the linker, beside -mcpu.
    hint: the command that installs it.
    """

    prefix: str
    flags: tuple[str, ...]
    hint: str

    @property
    def compiler(self) -> str:
        """Its C compiler."""
        return f"{self.prefix}gcc"


@dataclass(frozen=True, slots=True)
class Core:
    """A kind of core: what plans, firmware and emulators depend on.

    name: of its assembly (the port header's BF_ARM_...), of its prices in costs.json, and of its code sizes.
    lane_words: words that kernels handle side by side (BF_LANE_WORDS).
    lists8: whether lists of 8 bits have assembly there; without it, lists of 16 bits are faster by far.
    cycles: by a board's `cpu`, cycles per instruction (see below).
    toolchain: the compiler of its firmware; None on this computer.
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

# Cycles per instruction that a prediction of time takes for granted. Assumed, never measured: no kernel has run on
# silicon yet. Most instructions take one cycle, loads and taken branches about two (Arm's technical reference manuals
# of the M0 to M4); a vector instruction of the M55 takes two, unless it overlaps with the next. The M7 can run two at
# once; one is assumed, to allow for its stalls. Flash is assumed to keep up, by an accelerator or a cache.
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
    """The core of a board's `cpu`; for one that is not listed, and for none, that of the host: plain C."""
    return next((core for core in CORES.values() if cpu in core.cycles), CORES["host"])


def cycles_of(cpu: str | None) -> float | None:
    """Cycles per instruction that are assumed for a board's `cpu`; None where it is not listed."""
    return core_of(cpu).cycles.get(cpu or "")
