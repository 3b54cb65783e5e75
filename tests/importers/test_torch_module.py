"""The importer holds the fixed float arithmetic to torch: equal hidden bits and equal labels, for random modules."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiers import seeds
from torch import nn

import bitflow
from bitflow.engines.reference import run_network, run_packed
from bitflow.errors import ImportRefused, InputError
from bitflow.importers.torch.module import network_from_module, run_module
from bitflow.ir import Pool
from bitflow.learn.training.evaluate import as_input
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.nn import BinaryConv2d, BinaryLinear, InputConv2d, Sign


def has_fma() -> bool:
    """Whether torch's kernels here round as the fixed arithmetic does: x86 with FMA, or 64-bit ARM."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return " fma " in text or "asimd" in text


needs_fma = pytest.mark.skipif(not has_fma(), reason="torch rounds BatchNorm otherwise on a CPU without FMA")


def random_norm(channels: int, random: np.random.Generator, one_dimensional: bool = False) -> nn.Module:
    """Gammas of both signs and zero, ties (a mean of whole numbers, beta 0), large and tiny variances."""
    affine = bool(random.random() < 0.8)
    kind = nn.BatchNorm1d if one_dimensional else nn.BatchNorm2d
    norm = kind(channels, eps=float(random.choice([1e-5, 1e-3])), affine=affine)
    if affine:
        norm.weight.data = torch.from_numpy(random.choice([-1.5, -0.3, 0.0, 0.2, 1.0], channels).astype(np.float32))
        norm.bias.data = torch.from_numpy(random.choice([-0.7, 0.0, 0.0, 0.4], channels).astype(np.float32))
    assert norm.running_mean is not None and norm.running_var is not None
    norm.running_mean.copy_(torch.from_numpy((random.normal(size=channels) * 3).astype(np.float32)))
    norm.running_var.copy_(torch.from_numpy(random.choice([1e-8, 0.5, 40.0, 1e5], channels).astype(np.float32)))
    return norm


def random_block(
    source: int, target: int, random: np.random.Generator, place: int, zero_point: int = 128
) -> list[nn.Module]:
    """The place (0 the first) decides stride and least padding: a small map must not vanish."""
    first, least = place == 0, int(place == 2)
    kernel = (int(random.integers(1, 4)), int(random.integers(1, 4)))
    stride = (int(random.integers(1, 3)), int(random.integers(1, 3))) if first else (1, 1)
    padding = (int(random.integers(least, 3)), int(random.integers(least, 3)))
    bias = bool(random.random() < 0.3)
    layer: nn.Module
    if first:
        layer = InputConv2d(source, target, kernel, stride, padding, zero_point, bias=bias)
    else:
        groups = int(random.choice([g for g in (1, 2, 3) if source % g == 0 and target % g == 0]))
        value = int(random.choice([-1, 0, 1]))
        layer = BinaryConv2d(source, target, kernel, stride, padding, value, groups, bias=bias)
    if isinstance(layer.bias, nn.Parameter):
        layer.bias.data = torch.from_numpy(random.normal(size=target).astype(np.float32))
    norm = [random_norm(target, random)] if random.random() < 0.85 else []
    pool = nn.MaxPool2d(
        int(random.integers(2, 4)),
        int(random.integers(1, 3)),
        padding=int(random.integers(least, 2)),
        ceil_mode=bool(random.random() < 0.5),
    )
    tail: list[nn.Module] = [*norm, Sign()]
    if random.random() < 0.7:
        tail.insert(int(random.integers(0, len(tail) + 1)), pool)
    return [layer, *tail, nn.Dropout(0.5)]


