"""Writes the tables of docs/kernels.md, and docs/widths.svg, from bench/baseline.json: python -m bench.page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.baseline import known
from bench.cifar import LAYERS
from bench.targets import CIFAR, NETWORKS, TARGETS, WIDTHS
from bitflow.boards import board
from bitflow.cores import core_of
from bitflow.ir import PackedLayer
from bitflow.planner.code_size import CODE_PARTS, CodePart
from bitflow.planner.kernels.table import KERNELS
from bitflow.show.counts import int8_instructions
from bitflow.synthetic.single_layers import parse, single_layer

__all__ = ["PAGE", "PLOT", "filled", "write"]

SMALL_NETWORK = frozenset({"bf_input_sums_lite", "bf_conv_patterns_16_lite", "bf_conv_plain_lite"})
PAGE = Path(__file__).parents[1] / "docs" / "kernels.md"
PLOT = PAGE.with_name("widths.svg")

# What stops a row from what it should reach, by its kernel.
_LIMITS = {
    "patterns_8": "fetching an entry, fetching its plane and adding it is nearly all there is; the rest is comparison, "
    "planes and filled-up lists",
    "patterns_16": "as with 8 bits",
    "patterns_1": "the lists are made anew in every run",
    "set_bits": "every input that is 1 is listed, and its weights added for 32 filters at a time",
    "input_sums": "a load and an addition for two positions and each table are most of it; then the tables",
}


def _layer(text: str) -> PackedLayer:
    network = single_layer(parse(text), seed=1)
    return next(layer for layer in network.layers if layer.name == "layer")


def _targets(counted: dict[str, list[int]]) -> list[str]:
    lines = [
        "| command | MAC per instruction | must | aim | int8 takes | to the aim |",
        "|---|---|---|---|---|---|",
    ]
    plain = {target.layer: counted[target.key][0] for target in TARGETS if target.kernel == "patterns_8"}
    for target in TARGETS:
        instructions, macs = counted[target.key]
        reached = macs / instructions
        int8 = int8_instructions(core_of(board(target.board).cpu).name, _layer(target.layer))
        text = f"{reached:.2f}"
        if target.layer.endswith("/p0"):
            more = instructions / plain[target.layer.removesuffix("/p0")] - 1
            text += f" ({more:+.1%} for exact zeros)"
        if target.kernel == "input_sums":
            text += f" ({1 / reached:.3f} instructions a MAC)"
        lines.append(
            f"| `{target.command.removeprefix('bitflow ')}` | {text} | {target.must:.4g} | {target.aim:.4g} | "
            f"{'' if int8 is None else f'{int8 / instructions:.1f} times as many'} | "
            f"{'reached' if reached >= target.aim else _LIMITS[target.kernel]} |"
        )
    return lines


def _widths(counted: dict[str, list[int]]) -> list[str]:
    rates = {int(re.search(r"x(\d+)x", t.layer)[1]): counted[t.key] for t in WIDTHS}  # type: ignore[index]
    cells = [f"{width}: {macs / instructions:.2f}" for width, (instructions, macs) in rates.items()]
    return [
        "| " + " | ".join(cells[i : i + 9]) + " |" + ("\n|" + "---|" * 9 if i == 0 else "") for i in range(0, 36, 9)
    ]


def _networks(found: dict[str, list[dict[str, Any]]]) -> list[str]:
    lines = []
    for name, what in NETWORKS.items():
        *layers, total = found[name]
        lines += [
            f"`{name}`: {what}, {total['instructions']:,} instructions.",
            "",
            "| layer | kernel | MACs | instructions | share | MAC per instruction |",
            "|---|---|---|---|---|---|",
        ]
        for layer in layers:
            share = layer["instructions"] / total["instructions"]
            rate = layer["macs"] / layer["instructions"]
            counts = f"{layer['macs']:,} | {layer['instructions']:,}"
            lines.append(f"| {layer['name']} | {layer['kernel']} | {counts} | {share:.1%} | {rate:.2f} |")
        lines.append("")
    return lines[:-1]


def _alone(measured: dict[str, Any]) -> list[str]:
    *layers, total = measured["networks"][CIFAR]
    sum_alone = sum(measured["cifar_alone"]) + layers[-1]["instructions"]
    texts = ", ".join(f"`{text}`" for text in LAYERS)
    times = total["instructions"] / sum_alone
    return [
        f"Its convolutions alone, without pools (`bitflow bench --layer` for {texts}), and its dense layer take",
        f"{sum_alone:,} together: the whole takes {times:.3f} times as many (must 1.10, aim 1.03).",
    ]


def _code() -> list[str]:
    rows = [
        f"| {part.name} | {' | '.join(f'{size:,}' for size in part.bytes)} | {_kernels(part)} |" for part in CODE_PARTS
    ]
    totals = {"all": CODE_PARTS, "a small network": [part for part in CODE_PARTS if part.symbols & SMALL_NETWORK]}
    sums = {name: [sum(part.bytes[core] for part in parts) for core in range(3)] for name, parts in totals.items()}
    return [
        "| part | ARMv6-M | ARMv7-M | MVE | linked for |",
        "|---|---|---|---|---|",
        *rows,
        *(f"| {name} | {' | '.join(f'{size:,}' for size in sizes)} | |" for name, sizes in sums.items()),
    ]


def _kernels(part: CodePart) -> str:
    """Who needs it; where that is one form of a kernel, its name."""
    if all(part.symbols & set(kernel.symbols) for kernel in KERNELS.values()):
        return "every network"
    found = []
    for kernel in KERNELS.values():
        forms = [form for form in kernel.symbols if form in part.symbols]
        found += [kernel.name] if len(forms) == len(kernel.symbols) else forms
    return ", ".join(found)


def write() -> str:
    """The page with fresh tables."""
    (compiler, measured), *_ = known().items()
    tables = {
        "targets": _targets(measured["layers"]),
        "widths": _widths(measured["layers"]),
        "networks": _networks(measured["networks"]),
        "code": _code(),
        "alone": _alone(measured),
        "compiler": [f"Counts are those of code from {compiler}."],
    }
    return filled(PAGE, tables)


def filled(page: Path, tables: Mapping[str, Sequence[str]]) -> str:
    """The text of a page with the lines of each table between its marks."""
    text = page.read_text(encoding="utf-8")
    for name, lines in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        body = "\n".join(lines)
        text, n = re.subn(pattern, rf"\g<1>{body}\n\g<2>", text, flags=re.DOTALL)
        assert n == 1, f"{page} has no place for {name}"
    return text


def plot() -> None:
    """The widths as a picture."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    (_, measured), *_ = known().items()
    rates = [measured["layers"][t.key] for t in WIDTHS]
    figure = Figure(figsize=(7.0, 2.6), layout="constrained")
    axes = figure.add_subplot()
    axes.plot(
        range(5, 41), [macs / instructions for instructions, macs in rates], marker="o", markersize=3, color="#0072b2"
    )
    axes.set_ylim(0)
    axes.set_xlabel("width of the map")
    axes.set_ylabel("MAC per instruction")
    axes.set_title("conv3x3:16xWx32-32 on qemu-m4, 8-bit lists")
    axes.spines[["top", "right"]].set_visible(False)
    with rc_context({"svg.hashsalt": PLOT.name}):  # the same bytes every time
        figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    PAGE.write_text(write(), encoding="utf-8")
    plot()
