"""The public MLPerf Tiny protocol, spoken by a client that was written from its description and knows nothing of ours.

Commands end in '%', answers are lines that end with "m-ready"; an input comes as hexadecimal, 31 bytes a command; in
the performance mode the client asks for as many inferences as take ten seconds of the device's time.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import serial
from tests.hil.soaking import SOAK

from bitflow.boards import board
from bitflow.deploy.build import build
from bitflow.engines.host import HostEngine
from bitflow.image.bfn import load
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import load_data
from bitflow.resources import builtin_model
from bitflow.synthetic.single_layers import parse, single_layer
from bitflow_hil.devices.emulator import Emulator

PERFORMANCE_S = 10.0
PATIENCE_S = 120.0


class Client:
    """What the protocol's runner does with a device under test."""

    def __init__(self, port: str) -> None:
        self.port = serial.Serial(port, 115200, timeout=PATIENCE_S)
        self.profile = self.tell("profile")
        while not self.profile[0].startswith("m-profile-"):  # a board that was just started says m-init-done, m-ready
            self.profile = self.answer("profile")

    def tell(self, command: str) -> list[str]:
        """The lines of an answer, without the last one."""
        assert len(command) < 80
        self.port.write(f"{command}%".encode("ascii"))
        return self.answer(command)

    def answer(self, command: str) -> list[str]:
        lines = []
        while (line := self.port.readline().decode("ascii").rstrip("\r\n")) != "m-ready":
            assert line, f"no m-ready after {command}"
            assert not line.startswith("e-["), line
            lines.append(line)
        return lines

    def load(self, data: bytes) -> None:
        assert self.tell(f"db load {len(data)}") == [f"m-[Expecting {len(data)} bytes]"]
        said: list[str] = []
        for at in range(0, len(data), 31):
            assert not said, "done before the last byte"
            said = self.tell("db " + data[at : at + 31].hex().upper())
        assert said == ["m-load-done"]

    def infer(self, times: int, warm: int) -> tuple[float, list[float]]:
        """Seconds of the device's time, and the results divided by their sum."""
        lines = self.tell(f"infer {times} {warm}")
        laps = [int(line.removeprefix("m-lap-us-")) for line in lines if line.startswith("m-lap-us-")]
        assert [line for line in lines if not line.startswith(("m-lap-us-", "m-results-"))] == [
            f"m-warmup-start-{warm}", "m-warmup-done", f"m-infer-start-{times}", "m-infer-done",
        ]  # fmt: skip
        assert len(laps) == 2
        (results,) = (line for line in lines if line.startswith("m-results-"))
        return (laps[1] - laps[0]) / 1e6, self.normalized(results)

    @staticmethod
    def normalized(line: str) -> list[float]:
        values = [float(value) for value in line.removeprefix("m-results-[").removesuffix("]").split(",")]
        assert min(values) >= 0
        return [value / sum(values) for value in values]

    def model(self) -> str:
        assert self.profile[0] == "m-profile-[ULPMark for tinyML Firmware V0.0.1]"
        return self.profile[1].removeprefix("m-model-[").removesuffix("]")


def running(network: PackedNetwork, folder: Path, mlperf: str = "") -> Iterator[str]:
    target = board("qemu-m4")
    with Emulator(target, build(network, target, folder, mlperf=mlperf).elf) as emulator:
        yield emulator.port


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    yield from running(load(builtin_model("digits")), tmp_path_factory.mktemp("digits"))


def test_accuracy_mode(digits: str) -> None:
    images = load_data("digits").test.images[: 360 if SOAK else 30]
    want = HostEngine(load(builtin_model("digits"))).predict(images)
    client = Client(digits)
    assert client.tell("name") == ["m-name-dut-[qemu-m4]"]
    assert client.model() == "none"  # not a shape of the benchmark
    found = []
    for pixels in images:
        client.load(np.asarray(pixels).tobytes())
        _, results = client.infer(1, 0)
        assert results == client.normalized(client.tell("results")[0])
        found.append(int(np.argmax(results)))
    assert found == want.tolist()


def test_performance_mode(digits: str) -> None:
    client = Client(digits)
    client.load(bytes(64))
    seconds, results = client.infer(10, 1)
    times = int(10 * PERFORMANCE_S / seconds) + 10
    longer, again = client.infer(times, 1)
    assert longer >= PERFORMANCE_S
    assert again == results
    assert longer / times == pytest.approx(seconds / 10, rel=0.01)
    before, after = (int(client.tell("timestamp")[0].removeprefix("m-lap-us-")) for _ in range(2))
    assert before < after


@pytest.mark.parametrize(("size", "name"), [("32x32x3", "ic01"), ("49x10x1", "kws01")])
def test_input_shape_names_the_benchmark(tmp_path: Path, size: str, name: str) -> None:
    for port in running(single_layer(parse(f"first3x3:{size}-8"), 0), tmp_path):
        assert Client(port).model() == name


def test_project_may_name_the_benchmark(tmp_path: Path) -> None:
    for port in running(single_layer(parse("first3x3:8x8x1-8"), 0), tmp_path, mlperf="ad01"):
        assert Client(port).model() == "ad01"
