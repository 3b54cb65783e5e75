"""input_sums: the first layer on pixels by tables of sums, without multiplication."""

from __future__ import annotations

from bitflow.accumulation import LayerKind, MapType
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.input_sums.cut import most_grouped, scratch_words
from bitflow.planner.input_sums.work import input_work
from bitflow.planner.kernels.spec import Form, Job, Kernel, KernelSpec, Option, Work, one_threshold
from bitflow.planner.planes import pools_by_two

__all__ = ["SPEC"]

_MOST_TAPS = 128
_MOST_WORDS = 0x4000


def _covers(layer: PackedLayer, lane_words: int) -> bool:
    if layer.output_type is not MapType.BITS or layer.groups != 1:
        return False
    if layer.thresholds > 1 and layer.invert is not None:
        return False
    if layer.window.dilation != (1, 1) or layer.taps > _MOST_TAPS or layer.bound > 255 * layer.taps:
        return False
    maps = (layer.conv, layer.target)
    return scratch_words(layer, 0) <= _MOST_WORDS and all(
        planes.fits(shape.height, shape.width, layer.target.channels, lane_words) for shape in maps
    )


def _scratch_words(job: Job) -> int:
    return planes.scratch_words(job, reads_planes=False) + scratch_words(job.layer, job.memory)


def _work(job: Job, core: Core) -> Work:
    return input_work(job.layer, core, job.memory) + planes.around(job, reads_planes=False)


def _options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
    groups = range(most_grouped(layer) + 1)
    return tuple(Option(Kernel.INPUT_SUMS, group) for group in groups if scratch_words(layer, group) <= _MOST_WORDS)


_CODE = ("division", "bit planes", "sums of pixels")
_SEVERAL_CODE = "thresholds of sums"

SPEC = KernelSpec(
    kernel=Kernel.INPUT_SUMS,
    forms=(
        Form("bf_input_sums_lite", _CODE, one_threshold(pools_by_two)),
        Form("bf_input_sums_several", (*_CODE, _SEVERAL_CODE), pools_by_two),
        Form("bf_input_sums", (*_CODE, _SEVERAL_CODE, "pools of any windows")),
    ),
    kinds=(LayerKind.INPUT_CONV,),
    covers=_covers,
    scratch_words=_scratch_words,
    work=_work,
    options=_options,
    writes_planes=True,
)
