"""PackedNetwork -> Plan: which kernel runs each layer, how large the arena is, how much code is linked.

Sizes here repeat the C library's own arithmetic (`bf_kernel.scratch`, `bf_arrange`); a test holds them together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bitflow.image.arena import arrange
from bitflow.ir import PackedNetwork
from bitflow.packed import INPUT, PackedLayer
from bitflow.planner import planes
from bitflow.planner.code_size import code_bytes
from bitflow.planner.kernels.spec import LIST_MEMORY, Job, Kernel, Option
from bitflow.planner.kernels.table import KERNELS, candidates

__all__ = ["LayerPlan", "Plan", "default_option", "default_plan", "flash_bytes", "layer_jobs", "planned", "replaced"]

_GUARD_WORDS = 1  # of lanes, at both ends of the arena


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """How one layer is run.

    kernel: the kernel that runs it.
    reason: why that one, in words.
    output_bytes: size of its map in the arena; 0 for scores.
    scratch_bytes: scratch beside the map.
    pinned: whether others than the next layer read the map.
    planes_in, planes_out: whether its input and its output are bit planes.
    memory: as in `Option`.
    data_bytes: what the kernel needs beside the image.
    instructions: predicted; None where the core was not measured.
    """

    kernel: Kernel
    reason: str
    output_bytes: int
    scratch_bytes: int
    pinned: bool = False
    planes_in: bool = False
    planes_out: bool = False
    memory: int = 0
    data_bytes: int = 0
    instructions: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """How every layer is run, and what that takes.

    arena_bytes: pinned_bytes, and the largest need of any layer for the other maps and scratch together.
    pinned_bytes: size of the region of maps that others than the next layer read.
    input_at: from which byte of the arena on an input may lie in it, which is free once the first layer has read it.
    shared_bytes: size of an arena with room for that input: all that is alive at the same time, but for the scores.
    lane_words: words that the core handles side by side.
    symbols: names in bitflow.h of the kernels used.
    core, objective: what the plan was made for; "" where the C library chooses by itself.
    """

    layers: tuple[LayerPlan, ...]
    arena_bytes: int
    pinned_bytes: int
    input_at: int
    shared_bytes: int
    lane_words: int
    symbols: tuple[str, ...]
    core: str = ""
    objective: str = ""

    @property
    def code_bytes(self) -> int:
        """Code of the C library that the network links, at most."""
        return code_bytes(self.symbols, self.core)


def default_plan(network: PackedNetwork, lane_words: int = 1) -> Plan:
    """What the C library does with an image that no plan follows: the first kernel that covers a layer."""
    options = [default_option(layer, lane_words) for layer in network.layers]
    return planned(network, lane_words, options, ["the first kernel that covers it"] * len(options))


def default_option(layer: PackedLayer, lane_words: int) -> Option:
    """The first kernel that covers a layer and needs no plan."""
    spec = next(spec for spec in candidates(layer, lane_words) if not spec.planned)
    memory = LIST_MEMORY if spec.kernel is Kernel.PATTERNS_1 else 0
    return Option(spec.kernel, memory, len(spec.data(layer, lane_words)))


def planned(network: PackedNetwork, lane_words: int, options: Sequence[Option], reasons: Sequence[str]) -> Plan:
    """The plan that runs the layers in these ways: how maps lie, and how large the arena is."""
    arena = arrange(network)
    specs = [KERNELS[option.kernel] for option in options]
    layers: list[LayerPlan] = []
    needs, before = [], 0  # bytes of the arena: of each layer, and of the map that the layer before it left
    for index, (layer, option, spec) in enumerate(zip(network.layers, options, specs, strict=True)):
        pinned = arena.pinned[index] is not None
        planes_in = bool(
            index
            and layer.sources[0] == index - 1
            and arena.pinned[index - 1] is None
            and spec.reads_planes
            and specs[index - 1].writes_planes
        )
        last = index + 1 == len(network.layers)
        planes_out = not (last or pinned) and spec.writes_planes and specs[index + 1].reads_planes
        job = Job(network, layer, option.kernel, lane_words, planes_in, planes_out, option.memory)
        output, scratch = _map_bytes(layer, planes_out, lane_words), 4 * spec.scratch_words(job)
        layers.append(
            LayerPlan(
                option.kernel, reasons[index], output, scratch, pinned, planes_in, planes_out,
                option.memory, option.data_bytes,
            )
        )  # fmt: skip
        here = 0 if pinned else output
        needs.append(before + here + scratch)
        before = here
    guard = 4 * _GUARD_WORDS * lane_words
    size = arena.pinned_bytes + max(needs) + 2 * guard
    again = any(INPUT in layer.sources for layer in network.layers[1:])
    input_at = size if again else guard + arena.pinned_bytes + needs[0]
    return Plan(
        tuple(layers),
        size,
        arena.pinned_bytes,
        input_at,
        max(size, input_at + -(-network.input_spec.shape.size // 4) * 4),
        lane_words,
        _symbols(network, layers),
    )


def _symbols(network: PackedNetwork, layers: Sequence[LayerPlan]) -> tuple[str, ...]:
    """The kernels that run the layers, as bitflow.h calls them: of each the form with the least code that can."""
    of_kernel: dict[Kernel, list[PackedLayer]] = {}
    for layer, own in zip(network.layers, layers, strict=True):
        of_kernel.setdefault(own.kernel, []).append(layer)
    return tuple(KERNELS[kernel].form_for(of_kernel[kernel]).symbol for kernel in sorted(of_kernel))


def replaced(kernel: Kernel) -> tuple[str, ...]:
    """The arrays of a layer that its kernel does not look at, since the data of its plan replaces them."""
    return ("weights", "shift") if KERNELS[kernel].planned else ()


def flash_bytes(layer: PackedLayer, kernel: Kernel, data_bytes: int) -> int:
    """Bytes of a layer in generated code: its arrays and the data of its plan, less the arrays that these replace."""
    arrays = (getattr(layer, role) for role in replaced(kernel))
    return layer.nbytes + data_bytes - sum(int(array.nbytes) for array in arrays)


def _map_bytes(layer: PackedLayer, as_planes: bool, lane_words: int) -> int:
    """Bytes in the arena of the map that a layer writes."""
    if as_planes:
        shape = layer.target
        return 4 * planes.map_words(shape.height * shape.width, shape.channels, lane_words)
    return 4 * layer.map_words


def layer_jobs(network: PackedNetwork, plan: Plan) -> tuple[Job, ...]:
    """Each layer of a plan as its kernel sees it."""
    return tuple(
        Job(network, layer, own.kernel, plan.lane_words, own.planes_in, own.planes_out, own.memory, own.data_bytes > 0)
        for layer, own in zip(network.layers, plan.layers, strict=True)
    )
