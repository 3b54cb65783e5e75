"""Compiling the C library into a program of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bitflow import resources

__all__ = ["HERE", "SANITIZERS", "WARNINGS", "arm_sources", "compile_c", "run_emulated", "sources"]

HERE = Path(__file__).parent
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources() -> list[str]:
    return sorted(str(path) for path in (resources.c_library() / "src").rglob("*.c"))


def arm_sources() -> list[str]:
    """With the assembly: what is compiled for any core."""
    return [*sources(), *sorted(str(path) for path in (resources.c_library() / "src" / "arm").glob("*.S"))]


def compile_c(compiler: tuple[str, ...], out: Path, files: list[str], *includes: Path) -> None:
    flags = [f"-I{path}" for path in (resources.c_library() / "include", *includes)]
    done = subprocess.run([*compiler, *WARNINGS, *flags, *files, "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def run_emulated(elf: Path, machine: str) -> tuple[int, str]:
    """Exit status and output of a program that uses semihosting."""
    qemu = ["qemu-system-arm", "-M", machine, "-nographic", "-monitor", "none", "-serial", "none"]
    semihosting = ["-semihosting-config", "enable=on,target=native", "-kernel", str(elf)]
    done = subprocess.run([*qemu, *semihosting], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout + done.stderr
