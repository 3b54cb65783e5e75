"""PackedNetwork -> Plan for a core and an objective: which kernel runs each layer.

Every option of each layer is tried, again and again since neighbours decide how a map lies between them, until nothing
gets better: first by the budgets, then by the objective. The search starts from several plans and takes the best end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bitflow.cores import Core
from bitflow.ir import PackedNetwork
from bitflow.packed import PackedLayer
from bitflow.planner import cost
from bitflow.planner.kernels.spec import Job, Kernel, Option
from bitflow.planner.kernels.table import KERNELS, candidates
from bitflow.planner.plan import Plan, default_plan, layer_jobs, planned, replaced

__all__ = ["OBJECTIVES", "Objective", "choose"]

Objective = Literal["speed", "balanced", "flash", "ram"]
OBJECTIVES: tuple[Objective, ...] = ("balanced", "speed", "flash", "ram")

# Speed: instructions that a byte of flash or RAM is worth: what is hardly slower may not take much more memory.
_SPEED_PER_FLASH = 0.5
_SPEED_PER_RAM = 2.0
# Balanced: a plan is better if it takes a part less of instructions than these parts, of that part, more of memory.
_FLASH_EXPONENT = 0.5
_RAM_EXPONENT = 0.25


def _options(layer: PackedLayer, core: Core) -> tuple[Option, ...]:
    """All ways that the core has costs for; the plain kernel at least."""
    specs = candidates(layer, core.lane_words)
    found = [option for spec in specs if cost.has_costs(core, spec) for option in spec.ways(layer, core)]
    return tuple(found) or (Option(specs[-1].kernel),)


def _flash(layer: PackedLayer, option: Option) -> int:
    """Bytes of a layer's weights and lists in generated code: what the choice is about. Lists replace the weights."""
    return option.data_bytes + (0 if "weights" in replaced(option.kernel) else layer.weights_bytes)


@dataclass(slots=True)
class _Search:
    """A plan that gets better.

    fixed_flash: bytes that every plan takes.
    predicted: instructions of a layer, by all that they depend on.
    """

    network: PackedNetwork
    core: Core
    objective: Objective
    options: tuple[tuple[Option, ...], ...]
    taken: list[int]
    flash_budget: int | None = None
    ram_budget: int | None = None
    fixed_flash: int = 0
    predicted: dict[tuple[object, ...], int] = field(default_factory=dict)

    def plan(self, taken: Sequence[int] | None = None) -> Plan:
        chosen = [self.options[i][k] for i, k in enumerate(taken or self.taken)]
        plan = planned(self.network, self.core.lane_words, chosen, [""] * len(chosen))
        return replace(plan, core=self.core.name)

    def instructions(self, plan: Plan) -> list[int]:
        return [self._predict(index, job) for index, job in enumerate(layer_jobs(self.network, plan))]

    def _predict(self, index: int, job: Job) -> int:
        key = (index, job.kernel, job.memory, job.sized, job.planes_in, job.planes_out)
        if key not in self.predicted:
            has = cost.has_costs(self.core, KERNELS[job.kernel])
            self.predicted[key] = cost.predict(job, self.core) if has else 0
        return self.predicted[key]

    def weight(self, taken: Sequence[int]) -> float:
        """The smaller, the better, by the objective."""
        plan = self.plan(taken)
        counts = self.instructions(plan)
        instructions, ram = sum(counts), plan.shared_bytes
        flash = self.fixed_flash + _all_flash(self.network, self.options, taken) + plan.code_bytes
        match self.objective:
            case "speed":
                return instructions + _SPEED_PER_FLASH * flash + _SPEED_PER_RAM * ram
            case "balanced":
                return max(instructions, 1) * math.pow(flash, _FLASH_EXPONENT) * math.pow(ram, _RAM_EXPONENT)
            case "flash":
                return flash * 2.0**40 + instructions
            case "ram":
                # Where the peak stays what it is, less in a layer is still better: its neighbours can change then.
                needs = sum(layer.output_bytes + layer.scratch_bytes for layer in plan.layers)
                return plan.arena_bytes * 2.0**50 + needs * 2.0**30 + instructions

    def excess(self, taken: Sequence[int]) -> int:
        """Bytes beyond the budgets."""
        flash = 0 if self.flash_budget is None else _all_flash(self.network, self.options, taken) - self.flash_budget
        ram = 0 if self.ram_budget is None else self.plan(taken).arena_bytes - self.ram_budget
        return max(flash, 0) + max(ram, 0)

    def badness(self, taken: Sequence[int]) -> tuple[int, float]:
        """Budgets first, then the objective."""
        return self.excess(taken), self.weight(taken)

    def settle(self) -> tuple[int, float]:
        """Try every layer again with all it could be, until nothing gets better."""
        best, better = self.badness(self.taken), True
        while better:
            better = False
            for i, options in enumerate(self.options):
                for k in range(len(options)):
                    tried = [*self.taken]
                    tried[i] = k
                    found = self.badness(tried)
                    if found < best:
                        best, self.taken, better = found, tried, True
        return best


