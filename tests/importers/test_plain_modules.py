"""Torch modules in plain style that were not written for BitFlow import as they are, and decide as torch does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.tiers import turns
from torch import Tensor, nn
from torch.nn import functional

import bitflow
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_network
from bitflow.errors import ImportRefused
from bitflow.importers.pixels import Pixels
from bitflow.importers.source import Settings, open_source
from bitflow.importers.torch.module import network_from_module, run_module
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack


class Binarize(torch.autograd.Function):
    """A straight-through estimator as many repositories have it."""

    @staticmethod
    def forward(ctx, x):
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))

    @staticmethod
    def backward(ctx, gradient):
        return gradient


class BinConv(nn.Conv2d):
    """Weights of +-1, zero padding, a bias."""

    def forward(self, x: Tensor) -> Tensor:
        weight = Binarize.apply(self.weight)
        return functional.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class XnorConv(nn.Conv2d):
    """The scaling factor inside the weights, negative in some filters."""

    def forward(self, x: Tensor) -> Tensor:
        alpha = self.weight.mean((1, 2, 3), keepdim=True)
        weight = (torch.sign(self.weight) - self.weight).detach() + self.weight
        return functional.conv2d(x, weight * alpha, None, self.stride, self.padding)


class BinLinear(nn.Linear):
    def forward(self, x: Tensor) -> Tensor:
        return functional.linear(x, (self.weight > 0).float() * 2 - 1, self.bias)


def sequential() -> nn.Module:
    """conv-pool-BatchNorm-sign, zero padding, biases, Dropout, nn.Sequential."""

    class Sign(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return Binarize.apply(x)

    return nn.Sequential(
        BinConv(1, 12, 3, padding=1),
        nn.MaxPool2d(2),
        nn.BatchNorm2d(12),
        Sign(),
        nn.Dropout(0.2),
        BinConv(12, 20, 3, padding=1, groups=4),
        nn.BatchNorm2d(20),
        nn.Hardtanh(),
        Sign(),
        nn.MaxPool2d(3, 2, ceil_mode=True),
        nn.Flatten(),
        BinLinear(20 * 9, 16),
        nn.BatchNorm1d(16),
        Sign(),
        BinLinear(16, 5),
    )


class OwnForward(nn.Module):
    """A forward of its own: view, functional calls, XNOR factors of both signs, pixels brought to -2..2."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = XnorConv(1, 8, 5, padding=2), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = XnorConv(8, 16, 3), nn.BatchNorm2d(16, affine=False)
        self.fc = BinLinear(16 * 4, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = (x - 128) / 64
        x = Binarize.apply(self.bn1(self.conv1(x)))
        x = functional.max_pool2d(functional.dropout(x, 0.1, self.training), 2)
        x = torch.where(self.bn2(functional.max_pool2d(self.conv2(x), 2)) > 0, 1.0, -1.0)
        return functional.log_softmax(self.fc(x.view(x.shape[0], -1)), dim=1)


class ZeroOne(nn.Module):
    """Activations of 0 and 1 (x > 0), zero padding of them, a scale and a shift of its own before the threshold."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = BinConv(3, 10, 3, stride=2, bias=False)
        self.scale, self.shift = nn.Parameter(torch.randn(1, 10, 1, 1)), nn.Parameter(torch.randn(1, 10, 1, 1) * 40)
        self.conv2, self.bn = BinConv(10, 9, 3, padding=1), nn.BatchNorm2d(9)
        self.fc = BinLinear(9 * 6 * 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = (self.conv1(x) * self.scale + self.shift > 0).float()
        x = (self.bn(self.conv2(x)) >= 0).to(torch.float32)
        return self.fc(x.flatten(1))


class Residual(nn.Module):
    """Integers of two convolutions and a shortcut are added before BatchNorm and sign."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn0 = BinConv(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.a, self.b = BinConv(8, 8, 3, padding=1, bias=False), BinConv(8, 8, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.fc = BinLinear(8, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = Binarize.apply(self.bn0(self.stem(x)))
        x = Binarize.apply(self.bn1(self.a(x) + self.b(x) + x))
        return self.fc(functional.adaptive_avg_pool2d(x, 1).flatten(1) * 1.0)


class Branches(nn.Module):
    """Two branches side by side, a learnable shift before the sign, several layers without BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = BinConv(1, 6, 3, bias=False)
        self.left, self.right = BinConv(6, 5, 1), BinConv(6, 7, 3, padding=1)
        self.shift = nn.Parameter(torch.randn(12, 1, 1))
        self.last = BinConv(12, 3, (10, 10))

    def forward(self, x: Tensor) -> Tensor:
        x = Binarize.apply(self.stem(x - 100))
        x = torch.cat([Binarize.apply(self.left(x)), Binarize.apply(self.right(x))], dim=1)
        x = Binarize.apply(torch.tanh(x.mul(3.0).add(self.shift)))
        return self.last(x).squeeze(3).squeeze(2)


class Sequence(nn.Module):
    """1-D convolutions over a signal of two channels."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv1d(2, 10, 5, padding=2, bias=False), nn.BatchNorm1d(10)
        self.conv2, self.bn2 = nn.Conv1d(10, 12, 3, dilation=2, bias=False), nn.BatchNorm1d(12)
        self.fc = BinLinear(12 * 13, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.conv1d(x, torch.sgn(self.conv1.weight), padding=2)
        x = Binarize.apply(functional.max_pool1d(self.bn1(x), 2))
        x = functional.conv1d(x, self.conv2.weight.sign(), dilation=2)
        return self.fc(Binarize.apply(self.bn2(x)).transpose(1, 2).transpose(1, 2).flatten(1))


class Perceptron(nn.Module):
    """Pixels are made bits first; dense layers; sign(0) = -1."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([BinLinear(100, 30), BinLinear(30, 30)])
        self.norms = nn.ModuleList([nn.BatchNorm1d(30), nn.BatchNorm1d(30)])
        self.out = BinLinear(30, 10, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = 2 * x.view(x.size(0), -1) / 255 - 1
        x = torch.where(x > 0, 1.0, -1.0)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x))
            x = torch.where(x <= 0, -1.0, 1.0)
        return 1.5 * self.out(x) - 0.25


PLAIN: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "sequential": (sequential, (12, 12, 1)),
    "own forward": (OwnForward, (12, 12, 1)),
    "zero and one": (ZeroOne, (13, 13, 3)),
    "residual": (Residual, (9, 9, 1)),
    "branches": (Branches, (12, 12, 1)),
    "sequence": (Sequence, (1, 34, 2)),
    "perceptron": (Perceptron, (10, 10, 1)),
}


def trained(make: Callable[[], nn.Module], shape: tuple[int, int, int], seed: int) -> nn.Module:
    """The module with statistics as a pass over images leaves them, gammas of both signs."""
    torch.manual_seed(seed)
    module = make().train()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.momentum = 1.0
            if part.affine:
                part.weight.data.normal_()
                part.bias.data.normal_(0, 0.3)
    height, width, channels = shape
    pixels = torch.randint(0, 256, (64, channels, height, width)).float()
    with torch.no_grad():
        module(pixels if height > 1 else pixels[:, :, 0])
    return module.eval()


@pytest.mark.parametrize(("style", "seed"), turns(PLAIN, range(4)))
def test_plain_module_must_import_without_a_change(style: str, seed: int) -> None:
    make, shape = PLAIN[style]
    module = trained(make, shape, seed)
    images = np.random.default_rng(seed).integers(0, 256, (40, *shape), np.uint8)
    network = network_from_module(module, shape)
    mine, theirs = run_network(network, images), run_module(module, images)
    for layer, want, got in zip(network.layers, theirs.hidden, mine.hidden, strict=False):
        assert np.array_equal(want, got), layer.name
    largest = np.abs(theirs.scores).max()
    net = bitflow.fuse(module, input_shape=shape)
    for logits in (mine.scores, net.float_logits(images)):
        # A softmax at the end moves all logits of an image by one number.
        moved = logits - theirs.scores
        assert np.ptp(moved, axis=1).max() <= 1e-5 * largest
        assert style == "own forward" or np.abs(moved).max() <= 1e-5 * largest
    assert all(len(np.unique(bits.reshape(len(images), -1), axis=0)) > 20 for bits in mine.hidden)
    ordered = np.sort(theirs.scores, axis=1)
    clear = ordered[:, -1] - ordered[:, -2] > 1e-5 * largest
    assert np.array_equal(net.predict(images)[clear], theirs.labels[clear])
    assert clear.sum() >= 10


class TorchSign(nn.Module):
    """torch.sign gives 0 for 0: K is even, so the accumulators can be 0."""

    def __init__(self, taps: int) -> None:
        super().__init__()
        self.first, self.last = BinLinear(taps, 4, bias=False), BinLinear(4, 2, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.where(x.flatten(1) >= 128, 1.0, -1.0)
        return self.last(torch.sign(self.first(x)))


def test_sign_with_three_values_must_be_refused_where_zero_can_occur() -> None:
    module = TorchSign(4).eval()
    with pytest.raises(ImportRefused, match="--sign-zero"):
        bitflow.fuse(module, input_shape=(2, 2, 1))
    images = np.random.default_rng(0).integers(0, 256, (64, 2, 2, 1), np.uint8)
    plus, minus = (bitflow.fuse(module, input_shape=(2, 2, 1), sign_zero=zero) for zero in ("plus", "minus"))
    assert not np.array_equal(plus.scores(images), minus.scores(images))


def test_sign_with_three_values_must_be_taken_where_zero_cannot_occur() -> None:
    module = TorchSign(9).eval()
    images = np.random.default_rng(0).integers(0, 256, (64, 3, 3, 1), np.uint8)
    with torch.no_grad():
        want = module(torch.from_numpy(images.transpose(0, 3, 1, 2)).float()).numpy()
    assert np.array_equal(bitflow.fuse(module, input_shape=(3, 3, 1)).float_logits(images), want)


class ScaledResidual(Residual):
    """BatchNorm before the addition: what is added are no integers of one scale."""

    def forward(self, x: Tensor) -> Tensor:
        x = Binarize.apply(self.bn0(self.stem(x)))
        return self.fc(Binarize.apply(self.bn1(self.a(x)) + x).mean((2, 3)))


def test_sums_of_different_scales_must_be_refused_by_name() -> None:
    with pytest.raises(ImportRefused, match=r"'add.*different scales"):
        bitflow.fuse(trained(ScaledResidual, (9, 9, 1), 0), input_shape=(9, 9, 1))


def test_a_deviation_for_each_colour_must_be_refused_and_one_for_all_taken() -> None:
    class Normalised(nn.Module):
        def __init__(self, deviation: list[float]) -> None:
            super().__init__()
            self.conv, self.fc = BinConv(3, 4, 3), BinLinear(4 * 9, 2)
            self.mean = torch.tensor([0.4, 0.5, 0.6]).view(3, 1, 1)
            self.deviation = torch.tensor(deviation).view(3, 1, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = (x / 255 - self.mean) / self.deviation
            return self.fc(Binarize.apply(self.conv(x)).flatten(1))

    with pytest.raises(ImportRefused, match="deviation for each colour"):
        bitflow.fuse(Normalised([0.2, 0.25, 0.3]).eval(), input_shape=(5, 5, 3))
    module = Normalised([0.25, 0.25, 0.25]).eval()
    images = np.random.default_rng(0).integers(0, 256, (200, 5, 5, 3), np.uint8)
    with torch.no_grad():
        want = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float()).numpy()
    assert np.array_equal(bitflow.fuse(module, input_shape=(5, 5, 3)).predict(images), want.argmax(1))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("style", [name for name in PLAIN if name != "sequence"])  # torch exports no sgn
def test_what_torch_exports_to_onnx_must_decide_as_onnxruntime(tmp_path: Path, style: str, opset: int) -> None:
    make, shape = PLAIN[style]
    module = trained(make, shape, opset)
    height, width, channels = shape
    path = tmp_path / "net.onnx"
    options = {"input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}, "autograd_inlining": True}
    torch.onnx.export(
        module, (torch.zeros(1, channels, height, width),), path, opset_version=opset, dynamo=False, **options
    )
    opened = open_source(path, Settings(pixels=Pixels.RAW))
    packed = pack(fuse(opened.imported.network))
    images = np.random.default_rng(0).integers(0, 256, (30, *shape), np.uint8)
    want = opened.run(images)
    assert packed.logits is not None
    got = packed.logits.scale * HostEngine(packed).scores(images) + packed.logits.offset
    # A softmax at the end moves all logits of an image by one number.
    assert np.ptp(got - want, axis=1).max() <= 1e-4 * np.abs(want).max()
