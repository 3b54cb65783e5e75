"""The same scripts on every build of `import bitflow`: the Unix port, native and built in, and emulated boards."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import bitflow
from bitflow import bits
from bitflow.boards import board
from bitflow.deploy import micropython_build as builder
from bitflow.deploy import micropython_source as sources
from bitflow.engines.host import HostEngine
from bitflow.geometry import InputSpec, Shape, Window
from bitflow.image.bfn import save
from bitflow.ir import (
    BatchShift,
    BinaryConv,
    BinaryDense,
    InputConv,
    IntegerLayer,
    IntegerNetwork,
    PackedNetwork,
    Scores,
)
from bitflow.learn.data.sources import load_data
from bitflow.learn.networks.architectures import build as architecture
from bitflow.lower.pack import pack
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.repl import Repl

SCRIPTS = Path(__file__).parent / "device"
PATIENCE_S = 600  # of a computer that is very busy: what hangs is ended
ON_THE_HOST = "endless.bfn"  # too large for boards


class Port(Protocol):
    """Something that runs a script of the folder `device`, where the files lie, and returns what it printed."""

    def run(self, script: str) -> str: ...

    def interrupt(self, script: str) -> str:
        """The same, with Ctrl-C as soon as it prints "running"."""
        ...


@dataclass
class UnixPort:
    program: Path
    path: str
    files: Path

    def _start(self, script: str) -> subprocess.Popen[str]:
        command = [self.program, "-X", "heapsize=32m", SCRIPTS / f"{script}.py"]
        return subprocess.Popen(
            command, cwd=self.files, env={**os.environ, "MICROPYPATH": self.path},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, script: str) -> str:
        return self._start(script).communicate(timeout=PATIENCE_S)[0]

    def interrupt(self, script: str) -> str:
        process = self._start(script)
        assert process.stdout is not None
        line = process.stdout.readline()
        process.send_signal(signal.SIGINT)
        return line + process.communicate(timeout=PATIENCE_S)[0]


@dataclass
class EmulatedPort:
    port: str

    def run(self, script: str) -> str:
        with Repl(self.port) as repl:
            return repl.run((SCRIPTS / f"{script}.py").read_text())

    def interrupt(self, script: str) -> str:
        with Repl(self.port) as repl:
            transport = repl._transport
            transport.exec_raw_no_follow((SCRIPTS / f"{script}.py").read_text())
            line = transport.read_until(1, b"running\r\n", timeout=PATIENCE_S)
            transport.serial.write(b"\x03")
            said, failed = transport.follow(PATIENCE_S)
            return bytes(line + said + failed).decode()


def large_network() -> PackedNetwork:
    """About 100 KB."""
    torch.manual_seed(0)
    body: list[nn.Module] = []
    for _ in range(20):
        body += [BinaryConv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), Sign()]
    module = nn.Sequential(
        InputConv2d(1, 64, 3, padding=1), nn.BatchNorm2d(64), Sign(), *body, nn.Flatten(), BinaryLinear(64 * 576, 4)
    )
    return bitflow.fuse(module.eval(), input_shape=(24, 24, 1))


def slow_network(side: int) -> PackedNetwork:
    """So much work that Ctrl-C comes before its end, however busy the computer is.

    40 layers, 9,216 operations a pixel in each.
    """
    rng = np.random.default_rng(0)
    same, smaller = Window((3, 3), (1, 1), (1, 1, 1, 1)), Window((5, 5), (5, 5))
    spec = InputSpec(Shape(side, side, 1))

    def signs(*shape: int) -> npt.NDArray[np.int8]:
        return bits.sign(rng.integers(-1, 1, shape))

    shift = BatchShift(np.zeros(32, np.int32))
    found = [IntegerLayer("first", InputConv(spec.shape, signs(32, 3, 3, 1), same, spec), shift)]
    for number, window in enumerate([same] * 40 + [smaller] * 3):
        source = found[-1].output_map(last=False).shape
        conv = BinaryConv(source, signs(32, *window.kernel, 32), window)
        found.append(IntegerLayer(f"layer {number}", conv, shift))
    source = found[-1].output_map(last=False).shape
    dense = BinaryDense(source, signs(2, source.height, source.width, 32))
    found.append(IntegerLayer("scores", dense, Scores(np.ones(2, np.int32), np.zeros(2, np.int32))))
    return pack(IntegerNetwork("slow", spec, tuple(found)))


@pytest.fixture(scope="session")
def toolchain() -> sources.Source:
    """The sources of MicroPython, with what is built of them."""
    return sources.setup()


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Networks, images and the scores that the C library gives on this computer."""
    folder = tmp_path_factory.mktemp("files")
    digits = bitflow.load("builtin:digits")
    cases = [("digits", digits, load_data("digits").test.images[:200])]
    shared = Path(os.environ.get("BITFLOW_SHARED", Path(__file__).parents[2].parent / "shared")) / "data" / "mnist"
    if shared.is_dir():
        # The shape and the images count, not the weights: training would take minutes.
        torch.manual_seed(0)
        mnist = bitflow.fuse(architecture("bitflow-lenet", (28, 28, 1), 10).eval(), input_shape=(28, 28, 1))
        cases.append(("mnist", mnist, load_data(f"idx:{shared}").test.images[:20]))
    for name, network, images in cases:
        save(network, folder / f"{name}.bfn")
        (folder / f"{name}.images").write_bytes(np.ascontiguousarray(images).tobytes())
        (folder / f"{name}.scores").write_bytes(HostEngine(network).scores(images).astype("<i4").tobytes())
    save(large_network(), folder / "large.bfn")
    save(slow_network(160), folder / "long.bfn")
    save(slow_network(1000), folder / ON_THE_HOST)
    return folder


