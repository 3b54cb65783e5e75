"""Random torch modules that mix styles: how pixels come, how weights and bits are made, padding, pools, residuals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.tiers import seeds
from torch import Tensor, nn
from torch.nn import functional

import bitflow


def sign(x: Tensor) -> Tensor:
    return torch.where(x >= 0, 1.0, -1.0)


class Mixed(nn.Module):
    """Two convolutions and a head; each number of `way` picks one of several styles."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        rng = np.random.default_rng(seed)
        self.way = [int(n) for n in rng.integers(0, 4, 8)]
        self.picture = int(rng.integers(10, 15)), int(rng.integers(10, 15)), int(rng.choice([1, 2, 3]))
        first, second = (int(rng.choice([2, 4, 8, 16])) for _ in range(2))
        self.groups = int(rng.choice([1, 2]))
        kernels = [int(rng.choice([1, 2, 3])) for _ in range(2)]
        self.padding, self.stride = [int(n) for n in rng.integers(0, 2, 2)], int(rng.choice([1, 2]))
        self.conv1 = nn.Parameter(torch.randn(first, self.picture[2], kernels[0], kernels[0]))
        self.conv2 = nn.Parameter(torch.randn(second, first // self.groups, kernels[1], kernels[1]))
        self.conv3, self.bias = nn.Parameter(torch.randn(second, second, 1, 1)), nn.Parameter(torch.randn(second))
        self.norms = nn.ModuleList([nn.BatchNorm2d(n) for n in (first, second, second)])
        self.head, self.wide = nn.Parameter(torch.randn(6, second)), nn.Parameter(torch.randn(5, 16 * 400))

    def forward(self, x: Tensor) -> Tensor:
        way = self.way
        x = (x, x / 255, (x - 128) / 128, (x / 255 - 0.5) / 0.5)[way[0]]
        factor = self.conv1.abs().mean((1, 2, 3), keepdim=True) if way[1] == 1 else 1.0
        padding = 0 if way[0] == 3 else self.padding[0]  # 0.5 is no whole pixel
        x = functional.conv2d(x, sign(self.conv1) * factor, None, self.stride, padding)
        if way[2] == 1:
            x = functional.max_pool2d(x, 2, ceil_mode=way[3] > 1)
        x = self.norms[0](x)
        if way[2] == 2:
            x = functional.max_pool2d(x, (1, 2))
        x = sign(x) if way[4] < 2 else (x > 0).float() if way[4] == 2 else torch.where(x < 0, -1.0, 1.0)
        if way[2] == 3:
            x = functional.max_pool2d(x, 3, 1, 1)
        weight = sign(self.conv2) * (-0.37 if way[5] == 1 else 1.0)
        bias = self.bias if way[5] == 2 else None
        x = sign(self.norms[1](functional.conv2d(x, weight, bias, 1, self.padding[1], groups=self.groups)))
        if way[6] == 1:
            x = sign(self.norms[2](functional.conv2d(x, sign(self.conv3)) + x))
        if way[6] == 2:
            x = sign(self.norms[2](functional.conv2d(x, sign(self.conv3))) - 0.25)
        if way[6] == 3:
            x = torch.cat([x, sign(functional.conv2d(x, sign(self.conv3)) - 1)], dim=1)[:, : x.shape[1] * 2]
        if way[7] == 0 and way[6] != 3:
            return functional.linear(functional.adaptive_avg_pool2d(x, 1).flatten(1), sign(self.head))
        if way[7] == 1 and way[6] != 3:
            whole = functional.max_pool2d(x, (x.shape[2], x.shape[3])).flatten(1)
            return functional.linear(whole, sign(self.head) * 0.1)
        if way[7] == 3:
            x = x.permute(0, 2, 3, 1)
        x = x.reshape(x.shape[0], -1)
        return functional.linear(x, sign(self.wide[:, : x.shape[1]]))


@pytest.mark.parametrize("seed", seeds(40))
def test_module_of_mixed_styles_must_decide_as_torch(seed: int) -> None:
    torch.manual_seed(seed)
    module = Mixed(seed)
    height, width, channels = module.picture
    for norm in module.norms:
        assert isinstance(norm, nn.BatchNorm2d)
        norm.momentum = 1.0
        norm.weight.data.normal_()
        norm.bias.data.normal_(0, 0.3)
    with torch.no_grad():
        module.train()(torch.randint(0, 256, (64, channels, height, width)).float())
    module.eval()
    images = np.random.default_rng(seed).integers(0, 256, (40, *module.picture), np.uint8)
    with torch.no_grad():
        want = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float()).numpy()
    net = bitflow.fuse(module, input_shape=module.picture)
    assert np.abs(net.float_logits(images) - want).max() <= 1e-5 * np.abs(want).max()
