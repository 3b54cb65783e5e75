"""Writes the tables of docs/training.md and docs/search.md from what was measured: python -m bench.training_page."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

from bench import ablation, found, on_board, recipes
from bench.page import filled
from bitflow.learn.recipe import recipe_for

__all__ = ["pages"]

_DOCS = Path(__file__).parents[1] / "docs"


def _recipes() -> list[str]:
    lines = [
        "| network | data | test accuracy | its float twin | `.bfn` | differences | training time | epochs | command |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, entry in sorted(recipes.known().items()):
        network, _, data = name.partition(" ")
        runs = list(entry["runs"].values())
        twins = [run["float_accuracy"] for run in runs if "float_accuracy" in run]
        options = (f" --size {entry['size']}" if entry["size"] else "") + (" --twin" if twins else "")
        if runs[0]["epochs"] != recipe_for(network).epochs:
            options += f" --epochs {runs[0]['epochs']}"
        lines.append(
            f"| `{network}` | {data} | {_spread([run['test_accuracy'] for run in runs])} | "
            f"{_spread(twins) if twins else ''} | "
            f"{_span([run['bytes'] for run in runs])} bytes | "
            f"{sum(run['differences'] for run in runs)} of {sum(run['images'] for run in runs)} | "
            f"{_span([round(run['seconds']) for run in runs])} s, {_threads(runs)} | {runs[0]['epochs']} | "
            f"`python -m bench.recipes {network} {data}{options} --seeds {','.join(entry['runs'])}` |"
        )
    return lines


def _kept() -> list[str]:
    lines = ["| file | seed | test accuracy | SHA-256 |", "|---|---|---|---|"]
    for _, entry in sorted(recipes.known().items()):
        if "kept" in entry:
            kept = entry["kept"]
            run = entry["runs"][str(kept["seed"])]
            lines.append(f"| `{kept['file']}` | {kept['seed']} | {run['test_accuracy']:.2%} | `{run['sha256']}` |")
    return lines


def _machines() -> list[str]:
    """A line for each machine: what was trained there."""
    machines: dict[str, list[str]] = {}
    for name, entry in sorted(recipes.known().items()):
        seeds: dict[str, list[str]] = {}
        for seed, run in entry["runs"].items():
            seeds.setdefault(f"{run['machine']}, torch {run['torch']}", []).append(seed)
        for machine, own in seeds.items():
            machines.setdefault(machine, []).append(f"{name} ({', '.join(own)})")
    return [f"- {machine}: {'; '.join(runs)}" for machine, runs in sorted(machines.items())]


def _boards() -> list[str]:
    lines = [
        "| network | board | test images | accuracy | mismatches | instructions an image "
        "| flash, RAM of network and library | of the firmware | command |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for name, run in sorted(on_board.known().items()):
        network, data, board = name.split(" ")
        lines.append(
            f"| `{Path(network).stem}` | {board} | {run['images']:,} | {run['accuracy']:.2%} | {run['mismatches']} | "
            f"{run['instructions_per_image']:,} | {run['flash']:,}, {run['ram']:,} | "
            f"{run['firmware_flash']:,}, {run['firmware_ram']:,} | "
            f"`python -m bench.on_board {network} {data} --board {board}` |"
        )
    return lines


def _ablation() -> list[str]:
    results = ablation.known()
    usual = list(results.get(next(iter(ablation.CHANGES)), {}).values())
    lines = ["| change | validation accuracy | against the recipe |", "|---|---|---|"]
    for name in ablation.CHANGES:
        found = list(results.get(name, {}).values())
        if found:
            more = 100 * (statistics.mean(found) - statistics.mean(usual))
            lines.append(f"| {name} | {_spread(found)} | {'' if found == usual else f'{more:+.2f}'} |")
    return lines


def _spread(values: list[float]) -> str:
    """The mean of some seeds, the lowest and the highest."""
    if len(values) == 1:
        return f"{values[0]:.2%} (one seed)"
    return f"{statistics.mean(values):.2%} ({min(values):.2%} to {max(values):.2%}, {len(values)} seeds)"


def _span(values: list[int]) -> str:
    return f"{min(values):,}" if min(values) == max(values) else f"{min(values):,} to {max(values):,}"


def _threads(runs: list[dict[str, Any]]) -> str:
    count = runs[0]["threads"]
    return "one thread" if count == 1 else f"{count} threads"


def _found() -> list[str]:
    result = found.known()
    lines = [
        "| network | flash | instructions | accuracy in the search | test accuracy |",
        "|---|---|---|---|---|",
    ]
    for kind, one in result["networks"].items():
        runs = list(one["runs"].values())
        lines.append(
            f"| {kind}: `{one['layers']}` | {_span([run['flash'] for run in runs])} bytes | {one['instructions']:,} | "
            f"{one['search_accuracy']:.2%} | {_spread([run['test_accuracy'] for run in runs])} |"
        )
    runs = [run for one in result["networks"].values() for run in one["runs"].values()]
    lines += [
        "",
        f"The search trained {result['trained']} networks in {result['seconds']} s on one core ({runs[0]['machine']}); "
        f"{result['outside']} were outside of the limits. Fused to unfused, {sum(run['differences'] for run in runs)} "
        f"of {sum(run['images'] for run in runs):,} labels differ.",
    ]
    return lines


def pages() -> dict[Path, str]:
    """The pages with fresh tables."""
    training = {
        "recipes": _recipes(),
        "machines": _machines(),
        "kept": _kept(),
        "boards": _boards(),
        "ablation": _ablation(),
    }
    tables = {"training.md": training, "search.md": {"found": _found()}}
    return {_DOCS / name: filled(_DOCS / name, own) for name, own in tables.items()}


if __name__ == "__main__":
    for page, text in pages().items():
        page.write_text(text, encoding="utf-8")
