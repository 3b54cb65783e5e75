"""Compiling the C library into a program of the tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat
from pathlib import Path

from bitflow import resources
from bitflow.files import built, digest, program, tree_digest

__all__ = ["HERE", "SANITIZERS", "WARNINGS", "arm_sources", "compile_c", "library_objects", "run_emulated", "sources"]

HERE = Path(__file__).parent
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources() -> list[str]:
    return sorted(str(path) for path in (resources.c_library() / "src").rglob("*.c"))


def arm_sources() -> list[str]:
    """With the assembly: what is compiled for any core."""
    return [*sources(), *sorted(str(path) for path in (resources.c_library() / "src" / "arm").glob("*.S"))]


def library_objects(compiler: tuple[str, ...], files: Iterable[str] | None = None) -> list[str]:
    """Files of the C library, by default those of arm_sources(), compiled with these flags.

    All tests and sessions share them, in the user's cache: with sanitizers the library takes longer than its tests.
    """
    root = resources.c_library()
    flags = [flag for flag in compiler[1:] if (not flag.startswith("-Wl,") and flag[:2] != "-D") or flag[:5] == "-DBF_"]
    host = "arm" not in compiler[0]
    command = [compiler[0], *flags, *WARNINGS, f"-I{root / 'include'}", "-c"]

    def compiled(source: str, folder: Path) -> None:
        done = subprocess.run(
            [*command, source, "-o", str(folder / f"{Path(source).stem}.o")], capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def make(folder: Path) -> None:
        with ThreadPoolExecutor(2) as threads:
            for _ in threads.map(compiled, sources() if host else arm_sources(), repeat(folder)):
                pass

    key = digest(program(compiler[0]), *flags, *WARNINGS, str(root), tree_digest(root))
    folder, _ = built("tests-library", key, make)
    wanted = files if files is not None else sources() if host else arm_sources()
    return [str(folder / f"{Path(source).stem}.o") for source in wanted]


def compile_c(compiler: tuple[str, ...], out: Path, files: list[str], *includes: Path) -> None:
    """Compile and link; what is of the C library is found where it was compiled with these flags before."""
    root = resources.c_library()
    flags = [f"-I{path}" for path in (root / "include", *includes)]
    own = [file for file in files if root not in Path(file).parents]
    objects = library_objects(compiler, [file for file in files if file not in own])
    done = subprocess.run(
        [*compiler, *WARNINGS, *flags, *own, *objects, "-o", str(out)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def run_emulated(elf: Path, machine: str) -> tuple[int, str]:
    """Exit status and output of a program that uses semihosting."""
    qemu = ["qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run([*qemu, *semihosting], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout + done.stderr
