"""patterns_1: filter patterns by lists that are made in RAM from the 1-bit weights."""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.kernels.spec import LIST_MEMORY, DataArray, Job, Kernel, KernelSpec, Option, Work
from bitflow.planner.patterns import shared
from bitflow.planner.patterns.geometry import Geometry, covers, geometry_of
from bitflow.planner.patterns.lists import pattern_sizes, pattern_steps, sizes_bytes
from bitflow.planner.patterns.work import lists_work, making_work
from bitflow.planner.windows import positions

__all__ = ["SPEC"]

_ENTRY_BITS = 16
_MAKING_PAYS = 8  # positions of a map from which on lists are worth their making
_MEMORIES = (0, 4096, 8192, LIST_MEMORY, 32768, 65536)


@dataclass(frozen=True, slots=True)
class _Share:
    """How the memory is used.

    part: quads whose lists are made at a time.
    blocks: blocks whose planes are kept.
    """

    part: int
    blocks: int


def _share(g: Geometry, memory: int) -> _Share:
    """As few turns over the blocks as the memory allows, but at least one quad at a time."""
    words = memory // 4
    block = g.planes * g.lane_words
    quad = g.record_words + g.list_words
    everything = block * g.blocks
    left, blocks = max(words - block, 0), 1
    if left // quad < g.quads and words >= everything + quad:
        left, blocks = words - everything, g.blocks
    return _Share(max(1, min(left // quad, g.quads)), blocks)


def _geometry(layer: PackedLayer, lane_words: int) -> Geometry:
    return geometry_of(layer, _ENTRY_BITS, lane_words)


def _covers(layer: PackedLayer, lane_words: int) -> bool:
    return positions(layer) >= _MAKING_PAYS and covers(_geometry(layer, lane_words))


def _scratch_words(job: Job) -> int:
    g = _geometry(job.layer, job.lane_words)
    used = _share(g, job.memory)
    lists = used.part * (g.record_words + g.list_words)
    return shared.scratch_words(job, g) + used.blocks * g.planes * job.lane_words + lists


def _work(job: Job, core: Core) -> Work:
    g = _geometry(job.layer, job.lane_words)
    steps = pattern_steps(g, _ENTRY_BITS, job.sized)
    assert steps is not None, "only lists of 8 bits can be too short"
    used = _share(g, job.memory)
    own = lists_work(g, steps, _ENTRY_BITS, -(-g.quads // used.part), used.blocks > 1)
    return own + making_work(g, steps, job.sized) + planes.around(job, reads_planes=True)


def _data(layer: PackedLayer, lane_words: int) -> bytes:
    return pattern_sizes(_geometry(layer, lane_words))


def _arrays(layer: PackedLayer, data: bytes, lane_words: int) -> tuple[DataArray, ...]:
    quads = _geometry(layer, lane_words).quads
    return (shared.record_array(data, quads, "quads: channels, inputs of each pattern"),)


def _options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
    g = _geometry(layer, core.lane_words)
    ways = {_share(g, memory): memory for memory in reversed(_MEMORIES)}
    return tuple(
        Option(Kernel.PATTERNS_1, memory, data) for memory in sorted(ways.values()) for data in (sizes_bytes(g), 0)
    )


_CODE = ("adder of 16-bit lists", "lists made in RAM")

SPEC = KernelSpec(
    kernel=Kernel.PATTERNS_1,
    forms=shared.forms("bf_conv_patterns_1", _CODE, "their limits, exact zeros"),
    kinds=(LayerKind.CONV,),
    covers=_covers,
    scratch_words=_scratch_words,
    work=_work,
    reads_planes=True,
    writes_planes=True,
    options=_options,
    data=_data,
    arrays=_arrays,
)
