"""Counts layers on emulated boards: what `bitflow bench --layer` does, many layers for each start of QEMU."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.cifar import LAYERS, cifar
from bench.targets import CIFAR, Target
from bitflow import resources
from bitflow.boards import Board, board
from bitflow.cores import ARM, core_of
from bitflow.deploy.build import build
from bitflow.image.bfn import load
from bitflow.ir import PackedNetwork
from bitflow.planner.for_board import plan_for
from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan
from bitflow.synthetic.layer_plans import measured, singled_out
from bitflow.synthetic.single_layers import parse, single_layer
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport
from bitflow_hil.run.count import count_planned

__all__ = ["alone", "compiler", "counts", "layer_instructions", "networks", "running"]

ROOT = Path(__file__).parents[1]
PICTURES = 16


def compiler() -> str:
    """The compiler that counts belong to, with its version."""
    text = subprocess.run([ARM.compiler, "--version"], capture_output=True, text=True, check=True).stdout
    found = re.search(r"\d+\.\d+\.\d+", text.splitlines()[0])
    return f"{ARM.compiler} {found[0] if found else 'unknown'}"


@contextmanager
def running(target: Board, folder: Path) -> Iterator[Device]:
    """A firmware for the board in QEMU, with any network: others are sent to it."""
    machine = board(target.roomy) if target.roomy else target
    built = build(load(resources.builtin_model("digits")), machine, folder)
    with Emulator(machine, built.elf) as emulator, Device(SerialTransport(emulator.port)) as device:
        device.info()
        yield device


def layer_instructions(device: Device, network: PackedNetwork, plan: Plan) -> int:
    """Of the layer in question for a picture; its scores are compared with the reference's.

    Lists of set bits take as long as there are bits that are 1: there it is the mean of some pictures and of their
    negatives, in which bits are as often 1 as 0. A single picture may be a tenth off.
    """
    index = measured(network)
    count = count_planned(device, network, plan, PICTURES if KERNELS[plan.layers[index].kernel].by_pixels else 1)
    assert count.checked, f"{network.name}: other scores than the reference's"
    return count.layers[index]


def counts(targets: Sequence[Target], done: Callable[[Target], None] = lambda _: None) -> dict[Target, tuple[int, int]]:
    """Instructions and multiply-accumulates of each layer; its scores were compared with the reference's."""
    found: dict[Target, tuple[int, int]] = {}
    for name in dict.fromkeys(target.board for target in targets):
        own = board(name)
        with tempfile.TemporaryDirectory() as folder, running(own, Path(folder)) as device:
            for target in targets:
                if target.board != name:
                    continue
                network = single_layer(parse(target.layer), seed=1)
                plan = singled_out(network, core_of(own.cpu), "balanced", Kernel[target.kernel.upper()])
                count = count_planned(device, network, plan)
                assert count.checked, f"{target.command}: other scores than the reference's"
                index = measured(network)
                found[target] = count.layers[index], network.layers[index].macs
                done(target)
    return found


def _network(name: str) -> PackedNetwork:
    if name == CIFAR:
        return cifar()
    return load(resources.builtin_model("digits") if name == "builtin:digits" else ROOT / name)


def networks(names: Sequence[str], board_name: str = "qemu-m4") -> dict[str, list[dict[str, str | int]]]:
    """Of each network, its layers: name, kernel, multiply-accumulates, instructions; and last the whole run."""
    found: dict[str, list[dict[str, str | int]]] = {}
    target = board(board_name)
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as device:
        for name in names:
            network = _network(name)
            plan = plan_for(network, target)
            count = count_planned(device, network, plan)
            assert count.checked, f"{name}: other scores than the reference's"
            found[name] = [
                {"name": layer.name, "kernel": own.kernel.name.lower(), "macs": layer.macs, "instructions": n}
                for layer, own, n in zip(network.layers, plan.layers, count.layers, strict=True)
            ]
            macs = sum(layer.macs for layer in network.layers)
            found[name].append({"name": "", "kernel": "", "macs": macs, "instructions": count.instructions})
    return found


def alone(board_name: str = "qemu-m4") -> list[int]:
    """Instructions of the CIFAR-size network's convolutions, each alone, without pool, by the kernel it has there."""
    target = board(board_name)
    core = core_of(target.cpu)
    plan = plan_for(cifar(), target)
    found = []
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as device:
        for text, own in zip(LAYERS, plan.layers, strict=False):
            network = single_layer(parse(text), seed=1)
            count = count_planned(device, network, singled_out(network, core, "balanced", own.kernel))
            found.append(count.layers[measured(network)])
    return found
