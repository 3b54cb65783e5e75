"""Each emulated core: the right one answers, counts instructions, and computes what the host computes."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from tests.c.every_kind import every_kind

from bitflow.boards import board
from bitflow.deploy.build import build
from bitflow.engines.host import HostEngine
from bitflow.engines.self_test import random_images
from bitflow.image.bfn import Image, load
from bitflow.ir import PackedNetwork
from bitflow.learn.data.sources import load_data
from bitflow.resources import builtin_model
from bitflow_hil.devices.device import Device
from bitflow_hil.devices.emulator import Emulator
from bitflow_hil.link.transport import SerialTransport
from bitflow_hil.run import runner
from bitflow_hil.run.task import Task


def test_hello_tells_core_board_and_network(device: Device, emulator: Emulator, network: PackedNetwork) -> None:
    info = device.info()
    assert emulator.board.is_core(info.cpuid)
    assert (info.board, info.name, info.labels) == (emulator.board.name, network.name, network.labels)
    assert info.crc32 == Image.of(network).crc32
    assert info.model_bytes == len(Image.of(network).data)
    assert not info.loaded
    assert info.input_bytes == network.input_spec.shape.size


def test_ticks_count_instructions(device: Device) -> None:
    for loops in (1, 100, 10_000, 1_000_000):
        assert device.instructions(device.calibrate(loops)) - 2 * loops in (0, 1, 2)


def test_scores_and_hidden_maps_equal_the_hosts(device: Device, network: PackedNetwork) -> None:
    images = random_images(network.input_spec, 20, 3)
    engine = HostEngine(network)
    assert np.array_equal([run.scores for run in device.run(images)], engine.scores(images))
    hidden = engine.hidden(images[:1])
    for got, want in zip(device.hidden(images[0]), hidden, strict=True):
        assert np.array_equal(got, want.view(np.uint32).reshape(-1))


def test_count_repeats_to_the_instruction(device: Device, network: PackedNetwork) -> None:
    images = np.repeat(random_images(network.input_spec, 1, 0), 6, axis=0)
    counts = {device.instructions(run.ticks) for run in device.run(images)}
    assert max(counts) - min(counts) <= 1  # a tick is more or less than an instruction
    layers = device.profile(images[0])
    assert sum(map(device.instructions, layers)) == pytest.approx(min(counts), rel=0.01)


def test_self_test_passes_and_stack_has_room(device: Device) -> None:
    assert device.self_test() == 0
    info = device.info()
    assert 0 < info.stack_used < info.stack_bytes


def test_every_kind_of_layer_equals_the_host(device: Device) -> None:
    for seed in range(3):
        network = every_kind(seed, 4)
        images = random_images(network.input_spec, 3, seed)
        device.load(Image.of(network).data)
        engine = HostEngine(network)
        assert np.array_equal([run.scores for run in device.run(images)], engine.scores(images)), network.name
        for got, want in zip(device.hidden(images[0]), engine.hidden(images[:1]), strict=True):
            assert np.array_equal(got, want.view(np.uint32).reshape(-1)), network.name


def test_trained_network_equals_the_host(emulator: Emulator, tmp_path: Path) -> None:
    network = load(builtin_model("digits"))
    images = load_data("digits").test.images[:12]
    engine = HostEngine(network)
    built = build(network, emulator.board, tmp_path)
    with Emulator(emulator.board, built.elf) as running, Device(SerialTransport(running.port)) as device:
        assert np.array_equal([run.scores for run in device.run(images)], engine.scores(images))
        for one, *layers in zip(images[:3], *engine.hidden(images[:3]), strict=True):
            for got, want in zip(device.hidden(one), layers, strict=True):
                assert np.array_equal(got, want.view(np.uint32).reshape(-1))


def test_flipped_weight_bit_is_caught(device: Device, emulator: Emulator, network: PackedNetwork) -> None:
    last = network.layers[-1]
    weights = last.weights.copy()
    weights[0, 0] ^= 1
    spoiled = dataclasses.replace(network, layers=(*network.layers[:-1], dataclasses.replace(last, weights=weights)))
    images = random_images(network.input_spec, 20, 3)
    right = HostEngine(network).scores(images)
    device.load(Image.of(spoiled).data)
    result = runner.check(device, board(emulator.board.name), Task(spoiled, images, right.argmax(axis=1), right))
    assert result.mismatches == 20
