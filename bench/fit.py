"""Fits what kernels cost on a core: python -m bench.fit BOARD [LAYERS] writes pipeline/bitflow/lower/costs.json.

Each kernel runs on many random layers under QEMU, with what was counted kept in .bitflow/fit; the instructions are then
split among the things that the kernel does (cost.features), at prices that are not negative and that make the relative
errors small.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track
from scipy.optimize import nnls

from bench.measure import running
from bitflow.check.layer_plans import every_plan, measured
from bitflow.check.single_layers import Spec, random_spec, single_layer, typical_spec
from bitflow.deploy.boards import Board, board
from bitflow.ir import LayerKind, PackedNetwork
from bitflow.lower.cores import core_of
from bitflow.lower.cost import Things, features
from bitflow.lower.kernels import Kernel
from bitflow.lower.plan import Plan, layer_jobs
from bitflow_hil.bench import count_planned

COSTS = Path(__file__).parents[1] / "pipeline" / "bitflow" / "lower" / "costs.json"
ODD = 0.3  # what the error of an odd layer counts
FIRST_SEED = 100_000  # tests/bench/test_predictions.py uses smaller ones


def specs(seed: int) -> tuple[Spec, ...]:
    """Typical layers, and odd ones; pixels around the zero point, so that bits are as often 1 as 0."""
    found = [typical_spec(seed + k * 1_000_000) for k in range(3)]
    first = next(s for s in map(typical_spec, range(seed * 1000, seed * 1000 + 1000)) if s.kind is LayerKind.INPUT_CONV)
    return *found, first, replace(random_spec(seed), zero_point=128, far=0)


def layers(target: Board, seeds: range) -> Iterator[tuple[str, Kernel, PackedNetwork, Plan]]:
    """Each layer with each of its kernels, under a name of its own."""
    core = core_of(target.cpu)
    for seed in seeds:
        for number, spec in enumerate(specs(seed)):
            network = single_layer(spec, seed)
            for kernel, plan in every_plan(network, core):
                if core.lists8 or kernel is not Kernel.CLASSES_8:
                    own = plan.layers[measured(network)]
                    unsized = kernel is Kernel.CLASSES_1 and not own.data_bytes
                    name = f"{seed} {number} {kernel.name} {own.memory}{' unsized' if unsized else ''}"
                    yield name, kernel, network, plan


def collect(target: Board, seeds: range, known: Path) -> dict[str, int]:
    """Instructions of each layer; what is known is not counted again."""
    counted: dict[str, int] = json.loads(known.read_text()) if known.exists() else {}
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as device:
        for name, _, network, plan in track(layers(target, seeds), description=target.name, total=25 * len(seeds)):
            if name not in counted:
                count = count_planned(device, network, plan)
                assert count.checked, name
                counted[name] = count.layers[measured(network)]
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(counted))
    return counted


def fitted(
    rows: list[tuple[Things, int]], weights: npt.NDArray[np.float64]
) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """Prices by thing, and the relative errors. weights: how much the error of each layer counts."""
    names = sorted({name for things, _ in rows for name, count in things.items() if count})
    counts = np.array([[things[name] for name in names] for things, _ in rows], dtype=np.float64)
    instructions = np.array([n for _, n in rows], dtype=np.float64)
    scale = counts.max(axis=0)
    prices, _ = nnls(counts * (weights / instructions)[:, np.newaxis] / scale, weights, maxiter=10_000)
    prices = prices / scale
    errors: npt.NDArray[np.float64] = counts @ prices / instructions - 1
    return {n: round(float(p), 4) for n, p in zip(names, prices, strict=True) if p}, errors


def main() -> None:
    target = board(sys.argv[1])
    core = core_of(target.cpu)
    seeds = range(FIRST_SEED, FIRST_SEED + (int(sys.argv[2]) if len(sys.argv) > 2 else 150))
    counted = collect(target, seeds, Path(".bitflow") / "fit" / f"{core.name}.json")
    rows: dict[Kernel, list[tuple[Things, int]]] = defaultdict(list)
    names: dict[Kernel, list[str]] = defaultdict(list)
    for name, kernel, network, plan in layers(target, seeds):
        if name in counted:
            job = layer_jobs(network, plan)[measured(network)]
            rows[kernel].append((features(job, core), counted[name]))
            names[kernel].append(name)
    costs = json.loads(COSTS.read_text()) if COSTS.exists() else {}
    own = {}
    for kernel in sorted(rows):
        weights = np.array([ODD if name.split()[1] == "4" else 1.0 for name in names[kernel]])
        own[kernel.name], errors = fitted(rows[kernel], weights)
        size = np.sort(np.abs(errors))
        worst = int(np.argmax(np.abs(errors)))
        print(
            f"{kernel.name:12} {len(size):4} layers, errors: median {np.median(size):.1%}, 95 % of them below "
            f"{size[int(0.95 * (len(size) - 1))]:.1%}, worst {errors[worst]:+.1%} ({names[kernel][worst]})"
        )
    costs[core.name] = costs.get(core.name, {}) | own
    COSTS.write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
