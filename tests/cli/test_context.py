"""What a command works on: the float network is recognised by the image that it fuses to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from bitflow.cli import context
from bitflow.cli.context import Context, load_float_network, nameless_crc32
from bitflow.geometry import ChannelOrder, InputSpec, Shape
from bitflow.ir import PackedNetwork
from bitflow.learn.networks import architectures
from bitflow.learn.training.checkpoint import ModelFile, image_crc32, note_image, save_module
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.project import Project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A project with a model.pt of the first version, which does not say what it fuses to."""
    torch.manual_seed(0)
    spec = InputSpec(Shape(8, 8, 1), channel_order=ChannelOrder.GRAY)
    labels = tuple(map(str, range(10)))
    module = architectures.build("bitflow-tiny", (8, 8, 1), len(labels), spec.zero_point)
    save_module(tmp_path / "model.pt", module, ModelFile("digits", "bitflow-tiny", spec, labels))
    return Project(tmp_path)


@pytest.fixture
def network(project: Project) -> PackedNetwork:
    return pack(fuse(load_float_network(project.module_path)))


def test_float_network_must_be_recognised_without_a_note(project: Project, network: PackedNetwork) -> None:
    assert image_crc32(project.module_path) is None
    assert Context(project).trained_module(network, None) == project.module_path
    assert Context(project).trained_module(replace(network, name="another name"), None) == project.module_path
    other = replace(network, labels=())
    assert Context(project).trained_module(other, None) is None
    assert Context(project).trained_module(other, Path("given.pt")) == Path("given.pt")


def test_noted_image_must_be_believed_without_fusing(
    project: Project, network: PackedNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    note_image(project.module_path, nameless_crc32(network))
    monkeypatch.setattr(context, "load_float_network", lambda path: 1 / 0)
    assert Context(project).trained_module(replace(network, name="x"), None) == project.module_path
    assert Context(project).trained_module(replace(network, labels=()), None) is None


def test_noted_image_must_leave_the_network_as_it_is(project: Project, network: PackedNetwork) -> None:
    note_image(project.module_path, nameless_crc32(network))
    assert nameless_crc32(pack(fuse(load_float_network(project.module_path)))) == image_crc32(project.module_path)
