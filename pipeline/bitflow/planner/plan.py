"""PackedNetwork -> Plan: which kernel runs each layer, how large the arena is, how much code is linked.

Sizes here repeat the C library's own arithmetic (`bf_kernel.scratch`, `bf_arrange`); a test holds them together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bitflow.image.arena import arrange
from bitflow.ir import PackedNetwork
from bitflow.planner.kernels import pattern_lists as class_lists
from bitflow.planner.kernels.table import (
    LIST_MEMORY,
    Job,
    Kernel,
    candidates,
    geometry,
    gives_strings,
    scratch,
    stored_bytes,
    symbols,
    takes_strings,
)

__all__ = [
    "BASE_BYTES",
    "CODE_PARTS",
    "CodePart",
    "LayerPlan",
    "Plan",
    "code_bytes",
    "default_plan",
    "layer_jobs",
    "planned",
]


@dataclass(frozen=True, slots=True)
class CodePart:
    """A part of the C library's code: the kernels that need it, as bitflow.h calls them; bytes, at most, on cores with
    the assembly of v6m, of v7m, of mve.
    """

    name: str
    bytes: tuple[int, int, int]
    symbols: frozenset[str]


_BY_POSITION = (Kernel.INPUT_PLAIN, Kernel.SET_BITS, Kernel.CONV_PLAIN, Kernel.WIDE_CONV)
_SINKING = (Kernel.INPUT_PLAIN, Kernel.CONV_PLAIN, Kernel.WIDE_CONV, Kernel.SUM, Kernel.TOTAL)
_CLASSES = (Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.PATTERNS_1)


def _part(name: str, v6m: int, v7m: int, mve: int, *kernels: Kernel, usual: bool = True) -> CodePart:
    """usual: whether the forms of these kernels for usual layers need it, too."""
    symbols = {form for kernel in kernels for form in kernel.forms if usual or form == kernel.symbol}
    return CodePart(name, (v6m, v7m, mve), frozenset(symbols))


def code_bytes(symbols: Iterable[str]) -> int:
    """Code that a network links which names these kernels of bitflow.h, at most, on any supported core."""
    used = set(symbols)
    parts = [part.bytes for part in CODE_PARTS if part.symbols & used]
    return max(sum(part[core] for part in parts) for core in range(3))


# A test measures all parts on all cores, and prints what it finds beside these numbers.
CODE_PARTS = (
    _part("the run of a network", 1152, 1024, 1040, *Kernel),
    _part("division", 288, 0, 0, Kernel.INPUT_SUMS, *_CLASSES, *_BY_POSITION),
    _part("strings", 1856, 1600, 1664, Kernel.INPUT_SUMS, *_CLASSES),
    _part("pools of any windows", 448, 464, 464, Kernel.INPUT_SUMS, *_CLASSES, usual=False),
    _part("bits before a pool", 48, 48, 48, *_BY_POSITION, Kernel.SUM, Kernel.TOTAL),
    _part("pool of positions", 512, 416, 432, *_BY_POSITION, Kernel.SUM, Kernel.TOTAL, usual=False),
    _part("bits of a position", 224, 224, 240, *_SINKING),
    _part("strings of bits put together", 144, 112, 112, Kernel.CONV_PLAIN, Kernel.CONCAT),
    _part("filter classes", 3600, 3088, 3616, *_CLASSES),
    _part("copies of the input, exact zeros", 2640, 3600, 3264, *_CLASSES, usual=False),
    _part("adder of 16-bit lists", 720, 720, 1328, Kernel.PATTERNS_16, Kernel.PATTERNS_1, Kernel.SET_BITS),
    _part("sums of maps", 208, 192, 208, Kernel.SUM, Kernel.TOTAL),
    _part("sums of pixels", 3024, 3392, 2896, Kernel.INPUT_SUMS),
    _part("plain first layer, wide convolution", 1216, 1136, 1136, Kernel.INPUT_PLAIN, Kernel.WIDE_CONV),
    _part("plain first layer", 32, 32, 32, Kernel.INPUT_PLAIN),
    _part("16-bit lists of a plan", 64, 64, 64, Kernel.PATTERNS_16),
    _part("8-bit lists of a plan and their adder", 800, 1008, 1664, Kernel.PATTERNS_8),
    _part("set bits", 1312, 1280, 1344, Kernel.SET_BITS),
    _part("lists made in RAM", 2400, 1984, 2208, Kernel.PATTERNS_1),
    _part("their limits, exact zeros", 1072, 1008, 992, Kernel.PATTERNS_1, usual=False),
    _part("plain convolution", 624, 592, 608, Kernel.CONV_PLAIN, usual=False),
    _part("plain dense layer", 432, 400, 400, Kernel.CONV_PLAIN),
    _part("wide convolution", 32, 32, 32, Kernel.WIDE_CONV),
    _part("sum", 176, 160, 160, Kernel.SUM),
    _part("concatenation", 208, 208, 192, Kernel.CONCAT),
    _part("total", 128, 128, 128, Kernel.TOTAL),
)
"""What a generated network links: the parts that its kernels need."""
BASE_BYTES = max(CODE_PARTS[0].bytes)
"""The least that any network links."""

_GUARD_WORDS = 1  # of lanes, at both ends of the arena


@dataclass(frozen=True, slots=True)
class LayerPlan:
    """kernel: who runs it. output_bytes: of its map in the arena, 0 for scores. scratch_bytes: beside it. kept: whether
    others than the next layer read the map. strings_in, strings_out: whether its maps lie as strings. memory: bytes for
    planes and lists that are made in RAM, where they are. data_bytes: what the kernel needs beside the image.
    instructions: predicted, None where the core was not measured.
    """

    kernel: Kernel
    reason: str
    output_bytes: int
    scratch_bytes: int
    kept: bool = False
    strings_in: bool = False
    strings_out: bool = False
    memory: int = 0
    data_bytes: int = 0
    instructions: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """arena_bytes: kept_bytes, and the largest need of any layer for the other maps and scratch together. kept_bytes:
    of the maps that others than the next layer read. symbols: the kernels as bitflow.h calls them. core, wish: what it
    was made for, "": the C library's own choice.
    """

    layers: tuple[LayerPlan, ...]
    arena_bytes: int
    kept_bytes: int
    lane_words: int
    symbols: tuple[str, ...]
    core: str = ""
    wish: str = ""

    @property
    def code_bytes(self) -> int:
        """Code of the C library that the network links, at most."""
        return code_bytes(self.symbols)


def default_plan(network: PackedNetwork, lane_words: int = 1) -> Plan:
    """What the C library does with an image that no plan follows: the first kernel that covers a layer."""
    kernels = [next(k for k in candidates(layer, lane_words) if not k.planned) for layer in network.layers]
    reasons = ["the first kernel that covers it"] * len(kernels)
    return planned(network, lane_words, kernels, [LIST_MEMORY] * len(kernels), reasons)


def planned(
    network: PackedNetwork, lane_words: int, kernels: Sequence[Kernel], memory: Sequence[int], reasons: Sequence[str]
) -> Plan:
    """The plan with these kernels: how maps lie, and how large the arena is."""
    arena = arrange(network)
    layers: list[LayerPlan] = []
    needs, had = [], 0
    for index, layer in enumerate(network.layers):
        kept = arena.keep[index] is not None
        kernel = kernels[index]
        strings_in = bool(
            index
            and layer.sources[0] == index - 1
            and arena.keep[index - 1] is None
            and takes_strings(kernel)
            and gives_strings(kernels[index - 1])
        )
        last = index + 1 == len(network.layers)
        strings_out = not (last or kept) and gives_strings(kernel) and takes_strings(kernels[index + 1])
        job = Job(network, layer, kernel, lane_words, strings_in, strings_out, memory[index])
        bytes_out, bytes_scratch = stored_bytes(layer, strings_out, lane_words), scratch(job)
        made = memory[index] if kernel is Kernel.PATTERNS_1 else 0
        data = class_lists.sizes_bytes(geometry(layer, kernel, lane_words)) if kernel is Kernel.PATTERNS_1 else 0
        layers.append(
            LayerPlan(kernel, reasons[index], bytes_out, bytes_scratch, kept, strings_in, strings_out, made, data)
        )
        here = 0 if kept else bytes_out
        needs.append(had + here + bytes_scratch)
        had = here
    guards = 2 * 4 * _GUARD_WORDS * lane_words
    names = tuple(symbols(network, kernels).values())
    return Plan(tuple(layers), arena.kept_bytes + max(needs) + guards, arena.kept_bytes, lane_words, names)


def layer_jobs(network: PackedNetwork, plan: Plan) -> tuple[Job, ...]:
    """Each layer of a plan as its kernel sees it."""
    return tuple(
        Job(
            network, layer, own.kernel, plan.lane_words, own.strings_in, own.strings_out, own.memory, own.data_bytes > 0
        )
        for layer, own in zip(network.layers, plan.layers, strict=True)
    )
