"""Instruction counts repeat, are checked, and MicroPython costs little beside them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitflow.deploy import micropython_source as sources
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.image.bfn import save
from bitflow.ir import BinaryDense, InputConv, Layer, Network, Sign
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

COMMAND = [sys.executable, "-c", "from bitflow.cli.app import main; main()"]


def bench(folder: Path, *arguments: str) -> dict[str, Any]:
    command = [*COMMAND, "bench", *arguments, "--board", "qemu-m4", "--json"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert found.returncode == 0, found.stderr
    facts = json.loads(found.stdout)
    assert isinstance(facts, dict)
    return facts


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with tiny.bfn: two layers of next to nothing, so that what surrounds a run is all that is counted."""
    place = tmp_path_factory.mktemp("bench")
    input_spec = InputSpec(Shape(2, 2, 1))
    first = InputConv(input_spec.shape, np.ones((4, 2, 2, 1), np.int8), Window((2, 2)), input_spec)
    last = BinaryDense(Shape(1, 1, 4), np.ones((2, 1, 1, 4), np.int8))
    layers = (Layer("first", first, (Sign(),)), Layer("last", last))
    save(pack(fuse(Network("tiny", input_spec, layers))), place / "tiny.bfn")
    return place


@pytest.fixture(scope="module")
def toolchain() -> None:
    """MicroPython's sources and tools; other tests may have brought them already."""
    sources.setup()


def test_bench_must_repeat_and_cover_the_layers(folder: Path) -> None:
    first, second = (bench(folder, "builtin:digits") for _ in range(2))
    assert first == second
    assert first["checked"] is True
    assert sum(layer["instructions"] for layer in first["layers"]) == pytest.approx(first["instructions"], rel=0.01)
    assert {"name", "kind", "macs", "instructions", "kernel"} <= first["layers"][0].keys()
    assert all(layer["int8_instructions"] is None for layer in first["layers"])


def test_a_layer_alone_must_be_shown_beside_int8(folder: Path) -> None:
    [layer] = bench(folder, "--layer", "dense:64-32")["layers"]
    assert layer["int8_instructions"] == round(1.924 * 64 * 32)


@pytest.mark.usefixtures("toolchain")
def test_micropython_must_cost_at_most_a_twentieth_more(folder: Path) -> None:
    facts = bench(folder, "builtin:digits", "--runtime", "micropython")
    assert facts["checked"] is True
    assert facts["micropython_instructions"] <= 1.05 * facts["instructions"]


@pytest.mark.usefixtures("toolchain")
def test_micropython_must_add_less_than_2000_instructions_to_a_call(folder: Path) -> None:
    facts = bench(folder, "tiny.bfn", "--runtime", "micropython")
    assert facts["checked"] is True
    assert 0 < facts["micropython_instructions"] - facts["instructions"] < 2000


def test_bench_must_refuse_a_board_that_is_not_emulated(folder: Path) -> None:
    command = [*COMMAND, "bench", "builtin:digits", "--board", "stm32h7"]
    found = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
    assert (found.returncode, found.stdout) == (2, "")
    assert "is not emulated" in found.stderr