def random_module(seed: int) -> tuple[nn.Sequential, tuple[int, int, int]]:
    random = np.random.default_rng(seed)
    torch.manual_seed(seed)
    channels = [int(random.choice([1, 2, 3])), *(int(random.choice([1, 6, 31, 33])) for _ in range(3))]
    shape = (int(random.integers(24, 30)), int(random.integers(24, 30)))
    zero_point = int(random.choice([0, 100, 128]))
    body = random_block(channels[0], channels[1], random, 0, zero_point)
    body += random_block(channels[1], channels[2], random, 1)
    nested = nn.Sequential(OrderedDict(block=nn.Sequential(*random_block(channels[2], channels[3], random, 2))))
    features = nn.Sequential(*body, nested, nn.Flatten())
    with torch.no_grad():
        count = features.eval()(torch.zeros(1, channels[0], *shape)).shape[1]
    dense: list[nn.Module] = [BinaryLinear(count, 9), random_norm(9, random, True), Sign()]
    last: list[nn.Module] = [BinaryLinear(9, 5)]
    if random.random() < 0.5:
        last.append(random_norm(5, random, True))
    return nn.Sequential(*features, *dense, *last).eval(), (*shape, channels[0])


@needs_fma
@pytest.mark.parametrize("seed", seeds(30, sample=5))
def test_network_must_equal_torch_bit_for_bit(seed: int) -> None:
    module, shape = random_module(seed)
    images = np.random.default_rng(seed).integers(0, 256, (17, *shape), np.uint8)
    images[0], images[1] = 0, 255
    network = network_from_module(module, shape)
    torch_trace = run_module(module, images)
    trace = run_network(network, images)
    assert len(torch_trace.hidden) == len(trace.hidden)
    for index, (want, words) in enumerate(zip(torch_trace.hidden, trace.hidden, strict=True)):
        assert np.array_equal(want, words), f"layer {index}"
    with torch.no_grad():
        assert np.array_equal(torch_trace.scores, module(as_input(images)).numpy())
    assert np.array_equal(torch_trace.scores, trace.scores)
    packed = run_packed(pack(fuse(network)), images)
    assert np.array_equal(packed.labels, torch_trace.labels)


def test_fuse_must_warn_of_an_order_that_no_integers_keep() -> None:
    """Slopes too small for float32 beside an offset of 1: all logits are equal, whatever the accumulators are."""
    norm = nn.BatchNorm1d(2)
    norm.weight.data = torch.tensor([1e-9, 2e-9])
    norm.bias.data = torch.ones(2)
    module = nn.Sequential(InputConv2d(1, 2, 2), Sign(), nn.Flatten(), BinaryLinear(2, 2), norm)
    with pytest.warns(UserWarning, match="pairs of class scores are ordered unlike the float logits"):
        bitflow.fuse(module.eval(), input_shape=(2, 2, 1))


