"""patterns_8: filter patterns by lists of 8 bits an entry, which a plan holds."""

from __future__ import annotations

from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner.kernels.spec import DataArray, Job, Kernel, KernelSpec, Option, Work
from bitflow.planner.patterns import shared
from bitflow.planner.patterns.geometry import covers, geometry_of
from bitflow.planner.patterns.lists import pattern_data

__all__ = ["SPEC"]

_ENTRY_BITS = 8


def _covers(layer: PackedLayer, lane_words: int) -> bool:
    return covers(geometry_of(layer, _ENTRY_BITS, lane_words))


def _scratch_words(job: Job) -> int:
    g = geometry_of(job.layer, _ENTRY_BITS, job.lane_words)
    return shared.scratch_words(job, g) + g.planes * job.lane_words


def _work(job: Job, core: Core) -> Work:
    return shared.lists_of_a_plan(job, _ENTRY_BITS)


def _data(layer: PackedLayer, lane_words: int) -> bytes:
    return shared.data(layer, _ENTRY_BITS, lane_words)


def _arrays(layer: PackedLayer, data: bytes, lane_words: int) -> tuple[DataArray, ...]:
    return shared.list_arrays(layer, data, _ENTRY_BITS, lane_words)


def _options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
    if not core.lists8:
        return ()
    data = pattern_data(geometry_of(layer, _ENTRY_BITS, core.lane_words), _ENTRY_BITS)
    return () if data is None else (Option(Kernel.PATTERNS_8, 0, len(data[0])),)


_CODE = (*shared.CODE, "8-bit lists of a plan and their adder")

SPEC = KernelSpec(
    kernel=Kernel.PATTERNS_8,
    symbol="bf_conv_patterns_8",
    kinds=(LayerKind.CONV,),
    covers=_covers,
    lite=shared.is_lite,
    scratch_words=_scratch_words,
    work=_work,
    code=(*_CODE, *shared.FULL_CODE),
    lite_code=_CODE,
    reads_planes=True,
    writes_planes=True,
    options=_options,
    data=_data,
    arrays=_arrays,
    planned=True,
)
