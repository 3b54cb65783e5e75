"""What the planner knows of a kernel: one frozen `KernelSpec` each, made at the end of the kernel's own file.

What stands in a spec repeats the C library's arithmetic (the `covers` and `scratch` of its bf_kernel); tests hold the
two together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy.typing as npt

from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer, PackedNetwork

__all__ = ["LIST_MEMORY", "DataArray", "Job", "Kernel", "KernelSpec", "Option", "Work"]

LIST_MEMORY = 16384
"""BF_LIST_MEMORY: bytes that a convolution without a plan takes to make its lists."""

Work = Counter[str]
"""How often a kernel does each thing that its loops do, by the thing's name."""


class Kernel(IntEnum):
    """bf_kernel_number: of kernels that serve the same kind, those with lower numbers are faster and cover less."""

    INPUT_SUMS = 0
    INPUT_PLAIN = 1
    PATTERNS_16 = 2
    PATTERNS_8 = 3
    SET_BITS = 4
    PATTERNS_1 = 5
    CONV_PLAIN = 6
    WIDE_CONV = 7
    SUM = 8
    CONCAT = 9
    TOTAL = 10


@dataclass(frozen=True, slots=True)
class Option:
    """One way to run a layer.

    memory: bytes for planes and lists that are made in RAM; 0 where none are.
    data_bytes: what a plan holds for it.
    """

    kernel: Kernel
    memory: int = 0
    data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A layer, the kernel that runs it, and how its maps lie.

    planes_in, planes_out: whether input and output are bit planes rather than channel-packed.
    memory: bytes for the planes and lists of PATTERNS_1.
    sized: whether a plan has the sizes of its patterns.
    """

    network: PackedNetwork
    layer: PackedLayer
    kernel: Kernel
    lane_words: int
    planes_in: bool = False
    planes_out: bool = False
    memory: int = LIST_MEMORY
    sized: bool = True


@dataclass(frozen=True, slots=True)
class DataArray:
    """A named part of a plan's data, as generated C shows it.

    values: uint8, uint16 or uint32, of one dimension, or of two where each row is a record.
    """

    name: str
    comment: str
    values: npt.NDArray[Any]


def _always(layer: PackedLayer, lane_words: int) -> bool:
    return True


def _no_data(layer: PackedLayer, lane_words: int) -> bytes:
    return b""


def _no_arrays(layer: PackedLayer, data: bytes, lane_words: int) -> tuple[DataArray, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A kernel of the C library.

    kernel: its number.
    symbol: its bf_kernel in bitflow.h.
    kinds: the kinds of layers that it serves.
    work: what it does for one picture, without the pool of channel-packed maps and the cost of a call.
    scratch_words: 32-bit words of scratch, including the maps before and after a pool where scratch holds them.
    code: the parts of the library that it links (`planner.code_size`).
    covers: (layer, lane words of the core) -> whether it can run a layer of these kinds.
    lite, lite_code: whether its lite form can run a layer that it covers, and what that links; None: there is none.
    reads_planes, writes_planes: whether its input and its output are bit planes.
    options: the ways to run a layer on a core; None: one, without memory and data.
    data: what a plan holds for it; it replaces weights and BatchShift where `planned`.
    arrays: that data as named arrays.
    planned: whether it cannot run without data of a plan.
    by_pixels: whether its instructions depend on the pixels.
    """

    kernel: Kernel
    symbol: str
    kinds: tuple[LayerKind, ...]
    work: Callable[[Job, Core], Work]
    scratch_words: Callable[[Job], int]
    code: tuple[str, ...]
    covers: Callable[[PackedLayer, int], bool] = _always
    lite: Callable[[PackedLayer], bool] | None = None
    lite_code: tuple[str, ...] = ()
    reads_planes: bool = False
    writes_planes: bool = False
    options: Callable[[PackedLayer, Core], tuple[Option, ...]] | None = None
    data: Callable[[PackedLayer, int], bytes] = _no_data
    arrays: Callable[[PackedLayer, bytes, int], tuple[DataArray, ...]] = _no_arrays
    planned: bool = False
    by_pixels: bool = False

    @property
    def name(self) -> str:
        """Its name on the command line and in JSON."""
        return self.kernel.name.lower()

    @property
    def forms(self) -> tuple[str, ...]:
        """Its symbols in bitflow.h: the full form, then the lite one where there is one."""
        return (self.symbol, f"{self.symbol}_lite") if self.lite is not None else (self.symbol,)

    @property
    def family(self) -> str:
        """The family of its prices: kernels that share code share prices, which are fitted on all of them together."""
        return "PLANES" if self.writes_planes else self.kernel.name

    @property
    def once(self) -> str:
        """The thing that it does once for a layer."""
        return f"layer_{self.name}"

    def is_lite(self, layer: PackedLayer) -> bool:
        """Whether its lite form runs a layer that it covers."""
        return self.lite is not None and self.lite(layer)

    def ways(self, layer: PackedLayer, core: Core) -> tuple[Option, ...]:
        """The ways to run a layer that it covers; none where its lists cannot hold the layer."""
        return (Option(self.kernel),) if self.options is None else self.options(layer, core)