def test_fuse_must_not_warn_where_the_order_is_kept() -> None:
    module = nn.Sequential(InputConv2d(1, 2, 2), Sign(), nn.Flatten(), BinaryLinear(2, 2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bitflow.fuse(module.eval(), input_shape=(2, 2, 1))


@pytest.mark.parametrize("place", [0, 1, 2])
def test_pool_place_must_be_kept(place: int) -> None:
    order: list[nn.Module] = [nn.BatchNorm2d(2), Sign()]
    order.insert(place, nn.MaxPool2d(2))
    module = nn.Sequential(InputConv2d(1, 2, 3, padding=1), *order, nn.Flatten(), BinaryLinear(8, 2))
    steps = network_from_module(module, (4, 4, 1)).layers[0].steps[1:]
    assert [type(step) for step in steps].index(Pool) == place


def test_layer_names_must_come_from_the_module_where_it_has_any() -> None:
    stem = OrderedDict(stem=InputConv2d(1, 2, 3), bits=Sign(), flat=nn.Flatten())
    module = nn.Sequential(OrderedDict(body=nn.Sequential(stem), head=nn.Sequential(BinaryLinear(8, 2))))
    assert [layer.name for layer in network_from_module(module, (4, 4, 1)).layers] == ["body.stem", "dense2"]


def test_a_module_used_twice_must_count_twice() -> None:
    sign = Sign()
    module = nn.Sequential(InputConv2d(1, 2, 1), sign, BinaryConv2d(2, 2, 1), sign, nn.Flatten(), BinaryLinear(2, 2))
    assert len(network_from_module(module, (1, 1, 1)).layers) == 3


class Rounded(nn.Module):
    """More than one bit."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.round(x)


REFUSED: dict[str, list[nn.Module]] = {
    "ends in a sign": [InputConv2d(1, 2, 4), Sign()],
    "few levels": [InputConv2d(1, 2, 1), nn.ReLU()],
    "float weights": [InputConv2d(1, 2, 1), Sign(), nn.Conv2d(2, 2, 2)],
    "flatten the map": [InputConv2d(1, 2, 1), Sign(), BinaryLinear(4, 2)],
    "dilated": [InputConv2d(1, 2, 1), nn.MaxPool2d(2, dilation=2), Sign()],
    "running statistics": [InputConv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False)],
    "unknown": [InputConv2d(1, 4, 1), nn.PixelShuffle(2)],
    "only a max-pool": [InputConv2d(1, 2, 1), nn.AvgPool2d(2)],
    "put a sign between": [InputConv2d(1, 2, 1), nn.BatchNorm2d(2), BinaryConv2d(2, 2, 1)],
    "more than one bit": [InputConv2d(1, 2, 1), nn.Hardtanh(), BinaryConv2d(2, 2, 1)],
    "round": [InputConv2d(1, 2, 1), Rounded(), BinaryConv2d(2, 2, 1)],
}


@pytest.mark.parametrize("reason", REFUSED)
def test_what_is_not_understood_must_be_refused_by_name(reason: str) -> None:
    modules = [*REFUSED[reason], nn.Flatten()]
    with pytest.raises(ImportRefused, match=reason) as caught:
        network_from_module(nn.Sequential(OrderedDict(part=nn.Sequential(*modules))), (4, 4, 1))
    assert "'part." in str(caught.value)


def test_float64_must_be_refused() -> None:
    module = nn.Sequential(InputConv2d(1, 2, 1), Sign(), nn.Flatten(), BinaryLinear(2, 2)).double()
    with pytest.raises(ImportRefused, match="float32"):
        network_from_module(module, (1, 1, 1))


def test_what_was_refused_once_may_be_taken_now() -> None:
    """A second BatchNorm or max-pool, a BatchNorm after the sign, bits as the first layer's pixels."""
    modules = (
        [InputConv2d(1, 2, 1), nn.BatchNorm2d(2), nn.BatchNorm2d(2), Sign()],
        [InputConv2d(1, 2, 1), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1), Sign()],
        [InputConv2d(1, 2, 1), Sign(), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 1)],
        [InputConv2d(1, 2, 1), Sign(), nn.BatchNorm2d(2), Sign()],
        [nn.MaxPool2d(2), InputConv2d(1, 2, 1), Sign()],
        [BinaryConv2d(1, 2, 1), Sign()],
    )
    images = np.random.default_rng(0).integers(0, 256, (9, 4, 4, 1), np.uint8)
    for body in modules:
        features = nn.Sequential(*body, nn.Flatten()).eval()
        with torch.no_grad():
            count = features(torch.zeros(1, 1, 4, 4)).shape[1]
        module = nn.Sequential(*features, BinaryLinear(count, 3)).eval()
        with torch.no_grad():
            want = module(as_input(images)).numpy()
        assert np.array_equal(run_network(network_from_module(module, (4, 4, 1)), images).scores, want)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ([InputConv2d(3, 2, 1)], "have 3 channels"),
        ([InputConv2d(1, 2, 9)], "Kernel size can't be greater"),
        ([InputConv2d(1, 2, 1), Sign(), nn.Flatten(), BinaryLinear(9, 2)], "same reduction dim"),
        ([InputConv2d(1, 2, 1), nn.BatchNorm2d(3)], "should contain 2 elements"),
        ([InputConv2d(1, 2, 1)], "not one score per class"),
        ([InputConv2d(1, 2, 1), nn.MaxPool2d(6)], "too small"),
    ],
)
def test_shapes_that_do_not_fit_must_be_named(modules: list[nn.Module], message: str) -> None:
    with pytest.raises(InputError, match=message):
        network_from_module(nn.Sequential(*modules), (4, 4, 1))
