"""Compiling the C library into a program of the tests."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bitflow import resources

__all__ = ["HERE", "SANITIZERS", "compile_c", "sources"]

HERE = Path(__file__).parent
WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
SANITIZERS = ("-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")


def sources() -> list[str]:
    return sorted(str(path) for path in (resources.c_library() / "src").glob("*.c"))


def compile_c(compiler: tuple[str, ...], out: Path, files: list[str], *includes: Path) -> None:
    flags = [f"-I{path}" for path in (resources.c_library() / "include", *includes)]
    done = subprocess.run([*compiler, *WARNINGS, *flags, *files, "-o", str(out)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
