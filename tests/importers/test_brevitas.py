"""Brevitas' layers of one bit, two and three import as any other module, where Brevitas is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bitflow
from bitflow.engines.host import HostEngine
from bitflow.engines.reference import run_network
from bitflow.importers.torch.module import network_from_module, run_module
from bitflow.lower.fuse import fuse
from bitflow.lower.pack import pack

sys.path.append(str(Path(__file__).parents[2] / ".venv" / "brevitas"))  # where `make test` installs it
qnn = pytest.importorskip("brevitas.nn", reason="Brevitas is not installed: make test")
quant = pytest.importorskip("brevitas.quant", reason="Brevitas is not installed: make test")


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


class Several(nn.Module):
    """Activations of a few bits, each with the scale that it was trained to have, over pixels too."""

    def __init__(self, bits: int, signed: bool, narrow: bool) -> None:
        super().__init__()
        weights = {"bias": False, "weight_quant": quant.SignedBinaryWeightPerTensorConst}

        def values() -> nn.Module:
            if not signed:
                return qnn.QuantReLU(bit_width=bits)
            return qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, bit_width=bits, narrow_range=narrow)

        pixels = qnn.QuantIdentity(act_quant=quant.Int8ActPerTensorFloat, bit_width=2, narrow_range=True)
        self.body = nn.Sequential(
            pixels, qnn.QuantConv2d(2, 8, 3, padding=1, **weights), nn.BatchNorm2d(8), values(), nn.MaxPool2d(2),
            qnn.QuantConv2d(8, 12, 3, padding=1, groups=2, **weights), nn.BatchNorm2d(12), values(), nn.Flatten(),
            qnn.QuantLinear(12 * 20, 9, **weights), nn.BatchNorm1d(9), values(), qnn.QuantLinear(9, 5, **weights),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.body(2 * x / 255 - 1)


@pytest.mark.parametrize(("signed", "narrow"), [(False, False), (True, False), (True, True)])
@pytest.mark.parametrize("bits", [2, 3])
def test_brevitas_values_of_several_bits_must_be_those_of_torch(bits: int, signed: bool, narrow: bool) -> None:
    torch.manual_seed(bits)
    module = Several(bits, signed, narrow).train()
    with torch.no_grad():
        for part in module.modules():
            if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
                part.weight.normal_()
                part.bias.normal_()
        for _ in range(3):
            module(torch.randint(0, 256, (64, 2, 8, 10)).float())
    module.eval()
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 10, 2), np.uint8)
    network = network_from_module(module, (8, 10, 2))
    levels = 2**bits - 1 - (signed and narrow)
    padded = levels + (signed and not narrow)  # a constant bit, so that 0 is in the middle
    assert [layer.thresholds for layer in network.layers] == [2, padded, levels, levels, 1]
    theirs = run_module(module, images)
    ours, packed = run_network(network, images), pack(fuse(network))
    for found in (ours, HostEngine(packed).trace(images)):
        for layer, got, want in zip(network.layers, found.hidden, theirs.hidden, strict=False):
            assert np.array_equal(got, want), layer.name
    np.testing.assert_allclose(ours.scores, theirs.scores, rtol=1e-5, atol=1e-5)
    assert np.array_equal(HostEngine(packed).trace(images).labels, ours.labels)
