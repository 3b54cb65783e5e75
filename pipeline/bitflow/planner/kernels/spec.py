"""What the planner knows of a kernel: one frozen `KernelSpec` each, made at the end of the kernel's own file.

What stands in a spec repeats the C library's arithmetic (the `covers` and `scratch` of its bf_kernel); tests hold the
two together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy.typing as npt

from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer, PackedNetwork

__all__ = ["LIST_MEMORY", "DataArray", "Form", "Job", "Kernel", "KernelSpec", "Option", "Work", "one_threshold"]

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

    memory: PATTERNS_1: bytes for planes and lists that are made in RAM. INPUT_SUMS: values whose sums a table holds;
        0: the library chooses. Others: 0.
    data_bytes: what a plan holds for it.
    """

    kernel: Kernel
    memory: int = 0
    data_bytes: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A layer, the kernel that runs it, and how its maps lie.

    planes_in, planes_out: whether input and output are bit planes rather than channel-packed.
    memory: as in `Option`.
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


def _any(layer: PackedLayer) -> bool:
    return True


def one_threshold(runs: Callable[[PackedLayer], bool]) -> Callable[[PackedLayer], bool]:
    """The same for layers with one threshold only."""
    return lambda layer: layer.thresholds == 1 and runs(layer)


@dataclass(frozen=True, slots=True)
class Form:
    """A form of a kernel. Those of one kernel compute the same; the more layers one runs, the more code it links.

    symbol: its bf_kernel in bitflow.h.
    code: the parts of the library that it links (`planner.code_size`).
    runs: whether it runs a layer that its kernel covers.
    """

    symbol: str
    code: tuple[str, ...]
    runs: Callable[[PackedLayer], bool] = _any


def _no_data(layer: PackedLayer, lane_words: int) -> bytes:
    return b""


def _no_arrays(layer: PackedLayer, data: bytes, lane_words: int) -> tuple[DataArray, ...]:
    return ()


@dataclass(frozen=True, slots=True)
class KernelSpec:
    """A kernel of the C library.

    kernel: its number.
    forms: its forms, the one with the least code first; the last one runs every layer that the kernel covers.
    kinds: the kinds of layers that it serves.
    work: what it does for one picture, without the pool of channel-packed maps and the cost of a call.
    scratch_words: 32-bit words of scratch, including the maps before and after a pool where scratch holds them.
    covers: (layer, lane words of the core) -> whether it can run a layer of these kinds.
    reads_planes, writes_planes: whether its input and its output are bit planes.
    options: the ways to run a layer on a core; None: one, without memory and data.
    data: what a plan holds for it; it replaces weights and BatchShift where `planned`.
    arrays: that data as named arrays.
    planned: whether it cannot run without data of a plan.
    by_pixels: whether its instructions depend on the pixels.
    """

    kernel: Kernel
    forms: tuple[Form, ...]
    kinds: tuple[LayerKind, ...]
    work: Callable[[Job, Core], Work]
    scratch_words: Callable[[Job], int]
    covers: Callable[[PackedLayer, int], bool] = _always
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
    def symbol(self) -> str:
        """That of its full form."""
        return self.forms[-1].symbol

    @property
    def symbols(self) -> tuple[str, ...]:
        """Those of all forms, the one with the least code first."""
        return tuple(form.symbol for form in self.forms)

    def form_for(self, layers: Sequence[PackedLayer]) -> Form:
        """The form with the least code that runs all these layers, which the kernel covers."""
        return next(form for form in self.forms if all(map(form.runs, layers)))

    @property
    def family(self) -> str:
        """The family of its prices: kernels that share code share prices, which are fitted on all of them together."""
        return "PLANES" if self.writes_planes else self.kernel.name

    @property
    def once(self) -> str:
        """The thing that it does once for a layer."""
        return f"layer_{self.name}"

    def ways(self, layer: PackedLayer, core: Core) -> tuple[Option, ...]:
        """The ways to run a layer that it covers; none where its lists cannot hold the layer."""
        return (Option(self.kernel),) if self.options is None else self.options(layer, core)
