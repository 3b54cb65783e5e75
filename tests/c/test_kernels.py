"""Every kernel of the C library, with sanitizers, on random layers: each map and score is the NumPy reference's."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note, settings
from tests.c.compiling import HERE, SANITIZERS, compile_c, sources
from tests.c.test_random import run
from tests.synthetic.specs import specs
from tests.tiers import parts

from bitflow.cores import CORES
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import Kernel
from bitflow.synthetic.layer_plans import every_plan
from bitflow.synthetic.single_layers import Spec, random_spec, single_layer, typical_spec

LAYERS = 300
STREAM = 140
FIRST = 64  # a seed whose layer takes pixels
IMAGES = 3
WIDTHS = {1: "v7m", 4: "mve"}


@pytest.fixture(scope="module", params=[1, 4], ids=["lanes of 32 bits", "lanes of 128 bits"])
def stream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """The program that compares, with sanitizers, and its words in a lane."""
    program = tmp_path_factory.mktemp("kernels") / "stream"
    flags = ("gcc", *SANITIZERS, f"-DBF_LANE_WORDS={request.param}")
    compile_c(flags, program, [*sources(), str(HERE / "stream.c")])
    return program, request.param


def cases(spec: Spec, seed: int, lane_words: int) -> tuple[bytes, list[Kernel]]:
    """A layer with each of its kernels, as stream.c reads it, and the kernels."""
    network = single_layer(spec, seed)
    images = random_images(network.input_spec, IMAGES, seed)
    trace = run_packed(network, images)
    rows = [np.ascontiguousarray(a).view(np.uint32).reshape(IMAGES, -1) for a in (*trace.hidden, trace.scores)]
    expected = images.tobytes() + np.concatenate(rows, axis=1).tobytes()
    data, kernels = b"", []
    for kernel, plan in every_plan(network, replace(CORES[WIDTHS[lane_words]], lists8=True)):
        own = Image.of(network).data + plan_format.encode(network, plan)
        data += struct.pack("<II", len(own), IMAGES) + own + expected
        kernels.append(kernel)
    return data, kernels


def typical_small(seed: int) -> Spec:
    """A typical layer that is not too large for a reference in NumPy."""
    return next(
        spec for spec in map(typical_spec, range(seed * 1000, seed * 1000 + 1000))
        if spec.conv_map.size * spec.source.channels * spec.window.kernel[0] ** 2 < 2_000_000
    )  # fmt: skip


def layer(seed: int) -> Spec:
    return (typical_small, random_spec)[seed % 4 > 0](seed)


@pytest.mark.parametrize("seeds", parts(LAYERS, STREAM, also=(FIRST,)))
@pytest.mark.usefixtures("few_tries")
def test_every_kernel_must_give_the_reference_s_words(stream: tuple[Path, int], seeds: Sequence[int]) -> None:
    """The sample has each kernel."""
    program, lane_words = stream
    found = {seed: cases(layer(seed), seed, lane_words) for seed in seeds}
    wrong = {}
    for seed, (data, kernels) in found.items():
        said = run(program, data)
        if said != (0, f"{len(kernels)} networks\n"):
            wrong[seed] = said[1]
    assert wrong == {}
    if FIRST not in seeds:
        return
    ran = {kernel for _, kernels in found.values() for kernel in kernels}
    assert ran >= {Kernel.INPUT_SUMS, Kernel.INPUT_PLAIN, Kernel.PATTERNS_16, Kernel.PATTERNS_8, Kernel.PATTERNS_1,
                   Kernel.SET_BITS, Kernel.CONV_PLAIN}  # fmt: skip


@settings(max_examples=100)
@given(spec=specs())
@pytest.mark.usefixtures("few_tries")
def test_any_layer_must_give_the_reference_s_words(stream: tuple[Path, int], spec: Spec) -> None:
    program, lane_words = stream
    data, kernels = cases(spec, 1, lane_words)
    note(f"{spec} by {[kernel.name for kernel in kernels]}")
    assert run(program, data) == (0, f"{len(kernels)} networks\n")
