"""What a kernel is predicted to execute: instructions as a sum of things that its loops do, each at a price of its own.

The things are counted from the layer (`KernelSpec.work`), exactly where they do not depend on pixels; what one of each
costs on a core was measured on random layers under QEMU (`python -m bench.fit`), and stands in costs.json.
"""

from __future__ import annotations

import functools
import json
from importlib import resources

from bitflow.cores import Core
from bitflow.planner.kernels.spec import Job, KernelSpec, Work
from bitflow.planner.kernels.table import KERNELS
from bitflow.planner.windows import pool_work

__all__ = ["features", "has_costs", "is_measured", "predict"]


@functools.cache
def _costs() -> dict[str, dict[str, dict[str, float]]]:
    """core -> family of kernels -> thing -> instructions."""
    text = resources.files("bitflow.planner").joinpath("costs.json").read_text(encoding="utf-8")
    found: dict[str, dict[str, dict[str, float]]] = json.loads(text)
    return found


def is_measured(core: Core) -> bool:
    """Whether there are costs for the core at all."""
    return core.name in _costs()


def has_costs(core: Core, spec: KernelSpec) -> bool:
    """Whether the kernel was measured on the core."""
    return spec.once in _costs().get(core.name, {}).get(spec.family, {})


def predict(job: Job, core: Core) -> int:
    """Instructions of a layer on a core."""
    prices = _costs()[core.name][KERNELS[job.kernel].family]
    return round(sum(prices.get(thing, 0.0) * count for thing, count in features(job, core).items()))


def features(job: Job, core: Core) -> Work:
    """The things that a kernel does for one picture, by name."""
    spec = KERNELS[job.kernel]
    found = spec.work(job, core)
    if not spec.writes_planes:
        found += pool_work(job.layer)
    found[spec.once] = 1
    return found
