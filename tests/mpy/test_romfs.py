"""Networks in ROMFS are used in place; generated sources build a firmware with the network in it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import bitflow
from bitflow.deploy import micropython_build as builder
from bitflow.deploy.micropython_source import Source
from bitflow.emit.codegen import generate
from bitflow.emit.romfs import romfs
from bitflow.image.bfn import Image

IN_PLACE = """\
import bitflow, gc, vfs
content = open("d.romfs", "rb").read()
vfs.mount(vfs.VfsRom(content), "/rom")
gc.collect()
before = gc.mem_alloc()
model = bitflow.Model("/rom/digits.bfn")
taken = gc.mem_alloc() - before
print(model.info()["name"], taken - model.info()["arena_bytes"] < 1024 < len(content))
"""


def test_network_in_romfs_is_used_in_place(toolchain: Source, tmp_path: Path) -> None:
    (tmp_path / "d.romfs").write_bytes(romfs({"a": b"x", "digits.bfn": Image.of(bitflow.load("builtin:digits")).data}))
    (tmp_path / "script.py").write_text(IN_PLACE)
    path = {**os.environ, "MICROPYPATH": str(builder.module("x64").path.parent)}
    command = [toolchain.unix, "script.py"]
    found = subprocess.run(command, cwd=tmp_path, env=path, capture_output=True, text=True, timeout=300, check=False)
    assert (found.stdout.strip(), found.stderr) == ("digits True", "")


def test_generated_sources_have_what_a_user_module_needs(tmp_path: Path) -> None:
    files = generate(bitflow.load("builtin:digits"), "micropython", tmp_path)
    assert {file.name for file in files} == {"digits.c", "digits.h"}
    for name in ("mpy_module/bitflow_module.c", "mpy_module/micropython.mk", "firmware/lib/bitflow/include/bitflow.h"):
        assert (tmp_path / name).is_file()
