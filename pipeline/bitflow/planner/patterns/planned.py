"""The kernels of filter patterns that follow the lists of a plan: they differ in the bits of a list's entry."""

from __future__ import annotations

import numpy as np

from bitflow.accumulation import LayerKind
from bitflow.cores import Core
from bitflow.packed import PackedLayer
from bitflow.planner import planes
from bitflow.planner.kernels.spec import DataArray, Job, Kernel, KernelSpec, Option, Work
from bitflow.planner.patterns import shared
from bitflow.planner.patterns.geometry import covers, geometry_of
from bitflow.planner.patterns.lists import pattern_data, pattern_steps
from bitflow.planner.patterns.work import lists_work

__all__ = ["planned_spec"]


def planned_spec(kernel: Kernel, symbol: str, entry_bits: int, code: tuple[str, ...]) -> KernelSpec:
    """The spec of such a kernel. entry_bits: 8 or 16. code: the parts of the library that only it links."""

    def covers_layer(layer: PackedLayer, lane_words: int) -> bool:
        return covers(geometry_of(layer, entry_bits, lane_words))

    def scratch_words(job: Job) -> int:
        g = geometry_of(job.layer, entry_bits, job.lane_words)
        return shared.scratch_words(job, g) + g.planes * job.lane_words

    def work(job: Job, core: Core) -> Work:
        g = geometry_of(job.layer, entry_bits, job.lane_words)
        steps = pattern_steps(g, entry_bits)
        own = Work() if steps is None else lists_work(g, steps, entry_bits)
        return own + planes.around(job, reads_planes=True)

    def data(layer: PackedLayer, lane_words: int) -> bytes:
        found = pattern_data(geometry_of(layer, entry_bits, lane_words), entry_bits)
        assert found is not None, "a kernel was chosen that cannot hold the layer's lists"
        return found[0]

    def arrays(layer: PackedLayer, found: bytes, lane_words: int) -> tuple[DataArray, ...]:
        g = geometry_of(layer, entry_bits, lane_words)
        records = 4 * g.quads * g.record_words
        lists = np.frombuffer(found[records:], dtype="<u2" if entry_bits == 16 else np.uint8)
        return (
            shared.record_array(found[:records], g.quads, "quads: channels, start, limits"),
            DataArray("lists", "lists: pattern after pattern, runs of 8 planes", lists),
        )

    def options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
        if entry_bits == 8 and not core.lists8:
            return ()
        found = pattern_data(geometry_of(layer, entry_bits, core.lane_words), entry_bits)
        return () if found is None else (Option(kernel, 0, len(found[0])),)

    return KernelSpec(
        kernel=kernel,
        forms=shared.forms(symbol, code),
        kinds=(LayerKind.CONV,),
        covers=covers_layer,
        scratch_words=scratch_words,
        work=work,
        reads_planes=True,
        writes_planes=True,
        options=options,
        data=data,
        arrays=arrays,
        planned=True,
    )
