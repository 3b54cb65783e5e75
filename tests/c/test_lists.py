"""Lists made in RAM and what blocks of filter patterns are made of, in C and assembly, against slow ones."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.c.compiling import HERE, SANITIZERS, arm_sources, compile_c, run_emulated, sources
from tests.c.test_adders import ARM, CORES

from bitflow import resources

SOURCE = resources.c_library() / "src"
PARTS = ("generic", "patterns", "planes")
FILES = [*(path for path in sources() if Path(path).parent.name in PARTS), str(HERE / "lists.c")]


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_c_form_must_list_every_input(tmp_path: Path, compiler: str, words: int) -> None:
    compile_c((compiler, *SANITIZERS, f"-DBF_LANE_WORDS={words}"), tmp_path / "lists", FILES, SOURCE)
    done = subprocess.run([tmp_path / "lists"], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout) == (0, "0 failures\n"), done.stderr


@pytest.mark.parametrize("form", ["assembly", pytest.param("C", marks=pytest.mark.long)])
@pytest.mark.parametrize("cpu", CORES)
def test_core_must_list_every_input(tmp_path: Path, cpu: str, form: str) -> None:
    machine, flags = CORES[cpu]
    elf = tmp_path / "lists.elf"
    form_flags = () if form == "assembly" else ("-DBF_NO_ASSEMBLY",)
    files = [*FILES, *(path for path in arm_sources() if path.endswith(".S")), str(HERE / "vectors.c")]
    compile_c((*ARM, f"-mcpu={cpu}", *flags, *form_flags), elf, files, SOURCE)
    assert run_emulated(elf, machine) == (0, "0 failures\n")
