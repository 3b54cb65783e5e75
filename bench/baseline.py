"""The counts that a change must not raise: python -m bench.baseline writes bench/baseline.json for this compiler."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rich.progress import Progress
from rich.table import Table

from bench.measure import alone, compiler, counts, networks
from bench.targets import NETWORKS, TARGETS, WIDTHS

__all__ = ["BASELINE", "known"]

BASELINE = Path(__file__).with_name("baseline.json")


def known() -> dict[str, dict[str, Any]]:
    """Compiler -> "layers": key of a target -> [instructions, macs]; "networks": name -> layers."""
    found: dict[str, dict[str, Any]] = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    return found


def main() -> None:
    every = (*TARGETS, *WIDTHS)
    with Progress() as bar:
        task = bar.add_task("layers", total=len(every))
        found = counts(every, lambda _: bar.advance(task))
    table = Table("board", "layer", "kernel", "MAC/instr", "must", "aim")
    for target in TARGETS:
        instructions, macs = found[target]
        missed = "" if macs / instructions >= target.must else " missed"
        table.add_row(
            target.board, target.layer, target.kernel, f"{macs / instructions:.2f}{missed}",
            f"{target.must:.2f}", f"{target.aim:.2f}",
        )  # fmt: skip
    bar.console.print(table)
    everything = known()
    everything[compiler()] = {
        "layers": {target.key: list(found[target]) for target in every},
        "networks": networks(tuple(NETWORKS)),
        "cifar_alone": alone(),
    }
    BASELINE.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
