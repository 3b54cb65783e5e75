"""What is measured of the kernels: layers, the kernel that runs each, and what it must and should reach."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CIFAR", "NETWORKS", "TARGETS", "WIDTHS", "Target"]


@dataclass(frozen=True, slots=True)
class Target:
    """board, layer, kernel: of `bitflow bench --board B --layer L --kernel K`. must, aim: multiply-accumulates for each
    instruction.
    """

    board: str
    layer: str
    kernel: str
    must: float
    aim: float

    @property
    def command(self) -> str:
        return f"bitflow bench --board {self.board} --layer {self.layer} --kernel {self.kernel}"

    @property
    def key(self) -> str:
        return f"{self.board} {self.layer} {self.kernel}"


def _m4(layer: str, kernel: str, must: float, aim: float) -> Target:
    return Target("qemu-m4", layer, kernel, must, aim)


TARGETS = (
    _m4("conv3x3:16x16x64-64", "patterns_8", 13.5, 15),
    _m4("conv3x3:8x8x128-128", "patterns_8", 15, 17),
    _m4("conv3x3:32x32x32-32", "patterns_8", 11.3, 12.5),
    _m4("conv3x3:28x28x32-32", "patterns_8", 11, 12),
    _m4("conv3x3:14x14x32-64", "patterns_8", 10.2, 12),
    _m4("conv3x3:7x7x64-64", "patterns_8", 10.2, 12),
    _m4("conv3x3:16x16x64-64", "patterns_1", 12, 13),
    _m4("conv3x3:8x8x128-128", "patterns_1", 10, 12),
    _m4("conv3x3:32x32x32-32", "patterns_1", 10.7, 12),
    _m4("conv1x1:16x16x64-64", "patterns_8", 6.2, 8),
    _m4("conv5x5:16x16x32-32", "patterns_8", 12, 14),
    _m4("conv3x3:16x16x64-128/s2", "patterns_8", 11.5, 13),
    _m4("conv3x3:16x16x64-64", "set_bits", 5.7, 8),
    _m4("dense:1024-256", "set_bits", 7, 8),
    # Exact zero padding: 3 % and 5 % more than padding -1 must do, 1.5 % and 3 % are the aim.
    _m4("conv3x3:16x16x64-64/p0", "patterns_8", 13.5 / 1.03, 15 / 1.015),
    _m4("conv3x3:32x32x32-32/p0", "patterns_8", 11.3 / 1.05, 12.5 / 1.03),
    _m4("first3x3:32x32x3-32", "input_sums", 1 / 0.50, 1 / 0.40),
    _m4("first3x3:32x32x1-32", "input_sums", 1 / 0.57, 1 / 0.45),
    Target("qemu-m0", "conv3x3:16x16x64-64", "patterns_16", 10.5, 12),
    Target("qemu-m0", "conv3x3:32x32x32-32", "patterns_16", 8.5, 10),
    Target("qemu-m55", "conv3x3:16x16x64-64", "patterns_16", 45, 50),
    Target("qemu-m55", "conv3x3:32x32x32-32", "patterns_16", 36, 42),
)

WIDTHS = tuple(_m4(f"conv3x3:16x{width}x32-32", "patterns_8", 0, 0) for width in range(5, 41))
"""No width is a special case: the multiply-accumulates for each instruction of maps of 16 rows."""

CIFAR = "cifar.bfn"
"""What `python -m bench.cifar cifar.bfn` writes."""

NETWORKS = {
    "builtin:digits": "the digits network, in the package",
    CIFAR: "random, of the size of CIFAR-10, written by `python -m bench.cifar cifar.bfn`",
    "bench/mnist-lenet.bfn": "`bitflow-lenet` trained on MNIST (99.18 %; by an earlier recipe)",
}
"""Whole networks: file or name, and what it is."""
