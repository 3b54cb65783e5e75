"""Checks that run against any device: pytest hil/checks --bitflow-board NAME [--bitflow-port URL]."""

from __future__ import annotations

import numpy as np
import pytest

from bitflow.boards import Board
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image
from bitflow.ir import PackedNetwork
from bitflow_hil.devices.device import Device


def test_device_has_the_core_of_the_board(device: Device, bitflow_board: Board) -> None:
    assert bitflow_board.is_core(device.info().cpuid)


def test_device_runs_the_network(device: Device, bitflow_network: PackedNetwork) -> None:
    assert device.info().crc32 == Image.of(bitflow_network).crc32


def test_self_test_passes(device: Device) -> None:
    assert device.self_test() == 0


def test_scores_equal_the_hosts(device: Device, bitflow_network: PackedNetwork) -> None:
    images = random_images(bitflow_network.input_spec, 50, seed=1)
    assert np.array_equal([run.scores for run in device.run(images)], HostEngine(bitflow_network).scores(images))


def test_hidden_maps_equal_the_hosts(device: Device, bitflow_network: PackedNetwork) -> None:
    images = random_images(bitflow_network.input_spec, 1, seed=2)
    for got, want in zip(device.hidden(images[0]), HostEngine(bitflow_network).hidden(images), strict=True):
        assert np.array_equal(got, want.view(np.uint32).reshape(-1))


def test_stack_has_room(device: Device) -> None:
    info = device.info()
    if info.stack_bytes == 0:
        pytest.skip("the board does not know its stack")
    assert info.stack_used < info.stack_bytes
