"""Device against a device in memory: window, retries, errors."""

from __future__ import annotations

import random

import numpy as np
import pytest

from bitflow.boards import board
from bitflow.engines.reference import run_packed
from bitflow.engines.self_test import random_images
from bitflow.errors import DeviceError, InputError
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.synthetic.networks import random_network
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.mock import MockDevice
from bitflow_hil.link.retry_timer import RetryTimer
from bitflow_hil.link.transport import DamagedTransport, MemoryTransport, Transport
from bitflow_hil.run import runner
from bitflow_hil.run.task import Task


def quick(line: Transport) -> Device:
    """A device at a line in memory, which answers at once or never."""
    return Device(line, patience_s=5, retry_timer=RetryTimer(first_s=0.001, least_s=0.001))


def packed(seed: int) -> PackedNetwork:
    return pack(fuse(random_network(seed)))


@pytest.fixture(scope="module")
def network() -> PackedNetwork:
    return packed(1)


def spoiler(seed: int, rate: float):  # type: ignore[no-untyped-def]
    """Loses, flips and doubles bytes, and doubles whole writes."""
    rng = random.Random(seed)

    def damage(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            chance = rng.random() / rate
            if chance < 1:
                out += (b"", bytes([byte ^ 1 << rng.randrange(8)]), bytes([byte, byte]))[rng.randrange(3)]
            else:
                out.append(byte)
        return bytes(out) * (2 if rng.random() < 0.05 else 1)

    return damage


def test_device_gives_scores_hidden_maps_and_profile(network: PackedNetwork) -> None:
    images = random_images(network.input_spec, 5, 0)
    wanted = run_packed(network, images)
    mock = MockDevice(network)
    device = Device(mock.line())
    assert np.array_equal([run.scores for run in device.run(images)], wanted.scores)
    assert mock.runs == 5
    assert device.retries == 0
    for got, want in zip(device.hidden(images[1]), wanted.hidden, strict=True):
        assert np.array_equal(got, want[1].view(np.uint32).reshape(-1))
    assert device.profile(images[0]) == [1000] * len(network.layers)


def test_info_says_what_runs(network: PackedNetwork) -> None:
    info = Device(MockDevice(network).line()).info()
    assert (info.name, info.crc32, info.labels) == (network.name, Image.of(network).crc32, network.labels)


@pytest.mark.parametrize("seed", range(8))
def test_damaged_line_changes_no_score_and_runs_nothing_twice(network: PackedNetwork, seed: int) -> None:
    images = random_images(network.input_spec, 8, seed)
    mock = MockDevice(network)
    device = quick(DamagedTransport(mock.line(), spoiler(seed, 0.004)))
    assert np.array_equal([run.scores for run in device.run(images)], run_packed(network, images).scores)
    assert mock.runs == 8
    assert mock.sessions == 1


@pytest.mark.parametrize("seed", range(4))
def test_damaged_line_loads_a_whole_network(network: PackedNetwork, seed: int) -> None:
    other = packed(10 + seed)
    device = quick(DamagedTransport(MockDevice(network).line(), spoiler(seed, 0.002)))
    info = device.load(Image.of(other).data)
    assert (info.crc32, info.loaded, info.name) == (Image.of(other).crc32, True, other.name)
    images = random_images(other.input_spec, 3, seed)
    assert np.array_equal([run.scores for run in device.run(images)], run_packed(other, images).scores)
    assert device.load(b"").crc32 == Image.of(network).crc32


def test_silent_device_is_given_up() -> None:
    with pytest.raises(DeviceError, match="no answer"):
        Device(MemoryTransport(lambda data: b""), patience_s=0.01)


def test_device_that_babbles_is_given_up() -> None:
    with pytest.raises(DeviceError, match="no answer"):
        Device(MemoryTransport(lambda data: b"m-ready\r\n"), patience_s=0.01)


def test_reset_in_the_middle_is_noticed(network: PackedNetwork) -> None:
    mock = MockDevice(network)
    device = quick(mock.line())
    images = random_images(network.input_spec, 6, 0)
    runs = device.run(images)
    next(runs)
    mock.reboot()
    with pytest.raises(DeviceError, match="reset in the middle"):
        list(runs)


def test_image_of_a_wrong_size_is_refused(network: PackedNetwork) -> None:
    with pytest.raises(InputError, match="bytes per image"):
        list(Device(MockDevice(network).line()).run([np.zeros(3, np.uint8)]))


def test_check_counts_images_whose_scores_differ(network: PackedNetwork) -> None:
    images = random_images(network.input_spec, 6, 0)
    scores = run_packed(network, images).scores
    labels = scores.argmax(axis=1)
    wrong = scores.copy()
    wrong[2, 0] += 1
    device = Device(MockDevice(network).line())
    assert runner.check(device, board("host"), Task(network, images, labels, scores)).mismatches == 0
    result = runner.check(device, board("host"), Task(network, images, labels, wrong))
    assert result.mismatches == 1
    assert result.examples[0].image == 2


def test_check_refuses_another_network(network: PackedNetwork) -> None:
    other = packed(2)
    images = random_images(other.input_spec, 1, 0)
    scores = run_packed(other, images).scores
    with pytest.raises(InputError, match="you asked for"):
        device = Device(MockDevice(network).line())
        runner.check(device, board("host"), Task(other, images, scores.argmax(axis=1), scores))
