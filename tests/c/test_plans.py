"""Plans in the C library: the same words as without, on the host and on emulated cores; which it must leave alone."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from tests.c import hostile_plans
from tests.c.compiling import HERE, SANITIZERS, arm_sources, compile_c, run_emulated, sources
from tests.c.planned import plan_of, planned_network
from tests.c.test_adders import ARM, CORES
from tests.c.test_library import opened

from bitflow.emit.text import rows
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.planner import plan_format
from bitflow.planner.kernels.spec import Kernel
from bitflow.planner.patterns.geometry import PATTERNS, geometry_of
from bitflow.planner.plan import default_plan

INPUTS = 3


def written(folder: Path) -> Path:
    """planned.h, as plans.c reads it."""
    network = planned_network()
    inputs = random_images(network.input_spec, INPUTS, 5)
    trace = run_packed(network, inputs)
    own = Image.of(network).data
    hidden = np.concatenate([h.view(np.uint32).reshape(INPUTS, -1) for h in trace.hidden], axis=1)
    text = ["#include <stdint.h>\n"]
    for number, lane_words in enumerate((1, 4)):
        plan = plan_of(network, lane_words)
        before = default_plan(network, lane_words).arena_bytes
        found = plan_format.encode(network, plan)
        text += [
            f"#{'elif' if number else 'if'} BF_LANE_WORDS == {lane_words}",
            f"static const uint8_t planned_bytes[] = {{{' '.join(rows(np.frombuffer(own + found, np.uint8), 1000))}}};",
            f"#define PLANNED_ARENA_BYTES {plan.arena_bytes}u",
            f"#define PLANNED_ARENA_BYTES_WITHOUT {before}u",
            f"#define PLANNED_ARENA_WORDS {max(plan.arena_bytes, before) // 4}u",
            f"#define PLANNED_AN_ENTRY {an_entry(found, lane_words)}u",
        ]
    text += [
        "#endif",
        f"#define PLANNED_IMAGE_BYTES {len(own)}u",
        f"#define PLANNED_LAYERS {len(network.layers)}u",
        f"#define PLANNED_INPUTS {INPUTS}u",
        f"#define PLANNED_CLASSES {network.classes}u",
        f"#define PLANNED_HIDDEN_WORDS {max(h[0].size for h in trace.hidden)}u",
        f"static const uint8_t planned_inputs[][{inputs[0].size}] = {{",
        *("{" + " ".join(rows(i.reshape(-1).view(np.uint8), 1000)) + "}," for i in inputs),
        f"}};\nstatic const uint32_t planned_hidden[][{hidden.shape[1]}] = {{",
        *("{" + " ".join(rows(h, 1000)) + "}," for h in hidden),
        f"}};\nstatic const int32_t planned_scores[][{network.classes}] = {{",
        *("{" + " ".join(rows(s)) + "}," for s in trace.scores),
        "};",
    ]
    (folder / "planned.h").write_text("\n".join(text) + "\n")
    return folder


def an_entry(plan: bytes, lane_words: int) -> int:
    """Offset of the first entry of the lists of the layer "exact"."""
    layer = planned_network().layers[1]
    entry_bits = 8 if hostile_plans.KERNELS[layer.name] is Kernel.PATTERNS_8 else 16
    g = geometry_of(layer, entry_bits, lane_words)
    at = hostile_plans.chosen(plan, layer.name, "data") + 4 * g.record_words * g.quads
    for _ in range(PATTERNS):
        if plan[at] | plan[at + 1]:
            break
        at += 2
    return at + 2


@pytest.mark.parametrize("lane_words", [1, 4])
@pytest.mark.parametrize("compiler", [("gcc", *SANITIZERS), ("clang", *SANITIZERS)], ids=["gcc", "clang"])
def test_plan_must_hold_on_the_host(tmp_path, compiler, lane_words):
    flags = (*compiler, f"-DBF_LANE_WORDS={lane_words}")
    compile_c(flags, tmp_path / "plans", [*sources(), str(HERE / "plans.c")], written(tmp_path))
    done = subprocess.run([tmp_path / "plans"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 failures\n"), done.stderr


@pytest.mark.parametrize("cpu", ["cortex-m0", "cortex-m4", "cortex-m55"])
def test_plan_must_hold_on_an_emulated_core(tmp_path, cpu):
    machine, flags = CORES[cpu]
    files = [*arm_sources(), str(HERE / "plans.c"), str(HERE / "vectors.c")]
    compile_c((*ARM, f"-mcpu={cpu}", *flags), tmp_path / "plans.elf", files, written(tmp_path))
    assert run_emulated(tmp_path / "plans.elf", machine) == (0, "0 failures\n")


@pytest.mark.parametrize("data", [c[1] for c in hostile_plans.ignored()], ids=[c[0] for c in hostile_plans.ignored()])
def test_plan_for_others_must_be_left_alone(data):
    assert opened(data) == default_plan(planned_network()).arena_bytes
