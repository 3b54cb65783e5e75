"""The fast first layer: random layers against the definition, natively with sanitizers and on emulated cores."""

from __future__ import annotations

import subprocess

import pytest
from tests.c.compiling import HERE, SANITIZERS, arm_sources, compile_c, run_emulated, sources
from tests.c.test_library import ARM

FILE = str(HERE / "input_sums.c")


@pytest.mark.parametrize("layers", [300, pytest.param(1500, marks=pytest.mark.long)])
@pytest.mark.parametrize(("compiler", "lane_words"), [("gcc", 1), ("clang", 1), ("gcc", 4)])
def test_first_layer_must_give_the_bits_of_the_definition_on_the_host(tmp_path, compiler, lane_words, layers):
    """Scratch is as large as its query says, and not a byte more."""
    flags = (f"-DLAYERS={layers}u", f"-DBF_LANE_WORDS={lane_words}")
    compile_c((compiler, *flags, *SANITIZERS), tmp_path / "sums", [*sources(), FILE])
    done = subprocess.run([tmp_path / "sums"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 failures\n"), done.stderr


@pytest.mark.parametrize(
    ("cpu", "machine", "more"),
    [
        ("cortex-m0", "mps2-an385", ()),
        ("cortex-m3", "mps2-an385", ()),
        ("cortex-m4", "mps2-an386", ()),
        ("cortex-m4", "mps2-an386", ("-DBF_NO_ASSEMBLY",)),
        ("cortex-m7", "mps2-an500", ()),
        ("cortex-m55", "mps3-an547", ()),
    ],
    ids=["m0", "m3", "m4", "m4-plain", "m7", "m55"],
)
def test_first_layer_must_give_the_bits_of_the_definition_on_an_emulated_core(tmp_path, cpu, machine, more):
    elf = tmp_path / "sums.elf"
    compile_c((*ARM, f"-mcpu={cpu}", *more), elf, [*arm_sources(), FILE, str(HERE / "vectors.c")])
    assert run_emulated(elf, machine) == (0, "0 failures\n")
