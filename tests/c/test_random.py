"""Thousands of random networks through the C library with sanitizers: each map and score is the NumPy reference's."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, note, settings
from tests.c.compiling import HERE, SANITIZERS, compile_c, sources
from tests.synthetic.recipes import recipes
from tests.tiers import parts

from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import Recipe, cook, recipe_of

NETWORKS = 2000
STREAM = 220  # networks that one test takes
IMAGES = 5


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program that compares, with sanitizers."""
    program = tmp_path_factory.mktemp("stream") / "stream"
    compile_c(("gcc", *SANITIZERS), program, [*sources(), str(HERE / "stream.c")])
    return program


def framed(network: PackedNetwork, seed: int, plan: bytes = b"") -> bytes:
    """A network with inputs and what they must give, as stream.c reads it."""
    images = random_images(network.input_spec, IMAGES, seed)
    trace = run_packed(network, images)
    data = Image.of(network).data + plan
    rows = [np.ascontiguousarray(a).view(np.uint32).reshape(IMAGES, -1) for a in (*trace.hidden, trace.scores)]
    return struct.pack("<II", len(data), IMAGES) + data + images.tobytes() + np.concatenate(rows, axis=1).tobytes()


def case(recipe: Recipe) -> bytes:
    return framed(pack(fuse(cook(recipe))), recipe.seed)


def run(program: Path, cases: bytes) -> tuple[int, str]:
    done = subprocess.run([program], input=cases, capture_output=True, check=False)
    return done.returncode, (done.stdout + done.stderr).decode()


def differences(program: Path, seeds: Sequence[int]) -> dict[int, str]:
    """What the library says of the networks of some seeds, by the seeds of which it is not "equal"."""
    code, words = run(program, b"".join(case(recipe_of(seed)) for seed in seeds))
    if (code, words) == (0, f"{len(seeds)} networks\n"):
        return {}
    found = {seed: run(program, case(recipe_of(seed))) for seed in seeds}
    return {seed: words for seed, (code, words) in found.items() if (code, words) != (0, "1 networks\n")} or {
        -1: words  # only together
    }


@pytest.mark.parametrize("seeds", parts(NETWORKS, STREAM))
def test_random_networks_must_give_the_reference_s_words(stream: Path, seeds: Sequence[int]) -> None:
    assert differences(stream, seeds) == {}


@settings(max_examples=100)
@given(recipe=recipes())
def test_any_recipe_must_give_the_reference_s_words(stream: Path, recipe: Recipe) -> None:
    note(f"cook({recipe})")
    assert run(stream, case(recipe)) == (0, "1 networks\n")


def test_one_wrong_word_must_be_named(stream: Path) -> None:
    spoiled = bytearray(case(recipe_of(7)))
    spoiled[-1] ^= 1  # of the last score
    code, words = run(stream, bytes(spoiled))
    assert code == 1
    assert words.startswith(f"random-7: input {IMAGES - 1}, layer scores, word ")
