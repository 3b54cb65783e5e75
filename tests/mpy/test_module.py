"""The native module: its size, what it needs from outside, its builds."""

from __future__ import annotations

import subprocess

import pytest

from bitflow import resources
from bitflow.deploy import micropython_build as builder
from bitflow.deploy.micropython_source import Source

BINDING_LIMIT = 6 * 1024
"""Bytes of code and constants of a module beside the code of the C library in it: 512 of them for Model.picture(),
about as many for the tables of kernels and their forms.
"""

# What MicroPython's linker gives a native module; libgcc is linked in.
ALLOWED = {
    "_GLOBAL_OFFSET_TABLE_",
    "mp_fun_table",
    "mp_native_qstr_table",
    "mp_type_fun_builtin_1",
    "mp_type_fun_builtin_2",
    "mp_type_fun_builtin_var",
}
LIBGCC = ("__aeabi_", "__gnu_thumb1_case_")


@pytest.mark.parametrize("architecture", ["armv6m", "armv7m", "armv7emsp", "armv7emdp"])
def test_undefined_symbols_must_be_known(toolchain: Source, architecture: str) -> None:
    objects = sorted(builder.module(architecture).objects.glob("*.o"))
    assert len(objects) >= 6
    table = [
        line.split()
        for line in subprocess.run(
            ["arm-none-eabi-nm", *objects], capture_output=True, text=True, check=True
        ).stdout.splitlines()
    ]
    defined = {words[2] for words in table if len(words) == 3}
    undefined = {words[1] for words in table if len(words) == 2 and words[0] == "U"}
    stray = {name for name in undefined - defined - ALLOWED if not name.startswith(LIBGCC)}
    assert not stray
    # Only integers cross the boundary, and none of libgcc's floats.
    assert not {name for name in undefined if name.startswith(("__aeabi_f", "__aeabi_d", "__aeabi_i2f", "__aeabi_i2d"))}


@pytest.mark.parametrize("architecture", ["armv6m", "armv7m", "armv7emsp", "armv7emdp"])
def test_size_must_stay_within_its_limit(toolchain: Source, architecture: str) -> None:
    module = builder.module(architecture)
    sources = (resources.c_library() / "src").rglob("*.[cS]")
    library = [module.objects / path.with_suffix(".o").name for path in sources]
    said = subprocess.run(["arm-none-eabi-size", "-t", *library], capture_output=True, text=True, check=True).stdout
    own = int(said.splitlines()[-1].split()[0])
    print(f"{architecture}: {module.text_bytes} bytes, {own} of them of the C library")
    assert module.text_bytes <= own + BINDING_LIMIT


def test_build_must_be_found_again(toolchain: Source) -> None:
    first = builder.module("armv7m")
    stamp = first.path.stat().st_mtime_ns
    again = builder.module("armv7m")
    assert again == first
    assert again.path.stat().st_mtime_ns == stamp
