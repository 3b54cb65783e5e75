"""A line that flips, drops, doubles and delays bytes and hangs up, before a board that is killed and started again.

`make soak` sends 10,000 images.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.hil.hostile_line import HostileLine
from tests.hil.soaking import SOAK

from bitflow.boards import board
from bitflow.deploy.build import Built, build
from bitflow.engines.host import HostEngine
from bitflow.errors import DeviceError, InputError
from bitflow.image.bfn import load
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import load_data
from bitflow.resources import builtin_model
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.devices.resuming import ResumingDevice
from bitflow_hil.link.transport import SerialTransport
from bitflow_hil.run import runner
from bitflow_hil.run.task import Task

IMAGES = 10_000 if SOAK else 120
RESTART_S = 20.0 if SOAK else 2.0
RESTARTS = 4
CUT_AFTER = 200_000 if SOAK else 10_000  # bytes
QEMU_M4 = board("qemu-m4")


@pytest.fixture(scope="module")
def network() -> PackedNetwork:
    return load(builtin_model("digits"))


@pytest.fixture(scope="module")
def built(network: PackedNetwork, tmp_path_factory: pytest.TempPathFactory) -> Built:
    return build(network, QEMU_M4, tmp_path_factory.mktemp("project"))


class MortalBoard:
    """An emulated board that is killed and started anew again and again."""

    def __init__(self, elf: Path, every_s: float) -> None:
        self._elf, self._every_s = elf, every_s
        self.restarts = 0
        self._ends = threading.Event()
        self._emulator: Emulator | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._live)  # an emulator ends with the thread that started it

    @property
    def port(self) -> str:
        return self._emulator.port if self._emulator else "/dev/none"

    def _live(self) -> None:
        while not self._ends.is_set():
            with Emulator(QEMU_M4, self._elf) as self._emulator:
                self._begun.set()
                # Then it lives: on a busy computer a board might never come further than its start.
                self._ends.wait(self._every_s if SOAK or self.restarts < RESTARTS else None)
                self._emulator = None  # first: its port is soon that of somebody else's emulator
            self.restarts += 1

    def __enter__(self) -> MortalBoard:
        self._thread.start()
        self._begun.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()


@pytest.fixture
def images(network: PackedNetwork) -> np.ndarray:
    test = load_data("digits").test.images
    return np.resize(test, (IMAGES, *test.shape[1:]))


def labels(scores: np.ndarray) -> np.ndarray:
    return scores.argmax(axis=1)


def connected(url: str) -> ResumingDevice:
    return ResumingDevice(lambda: Device(SerialTransport(url)))


@pytest.mark.parametrize("rate", [1 / 2000, 1 / 200])
def test_nothing_is_wrong_lost_or_double_on_a_hostile_line(
    network: PackedNetwork, built: Built, images: np.ndarray, rate: float, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = HostEngine(network).scores(images)
    start = time.monotonic()
    with (
        MortalBoard(built.elf, RESTART_S) as mortal,
        HostileLine(lambda: mortal.port, rate, seed=1, cut_after=CUT_AFTER) as line,
        connected(line.url) as device,
    ):
        result = runner.check(device, QEMU_M4, Task(network, images, labels(scores), scores))
        spoiled, cuts, restarts = line.spoiled, line.cuts, mortal.restarts
    assert (result.images, result.mismatches) == (IMAGES, 0)
    assert spoiled > 0
    assert result.retries > 0
    assert result.interruptions > 0
    seconds = time.monotonic() - start
    with capsys.disabled():
        print(
            f"\n1 byte in {1 / rate:.0f}: {IMAGES} images in {seconds:.0f} s, {spoiled} bytes spoiled, "
            f"{cuts} cuts, {restarts} restarts; {result.retries} retries, {result.interruptions} interruptions"
        )


def test_each_image_has_one_result_in_order(network: PackedNetwork, built: Built, images: np.ndarray) -> None:
    """Every image is another one, so that a result that is lost, double or at another place shows."""
    noise = np.random.default_rng(0).integers(0, 256, (40, *images.shape[1:]), dtype=np.uint8)
    want = HostEngine(network).scores(noise)
    assert len({row.tobytes() for row in want}) == len(want)
    with (
        Emulator(QEMU_M4, built.elf) as emulator,
        HostileLine(lambda: emulator.port, 1 / 200, seed=2, cut_after=4_000) as line,
        connected(line.url) as device,
    ):
        assert np.array_equal([run.scores for run in device.run(noise)], want)
        assert device.interruptions > 0


def test_device_that_stays_away_is_given_up(built: Built, images: np.ndarray) -> None:
    ports: list[str] = []
    with (
        Emulator(QEMU_M4, built.elf) as emulator,
        HostileLine(lambda: ports[-1] if ports else emulator.port, 0, seed=3) as line,
        ResumingDevice(lambda: Device(SerialTransport(line.url), patience_s=5), patience_s=5) as device,
    ):
        runs = device.run(images)
        next(runs)
        ports.append("/dev/none")  # first: the port is soon that of somebody else's emulator
        emulator.stop()
        with pytest.raises(DeviceError):
            list(runs)
        assert device.interruptions == 1


def test_device_that_comes_back_with_another_network_is_refused(
    network: PackedNetwork, built: Built, images: np.ndarray, tmp_path: Path, other: Built
) -> None:
    ports: list[str] = []
    with (
        Emulator(QEMU_M4, built.elf) as first,
        Emulator(QEMU_M4, other.elf) as second,
        HostileLine(lambda: ports[-1], 0, seed=4, cut_after=2_000) as line,
    ):
        ports.append(first.port)
        with connected(line.url) as device:
            ports.append(second.port)
            with pytest.raises(InputError, match="came back with"):
                list(device.run(images))


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Built]:
    from tests.firmware.conftest import packed

    yield build(packed(1), QEMU_M4, tmp_path_factory.mktemp("other"))