def choose(
    network: PackedNetwork,
    core: Core,
    objective: Objective = "balanced",
    flash_budget: int | None = None,
    ram_budget: int | None = None,
) -> Plan:
    """The plan for a core. Budgets are bytes for weights and lists, and for the arena; None: as many as there are."""
    if not cost.is_measured(core):
        return replace(default_plan(network, core.lane_words), core=core.name, objective=objective)
    options = tuple(_options(layer, core) for layer in network.layers)
    # Neighbours must change together to gain from strings, or from their lack: more than one beginning.
    starts = [[0] * len(options), [len(own) - 1 for own in options]]
    thrifty: tuple[tuple[Objective, int | None], ...] = (("ram", ram_budget), ("flash", flash_budget))
    for thrift, budget in thrifty:
        if budget is not None:
            least = _Search(network, core, thrift, options, [*starts[1]])
            least.settle()
            starts.append(least.taken)
    searches = [_Search(network, core, objective, options, start, flash_budget, ram_budget) for start in starts]
    search = min(searches, key=lambda each: each.settle())
    plan = search.plan()
    counts = search.instructions(plan)
    reasons = [_reason(search, i, counts[i]) for i in range(len(options))]
    layers = [
        replace(layer, reason=reason, instructions=count or None)
        for layer, reason, count in zip(plan.layers, reasons, counts, strict=True)
    ]
    return replace(plan, layers=tuple(layers), core=core.name, objective=objective)


def _all_flash(network: PackedNetwork, options: tuple[tuple[Option, ...], ...], taken: Sequence[int]) -> int:
    return sum(_flash(layer, options[i][taken[i]]) for i, layer in enumerate(network.layers))


def _reason(search: _Search, index: int, count: int) -> str:
    """Why this kernel: the next one that would have been faster, smaller or plainer, and by how much."""
    layer, taken = search.network.layers[index], search.taken[index]
    own = search.options[index][taken]
    if len(search.options[index]) == 1:
        return "the only kernel for it"
    others: dict[Kernel, tuple[int, int]] = {}
    for k, option in enumerate(search.options[index]):
        if option.kernel is own.kernel:
            continue
        tried = [*search.taken]
        tried[index] = k
        instructions = search.instructions(search.plan(tried))[index]
        if option.kernel not in others or instructions < others[option.kernel][0]:
            others[option.kernel] = (instructions, _flash(layer, option))
    flash = _flash(layer, own)
    said = []
    for kernel, (instructions, size) in sorted(others.items(), key=lambda item: item[1][0]):
        ratio = instructions / max(count, 1)
        speed = f"{ratio:.1f} times the instructions" if ratio >= 1.5 else f"{ratio - 1:+.0%} instructions"
        said.append(f"{kernel.name.lower()}: {speed}, {size - flash:+d} bytes of flash")
    return "; ".join(said[:2])
