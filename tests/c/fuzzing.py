"""Builds and runs the fuzz target. `python -m tests.c.fuzzing 1000000` runs that many images with sanitizers.

Half of them on lanes of 32 bits, half on lanes of 128 bits.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import numpy as np
from tests.c import hostile
from tests.c.compiling import HERE, compile_c, sources
from tests.c.every_kind import every_kind
from tests.c.hostile_plans import ignored
from tests.c.planned import plan_of, planned_network

from bitflow.cores import CORES
from bitflow.geometry import Pool, Shape, Window
from bitflow.image.bfn import Image
from bitflow.ir import LayerKind
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.patterns import grouping
from bitflow.synthetic.layer_plans import every_plan
from bitflow.synthetic.networks import SEEDS, random_network
from bitflow.synthetic.single_layers import MEASURED, Spec, random_spec, single_layer

__all__ = ["LARGEST", "build", "run", "write_seeds"]

LARGEST = 7168  # bytes of an image and its plan: larger ones only make the fuzzer slower
LAYERS = 60  # single layers that seeds are taken of

SANITIZERS = ("-g", "-O1", "-fsanitize=fuzzer,address,undefined", "-fno-sanitize-recover=all")


def build(target: Path, *flags: str) -> None:
    """Compile fuzz_open.c and the C library with clang's fuzzer and sanitizers."""
    compile_c(("clang", *SANITIZERS, *flags), target, [*sources(), str(HERE / "fuzz_open.c")])


def planned_seeds(lane_words: int) -> Iterator[bytes]:
    """Images with plans: small layers, each by every kernel that it can have."""
    network = planned_network()
    yield Image.of(network).data + plan_format.encode(network, plan_of(network, lane_words))
    core = replace(CORES["mve" if lane_words == 4 else "v7m"], lists8=True)
    for seed in range(LAYERS):
        spec = random_spec(seed)
        if spec.conv_map.size * spec.source.channels * spec.window.kernel[0] * spec.window.kernel[1] > 100_000:
            continue
        network = single_layer(spec, seed)
        own = Image.of(network).data
        for _, plan in every_plan(network, core):
            yield own + plan_format.encode(network, plan)


def corner_seeds(lane_words: int) -> Iterator[bytes]:
    """What random layers seldom are: with wide pools, with copies of few or many columns, with rows of whole words of
    pixels, with memory for all planes but not for all lists, with inputs of which nearly all are 1.
    """
    borders = Window((7, 7), (1, 1), (3, 3, 3, 3))  # more zones of columns than border patterns that lanes tell apart
    yield Image.of(single_layer(Spec(LayerKind.CONV, Shape(8, 8, 1), 4, borders, pad_value=0), 0)).data
    rows_of_words = Spec(LayerKind.INPUT_CONV, Shape(2, 32, 1), 4, Window((1, 1)))
    yield Image.of(single_layer(rows_of_words, 0)).data
    same = (1, 1, 1, 1)
    specs = (
        (Spec(LayerKind.CONV, Shape(3, 19, 3), 4, Window((3, 3), (2, 2), same)), Kernel.PATTERNS_16),
        (Spec(LayerKind.CONV, Shape(2, 40, 3), 4, Window((1, 1)), pool=Pool(Window((2, 33)))), Kernel.PATTERNS_8),
        (Spec(LayerKind.CONV, Shape(3, 40, 2), 4, Window((3, 3), (2, 2), same)), Kernel.PATTERNS_16),
        (
            Spec(LayerKind.CONV, Shape(4, 9, 2), 4, Window((1, 1)), pool=Pool(Window((2, 2), (3, 3)))),
            Kernel.PATTERNS_16,
        ),
        (Spec(LayerKind.CONV, Shape(3, 40, 2), 4, Window((3, 3))), Kernel.PATTERNS_16),
        (Spec(LayerKind.CONV, Shape(9, 7, 2), 4, Window((3, 4))), Kernel.PATTERNS_16),
        (Spec(LayerKind.CONV, Shape(5 * lane_words, 8, 4), 64, Window((1, 1))), Kernel.PATTERNS_1),
        (Spec(LayerKind.CONV, Shape(2, 2, 40), 4, Window((1, 1))), Kernel.SET_BITS),
    )
    for spec, kernel in specs:
        network = single_layer(spec, 0)
        stem = network.layers[0]
        ones = replace(stem, shift=np.full(stem.target.channels, stem.bound, dtype=np.int32))
        network = replace(network, layers=(ones, *network.layers[1:]))
        plan = plan_of(network, lane_words, {MEASURED: kernel}, 800 * lane_words)
        yield Image.of(network).data + plan_format.encode(network, plan)


def write_seeds(folder: Path, lane_words: int = 1) -> None:
    """Valid images of every layer kind, with plans for every kernel, and one image for every refusal."""
    folder.mkdir(parents=True, exist_ok=True)
    # Every twelfth: its first layer has one threshold, which fast kernels take.
    seeds = {*range(0, SEEDS, 5), *range(1, SEEDS, 12)}
    networks = [pack(fuse(random_network(seed))) for seed in sorted(seeds)]
    networks += [every_kind(seed, channels) for seed, channels in enumerate((2, 4, 6, 6))]
    found = [Image.of(network).data for network in networks]
    with patch.object(grouping, "TRIES", 20):
        found += [*planned_seeds(lane_words), *corner_seeds(lane_words)]
    for index, data in enumerate(found):
        if len(data) <= LARGEST:
            (folder / f"valid-{index}").write_bytes(data)
    for name, data in ignored():
        (folder / name.replace(" ", "-")).write_bytes(data)
    for name, data, _ in hostile.cases():
        with (folder / name.replace(" ", "-")).open("xb") as file:  # no two of one name
            file.write(data)


def run(target: Path, seeds: Path, runs: int, *options: str) -> None:
    """Run from a fixed seed; raises CalledProcessError when the fuzzer finds something, and shows what it says."""
    command = [target, f"-runs={runs}", "-seed=1", f"-max_len={LARGEST}", "-print_final_stats=1", *options, seeds]
    subprocess.run(command, check=True, cwd=target.parent)


def main() -> None:
    """Command line: the number of images."""
    for lane_words in (1, 4):
        folder = Path(".bitflow") / f"fuzz-{lane_words}"
        shutil.rmtree(folder / "seeds", ignore_errors=True)
        write_seeds(folder / "seeds", lane_words)
        build((folder / "fuzz").resolve(), f"-DBF_LANE_WORDS={lane_words}")
        run((folder / "fuzz").resolve(), (folder / "seeds").resolve(), int(sys.argv[1]) // 2)


if __name__ == "__main__":
    main()
