"""Brevitas' layers of one bit import as any other module, where Brevitas is installed."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bitflow

qnn = pytest.importorskip("brevitas.nn", reason="brevitas is not installed")
quant = pytest.importorskip("brevitas.quant", reason="brevitas is not installed")


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        weights = {"bias": False, "weight_quant": quant.SignedBinaryWeightPerTensorConst}
        self.first, self.second = (qnn.QuantIdentity(act_quant=quant.SignedBinaryActPerTensorConst) for _ in range(2))
        self.conv, self.norm = qnn.QuantConv2d(1, 8, 3, **weights), nn.BatchNorm2d(8)
        self.fc = qnn.QuantLinear(8 * 36, 5, **weights)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(self.first(2 * x / 255 - 1)))
        return self.fc(self.second(x).flatten(1))


def test_brevitas_module_must_decide_as_torch() -> None:
    torch.manual_seed(0)
    module = Net().train()
    with torch.no_grad():
        module(torch.randint(0, 256, (64, 1, 8, 8)).float())
    module.eval()
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), np.uint8)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    net = bitflow.fuse(module, input_shape=(8, 8, 1))
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    with torch.no_grad():
        want = module(torch.from_numpy(images.transpose(0, 3, 1, 2).copy()).float()).numpy()
    assert np.abs(net.float_logits(images) - want).max() <= 1e-6 * np.abs(want).max()
