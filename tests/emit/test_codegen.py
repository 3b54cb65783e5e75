"""Generated C is the image, byte for byte, compiles without a warning, and is the same each time."""

import subprocess
from pathlib import Path

import pytest
from tests.c.every_kind import every_kind

from bitflow.emit.codegen import generate, render_model
from bitflow.emit.text import comment, identifier
from bitflow.errors import InputError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network

WARNINGS = ("-std=c99", "-Wall", "-Wextra", "-Wconversion", "-Wpedantic", "-Werror")
DUMP = """#include "{prefix}.h"
#include <stdio.h>
int main(void) {{
    bf_model opened;
    const bf_model *m = &{prefix}_model;
    if (bf_open(&opened, m->base, m->size) != BF_OK || opened.arena_size != m->arena_size || opened.crc != m->crc) {{
        return 1;
    }}
    return fwrite(m->base, 1, m->size, stdout) != m->size;
}}
"""


def dumped(network: PackedNetwork, folder: Path, compiler: str) -> bytes:
    prefix = identifier(network.name)
    generate(network, "c", folder)
    (folder / "main.c").write_text(DUMP.format(prefix=prefix))
    files = [*folder.glob("*.c"), *folder.glob("bitflow/src/**/*.c")]
    command = [compiler, *WARNINGS, f"-I{folder}", f"-I{folder}/bitflow/include", *files, "-o", folder / "dump"]
    subprocess.run(command, check=True)
    return subprocess.run([folder / "dump"], check=True, capture_output=True).stdout


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_generated_c_must_hold_every_kind_of_layer(tmp_path, compiler):
    network = every_kind(0)
    assert network.logits is not None
    assert dumped(network, tmp_path, compiler) == Image.of(network).data


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_generated_c_must_be_the_image_byte_for_byte(tmp_path, seed, compiler):
    network = pack(fuse(random_network(seed)))
    assert dumped(network, tmp_path, compiler) == Image.of(network).data


def test_generated_c_must_survive_names_that_are_no_c(tmp_path):
    random = pack(fuse(random_network(0)))
    labels = tuple('*/ "\\0 %s \n Köln ??/'[: 4 + c] for c in range(random.classes))
    network = PackedNetwork('while "*/ 9', random.input_spec, random.layers, labels)
    assert dumped(network, tmp_path, "gcc") == Image.of(network).data


def test_render_must_give_equal_bytes_for_equal_networks():
    assert render_model(pack(fuse(random_network(3)))) == render_model(pack(fuse(random_network(3))))


def test_generated_files_must_keep_their_time_when_nothing_changed(tmp_path):
    network = pack(fuse(random_network(1)))
    first = {path: path.stat().st_mtime_ns for path in generate(network, "platformio", tmp_path)}
    assert first == {path: path.stat().st_mtime_ns for path in generate(network, "platformio", tmp_path)}
    assert (tmp_path / "platformio.ini").exists()
    assert (tmp_path / "lib" / "bitflow" / "include" / "bitflow.h").exists()
    assert not list(tmp_path.rglob("*.new"))


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Digits", "digits"), ("7 segments", "net_7_segments"), ("while", "net_while"), ("a-b", "a_b")],
)
def test_identifier_must_be_one(name, expected):
    assert identifier(name) == expected


def test_identifier_must_refuse_a_name_without_letters():
    with pytest.raises(InputError, match="no C name"):
        identifier("!!!")


def test_comment_must_not_end_the_comment():
    assert "*/" not in comment("a */ b */")
    assert "\n" not in comment("a\nb")


def test_unknown_target_must_be_named(tmp_path):
    with pytest.raises(InputError, match="unknown target 'rust'"):
        generate(pack(fuse(random_network(0))), "rust", tmp_path)  # type: ignore[arg-type]
