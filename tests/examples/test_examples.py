"""The programs in `examples`, built as they stand and run: one picture gives the same labels and scores in all of them
and by `bitflow predict`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image, ImageDraw
from tests.c.compiling import HERE as C_TESTS
from tests.c.compiling import WARNINGS, run_emulated
from torch import nn

import bitflow
from bitflow.boards import board
from bitflow.deploy import micropython_build as builder
from bitflow.deploy import micropython_source as sources
from bitflow.emit.codegen import generate
from bitflow.image.bfn import save
from bitflow.ir import PackedNetwork
from bitflow.nn import BinaryLinear, InputConv2d, Sign
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.repl import Repl

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
ARDUINO = ROOT / "tests" / "firmware" / "arduino"
STRICT = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-O2")
LARGE, SMALL = (320, 240), (160, 120)  # a board of 140 KB has no room for the first in colour

Bytes = npt.NDArray[np.uint8]


def scene() -> PackedNetwork:
    """A second network, of colours, as training leaves it; what it says does not count, only that all say the same."""
    torch.manual_seed(5)
    module = nn.Sequential(
        InputConv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), Sign(), nn.Flatten(), BinaryLinear(16 * 12 * 16, 3)
    )
    return bitflow.fuse(module.eval(), (12, 16, 3), name="scene", labels=("inside", "outside", "dark"))


def drawn(width: int, height: int) -> Image.Image:
    """A seven of light strokes on a dark, uneven ground, a little coloured."""
    ground = Image.linear_gradient("L").resize((width, height)).point(lambda value: value // 8)
    picture = Image.merge("RGB", (ground, ground, ground.rotate(180)))
    strokes = [[(0.25, 0.1), (0.75, 0.1), (0.6, 0.45), (0.45, 0.95)], [(0.35, 0.5), (0.8, 0.5)]]
    for stroke in strokes:
        points = [(x * width, y * height) for x, y in stroke]
        ImageDraw.Draw(picture).line(points, fill=(255, 250, 230), width=width // 10)
    return picture


class Frames:
    """A picture as a camera gives it, in colour and in gray, and as the files that the host reads."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        picture = drawn(*size)
        red, green, blue = (np.asarray(channel, np.uint16) for channel in picture.split())
        value = (red >> 3) << 11 | (green >> 2) << 5 | blue >> 3
        self.size = size
        self.rgb565 = value.astype("<u2").tobytes()
        self.gray = picture.convert("L").tobytes()
        r, g, b = value >> 11, value >> 5 & 63, value & 31
        seen = np.stack([r << 3 | r >> 2, g << 2 | g >> 4, b << 3 | b >> 2], axis=-1).astype(np.uint8)
        Image.fromarray(seen).save(folder / "colour.png")
        picture.convert("L").save(folder / "gray.png")


def command_line(folder: Path, *arguments: str) -> str:
    command = (sys.executable, "-c", "from bitflow.cli.app import main; main()", *arguments)
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout


def host(folder: Path) -> list[str]:
    """What `bitflow predict` says, in the words of the examples."""
    said = []
    for picture in ("colour.png", "gray.png"):
        for name in ("digits", "scene"):
            (found,) = json.loads(command_line(folder, "predict", f"{name}.bfn", picture, "--json"))["predictions"]
            scores = [entry["score"] for entry in sorted(found["ranking"], key=lambda entry: entry["index"])]
            said.append(f"{name}: {found['label']} {' '.join(map(str, scores))}")
    return said


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks")
    save(bitflow.load("builtin:digits"), folder / "digits.bfn")
    save(scene(), folder / "scene.bfn")
    return folder


def pictures(networks: Path, folder: Path, size: tuple[int, int]) -> tuple[Frames, list[str]]:
    for path in networks.iterdir():
        shutil.copy(path, folder)
    frames = Frames(folder, size)
    said = host(folder)
    assert said[0].startswith("digits: 7 "), said
    return frames, said


@pytest.fixture(scope="module")
def large(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Frames, list[str]]:
    return pictures(networks, tmp_path_factory.mktemp("large"), LARGE)


@pytest.fixture(scope="module")
def small(networks: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Frames, list[str]]:
    return pictures(networks, tmp_path_factory.mktemp("small"), SMALL)


def copied(example: str, networks: Path, below: str, folder: Path) -> Path:
    """An example with its networks generated into it."""
    shutil.copytree(EXAMPLES / example, folder, dirs_exist_ok=True)
    for path in sorted(networks.glob("*.bfn")):
        command_line(folder, "generate", str(path), "-o", below)
    return folder / below


def c_array(data: bytes) -> str:
    return "{" + ",".join(map(str, data)) + "}"


def test_c_program_must_say_what_the_host_says(networks, large, tmp_path):
    frames, want = large
    folder = copied("c_program", networks, ".", tmp_path)
    declared = "#include <stdint.h>\nextern const uint8_t {0}[{1}];\nconst uint8_t {0}[{1}] = {2};\n"
    both = (("camera_rgb565", frames.rgb565), ("camera_gray", frames.gray))
    (folder / "camera.c").write_text("".join(declared.format(n, len(d), c_array(d)) for n, d in both))
    own = [folder / name for name in ("main.c", "camera.c", "digits.c", "scene.c")]
    library = sorted((folder / "bitflow" / "src").rglob("*.[cS]"))
    flags = ("-mcpu=cortex-m4", "-mthumb", "-O2", "-Ibitflow/include")
    start = ("--specs=rdimon.specs", "-Wl,--section-start=.vectors=0", C_TESTS / "vectors.c")
    command = ("arm-none-eabi-gcc", *WARNINGS, *flags, *own, *library, *start, "-o", "product.elf")
    subprocess.run(command, cwd=folder, check=True)
    status, said = run_emulated(folder / "product.elf", "mps2-an386")
    assert (status, said.splitlines()) == (0, want)


