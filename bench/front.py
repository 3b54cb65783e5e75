"""BitFlow's networks beside int8 ones of about their accuracy: docs/compare.md, its tables and its chart.

python -m bench.front                                             prints what was counted, writes page and chart
python -m bench.front bitflow-hands signs:hands [--images 100]    counts a kept network anew before

A network's accuracy is the mean of the seeds in bench/recipes.json. Instructions are the mean of the first test images,
on emulated boards; the scores of each are compared with those of the C library on this computer. Flash and RAM are
those of `bitflow report`. Writes bench/front.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench import recipes
from bench.measure import ROOT, running
from bench.page import filled
from bench.rivals import INT8, RIVALS, Rival
from bitflow import project, resources
from bitflow.boards import board
from bitflow.cli.model import host_scores
from bitflow.image.bfn import Image, load
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import load_data
from bitflow.planner import plan_format
from bitflow.planner.choice import Objective
from bitflow.planner.for_board import plan_for
from bitflow.show.report import report

__all__ = ["PAGE", "README", "ROWS", "count", "file_of", "known", "readme", "write"]

PAGE = Path(__file__).parents[1] / "docs" / "compare.md"
CHART = PAGE.with_name("compare.svg")
README = ROOT / "README.md"
RESULTS = Path(__file__).with_name("front.json")

BOARDS = {"M4": "qemu-m4", "M0": "qemu-m0-4m", "M55": "qemu-m55"}
_OBJECTIVES: tuple[Objective, ...] = ("balanced", "speed")
_BITFLOW = "BitFlow"


@dataclass(frozen=True, slots=True)
class Row:
    """A network of ours on the page.

    data: title of its table. recipe: name in bench/recipes.json, "NETWORK DATA".
    rival: the network in bench/rivals.py of about its accuracy, which the README shows beside it; "": neither is there.
    """

    data: str
    recipe: str
    rival: str = ""

    @property
    def network(self) -> str:
        return self.recipe.split(" ")[0]


ROWS = (
    Row("digits", "bitflow-tiny digits", "conv3:8 conv3s2:16 conv3p0:24 fc"),
    Row("MNIST", "bitflow-lenet idx:mnist", "conv6s4p1:12 conv3p0:16 conv3p0:24 fc"),
    Row("MNIST", "bitflow-lenet-deep idx:mnist"),
    Row("hands", "bitflow-hands signs:hands", "conv3s4:8 conv3s2:16 conv3s2:24 conv3:32 fc"),
    Row("sound", "bitflow-sound sound:kws01_1000_int8_49x10.npz", "conv5s2:16 conv3s2:32 conv3s2:48 fc"),
)


def known() -> dict[str, Any]:
    """What was counted: by recipe and objective, then by board."""
    return json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.exists() else {}


def file_of(row: Row) -> Path:
    """The network that is kept; that of digits is in the package."""
    if row.data == "digits":
        return resources.builtin_model("digits")
    return ROOT / str(recipes.known()[row.recipe]["kept"]["file"])


# ---- Counting. ----


def count(network: PackedNetwork, images: Any, board_name: str, objective: Objective) -> dict[str, int]:
    """Mean instructions of a run on an emulated board; flash and RAM of network and library, bytes."""
    target = board(board_name)
    plan = plan_for(network, target, objective)
    with tempfile.TemporaryDirectory() as folder, running(target, Path(folder)) as device:
        device.load(Image.of(network).data, plan_format.encode(network, plan))
        runs = list(device.run(images))
        instructions = statistics.mean(device.instructions(run.ticks) for run in runs)
    assert np.array_equal([run.scores for run in runs], host_scores(network, images, "c")), "other scores"
    costs = report(network, board_name, plan)
    return {"instructions": round(instructions), "flash": costs.flash_bytes, "ram": costs.peak_ram_bytes}


def measure(row: Row, source: str, images: int) -> dict[str, Any]:
    """What a row's network takes, by objective and board."""
    size = recipes.known()[row.recipe]["size"]
    data = load_data(source, project.parse_size(size) if size else None)
    pictures = np.asarray(data.test.images[np.arange(min(images, len(data.test)))])
    network = load(file_of(row))
    return {
        objective: {core: count(network, pictures, name, objective) for core, name in BOARDS.items()}
        for objective in _OBJECTIVES
    }


# ---- The page. ----


def _accuracies(row: Row) -> list[float]:
    return [100 * run["test_accuracy"] for run in recipes.known()[row.recipe]["runs"].values()]


def _number(value: int | None) -> str:
    return "" if value is None else f"{value:,}"


def _rival(rival: Rival) -> str:
    accuracy = f"{rival.accuracy:.2f}"
    if rival.seeds:
        seeds = "one seed" if rival.seeds == 1 else f"{rival.seeds} seeds"
        accuracy += f" ({rival.spread}, {seeds})" if rival.spread else f" ({seeds})"
    return f"| {rival.kind} | `{rival.network}` | {_known(rival, accuracy)} | {' | '.join(map(_number, rival.costs))} |"


def _known(rival: Rival, accuracy: str) -> str:
    """An accuracy, or the spread where nothing else is known."""
    return accuracy if rival.seeds or not rival.spread else rival.spread


def _costs(found: dict[str, Any]) -> list[int]:
    """The columns of a table, as Rival.costs has them."""
    return [found[core]["instructions"] for core in BOARDS] + [found["M4"]["flash"], found["M4"]["ram"]]


def _own(row: Row, objective: Objective, found: dict[str, Any]) -> str:
    accuracies = _accuracies(row)
    seeds = "one seed" if len(accuracies) == 1 else f"{len(accuracies)} seeds"
    spread = f"{min(accuracies):.2f} to {max(accuracies):.2f}, {seeds}" if len(accuracies) > 1 else seeds
    return (
        f"| **{_BITFLOW}**, {objective} | `{row.network}` | {statistics.mean(accuracies):.2f} ({spread}) | "
        f"{' | '.join(map(_number, _costs(found[objective])))} |"
    )