def prepare(port: str, files: Path, module: bytes | None) -> None:
    with Repl(port) as repl:
        for file in sorted(file for file in files.iterdir() if file.name != ON_THE_HOST):
            repl.put(file.read_bytes(), file.name)
        if module is not None:
            repl.make_folder("lib")
            repl.put(module, "lib/bitflow.mpy")


# Name of a build -> board and architecture of the module that is loaded there.
BOARDS = {
    "qemu-m3": "armv7m",
    "qemu-m3 armv6m": "armv6m",
    "qemu-m4": "armv7emsp",
    "qemu-m7": "armv7emdp",
}


@pytest.fixture(scope="session", params=["unix x64", "unix built-in", *BOARDS])
def port(request: pytest.FixtureRequest, toolchain: sources.Source, files: Path) -> Iterator[Port]:
    """Each build of bitflow, one after the other."""
    name: str = request.param
    if name == "unix x64":
        yield UnixPort(toolchain.unix, str(builder.module("x64").path.parent), files)
    elif name == "unix built-in":
        yield UnixPort(builder.unix(), "", files)
    else:
        target = board(name.partition(" ")[0])
        with Emulator(target, builder.emulated(target)) as emulator:
            prepare(emulator.port, files, builder.module(BOARDS[name]).path.read_bytes())
            yield EmulatedPort(emulator.port)


@pytest.fixture(scope="session", params=["unix", pytest.param("qemu-m4", marks=pytest.mark.long)])
def compiled_in(request: pytest.FixtureRequest, toolchain: sources.Source, files: Path) -> Iterator[Port]:
    """Builds with a network in them."""
    network = bitflow.load("builtin:digits")
    if request.param == "unix":
        yield UnixPort(builder.unix(network), "", files)
        return
    target = board(request.param)
    with Emulator(target, builder.emulated(target, network)) as emulator:
        with Repl(emulator.port) as repl:
            repl.put((files / "digits.bfn").read_bytes(), "digits.bfn")
        yield EmulatedPort(emulator.port)


@pytest.fixture
def m4(toolchain: sources.Source) -> Iterator[Emulator]:
    """A board with a REPL and nothing on it."""
    with Emulator(board("qemu-m4"), builder.emulated(board("qemu-m4"))) as emulator:
        yield emulator
