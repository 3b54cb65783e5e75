"""Fits what kernels cost on a core: python -m bench.fit BOARD [SEEDS] writes pipeline/bitflow/planner/costs.json.

Each kernel runs on many random layers under QEMU, and what was counted is kept in .bitflow/fit for as long as the
library's sources stay the same. The instructions are then split among the things that the kernel does (cost.features),
at prices that are not negative and that make the relative errors small. Kernels that share code share its prices, so
that what is rare in the layers of one is seen in those of another. A core takes about five minutes.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.progress import track
from scipy.optimize import nnls

from bench.measure import layer_instructions, running
from bitflow.boards import Board, board
from bitflow.cores import core_of
from bitflow.ir import LayerKind, PackedNetwork
from bitflow.planner.cost import features
from bitflow.planner.kernels.spec import Kernel, Work
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.plan import Plan, layer_jobs
from bitflow.synthetic.layer_plans import every_plan, measured
from bitflow.synthetic.single_layers import Spec, random_spec, single_layer, typical_spec

COSTS = Path(__file__).parents[1] / "pipeline" / "bitflow" / "planner" / "costs.json"
LIBRARY = Path(__file__).parents[1] / "firmware" / "lib" / "bitflow"
SEEDS = 40
ODD = 0.3  # what the error of an odd layer counts
ODD_SPEC = "5"  # its number among specs()
FIRST_SEED = 100_000  # tests/bench/test_predictions.py uses smaller ones


def specs(seed: int) -> tuple[Spec, ...]:
    """Typical layers, one that takes pixels and one padded by zeros, which few are; last an odd one. Pixels around the
    zero point, so that bits are as often 1 as 0.
    """
    found = [typical_spec(seed + k * 1_000_000) for k in range(3)]
    others = [typical_spec(s) for s in range(seed * 1000, seed * 1000 + 1000)]
    first = next(s for s in others if s.kind is LayerKind.INPUT_CONV)
    zeros = next(s for s in others if s.kind is LayerKind.CONV and any(s.window.padding) and s.pad_value == 0)
    return *found, first, zeros, replace(random_spec(seed), zero_point=128, far=0)


def layers(target: Board, seeds: range) -> Iterator[tuple[str, Kernel, PackedNetwork, Plan]]:
    """Each layer with each of its kernels, under a name of its own."""
    core = core_of(target.cpu)
    for seed in seeds:
        for number, spec in enumerate(specs(seed)):
            network = single_layer(spec, seed)
            for kernel, plan in every_plan(network, core):
                if core.lists8 or kernel is not Kernel.PATTERNS_8:
                    own = plan.layers[measured(network)]
                    unsized = kernel is Kernel.PATTERNS_1 and not own.data_bytes
                    name = f"{seed} {number} {kernel.name} {own.memory}{' unsized' if unsized else ''}"
                    yield name, kernel, network, plan


@dataclass(frozen=True, slots=True)
class Row:
    """A layer: what its kernel does for a picture, and how many instructions that took."""

    name: str
    things: Work
    instructions: int


def digest() -> str:
    """Of the library's sources: what was counted holds for these."""
    found = hashlib.sha256()
    for path in sorted(path for path in LIBRARY.rglob("*") if path.is_file()):
        found.update(path.read_bytes())
    return found.hexdigest()[:12]


def collect(target: Board, seeds: range) -> dict[Kernel, list[Row]]:
    """All layers by kernel; what is known is not counted again."""
    core = core_of(target.cpu)
    known = Path(".bitflow") / "fit" / f"{core.name}-{digest()}.json"
    counted: dict[str, int] = json.loads(known.read_text()) if known.exists() else {}
    rows: dict[Kernel, list[Row]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as device:
        for name, kernel, network, plan in track(layers(target, seeds), target.name, total=25 * len(seeds)):
            if name not in counted:
                counted[name] = layer_instructions(device, network, plan)
            job = layer_jobs(network, plan)[measured(network)]
            rows[kernel].append(Row(name, features(job, core), counted[name]))
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text(json.dumps(counted))
    return rows


def fitted(rows: list[Row]) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """Prices by thing, and the relative errors."""
    names = sorted({name for row in rows for name, count in row.things.items() if count})
    counts = np.array([[row.things[name] for name in names] for row in rows], dtype=np.float64)
    instructions = np.array([row.instructions for row in rows], dtype=np.float64)
    weights = np.array([ODD if row.name.split()[1] == ODD_SPEC else 1.0 for row in rows])
    scale = counts.max(axis=0)
    prices, _ = nnls(counts * (weights / instructions)[:, np.newaxis] / scale, weights, maxiter=10_000)
    prices = prices / scale
    errors: npt.NDArray[np.float64] = counts @ prices / instructions - 1
    kept = {spec.once for spec in KERNELS.values()}
    return {n: round(float(p), 4) for n, p in zip(names, prices, strict=True) if p or n in kept}, errors


def main() -> None:
    target = board(sys.argv[1])
    core = core_of(target.cpu)
    rows = collect(target, range(FIRST_SEED, FIRST_SEED + (int(sys.argv[2]) if len(sys.argv) > 2 else SEEDS)))
    own = {}
    for name in sorted({KERNELS[kernel].family for kernel in rows}):
        kernels = [kernel for kernel in sorted(rows) if KERNELS[kernel].family == name]
        own[name], errors = fitted([row for kernel in kernels for row in rows[kernel]])
        ends = np.cumsum([len(rows[kernel]) for kernel in kernels])
        for kernel, part in zip(kernels, np.split(errors, ends[:-1]), strict=True):
            size = np.sort(np.abs(part))
            worst = int(np.argmax(np.abs(part)))
            print(
                f"{kernel.name:12} {len(size):4} layers, errors: median {np.median(size):.1%}, 95 % of them below "
                f"{size[int(0.95 * (len(size) - 1))]:.1%}, worst {part[worst]:+.1%} ({rows[kernel][worst].name})"
            )
    costs = json.loads(COSTS.read_text()) if COSTS.exists() else {}
    costs[core.name] = own
    COSTS.write_text(json.dumps(costs, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
