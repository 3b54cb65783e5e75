"""Instruction counts of the kernels: they reach what they must, do not rise, and the docs show them."""

from __future__ import annotations

import pytest
from bench.baseline import known
from bench.measure import compiler, counts, networks
from bench.targets import CIFAR, NETWORKS, TARGETS, WIDTHS, Target

from bench import page

MOST = 1.01  # times the baseline
EXACT_ZERO = {"conv3x3:16x16x64-64": 1.03, "conv3x3:32x32x32-32": 1.05}  # times padding -1


@pytest.fixture(scope="module")
def counted() -> dict[Target, tuple[int, int]]:
    return counts(TARGETS)


def test_every_kernel_must_reach_its_target(counted: dict[Target, tuple[int, int]]) -> None:
    missed = {t.command: macs / n for t, (n, macs) in counted.items() if macs / n < t.must}
    assert not missed


def test_exact_zero_padding_must_cost_little(counted: dict[Target, tuple[int, int]]) -> None:
    by_layer = {t.layer: n for t, (n, _) in counted.items() if t.kernel == "patterns_8"}
    for layer, most in EXACT_ZERO.items():
        assert by_layer[f"{layer}/p0"] <= most * by_layer[layer]


def test_counts_must_not_rise(counted: dict[Target, tuple[int, int]]) -> None:
    """`python -m bench.baseline` writes new ones, for a change that is worth it."""
    base = known()
    now = {t.key: n for t, (n, _) in counted.items()} | {
        f"{name} {layer['name']}": int(layer["instructions"])
        for name, layers in networks(tuple(NETWORKS)).items()
        for layer in layers
    }
    which = compiler() if compiler() in base else next(iter(base))
    then = {key: count for key, (count, _) in base[which]["layers"].items()} | {
        f"{name} {layer['name']}": layer["instructions"]
        for name, layers in base[which]["networks"].items()
        for layer in layers
    }
    changes = {key: now[key] / then[key] - 1 for key in now}
    if which != compiler():
        print("\n".join(f"{change:+.2%} {key}" for key, change in changes.items()))
        pytest.skip("there is no baseline for this compiler")
    assert {key: change for key, change in changes.items() if change > MOST - 1} == {}


def test_no_width_must_be_a_cliff() -> None:
    """What a map's last word leaves empty is all that a width costs, within a tenth."""
    (_, measured), *_ = known().items()
    full = {t.layer: measured["layers"][t.key] for t in WIDTHS}
    best = max(macs / count for count, macs in full.values())
    for layer, (count, macs) in full.items():
        width = int(layer.split("x")[2])
        used = 16 * width / (-(-16 * width // 32) * 32)
        assert macs / count > 0.9 * used * best, layer


def test_docs_must_show_the_baseline() -> None:
    assert page.write() == page.PAGE.read_text(encoding="utf-8"), "make docs"


def test_a_network_must_take_little_more_than_its_layers() -> None:
    (_, base), *_ = known().items()
    *layers, total = base["networks"][CIFAR]
    assert total["instructions"] <= 1.10 * (sum(base["cifar_alone"]) + layers[-1]["instructions"])