def test_page_must_quote_the_examples():
    text = (ROOT / "docs" / "product.md").read_text()
    blocks = re.findall(r"```(?:c|cpp|python)\n(.*?)```", text, re.DOTALL)
    files = [path.read_text() for path in EXAMPLES.rglob("main.*")]
    assert len(blocks) == 5
    for block in blocks:
        assert any(block in file for file in files), block


def test_program_without_frames_must_not_link_what_makes_them(tmp_path):
    generate(bitflow.load("builtin:digits"), "c", tmp_path)
    (tmp_path / "main.c").write_text(
        '#include "digits.h"\nint main(void);\nextern uint32_t a[];\nuint32_t a[DIGITS_ARENA_WORDS];\n'
        "int main(void) { return bf_run(&digits_model, a, (int32_t *)a, a, sizeof a); }\n"
    )
    flags = ("-mcpu=cortex-m4", "-mthumb", "-O2", "-ffunction-sections", "-Wl,--gc-sections", "--specs=nosys.specs")
    files = ("main.c", "digits.c", *sorted((tmp_path / "bitflow" / "src").rglob("*.[cS]")))
    command = ("arm-none-eabi-gcc", *flags, "-Wl,--no-warnings", "-Ibitflow/include", *files, "-o", "linked")
    subprocess.run(command, cwd=tmp_path, check=True)
    symbols = subprocess.run(["arm-none-eabi-nm", "linked"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "bf_run" in symbols.stdout
    assert "bf_picture" not in symbols.stdout


def test_sketch_must_say_what_the_host_says(networks, large, tmp_path):
    frames, want = large
    folder = copied("arduino_sketch", networks, "src", tmp_path)
    declared = "static const uint8_t {0}_pixels[] = {1};\nconst uint8_t *{0}() {{\n    return {0}_pixels;\n}}\n"
    both = (("camera_rgb565", frames.rgb565), ("camera_gray", frames.gray))
    head = "#include <stdint.h>\nconst uint8_t *camera_rgb565();\nconst uint8_t *camera_gray();\n"
    (folder / "camera.cpp").write_text(head + "".join(declared.format(n, c_array(d)) for n, d in both))
    includes = [f"-I{folder / 'bitflow' / 'include'}", f"-I{ARDUINO}"]
    subprocess.run(
        ("gcc", "-std=c99", *STRICT, *includes, "-c", *folder.rglob("*.c")), cwd=tmp_path, check=True
    )  # as PlatformIO: all that lies below src
    cpp = (*folder.glob("*.cpp"), ARDUINO / "stand_in.cpp")
    subprocess.run(("g++", *STRICT, *includes, *cpp, *tmp_path.glob("*.o"), "-o", "sketch"), cwd=tmp_path, check=True)
    with subprocess.Popen((tmp_path / "sketch",), stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        said = [running.stdout.readline().rstrip() for _ in want]
        running.kill()
    assert said == want
    core = ("arm-none-eabi-g++", "-mcpu=cortex-m7", "-mthumb", *STRICT, *includes)
    subprocess.run((*core, "-c", folder / "main.cpp", "-o", tmp_path / "m7.o"), check=True)


def camera(frames: Frames) -> str:
    """A camera.py, whose picture lies in files."""
    read = 'def {0}():\n    return open("{0}", "rb").read()\n'
    width, height = frames.size
    return f"WIDTH, HEIGHT = {width}, {height}\n" + read.format("rgb565") + read.format("gray")


def device_files(networks: Path, frames: Frames) -> dict[str, bytes]:
    own = {path.name: path.read_bytes() for path in sorted(networks.glob("*.bfn"))}
    return own | {"rgb565": frames.rgb565, "gray": frames.gray, "camera.py": camera(frames).encode()}


@pytest.fixture(scope="module")
def toolchain() -> sources.Source:
    return sources.setup()


def test_script_must_say_what_the_host_says(networks, large, toolchain, tmp_path):
    frames, want = large
    for name, content in device_files(networks, frames).items():
        (tmp_path / name).write_bytes(content)
    shutil.copy(EXAMPLES / "micropython_script" / "main.py", tmp_path)
    paths = {**os.environ, "MICROPYPATH": str(builder.module("x64").path.parent)}
    command = (toolchain.unix, "main.py")
    done = subprocess.run(command, cwd=tmp_path, env=paths, capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.splitlines() == want


def test_script_must_say_what_the_host_says_on_a_board(networks, small, toolchain):
    frames, want = small
    target = board("qemu-m4")
    with Emulator(target, builder.emulated(target)) as emulator, Repl(emulator.port) as repl:
        for name, content in device_files(networks, frames).items():
            repl.put(content, name)
        repl.make_folder("lib")
        repl.put(builder.module("armv7emsp").path.read_bytes(), "lib/bitflow.mpy")
        said = repl.run((EXAMPLES / "micropython_script" / "main.py").read_text())
    assert said.splitlines() == want
