"""Adders, comparisons and planes of the filter patterns, in C and assembly, against slow ones that count by lane."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.c.compiling import HERE, SANITIZERS, arm_sources, compile_c, run_emulated

from bitflow import resources

SOURCE = resources.c_library() / "src"
NAMES = ("add_lists16", "add_lists8", "compare", "compare_each", "planes_of_row", "value_of")
GENERIC = [str(SOURCE / "generic" / f"{name}.c") for name in NAMES]
ARM = ("arm-none-eabi-gcc", "-mthumb", "-O2", "--specs=rdimon.specs")
AT_0 = ("-Wl,--section-start=.vectors=0",)
# The secure half of the memory of mps2-an505, in which QEMU starts.
AT_SECURE = ("-Wl,--section-start=.vectors=0x10000000", "-Wl,-Ttext-segment=0x10008000", "-DSTACK=0x10200000u")
CORES = {
    "cortex-m0": ("mps2-an385", AT_0),
    "cortex-m23": ("mps2-an385", AT_0),
    "cortex-m3": ("mps2-an385", AT_0),
    "cortex-m4": ("mps2-an386", AT_0),
    "cortex-m7": ("mps2-an500", AT_0),
    "cortex-m33": ("mps2-an505", AT_SECURE),
    "cortex-m55": ("mps3-an547", ("-mfloat-abi=hard", *AT_0, "-DSTACK=0x20070000u")),
}


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("compiler", ["gcc", pytest.param("clang", marks=pytest.mark.long)])
def test_c_form_must_count_as_lanes_do(tmp_path: Path, compiler: str, words: int) -> None:
    files = [*GENERIC, str(HERE / "adders.c")]
    compile_c((compiler, *SANITIZERS, f"-DBF_LANE_WORDS={words}"), tmp_path / "adders", files, SOURCE)
    done = subprocess.run([tmp_path / "adders"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 failures\n"), done.stderr


@pytest.mark.parametrize("form", ["assembly", pytest.param("C", marks=pytest.mark.long)])
@pytest.mark.parametrize("cpu", CORES)
def test_core_must_count_as_lanes_do(tmp_path: Path, cpu: str, form: str) -> None:
    machine, flags = CORES[cpu]
    elf = tmp_path / "adders.elf"
    files = [path for path in arm_sources() if path in GENERIC or path.endswith(".S")]
    form_flags = () if form == "assembly" else ("-DBF_NO_ASSEMBLY",)
    compiler = (*ARM, f"-mcpu={cpu}", *flags, *form_flags)
    compile_c(compiler, elf, [*files, str(HERE / "adders.c"), str(HERE / "vectors.c")], SOURCE)
    assert run_emulated(elf, machine) == (0, "0 failures\n")
