"""What a network costs on a board: flash, RAM, operations, the kernel of each layer and why, and whether it fits."""

from __future__ import annotations

from dataclasses import dataclass

from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.planner import plan_format
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, flash_bytes

__all__ = ["LayerRow", "Report", "report"]


@dataclass(frozen=True, slots=True)
class LayerRow:
    """A layer.

    instructions: predicted; None if the core was not measured.
    bytes: size of its arrays and its kernel's lists in flash.
    output_bytes, scratch_bytes: in the arena while it runs.
    kernel, reason: its kernel, and why it was chosen.
    """

    name: str
    kind: str
    shape: str
    macs: int
    instructions: int | None
    bytes: int
    output_bytes: int
    scratch_bytes: int
    kernel: str
    reason: str


@dataclass(frozen=True, slots=True)
class Report:
    """Costs of a network on a board. The rest of a firmware (link, buffers, stack) is not included; `bitflow build`
    measures all of it.

    flash_bytes: image and C library.
    ram_bytes: arena, one input and the scores.
    peak_ram_bytes: the same with an input that lies in the arena, where the first layer leaves its memory to the maps
        of later ones: what is alive at the same time.
    flash_budget, ram_budget: bytes; None: unlimited.
    """

    board: str
    flash_bytes: int
    ram_bytes: int
    peak_ram_bytes: int
    arena_bytes: int
    image_bytes: int
    flash_budget: int | None
    ram_budget: int | None
    layers: tuple[LayerRow, ...]

    @property
    def instructions(self) -> int | None:
        """Predicted instructions of one run; None if those of a layer are unknown."""
        found = [row.instructions for row in self.layers]
        return None if None in found else sum(n for n in found if n is not None)

    @property
    def macs(self) -> int:
        return sum(row.macs for row in self.layers)

    @property
    def fits(self) -> bool:
        return not self.advice

    @property
    def advice(self) -> tuple[str, ...]:
        """What would have to change, one line for each exceeded budget; empty if the network fits."""
        lines = []
        if self.flash_budget is not None and self.flash_bytes > self.flash_budget:
            worst = max(self.layers, key=lambda row: row.bytes)
            lines.append(
                f"flash: {self.flash_bytes} of {self.flash_budget} bytes; {self.flash_bytes - self.flash_budget} too "
                f"many. Layer {worst.name} takes {worst.bytes}: fewer channels there help most"
            )
        if self.ram_budget is not None and self.ram_bytes > self.ram_budget:
            worst = max(self.layers, key=lambda row: row.output_bytes + row.scratch_bytes)
            lines.append(
                f"RAM: {self.ram_bytes} of {self.ram_budget} bytes; {self.ram_bytes - self.ram_budget} too many. Layer "
                f"{worst.name} takes {worst.output_bytes + worst.scratch_bytes}: a smaller map or a stride there helps"
            )
        return tuple(lines)


def report(
    network: PackedNetwork, board: str, plan: Plan, flash_budget: int | None = None, ram_budget: int | None = None
) -> Report:
    """Count the costs of a network with a plan.

    flash_budget, ram_budget: bytes; None: unlimited.
    """
    rows = tuple(
        LayerRow(
            layer.name,
            layer.kind.name.lower(),
            f"{layer.source} -> {layer.target}",
            layer.macs,
            choice.instructions,
            flash_bytes(layer, choice.kernel, choice.data_bytes),
            choice.output_bytes,
            choice.scratch_bytes,
            KERNELS[choice.kernel].symbol,
            choice.reason,
        )
        for layer, choice in zip(network.layers, plan.layers, strict=True)
    )
    replaced = sum(
        layer.nbytes + choice.data_bytes - flash_bytes(layer, choice.kernel, choice.data_bytes)
        for layer, choice in zip(network.layers, plan.layers, strict=True)
    )
    size = Image.of(network).placed.size + plan_format.size(network, plan) - replaced
    scores = 4 * network.classes
    ram, peak = plan.arena_bytes + network.input_spec.shape.size + scores, plan.shared_bytes + scores
    return Report(board, size + plan.code_bytes, ram, peak, plan.arena_bytes, size, flash_budget, ram_budget, rows)
