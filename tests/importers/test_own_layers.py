"""All layers of `bitflow.nn` in graphs and sequences: every hidden map and logit equal to torch's, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.importers.test_torch_module import needs_fma
from torch import Tensor, nn
from torch.nn import functional

from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_network
from bitflow.importers.torch.module import network_from_module, run_module
from bitflow.ir import LayerKind, Rounding
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack
from bitflow.nn import BinaryConv1d, BinaryConv2d, BinaryLinear, InputConv1d, InputConv2d, Residual, Shift, Sign


class Stream(nn.Module):
    """A residual stream of integers that is compared twice, a concatenation, a global average, int8 at both ends."""

    def __init__(self) -> None:
        super().__init__()
        stem = InputConv2d(3, 8, 3, padding=(1, 0, 2, 1), dilation=(1, 2), weight_bits=8)
        self.stem = nn.Sequential(stem, nn.BatchNorm2d(8), Sign())
        self.block = Residual(BinaryConv2d(8, 8, 3, padding=1, scaled=False))
        self.norm, self.shift = nn.BatchNorm2d(8), Shift(8)
        self.left = BinaryConv2d(8, 8, 1, scaled=False)
        self.right = BinaryConv2d(8, 8, 3, padding=1, padding_value=0, groups=8, scaled=False)
        self.once, self.both, self.sign = nn.BatchNorm2d(8), nn.BatchNorm2d(16), Sign()
        self.scores = BinaryLinear(16, 5, weight_bits=8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.sign(self.shift(self.norm(self.block(self.stem(x)))))
        stream = self.left(x) + self.right(x)
        pair = torch.cat([self.sign(self.once(stream)), self.sign(functional.max_pool2d(stream, 1) + 0.5)], 1)
        return self.scores(self.sign(self.both(functional.adaptive_avg_pool2d(pair, 1))).flatten(1))


def sequence() -> nn.Module:
    return nn.Sequential(
        InputConv1d(2, 8, 5, stride=2, padding=2), nn.BatchNorm1d(8), Sign(),
        BinaryConv1d(8, 12, 3, padding=(0, 1), dilation=2), nn.MaxPool1d(2), nn.BatchNorm1d(12), Shift(12), Sign(),
        nn.Flatten(), BinaryLinear(12 * 6, 4, bias=True),
    )  # fmt: skip


@needs_fma
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("make", "shape"), [(Stream, (9, 10, 3)), (sequence, (1, 30, 2))])
def test_every_map_must_equal_torch(make: type[nn.Module], shape: tuple[int, int, int], seed: int) -> None:
    torch.manual_seed(seed)
    module = make().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            assert part.running_mean is not None and part.running_var is not None
            part.running_mean.normal_(0, 1.5)
            part.running_var.uniform_(0.2, 9)
            part.weight.data.normal_()
            part.bias.data.normal_()
        elif isinstance(part, Shift):
            part.bias.data.normal_()
    images = np.random.default_rng(seed).integers(0, 256, (20, *shape), np.uint8)
    network = network_from_module(module, shape)
    assert all(layer.rounding is Rounding.FLOAT32 for layer in network.layers)
    theirs, mine = run_module(module, images), run_network(network, images)
    for layer, want, got in zip(network.layers, theirs.hidden, mine.hidden, strict=False):
        assert np.array_equal(want, got), layer.name
    assert np.array_equal(theirs.scores, mine.scores)
    found = HostEngine(pack(fuse(network))).trace(images)
    assert all(np.array_equal(want, got) for want, got in zip(theirs.hidden, found.hidden, strict=True))
    assert np.array_equal(found.labels, theirs.labels)


def test_a_stream_must_become_the_layers_that_it_is() -> None:
    kinds = [layer.accumulation.kind for layer in network_from_module(Stream().eval(), (9, 10, 3)).layers]
    wide, conv, sums = LayerKind.WIDE_CONV, LayerKind.CONV, LayerKind.SUM
    assert kinds == [wide, conv, sums, conv, conv, sums, sums, sums, LayerKind.CONCAT, LayerKind.TOTAL, wide]