def table(data: str) -> list[str]:
    """The rows of a data set: ours, and those of others."""
    lines = [
        "| kind | network | test accuracy, % | M4 | M0 | M55 | flash | RAM |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if row.data == data and row.recipe in known():
            lines += [_own(row, objective, known()[row.recipe]) for objective in _OBJECTIVES]
    return lines + [_rival(rival) for rival in RIVALS if rival.data == data]


def _titles() -> list[str]:
    return list(dict.fromkeys(row.data for row in ROWS))


def write() -> str:
    """The page with fresh tables."""
    return filled(PAGE, {data: table(data) for data in _titles()})


def readme() -> str:
    """The README with a fresh table: default builds beside the int8 networks of about their accuracy."""
    lines = [
        "| data | network | accuracy, % | M4 | M0 | M55 | flash | RAM |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        for rival in RIVALS:
            if (rival.data, rival.network) == (row.data, row.rival):
                own, others = _costs(known()[row.recipe]["balanced"]), rival.costs
                theirs = _known(rival, f"{rival.accuracy:.2f}")
                accuracy = statistics.mean(_accuracies(row))
                lines.append(
                    f"| {row.data} | BitFlow `{row.network}` | {accuracy:.2f} | {' | '.join(map(_number, own))} |"
                )
                lines.append(f"| | int8, CMSIS-NN | {theirs} | {' | '.join(map(_number, others))} |")
    return filled(README, {"front": lines})


def printed() -> str:
    """What was counted, for a terminal."""
    lines = []
    for row in ROWS:
        for objective, costs in known().get(row.recipe, {}).items():
            accuracy = statistics.mean(_accuracies(row))
            counts = "  ".join(f"{core} {own['instructions']:,}" for core, own in costs.items())
            memory = f"flash {costs['M4']['flash']:,}  RAM {costs['M4']['ram']:,}"
            lines.append(f"{row.data:7} {row.network:20} {accuracy:.2f} %  {objective:9} {counts}  {memory}")
    return "\n".join(lines)


# ---- The chart. ----

_COLUMNS = {
    "M4": "instructions, Cortex-M4",
    "M0": "instructions, Cortex-M0",
    "flash": "bytes of flash",
    "ram": "bytes of RAM",
}
_COLOURS = {_BITFLOW: ("#0072b2", "o"), INT8: ("#e69f00", "s"), "BitNetMCU": ("#009e73", "^")}


def _points(data: str, column: str) -> list[tuple[str, float, int]]:
    """Kind, accuracy and cost of each network of a data set."""
    found: list[tuple[str, float, int]] = []
    for row in ROWS:
        if row.data == data and row.recipe in known():
            costs = known()[row.recipe]["balanced"]
            cost = costs[column]["instructions"] if column in BOARDS else costs["M4"][column]
            found.append((_BITFLOW, statistics.mean(_accuracies(row)), cost))
    for rival in RIVALS:
        cost = {"M4": rival.m4, "M0": rival.m0, "flash": rival.flash, "ram": rival.ram}[column]
        if rival.data == data and cost is not None:
            found.append((rival.kind, rival.accuracy, cost))
    return found


def draw() -> None:
    """Accuracy against instructions, flash and RAM, a row of panels for each data set."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    titles = _titles()
    figure = Figure(figsize=(11.0, 2.5 * len(titles)), layout="constrained")
    panels = figure.subplots(len(titles), len(_COLUMNS), sharey="row", squeeze=False)
    for line, data in zip(panels, titles, strict=True):
        for axes, (column, text) in zip(line, _COLUMNS.items(), strict=True):
            for kind, (colour, marker) in _COLOURS.items():
                own = [(cost, accuracy) for name, accuracy, cost in _points(data, column) if name == kind]
                axes.scatter(
                    *zip(*own, strict=True) if own else ((), ()), color=colour, marker=marker, s=36, label=kind
                )
            if not _points(data, column):
                axes.set_axis_off()
                continue
            axes.set_xlim(0, 1.15 * max(cost for _, _, cost in _points(data, column)))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            axes.xaxis.set_major_formatter(FuncFormatter(_short))
            axes.margins(y=0.2)
            axes.set_axisbelow(True)
            axes.grid(color="#dddddd", linewidth=0.6)
            axes.spines[["top", "right"]].set_visible(False)
            axes.tick_params(labelsize=8)
            axes.set_xlabel(text, fontsize=9)
        line[0].set_ylabel(f"{data}\ntest accuracy, %", fontsize=9)
    handles, labels = panels[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(labels), frameon=False, fontsize=9)
    with rc_context({"svg.hashsalt": CHART.name}):  # the same bytes every time
        figure.savefig(CHART, metadata={"Date": None})


def _short(value: float, _: object) -> str:
    return "0" if value == 0 else f"{value / 1e6:g} M" if value >= 1e6 else f"{value / 1e3:g} k"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="?", help="of a recipe")
    parser.add_argument("data", nargs="?")
    parser.add_argument("--images", type=int, default=100)
    asked = parser.parse_args()
    if asked.network is not None:
        name = f"{asked.network} {recipes.short(asked.data)}"
        row = next(row for row in ROWS if row.recipe == name)
        results = known() | {name: measure(row, asked.data, asked.images)}
        RESULTS.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    PAGE.write_text(write(), encoding="utf-8")
    README.write_text(readme(), encoding="utf-8")
    draw()
    print(printed())


if __name__ == "__main__":
    main()
