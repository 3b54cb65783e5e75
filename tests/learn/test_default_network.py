"""The network to begin with: one answer for `init`, which may not know the pictures, and for `search`, which does."""

from __future__ import annotations

import pytest

from bitflow.learn.data.sources import SOURCES
from bitflow.learn.default_network import default_network
from bitflow.learn.networks import architectures


@pytest.mark.parametrize(
    ("sources", "name"),
    [
        (("digits",), "bitflow-tiny"),
        (("hands:photos@gender", "imagenet:x", "signs:photos@two"), "bitflow-alexnet"),
        (("idx:mnist", "npz:a.npz", "folder:photos", "cifar10:c"), "bitflow-lenet"),
    ],
)
def test_a_source_must_say_a_network_where_the_size_is_not_known(sources: tuple[str, ...], name: str) -> None:
    assert {default_network(source) for source in sources} == {name}


@pytest.mark.parametrize("source", [source for source in SOURCES if source != "sound"])
@pytest.mark.parametrize(
    ("size", "name"),
    [
        ((8, 8, 1), "bitflow-tiny"),
        ((15, 4), "bitflow-tiny"),
        ((16, 16, 3), "bitflow-lenet"),
        ((47, 47), "bitflow-lenet"),
        ((40, 64), "bitflow-hands"),
        ((128, 96), "bitflow-alexnet"),
        ((1, 24, 10), "bitflow-sound"),
    ],
)
def test_the_size_must_decide_where_it_is_known(source: str, size: tuple[int, ...], name: str) -> None:
    assert default_network(source, size) == name


@pytest.mark.parametrize(
    ("source", "picture"),
    [("digits", (8, 8, 1)), ("signs:x", (64, 64, 3)), ("sound:x", (1, 40, 13)), ("npz:x", (40, 1, 3))],
)
def test_what_suits_must_take_the_pictures(source: str, picture: tuple[int, int, int]) -> None:
    architectures.build(default_network(source, picture), picture, 2)
    if source != "npz:x":
        architectures.build(default_network(source), picture, 2)
